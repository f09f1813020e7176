//! A plan with one probe, and its readings, for the tests of systems' rules.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::plan::{
    Area, BootTime, Here, Now, Objectives, Plan, PlanId, ProbeDecl, ProbeId, SafeText, Site, SiteId, Span, Strategy,
    Weight,
};
use crate::readiness::{Facts, Finding, Reading, Readings, Rule, Verdict};

use super::{Fault, Look, ReadContext, kind};

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
    readings: Readings,
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
        Ok(Self { plan, readings: Readings::default() })
    }

    /// With a look at its first lane.
    pub(crate) fn look(mut self, look: Look) -> Self {
        let probe = &self.plan.probes[0];
        let lane = probe.lane_id(&probe.lanes[0]);
        for signal in probe.lanes[0].expects.iter() {
            assert!(look.observed.iter().any(|o| o.signal == *signal), "{signal} is expected, and the look lacks it");
        }
        let reading = |o: super::Observed| Reading {
            key: lane.key(o.signal),
            value: o.value,
            asked: now(),
            answered: now(),
            as_of: o.as_of,
        };
        assert!(self.readings.take(&lane, now(), look.observed.into_iter().map(reading).collect()));
        self
    }

    /// What these rules find.
    pub(crate) fn findings(&self, rules: &[&dyn Rule]) -> Vec<Finding> {
        let (clocks, boot) = (HashMap::new(), SafeText::default());
        let facts = Facts {
            plan: &self.plan,
            readings: &self.readings,
            clocks: &clocks,
            last_active: None,
            boot: &boot,
            watching: false,
            rehearsed: &[],
        };
        let mut found = Vec::new();
        for rule in rules {
            for about in rule.applies(&self.plan) {
                for f in rule.judge(&facts, &about, now()) {
                    assert_eq!(f.rule, rule.id());
                    assert_eq!(f.area, self.plan.probes[0].area);
                    assert_eq!(f.verdict == Verdict::Ready, f.next.is_none(), "{f:?}");
                    assert!(!f.evidence.is_empty(), "{f:?}");
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
}
