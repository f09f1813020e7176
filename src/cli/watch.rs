//! The board: terminal, first frame, and only then configuration, store and network.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::app::{App, Event, Memory, Model, Polled, Stamped};
use crate::plan::{LaneId, Plan, SafeText};
use crate::tui::frame::Look;
use crate::tui::input;
use crate::tui::run::{End, Failure, Inbox, Notice, Outside, Session, paint};
use crate::tui::terminal::{self, Guard};
use crate::tui::theme::Depth;

use super::args::{LookArgs, WatchArgs};
use super::{EXIT_FAILED, EXIT_USAGE, live};

/// Looks that may wait to be taken in.
const POLLS: usize = 256;
/// Notices that may wait to be taken in.
const NOTICES: usize = 64;

/// What was read of the configuration.
#[derive(Debug)]
pub struct Loaded {
    /// The plans.
    pub plans: Vec<Arc<Plan>>,
    /// The theme that the configuration asks for, where the command line does not.
    pub theme: Option<String>,
    /// The rest of the process, which the plans need.
    pub back: Box<dyn Backstage>,
}

/// Everything behind the screen: supervisor and store. Nothing here may wait.
pub trait Backstage: Send + std::fmt::Debug {
    /// Starts to look at the plans, and to read what earlier sessions saw. Called on the runtime.
    fn start(&mut self, plans: &[Arc<Plan>], polls: mpsc::Sender<Polled>, notices: mpsc::Sender<Notice>);
    /// Looks at these lanes now; at all where there are none.
    fn poll_now(&mut self, lanes: &[LaneId]);
    /// Keeps these.
    fn remember(&mut self, memories: Vec<Memory>);
    /// Takes down what happened, where the session is recorded.
    fn record(&mut self, event: &Stamped);
}

/// Reads the configuration. Called off the loop: it may wait for a disk.
pub type Load = Box<dyn FnOnce() -> Result<Loaded, Failure> + Send>;

/// Runs the board until a person leaves. Touches no file before the first frame.
///
/// # Errors
/// None: what goes wrong is told on standard error, once the terminal is given back.
pub fn run(args: &WatchArgs, config: Option<&Path>) -> anyhow::Result<ExitCode> {
    let (config, record) = (config.map(Path::to_path_buf), args.record.clone());
    let load: Load = Box::new(move || live::load(config.as_deref(), record.as_deref()));
    Ok(watch(args, live::model(crate::clock::boot_id()).watching(), load))
}

/// Runs the board on whatever `load` brings; returns the exit status.
#[must_use]
pub fn watch(args: &WatchArgs, model: Model, load: Load) -> ExitCode {
    if !terminal::usable() {
        tell("lifeboat: the board needs a terminal; for one sweep in text or JSON, use lifeboat check");
        return ExitCode::from(EXIT_USAGE);
    }
    let end = on_terminal(args, model, load);
    for words in terminal::last_words() {
        tell(&format!("lifeboat: {words}"));
    }
    match end {
        Ok(End::Quit) => ExitCode::SUCCESS,
        Ok(End::Ended(why)) => {
            let signal = SIGNALS.iter().find(|(name, _)| *name == why.as_str()).map_or(1, |(_, number)| *number);
            ExitCode::from(128 + signal)
        }
        Ok(End::Failed(failure)) => {
            tell(&failure.text);
            ExitCode::from(failure.status)
        }
        Err(error) => {
            tell(&format!("lifeboat: the terminal cannot be used: {error}"));
            ExitCode::from(EXIT_FAILED)
        }
    }
}

fn tell(text: &str) {
    let _gone = writeln!(io::stderr(), "{text}");
}

/// Everything between taking the terminal and giving it back.
fn on_terminal(args: &WatchArgs, model: Model, load: Load) -> io::Result<End> {
    let options = &args.look;
    let look = look(options);
    let guard = Guard::take()?;
    let out = BufWriter::with_capacity(1 << 16, io::stdout());
    let mut terminal = Terminal::new(CrosstermBackend::new(out))?;
    let size = terminal.size()?;
    let mut app = App::new(model, size.width, size.height);
    app.view.read_only = args.read_only;
    if let Some(theme) = &options.theme {
        app.view.theme.clone_from(theme);
    }
    // The first frame: nothing was read, nobody was asked.
    paint(&mut terminal, &app, look, crate::clock::now())?;
    terminal::watch()?;

    let runtime = super::runtime(Some(2))?;
    let (notices_in, notices) = mpsc::channel(NOTICES);
    let (polls_in, polls) = mpsc::channel(POLLS);
    let (back_in, back) = std::sync::mpsc::sync_channel(1);
    let end = runtime.block_on(async {
        let signals = Signals::new()?;
        tokio::spawn(signals.forward(notices_in.clone()));
        let (outcome, theme) = (notices_in.clone(), options.theme.clone());
        tokio::task::spawn_blocking(move || {
            let notice = match load() {
                Ok(loaded) => {
                    let _ended = back_in.send(loaded.back);
                    Notice::Configured { plans: loaded.plans, theme: theme.or(loaded.theme) }
                }
                Err(failure) => Notice::Failed(failure),
            };
            let _ended = outcome.blocking_send(notice);
        });
        #[cfg(debug_assertions)]
        misbehave(&notices_in);
        let outside =
            Behind { back: None, arrives: back, polls: polls_in, notices: notices_in, guard: &guard, stopped: false };
        let mut session = Session::new(&mut terminal, &mut app, outside, look, crate::clock::now);
        session.run(Inbox { notices, polls }, input::terminal()).await
    });
    guard.release();
    // Looks under way, and whatever blocks on a disk, are left behind.
    runtime.shutdown_background();
    end
}

