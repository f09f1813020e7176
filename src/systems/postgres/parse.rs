//! From the rows of an answer to observed values.

pub mod check;
pub mod hba;
pub mod logical;
pub mod sequences;
pub mod server;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::queries::{Ask, HIDDEN_SETTINGS};
use super::signals as s;
use crate::plan::{Bytes, Lsn, Now, SignalId, Span};
use crate::readiness::signals as common;
use crate::readiness::{Gap, Reason, Row, Value};
use crate::systems::Observed;

/// The rows of one statement, as text; `None` for NULL.
pub type Table = Vec<Vec<Option<String>>>;

/// What a look brought: each statement's rows, or why there are none. A statement that the version does not have is
/// missing.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// By statement.
    pub tables: BTreeMap<Ask, Result<Table, Gap>>,
    /// The version that statements were chosen by.
    pub version: i64,
}

fn malformed(what: &str) -> Gap {
    Gap::new(Reason::Malformed, what)
}

/// One row's cells, read by position and type.
#[derive(Clone, Copy)]
struct Cells<'a>(&'a [Option<String>]);

type Read<T> = Result<Option<T>, Gap>;

impl<'a> Cells<'a> {
    fn text(self, at: usize) -> Read<&'a str> {
        self.0.get(at).map(Option::as_deref).ok_or_else(|| malformed("a column is missing"))
    }

    fn parsed<T: std::str::FromStr>(self, at: usize, what: &str) -> Read<T> {
        let Some(text) = self.text(at)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| malformed(&format!("not {what}: {text}")))
    }

    fn bool(self, at: usize) -> Read<bool> {
        match self.text(at)? {
            None => Ok(None),
            Some("t") => Ok(Some(true)),
            Some("f") => Ok(Some(false)),
            Some(other) => Err(malformed(&format!("not a truth value: {other}"))),
        }
    }

    fn int(self, at: usize) -> Read<i64> {
        self.parsed(at, "a whole number")
    }

    fn lsn(self, at: usize) -> Read<Lsn> {
        self.parsed(at, "a log position")
    }

    fn seconds(self, at: usize) -> Read<f64> {
        let read: Option<f64> = self.parsed(at, "a number of seconds")?;
        match read {
            Some(n) if !n.is_finite() => Err(malformed("a time without end")),
            other => Ok(other),
        }
    }

    /// A length of time; clocks of one server that stepped can make it negative, which reads as nothing.
    fn span(self, at: usize) -> Read<Span> {
        let Some(seconds) = self.seconds(at)? else { return Ok(None) };
        let span = std::time::Duration::try_from_secs_f64(seconds.max(0.0));
        span.map(|d| Some(Span(d))).map_err(|_| malformed("a length of time beyond reason"))
    }

    fn time(self, at: usize) -> Read<DateTime<Utc>> {
        let Some(text) = self.text(at)? else { return Ok(None) };
        micros(text)
            .and_then(DateTime::from_timestamp_micros)
            .map(Some)
            .ok_or_else(|| malformed(&format!("not a time: {text}")))
    }

    fn bytes(self, at: usize) -> Read<Bytes> {
        let Some(text) = self.text(at)? else { return Ok(None) };
        let whole: i128 = text.parse().map_err(|_| malformed(&format!("not an amount: {text}")))?;
        u64::try_from(whole.max(0)).map(|n| Some(Bytes(n))).map_err(|_| malformed("an amount beyond reason"))
    }
}

/// Seconds since 1970 with a fraction, as microseconds, without going through a float.
fn micros(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    let digits: String = fraction.chars().chain("000000".chars()).take(6).collect();
    let part: i64 = digits.parse().ok().filter(|p| *p >= 0)?;
    let signed = if whole.starts_with('-') { part.checked_neg()? } else { part };
    seconds.checked_mul(1_000_000)?.checked_add(signed)
}

fn or_null<T>(read: Option<T>, make: impl FnOnce(T) -> Value) -> Value {
    read.map_or(Value::Null, make)
}

fn text_value(read: Option<&str>) -> Value {
    or_null(read, Value::text)
}

/// The first row of a statement that gives exactly one.
fn one(table: &Table) -> Result<Cells<'_>, Gap> {
    match table.as_slice() {
        [row] => Ok(Cells(row)),
        _ => Err(malformed("one row was asked for")),
    }
}

/// What the first statement says, typed.
struct Head<'a> {
    cells: Cells<'a>,
    recovery: bool,
    stats: bool,
    settings: bool,
}

fn head(table: &Table) -> Result<Head<'_>, Gap> {
    let cells = one(table)?;
    let flag = |at| cells.bool(at)?.ok_or_else(|| malformed("NULL for a truth value"));
    Ok(Head { cells, recovery: flag(0)?, stats: flag(3)?, settings: flag(4)? })
}

