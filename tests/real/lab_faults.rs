//! Every fault of a real PostgreSQL pair is named for what it is, by the running supervisor and the model, within
//! interval + timeout + 2 s.

use std::process::{Child, Stdio};
use std::time::Duration;

use lifeboat::app::History;
use lifeboat::clock;
use lifeboat::plan::{PlanId, SiteId};
use lifeboat::readiness::{ActiveSite, Bound, Gate, PlanStatus, Situation, Verdict};

use crate::faults::proxy::{Mode, Proxy};
use crate::pg::{PgPair, Server, program, signal, until};
use crate::process::children;
use crate::watch::{Watch, has};

/// Interval and timeout are one second each in these tests.
const LIMIT: Duration = Duration::from_secs(1 + 1 + 2);
const RPO: Duration = Duration::from_secs(30);

/// A configuration for a test that is not about time, on a machine that does much else meanwhile.
pub fn patient(configuration: &str) -> String {
    configuration.replace("timeout  = \"1s\"", "timeout  = \"5s\"")
}

/// One plan, `lab`, with one probe of the pair behind these addresses.
pub fn configuration(east: &str, west: &str, rpo: &str) -> String {
    format!(
        r#"
here = "elsewhere"
[defaults]
interval = "1s"
timeout  = "1s"
[[plan]]
name       = "lab"
tier       = 1
strategy   = "warm-standby"
objectives = {{ rpo = "{rpo}", rto = "5m" }}
sites      = {{ east = "primary", west = "standby" }}
home       = "east"
requires   = ["replication"]
[[plan.probe]]
name = "db"
kind = "postgres"
at   = {{ east = "{east}", west = "{west}" }}
"#
    )
}

/// The server's address for a role, without TLS and without a password.
pub fn url(server: &Server, role: &str) -> String {
    format!("{}?sslmode=disable", server.url(role))
}

fn watch(pair: &PgPair) -> Watch {
    let watch = Watch::start(&configuration(&url(&pair.primary, "lifeboat"), &url(&pair.standby, "lifeboat"), "30s"));
    watch.until_ready("lab");
    watch
}

/// Waits until the fault is named; that must be within the limit.
fn named(watch: &Watch, what: &str, shows: impl Fn(&PlanStatus) -> bool) {
    let took = watch.until("lab", what, LIMIT, shows);
    println!("{what}: {took:?} of {LIMIT:?}");
}

fn bounded_by_rpo(status: &PlanStatus) -> bool {
    matches!(status.exposure().map(|e| &e.bound), Some(Bound::AtMost { span }) if span.0 <= RPO)
}

fn background(server: &Server, sql: &str) -> Child {
    let mut psql = program("psql");
    psql.args(["-X", "-q", "-U", "postgres", "-d", "postgres", "-h"]).arg(&server.dir);
    psql.args(["-p", &server.port.to_string(), "-c", sql]).stdout(Stdio::null()).stderr(Stdio::null());
    psql.spawn().unwrap()
}

/// The postmaster and every process of its own, as a host that hangs.
fn whole_server(server: &Server, name: &str) {
    let postmaster = server.pid().unwrap();
    signal(postmaster, name);
    for pid in children(postmaster) {
        signal(pid, name);
    }
}

#[test]
fn an_idle_pair_stays_ready_and_its_loss_bounded() {
    let pair = PgPair::start();
    let watch = watch(&pair);
    let from = clock::now();
    let before = watch.looks().len();
    watch.until_looks("ten looks of both servers", Duration::from_secs(20), |l| l.len() >= before + 20);
    // By the usual formulas the lag has grown all the while (traps 1 and 2).
    let seconds = "SELECT coalesce(extract(epoch FROM now() - pg_last_xact_replay_timestamp()), 99) > 7";
    assert_eq!(pair.standby.sql(seconds), "t");
    for moment in watch.since("lab", from) {
        assert_eq!(moment.status.readiness, Verdict::Ready, "{}", crate::watch::describe(&moment.status));
        let bound = moment.status.exposure().unwrap().bound.clone();
        assert!(matches!(bound, Bound::AtMost { span } if span.0 < Duration::from_secs(5)), "{bound:?}");
    }
}

