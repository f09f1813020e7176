//! The journal of runs: `journal.db` in the state directory. It is the run: whatever is not in here did not happen.
//!
//! Rules, each with its test: an entry is added in one transaction that begins with the lock, only after the entry that
//! its author saw, and is on disk before anybody hears of it; one run per plan is open, by a unique index; a runner has
//! the kernel's lock and the newest epoch, or it is not heard; a file that was removed or replaced while it is open neither
//! takes nor tells anything. Reads never wait for a writer.

mod add;
mod error;
mod files;
mod lock;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::clock;
use crate::plan::{PlanId, SafeText};
use crate::runbook::{
    Broken, Closing, Digest, Entry, Operator, RunId, RunState, RunbookKind, SCHEMA, Tenure, chain, fold,
};

use super::open::{self, Form};
use files::Files;

pub use error::JournalError;

/// The file's name in the state directory.
pub const FILE: &str = "journal.db";

/// "LFBJ".
const FORM: Form = Form { application: 0x4c46_424a, scripts: &[include_str!("schema_1.sql")] };

/// Of how many runs the state is remembered, so that an addition costs only what is new.
const REMEMBERED: usize = 16;

/// The journal of all runs of a state directory. Shared by threads; several processes use one file.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    path: PathBuf,
    files: Files,
    boot: SafeText,
    /// Whether this process only looks.
    looks: bool,
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
    known: Mutex<HashMap<RunId, Known>>,
}

/// A run as far as it was read: its state, and the digest of its newest entry.
#[derive(Clone, Debug)]
struct Known {
    state: RunState,
    head: Digest,
}

/// What a list of runs says of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSummary {
    /// Which.
    pub id: RunId,
    /// Of which plan.
    pub plan: PlanId,
    /// What for.
    pub kind: RunbookKind,
    /// When it was opened.
    pub opened: DateTime<Utc>,
    /// By whom.
    pub by: Operator,
    /// How it ended, and when; `None` while it is open.
    pub closed: Option<(Closing, DateTime<Utc>)>,
    /// Whether somebody has taken note of its end.
    pub acknowledged: bool,
    /// Whether a runner lives that holds it.
    pub lives: bool,
}

/// The hold of this process on a run. The kernel's lock lasts until this is dropped and every copy of its descriptor is
/// closed: a child that inherited one keeps other runners out until it ends.
#[derive(Debug)]
pub struct Held {
    tenure: Tenure,
    lock: Arc<OwnedFd>,
}

impl Held {
    /// The tenure, for [`crate::runbook::admit`].
    #[must_use]
    pub const fn tenure(&self) -> &Tenure {
        &self.tenure
    }

    /// The lock's descriptor, to be handed on to a child. Empty and for reading only: it may be a child's standard input.
    #[must_use]
    pub fn lock(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.lock)
    }
}

impl Journal {
    /// Opens the journal in this state directory; makes directory (0700) and file (0600) where they are missing, and brings
    /// an older schema up to date.
    ///
    /// # Errors
    /// [`JournalError`], each with the path and what to do. Without a journal there is no run.
    pub fn open(dir: &Path) -> Result<Self, JournalError> {
        Self::open_as(dir, false)
    }

