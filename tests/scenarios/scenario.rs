//! Scenario files: what a world says at which second, and what must be judged then.
//!
//! Strings as values: `null`, `n/a`, `gap:CODE`, `lsn:0/5`, `bytes:1MiB`, `span:5s`, `time:-30` (seconds from the step),
//! anything else is text. An array of tables is rows.

use std::collections::BTreeMap;

use lifeboat::plan::{Area, SignalId, Span, Weight};
use lifeboat::readiness::{Bound, Gap, Reason, Row, Value, Verdict};
use lifeboat::systems::postgres::options::Mode;
use lifeboat::systems::postgres::signals as pg;
use serde::Deserialize;

use crate::views::{primary, standby};
use crate::world::{Answer, PlanSpec, World, now, tell};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// One sentence.
    #[serde(rename = "what")]
    pub _what: String,
    /// The traps of the field that it stands for.
    #[serde(default)]
    pub traps: Vec<u8>,
    /// The lab faults that it stands for.
    #[serde(default)]
    pub faults: Vec<String>,
    #[serde(default)]
    pub plan: PlanOverrides,
    #[serde(rename = "step")]
    pub steps: Vec<Step>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlanOverrides {
    rpo: Option<Span>,
    mode: Option<Mode>,
    sites: Option<Vec<String>>,
    servers: Option<Vec<String>>,
    requires: Option<Vec<Area>>,
    weight: Option<Weight>,
    apply_delay: Option<Span>,
    standby_names: BTreeMap<String, String>,
    traffic: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// When it begins, in seconds; looks follow every five seconds until `until`.
    t: f64,
    until: Option<f64>,
    /// The lanes that are looked at; all where none is named. `["none"]` looks at none.
    #[serde(default)]
    look: Vec<String>,
    /// Bytes a second.
    rate: Option<f64>,
    /// `received` or `replayed`: positions that stand still from here on.
    hold: Option<Vec<String>>,
    /// A server becomes a healthy `primary` or `standby`.
    #[serde(default, rename = "become")]
    becomes: BTreeMap<String, String>,
    /// Whole values.
    #[serde(default)]
    set: BTreeMap<String, BTreeMap<String, toml::Value>>,
    /// Columns in every row of a table.
    #[serde(default)]
    edit: BTreeMap<String, BTreeMap<String, BTreeMap<String, toml::Value>>>,
    /// Settings.
    #[serde(default)]
    settings: BTreeMap<String, BTreeMap<String, String>>,
    /// Lanes that say only why not; `up` ends it.
    #[serde(default)]
    dark: BTreeMap<String, String>,
    #[serde(default)]
    expect: Expect,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Expect {
    readiness: Option<Verdict>,
    situation: Option<String>,
    /// `rule subject: code verdict`, each of which must be there.
    findings: Vec<String>,
    /// Codes that must not be there.
    none: Vec<String>,
    /// `GO`, `GO with consent`, `no`, `unknown`.
    failover: Option<String>,
    /// Part of one of the gate's reasons.
    says: Vec<String>,
    switchover: Option<String>,
    to: Option<String>,
    /// `zero`, `unknown`, or a range of seconds.
    exposure: Option<toml::Value>,
    /// Part of one item of the loss manifest.
    loses: Vec<String>,
}

/// The name of every scenario file and what is in it.
pub fn all() -> Vec<(String, Scenario)> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios/cases");
    let mut found: Vec<(String, Scenario)> = std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "toml"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            (name.clone(), toml::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}")))
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn leak(names: Vec<String>) -> Vec<&'static str> {
    names.into_iter().map(|n| &*Box::leak(n.into_boxed_str())).collect()
}

fn signal(name: &str) -> SignalId {
    let all = pg::SIGNALS.iter().chain(pg::RESTORED).map(|s| s.id.clone());
    let found = all.chain([lifeboat::readiness::signals::TRAFFIC]).find(|s| s.as_str() == name);
    found.unwrap_or_else(|| panic!("no signal {name}"))
}

pub fn gap(code: &str) -> Gap {
    let reason = Reason::ALL.iter().find(|r| r.code() == code);
    Gap::from(*reason.unwrap_or_else(|| panic!("no reason {code}")))
}

fn value(v: &toml::Value, t: f64) -> Value {
    match v {
        toml::Value::Boolean(b) => Value::Bool(*b),
        toml::Value::Integer(n) => Value::Int(*n),
        toml::Value::Float(n) => Value::Number(*n),
        toml::Value::Array(rows) => Value::Rows(
            rows.iter()
                .map(|r| {
                    r.as_table().unwrap().iter().fold(Row::default(), |row, (k, v)| row.with(k.clone(), value(v, t)))
                })
                .collect(),
        ),
        toml::Value::String(s) => match s.split_once(':') {
            _ if s == "null" => Value::Null,
            _ if s == "n/a" => Value::NotApplicable,
            Some(("lsn", l)) => Value::Lsn(l.parse().unwrap()),
            Some(("bytes", b)) => Value::Bytes(b.parse().unwrap()),
            Some(("span", d)) => Value::Span(d.parse().unwrap()),
            Some(("time", d)) => Value::Time(now(t + d.parse::<f64>().unwrap()).wall),
            _ => Value::text(s),
        },
        other => panic!("no value: {other}"),
    }
}

fn answer(v: &toml::Value, t: f64) -> Answer {
    match v.as_str().and_then(|s| s.strip_prefix("gap:")) {
        Some(code) => Err(gap(code)),
        None => Ok(value(v, t)),
    }
}

