//! Extensions, dependencies and comments.

use super::{Columns, Rows, Table, char, name, oid, text_null};
use crate::practice::postgres::error::Stop;
use crate::practice::postgres::exec::Exec;
use crate::practice::postgres::value::{Datum, Type};

use Type::{Bool, Char, Int4, Name, Oid, Text};

pub(super) const TABLES: &[Table] = &[
    Table::new("pg_extension", EXTENSIONS, extensions),
    Table::new("pg_available_extension_versions", AVAILABLE, available),
    Table::new("pg_depend", DEPEND, |_| Ok(Vec::new())),
    Table::new("pg_description", DESCRIPTION, |_| Ok(Vec::new())),
    Table::new("pg_am", AM, am),
    Table::new("pg_tablespace", SPACES, spaces),
];

const EXTENSIONS: Columns = &[
    ("oid", Oid),
    ("extname", Name),
    ("extowner", Oid),
    ("extnamespace", Oid),
    ("extrelocatable", Bool),
    ("extversion", Text),
];

fn extensions(_: &Exec<'_>) -> Result<Rows, Stop> {
    Ok(vec![vec![oid(13_578), name("plpgsql"), oid(10), oid(11), Datum::bool(false), Datum::text("1.0")]])
}

const AVAILABLE: Columns =
    &[("name", Name), ("version", Text), ("installed", Bool), ("superuser", Bool), ("comment", Text)];

fn available(_: &Exec<'_>) -> Result<Rows, Stop> {
    Ok(vec![vec![name("plpgsql"), Datum::text("1.0"), Datum::bool(true), Datum::bool(true), text_null()]])
}

const DEPEND: Columns = &[
    ("classid", Oid),
    ("objid", Oid),
    ("objsubid", Int4),
    ("refclassid", Oid),
    ("refobjid", Oid),
    ("refobjsubid", Int4),
    ("deptype", Char),
];
const DESCRIPTION: Columns = &[("objoid", Oid), ("classoid", Oid), ("objsubid", Int4), ("description", Text)];
const AM: Columns = &[("oid", Oid), ("amname", Name), ("amtype", Char)];

fn am(_: &Exec<'_>) -> Result<Rows, Stop> {
    Ok(vec![vec![oid(2), name("heap"), char('t')], vec![oid(403), name("btree"), char('i')]])
}

const SPACES: Columns = &[("oid", Oid), ("spcname", Name), ("spcowner", Oid)];

fn spaces(_: &Exec<'_>) -> Result<Rows, Stop> {
    Ok(vec![vec![oid(1_663), name("pg_default"), oid(10)], vec![oid(1_664), name("pg_global"), oid(10)]])
}
