//! Every recorded answer of Patroni 3.0.2 and 4.1.5, and answers that make no sense.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::plan::{Bytes, Lsn, SignalId, Span};
use crate::readiness::signals::{FLUSHED, INSTANCE, LAST_COMMIT, RECEIVED, REPLAYED, SYSTEM_ID, TIMELINE, WRITABLE};
use crate::readiness::{Gap, Reason, Value};
use crate::systems::patroni::signals::{CLUSTER, HISTORY, LEADER, NODES, OVERVIEW, SETTINGS, SIGNALS, STREAM};

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/patroni")
}

fn sample(name: &str) -> Json {
    serde_json::from_slice(&std::fs::read(folder().join(format!("{name}.json"))).unwrap()).unwrap()
}

fn at(epoch: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(epoch, 0)
}

fn node(name: &str) -> Node {
    Node::of("10.0.0.1:8008", &sample(name), None).unwrap()
}

fn told(nodes: &[&str], cluster: &str, config: &str, history_of: &str) -> Told {
    Told {
        nodes: nodes.iter().enumerate().map(|(i, n)| Node { member: format!("m{i}:8008").into(), ..node(n) }).collect(),
        cluster: Cluster::of("m0:8008", &sample(cluster)),
        settings: Settings::of(&sample(config)),
        history: history(&sample(history_of)),
    }
}

fn prod() -> Told {
    told(&["4.1.5/patroni_leader", "4.1.5/patroni_replica"], "4.1.5/cluster", "4.1.5/config", "4.1.5/history")
}

fn dr() -> Told {
    told(
        &["4.1.5/standbycl_patroni_leader", "4.1.5/standbycl_patroni_cascade"],
        "4.1.5/standbycl_cluster",
        "4.1.5/standbycl_config",
        "4.1.5/history",
    )
}

fn value(told: &Told, asked: Asked<'_>, signal: &SignalId) -> Result<Value, Gap> {
    observed(told, asked).into_iter().find(|o| o.signal == *signal).unwrap().value
}

fn now(told: &Told, signal: &SignalId) -> Result<Value, Gap> {
    value(told, Asked::default(), signal)
}

#[test]
fn every_sample_is_understood() {
    let mut read = 0;
    for version in ["3.0.2", "4.1.5"] {
        for entry in std::fs::read_dir(folder().join(version)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let stem = name.trim_end_matches(".json");
            let body = sample(&format!("{version}/{stem}"));
            let first = |o: &Json| o.as_object().and_then(|o| o.keys().next().cloned());
            match (&body, first(&body).as_deref()) {
                (Json::Array(_), _) => drop(history(&body).unwrap_or_else(|e| panic!("{name}: {e}"))),
                (_, Some("members")) => drop(Cluster::of("m", &body).unwrap_or_else(|e| panic!("{name}: {e}"))),
                (_, Some("ttl")) => drop(Settings::of(&body).unwrap_or_else(|e| panic!("{name}: {e}"))),
                (_, Some("state")) => {
                    let node = Node::of("m", &body, None).unwrap_or_else(|e| panic!("{name}: {e}"));
                    assert_eq!(Node::read(&node.row()), Ok(node), "{name}");
                }
                (_, other) => panic!("{name}: what is {other:?}?"),
            }
            read += 1;
        }
    }
    assert!(read > 45, "{read}");
}

#[test]
fn a_leader_of_4_and_of_3() {
    let new = node("4.1.5/patroni_leader");
    assert_eq!(new.location, Some(Lsn(67_108_960)));
    assert_eq!((new.called(), new.role.as_ref().unwrap().as_str(), new.writes()), ("n1", "primary", true));
    assert_eq!((new.timeline, new.senders.as_str(), new.holds()), (Some(1), "n3,n2", None));
    let old = node("3.0.2/patroni_replica");
    assert_eq!((old.role.as_ref().unwrap().as_str(), old.writes(), old.name.clone()), ("primary", true, None));
    assert_eq!(old.called(), "10.0.0.1:8008");
}

