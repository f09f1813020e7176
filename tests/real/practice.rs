//! The practice PostgreSQL servers beside real ones: the same probe sees the same kinds of readings, and the same gaps, in
//! whatever state they are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lifeboat::clock;
use lifeboat::practice::door::Door;
use lifeboat::practice::postgres;
use lifeboat::practice::shared::Shared;
use lifeboat::practice::world::event::Event;
use lifeboat::practice::world::roles::Role;
use lifeboat::practice::world::server::HBA;
use lifeboat::practice::world::{Setup, World};
use lifeboat::readiness::{Row, Value};
use lifeboat::systems::postgres::signals as pg;
use secrecy::SecretString;

use super::pg::{PgPair, until};
use super::postgres_lane::{Seen, TIMEOUT, lane, look, on};

/// The installed majors, beside the one that the machine has.
const VERSIONS: &str = include_str!("postgres_versions");

const EAST: &str = "orders-east-1";
const WEST: &str = "orders-west-1";

/// The practice pair: the same roles and passwords as the real one.
struct Practice {
    shared: Shared,
    ports: [u16; 2],
    _tasks: tokio::task::JoinSet<()>,
}

impl Practice {
    fn start() -> Self {
        let setup = Setup::usual(11, 1.0, Arc::new(|_: &str| SecretString::from("look")));
        let shared = Shared::new(World::new(&setup, clock::now()));
        shared.with(|w| {
            for name in [EAST, WEST, "orders-east-2"] {
                let catalog = &mut w.server_mut(name).unwrap().catalog;
                let shop = catalog.role("shop").unwrap().clone();
                catalog.roles.push(Role { name: "plain".to_owned(), oid: 16_400, ..shop });
            }
        });
        let mut tasks = tokio::task::JoinSet::new();
        let ports = [EAST, WEST].map(|name| {
            let door = Door::reserve().unwrap();
            let port = door.port();
            let serve = postgres::serve(door, shared.clone(), name);
            tasks.spawn(async move { serve.await.unwrap() });
            port
        });
        let world = shared.clone();
        tasks.spawn(async move { world.keep_going().await });
        Self { shared, ports, _tasks: tasks }
    }

    fn happen(&self, event: Event) {
        self.shared.with(|w| w.happen(event));
    }

    async fn until(&self, what: &str, mut holds: impl FnMut(&World) -> bool) {
        let wait = self.shared.until(|w| holds(w).then_some(()));
        assert!(tokio::time::timeout(Duration::from_secs(30), wait).await.is_ok(), "not within 30 s: {what}");
    }
}

/// What a value is, without what differs by nature.
fn kind(value: &Value) -> String {
    match value {
        Value::NotApplicable => "not applicable".to_owned(),
        Value::Null => "NULL".to_owned(),
        Value::Bool(b) => format!("{b}"),
        Value::Int(_) => "a number".to_owned(),
        Value::Number(_) => "a ratio".to_owned(),
        Value::Text(_) => "a text".to_owned(),
        Value::Bytes(_) => "bytes".to_owned(),
        Value::Span(_) => "a span".to_owned(),
        Value::Lsn(_) => "a position".to_owned(),
        Value::Time(_) => "a time".to_owned(),
        Value::Rows(rows) => {
            let shapes: BTreeSet<String> = rows.iter().map(shape).collect();
            format!("rows: {}", shapes.into_iter().collect::<Vec<_>>().join(" | "))
        }
    }
}

fn shape(row: &Row) -> String {
    let cells: BTreeMap<String, Value> = row.clone().into();
    cells.iter().map(|(name, value)| format!("{name} {}", kind(value))).collect::<Vec<_>>().join(", ")
}

/// What a look saw, by signal: kinds and gaps; of the settings also which there are.
fn kinds(seen: &Seen) -> BTreeMap<String, String> {
    let of = |value: &Result<Value, lifeboat::readiness::Gap>| match value {
        Ok(value) => kind(value),
        Err(gap) => format!("{:?}", gap.reason),
    };
    let mut out: BTreeMap<String, String> =
        seen.0.observed.iter().map(|o| (o.signal.to_string(), of(&o.value))).collect();
    if seen.of(&pg::SETTINGS).is_ok() {
        let names = seen.rows(&pg::SETTINGS).iter().filter_map(|r| r.text("name").ok().flatten());
        let names: BTreeSet<String> = names.map(|n| n.to_string()).collect();
        out.insert("names of settings".to_owned(), names.into_iter().collect::<Vec<_>>().join(", "));
    }
    out
}

fn url(port: u16, user: &str, rest: &str) -> String {
    format!("postgres://{user}@127.0.0.1:{port}/{rest}")
}

