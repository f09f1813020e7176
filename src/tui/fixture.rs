//! Plans, looks and rules for tests of the screen: everything that a board can show, from readings on.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use crate::app::{App, Event, Model, Polled, Stamped, update};
use crate::plan::{
    Area, BootTime, Contact, Here, LaneDecl, LaneId, Loss, Lsn, Now, Objectives, Plan, PlanId, ProbeDecl, ProbeId,
    ProbeOptions, RuleId, SignalId, Site, SiteId, Span, Strategy, Subject, Weight,
};
use crate::readiness::signals::{
    BACKUP_REACH, EXPOSURE, FLUSHED, RECEIVED, REPLAYED, SYSTEM_ID, TIMELINE, TRAFFIC, TTL, WRITABLE,
};
use crate::readiness::{About, Bearing, Facts, Finding, Gap, Proof, Reading, Reason, Restorable, Rule, Value, Verdict};

#[derive(Debug)]
struct NoOptions;

impl ProbeOptions for NoOptions {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

const SAYS: SignalId = SignalId::new("test.says");

/// Judges as its reading says: `verdict|code|sentence|what to do next`.
struct Says;

impl Rule for Says {
    fn id(&self) -> RuleId {
        RuleId::new("test.says")
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        let lanes = plan.probes.iter().flat_map(|p| p.lanes.iter().map(move |l| (p, l)));
        lanes
            .filter(|(_, l)| l.expects.contains(&SAYS))
            .map(|(p, l)| About { probe: Some(p.id.clone()), subject: l.subject.clone() })
            .collect()
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let probe = facts.plan.probe(about.probe.as_ref().unwrap()).unwrap();
        let Some((text, reading)) = facts.text(probe, &about.subject, &SAYS, now) else { return Vec::new() };
        let parts: Vec<&str> = text.as_str().split('|').collect();
        let verdict = match parts[0] {
            "ready" => Verdict::Ready,
            "degraded" => Verdict::Degraded,
            "not-ready" => Verdict::NotReady,
            _ => Verdict::Unknown,
        };
        let mut f = Finding::new(self.id(), probe.area, about.subject.clone(), verdict, parts[1].to_owned(), parts[2])
            .of(&probe.id)
            .because("what was read", text, reading.asked);
        if let Some(next) = parts.get(3) {
            f = f.next(next);
        }
        if probe.area == Area::Replication && about.subject.site == Some(SiteId::new("west")) {
            let key = crate::plan::Key { probe: probe.id.clone(), subject: about.subject.clone(), signal: EXPOSURE };
            f = f.charted(key, Some(facts.plan.objectives.rpo.0.as_secs_f64()));
            f = if verdict == Verdict::NotReady {
                f.bearing(Bearing::Blocks(parts[2].into()))
            } else {
                f.proving(Proof::Promotable)
            };
        }
        vec![f]
    }
}

static SAYS_RULE: Says = Says;

/// The moment at which every fixture begins: 2026-03-01 14:02:11 UTC.
pub fn start() -> Now {
    Now {
        wall: chrono::DateTime::from_timestamp(1_772_373_731, 0).unwrap(),
        boot: BootTime(Duration::from_secs(100_000)),
    }
}

/// So many seconds after the beginning.
pub fn at(secs: u64) -> Now {
    start().plus(Duration::from_secs(secs))
}

fn probe(plan: &PlanId, name: &str, area: Area, lanes: Vec<(Subject, &str, Vec<SignalId>)>) -> ProbeDecl {
    ProbeDecl {
        id: ProbeId::new(plan, name),
        kind: "postgres",
        area,
        weight: Weight::Full,
        interval: Span::secs(5),
        timeout: Span::secs(3),
        options: Arc::new(NoOptions),
        lanes: lanes
            .into_iter()
            .map(|(subject, server, expects)| LaneDecl { subject, server: server.into(), expects: expects.into() })
            .collect(),
    }
}

/// A warm standby with a probe in every area.
pub fn plan(name: &str, tier: u8) -> Arc<Plan> {
    let id = PlanId::new(name);
    let (east, west) = (SiteId::new("east"), SiteId::new("west"));
    let db = vec![WRITABLE, FLUSHED, RECEIVED, REPLAYED, SYSTEM_ID, TIMELINE, SAYS];
    let probes = vec![
        probe(
            &id,
            "orders-db",
            Area::Replication,
            vec![
                (Subject::site(east.clone()), "db.east.example.com:5432", db.clone()),
                (Subject::site(west.clone()), "db.west.example.com:5432", db),
            ],
        ),
        probe(
            &id,
            "nightly-dump",
            Area::Backup,
            vec![(Subject::site(west.clone()), "/srv/backups", vec![SAYS, BACKUP_REACH])],
        ),
        probe(&id, "dr-cluster", Area::Standby, vec![(Subject::site(west.clone()), "10.1.1.1:8008", vec![SAYS])]),
        probe(&id, "images", Area::Images, vec![(Subject::site(west.clone()), "registry.west", vec![SAYS])]),
        probe(
            &id,
            "front-door",
            Area::Dns,
            vec![
                (Subject::part("1.1.1.1"), "1.1.1.1:53", vec![TRAFFIC, TTL, SAYS]),
                (Subject::part("8.8.8.8"), "8.8.8.8:53", vec![TRAFFIC, TTL, SAYS]),
            ],
        ),
    ];
    Arc::new(Plan {
        id,
        tier,
        strategy: Strategy::WarmStandby,
        objectives: Objectives { rpo: Span::secs(30), rto: Span::secs(300) },
        sites: vec![
            Site { id: east.clone(), what: "aws us-east-1".into() },
            Site { id: west, what: "aws us-west-2".into() },
        ],
        home: east,
        here: Here::Elsewhere,
        requires: Strategy::WarmStandby.requires().to_vec(),
        probes,
        contacts: vec![
            Contact { role: "database on-call".into(), reach: "pager: payments-db".into(), after: Span::secs(0) },
            Contact { role: "incident commander".into(), reach: "+1 555 0100".into(), after: Span::secs(900) },
        ],
        losses: vec![Loss {
            what: "scheduled events of the API layer".into(),
            why: "kept in the primary site only".into(),
        }],
        confirms: Vec::new(),
        copies: Default::default(),
        runbooks: Vec::new(),
        lost_with: Vec::new(),
        practice: None,
    })
}

/// What a fixture's plan looks like when it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// All is well.
    Fine,
    /// An image is missing.
    ImageMissing,
    /// The backup's files cannot be read.
    BackupBlind,
    /// The standby is broken.
    StandbyBroken,
    /// The primary does not answer.
    PrimaryGone,
}

