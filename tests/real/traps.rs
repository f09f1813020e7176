//! Which trap of replication is held by which test on real servers. What only a scenario holds is in `tests/scenarios`.

use crate::trap_list::{self, Held, Not, hold};

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

const LOGIC: &str = "tests/real/postgres_logical.rs";
const FAULTS: &str = "an_idle_subscriber_stays_ready_and_each_fault_is_named";
const VIEWS: &str = "what_no_other_view_tells_of_a_subscription";
const LOGICAL: &[Held] = &[
    ("sequences", LOGIC, FAULTS, "sequences-behind"),
    ("ddl", LOGIC, FAULTS, "columns-differ"),
    ("added-table", LOGIC, FAULTS, "tables-not-subscribed"),
    ("replica-identity", LOGIC, FAULTS, "no-replica-identity"),
    ("leftovers", LOGIC, FAULTS, "unlogged tables"),
    ("truncate", LOGIC, VIEWS, "publication-partial"),
    ("conflict", LOGIC, FAULTS, "apply-fails"),
    ("divergence", "tests/real/sql_check.rs", "each_answer_is_told_exactly", "sites-differ"),
    ("crash-loop", LOGIC, FAULTS, "no flicker"),
    ("no-worker", LOGIC, VIEWS, "worker-not-running"),
    ("sync-worker", LOGIC, VIEWS, "tables-not-copied"),
    ("table-state", LOGIC, VIEWS, "tables-not-copied"),
    ("disabled", LOGIC, FAULTS, "subscription-disabled"),
    ("slot", LOGIC, "a_lost_slot_and_a_lost_publisher", "slot-lost"),
    ("idle-age", LOGIC, FAULTS, "seven looks"),
];
const NOT_LOGICAL: &[Not] = &[
    ("roles", "that they are not replicated is no finding of a server's: a scenario reads the sentence"),
    ("triggers", "no view tells what a subscriber's triggers would have done: the schema's owner knows"),
    ("publisher-failover", "a pair with a subscriber needs three servers of 17: scenario only"),
    ("failover", "a step's order: nothing acts yet"),
    ("failback", "the way back: nothing acts yet"),
];

const PAT: &str = "tests/real/patroni.rs";
const PATRONI: &[Held] = &[
    ("1", PAT, "patroni_3", "does not move"),
    ("2", PAT, "patroni_4", "unreachable, not down"),
    ("4", PAT, "patroni_4", "&lab.west"),
    ("5", PAT, "patroni_4", "maintenance"),
    ("6", PAT, "patroni_4", "same-history"),
    ("8", PAT, "patroni_4", "SplitBrain"),
    ("10", PAT, "patroni_4", "not-streaming"),
    ("11", PAT, "patroni_4", "switchover-scheduled"),
    ("role-words", PAT, "patroni_3", "Version::Packaged"),
];
const NOT_PATRONI: &[Not] = &[
    ("3", "an unknown lag lasts for a moment here: the readers' own tests have it from real answers"),
    ("7", "a manual failover is an action: nothing acts yet"),
    ("9", "failsafe mode needs the active cluster's DCS lost, and a member silent at that moment: scenario only"),
];

