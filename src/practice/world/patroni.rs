//! What Patroni makes of a PostgreSQL cluster: each site's servers are a cluster of its own, with a DCS in that site. East's
//! takes writes, west's is its standby cluster.
//!
//! The PostgreSQL is the world's; here is what Patroni holds and what it does about it, as it was measured on 4.1.5.

mod asks;
mod hands;
mod says;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::cluster::Cluster;
use super::network::{Network, Reach, Site};
use super::server::{Process, Receiver, Server};
use super::time::Moment;
use super::{CATALOG, Tick, World};
use crate::plan::Lsn;
pub use asks::{Begun, Said};

/// The members whose REST API listens: its name in the world, and the server.
pub const APIS: [(&str, &str); 4] = [
    ("patroni-catalog-east-1", "catalog-east-1"),
    ("patroni-catalog-east-2", "catalog-east-2"),
    ("patroni-catalog-west-1", "catalog-west-1"),
    ("patroni-catalog-west-2", "catalog-west-2"),
];
/// How long Patroni takes to stop a primary and to start it as a standby, in model time.
const STOPS: Duration = Duration::from_millis(1_500);
/// For so long a leader's lock is good, in seconds, where `ttl` is not set.
const TTL: f64 = 30.0;

/// A change of leader that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Manual {
    from: Option<String>,
    to: Option<String>,
    /// When, where it was scheduled, and how that was written.
    scheduled: Option<(Moment, String)>,
}

/// One cluster as Patroni has it: the servers of a site.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Its name.
    name: String,
    site: Site,
    members: Vec<&'static str>,
    /// Who holds the leader lock, and until when that is good, in model time.
    leader: Option<&'static str>,
    locked_until: Duration,
    config: Map<String, Value>,
    /// Who began the timeline after this one, and when, where Patroni saw it.
    began: BTreeMap<u32, (Moment, &'static str)>,
    failover: Option<Manual>,
    /// Primaries that are being stopped, to become standbys at this model time.
    demoting: BTreeMap<&'static str, Duration>,
    /// When it last saw its DCS.
    seen: Moment,
}

/// What Patroni manages.
#[derive(Clone, Debug, Default)]
pub struct Patroni {
    scopes: Vec<Scope>,
    /// The port of each member's REST API.
    ports: BTreeMap<&'static str, u16>,
}

impl Patroni {
    /// Manages the cluster [`CATALOG`], where there is one.
    #[must_use]
    pub fn of(clusters: &[Cluster]) -> Self {
        let managed = clusters.iter().find(|c| c.name == CATALOG);
        let scope = |cluster: &Cluster, site: Site| {
            let members: Vec<&'static str> =
                cluster.servers.iter().filter(|s| s.site == site).map(|s| s.name).collect();
            let home = cluster.servers.iter().any(|s| s.site == site && !s.in_recovery());
            let mut config = json!({
                "ttl": 30, "loop_wait": 10, "retry_timeout": 10, "maximum_lag_on_failover": 1_048_576,
                "postgresql": { "use_pg_rewind": true, "use_slots": true, "parameters": { "max_connections": 100 } },
            });
            if let (false, Some(config)) = (home, config.as_object_mut()) {
                // The port is told once the server that it follows has one.
                config.insert("standby_cluster".to_owned(), json!({ "host": "127.0.0.1", "port": 0 }));
            }
            Scope {
                name: if home { cluster.name.to_owned() } else { format!("{}-dr", cluster.name) },
                site,
                leader: members.first().copied(),
                members,
                locked_until: Duration::from_secs(30),
                config: config.as_object().cloned().unwrap_or_default(),
                began: BTreeMap::new(),
                failover: None,
                demoting: BTreeMap::new(),
                seen: Moment::default(),
            }
        };
        let scopes = managed.iter().flat_map(|c| Site::ALL.map(|s| scope(c, s)));
        Self { scopes: scopes.filter(|s| !s.members.is_empty()).collect(), ports: BTreeMap::new() }
    }

    /// Every member, with its site.
    pub fn members(&self) -> impl Iterator<Item = (&'static str, Site)> {
        self.scopes.iter().flat_map(|s| s.members.iter().map(|m| (*m, s.site)))
    }

    /// A member's REST API listens on this port.
    pub fn listens(&mut self, member: &'static str, port: u16) {
        self.ports.insert(member, port);
    }

    fn scope_of(&self, member: &str) -> Option<&Scope> {
        self.scopes.iter().find(|s| s.members.contains(&member))
    }

    fn scope_of_mut(&mut self, member: &str) -> Option<&mut Scope> {
        self.scopes.iter_mut().find(|s| s.members.contains(&member))
    }

