//! Fields of a JSON object, by type, without ever repeating what they hold.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::plan::{Lsn, SafeText};
use crate::readiness::{Gap, Reason};

/// An object of an answer, and which answer it is of.
#[derive(Clone, Copy)]
pub(super) struct Object<'a> {
    fields: &'a Map<String, Value>,
    answer: &'static str,
}

/// The gap for an answer that makes no sense.
pub(super) fn senseless(answer: &str, why: &str) -> Gap {
    Gap::new(Reason::Malformed, &format!("{answer}: {why}"))
}

impl<'a> Object<'a> {
    pub(super) fn of(value: &'a Value, answer: &'static str) -> Result<Self, Gap> {
        let fields = value.as_object().ok_or_else(|| senseless(answer, "no object"))?;
        Ok(Self { fields, answer })
    }

    /// A field that is there and not null.
    pub(super) fn get(self, name: &str) -> Option<&'a Value> {
        self.fields.get(name).filter(|v| !v.is_null())
    }

    fn wrong(self, name: &str, want: &str) -> Gap {
        senseless(self.answer, &format!("{name} is {want}"))
    }

    fn each<T>(self, name: &str, want: &str, read: impl Fn(&'a Value) -> Option<T>) -> Result<Option<T>, Gap> {
        self.get(name).map(|v| read(v).ok_or_else(|| self.wrong(name, want))).transpose()
    }

    pub(super) fn object(self, name: &str) -> Result<Option<Self>, Gap> {
        let fields = self.each(name, "no object", Value::as_object)?;
        Ok(fields.map(|fields| Self { fields, answer: self.answer }))
    }

    pub(super) fn array(self, name: &str) -> Result<Option<&'a Vec<Value>>, Gap> {
        self.each(name, "no list", Value::as_array)
    }

    pub(super) fn text(self, name: &str) -> Result<Option<SafeText>, Gap> {
        self.each(name, "no text", |v| v.as_str().map(SafeText::new))
    }

    /// A text that must be there and not be empty.
    pub(super) fn word(self, name: &str) -> Result<SafeText, Gap> {
        self.text(name)?.filter(|t| !t.as_str().is_empty()).ok_or_else(|| self.wrong(name, "missing"))
    }

    pub(super) fn int(self, name: &str) -> Result<Option<i64>, Gap> {
        self.each(name, "no whole number", Value::as_i64)
    }

    /// A truth value; `false` where it is not there, as Patroni leaves out what is not so.
    pub(super) fn flag(self, name: &str) -> Result<bool, Gap> {
        Ok(self.each(name, "neither true nor false", Value::as_bool)?.unwrap_or(false))
    }

    /// A position as a whole number of bytes.
    pub(super) fn position(self, name: &str) -> Result<Option<Lsn>, Gap> {
        self.each(name, "no position", |v| v.as_u64().map(Lsn))
    }

    /// An amount in bytes, or the word `unknown`.
    pub(super) fn lag(self, name: &str) -> Result<Option<u64>, Gap> {
        let lag = self.each(name, "no lag", |v| match v.as_str() {
            Some("unknown") => Some(None),
            Some(_) => None,
            None => v.as_u64().map(Some),
        })?;
        Ok(lag.flatten())
    }

    /// A moment as Patroni writes it: `2026-11-21 01:47:39.364978+00:00`, or with a `T`.
    pub(super) fn time(self, name: &str) -> Result<Option<DateTime<Utc>>, Gap> {
        self.each(name, "no time", |v| time(v.as_str()?))
    }

    /// A number of seconds, whole or not, that is not negative.
    pub(super) fn seconds(self, name: &str) -> Result<Option<std::time::Duration>, Gap> {
        self.each(name, "no number of seconds", |v| std::time::Duration::try_from_secs_f64(v.as_f64()?).ok())
    }
}

pub(super) fn time(text: &str) -> Option<DateTime<Utc>> {
    let parsed =
        DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%:z"));
    parsed.ok().map(|t| t.with_timezone(&Utc))
}

/// Whether a tag is set: YAML lets people write it in many ways, and what is not clearly off is on.
pub(super) fn tagged(tags: Option<Object<'_>>, name: &str) -> bool {
    match tags.and_then(|t| t.get(name)) {
        None => false,
        Some(Value::Bool(set)) => *set,
        Some(Value::Number(n)) => n.as_f64() != Some(0.0),
        Some(Value::String(s)) => {
            !matches!(s.to_ascii_lowercase().as_str(), "" | "0" | "false" | "off" | "no" | "n" | "f" | "null")
        }
        Some(Value::Null | Value::Array(_) | Value::Object(_)) => true,
    }
}
