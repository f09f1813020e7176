//! What there is to say of one step: what it would do or did, by which conditions, and what came of it.

use crate::app::board::Ages;
use crate::app::guided::Known;
use crate::app::guided::runs::took;
use crate::plan::{Now, Span};
use crate::runbook::{
    Acted, Attempt, Class, Condition, Danger, Held, Preview, RetrySafety, StepIx, StepPlan, StepStatus, Verified,
    Yield, step_in,
};
use crate::tui::theme::{Role, held_glyph, step_glyph};
use crate::tui::widgets::text::{Line, exact, hanging, wrap};

/// A heading.
pub(super) fn heading(text: &str) -> Line {
    vec![(text.to_uppercase(), Role::Heading)]
}

/// A step in full.
pub(super) fn lines(known: &Known, ix: StepIx, ages: &Ages, cells: usize) -> Vec<Line> {
    let Some((plan, status)) = step_in(&known.state, ix) else { return Vec::new() };
    let (glyph, role) = step_glyph(status.state);
    let head = [(format!("{glyph} {} ", status.state.word()), role)];
    let mut out = hanging(&head, &format!("{ix} {}", plan.name), Role::Selected, cells);
    out.extend(wrap(&about(known, plan), cells).into_iter().map(|line| vec![(line, Role::Dim)]));
    out.extend(outcome(status, ages.now(), cells));
    match known.previews.get(&ix) {
        Some(preview) => {
            let title = if status.attempts.is_empty() { "would do" } else { "as it was shown" };
            out.extend([Line::new(), heading(title)]);
            out.extend(preview_lines(preview, ages, cells));
            out.extend([Line::new(), heading("conditions")]);
            out.extend(conditions(preview, ages, cells));
        }
        None if !status.state.is_over() => {
            out.push(Line::new());
            out.extend(hanging(&[], "what it would do is shown before it is done: G asks", Role::Dim, cells));
        }
        None => {}
    }
    out
}

/// Kind, target, danger and what a retry would mean.
fn about(known: &Known, plan: &StepPlan) -> String {
    let opened = &known.state.opened;
    let mut out = vec![plan.kind.clone()];
    out.extend(plan.probe.clone());
    out.extend(plan.on.as_ref().map(|on| format!("in {}", on.site(&opened.from, &opened.to))));
    out.push(
        match plan.danger {
            Danger::None => "only looks or tells",
            Danger::Changes => "changes something, and there is a way back",
            Danger::Irreversible => "NO WAY BACK",
        }
        .to_owned(),
    );
    out.push(
        match plan.retry {
            RetrySafety::NativeCas => "a retry is refused by the remote where it was done",
            RetrySafety::ReadBack => "its effect can be read back",
            RetrySafety::Never => "only a person can say whether it was done",
        }
        .to_owned(),
    );
    if plan.verified == Verified::ByPerson {
        out.push("a person does it, and says so (C)".to_owned());
    }
    out.extend(plan.expect.map(|e| format!("expected {e}")));
    out.push(format!("deadline {}", plan.deadline));
    out.extend(plan.group.as_ref().map(|g| format!("side by side: {g}")));
    out.join(" · ")
}

/// What came of it: the attempts, newest first.
fn outcome(status: &StepStatus, now: Now, cells: usize) -> Vec<Line> {
    let mut out = Vec::new();
    if let Some(why) = &status.skipped {
        out.extend(hanging(&[("skipped: ".into(), Role::Dim)], why.as_str(), Role::Plain, cells));
    }
    if let Some((done, words, _)) = &status.confirmed {
        let said = if *done { "a person says that it is done: " } else { "a person says that it is not done: " };
        out.extend(hanging(&[(said.into(), Role::Dim)], words.as_str(), Role::Plain, cells));
    }
    for attempt in status.attempts.iter().rev() {
        out.push(Line::new());
        out.extend(attempt_lines(attempt, now, cells));
    }
    out
}

