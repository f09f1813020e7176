//! A practice world that is up: the model, and everything that listens.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::SecretString;
use tokio::task::JoinSet;

use super::door::Door;
use super::others::{self, Secrets};
use super::postgres;
use super::shared::Shared;
use super::world::roles::{ACT, APP, LOOK, REPLICATOR, SUPERUSER};
use super::world::{Setup, World};
use crate::clock;

/// The file of the TSIG key's secret.
pub const TSIG: &str = "tsig";
/// How many bytes a secret has.
const SECRET: usize = 32;

/// A practice world with its servers. Where it is dropped, they end.
pub struct Practice {
    shared: Shared,
    servers: Vec<(&'static str, SocketAddr)>,
    traffic: (IpAddr, IpAddr, u16),
    secrets: Vec<(&'static str, SecretString)>,
    _tasks: JoinSet<()>,
}

impl std::fmt::Debug for Practice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Practice").field("servers", &self.servers).finish_non_exhaustive()
    }
}

impl Practice {
    /// Starts a world and its servers on free ports of loopback, on the current runtime. Backups appear in this directory.
    ///
    /// # Errors
    /// Where there are no random numbers, or no ports.
    pub async fn start(seed: u64, speed: f64, backups: &Path) -> io::Result<Self> {
        let mut passwords = BTreeMap::new();
        for role in [LOOK, ACT, APP, SUPERUSER, REPLICATOR] {
            passwords.insert(role, SecretString::from(STANDARD.encode(random()?)));
        }
        let known = passwords.clone();
        let password = move |role: &str| known.get(role).cloned().unwrap_or_default();
        let shared = Shared::new(World::new(&Setup::usual(seed, speed, Arc::new(password)), clock::now()));
        let mut tasks = JoinSet::new();
        let going = shared.clone();
        tasks.spawn(async move { going.keep_going().await });
        let names: Vec<&'static str> =
            shared.with(|w| w.clusters().iter().flat_map(|c| &c.servers).map(|s| s.name).collect());
        let mut servers = Vec::new();
        for name in names {
            let door = Door::reserve()?;
            servers.push((name, door.address()));
            shared.with(|w| {
                if let Some(server) = w.server_mut(name) {
                    server.port = door.port();
                }
            });
            let serve = postgres::serve(door, shared.clone(), name);
            tasks.spawn(said(Some(name), serve));
        }
        let tsig = random()?;
        let may = Secrets { tsig: tsig.to_vec().into(), patroni: None };
        let others = others::open(&shared, backups, &may).await?;
        servers.extend(others.servers);
        for task in others.tasks {
            tasks.spawn(said(None, task));
        }
        let mut secrets: Vec<(&'static str, SecretString)> = passwords.into_iter().collect();
        secrets.push((TSIG, SecretString::from(STANDARD.encode(tsig))));
        Ok(Self { shared, servers, traffic: others.traffic, secrets, _tasks: tasks })
    }

    /// The world.
    #[must_use]
    pub const fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Everything that listens, by its name in the world.
    #[must_use]
    pub fn servers(&self) -> &[(&'static str, SocketAddr)] {
        &self.servers
    }

    /// Where the records of services lead to: east, west, and the port there.
    #[must_use]
    pub const fn traffic(&self) -> (IpAddr, IpAddr, u16) {
        self.traffic
    }

    /// The secrets by the names of their files: each account's password, and the key that may change the zone.
    #[must_use]
    pub fn secrets(&self) -> &[(&'static str, SecretString)] {
        &self.secrets
    }
}

/// A server, to its end. One whose port was taken by somebody else answers nothing any more, which the log explains.
async fn said(name: Option<&'static str>, server: impl Future<Output = io::Result<()>>) {
    if let Err(e) = server.await {
        tracing::error!(server = name.unwrap_or("no database"), "a practice server ended: {e}");
    }
}

fn random() -> io::Result<[u8; SECRET]> {
    let mut bytes = [0; SECRET];
    SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("no random numbers"))?;
    Ok(bytes)
}
