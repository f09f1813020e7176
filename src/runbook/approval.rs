//! What a person lets run, bound to exactly what they were shown.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::plan::{SafeText, Span};

use super::guard::{ASSUMED_FENCE, ids};
use super::{
    Amount, Class, Condition, ConditionId, Digest, Held, Identity, Preview, RetrySafety, Runbook, StepIx, StepPlan,
    StepRole, Verified, condition::worse,
};

/// How old what was shown may be when it is approved.
pub const MOST_AGE: Duration = Duration::from_secs(60);
/// How long an approval lasts, beside what its steps may take.
const LASTS: Duration = Duration::from_secs(300);

/// What one step was shown as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// The step.
    pub step: StepIx,
    /// The digest of what it would do, its options included.
    pub digest: Digest,
    /// What it would be done to.
    pub identity: Identity,
    /// What was read of each condition.
    pub conditions: Vec<(ConditionId, Class, Held)>,
}

impl Bound {
    /// What is bound of a preview.
    #[must_use]
    pub fn of(step: StepIx, preview: &Preview, runbook: &Runbook) -> Self {
        let options = runbook.step(step).map(|s| &s.options);
        let conditions = preview.conditions.iter().map(|c| (c.id.clone(), c.class, c.held)).collect();
        let digest = preview.digest(options.unwrap_or(&serde_json::Value::Null));
        Self { step, digest, identity: preview.identity.clone(), conditions }
    }
}

/// A risk that a person accepts, by its name, up to a ceiling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// The step.
    pub step: StepIx,
    /// The risk.
    pub condition: ConditionId,
    /// What they typed.
    pub typed: String,
    /// Up to how much.
    pub ceiling: Amount,
}

/// A piece of advice that a person does not follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiver {
    /// The step.
    pub step: StepIx,
    /// The advice.
    pub condition: ConditionId,
    /// Why.
    pub reason: SafeText,
}

/// A person lets a consecutive range of steps run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The first step.
    pub from: StepIx,
    /// The last.
    pub to: StepIx,
    /// Where in the journal stands what was shown.
    pub shown: u64,
    /// What was shown.
    pub bounds: Vec<Bound>,
    /// The risks that are accepted.
    pub consents: Vec<Consent>,
    /// The advice that is not followed.
    pub waived: Vec<Waiver>,
    /// What was typed.
    pub typed: String,
    /// For how long steps may be begun by it.
    pub lasts: Span,
}

impl Approval {
    /// Whether it covers a step.
    #[must_use]
    pub fn covers(&self, step: StepIx) -> bool {
        (self.from..=self.to).contains(&step)
    }

    /// How long an approval of these steps lasts: what they may take, and five minutes.
    #[must_use]
    pub fn lasting(runbook: &Runbook, range: &RangeInclusive<StepIx>) -> Span {
        let steps = runbook.places().filter(|ix| range.contains(ix)).filter_map(|ix| runbook.step(ix));
        Span(steps.fold(LASTS, |sum, step| sum.saturating_add(step.deadline.0)))
    }
}

/// What a person must type to let a range run, and what keeps them from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// What nobody can waive: the range cannot be approved.
    pub blocked: Vec<SafeText>,
    /// Each risk to accept: the step, the condition as shown.
    pub risks: Vec<(StepIx, Condition)>,
    /// Each piece of advice to follow or waive.
    pub advice: Vec<(StepIx, Condition)>,
    /// Before which step it stops by itself and asks again, and why: consent to what only an earlier step can tell is not
    /// given beforehand.
    pub stops: Option<(StepIx, SafeText)>,
    /// What names the target; the most dangerous step of the range says it.
    pub challenge: String,
}

