//! Which trap of the field is held by which test. A trap without a test is listed as not handled, with the reason.

use crate::scenario;

/// (trap, what it is, the scenario or `real::` test that holds it). The numbers are those of the project's list of
/// signals and traps.
pub const TRAPS: &[(u8, &str, &str)] = &[
    (
        1,
        "the age of the last replayed commit grows while idle, is NULL after a restart, needs synchronous clocks",
        "idle_primary",
    ),
    (1, "the same: NULL after a restart", "last_commit_null"),
    (2, "received equals replayed, and the standby is cut off", "cut_off_equal_positions"),
    (3, "*_lag is NULL while idle and freezes while stuck; an absent row is a failure", "hang_of_receiver"),
    (3, "the same: the row is gone", "standby_stopped"),
    (3, "the same: a fresh connection", "fresh_connection"),
    (4, "bytes alone jump by a segment", "wal_switch"),
    (4, "the same: without progress", "replay_stuck"),
    (5, "the state of a cascading standby says nothing of its upstream", "cascade"),
    (6, "the control file's timeline is old", "other_timeline"),
    (6, "the same: after a switchover", "switchover"),
    (8, "an old primary answers as a primary", "split_brain"),
    (8, "the same: at first sight", "split_brain_at_first_sight"),
    (9, "a failing archiver keeps a fast shutdown waiting", "archiver"),
    (10, "in recovery is not yet a standby of this primary", "in_recovery_of_another_cluster"),
    (10, "the same: hot_standby = off", "starting_up"),
    (11, "an alias in primary_conninfo", "alias"),
    (13, "the receive position alone lies after a restart", "received_below_replayed"),
    (14, "promotion replays all that was received", "replay_paused"),
    (15, "a read-only default is no fence", "would_hang"),
    (16, "promoted, but hanging", "would_hang"),
    (17, "one server behind both addresses", "same_server"),
    (19, "SQLSTATEs worth their own words: as judged; that they are told apart is the client's test", "starting_up"),
];

/// Traps that no test of this folder can hold, and why.
pub const NOT_HANDLED: &[(u8, &str)] = &[
    (7, "pg_promote's own answer: a step's postcondition; nothing promotes yet"),
    (12, "managed services without pg_stat_wal_receiver: none is here to test against; an absent view is a gap"),
    (18, "the advisory lock at the candidate: belongs to the run; nothing acts yet"),
];

#[test]
fn every_trap_has_a_test_or_a_reason() {
    let scenarios = scenario::all();
    for trap in 1..=19 {
        let held = TRAPS.iter().any(|(n, ..)| *n == trap);
        let not = NOT_HANDLED.iter().any(|(n, _)| *n == trap);
        assert!(held != not, "trap {trap}: a test or a reason, and not both");
    }
    for (trap, what, name) in TRAPS {
        let found = scenarios.iter().find(|(n, _)| n == name);
        let Some((_, scenario)) = found else { panic!("trap {trap} ({what}): no scenario {name}") };
        assert!(scenario.traps.contains(trap), "{name} does not name trap {trap}");
    }
    for (name, scenario) in &scenarios {
        for trap in &scenario.traps {
            assert!(TRAPS.iter().any(|(n, ..)| n == trap), "{name}: trap {trap} is not in the table");
        }
    }
}

/// The faults that the lab knows how to make on a real pair, each with a scenario of what the views then say.
const FAULTS: &[&str] = &[
    "idle primary",
    "fresh connection",
    "replay paused",
    "delayed standby",
    "hang of receiver",
    "standby stopped",
    "slot lost",
    "receive below replay after a restart",
    "primary crash",
    "primary hang",
    "split brain",
    "same server",
    "missing pg_monitor",
    "timeline differs after promote",
    "parity",
    "archiver failing",
    "archiver recovered",
];

#[test]
fn every_lab_fault_has_a_scenario() {
    let scenarios = scenario::all();
    for fault in FAULTS {
        assert!(scenarios.iter().any(|(_, s)| s.faults.iter().any(|f| f == fault)), "{fault}");
    }
    for (name, s) in &scenarios {
        for fault in &s.faults {
            assert!(FAULTS.contains(&fault.as_str()), "{name}: {fault} is not in the table");
        }
    }
}
