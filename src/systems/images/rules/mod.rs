//! What readings of registries mean. One file each.

mod contents;
mod list;
mod presence;
mod same;
mod shared;

use crate::plan::{Area, LaneId, Now, Plan, ProbeDecl, RuleId, SignalId, SiteId, Subject};
use crate::readiness::{About, Facts, Finding, Gap, Reason, Row, Rule, Seen, Value, Verdict, active};

use super::options::{Images, Registry};
use super::signals::{CONTENTS, MANIFESTS};

/// Every rule of images.
pub static RULES: &[&dyn Rule] = &[&presence::Presence, &contents::Contents, &shared::Shared, &list::List];

/// Most images that are named one by one; the rest is counted.
const NAMED: usize = 20;

/// What a rule about registries applies to.
fn lanes(plan: &Plan) -> Vec<About> {
    let images = plan.probes.iter().filter(|p| p.options::<Images>().is_some());
    let lanes = images.flat_map(|p| p.lanes.iter().map(move |l| (p, l)));
    lanes.map(|(p, l)| About { probe: Some(p.id.clone()), subject: l.subject.clone() }).collect()
}

/// What a rule about whole probes applies to.
fn probes(plan: &Plan) -> Vec<About> {
    let images = plan.probes.iter().filter(|p| p.options::<Images>().is_some());
    images.map(|p| About { probe: Some(p.id.clone()), subject: Subject::whole() }).collect()
}

/// What is judged.
#[derive(Clone, Copy)]
struct Bench<'a> {
    facts: &'a Facts<'a>,
    probe: &'a ProbeDecl,
    images: &'a Images,
    now: Now,
}

impl<'a> Bench<'a> {
    fn of(facts: &'a Facts<'a>, about: &About, now: Now) -> Option<Self> {
        let probe = facts.plan.probe(about.probe.as_ref()?)?;
        Some(Self { facts, probe, images: probe.options::<Images>()?, now })
    }

    /// The registry of a lane.
    fn registry(&self, about: &About) -> Option<&'a Registry> {
        self.images.registries.iter().find(|r| r.subject() == about.subject)
    }

    /// Where the service runs: as observed, else at home.
    fn active(&self) -> SiteId {
        let seen = active(self.facts, self.now);
        let site = seen.database.one().or(seen.traffic.one());
        site.unwrap_or(&self.images.home).clone()
    }

    fn finding(&self, rule: RuleId, subject: Subject, verdict: Verdict, code: &str, sentence: &str) -> Finding {
        Finding::new(rule, Area::Images, subject, verdict, code.to_owned(), sentence).of(&self.probe.id)
    }

    /// The finding for a reading that this program made itself and cannot read: `Unknown`, never silence.
    fn unreadable(&self, rule: RuleId, registry: &Registry, gap: &Gap, at: Now) -> Finding {
        let sentence = format!("the reading cannot be understood: {gap}");
        self.finding(rule, registry.subject(), Verdict::Unknown, "malformed", &sentence)
            .because(&format!("registry {}", registry.at), &"read", at)
            .next("this is a fault in lifeboat: report it")
    }

    /// What a registry was last seen to have; `None` where nothing fresh is known.
    fn stock(&self, registry: &'a Registry) -> Option<(Result<Stock, Gap>, Now)> {
        let (manifests, asked) = self.rows(registry, &MANIFESTS)?;
        let contents = self.rows(registry, &CONTENTS).map(|(rows, _)| rows).transpose();
        let read = |manifests| Stock::read(manifests, contents?);
        Some((manifests.and_then(read), asked))
    }

    /// A fresh table of a registry's lane; what is no table is a gap.
    fn rows(&self, registry: &Registry, signal: &SignalId) -> Option<(Result<&'a [Row], Gap>, Now)> {
        let lane = LaneId { probe: self.probe.id.clone(), subject: registry.subject() };
        match self.facts.seen(&lane.key(signal.clone()), self.now) {
            Seen::Value { value: Value::Rows(rows), reading, .. } => Some((Ok(rows), reading.asked)),
            Seen::Value { value, reading, .. } => {
                let gap = Gap::new(Reason::Malformed, &format!("{signal} is no table: {value}"));
                Some((Err(gap), reading.asked))
            }
            Seen::Gap { .. } | Seen::Stale { .. } | Seen::Never => None,
        }
    }
}

