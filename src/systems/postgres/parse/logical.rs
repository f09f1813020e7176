//! From the answers of a server in logical replication to observed values.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Answers, Cells, Table, head, instance, malformed, one, or_null, rows, text_value, timeline};
use crate::plan::{Bytes, Lsn, Now, SignalId};
use crate::readiness::signals as common;
use crate::readiness::{Gap, Reason, Row, Value};
use crate::systems::Observed;
use crate::systems::postgres::queries::Ask;
use crate::systems::postgres::queries::logical::{Ask as L, MOST_SEQUENCES, MOST_TABLES};
use crate::systems::postgres::signals::{self as all, logical as s};

/// How long a rise of an error count is remembered: several of an apply worker's restarts, which are 5 s apart
/// (`wal_retrieve_retry_interval`).
const RECENT: Duration = Duration::from_secs(120);

/// What one lane remembers of one running server between its looks, by subscription. A server that was started anew is
/// another one: what it applied and had not flushed may be gone.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    instance: Option<Value>,
    applied: BTreeMap<String, Lsn>,
    errors: BTreeMap<String, Errors>,
}

#[derive(Clone, Debug)]
struct Errors {
    count: i64,
    rises: Vec<Now>,
}

impl Memory {
    fn begin(&mut self, instance: &Result<Value, Gap>) {
        let seen = instance.as_ref().ok();
        if self.instance.as_ref() != seen {
            *self = Self { instance: seen.cloned(), ..Self::default() };
        }
    }

    /// The newest position that a subscription is known to have applied: an apply worker never goes back, and says nothing
    /// while it does not run.
    fn applied(&mut self, subscription: &str, now: Option<Lsn>) -> Option<Lsn> {
        let newest = self.applied.get(subscription).copied().max(now)?;
        self.applied.insert(subscription.to_owned(), newest);
        Some(newest)
    }

    /// In how many looks lately the count rose. The first look has nothing to compare with, and a reset is no rise.
    fn rises(&mut self, subscription: &str, count: i64, asked: Now) -> i64 {
        let errors = self.errors.entry(subscription.to_owned()).or_insert(Errors { count, rises: Vec::new() });
        if count > errors.count {
            errors.rises.push(asked);
        }
        errors.count = count;
        errors.rises.retain(|at| asked.since(*at) <= RECENT);
        i64::try_from(errors.rises.len()).unwrap_or(i64::MAX)
    }
}

/// Every signal that the answers of a look bring: all but what is derived, and what another connection shows.
#[must_use]
pub fn expected() -> Vec<SignalId> {
    s::SIGNALS.iter().map(|s| s.id.clone()).filter(|id| ![common::EXPOSURE, all::ACCEPTS].contains(id)).collect()
}

