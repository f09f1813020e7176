//! Which trap of the field is held by which test. A trap without a test is listed as not handled, with the reason.

use crate::scenario;
use crate::trap_list::{self, Held, Not, hold};

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

const L: &str = "tests/scenarios/logical.rs";
const EACH: &str = "each_fault_has_its_finding";
const LOGICAL: &[Held] = &[
    ("sequences", L, EACH, "sequences-behind"),
    ("ddl", L, EACH, "columns-differ"),
    ("added-table", L, EACH, "tables-not-subscribed"),
    ("replica-identity", L, EACH, "no-replica-identity"),
    ("leftovers", L, "what_is_left_behind_is_named", "unlogged tables"),
    ("roles", L, "what_is_left_behind_is_named", "extensions"),
    ("truncate", L, EACH, "truncates"),
    ("conflict", L, EACH, "apply-fails"),
    ("publisher-failover", "tests/scenarios/traps.rs", "logical_slots_of_a_publisher_stay_behind", "slot-not-synced"),
    ("crash-loop", L, EACH, "rises"),
    ("no-worker", L, EACH, "worker-not-running"),
    ("table-state", L, EACH, "tables-not-copied"),
    ("disabled", L, EACH, "subscription-disabled"),
    ("slot", L, EACH, "slot-lost"),
    (
        "idle-age",
        L,
        "what_was_applied_bounds_the_loss_and_goes_on_doing_so_when_the_publisher_is_gone",
        "Bound::AtMost",
    ),
];
const NOT_LOGICAL: &[Not] = &[
    ("divergence", "only a query of the operator's own sees it: sql-check, in a test on real servers"),
    ("sync-worker", "the question itself asks for the row without a table; what it answers is a test on real servers"),
    ("triggers", "no view tells what a subscriber's triggers would have done: the schema's owner knows"),
    ("failover", "a step's order: nothing acts yet"),
    ("failback", "the way back: nothing acts yet"),
];

const P: &str = "tests/scenarios/patroni.rs";
const AMISS: &str = "what_is_amiss_has_its_finding";
const PARSE: &str = "src/systems/patroni/parse/tests.rs";
const PATRONI: &[Held] = &[
    ("1", P, "a_standby_cluster_that_shows_no_lag_is_measured_against_the_active_site", "loss-above-rpo"),
    ("2", P, "a_lost_site_leaves_a_gate_with_consent", "Consent"),
    ("3", PARSE, "lag_is_a_number_or_unknown_and_nothing_else", "unknown"),
    ("4", P, "two_healthy_clusters_are_ready", "World"),
    ("5", P, AMISS, "\"paused\""),
    ("6", P, AMISS, "\"diverged\""),
    ("8", P, "two_active_clusters_are_a_split_brain", "SplitBrain"),
    ("9", P, AMISS, "\"failsafe\""),
    ("10", P, AMISS, "\"member-not-streaming\""),
    ("11", P, AMISS, "\"switchover-scheduled\""),
    ("role-words", PARSE, "a_leader_of_4_and_of_3", "3.0.2"),
];
const NOT_PATRONI: &[Not] = &[("7", "a manual failover is an action: nothing acts yet")];

const BR: &str = "src/systems/pgbackrest/rules/tests.rs";
const BM: &str = "src/systems/barman/rules/tests.rs";
const BACKUPS: &[Held] = &[
    ("archiver", "tests/scenarios/traps.rs", "archivers_are_judged_by_what_they_did_last", "archiver"),
    ("archive-off", "tests/scenarios/traps.rs", "archivers_are_judged_by_what_they_did_last", "archive-off"),
    ("archive-idle", BR, "the_log_must_go_on_from_the_newest_backup", "wal-continuous"),
    ("archive-after", "tests/scenarios/traps.rs", "archivers_are_judged_by_what_they_did_last", "would-not-archive"),
    ("br-status", BR, "every_status_of_a_repository_has_its_verdict", "status-not-known"),
    ("br-page-errors", BR, "age_is_that_of_the_newest_usable_backup", "[\"error\"]"),
    ("br-every-repo", BR, "copies_at_home_only_are_lost_with_it", "east"),
    ("br-gap", BR, "the_log_must_go_on_from_the_newest_backup", "wal-gap"),
    ("barman-done", BM, "only_what_is_complete_counts", "WAITING_FOR_WALS"),
    ("barman-age", BM, "only_what_is_complete_counts", "backup-too-old"),
    ("barman-passive", BM, "what_barman_finds_wrong_is_told", "Passive node"),
    ("dump-shrunk", "src/systems/backup_files/rules/size.rs", "sizes_against_the_least_and_the_one_before", "shrunk"),
    ("dump-dead", "src/systems/backup_files/rules/size.rs", "sizes_against_the_least_and_the_one_before", "too-small"),
    ("dump-end", "src/systems/backup_files/parse/form.rs", "ends_that_tell", "unrestrict"),
    ("dump-start", "src/systems/backup_files/rules/age.rs", "the_newest_is_held_against_the_limit", "was begun"),
    ("dump-clock", "src/systems/backup_files/rules/names.rs", "times_that_cannot_be", "future"),
    ("restore-proof", "src/systems/backup_files/rules/proof.rs", "a_proof_is_of_some_day", "never-proven"),
    ("key", BR, "every_status_of_a_repository_has_its_verdict", "key-does-not-open"),
    (
        "decode-memory",
        "src/systems/backup_files/memory.rs",
        "a_result_is_of_one_file_as_it_was_and_of_one_machine",
        "another machine",
    ),
];
const NOT_BACKUPS: &[Not] = &[
    ("br-cluster", "two probes at once: a test on a real repository and another cluster"),
    ("archive-lies", "PostgreSQL sees no failure: only a real repository shows it"),
    ("archive-library", "pg_stat_archiver counts for both alike; which of them is set is read and not judged"),
    ("archiver-reset", "after a crash no failure is known until the next attempt, a minute later at most"),
    ("br-check", "never run: only info and repo-ls are, which write nothing"),
    ("basebackup", "nothing reads manifests yet: age, size and a full read of an archive, or a restore, stand for it"),
    ("dump-list", "pg_restore decides it: a test on real dumps"),
    ("dump-roles", "what a dump lacks is not in it: declare it as [[plan.loss]], or let a restore prove it"),
    ("object-store", "no object store is read: only directories, and what pgBackRest and Barman say"),
];

