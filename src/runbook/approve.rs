//! From a person's words to an approval, and back: whether an approval is the one that its words give.

use std::ops::RangeInclusive;

use crate::plan::Span;

use super::approval::accepted;
use super::decide::said;
use super::{
    Approval, Asker, Bound, Condition, Consent, Given, MOST_AGE, Refusal, Runbook, Shown, StepIx, Waiver, prompt,
};

/// The approval that these words give to what was shown.
pub(super) fn approval(
    runbook: &Runbook,
    known: &Shown,
    risks: &[(StepIx, String, String)],
    waived: &[(StepIx, String, String)],
    typed: &str,
    asker: Asker<'_>,
) -> Result<Approval, Refusal> {
    let age = asker.now.since(known.at);
    if known.boot != *asker.boot || age > MOST_AGE || asker.now.boot < known.at.boot {
        return Err(Refusal::ShownOld(Span(age)));
    }
    let (Some((from, _)), Some((to, _))) = (known.steps.first(), known.steps.last()) else {
        return Err(Refusal::ShownChanged);
    };
    let (from, to) = (*from, *to);
    let wanted = prompt(runbook, &known.steps);
    if let Some(why) = wanted.blocked.first() {
        return Err(Refusal::Blocked(why.clone()));
    }
    let words = |all: &[(StepIx, String, String)], step: StepIx, id: &str| {
        all.iter().find(|(s, c, _)| *s == step && c == id).map(|(.., t)| t.clone())
    };
    let mut consents = Vec::new();
    for (step, risk) in &wanted.risks {
        let typed = words(risks, *step, &risk.id).unwrap_or_default();
        let Some(ceiling) = accepted(risk, &typed) else {
            let expected = expected_words(risk);
            return Err(Refusal::NotAccepted { step: *step, what: risk.what.clone(), expected });
        };
        consents.push(Consent { step: *step, condition: risk.id.clone(), typed, ceiling });
    }
    let mut waivers = Vec::new();
    for (step, advice) in &wanted.advice {
        let reason = words(waived, *step, &advice.id).unwrap_or_default();
        let reason = said(&reason).map_err(|_| Refusal::NotWaived { step: *step, what: advice.what.clone() })?;
        waivers.push(Waiver { step: *step, condition: advice.id.clone(), reason });
    }
    if wanted.challenge.is_empty() || typed.trim() != wanted.challenge {
        return Err(Refusal::WrongWords(wanted.challenge));
    }
    let range: RangeInclusive<StepIx> = from..=to;
    let bounds = known.steps.iter().map(|(ix, preview)| Bound::of(*ix, preview, runbook)).collect();
    let lasts = Approval::lasting(runbook, &range);
    let typed = typed.trim().to_owned();
    Ok(Approval { from, to, shown: known.seq, bounds, consents, waived: waivers, typed, lasts })
}

/// Whether an approval is the one that its own words give to what was shown for it.
pub(super) fn sound(given: &Given, runbook: &Runbook) -> Result<(), Refusal> {
    let kept = &given.approval;
    let risks: Vec<_> =
        kept.consents.iter().map(|c| (c.step, c.condition.clone().into_owned(), c.typed.clone())).collect();
    let waived: Vec<_> =
        kept.waived.iter().map(|w| (w.step, w.condition.clone().into_owned(), w.reason.to_string())).collect();
    let asker = Asker { now: given.at, boot: &given.boot, epoch: None };
    let again = approval(runbook, &given.shown, &risks, &waived, &kept.typed, asker)?;
    if again == *kept { Ok(()) } else { Err(Refusal::ShownChanged) }
}

/// What a person would type to accept a risk as it is: with some room, so that it still covers a loss that grows.
#[must_use]
pub fn expected_words(risk: &Condition) -> String {
    match risk.amount {
        None => risk.consent.clone(),
        Some(amount) => match amount.span {
            None => format!("{} unknown", risk.consent),
            Some(span) => format!("{} {}", risk.consent, roomy(span)),
        },
    }
}

/// Half as much again, and a minute, in whole minutes: time to type it while the primary is away.
fn roomy(span: Span) -> Span {
    let secs = span.0.as_secs();
    Span::secs((secs + secs / 2 + 60).div_ceil(60) * 60)
}
