//! How one batch gets into the file: in one transaction, whole or not at all.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::app::{Change, Checked, Memory};
use crate::plan::{Key, Now, PlanId, ProbeId, SafeText, SiteId};
use crate::readiness::{LsnSample, Situation, Verdict};

use super::queue::Item;

const MINUTE: i64 = 60_000_000;

/// One primary as one boot saw it: probe, system identifier, timeline, boot.
type Cluster = (ProbeId, SafeText, i64, SafeText);

/// A row's id, and the wall clock of the newest row that belongs to it.
type Known = (i64, Option<i64>);

/// What the writer knows of the file, so as not to ask for it with every row. Forgotten when a transaction fails.
#[derive(Debug)]
pub(super) struct Writer {
    boot: SafeText,
    boots: HashMap<SafeText, i64>,
    clusters: HashMap<Cluster, Known>,
    series: HashMap<Key, Known>,
}

impl Writer {
    /// `boot` is this machine's: for what does not name its own.
    pub(super) fn new(boot: SafeText) -> Self {
        Self { boot, boots: HashMap::new(), clusters: HashMap::new(), series: HashMap::new() }
    }

    /// Writes a batch.
    pub(super) fn write(&mut self, conn: &mut Connection, batch: &[Item]) -> rusqlite::Result<()> {
        let done = self.try_write(conn, batch);
        if done.is_err() {
            // Ids that were made in a transaction that was rolled back are no ids.
            *self = Self::new(self.boot.clone());
        }
        done
    }

    fn try_write(&mut self, conn: &mut Connection, batch: &[Item]) -> rusqlite::Result<()> {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for item in batch {
            match item {
                Item::Memory(Memory::Sample { probe, system, timeline, boot, sample }) => {
                    self.sample(&tx, (probe.clone(), system.clone(), *timeline, boot.clone()), sample)?;
                }
                Item::Memory(Memory::Active { plan, site, at, boot }) => self.active(&tx, plan, site, *at, boot)?,
                Item::Memory(Memory::Change(change)) => self.change(&tx, change)?,
                Item::Memory(Memory::Point { key, at, value }) => self.point(&tx, key, *at, *value)?,
                Item::Check { scope, checked } => check(&tx, scope, checked)?,
            }
        }
        tx.commit()
    }

    fn boot(&mut self, tx: &Transaction<'_>, name: &SafeText) -> rusqlite::Result<i64> {
        if let Some(id) = self.boots.get(name) {
            return Ok(*id);
        }
        tx.prepare_cached("INSERT INTO boot (name) VALUES (?1) ON CONFLICT DO NOTHING")?.execute([name.as_str()])?;
        let id = tx.prepare_cached("SELECT id FROM boot WHERE name = ?1")?.query_row([name.as_str()], |r| r.get(0))?;
        self.boots.insert(name.clone(), id);
        Ok(id)
    }

