//! A practice world that is up, and what stands between it and the board: events that are let begin, runs that are
//! debriefed, and the runner that dies where the scenario wants it.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::app::guided::OpenRun;
use crate::app::{Event, Memory, Polled, Stamped};
use crate::plan::{LaneId, Plan, SafeText};
use crate::practice::Practice;
use crate::practice::config::{BACKUPS, FILE, Places, SECRETS, STATE, toml};
use crate::practice::debrief::{Truth, debrief};
use crate::practice::scenario::{self, SCENARIOS, Scenario};
use crate::practice::shared::Shared;
use crate::readiness::PlanStatus;
use crate::runbook::{Command, Entry, RunId, StepIx, StepRole};
use crate::store::{self, Journal};
use crate::tui::run::Notice;

use super::super::args::DemoArgs;
use super::super::watch::Backstage;
use super::home;

/// When what the command line names begins, after the world, in real time: by then whoever looks has seen all well.
const LEAD: Duration = Duration::from_secs(20);
/// How often the journal is asked whether a run is over.
const OFTEN: Duration = Duration::from_millis(150);
/// The same while a runner is to die in the middle of something.
const AT_ONCE: Duration = Duration::from_millis(5);
/// Threads that keep the world going.
const WORKERS: usize = 2;

/// What can be let begin on the board, by name, each with a sentence.
pub fn offered() -> Vec<(String, String)> {
    let happening = SCENARIOS.iter().filter(|s| s.happens());
    happening.map(|s| (s.name.to_owned(), s.sentence.to_owned())).collect()
}

/// A practice world that is up.
#[derive(Debug)]
pub struct Stage {
    runtime: Runtime,
    practice: Practice,
    scenario: &'static Scenario,
    state: PathBuf,
    file: PathBuf,
    /// Says to runners that the world lives.
    lives: OwnedFd,
}

impl Stage {
    /// Brings the world up in a directory: its servers, its secrets, its configuration, and the scenario to come.
    ///
    /// # Errors
    /// Where the machine gives no files, ports or threads.
    pub fn set(args: &DemoArgs, scenario: &'static Scenario, home: &Path) -> anyhow::Result<Self> {
        let mut private = std::fs::DirBuilder::new();
        private.mode(0o700);
        for folder in [STATE, SECRETS, BACKUPS] {
            private.create(home.join(folder)).with_context(|| format!("{}: no {folder}", home.display()))?;
        }
        let state = home.join(STATE);
        let lives = store::world::hold(&state).context("the practice world's lock")?;
        let threads = || crate::cli::threads(Some(WORKERS)).thread_name("practice").build();
        let runtime = threads().context("no threads for the practice world")?;
        let practice = runtime
            .block_on(Practice::start(args.seed, args.speed, &home.join(BACKUPS)))
            .context("the practice world cannot be started")?;
        for (name, secret) in practice.secrets() {
            write(&home.join(SECRETS).join(name), secret.expose_secret())?;
        }
        let places = Places { dir: home, servers: practice.servers(), traffic: practice.traffic() };
        let file = home.join(FILE);
        write(&file, &toml(&places)?)?;
        if scenario.away {
            runtime.block_on(scenario::away(practice.shared()));
        }
        scenario::begin(practice.shared(), scenario, LEAD);
        Ok(Self { runtime, practice, scenario, state, file, lives })
    }

    /// The configuration's file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Waits for something on the world's own threads, while the world goes on.
    pub fn wait<T>(&self, what: impl Future<Output = T>) -> T {
        self.runtime.block_on(what)
    }

    /// The world ends.
    pub fn end(self) {
        drop(self.lives);
        self.runtime.shutdown_background();
    }
}

/// Writes a file that is this user's alone.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    let open = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    open.and_then(|mut file| file.write_all(text.as_bytes())).with_context(|| format!("{}", path.display()))
}

/// The board's backstage on a practice world: the ordinary one, and beside it whoever watches the run.
#[derive(Debug)]
pub struct Staged {
    live: Option<Box<dyn Backstage>>,
    stage: Option<Stage>,
    watcher: Option<(SyncSender<()>, JoinHandle<()>)>,
    learnt: Arc<Mutex<Vec<String>>>,
    /// The scenario that was let begin last.
    current: Arc<Mutex<&'static Scenario>>,
    /// Whether the next runner that promotes is to die.
    interrupts: Arc<AtomicBool>,
}

impl Staged {
    /// The ordinary backstage, on this stage. What is learnt is put into `learnt`, a debrief each.
    pub fn new(live: Box<dyn Backstage>, stage: Stage, learnt: Arc<Mutex<Vec<String>>>) -> Self {
        let current = Arc::new(Mutex::new(stage.scenario));
        let interrupts = Arc::new(AtomicBool::new(stage.scenario.interrupts));
        Self { live: Some(live), stage: Some(stage), watcher: None, learnt, current, interrupts }
    }

    fn live(&mut self) -> Option<&mut dyn Backstage> {
        self.live.as_deref_mut().map(|live| live as &mut dyn Backstage)
    }

