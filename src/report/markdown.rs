//! The report for a ticket, a chat or a wiki page: Markdown with a table (GitHub's flavour).

use crate::plan::{Now, Subject};
use crate::readiness::{Finding, PlanStatus, Verdict};

use super::text::{difference, situation};
use super::{PRACTICE, PlanReport, Report, at_least, bound, glyph, old, place_name};

/// The report as Markdown: a table of the plans, worst first, then what is not ready of each. With `quiet`, plans that are
/// ready are left out of the table.
#[must_use]
pub fn markdown(report: &Report, quiet: bool) -> String {
    let areas: Vec<&str> = report.areas.iter().map(|a| a.name()).collect();
    let only = if areas.is_empty() { String::new() } else { format!(", {} only", areas.join(", ")) };
    let by =
        if report.machine.is_empty() { String::new() } else { format!(", seen from {}", escaped(&report.machine)) };
    let at = report.at.wall.format("%Y-%m-%d %H:%M:%SZ");
    let practice = if report.practice() { format!("\n**{PRACTICE}**\n") } else { String::new() };
    let mut out = format!("# Readiness: {}{only}\n{practice}\n{at}{by}\n", report.verdict());
    let shown: Vec<&PlanReport> =
        report.worst_first().into_iter().filter(|p| !quiet || p.status.readiness != Verdict::Ready).collect();
    if shown.is_empty() {
        return out;
    }
    out.push_str(
        "\n| plan | readiness | active | RPO now / goal | RTO now / goal | why |\n|---|---|---|---|---|---|\n",
    );
    for plan in &shown {
        out.push_str(&row(&plan.status));
    }
    for plan in shown {
        section(&mut out, plan, report.at);
    }
    out
}

fn row(status: &PlanStatus) -> String {
    let loss = status.exposure().map_or_else(|| "-".to_owned(), |e| format!("{} / {}", bound(e), e.goal));
    let why = match status.findings.first() {
        Some(worst) if worst.verdict != Verdict::Ready => worst.sentence.as_str(),
        Some(_) | None => "",
    };
    format!(
        "| {} | {} | {} | {} | {} / {} | {} |\n",
        escaped(status.plan.id.as_str()),
        signed(status.readiness),
        escaped(&place_name(&status.active.database)),
        escaped(&loss),
        escaped(&at_least(&status.estimate)),
        status.estimate.goal,
        escaped(why),
    )
}

/// What is not ready of a plan, what is going on, what changed; nothing where there is nothing of it.
fn section(out: &mut String, plan: &PlanReport, now: Now) {
    let status = &plan.status;
    let mut lines: Vec<String> = situation(status, now).iter().map(|l| format!("- **{}**", escaped(l))).collect();
    for finding in status.findings.iter().filter(|f| f.verdict != Verdict::Ready) {
        lines.push(item(status, finding, now));
    }
    for (since, what) in plan.since().into_iter().flat_map(|s| plan.differences().into_iter().map(move |d| (s, d))) {
        let since = since.format("%Y-%m-%d %H:%MZ");
        lines.push(format!("- since {since}: {}", escaped(&difference(&status.plan.id, &what))));
    }
    for change in &plan.timeline {
        lines.push(format!("- {}", escaped(&super::text::change(change))));
    }
    if !lines.is_empty() {
        out.push_str(&format!("\n## {}\n\n{}\n", escaped(status.plan.id.as_str()), lines.join("\n")));
    }
}

fn item(status: &PlanStatus, finding: &Finding, now: Now) -> String {
    let probe = finding.probe.as_ref().map(|p| format!(" {}", p.name)).unwrap_or_default();
    let whole = finding.subject == Subject::whole();
    let subject = if whole { String::new() } else { format!(" {}", finding.subject) };
    let about = escaped(&format!("{}{probe}{subject}", finding.area));
    let age = old(status, finding, now).map(|age| format!(" ({} old)", age.coarse())).unwrap_or_default();
    let next = finding.next.as_ref().map(|n| format!(" **Next:** {}", escaped(n.as_str()))).unwrap_or_default();
    format!("- {} {about}: {}{age}.{next}", signed(finding.verdict), escaped(finding.sentence.as_str()))
}

fn signed(verdict: Verdict) -> String {
    format!("{} {verdict}", glyph(verdict, false))
}

/// Text that is shown as it is: what could be markup is escaped (CommonMark section 2.4), a remote's text included.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '~' | '#' | '@' | '&' | '!') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
