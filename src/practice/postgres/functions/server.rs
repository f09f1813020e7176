//! Functions that say something of the server, the session or the time (PostgreSQL's documentation, "System Information
//! Functions", "Recovery Information Functions").

use super::typed;
use crate::plan::Lsn as Position;
use crate::practice::postgres::error::{SqlError, Stop};
use crate::practice::postgres::exec::Exec;
use crate::practice::postgres::value::{Datum, Type, V};
use crate::practice::world::server::{Server, Standby};
use crate::practice::world::settings::VERSION_TEXT;
use crate::practice::world::wal;

pub(super) const NAMES: &[&str] = &[
    "age",
    "clock_timestamp",
    "current_catalog",
    "current_database",
    "current_role",
    "current_schema",
    "current_setting",
    "current_timestamp",
    "current_user",
    "inet_client_addr",
    "inet_client_port",
    "inet_server_addr",
    "inet_server_port",
    "localtimestamp",
    "now",
    "obj_description",
    "pg_backend_pid",
    "pg_conf_load_time",
    "pg_current_wal_flush_lsn",
    "pg_current_wal_insert_lsn",
    "pg_current_wal_lsn",
    "pg_database_collation_actual_version",
    "pg_database_size",
    "pg_encoding_to_char",
    "pg_get_userbyid",
    "pg_get_wal_replay_pause_state",
    "pg_is_in_recovery",
    "pg_is_wal_replay_paused",
    "pg_last_wal_receive_lsn",
    "pg_last_wal_replay_lsn",
    "pg_last_xact_replay_timestamp",
    "pg_postmaster_start_time",
    "pg_relation_size",
    "pg_sequence_last_value",
    "pg_table_is_visible",
    "pg_total_relation_size",
    "pg_walfile_name",
    "session_user",
    "shobj_description",
    "statement_timestamp",
    "transaction_timestamp",
    "user",
    "version",
];

fn recovering() -> Stop {
    SqlError::new("55000", "recovery is in progress")
        .hint("WAL control functions cannot be executed during recovery.")
        .into()
}

fn lsn(at: Option<Position>) -> Datum {
    at.map_or(Datum::null(Type::Lsn), |at| Datum::new(Type::Lsn, V::Lsn(at)))
}

fn name(text: &str) -> Datum {
    Datum::new(Type::Name, V::Text(text.to_owned()))
}

