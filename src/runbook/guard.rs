//! What must hold for a step beyond its own target: the fence before the promotion, the loss, the order of things.

use crate::plan::{Bytes, Now, SafeText, SiteId, Span};
use crate::readiness::{ActiveSite, Bearing, Bound as LossBound, PlanStatus, Situation};

use super::{
    Amount, Cause, Class, Condition, Held, Observation, RunState, RunbookKind, StepIx, StepPlan, StepRole, StepState,
    Strength,
};

/// Names of the conditions that any system's step may have.
pub mod ids {
    /// How sure it is that the old primary takes no writes.
    pub const FENCE: &str = "fence";
    /// Whether a fence that was put up before still holds.
    pub const FALLEN: &str = "fence-holds";
    /// What would be lost.
    pub const LOSS: &str = "loss";
    /// Whether two sites take writes.
    pub const SPLIT: &str = "split-brain";
    /// Whether the data is wrong, and would be carried along.
    pub const BAD_DATA: &str = "bad-data";
    /// Whether the site that takes over takes writes.
    pub const PROMOTED: &str = "promoted";
    /// What readiness says against a failover.
    pub const READY: &str = "ready";
    /// Whether the lock at the target is held.
    pub const ALONE: &str = "alone";
}

/// What a person types to accept that nobody may see the old primary stop.
pub const ASSUMED_FENCE: &str = "assumed fence";

/// The conditions that the run and the plan's status put on a step, beside those of its own target.
#[must_use]
pub fn guard(ix: StepIx, step: &StepPlan, state: &RunState, status: Option<&PlanStatus>, now: Now) -> Vec<Condition> {
    let drill = !state.opened.kind.is_real();
    let mut out = Vec::new();
    match step.role {
        StepRole::Promote if !drill => {
            out.push(fence(ix, step, state, status, now));
            out.push(loss(state, status, now));
            out.push(split(status, now));
            if state.opened.cause == Cause::BadData {
                let what = "the data to be promoted is good";
                let why = "the run was opened for bad data: replication has carried it to the standby";
                let condition = Condition::new(ids::BAD_DATA, Class::Risk, what, Held::Fails, &why, now);
                out.push(condition.accepted_by("promote bad data"));
            }
            out.extend(readiness(&state.opened.to, status, now));
        }
        StepRole::Traffic if !drill => {
            out.push(promoted(ix, state, status, now));
            out.extend(alone(state, status, now));
        }
        StepRole::Promote
        | StepRole::Traffic
        | StepRole::Fence
        | StepRole::Unfence
        | StepRole::Restore
        | StepRole::Verify
        | StepRole::Rejoin
        | StepRole::Notify
        | StepRole::Other => {}
    }
    out
}

/// Whether a step before this one, not over yet, is of that role.
#[must_use]
pub fn to_come(ix: StepIx, state: &RunState, role: StepRole) -> bool {
    let runbook = &state.opened.runbook;
    let before = runbook.places().take_while(|at| *at < ix);
    before
        .filter(|at| runbook.step(*at).is_some_and(|s| s.role == role))
        .any(|at| state.steps.get(at.place()).is_some_and(|s| !s.state.is_over()))
}

/// Whether the site that is left is seen to take writes, by the newest judgement.
fn writes(state: &RunState, status: &PlanStatus) -> bool {
    let from = &state.opened.from;
    match &status.active.database {
        ActiveSite::At(site) => site == from,
        ActiveSite::Several(sites) => sites.contains(from),
        ActiveSite::Nowhere | ActiveSite::LastSeen(_) | ActiveSite::Unknown | ActiveSite::NotProbed => false,
    }
}

