//! Guided runs: what is known of them, how one is opened, and everything that a person types for one.

mod alarms;
mod first;
mod form;
mod keys;
mod opening;
mod pace;
mod rehearsing;
pub mod runs;
mod way_back;

pub use alarms::{Banner, banners};
pub use first::First;
pub use form::{Field, FieldId, Form, Purpose, Wanted, prompt_of};
pub use opening::{Asking, OpenRun, Opening, Proposal, backups, propose};
pub use pace::{Beat, Hush, Pace};
pub use rehearsing::Rehearsing;
pub use runs::{Host, Known, News, Runs};
pub use way_back::{Needed, way_back};

pub(super) use alarms::refresh as refresh_banners;
pub(super) use first::go as go_first;
pub(super) use keys::{
    answer, begin, entered, hushed, in_run, moved_in_form, off, on_journal, on_opened, on_refused, step_by, to_run,
    typed,
};
pub(super) use opening::why_not;
pub(super) use rehearsing::due as rehearsals_due;

use serde::{Deserialize, Serialize};

use crate::plan::PlanId;
use crate::runbook::{RunId, RunbookKind};

/// Something that a person answers by typing, as it was painted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PromptId {
    /// The prompt that opens a run.
    Opening(PlanId, RunbookKind),
    /// What was shown of a range of steps, by its place in the run's journal.
    Range(RunId, u64),
    /// A few words about a run.
    Words(RunId),
}

/// What the last frame showed of a prompt. Nothing is taken of what a person types unless all of it was on the screen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Painted {
    /// Which prompt.
    pub prompt: PromptId,
    /// Whether all of it was on the screen.
    pub whole: bool,
    /// How many of a range's steps would have been, from the first; `None` where all were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fits: Option<u16>,
}
