//! The board: terminal, first frame, and only then configuration, store and network.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::mem::ManuallyDrop;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::app::guided::{First, OpenRun};
use crate::app::{App, Event, Memory, Model, Polled, Stamped};
use crate::plan::{LaneId, Plan, PlanId, SafeText};
use crate::readiness::PlanStatus;
use crate::runbook::{Command, RunId, Runbooks};
use crate::tui::frame::Look;
use crate::tui::quiet::Quiet;
use crate::tui::run::{End, Failure, Inbox, Notice, Outside, Session, Wanted, paint};
use crate::tui::terminal::{self, Guard};
use crate::tui::theme::Depth;
use crate::tui::{copy, input};

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
    /// What can be run for them.
    pub runbooks: BTreeMap<PlanId, Arc<Runbooks>>,
    /// How the screen shall be.
    pub wanted: Wanted,
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
    /// Opens a run, and starts its runner.
    fn open_run(&mut self, run: OpenRun);
    /// Puts what a person wants of a run into its journal.
    fn command(&mut self, run: RunId, command: Command);
    /// Looks the runbooks of a plan through, as it was just judged; also as if its active site were gone.
    fn rehearse(&mut self, status: &Arc<PlanStatus>, lost: bool);
    /// Starts a runner for a run whose own is gone.
    fn start_runner(&mut self, run: RunId);
    /// Lets a scenario begin in the practice world, where there is one.
    fn practice(&mut self, _name: &str) {}
}

/// Reads the configuration. Called off the loop: it may wait for a disk.
pub type Load = Box<dyn FnOnce() -> Result<Loaded, Failure> + Send>;

/// Runs the board until a person leaves. Touches no file before the first frame.
///
/// # Errors
/// None: what goes wrong is told on standard error, once the terminal is given back.
pub fn run(args: &WatchArgs, config: Option<&Path>) -> anyhow::Result<ExitCode> {
    let (config, own) = (config.map(Path::to_path_buf), args.clone());
    let load: Load = Box::new(move || live::load(config.as_deref(), &own));
    Ok(watch(args, live::model(crate::clock::boot_id()).watching().gathering(), load, Begin::default()))
}

/// The same on a practice world, which `load` brings. That it is one is on the screen from the first frame on.
#[must_use]
pub fn practise(args: &WatchArgs, load: Load) -> ExitCode {
    let begin = Begin { practice: true, ..Begin::default() };
    watch(args, live::model(crate::clock::boot_id()).watching().gathering(), load, begin)
}

/// The same for one run: `lifeboat run` and `lifeboat attach`.
///
/// # Errors
/// As [`run`].
pub fn run_first(args: &WatchArgs, config: Option<&Path>, first: First) -> anyhow::Result<ExitCode> {
    let (config, own) = (config.map(Path::to_path_buf), args.clone());
    let load: Load = Box::new(move || live::load(config.as_deref(), &own));
    Ok(watch(
        args,
        live::model(crate::clock::boot_id()).watching().gathering(),
        load,
        Begin { first: Some(first), ..Begin::default() },
    ))
}

/// How a board begins.
#[derive(Clone, Debug, Default)]
pub struct Begin {
    /// What it was started for.
    pub first: Option<First>,
    /// Whether what it shows is simulated.
    pub practice: bool,
}

