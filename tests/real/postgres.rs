//! `systems/postgres` against real servers.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use lifeboat::readiness::signals as common;
use lifeboat::readiness::{Reason, Value};
use lifeboat::systems::postgres::signals as pg;

use super::pg::{PgOne, PgPair, free_port, until};
use super::postgres_lane::{TIMEOUT, declared, lane, lanes, look, on, peer, proxy, reason_of, with_password};

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_is_read_whole_through_promotion() {
    let pair = PgPair::with("archive_mode = on\narchive_command = '/bin/true'");
    let mut both = lanes(serde_json::json!({
        "at": { "east": with_password(&pair.primary, "lifeboat"), "west": with_password(&pair.standby, "lifeboat") }
    }));
    let (mut west, mut east) = (both.pop().unwrap(), both.pop().unwrap());
    let primary = look(&mut *east.1).await;
    let standby = look(&mut *west.1).await;
    primary.all_good();
    standby.all_good();
    for (decl, seen) in [(&east.0, &primary), (&west.0, &standby)] {
        let mut brought: Vec<_> = seen.0.observed.iter().map(|o| o.signal.clone()).collect();
        let mut expected = decl.expects.to_vec();
        brought.sort();
        expected.sort();
        assert_eq!(brought, expected);
        assert!(seen.0.asked.is_some());
    }
    assert_eq!(primary.ok(&common::WRITABLE), &Value::Bool(true));
    assert_eq!(standby.ok(&common::WRITABLE), &Value::Bool(false));
    assert_eq!(primary.ok(&common::SYSTEM_ID), standby.ok(&common::SYSTEM_ID));
    assert_eq!((primary.ok(&common::TIMELINE), standby.ok(&common::TIMELINE)), (&Value::Int(1), &Value::Int(1)));
    assert_ne!(primary.ok(&common::INSTANCE), standby.ok(&common::INSTANCE));
    assert_eq!(primary.ok(&common::RECEIVED), &Value::NotApplicable);
    assert_eq!(standby.ok(&common::FLUSHED), &Value::NotApplicable);
    assert!(matches!((primary.ok(&common::FLUSHED), standby.ok(&common::RECEIVED)), (Value::Lsn(_), Value::Lsn(_))));
    assert!(matches!(primary.ok(&pg::SKEW), Value::Number(s) if s.abs() < 0.5));
    let sender = &primary.rows(&pg::SENDERS)[0];
    assert_eq!(sender.text("application_name").unwrap().unwrap().as_str(), "dr1");
    assert_eq!(sender.text("state").unwrap().unwrap().as_str(), "streaming");
    let slot = &primary.rows(&pg::SLOTS)[0];
    assert_eq!(slot.bool("active").unwrap(), Some(true));
    let receiver = &standby.rows(&pg::RECEIVER)[0];
    assert_eq!(receiver.text("status").unwrap().unwrap().as_str(), "streaming");
    assert_eq!(primary.rows(&pg::ARCHIVER)[0].text("mode").unwrap().unwrap().as_str(), "on");
    assert!(primary.rows(&pg::ARCHIVER)[0].int("ready").unwrap().is_some(), "pg_monitor may list the archive's status");
    let settings: BTreeMap<_, _> = standby
        .rows(&pg::SETTINGS)
        .iter()
        .map(|r| (r.text("name").unwrap().unwrap().to_string(), r.text("setting").unwrap().unwrap().to_string()))
        .collect();
    assert_eq!(settings["primary_conninfo"], "set");
    assert_eq!(settings["max_connections"], "40");
    assert_eq!(standby.ok(&pg::PAUSE), &Value::text("not paused"));
    assert_eq!(primary.ok(&pg::MAY_PROMOTE), &Value::Bool(false));

    // The role changes between two looks of one kept connection.
    on(&pair.standby, "SELECT pg_promote(true, 30)");
    let promoted = look(&mut *west.1).await;
    promoted.all_good();
    assert_eq!(promoted.ok(&common::WRITABLE), &Value::Bool(true));
    assert_eq!(promoted.ok(&common::TIMELINE), &Value::Int(2));
    assert_eq!(promoted.ok(&common::INSTANCE), standby.ok(&common::INSTANCE));
    assert_eq!(promoted.ok(&pg::RECEIVER), &Value::NotApplicable);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_pg_monitor_is_not_told_that_all_is_well() {
    let pair = PgPair::start();
    for server in [&pair.primary, &pair.standby] {
        let seen = look(&mut *lane(&with_password(server, "plain")).1).await;
        for signal in [pg::SENDERS, pg::SESSIONS, pg::SYNC_WAITS, pg::SETTINGS] {
            assert_eq!(seen.of(&signal).as_ref().unwrap_err().reason, Reason::NoPrivilege, "{signal}");
        }
        assert!(matches!(seen.ok(&common::WRITABLE), Value::Bool(_)));
        assert_eq!(seen.rows(&pg::ARCHIVER)[0].int("ready").unwrap(), None);
        seen.rows(&pg::SLOTS);
    }
    let seen = look(&mut *lane(&with_password(&pair.standby, "plain")).1).await;
    assert_eq!(seen.of(&pg::RECEIVER).as_ref().unwrap_err().reason, Reason::NoPrivilege);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_told_apart() {
    let one = PgOne::start(
        "max_connections = 8\nsuperuser_reserved_connections = 1\nmax_wal_senders = 0\nwal_level = minimal",
    );
    let port = one.server.port;
    one.server.sql("CREATE ROLE shut NOLOGIN");
    one.server.hba(
        "local all all trust\nhost all postgres 127.0.0.1/32 trust\nhost all lifeboat,plain,shut 127.0.0.1/32 scram-sha-256\n",
    );
    one.server.reload();
    let url = |rest: &str| format!("postgres://{rest}");
    let wrong = url(&format!("lifeboat:wrong@127.0.0.1:{port}/postgres"));
    until("pg_hba counts", || {
        one.server.sql("SELECT count(*) FROM pg_hba_file_rules WHERE auth_method = 'scram-sha-256'") == "1"
    });
    assert_eq!(reason_of(&wrong).await, Reason::WrongPassword);
    assert_eq!(reason_of(&url(&format!("nobody:x@127.0.0.1:{port}/postgres"))).await, Reason::NoAccess);
    assert_eq!(reason_of(&url(&format!("lifeboat:look@127.0.0.1:{port}/absent"))).await, Reason::NoSuchDatabase);
    assert_eq!(
        reason_of(&url(&format!("lifeboat@127.0.0.1:{port}/postgres?passfile=/nowhere"))).await,
        Reason::SecretUnavailable
    );
    assert_eq!(reason_of(&url(&format!("lifeboat:look@127.0.0.1:{}/postgres", free_port()))).await, Reason::Refused);
    assert_eq!(
        reason_of(&url(&format!("lifeboat:look@127.0.0.1:{port}/postgres?sslmode=require"))).await,
        Reason::TlsFailed
    );
    let good = url(&format!("lifeboat:look@127.0.0.1:{port}/postgres"));
    let mut held: Vec<_> = Vec::new();
    let full = loop {
        let (_, mut l) = lane(&good);
        let seen = look(&mut *l).await;
        held.push(l);
        if seen.of(&common::WRITABLE).is_err() {
            break seen;
        }
        assert!(held.len() < 12);
    };
    assert_eq!(full.reason(), Reason::TooManyConnections);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_takes_no_connections_is_starting_up() {
    let pair = PgPair::start();
    pair.standby.stop("fast");
    pair.standby.conf("hot_standby = off");
    pair.standby.start_only();
    let url = with_password(&pair.standby, "lifeboat");
    let (_, mut l) = lane(&url);
    let mut seen = look(&mut *l).await;
    let limit = tokio::time::Instant::now() + Duration::from_secs(20);
    while seen.reason() == Reason::Refused && tokio::time::Instant::now() < limit {
        seen = look(&mut *l).await;
    }
    assert_eq!(seen.reason(), Reason::StartingUp, "{:?}", seen.gap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_costs_the_deadline_and_no_more() {
    let one = PgOne::start("");
    let url = with_password(&one.server, "lifeboat");
    let (_, mut kept) = lane(&url);
    look(&mut *kept).await.all_good();
    one.server.signal("STOP");
    // The kernel accepts for it; nobody answers.
    assert_eq!(reason_of(&url).await, Reason::TimedOut);
    // Whoever is in already is answered by a process of its own; that nobody else gets in must be seen all the same.
    let seen = look(&mut *kept).await;
    assert_eq!(*seen.ok(&common::WRITABLE), Value::Bool(true));
    let accepts = seen.of(&pg::ACCEPTS).as_ref().map_err(|g| g.reason);
    assert_eq!(accepts.err(), Some(Reason::TimedOut), "new sessions get no answer");
    one.server.signal("CONT");
    look(&mut *kept).await.all_good();
    // The same, and what was kept is cut too.
    let pid = on(&one.server, "SELECT pid FROM pg_stat_activity WHERE usename = 'lifeboat'");
    one.server.signal("STOP");
    super::pg::signal(pid.parse().unwrap(), "TERM");
    assert_eq!(look(&mut *kept).await.reason(), Reason::TimedOut);
    one.server.signal("CONT");
    look(&mut *kept).await.all_good();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_is_opened_anew_without_waiting_for_the_knock() {
    let one = PgOne::start("");
    let port = one.server.port;
    let opened = Arc::new(AtomicUsize::new(0));
    let cut = Arc::new(AtomicBool::new(false));
    let (counted, cutting) = (Arc::clone(&opened), Arc::clone(&cut));
    // The first is cut at the second look's question; the knock beside it is never answered; all after it get through.
    let through = peer(move |mut client| {
        let number = counted.fetch_add(1, Ordering::SeqCst);
        if number == 1 {
            client.read_to_end(&mut Vec::new()).ok();
            return;
        }
        let server = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut from, &mut to));
        let mut buf = [0; 65_536];
        while let Ok(n @ 1..) = client.read(&mut buf) {
            if number == 0 && cutting.load(Ordering::SeqCst) {
                until("the knock comes beside the question", || counted.load(Ordering::SeqCst) > 1);
                break;
            }
            (&server).write_all(&buf[..n]).unwrap();
        }
        for end in [&client, &server] {
            end.shutdown(std::net::Shutdown::Both).ok();
        }
    });
    let (_, mut l) = lane(&format!("postgres://lifeboat:look@127.0.0.1:{through}/postgres?sslmode=disable"));
    look(&mut *l).await.all_good();
    cut.store(true, Ordering::SeqCst);
    let began = tokio::time::Instant::now();
    look(&mut *l).await.all_good();
    assert!(began.elapsed() < TIMEOUT / 2, "{:?}", began.elapsed());
    assert_eq!(opened.load(Ordering::SeqCst), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_idle_sessions_is_asked_over_a_new_one() {
    let one = PgOne::start("");
    one.server.sql("ALTER ROLE lifeboat SET idle_session_timeout = '500ms'");
    let (_, mut l) = lane(&with_password(&one.server, "lifeboat"));
    for _ in 0..3 {
        look(&mut *l).await.all_good();
        let left = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'lifeboat'";
        tokio::task::block_in_place(|| until("the idle session is ended", || one.server.sql(left) == "0"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_restarted_is_asked_again_in_the_same_look() {
    let one = PgOne::start("");
    let (_, mut l) = lane(&with_password(&one.server, "lifeboat"));
    let first = look(&mut *l).await;
    tokio::task::block_in_place(|| {
        one.server.stop("fast");
        one.server.start();
    });
    let second = look(&mut *l).await;
    second.all_good();
    assert_ne!(first.ok(&common::INSTANCE), second.ok(&common::INSTANCE), "another running server");
    on(&one.server, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'lifeboat'");
    look(&mut *l).await.all_good();
}

#[tokio::test(flavor = "multi_thread")]
async fn several_hosts_are_tried_in_order() {
    let pair = PgPair::start();
    let hosts = format!("127.0.0.1:{},127.0.0.1:{},127.0.0.1:{}", free_port(), pair.primary.port, pair.standby.port);
    let of = |attrs: &str| format!("postgres://lifeboat:look@{hosts}/postgres?target_session_attrs={attrs}");
    for (attrs, writable) in [("any", true), ("primary", true), ("standby", false), ("prefer-standby", false)] {
        let (_, mut l) = lane(&of(attrs));
        for _ in 0..2 {
            let seen = look(&mut *l).await;
            seen.all_good();
            assert_eq!(seen.ok(&common::WRITABLE), &Value::Bool(writable), "{attrs}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_database_is_dated_by_its_content() {
    let one = PgOne::start("timezone = 'Asia/Tokyo'");
    one.server.sql("CREATE TABLE orders AS SELECT timestamptz '2026-01-02 03:04:05.678901+00' AS at; GRANT SELECT ON orders TO plain");
    let probe = |query: &str| {
        let options = serde_json::json!({
            "mode": "restored", "freshness_query": query, "at": { "west": with_password(&one.server, "plain") }
        });
        lanes(options).swap_remove(0).1
    };
    let mut l = probe("SELECT max(at) FROM orders -- newest\n;");
    for _ in 0..2 {
        let seen = look(&mut *l).await;
        seen.all_good();
        let Value::Time(at) = seen.ok(&common::FRESH_AS_OF) else { panic!("{:?}", seen.0) };
        assert_eq!(at.to_rfc3339(), "2026-01-02T03:04:05.678901+00:00");
    }
    let seen = look(&mut *probe("SELECT max(at) FROM orders WHERE false")).await;
    assert_eq!(seen.ok(&common::FRESH_AS_OF), &Value::Null);
    let fails = [
        ("SELECT now()::timestamp", Reason::Malformed),
        ("SELECT at FROM nowhere", Reason::QueryFailed),
        ("WITH x AS (INSERT INTO orders SELECT now() RETURNING at) SELECT at FROM x", Reason::QueryFailed),
        ("SELECT clock_timestamp() FROM pg_sleep(30)", Reason::TimedOut),
        ("SELECT setval(oid, 1) FROM pg_class WHERE relname = 'orders'", Reason::QueryFailed),
    ];
    for (query, reason) in fails {
        let seen = look(&mut *probe(query)).await;
        assert_eq!(seen.of(&common::FRESH_AS_OF).as_ref().unwrap_err().reason, reason, "{query}");
        assert!(matches!(seen.ok(&pg::VERSION), Value::Int(_)), "{query}");
    }
    assert_eq!(one.server.sql("SELECT count(*) FROM orders"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_default_is_the_servers_and_not_the_looking_roles() {
    let one = PgOne::start("");
    let name = "default_transaction_read_only";
    let url = with_password(&one.server, "lifeboat");
    let read = async |url: &str| {
        let seen = look(&mut *lane(url).1).await;
        seen.all_good();
        let row = seen.rows(&pg::SETTINGS).iter().find(|r| r.text("name").unwrap().unwrap().as_str() == name).cloned();
        row.unwrap().text("setting").unwrap().map(|t| t.to_string())
    };
    assert_eq!(read(&url).await.as_deref(), Some("off"));
    on(&one.server, "ALTER DATABASE postgres SET default_transaction_read_only = on");
    assert_eq!(read(&url).await.as_deref(), Some("on"), "applications get it too");
    // From a database whose sessions may write.
    one.server.sql_in("template1", "ALTER DATABASE postgres RESET default_transaction_read_only");
    on(&one.server, "ALTER SYSTEM SET default_transaction_read_only = on");
    on(&one.server, "SELECT pg_reload_conf()");
    let limit = tokio::time::Instant::now() + Duration::from_secs(10);
    while read(&url).await.as_deref() != Some("on") {
        assert!(tokio::time::Instant::now() < limit, "what ALTER SYSTEM set is read");
    }
    on(&one.server, "ALTER SYSTEM RESET default_transaction_read_only");
    on(&one.server, "SELECT pg_reload_conf()");
    while read(&url).await.as_deref() != Some("off") {
        assert!(tokio::time::Instant::now() < limit, "what ALTER SYSTEM reset is read");
    }
    // What holds for our own role or session only is no word about the server.
    assert_eq!(read(&format!("{url}?options=-c%20default_transaction_read_only%3Don")).await, None);
    on(&one.server, "ALTER ROLE lifeboat SET default_transaction_read_only = on");
    assert_eq!(read(&url).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn moments_come_with_the_servers_own_clock() {
    let pair = PgPair::start();
    let near = |seen: &super::postgres_lane::Seen, signal| {
        let of = seen.0.observed.iter().find(|o| o.signal == signal).unwrap();
        let apart = of.as_of.unwrap().signed_duration_since(seen.0.asked.unwrap().wall);
        assert!(apart.num_seconds().abs() < 3, "{apart}");
    };
    near(&look(&mut *lane(&with_password(&pair.standby, "lifeboat")).1).await, common::LAST_COMMIT);
    let options = serde_json::json!({
        "mode": "restored", "freshness_query": "SELECT now()", "at": { "west": with_password(&pair.primary, "plain") }
    });
    near(&look(&mut *lanes(options).swap_remove(0).1).await, common::FRESH_AS_OF);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_writes_nothing_and_leaves_nothing_in_the_servers_log() {
    let one = PgOne::start("");
    one.server.sql("CREATE TABLE orders AS SELECT 1 AS n; CREATE SEQUENCE numbers");
    one.server.sql("GRANT ALL ON orders, numbers TO plain");
    let options = serde_json::json!({
        "mode": "restored", "freshness_query": "SELECT to_timestamp(nextval('numbers'))",
        "at": { "west": with_password(&one.server, "plain") }
    });
    let mut writes = lanes(options).swap_remove(0).1;
    let seen = look(&mut *writes).await;
    assert_eq!(seen.of(&common::FRESH_AS_OF).as_ref().unwrap_err().reason, Reason::QueryFailed);
    assert_eq!(one.server.sql("SELECT is_called FROM numbers"), "f");
    let before = one.server.log_text();
    let (_, mut l) = lane(&with_password(&one.server, "lifeboat"));
    for _ in 0..3 {
        look(&mut *l).await.all_good();
    }
    assert_eq!(one.server.log_text(), before, "no warning, look after look");
    l.rest().await;
    let left = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'lifeboat'";
    tokio::task::block_in_place(|| until("a lane that rests has no session", || one.server.sql(left) == "0"));
    assert_eq!(one.server.log_text(), before, "nor in parting");
    look(&mut *l).await.all_good();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_look_is_one_question_and_one_knock() {
    let pair = PgPair::start();
    for server in [&pair.primary, &pair.standby] {
        let turns = Arc::new(AtomicUsize::new(0));
        let port = proxy(server.port, |_, bytes, to| to.write_all(bytes).is_ok(), Arc::clone(&turns));
        let (_, mut l) = lane(&format!("postgres://lifeboat:look@127.0.0.1:{port}/postgres?sslmode=disable"));
        look(&mut *l).await.all_good();
        for _ in 0..3 {
            turns.store(0, Ordering::SeqCst);
            look(&mut *l).await.all_good();
            // One on the connection that is kept, and the knock beside it, at the same time.
            assert_eq!(turns.load(Ordering::SeqCst), 2);
        }
    }
    // Also where one statement is not allowed: that is remembered.
    let turns = Arc::new(AtomicUsize::new(0));
    let port = proxy(pair.primary.port, |_, bytes, to| to.write_all(bytes).is_ok(), Arc::clone(&turns));
    let (_, mut l) = lane(&format!("postgres://plain:look@127.0.0.1:{port}/postgres?sslmode=disable"));
    look(&mut *l).await;
    turns.store(0, Ordering::SeqCst);
    look(&mut *l).await;
    assert_eq!(turns.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_waits_for_a_lock_costs_its_own_signal_only() {
    let one = PgOne::start("");
    let (_, mut l) = lane(&with_password(&one.server, "lifeboat"));
    look(&mut *l).await.all_good();
    let held = super::pg::program("psql")
        .args(["-X", "-q", "-U", "postgres", "-h", "127.0.0.1", "-p", &one.server.port.to_string()])
        .args(["-c", "BEGIN", "-c", "LOCK TABLE pg_subscription", "-c", "SELECT pg_sleep(20)"])
        .spawn();
    let holds = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 'pg_subscription'::regclass";
    tokio::task::block_in_place(|| until("the lock is held", || one.server.sql(holds) == "1"));
    let seen = look(&mut *l).await;
    assert_eq!(seen.of(&pg::SUBSCRIPTIONS).as_ref().unwrap_err().reason, Reason::TimedOut);
    let bad: Vec<_> = seen.0.observed.iter().filter(|o| o.value.is_err()).collect();
    assert_eq!(bad.len(), 1, "{bad:?}");
    let mut held = held.unwrap();
    held.kill().unwrap();
    held.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_is_dropped_midway_leaves_nothing_behind() {
    let one = PgOne::start("");
    let (_, mut l) = lane(&with_password(&one.server, "lifeboat"));
    look(&mut *l).await.all_good();
    for after in [0, 1, 2, 4, 8] {
        let deadline = tokio::time::Instant::now() + TIMEOUT;
        let cut = tokio::time::timeout(Duration::from_millis(after), l.look(deadline)).await;
        drop(cut);
        look(&mut *l).await.all_good();
    }
}

#[test]
fn mistakes_in_the_options_are_all_named() {
    let of = |options: serde_json::Value| {
        let faults = declared(options).expect_err("faults");
        faults.iter().map(|f| format!("{}: {}", f.path.join("."), f.what)).collect::<Vec<_>>().join("\n")
    };
    let a = "postgres://u:hunter2@a/d";
    let said =
        of(serde_json::json!({ "at": { "east": a, "north": "host=a sslmod=x" }, "freshness_query": "SELECT 1" }));
    assert!(said.contains("at.north: no site") && said.contains("at.north: unknown connection parameter"), "{said}");
    assert!(said.contains("freshness_query") && !said.contains("hunter2"), "{said}");
    assert!(of(serde_json::json!({ "at": { "east": a } })).contains("one server cannot replicate"));
    assert!(
        of(serde_json::json!({ "at": { "east": a, "west": "host=a user=x" } })).contains("is the server of site east")
    );
    assert!(of(serde_json::json!({ "mode": "restored", "at": { "west": a } })).contains("freshness_query"));
    for bad in ["DELETE FROM x", "SELECT 1; SELECT 2", "SELECT 1) AS v) q; --", "SELECT 'x", ""] {
        let said = of(serde_json::json!({ "mode": "restored", "at": { "west": a }, "freshness_query": bad }));
        assert!(said.starts_with("freshness_query"), "{bad}: {said}");
    }
    let schema = (lifeboat::systems::kind("postgres").unwrap().schema)(&mut schemars::SchemaGenerator::default());
    let schema = serde_json::to_string(&schema).unwrap();
    for key in ["at", "password", "act_as", "mode", "freshness_query", "apply_delay", "standby_names"] {
        assert!(schema.contains(&format!("\"{key}\":")), "{schema}");
    }
    let (_, probe) = declared(serde_json::json!({ "at": { "east": a, "west": "host=b" } })).unwrap();
    assert!(!format!("{probe:?}").contains("hunter2"), "{probe:?}");
    assert_eq!(probe.lanes[0].server.as_str(), "a:5432");
}
