//! Backups that are taken on schedule, as a list: who keeps a directory writes the files that it names.

use std::time::Duration;

use super::Tick;
use super::network::Site;
use super::time::Moment;

/// One backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Its number in its series, from 0: its content follows from it.
    pub n: u64,
    /// When it was begun.
    pub begun: Moment,
    /// Whether all of it was written. Whoever took it says in either case that all is well.
    pub whole: bool,
}

/// The backups of one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// What is backed up: the directory's name, and the beginning of every file's.
    pub name: &'static str,
    /// Where the files are.
    pub site: Site,
    every: Duration,
    keep: usize,
    next: Duration,
    truncates: bool,
    taken: u64,
    backups: Vec<Backup>,
}

impl Series {
    /// A series with as many backups behind it as it keeps, one each `every`, which counts in model time from now on.
    #[must_use]
    pub fn new(name: &'static str, site: Site, every: Duration, keep: usize) -> Self {
        let count = u32::try_from(keep).unwrap_or(u32::MAX);
        // The last one half an interval ago: it is neither late nor new.
        let ago = |n: u32| (every * count.saturating_sub(n).saturating_sub(1)).saturating_add(every / 2);
        let backup = |n: u32| Backup { n: u64::from(n), begun: Moment::before(ago(n)), whole: true };
        let backups: Vec<Backup> = (0..count).map(backup).collect();
        Self { name, site, every, keep, next: every / 2, truncates: false, taken: u64::from(count), backups }
    }

    /// What is kept, the oldest first.
    #[must_use]
    pub fn backups(&self) -> &[Backup] {
        &self.backups
    }

    fn take(&mut self, at: Moment) {
        self.backups.push(Backup { n: self.taken, begun: at, whole: !self.truncates });
        self.taken = self.taken.saturating_add(1);
        let over = self.backups.len().saturating_sub(self.keep);
        self.backups.drain(..over);
    }
}

/// What the world holds of backups.
#[derive(Clone, Debug, Default)]
pub struct Files {
    series: Vec<Series>,
}

impl Files {
    /// With one more series.
    pub fn add(&mut self, series: Series) {
        self.series.push(series);
    }

    /// Every series.
    #[must_use]
    pub fn series(&self) -> &[Series] {
        &self.series
    }

    /// The disk that a series is written to is full, and nobody looks at how its program ends: from the next backup on, which
    /// is taken at this moment, they are cut off. Or that is mended, and a whole one is taken.
    pub fn truncate(&mut self, name: &str, truncates: bool, at: Moment) {
        for series in self.series.iter_mut().filter(|s| s.name == name) {
            series.truncates = truncates;
            series.take(at);
        }
    }

    /// Time goes by: what is due is taken.
    pub(super) fn tick(&mut self, tick: Tick) {
        for series in &mut self.series {
            if tick.powered(series.site) && tick.model >= series.next {
                series.next = tick.model + series.every;
                series.take(tick.at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_appear_on_schedule_and_the_oldest_go() {
        let mut files = Files::default();
        files.add(Series::new("mail", Site::West, Duration::from_secs(100), 3));
        let begun = |f: &Files| f.series()[0].backups().iter().map(|b| b.begun.0 / 1_000_000).collect::<Vec<_>>();
        assert_eq!(begun(&files), [-250, -150, -50]);
        (0..49).for_each(|s| files.tick(Tick::test(s)));
        assert_eq!(begun(&files), [-250, -150, -50]);
        (49..151).for_each(|s| files.tick(Tick::test(s)));
        assert_eq!(begun(&files), [-50, 50, 150]);
        files.truncate("mail", true, Moment(0));
        files.truncate("other", true, Moment(0));
        let last = |f: &Files| f.series()[0].backups().last().cloned().unwrap();
        assert!(!last(&files).whole);
        files.truncate("mail", false, Moment(0));
        assert!(last(&files).whole);
        let numbers: Vec<u64> = files.series()[0].backups().iter().map(|b| b.n).collect();
        assert_eq!(numbers, [4, 5, 6]);
    }
}
