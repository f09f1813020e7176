//! Lengths of time.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time. Written `30s`, `1h30m` or `250ms` in configuration; shown in coarse steps, so that a screen
/// that shows ages stays still.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

/// Why a text is not a length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a duration: write numbers with units, such as \"30s\", \"1h30m\" or \"250ms\"")]
pub struct SpanError;

impl Span {
    /// A span of whole seconds.
    #[must_use]
    pub const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// A span of milliseconds.
    #[must_use]
    pub const fn millis(ms: u64) -> Self {
        Self(Duration::from_millis(ms))
    }

    /// Rounded up to what is shown of it, for upper bounds: a bound that is shown smaller than it is flatters.
    #[must_use]
    pub fn upper(self) -> Self {
        let step = match self.0.as_secs() {
            0..1 => 1,
            1..10 => 100,
            10..3_600 => 1_000,
            3_600..86_400 => 60_000,
            86_400.. => 3_600_000,
        };
        let ms = self.0.as_nanos().div_ceil(1_000_000).div_ceil(step).saturating_mul(step);
        Self(u64::try_from(ms).map_or(Duration::MAX, Duration::from_millis))
    }

    /// In coarse steps, for ages: tenths below ten seconds, then seconds to two minutes, minutes to two hours, hours
    /// to two days, days.
    #[must_use]
    pub fn coarse(self) -> String {
        let ms = self.0.as_millis();
        let s = self.0.as_secs();
        match s {
            0..10 if ms < 1_000 => format!("{ms} ms"),
            0..10 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
            10..120 => format!("{s} s"),
            120..7_200 => format!("{} min", s / 60),
            7_200..172_800 => format!("{} h", s / 3_600),
            172_800.. => format!("{} d", s / 86_400),
        }
    }
}

impl From<Duration> for Span {
    fn from(d: Duration) -> Self {
        Self(d)
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(SpanError);
        }
        let mut total = Duration::ZERO;
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or(SpanError)?;
            let (number, tail) = rest.split_at(end);
            let unit_end = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(unit_end);
            let number: u64 = number.parse().map_err(|_| SpanError)?;
            let part = match unit {
                "ms" => Some(Duration::from_millis(number)),
                "s" => Some(Duration::from_secs(number)),
                "m" | "min" => number.checked_mul(60).map(Duration::from_secs),
                "h" => number.checked_mul(3_600).map(Duration::from_secs),
                "d" => number.checked_mul(86_400).map(Duration::from_secs),
                "w" => number.checked_mul(604_800).map(Duration::from_secs),
                _ => None,
            };
            total = part.and_then(|p| total.checked_add(p)).ok_or(SpanError)?;
            rest = tail.trim_start();
        }
        Ok(Self(total))
    }
}

impl fmt::Display for Span {
    /// Exact to the second above ten seconds, compact: `250ms`, `1.2s`, `30s`, `4m10s`, `1h`, `3d`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        let s = self.0.as_secs();
        let two = |f: &mut fmt::Formatter<'_>, a: u64, x: &str, b: u64, y: &str| {
            if b == 0 { write!(f, "{a}{x}") } else { write!(f, "{a}{x}{b}{y}") }
        };
        match s {
            0..10 if ms.is_multiple_of(1_000) => write!(f, "{s}s"),
            0..1 => write!(f, "{ms}ms"),
            1..10 => write!(f, "{}.{}s", s, ms % 1_000 / 100),
            10..60 => write!(f, "{s}s"),
            60..3_600 => two(f, s / 60, "m", s % 60, "s"),
            3_600..86_400 => two(f, s / 3_600, "h", s % 3_600 / 60, "m"),
            86_400.. => two(f, s / 86_400, "d", s % 86_400 / 3_600, "h"),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_f64(self.0.as_secs_f64())
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Span;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as \"30s\"")
            }
            fn visit_str<E: serde::de::Error>(self, v: &str) -> Result<Span, E> {
                v.parse().map_err(E::custom)
            }
            fn visit_f64<E: serde::de::Error>(self, v: f64) -> Result<Span, E> {
                Duration::try_from_secs_f64(v).map(Span).map_err(E::custom)
            }
            fn visit_u64<E: serde::de::Error>(self, v: u64) -> Result<Span, E> {
                Ok(Span::secs(v))
            }
        }
        d.deserialize_any(Visitor)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "duration", "description": "A length of time, such as \"30s\", \"1h30m\" or \"250ms\"." })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        assert_eq!("30s".parse(), Ok(Span::secs(30)));
        assert_eq!("1h30m".parse(), Ok(Span::secs(5_400)));
        assert_eq!("1h 30m".parse(), Ok(Span::secs(5_400)));
        assert_eq!("250ms".parse(), Ok(Span::millis(250)));
        for bad in ["", "30", "s", "-1s", "5 parsecs", "1.5h", "99999999999999999999s", "9999999999999999999w"] {
            assert_eq!(bad.parse::<Span>(), Err(SpanError), "{bad}");
        }
    }

    #[test]
    fn shows_compactly() {
        let shown: Vec<String> = [
            Span::millis(250),
            Span::millis(1_230),
            Span::secs(30),
            Span::secs(250),
            Span::secs(3_600),
            Span::secs(300_000),
        ]
        .iter()
        .map(ToString::to_string)
        .collect();
        assert_eq!(shown, ["250ms", "1.2s", "30s", "4m10s", "1h", "3d11h"]);
        assert_eq!(Span::secs(119).coarse(), "119 s");
        let upper = [0, 1, 9_950, 10_001, 59_999, 3_599_001, 3_600_001, 86_400_001].map(|ms| Span::millis(ms).upper());
        assert_eq!(upper.map(|s| s.to_string()), ["0s", "1ms", "10s", "11s", "1m", "1h", "1h1m", "1d1h"]);
        assert_eq!(Span(Duration::from_nanos(1)).upper(), Span::millis(1));
        assert_eq!(Span::secs(121).coarse(), "2 min");
    }
}
