//! A plan with one probe, and its readings, for the tests of systems' rules.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::plan::{
    Area, BootTime, Here, LaneId, Now, Objectives, Plan, PlanId, ProbeDecl, ProbeId, ProbeOptions, SafeText, SignalId,
    Site, SiteId, Span, Strategy, Subject, Weight,
};
use crate::readiness::{Facts, Finding, Gap, Reading, Readings, Rule, Value, Verdict};

use super::{Fault, Look, Observed, ReadContext, kind};

/// The moment of every judgement.
pub(crate) fn now() -> Now {
    Now { wall: at(0), boot: BootTime(Duration::from_secs(1_000_000)) }
}

/// A moment so many seconds before [`now`].
pub(crate) fn at(seconds_ago: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 - seconds_ago, 0).unwrap()
}

/// A plan of two sites, east and west, with one probe.
pub(crate) struct Bench {
    pub(crate) plan: Plan,
    looks: HashMap<Subject, Vec<Observed>>,
    /// When everything was asked, and when it is judged.
    asked: Now,
    judged: Now,
}

impl Bench {
    /// With a probe of this kind and these keys of its own.
    pub(crate) fn of(name: &str, area: Area, options: serde_json::Value) -> Result<Self, Vec<Fault>> {
        let kind = kind(name).unwrap();
        let sites = [SiteId::new("east"), SiteId::new("west")];
        let objectives = Objectives { rpo: Span::secs(30), rto: Span::secs(300) };
        let id = ProbeId::new(&PlanId::new("shop"), "look");
        let interval = kind.pace.interval.unwrap_or(Span::secs(5)).0;
        let timeout = kind.pace.timeout.unwrap_or(Span::secs(3)).0;
        let home = &sites[0];
        let context = ReadContext {
            id: &id,
            strategy: crate::plan::Strategy::WarmStandby,
            sites: &sites,
            home,
            objectives: &objectives,
            area,
            interval,
            timeout,
        };
        let declared = (kind.read)(&context, options)?;
        let probe = ProbeDecl {
            id,
            kind: kind.name,
            area,
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
            requires: vec![area],
            probes: vec![probe],
            contacts: vec![],
            losses: vec![],
            confirms: vec![],
            copies: crate::plan::Copies::default(),
            runbooks: Vec::new(),
            lost_with: Vec::new(),
            practice: None,
        };
        Ok(Self { plan, looks: HashMap::new(), asked: now(), judged: now() })
    }

    /// The probe.
    pub(crate) fn probe(&self) -> &ProbeDecl {
        &self.plan.probes[0]
    }

    /// The probe's options.
    pub(crate) fn options<T: ProbeOptions + Clone>(&self) -> T {
        self.probe().options::<T>().unwrap().clone()
    }

    /// The same, asked and judged at other moments.
    pub(crate) fn when(self, asked: Now, judged: Now) -> Self {
        Self { asked, judged, ..self }
    }

    /// With a look at its first lane.
    pub(crate) fn look(mut self, look: Look) -> Self {
        let lane = &self.plan.probes[0].lanes[0];
        for signal in lane.expects.iter() {
            assert!(look.observed.iter().any(|o| o.signal == *signal), "{signal} is expected, and the look lacks it");
        }
        self.looks.insert(lane.subject.clone(), look.observed);
        self
    }

    /// With a signal that a look at this subject read.
    pub(crate) fn read(mut self, subject: Subject, signal: &SignalId, value: Result<Value, Gap>) -> Self {
        self.looks.entry(subject).or_default().push(Observed { signal: signal.clone(), value, as_of: None });
        self
    }

    /// What these rules find. Each finding is of its rule and of the probe's area, says what it rests on, and what to do where
    /// it is not ready; and none is told twice.
    pub(crate) fn findings(&self, rules: &[&dyn Rule]) -> Vec<Finding> {
        let mut readings = Readings::default();
        for (subject, look) in &self.looks {
            let lane = LaneId { probe: self.probe().id.clone(), subject: subject.clone() };
            let reading = |o: &Observed| Reading {
                key: lane.key(o.signal.clone()),
                value: o.value.clone(),
                asked: self.asked,
                answered: self.asked,
                as_of: o.as_of,
            };
            assert!(readings.take(&lane, self.asked, look.iter().map(reading).collect()));
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
        let mut found: Vec<Finding> = Vec::new();
        for rule in rules {
            for about in rule.applies(&self.plan) {
                for f in rule.judge(&facts, &about, self.judged) {
                    assert_eq!(f.rule, rule.id());
                    assert_eq!(f.area, self.probe().area);
                    assert_eq!(f.verdict == Verdict::Ready, f.next.is_none(), "{f:?}");
                    assert!(!f.evidence.is_empty() || f.code == "no-threshold", "{f:?}");
                    let same = |g: &Finding| g.identity() == f.identity() && g.code == f.code;
                    assert!(!found.iter().any(same), "twice: {f:?}");
                    found.push(f);
                }
            }
        }
        found
    }

    /// What these rules find, shortly: verdict, code and sentence.
    pub(crate) fn told(&self, rules: &[&dyn Rule]) -> Vec<String> {
        let short = |f: &Finding| format!("{} {}: {}", f.verdict, f.code, f.sentence);
        self.findings(rules).iter().map(short).collect()
    }

    /// The same without the sentence.
    pub(crate) fn coded(&self, rules: &[&dyn Rule]) -> Vec<String> {
        self.findings(rules).iter().map(|f| format!("{} {}", f.verdict, f.code)).collect()
    }
}
