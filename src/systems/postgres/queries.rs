//! What a look asks: flat SELECT statements in one simple-protocol message, chosen by version.
//!
//! The role of a server may change between two looks. Statements are the same for both roles: what errors on the other
//! role stands behind a CASE on `pg_is_in_recovery()`, which is volatile and so is asked before each use.

pub mod logical;

/// One statement of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ask {
    /// Role, version, clock, privileges, positions, instance: everything without which nothing else makes sense.
    Head,
    /// `pg_control_*`: system identifier and the timeline of a standby without a receiver.
    Control,
    /// `pg_stat_wal_receiver`.
    Receiver,
    /// `pg_stat_replication`, physical.
    Senders,
    /// `pg_replication_slots`.
    Slots,
    /// `pg_settings`.
    Settings,
    /// `pg_stat_activity`, counted.
    Activity,
    /// `pg_stat_archiver`.
    Archiver,
    /// `pg_stat_database_conflicts`, summed.
    Conflicts,
    /// `pg_db_role_setting`.
    Overrides,
    /// `pg_class`, counted.
    Unlogged,
    /// `pg_subscription`.
    Subscriptions,
    /// `pg_extension` against what this host has.
    Extensions,
    /// `pg_database`'s collation versions (15+).
    Collations,
    /// `pg_ls_archive_statusdir()`, which needs `pg_monitor`: last, because an error ends the message.
    ArchiveReady,
    /// One of those that logical replication adds.
    Logical(logical::Ask),
}

/// The statements of a look at a replicating server, in the order in which they are sent.
pub const REPLICATING: &[Ask] = &[
    Ask::Head,
    Ask::Control,
    Ask::Receiver,
    Ask::Senders,
    Ask::Slots,
    Ask::Settings,
    Ask::Activity,
    Ask::Archiver,
    Ask::Conflicts,
    Ask::Overrides,
    Ask::Unlogged,
    Ask::Subscriptions,
    Ask::Extensions,
    Ask::Collations,
    Ask::ArchiveReady,
];

/// Settings that a failover depends on.
pub const SETTINGS: &[&str] = &[
    "archive_command",
    "archive_library",
    "archive_mode",
    "archive_timeout",
    "cluster_name",
    "data_checksums",
    "default_transaction_read_only",
    "fsync",
    "full_page_writes",
    "hot_standby",
    "hot_standby_feedback",
    "max_connections",
    "max_locks_per_transaction",
    "max_prepared_transactions",
    "max_replication_slots",
    "max_slot_wal_keep_size",
    "max_standby_archive_delay",
    "max_standby_streaming_delay",
    "max_wal_senders",
    "max_worker_processes",
    "primary_conninfo",
    "primary_slot_name",
    "recovery_min_apply_delay",
    "recovery_target_timeline",
    "restore_command",
    "shared_preload_libraries",
    "sync_replication_slots",
    "synchronized_standby_slots",
    "synchronous_commit",
    "synchronous_standby_names",
    "track_commit_timestamp",
    "wal_keep_size",
    "wal_level",
    "wal_log_hints",
    "wal_receiver_status_interval",
    "wal_receiver_timeout",
    "wal_retrieve_retry_interval",
    "wal_segment_size",
    "wal_sender_timeout",
];

/// Settings that only members of `pg_read_all_settings` see.
pub const HIDDEN_SETTINGS: &[&str] = &["primary_conninfo", "restore_command", "archive_command", "archive_library"];

/// Stands between `synchronous_commit` and what set it for the session that looks alone: others get something else.
pub const BY: &str = " by ";

impl Ask {
    /// How many columns its rows have.
    #[must_use]
    pub const fn columns(self) -> usize {
        match self {
            Self::Head => 15,
            Self::Logical(ask) => ask.columns(),
            Self::Control => 3,
            Self::Activity => 4,
            Self::Receiver | Self::Archiver => 8,
            Self::Senders => 10,
            Self::Slots => 11,
            Self::Collations => 3,
            Self::Settings | Self::Overrides | Self::Extensions => 2,
            Self::Conflicts | Self::Unlogged | Self::Subscriptions | Self::ArchiveReady => 1,
        }
    }