    /// Time goes by.
    pub(super) fn tick(&mut self, tick: Tick, clusters: &mut [Cluster], network: &Network) {
        let Some(cluster) = clusters.iter_mut().find(|c| c.name == CATALOG) else { return };
        let leaders: Vec<(Site, Option<&'static str>)> = self.scopes.iter().map(|s| (s.site, s.leader)).collect();
        for scope in self.scopes.iter_mut().filter(|s| tick.powered(s.site)) {
            let elsewhere = leaders.iter().find(|(site, _)| *site != scope.site).and_then(|(_, leader)| *leader);
            scope.round(tick, cluster, network, elsewhere);
        }
    }
}

impl World {
    /// How a member's REST API meets whoever connects from here: Patroni runs while its machine does, whatever its
    /// PostgreSQL does.
    #[must_use]
    pub fn patroni_reach(&self, member: &str) -> Reach {
        let Some(scope) = self.patroni.scope_of(member) else { return Reach::Refused };
        let process = match self.server(member).map_or(Process::Down, |(_, s)| s.process) {
            Process::Down if scope.demoting.contains_key(member) => Process::Up,
            other => other,
        };
        self.reach(scope.site, process)
    }
}

impl Scope {
    /// Whether its dynamic configuration makes it a standby cluster (`global_config.py`, `is_standby_cluster`).
    fn follows(&self) -> bool {
        let section = self.config.get("standby_cluster").and_then(Value::as_object);
        let set = |key: &str| section.and_then(|s| s.get(key)).is_some_and(|v| !v.is_null() && *v != json!(""));
        ["host", "port", "restore_command"].into_iter().any(set)
    }

    fn paused(&self) -> bool {
        self.config.get("pause").and_then(Value::as_bool).unwrap_or(false)
    }

    fn number(&self, setting: &str) -> Option<f64> {
        self.config.get(setting).and_then(Value::as_f64)
    }

    fn ttl(&self) -> Duration {
        Duration::try_from_secs_f64(self.number("ttl").unwrap_or(TTL)).unwrap_or(Duration::ZERO)
    }

