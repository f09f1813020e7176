//! What a command says, from its exit code and its standard output.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::plan::SafeText;
use crate::readiness::{Gap, Reason, Row, Value};

/// The verdicts by exit code (Nagios Plugin Development Guidelines, "Plugin Return Codes").
const BY_CODE: [&str; 4] = ["ready", "degraded", "not-ready", "unknown"];
/// The words that go with them.
const WORDS: [&str; 4] = ["OK", "WARNING", "CRITICAL", "UNKNOWN"];
/// Most numbers that are kept of one command.
const MOST_VALUES: usize = 64;

/// What a command says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Report {
    /// One of [`BY_CODE`].
    pub(super) verdict: &'static str,
    /// Its one line; never empty.
    pub(super) says: SafeText,
    /// What it advises.
    pub(super) next: Option<SafeText>,
    /// The numbers that it tells.
    pub(super) values: Vec<Row>,
    /// When it was true.
    pub(super) as_of: Option<DateTime<Utc>>,
}

/// Why an output says nothing.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Not {
    /// The exit code is none that the format knows, or comes without a word: how a program ends that failed itself.
    ItsCode,
    /// What it says makes no sense.
    Said(Gap),
}

fn malformed(what: &str) -> Not {
    Not::Said(Gap::new(Reason::Malformed, what))
}

/// Reads the output of a plugin of Nagios.
///
/// An exit code without a line on standard output is no answer: a script that fails before it looked (a missing
/// interpreter's module, a wrong option) ends so too, often with 1 or 2.
pub(super) fn nagios(code: i32, stdout: &[u8]) -> Result<Report, Not> {
    let by_code = usize::try_from(code).ok().and_then(|c| BY_CODE.get(c).copied());
    let verdict = by_code.ok_or(Not::ItsCode)?;
    let text = text(stdout)?;
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let (says, mut numbers) = match first.split_once('|') {
        Some((says, numbers)) => (says, numbers.to_owned()),
        None => (first, String::new()),
    };
    // More lines are for people; what follows a second bar are numbers too.
    let mut more = false;
    for line in lines {
        let part = if more { Some(line) } else { line.split_once('|').map(|(_, n)| n) };
        if let Some(part) = part {
            more = true;
            numbers.push(' ');
            numbers.push_str(part);
        }
    }
    let says = SafeText::new(says.trim());
    if says.as_str().is_empty() {
        return if code == 0 {
            Err(malformed("exit code 0 and not a word: that is no proof"))
        } else {
            Err(Not::ItsCode)
        };
    }
    if let Some(word) = word(says.as_str()).filter(|w| code == 0 && *w != "OK") {
        return Err(malformed(&format!("exit code 0, but it says {word}: {says}")));
    }
    Ok(Report { verdict, says, next: None, values: performance(&numbers), as_of: None })
}

fn text(stdout: &[u8]) -> Result<String, Not> {
    if stdout.contains(&0) {
        return Err(malformed("its output is no text"));
    }
    let text = String::from_utf8_lossy(stdout);
    Ok(text.trim_start_matches(['\n', '\r', ' ', '\t']).to_owned())
}

/// The word for a state among the first three words of a line: what wraps a plugin loses its exit code more easily.
fn word(line: &str) -> Option<&'static str> {
    let bare = |w: &str| w.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned();
    line.split_whitespace().take(3).find_map(|w| WORDS.into_iter().find(|known| bare(w) == *known))
}

/// Performance data: `'label'=value[unit];[warn];[crit];[min];[max]`, separated by spaces. What does not look so is left
/// out: the plugin's verdict does not rest on it.
fn performance(numbers: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut rest = numbers.trim_start();
    while !rest.is_empty() && rows.len() < MOST_VALUES {
        let (label, after) = match rest.strip_prefix('\'') {
            Some(quoted) => quoted_label(quoted),
            None => match rest.find(['=', ' ', '\t']) {
                Some(at) => (rest.get(..at).unwrap_or_default().to_owned(), rest.get(at..).unwrap_or_default()),
                None => break,
            },
        };
        let (told, next) = after.split_once([' ', '\t']).unwrap_or((after, ""));
        if let Some(row) = told.strip_prefix('=').and_then(|t| number(&label, t)) {
            rows.push(row);
        }
        rest = next.trim_start();
    }
    rows
}

