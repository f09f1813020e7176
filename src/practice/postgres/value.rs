//! Values with their types, as far as the practice servers know them: how they are written, compared and cast.

use std::cmp::Ordering;

use super::error::SqlError;
pub(super) use super::written::type_named;
use super::written::{array_of, bool_of, decimal_of, interval_of, shown, time_of};
use crate::plan::Lsn;

/// A type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `boolean`
    Bool,
    /// `"char"`
    Char,
    /// `smallint`
    Int2,
    /// `integer`
    Int4,
    /// `bigint`
    Int8,
    /// `numeric`
    Numeric,
    /// `double precision`
    Float8,
    /// `text`
    Text,
    /// `name`
    Name,
    /// `oid`
    Oid,
    /// `xid`
    Xid,
    /// `regclass`
    Regclass,
    /// `regtype`
    Regtype,
    /// `pg_lsn`
    Lsn,
    /// `timestamp with time zone`
    Time,
    /// `interval`
    Interval,
    /// `inet`
    Inet,
    /// `bit`
    Bits,
    /// `bytea`
    Bytes,
    /// `text[]`
    TextArray,
    /// `name[]`
    NameArray,
    /// `integer[]`
    IntArray,
    /// `void`
    Void,
    /// `unknown`: a literal, or NULL.
    Unknown,
}

impl Type {
    /// Its name, as `format_type` gives it; its number in `pg_type`; its length there.
    const fn facts(self) -> (&'static str, u32, i16) {
        match self {
            Self::Bool => ("boolean", 16, 1),
            Self::Bytes => ("bytea", 17, -1),
            Self::Char => ("\"char\"", 18, 1),
            Self::Name => ("name", 19, 64),
            Self::Int8 => ("bigint", 20, 8),
            Self::Int2 => ("smallint", 21, 2),
            Self::Int4 => ("integer", 23, 4),
            Self::Text => ("text", 25, -1),
            Self::Oid => ("oid", 26, 4),
            Self::Xid => ("xid", 28, 4),
            Self::Float8 => ("double precision", 701, 8),
            Self::Unknown => ("unknown", 705, -2),
            Self::Inet => ("inet", 869, -1),
            Self::NameArray => ("name[]", 1003, -1),
            Self::IntArray => ("integer[]", 1007, -1),
            Self::TextArray => ("text[]", 1009, -1),
            Self::Time => ("timestamp with time zone", 1184, 8),
            Self::Interval => ("interval", 1186, 16),
            Self::Bits => ("bit", 1560, -1),
            Self::Numeric => ("numeric", 1700, -1),
            Self::Regclass => ("regclass", 2205, 4),
            Self::Regtype => ("regtype", 2206, 4),
            Self::Void => ("void", 2278, 4),
            Self::Lsn => ("pg_lsn", 3220, 8),
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.facts().0
    }

    /// Its number in `pg_type`.
    #[must_use]
    pub const fn oid(self) -> u32 {
        self.facts().1
    }

    /// Its length there.
    #[must_use]
    pub const fn length(self) -> i16 {
        self.facts().2
    }

    /// All types that have a number in `pg_type`.
    pub const ALL: &'static [Self] = &[
        Self::Bool,
        Self::Bytes,
        Self::Char,
        Self::Name,
        Self::Int8,
        Self::Int2,
        Self::Int4,
        Self::Text,
        Self::Oid,
        Self::Xid,
        Self::Float8,
        Self::Unknown,
        Self::Inet,
        Self::NameArray,
        Self::IntArray,
        Self::TextArray,
        Self::Time,
        Self::Interval,
        Self::Bits,
        Self::Numeric,
        Self::Regclass,
        Self::Regtype,
        Self::Void,
        Self::Lsn,
    ];

    /// Whether its values are texts.
    #[must_use]
    pub const fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Name | Self::Char | Self::Unknown)
    }

    /// Whether its values are whole numbers.
    #[must_use]
    pub const fn is_int(self) -> bool {
        matches!(self, Self::Int2 | Self::Int4 | Self::Int8 | Self::Oid | Self::Xid)
    }

    /// Whether its values are numbers.
    #[must_use]
    pub const fn is_number(self) -> bool {
        self.is_int() || matches!(self, Self::Numeric | Self::Float8)
    }
}

/// What a value is, whatever its type's name.
#[derive(Clone, Debug, PartialEq)]
pub enum V {
    /// NULL.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A decimal number: so many units of ten to the minus `scale`.
    Decimal(i128, u32),
    /// A floating number.
    Float(f64),
    /// A text.
    Text(String),
    /// A position.
    Lsn(Lsn),
    /// Microseconds since 1970.
    Time(i64),
    /// Microseconds.
    Interval(i64),
    /// Bits, the last one lowest, and how many.
    Bits(u64, u32),
    /// Bytes.
    Bytes(Vec<u8>),
    /// An array of one dimension.
    Array(Vec<V>),
}