#[test]
fn replay_paused_and_delayed() {
    let pair = PgPair::start();
    let watch = watch(&pair);
    pair.standby.sql("SELECT pg_wal_replay_pause()");
    pair.primary.sql("CREATE TABLE late AS SELECT generate_series(1, 10000) AS n");
    named(&watch, "replay paused", |s| has(s, Verdict::NotReady, "postgres.replay", "replay-paused"));
    // What was received is safe (trap 14), and the primary's replay_lag knows nothing of it (trap 3).
    watch.until("lab", "the loss is bounded all the same", LIMIT, bounded_by_rpo);
    watch.until("lab", "the backlog is shown", LIMIT, |s| {
        s.exposure().and_then(|e| e.backlog).is_some_and(|b| b.0 > 100_000)
    });
    pair.standby.sql("SELECT pg_wal_replay_resume()");
    watch.until_ready("lab");

    pair.standby.sql("ALTER SYSTEM SET recovery_min_apply_delay = '5min'");
    pair.standby.reload();
    named(&watch, "delayed standby", |s| has(s, Verdict::NotReady, "postgres.replay", "replay-delayed"));
    pair.standby.sql("ALTER SYSTEM RESET recovery_min_apply_delay");
    pair.standby.reload();
    watch.until_ready("lab");
}

#[test]
fn a_frozen_receiver_shows_as_loss_and_not_as_streaming() {
    let pair = PgPair::start();
    let (east, west) = (url(&pair.primary, "lifeboat"), url(&pair.standby, "lifeboat"));
    let watch = Watch::start(&configuration(&east, &west, "5s"));
    watch.until_ready("lab");
    pair.primary.sql("CREATE TABLE t (n int)");
    let insert = "INSERT INTO t VALUES (1); SELECT pg_sleep(0.1)";
    let mut writer = background(
        &pair.primary,
        &format!("DO $$ BEGIN FOR i IN 1..600 LOOP {}; COMMIT; END LOOP; END $$", insert.replace("SELECT", "PERFORM")),
    );
    let receiver: u32 = pair.standby.sql("SELECT pid FROM pg_stat_wal_receiver").parse().unwrap();
    signal(receiver, "STOP");
    // Nothing can say so before the objective has passed; then it must.
    let took = watch.until("lab", "loss above the objective", Duration::from_secs(5) + LIMIT, |s| {
        has(s, Verdict::NotReady, "exposure", "loss-above-rpo")
    });
    println!("frozen receiver: {took:?} of 5 s + {LIMIT:?}");
    let streaming = "SELECT state FROM pg_stat_replication";
    assert_eq!(pair.primary.sql(streaming), "streaming", "the primary still believes in it");
    signal(receiver, "CONT");
    watch.until_ready("lab");
    writer.kill().unwrap();
    writer.wait().unwrap();
}

#[test]
fn a_stopped_standby() {
    let pair = PgPair::start();
    let watch = watch(&pair);
    pair.standby.stop("fast");
    named(&watch, "standby stopped", |s| {
        has(s, Verdict::NotReady, "reach", "refused")
            && has(s, Verdict::NotReady, "postgres.sender", "sender-missing")
            && has(s, Verdict::Degraded, "postgres.slots", "slot-inactive")
    });
    assert_eq!(watch.newest("lab").unwrap().situation, Situation::Normal, "the service itself runs");
    assert!(matches!(watch.newest("lab").unwrap().gates.failover, Gate::No(_) | Gate::Unknown(_)));
    pair.standby.start();
    watch.until_ready("lab");
}

#[test]
fn a_lost_slot() {
    let pair = PgPair::with("max_slot_wal_keep_size = 16MB\nmin_wal_size = 32MB\nmax_wal_size = 64MB");
    pair.primary.sql("ALTER SYSTEM SET wal_keep_size = 0");
    pair.primary.reload();
    let watch = watch(&pair);
    pair.standby.stop("fast");
    pair.primary.sql("CREATE TABLE big (t text)");
    until("the slot is lost", || {
        pair.primary.sql("INSERT INTO big SELECT repeat('x', 1000) FROM generate_series(1, 20000)");
        pair.primary.sql("SELECT pg_switch_wal()");
        pair.primary.sql("CHECKPOINT");
        pair.primary.sql("SELECT wal_status FROM pg_replication_slots") == "lost"
    });
    named(&watch, "slot lost", |s| has(s, Verdict::NotReady, "postgres.slots", "slot-lost"));
    // The standby comes back, answers, and follows nothing (traps 2 and 13).
    pair.standby.start();
    watch.until("lab", "the standby streams nothing", Duration::from_secs(10), |s| {
        has(s, Verdict::NotReady, "postgres.slots", "slot-lost")
            && has(s, Verdict::NotReady, "postgres.receiver", "not-streaming")
    });
}

