//! Functions of texts, numbers, arrays and bytes: those that depend on nothing but their arguments.

use base64::Engine as _;

use super::{regex, typed};
use crate::practice::postgres::error::SqlError;
use crate::practice::postgres::value::{Datum, Type, V};

pub(super) const NAMES: &[&str] = &[
    "abs",
    "array_length",
    "array_to_string",
    "ascii",
    "btrim",
    "cardinality",
    "ceil",
    "ceiling",
    "char_length",
    "chr",
    "concat",
    "concat_ws",
    "convert_from",
    "convert_to",
    "date_trunc",
    "decode",
    "encode",
    "floor",
    "format_type",
    "host",
    "left",
    "length",
    "lower",
    "lpad",
    "ltrim",
    "md5",
    "mod",
    "octet_length",
    "pg_size_pretty",
    "pg_wal_lsn_diff",
    "quote_ident",
    "quote_literal",
    "regexp_replace",
    "regexp_split_to_array",
    "repeat",
    "replace",
    "reverse",
    "right",
    "round",
    "rpad",
    "rtrim",
    "sha256",
    "split_part",
    "starts_with",
    "string_to_array",
    "strpos",
    "substr",
    "substring",
    "text",
    "to_hex",
    "trunc",
    "upper",
];

use Type::{Bytes, Float8, Int4, Int8, Interval, Lsn, Numeric, Oid, Text, TextArray, Time};

fn chars(text: &str) -> Vec<char> {
    text.chars().collect()
}

fn length(n: usize) -> Datum {
    Datum::new(Int4, V::Int(i64::try_from(n).unwrap_or(i64::MAX)))
}

/// `lower(x)` and its like.
fn of_text(name: &str, args: &[Datum], f: impl FnOnce(String) -> Datum, null: Type) -> Result<Datum, SqlError> {
    // Whatever is not a text is none for these.
    let text = typed(name, args, [Text])?.and_then(|[a]| a.as_text());
    Ok(text.map_or(Datum::null(null), f))
}

/// Functions of a text and a number.
fn text_and_int(name: &str, args: &[Datum], f: impl FnOnce(&[char], i64) -> String) -> Result<Datum, SqlError> {
    let Some([text, n]) = typed(name, args, [Text, Int4])? else { return Ok(Datum::null(Text)) };
    let (text, n) = (text.as_text().unwrap_or_default(), n.as_int().unwrap_or(0));
    Ok(Datum::text(f(&chars(&text), n)))
}

/// Functions of two texts.
fn two_texts(name: &str, args: &[Datum]) -> Result<Option<(String, String)>, SqlError> {
    Ok(typed(name, args, [Text, Text])?.and_then(|[a, b]| a.as_text().zip(b.as_text())))
}

fn usize_of(n: i64) -> usize {
    usize::try_from(n).unwrap_or(0)
}

