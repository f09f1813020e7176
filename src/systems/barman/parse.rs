//! What Barman's commands print with `-f json`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::plan::{Bytes, Lsn, SafeText, SiteId, WalSegment};
use crate::readiness::{Gap, LogEnd, Reason, Restorable, Row, Value};

use super::options::BarmanOptions;

/// Most backups that are kept: the newest.
const MOST_BACKUPS: usize = 12;
/// The states of a backup (infofile.py of Barman).
const STATES: [&str; 6] = ["DONE", "WAITING_FOR_WALS", "FAILED", "EMPTY", "STARTED", "SYNCING"];

fn malformed(what: &str) -> Gap {
    Gap::new(Reason::Malformed, &format!("barman: {what}"))
}

/// What was said about one server.
///
/// # Errors
/// `ProgramFailed` with Barman's own words where it said `_ERROR`; `Malformed` where it said nothing about the server.
fn of_server<T: DeserializeOwned>(server: &str, output: &[u8]) -> Result<T, Gap> {
    let mut all: BTreeMap<String, Json> =
        serde_json::from_slice(output).map_err(|e| malformed(&format!("no JSON: {e}")))?;
    let errors = all.get("_ERROR").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    if let Some(first) = errors.first().and_then(Json::as_str) {
        return Err(Gap::new(Reason::ProgramFailed, &format!("barman: {first}")));
    }
    let told = all.remove(server).ok_or_else(|| malformed(&format!("says nothing about server {server}")))?;
    serde_json::from_value(told).map_err(|e| malformed(&e.to_string()))
}

/// One backup of `list-backup`. Only what is complete, or waits for log, has more than a state.
#[derive(Debug, Deserialize)]
pub(super) struct Listed {
    #[serde(rename = "backup_id")]
    pub(super) id: String,
    status: String,
    /// Seconds since 1970, as text.
    end_time_timestamp: Option<Epoch>,
    pub(super) size_bytes: Option<u64>,
}

/// Seconds since 1970: text in Barman 3.4, and nothing keeps a later version from a number.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Epoch {
    Text(String),
    Number(i64),
}

impl Epoch {
    fn time(&self) -> Result<DateTime<Utc>, Gap> {
        let seconds = match self {
            Self::Text(text) => text.parse().map_err(|_| malformed(&format!("{text:?} is no time")))?,
            Self::Number(n) => *n,
        };
        DateTime::from_timestamp(seconds, 0).ok_or_else(|| malformed("a time beyond all calendars"))
    }
}

impl Listed {
    pub(super) fn complete(&self) -> bool {
        self.status == "DONE"
    }

    pub(super) fn end(&self) -> Result<Option<DateTime<Utc>>, Gap> {
        self.end_time_timestamp.as_ref().map(Epoch::time).transpose()
    }
}

/// Reads `list-backup`, newest first: ids are the times when backups were started.
pub(super) fn backups(server: &str, output: &[u8]) -> Result<Vec<Listed>, Gap> {
    let mut all: Vec<Listed> = of_server(server, output)?;
    for backup in &all {
        if !STATES.contains(&backup.status.as_str()) {
            return Err(malformed(&format!(
                "backup {} has the state {:?}, which is not known",
                backup.id, backup.status
            )));
        }
        if backup.complete() && backup.end_time_timestamp.is_none() {
            return Err(malformed(&format!("backup {} is complete and has no end", backup.id)));
        }
    }
    all.sort_by(|a, b| b.id.cmp(&a.id));
    Ok(all)
}

/// The rows of [`super::signals::BACKUPS`]: the newest of all, and the newest complete ones however many follow them.
pub(super) fn rows(all: &[Listed]) -> Result<Vec<Row>, Gap> {
    let complete = all.iter().filter(|b| b.complete()).take(MOST_BACKUPS);
    let others = all.iter().filter(|b| !b.complete()).take(MOST_BACKUPS);
    let mut kept: Vec<&Listed> = complete.chain(others).collect();
    kept.sort_by(|a, b| b.id.cmp(&a.id));
    let row = |b: &&Listed| {
        Ok(Row::default()
            .with("id", Value::text(&b.id))
            .with("status", Value::text(&b.status))
            .with("end", b.end()?.map_or(Value::Null, Value::Time))
            .with("size", b.size_bytes.map_or(Value::Null, |s| Value::Bytes(Bytes(s)))))
    };
    kept.iter().map(row).collect()
}

