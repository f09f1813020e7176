//! Two clusters of Patroni, as their answers would show them: what is judged of them, and that nothing is ever ready
//! without evidence.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lifeboat::app::{Model, Polled};
use lifeboat::plan::{LaneId, Lsn, Plan, SignalId, Span, Subject};
use lifeboat::readiness::signals::{FLUSHED, INSTANCE, LAST_COMMIT, RECEIVED, REPLAYED, SYSTEM_ID, TIMELINE, WRITABLE};
use lifeboat::readiness::{Bound, Finding, Gap, Gate, PlanStatus, Reading, Reason, Situation, Value, Verdict};
use lifeboat::systems;
use lifeboat::systems::patroni::parse::{Asked, Cluster, Node, Settings, Switch, Told, observed};
use lifeboat::systems::patroni::signals as pat;
use serde_json::{Value as Json, json};

use crate::world::{now, tell};

const START: u64 = 0x500_0000;
const BOTH: &str = "
    [[plan.probe]]
    name = \"orders-db\"
    kind = \"postgres\"
    at = { east = \"postgres://lifeboat@db.east/x\", west = \"postgres://lifeboat@db.west/x\" }
";

fn configured(more: &str, requires: &str) -> Arc<Plan> {
    let text = format!(
        "[[plan]]\nname = \"shop\"\ntier = 1\nstrategy = \"warm-standby\"\nobjectives = {{ rpo = \"30s\", rto = \"5m\" }}\n\
         sites = {{ east = \"e\", west = \"w\" }}\nhome = \"east\"\nrequires = [{requires}]\n{more}\n\
         [[plan.probe]]\nname = \"clusters\"\nkind = \"patroni\"\n\
         at = {{ east = [\"http://n1\", \"http://n2\"], west = [\"http://n4\", \"http://n5\"] }}\n"
    );
    lifeboat::config::parse("test.toml", &text).unwrap_or_else(|e| panic!("{e}")).plans.remove(0)
}

/// What one member would answer to `/patroni`.
struct Says {
    name: &'static str,
    body: Json,
    dark: Option<Gap>,
}

/// One site's answers.
struct Side {
    members: Vec<Says>,
    cluster: Result<Json, Gap>,
    config: Result<Json, Gap>,
    history: Result<Json, Gap>,
    without_primary: f64,
}

fn member(name: &'static str, scope: &str, role: &str) -> Says {
    let body = json!({
        "state": "running", "role": role, "postmaster_start_time": format!("2027-01-01 00:00:00.{}+00:00", name.len()),
        "server_version": 150018, "timeline": 1, "dcs_last_seen": 0, "database_system_identifier": "77104",
        "patroni": { "version": "4.1.5", "scope": scope, "name": name },
    });
    Says { name, body, dark: None }
}

fn listed(name: &str, role: &str, state: &str) -> Json {
    let api = format!("http://{name}:8008/patroni");
    let mut m = json!({ "name": name, "role": role, "state": state, "api_url": api, "timeline": 1 });
    if !role.contains("leader") {
        m["lag"] = json!(0);
    }
    m
}

fn side(
    scope: &str,
    names: [&'static str; 2],
    roles: [&str; 2],
    leader: (&str, &str),
    standby_of: Option<&str>,
) -> Side {
    let members = json!([listed(names[0], leader.0, leader.1), listed(names[1], "replica", "streaming")]);
    let mut config = json!({ "ttl": 30, "loop_wait": 10, "retry_timeout": 10, "maximum_lag_on_failover": 1048576 });
    if let Some(host) = standby_of {
        config["standby_cluster"] = json!({ "host": host, "port": 5432 });
    }
    Side {
        members: vec![member(names[0], scope, roles[0]), member(names[1], scope, roles[1])],
        cluster: Ok(json!({ "members": members, "scope": scope })),
        config: Ok(config),
        history: Ok(json!([])),
        without_primary: 0.0,
    }
}

struct World {
    model: Model,
    plan: Arc<Plan>,
    east: Side,
    west: Side,
    t: f64,
    rate: f64,
    /// Where the standby cluster stopped to receive.
    held: Option<u64>,
    /// What a signal of a site reads instead: `None` for nothing at all.
    instead: BTreeMap<(String, SignalId), Option<Result<Value, Gap>>>,
}

impl World {
    fn new() -> Self {
        Self::of(configured("", "\"standby\""))
    }

    fn of(plan: Arc<Plan>) -> Self {
        let signals = systems::SYSTEMS.iter().flat_map(|s| s.signals);
        let mut model = Model::new(systems::rules(), signals, "this boot".into());
        model.configure(vec![Arc::clone(&plan)], now(0.0));
        let east = side("prod", ["n1", "n2"], ["primary", "replica"], ("leader", "running"), None);
        let west = side("dr", ["n4", "n5"], ["standby_leader", "replica"], ("standby_leader", "streaming"), Some("n1"));
        Self { model, plan, east, west, t: 0.0, rate: 1_000.0, held: None, instead: BTreeMap::new() }
    }

    fn side(&mut self, site: &str) -> &mut Side {
        if site == "east" { &mut self.east } else { &mut self.west }
    }

    /// The body of a member.
    fn body(&mut self, name: &str) -> &mut Json {
        let mut all = self.east.members.iter_mut().chain(&mut self.west.members);
        &mut all.find(|m| m.name == name).unwrap().body
    }

    fn dark(&mut self, name: &str, reason: Reason) {
        let mut all = self.east.members.iter_mut().chain(&mut self.west.members);
        all.find(|m| m.name == name).unwrap().dark =
            Some(Gap::new(reason, &format!("{name}:8008: {}", reason.words())));
    }

    fn told(&self, side: &Side) -> Told {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a test's positions are small")]
        let flushed = START + (self.rate * self.t) as u64;
        let wall = now(self.t).wall;
        let node = |m: &Says| {
            let shown = format!("{}:8008", m.name);
            let mut body = m.body.clone();
            let last = Node::of(&shown, &body, None).ok();
            if let Some(gap) = &m.dark {
                return Node::silent(&shown, gap, last.as_ref());
            }
            if body["state"] == "running" && body.get("xlog").is_none() {
                let held = if self.west.members.iter().any(|w| w.name == m.name) { self.held } else { None };
                body["xlog"] = if body["role"] == "primary" {
                    json!({ "location": flushed })
                } else {
                    let at = held.unwrap_or(flushed);
                    json!({ "received_location": at, "replayed_location": at, "replayed_timestamp": null, "paused": false })
                };
                if body["role"] != "primary" && body.get("replication_state").is_none() {
                    body["replication_state"] = json!("streaming");
                }
            }
            let date = wall - chrono::Duration::seconds(body["dcs_last_seen"].as_i64().unwrap_or(0));
            body["dcs_last_seen"] = json!(date.timestamp());
            Node::of(&shown, &body, Some(wall)).unwrap_or_else(|gap| Node::silent(&shown, &gap, None))
        };
        let read = |r: &Result<Json, Gap>| r.clone();
        Told {
            nodes: side.members.iter().map(node).collect(),
            cluster: read(&side.cluster).and_then(|b| Cluster::of("n:8008", &b)),
            settings: read(&side.config).and_then(|b| Settings::of(&b)),
            history: read(&side.history).and_then(|b| lifeboat::systems::patroni::parse::history(&b)),
        }
    }

    fn look(&self, lane: &LaneId, at: f64) -> Polled {
        let asked = now(at);
        let answered = asked.plus(Duration::from_millis(40));
        let site = lane.subject.site.as_ref().unwrap().to_string();
        let (side, other) = if site == "east" { (&self.east, &self.west) } else { (&self.west, &self.east) };
        let elsewhere: Vec<String> = other.members.iter().map(|m| format!("{}:8008", m.name)).collect();
        let without_primary = Duration::from_secs_f64(side.without_primary);
        let mut readings = Vec::new();
        for o in observed(&self.told(side), Asked { elsewhere: &elsewhere, without_primary }) {
            let value = match self.instead.get(&(site.clone(), o.signal.clone())) {
                Some(None) => continue,
                Some(Some(other)) => other.clone(),
                None => o.value,
            };
            readings.push(Reading { key: lane.key(o.signal), value, asked, answered, as_of: None });
        }
        Polled { lane: lane.clone(), asked, answered, readings }
    }

    fn poll(&mut self) {
        let probe = self.plan.probes.iter().find(|p| p.kind == "patroni").unwrap();
        let lanes: Vec<LaneId> = probe.lanes.iter().map(|l| probe.lane_id(l)).collect();
        for (i, lane) in lanes.iter().enumerate() {
            let polled = self.look(lane, self.t + 0.01 * i as f64);
            self.model.polled(polled);
        }
    }

    fn judged(&mut self) -> Arc<PlanStatus> {
        self.model.settle(now(self.t + 0.5));
        Arc::clone(self.model.status(&self.plan.id).unwrap())
    }

    /// Looks every five seconds until `t`, and judges; the last judgement.
    fn run_to(&mut self, t: f64) -> Arc<PlanStatus> {
        self.poll();
        let mut status = self.judged();
        while self.t + 5.0 <= t {
            self.t += 5.0;
            self.poll();
            status = self.judged();
        }
        status
    }

    fn healthy() -> Self {
        let mut world = Self::new();
        world.run_to(20.0);
        world
    }
}

fn found<'a>(s: &'a PlanStatus, site: &str, code: &str) -> Option<&'a Finding> {
    s.findings.iter().find(|f| f.code == code && f.subject.site.as_ref().is_some_and(|x| x.as_str() == site))
}

