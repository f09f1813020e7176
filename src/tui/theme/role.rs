//! What a piece of text is.

use serde::{Deserialize, Serialize};

use crate::readiness::Verdict;
use crate::runbook::{Held, Outcome, StepState};

/// What a piece of text is, which decides how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Text.
    Plain,
    /// The verdict ready.
    Ready,
    /// The verdict degraded.
    Degraded,
    /// The verdict not ready.
    NotReady,
    /// The verdict unknown.
    Unknown,
    /// Not judged yet.
    Looking,
    /// A line that must not be overlooked.
    Banner,
    /// The title of a screen.
    Title,
    /// The heading of a column or a section.
    Heading,
    /// Rules and frames.
    Border,
    /// What is less important.
    Dim,
    /// What is to be noticed: keys, the cursor's mark.
    Accent,
    /// What the cursor is on.
    Selected,
    /// A dangerous key.
    Danger,
    /// The limit in a chart.
    Limit,
    /// The line of a chart.
    Chart,
}

impl Role {
    /// The role of a verdict.
    #[must_use]
    pub const fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Ready => Self::Ready,
            Verdict::Degraded => Self::Degraded,
            Verdict::NotReady => Self::NotReady,
            Verdict::Unknown => Self::Unknown,
        }
    }
}

/// The glyph that always goes with a verdict, so that colour is never the only sign.
#[must_use]
pub const fn glyph(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ready => "●",
        Verdict::Degraded => "▲",
        Verdict::NotReady => "✖",
        Verdict::Unknown => "?",
    }
}

/// The glyph that always goes with the word of a step's state, and how it looks.
#[must_use]
pub const fn step_glyph(state: StepState) -> (&'static str, Role) {
    match state {
        StepState::Planned => ("○", Role::Dim),
        StepState::Acting | StepState::Observing => ("▶", Role::Accent),
        StepState::Skipped => ("–", Role::Degraded),
        StepState::Done(outcome) | StepState::Halted(outcome) => match outcome {
            Outcome::Succeeded | Outcome::AlreadyTrue => ("●", Role::Ready),
            Outcome::Failed => ("✖", Role::NotReady),
            Outcome::NotStarted => ("▲", Role::Degraded),
            Outcome::Indeterminate => ("?", Role::Unknown),
        },
    }
}

/// The glyph that always goes with whether something holds, and how it looks.
#[must_use]
pub const fn held_glyph(held: Held) -> (&'static str, Role) {
    match held {
        Held::Holds => ("●", Role::Ready),
        Held::Fails => ("✖", Role::NotReady),
        Held::Unknown => ("?", Role::Unknown),
    }
}
