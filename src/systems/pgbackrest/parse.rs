//! What `pgbackrest info --output=json` and `repo-ls --output=json` print.

mod reach;
pub(super) mod wal;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::plan::{Bytes, Lsn, WalSegment};
use crate::readiness::{Gap, Reason, Row, Value};

/// Most backups of one repository that are kept: the newest.
const MOST_BACKUPS: usize = 12;

/// One stanza, as `info` tells it (info.c of pgBackRest; formats of 2.32 and later). What newer versions add is left
/// out; what is missing is an error.
#[derive(Debug, Deserialize)]
pub(super) struct Stanza {
    name: String,
    status: Status,
    repo: Vec<Repo>,
    db: Vec<Db>,
    archive: Vec<Archive>,
    backup: Vec<Backup>,
}

#[derive(Debug, Deserialize)]
struct Status {
    code: i64,
    message: String,
    lock: Option<Locks>,
}

#[derive(Debug, Deserialize)]
struct Locks {
    backup: Option<Lock>,
}

#[derive(Debug, Deserialize)]
struct Lock {
    held: bool,
}

#[derive(Debug, Deserialize)]
struct Repo {
    key: i64,
    cipher: String,
    status: Status,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
struct OfRepo {
    id: i64,
    #[serde(rename = "repo-key")]
    repo: i64,
}

#[derive(Debug, Deserialize)]
struct Db {
    id: i64,
    #[serde(rename = "repo-key")]
    repo: i64,
    #[serde(rename = "system-id")]
    system_id: u64,
}

#[derive(Debug, Deserialize)]
struct Archive {
    database: OfRepo,
    id: String,
    min: Option<String>,
    max: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Backup {
    database: OfRepo,
    label: String,
    r#type: String,
    reference: Option<Vec<String>>,
    error: Option<bool>,
    archive: Ends<Option<String>>,
    timestamp: Ends<i64>,
    lsn: Option<Ends<Option<String>>>,
    info: Info,
}

#[derive(Debug, Deserialize)]
struct Ends<T> {
    start: T,
    stop: T,
}

#[derive(Debug, Deserialize)]
struct Info {
    size: u64,
    repository: Stored,
}

#[derive(Debug, Deserialize)]
struct Stored {
    size: Option<u64>,
    delta: Option<u64>,
}

fn malformed(what: &str) -> Gap {
    Gap::new(Reason::Malformed, what)
}

/// Reads what `info` printed, of which the one stanza is wanted.
///
/// # Errors
/// `Malformed`: no JSON, a key is missing, or it is another stanza; `Absent`: it knows no stanza at all.
pub(super) fn info(stanza: &str, output: &[u8]) -> Result<Stanza, Gap> {
    let all: Vec<Stanza> =
        serde_json::from_str(&cleaned(output)).map_err(|e| malformed(&format!("pgbackrest info: {e}")))?;
    let names: Vec<&str> = all.iter().map(|s| s.name.as_str()).collect();
    match names.as_slice() {
        [] => Err(Gap::new(Reason::Absent, "pgbackrest info: knows no stanza")),
        [one] if *one == stanza => all.into_iter().next().ok_or_else(|| Reason::Absent.into()),
        _ => Err(malformed(&format!("pgbackrest info: asked about {stanza}, told about {}", names.join(", ")))),
    }
}

/// The same without control characters and broken characters in its strings: what a wrong key makes of a repository's
/// index is repeated there as it is.
fn cleaned(output: &[u8]) -> String {
    let (mut inside, mut escaped) = (false, false);
    let clean = |c: char| {
        let quote = c == '"' && !escaped;
        escaped = inside && c == '\\' && !escaped;
        inside ^= quote;
        if inside && c.is_control() { ' ' } else { c }
    };
    String::from_utf8_lossy(output).chars().map(clean).collect()
}

/// A part of the archive that must be listed to know what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listing {
    /// The repository.
    pub(super) repo: i64,
    /// The archive's id: `15-1`.
    pub(super) archive: String,
    /// The directories, oldest first.
    pub(super) directories: Vec<String>,
    /// The span of segments that must be there.
    pub(super) span: wal::Span,
}

impl Stanza {
    /// The cluster that a repository now belongs to: the newest that it knows.
    fn current(&self, repo: i64) -> Option<&Db> {
        self.db.iter().filter(|d| d.repo == repo).max_by_key(|d| d.id)
    }

