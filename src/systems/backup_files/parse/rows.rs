//! Readings as rows, and back.

use chrono::{DateTime, Utc};

use crate::plan::{Bytes, SafeText, Span};
use crate::readiness::{Gap, Reason, Row, Value};

use super::form::Form;
use super::pick::{Dated, Picked};
use super::proof::Proof;

/// A name that is there and the size and start that go with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sized {
    /// Its name.
    pub name: SafeText,
    /// Its size.
    pub size: Bytes,
    /// Its start.
    pub at: DateTime<Utc>,
}

/// The newest backup, as [`NEWEST`](super::super::signals::NEWEST) holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Newest {
    /// The backup itself.
    pub own: Sized,
    /// What it is in its chain.
    pub kind: SafeText,
    /// What told its start.
    pub by: SafeText,
    /// When it was last written.
    pub modified: DateTime<Utc>,
    /// The one that it needs: itself where it stands alone.
    pub base: Sized,
    /// The one of its kind before `base`.
    pub previous: Option<Sized>,
}

/// The directory, as [`LISTING`](super::super::signals::LISTING) holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// Entries in all.
    pub entries: i64,
    /// Entries whose names are those of backups.
    pub matching: i64,
    /// Backups that stand alone and are not being written.
    pub kept: i64,
    /// When the oldest of those was begun.
    pub oldest: Option<DateTime<Utc>>,
    /// The newest that is being written.
    pub writing: Option<SafeText>,
    /// One that is dated in the future.
    pub future: Option<SafeText>,
    /// One whose name tells a later time than its last write.
    pub late: Option<SafeText>,
    /// The newest part without its full backup.
    pub orphan: Option<SafeText>,
    /// How many of those there are.
    pub orphans: i64,
    /// One that matches and cannot be seen.
    pub strange: Option<SafeText>,
}

/// What the ends of a backup say, as [`FORM`](super::super::signals::FORM) holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ends {
    /// Its name.
    pub name: SafeText,
    /// Its format.
    pub format: SafeText,
    /// What its extension promises, where that is something else.
    pub promised: Option<SafeText>,
    /// Whether it was written to its end.
    pub whole: Option<bool>,
    /// Why not, or what it is.
    pub detail: SafeText,
}

/// How far reading in full has come, as [`DECODE`](super::super::signals::DECODE) holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoding {
    /// Which backup.
    pub name: SafeText,
    /// `waiting`, `running`, `good`, `bad`, `cannot` or `bad-before`.
    pub state: SafeText,
    /// What was found.
    pub detail: SafeText,
    /// When it was done.
    pub finished: Option<DateTime<Utc>>,
    /// How long it took.
    pub took: Option<Span>,
    /// The newest that was read in full and is good, and its start.
    pub sound: Option<(SafeText, DateTime<Utc>)>,
}

/// The last restore, as [`PROOF`](super::super::signals::PROOF) holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Proven {
    /// When.
    pub at: DateTime<Utc>,
    /// `marker` or `mtime`: what told that.
    pub by: SafeText,
    /// Which backup.
    pub backup: Option<SafeText>,
    /// How long it took.
    pub took: Option<Span>,
    /// How much it was.
    pub bytes: Option<Bytes>,
}

fn missing(column: &str) -> Gap {
    Gap::new(Reason::Malformed, &format!("column {column} is NULL"))
}

fn or_null<T>(value: Option<T>, make: impl Fn(T) -> Value) -> Value {
    value.map_or(Value::Null, make)
}

fn text(row: &Row, column: &str) -> Result<SafeText, Gap> {
    row.text(column)?.ok_or_else(|| missing(column))
}

fn int(row: &Row, column: &str) -> Result<i64, Gap> {
    row.int(column)?.ok_or_else(|| missing(column))
}

fn time(row: &Row, column: &str) -> Result<DateTime<Utc>, Gap> {
    row.time(column)?.ok_or_else(|| missing(column))
}

fn sized(dated: &Dated) -> Sized {
    Sized { name: SafeText::new(&dated.found.name), size: Bytes(dated.found.size), at: dated.at }
}

