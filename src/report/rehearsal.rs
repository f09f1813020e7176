//! A runbook looked through: as text, as JSON, and as commands to copy.

use serde_json::{Value, json};

use crate::plan::Span;
use crate::readiness::Gate;
use crate::runbook::{Class, Held, Preview, Rehearsal, StepIx, StepPlan};

use super::PRACTICE;
use super::text::{Out, Style};

/// The exit code of a gate: 0 go, 1 go with consent, 2 no, 3 unknown.
#[must_use]
pub const fn gate_code(gate: &Gate) -> u8 {
    match gate {
        Gate::Go => 0,
        Gate::Consent(_) => 1,
        Gate::No(_) => 2,
        Gate::Unknown(_) => 3,
    }
}

/// The rehearsal for people: whether it could be started, then each step with what it would do and what must hold.
#[must_use]
pub fn rehearsal(r: &Rehearsal, style: Style) -> String {
    let mut out = Out { text: String::new(), style };
    if r.practice {
        out.line("", None, PRACTICE);
    }
    let gate = r.gate();
    let lost = r.lost.as_ref().map(|site| format!("; {site} assumed to be lost")).unwrap_or_default();
    let lead = format!("{} {}  {} -> {}  {}", r.plan, r.runbook.kind, r.from, r.to, gate.word());
    out.line("", None, &format!("{lead}  (dry run: nothing was changed{lost})"));
    for why in gate.reasons() {
        out.line(
            "  ",
            None,
            &format!("{}: {why}", if matches!(gate, Gate::Consent(_)) { "accept" } else { gate.word() }),
        );
    }
    let expected = &r.expected;
    let loss = expected.loss.map_or_else(|| "an unknown loss".to_owned(), |l| format!("lose <= {}", l.upper()));
    let time = expected.time.map_or_else(|| "not measured".to_owned(), |t| format!("at least {t}"));
    out.line(
        "  ",
        None,
        &format!("expected: {loss} (objective {}); time: {time} (objective {})", expected.rpo, expected.rto),
    );
    for ix in r.runbook.places() {
        let Some(step) = r.runbook.step(ix) else { continue };
        let preview = r.steps.iter().find(|(at, _)| *at == ix).map(|(_, p)| p);
        one(&mut out, ix, step, preview);
    }
    out.text
}

fn one(out: &mut Out, ix: StepIx, step: &StepPlan, preview: Option<&Preview>) {
    let no_return = if step.is_point_of_no_return() { "  POINT OF NO RETURN" } else { "" };
    out.line("", None, &format!("{ix:>2} {}  ({}){no_return}", step.name, step.kind));
    let Some(preview) = preview else {
        return out.line("     ", None, "not looked at in time");
    };
    out.line("     ", None, &format!("on {}: {}", preview.target, preview.role));
    for action in &preview.actions {
        out.line("     ", None, &format!("would: {action}"));
    }
    if preview.already == Held::Holds {
        out.line("     ", None, "already true: it would not be done again");
    }
    for condition in &preview.conditions {
        if out.style.quiet && condition.held == Held::Holds {
            continue;
        }
        let class = condition.class.word();
        let held = if condition.later && condition.held != Held::Holds { "later" } else { condition.held.word() };
        let why = if condition.why.as_str().is_empty() { String::new() } else { format!(": {}", condition.why) };
        out.line("     ", None, &format!("{held:<7} {class:<8} {}{why}", condition.what));
    }
}

/// The rehearsal as one JSON document.
#[must_use]
pub fn rehearsal_json(r: &Rehearsal) -> Value {
    let gate = r.gate();
    let span = |s: Option<Span>| s.map(|s| s.0.as_secs_f64());
    let steps: Vec<Value> = r
        .runbook
        .places()
        .filter_map(|ix| {
            let step = r.runbook.step(ix)?;
            let preview = r.steps.iter().find(|(at, _)| *at == ix).map(|(_, p)| preview(p));
            Some(json!({
                "step": ix.to_string(), "name": step.name, "kind": step.kind,
                "point_of_no_return": step.is_point_of_no_return(), "preview": preview,
            }))
        })
        .collect();
    json!({
        "plan": r.plan, "runbook": r.runbook.kind, "from": r.from, "to": r.to, "assumed_lost": r.lost, "at": r.at.wall,
        "practice": r.practice,
        "gate": gate.word(), "reasons": gate.reasons(), "exit_code": gate_code(&gate),
        "expected": { "loss_seconds": span(r.expected.loss), "time_seconds": span(r.expected.time),
                      "rpo_seconds": r.expected.rpo.0.as_secs_f64(), "rto_seconds": r.expected.rto.0.as_secs_f64() },
        "steps": steps,
    })
}

fn preview(p: &Preview) -> Value {
    let conditions: Vec<Value> = p
        .conditions
        .iter()
        .map(|c| {
            let class = match c.class {
                Class::Identity | Class::Risk | Class::Advice => c.class.word(),
            };
            json!({ "id": c.id, "class": class, "what": c.what, "held": c.held.word(), "why": c.why, "later": c.later })
        })
        .collect();
    json!({ "target": p.target, "role": p.role, "identity": p.identity, "actions": p.actions,
            "already": p.already.word(), "conditions": conditions })
}

/// A runbook as commands to copy into a shell, for the day on which this program is what is broken.
#[must_use]
pub fn commands(name: &str, steps: &[(StepIx, &StepPlan, &[String])]) -> String {
    let mut text = format!(
        "# {name}\n# Do one step after the other; look at what each one did before the next. No secret is in here: the\n\
         # commands find theirs as you do (~/.pgpass, environment, your keys).\n"
    );
    for (ix, step, lines) in steps {
        let no_return =
            if step.is_point_of_no_return() { "  -- POINT OF NO RETURN: there is no way back from here" } else { "" };
        text.push_str(&format!("\n# step {ix}: {}  ({}){no_return}\n", step.name, step.kind));
        for line in *lines {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}