/// Whether the answers say that the server is in recovery; `None` where they do not say.
#[must_use]
pub fn in_recovery(answers: &Answers) -> Option<bool> {
    head(answers.tables.get(&Ask::Head)?.as_ref().ok()?).ok().map(|h| h.recovery)
}

/// Every signal of a replicating server. `asked` and `answered` enclose the first statement's clock reading.
#[must_use]
pub fn replicating(answers: &Answers, asked: Now, answered: Now) -> Vec<Observed> {
    let table = |ask: Ask| match answers.tables.get(&ask) {
        Some(Ok(table)) => Ok(table),
        Some(Err(gap)) => Err(gap.clone()),
        None => Err(Gap::from(Reason::Absent)),
    };
    let mut out = Vec::new();
    let mut put = |signal: SignalId, value: Result<Value, Gap>| out.push(Observed { signal, value, as_of: None });
    let head = match table(Ask::Head).and_then(head) {
        Ok(head) => head,
        Err(gap) => {
            for signal in expected() {
                put(signal, Err(gap.clone()));
            }
            return out;
        }
    };
    let c = head.cells;
    let primary = |read: Result<Value, Gap>| if head.recovery { Ok(Value::NotApplicable) } else { read };
    let standby = |read: Result<Value, Gap>| if head.recovery { read } else { Ok(Value::NotApplicable) };
    let seeing = |read: Result<Value, Gap>| {
        if head.stats {
            read
        } else {
            Err(Gap::new(Reason::NoPrivilege, "the role lacks pg_monitor (pg_read_all_stats)"))
        }
    };
    put(common::WRITABLE, Ok(Value::Bool(!head.recovery)));
    put(
        common::FLUSHED,
        primary(c.lsn(5).and_then(|l| l.map(Value::Lsn).ok_or_else(|| malformed("no flush position")))),
    );
    let replayed = c.lsn(7);
    let received = c.lsn(6).and_then(|receive| Ok(receive.max(replayed.clone()?)));
    put(common::RECEIVED, standby(received.map(|l| or_null(l, Value::Lsn))));
    put(common::REPLAYED, standby(replayed.map(|l| or_null(l, Value::Lsn))));
    put(common::LAST_COMMIT, standby(c.time(8).map(|t| or_null(t, Value::Time))));
    put(common::INSTANCE, instance(c));
    put(
        common::SYSTEM_ID,
        table(Ask::Control)
            .and_then(one)
            .and_then(|k| k.text(0))
            .and_then(|id| id.map(Value::text).ok_or_else(|| malformed("no system identifier"))),
    );
    put(common::TIMELINE, timeline(&head, table(Ask::Control), table(Ask::Receiver)));
    put(s::VERSION, c.int(1).map(|v| or_null(v, Value::Int)));
    put(s::SKEW, skew(c, asked, answered));
    put(s::PAUSE, standby(c.text(13).map(text_value)));
    put(s::MAY_PROMOTE, c.bool(14).map(|b| or_null(b, Value::Bool)));
    put(s::RECEIVER, standby(seeing(table(Ask::Receiver).and_then(|t| rows(t, receiver)))));
    put(s::SENDERS, seeing(table(Ask::Senders).and_then(|t| rows(t, sender))));
    let newer = answers.version >= 170_000;
    put(s::SLOTS, table(Ask::Slots).and_then(|t| rows(t, |c| slot(c, newer))));
    put(s::SETTINGS, table(Ask::Settings).and_then(|t| settings(t, head.settings)));
    let activity = table(Ask::Activity).and_then(one);
    put(s::SESSIONS, seeing(activity.clone().and_then(|c| c.int(0)).map(|n| or_null(n, Value::Int))));
    put(s::STARTED, seeing(activity.clone().and_then(|c| c.time(3)).map(|t| or_null(t, Value::Time))));
    put(s::SYNC_WAITS, seeing(activity.and_then(sync_waits)));
    put(s::ARCHIVER, table(Ask::Archiver).and_then(one).and_then(|c| archiver(c, table(Ask::ArchiveReady).ok())));
    put(
        s::CONFLICTS,
        standby(table(Ask::Conflicts).and_then(one).and_then(|c| c.int(0)).map(|n| Value::Int(n.unwrap_or(0)))),
    );
    put(s::COMMIT_OVERRIDES, table(Ask::Overrides).and_then(|t| rows(t, commit_override)));
    put(s::UNLOGGED, table(Ask::Unlogged).and_then(one).and_then(|c| c.int(0)).map(|n| or_null(n, Value::Int)));
    put(
        s::SUBSCRIPTIONS,
        table(Ask::Subscriptions).and_then(|t| rows(t, |c| Ok(Row::default().with("name", text_value(c.text(0)?))))),
    );
    put(s::MISSING_EXTENSIONS, table(Ask::Extensions).and_then(|t| rows(t, |c| texts(c, &["name", "version"]))));
    let collations = if answers.version < 150_000 {
        Ok(Value::NotApplicable)
    } else {
        table(Ask::Collations).and_then(|t| rows(t, |c| texts(c, &["database", "recorded", "actual"])))
    };
    put(s::COLLATIONS, collations);
    by_their_clock(&mut out, &common::LAST_COMMIT, c);
    by_their_clock(&mut out, &s::STARTED, c);
    out
}

