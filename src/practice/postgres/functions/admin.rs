//! Functions that do something (PostgreSQL's documentation, "System Administration Functions").

use super::typed;
use crate::practice::postgres::error::{SqlError, Stop, Wait};
use crate::practice::postgres::exec::Exec;
use crate::practice::postgres::value::{Datum, Type, V};

pub(super) const NAMES: &[&str] = &[
    "nextval",
    "pg_advisory_lock",
    "pg_advisory_unlock",
    "pg_advisory_unlock_all",
    "pg_logical_emit_message",
    "pg_promote",
    "pg_read_file",
    "pg_reload_conf",
    "pg_sleep",
    "pg_switch_wal",
    "pg_terminate_backend",
    "pg_try_advisory_lock",
    "set_config",
    "pg_wal_replay_pause",
    "pg_wal_replay_resume",
];

fn void() -> Datum {
    Datum::new(Type::Void, V::Text(String::new()))
}

/// What each gives.
fn result(name: &str) -> Type {
    match name {
        "pg_sleep" | "pg_advisory_lock" | "pg_advisory_unlock_all" | "pg_wal_replay_pause" | "pg_wal_replay_resume" => {
            Type::Void
        }
        "pg_logical_emit_message" | "pg_switch_wal" => Type::Lsn,
        "pg_read_file" | "set_config" => Type::Text,
        "nextval" => Type::Int8,
        _ => Type::Bool,
    }
}

pub(super) fn call(exec: &mut Exec<'_>, name: &str, args: &[Datum]) -> Result<Datum, Stop> {
    if exec.dry {
        return Ok(Datum::null(result(name)));
    }
    let at = exec.seat.server;
    let pid = exec.seat.pid;
    let recovery = exec.here()?.1.in_recovery();
    let number =
        |n: usize| args.get(n).map(|d| d.clone().cast(Type::Int8).map(|d| d.as_int())).transpose().map(Option::flatten);
    Ok(match name {
        "pg_promote" => {
            let wait = args.first().map_or(Ok(Some(true)), |d| d.clone().cast(Type::Bool).map(|d| d.as_bool()))?;
            let seconds = if args.len() > 1 { number(1)? } else { Some(60) };
            let Some((wait, seconds)) = wait.zip(seconds) else { return Ok(Datum::null(Type::Bool)) };
            if seconds <= 0 {
                return Err(SqlError::new("22003", "\"wait_seconds\" must not be negative or zero").into());
            }
            if exec.taken < exec.waited.len() {
                return exec.wait(Wait::Promotion(0.0));
            }
            let not = |_| {
                SqlError::new("55000", "recovery is not in progress")
                    .hint("Recovery control functions can only be executed during recovery.")
            };
            exec.world.promote(at).map_err(not)?;
            if !wait {
                return Ok(Datum::bool(true));
            }
            #[expect(clippy::cast_precision_loss, reason = "a wait of seconds")]
            exec.wait(Wait::Promotion(seconds as f64))?
        }
        "pg_sleep" => match typed(name, args, [Type::Float8])? {
            Some([seconds]) => exec.wait(Wait::Sleep(seconds.as_float().unwrap_or(0.0)))?,
            None => Datum::null(Type::Void),
        },
        "pg_reload_conf" => {
            exec.world.reload(at);
            Datum::bool(true)
        }
        "pg_read_file" => {
            let Some(path) = args.first().and_then(Datum::as_text) else { return Ok(Datum::null(Type::Text)) };
            if !exec.role()?.has("pg_read_server_files") {
                return Err(SqlError::new("42501", "absolute path not allowed").into());
            }
            let missing = || {
                SqlError::new("58P01", format!("could not open file \"{path}\" for reading: No such file or directory"))
            };
            let text = exec.here()?.1.files.get(&path).cloned();
            Datum::text(text.ok_or_else(missing)?)
        }
        "pg_terminate_backend" => {
            let Some(target) = number(0)? else { return Ok(Datum::null(Type::Bool)) };
            let target = i32::try_from(target).unwrap_or(0);
            let (_, server) = exec.here()?;
            let Some(session) = server.sessions.get(target) else { return Ok(Datum::bool(false)) };
            let role = exec.role()?;
            let theirs = server.catalog.role(&session.role);
            let mine = role.superuser || session.role == role.name;
            if !mine && (theirs.is_some_and(|r| r.superuser) || !role.has("pg_signal_backend")) {
                return Err(SqlError::new("42501", "permission denied to terminate process").into());
            }
            Datum::bool(exec.world.end_session(at, target))
        }
        "pg_logical_emit_message" => {
            if recovery {
                return Err(SqlError::new("XX000", "cannot make new WAL entries during recovery").into());
            }
            let committed = exec.world.commit(at);
            committed.map_or(Datum::null(Type::Lsn), |l| Datum::new(Type::Lsn, V::Lsn(l)))
        }
        "pg_switch_wal" => {
            if recovery {
                let hint = "WAL control functions cannot be executed during recovery.";
                return Err(SqlError::new("55000", "recovery is in progress").hint(hint).into());
            }
            let end = exec.world.switch_wal(at);
            end.map_or(Datum::null(Type::Lsn), |l| Datum::new(Type::Lsn, V::Lsn(l)))
        }
        "pg_wal_replay_pause" | "pg_wal_replay_resume" => {
            let pauses = name == "pg_wal_replay_pause";
            let Some(standby) = exec.world.server_mut(at).and_then(|s| s.standby.as_mut()) else {
                let hint = "Recovery control functions can only be executed during recovery.";
                return Err(SqlError::new("55000", "recovery is not in progress").hint(hint).into());
            };
            standby.paused = pauses;
            void()
        }
        "pg_try_advisory_lock" | "pg_advisory_lock" | "pg_advisory_unlock" => {
            let key = match (number(0)?, number(1)?) {
                (Some(a), Some(b)) if args.len() == 2 => a << 32 | (b & 0xFFFF_FFFF),
                (Some(a), None) if args.len() == 1 => a,
                _ => return Err(SqlError::no_function(name).into()),
            };
            let sessions = exec.world.server_mut(at).map(|s| &mut s.sessions);
            let Some(sessions) = sessions else { return Ok(Datum::null(result(name))) };
            match name {
                "pg_advisory_unlock" => Datum::bool(sessions.unlock(key, pid)),
                "pg_try_advisory_lock" => Datum::bool(sessions.lock(key, pid)),
                _ => {
                    if sessions.lock(key, pid) {
                        void()
                    } else {
                        exec.wait(Wait::Lock(key))?
                    }
                }
            }
        }
        "pg_advisory_unlock_all" => {
            if let Some(server) = exec.world.server_mut(at) {
                let mine: Vec<i64> = server.sessions.locks().filter(|(_, by)| *by == pid).map(|(key, _)| key).collect();
                for key in mine {
                    server.sessions.unlock(key, pid);
                }
            }
            void()
        }
        "set_config" => {
            let Some((setting, value)) =
                args.first().and_then(Datum::as_text).zip(args.get(1).and_then(Datum::as_text))
            else {
                return Ok(Datum::null(Type::Text));
            };
            super::super::statement::set(exec, &setting, Some(&value))?;
            Datum::text(value)
        }
        // Drawing from a sequence is a write.
        _ => {
            let what = if recovery { "25006" } else { "0A000" };
            let words = if recovery {
                format!("cannot execute {name}() in a read-only transaction")
            } else {
                format!("the practice server does not support {name}")
            };
            return Err(SqlError::new(what, words).into());
        }
    })
}
