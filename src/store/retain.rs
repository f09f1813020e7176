//! What is kept for how long.

use std::time::Duration;

use rusqlite::{Connection, params};

use crate::plan::Now;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// Rows that go in one transaction: so few that nobody waits for it.
const AT_ONCE: i64 = 500;

/// What is kept for how long, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long positions of primaries are kept.
    pub sample_age: Duration,
    /// How long points of charts are kept.
    pub point_age: Duration,
    /// How long changes and results of checks are kept.
    pub change_age: Duration,
    /// From which age one row a minute is enough.
    pub thin_after: Duration,
    /// From which age one row in ten minutes is enough.
    pub thin_more_after: Duration,
    /// Most positions.
    pub samples: i64,
    /// Most points.
    pub points: i64,
    /// Most changes, and most differing results of checks.
    pub changes: i64,
    /// Most pages of 4 KiB that the file may have.
    pub pages: i64,
    /// Most things that wait to be written.
    pub queued: usize,
    /// How long the writer gathers before it writes.
    pub gather: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sample_age: 14 * DAY,
            point_age: 14 * DAY,
            change_age: 400 * DAY,
            thin_after: HOUR,
            thin_more_after: DAY,
            samples: 500_000,
            points: 500_000,
            changes: 20_000,
            pages: 131_072,
            queued: 8_192,
            gather: Duration::from_secs(1),
        }
    }
}

/// Removes a bounded number of rows that are too old or too many. Returns whether there may be more to go.
pub(super) fn step(conn: &mut Connection, limits: &Limits, now: Now) -> rusqlite::Result<bool> {
    let before = |age: Duration| {
        let age = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        now.wall.timestamp_micros().saturating_sub(age)
    };
    let old = |grades: &str, table: &str, wall: &str| {
        format!(
            "DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE {grades} {wall} < ?1 ORDER BY {wall} LIMIT ?2)"
        )
    };
    let mut by_age: Vec<(String, i64)> = vec![(old("", "change", "wall"), before(limits.change_age))];
    for (table, wall, age) in [("sample", "asked_wall", limits.sample_age), ("point", "wall", limits.point_age)] {
        for (grade, age) in [(0, limits.thin_after.min(age)), (1, limits.thin_more_after.min(age)), (2, age)] {
            by_age.push((old(&format!("grade = {grade} AND"), table, wall), before(age)));
        }
    }
    // What the newest check found is kept for as long as the plan is there: the next one is compared with it.
    let older = "id NOT IN (SELECT max(id) FROM checked GROUP BY plan, scope)";
    by_age.push((
        format!("DELETE FROM checked WHERE id IN (SELECT id FROM checked WHERE last < ?1 AND {older} ORDER BY last LIMIT ?2)"),
        before(limits.change_age),
    ));
    let mut more = false;
    for (sql, before) in by_age {
        more |= conn.prepare_cached(&sql)?.execute(params![before, AT_ONCE])? >= usize::try_from(AT_ONCE).unwrap_or(1);
    }
    for (table, most) in
        [("sample", limits.samples), ("point", limits.points), ("change", limits.changes), ("checked", limits.changes)]
    {
        let count: i64 = conn.prepare_cached(&format!("SELECT count(*) FROM {table}"))?.query_row([], |r| r.get(0))?;
        let over = count.saturating_sub(most).clamp(0, AT_ONCE);
        if over > 0 {
            let sql = format!("DELETE FROM {table} WHERE id IN (SELECT id FROM {table} ORDER BY id LIMIT ?1)");
            conn.prepare_cached(&sql)?.execute([over])?;
            more |= over == AT_ONCE;
        }
    }
    Ok(more)
}
