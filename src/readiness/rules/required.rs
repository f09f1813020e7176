//! Every area that the plan requires has a probe.

use crate::plan::{Plan, ProbeDecl, RuleId, Subject, Weight};
use crate::readiness::{Finding, Verdict};

const ID: RuleId = RuleId::new("required");

/// One finding for each required area without a probe that counts.
#[must_use]
pub(in crate::readiness) fn required(plan: &Plan) -> Vec<Finding> {
    let counts = |p: &ProbeDecl| p.weight == Weight::Full;
    let missing = plan.requires.iter().filter(|area| !plan.probes.iter().any(|p| p.area == **area && counts(p)));
    missing
        .map(|area| {
            let advised = plan.probes.iter().any(|p| p.area == *area);
            let sentence = if advised {
                format!("{area} is required and has probes of weight advice alone: not configured")
            } else {
                format!("{area} is required and has no probe: not configured")
            };
            Finding::new(ID, *area, Subject::whole(), Verdict::Unknown, "not-configured", &sentence)
                .next(&format!("add a probe for {area}, or list what the plan requires: requires = [...]"))
        })
        .collect()
}
