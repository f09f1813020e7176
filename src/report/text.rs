//! The report for people, on a terminal or in a mail.

use crate::app::Difference;
use crate::plan::{Now, Subject};
use crate::readiness::{Finding, Gate, PlanStatus, Situation, Verdict};

use super::wrap::wrap;
use super::{PlanReport, Report, at_least, bound, old, place_name};

/// How a text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// The columns of the terminal; `None` writes each finding in one line.
    pub width: Option<usize>,
    /// With colour.
    pub colour: bool,
    /// With ASCII characters only, as far as they are this program's.
    pub ascii: bool,
    /// Only what is not ready.
    pub quiet: bool,
}

/// The sign that goes with a verdict's word; one cell wide.
#[must_use]
pub const fn glyph(verdict: Verdict, ascii: bool) -> &'static str {
    match (verdict, ascii) {
        (Verdict::Ready, false) => "●",
        (Verdict::Degraded, false) => "▲",
        (Verdict::NotReady, false) => "✖",
        (Verdict::Unknown, _) => "?",
        (Verdict::Ready, true) => "*",
        (Verdict::Degraded, true) => "!",
        (Verdict::NotReady, true) => "X",
    }
}

/// The report as text: plans worst first; for each a leading line, what is going on and what could be started where that
/// leads, then one line a finding, worst first, then what changed since the last check.
#[must_use]
pub fn text(report: &Report, style: Style) -> String {
    let mut out = Out { text: String::new(), style };
    for plan in report.worst_first() {
        if style.quiet && plan.status.readiness == Verdict::Ready {
            continue;
        }
        one(&mut out, plan, report.at, report.areas.is_empty());
    }
    out.text
}

struct Out {
    text: String,
    style: Style,
}

impl Out {
    /// One logical line, which begins with `verdict`'s glyph and word where there is one.
    fn line(&mut self, lead: &str, verdict: Option<Verdict>, rest: &str) {
        let signed = verdict.map(|v| format!("{} {v}", glyph(v, self.style.ascii))).unwrap_or_default();
        let whole = format!("{lead}{signed}{rest}");
        for (i, line) in wrap(&whole, self.style.width, lead.len() + 4).into_iter().enumerate() {
            match (verdict, line.strip_prefix(&format!("{lead}{signed}"))) {
                (Some(v), Some(rest)) if i == 0 && self.style.colour => {
                    self.text.push_str(&format!("{lead}{}{signed}\x1b[0m{rest}", colour(v)));
                }
                (Some(_) | None, _) => self.text.push_str(&line),
            }
            self.text.push('\n');
        }
    }
}

/// The colour of a verdict (ECMA-48 SGR): of the 16 that every terminal's palette makes readable.
const fn colour(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ready => "\x1b[32m",
        Verdict::Degraded => "\x1b[33m",
        Verdict::NotReady => "\x1b[1;31m",
        Verdict::Unknown => "\x1b[35m",
    }
}

fn one(out: &mut Out, plan: &PlanReport, now: Now, whole: bool) {
    let status = &plan.status;
    out.line("", Some(status.readiness), &lead(status, whole));
    if whole {
        going_on(out, status, now);
    }
    for finding in &status.findings {
        if !(out.style.quiet && finding.verdict == Verdict::Ready) {
            self::finding(out, status, finding, now);
        }
    }
    changed(out, plan);
}

/// What follows the readiness in a plan's leading line.
fn lead(status: &PlanStatus, whole: bool) -> String {
    let mut text = format!("  {}", status.plan.id);
    if !whole {
        return text;
    }
    let active = match (place_name(&status.active.database), place_name(&status.active.traffic)) {
        (database, traffic) if traffic == "-" || database == traffic => database,
        (database, traffic) if database == "-" => traffic,
        (database, traffic) => format!("{database}, traffic {traffic}"),
    };
    text.push_str(&format!("  active: {active}"));
    if let Some(exposure) = status.exposure() {
        text.push_str(&format!("  RPO now: {} (goal {})", bound(exposure), exposure.goal));
    }
    text.push_str(&format!("  RTO now: {} (goal {})", at_least(&status.estimate), status.estimate.goal));
    text
}

