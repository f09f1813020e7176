//! One frame: header, screen, footer, and what lies over it. Changes nothing.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use crate::app::board::{Ages, Sort};
use crate::app::event::Spot;
use crate::app::guided::{Form, Painted, Purpose};
use crate::app::keymap::{self, Action};
use crate::app::palette;
use crate::app::view::{Mode, Overlay, Screen};
use crate::app::{App, Stage};
use crate::plan::{BootTime, Now};
use crate::readiness::Verdict;

use super::screens;
use super::theme::{Depth, Own, Role, Theme, glyph};
use super::widgets::pen::{Pen, to_ascii};
use super::widgets::text::{Line, width};

/// The smallest terminal that a screen fits on.
const LEAST: (u16, u16) = (40, 8);

/// What drawing found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drawn {
    /// When the first age that is shown changes.
    pub next: Option<BootTime>,
    /// The most lines that the details can be scrolled by.
    pub detail_max: usize,
    /// How many lines more there are below what is shown.
    pub more: usize,
    /// How many plans or changes were formatted: only those that are visible.
    pub formatted: usize,
    /// What was drawn of a prompt, where there is one.
    pub prompt: Option<Painted>,
    /// Where what the mouse can be about is drawn; of several at one place, the last.
    pub spots: Vec<(Rect, Spot)>,
}

impl Drawn {
    /// What is drawn at a column and a row, as far as the mouse can be about it.
    #[must_use]
    pub fn at(&self, col: u16, row: u16) -> Option<Spot> {
        let here = Position { x: col, y: row };
        self.spots.iter().rev().find(|(area, _)| area.contains(here)).map(|(_, spot)| spot.clone())
    }
}

/// What the terminal can show.
#[derive(Clone, Debug)]
pub struct Look {
    /// Its colours.
    pub depth: Depth,
    /// Only ASCII.
    pub ascii: bool,
    /// The user's own themes, once they are read.
    pub own: Vec<Own>,
}

/// Draws the whole screen.
pub fn draw(buf: &mut Buffer, app: &App, look: &Look, now: Now) -> Drawn {
    let theme = Theme::named(&app.view.theme, &look.own, look.depth);
    let ages = Ages::at(app.view.moment(now));
    let area = buf.area;
    let mut drawn = Drawn::default();
    // What a theme says of plain text holds for what is left blank, too.
    buf.set_style(area, theme.style(Role::Plain));
    let mut pen = Pen::new(buf, &theme, area);
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let what = if app.view.practice { "PRACTICE: too small" } else { "lifeboat: too small" };
        pen.put(0, 0, what, area.width, Role::Plain);
        pen.put(0, 1, &format!("{}x{} needed", LEAST.0, LEAST.1), area.width, Role::Dim);
    } else {
        let bare = bare(app);
        let top = header(&mut pen, app, now, bare);
        let bottom = area.height.saturating_sub(if bare { 1 } else { 2 });
        if !bare {
            pen.part(0, bottom, area.width, 1).rule(0);
        }
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
            Screen::Help => screens::help::draw(&mut body, app, &mut drawn),
            Screen::Opening => screens::opening::draw(&mut body, app, &ages, &mut drawn),
            Screen::Run(run) => match app.runs.get(run) {
                Some(known) => screens::run::draw(&mut body, app, known, &ages, &mut drawn),
                None => {
                    body.put(2, 1, "reading the run's journal", area.width, Role::Looking);
                }
            },
        }
        if drawn.more > 0 {
            // On the rule, where it hides no word.
            pen.put_right(area.width.saturating_sub(1), bottom, &format!(" {} more: pgdn ", drawn.more), Role::Accent);
        }
        overlay(&mut pen, app, &mut drawn);
    }
    if look.ascii {
        to_ascii(buf);
    }
    // Ages of a frozen screen stand still.
    drawn.next = if app.view.frozen.is_some() { None } else { ages.next() };
    drawn
}