/// Says with a moment that the server gives what the server's own clock said then: an age between the two depends on no
/// other clock.
fn by_their_clock(observed: &mut [Observed], signal: &SignalId, head: Cells<'_>) {
    for observed in observed.iter_mut().filter(|o| o.signal == *signal) {
        observed.as_of = head.time(2).ok().flatten();
    }
}

/// Every signal that the answers of a look at a replicating server bring: all but what is derived, and what another
/// connection shows.
#[must_use]
pub fn expected() -> Vec<SignalId> {
    s::SIGNALS.iter().map(|s| s.id.clone()).filter(|id| ![common::EXPOSURE, s::ACCEPTS].contains(id)).collect()
}

/// Every signal of a database that is restored from dumps: `head` is one row of version and clock, `fresh` the answer to
/// its freshness query.
#[must_use]
pub fn restored(clock: Result<&Table, Gap>, fresh: Result<&Table, Gap>, asked: Now, answered: Now) -> Vec<Observed> {
    let of = |signal: &SignalId, value: Result<Value, Gap>| Observed { signal: signal.clone(), value, as_of: None };
    let clock = clock.and_then(one);
    let fresh = fresh.and_then(|table| {
        let Some(row) = table.first() else { return Ok(Value::Null) };
        let cells = Cells(row);
        match cells.text(1)? {
            Some("timestamp with time zone") => Ok(or_null(cells.time(0)?, Value::Time)),
            other => Err(malformed(&format!(
                "the freshness query gives {}, not timestamp with time zone",
                other.unwrap_or("nothing")
            ))),
        }
    });
    let mut out = vec![
        of(&common::FRESH_AS_OF, fresh),
        of(&s::VERSION, clock.clone().and_then(|c| c.int(1)).map(|v| or_null(v, Value::Int))),
        of(&s::SKEW, clock.clone().and_then(|c| skew(c, asked, answered))),
    ];
    if let Ok(head) = clock {
        by_their_clock(&mut out, &common::FRESH_AS_OF, head);
    }
    out
}

fn rows(table: &Table, mut read: impl FnMut(Cells<'_>) -> Result<Row, Gap>) -> Result<Value, Gap> {
    table.iter().map(|row| read(Cells(row))).collect::<Result<_, _>>().map(Value::Rows)
}

fn texts(c: Cells<'_>, names: &[&'static str]) -> Result<Row, Gap> {
    let mut row = Row::default();
    for (at, name) in names.iter().enumerate() {
        row = row.with(*name, text_value(c.text(at)?));
    }
    Ok(row)
}

/// `192.0.2.1:5432 since 2026-01-01T00:00:00.000001Z`. Through a Unix socket there is no address.
fn instance(c: Cells<'_>) -> Result<Value, Gap> {
    let since = c.time(12)?.ok_or_else(|| malformed("no start time"))?;
    let address = c.text(10)?.unwrap_or("local");
    let port = c.text(11)?.unwrap_or_default();
    Ok(Value::text(&format!("{address}:{port} since {}", since.format("%Y-%m-%dT%H:%M:%S%.6fZ"))))
}

/// The server's clock against the middle of question and answer.
fn skew(c: Cells<'_>, asked: Now, answered: Now) -> Result<Value, Gap> {
    let theirs = c.time(2)?.ok_or_else(|| malformed("no clock"))?;
    let half = chrono::Duration::from_std(answered.since(asked) / 2).unwrap_or_default();
    let ahead = theirs.signed_duration_since(asked.wall).checked_sub(&half).unwrap_or_default();
    let micros = ahead.num_microseconds().unwrap_or(i64::MAX);
    #[expect(clippy::cast_precision_loss, reason = "a skew needs no more than 52 bits")]
    Ok(Value::Number(micros as f64 / 1e6))
}

/// On a primary the first eight digits of its log file's name; on a standby what its receiver follows, else the newer of
/// what its control file says (trap 6: a restart point's timeline may be old).
fn timeline(head: &Head<'_>, control: Result<&Table, Gap>, receiver: Result<&Table, Gap>) -> Result<Value, Gap> {
    if !head.recovery {
        let name = head.cells.text(9)?.ok_or_else(|| malformed("no log file name"))?;
        let digits = name.get(..8).ok_or_else(|| malformed("a log file name is too short"))?;
        let timeline = i64::from_str_radix(digits, 16).map_err(|_| malformed("a log file name is none"))?;
        return Ok(Value::Int(timeline));
    }
    if let Some(row) = receiver.ok().and_then(|t| t.first())
        && let Some(received) = Cells(row).int(4)?
        && received > 0
    {
        return Ok(Value::Int(received));
    }
    let control = one(control?)?;
    let newest = control.int(1)?.max(control.int(2)?);
    Ok(or_null(newest, Value::Int))
}

