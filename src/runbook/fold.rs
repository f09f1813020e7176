//! A run is the fold of its journal.

use std::sync::Arc;

use crate::plan::SafeText;

use super::state::{Blocked, Given, RunState, Shown, StepState, StepStatus};
use super::{Approval, Attempt, Body, Closing, Entry, Epoch, Moment, Outcome, StepPlan};

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
        let began = known.began.wall;
        if resolution.outcome.is_done() {
            // What stood in the way was that nobody could say.
            self.blocked = self.blocked.take().filter(|b| before.as_ref().is_none_or(|(_, at, _)| *at != b.at));
        }
        // Nothing was taken away by what was not begun.
        if resolution.outcome == Outcome::NotStarted && self.t0.at == began {
            self.t0 = self.opened.t0.clone();
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