/// The newest backup of every plan.
fn newest_backup() -> Restorable {
    Restorable {
        place: "/srv/backups".into(),
        site: Some(SiteId::new("west")),
        offsite: None,
        at: Some(start().wall - chrono::TimeDelta::hours(3)),
        more: false,
        log: None,
    }
}

/// Every lane's look at a plan, at `now`.
pub fn looks(plan: &Plan, health: Health, now: Now) -> Vec<Polled> {
    let mut out = Vec::new();
    for probe in &plan.probes {
        for lane in &probe.lanes {
            let id = probe.lane_id(lane);
            let east = lane.subject.site == Some(SiteId::new("east"));
            let gone = match health {
                Health::PrimaryGone if probe.area == Area::Replication && east => {
                    Some(Gap::new(Reason::TimedOut, "no answer within 3 s"))
                }
                Health::BackupBlind if probe.area == Area::Backup => {
                    Some(Gap::new(Reason::NoPrivilege, "permission denied: /srv/backups"))
                }
                _ => None,
            };
            let lsn = Lsn(0x5_0000_0000 + now.boot.0.as_secs() * 20_000);
            let value = |signal: &SignalId| match signal.as_str() {
                s if s == WRITABLE.as_str() => Value::Bool(east),
                s if s == FLUSHED.as_str() && east => Value::Lsn(lsn),
                s if (s == RECEIVED.as_str() || s == REPLAYED.as_str()) && !east => {
                    Value::Lsn(if health == Health::PrimaryGone { Lsn(0x5_0000_0000 + 100_060 * 20_000) } else { lsn })
                }
                s if s == SYSTEM_ID.as_str() => Value::text("7301"),
                s if s == TIMELINE.as_str() => Value::Int(3),
                s if s == BACKUP_REACH.as_str() => Value::Rows(vec![newest_backup().row()]),
                s if s == TRAFFIC.as_str() => Value::text("east"),
                s if s == TTL.as_str() => Value::Span(Span::secs(60)),
                s if s == SAYS.as_str() => Value::text(match (probe.area, health) {
                    (Area::Images, Health::ImageMissing) => {
                        "degraded|image-missing|api:1.42.0 is not in west|copy it: skopeo copy, then look again"
                    }
                    (Area::Standby, Health::StandbyBroken) => {
                        "not-ready|standby-down|the standby cluster in west has no member that runs|start it"
                    }
                    (Area::Replication, _) if !east => {
                        "ready|streaming|west streams from db.east.example.com and has replayed everything it received"
                    }
                    (area, _) => match area {
                        Area::Replication => "ready|primary|east takes writes",
                        Area::Backup => "ready|fresh|newest backup is 3 h old, 14.2 GB, complete",
                        Area::Standby => "ready|up|2 members run in west",
                        Area::Images => "ready|all|2 of 2 images are in west",
                        Area::Dns => "ready|answers|shop.example.com answers east, TTL 60 s",
                    },
                }),
                _ => Value::NotApplicable,
            };
            let readings = lane.expects.iter().map(|signal| Reading {
                key: id.key(signal.clone()),
                value: gone.clone().map_or_else(|| Ok(value(signal)), Err),
                asked: now,
                answered: now,
                as_of: None,
            });
            out.push(Polled { lane: id.clone(), asked: now, answered: now, readings: readings.collect() });
        }
    }
    out
}