/// What it takes to approve these steps as they were shown. A condition that earlier steps of the range make true is not
/// asked for now, but it must hold when its step acts.
#[must_use]
pub fn prompt(runbook: &Runbook, steps: &[(StepIx, Preview)]) -> Prompt {
    let mut out = Prompt::default();
    let first = steps.first().map(|(ix, _)| *ix);
    let mut danger = None;
    for (ix, preview) in steps {
        let Some(step) = runbook.step(*ix) else { continue };
        if danger.is_none_or(|d| step.danger > d) {
            danger = Some(step.danger);
            out.challenge.clone_from(&preview.challenge);
        }
        let awaited = |c: &&Condition| c.later && Some(*ix) != first;
        let open = preview.conditions.iter().filter(|c| c.held != Held::Holds && preview.asks(c));
        for condition in open.filter(|c| !awaited(c)) {
            match condition.class {
                Class::Identity => out.blocked.push(SafeText::new(&format!(
                    "step {ix}, {}: {} {}: {}",
                    step.name,
                    condition.what,
                    condition.held.word(),
                    condition.why
                ))),
                Class::Risk => out.risks.push((*ix, condition.clone())),
                Class::Advice => out.advice.push((*ix, condition.clone())),
            }
        }
    }
    out.stops = stops(runbook, steps, &out.risks);
    out
}

/// A fence that may turn out to be merely assumed, and a promotion over it in the same range: whether that is so is known only
/// once the fence is up, and then it wants words of its own.
fn stops(runbook: &Runbook, steps: &[(StepIx, Preview)], risks: &[(StepIx, Condition)]) -> Option<(StepIx, SafeText)> {
    let is = |ix: &StepIx, role| runbook.step(*ix).is_some_and(|s| s.role == role);
    let mut fences = steps.iter().filter(|(ix, preview)| is(ix, StepRole::Fence) && preview.already != Held::Holds);
    let (fence, _) = fences.find(|(ix, _)| {
        // A person's word proves nothing, nor does the end of a command that nobody looks behind.
        let unseen = |s: &StepPlan| s.verified == Verified::ByPerson || s.retry == RetrySafety::Never;
        let silent = risks.iter().any(|(at, risk)| at == ix && risk.consent == ASSUMED_FENCE);
        silent || runbook.step(*ix).is_some_and(unseen)
    })?;
    let later = |c: &Condition| c.id == ids::FENCE && c.later;
    let mut promotions = steps.iter().filter(|(ix, _)| ix > fence && is(ix, StepRole::Promote));
    let (promotion, _) = promotions.find(|(_, preview)| preview.conditions.iter().any(later))?;
    let name = runbook.step(*promotion).map(|s| s.name.as_str()).unwrap_or_default();
    let why = format!(
        "unless step {fence} proves its fence, the run stops before step {promotion}, {name}, and asks again: to promote over an \
         assumed fence has words of its own"
    );
    Some((*promotion, SafeText::new(&why)))
}

/// The ceiling that what was typed accepts a risk up to; nothing where it does not accept it. A risk with a size is
/// accepted by its words and a length of time that covers it: `lose 90s`. One whose size nobody knows by its words and
/// `unknown`. Any other by its words alone.
#[must_use]
pub fn accepted(risk: &Condition, typed: &str) -> Option<Amount> {
    let words = risk.consent.as_str();
    if words.is_empty() {
        return None;
    }
    let Some(amount) = risk.amount else {
        return (typed.trim() == words).then(Amount::default);
    };
    let rest = typed.trim().strip_prefix(words)?.strip_prefix(' ')?.trim();
    match amount.span {
        None => (rest == "unknown").then(Amount::default),
        Some(now) => {
            let most: Span = rest.parse().ok()?;
            (most >= now).then_some(Amount { span: Some(most), bytes: None })
        }
    }
}

/// Why an approval does not hold any more for a step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Changed {
    /// The approval does not cover the step at all.
    #[error("step {0} was not approved")]
    NotCovered(StepIx),
    /// It would do something else now.
    #[error("what would be done is not what was approved")]
    Action,
    /// It would be done to something else.
    #[error("the target is another one than was approved: {0}")]
    Identity(String),
    /// Nobody can say what it would be done to.
    #[error("what was approved could not be read again: {0}")]
    Unread(String),
    /// Something that must hold does not.
    #[error("{what}: {held}: {why}")]
    Condition {
        /// What must hold.
        what: SafeText,
        /// What it is now.
        held: &'static str,
        /// What was read.
        why: SafeText,
    },
    /// A risk is larger than what was accepted.
    #[error("{what}: larger than what was accepted: {why}")]
    Ceiling {
        /// The risk.
        what: SafeText,
        /// What was read.
        why: SafeText,
    },
}

