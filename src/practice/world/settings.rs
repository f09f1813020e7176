//! The settings of a practice server: those that a failover depends on, as `pg_settings` shows them.

use std::collections::BTreeMap;

/// The version, as `server_version_num`.
pub const VERSION: i64 = 170_006;
/// The version, as `server_version`.
pub const VERSION_TEXT: &str = "17.6 (Lifeboat practice)";

/// A setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// What it is set to, in its own unit.
    pub value: String,
    /// Its unit, where it has one.
    pub unit: Option<&'static str>,
    /// `bool`, `integer`, `string` or `enum`.
    pub kind: &'static str,
    /// Where the value comes from, as in `pg_settings.source`.
    pub source: &'static str,
}

/// Settings by name.
pub type Settings = BTreeMap<&'static str, Setting>;

/// The defaults that differ from nothing, and what the practice sets: name, value, unit, kind, source.
const USUAL: &[(&str, &str, Option<&str>, &str, &str)] = &[
    ("application_name", "", None, "string", "default"),
    ("archive_command", "practice-archive %p", None, "string", "configuration file"),
    ("archive_library", "", None, "string", "default"),
    ("archive_mode", "on", None, "enum", "configuration file"),
    ("archive_timeout", "0", Some("s"), "integer", "default"),
    ("client_encoding", "UTF8", None, "string", "default"),
    ("cluster_name", "", None, "string", "configuration file"),
    ("data_checksums", "on", None, "bool", "default"),
    ("default_transaction_read_only", "off", None, "bool", "default"),
    ("fsync", "on", None, "bool", "default"),
    ("full_page_writes", "on", None, "bool", "default"),
    ("hba_file", "/practice/pg_hba.conf", None, "string", "override"),
    ("hot_standby", "on", None, "bool", "default"),
    ("hot_standby_feedback", "on", None, "bool", "configuration file"),
    ("max_connections", "100", None, "integer", "configuration file"),
    ("max_locks_per_transaction", "64", None, "integer", "default"),
    ("max_prepared_transactions", "0", None, "integer", "default"),
    ("max_replication_slots", "10", None, "integer", "default"),
    ("max_slot_wal_keep_size", "16384", Some("MB"), "integer", "configuration file"),
    ("max_standby_archive_delay", "30000", Some("ms"), "integer", "default"),
    ("max_standby_streaming_delay", "30000", Some("ms"), "integer", "default"),
    ("max_wal_senders", "10", None, "integer", "default"),
    ("max_worker_processes", "8", None, "integer", "default"),
    ("port", "5432", None, "integer", "command line"),
    ("primary_conninfo", "", None, "string", "default"),
    ("primary_slot_name", "", None, "string", "default"),
    ("recovery_min_apply_delay", "0", Some("ms"), "integer", "default"),
    ("recovery_target_timeline", "latest", None, "string", "default"),
    ("restore_command", "practice-restore %f %p", None, "string", "configuration file"),
    ("server_encoding", "UTF8", None, "string", "override"),
    ("server_version", VERSION_TEXT, None, "string", "default"),
    ("server_version_num", "170006", None, "integer", "default"),
    ("shared_preload_libraries", "", None, "string", "default"),
    ("standard_conforming_strings", "on", None, "bool", "default"),
    ("sync_replication_slots", "off", None, "bool", "default"),
    ("synchronized_standby_slots", "", None, "string", "default"),
    ("synchronous_commit", "on", None, "enum", "default"),
    ("synchronous_standby_names", "", None, "string", "default"),
    ("TimeZone", "Etc/UTC", None, "string", "configuration file"),
    ("DateStyle", "ISO, MDY", None, "string", "configuration file"),
    ("track_commit_timestamp", "off", None, "bool", "default"),
    ("transaction_read_only", "off", None, "bool", "override"),
    ("wal_keep_size", "1024", Some("MB"), "integer", "configuration file"),
    ("wal_level", "replica", None, "enum", "default"),
    ("wal_log_hints", "on", None, "bool", "configuration file"),
    ("wal_receiver_status_interval", "10", Some("s"), "integer", "default"),
    ("wal_receiver_timeout", "60000", Some("ms"), "integer", "default"),
    ("wal_retrieve_retry_interval", "5000", Some("ms"), "integer", "default"),
    ("wal_segment_size", "16777216", Some("B"), "integer", "default"),
    ("wal_sender_timeout", "60000", Some("ms"), "integer", "default"),
];

/// The settings that every practice server begins with.
#[must_use]
pub fn usual() -> Settings {
    let one =
        |(name, value, unit, kind, source): &(&'static str, &str, Option<&'static str>, &'static str, &'static str)| {
            (*name, Setting { value: (*value).to_owned(), unit: *unit, kind, source })
        };
    USUAL.iter().map(one).collect()
}
