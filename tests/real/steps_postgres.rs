//! The steps that fence, promote and unfence, against real servers, on a run with a real journal.

use std::time::Duration;

use lifeboat::plan::Bytes;
use lifeboat::runbook::{Acted, Class, Held, Outcome, RunbookKind, StepIx, Strength};
use tokio::time::Instant;

use super::acting::{Run, condition};
use super::pg::{PgPair, Server, signal, until};
use super::postgres_lane::on;

/// What the installed majors are, beside the one that the machine has.
const VERSIONS: &str = include_str!("postgres_versions");

pub(super) const FIRST: StepIx = StepIx(0);
pub(super) const SECOND: StepIx = StepIx(1);
pub(super) const THIRD: StepIx = StepIx(2);

/// A plan of this pair with these steps of a switchover, each `(kind, on, the rest of its table)`.
pub(super) fn plan(east: &str, west: &str, more: &str, steps: &[(&str, &str, &str)]) -> String {
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
password = {{ command = ["echo", "look"] }}
act_as   = {{ user = "failover", password = {{ command = ["echo", "act"] }} }}
{more}
"#
    );
    for (n, (kind, site, rest)) in steps.iter().enumerate() {
        let probe = match *kind {
            "sql-check" => "rows",
            "dns-update" => "front-door",
            _ => "db",
        };
        text += &format!(
            "[[plan.switchover]]\nstep = \"step {n}\"\nkind = \"{kind}\"\nprobe = \"{probe}\"\non = \"{site}\"\n\
             because = \"a test\"\n{rest}\n"
        );
    }
    text
}

pub(super) fn run_of(pair: &PgPair, steps: &[(&str, &str, &str)]) -> Run {
    let url = |s: &Server| s.url("lifeboat");
    Run::open(&plan(&url(&pair.primary), &url(&pair.standby), "", steps), RunbookKind::Switchover, "east", "west")
}

/// The role that acts, with all that it needs, and the application's role with a table.
pub(super) fn roles(primary: &Server) {
    primary.sql("CREATE ROLE failover LOGIN PASSWORD 'act' IN ROLE pg_monitor, pg_signal_backend, pg_read_server_files, pg_write_server_files");
    primary.sql(
        "GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer), pg_read_file(text), pg_reload_conf() TO failover",
    );
    primary.sql("CREATE ROLE shop LOGIN PASSWORD 'shop'; CREATE TABLE orders (n serial PRIMARY KEY, at timestamptz DEFAULT now()); GRANT ALL ON orders, orders_n_seq TO shop");
}

/// Runs SQL over TCP as an application does, on a connection of its own; whether it worked, and what was said.
pub(super) fn as_app(server: &Server, user: &str, sql: &str) -> (bool, String) {
    let mut c = super::pg::program("psql");
    c.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-d", "postgres"]);
    c.args(["-U", user, "-p", &server.port.to_string(), "-c", sql])
        .env("PGPASSWORD", user)
        .env("PGCONNECT_TIMEOUT", "5");
    let out = c.output().expect("psql");
    (out.status.success(), format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr)))
}

pub(super) async fn pair() -> PgPair {
    tokio::task::block_in_place(|| {
        let pair = PgPair::start();
        roles(&pair.primary);
        pair.in_step();
        pair
    })
}

pub(super) fn blocking<T>(f: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(f)
}

