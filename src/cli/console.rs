//! Where a command prints, and what that is.

use std::io::{self, IsTerminal, Write};

use crate::report::Style;

/// Standard output and standard error, or what stands for them in a test.
pub struct Console<'a> {
    /// Results.
    pub out: &'a mut dyn Write,
    /// Everything that is not a result.
    pub err: &'a mut dyn Write,
    /// How results look there.
    pub style: Style,
    /// Whether `err` is a terminal: only then is progress shown.
    pub err_is_terminal: bool,
}

/// Whether somebody reads what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// As far as is known.
    Reads,
    /// It went away: `lifeboat check | head -1`.
    Gone,
}

impl std::fmt::Debug for Console<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console")
            .field("style", &self.style)
            .field("err_is_terminal", &self.err_is_terminal)
            .finish_non_exhaustive()
    }
}

impl Console<'_> {
    /// Prints a result. A reader that went away is no error.
    ///
    /// # Errors
    /// Any other failed write: a full disk.
    pub fn print(&mut self, text: &str) -> io::Result<Reader> {
        match self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()) {
            Ok(()) => Ok(Reader::Reads),
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
            Err(e) => Err(e),
        }
    }

    /// Says something beside the result. What cannot be said there cannot be said anywhere.
    pub fn note(&mut self, text: &str) {
        drop(writeln!(self.err, "lifeboat: {text}"));
    }

    /// Replaces the line of progress; an empty text erases it.
    pub fn progress(&mut self, text: &str) {
        if self.err_is_terminal {
            drop(write!(self.err, "\r\x1b[2K{text}").and_then(|()| self.err.flush()));
        }
    }
}

/// How a text on standard output looks: it fits the terminal, with colour unless `NO_COLOR` is set or the terminal is
/// dumb (<https://no-color.org>); elsewhere each finding is one plain line.
#[must_use]
pub fn style(ascii: bool) -> Style {
    let set = |name| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|t| t == "dumb" || t.is_empty());
    let terminal = io::stdout().is_terminal();
    let width = terminal
        .then(|| rustix::termios::tcgetwinsize(io::stdout()).ok())
        .flatten()
        .map(|size| usize::from(size.ws_col))
        .map(|cols| if cols == 0 { 80 } else { cols });
    Style { width, colour: terminal && !dumb && !set("NO_COLOR"), ascii: ascii || !utf8(), quiet: false }
}

/// Whether the locale's characters are Unicode, by the variables that decide it (POSIX: `LC_ALL`, `LC_CTYPE`, `LANG`). Where
/// none is set, as in a cron job, a file or a mail is written, and those are.
fn utf8() -> bool {
    let value = |name| std::env::var(name).ok().filter(|v| !v.is_empty());
    match value("LC_ALL").or_else(|| value("LC_CTYPE")).or_else(|| value("LANG")) {
        Some(locale) => {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        }
        None => true,
    }
}