    /// Opens it to look only: no run is opened, changed or taken through it.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn look(dir: &Path) -> Result<Self, JournalError> {
        Self::open_as(dir, true)
    }

    fn open_as(dir: &Path, looks: bool) -> Result<Self, JournalError> {
        let path = open::file(dir, FILE)?;
        if let Some(kind) = open::network(dir) {
            return Err(JournalError::Network { dir: dir.to_path_buf(), kind });
        }
        let failed = |e| JournalError::of(&path, e);
        let mut writer = open::connect(&path, false).map_err(failed)?;
        open::migrate(&mut writer, &path, FORM)?;
        harden(&writer, &path)?;
        // The file's own name must last, too.
        std::fs::File::open(dir)
            .and_then(|d| d.sync_all())
            .map_err(|source| super::StoreError::Directory { path: dir.to_path_buf(), source })?;
        // SQLite opens the write-ahead log with the first read.
        touch(&writer).map_err(failed)?;
        let files = Files::at(&path)?;
        let reader = open::connect(&path, true).map_err(failed)?;
        touch(&reader).map_err(failed)?;
        files.are_there()?;
        if looks {
            writer.pragma_update(None, "query_only", true).map_err(failed)?;
        }
        Ok(Self {
            dir: dir.to_path_buf(),
            path,
            files,
            boot: clock::boot_id(),
            looks,
            writer: Mutex::new(writer),
            reader: Mutex::new(reader),
            known: Mutex::default(),
        })
    }

    /// The state directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The boot of this host, as entries name it.
    #[must_use]
    pub const fn boot(&self) -> &SafeText {
        &self.boot
    }

    /// Whether this process only looks.
    #[must_use]
    pub const fn only_looks(&self) -> bool {
        self.looks
    }

    fn writer(&self) -> MutexGuard<'_, Connection> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection to read with. What was taken away tells nothing: nobody else could read it.
    fn reader(&self) -> Result<MutexGuard<'_, Connection>, JournalError> {
        self.is_there()?;
        Ok(self.reader.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the file that is open is still the one at its path.
    ///
    /// # Errors
    /// [`JournalError::Gone`] where it was removed, or another one is there.
    pub fn is_there(&self) -> Result<(), JournalError> {
        self.files.are_there()
    }

    fn failed(&self) -> impl Fn(rusqlite::Error) -> JournalError + '_ {
        |e| JournalError::of(&self.path, e)
    }

    /// Changes whenever any process has written. Cheap: nothing is read but a page that is in memory. Where it cannot be
    /// told, it changes each time, so that whoever asks reads, and hears why.
    #[must_use]
    pub fn version(&self) -> u64 {
        let version = |conn: &Connection| conn.pragma_query_value(None, "data_version", |r| r.get::<_, i64>(0)).ok();
        self.reader().ok().and_then(|conn| version(&conn)).map_or_else(
            || u64::try_from(clock::now().boot.0.as_nanos()).unwrap_or(u64::MAX),
            |v| u64::try_from(v).unwrap_or(0),
        )
    }

    /// The entries of a run as they are kept, in order: for proof and export. Empty where there is no such run.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn texts(&self, run: &RunId) -> Result<Vec<String>, JournalError> {
        texts(&*self.reader()?, run, 0).map_err(self.failed())
    }

    /// The entries of a run after this one, in order; all after 0.
    ///
    /// # Errors
    /// Where it cannot be read, or an entry is a newer program's.
    pub fn entries(&self, run: &RunId, after: u64) -> Result<Vec<Entry>, JournalError> {
        let texts = self.texts_after(run, after)?;
        texts.iter().zip(after.saturating_add(1)..).map(|(text, seq)| parse(run, seq, text)).collect()
    }

    fn texts_after(&self, run: &RunId, after: u64) -> Result<Vec<String>, JournalError> {
        texts(&*self.reader()?, run, after).map_err(self.failed())
    }

    /// Where a run stands. Every entry is proved to follow from the one before.
    ///
    /// # Errors
    /// Where there is no such run, or it cannot be read, or it is broken.
    pub fn state(&self, run: &RunId) -> Result<RunState, JournalError> {
        let base = self.remembered(run);
        let reader = self.reader()?;
        // One moment, whatever others add meanwhile.
        let tx = reader.unchecked_transaction().map_err(self.failed())?;
        let known = self.load(&tx, run, base)?;
        drop(tx);
        drop(reader);
        let state = known.state.clone();
        self.remember(known);
        Ok(state)
    }

    fn remembered(&self, run: &RunId) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(run).cloned()
    }

    fn remember(&self, known: Known) {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED && !all.contains_key(&known.state.run) {
            all.clear();
        }
        if all.get(&known.state.run).is_none_or(|k| k.state.seq <= known.state.seq) {
            all.insert(known.state.run.clone(), known);
        }
    }

    /// Reads a run on from what is known of it.
    fn load(&self, conn: &Connection, run: &RunId, base: Option<Known>) -> Result<Known, JournalError> {
        let broken = |seq, why: String| JournalError::Broken { run: run.clone(), broken: Broken { seq, why } };
        // What is known of a file that was put back to an earlier state is worth nothing.
        let newest = newest(conn, run).map_err(self.failed())?;
        let mut known = base.filter(|k| newest.as_ref().is_some_and(|(seq, _)| k.state.seq <= *seq));
        let after = known.as_ref().map_or(0, |k| k.state.seq);
        for (text, seq) in texts(conn, run, after).map_err(self.failed())?.iter().zip(after.saturating_add(1)..) {
            let entry = parse(run, seq, text)?;
            let head = known.as_ref().map_or(Digest::NONE, |k| k.head);
            if entry.prev != head {
                return Err(broken(seq, "it does not follow from the entry before it".to_owned()));
            }
            match &mut known {
                Some(known) => known.state.take(&entry),
                None => {
                    let none = || broken(seq, "it opens no run".to_owned());
                    known = Some(Known { state: fold(std::slice::from_ref(&entry)).ok_or_else(none)?, head });
                }
            }
            let Some(known) = &mut known else { continue };
            known.head = chain(text);
            if let Some((seq, why)) = known.state.ignored.first() {
                return Err(broken(*seq, (*why).to_owned()));
            }
        }
        let known = known.ok_or_else(|| JournalError::NoRun(run.clone()))?;
        match newest {
            Some((seq, hash)) if seq == known.state.seq && hash == known.head.to_string() => Ok(known),
            Some((seq, _)) => Err(broken(seq, "its text is not the one that was written".to_owned())),
            None => Err(JournalError::NoRun(run.clone())),
        }
    }

    /// All runs, newest first.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn runs(&self) -> Result<Vec<RunSummary>, JournalError> {
        let rows = {
            let reader = self.reader()?;
            let mut all = reader
                .prepare_cached(
                    "SELECT id, plan, kind, wall, who, closing, closed, acknowledged FROM run ORDER BY wall DESC, id DESC",
                )
                .map_err(self.failed())?;
            let rows = all.query_map([], summary).map_err(self.failed())?;
            rows.collect::<rusqlite::Result<Vec<_>>>().map_err(self.failed())?
        };
        Ok(rows.into_iter().map(|run| RunSummary { lives: self.is_held(&run.id), ..run }).collect())
    }

    /// The open run of a plan.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn open_run_of(&self, plan: &PlanId) -> Result<Option<RunId>, JournalError> {
        open_of(&*self.reader()?, plan).map_err(self.failed())
    }

    /// Whether a runner lives that holds the run. Only [`Journal::take`] decides.
    #[must_use]
    pub fn is_held(&self, run: &RunId) -> bool {
        lock::is_taken(&self.dir, run)
    }
}

