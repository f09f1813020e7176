//! What a reading can hold.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::plan::{Bytes, Lsn, SafeText, Span};

use super::{Gap, Reason};

/// One measured value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t", content = "v", rename_all = "kebab-case")]
pub enum Value {
    /// The question does not arise here: a receiver on a primary, a column that this version does not have.
    NotApplicable,
    /// The remote answered, and its answer is SQL's NULL or nothing.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A count or a number without a unit.
    Int(i64),
    /// A ratio or a rate.
    Number(f64),
    /// Words.
    Text(SafeText),
    /// An amount of data.
    Bytes(Bytes),
    /// A length of time.
    Span(Span),
    /// A position in the write-ahead log.
    Lsn(Lsn),
    /// A moment by the remote's clock.
    Time(DateTime<Utc>),
    /// A table.
    Rows(Vec<Row>),
}

impl Value {
    /// Words, made safe.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Text(SafeText::new(text))
    }

    /// As one number for a chart, where it is one; spans in seconds.
    #[must_use]
    pub fn as_number(&self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "a chart needs no more than 52 bits")]
            Self::Int(n) => Some(*n as f64),
            Self::Number(n) => Some(*n),
            #[expect(clippy::cast_precision_loss, reason = "a chart needs no more than 52 bits")]
            Self::Bytes(b) => Some(b.0 as f64),
            Self::Span(s) => Some(s.0.as_secs_f64()),
            Self::NotApplicable
            | Self::Null
            | Self::Bool(_)
            | Self::Text(_)
            | Self::Lsn(_)
            | Self::Time(_)
            | Self::Rows(_) => None,
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotApplicable => f.write_str("does not apply"),
            Self::Null => f.write_str("NULL"),
            Self::Bool(true) => f.write_str("yes"),
            Self::Bool(false) => f.write_str("no"),
            Self::Int(n) => write!(f, "{n}"),
            Self::Number(n) => write!(f, "{n:.1}"),
            Self::Text(t) => write!(f, "{t}"),
            Self::Bytes(b) => write!(f, "{b}"),
            Self::Span(s) => write!(f, "{s}"),
            Self::Lsn(l) => write!(f, "{l}"),
            Self::Time(t) => write!(f, "{}", t.format("%Y-%m-%d %H:%M:%SZ")),
            Self::Rows(rows) => write!(f, "{} rows", rows.len()),
        }
    }
}

/// One row of a table: column name to value. SQL's NULL is [`Value::Null`], never a missing column.
///
/// A sorted list: rows are many and short, and a map's smallest node holds eleven columns. Names are the program's own,
/// but for rows of a recording.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, Value>", into = "BTreeMap<String, Value>")]
pub struct Row(Arc<Vec<(Cow<'static, str>, Value)>>);

impl From<BTreeMap<String, Value>> for Row {
    fn from(columns: BTreeMap<String, Value>) -> Self {
        Self(Arc::new(columns.into_iter().map(|(name, value)| (name.into(), value)).collect()))
    }
}

impl From<Row> for BTreeMap<String, Value> {
    fn from(row: Row) -> Self {
        Arc::unwrap_or_clone(row.0).into_iter().map(|(name, value)| (name.into_owned(), value)).collect()
    }
}

macro_rules! column {
    ($(#[$doc:meta])* $name:ident, $variant:ident, $type:ty) => {
        $(#[$doc])*
        ///
        /// # Errors
        /// `Malformed` where the column is missing or of another type.
        pub fn $name(&self, column: &str) -> Result<Option<$type>, Gap> {
            match self.get(column) {
                Some(Value::$variant(v)) => Ok(Some(v.clone())),
                Some(Value::Null | Value::NotApplicable) => Ok(None),
                Some(_) => Err(Gap::new(Reason::Malformed, &format!("column {column} has another type"))),
                None => Err(Gap::new(Reason::Malformed, &format!("no column {column}"))),
            }
        }
    };
}

impl Row {
    column! {
        /// A column of words; `None` for NULL.
        text, Text, SafeText
    }
    column! {
        /// A column of truth values; `None` for NULL.
        bool, Bool, bool
    }
    column! {
        /// A column of whole numbers; `None` for NULL.
        int, Int, i64
    }
    column! {
        /// A column of positions; `None` for NULL.
        lsn, Lsn, Lsn
    }
    column! {
        /// A column of amounts; `None` for NULL.
        bytes, Bytes, Bytes
    }
    column! {
        /// A column of lengths of time; `None` for NULL.
        span, Span, Span
    }
    column! {
        /// A column of moments; `None` for NULL.
        time, Time, DateTime<Utc>
    }

    /// The row with one more column.
    #[must_use]
    pub fn with(mut self, column: impl Into<Cow<'static, str>>, value: Value) -> Self {
        self.set(column, value);
        self
    }

    /// Sets a column.
    pub fn set(&mut self, column: impl Into<Cow<'static, str>>, value: Value) {
        let column = column.into();
        let columns = Arc::make_mut(&mut self.0);
        match columns.binary_search_by(|(name, _)| name.cmp(&column)) {
            Ok(at) => {
                if let Some(old) = columns.get_mut(at) {
                    old.1 = value;
                }
            }
            Err(at) => {
                columns.reserve_exact(1);
                columns.insert(at, (column, value));
            }
        }
    }

    /// Takes a column away; `None` where there was none.
    pub fn remove(&mut self, column: &str) -> Option<Value> {
        let at = self.0.binary_search_by(|(name, _)| name.as_ref().cmp(column)).ok()?;
        Some(Arc::make_mut(&mut self.0).remove(at).1)
    }

    /// Its columns, by name.
    pub(super) fn columns(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }

    /// Whether somebody else holds the same row.
    pub(super) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    #[cfg(test)]
    pub(super) fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// The value of a column; `None` where the row has no such column.
    #[must_use]
    pub fn get(&self, column: &str) -> Option<&Value> {
        let at = self.0.binary_search_by(|(name, _)| name.as_ref().cmp(column)).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }
}