fn receiver(c: Cells<'_>) -> Result<Row, Gap> {
    Ok(Row::default()
        .with("status", text_value(c.text(0)?))
        .with("sender_host", text_value(c.text(1)?))
        .with("sender_port", or_null(c.int(2)?, Value::Int))
        .with("slot_name", text_value(c.text(3)?))
        .with("received_tli", or_null(c.int(4)?, Value::Int))
        .with("flushed_lsn", or_null(c.lsn(5)?, Value::Lsn))
        .with("latest_end_lsn", or_null(c.lsn(6)?, Value::Lsn))
        .with("message_age", or_null(c.span(7)?, Value::Span)))
}

fn sender(c: Cells<'_>) -> Result<Row, Gap> {
    let mut row = texts(c, &["application_name", "client_addr", "state", "sync_state"])?;
    for (at, name) in [(4, "sent_lsn"), (5, "write_lsn"), (6, "flush_lsn"), (7, "replay_lsn")] {
        row = row.with(name, or_null(c.lsn(at)?, Value::Lsn));
    }
    Ok(row.with("reply_age", or_null(c.span(8)?, Value::Span)).with("up_for", or_null(c.span(9)?, Value::Span)))
}

fn slot(c: Cells<'_>, newer: bool) -> Result<Row, Gap> {
    let row = texts(c, &["slot_name", "slot_type"])?
        .with("active", or_null(c.bool(2)?, Value::Bool))
        .with("temporary", or_null(c.bool(3)?, Value::Bool))
        .with("wal_status", text_value(c.text(4)?))
        .with("restart_lsn", or_null(c.lsn(5)?, Value::Lsn))
        .with("safe_wal_size", or_null(c.bytes(6)?, Value::Bytes))
        .with("retained", or_null(c.bytes(7)?, Value::Bytes));
    if !newer {
        let names = ["failover", "synced", "invalidation_reason"];
        return Ok(names.into_iter().fold(row, |row, name| row.with(name, Value::NotApplicable)));
    }
    Ok(row
        .with("failover", or_null(c.bool(8)?, Value::Bool))
        .with("synced", or_null(c.bool(9)?, Value::Bool))
        .with("invalidation_reason", text_value(c.text(10)?)))
}

/// Without the privilege some settings are not in the answer, and nothing says so.
fn settings(table: &Table, privileged: bool) -> Result<Value, Gap> {
    let has = |name: &str| table.iter().any(|row| Cells(row).text(0).ok().flatten() == Some(name));
    if !privileged && !HIDDEN_SETTINGS.iter().take(3).all(|name| has(name)) {
        return Err(Gap::new(Reason::NoPrivilege, "the role lacks pg_monitor (pg_read_all_settings)"));
    }
    rows(table, |c| texts(c, &["name", "setting"]))
}

fn sync_waits(c: Cells<'_>) -> Result<Value, Gap> {
    let row =
        Row::default().with("count", or_null(c.int(1)?, Value::Int)).with("oldest", or_null(c.span(2)?, Value::Span));
    Ok(Value::Rows(vec![row]))
}

fn archiver(c: Cells<'_>, ready: Option<&Table>) -> Result<Value, Gap> {
    let ready = match ready {
        Some(table) => one(table)?.int(0)?,
        None => None,
    };
    let row = Row::default()
        .with("mode", text_value(c.text(6)?))
        .with("archived_count", or_null(c.int(0)?, Value::Int))
        .with("last_archived_wal", text_value(c.text(1)?))
        .with("last_archived_time", or_null(c.time(2)?, Value::Time))
        .with("failed_count", or_null(c.int(3)?, Value::Int))
        .with("last_failed_wal", text_value(c.text(4)?))
        .with("last_failed_time", or_null(c.time(5)?, Value::Time))
        .with("ready", or_null(ready, Value::Int))
        .with("current_wal", text_value(c.text(7)?));
    Ok(Value::Rows(vec![row]))
}

fn commit_override(c: Cells<'_>) -> Result<Row, Gap> {
    let scope = c.text(0)?.filter(|s| !s.is_empty()).unwrap_or("every database");
    let setting = c.text(1)?.unwrap_or_default();
    let setting = setting.split_once('=').map_or(setting, |(_, value)| value);
    Ok(Row::default().with("scope", Value::text(scope)).with("setting", Value::text(setting)))
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
