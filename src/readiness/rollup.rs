//! From findings to one verdict.

use crate::plan::{Area, Plan, Weight};

use super::{Finding, Verdict};

/// The worst of some verdicts, in the order of a roll-up: `NotReady`, `Unknown`, `Degraded`, `Ready`. `None` where
/// there is nothing to roll up. (Exit codes are another order; see `report`.)
#[must_use]
pub fn worst(verdicts: impl IntoIterator<Item = Verdict>) -> Option<Verdict> {
    verdicts.into_iter().min_by_key(|v| badness(*v))
}

/// The place of a verdict in the roll-up's order; 0 is worst.
#[must_use]
pub(super) const fn badness(v: Verdict) -> u8 {
    match v {
        Verdict::NotReady => 0,
        Verdict::Unknown => 1,
        Verdict::Degraded => 2,
        Verdict::Ready => 3,
    }
}

/// An area's verdict: its worst finding; `Unknown` where the plan requires it and nothing was found; `None` where it is
/// neither required nor probed.
#[must_use]
pub fn area_verdict(plan: &Plan, area: Area, findings: &[Finding]) -> Option<Verdict> {
    let found = worst(findings.iter().filter(|f| f.area == area).map(|f| f.verdict));
    let probed = plan.probes.iter().any(|p| p.area == area);
    found.or(if probed || plan.requires(area) { Some(Verdict::Unknown) } else { None })
}

/// A plan's readiness: the worst of every area that is required or probed. A plan in which nothing is required or
/// probed is `Unknown`.
#[must_use]
pub fn plan_verdict(plan: &Plan, findings: &[Finding]) -> Verdict {
    worst(Area::ALL.into_iter().filter_map(|a| area_verdict(plan, a, findings))).unwrap_or(Verdict::Unknown)
}

/// Caps a finding of a probe whose weight is advice: it may say `Degraded`, never worse.
pub(super) fn cap(weight: Weight, finding: &mut Finding) {
    match (weight, finding.verdict) {
        (Weight::Advice, Verdict::NotReady | Verdict::Unknown) => finding.verdict = Verdict::Degraded,
        (Weight::Advice, Verdict::Degraded | Verdict::Ready) | (Weight::Full, _) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_never_rolls_up_to_ready() {
        use Verdict::{Degraded, NotReady, Ready, Unknown};
        assert_eq!(worst([Ready, Unknown]), Some(Unknown));
        assert_eq!(worst([Degraded, Unknown, Ready]), Some(Unknown));
        assert_eq!(worst([Unknown, NotReady]), Some(NotReady));
        assert_eq!(worst([Ready, Degraded]), Some(Degraded));
        assert_eq!(worst([]), None);
    }
}
