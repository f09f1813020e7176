//! Where a run stands: what its journal comes to, and what that means.

use std::sync::Arc;

use crate::plan::{Bytes, Now, SafeText};

use super::{
    Approval, Attempt, Closing, Epoch, Fence, Loss, Moment, Opened, Operator, Outcome, Preview, RunId, StepIx,
    StepPlan, Strength,
};

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepState {
    /// Nothing was done yet.
    Planned,
    /// It is being done.
    Acting,
    /// The call came back; its effect is being looked for.
    Observing,
    /// Done.
    Done(Outcome),
    /// It stopped the run.
    Halted(Outcome),
    /// A person left it out.
    Skipped,
}

impl StepState {
    /// The word for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Acting => "acting",
            Self::Observing => "observing",
            Self::Done(outcome) | Self::Halted(outcome) => outcome.words(),
            Self::Skipped => "skipped",
        }
    }

    /// Whether the run may go past it.
    #[must_use]
    pub const fn is_over(self) -> bool {
        match self {
            Self::Done(_) | Self::Skipped => true,
            Self::Planned | Self::Acting | Self::Observing | Self::Halted(_) => false,
        }
    }
}

/// One step of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct StepStatus {
    /// Where it stands.
    pub state: StepState,
    /// Its attempts, in order.
    pub attempts: Vec<Attempt>,
    /// Why it was left out.
    pub skipped: Option<SafeText>,
    /// What a person said of its effect: whether it is there, in which words, and where in the journal.
    pub confirmed: Option<(bool, SafeText, u64)>,
}

/// Where a run stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is asked or approved; this step is next.
    Waiting(StepIx),
    /// The runner reads what these steps would do.
    Preflight(StepIx, StepIx),
    /// It is shown; a person may approve.
    Armed(StepIx, StepIx),
    /// Approved, and about to begin this step.
    Approved(StepIx),
    /// These steps are being done.
    Acting(Vec<StepIx>),
    /// This step stopped the run; a person retries, skips or aborts.
    Halted(StepIx, Outcome),
    /// A person ends it; the step in hand is being finished.
    Stopping,
    /// Every step is over; the runner closes it.
    Finished,
    /// Over.
    Closed,
}

/// What is in the way.
#[derive(Clone, Debug, PartialEq)]
pub struct Blocked {
    /// Why an approval was disarmed, or what else is in the way.
    pub why: Vec<SafeText>,
    /// When.
    pub at: Now,
}

/// A run, as its journal tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct RunState {
    /// Which.
    pub run: RunId,
    /// How it began.
    pub opened: Arc<Opened>,
    /// When.
    pub opened_at: Now,
    /// By whom.
    pub opened_by: Operator,
    /// Its newest entry's place.
    pub seq: u64,
    /// When that was made.
    pub newest: Now,
    /// Its newest tenure.
    pub epoch: Epoch,
    /// Whether that tenure was not released. Whether its process lives, only its lock says.
    pub held: bool,
    /// Whose that tenure is.
    pub runner: Option<Operator>,
    /// The steps.
    pub steps: Vec<StepStatus>,
    /// What somebody wants to see and was not shown yet: first and last step, and the question's place.
    pub asked: Option<(StepIx, StepIx, u64)>,
    /// What was shown last: its place in the journal, when, in which boot, and the steps.
    pub shown: Option<Shown>,
    /// The approval that holds: its place, when it was given, in which boot, by whom.
    pub approval: Option<Given>,
    /// Why the last approval does not hold any more.
    pub blocked: Option<Blocked>,
    /// Why somebody wants it to end, while a step is in hand.
    pub aborting: Option<SafeText>,
    /// How it ended, and when.
    pub closed: Option<(Closing, Now)>,
    /// Who took note of its end, and their words.
    pub acknowledged: Option<(Operator, SafeText)>,
    /// Since when users have been without service.
    pub t0: Moment,
    /// When the first approval of something dangerous was given.
    pub decided: Option<Now>,
    /// What everybody must see.
    pub alarms: Vec<(SafeText, Now)>,
    /// What people noted.
    pub notes: Vec<(SafeText, Now, Operator)>,
    /// Entries that do not fit, and why. They change nothing; there are none in a sound journal.
    pub ignored: Vec<(u64, &'static str)>,
}

/// What was shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// Its place in the journal.
    pub seq: u64,
    /// When.
    pub at: Now,
    /// In which boot.
    pub boot: SafeText,
    /// The steps.
    pub steps: Vec<(StepIx, Preview)>,
}

/// An approval that was given.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// Its place in the journal.
    pub seq: u64,
    /// When.
    pub at: Now,
    /// In which boot.
    pub boot: SafeText,
    /// By whom.
    pub by: Operator,
    /// What it lets run.
    pub approval: Approval,
    /// What was shown for it.
    pub shown: Shown,
}

/// The step of a state, for reading.
#[must_use]
pub fn step_in(state: &RunState, ix: StepIx) -> Option<(&StepPlan, &StepStatus)> {
    Some((state.opened.runbook.step(ix)?, state.steps.get(ix.place())?))
}

