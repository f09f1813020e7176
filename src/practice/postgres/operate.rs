//! Operators over values: comparing, joining, matching, and arithmetic.

use std::cmp::Ordering;

use sqlparser::ast::{BinaryOperator, DateTimeField, UnaryOperator};

use super::error::SqlError;
use super::functions;
use super::value::{Datum, Type, V, compare, level};

/// A truth value: a literal is read as one.
pub(super) fn truth(datum: &Datum) -> Result<Option<bool>, SqlError> {
    match (&datum.v, datum.ty) {
        (V::Null, _) => Ok(None),
        (V::Bool(b), _) => Ok(Some(*b)),
        (V::Text(text), Type::Unknown) => datum.as_bool().map(Some).ok_or_else(|| SqlError::bad_text("boolean", text)),
        _ => {
            Err(SqlError::new("42804", format!("argument of WHERE must be type boolean, not type {}", datum.ty.name())))
        }
    }
}

pub(super) fn truth_datum(held: Option<bool>) -> Datum {
    held.map_or(Datum::null(Type::Bool), Datum::bool)
}

pub(super) fn negate(held: Option<bool>, negated: bool) -> Datum {
    truth_datum(held.map(|b| b != negated))
}

pub(super) const fn and(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

/// Whether a value is among others, as `IN` says it: NULL where that cannot be told.
pub(super) fn among(own: &Datum, items: &[Datum], fits: fn(Ordering) -> bool) -> Result<Option<bool>, SqlError> {
    let mut unknown = false;
    for item in items {
        match compare(own, item)? {
            Some(order) if fits(order) => return Ok(Some(true)),
            Some(_) => {}
            None => unknown = true,
        }
    }
    Ok((!unknown).then_some(false))
}

pub(super) fn match_any(own: &Datum, op: &BinaryOperator, items: &[Datum]) -> Result<Option<bool>, SqlError> {
    let mut any = Some(false);
    for item in items {
        let held = truth(&operate(own, op, item)?)?;
        any = and(any.map(|x| !x), held.map(|x| !x)).map(|x| !x);
    }
    Ok(any)
}

/// `LIKE`, with `%`, `_` and a backslash before either.
pub(super) fn like(own: &Datum, pattern: &Datum, fold: bool) -> Option<bool> {
    let (mut text, mut pattern) = (own.as_text()?, pattern.as_text()?);
    if fold {
        (text, pattern) = (text.to_lowercase(), pattern.to_lowercase());
    }
    let text: Vec<char> = text.chars().collect();
    let mut want: Vec<Option<char>> = Vec::new();
    let mut any: Vec<bool> = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        let (one, many) = match c {
            '%' => (None, true),
            '_' => (None, false),
            '\\' => (chars.next(), false),
            c => (Some(c), false),
        };
        want.push(one);
        any.push(many);
    }
    // Which prefixes of the text the pattern so far can be.
    let mut reach = vec![false; text.len() + 1];
    if let Some(first) = reach.first_mut() {
        *first = true;
    }
    for (one, many) in want.iter().zip(&any) {
        let mut next = vec![false; reach.len()];
        let mut open = false;
        for (at, slot) in next.iter_mut().enumerate() {
            let here = reach.get(at).copied().unwrap_or(false);
            if *many {
                open |= here;
                *slot = open;
            } else {
                let before = at.checked_sub(1).and_then(|n| reach.get(n)).copied().unwrap_or(false);
                let char = at.checked_sub(1).and_then(|n| text.get(n));
                *slot = before && (one.is_none() || one.as_ref() == char);
            }
        }
        reach = next;
    }
    reach.last().copied()
}

pub(super) fn unary(op: &UnaryOperator, datum: &Datum) -> Result<Datum, SqlError> {
    match op {
        UnaryOperator::Not => Ok(truth_datum(truth(datum)?.map(|b| !b))),
        UnaryOperator::Plus => Ok(datum.clone()),
        UnaryOperator::Minus => operate(&Datum::new(Type::Int4, V::Int(0)), &BinaryOperator::Minus, datum),
        _ => Err(SqlError::unsupported("such an operator")),
    }
}

/// The operator itself, where it is named with its schema.
fn plain_operator(names: &[String]) -> Option<BinaryOperator> {
    Some(match names.last()?.as_str() {
        "~" => BinaryOperator::PGRegexMatch,
        "!~" => BinaryOperator::PGRegexNotMatch,
        "~*" => BinaryOperator::PGRegexIMatch,
        "=" => BinaryOperator::Eq,
        "<>" => BinaryOperator::NotEq,
        "~~" => BinaryOperator::PGLikeMatch,
        _ => return None,
    })
}

