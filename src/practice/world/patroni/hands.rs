//! What Patroni does to PostgreSQL servers, beside promoting them and rewinding them.

use std::time::Duration;

use crate::plan::Lsn;
use crate::practice::world::Tick;
use crate::practice::world::cluster::{Cluster, follow};
use crate::practice::world::server::{Receiver, Standby};

impl Cluster {
    /// A standby gets the end of a primary's log, as it does where that one stops in the fast mode.
    pub(super) fn hand_over(&mut self, to: &str, end: Lsn) {
        if let Some(standby) = self.server_mut(to).and_then(|s| s.standby.as_mut()) {
            standby.received = Some(standby.held().max(end));
        }
    }

    /// A server that was stopped starts as a standby of another, with its own data as it is.
    pub(super) fn demote(&mut self, name: &'static str, upstream: &'static str, tick: Tick) {
        let delay = self.delay(name, upstream);
        if let Some(server) = self.server_mut(name) {
            let end = server.position();
            server.standby.get_or_insert_with(|| Standby::new(upstream, end, delay)).upstream = upstream;
            follow(server, upstream);
        }
        self.start(name, tick.at);
    }

    /// A standby follows another server from now on.
    pub(super) fn repoint(&mut self, name: &'static str, upstream: &'static str, tick: Tick) {
        let delay = self.delay(name, upstream);
        let Some(server) = self.server_mut(name) else { return };
        follow(server, upstream);
        if let Some(standby) = &mut server.standby {
            (standby.upstream, standby.delay, standby.sender) = (upstream, delay, None);
            standby.receiver = Receiver::Waits(tick.at);
        }
    }

    /// How long what one server writes is on its way to another.
    fn delay(&self, name: &str, upstream: &str) -> Duration {
        let site = |n: &str| self.server(n).map(|s| s.site);
        Duration::from_millis(if site(name) == site(upstream) { 0 } else { 100 })
    }
}
