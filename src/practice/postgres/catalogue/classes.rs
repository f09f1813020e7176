//! What there is: namespaces, relations, their columns and indexes, types and databases.

use super::users::{COLUMNS, CUSTOMER_COLUMNS, ORDERS, PEOPLE, SEQUENCE};
use super::{COLLATION, Columns, DATABASE, Rows, Table, char, int2, int4, name, oid, tables, text_null};
use crate::practice::postgres::error::{SqlError, Stop};
use crate::practice::postgres::exec::Exec;
use crate::practice::postgres::functions::quote_ident;
use crate::practice::postgres::value::{Datum, Type, V};
use crate::practice::world::roles::APP;

use Type::{Bool, Char, Float8, Int2, Int4, Int8, IntArray, Name, Oid, Text, TextArray};

pub(super) const TABLES: &[Table] = &[
    Table::new("pg_namespace", NAMESPACES, namespaces),
    Table::new("pg_class", CLASSES, classes),
    Table::new("pg_attribute", ATTRIBUTES, attributes),
    Table::new("pg_index", INDEXES, indexes),
    Table::new("pg_type", TYPES, types),
    Table::new("pg_database", DATABASES, databases),
    Table::new("pg_tables", PG_TABLES, pg_tables),
    Table::new("pg_sequence", SEQUENCES, sequences),
    Table::new("pg_sequences", PG_SEQUENCES, pg_sequences),
];

/// `pg_catalog`, `public`.
const SYSTEM: i64 = 11;
const PUBLIC: i64 = 2_200;

const NAMESPACES: Columns = &[("oid", Oid), ("nspname", Name), ("nspowner", Oid)];

fn namespaces(_: &Exec<'_>) -> Result<Rows, Stop> {
    let all = [(SYSTEM, "pg_catalog"), (99, "pg_toast"), (PUBLIC, "public"), (13_000, "information_schema")];
    Ok(all.iter().map(|(n, own)| vec![oid(*n), name(*own), oid(10)]).collect())
}

/// A relation.
struct Class {
    oid: i64,
    name: String,
    system: bool,
    kind: char,
    columns: Columns,
}

/// Every relation. Numbers of the system's are the real ones where they matter, else their place in the list.
fn all(exec: &Exec<'_>) -> Vec<Class> {
    let known = [
        ("pg_class", 1_259),
        ("pg_attribute", 1_249),
        ("pg_type", 1_247),
        ("pg_namespace", 2_615),
        ("pg_database", 1_262),
    ];
    let mut out = Vec::new();
    for (n, table) in (12_000_i64..).zip(tables("pg_catalog")) {
        let own = known.iter().find(|(name, _)| *name == table.name).map_or(n, |(_, oid)| *oid);
        let view = [
            "pg_stat",
            "pg_roles",
            "pg_user",
            "pg_settings",
            "pg_locks",
            "pg_tables",
            "pg_sequences",
            "pg_replication_slots",
        ];
        let kind = if view.iter().any(|v| table.name.starts_with(v)) { 'v' } else { 'r' };
        out.push(Class { oid: own, name: table.name.to_owned(), system: true, kind, columns: table.columns });
    }
    if !["postgres", "template1"].contains(&exec.seat.database.as_str()) {
        let own = |oid, name: &str, kind, columns| Class { oid, name: name.to_owned(), system: false, kind, columns };
        out.extend([
            own(PEOPLE, "customers", 'r', CUSTOMER_COLUMNS),
            own(ORDERS, "orders", 'r', COLUMNS),
            own(SEQUENCE, "orders_id_seq", 'S', &[]),
            own(16_399, "customers_pkey", 'i', &[]),
            own(16_405, "orders_pkey", 'i', &[]),
        ]);
    }
    out
}

