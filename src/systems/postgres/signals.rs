//! What a look at a PostgreSQL server reads. Every signal is expected at every look of its lane; what does not apply to
//! the server's role or version is read as `NotApplicable`, what the role may not see as the gap `NoPrivilege`.

pub mod check;
pub mod logical;

use crate::plan::SignalId;
use crate::readiness::signals::{
    EXPOSURE, FLUSHED, FRESH_AS_OF, INSTANCE, LAST_COMMIT, RECEIVED, REPLAYED, SYSTEM_ID, Signal, TIMELINE, WRITABLE,
};

/// `server_version_num`, such as 150018.
pub const VERSION: SignalId = SignalId::new("postgres.version");
/// How far the server's clock is ahead of ours, in seconds; negative when it is behind. From `clock_timestamp()` against
/// the middle of the look; as exact as half a round trip.
pub const SKEW: SignalId = SignalId::new("postgres.skew");
/// Since when the server has been what it is: on a primary the start of its WAL writer, which begins when recovery is over
/// (after a restart, after the crash of a backend, and with a promotion); on a standby the start of its replay. Dated by the
/// server's own clock; null where it shows neither process.
pub const STARTED: SignalId = SignalId::new("postgres.started");
/// `pg_stat_replication`, one row per *physical* sender: `application_name` text, `client_addr` text or null, `state`
/// text, `sync_state` text, `sent_lsn write_lsn flush_lsn replay_lsn` lsn or null, `reply_age` span or null, `up_for` span.
/// On standbys too (cascading).
pub const SENDERS: SignalId = SignalId::new("postgres.senders");
/// `pg_replication_slots`: `slot_name` text, `slot_type` text, `active` bool, `temporary` bool, `wal_status` text or null,
/// `restart_lsn` lsn or null, `safe_wal_size` bytes or null, `retained` bytes or null, `failover` `synced` bool or not
/// applicable (17+), `invalidation_reason` text, null or not applicable (17+).
pub const SLOTS: SignalId = SignalId::new("postgres.slots");
/// `pg_stat_wal_receiver`, no row or one: `status` text, `sender_host` text or null, `sender_port` int or null,
/// `slot_name` text or null, `received_tli` int or null, `flushed_lsn` lsn or null, `latest_end_lsn` lsn or null,
/// `message_age` span or null (`now() - last_msg_receipt_time` by the server's own clock). Not applicable on a primary.
pub const RECEIVER: SignalId = SignalId::new("postgres.receiver");
/// `pg_get_wal_replay_pause_state()` (14+): `not paused`, `pause requested`, `paused`; before 14 from
/// `pg_is_wal_replay_paused()`. Not applicable on a primary.
pub const PAUSE: SignalId = SignalId::new("postgres.pause");
/// Settings that matter, one row each: `name` text, `setting` text (in the setting's base unit as `pg_settings` gives it).
/// `archive_command`, `restore_command`, `primary_conninfo` and `archive_library` only as `set` or `unset`: they may hold secrets.
pub const SETTINGS: SignalId = SignalId::new("postgres.settings");
/// Where `synchronous_commit` is set for a role or a database (`pg_db_role_setting`): `scope` text, `setting` text.
pub const COMMIT_OVERRIDES: SignalId = SignalId::new("postgres.commit_overrides");
/// Whether the role that looks may call `pg_promote` (`has_function_privilege`). The acting role may differ.
pub const MAY_PROMOTE: SignalId = SignalId::new("postgres.may_promote");
/// Sessions that wait for a synchronous standby (`wait_event = 'SyncRep'`): one row, `count` int, `oldest` span or null.
pub const SYNC_WAITS: SignalId = SignalId::new("postgres.sync_waits");
/// `pg_stat_archiver`, one row: `mode` text (`archive_mode`), `archived_count` int, `last_archived_wal` text or null,
/// `last_archived_time` time or null, `failed_count` int, `last_failed_wal` text or null, `last_failed_time` time or null,
/// `ready` int or null (files `.ready` by `pg_ls_archive_statusdir()`; null where not allowed), `current_wal` text or null.
pub const ARCHIVER: SignalId = SignalId::new("postgres.archiver");
/// Databases whose collation version differs from the operating system's (15+): `database` text, `recorded` text, `actual` text.
pub const COLLATIONS: SignalId = SignalId::new("postgres.collations");
/// Installed extensions whose files this host lacks (`pg_extension` without a row in `pg_available_extension_versions`):
/// `name` text, `version` text.
pub const MISSING_EXTENSIONS: SignalId = SignalId::new("postgres.missing_extensions");
/// Unlogged tables in the connected database: empty after a promotion.
pub const UNLOGGED: SignalId = SignalId::new("postgres.unlogged");
/// Enabled subscriptions of the connected database: they start when a standby is promoted. `name` text.
pub const SUBSCRIPTIONS: SignalId = SignalId::new("postgres.subscriptions");
/// Queries cancelled by recovery conflicts since the statistics were reset (`pg_stat_database_conflicts`). Not applicable on a primary.
pub const CONFLICTS: SignalId = SignalId::new("postgres.conflicts");
/// Client sessions (`pg_stat_activity`, `backend_type = 'client backend'`), our own excluded.
pub const SESSIONS: SignalId = SignalId::new("postgres.sessions");

