//! A plan with backup files, and its readings, for the tests of rules: from names, ages and sizes, as a look would pick them.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::plan::{Area, BootTime, Now, SafeText, SignalId};
use crate::readiness::{Finding, Row, Rule, Value};
use crate::systems::backup_files::options::{BackupFiles, Kind};
use crate::systems::backup_files::parse::form;
use crate::systems::backup_files::parse::pick::{Found, Picked, pick};
use crate::systems::backup_files::parse::rows::{Ends, Listing, Newest};
use crate::systems::backup_files::signals::{FORM, LISTING, NEWEST};
use crate::systems::bench;

/// When it is judged: the names of files tell days.
pub(super) fn now() -> Now {
    Now { wall: "2026-11-21T06:00:00Z".parse().unwrap(), boot: BootTime(Duration::from_secs(1_000_000)) }
}

pub(super) struct Bench {
    bench: bench::Bench,
    files: BackupFiles,
}

/// A file that was written so many hours ago.
pub(super) fn file(name: &str, hours: i64, size: u64) -> (String, DateTime<Utc>, u64) {
    (name.to_owned(), now().wall - TimeDelta::hours(hours), size)
}

impl Bench {
    pub(super) fn new(more: serde_json::Value) -> Self {
        let mut options = json!({ "site": "west", "location": "/b", "max_age": "26h" });
        options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let bench = bench::Bench::of("backup-files", Area::Backup, options).unwrap().when(now(), now());
        Self { files: bench.options(), bench }
    }

    /// The same, read so long before it is judged.
    pub(super) fn ago(self, ago: Duration) -> Self {
        let asked = Now { wall: now().wall - ago, boot: BootTime(now().boot.0 - ago) };
        Self { bench: self.bench.when(asked, now()), ..self }
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
    pub(super) fn dir(self, files: &[(String, DateTime<Utc>, u64)]) -> Self {
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
        let newest = Newest::of(&picked).map(Newest::row).into_iter().collect();
        self.rows(&NEWEST, newest).rows(&LISTING, vec![listing.row()])
    }

    pub(super) fn rows(self, signal: &SignalId, rows: Vec<Row>) -> Self {
        let subject = self.bench.probe().lanes[0].subject.clone();
        Self { bench: self.bench.read(subject, signal, Ok(Value::Rows(rows))), ..self }
    }

    pub(super) fn form(self, name: &str, head: &[u8], tail: &[u8]) -> Self {
        let form = form::file(name, 10_000, head, tail);
        self.rows(&FORM, vec![Ends::of(name, &form).row()])
    }

    pub(super) fn findings(&self, rule: &dyn Rule) -> Vec<Finding> {
        self.bench.findings(&[rule])
    }

    /// `verdict code: sentence`, or nothing.
    pub(super) fn told(&self, rule: &dyn Rule) -> String {
        self.bench.told(&[rule]).concat()
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