pub(super) const PROMOTE: (&str, &str, &str) = ("postgres-promote", "new-active", "deadline = \"60s\"");
pub(super) const BLOCK: (&str, &str, &str) = (
    "postgres-fence",
    "old-active",
    "app_roles = [\"shop\"]\napp = { user = \"shop\", password = { command = [\"echo\", \"shop\"] } }\ndeadline = \"40s\"",
);
const UNFENCE: (&str, &str, &str) = ("postgres-unfence", "old-active", "deadline = \"40s\"");

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_promoted_and_seen_to_be() {
    let pair = pair().await;
    let run = run_of(&pair, &[PROMOTE]);
    let preview = run.preview(FIRST).await;
    assert_eq!(preview.already, Held::Fails);
    assert_eq!(preview.challenge, format!("promote 127.0.0.1:{}", pair.standby.port));
    assert!(preview.role.as_str().starts_with("standby, timeline 1"), "{}", preview.role);
    assert!(preview.actions.iter().any(|a| a.as_str() == "SELECT pg_promote(true, 40)"), "{:?}", preview.actions);
    for id in ["in-recovery", "direct", "distinct", "cluster", "privilege", "replay-paused", "commits-hang"] {
        assert_eq!(condition(&preview, id).held, Held::Holds, "{:?}", condition(&preview, id));
    }
    let names: Vec<&str> = preview.identity.0.keys().map(|k| k.as_str()).collect();
    assert_eq!(names, ["address", "postmaster start", "system identifier", "timeline"]);

    blocking(|| pair.primary.stop("immediate"));
    let ended = run.succeeds(FIRST).await;
    assert!(matches!(ended.acted, Some(Acted::Returned { .. })), "{ended:?}");
    let left = ended.seen.left;
    let facts: Vec<&str> = left.facts.iter().map(|f| f.as_str()).collect();
    assert!(facts[0].starts_with("before: timeline 1"), "{facts:?}");
    assert!(facts[1].starts_with("after: timeline 1 -> 2") && facts[1].contains("a commit came back"), "{facts:?}");
    assert_eq!(on(&pair.standby, "SELECT pg_is_in_recovery()"), "f");
    // Once more it is there already, and nothing is done.
    let run = run_of(&pair, &[PROMOTE]);
    let ended = run.carry_out(FIRST).await;
    assert_eq!(ended.outcome, Outcome::AlreadyTrue, "{ended:?}");
    assert!(ended.acted.is_none());
}