    fn archive(&self, repo: i64) -> Option<&Archive> {
        let current = self.current(repo)?.id;
        self.archive.iter().find(|a| a.database == OfRepo { id: current, repo })
    }

    /// What is wrong with a backup's chain: what it refers to is not there, or has errors.
    fn broken(&self, backup: &Backup) -> Option<String> {
        let others = |label: &&String| {
            self.backup.iter().find(|b| b.database.repo == backup.database.repo && b.label == **label)
        };
        backup.reference.iter().flatten().find_map(|label| match others(&label) {
            None => Some(format!("{label} is missing")),
            Some(other) if other.error == Some(true) => Some(format!("{label} has page errors")),
            Some(_) => None,
        })
    }

    fn usable(&self, backup: &Backup) -> bool {
        let current = self.current(backup.database.repo).map(|d| d.id);
        current == Some(backup.database.id) && backup.error != Some(true) && self.broken(backup).is_none()
    }

    /// When the newest usable backup of any repository ended, in seconds since 1970.
    pub(super) fn newest(&self) -> Option<i64> {
        self.backup.iter().filter(|b| self.usable(b)).map(|b| b.timestamp.stop).max()
    }

    /// What must be listed: of each readable repository the log from its newest usable backup on.
    pub(super) fn listings(&self) -> Result<Vec<Listing>, Gap> {
        let mut listings = Vec::new();
        for repo in self.repo.iter().filter(|r| r.status.code == 0) {
            let Some(archive) = self.archive(repo.key) else { continue };
            let Some(max) = &archive.max else { continue };
            let max = segment(max)?;
            let newest = self.backup.iter().filter(|b| b.database.repo == repo.key && self.usable(b));
            let newest = newest.max_by_key(|b| b.timestamp.stop);
            let start = match newest.and_then(|b| b.archive.start.as_deref()) {
                Some(start) => Some(segment(start)?),
                None => None,
            };
            let span = wal::Span { start, max, size: self.segment_size(repo.key)? };
            listings.push(Listing {
                repo: repo.key,
                archive: archive.id.clone(),
                directories: span.directories(),
                span,
            });
        }
        Ok(listings)
    }

    /// The size of a repository's segments, as its backups' positions show it.
    fn segment_size(&self, repo: i64) -> Result<u64, Gap> {
        let mut known = Vec::new();
        for backup in self.backup.iter().filter(|b| b.database.repo == repo) {
            let lsn = backup.lsn.as_ref().and_then(|l| l.start.as_deref());
            if let (Some(lsn), Some(name)) = (lsn, backup.archive.start.as_deref()) {
                known.push((lsn_of(lsn)?, segment(name)?));
            }
        }
        WalSegment::size_of(&known).ok_or_else(|| malformed("pgbackrest info: positions and segments do not fit"))
    }

    /// The stanza as a whole: [`super::signals::STANZA`].
    pub(super) fn row(&self) -> Row {
        let running = self.status.lock.as_ref().and_then(|l| l.backup.as_ref()).is_some_and(|l| l.held);
        Row::default()
            .with("code", Value::Int(self.status.code))
            .with("message", Value::text(&self.status.message))
            .with("running", Value::Bool(running))
    }

    /// [`super::signals::REPOS`].
    pub(super) fn repos(&self) -> Vec<Row> {
        let row = |r: &Repo| {
            let current = self.current(r.key);
            let backups = self.backup.iter().filter(|b| b.database.repo == r.key).count();
            Row::default()
                .with("repo", Value::Int(r.key))
                .with("cipher", Value::text(&r.cipher))
                .with("code", Value::Int(r.status.code))
                .with("message", Value::text(&r.status.message))
                .with("database", current.map_or(Value::Null, |d| Value::Int(d.id)))
                .with("system_id", current.map_or(Value::Null, |d| Value::text(&d.system_id.to_string())))
                .with("backups", Value::Int(i64::try_from(backups).unwrap_or(i64::MAX)))
        };
        self.repo.iter().map(row).collect()
    }