/// A session before the configuration is read.
pub fn reading(cols: u16, rows: u16) -> App {
    let rules: Vec<&'static dyn Rule> = vec![&SAYS_RULE];
    App::new(Model::new(rules, [], "boot".into()).watching(), cols, rows)
}

/// A session with plans, before any look.
pub fn starting(plans: &[(&str, u8)], cols: u16, rows: u16) -> App {
    let mut app = reading(cols, rows);
    app.configure(plans.iter().map(|(name, tier)| plan(name, *tier)).collect(), start());
    app.settle(start());
    app
}

/// Looks at one plan of the session.
pub fn look(app: &mut App, name: &str, health: Health, now: Now) {
    let plan = Arc::clone(&app.model.status(&PlanId::new(name)).unwrap().plan);
    for polled in looks(&plan, health, now) {
        update(app, Stamped { at: now, event: Event::Polled(polled) });
    }
}

/// The plans of most pictures.
pub const PLANS: [(&str, u8); 5] = [("payments", 1), ("search", 2), ("mail", 2), ("reports", 3), ("archive", 3)];

/// Five plans as they are on most days: looked at every five seconds for a minute.
pub fn normal(cols: u16, rows: u16) -> App {
    let mut app = starting(&PLANS, cols, rows);
    for secs in (0..=60).step_by(5) {
        for (name, _) in PLANS {
            let health = match name {
                "search" => Health::ImageMissing,
                "mail" => Health::BackupBlind,
                "reports" if secs > 30 => Health::StandbyBroken,
                _ => Health::Fine,
            };
            look(&mut app, name, health, at(secs));
        }
        app.settle(at(secs));
    }
    app
}

/// The same, with the primary of `payments` gone for 48 seconds.
pub fn trouble(cols: u16, rows: u16) -> App {
    let mut app = normal(cols, rows);
    for secs in (65..=108).step_by(5) {
        for (name, _) in PLANS {
            let health = match name {
                "payments" => Health::PrimaryGone,
                "search" => Health::ImageMissing,
                _ => Health::Fine,
            };
            look(&mut app, name, health, at(secs));
        }
        app.settle(at(secs));
    }
    app.settle(at(108));
    app
}

/// The lanes of a plan.
pub fn lanes(plan: &Plan) -> Vec<LaneId> {
    plan.probes.iter().flat_map(|p| p.lanes.iter().map(move |l| p.lane_id(l))).collect()
}
