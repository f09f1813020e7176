//! A connection string's parameters as types: what to connect to, and how.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::conninfo::{ConnInfoError, Params};
use crate::net::TlsPolicy;

/// One server to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name, for TLS and for the password file.
    pub name: String,
    /// What to connect to where that is given apart (`hostaddr`); else the name.
    pub address: Option<std::net::IpAddr>,
    /// The port.
    pub port: u16,
}

impl Host {
    /// For people: `db.east.example.com:5432`.
    #[must_use]
    pub fn shown(&self) -> String {
        if self.name.contains(':') {
            format!("[{}]:{}", self.name, self.port)
        } else {
            format!("{}:{}", self.name, self.port)
        }
    }
}

/// libpq's `sslmode`: whether to encrypt. What the server must prove is in the [`TlsPolicy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SslMode {
    /// Never.
    Disable,
    /// Only where the server insists.
    Allow,
    /// Where the server can; the default.
    Prefer,
    /// Always; the chain is checked only where a root certificate is there.
    Require,
    /// Always; the chain is checked, the name is not.
    VerifyCa,
    /// Always; chain and name are checked.
    VerifyFull,
}

/// libpq's `target_session_attrs`: which of several servers will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionAttrs {
    /// Any.
    Any,
    /// One that takes writes (`read-write`, `primary`).
    Primary,
    /// One in recovery (`read-only`, `standby`).
    Standby,
    /// One in recovery, else any.
    PreferStandby,
}

/// Whether SCRAM is bound to the TLS channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelBinding {
    /// Never.
    Disable,
    /// Where both sides can.
    Prefer,
    /// Always.
    Require,
}

/// When a silent peer is given up by the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalives {
    /// Whether to probe at all.
    pub on: bool,
    /// Silence before the first probe.
    pub idle: Duration,
    /// Between probes.
    pub interval: Duration,
    /// Probes without an answer.
    pub count: u32,
    /// How long sent data may stay unacknowledged; `None` leaves it to the look's own timeout.
    pub user_timeout: Option<Duration>,
}

/// Everything about a connection.
#[derive(Clone, Debug)]
pub struct Target {
    /// The servers, in the order in which to try them.
    pub hosts: Vec<Host>,
    /// The role.
    pub user: String,
    /// The database.
    pub dbname: String,
    /// The password that the parameters hold.
    pub password: Option<SecretString>,
    /// Whether to encrypt.
    pub sslmode: SslMode,
    /// What the server must prove.
    pub tls: TlsPolicy,
    /// The most time for one server of several.
    pub connect_timeout: Option<Duration>,
    /// Which of several servers will do.
    pub attrs: SessionAttrs,
    /// How we show up in the server's views.
    pub application_name: String,
    /// More options for the session.
    pub options: Option<String>,
    /// Whether SCRAM is bound to the TLS channel.
    pub channel_binding: ChannelBinding,
    /// When a silent peer is given up.
    pub keepalives: Keepalives,
}

/// What libpq finds where the parameters say nothing.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The operating system's user.
    pub user: Option<String>,
    /// `~/.postgresql/root.crt`, where it exists.
    pub root: Option<PathBuf>,
    /// `~/.postgresql/postgresql.crt` and `.key`, where both exist.
    pub client: Option<(PathBuf, PathBuf)>,
}

fn fault<T>(what: impl Into<String>, right: impl Into<String>) -> Result<T, ConnInfoError> {
    Err(ConnInfoError { what: what.into(), right: right.into() })
}

