//! Which segments of the log an archive holds, from listings of its directories.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::plan::WalSegment;
use crate::readiness::{Gap, Reason};

/// Most directories that are listed of one repository at one look: one holds up to 256 segments of the usual size.
const MOST_DIRECTORIES: u32 = 4;

/// The segments that must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Span {
    /// The first that the newest usable backup needs; `None` where there is no backup.
    pub(in super::super) start: Option<WalSegment>,
    /// The newest that the archive holds.
    pub(in super::super) max: WalSegment,
    /// The size of a segment in bytes.
    pub(in super::super) size: u64,
}

/// What was found of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Found {
    /// When the newest was stored.
    pub(in super::super) newest_at: Option<DateTime<Utc>>,
    /// The first segment that was looked for; `None` where none could be.
    pub(in super::super) from: Option<WalSegment>,
    /// The first that is not there.
    pub(in super::super) missing: Option<WalSegment>,
    /// How many are not there.
    pub(in super::super) gaps: usize,
}

impl Span {
    /// The directories that hold them, oldest first: all where they are few, else the newest. On another timeline than the
    /// backup's only the newest one's directory: which of the earlier segments belong to it, its history file says.
    pub(in super::super) fn directories(&self) -> Vec<String> {
        let first = match self.start {
            Some(start) if start.timeline == self.max.timeline && start.high <= self.max.high => start.high,
            Some(_) | None => self.max.high,
        };
        let first = first.max(self.max.high.saturating_sub(MOST_DIRECTORIES - 1));
        (first..=self.max.high).map(|high| format!("{:08X}{high:08X}", self.max.timeline)).collect()
    }

    /// Looks for them in listings.
    ///
    /// # Errors
    /// `Malformed` where the newest, which `info` named, is in none: then these are no listings of it.
    pub(in super::super) fn find(&self, listings: &[BTreeMap<WalSegment, DateTime<Utc>>]) -> Result<Found, Gap> {
        let there: BTreeSet<WalSegment> = listings.iter().flat_map(BTreeMap::keys).copied().collect();
        let newest_at = listings.iter().find_map(|l| l.get(&self.max)).copied();
        // Between the two questions log may have been archived, and old log removed; never the newest.
        if newest_at.is_none() {
            return Err(Gap::new(Reason::Malformed, &format!("repo-ls does not show {}, which info names", self.max)));
        }
        let same = self.start.filter(|s| s.timeline == self.max.timeline && s.high <= self.max.high);
        let listed = self.max.high.saturating_sub(MOST_DIRECTORIES - 1);
        let from = match same {
            Some(start) if start.high >= listed => start,
            Some(_) => WalSegment { timeline: self.max.timeline, high: listed, number: 0 },
            None => return Ok(Found { newest_at, ..Found::default() }),
        };
        let wanted = (from.index(self.size)..=self.max.index(self.size))
            .map(|index| WalSegment::at(self.max.timeline, index, self.size));
        let missing: Vec<WalSegment> = wanted.filter(|s| !there.contains(s)).collect();
        Ok(Found { newest_at, from: Some(from), missing: missing.first().copied(), gaps: missing.len() })
    }
}

#[derive(Deserialize)]
struct Entry {
    r#type: String,
    time: Option<i64>,
}

/// Reads what `repo-ls --output=json` printed of one directory: the segments that are there whole, and since when. A file is
/// named after its segment, the sum of its content and how it is compressed; other files are history and labels.
///
/// # Errors
/// `Malformed`: no JSON, or a segment without a time.
pub(in super::super) fn listing(output: &[u8]) -> Result<BTreeMap<WalSegment, DateTime<Utc>>, Gap> {
    let malformed = |what: &str| Gap::new(Reason::Malformed, &format!("pgbackrest repo-ls: {what}"));
    let entries: BTreeMap<String, Entry> = serde_json::from_slice(output).map_err(|e| malformed(&e.to_string()))?;
    let mut segments = BTreeMap::new();
    for (name, entry) in entries.iter().filter(|(_, e)| e.r#type == "file") {
        // What is not yet whole has no sum, and a partial segment has `.partial` before it.
        let Some(segment) = name.split_once('-').and_then(|(s, _)| s.parse::<WalSegment>().ok()) else { continue };
        let at = entry
            .time
            .and_then(|t| DateTime::from_timestamp(t, 0))
            .ok_or_else(|| malformed("a file without a time"))?;
        segments.insert(segment, at);
    }
    Ok(segments)
}