/// An operator over two values.
pub(super) fn operate(a: &Datum, op: &BinaryOperator, b: &Datum) -> Result<Datum, SqlError> {
    use BinaryOperator as B;
    let ordered = |fits: fn(Ordering) -> bool| -> Result<Datum, SqlError> { Ok(truth_datum(compare(a, b)?.map(fits))) };
    match op {
        B::PGCustomBinaryOperator(names) => {
            let plain = plain_operator(names).ok_or_else(|| SqlError::unsupported("such an operator"))?;
            operate(a, &plain, b)
        }
        B::Eq => ordered(Ordering::is_eq),
        B::NotEq => ordered(Ordering::is_ne),
        B::Lt => ordered(Ordering::is_lt),
        B::LtEq => ordered(Ordering::is_le),
        B::Gt => ordered(Ordering::is_gt),
        B::GtEq => ordered(Ordering::is_ge),
        B::StringConcat => {
            if let (V::Array(x), Type::TextArray | Type::NameArray | Type::IntArray) = (&a.v, a.ty) {
                let more = if let V::Array(y) = &b.v { y.clone() } else { vec![b.v.clone()] };
                return Ok(Datum::new(a.ty, V::Array(x.iter().cloned().chain(more).collect())));
            }
            let both = a.as_text().zip(b.as_text());
            Ok(both.map_or(Datum::null(Type::Text), |(x, y)| Datum::text(x + &y)))
        }
        B::PGRegexMatch | B::PGRegexNotMatch | B::PGRegexIMatch | B::PGRegexNotIMatch => {
            let Some((text, pattern)) = a.as_text().zip(b.as_text()) else { return Ok(Datum::null(Type::Bool)) };
            let fold = matches!(op, B::PGRegexIMatch | B::PGRegexNotIMatch);
            let held = functions::regex(&pattern, fold)?.is_match(&text);
            Ok(Datum::bool(held == matches!(op, B::PGRegexMatch | B::PGRegexIMatch)))
        }
        B::PGLikeMatch => Ok(truth_datum(like(a, b, false))),
        B::PGILikeMatch => Ok(truth_datum(like(a, b, true))),
        B::PGNotLikeMatch => Ok(negate(like(a, b, false), true)),
        B::PGNotILikeMatch => Ok(negate(like(a, b, true), true)),
        B::Plus | B::Minus | B::Multiply | B::Divide | B::Modulo => arithmetic(a, op, b),
        B::PGBitwiseShiftLeft | B::PGBitwiseShiftRight | B::BitwiseOr | B::BitwiseAnd => {
            let Some((x, y)) = a.as_int().zip(b.as_int()) else { return Ok(Datum::null(a.ty)) };
            let by = u32::try_from(y).unwrap_or(u32::MAX);
            let n = match op {
                B::PGBitwiseShiftLeft => x.checked_shl(by).unwrap_or(0),
                B::PGBitwiseShiftRight => x.checked_shr(by).unwrap_or(0),
                B::BitwiseOr => x | y,
                _ => x & y,
            };
            Ok(Datum::new(if a.ty.is_int() && a.ty != Type::Oid { a.ty } else { Type::Int8 }, V::Int(n)))
        }
        _ => Err(SqlError::unsupported(&format!("the operator {op}"))),
    }
}

