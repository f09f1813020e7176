//! Patroni as it is: an active and a standby cluster, healthy and broken in each way that matters.

use std::process::Command;
use std::time::Duration;

use lifeboat::clock;
use lifeboat::readiness::{ActiveSite, Bound, Finding, Gate, PlanStatus, Situation, Verdict};
use serde_json::json;

use crate::patroni_lab::{Lab, Member, SECRET, Version, http};
use crate::pg::{signal, until};
use crate::watch::{Watch, describe, has};

const SOON: Duration = Duration::from_secs(90);
/// For as long as a dead leader's lock lives, and a good while to find a new one.
const TTL: Duration = Duration::from_secs(120);

fn found<'a>(status: &'a PlanStatus, code: &str) -> Option<&'a Finding> {
    status.findings.iter().find(|f| f.code == code)
}

fn about(status: &PlanStatus, site: &str, verdict: Verdict, rule: &str, code: &str) -> bool {
    let is = |f: &&Finding| f.subject.site.as_ref().is_some_and(|s| s.as_str() == site);
    status.findings.iter().filter(is).any(|f| f.verdict == verdict && f.rule.as_str() == rule && f.code == code)
}

/// The finding comes, and goes once `mend` has mended what `make` broke.
fn comes_and_goes(
    watch: &Watch,
    what: (&str, Verdict, &str, &str),
    make: impl FnOnce(),
    check: impl FnOnce(&PlanStatus),
    mend: impl FnOnce(),
) {
    let (site, verdict, rule, code) = what;
    let begun = clock::now();
    make();
    watch.until("lab", code, SOON, |s| about(s, site, verdict, rule, code));
    let status = watch.newest("lab").unwrap();
    check(&status);
    mend();
    watch.until("lab", &format!("ready after {code}"), SOON, |s| s.readiness == Verdict::Ready);
    println!("{site} {code}: came and went in {:?}", clock::now().since(begun));
}

/// A healthy pair of clusters is ready, with a bound, and with nothing of a secret in what was read.
fn healthy(watch: &Watch) {
    watch.until_ready("lab");
    watch.until("lab", "a bounded loss", SOON, |s| {
        s.exposures.iter().any(|e| matches!(e.bound, Bound::AtMost { span } if span.0 < Duration::from_secs(10)))
    });
    let status = watch.newest("lab").unwrap();
    assert_eq!(status.situation, Situation::Normal, "{}", describe(&status));
    assert!(matches!(&status.active.database, ActiveSite::At(s) if s.as_str() == "east"));
    assert_eq!(status.gates.to.as_ref().map(|s| s.as_str()), Some("west"));
    assert!(matches!(status.gates.failover, Gate::Consent(_)), "{:?}", status.gates.failover);
    assert!(has(&status, Verdict::Ready, "patroni.promotable", "promotable"), "{}", describe(&status));
    assert!(has(&status, Verdict::Ready, "patroni.history", "same-history"), "{}", describe(&status));
    let all = format!("{:?} {status:?}", watch.looks());
    assert!(!all.contains(SECRET), "a secret was kept");
}

/// Runs a subcommand on this configuration; gives its exit code and what it printed.
fn lifeboat(configuration: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.toml");
    std::fs::write(&file, format!("state = \"{}\"\n{configuration}", dir.path().join("state").display())).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
    let out = command.arg("--config").arg(&file).args(arguments).env("HOME", dir.path()).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(!text.contains(SECRET));
    (out.status.code(), text)
}

/// One look is enough, as cron would have it; and `doctor` says whom it saw.
fn once(configuration: &str) {
    let begun = clock::now();
    let (code, text) = lifeboat(configuration, &["check", "--format", "json"]);
    assert_eq!(code, Some(0), "{text}");
    println!("a check took {:?}", clock::now().since(begun));
    let (code, text) = lifeboat(configuration, &["doctor"]);
    assert_eq!(code, Some(1), "{text}");
    assert_eq!((text.matches("Patroni 3.0.2").count(), text.matches("without TLS").count()), (4, 4), "{text}");
    assert!(!text.contains("clock-skew") && !text.contains("the clock of"), "{text}");
}

fn receiver(member: &Member) -> u32 {
    member.sql("SELECT pid FROM pg_stat_wal_receiver").parse().unwrap()
}

fn follow(member: &Member, port: u16) {
    member.patch(json!({ "standby_cluster": { "host": "127.0.0.1", "port": port } }));
}

