//! One frame: header, screen, footer, and what lies over it. Changes nothing.

use ratatui::buffer::Buffer;

use crate::app::board::{Ages, Sort, looking};
use crate::app::keymap;
use crate::app::palette;
use crate::app::view::{Mode, Overlay, Screen};
use crate::app::{App, Stage};
use crate::plan::{BootTime, Now};
use crate::readiness::Verdict;

use super::screens;
use super::theme::{Depth, Role, Theme, glyph};
use super::widgets::pen::{Pen, to_ascii};
use super::widgets::text::{Line, width};

/// The smallest terminal that a screen fits on.
const LEAST: (u16, u16) = (40, 8);

/// What drawing found out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drawn {
    /// When the first age that is shown changes.
    pub next: Option<BootTime>,
    /// The most lines that the details can be scrolled by.
    pub detail_max: usize,
    /// How many plans or changes were formatted: only those that are visible.
    pub formatted: usize,
}

/// What the terminal can show.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Its colours.
    pub depth: Depth,
    /// Only ASCII.
    pub ascii: bool,
}

/// Draws the whole screen.
pub fn draw(buf: &mut Buffer, app: &App, look: Look, now: Now) -> Drawn {
    let theme = Theme::named(&app.view.theme, look.depth, look.ascii);
    let ages = Ages::at(app.view.moment(now));
    let area = buf.area;
    let mut drawn = Drawn::default();
    let mut pen = Pen::new(buf, &theme, area);
    if area.width < LEAST.0 || area.height < LEAST.1 {
        pen.put(0, 0, "lifeboat: too small", area.width, Role::Plain);
        pen.put(0, 1, &format!("{}x{} needed", LEAST.0, LEAST.1), area.width, Role::Dim);
    } else {
        let top = header(&mut pen, app, now);
        let bottom = area.height.saturating_sub(2);
        pen.part(0, bottom, area.width, 1).rule(0);
        footer(&mut pen, app, area.height - 1);
        let mut body = pen.part(0, top, area.width, bottom.saturating_sub(top));
        match &app.view.screen {
            Screen::Board if app.stage == Stage::Reading => {
                body.put(2, 1, "reading configuration", area.width, Role::Looking);
            }
            Screen::Board => screens::board::draw(&mut body, app, &ages, &mut drawn),
            Screen::Plan(id) => match app.status(id) {
                Some(status) => screens::plan::draw(&mut body, app, status, &ages, &mut drawn),
                None => {
                    body.put(2, 1, "this plan is no longer configured", area.width, Role::Plain);
                }
            },
            Screen::Timeline => screens::timeline::draw(&mut body, app, &ages, &mut drawn),
            Screen::Help => screens::help::draw(&mut body, app),
        }
        overlay(&mut pen, app);
    }
    if look.ascii {
        to_ascii(buf);
    }
    // Ages of a frozen screen stand still.
    drawn.next = if app.view.frozen.is_some() { None } else { ages.next() };
    drawn
}

/// Title, counts and clock, a rule, and what must not be overlooked; returns the first row below.
fn header(pen: &mut Pen<'_>, app: &App, now: Now) -> u16 {
    let screen = match &app.view.screen {
        Screen::Board => "board".to_owned(),
        Screen::Plan(id) => format!("plan {id}"),
        Screen::Timeline => "timeline".into(),
        Screen::Help => "help".into(),
    };
    let cols = pen.cols();
    let clock = app.view.moment(now).wall.format("%H:%MZ").to_string();
    pen.put_right(cols.saturating_sub(1), 0, &clock, Role::Dim);
    // The words give way to the screen's name; the glyphs and numbers stay.
    let mut cells = 0;
    let mut shown = Line::new();
    for words in [true, false] {
        shown = counts(app, words);
        cells = shown.iter().map(|(t, _)| width(t)).sum::<usize>();
        if cells + width(&screen) + 22 <= usize::from(cols) {
            break;
        }
    }
    let mut right = cols.saturating_sub(8);
    let start = right.saturating_sub(u16::try_from(cells).unwrap_or(u16::MAX));
    pen.part(0, 0, right, 1).line(start, 0, &shown);
    right = start;
    let x = pen.put(1, 0, "lifeboat", right, Role::Title);
    pen.put(x + 2, 0, &screen, right.saturating_sub(x + 3), Role::Plain);
    pen.rule(1);
    let mut row = 2;
    let mut banner = |text: &str| {
        let mut line = pen.part(0, row, cols, 1);
        line.fill(Role::Banner);
        line.put(1, 0, text, cols.saturating_sub(1), Role::Banner);
        row += 1;
    };
    if let Some(frozen) = &app.view.frozen {
        let minutes = now.since(frozen.at).as_secs() / 60;
        let at = frozen.at.wall.format("%H:%M:%SZ");
        banner(&format!("FROZEN at {at}, {minutes} min ago. f thaws; so does anything that gets worse"));
    }
    if let Some(warning) = &app.view.warning {
        banner(warning);
    }
    row
}

