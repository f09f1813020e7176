//! What a command appends to a run's journal, or why it is refused.

use std::time::Duration;

use crate::plan::{Now, SafeText, Span};

use super::approve::{approval, sound};
use super::{
    Acted, AttemptId, Body, Changed, Class, Closing, Epoch, Given, Held, Moment, Outcome, Preview, Resolution,
    RunState, StepIx, Verified, holds_still, step_in,
};

/// How often the journal keeps how far an attempt is, at most.
const MOST_OFTEN: Duration = Duration::from_secs(5);
/// Between two words of how far it is, an attempt lasts on by one part in this many.
const RARER: u32 = 50;

/// What somebody wants of a run. Those of a person come from a client, those of the runner from it alone.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A person: show me what these steps would do.
    Ask {
        /// The first.
        from: StepIx,
        /// The last.
        to: StepIx,
    },
    /// A person: let what was shown run.
    Approve {
        /// Where in the journal stands what was shown.
        shown: u64,
        /// What was typed for each risk, by step and condition.
        risks: Vec<(StepIx, String, String)>,
        /// The reason for each piece of advice that is waived, by step and condition.
        waived: Vec<(StepIx, String, String)>,
        /// What was typed to name the target.
        typed: String,
    },
    /// A person: begin nothing more.
    Withdraw {
        /// Why.
        reason: String,
    },
    /// A person: the effect of this step is there, or not.
    Confirm {
        /// The step.
        step: StepIx,
        /// Whether it is.
        done: bool,
        /// In their words.
        words: String,
    },
    /// A person: leave this step out.
    Skip {
        /// The step.
        step: StepIx,
        /// Why.
        reason: String,
    },
    /// A person: promote nothing, and undo the fence.
    TurnBack {
        /// Why.
        reason: String,
    },
    /// A person: T0 was then.
    Date {
        /// When, and why then.
        t0: Moment,
    },
    /// A person: keep this.
    Note {
        /// The words.
        text: String,
    },
    /// A person: end the run.
    Abort {
        /// Why.
        reason: String,
    },
    /// A person: I have taken note of how it ended.
    Acknowledge {
        /// In their words.
        reason: String,
    },
    /// The runner: this is what the steps would do.
    Show {
        /// The question's place in the journal.
        asked: u64,
        /// The steps.
        steps: Vec<(StepIx, Preview)>,
    },
    /// The runner: this step is about to act, by what was just re-read of it. Becomes an intent, an outcome where there
    /// is nothing to do, or the end of the approval.
    Begin {
        /// The step.
        step: StepIx,
        /// What was just re-read.
        preview: Box<Preview>,
    },
    /// The runner: the call came back, or not.
    Act {
        /// Which attempt.
        attempt: AttemptId,
        /// How.
        acted: Acted,
    },
    /// The runner: so far it is. Kept where that is news.
    Progress {
        /// Which attempt.
        attempt: AttemptId,
        /// In words.
        what: SafeText,
    },
    /// The runner: this is how it ended.
    End {
        /// Which attempt.
        attempt: AttemptId,
        /// How.
        resolution: Resolution,
    },
    /// The runner, right after it took the run: nobody knows how these attempts ended.
    Settle,
    /// The runner: what was approved does not hold any more.
    Disarm {
        /// Why.
        why: Vec<SafeText>,
    },
    /// The runner: every step is over, or a person wanted the end.
    Close,
    /// The runner: everybody must see this.
    Raise {
        /// What.
        what: SafeText,
    },
    /// The runner: I let go.
    Release {
        /// Why.
        why: SafeText,
    },
}