    fn watch(&mut self, notices: mpsc::Sender<Notice>) {
        let Some(stage) = &self.stage else { return };
        let (stop, stopped) = sync_channel(1);
        let mut watcher = Watcher {
            shared: stage.practice.shared().clone(),
            state: stage.state.clone(),
            current: Arc::clone(&self.current),
            learnt: Arc::clone(&self.learnt),
            told: BTreeSet::new(),
            interrupts: Arc::clone(&self.interrupts),
            notices,
        };
        let watch = move || {
            loop {
                let rest = if watcher.interrupts.load(Ordering::Relaxed) { AT_ONCE } else { OFTEN };
                let over = !matches!(stopped.recv_timeout(rest), Err(RecvTimeoutError::Timeout));
                // What was closed right before the end is debriefed, too.
                watcher.look();
                if over {
                    return;
                }
            }
        };
        let started = std::thread::Builder::new().name("debrief".into()).spawn(watch);
        self.watcher = started.ok().map(|thread| (stop, thread));
    }
}

impl Backstage for Staged {
    fn start(&mut self, plans: &[Arc<Plan>], polls: mpsc::Sender<Polled>, notices: mpsc::Sender<Notice>) {
        self.watch(notices.clone());
        if let Some(live) = self.live() {
            live.start(plans, polls, notices);
        }
    }

    fn poll_now(&mut self, lanes: &[LaneId]) {
        if let Some(live) = self.live() {
            live.poll_now(lanes);
        }
    }

    fn remember(&mut self, memories: Vec<Memory>) {
        if let Some(live) = self.live() {
            live.remember(memories);
        }
    }

    fn record(&mut self, event: &Stamped) {
        if let Some(live) = self.live() {
            live.record(event);
        }
    }

    fn open_run(&mut self, run: OpenRun) {
        if let Some(live) = self.live() {
            live.open_run(run);
        }
    }

    fn command(&mut self, run: RunId, command: Command) {
        if let Some(live) = self.live() {
            live.command(run, command);
        }
    }

    fn rehearse(&mut self, status: &Arc<PlanStatus>, lost: bool) {
        if let Some(live) = self.live() {
            live.rehearse(status, lost);
        }
    }

    fn start_runner(&mut self, run: RunId) {
        if let Some(live) = self.live() {
            live.start_runner(run);
        }
    }

    fn practice(&mut self, name: &str) {
        let (Some(stage), Some(scenario)) = (&self.stage, Scenario::named(name)) else { return };
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = scenario;
        self.interrupts.store(scenario.interrupts, Ordering::Relaxed);
        scenario::begin(stage.practice.shared(), scenario, Duration::ZERO);
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // First whoever looks and asks, then whoever answers.
        drop(self.live.take());
        if let Some((stop, thread)) = self.watcher.take() {
            drop(stop);
            drop(thread.join());
        }
        if let Some(stage) = self.stage.take() {
            stage.end();
        }
    }
}

/// Follows the journal for what only the practice does with it.
struct Watcher {
    shared: Shared,
    state: PathBuf,
    current: Arc<Mutex<&'static Scenario>>,
    learnt: Arc<Mutex<Vec<String>>>,
    told: BTreeSet<RunId>,
    interrupts: Arc<AtomicBool>,
    notices: mpsc::Sender<Notice>,
}

impl Watcher {
    fn look(&mut self) {
        // Until the first run there is no journal.
        let Ok(journal) = Journal::look(&self.state) else { return };
        for run in journal.runs().unwrap_or_default() {
            if run.closed.is_none() {
                self.interrupt(&journal, &run.id);
            } else if !self.told.contains(&run.id)
                && let Ok(entries) = journal.entries(&run.id, 0)
            {
                self.told.insert(run.id.clone());
                self.tell(run.id, &entries);
            }
        }
    }

    /// Ends the runner, once, whose promotion is under way: asked for, and not seen to be done.
    fn interrupt(&self, journal: &Journal, run: &RunId) {
        if !self.interrupts.load(Ordering::Relaxed) {
            return;
        }
        let Ok(state) = journal.state(run) else { return };
        let promotes = |step: &StepIx| state.opened.runbook.step(*step).is_some_and(|s| s.role == StepRole::Promote);
        let asked = self.shared.with(|w| {
            w.clusters()
                .iter()
                .flat_map(|c| &c.servers)
                .any(|s| s.standby.as_ref().is_some_and(|s| s.promotion.is_some()))
        });
        let begun = state.open_attempts().any(|a| promotes(&a.id.step) && (asked || a.acted.is_some()));
        if begun && let Some(pid) = state.runner.as_ref().map(|who| who.pid) {
            self.interrupts.store(!home::kill_runner(pid, run.as_str()), Ordering::Relaxed);
        }
    }

    fn tell(&self, run: RunId, entries: &[Entry]) {
        let scenario = *self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return };
        let truth = self.shared.with(|world| Truth::of(world, scenario, (first.at.wall, last.at.wall)));
        let lines = debrief(entries, truth, scenario);
        if lines.is_empty() {
            return;
        }
        let text =
            format!("PRACTICE debrief of {run}\n{}\n", lines.iter().map(|l| format!("  {l}\n")).collect::<String>());
        self.learnt.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        let lines = lines.iter().map(|l| SafeText::new(l)).collect();
        // Where nobody listens any more, it is printed all the same.
        drop(self.notices.blocking_send(Notice::Event(Event::Debriefed { run, lines })));
    }
}
