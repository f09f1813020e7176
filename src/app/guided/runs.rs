//! The runs of the configured plans, as their journals tell them. Each entry is folded in once.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::plan::{Now, PlanId, SafeText};
use crate::runbook::{
    Attempt, Body, Closing, Entry, Held, Outcome, Phase, Preview, RunId, RunState, RunbookKind, StepIx, WATCHED, fold,
};

/// Closed runs of one plan that are kept: the newest.
const KEPT: usize = 3;

/// What is new of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct News {
    /// The run.
    pub run: RunId,
    /// Its entries after those that were told before, in order; from the first where none were.
    pub entries: Vec<Entry>,
    /// Whether a process holds it, where that could be seen.
    pub lives: Option<bool>,
}

/// What this process runs in, as far as it matters to a run that is started from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Whose runs the lock keeps out: `this host`.
    pub scope: SafeText,
    /// Whether a runner outlives this session.
    pub outlives: Held,
    /// What that rests on.
    pub why: SafeText,
    /// What ends with this session: an SSH agent, secrets in the environment.
    pub ends: Vec<SafeText>,
}

/// One run.
#[derive(Clone, Debug)]
pub struct Known {
    /// Where it stands.
    pub state: RunState,
    /// Whether a process holds it, where that could be seen.
    pub lives: Option<bool>,
    /// The newest preview of each step that was shown.
    pub previews: BTreeMap<StepIx, Preview>,
}

impl Known {
    fn take(&mut self, entry: &Entry) {
        // What was told twice is told once.
        if entry.seq <= self.state.seq {
            return;
        }
        self.state.take(entry);
        if let Body::Shown { steps, .. } = &entry.body {
            self.previews.extend(steps.iter().cloned());
        }
    }

    /// Whether it is open.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.state.closed.is_none()
    }

    /// Whether a real one may take its place: it is a drill, or it stands still.
    #[must_use]
    pub fn gives_way(&self) -> bool {
        self.is_open() && (!self.state.opened.kind.is_real() || matches!(self.state.phase(), Phase::Halted(..)))
    }

    /// Whether another failover waits for a person to take note of this one.
    #[must_use]
    pub fn wants_note(&self) -> bool {
        let over = match &self.state.closed {
            Some((Closing::Completed | Closing::Aborted { .. }, _)) => true,
            Some((Closing::Preempted { .. }, _)) | None => false,
        };
        over && self.state.opened.kind.is_real() && self.state.acknowledged.is_none()
    }

    /// Whether somebody watches the old primary after the run's end, where that is to be watched and was looked at.
    #[must_use]
    pub fn is_watched(&self) -> Option<bool> {
        // What is too long ago is watched by nobody any more, and nobody took note of the run's end: that stays to be said.
        let wants = !self.is_open() && self.state.wants_watch(self.state.newest, WATCHED);
        self.lives.filter(|_| wants)
    }

    /// Whether anything was begun in it.
    #[must_use]
    pub fn begun(&self) -> bool {
        let ends = |a: &Attempt| a.end.as_ref().is_none_or(|(end, ..)| end.outcome != Outcome::NotStarted);
        self.state.steps.iter().flat_map(|s| &s.attempts).any(ends)
    }

    /// The step that it is about now.
    #[must_use]
    pub fn current(&self) -> Option<StepIx> {
        let acting = self.state.open_attempts().next().map(|a| a.id.step);
        acting.or_else(|| self.state.next_step())
    }

    /// What it does, in one line: `2 promote the standby: acting`.
    #[must_use]
    pub fn line(&self) -> String {
        let Some(ix) = self.current() else { return self.state.words() };
        let name = self.state.opened.runbook.step(ix).map(|s| s.name.to_string()).unwrap_or_default();
        let word = match self.state.phase() {
            Phase::Waiting(_) => "waits for a person",
            Phase::Preflight(..) => "is being looked at",
            Phase::Armed(..) => "waits to be approved",
            Phase::Approved(_) => "approved",
            Phase::Acting(_) => self.state.steps.get(ix.place()).map_or("acting", |s| s.state.word()),
            Phase::Halted(_, outcome) => outcome.words(),
            Phase::Stopping => "being ended",
            Phase::Finished => "done",
            Phase::Closed => "closed",
        };
        format!("{ix} {name}: {word}")
    }

    /// How long users have been without service, or were: until it was recovered, until it was closed, or until now.
    #[must_use]
    pub fn since_t0(&self, now: Now) -> Duration {
        let until = self.state.recovered().or_else(|| self.state.closed.as_ref().map(|(_, at)| *at));
        let until = until.map_or(now.wall, |at| at.wall);
        until.signed_duration_since(self.state.t0.at).to_std().unwrap_or_default()
    }
}