    fn sample(&mut self, tx: &Transaction<'_>, of: Cluster, sample: &LsnSample) -> rusqlite::Result<()> {
        let wall = sample.asked.wall.timestamp_micros();
        let (cluster, last) = match self.clusters.get(&of) {
            Some(known) => *known,
            None => {
                let boot = self.boot(tx, &of.3)?;
                let key = params![of.0.plan.as_str(), &*of.0.name, of.1.as_str(), of.2, boot];
                tx.prepare_cached(
                    "INSERT INTO cluster (plan, probe, system, timeline, boot) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT DO NOTHING",
                )?
                .execute(key)?;
                let id: i64 = tx
                    .prepare_cached(
                        "SELECT id FROM cluster
                         WHERE plan = ?1 AND probe = ?2 AND system = ?3 AND timeline = ?4 AND boot = ?5",
                    )?
                    .query_row(key, |r| r.get(0))?;
                let last = tx
                    .prepare_cached("SELECT asked_wall FROM sample WHERE cluster = ?1 ORDER BY id DESC LIMIT 1")?
                    .query_row([id], |r| r.get(0))
                    .optional()?;
                (id, last)
            }
        };
        tx.prepare_cached(
            "INSERT INTO sample (cluster, asked_wall, asked_boot_ns, answered_wall, answered_boot_ns, lsn, grade)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            cluster,
            wall,
            boot_ns(sample.asked),
            sample.answered.wall.timestamp_micros(),
            boot_ns(sample.answered),
            sample.lsn.0.cast_signed(),
            grade(last, wall),
        ])?;
        self.clusters.insert(of, (cluster, Some(wall)));
        Ok(())
    }

    fn active(
        &mut self,
        tx: &Transaction<'_>,
        plan: &PlanId,
        site: &SiteId,
        at: Now,
        boot: &SafeText,
    ) -> rusqlite::Result<()> {
        let boot = self.boot(tx, boot)?;
        // Of two processes the one that asked last is right; another boot is a later one.
        tx.prepare_cached(
            "INSERT INTO active (plan, site, wall, boot_ns, boot) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (plan) DO UPDATE
             SET site = excluded.site, wall = excluded.wall, boot_ns = excluded.boot_ns, boot = excluded.boot
             WHERE excluded.boot <> active.boot OR excluded.boot_ns > active.boot_ns",
        )?
        .execute(params![plan.as_str(), site.as_str(), at.wall.timestamp_micros(), boot_ns(at), boot])?;
        Ok(())
    }

    /// Keeps a change, unless the newest that is kept says the same: another process saw it first, or this is a session's
    /// first judgement and nothing changed since the last session.
    fn change(&mut self, tx: &Transaction<'_>, change: &Change) -> rusqlite::Result<()> {
        let last: Option<(Option<Verdict>, Option<Situation>)> = tx
            .prepare_cached("SELECT verdict, situation FROM change WHERE plan = ?1 ORDER BY id DESC LIMIT 1")?
            .query_row([change.plan.as_str()], |r| Ok((word(&r.get::<_, String>(0)?), json(&r.get::<_, String>(1)?))))
            .optional()?;
        let (verdict, situation) = last.unwrap_or((None, None));
        if verdict == Some(change.to) && situation.is_some_and(|s| s.words() == change.situation.words()) {
            return Ok(());
        }
        let boot = self.boot.clone();
        let boot = self.boot(tx, &boot)?;
        tx.prepare_cached(
            "INSERT INTO change (plan, wall, boot_ns, boot, was, verdict, situation, why)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            change.plan.as_str(),
            change.at.wall.timestamp_micros(),
            boot_ns(change.at),
            boot,
            change.from.or(verdict).map(Verdict::word),
            change.to.word(),
            text(&change.situation)?,
            change.why.as_str(),
        ])?;
        Ok(())
    }

    fn point(&mut self, tx: &Transaction<'_>, key: &Key, at: Now, value: f64) -> rusqlite::Result<()> {
        // SQLite has no NaN: it would be NULL, and cost the whole batch.
        if !value.is_finite() {
            return Ok(());
        }
        let (series, last) = match self.series.get(key) {
            Some(known) => *known,
            None => {
                let name = text(key)?;
                tx.prepare_cached("INSERT INTO series (plan, key) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
                    .execute(params![key.probe.plan.as_str(), name])?;
                let id: i64 =
                    tx.prepare_cached("SELECT id FROM series WHERE key = ?1")?.query_row([name], |r| r.get(0))?;
                let last = tx
                    .prepare_cached("SELECT wall FROM point WHERE series = ?1 ORDER BY id DESC LIMIT 1")?
                    .query_row([id], |r| r.get(0))
                    .optional()?;
                (id, last)
            }
        };
        let wall = at.wall.timestamp_micros();
        let boot = self.boot.clone();
        let boot = self.boot(tx, &boot)?;
        tx.prepare_cached(
            "INSERT INTO point (series, wall, boot_ns, boot, value, grade) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![series, wall, boot_ns(at), boot, value, grade(last, wall)])?;
        self.series.insert(key.clone(), (series, Some(wall)));
        Ok(())
    }
}

/// Keeps what a check found: as a row of its own where that differs from what the one before found.
fn check(tx: &Transaction<'_>, scope: &str, checked: &Checked) -> rusqlite::Result<()> {
    let wall = checked.at.timestamp_micros();
    let last: Option<(i64, String)> = tx
        .prepare_cached(
            "SELECT id, body FROM checked WHERE plan = ?1 AND scope = ?2 ORDER BY wall DESC, id DESC LIMIT 1",
        )?
        .query_row(params![checked.plan.as_str(), scope], |r| Ok((r.get(0)?, r.get(1)?)))
        .optional()?;
    let same = |body: &str| json::<Checked>(body).is_some_and(|was| Checked { at: checked.at, ..was } == *checked);
    match last {
        Some((id, body)) if same(&body) => {
            tx.prepare_cached("UPDATE checked SET last = max(last, ?2) WHERE id = ?1")?.execute(params![id, wall])?;
        }
        Some(_) | None => {
            tx.prepare_cached("INSERT INTO checked (plan, scope, wall, last, body) VALUES (?1, ?2, ?3, ?3, ?4)")?
                .execute(params![checked.plan.as_str(), scope, wall, text(checked)?])?;
        }
    }
    Ok(())
}

/// Which rows outlive thinning: 2 the first of its ten minutes, 1 the first of its minute, 0 the rest.
const fn grade(last: Option<i64>, wall: i64) -> i64 {
    match last {
        Some(last) if last.div_euclid(MINUTE) == wall.div_euclid(MINUTE) => 0,
        Some(last) if last.div_euclid(10 * MINUTE) == wall.div_euclid(10 * MINUTE) => 1,
        Some(_) | None => 2,
    }
}

/// Nanoseconds since boot; enough for 292 years.
fn boot_ns(at: Now) -> i64 {
    i64::try_from(at.boot.0.as_nanos()).unwrap_or(i64::MAX)
}

fn text<T: serde::Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))
}

/// Reads what [`text`] wrote; `None` for what a newer program meant.
pub(super) fn json<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}

/// The verdict with this word.
pub(super) fn word(text: &str) -> Option<Verdict> {
    Verdict::ALL.into_iter().find(|v| v.word() == text)
}