#[test]
fn a_standby_holds_the_greater_of_its_positions() {
    let body =
        json!({ "state": "running", "role": "replica", "xlog": { "received_location": 5, "replayed_location": 9 } });
    let node = Node::of("m", &body, None).unwrap();
    assert_eq!((node.holds(), node.writes()), (Some(Lsn(9)), false));
    let both = json!({ "state": "running", "role": "replica", "xlog": { "location": 5, "replayed_location": 9 } });
    assert_eq!(Node::of("m", &both, None).unwrap_err().reason, Reason::Malformed);
}

#[test]
fn whether_a_standby_streams_is_only_known_since_3_0_4() {
    assert_eq!(now(&dr(), &STREAM), Ok(Value::text("streaming")));
    let cut = told(
        &["4.1.5/standbycl_source_dead"],
        "4.1.5/standbycl_cluster_source_dead",
        "4.1.5/standbycl_config",
        "4.1.5/history",
    );
    assert_eq!(now(&cut, &STREAM), Ok(Value::text("none")));
    assert!(!node("3.0.2/patroni").says_replication_state());
    for (version, says) in
        [("3.0.3", false), ("3.0.4", true), ("3.1.0", true), ("4.0", true), ("2.1.9", false), ("x", false)]
    {
        let body = json!({ "state": "running", "role": "replica", "patroni": { "version": version } });
        assert_eq!(Node::of("m", &body, None).unwrap().says_replication_state(), says, "{version}");
    }
}

#[test]
fn the_dcs_is_dated_by_the_members_own_clock() {
    let age = |date| Node::of("m", &sample("4.1.5/patroni_dcs_down"), date).unwrap().dcs_age;
    assert_eq!(age(at(1_795_225_868 + 42)), Some(Span::secs(42)));
    assert_eq!(age(at(1_795_225_868 - 1)), Some(Span::secs(0)));
    assert_eq!(age(None), None);
    assert!(node("4.1.5/patroni_dcs_down").unlocked);
}

#[test]
fn lag_is_a_number_or_unknown_and_nothing_else() {
    let lags =
        |name: &str| Cluster::of("m", &sample(name)).unwrap().members.into_iter().map(|m| m.lag).collect::<Vec<_>>();
    assert_eq!(lags("4.1.5/cluster_lagging"), [Some(Bytes(0)), None, Some(Bytes(17_660_072))]);
    assert_eq!(lags("4.1.5/cluster_start_failed"), [None, None, None]);
    assert_eq!(lags("3.0.2/cluster"), [Some(Bytes(0)), None, Some(Bytes(0))]);
    for wrong in [json!("a lot"), json!(-1), json!(1.5), json!([])] {
        let body = json!({ "members": [{ "name": "a", "role": "replica", "state": "running", "lag": wrong }] });
        assert_eq!(Cluster::of("m", &body).unwrap_err().reason, Reason::Malformed, "{body}");
    }
}

#[test]
fn what_a_cluster_says_beside_its_members() {
    let cluster = |name: &str| Cluster::of("m", &sample(name)).unwrap();
    assert!(cluster("4.1.5/cluster_paused").overview.paused);
    let scheduled = cluster("4.1.5/cluster_scheduled").overview;
    assert_eq!(scheduled.scheduled_at.unwrap().as_str(), "2026-11-21T02:48:39+00:00");
    assert_eq!((scheduled.scheduled_from.unwrap().as_str(), scheduled.scheduled_to.unwrap().as_str()), ("n2", "n1"));
    assert_eq!(cluster("4.1.5/cluster_sync").members[2].role.as_str(), "sync_standby");
    assert_eq!(cluster("4.1.5/cluster").leader().unwrap().api.as_ref().unwrap().as_str(), "127.0.0.1:8008");
    let two = json!({ "members": [
        { "name": "a", "role": "leader", "state": "running" }, { "name": "b", "role": "standby_leader", "state": "running" }
    ] });
    assert_eq!(Cluster::of("m", &two).unwrap_err().reason, Reason::Malformed);
}