/// One image in one registry.
#[derive(Debug)]
struct Held {
    image: String,
    pinned: bool,
    outcome: String,
    detail: String,
    digest: Option<String>,
    index: Option<bool>,
}

/// One platform of one image in one registry.
#[derive(Debug)]
struct Piece {
    image: String,
    platform: String,
    digest: Option<String>,
    config: Option<String>,
    outcome: String,
    detail: String,
    parts: i64,
    verified: i64,
}

/// What a registry has.
#[derive(Debug)]
struct Stock {
    held: Vec<Held>,
    /// `None` where it was not read.
    pieces: Option<Vec<Piece>>,
}

impl Stock {
    fn read(manifests: &[Row], contents: Option<&[Row]>) -> Result<Self, Gap> {
        let held: Vec<Held> = manifests.iter().map(held).collect::<Result<_, Gap>>()?;
        if held.is_empty() {
            return Err(Gap::new(Reason::Malformed, "no image in it"));
        }
        let pieces = contents.map(|rows| rows.iter().map(piece).collect::<Result<_, Gap>>()).transpose()?;
        Ok(Self { held, pieces })
    }

    fn of(&self, image: &str) -> Option<&Held> {
        self.held.iter().find(|h| h.image == image)
    }

    fn pieces_of<'s>(&'s self, image: &'s str) -> impl Iterator<Item = &'s Piece> {
        self.pieces.iter().flatten().filter(move |p| p.image == image)
    }
}

fn held(row: &Row) -> Result<Held, Gap> {
    Ok(Held {
        image: words(row, "image")?,
        pinned: row.bool("pinned")?.unwrap_or(false),
        outcome: words(row, "outcome")?,
        detail: words(row, "detail")?,
        digest: optional(row, "digest")?,
        index: row.bool("index")?,
    })
}

fn piece(row: &Row) -> Result<Piece, Gap> {
    Ok(Piece {
        image: words(row, "image")?,
        platform: words(row, "platform")?,
        digest: optional(row, "digest")?,
        config: optional(row, "config")?,
        outcome: words(row, "outcome")?,
        detail: words(row, "detail")?,
        parts: row.int("parts")?.unwrap_or(0),
        verified: row.int("verified")?.unwrap_or(0),
    })
}

fn optional(row: &Row, column: &str) -> Result<Option<String>, Gap> {
    Ok(row.text(column)?.map(|t| t.as_str().to_owned()))
}

fn words(row: &Row, column: &str) -> Result<String, Gap> {
    Ok(optional(row, column)?.unwrap_or_default())
}

/// `1 image`, `12 images`.
fn images(n: usize) -> String {
    if n == 1 { "1 image".to_owned() } else { format!("{n} images") }
}

/// What several names are called in a sentence: `a, b and c`.
fn list_of<T: AsRef<str>>(names: &[T]) -> String {
    match names {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [most @ .., last] => {
            format!("{} and {}", most.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", "), last.as_ref())
        }
    }
}

/// The worst findings first, and no more than [`NAMED`] of them; the rest becomes one, as bad as the worst of them.
fn bounded(mut findings: Vec<Finding>, rest: impl Fn(Verdict, usize) -> Finding) -> Vec<Finding> {
    let order = |v: Verdict| match v {
        Verdict::NotReady => 0,
        Verdict::Unknown => 1,
        Verdict::Degraded => 2,
        Verdict::Ready => 3,
    };
    findings.sort_by_key(|f| order(f.verdict));
    let more = findings.split_off(findings.len().min(NAMED));
    if let Some(worst) = more.first() {
        let mut one = rest(worst.verdict, more.len());
        one.evidence.extend(worst.evidence.first().cloned());
        one.next = worst.next.clone();
        one.failover = worst.failover.clone();
        one.loses = more.iter().flat_map(|f| f.loses.iter().cloned()).collect();
        findings.push(one);
    }
    findings
}

#[cfg(test)]
mod bench;
