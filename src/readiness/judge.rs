//! From readings to a plan's whole status.

use std::sync::Arc;

use crate::plan::{Area, Now, Plan, Weight};

use super::rollup::{badness, cap};
use super::{
    AreaStatus, Facts, PlanStatus, Rule, active, area_verdict, estimate, exposure, gates, manifest, plan_verdict,
    rules, situation,
};

/// Judges one plan: the rules of the systems, then the rules that span them.
///
/// `replay_rate` is the measured replay rate of the standby in bytes a second, where there is one. `since` is left open:
/// only the owner of the state knows what was before.
#[must_use]
pub fn judge(
    plan: &Arc<Plan>,
    facts: &Facts<'_>,
    systems: &[&dyn Rule],
    replay_rate: Option<f64>,
    now: Now,
) -> PlanStatus {
    let mut findings = Vec::new();
    for rule in systems.iter().copied().chain(rules::READINGS.iter().copied()) {
        for about in rule.applies(plan) {
            findings.extend(rule.judge(facts, &about, now));
        }
    }
    let active = active(facts, now);
    let situation = situation(facts, &active, now);
    let exposures = exposure(facts, &active, &situation, &findings, now);
    findings.extend(rules::required(plan));
    findings.extend(rules::confirm(plan, now));
    findings.extend(rules::runbook(facts, now));
    // Before advice is capped: a copy that is broken does not count, whatever weight its probe has.
    findings.extend(rules::copies(plan, &findings, now));
    findings.extend(rules::exposure(plan, &exposures, &active, now));
    findings.extend(rules::situation(facts, &situation, &active, now));
    for finding in &mut findings {
        let weight = finding.probe.as_ref().and_then(|id| plan.probe(id)).map_or(Weight::Full, |p| p.weight);
        cap(weight, finding);
    }
    findings.sort_by(|a, b| badness(a.verdict).cmp(&badness(b.verdict)).then_with(|| order(a).cmp(&order(b))));
    // Kept until the next judgement, for every plan.
    findings.shrink_to_fit();
    let gates = gates(facts, &active, &situation, &exposures, &findings, now);
    let estimate = estimate(facts, &exposures, replay_rate, now);
    let losses = manifest(plan, &exposures, &findings);
    PlanStatus {
        plan: Arc::clone(plan),
        at: now,
        readiness: plan_verdict(plan, &findings),
        since: None,
        areas: Area::ALL.map(|area| AreaStatus { area, verdict: area_verdict(plan, area, &findings) }),
        findings,
        active,
        last_active: facts.last_active.cloned(),
        situation,
        gates,
        exposures,
        estimate,
        losses,
    }
}

/// Among equals: what spans probes first, then causes before what follows from them, then by area, then by name, so that the
/// order never flickers.
fn order(f: &super::Finding) -> (bool, bool, Area, &crate::plan::RuleId, &crate::plan::Subject) {
    (f.probe.is_some(), f.follows, f.area, &f.rule, &f.subject)
}
