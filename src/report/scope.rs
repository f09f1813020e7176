//! A report about some areas only.

use std::sync::Arc;

use crate::plan::{Area, Plan};
use crate::readiness::{AreaStatus, PlanStatus, Verdict, worst};

/// The plan with the probes and requirements of these areas only, so that only those are looked at; as it is where
/// `areas` is empty. `None` where the plan neither requires nor probes any of them: there is nothing to judge.
#[must_use]
pub fn restrict(plan: &Arc<Plan>, areas: &[Area]) -> Option<Arc<Plan>> {
    if areas.is_empty() {
        return Some(Arc::clone(plan));
    }
    let mut part = Plan::clone(plan);
    part.probes.retain(|p| areas.contains(&p.area));
    part.requires.retain(|a| areas.contains(a));
    // A runbook asks for more than one area.
    part.runbooks.clear();
    (!part.probes.is_empty() || !part.requires.is_empty()).then(|| Arc::new(part))
}

/// The status with the findings and columns of these areas only, and the readiness that they roll up to; as it is where
/// `areas` is empty. What is left of nothing is `Unknown`.
#[must_use]
pub fn within(status: &PlanStatus, areas: &[Area]) -> PlanStatus {
    let mut part = status.clone();
    if areas.is_empty() {
        return part;
    }
    part.findings.retain(|f| areas.contains(&f.area));
    for column in &mut part.areas {
        if !areas.contains(&column.area) {
            *column = AreaStatus { area: column.area, verdict: None };
        }
    }
    part.readiness = worst(part.areas.iter().filter_map(|a| a.verdict)).unwrap_or(Verdict::Unknown);
    part
}
