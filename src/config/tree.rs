//! TOML with the place of everything.

use std::ops::Range;

use serde_json::Value;
use toml::de::{DeInteger, DeTable, DeValue};

/// A value and where it stands, as a byte range. A table's range is its header.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) span: Range<usize>,
    pub(super) kind: Kind,
}

/// What a value is.
#[derive(Debug)]
pub(super) enum Kind {
    String(String),
    /// `None` where it is beyond 64 bits.
    Integer(Option<i64>),
    Float(f64),
    Boolean(bool),
    Datetime(String),
    Array(Vec<Node>),
    /// In the order of the file.
    Table(Vec<Entry>),
}

/// One key of a table.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_span: Range<usize>,
    pub(super) node: Node,
}

/// A syntax error: where, and what.
pub(super) type SyntaxError = (Range<usize>, String);

impl Node {
    /// Reads a whole text. Every syntax error at once.
    pub(super) fn parse(text: &str) -> Result<Self, Vec<SyntaxError>> {
        let (root, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            return Ok(Self { span: 0..0, kind: table(root.get_ref()) });
        }
        Err(errors.iter().map(|e| (e.span().unwrap_or(0..0), e.message().to_owned())).collect())
    }

    /// The value of one key, where this is a table that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|e| e.key == key).map(|e| &e.node)
    }

    /// The keys, where this is a table.
    pub(super) fn entries(&self) -> &[Entry] {
        if let Kind::Table(entries) = &self.kind { entries } else { &[] }
    }

    /// The items, where this is an array.
    pub(super) fn items(&self) -> &[Self] {
        if let Kind::Array(items) = &self.kind { items } else { &[] }
    }

    /// The text, where this is a string.
    pub(super) fn text(&self) -> Option<&str> {
        if let Kind::String(text) = &self.kind { Some(text) } else { None }
    }

    /// What was found, in words. A text is not repeated: it may be a secret.
    pub(super) fn words(&self) -> String {
        match &self.kind {
            Kind::String(_) => "a string".to_owned(),
            Kind::Integer(Some(n)) => format!("the integer {n}"),
            Kind::Integer(None) => "an integer beyond 64 bits".to_owned(),
            Kind::Float(n) => format!("the number {n}"),
            Kind::Boolean(b) => format!("{b}"),
            Kind::Datetime(_) => "a date or a time".to_owned(),
            Kind::Array(_) => "an array".to_owned(),
            Kind::Table(_) => "a table".to_owned(),
        }
    }

    /// The same without places.
    pub(super) fn json(&self) -> Value {
        match &self.kind {
            Kind::String(s) | Kind::Datetime(s) => Value::from(s.as_str()),
            Kind::Integer(n) => Value::from(*n),
            Kind::Float(n) => Value::from(*n),
            Kind::Boolean(b) => Value::from(*b),
            Kind::Array(items) => items.iter().map(Self::json).collect(),
            Kind::Table(entries) => Value::Object(entries.iter().map(|e| (e.key.clone(), e.node.json())).collect()),
        }
    }
}

fn table(t: &DeTable<'_>) -> Kind {
    let entry = |(k, v): (&toml::Spanned<std::borrow::Cow<'_, str>>, &toml::Spanned<DeValue<'_>>)| Entry {
        key: k.get_ref().to_string(),
        key_span: k.span(),
        node: Node { span: v.span(), kind: kind(v.get_ref()) },
    };
    let mut entries: Vec<Entry> = t.iter().map(entry).collect();
    entries.sort_by_key(|e| e.key_span.start);
    Kind::Table(entries)
}

fn kind(v: &DeValue<'_>) -> Kind {
    match v {
        DeValue::String(s) => Kind::String(s.to_string()),
        DeValue::Integer(n) => Kind::Integer(integer(n)),
        DeValue::Float(n) => n.as_str().parse().map_or(Kind::Float(f64::NAN), Kind::Float),
        DeValue::Boolean(b) => Kind::Boolean(*b),
        DeValue::Datetime(d) => Kind::Datetime(d.to_string()),
        DeValue::Array(items) => {
            Kind::Array(items.iter().map(|i| Node { span: i.span(), kind: kind(i.get_ref()) }).collect())
        }
        DeValue::Table(t) => table(t),
    }
}

fn integer(n: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(n.as_str(), n.radix()).ok()
}