/// How long it was from one moment to a later one. Boot times compare only within one boot of one host; where they do not
/// go with the wall clock, that is what people see.
#[must_use]
pub fn between(from: Now, to: Now) -> Duration {
    if to.boot >= from.boot && to.wall_step_ms(from).abs() < 5_000 {
        to.since(from)
    } else {
        to.wall.signed_duration_since(from.wall).to_std().unwrap_or_default()
    }
}

/// How long an attempt took, or takes.
#[must_use]
pub fn took(attempt: &Attempt, now: Now) -> Duration {
    between(attempt.began, attempt.end.as_ref().map_or(now, |(_, at, _)| *at))
}

/// The runs of the configured plans.
#[derive(Debug, Default)]
pub struct Runs {
    runs: BTreeMap<RunId, Known>,
    by_plan: BTreeMap<PlanId, Vec<RunId>>,
}

impl Runs {
    /// Takes in what is new of a run; returns its plan, where anything changed.
    pub fn take(&mut self, news: &News) -> Option<PlanId> {
        let mut changed = false;
        let entries = match self.runs.get(&news.run) {
            Some(_) => news.entries.as_slice(),
            None => {
                let (first, rest) = news.entries.split_first()?;
                let state = fold(std::slice::from_ref(first)).filter(|s| s.run == news.run && first.seq == 1)?;
                self.by_plan.entry(state.opened.plan.clone()).or_default().push(news.run.clone());
                let known = Known { state, lives: None, previews: BTreeMap::new() };
                self.runs.insert(news.run.clone(), known);
                changed = true;
                rest
            }
        };
        let known = self.runs.get_mut(&news.run)?;
        let before = known.state.seq;
        for entry in entries {
            known.take(entry);
        }
        changed |= known.state.seq != before;
        if news.lives.is_some() && known.lives != news.lives {
            known.lives = news.lives;
            changed = true;
        }
        let plan = known.state.opened.plan.clone();
        if changed {
            self.forget(&plan);
        }
        changed.then_some(plan)
    }

    /// Forgets closed runs of a plan that nobody asks for any more.
    fn forget(&mut self, plan: &PlanId) {
        let mut closed: Vec<_> =
            self.of(plan).filter(|k| !k.is_open()).map(|k| (k.state.opened_at.wall, k.state.run.clone())).collect();
        closed.sort_by(|(a, _), (b, _)| b.cmp(a));
        for (_, run) in closed.into_iter().skip(KEPT) {
            self.runs.remove(&run);
            if let Some(runs) = self.by_plan.get_mut(plan) {
                runs.retain(|r| *r != run);
            }
        }
    }

    /// One run.
    #[must_use]
    pub fn get(&self, run: &RunId) -> Option<&Known> {
        self.runs.get(run)
    }

    /// Every run that is known.
    pub fn all(&self) -> impl Iterator<Item = &Known> {
        self.runs.values()
    }

    /// The runs of a plan.
    pub fn of(&self, plan: &PlanId) -> impl Iterator<Item = &Known> {
        self.by_plan.get(plan).into_iter().flatten().filter_map(|run| self.runs.get(run))
    }

    /// The open run of a plan.
    #[must_use]
    pub fn open_of(&self, plan: &PlanId) -> Option<&Known> {
        self.of(plan).find(|k| k.is_open())
    }

    /// The newest run of a plan that is over.
    #[must_use]
    pub fn last_of(&self, plan: &PlanId) -> Option<&Known> {
        self.of(plan).filter(|k| !k.is_open()).max_by_key(|k| k.state.opened_at.wall)
    }

    /// The run of a plan that a person must take note of before another of this kind is opened.
    #[must_use]
    pub fn unnoted(&self, plan: &PlanId, kind: RunbookKind) -> Option<&Known> {
        let failovers = self.of(plan).filter(|k| k.state.opened.kind == RunbookKind::Failover && k.wants_note());
        failovers.max_by_key(|k| k.state.opened_at.wall).filter(|k| kind == RunbookKind::Failover && k.begun())
    }
}
