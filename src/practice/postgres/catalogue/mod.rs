//! The tables and views of a practice server: made of the world when they are asked for.

mod classes;
mod logical;
mod roles;
mod stat;
mod system;
mod users;

use super::error::{SqlError, Stop};
use super::exec::{Exec, Relation};
use super::value::{Datum, Type, V};
use crate::practice::world::roles::Role;

pub(super) use classes::{regclass, regclass_name};
pub(super) use users::{SEQUENCE, may_read, may_write};

/// The collation version of every database, and of the system.
pub(super) const COLLATION: &str = "2.41";

/// The rows of a table.
type Rows = Vec<Vec<Datum>>;

/// Columns: name and type.
type Columns = &'static [(&'static str, Type)];

/// A table or a view.
struct Table {
    name: &'static str,
    columns: Columns,
    rows: fn(&Exec<'_>) -> Result<Rows, Stop>,
    /// What it asks of a role.
    needs: Needs,
}

/// What a table asks of a role that reads it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    Superuser,
    Grant,
}

impl Table {
    const fn new(name: &'static str, columns: Columns, rows: fn(&Exec<'_>) -> Result<Rows, Stop>) -> Self {
        Self { name, columns, rows, needs: Needs::Nothing }
    }

    const fn needs(self, needs: Needs) -> Self {
        Self { needs, ..self }
    }
}

/// Every table of a schema.
fn tables(schema: &str) -> Vec<&'static Table> {
    match schema {
        "pg_catalog" => {
            let all = [stat::TABLES, roles::TABLES, classes::TABLES, logical::TABLES, system::TABLES];
            all.into_iter().flatten().collect()
        }
        "public" => users::TABLES.iter().collect(),
        _ => Vec::new(),
    }
}

/// A table by its name, with its rows.
///
/// # Errors
/// 42P01 where there is none; 42501 where the role may not read it.
pub(super) fn table(exec: &Exec<'_>, parts: &[String]) -> Result<Relation, Stop> {
    let (schema, name) = match parts {
        [name] => (None, name),
        [schema, name] => (Some(schema.as_str()), name),
        [_, schema, name] => (Some(schema.as_str()), name),
        _ => return Err(SqlError::unsupported("such a name").into()),
    };
    let public = !["postgres", "template1"].contains(&exec.seat.database.as_str());
    let schemas = match schema {
        Some(schema) => vec![schema],
        None => vec!["pg_catalog", "public"],
    };
    let mut all = schemas.into_iter().filter(|s| *s != "public" || public).flat_map(tables);
    let missing = || SqlError::new("42P01", format!("relation \"{}\" does not exist", parts.join(".")));
    let table = all.find(|t| t.name == name).ok_or_else(missing)?;
    let role = exec.role()?;
    let may = match table.needs {
        Needs::Nothing => true,
        Needs::Superuser => role.superuser,
        Needs::Grant => may_read(role),
    };
    if !may {
        return Err(SqlError::denied(&format!("table {name}")).into());
    }
    let rows = if exec.dry { Vec::new() } else { (table.rows)(exec)? };
    Ok(Relation::of(name, table.columns, rows))
}

/// Whether the role may see what other roles' sessions do.
fn sees(role: &Role) -> bool {
    role.has("pg_read_all_stats")
}

const fn text_null() -> Datum {
    Datum::null(Type::Text)
}

fn name(text: impl Into<String>) -> Datum {
    Datum::new(Type::Name, V::Text(text.into()))
}

fn char(c: char) -> Datum {
    Datum::new(Type::Char, V::Text(c.to_string()))
}

const fn oid(n: i64) -> Datum {
    Datum::new(Type::Oid, V::Int(n))
}

const fn int4(n: i64) -> Datum {
    Datum::new(Type::Int4, V::Int(n))
}

const fn int2(n: i64) -> Datum {
    Datum::new(Type::Int2, V::Int(n))
}

fn lsn(at: Option<crate::plan::Lsn>) -> Datum {
    at.map_or(Datum::null(Type::Lsn), |at| Datum::new(Type::Lsn, V::Lsn(at)))
}

fn inet(text: &str) -> Datum {
    Datum::new(Type::Inet, V::Text(text.to_owned()))
}

/// The number of a cluster's own database.
const DATABASE: i64 = 16_384;