/// Why a command is refused. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The run is over.
    #[error("the run is closed")]
    Closed,
    /// The run is not over.
    #[error("the run is open: abort it, or let it end")]
    Open,
    /// A person wants it to end.
    #[error("the run is being ended: {0}")]
    Ending(SafeText),
    /// A step is in hand.
    #[error("step {0} is in hand: wait for its end")]
    InHand(StepIx),
    /// There is no such step, or it is over.
    #[error("step {0} is not open")]
    NoStep(StepIx),
    /// It is another step's turn.
    #[error("step {0} comes first")]
    NotYet(StepIx),
    /// What is to be approved is not what was shown last.
    #[error("what was shown has changed: look again")]
    ShownChanged,
    /// It was shown too long ago, or before this machine was started.
    #[error("it was shown {0} ago: look again")]
    ShownOld(Span),
    /// Something that nobody can waive.
    #[error("{0}")]
    Blocked(SafeText),
    /// A risk was not accepted.
    #[error("step {step}: type \"{expected}\" to accept: {what}")]
    NotAccepted {
        /// The step.
        step: StepIx,
        /// The risk.
        what: SafeText,
        /// What would accept it.
        expected: String,
    },
    /// Advice was neither followed nor waived.
    #[error("step {step}: {what}: mend it, or say why not")]
    NotWaived {
        /// The step.
        step: StepIx,
        /// The advice.
        what: SafeText,
    },
    /// The target was not named.
    #[error("type \"{0}\"")]
    WrongWords(String),
    /// No approval covers the step, or none holds.
    #[error("no approval holds for step {0}")]
    NotApproved(StepIx),
    /// The approval was used for this step, or is older than the step's last outcome.
    #[error("step {0} needs another approval")]
    Used(StepIx),
    /// The approval is too old, or of another boot of this machine.
    #[error("the approval has expired")]
    Expired,
    /// Whoever speaks does not hold the run.
    #[error("this tenure is over")]
    NotHeld,
    /// There is no such attempt, or it is at another point.
    #[error("attempt {0} is not open")]
    NoAttempt(AttemptId),
    /// There is no way to turn back.
    #[error("no turning back: something may be promoted, nothing is fenced, or no step undoes that")]
    NoWayOut,
    /// A reason is missing.
    #[error("say why")]
    NoReason,
    /// Not every step is over, and nobody ended the run.
    #[error("step {0} is not over")]
    NotOver(StepIx),
}

/// Who asks, and when.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// The moment.
    pub now: Now,
    /// The boot of this host.
    pub boot: &'a SafeText,
    /// The tenure under which a runner asks; `None` for a client.
    pub epoch: Option<Epoch>,
}

