//! A plan and its readings, for the tests of rules.

use std::collections::HashMap;
use std::time::Duration;

use chrono::DateTime;
use serde_json::json;

use crate::plan::{
    Area, BootTime, Here, LaneId, Now, Objectives, Plan, PlanId, ProbeDecl, ProbeId, SafeText, SignalId, Site, SiteId,
    Span, Strategy, Subject, Weight,
};
use crate::readiness::{Facts, Finding, Reading, Readings, Row, Rule, Value};
use crate::systems::ReadContext;
use crate::systems::dns::{read, signals};

use super::authoritative;

pub(super) struct Bench {
    plan: Plan,
    looks: HashMap<Subject, Vec<(SignalId, Value)>>,
    silent: Vec<Subject>,
}

pub(super) fn now() -> Now {
    Now { wall: DateTime::from_timestamp(1_800_000_000, 0).unwrap(), boot: BootTime(Duration::from_secs(1_000)) }
}

impl Bench {
    fn of(options: serde_json::Value) -> Self {
        let sites = [SiteId::new("east"), SiteId::new("west")];
        let objectives = Objectives { rpo: Span::secs(30), rto: Span::secs(300) };
        let id = ProbeId::new(&PlanId::new("shop"), "front-door");
        let (interval, timeout) = (Duration::from_secs(5), Duration::from_secs(3));
        let home = &sites[0];
        let ctx = ReadContext {
            id: &id,
            strategy: crate::plan::Strategy::WarmStandby,
            sites: &sites,
            home,
            objectives: &objectives,
            area: Area::Dns,
            interval,
            timeout,
        };
        let declared = read::read(&ctx, options).unwrap();
        let probe = ProbeDecl {
            id,
            kind: "dns",
            area: Area::Dns,
            weight: Weight::Full,
            interval: interval.into(),
            timeout: timeout.into(),
            options: declared.options,
            lanes: declared.lanes,
        };
        let plan = Plan {
            id: PlanId::new("shop"),
            tier: 1,
            strategy: Strategy::WarmStandby,
            objectives,
            sites: sites.iter().map(|s| Site { id: s.clone(), what: SafeText::default() }).collect(),
            home: home.clone(),
            here: Here::Elsewhere,
            requires: vec![Area::Dns],
            probes: vec![probe],
            contacts: vec![],
            losses: vec![],
            confirms: vec![],
            copies: Default::default(),
            runbooks: Vec::new(),
            lost_with: Vec::new(),
            practice: None,
        };
        Self { plan, looks: HashMap::new(), silent: Vec::new() }
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

    fn with(mut self, subject: Subject, signal: &SignalId, rows: Vec<Row>) -> Self {
        self.looks.entry(subject).or_default().push((signal.clone(), Value::Rows(rows)));
        self
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

    pub(super) fn silent(mut self, resolver: &str) -> Self {
        self.silent.push(Subject::part(resolver));
        self
    }

    pub(super) fn replies(self, resolver: &str, rows: Vec<Row>) -> Self {
        self.with(Subject::part(resolver), &signals::REPLIES, rows)
    }

    pub(super) fn endpoints(self, site: &str, rows: Vec<Row>) -> Self {
        self.with(Subject::site(SiteId::new(site)), &signals::ENDPOINTS, rows)
    }

    pub(super) fn findings(&self, rule: &dyn Rule) -> Vec<Finding> {
        let probe = &self.plan.probes[0].id;
        let mut readings = Readings::default();
        for (subject, values) in &self.looks {
            let lane = LaneId { probe: probe.clone(), subject: subject.clone() };
            let reading = |(signal, value): &(SignalId, Value)| Reading {
                key: lane.key(signal.clone()),
                value: Ok(value.clone()),
                asked: now(),
                answered: now(),
                as_of: None,
            };
            readings.take(&lane, now(), values.iter().map(reading).collect());
        }
        for subject in &self.silent {
            let lane = LaneId { probe: probe.clone(), subject: subject.clone() };
            let value = Err(crate::readiness::Reason::TimedOut.into());
            let key = lane.key(crate::readiness::signals::TRAFFIC);
            readings.take(&lane, now(), vec![Reading { key, value, asked: now(), answered: now(), as_of: None }]);
        }
        let (clocks, boot) = (HashMap::new(), SafeText::default());
        let facts = Facts {
            plan: &self.plan,
            readings: &readings,
            clocks: &clocks,
            last_active: None,
            boot: &boot,
            watching: false,
            rehearsed: &[],
        };
        let found: Vec<Finding> =
            rule.applies(&self.plan).iter().flat_map(|about| rule.judge(&facts, about, now())).collect();
        for f in &found {
            assert_eq!(f.rule, rule.id());
            assert_eq!(f.verdict == crate::readiness::Verdict::Ready, f.next.is_none(), "{f:?}");
            assert!(f.code == "no-threshold" || !f.evidence.is_empty(), "{f:?}");
        }
        found
    }

    pub(super) fn judge(&self, rule: &dyn Rule) -> Vec<String> {
        self.findings(rule).iter().map(|f| format!("{} {}", f.verdict, f.code)).collect()
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