    /// Whom its leader follows: the server that the configuration names by its port.
    fn upstream(&mut self, cluster: &Cluster, elsewhere: Option<&'static str>) -> Option<&'static str> {
        let named = self.config.get_mut("standby_cluster").and_then(|s| s.get_mut("port"))?;
        let first = elsewhere.and_then(|e| cluster.server(e));
        if *named == json!(0) {
            // As it was set up: the other site's leader, whatever its port turns out to be.
            *named = json!(first.map_or(0, |s| s.port));
            return first.map(|s| s.name);
        }
        let port = named.as_u64().or_else(|| named.as_str()?.parse().ok());
        cluster.servers.iter().find(|s| s.site != self.site && port == Some(u64::from(s.port))).map(|s| s.name)
    }

    /// What its members do in one tick.
    fn round(&mut self, tick: Tick, cluster: &mut Cluster, network: &Network, elsewhere: Option<&'static str>) {
        self.seen = tick.at;
        let upstream = self.upstream(cluster, elsewhere);
        self.lock(tick, cluster);
        self.manual(tick, cluster);
        self.stopped(tick, cluster, network, upstream);
        if !self.paused() {
            self.obey(tick, cluster, network, upstream);
        }
        self.note(tick, cluster);
    }

    /// A leader whose machine runs renews its lock. Once a lock is not good any more, the standby that holds most takes it.
    fn lock(&mut self, tick: Tick, cluster: &Cluster) {
        let alive =
            |m: &str| self.demoting.contains_key(m) || cluster.server(m).is_some_and(|s| s.process == Process::Up);
        if self.leader.is_some_and(alive) {
            self.locked_until = tick.model + self.ttl();
        } else if tick.model >= self.locked_until {
            self.leader = None;
            let up = self.members.iter().filter_map(|m| cluster.server(m)).filter(|s| s.process == Process::Up);
            if let Some(best) = up.max_by_key(|s| (s.timeline(), s.position())).filter(|_| !self.paused()) {
                self.leader = Some(best.name);
                self.locked_until = tick.model + self.ttl();
            }
        }
    }

    /// Makes the change of leader that was asked for, once it is time.
    fn manual(&mut self, tick: Tick, cluster: &mut Cluster) {
        let due = |m: &mut Manual| m.scheduled.as_ref().is_none_or(|(at, _)| *at <= tick.at);
        let Some(asked) = self.failover.take_if(due) else { return };
        if asked.from.is_some() && asked.from.as_deref() != self.leader {
            return;
        }
        let limit = Lsn(self.config.get("maximum_lag_on_failover").and_then(Value::as_u64).unwrap_or(1 << 20));
        let leads =
            self.leader.and_then(|l| cluster.server(l)).filter(|s| s.process == Process::Up).map(Server::position);
        let able = |s: &&Server| {
            let named = asked.to.as_deref().is_none_or(|to| to == s.name);
            let near = leads.is_none_or(|l| l.ahead_of(s.position()).0 <= limit.0);
            named && near && s.process == Process::Up && Some(s.name) != self.leader && s.in_recovery()
        };
        let servers = self.members.iter().filter_map(|m| cluster.server(m));
        let Some(to) = servers.filter(able).max_by_key(|s| s.position()).map(|s| s.name) else { return };
        let old = self.leader.and_then(|l| cluster.server(l)).filter(|s| s.process == Process::Up && !s.in_recovery());
        if let Some((name, end)) = old.map(|s| (s.name, s.position())) {
            // It stops in the fast mode: the standby has all of it before it leads.
            cluster.hand_over(to, end);
            self.stop(name, tick, cluster);
        }
        self.leader = Some(to);
        self.locked_until = tick.model + self.ttl();
    }

    /// Stops a primary, to start it as a standby a moment later.
    fn stop(&mut self, name: &'static str, tick: Tick, cluster: &mut Cluster) {
        if let Some(server) = cluster.server_mut(name) {
            server.stop();
            self.demoting.insert(name, tick.model + STOPS);
        }
    }

    /// Starts those as standbys that were stopped for it.
    fn stopped(&mut self, tick: Tick, cluster: &mut Cluster, network: &Network, upstream: Option<&'static str>) {
        let due: Vec<&'static str> =
            self.demoting.iter().filter(|(_, at)| **at <= tick.model).map(|(m, _)| *m).collect();
        for name in due {
            self.demoting.remove(name);
            let follows = if self.leader == Some(name) { upstream } else { self.leader };
            cluster.demote(name, follows.unwrap_or_default(), tick);
            // A leader has to be rewound where the cluster that it follows has left its log.
            if let Some(follows) = follows {
                rewind(name, follows, tick, cluster, network);
            }
        }
    }

    /// The leader becomes what the configuration wants of it; nobody else takes writes, and all follow the leader.
    fn obey(&mut self, tick: Tick, cluster: &mut Cluster, network: &Network, upstream: Option<&'static str>) {
        let (wants_standby, leader) = (self.follows(), self.leader);
        for name in self.members.clone() {
            let Some(server) = cluster.server(name).filter(|s| s.process == Process::Up) else { continue };
            let leads = leader == Some(name);
            match &server.standby {
                Some(standby) if leads && !wants_standby && standby.promotion.is_none() => {
                    // It is in recovery: that was looked at just now, so it does not say no.
                    _ = cluster.promote(name, tick);
                }
                // It is being promoted.
                Some(_) if leads && !wants_standby => {}
                Some(standby) => {
                    let follows = if leads { upstream } else { leader };
                    let turns = follows.filter(|f| *f != standby.upstream && standby.promotion.is_none());
                    if let Some(follows) = turns {
                        cluster.repoint(name, follows, tick);
                    }
                    if let Some(follows) = follows.filter(|_| !leads) {
                        rewind(name, follows, tick, cluster, network);
                    }
                }
                None if wants_standby || (!leads && leader.is_some()) => self.stop(name, tick, cluster),
                None => {}
            }
        }
    }

    /// Remembers who began a timeline.
    fn note(&mut self, tick: Tick, cluster: &Cluster) {
        let Some(server) = self.leader.and_then(|l| cluster.server(l)).filter(|s| !s.in_recovery()) else { return };
        let ended = server.timeline().saturating_sub(1);
        // What was there when the world began has no names.
        if server.since > Moment::default() && ended > 0 {
            self.began.entry(ended).or_insert((tick.at, server.name));
        }
    }
}

/// Rewinds a standby to whom it follows, where its log is not the beginning of that one's: `use_pg_rewind`. Under the same
/// number two timelines are not told apart, and it stays as it is.
fn rewind(name: &'static str, follows: &'static str, tick: Tick, cluster: &mut Cluster, network: &Network) {
    let (Some(own), Some(other)) = (cluster.server(name), cluster.server(follows)) else { return };
    let left = !other.history.has(own.timeline(), own.position());
    if left && other.timeline() > own.timeline() && own.process == Process::Up {
        // Where the other is out of reach there is nothing to rewind to; it is tried again.
        cluster.rejoin(name, follows, tick, network);
    }
}

/// Whether a standby streams.
fn streams(server: &Server) -> bool {
    server.standby.as_ref().is_some_and(|s| matches!(s.receiver, Receiver::Streams { .. }) && s.sender.is_some())
}