    /// [`super::signals::BACKUPS`].
    pub(super) fn backups(&self) -> Result<Vec<Row>, Gap> {
        let mut rows = Vec::new();
        let keys: BTreeSet<i64> = self.backup.iter().map(|b| b.database.repo).collect();
        for key in keys {
            let mut of: Vec<&Backup> = self.backup.iter().filter(|b| b.database.repo == key).collect();
            of.sort_by_key(|b| std::cmp::Reverse(b.timestamp.stop));
            // The newest full ones must be among those that are kept, however many follow them.
            let (full, other): (Vec<&Backup>, Vec<&Backup>) = of.into_iter().partition(|b| b.r#type == "full");
            for backup in full.into_iter().take(MOST_BACKUPS).chain(other.into_iter().take(MOST_BACKUPS)) {
                rows.push(self.backup_row(backup)?);
            }
        }
        Ok(rows)
    }

    fn backup_row(&self, b: &Backup) -> Result<Row, Gap> {
        let words = |t: Option<&str>| t.map_or(Value::Null, Value::text);
        let lsn = match b.lsn.as_ref().and_then(|l| l.start.as_deref()) {
            Some(text) => Value::Lsn(lsn_of(text)?),
            None => Value::Null,
        };
        for name in [&b.archive.start, &b.archive.stop].into_iter().flatten() {
            segment(name)?;
        }
        // Of the newest versions with blocks kept apart, `size` is null and `delta` is what was stored.
        let stored = b.info.repository.size.or(b.info.repository.delta);
        Ok(Row::default()
            .with("repo", Value::Int(b.database.repo))
            .with("database", Value::Int(b.database.id))
            .with("label", Value::text(&b.label))
            .with("type", Value::text(&b.r#type))
            .with("broken", words(self.broken(b).as_deref()))
            .with("error", b.error.map_or(Value::Null, Value::Bool))
            .with("start", Value::Time(time(b.timestamp.start)?))
            .with("stop", Value::Time(time(b.timestamp.stop)?))
            .with("wal_start", words(b.archive.start.as_deref()))
            .with("wal_stop", words(b.archive.stop.as_deref()))
            .with("lsn_start", lsn)
            .with("size", Value::Bytes(Bytes(b.info.size)))
            .with("stored", stored.map_or(Value::Null, |s| Value::Bytes(Bytes(s)))))
    }

    /// [`super::signals::ARCHIVE`], with what was found of each repository's log.
    pub(super) fn archives(&self, found: &BTreeMap<i64, wal::Found>) -> Vec<Row> {
        let words = |t: Option<&str>| t.map_or(Value::Null, Value::text);
        let row = |r: &Repo| {
            let archive = self.archive(r.key);
            let found = found.get(&r.key);
            Row::default()
                .with("repo", Value::Int(r.key))
                .with("min", words(archive.and_then(|a| a.min.as_deref())))
                .with("max", words(archive.and_then(|a| a.max.as_deref())))
                .with("newest_at", found.and_then(|f| f.newest_at).map_or(Value::Null, Value::Time))
                .with("from", words(found.and_then(|f| f.from).map(|s| s.to_string()).as_deref()))
                .with("missing", words(found.and_then(|f| f.missing).map(|s| s.to_string()).as_deref()))
                .with("gaps", Value::Int(found.map_or(0, |f| i64::try_from(f.gaps).unwrap_or(i64::MAX))))
        };
        self.repo.iter().filter(|r| r.status.code == 0).map(row).collect()
    }
}

fn segment(name: &str) -> Result<WalSegment, Gap> {
    name.parse().map_err(|e| malformed(&format!("pgbackrest info: {name:?}: {e}")))
}

fn lsn_of(text: &str) -> Result<Lsn, Gap> {
    text.parse().map_err(|e| malformed(&format!("pgbackrest info: {text:?}: {e}")))
}

fn time(seconds: i64) -> Result<DateTime<Utc>, Gap> {
    DateTime::from_timestamp(seconds, 0).ok_or_else(|| malformed("pgbackrest info: a time beyond all calendars"))
}

#[cfg(test)]
mod tests;
