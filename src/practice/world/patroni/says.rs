//! What Patroni's REST API says of a member and of its cluster, as 4.1 does.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::{Scope, streams};
use crate::plan::Lsn;
use crate::practice::world::World;
use crate::practice::world::cluster::Cluster;
use crate::practice::world::roles::REPLICATOR;
use crate::practice::world::server::{Process, Server};

/// A member: its cluster as Patroni has it, as PostgreSQL has it, and its server.
type Member<'a> = (&'a Scope, &'a Cluster, &'a Server);

impl World {
    fn member(&self, name: &str) -> Option<Member<'_>> {
        let (cluster, server) = self.server(name)?;
        Some((self.patroni.scope_of(name)?, cluster, server))
    }

    /// `GET /patroni` of a member.
    #[must_use]
    pub fn patroni_status(&self, name: &str) -> Option<Value> {
        let (scope, cluster, server) = self.member(name)?;
        let mut said = Map::new();
        let mut put = |key: &str, value: Value| drop(said.insert(key.to_owned(), value));
        if server.process == Process::Up {
            put("state", json!("running"));
            put("postmaster_start_time", json!(time(self.clock().wall(server.started))));
            put("role", json!(role(scope, server)));
            put("server_version", json!(170_002));
            put("xlog", self.xlog(server));
            put("timeline", json!(server.timeline()));
            if streams(server) {
                put("replication_state", json!("streaming"));
            }
            let senders: Vec<Value> = cluster.senders(name).map(|(s, _)| sender(s)).collect();
            if !senders.is_empty() {
                put("replication", Value::Array(senders));
            }
        } else {
            put("state", json!("stopped"));
            put("role", json!(if server.in_recovery() { "replica" } else { "demoted" }));
        }
        if scope.paused() {
            put("pause", json!(true));
        }
        if scope.leader.is_none() {
            put("cluster_unlocked", json!(true));
        }
        put("dcs_last_seen", json!(self.clock().wall(scope.seen).timestamp()));
        put("database_system_identifier", json!(cluster.system.to_string()));
        put("patroni", json!({ "version": "4.1.5", "scope": scope.name, "name": name }));
        Some(Value::Object(said))
    }

    fn xlog(&self, server: &Server) -> Value {
        let Some(standby) = &server.standby else { return json!({ "location": server.flushed.0 }) };
        json!({
            "received_location": standby.received.unwrap_or(standby.replayed).0,
            "replayed_location": standby.replayed.0,
            "replayed_timestamp": standby.replayed_commit.map(|at| time(self.clock().wall(at))),
            "paused": standby.paused,
        })
    }

    /// The status of a health check by its path (`api.py`, `do_GET`): whatever else the path is, 503.
    #[must_use]
    pub fn patroni_health(&self, name: &str, path: &str) -> u16 {
        let Some((scope, _, server)) = self.member(name) else { return 503 };
        let runs = server.process == Process::Up;
        let leads = scope.leader == Some(server.name);
        let primary = leads && !scope.follows();
        let standby_leader = leads && scope.follows() && server.in_recovery();
        let replica = !leads && runs && server.in_recovery();
        let has = |words: &[&str]| words.iter().any(|w| path.contains(w));
        let good = match path {
            "/" => primary,
            "/liveness" => true,
            "/readiness" => leads || (runs && streams(server)),
            _ if has(&["standby_leader", "standby-leader"]) => standby_leader,
            _ if has(&["leader"]) => leads,
            _ if has(&["master", "primary", "read-write"]) => primary,
            _ if has(&["replica"]) => replica,
            "/read-only-sync" | "/read-only-synchronous" | "/read-only-quorum" => primary || standby_leader,
            _ if has(&["read-only"]) && !has(&["sync", "quorum"]) => primary || standby_leader || replica,
            _ if has(&["health"]) => runs,
            "/async" | "/asynchronous" => replica,
            _ => false,
        };
        if good { 200 } else { 503 }
    }

    /// `GET /cluster` at a member.
    #[must_use]
    pub fn patroni_cluster(&self, name: &str) -> Option<Value> {
        let (scope, cluster, _) = self.member(name)?;
        let end = scope.leader.and_then(|l| cluster.server(l)).map_or(Lsn(0), Server::position);
        // One that does not renew its key is out of the DCS: at once here, after the `ttl` in a real one. Whoever holds the
        // lock is listed for as long as it is good.
        let there = |s: &&Server| {
            s.process == Process::Up || scope.leader == Some(s.name) || scope.demoting.contains_key(s.name)
        };
        let mut servers: Vec<&Server> = scope.members.iter().filter_map(|m| cluster.server(m)).filter(there).collect();
        servers.sort_by_key(|s| s.name);
        let members: Vec<Value> = servers.into_iter().map(|s| self.listed(scope, s, end)).collect();
        let mut said = Map::from_iter([("members".to_owned(), Value::Array(members))]);
        if scope.paused() {
            said.insert("pause".to_owned(), json!(true));
        }
        if let Some((asked, (_, at))) = scope.failover.as_ref().and_then(|f| Some((f, f.scheduled.as_ref()?))) {
            let mut scheduled = Map::from_iter([("at".to_owned(), json!(at))]);
            scheduled.extend(asked.from.as_ref().map(|f| ("from".to_owned(), json!(f))));
            scheduled.extend(asked.to.as_ref().map(|t| ("to".to_owned(), json!(t))));
            said.insert("scheduled_switchover".to_owned(), Value::Object(scheduled));
        }
        said.insert("scope".to_owned(), json!(scope.name));
        Some(Value::Object(said))
    }

    fn listed(&self, scope: &Scope, server: &Server, end: Lsn) -> Value {
        let leads = scope.leader == Some(server.name);
        let role = match (leads, scope.follows()) {
            (true, true) => "standby_leader",
            (true, false) => "leader",
            (false, _) => "replica",
        };
        let stopped = scope.demoting.contains_key(server.name);
        let state = match (stopped, role) {
            (true, _) => "stopped",
            (false, "leader") => "running",
            (false, _) if streams(server) => "streaming",
            (false, _) => "running",
        };
        let api = self.patroni.ports.get(server.name).copied().unwrap_or(0);
        let mut said = Map::new();
        let mut put = |key: &str, value: Value| drop(said.insert(key.to_owned(), value));
        put("name", json!(server.name));
        put("role", json!(role));
        put("state", json!(state));
        put("api_url", json!(format!("http://{}:{api}/patroni", super::super::LOCAL)));
        put("host", json!(super::super::LOCAL.to_string()));
        put("port", json!(server.port));
        if !stopped {
            put("timeline", json!(server.timeline()));
        }
        if let Some(standby) = server.standby.as_ref().filter(|_| !leads) {
            let received = standby.received.unwrap_or(standby.replayed);
            for (kind, lsn) in [("receive_", received), ("replay_", standby.replayed), ("", standby.replayed)] {
                put(&format!("{kind}lag"), json!(end.ahead_of(lsn).0));
                put(&format!("{kind}lsn"), json!(lsn.to_string()));
            }
        } else if !leads {
            for kind in ["receive_", "replay_", ""] {
                put(&format!("{kind}lsn"), json!("unknown"));
                put(&format!("{kind}lag"), json!("unknown"));
            }
        }
        Value::Object(said)
    }

    /// `GET /config` at a member.
    #[must_use]
    pub fn patroni_config(&self, name: &str) -> Option<Value> {
        Some(Value::Object(self.patroni.scope_of(name)?.config.clone()))
    }

    /// `GET /history` at a member: as its leader has it.
    #[must_use]
    pub fn patroni_history(&self, name: &str) -> Option<Value> {
        let (scope, cluster, server) = self.member(name)?;
        let leader = scope.leader.and_then(|l| cluster.server(l)).unwrap_or(server);
        let why = "no recovery target specified";
        let one = |(timeline, end): &(u32, Lsn)| match scope.began.get(timeline) {
            Some((at, by)) => json!([timeline, end.0, why, iso(self.clock().wall(*at)), by]),
            None => json!([timeline, end.0, why]),
        };
        Some(Value::Array(leader.history.past.iter().map(one).collect()))
    }
}

/// A member's role as `/patroni` has it: a primary is one by its PostgreSQL's own word.
fn role(scope: &Scope, server: &Server) -> &'static str {
    match (server.in_recovery(), scope.follows() && scope.leader == Some(server.name)) {
        (false, _) => "primary",
        (true, true) => "standby_leader",
        (true, false) => "replica",
    }
}

fn sender(standby: &Server) -> Value {
    json!({ "usename": REPLICATOR, "application_name": standby.cluster_name(), "client_addr": "127.0.0.1",
            "state": "streaming", "sync_state": "async", "sync_priority": 0 })
}

/// As PostgreSQL's time stamps look in Python.
fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S%.6f+00:00").to_string()
}

fn iso(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string()
}