/// Where a run's runner writes what happens behind the scenes: made where it is missing, for whoever may use the journal.
///
/// # Errors
/// Where it cannot be made.
pub fn log_of(dir: &Path, run: &RunId) -> std::io::Result<PathBuf> {
    let folder = lock::folder(dir)?;
    let path = folder.join(format!("{run}.log"));
    open::create(&folder, &path)?;
    Ok(path)
}

/// Makes sure that a commit that returns is on disk: WAL, and flushed with each one.
fn harden(conn: &Connection, path: &Path) -> Result<(), JournalError> {
    let failed = |e| JournalError::of(path, e);
    let unsafe_ = |wanted, found| JournalError::Unsafe { path: path.to_path_buf(), wanted, found };
    let mode = open::set_journal(conn, "wal").map_err(failed)?;
    if mode != "wal" {
        return Err(unsafe_("a write-ahead log", mode));
    }
    conn.pragma_update(None, "synchronous", "full").map_err(failed)?;
    let flushed: i64 = conn.pragma_query_value(None, "synchronous", |r| r.get(0)).map_err(failed)?;
    if flushed == 2 { Ok(()) } else { Err(unsafe_("synchronous 2", flushed.to_string())) }
}

/// Reads something, whatever it is.
fn touch(conn: &Connection) -> rusqlite::Result<()> {
    conn.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
}

fn texts(conn: &Connection, run: &RunId, after: u64) -> rusqlite::Result<Vec<String>> {
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let mut all = conn.prepare_cached("SELECT text FROM entry WHERE run = ?1 AND seq > ?2 ORDER BY seq")?;
    all.query_map(params![run.as_str(), after], |r| r.get(0))?.collect()
}

/// The place and the digest of a run's newest entry, as they were written.
fn newest(conn: &Connection, run: &RunId) -> rusqlite::Result<Option<(u64, String)>> {
    conn.prepare_cached("SELECT seq, hash FROM entry WHERE run = ?1 ORDER BY seq DESC LIMIT 1")?
        .query_row([run.as_str()], |r| Ok((u64::try_from(r.get::<_, i64>(0)?).unwrap_or(0), r.get(1)?)))
        .optional()
}

fn open_of(conn: &Connection, plan: &PlanId) -> rusqlite::Result<Option<RunId>> {
    conn.prepare_cached("SELECT id FROM run WHERE plan = ?1 AND open")?
        .query_row([plan.as_str()], |r| Ok(RunId::new(&r.get::<_, String>(0)?)))
        .optional()
}

/// Reads an entry that is kept as this one.
fn parse(run: &RunId, seq: u64, text: &str) -> Result<Entry, JournalError> {
    let broken = |why: String| JournalError::Broken { run: run.clone(), broken: Broken { seq, why } };
    let entry: Entry = serde_json::from_str(text).map_err(|e| broken(format!("cannot be read: {e}")))?;
    if entry.v > SCHEMA {
        return Err(broken(format!(
            "written by a newer lifeboat (version {}, this one knows {SCHEMA}): use that one",
            entry.v
        )));
    }
    if entry.seq != seq || entry.run != *run {
        return Err(broken("it is another entry".to_owned()));
    }
    Ok(entry)
}

fn summary(row: &rusqlite::Row<'_>) -> rusqlite::Result<RunSummary> {
    let wall = |micros: i64| DateTime::from_timestamp_micros(micros).unwrap_or_default();
    let wrong = |column, e: Box<dyn std::error::Error + Send + Sync>| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, e)
    };
    let kind: String = row.get(2)?;
    let closing: Option<String> = row.get(5)?;
    let closing: Option<Closing> =
        closing.map(|text| serde_json::from_str(&text)).transpose().map_err(|e| wrong(5, Box::new(e)))?;
    let closed: Option<i64> = row.get(6)?;
    Ok(RunSummary {
        id: RunId::new(&row.get::<_, String>(0)?),
        plan: PlanId::new(&row.get::<_, String>(1)?),
        kind: RunbookKind::from_word(&kind).ok_or_else(|| wrong(2, format!("no kind of runbook: {kind}").into()))?,
        opened: wall(row.get(3)?),
        by: serde_json::from_str(&row.get::<_, String>(4)?).map_err(|e| wrong(4, Box::new(e)))?,
        closed: closing.zip(closed.map(wall)),
        acknowledged: row.get(7)?,
        lives: false,
    })
}
