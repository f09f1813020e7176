//! Names of backups: a glob, with at most one part that holds the time of the start.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use globset::{Glob, GlobMatcher};

/// The longest file name (Linux `NAME_MAX`).
const LONGEST: usize = 255;
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// What names look like.
#[derive(Clone, Debug)]
pub struct NamePattern {
    text: String,
    before: Arc<GlobMatcher>,
    /// The time, and what follows it.
    time: Option<(Vec<Piece>, Arc<GlobMatcher>)>,
}

/// One piece of the time in a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Literal(char),
    Year,
    ShortYear,
    Month,
    MonthName,
    Day,
    DayOfYear,
    Hour,
    Minute,
    Second,
    Epoch,
    Offset,
}

/// The time that a name tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// By the clock of whoever named it; midnight where only the day is told.
    pub clock: NaiveDateTime,
    /// False where only the day is told.
    pub exact: bool,
    /// The seconds east of UTC, where the name tells that too.
    pub offset: Option<i32>,
}

impl NamePattern {
    /// Reads a pattern: a glob in which `{%...}` holds a time in the notation of strftime.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > LONGEST {
            return Err("a name has 1 to 255 characters".to_owned());
        }
        if text.contains('/') {
            return Err("a name has no '/': the directory is the location's to say".to_owned());
        }
        let glob =
            |part: &str| Glob::new(part).map(|g| Arc::new(g.compile_matcher())).map_err(|e| e.kind().to_string());
        let Some((before, rest)) = text.split_once("{%") else {
            return Ok(Self { text: text.to_owned(), before: glob(text)?, time: None });
        };
        let Some((time, after)) = rest.split_once('}') else {
            return Err("the time that begins with {% does not end with }".to_owned());
        };
        if after.contains("{%") {
            return Err("a name has one time at most".to_owned());
        }
        let pieces = pieces(&format!("%{time}"))?;
        let has = |all: &[Piece]| all.iter().all(|p| pieces.contains(p));
        let year = pieces.contains(&Piece::Year) || pieces.contains(&Piece::ShortYear);
        let month = pieces.contains(&Piece::Month) || pieces.contains(&Piece::MonthName);
        let day = year && (has(&[Piece::DayOfYear]) || (month && has(&[Piece::Day])));
        if !day && !has(&[Piece::Epoch]) {
            return Err("the time does not tell the day: it needs %Y, %m and %d, or %F, or %s".to_owned());
        }
        if has(&[Piece::Minute]) && !has(&[Piece::Hour]) {
            return Err("the time tells minutes without hours".to_owned());
        }
        Ok(Self { text: text.to_owned(), before: glob(before)?, time: Some((pieces, glob(after)?)) })
    }

    /// Whether a name is one of these: `None` where it is not, and the time that it tells, where the pattern has one.
    #[must_use]
    pub fn read(&self, name: &str) -> Option<Option<Stamp>> {
        let Some((pieces, after)) = &self.time else {
            return self.before.is_match(name).then_some(None);
        };
        for (at, _) in name.char_indices() {
            let (before, rest) = name.split_at(at);
            if let Some((stamp, rest)) = stamp(pieces, rest)
                && self.before.is_match(before)
                && after.is_match(rest)
            {
                return Some(Some(stamp));
            }
        }
        None
    }

    /// Whether names tell the time.
    #[must_use]
    pub const fn has_time(&self) -> bool {
        self.time.is_some()
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    use Piece::{Day, DayOfYear, Epoch, Hour, Literal, Minute, Month, MonthName, Offset, Second, ShortYear, Year};
    let mut out = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(Literal(c));
            continue;
        }
        match chars.next() {
            Some('Y') => out.push(Year),
            Some('y') => out.push(ShortYear),
            Some('m') => out.push(Month),
            Some('b' | 'h') => out.push(MonthName),
            Some('d') => out.push(Day),
            Some('j') => out.push(DayOfYear),
            Some('H') => out.push(Hour),
            Some('M') => out.push(Minute),
            Some('S') => out.push(Second),
            Some('s') => out.push(Epoch),
            Some('z') => out.push(Offset),
            Some('F') => out.extend([Year, Literal('-'), Month, Literal('-'), Day]),
            Some('T') => out.extend([Hour, Literal(':'), Minute, Literal(':'), Second]),
            Some('R') => out.extend([Hour, Literal(':'), Minute]),
            Some('%') => out.push(Literal('%')),
            Some(other) => {
                return Err(format!("%{other} is not known: %Y %y %m %b %d %j %H %M %S %s %z %F %T %R are"));
            }
            None => return Err("the time ends with a %".to_owned()),
        }
    }
    Ok(out)
}