#[test]
fn a_primary_that_hangs_and_one_that_crashes() {
    let pair = PgPair::start();
    let watch = watch(&pair);
    whole_server(&pair.primary, "STOP");
    named(&watch, "primary hangs", |s| {
        has(s, Verdict::Unknown, "reach", "timed-out") && matches!(s.situation, Situation::PrimaryUnreachable { .. })
    });
    watch.until("lab", "failover could go with consent", LIMIT, |s| {
        matches!(s.gates.failover, Gate::Consent(_)) && s.exposure().is_some_and(|e| e.growing)
    });
    whole_server(&pair.primary, "CONT");
    watch.until_ready("lab");

    pair.primary.stop("immediate");
    named(&watch, "primary crashed", |s| {
        has(s, Verdict::NotReady, "reach", "refused") && matches!(s.situation, Situation::PrimaryDown { .. })
    });
    watch.until("lab", "the receiver is gone", LIMIT, |s| {
        has(s, Verdict::NotReady, "postgres.receiver", "not-streaming")
    });
    assert!(matches!(&watch.newest("lab").unwrap().active.database, ActiveSite::LastSeen(s) if s.as_str() == "east"));
    pair.primary.start();
    watch.until_ready("lab");
}

#[test]
fn split_brain_and_the_way_through_it() {
    let pair = PgPair::start();
    let watch = watch(&pair);
    pair.standby.sql("SELECT pg_promote(true, 30)");
    // Trap 6: the timeline of the last checkpoint is still the old one; trap 8: both say that they take writes.
    assert_eq!(pair.primary.sql("SELECT pg_is_in_recovery()"), "f");
    named(&watch, "split brain", |s| {
        matches!(s.situation, Situation::SplitBrain { .. }) && has(s, Verdict::NotReady, "situation", "split-brain")
    });
    assert!(!matches!(watch.newest("lab").unwrap().gates.failover, Gate::Go | Gate::Consent(_)));

    // The old primary is fenced by stopping it: one writer again, away from home.
    pair.primary.stop("fast");
    watch.until(
        "lab",
        "the one writer is in west",
        Duration::from_secs(10),
        |s| matches!(&s.active.database, ActiveSite::At(site) if site.as_str() == "west"),
    );
    assert_eq!(watch.newest("lab").unwrap().readiness, Verdict::NotReady, "nothing stands by");
}

#[test]
fn a_standby_on_another_timeline() {
    let pair = PgPair::start();
    // It was promoted by mistake, and then told to follow again: it is past the fork.
    pair.standby.sql("SELECT pg_promote(true, 30)");
    pair.standby.sql("CREATE TABLE astray (n int)");
    pair.standby.stop("fast");
    std::fs::write(pair.standby.data.join("standby.signal"), "").unwrap();
    pair.standby.start();
    assert_eq!(pair.standby.sql("SELECT pg_is_in_recovery()"), "t");
    let (east, west) = (url(&pair.primary, "lifeboat"), url(&pair.standby, "lifeboat"));
    let watch = Watch::start(&configuration(&east, &west, "30s"));
    named(&watch, "another timeline", |s| has(s, Verdict::NotReady, "postgres.timeline", "other-timeline"));
}

#[test]
fn two_clusters_and_one_server_twice() {
    let pair = PgPair::start();
    let primary = url(&pair.primary, "lifeboat");
    // By two names of one address, as through a virtual address or a proxy (trap 17).
    let watch = Watch::start(&configuration(&primary, &primary.replace("127.0.0.1", "localhost"), "30s"));
    named(&watch, "one server behind both addresses", |s| {
        has(s, Verdict::NotReady, "postgres.identity", "same-server")
    });
    let status = watch.newest("lab").unwrap();
    assert!(!matches!(status.situation, Situation::SplitBrain { .. }), "one server is no split brain");
    drop(watch);

    let other = PgPair::start();
    let watch = Watch::start(&configuration(&primary, &url(&other.standby, "lifeboat"), "30s"));
    named(&watch, "another cluster", |s| has(s, Verdict::NotReady, "postgres.identity", "other-cluster"));
}

