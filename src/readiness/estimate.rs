//! How long a failover would take now.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::plan::{Area, Bytes, Now, SafeText, SignalId, Span, Strategy};

use super::{Exposure, Facts, Value, signals};

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

/// Adds up what is known: the replay backlog at the measured replay rate, the worst time to live and, where nothing
/// replicates, restoring the newest backup.
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
    let replicates = facts.plan.probes.iter().any(|p| p.area == Area::Replication);
    if facts.plan.strategy == Strategy::BackupRestore || !replicates {
        match restore(facts, now) {
            Some(Ok(part)) => parts.push(part),
            Some(Err(why)) => unmeasured.push(why),
            None => {}
        }
    }
    unmeasured.push("fencing, promotion and reconnection: no run measured yet".into());
    let at_least = Span(parts.iter().fold(Duration::ZERO, |sum, (_, s)| sum.saturating_add(s.0)));
    Estimate { at_least, parts, unmeasured, goal: facts.plan.objectives.rto }
}

/// Restoring the newest backup: its size at the rate of the last restore that somebody measured. Of several, the longest:
/// they may be of different databases. `None` where no backup is looked at; what is not known, where that is not measured.
fn restore(facts: &Facts<'_>, now: Now) -> Option<Result<(SafeText, Span), SafeText>> {
    let mut longest: Option<(SafeText, Span)> = None;
    let mut unmeasured = None;
    for probe in &facts.plan.probes {
        for lane in probe.lanes.iter().filter(|l| l.expects.contains(&signals::BACKUP_SIZE)) {
            let read = |signal: SignalId| facts.value(probe, &lane.subject, &signal, now).map(|(v, _)| v);
            let Some(Value::Bytes(size)) = read(signals::BACKUP_SIZE) else { continue };
            let what = format!("restore of {size} of {}", probe.id.name);
            match read(signals::RESTORE_RATE) {
                #[expect(clippy::cast_precision_loss, reason = "an estimate")]
                Some(Value::Number(rate)) if *rate > 0.0 => {
                    let took = Duration::try_from_secs_f64(size.0 as f64 / rate).unwrap_or(Duration::MAX);
                    if longest.as_ref().is_none_or(|(_, l)| l.0 < took) {
                        longest = Some((format!("{what}, as fast as the last one").into(), Span(took)));
                    }
                }
                Some(_) | None => unmeasured = Some(format!("{what}: no restore measured yet").into()),
            }
        }
    }
    longest.map(Ok).or(unmeasured.map(Err))
}
