//! A chart of one quantity against its limit, as lines of text.

use crate::plan::Now;
use crate::tui::theme::Role;

use super::text::{Line, width};

const STEPS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// What is charted.
#[derive(Clone, Copy, Debug)]
pub struct Chart<'a> {
    /// The points, oldest first.
    pub points: &'a [(Now, f64)],
    /// The limit.
    pub limit: Option<f64>,
    /// How to write a value.
    pub label: fn(f64) -> String,
    /// Rows of the plot.
    pub rows: usize,
    /// Cells of every line.
    pub cells: usize,
}

impl Chart<'_> {
    /// The chart: the plot with its scale at the left, and the limit as a rule through it.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        let highest = self.points.iter().map(|(_, v)| *v).fold(0.0_f64, f64::max);
        let top = self.limit.map_or(highest, |l| highest.max(l * 1.1)).max(f64::MIN_POSITIVE);
        let limit = self.limit.map(|l| (self.label)(l));
        let (zero, most) = ((self.label)(0.0), (self.label)(top));
        let scale = [limit.as_deref().map_or(0, |l| width(l) + 6), width(&zero), width(&most)].into_iter().max();
        let scale = scale.unwrap_or(0).min(self.cells / 2);
        let columns = self.columns(self.cells.saturating_sub(scale + 1));
        let rows = self.rows.max(1);
        let row_of = |v: f64| (((v / top) * rows as f64).floor().max(0.0) as usize).min(rows - 1);
        let limit_row = self.limit.map(row_of);
        let mut out = Vec::with_capacity(rows);
        for row in (0..rows).rev() {
            let label = match (limit_row == Some(row), &limit) {
                (true, Some(l)) => (format!("limit {l}"), Role::Limit),
                (_, _) if row == rows - 1 => (most.clone(), Role::Dim),
                (_, _) if row == 0 => (zero.clone(), Role::Dim),
                (_, _) => (String::new(), Role::Dim),
            };
            let mut line = vec![(format!("{:>scale$} ", super::text::cut(&label.0, scale)), label.1)];
            let mut run = String::new();
            let mut role = Role::Chart;
            for column in &columns {
                let (sign, as_role) = match column {
                    Some(v) => {
                        let eighths = (((v / top) * rows as f64 - row as f64) * 8.0).round() as i64;
                        let over = self.limit.is_some_and(|l| *v > l);
                        let as_role = if over { Role::Limit } else { Role::Chart };
                        match usize::try_from(eighths).ok().filter(|e| *e > 0) {
                            Some(e) => (STEPS.get(e.min(8) - 1).copied().unwrap_or("█"), as_role),
                            None if row == 0 => ("▁", as_role),
                            None if limit_row == Some(row) => ("─", Role::Limit),
                            None => (" ", role),
                        }
                    }
                    None if limit_row == Some(row) => ("─", Role::Limit),
                    None => (" ", role),
                };
                if as_role != role && !run.is_empty() {
                    line.push((std::mem::take(&mut run), role));
                }
                role = as_role;
                run.push_str(sign);
            }
            line.push((run, role));
            out.push(line);
        }
        out
    }

    /// One value a column, the largest of those that fall into it: a chart must not hide a peak. Columns without a
    /// point are gaps, because nothing is known there.
    fn columns(&self, cells: usize) -> Vec<Option<f64>> {
        let mut columns = vec![None; cells];
        let (Some((first, _)), Some((last, _))) = (self.points.first(), self.points.last()) else { return columns };
        let span = last.since(*first).as_secs_f64().max(1.0);
        for (at, value) in self.points {
            let place = at.since(*first).as_secs_f64() / span * cells.saturating_sub(1) as f64;
            if let Some(column) = columns.get_mut(place.round() as usize) {
                *column = Some(column.map_or(*value, |v: f64| v.max(*value)));
            }
        }
        // A few points over a wide chart: hold each until the next, as far as one gap of ordinary length.
        let gap = (cells / self.points.len().max(1)).saturating_add(1);
        let mut held: Option<(f64, usize)> = None;
        for column in &mut columns {
            match (*column, held) {
                (Some(v), _) => held = Some((v, gap)),
                (None, Some((v, left))) if left > 0 => {
                    *column = Some(v);
                    held = Some((v, left - 1));
                }
                (None, _) => {}
            }
        }
        columns
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::BootTime;
    use std::time::Duration;

    fn text(chart: &Chart<'_>) -> Vec<String> {
        chart.lines().iter().map(|l| l.iter().map(|(t, _)| t.as_str()).collect()).collect()
    }

    #[test]
    fn peaks_and_limit_are_seen_and_nothing_is_too_wide() {
        let at = |s: u64| Now { wall: chrono::DateTime::UNIX_EPOCH, boot: BootTime(Duration::from_secs(s)) };
        let mut points: Vec<_> = (0..300).map(|s| (at(s), 2.0)).collect();
        points[150].1 = 40.0;
        let chart = Chart { points: &points, limit: Some(30.0), label: |v| format!("{v:.0}s"), rows: 5, cells: 40 };
        let lines = text(&chart);
        assert_eq!(lines.len(), 5);
        assert!(lines.iter().all(|l| width(l) <= 40), "{lines:?}");
        assert!(lines.iter().any(|l| l.contains("limit 30s")));
        assert!(lines[0].contains('█'), "the peak reaches the top: {lines:?}");
        let none = Chart { points: &[], limit: None, label: |v| v.to_string(), rows: 3, cells: 0 };
        assert_eq!(none.lines().len(), 3);
    }
}
