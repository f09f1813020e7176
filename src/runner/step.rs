//! One step: intent, act, observation, outcome.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock;
use crate::plan::{Now, SafeText};
use crate::runbook::{
    Acted, Asker, AttemptId, Body, Command, Danger, DurableEntry, Fence, Held, Observation, Outcome, Preview, Refusal,
    Resolution, RunState, StepIx, StepRole, Strength, Verified, Yield, admit, decide, may_act, step_in,
};

use super::Pace;
use super::book::{Book, Unwritten};
use super::hands::Hands;

/// How long the last look before an act waits for whoever is silent.
const BRIEF: Duration = Duration::from_secs(1);
/// How long the one look takes that is made though the step's time is over.
const LAST_LOOK: Duration = Duration::from_secs(5);

/// Everything that a step is carried out with.
pub(super) struct Bench {
    pub(super) book: Arc<Book>,
    pub(super) hands: Hands,
    pub(super) pace: Pace,
}

/// How a step's task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// The journal says how.
    Recorded,
    /// Nothing could be written, and nothing was done: it may be tried again a little later.
    Later,
}

impl Bench {
    /// Carries out one approved step, from its last preview to its outcome.
    pub(super) async fn carry_out(self: Arc<Self>, ix: StepIx) -> Done {
        self.hands.eyes().look(BRIEF).await;
        let Ok(state) = self.book.state().await else { return Done::Later };
        let preview = self.hands.preview(ix, &state).await;
        let begun = match self.book.record(Command::Begin { step: ix, preview: Box::new(preview) }).await {
            Ok(written) => written,
            Err(Unwritten::Refused(refusal)) => return self.disarm(ix, &refusal).await,
            Err(Unwritten::Failed(_) | Unwritten::Over) => return Done::Later,
        };
        for durable in begun.durable {
            if let Body::Intent { attempt, .. } = durable.entry().body {
                // From here on an outcome is owed.
                let resolution = self.attempt(durable, attempt, begun.state).await;
                if let Some(resolution) = resolution {
                    self.end(attempt, resolution).await;
                }
                break;
            }
        }
        Done::Recorded
    }

    /// An approval by which nothing can be begun holds nobody up.
    async fn disarm(&self, ix: StepIx, refusal: &Refusal) -> Done {
        let over =
            matches!(refusal, Refusal::Closed | Refusal::Ending(_) | Refusal::NotApproved(_) | Refusal::NoStep(_));
        if over {
            return Done::Recorded;
        }
        let why = vec![SafeText::new(&format!("step {ix}: {refusal}"))];
        match self.book.record(Command::Disarm { why }).await {
            Ok(_) | Err(Unwritten::Refused(_)) => Done::Recorded,
            Err(Unwritten::Failed(_) | Unwritten::Over) => Done::Later,
        }
    }

    async fn end(&self, attempt: AttemptId, resolution: Resolution) {
        tracing::info!(%attempt, outcome = resolution.outcome.words(), why = %resolution.why, "ended");
        if let Err(e) = self.book.persist(Command::End { attempt, resolution }).await {
            tracing::warn!(%attempt, "its end was not taken: {e:?}");
        }
    }

    /// Says how an attempt ended of which nobody could. Nothing hangs on it: it is said at the next look, if not now.
    async fn settle(&self, attempt: AttemptId, resolution: Resolution) {
        tracing::info!(%attempt, outcome = resolution.outcome.words(), why = %resolution.why, "settled");
        if let Err(e) = self.book.record(Command::End { attempt, resolution }).await {
            tracing::warn!(%attempt, "not settled: {e:?}");
        }
    }

    /// Acts on a durable intent, and looks for the effect. `None` where this tenure is over: whoever has the next one says
    /// what became of it.
    async fn attempt(&self, intent: DurableEntry, attempt: AttemptId, state: RunState) -> Option<Resolution> {
        let ix = attempt.step;
        let began = clock::now();
        let limit = step_in(&state, ix).map_or(Duration::ZERO, |(step, _)| step.deadline.0);
        let deadline = Instant::now() + limit;
        let preview = self.hands.preview(ix, &state).await;
        // Whoever took it back until now is heard.
        let state = match self.book.state().await {
            Ok(state) => state,
            Err(e) => return Some(not_started(&format!("the journal cannot be read: {e}"))),
        };
        if let Some(why) = self.keeps(attempt, &preview, &state) {
            return Some(not_started(&why));
        }
        let Some(permission) = admit(intent, self.book.held().tenure(), &state) else {
            return Some(not_started("it was not admitted: the run has moved on"));
        };
        tracing::info!(%attempt, target = %preview.target, "acts");
        let acted = self.hands.act(permission, &state, deadline).await;
        match self.book.persist(Command::Act { attempt, acted: acted.clone() }).await {
            // It may be there already: a commit that was said to have failed and had not.
            Ok(_) | Err(Unwritten::Refused(_)) => {}
            Err(Unwritten::Failed(_) | Unwritten::Over) => return None,
        }
        Some(self.look_for(attempt, &acted, began, limit).await)
    }

