//! What was remembered, read back.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, params};

use crate::app::{Change, Checked, History};
use crate::plan::{BootTime, Key, Lsn, Now, PlanId, ProbeId, SafeText, SiteId};
use crate::readiness::{LsnClock, LsnSample};

use super::write::{json, word};

/// Points that one chart gets back.
const POINTS: i64 = 360;
/// Changes that the timeline gets back.
const CHANGES: i64 = 1_000;

/// Everything that was remembered of these plans. `boot` and `now` are this machine's, to date what another boot saw.
pub(super) fn history(conn: &Connection, plans: &[PlanId], boot: &SafeText, now: Now) -> rusqlite::Result<History> {
    // One transaction: everything is from one moment, whatever others write meanwhile.
    let tx = conn.unchecked_transaction()?;
    let here = |wall: i64, boot_ns: i64, seen_by: &str| here(moment(wall, boot_ns), seen_by == boot.as_str(), now);
    let mut history = History::default();
    for plan in plans {
        history.clocks.extend(clocks(&tx, plan)?);
        let active = tx
            .prepare_cached(
                "SELECT site, wall, boot_ns, boot.name FROM active JOIN boot ON boot.id = boot WHERE plan = ?1",
            )?
            .query_row([plan.as_str()], |r| {
                Ok((SiteId::new(&r.get::<_, String>(0)?), moment(r.get(1)?, r.get(2)?), text(r, 3)?))
            })
            .optional()?;
        history.active.extend(active.map(|a| (plan.clone(), a)));
        let mut changes = tx.prepare_cached(
            "SELECT wall, boot_ns, boot.name, was, verdict, situation, why, change.id
             FROM change JOIN boot ON boot.id = boot WHERE plan = ?1 ORDER BY change.id DESC LIMIT ?2",
        )?;
        let mut rows = changes.query(params![plan.as_str(), CHANGES])?;
        while let Some(r) = rows.next()? {
            let at = here(r.get(0)?, r.get(1)?, &r.get::<_, String>(2)?);
            let (to, situation) = (word(&r.get::<_, String>(4)?), json(&r.get::<_, String>(5)?));
            // A situation that only a newer program knows is left out of this one's timeline.
            let (Some(to), Some(situation)) = (to, situation) else { continue };
            let from = r.get::<_, Option<String>>(3)?.and_then(|w| word(&w));
            history.changes.push(Change { plan: plan.clone(), at, from, to, situation, why: text(r, 6)? });
        }
        let mut series = tx.prepare_cached("SELECT id, key FROM series WHERE plan = ?1 ORDER BY id")?;
        let mut rows = series.query([plan.as_str()])?;
        while let Some(r) = rows.next()? {
            let Some(key) = json::<Key>(&r.get::<_, String>(1)?) else { continue };
            let mut points = tx.prepare_cached(
                "SELECT wall, boot_ns, boot.name, value FROM point JOIN boot ON boot.id = boot
                 WHERE series = ?1 ORDER BY point.id DESC LIMIT ?2",
            )?;
            let mut points = points
                .query_map(params![r.get::<_, i64>(0)?, POINTS], |r| {
                    Ok((here(r.get(0)?, r.get(1)?, &r.get::<_, String>(2)?), r.get(3)?))
                })?
                .collect::<rusqlite::Result<Vec<(Now, f64)>>>()?;
            points.sort_by_key(|(at, _)| at.boot);
            if !points.is_empty() {
                history.series.push((key, points));
            }
        }
    }
    history.changes.sort_by_key(|c| c.at.wall);
    Ok(history)
}