/// The columns of one [`Sized`]: name, size, start.
type Columns = [&'static str; 3];
const OWN: Columns = ["name", "size", "at"];
const BASE: Columns = ["base_name", "base_size", "base_at"];
const PREVIOUS: Columns = ["previous_name", "previous_size", "previous_at"];

impl Sized {
    fn into(self, row: Row, [name, size, at]: Columns) -> Row {
        row.with(name, Value::Text(self.name)).with(size, Value::Bytes(self.size)).with(at, Value::Time(self.at))
    }

    fn out_of(row: &Row, [name, size, at]: Columns) -> Result<Option<Self>, Gap> {
        let Some(found) = row.text(name)? else { return Ok(None) };
        let size = row.bytes(size)?.ok_or_else(|| missing(size))?;
        Ok(Some(Self { name: found, size, at: time(row, at)? }))
    }
}

impl Newest {
    /// Of what was picked; `None` where nothing was.
    #[must_use]
    pub fn of(picked: &Picked) -> Option<Self> {
        let (newest, base) = (picked.newest.as_ref()?, picked.base.as_ref()?);
        Some(Self {
            own: sized(newest),
            kind: newest.found.kind.name().into(),
            by: newest.by.name().into(),
            modified: newest.found.modified,
            base: sized(base),
            previous: picked.previous.as_ref().map(sized),
        })
    }

    /// As a row.
    #[must_use]
    pub fn row(self) -> Row {
        let row = self.own.into(Row::default(), OWN);
        let row = self.base.into(row, BASE);
        let row = match self.previous {
            Some(previous) => previous.into(row, PREVIOUS),
            None => row.with("previous_name", Value::Null),
        };
        row.with("kind", Value::Text(self.kind))
            .with("by", Value::Text(self.by))
            .with("modified", Value::Time(self.modified))
    }

    /// From a row.
    ///
    /// # Errors
    /// `Malformed` where it is no such row.
    pub fn read(row: &Row) -> Result<Self, Gap> {
        Ok(Self {
            own: Sized::out_of(row, OWN)?.ok_or_else(|| missing("name"))?,
            kind: text(row, "kind")?,
            by: text(row, "by")?,
            modified: time(row, "modified")?,
            base: Sized::out_of(row, BASE)?.ok_or_else(|| missing("base_name"))?,
            previous: Sized::out_of(row, PREVIOUS)?,
        })
    }
}

impl Listing {
    /// As a row.
    #[must_use]
    pub fn row(self) -> Row {
        Row::default()
            .with("entries", Value::Int(self.entries))
            .with("matching", Value::Int(self.matching))
            .with("kept", Value::Int(self.kept))
            .with("oldest", or_null(self.oldest, Value::Time))
            .with("writing", or_null(self.writing, Value::Text))
            .with("future", or_null(self.future, Value::Text))
            .with("late", or_null(self.late, Value::Text))
            .with("orphan", or_null(self.orphan, Value::Text))
            .with("orphans", Value::Int(self.orphans))
            .with("strange", or_null(self.strange, Value::Text))
    }

    /// From a row.
    ///
    /// # Errors
    /// `Malformed` where it is no such row.
    pub fn read(row: &Row) -> Result<Self, Gap> {
        Ok(Self {
            entries: int(row, "entries")?,
            matching: int(row, "matching")?,
            kept: int(row, "kept")?,
            oldest: row.time("oldest")?,
            writing: row.text("writing")?,
            future: row.text("future")?,
            late: row.text("late")?,
            orphan: row.text("orphan")?,
            orphans: int(row, "orphans")?,
            strange: row.text("strange")?,
        })
    }
}

impl Ends {
    /// Of what the ends of a backup said.
    #[must_use]
    pub fn of(name: &str, form: &Form) -> Self {
        Self {
            name: name.into(),
            format: form.format.name().into(),
            promised: form.promised.map(|p| p.name().into()),
            whole: form.whole,
            detail: form.detail.as_str().into(),
        }
    }

    /// As a row.
    #[must_use]
    pub fn row(self) -> Row {
        Row::default()
            .with("name", Value::Text(self.name))
            .with("format", Value::Text(self.format))
            .with("promised", or_null(self.promised, Value::Text))
            .with("whole", or_null(self.whole, Value::Bool))
            .with("detail", Value::Text(self.detail))
    }

    /// From a row.
    ///
    /// # Errors
    /// `Malformed` where it is no such row.
    pub fn read(row: &Row) -> Result<Self, Gap> {
        Ok(Self {
            name: text(row, "name")?,
            format: text(row, "format")?,
            promised: row.text("promised")?,
            whole: row.bool("whole")?,
            detail: text(row, "detail")?,
        })
    }
}

impl Decoding {
    /// As a row.
    #[must_use]
    pub fn row(self) -> Row {
        let (sound, sound_at) = match self.sound {
            Some((name, at)) => (Value::Text(name), Value::Time(at)),
            None => (Value::Null, Value::Null),
        };
        Row::default()
            .with("name", Value::Text(self.name))
            .with("state", Value::Text(self.state))
            .with("detail", Value::Text(self.detail))
            .with("finished", or_null(self.finished, Value::Time))
            .with("took", or_null(self.took, Value::Span))
            .with("sound", sound)
            .with("sound_at", sound_at)
    }

    /// From a row.
    ///
    /// # Errors
    /// `Malformed` where it is no such row.
    pub fn read(row: &Row) -> Result<Self, Gap> {
        Ok(Self {
            name: text(row, "name")?,
            state: text(row, "state")?,
            detail: text(row, "detail")?,
            finished: row.time("finished")?,
            took: row.span("took")?,
            sound: row.text("sound")?.zip(row.time("sound_at")?),
        })
    }
}

impl Proven {
    /// Of a marker.
    #[must_use]
    pub fn of(proof: Proof) -> Self {
        Self {
            at: proof.at,
            by: if proof.said { "marker" } else { "mtime" }.into(),
            backup: proof.backup,
            took: proof.took,
            bytes: proof.bytes,
        }
    }

    /// As a row.
    #[must_use]
    pub fn row(self) -> Row {
        Row::default()
            .with("at", Value::Time(self.at))
            .with("by", Value::Text(self.by))
            .with("backup", or_null(self.backup, Value::Text))
            .with("took", or_null(self.took, Value::Span))
            .with("bytes", or_null(self.bytes, Value::Bytes))
    }

    /// From a row.
    ///
    /// # Errors
    /// `Malformed` where it is no such row.
    pub fn read(row: &Row) -> Result<Self, Gap> {
        Ok(Self {
            at: time(row, "at")?,
            by: text(row, "by")?,
            backup: row.text("backup")?,
            took: row.span("took")?,
            bytes: row.bytes("bytes")?,
        })
    }
}
