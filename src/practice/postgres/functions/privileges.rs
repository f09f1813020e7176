//! What roles may (PostgreSQL's documentation, "Access Privilege Inquiry Functions").

use crate::practice::postgres::error::{SqlError, Stop};
use crate::practice::postgres::exec::Exec;
use crate::practice::postgres::value::{Datum, Type};
use crate::practice::world::roles::{PREDEFINED, Role};

pub(super) const NAMES: &[&str] = &[
    "has_database_privilege",
    "has_function_privilege",
    "has_schema_privilege",
    "has_sequence_privilege",
    "has_table_privilege",
    "pg_has_role",
];

pub(super) fn call(exec: &mut Exec<'_>, name: &str, args: &[Datum]) -> Result<Datum, Stop> {
    if args.iter().any(Datum::is_null) {
        return Ok(Datum::null(Type::Bool));
    }
    let (role, object, privilege) = match args {
        [object, privilege] => (exec.role()?.clone(), object, privilege),
        [role, object, privilege] => (role_of(exec, role)?, object, privilege),
        _ => return Err(SqlError::no_function(name).into()),
    };
    let privilege = privilege.as_text().unwrap_or_default().to_lowercase();
    let held = match name {
        "pg_has_role" => {
            let wanted = role_name(exec, object)?;
            role.has(&wanted)
        }
        "has_function_privilege" => {
            let text = object.as_text().unwrap_or_default();
            let function = text.split('(').next().unwrap_or_default().trim();
            let function = function.strip_prefix("pg_catalog.").unwrap_or(function);
            if !super::exists(function) {
                return Err(SqlError::new("42883", format!("function \"{text}\" does not exist")).into());
            }
            role.may_execute(function)
        }
        "has_table_privilege" | "has_sequence_privilege" => {
            let reads = |p: &str| ["select", "usage"].contains(&p.trim());
            let mut all = privilege.split(',');
            super::super::catalogue::may_read(&role) && all.any(reads) || super::super::catalogue::may_write(&role)
        }
        _ => true,
    };
    Ok(Datum::bool(held))
}

fn role_of(exec: &Exec<'_>, datum: &Datum) -> Result<Role, Stop> {
    let name = role_name(exec, datum)?;
    let missing = || SqlError::new("42704", format!("role \"{name}\" does not exist"));
    Ok(exec.here()?.1.catalog.role(&name).cloned().ok_or_else(missing)?)
}

/// The name of a role that is named, or given by its number.
fn role_name(exec: &Exec<'_>, datum: &Datum) -> Result<String, Stop> {
    let roles = &exec.here()?.1.catalog.roles;
    let text = datum.as_text().unwrap_or_default();
    let by_number = datum.ty.is_int().then(|| datum.as_int()).flatten();
    let known = match by_number {
        Some(oid) => {
            let own = roles.iter().find(|r| r.oid == oid).map(|r| r.name.clone());
            own.or_else(|| PREDEFINED.iter().find(|(_, o)| *o == oid).map(|(n, _)| (*n).to_owned()))
        }
        None => {
            let there = roles.iter().any(|r| r.name == text) || PREDEFINED.iter().any(|(n, _)| *n == text);
            there.then(|| text.clone())
        }
    };
    Ok(known.ok_or_else(|| SqlError::new("42704", format!("role \"{text}\" does not exist")))?)
}