/// What a command appends. Both sides ask: a client to refuse early, the runner because its answer counts.
///
/// # Errors
/// Why it is refused.
pub fn decide(state: &RunState, command: Command, asker: Asker<'_>) -> Result<Vec<Body>, Refusal> {
    match command {
        Command::Note { text } => Ok(vec![Body::Noted { text: said(&text)? }]),
        Command::Date { t0 } => {
            said(t0.why.as_str())?;
            Ok(vec![Body::Dated { t0 }])
        }
        Command::Acknowledge { reason } => match state.closed {
            Some(_) => Ok(vec![Body::Acknowledged { reason: said(&reason)? }]),
            None => Err(Refusal::Open),
        },
        Command::Raise { what } => held(state, asker).map(|()| vec![Body::Alarm { what }]),
        Command::Release { why } => held(state, asker).map(|()| vec![Body::Released { why }]),
        _ if state.closed.is_some() => Err(Refusal::Closed),
        Command::Ask { from, to } => ask(state, from, to),
        Command::Approve { shown, risks, waived, typed } => approve(state, shown, &risks, &waived, &typed, asker),
        Command::Withdraw { reason } => Ok(vec![Body::Withdrawn { reason: said(&reason)? }]),
        Command::Confirm { step, done, words } => {
            let Some((plan, status)) = step_in(state, step) else { return Err(Refusal::NoStep(step)) };
            let open = status
                .attempts
                .last()
                .is_some_and(|a| a.end.as_ref().is_none_or(|(r, ..)| r.outcome == Outcome::Indeterminate));
            if plan.verified != Verified::ByPerson && !open {
                return Err(Refusal::NoStep(step));
            }
            Ok(vec![Body::Confirmed { step, done, words: said(&words)? }])
        }
        Command::Skip { step, reason } => {
            idle(state)?;
            let next = state.next_step().ok_or(Refusal::NoStep(step))?;
            let beside = state.opened.runbook.beside(next);
            if step != next && !beside.contains(&step) {
                return Err(Refusal::NotYet(next));
            }
            if step_in(state, step).is_none_or(|(_, s)| s.state.is_over()) {
                return Err(Refusal::NoStep(step));
            }
            Ok(vec![Body::Skipped { step, reason: said(&reason)? }])
        }
        Command::TurnBack { reason } => {
            if let Some(reason) = &state.aborting {
                return Err(Refusal::Ending(reason.clone()));
            }
            idle(state)?;
            let reason = said(&reason)?;
            let steps = state.left_out_by_turning_back();
            if steps.is_empty() {
                return Err(Refusal::NoWayOut);
            }
            Ok(steps.into_iter().map(|step| Body::Skipped { step, reason: reason.clone() }).collect())
        }
        Command::Abort { reason } => {
            let reason = said(&reason)?;
            Ok(vec![if state.open_attempts().next().is_some() {
                Body::Aborting { reason }
            } else {
                Body::Closed(Closing::Aborted { reason })
            }])
        }
        Command::Show { asked, steps } => {
            held(state, asker)?;
            let (from, to) = match state.asked {
                Some((from, to, place)) if place == asked => (from, to),
                Some(_) | None => return Err(Refusal::ShownChanged),
            };
            let wanted: Vec<StepIx> = (from.0..=to.0).map(StepIx).collect();
            let open = |ix: &StepIx| step_in(state, *ix).is_some_and(|(_, s)| !s.state.is_over());
            let wanted: Vec<StepIx> = wanted.into_iter().filter(open).collect();
            if steps.iter().map(|(ix, _)| *ix).collect::<Vec<_>>() != wanted {
                return Err(Refusal::ShownChanged);
            }
            Ok(vec![Body::Shown { asked, steps }])
        }
        Command::Begin { step, preview } => begin(state, step, &preview, asker),
        Command::Act { attempt, acted } => {
            held(state, asker)?;
            let open = state.open_attempts().any(|a| a.id == attempt && a.acted.is_none() && a.epoch == state.epoch);
            if open { Ok(vec![Body::Acted { attempt, acted }]) } else { Err(Refusal::NoAttempt(attempt)) }
        }
        Command::Progress { attempt, what } => {
            held(state, asker)?;
            let open = state.open_attempts().find(|a| a.id == attempt && a.epoch == state.epoch);
            let open = open.ok_or(Refusal::NoAttempt(attempt))?;
            let news = is_news(open, &what, asker.now);
            Ok(if news { vec![Body::Progress { attempt, what }] } else { Vec::new() })
        }
        Command::End { attempt, resolution } => {
            held(state, asker)?;
            let newest = step_in(state, attempt.step).and_then(|(_, s)| s.attempts.last());
            let ends = newest.is_some_and(|a| {
                a.id == attempt && a.end.as_ref().is_none_or(|(r, ..)| r.outcome == Outcome::Indeterminate)
            });
            // What was already true is recorded by `Begin`, and only there.
            let honest = resolution.outcome != Outcome::AlreadyTrue;
            if ends && honest {
                Ok(vec![Body::Outcome { attempt, resolution }])
            } else {
                Err(Refusal::NoAttempt(attempt))
            }
        }
        Command::Settle => {
            held(state, asker)?;
            let lost = state.open_attempts().filter(|a| a.epoch < state.epoch);
            Ok(lost.map(|a| Body::Outcome { attempt: a.id, resolution: lost_by_its_runner(a) }).collect())
        }
        Command::Disarm { why } => {
            held(state, asker)?;
            let given =
                state.approval.as_ref().ok_or_else(|| Refusal::NotApproved(state.next_step().unwrap_or_default()))?;
            Ok(vec![Body::Disarmed { approval: given.seq, why }])
        }
        Command::Close => {
            held(state, asker)?;
            idle(state)?;
            match (&state.aborting, state.next_step()) {
                (Some(reason), _) => Ok(vec![Body::Closed(Closing::Aborted { reason: reason.clone() })]),
                (None, None) => Ok(vec![Body::Closed(Closing::Completed)]),
                (None, Some(step)) => Err(Refusal::NotOver(step)),
            }
        }
    }
}

