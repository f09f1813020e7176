//! What is behind the board: supervisor, history and recorder.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use crate::app::guided::OpenRun;
use crate::app::{Event, Memory, Model, Polled, Stamped};
use crate::clock;
use crate::collect::{self, Supervisor};
use crate::config;
use crate::net::Net;
use crate::plan::{LaneId, Plan, PlanId, SafeText};
use crate::readiness::PlanStatus;
use crate::runbook::Runbooks;
use crate::runbook::{Command, RunId};
use crate::store::recording::{Header, Recorder, Source};
use crate::store::{self, Store};
use crate::systems;
use crate::tui::run::{Failure, Notice, Wanted};

use super::args::WatchArgs;
use super::guide::{Guide, Order};
use super::themes::Unusable;
use super::watch::{Backstage, Loaded};
use super::{EXIT_CONFIG, EXIT_FAILED, EXIT_USAGE, themes};

/// How long the end of a session waits for the disk. A board must be gone at once; what is lost is some points of a chart.
const CLOSING: Duration = Duration::from_millis(30);
/// Threads that look: one is woken once for all that has arrived, two would wake each other.
const LOOKERS: usize = 1;
/// How much niceness they have on top of the session's own.
const GIVE_WAY: i32 = 5;
/// How long looking a plan's runbooks through may take.
const REHEARSAL: Duration = Duration::from_secs(20);
/// Plans whose runbooks are looked through at once.
const REHEARSALS: usize = 4;
/// Most memories that wait for the history to be opened.
const WAITING: usize = 4_096;

/// An empty model with every system's rules.
#[must_use]
pub fn model(boot: SafeText) -> Model {
    Model::new(systems::rules(), systems::SYSTEMS.iter().flat_map(|s| s.signals.iter()), boot)
}

/// Reads the configuration and makes what the board needs. May wait for a disk; contacts nobody.
///
/// # Errors
/// What to print when the screen is gone.
pub fn load(path: Option<&Path>, args: &WatchArgs) -> Result<Loaded, Failure> {
    let wrong =
        |problems: config::Problems| Failure { text: problems.to_string().trim_end().to_owned(), status: EXIT_CONFIG };
    let path = config::find(path).map_err(wrong)?;
    let config = config::load(&path).map_err(wrong)?;
    let own = themes::beside(&path);
    let wanted = match &args.look.theme {
        Some(name) => themes::asked(name, own).map_err(|e| match e {
            Unusable::Missing(text) => Failure { text: format!("lifeboat: {text}"), status: EXIT_USAGE },
            Unusable::Mistakes(problems) => wrong(problems),
        })?,
        None => themes::configured(config.theme.as_ref(), own).map_err(wrong)?,
    };
    let wanted = Wanted { mouse: config.mouse, ..wanted };
    let recorder = match &args.record {
        Some(path) => {
            let sources = config.sources.iter().map(|s| Source::new(&s.name, &s.text)).collect();
            let header = Header::new(clock::now(), clock::boot_id(), sources);
            let made = Recorder::create(path, &header);
            Some(made.map_err(|e| Failure { text: format!("lifeboat: {e}"), status: EXIT_FAILED })?)
        }
        None => None,
    };
    let guide = (!config.runbooks.is_empty()).then(|| Guide::new(Arc::new(config.clone()), args.read_only));
    let state = config.state.or_else(store::default_dir);
    let net = Net::keeping(state.as_deref(), &config.plans);
    let live = Live {
        state,
        kept: Arc::default(),
        looks: None,
        supervisor: None,
        recorder,
        net,
        runbooks: config.runbooks.clone(),
        rehearsals: Arc::new(Semaphore::new(REHEARSALS)),
        notices: None,
        guide,
    };
    Ok(Loaded { plans: config.plans, runbooks: config.runbooks, wanted, back: Box::new(live) })
}

/// The history, once it is open, and what waits for it until then.
#[derive(Debug, Default)]
struct Kept {
    store: Option<Store>,
    waiting: Vec<Memory>,
    given_up: bool,
}

/// Supervisor, history and recorder of one session.
#[derive(Debug)]
struct Live {
    state: Option<std::path::PathBuf>,
    kept: Arc<Mutex<Kept>>,
    /// Where the looks run.
    looks: Option<Runtime>,
    supervisor: Option<Supervisor>,
    recorder: Option<Recorder>,
    /// What looks connect through.
    net: Arc<Net>,
    /// What can be run, and looked through.
    runbooks: BTreeMap<PlanId, Arc<Runbooks>>,
    /// How many plans are looked through at once.
    rehearsals: Arc<Semaphore>,
    notices: Option<mpsc::Sender<Notice>>,
    /// What follows the journal of runs, where any can be opened.
    guide: Option<Guide>,
}

