//! `systems/postgres` against real servers, and against peers that are none.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lifeboat::net::Net;
use lifeboat::plan::{
    Area, Here, LaneDecl, Objectives, Plan, PlanId, ProbeDecl, ProbeId, SignalId, Site, SiteId, Span, Strategy, Weight,
};
use lifeboat::readiness::signals as common;
use lifeboat::readiness::{Gap, Reason, Row, Value};
use lifeboat::systems::postgres::signals as pg;
use lifeboat::systems::{Lane, Look, ReadContext, kind};

use super::pg::{PgOne, PgPair, Server, free_port, until};

const TIMEOUT: Duration = Duration::from_secs(3);

/// The lanes of a probe of these sites, as the configuration opens them.
fn lanes(options: serde_json::Value) -> Vec<(LaneDecl, Box<dyn Lane>)> {
    let (plan, probe) = declared(options).expect("sound options");
    let opened = (kind("postgres").unwrap().open)(&plan, &probe, &Net::new());
    probe.lanes.iter().cloned().zip(opened).collect()
}

fn declared(options: serde_json::Value) -> Result<(Plan, ProbeDecl), Vec<lifeboat::systems::Fault>> {
    let kind = kind("postgres").unwrap();
    let id = ProbeId::new(&PlanId::new("orders"), "db");
    let sites: Vec<SiteId> = ["east", "west"].map(SiteId::new).to_vec();
    let objectives = Objectives { rpo: Span::secs(30), rto: Span::secs(300) };
    let interval = Duration::from_secs(5);
    let context =
        ReadContext { id: &id, sites: &sites, home: &sites[0], objectives: &objectives, interval, timeout: TIMEOUT };
    let declared = (kind.read)(&context, options)?;
    let probe = ProbeDecl {
        id: id.clone(),
        kind: kind.name,
        area: kind.area,
        weight: Weight::Full,
        interval: Span(interval),
        timeout: Span(TIMEOUT),
        options: declared.options,
        lanes: declared.lanes,
    };
    let plan = Plan {
        id: id.plan,
        tier: 1,
        strategy: Strategy::PilotLight,
        objectives,
        sites: sites.iter().map(|s| Site { id: s.clone(), what: "".into() }).collect(),
        home: sites[0].clone(),
        here: Here::Elsewhere,
        requires: vec![Area::Replication],
        probes: vec![probe.clone()],
        contacts: Vec::new(),
        losses: Vec::new(),
    };
    Ok((plan, probe))
}

/// One lane at `url`; the other site is a port that nobody uses.
pub(super) fn lane(url: &str) -> (LaneDecl, Box<dyn Lane>) {
    let other = format!("postgres://u@127.0.0.1:{}/d", free_port());
    lanes(serde_json::json!({ "at": { "east": url, "west": other } })).swap_remove(0)
}

pub(super) async fn look(lane: &mut dyn Lane) -> Seen {
    let began = tokio::time::Instant::now();
    let look = lane.look(began + TIMEOUT).await;
    assert!(began.elapsed() < TIMEOUT + Duration::from_millis(300), "the deadline holds: {:?}", began.elapsed());
    Seen(look)
}

/// A look, asked by signal.
pub(super) struct Seen(Look);

impl Seen {
    pub(super) fn of(&self, signal: &SignalId) -> &Result<Value, Gap> {
        &self.0.observed.iter().find(|o| o.signal == *signal).unwrap_or_else(|| panic!("no {signal}")).value
    }

    pub(super) fn ok(&self, signal: &SignalId) -> &Value {
        self.of(signal).as_ref().unwrap_or_else(|e| panic!("{signal}: {e:?}"))
    }

    fn rows(&self, signal: &SignalId) -> &[Row] {
        match self.ok(signal) {
            Value::Rows(rows) => rows,
            other => panic!("{signal}: {other:?}"),
        }
    }

    /// The one reason for which every signal failed.
    fn reason(&self) -> Reason {
        let reasons: Vec<_> = self.0.observed.iter().map(|o| o.value.as_ref().err().map(|g| g.reason)).collect();
        let first = reasons[0].unwrap_or_else(|| panic!("no gap: {:?}", self.0));
        assert!(reasons.iter().all(|r| *r == Some(first)), "one reason for all: {:?}", self.0);
        first
    }

    fn gap(&self) -> &Gap {
        self.0.observed[0].value.as_ref().unwrap_err()
    }

    pub(super) fn all_good(&self) {
        for o in &self.0.observed {
            assert!(o.value.is_ok(), "{}: {:?}", o.signal, o.value);
        }
    }
}

