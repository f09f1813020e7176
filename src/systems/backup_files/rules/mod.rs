//! What readings of a directory of backups mean. One file each.

mod age;
mod chain;
mod decode;
mod form;
mod keep;
mod names;
mod proof;
mod size;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::plan::{LaneId, Now, Plan, ProbeDecl, RuleId, SignalId, Span};
use crate::readiness::{About, Facts, Finding, Gap, Kept, Row, Rule, Verdict};

use super::options::BackupFiles;
use super::parse::pick::SKEW;
use super::parse::rows::{Listing, Newest};
use super::signals::{LISTING, NEWEST};

pub(super) use decode::ID as DECODES;

/// Every rule of backups in files.
pub static RULES: &[&dyn Rule] = &[
    &age::Age,
    &size::Size,
    &form::FormRule,
    &names::Names,
    &chain::Chain,
    &keep::Keep,
    &decode::DecodeRule,
    &proof::ProofRule,
];

/// What every rule applies to: the lane of each probe.
fn applies(plan: &Plan) -> Vec<About> {
    let files = plan.probes.iter().filter(|p| p.options::<BackupFiles>().is_some());
    let lanes = files.flat_map(|p| p.lanes.iter().map(move |l| (p, l)));
    lanes.map(|(p, l)| About { probe: Some(p.id.clone()), subject: l.subject.clone() }).collect()
}

/// What a rule looks at.
struct View<'a> {
    facts: &'a Facts<'a>,
    probe: &'a ProbeDecl,
    files: &'a BackupFiles,
    about: &'a About,
    rule: RuleId,
    now: Now,
}

/// What was read of one table: its rows, or the finding that it makes no sense.
type Seen<'a, T> = Option<Result<(Vec<T>, &'a Kept), Finding>>;

impl<'a> View<'a> {
    fn of(facts: &'a Facts<'a>, about: &'a About, rule: RuleId, now: Now) -> Option<Self> {
        let probe = facts.plan.probe(about.probe.as_ref()?)?;
        Some(Self { facts, probe, files: probe.options::<BackupFiles>()?, about, rule, now })
    }

    fn make(&self, verdict: Verdict, code: &'static str, sentence: &str) -> Finding {
        Finding::new(self.rule.clone(), self.probe.area, self.about.subject.clone(), verdict, code, sentence)
            .of(&self.probe.id)
    }

    /// The rows of a signal; `None` where there is no fresh reading, or where it does not apply.
    fn rows<T>(&self, signal: &SignalId, read: fn(&Row) -> Result<T, Gap>) -> Seen<'a, T> {
        let (rows, kept) = self.facts.rows(self.probe, &self.about.subject, signal, self.now)?;
        let read: Result<Vec<T>, Gap> = rows.iter().map(read).collect();
        Some(read.map(|r| (r, kept)).map_err(|gap| {
            self.make(Verdict::Unknown, "malformed", &format!("the reading cannot be understood: {gap}"))
                .because(self.location(), signal, kept.asked)
                .next("this is a fault in lifeboat: report it")
        }))
    }

    fn newest(&self) -> Seen<'a, Newest> {
        self.rows(&NEWEST, Newest::read)
    }

    fn listing(&self) -> Seen<'a, Listing> {
        self.rows(&LISTING, Listing::read)
    }

    /// How old something is that was dated by another clock, by what was read then and our boot clock since.
    fn age(&self, moment: DateTime<Utc>, kept: &Kept) -> Span {
        let then = (kept.asked.wall - moment).to_std().unwrap_or(Duration::ZERO);
        Span(then.saturating_add(self.now.since(kept.asked)))
    }

    /// Whether a moment was in the future when it was read, by more than clocks differ.
    fn ahead(moment: DateTime<Utc>, kept: &Kept) -> Option<Span> {
        let ahead: TimeDelta = moment - kept.asked.wall;
        (ahead > SKEW).then(|| Span(ahead.to_std().unwrap_or_default()))
    }

    fn lane(&self) -> LaneId {
        LaneId { probe: self.probe.id.clone(), subject: self.about.subject.clone() }
    }

    /// What was looked at, for evidence.
    fn location(&self) -> &str {
        &self.files.location
    }
}

#[cfg(test)]
mod bench;
