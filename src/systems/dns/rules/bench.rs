//! A plan with a DNS name, and its readings, for the tests of rules.

use serde_json::json;

use crate::plan::{Area, SignalId, SiteId, Span, Subject};
use crate::readiness::{Finding, Reason, Row, Rule, Value};
use crate::systems::bench;
pub(super) use crate::systems::bench::now;
use crate::systems::dns::signals;

use super::authoritative;

pub(super) struct Bench(bench::Bench);

impl Bench {
    fn of(options: serde_json::Value) -> Self {
        Self(bench::Bench::of("dns", Area::Dns, options).unwrap())
    }

    fn options() -> serde_json::Value {
        json!({
            "record": "shop.example.com",
            "answers": { "east": ["192.0.2.1", "2001:db8:1::1"], "west": ["198.51.100.1", "2001:db8:2::1"] },
            "resolvers": ["1.1.1.1", "8.8.8.8"], "max_ttl": "60s", "endpoint": {},
        })
    }

    pub(super) fn new() -> Self {
        Self::of(Self::options())
    }

    pub(super) fn without_limit() -> Self {
        let mut options = Self::options();
        options.as_object_mut().unwrap().remove("max_ttl");
        Self::of(options)
    }

    pub(super) fn by_name() -> Self {
        let mut options = Self::options();
        options["answers"] = json!({ "east": ["lb.east.example.net"], "west": ["lb.west.example.net"] });
        Self::of(options)
    }

    fn with(self, subject: Subject, signal: &SignalId, rows: Vec<Row>) -> Self {
        Self(self.0.read(subject, signal, Ok(Value::Rows(rows))))
    }

    pub(super) fn servers(self, rows: Vec<Row>) -> Self {
        self.with(authoritative(), &signals::SERVERS, rows)
    }

    pub(super) fn chain(self, rows: Vec<Row>) -> Self {
        self.with(authoritative(), &signals::CHAIN, rows)
    }

    pub(super) fn answer(self, resolver: &str, rows: Vec<Row>) -> Self {
        self.with(Subject::part(resolver), &signals::ANSWER, rows)
    }

    pub(super) fn silent(self, resolver: &str) -> Self {
        let traffic = crate::readiness::signals::TRAFFIC;
        Self(self.0.read(Subject::part(resolver), &traffic, Err(Reason::TimedOut.into())))
    }

    pub(super) fn replies(self, resolver: &str, rows: Vec<Row>) -> Self {
        self.with(Subject::part(resolver), &signals::REPLIES, rows)
    }

    pub(super) fn endpoints(self, site: &str, rows: Vec<Row>) -> Self {
        self.with(Subject::site(SiteId::new(site)), &signals::ENDPOINTS, rows)
    }

    pub(super) fn findings(&self, rule: &dyn Rule) -> Vec<Finding> {
        self.0.findings(&[rule])
    }

    pub(super) fn judge(&self, rule: &dyn Rule) -> Vec<String> {
        self.0.coded(&[rule])
    }
}

pub(super) fn server(address: &str, outcome: &str, serial: Option<i64>) -> Row {
    Row::default()
        .with("link", Value::text("shop.example.com"))
        .with("zone", Value::text("example.com"))
        .with("server", Value::text("ns.example.com"))
        .with("address", Value::text(address))
        .with("outcome", Value::text(outcome))
        .with("detail", Value::text(""))
        .with("serial", serial.map_or(Value::Null, Value::Int))
}

pub(super) fn record(family: &str, name: &str, kind: &str, data: &str, ttl: u64) -> Row {
    Row::default()
        .with("family", Value::text(family))
        .with("name", Value::text(name))
        .with("type", Value::text(kind))
        .with("data", Value::text(data))
        .with("ttl", Value::Span(Span::secs(ttl)))
}

pub(super) fn endpoint(address: &str, outcome: &str, days: Option<i64>) -> Row {
    let not_after = days.map(|d| now().wall + chrono::Duration::days(d));
    Row::default()
        .with("address", Value::text(address))
        .with("outcome", Value::text(outcome))
        .with("detail", Value::text(outcome))
        .with("not_after", not_after.map_or(Value::Null, Value::Time))
}