const CLASSES: Columns = &[
    ("oid", Oid),
    ("relname", Name),
    ("relnamespace", Oid),
    ("relowner", Oid),
    ("relam", Oid),
    ("relpages", Int4),
    ("reltuples", Float8),
    ("relhasindex", Bool),
    ("relisshared", Bool),
    ("relpersistence", Char),
    ("relkind", Char),
    ("relnatts", Int2),
    ("relispopulated", Bool),
    ("relreplident", Char),
    ("relispartition", Bool),
    ("reloptions", TextArray),
];

fn classes(exec: &Exec<'_>) -> Result<Rows, Stop> {
    let owner = exec.here()?.1.catalog.role(APP).map_or(10, |r| r.oid);
    let row = |c: Class| {
        vec![
            oid(c.oid),
            name(c.name),
            oid(if c.system { SYSTEM } else { PUBLIC }),
            oid(if c.system { 10 } else { owner }),
            oid(if c.kind == 'r' { 2 } else { 0 }),
            int4(8),
            Datum::new(Float8, V::Float(-1.0)),
            Datum::bool(!c.system && c.kind == 'r'),
            Datum::bool(false),
            char('p'),
            char(c.kind),
            int2(i64::try_from(c.columns.len()).unwrap_or(0)),
            Datum::bool(true),
            char(if c.system || c.kind != 'r' { 'n' } else { 'd' }),
            Datum::bool(false),
            Datum::null(TextArray),
        ]
    };
    Ok(all(exec).into_iter().map(row).collect())
}

const ATTRIBUTES: Columns = &[
    ("attrelid", Oid),
    ("attname", Name),
    ("atttypid", Oid),
    ("attlen", Int2),
    ("attnum", Int2),
    ("atttypmod", Int4),
    ("attnotnull", Bool),
    ("atthasdef", Bool),
    ("attidentity", Char),
    ("attgenerated", Char),
    ("attisdropped", Bool),
    ("attcollation", Oid),
];

fn attributes(exec: &Exec<'_>) -> Result<Rows, Stop> {
    let mut rows = Vec::new();
    for class in all(exec) {
        for (n, (column, ty)) in (1_i64..).zip(class.columns) {
            rows.push(vec![
                oid(class.oid),
                name(*column),
                oid(i64::from(ty.oid())),
                int2(i64::from(ty.length())),
                int2(n),
                int4(-1),
                Datum::bool(!class.system),
                Datum::bool(!class.system && *column == "id"),
                Datum::new(Char, V::Text(String::new())),
                Datum::new(Char, V::Text(String::new())),
                Datum::bool(false),
                oid(if ty.is_text() { 100 } else { 0 }),
            ]);
        }
    }
    Ok(rows)
}

const INDEXES: Columns = &[
    ("indexrelid", Oid),
    ("indrelid", Oid),
    ("indnatts", Int2),
    ("indisunique", Bool),
    ("indisprimary", Bool),
    ("indisvalid", Bool),
    ("indisready", Bool),
    ("indislive", Bool),
    ("indisreplident", Bool),
    ("indkey", IntArray),
];

fn indexes(_: &Exec<'_>) -> Result<Rows, Stop> {
    let row = |(index, table): &(i64, i64)| {
        let mut row = vec![oid(*index), oid(*table), int2(1)];
        row.extend([true, true, true, true, true, false].map(Datum::bool));
        row.push(Datum::new(IntArray, V::Array(vec![V::Int(1)])));
        row
    };
    Ok([(16_399, PEOPLE), (16_405, ORDERS)].iter().map(row).collect())
}

const TYPES: Columns = &[
    ("oid", Oid),
    ("typname", Name),
    ("typnamespace", Oid),
    ("typlen", Int2),
    ("typtype", Char),
    ("typrelid", Oid),
    ("typelem", Oid),
    ("typbasetype", Oid),
];

fn types(_: &Exec<'_>) -> Result<Rows, Stop> {
    let row = |ty: &Type| {
        vec![
            oid(i64::from(ty.oid())),
            name(ty.name()),
            oid(SYSTEM),
            int2(i64::from(ty.length())),
            char('b'),
            oid(0),
            oid(0),
            oid(0),
        ]
    };
    Ok(Type::ALL.iter().map(row).collect())
}

