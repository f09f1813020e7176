//! Which trap of replication is held by which test on real servers. What only a scenario holds is in `tests/scenarios`.

/// (trap, what it is, the tests' file, the test).
const TRAPS: &[(u8, &str, &str, &str)] = &[
    (1, "the last commit's age grows while idle", LAB, "an_idle_pair_stays_ready_and_its_loss_bounded"),
    (1, "and is NULL after a restart", LAB, "a_standby_that_restarts_without_its_primary_has_lost_nothing"),
    (2, "received equals replayed, and it is cut off", LAB, "a_lost_slot"),
    (3, "replay_lag is tiny while replay is paused or delayed", LAB, "replay_paused_and_delayed"),
    (
        3,
        "and while the receiver hangs, in state streaming",
        LAB,
        "a_frozen_receiver_shows_as_loss_and_not_as_streaming",
    ),
    (3, "and the row is gone when the standby is", LAB, "a_stopped_standby"),
    (4, "bytes jump by a segment or a burst", RED, "minutes_of_everything_healthy"),
    (6, "the last checkpoint's timeline is the old one", LAB, "split_brain_and_the_way_through_it"),
    (6, "a standby on another timeline", LAB, "a_standby_on_another_timeline"),
    (8, "both say that they take writes", LAB, "split_brain_and_the_way_through_it"),
    (9, "a failing archiver", LAB, "an_archiver_that_fails_and_recovers"),
    (10, "a standby that takes no connections", LAB, "a_standby_that_refuses_to_be_hot"),
    (10, "in recovery, of another cluster", LAB, "two_clusters_and_one_server_twice"),
    (
        13,
        "the receive position lies after a restart",
        LAB,
        "a_standby_that_restarts_without_its_primary_has_lost_nothing",
    ),
    (14, "what was received is not lost", LAB, "replay_paused_and_delayed"),
    (16, "promoted, but hanging", LAB, "commits_that_hang_for_want_of_a_synchronous_standby"),
    (17, "one server behind both addresses", LAB, "two_clusters_and_one_server_twice"),
    (19, "refusals told apart", LAB, "wrong_password_no_access_and_no_such_database"),
    (19, "each by its SQLSTATE", MATRIX, "every_kind_of_lane_against_every_fault"),
];

/// Traps that no test on real servers holds, and why.
const NOT_HERE: &[(u8, &str)] = &[
    (5, "a cascade needs a third server: scenario only"),
    (7, "pg_promote's own answer: a step's postcondition, and nothing promotes yet"),
    (11, "an alias that leads elsewhere: scenario only"),
    (12, "managed services: none is here to test against"),
    (15, "a fence: nothing fences yet; the read-only default on a standby is a scenario"),
    (18, "the advisory lock at the candidate: nothing acts yet"),
];

const LAB: &str = include_str!("lab_faults.rs");
const RED: &str = include_str!("no_false_red.rs");
const MATRIX: &str = include_str!("matrix.rs");

#[test]
fn every_trap_has_a_test_on_real_servers_or_a_reason() {
    for trap in 1..=19 {
        let held = TRAPS.iter().any(|(n, ..)| *n == trap);
        let not = NOT_HERE.iter().any(|(n, _)| *n == trap);
        assert!(held != not, "trap {trap}: a test or a reason, and not both");
    }
    for (trap, what, file, test) in TRAPS {
        assert!(file.contains(&format!("#[test]\nfn {test}()")), "trap {trap} ({what}): no test {test}");
    }
}
