//! The prompt of a range: all that would be done, to what, under which conditions, and what is typed to let it.

use crate::app::App;
use crate::app::board::Ages;
use crate::app::guided::{Form, Known, Painted, PromptId, prompt_of};
use crate::plan::{BootTime, Span};
use crate::runbook::{Condition, Held, MOST_AGE, Preview, Prompt, StepIx, StepPlan};
use crate::tui::frame::Drawn;
use crate::tui::theme::{Role, held_glyph};
use crate::tui::widgets::form;
use crate::tui::widgets::pen::Pen;
use crate::tui::widgets::text::{Line, hanging};

use super::opening::{put, session};
use super::step::{ago, condition_lines, preview_lines};

/// Draws the prompt over the whole width.
pub fn draw(pen: &mut Pen<'_>, app: &App, known: &Known, typing: &Form, ages: &Ages, drawn: &mut Drawn) {
    let Some((shown, wanted)) = prompt_of(known) else { return };
    let Some((to, _)) = shown.steps.last() else { return };
    let cells = usize::from(pen.cols().saturating_sub(2));
    let some = |steps: &[(StepIx, Preview)], brief: bool| {
        let mut lines = vec![head(known, ages)];
        lines.extend(expected(app, known, to, ages, cells));
        for (ix, preview) in steps {
            let Some(step) = known.state.opened.runbook.step(*ix) else { continue };
            lines.extend(of_step(*ix, step, preview, &wanted, ages, cells, brief));
        }
        if let Some((_, why)) = &wanted.stops {
            lines.extend(hanging(&[("▲ ".into(), Role::Degraded)], why.as_str(), Role::Plain, cells));
        }
        lines.push(vec![("─".repeat(cells), Role::Border)]);
        lines.extend(form::lines(app, typing, ages.now(), cells));
        lines
    };
    // What holds is on the run's own screen, too: where there is no room for it here, its number must do.
    let rows = usize::from(pen.rows());
    let mut lines = some(&shown.steps, false);
    if lines.len() > rows {
        lines = some(&shown.steps, true);
    }
    // With all that is typed for the whole range: fewer steps may want less.
    let fit = |n: &usize| shown.steps.get(..*n).is_some_and(|steps| some(steps, true).len() <= rows);
    let fits = (lines.len() > rows).then(|| (1..shown.steps.len()).rev().find(fit).unwrap_or(0));
    let hint = if shown.steps.len() > 1 { "; esc, then -" } else { "" };
    let whole = put(pen, &mut lines, hint, app.view.detail, drawn);
    let prompt = PromptId::Range(known.state.run.clone(), shown.seq);
    drawn.prompt = Some(Painted { prompt, whole, fits: fits.and_then(|n| u16::try_from(n).ok()) });
}

/// What is approved, and for how long it may be.
fn head(known: &Known, ages: &Ages) -> Line {
    let Some((shown, wanted)) = prompt_of(known) else { return Line::new() };
    let (Some((from, _)), Some((to, _))) = (shown.steps.first(), shown.steps.last()) else { return Line::new() };
    let range = if from == to { format!("APPROVE STEP {from}") } else { format!("APPROVE STEPS {from} TO {to}") };
    let (age, most) = (ages.now().since(shown.at), MOST_AGE);
    let mut line = vec![(range, Role::Danger)];
    if age > most {
        line.push((
            format!("   shown {} ago: EXPIRED, esc and G look again", crate::plan::Span(age).coarse()),
            Role::NotReady,
        ));
    } else {
        let left = (most - age).as_secs();
        ages.wake(BootTime(ages.now().boot.0 + std::time::Duration::from_secs(1)));
        line.push((format!("   read {}, may be approved for {left} s", ago(ages, shown.at)), Role::Dim));
    }
    if !wanted.blocked.is_empty() {
        line.push(("   cannot be approved".into(), Role::NotReady));
    }
    line
}

/// What is expected of it against what the plan promises, and what would end with this session.
fn expected(app: &App, known: &Known, to: &StepIx, ages: &Ages, cells: usize) -> Vec<Line> {
    let state = &known.state;
    let e = &state.opened.expected;
    let now = ages.now();
    let status = app.model.status(&state.opened.plan);
    let bound = status.and_then(|s| {
        let mine = s.exposures.iter().filter(|e| e.to == state.opened.to);
        mine.map(|e| e.bound.aged(now.since(s.at)).map(Span::upper)).reduce(|a, b| a.zip(b).map(|(a, b)| a.max(b)))?
    });
    let loss = match (state.loss(), bound) {
        (Some(loss), _) => format!("lost: {}", loss.words()),
        (None, Some(loss)) => format!("lose at most {loss}"),
        (None, None) => "lose nobody knows how much".to_owned(),
    };
    let left = state.opened.runbook.places().zip(&state.steps).filter(|(ix, s)| ix <= to && !s.state.is_over());
    let left = left.filter_map(|(ix, _)| state.opened.runbook.step(ix)?.expect);
    let left = Span(left.fold(std::time::Duration::ZERO, |sum, s| sum.saturating_add(s.0)));
    let after = Span::secs(known.since_t0(now).saturating_add(left.0).as_secs());
    let late = if after > e.rto { "BEYOND" } else { "of" };
    let text = format!("{loss} (RPO {}); done about {after} after T0, {late} {}", e.rpo, e.rto);
    let mut out = hanging(&[("expected ".into(), Role::Dim)], &text, Role::Plain, cells);
    // Where the run outlives the session and nothing ends with it, there is nothing to say.
    if app.host.as_ref().is_none_or(|h| h.outlives != Held::Holds || !h.ends.is_empty()) {
        out.extend(session(app, cells).into_iter().skip(1));
    }
    out
}

/// One step: what it does to what, what does not hold of it, and what does: by name, or `brief`ly how many.
fn of_step(
    ix: StepIx,
    step: &StepPlan,
    preview: &Preview,
    wanted: &Prompt,
    ages: &Ages,
    cells: usize,
    brief: bool,
) -> Vec<Line> {
    let back = if step.is_point_of_no_return() { "  NO WAY BACK" } else { "" };
    let mut out = vec![vec![
        (format!("{ix} {}", step.name), Role::Selected),
        (format!("  {}", step.kind), Role::Dim),
        (back.to_owned(), Role::Danger),
    ]];
    let indent = |line: Line| [vec![("  ".to_owned(), Role::Plain)], line].concat();
    let inner = cells.saturating_sub(2);
    out.extend(preview_lines(preview, ages, inner).into_iter().map(indent));
    // What is accepted or waived stands beside what is typed for it.
    let asked = |c: &&Condition| wanted.risks.iter().chain(&wanted.advice).any(|(at, w)| *at == ix && w.id == c.id);
    let wrong = preview.conditions.iter().filter(|c| c.held != Held::Holds && !asked(c));
    out.extend(wrong.flat_map(|c| condition_lines(c, ages, inner)).map(indent));
    let holds: Vec<_> = preview.conditions.iter().filter(|c| c.held == Held::Holds).collect();
    if let Some(oldest) = holds.iter().map(|c| c.at).min_by_key(|at| at.boot) {
        let (glyph, role) = held_glyph(Held::Holds);
        let all: Vec<&str> = holds.iter().map(|c| c.what.as_str()).collect();
        let what = if brief { format!("{} other conditions", all.len()) } else { all.join("; ") };
        let text = format!("{what} ({})", ago(ages, oldest));
        out.extend(hanging(&[(format!("{glyph} holds: "), role)], &text, Role::Dim, inner).into_iter().map(indent));
    }
    out
}
