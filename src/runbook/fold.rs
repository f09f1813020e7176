//! A run is the fold of its journal.

use std::sync::Arc;

use crate::plan::{Now, SafeText};

use super::{
    Approval, Attempt, Body, Closing, Entry, Epoch, Fence, Loss, Moment, Opened, Operator, Outcome, Preview, RunId,
    StepIx, StepPlan, Strength,
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
        let moved = self.promotions().any(|s| matches!(s.state, StepState::Done(_)) || !s.attempts.is_empty());
        let fences = |ix: &StepIx| self.opened.runbook.step(*ix).is_some_and(|s| s.role == super::StepRole::Fence);
        let ours = self.opened.runbook.places().filter(fences).filter_map(|ix| self.steps.get(ix.place()));
        let ours = ours.into_iter().any(|s| s.state == StepState::Done(Outcome::Succeeded));
        self.promotions().next().is_some() && !moved && ours && self.fence_strength() >= Some(Strength::Blocked)
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
            let unfences = self.opened.runbook.step(StepIx::at(ix)).is_some_and(|s| s.role == super::StepRole::Unfence);
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

    /// How sure it is that the old primary takes no writes.
    #[must_use]
    pub fn fence_strength(&self) -> Option<Strength> {
        self.fence().map(|f| f.strength)
    }

    /// What was measured to be lost: the newest measure of those that know most.
    #[must_use]
    pub fn loss(&self) -> Option<&Loss> {
        self.lefts().filter_map(|(_, left)| left.loss.as_ref()).max_by_key(|l| (l.end, l.missing.is_some()))
    }

    /// What the steps that ended left behind, in order.
    pub fn lefts(&self) -> impl Iterator<Item = (StepIx, &super::Yield)> {
        self.steps.iter().enumerate().filter_map(|(at, s)| {
            let (resolution, ..) = s.attempts.last()?.end.as_ref()?;
            Some((StepIx::at(at), &resolution.left))
        })
    }

    /// When users were served again: when the step ended that sees to that, or, where the run turned back, its last one.
    #[must_use]
    pub fn recovered(&self) -> Option<Now> {
        let last = if self.has_turned_back() { None } else { self.opened.runbook.recovery() };
        let counted = last.map_or(self.steps.len(), |ix| ix.place() + 1);
        if self.next_step().is_some_and(|next| next.place() < counted) {
            return None;
        }
        let counted = self.steps.iter().take(counted);
        counted.filter_map(|s| Some(s.attempts.last()?.end.as_ref()?.1)).max_by_key(|at| at.wall)
    }

    /// Whether users were served until this run itself took the service away: no outage was seen before it was opened.
    fn began_in_peace(&self) -> bool {
        let opened = &self.opened;
        let before = self.opened_at.wall.signed_duration_since(opened.t0.at);
        opened.kind.is_real() && opened.detected.is_none() && before <= chrono::TimeDelta::seconds(2)
    }
}

/// Where a run stands, by its entries in order; `None` where they do not begin with an opened run. Total: an entry that
/// does not fit changes nothing, and is named in [`RunState::ignored`].
#[must_use]
pub fn fold(entries: &[Entry]) -> Option<RunState> {
    let mut entries = entries.iter();
    let first = entries.next()?;
    let Body::Opened(opened) = &first.body else { return None };
    let blank = StepStatus { state: StepState::Planned, attempts: Vec::new(), skipped: None, confirmed: None };
    let mut state = RunState {
        run: first.run.clone(),
        opened: Arc::new((**opened).clone()),
        opened_at: first.at,
        opened_by: first.who.clone(),
        seq: first.seq,
        newest: first.at,
        epoch: Epoch(0),
        held: false,
        runner: None,
        steps: vec![blank; opened.runbook.steps.len()],
        asked: None,
        shown: None,
        approval: None,
        blocked: None,
        aborting: None,
        closed: None,
        acknowledged: None,
        t0: opened.t0.clone(),
        decided: None,
        alarms: Vec::new(),
        notes: Vec::new(),
        ignored: Vec::new(),
    };
    for entry in entries {
        state.take(entry);
    }
    Some(state)
}

impl RunState {
    /// Takes in the next entry.
    pub fn take(&mut self, entry: &Entry) {
        if entry.run != self.run || entry.seq != self.seq.saturating_add(1) {
            self.ignored.push((entry.seq, "it is not the next entry of this run"));
            return;
        }
        self.seq = entry.seq;
        self.newest = entry.at;
        if let Err(why) = self.step_on(entry) {
            self.ignored.push((entry.seq, why));
        }
    }