#[track_caller]
fn expect(s: &PlanStatus, site: &str, code: &str, verdict: Verdict) {
    let f = found(s, site, code).unwrap_or_else(|| panic!("no {code} in {site}: {}", tell(s)));
    assert_eq!(f.verdict, verdict, "{code}: {}", tell(s));
    assert!(verdict == Verdict::Ready || f.next.is_some(), "{code} says nothing of what to do");
    assert!(!f.evidence.is_empty(), "{code} has no evidence");
}

fn proven(s: &PlanStatus) -> bool {
    found(s, "west", "promotable").is_some()
}

#[test]
fn two_healthy_clusters_are_ready() {
    let mut world = World::new();
    let status = world.run_to(60.0);
    assert_eq!(status.readiness, Verdict::Ready, "{}", tell(&status));
    assert_eq!(status.situation, Situation::Normal);
    assert!(proven(&status) && matches!(status.gates.failover, Gate::Consent(_)), "{}", tell(&status));
    let [e] = status.exposures.as_slice() else { panic!("{}", tell(&status)) };
    // Both are asked at once: what the standby holds is what the primary had at the same look.
    assert!(matches!(e.bound, Bound::AtMost { span } if span <= Span::secs(6)), "{}", tell(&status));
    expect(&status, "west", "streaming", Verdict::Ready);
    let behind =
        found(&status, "west", "streaming").unwrap().evidence.iter().find(|e| e.what.as_str().contains("behind"));
    assert_eq!(behind.unwrap().value.as_str(), "0 B");
}

