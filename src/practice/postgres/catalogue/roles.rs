//! Roles, and what is set for them.

use super::{Needs, Rows, Table, name, oid, text_null};
use crate::practice::postgres::error::Stop;
use crate::practice::postgres::exec::Exec;
use crate::practice::postgres::value::{Datum, Type, V};
use crate::practice::world::roles::PREDEFINED;

use Type::{Bool, Int4, Name, Oid, Text, TextArray, Time};

pub(super) const TABLES: &[Table] = &[
    Table::new("pg_roles", ROLES, roles),
    Table::new("pg_authid", AUTHID, authid).needs(Needs::Superuser),
    Table::new("pg_user", USERS, users),
    Table::new("pg_auth_members", MEMBERS, members),
    Table::new("pg_db_role_setting", SETTINGS, |_| Ok(Vec::new())),
];

const ROLES: super::Columns = &[
    ("rolname", Name),
    ("rolsuper", Bool),
    ("rolinherit", Bool),
    ("rolcreaterole", Bool),
    ("rolcreatedb", Bool),
    ("rolcanlogin", Bool),
    ("rolreplication", Bool),
    ("rolconnlimit", Int4),
    ("rolpassword", Text),
    ("rolvaliduntil", Time),
    ("rolbypassrls", Bool),
    ("rolconfig", TextArray),
    ("oid", Oid),
];

fn roles(exec: &Exec<'_>) -> Result<Rows, Stop> {
    let (_, server) = exec.here()?;
    let row = |role: &str, number: i64, [superuser, createrole, login, replication]: [bool; 4]| {
        vec![
            name(role),
            Datum::bool(superuser),
            Datum::bool(true),
            Datum::bool(createrole),
            Datum::bool(superuser),
            Datum::bool(login),
            Datum::bool(replication),
            Datum::new(Int4, V::Int(-1)),
            Datum::text("********"),
            Datum::null(Time),
            Datum::bool(superuser),
            Datum::null(TextArray),
            oid(number),
        ]
    };
    let own = &server.catalog.roles;
    let own = own.iter().map(|r| row(&r.name, r.oid, [r.superuser, r.createrole, r.login, r.replication]));
    Ok(own.chain(PREDEFINED.iter().map(|(role, number)| row(role, *number, [false; 4]))).collect())
}

const AUTHID: super::Columns =
    &[("oid", Oid), ("rolname", Name), ("rolsuper", Bool), ("rolcanlogin", Bool), ("rolpassword", Text)];

fn authid(exec: &Exec<'_>) -> Result<Rows, Stop> {
    let (_, server) = exec.here()?;
    let rows = server.catalog.roles.iter().map(|r| {
        // Passwords are nobody's to read, not even here.
        vec![oid(r.oid), name(&*r.name), Datum::bool(r.superuser), Datum::bool(r.login), text_null()]
    });
    Ok(rows.collect())
}

const USERS: super::Columns = &[("usename", Name), ("usesysid", Oid), ("usesuper", Bool)];

fn users(exec: &Exec<'_>) -> Result<Rows, Stop> {
    let (_, server) = exec.here()?;
    let may = server.catalog.roles.iter().filter(|r| r.login);
    Ok(may.map(|r| vec![name(&*r.name), oid(r.oid), Datum::bool(r.superuser)]).collect())
}

const MEMBERS: super::Columns =
    &[("oid", Oid), ("roleid", Oid), ("member", Oid), ("grantor", Oid), ("admin_option", Bool)];

fn members(exec: &Exec<'_>) -> Result<Rows, Stop> {
    let (_, server) = exec.here()?;
    let number = |role: &str| PREDEFINED.iter().find(|(n, _)| *n == role).map_or(0, |(_, oid)| *oid);
    let mut rows = Vec::new();
    for role in &server.catalog.roles {
        for of in &role.member_of {
            let n = 16_500 + i64::try_from(rows.len()).unwrap_or(0);
            rows.push(vec![oid(n), oid(number(of)), oid(role.oid), oid(10), Datum::bool(false)]);
        }
    }
    Ok(rows)
}

const SETTINGS: super::Columns = &[("setdatabase", Oid), ("setrole", Oid), ("setconfig", TextArray)];
