//! What is kept beyond a session: `history.db` and `journal.db`, SQLite files in the state directory, and recordings of
//! sessions.
//!
//! The journal of runs is another matter than the history: see [`journal`].
//!
//! Several processes use one history at once (the board and a `check` from cron). Nothing that the loop calls waits for
//! the disk: what is to be remembered goes through a bounded queue to a thread of its own. A history that cannot be
//! opened, read or written costs the past, never the session. Nothing secret is stored.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::Connection;

use crate::app::{Checked, History, Memory};
use crate::clock;
use crate::plan::{PlanId, SafeText};

mod error;
pub mod journal;
mod open;
mod operator;
mod queue;
mod read;
pub mod recording;
mod retain;
pub mod world;
mod write;
mod writer;

pub use error::StoreError;
pub use journal::{Held, Journal, JournalError, RunSummary};
pub use open::{in_memory, network};
pub use operator::operator;
pub use retain::Limits;

use queue::{Closed, Item, Queue};

/// The file's name in the state directory.
pub const FILE: &str = "history.db";

/// The history of earlier sessions, and the way to add to it. Shared; dropping it flushes like [`Store::close`].
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    boot: SafeText,
    notes: Vec<SafeText>,
    reader: Mutex<Option<Connection>>,
    queue: Arc<Queue>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

/// Where the history is kept unless the configuration says: the platform's directory for state, else for local data.
/// `None` where this user has no home.
#[must_use]
pub fn default_dir() -> Option<PathBuf> {
    let dirs = directories::ProjectDirs::from("", "", "lifeboat")?;
    Some(dirs.state_dir().unwrap_or_else(|| dirs.data_local_dir()).to_path_buf())
}

/// Opens the history in this directory, with the usual limits. Creates directory (0700) and file (0600) where they are
/// missing, and brings an older schema up to date.
///
/// # Errors
/// [`StoreError`], each with the path and what to do; the session goes on without history.
pub fn open(dir: &Path) -> Result<Store, StoreError> {
    open_with(dir, Limits::default())
}

/// Opens the history with other limits than the usual ones.
///
/// # Errors
/// As [`open()`].
pub fn open_with(dir: &Path, limits: Limits) -> Result<Store, StoreError> {
    let (path, writer, notes) = open::prepare(dir, &limits)?;
    let reader = open::reader(&path)?;
    let queue = Arc::new(Queue::new(limits.queued));
    let boot = clock::boot_id();
    let thread = {
        let (queue, path, boot) = (Arc::clone(&queue), path.clone(), boot.clone());
        std::thread::Builder::new()
            .name("history".into())
            .spawn(move || writer::run(writer, &path, &boot, &queue, &limits))
            .map_err(|source| StoreError::Directory { path: dir.to_path_buf(), source })?
    };
    Ok(Store { path, boot, notes, reader: Mutex::new(Some(reader)), queue, thread: Mutex::new(Some(thread)) })
}

impl Store {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What its user should know: that it is on a network file system.
    #[must_use]
    pub fn notes(&self) -> &[SafeText] {
        &self.notes
    }

    /// Has `tell` called, from the writer's thread, when something could not be kept: once, and again after it has worked
    /// in between. Must not block.
    pub fn on_failure(&self, tell: impl Fn(SafeText) + Send + 'static) {
        self.queue.on_failure(Box::new(tell));
    }

    /// What earlier sessions remembered of these plans. Reads the disk: not for the loop.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn history(&self, plans: &[PlanId]) -> Result<History, StoreError> {
        self.read(|reader| read::history(reader, plans, &self.boot, clock::now()))
    }

    /// Closes what it reads with, until something is read again: a session reads when it begins, and then only adds.
    pub fn rest(&self) {
        drop(self.reader.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn read<T>(&self, what: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let open = match reader.take() {
            Some(open) => open,
            None => open::reader(&self.path)?,
        };
        let read = what(reader.insert(open)).map_err(|e| StoreError::of(&self.path, e));
        drop(reader);
        read
    }

    /// Remembers these soon. Never waits: where the queue is full, points are dropped first, then samples.
    pub fn remember(&self, memories: Vec<Memory>) {
        self.queue.push(memories.into_iter().map(Item::Memory));
    }

    /// What the last check of a plan found; with `at`, what the last one by then found, or the first one there is where none
    /// is that old. `scope` tells checks of some areas apart from those of all (empty).
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn check_before(
        &self,
        plan: &PlanId,
        scope: &str,
        at: Option<DateTime<Utc>>,
    ) -> Result<Option<Checked>, StoreError> {
        self.read(|reader| read::check_before(reader, plan, scope, at))
    }

    /// Keeps what a check found, soon. Equal ones in a row take the room of one.
    pub fn save_check(&self, scope: &str, checked: Checked) {
        self.queue.push([Item::Check { scope: scope.to_owned(), checked }]);
    }

    /// How many things were given up because the queue was full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.queue.dropped()
    }

    /// Waits until everything that was to be remembered so far is on disk.
    ///
    /// # Errors
    /// `Late` where that takes longer than `limit`.
    pub fn flush(&self, limit: Duration) -> Result<(), StoreError> {
        if self.queue.flush(limit) { Ok(()) } else { Err(StoreError::Late { path: self.path.clone(), limit }) }
    }

    /// Writes what is left and closes, within a limit. What is not written by then is lost; nothing is half-written.
    ///
    /// # Errors
    /// `Late` where that takes longer than `limit`.
    pub fn close(self, limit: Duration) -> Result<(), StoreError> {
        self.end(limit)
    }

    fn end(&self, limit: Duration) -> Result<(), StoreError> {
        let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() else { return Ok(()) };
        let late = || StoreError::Late { path: self.path.clone(), limit };
        match self.queue.close(limit) {
            Closed::Ended => thread.join().map_err(|_| late()),
            Closed::Written => Ok(()),
            Closed::Late => Err(late()),
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Err(e) = self.end(Duration::from_secs(1)) {
            tracing::warn!("{e}");
        }
    }
}