#[test]
fn two_idle_clusters_are_ready() {
    let mut world = World::new();
    world.rate = 0.0;
    let status = world.run_to(300.0);
    assert_eq!(status.readiness, Verdict::Ready, "{}", tell(&status));
}

/// Law 1: every key of both sites, dropped and as a gap.
#[test]
fn a_key_that_is_missing_or_a_gap_is_never_ready() {
    for site in ["east", "west"] {
        for signal in pat::SIGNALS.iter().map(|s| s.id.clone()) {
            for reason in [None, Some(Reason::TimedOut), Some(Reason::Malformed), Some(Reason::Absent)] {
                let mut world = World::new();
                world.instead.insert((site.to_owned(), signal.clone()), reason.map(|r| Err(Gap::from(r))));
                for _ in 0..4 {
                    let t = world.t + 5.0;
                    let status = world.run_to(t);
                    assert_ne!(status.readiness, Verdict::Ready, "{site} {signal} {reason:?}: {}", tell(&status));
                }
            }
        }
    }
}

/// What the verdict rests on must make sense: another type, nothing, rows without columns.
#[test]
fn what_makes_no_sense_is_never_ready() {
    let mut ready = Vec::new();
    for site in ["east", "west"] {
        for signal in pat::SIGNALS.iter().map(|s| s.id.clone()) {
            for value in [
                Value::Null,
                Value::NotApplicable,
                Value::Number(f64::NAN),
                Value::Rows(vec![Default::default()]),
                Value::Rows(vec![]),
                Value::text("?"),
            ] {
                let mut world = World::new();
                world.instead.insert((site.to_owned(), signal.clone()), Some(Ok(value.clone())));
                if world.run_to(20.0).readiness == Verdict::Ready {
                    ready.push(format!("{site} {signal} {value:?}"));
                }
            }
        }
    }
    // What is so of the site's role; nothing was committed yet; no timeline ended; a start time is only compared.
    let fine = [
        format!("east {RECEIVED} NotApplicable"),
        format!("east {REPLAYED} NotApplicable"),
        format!("east {LAST_COMMIT} NotApplicable"),
        format!("east {} NotApplicable", pat::STREAM),
        format!("west {FLUSHED} NotApplicable"),
        format!("west {LAST_COMMIT} Null"),
        format!("east {} Rows([])", pat::HISTORY),
        format!("west {} Rows([])", pat::HISTORY),
        format!("east {INSTANCE} Text(\"?\")"),
        format!("west {INSTANCE} Text(\"?\")"),
    ];
    ready.retain(|r| !fine.contains(r));
    assert!(ready.is_empty(), "ready although: {ready:#?}");
}

