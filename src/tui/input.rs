//! From the terminal's events to the application's.

use crossterm::event::{Event as Raw, KeyCode as RawCode, KeyEventKind, KeyModifiers, MouseButton, MouseEventKind};
use futures_util::Stream;
use tokio::sync::mpsc;

use crate::app::Event;
use crate::app::event::{Key, KeyCode, PointerAct};

/// What comes from the terminal.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Something that happened, as it is.
    Event(Event),
    /// The mouse, at a place of the screen: what is drawn there says what it is about.
    Mouse {
        /// What it did.
        act: PointerAct,
        /// The column, from 0.
        col: u16,
        /// The row, from 0.
        row: u16,
    },
}

impl From<Event> for Input {
    fn from(event: Event) -> Self {
        Self::Event(event)
    }
}

/// What comes from the terminal, for the application; `None` for what means nothing here, see [`event`].
#[must_use]
pub fn input(raw: &Raw) -> Option<Input> {
    let Raw::Mouse(mouse) = raw else { return event(raw).map(Input::Event) };
    let act = match mouse.kind {
        MouseEventKind::Down(MouseButton::Left) => PointerAct::Click,
        MouseEventKind::ScrollUp => PointerAct::WheelUp,
        MouseEventKind::ScrollDown => PointerAct::WheelDown,
        MouseEventKind::Down(_)
        | MouseEventKind::Up(_)
        | MouseEventKind::Drag(_)
        | MouseEventKind::Moved
        | MouseEventKind::ScrollLeft
        | MouseEventKind::ScrollRight => return None,
    };
    Some(Input::Mouse { act, col: mouse.column, row: mouse.row })
}

/// What a terminal event means; `None` for those that mean nothing here: repeats and releases of keys, focus.
#[must_use]
pub fn event(raw: &Raw) -> Option<Event> {
    match raw {
        Raw::Key(key) if key.kind == KeyEventKind::Press => {
            if key.modifiers.intersects(KeyModifiers::ALT | KeyModifiers::SUPER | KeyModifiers::META) {
                return None;
            }
            let code = match key.code {
                RawCode::Char(c) => KeyCode::Char(c),
                RawCode::Enter => KeyCode::Enter,
                RawCode::Esc => KeyCode::Esc,
                RawCode::Backspace => KeyCode::Backspace,
                RawCode::Tab => KeyCode::Tab,
                RawCode::BackTab => KeyCode::BackTab,
                RawCode::Up => KeyCode::Up,
                RawCode::Down => KeyCode::Down,
                RawCode::Left => KeyCode::Left,
                RawCode::Right => KeyCode::Right,
                RawCode::PageUp => KeyCode::PageUp,
                RawCode::PageDown => KeyCode::PageDown,
                RawCode::Home => KeyCode::Home,
                RawCode::End => KeyCode::End,
                _ => KeyCode::Other, // function and media keys: no binding has them
            };
            Some(Event::Key(Key { code, ctrl: key.modifiers.contains(KeyModifiers::CONTROL) }))
        }
        Raw::Paste(_) => Some(Event::Pasted),
        Raw::Resize(cols, rows) => Some(Event::Resized { cols: *cols, rows: *rows }),
        Raw::Key(_) | Raw::Mouse(_) | Raw::FocusGained | Raw::FocusLost => None,
    }
}

/// Events that may wait to be taken in.
const WAITING: usize = 512;

/// The events of the terminal of this process. Ends where the terminal cannot be read any more.
///
/// A thread of its own reads them: asking the terminal's library whether there are any takes a lock that whoever waits
/// for one holds.
pub fn terminal() -> impl Stream<Item = Input> + Unpin {
    let (sender, mut events) = mpsc::channel(WAITING);
    let read = move || {
        while let Ok(raw) = crossterm::event::read() {
            if let Some(input) = input(&raw)
                && sender.blocking_send(input).is_err()
            {
                return;
            }
        }
    };
    // Where no thread can be had the sender is gone, and so is the terminal.
    drop(std::thread::Builder::new().name("keys".into()).spawn(read));
    futures_util::stream::poll_fn(move |cx| events.poll_recv(cx))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossterm::event::KeyEvent;

    #[test]
    fn of_the_mouse_left_presses_and_the_wheel_count() {
        use crossterm::event::MouseEvent;
        let raw = |kind| Raw::Mouse(MouseEvent { kind, column: 7, row: 3, modifiers: KeyModifiers::NONE });
        for (kind, act) in [
            (MouseEventKind::Down(MouseButton::Left), PointerAct::Click),
            (MouseEventKind::ScrollUp, PointerAct::WheelUp),
            (MouseEventKind::ScrollDown, PointerAct::WheelDown),
        ] {
            assert_eq!(input(&raw(kind)), Some(Input::Mouse { act, col: 7, row: 3 }));
        }
        for kind in [
            MouseEventKind::Up(MouseButton::Left),
            MouseEventKind::Down(MouseButton::Right),
            MouseEventKind::Drag(MouseButton::Left),
            MouseEventKind::Moved,
        ] {
            assert_eq!(input(&raw(kind)), None);
        }
    }

    #[test]
    fn only_presses_count_and_pastes_are_no_keys() {
        let press = KeyEvent::new(RawCode::Char('F'), KeyModifiers::SHIFT);
        assert_eq!(event(&Raw::Key(press)), Some(Event::Key(Key { code: KeyCode::Char('F'), ctrl: false })));
        for kind in [KeyEventKind::Repeat, KeyEventKind::Release] {
            assert_eq!(event(&Raw::Key(KeyEvent { kind, ..press })), None);
        }
        assert_eq!(event(&Raw::Paste("Fyes\r".into())), Some(Event::Pasted));
    }
}