/// Every signal of a server in logical replication. `wanted` are the subscriptions that count; all of the database where it
/// is empty.
#[must_use]
pub fn logical(answers: &Answers, wanted: &[String], memory: &mut Memory, asked: Now) -> Vec<Observed> {
    let table = |ask: Ask| match answers.tables.get(&ask) {
        Some(Ok(table)) => Ok(table),
        Some(Err(gap)) => Err(gap.clone()),
        None => Err(Gap::from(Reason::Absent)),
    };
    let of = |ask: L| table(Ask::Logical(ask));
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
    let running = instance(c);
    memory.begin(&running);
    let origins = of(L::Origins).ok().and_then(|t| origins(t).ok()).unwrap_or_default();
    let read = of(L::Subscriptions).and_then(|t| subscriptions(t, wanted, memory, &origins, asked));
    let none = read.as_ref().map(|r| r.rows.is_empty()).map_err(Clone::clone);
    put(common::WRITABLE, none.clone().map(|none| Value::Bool(none && !head.recovery)));
    let flushed = c.lsn(5).and_then(|l| l.map(Value::Lsn).ok_or_else(|| malformed("no flush position")));
    // What a subscriber writes is its own log, and says nothing about the publisher's.
    put(common::FLUSHED, none.and_then(|none| if none && !head.recovery { flushed } else { Ok(Value::NotApplicable) }));
    put(common::APPLIED, read.as_ref().map(|r| r.applied.clone()).map_err(Clone::clone));
    put(common::INSTANCE, running);
    put(
        common::SYSTEM_ID,
        table(Ask::Control)
            .and_then(one)
            .and_then(|k| k.text(0))
            .and_then(|id| id.map(Value::text).ok_or_else(|| malformed("no system identifier"))),
    );
    put(common::TIMELINE, timeline(&head, table(Ask::Control), Err(Reason::Absent.into())));
    put(all::VERSION, c.int(1).map(|v| or_null(v, Value::Int)));
    put(s::SUBSCRIPTIONS, read.map(|r| Value::Rows(r.rows)));
    put(s::TAKEN, of(L::Taken).and_then(|t| rows(t, |c| texts(c, &["subscription", "publication"]))));
    put(s::SUBSCRIBED, of(L::Subscribed).and_then(|t| rows(t, |c| texts(c, &["subscription", "table", "state"]))));
    put(s::PUBLICATIONS, of(L::Publications).and_then(|t| rows(t, publication)));
    put(s::PUBLISHED, of(L::Published).and_then(|t| rows(t, published)));
    put(s::TABLES, of(L::Tables).and_then(|t| few(t, MOST_TABLES, "tables")).and_then(|t| rows(t, table_row)));
    // Asked only where something differs.
    let columns = match answers.tables.contains_key(&Ask::Logical(L::Columns)) {
        true => of(L::Columns).and_then(|t| rows(t, |c| texts(c, &["table", "columns"]))),
        false => Ok(Value::Rows(Vec::new())),
    };
    put(s::COLUMNS, columns);
    put(
        s::SEQUENCES,
        of(L::Sequences).and_then(|t| few(t, MOST_SEQUENCES, "sequences")).and_then(|t| rows(t, sequence)),
    );
    put(s::SLOTS, of(L::Slots).and_then(|t| rows(t, slot)));
    put(s::LAG, of(L::Slots).and_then(|t| lag(t, c)));
    put(s::LEFTOVERS, of(L::Leftovers).and_then(one).and_then(leftovers));
    out
}

struct Subscriptions {
    rows: Vec<Row>,
    applied: Value,
}

/// `(subscription's oid, remote_lsn)`.
fn origins(table: &Table) -> Result<BTreeMap<String, Lsn>, Gap> {
    let mut all = BTreeMap::new();
    for row in table {
        let c = Cells(row);
        if let (Some(id), Some(lsn)) = (c.text(0)?, c.lsn(1)?) {
            all.insert(id.to_owned(), lsn);
        }
    }
    Ok(all)
}

/// A position of nothing: `0/0` is what a worker says before it heard anything.
fn heard(lsn: Option<Lsn>) -> Option<Lsn> {
    lsn.filter(|l| l.0 > 0)
}

fn subscriptions(
    table: &Table,
    wanted: &[String],
    memory: &mut Memory,
    origins: &BTreeMap<String, Lsn>,
    asked: Now,
) -> Result<Subscriptions, Gap> {
    let mut out = Vec::new();
    let mut applied: Option<Option<Lsn>> = None;
    for row in table {
        let c = Cells(row);
        let name = text_of(c, 0)?;
        if !wanted.is_empty() && !wanted.iter().any(|w| w == name) {
            continue;
        }
        let (enabled, running) = (flag(c, 1)?, flag(c, 3)?);
        let latest = heard(c.lsn(5)?);
        let id = c.text(9)?.unwrap_or(name);
        // What a worker says that it was told of, it has applied: it reads and applies one message after the other.
        let now = latest.filter(|_| running).max(heard(origins.get(id).copied()));
        let known = memory.applied(id, now);
        // The one that is furthest behind, and none where one says nothing.
        applied = Some(match applied {
            None => known,
            Some(before) => before.and_then(|b| known.map(|k| k.min(b))),
        });
        let errors = c.int(7)?;
        let rises = errors.map(|count| memory.rises(id, count, asked));
        let counted = |n: Option<i64>| n.map_or(Value::NotApplicable, Value::Int);
        out.push(
            Row::default()
                .with("name", Value::text(name))
                .with("enabled", Value::Bool(enabled))
                .with("slot", text_value(c.text(2)?))
                .with("running", Value::Bool(running))
                .with("latest_end_lsn", or_null(latest, Value::Lsn))
                .with("up_for", or_null(c.span(6)?, Value::Span))
                .with("errors", counted(errors))
                .with("rises", counted(rises))
                .with("disable_on_error", c.bool(8)?.map_or(Value::NotApplicable, Value::Bool)),
        );
    }
    let applied = applied.map_or(Value::NotApplicable, |a| or_null(a, Value::Lsn));
    Ok(Subscriptions { rows: out, applied })
}

