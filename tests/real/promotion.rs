//! `postgres-promote` beside an old primary: what lets it be promoted, what must be typed for it, and what nothing allows.

use lifeboat::runbook::{Class, Command, Condition, Held, Preview, RunbookKind, StepIx};

use super::acting::{Run, condition};
use super::pg::{PgPair, Server};
use super::postgres_lane::on;
use super::steps_postgres::{BLOCK, FIRST, PROMOTE, SECOND, as_app, blocking, pair, plan, run_of, stop_lines};

/// A run of these steps, none of which says why it differs from what a runbook must be.
fn plain(pair: &PgPair, kind: RunbookKind, steps: &[(&str, &str, &str)]) -> Run {
    let url = |s: &Server| s.url("lifeboat");
    let look = ("sql-check", "new-active", "gives = 1\ndeadline = \"10s\"");
    let steps: Vec<_> = steps.iter().copied().chain([look]).collect();
    let (east, west) = (url(&pair.primary), url(&pair.standby));
    let rows = format!(
        "[[plan.probe]]\nname = \"rows\"\nkind = \"sql-check\"\narea = \"standby\"\nat = {{ east = \"{east}\", west = \"{west}\" }}\n\
         password = {{ command = [\"echo\", \"look\"] }}\nquery = \"SELECT 1\"\n"
    );
    let text = plan(&east, &west, &rows, &steps).replace("because = \"a test\"\n", "");
    Run::open(&text.replace("plan.switchover", &format!("plan.{kind}")), kind, "east", "west")
}

