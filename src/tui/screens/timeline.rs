//! Verdict changes, newest first. Only those that are visible are formatted.

use crate::app::App;
use crate::app::board::Ages;
use crate::readiness::Verdict;
use crate::tui::frame::Drawn;
use crate::tui::theme::{Role, glyph};
use crate::tui::widgets::pen::Pen;

/// Draws the timeline.
pub fn draw(pen: &mut Pen<'_>, app: &App, ages: &Ages, drawn: &mut Drawn) {
    let cols = pen.cols();
    let plan = if cols >= 110 { 20 } else { 12 };
    let situation = if cols >= 150 { 30 } else { 0 };
    let mut x = 1;
    for (head, cells) in [("WHEN", 20), ("PLAN", plan), ("FROM", 11), ("TO", 11), ("SITUATION", situation), ("WHY", 3)]
    {
        if cells > 0 {
            pen.put(x, 0, head, cells, Role::Heading);
            x += cells + 1;
        }
    }
    // What came after a freeze is not part of what is held still.
    let before = |at: crate::plan::Now| app.view.frozen.is_none() || at.boot <= ages.now().boot;
    let mut y = 1;
    for change in app.model.changes().rev().filter(|c| before(c.at)).skip(app.view.back) {
        if y >= pen.rows() {
            break;
        }
        drawn.formatted += 1;
        let mut x = 1;
        pen.put(x, y, &change.at.wall.format("%Y-%m-%d %H:%M:%SZ").to_string(), 20, Role::Dim);
        x += 21;
        pen.put(x, y, change.plan.as_str(), plan, Role::Plain);
        x += plan + 1;
        match change.from {
            Some(v) => verdict(pen, x, y, v),
            None => {
                pen.put(x, y, "first look", 11, Role::Dim);
            }
        }
        x += 12;
        verdict(pen, x, y, change.to);
        x += 12;
        if situation > 0 {
            pen.put(x, y, change.situation.words(), situation, Role::Plain);
            x += situation + 1;
            pen.put(x, y, change.why.as_str(), u16::MAX, Role::Plain);
        } else {
            let lead = if change.situation.leads() { change.situation.words() } else { "" };
            let text = if lead.is_empty() { change.why.to_string() } else { format!("{lead}: {}", change.why) };
            pen.put(x, y, &text, u16::MAX, Role::Plain);
        }
        y += 1;
    }
    if y == 1 {
        pen.put(1, 2, "nothing has changed yet, as far as this program saw", cols, Role::Dim);
    }
}

fn verdict(pen: &mut Pen<'_>, x: u16, y: u16, verdict: Verdict) {
    pen.put(x, y, &format!("{} {verdict}", glyph(verdict)), 11, Role::of(verdict));
}
