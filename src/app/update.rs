//! What each event does to what is shown.

use std::sync::Arc;
use std::time::Duration;

use crate::plan::{BootTime, Now, Plan, PlanId};
use crate::readiness::{Finding, PlanStatus, Verdict};

use super::Model;
use super::board::{self, Sort};
use super::event::{Effect, Event, Key, KeyCode, Stamped};
use super::history::Memory;
use super::keymap::{self, Action};
use super::palette::{self, Command};
use super::view::{FindingId, Frozen, Message, Overlay, Screen, THEMES, View};

/// Lines of the palette that are shown.
pub const PALETTE_LINES: usize = 10;
/// Most characters of a text that is typed.
const TYPED: usize = 200;

/// How far the session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The configuration is being read.
    Reading,
    /// The plans are known.
    Live,
}

/// Everything that one session knows and shows. Owned by one task.
#[derive(Debug)]
pub struct App {
    /// The facts and their judgement.
    pub model: Model,
    /// What is shown of them.
    pub view: View,
    /// How far the session has come.
    pub stage: Stage,
    pending: Vec<Memory>,
    judged: Vec<Arc<PlanStatus>>,
    changes: usize,
}

/// What follows from an event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Update {
    /// To be carried out by the shell.
    pub effects: Vec<Effect>,
    /// Whether something visible changed.
    pub dirty: bool,
}

impl Update {
    fn dirty() -> Self {
        Self { effects: Vec::new(), dirty: true }
    }

    fn with(effect: Effect) -> Self {
        Self { effects: vec![effect], dirty: true }
    }
}

impl App {
    /// A session that begins, on a terminal of this size.
    #[must_use]
    pub fn new(model: Model, cols: u16, rows: u16) -> Self {
        Self {
            model,
            view: View::new(cols, rows),
            stage: Stage::Reading,
            pending: Vec::new(),
            judged: Vec::new(),
            changes: 0,
        }
    }

    /// Takes the plans.
    pub fn configure(&mut self, plans: Vec<Arc<Plan>>, now: Now) {
        self.model.configure(plans, now);
        self.stage = Stage::Live;
        self.judged = self.model.statuses().cloned().collect();
        self.changes = self.model.changes().len();
        self.refresh();
    }

    /// Judges what has news or has aged, after a drained batch of events.
    pub fn settle(&mut self, now: Now) -> Update {
        let (changed, memories) = self.model.settle(now);
        self.pending.extend(memories);
        let mut out = Update::default();
        if !self.pending.is_empty() {
            out.effects.push(Effect::Remember(std::mem::take(&mut self.pending)));
        }
        if self.view.message.as_ref().is_some_and(|m| now.since(m.at) >= Duration::from_secs(Message::LASTS)) {
            self.view.message = None;
            out.dirty = true;
        }
        if changed {
            out.dirty |= self.judged_anew(now);
        }
        out
    }

    /// Whether the new judgement changes anything on the screen.
    fn judged_anew(&mut self, now: Now) -> bool {
        let statuses: Vec<Arc<PlanStatus>> = self.model.statuses().cloned().collect();
        let mut faces = self.judged.len() != statuses.len();
        let mut open = false;
        let mut worse: Option<PlanId> = None;
        for (old, new) in self.judged.iter().zip(&statuses) {
            if Arc::ptr_eq(old, new) {
                continue;
            }
            faces |= board::face(old) != board::face(new) || ages_differ(old, new);
            open |= self.view.screen == Screen::Plan(new.plan.id.clone());
        }
        if let Some(frozen) = &self.view.frozen {
            let is_worse = |(old, new): (&Arc<PlanStatus>, &Arc<PlanStatus>)| {
                (old.plan.id == new.plan.id && board::worsened(old, new)).then(|| new.plan.id.clone())
            };
            worse = frozen.statuses.iter().zip(&statuses).find_map(is_worse);
        }
        self.judged = statuses;
        if let Some(plan) = worse {
            self.view.frozen = None;
            self.view.message = Some(Message { text: format!("thawed: {plan} got worse"), at: now });
            self.refresh();
            return true;
        }
        if self.view.frozen.is_some() {
            return false;
        }
        let changes = self.model.changes().len();
        let news = changes != self.changes;
        if self.view.back > 0 {
            self.view.back += changes.saturating_sub(self.changes);
        }
        self.changes = changes;
        self.refresh();
        faces || open || (news && self.view.screen == Screen::Timeline)
    }

