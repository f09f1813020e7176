//! What the views of healthy servers show.

use std::collections::BTreeMap;

use lifeboat::plan::{Bytes, Lsn, SignalId, Span};
use lifeboat::readiness::signals::{FLUSHED, INSTANCE, LAST_COMMIT, RECEIVED, REPLAYED, SYSTEM_ID, TIMELINE, WRITABLE};
use lifeboat::readiness::{Row, Value};
use lifeboat::systems::postgres::signals as pg;

use crate::world::{Answer, START, now};

fn row(columns: &[(&'static str, Value)]) -> Row {
    columns.iter().fold(Row::default(), |row, (name, value)| row.with(*name, value.clone()))
}

fn text(t: &str) -> Value {
    Value::text(t)
}

/// `pg_settings` of a healthy server.
fn settings() -> Vec<Row> {
    [
        ("max_connections", "100"),
        ("max_worker_processes", "8"),
        ("max_wal_senders", "10"),
        ("max_prepared_transactions", "0"),
        ("max_locks_per_transaction", "64"),
        ("wal_log_hints", "on"),
        ("data_checksums", "off"),
        ("full_page_writes", "on"),
        ("fsync", "on"),
        ("synchronous_standby_names", ""),
        ("synchronous_commit", "on"),
        ("max_standby_archive_delay", "30000"),
        ("max_standby_streaming_delay", "30000"),
        ("recovery_min_apply_delay", "0"),
        ("recovery_target_timeline", "latest"),
        ("wal_receiver_timeout", "60000"),
        ("wal_sender_timeout", "60000"),
        ("archive_mode", "off"),
        ("archive_command", "unset"),
        ("restore_command", "unset"),
        ("primary_conninfo", "set"),
        ("shared_preload_libraries", ""),
        ("default_transaction_read_only", "off"),
    ]
    .iter()
    .map(|(n, s)| row(&[("name", text(n)), ("setting", text(s))]))
    .collect()
}

pub fn common(site: &str) -> BTreeMap<SignalId, Answer> {
    let mut v: BTreeMap<SignalId, Answer> = BTreeMap::new();
    let mut put = |s: SignalId, value: Value| {
        v.insert(s, Ok(value));
    };
    put(SYSTEM_ID, text("7300000000000000001"));
    put(TIMELINE, Value::Int(1));
    put(INSTANCE, text(&format!("10.0.{}.1:5432 2026-11-01 00:00:00+00", site.as_bytes()[0])));
    put(pg::VERSION, Value::Int(150_018));
    put(pg::SKEW, Value::Number(0.002));
    put(pg::STARTED, Value::Time(now(-86_400.0).wall));
    put(pg::SETTINGS, Value::Rows(settings()));
    put(pg::COMMIT_OVERRIDES, Value::Rows(Vec::new()));
    put(pg::MAY_PROMOTE, Value::Bool(true));
    put(pg::COLLATIONS, Value::Rows(Vec::new()));
    put(pg::MISSING_EXTENSIONS, Value::Rows(Vec::new()));
    put(pg::UNLOGGED, Value::Int(0));
    put(pg::SUBSCRIPTIONS, Value::Rows(Vec::new()));
    put(pg::SESSIONS, Value::Int(12));
    put(pg::ACCEPTS, Value::Bool(true));
    put(pg::SYNC_WAITS, Value::Rows(vec![row(&[("count", Value::Int(0)), ("oldest", Value::Null)])]));
    v
}

/// What a healthy primary says.
pub fn primary(site: &str) -> BTreeMap<SignalId, Answer> {
    let mut v = common(site);
    let mut put = |s: SignalId, value: Value| {
        v.insert(s, Ok(value));
    };
    put(WRITABLE, Value::Bool(true));
    for none in [RECEIVED, REPLAYED, LAST_COMMIT, pg::RECEIVER, pg::PAUSE, pg::CONFLICTS] {
        put(none, Value::NotApplicable);
    }
    put(
        pg::SENDERS,
        Value::Rows(vec![row(&[
            ("application_name", text("dr1")),
            ("client_addr", text("192.0.2.7")),
            ("state", text("streaming")),
            ("sync_state", text("async")),
            ("sent_lsn", Value::Null),
            ("write_lsn", Value::Null),
            ("flush_lsn", Value::Null),
            ("replay_lsn", Value::Null),
            ("reply_age", Value::Span(Span::millis(300))),
            ("up_for", Value::Span(Span::secs(90_000))),
        ])]),
    );
    put(
        pg::SLOTS,
        Value::Rows(vec![row(&[
            ("slot_name", text("dr1")),
            ("slot_type", text("physical")),
            ("active", Value::Bool(true)),
            ("temporary", Value::Bool(false)),
            ("wal_status", text("reserved")),
            ("restart_lsn", Value::Lsn(Lsn(START))),
            ("safe_wal_size", Value::Null),
            ("retained", Value::Bytes(Bytes(0))),
            ("failover", Value::NotApplicable),
            ("synced", Value::NotApplicable),
            ("invalidation_reason", Value::NotApplicable),
        ])]),
    );
    let never = Value::Null;
    put(
        pg::ARCHIVER,
        Value::Rows(vec![row(&[
            ("mode", text("off")),
            ("archived_count", Value::Int(0)),
            ("last_archived_wal", never.clone()),
            ("last_archived_time", never.clone()),
            ("failed_count", Value::Int(0)),
            ("last_failed_wal", never.clone()),
            ("last_failed_time", never),
            ("ready", Value::Int(0)),
            ("current_wal", text("000000010000000000000005")),
        ])]),
    );
    v
}

/// What a healthy standby says.
pub fn standby(site: &str) -> BTreeMap<SignalId, Answer> {
    let mut v = primary(site);
    for own in [RECEIVED, REPLAYED, LAST_COMMIT] {
        v.remove(&own);
    }
    let mut put = |s: SignalId, value: Value| {
        v.insert(s, Ok(value));
    };
    put(WRITABLE, Value::Bool(false));
    put(FLUSHED, Value::NotApplicable);
    put(pg::SENDERS, Value::Rows(Vec::new()));
    put(pg::SLOTS, Value::Rows(Vec::new()));
    put(pg::PAUSE, text("not paused"));
    put(pg::CONFLICTS, Value::Int(0));
    put(
        pg::RECEIVER,
        Value::Rows(vec![row(&[
            ("status", text("streaming")),
            ("sender_host", text(if site == "east" { "db.west.example.com" } else { "db.east.example.com" })),
            ("sender_port", Value::Int(5432)),
            ("slot_name", text("dr1")),
            ("received_tli", Value::Int(1)),
            ("flushed_lsn", Value::Null),
            ("latest_end_lsn", Value::Null),
            ("message_age", Value::Span(Span::millis(200))),
        ])]),
    );
    v
}

/// A server of a logical replication: `east` publishes, any other subscribes.
pub fn logical(site: &str) -> BTreeMap<SignalId, Answer> {
    use lifeboat::readiness::signals::APPLIED;
    use pg::logical as l;
    let publishes = site == "east";
    let mut v = common(site);
    let mut put = |s: SignalId, value: Value| {
        v.insert(s, Ok(value));
    };
    let rows = |when: bool, row: Row| Value::Rows(if when { vec![row] } else { Vec::new() });
    put(SYSTEM_ID, text(if publishes { "7300000000000000001" } else { "7300000000000000002" }));
    put(WRITABLE, Value::Bool(publishes));
    if publishes {
        put(APPLIED, Value::NotApplicable);
    } else {
        put(FLUSHED, Value::NotApplicable);
    }
    let subscription = row(&[
        ("name", text("shop")),
        ("enabled", Value::Bool(true)),
        ("slot", text("shop")),
        ("running", Value::Bool(true)),
        ("latest_end_lsn", Value::Lsn(Lsn(START))),
        ("up_for", Value::Span(Span::secs(3_600))),
        ("errors", Value::Int(3)),
        ("rises", Value::Int(0)),
        ("disable_on_error", Value::Bool(false)),
    ]);
    put(l::SUBSCRIPTIONS, rows(!publishes, subscription));
    put(l::TAKEN, rows(!publishes, row(&[("subscription", text("shop")), ("publication", text("shop"))])));
    let orders = ("table", text("public.orders"));
    let state = row(&[("subscription", text("shop")), orders.clone(), ("state", text("r"))]);
    put(l::SUBSCRIBED, rows(!publishes, state));
    let all = [("name", text("shop"))]
        .into_iter()
        .chain(["inserts", "updates", "deletes", "truncates"].map(|k| (k, Value::Bool(true))));
    put(l::PUBLICATIONS, rows(publishes, row(&all.collect::<Vec<_>>())));
    let published =
        [("publication", text("shop")), orders.clone(), ("direct", Value::Bool(true)), ("partial", Value::Bool(false))];
    put(l::PUBLISHED, rows(publishes, row(&published)));
    let table =
        [orders, ("digest", text("0011223344556677")), ("leaf", Value::Bool(true)), ("identity", Value::Bool(true))];
    put(l::TABLES, rows(true, row(&table)));
    put(l::COLUMNS, Value::Rows(Vec::new()));
    let sequence = [
        ("sequence", text("public.orders_id_seq")),
        ("last", Value::Int(if publishes { 20 } else { 1_020 })),
        ("start", Value::Int(1)),
        ("step", Value::Int(1)),
        ("cycles", Value::Bool(false)),
        ("readable", Value::Bool(true)),
    ];
    put(l::SEQUENCES, rows(true, row(&sequence)));
    let slot = [
        ("slot", text("shop")),
        ("active", Value::Bool(true)),
        ("wal_status", text("reserved")),
        ("confirmed_flush_lsn", Value::Lsn(Lsn(START))),
        ("safe_wal_size", Value::Null),
        ("retained", Value::Bytes(Bytes(4_096))),
        ("invalid", Value::Bool(false)),
    ];
    put(l::SLOTS, rows(publishes, row(&slot)));
    put(l::LAG, if publishes { Value::Bytes(Bytes(0)) } else { Value::NotApplicable });
    let left = ["large_objects", "unlogged", "materialized"].map(|k| (k, Value::Int(0)));
    put(l::LEFTOVERS, rows(true, row(&left)));
    v
}
