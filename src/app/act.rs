//! What each key and command does.

use crate::plan::{Now, PlanId};

use super::board::Sort;
use super::event::{Effect, Key, KeyCode};
use super::guided;
use super::keymap::{self, Action};
use super::palette::{self, Command};
use super::update::{App, PALETTE_LINES, Update, in_order};
use super::view::{FindingId, Frozen, Mode, Overlay, Screen};

/// Most characters of a text that is typed.
const TYPED: usize = 200;

/// What a key press does.
pub(super) fn on_key(app: &mut App, key: Key, now: Now) -> Update {
    // No text is typed with ctrl.
    if !key.ctrl && guided::hushed(app, now) {
        return Update::dirty();
    }
    let mode = app.view.mode();
    let had_message = app.view.message.take().is_some();
    let out = match keymap::lookup(mode, key, app.view.read_only) {
        Some(action) => act(app, action, now),
        None if mode == Mode::Form => match key {
            Key { code: KeyCode::Char(c), ctrl: false } => guided::typed(app, c, now),
            Key { .. } => Update::default(),
        },
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

/// Takes something away from the text that is being typed.
fn shorten(app: &mut App, now: Now, how: fn(&mut String)) {
    match &mut app.view.overlay {
        Some(Overlay::Filter { .. }) => {
            how(&mut app.view.filter);
            filtered(app);
        }
        Some(Overlay::Palette { text, chosen }) => {
            how(text);
            *chosen = 0;
        }
        Some(Overlay::Sort { .. }) => {}
        None => {
            if let Some(form) = &mut app.view.form {
                form.shorten(now, how);
            }
        }
    }
}

/// Fills in what the cursor is on; it is not done before it is confirmed.
fn complete(app: &mut App) {
    let entry = match &app.view.overlay {
        Some(Overlay::Palette { text, chosen }) => palette::entries(app, text, PALETTE_LINES).into_iter().nth(*chosen),
        Some(Overlay::Filter { .. } | Overlay::Sort { .. }) | None => None,
    };
    let Some(entry) = entry else { return };
    // Names may differ by case alone: the cursor stays on the one that was filled in.
    let at = palette::entries(app, &entry.text, PALETTE_LINES).iter().position(|e| *e == entry);
    if let Some(Overlay::Palette { text, chosen }) = &mut app.view.overlay {
        *text = entry.text;
        *chosen = at.unwrap_or(0);
    }
}

/// The filter was typed by the person at the screen, so the cursor may go to what it leaves.
fn filtered(app: &mut App) {
    app.refresh();
    if app.view.cursor().is_none() {
        app.view.selected = app.view.shown.first().map(|s| s.plan.id.clone()).or(app.view.selected.take());
    }
}

fn act(app: &mut App, action: Action, now: Now) -> Update {
    if action.writes() && app.view.read_only {
        return Update::default();
    }
    if action.dangerous() {
        // A dangerous key never acts on a screen that is held still.
        app.view.chosen = true;
        if app.view.frozen.take().is_some() {
            app.refresh();
        }
    }
    if let Some(why) = keymap::off(action, app) {
        app.say(format!("{} is off: {why}", name_of(action)), now);
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
            let view = &mut app.view;
            let at = view.themes.iter().position(|t| *t == view.theme).unwrap_or(0);
            if let Some(next) = view.themes.iter().cycle().nth(at + 1).cloned() {
                view.theme.clone_from(&next);
                app.say(format!("theme {next}"), now);
            }
        }
        Action::Copy => return copy(app, false, now),
        Action::Mouse => return mouse(app, now),
        Action::Erase => shorten(app, now, |text| {
            text.pop();
        }),
        Action::Clear => shorten(app, now, String::clear),
        Action::Complete => complete(app),
        Action::Start(kind) => return guided::begin(app, kind, now),
        Action::Answer(answer) => return guided::answer(app, answer, now),
        Action::Run => return guided::to_run(app),
        Action::InRun(action) => return guided::in_run(app, action, now),
        Action::Suspend => return Update::with(Effect::Suspend),
        Action::Quit => return Update::with(Effect::Quit),
    }
    Update::dirty()
}

/// What an action is called, where it has a name in the palette.
fn name_of(action: Action) -> &'static str {
    keymap::KEYMAP.iter().find(|b| b.action == action && !b.command.is_empty()).map_or("this", |b| b.command)
}

