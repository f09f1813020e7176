//! The statistics views: who is connected, what streams to whom, slots, settings, the archiver.

use super::{DATABASE, Rows, Table, inet, int2, int4, lsn, name, oid, sees, text_null};
use crate::plan::Lsn;
use crate::practice::postgres::error::Stop;
use crate::practice::postgres::exec::Exec;
use crate::practice::postgres::functions::HIDDEN;
use crate::practice::postgres::value::{Datum, Type};
use crate::practice::world::roles::REPLICATOR;
use crate::practice::world::server::{Receiver, Server};
use crate::practice::world::time::Moment;

use Type::{Bool, Inet, Int2, Int4, Int8, Interval, Name, Oid, Text, Time, Xid};

pub(super) const TABLES: &[Table] = &[
    Table::new("pg_stat_activity", ACTIVITY, activity),
    Table::new("pg_stat_replication", REPLICATION, replication),
    Table::new("pg_stat_wal_receiver", RECEIVER, receiver),
    Table::new("pg_replication_slots", SLOTS, slots),
    Table::new("pg_settings", SETTINGS, settings),
    Table::new("pg_stat_archiver", ARCHIVER, archiver),
    Table::new("pg_stat_database_conflicts", CONFLICTS, conflicts),
    Table::new("pg_stat_database", DATABASES, databases),
    Table::new("pg_stat_ssl", SSL, ssl),
    Table::new("pg_locks", LOCKS, locks),
];

const ACTIVITY: super::Columns = &[
    ("datid", Oid),
    ("datname", Name),
    ("pid", Int4),
    ("leader_pid", Int4),
    ("usesysid", Oid),
    ("usename", Name),
    ("application_name", Text),
    ("client_addr", Inet),
    ("client_hostname", Text),
    ("client_port", Int4),
    ("backend_start", Time),
    ("xact_start", Time),
    ("query_start", Time),
    ("state_change", Time),
    ("wait_event_type", Text),
    ("wait_event", Text),
    ("state", Text),
    ("backend_xid", Xid),
    ("backend_xmin", Xid),
    ("query_id", Int8),
    ("query", Text),
    ("backend_type", Text),
];

/// A process that no client is connected to: its number, what it is, what it waits for, and since when.
struct Own {
    pid: i64,
    kind: &'static str,
    waits: (&'static str, &'static str),
    since: Moment,
}

/// The processes that a server has by itself.
fn own(server: &Server) -> Vec<Own> {
    let at = |pid, kind, waits, since| Own { pid, kind, waits, since };
    let mut all = vec![
        at(1_011, "checkpointer", ("Activity", "CheckpointerMain"), server.started),
        at(1_012, "background writer", ("Activity", "BgwriterMain"), server.started),
    ];
    match &server.standby {
        None => {
            all.push(at(1_014, "walwriter", ("Activity", "WalWriterMain"), server.since));
            all.push(at(1_015, "autovacuum launcher", ("Activity", "AutovacuumMain"), server.since));
            all.push(at(1_016, "archiver", ("Activity", "ArchiverMain"), server.since));
            all.push(at(1_017, "logical replication launcher", ("Activity", "LogicalLauncherMain"), server.since));
        }
        Some(standby) => {
            let waits = if standby.paused { ("IPC", "RecoveryPause") } else { ("Activity", "RecoveryWalStream") };
            all.push(at(1_013, "startup", waits, server.since));
            if let Receiver::Streams { since, .. } = standby.receiver {
                all.push(at(1_018, "walreceiver", ("Activity", "WalReceiverMain"), since));
            }
        }
    }
    all
}

/// The process number of the sender to the n-th standby.
const fn sender_pid(n: usize) -> i64 {
    1_100 + n.cast_signed() as i64
}

