use std::sync::Arc;

use chrono::DateTime;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::*;
use crate::plan::{BootTime, Now};
use crate::practice::world::Setup;
use crate::practice::world::event::Event;

/// A world, and how many seconds it is old.
struct Stage {
    world: World,
    seconds: u64,
}

fn at(seconds: u64) -> Now {
    let wall = DateTime::from_timestamp(1_900_000_000 + i64::try_from(seconds).unwrap(), 0).unwrap();
    Now { wall, boot: BootTime(Duration::from_secs(1_000 + seconds)) }
}

impl Stage {
    fn new() -> Self {
        let setup = Setup::usual(7, 1.0, Arc::new(|_: &str| SecretString::from("x")));
        let mut world = World::new(&setup, at(0));
        for (port, (_, server)) in (5_001_u16..).zip(APIS) {
            world.server_mut(server).unwrap().port = port;
        }
        let mut stage = Self { world, seconds: 0 };
        stage.pass(3);
        stage
    }

    fn pass(&mut self, seconds: u64) {
        self.seconds += seconds;
        self.world.advance(at(self.seconds));
    }

    /// `/cluster` in short: each member's role and state.
    fn cluster(&self, member: &str) -> String {
        let said = self.world.patroni_cluster(member).unwrap();
        let one = |m: &Value| {
            let text = |key: &str| m[key].as_str().unwrap().to_owned();
            format!("{} {} {} {}", text("name"), text("role"), text("state"), m["timeline"])
        };
        said["members"].as_array().unwrap().iter().map(one).collect::<Vec<_>>().join("; ")
    }

    fn asks(&mut self, action: &'static str, member: &str, body: Value) -> Result<Begun, Said> {
        self.world.patroni_move(member, action, body.as_object().unwrap())
    }

    fn patch(&mut self, member: &str, body: Value) -> Value {
        self.world.patroni_patch(member, body.as_object().unwrap()).unwrap()
    }
}

const E1: &str = "catalog-east-1";
const E2: &str = "catalog-east-2";
const W1: &str = "catalog-west-1";
const W2: &str = "catalog-west-2";

#[test]
fn both_clusters_as_they_begin() {
    let stage = Stage::new();
    assert_eq!(stage.cluster(E2), "catalog-east-1 leader running 3; catalog-east-2 replica streaming 3");
    assert_eq!(stage.cluster(W1), "catalog-west-1 standby_leader streaming 3; catalog-west-2 replica streaming 3");
    let status = |m| stage.world.patroni_status(m).unwrap();
    assert_eq!((status(E1)["role"].as_str(), status(W1)["role"].as_str()), (Some("primary"), Some("standby_leader")));
    assert!(status(E1)["xlog"]["location"].is_u64() && status(W2)["xlog"]["received_location"].is_u64());
    assert_eq!(status(E1)["database_system_identifier"], status(W1)["database_system_identifier"]);
    assert_eq!(status(W1)["patroni"], json!({ "version": "4.1.5", "scope": "catalog-dr", "name": W1 }));
    assert_eq!(
        stage.world.patroni_config(W1).unwrap()["standby_cluster"],
        json!({ "host": "127.0.0.1", "port": 5_001 })
    );
    assert_eq!(stage.world.patroni_history(E1).unwrap().as_array().unwrap().len(), 2);
}

#[test]
fn health_checks_have_the_status_that_the_real_one_gives() {
    let stage = Stage::new();
    let of = |path: &str| [E1, E2, W1, W2].map(|m| stage.world.patroni_health(m, path));
    for (path, right) in [
        ("/", [200, 503, 503, 503]),
        ("/primary", [200, 503, 503, 503]),
        ("/leader", [200, 503, 200, 503]),
        ("/standby-leader", [503, 503, 200, 503]),
        ("/replica", [503, 200, 503, 200]),
        ("/read-only", [200, 200, 200, 200]),
        ("/async", [503, 200, 503, 200]),
        ("/sync", [503, 503, 503, 503]),
        ("/health", [200, 200, 200, 200]),
        ("/liveness", [200, 200, 200, 200]),
        ("/readiness", [200, 200, 200, 200]),
        ("/nothing-like-that", [503, 503, 503, 503]),
    ] {
        assert_eq!(of(path), right, "{path}");
    }
}

#[test]
fn what_cannot_be_asked_is_refused_in_its_own_words() {
    let mut stage = Stage::new();
    let mut asked =
        |action, body| stage.asks(action, E2, body).map_err(|Said(status, text)| format!("{status} {text}"));
    for (action, body, right) in [
        ("switchover", json!({ "candidate": E2 }), "400 Switchover could be performed only from a specific leader"),
        ("failover", json!({}), "400 Failover could be performed only to a specific candidate"),
        ("failover", json!({ "candidate": "zz" }), "412 candidate does not exists"),
        ("switchover", json!({ "leader": E2, "candidate": E1 }), "412 leader name does not match"),
        ("switchover", json!({ "leader": E1, "candidate": E1 }), "400 Switchover target and source are the same"),
        ("switchover", json!({ "leader": E1, "candidate": W1 }), "412 candidate does not exists"),
        (
            "switchover",
            json!({ "leader": E1, "scheduled_at": "2030-03-01T00:00:00" }),
            "400 Timezone information is mandatory for the scheduled switchover",
        ),
        (
            "switchover",
            json!({ "leader": E1, "scheduled_at": "2020-03-01T00:00:00Z" }),
            "422 Cannot schedule switchover in the past",
        ),
        ("switchover", json!({ "leader": E1, "scheduled_at": "2031-03-01T00:00:00Z" }), "202 Switchover scheduled"),
    ] {
        assert_eq!(asked(action, body.clone()).unwrap_err(), right, "{body}");
    }
    let cluster = stage.world.patroni_cluster(E1).unwrap();
    assert_eq!(cluster["scheduled_switchover"], json!({ "at": "2031-03-01T00:00:00+00:00", "from": E1 }));
    assert_eq!(stage.world.patroni_unschedule(E1), Said(200, "scheduled switchover deleted".into()));
    assert_eq!(stage.world.patroni_unschedule(E1), Said(404, "no switchover is scheduled".into()));
    stage.patch(E1, json!({ "pause": true }));
    let refused = stage.asks("switchover", E1, json!({ "leader": E1 })).unwrap_err();
    assert_eq!(refused.1, "Switchover is possible only to a specific candidate in a paused state");
}

