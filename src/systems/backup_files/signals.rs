//! What a look at a directory of backups reads. One lane for each probe, about the site where the files are.

use crate::plan::SignalId;
use crate::readiness::signals::{BACKUP_AGE, BACKUP_REACH, BACKUP_SIZE, RESTORE_RATE, Signal};

/// The newest backup that is whole, as far as its name and its neighbours tell; no row where there is none. `name` text,
/// `kind` text (`backup`, `full`, `differential`, `incremental`), `at` time (the start of the backup, as well as it is
/// known), `by` text (`name`, `day`, `mtime`: what told `at`), `modified` time, `size` bytes, `previous` text or null (the
/// one of its kind before it), `previous_size` bytes or null, `previous_at` time or null.
pub const NEWEST: SignalId = SignalId::new("backup.files.newest");
/// One row about the directory: `entries` int, `matching` int, `kept` int (backups that are whole; of a chain, the full
/// ones), `oldest` time or null, `writing` text or null (the newest that is still being written), `future` text or null (one that
/// is dated in the future), `orphan` text or null (the newest part of a chain without its full backup), `orphans` int,
/// `strange` text or null (one that matches and is neither a file nor a directory that can be seen).
pub const LISTING: SignalId = SignalId::new("backup.files.listing");
/// What the newest backup's first and last bytes say; no row where there is none. `name` text, `format` text, `promised` text
/// or null (what its extension promises, where that is something else), `whole` bool or null (null: its ends do not tell),
/// `detail` text (why it is not whole, or what it is).
pub const FORM: SignalId = SignalId::new("backup.files.form");
/// How far reading the newest backup in full has come; no row where there is none. `name` text, `state` text (`waiting`,
/// `running`, `good`, `bad`, `cannot`, `bad-before`: an earlier process could not read it, and it is read once more), `detail` text, `finished` time or null, `took` span or null, `sound` text or null (the
/// newest backup that was read in full and is good), `sound_at` time or null (its start). Not applicable where `decode` does not
/// ask for it.
pub const DECODE: SignalId = SignalId::new("backup.files.decode");
/// What the marker of the last restore says; no row where there is no marker. `at` time, `by` text (`marker`, `mtime`),
/// `backup` text or null, `took` span or null, `bytes` bytes or null. Not applicable where no marker is configured.
pub const PROOF: SignalId = SignalId::new("backup.files.proof");

/// Every signal, with unit and meaning.
pub const SIGNALS: &[Signal] = &[
    Signal::charted(BACKUP_AGE, "s", "how long ago the newest backup was begun"),
    Signal::charted(BACKUP_SIZE, "bytes", "the size of the newest backup"),
    Signal::new(BACKUP_REACH, "rows", "up to which moment restoring the newest backup brings the data back"),
    Signal::new(RESTORE_RATE, "bytes/s", "how fast a backup was last restored"),
    Signal::new(NEWEST, "rows", "the newest backup"),
    Signal::new(LISTING, "rows", "the directory of backups"),
    Signal::new(FORM, "rows", "what the ends of the newest backup say"),
    Signal::new(DECODE, "rows", "how far reading the newest backup in full has come"),
    Signal::new(PROOF, "rows", "the last restore that was proven"),
];
