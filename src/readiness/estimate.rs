//! How long a failover would take now.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::plan::{Bytes, Now, SafeText, Span};

use super::{Exposure, Facts, signals};

/// How long it would take now: a lower bound for as long as no runbook's steps have been measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    /// At least this.
    pub at_least: Span,
    /// What that is made of.
    pub parts: Vec<(SafeText, Span)>,
    /// What it takes as well, and nobody has measured.
    pub unmeasured: Vec<SafeText>,
    /// The objective.
    pub goal: Span,
}

/// Adds up what is known: the replay backlog at the measured replay rate, and the worst time to live.
#[must_use]
pub fn estimate(facts: &Facts<'_>, exposures: &[Exposure], replay_rate: Option<f64>, now: Now) -> Estimate {
    let mut parts = Vec::new();
    let mut unmeasured = Vec::new();
    let backlog = exposures.iter().filter_map(|e| e.backlog).max().unwrap_or(Bytes(0));
    match replay_rate {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        Some(rate) if rate > 0.0 => {
            let replay = Duration::try_from_secs_f64(backlog.0 as f64 / rate).unwrap_or(Duration::MAX);
            parts.push(("replay of what was received".into(), Span(replay)));
        }
        Some(_) | None if backlog.0 > 0 => {
            unmeasured.push(SafeText::new(&format!("replay of {backlog}: no rate measured yet")))
        }
        Some(_) | None => {}
    }
    let mut ttl = None;
    for probe in &facts.plan.probes {
        for lane in probe.lanes.iter().filter(|l| l.expects.contains(&signals::TTL)) {
            if let Some((seen, _)) = facts.span(probe, &lane.subject, &signals::TTL, now) {
                ttl = ttl.max(Some(seen));
            }
        }
    }
    if let Some(ttl) = ttl {
        parts.push(("resolvers forget the old answer".into(), Span(ttl)));
    }
    unmeasured.push("fencing, promotion and reconnection: no run measured yet".into());
    let at_least = Span(parts.iter().fold(Duration::ZERO, |sum, (_, s)| sum.saturating_add(s.0)));
    Estimate { at_least, parts, unmeasured, goal: facts.plan.objectives.rto }
}