#[test]
fn tags_keep_a_member_from_leading() {
    let may = |tags: Json| {
        let body = json!({ "members": [{ "name": "a", "role": "replica", "state": "running", "tags": tags }] });
        !Cluster::of("m", &body).unwrap().members[0].nofailover
    };
    for open in
        [json!({}), json!({ "nofailover": false }), json!({ "nofailover": "off" }), json!({ "failover_priority": 1 })]
    {
        assert!(may(open.clone()), "{open}");
    }
    for shut in [json!({ "nofailover": true }), json!({ "nofailover": "yes" }), json!({ "failover_priority": 0 })] {
        assert!(!may(shut.clone()), "{shut}");
    }
}

#[test]
fn a_configuration_keeps_no_secret() {
    let body = json!({
        "ttl": 20, "loop_wait": 5, "synchronous_mode": "quorum", "failsafe_mode": true,
        "standby_cluster": { "host": "10.0.0.1,10.0.0.2", "port": 5432, "restore_command": "PGPASSWORD=hunter2 get %f" },
        "postgresql": { "authentication": { "superuser": { "password": "hunter2" } }, "parameters": { "x": "hunter2" } },
        "restapi": { "authentication": { "username": "admin", "password": "hunter2" } },
    });
    let settings = Settings::of(&body).unwrap();
    assert!(!format!("{settings:?} {:?}", settings.row()).contains("hunter2"));
    assert_eq!(
        (settings.ttl, settings.retry_timeout, settings.maximum_lag),
        (Span::secs(20), Span::secs(10), Bytes(1 << 20))
    );
    assert_eq!(settings.upstream_host.as_ref().unwrap().as_str(), "10.0.0.1,10.0.0.2");
    assert_eq!(settings.upstream_port.as_ref().unwrap().as_str(), "5432");
    assert!(settings.restores && settings.standby_cluster && settings.failsafe_mode);
    assert_eq!(settings.synchronous_mode.as_str(), "quorum");
    for wrong in [
        json!({ "ttl": "hunter2" }),
        json!({ "standby_cluster": "hunter2" }),
        json!({ "synchronous_mode": "hunter2" }),
        json!({ "standby_cluster": { "port": { "hunter2": 1 } } }),
        json!(["hunter2"]),
    ] {
        let gap = Settings::of(&wrong).unwrap_err();
        assert_eq!(gap.reason, Reason::Malformed, "{wrong}");
        assert!(!format!("{gap:?}").contains("hunter2"), "{gap:?}");
    }
}

#[test]
fn an_empty_standby_cluster_section_is_none() {
    for (section, told) in [
        (json!({}), false),
        (json!({ "create_replica_methods": ["basebackup"] }), false),
        (json!({ "host": "x" }), true),
        (json!({ "restore_command": "x" }), true),
        (json!(null), false),
    ] {
        assert_eq!(Settings::of(&json!({ "standby_cluster": section })).unwrap().standby_cluster, told, "{section}");
    }
}

#[test]
fn history_has_entries_of_three_to_five_fields() {
    let read = history(&sample("4.1.5/standbycl_history")).unwrap();
    assert_eq!(read.len(), 5);
    assert_eq!((read[0].timeline, read[0].lsn, read[0].leader.clone()), (1, Lsn(72_545_288), None));
    assert_eq!(read[4].leader.as_ref().unwrap().as_str(), "n4");
    assert_eq!(history(&json!([])).unwrap(), []);
    for wrong in [json!({}), json!([1]), json!([[1]]), json!([["1", 5]]), json!([[0, 5]]), json!([[1, -5]])] {
        assert_eq!(history(&wrong).unwrap_err().reason, Reason::Malformed, "{wrong}");
    }
}