/// A column that an answer lacks, for every table.
#[test]
fn a_missing_column_is_never_ready() {
    let mut ready = Vec::new();
    for site in ["east", "west"] {
        for table in [pat::NODES, pat::CLUSTER, pat::OVERVIEW, pat::SETTINGS] {
            let world = World::new();
            let probe = &world.plan.probes[0];
            let lane =
                probe.lanes.iter().find(|l| l.subject.site.as_ref().is_some_and(|s| s.as_str() == site)).unwrap();
            let polled = world.look(&probe.lane_id(lane), 0.0);
            let reading = polled.readings.into_iter().find(|r| r.key.signal == table).unwrap();
            let Ok(Value::Rows(rows)) = reading.value else { panic!("{table} is no table") };
            let columns: Vec<String> = BTreeMap::from(rows[0].clone()).into_keys().collect();
            for column in columns {
                let mut cut = rows.clone();
                cut.iter_mut().for_each(|r| drop(r.remove(&column)));
                let mut world = World::new();
                world.instead.insert((site.to_owned(), table.clone()), Some(Ok(Value::Rows(cut))));
                if world.run_to(10.0).readiness == Verdict::Ready {
                    ready.push(format!("{site} {table} without {column}"));
                }
            }
        }
    }
    assert!(ready.is_empty(), "ready although: {ready:#?}");
}

#[test]
fn what_is_stale_is_unknown() {
    let mut world = World::healthy();
    world.t += 20.0;
    let status = world.judged();
    assert_eq!(status.readiness, Verdict::Unknown, "{}", tell(&status));
}

