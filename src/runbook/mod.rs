//! Runbooks as data, the journal's entries, and what may be done next.
//!
//! PURE: a run is the fold of its journal. [`fold()`] says where a run stands, [`decide()`] what a command appends to it, and
//! [`admit()`], alone in its file, is the only way to a permission to act. Client and runner both fold; only the runner
//! admits. Time is an argument, and so are ids.
#![deny(clippy::wildcard_enum_match_arm)]

mod admit;
mod approval;
mod approve;
mod condition;
mod decide;
mod entry;
mod fold;
pub mod guard;
mod ids;
mod kind;
mod preview;
mod proposal;
mod rehearsal;
mod state;
mod step;
#[cfg(test)]
mod tests;
pub mod validate;
mod watch;

pub use admit::{Authorized, DurableEntry, Tenure, admit};
pub use approval::{Approval, Bound, Changed, Consent, MOST_AGE, Prompt, Waiver, accepted, holds_still, prompt};
pub use approve::expected_words;
pub use condition::{Amount, Class, Condition, ConditionId, Held, worse};
pub use decide::{Asker, Command, Refusal, decide, may_act};
pub use entry::{
    Attempt, Body, Broken, Closing, Entry, Expected, Moment, Opened, Operator, Outcome, Resolution, SCHEMA, chain,
    verify,
};
pub use fold::fold;
pub use guard::guard;
pub use ids::{AttemptId, Digest, Epoch, RunId, StepIx};
pub use kind::{Cause, RunbookKind};
pub use preview::{Acted, Fence, Identity, Loss, Observation, Preview, Strength, Yield};
pub use proposal::{active_site, ends, expected};
pub use rehearsal::Rehearsal;
pub use state::{Blocked, Given, Phase, RunState, Shown, StepState, StepStatus, step_in};
pub use step::{Danger, On, RetrySafety, Runbook, Runbooks, StepPlan, StepRole, Verified};
pub use watch::WATCHED;