fn activity(exec: &Exec<'_>) -> Result<Rows, Stop> {
    let (cluster, server) = exec.here()?;
    let role = exec.role()?;
    let null = Datum::null;
    let time = |at: Moment| exec.time(at);
    let mut rows = Vec::new();
    for session in server.sessions.iter() {
        let sees = sees(role) || session.role == role.name;
        let theirs = server.catalog.role(&session.role);
        let own = |shown: Datum, ty: Type| if sees { shown } else { null(ty) };
        let since = session.query.as_ref().map(|(_, at)| *at);
        let query = session.query.as_ref().map_or("", |(text, _)| text.as_str());
        let waits = !session.active;
        rows.push(vec![
            oid(if session.database == "postgres" { 5 } else { DATABASE }),
            name(&*session.database),
            int4(i64::from(session.pid)),
            null(Int4),
            theirs.map_or(null(Oid), |r| oid(r.oid)),
            name(&*session.role),
            Datum::text(&*session.application),
            own(inet(&session.from.ip().to_string()), Inet),
            text_null(),
            own(int4(i64::from(session.from.port())), Int4),
            own(time(session.since), Time),
            own(if session.active { since.map_or(null(Time), time) } else { null(Time) }, Time),
            own(since.map_or(null(Time), time), Time),
            own(since.map_or(null(Time), time), Time),
            own(if waits { Datum::text("Client") } else { text_null() }, Text),
            own(if waits { Datum::text("ClientRead") } else { text_null() }, Text),
            own(Datum::text(if session.active { "active" } else { "idle" }), Text),
            null(Xid),
            null(Xid),
            null(Int8),
            if sees { Datum::text(query) } else { Datum::text("<insufficient privilege>") },
            own(Datum::text("client backend"), Text),
        ]);
    }
    let sees = sees(role);
    let shown = |d: Datum, ty: Type| if sees { d } else { null(ty) };
    for own in own(server) {
        let mut row: Vec<Datum> = ACTIVITY.iter().map(|(_, ty)| null(*ty)).collect();
        for (column, value) in [
            (2, int4(own.pid)),
            (6, Datum::text("")),
            (10, shown(time(own.since), Time)),
            (14, shown(Datum::text(own.waits.0), Text)),
            (15, shown(Datum::text(own.waits.1), Text)),
            (20, Datum::text(if sees { "" } else { "<insufficient privilege>" })),
            (21, shown(Datum::text(own.kind), Text)),
        ] {
            if let Some(cell) = row.get_mut(column) {
                *cell = value;
            }
        }
        rows.push(row);
    }
    for (n, (standby, sender)) in cluster.senders(server.name).enumerate() {
        let mut row: Vec<Datum> = ACTIVITY.iter().map(|(_, ty)| null(*ty)).collect();
        let replicator = server.catalog.role(REPLICATOR).map_or(null(Oid), |r| oid(r.oid));
        for (column, value) in [
            (2, int4(sender_pid(n))),
            (4, replicator),
            (5, name(REPLICATOR)),
            (6, Datum::text(standby.cluster_name())),
            (7, shown(inet("127.0.0.1"), Inet)),
            (10, shown(time(sender.since), Time)),
            (14, shown(Datum::text("Activity"), Text)),
            (15, shown(Datum::text("WalSenderMain"), Text)),
            (16, shown(Datum::text("active"), Text)),
            (20, Datum::text(if sees { "START_REPLICATION" } else { "<insufficient privilege>" })),
            (21, shown(Datum::text("walsender"), Text)),
        ] {
            if let Some(cell) = row.get_mut(column) {
                *cell = value;
            }
        }
        rows.push(row);
    }
    Ok(rows)
}

