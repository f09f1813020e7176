//! The steps after a promotion against real servers: clients, rows, the way back, logical replication; and the plan's lock.

use std::process::{Child, Stdio};
use std::time::Duration;

use lifeboat::runbook::{Acted, Class, Held, Outcome, RunbookKind};
use lifeboat::systems::Guarding;
use tokio::time::Instant;

use super::acting::{Run, condition};
use super::pg::{PgPair, PgTwo, Server, give, until};
use super::postgres_lane::on;
use super::steps_postgres::{BLOCK, FIRST, PROMOTE, SECOND, THIRD, as_app, blocking, pair, plan, roles, run_of};

/// An application's sessions that stay open.
struct Sessions(Vec<Child>);

impl Sessions {
    fn open(server: &Server, count: usize) -> Self {
        let one = |_| {
            let mut c = super::pg::program("psql");
            c.args(["-X", "-h", "127.0.0.1", "-U", "shop", "-d", "postgres", "-p", &server.port.to_string()]);
            c.args(["-c", "SELECT pg_sleep(600)"]).stdout(Stdio::null()).stderr(Stdio::null());
            c.spawn().expect("psql")
        };
        let sessions = Self((0..count).map(one).collect());
        let question = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'shop'";
        until("its sessions are open", || server.sql(question) == count.to_string());
        sessions
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        for child in &mut self.0 {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

const CLIENTS: (&str, &str, &str) = ("clients-moved", "new-active", "roles = [\"shop\"]\ndeadline = \"20s\"");

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_counted_against_those_that_the_fence_found() {
    let pair = pair().await;
    let run = run_of(&pair, &[BLOCK, PROMOTE, CLIENTS]);
    let _before = blocking(|| Sessions::open(&pair.primary, 4));
    run.succeeds(FIRST).await;
    run.succeeds(SECOND).await;
    // Four were there, none is back.
    let preview = run.preview(THIRD).await;
    assert_eq!(preview.already, Held::Fails);
    assert!(
        preview.role.as_str().contains("0 sessions") && preview.role.as_str().contains("4 before the fence"),
        "{}",
        preview.role
    );
    run.approve(THIRD).await.unwrap();
    let one = blocking(|| Sessions::open(&pair.standby, 1));
    assert_eq!(run.preview(THIRD).await.already, Held::Fails, "one of four is too few");
    drop(one);
    on(&pair.standby, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'shop'");
    let _after = blocking(|| {
        until("the one is gone", || {
            pair.standby.sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'shop'") == "0"
        });
        Sessions::open(&pair.standby, 2)
    });
    let ended = run.finish(THIRD).await;
    assert!(matches!(ended.outcome, Outcome::Succeeded | Outcome::AlreadyTrue), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_at_the_old_primary_is_one_too_many() {
    let pair = pair().await;
    blocking(|| {
        pair.standby.sql("SELECT pg_promote(true, 30)");
    });
    let run = run_of(&pair, &[("clients-moved", "new-active", "roles = [\"shop\"]\nsessions = 1\ndeadline = \"2s\"")]);
    let (_old, _new) = blocking(|| (Sessions::open(&pair.primary, 1), Sessions::open(&pair.standby, 1)));
    let ended = run.carry_out(FIRST).await;
    assert_eq!(ended.outcome, Outcome::Failed, "{ended:?}");
    assert!(ended.why.contains("1 at the old primary"), "{}", ended.why);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_gives_what_it_must_at_one_site() {
    let pair = pair().await;
    on(&pair.primary, "GRANT SELECT ON orders TO lifeboat");
    let (east, west) = (pair.primary.url("lifeboat"), pair.standby.url("lifeboat"));
    let probe = format!(
        "[[plan.probe]]\nname = \"rows\"\nkind = \"sql-check\"\narea = \"standby\"\nat = {{ east = \"{east}\", west = \"{west}\" }}\n\
         password = {{ command = [\"echo\", \"look\"] }}\nquery = \"SELECT count(*) FROM orders\"\n"
    );
    let check = ("sql-check", "new-active", "gives = 2\ndeadline = \"2s\"");
    let run = Run::open(&plan(&east, &west, &probe, &[check, check]), RunbookKind::Switchover, "east", "west");
    let ended = run.carry_out(FIRST).await;
    assert_eq!(ended.outcome, Outcome::Failed, "{ended:?}");
    assert!(ended.why.contains("it gives 0, not 2"), "{}", ended.why);
    on(&pair.primary, "INSERT INTO orders SELECT FROM generate_series(1, 2)");
    blocking(|| pair.in_step());
    let ended = run.carry_out(FIRST).await;
    assert_eq!(ended.outcome, Outcome::AlreadyTrue, "{ended:?}");
}

/// A script that the servers' user runs; gives its path.
fn script(pair: &PgPair, name: &str, body: &str) -> String {
    let path = pair.primary.dir.join(name);
    let bin = pair.primary.bin.display();
    std::fs::write(
        &path,
        format!("#!/bin/sh\nset -e\nexec >>{0}/{name}.log 2>&1\nPATH={bin}:$PATH\n{body}", pair.primary.dir.display()),
    )
    .expect("a script");
    give(&path, 0o755);
    path.display().to_string()
}

fn as_postgres(key: &str, path: &str) -> String {
    format!(
        "{key} = [\"setpriv\", \"--reuid=postgres\", \"--regid=postgres\", \"--init-groups\", \"{path}\"]\ndeadline = \"60s\""
    )
}

/// The lines that end a script: the old primary's own settings, and its start.
fn standby_again(pair: &PgPair) -> String {
    let (data, port) = (pair.primary.data.display(), pair.primary.port);
    format!(
        "cat >>{data}/postgresql.auto.conf <<END\nport = {port}\ncluster_name = 'east'\nprimary_slot_name = ''\nEND\n\
         pg_ctl -D {data} -l {data}.log -w start\n"
    )
}

async fn comes_back(key: &str, body: impl Fn(&PgPair) -> String) {
    let pair = pair().await;
    let path = script(&pair, "rejoin.sh", &(body(&pair) + &standby_again(&pair)));
    let step = as_postgres(key, &path);
    let run = run_of(&pair, &[PROMOTE, ("postgres-rejoin", "old-active", &step)]);
    run.succeeds(FIRST).await;
    // The old primary wrote on: a diverged history.
    blocking(|| {
        assert!(as_app(&pair.primary, "shop", "INSERT INTO orders SELECT FROM generate_series(1, 100)").0);
        pair.primary.stop("fast");
    });
    let preview = run.preview(SECOND).await;
    let own = condition(&preview, "own-changes");
    assert_eq!((own.held, own.class, own.consent.as_str()), (Held::Fails, Class::Risk, "discard its changes"));
    assert_eq!(condition(&preview, "new-primary").held, Held::Holds);
    let ended = run.carry_out(SECOND).await;
    let log =
        std::fs::read_to_string(format!("{path}.log").replace("rejoin.sh.log", "rejoin.sh.log")).unwrap_or_default();
    assert_eq!(ended.outcome, Outcome::Succeeded, "{ended:?}\n{log}");
    assert_eq!(on(&pair.primary, "SELECT count(*) FROM orders"), "0", "its own rows went");
    assert_eq!(on(&pair.standby, "SELECT application_name FROM pg_stat_replication WHERE state = 'streaming'"), "east");
    assert_eq!(run.preview(SECOND).await.already, Held::Holds);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_primary_is_rewound() {
    comes_back("rewind", |pair| {
        let (data, port) = (pair.primary.data.display(), pair.standby.port);
        // Before 16 pg_rewind goes by the control file, which a promotion leaves as it was until the next checkpoint.
        format!("psql -X -h 127.0.0.1 -p {port} -U postgres -c CHECKPOINT\npg_rewind -D {data} -R --source-server='host=127.0.0.1 port={port} user=postgres dbname=postgres'\n")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_primary_is_made_anew() {
    comes_back("basebackup", |pair| {
        let (data, port) = (pair.primary.data.display(), pair.standby.port);
        format!("rm -rf {data}\npg_basebackup -h 127.0.0.1 -p {port} -U postgres -D {data} -R -X stream -c fast\n")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_rejoined_to_a_standby() {
    let pair = pair().await;
    let step = as_postgres("rewind", "/bin/false");
    let run = run_of(&pair, &[("postgres-rejoin", "old-active", &step)]);
    assert_eq!(condition(&run.preview(FIRST).await, "new-primary").held, Held::Fails);
    assert!(run.approve(FIRST).await.is_err());
}

async fn hold(run: &Run, lock: &mut dyn Guarding) -> (Held, String) {
    let (held, why) = lock.hold(&run.scene(), Instant::now() + Duration::from_secs(5)).await;
    (held, why.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bastion_at_a_time_holds_the_plan_at_its_target() {
    let pair = pair().await;
    let (mine, other) = (run_of(&pair, &[PROMOTE]), run_of(&pair, &[PROMOTE]));
    let mut first = mine.executor(FIRST).guarding(&mine.scene()).unwrap();
    let mut second = other.executor(FIRST).guarding(&other.scene()).unwrap();
    assert_eq!(first.what(), second.what());
    assert_eq!(hold(&mine, &mut *first).await.0, Held::Holds);
    assert_eq!(hold(&mine, &mut *first).await.0, Held::Holds, "it is held once");
    let (held, why) = hold(&other, &mut *second).await;
    assert_eq!(held, Held::Fails);
    assert!(why.contains("another lifeboat") && why.contains("lifeboat from 127.0.0.1"), "{why}");
    // Kept through the promotion.
    mine.succeeds(FIRST).await;
    assert_eq!(hold(&mine, &mut *first).await.0, Held::Holds);
    assert_eq!(hold(&other, &mut *second).await.0, Held::Fails);
    // Given back with whoever held it.
    drop(first);
    let limit = Instant::now() + Duration::from_secs(10);
    while hold(&other, &mut *second).await.0 != Held::Holds {
        assert!(Instant::now() < limit, "it is given back");
    }
    // A server that restarts has lost it: it is taken anew.
    blocking(|| {
        pair.standby.stop("fast");
        pair.standby.start();
    });
    assert_eq!(hold(&other, &mut *second).await.0, Held::Holds);
}

/// A publisher and a subscriber with an owned and a free sequence, in step.
fn logical() -> PgTwo {
    let two = PgTwo::start();
    for server in [&two.east, &two.west] {
        roles(server);
        server.sql("CREATE SEQUENCE free; GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO lifeboat, failover");
        server.sql(
            "GRANT UPDATE ON ALL SEQUENCES IN SCHEMA public TO failover; GRANT SELECT ON orders TO lifeboat, failover",
        );
        server.sql("GRANT postgres TO failover");
    }
    two.east.sql("CREATE PUBLICATION p FOR TABLE orders");
    let from = format!("host=127.0.0.1 port={} user=postgres dbname=postgres", two.east.port);
    two.west.sql(&format!("CREATE SUBSCRIPTION s CONNECTION '{from}' PUBLICATION p"));
    two.east.sql("INSERT INTO orders SELECT FROM generate_series(1, 100)");
    two.east.sql("SELECT setval('free', 500)");
    until("the rows arrive", || two.west.sql("SELECT count(*) FROM orders") == "100");
    two
}

fn logical_run(two: &PgTwo, steps: &[(&str, &str, &str)]) -> Run {
    let text = plan(&two.east.url("lifeboat"), &two.west.url("lifeboat"), "", steps);
    Run::open(
        &text.replace("kind     = \"postgres\"", "kind     = \"postgres\"\nmode     = \"logical\""),
        RunbookKind::Switchover,
        "east",
        "west",
    )
}

const ADVANCE: (&str, &str, &str) = ("sequences-advance", "new-active", "margin = 50\ndeadline = \"10s\"");
const DETACH: (&str, &str, &str) = ("subscription-detach", "new-active", "deadline = \"10s\"");

#[tokio::test(flavor = "multi_thread")]
async fn a_logical_subscriber_stands_alone() {
    let two = blocking(logical);
    let run = logical_run(&two, &[ADVANCE, DETACH]);
    let preview = run.preview(FIRST).await;
    assert_eq!(preview.already, Held::Fails, "{preview:?}");
    assert_eq!(on(&two.west, "SELECT is_called FROM orders_n_seq"), "f");
    let ended = run.succeeds(FIRST).await;
    assert!(matches!(ended.acted, Some(Acted::Returned { .. })), "{ended:?}");
    assert_eq!(on(&two.west, "SELECT last_value FROM orders_n_seq"), "150");
    assert_eq!(on(&two.west, "SELECT last_value FROM free"), "550", "the publisher's own value");
    assert!(blocking(|| as_app(&two.west, "shop", "INSERT INTO orders DEFAULT VALUES")).0, "no number twice");
    // Once more, by another run: what is far enough stays.
    let again = logical_run(&two, &[ADVANCE, DETACH]);
    assert_eq!(again.preview(FIRST).await.already, Held::Fails, "a row was added: 151 and 50 more");

    // The publisher is gone: a plain DROP would hang.
    blocking(|| two.east.stop("immediate"));
    let ended = run.succeeds(SECOND).await;
    let facts = ended.seen.left.facts;
    assert!(facts[0].as_str().contains("pg_drop_replication_slot('s')"), "{facts:?}");
    assert_eq!(on(&two.west, "SELECT count(*) FROM pg_subscription"), "0");
    assert_eq!(run_once(&two, &[DETACH]).await.outcome, Outcome::AlreadyTrue);
}

async fn run_once(two: &PgTwo, steps: &[(&str, &str, &str)]) -> super::acting::Ended {
    logical_run(two, steps).carry_out(FIRST).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logical_step_that_is_not_allowed_names_the_grant() {
    let two = blocking(logical);
    on(
        &two.west,
        "REVOKE postgres FROM failover; REVOKE UPDATE ON SEQUENCE free FROM failover; REVOKE SELECT ON orders FROM failover",
    );
    let run = logical_run(&two, &[ADVANCE]);
    let why = condition(&run.preview(FIRST).await, "privilege").why.to_string();
    assert_eq!(
        why,
        "GRANT UPDATE, SELECT ON SEQUENCE public.free TO \"failover\"; GRANT SELECT ON public.orders TO \"failover\""
    );
    assert!(run.approve(FIRST).await.is_err());
    let run = logical_run(&two, &[DETACH]);
    let preview = run.preview(FIRST).await;
    let lacks = condition(&preview, "privilege");
    assert_eq!(
        (lacks.held, lacks.why.as_str()),
        (Held::Fails, "it does not own s: GRANT \"postgres\" TO \"failover\"")
    );
}

/// A plan that has backups only, with this step of a switchover into the database `dr`.
pub(super) fn backups_only(server: &Server, directory: &std::path::Path, step: &str) -> String {
    let url = server.url("lifeboat").replace("/postgres", "/dr");
    format!(
        r#"
here = "elsewhere"
[[plan]]
name       = "lab"
tier       = 1
strategy   = "backup-restore"
objectives = {{ rpo = "1d", rto = "5m" }}
sites      = {{ east = "one", west = "other" }}
home       = "east"
requires   = ["backup"]
[[plan.probe]]
name     = "db"
kind     = "postgres"
mode     = "restored"
at       = {{ west = "{url}" }}
password = {{ command = ["echo", "look"] }}
freshness_query = "SELECT max(at) FROM orders"
[[plan.probe]]
name     = "dumps"
kind     = "backup-files"
site     = "west"
location = "{}"
pattern  = "*.dump"
max_age  = "1d"
settle   = "1ms"
[[plan.switchover]]
step    = "restore"
kind    = "restore"
probe   = "db"
on      = "new-active"
from    = "dumps"
because = "a test"
verify  = "SELECT count(*) = 1000 FROM orders"
deadline = "60s"
{step}
"#,
        directory.display()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_restored_into_an_empty_database_once() {
    let one = blocking(|| super::pg::PgOne::start(""));
    let server = &one.server;
    blocking(|| {
        roles(server);
        server.sql("CREATE DATABASE dr");
        server.sql("INSERT INTO orders SELECT FROM generate_series(1, 1000); GRANT SELECT ON orders TO lifeboat");
    });
    let dir = tempfile::tempdir().unwrap();
    give(dir.path(), 0o755);
    let (dump, port) = (dir.path().join("orders.dump").display().to_string(), server.port.to_string());
    blocking(|| {
        super::pg::run(super::pg::program("pg_dump").args([
            "-Fc",
            "-h",
            "127.0.0.1",
            "-U",
            "postgres",
            "-p",
            &port,
            "-f",
            &dump,
            "postgres",
        ]))
    });
    let command = |options: &str| {
        let bin = server.bin.display();
        format!(
            "command = [\"{bin}/pg_restore\", \"-h\", \"127.0.0.1\", \"-p\", \"{port}\", \"-U\", \"postgres\", \"-d\", \"dr\", {options}\"--exit-on-error\", \"{{file}}\"]"
        )
    };
    let open = |step: &str| Run::open(&backups_only(server, dir.path(), step), RunbookKind::Switchover, "east", "west");
    let run = open(&command(""));
    let preview = run.preview(FIRST).await;
    for id in ["writable", "inactive", "empty", "backup"] {
        assert_eq!(condition(&preview, id).held, Held::Holds, "{:?}", condition(&preview, id));
    }
    assert_eq!((condition(&preview, "whole").held, condition(&preview, "whole").class), (Held::Unknown, Class::Advice));
    assert!(preview.actions[0].as_str().ends_with("orders.dump"), "{:?}", preview.actions);
    let ended = run.succeeds(FIRST).await;
    assert!(ended.seen.left.facts[0].as_str().contains("orders.dump"));

    // It is not empty any more: nothing is done to it.
    let run = open(&command(""));
    let preview = run.preview(FIRST).await;
    assert_eq!((preview.already, condition(&preview, "empty").held), (Held::Fails, Held::Fails));
    assert!(run.approve(FIRST).await.is_err());

    // A command that cleans first has a risk of its own; one that fails is told with its words.
    let run = open(&format!("into = \"replace\"\n{}", command("")));
    assert_eq!(condition(&run.preview(FIRST).await, "empty").consent, "overwrite");
    let ended = run.carry_out(FIRST).await;
    assert_eq!(ended.outcome, Outcome::Failed, "{ended:?}");
    assert!(ended.why.contains("already exists"), "{}", ended.why);
    let run = open(&format!("into = \"replace\"\n{}", command("\"--clean\", ")));
    run.succeeds(FIRST).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_tells_how_far_it_is() {
    let one = blocking(|| super::pg::PgOne::start(""));
    on(&one.server, "CREATE DATABASE dr");
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.dump"), "PGDMP").unwrap();
    let step = "command = [\"sh\", \"-c\", \"sleep 3; exit 0\", \"{file}\"]";
    let text = backups_only(&one.server, dir.path(), step).replace("deadline = \"60s\"", "deadline = \"5s\"");
    let run = Run::open(&text, RunbookKind::Switchover, "east", "west");
    run.approve(FIRST).await.unwrap_or_else(|e| panic!("{e}"));
    let mut executor = run.executor(FIRST);
    let authorized = run.begin(FIRST, &mut *executor).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    let acted = executor.act(authorized, &run.scene(), deadline).await;
    assert!(matches!(acted, Acted::Returned { .. }), "{acted:?}");
    let seen = executor.observe(&run.scene(), deadline).await;
    assert_eq!(seen.held, Held::Unknown);
    assert!(seen.waits.unwrap().as_str().contains("in the database so far"));
    // Its runner is gone: nothing says that it came to its end.
    let seen = run.executor(FIRST).observe(&run.scene(), deadline).await;
    assert_eq!(seen.held, Held::Unknown);
}