/// Of a switchover within the active site, recorded: one member is stopped for two seconds, the new one leads at once.
#[test]
fn a_switchover_within_a_site_is_not_red() {
    let mut world = World::healthy();
    for (t, (n1, n2), cluster) in [
        (25.0, ("stopped", "running"), "cluster_switch_1"),
        (26.0, ("stopped", "running"), "cluster_switch_2"),
        (27.0, ("running", "running"), "cluster_switch_3"),
    ] {
        let path = format!("{}/tests/fixtures/patroni/4.1.5/{cluster}.json", env!("CARGO_MANIFEST_DIR"));
        world.east.cluster = Ok(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap());
        for (name, state, role) in [("n1", n1, "replica"), ("n2", n2, if t > 25.0 { "primary" } else { "replica" })] {
            world.body(name)["state"] = json!(state);
            world.body(name)["role"] = json!(role);
        }
        world.t = t;
        world.poll();
        let status = world.judged();
        assert_ne!(status.readiness, Verdict::NotReady, "at {t}: {}", tell(&status));
        assert_eq!(status.situation, Situation::Normal, "at {t}: {}", tell(&status));
    }
}

#[test]
fn what_is_amiss_has_its_finding() {
    use Verdict::{Degraded, NotReady, Unknown};
    type Make = fn(&mut World);
    let cases: &[(&str, &str, Verdict, bool, Make)] = &[
        // Site, code, verdict; whether the standby cluster is still proven to be promotable; what happens.
        ("west", "paused", NotReady, false, |w| w.west.cluster.as_mut().unwrap()["pause"] = json!(true)),
        ("east", "paused", Degraded, true, |w| w.east.cluster.as_mut().unwrap()["pause"] = json!(true)),
        ("west", "not-streaming", NotReady, true, |w| {
            w.body("n4")["replication_state"] = json!(null);
            w.west.cluster.as_mut().unwrap()["members"][0]["state"] = json!("running");
            w.body("n4")["xlog"] = json!({ "received_location": START, "replayed_location": START });
        }),
        ("west", "by-archive", Degraded, true, |w| w.body("n4")["replication_state"] = json!("in archive recovery")),
        ("west", "stream-unknown", Unknown, true, |w| w.body("n4")["replication_state"] = json!("teleporting")),
        ("west", "member-silent", Degraded, true, |w| w.dark("n5", Reason::TimedOut)),
        ("west", "member-down", Degraded, true, |w| w.dark("n5", Reason::Refused)),
        ("west", "member-unreadable", Degraded, true, |w| w.dark("n5", Reason::UnknownIssuer)),
        ("west", "leader-silent", Unknown, false, |w| w.dark("n4", Reason::TimedOut)),
        ("west", "all-down", NotReady, false, |w| {
            w.dark("n4", Reason::Refused);
            w.dark("n5", Reason::Refused);
        }),
        ("west", "no-leader", NotReady, false, |w| {
            w.west.cluster.as_mut().unwrap()["members"][0] = listed("n4", "replica", "streaming");
        }),
        ("west", "dcs-lost", NotReady, false, |w| {
            for name in ["n4", "n5"] {
                w.body(name)["dcs_last_seen"] = json!(60);
            }
        }),
        ("west", "dcs-lost-by-one", Degraded, true, |w| w.body("n5")["dcs_last_seen"] = json!(60)),
        ("west", "dcs-late", Degraded, true, |w| {
            for name in ["n4", "n5"] {
                w.body(name)["dcs_last_seen"] = json!(25);
            }
        }),
        ("east", "failsafe", Degraded, true, |w| w.body("n1")["failsafe_mode_is_active"] = json!(true)),
        ("east", "watchdog-failed", Degraded, true, |w| w.body("n1")["watchdog_failed"] = json!(true)),
        ("west", "pending-restart", Degraded, true, |w| w.body("n4")["pending_restart"] = json!(true)),
        ("west", "replay-paused", Degraded, true, |w| {
            w.body("n4")["xlog"] = json!({ "received_location": START, "replayed_location": START, "paused": true });
        }),
        ("west", "no-second", Degraded, true, |w| {
            w.west.cluster.as_mut().unwrap()["members"][1]["tags"] = json!({ "nofailover": true });
        }),
        ("west", "replica-lagging", Degraded, true, |w| {
            w.west.cluster.as_mut().unwrap()["members"][1]["lag"] = json!(17_660_072);
        }),
        ("west", "member-failed", Degraded, true, |w| {
            w.west.cluster.as_mut().unwrap()["members"][1]["state"] = json!("start failed");
        }),
        ("west", "member-not-running", Degraded, true, |w| {
            w.west.cluster.as_mut().unwrap()["members"][1]["state"] = json!("stopped");
        }),
        ("west", "member-not-streaming", Degraded, true, |w| {
            w.west.cluster.as_mut().unwrap()["members"][1]["state"] = json!("running");
        }),
        ("west", "state-unknown", Unknown, true, |w| {
            w.west.cluster.as_mut().unwrap()["members"][1]["state"] = json!("meditating");
        }),
        ("west", "not-told-to-follow", NotReady, false, |w| {
            w.west.config.as_mut().unwrap()["standby_cluster"] = json!(null);
        }),
        ("east", "told-to-follow", NotReady, true, |w| {
            w.east.config.as_mut().unwrap()["standby_cluster"] = json!({ "host": "n4" });
        }),
        ("east", "no-sync-standby", Degraded, true, |w| {
            w.east.config.as_mut().unwrap()["synchronous_mode"] = json!(true);
        }),
        ("east", "switchover-scheduled", Degraded, true, |w| {
            w.east.cluster.as_mut().unwrap()["scheduled_switchover"] =
                json!({ "at": "2027-01-15T08:00:00+00:00", "from": "n1" });
        }),
        ("east", "two-primaries", NotReady, true, |w| w.body("n2")["role"] = json!("primary")),
        ("east", "leader-disagrees", NotReady, true, |w| {
            w.body("n1")["role"] = json!("replica");
            w.body("n2")["role"] = json!("primary");
        }),
        ("west", "other-cluster", NotReady, true, |w| {
            for name in ["n4", "n5"] {
                w.body(name)["database_system_identifier"] = json!("1");
            }
        }),
        ("west", "diverged", NotReady, true, |w| {
            // Equal numbers, other histories: both sites promoted once.
            for name in ["n1", "n2", "n4", "n5"] {
                w.body(name)["timeline"] = json!(2);
            }
            w.east.history = Ok(json!([[1, 83_886_080, "no recovery target specified"]]));
            w.west.history = Ok(json!([[1, 83_886_000, "no recovery target specified"]]));
        }),
        ("west", "behind-a-switch", NotReady, true, |w| {
            w.held = Some(START);
            for name in ["n1", "n2"] {
                w.body(name)["timeline"] = json!(2);
            }
            w.east.history = Ok(json!([[1, START + 500, "no recovery target specified"]]));
        }),
    ];
    for (site, code, verdict, promotable, make) in cases {
        let mut world = World::healthy();
        make(&mut world);
        let first = world.t + 5.0;
        let until = world.t + 60.0;
        world.t = first;
        let status = world.run_to(until);
        expect(&status, site, code, *verdict);
        assert_eq!(proven(&status), *promotable, "{code}: promotable? {}", tell(&status));
        assert_ne!(status.readiness, Verdict::Ready, "{code}");
        let blocked = matches!(status.gates.failover, Gate::No(_));
        assert!(
            *promotable || blocked || matches!(status.gates.failover, Gate::Unknown(_)),
            "{code}: {}",
            tell(&status)
        );
    }
}