/// A value with its type.
#[derive(Clone, Debug, PartialEq)]
pub struct Datum {
    /// Its type.
    pub ty: Type,
    /// What it is.
    pub v: V,
}

impl Datum {
    /// A value of a type.
    #[must_use]
    pub const fn new(ty: Type, v: V) -> Self {
        Self { ty, v }
    }

    /// NULL of a type.
    #[must_use]
    pub const fn null(ty: Type) -> Self {
        Self { ty, v: V::Null }
    }

    /// A truth value.
    #[must_use]
    pub const fn bool(b: bool) -> Self {
        Self { ty: Type::Bool, v: V::Bool(b) }
    }

    /// A `bigint`.
    #[must_use]
    pub const fn int(n: i64) -> Self {
        Self { ty: Type::Int8, v: V::Int(n) }
    }

    /// A `text`.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self { ty: Type::Text, v: V::Text(text.into()) }
    }

    /// Whether it is NULL.
    #[must_use]
    pub const fn is_null(&self) -> bool {
        matches!(self.v, V::Null)
    }

    /// As the server writes it in the text format; `None` for NULL.
    #[must_use]
    pub fn shown(&self) -> Option<String> {
        match (&self.v, self.ty) {
            (V::Int(n), Type::Regtype) => Some(
                Type::ALL
                    .iter()
                    .find(|t| i64::from(t.oid()) == *n)
                    .map_or_else(|| n.to_string(), |t| t.name().to_owned()),
            ),
            _ => shown(&self.v),
        }
    }

    /// The text of a text; else as it is shown.
    #[must_use]
    pub fn as_text(&self) -> Option<String> {
        self.shown()
    }

    /// A whole number.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match &self.v {
            V::Int(n) => Some(*n),
            V::Decimal(units, scale) => i64::try_from(units / 10_i128.checked_pow(*scale)?).ok(),
            V::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// A number.
    #[must_use]
    pub fn as_float(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "what a float is")]
        match &self.v {
            V::Int(n) => Some(*n as f64),
            V::Float(n) => Some(*n),
            V::Decimal(units, scale) => Some(*units as f64 / 10_f64.powi(i32::try_from(*scale).ok()?)),
            V::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// A truth value; a text is read as one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match &self.v {
            V::Bool(b) => Some(*b),
            V::Text(text) => bool_of(text),
            _ => None,
        }
    }

    /// A decimal number: units and scale.
    #[must_use]
    pub fn as_decimal(&self) -> Option<(i128, u32)> {
        match &self.v {
            V::Int(n) => Some((i128::from(*n), 0)),
            V::Decimal(units, scale) => Some((*units, *scale)),
            V::Text(text) => decimal_of(text),
            _ => None,
        }
    }

    /// Cast to a type, as `CAST` does.
    ///
    /// # Errors
    /// 22P02 for a text that is none, 42846 where there is no such cast, 22003 for what is out of range.
    pub fn cast(self, to: Type) -> Result<Self, SqlError> {
        if self.is_null() {
            return Ok(Self::null(to));
        }
        if self.ty == to {
            return Ok(self);
        }
        let from = self.ty;
        let no = || SqlError::new("42846", format!("cannot cast type {} to {}", from.name(), to.name()));
        let range = || SqlError::new("22003", format!("{} out of range", to.name()));
        let text = self.shown().unwrap_or_default();
        let bad = || SqlError::bad_text(to.name(), &text);
        let textual = from.is_text();
        let v = match to {
            Type::Text | Type::Name | Type::Char | Type::Unknown => V::Text(text),
            Type::Bool => match self.v {
                V::Bool(b) => V::Bool(b),
                V::Int(n) => V::Bool(n != 0),
                V::Text(_) => V::Bool(bool_of(&text).ok_or_else(bad)?),
                _ => return Err(no()),
            },
            Type::Int2 | Type::Int4 | Type::Int8 | Type::Oid | Type::Xid => {
                let n = match self.v {
                    V::Bool(b) => i64::from(b),
                    V::Int(n) => n,
                    V::Bits(bits, width) => signed(bits, width, to),
                    V::Decimal(units, scale) => i64::try_from(rounded(units, scale)).map_err(|_| range())?,
                    #[expect(clippy::cast_possible_truncation, reason = "checked right after")]
                    V::Float(f) if f.abs() < 9.0e18 => f.round_ties_even() as i64,
                    V::Text(_) => text.trim().parse().map_err(|_| bad())?,
                    _ => return Err(no()),
                };
                let (least, most) = match to {
                    Type::Int2 => (i64::from(i16::MIN), i64::from(i16::MAX)),
                    Type::Int4 => (i64::from(i32::MIN), i64::from(i32::MAX)),
                    Type::Oid | Type::Xid => (0, i64::from(u32::MAX)),
                    _ => (i64::MIN, i64::MAX),
                };
                if n < least || n > most {
                    return Err(range());
                }
                V::Int(n)
            }
            Type::Numeric => match self.as_decimal() {
                Some((units, scale)) => V::Decimal(units, scale),
                None if from == Type::Float8 => decimal_of(&text).map(|(u, s)| V::Decimal(u, s)).ok_or_else(bad)?,
                None if textual => return Err(bad()),
                None => return Err(no()),
            },
            Type::Float8 => V::Float(self.as_float().ok_or_else(|| if textual { bad() } else { no() })?),
            Type::Lsn if textual => V::Lsn(text.parse().map_err(|_| bad())?),
            Type::Time if textual => V::Time(time_of(&text).ok_or_else(|| SqlError::new("22007", bad().message))?),
            Type::Interval if textual => {
                V::Interval(interval_of(&text).ok_or_else(|| SqlError::new("22007", bad().message))?)
            }
            Type::Inet if textual => match text.split('/').next().and_then(|a| a.parse::<std::net::IpAddr>().ok()) {
                Some(_) => V::Text(text),
                None => return Err(bad()),
            },
            Type::Bits if textual => {
                let hex = text.strip_prefix(['x', 'X']);
                let bits = match hex {
                    Some(hex) => u64::from_str_radix(hex, 16).ok().zip(u32::try_from(hex.len() * 4).ok()),
                    None => u64::from_str_radix(&text, 2).ok().zip(u32::try_from(text.len()).ok()),
                };
                let (bits, width) =
                    bits.ok_or_else(|| SqlError::new("22P02", format!("\"{text}\" is not a valid bit string")))?;
                V::Bits(bits, width)
            }
            Type::Bytes if textual => V::Bytes(text.into_bytes()),
            Type::TextArray | Type::NameArray | Type::IntArray => match self.v {
                V::Array(items) => V::Array(items),
                V::Text(_) => V::Array(
                    array_of(&text)
                        .ok_or_else(|| SqlError::new("22P02", format!("malformed array literal: \"{text}\"")))?,
                ),
                _ => return Err(no()),
            },
            Type::Regclass | Type::Regtype => match self.v {
                V::Int(n) => V::Int(n),
                V::Text(_) => match (text.parse::<i64>(), to) {
                    (Ok(n), _) => V::Int(n),
                    (Err(_), Type::Regtype) => {
                        let ty = type_named(&text)
                            .ok_or_else(|| SqlError::new("42704", format!("type \"{text}\" does not exist")))?;
                        V::Int(i64::from(ty.oid()))
                    }
                    (Err(_), _) => return Err(no()),
                },
                _ => return Err(no()),
            },
            Type::Lsn | Type::Time | Type::Interval | Type::Inet | Type::Bits | Type::Bytes | Type::Void => {
                return Err(no());
            }
        };
        Ok(Self { ty: to, v })
    }
}

