//! The only way to a permission to act.
//!
//! A [`Authorized`] cannot be made, copied, stored or read back:
//!
//! ```compile_fail
//! let forged = lifeboat::runbook::Authorized { run: todo!(), attempt: todo!() };
//! ```
//! ```compile_fail
//! fn twice(permission: lifeboat::runbook::Authorized) -> [lifeboat::runbook::Authorized; 2] {
//!     [permission.clone(), permission]
//! }
//! ```
//! ```compile_fail
//! fn kept(permission: &lifeboat::runbook::Authorized) -> String {
//!     serde_json::to_string(permission).unwrap()
//! }
//! ```
//! ```compile_fail
//! fn read(text: &str) -> lifeboat::runbook::Authorized {
//!     serde_json::from_str(text).unwrap()
//! }
//! ```
//!
//! Nor can what it is made of: only the journal says that an entry is durable, and only it gives a tenure.
//!
//! ```compile_fail
//! fn durable(entry: lifeboat::runbook::Entry) -> lifeboat::runbook::DurableEntry {
//!     lifeboat::runbook::DurableEntry::committed(entry)
//! }
//! ```
//! ```compile_fail
//! fn tenure(run: lifeboat::runbook::RunId) -> lifeboat::runbook::Tenure {
//!     lifeboat::runbook::Tenure::taken(run, lifeboat::runbook::Epoch(1))
//! }
//! ```

use super::{AttemptId, Body, Entry, Epoch, RunId, RunState};

/// An entry that is on disk for certain. Entries that are merely read from the journal are none: a replay acts never.
#[derive(Debug)]
pub struct DurableEntry(Entry);

impl DurableEntry {
    /// Of an entry that this process has just committed, and seen to be committed. For the journal alone.
    #[must_use]
    pub(crate) const fn committed(entry: Entry) -> Self {
        Self(entry)
    }

    /// The entry.
    #[must_use]
    pub const fn entry(&self) -> &Entry {
        &self.0
    }
}

/// The exclusive hold on a run, by this process, under one epoch.
#[derive(Debug)]
pub struct Tenure {
    run: RunId,
    epoch: Epoch,
}

impl Tenure {
    /// Of a run whose lock this process holds. For the journal alone.
    #[must_use]
    pub(crate) const fn taken(run: RunId, epoch: Epoch) -> Self {
        Self { run, epoch }
    }

    /// The run.
    #[must_use]
    pub const fn run(&self) -> &RunId {
        &self.run
    }

    /// Its epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }
}

/// The permission to carry out one attempt, once: whoever acts takes it by value.
#[derive(Debug)]
pub struct Authorized {
    run: RunId,
    attempt: AttemptId,
}

impl Authorized {
    /// The run.
    #[must_use]
    pub const fn run(&self) -> &RunId {
        &self.run
    }

    /// The attempt.
    #[must_use]
    pub const fn attempt(&self) -> AttemptId {
        self.attempt
    }
}

/// Admits a durable intent of one's own tenure. `state` is the run as just read again, with that intent in it. Nothing else
/// is admitted: no other entry, no intent of another run or another epoch, none of an attempt that has acted or ended, none
/// of a run that is closed or being ended, and none whose approval was taken back or used up after the intent was
/// written: whoever gets nothing ends that attempt as `NotStarted`.
#[must_use]
pub fn admit(durable: DurableEntry, tenure: &Tenure, state: &RunState) -> Option<Authorized> {
    let entry = durable.0;
    let Body::Intent { attempt, approval, .. } = entry.body else { return None };
    let ours = entry.run == tenure.run && state.run == tenure.run;
    let current = entry.epoch == tenure.epoch && state.epoch == tenure.epoch && state.held;
    let open = state.open_attempts().any(|a| a.id == attempt && a.epoch == tenure.epoch && a.acted.is_none());
    let wanted = state.closed.is_none() && state.aborting.is_none();
    let approved = state.approval.as_ref().is_some_and(|g| g.seq == approval && g.approval.covers(attempt.step));
    (ours && current && open && wanted && approved).then_some(Authorized { run: entry.run, attempt })
}
