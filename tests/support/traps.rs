//! The traps of every area but streaming replication, which has a table of its own by number: what readings that look well
//! hide. Each folder of tests says which of its tests holds each, or why none does.

/// A trap: its name, and what it is.
pub type Trap = (&'static str, &'static str);

/// Logical replication.
pub const LOGICAL: &[Trap] = &[
    ("sequences", "sequences are not replicated"),
    ("ddl", "changes of the schema are not replicated"),
    ("added-table", "a table that is added to a publication is silently absent until REFRESH PUBLICATION"),
    ("replica-identity", "without a replica identity an UPDATE fails on the publisher"),
    ("leftovers", "large objects, unlogged tables and the content of materialized views are not replicated"),
    ("roles", "roles, grants and extensions are not replicated"),
    ("truncate", "TRUNCATE is replicated only where it is published"),
    ("triggers", "triggers and foreign keys of the subscriber are off while it applies"),
    ("conflict", "the subscriber takes writes all the time: one row there makes the worker die again and again"),
    ("divergence", "and rows that are changed there without a conflict are seen nowhere"),
    (
        "publisher-failover",
        "slots do not survive a failover of the publisher before 17, and after it only where they are synced",
    ),
    ("crash-loop", "enabled, often with a process, and only a counter of errors rises"),
    ("no-worker", "enabled, and without an apply worker"),
    ("sync-worker", "a worker that copies one table has a row as the apply worker has"),
    ("table-state", "a table that is not in state r is not replicated, whatever the worker does"),
    ("disabled", "a subscription that is disabled"),
    ("slot", "a slot that is inactive or lost"),
    ("idle-age", "latest_end_time grows while idle"),
    ("failover", "a failover is DISABLE, SET (slot_name = NONE), setval: DROP hangs without the publisher"),
    ("failback", "the way back needs origin = none, or a new copy"),
];

/// Patroni. The numbers are those of the project's list.
pub const PATRONI: &[Trap] = &[
    ("1", "all lags of a standby cluster are relative to its own leader: hours behind, it shows 0"),
    ("2", "a cluster's lag is frozen when its leader is dead, and clamps at 0"),
    ("3", "an unknown lag is the word unknown, and printed as nothing"),
    ("4", "the active site's list never shows the standby cluster"),
    ("5", "in maintenance mode nothing fails over, and two primaries are only warned of"),
    ("6", "check_timeline is off: a member on another timeline may lead"),
    ("7", "a manual failover without a leader skips every check"),
    ("8", "the promotion of a standby cluster has no guard against a split brain"),
    ("9", "in failsafe mode one silent member demotes the primary"),
    ("10", "state running of a replica that streams nothing"),
    ("11", "a switchover that was scheduled, or maintenance mode, is left over"),
    ("role-words", "3.x says master, 4.x says primary"),
];

/// Backups and archived log.
pub const BACKUPS: &[Trap] = &[
    ("archiver", "the archiver fails where its last failure is newer than its last success and files wait"),
    ("archive-off", "with archive_mode = off all counters are zero: not configured, not well"),
    ("archive-idle", "an old last_archived_time is normal while idle"),
    ("archive-lies", "archived is what the command said: /bin/true"),
    ("archive-after", "a standby that would not archive once it is promoted"),
    ("archive-library", "archive_library replaces archive_command"),
    ("archiver-reset", "the counters are reset by a crash before 15"),
    ("br-status", "each status code of pgBackRest means something else"),
    ("br-page-errors", "a backup with error = true has broken pages"),
    ("br-every-repo", "each repository by itself; the one that would be left is what counts"),
    ("br-cluster", "the repository may belong to another cluster"),
    ("br-gap", "info does not see a gap in the log"),
    ("br-check", "pgbackrest check switches the log: not for somebody who only looks"),
    ("barman-done", "of Barman's states only DONE counts"),
    ("barman-age", "without a limit of its own Barman calls every age right"),
    ("barman-passive", "check on a passive node checks something else"),
    ("basebackup", "a base backup is proven by pg_verifybackup and its manifest"),
    ("dump-list", "pg_restore --list of half a dump succeeds"),
    ("dump-dead", "pg_dump of a dead server, piped into gzip, leaves 20 good bytes"),
    ("dump-shrunk", "half the size of the one before"),
    ("dump-end", "a plain dump's last line is not always its last line"),
    ("dump-roles", "a dump has no roles and no tablespaces"),
    ("dump-start", "a dump is as old as its start, not its end"),
    ("dump-clock", "clock and time zone of whoever wrote it"),
    ("object-store", "listings of object stores are replicated late"),
    ("restore-proof", "a backup that nobody ever restored"),
    ("key", "the key of an encrypted repository is not where one would restore"),
    ("decode-memory", "a result of another file, or of another machine's, is not this one's"),
];