/// How far a server's newest complete backup and its log would bring the data back: one row of
/// [`BACKUP_REACH`](crate::readiness::signals::BACKUP_REACH). Barman does not say when it got its newest segment.
///
/// # Errors
/// `Malformed`: what [`newest`] read makes no sense.
pub(super) fn reach(
    options: &BarmanOptions,
    ended: Option<DateTime<Utc>>,
    shown: Option<(&Row, &Value)>,
) -> Result<Row, Gap> {
    let nothing = Restorable {
        place: format!("server {}", options.server).into(),
        site: options.site.as_deref().map(SiteId::new),
        offsite: options.offsite,
        at: None,
        more: false,
        log: None,
    };
    let segment = |text: Option<SafeText>| -> Result<WalSegment, Gap> {
        let text = text.ok_or_else(|| malformed("a complete backup without its segments"))?;
        text.as_str().parse().map_err(|e| malformed(&format!("{text}: {e}")))
    };
    // Without the log of its end a backup cannot be made consistent.
    let (Some(ended), Some((row, Value::Text(last)))) = (ended, shown) else { return Ok(nothing.row()) };
    let (begin, end) = (segment(row.text("begin_wal")?)?, segment(row.text("end_wal")?)?);
    let last = segment(Some(last.clone()))?;
    let size = row.lsn("begin_lsn")?.and_then(|lsn| WalSegment::size_of(&[(lsn, begin)]));
    let size = size.unwrap_or(WalSegment::USUAL_SIZE);
    if last.timeline != end.timeline {
        // Which segments belong to another timeline, only its history file says.
        return Ok(Restorable { at: Some(ended), more: true, ..nothing }.row());
    }
    if last.index(size) < end.index(size) {
        return Ok(nothing.row());
    }
    let log = LogEnd { system: None, timeline: i64::from(last.timeline), lsn: last.end(size), segment: Bytes(size) };
    let more = last.index(size) > end.index(size);
    Ok(Restorable { at: Some(ended), more, log: Some(log), ..nothing }.row())
}

#[derive(Deserialize)]
struct Check {
    status: String,
    #[serde(default)]
    hint: String,
}

/// Reads `check`. It ends with 1 where something failed, and says the same.
pub(super) fn checks(server: &str, output: &[u8]) -> Result<Vec<Row>, Gap> {
    let all: BTreeMap<String, Check> = of_server(server, output)?;
    if all.is_empty() {
        return Err(malformed("check looked at nothing"));
    }
    let row = |(name, check): (&String, &Check)| {
        let ok = match check.status.as_str() {
            "OK" => true,
            "FAILED" => false,
            other => return Err(malformed(&format!("check {name} says {other:?}, which is not known"))),
        };
        Ok(Row::default()
            .with("check", Value::text(name))
            .with("ok", Value::Bool(ok))
            .with("hint", Value::text(&check.hint)))
    };
    all.iter().map(row).collect()
}

#[derive(Deserialize)]
struct Item {
    message: Json,
}

/// Reads `status`, of which only what Barman itself knows is wanted: the rest needs the database.
pub(super) fn status(server: &str, output: &[u8]) -> Result<Row, Gap> {
    let all: BTreeMap<String, Item> = of_server(server, output)?;
    let flag = |name: &str| match all.get(name).map(|i| &i.message) {
        Some(Json::Bool(flag)) => Ok(Value::Bool(*flag)),
        Some(Json::String(text)) if text == "True" => Ok(Value::Bool(true)),
        Some(Json::String(text)) if text == "False" => Ok(Value::Bool(false)),
        Some(_) | None => Err(malformed(&format!("status does not say {name}"))),
    };
    Ok(Row::default()
        .with("active", flag("active")?)
        .with("disabled", flag("disabled")?)
        .with("passive", flag("passive_node")?))
}

#[derive(Deserialize)]
struct Shown {
    #[serde(rename = "backup_id")]
    id: String,
    base_backup_information: Base,
    wal_information: WalInformation,
}

#[derive(Deserialize)]
struct Base {
    begin_wal: String,
    end_wal: String,
    begin_lsn: Option<String>,
}

#[derive(Deserialize)]
struct WalInformation {
    last_available: Option<String>,
}

/// Reads `show-backup`: the log that a backup needs, and the newest segment that it can be rolled forward to.
pub(super) fn newest(server: &str, output: &[u8]) -> Result<(Row, Value), Gap> {
    let shown: Shown = of_server(server, output)?;
    let segment = |text: &str| {
        let read: Result<WalSegment, _> = text.parse();
        read.map(|_| Value::text(text)).map_err(|e| malformed(&format!("{text:?}: {e}")))
    };
    let lsn = match &shown.base_backup_information.begin_lsn {
        Some(text) => Value::Lsn(text.parse::<Lsn>().map_err(|e| malformed(&format!("{text:?}: {e}")))?),
        None => Value::Null,
    };
    let row = Row::default()
        .with("id", Value::text(&shown.id))
        .with("begin_wal", segment(&shown.base_backup_information.begin_wal)?)
        .with("end_wal", segment(&shown.base_backup_information.end_wal)?)
        .with("begin_lsn", lsn);
    let wal = match &shown.wal_information.last_available {
        Some(text) => segment(text)?,
        None => Value::Null,
    };
    Ok((row, wal))
}

#[cfg(test)]
mod tests;
