//! A plan and its readings, for the tests of rules: from names, ages and sizes, as a look would pick them.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::plan::{
    Area, BootTime, Copies, Here, LaneId, Now, Objectives, Plan, PlanId, ProbeDecl, ProbeId, SafeText, SignalId, Site,
    SiteId, Span, Strategy, Weight,
};
use crate::readiness::{Facts, Finding, Reading, Readings, Row, Rule, Value, Verdict};
use crate::systems::ReadContext;
use crate::systems::backup_files::options::{BackupFiles, Kind};
use crate::systems::backup_files::parse::form;
use crate::systems::backup_files::parse::pick::{Found, Picked, pick};
use crate::systems::backup_files::parse::rows::{Ends, Listing, Newest};
use crate::systems::backup_files::read;
use crate::systems::backup_files::signals::{FORM, LISTING, NEWEST};

pub(super) fn now() -> Now {
    Now { wall: "2026-11-21T06:00:00Z".parse().unwrap(), boot: BootTime(Duration::from_secs(1_000_000)) }
}

pub(super) struct Bench {
    plan: Plan,
    files: BackupFiles,
    values: Vec<(SignalId, Value)>,
    /// How long ago it was all read.
    pub(super) read_ago: Duration,
}

/// A file that was written so many hours ago.
pub(super) fn file(name: &str, hours: i64, size: u64) -> (String, DateTime<Utc>, u64) {
    (name.to_owned(), now().wall - TimeDelta::hours(hours), size)
}

impl Bench {
    pub(super) fn new(more: serde_json::Value) -> Self {
        let mut options = json!({ "site": "west", "location": "/b", "max_age": "26h" });
        options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let sites = [SiteId::new("east"), SiteId::new("west")];
        let objectives = Objectives { rpo: Span::secs(30), rto: Span::secs(300) };
        let id = ProbeId::new(&PlanId::new("shop"), "nightly");
        let (interval, timeout) = (Duration::from_secs(300), Duration::from_secs(30));
        let home = &sites[0];
        let ctx = ReadContext {
            id: &id,
            strategy: crate::plan::Strategy::WarmStandby,
            sites: &sites,
            home,
            objectives: &objectives,
            area: Area::Backup,
            interval,
            timeout,
        };
        let declared = read::read(&ctx, options).unwrap();
        let files = declared.options.as_any().downcast_ref::<BackupFiles>().unwrap().clone();
        let probe = ProbeDecl {
            id,
            kind: "backup-files",
            area: Area::Backup,
            weight: Weight::Full,
            interval: interval.into(),
            timeout: timeout.into(),
            options: declared.options,
            lanes: declared.lanes,
        };
        let plan = Plan {
            id: PlanId::new("shop"),
            tier: 1,
            strategy: Strategy::BackupRestore,
            objectives,
            sites: sites.iter().map(|s| Site { id: s.clone(), what: SafeText::default() }).collect(),
            home: home.clone(),
            here: Here::Elsewhere,
            requires: vec![Area::Backup],
            probes: vec![probe],
            contacts: vec![],
            losses: vec![],
            confirms: vec![],
            copies: Copies::default(),
            runbooks: Vec::new(),
            lost_with: Vec::new(),
            practice: None,
        };
        Self { plan, files, values: Vec::new(), read_ago: Duration::ZERO }
    }

    pub(super) fn picked(&self, files: &[(String, DateTime<Utc>, u64)]) -> Picked {
        let found = files.iter().enumerate().filter_map(|(i, (name, modified, size))| {
            let (kind, stamp) =
                self.files.names.iter().find_map(|(kind, p)| p.read(name).map(|stamp| (*kind, stamp)))?;
            Some(Found {
                name: name.clone(),
                kind,
                stamp,
                modified: *modified,
                size: *size,
                directory: false,
                identity: (1, i as u64),
                unfinished: files.iter().any(|(n, ..)| *n == format!("{name}.tmp")),
            })
        });
        pick(&self.files, found.collect(), &HashMap::new(), &|clock| Some(clock.and_utc()), now().wall)
    }