/// So many digits at the start of a text, as a number.
fn digits(text: &str, least: usize, most: usize) -> Option<(i64, &str)> {
    let end = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (number, rest) = (end >= least).then(|| text.split_at(end))?;
    Some((number.parse().ok()?, rest))
}

fn stamp<'a>(pieces: &[Piece], mut rest: &'a str) -> Option<(Stamp, &'a str)> {
    let (mut year, mut month, mut day, mut of_year) = (None, None, None, None);
    let (mut hour, mut minute, mut second, mut epoch, mut offset) = (None, None, None, None, None);
    for piece in pieces {
        let slot = match piece {
            Piece::Literal(c) => {
                rest = rest.strip_prefix(*c)?;
                continue;
            }
            Piece::MonthName => {
                let name = rest.get(..3)?.to_ascii_lowercase();
                month = Some(i64::try_from(MONTHS.iter().position(|m| *m == name)?).ok()? + 1);
                rest = rest.get(3..)?;
                continue;
            }
            Piece::Offset => {
                let (seconds, after) = zone_offset(rest)?;
                (offset, rest) = (Some(seconds), after);
                continue;
            }
            Piece::Year => (&mut year, 4, 4),
            Piece::ShortYear => (&mut year, 2, 2),
            Piece::Month => (&mut month, 2, 2),
            Piece::Day => (&mut day, 2, 2),
            Piece::DayOfYear => (&mut of_year, 3, 3),
            Piece::Hour => (&mut hour, 2, 2),
            Piece::Minute => (&mut minute, 2, 2),
            Piece::Second => (&mut second, 2, 2),
            Piece::Epoch => (&mut epoch, 9, 11),
        };
        let (number, after) = digits(rest, slot.1, slot.2)?;
        *slot.0 = Some(if *piece == Piece::ShortYear { number + 2_000 } else { number });
        rest = after;
    }
    if let Some(epoch) = epoch {
        let clock = DateTime::from_timestamp(epoch, 0)?.naive_utc();
        return Some((Stamp { clock, exact: true, offset: Some(0) }, rest));
    }
    let year = i32::try_from(year?).ok()?;
    let small = |n: i64| u32::try_from(n).ok();
    let date = match (of_year, month, day) {
        (Some(n), _, _) => NaiveDate::from_yo_opt(year, small(n)?)?,
        (None, Some(m), Some(d)) => NaiveDate::from_ymd_opt(year, small(m)?, small(d)?)?,
        (None, _, _) => return None,
    };
    // A leap second is the second after the minute's last.
    let leap = i64::from(second == Some(60));
    let time = NaiveTime::from_hms_opt(
        small(hour.unwrap_or(0))?,
        small(minute.unwrap_or(0))?,
        small(second.unwrap_or(0) - leap)?,
    )?;
    let clock = date.and_time(time).checked_add_signed(TimeDelta::seconds(leap))?;
    Some((Stamp { clock, exact: hour.is_some(), offset }, rest))
}