impl RunState {
    /// The attempts that have no end yet.
    pub fn open_attempts(&self) -> impl Iterator<Item = &Attempt> {
        self.steps.iter().filter_map(|s| s.attempts.last()).filter(|a| a.end.is_none())
    }

    /// The step that comes next: the first that is not over. The way out is passed over, unless the run has turned back.
    #[must_use]
    pub fn next_step(&self) -> Option<StepIx> {
        let open = |ix: &StepIx| self.steps.get(ix.place()).is_some_and(|s| !s.state.is_over());
        self.opened.runbook.places().filter(open).find(|ix| !self.passes_over(*ix))
    }

    /// Whether it goes past this step as long as nobody turns back.
    #[must_use]
    pub fn passes_over(&self, ix: StepIx) -> bool {
        self.opened.runbook.is_way_out(ix) && !self.has_turned_back()
    }

    /// The steps that promote, and where they stand.
    fn promotions(&self) -> impl Iterator<Item = &StepStatus> {
        let promotes = |ix: &StepIx| self.opened.runbook.step(*ix).is_some_and(|s| s.role == super::StepRole::Promote);
        self.opened.runbook.places().filter(promotes).filter_map(|ix| self.steps.get(ix.place()))
    }

    /// Whether a person left out every promotion.
    #[must_use]
    pub fn has_turned_back(&self) -> bool {
        self.promotions().next().is_some() && self.promotions().all(|s| s.state == StepState::Skipped)
    }

    /// What is left out where the run turns back to the step that undoes its fence; nothing where it cannot: something may
    /// have been promoted, nothing was fenced, or no step undoes that.
    #[must_use]
    pub fn left_out_by_turning_back(&self) -> Vec<StepIx> {
        let runbook = &self.opened.runbook;
        let begun = |s: &StepStatus| {
            let nothing = |a: &Attempt| a.end.as_ref().is_some_and(|(r, ..)| r.outcome == Outcome::NotStarted);
            matches!(s.state, StepState::Done(_)) || !s.attempts.iter().all(nothing)
        };
        let fences = |ix: &StepIx| runbook.step(*ix).is_some_and(|s| s.role == super::StepRole::Fence);
        let fenced = runbook.places().filter(fences).any(|ix| self.steps.get(ix.place()).is_some_and(begun));
        let way_out = runbook.places().any(|ix| runbook.is_way_out(ix));
        if !fenced || !way_out || self.closed.is_some() || self.has_turned_back() || self.promotions().any(begun) {
            return Vec::new();
        }
        let open = |ix: &StepIx| self.steps.get(ix.place()).is_some_and(|s| !s.state.is_over());
        runbook.places().filter(|ix| !runbook.is_way_out(*ix)).filter(open).collect()
    }

    /// Whether this run fenced the old site, and nothing took its place: nobody is served.
    #[must_use]
    pub fn fences_for_nothing(&self) -> bool {
        let moved = self.may_have_promoted();
        let fences = |ix: &StepIx| self.opened.runbook.step(*ix).is_some_and(|s| s.role == super::StepRole::Fence);
        let ours = self.opened.runbook.places().filter(fences).filter_map(|ix| self.steps.get(ix.place()));
        let ours = ours.into_iter().any(|s| s.state == StepState::Done(Outcome::Succeeded));
        let holds = self.fence_strength() >= Some(Strength::Blocked) && self.wrote_since_fence().is_none();
        self.promotions().next().is_some() && !moved && ours && holds
    }

    /// Whether a promotion was begun: then another site may take writes.
    #[must_use]
    pub fn may_have_promoted(&self) -> bool {
        self.promotions().any(|s| matches!(s.state, StepState::Done(_)) || !s.attempts.is_empty())
    }

