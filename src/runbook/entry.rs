//! The journal's entries: what happened in a run, in order, each bound to all before it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::plan::{Bytes, Now, PlanId, SafeText, SiteId, Span};

use super::{
    Acted, Approval, AttemptId, Cause, Digest, Epoch, Identity, Preview, RunId, RunState, Runbook, RunbookKind, StepIx,
    Yield, fold,
};

/// The newest version of the entries that this program writes. It reads all up to this one.
///
/// 1: the first. 2: how far an attempt is, calls that failed, and the tenure of whoever watches a closed run.
pub const SCHEMA: u16 = 2;

/// Who did something, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// The user's name on this host, and whose login it was before `sudo`: `root (alice)`.
    pub user: SafeText,
    /// The host.
    pub host: SafeText,
    /// Where they came from, where that is known: the SSH client's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<SafeText>,
    /// The process.
    pub pid: u32,
}

/// A moment that people care about, with the reason why it is that one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// When.
    pub at: DateTime<Utc>,
    /// Why then: `the last good look at east`.
    pub why: SafeText,
}

/// What was expected when the run was opened, against what the plan promises.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// The loss, as an upper bound.
    pub loss: Option<Span>,
    /// Log that was known to be missing.
    pub missing: Option<Bytes>,
    /// How long it would take, as far as that was measured.
    pub time: Option<Span>,
    /// The objective for the loss.
    pub rpo: Span,
    /// The objective for the time.
    pub rto: Span,
}

/// How a run begins: everything that it needs to be finished by another process, on another day, with another
/// configuration on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// The plan.
    pub plan: PlanId,
    /// What it is for.
    pub kind: RunbookKind,
    /// Why it was started.
    pub cause: Cause,
    /// In the operator's words.
    pub reason: SafeText,
    /// The site that is active, or was.
    pub from: SiteId,
    /// The site that takes over.
    pub to: SiteId,
    /// The steps.
    pub runbook: Runbook,
    /// The configuration of this plan alone, as TOML. Secrets only as references.
    pub pinned: String,
    /// The digest of the configuration that it was taken from.
    pub config: Digest,
    /// The program's version.
    pub version: SafeText,
    /// Since when users have been without service.
    pub t0: Moment,
    /// When that was first seen, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detected: Option<DateTime<Utc>>,
    /// What was expected.
    pub expected: Expected,
    /// Whose runs this one's lock keeps out: `this host`.
    pub scope: SafeText,
    /// The run that this one follows, where it is a way back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<RunId>,
    /// Whether the sites are simulated.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub practice: bool,
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Its effect was observed.
    Succeeded,
    /// Its effect was there before, so nothing was done.
    AlreadyTrue,
    /// It was refused, or its effect was seen not to be there.
    Failed,
    /// It was not even begun: something changed between approval and act.
    NotStarted,
    /// Nobody can say. Look again; never repeat blindly.
    Indeterminate,
}

impl Outcome {
    /// The words for people.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::AlreadyTrue => "already true",
            Self::Failed => "failed",
            Self::NotStarted => "not started",
            Self::Indeterminate => "indeterminate",
        }
    }

    /// Whether the step is done.
    #[must_use]
    pub const fn is_done(self) -> bool {
        match self {
            Self::Succeeded | Self::AlreadyTrue => true,
            Self::Failed | Self::NotStarted | Self::Indeterminate => false,
        }
    }
}

/// An attempt's end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resolution {
    /// What became of it.
    pub outcome: Outcome,
    /// What that rests on.
    pub why: SafeText,
    /// What it leaves to later steps and to the record.
    #[serde(default)]
    pub left: Yield,
}

/// How a run ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "how")]
pub enum Closing {
    /// Every step is done or was skipped.
    Completed,
    /// A person ended it.
    Aborted {
        /// Why.
        reason: SafeText,
    },
    /// A real one needed its place.
    Preempted {
        /// Which.
        by: RunId,
        /// Why, as typed.
        reason: SafeText,
    },
}