pub(super) fn call(name: &str, args: &[Datum]) -> Result<Datum, SqlError> {
    let null = || Datum::null(Text);
    Ok(match name {
        "lower" => of_text(name, args, |t| Datum::text(t.to_lowercase()), Text)?,
        "upper" => of_text(name, args, |t| Datum::text(t.to_uppercase()), Text)?,
        "reverse" => of_text(name, args, |t| Datum::text(t.chars().rev().collect::<String>()), Text)?,
        "quote_ident" => of_text(name, args, |t| Datum::text(quote_ident(&t)), Text)?,
        "quote_literal" => of_text(name, args, |t| Datum::text(quote_literal(&t)), Text)?,
        "ascii" => of_text(
            name,
            args,
            |t| Datum::new(Int4, V::Int(t.chars().next().map_or(0, |c| i64::from(u32::from(c))))),
            Int4,
        )?,
        "md5" => return Err(SqlError::unsupported("md5")),
        "length" | "char_length" => match args {
            [Datum { v: V::Bytes(bytes), .. }] => length(bytes.len()),
            _ => of_text(name, args, |t| length(t.chars().count()), Int4)?,
        },
        "octet_length" => match args {
            [Datum { v: V::Bytes(bytes), .. }] => length(bytes.len()),
            _ => of_text(name, args, |t| length(t.len()), Int4)?,
        },
        "text" => match args {
            [datum] => datum.clone().cast(Text)?,
            _ => return Err(SqlError::no_function(name)),
        },
        "chr" => match typed(name, args, [Int4])? {
            Some([n]) => {
                let char =
                    n.as_int().and_then(|n| u32::try_from(n).ok()).and_then(char::from_u32).filter(|c| *c != '\0');
                Datum::text(char.ok_or_else(|| SqlError::new("54000", "requested character not valid"))?)
            }
            None => null(),
        },
        "left" => text_and_int(name, args, |t, n| {
            let keep = if n < 0 { t.len().saturating_sub(usize_of(-n)) } else { usize_of(n) };
            t.iter().take(keep).collect()
        })?,
        "right" => text_and_int(name, args, |t, n| {
            let skip = if n < 0 { usize_of(-n) } else { t.len().saturating_sub(usize_of(n)) };
            t.iter().skip(skip).collect()
        })?,
        "repeat" => text_and_int(name, args, |t, n| t.iter().collect::<String>().repeat(usize_of(n).min(10_000)))?,
        "lpad" | "rpad" => {
            let fill = args.get(2).and_then(Datum::as_text).unwrap_or_else(|| " ".to_owned());
            text_and_int(name, args.get(..2).unwrap_or(args), |t, n| {
                let n = usize_of(n).min(10_000);
                let pad: String = fill.chars().cycle().take(n.saturating_sub(t.len())).collect();
                let own: String = t.iter().take(n).collect();
                if name == "lpad" { pad + &own } else { own + &pad }
            })?
        }
        "substr" | "substring" => {
            let Some(text) = args.first().and_then(Datum::as_text) else { return Ok(null()) };
            let number = |at: usize| {
                args.get(at).map(|d| d.clone().cast(Int4).map(|d| d.as_int())).transpose().map(Option::flatten)
            };
            let from = number(1)?.unwrap_or(1);
            let end = match number(2)? {
                Some(count) if count < 0 => {
                    return Err(SqlError::new("22011", "negative substring length not allowed"));
                }
                Some(count) => from.saturating_add(count),
                None => i64::MAX,
            };
            let at = |n: usize| i64::try_from(n).unwrap_or(i64::MAX) + 1;
            Datum::text(
                text.chars()
                    .enumerate()
                    .filter(|(n, _)| at(*n) >= from && at(*n) < end)
                    .map(|(_, c)| c)
                    .collect::<String>(),
            )
        }
        "btrim" | "ltrim" | "rtrim" => {
            let Some(text) = args.first().and_then(Datum::as_text) else { return Ok(null()) };
            let set = args.get(1).and_then(Datum::as_text).unwrap_or_else(|| " ".to_owned());
            let within = |c: char| set.contains(c);
            Datum::text(match name {
                "ltrim" => text.trim_start_matches(within),
                "rtrim" => text.trim_end_matches(within),
                _ => text.trim_matches(within),
            })
        }
        "strpos" => match two_texts(name, args)? {
            Some((whole, part)) => {
                length(whole.find(&part).and_then(|at| whole.get(..at)).map_or(0, |b| b.chars().count() + 1))
            }
            None => Datum::null(Int4),
        },
        "starts_with" => {
            two_texts(name, args)?.map_or(Datum::null(Type::Bool), |(a, b)| Datum::bool(a.starts_with(&b)))
        }
        "replace" => match typed(name, args, [Text, Text, Text])? {
            Some([text, from, to]) => {
                let (text, from, to) = (
                    text.as_text().unwrap_or_default(),
                    from.as_text().unwrap_or_default(),
                    to.as_text().unwrap_or_default(),
                );
                Datum::text(if from.is_empty() { text } else { text.replace(&from, &to) })
            }
            None => null(),
        },
        "split_part" => match typed(name, args, [Text, Text, Int4])? {
            Some([text, by, n]) => {
                let (text, by, n) =
                    (text.as_text().unwrap_or_default(), by.as_text().unwrap_or_default(), n.as_int().unwrap_or(0));
                let parts: Vec<&str> =
                    if by.is_empty() { vec![text.as_str()] } else { text.split(by.as_str()).collect() };
                let at = if n < 0 { parts.len().checked_sub(usize_of(-n)) } else { usize_of(n).checked_sub(1) };
                Datum::text(at.and_then(|at| parts.get(at)).copied().unwrap_or_default())
            }
            None => null(),
        },
        "concat" => Datum::text(args.iter().filter_map(Datum::as_text).collect::<String>()),
        "concat_ws" => match args.split_first() {
            Some((by, rest)) if !rest.is_empty() => match by.as_text() {
                Some(by) => Datum::text(rest.iter().filter_map(Datum::as_text).collect::<Vec<_>>().join(&by)),
                None => null(),
            },
            _ => return Err(SqlError::no_function(name)),
        },
        "regexp_split_to_array" => match two_texts(name, args)? {
            Some((text, pattern)) => {
                let parts = regex(&pattern, false)?.split(&text).map(|p| V::Text(p.to_owned())).collect();
                Datum::new(TextArray, V::Array(parts))
            }
            None => Datum::null(TextArray),
        },
        "regexp_replace" => match typed(name, args, [Text, Text, Text])? {
            Some([text, pattern, to]) => {
                let (text, pattern, to) = (
                    text.as_text().unwrap_or_default(),
                    pattern.as_text().unwrap_or_default(),
                    to.as_text().unwrap_or_default(),
                );
                Datum::text(regex(&pattern, false)?.replace(&text, to.as_str()).into_owned())
            }
            None => null(),
        },
        "string_to_array" => match two_texts(name, args)? {
            Some((text, by)) => {
                let parts: Vec<&str> = match (text.as_str(), by.as_str()) {
                    ("", _) => Vec::new(),
                    (text, "") => vec![text],
                    (text, by) => text.split(by).collect(),
                };
                Datum::new(TextArray, V::Array(parts.into_iter().map(|p| V::Text(p.to_owned())).collect()))
            }
            None => Datum::null(TextArray),
        },
        "array_to_string" => match (args.first().map(|d| &d.v), args.get(1).and_then(Datum::as_text)) {
            (Some(V::Array(items)), Some(by)) => {
                let null = args.get(2).and_then(Datum::as_text);
                let shown = |v: &V| Datum::new(Text, v.clone()).shown().or_else(|| null.clone());
                Datum::text(items.iter().filter_map(shown).collect::<Vec<_>>().join(&by))
            }
            (Some(V::Null) | None, _) | (_, None) => null(),
            _ => return Err(SqlError::no_function(name)),
        },
        "cardinality" | "array_length" => match args.first().map(|d| &d.v) {
            Some(V::Array(items)) if name == "cardinality" || !items.is_empty() => length(items.len()),
            Some(V::Array(_) | V::Null) => Datum::null(Int4),
            _ => return Err(SqlError::no_function(name)),
        },
        "convert_to" => match two_texts(name, args)? {
            Some((text, _)) => Datum::new(Bytes, V::Bytes(text.into_bytes())),
            None => Datum::null(Bytes),
        },
        "convert_from" => match typed(name, args, [Bytes, Text])? {
            Some([Datum { v: V::Bytes(bytes), .. }, _]) => {
                let wrong = |_| SqlError::new("22021", "invalid byte sequence for encoding \"UTF8\"");
                Datum::text(String::from_utf8(bytes).map_err(wrong)?)
            }
            _ => null(),
        },
        "decode" => match two_texts(name, args)? {
            Some((text, how)) => {
                let bytes = match how.as_str() {
                    "base64" => {
                        base64::engine::general_purpose::STANDARD.decode(text.replace(['\n', '\r', ' '], "")).ok()
                    }
                    "hex" => unhex(&text),
                    _ => return Err(SqlError::new("22023", format!("unrecognized encoding: \"{how}\""))),
                };
                Datum::new(Bytes, V::Bytes(bytes.ok_or_else(|| SqlError::new("22023", format!("invalid {how} data")))?))
            }
            None => Datum::null(Bytes),
        },
        "encode" => match typed(name, args, [Bytes, Text])? {
            Some([Datum { v: V::Bytes(bytes), .. }, how]) => match how.as_text().as_deref() {
                Some("base64") => Datum::text(base64::engine::general_purpose::STANDARD.encode(bytes)),
                Some("hex") => Datum::text(bytes.iter().map(|b| format!("{b:02x}")).collect::<String>()),
                other => {
                    return Err(SqlError::new(
                        "22023",
                        format!("unrecognized encoding: \"{}\"", other.unwrap_or_default()),
                    ));
                }
            },
            _ => null(),
        },
        "sha256" => match typed(name, args, [Bytes])? {
            Some([Datum { v: V::Bytes(bytes), .. }]) => {
                let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
                Datum::new(Bytes, V::Bytes(digest.as_ref().to_vec()))
            }
            _ => Datum::null(Bytes),
        },
        "host" => match args {
            [datum] if matches!(datum.ty, Type::Inet | Type::Unknown) => {
                datum.as_text().map_or(null(), |t| Datum::text(t.split('/').next().unwrap_or_default()))
            }
            _ => return Err(SqlError::no_function(name)),
        },
        "pg_wal_lsn_diff" => match typed(name, args, [Lsn, Lsn])? {
            Some([Datum { v: V::Lsn(a), .. }, Datum { v: V::Lsn(b), .. }]) => {
                Datum::new(Numeric, V::Decimal(i128::from(a.0) - i128::from(b.0), 0))
            }
            _ => Datum::null(Numeric),
        },
        "pg_size_pretty" => match args.first().and_then(Datum::as_int) {
            Some(n) => Datum::text(pretty(n)),
            None => null(),
        },
        "to_hex" => match typed(name, args, [Int8])? {
            Some([n]) => Datum::text(format!("{:x}", n.as_int().unwrap_or(0))),
            None => null(),
        },
        "format_type" => match args.first().and_then(Datum::as_int) {
            Some(oid) => Datum::text(Type::ALL.iter().find(|t| i64::from(t.oid()) == oid).map_or("???", |t| t.name())),
            None => null(),
        },
        "date_trunc" => date_trunc(name, args)?,
        "abs" | "ceil" | "ceiling" | "floor" | "round" | "trunc" | "mod" => number(name, args)?,
        _ => return Err(SqlError::no_function(name)),
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(|pair| if pair.len() == 2 { byte(pair) } else { None }).collect()
}

/// A name as SQL takes it, quoted only where it must be.
pub(in crate::practice::postgres) fn quote_ident(name: &str) -> String {
    let plain = name.chars().next().is_some_and(|c| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

fn quote_literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') { format!("E'{}'", doubled.replace('\\', "\\\\")) } else { format!("'{doubled}'") }
}

/// `pg_size_pretty`: whole units, the next one from ten of them on.
fn pretty(n: i64) -> String {
    let mut size = n;
    for unit in ["bytes", "kB", "MB", "GB", "TB"] {
        if size.abs() < 10_240 || unit == "TB" {
            return format!("{size} {unit}");
        }
        size = (size + 512 * size.signum()) / 1_024;
    }
    format!("{n} bytes")
}

fn date_trunc(name: &str, args: &[Datum]) -> Result<Datum, SqlError> {
    let Some([field, at]) = typed(name, args, [Text, Time])? else { return Ok(Datum::null(Time)) };
    let V::Time(micros) = at.v else { return Ok(Datum::null(Time)) };
    let unit: i64 = match field.as_text().unwrap_or_default().as_str() {
        "microseconds" => 1,
        "milliseconds" => 1_000,
        "second" => 1_000_000,
        "minute" => 60_000_000,
        "hour" => 3_600_000_000,
        "day" => 86_400_000_000,
        other => return Err(SqlError::unsupported(&format!("date_trunc to {other}"))),
    };
    Ok(Datum::new(Time, V::Time(micros - micros.rem_euclid(unit))))
}

fn number(name: &str, args: &[Datum]) -> Result<Datum, SqlError> {
    let (Some(own), digits) = (args.first(), args.get(1)) else { return Err(SqlError::no_function(name)) };
    let own = if own.ty == Type::Unknown { own.clone().cast(Float8)? } else { own.clone() };
    if !own.ty.is_number() && own.ty != Interval && own.ty != Oid {
        return Err(SqlError::no_function(name));
    }
    let digits = digits.and_then(Datum::as_int);
    Ok(match (own.v, name) {
        (V::Null, _) => Datum::null(own.ty),
        (V::Int(n), "abs") => Datum::new(own.ty, V::Int(n.saturating_abs())),
        (V::Int(n), "mod") => match digits {
            None => Datum::null(own.ty),
            Some(by) => {
                Datum::new(own.ty, V::Int(n.checked_rem(by).ok_or_else(|| SqlError::new("22012", "division by zero"))?))
            }
        },
        (V::Int(n), _) => {
            Datum::new(if own.ty == Int8 || own.ty == Int4 { Numeric } else { own.ty }, V::Decimal(i128::from(n), 0))
        }
        (V::Decimal(u, s), "abs") => Datum::new(Numeric, V::Decimal(u.abs(), s)),
        (V::Decimal(u, s), name) => {
            let keep = digits.and_then(|d| u32::try_from(d).ok()).unwrap_or(0).min(s);
            let unit = 10_i128.checked_pow(s - keep).unwrap_or(1);
            let units = match name {
                "floor" => u.div_euclid(unit),
                "ceil" | "ceiling" => -(-u).div_euclid(unit),
                "trunc" => u / unit,
                "round" => (u + if u < 0 { -unit / 2 } else { unit / 2 }) / unit,
                _ => return Err(SqlError::no_function(name)),
            };
            Datum::new(Numeric, V::Decimal(units, keep))
        }
        (V::Float(f), name) => Datum::new(
            Float8,
            V::Float(match name {
                "abs" => f.abs(),
                "floor" => f.floor(),
                "ceil" | "ceiling" => f.ceil(),
                "trunc" => f.trunc(),
                "round" => f.round_ties_even(),
                _ => return Err(SqlError::no_function(name)),
            }),
        ),
        _ => return Err(SqlError::no_function(name)),
    })
}