fn poll(app: &mut App, now: Now) -> Update {
    let Some(id) = app.target().cloned() else { return Update::default() };
    app.view.chosen = true;
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

pub(super) fn step(app: &mut App, by: isize) {
    let matching = match &app.view.overlay {
        Some(Overlay::Palette { text, .. }) => palette::entries(app, text, PALETTE_LINES).len(),
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
        None if app.view.form.is_some() => {
            guided::moved_in_form(app, by);
            return;
        }
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
        Screen::Run(_) => guided::step_by(app, |at, len| moved(at, by, len)),
        Screen::Opening => app.view.detail = app.view.detail.saturating_add_signed(by),
    }
}

fn page(app: &mut App, by: isize) {
    let rows = isize::try_from(app.view.list_rows().max(1)).unwrap_or(1);
    match app.view.screen {
        Screen::Plan(_) | Screen::Run(_) | Screen::Opening => {
            app.view.detail = app.view.detail.saturating_add_signed(by * (rows / 2).max(1));
        }
        Screen::Board | Screen::Timeline | Screen::Help => step(app, by * rows),
    }
}

fn edge(app: &mut App, last: bool) {
    match app.view.screen.clone() {
        Screen::Board => select(app, if last { app.view.shown.len().saturating_sub(1) } else { 0 }),
        Screen::Plan(id) => select_finding(app, &id, |_, len| if last { len.saturating_sub(1) } else { 0 }),
        Screen::Timeline => app.view.back = if last { app.model.changes().len().saturating_sub(1) } else { 0 },
        Screen::Help => app.view.help = if last { keymap::KEYMAP.len() - 1 } else { 0 },
        Screen::Run(_) => guided::step_by(app, |_, len| if last { len.saturating_sub(1) } else { 0 }),
        Screen::Opening => {}
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

/// Selects a finding of the open plan, where it is still there.
pub(super) fn select_finding_to(app: &mut App, finding: FindingId) {
    let Screen::Plan(id) = app.view.screen.clone() else { return };
    let known = app.status(&id).is_some_and(|s| FindingId::all(&s.findings).contains(&finding));
    if known && app.view.finding.as_ref() != Some(&finding) {
        app.view.finding = Some(finding);
        app.view.detail = 0;
    }
}

/// Copies the finding that the cursor is on, or on the board the selected plan's reason: what is wrong and what to do;
/// only the latter where that is asked for.
fn copy(app: &mut App, next_only: bool, now: Now) -> Update {
    if let Screen::Run(run) = &app.view.screen {
        let text = app.runs.get(run).and_then(|known| {
            let step = app.view.run_step.or_else(|| known.current())?;
            let actions: Vec<&str> = known.previews.get(&step)?.actions.iter().map(|a| a.as_str()).collect();
            (!actions.is_empty()).then(|| actions.join("\n"))
        });
        let Some(text) = text else {
            app.say("nothing to copy", now);
            return Update::dirty();
        };
        app.say("copied: what the step does, if the terminal allows it", now);
        return Update::with(Effect::Copy(text));
    }
    let Some(id) = app.target().cloned() else { return Update::default() };
    app.view.chosen = true;
    let found = app.status(&id).and_then(|status| {
        let finding = match app.view.screen {
            Screen::Plan(_) => {
                let at = FindingId::all(&status.findings).iter().position(|f| Some(f) == app.view.finding.as_ref());
                at.and_then(|i| status.findings.get(i))
            }
            Screen::Board | Screen::Timeline | Screen::Help | Screen::Opening | Screen::Run(_) => status.why(),
        }?;
        let (sentence, next) = (&finding.sentence, finding.next.as_ref());
        match (next, next_only) {
            (Some(next), true) => Some((next.to_string(), "what to do next")),
            (None, true) => None,
            (Some(next), false) => Some((format!("{id}: {sentence}\nnext: {next}"), "the finding and what to do next")),
            (None, false) => Some((format!("{id}: {sentence}"), "the finding")),
        }
    });
    match found {
        Some((text, what)) => {
            app.say(format!("copied: {what}, if the terminal allows it"), now);
            Update::with(Effect::Copy(text))
        }
        None => {
            app.say("nothing to copy", now);
            Update::dirty()
        }
    }
}

fn mouse(app: &mut App, now: Now) -> Update {
    let on = !app.view.mouse;
    app.view.mouse = on;
    let text = if on { "mouse on: scrolls and selects" } else { "mouse off: the terminal selects text with it" };
    app.say(text, now);
    Update::with(Effect::Mouse(on))
}

fn back(app: &mut App) {
    match app.view.overlay.take() {
        Some(Overlay::Filter { before }) => {
            app.view.filter = before;
            app.refresh();
        }
        Some(Overlay::Palette { .. } | Overlay::Sort { .. }) => {}
        None if app.view.form.is_some() && app.view.screen != Screen::Opening => {
            app.view.form = None;
            app.view.painted = None;
            app.view.refused = None;
        }
        None => match app.view.screen {
            Screen::Board => {
                app.view.filter.clear();
                app.refresh();
            }
            Screen::Plan(_) => app.view.screen = Screen::Board,
            Screen::Opening | Screen::Run(_) => {
                let open = app.view.opening.take().and_then(|o| o.preempts);
                app.view.form = None;
                app.view.refused = None;
                app.view.detail = 0;
                app.view.screen =
                    match open.filter(|run| app.runs.get(run).is_some_and(|k| k.state.opened.kind.is_real())) {
                        // The prompt was opened on the run that would have given way.
                        Some(run) => Screen::Run(run),
                        None => std::mem::replace(&mut app.view.before, Screen::Board),
                    };
            }
            Screen::Timeline | Screen::Help => {
                app.view.screen = std::mem::replace(&mut app.view.below, Screen::Board);
            }
        },
    }
}

pub(super) fn open(app: &mut App, now: Now) -> Update {
    match app.view.overlay.take() {
        Some(Overlay::Filter { .. }) => Update::dirty(),
        Some(Overlay::Sort { chosen }) => {
            app.view.sort = chosen;
            app.refresh();
            Update::dirty()
        }
        Some(Overlay::Palette { text, chosen }) => {
            match palette::entries(app, &text, PALETTE_LINES).into_iter().nth(chosen) {
                Some(entry) => run(app, entry.command, now),
                None => {
                    app.say(format!("no command matches \"{text}\""), now);
                    Update::dirty()
                }
            }
        }
        None if app.view.form.is_some() => guided::entered(app, now),
        None => {
            if let (Screen::Board, Some(id)) = (&app.view.screen, app.target().cloned()) {
                open_plan(app, id);
            }
            Update::dirty()
        }
    }
}

pub(super) fn open_plan(app: &mut App, id: PlanId) {
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
            app.view.theme = name;
            Update::dirty()
        }
        Command::CopyNext => copy(app, true, now),
        Command::PollAll => {
            app.say("looking at every plan again", now);
            Update::with(Effect::PollNow(Vec::new()))
        }
        Command::Practice(name) => {
            app.say(format!("practice: {name} begins"), now);
            Update::with(Effect::Practice(name))
        }
    }
}
