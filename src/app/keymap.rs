//! One table of keys, from which dispatch, help, footer and palette are made.

use crate::runbook::RunbookKind;

use super::event::{Key, KeyCode};
use super::guided;
use super::update::App;
use super::view::Mode;

/// What a person can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Move the cursor up.
    Up,
    /// Move the cursor down.
    Down,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// To the first.
    First,
    /// To the last.
    Last,
    /// Open what the cursor is on; confirm an overlay.
    Open,
    /// Leave the screen or the overlay.
    Back,
    /// Show the board.
    Board,
    /// Show the timeline of verdict changes.
    Timeline,
    /// Show every key.
    Help,
    /// Type a filter.
    Filter,
    /// Type a command.
    Palette,
    /// Choose the order of the board.
    Sort,
    /// Look at the selected plan now.
    Poll,
    /// Hold the screen still.
    Freeze,
    /// The next theme.
    Theme,
    /// Copy the finding that the cursor is on.
    Copy,
    /// Take the mouse, or leave it to the terminal.
    Mouse,
    /// Delete the character before the cursor of a text.
    Erase,
    /// Delete all of a text.
    Clear,
    /// Fill in the text that the cursor is on.
    Complete,
    /// Start a guided run of this kind.
    Start(RunbookKind),
    /// Answer a question before it.
    Answer(Answer),
    /// The run of the selected plan: the open one, else the last.
    Run,
    /// In the run on the screen.
    InRun(RunAction),
    /// Stop this process until it is continued.
    Suspend,
    /// Leave.
    Quit,
}

/// What is answered before a run is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// It is an outage.
    Outage,
    /// The data is wrong.
    BadData,
    /// Go on although the data is wrong.
    Anyway,
}

/// What a person can ask for in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunAction {
    /// Show what the next steps would do.
    GoOn,
    /// Show what the step that stopped the run would do.
    Retry,
    /// Show one more step.
    More,
    /// Show one step less.
    Fewer,
    /// Approve what is shown.
    Approve,
    /// Take an approval back.
    Withdraw,
    /// Say whether a step's effect is there.
    Confirm,
    /// Leave a step out.
    Skip,
    /// Promote nothing, and undo the fence.
    TurnBack,
    /// End the run.
    Abort,
    /// Take note of how the run ended.
    Acknowledge,
    /// Note something in the journal.
    Note,
    /// Say since when users are without service.
    Date,
}

impl Action {
    /// Whether it can change what it looks at, or decides about what does. Dangerous actions are on capitals, and only they
    /// are.
    #[must_use]
    pub const fn dangerous(self) -> bool {
        let harmless =
            matches!(self, Self::InRun(RunAction::Note | RunAction::Date | RunAction::More | RunAction::Fewer));
        self.writes() && !harmless
    }

    /// Whether it may lead to an entry in a journal: with `--read-only` none of these is bound.
    #[must_use]
    pub const fn writes(self) -> bool {
        matches!(self, Self::Start(_) | Self::InRun(_))
    }
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// The keys that do it.
    pub keys: &'static [Key],
    /// Where they do it.
    pub modes: &'static [Mode],
    /// What they do.
    pub action: Action,
    /// What help says.
    pub help: &'static str,
    /// What the footer says; empty where it does not mention it.
    pub footer: &'static str,
    /// The name in the palette; empty where it has none.
    pub command: &'static str,
}

const fn ch(c: char) -> Key {
    Key { code: KeyCode::Char(c), ctrl: false }
}

const fn ctrl(c: char) -> Key {
    Key { code: KeyCode::Char(c), ctrl: true }
}

const fn k(code: KeyCode) -> Key {
    Key { code, ctrl: false }
}

const SCREENS: &[Mode] = &[Mode::Board, Mode::Plan, Mode::Timeline, Mode::Help, Mode::Run];
const NOT_HELP: &[Mode] = &[Mode::Board, Mode::Plan, Mode::Timeline, Mode::Run];
const LIVE: &[Mode] = &[Mode::Board, Mode::Plan, Mode::Timeline];
const TARGETS: &[Mode] = &[Mode::Board, Mode::Plan, Mode::Run];
const RUN: &[Mode] = &[Mode::Run];
const TYPED: &[Mode] = &[Mode::Filter, Mode::Palette, Mode::Form];
const OVERLAYS: &[Mode] = &[Mode::Filter, Mode::Palette, Mode::Sort];
const ALL: &[Mode] = &[
    Mode::Board,
    Mode::Plan,
    Mode::Timeline,
    Mode::Help,
    Mode::Run,
    Mode::Cause,
    Mode::BadData,
    Mode::Form,
    Mode::Filter,
    Mode::Palette,
    Mode::Sort,
];