const DATABASES: Columns = &[
    ("oid", Oid),
    ("datname", Name),
    ("datdba", Oid),
    ("encoding", Int4),
    ("datlocprovider", Char),
    ("datistemplate", Bool),
    ("datallowconn", Bool),
    ("datconnlimit", Int4),
    ("datcollate", Text),
    ("datctype", Text),
    ("datlocale", Text),
    ("daticurules", Text),
    ("datcollversion", Text),
    ("datacl", TextArray),
];

fn databases(exec: &Exec<'_>) -> Result<Rows, Stop> {
    let (cluster, _) = exec.here()?;
    let row = |(number, own, template, open): (i64, &str, bool, bool)| {
        vec![
            oid(number),
            name(own),
            oid(10),
            int4(6),
            char('c'),
            Datum::bool(template),
            Datum::bool(open),
            int4(-1),
            Datum::text("C.UTF-8"),
            Datum::text("C.UTF-8"),
            text_null(),
            text_null(),
            Datum::text(COLLATION),
            Datum::null(TextArray),
        ]
    };
    let own = (DATABASE, cluster.database, false, true);
    let all = [(5, "postgres", false, true), own, (1, "template1", true, true), (4, "template0", true, false)];
    Ok(all.into_iter().map(row).collect())
}

const PG_TABLES: Columns = &[("schemaname", Name), ("tablename", Name), ("tableowner", Name), ("hasindexes", Bool)];

fn pg_tables(exec: &Exec<'_>) -> Result<Rows, Stop> {
    let row = |c: Class| {
        let (schema, owner) = if c.system { ("pg_catalog", "postgres") } else { ("public", APP) };
        vec![name(schema), name(c.name), name(owner), Datum::bool(!c.system)]
    };
    Ok(all(exec).into_iter().filter(|c| c.kind == 'r').map(row).collect())
}

const SEQUENCES: Columns = &[
    ("seqrelid", Oid),
    ("seqtypid", Oid),
    ("seqstart", Int8),
    ("seqincrement", Int8),
    ("seqmax", Int8),
    ("seqmin", Int8),
    ("seqcache", Int8),
    ("seqcycle", Bool),
];

fn sequences(_: &Exec<'_>) -> Result<Rows, Stop> {
    let mut row = vec![oid(SEQUENCE), oid(i64::from(Int8.oid()))];
    row.extend([1, 1, i64::MAX, 1, 1].map(Datum::int));
    row.push(Datum::bool(false));
    Ok(vec![row])
}

const PG_SEQUENCES: Columns = &[("schemaname", Name), ("sequencename", Name), ("last_value", Int8)];

fn pg_sequences(exec: &Exec<'_>) -> Result<Rows, Stop> {
    let last = exec.here()?.1.catalog.orders.last().map_or(1, |o| o.id);
    Ok(vec![vec![name("public"), name("orders_id_seq"), Datum::int(last)]])
}

/// A relation's number by its name.
pub(in crate::practice::postgres) fn regclass(exec: &Exec<'_>, text: &str) -> Result<Datum, Stop> {
    let plain = text.trim_matches('"').rsplit('.').next().unwrap_or_default().to_owned();
    let found = all(exec).into_iter().find(|c| c.name == plain);
    let missing = || SqlError::new("42P01", format!("relation \"{text}\" does not exist"));
    Ok(found.map(|c| Datum::new(Type::Regclass, V::Int(c.oid))).ok_or_else(missing)?)
}

/// A relation's name by its number.
pub(in crate::practice::postgres) fn regclass_name(exec: &Exec<'_>, datum: &Datum) -> Result<Datum, Stop> {
    let Some(number) = datum.as_int() else { return Ok(text_null()) };
    let found = all(exec).into_iter().find(|c| c.oid == number);
    Ok(Datum::text(found.map_or_else(|| number.to_string(), |c| quote_ident(&c.name))))
}
