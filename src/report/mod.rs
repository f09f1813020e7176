//! From judged plans to text, JSON, Nagios, Prometheus and Markdown. Pure: what is known goes in, a text comes out.

use chrono::{DateTime, Utc};

use crate::app::{Change, Checked, Difference};
use crate::plan::{Area, Now, Span};
use crate::readiness::{ActiveSite, Bound, Estimate, Exposure, Finding, PlanStatus, Verdict, worst};

mod doctor;
mod json;
mod markdown;
mod nagios;
mod prometheus;
mod rehearsal;
mod run;
mod scope;
mod text;
mod wrap;

pub use doctor::{Examination, doctor, doctor_json};
pub use json::{SCHEMA, json};
pub use markdown::markdown;
pub use nagios::nagios;
pub use prometheus::prometheus;
pub use rehearsal::{commands, gate_code, rehearsal, rehearsal_json};
pub use run::{measured_rto, moments, run_json, run_markdown};
pub use scope::{restrict, within};
pub use text::{Style, glyph, text};

/// What is reported.
#[derive(Clone, Debug)]
pub struct Report {
    /// When it was judged.
    pub at: Now,
    /// The machine that looked; empty where it has no name.
    pub machine: String,
    /// The areas that were asked for; empty for all.
    pub areas: Vec<Area>,
    /// The plans.
    pub plans: Vec<PlanReport>,
}

/// One plan of a report.
#[derive(Clone, Debug)]
pub struct PlanReport {
    /// The plan, judged; within the areas that were asked for.
    pub status: PlanStatus,
    /// What the check found that this one is compared with, where there was one: the last, or the one of some time ago.
    pub before: Option<Checked>,
    /// What changed in the time that was asked for, oldest first; empty where none was.
    pub timeline: Vec<Change>,
}

impl Report {
    /// The worst readiness of all plans; `Unknown` where there is none.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        worst(self.plans.iter().map(|p| p.status.readiness)).unwrap_or(Verdict::Unknown)
    }

    /// The exit code that says it.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        exit_code(self.verdict())
    }

    /// Whether the sites are simulated: whatever is reported says so.
    #[must_use]
    pub fn practice(&self) -> bool {
        self.plans.iter().any(|p| p.status.plan.practice.is_some())
    }

    /// The plans, worst first; equals as they are configured.
    fn worst_first(&self) -> Vec<&PlanReport> {
        let mut plans: Vec<&PlanReport> = self.plans.iter().collect();
        let leads = |p: &PlanReport| usize::from(!p.status.situation.leads());
        plans.sort_by_key(|p| (leads(p), place(p.status.readiness)));
        plans
    }
}

impl PlanReport {
    /// When the check was made that this one is compared with.
    #[must_use]
    pub fn since(&self) -> Option<DateTime<Utc>> {
        self.before.as_ref().map(|b| b.at)
    }

    /// What changed since that check; empty where there was none.
    #[must_use]
    pub fn differences(&self) -> Vec<Difference> {
        self.before.as_ref().map(|b| Checked::of(&self.status).differences(b)).unwrap_or_default()
    }
}

/// What every report of a practice world begins with.
pub const PRACTICE: &str = "PRACTICE: the sites are simulated, nothing here is real";

/// The exit code of a verdict: 0 ready, 1 degraded, 2 not ready, 3 unknown. The one place where a verdict becomes a number;
/// the order of these numbers means nothing (for several plans, [`Report::verdict`] says which one counts).
#[must_use]
pub const fn exit_code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Ready => 0,
        Verdict::Degraded => 1,
        Verdict::NotReady => 2,
        Verdict::Unknown => 3,
    }
}

/// A verdict's place in the roll-up's order, 0 worst.
fn place(verdict: Verdict) -> usize {
    Verdict::ALL.iter().position(|v| *v == verdict).unwrap_or(0)
}

/// What one bound says, for people: `<= 1.2s`, `0`, `?`.
fn bound(exposure: &Exposure) -> String {
    match &exposure.bound {
        Bound::Zero => "0".to_owned(),
        Bound::Unknown { .. } => "?".to_owned(),
        Bound::AtMost { span } | Bound::ByLastCommit { span } | Bound::ByContent { span } => {
            format!("<= {span}{}", if exposure.growing { ", growing" } else { "" })
        }
    }
}

/// A lower bound of the time that a failover takes, for people: `>= 1m`; `?` where nothing of it was measured.
fn at_least(estimate: &Estimate) -> String {
    if estimate.parts.is_empty() { "?".to_owned() } else { format!(">= {}", estimate.at_least) }
}

/// Where something goes, for people.
fn place_name(site: &ActiveSite) -> String {
    match site {
        ActiveSite::At(site) => site.to_string(),
        ActiveSite::Several(sites) => sites.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and "),
        ActiveSite::Nowhere => "nowhere".to_owned(),
        ActiveSite::LastSeen(site) => format!("{site}, not answering"),
        ActiveSite::Unknown => "unknown".to_owned(),
        ActiveSite::NotProbed => "-".to_owned(),
    }
}

/// How old the oldest fact of a finding is, where that is more than one interval of its probe: such an age is shown.
fn old(status: &PlanStatus, finding: &Finding, now: Now) -> Option<Span> {
    let age = now.since(finding.oldest()?);
    let interval = match finding.probe.as_ref().and_then(|id| status.plan.probe(id)) {
        Some(probe) => probe.interval,
        None => status.plan.probes.iter().map(|p| p.interval).min().unwrap_or_default(),
    };
    (age > interval.0).then_some(Span(age))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_has_its_own_exit_code() {
        let codes: Vec<u8> = [Verdict::Ready, Verdict::Degraded, Verdict::NotReady, Verdict::Unknown]
            .into_iter()
            .map(exit_code)
            .collect();
        assert_eq!(codes, [0, 1, 2, 3]);
    }

    #[test]
    fn nothing_to_judge_is_unknown() {
        let now = Now { wall: chrono::DateTime::UNIX_EPOCH, boot: crate::plan::BootTime(std::time::Duration::ZERO) };
        let report = Report { at: now, machine: String::new(), areas: Vec::new(), plans: Vec::new() };
        assert_eq!(report.exit_code(), 3);
    }
}