const fn bind(
    keys: &'static [Key],
    modes: &'static [Mode],
    action: Action,
    help: &'static str,
    footer: &'static str,
    command: &'static str,
) -> Binding {
    Binding { keys, modes, action, help, footer, command }
}

/// Every key there is, in the order of help and footer.
pub static KEYMAP: &[Binding] = &[
    bind(&[k(KeyCode::Enter)], &[Mode::Board], Action::Open, "open the selected plan", "open", ""),
    bind(&[k(KeyCode::Enter)], OVERLAYS, Action::Open, "take what is typed or chosen", "", ""),
    bind(&[k(KeyCode::Esc)], &[Mode::Board], Action::Back, "clear the filter", "", ""),
    bind(&[k(KeyCode::Enter)], &[Mode::Form], Action::Open, "take what is typed, if it is what is wanted", "take", ""),
    bind(
        &[k(KeyCode::Esc)],
        &[Mode::Plan, Mode::Timeline, Mode::Run, Mode::Cause, Mode::BadData],
        Action::Back,
        "back; a run goes on without being watched",
        "back",
        "",
    ),
    bind(&[k(KeyCode::Esc)], &[Mode::Form], Action::Back, "leave it: nothing is taken", "leave", ""),
    bind(&[k(KeyCode::Up), k(KeyCode::BackTab)], &[Mode::Form], Action::Up, "the text before", "", ""),
    bind(&[k(KeyCode::Down), k(KeyCode::Tab)], &[Mode::Form], Action::Down, "the next text", "", ""),
    bind(&[k(KeyCode::Esc), ch('?')], &[Mode::Help], Action::Back, "leave help", "back", ""),
    bind(&[k(KeyCode::Esc)], OVERLAYS, Action::Back, "leave it as it was", "", ""),
    bind(&[k(KeyCode::Up), ch('k')], SCREENS, Action::Up, "up", "", ""),
    bind(&[k(KeyCode::Down), ch('j')], SCREENS, Action::Down, "down", "", ""),
    bind(&[k(KeyCode::Up), ctrl('p')], &[Mode::Palette, Mode::Sort], Action::Up, "up", "", ""),
    bind(&[k(KeyCode::Down), ctrl('n')], &[Mode::Palette, Mode::Sort], Action::Down, "down", "", ""),
    bind(&[ch('k')], &[Mode::Sort], Action::Up, "up", "", ""),
    bind(&[ch('j')], &[Mode::Sort], Action::Down, "down", "", ""),
    bind(&[k(KeyCode::PageUp), ctrl('u')], SCREENS, Action::PageUp, "page up; in a plan, of the details", "", ""),
    bind(
        &[k(KeyCode::PageDown), ctrl('d'), ch(' ')],
        SCREENS,
        Action::PageDown,
        "page down; in a plan, of the details",
        "",
        "",
    ),
    bind(&[k(KeyCode::Home), ch('g')], SCREENS, Action::First, "to the first", "", ""),
    bind(&[k(KeyCode::End), ch('e')], SCREENS, Action::Last, "to the last", "", ""),
    bind(&[ch('b')], SCREENS, Action::Board, "the board", "", "board"),
    bind(
        &[ch('/')],
        &[Mode::Board],
        Action::Filter,
        "only plans with each typed word in name, sites, verdict, situation or reason",
        "filter",
        "filter",
    ),
    bind(&[ch(':')], NOT_HELP, Action::Palette, "type a command", "command", ""),
    bind(&[ch('s')], &[Mode::Board], Action::Sort, "choose the order", "", "sort"),
    bind(&[ch('f')], LIVE, Action::Freeze, "hold the screen; anything worse thaws it", "", "freeze"),
    bind(&[ch('c')], SCREENS, Action::Theme, "the next theme", "", "theme"),
    bind(&[ch('m')], SCREENS, Action::Mouse, "mouse on or off; off, it selects text", "", "mouse"),
    bind(&[ch('?')], NOT_HELP, Action::Help, "every key", "help", "help"),
    bind(&[ch('q')], SCREENS, Action::Quit, "leave", "quit", "quit"),
    bind(&[ch('r')], TARGETS, Action::Poll, "look at the selected plan now", "poll now", "poll"),
    bind(&[ch('t')], NOT_HELP, Action::Timeline, "verdict changes, newest first", "timeline", "timeline"),
    bind(&[ch('y')], TARGETS, Action::Copy, "copy what is wrong and what to do", "copy", "copy"),
    bind(&[ctrl('c')], ALL, Action::Quit, "leave at once", "", ""),
    bind(&[ctrl('z')], ALL, Action::Suspend, "suspend; fg brings it back", "", ""),
    bind(&[k(KeyCode::Backspace), ctrl('h')], TYPED, Action::Erase, "delete a character", "", ""),
    bind(&[k(KeyCode::Tab)], &[Mode::Palette], Action::Complete, "fill in the command that the cursor is on", "", ""),
    bind(&[ctrl('u')], TYPED, Action::Clear, "delete all that is typed", "", ""),
    bind(
        &[ch('o')],
        &[Mode::Board, Mode::Plan],
        Action::Run,
        "the run of the selected plan, open or last",
        "run",
        "run",
    ),
    bind(&[ch('n')], RUN, Action::InRun(RunAction::Note), "note something in the journal", "note", "note"),
    bind(&[ch('0')], RUN, Action::InRun(RunAction::Date), "say since when users are without service (T0)", "T0", "t0"),
    bind(&[ch('+')], RUN, Action::InRun(RunAction::More), "show one step more", "", ""),
    bind(&[ch('-')], RUN, Action::InRun(RunAction::Fewer), "show one step less", "", ""),
    bind(&[ch('o')], &[Mode::Cause], Action::Answer(Answer::Outage), "it is an outage", "outage", ""),
    bind(&[ch('d')], &[Mode::Cause], Action::Answer(Answer::BadData), "the data is wrong", "bad data", ""),
    bind(&[ch('a')], &[Mode::BadData], Action::Answer(Answer::Anyway), "go on all the same", "all the same", ""),
    bind(
        &[ch('F')],
        TARGETS,
        Action::Start(RunbookKind::Failover),
        "guided failover of the selected plan",
        "failover",
        "failover",
    ),
    bind(
        &[ch('S')],
        TARGETS,
        Action::Start(RunbookKind::Switchover),
        "guided switchover of the selected plan",
        "switchover",
        "switchover",
    ),
    bind(
        &[],
        TARGETS,
        Action::Start(RunbookKind::Failback),
        "guided failback of the selected plan, home",
        "",
        "failback",
    ),
    bind(&[], TARGETS, Action::Start(RunbookKind::Drill), "a drill of the selected plan", "", "drill"),
    bind(&[ch('A')], RUN, Action::InRun(RunAction::Approve), "read and approve what is shown", "approve", "approve"),
    bind(&[ch('G')], RUN, Action::InRun(RunAction::GoOn), "go on: show what the next steps would do", "go on", "go on"),
    bind(
        &[ch('R')],
        RUN,
        Action::InRun(RunAction::Retry),
        "show what the step that stopped the run would do again",
        "retry",
        "retry",
    ),
    bind(
        &[ch('C')],
        RUN,
        Action::InRun(RunAction::Confirm),
        "say whether the selected step's effect is there",
        "confirm",
        "confirm",
    ),
    bind(
        &[ch('W')],
        RUN,
        Action::InRun(RunAction::Withdraw),
        "take the approval back: nothing more is begun",
        "withdraw",
        "withdraw",
    ),
    bind(&[ch('P')], RUN, Action::InRun(RunAction::Skip), "leave the selected step out", "skip", "skip"),
    bind(
        &[ch('B')],
        RUN,
        Action::InRun(RunAction::TurnBack),
        "turn back: promote nothing, undo the fence",
        "turn back",
        "turn back",
    ),
    bind(&[ch('X')], RUN, Action::InRun(RunAction::Abort), "end the run", "abort", "abort"),
    bind(
        &[ch('K')],
        RUN,
        Action::InRun(RunAction::Acknowledge),
        "take note of how the run ended",
        "acknowledge",
        "acknowledge",
    ),
];

