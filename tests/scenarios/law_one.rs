//! Law 1: never a false green. Every expected key of every healthy world is dropped, and replaced by every gap.

use lifeboat::app::Polled;
use lifeboat::plan::{SignalId, Span};
use lifeboat::readiness::{Gap, Reason, Verdict};
use lifeboat::systems::postgres::options::Mode;

use crate::world::{PlanSpec, World, now, tell};

/// Every world that must be ready.
fn healthy() -> Vec<(&'static str, World)> {
    let mut worlds = Vec::new();
    let pair = PlanSpec::default;
    worlds.push(("pair", World::new(&pair())));
    let mut idle = World::new(&pair());
    idle.rate = 0.0;
    worlds.push(("idle", idle));
    let traffic = PlanSpec { traffic: true, ..pair() };
    worlds.push(("pair and traffic", World::new(&traffic)));
    let three = PlanSpec {
        servers: vec!["east", "north", "west"],
        sites: vec!["east", "west", "north"],
        standby_names: ["north", "west"].map(|s| (s.to_owned(), "dr1".to_owned())).into(),
        ..pair()
    };
    worlds.push(("three", World::new(&three)));
    let restored = PlanSpec { mode: Mode::Restored, servers: vec!["west"], rpo: Span::secs(3_600), ..pair() };
    worlds.push(("restored", World::new(&restored)));
    worlds.push(("logical", World::new(&PlanSpec { mode: Mode::Logical, ..pair() })));
    worlds
}

/// One round of looks, of which each may be changed on its way.
fn round(world: &mut World, change: impl Fn(&mut Polled)) {
    for (i, lane) in world.lane_ids().into_iter().enumerate() {
        let mut polled = world.look(&lane, now(world.t + 0.01 * i as f64));
        change(&mut polled);
        world.model.polled(polled);
    }
}

/// Reasons that the judging treats apart from each other.
const SOME: &[Reason] = &[Reason::TimedOut, Reason::Refused, Reason::NoSuchDatabase];

/// Every reason for the first world; for the others those that are treated apart.
fn reasons(index: usize) -> &'static [Reason] {
    if index == 0 { Reason::ALL } else { SOME }
}

fn keys(world: &World) -> Vec<(String, SignalId)> {
    let lanes = world.plan.probes.iter().flat_map(|p| p.lanes.iter().map(move |l| (p.lane_id(l), l)));
    lanes.flat_map(|(id, l)| l.expects.iter().map(move |s| (World::name(&id), s.clone()))).collect()
}

#[test]
fn every_healthy_world_is_ready() {
    for (name, mut world) in healthy() {
        let status = world.run_to(20.0);
        assert_eq!(status.readiness, Verdict::Ready, "{name}: {}", tell(&status));
    }
}

#[test]
fn a_key_that_never_comes_is_never_ready() {
    for index in 0..healthy().len() {
        let all = keys(&healthy()[index].1);
        for (lane, signal) in all {
            let (name, mut world) = healthy().swap_remove(index);
            for t in 0..4 {
                world.pass(f64::from(t) * 5.0);
                round(&mut world, |p| {
                    if World::name(&p.lane) == lane {
                        p.readings.retain(|r| r.key.signal != signal);
                    }
                });
                let status = world.judged();
                assert_ne!(status.readiness, Verdict::Ready, "{name} without {lane} {signal}: {}", tell(&status));
            }
        }
    }
}

#[test]
fn a_key_that_is_a_gap_is_never_ready() {
    for index in 0..healthy().len() {
        let all = keys(&healthy()[index].1);
        for (lane, signal) in all {
            for reason in reasons(index) {
                let (name, mut world) = healthy().swap_remove(index);
                for t in 0..2 {
                    world.pass(f64::from(t) * 5.0);
                    round(&mut world, |p| {
                        for r in p.readings.iter_mut() {
                            if World::name(&p.lane) == lane && r.key.signal == signal {
                                r.value = Err(Gap::from(*reason));
                            }
                        }
                    });
                    let status = world.judged();
                    assert_ne!(
                        status.readiness,
                        Verdict::Ready,
                        "{name}, {lane} {signal} {reason:?}: {}",
                        tell(&status)
                    );
                }
            }
        }
    }
}