/// One execution of a step, as the journal tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Which.
    pub id: AttemptId,
    /// The approval that it used, by its place in the journal.
    pub approval: u64,
    /// What it is done to, as re-read for its intent: its marks say what was there before. Empty where nothing was done.
    pub identity: Identity,
    /// When its intent was written.
    pub began: Now,
    /// Which tenure wrote that.
    pub epoch: Epoch,
    /// How far it was seen to be, and when.
    pub progress: Option<(SafeText, Now)>,
    /// What became of the call, where that is known.
    pub acted: Option<(Acted, Now)>,
    /// Its end, and its place in the journal.
    pub end: Option<(Resolution, Now, u64)>,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Body {
    /// The run begins.
    Opened(Box<Opened>),
    /// A runner took the run.
    Tenure {
        /// Its process.
        pid: u32,
        /// Its version.
        version: SafeText,
    },
    /// The runner let go of the run.
    Released {
        /// Why.
        why: SafeText,
    },
    /// A person wants to see what these steps would do.
    Asked {
        /// The first step.
        from: StepIx,
        /// The last.
        to: StepIx,
    },
    /// What they would do, by the runner.
    Shown {
        /// The question's place in the journal.
        asked: u64,
        /// The steps.
        steps: Vec<(StepIx, Preview)>,
    },
    /// A person lets them run.
    Approved(Approval),
    /// An approval does not hold any more.
    Disarmed {
        /// Its place in the journal.
        approval: u64,
        /// Why.
        why: Vec<SafeText>,
    },
    /// A person takes an approval back: what was begun is finished, nothing more is begun.
    Withdrawn {
        /// Why.
        reason: SafeText,
    },
    /// A step is about to act.
    Intent {
        /// Which attempt.
        attempt: AttemptId,
        /// By which approval.
        approval: u64,
        /// On what, as just re-read.
        identity: Identity,
    },
    /// The call came back, or not.
    Acted {
        /// Which attempt.
        attempt: AttemptId,
        /// How.
        acted: Acted,
    },
    /// How far a step is that takes long: not each look, and only what is new.
    Progress {
        /// Which attempt.
        attempt: AttemptId,
        /// In words.
        what: SafeText,
    },
    /// An attempt's end.
    Outcome {
        /// Which attempt.
        attempt: AttemptId,
        /// How.
        #[serde(flatten)]
        resolution: Resolution,
    },
    /// A person says whether a step's effect is there.
    Confirmed {
        /// The step.
        step: StepIx,
        /// Whether it is.
        done: bool,
        /// In their words.
        words: SafeText,
    },
    /// A person leaves a step out.
    Skipped {
        /// The step.
        step: StepIx,
        /// Why.
        reason: SafeText,
    },
    /// T0 is another moment.
    Dated {
        /// Which.
        t0: Moment,
    },
    /// Something worth keeping, in a person's words.
    Noted {
        /// The words.
        text: SafeText,
    },
    /// Something that everybody must see: an old primary that was assumed to be fenced answers, and takes writes.
    Alarm {
        /// What.
        what: SafeText,
    },
    /// A person ends the run while a step is in hand: it is finished, and nothing more is begun.
    Aborting {
        /// Why.
        reason: SafeText,
    },
    /// The run ends.
    Closed(Closing),
    /// A person has taken note of how it ended; another failover of this plan may be started.
    Acknowledged {
        /// In their words.
        reason: SafeText,
    },
}

impl Body {
    /// The oldest version of the form that has this, said of a run that stands like this: whatever an older program can read,
    /// it shall read, for it may be the one that carries the run out.
    #[must_use]
    pub const fn version(&self, state: &RunState) -> u16 {
        match self {
            Self::Progress { .. } | Self::Acted { acted: Acted::Failed { .. }, .. } => 2,
            Self::Tenure { .. } if state.closed.is_some() => 2,
            Self::Opened(_)
            | Self::Tenure { .. }
            | Self::Released { .. }
            | Self::Asked { .. }
            | Self::Shown { .. }
            | Self::Approved(_)
            | Self::Disarmed { .. }
            | Self::Withdrawn { .. }
            | Self::Intent { .. }
            | Self::Acted { .. }
            | Self::Outcome { .. }
            | Self::Confirmed { .. }
            | Self::Skipped { .. }
            | Self::Dated { .. }
            | Self::Noted { .. }
            | Self::Alarm { .. }
            | Self::Aborting { .. }
            | Self::Closed(_)
            | Self::Acknowledged { .. } => 1,
        }
    }
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The version of its form.
    pub v: u16,
    /// The run.
    pub run: RunId,
    /// Its place, from 1.
    pub seq: u64,
    /// When it was made.
    pub at: Now,
    /// In which boot of that host; boot times compare only within one.
    pub boot: SafeText,
    /// Who made it.
    pub who: Operator,
    /// The tenure under which it was made; a client's is the newest that it saw.
    pub epoch: Epoch,
    /// The digest of all before it.
    pub prev: Digest,
    /// What it says.
    pub body: Body,
}

/// The digest of an entry and, by its `prev`, of all before it. `text` is the entry exactly as it is kept.
#[must_use]
pub fn chain(text: &str) -> Digest {
    Digest::of(&[text.as_bytes()])
}

/// Why a journal proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {seq}: {why}")]
pub struct Broken {
    /// At which entry.
    pub seq: u64,
    /// Why.
    pub why: String,
}

/// Proves a run's journal: every entry follows from the one before, none is missing, and together they are a run.
/// `texts` are the entries as they are kept, in order. Returns the run's state, and the digest of its head.
///
/// # Errors
/// The first entry that does not fit.
pub fn verify<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<(RunState, Digest), Broken> {
    let mut entries = Vec::new();
    let mut head = Digest::NONE;
    for (place, text) in texts.into_iter().enumerate() {
        let seq = u64::try_from(place).unwrap_or(u64::MAX).saturating_add(1);
        let broken = |why: String| Broken { seq, why };
        let entry: Entry = serde_json::from_str(text).map_err(|e| broken(format!("cannot be read: {e}")))?;
        if entry.v > SCHEMA {
            return Err(broken(format!("written by a newer lifeboat (version {}, this one knows {SCHEMA})", entry.v)));
        }
        if entry.seq != seq {
            return Err(broken(format!("says that it is entry {}: one is missing", entry.seq)));
        }
        if entry.prev != head {
            return Err(broken("does not follow from the entry before it: one of the two was changed".to_owned()));
        }
        head = chain(text);
        entries.push(entry);
    }
    let state =
        fold(&entries).ok_or(Broken { seq: 1, why: "the journal does not begin with an opened run".to_owned() })?;
    match state.ignored.first() {
        Some((seq, why)) => Err(Broken { seq: *seq, why: (*why).to_owned() }),
        None => Ok((state, head)),
    }
}
