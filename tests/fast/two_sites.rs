//! A plan with a database in two sites, and looks at it, for tests that only need something to judge.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use lifeboat::app::{Model, Polled};
use lifeboat::plan::{
    Area, BootTime, Contact, Here, LaneDecl, Loss, Lsn, Now, Objectives, Plan, PlanId, ProbeDecl, ProbeId,
    ProbeOptions, SafeText, Site, SiteId, Span, Strategy, Subject, Weight,
};
use lifeboat::readiness::signals::{FLUSHED, RECEIVED, REPLAYED, SYSTEM_ID, TIMELINE, WRITABLE};
use lifeboat::readiness::{Gap, LsnClock, LsnSample, Reading, Value};

#[derive(Debug)]
struct NoOptions;

impl ProbeOptions for NoOptions {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// So many seconds after the start of the tests' time, by both clocks.
pub fn at(seconds: u64) -> Now {
    let wall = DateTime::parse_from_rfc3339("2026-11-20T08:00:00Z").unwrap().to_utc();
    Now { wall, boot: BootTime(Duration::from_secs(1_000)) }.plus(Duration::from_secs(seconds))
}

pub fn probe(plan: &str) -> ProbeId {
    ProbeId::new(&PlanId::new(plan), "orders-db")
}

/// A plan that requires replication alone.
pub fn plan(name: &str) -> Arc<Plan> {
    let lane = |site: &str| LaneDecl {
        subject: Subject::site(SiteId::new(site)),
        server: SafeText::new(&format!("db.{site}.example.com:5432")),
        expects: [WRITABLE, FLUSHED, RECEIVED, REPLAYED, SYSTEM_ID, TIMELINE].into(),
    };
    let site = |site: &str| Site { id: SiteId::new(site), what: SafeText::new("a cloud") };
    Arc::new(Plan {
        id: PlanId::new(name),
        tier: 1,
        strategy: Strategy::WarmStandby,
        objectives: Objectives { rpo: Span::secs(30), rto: Span::secs(300) },
        sites: vec![site("east"), site("west")],
        home: SiteId::new("east"),
        here: Here::Elsewhere,
        requires: vec![Area::Replication],
        probes: vec![ProbeDecl {
            id: probe(name),
            kind: "postgres",
            area: Area::Replication,
            weight: Weight::Full,
            interval: Span::secs(5),
            timeout: Span::secs(3),
            options: Arc::new(NoOptions),
            lanes: vec![lane("east"), lane("west")],
        }],
        contacts: vec![
            Contact { role: "database on-call".into(), reach: "pager: db".into(), after: Span::secs(0) },
            Contact { role: "incident commander".into(), reach: "+1 555 0100".into(), after: Span::secs(900) },
        ],
        losses: vec![Loss { what: "scheduled events".into(), why: "kept in the primary site only".into() }],
        confirms: Vec::new(),
        copies: Default::default(),
        runbooks: Vec::new(),
        lost_with: Vec::new(),
        practice: None,
    })
}

/// A look at one site's server that brings these.
pub fn look(plan: &Plan, site: &str, asked: Now, values: impl Fn(&str) -> Result<Value, Gap>) -> Polled {
    let probe = &plan.probes[0];
    let lane = probe.lanes.iter().find(|l| l.subject.site.as_ref().unwrap().as_str() == site).unwrap();
    let id = probe.lane_id(lane);
    let answered = asked.plus(Duration::from_millis(40));
    let reading = |signal: &lifeboat::plan::SignalId| Reading {
        key: id.key(signal.clone()),
        value: values(signal.as_str()),
        asked,
        answered,
        as_of: None,
    };
    Polled { lane: id.clone(), asked, answered, readings: lane.expects.iter().map(reading).collect() }
}

/// A look at the primary at this position.
pub fn primary(plan: &Plan, site: &str, asked: Now, lsn: u64) -> Polled {
    look(plan, site, asked, |signal| {
        Ok(match signal {
            "replication.writable" => Value::Bool(true),
            "replication.flushed" => Value::Lsn(Lsn(lsn)),
            "replication.system_id" => Value::text("7100"),
            "replication.timeline" => Value::Int(1),
            _ => Value::NotApplicable,
        })
    })
}

/// A look at the standby, which has received and replayed up to this position.
pub fn standby(plan: &Plan, site: &str, asked: Now, lsn: u64) -> Polled {
    look(plan, site, asked, |signal| {
        Ok(match signal {
            "replication.writable" => Value::Bool(false),
            "replication.received" | "replication.replayed" => Value::Lsn(Lsn(lsn)),
            "replication.system_id" => Value::text("7100"),
            "replication.timeline" => Value::Int(1),
            _ => Value::NotApplicable,
        })
    })
}

/// A look that failed.
pub fn failed(plan: &Plan, site: &str, asked: Now, gap: &Gap) -> Polled {
    look(plan, site, asked, |_| Err(gap.clone()))
}

pub fn model(plans: &[Arc<Plan>], now: Now) -> Model {
    let mut model = Model::new(Vec::new(), &[], "boot".into());
    model.configure(plans.to_vec(), now);
    model
}

pub fn sample(seconds: u64, lsn: u64) -> LsnSample {
    LsnSample { asked: at(seconds), answered: at(seconds).plus(Duration::from_millis(40)), lsn: Lsn(lsn) }
}

/// Every sample that a clock holds: boot, seconds since the start, position.
pub fn samples(clock: &LsnClock) -> Vec<(String, u64, u64)> {
    let of = |s: &lifeboat::readiness::Segment| {
        let boot = s.boot.as_str().to_owned();
        s.samples.iter().map(move |x| (boot.clone(), x.asked.since(at(0)).as_secs(), x.lsn.0)).collect::<Vec<_>>()
    };
    clock.segments().iter().flat_map(of).collect()
}
