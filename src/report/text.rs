//! The report for people, on a terminal or in a mail.

use crate::app::{Change, Difference};
use crate::plan::{Area, Now, PlanId, Subject};
use crate::readiness::{Finding, Gate, PlanStatus, Situation, Verdict};

use super::wrap::wrap;
use super::{PRACTICE, PlanReport, Report, at_least, bound, old, place_name};

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
    if report.practice() {
        out.line("", None, PRACTICE);
    }
    for plan in report.worst_first() {
        if style.quiet && plan.status.readiness == Verdict::Ready {
            continue;
        }
        one(&mut out, plan, report.at, &report.areas);
    }
    out.text
}

pub(super) struct Out {
    pub(super) text: String,
    pub(super) style: Style,
}

impl Out {
    /// One logical line, which begins with `verdict`'s glyph and word where there is one.
    pub(super) fn line(&mut self, lead: &str, verdict: Option<Verdict>, rest: &str) {
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

fn one(out: &mut Out, plan: &PlanReport, now: Now, areas: &[Area]) {
    let status = &plan.status;
    out.line("", Some(status.readiness), &lead(status, areas));
    if areas.is_empty() {
        for line in situation(status, now) {
            out.line("  ", None, &line);
        }
    }
    for finding in &status.findings {
        if !(out.style.quiet && finding.verdict == Verdict::Ready) {
            self::finding(out, status, finding, now);
        }
    }
    if areas.is_empty() && status.situation.leads() {
        for line in whom_and_what(status) {
            out.line("  ", None, &line);
        }
    }
    changed(out, plan);
}

/// What would not survive, and whom to call when, a line each.
fn whom_and_what(status: &PlanStatus) -> Vec<String> {
    let losses = status.losses.iter().map(|item| {
        let how = if item.observed { "" } else { " (declared)" };
        format!("would not survive: {}: {}{how}", item.what, item.why)
    });
    let contacts = status.plan.contacts.iter().map(|c| {
        let when = if c.after.0.is_zero() { "at once".to_owned() } else { format!("after {}", c.after) };
        format!("call {when}: {}, {}", c.role, c.reach)
    });
    losses.chain(contacts).collect()
}

/// What follows the readiness in a plan's leading line.
fn lead(status: &PlanStatus, areas: &[Area]) -> String {
    let mut text = format!("  {}", status.plan.id);
    if !areas.is_empty() {
        let names: Vec<&str> = Area::ALL.iter().filter(|a| areas.contains(a)).map(|a| a.name()).collect();
        text.push_str(&format!("  looked at {} only", names.join(", ")));
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

/// Situation and gates, where they lead, a line each.
pub(super) fn situation(status: &PlanStatus, now: Now) -> Vec<String> {
    let words = status.situation.words();
    let mut lines = match &status.situation {
        Situation::Starting | Situation::Normal => return Vec::new(),
        Situation::PrimaryUnreachable { since: Some(since), .. }
        | Situation::PrimaryUnseen { since: Some(since), .. }
        | Situation::PrimaryDown { since: Some(since), .. } => {
            let age = crate::plan::Span(now.since(*since)).coarse();
            vec![format!("situation: {words}, last seen {age} ago")]
        }
        Situation::PrimaryUnreachable { since: None, .. }
        | Situation::PrimaryUnseen { since: None, .. }
        | Situation::PrimaryDown { since: None, .. }
        | Situation::SplitBrain { .. }
        | Situation::Disagree { .. }
        | Situation::NoPrimary
        | Situation::AwayFromHome { .. } => vec![format!("situation: {words}")],
    };
    if !status.situation.leads() {
        return lines;
    }
    let to = status.gates.to.as_ref().map(|s| format!(" to {s}")).unwrap_or_default();
    for (name, gate) in [("failover", &status.gates.failover), ("switchover", &status.gates.switchover)] {
        let reasons: Vec<&str> = gate.reasons().iter().map(crate::plan::SafeText::as_str).collect();
        let why = match gate {
            Gate::Go => String::new(),
            Gate::Consent(_) | Gate::No(_) | Gate::Unknown(_) => format!(": {}", reasons.join("; ")),
        };
        lines.push(format!("{name}{to}: {}{why}", gate.word()));
    }
    lines
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

/// What changed since the check that this one is compared with.
fn changed(out: &mut Out, plan: &PlanReport) {
    if let Some(since) = plan.since() {
        let since = since.format("%Y-%m-%d %H:%MZ");
        for what in plan.differences() {
            out.line("  ", None, &format!("since {since}: {}", difference(&plan.status.plan.id, &what)));
        }
    }
    for past in &plan.timeline {
        out.line("  ", None, &change(past));
    }
}

/// One difference: `payments/dns ready -> degraded`.
pub(super) fn difference(id: &PlanId, difference: &Difference) -> String {
    match difference {
        Difference::Readiness { from, to } => format!("{id} {from} -> {to}"),
        Difference::Situation { from, to } => format!("{id} {from} -> {to}"),
        Difference::Area { area, from, to } => {
            let word = |v: &Option<Verdict>| v.map_or("-", Verdict::word);
            format!("{id}/{area} {} -> {}", word(from), word(to))
        }
        Difference::Finding { area, about, from, to } => {
            let say = |v: &Option<(Verdict, String)>, none| {
                v.as_ref().map_or_else(|| String::from(none), |(v, code)| format!("{v} ({code})"))
            };
            format!("{id}/{area} {about}: {} -> {}", say(from, "nothing"), say(to, "gone"))
        }
    }
}

/// One line of the past: `at 2026-11-20 03:04Z: payments ready -> degraded, normal: why`.
pub(super) fn change(change: &Change) -> String {
    let at = change.at.wall.format("%Y-%m-%d %H:%MZ");
    let from = change.from.map(|v| format!("{v} -> ")).unwrap_or_default();
    let why = if change.why.as_str().is_empty() { String::new() } else { format!(": {}", change.why) };
    format!("at {at}: {} {from}{}, {}{why}", change.plan, change.to, change.situation.words())
}
