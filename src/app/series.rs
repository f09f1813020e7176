//! The points of charts, kept small: a session holds thousands of series, and looks at one.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::plan::{Key, Now};

/// Points that one chart keeps.
const POINTS: usize = 360;
/// Room is made for so many points at once: most series are of a session that has just begun.
const STEP: usize = 16;

/// Every series, by what is charted.
#[derive(Debug, Default)]
pub(super) struct AllSeries(HashMap<Key, Series>);

impl AllSeries {
    /// Takes in one point, newer than those that are there.
    pub fn push(&mut self, key: &Key, at: Now, value: f64) {
        match self.0.get_mut(key) {
            Some(series) => series.push(at, value),
            None => {
                let mut series = Series::new(at);
                series.push(at, value);
                self.0.insert(key.clone(), series);
            }
        }
    }

    /// Puts older points before those that are there.
    pub fn precede(&mut self, key: Key, points: &[(Now, f64)]) {
        let Some((first, _)) = points.first() else { return };
        let seen = self.0.remove(&key);
        let mut series = Series::new(*first);
        for (at, value) in points.iter().copied().chain(seen.iter().flat_map(Series::iter)) {
            series.push(at, value);
        }
        self.0.insert(key, series);
    }

    /// When the newest point was made.
    pub fn newest(&self, key: &Key) -> Option<Now> {
        self.0.get(key)?.iter().next_back().map(|(at, _)| at)
    }

    /// The points of one chart, oldest first.
    pub fn points(&self, key: &Key) -> impl DoubleEndedIterator<Item = (Now, f64)> {
        self.0.get(key).into_iter().flat_map(Series::iter)
    }
}

/// One series: what a screen can tell apart of it. A point is eight bytes, where a moment and a number are forty.
#[derive(Debug)]
struct Series {
    origin: Now,
    points: VecDeque<Point>,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    /// Milliseconds after the origin, by the boot clock.
    after: u32,
    value: f32,
}

impl Series {
    const fn new(origin: Now) -> Self {
        Self { origin, points: VecDeque::new() }
    }

    fn push(&mut self, at: Now, value: f64) {
        let after = u32::try_from(at.since(self.origin).as_millis()).unwrap_or_else(|_| {
            // Seven weeks: what lies so far apart is no one chart.
            (self.origin, self.points) = (at, VecDeque::new());
            0
        });
        while self.points.len() >= POINTS {
            self.points.pop_front();
        }
        if self.points.len() == self.points.capacity() {
            self.points.reserve_exact(STEP);
        }
        #[expect(clippy::cast_possible_truncation, reason = "a chart has eight rows and a label of three digits")]
        self.points.push_back(Point { after, value: value as f32 });
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = (Now, f64)> {
        let at = |p: &Point| (self.origin.plus(Duration::from_millis(p.after.into())), f64::from(p.value));
        self.points.iter().map(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{BootTime, PlanId, ProbeId, SignalId, Subject};

    fn key() -> Key {
        let probe = ProbeId::new(&PlanId::new("p"), "db");
        Key { probe, subject: Subject::whole(), signal: SignalId::new("test.charted") }
    }

    fn at(ms: u64) -> Now {
        let wall = chrono::DateTime::from_timestamp_millis(1_700_000_000_000).unwrap();
        Now { wall, boot: BootTime(Duration::ZERO) }.plus(Duration::from_millis(ms))
    }

    fn seen(all: &AllSeries) -> Vec<(Now, f64)> {
        all.points(&key()).collect()
    }

    #[test]
    fn points_come_back_as_they_went_in() {
        let mut all = AllSeries::default();
        for (ms, value) in [(1_000, 60.0), (6_003, 0.25), (11_007, 0.0)] {
            all.push(&key(), at(ms), value);
        }
        assert_eq!(seen(&all), [(at(1_000), 60.0), (at(6_003), 0.25), (at(11_007), 0.0)]);
        assert_eq!(all.newest(&key()), Some(at(11_007)));
    }

    #[test]
    fn what_was_remembered_comes_first() {
        let mut all = AllSeries::default();
        all.push(&key(), at(9_000), 3.0);
        all.precede(key(), &[(at(1_000), 1.0), (at(2_000), 2.0)]);
        all.precede(key(), &[]);
        assert_eq!(seen(&all), [(at(1_000), 1.0), (at(2_000), 2.0), (at(9_000), 3.0)]);
    }

    #[test]
    fn a_series_is_bounded_and_keeps_the_newest() {
        let mut all = AllSeries::default();
        for n in 0..1_000_u32 {
            all.push(&key(), at(u64::from(n) * 5_000), f64::from(n));
        }
        let seen = seen(&all);
        assert_eq!((seen.len(), seen[0].1, seen[POINTS - 1].1), (POINTS, 640.0, 999.0));
    }

    #[test]
    fn seven_weeks_later_a_series_begins_anew() {
        let mut all = AllSeries::default();
        all.push(&key(), at(0), 1.0);
        let late = at(u64::from(u32::MAX) + 5_000);
        all.push(&key(), late, 2.0);
        assert_eq!(seen(&all), [(late, 2.0)]);
    }
}
