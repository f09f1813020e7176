//! One table of keys, from which dispatch, help, footer and palette are made.

use super::event::{Key, KeyCode};
use super::view::{Mode, View};

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
    /// Delete the character before the cursor of a text.
    Erase,
    /// Start the guided failover.
    Failover,
    /// Start the guided switchover.
    Switchover,
    /// Stop this process until it is continued.
    Suspend,
    /// Leave.
    Quit,
}

impl Action {
    /// Whether it can change what it looks at. Dangerous actions are on capitals, and only they are.
    #[must_use]
    pub const fn dangerous(self) -> bool {
        matches!(self, Self::Failover | Self::Switchover)
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

const SCREENS: &[Mode] = &[Mode::Board, Mode::Plan, Mode::Timeline, Mode::Help];
const NOT_HELP: &[Mode] = &[Mode::Board, Mode::Plan, Mode::Timeline];
const TARGETS: &[Mode] = &[Mode::Board, Mode::Plan];
const TYPED: &[Mode] = &[Mode::Filter, Mode::Palette];
const OVERLAYS: &[Mode] = &[Mode::Filter, Mode::Palette, Mode::Sort];
const ALL: &[Mode] = &[Mode::Board, Mode::Plan, Mode::Timeline, Mode::Help, Mode::Filter, Mode::Palette, Mode::Sort];

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
    bind(&[k(KeyCode::Esc)], &[Mode::Plan, Mode::Timeline], Action::Back, "back", "back", ""),
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
    bind(&[ch('/')], &[Mode::Board], Action::Filter, "show only the plans that match", "filter", "filter"),
    bind(&[ch(':')], NOT_HELP, Action::Palette, "type a command", "command", ""),
    bind(&[ch('s')], &[Mode::Board], Action::Sort, "choose the order", "", "sort"),
    bind(&[ch('f')], NOT_HELP, Action::Freeze, "hold the screen; anything worse thaws it", "", "freeze"),
    bind(&[ch('c')], SCREENS, Action::Theme, "the next theme", "", "theme"),
    bind(&[ch('?')], NOT_HELP, Action::Help, "every key", "help", "help"),
    bind(&[ch('q')], SCREENS, Action::Quit, "leave", "quit", "quit"),
    bind(&[ch('r')], TARGETS, Action::Poll, "look at the selected plan now", "poll now", "poll"),
    bind(&[ch('t')], NOT_HELP, Action::Timeline, "verdict changes, newest first", "timeline", "timeline"),
    bind(&[ctrl('c')], ALL, Action::Quit, "leave at once", "", ""),
    bind(&[ctrl('z')], ALL, Action::Suspend, "suspend; fg brings it back", "", ""),
    bind(&[k(KeyCode::Backspace), ctrl('h')], TYPED, Action::Erase, "delete a character", "", ""),
    bind(&[ch('F')], TARGETS, Action::Failover, "guided failover of the selected plan", "failover", ""),
    bind(&[ch('S')], TARGETS, Action::Switchover, "guided switchover of the selected plan", "switchover", ""),
];

/// The keys of this session: all, or with `--read-only` none that is dangerous.
pub fn bound(read_only: bool) -> impl Iterator<Item = &'static Binding> {
    KEYMAP.iter().filter(move |b| !(read_only && b.action.dangerous()))
}

/// What a key does here; `None` where it does nothing.
#[must_use]
pub fn lookup(mode: Mode, key: Key, read_only: bool) -> Option<Action> {
    bound(read_only).find(|b| b.modes.contains(&mode) && b.keys.contains(&key)).map(|b| b.action)
}

/// Why an action cannot be had now; `None` where it can.
#[must_use]
pub const fn off(action: Action, _view: &View) -> Option<&'static str> {
    match action {
        Action::Failover | Action::Switchover => Some("no runbook configured"),
        Action::Up
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
        | Action::Erase
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
            if binding.action.dangerous() {
                assert!(binding.command.is_empty(), "a dangerous action is not in the palette");
            }
        }
    }

    #[test]
    fn a_read_only_session_binds_no_dangerous_key() {
        for binding in KEYMAP.iter().filter(|b| b.action.dangerous()) {
            for (mode, key) in binding.modes.iter().flat_map(|m| binding.keys.iter().map(move |k| (*m, *k))) {
                assert_eq!(lookup(mode, key, false), Some(binding.action));
                assert_eq!(lookup(mode, key, true), None);
            }
        }
        assert!(bound(true).all(|b| !b.action.dangerous()));
    }

    #[test]
    fn text_modes_leave_characters_to_the_text() {
        for mode in [Mode::Filter, Mode::Palette] {
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
