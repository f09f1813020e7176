//! What is remembered beyond this session.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::plan::{Key, Now, PlanId, ProbeId, SafeText, SiteId};
use crate::readiness::{LsnClock, LsnSample, Situation, Verdict};

/// One thing to remember.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Memory {
    /// Where a primary was.
    Sample {
        /// The probe that saw it.
        probe: ProbeId,
        /// The cluster's system identifier.
        system: SafeText,
        /// Its timeline.
        timeline: i64,
        /// The observer's boot.
        boot: SafeText,
        /// The sample.
        sample: LsnSample,
    },
    /// The site that takes writes.
    Active {
        /// The plan.
        plan: PlanId,
        /// The site.
        site: SiteId,
        /// When it was asked.
        at: Now,
        /// The observer's boot.
        boot: SafeText,
    },
    /// A verdict or a situation that changed.
    Change(Change),
    /// One point of a chart.
    Point {
        /// What is charted.
        key: Key,
        /// When it was asked.
        at: Now,
        /// The value, in the signal's unit; spans in seconds.
        value: f64,
    },
}

/// A change that the timeline shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The plan.
    pub plan: PlanId,
    /// When it was judged.
    pub at: Now,
    /// What it was; `None` for the first judgement of a session.
    pub from: Option<Verdict>,
    /// What it is.
    pub to: Verdict,
    /// The situation that goes with it.
    pub situation: Situation,
    /// The worst finding's sentence; empty when all is ready.
    pub why: SafeText,
}

/// What was remembered, read back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Where primaries were.
    pub clocks: Vec<(ProbeId, LsnClock)>,
    /// Where each plan was last seen to take writes, and when by the wall clock; with the boot that saw it.
    pub active: HashMap<PlanId, (SiteId, Now, SafeText)>,
    /// Past changes, oldest first.
    pub changes: Vec<Change>,
    /// Past points, oldest first.
    pub series: Vec<(Key, Vec<(Now, f64)>)>,
}
