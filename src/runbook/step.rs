//! Steps as data.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::plan::{PlanId, SafeText, SiteId, Span};

use super::{RunbookKind, StepIx};

/// How much harm a step can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Danger {
    /// It only looks, waits or tells.
    None,
    /// It changes something, and there is a way back.
    Changes,
    /// There is no way back but another failover: a point of no return.
    Irreversible,
}

/// What a step is for: what `validate` and the order of a runbook go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepRole {
    /// Makes sure that the old primary takes no writes.
    Fence,
    /// Lets it take writes again.
    Unfence,
    /// Makes the new site take writes.
    Promote,
    /// Brings a database up from a backup.
    Restore,
    /// Moves traffic.
    Traffic,
    /// Looks whether all is well.
    Verify,
    /// The way back: a server becomes a standby again.
    Rejoin,
    /// Tells people.
    Notify,
    /// Anything else.
    Other,
}

impl StepRole {
    /// Whether it brings users to another site.
    #[must_use]
    pub const fn moves(self) -> bool {
        match self {
            Self::Promote | Self::Restore | Self::Traffic => true,
            Self::Fence | Self::Unfence | Self::Verify | Self::Rejoin | Self::Notify | Self::Other => false,
        }
    }
}

/// Whether an attempt whose end is not known may be followed by another without harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetrySafety {
    /// The remote itself compares and swaps: a second one is refused, not done twice.
    NativeCas,
    /// Its effect can be read back: look first, then decide.
    ReadBack,
    /// Neither: only a person can say.
    Never,
}

/// Who says that a step's effect is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verified {
    /// We look.
    ByLooking,
    /// A person does, and says so.
    ByPerson,
}

/// Which of a run's sites a step is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum On {
    /// The site that was active when the run was opened.
    OldActive,
    /// The site that takes over.
    NewActive,
    /// This site, whatever its part.
    Site(SiteId),
}

impl On {
    /// The site, in a run from `from` to `to`.
    #[must_use]
    pub const fn site<'a>(&'a self, from: &'a SiteId, to: &'a SiteId) -> &'a SiteId {
        match self {
            Self::OldActive => from,
            Self::NewActive => to,
            Self::Site(site) => site,
        }
    }

    /// As in the configuration: `old-active`, `new-active`, or the site's name.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::OldActive => "old-active",
            Self::NewActive => "new-active",
            Self::Site(site) => site.as_str(),
        }
    }
}

/// One operation: what to do, to what, and what it takes to let it. Data only; its system's executor does it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepPlan {
    /// Its name, unique in its runbook: `fence the old primary`.
    pub name: SafeText,
    /// Its kind: `postgres-fence`.
    pub kind: String,
    /// The probe whose system it acts on, by name, where it acts on one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
    /// The site that it is about, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<On>,
    /// The keys of its kind, as configured. Secrets only as references.
    pub options: Value,
    /// What it is for.
    pub role: StepRole,
    /// How much harm it can do.
    pub danger: Danger,
    /// Whether an attempt whose end is not known may be followed by another.
    pub retry: RetrySafety,
    /// Who says that its effect is there.
    pub verified: Verified,
    /// How long it normally takes, for the estimate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Span>,
    /// How long acting and observing may take, after which its outcome is indeterminate.
    pub deadline: Span,
    /// Steps in a row with the same group run side by side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Why the runbook does what `validate` would refuse, in its author's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<SafeText>,
}

impl StepPlan {
    /// Whether there is no way back from it.
    #[must_use]
    pub fn is_point_of_no_return(&self) -> bool {
        self.danger == Danger::Irreversible
    }
}

/// Ordered steps for one purpose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Runbook {
    /// What it is for.
    pub kind: RunbookKind,
    /// The steps, in order.
    pub steps: Vec<StepPlan>,
}

impl Runbook {
    /// The step at this place.
    #[must_use]
    pub fn step(&self, ix: StepIx) -> Option<&StepPlan> {
        self.steps.get(ix.place())
    }

    /// The places of all steps.
    pub fn places(&self) -> impl DoubleEndedIterator<Item = StepIx> + use<> {
        (0..self.steps.len()).map(StepIx::at)
    }

    /// The steps that run side by side with this one, itself included: those in a row with its group.
    #[must_use]
    pub fn beside(&self, ix: StepIx) -> std::ops::RangeInclusive<StepIx> {
        let group = self.step(ix).and_then(|s| s.group.as_ref());
        let same = |at: usize| group.is_some() && self.steps.get(at).and_then(|s| s.group.as_ref()) == group;
        let mut first = ix.place();
        while first > 0 && same(first - 1) {
            first -= 1;
        }
        let mut last = ix.place();
        while same(last + 1) {
            last += 1;
        }
        StepIx::at(first)..=StepIx::at(last)
    }

    /// Whether this is one of the last steps, which undo the fence of the old site, after a promotion: the way out of a run
    /// that stops before it promotes. Beside a new primary an old one is never let loose.
    #[must_use]
    pub fn is_way_out(&self, ix: StepIx) -> bool {
        let undoes = |s: &StepPlan| s.role == StepRole::Unfence && s.on == Some(On::OldActive);
        let promoted = self.steps.iter().take(ix.place()).any(|s| s.role == StepRole::Promote);
        promoted && ix.place() < self.steps.len() && self.steps.iter().skip(ix.place()).all(undoes)
    }

    /// The step with which users are served again: the look that follows when the last thing was moved. What comes after it
    /// is the way back.
    #[must_use]
    pub fn recovery(&self) -> Option<StepIx> {
        let moves = |ix: &StepIx| self.step(*ix).is_some_and(|s| s.role.moves());
        let Some(moved) = self.places().rfind(moves) else {
            return self.places().rfind(|ix| !self.is_way_out(*ix));
        };
        let role = |ix: StepIx, role| self.step(ix).is_some_and(|s| s.role == role);
        let after = || self.places().filter(move |ix| *ix > moved);
        let served =
            after().take_while(|ix| !role(*ix, StepRole::Rejoin)).filter(|ix| role(*ix, StepRole::Verify)).last();
        served.or_else(|| after().find(|ix| role(*ix, StepRole::Verify))).or(Some(moved))
    }

    /// The range that is offered for approval from here: up to the point of no return, or from it to the end.
    #[must_use]
    pub fn default_range(&self, from: StepIx) -> std::ops::RangeInclusive<StepIx> {
        let whole = self.places().rfind(|ix| self.is_way_out(from) || !self.is_way_out(*ix));
        let last = whole.unwrap_or(from);
        let from = (*self.beside(from).start()).max(from);
        let stops = |ix: &StepIx| *ix > from && self.step(*ix).is_some_and(StepPlan::is_point_of_no_return);
        let until = self.places().find(stops).map_or(last, |ix| {
            let first = *self.beside(ix).start();
            // A group is never cut: where the point of no return shares the first step's group, it belongs to the range.
            if first <= from { *self.beside(ix).end() } else { StepIx::at(first.place().saturating_sub(1)) }
        });
        from..=until.max(from)
    }
}

/// The runbooks of a plan, by kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Runbooks {
    /// The plan.
    pub plan: PlanId,
    /// Those that are configured.
    pub by_kind: BTreeMap<RunbookKind, Runbook>,
}

impl Runbooks {
    /// The runbook of this kind.
    #[must_use]
    pub fn get(&self, kind: RunbookKind) -> Option<&Runbook> {
        self.by_kind.get(&kind)
    }
}
