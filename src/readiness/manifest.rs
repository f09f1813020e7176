//! The named things that would not survive a failover.

use serde::{Deserialize, Serialize};

use crate::plan::{Plan, SafeText};

use super::{Bound, Exposure, Finding};

/// One thing that would not survive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossItem {
    /// What.
    pub what: SafeText,
    /// Why.
    pub why: SafeText,
    /// True where it was observed, false where the plan declares it.
    pub observed: bool,
}

/// What would be lost: log that the standby never received, what rules found, and what the plan declares.
#[must_use]
pub fn manifest(plan: &Plan, exposures: &[Exposure], findings: &[Finding]) -> Vec<LossItem> {
    let mut items = Vec::new();
    for e in exposures {
        let missing = e.missing.filter(|b| b.0 > 0);
        let what = match (&e.bound, missing) {
            (Bound::Zero, _) => continue,
            (bound, Some(bytes)) => {
                let most = bound
                    .span()
                    .map_or_else(|| "for an unknown time".to_owned(), |s| format!("at most the last {}", s.upper()));
                let more = e
                    .at_last_rate
                    .filter(|r| *r > bytes)
                    .map(|r| format!("; about {r} at the last rate"))
                    .unwrap_or_default();
                format!("commits, {most}: at least {bytes} of log{more}")
            }
            (bound, None) => match bound.span() {
                Some(span) => format!("commits, at most of the last {}", span.upper()),
                None => "commits, for an unknown time".to_owned(),
            },
        };
        let why = match &e.bound {
            Bound::Unknown { why } => format!("{}: {why}", e.probe.name),
            Bound::ByContent { .. } => format!("{}: {} is restored, not replicated", e.probe.name, e.to),
            Bound::Zero | Bound::AtMost { .. } | Bound::ByLastCommit { .. } => {
                format!("{}: not proven to have reached {}", e.probe.name, e.to)
            }
        };
        items.push(LossItem { what: what.into(), why: why.into(), observed: true });
    }
    for f in findings {
        for what in &f.loses {
            items.push(LossItem { what: what.clone(), why: f.sentence.clone(), observed: true });
        }
    }
    items.extend(plan.losses.iter().map(|l| LossItem { what: l.what.clone(), why: l.why.clone(), observed: false }));
    items
}