    fn step_on(&mut self, entry: &Entry) -> Result<(), &'static str> {
        let by_runner =
            || if entry.epoch == self.epoch && self.held { Ok(()) } else { Err("of a tenure that is over") };
        if self.closed.is_some()
            && !matches!(
                entry.body,
                Body::Acknowledged { .. }
                    | Body::Tenure { .. }
                    | Body::Noted { .. }
                    | Body::Alarm { .. }
                    | Body::Released { .. }
                    | Body::Dated { .. }
            )
        {
            return Err("the run is closed");
        }
        match &entry.body {
            Body::Opened(_) => return Err("the run is open already"),
            Body::Tenure { .. } => {
                if entry.epoch <= self.epoch {
                    return Err("a tenure that is not newer");
                }
                (self.epoch, self.held, self.runner) = (entry.epoch, true, Some(entry.who.clone()));
            }
            Body::Released { .. } => {
                by_runner()?;
                self.held = false;
            }
            Body::Asked { from, to } => {
                if from > to || to.place() >= self.steps.len() {
                    return Err("no such steps");
                }
                self.asked = Some((*from, *to, entry.seq));
            }
            Body::Shown { asked, steps } => {
                by_runner()?;
                if self.asked.is_none_or(|(.., place)| place != *asked) {
                    return Err("nobody asks for that any more");
                }
                self.asked = None;
                self.blocked = None;
                let (at, boot) = (entry.at, entry.boot.clone());
                self.shown = Some(Shown { seq: entry.seq, at, boot, steps: steps.clone() });
            }
            Body::Approved(approval) => {
                let Some(shown) = self.shown.take_if(|s| s.seq == approval.shown) else {
                    return Err("what was approved is not what was shown last");
                };
                let dangerous = self.steps_between(approval).any(|s| s.danger > super::Danger::None);
                if dangerous && self.decided.is_none() {
                    self.decided = Some(entry.at);
                }
                let (at, boot, by) = (entry.at, entry.boot.clone(), entry.who.clone());
                self.approval = Some(Given { seq: entry.seq, at, boot, by, approval: approval.clone(), shown });
                (self.asked, self.blocked) = (None, None);
            }
            Body::Disarmed { approval, why } => {
                by_runner()?;
                if self.approval.as_ref().is_none_or(|g| g.seq != *approval) {
                    return Err("no such approval holds");
                }
                self.approval = None;
                self.blocked = Some(Blocked { why: why.clone(), at: entry.at });
            }
            Body::Withdrawn { reason } => {
                let why = SafeText::new(&format!("{} took it back: {reason}", entry.who.user));
                (self.approval, self.shown, self.asked) = (None, None, None);
                self.blocked = Some(Blocked { why: vec![why], at: entry.at });
            }
            Body::Intent { attempt, approval, identity } => {
                by_runner()?;
                let given = self.approval.as_ref().filter(|g| g.seq == *approval && g.approval.covers(attempt.step));
                if given.is_none() {
                    return Err("no approval for it holds");
                }
                let interrupts = self
                    .opened
                    .runbook
                    .step(attempt.step)
                    .filter(|s| s.role == super::StepRole::Fence || s.role.moves());
                let since =
                    interrupts.filter(|_| self.began_in_peace() && self.t0 == self.opened.t0).map(|s| s.name.clone());
                let beside = self.opened.runbook.beside(attempt.step);
                if self.open_attempts().any(|a| !beside.contains(&a.id.step)) {
                    return Err("another step is in hand");
                }
                let first = *beside.start();
                if self.next_step().is_none_or(|next| next < first || next > attempt.step) {
                    return Err("it is not this step's turn");
                }
                let Some(status) = self.steps.get_mut(attempt.step.place()) else { return Err("no such step") };
                if status.state.is_over() || status.attempts.last().is_some_and(|a| a.end.is_none()) {
                    return Err("the step is in hand, or over");
                }
                if usize::from(attempt.nth) != status.attempts.len() + 1 {
                    return Err("not the next attempt");
                }
                if status.attempts.last().and_then(|a| a.end.as_ref()).is_some_and(|(.., end)| *approval <= *end) {
                    return Err("a retry needs a newer approval");
                }
                if status.attempts.iter().any(|a| a.approval == *approval) {
                    return Err("the approval was used already");
                }
                status.state = StepState::Acting;
                status.confirmed = None;
                status.attempts.push(Attempt {
                    id: *attempt,
                    approval: *approval,
                    identity: identity.clone(),
                    began: entry.at,
                    epoch: entry.epoch,
                    progress: None,
                    acted: None,
                    end: None,
                });
                if let Some(name) = since {
                    let why = SafeText::new(&format!("until step {}, {name}, began, it was served", attempt.step));
                    self.t0 = Moment { at: entry.at.wall, why };
                }
            }
            Body::Acted { attempt, acted } => {
                by_runner()?;
                let Some(status) = self.steps.get_mut(attempt.step.place()) else { return Err("no such step") };
                let Some(open) = status.attempts.last_mut().filter(|a| a.id == *attempt && a.end.is_none()) else {
                    return Err("no such attempt is open");
                };
                if open.acted.is_some() || open.epoch != entry.epoch {
                    return Err("it acted already, or another tenure began it");
                }
                open.acted = Some((acted.clone(), entry.at));
                status.state = StepState::Observing;
            }
            Body::Progress { attempt, what } => {
                by_runner()?;
                let Some(status) = self.steps.get_mut(attempt.step.place()) else { return Err("no such step") };
                let Some(open) = status.attempts.last_mut().filter(|a| a.id == *attempt && a.end.is_none()) else {
                    return Err("no such attempt is open");
                };
                if open.epoch != entry.epoch {
                    return Err("another tenure began it");
                }
                open.progress = Some((what.clone(), entry.at));
            }
            Body::Outcome { attempt, resolution } => {
                by_runner()?;
                self.end(entry, *attempt, resolution)?;
            }
            Body::Confirmed { step, done, words } => {
                let Some(status) = self.steps.get_mut(step.place()) else { return Err("no such step") };
                status.confirmed = Some((*done, words.clone(), entry.seq));
            }
            Body::Skipped { step, reason } => {
                if self.open_attempts().next().is_some() {
                    return Err("a step is in hand");
                }
                let Some(status) = self.steps.get_mut(step.place()) else { return Err("no such step") };
                if status.state.is_over() {
                    return Err("the step is over");
                }
                status.state = StepState::Skipped;
                status.skipped = Some(reason.clone());
                (self.approval, self.shown, self.asked) = (None, None, None);
            }
            Body::Dated { t0 } => self.t0 = t0.clone(),
            Body::Noted { text } => self.notes.push((text.clone(), entry.at, entry.who.clone())),
            Body::Alarm { what } => self.alarms.push((what.clone(), entry.at)),
            Body::Aborting { reason } => {
                self.aborting = Some(reason.clone());
                (self.approval, self.shown, self.asked) = (None, None, None);
            }
            Body::Closed(closing) => {
                if self.open_attempts().next().is_some() {
                    return Err("a step is in hand");
                }
                if *closing == Closing::Completed && self.next_step().is_some() {
                    return Err("not every step is over");
                }
                self.closed = Some((closing.clone(), entry.at));
                (self.approval, self.shown, self.asked) = (None, None, None);
            }
            Body::Acknowledged { reason } => {
                if self.closed.is_none() {
                    return Err("the run is open");
                }
                self.acknowledged = Some((entry.who.clone(), reason.clone()));
            }
        }
        Ok(())
    }

    fn steps_between(&self, approval: &Approval) -> impl Iterator<Item = &StepPlan> {
        let (from, to) = (approval.from, approval.to);
        let runbook = &self.opened.runbook;
        runbook.places().filter(move |ix| (from..=to).contains(ix)).filter_map(|ix| runbook.step(ix))
    }

    fn end(
        &mut self,
        entry: &Entry,
        attempt: super::AttemptId,
        resolution: &super::Resolution,
    ) -> Result<(), &'static str> {
        let given = self.approval.as_ref().filter(|g| g.approval.covers(attempt.step)).map(|g| g.seq);
        let Some(status) = self.steps.get_mut(attempt.step.place()) else { return Err("no such step") };
        let next = usize::from(attempt.nth) == status.attempts.len() + 1;
        if next && resolution.outcome == Outcome::AlreadyTrue && !status.state.is_over() {
            // Nothing was done, so there was no intent; but what comes next was approved.
            let Some(approval) = given else { return Err("no approval for it holds") };
            let (began, epoch) = (entry.at, entry.epoch);
            let identity = super::Identity::default();
            let (id, progress, acted, end) = (attempt, None, None, None);
            status.attempts.push(Attempt { id, approval, identity, began, epoch, progress, acted, end });
        }
        let Some(known) = status.attempts.last_mut().filter(|a| a.id == attempt) else {
            return Err("not the newest attempt");
        };
        // What nobody could say may be said later, by looking; what was said stands.
        if known.end.as_ref().is_some_and(|(r, ..)| r.outcome != Outcome::Indeterminate) {
            return Err("its end is known already");
        }
        let before = known.end.replace((resolution.clone(), entry.at, entry.seq));
        if resolution.outcome.is_done() {
            // What stood in the way was that nobody could say.
            self.blocked = self.blocked.take().filter(|b| before.as_ref().is_none_or(|(_, at, _)| *at != b.at));
        }
        // What a person left out stays so, unless its effect is seen after all: the run does not go back to it.
        if status.state == StepState::Skipped && !resolution.outcome.is_done() {
            return Ok(());
        }
        status.state = if resolution.outcome.is_done() {
            StepState::Done(resolution.outcome)
        } else {
            StepState::Halted(resolution.outcome)
        };
        if !resolution.outcome.is_done()
            && let Some(given) = self.approval.take()
        {
            let why = SafeText::new(&format!("step {}: {}", attempt.step, resolution.outcome.words()));
            self.blocked = Some(Blocked { why: vec![why, resolution.why.clone()], at: entry.at });
            drop(given);
        }
        Ok(())
    }
}
