//! The terminal is borrowed: whatever happens, it is given back as it was.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ThreadId;

use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{cursor, execute};
use rustix::event::{PollFd, PollFlags};

/// Whether the terminal is ours now. One for the process, as the terminal is.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// Whether the mouse is taken too, while the terminal is ours.
static MOUSE: AtomicBool = AtomicBool::new(false);
/// Takes the mouse: presses and the wheel (1000), with coordinates of any size (1006). Not its movements (1003): nobody
/// wants them, and each would be bytes on the line. xterm's control sequences, "Mouse Tracking".
const TAKE_MOUSE: &[u8] = b"\x1b[?1000h\x1b[?1006h";
/// Leaves the mouse to the terminal.
const LEAVE_MOUSE: &[u8] = b"\x1b[?1006l\x1b[?1000l";
/// What threads of ours said while dying, for after the screen is gone.
static LAST_WORDS: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// Most last words that are kept.
const WORDS: usize = 20;

/// Holds the terminal in raw mode, on its alternate screen; gives it back when dropped.
#[derive(Debug)]
pub struct Guard(());

impl Guard {
    /// Takes the terminal. The caller's thread is the one that draws: a panic in it gives the terminal back before it
    /// speaks; a panic in another thread does not disturb the screen and is told afterwards.
    ///
    /// # Errors
    /// Where standard output is no terminal, or it cannot be set.
    pub fn take() -> io::Result<Self> {
        let guard = Self(());
        enter()?;
        hook(std::thread::current().id());
        Ok(guard)
    }

    /// Takes the terminal again, after it was given back for a suspension.
    ///
    /// # Errors
    /// Where the terminal cannot be set any more.
    pub fn resume(&self) -> io::Result<()> {
        enter()
    }

    /// Takes the mouse, or leaves it to the terminal.
    ///
    /// # Errors
    /// Where the terminal cannot be written to.
    pub fn mouse(&self, on: bool) -> io::Result<()> {
        if on {
            // First, so that whatever comes next gives it back.
            MOUSE.store(true, Ordering::SeqCst);
            return self.write(TAKE_MOUSE);
        }
        self.write(LEAVE_MOUSE)?;
        MOUSE.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// Writes a control sequence that draws nothing.
    ///
    /// # Errors
    /// Where the terminal cannot be written to.
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut out = io::stdout();
        out.write_all(bytes)?;
        out.flush()
    }

    /// Gives the terminal back. Does nothing the second time.
    pub fn release(&self) {
        leave();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        leave();
    }
}

fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    let mut out = io::stdout();
    execute!(out, EnterAlternateScreen, EnableBracketedPaste, cursor::Hide)?;
    if MOUSE.load(Ordering::SeqCst) {
        out.write_all(TAKE_MOUSE)?;
        out.flush()?;
    }
    Ok(())
}

/// Gives the terminal back as far as it still listens; a terminal that is gone is no error.
fn leave() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let mut out = io::stdout();
        if MOUSE.load(Ordering::SeqCst) {
            let _gone = out.write_all(LEAVE_MOUSE);
        }
        let _gone = execute!(out, cursor::Show, DisableBracketedPaste, LeaveAlternateScreen);
        let _gone = out.flush();
        let _gone = disable_raw_mode();
    }
}

/// What is to be told after the screen is gone: what threads of ours said while dying, and [`say_last`].
#[must_use]
pub fn last_words() -> Vec<String> {
    LAST_WORDS.lock().map(|mut w| std::mem::take(&mut *w)).unwrap_or_default()
}

/// Says something once the screen is gone.
pub fn say_last(text: &str) {
    if let Ok(mut words) = LAST_WORDS.lock()
        && words.len() < WORDS
    {
        words.push(text.to_owned());
    }
}

fn hook(drawer: ThreadId) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let ours = std::thread::current().id() == drawer;
        if !ours && TAKEN.load(Ordering::SeqCst) {
            // A task's fault is that task's: it becomes a gap on the screen, which stays whole.
            if let Ok(mut words) = LAST_WORDS.lock()
                && words.len() < WORDS
            {
                words.push(format!("a task failed: {info}"));
            }
            return;
        }
        leave();
        before(info);
    }));
}

/// Ends the process as soon as its terminal is gone. The terminal library would spin on it for ever
/// (crossterm issue 793), and nobody is left to draw for.
///
/// # Errors
/// Where there is no terminal to watch, or no thread can be started.
pub fn watch() -> io::Result<()> {
    let tty = tty()?;
    std::thread::Builder::new().name("terminal".into()).stack_size(64 * 1024).spawn(move || {
        loop {
            // No events are asked for: only the end of the terminal is told without asking.
            let mut fds = [PollFd::new(&tty, PollFlags::empty())];
            match rustix::event::poll(&mut fds, None) {
                Ok(_) => {
                    let seen = fds.first().map_or(PollFlags::empty(), PollFd::revents);
                    if seen.intersects(PollFlags::HUP | PollFlags::ERR) {
                        std::process::exit(HANGUP.into());
                    }
                    if seen.contains(PollFlags::NVAL) {
                        return;
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
        }
    })?;
    Ok(())
}

/// Whether nobody holds the other end of the terminal any more, as far as can be seen without waiting.
#[must_use]
pub fn is_gone() -> bool {
    let Ok(tty) = tty() else { return true };
    let mut fds = [PollFd::new(&tty, PollFlags::empty())];
    let polled = rustix::event::poll(&mut fds, Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 }));
    polled.is_ok() && fds.first().is_some_and(|f| f.revents().intersects(PollFlags::HUP | PollFlags::ERR))
}

/// The exit status of a process that its terminal left: 128 and SIGHUP.
pub const HANGUP: u8 = 129;

fn tty() -> io::Result<OwnedFd> {
    let stdin = rustix::stdio::stdin();
    if rustix::termios::isatty(stdin) {
        return stdin.as_fd().try_clone_to_owned();
    }
    Ok(std::fs::File::open("/dev/tty")?.into())
}

/// Whether a screen can be drawn: standard output is a terminal, and there is one to read keys from.
#[must_use]
pub fn usable() -> bool {
    rustix::termios::isatty(rustix::stdio::stdout()) && tty().is_ok()
}

/// Stops this process as its shell expects of ^Z; returns when it is continued.
pub fn stop() {
    let _refused = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
}