/// A label up to its closing quote; two quotes are one. And what follows.
fn quoted_label(text: &str) -> (String, &str) {
    let mut label = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\'') {
        label.push_str(before);
        match after.strip_prefix('\'') {
            Some(more) => {
                label.push('\'');
                rest = more;
            }
            None => return (label, after),
        }
    }
    (label, "")
}

fn number(label: &str, told: &str) -> Option<Row> {
    if label.is_empty() {
        return None;
    }
    let mut parts = told.split(';');
    let first = parts.next()?;
    let end = first.find(|c: char| !(c.is_ascii_digit() || "+-.eE".contains(c))).unwrap_or(first.len());
    let (value, unit) = first.split_at_checked(end)?;
    // `U` says that it could not be measured.
    let value = if first == "U" { Value::Null } else { Value::Number(finite(value)?) };
    let unit = if first == "U" { "" } else { unit };
    let mut limit = || parts.next().map(str::trim).filter(|p| !p.is_empty()).map(str::to_owned);
    let (warn, crit, min, max) = (limit(), limit(), limit(), limit());
    let words = |t: Option<String>| t.map_or(Value::Null, |t| Value::text(&t));
    let bound = |t: Option<String>| t.and_then(|t| finite(&t)).map_or(Value::Null, Value::Number);
    Some(
        row(label, value, unit)
            .with("warn", words(warn))
            .with("crit", words(crit))
            .with("min", bound(min))
            .with("max", bound(max)),
    )
}

fn finite(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|n| n.is_finite())
}

fn row(name: &str, value: Value, unit: &str) -> Row {
    Row::default().with("name", Value::text(name)).with("value", value).with("unit", Value::text(unit))
}

/// What JSON may say. Nothing else: a misspelled key must not pass for one that was left out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    verdict: String,
    summary: String,
    next: Option<String>,
    as_of: Option<DateTime<Utc>>,
    #[serde(default)]
    values: BTreeMap<String, Number>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Number {
    value: Option<f64>,
    #[serde(default)]
    unit: String,
    warn: Option<f64>,
    crit: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
}

/// Reads the output of a command that speaks JSON. Its exit code is 0, or the one that goes with its verdict.
pub(super) fn json(code: i32, stdout: &[u8]) -> Result<Report, Not> {
    if !(0..=3).contains(&code) || stdout.trim_ascii().is_empty() {
        return if code == 0 {
            Err(malformed("exit code 0 and not a word: that is no proof"))
        } else {
            Err(Not::ItsCode)
        };
    }
    let said: Said = serde_json::from_slice(stdout).map_err(|e| malformed(&format!("its output: {e}")))?;
    let Some(at) = BY_CODE.iter().position(|v| *v == said.verdict) else {
        return Err(malformed(&format!("verdict {:?} is none of {}", said.verdict, BY_CODE.join(", "))));
    };
    let verdict = BY_CODE.get(at).copied().unwrap_or("unknown");
    if code != 0 && usize::try_from(code) != Ok(at) {
        return Err(malformed(&format!("it says {verdict}, and ends with exit code {code}")));
    }
    let says = SafeText::new(said.summary.trim());
    if says.as_str().is_empty() {
        return Err(malformed("its summary is empty"));
    }
    let number = |n: Option<f64>| n.map_or(Value::Null, Value::Number);
    let limit = |n: Option<f64>| n.map_or(Value::Null, |n| Value::text(&n.to_string()));
    let of = |(name, n): (&String, &Number)| {
        row(name, number(n.value), &n.unit)
            .with("warn", limit(n.warn))
            .with("crit", limit(n.crit))
            .with("min", number(n.min))
            .with("max", number(n.max))
    };
    let values = said.values.iter().take(MOST_VALUES).map(of).collect();
    let next = said.next.map(|n| SafeText::new(n.trim())).filter(|n| !n.as_str().is_empty());
    Ok(Report { verdict, says, next, values, as_of: said.as_of })
}

/// The number whose history is drawn: the one with this name, else the first.
pub(super) fn drawn(values: &[Row], name: Option<&str>) -> Result<Value, Gap> {
    let is = |row: &&Row| name.is_none_or(|n| row.text("name").ok().flatten().is_some_and(|t| t.as_str() == n));
    match (values.iter().find(is), name) {
        (Some(row), _) => Ok(row.get("value").cloned().unwrap_or(Value::Null)),
        (None, None) => Ok(Value::NotApplicable),
        (None, Some(name)) => {
            Err(Gap::new(Reason::Absent, &format!("it tells no number {name:?}, which `chart` names")))
        }
    }
}

#[cfg(test)]
mod tests;
