//! What a place that keeps backups would bring back, as every kind of backup tells it.

use chrono::{DateTime, Utc};

use crate::plan::{Bytes, LaneDecl, Lsn, Now, ProbeDecl, SafeText, SiteId};

use super::signals::BACKUP_REACH;
use super::{Facts, Gap, Kept, Reason, Row, Value};

/// The end of the log that a place keeps, where that goes on without a gap from the newest backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEnd {
    /// The cluster's system identifier, where the place knows it.
    pub system: Option<SafeText>,
    /// The timeline.
    pub timeline: i64,
    /// The position after the last byte.
    pub lsn: Lsn,
    /// The size of a segment: so much is always under way.
    pub segment: Bytes,
}

/// One row of [`BACKUP_REACH`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restorable {
    /// The place, for people: a directory, `main repo2`.
    pub place: SafeText,
    /// The site that it is in, where that is one of the plan's.
    pub site: Option<SiteId>,
    /// Whether it survives the loss of the home site, where somebody said so.
    pub offsite: Option<bool>,
    /// Up to which moment what is kept there brings the data back for certain, by the clock of whoever made it; `None` where
    /// nothing can be restored from it.
    pub at: Option<DateTime<Utc>>,
    /// Whether log beyond that moment is kept of which nobody says when it was written.
    pub more: bool,
    /// The end of that log.
    pub log: Option<LogEnd>,
}

impl Restorable {
    /// As a row.
    #[must_use]
    pub fn row(self) -> Row {
        let (system, timeline, lsn, segment) = match self.log {
            Some(log) => (
                log.system.map_or(Value::Null, Value::Text),
                Value::Int(log.timeline),
                Value::Lsn(log.lsn),
                Value::Bytes(log.segment),
            ),
            None => (Value::Null, Value::Null, Value::Null, Value::Null),
        };
        Row::default()
            .with("place", Value::Text(self.place))
            .with("site", self.site.map_or(Value::Null, |s| Value::text(s.as_str())))
            .with("offsite", self.offsite.map_or(Value::Null, Value::Bool))
            .with("at", self.at.map_or(Value::Null, Value::Time))
            .with("more", Value::Bool(self.more))
            .with("system", system)
            .with("timeline", timeline)
            .with("lsn", lsn)
            .with("segment", segment)
    }

    /// From a row.
    ///
    /// # Errors
    /// `Malformed` where it is no such row.
    pub fn read(row: &Row) -> Result<Self, Gap> {
        let missing = |column: &str| Gap::new(Reason::Malformed, &format!("column {column} is NULL"));
        let log = match (row.int("timeline")?, row.lsn("lsn")?, row.bytes("segment")?) {
            (Some(timeline), Some(lsn), Some(segment)) => {
                Some(LogEnd { system: row.text("system")?, timeline, lsn, segment })
            }
            (_, _, _) => None,
        };
        Ok(Self {
            place: row.text("place")?.ok_or_else(|| missing("place"))?,
            site: row.text("site")?.map(|s| SiteId::new(s.as_str())),
            offsite: row.bool("offsite")?,
            at: row.time("at")?,
            more: row.bool("more")?.ok_or_else(|| missing("more"))?,
            log,
        })
    }

    /// Whether it survives the loss of `origin`; `None` where nobody says where it is.
    #[must_use]
    pub fn survives(&self, origin: &SiteId, home: &SiteId) -> Option<bool> {
        let by_site = self.site.as_ref().map(|s| s != origin);
        // What is said is said of the home site.
        if origin == home { self.offsite.or(by_site) } else { by_site.or(self.offsite.filter(|o| *o)) }
    }
}

impl<'a> Facts<'a> {
    /// Every place that keeps backups, as it was last seen, with the probe and the lane that saw it.
    #[must_use]
    pub fn restorable(&self, now: Now) -> Vec<(&'a ProbeDecl, &'a LaneDecl, Restorable, &'a Kept)> {
        let lanes = self.plan.probes.iter().flat_map(|p| p.lanes.iter().map(move |l| (p, l)));
        let mut all = Vec::new();
        for (probe, lane) in lanes.filter(|(_, l)| l.expects.contains(&BACKUP_REACH)) {
            let Some((rows, kept)) = self.rows(probe, &lane.subject, &BACKUP_REACH, now) else { continue };
            // What makes no sense brings nothing back.
            all.extend(rows.iter().filter_map(|r| Restorable::read(r).ok()).map(|place| (probe, lane, place, kept)));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Restorable {
        Restorable {
            place: "main repo1".into(),
            site: Some(SiteId::new("west")),
            offsite: None,
            at: DateTime::from_timestamp(1_000, 0),
            more: true,
            log: Some(LogEnd { system: Some("7".into()), timeline: 2, lsn: Lsn(0x300_0000), segment: Bytes(16 << 20) }),
        }
    }

    #[test]
    fn a_row_is_read_as_it_was_written() {
        let bare = Restorable { site: None, offsite: Some(true), at: None, log: None, ..place() };
        for one in [place(), bare] {
            assert_eq!(Restorable::read(&one.clone().row()), Ok(one));
        }
        let mut row = place().row();
        row.remove("more");
        assert!(Restorable::read(&row).is_err());
    }

    #[test]
    fn what_survives_is_elsewhere_or_said_to() {
        let (east, west) = (SiteId::new("east"), SiteId::new("west"));
        let of = |site: Option<&SiteId>, offsite, origin| {
            Restorable { site: site.cloned(), offsite, ..place() }.survives(origin, &east)
        };
        assert_eq!(of(Some(&west), None, &east), Some(true));
        assert_eq!(of(Some(&east), None, &east), Some(false));
        assert_eq!(of(Some(&east), Some(true), &east), Some(true));
        assert_eq!(of(Some(&west), Some(false), &east), Some(false));
        assert_eq!(of(None, None, &east), None);
        assert_eq!(of(None, Some(true), &east), Some(true));
        // The service runs in the west now: what is there goes with it.
        assert_eq!(of(Some(&west), Some(true), &west), Some(false));
        assert_eq!(of(Some(&east), Some(false), &west), Some(true));
        assert_eq!(of(None, Some(false), &west), None);
    }
}
