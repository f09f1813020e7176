//! How far each repository would bring the data back.

use std::collections::BTreeMap;

use crate::plan::{Bytes, WalSegment};
use crate::readiness::{Gap, LogEnd, Restorable, Row, Value};
use crate::systems::pgbackrest::options::PgbackrestOptions;

use super::{Backup, Repo, Stanza, segment, time, wal};

impl Stanza {
    fn newest_of(&self, repo: &Repo) -> Option<&Backup> {
        let of = self.backup.iter().filter(|b| b.database.repo == repo.key && repo.status.code == 0 && self.usable(b));
        of.max_by_key(|b| b.timestamp.stop)
    }

    /// How much restoring the newest usable backup of any repository writes; not applicable without one.
    pub(in super::super) fn size(&self) -> Value {
        let newest = self.repo.iter().filter_map(|r| self.newest_of(r)).max_by_key(|b| b.timestamp.stop);
        newest.map_or(Value::NotApplicable, |b| Value::Bytes(Bytes(b.info.size)))
    }

    /// The rows of [`BACKUP_REACH`](crate::readiness::signals::BACKUP_REACH): one for each repository, readable or not.
    ///
    /// # Errors
    /// `Malformed`: a name that is no segment, a time beyond all calendars.
    pub(in super::super) fn reaches(
        &self,
        options: &PgbackrestOptions,
        found: &BTreeMap<i64, wal::Found>,
    ) -> Result<Vec<Row>, Gap> {
        self.repo.iter().map(|r| self.reach(r, options, found.get(&r.key)).map(Restorable::row)).collect()
    }

    fn reach(&self, repo: &Repo, options: &PgbackrestOptions, found: Option<&wal::Found>) -> Result<Restorable, Gap> {
        let nothing = Restorable {
            place: format!("repo{} of stanza {}", repo.key, self.name).into(),
            site: options.subject(repo.key).site,
            offsite: options.repos.get(&repo.key.to_string()).and_then(|t| t.offsite),
            at: None,
            more: false,
            log: None,
        };
        let max = self.archive(repo.key).and_then(|a| a.max.as_deref());
        // Without the log of its end a backup cannot be made consistent.
        let (Some(backup), Some(found), Some(max)) = (self.newest_of(repo), found, max) else { return Ok(nothing) };
        let Some(needed) = backup.archive.stop.as_deref() else { return Ok(nothing) };
        let (max, needed, size) = (segment(max)?, segment(needed)?, self.segment_size(repo.key)?);
        let ended = time(backup.timestamp.stop)?;
        if max.timeline != needed.timeline || found.from.is_none() {
            // On another timeline than the backup's: which segments belong to it, only its history file says.
            return Ok(Restorable { at: Some(ended), more: true, ..nothing });
        }
        // The first position that is not there.
        let end = match found.missing {
            Some(first) => first,
            None => WalSegment::at(max.timeline, max.index(size).saturating_add(1), size),
        };
        if end.index(size) <= needed.index(size) {
            return Ok(nothing);
        }
        let log = LogEnd {
            system: self.current(repo.key).map(|d| d.system_id.to_string().into()),
            timeline: i64::from(max.timeline),
            lsn: end.start(size),
            segment: Bytes(size),
        };
        let stored = found.newest_at.filter(|_| found.missing.is_none());
        let at = stored.map_or(ended, |stored| stored.max(ended));
        let more = found.missing.is_some() && end.index(size) > needed.index(size).saturating_add(1);
        Ok(Restorable { at: Some(at), more, log: Some(log), ..nothing })
    }
}
