//! A plan with registries and what they have, for the tests of rules.

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
use crate::systems::images::options::Images;
use crate::systems::images::{read, signals};

pub(super) struct Desk {
    plan: Plan,
    /// How long before the judgement everything was asked for.
    ago: Duration,
    looks: Vec<(Subject, SignalId, Value)>,
}

fn now() -> Now {
    Now { wall: DateTime::from_timestamp(1_800_000_000, 0).unwrap(), boot: BootTime(Duration::from_secs(1_000)) }
}

fn declared(options: serde_json::Value) -> (ProbeId, Objectives, crate::systems::Declared) {
    let sites = [SiteId::new("east"), SiteId::new("west")];
    let objectives = Objectives { rpo: Span::secs(30), rto: Span::secs(300) };
    let id = ProbeId::new(&PlanId::new("shop"), "images");
    let (interval, timeout) = (Duration::from_secs(60), Duration::from_secs(30));
    let (home, area) = (&sites[0], Area::Images);
    let ctx = ReadContext {
        id: &id,
        strategy: crate::plan::Strategy::WarmStandby,
        sites: &sites,
        home,
        objectives: &objectives,
        area,
        interval,
        timeout,
    };
    let declared = read::read(&ctx, options).unwrap();
    (id, objectives, declared)
}

fn two(platforms: &[&str], images: &[&str]) -> serde_json::Value {
    json!({
        "at": { "east": "east.example.com/shop", "west": "west.example.com/shop" },
        "images": images, "platforms": platforms,
    })
}

/// Options of two registries.
pub(super) fn options(platforms: &[&str]) -> Images {
    declared(two(platforms, &["api:1"])).2.options.as_any().downcast_ref::<Images>().unwrap().clone()
}

impl Desk {
    fn of(options: serde_json::Value) -> Self {
        let (id, objectives, declared) = declared(options);
        let probe = ProbeDecl {
            id,
            kind: "images",
            area: Area::Images,
            weight: Weight::Full,
            interval: Span::secs(60),
            timeout: Span::secs(30),
            options: declared.options,
            lanes: declared.lanes,
        };
        let site = |name| Site { id: SiteId::new(name), what: SafeText::default() };
        let plan = Plan {
            id: PlanId::new("shop"),
            tier: 1,
            strategy: Strategy::WarmStandby,
            objectives,
            sites: vec![site("east"), site("west")],
            home: SiteId::new("east"),
            here: Here::Elsewhere,
            requires: vec![Area::Images],
            probes: vec![probe],
            contacts: vec![],
            losses: vec![],
            copies: crate::plan::Copies::default(),
            runbooks: Vec::new(),
            lost_with: Vec::new(),
            practice: None,
            confirms: vec![],
        };
        Self { plan, ago: Duration::ZERO, looks: Vec::new() }
    }

    pub(super) fn new(images: &[&str]) -> Self {
        Self::needing(&[], images)
    }

    pub(super) fn needing(platforms: &[&str], images: &[&str]) -> Self {
        Self::of(two(platforms, images))
    }

    pub(super) fn shared(images: &[&str]) -> Self {
        Self::of(json!({ "at": { "east": "one.example.com", "west": "one.example.com" }, "images": images }))
    }

    pub(super) fn from_file() -> Self {
        let mut options = two(&[], &[]);
        options["images_from"] = json!("/srv/images.txt");
        options["images_max_age"] = json!("7d");
        Self::of(options)
    }

    fn subject(name: &str) -> Subject {
        if name == "one" { Subject::part("one.example.com") } else { Subject::site(SiteId::new(name)) }
    }

    /// The same, asked for so many seconds before it is judged.
    pub(super) fn ago(mut self, seconds: u64) -> Self {
        self.ago = Duration::from_secs(seconds);
        self
    }

    /// What a registry has: for each image its manifest's row and its contents' rows.
    pub(super) fn with(mut self, name: &str, all: Vec<(Row, Vec<Row>)>) -> Self {
        let subject = Self::subject(name);
        let count = Value::Int(i64::try_from(all.len()).unwrap());
        let (manifests, contents): (Vec<Row>, Vec<Vec<Row>>) = all.into_iter().unzip();
        self.looks.push((subject.clone(), signals::MANIFESTS, Value::Rows(manifests)));
        self.looks.push((subject.clone(), signals::CONTENTS, Value::Rows(contents.into_iter().flatten().collect())));
        self.looks.push((subject, signals::COUNT, count));
        self
    }