#[test]
fn a_switchover_moves_the_leader_and_loses_nothing() {
    let mut stage = Stage::new();
    let begun = stage.asks("switchover", E1, json!({ "leader": E1, "candidate": E2 })).unwrap();
    assert_eq!(stage.world.patroni_moved(&begun), None);
    let end = stage.world.server(E1).unwrap().1.position();
    stage.pass(1);
    assert_eq!(
        stage.world.patroni_moved(&begun),
        Some(Said(200, "Successfully switched over to \"catalog-east-2\"".into()))
    );
    assert_eq!(stage.world.patroni_status(E1).unwrap()["state"], "stopped");
    assert_eq!(stage.world.patroni_reach(E1), Reach::Open, "Patroni answers while its PostgreSQL is stopped");
    stage.pass(12);
    assert_eq!(stage.cluster(E1), "catalog-east-1 replica streaming 4; catalog-east-2 leader running 4");
    assert_eq!(stage.cluster(W1), "catalog-west-1 standby_leader streaming 4; catalog-west-2 replica streaming 4");
    let history = stage.world.patroni_history(E1).unwrap();
    let last = history.as_array().unwrap().last().unwrap().clone();
    assert_eq!((last[0].as_u64(), last[4].as_str()), (Some(3), Some(E2)));
    assert!(last[1].as_u64().unwrap() >= end.0, "it held everything");
}

#[test]
fn a_leader_whose_machine_is_gone_is_replaced_after_its_lock_and_rewound_when_it_returns() {
    let mut stage = Stage::new();
    stage.world.happen(Event::Stops(E1));
    assert_eq!(stage.world.patroni_reach(E1), Reach::Refused);
    stage.pass(25);
    assert_eq!(stage.cluster(E2), "catalog-east-1 leader running 3; catalog-east-2 replica running 3", "until the ttl");
    stage.pass(15);
    assert_eq!(stage.cluster(E2), "catalog-east-2 leader running 4");
    stage.world.happen(Event::Starts(E1));
    stage.pass(20);
    assert_eq!(stage.cluster(E2), "catalog-east-1 replica streaming 4; catalog-east-2 leader running 4");
}

#[test]
fn in_maintenance_mode_nobody_takes_over() {
    let mut stage = Stage::new();
    assert_eq!(stage.patch(E1, json!({ "pause": true }))["pause"], true);
    stage.pass(1);
    assert_eq!(stage.world.patroni_status(E2).unwrap()["pause"], true);
    assert_eq!(stage.world.patroni_cluster(E2).unwrap()["pause"], true);
    stage.world.happen(Event::Stops(E1));
    stage.pass(60);
    assert_eq!(stage.cluster(E2), "catalog-east-2 replica running 3");
    assert_eq!(stage.world.patroni_status(E2).unwrap()["cluster_unlocked"], true);
    assert!(stage.patch(E2, json!({ "pause": null })).get("pause").is_none());
    stage.pass(10);
    assert_eq!(stage.cluster(E2), "catalog-east-2 leader running 4");
}

#[test]
fn a_standby_cluster_is_promoted_and_the_other_one_follows_it() {
    let mut stage = Stage::new();
    let follows = json!({ "standby_cluster": { "host": "127.0.0.1", "port": 5_003 } });
    stage.patch(E2, follows);
    stage.pass(5);
    assert_eq!(stage.world.patroni_status(E1).unwrap()["role"], "standby_leader");
    let old = stage.world.server(E1).unwrap().1.position();
    assert!(stage.patch(W1, json!({ "standby_cluster": null })).get("standby_cluster").is_none());
    stage.pass(20);
    assert_eq!(stage.cluster(W1), "catalog-west-1 leader running 4; catalog-west-2 replica streaming 4");
    assert_eq!(stage.cluster(E1), "catalog-east-1 standby_leader streaming 4; catalog-east-2 replica streaming 4");
    let ends = stage.world.patroni_history(W1).unwrap();
    assert!(ends.as_array().unwrap().last().unwrap()[1].as_u64().unwrap() >= old.0, "nothing was lost");
}

#[test]
fn a_lost_site_leaves_the_other_cluster_as_it_is_until_somebody_promotes_it() {
    let mut stage = Stage::new();
    stage.world.happen(Event::SiteLost(Site::East));
    stage.pass(80);
    assert_eq!(stage.world.patroni_reach(E1), Reach::Cut);
    assert_eq!(stage.cluster(W1), "catalog-west-1 standby_leader running 3; catalog-west-2 replica streaming 3");
    assert!(stage.world.patroni_status(W1).unwrap().get("replication_state").is_none());
    stage.patch(W1, json!({ "standby_cluster": null }));
    stage.pass(5);
    assert_eq!(stage.cluster(W1), "catalog-west-1 leader running 4; catalog-west-2 replica streaming 4");
}
