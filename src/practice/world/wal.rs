//! Timelines, and what a cluster writes into its log.

use super::data::Order;
use super::roles::Role;
use super::time::Moment;
use crate::plan::Lsn;

/// A segment of the log, in bytes.
pub const SEGMENT: u64 = 16 * 1024 * 1024;

/// The timelines that a server's log went through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// Those before the current one, each with where it was left.
    pub past: Vec<(u32, Lsn)>,
    /// The current one.
    pub timeline: u32,
}

impl History {
    /// The first timeline, or one that has been through some promotions at these positions.
    #[must_use]
    pub fn new(past: &[Lsn]) -> Self {
        let past: Vec<(u32, Lsn)> = (1_u32..).zip(past.iter().copied()).collect();
        let timeline = u32::try_from(past.len()).unwrap_or(u32::MAX).saturating_add(1);
        Self { past, timeline }
    }

    /// Whether what stands at this position of this timeline is part of this history.
    #[must_use]
    pub fn has(&self, timeline: u32, at: Lsn) -> bool {
        match self.past.iter().find(|(t, _)| *t == timeline) {
            Some((_, end)) => at <= *end,
            None => timeline == self.timeline,
        }
    }

    /// The timeline that a position belongs to.
    #[must_use]
    pub fn at(&self, at: Lsn) -> u32 {
        self.past.iter().find(|(_, end)| at <= *end).map_or(self.timeline, |(t, _)| *t)
    }

    /// A new timeline from here on.
    pub fn branch(&mut self, at: Lsn) {
        self.past.push((self.timeline, at));
        self.timeline = self.timeline.saturating_add(1);
    }
}

/// What a record of the log does, beside filling it.
#[derive(Clone, Debug)]
pub enum Change {
    /// A row of `orders`.
    Order(Order),
    /// The application's mistake: amounts that cannot be.
    Spoil,
    /// A role was altered.
    Role(Box<Role>),
}

/// A record that means something.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its timeline.
    pub timeline: u32,
    /// Where it ends.
    pub at: Lsn,
    /// When it was committed.
    pub committed: Moment,
    /// What it does.
    pub change: Change,
}

/// The file that a position is in, as PostgreSQL names it (`pg_walfile_name`).
#[must_use]
pub fn file(timeline: u32, at: Lsn) -> String {
    // At the very end of a segment it is still that segment.
    let segment = at.0.saturating_sub(1) / SEGMENT;
    let per = 0x1_0000_0000 / SEGMENT;
    format!("{timeline:08X}{:08X}{:08X}", segment / per, segment % per)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_as_postgres_names_it() {
        assert_eq!(file(1, Lsn(0x300_0148)), "000000010000000000000003");
        assert_eq!(file(2, Lsn(0x400_0000)), "000000020000000000000003");
        assert_eq!(file(0x1F, Lsn(0x16_B374_D848)), "0000001F00000016000000B3");
    }

    #[test]
    fn a_history_ends_where_it_was_left() {
        let mut a = History::new(&[]);
        let b = a.clone();
        a.branch(Lsn(100));
        assert_eq!((a.timeline, a.at(Lsn(100)), a.at(Lsn(101))), (2, 1, 2));
        assert!(a.has(1, Lsn(100)) && !a.has(1, Lsn(101)) && a.has(2, Lsn(500)));
        assert!(b.has(1, Lsn(500)) && !b.has(2, Lsn(500)));
    }
}