/// How many plans there are of each verdict, worst first.
fn counts(app: &App, words: bool) -> Line {
    let statuses: Vec<_> = match &app.view.frozen {
        Some(f) => f.statuses.iter().collect(),
        None => app.model.statuses().collect(),
    };
    let under_way = statuses.iter().filter(|s| looking(s)).count();
    let mut out = Line::new();
    for verdict in Verdict::ALL {
        let mut n = statuses.iter().filter(|s| s.readiness == verdict).count();
        if verdict == Verdict::Unknown {
            n -= under_way.min(n);
        }
        if n > 0 {
            let word = if words { format!(" {}", verdict.word()) } else { String::new() };
            out.push((format!("{} {n}{word}  ", glyph(verdict)), Role::of(verdict)));
        }
    }
    if under_way > 0 {
        let word = if words { " looking" } else { "" };
        out.push((format!("… {under_way}{word}  "), Role::Looking));
    }
    out
}

/// A message, what is typed, or the keys of this place.
fn footer(pen: &mut Pen<'_>, app: &App, y: u16) {
    let cols = pen.cols();
    let mode = app.view.mode();
    if let Some(Overlay::Filter { .. }) = &app.view.overlay {
        let x = pen.put(1, y, "/", 1, Role::Accent);
        let x = pen.put(x, y, &app.view.filter, cols.saturating_sub(30), Role::Plain);
        pen.put(x, y, "_", 1, Role::Accent);
        pen.put_right(cols.saturating_sub(1), y, "enter keep   esc undo", Role::Dim);
        return;
    }
    if let Some(message) = &app.view.message {
        pen.put(1, y, &message.text, cols.saturating_sub(2), Role::Accent);
        return;
    }
    let danger: Vec<_> = keymap::bound(app.view.read_only)
        .filter(|b| b.action.dangerous() && b.modes.contains(&mode) && !b.footer.is_empty())
        .collect();
    let mut right = Line::new();
    let mut why = None;
    for binding in &danger {
        let key = binding.keys.first().map(|k| keymap::name(*k)).unwrap_or_default();
        why = why.or_else(|| keymap::off(binding.action, &app.view));
        let role = if why.is_some() { Role::Dim } else { Role::Danger };
        right.push((format!("{key} {}  ", binding.footer), role));
    }
    if let Some(why) = why {
        right.push((format!("off: {why} "), Role::Dim));
    }
    if app.view.read_only {
        right.push(("read-only ".into(), Role::Dim));
    }
    let cells = |line: &Line| u16::try_from(line.iter().map(|(t, _)| width(t)).sum::<usize>()).unwrap_or(u16::MAX);
    let mut left = Line::new();
    for binding in keymap::bound(true).filter(|b| !b.footer.is_empty() && b.modes.contains(&mode)) {
        let key = binding.keys.first().map(|k| keymap::name(*k)).unwrap_or_default();
        left.push((format!("{key} "), Role::Accent));
        left.push((format!("{}  ", binding.footer), Role::Plain));
    }
    // The dangerous keys keep their place apart; the ordinary ones give way.
    let mut room = cols.saturating_sub(1);
    if let (true, Some(why)) = (cols < 118, why) {
        let keys: Vec<String> = danger.iter().flat_map(|b| b.keys.first()).map(|k| keymap::name(*k)).collect();
        right = vec![(format!("{} off: {why} ", keys.join(" ")), Role::Dim)];
    }
    if !right.is_empty() && cells(&right) + 30 < cols {
        room = cols.saturating_sub(cells(&right));
    } else {
        right.clear();
    }
    while cells(&left) > room && !left.is_empty() {
        left.truncate(left.len() - 2);
    }
    pen.line(1, y, &left);
    // Over the space that ends the left side, never under it.
    if !right.is_empty() {
        pen.line(room, y, &right);
    }
}

fn overlay(pen: &mut Pen<'_>, app: &App) {
    let (cols, rows) = (pen.cols(), pen.rows());
    let Some(overlay) = &app.view.overlay else { return };
    debug_assert!(app.view.mode() != Mode::Board);
    match overlay {
        Overlay::Filter { .. } => {}
        Overlay::Palette { text, chosen } => {
            let entries = palette::entries(&app.model, text, 10);
            let (w, h) = (cols.min(72), (4 + 10).min(rows));
            let mut frame = pen.part((cols - w) / 2, (rows - h) / 3, w, h);
            let mut inner = frame.framed("command");
            let x = inner.put(0, 0, ":", 1, Role::Accent);
            let x = inner.put(x, 0, text, w.saturating_sub(6), Role::Plain);
            inner.put(x, 0, "_", 1, Role::Accent);
            for (y, (i, entry)) in (1_u16..).zip(entries.iter().enumerate()) {
                chosen_line(&mut inner, y, i == *chosen, &entry.text, &entry.help);
            }
            if entries.is_empty() {
                inner.put(2, 1, "nothing matches", w, Role::Dim);
            }
        }
        Overlay::Sort { chosen } => {
            let (w, h) = (cols.min(68), 6.min(rows));
            let mut frame = pen.part((cols - w) / 2, (rows - h) / 3, w, h);
            let mut inner = frame.framed("order");
            for (y, sort) in (0_u16..).zip(Sort::ALL) {
                chosen_line(&mut inner, y, sort == *chosen, sort.name(), sort.help());
            }
        }
    }
}

fn chosen_line(pen: &mut Pen<'_>, y: u16, chosen: bool, text: &str, help: &str) {
    if chosen {
        pen.put(0, y, "▌", 1, Role::Accent);
    }
    let x = pen.put(2, y, text, 26, if chosen { Role::Selected } else { Role::Plain });
    pen.put(x.max(18) + 2, y, help, u16::MAX, Role::Dim);
}