    /// Where it stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        if self.closed.is_some() {
            return Phase::Closed;
        }
        let acting: Vec<StepIx> = self.open_attempts().map(|a| a.id.step).collect();
        if !acting.is_empty() {
            return if self.aborting.is_some() { Phase::Stopping } else { Phase::Acting(acting) };
        }
        if self.aborting.is_some() {
            return Phase::Stopping;
        }
        let Some(next) = self.next_step() else { return Phase::Finished };
        if let Some(given) = &self.approval
            && given.approval.covers(next)
        {
            return Phase::Approved(next);
        }
        if let Some((from, to, _)) = self.asked {
            return Phase::Preflight(from, to);
        }
        if let Some(shown) = &self.shown
            && let (Some((from, _)), Some((to, _))) = (shown.steps.first(), shown.steps.last())
        {
            return Phase::Armed(*from, *to);
        }
        let halted = self.steps.iter().enumerate().find_map(|(at, s)| match s.state {
            StepState::Halted(outcome) => Some((StepIx::at(at), outcome)),
            StepState::Planned | StepState::Acting | StepState::Observing | StepState::Done(_) | StepState::Skipped => {
                None
            }
        });
        halted.map_or(Phase::Waiting(next), |(ix, outcome)| Phase::Halted(ix, outcome))
    }

    /// Where it stands, in words.
    #[must_use]
    pub fn words(&self) -> String {
        let range = |from: StepIx, to: StepIx| {
            if from == to { format!("step {from}") } else { format!("steps {from} to {to}") }
        };
        match self.phase() {
            Phase::Waiting(ix) => format!("waiting: step {ix} is next"),
            Phase::Preflight(from, to) => format!("looking: what {} would do", range(from, to)),
            Phase::Armed(from, to) => format!("shown: {} may be approved", range(from, to)),
            Phase::Approved(ix) => format!("approved: step {ix} is about to begin"),
            Phase::Acting(steps) => {
                let all: Vec<String> = steps.iter().map(ToString::to_string).collect();
                format!("acting: step {}", all.join(", "))
            }
            Phase::Halted(ix, outcome) => format!("halted: step {ix} {}", outcome.words()),
            Phase::Stopping => "being ended: the step in hand is finished first".to_owned(),
            Phase::Finished => "finished".to_owned(),
            Phase::Closed => match &self.closed {
                Some((Closing::Completed, _)) => "completed".to_owned(),
                Some((Closing::Aborted { reason }, _)) => format!("aborted: {reason}"),
                Some((Closing::Preempted { by, reason }, _)) => format!("gave way to {by}: {reason}"),
                None => "closed".to_owned(),
            },
        }
    }

    /// The fence that holds now: the strongest that a step left, since the last unfence.
    #[must_use]
    pub fn fence(&self) -> Option<&Fence> {
        let mut fence: Option<&Fence> = None;
        for (ix, status) in self.steps.iter().enumerate() {
            let unfences = self.unfences_old(StepIx::at(ix));
            let done = status.attempts.last().and_then(|a| a.end.as_ref()).filter(|(r, ..)| r.outcome.is_done());
            let Some((resolution, ..)) = done else { continue };
            if unfences {
                fence = None;
            }
            if let Some(left) = &resolution.left.fence
                && fence.is_none_or(|f| left.strength >= f.strength)
            {
                fence = Some(left);
            }
        }
        fence
    }

    /// Whether a step takes down the old site's fence: one of another site lets nobody in there.
    #[must_use]
    pub fn unfences_old(&self, ix: StepIx) -> bool {
        let (from, to) = (&self.opened.from, &self.opened.to);
        let there = |s: &StepPlan| s.on.as_ref().is_none_or(|on| on.site(from, to) == from);
        self.opened.runbook.step(ix).is_some_and(|s| s.role == super::StepRole::Unfence && there(s))
    }

    /// How sure it is that the old primary takes no writes.
    #[must_use]
    pub fn fence_strength(&self) -> Option<Strength> {
        self.fence().map(|f| f.strength)
    }

    /// What was measured to be lost: the newest measure of those that know most. What was taken for the end of the old
    /// primary's log is none where more of it was seen afterwards that is not held, or where that took writes again.
    #[must_use]
    pub fn loss(&self) -> Option<Loss> {
        let all = || self.lefts().filter_map(|(_, left)| left.loss.as_ref());
        let best = all().max_by_key(|l| (l.end, l.missing.is_some()))?;
        // One whose applications are turned away writes on by itself, a little.
        let later = all().filter(|l| l.seen > best.seen).max_by_key(|l| l.seen);
        let refuted = later.is_some_and(|l| l.missing != Some(Bytes(0))) || self.wrote_since_fence().is_some();
        Some(Loss { end: best.end && !refuted, ..later.unwrap_or(best).clone() })
    }

    /// What the steps that ended left behind, in order.
    pub fn lefts(&self) -> impl Iterator<Item = (StepIx, &super::Yield)> {
        self.steps.iter().enumerate().filter_map(|(at, s)| {
            let (resolution, ..) = s.attempts.last()?.end.as_ref()?;
            Some((StepIx::at(at), &resolution.left))
        })
    }

    /// When users were served again: when the step saw that which sees to it, or, where the run turned back, its last one.
    #[must_use]
    pub fn recovered(&self) -> Option<Now> {
        let last = if self.has_turned_back() { None } else { self.opened.runbook.recovery() };
        let counted = last.map_or(self.steps.len(), |ix| ix.place() + 1);
        if self.next_step().is_some_and(|next| next.place() < counted) {
            return None;
        }
        let ends = self.steps.iter().take(counted).filter_map(|s| s.attempts.last()?.end.as_ref());
        ends.map(|(resolution, at, _)| resolution.left.seen.as_deref().copied().unwrap_or(*at)).max_by_key(|at| at.wall)
    }

    /// Whether users were served until this run itself took the service away: no outage was seen before it was opened.
    pub(super) fn began_in_peace(&self) -> bool {
        let opened = &self.opened;
        let before = self.opened_at.wall.signed_duration_since(opened.t0.at);
        opened.kind.is_real() && opened.detected.is_none() && before <= chrono::TimeDelta::seconds(2)
    }
}
