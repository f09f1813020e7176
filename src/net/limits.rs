//! How much may be under way to one server at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most looks under way to one server: beyond it a real server gets slower, not faster (`perf.md`, finding 5).
const PER_SERVER: usize = 64;

/// A server as limits count it: `db.west.example.com:5432`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerKey(pub Arc<str>);

impl ServerKey {
    /// The server at this host and port.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Self {
        Self(format!("{host}:{port}").into())
    }
}

/// Leave to have one look under way; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    _held: Option<OwnedSemaphorePermit>,
}

/// The limits of every server.
#[derive(Debug, Default)]
pub(super) struct Limits {
    servers: Mutex<HashMap<ServerKey, Arc<Semaphore>>>,
}

impl super::Net {
    /// Waits for leave to have one look under way to `server`. Wait for it inside the look's deadline.
    pub async fn permit(&self, server: &ServerKey) -> Permit {
        self.permit_among(server, PER_SERVER).await
    }

    /// The same among `most`. All who ask about one server say the same.
    pub(super) async fn permit_among(&self, server: &ServerKey, most: usize) -> Permit {
        let semaphore = {
            let mut servers = self.limits.servers.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(servers.entry(server.clone()).or_insert_with(|| Arc::new(Semaphore::new(most))))
        };
        Permit { _held: semaphore.acquire_owned().await.ok() }
    }
}
