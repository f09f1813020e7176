//! Values as texts: how they are written, and read.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::value::{Type, V};

/// As the server writes it in the text format; `None` for NULL.
pub(super) fn shown(v: &V) -> Option<String> {
    Some(match v {
        V::Null => return None,
        V::Bool(b) => if *b { "t" } else { "f" }.to_owned(),
        V::Int(n) => n.to_string(),
        V::Decimal(units, scale) => decimal(*units, *scale),
        V::Float(f) if f.is_infinite() => if *f > 0.0 { "Infinity" } else { "-Infinity" }.to_owned(),
        V::Float(f) => f.to_string(),
        V::Text(text) => text.clone(),
        V::Lsn(lsn) => lsn.to_string(),
        V::Time(micros) => time(*micros),
        V::Interval(micros) => interval(*micros),
        V::Bits(bits, width) => (0..*width).rev().map(|n| if bits >> n & 1 == 1 { '1' } else { '0' }).collect(),
        V::Bytes(bytes) => bytes.iter().fold("\\x".to_owned(), |mut hex, b| {
            // Writing to a text cannot fail.
            let _ = write!(hex, "{b:02x}");
            hex
        }),
        V::Array(items) => format!("{{{}}}", items.iter().map(item).collect::<Vec<_>>().join(",")),
    })
}

fn item(v: &V) -> String {
    let Some(text) = shown(v) else { return "NULL".to_owned() };
    let plain = !text.is_empty()
        && !text.eq_ignore_ascii_case("null")
        && !text.contains(|c: char| "{}\",\\".contains(c) || c.is_whitespace());
    if plain { text } else { format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")) }
}

fn decimal(units: i128, scale: u32) -> String {
    let Some(one) = 10_i128.checked_pow(scale).filter(|_| scale > 0) else { return units.to_string() };
    let sign = if units < 0 { "-" } else { "" };
    let (whole, part) = (units.abs() / one, units.abs() % one);
    format!("{sign}{whole}.{part:0width$}", width = usize::try_from(scale).unwrap_or(0))
}

/// `2026-11-28 23:10:05.123456+00`: always UTC, the servers' time zone.
fn time(micros: i64) -> String {
    let Some(at) = DateTime::<Utc>::from_timestamp_micros(micros) else { return "infinity".to_owned() };
    let whole = at.format("%Y-%m-%d %H:%M:%S").to_string();
    let part = format!("{:06}", micros.rem_euclid(1_000_000));
    let part = part.trim_end_matches('0');
    if part.is_empty() { format!("{whole}+00") } else { format!("{whole}.{part}+00") }
}

/// `1 day 02:03:04.5`.
fn interval(micros: i64) -> String {
    let (days, rest) = (micros / 86_400_000_000, micros % 86_400_000_000);
    let sign = if rest < 0 { "-" } else { "" };
    let rest = rest.abs();
    let (seconds, part) = (rest / 1_000_000, rest % 1_000_000);
    let clock = format!("{sign}{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let part = format!("{part:06}");
    let part = part.trim_end_matches('0');
    let clock = if part.is_empty() { clock } else { format!("{clock}.{part}") };
    match days {
        0 => clock,
        1 | -1 => format!("{days} day {clock}"),
        _ => format!("{days} days {clock}"),
    }
}

pub(super) fn bool_of(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "t" | "true" | "y" | "yes" | "on" | "1" => Some(true),
        "f" | "false" | "n" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// `-12.340` as units and scale.
pub(super) fn decimal_of(text: &str) -> Option<(i128, u32)> {
    let text = text.trim();
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if !part.bytes().all(|b| b.is_ascii_digit()) || part.len() > 20 {
        return None;
    }
    let units: i128 = format!("{whole}{part}").parse().ok()?;
    Some((units, u32::try_from(part.len()).ok()?))
}

pub(super) fn time_of(text: &str) -> Option<i64> {
    let text = text.trim();
    let full = |t: &str| DateTime::parse_from_str(t, "%Y-%m-%d %H:%M:%S%.f%#z").ok();
    let at = full(text)
        .or_else(|| DateTime::parse_from_rfc3339(text).ok())
        .or_else(|| full(&format!("{text}+00")))
        .or_else(|| full(&format!("{text} 00:00:00+00")));
    at.map(|at| at.timestamp_micros())
}

/// `5 minutes`, `1 day 2 hours`, `00:01:00`.
pub(super) fn interval_of(text: &str) -> Option<i64> {
    let mut total = 0.0_f64;
    let mut words = text.split_whitespace();
    let mut any = false;
    while let Some(word) = words.next() {
        any = true;
        if word.contains(':') {
            let parts: Vec<f64> = word.split(':').map(|p| p.parse().ok()).collect::<Option<_>>()?;
            total += parts.iter().fold(0.0, |sum, p| sum * 60.0 + p) * if parts.len() == 2 { 60.0 } else { 1.0 };
            continue;
        }
        let number: f64 = word.parse().ok()?;
        let unit = words.next().unwrap_or("seconds").to_ascii_lowercase();
        total += number
            * match unit.trim_end_matches('s') {
                "microsecond" | "u" => 1e-6,
                "millisecond" | "m" => 1e-3,
                "" | "second" | "sec" => 1.0,
                "minute" | "min" => 60.0,
                "hour" | "hr" | "h" => 3_600.0,
                "day" | "d" => 86_400.0,
                "week" | "w" => 604_800.0,
                _ => return None,
            };
    }
    #[expect(clippy::cast_possible_truncation, reason = "an interval of an example, far below the limit")]
    let micros = (total * 1e6).round() as i64;
    any.then_some(micros)
}

/// `{a,"b c",NULL}`.
pub(super) fn array_of(text: &str) -> Option<Vec<V>> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut items = Vec::new();
    let mut chars = inner.chars().peekable();
    if chars.peek().is_none() {
        return Some(items);
    }
    loop {
        let mut word = String::new();
        let mut quoted = false;
        loop {
            match chars.next() {
                Some('"') => {
                    quoted = !quoted;
                    if quoted {
                        word.push('\u{0}');
                    }
                }
                Some('\\') => word.push(chars.next()?),
                Some(',') if !quoted => break,
                Some(c) => word.push(c),
                None if quoted => return None,
                None => {
                    items.push(array_item(&word));
                    return Some(items);
                }
            }
        }
        items.push(array_item(&word));
    }
}

fn array_item(word: &str) -> V {
    if word.trim().eq_ignore_ascii_case("null") { V::Null } else { V::Text(word.replace('\u{0}', "")) }
}

/// A type by one of its names.
#[must_use]
pub fn type_named(name: &str) -> Option<Type> {
    let name = name.trim().to_ascii_lowercase();
    let name = name.strip_prefix("pg_catalog.").unwrap_or(&name);
    let alias = match name {
        "bool" => Type::Bool,
        "int" | "int4" | "serial" => Type::Int4,
        "int8" | "bigserial" => Type::Int8,
        "int2" => Type::Int2,
        "float" | "float8" | "double" | "real" | "float4" => Type::Float8,
        "decimal" => Type::Numeric,
        "varchar" | "character varying" | "bpchar" | "character" => Type::Text,
        "timestamptz" | "timestamp" => Type::Time,
        "varbit" | "bit varying" => Type::Bits,
        "char" => Type::Char,
        "_text" => Type::TextArray,
        _ => return Type::ALL.iter().copied().find(|t| t.name() == name),
    };
    Some(alias)
}