    /// The statement for a server of this version (`server_version_num`); `None` where the version has no such thing.
    #[must_use]
    pub fn sql(self, version: i64) -> Option<String> {
        let text = match self {
            Self::Logical(ask) => return ask.sql(version),
            Self::Head => {
                let pause = if version >= 140_000 {
                    "pg_get_wal_replay_pause_state()"
                } else {
                    "CASE WHEN pg_is_wal_replay_paused() THEN 'paused' ELSE 'not paused' END"
                };
                return Some(format!(
                    "SELECT pg_is_in_recovery(), current_setting('server_version_num'), \
                     extract(epoch FROM clock_timestamp()), \
                     pg_has_role('pg_read_all_stats', 'usage'), pg_has_role('pg_read_all_settings', 'usage'), \
                     CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_flush_lsn() END, \
                     pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn(), \
                     extract(epoch FROM pg_last_xact_replay_timestamp()), \
                     CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_walfile_name(pg_current_wal_lsn()) END, \
                     host(inet_server_addr()), inet_server_port(), extract(epoch FROM pg_postmaster_start_time()), \
                     CASE WHEN pg_is_in_recovery() THEN {pause} END, \
                     has_function_privilege('pg_promote(boolean, integer)', 'execute')"
                ));
            }
            Self::Control => {
                "SELECT s.system_identifier, c.timeline_id, r.min_recovery_end_timeline \
                 FROM pg_control_system() s, pg_control_checkpoint() c, pg_control_recovery() r"
            }
            Self::Receiver => {
                "SELECT status, sender_host, sender_port, slot_name, received_tli, flushed_lsn, latest_end_lsn, \
                 extract(epoch FROM clock_timestamp() - last_msg_receipt_time) FROM pg_stat_wal_receiver"
            }
            Self::Senders => {
                "SELECT r.application_name, host(r.client_addr), r.state, r.sync_state, r.sent_lsn, r.write_lsn, \
                 r.flush_lsn, r.replay_lsn, extract(epoch FROM clock_timestamp() - r.reply_time), \
                 extract(epoch FROM clock_timestamp() - r.backend_start) FROM pg_stat_replication r \
                 LEFT JOIN pg_replication_slots l ON l.active_pid = r.pid AND l.slot_type = 'logical' \
                 WHERE l.slot_name IS NULL"
            }
            Self::Slots => {
                let newer =
                    if version >= 170_000 { "failover, synced, invalidation_reason" } else { "NULL, NULL, NULL" };
                return Some(format!(
                    "SELECT slot_name, slot_type, active, temporary, wal_status, restart_lsn, safe_wal_size, \
                     pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() \
                     THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) \
                     ELSE pg_current_wal_flush_lsn() END, restart_lsn), {newer} FROM pg_replication_slots"
                ));
            }
            Self::Settings => {
                let list = SETTINGS.join("', '");
                let hidden = HIDDEN_SETTINGS.join("', '");
                // What was set for our own role or session says nothing about the server: a role that looks may well be
                // read-only by itself.
                return Some(format!(
                    "SELECT name, \
                     CASE WHEN name = 'synchronous_commit' AND source IN ('user', 'database', 'database user', 'client') \
                     THEN setting || '{BY}' || source \
                     WHEN source IN ('user', 'database user', 'client', 'session') THEN NULL \
                     WHEN name NOT IN ('{hidden}') THEN setting \
                     WHEN setting IN ('', '(disabled)') THEN 'unset' ELSE 'set' END \
                     FROM pg_settings WHERE name IN ('{list}')"
                ));
            }
            Self::Activity => {
                "SELECT count(*) FILTER (WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()), \
                 count(*) FILTER (WHERE wait_event = 'SyncRep'), \
                 extract(epoch FROM clock_timestamp() - min(query_start) FILTER (WHERE wait_event = 'SyncRep')), \
                 extract(epoch FROM max(backend_start) FILTER (WHERE backend_type IN ('walwriter', 'startup'))) \
                 FROM pg_stat_activity"
            }
            Self::Archiver => {
                "SELECT archived_count, last_archived_wal, extract(epoch FROM last_archived_time), failed_count, \
                 last_failed_wal, extract(epoch FROM last_failed_time), current_setting('archive_mode'), \
                 CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_walfile_name(pg_current_wal_lsn()) END \
                 FROM pg_stat_archiver"
            }
            Self::Conflicts => {
                let newer = if version >= 160_000 { " + confl_active_logicalslot" } else { "" };
                return Some(format!(
                    "SELECT sum(confl_tablespace + confl_lock + confl_snapshot + confl_bufferpin + confl_deadlock{newer}) \
                     FROM pg_stat_database_conflicts"
                ));
            }
            Self::Overrides => {
                "SELECT concat_ws(' in ', r.rolname, d.datname), c FROM pg_db_role_setting s \
                 CROSS JOIN LATERAL unnest(s.setconfig) c LEFT JOIN pg_roles r ON r.oid = s.setrole \
                 LEFT JOIN pg_database d ON d.oid = s.setdatabase WHERE c LIKE 'synchronous_commit=%'"
            }
            Self::Unlogged => "SELECT count(*) FROM pg_class WHERE relpersistence = 'u' AND relkind IN ('r', 'm')",
            Self::Subscriptions => {
                "SELECT s.subname FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid \
                 WHERE s.subenabled AND d.datname = current_database()"
            }
            Self::Extensions => {
                // Reading every control file is the dearest part of a look (3.6 of 5.7 ms); the server does not where nothing
                // but plpgsql, which comes with it, is installed.
                "SELECT e.extname, e.extversion FROM pg_extension e LEFT JOIN pg_available_extension_versions v \
                 ON v.name = e.extname AND v.version = e.extversion WHERE v.name IS NULL AND e.extname <> 'plpgsql'"
            }
            Self::Collations if version < 150_000 => return None,
            Self::Collations => {
                "SELECT datname, datcollversion, pg_database_collation_actual_version(oid) FROM pg_database \
                 WHERE datallowconn AND datcollversion <> pg_database_collation_actual_version(oid)"
            }
            Self::ArchiveReady => "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'",
        };
        Some(text.to_owned())
    }
}

/// The statement of a `sql-check`: the type of its query's first column, then every column, of two rows at most.
#[must_use]
pub fn check(query: &str) -> String {
    let query = query.trim().trim_end_matches(';');
    format!("SELECT pg_typeof(q.lifeboat_value)::text, q.* FROM ({query}\n) AS q(lifeboat_value) LIMIT 2")
}

/// The statement that dates a restored database: its freshness query's one value, and that value's type.
#[must_use]
pub fn freshness(query: &str) -> String {
    let query = query.trim().trim_end_matches(';');
    // The line break ends a comment that the query may end in.
    format!("SELECT extract(epoch FROM q.v), pg_typeof(q.v)::text FROM (SELECT ({query}\n) AS v) q")
}
