//! What a look at pgBackRest reads, by repository.

use crate::plan::SignalId;
use crate::readiness::signals::{BACKUP_REACH, BACKUP_SIZE, Signal};

/// One row: `code` int, `message` text (the stanza as a whole), `running` yes/no (a backup holds the lock).
pub const STANZA: SignalId = SignalId::new("pgbackrest.stanza");
/// One row per repository: `repo` int, `cipher` text, `code` int, `message` text, `database` int or null (the newest
/// cluster that it knows), `system_id` text or null, `backups` int (all that it lists).
pub const REPOS: SignalId = SignalId::new("pgbackrest.repos");
/// The newest backups of each repository: `repo` int, `database` int, `label` text, `type` text (`full`, `diff`, `incr`),
/// `broken` text or null (what of its chain is missing or has errors), `error` yes/no or null (page checksums; null where
/// they were not looked at), `start` and `stop` time, `wal_start` and `wal_stop` text or null, `lsn_start` lsn or null,
/// `size` bytes, `stored` bytes.
pub const BACKUPS: SignalId = SignalId::new("pgbackrest.backups");
/// The archived log of each repository's newest cluster: `repo` int, `min` and `max` text or null, `newest_at` time or
/// null (when `max` was stored), `from` text or null (since when the log was checked for gaps), `missing` text or null (the
/// first segment that is not there), `gaps` int.
pub const ARCHIVE: SignalId = SignalId::new("pgbackrest.archive");
/// How long ago the newest usable backup of any repository ended, when it was looked at. Not applicable without one.
pub const AGE: SignalId = SignalId::new("pgbackrest.age");

/// Every signal, with unit and meaning.
pub const SIGNALS: &[Signal] = &[
    Signal::new(STANZA, "rows", "what pgBackRest says of a stanza"),
    Signal::new(REPOS, "rows", "the repositories of a stanza"),
    Signal::new(BACKUPS, "rows", "the newest backups of each repository"),
    Signal::new(ARCHIVE, "rows", "the archived log of each repository"),
    Signal::new(BACKUP_REACH, "rows", "how far each repository would bring the data back"),
    Signal::charted(BACKUP_SIZE, "bytes", "how much restoring the newest usable backup writes"),
    Signal::charted(AGE, "s", "how long ago the newest usable backup ended"),
];
