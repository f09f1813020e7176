//! A small world: two servers as their views would show them, seconds that pass, and the plan that watches them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use lifeboat::app::{Model, Polled};
use lifeboat::plan::{
    Area, BootTime, Here, LaneDecl, LaneId, Lsn, Now, Objectives, Plan, PlanId, ProbeDecl, ProbeId, SignalId, Site,
    SiteId, Span, Strategy, Subject, Weight,
};
use lifeboat::readiness::signals::{APPLIED, EXPOSURE, FLUSHED, FRESH_AS_OF, LAST_COMMIT, RECEIVED, REPLAYED, TRAFFIC};
use lifeboat::readiness::{Gap, PlanStatus, Reading, Value};

use lifeboat::systems::postgres::options::{Mode, PostgresOptions};
use lifeboat::systems::postgres::rules::RULES;
use lifeboat::systems::postgres::signals as pg;

use crate::views::{common, logical, primary, standby};

pub type Answer = Result<Value, Gap>;

/// Where the log of the simulated cluster begins.
pub const START: u64 = 0x500_0000;

pub fn now(seconds: f64) -> Now {
    let boot = Duration::from_secs_f64(1_000_000.0 + seconds);
    Now { wall: DateTime::from_timestamp(1_800_000_000, 0).unwrap() + boot, boot: BootTime(boot) }
}

/// What a plan is made from.
pub struct PlanSpec {
    pub rpo: Span,
    pub mode: Mode,
    pub sites: Vec<&'static str>,
    pub servers: Vec<&'static str>,
    pub requires: Vec<Area>,
    pub weight: Weight,
    pub apply_delay: Option<Span>,
    pub standby_names: BTreeMap<String, String>,
    pub traffic: bool,
}

impl Default for PlanSpec {
    fn default() -> Self {
        Self {
            rpo: Span::secs(30),
            mode: Mode::Replicating,
            sites: vec!["east", "west"],
            servers: vec!["east", "west"],
            requires: vec![Area::Replication],
            weight: Weight::Full,
            apply_delay: None,
            standby_names: BTreeMap::new(),
            traffic: false,
        }
    }
}

#[derive(Debug)]
struct NoOptions;
impl lifeboat::plan::ProbeOptions for NoOptions {
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

pub fn plan(spec: &PlanSpec) -> Plan {
    let id = PlanId::new("shop");
    let signals = match spec.mode {
        Mode::Replicating => pg::SIGNALS,
        Mode::Restored => pg::RESTORED,
        Mode::Logical => pg::logical::SIGNALS,
    };
    let expects: std::sync::Arc<[SignalId]> = signals.iter().map(|s| s.id.clone()).filter(|s| *s != EXPOSURE).collect();
    let lane = |site: &&str| LaneDecl {
        subject: Subject::site(SiteId::new(site)),
        server: format!("db.{site}.example.com:5432").as_str().into(),
        expects: expects.clone(),
    };
    let options = PostgresOptions {
        at: spec
            .servers
            .iter()
            .map(|s| ((*s).to_owned(), format!("postgres://db.{s}.example.com/shop").as_str().into()))
            .collect(),
        password: None,
        act_as: None,
        mode: spec.mode,
        freshness_query: None,
        apply_delay: spec.apply_delay,
        standby_names: spec.standby_names.clone(),
        subscriptions: Vec::new(),
        unreplicated: Vec::new(),
        sequences: lifeboat::systems::postgres::options::Sequences::default(),
    };
    let probe = |name: &str, area, options: Arc<dyn lifeboat::plan::ProbeOptions>, lanes, weight| ProbeDecl {
        id: ProbeId::new(&id, name),
        kind: "postgres",
        area,
        weight,
        interval: Span::secs(5),
        timeout: Span::secs(3),
        options,
        lanes,
    };
    let lanes = spec.servers.iter().map(lane).collect();
    let mut probes = Vec::new();
    if !spec.servers.is_empty() {
        probes.push(probe("orders-db", Area::Replication, Arc::new(options), lanes, spec.weight));
    }
    if spec.traffic {
        let lane =
            LaneDecl { subject: Subject::part("resolver"), server: "resolver:53".into(), expects: [TRAFFIC].into() };
        probes.push(probe("front-door", Area::Dns, Arc::new(NoOptions), vec![lane], Weight::Full));
    }
    Plan {
        id: id.clone(),
        tier: 1,
        strategy: Strategy::WarmStandby,
        objectives: Objectives { rpo: spec.rpo, rto: Span::secs(300) },
        sites: spec.sites.iter().map(|s| Site { id: SiteId::new(s), what: "".into() }).collect(),
        home: SiteId::new("east"),
        here: Here::Elsewhere,
        requires: spec.requires.clone(),
        probes,
        contacts: Vec::new(),
        losses: Vec::new(),
        confirms: Vec::new(),
        copies: Default::default(),
        runbooks: Vec::new(),
        lost_with: Vec::new(),
        practice: None,
    }
}

/// The world at one moment.
pub struct World {
    pub model: Model,
    pub plan: Arc<Plan>,
    /// What each server says; the positions are filled in from the world's own, unless they are set here.
    pub servers: BTreeMap<String, BTreeMap<SignalId, Answer>>,
    /// Lanes that say nothing but why not.
    pub dark: BTreeMap<String, Gap>,
    pub t: f64,
    pub rate: f64,
    pub flushed: f64,
    pub received: f64,
    pub replayed: f64,
    /// When the last commit was made that the standby has.
    pub last_commit: f64,
    pub hold_received: bool,
    pub hold_replayed: bool,
}

impl World {
    pub fn new(spec: &PlanSpec) -> Self {
        let plan = Arc::new(plan(spec));
        let signals = pg::SIGNALS.iter().chain(pg::RESTORED);
        let mut model = Model::new(RULES.to_vec(), signals, "this boot".into());
        model.configure(vec![Arc::clone(&plan)], now(0.0));
        let mut servers: BTreeMap<String, BTreeMap<SignalId, Answer>> = BTreeMap::new();
        for site in &spec.servers {
            let says = match spec.mode {
                Mode::Replicating if *site == "east" => primary(site),
                Mode::Replicating => standby(site),
                Mode::Restored => common(site),
                Mode::Logical => logical(site),
            };
            servers.insert((*site).to_owned(), says);
        }
        if spec.traffic {
            servers.insert("resolver".to_owned(), BTreeMap::from([(TRAFFIC, Ok(Value::text("east")))]));
        }
        let start = START as f64;
        Self {
            model,
            plan,
            servers,
            dark: BTreeMap::new(),
            t: 0.0,
            rate: 1_000.0,
            flushed: start,
            received: start,
            replayed: start,
            last_commit: 0.0,
            hold_received: false,
            hold_replayed: false,
        }
    }