async fn is_promoted_on(major: &str) {
    let version = VERSIONS.lines().find(|v| v.starts_with(&format!("{major}."))).expect("a package");
    let pair = blocking(|| {
        let pair = PgPair::of_package(version, "");
        roles(&pair.primary);
        pair.in_step();
        pair
    });
    let run = run_of(&pair, &[PROMOTE]);
    run.succeeds(FIRST).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_of_13_is_promoted() {
    is_promoted_on("13").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_of_18_is_promoted() {
    is_promoted_on("18").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lacking_is_said_with_its_grant_and_nothing_is_done() {
    let pair = pair().await;
    on(&pair.primary, "REVOKE EXECUTE ON FUNCTION pg_promote(boolean, integer) FROM failover");
    blocking(|| pair.in_step());
    let run = run_of(&pair, &[PROMOTE]);
    let preview = run.preview(FIRST).await;
    let lacks = condition(&preview, "privilege");
    assert_eq!((lacks.held, lacks.class), (Held::Fails, Class::Identity));
    assert_eq!(
        lacks.why.as_str(),
        "GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer) TO \"failover\"; on the primary, from where it is replicated"
    );
    let refusal = run.approve(FIRST).await.unwrap_err();
    assert!(refusal.to_string().contains("GRANT EXECUTE"), "{refusal}");

    // It goes missing after it was approved and looked at: the server refuses, and nothing was done.
    on(&pair.primary, "GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer) TO failover");
    blocking(|| pair.in_step());
    run.approve(FIRST).await.unwrap();
    let mut executor = run.executor(FIRST);
    let authorized = run.begin(FIRST, &mut *executor).await.unwrap();
    on(&pair.primary, "REVOKE EXECUTE ON FUNCTION pg_promote(boolean, integer) FROM failover");
    blocking(|| pair.in_step());
    let deadline = Instant::now() + Duration::from_secs(20);
    let acted = executor.act(authorized, &run.scene(), deadline).await;
    assert!(matches!(&acted, Acted::Refused { said } if said.as_str().contains("42501")), "{acted:?}");
    let ended = run.ended(FIRST, &mut *executor, acted, deadline).await;
    assert_eq!(ended.outcome, Outcome::Failed);
    assert_eq!(on(&pair.standby, "SELECT pg_is_in_recovery()"), "t");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_behind_the_address_is_another_target() {
    let pair = pair().await;
    let run = run_of(&pair, &[PROMOTE]);
    let before = run.approve(FIRST).await.unwrap();
    // The same data, another postmaster.
    blocking(|| {
        pair.standby.stop("fast");
        pair.standby.start();
        pair.in_step();
    });
    let mut executor = run.executor(FIRST);
    let after = executor.preview(&run.scene(), Instant::now() + run.patience).await;
    assert_ne!(before.identity, after.identity);
    let Err(bodies) = run.begin(FIRST, &mut *executor).await else { panic!("it was begun") };
    assert!(format!("{bodies:?}").contains("postmaster start was"), "{bodies:?}");

    // And where it changes after the last look, the connection that acts sees it.
    run.approve(FIRST).await.unwrap();
    let authorized = run.begin(FIRST, &mut *executor).await.unwrap();
    blocking(|| {
        pair.standby.stop("fast");
        pair.standby.start();
    });
    let acted = executor.act(authorized, &run.scene(), Instant::now() + Duration::from_secs(20)).await;
    assert!(matches!(&acted, Acted::NotSent { why } if why.as_str().contains("another server")), "{acted:?}");
    assert_eq!(on(&pair.standby, "SELECT pg_is_in_recovery()"), "t");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_behind_both_addresses_is_never_promoted() {
    let pair = pair().await;
    let east = pair.primary.url("lifeboat");
    let twice = east.replace("127.0.0.1", "127.0.0.1.nip").replace("127.0.0.1.nip", "localhost");
    let run = Run::open(&plan(&east, &twice, "", &[PROMOTE]), RunbookKind::Switchover, "east", "west");
    let preview = run.preview(FIRST).await;
    assert_eq!(condition(&preview, "distinct").held, Held::Fails, "{:?}", condition(&preview, "distinct"));
    assert!(run.approve(FIRST).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_of_another_cluster_is_never_promoted() {
    let (pair, other) = (pair().await, blocking(PgPair::start));
    let east = pair.primary.url("lifeboat");
    let run = Run::open(
        &plan(&east, &other.standby.url("lifeboat"), "", &[PROMOTE]),
        RunbookKind::Switchover,
        "east",
        "west",
    );
    let preview = run.preview(FIRST).await;
    let cluster = condition(&preview, "cluster");
    assert_eq!((cluster.held, cluster.class), (Held::Fails, Class::Identity), "{cluster:?}");
    assert!(run.approve(FIRST).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_hangs_is_no_promotion_yet() {
    let pair = pair().await;
    // The role that looks does not wait; applications do.
    on(&pair.primary, "ALTER ROLE lifeboat SET synchronous_commit = off");
    blocking(|| {
        pair.in_step();
        pair.standby.conf("synchronous_standby_names = 'nobody'\n");
        pair.standby.reload();
        until("the setting is read", || pair.standby.sql("SHOW synchronous_standby_names") == "nobody");
    });
    let run = run_of(&pair, &[("postgres-promote", "new-active", "deadline = \"12s\"")]);
    let preview = run.preview(FIRST).await;
    let hangs = condition(&preview, "commits-hang");
    assert_eq!((hangs.held, hangs.class, hangs.consent.as_str()), (Held::Fails, Class::Risk, "commits may hang"));
    let ended = run.carry_out(FIRST).await;
    assert_eq!(ended.outcome, Outcome::Indeterminate, "{ended:?}");
    assert!(ended.why.contains("timeline 2") && ended.why.contains("does not come back"), "{}", ended.why);
    // No session was left to wait.
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'lifeboat'";
    assert_eq!(on(&pair.standby, waiting), "0");
    // Promoted, and not usable: not taken for done.
    assert_eq!(run.preview(FIRST).await.already, Held::Fails);
    blocking(|| {
        pair.standby.conf("synchronous_standby_names = ''\n");
        pair.standby.reload();
        until("the setting is read", || pair.standby.sql("SHOW synchronous_standby_names").is_empty());
    });
    let mut executor = run.executor(FIRST);
    let seen = executor.observe(&run.scene(), Instant::now() + run.patience).await;
    assert_eq!(seen.held, Held::Holds, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_standby_costs_the_deadline_and_no_more() {
    let pair = pair().await;
    let run = run_of(&pair, &[PROMOTE]);
    // What replays is frozen: the server takes the order, and cannot follow it yet.
    run.approve(FIRST).await.unwrap();
    let mut executor = run.executor(FIRST);
    let authorized = run.begin(FIRST, &mut *executor).await.unwrap();
    let startup: u32 =
        on(&pair.standby, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'").parse().unwrap();
    blocking(|| signal(startup, "STOP"));
    let (began, deadline) = (Instant::now(), Instant::now() + Duration::from_secs(3));
    let acted = executor.act(authorized, &run.scene(), deadline).await;
    assert!(began.elapsed() < Duration::from_millis(3_500), "the deadline holds: {:?}", began.elapsed());
    assert!(matches!(acted, Acted::Unclear { .. }), "{acted:?}");
    let seen = executor.observe(&run.scene(), Instant::now() + run.patience).await;
    assert_eq!(seen.held, Held::Fails, "{seen:?}");
    let ended = run.ended(FIRST, &mut *executor, acted, Instant::now()).await;
    assert_eq!(ended.outcome, Outcome::Indeterminate);
    // Another process looks, after it thawed.
    blocking(|| signal(startup, "CONT"));
    let mut fresh = run.executor(FIRST);
    let limit = Instant::now() + Duration::from_secs(30);
    loop {
        let seen = fresh.observe(&run.scene(), Instant::now() + run.patience).await;
        if seen.held == Held::Holds {
            assert!(seen.why.as_str().contains("timeline 2"), "{seen:?}");
            break;
        }
        assert!(Instant::now() < limit, "it thaws: {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_gets_nothing() {
    let pair = pair().await;
    let mut run = run_of(&pair, &[PROMOTE]);
    run.patience = Duration::from_secs(2);
    run.approve(FIRST).await.unwrap();
    let mut executor = run.executor(FIRST);
    let authorized = run.begin(FIRST, &mut *executor).await.unwrap();
    blocking(|| pair.standby.signal("STOP"));
    let began = Instant::now();
    let acted = executor.act(authorized, &run.scene(), began + Duration::from_secs(2)).await;
    assert!(matches!(acted, Acted::NotSent { .. }), "{acted:?}");
    assert!(began.elapsed() < Duration::from_millis(2_500), "{:?}", began.elapsed());
    let preview = run.preview(FIRST).await;
    assert_eq!(condition(&preview, "readable").held, Held::Unknown);
    blocking(|| pair.standby.signal("CONT"));
}

#[tokio::test(flavor = "multi_thread")]
async fn application_roles_are_turned_away_and_let_in_again() {
    let pair = pair().await;
    assert!(blocking(|| as_app(&pair.primary, "shop", "INSERT INTO orders DEFAULT VALUES")).0);
    let run = run_of(&pair, &[BLOCK, UNFENCE]);
    let before = blocking(|| std::fs::read_to_string(pair.primary.data.join("pg_hba.conf")).unwrap());
    let preview = run.preview(FIRST).await;
    assert_eq!(preview.challenge, format!("fence 127.0.0.1:{}", pair.primary.port));
    for id in ["reachable", "direct", "privilege", "roles"] {
        assert_eq!(condition(&preview, id).held, Held::Holds, "{:?}", condition(&preview, id));
    }
    // A session that is open already, in the middle of a transaction.
    let mut busy = super::pg::program("psql");
    busy.args(["-X", "-h", "127.0.0.1", "-U", "shop", "-d", "postgres", "-p", &pair.primary.port.to_string()]);
    busy.args(["-c", "SELECT pg_sleep(600)"]).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut busy = busy.spawn().unwrap();
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'shop'";
    blocking(|| until("the application works", || pair.primary.sql(sessions) == "1"));

    let ended = run.succeeds(FIRST).await;
    let left = ended.seen.left;
    assert_eq!(left.fence.as_ref().unwrap().strength, Strength::Blocked, "{left:?}");
    assert_eq!(left.loss.as_ref().unwrap().missing, Some(Bytes(0)), "{left:?}");
    let (done, said) = blocking(|| as_app(&pair.primary, "shop", "INSERT INTO orders DEFAULT VALUES"));
    assert!(!done && said.contains("rejects connection"), "{said}");
    assert!(!blocking(|| busy.wait()).unwrap().success(), "its session was ended");
    assert_eq!(on(&pair.primary, "SELECT state FROM pg_stat_replication"), "streaming", "walsenders are not");
    // It outlives a restart.
    blocking(|| {
        pair.primary.stop("fast");
        pair.primary.start();
        pair.in_step();
    });
    assert!(!blocking(|| as_app(&pair.primary, "shop", "SELECT 1")).0);

    run.succeeds(SECOND).await;
    let after = blocking(|| std::fs::read_to_string(pair.primary.data.join("pg_hba.conf")).unwrap());
    assert_eq!(before, after);
    assert!(blocking(|| as_app(&pair.primary, "shop", "INSERT INTO orders DEFAULT VALUES")).0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_turning_away_needs_is_named() {
    let pair = pair().await;
    on(&pair.primary, "REVOKE pg_write_server_files, pg_signal_backend FROM failover");
    let run = run_of(&pair, &[BLOCK]);
    let preview = run.preview(FIRST).await;
    let lacks = condition(&preview, "privilege");
    assert_eq!(lacks.held, Held::Fails);
    assert_eq!(
        lacks.why.as_str(),
        "GRANT pg_write_server_files TO \"failover\"; GRANT pg_signal_backend TO \"failover\""
    );
    assert!(run.approve(FIRST).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_without_login_stay_so_on_the_new_primary_until_they_are_let_in() {
    let pair = pair().await;
    on(&pair.primary, "ALTER ROLE failover CREATEROLE");
    let by = format!("{}\nby = \"nologin\"", BLOCK.2);
    let unfence =
        ("postgres-unfence", "new-active", "app = { user = \"shop\", password = { command = [\"echo\", \"shop\"] } }");
    let run = run_of(&pair, &[(BLOCK.0, BLOCK.1, &by), PROMOTE, unfence]);
    let ended = run.succeeds(FIRST).await;
    assert_eq!(ended.seen.left.fence.unwrap().strength, Strength::Blocked);
    assert!(!blocking(|| as_app(&pair.primary, "shop", "SELECT 1")).0);
    run.succeeds(SECOND).await;
    assert!(!blocking(|| as_app(&pair.standby, "shop", "SELECT 1")).0, "it was replicated");
    run.succeeds(THIRD).await;
    assert!(blocking(|| as_app(&pair.standby, "shop", "INSERT INTO orders DEFAULT VALUES")).0);
    assert!(!blocking(|| as_app(&pair.primary, "shop", "SELECT 1")).0, "the old one turns it away still");
}

/// The lines of a step that stops the primary with `pg_ctl`, and reads its control file.
pub(super) fn stop_lines(server: &Server) -> String {
    let argv = |words: &[&str]| {
        let all: Vec<String> = words.iter().map(|w| format!("{w:?}")).collect();
        format!("[{}]", all.join(", "))
    };
    let (bin, data) = (server.bin.display().to_string(), server.data.display().to_string());
    let as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"];
    let (ctl, control) = (format!("{bin}/pg_ctl"), format!("{bin}/pg_controldata"));
    let stop: Vec<&str> =
        as_postgres.into_iter().chain([ctl.as_str(), "-D", &data, "-w", "-m", "fast", "stop"]).collect();
    let check: Vec<&str> = as_postgres.into_iter().chain([control.as_str(), &data]).collect();
    format!("stop = {}\ncheck = {}\ndeadline = \"40s\"", argv(&stop), argv(&check))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switchover_loses_nothing_by_row_counts() {
    let pair = pair().await;
    let lines = stop_lines(&pair.primary);
    let run = run_of(&pair, &[("postgres-fence", "old-active", &lines), PROMOTE]);
    // Writes until the server is gone; every acknowledged row counts.
    let port = pair.primary.port;
    let writer = std::thread::spawn(move || {
        let mut done = 0_u32;
        let server = |sql: &str| {
            let mut c = super::pg::program("psql");
            c.args(["-X", "-q", "-h", "127.0.0.1", "-U", "shop", "-d", "postgres", "-p", &port.to_string(), "-c", sql]);
            c.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).status().unwrap().success()
        };
        while server("INSERT INTO orders DEFAULT VALUES") {
            done += 1;
        }
        done
    });
    blocking(|| until("it writes", || pair.primary.sql("SELECT count(*) > 5 FROM orders") == "t"));
    let ended = run.succeeds(FIRST).await;
    let left = ended.seen.left;
    assert_eq!(left.fence.as_ref().unwrap().strength, Strength::Proven, "{left:?}");
    assert_eq!(left.loss.as_ref().unwrap().missing, Some(Bytes(0)), "{left:?}");
    let written = blocking(|| writer.join().unwrap());
    assert!(written > 5);
    let ended = run.succeeds(SECOND).await;
    assert_eq!(ended.seen.left.loss.unwrap().missing, Some(Bytes(0)));
    let rows: u32 = on(&pair.standby, "SELECT count(*) FROM orders").parse().unwrap();
    assert!(rows >= written, "{rows} rows of {written} acknowledged");
    // The way back: it was stopped, and nothing starts it but a command.
    assert!(run.state().loss().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_answer_is_fenced_by_assumption_alone() {
    let pair = pair().await;
    let run = run_of(&pair, &[("postgres-fence", "old-active", "deadline = \"10s\"")]);
    // It answers: nothing may be assumed.
    assert_eq!(condition(&run.preview(FIRST).await, "silent").held, Held::Fails);
    assert!(run.approve(FIRST).await.is_err());
    blocking(|| pair.primary.stop("immediate"));
    let preview = run.preview(FIRST).await;
    let reachable = condition(&preview, "reachable");
    assert_eq!(
        (reachable.held, reachable.class, reachable.consent.as_str()),
        (Held::Unknown, Class::Risk, "assumed fence")
    );
    let ended = run.succeeds(FIRST).await;
    let left = ended.seen.left;
    assert_eq!(left.fence.as_ref().unwrap().strength, Strength::Assumed, "{left:?}");
    assert!(left.fence.unwrap().why.as_str().contains("refused"));

    // It comes back between approval and act: look again.
    let run = run_of(&pair, &[("postgres-fence", "old-active", "deadline = \"10s\"")]);
    run.approve(FIRST).await.unwrap();
    blocking(|| pair.primary.start());
    let ended = run.finish(FIRST).await;
    assert_eq!(ended.outcome, Outcome::NotStarted, "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_primary_that_is_stopped_is_proven_stopped() {
    let pair = pair().await;
    let pid = pair.primary.pid().unwrap().to_string();
    let lines = format!("stop = [\"kill\", \"-9\", \"{pid}\"]\ndeadline = \"20s\"");
    let mut run = run_of(&pair, &[("postgres-fence", "old-active", &lines)]);
    run.patience = Duration::from_secs(2);
    blocking(|| pair.primary.signal("STOP"));
    let preview = run.preview(FIRST).await;
    assert_eq!(condition(&preview, "reachable").held, Held::Unknown);
    let ended = run.succeeds(FIRST).await;
    let fence = ended.seen.left.fence.unwrap();
    assert_eq!(fence.strength, Strength::Proven, "{fence:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_primary_is_not_let_loose_beside_a_new_one() {
    let pair = pair().await;
    let run = run_of(&pair, &[BLOCK, PROMOTE, UNFENCE]);
    run.succeeds(FIRST).await;
    run.succeeds(SECOND).await;
    let preview = run.preview(THIRD).await;
    let alone = condition(&preview, "no-other-primary");
    assert_eq!((alone.held, alone.class), (Held::Fails, Class::Identity), "{alone:?}");
    // Nor is it asked for: it is the way out of a run that stops before it promotes.
    assert_eq!(run.state().next_step(), None);
}
