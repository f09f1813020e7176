//! A run, as its journal tells it: as text, as Markdown for the record, and as JSON.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::plan::Span;
use crate::runbook::{Digest, Entry, RunState, StepIx};

fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

fn since(at: DateTime<Utc>, t0: DateTime<Utc>) -> String {
    let apart = at.signed_duration_since(t0);
    // Of a planned run, users are away only from its fence on, which is after somebody began.
    let (sign, span) = if apart < chrono::TimeDelta::zero() { ("-", -apart) } else { ("+", apart) };
    format!("T0 {sign} {}", Span(std::time::Duration::from_secs(span.to_std().unwrap_or_default().as_secs())))
}

/// The moments that people ask for after a run: what, when.
#[must_use]
pub fn moments(state: &RunState) -> Vec<(&'static str, DateTime<Utc>)> {
    let mut out = vec![("T0", state.t0.at)];
    out.extend(state.opened.detected.map(|at| ("detected", at)));
    out.push(("declared", state.opened_at.wall));
    out.extend(state.decided.map(|at| ("decided", at.wall)));
    out.extend(state.recovered().map(|at| ("recovered", at.wall)));
    out
}

/// How long the service was away, where the run recovered it: from T0.
#[must_use]
pub fn measured_rto(state: &RunState) -> Option<Span> {
    let recovered = state.recovered()?;
    recovered.wall.signed_duration_since(state.t0.at).to_std().ok().map(Span)
}

/// The run for the record, as Markdown. `head` is the digest of its newest entry: whoever has the journal can prove it.
#[must_use]
pub fn run_markdown(state: &RunState, head: &Digest) -> String {
    let o = &state.opened;
    let practice = if o.practice { " (PRACTICE)" } else { "" };
    let mut text = format!("# {} {}{practice}: {} -> {}\n\n", o.plan, o.kind, o.from, o.to);
    text.push_str(&format!("| | |\n|---|---|\n| run | {} |\n", state.run));
    text.push_str(&format!("| {} | {} |\n", "state", cell(&state.words())));
    text.push_str(&format!("| cause | {}: {} |\n", o.cause.words(), cell(o.reason.as_str())));
    let from = state.opened_by.from.as_ref().map(|f| format!(" from {f}")).unwrap_or_default();
    text.push_str(&format!(
        "| opened by | {} on {}{} |\n",
        cell(state.opened_by.user.as_str()),
        state.opened_by.host,
        cell(&from)
    ));
    for (what, at) in moments(state) {
        let when = if what == "T0" {
            format!("{} ({})", moment(at), state.t0.why)
        } else {
            format!("{}, {}", moment(at), since(at, state.t0.at))
        };
        text.push_str(&format!("| {what} | {} |\n", cell(&when)));
    }
    let rto = measured_rto(state).map_or_else(|| "not recovered".to_owned(), |s| Span::secs(s.0.as_secs()).to_string());
    text.push_str(&format!("| RTO | {rto}, objective {} |\n", o.expected.rto));
    let expected = o.expected.loss.map_or_else(|| "unknown".to_owned(), |l| format!("<= {}", l.upper()));
    let lost = state.loss().map_or_else(String::new, |l| format!("; lost: {}", l.words()));
    text.push_str(&format!("| RPO | expected {expected}, objective {}{lost} |\n", o.expected.rpo));
    if let Some(fence) = state.fence() {
        text.push_str(&format!("| fence | {}: {} |\n", fence.strength.word(), cell(fence.why.as_str())));
    }
    if let Some((who, words)) = &state.acknowledged {
        text.push_str(&format!("| acknowledged | {}: {} |\n", who.user, cell(words.as_str())));
    }
    text.push_str(&format!("| lifeboat | {} |\n| head of the journal | `{head}` |\n", o.version));
    text.push_str("\n## Steps\n\n| | step | state | began | took | what was seen |\n|---|---|---|---|---|---|\n");
    for (at, status) in state.steps.iter().enumerate() {
        let name = o.runbook.steps.get(at).map(|s| s.name.as_str()).unwrap_or_default();
        let last = status.attempts.last();
        let began = last.map(|a| moment(a.began.wall)).unwrap_or_default();
        let took = last.and_then(|a| Some(Span(a.end.as_ref()?.1.since(a.began)).to_string())).unwrap_or_default();
        let seen = last.and_then(|a| a.end.as_ref()).map(|(r, ..)| r.why.to_string());
        let seen = seen.or_else(|| status.skipped.as_ref().map(ToString::to_string)).unwrap_or_default();
        let again =
            if status.attempts.len() > 1 { format!(" ({} attempts)", status.attempts.len()) } else { String::new() };
        text.push_str(&format!(
            "| {} | {} | {}{again} | {began} | {took} | {} |\n",
            StepIx::at(at),
            cell(name),
            status.state.word(),
            cell(&seen)
        ));
    }
    for (title, lines) in [
        ("Alarms", state.alarms.iter().map(|(w, at)| format!("{}: {w}", moment(at.wall))).collect::<Vec<_>>()),
        ("Notes", state.notes.iter().map(|(t, at, who)| format!("{} {}: {t}", moment(at.wall), who.user)).collect()),
    ] {
        if !lines.is_empty() {
            text.push_str(&format!("\n## {title}\n\n"));
            lines.iter().for_each(|l| text.push_str(&format!("- {l}\n")));
        }
    }
    text
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The whole run as one JSON document: where it stands, every entry, and the digest of the newest one.
#[must_use]
pub fn run_json(state: &RunState, entries: &[Entry], head: &Digest) -> Value {
    let o = &state.opened;
    let steps: Vec<Value> = state
        .steps
        .iter()
        .enumerate()
        .map(|(at, s)| {
            let step = o.runbook.steps.get(at);
            json!({
                "step": StepIx::at(at).to_string(), "name": step.map(|s| &s.name), "kind": step.map(|s| &s.kind),
                "state": s.state.word(), "attempts": s.attempts.len(),
                "took_seconds": s.attempts.last().and_then(|a| Some(a.end.as_ref()?.1.since(a.began).as_secs_f64())),
            })
        })
        .collect();
    let moments: serde_json::Map<String, Value> =
        moments(state).into_iter().map(|(what, at)| (what.to_lowercase(), json!(at))).collect();
    json!({
        "run": state.run, "plan": o.plan, "runbook": o.kind, "cause": o.cause.words(), "reason": o.reason,
        "from": o.from, "to": o.to, "practice": o.practice, "state": state.words(), "open": state.closed.is_none(),
        "moments": moments, "rto_seconds": measured_rto(state).map(|s| s.0.as_secs_f64()),
        "loss": state.loss(), "fence": state.fence(), "expected": o.expected, "steps": steps,
        "alarms": state.alarms.iter().map(|(w, _)| w).collect::<Vec<_>>(),
        "head": head, "entries": entries,
    })
}