/// Situation and gates, where they lead.
fn going_on(out: &mut Out, status: &PlanStatus, now: Now) {
    match &status.situation {
        Situation::Starting | Situation::Normal => return,
        Situation::PrimaryUnreachable { since: Some(since), .. }
        | Situation::PrimaryUnseen { since: Some(since), .. }
        | Situation::PrimaryDown { since: Some(since), .. } => {
            let age = crate::plan::Span(now.since(*since)).coarse();
            out.line("  ", None, &format!("situation: {}, last seen {age} ago", status.situation.words()));
        }
        Situation::PrimaryUnreachable { since: None, .. }
        | Situation::PrimaryUnseen { since: None, .. }
        | Situation::PrimaryDown { since: None, .. }
        | Situation::SplitBrain { .. }
        | Situation::Disagree { .. }
        | Situation::NoPrimary
        | Situation::AwayFromHome { .. } => {
            out.line("  ", None, &format!("situation: {}", status.situation.words()));
        }
    }
    if !status.situation.leads() {
        return;
    }
    let to = status.gates.to.as_ref().map(|s| format!(" to {s}")).unwrap_or_default();
    for (name, gate) in [("failover", &status.gates.failover), ("switchover", &status.gates.switchover)] {
        let reasons: Vec<&str> = gate.reasons().iter().map(crate::plan::SafeText::as_str).collect();
        let why = match gate {
            Gate::Go => String::new(),
            Gate::Consent(_) | Gate::No(_) | Gate::Unknown(_) => format!(": {}", reasons.join("; ")),
        };
        out.line("  ", None, &format!("{name}{to}: {}{why}", gate.word()));
    }
}

fn finding(out: &mut Out, status: &PlanStatus, finding: &Finding, now: Now) {
    let mut about = format!("{}/{}", status.plan.id, finding.area);
    if let Some(probe) = &finding.probe {
        about.push_str(&format!("/{}", probe.name));
    }
    if finding.subject != Subject::whole() {
        about.push_str(&format!(" {}", finding.subject));
    }
    let age = old(status, finding, now).map(|age| format!(" ({} old)", age.coarse())).unwrap_or_default();
    let next = match (&finding.next, finding.verdict) {
        (Some(_), Verdict::Ready) | (None, _) => String::new(),
        (Some(next), Verdict::Degraded | Verdict::NotReady | Verdict::Unknown) => format!(" -> {next}"),
    };
    out.line("  ", Some(finding.verdict), &format!("  {about}: {}{age}{next}", finding.sentence));
}

/// What changed since the last check.
fn changed(out: &mut Out, plan: &PlanReport) {
    let Some(before) = &plan.before else { return };
    let all = plan.differences();
    let since = format!("since {}: ", before.at.format("%Y-%m-%d %H:%MZ"));
    let id = &plan.status.plan.id;
    for difference in &all {
        let line = match difference {
            Difference::Readiness { from, to } => format!("{since}{id} {from} -> {to}"),
            Difference::Situation { from, to } => format!("{since}{id} {from} -> {to}"),
            Difference::Area { area, from, to } => {
                let word = |v: &Option<Verdict>| v.map_or("-", Verdict::word);
                format!("{since}{id}/{area} {} -> {}", word(from), word(to))
            }
            Difference::Finding { area, about, from, to } => {
                let say = |v: &Option<(Verdict, String)>, none| {
                    v.as_ref().map_or_else(|| String::from(none), |(v, code)| format!("{v} ({code})"))
                };
                format!("{since}{id}/{area} {about}: {} -> {}", say(from, "nothing"), say(to, "gone"))
            }
        };
        out.line("  ", None, &line);
    }
}