/// Whether a step may act as approved, by what was just re-read: the same action on the same target, every identity
/// condition holds, every risk holds or is accepted up to a ceiling that covers it, every piece of advice holds or is
/// waived, and nothing is worse than when it was approved.
///
/// # Errors
/// Everything that changed.
pub fn holds_still(
    approval: &Approval,
    step: StepIx,
    preview: &Preview,
    runbook: &Runbook,
) -> Result<(), Vec<Changed>> {
    let Some(bound) = approval.bounds.iter().find(|b| b.step == step).filter(|_| approval.covers(step)) else {
        return Err(vec![Changed::NotCovered(step)]);
    };
    let now = Bound::of(step, preview, runbook);
    let mut changed = Vec::new();
    let unread = unread(&now.identity);
    // Of what was not read nobody can say what would be done; that it is something else would be a guess.
    if now.digest != bound.digest && unread.is_none() {
        changed.push(Changed::Action);
    }
    changed.extend(difference(&bound.identity, &now.identity).map(Changed::Identity));
    changed.extend(unread.map(Changed::Unread));
    for condition in &preview.conditions {
        let then = bound.conditions.iter().find(|(id, ..)| *id == condition.id).map(|(.., held)| *held);
        let got_worse = then.is_some_and(|then| worse(then, condition.held));
        let fails = || Changed::Condition {
            what: condition.what.clone(),
            held: condition.held.word(),
            why: condition.why.clone(),
        };
        if condition.held == Held::Holds {
            continue;
        }
        match condition.class {
            Class::Identity => changed.push(fails()),
            Class::Risk => {
                let consent = approval.consents.iter().find(|c| c.step == step && c.condition == condition.id);
                match consent {
                    None => changed.push(fails()),
                    Some(_) if got_worse => changed.push(fails()),
                    Some(c) if !condition.amount.unwrap_or_default().within(c.ceiling) => {
                        changed.push(Changed::Ceiling { what: condition.what.clone(), why: condition.why.clone() });
                    }
                    Some(_) => {}
                }
            }
            Class::Advice => {
                let waived = approval.waived.iter().any(|w| w.step == step && w.condition == condition.id);
                if !waived || got_worse {
                    changed.push(fails());
                }
            }
        }
    }
    // A condition that was shown and is not judged any more is not known to hold.
    for (id, ..) in &bound.conditions {
        if !preview.conditions.iter().any(|c| c.id == *id) {
            changed.push(Changed::Condition {
                what: SafeText::new(id),
                held: Held::Unknown.word(),
                why: SafeText::new("it was not read again"),
            });
        }
    }
    if changed.is_empty() { Ok(()) } else { Err(changed) }
}

/// The marks that were read, and differ, in words.
fn difference(then: &Identity, now: &Identity) -> Option<String> {
    let shown = |i: &Identity, k: &SafeText| i.0.get(k).map_or_else(|| "nothing".to_owned(), ToString::to_string);
    let names = then.0.keys().chain(now.0.keys().filter(|k| !then.0.contains_key(*k)));
    let read = names.filter(|k| then.0.get(*k) != now.0.get(*k) && now.why_unread(k).is_none());
    let all: Vec<String> = read.map(|k| format!("{k} was {}, is {}", shown(then, k), shown(now, k))).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// The marks that could not be read, in words: those of one reason together.
fn unread(now: &Identity) -> Option<String> {
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for mark in now.0.keys() {
        if let Some(why) = now.why_unread(mark) {
            by_reason.entry(why).or_default().push(mark.as_str());
        }
    }
    let all: Vec<String> = by_reason.into_iter().map(|(why, marks)| format!("{} ({why})", marks.join(", "))).collect();
    (!all.is_empty()).then(|| all.join("; "))
}