pub(super) fn call(exec: &mut Exec<'_>, function: &str, args: &[Datum]) -> Result<Datum, Stop> {
    let bare = |wanted: usize| if args.len() == wanted { Ok(()) } else { Err(SqlError::no_function(function)) };
    let began = exec.began;
    let now = exec.world.clock().now();
    let dry = exec.dry;
    let standby = |s: &Server| -> Result<Standby, Stop> {
        let not = || {
            SqlError::new("55000", "recovery is not in progress")
                .hint("Recovery control functions can only be executed during recovery.")
        };
        s.standby.clone().ok_or_else(|| not().into())
    };
    Ok(match function {
        "current_database" | "current_catalog" => name(&exec.seat.database),
        "current_user" | "session_user" | "user" | "current_role" => name(&exec.seat.user),
        "current_schema" => name("public"),
        "version" => Datum::text(format!("PostgreSQL {VERSION_TEXT}, a simulation")),
        "pg_backend_pid" => Datum::new(Type::Int4, V::Int(i64::from(exec.seat.pid))),
        "clock_timestamp" => exec.time(now),
        "now" | "current_timestamp" | "transaction_timestamp" | "localtimestamp" => exec.time(began.0),
        "statement_timestamp" => exec.time(began.1),
        "age" => match (args, exec.time(began.0).v) {
            ([Datum { v: V::Time(t), .. }], V::Time(today)) => {
                Datum::new(Type::Interval, V::Interval(today - today.rem_euclid(86_400_000_000) - t))
            }
            ([Datum { v: V::Time(a), .. }, Datum { v: V::Time(b), .. }], _) => {
                Datum::new(Type::Interval, V::Interval(a - b))
            }
            ([Datum { v: V::Null, .. }] | [Datum { v: V::Null, .. }, _] | [_, Datum { v: V::Null, .. }], _) => {
                Datum::null(Type::Interval)
            }
            _ => return Err(SqlError::no_function(function).into()),
        },
        "current_setting" => {
            let Some(wanted) = args.first().and_then(Datum::as_text) else { return Ok(Datum::null(Type::Text)) };
            match exec.setting(&wanted) {
                Some(value) => {
                    if HIDDEN.contains(&wanted.as_str()) && !exec.role()?.has("pg_read_all_settings") {
                        let what = format!("permission denied to examine \"{wanted}\"");
                        return Err(SqlError::new("42501", what).into());
                    }
                    Datum::text(value)
                }
                None if args.get(1).and_then(Datum::as_bool) == Some(true) => Datum::null(Type::Text),
                None => {
                    return Err(
                        SqlError::new("42704", format!("unrecognized configuration parameter \"{wanted}\"")).into()
                    );
                }
            }
        }
        "inet_server_addr" | "inet_client_addr" => Datum::new(Type::Inet, V::Text(exec.seat.from.ip().to_string())),
        "inet_server_port" => Datum::new(Type::Int4, V::Int(i64::from(exec.here()?.1.port))),
        "inet_client_port" => Datum::new(Type::Int4, V::Int(i64::from(exec.seat.from.port()))),
        "pg_is_in_recovery" => Datum::bool(exec.here()?.1.in_recovery()),
        "pg_postmaster_start_time" | "pg_conf_load_time" => exec.time(exec.here()?.1.started),
        "pg_current_wal_lsn" | "pg_current_wal_flush_lsn" | "pg_current_wal_insert_lsn" => {
            bare(0)?;
            let server = exec.here()?.1;
            if dry {
                Datum::null(Type::Lsn)
            } else if server.in_recovery() {
                return Err(recovering());
            } else {
                lsn(Some(server.flushed))
            }
        }
        "pg_last_wal_receive_lsn" => lsn(exec.here()?.1.standby.as_ref().and_then(|s| s.received)),
        "pg_last_wal_replay_lsn" => lsn(exec.here()?.1.standby.as_ref().map(|s| s.replayed)),
        "pg_last_xact_replay_timestamp" => {
            let at = exec.here()?.1.standby.as_ref().and_then(|s| s.replayed_commit);
            at.map_or(Datum::null(Type::Time), |at| exec.time(at))
        }
        "pg_walfile_name" => {
            let server = exec.here()?.1;
            match typed(function, args, [Type::Lsn])? {
                Some([Datum { v: V::Lsn(at), .. }]) if !server.in_recovery() => {
                    Datum::text(wal::file(server.timeline(), at))
                }
                Some(_) => {
                    let hint = "pg_walfile_name() cannot be executed during recovery.";
                    return Err(SqlError::new("55000", "recovery is in progress").hint(hint).into());
                }
                None => Datum::null(Type::Text),
            }
        }
        "pg_get_wal_replay_pause_state" if dry => Datum::null(Type::Text),
        "pg_get_wal_replay_pause_state" => {
            let standby = standby(exec.here()?.1)?;
            Datum::text(if standby.paused { "paused" } else { "not paused" })
        }
        "pg_is_wal_replay_paused" if dry => Datum::null(Type::Bool),
        "pg_is_wal_replay_paused" => Datum::bool(standby(exec.here()?.1)?.paused),
        "pg_database_collation_actual_version" => Datum::text(super::super::catalogue::COLLATION),
        "pg_encoding_to_char" => name("UTF8"),
        "pg_get_userbyid" => {
            let oid = args.first().and_then(Datum::as_int);
            let roles = &exec.here()?.1.catalog.roles;
            let known = roles.iter().find(|r| Some(r.oid) == oid).map(|r| r.name.clone());
            name(&known.unwrap_or_else(|| format!("unknown (OID={})", oid.unwrap_or(0))))
        }
        "pg_sequence_last_value" => match args.first().and_then(Datum::as_int) {
            Some(super::super::catalogue::SEQUENCE) => {
                Datum::int(exec.here()?.1.catalog.orders.last().map_or(0, |o| o.id))
            }
            Some(_) | None => Datum::null(Type::Int8),
        },
        "pg_relation_size" | "pg_total_relation_size" | "pg_database_size" => {
            let rows = exec.here()?.1.catalog.orders.len();
            Datum::int(i64::try_from(rows.saturating_mul(64).next_multiple_of(8_192)).unwrap_or(i64::MAX) + 7_600_000)
        }
        "pg_table_is_visible" => Datum::bool(true),
        _ => Datum::null(Type::Text),
    })
}

/// Settings that only members of `pg_read_all_settings` may examine.
pub(in crate::practice::postgres) const HIDDEN: &[&str] = &["primary_conninfo", "hba_file", "data_directory"];
