//! A spanned tree against the schema: every mistake of shape at once.

use serde_json::Value;

use crate::plan::{Bytes, Day, Span};

use super::Formats;
use super::nearest::nearest;
use super::options::Name;
use super::problem::Report;
use super::schema::{COMMON, COMMON_STEP};
use super::tree::{Kind, Node};

/// Names that people will write and that have a reason of their own for not being accepted.
const REFUSED: [(&str, &str, &str); 1] = [(
    "active-active",
    "\"active-active\" is not supported: the rules assume that one site takes writes",
    "\"warm-standby\", \"pilot-light\" or \"backup-restore\"",
)];

/// Checks a whole file.
pub(super) fn check(schema: &Value, root: &Node, report: &mut Report<'_>) {
    check_with(schema, root, report, |_, _| None);
}

/// The same, with formats of other files.
pub(super) fn check_with(schema: &Value, root: &Node, report: &mut Report<'_>, formats: Formats) {
    Checker { root: schema, report, formats }.node(schema, root, "");
}

/// A key below another, in the words of the file: `plan[payments].sites.east`.
pub(super) fn below(key: &str, name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let name = if bare { name.to_owned() } else { crate::plan::SafeText::new(&format!("{name:?}")).to_string() };
    if key.is_empty() { name } else { format!("{key}.{name}") }
}

/// An item of an array: by its name where it has one, else by its number from 1.
pub(super) fn item(key: &str, index: usize, node: &Node) -> String {
    match node.get("name").and_then(Node::text).filter(|n| Name::fits(n)) {
        Some(name) => format!("{key}[{name}]"),
        None => format!("{key}[#{}]", index + 1),
    }
}

struct Checker<'a, 'r, 't> {
    root: &'a Value,
    report: &'r mut Report<'t>,
    formats: Formats,
}

/// A keyword's value as text.
fn text<'a>(schema: &'a Value, key: &str) -> Option<&'a str> {
    schema.get(key).and_then(Value::as_str)
}

/// A keyword's items.
fn list<'a>(schema: &'a Value, key: &str) -> &'a [Value] {
    schema.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// `a`, `b` and `c` as a list for people.