    pub fn lane_ids(&self) -> Vec<LaneId> {
        self.plan.probes.iter().flat_map(|p| p.lanes.iter().map(|l| p.lane_id(l))).collect()
    }

    pub fn name(lane: &LaneId) -> String {
        lane.subject.site.as_ref().map_or_else(|| lane.subject.part.as_deref().unwrap().to_owned(), ToString::to_string)
    }

    /// Lets time pass up to `t`.
    pub fn pass(&mut self, t: f64) {
        assert!(t >= self.t, "time goes on");
        self.flushed += self.rate * (t - self.t);
        if !self.hold_received {
            self.last_commit = t;
            self.received = self.flushed;
        }
        if !self.hold_replayed {
            self.replayed = self.replayed.max(self.received);
        }
        self.t = t;
    }

    /// What one server says now to one question.
    pub fn answer(&self, name: &str, signal: &SignalId) -> Option<Answer> {
        if let Some(gap) = self.dark.get(name) {
            return Some(Err(gap.clone()));
        }
        let says = self.servers.get(name)?;
        if let Some(answer) = says.get(signal) {
            return Some(answer.clone());
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a test's positions are small")]
        let lsn = |p: f64| Some(Ok(Value::Lsn(Lsn(p as u64))));
        match signal {
            s if *s == FLUSHED => lsn(self.flushed),
            s if *s == RECEIVED || *s == APPLIED => lsn(self.received),
            s if *s == REPLAYED => lsn(self.replayed),
            s if *s == LAST_COMMIT => Some(Ok(Value::Time(now(self.last_commit).wall))),
            s if *s == FRESH_AS_OF => Some(Ok(Value::Time(now(self.t - 10.0).wall))),
            _ => None,
        }
    }

    /// One look of one lane, as it would arrive.
    pub fn look(&self, lane: &LaneId, asked: Now) -> Polled {
        let probe = self.plan.probe(&lane.probe).unwrap();
        let decl = probe.lanes.iter().find(|l| l.subject == lane.subject).unwrap();
        let answered = asked.plus(Duration::from_millis(40));
        let name = Self::name(lane);
        let readings = decl
            .expects
            .iter()
            .filter_map(|signal| {
                let value = self.answer(&name, signal)?;
                Some(Reading { key: lane.key(signal.clone()), value, asked, answered, as_of: Some(now(self.t).wall) })
            })
            .collect();
        Polled { lane: lane.clone(), asked, answered, readings }
    }

    /// Looks at these lanes now, one after the other; at all where none is named.
    pub fn poll(&mut self, only: &[String]) {
        for (i, lane) in self.lane_ids().into_iter().enumerate() {
            if only.is_empty() || only.contains(&Self::name(&lane)) {
                let asked = now(self.t + 0.01 * i as f64);
                let polled = self.look(&lane, asked);
                self.model.polled(polled);
            }
        }
    }

    /// Judges at the world's time, half a second after the looks.
    pub fn judged(&mut self) -> Arc<PlanStatus> {
        self.judged_after(0.5)
    }

    pub fn judged_after(&mut self, seconds: f64) -> Arc<PlanStatus> {
        self.model.settle(now(self.t + seconds));
        Arc::clone(self.model.status(&self.plan.id).unwrap())
    }

    /// Looks every five seconds until `t`, and judges.
    pub fn run_to(&mut self, t: f64) -> Arc<PlanStatus> {
        let mut status = self.step();
        while self.t + 5.0 <= t {
            self.pass(self.t + 5.0);
            status = self.step();
        }
        status
    }

    fn step(&mut self) -> Arc<PlanStatus> {
        self.poll(&[]);
        self.judged()
    }

    /// A healthy pair that was watched for half a minute.
    pub fn healthy() -> Self {
        let mut world = Self::new(&PlanSpec::default());
        world.run_to(30.0);
        world
    }
}

/// What a status says, for a failed assertion.
pub fn tell(s: &PlanStatus) -> String {
    let mut out = format!(
        "{} | {} | failover {} {:?} | switchover {} {:?} | exposures {:?}\n",
        s.readiness,
        s.situation.words(),
        s.gates.failover.word(),
        s.gates.failover.reasons(),
        s.gates.switchover.word(),
        s.gates.switchover.reasons(),
        s.exposures.iter().map(|e| (&e.to, &e.bound)).collect::<Vec<_>>(),
    );
    for f in &s.findings {
        out += &format!("  {} {} {} {}: {}\n", f.rule, f.subject, f.code, f.verdict, f.sentence);
    }
    out
}
