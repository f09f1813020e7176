//! What stands between the board and the journal of runs: a thread that follows the journal and carries out what a person
//! wants of a run. It only opens runs, adds what is decided for a person, and starts runners; it never acts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::app::Event;
use crate::app::guided::{News, OpenRun};
use crate::clock;
use crate::config::{self, Config};
use crate::plan::{Now, PlanId, SafeText};
use crate::runbook::{Asker, Body, Command, Digest, Entry, Opened, RunId, WATCHED, decide};
use crate::runner;
use crate::store::journal::{Journal, JournalError, RunSummary};
use crate::store::operator;
use crate::tui::run::Notice;

use super::session;

/// Orders that may wait. More are refused: nobody types that fast.
const ORDERS: usize = 16;
/// How often the journal is asked whether anybody has written, while a run is open and while none is.
const OPEN: Duration = Duration::from_millis(150);
const IDLE: Duration = Duration::from_secs(1);
/// How often a command is decided anew because somebody else wrote meanwhile.
const AGAIN: usize = 16;
/// Most entries in one piece of news.
const PIECE: usize = 128;
/// Closed runs of a plan that are followed: the newest.
const CLOSED: usize = 2;
/// How long whoever was started to watch a closed run has to take it, before another one is started.
const WATCHER: Duration = Duration::from_secs(30);

/// What a person wants done.
#[derive(Debug)]
pub enum Order {
    /// Open a run, and start its runner.
    Open(Box<OpenRun>),
    /// Put what a person wants of a run into its journal.
    Command(RunId, Box<Command>),
    /// Start a runner for a run whose own is gone.
    Start(RunId),
}

/// How long the end of a session waits for what was ordered right before it.
const PARTING: Duration = Duration::from_secs(5);

/// Orders that were taken and are not carried out yet.
type Pending = (Mutex<usize>, Condvar);

/// Starts a runner for a run of a state directory.
type Spawn = fn(&Path, &RunId) -> std::io::Result<u32>;

/// Follows the journal and carries out orders, on a thread of its own: it may wait for a disk.
#[derive(Debug)]
pub struct Guide {
    config: Arc<Config>,
    read_only: bool,
    orders: Option<SyncSender<Order>>,
    notices: Option<mpsc::Sender<Notice>>,
    pending: Arc<Pending>,
    spawn: Spawn,
}

impl Guide {
    /// A guide for these plans, not started yet. With `read_only` it follows and refuses.
    pub fn new(config: Arc<Config>, read_only: bool) -> Self {
        Self { config, read_only, orders: None, notices: None, pending: Arc::default(), spawn: runner::spawn }
    }

    /// Starts to follow the journal in this state directory.
    pub fn start(&mut self, state: Option<PathBuf>, notices: mpsc::Sender<Notice>) {
        let (sender, orders) = sync_channel(ORDERS);
        self.orders = Some(sender);
        self.notices = Some(notices.clone());
        let (config, read_only, pending) = (Arc::clone(&self.config), self.read_only, Arc::clone(&self.pending));
        let spawn = self.spawn;
        let follow = move || {
            let tell = |event| notices.blocking_send(Notice::Event(event)).is_ok();
            tell(Event::Host(Box::new(session::facts(&config))));
            let opened = match &state {
                Some(dir) if read_only => Journal::look(dir).map_err(|e| e.to_string()),
                Some(dir) => Journal::open(dir).map_err(|e| e.to_string()),
                None => Err("no directory for state is known: set `state` in the configuration".to_owned()),
            };
            match opened {
                Ok(journal) => Follower::new(journal, config, notices, pending, spawn).run(&orders),
                Err(why) => {
                    tell(Event::StoreFailed(SafeText::new(&format!("no run can be opened or followed: {why}"))));
                    // Whatever is ordered from now on is answered.
                    while orders.recv().is_ok() {
                        tell(Event::Refused(SafeText::new(&why)));
                        count(&pending, |n| n.saturating_sub(1));
                    }
                }
            }
        };
        // Where no thread can be had the orders' receiver is gone, and each order says so.
        drop(std::thread::Builder::new().name("journal".into()).spawn(follow));
    }

    /// Takes an order; never waits.
    pub fn order(&self, order: Order) {
        let refuse = |why: &str| {
            if let Some(notices) = &self.notices {
                drop(notices.try_send(Notice::Event(Event::Refused(why.into()))));
            }
        };
        if self.read_only {
            return refuse("this session is read-only");
        }
        count(&self.pending, |n| n + 1);
        let taken = self.orders.as_ref().map(|orders| orders.try_send(order).is_ok());
        if taken != Some(true) {
            count(&self.pending, |n| n.saturating_sub(1));
            refuse("the journal does not answer: it was not taken, try again");
        }
    }
}

impl Drop for Guide {
    /// Whoever approves and leaves at once has approved.
    fn drop(&mut self) {
        drop(self.orders.take());
        let (left, carried_out) = &*self.pending;
        let left = left.lock().unwrap_or_else(PoisonError::into_inner);
        drop(carried_out.wait_timeout_while(left, PARTING, |n| *n > 0));
    }
}