impl Backstage for Live {
    fn start(&mut self, plans: &[Arc<Plan>], polls: mpsc::Sender<Polled>, notices: mpsc::Sender<Notice>) {
        if let Some(guide) = &mut self.guide {
            guide.start(self.state.clone(), notices.clone());
        }
        let looks = match runtime() {
            Ok(runtime) => runtime,
            Err(e) => {
                // Without looks every plan stays unknown, and this says why.
                let why = Event::StoreFailed(SafeText::new(&format!("nothing can be looked at: {e}")));
                drop(notices.try_send(Notice::Event(why)));
                return;
            }
        };
        self.notices = Some(notices.clone());
        let entered = looks.enter();
        self.supervisor = Some(collect::start(plans, &self.net, &polls));
        drop(entered);
        self.looks = Some(looks);
        let (state, kept) = (self.state.clone(), Arc::clone(&self.kept));
        let ids: Vec<_> = plans.iter().map(|p| p.id.clone()).collect();
        tokio::task::spawn_blocking(move || {
            let lock = || kept.lock().unwrap_or_else(PoisonError::into_inner);
            let tell = |event| drop(notices.blocking_send(Notice::Event(event)));
            let opened = match &state {
                Some(dir) => store::open(dir).map_err(|e| e.to_string()),
                None => Err("no directory for state is known: set `state` in the configuration".to_owned()),
            };
            let store = match opened {
                Ok(store) => store,
                Err(why) => {
                    let mut kept = lock();
                    kept.given_up = true;
                    kept.waiting = Vec::new();
                    drop(kept);
                    tell(Event::StoreFailed(SafeText::new(&format!("without history: {why}"))));
                    return;
                }
            };
            match store.history(&ids) {
                Ok(history) => tell(Event::Remembered(Box::new(history))),
                Err(e) => tell(Event::StoreFailed(SafeText::new(&format!("without history: {e}")))),
            }
            store.rest();
            for note in store.notes() {
                tell(Event::StoreFailed(note.clone()));
            }
            let failed = notices.clone();
            store.on_failure(move |why| drop(failed.try_send(Notice::Event(Event::StoreFailed(why)))));
            let mut kept = lock();
            store.remember(std::mem::take(&mut kept.waiting));
            kept.store = Some(store);
        });
    }

    fn poll_now(&mut self, lanes: &[LaneId]) {
        if let Some(supervisor) = &self.supervisor {
            supervisor.poll_now(lanes);
        }
    }

    fn remember(&mut self, memories: Vec<Memory>) {
        for memory in &memories {
            if let Memory::Change(c) = memory {
                tracing::info!(plan = %c.plan, to = %c.to, situation = c.situation.words(), why = %c.why, "changed");
            }
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match &kept.store {
            Some(store) => store.remember(memories),
            None if kept.given_up => {}
            None => {
                let room = WAITING.saturating_sub(kept.waiting.len());
                kept.waiting.extend(memories.into_iter().take(room));
            }
        }
    }

    fn record(&mut self, event: &Stamped) {
        if let Some(recorder) = &mut self.recorder {
            recorder.record(event.clone());
        }
    }

    fn open_run(&mut self, run: OpenRun) {
        self.order(Order::Open(Box::new(run)));
    }

    fn command(&mut self, run: RunId, command: Command) {
        self.order(Order::Command(run, Box::new(command)));
    }

    fn rehearse(&mut self, status: &Arc<PlanStatus>, lost: bool) {
        let (Some(looks), Some(notices)) = (&self.looks, &self.notices) else { return };
        let Some(runbooks) = self.runbooks.get(&status.plan.id).cloned() else { return };
        let (status, notices) = (Arc::clone(status), notices.clone());
        let (net, few) = (Arc::clone(&self.net), Arc::clone(&self.rehearsals));
        looks.spawn(async move {
            let Ok(_turn) = few.acquire().await else { return };
            let deadline = Instant::now() + REHEARSAL;
            let mut all = collect::rehearse_all(&status, &runbooks, &net, deadline).await;
            if lost {
                let deadline = Instant::now() + REHEARSAL;
                all.extend(collect::rehearse_lost(model(clock::boot_id()), &status, &runbooks, deadline).await);
            }
            for rehearsed in all {
                let (plan, rehearsed) = (status.plan.id.clone(), Box::new(rehearsed));
                if notices.send(Notice::Event(Event::Rehearsed { plan, rehearsed })).await.is_err() {
                    return;
                }
            }
        });
    }

    fn start_runner(&mut self, run: RunId) {
        self.order(Order::Start(run));
    }
}

impl Live {
    fn order(&self, order: Order) {
        if let Some(guide) = &self.guide {
            guide.order(order);
        }
    }
}

/// The looks' own threads, which give way to the one that has the screen: a thousand handshakes never keep a key
/// waiting.
fn runtime() -> std::io::Result<Runtime> {
    let give_way = || {
        // Where it is not allowed, nothing is lost but the precedence.
        let _precedence = rustix::process::nice(GIVE_WAY);
    };
    super::threads(Some(LOOKERS)).thread_name("looks").on_thread_start(give_way).build()
}

impl Drop for Live {
    fn drop(&mut self) {
        drop(self.supervisor.take());
        if let Some(looks) = self.looks.take() {
            // Looks under way are left behind.
            looks.shutdown_background();
        }
        let store = self.kept.lock().unwrap_or_else(PoisonError::into_inner).store.take();
        if let Some(store) = store {
            // What does not reach the disk in time is told by the next session's gap in a chart, not by a hanging exit.
            drop(store.close(CLOSING));
        }
        if let Some(recorder) = self.recorder.take()
            && let Err(e) = recorder.finish()
        {
            crate::tui::terminal::say_last(&e.to_string());
        }
    }
}