#[test]
fn patroni_4() {
    let lab = Lab::start(Version::Newest);
    let [n1, n2] = &lab.east;
    let [n4, n5] = &lab.west;
    let watch = Watch::start(&lab.configuration());
    healthy(&watch);
    assert!(has(&watch.newest("lab").unwrap(), Verdict::Ready, "patroni.stream", "streaming"));

    // What somebody left behind.
    comes_and_goes(
        &watch,
        ("west", Verdict::NotReady, "patroni.mode", "paused"),
        || n4.patch(json!({ "pause": true })),
        |s| {
            assert!(
                matches!(&s.gates.failover, Gate::No(why) if why.iter().any(|w| w.as_str().contains("maintenance")))
            );
            assert!(!has(s, Verdict::Ready, "patroni.promotable", "promotable"));
        },
        || n4.patch(json!({ "pause": null })),
    );
    comes_and_goes(
        &watch,
        ("east", Verdict::Degraded, "patroni.mode", "paused"),
        || n1.patch(json!({ "pause": true })),
        |s| assert_eq!(s.readiness, Verdict::Degraded, "{}", describe(s)),
        || n1.patch(json!({ "pause": null })),
    );
    comes_and_goes(
        &watch,
        ("east", Verdict::Degraded, "patroni.mode", "switchover-scheduled"),
        || {
            let at = (clock::now().wall + chrono::Duration::hours(1)).to_rfc3339();
            let body = json!({ "leader": "n1", "candidate": "n2", "scheduled_at": at });
            let answer = http(n1.rest, "POST", "/switchover", Some(&body));
            assert_eq!(answer.as_ref().map(|a| a.0), Some(202), "{answer:?}");
        },
        |s| assert!(found(s, "switchover-scheduled").unwrap().sentence.as_str().contains("from n1 to n2")),
        || assert_eq!(http(n1.rest, "DELETE", "/switchover", None).map(|a| a.0), Some(200)),
    );
    comes_and_goes(
        &watch,
        ("east", Verdict::Degraded, "patroni.sync", "no-sync-standby"),
        || {
            n2.signal("STOP");
            n1.patch(json!({ "synchronous_mode": true }));
        },
        |_| {},
        || {
            n2.signal("CONT");
            n1.patch(json!({ "synchronous_mode": null }));
        },
    );

    // A member that hangs costs itself alone.
    comes_and_goes(
        &watch,
        ("west", Verdict::Degraded, "patroni.members", "member-silent"),
        || n5.signal("STOP"),
        |s| {
            assert_eq!(s.readiness, Verdict::Degraded, "{}", describe(s));
            assert!(has(s, Verdict::Ready, "patroni.promotable", "promotable"), "{}", describe(s));
        },
        || n5.signal("CONT"),
    );
    // The active leader's Patroni hangs: whether its PostgreSQL takes writes, nobody can say.
    n1.signal("STOP");
    watch.until("lab", "unreachable", SOON, |s| matches!(s.situation, Situation::PrimaryUnreachable { .. }));
    n1.signal("CONT");
    watch.until_ready("lab");

    // A replica whose receiver hangs, by its own leader's measure.
    let pid = receiver(n2);
    comes_and_goes(
        &watch,
        ("east", Verdict::Degraded, "patroni.candidates", "replica-lagging"),
        || {
            signal(pid, "STOP");
            n1.sql("CREATE TABLE burst AS SELECT repeat('x', 900) FROM generate_series(1, 4000)");
        },
        |s| assert!(about(s, "west", Verdict::Ready, "patroni.stream", "streaming"), "{}", describe(s)),
        || signal(pid, "CONT"),
    );

    // A switchover within the active site, and back: nothing turns red, whatever is seen on the way.
    for (from, to) in [(n1, n2), (n2, n1)] {
        let begun = clock::now();
        let answer =
            http(from.rest, "POST", "/switchover", Some(&json!({ "leader": from.name, "candidate": to.name })));
        assert_eq!(answer.as_ref().map(|a| a.0), Some(200), "{answer:?}");
        watch.until("lab", "the new leader leads", SOON, |s| {
            s.readiness == Verdict::Ready
                && found(s, "leader").is_some_and(|f| f.sentence.as_str().starts_with(to.name))
        });
        for moment in watch.since("lab", begun) {
            assert_ne!(moment.status.readiness, Verdict::NotReady, "{}", describe(&moment.status));
        }
        println!("switchover to {}: ready after {:?}", to.name, clock::now().since(begun));
    }

    // The leader of the active cluster dies, and the DCS of the standby cluster hangs meanwhile.
    signal(lab.dcs_west, "STOP");
    n1.kill();
    watch.until("lab", "unreachable, not down", SOON, |s| matches!(s.situation, Situation::PrimaryUnreachable { .. }));
    watch.until("lab", "the DCS is lost", TTL, |s| about(s, "west", Verdict::NotReady, "patroni.dcs", "dcs-lost"));
    let status = watch.newest("lab").unwrap();
    assert!(matches!(&status.gates.failover, Gate::No(why) if why.iter().any(|w| w.as_str().contains("DCS"))));
    signal(lab.dcs_west, "CONT");
    watch.until("lab", "n2 took over", TTL, |s| s.situation == Situation::Normal);
    watch.until("lab", "n1 is missed", SOON, |s| {
        about(s, "east", Verdict::Degraded, "patroni.members", "old-primary-silent")
            && about(s, "west", Verdict::NotReady, "patroni.stream", "not-streaming")
    });
    until("the standby cluster answers again", || n4.get("/cluster").is_some());
    follow(n4, n2.pg);
    watch.until("lab", "it follows n2", SOON, |s| {
        about(s, "west", Verdict::Ready, "patroni.stream", "streaming")
            && about(s, "west", Verdict::Ready, "patroni.history", "same-history")
            && s.readiness == Verdict::Degraded
    });

    // Maintenance mode keeps a standby cluster from being promoted, as the rule says; then both sites take writes.
    n4.patch(json!({ "pause": true, "standby_cluster": null }));
    let leads = |m: &serde_json::Value| matches!(m["role"].as_str(), Some("leader" | "standby_leader"));
    let none = |c: &serde_json::Value| c["members"].as_array().is_some_and(|m| !m.iter().any(leads));
    until("Patroni gives the lock away", || n4.get("/cluster").as_ref().is_some_and(none));
    watch.until("lab", "no leader", SOON, |s| about(s, "west", Verdict::NotReady, "patroni.leader", "no-leader"));
    assert!(!n4.writes() && !n5.writes());
    let begun = clock::now();
    n4.patch(json!({ "pause": null }));
    watch.until(
        "lab",
        "split brain",
        SOON,
        |s| matches!(&s.situation, Situation::SplitBrain { sites } if sites.len() == 2),
    );
    println!("a split brain is seen {:?} after the promotion was let go", clock::now().since(begun));
    let status = watch.newest("lab").unwrap();
    assert!(matches!(&status.gates.failover, Gate::No(_)), "{:?}", status.gates.failover);
}

