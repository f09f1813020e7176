//! Functions that give one value.

mod admin;
mod privileges;
mod server;
mod text;

pub(super) use server::HIDDEN;
pub(super) use text::quote_ident;

use regex_lite::{Regex, RegexBuilder};

use super::error::{SqlError, Stop};
use super::exec::Exec;
use super::value::{Datum, Type, V, compare};

/// A function's own name: what is in a schema other than the system's is not there.
pub(super) fn plain(parts: &[String]) -> Result<String, SqlError> {
    match parts {
        [name] => Ok(name.clone()),
        [schema, name] if schema == "pg_catalog" => Ok(name.clone()),
        [schema, _] if schema != "public" => Err(SqlError::new("3F000", format!("schema \"{schema}\" does not exist"))),
        _ => Err(SqlError::no_function(&parts.join("."))),
    }
}

/// A regular expression. Those of PostgreSQL that this cannot read are refused.
pub(super) fn regex(pattern: &str, fold: bool) -> Result<Regex, SqlError> {
    let wrong = |_| SqlError::new("2201B", format!("invalid regular expression: {pattern}"));
    RegexBuilder::new(pattern).case_insensitive(fold).build().map_err(wrong)
}

/// Whether there is a function of this name.
#[must_use]
pub(super) fn exists(name: &str) -> bool {
    super::aggregate::is(name)
        || text::NAMES.contains(&name)
        || server::NAMES.contains(&name)
        || admin::NAMES.contains(&name)
        || privileges::NAMES.contains(&name)
        || super::tables::NAMES.contains(&name)
        || ANY.contains(&name)
}

/// Functions over whatever type.
const ANY: &[&str] = &["coalesce", "greatest", "least", "nullif", "pg_typeof"];

/// Calls a function.
///
/// # Errors
/// 42883 where there is none of this name that takes such arguments; what the function itself says.
pub(super) fn call(exec: &mut Exec<'_>, name: &str, args: Vec<Datum>) -> Result<Datum, Stop> {
    if ANY.contains(&name) {
        return any(name, args).map_err(Stop::from);
    }
    if text::NAMES.contains(&name) {
        return text::call(name, &args).map_err(Stop::from);
    }
    if super::tables::NAMES.contains(&name) {
        return one(exec, name, &args);
    }
    let known = server::NAMES.contains(&name) || admin::NAMES.contains(&name) || privileges::NAMES.contains(&name);
    if !known {
        return Err(SqlError::no_function(name).into());
    }
    if !exec.dry && !exec.role()?.may_execute(name) {
        return Err(SqlError::denied(&format!("function {name}")).into());
    }
    if server::NAMES.contains(&name) {
        server::call(exec, name, &args)
    } else if admin::NAMES.contains(&name) {
        admin::call(exec, name, &args)
    } else {
        privileges::call(exec, name, &args)
    }
}

/// A function of rows where one value is wanted: its only row's only column.
fn one(exec: &mut Exec<'_>, name: &str, args: &[Datum]) -> Result<Datum, Stop> {
    let relation = super::tables::call(exec, name, args)?;
    match (relation.columns.as_slice(), relation.rows.as_slice()) {
        ([column], []) => Ok(Datum::null(column.ty)),
        ([_], [row]) => Ok(row.first().cloned().unwrap_or(Datum::null(Type::Unknown))),
        _ => Err(SqlError::unsupported("functions of rows in a select list").into()),
    }
}

fn any(name: &str, args: Vec<Datum>) -> Result<Datum, SqlError> {
    // Literals take the type of the others.
    let ty = args.iter().map(|d| d.ty).find(|t| *t != Type::Unknown).unwrap_or(Type::Unknown);
    let wide = |a: Type, b: Type| if a.is_number() && b.is_number() { widest(a, b) } else { a };
    let ty = args.iter().map(|d| d.ty).filter(|t| *t != Type::Unknown).fold(ty, wide);
    match name {
        "pg_typeof" => match args.as_slice() {
            [datum] => {
                let ty = datum.ty;
                Ok(Datum::new(Type::Regtype, V::Int(i64::from(ty.oid()))))
            }
            _ => Err(SqlError::no_function(name)),
        },
        "coalesce" => match args.into_iter().find(|d| !d.is_null()) {
            Some(datum) if datum.ty == Type::Unknown && ty != Type::Unknown => datum.cast(ty),
            Some(datum) => Ok(datum),
            None => Ok(Datum::null(ty)),
        },
        "nullif" => match <[Datum; 2]>::try_from(args) {
            Ok([a, b]) => {
                let same = compare(&a, &b)? == Some(std::cmp::Ordering::Equal);
                Ok(if same { Datum::null(a.ty) } else { a })
            }
            Err(_) => Err(SqlError::no_function(name)),
        },
        _ => {
            let wanted = if name == "greatest" { std::cmp::Ordering::Greater } else { std::cmp::Ordering::Less };
            let mut best: Option<Datum> = None;
            for datum in args.into_iter().filter(|d| !d.is_null()) {
                let datum = if datum.ty == Type::Unknown { datum.cast(ty)? } else { datum };
                let better = match &best {
                    Some(b) => compare(&datum, b)? == Some(wanted),
                    None => true,
                };
                if better {
                    best = Some(datum);
                }
            }
            Ok(best.unwrap_or(Datum::null(ty)))
        }
    }
}

fn widest(a: Type, b: Type) -> Type {
    let rank = |t: Type| match t {
        Type::Float8 => 5,
        Type::Numeric => 4,
        Type::Int8 => 3,
        Type::Int4 | Type::Oid | Type::Xid => 2,
        _ => 1,
    };
    if rank(b) > rank(a) { b } else { a }
}

/// The arguments as values of these types; `None` where one is NULL, as for a strict function.
pub(super) fn typed<const N: usize>(
    name: &str,
    args: &[Datum],
    types: [Type; N],
) -> Result<Option<[Datum; N]>, SqlError> {
    if args.len() != N {
        return Err(SqlError::no_function(name));
    }
    let mut out = Vec::with_capacity(N);
    for (arg, ty) in args.iter().zip(types) {
        if !takes(arg.ty, ty) {
            return Err(SqlError::no_function(name));
        }
        out.push(arg.clone().cast(ty)?);
    }
    if out.iter().any(Datum::is_null) {
        return Ok(None);
    }
    Ok(<[Datum; N]>::try_from(out).ok())
}

/// Whether a value of one type is taken for another without a word.
fn takes(own: Type, wanted: Type) -> bool {
    own == wanted
        || own == Type::Unknown
        || (own.is_text() && wanted.is_text())
        || (own.is_number() && wanted.is_number() && own != Type::Numeric)
        || (own == Type::Numeric && wanted == Type::Float8)
        || (own == Type::Regclass && wanted.is_int())
        || (own.is_int() && wanted == Type::Regclass)
        || (own == Type::NameArray && wanted == Type::TextArray)
}