/// `Z`, `+0200`, `-05:30`: the seconds east of UTC.
fn zone_offset(text: &str) -> Option<(i32, &str)> {
    if let Some(rest) = text.strip_prefix('Z') {
        return Some((0, rest));
    }
    let (sign, rest) = match text.strip_prefix('+') {
        Some(rest) => (1, rest),
        None => (-1, text.strip_prefix('-')?),
    };
    let (hours, rest) = digits(rest, 2, 2)?;
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    let (minutes, rest) = digits(rest, 2, 2)?;
    if hours > 14 || minutes > 59 {
        return None;
    }
    Some((sign * i32::try_from(hours * 3_600 + minutes * 60).ok()?, rest))
}

/// An offset as it is written in configuration: `+02:00`, `Z`.
#[must_use]
pub fn offset(text: &str) -> Option<i32> {
    zone_offset(text).filter(|(_, rest)| rest.is_empty()).map(|(seconds, _)| seconds)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(pattern: &str, name: &str) -> Option<String> {
        let told = NamePattern::new(pattern).unwrap().read(name)?;
        Some(told.map_or_else(
            || "matches".to_owned(),
            |s| {
                format!(
                    "{}{}{}",
                    s.clock,
                    if s.exact { "" } else { " (day)" },
                    s.offset.map_or(String::new(), |o| format!(" {o:+}"))
                )
            },
        ))
    }

    #[test]
    fn names_with_and_without_times() {
        let told = |p, n| of(p, n).unwrap_or_else(|| "-".to_owned());
        assert_eq!(told("orders_*.dump", "orders_x.dump"), "matches");
        assert_eq!(told("orders_*.dump", "orders_x.dump.tmp"), "-");
        assert_eq!(told("*.{sql,sql.gz}", "a.sql.gz"), "matches");
        assert_eq!(told("orders_{%Y-%m-%dT%H%M}.dump", "orders_2026-11-21T0230.dump"), "2026-11-21 02:30:00");
        assert_eq!(told("orders_{%Y-%m-%dT%H%M}.dump", "orders_2026-13-21T0230.dump"), "-");
        assert_eq!(told("orders_{%Y-%m-%dT%H%M}.dump", "orders_2026-11-21T02300.dump"), "-");
        assert_eq!(told("*_{%F}.*", "a_1_2026-11-21.sql.gz"), "2026-11-21 00:00:00 (day)");
        assert_eq!(told("db-{%Y%m%d_%H%M%S}*", "db-20261121_023015-full"), "2026-11-21 02:30:15");
        assert_eq!(told("{%d%b%y}.dump", "21Nov26.dump"), "2026-11-21 00:00:00 (day)");
        assert_eq!(told("x{%s}", "x1795227083"), "2026-11-21 02:11:23 +0");
        assert_eq!(told("{%Y%m%dT%H%M%S%z}.d", "20261121T023000+0200.d"), "2026-11-21 02:30:00 +7200");
        assert_eq!(told("{%Y%m%dT%H%M%S%z}.d", "20261121T023000Z.d"), "2026-11-21 02:30:00 +0");
        assert_eq!(told("{%Y.%j}.d", "2026.325.d"), "2026-11-21 00:00:00 (day)");
        assert_eq!(told("é_{%F}", "é_2026-11-21"), "2026-11-21 00:00:00 (day)");
    }

    #[test]
    fn patterns_that_make_no_sense() {
        let wrong = ["", "a/b", "a{%Y", "{%Y}-{%m}-{%d}", "{%Y-%m}", "{%q}", "{%F %M}", "{%F%}", "[a", "{a"];
        for text in wrong {
            assert!(NamePattern::new(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_name_makes_it_panic(name in "\\PC*|[0-9_-]{0,40}|é?[0-9]{4}-?[0-9]{2}-?[0-9]{2}.*") {
            for pattern in ["*", "*{%F}*", "*{%Y%m%d%z}*", "*{%d%b%y}*", "*{%s}*"] {
                let _ = NamePattern::new(pattern).unwrap().read(&name);
            }
        }

        #[test]
        fn no_pattern_makes_it_panic(text in "\\PC{0,30}|[{}%YmdHMSsz*?\\[\\]]{0,20}") {
            let _ = NamePattern::new(&text);
        }
    }
}