const REPLICATION: super::Columns = &[
    ("pid", Int4),
    ("usesysid", Oid),
    ("usename", Name),
    ("application_name", Text),
    ("client_addr", Inet),
    ("client_hostname", Text),
    ("client_port", Int4),
    ("backend_start", Time),
    ("backend_xmin", Xid),
    ("state", Text),
    ("sent_lsn", Type::Lsn),
    ("write_lsn", Type::Lsn),
    ("flush_lsn", Type::Lsn),
    ("replay_lsn", Type::Lsn),
    ("write_lag", Interval),
    ("flush_lag", Interval),
    ("replay_lag", Interval),
    ("sync_priority", Int4),
    ("sync_state", Text),
    ("reply_time", Time),
];

fn replication(exec: &Exec<'_>) -> Result<Rows, Stop> {
    let (cluster, server) = exec.here()?;
    let sees = sees(exec.role()?);
    let mut rows = Vec::new();
    for (n, (standby, sender)) in cluster.senders(server.name).enumerate() {
        let replicator = server.catalog.role(REPLICATOR).map_or(Datum::null(Oid), |r| oid(r.oid));
        let mut row = vec![int4(sender_pid(n)), replicator, name(REPLICATOR), Datum::text(standby.cluster_name())];
        if sees {
            let port = 40_000 + i64::from(standby.port) % 20_000;
            row.extend([inet("127.0.0.1"), text_null(), int4(port), exec.time(sender.since), Datum::null(Xid)]);
            row.push(Datum::text("streaming"));
            row.extend([sender.sent, sender.flushed, sender.flushed, sender.replayed].map(|at| lsn(Some(at))));
            row.extend([Datum::null(Interval), Datum::null(Interval), Datum::null(Interval)]);
            row.extend([int4(0), Datum::text("async"), exec.time(sender.reply)]);
        } else {
            row.extend(REPLICATION.iter().skip(row.len()).map(|(_, ty)| Datum::null(*ty)));
        }
        rows.push(row);
    }
    Ok(rows)
}

const RECEIVER: super::Columns = &[
    ("pid", Int4),
    ("status", Text),
    ("receive_start_lsn", Type::Lsn),
    ("receive_start_tli", Int4),
    ("written_lsn", Type::Lsn),
    ("flushed_lsn", Type::Lsn),
    ("received_tli", Int4),
    ("last_msg_send_time", Time),
    ("last_msg_receipt_time", Time),
    ("latest_end_lsn", Type::Lsn),
    ("latest_end_time", Time),
    ("slot_name", Text),
    ("sender_host", Text),
    ("sender_port", Int4),
    ("conninfo", Text),
];

fn receiver(exec: &Exec<'_>) -> Result<Rows, Stop> {
    let (cluster, server) = exec.here()?;
    let Some(standby) = &server.standby else { return Ok(Vec::new()) };
    let Receiver::Streams { heard, .. } = standby.receiver else { return Ok(Vec::new()) };
    if !sees(exec.role()?) {
        let mut row = vec![int4(1_018)];
        row.extend(RECEIVER.iter().skip(1).map(|(_, ty)| Datum::null(*ty)));
        return Ok(vec![row]);
    }
    let upstream = cluster.server(standby.upstream);
    let end = standby.sender.map_or(standby.received, |s| Some(s.sent));
    let timeline = int4(i64::from(server.timeline()));
    let heard = exec.time(heard);
    Ok(vec![vec![
        int4(1_018),
        Datum::text("streaming"),
        lsn(standby
            .received
            .map(|l| Lsn(l.0 / crate::practice::world::wal::SEGMENT * crate::practice::world::wal::SEGMENT))),
        timeline.clone(),
        lsn(standby.received),
        lsn(standby.received),
        timeline,
        heard.clone(),
        heard.clone(),
        lsn(end),
        heard,
        Datum::text(server.cluster_name()),
        Datum::text("127.0.0.1"),
        upstream.map_or(Datum::null(Int4), |u| int4(i64::from(u.port))),
        Datum::text(format!("user={REPLICATOR} password=******** application_name={}", server.cluster_name())),
    ]])
}