    /// Makes anew what is shown, and keeps the cursor on its plan and on the screen.
    fn refresh(&mut self) {
        let view = &mut self.view;
        view.shown = match &view.frozen {
            Some(frozen) => board::ordered(frozen.statuses.iter(), &view.filter, view.sort),
            None => board::ordered(self.model.statuses(), &view.filter, view.sort),
        };
        if !view.chosen {
            // Until every plan was looked at, the order is no order: the cursor stays on the first row, which then is the
            // worst. From there on it stays on its plan.
            view.selected = view.shown.first().map(|s| s.plan.id.clone());
            view.chosen = !view.shown.is_empty() && view.shown.iter().all(|s| board::face(s).readiness.is_some());
        }
        self.reframe();
    }

    fn reframe(&mut self) {
        let view = &mut self.view;
        let cursor = view.cursor().unwrap_or(0);
        view.top = board::fit(&view.shown, view.top, cursor, view.list_rows(), view.cols);
        if let Screen::Plan(id) = &view.screen
            && let Some(status) = view.shown_status(id).or_else(|| self.model.status(id))
        {
            let ids = FindingId::all(&status.findings);
            if view.finding.as_ref().is_none_or(|f| !ids.contains(f)) {
                view.finding = in_order(&status.findings).first().and_then(|i| ids.get(*i)).cloned();
            }
        }
    }

    /// The status that is shown of a plan: the frozen one, where the screen is frozen.
    #[must_use]
    pub fn status(&self, id: &PlanId) -> Option<&Arc<PlanStatus>> {
        match &self.view.frozen {
            Some(frozen) => frozen.statuses.iter().find(|s| s.plan.id == *id),
            None => self.model.status(id),
        }
    }

    /// The plan that an action would be about: the open one, or the selected one where it is shown.
    #[must_use]
    pub fn target(&self) -> Option<&PlanId> {
        match &self.view.screen {
            Screen::Plan(id) => Some(id),
            Screen::Board => self.view.selected.as_ref().filter(|_| self.view.cursor().is_some()),
            Screen::Timeline | Screen::Help => None,
        }
    }

    fn say(&mut self, text: impl Into<String>, at: Now) {
        self.view.message = Some(Message { text: text.into(), at });
    }
}

impl View {
    fn shown_status(&self, id: &PlanId) -> Option<&Arc<PlanStatus>> {
        self.frozen.as_ref()?.statuses.iter().find(|s| s.plan.id == *id)
    }
}

/// Whether what the board shows as an age counts from another moment, although the words are the same.
fn ages_differ(old: &PlanStatus, new: &PlanStatus) -> bool {
    let trouble = |s: &PlanStatus| s.readiness != Verdict::Ready;
    trouble(new) && old.why().and_then(Finding::oldest) != new.why().and_then(Finding::oldest)
}

/// The places of a plan's findings in the order of its screen: by area, the area with the worst first, and worst first
/// within.
#[must_use]
pub fn in_order(findings: &[Finding]) -> Vec<usize> {
    let mut areas = Vec::new();
    for finding in findings {
        // The findings come worst first, so areas are met worst first.
        if !areas.contains(&finding.area) {
            areas.push(finding.area);
        }
    }
    areas
        .into_iter()
        .flat_map(|area| findings.iter().enumerate().filter(move |(_, f)| f.area == area).map(|(i, _)| i))
        .collect()
}