/// After a good look the verdict may stand for a while, and no longer than evidence may be old.
#[test]
fn a_key_that_becomes_a_gap_is_not_ready_once_its_evidence_is_old() {
    for index in 0..healthy().len() {
        let all = keys(&healthy()[index].1);
        for (lane, signal) in all {
            for reason in SOME {
                let (name, mut world) = healthy().swap_remove(index);
                world.run_to(5.0);
                for t in 2..6 {
                    world.pass(f64::from(t) * 5.0);
                    round(&mut world, |p| {
                        for r in p.readings.iter_mut() {
                            if World::name(&p.lane) == lane && r.key.signal == signal {
                                r.value = Err(Gap::from(*reason));
                            }
                        }
                    });
                    world.judged();
                }
                let status = world.judged();
                assert_ne!(status.readiness, Verdict::Ready, "{name}, {lane} {signal} {reason:?}: {}", tell(&status));
            }
        }
    }
}

/// Whatever a key holds, of whatever type: what makes no sense is never ready. (What a signal may honestly read in a healthy
/// world, it reads there already.)
#[test]
fn everything_stale_is_unknown() {
    for (name, mut world) in healthy() {
        world.run_to(20.0);
        let status = world.judged_after(20.0);
        assert_eq!(status.readiness, Verdict::Unknown, "{name}: {}", tell(&status));
        for area in status.areas.iter().filter(|a| a.verdict.is_some()) {
            assert_eq!(area.verdict, Some(Verdict::Unknown), "{name} {}", area.area);
        }
    }
}