fn attempt_lines(attempt: &Attempt, now: Now, cells: usize) -> Vec<Line> {
    let began = attempt.began.wall.format("%H:%M:%SZ");
    let lasted = Span(took(attempt, now)).coarse();
    let mut out = Vec::new();
    let head = format!("attempt {}: began {began}, {lasted}: ", attempt.id);
    match &attempt.end {
        Some((end, ..)) => {
            let role = step_glyph(crate::runbook::StepState::Halted(end.outcome)).1;
            out.push(vec![(head, Role::Dim), (end.outcome.words().to_owned(), role)]);
            out.extend(hanging(&[("  ".into(), Role::Plain)], end.why.as_str(), Role::Plain, cells));
            out.extend(left(&end.left, cells));
        }
        None => {
            let words = if attempt.acted.is_some() { "its effect is being looked for" } else { "under way" };
            out.push(vec![(head, Role::Dim), (words.to_owned(), Role::Accent)]);
        }
    }
    if let Some((waits, at)) = &attempt.progress {
        let word = if attempt.end.is_none() { "waits for" } else { "waited for" };
        let head = format!("  {} {word}: ", at.wall.format("%H:%M:%SZ"));
        let role = if attempt.end.is_none() { Role::Selected } else { Role::Plain };
        out.extend(hanging(&[(head, Role::Dim)], waits.as_str(), role, cells));
    }
    if let Some((acted, at)) = &attempt.acted {
        let (word, said) = match acted {
            Acted::Returned { said, .. } => ("the call returned", said),
            Acted::Refused { said } => ("refused", said),
            Acted::NotSent { why } => ("not sent", why),
            Acted::Failed { said, .. } => ("the call failed", said),
            Acted::Unclear { why, .. } => ("sent, and how it ended is not clear", why),
        };
        let head = format!("  {} {word}: ", at.wall.format("%H:%M:%SZ"));
        out.extend(hanging(&[(head, Role::Dim)], said.as_str(), Role::Plain, cells));
    }
    out
}

/// What it leaves to the steps after it, and to the record.
fn left(left: &Yield, cells: usize) -> Vec<Line> {
    let mut out = Vec::new();
    if let Some(fence) = &left.fence {
        out.extend(hanging(
            &[(format!("  fence {}: ", fence.strength.word()), Role::Dim)],
            fence.why.as_str(),
            Role::Plain,
            cells,
        ));
    }
    if let Some(loss) = &left.loss {
        out.extend(hanging(&[("  lost: ".into(), Role::Dim)], &loss.words(), Role::Plain, cells));
    }
    for fact in &left.facts {
        out.extend(hanging(&[("  • ".into(), Role::Dim)], fact.as_str(), Role::Plain, cells));
    }
    out
}

/// The exact action, its target and the target's role as it was read.
pub(super) fn preview_lines(preview: &Preview, ages: &Ages, cells: usize) -> Vec<Line> {
    let head = [("on ".to_owned(), Role::Dim), (format!("{} ", preview.target), Role::Selected)];
    let mut out = hanging(&head, &format!("{} (read {})", preview.role, ago(ages, preview.at)), Role::Plain, cells);
    if preview.already == Held::Holds {
        let words = "its effect is there already: nothing is done, and that is recorded";
        out.extend(hanging(&[("● ".into(), Role::Ready)], words, Role::Plain, cells));
    }
    for action in &preview.actions {
        let lines = exact(action.as_str(), cells.saturating_sub(2));
        out.extend(lines.into_iter().map(|line| vec![("│ ".into(), Role::Accent), (line, Role::Selected)]));
    }
    out
}

pub(super) fn ago(ages: &Ages, at: Now) -> String {
    let age = ages.of(at);
    if age == "now" { "just now".to_owned() } else { format!("{age} ago") }
}

/// Every condition, by class.
fn conditions(preview: &Preview, ages: &Ages, cells: usize) -> Vec<Line> {
    let mut out = Vec::new();
    for class in [Class::Identity, Class::Risk, Class::Advice] {
        for condition in preview.conditions.iter().filter(|c| c.class == class) {
            out.extend(condition_lines(condition, ages, cells));
        }
    }
    if out.is_empty() {
        out.push(vec![("none".into(), Role::Dim)]);
    }
    out
}

/// One condition: what must hold, whether it does, by what reading, and when that was.
pub(super) fn condition_lines(condition: &Condition, ages: &Ages, cells: usize) -> Vec<Line> {
    let (glyph, role) = held_glyph(condition.held);
    let later = if condition.later { ", must hold by then" } else { "" };
    let head =
        [(format!("{glyph} {} ", condition.held.word()), role), (format!("{}: ", condition.class.word()), Role::Dim)];
    let why = if condition.why.as_str().is_empty() { String::new() } else { format!(": {}", condition.why) };
    let text = format!("{}{why} ({}{later})", condition.what, ago(ages, condition.at));
    hanging(&head, &text, Role::Plain, cells)
}
