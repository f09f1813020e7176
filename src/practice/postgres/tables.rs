//! Functions that give rows.

use super::error::{SqlError, Stop};
use super::exec::{Exec, Relation};
use super::functions::{regex, typed};
use super::value::{Datum, Type, V};

pub(super) const NAMES: &[&str] = &[
    "generate_series",
    "pg_control_checkpoint",
    "pg_control_recovery",
    "pg_control_system",
    "pg_ls_archive_statusdir",
    "pg_partition_tree",
    "pg_show_replication_origin_status",
    "regexp_split_to_table",
    "unnest",
    "pg_get_keywords",
];

fn lsn(at: crate::plan::Lsn) -> Datum {
    Datum::new(Type::Lsn, V::Lsn(at))
}

fn int(n: i64) -> Datum {
    Datum::new(Type::Int4, V::Int(n))
}

/// The items of an array, a row each.
pub(super) fn unnest(array: &Datum) -> Result<Relation, SqlError> {
    let ty = match array.ty {
        Type::IntArray => Type::Int4,
        Type::NameArray => Type::Name,
        Type::TextArray | Type::Unknown => Type::Text,
        _ => return Err(SqlError::no_function("unnest")),
    };
    let rows = match &array.v {
        V::Array(items) => items.iter().map(|v| vec![Datum::new(ty, v.clone())]).collect(),
        V::Null => Vec::new(),
        _ => return Err(SqlError::no_function("unnest")),
    };
    Ok(Relation::of("", &[("unnest", ty)], rows))
}

/// Calls one.
pub(super) fn call(exec: &mut Exec<'_>, name: &str, args: &[Datum]) -> Result<Relation, Stop> {
    if !NAMES.contains(&name) {
        if super::functions::exists(name) {
            let value = super::functions::call(exec, name, args.to_vec())?;
            return Ok(Relation::of("", &[(name, value.ty)], vec![vec![value]]));
        }
        return Err(SqlError::no_function(name).into());
    }
    if !exec.dry && !exec.role()?.may_execute(name) {
        return Err(SqlError::denied(&format!("function {name}")).into());
    }
    let (cluster, server) = exec.here()?;
    let started = exec.time(server.started);
    Ok(match name {
        "unnest" => match args {
            [array] => unnest(array)?,
            _ => return Err(SqlError::no_function(name).into()),
        },
        "generate_series" => {
            let Some([from, to]) = typed(name, args, [Type::Int8, Type::Int8])? else {
                return Ok(Relation::of("", &[(name, Type::Int8)], Vec::new()));
            };
            let (from, to) = (from.as_int().unwrap_or(0), to.as_int().unwrap_or(0));
            if to.saturating_sub(from) > 100_000 {
                return Err(SqlError::new("54001", "more than the practice server works out at once").into());
            }
            Relation::of("", &[(name, Type::Int8)], (from..=to).map(|n| vec![Datum::int(n)]).collect())
        }
        "regexp_split_to_table" => {
            let rows = match typed(name, args, [Type::Text, Type::Text])?
                .and_then(|[a, b]| a.as_text().zip(b.as_text()))
            {
                Some((text, pattern)) => regex(&pattern, false)?.split(&text).map(|p| vec![Datum::text(p)]).collect(),
                None => Vec::new(),
            };
            Relation::of("", &[(name, Type::Text)], rows)
        }
        "pg_control_system" => {
            let row =
                vec![int(1_700), int(202_406_281), Datum::int(i64::try_from(cluster.system).unwrap_or(0)), started];
            let columns = [
                ("pg_control_version", Type::Int4),
                ("catalog_version_no", Type::Int4),
                ("system_identifier", Type::Int8),
                ("pg_control_last_modified", Type::Time),
            ];
            Relation::of("", &columns, vec![row])
        }
        "pg_control_checkpoint" => {
            let at = server.position();
            let row = vec![
                lsn(at),
                lsn(at),
                Datum::text(crate::practice::world::wal::file(server.timeline(), at)),
                int(i64::from(server.timeline())),
                int(i64::from(server.timeline())),
                Datum::bool(true),
                started,
            ];
            let columns = [
                ("checkpoint_lsn", Type::Lsn),
                ("redo_lsn", Type::Lsn),
                ("redo_wal_file", Type::Text),
                ("timeline_id", Type::Int4),
                ("prev_timeline_id", Type::Int4),
                ("full_page_writes", Type::Bool),
                ("checkpoint_time", Type::Time),
            ];
            Relation::of("", &columns, vec![row])
        }
        "pg_control_recovery" => {
            let end = if server.in_recovery() { server.position() } else { crate::plan::Lsn(0) };
            let timeline = if server.in_recovery() { i64::from(server.timeline()) } else { 0 };
            let none = crate::plan::Lsn(0);
            let row = vec![lsn(end), int(timeline), lsn(none), lsn(none), Datum::bool(false)];
            let columns = [
                ("min_recovery_end_lsn", Type::Lsn),
                ("min_recovery_end_timeline", Type::Int4),
                ("backup_start_lsn", Type::Lsn),
                ("backup_end_lsn", Type::Lsn),
                ("end_of_backup_record_required", Type::Bool),
            ];
            Relation::of("", &columns, vec![row])
        }
        "pg_ls_archive_statusdir" => {
            let file = |n: u64| {
                let back = crate::plan::Lsn(server.flushed.0.saturating_sub(n * crate::practice::world::wal::SEGMENT));
                let name = crate::practice::world::wal::file(server.timeline(), back);
                vec![Datum::text(format!("{name}.ready")), Datum::int(0), started.clone()]
            };
            let rows = (1..=server.archiver.ready.min(10_000)).map(file).collect();
            Relation::of("", &[("name", Type::Text), ("size", Type::Int8), ("modification", Type::Time)], rows)
        }
        "pg_partition_tree" => {
            let columns = [
                ("relid", Type::Regclass),
                ("parentrelid", Type::Regclass),
                ("isleaf", Type::Bool),
                ("level", Type::Int4),
            ];
            Relation::of("", &columns, Vec::new())
        }
        "pg_show_replication_origin_status" => {
            let columns = [
                ("local_id", Type::Oid),
                ("external_id", Type::Text),
                ("remote_lsn", Type::Lsn),
                ("local_lsn", Type::Lsn),
            ];
            Relation::of("", &columns, Vec::new())
        }
        _ => return Err(SqlError::unsupported(name).into()),
    })
}
