//! What is typed, beside what is wanted.

use crate::app::App;
use crate::app::guided::{Field, Form, Wanted};
use crate::plan::Now;
use crate::runbook::accepted;
use crate::tui::frame::bare;
use crate::tui::theme::Role;

use super::text::{Line, hanging, width, wrap};

/// The lines of a form: each text with what is wanted of it, and a last one that says what is missing, unless the foot of
/// the screen does.
#[must_use]
pub fn lines(app: &App, form: &Form, now: Now, cells: usize) -> Vec<Line> {
    let mut out = Vec::new();
    for field in form.fields(app) {
        out.extend(field_lines(form, &field, now, cells));
    }
    if bare(app) && app.view.refused.is_none() {
        return out;
    }
    let said = app.view.refused.as_ref().map(|why| format!("refused: {why}")).or_else(|| form.said.clone());
    let role = if app.view.refused.is_some() { Role::NotReady } else { Role::Accent };
    // Always there, so that nothing moves when it speaks.
    let text = said.unwrap_or_default();
    out.extend(wrap(&text, cells).into_iter().map(|line| vec![(line, role)]));
    out
}

/// Cells of what stands around a typed text, ` > ` and the cursor; and before it on a line of its own.
const INPUT: usize = 4;
const INDENT: usize = 3;

/// One text: `▌● the plan: type payments > pay_`. In two lines where one is too narrow.
fn field_lines(form: &Form, field: &Field, now: Now, cells: usize) -> Vec<Line> {
    let here = form.at == field.id;
    let typed = form.text(&field.id);
    let good = field.wanted.takes(typed, now);
    let (glyph, role) = if good { ("●", Role::Ready) } else { ("○", Role::Dim) };
    let mut head: Line = vec![(if here { "▌" } else { " " }.to_owned(), Role::Accent), (glyph.to_owned(), role)];
    head.push((" ".to_owned(), Role::Plain));
    let label = format!("{}: {}", field.label, field.wanted.hint());
    let ceiling = match &field.wanted {
        Wanted::Accepts(risk) if good => accepted(risk, typed).and_then(|a| a.span),
        Wanted::Accepts(_) | Wanted::Words(_) | Wanted::Reason | Wanted::Either(_) | Wanted::Moment => None,
    };
    let ceiling = ceiling.map(|most| format!("  up to {most}")).unwrap_or_default();
    let label_role = if here { Role::Plain } else { Role::Dim };
    let mut out = hanging(&head, &label, label_role, cells);
    let used = out.last().map_or(0, |last| last.iter().map(|(t, _)| width(t)).sum::<usize>());
    // Whether it has a line of its own does not hang on what is typed: a prompt that was whole stays so.
    let beside = used + INPUT + field.wanted.room() <= cells;
    let indent = || vec![(" ".repeat(INDENT), Role::Plain)];
    let mut line = if beside { out.pop().unwrap_or_default() } else { indent() };
    let mark = if beside { used } else { INDENT };
    let room = cells.saturating_sub(mark + INPUT);
    let ceiling = if width(typed) + width(&ceiling) <= room { ceiling } else { String::new() };
    // The end of a long text is what somebody types at.
    let hidden = width(typed).saturating_sub(room.saturating_sub(width(&ceiling)));
    let shown: String = typed.chars().skip(hidden).collect();
    line.extend([(" > ".to_owned(), Role::Accent), (shown, Role::Selected)]);
    if here {
        line.push(("_".to_owned(), Role::Accent));
    }
    if !ceiling.is_empty() {
        line.push((ceiling, Role::Dim));
    }
    out.push(line);
    out
}