pub(super) async fn reason_of(url: &str) -> Reason {
    look(&mut *lane(url).1).await.reason()
}

fn with_password(server: &Server, user: &str) -> String {
    format!("postgres://{user}:look@127.0.0.1:{}/postgres", server.port)
}

/// Runs what blocks beside the runtime.
fn on(server: &Server, sql: &str) -> String {
    tokio::task::block_in_place(|| server.sql(sql))
}

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
        let mut expected = decl.expects.clone();
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
    one.server.signal("CONT");
    look(&mut *kept).await.all_good();
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

/// A peer that serves each connection by `serve`; gives its port.
fn peer(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || serve(stream));
        }
    });
    port
}

/// Passes on to `port`. `answers` passes on each chunk of the server's, with how many bytes came before it, and says
/// whether to go on. `turns` counts round trips.
pub(super) fn proxy(
    port: u16,
    answers: impl Fn(usize, &[u8], &mut TcpStream) -> bool + Send + Sync + 'static,
    turns: Arc<AtomicUsize>,
) -> u16 {
    peer(move |client| {
        let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let asked = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (asking, counting) = (Arc::clone(&asked), Arc::clone(&turns));
        std::thread::spawn(move || {
            let mut buf = [0; 65_536];
            while let Ok(n @ 1..) = from_client.read(&mut buf) {
                // A round trip begins where the client speaks after the server did.
                if !asking.swap(true, Ordering::SeqCst) {
                    counting.fetch_add(1, Ordering::SeqCst);
                }
                if to_server.write_all(&buf[..n]).is_err() {
                    break;
                }
            }
            to_server.shutdown(std::net::Shutdown::Both).ok();
        });
        let (mut from_server, mut to_client) = (server, client);
        let mut buf = [0; 65_536];
        let mut seen = 0;
        while let Ok(n @ 1..) = from_server.read(&mut buf) {
            asked.store(false, Ordering::SeqCst);
            if !answers(seen, &buf[..n], &mut to_client) {
                break;
            }
            seen += n;
        }
        to_client.shutdown(std::net::Shutdown::Both).ok();
        from_server.shutdown(std::net::Shutdown::Both).ok();
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_look_is_one_round_trip() {
    let pair = PgPair::start();
    for server in [&pair.primary, &pair.standby] {
        let turns = Arc::new(AtomicUsize::new(0));
        let port = proxy(server.port, |_, bytes, to| to.write_all(bytes).is_ok(), Arc::clone(&turns));
        let (_, mut l) = lane(&format!("postgres://lifeboat:look@127.0.0.1:{port}/postgres?sslmode=disable"));
        look(&mut *l).await.all_good();
        for _ in 0..3 {
            turns.store(0, Ordering::SeqCst);
            look(&mut *l).await.all_good();
            assert_eq!(turns.load(Ordering::SeqCst), 1);
        }
    }
    // Also where one statement is not allowed: that is remembered.
    let turns = Arc::new(AtomicUsize::new(0));
    let port = proxy(pair.primary.port, |_, bytes, to| to.write_all(bytes).is_ok(), Arc::clone(&turns));
    let (_, mut l) = lane(&format!("postgres://plain:look@127.0.0.1:{port}/postgres?sslmode=disable"));
    look(&mut *l).await;
    turns.store(0, Ordering::SeqCst);
    look(&mut *l).await;
    assert_eq!(turns.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_misbehave_are_told_apart() {
    let at =
        |port: u16, more: &str| format!("postgres://lifeboat:look@127.0.0.1:{port}/postgres?sslmode=disable{more}");
    let one = PgOne::start("");
    let server = one.server.port;
    let turns = || Arc::new(AtomicUsize::new(0));

    let http = peer(|mut s| {
        s.read_exact(&mut [0; 8]).ok();
        s.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").ok();
        std::io::copy(&mut s, &mut std::io::sink()).ok();
    });
    assert_eq!(reason_of(&at(http, "")).await, Reason::Malformed);
    assert_eq!(reason_of(&format!("postgres://u:p@127.0.0.1:{http}/d?sslmode=require")).await, Reason::Malformed);
    let silent = peer(|mut s| while s.read(&mut [0; 64]).is_ok_and(|n| n > 0) {});
    assert_eq!(reason_of(&at(silent, "")).await, Reason::TimedOut);
    let closes = peer(drop);
    assert_eq!(reason_of(&at(closes, "")).await, Reason::Reset);

    // The login comes as the first chunk, the answer after it.
    let cut =
        proxy(server, |seen, b, to| to.write_all(if seen == 0 { b } else { &b[..99] }).is_ok() && seen == 0, turns());
    assert_eq!(reason_of(&at(cut, "")).await, Reason::Reset);
    let slow = proxy(
        server,
        |seen, bytes, to| {
            if seen == 0 {
                return to.write_all(bytes).is_ok();
            }
            bytes.chunks(1).all(|byte| {
                std::thread::park_timeout(Duration::from_secs(1));
                to.write_all(byte).is_ok()
            })
        },
        turns(),
    );
    assert_eq!(reason_of(&at(slow, "")).await, Reason::TimedOut);
    let large = proxy(
        server,
        |seen, bytes, to| {
            let head = if seen == 0 { bytes } else { &b"D\x06\0\0\0"[..] };
            to.write_all(head).is_ok() && (seen == 0 || (0..100).all(|_| to.write_all(&[b'x'; 1 << 20]).is_ok()))
        },
        turns(),
    );
    assert_eq!(reason_of(&at(large, "")).await, Reason::TooLarge);
    let rows = proxy(
        server,
        |seen, bytes, to| {
            if seen == 0 {
                return to.write_all(bytes).is_ok();
            }
            let row = [&b"D\0\0\x04\x0a\0\x01\0\0\x04\0"[..], &[b'x'; 1_024]].concat().repeat(1_024);
            to.write_all(&[&b"T\0\0\0\x1a\0\x01x\0"[..], &[0; 18]].concat()).is_ok()
                && (0..100).all(|_| to.write_all(&row).is_ok())
        },
        turns(),
    );
    let seen = look(&mut *lane(&at(rows, "")).1).await;
    assert_eq!(seen.reason(), Reason::TooLarge, "{:?}", seen.gap());
    let garbage = proxy(server, |seen, b, to| to.write_all(if seen == 0 { b } else { &[0xFF; 100] }).is_ok(), turns());
    assert_eq!(reason_of(&at(garbage, "")).await, Reason::Malformed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_refuses_options_is_asked_without_them() {
    let one = PgOne::start("");
    let server = one.server.port;
    // As PgBouncer does: options are refused, everything else goes on to the server.
    let pooler = peer(move |mut client| {
        let mut length = [0; 4];
        if client.read_exact(&mut length).is_err() {
            return;
        }
        let mut startup = vec![0; u32::from_be_bytes(length) as usize - 4];
        client.read_exact(&mut startup).unwrap();
        if startup.windows(8).any(|w| w == b"options\0") {
            let fields = b"SFATAL\0VFATAL\0C08P01\0Munsupported startup parameter: options\0\0";
            client.write_all(&[&b"E"[..], &(fields.len() as u32 + 4).to_be_bytes(), fields].concat()).unwrap();
            return;
        }
        let mut to = TcpStream::connect(("127.0.0.1", server)).unwrap();
        to.write_all(&[&length[..], &startup].concat()).unwrap();
        let (mut from, mut back) = (to.try_clone().unwrap(), client.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut from, &mut back));
        std::io::copy(&mut client, &mut to).ok();
        to.shutdown(std::net::Shutdown::Both).ok();
    });
    for user in ["lifeboat", "plain"] {
        let (_, mut l) = lane(&format!("postgres://{user}:look@127.0.0.1:{pooler}/postgres?sslmode=disable"));
        for _ in 0..2 {
            let seen = look(&mut *l).await;
            assert_eq!(seen.ok(&common::WRITABLE), &Value::Bool(true));
            assert!(matches!(seen.ok(&pg::COLLATIONS), Value::Rows(_)));
            assert_eq!(seen.rows(&pg::ARCHIVER)[0].int("ready").unwrap().is_some(), user == "lifeboat");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn zz_measure() {
    let pair = PgPair::start();
    for server in [&pair.primary, &pair.standby] {
        let (_, mut l) = lane(&format!("{}?sslmode=disable", with_password(server, "lifeboat")));
        look(&mut *l).await.all_good();
        let began = tokio::time::Instant::now();
        for _ in 0..100 {
            look(&mut *l).await.all_good();
        }
        println!("WARM LOOK {:?}", began.elapsed() / 100);
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
    let (_, probe) = declared(serde_json::json!({ "at": { "east": a, "west": "host=b" } })).unwrap();
    assert!(!format!("{probe:?}").contains("hunter2"), "{probe:?}");
    assert_eq!(probe.lanes[0].server.as_str(), "a:5432");
}