fn text_of<'a>(c: Cells<'a>, at: usize) -> Result<&'a str, Gap> {
    c.text(at)?.ok_or_else(|| malformed("NULL for a name"))
}

fn flag(c: Cells<'_>, at: usize) -> Result<bool, Gap> {
    c.bool(at)?.ok_or_else(|| malformed("NULL for a truth value"))
}

fn number(c: Cells<'_>, at: usize) -> Result<i64, Gap> {
    c.int(at)?.ok_or_else(|| malformed("NULL for a number"))
}

/// Words that are never NULL.
fn texts(c: Cells<'_>, names: &[&'static str]) -> Result<Row, Gap> {
    let mut row = Row::default();
    for (at, name) in names.iter().enumerate() {
        row.set(*name, Value::text(text_of(c, at)?));
    }
    Ok(row)
}

fn few<'a>(table: &'a Table, most: usize, what: &str) -> Result<&'a Table, Gap> {
    if table.len() > most {
        return Err(Gap::new(Reason::TooLarge, &format!("more than {most} {what} are not compared")));
    }
    Ok(table)
}

fn publication(c: Cells<'_>) -> Result<Row, Gap> {
    Ok(Row::default()
        .with("name", Value::text(text_of(c, 0)?))
        .with("inserts", Value::Bool(flag(c, 1)?))
        .with("updates", Value::Bool(flag(c, 2)?))
        .with("deletes", Value::Bool(flag(c, 3)?))
        .with("truncates", Value::Bool(flag(c, 4)?)))
}

fn published(c: Cells<'_>) -> Result<Row, Gap> {
    Ok(texts(c, &["publication", "table"])?
        .with("direct", Value::Bool(flag(c, 2)?))
        .with("partial", Value::Bool(flag(c, 3)?)))
}

fn table_row(c: Cells<'_>) -> Result<Row, Gap> {
    Ok(texts(c, &["table", "digest"])?
        .with("leaf", Value::Bool(flag(c, 2)?))
        .with("identity", Value::Bool(flag(c, 3)?)))
}

fn sequence(c: Cells<'_>) -> Result<Row, Gap> {
    Ok(Row::default()
        .with("sequence", Value::text(text_of(c, 0)?))
        .with("last", or_null(c.int(1)?, Value::Int))
        .with("start", Value::Int(number(c, 2)?))
        .with("step", Value::Int(number(c, 3)?))
        .with("cycles", Value::Bool(flag(c, 4)?))
        .with("readable", Value::Bool(flag(c, 5)?)))
}

fn slot(c: Cells<'_>) -> Result<Row, Gap> {
    Ok(Row::default()
        .with("slot", Value::text(text_of(c, 0)?))
        .with("active", Value::Bool(flag(c, 1)?))
        .with("wal_status", text_value(c.text(2)?))
        .with("confirmed_flush_lsn", or_null(c.lsn(3)?, Value::Lsn))
        .with("safe_wal_size", or_null(c.bytes(4)?, Value::Bytes))
        .with("retained", or_null(c.bytes(5)?, Value::Bytes))
        .with("invalid", Value::Bool(flag(c, 6)?)))
}

/// The publisher's position, read in the same look, against what each slot's subscriber confirmed.
fn lag(table: &Table, head: Cells<'_>) -> Result<Value, Gap> {
    let mut most: Option<Bytes> = None;
    let Some(flushed) = head.lsn(5)? else { return Ok(Value::NotApplicable) };
    for row in table {
        if let Some(confirmed) = Cells(row).lsn(3)? {
            most = most.max(Some(flushed.ahead_of(confirmed)));
        }
    }
    Ok(most.map_or(Value::NotApplicable, Value::Bytes))
}

fn leftovers(c: Cells<'_>) -> Result<Value, Gap> {
    let row = Row::default()
        .with("large_objects", Value::Int(number(c, 0)?))
        .with("unlogged", Value::Int(number(c, 1)?))
        .with("materialized", Value::Int(number(c, 2)?));
    Ok(Value::Rows(vec![row]))
}

#[cfg(test)]
#[path = "logical_tests.rs"]
mod tests;