#[test]
fn without_pg_monitor_nothing_is_ready() {
    let pair = PgPair::start();
    let watch = Watch::start(&configuration(&url(&pair.primary, "plain"), &url(&pair.standby, "plain"), "30s"));
    named(&watch, "no pg_monitor", |s| {
        s.readiness == Verdict::Unknown && has(s, Verdict::Unknown, "reach", "no-privilege")
    });
    pair.primary.sql("GRANT pg_monitor TO plain");
    watch.until_ready("lab");
}

#[test]
fn wrong_password_no_access_and_no_such_database() {
    let pair = PgPair::start();
    let east = url(&pair.primary, "lifeboat");
    let west = url(&pair.standby, "lifeboat");
    pair.standby.hba("local all all trust\nhost all lifeboat 127.0.0.1/32 scram-sha-256\n");
    pair.standby.reload();
    let watch = Watch::start(&configuration(&east, &west.replace("lifeboat@", "lifeboat:wrong@"), "30s"));
    named(&watch, "wrong password", |s| {
        s.readiness == Verdict::Unknown && has(s, Verdict::Unknown, "reach", "wrong-password")
    });
    drop(watch);
    pair.standby.hba("local all all trust\n");
    pair.standby.reload();
    let watch = Watch::start(&configuration(&east, &west, "30s"));
    named(&watch, "no line in pg_hba.conf", |s| has(s, Verdict::Unknown, "reach", "no-access"));
    pair.standby.hba("local all all trust\nhost all all 127.0.0.1/32 trust\n");
    pair.standby.reload();
    watch.until_ready("lab");
    drop(watch);
    let watch = Watch::start(&configuration(&east, &west.replace("/postgres?", "/nowhere?"), "30s"));
    named(&watch, "no such database", |s| has(s, Verdict::NotReady, "reach", "no-such-database"));
}

#[test]
fn a_standby_with_smaller_limits() {
    let pair = PgPair::start();
    let watch = watch(&pair);
    pair.primary.conf("max_connections = 60");
    pair.primary.stop("fast");
    pair.primary.start();
    until("the standby has heard of it", || pair.standby.sql("SELECT pg_get_wal_replay_pause_state()") == "paused");
    watch.until("lab", "parity", Duration::from_secs(8), |s| has(s, Verdict::NotReady, "postgres.parity", "parity"));
    assert_eq!(pair.primary.sql("SELECT state FROM pg_stat_replication"), "streaming", "the primary sees nothing");
}

#[test]
fn an_archiver_that_fails_and_recovers() {
    let pair = PgPair::with("archive_mode = on\narchive_command = '/bin/true'");
    let watch = watch(&pair);
    pair.primary.sql("ALTER SYSTEM SET archive_command = '/bin/false'");
    pair.primary.reload();
    pair.primary.sql("CREATE TABLE t (n int)");
    pair.primary.sql("SELECT pg_switch_wal()");
    until("archiving has failed", || pair.primary.sql("SELECT failed_count > 0 FROM pg_stat_archiver") == "t");
    named(&watch, "archiver fails", |s| has(s, Verdict::Degraded, "postgres.archiver", "archiver-failing"));
    pair.primary.sql("ALTER SYSTEM RESET archive_command");
    pair.primary.reload();
    until("the archive has caught up", || {
        pair.primary.sql("SELECT last_archived_time > last_failed_time FROM pg_stat_archiver") == "t"
    });
    // failed_count stays for ever; it is history and no fault.
    watch.until_ready("lab");
    assert_eq!(pair.primary.sql("SELECT failed_count > 0 FROM pg_stat_archiver"), "t");
}

#[test]
fn commits_that_hang_for_want_of_a_synchronous_standby() {
    let pair = PgPair::start();
    let watch = watch(&pair);
    pair.primary.sql("CREATE TABLE t (n int)");
    pair.primary.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    pair.primary.reload();
    let mut hanging = background(&pair.primary, "INSERT INTO t VALUES (1)");
    until("a commit hangs", || {
        pair.primary.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == "1"
    });
    named(&watch, "synchronous standby missing", |s| has(s, Verdict::NotReady, "postgres.sync", "sync-missing"));
    pair.primary.sql("ALTER SYSTEM SET synchronous_standby_names = 'dr1'");
    pair.primary.reload();
    assert!(hanging.wait().unwrap().success(), "the commit ends when the standby is the right one");
    watch.until_ready("lab");
    // The same setting on the standby would bite after a promotion (trap 16): it is read there, beforehand.
    pair.standby.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    pair.standby.reload();
    named(&watch, "would hang once promoted", |s| has(s, Verdict::Degraded, "postgres.after-promotion", "would-hang"));
}

