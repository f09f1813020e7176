//! The report for Nagios and what understands its plugins (Icinga, Naemon, checkmk, Sensu): monitoring-plugins
//! development guidelines, sections 2 and 6.
//!
//! The first line says the worst and what it is; after its `|` come the figures with their limits. The lines after it are
//! those of the text report.

use crate::readiness::Verdict;

use super::{PlanReport, Report, Style, text};

/// The word for a verdict: the one that its exit code means there.
const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ready => "OK",
        Verdict::Degraded => "WARNING",
        Verdict::NotReady => "CRITICAL",
        Verdict::Unknown => "UNKNOWN",
    }
}

/// The report as a plugin's output; a plugin exits as [`Report::exit_code`] says.
#[must_use]
pub fn nagios(report: &Report, quiet: bool) -> String {
    let practice = if report.practice() { "PRACTICE: " } else { "" };
    let mut out =
        format!("LIFEBOAT {} - {practice}{}{}", word(report.verdict()), scope(report), plain(&summary(report)));
    let figures: Vec<String> = counts(report).chain(report.plans.iter().flat_map(of_plan)).collect();
    out.push_str(&format!(" | {}\n", figures.join(" ")));
    let style = Style { width: None, colour: false, ascii: true, quiet };
    out.push_str(&plain(&text(report, style)));
    out
}

/// Which areas were looked at, where those are not all.
fn scope(report: &Report) -> String {
    let names: Vec<&str> = report.areas.iter().map(|a| a.name()).collect();
    if names.is_empty() { String::new() } else { format!("{} only: ", names.join(", ")) }
}

/// How many plans have which readiness, and the worst plan's worst finding.
fn summary(report: &Report) -> String {
    let count = |v| report.plans.iter().filter(|p| p.status.readiness == v).count();
    let counted = Verdict::ALL.into_iter().filter(|v| count(*v) > 0).map(|v| format!("{} {v}", count(v)));
    let counted: Vec<String> = counted.collect();
    let all = if counted.is_empty() { "no plan".to_owned() } else { counted.join(", ") };
    let worst = report.worst_first().into_iter().next().filter(|p| p.status.readiness != Verdict::Ready);
    let Some(worst) = worst else { return all };
    let status = &worst.status;
    let situation = if status.situation.leads() { format!("{}; ", status.situation.words()) } else { String::new() };
    let why = status.findings.first().map(|f| f.sentence.as_str()).unwrap_or_default();
    format!("{all}; {}: {situation}{why}", status.plan.id)
}

/// A `|` would begin the figures.
fn plain(text: &str) -> String {
    text.replace('|', "/")
}

fn counts(report: &Report) -> impl Iterator<Item = String> {
    Verdict::ALL.into_iter().map(|v| {
        let label = v.word().replace(' ', "_");
        format!(
            "{label}={};;;0;{}",
            report.plans.iter().filter(|p| p.status.readiness == v).count(),
            report.plans.len()
        )
    })
}

/// A plan's loss and time against its objectives, in seconds; `U` where nobody can say (guidelines, section 2.6).
fn of_plan(plan: &PlanReport) -> Vec<String> {
    let status = &plan.status;
    let label = |what: &str| format!("'{}_{what}'", status.plan.id.as_str().replace(['\'', '='], "_"));
    let mut all = Vec::new();
    if let Some(exposure) = status.exposure() {
        let goal = exposure.goal.0.as_secs_f64();
        let value = exposure.bound.span().map_or_else(|| "U".to_owned(), |s| format!("{:.3}s", s.0.as_secs_f64()));
        all.push(format!("{}={value};;{goal};0", label("rpo")));
    }
    if !status.estimate.parts.is_empty() {
        let (at_least, goal) = (status.estimate.at_least.0.as_secs_f64(), status.estimate.goal.0.as_secs_f64());
        all.push(format!("{}={at_least:.3}s;;{goal};0", label("rto_at_least")));
    }
    all
}