/// Images.
pub const IMAGES: &[Trap] = &[
    ("accept", "without every media type a registry answers with a child of the index, or not at all"),
    ("single-platform", "a copy without --all has another digest, and is not stale"),
    ("recompressed", "a copy that compresses has another digest, and is the same"),
    ("blobs", "a manifest is there, and a layer of it is not"),
    ("token-rights", "a token with fewer rights than asked for is no error of the token server's"),
    ("refusals", "not found, not allowed, not known who asks, and asked too often are four things"),
    ("rate-limit", "who wants to be left alone is left alone"),
    ("no-registry", "HTTP 404, or 200, of what is no registry proves nothing"),
    ("one-registry", "one registry for every site goes with the site that has it"),
    ("pull-limit", "a GET counts as a pull: nothing is asked for twice"),
    ("mutable-tag", "a tag moves on"),
];

/// DNS.
pub const DNS: &[Trap] = &[
    ("each-server", "each authoritative server by itself, and not recursively"),
    ("serials", "servers with another serial are behind"),
    ("resolvers", "what users' resolvers say, beside the authoritative servers"),
    (
        "ttl-chain",
        "the time to live of every link, as the authoritative servers give it and not as a cache counts it down",
    ),
    ("refusals", "NXDOMAIN, SERVFAIL and silence are three things"),
    ("negative-ttl", "a name that did not exist is remembered too"),
    ("both-answer", "both sites' endpoints must answer before the record moves"),
    ("token", "the token of the provider's API is valid"),
    ("one-region", "a zone that only the failing region serves"),
    ("dnssec", "signatures expire"),
];

/// A test that holds a trap: the trap's name, the test's file, the test, and words that must be in it.
pub type Held = (&'static str, &'static str, &'static str, &'static str);
/// A trap that no test of a folder holds, and why.
pub type Not = (&'static str, &'static str);

/// The text of one test in a file: from its attribute to its closing brace.
fn body<'a>(file: &'a str, test: &str) -> Option<&'a str> {
    let lines: Vec<&str> = file.lines().collect();
    let named = |l: &str| {
        let l = l.trim_start();
        l.starts_with(&format!("fn {test}(")) || l.starts_with(&format!("async fn {test}("))
    };
    let at = lines.iter().position(|l| named(l))?;
    let before = lines[..at].iter().rev().take_while(|l| l.trim_start().starts_with("#["));
    let attributes: Vec<&str> = before.map(|l| l.trim()).collect();
    let is_test = attributes.iter().any(|a| a.starts_with("#[test]") || a.starts_with("#[tokio::test"));
    if !is_test || attributes.iter().any(|a| a.contains("ignore")) {
        return None;
    }
    let indent = lines[at].len() - lines[at].trim_start().len();
    let end = lines[at..].iter().position(|l| *l == format!("{}}}", " ".repeat(indent)))? + at;
    let start = lines[at].as_ptr() as usize - file.as_ptr() as usize;
    let stop = lines[end].as_ptr() as usize - file.as_ptr() as usize;
    file.get(start..stop)
}

/// Fails unless each trap is held or not, and not both; and each test that is said to hold one is there, is not ignored and
/// has the words in it.
pub fn hold(area: &str, traps: &[Trap], held: &[Held], not: &[Not]) {
    for (name, what) in traps {
        let (is_held, is_not) = (held.iter().any(|h| h.0 == *name), not.iter().any(|n| n.0 == *name));
        assert!(is_held != is_not, "{area} {name} ({what}): a test or a reason, and not both");
    }
    for name in held.iter().map(|h| h.0).chain(not.iter().map(|n| n.0)) {
        assert!(traps.iter().any(|t| t.0 == name), "{area} {name}: no such trap");
    }
    for (name, path, test, words) in held {
        let file = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
        let file = file.unwrap_or_else(|e| panic!("{area} {name}: {path}: {e}"));
        let Some(body) = body(&file, test) else { panic!("{area} {name}: no test {test} in {path}") };
        assert!(body.contains(words), "{area} {name}: nothing of {words:?} in {test}");
    }
    for (name, why) in not {
        assert!(why.len() > 10, "{area} {name}: why?");
    }
}

/// What no test says.
#[cfg(test)]
const ABSENT: &str = "nowhere but here";

#[test]
fn a_test_that_is_not_there_is_noticed() {
    let file = "#[test]\nfn there() {\n    code(\"x\");\n}\nfn no_test() {\n}\n#[test]\n#[ignore]\nfn not_run() {\n}\n";
    assert!(body(file, "there").is_some_and(|b| b.contains("\"x\"")));
    assert_eq!((body(file, "no_test"), body(file, "not_run"), body(file, "gone")), (None, None, None));
    let fails = |held: &[Held], not: &[Not]| {
        let (held, not) = (held.to_vec(), not.to_vec());
        std::panic::catch_unwind(move || hold("area", &[("a", "what")], &held, &not)).is_err()
    };
    let this = "tests/support/traps.rs";
    let own = "a_test_that_is_not_there_is_noticed";
    assert!(!fails(&[("a", this, own, "catch_unwind")], &[]));
    assert!(!fails(&[], &[("a", "there is a reason")]));
    assert!(fails(&[], &[]));
    assert!(fails(&[("a", this, own, "catch_unwind")], &[("a", "there is a reason")]));
    assert!(fails(&[("a", this, "gone", "")], &[]));
    assert!(fails(&[("a", this, own, ABSENT)], &[]));
    assert!(fails(&[("a", "tests/no/such/file.rs", own, "")], &[]));
    assert!(fails(&[("b", this, own, "")], &[("a", "there is a reason")]));
}
