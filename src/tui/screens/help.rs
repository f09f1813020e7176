//! Every key, made from the key table.

use crate::app::App;
use crate::app::keymap;
use crate::app::view::Mode;
use crate::plan::Area;
use crate::readiness::Verdict;
use crate::tui::theme::{Role, glyph};
use crate::tui::widgets::pen::Pen;
use crate::tui::widgets::text::Line;

const fn name_of(mode: Mode) -> &'static str {
    match mode {
        Mode::Board => "board",
        Mode::Plan => "plan",
        Mode::Timeline => "timeline",
        Mode::Help => "help",
        Mode::Filter => "filter",
        Mode::Palette => "command",
        Mode::Sort => "order",
    }
}

/// Draws help.
pub fn draw(pen: &mut Pen<'_>, app: &App) {
    let mut lines: Vec<Line> = Vec::new();
    let mut signs: Line = vec![("  ".into(), Role::Plain)];
    for verdict in Verdict::ALL.into_iter().rev() {
        signs.push((format!("{} {verdict}   ", glyph(verdict)), Role::of(verdict)));
    }
    signs.push(("- not required   ".into(), Role::Dim));
    signs.push(("… looking".into(), Role::Looking));
    lines.push(signs);
    let mut areas: Line = vec![("  ".into(), Role::Plain)];
    for area in Area::ALL {
        areas.push((area.heading().get(..1).unwrap_or("").into(), Role::Heading));
        areas.push((format!(" {area}   "), Role::Plain));
    }
    lines.push(areas);
    lines.push(Line::new());
    for binding in keymap::bound(app.view.read_only) {
        let keys: Vec<String> = binding.keys.iter().map(|k| keymap::name(*k)).collect();
        let place = if binding.modes.len() >= 4 {
            "everywhere".to_owned()
        } else {
            binding.modes.iter().map(|m| name_of(*m)).collect::<Vec<_>>().join(" ")
        };
        let (help, place) = match keymap::off(binding.action, &app.view) {
            Some(why) => (format!("{} (off: {why})", binding.help), String::new()),
            None => (binding.help.to_owned(), place),
        };
        let role = if binding.action.dangerous() { Role::Danger } else { Role::Accent };
        lines.push(vec![
            (format!("  {:<15}", keys.join(" ")), role),
            (format!("{help:<42} "), Role::Plain),
            (place, Role::Dim),
        ]);
    }
    let rows = usize::from(pen.rows());
    let top = app.view.help.min(lines.len().saturating_sub(rows));
    for (y, line) in (0..pen.rows()).zip(lines.iter().skip(top)) {
        pen.line(0, y, line);
    }
}