/// What this terminal can show, by the environment and the command line.
#[must_use]
pub fn look(options: &LookArgs) -> Look {
    let env = |name| std::env::var(name).ok();
    let depth = Depth::detect(env("NO_COLOR").as_deref(), env("TERM").as_deref(), env("COLORTERM").as_deref());
    Look { depth, ascii: options.ascii }
}

/// What the loop asks for, handed on to what is behind the screen.
struct Behind<'a> {
    back: Option<Box<dyn Backstage>>,
    arrives: std::sync::mpsc::Receiver<Box<dyn Backstage>>,
    polls: mpsc::Sender<Polled>,
    notices: mpsc::Sender<Notice>,
    guard: &'a Guard,
    stopped: bool,
}

impl Outside for Behind<'_> {
    fn start(&mut self, plans: &[Arc<Plan>]) {
        // It was sent before the plans were.
        self.back = self.arrives.try_recv().ok();
        if let Some(back) = &mut self.back {
            back.start(plans, self.polls.clone(), self.notices.clone());
        }
    }

    fn poll_now(&mut self, lanes: &[LaneId]) {
        if let Some(back) = &mut self.back {
            back.poll_now(lanes);
        }
    }

    fn remember(&mut self, memories: Vec<Memory>) {
        if let Some(back) = &mut self.back {
            back.remember(memories);
        }
    }

    fn record(&mut self, event: &Stamped) {
        if let Some(back) = &mut self.back {
            back.record(event);
        }
    }

    fn suspend(&mut self) -> io::Result<()> {
        self.guard.release();
        terminal::stop();
        self.stopped = true;
        self.guard.resume()
    }

    fn resume(&mut self) -> io::Result<()> {
        // Coming back from a stop of our own, this is told too.
        if !std::mem::take(&mut self.stopped) {
            // A shell may have set the terminal for itself meanwhile: release it, so that all of it is set again.
            self.guard.release();
            self.guard.resume()?;
        }
        Ok(())
    }
}

/// The signals that end the session, and their numbers: the exit status is 128 and the number, as shells expect.
const SIGNALS: [(&str, u8); 3] = [("SIGHUP", 1), ("SIGINT", 2), ("SIGTERM", 15)];

/// The signals that a terminal program must answer.
struct Signals {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
    hup: tokio::signal::unix::Signal,
    stop: tokio::signal::unix::Signal,
    cont: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
            stop: signal(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()))?,
            cont: signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?,
        })
    }

    /// Hands signals to the loop for as long as it runs.
    async fn forward(mut self, notices: mpsc::Sender<Notice>) {
        loop {
            let ended = |name: &str| Notice::Event(Event::Ended(SafeText::new(name)));
            let notice = tokio::select! {
                _ = self.term.recv() => ended("SIGTERM"),
                _ = self.int.recv() => ended("SIGINT"),
                _ = self.hup.recv() => ended("SIGHUP"),
                _ = self.stop.recv() => Notice::Stop,
                _ = self.cont.recv() => Notice::Continued,
            };
            if notices.send(notice).await.is_err() {
                return;
            }
        }
    }
}

/// Breaks on purpose, so that a test of the built program can see what a panic leaves behind. Not in a release.
#[cfg(debug_assertions)]
fn misbehave(notices: &mpsc::Sender<Notice>) {
    #[expect(clippy::panic, reason = "this is what is tested")]
    match std::env::var("LIFEBOAT_TEST_PANIC").as_deref() {
        Ok("loop") => panic!("a test asked for a panic"),
        Ok("task") => {
            let _notices = notices.clone();
            tokio::spawn(async { panic!("a test asked for a panic in a task") });
        }
        Ok(_) | Err(_) => {}
    }
}