/// The keys of this session: all, or with `--read-only` none that leads to an entry in a journal.
pub fn bound(read_only: bool) -> impl Iterator<Item = &'static Binding> {
    KEYMAP.iter().filter(move |b| !(read_only && b.action.writes()))
}

/// What a key does here; `None` where it does nothing.
#[must_use]
pub fn lookup(mode: Mode, key: Key, read_only: bool) -> Option<Action> {
    bound(read_only).find(|b| b.modes.contains(&mode) && b.keys.contains(&key)).map(|b| b.action)
}

/// Why an action cannot be had now; `None` where it can.
#[must_use]
pub fn off(action: Action, app: &App) -> Option<String> {
    match action {
        Action::Start(kind) => guided::why_not(app, app.target(), kind),
        Action::InRun(action) => guided::off(app, action).map(str::to_owned),
        Action::Run => {
            let none = app.target().is_none_or(|plan| app.runs.of(plan).next().is_none());
            none.then(|| "no run of it is known".to_owned())
        }
        Action::Answer(_)
        | Action::Up
        | Action::Down
        | Action::PageUp
        | Action::PageDown
        | Action::First
        | Action::Last
        | Action::Open
        | Action::Back
        | Action::Board
        | Action::Timeline
        | Action::Help
        | Action::Filter
        | Action::Palette
        | Action::Sort
        | Action::Poll
        | Action::Freeze
        | Action::Theme
        | Action::Copy
        | Action::Mouse
        | Action::Erase
        | Action::Clear
        | Action::Complete
        | Action::Suspend
        | Action::Quit => None,
    }
}