fn count(pending: &Pending, change: impl FnOnce(usize) -> usize) {
    let (left, carried_out) = pending;
    let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
    *left = change(*left);
    carried_out.notify_all();
}

/// What is known of a run that is followed.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    seq: u64,
    lives: Option<bool>,
}

struct Follower {
    journal: Journal,
    config: Arc<Config>,
    notices: mpsc::Sender<Notice>,
    told: BTreeMap<RunId, Told>,
    open: BTreeSet<RunId>,
    /// Closed runs whose old primary must be watched, and when somebody was last started to do so.
    watched: BTreeMap<RunId, Option<Now>>,
    version: Option<u64>,
    pending: Arc<Pending>,
    spawn: Spawn,
    /// What went wrong last, so that it is told once.
    failed: Option<String>,
}

impl Follower {
    fn new(
        journal: Journal,
        config: Arc<Config>,
        notices: mpsc::Sender<Notice>,
        pending: Arc<Pending>,
        spawn: Spawn,
    ) -> Self {
        let (told, open, watched) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        Self { journal, config, notices, told, open, watched, version: None, pending, spawn, failed: None }
    }

    /// Runs until the session is gone, and what was ordered before is carried out.
    fn run(mut self, orders: &Receiver<Order>) {
        let mut listens = true;
        loop {
            listens = listens && self.look();
            let rest = if self.open.is_empty() { IDLE } else { OPEN };
            match orders.recv_timeout(rest) {
                Ok(order) => {
                    listens &= self.carry_out(order);
                    count(&self.pending, |n| n.saturating_sub(1));
                    self.version = None;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn tell(&self, event: Event) -> bool {
        self.notices.blocking_send(Notice::Event(event)).is_ok()
    }

    /// Sends what is new; false where nobody listens any more.
    fn look(&mut self) -> bool {
        let version = self.journal.version();
        if self.version != Some(version) {
            match self.news() {
                Ok(true) => {
                    self.version = Some(version);
                    self.failed = None;
                }
                Ok(false) => return false,
                Err(e) => {
                    let why = e.to_string();
                    if self.failed.as_ref() != Some(&why) {
                        self.failed = Some(why.clone());
                        return self
                            .tell(Event::StoreFailed(SafeText::new(&format!("runs cannot be followed: {why}"))));
                    }
                }
            }
        }
        // A runner that dies writes nothing.
        for run in self.open.iter().chain(self.watched.keys()).cloned().collect::<Vec<_>>() {
            let lives = self.journal.is_held(&run);
            if !lives && !self.watch(&run) {
                return false;
            }
            let told = self.told.entry(run.clone()).or_default();
            if told.lives != Some(lives) {
                told.lives = Some(lives);
                let news = News { run, entries: Vec::new(), lives: Some(lives) };
                if !self.tell(Event::Journal(Box::new(news))) {
                    return false;
                }
            }
        }
        true
    }

    /// Starts somebody to watch the old primary of a closed run that nobody watches; they act on nothing. False where nobody
    /// listens any more.
    fn watch(&mut self, run: &RunId) -> bool {
        let now = clock::now();
        let Some(started) = self.watched.get_mut(run) else { return true };
        let patient = started.is_some_and(|at| now.since(at) < WATCHER);
        if patient || self.journal.only_looks() {
            return true;
        }
        *started = Some(now);
        match self.start_runner(run) {
            Ok(()) => true,
            Err(why) => self.tell(Event::Refused(SafeText::new(&format!("nobody watches the end of {run}: {why}")))),
        }
    }

    /// Whether a closed run's old primary must still be watched.
    fn wants_watch(&self, run: &RunSummary) -> Result<bool, JournalError> {
        if run.closed.is_none() || run.acknowledged || !run.kind.is_real() {
            return Ok(false);
        }
        Ok(self.journal.state(&run.id)?.wants_watch(clock::now(), WATCHED))
    }

    /// The entries that were not told yet, of the runs that matter: the open ones of the configured plans, and the newest
    /// that are closed.
    fn news(&mut self) -> Result<bool, JournalError> {
        let mut closed: BTreeMap<PlanId, usize> = BTreeMap::new();
        let configured = |run: &RunSummary| self.config.plans.iter().any(|p| p.id == run.plan);
        let runs: Vec<RunSummary> = self.journal.runs()?.into_iter().filter(configured).collect();
        self.open = runs.iter().filter(|r| r.closed.is_none()).map(|r| r.id.clone()).collect();
        let mut watched = BTreeMap::new();
        for run in runs {
            let watches = self.wants_watch(&run)?;
            if watches {
                watched.insert(run.id.clone(), self.watched.get(&run.id).copied().flatten());
            }
            if run.closed.is_some() {
                let seen = closed.entry(run.plan.clone()).or_default();
                *seen += 1;
                // One that was followed to its end is told to its end.
                if *seen > CLOSED && !self.told.contains_key(&run.id) {
                    continue;
                }
            }
            let mut told = self.told.get(&run.id).copied().unwrap_or_default();
            let lives = (run.closed.is_none() || watches).then_some(run.lives);
            let mut entries = self.journal.entries(&run.id, told.seq)?;
            entries.iter_mut().for_each(without_configuration);
            if entries.is_empty() && told.lives == lives {
                continue;
            }
            told.lives = lives;
            let mut pieces: Vec<Vec<Entry>> = entries.chunks(PIECE).map(<[Entry]>::to_vec).collect();
            if pieces.is_empty() {
                pieces.push(Vec::new());
            }
            for entries in pieces {
                told.seq = entries.last().map_or(told.seq, |e| e.seq);
                if !self.tell(Event::Journal(Box::new(News { run: run.id.clone(), entries, lives }))) {
                    return Ok(false);
                }
            }
            self.told.insert(run.id, told);
        }
        self.watched = watched;
        Ok(true)
    }

    /// Carries out an order, and says what became of it; false where nobody listens any more.
    fn carry_out(&mut self, order: Order) -> bool {
        let done = match order {
            Order::Open(wanted) => self.open_run(*wanted).map(|(plan, run)| {
                let started = self.start_runner(&run);
                let told = self.tell(Event::RunOpened { plan, run });
                told && started.map_or_else(|why| self.tell(Event::Refused(SafeText::new(&why))), |()| true)
            }),
            Order::Command(run, command) => self.command(&run, &command).map(|()| true),
            Order::Start(run) => self.start_runner(&run).map(|()| true),
        };
        done.unwrap_or_else(|why| self.tell(Event::Refused(SafeText::new(&why))))
    }

    /// Opens a run, pinned to the configuration as it was read.
    fn open_run(&self, wanted: OpenRun) -> Result<(PlanId, RunId), String> {
        let now = clock::now();
        let OpenRun { plan, kind, cause, reason, proposal, preempt } = wanted;
        let runbook = self.config.runbooks.get(&plan).and_then(|r| r.get(kind)).cloned();
        let runbook = runbook.ok_or_else(|| format!("{plan} has no [[plan.{kind}]]"))?;
        let pinned = config::pinned(&self.config, &plan).ok_or_else(|| format!("{plan} is not configured"))?;
        let sources: Vec<&[u8]> = self.config.sources.iter().map(|s| s.text.as_bytes()).collect();
        let who = operator();
        let mark =
            Digest::of(&[&now.boot.0.as_nanos().to_be_bytes(), &who.pid.to_be_bytes(), plan.as_str().as_bytes()]);
        let mark: String = mark.short().chars().take(4).collect();
        let id = RunId::new(&format!("{plan}-{kind}-{}-{mark}", now.wall.format("%Y%m%d-%H%M%S")));
        let opened = Opened {
            plan: plan.clone(),
            kind,
            cause,
            reason,
            from: proposal.from,
            to: proposal.to,
            runbook,
            pinned,
            config: Digest::of(&sources),
            version: env!("CARGO_PKG_VERSION").into(),
            t0: proposal.t0,
            detected: proposal.detected,
            expected: proposal.expected,
            scope: session::scope(&self.config),
            after: proposal.after,
            practice: self.config.practice,
        };
        self.journal.open_run(id.clone(), opened, who, preempt).map_err(|e| e.to_string())?;
        Ok((plan, id))
    }

    /// Decides by the run as it is on disk, and adds that; where somebody else wrote meanwhile, decides again.
    fn command(&self, run: &RunId, command: &Command) -> Result<(), String> {
        let who = operator();
        for _ in 0..AGAIN {
            let state = self.journal.state(run).map_err(|e| e.to_string())?;
            let asker = Asker { now: clock::now(), boot: self.journal.boot(), epoch: None };
            let bodies: Vec<Body> = decide(&state, command.clone(), asker).map_err(|e| e.to_string())?;
            match self.journal.append(run, state.seq, bodies, &who, state.epoch) {
                Ok(_) => return Ok(()),
                Err(JournalError::Moved { .. }) => {}
                Err(e) => return Err(e.to_string()),
            }
        }
        Err("others write to this run all the time: look at it, and try again".to_owned())
    }

    /// Starts a runner, unless one lives.
    fn start_runner(&self, run: &RunId) -> Result<(), String> {
        if self.journal.is_held(run) {
            return Ok(());
        }
        // A runner that is started now would find another journal, or make one.
        self.journal.is_there().map_err(|e| e.to_string())?;
        let dir: &Path = self.journal.dir();
        (self.spawn)(dir, run).map(drop).map_err(|e| format!("no runner can be started: {e}"))
    }
}

/// The board needs no configuration from a journal, and a recording should not hold more of it than it must.
fn without_configuration(entry: &mut Entry) {
    if let Body::Opened(opened) = &mut entry.body {
        opened.pinned.clear();
    }
}

#[cfg(test)]
mod tests;