/// Bits as a number: of 32 bits, and of 64, the highest is the sign.
fn signed(bits: u64, width: u32, to: Type) -> i64 {
    match (width, to) {
        (32, Type::Int4) => i64::from(u32::try_from(bits & 0xFFFF_FFFF).unwrap_or(0).cast_signed()),
        _ => bits.cast_signed(),
    }
}

/// A decimal number to the nearest whole one, halves away from zero.
fn rounded(units: i128, scale: u32) -> i128 {
    let Some(one) = 10_i128.checked_pow(scale) else { return 0 };
    let half = one / 2;
    (units + if units < 0 { -half } else { half }) / one
}

/// Compares two values: `None` where one is NULL.
///
/// # Errors
/// 42883 where there is no such comparison.
pub fn compare(a: &Datum, b: &Datum) -> Result<Option<Ordering>, SqlError> {
    if a.is_null() || b.is_null() {
        return Ok(None);
    }
    let none = || SqlError::new("42883", format!("operator does not exist: {} = {}", a.ty.name(), b.ty.name()));
    Ok(Some(match (&a.v, &b.v) {
        (V::Text(x), V::Text(y)) => x.cmp(y),
        (V::Bool(x), V::Bool(y)) => x.cmp(y),
        (V::Int(x), V::Int(y)) => x.cmp(y),
        (V::Lsn(x), V::Lsn(y)) => x.cmp(y),
        (V::Time(x), V::Time(y)) | (V::Interval(x), V::Interval(y)) => x.cmp(y),
        (V::Bits(x, _), V::Bits(y, _)) => x.cmp(y),
        (V::Bytes(x), V::Bytes(y)) => x.cmp(y),
        (V::Array(x), V::Array(y)) => return arrays(x, y).map(Some),
        // A literal takes the type of what it is compared with.
        (V::Text(_), _) if a.ty == Type::Unknown => return compare(&a.clone().cast(b.ty)?, b),
        (_, V::Text(_)) if b.ty == Type::Unknown => return compare(a, &b.clone().cast(a.ty)?),
        _ if a.ty.is_number() && b.ty.is_number() => {
            if let (Some((x, sx)), Some((y, sy))) = (a.as_decimal(), b.as_decimal()) {
                let (x, y) = level((x, sx), (y, sy)).ok_or_else(none)?;
                x.cmp(&y)
            } else {
                a.as_float().zip(b.as_float()).and_then(|(x, y)| x.partial_cmp(&y)).ok_or_else(none)?
            }
        }
        _ => return Err(none()),
    }))
}

