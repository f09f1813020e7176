//! `postgres-fence` by other ways than straight to the server: its commands over ssh, its SQL through a pooler, and addresses
//! that lead to the server that takes over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lifeboat::plan::Bytes;
use lifeboat::runbook::{Acted, Class, Held, Outcome, RunbookKind, Strength};

use super::acting::{Run, condition, failing, within};
use super::pg::{PgPair, free_port, signal, until};
use super::postgres_lane::on;
use super::postgres_peers::pooler;
use super::sshd::Sshd;
use super::steps_postgres::{BLOCK, FIRST, PROMOTE, SECOND, as_app, blocking, pair, plan, run_of, stop_lines};
use super::steps_postgres_after::backups_only;

fn fenced_by(pair: &PgPair, lines: &str) -> Run {
    run_of(pair, &[("postgres-fence", "old-active", lines)])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_is_stopped_and_proven_stopped_over_ssh() {
    let (pair, sshd) = (pair().await, blocking(Sshd::start));
    let run = fenced_by(&pair, &format!("{}\n{}", stop_lines(&pair.primary), sshd.toml()));
    let preview = run.preview(FIRST).await;
    assert!(preview.actions[0].as_str().starts_with("ssh 127.0.0.1 "), "{:?}", preview.actions);
    let ended = run.succeeds(FIRST).await;
    let left = ended.seen.left;
    assert_eq!(left.fence.as_ref().unwrap().strength, Strength::Proven, "{left:?}");
    assert_eq!(left.loss.unwrap().missing, Some(Bytes(0)));
    assert!(pair.primary.pid().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ssh_that_does_not_get_there_stops_nothing_and_says_why() {
    let (pair, sshd) = (pair().await, blocking(Sshd::start));
    let nobody = free_port();
    for (ssh, words) in [
        (sshd.toml_with(sshd.port(), "stranger", "known_hosts"), "Permission denied"),
        (sshd.toml_with(sshd.port(), "user", "known_other"), "not the one that is known"),
        (sshd.toml_with(nobody, "user", "known_hosts"), "refused"),
    ] {
        let run = fenced_by(&pair, &format!("{}\n{ssh}", stop_lines(&pair.primary)));
        let ended = run.carry_out(FIRST).await;
        assert_eq!(ended.outcome, Outcome::Failed, "{ended:?}");
        let Some(Acted::NotSent { why }) = &ended.acted else { panic!("{ended:?}") };
        assert!(why.as_str().contains(words), "{why}");
        assert!(pair.primary.pid().is_some(), "it runs on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ssh_that_is_cut_in_the_middle_says_nothing_of_the_command() {
    let (pair, sshd) = (pair().await, blocking(Sshd::start));
    let begun = pair.primary.dir.join("begun");
    let (bin, data) = (pair.primary.bin.display(), pair.primary.data.display());
    let as_postgres = "setpriv --reuid=postgres --regid=postgres --init-groups";
    let stop = format!(
        "trap '' HUP PIPE; touch {}; sleep 2; {as_postgres} {bin}/pg_ctl -D {data} -m fast stop >/dev/null",
        begun.display()
    );
    let check = stop_lines(&pair.primary).lines().find(|l| l.starts_with("check")).unwrap().to_owned();
    let lines = format!("stop = [\"sh\", \"-c\", {stop:?}]\n{check}\ndeadline = \"40s\"\n{}", sshd.toml());
    let run = fenced_by(&pair, &lines);
    // What acts is cut off; looking afterwards is let in.
    let cut = std::thread::spawn(move || {
        until("the command", || begun.exists());
        sshd.sessions().into_iter().for_each(|s| signal(s, "KILL"));
        sshd
    });
    let ended = run.carry_out(FIRST).await;
    drop(blocking(|| cut.join().unwrap()));
    assert!(matches!(ended.acted, Some(Acted::Unclear { .. })), "{ended:?}");
    assert_eq!(ended.outcome, Outcome::Succeeded, "its effect was seen: {ended:?}");
    assert_eq!(ended.seen.left.fence.unwrap().strength, Strength::Proven);
}

/// A run that turns application roles away, where the primary's address is a relay's.
fn behind(pair: &PgPair, port: u16) -> Run {
    let east = format!("postgres://lifeboat@127.0.0.1:{port}/postgres?sslmode=disable");
    let text = plan(&east, &pair.standby.url("lifeboat"), "", &[BLOCK]);
    Run::open(&text, RunbookKind::Switchover, "east", "west")
}

fn untouched(pair: &PgPair, before: &str) {
    let now = std::fs::read_to_string(pair.primary.data.join("pg_hba.conf")).unwrap();
    assert_eq!(now, before);
    assert!(as_app(&pair.primary, "shop", "INSERT INTO orders DEFAULT VALUES").0, "the application works on");
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_never_turned_away_through_a_pooler() {
    let pair = pair().await;
    let before = std::fs::read_to_string(pair.primary.data.join("pg_hba.conf")).unwrap();
    let pools = Arc::new(AtomicBool::new(true));
    let port = pooler(pair.primary.port, Arc::clone(&pools));
    let run = behind(&pair, port);
    let preview = run.preview(FIRST).await;
    let direct = condition(&preview, "direct");
    assert_eq!((direct.held, direct.class), (Held::Fails, Class::Identity), "{direct:?}");
    let refused = run.approve(FIRST).await.unwrap_err().to_string();
    assert!(refused.contains("a pooler answers"), "{refused}");
    blocking(|| untouched(&pair, &before));

    // It comes in between after the last look: the connection that acts sees it.
    pools.store(false, Ordering::SeqCst);
    let run = behind(&pair, port);
    let mut step = run.step(0);
    assert_eq!(failing(&step.preview().await), Vec::<&str>::new());
    let ended = step.carry_out_after(Duration::from_secs(5), || pools.store(true, Ordering::SeqCst)).await;
    assert_eq!(ended.outcome, Outcome::Failed, "{ended:?}");
    let Some(Acted::NotSent { why }) = &ended.acted else { panic!("{ended:?}") };
    assert!(why.as_str().starts_with("a pooler answers"), "{why}");
    blocking(|| untouched(&pair, &before));
}

/// A fence by these addresses of the two sites.
fn between(east: &str, west: &str, lines: &str) -> Run {
    let text = plan(east, west, "", &[("postgres-fence", "old-active", lines)]);
    Run::open(&text, RunbookKind::Switchover, "east", "west")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_at_the_old_address_is_a_fence_only_where_it_is_not_the_one_that_takes_over() {
    let pair = pair().await;
    let (standby, primary) = (pair.standby.url("lifeboat"), pair.primary.url("lifeboat"));
    // The old primary's address leads to the very standby that is to be promoted.
    let run = between(&standby.replace("127.0.0.1", "localhost"), &standby, &stop_lines(&pair.primary));
    let preview = run.preview(FIRST).await;
    let distinct = condition(&preview, "distinct");
    assert_eq!((distinct.held, distinct.class), (Held::Fails, Class::Identity), "{distinct:?}");
    assert_eq!(preview.already, Held::Fails);
    assert!(run.approve(FIRST).await.is_err());
    // Another server there that is in recovery: the old primary was demoted.
    let run = between(&standby, &primary, "deadline = \"10s\"");
    let preview = run.preview(FIRST).await;
    assert_eq!((preview.already, condition(&preview, "distinct").held), (Held::Holds, Held::Holds));
    assert_eq!(run.carry_out(FIRST).await.outcome, Outcome::AlreadyTrue);
    // Which of the two it is cannot be told while the one that takes over is silent.
    let gone = format!("postgres://lifeboat@127.0.0.1:{}/postgres", free_port());
    let run = between(&standby, &gone, "deadline = \"10s\"");
    assert_eq!(condition(&run.preview(FIRST).await, "distinct").held, Held::Unknown);
    assert!(run.approve(FIRST).await.is_err());
    assert!(pair.primary.pid().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_to_which_the_old_address_was_moved_is_no_demoted_primary() {
    let pair = pair().await;
    let replica = blocking(|| pair.another_standby());
    let (there, west) = (replica.url("lifeboat"), pair.standby.url("lifeboat"));
    let steps = [("postgres-fence", "old-active", "deadline = \"10s\""), PROMOTE];
    let run = Run::open(&plan(&there, &west, "", &steps), RunbookKind::Switchover, "east", "west");
    let preview = run.preview(FIRST).await;
    let reachable = condition(&preview, "reachable");
    assert_eq!((preview.already, reachable.held, reachable.class), (Held::Fails, Held::Unknown, Class::Risk));
    assert!(reachable.why.as_str().contains("where the primary is, it does not say"), "{reachable:?}");
    let ended = run.succeeds(FIRST).await;
    assert_eq!(ended.seen.left.fence.unwrap().strength, Strength::Assumed, "a person took it to be fenced");
    // The standby that is to be promoted hears from a primary that lives: what it takes for dead is not.
    blocking(|| {
        assert!(as_app(&pair.primary, "shop", "INSERT INTO orders DEFAULT VALUES").0);
        pair.standby.sql("SELECT pg_sleep(0.1)")
    });
    let preview = run.preview(SECOND).await;
    let upstream = condition(&preview, "upstream");
    assert_eq!(
        (upstream.held, upstream.class, upstream.consent.as_str()),
        (Held::Fails, Class::Risk, "the primary lives"),
        "{upstream:?}"
    );
    assert!(upstream.why.as_str().starts_with("it streams from 127.0.0.1, and heard from there"), "{upstream:?}");
    blocking(|| pair.primary.stop("immediate"));
    let preview = run.preview(SECOND).await;
    assert_eq!(condition(&preview, "upstream").held, Held::Holds);
    drop(replica);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_of_the_old_primary_is_no_demoted_one_beside_the_new() {
    let pair = pair().await;
    let replica = blocking(|| pair.another_standby());
    blocking(|| pair.standby.sql("SELECT pg_promote(true, 30)"));
    let before = blocking(|| std::fs::read_to_string(replica.data.join("pg_hba.conf")).unwrap());
    let text = plan(&replica.url("lifeboat"), &pair.standby.url("lifeboat"), "", &[BLOCK]);
    let run = Run::open(&text, RunbookKind::Switchover, "east", "west");
    let preview = run.preview(FIRST).await;
    assert_eq!(preview.already, Held::Fails, "it follows an older timeline: {preview:?}");
    let reachable = condition(&preview, "reachable");
    assert_eq!((reachable.held, reachable.class), (Held::Unknown, Class::Risk), "{reachable:?}");
    // Nobody's applications are turned away at a replica; that the old one is fenced is a person's word.
    let ended = run.succeeds(FIRST).await;
    assert_eq!(ended.seen.left.fence.unwrap().strength, Strength::Assumed);
    assert_eq!(blocking(|| std::fs::read_to_string(replica.data.join("pg_hba.conf")).unwrap()), before);
    assert!(pair.primary.pid().is_some());
}

/// The same lines with a command for each site.
fn for_each(pair: &PgPair) -> String {
    let (east, west) = (stop_lines(&pair.primary), stop_lines(&pair.standby));
    let of = |lines: &str, key: &str| {
        let line = lines.lines().find(|l| l.starts_with(key)).unwrap();
        line.split_once(" = ").unwrap().1.to_owned()
    };
    let each = |key| format!("{key} = {{ east = {}, west = {} }}", of(&east, key), of(&west, key));
    format!("{}\n{}\ndeadline = \"40s\"", each("stop"), each("check"))
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_written_for_a_run_from_home_do_nothing_in_the_other_direction() {
    let pair = pair().await;
    let (east, west) = (pair.primary.url("lifeboat"), pair.standby.url("lifeboat"));
    let rejoin = "basebackup = [\"sh\", \"-c\", \"exit 1\"]\ndeadline = \"40s\"";
    let away = |steps: &[(&str, &str, &str)]| {
        Run::open(&plan(&east, &west, "", steps), RunbookKind::Switchover, "west", "east")
    };
    for (kind, lines) in [("postgres-fence", stop_lines(&pair.primary)), ("postgres-rejoin", rejoin.to_owned())] {
        let run = away(&[(kind, "old-active", &lines)]);
        let preview = run.preview(FIRST).await;
        let own = condition(&preview, "own-commands");
        assert_eq!((own.held, own.class), (Held::Fails, Class::Identity), "{kind}: {own:?}");
        assert!(own.why.as_str().contains("a run from east, and this one goes from west to east"), "{own:?}");
        assert!(run.approve(FIRST).await.is_err(), "{kind}");
    }
    // With one for each site it is clear which is meant, in both directions.
    let lines = for_each(&pair);
    let preview = away(&[("postgres-fence", "old-active", &lines)]).preview(FIRST).await;
    assert!(preview.conditions.iter().all(|c| c.id != "own-commands"), "{preview:?}");
    assert!(preview.actions[0].as_str().contains(pair.standby.data.to_str().unwrap()), "{preview:?}");
    let ended = fenced_by(&pair, &lines).succeeds(FIRST).await;
    assert_eq!(ended.seen.left.fence.unwrap().strength, Strength::Proven);
    assert!(pair.primary.pid().is_none() && pair.standby.pid().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standbys_data_directory_is_never_taken_for_the_old_primarys() {
    let pair = pair().await;
    // Its system identifier is the primary's.
    let run = fenced_by(&pair, &stop_lines(&pair.standby));
    for frozen in [false, true] {
        if frozen {
            blocking(|| pair.primary.signal("STOP"));
        }
        let preview = run.preview(FIRST).await;
        let same = condition(&preview, "data-directory");
        assert_eq!((same.held, same.class), (Held::Fails, Class::Identity), "frozen {frozen}: {same:?}");
        assert!(run.approve(FIRST).await.is_err(), "frozen {frozen}");
    }
    blocking(|| pair.primary.signal("CONT"));
    // It was shut down as a standby: that says nothing of the primary, which hangs.
    blocking(|| {
        pair.standby.stop("fast");
        pair.primary.signal("STOP");
    });
    let preview = run.preview(FIRST).await;
    assert_eq!(preview.already, Held::Fails, "{preview:?}");
    assert!(preview.left.fence.is_none());
    blocking(|| pair.primary.signal("CONT"));
    assert!(pair.primary.pid().is_some());
}

/// What holds a run until it ends, once the process is gone that began it: the command of its first step, which waits for a
/// file.
async fn is_held_by_its_command(run: Run, begun: &std::path::Path, go: &std::path::Path) {
    run.approve(FIRST).await.unwrap_or_else(|e| panic!("{e}"));
    let mut executor = run.executor(FIRST);
    let authorized = run.begin(FIRST, &mut *executor).await.unwrap();
    let acted = executor.act(authorized, &run.scene(), within(20)).await;
    assert!(matches!(&acted, Acted::Returned { said, .. } if said.as_str() == "begun"), "{acted:?}");
    blocking(|| until("the command", || begun.exists()));
    let seen = executor.observe(&run.scene(), within(5)).await;
    assert_eq!((seen.held, seen.over), (Held::Unknown, false), "{seen:?}");
    assert!(seen.waits.unwrap().as_str().contains("command"));
    // A second one beside it is not begun.
    assert!(executor.preview(&run.scene(), within(5)).await.conditions.iter().all(|c| c.id != "readable"));
    drop(executor);
    let (journal, id, _dir) = run.let_go();
    assert!(journal.is_held(&id), "the command has the lock");
    std::fs::write(go, "").unwrap();
    blocking(|| until("its end", || !journal.is_held(&id)));
}

fn waits_for(dir: &std::path::Path) -> (std::path::PathBuf, std::path::PathBuf, String) {
    let (begun, go) = (dir.join("begun"), dir.join("go"));
    let script = format!("touch {}; until [ -e {} ]; do sleep 0.05; done", begun.display(), go.display());
    (begun, go, format!("[\"sh\", \"-c\", {script:?}, \"{{file}}\"]"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejoin_and_a_restore_hold_the_run_until_their_commands_end() {
    let dir = tempfile::tempdir().unwrap();
    let pair = pair().await;
    blocking(|| {
        pair.standby.sql("SELECT pg_promote(true, 30)");
        pair.primary.stop("fast");
    });
    let (begun, go, command) = waits_for(dir.path());
    let run =
        run_of(&pair, &[("postgres-rejoin", "old-active", &format!("basebackup = {command}\ndeadline = \"40s\""))]);
    is_held_by_its_command(run, &begun, &go).await;

    let backups = tempfile::tempdir().unwrap();
    std::fs::write(backups.path().join("a.dump"), "PGDMP").unwrap();
    on(&pair.standby, "CREATE DATABASE dr");
    let dir = tempfile::tempdir().unwrap();
    let (begun, go, command) = waits_for(dir.path());
    let text = backups_only(&pair.standby, backups.path(), &format!("command = {command}"));
    is_held_by_its_command(Run::open(&text, RunbookKind::Switchover, "east", "west"), &begun, &go).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_fails_is_not_watched_until_the_deadline() {
    let pair = pair().await;
    blocking(|| {
        pair.standby.sql("SELECT pg_promote(true, 30)");
        pair.primary.stop("fast");
    });
    // At once, and after a while.
    for (script, begun) in [("echo no room >&2; exit 1", false), ("sleep 2; echo no room >&2; exit 1", true)] {
        let lines = format!("basebackup = [\"sh\", \"-c\", {script:?}]\ndeadline = \"600s\"");
        let run = run_of(&pair, &[("postgres-rejoin", "old-active", &lines)]);
        let ended = run.carry_out(FIRST).await;
        assert_eq!(ended.outcome, Outcome::Failed, "{ended:?}");
        assert!(ended.why.contains("exit code 1: no room"), "{}", ended.why);
        assert_eq!(matches!(ended.acted, Some(Acted::Returned { .. })), begun, "{ended:?}");
        assert_eq!(matches!(ended.acted, Some(Acted::Failed { .. })), !begun, "{ended:?}");
    }
    // A stop that fails, of a server that runs on.
    blocking(|| pair.primary.start());
    let lines = "stop = [\"sh\", \"-c\", \"echo no such unit >&2; exit 5\"]\ndeadline = \"600s\"";
    let ended = fenced_by(&pair, lines).carry_out(FIRST).await;
    assert_eq!(ended.outcome, Outcome::Failed, "{ended:?}");
    assert!(
        matches!(&ended.acted, Some(Acted::Failed { said, .. }) if said.as_str().ends_with("exit code 5: no such unit"))
    );
    assert!(ended.why.contains("it takes writes"), "{}", ended.why);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_stopped_whose_check_reads_another_clusters_data_directory() {
    let (pair, other) = (pair().await, blocking(PgPair::start));
    let link = pair.primary.dir.join("checked");
    let points = |server: &super::pg::Server| {
        let _absent = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(&server.data, &link).unwrap();
    };
    let lines = stop_lines(&pair.primary);
    let check = lines.lines().find(|l| l.starts_with("check")).unwrap();
    let elsewhere = check.replace(&pair.primary.data.display().to_string(), &link.display().to_string());
    let run = fenced_by(&pair, &lines.replace(check, &elsewhere));
    // As it is shown, so that nobody approves it.
    points(&other.primary);
    let preview = run.preview(FIRST).await;
    let same = condition(&preview, "data-directory");
    assert_eq!((same.held, same.class), (Held::Fails, Class::Identity), "{same:?}");
    assert!(run.approve(FIRST).await.is_err());
    // And where that changes after the last look: right before it would be stopped.
    points(&pair.primary);
    let mut step = run.step(0);
    let ended = step.carry_out_after(Duration::from_secs(5), || points(&other.primary)).await;
    assert_eq!(ended.outcome, Outcome::Failed, "{ended:?}");
    let Some(Acted::NotSent { why }) = &ended.acted else { panic!("{ended:?}") };
    assert!(why.as_str().starts_with("its check reads the data directory of the cluster"), "{why}");
    assert!(pair.primary.pid().is_some() && other.primary.pid().is_some(), "both run on");
    // With its own it is stopped, and proven to be.
    points(&pair.primary);
    let ended = run.succeeds(FIRST).await;
    assert_eq!(ended.seen.left.fence.unwrap().strength, Strength::Proven);
}
