//! Signals that rules spanning systems read. A system that can observe one of these emits it under this name.

use serde::Serialize;

use crate::plan::SignalId;

/// A measured quantity: its name, unit and meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Signal {
    /// Its name.
    pub id: SignalId,
    /// Its unit: `s`, `bytes`, `lsn`, `yes/no`, `text`, `rows`, `time`, `count`.
    pub unit: &'static str,
    /// What it is.
    pub what: &'static str,
    /// Whether its history is kept and drawn.
    pub charted: bool,
}

impl Signal {
    /// A signal whose history is not kept.
    #[must_use]
    pub const fn new(id: SignalId, unit: &'static str, what: &'static str) -> Self {
        Self { id, unit, what, charted: false }
    }

    /// A signal whose history is kept and drawn.
    #[must_use]
    pub const fn charted(id: SignalId, unit: &'static str, what: &'static str) -> Self {
        Self { id, unit, what, charted: true }
    }
}

/// Yes where the site's database is not in recovery, so that it takes writes (subject: site).
pub const WRITABLE: SignalId = SignalId::new("replication.writable");
/// The LSN up to which the active primary has flushed (`pg_current_wal_flush_lsn()`; subject: site; not applicable on a
/// standby).
pub const FLUSHED: SignalId = SignalId::new("replication.flushed");
/// The LSN up to which a standby has received or replayed, whichever is greater (not applicable on a primary).
pub const RECEIVED: SignalId = SignalId::new("replication.received");
/// The LSN up to which a standby has replayed (not applicable on a primary).
pub const REPLAYED: SignalId = SignalId::new("replication.replayed");
/// The position in the *publisher's* log up to which a logical subscriber has applied, where it says (subject: site; `NULL`
/// where it never said, not applicable where it subscribes to nothing). Another cluster's position: its own is no measure.
pub const APPLIED: SignalId = SignalId::new("replication.applied");
/// The cluster's system identifier, as text.
pub const SYSTEM_ID: SignalId = SignalId::new("replication.system_id");
/// The timeline that the server is on.
pub const TIMELINE: SignalId = SignalId::new("replication.timeline");
/// The newest change that a restored database holds, by its own data (subject: site).
pub const FRESH_AS_OF: SignalId = SignalId::new("replication.fresh_as_of");
/// The site that a resolver's answer names, as text; `NULL` where the answer is none of the plan's, `mixed` where it
/// names several (subject: resolver).
pub const TRAFFIC: SignalId = SignalId::new("dns.site");
/// The largest time to live in an answer's chain, as the authoritative servers give it.
pub const TTL: SignalId = SignalId::new("dns.ttl");
/// The upper bound of what would be lost now, in seconds (derived, subject: site).
pub const EXPOSURE: SignalId = SignalId::new("replication.exposure");
/// Which running server answered: address, port and start time together, as text. Equal for two addresses of one server.
pub const INSTANCE: SignalId = SignalId::new("replication.instance");
/// When the newest replayed transaction was committed, by the primary's clock (`pg_last_xact_replay_timestamp()`).
/// Used in one place only: no history of our own, and the primary gone.
pub const LAST_COMMIT: SignalId = SignalId::new("replication.last_commit");
/// How long ago the newest backup was begun, in seconds (subject: what holds it; not applicable where there is none).
pub const BACKUP_AGE: SignalId = SignalId::new("backup.age");
/// How far what is kept would bring the data back: rows of [`Restorable`](super::Restorable), one for each place. `place` text,
/// `site` text or null, `offsite` yes/no or null, `at` time or null, `more` yes/no, `system` text or null, `timeline` int or null,
/// `lsn` lsn or null, `segment` bytes or null.
pub const BACKUP_REACH: SignalId = SignalId::new("backup.reach");
/// The size of the newest backup, of a chain that of its full one: what is read to restore it.
pub const BACKUP_SIZE: SignalId = SignalId::new("backup.size");
/// How fast a backup was last restored, in bytes of it a second (not applicable where nobody measured that).
pub const RESTORE_RATE: SignalId = SignalId::new("backup.restore_rate");