const BR: &str = "tests/real/pgbackrest.rs";
const STANZA: &str = "a_stanza_is_told_as_it_is";
const BOUNDS: &str = "what_repositories_hold_bounds_the_loss";
const BM: &str = "tests/real/barman.rs";
const SERVER: &str = "a_server_is_told_as_it_is";
const DUMPS: &str = "tests/real/backup_files.rs";
const MADE: &str = "every_fault_is_named_and_none_is_green";
const BACKUPS: &[Held] = &[
    ("archiver", "tests/real/lab_faults.rs", "an_archiver_that_fails_and_recovers", "archiver"),
    ("archive-idle", "tests/real/all_healthy.rs", "minutes_of_everything_healthy", "healthy::all"),
    ("archive-lies", BR, STANZA, "/bin/true"),
    ("br-status", BR, STANZA, "no-stanza"),
    ("br-every-repo", BR, BOUNDS, "would be lost with it"),
    ("br-cluster", BR, BOUNDS, "other-cluster"),
    ("br-gap", BR, STANZA, "wal-gap"),
    ("barman-done", BM, SERVER, "WAITING_FOR_WALS"),
    ("barman-age", BM, SERVER, "backup-too-old"),
    ("dump-list", DUMPS, MADE, "FAULTS"),
    ("dump-dead", DUMPS, MADE, "FAULTS"),
    ("dump-shrunk", DUMPS, MADE, "FAULTS"),
    ("dump-end", DUMPS, "whole_backups_of_every_format_are_ready", "plain"),
    ("dump-clock", DUMPS, MADE, "FAULTS"),
    ("restore-proof", DUMPS, "a_restore_that_was_measured_is_part_of_the_time_and_copies_are_counted", "proof"),
    ("key", BR, STANZA, "key-does-not-open"),
    ("decode-memory", DUMPS, "what_was_read_in_full_is_known_to_the_next_check", "another"),
];
const NOT_BACKUPS: &[Not] = &[
    ("archive-off", "what the settings say: scenario only"),
    ("archive-after", "what the settings say: scenario only"),
    ("archive-library", "pg_stat_archiver counts for both alike; which of them is set is read and not judged"),
    ("archiver-reset", "after a crash no failure is known until the next attempt, a minute later at most"),
    ("br-page-errors", "a cluster with broken checksums is not made here: the rule's own test"),
    ("br-check", "never run: only info and repo-ls are, which write nothing"),
    ("barman-passive", "needs a second Barman that is copied to: the rule's own test"),
    ("basebackup", "nothing reads manifests yet: age, size and a full read of an archive, or a restore, stand for it"),
    ("dump-roles", "what a dump lacks is not in it: declare it as [[plan.loss]], or let a restore prove it"),
    ("dump-start", "a dump that takes hours is not made here: the rule's own test"),
    ("object-store", "no object store is read: only directories, and what pgBackRest and Barman say"),
];

const REG: &str = "tests/real/images.rs";
const WRONG: &str = "what_goes_wrong_between_two_registries";
const IMAGES: &[Held] = &[
    ("accept", REG, WRONG, "single-platform"),
    ("single-platform", REG, WRONG, "single-platform"),
    ("recompressed", REG, WRONG, "UNCOMPRESSED"),
    ("blobs", REG, "an_image_that_cannot_be_pulled_is_found", "delete"),
    ("token-rights", REG, "tokens", "token"),
    ("refusals", REG, "tokens", "token"),
    ("rate-limit", REG, "a_registry_that_wants_to_be_left_alone", "429"),
    ("no-registry", "tests/real/matrix_images.rs", "registries_and_token_servers_against_every_fault", "FIXTURE"),
    ("one-registry", REG, "one_registry_for_all_sites", "shared"),
    ("pull-limit", REG, "a_warm_look_asks_for_nothing_twice", "assert"),
    ("mutable-tag", REG, WRONG, "stale"),
];
const NOT_IMAGES: &[Not] = &[];

const NAMES: &str = "tests/real/dns.rs";
const DNS: &[Held] = &[
    ("each-server", NAMES, "one_server_stopped_degrades_and_all_stopped_is_not_ready", "stop"),
    ("serials", NAMES, "serials_that_differ_name_who_is_behind", "serial"),
    (
        "resolvers",
        NAMES,
        "a_move_is_seen_at_the_servers_first_and_at_the_resolver_when_its_time_has_run_out",
        "resolver",
    ),
    ("ttl-chain", NAMES, "a_time_to_live_above_the_limit", "ttl"),
    ("refusals", NAMES, "nxdomain_servfail_and_refused_are_apart", "servfail"),
    ("both-answer", NAMES, "both_sites_endpoints_must_answer", "endpoint"),
    ("dnssec", NAMES, "signatures_that_expire", "sign"),
];
const NOT_DNS: &[Not] = &[
    ("negative-ttl", "read, and not judged: a record that moves always existed"),
    ("token", "the provider's API is not asked: nothing changes a record yet"),
    ("one-region", "where a server stands is not known from its address; --assume-lost will ask"),
];

const LAB: &str = include_str!("lab_faults.rs");
const RED: &str = include_str!("all_healthy.rs");
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

#[test]
fn every_trap_of_every_area_has_a_test_on_real_servers_or_a_reason() {
    hold("logical", trap_list::LOGICAL, LOGICAL, NOT_LOGICAL);
    hold("patroni", trap_list::PATRONI, PATRONI, NOT_PATRONI);
    hold("backups", trap_list::BACKUPS, BACKUPS, NOT_BACKUPS);
    hold("images", trap_list::IMAGES, IMAGES, NOT_IMAGES);
    hold("dns", trap_list::DNS, DNS, NOT_DNS);
}