impl Target {
    /// Reads the parameters.
    ///
    /// # Errors
    /// The first value that makes no sense, with the key that it belongs to.
    pub fn new(params: &Params, found: &Found) -> Result<Self, ConnInfoError> {
        let Some(user) = params.get("user").map(str::to_owned).or_else(|| found.user.clone()) else {
            return fault("no user", "user=..., or PGUSER in the environment");
        };
        let (sslmode, tls) = tls(params, found)?;
        Ok(Self {
            hosts: hosts(params)?,
            dbname: params.get("dbname").unwrap_or(&user).to_owned(),
            user,
            password: params.password().cloned(),
            sslmode,
            tls,
            // libpq: zero and negative wait for ever, which here means as long as the look may.
            connect_timeout: number(params, "connect_timeout")?.filter(|s| *s > 0).map(Duration::from_secs),
            attrs: match params.get("target_session_attrs") {
                None | Some("any") => SessionAttrs::Any,
                Some("read-write" | "primary") => SessionAttrs::Primary,
                Some("read-only" | "standby") => SessionAttrs::Standby,
                Some("prefer-standby") => SessionAttrs::PreferStandby,
                Some(_) => {
                    return fault(
                        "target_session_attrs is none that exists",
                        "any, read-write, read-only, primary, standby or prefer-standby",
                    );
                }
            },
            application_name: params.get("application_name").unwrap_or("lifeboat").to_owned(),
            options: params.get("options").map(str::to_owned),
            channel_binding: match params.get("channel_binding") {
                None | Some("prefer") => ChannelBinding::Prefer,
                Some("require") => ChannelBinding::Require,
                Some("disable") => ChannelBinding::Disable,
                Some(_) => return fault("channel_binding is none that exists", "disable, prefer or require"),
            },
            keepalives: Keepalives {
                on: number(params, "keepalives")? != Some(0),
                idle: Duration::from_secs(number(params, "keepalives_idle")?.filter(|n| *n > 0).unwrap_or(10)),
                interval: Duration::from_secs(number(params, "keepalives_interval")?.filter(|n| *n > 0).unwrap_or(5)),
                count: number(params, "keepalives_count")?
                    .filter(|n| *n > 0)
                    .and_then(|n| n.try_into().ok())
                    .unwrap_or(3),
                user_timeout: number(params, "tcp_user_timeout")?.filter(|n| *n > 0).map(Duration::from_millis),
            },
        })
    }
}

fn number(params: &Params, key: &str) -> Result<Option<u64>, ConnInfoError> {
    match params.get(key).map(str::trim) {
        None => Ok(None),
        Some(text) if text.starts_with('-') && text.parse::<i32>().is_ok() => Ok(Some(0)),
        Some(text) => match text.parse::<u32>() {
            Ok(n) => Ok(Some(n.into())),
            Err(_) => fault(format!("{key} is no whole number"), format!("{key}=10")),
        },
    }
}

fn hosts(params: &Params) -> Result<Vec<Host>, ConnInfoError> {
    let list = |key: &str| -> Vec<String> {
        params.get(key).map_or_else(Vec::new, |v| v.split(',').map(|s| s.trim().to_owned()).collect())
    };
    let (names, addresses, ports) = (list("host"), list("hostaddr"), list("port"));
    let count = names.len().max(addresses.len()).max(1);
    if !names.is_empty() && !addresses.is_empty() && names.len() != addresses.len() {
        return fault("host and hostaddr differ in number", "one hostaddr for each host");
    }
    if ports.len() > 1 && ports.len() != count {
        return fault("host and port differ in number", "one port, or one for each host");
    }
    let mut all = Vec::new();
    for n in 0..count {
        let address: Option<std::net::IpAddr> = match addresses.get(n).filter(|a| !a.is_empty()) {
            None => None,
            Some(text) => match text.parse() {
                Ok(ip) => Some(ip),
                Err(_) => return fault("hostaddr is no IP address", "hostaddr=192.0.2.1"),
            },
        };
        let name = match names.get(n).filter(|h| !h.is_empty()) {
            Some(name) => name.clone(),
            None => address.map_or_else(|| "localhost".to_owned(), |a| a.to_string()),
        };
        if name.starts_with(['/', '@']) {
            return fault("a Unix socket, which only this machine can reach, is not supported", "host=localhost");
        }
        let port = match (if ports.len() > 1 { ports.get(n) } else { ports.first() }).filter(|p| !p.is_empty()) {
            None => 5432,
            Some(text) => match text.parse() {
                Ok(port) if port > 0 => port,
                Ok(_) | Err(_) => return fault("port is none", "port=5432"),
            },
        };
        all.push(Host { name, address, port });
    }
    Ok(all)
}