/// When something that is shown changes although nothing happens: evidence ages past a limit, the clock's minute, a
/// message goes. Ages on the screen come on top; whoever draws them knows them.
#[must_use]
pub fn next_wake(app: &App, now: Now) -> Option<BootTime> {
    let mut next = app.model.next_wake();
    let mut earlier = |at: BootTime| next = Some(next.map_or(at, |n| n.min(at)));
    if let Some(message) = &app.view.message {
        earlier(BootTime(message.at.boot.0.saturating_add(Duration::from_secs(Message::LASTS))));
    }
    earlier(next_minute(now));
    next
}

/// When the wall clock's minute changes.
#[must_use]
pub fn next_minute(now: Now) -> BootTime {
    let into = u64::try_from(now.wall.timestamp_millis().rem_euclid(60_000)).unwrap_or(0);
    BootTime(now.boot.0.saturating_add(Duration::from_millis(60_000 - into)))
}

/// What one event does. Exhaustive: nothing is dropped unseen.
pub fn update(app: &mut App, stamped: Stamped) -> Update {
    let now = stamped.at;
    match stamped.event {
        Event::Key(key) => on_key(app, key, now),
        Event::Pasted => {
            app.say("pasted text is not taken as keys", now);
            Update::dirty()
        }
        Event::Resized { cols, rows } => {
            app.view.cols = cols;
            app.view.rows = rows;
            app.reframe();
            Update::dirty()
        }
        Event::Polled(polled) => {
            let memories = app.model.polled(polled);
            app.pending.extend(memories);
            Update::default()
        }
        Event::Remembered(history) => {
            app.model.remember(*history);
            app.changes = app.model.changes().len();
            Update { effects: Vec::new(), dirty: app.view.screen != Screen::Board }
        }
        Event::StoreFailed(why) => {
            let text = why.to_string();
            let dirty = app.view.warning.as_ref() != Some(&text);
            app.view.warning = Some(text);
            app.reframe();
            Update { effects: Vec::new(), dirty }
        }
        Event::Woke => Update::default(),
        Event::Ended(_) => Update::with(Effect::Quit),
    }
}

fn on_key(app: &mut App, key: Key, now: Now) -> Update {
    let mode = app.view.mode();
    let had_message = app.view.message.take().is_some();
    let out = match keymap::lookup(mode, key, app.view.read_only) {
        Some(action) => act(app, action, now),
        None => match (key, &mut app.view.overlay) {
            (Key { code: KeyCode::Char(c), ctrl: false }, Some(Overlay::Filter { .. })) => {
                if app.view.filter.chars().count() < TYPED {
                    app.view.filter.push(c);
                }
                filtered(app);
                Update::dirty()
            }
            (Key { code: KeyCode::Char(c), ctrl: false }, Some(Overlay::Palette { text, chosen })) => {
                if text.chars().count() < TYPED {
                    text.push(c);
                }
                *chosen = 0;
                Update::dirty()
            }
            (_, _) => Update::default(),
        },
    };
    app.reframe();
    Update { dirty: out.dirty || had_message, ..out }
}

/// The filter was typed by the person at the screen, so the cursor may go to what it leaves.
fn filtered(app: &mut App) {
    app.refresh();
    if app.view.cursor().is_none() {
        app.view.selected = app.view.shown.first().map(|s| s.plan.id.clone()).or(app.view.selected.take());
    }
}