fn fence(ix: StepIx, step: &StepPlan, state: &RunState, status: Option<&PlanStatus>, now: Now) -> Condition {
    let from = &state.opened.from;
    let what = format!("{from} is fenced: it takes no writes");
    let of = |class, held, why: &dyn std::fmt::Display| Condition::new(ids::FENCE, class, &what, held, why, now);
    let condition = |held, why: &dyn std::fmt::Display| of(Class::Risk, held, why);
    let writing = status.is_some_and(|s| writes(state, s));
    if let Some(again) = state.wrote_since_fence() {
        let since = again.wall.format("%H:%M:%SZ");
        // Once it was seen to write, what fenced it is refuted, whatever that was.
        return if writing || status.is_none() {
            of(Class::Identity, Held::Fails, &format!("it took writes again at {since}: stop it first"))
        } else {
            let why = format!("assumed: it took writes again at {since}, and is not seen to now");
            condition(Held::Unknown, &why).accepted_by(ASSUMED_FENCE)
        };
    }
    match state.fence() {
        Some(fence) => match fence.strength {
            Strength::Proven | Strength::Blocked => {
                condition(Held::Holds, &format!("{}: {}", fence.strength.word(), fence.why))
            }
            Strength::Assumed => {
                condition(Held::Unknown, &format!("assumed: {}", fence.why)).accepted_by(ASSUMED_FENCE)
            }
        },
        None if to_come(ix, state, StepRole::Fence) => {
            condition(Held::Unknown, &"the fence is a step before this one").accepted_by("no fence").later()
        }
        // A runbook that promotes without a fence says why; one whose fence was left out does not.
        None if writing && step.because.is_none() => {
            of(Class::Identity, Held::Fails, &"no step fenced it, and it takes writes now: stop it first")
        }
        None => condition(Held::Unknown, &"no step fenced it").accepted_by("no fence"),
    }
}

/// Traffic does not go to one of two sites that both take writes, once this run has seen the old one do so again, or where
/// nothing keeps its applications away.
fn alone(state: &RunState, status: Option<&PlanStatus>, now: Now) -> Option<Condition> {
    let again = state.wrote_since_fence().filter(|_| status.is_none_or(|s| writes(state, s)));
    if let Some(again) = again {
        let why =
            format!("{} took writes again at {}: stop it first", state.opened.from, again.wall.format("%H:%M:%SZ"));
        return Some(Condition::new(ids::SPLIT, Class::Identity, ONE_WRITER, Held::Fails, &why, now));
    }
    let split = matches!(status.map(|s| &s.situation), Some(Situation::SplitBrain { .. }));
    (split && state.fence_strength() != Some(Strength::Blocked)).then(|| self::split(status, now))
}

/// What is seen of a fence that was put up before, looked at anew: whether it holds still. What holds, or what nobody can
/// say now, stays as the fence itself was judged.
#[must_use]
pub fn fallen(state: &RunState, seen: &Observation) -> Option<Condition> {
    let what = format!("the fence of {} still holds", state.opened.from);
    (seen.held == Held::Fails).then(|| {
        let why = format!("{}: fence it again, or end the run", seen.why);
        Condition::new(ids::FALLEN, Class::Identity, &what, Held::Fails, &why, seen.at)
    })
}

/// The loss by the newest judgement, against the objective. A switchover loses nothing, or is none.
fn loss(state: &RunState, status: Option<&PlanStatus>, now: Now) -> Condition {
    let goal = if state.opened.kind == RunbookKind::Failover { state.opened.expected.rpo } else { Span::secs(0) };
    let what = "nothing is lost".to_owned();
    let condition = |held, why: &dyn std::fmt::Display, amount| {
        Condition::new(ids::LOSS, Class::Risk, &what, held, why, now).amounting(amount).accepted_by("lose")
    };
    let Some(status) = status else {
        return condition(Held::Unknown, &"the plan was not looked at", Amount::default());
    };
    let mine = status.exposures.iter().filter(|e| e.to == state.opened.to);
    let mut worst: Option<(Option<Span>, Option<Bytes>, SafeText)> = None;
    for exposure in mine {
        let (span, why) = match &exposure.bound {
            LossBound::Zero => (Some(Span::secs(0)), SafeText::new("every commit waits for it")),
            LossBound::Unknown { why } => (None, why.clone()),
            LossBound::AtMost { span } | LossBound::ByLastCommit { span } | LossBound::ByContent { span } => {
                let aged = Span(span.0.saturating_add(now.since(status.at)));
                let upper = aged.upper();
                let within = if upper <= goal { "within" } else { "beyond" };
                (Some(upper), SafeText::new(&format!("{}: <= {upper}, {within} {goal}", exposure.probe.name)))
            }
        };
        // Nothing is worse than not knowing.
        let is_worse = worst.as_ref().is_none_or(|(known, ..)| match (known, span) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(known), Some(span)) => span > *known,
        });
        if is_worse {
            worst = Some((span, exposure.missing, why));
        }
    }
    match worst {
        None => condition(Held::Unknown, &"no probe says what would be lost", Amount::default()),
        Some((None, bytes, why)) => condition(Held::Unknown, &why, Amount { span: None, bytes }),
        Some((Some(span), bytes, why)) => {
            let nothing = span.0.is_zero() || drained(state, bytes);
            condition(Held::of(nothing), &why, Amount { span: Some(span), bytes })
        }
    }
}