#[test]
fn patroni_3() {
    let lab = Lab::start(Version::Packaged);
    let [n1, _] = &lab.east;
    let [n4, _] = &lab.west;
    let watch = Watch::start(&lab.configuration());
    healthy(&watch);
    assert!(has(&watch.newest("lab").unwrap(), Verdict::Ready, "patroni.stream", "stream-unsaid"));
    once(&lab.configuration());
    comes_and_goes(
        &watch,
        ("west", Verdict::NotReady, "patroni.mode", "paused"),
        || n4.patch(json!({ "pause": true })),
        |_| {},
        || n4.patch(json!({ "pause": null })),
    );
    // This version does not say that nothing is streamed; its positions do, once the active site goes on.
    comes_and_goes(
        &watch,
        ("west", Verdict::NotReady, "patroni.stream", "not-streaming"),
        || {
            follow(n4, crate::pg::free_port());
            until("the standby leader is cut off", || {
                n1.sql("SELECT count(*) FROM pg_stat_replication WHERE application_name = 'n4'") == "0"
            });
            n1.sql("CREATE TABLE more AS SELECT 1 AS one");
        },
        |s| assert!(found(s, "not-streaming").unwrap().sentence.as_str().contains("does not move")),
        || follow(n4, n1.pg),
    );
    // All of a site's Patronis are stopped: nobody would carry out a promotion.
    lab.west.iter().for_each(Member::kill);
    watch.until("lab", "all down", SOON, |s| about(s, "west", Verdict::NotReady, "patroni.members", "all-down"));
    let status = watch.newest("lab").unwrap();
    assert!(matches!(&status.gates.failover, Gate::No(_)), "{:?}", status.gates.failover);
}