/// A key as people write it.
#[must_use]
pub fn name(key: Key) -> String {
    let base = match key.code {
        KeyCode::Char(' ') => "space".to_owned(),
        KeyCode::Char(c) => c.to_string(),
        KeyCode::Enter => "enter".into(),
        KeyCode::Esc => "esc".into(),
        KeyCode::Backspace => "backspace".into(),
        KeyCode::Tab => "tab".into(),
        KeyCode::BackTab => "shift-tab".into(),
        KeyCode::Up => "up".into(),
        KeyCode::Down => "down".into(),
        KeyCode::Left => "left".into(),
        KeyCode::Right => "right".into(),
        KeyCode::PageUp => "pgup".into(),
        KeyCode::PageDown => "pgdn".into(),
        KeyCode::Home => "home".into(),
        KeyCode::End => "end".into(),
        KeyCode::Other => "?".into(),
    };
    if key.ctrl { format!("^{}", base.to_uppercase()) } else { base }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_key_means_two_things_in_one_place() {
        let mut seen = HashSet::new();
        for binding in KEYMAP {
            for mode in binding.modes {
                for key in binding.keys {
                    assert!(seen.insert((*mode, *key)), "{} twice in {mode:?}", name(*key));
                }
            }
        }
    }

    #[test]
    fn capitals_are_dangerous_and_nothing_else_is() {
        for binding in KEYMAP {
            for key in binding.keys {
                let capital = matches!(key.code, KeyCode::Char(c) if c.is_uppercase());
                assert_eq!(capital, binding.action.dangerous(), "{}", name(*key));
            }
            if binding.keys.is_empty() {
                assert!(!binding.command.is_empty(), "there is a way to it");
            }
        }
    }

    #[test]
    fn a_read_only_session_binds_no_dangerous_key() {
        for binding in KEYMAP.iter().filter(|b| b.action.writes()) {
            for (mode, key) in binding.modes.iter().flat_map(|m| binding.keys.iter().map(move |k| (*m, *k))) {
                assert_eq!(lookup(mode, key, false), Some(binding.action));
                assert_eq!(lookup(mode, key, true), None);
            }
        }
        assert!(bound(true).all(|b| !b.action.writes() && !b.action.dangerous()));
    }

    #[test]
    fn text_modes_leave_characters_to_the_text() {
        for mode in [Mode::Filter, Mode::Palette, Mode::Form] {
            for c in ' '..='~' {
                assert_eq!(lookup(mode, ch(c), false), None, "{c}");
            }
        }
    }

    #[test]
    fn every_screen_can_be_left_and_every_line_says_what_it_does() {
        for mode in ALL {
            assert_eq!(lookup(*mode, ctrl('c'), true), Some(Action::Quit));
            assert!(lookup(*mode, k(KeyCode::Esc), true).is_some());
        }
        assert!(KEYMAP.iter().all(|b| !b.help.is_empty()));
    }
}
