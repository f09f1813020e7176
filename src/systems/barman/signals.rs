//! What a look at Barman reads of one server.

use crate::plan::SignalId;
use crate::readiness::signals::{BACKUP_REACH, BACKUP_SIZE, Signal};

/// Its newest backups, newest first: `id` text, `status` text, `end` time or null, `size` bytes or null.
pub const BACKUPS: SignalId = SignalId::new("barman.backups");
/// How many of its backups are complete (`DONE`).
pub const COMPLETE: SignalId = SignalId::new("barman.complete");
/// What `check` says, one row each: `check` text, `ok` yes/no, `hint` text.
pub const CHECKS: SignalId = SignalId::new("barman.checks");
/// One row: `active`, `disabled`, `passive` yes/no.
pub const STATUS: SignalId = SignalId::new("barman.status");
/// One row about the newest complete backup: `id` text, `begin_wal`, `end_wal` text, `begin_lsn` lsn. Not applicable
/// without one.
pub const NEWEST: SignalId = SignalId::new("barman.newest");
/// The newest segment of the log that the newest complete backup can be rolled forward to. Not applicable without one.
pub const WAL: SignalId = SignalId::new("barman.wal");
/// How long ago the newest complete backup ended, when it was looked at. Not applicable without one.
pub const AGE: SignalId = SignalId::new("barman.age");

/// Every signal, with unit and meaning.
pub const SIGNALS: &[Signal] = &[
    Signal::new(BACKUPS, "rows", "the newest backups of a server"),
    Signal::new(COMPLETE, "count", "how many backups of a server are complete"),
    Signal::new(CHECKS, "rows", "what Barman's own check says"),
    Signal::new(STATUS, "rows", "whether Barman works for a server"),
    Signal::new(NEWEST, "rows", "the log that the newest complete backup needs"),
    Signal::new(WAL, "text", "the newest segment of the log that is kept"),
    Signal::new(BACKUP_REACH, "rows", "how far the newest complete backup and its log would bring the data back"),
    Signal::charted(BACKUP_SIZE, "bytes", "how much restoring the newest complete backup writes"),
    Signal::charted(AGE, "s", "how long ago the newest complete backup ended"),
];