/// What is said of the old primary before a promotion.
async fn old(run: &Run, ix: StepIx) -> (Preview, Condition) {
    let preview = run.preview(ix).await;
    let condition = condition(&preview, "old-primary").clone();
    (preview, condition)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_promoted_beside_a_primary_that_is_seen_to_take_writes() {
    let pair = pair().await;
    let stop = ("postgres-fence", "old-active", &*stop_lines(&pair.primary));
    let run = plain(&pair, RunbookKind::Switchover, &[stop, PROMOTE]);
    // The fence comes first, and is not over yet.
    let (_, seen) = old(&run, SECOND).await;
    assert_eq!((seen.held, seen.class, seen.later), (Held::Unknown, Class::Identity, true), "{seen:?}");
    // It is left out: nothing that is typed makes up for it.
    run.command(Command::Skip { step: FIRST, reason: "no time".to_owned() }).unwrap();
    let (_, seen) = old(&run, SECOND).await;
    assert_eq!((seen.held, seen.class, seen.later), (Held::Fails, Class::Identity, false), "{seen:?}");
    assert!(seen.why.as_str().ends_with("stop it first"), "{seen:?}");
    let refused = run.approve(SECOND).await.unwrap_err().to_string();
    assert!(refused.contains("old primary"), "{refused}");
    assert_eq!(on(&pair.standby, "SELECT pg_is_in_recovery()"), "t");
    // Once it does not answer, that it takes no writes is for the fence to say.
    blocking(|| pair.primary.stop("fast"));
    let (_, seen) = old(&run, SECOND).await;
    assert_eq!(seen.held, Held::Holds, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_something_starts_again_after_its_fence_stops_the_promotion() {
    let pair = pair().await;
    let stop = ("postgres-fence", "old-active", &*stop_lines(&pair.primary));
    let run = plain(&pair, RunbookKind::Switchover, &[stop, PROMOTE]);
    run.succeeds(FIRST).await;
    assert_eq!(old(&run, SECOND).await.1.held, Held::Holds);
    blocking(|| pair.primary.start());
    let (_, seen) = old(&run, SECOND).await;
    assert_eq!((seen.held, seen.class), (Held::Fails, Class::Identity), "{seen:?}");
    assert!(run.approve(SECOND).await.is_err());
    assert_eq!(on(&pair.standby, "SELECT pg_is_in_recovery()"), "t");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_blocked_or_only_rehearsed_on_is_no_hindrance() {
    let pair = pair().await;
    let run = plain(&pair, RunbookKind::Switchover, &[BLOCK, PROMOTE]);
    run.succeeds(FIRST).await;
    let (_, seen) = old(&run, SECOND).await;
    assert_eq!(seen.held, Held::Holds, "{seen:?}");
    assert!(seen.why.as_str().ends_with("its application roles are turned away"), "{seen:?}");
    // Beside a drill it serves on.
    let run = run_as(&pair, RunbookKind::Drill);
    let (_, seen) = old(&run, FIRST).await;
    assert_eq!(seen.held, Held::Holds, "{seen:?}");
    assert!(seen.why.as_str().ends_with("this is a drill"), "{seen:?}");
    // A runbook that promotes beside it says why, and a person types that there will be two.
    let (_, seen) = old(&run_as(&pair, RunbookKind::Switchover), FIRST).await;
    assert_eq!((seen.held, seen.class, seen.consent.as_str()), (Held::Fails, Class::Risk, "two primaries"), "{seen:?}");
    assert!(!blocking(|| as_app(&pair.primary, "shop", "SELECT 1")).0, "nobody let it in");
}

/// A promotion alone, with a reason.
fn run_as(pair: &PgPair, kind: RunbookKind) -> Run {
    let url = |s: &Server| s.url("lifeboat");
    let text = plan(&url(&pair.primary), &url(&pair.standby), "", &[PROMOTE]);
    Run::open(&text.replace("plan.switchover", &format!("plan.{kind}")), kind, "east", "west")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_of_which_nobody_can_say_whose_it_is_is_promoted_by_its_number_alone() {
    let pair = pair().await;
    let system = on(&pair.standby, "SELECT system_identifier FROM pg_control_system()");
    blocking(|| pair.primary.stop("immediate"));
    let run = run_of(&pair, &[PROMOTE]);
    let preview = run.preview(FIRST).await;
    let cluster = condition(&preview, "cluster");
    let words = format!("cluster {system}");
    assert_eq!(
        (cluster.held, cluster.class, cluster.consent.as_str()),
        (Held::Unknown, Class::Risk, words.as_str()),
        "{cluster:?}"
    );
    // Without these very words it is not promoted.
    let typed = run.approve_with(FIRST, |_| "cluster".to_owned()).await.unwrap_err().to_string();
    assert!(typed.contains(&words), "{typed}");
    assert_eq!(on(&pair.standby, "SELECT pg_is_in_recovery()"), "t");
    // Where the step names the cluster, there is nothing to type.
    let named = format!("{}\nsystem_identifier = \"{system}\"", PROMOTE.2);
    let run = run_of(&pair, &[(PROMOTE.0, PROMOTE.1, &named)]);
    assert_eq!(condition(&run.preview(FIRST).await, "cluster").held, Held::Holds);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_sessions_would_be_read_only_is_promoted_by_these_words_alone() {
    let pair = pair().await;
    let run = run_of(&pair, &[PROMOTE]);
    assert_eq!(condition(&run.preview(FIRST).await, "read-only").held, Held::Holds);
    blocking(|| {
        pair.standby.conf("default_transaction_read_only = on\n");
        pair.standby.reload();
        let set = || pair.standby.sql("SHOW default_transaction_read_only") == "on";
        super::pg::until("the setting is read", set);
    });
    let preview = run.preview(FIRST).await;
    let writable = condition(&preview, "read-only");
    assert_eq!((writable.held, writable.class, writable.consent.as_str()), (Held::Fails, Class::Risk, "read only"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_a_rejoin_follows_may_yet_be_promoted_by_the_same_range() {
    let pair = pair().await;
    let rejoin = ("postgres-rejoin", "old-active", "basebackup = [\"sh\", \"-c\", \"exit 1\"]");
    let run = run_of(&pair, &[PROMOTE, rejoin]);
    let preview = run.preview(SECOND).await;
    let leads = condition(&preview, "new-primary");
    assert_eq!((leads.held, leads.later), (Held::Fails, true), "{leads:?}");
    // Alone, there is nobody to follow.
    let run = run_of(&pair, &[rejoin]);
    assert!(!condition(&run.preview(FIRST).await, "new-primary").later);
    assert!(run.approve(FIRST).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_may_not_be_read_is_no_silence() {
    let pair = pair().await;
    on(&pair.primary, "REVOKE pg_monitor FROM lifeboat");
    blocking(|| pair.in_step());
    // Nothing of the old primary is seen, and nothing of whom the standby hears.
    let gone = format!("postgres://lifeboat@127.0.0.1:{}/postgres", super::pg::free_port());
    let text = plan(&gone, &pair.standby.url("lifeboat"), "", &[PROMOTE]);
    let run = Run::open(&text, RunbookKind::Switchover, "east", "west");
    let preview = run.preview(FIRST).await;
    let upstream = condition(&preview, "upstream");
    assert_eq!((upstream.held, upstream.class), (Held::Unknown, Class::Risk), "{upstream:?}");
    assert!(upstream.why.as_str().contains("GRANT pg_monitor"), "{upstream:?}");
}
