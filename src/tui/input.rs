//! From the terminal's events to the application's.

use crossterm::event::{Event as Raw, KeyCode as RawCode, KeyEventKind, KeyModifiers};
use futures_util::{Stream, StreamExt};

use crate::app::Event;
use crate::app::event::{Key, KeyCode};

/// What a terminal event means; `None` for those that mean nothing here: repeats and releases of keys, mouse, focus.
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

/// The events of the terminal of this process. Ends where the terminal cannot be read any more.
pub fn terminal() -> impl Stream<Item = Event> + Unpin {
    let raw = crossterm::event::EventStream::new();
    raw.take_while(|r| std::future::ready(r.is_ok()))
        .filter_map(|r| std::future::ready(r.ok().as_ref().and_then(event)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossterm::event::KeyEvent;

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
