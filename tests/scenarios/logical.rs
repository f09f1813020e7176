//! What a logical replication's views may show, one thing changed at a time in a healthy world, and what is judged.
//!
//! The cases are the traps of the field that the project's list of signals gives for logical replication.

use lifeboat::plan::{Lsn, SignalId, Span};
use lifeboat::readiness::signals::{APPLIED, INSTANCE, SYSTEM_ID, WRITABLE};
use lifeboat::readiness::{Bound, Gap, Gate, Reason, Row, Situation, Value, Verdict};
use lifeboat::systems::postgres::options::Mode;
use lifeboat::systems::postgres::signals::logical as l;

use crate::views::logical;
use crate::world::{PlanSpec, START, World, tell};

fn world() -> World {
    World::new(&PlanSpec { mode: Mode::Logical, ..PlanSpec::default() })
}

/// The first row of a server's table, with some columns changed.
fn changed(site: &str, signal: &SignalId, columns: &[(&'static str, Value)]) -> Value {
    let Some(Ok(Value::Rows(rows))) = logical(site).remove(signal) else { panic!("{signal} has no rows") };
    let row = columns.iter().fold(rows[0].clone(), |row: Row, (name, value)| row.with(*name, value.clone()));
    Value::Rows(vec![row])
}

fn text(t: &str) -> Value {
    Value::text(t)
}

const NO: Value = Value::Bool(false);
const YES: Value = Value::Bool(true);
const NONE: fn() -> Value = || Value::Rows(Vec::new());

#[test]
fn each_fault_has_its_finding() {
    use Verdict::{Degraded, NotReady, Ready, Unknown};
    let sub =
        |columns: &[(&'static str, Value)]| ("west", l::SUBSCRIPTIONS, changed("west", &l::SUBSCRIPTIONS, columns));
    let slot = |columns: &[(&'static str, Value)]| ("east", l::SLOTS, changed("east", &l::SLOTS, columns));
    let rel = |state: &str| ("west", l::SUBSCRIBED, changed("west", &l::SUBSCRIBED, &[("state", text(state))]));
    let sequence =
        |site, columns: &[(&'static str, Value)]| (site, l::SEQUENCES, changed(site, &l::SEQUENCES, columns));
    let table = |site, columns: &[(&'static str, Value)]| (site, l::TABLES, changed(site, &l::TABLES, columns));
    let young = ("up_for", Value::Span(Span::secs(2)));
    let cases: Vec<((&str, SignalId, Value), Verdict, &str)> = vec![
        (sub(&[("enabled", NO)]), NotReady, "subscription-disabled"),
        (sub(&[("slot", Value::Null)]), NotReady, "no-slot"),
        (sub(&[("slot", text("other"))]), NotReady, "slot-missing"),
        // A crash loop: enabled, sometimes with a process, and only a count of errors that rises.
        (sub(&[("rises", Value::Int(2)), young.clone()]), NotReady, "apply-fails"),
        (sub(&[("rises", Value::Int(2)), ("running", NO)]), NotReady, "apply-fails"),
        (sub(&[("rises", Value::Int(1)), young.clone()]), Degraded, "apply-failed"),
        // One lost connection counts as an error; old errors stay in the count for ever.
        (sub(&[("rises", Value::Int(1)), ("errors", Value::Int(40))]), Ready, "applying"),
        (sub(&[("running", NO)]), NotReady, "worker-not-running"),
        (slot(&[("wal_status", text("lost")), ("active", NO)]), NotReady, "slot-lost"),
        (slot(&[("invalid", YES)]), NotReady, "slot-lost"),
        (slot(&[("wal_status", text("unreserved"))]), Degraded, "slot-unreserved"),
        (slot(&[("active", NO)]), NotReady, "slot-inactive"),
        (rel("i"), NotReady, "tables-not-copied"),
        (rel("d"), NotReady, "tables-not-copied"),
        (rel("s"), Degraded, "tables-catching-up"),
        (rel("x"), Unknown, "malformed"),
        // A table that was added is silently absent.
        (
            ("east", l::PUBLISHED, changed("east", &l::PUBLISHED, &[("table", text("public.new"))])),
            NotReady,
            "tables-not-subscribed",
        ),
        (("east", l::PUBLISHED, NONE()), NotReady, "tables-not-published"),
        (("east", l::PUBLISHED, changed("east", &l::PUBLISHED, &[("partial", YES)])), Degraded, "tables-partial"),
        (("east", l::PUBLICATIONS, NONE()), NotReady, "publication-missing"),
        (
            ("east", l::PUBLICATIONS, changed("east", &l::PUBLICATIONS, &[("deletes", NO)])),
            Degraded,
            "publication-partial",
        ),
        // TRUNCATE is replicated only where it is published.
        (
            ("east", l::PUBLICATIONS, changed("east", &l::PUBLICATIONS, &[("truncates", NO)])),
            Degraded,
            "publication-partial",
        ),
        (("west", l::SUBSCRIBED, NONE()), NotReady, "no-tables"),
        // An update fails on the publisher.
        (table("east", &[("identity", NO)]), Degraded, "no-replica-identity"),
        // DDL is not replicated.
        (table("west", &[("digest", text("ffff"))]), Degraded, "columns-differ"),
        // Sequences are not replicated.
        (sequence("east", &[("last", Value::Int(1_021))]), Degraded, "sequences-behind"),
        (sequence("west", &[("last", Value::Null)]), Degraded, "sequences-behind"),
        (sequence("east", &[("last", Value::Int(-5)), ("step", Value::Int(-1))]), Degraded, "sequences-behind"),
        (sequence("east", &[("last", Value::Int(9_999)), ("cycles", YES)]), Ready, "sequences"),
        (sequence("east", &[("last", Value::Null)]), Ready, "sequences"),
        (sequence("east", &[("readable", NO)]), Unknown, "no-privilege"),
        (("west", l::SEQUENCES, NONE()), Degraded, "sequences-missing"),
        // One server behind both addresses, or a copy of it.
        (("west", INSTANCE, text("10.0.101.1:5432 2026-11-01 00:00:00+00")), NotReady, "same-server"),
        (("west", SYSTEM_ID, text("7300000000000000001")), NotReady, "same-server"),
        (("west", l::TABLES, Value::Null), Unknown, "malformed"),
        (("east", WRITABLE, Value::Null), Unknown, "malformed"),
    ];
    for ((site, signal, value), verdict, code) in cases {
        let mut world = world();
        world.servers.get_mut(site).unwrap().insert(signal.clone(), Ok(value.clone()));
        let status = world.run_to(20.0);
        let found = status.findings.iter().any(|f| f.code == code && f.verdict == verdict);
        assert!(found, "{site} {signal} {value:?}: no {verdict} {code}: {}", tell(&status));
        let next = |f: &&lifeboat::readiness::Finding| f.verdict != Ready && f.next.is_none();
        assert_eq!(status.findings.iter().find(next).map(|f| &f.code), None, "what to do next is always said");
        if verdict != Ready {
            assert_ne!(status.readiness, Ready, "{code}");
        }
    }
}

/// What only rows are taken of is said, and what is there of the rest is lost.
#[test]
fn what_is_left_behind_is_named() {
    let mut world = world();
    let left =
        changed("east", &l::LEFTOVERS, &["large_objects", "unlogged", "materialized"].map(|k| (k, Value::Int(3))));
    world.servers.get_mut("east").unwrap().insert(l::LEFTOVERS, Ok(left));
    let status = world.run_to(20.0);
    for what in ["3 large objects", "3 unlogged tables", "3 materialized views"] {
        assert!(status.losses.iter().any(|l| l.what.as_str().contains(what)), "{what}: {:?}", status.losses);
    }
    let said = status.findings.iter().find(|f| f.code == "rows-only").unwrap().sentence.to_string();
    for what in ["schema changes", "sequences", "roles", "grants", "extensions"] {
        assert!(said.contains(what), "{what}: {said}");
    }
}

#[test]
fn a_subscription_that_is_gone_is_no_second_publisher_and_two_are_no_replication() {
    let mut gone = world();
    let west = gone.servers.get_mut("west").unwrap();
    west.insert(l::SUBSCRIPTIONS, Ok(NONE()));
    west.insert(WRITABLE, Ok(YES));
    west.insert(APPLIED, Ok(Value::NotApplicable));
    let status = gone.run_to(20.0);
    assert!(status.findings.iter().any(|f| f.code == "no-subscription"), "{}", tell(&status));
    assert_eq!(status.readiness, Verdict::NotReady);
    assert_ne!(status.situation, Situation::SplitBrain { sites: Vec::new() });

    let mut both = world();
    let east = both.servers.get_mut("east").unwrap();
    east.insert(l::SUBSCRIPTIONS, Ok(changed("west", &l::SUBSCRIPTIONS, &[])));
    east.insert(WRITABLE, Ok(NO));
    let status = both.run_to(20.0);
    assert!(status.findings.iter().any(|f| f.code == "both-subscribe"), "{}", tell(&status));
}

#[test]
fn what_was_applied_bounds_the_loss_and_goes_on_doing_so_when_the_publisher_is_gone() {
    let mut world = world();
    let status = world.run_to(20.0);
    assert!(matches!(status.exposure().unwrap().bound, Bound::AtMost { span } if span.0.as_secs_f64() < 1.0));
    world.hold_received = true;
    let status = world.run_to(60.0);
    let bound = |s: &lifeboat::readiness::PlanStatus| s.exposure().unwrap().bound.clone();
    assert!(matches!(bound(&status), Bound::AtMost { span } if span.0.as_secs() >= 40), "{}", tell(&status));
    assert!(status.findings.iter().any(|f| f.code == "loss-above-rpo"));
    world.hold_received = false;
    world.run_to(80.0);
    world.hold_received = true;
    world.dark.insert("east".to_owned(), Gap::from(Reason::Refused));
    let status = world.run_to(100.0);
    assert!(matches!(status.situation, Situation::PrimaryDown { .. }), "{}", tell(&status));
    assert!(
        matches!(bound(&status), Bound::AtMost { span } if (19..26).contains(&span.0.as_secs())),
        "{}",
        tell(&status)
    );
    assert!(matches!(status.gates.failover, Gate::Consent(_)), "{}", tell(&status));
}

#[test]
fn a_position_of_somebody_elses_log_bounds_nothing() {
    let mut world = world();
    // Far ahead of the publisher, because it is of another cluster.
    let west = world.servers.get_mut("west").unwrap();
    west.insert(APPLIED, Ok(Value::Lsn(Lsn(START * 1_000))));
    west.insert(l::SUBSCRIPTIONS, Ok(changed("west", &l::SUBSCRIPTIONS, &[("slot", text("elsewhere"))])));
    let status = world.run_to(20.0);
    assert!(matches!(status.exposure().unwrap().bound, Bound::Unknown { .. }), "{}", tell(&status));
    assert!(matches!(status.gates.failover, Gate::No(_)), "{}", tell(&status));
}