fn either(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

impl<'a> Checker<'a, '_, '_> {
    /// The schema that a reference means.
    fn resolve(&self, mut schema: &'a Value) -> &'a Value {
        // A reference to a reference is as deep as it gets; a circle must not hang.
        for _ in 0..8 {
            let target = text(schema, "$ref").and_then(|r| r.strip_prefix('#')).and_then(|p| self.root.pointer(p));
            match target {
                Some(target) => schema = target,
                None => break,
            }
        }
        schema
    }

    fn node(&mut self, schema: &'a Value, node: &Node, key: &str) {
        let schema = self.resolve(schema);
        for alternatives in ["oneOf", "anyOf"] {
            let alternatives: Vec<&Value> = list(schema, alternatives).iter().map(|s| self.resolve(s)).collect();
            if !alternatives.is_empty() {
                return self.one_of(&alternatives, node, key);
            }
        }
        if schema.get("const").is_some() || schema.get("enum").is_some() {
            return self.one_of(&[schema], node, key);
        }
        if !fits(schema, node) {
            let right = self.expected(schema);
            self.report.add(&node.span, key, &format!("expected {right}, found {}", node.words()), "");
            return;
        }
        match &node.kind {
            Kind::String(s) => self.string(schema, s, node, key),
            Kind::Integer(n) => self.number(schema, n.map(|n| n as f64), node, key),
            Kind::Float(n) => self.number(schema, Some(*n), node, key),
            Kind::Array(items) => self.array(schema, items, node, key),
            Kind::Table(_) => self.table(schema, node, key),
            Kind::Datetime(s) => self.string(schema, s, node, key),
            Kind::Boolean(_) => {}
        }
    }

    fn string(&mut self, schema: &Value, s: &str, node: &Node, key: &str) {
        let fault = match text(schema, "format") {
            Some("duration") => s.parse::<Span>().err().map(|e| e.to_string()),
            Some("size") => s.parse::<Bytes>().err().map(|e| e.to_string()),
            Some("date") => s.parse::<Day>().err().map(|e| e.to_string()),
            Some("name") if !Name::fits(s) => Some(
                "not a name: write letters, digits, '.', '_' and '-', at most 63, the first a letter or digit".into(),
            ),
            Some(other) => (self.formats)(other, s),
            None => None,
        };
        let count = s.chars().count() as u64;
        if let Some(fault) = fault {
            let (what, right) = fault.split_once(": ").unwrap_or((&fault, ""));
            self.report.add(&node.span, key, &format!("{s:?} is {what}"), right);
        } else if limit(schema, "minLength").is_some_and(|min| count < min) {
            self.report.add(&node.span, key, "is empty", "write something, or leave the key out");
        } else if let Some(max) = limit(schema, "maxLength").filter(|max| count > *max) {
            self.report.add(&node.span, key, &format!("{count} characters"), &format!("at most {max}"));
        }
    }

    fn number(&mut self, schema: &Value, n: Option<f64>, node: &Node, key: &str) {
        let min = schema.get("minimum").and_then(Value::as_f64);
        let max = schema.get("maximum").and_then(Value::as_f64);
        let fits = n.is_some_and(|n| n.is_finite() && min.is_none_or(|m| n >= m) && max.is_none_or(|m| n <= m));
        if !fits {
            let right = match (min, max) {
                (Some(min), Some(max)) => format!("a number from {min} to {max}"),
                (Some(min), None) => format!("a number of at least {min}"),
                (None, Some(max)) => format!("a number of at most {max}"),
                (None, None) => "a number that fits in 64 bits".to_owned(),
            };
            self.report.add(&node.span, key, &format!("{} is out of range", node.words()), &right);
        }
    }

    fn array(&mut self, schema: &'a Value, items: &[Node], node: &Node, key: &str) {
        if let Some(min) = limit(schema, "minItems").filter(|min| (items.len() as u64) < *min) {
            self.report.add(&node.span, key, &format!("{} items", items.len()), &format!("at least {min}"));
        }
        if let Some(max) = limit(schema, "maxItems").filter(|max| (items.len() as u64) > *max) {
            self.report.add(&node.span, key, &format!("{} items", items.len()), &format!("at most {max}"));
        }
        let unique = schema.get("uniqueItems") == Some(&Value::Bool(true));
        let mut seen = std::collections::HashSet::new();
        for (i, one) in items.iter().enumerate() {
            let key = item(key, i, one);
            if unique && !seen.insert(one.json().to_string()) {
                self.report.add(&one.span, &key, "is there twice", "remove one");
            }
            if let Some(items) = schema.get("items") {
                self.node(items, one, &key);
            }
        }
    }

    fn table(&mut self, schema: &'a Value, node: &Node, key: &str) {
        let known = schema.get("properties").and_then(Value::as_object);
        let names = || known.into_iter().flat_map(|k| k.keys().map(String::as_str));
        let entries = node.entries();
        for entry in entries {
            let child = below(key, &entry.key);
            if let Some(schema) = known.and_then(|k| k.get(&entry.key)) {
                self.node(schema, &entry.node, &child);
                continue;
            }
            match schema.get("additionalProperties") {
                Some(Value::Bool(false)) => self.unknown_key(&child, entry, &names().collect::<Vec<_>>()),
                Some(other @ Value::Object(_)) => self.node(other, &entry.node, &child),
                Some(_) | None => {}
            }
        }
        if let Some(min) = limit(schema, "minProperties").filter(|min| (entries.len() as u64) < *min) {
            let s = if entries.len() == 1 { "" } else { "s" };
            self.report.add(&node.span, key, &format!("has {} key{s}", entries.len()), &format!("at least {min}"));
        }
        for name in list(schema, "required").iter().filter_map(Value::as_str) {
            if node.get(name).is_none() {
                let about = known
                    .and_then(|k| k.get(name))
                    .map(|s| text(s, "description").or_else(|| text(self.resolve(s), "description")));
                let about = about.flatten().map_or_else(String::new, |d| format!(": {}", first_sentence(d)));
                self.report.add(
                    &node.span,
                    &below(key, name),
                    &format!("`{name}` is missing"),
                    &format!("add {}{about}", self.written(key, name, known.and_then(|k| k.get(name)))),
                );
            }
        }
    }

    /// How a missing key is written: a list of tables as the tables that people write.
    fn written(&self, key: &str, name: &str, schema: Option<&'a Value>) -> String {
        let of_tables = |s: &'a Value| {
            let items = self.resolve(s).get("items")?;
            let items = self.resolve(items);
            Some(text(items, "type") == Some("object") || items.get("oneOf").is_some())
        };
        if schema.and_then(of_tables) == Some(true) {
            let bare: String =
                key.split('.').map(|k| k.split('[').next().unwrap_or(k)).flat_map(|k| [k, "."]).collect();
            let path = if key.is_empty() { name.to_owned() } else { format!("{bare}{name}") };
            return format!("`[[{path}]]`");
        }
        format!("`{name} = ...`")
    }

    fn unknown_key(&mut self, key: &str, entry: &super::tree::Entry, names: &[&str]) {
        if let Some((_, what, right)) = REFUSED.iter().find(|(name, ..)| *name == entry.key) {
            return self.report.add(&entry.key_span, key, what, right);
        }
        let right = match nearest(&entry.key, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", names.join(", ")),
        };
        self.report.add(&entry.key_span, key, &format!("unknown key `{}`", entry.key), &right);
    }

    /// One of several: a word of a list, a table told by its `kind`, a table told by its one key, or by type.
    fn one_of(&mut self, alternatives: &[&'a Value], node: &Node, key: &str) {
        if let Some(words) = words(alternatives) {
            return self.word(&words, node, key);
        }
        let kinds: Vec<(&str, &'a Value)> =
            alternatives.iter().filter_map(|s| Some((s.pointer("/properties/kind/const")?.as_str()?, *s))).collect();
        if kinds.len() == alternatives.len() {
            return self.by_kind(&kinds, node, key);
        }
        let of_type: Vec<&'a Value> = alternatives.iter().copied().filter(|s| fits(s, node)).collect();
        match of_type.as_slice() {
            [] => {
                let right: Vec<String> = alternatives.iter().map(|s| self.expected(s)).collect();
                let mut right = right;
                right.dedup();
                self.report.add(&node.span, key, &format!("expected {}, found {}", either(&right), node.words()), "");
            }
            [one] => self.node(one, node, key),
            several => self.by_key(several, node, key),
        }
    }

    fn word(&mut self, words: &[&str], node: &Node, key: &str) {
        let quoted: Vec<String> = words.iter().map(|w| format!("{w:?}")).collect();
        let Some(found) = node.text() else {
            let what = format!("expected {}, found {}", either(&quoted), node.words());
            return self.report.add(&node.span, key, &what, "");
        };
        if words.contains(&found) {
            return;
        }
        if let Some((_, what, right)) = REFUSED.iter().find(|(name, ..)| *name == found) {
            return self.report.add(&node.span, key, what, right);
        }
        let right = match nearest(found, words.iter().copied()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("one of {}", either(&quoted)),
        };
        self.report.add(&node.span, key, &format!("unknown value {found:?}"), &right);
    }

    fn by_kind(&mut self, kinds: &[(&str, &'a Value)], node: &Node, key: &str) {
        if !matches!(node.kind, Kind::Table(_)) {
            return self.report.add(&node.span, key, &format!("expected a table, found {}", node.words()), "");
        }
        let kind = node.get("kind");
        if let Some((_, schema)) = kinds.iter().find(|(name, _)| Some(*name) == kind.and_then(Node::text)) {
            return self.table(schema, node, key);
        }
        let names: Vec<&str> = kinds.iter().map(|(name, _)| *name).collect();
        match kind {
            Some(kind) => self.word(&names, kind, &below(key, "kind")),
            None => {
                let right = format!("add `kind = ...`: {}", names.join(", "));
                self.report.add(&node.span, &below(key, "kind"), "`kind` is missing", &right);
            }
        }
        // What every one of its sort has can be checked though the kind is unknown.
        let Some((_, any)) = kinds.first() else { return };
        let (common, called) = match any.pointer("/properties/step") {
            Some(_) => (&COMMON_STEP[..], "step"),
            None => (&COMMON[..], "name"),
        };
        for name in common.iter().filter(|n| **n != "kind") {
            if let (Some(schema), Some(node)) = (any.get("properties").and_then(|p| p.get(*name)), node.get(name)) {
                self.node(schema, node, &below(key, name));
            }
        }
        if node.get(called).is_none() {
            let (what, right) = (format!("`{called}` is missing"), format!("add `{called} = ...`"));
            self.report.add(&node.span, &below(key, called), &what, &right);
        }
    }

    /// Several alternatives of one type: tables that are told apart by the one key that each requires, else the first
    /// that fits.
    fn by_key(&mut self, alternatives: &[&'a Value], node: &Node, key: &str) {
        let tags: Vec<(&str, &'a Value)> = alternatives
            .iter()
            .filter_map(|s| match list(s, "required") {
                [Value::String(tag)] => Some((tag.as_str(), *s)),
                _ => None,
            })
            .collect();
        if tags.len() < alternatives.len() {
            let trial = |s: &&&'a Value| {
                let mut report = Report::new(super::problem::Lines::new("", ""));
                Checker { root: self.root, report: &mut report, formats: self.formats }.node(s, node, "");
                report.done().is_ok()
            };
            let fitting = alternatives.iter().find(trial).or(alternatives.first());
            return fitting.map_or((), |s| self.node(s, node, key));
        }
        let present: Vec<&(&str, &Value)> = tags.iter().filter(|(tag, _)| node.get(tag).is_some()).collect();
        let names: Vec<String> = tags.iter().map(|(tag, _)| format!("`{tag}`")).collect();
        match present.as_slice() {
            [(_, one)] => self.table(one, node, key),
            [] => {
                let keys: Vec<&str> = tags.iter().map(|(tag, _)| *tag).collect();
                match node.entries() {
                    [] => self.report.add(&node.span, key, "is empty", &format!("one of {}", either(&names))),
                    entries => {
                        for entry in entries {
                            self.unknown_key(&below(key, &entry.key), entry, &keys);
                        }
                    }
                }
            }
            _ => self.report.add(&node.span, key, "says it more than once", &format!("only one of {}", either(&names))),
        }
    }

    /// What a schema wants, in words.
    fn expected(&self, schema: &'a Value) -> String {
        let schema = self.resolve(schema);
        let words = match text(schema, "format") {
            Some("duration") => "a duration such as \"30s\"",
            Some("size") => "a size such as \"16MiB\"",
            Some("date") => "a day such as 2026-11-01",
            Some("name") => "a name in quotes",
            Some("colour") => "a colour in quotes such as \"green\", \"#d55e00\" or \"28\"",
            Some(_) | None => match text(schema, "type") {
                Some("string") => "a string",
                Some("integer") => "an integer",
                Some("number") => "a number",
                Some("boolean") => "true or false",
                Some("array") => "an array",
                Some("object") => "a table",
                Some(_) | None => "something else",
            },
        };
        words.to_owned()
    }
}

/// The words of which one must stand there, where every alternative is one.
fn words<'a>(alternatives: &[&'a Value]) -> Option<Vec<&'a str>> {
    let mut words = Vec::new();
    for schema in alternatives {
        match schema.get("const") {
            Some(word) => words.push(word.as_str()?),
            None => {
                let listed = schema.get("enum")?.as_array()?;
                words.extend(listed.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?);
            }
        }
    }
    Some(words)
}

fn limit(schema: &Value, key: &str) -> Option<u64> {
    schema.get(key).and_then(Value::as_u64)
}

/// Whether a value has one of the types that a schema wants; a schema without type wants any.
fn fits(schema: &Value, node: &Node) -> bool {
    let one = |t: &str| match (&node.kind, t) {
        (Kind::String(_), "string") | (Kind::Integer(_), "integer" | "number") | (Kind::Float(_), "number") => true,
        (Kind::Boolean(_), "boolean") | (Kind::Array(_), "array") | (Kind::Table(_), "object") => true,
        (_, _) => false,
    };
    if text(schema, "format") == Some("date") && matches!(node.kind, Kind::Datetime(_)) {
        return true;
    }
    match schema.get("type") {
        Some(Value::String(t)) => one(t),
        Some(Value::Array(types)) => types.iter().filter_map(Value::as_str).any(one),
        Some(_) | None => !matches!(node.kind, Kind::Datetime(_)),
    }
}

fn first_sentence(text: &str) -> &str {
    let line = text.split("\n\n").next().unwrap_or(text);
    line.split_once(". ").map_or(line, |(first, _)| first).trim_end_matches('.')
}