    pub(super) fn listing(mut self, name: &str, rows: Vec<Row>) -> Self {
        self.looks.push((Self::subject(name), signals::LIST, Value::Rows(rows)));
        self
    }

    pub(super) fn findings(&self, rule: &dyn Rule) -> Vec<Finding> {
        let probe = &self.plan.probes[0].id;
        let mut readings = Readings::default();
        let mut by_lane: HashMap<Subject, Vec<Reading>> = HashMap::new();
        for (subject, signal, value) in &self.looks {
            let lane = LaneId { probe: probe.clone(), subject: subject.clone() };
            let (key, value) = (lane.key(signal.clone()), Ok(value.clone()));
            let reading = Reading { key, value, asked: now(), answered: now(), as_of: None };
            by_lane.entry(subject.clone()).or_default().push(reading);
        }
        for (subject, all) in by_lane {
            readings.take(&LaneId { probe: probe.clone(), subject }, now(), all);
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
        let abouts = rule.applies(&self.plan);
        let found: Vec<Finding> =
            abouts.iter().flat_map(|about| rule.judge(&facts, about, now().plus(self.ago))).collect();
        for (i, f) in found.iter().enumerate() {
            assert_eq!(f.rule, rule.id());
            assert_eq!(f.verdict == crate::readiness::Verdict::Ready, f.next.is_none(), "{f:?}");
            assert!(!f.evidence.is_empty(), "{f:?}");
            assert!(!found[..i].iter().any(|g| g.identity() == f.identity()), "twice: {f:?}");
        }
        found
    }

    pub(super) fn judge(&self, rule: &dyn Rule) -> Vec<String> {
        self.findings(rule).iter().map(|f| format!("{} {}", f.verdict, f.code)).collect()
    }
}

/// A digest made of a name.
fn digest(of: &str) -> String {
    let hex: String = of.bytes().map(|b| format!("{b:02x}")).collect();
    format!("sha256:{hex:0<64.64}")
}

pub(super) fn held(image: &str, outcome: &str, digest_of: Option<&str>, index: bool) -> Row {
    Row::default()
        .with("image", Value::text(image))
        .with("pinned", Value::Bool(image.contains('@')))
        .with("outcome", Value::text(outcome))
        .with("detail", Value::text(""))
        .with("digest", digest_of.map_or(Value::Null, |d| Value::text(&digest(d))))
        .with("index", digest_of.map_or(Value::Null, |_| Value::Bool(index)))
}

fn piece(image: &str, platform: &str, manifest: &str, config: &str) -> Row {
    Row::default()
        .with("image", Value::text(image))
        .with("platform", Value::text(platform))
        .with("digest", Value::text(&digest(manifest)))
        .with("config", Value::text(&digest(config)))
        .with("outcome", Value::text(signals::PRESENT))
        .with("detail", Value::text(""))
        .with("parts", Value::Int(3))
        .with("verified", Value::Int(3))
}

/// An index of these platforms, each `linux/amd64=CONFIG`.
pub(super) fn index(image: &str, platforms: &[&str]) -> (Row, Vec<Row>) {
    let pieces = platforms.iter().map(|p| {
        let (platform, config) = p.split_once('=').unwrap();
        piece(image, platform, &format!("m{config}"), config)
    });
    (held(image, signals::PRESENT, Some(&platforms.join(",")), true), pieces.collect())
}

/// One image, `linux/amd64=CONFIG`.
pub(super) fn image(image: &str, one: &str) -> (Row, Vec<Row>) {
    let (platform, config) = one.split_once('=').unwrap();
    let manifest = format!("m{config}");
    (held(image, signals::PRESENT, Some(&manifest), false), vec![piece(image, platform, &manifest, config)])
}

/// The same with another outcome for one platform.
pub(super) fn worse((held, mut pieces): (Row, Vec<Row>), platform: &str, outcome: &str) -> (Row, Vec<Row>) {
    for row in pieces.iter_mut().filter(|r| r.get("platform") == Some(&Value::text(platform))) {
        row.set("outcome", Value::text(outcome));
        row.set("verified", Value::Int(2));
    }
    (held, pieces)
}

pub(super) fn listed(source: &str, age: i64, count: i64) -> Row {
    Row::default()
        .with("source", Value::text(source))
        .with("count", Value::Int(count))
        .with("written", Value::Time(now().wall - chrono::Duration::seconds(age)))
}
