//! A real commit that leaves nothing behind, under our own deadline.
//!
//! `pg_logical_emit_message(true, ...)` writes a record to the log under a transaction of its own. Its commit goes the way
//! of every application's: it is flushed, and waits for the standbys of `synchronous_standby_names` (PostgreSQL's
//! `RecordTransactionCommit`). It needs no privilege, no table and no schema; whoever decodes the log skips the prefix. It
//! also "works" in a read-only transaction, so it says nothing of whether applications may write; that the server is not
//! in recovery does: in recovery there are no transactions to be had.

use std::time::Duration;

use tokio::time::Instant;

use super::place::{Sent, Session};
use crate::runbook::Held;

/// How long a commit may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long it may take to call a commit off.
const CALL_OFF: Duration = Duration::from_secs(1);

/// An application's commit waits, whatever the role was told that looks (`ALTER ROLE ... SET synchronous_commit`): for this
/// transaction alone, which is the message's own.
const WAITS: &str = "SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit') \
     WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, true)";
/// The statement.
pub(super) const STATEMENT: &str = "SELECT pg_logical_emit_message(true, 'lifeboat', 'does a commit come back?')";

/// Commits, and says whether that came back; else why not. What hangs is called off, so that no session is left waiting.
pub(super) async fn commit(session: &mut Session, deadline: Instant) -> (Held, String) {
    let began = Instant::now();
    // What is begun must be called off in time where it hangs.
    if deadline.saturating_duration_since(began) < CALL_OFF.saturating_mul(2) {
        return (Held::Unknown, "no time is left to try a commit".to_owned());
    }
    let until = deadline.checked_sub(CALL_OFF).unwrap_or(deadline).min(began + PATIENCE);
    match session.send(&format!("{WAITS}; {STATEMENT}"), until).await {
        Sent::Done(_, None) => (Held::Holds, format!("a commit came back after {} ms", began.elapsed().as_millis())),
        // The wait for a standby was cut short, and only this warning tells.
        Sent::Done(_, Some(warning)) => (Held::Unknown, format!("a commit came back with a warning: {warning}")),
        Sent::No { gap, .. } => (Held::Unknown, format!("a commit is refused: {gap}")),
        Sent::Unclear(gap) => {
            session.cancel((Instant::now() + CALL_OFF).min(deadline)).await;
            (Held::Unknown, format!("a commit does not come back within {} s: {gap}", PATIENCE.as_secs()))
        }
    }
}