    /// What keeps a step from acting now, though its intent is on disk.
    fn keeps(&self, attempt: AttemptId, preview: &Preview, state: &RunState) -> Option<String> {
        if self.book.must_rest() {
            return Some("the outcome of another step is not on disk yet".to_owned());
        }
        // What only looks may see at last what it looks for: that is its success, and nobody else's doing.
        let changes = step_in(state, attempt.step).is_none_or(|(step, _)| step.danger > Danger::None);
        if changes && preview.already == Held::Holds {
            return Some("its effect is there, and was not a moment ago: somebody else did it".to_owned());
        }
        let epoch = Some(self.book.held().tenure().epoch());
        let asker = Asker { now: clock::now(), boot: self.book.boot(), epoch };
        let why = may_act(state, attempt, preview, asker).err()?;
        Some(why.iter().map(SafeText::as_str).collect::<Vec<_>>().join("; "))
    }

    /// Looks for the effect until it is there, or the step's time is over.
    async fn look_for(&self, attempt: AttemptId, acted: &Acted, began: Now, limit: Duration) -> Resolution {
        let ix = attempt.step;
        // A machine that slept has less time left than a timer says.
        let rest = || limit.saturating_sub(clock::now().since(began));
        let mut last: Option<Observation> = None;
        loop {
            let Ok(state) = self.book.state().await else {
                tokio::time::sleep(self.pace.look).await;
                if rest().is_zero() || self.book.is_over() {
                    return judged(acted, last.as_ref(), "the journal cannot be read");
                }
                continue;
            };
            let Some((step, status)) = step_in(&state, ix) else { return judged(acted, None, "there is no such step") };
            let by_person = step.verified == Verified::ByPerson;
            if by_person {
                if let Some((done, words, _)) = &status.confirmed {
                    return said(step.role, *done, words, left_of(acted));
                }
            } else {
                let over = rest().is_zero();
                let observation = self.hands.observe(ix, &state, if over { LAST_LOOK } else { rest() }).await;
                if observation.held == Held::Holds {
                    let left = merged(left_of(acted), observation.left);
                    return Resolution { outcome: Outcome::Succeeded, why: observation.why, left };
                }
                let waits = observation.waits.clone();
                let over = over || observation.over || acted.is_over();
                last = Some(observation);
                if over {
                    return judged(acted, last.as_ref(), "");
                }
                self.tell(attempt, &state, waits).await;
            }
            // What changes nothing, or waits for a person, is not waited for by somebody who wants the end.
            if state.aborting.is_some() && (by_person || step.danger == Danger::None) {
                return indeterminate("the run was ended before its effect was seen", left_of(acted));
            }
            if by_person && rest().is_zero() {
                return indeterminate("nobody said in time whether it was done", left_of(acted));
            }
            tokio::time::sleep(self.pace.look.min(rest())).await;
        }
    }

    /// Says how far an attempt is, where that is news. Nothing hangs on it: where it cannot be written, nobody misses it.
    async fn tell(&self, attempt: AttemptId, state: &RunState, waits: Option<SafeText>) {
        let Some(what) = waits else { return };
        let epoch = Some(self.book.held().tenure().epoch());
        let asker = Asker { now: clock::now(), boot: self.book.boot(), epoch };
        let command = Command::Progress { attempt, what };
        // By the run as it was just read: a journal that is to hear nothing is not asked.
        let news = decide(state, command.clone(), asker).is_ok_and(|bodies| !bodies.is_empty());
        if news && let Err(e) = self.book.record(command).await {
            tracing::info!(%attempt, "how far it is was not kept: {e:?}");
        }
    }