#[test]
fn a_standby_behind_a_firewall_and_a_cut() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let pair = PgPair::start();
    let proxy = runtime.block_on(Proxy::start(([127, 0, 0, 1], pair.standby.port).into()));
    let west = url(&pair.standby, "lifeboat").replace(&pair.standby.port.to_string(), &proxy.addr.port().to_string());
    let watch = Watch::start(&configuration(&url(&pair.primary, "lifeboat"), &west, "30s"));
    watch.until_ready("lab");
    proxy.set(Mode::Swallow);
    // A value from before stands until it is stale; the gap itself must be there at once.
    named(&watch, "behind a firewall", |s| has(s, Verdict::Unknown, "reach", "timed-out"));
    assert_eq!(watch.newest("lab").unwrap().readiness, Verdict::Unknown, "silence proves nothing");
    proxy.set(Mode::Pass);
    watch.until_ready("lab");
    proxy.set(Mode::Reset);
    named(&watch, "connections are cut", |s| has(s, Verdict::Unknown, "reach", "reset"));
    proxy.set(Mode::Pass);
    watch.until_ready("lab");
}

#[test]
fn a_session_that_begins_does_not_miss_whom_it_has_not_asked_yet() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let pair = PgPair::start();
    // A far primary: its first look takes longer than the standby's.
    let proxy = runtime.block_on(Proxy::start(([127, 0, 0, 1], pair.primary.port).into()));
    proxy.set(Mode::Delay(Duration::from_millis(150)));
    let east = url(&pair.primary, "lifeboat").replace(&pair.primary.port.to_string(), &proxy.addr.port().to_string());
    let seen = (SiteId::new("east"), clock::now(), clock::boot_id());
    let past = History { active: [(PlanId::new("lab"), seen)].into(), ..History::default() };
    let from = clock::now();
    let watch = Watch::start_after(&configuration(&east, &url(&pair.standby, "lifeboat"), "30s"), past);
    watch.until_ready("lab");
    for moment in watch.since("lab", from) {
        let calm = matches!(moment.status.situation, Situation::Starting | Situation::Normal);
        assert!(calm, "{}", crate::watch::describe(&moment.status));
    }
}

#[test]
fn a_standby_that_restarts_without_its_primary_has_lost_nothing() {
    let pair = PgPair::start();
    let watch = watch(&pair);
    pair.primary.sql("CREATE TABLE t AS SELECT generate_series(1, 20000) AS n");
    pair.in_step();
    // The primary's last position must be in the history.
    let before = watch.looks().len();
    watch.until_looks("the primary's position after that", Duration::from_secs(10), |l| l.len() >= before + 4);
    pair.primary.stop("immediate");
    pair.standby.stop("fast");
    pair.standby.start();
    // Trap 13: by its receive position alone, megabytes would be missing. Trap 1: the last commit's time is NULL.
    let lies = "SELECT pg_last_wal_receive_lsn() IS NULL OR pg_last_wal_receive_lsn() < pg_last_wal_replay_lsn()";
    assert_eq!(pair.standby.sql(lies), "t");
    watch.until("lab", "the primary is down, and next to nothing is missing", Duration::from_secs(10), |s| {
        let exposure = s.exposure();
        matches!(s.situation, Situation::PrimaryDown { .. })
            && exposure.is_some_and(|e| e.missing.is_some_and(|m| m.0 < 1024) && e.growing)
            && bounded_by_rpo(s)
    });
}

#[test]
fn a_standby_that_refuses_to_be_hot() {
    let pair = PgPair::start();
    pair.standby.stop("fast");
    pair.standby.conf("hot_standby = off");
    pair.standby.start_only();
    until("it says that it starts", || {
        let status =
            program("pg_isready").args(["-q", "-h", "127.0.0.1", "-p", &pair.standby.port.to_string()]).status();
        status.unwrap().code() == Some(1)
    });
    let (east, west) = (url(&pair.primary, "lifeboat"), url(&pair.standby, "lifeboat"));
    let watch = Watch::start(&configuration(&east, &west, "30s"));
    // Trap 10: it answers, and says nothing about itself.
    named(&watch, "starting up", |s| {
        s.readiness == Verdict::Unknown && has(s, Verdict::Unknown, "reach", "starting-up")
    });
}