fn act(app: &mut App, action: Action, now: Now) -> Update {
    if let Some(why) = keymap::off(action, &app.view) {
        // A dangerous key never acts on a screen that is held still.
        app.view.frozen = None;
        app.refresh();
        let word = if action == Action::Failover { "failover" } else { "switchover" };
        app.say(format!("{word} is off: {why}"), now);
        return Update::dirty();
    }
    match action {
        Action::Up => step(app, -1),
        Action::Down => step(app, 1),
        Action::PageUp => page(app, -1),
        Action::PageDown => page(app, 1),
        Action::First => edge(app, false),
        Action::Last => edge(app, true),
        Action::Open => return open(app, now),
        Action::Back => back(app),
        Action::Board => app.view.screen = Screen::Board,
        Action::Timeline => {
            if app.view.screen != Screen::Timeline {
                app.view.below = app.view.screen.clone();
            }
            app.view.screen = Screen::Timeline;
            app.view.back = 0;
        }
        Action::Help => {
            app.view.below = app.view.screen.clone();
            app.view.screen = Screen::Help;
            app.view.help = 0;
        }
        Action::Filter => {
            app.view.screen = Screen::Board;
            app.view.overlay = Some(Overlay::Filter { before: app.view.filter.clone() });
        }
        Action::Palette => app.view.overlay = Some(Overlay::Palette { text: String::new(), chosen: 0 }),
        Action::Sort => {
            app.view.screen = Screen::Board;
            app.view.overlay = Some(Overlay::Sort { chosen: app.view.sort });
        }
        Action::Poll => return poll(app, now),
        Action::Freeze => freeze(app, now),
        Action::Theme => {
            let at = THEMES.iter().position(|t| *t == app.view.theme).unwrap_or(0);
            let next = THEMES.iter().cycle().nth(at + 1).copied().unwrap_or("default");
            next.clone_into(&mut app.view.theme);
        }
        Action::Erase => match &mut app.view.overlay {
            Some(Overlay::Filter { .. }) => {
                app.view.filter.pop();
                filtered(app);
            }
            Some(Overlay::Palette { text, chosen }) => {
                text.pop();
                *chosen = 0;
            }
            Some(Overlay::Sort { .. }) | None => {}
        },
        Action::Failover | Action::Switchover => {}
        Action::Suspend => return Update::with(Effect::Suspend),
        Action::Quit => return Update::with(Effect::Quit),
    }
    Update::dirty()
}

fn poll(app: &mut App, now: Now) -> Update {
    let Some(id) = app.target().cloned() else { return Update::default() };
    let Some(status) = app.model.status(&id) else { return Update::default() };
    let lanes: Vec<_> =
        status.plan.probes.iter().flat_map(|p| p.lanes.iter().map(move |lane| p.lane_id(lane))).collect();
    if lanes.is_empty() {
        app.say(format!("{id} has no probe"), now);
        return Update::dirty();
    }
    app.say(format!("looking at {id} again"), now);
    Update::with(Effect::PollNow(lanes))
}

fn freeze(app: &mut App, now: Now) {
    app.view.frozen = match app.view.frozen.take() {
        Some(_) => None,
        None => Some(Frozen { at: now, statuses: app.model.statuses().cloned().collect() }),
    };
    app.refresh();
}

/// Moves `by` within `0..len`, staying inside.
fn moved(at: usize, by: isize, len: usize) -> usize {
    at.saturating_add_signed(by).min(len.saturating_sub(1))
}

fn step(app: &mut App, by: isize) {
    let matching = match &app.view.overlay {
        Some(Overlay::Palette { text, .. }) => palette::entries(&app.model, text, PALETTE_LINES).len(),
        Some(Overlay::Filter { .. } | Overlay::Sort { .. }) | None => 0,
    };
    match &mut app.view.overlay {
        Some(Overlay::Palette { chosen, .. }) => {
            *chosen = moved(*chosen, by, matching);
            return;
        }
        Some(Overlay::Sort { chosen }) => {
            let at = Sort::ALL.iter().position(|s| s == chosen).unwrap_or(0);
            *chosen = Sort::ALL.get(moved(at, by, Sort::ALL.len())).copied().unwrap_or(*chosen);
            return;
        }
        Some(Overlay::Filter { .. }) => return,
        None => {}
    }
    match app.view.screen.clone() {
        Screen::Board => {
            // Where the cursor's own plan is not shown, the first movement enters the list.
            let to = app.view.cursor().map_or(0, |at| moved(at, by, app.view.shown.len()));
            select(app, to);
        }
        Screen::Plan(id) => select_finding(app, &id, |at, len| moved(at, by, len)),
        Screen::Timeline => app.view.back = moved(app.view.back, by, app.model.changes().len()),
        Screen::Help => app.view.help = moved(app.view.help, by, keymap::KEYMAP.len()),
    }
}