    /// What a look at these would read.
    pub(super) fn dir(mut self, files: &[(String, DateTime<Utc>, u64)]) -> Self {
        let picked = self.picked(files);
        let matching = files.iter().filter(|(n, ..)| self.files.names.iter().any(|(_, p)| p.read(n).is_some())).count();
        let listing = Listing {
            entries: files.len() as i64,
            matching: matching as i64,
            kept: picked.kept as i64,
            oldest: picked.oldest,
            writing: picked.writing.as_deref().map(SafeText::new),
            future: picked.future.as_deref().map(SafeText::new),
            late: picked.late.as_deref().map(SafeText::new),
            orphan: picked.orphans.first().map(|o| SafeText::new(o)),
            orphans: picked.orphans.len() as i64,
            strange: None,
        };
        self.values.push((NEWEST, Value::Rows(Newest::of(&picked).map(Newest::row).into_iter().collect())));
        self.values.push((LISTING, Value::Rows(vec![listing.row()])));
        self
    }

    pub(super) fn rows(mut self, signal: &SignalId, rows: Vec<Row>) -> Self {
        self.values.push((signal.clone(), Value::Rows(rows)));
        self
    }

    pub(super) fn form(self, name: &str, head: &[u8], tail: &[u8]) -> Self {
        let form = form::file(name, 10_000, head, tail);
        self.rows(&FORM, vec![Ends::of(name, &form).row()])
    }

    pub(super) fn findings(&self, rule: &dyn Rule) -> Vec<Finding> {
        let probe = &self.plan.probes[0];
        let lane = LaneId { probe: probe.id.clone(), subject: probe.lanes[0].subject.clone() };
        let ago = TimeDelta::from_std(self.read_ago).unwrap();
        let asked = Now { wall: now().wall - ago, boot: BootTime(now().boot.0 - self.read_ago) };
        let reading = |(signal, value): &(SignalId, Value)| Reading {
            key: lane.key(signal.clone()),
            value: Ok(value.clone()),
            asked,
            answered: asked,
            as_of: None,
        };
        let mut readings = Readings::default();
        readings.take(&lane, asked, self.values.iter().map(reading).collect());
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
            assert_eq!(f.area, Area::Backup);
            assert_eq!(f.verdict == Verdict::Ready, f.next.is_none(), "{f:?}");
            assert!(!f.evidence.is_empty(), "{f:?}");
        }
        assert!(found.len() <= 1, "a finding is known by its rule and its subject: {found:?}");
        found
    }

    /// `verdict code: sentence`, or nothing.
    pub(super) fn told(&self, rule: &dyn Rule) -> String {
        self.findings(rule).iter().map(|f| format!("{} {}: {}", f.verdict, f.code, f.sentence)).collect()
    }
}

#[test]
fn kinds_have_words() {
    assert!(Kind::Full.stands_alone() && !Kind::Incremental.stands_alone());
}

#[test]
fn without_a_reading_no_rule_says_anything() {
    let bench = Bench::new(json!({ "pattern": "a*", "keep": 3, "decode": "newest", "restore_proof": "/p" }));
    for rule in super::RULES {
        assert_eq!(bench.told(*rule), "", "{}", rule.id());
    }
}

#[test]
fn a_row_that_makes_no_sense_is_never_ready() {
    let options =
        json!({ "chain": { "full": "f*", "incremental": "i*" }, "keep": 3, "decode": "newest", "restore_proof": "/p" });
    let mut bench = Bench::new(options);
    for signal in [NEWEST, LISTING, FORM, super::super::signals::DECODE, super::super::signals::PROOF] {
        bench = bench.rows(&signal, vec![Row::default().with("name", Value::Int(1))]);
    }
    for rule in super::RULES {
        assert!(bench.told(*rule).starts_with("unknown malformed"), "{}: {}", rule.id(), bench.told(*rule));
    }
}
