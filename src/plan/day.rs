//! Days, as people date what they confirm.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Duration, NaiveDate, NaiveTime, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

use super::Span;

/// A day of the calendar. Written `2026-11-01` in configuration, with or without quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Day(pub NaiveDate);

/// Why a text is not a day.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a day: write year, month and day, such as 2026-11-01")]
pub struct DayError;

/// For how long something that was dated still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It holds for this much longer.
    Holds(Span),
    /// It has run out for this long.
    RunOut(Span),
    /// It is dated in the future: by mistake, or one of the two clocks is wrong.
    Future,
}

impl Day {
    /// Its first moment. People date by their own calendar, which may be ahead of UTC by up to fourteen hours.
    #[must_use]
    pub fn start(self) -> DateTime<Utc> {
        self.0.and_time(NaiveTime::MIN).and_utc()
    }

    /// Whether what was said on this day to hold for `lasts` holds at `now`. Counted from the day's first moment, so that
    /// it never holds for longer than was said.
    #[must_use]
    pub fn standing(self, lasts: Span, now: DateTime<Utc>) -> Standing {
        let start = self.start();
        if start > now + Duration::hours(14) {
            return Standing::Future;
        }
        let age = (now - start).to_std().unwrap_or_default();
        match lasts.0.checked_sub(age).filter(|left| !left.is_zero()) {
            Some(left) => Standing::Holds(Span(left)),
            None => Standing::RunOut(Span(age.saturating_sub(lasts.0))),
        }
    }
}

impl FromStr for Day {
    type Err = DayError;

    fn from_str(text: &str) -> Result<Self, DayError> {
        let plain = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        let day = plain.then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()).flatten();
        day.map(Self).ok_or(DayError)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m-%d"))
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Day {
    fn schema_name() -> Cow<'static, str> {
        "Day".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date", "description": "A day, such as 2026-11-01." })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn reads_days_and_nothing_else() {
        assert_eq!("2026-11-01".parse::<Day>().unwrap().to_string(), "2026-11-01");
        for bad in ["", "2026-11", "2026-02-30", "2026-11-01T00:00", "01.11.2026", "+026-11-01"] {
            assert_eq!(bad.parse::<Day>(), Err(DayError), "{bad}");
        }
    }

    #[test]
    fn what_was_said_runs_out_by_itself() {
        let day: Day = "2026-11-01".parse().unwrap();
        let of = |now: &str| day.standing("10d".parse().unwrap(), at(now));
        assert_eq!(of("2026-11-01T00:00:00Z"), Standing::Holds("10d".parse().unwrap()));
        assert_eq!(of("2026-11-10T23:00:00Z"), Standing::Holds("1h".parse().unwrap()));
        assert_eq!(of("2026-11-11T00:00:00Z"), Standing::RunOut(Span::default()));
        assert_eq!(of("2026-11-13T00:00:00Z"), Standing::RunOut("2d".parse().unwrap()));
        // It is the first of November in Auckland while it is October here.
        assert!(matches!(of("2026-10-31T11:00:00Z"), Standing::Holds(_)));
        assert_eq!(of("2026-10-31T09:00:00Z"), Standing::Future);
    }
}