/// Looks at both, and compares: until they are seen to be the same, since neither turns round at once.
async fn same(state: &str, real: &str, practice: &str) -> BTreeMap<String, String> {
    let mut tries = 10;
    loop {
        let (mut theirs, mut ours) = (lane(real).1, lane(practice).1);
        let (theirs, ours) = tokio::join!(look(&mut *theirs), look(&mut *ours));
        let (theirs, ours) = (kinds(&theirs), kinds(&ours));
        tries -= 1;
        if theirs == ours || tries == 0 {
            assert_eq!(theirs, ours, "{state}: PostgreSQL's, and the practice's");
            return ours;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_probe_sees_the_same_on_practice_and_on_real_servers() {
    // Practice speaks as version 17.
    let version = VERSIONS.lines().find(|v| v.starts_with("17.")).unwrap();
    let pair = PgPair::of_package(
        version,
        "archive_mode = on\narchive_command = '/bin/true'\nrestore_command = '/bin/false'\nhot_standby_feedback = on\nmax_slot_wal_keep_size = '1GB'",
    );
    let practice = Practice::start();
    let [east, west] = practice.ports;
    let (primary, standby) = (pair.primary.port, pair.standby.port);
    let (real, ours) = ("postgres", "orders");

    // Both have committed and archived something.
    tokio::task::block_in_place(|| pair.primary.sql("CREATE TABLE committed (n int)"));
    on(&pair.primary, "SELECT pg_switch_wal()");
    tokio::task::block_in_place(|| {
        until("a file is archived", || pair.primary.sql("SELECT archived_count > 0 FROM pg_stat_archiver") == "t");
        pair.in_step();
        // It began as a copy of the primary, with what that had counted and its slot.
        pair.standby.sql("SELECT pg_stat_reset_shared('archiver')");
        pair.standby.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots");
    });
    practice.shared.with(|w| w.switch_wal(EAST));
    practice
        .until("the standby streams", |w| w.server(WEST).is_some_and(|(_, s)| s.position() > lifeboat::plan::Lsn(0)))
        .await;

    let mut states = 0;
    let mut check = async |state: &str, user: &str, (theirs, own): (u16, u16), databases: (&str, &str)| {
        states += 1;
        same(state, &url(theirs, user, databases.0), &url(own, user, databases.1)).await
    };
    let look = "lifeboat:look";
    check("a primary", look, (primary, east), (real, ours)).await;
    check("a standby", look, (standby, west), (real, ours)).await;
    check("a primary, by a role without pg_monitor", "plain:look", (primary, east), (real, ours)).await;
    check("a standby, by a role without pg_monitor", "plain:look", (standby, west), (real, ours)).await;

    // Turned away: the real pair's logins are by trust, so it gets the practice's lines.
    pair.primary
        .hba("local all all trust\nhost replication all 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n");
    pair.primary.reload();
    tokio::task::block_in_place(|| {
        until("pg_hba counts", || {
            pair.primary.sql("SELECT count(*) FROM pg_hba_file_rules WHERE auth_method = 'scram-sha-256'") == "1"
        });
    });
    check("a wrong password", "lifeboat:wrong", (primary, east), (real, ours)).await;
    check("no such role", "nobody:look", (primary, east), (real, ours)).await;
    check("no such database", look, (primary, east), ("absent", "absent")).await;
    on(&pair.primary, "CREATE ROLE shut NOLOGIN PASSWORD 'look'");
    practice.shared.with(|w| {
        let catalog = &mut w.server_mut(EAST).unwrap().catalog;
        let shop = catalog.role("shop").unwrap().clone();
        catalog.roles.push(Role { name: "shut".to_owned(), login: false, ..shop });
    });
    check("a role that may not log in", "shut:look", (primary, east), (real, ours)).await;
    pair.primary.hba("local all all trust\nhost replication all 127.0.0.1/32 trust\nhost all plain all reject\nhost all all 127.0.0.1/32 scram-sha-256\n");
    pair.primary.reload();
    tokio::task::block_in_place(|| {
        until("pg_hba counts", || {
            pair.primary.sql("SELECT count(*) FROM pg_hba_file_rules WHERE auth_method = 'reject'") == "1"
        });
    });
    practice.shared.with(|w| {
        let server = w.server_mut(EAST).unwrap();
        let text = server.files.get(HBA).unwrap().clone();
        server.files.insert(HBA.to_owned(), format!("host all plain all reject\n{text}"));
        w.reload(EAST);
    });
    check("a role that pg_hba.conf rejects", "plain:look", (primary, east), (real, ours)).await;

    on(&pair.standby, "SELECT pg_wal_replay_pause()");
    tokio::task::block_in_place(|| {
        until("replay is paused", || pair.standby.sql("SELECT pg_get_wal_replay_pause_state()") == "paused");
    });
    practice.happen(Event::ReplayPauses(WEST));
    check("a standby whose replay is paused", look, (standby, west), (real, ours)).await;
    on(&pair.standby, "SELECT pg_wal_replay_resume()");
    practice.happen(Event::ReplayResumes(WEST));

    tokio::task::block_in_place(|| pair.primary.signal("STOP"));
    practice.happen(Event::Freezes(EAST));
    let seen = check("a primary that hangs", look, (primary, east), (real, ours)).await;
    assert!(seen.values().all(|k| k == "TimedOut"), "{seen:?}");
    tokio::task::block_in_place(|| pair.primary.signal("CONT"));
    practice.happen(Event::Thaws(EAST));

    tokio::task::block_in_place(|| pair.primary.stop("immediate"));
    practice.happen(Event::Stops(EAST));
    // The door turns round with the world's next beat.
    tokio::task::block_in_place(|| {
        let knock = || std::net::TcpStream::connect(("127.0.0.1", east)).map_err(|e| e.kind());
        until("the door is shut", || matches!(knock(), Err(std::io::ErrorKind::ConnectionRefused)));
    });
    let seen = check("a primary that is down", look, (primary, east), (real, ours)).await;
    assert!(seen.values().all(|k| k == "Refused"), "{seen:?}");
    tokio::task::block_in_place(|| {
        until("the receiver ended", || pair.standby.sql("SELECT count(*) FROM pg_stat_wal_receiver") == "0");
    });
    check("a standby without its primary", look, (standby, west), (real, ours)).await;

    on(&pair.standby, "SELECT pg_promote(true, 30)");
    practice.shared.with(|w| w.promote(WEST)).unwrap();
    practice.until("it is promoted", |w| w.server(WEST).is_some_and(|(_, s)| !s.in_recovery())).await;
    // What the archiver did before is gone on neither of them.
    tokio::task::block_in_place(|| {
        pair.standby.sql("SELECT pg_switch_wal()");
        until("a file is archived", || pair.standby.sql("SELECT archived_count > 0 FROM pg_stat_archiver") == "t");
    });
    practice.shared.with(|w| w.switch_wal(WEST));
    check("a promoted standby", look, (standby, west), (real, ours)).await;
    assert!(states >= 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_black_hole_costs_the_deadline_and_heals() {
    use lifeboat::practice::world::network::Site;
    let practice = Practice::start();
    let east = url(practice.ports[0], "lifeboat:look", "orders");
    let (_, mut kept) = lane(&east);
    look(&mut *kept).await.all_good();
    practice.happen(Event::SiteCut(Site::East));
    let tcp = tokio::net::TcpStream::connect(("127.0.0.1", practice.ports[0]));
    // The door turns round with the world's next beat.
    let limit = tokio::time::Instant::now() + Duration::from_secs(10);
    let mut tried = tokio::time::timeout(Duration::from_secs(1), tcp).await;
    while tried.is_ok() && tokio::time::Instant::now() < limit {
        tried = tokio::time::timeout(
            Duration::from_secs(1),
            tokio::net::TcpStream::connect(("127.0.0.1", practice.ports[0])),
        )
        .await;
    }
    assert!(tried.is_err(), "no connection comes about");
    let fresh = look(&mut *lane(&east).1).await;
    assert!(fresh.0.observed.iter().all(|o| o.value.is_err()));
    let silent = look(&mut *kept).await;
    assert!(silent.0.observed.iter().all(|o| o.value.is_err()), "an open connection falls silent");
    practice.happen(Event::SiteHealed(Site::East));
    let limit = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let seen = look(&mut *lane(&east).1).await;
        if seen.0.observed.iter().all(|o| o.value.is_ok()) {
            break;
        }
        assert!(tokio::time::Instant::now() < limit, "it does not heal: {:?}", seen.0);
    }
    assert!(TIMEOUT > Duration::ZERO);
}

/// What Debian's `psql` prints for these arguments.
fn psql(port: u16, user: &str, args: &[&str]) -> Result<String, String> {
    let out = std::process::Command::new("psql")
        .args(["-X", "-A", "-t", "-h", "127.0.0.1", "-U", user, "-d", "orders", "-p", &port.to_string()])
        .args(args)
        .env("PGPASSWORD", "look")
        .env("LC_ALL", "C")
        .output()
        .expect("psql is installed");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if out.status.success() { Ok(text(&out.stdout)) } else { Err(text(&out.stderr)) }
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_reads_a_practice_server() {
    let practice = Practice::start();
    let [east, west] = practice.ports;
    let ask = |port: u16, sql: &str| tokio::task::block_in_place(|| psql(port, "lifeboat", &["-c", sql]));
    assert_eq!(ask(east, "SELECT pg_is_in_recovery(), count(*) > 1999 FROM orders"), Ok("f|t".to_owned()));
    assert_eq!(ask(west, "SELECT status FROM pg_stat_wal_receiver"), Ok("streaming".to_owned()));
    assert!(ask(east, "\\conninfo").unwrap().contains("lifeboat"));
    assert_eq!(ask(east, "\\dt").unwrap().lines().count(), 2);
    assert_eq!(
        ask(east, "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1"),
        Ok("orders\npostgres".to_owned())
    );
    for (sql, code, words) in [
        ("SELECT * FROM nowhere", "42P01", "relation \"nowhere\" does not exist"),
        ("SELECT no_such(1)", "42883", "does not exist"),
        ("CREATE TABLE x (a int)", "0A000", "does not support"),
    ] {
        let said = tokio::task::block_in_place(|| {
            psql(east, "postgres", &["-v", "VERBOSITY=verbose", "-v", "ON_ERROR_STOP=1", "-c", sql])
        });
        let said = said.unwrap_err();
        assert!(said.contains(code) && said.contains(words), "{sql}: {said}");
    }
    // Writing, and what keeps one from it.
    let insert = "INSERT INTO orders (customer_id, cents) VALUES (1, 500)";
    let write =
        |port: u16| tokio::task::block_in_place(|| psql(port, "shop", &["-v", "ON_ERROR_STOP=1", "-c", insert]));
    assert_eq!(write(east), Ok("INSERT 0 1".to_owned()));
    assert!(write(west).unwrap_err().contains("read-only transaction"));
    practice.shared.with(|w| w.alter_login(EAST, "shop", false));
    assert!(write(east).unwrap_err().contains("is not permitted to log in"));
    // A transaction block is one: what fails in it is not there.
    practice.shared.with(|w| w.alter_login(EAST, "shop", true));
    let block = "BEGIN; INSERT INTO orders (customer_id, cents) VALUES (2, 77); SELECT 1 / 0; COMMIT";
    assert!(
        tokio::task::block_in_place(|| psql(east, "shop", &["-c", block])).unwrap_err().contains("division by zero")
    );
    assert_eq!(ask(east, "SELECT count(*) FROM orders WHERE cents = 77"), Ok("0".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_extended_protocol_and_cancelling_work() {
    let practice = Practice::start();
    let config = url(practice.ports[0], "lifeboat:look", "orders");
    let (client, connection) = tokio_postgres::connect(&config, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let rows = client
        .query("SELECT pid, usename::text, backend_start, true FROM pg_stat_activity WHERE usename = $1", &[&"shop"])
        .await
        .unwrap();
    assert_eq!(rows.len(), 11);
    assert_eq!(rows[0].get::<_, String>(1), "shop");
    assert!(rows[0].get::<_, bool>(3) && rows[0].get::<_, i32>(0) > 0);
    let token = client.cancel_token();
    let sleep = client.simple_query("SELECT pg_sleep(60)");
    let cancel = async {
        practice.until("it sleeps", |w| w.server(EAST).is_some_and(|(_, s)| s.sessions.iter().any(|x| x.active))).await;
        token.cancel_query(tokio_postgres::NoTls).await.unwrap();
    };
    let (slept, ()) = tokio::join!(sleep, cancel);
    assert_eq!(slept.unwrap_err().code().map(|c| c.code().to_owned()), Some("57014".to_owned()));
    // Somebody ends the session.
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    practice.shared.with(|w| assert!(w.end_session(EAST, pid)));
    let ended = client.simple_query("SELECT 1").await.unwrap_err();
    assert!(ended.is_closed() || ended.code().is_some_and(|c| c.code() == "57P01"), "{ended:?}");
}

/// The plan of the practice pair with these steps of a switchover.
fn plan(practice: &Practice, steps: &[(&str, &str, &str)]) -> String {
    let [east, west] = practice.ports.map(|port| url(port, "lifeboat", "orders"));
    let look = "password = { command = [\"echo\", \"look\"] }";
    let mut text = format!(
        r#"
here = "elsewhere"
[[plan]]
name       = "lab"
tier       = 1
strategy   = "pilot-light"
objectives = {{ rpo = "30s", rto = "5m" }}
sites      = {{ east = "one", west = "other" }}
home       = "east"
requires   = ["replication"]
[[plan.probe]]
name     = "db"
kind     = "postgres"
at       = {{ east = "{east}", west = "{west}" }}
{look}
act_as   = {{ user = "lifeboat_act", {look} }}
[[plan.probe]]
name     = "sound"
kind     = "sql-check"
area     = "standby"
interval = "5s"
timeout  = "3s"
at       = {{ east = "{east}", west = "{west}" }}
{look}
query    = "SELECT count(*) FROM orders WHERE cents < 0"
expect   = 0
"#
    );
    for (n, (kind, site, rest)) in steps.iter().enumerate() {
        let probe = if *kind == "sql-check" { "sound" } else { "db" };
        text += &format!(
            "[[plan.switchover]]\nstep = \"step {n}\"\nkind = \"{kind}\"\nprobe = \"{probe}\"\non = \"{site}\"\n\
             because = \"a test\"\n{rest}\n"
        );
    }
    text
}

const APP: &str = "app_roles = [\"shop\"]\napp = { user = \"shop\", password = { command = [\"echo\", \"look\"] } }\ndeadline = \"40s\"";
const LET_IN: &str = "app = { user = \"shop\", password = { command = [\"echo\", \"look\"] } }\ndeadline = \"40s\"";

#[tokio::test(flavor = "multi_thread")]
async fn the_steps_work_unchanged_on_practice_servers() {
    use lifeboat::practice::world::network::Site;
    use lifeboat::runbook::{Held, Outcome, RunbookKind, StepIx, Strength};

    for by in ["pg-hba", "nologin"] {
        let practice = Practice::start();
        practice
            .until("the applications are connected", |w| w.cluster("orders").unwrap().applications.connected.is_some())
            .await;
        let fence = format!("{APP}\nby = \"{by}\"");
        let steps = [
            ("postgres-fence", "old-active", fence.as_str()),
            ("postgres-promote", "new-active", "deadline = \"60s\""),
            ("sql-check", "new-active", ""),
        ];
        let run = crate::acting::Run::open(&plan(&practice, &steps), RunbookKind::Switchover, "east", "west");
        let fenced = run.succeeds(StepIx(0)).await;
        let left = fenced.seen.left;
        assert_eq!(left.fence.unwrap().strength, Strength::Blocked, "{by}");
        assert_eq!(left.loss.unwrap().missing, Some(lifeboat::plan::Bytes(0)), "{by}: nothing is written any more");
        practice
            .until("the applications are turned away", |w| {
                w.cluster("orders").unwrap().applications.connected.is_none()
            })
            .await;
        run.succeeds(StepIx(1)).await;
        let (recovery, timeline) = practice.shared.with(|w| {
            let (_, west) = w.server(WEST).unwrap();
            (west.in_recovery(), west.timeline())
        });
        assert_eq!((recovery, timeline), (false, 2));
        // It only looks, and what it looks for is there.
        assert_eq!(run.carry_out(StepIx(2)).await.outcome, Outcome::AlreadyTrue);
    }

    // What was turned away is let in again, where nothing was promoted.
    let practice = Practice::start();
    let steps = [("postgres-fence", "old-active", APP), ("postgres-unfence", "old-active", LET_IN)];
    let run = crate::acting::Run::open(&plan(&practice, &steps), RunbookKind::Switchover, "east", "west");
    run.succeeds(StepIx(0)).await;
    run.succeeds(StepIx(1)).await;
    practice
        .until("the applications are back", |w| w.cluster("orders").unwrap().applications.connected == Some(EAST))
        .await;

    // Applications follow traffic to where they are let in.
    let practice = Practice::start();
    practice
        .until("the applications are connected", |w| w.cluster("orders").unwrap().applications.connected.is_some())
        .await;
    let moved = "roles = [\"shop\"]\nsessions = 11\ndeadline = \"20s\"";
    let steps = [
        ("postgres-fence", "old-active", APP),
        ("postgres-promote", "new-active", ""),
        ("clients-moved", "new-active", moved),
    ];
    let run = crate::acting::Run::open(&plan(&practice, &steps), RunbookKind::Switchover, "east", "west");
    run.succeeds(StepIx(0)).await;
    run.succeeds(StepIx(1)).await;
    assert_eq!(run.preview(StepIx(2)).await.already, Held::Fails);
    practice.happen(Event::ApplicationsMove("orders", Site::West));
    // They may be there before it is looked at again.
    let ended = run.carry_out(StepIx(2)).await;
    assert!(ended.outcome.is_done(), "{ended:?}");
}