#[test]
fn an_active_site_is_read_as_a_primary() {
    let told = prod();
    assert_eq!(now(&told, &WRITABLE), Ok(Value::Bool(true)));
    assert_eq!(now(&told, &FLUSHED), Ok(Value::Lsn(Lsn(67_108_960))));
    for signal in [RECEIVED, REPLAYED, LAST_COMMIT, STREAM] {
        assert_eq!(now(&told, &signal), Ok(Value::NotApplicable), "{signal}");
    }
    assert_eq!(now(&told, &SYSTEM_ID), Ok(Value::text("7710435493796741288")));
    assert_eq!(now(&told, &TIMELINE), Ok(Value::Int(1)));
    assert_eq!(now(&told, &LEADER), Ok(Value::text("n1")));
    let started = Value::text("prod/n1 started 2026-11-21 01:47:39.364978+00:00");
    assert_eq!(now(&told, &INSTANCE), Ok(started));
}

#[test]
fn a_standby_cluster_is_read_as_its_leader() {
    let told = dr();
    assert_eq!(now(&told, &WRITABLE), Ok(Value::Bool(false)));
    assert_eq!(now(&told, &FLUSHED), Ok(Value::NotApplicable));
    assert_eq!(now(&told, &RECEIVED), Ok(Value::Lsn(Lsn(117_440_608))));
    assert_eq!(now(&told, &LAST_COMMIT), Ok(Value::Null));
    assert_eq!(now(&told, &LEADER), Ok(Value::text("n4")));
}

#[test]
fn every_signal_is_there_at_every_look() {
    let mut dark = prod();
    let gap = Gap::new(Reason::TimedOut, "m0:8008: no answer in time");
    dark.nodes.iter_mut().for_each(|n| *n = Node::silent("m0:8008", &gap, None));
    (dark.cluster, dark.settings, dark.history) = (Err(gap.clone()), Err(gap.clone()), Err(gap.clone()));
    for told in [prod(), dr(), dark.clone()] {
        let seen: Vec<SignalId> = observed(&told, Asked::default()).into_iter().map(|o| o.signal).collect();
        assert_eq!(seen.len(), SIGNALS.len());
        assert!(SIGNALS.iter().all(|s| seen.contains(&s.id)));
    }
    for o in observed(&dark, Asked::default()) {
        assert_eq!(
            o.value.as_ref().err().map(|g| g.reason),
            (o.signal != NODES).then_some(Reason::TimedOut),
            "{}",
            o.signal
        );
    }
}

/// Nobody listens where Patroni was: its PostgreSQL may run on without it.
#[test]
fn a_refused_connection_proves_nothing_of_postgres() {
    let mut told = prod();
    let gap = Gap::new(Reason::Refused, "m0:8008: connection refused");
    told.nodes.iter_mut().for_each(|n| *n = Node::silent("m0:8008", &gap, None));
    told.cluster = Err(gap);
    for signal in [WRITABLE, FLUSHED, CLUSTER, OVERVIEW, LEADER] {
        assert_eq!(now(&told, &signal).unwrap_err().reason, Reason::Unreachable, "{signal}");
    }
}

#[test]
fn a_cluster_without_a_primary_is_handing_over_at_first() {
    let mut told = prod();
    told.cluster = Cluster::of("m1:8008", &sample("4.1.5/cluster_switch_1"));
    told.nodes[0] = Node { name: Some("n1".into()), ..node("4.1.5/patroni_start_failed") };
    let after = |s| value(&told, Asked { without_primary: Duration::from_secs(s), elsewhere: &[] }, &WRITABLE);
    assert_eq!(after(0).unwrap_err().reason, Reason::StartingUp);
    assert_eq!(after(9).unwrap_err().reason, Reason::StartingUp);
    assert_eq!(after(10), Ok(Value::Bool(false)));
    // While one is silent, it may be the one that takes writes.
    let gap = Gap::new(Reason::TimedOut, "m0:8008: no answer in time");
    told.nodes[0] = Node::silent("m0:8008", &gap, None);
    let minute = Asked { without_primary: Duration::from_secs(60), elsewhere: &[] };
    assert_eq!(value(&told, minute, &WRITABLE).unwrap_err().reason, Reason::TimedOut);
}