/// Whatever a standby cluster says of its lag, it says of its own leader: the positions of the active site are the measure.
#[test]
fn a_standby_cluster_that_shows_no_lag_is_measured_against_the_active_site() {
    let mut world = World::healthy();
    world.held = Some(START + 20_000);
    world.t += 5.0;
    let until = world.t + 60.0;
    let status = world.run_to(until);
    assert!(world.west.cluster.as_ref().unwrap()["members"][1]["lag"] == json!(0), "it shows none");
    let above = status.findings.iter().find(|f| f.code == "loss-above-rpo");
    assert!(above.is_some_and(|f| f.verdict == Verdict::NotReady), "{}", tell(&status));
    assert!(status.exposures.iter().any(|e| e.bound.span().is_some_and(|s| s.0 >= Duration::from_secs(60))));
}

/// A standby that follows a promotion of the active site takes a moment: never red on the way.
#[test]
fn a_promotion_in_the_active_site_arrives_later() {
    let mut world = World::healthy();
    for name in ["n1", "n2"] {
        world.body(name)["timeline"] = json!(2);
    }
    world.east.history = Ok(json!([[1, START + 20_000, "no recovery target specified"]]));
    for _ in 0..2 {
        let t = world.t + 5.0;
        let status = world.run_to(t);
        assert_ne!(status.readiness, Verdict::NotReady, "{}", tell(&status));
    }
    for name in ["n4", "n5"] {
        world.body(name)["timeline"] = json!(2);
    }
    let t = world.t + 10.0;
    let status = world.run_to(t);
    assert_eq!(status.readiness, Verdict::Ready, "{}", tell(&status));
}

