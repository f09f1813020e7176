//! A backend that sends nothing where there is nothing to show: a frame that looks as the last one did costs no byte.

use ratatui::backend::{Backend, ClearType, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};

/// Another backend, asked only for what changes something. ratatui asks for every frame to be drawn, also where its
/// difference to the last one is empty, and hides the cursor before each: on a terminal that is some bytes each time.
#[derive(Debug)]
pub struct Quiet<B> {
    inner: B,
    /// Whether the cursor was hidden, and nobody else may have shown it since.
    hidden: bool,
    /// Whether anything waits to be flushed.
    waits: bool,
}

impl<B> Quiet<B> {
    /// Before anything was asked of it.
    pub const fn new(inner: B) -> Self {
        Self { inner, hidden: false, waits: false }
    }

    /// What is behind it, which is going to be asked to write.
    const fn writing(&mut self) -> &mut B {
        self.waits = true;
        &mut self.inner
    }
}

impl<B: Backend> Backend for Quiet<B> {
    type Error = B::Error;

    fn draw<'a, I>(&mut self, content: I) -> Result<(), Self::Error>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut content = content.peekable();
        if content.peek().is_none() { Ok(()) } else { self.writing().draw(content) }
    }

    fn append_lines(&mut self, n: u16) -> Result<(), Self::Error> {
        self.writing().append_lines(n)
    }

    fn hide_cursor(&mut self) -> Result<(), Self::Error> {
        if self.hidden {
            return Ok(());
        }
        self.hidden = true;
        self.writing().hide_cursor()
    }

    fn show_cursor(&mut self) -> Result<(), Self::Error> {
        self.hidden = false;
        self.writing().show_cursor()
    }

    fn get_cursor_position(&mut self) -> Result<Position, Self::Error> {
        self.writing().get_cursor_position()
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> Result<(), Self::Error> {
        self.writing().set_cursor_position(position)
    }

    fn clear(&mut self) -> Result<(), Self::Error> {
        self.clear_region(ClearType::All)
    }

    fn clear_region(&mut self, clear_type: ClearType) -> Result<(), Self::Error> {
        // Who has it cleared begins anew: another program may have had the terminal.
        self.hidden = false;
        self.writing().clear_region(clear_type)
    }

    fn size(&self) -> Result<Size, Self::Error> {
        self.inner.size()
    }

    fn window_size(&mut self) -> Result<WindowSize, Self::Error> {
        self.inner.window_size()
    }

    fn flush(&mut self) -> Result<(), Self::Error> {
        if std::mem::take(&mut self.waits) { self.inner.flush() } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::io::{self, Write};
    use std::rc::Rc;

    use ratatui::backend::CrosstermBackend;
    use ratatui::layout::Rect;
    use ratatui::{Terminal, TerminalOptions, Viewport};

    use super::*;

    /// What was sent.
    #[derive(Clone, Default)]
    struct Sent(Rc<RefCell<Vec<u8>>>);

    impl Write for Sent {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const LINE: Rect = Rect::new(0, 0, 8, 1);

    /// What a terminal of one line is sent for each of these frames; for `None` it begins anew.
    fn sent(frames: &[Option<&str>]) -> Vec<String> {
        let sent = Sent::default();
        let backend = Quiet::new(CrosstermBackend::new(sent.clone()));
        let mut terminal =
            Terminal::with_options(backend, TerminalOptions { viewport: Viewport::Fixed(LINE) }).unwrap();
        let one = |frame: &Option<&str>| {
            match frame {
                Some(text) => drop(terminal.draw(|frame| frame.render_widget(*text, frame.area())).unwrap()),
                // What a resize asks for, where all of the terminal is used.
                None => {
                    terminal.backend_mut().clear_region(ClearType::All).unwrap();
                    terminal.resize(LINE).unwrap();
                }
            }
            String::from_utf8(sent.0.take()).unwrap()
        };
        frames.iter().map(one).collect()
    }

    #[test]
    fn a_frame_like_the_last_one_sends_nothing() {
        let sent = sent(&[Some("one"), Some("one"), Some("two"), None, Some("two")]);
        let hide = "\u{1b}[?25l";
        assert!(sent[0].contains("one") && sent[0].contains(hide), "{sent:?}");
        assert_eq!(sent[1], "");
        assert!(sent[2].contains("two") && !sent[2].contains(hide), "{sent:?}");
        // Who had the terminal meanwhile may have shown the cursor and left anything on it.
        assert!(sent[4].contains("two") && sent[4].contains(hide), "{sent:?}");
    }
}
