//! TLS, our own resolver, bounded connections, one HTTP client, per-server limits, secrets, and programs here and over
//! ssh.

mod connect;
mod exec;
mod http;
mod limits;
mod resolve;
mod secret;
mod ssh;
mod tls;

pub use self::http::{Credentials, HttpAnswer, HttpClient, HttpPolicy, HttpRequest, NoAnswer, gap_of_hyper};
pub use connect::{TcpTarget, gap_of_io};
pub use exec::{Ended, Exit, LARGEST_ERROR, LARGEST_OUTPUT, Outliving, executable, find_program};
pub use limits::{Permit, ServerKey};
pub use secret::{HelperAnswer, ask_helper, resolve as resolve_secret, token_end};
pub use ssh::SshSettings;
pub use tls::{ServerCertificate, TlsPolicy, gap_of_tls, is_tls};

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::SecretString;
use tokio::time::Instant;

use crate::plan::{Lost, Plan, Practice, SecretRef};
use crate::readiness::{Gap, Reason};

/// What every lane shares: the resolver for our own connections, trusted roots, limits per server, and where it may keep what
/// cost it much.
#[derive(Debug)]
pub struct Net {
    state: Option<PathBuf>,
    limits: limits::Limits,
    resolver: resolve::Resolver,
    tls: tls::Tls,
    /// What is refused without asking.
    lost: Option<Lost>,
    /// The practice world that is all there is.
    practice: Option<Arc<Practice>>,
}

impl Net {
    /// Makes it, for no plan in particular: what belongs to one is looked at and acted on through [`Net::of`] and its kin.
    /// Reads no file and opens no socket: roots and resolver configuration are read when first needed.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Self::made(None, None, None)
    }

    /// The same, for these plans. Where they are practice, nothing is reached but their practice world: no other address, no
    /// name, no program.
    #[must_use]
    pub fn of(plans: &[Arc<Plan>]) -> Arc<Self> {
        Self::made(None, None, practice(plans))
    }

    /// The same, for lanes that may keep files of their own in the directory of this program's state.
    #[must_use]
    pub fn keeping(state: Option<&Path>, plans: &[Arc<Plan>]) -> Arc<Self> {
        Self::made(state, None, practice(plans))
    }

    /// The same, with a site that is assumed to be lost: whatever is there is refused, as unreachable, without asking.
    #[must_use]
    pub fn without(lost: Option<Lost>, plans: &[Arc<Plan>]) -> Arc<Self> {
        Self::made(None, lost, practice(plans))
    }

    fn made(state: Option<&Path>, lost: Option<Lost>, practice: Option<Arc<Practice>>) -> Arc<Self> {
        Arc::new(Self {
            state: state.map(Path::to_owned),
            limits: limits::Limits::default(),
            resolver: resolve::Resolver::default(),
            tls: tls::Tls::default(),
            lost,
            practice,
        })
    }

    /// The directory of this program's state, where a lane may keep what must outlive the process. It need not exist.
    #[must_use]
    pub fn state(&self) -> Option<&Path> {
        self.state.as_deref()
    }

    /// The site that is assumed to be lost.
    #[must_use]
    pub const fn lost(&self) -> Option<&Lost> {
        self.lost.as_ref()
    }

    /// Refuses a server that is assumed to be lost, or that is not of the practice world where that is all there is.
    ///
    /// # Errors
    /// `Unreachable`; `NotConfigured` out of practice.
    pub fn admit(&self, host: &str, port: Option<u16>) -> Result<(), Gap> {
        if let Some(world) = &self.practice
            && !world.owns(host, port)
        {
            return Err(strange(&port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))));
        }
        match &self.lost {
            Some(lost) if lost.has(host, port) => Err(Self::gone(lost)),
            Some(_) | None => Ok(()),
        }
    }

    /// The same of an address. Every connection and every datagram passes here.
    ///
    /// # Errors
    /// As [`Net::admit`].
    pub fn admit_at(&self, addr: SocketAddr) -> Result<(), Gap> {
        if let Some(world) = &self.practice
            && !world.has(addr)
        {
            return Err(strange(&addr.to_string()));
        }
        if self.lost.is_none() { Ok(()) } else { self.admit(&addr.ip().to_string(), Some(addr.port())) }
    }

    /// Refuses what a practice world has none of: programs, names of hosts.
    ///
    /// # Errors
    /// `NotConfigured`, in practice.
    pub fn admit_outside(&self, what: &str) -> Result<(), Gap> {
        if self.practice.is_some() { Err(strange(what)) } else { Ok(()) }
    }

    /// The gap of what is assumed to be lost.
    #[must_use]
    pub fn gone(lost: &Lost) -> Gap {
        Gap::new(Reason::Unreachable, &format!("assumed to be lost with {}", lost.site))
    }

    /// Reads a secret. One whose command names a server that is assumed to be lost cannot be read.
    ///
    /// # Errors
    /// `SecretUnavailable`; `NotConfigured` for anything but a file in practice.
    pub async fn secret(&self, secret: &SecretRef, deadline: Instant) -> Result<SecretString, Gap> {
        if !matches!(secret, SecretRef::File(_)) {
            self.admit_outside(&secret.to_string())?;
        }
        if let (SecretRef::Command(argv), Some(lost)) = (secret, &self.lost)
            && argv.iter().any(|word| lost.is_named_in(word))
        {
            let why = format!("{secret}: names a server that is assumed to be lost with {}", lost.site);
            return Err(Gap::new(Reason::SecretUnavailable, &why));
        }
        resolve_secret(secret, deadline).await
    }
}