/// Runs one scenario and returns every expectation that was not met.
pub fn run(name: &str, scenario: Scenario) -> Vec<String> {
    let mut spec = PlanSpec::default();
    let p = scenario.plan;
    spec.rpo = p.rpo.unwrap_or(spec.rpo);
    spec.mode = p.mode.unwrap_or(spec.mode);
    spec.sites = p.sites.map_or(spec.sites, leak);
    spec.servers = p.servers.map_or(spec.servers, leak);
    spec.requires = p.requires.unwrap_or(spec.requires);
    spec.weight = p.weight.unwrap_or(spec.weight);
    spec.apply_delay = p.apply_delay;
    spec.standby_names = p.standby_names;
    spec.traffic = p.traffic;
    let mut world = World::new(&spec);
    let mut wrong = Vec::new();
    for (i, step) in scenario.steps.into_iter().enumerate() {
        world.pass(step.t);
        apply(&mut world, &step);
        let until = step.until.unwrap_or(step.t);
        loop {
            world.poll(&step.look);
            if world.t + 5.0 > until {
                break;
            }
            world.judged();
            world.pass(world.t + 5.0);
        }
        let status = world.judged();
        let missed = step.expect.missed(&status);
        if !missed.is_empty() {
            wrong.push(format!("{name}, step {i} at {}: {}\n{}", world.t, missed.join("; "), tell(&status)));
        }
    }
    wrong
}

fn apply(world: &mut World, step: &Step) {
    world.rate = step.rate.unwrap_or(world.rate);
    if let Some(hold) = &step.hold {
        world.hold_received = hold.iter().any(|h| h == "received");
        world.hold_replayed = world.hold_received || hold.iter().any(|h| h == "replayed");
    }
    for (site, role) in &step.becomes {
        let says = match role.as_str() {
            "primary" => primary(site),
            "standby" => standby(site),
            other => panic!("no role {other}"),
        };
        world.servers.insert(site.clone(), says);
    }
    for (site, values) in &step.set {
        let server = world.servers.get_mut(site).unwrap_or_else(|| panic!("no server {site}"));
        for (name, v) in values {
            server.insert(signal(name), answer(v, step.t));
        }
    }
    for (site, tables) in &step.edit {
        for (table, columns) in tables {
            let found = world.servers.get_mut(site).unwrap().get_mut(&signal(table));
            let Some(Ok(Value::Rows(rows))) = found else { panic!("{site} {table} is no table") };
            for (column, v) in columns {
                assert!(!rows.is_empty(), "{site} {table} is empty");
                for row in rows.iter_mut() {
                    assert!(row.get(column).is_some(), "no column {column}");
                    row.set(column.clone(), value(v, step.t));
                }
            }
        }
    }
    for (site, settings) in &step.settings {
        let Some(Ok(Value::Rows(rows))) = world.servers.get_mut(site).unwrap().get_mut(&pg::SETTINGS) else { panic!() };
        for (name, setting) in settings {
            let is = |r: &&mut Row| r.get("name") == Some(&Value::text(name));
            let row = rows.iter_mut().find(is).unwrap_or_else(|| panic!("no setting {name}"));
            row.set("setting", Value::text(setting));
        }
    }
    for (lane, code) in &step.dark {
        if code == "up" {
            world.dark.remove(lane);
        } else {
            world.dark.insert(lane.clone(), gap(code));
        }
    }
}

impl Expect {
    fn missed(&self, s: &lifeboat::readiness::PlanStatus) -> Vec<String> {
        let mut out = Vec::new();
        let mut want = |what: &str, held: bool| {
            if !held {
                out.push(format!("not so: {what}"));
            }
        };
        if let Some(r) = self.readiness {
            want(r.word(), s.readiness == r);
        }
        if let Some(words) = &self.situation {
            want(words, s.situation.words() == words);
        }
        for line in &self.findings {
            let found = s.findings.iter().any(|f| {
                let verdict = f.verdict.word().replace(' ', "-");
                format!("{} {}: {} {verdict}", f.rule, f.subject, f.code) == *line
            });
            want(line, found);
        }
        for f in &s.findings {
            let name = format!("{} {}: {}", f.rule, f.subject, f.code);
            want(&format!("{name} says what to do next"), f.verdict == Verdict::Ready || f.next.is_some());
            want(&format!("{name} is absent"), !self.none.contains(&f.code.to_string()));
        }
        if let Some(word) = &self.failover {
            want(&format!("failover {word}"), s.gates.failover.word() == word);
        }
        for part in &self.says {
            want(part, s.gates.failover.reasons().iter().any(|r| r.as_str().contains(part)));
        }
        if let Some(word) = &self.switchover {
            want(&format!("switchover {word}"), s.gates.switchover.word() == word);
        }
        if let Some(to) = &self.to {
            want(&format!("to {to}"), s.gates.to.as_ref().is_some_and(|t| t.as_str() == to));
        }
        if let Some(e) = &self.exposure {
            let bound = s.exposure().map(|e| &e.bound);
            let held = match (e, bound) {
                (toml::Value::String(w), Some(Bound::Zero)) => w == "zero",
                (toml::Value::String(w), Some(Bound::Unknown { .. })) => w == "unknown",
                (toml::Value::String(w), None) => w == "none",
                (toml::Value::Array(range), Some(bound)) => bound.span().is_some_and(|span| {
                    let at = |i: usize| range[i].as_float().or(range[i].as_integer().map(|n| n as f64)).unwrap();
                    (at(0)..=at(1)).contains(&span.0.as_secs_f64())
                }),
                _ => false,
            };
            want(&format!("exposure {e}"), held);
        }
        for part in &self.loses {
            want(&format!("loses {part}"), s.losses.iter().any(|l| l.what.as_str().contains(part)));
        }
        out
    }
}