/// Whether the journal keeps how far an attempt is: other words, and not soon after the last ones. The longer it lasts the
/// rarer, so that a day of it is fewer than four hundred entries.
fn is_news(attempt: &super::Attempt, what: &SafeText, now: Now) -> bool {
    let lasted = now.since(attempt.began);
    let rest = MOST_OFTEN.max(lasted / RARER);
    match &attempt.progress {
        None => lasted >= MOST_OFTEN,
        Some((said, at)) => said != what && now.since(*at) >= rest,
    }
}

/// What is known of an attempt whose runner is gone: what it left is kept.
fn lost_by_its_runner(attempt: &super::Attempt) -> Resolution {
    let (why, left) = match &attempt.acted {
        None => ("its runner is gone; whether it acted is not known", None),
        Some((Acted::Returned { left, .. }, _)) => ("its runner is gone after the call came back", Some(left)),
        Some((Acted::Unclear { left, .. }, _)) => ("its runner is gone while it looked", Some(left)),
        Some((Acted::Failed { left, .. }, _)) => ("its runner is gone after the call failed", Some(left)),
        Some((Acted::Refused { .. } | Acted::NotSent { .. }, _)) => ("its runner is gone after it was refused", None),
    };
    Resolution {
        outcome: Outcome::Indeterminate,
        why: why.into(),
        left: left.map(|l| (**l).clone()).unwrap_or_default(),
    }
}

pub(super) fn said(text: &str) -> Result<SafeText, Refusal> {
    let text = SafeText::new(text.trim());
    if text.as_str().is_empty() { Err(Refusal::NoReason) } else { Ok(text) }
}

fn held(state: &RunState, asker: Asker<'_>) -> Result<(), Refusal> {
    if state.held && asker.epoch == Some(state.epoch) { Ok(()) } else { Err(Refusal::NotHeld) }
}

/// Nothing is in hand.
fn idle(state: &RunState) -> Result<(), Refusal> {
    match state.open_attempts().next() {
        Some(a) => Err(Refusal::InHand(a.id.step)),
        None => Ok(()),
    }
}

/// What the person wants to see begins at the step that is next, and cuts no group.
fn ask(state: &RunState, from: StepIx, to: StepIx) -> Result<Vec<Body>, Refusal> {
    if let Some(reason) = &state.aborting {
        return Err(Refusal::Ending(reason.clone()));
    }
    idle(state)?;
    let next = state.next_step().ok_or(Refusal::NoStep(from))?;
    if from != next {
        return Err(if from > next { Refusal::NotYet(next) } else { Refusal::NoStep(from) });
    }
    if to < from || to.place() >= state.steps.len() {
        return Err(Refusal::NoStep(to));
    }
    let to = (*state.opened.runbook.beside(to).end()).max(to);
    if state.passes_over(to) {
        return Err(Refusal::NoStep(to));
    }
    Ok(vec![Body::Asked { from, to }])
}

fn approve(
    state: &RunState,
    shown: u64,
    risks: &[(StepIx, String, String)],
    waived: &[(StepIx, String, String)],
    typed: &str,
    asker: Asker<'_>,
) -> Result<Vec<Body>, Refusal> {
    if let Some(reason) = &state.aborting {
        return Err(Refusal::Ending(reason.clone()));
    }
    idle(state)?;
    let Some(known) = state.shown.as_ref().filter(|s| s.seq == shown) else { return Err(Refusal::ShownChanged) };
    if state.next_step() != known.steps.first().map(|(ix, _)| *ix) {
        return Err(Refusal::ShownChanged);
    }
    approval(&state.opened.runbook, known, risks, waived, typed, asker).map(|a| vec![Body::Approved(a)])
}

/// Whether an approval is too old, or of another boot of this machine.
fn expired(given: &Given, asker: Asker<'_>) -> bool {
    let earlier = given.boot != *asker.boot || asker.now.boot < given.at.boot;
    earlier || asker.now.since(given.at) > given.approval.lasts.0
}