#[test]
fn two_active_clusters_are_a_split_brain() {
    let mut world = World::healthy();
    for (name, role) in [("n4", "primary"), ("n5", "replica")] {
        world.body(name)["role"] = json!(role);
        world.body(name)["timeline"] = json!(2);
    }
    world.west.cluster.as_mut().unwrap()["members"][0] = listed("n4", "leader", "running");
    world.west.config.as_mut().unwrap()["standby_cluster"] = json!(null);
    let t = world.t + 10.0;
    let status = world.run_to(t);
    assert!(matches!(&status.situation, Situation::SplitBrain { sites } if sites.len() == 2), "{}", tell(&status));
    assert!(matches!(status.gates.failover, Gate::No(_)), "{}", tell(&status));
    assert_eq!(status.readiness, Verdict::NotReady);
}

/// The active site falls silent: nobody says that it is down, the bound grows, and the gate stays open by what the other
/// site proves alone.
#[test]
fn a_lost_site_leaves_a_gate_with_consent() {
    for reason in [Reason::TimedOut, Reason::Refused] {
        let mut world = World::healthy();
        world.dark("n1", reason);
        world.dark("n2", reason);
        let gap = Gap::from(reason);
        world.east.cluster = Err(gap.clone());
        world.east.config = Err(gap.clone());
        world.east.history = Err(gap);
        world.held = Some(START + 20_000);
        let t = world.t + 40.0;
        let status = world.run_to(t);
        assert!(matches!(status.situation, Situation::PrimaryUnreachable { .. }), "{reason:?}: {}", tell(&status));
        let Gate::Consent(why) = &status.gates.failover else { panic!("{reason:?}: {}", tell(&status)) };
        assert!(why.iter().any(|w| w.as_str().starts_with("lose <=")), "{why:?}");
        assert!(proven(&status));
    }
}