/// A signal of a standby or a primary that is NULL or of another type must not pass for good, where a rule needs it.
#[test]
fn what_the_verdict_rests_on_must_make_sense() {
    use lifeboat::readiness::Value;
    use lifeboat::readiness::signals::{RECEIVED, SYSTEM_ID, TIMELINE, WRITABLE};
    use lifeboat::systems::postgres::signals as pg;
    let needed = [
        ("west", WRITABLE),
        ("east", WRITABLE),
        ("west", RECEIVED),
        ("west", SYSTEM_ID),
        ("east", SYSTEM_ID),
        ("west", TIMELINE),
        ("east", TIMELINE),
        ("west", pg::RECEIVER),
        ("west", pg::PAUSE),
        ("west", pg::SETTINGS),
        ("east", pg::SETTINGS),
        ("east", pg::SENDERS),
        ("east", pg::SLOTS),
        ("east", pg::ARCHIVER),
        ("east", lifeboat::readiness::signals::FLUSHED),
        ("west", lifeboat::readiness::signals::REPLAYED),
        ("west", pg::SKEW),
    ];
    let mut wrong = Vec::new();
    for (lane, signal) in needed {
        for value in [Value::Null, Value::NotApplicable, Value::Number(f64::NAN), Value::Rows(vec![Default::default()])]
        {
            let mut world = World::new(&PlanSpec::default());
            world.servers.get_mut(lane).unwrap().insert(signal.clone(), Ok(value.clone()));
            let status = world.run_to(20.0);
            if status.readiness == Verdict::Ready {
                wrong.push(format!("{lane} {signal} {value:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "ready although: {wrong:#?}");
}

/// A setting that a rule needs and that is not among those read, a column that an answer lacks: never ready.
#[test]
fn a_missing_setting_or_column_is_never_ready() {
    use lifeboat::readiness::Value;
    use lifeboat::systems::postgres::signals as pg;
    let settings = [
        ("west", "max_connections"),
        ("east", "max_worker_processes"),
        ("west", "max_wal_senders"),
        ("east", "max_prepared_transactions"),
        ("west", "max_locks_per_transaction"),
        ("west", "recovery_min_apply_delay"),
        ("east", "synchronous_standby_names"),
        ("east", "synchronous_commit"),
    ];
    let columns = [
        ("west", pg::RECEIVER, "status"),
        ("west", pg::RECEIVER, "sender_host"),
        ("west", pg::RECEIVER, "message_age"),
        ("east", pg::SENDERS, "state"),
        ("east", pg::SENDERS, "client_addr"),
        ("east", pg::SENDERS, "reply_age"),
        ("east", pg::SLOTS, "slot_name"),
        ("east", pg::SLOTS, "slot_type"),
        ("east", pg::SLOTS, "active"),
        ("east", pg::SLOTS, "wal_status"),
        ("east", pg::SLOTS, "invalidation_reason"),
        ("east", pg::ARCHIVER, "mode"),
    ];
    let mut wrong = Vec::new();
    let mut check = |what: String, world: &mut World| {
        let status = world.run_to(15.0);
        if status.readiness == Verdict::Ready {
            wrong.push(what);
        }
    };
    for (lane, name) in settings {
        let mut world = World::new(&PlanSpec::default());
        let Some(Ok(Value::Rows(rows))) = world.servers.get_mut(lane).unwrap().get_mut(&pg::SETTINGS) else { panic!() };
        rows.retain(|r| r.get("name") != Some(&Value::text(name)));
        check(format!("{lane} without {name}"), &mut world);
    }
    for (lane, table, column) in columns {
        let mut world = World::new(&PlanSpec::default());
        let Some(Ok(Value::Rows(rows))) = world.servers.get_mut(lane).unwrap().get_mut(&table) else { panic!() };
        for row in rows.iter_mut() {
            assert!(row.remove(column).is_some());
        }
        check(format!("{lane} {table} without {column}"), &mut world);
    }
    assert!(wrong.is_empty(), "ready: {wrong:#?}");
}

/// Columns of a logical replication's tables that may be NULL with nothing wrong.
const MAY_BE_NULL: [&str; 8] =
    ["latest_end_lsn", "up_for", "wal_status", "confirmed_flush_lsn", "safe_wal_size", "retained", "errors", "last"];
/// Columns that only evidence or another kind of finding needs.
const UNUSED: [&str; 3] = ["start", "disable_on_error", "rises"];

#[test]
fn a_column_of_logical_replication_that_is_null_is_never_ready() {
    use lifeboat::readiness::Value;
    let make = || World::new(&PlanSpec { mode: Mode::Logical, ..PlanSpec::default() });
    let mut tried = 0;
    for (site, signal) in keys(&make()) {
        let Some(Ok(Value::Rows(rows))) = make().servers[&site].get(&signal).cloned() else { continue };
        let Some(row) = rows.first() else { continue };
        let columns: std::collections::BTreeMap<String, Value> = row.clone().into();
        for column in columns.keys() {
            // What the subscriber has lying about itself says nothing of the publisher, and the other way round.
            let idle = signal.as_str().ends_with("leftovers") && site == "west"
                || signal.as_str().ends_with("tables")
                    && site == "west"
                    && ["leaf", "identity"].contains(&column.as_str());
            if MAY_BE_NULL.contains(&column.as_str()) || UNUSED.contains(&column.as_str()) || idle {
                continue;
            }
            tried += 1;
            let mut world = make();
            let changed = vec![row.clone().with(column.clone(), Value::Null)];
            world.servers.get_mut(&site).unwrap().insert(signal.clone(), Ok(Value::Rows(changed)));
            let status = world.run_to(20.0);
            assert_ne!(status.readiness, Verdict::Ready, "{site} {signal} {column}: {}", tell(&status));
        }
    }
    assert!(tried > 25, "{tried}");
}