/// The runner's last look between a durable intent and the act: `state` and `preview` as just read again. The approval of
/// that intent must hold still, unexpired, and so must everything that it is bound to.
///
/// # Errors
/// Why the attempt must end as `NotStarted`.
pub fn may_act(state: &RunState, attempt: AttemptId, preview: &Preview, asker: Asker<'_>) -> Result<(), Vec<SafeText>> {
    let one = |why: &dyn std::fmt::Display| vec![SafeText::new(&why.to_string())];
    held(state, asker).map_err(|r| one(&r))?;
    if let Some(reason) = &state.aborting {
        return Err(one(&Refusal::Ending(reason.clone())));
    }
    let open = state.open_attempts().find(|a| a.id == attempt).ok_or_else(|| one(&Refusal::NoAttempt(attempt)))?;
    let given = state.approval.as_ref().filter(|g| g.seq == open.approval);
    let given = given.ok_or_else(|| one(&Refusal::NotApproved(attempt.step)))?;
    if expired(given, asker) {
        return Err(one(&Refusal::Expired));
    }
    let still = holds_still(&given.approval, attempt.step, preview, &state.opened.runbook);
    still.map_err(|all| all.iter().map(|c| SafeText::new(&c.to_string())).collect())
}

/// Step `step` is about to act. Nothing to do is an outcome by itself; what changed ends the approval.
fn begin(state: &RunState, step: StepIx, preview: &Preview, asker: Asker<'_>) -> Result<Vec<Body>, Refusal> {
    held(state, asker)?;
    if let Some(reason) = &state.aborting {
        return Err(Refusal::Ending(reason.clone()));
    }
    let Some(given) = state.approval.as_ref().filter(|g| g.approval.covers(step)) else {
        return Err(Refusal::NotApproved(step));
    };
    if expired(given, asker) {
        return Err(Refusal::Expired);
    }
    let runbook = &state.opened.runbook;
    // The runner's own look at the approval: whoever wrote it into the journal may have decided by other rules.
    if let Err(why) = sound(given, runbook) {
        return Ok(vec![Body::Disarmed { approval: given.seq, why: vec![SafeText::new(&why.to_string())] }]);
    }
    let next = state.next_step().ok_or(Refusal::NoStep(step))?;
    let beside = runbook.beside(step);
    if next < *beside.start() {
        return Err(Refusal::NotYet(next));
    }
    // What an earlier tenure left open is settled before anything is begun, even beside it.
    if let Some(other) = state.open_attempts().find(|a| !beside.contains(&a.id.step) || a.epoch < state.epoch) {
        return Err(Refusal::InHand(other.id.step));
    }
    let Some((_, status)) = step_in(state, step) else { return Err(Refusal::NoStep(step)) };
    if status.state.is_over() || status.attempts.last().is_some_and(|a| a.end.is_none()) {
        return Err(Refusal::NoStep(step));
    }
    let newest = status.attempts.last().and_then(|a| a.end.as_ref()).map(|(.., seq)| *seq);
    if newest.is_some_and(|end| given.seq <= end) || status.attempts.iter().any(|a| a.approval == given.seq) {
        return Err(Refusal::Used(step));
    }
    let nth = u16::try_from(status.attempts.len()).unwrap_or(u16::MAX).saturating_add(1);
    let attempt = AttemptId { step, nth };
    let wrong_target = preview.conditions.iter().any(|c| c.class == Class::Identity && c.held != Held::Holds);
    if preview.already == Held::Holds && !wrong_target {
        let why = SafeText::new(&format!("{}: {}", preview.target, preview.role));
        let resolution = Resolution { outcome: Outcome::AlreadyTrue, why, left: preview.left.clone() };
        return Ok(vec![Body::Outcome { attempt, resolution }]);
    }
    match holds_still(&given.approval, step, preview, runbook) {
        Ok(()) => Ok(vec![Body::Intent { attempt, approval: given.seq, identity: preview.identity.clone() }]),
        Err(changed) => {
            let why = changed.iter().map(|c: &Changed| SafeText::new(&format!("step {step}: {c}"))).collect();
            Ok(vec![Body::Disarmed { approval: given.seq, why }])
        }
    }
}
