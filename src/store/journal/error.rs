//! Why a journal cannot be used, or does not take something.

use std::path::{Path, PathBuf};

use crate::plan::{PlanId, SafeText};
use crate::runbook::{Broken, Epoch, RunId, StepIx};
use crate::store::StoreError;

/// Why a journal cannot be used, or does not take something. Nothing was written, unless that is said.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be made, opened, read or written: no space, locked, read-only, of a newer program.
    #[error(transparent)]
    File(StoreError),
    /// The file is not a journal of this program, or it is damaged.
    #[error(
        "{}: damaged, or no journal of lifeboat ({why}): keep it as evidence, and put a copy of the journal or another \
         state directory in its place", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file that is open is not the one at its path any more. What is written into it is lost with its last descriptor.
    #[error(
        "{}: the journal was taken away while it was open ({how}): nothing more is done, approved or noted by it. See what \
         was done at the targets themselves, and start lifeboat again", path.display()
    )]
    Gone {
        /// The path.
        path: PathBuf,
        /// What is there instead.
        how: String,
    },
    /// Its locks would not keep another host out, and its writes may be lost.
    #[error("{}: on a network file system ({kind}): runs are kept on a local disk only; set \"state\" to a directory on one", dir.display())]
    Network {
        /// The state directory.
        dir: PathBuf,
        /// Which file system.
        kind: &'static str,
    },
    /// The file system cannot keep it as safely as a run needs.
    #[error("{}: cannot be kept safely here ({found} instead of {wanted}): set \"state\" to a directory on a local disk", path.display())]
    Unsafe {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        wanted: &'static str,
        /// What it is.
        found: String,
    },
    /// This process only looks.
    #[error("read-only: no run is opened, changed or taken")]
    ReadOnly,
    /// There is no such run.
    #[error("no run {0} in this journal")]
    NoRun(RunId),
    /// A run's name must be a file's name.
    #[error("\"{0}\" cannot be a run's name: letters, digits, '.', '_' and '-', 120 at most")]
    BadName(RunId),
    /// A run with this name is there already.
    #[error("run {0} is there already")]
    Twice(RunId),
    /// Another run of the plan is open.
    #[error("run {run} of {plan} is open: attach to it, or end it first")]
    Open {
        /// The plan.
        plan: PlanId,
        /// The open run.
        run: RunId,
    },
    /// A failover of this plan has ended, and nobody has taken note of it.
    #[error(
        "the failover {run} of {plan} has ended and nobody has acknowledged it: look at it first, then acknowledge it with a reason"
    )]
    Unacknowledged {
        /// The plan.
        plan: PlanId,
        /// The failover that ended.
        run: RunId,
    },
    /// The open run does not give way.
    #[error("run {run} keeps its place: {why}")]
    KeepsItsPlace {
        /// The open run.
        run: RunId,
        /// Why.
        why: SafeText,
    },
    /// The open run would give way, but this step is in hand.
    #[error("step {step} of run {run} is in hand: end that run, and wait for the step's end")]
    InHand {
        /// The open run.
        run: RunId,
        /// Its step.
        step: StepIx,
    },
    /// Somebody else has written meanwhile: fold again and decide again.
    #[error("the run has moved on: its newest entry is {seq}")]
    Moved {
        /// Its newest entry's place.
        seq: u64,
    },
    /// A runner speaks that does not hold the run any more.
    #[error("tenure {} is over: the newest is {}", said.0, newest.0)]
    Superseded {
        /// Under which tenure it speaks.
        said: Epoch,
        /// The newest one.
        newest: Epoch,
    },
    /// What was to be added makes no sense after what is there. A fault of this program.
    #[error("not taken into the journal of {run}: {why}")]
    Unsound {
        /// The run.
        run: RunId,
        /// Why.
        why: String,
    },
    /// What is there proves nothing, and is not added to.
    #[error("the journal of {run} is broken at {broken}: it is not added to")]
    Broken {
        /// The run.
        run: RunId,
        /// Where and why.
        broken: Broken,
    },
    /// Another process holds the run.
    #[error("run {0} is held by another runner")]
    Held(RunId),
    /// The run is over; nobody takes it.
    #[error("run {0} is closed")]
    Closed(RunId),
    /// The kernel's lock cannot be had for another reason than that somebody has it.
    #[error("{}: cannot be locked: {source}", path.display())]
    Lock {
        /// The lock's file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl JournalError {
    /// SQLite's error, in this program's words.
    pub(super) fn of(path: &Path, source: rusqlite::Error) -> Self {
        StoreError::of(path, source).into()
    }

    /// Whether the same may succeed a moment later: another process writes, or the disk has no room just now.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::File(
                StoreError::Locked { .. }
                | StoreError::Full { .. }
                | StoreError::Sqlite { .. }
                | StoreError::ReadOnly { .. }
                | StoreError::Directory { .. }
                | StoreError::Late { .. },
            ) => true,
            Self::File(StoreError::Newer { .. } | StoreError::Damaged { .. })
            | Self::Damaged { .. }
            | Self::Gone { .. }
            | Self::Network { .. }
            | Self::Unsafe { .. }
            | Self::ReadOnly
            | Self::NoRun(_)
            | Self::BadName(_)
            | Self::Twice(_)
            | Self::Open { .. }
            | Self::Unacknowledged { .. }
            | Self::KeepsItsPlace { .. }
            | Self::InHand { .. }
            | Self::Moved { .. }
            | Self::Superseded { .. }
            | Self::Unsound { .. }
            | Self::Broken { .. }
            | Self::Held(_)
            | Self::Closed(_)
            | Self::Lock { .. } => false,
        }
    }
}

impl From<StoreError> for JournalError {
    fn from(e: StoreError) -> Self {
        match e {
            StoreError::Damaged { path, why } => Self::Damaged { path, why },
            StoreError::Directory { .. }
            | StoreError::Newer { .. }
            | StoreError::Locked { .. }
            | StoreError::Full { .. }
            | StoreError::ReadOnly { .. }
            | StoreError::Sqlite { .. }
            | StoreError::Late { .. } => Self::File(e),
        }
    }
}