const IR: &str = "src/systems/images/rules/presence.rs";
const IMAGES: &[Held] = &[
    ("single-platform", IR, "stale_single_platform_and_partial", "single-platform"),
    ("recompressed", "src/systems/images/rules/same.rs", "image_against_image", "Same"),
    ("blobs", "src/systems/images/rules/contents.rs", "whole_or_not", "not ready"),
    ("token-rights", "src/systems/images/parse/challenge.rs", "challenges_as_they_come", "scope"),
    ("refusals", "src/systems/images/parse/refusal.rs", "what_a_real_registry_says", "40"),
    (
        "rate-limit",
        "src/systems/images/quiet.rs",
        "it_is_left_alone_for_as_long_as_it_says_and_longer_each_time_where_it_does_not",
        "TooManyRequests",
    ),
    ("one-registry", "src/systems/images/rules/shared.rs", "one_registry_is_a_single_point_of_failure", "Degraded"),
    ("mutable-tag", IR, "stale_single_platform_and_partial", "stale"),
];
const NOT_IMAGES: &[Not] = &[
    ("accept", "what a registry answers without it: a test on real ones"),
    ("no-registry", "what answers there: a test on servers that are none"),
    ("pull-limit", "what is asked how often: counted by a test on real registries"),
];

const DNS: &[Held] = &[
    ("each-server", "src/systems/dns/rules/authority.rs", "one_dead_degrades_and_all_dead_is_not_ready", "degraded"),
    ("serials", "src/systems/dns/rules/serials.rs", "names_who_is_behind", "behind"),
    ("resolvers", "src/systems/dns/rules/resolvers.rs", "a_resolver_that_is_behind_is_named_with_how_long", "behind"),
    ("ttl-chain", "src/systems/dns/rules/ttl.rs", "every_link_is_held_against_the_limit", "CNAME"),
    ("refusals", "src/systems/dns/rules/authority.rs", "a_name_that_is_gone_is_proof", "nxdomain"),
    ("both-answer", "src/systems/dns/rules/endpoints.rs", "what_answers_and_what_does_not", "not ready"),
    ("dnssec", "src/systems/dns/rules/signatures.rs", "signatures_are_held_against_the_clock", "signature"),
];
const NOT_DNS: &[Not] = &[
    ("negative-ttl", "read, and not judged: a record that moves always existed"),
    ("token", "the provider's API is not asked: nothing changes a record yet"),
    ("one-region", "where a server stands is not known from its address; --assume-lost will ask"),
];

#[test]
fn every_trap_of_every_area_has_a_test_or_a_reason() {
    hold("logical", trap_list::LOGICAL, LOGICAL, NOT_LOGICAL);
    hold("patroni", trap_list::PATRONI, PATRONI, NOT_PATRONI);
    hold("backups", trap_list::BACKUPS, BACKUPS, NOT_BACKUPS);
    hold("images", trap_list::IMAGES, IMAGES, NOT_IMAGES);
    hold("dns", trap_list::DNS, DNS, NOT_DNS);
}

/// What scenario files hold, by name: that the file is judged as it says is another test.
fn expects(file: &str, words: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/cases").join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(words), "{file} expects nothing of {words}");
}

#[test]
fn logical_slots_of_a_publisher_stay_behind() {
    expects("logical_slots.toml", "slot-not-synced");
}

#[test]
fn archivers_are_judged_by_what_they_did_last() {
    expects("archiver.toml", "archiver-failing");
    expects("by_archive.toml", "archive-off");
    expects("would_not_archive.toml", "would-not-archive");
}