fn page(app: &mut App, by: isize) {
    let rows = isize::try_from(app.view.list_rows().max(1)).unwrap_or(1);
    match app.view.screen {
        Screen::Plan(_) => app.view.detail = app.view.detail.saturating_add_signed(by * (rows / 2).max(1)),
        Screen::Board | Screen::Timeline | Screen::Help => step(app, by * rows),
    }
}

fn edge(app: &mut App, last: bool) {
    match app.view.screen.clone() {
        Screen::Board => select(app, if last { app.view.shown.len().saturating_sub(1) } else { 0 }),
        Screen::Plan(id) => select_finding(app, &id, |_, len| if last { len.saturating_sub(1) } else { 0 }),
        Screen::Timeline => app.view.back = if last { app.model.changes().len().saturating_sub(1) } else { 0 },
        Screen::Help => app.view.help = if last { keymap::KEYMAP.len() - 1 } else { 0 },
    }
}

fn select(app: &mut App, row: usize) {
    if let Some(status) = app.view.shown.get(row) {
        app.view.selected = Some(status.plan.id.clone());
        app.view.chosen = true;
    }
}

fn select_finding(app: &mut App, id: &PlanId, to: impl Fn(usize, usize) -> usize) {
    let Some(status) = app.status(id).cloned() else { return };
    let ids = FindingId::all(&status.findings);
    let order = in_order(&status.findings);
    let at = order.iter().position(|i| ids.get(*i) == app.view.finding.as_ref()).unwrap_or(0);
    app.view.finding = order.get(to(at, order.len())).and_then(|i| ids.get(*i)).cloned();
    app.view.detail = 0;
}

fn back(app: &mut App) {
    match app.view.overlay.take() {
        Some(Overlay::Filter { before }) => {
            app.view.filter = before;
            app.refresh();
        }
        Some(Overlay::Palette { .. } | Overlay::Sort { .. }) => {}
        None => match app.view.screen {
            Screen::Board => {
                app.view.filter.clear();
                app.refresh();
            }
            Screen::Plan(_) => app.view.screen = Screen::Board,
            Screen::Timeline | Screen::Help => {
                app.view.screen = std::mem::replace(&mut app.view.below, Screen::Board);
            }
        },
    }
}

fn open(app: &mut App, now: Now) -> Update {
    match app.view.overlay.take() {
        Some(Overlay::Filter { .. }) => Update::dirty(),
        Some(Overlay::Sort { chosen }) => {
            app.view.sort = chosen;
            app.refresh();
            Update::dirty()
        }
        Some(Overlay::Palette { text, chosen }) => {
            match palette::entries(&app.model, &text, PALETTE_LINES).into_iter().nth(chosen) {
                Some(entry) => run(app, entry.command, now),
                None => {
                    app.say(format!("no command matches \"{text}\""), now);
                    Update::dirty()
                }
            }
        }
        None => {
            if let Some(id) = app.target().cloned() {
                open_plan(app, id);
            }
            Update::dirty()
        }
    }
}

fn open_plan(app: &mut App, id: PlanId) {
    app.view.selected = Some(id.clone());
    app.view.chosen = true;
    app.view.screen = Screen::Plan(id);
    app.view.finding = None;
    app.view.detail = 0;
}

fn run(app: &mut App, command: Command, now: Now) -> Update {
    match command {
        Command::Do(action) => act(app, action, now),
        Command::Open(id) => {
            open_plan(app, id);
            Update::dirty()
        }
        Command::Sort(sort) => {
            app.view.sort = sort;
            app.refresh();
            Update::dirty()
        }
        Command::Theme(name) => {
            name.clone_into(&mut app.view.theme);
            Update::dirty()
        }
        Command::PollAll => {
            app.say("looking at every plan again", now);
            Update::with(Effect::PollNow(Vec::new()))
        }
    }
}
