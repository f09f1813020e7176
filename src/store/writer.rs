//! The one thread that writes.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use crate::clock;
use crate::plan::{Now, SafeText};

use super::queue::Queue;
use super::write::Writer;
use super::{Limits, StoreError, retain};

/// How often it looks whether something is old enough to go.
const PRUNE_EVERY: Duration = Duration::from_secs(600);
/// How long a session that ends may still prune; for hosts where only `check` runs.
const PRUNE_AT_END: Duration = Duration::from_millis(100);
/// Between two tries while it cannot write.
const RETRY: Duration = Duration::from_secs(2);

/// Writes what comes until the queue closes.
pub(super) fn run(mut conn: Connection, path: &Path, boot: &SafeText, queue: &Queue, limits: &Limits) {
    let started = clock::now();
    let mut writer = Writer::new(boot.clone());
    let mut failing = false;
    let mut pruned: Option<Now> = None;
    loop {
        let due = |now: Now| pruned.is_none_or(|at| now.since(at) >= PRUNE_EVERY);
        let idle = if due(clock::now()) { Duration::from_secs(5) } else { Duration::from_secs(60) };
        let batch = queue.take(idle, limits.gather);
        let closing = queue.closing();
        if batch.is_empty() {
            if closing {
                break;
            }
            if due(clock::now()) && prune(&mut conn, limits, started, None, queue) {
                pruned = Some(clock::now());
            }
            continue;
        }
        match writer.write(&mut conn, &batch) {
            Ok(()) => {
                failing = false;
                queue.settle(batch.len());
            }
            Err(e) => {
                let e = StoreError::of(path, e);
                tracing::warn!("{e}");
                if !failing {
                    failing = true;
                    queue.tell(SafeText::new(&e.to_string()));
                }
                if closing {
                    break;
                }
                // Nothing of it is in the file; it waits, and the queue's limit holds.
                queue.put_back(batch);
                queue.pause(RETRY);
            }
        }
    }
    if !failing {
        prune(&mut conn, limits, started, Some(PRUNE_AT_END), queue);
    }
    drop(conn);
    queue.end();
}

/// Prunes in small transactions, until nothing is left to go, something is to be written, or `limit` is over. Returns
/// whether it is done for now.
fn prune(conn: &mut Connection, limits: &Limits, started: Now, limit: Option<Duration>, queue: &Queue) -> bool {
    let begun = clock::now();
    loop {
        let now = clock::now();
        // A clock that somebody has just set must not empty the history.
        if now.wall_step_ms(started).abs() > 2_000 {
            return true;
        }
        match retain::step(conn, limits, now) {
            Ok(true) => {}
            Ok(false) => return true,
            Err(e) => {
                tracing::warn!("history is not pruned: {e}");
                return true;
            }
        }
        match limit {
            Some(limit) if clock::now().since(begun) > limit => return false,
            Some(_) => {}
            None if queue.waiting() => return false,
            None => {}
        }
    }
}