/// Whether the server lets new sessions in: another connection is begun beside the one that is kept. A frozen postmaster
/// keeps its old sessions alive, and nobody who reconnects gets in.
pub const ACCEPTS: SignalId = SignalId::new("postgres.accepts");

/// A list that begins with every signal of a replicating server.
macro_rules! beginning_with_replicating {
    ($($more:expr),*) => { &[
    Signal::new(WRITABLE, "yes/no", "the server is not in recovery, so it takes writes"),
    Signal::new(FLUSHED, "lsn", "the primary's flush position"),
    Signal::new(RECEIVED, "lsn", "the greater of the standby's receive and replay positions"),
    Signal::new(REPLAYED, "lsn", "the standby's replay position"),
    Signal::new(SYSTEM_ID, "text", "the cluster's system identifier"),
    Signal::new(TIMELINE, "count", "the timeline that the server is on"),
    Signal::new(INSTANCE, "text", "which running server answered: address, port and start time"),
    Signal::new(LAST_COMMIT, "time", "commit time of the last replayed transaction"),
    Signal::new(VERSION, "count", "server_version_num"),
    Signal::new(SKEW, "s", "how far the server's clock is ahead of ours"),
    Signal::new(STARTED, "time", "since when the server takes writes, or replays"),
    Signal::new(SENDERS, "rows", "pg_stat_replication, physical"),
    Signal::new(SLOTS, "rows", "pg_replication_slots"),
    Signal::new(RECEIVER, "rows", "pg_stat_wal_receiver"),
    Signal::new(PAUSE, "text", "whether replay is paused"),
    Signal::new(SETTINGS, "rows", "settings that matter for a failover"),
    Signal::new(COMMIT_OVERRIDES, "rows", "where synchronous_commit is set for a role or a database"),
    Signal::new(MAY_PROMOTE, "yes/no", "the role that looks may call pg_promote"),
    Signal::new(SYNC_WAITS, "rows", "sessions that wait for a synchronous standby"),
    Signal::new(ARCHIVER, "rows", "pg_stat_archiver"),
    Signal::new(COLLATIONS, "rows", "databases whose collation version differs from the system's"),
    Signal::new(MISSING_EXTENSIONS, "rows", "installed extensions whose files this host lacks"),
    Signal::new(UNLOGGED, "count", "unlogged tables"),
    Signal::new(SUBSCRIPTIONS, "rows", "enabled subscriptions"),
    Signal::new(CONFLICTS, "count", "queries cancelled by recovery conflicts"),
    Signal::new(SESSIONS, "count", "client sessions"),
    Signal::new(ACCEPTS, "yes/no", "the server lets new sessions in"),
    Signal::charted(EXPOSURE, "s", "upper bound of what would be lost"),
        $($more),*
    ] };
}

/// Every signal of a replicating server, with unit and meaning.
pub const SIGNALS: &[Signal] = beginning_with_replicating!();

/// Those, and what other modes and kinds add to what is drawn.
pub const ALL: &[Signal] = beginning_with_replicating!(
    Signal::charted(logical::LAG, "bytes", "log that the subscriber has not confirmed"),
    Signal::charted(check::NUMBER, "count", "what the query gave, as a number")
);

/// The signals of a database that is restored from dumps.
pub const RESTORED: &[Signal] = &[
    Signal::new(FRESH_AS_OF, "time", "the newest change that the database holds, by its own content"),
    Signal::new(VERSION, "count", "server_version_num"),
    Signal::new(SKEW, "s", "how far the server's clock is ahead of ours"),
    Signal::new(ACCEPTS, "yes/no", "the server lets new sessions in"),
];