/// One cluster over both sites: its leader is a member of the other site; or one that nobody named.
#[test]
fn a_cluster_may_be_led_from_elsewhere() {
    let mut told = prod();
    told.nodes.remove(0);
    let elsewhere = ["127.0.0.1:8008".to_owned()];
    let at_once = Asked { without_primary: Duration::ZERO, elsewhere: &elsewhere };
    assert_eq!(value(&told, at_once, &WRITABLE), Ok(Value::Bool(false)));
    let minute = Asked { without_primary: Duration::from_secs(60), elsewhere: &[] };
    let gap = value(&told, minute, &WRITABLE).unwrap_err();
    assert_eq!(gap.reason, Reason::Absent);
    assert!(gap.detail.as_str().contains("n1") && gap.detail.as_str().contains("127.0.0.1:8008"), "{gap}");
}

/// A member that hangs cannot be a primary where Patroni leads a standby cluster.
#[test]
fn a_silent_replica_does_not_hide_a_standby_cluster() {
    let mut told = dr();
    let gap = Gap::new(Reason::TimedOut, "m1:8008: no answer in time");
    told.nodes[1] = Node::silent("m1:8008", &gap, None);
    assert_eq!(now(&told, &WRITABLE), Ok(Value::Bool(false)));
    // Without the DCS, too: the member itself says that it leads a standby cluster.
    told.cluster = Err(gap.clone());
    told.settings = Err(gap);
    assert_eq!(now(&told, &WRITABLE), Ok(Value::Bool(false)));
    assert!(now(&told, &SETTINGS).is_err() && now(&told, &HISTORY).is_ok());
}

#[test]
fn of_two_primaries_the_leader_counts() {
    let mut told = prod();
    told.nodes[1] =
        Node { name: Some("n9".into()), timeline: Some(7), location: Some(Lsn(1)), ..told.nodes[0].clone() };
    assert_eq!(now(&told, &TIMELINE), Ok(Value::Int(1)));
    told.cluster = Err(Reason::TimedOut.into());
    assert_eq!(now(&told, &TIMELINE), Ok(Value::Int(7)), "without it, the highest timeline");
}

#[test]
fn a_member_that_failed_to_start_has_no_position() {
    let mut told = prod();
    told.nodes = vec![node("4.1.5/patroni_start_failed")];
    assert_eq!(now(&told, &WRITABLE).unwrap_err().reason, Reason::StartingUp);
    assert_eq!(now(&told, &RECEIVED).unwrap_err().reason, Reason::StartingUp);
}

/// JSON of any shape, with Patroni's keys in it.
fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        "[a-z/0-9:+. -]{0,12}".prop_map(Json::from),
    ];
    let key = proptest::sample::select(vec![
        "state",
        "role",
        "xlog",
        "location",
        "received_location",
        "replayed_timestamp",
        "timeline",
        "replication",
        "members",
        "name",
        "lag",
        "tags",
        "nofailover",
        "pause",
        "scheduled_switchover",
        "at",
        "ttl",
        "standby_cluster",
        "host",
        "port",
        "patroni",
        "version",
        "dcs_last_seen",
        "failover_priority",
        "synchronous_mode",
        "paused",
        "api_url",
    ]);
    leaf.prop_recursive(4, 48, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
            proptest::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..8)
                .prop_map(|m| Json::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_makes_the_readers_panic(body in any_json(), date in any::<i32>()) {
        if let Ok(node) = Node::of("m", &body, at(i64::from(date))) {
            prop_assert_eq!(Node::read(&node.row()), Ok(node.clone()));
        }
        let told = Told {
            nodes: Node::of("m", &body, None).into_iter().collect(),
            cluster: Cluster::of("m", &body),
            settings: Settings::of(&body),
            history: history(&body),
        };
        prop_assert_eq!(observed(&told, Asked::default()).len(), SIGNALS.len());
    }
}
