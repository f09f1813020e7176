//! Every key, made from the key table.

use crate::app::App;
use crate::app::keymap;
use crate::app::view::Mode;
use crate::plan::Area;
use crate::readiness::Verdict;
use crate::tui::frame::Drawn;
use crate::tui::theme::{Role, glyph};
use crate::tui::widgets::pen::Pen;
use crate::tui::widgets::text::{Line, wrap};

/// Columns that the keys take.
const KEYS: usize = 17;
/// Columns that the words take where a place stands behind them.
const WORDS: usize = 42;

/// What there is to know of the mouse.
const MOUSE: &str = "Mouse: the wheel scrolls, a click selects, a click on what is selected opens it. With shift held the \
                     terminal selects text, in most terminals; mouse = false in the configuration leaves it to that.";

const fn name_of(mode: Mode) -> &'static str {
    match mode {
        Mode::Board => "board",
        Mode::Plan => "plan",
        Mode::Timeline => "timeline",
        Mode::Help => "help",
        Mode::Run => "run",
        Mode::Cause | Mode::BadData => "question",
        Mode::Form => "typing",
        Mode::Filter => "filter",
        Mode::Palette => "command",
        Mode::Sort => "order",
    }
}

/// Draws help.
pub fn draw(pen: &mut Pen<'_>, app: &App, drawn: &mut Drawn) {
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
    // What only helps while something is typed or chosen comes last.
    let aside =
        |b: &&'static keymap::Binding| b.modes.iter().all(|m| matches!(m, Mode::Filter | Mode::Palette | Mode::Sort));
    let (last, first): (Vec<&keymap::Binding>, Vec<&keymap::Binding>) =
        keymap::bound(app.view.read_only).partition(aside);
    for binding in first.into_iter().chain(last) {
        let keys: Vec<String> = binding.keys.iter().map(|k| keymap::name(*k)).collect();
        let place = if binding.modes.len() >= 4 {
            "everywhere".to_owned()
        } else {
            binding.modes.iter().map(|m| name_of(*m)).collect::<Vec<_>>().join(" ")
        };
        let (help, place) = match keymap::off(binding.action, app).filter(|_| binding.modes.contains(&app.view.place()))
        {
            Some(why) => (format!("{} (off: {why})", binding.help), String::new()),
            None => (binding.help.to_owned(), place),
        };
        let role = if binding.action.dangerous() { Role::Danger } else { Role::Accent };
        let room = usize::from(pen.cols()).saturating_sub(KEYS + 1);
        let mut keys = format!("{:<KEYS$}", format!("  {}", keys.join(" ")));
        for text in wrap(&help, if place.is_empty() { room } else { WORDS.min(room) }) {
            let first = !keys.trim().is_empty();
            lines.push(vec![
                (std::mem::replace(&mut keys, " ".repeat(KEYS)), role),
                (format!("{text:<WORDS$} "), Role::Plain),
                (if first { place.clone() } else { String::new() }, Role::Dim),
            ]);
        }
    }
    lines.push(Line::new());
    for text in wrap(MOUSE, usize::from(pen.cols()).saturating_sub(3)) {
        lines.push(vec![(format!("  {text}"), Role::Plain)]);
    }
    let rows = usize::from(pen.rows());
    let top = app.view.help.min(lines.len().saturating_sub(rows));
    for (y, line) in (0..pen.rows()).zip(lines.iter().skip(top)) {
        pen.line(0, y, line);
    }
    let hidden = lines.len().saturating_sub(top + rows);
    drawn.more = hidden;
}