/// Runs the board on whatever `load` brings; returns the exit status.
#[must_use]
pub fn watch(args: &WatchArgs, model: Model, load: Load, begin: Begin) -> ExitCode {
    if !terminal::usable() {
        tell("lifeboat: the board needs a terminal; for one sweep in text or JSON, use lifeboat check");
        return ExitCode::from(EXIT_USAGE);
    }
    let end = on_terminal(args, model, load, begin);
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
        // A frame that cannot be written may be the first to know.
        Err(_) if terminal::is_gone() => ExitCode::from(terminal::HANGUP),
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
fn on_terminal(args: &WatchArgs, model: Model, load: Load, begin: Begin) -> io::Result<End> {
    let options = &args.look;
    let look = look(options);
    let guard = Guard::take()?;
    let out = BufWriter::with_capacity(1 << 16, io::stdout());
    // Never dropped: it would show the cursor, which the guard does, and panic where the terminal is gone (it prints why).
    let mut terminal = ManuallyDrop::new(Terminal::new(Quiet::new(CrosstermBackend::new(out)))?);
    let size = terminal.size()?;
    let mut app = App::new(model, size.width, size.height);
    app.view.read_only = args.read_only;
    app.first = begin.first;
    app.view.practice = begin.practice;
    if let Some(theme) = &options.theme {
        app.view.theme.clone_from(theme);
    }
    // The first frame: nothing was read, nobody was asked. A theme of the user's own comes with the configuration.
    paint(&mut *terminal, &app, &look, crate::clock::now())?;
    terminal::watch()?;

    // This thread has the screen alone: what looks has threads of its own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (notices_in, notices) = mpsc::channel(NOTICES);
    let (polls_in, polls) = mpsc::channel(POLLS);
    let (back_in, back) = std::sync::mpsc::sync_channel(1);
    let end = runtime.block_on(async {
        let signals = Signals::new()?;
        tokio::spawn(signals.forward(notices_in.clone()));
        let outcome = notices_in.clone();
        tokio::task::spawn_blocking(move || {
            let notice = match load() {
                Ok(loaded) => {
                    let _ended = back_in.send(loaded.back);
                    Notice::Configured { plans: loaded.plans, runbooks: loaded.runbooks, wanted: loaded.wanted }
                }
                Err(failure) => Notice::Failed(failure),
            };
            let _ended = outcome.blocking_send(notice);
        });
        #[cfg(debug_assertions)]
        misbehave(&notices_in);
        let outside =
            Behind { back: None, arrives: back, polls: polls_in, notices: notices_in, guard: &guard, stopped: false };
        let mut session = Session::new(&mut *terminal, &mut app, outside, look, crate::clock::now);
        let end = session.run(Inbox { notices, polls }, input::terminal()).await;
        session.tell_ages();
        end
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
    Look { depth, ascii: options.ascii, own: Vec::new() }
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

    fn open_run(&mut self, run: OpenRun) {
        if let Some(back) = &mut self.back {
            back.open_run(run);
        }
    }

    fn command(&mut self, run: RunId, command: Command) {
        if let Some(back) = &mut self.back {
            back.command(run, command);
        }
    }

    fn rehearse(&mut self, status: &Arc<PlanStatus>, lost: bool) {
        if let Some(back) = &mut self.back {
            back.rehearse(status, lost);
        }
    }

    fn start_runner(&mut self, run: RunId) {
        if let Some(back) = &mut self.back {
            back.start_runner(run);
        }
    }

    fn practice(&mut self, name: &str) {
        if let Some(back) = &mut self.back {
            back.practice(name);
        }
    }

    fn copy(&mut self, text: &str) -> io::Result<()> {
        let tmux = std::env::var_os("TMUX").is_some_and(|v| !v.is_empty());
        self.guard.write(&copy::sequence(text, tmux))
    }

    fn mouse(&mut self, on: bool) -> io::Result<()> {
        self.guard.mouse(on)?;
        #[cfg(debug_assertions)]
        misbehave_with("mouse");
        Ok(())
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

/// The same, once something was taken that a panic must give back.
#[cfg(debug_assertions)]
fn misbehave_with(what: &str) {
    #[expect(clippy::panic, reason = "this is what is tested")]
    if std::env::var("LIFEBOAT_TEST_PANIC").as_deref() == Ok(what) {
        panic!("a test asked for a panic");
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
            // What looks is on other threads than the screen.
            tokio::task::spawn_blocking(|| panic!("a test asked for a panic in a task"));
        }
        Ok(_) | Err(_) => {}
    }
}