fn arrays(x: &[V], y: &[V]) -> Result<Ordering, SqlError> {
    for (a, b) in x.iter().zip(y) {
        let (a, b) = (Datum::new(Type::Unknown, a.clone()), Datum::new(Type::Unknown, b.clone()));
        match compare(&a, &b)? {
            Some(Ordering::Equal) | None => {}
            Some(other) => return Ok(other),
        }
    }
    Ok(x.len().cmp(&y.len()))
}

/// Two decimal numbers in the same units.
pub(super) fn level(a: (i128, u32), b: (i128, u32)) -> Option<(i128, i128)> {
    let scale = a.1.max(b.1);
    let up = |(units, own): (i128, u32)| units.checked_mul(10_i128.checked_pow(scale - own)?);
    up(a).zip(up(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(v: V) -> String {
        shown(&v).unwrap()
    }

    #[test]
    fn values_are_written_as_postgres_writes_them() {
        assert_eq!(text(V::Decimal(1_764_370_000_123_456, 6)), "1764370000.123456");
        assert_eq!(text(V::Decimal(-5, 2)), "-0.05");
        assert_eq!(text(V::Time(0)), "1970-01-01 00:00:00+00");
        assert_eq!(text(V::Time(1_500_000)), "1970-01-01 00:00:01.5+00");
        assert_eq!(text(V::Interval(93_784_500_000)), "1 day 02:03:04.5");
        assert_eq!(text(V::Float(1.0)), "1");
        assert_eq!(text(V::Bits(5, 4)), "0101");
        assert_eq!(text(V::Array(vec![V::Text("a b".into()), V::Null, V::Int(3)])), "{\"a b\",NULL,3}");
        assert_eq!(Datum::new(Type::Regtype, V::Int(1184)).shown().unwrap(), "timestamp with time zone");
    }

    #[test]
    fn casts_are_those_of_postgres() {
        let literal = |s: &str| Datum::new(Type::Unknown, V::Text(s.into()));
        // The timeline out of a log file's name.
        let bits = literal("x0000001F").cast(Type::Bits).unwrap();
        assert_eq!(bits.cast(Type::Int4).unwrap().v, V::Int(31));
        assert_eq!(literal("1/2A").cast(Type::Lsn).unwrap().v, V::Lsn(Lsn(0x1_0000_002A)));
        assert_eq!(literal("nope").cast(Type::Int4).unwrap_err().code, "22P02");
        assert_eq!(literal("3000000000").cast(Type::Int4).unwrap_err().code, "22003");
        assert_eq!(Datum::bool(true).cast(Type::Lsn).unwrap_err().code, "42846");
        assert_eq!(
            literal("2026-01-02 03:04:05.5+00").cast(Type::Time).unwrap().shown().unwrap(),
            "2026-01-02 03:04:05.5+00"
        );
        assert_eq!(literal("1 day 2 hours").cast(Type::Interval).unwrap().v, V::Interval(93_600_000_000));
        assert_eq!(
            literal("{a,\"b,c\",NULL}").cast(Type::TextArray).unwrap().v,
            V::Array(vec![V::Text("a".into()), V::Text("b,c".into()), V::Null])
        );
        assert_eq!(Datum::null(Type::Text).cast(Type::Int4).unwrap(), Datum::null(Type::Int4));
    }

    #[test]
    fn literals_take_the_type_of_the_other_side() {
        let literal = |s: &str| Datum::new(Type::Unknown, V::Text(s.into()));
        assert_eq!(compare(&Datum::int(5), &literal("5")).unwrap(), Some(Ordering::Equal));
        assert_eq!(
            compare(&Datum::int(5), &Datum::new(Type::Numeric, V::Decimal(45, 1))).unwrap(),
            Some(Ordering::Greater)
        );
        assert_eq!(compare(&Datum::int(5), &Datum::null(Type::Int4)).unwrap(), None);
        assert_eq!(compare(&Datum::int(5), &Datum::bool(true)).unwrap_err().code, "42883");
    }
}