/// libpq's rules: whichever mode encrypts checks the chain where a root certificate is there, `require` and weaker
/// check nothing without one. Where libpq would fail for want of `~/.postgresql/root.crt`, `verify-ca` and `verify-full`
/// trust the system's authorities here.
fn tls(params: &Params, found: &Found) -> Result<(SslMode, TlsPolicy), ConnInfoError> {
    let system = params.get("sslrootcert") == Some("system");
    let mode = match params.get("sslmode") {
        Some("disable") => SslMode::Disable,
        Some("allow") => SslMode::Allow,
        None if system => SslMode::VerifyFull,
        None | Some("prefer") => SslMode::Prefer,
        Some("require") => SslMode::Require,
        Some("verify-ca") => SslMode::VerifyCa,
        Some("verify-full") => SslMode::VerifyFull,
        Some(_) => {
            return fault("sslmode is none that exists", "disable, allow, prefer, require, verify-ca or verify-full");
        }
    };
    if system && mode != SslMode::VerifyFull {
        return fault("sslrootcert=system with a weaker sslmode than verify-full", "sslmode=verify-full");
    }
    let roots = match params.get("sslrootcert") {
        _ if system => None,
        Some(path) => Some(PathBuf::from(path)),
        None => found.root.clone(),
    };
    let weak = matches!(mode, SslMode::Disable | SslMode::Allow | SslMode::Prefer | SslMode::Require);
    let client = match (params.get("sslcert"), params.get("sslkey")) {
        (Some(cert), Some(key)) => Some((PathBuf::from(cert), PathBuf::from(key))),
        (Some(_), None) => return fault("sslcert without sslkey", "give both"),
        (None, Some(_)) => return fault("sslkey without sslcert", "give both"),
        (None, None) => found.client.clone(),
    };
    let policy = TlsPolicy {
        accept_any: weak && roots.is_none(),
        any_name: mode != SslMode::VerifyFull,
        roots,
        client,
        p256_first: true,
    };
    Ok((mode, policy))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Result<Target, String> {
        let params = Params::parse(text).map_err(|e| e.what)?;
        Target::new(&params, &Found::default()).map_err(|e| e.what)
    }

    #[test]
    fn every_sslmode_means_what_libpq_means() {
        let of = |text: &str| {
            let t = target(&format!("host=h user=u {text}")).unwrap();
            (t.sslmode, t.tls.accept_any, t.tls.any_name)
        };
        assert_eq!(of(""), (SslMode::Prefer, true, true));
        assert_eq!(of("sslmode=require"), (SslMode::Require, true, true));
        assert_eq!(of("sslmode=require sslrootcert=/ca"), (SslMode::Require, false, true));
        assert_eq!(of("sslmode=prefer sslrootcert=/ca"), (SslMode::Prefer, false, true));
        assert_eq!(of("sslmode=verify-ca"), (SslMode::VerifyCa, false, true));
        assert_eq!(of("sslmode=verify-full"), (SslMode::VerifyFull, false, false));
        assert_eq!(of("sslrootcert=system"), (SslMode::VerifyFull, false, false));
        assert!(target("host=h user=u sslrootcert=system sslmode=require").is_err());
        let found = Found { root: Some("/home/root.crt".into()), ..Found::default() };
        let t = Target::new(&Params::parse("user=u sslmode=require").unwrap(), &found).unwrap();
        assert!(!t.tls.accept_any, "a root certificate at home makes require check the chain");
    }

    #[test]
    fn hosts_ports_and_addresses_pair_up() {
        let shown = |text: &str| target(text).map(|t| t.hosts.iter().map(Host::shown).collect::<Vec<_>>().join(" "));
        assert_eq!(shown("postgres://u@a:1,b:2/d").unwrap(), "a:1 b:2");
        assert_eq!(shown("postgres://u@a,b:2/d").unwrap(), "a:5432 b:2");
        assert_eq!(shown("user=u host=a,b port=6").unwrap(), "a:6 b:6");
        assert_eq!(shown("postgres://u@[2001:db8::1]/d").unwrap(), "[2001:db8::1]:5432");
        assert_eq!(shown("user=u").unwrap(), "localhost:5432");
        for bad in [
            "user=u host=a,b port=1,2,3",
            "user=u port=0",
            "user=u port=x",
            "user=u host=/tmp",
            "user=u hostaddr=x",
            "host=h",
        ] {
            assert!(target(bad).is_err(), "{bad}");
        }
    }
}