/// The practice world that all of these plans are of; a configuration has one or none.
fn practice(plans: &[Arc<Plan>]) -> Option<Arc<Practice>> {
    plans.iter().find_map(|p| p.practice.clone())
}

/// The gap of what is refused because only a practice world may be reached.
fn strange(what: &str) -> Gap {
    Gap::new(Reason::NotConfigured, &format!("practice: {what} is not of the practice world, and was not asked"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::plan::Program;

    fn practising(own: &[String]) -> Arc<Net> {
        Net::made(None, None, Some(Arc::new(Practice::read(own).unwrap())))
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[tokio::test]
    async fn from_a_practice_world_nothing_else_is_reached() {
        let own = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (own, other) = (own.local_addr().unwrap(), other.local_addr().unwrap());
        let listening = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let reached = listening.local_addr().unwrap();
        let net = practising(&[own.to_string(), reached.to_string()]);
        assert!(net.connect_at(reached, soon()).await.is_ok());
        // That somebody listens there changes nothing: it is another's.
        for addr in [other, SocketAddr::from(([192, 0, 2, 1], reached.port()))] {
            assert_eq!(net.connect_at(addr, soon()).await.unwrap_err().reason, Reason::NotConfigured);
            assert_eq!(net.reach(addr, soon()).await.unwrap_err().reason, Reason::NotConfigured);
            assert!(net.admit_at(addr).unwrap_err().detail.as_str().contains("practice: "));
        }
        let by_name = TcpTarget { host: "localhost".into(), port: reached.port() };
        assert_eq!(net.connect(&by_name, soon()).await.unwrap_err().reason, Reason::NotConfigured);
        assert_eq!(net.addresses("localhost", soon()).await.unwrap_err().reason, Reason::NotConfigured);
    }

    #[tokio::test]
    async fn from_a_practice_world_no_program_is_run_and_no_secret_but_a_file_is_read() {
        let net = practising(&["127.0.0.1:1".to_owned()]);
        let program = Program { argv: vec!["true".into()], environment: Default::default(), ssh: None, nice: false };
        assert_eq!(net.run(&program, soon()).await.unwrap_err().reason, Reason::NotConfigured);
        assert_eq!(net.start(&program, None, soon()).await.map(drop).unwrap_err().reason, Reason::NotConfigured);
        for secret in [SecretRef::Env("HOME".into()), SecretRef::Command(vec!["true".into()])] {
            assert_eq!(net.secret(&secret, soon()).await.map(drop).unwrap_err().reason, Reason::NotConfigured);
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        std::fs::write(&file, "x").unwrap();
        assert!(net.secret(&SecretRef::File(file.display().to_string()), soon()).await.is_ok());
    }
}
