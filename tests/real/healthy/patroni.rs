//! Two Patroni clusters.

use std::sync::atomic::AtomicBool;

use serde_json::json;

use super::{World, load, rounds, tables};
use crate::patroni_lab::{Lab, Member, Version, http};
use crate::pg::until;

/// What a restart of a member's PostgreSQL may be seen as.
const RESTART: &[&str] =
    &["not-streaming", "replica-lagging", "member-not-streaming", "member-not-running", "flapping"];
/// And a switchover: the standby cluster learns of the new timeline a moment later, and is rewound by Patroni where it got
/// more from the old leader than the new one did.
const SWITCHOVER: &[&str] = &[
    "not-streaming",
    "replica-lagging",
    "member-not-streaming",
    "member-not-running",
    "flapping",
    "behind-a-switch",
    "diverged",
    "loss-unknown",
];

/// Asks for something that may take longer than its caller waits for an answer.
fn ask(member: &Member, path: &str, body: &serde_json::Value) {
    let answer = http(member.rest, "POST", path, Some(body));
    assert!(answer.as_ref().is_none_or(|a| a.0 == 200), "{} {path}: {answer:?}", member.name);
}

/// Has its PostgreSQL restarted.
fn restart(member: &Member) {
    let started = || {
        let said = member.get("/patroni").filter(|p| p["state"] == "running");
        said.and_then(|p| p["postmaster_start_time"].as_str().map(str::to_owned))
    };
    let before = started();
    ask(member, "/restart", &json!({}));
    until("its PostgreSQL was restarted", || started().is_some_and(|now| Some(now) != before));
}

fn leads(member: &Member) -> bool {
    member.get("/patroni").is_some_and(|p| p["role"] == "primary" && p["state"] == "running")
}

pub fn go(over: &AtomicBool) {
    let lab = Lab::start(Version::Newest);
    let text =
        lab.configuration().replace("interval = \"1s\"\ntimeout = \"2s\"", "interval = \"2s\"\ntimeout = \"8s\"");
    let [n1, n2] = &lab.east;
    let [n4, n5] = &lab.west;
    tables(n1.pg);
    let mut world = World::start("lab", &text);
    let mut leader = (n1, n2);
    rounds(over, &mut world, |world, _| {
        let (active, other) = leader;
        world.quiet("load", 3, || load(active.pg, 8));
        world.quiet("checkpoint, switch and burst", 4, || {
            active.sql("CHECKPOINT");
            active.sql("SELECT pg_switch_wal()");
            active.sql("CREATE TABLE IF NOT EXISTS burst (t text)");
            active.sql("INSERT INTO burst SELECT repeat('x', 900) FROM generate_series(1, 10000)");
            active.sql("TRUNCATE burst");
            n4.sql("CHECKPOINT");
        });
        world.quiet("idle", 5, || {});
        world.event("a replica's restart", RESTART, || restart(other));
        world.event("the standby leader's restart", RESTART, || restart(n4));
        world.event("a restart of its replica", RESTART, || restart(n5));
        world.event("a switchover within the active cluster", SWITCHOVER, || {
            let body = json!({ "leader": active.name, "candidate": other.name });
            ask(active, "/switchover", &body);
            until("it leads", || leads(other));
        });
        leader = (other, active);
    });
}