/// Below so many rows a prompt has the frame's, too: all of it must be on the screen. The prompt of a whole range is long.
const TALL: u16 = 30;
const TALLER: u16 = 46;

/// Whether a prompt has the rows of title and rules.
#[must_use]
pub fn bare(app: &App) -> bool {
    let least = app.view.form.as_ref().map_or(0, |f: &Form| match f.purpose {
        Purpose::Open => TALL,
        Purpose::Approve { .. } => TALLER,
        Purpose::Withdraw(_)
        | Purpose::Confirm(..)
        | Purpose::Skip(..)
        | Purpose::TurnBack(_)
        | Purpose::Abort(_)
        | Purpose::Acknowledge(_)
        | Purpose::Note(_)
        | Purpose::Date(_) => 0,
    });
    app.view.rows < least && app.view.overlay.is_none()
}

/// Title, counts and clock, a rule, and what must not be overlooked; returns the first row below.
fn header(pen: &mut Pen<'_>, app: &App, now: Now, bare: bool) -> u16 {
    if bare {
        return banners(pen, app, now, 0);
    }
    let screen = match &app.view.screen {
        Screen::Board => "board".to_owned(),
        Screen::Plan(id) => format!("plan {id}"),
        Screen::Timeline => "timeline".into(),
        Screen::Help => "help".into(),
        Screen::Opening => app.view.opening.as_ref().map_or_else(String::new, |o| format!("{} of {}", o.kind, o.plan)),
        Screen::Run(run) => format!("run {run}"),
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
    banners(pen, app, now, 2)
}

/// What must not be overlooked, from a row on; returns the first row below.
fn banners(pen: &mut Pen<'_>, app: &App, now: Now, mut row: u16) -> u16 {
    let cols = pen.cols();
    let mut banner = |text: &str| {
        let mut line = pen.part(0, row, cols, 1);
        line.fill(Role::Banner);
        line.put(1, 0, text, cols.saturating_sub(1), Role::Banner);
        row += 1;
    };
    if app.view.practice {
        banner("PRACTICE: the sites are simulated, nothing here is real");
    }
    for alarm in &app.view.banners {
        banner(&format!("✖ {}", alarm.what));
        banner(&format!("  next: {}", alarm.next));
    }
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
    let tally = &app.view.tally;
    let mut out = Line::new();
    for (verdict, n) in Verdict::ALL.into_iter().zip(tally.verdicts) {
        if n > 0 {
            let word = if words { format!(" {}", verdict.word()) } else { String::new() };
            out.push((format!("{} {n}{word}  ", glyph(verdict)), Role::of(verdict)));
        }
    }
    if tally.looking > 0 {
        let word = if words { " looking" } else { "" };
        out.push((format!("… {}{word}  ", tally.looking), Role::Looking));
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
    if let Some(said) = app.view.form.as_ref().filter(|_| bare(app)).and_then(|f| f.said.as_ref()) {
        pen.put(1, y, said, cols.saturating_sub(2), Role::Accent);
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
    let (mut why, mut some) = (None, false);
    let run = mode == Mode::Run;
    for binding in &danger {
        let key = binding.keys.first().map(|k| keymap::name(*k)).unwrap_or_default();
        let off = keymap::off(binding.action, app);
        // In a run only what can be had there is offered; what starts one says why it cannot.
        if run && (off.is_some() || binding.modes.len() > 1) {
            continue;
        }
        let role = if off.is_some() { Role::Dim } else { Role::Danger };
        some |= off.is_none();
        why = why.or(off);
        right.push((format!("{key} {}  ", binding.footer), role));
    }
    // Where one of them can be had, the other says why it cannot when it is pressed.
    why = why.filter(|_| !some);
    if let Some(why) = &why {
        right.push((format!("off: {why} "), Role::Dim));
    }
    if app.view.read_only {
        right.push(("read-only ".into(), Role::Dim));
    } else if let Some(host) = app.host.as_ref().filter(|_| why.is_none() && !right.is_empty() && !run) {
        right.push((format!("lock: {} ", host.scope), Role::Dim));
    }
    let cells = |line: &Line| u16::try_from(line.iter().map(|(t, _)| width(t)).sum::<usize>()).unwrap_or(u16::MAX);
    let plain = keymap::bound(app.view.read_only).filter(|b| !b.action.dangerous());
    let here = plain.filter(|b| !b.footer.is_empty() && b.modes.contains(&mode));
    let mut hints: Vec<_> = here.filter(|b| keymap::off(b.action, app).is_none()).collect();
    // The dangerous keys keep their place apart; the ordinary ones give way.
    let mut room = cols.saturating_sub(1);
    if let (true, Some(why)) = (cols < 118, why) {
        let keys: Vec<String> = danger.iter().flat_map(|b| b.keys.first()).map(|k| keymap::name(*k)).collect();
        right = vec![(format!("{} off: {why}", keys.join(" ")), Role::Dim)];
    }
    if !right.is_empty() && cells(&right) + if run { 12 } else { 30 } < cols {
        room = cols.saturating_sub(cells(&right));
    } else {
        right.clear();
    }
    // With a gap, so that one hint does not read on into the other. The ways out and to all the other keys stay to the last.
    loop {
        let mut left = Line::new();
        for binding in &hints {
            let key = binding.keys.first().map(|k| keymap::name(*k)).unwrap_or_default();
            left.push((format!("{key} "), Role::Accent));
            left.push((format!("{}  ", binding.footer), Role::Plain));
        }
        if cells(&left) < room || hints.is_empty() {
            pen.line(1, y, &left);
            break;
        }
        let stays = |b: &&keymap::Binding| matches!(b.action, Action::Back | Action::Help | Action::Quit);
        let last = hints.iter().rposition(|b| !stays(b)).unwrap_or(hints.len() - 1);
        hints.remove(last);
    }
    // Over the space that ends the left side, never under it.
    if !right.is_empty() {
        pen.line(room, y, &right);
    }
}

fn overlay(pen: &mut Pen<'_>, app: &App, drawn: &mut Drawn) {
    let (cols, rows) = (pen.cols(), pen.rows());
    let Some(overlay) = &app.view.overlay else { return };
    debug_assert!(app.view.mode() != Mode::Board);
    // What lies under it is out of reach.
    drawn.spots.clear();
    match overlay {
        Overlay::Filter { .. } => {}
        Overlay::Palette { text, chosen } => {
            let entries = palette::entries(app, text, 10);
            let (w, h) = (cols.min(72), (4 + 10).min(rows));
            let mut frame = pen.part((cols - w) / 2, (rows - h) / 3, w, h);
            let mut inner = frame.framed("command");
            let x = inner.put(0, 0, ":", 1, Role::Accent);
            let x = inner.put(x, 0, text, w.saturating_sub(6), Role::Plain);
            inner.put(x, 0, "_", 1, Role::Accent);
            for (y, (i, entry)) in (1_u16..).zip(entries.iter().enumerate()) {
                chosen_line(&mut inner, y, i == *chosen, &entry.text, &entry.help);
                drawn.spots.push((inner.place(0, y, inner.cols(), 1), Spot::Entry(i)));
            }
            if entries.is_empty() {
                inner.put(2, 1, "nothing matches", w, Role::Dim);
            }
        }
        Overlay::Sort { chosen } => {
            let (w, h) = (cols.min(68), 6.min(rows));
            let mut frame = pen.part((cols - w) / 2, (rows - h) / 3, w, h);
            let mut inner = frame.framed("order");
            for (y, (i, sort)) in (0_u16..).zip(Sort::ALL.into_iter().enumerate()) {
                chosen_line(&mut inner, y, sort == *chosen, sort.name(), sort.help());
                drawn.spots.push((inner.place(0, y, inner.cols(), 1), Spot::Entry(i)));
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