/// Whether the old primary was stopped by proof, and the standby holds all that it was last seen to have written: then
/// nothing can be lost, however long ago it was seen.
fn drained(state: &RunState, missing: Option<Bytes>) -> bool {
    let complete = state.loss().is_some_and(|l| l.missing == Some(Bytes(0)) && l.end);
    state.fence_strength() >= Some(Strength::Blocked) && complete && missing.is_none_or(|m| m.0 == 0)
}

/// What must be so of all sites.
const ONE_WRITER: &str = "no two sites take writes";

fn split(status: Option<&PlanStatus>, now: Now) -> Condition {
    let what = ONE_WRITER;
    match status.map(|s| &s.situation) {
        Some(Situation::SplitBrain { sites }) => {
            let sites: Vec<&str> = sites.iter().map(SiteId::as_str).collect();
            let why = format!("{} take writes: stop one of them first", sites.join(" and "));
            Condition::new(ids::SPLIT, Class::Identity, what, Held::Fails, &why, now)
        }
        Some(other) => Condition::new(ids::SPLIT, Class::Identity, what, Held::Holds, &other.words(), now),
        None => Condition::new(ids::SPLIT, Class::Risk, what, Held::Unknown, &"the plan was not looked at", now)
            .accepted_by("unseen"),
    }
}

/// Traffic goes only where writes are taken.
fn promoted(ix: StepIx, state: &RunState, status: Option<&PlanStatus>, now: Now) -> Condition {
    let to = &state.opened.to;
    let what = format!("{to} takes writes");
    let done = state.opened.runbook.places().any(|at| {
        let promotes =
            state.opened.runbook.step(at).is_some_and(|s| matches!(s.role, StepRole::Promote | StepRole::Restore));
        promotes && state.steps.get(at.place()).is_some_and(|s| matches!(s.state, StepState::Done(_)))
    });
    let seen = status.is_some_and(|s| match &s.active.database {
        ActiveSite::At(site) => site == to,
        ActiveSite::Several(_)
        | ActiveSite::Nowhere
        | ActiveSite::LastSeen(_)
        | ActiveSite::Unknown
        | ActiveSite::NotProbed => false,
    });
    let condition = |held, why: &str| {
        Condition::new(ids::PROMOTED, Class::Risk, &what, held, &why, now).accepted_by("traffic without a primary")
    };
    if done {
        condition(Held::Holds, "a step of this run promoted it")
    } else if seen {
        condition(Held::Holds, "it was seen to")
    } else if to_come(ix, state, StepRole::Promote) || to_come(ix, state, StepRole::Restore) {
        condition(Held::Unknown, "its promotion is a step before this one").later()
    } else {
        condition(Held::Unknown, "nothing proves it")
    }
}

/// What readiness holds against the site that would take over: what blocks is a risk with words of its own.
fn readiness(to: &SiteId, status: Option<&PlanStatus>, now: Now) -> Vec<Condition> {
    let Some(status) = status else { return Vec::new() };
    let about = status.findings.iter().filter(|f| f.subject.site.as_ref().is_none_or(|s| s == to));
    let mut blocks: Vec<&SafeText> = about
        .filter_map(|f| match &f.failover {
            Bearing::Blocks(what) => Some(what),
            Bearing::None | Bearing::Consent(_) => None,
        })
        .collect();
    blocks.dedup();
    if blocks.is_empty() {
        return vec![Condition::new(
            ids::READY,
            Class::Risk,
            "nothing speaks against this site",
            Held::Holds,
            &"",
            now,
        )];
    }
    let why = blocks.iter().map(|b| b.as_str()).collect::<Vec<_>>().join("; ");
    let condition = Condition::new(ids::READY, Class::Risk, "nothing speaks against this site", Held::Fails, &why, now);
    vec![condition.accepted_by("promote though not ready")]
}