    /// Looks again and again for the effect of an attempt of which nobody can say how it ended, until it is there, or a
    /// person says so, or another attempt was begun. Acts never.
    pub(super) async fn keep_looking(self: Arc<Self>, attempt: AttemptId) {
        let ix = attempt.step;
        loop {
            if let Ok(state) = self.book.state().await {
                let Some((step, status)) = step_in(&state, ix) else { return };
                let newest = status.attempts.last().filter(|a| a.id == attempt);
                let Some(end) = newest.and_then(|a| a.end.as_ref()) else { return };
                if end.0.outcome != Outcome::Indeterminate || status.state.is_over() || state.closed.is_some() {
                    return;
                }
                if let Some((done, words, _)) = &status.confirmed {
                    self.settle(attempt, said(step.role, *done, words, end.0.left.clone())).await;
                } else if step.verified == Verified::ByLooking {
                    let observation = self.hands.observe(ix, &state, LAST_LOOK).await;
                    if observation.held == Held::Holds {
                        let left = merged(end.0.left.clone(), observation.left);
                        let why = observation.why;
                        self.settle(attempt, Resolution { outcome: Outcome::Succeeded, why, left }).await;
                    }
                }
            }
            tokio::time::sleep(self.pace.again).await;
        }
    }
}

fn not_started(why: &str) -> Resolution {
    Resolution { outcome: Outcome::NotStarted, why: SafeText::new(why), left: Yield::default() }
}

fn indeterminate(why: &str, left: Yield) -> Resolution {
    Resolution { outcome: Outcome::Indeterminate, why: SafeText::new(why), left }
}

/// A person's word for an effect that only a person sees. Of a fence it proves nothing.
fn said(role: StepRole, done: bool, words: &SafeText, mut left: Yield) -> Resolution {
    let outcome = if done { Outcome::Succeeded } else { Outcome::Failed };
    if role == StepRole::Fence && done && left.fence.is_none() {
        let why = SafeText::new(&format!("a person says so: {words}"));
        left.fence = Some(Fence { strength: Strength::Assumed, why });
    }
    Resolution { outcome, why: SafeText::new(&format!("said by a person: {words}")), left }
}

/// What an effect that was not seen in time means.
fn judged(acted: &Acted, last: Option<&Observation>, otherwise: &str) -> Resolution {
    let seen = last.map_or(Held::Unknown, |o| o.held);
    let why = last.map_or(otherwise, |o| o.why.as_str());
    let (outcome, why) = match (acted, seen) {
        (Acted::Refused { said }, _) => (Outcome::Failed, format!("refused: {said}")),
        (Acted::NotSent { why }, _) => (Outcome::Failed, format!("nothing was sent: {why}")),
        (Acted::Returned { .. }, Held::Fails) => (Outcome::Failed, format!("the effect is not there: {why}")),
        (Acted::Returned { .. }, Held::Unknown | Held::Holds) => {
            (Outcome::Indeterminate, format!("nobody can see whether the effect is there: {why}"))
        }
        (Acted::Failed { said, .. }, Held::Fails) if why.contains(said.as_str()) => {
            (Outcome::Failed, format!("it failed: {why}"))
        }
        (Acted::Failed { said, .. }, Held::Fails) => (Outcome::Failed, format!("it failed: {said}; {why}")),
        (Acted::Failed { said, .. }, Held::Unknown | Held::Holds) => {
            let why = format!("it failed ({said}), and nobody can see whether the effect is there: {why}");
            (Outcome::Indeterminate, why)
        }
        (Acted::Unclear { why: call, .. }, _) => {
            (Outcome::Indeterminate, format!("how the call ended is not known ({call}); last seen: {why}"))
        }
    };
    let left = last.map_or_else(|| left_of(acted), |o| merged(left_of(acted), o.left.clone()));
    Resolution { outcome, why: SafeText::new(&why), left }
}

fn left_of(acted: &Acted) -> Yield {
    acted.left().cloned().unwrap_or_default()
}

/// What the call left, with what was seen after it, which is newer.
fn merged(call: Yield, seen: Yield) -> Yield {
    let mut facts = call.facts;
    facts.extend(seen.facts.into_iter().filter(|f| !f.as_str().is_empty()));
    facts.dedup();
    Yield {
        fence: seen.fence.or(call.fence),
        loss: seen.loss.or(call.loss),
        kept: if seen.kept.is_null() { call.kept } else { seen.kept },
        facts,
        seen: seen.seen.or(call.seen),
    }
}