const SLOTS: super::Columns = &[
    ("slot_name", Name),
    ("plugin", Name),
    ("slot_type", Text),
    ("datoid", Oid),
    ("database", Name),
    ("temporary", Bool),
    ("active", Bool),
    ("active_pid", Int4),
    ("xmin", Xid),
    ("catalog_xmin", Xid),
    ("restart_lsn", Type::Lsn),
    ("confirmed_flush_lsn", Type::Lsn),
    ("wal_status", Text),
    ("safe_wal_size", Int8),
    ("two_phase", Bool),
    ("inactive_since", Time),
    ("conflicting", Bool),
    ("invalidation_reason", Text),
    ("failover", Bool),
    ("synced", Bool),
];

/// `max_slot_wal_keep_size` and `max_wal_size`, in bytes.
const KEEP: u64 = 16 << 30;
const USUAL: u64 = 1 << 30;

fn slots(exec: &Exec<'_>) -> Result<Rows, Stop> {
    let (cluster, server) = exec.here()?;
    let mut rows = Vec::new();
    for slot in &server.slots {
        let user = cluster.senders(server.name).enumerate().find(|(_, (s, _))| s.cluster_name() == slot.name);
        let retained = slot.restart.map(|at| server.position().ahead_of(at).0);
        let status = match retained {
            None => text_null(),
            Some(n) if n > KEEP => Datum::text("unreserved"),
            Some(n) if n > USUAL => Datum::text("extended"),
            Some(_) => Datum::text("reserved"),
        };
        let safe =
            retained.map_or(Datum::null(Int8), |n| Datum::int(i64::try_from(KEEP.saturating_sub(n)).unwrap_or(0)));
        rows.push(vec![
            name(&*slot.name),
            Datum::null(Name),
            Datum::text("physical"),
            Datum::null(Oid),
            Datum::null(Name),
            Datum::bool(false),
            Datum::bool(user.is_some()),
            user.map_or(Datum::null(Int4), |(n, _)| int4(sender_pid(n))),
            Datum::null(Xid),
            Datum::null(Xid),
            lsn(slot.restart),
            lsn(None),
            status,
            safe,
            Datum::bool(false),
            Datum::null(Time),
            Datum::null(Bool),
            text_null(),
            Datum::bool(false),
            Datum::bool(false),
        ]);
    }
    Ok(rows)
}

const SETTINGS: super::Columns = &[
    ("name", Text),
    ("setting", Text),
    ("unit", Text),
    ("category", Text),
    ("context", Text),
    ("vartype", Text),
    ("source", Text),
    ("boot_val", Text),
    ("reset_val", Text),
    ("pending_restart", Bool),
];

fn settings(exec: &Exec<'_>) -> Result<Rows, Stop> {
    let (_, server) = exec.here()?;
    let all = exec.role()?.has("pg_read_all_settings");
    let mut rows = Vec::new();
    for (setting, own) in &server.settings {
        if HIDDEN.contains(setting) && !all {
            continue;
        }
        let mine = exec.own.get(*setting);
        let value = exec.setting(setting).unwrap_or_default();
        rows.push(vec![
            Datum::text(*setting),
            Datum::text(value),
            own.unit.map_or(text_null(), Datum::text),
            Datum::text("Practice"),
            Datum::text("sighup"),
            Datum::text(own.kind),
            Datum::text(if mine.is_some() { "client" } else { own.source }),
            Datum::text(&*own.value),
            Datum::text(&*own.value),
            Datum::bool(false),
        ]);
    }
    Ok(rows)
}

const ARCHIVER: super::Columns = &[
    ("archived_count", Int8),
    ("last_archived_wal", Text),
    ("last_archived_time", Time),
    ("failed_count", Int8),
    ("last_failed_wal", Text),
    ("last_failed_time", Time),
    ("stats_reset", Time),
];

