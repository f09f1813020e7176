//! Everything that a screen or a report needs, judged at one moment. Immutable and shared.

use std::sync::Arc;

use crate::plan::{Area, Now, Plan, SiteId};

use super::{Active, Estimate, Exposure, Finding, Gates, LossItem, Situation, Verdict};

/// One column of one plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AreaStatus {
    /// The area.
    pub area: Area,
    /// Its verdict; `None` where it is neither required nor probed (`-`).
    pub verdict: Option<Verdict>,
}

/// One plan, judged.
#[derive(Clone, Debug)]
pub struct PlanStatus {
    /// The plan as declared.
    pub plan: Arc<Plan>,
    /// When it was judged.
    pub at: Now,
    /// Its readiness.
    pub readiness: Verdict,
    /// Since when readiness is what it is, as far as this program saw.
    pub since: Option<Now>,
    /// The columns, in the board's order.
    pub areas: [AreaStatus; 5],
    /// Every finding, worst first.
    pub findings: Vec<Finding>,
    /// Where writes and traffic go.
    pub active: Active,
    /// The site that last was seen to take writes, and when.
    pub last_active: Option<(SiteId, Now)>,
    /// What is going on.
    pub situation: Situation,
    /// What could be started.
    pub gates: Gates,
    /// What would be lost, worst first.
    pub exposures: Vec<Exposure>,
    /// How long it would take.
    pub estimate: Estimate,
    /// What would not survive.
    pub losses: Vec<LossItem>,
}

impl PlanStatus {
    /// The finding that names the reason: the worst one. `None` when all is ready.
    #[must_use]
    pub fn why(&self) -> Option<&Finding> {
        self.findings.first().filter(|f| f.verdict != Verdict::Ready)
    }

    /// The verdict of one area.
    #[must_use]
    pub fn area(&self, area: Area) -> Option<Verdict> {
        self.areas.iter().find(|a| a.area == area).and_then(|a| a.verdict)
    }

    /// The worst exposure.
    #[must_use]
    pub fn exposure(&self) -> Option<&Exposure> {
        self.exposures.first()
    }
}

/// All plans at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Grows with every change.
    pub generation: u64,
    /// When it was made.
    pub at: Now,
    /// The plans, in the order of the configuration.
    pub plans: Vec<Arc<PlanStatus>>,
}
