//! The servers of the world that are no PostgreSQL: whether they run, how fast, and whether they are well.

use std::collections::BTreeMap;
use std::time::Duration;

use super::network::Site;
use super::server::Process;

/// A server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its site; none where it stands outside of both, as a provider's does.
    pub site: Option<Site>,
    /// Whether its process runs.
    pub process: Process,
    /// How long each answer takes, in real time.
    pub slow: Duration,
    /// It runs, and says that it is not well: an application answers 503.
    pub fails: bool,
}

/// All of them, by name.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    of: BTreeMap<String, Endpoint>,
}

impl Endpoints {
    /// With one more, which runs and is well.
    pub fn add(&mut self, name: &str, site: Option<Site>) {
        let endpoint = Endpoint { site, process: Process::Up, slow: Duration::ZERO, fails: false };
        self.of.insert(name.to_owned(), endpoint);
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Endpoint> {
        self.of.get(name).copied()
    }

    /// Changes one of them; says whether there is one of that name.
    pub fn change(&mut self, name: &str, change: impl FnOnce(&mut Endpoint)) -> bool {
        self.of.get_mut(name).map(change).is_some()
    }
}