/// The clocks of a plan's probes, made anew from every sample that is kept, in the order in which they were written.
fn clocks(conn: &Connection, plan: &PlanId) -> rusqlite::Result<Vec<(ProbeId, LsnClock)>> {
    let mut all: Vec<(ProbeId, LsnClock)> = Vec::new();
    let mut samples = conn.prepare_cached(
        "SELECT probe, system, timeline, boot.name, asked_wall, asked_boot_ns, answered_wall, answered_boot_ns, lsn
         FROM cluster JOIN boot ON boot.id = cluster.boot JOIN sample ON sample.cluster = cluster.id
         WHERE plan = ?1 ORDER BY probe, sample.id",
    )?;
    let mut rows = samples.query([plan.as_str()])?;
    let mut last: Option<(SafeText, LsnSample)> = None;
    while let Some(r) = rows.next()? {
        let probe = ProbeId::new(plan, &r.get::<_, String>(0)?);
        let boot = text(r, 3)?;
        let sample = LsnSample {
            asked: moment(r.get(4)?, r.get(5)?),
            answered: moment(r.get(6)?, r.get(7)?),
            lsn: Lsn(r.get::<_, i64>(8)?.cast_unsigned()),
        };
        if all.last().is_none_or(|(p, _)| *p != probe) {
            all.push((probe, LsnClock::default()));
            last = None;
        }
        // Two processes that look at once get positions whose order nobody knows; taking both could make a position
        // look as if it went back. Leaving one out only loosens the bound.
        let overlaps = |(b, s): &(SafeText, LsnSample)| *b == boot && sample.asked.boot < s.answered.boot;
        if last.as_ref().is_some_and(overlaps) {
            continue;
        }
        if let Some((_, clock)) = all.last_mut() {
            clock.observe(&text(r, 1)?, r.get(2)?, &boot, sample);
        }
        last = Some((boot, sample));
    }
    Ok(all)
}

/// What the last check of a plan found; with `at`, the last one that was made by then, else the first one there is.
pub(super) fn check_before(
    conn: &Connection,
    plan: &PlanId,
    scope: &str,
    at: Option<DateTime<Utc>>,
) -> rusqlite::Result<Option<Checked>> {
    let by = at.map_or(i64::MAX, |at| at.timestamp_micros());
    let row = |r: &rusqlite::Row<'_>| Ok((r.get::<_, i64>(0)?, r.get::<_, String>(1)?));
    let mut found = conn
        .prepare_cached(
            "SELECT last, body FROM checked WHERE plan = ?1 AND scope = ?2 AND wall <= ?3 ORDER BY wall DESC, id DESC LIMIT 1",
        )?
        .query_row(params![plan.as_str(), scope, by], row)
        .optional()?
        // It was found so from its first to its last time.
        .map(|(last, body)| (last.min(by), body));
    if found.is_none() && at.is_some() {
        found = conn
            .prepare_cached("SELECT wall, body FROM checked WHERE plan = ?1 AND scope = ?2 ORDER BY wall, id LIMIT 1")?
            .query_row(params![plan.as_str(), scope], row)
            .optional()?;
    }
    Ok(found.and_then(|(wall, body)| {
        let checked: Checked = json(&body)?;
        Some(Checked { at: DateTime::from_timestamp_micros(wall)?, ..checked })
    }))
}

fn text(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<SafeText> {
    Ok(SafeText::new(&row.get::<_, String>(column)?))
}

/// A moment as it was written.
fn moment(wall: i64, boot_ns: i64) -> Now {
    Now {
        wall: DateTime::from_timestamp_micros(wall).unwrap_or_default(),
        boot: BootTime(Duration::from_nanos(u64::try_from(boot_ns).unwrap_or(0))),
    }
}

/// A moment on this boot's clock: as it is, where this boot saw it; else as far back as the wall clock says. For charts
/// and the timeline only, never for a verdict.
fn here(at: Now, same_boot: bool, now: Now) -> Now {
    if same_boot {
        return at;
    }
    let age = now.wall.signed_duration_since(at.wall).to_std().unwrap_or(Duration::ZERO);
    Now { boot: BootTime(now.boot.0.saturating_sub(age)), ..at }
}