fn arithmetic(a: &Datum, op: &BinaryOperator, b: &Datum) -> Result<Datum, SqlError> {
    use BinaryOperator as B;
    let none = || SqlError::new("42883", format!("operator does not exist: {} {op} {}", a.ty.name(), b.ty.name()));
    let range = || SqlError::new("22003", "value out of range");
    // What a literal beside a time is: to be taken from it a time, to be added an interval.
    let kind = |d: &Datum, other: Type| match (d.ty, other) {
        (Type::Unknown, Type::Time) if *op == B::Minus => Type::Time,
        (Type::Unknown, Type::Time) => Type::Interval,
        (Type::Unknown, other) if other != Type::Unknown => other,
        (own, _) => own,
    };
    let (a, b) = (a.clone().cast(kind(a, b.ty))?, b.clone().cast(kind(b, a.ty))?);
    let ty = match (a.ty, op, b.ty) {
        (Type::Time, B::Minus, Type::Time) => Type::Interval,
        (Type::Time, B::Plus | B::Minus, Type::Interval) | (Type::Interval, B::Plus, Type::Time) => Type::Time,
        (Type::Interval, B::Plus | B::Minus, Type::Interval) => Type::Interval,
        (Type::Interval, B::Multiply | B::Divide, other) if other.is_number() => Type::Interval,
        (Type::Lsn, B::Minus, Type::Lsn) => Type::Numeric,
        (x, _, y) if x.is_number() && y.is_number() => {
            if x == Type::Float8 || y == Type::Float8 {
                Type::Float8
            } else if x == Type::Numeric || y == Type::Numeric {
                Type::Numeric
            } else if x == Type::Int8 || y == Type::Int8 || x == Type::Oid {
                Type::Int8
            } else {
                Type::Int4
            }
        }
        _ => return Err(none()),
    };
    if a.is_null() || b.is_null() {
        return Ok(Datum::null(ty));
    }
    let zero = || SqlError::new("22012", "division by zero");
    let v = match (&a.v, &b.v, ty) {
        (V::Time(x) | V::Interval(x), V::Time(y) | V::Interval(y), Type::Time | Type::Interval) => {
            let n = if *op == B::Minus { x.checked_sub(*y) } else { x.checked_add(*y) }.ok_or_else(range)?;
            if ty == Type::Time { V::Time(n) } else { V::Interval(n) }
        }
        (V::Interval(x), _, Type::Interval) => {
            let by = b.as_float().ok_or_else(none)?;
            if *op == B::Divide && by == 0.0 {
                return Err(zero());
            }
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                reason = "an interval of a person's question"
            )]
            let n = (*x as f64 * if *op == B::Divide { 1.0 / by } else { by }) as i64;
            V::Interval(n)
        }
        (V::Lsn(x), V::Lsn(y), _) => V::Decimal(i128::from(x.0) - i128::from(y.0), 0),
        (_, _, Type::Float8) => {
            let (x, y) = a.as_float().zip(b.as_float()).ok_or_else(none)?;
            V::Float(match op {
                B::Plus => x + y,
                B::Minus => x - y,
                B::Multiply => x * y,
                _ if y == 0.0 => return Err(zero()),
                B::Divide => x / y,
                _ => x % y,
            })
        }
        (_, _, Type::Numeric) => {
            let (x, y) = a.as_decimal().zip(b.as_decimal()).ok_or_else(none)?;
            decimal(x, op, y)?
        }
        (V::Int(x), V::Int(y), _) => {
            let n = match op {
                B::Plus => x.checked_add(*y),
                B::Minus => x.checked_sub(*y),
                B::Multiply => x.checked_mul(*y),
                _ if *y == 0 => return Err(zero()),
                B::Divide => x.checked_div(*y),
                _ => x.checked_rem(*y),
            };
            return Datum::int(n.ok_or_else(range)?).cast(ty);
        }
        _ => return Err(none()),
    };
    Ok(Datum::new(ty, v))
}

fn decimal(a: (i128, u32), op: &BinaryOperator, b: (i128, u32)) -> Result<V, SqlError> {
    use BinaryOperator as B;
    let range = || SqlError::new("22003", "numeric field overflow");
    if *op == B::Multiply {
        return Ok(V::Decimal(a.0.checked_mul(b.0).ok_or_else(range)?, a.1 + b.1));
    }
    let scale = a.1.max(b.1);
    let (x, y) = level(a, b).ok_or_else(range)?;
    match op {
        B::Plus => Ok(V::Decimal(x.checked_add(y).ok_or_else(range)?, scale)),
        B::Minus => Ok(V::Decimal(x.checked_sub(y).ok_or_else(range)?, scale)),
        _ if y == 0 => Err(SqlError::new("22012", "division by zero")),
        B::Modulo => Ok(V::Decimal(x % y, scale)),
        // As many digits as the real one gives for everyday numbers.
        _ => Ok(V::Decimal(x.checked_mul(10_i128.pow(16)).ok_or_else(range)? / y, 16)),
    }
}

/// `extract`: a number of seconds with its microseconds, or a part of a date.
pub(super) fn extract(field: &DateTimeField, datum: &Datum) -> Result<Datum, SqlError> {
    use chrono::{Datelike as _, Timelike as _};
    let datum =
        if datum.ty == Type::Unknown && !datum.is_null() { datum.clone().cast(Type::Time)? } else { datum.clone() };
    let micros = match (&datum.v, datum.ty) {
        (V::Null, Type::Time | Type::Interval | Type::Unknown) => return Ok(Datum::null(Type::Numeric)),
        (V::Time(n) | V::Interval(n), _) => *n,
        _ => {
            return Err(SqlError::new(
                "42883",
                format!("function pg_catalog.extract(unknown, {}) does not exist", datum.ty.name()),
            ));
        }
    };
    let whole = |n: i64| Ok(Datum::new(Type::Numeric, V::Decimal(i128::from(n), 0)));
    if *field == DateTimeField::Epoch {
        return Ok(Datum::new(Type::Numeric, V::Decimal(i128::from(micros), 6)));
    }
    let Some(at) = chrono::DateTime::from_timestamp_micros(micros).filter(|_| datum.ty == Type::Time) else {
        return Err(SqlError::unsupported("this field of an interval"));
    };
    match field {
        DateTimeField::Year => whole(i64::from(at.year())),
        DateTimeField::Month => whole(i64::from(at.month())),
        DateTimeField::Day => whole(i64::from(at.day())),
        DateTimeField::Hour => whole(i64::from(at.hour())),
        DateTimeField::Minute => whole(i64::from(at.minute())),
        DateTimeField::Second => {
            Ok(Datum::new(Type::Numeric, V::Decimal(i128::from(micros.rem_euclid(60_000_000)), 6)))
        }
        _ => Err(SqlError::unsupported("this field of a time")),
    }
}