/// One cluster over both sites: Patroni would promote a member of the other site itself.
#[test]
fn one_cluster_over_both_sites() {
    let mut world = World::new();
    let mut members = vec![listed("n1", "leader", "running")];
    members.extend(["n2", "n4", "n5"].map(|n| listed(n, "replica", "streaming")));
    for site in ["east", "west"] {
        world.side(site).cluster = Ok(json!({ "members": members, "scope": "prod" }));
        world.side(site).config.as_mut().unwrap()["standby_cluster"] = json!(null);
    }
    for name in ["n4", "n5"] {
        world.body(name)["role"] = json!("replica");
        world.body(name)["patroni"]["scope"] = json!("prod");
    }
    let status = world.run_to(20.0);
    assert_eq!(status.readiness, Verdict::Ready, "{}", tell(&status));
    expect(&status, "west", "one-cluster", Verdict::Ready);
    assert!(proven(&status));
    for name in ["n4", "n5"] {
        world.body(name)["tags"] = json!({ "nofailover": true });
    }
    for site in ["east", "west"] {
        for m in [2, 3] {
            world.side(site).cluster.as_mut().unwrap()["members"][m]["tags"] = json!({ "nofailover": true });
        }
    }
    let t = world.t + 10.0;
    let status = world.run_to(t);
    expect(&status, "west", "no-candidate", Verdict::NotReady);
    assert!(!proven(&status));
}

/// Beside a probe of the same database's replication, that one's bound is the one that counts; and where the two see
/// different sites take writes, that is said.
#[test]
fn beside_a_probe_of_replication() {
    let mut world = World::of(configured(BOTH, "\"standby\", \"replication\""));
    let database = |world: &mut World, site: &str, writes: bool| {
        let probe = world.plan.probes.iter().find(|p| p.kind == "postgres").unwrap();
        let lane = probe.lanes.iter().find(|l| l.subject == Subject::site(site.into_site())).unwrap();
        let id = probe.lane_id(lane);
        let (asked, answered) = (now(world.t), now(world.t).plus(Duration::from_millis(40)));
        let lsn = Ok(Value::Lsn(Lsn(START)));
        let n_a = || Ok(Value::NotApplicable);
        let mut values: Vec<(SignalId, Result<Value, Gap>)> = vec![
            (WRITABLE, Ok(Value::Bool(writes))),
            (SYSTEM_ID, Ok(Value::text("77104"))),
            (TIMELINE, Ok(Value::Int(1))),
            (INSTANCE, Ok(Value::text(site))),
        ];
        values.push((FLUSHED, if writes { lsn.clone() } else { n_a() }));
        for signal in [RECEIVED, REPLAYED] {
            values.push((signal, if writes { n_a() } else { lsn.clone() }));
        }
        let reading = |(s, value)| Reading { key: id.key(s), value, asked, answered, as_of: None };
        let readings = values.into_iter().map(reading).collect();
        world.model.polled(Polled { lane: id.clone(), asked, answered, readings });
    };
    database(&mut world, "east", true);
    database(&mut world, "west", false);
    world.poll();
    let status = world.judged();
    let of: Vec<&str> = status.exposures.iter().map(|e| e.probe.name.as_ref()).collect();
    assert_eq!(of, ["orders-db"], "{}", tell(&status));
    assert!(
        found(&status, "west", "no-candidate").is_none() && status.findings.iter().all(|f| f.code != "no-candidate")
    );
    world.t += 5.0;
    database(&mut world, "east", false);
    database(&mut world, "west", true);
    world.poll();
    let status = world.judged();
    assert!(status.findings.iter().any(|f| f.code == "writers-apart"), "{}", tell(&status));
}

trait IntoSite {
    fn into_site(self) -> lifeboat::plan::SiteId;
}

impl IntoSite for &str {
    fn into_site(self) -> lifeboat::plan::SiteId {
        lifeboat::plan::SiteId::new(self)
    }
}

/// The types that the tables are read as stay what rows they make.
#[test]
fn rows_and_types_agree() {
    let world = World::new();
    let told = world.told(&world.east);
    for node in &told.nodes {
        assert_eq!(Node::read(&node.row()).as_ref(), Ok(node));
    }
    let switch = Switch { timeline: 1, lsn: Lsn(5), leader: None };
    assert_eq!(Switch::read(&switch.row()), Ok(switch));
    let settings = told.settings.unwrap();
    assert_eq!(Settings::read(&settings.row()), Ok(settings));
}
