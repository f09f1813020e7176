//! What is behind the board: supervisor, history and recorder.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::app::{Event, Memory, Model, Polled, Stamped};
use crate::clock;
use crate::collect::{self, Supervisor};
use crate::config;
use crate::net::Net;
use crate::plan::{LaneId, Plan, SafeText};
use crate::store::recording::{Header, Recorder, Source};
use crate::store::{self, Store};
use crate::systems;
use crate::tui::run::{Failure, Notice};

use super::watch::{Backstage, Loaded};
use super::{EXIT_CONFIG, EXIT_FAILED};

/// How long the end of a session waits for the disk. A board must be gone at once; what is lost is some points of a chart.
const CLOSING: Duration = Duration::from_millis(30);
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
pub fn load(path: Option<&Path>, record: Option<&Path>) -> Result<Loaded, Failure> {
    let config = config::find(path)
        .and_then(|p| config::load(&p))
        .map_err(|problems| Failure { text: problems.to_string().trim_end().to_owned(), status: EXIT_CONFIG })?;
    let recorder = match record {
        Some(path) => {
            let sources = config.sources.iter().map(|s| Source::new(&s.name, &s.text)).collect();
            let header = Header::new(clock::now(), clock::boot_id(), sources);
            let made = Recorder::create(path, &header);
            Some(made.map_err(|e| Failure { text: format!("lifeboat: {e}"), status: EXIT_FAILED })?)
        }
        None => None,
    };
    let state = config.state.or_else(store::default_dir);
    let live = Live { state, kept: Arc::default(), supervisor: None, recorder };
    Ok(Loaded { plans: config.plans, theme: config.theme, back: Box::new(live) })
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
    supervisor: Option<Supervisor>,
    recorder: Option<Recorder>,
}

impl Backstage for Live {
    fn start(&mut self, plans: &[Arc<Plan>], polls: mpsc::Sender<Polled>, notices: mpsc::Sender<Notice>) {
        self.supervisor = Some(collect::start(plans, &Net::new(), &polls));
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
}

impl Drop for Live {
    fn drop(&mut self) {
        drop(self.supervisor.take());
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