fn archiver(exec: &Exec<'_>) -> Result<Rows, Stop> {
    let (_, server) = exec.here()?;
    let archiver = &server.archiver;
    let count = |n: u64| Datum::int(i64::try_from(n).unwrap_or(i64::MAX));
    let pair = |of: &Option<(String, Moment)>| match of {
        Some((file, at)) => [Datum::text(&**file), exec.time(*at)],
        None => [text_null(), Datum::null(Time)],
    };
    let [last, last_at] = pair(&archiver.last);
    let [failed, failed_at] = pair(&archiver.last_failed);
    let reset = exec.time(server.started);
    Ok(vec![vec![count(archiver.archived), last, last_at, count(archiver.failed), failed, failed_at, reset]])
}

const CONFLICTS: super::Columns = &[
    ("datid", Oid),
    ("datname", Name),
    ("confl_tablespace", Int8),
    ("confl_lock", Int8),
    ("confl_snapshot", Int8),
    ("confl_bufferpin", Int8),
    ("confl_deadlock", Int8),
    ("confl_active_logicalslot", Int8),
];

fn conflicts(exec: &Exec<'_>) -> Result<Rows, Stop> {
    let (cluster, _) = exec.here()?;
    let mut row = vec![oid(DATABASE), name(cluster.database)];
    row.extend(std::iter::repeat_n(Datum::int(0), CONFLICTS.len() - row.len()));
    Ok(vec![row])
}

const DATABASES: super::Columns = &[
    ("datid", Oid),
    ("datname", Name),
    ("numbackends", Int4),
    ("xact_commit", Int8),
    ("conflicts", Int8),
    ("deadlocks", Int8),
];

fn databases(exec: &Exec<'_>) -> Result<Rows, Stop> {
    let (cluster, server) = exec.here()?;
    let sessions = server.sessions.iter().filter(|s| s.database == cluster.database).count();
    let orders = server.catalog.orders.last().map_or(0, |o| o.id);
    let sessions = i64::try_from(sessions).unwrap_or(0);
    Ok(vec![vec![
        oid(DATABASE),
        name(cluster.database),
        int4(sessions),
        Datum::int(orders),
        Datum::int(0),
        Datum::int(0),
    ]])
}

const SSL: super::Columns = &[
    ("pid", Int4),
    ("ssl", Bool),
    ("version", Text),
    ("cipher", Text),
    ("bits", Int4),
    ("client_dn", Text),
    ("client_serial", Type::Numeric),
    ("issuer_dn", Text),
];

fn ssl(exec: &Exec<'_>) -> Result<Rows, Stop> {
    let (_, server) = exec.here()?;
    let row = |pid: i32| {
        let mut row = vec![int4(i64::from(pid)), Datum::bool(false)];
        row.extend(SSL.iter().skip(2).map(|(_, ty)| Datum::null(*ty)));
        row
    };
    Ok(server.sessions.iter().map(|s| row(s.pid)).collect())
}

const LOCKS: super::Columns = &[
    ("locktype", Text),
    ("database", Oid),
    ("relation", Oid),
    ("virtualxid", Text),
    ("transactionid", Xid),
    ("classid", Oid),
    ("objid", Oid),
    ("objsubid", Int2),
    ("pid", Int4),
    ("mode", Text),
    ("granted", Bool),
];

fn locks(exec: &Exec<'_>) -> Result<Rows, Stop> {
    let (_, server) = exec.here()?;
    let row = |(key, pid): (i64, i32)| {
        let (high, low) = (key.cast_unsigned() >> 32, key.cast_unsigned() & 0xFFFF_FFFF);
        let half = |n: u64| oid(i64::try_from(n).unwrap_or(0));
        vec![
            Datum::text("advisory"),
            oid(DATABASE),
            Datum::null(Oid),
            text_null(),
            Datum::null(Xid),
            half(high),
            half(low),
            int2(1),
            int4(i64::from(pid)),
            Datum::text("ExclusiveLock"),
            Datum::bool(true),
        ]
    };
    Ok(server.sessions.locks().map(row).collect())
}
