//! What would be lost by failing over now: an upper bound at this moment.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::plan::{Bytes, Lsn, Now, ProbeDecl, ProbeId, SafeText, SiteId, Span, Subject};

use super::{Active, ActiveSite, Facts, Finding, Proof, Situation, signals};

/// An upper bound of a loss, as time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Bound {
    /// Nothing can be lost: every commit waits for the standby.
    Zero,
    /// At most this, by our own history of the primary's positions.
    AtMost {
        /// The bound at the moment of the snapshot.
        span: Span,
    },
    /// At most this, by the commit time of the last replayed transaction: the primary's clock, no history of our own.
    ByLastCommit {
        /// The bound at the moment of the snapshot.
        span: Span,
    },
    /// At most this, by the newest change that a restored database holds.
    ByContent {
        /// The bound at the moment of the snapshot.
        span: Span,
    },
    /// Nobody can say.
    Unknown {
        /// Why.
        why: SafeText,
    },
}

impl Bound {
    /// The bound, where there is one.
    #[must_use]
    pub const fn span(&self) -> Option<Span> {
        match self {
            Self::Zero => Some(Span::secs(0)),
            Self::AtMost { span } | Self::ByLastCommit { span } | Self::ByContent { span } => Some(*span),
            Self::Unknown { .. } => None,
        }
    }
}

/// What would be lost by failing over to one site now, as one probe sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exposure {
    /// The probe.
    pub probe: ProbeId,
    /// The site that would take over.
    pub to: SiteId,
    /// The bound.
    pub bound: Bound,
    /// Log that is known to exist and is not at the standby: the loss is at least this.
    pub missing: Option<Bytes>,
    /// What that amounts to by now at the last known rate of the log, while the primary cannot be seen.
    pub at_last_rate: Option<Bytes>,
    /// Log that the standby holds and has not replayed: it costs time, not data.
    pub backlog: Option<Bytes>,
    /// True while the bound grows by itself, because the primary cannot be seen and is not fenced.
    pub growing: bool,
    /// When the bound counts from, by this machine's clocks.
    pub since: Option<Now>,
    /// The objective.
    pub goal: Span,
}

/// The exposure of every database that could take over, worst first.
#[must_use]
pub fn exposure(
    facts: &Facts<'_>,
    active: &Active,
    situation: &Situation,
    findings: &[Finding],
    now: Now,
) -> Vec<Exposure> {
    let mut all: Vec<Exposure> = Vec::new();
    for probe in &facts.plan.probes {
        for lane in &probe.lanes {
            let Some(to) = &lane.subject.site else { continue };
            if active.database.one() == Some(to) {
                continue;
            }
            let made = if lane.expects.contains(&signals::RECEIVED) {
                of_standby(facts, probe, &lane.subject, to, situation, findings, now)
            } else {
                None
            };
            all.extend(made.or_else(|| of_restored(facts, probe, &lane.subject, to, now)));
        }
    }
    // Unknown first, then the largest.
    all.sort_by(|a, b| match (a.bound.span(), b.bound.span()) {
        (None, None) => a.probe.cmp(&b.probe),
        (None, Some(_)) => std::cmp::Ordering::Less,
        (Some(_), None) => std::cmp::Ordering::Greater,
        (Some(x), Some(y)) => y.cmp(&x).then_with(|| a.probe.cmp(&b.probe)),
    });
    all
}

/// A database that is restored from dumps: its own newest content dates it.
fn of_restored(facts: &Facts<'_>, probe: &ProbeDecl, subject: &Subject, to: &SiteId, now: Now) -> Option<Exposure> {
    let lane = probe.lanes.iter().find(|l| l.subject == *subject)?;
    if !lane.expects.contains(&signals::FRESH_AS_OF) {
        return None;
    }
    let bound = match facts.time(probe, subject, &signals::FRESH_AS_OF, now) {
        Some((as_of, _)) => by_remote_clock(as_of, now).map_or_else(
            || Bound::Unknown { why: "its newest content is dated in the future".into() },
            |span| Bound::ByContent { span },
        ),
        // Both modes declare the signal; a replicating standby has it as not applicable, and is bounded elsewhere.
        None if lane.expects.contains(&signals::RECEIVED) => return None,
        None => Bound::Unknown { why: "how fresh it is could not be read".into() },
    };
    let since = None;
    Some(Exposure {
        bound,
        missing: None,
        at_last_rate: None,
        backlog: None,
        growing: false,
        since,
        ..blank(facts, probe, to)
    })
}

fn blank(facts: &Facts<'_>, probe: &ProbeDecl, to: &SiteId) -> Exposure {
    Exposure {
        probe: probe.id.clone(),
        to: to.clone(),
        bound: Bound::Zero,
        missing: None,
        at_last_rate: None,
        backlog: None,
        growing: false,
        since: None,
        goal: facts.plan.objectives.rpo,
    }
}

/// An age by another machine's clock. A moment in the future is no age; a second of skew is forgiven.
fn by_remote_clock(as_of: DateTime<Utc>, now: Now) -> Option<Span> {
    let age = now.wall.signed_duration_since(as_of);
    if age < chrono::Duration::seconds(-1) {
        return None;
    }
    Some(Span(age.to_std().unwrap_or_default()))
}

fn of_standby(
    facts: &Facts<'_>,
    probe: &ProbeDecl,
    subject: &Subject,
    to: &SiteId,
    situation: &Situation,
    findings: &[Finding],
    now: Now,
) -> Option<Exposure> {
    let mut out = blank(facts, probe, to);
    let unknown = |mut out: Exposure, why: &str| {
        out.bound = Bound::Unknown { why: SafeText::new(why) };
        Some(out)
    };
    // A primary has no receive position: it is not a candidate.
    if let Some((true, _)) = facts.bool(probe, subject, &signals::WRITABLE, now) {
        return None;
    }
    let Some((received, _)) = facts.lsn(probe, subject, &signals::RECEIVED, now) else {
        return unknown(out, "the standby's position could not be read");
    };
    if let Some((replayed, _)) = facts.lsn(probe, subject, &signals::REPLAYED, now) {
        out.backlog = Some(received.ahead_of(replayed));
    }
    let Some((system, _)) = facts.text(probe, subject, &signals::SYSTEM_ID, now) else {
        return unknown(out, "the standby's cluster could not be read");
    };
    let clock = facts.clocks.get(&probe.id);
    let timeline = facts.int(probe, subject, &signals::TIMELINE, now).map(|(t, _)| t);
    let newest = clock.and_then(|c| c.newest(system));
    let primary_seen =
        probe.lanes.iter().any(|l| matches!(facts.bool(probe, &l.subject, &signals::WRITABLE, now), Some((true, _))));
    out.growing = !primary_seen;
    if let Some((_, newest)) = newest {
        out.missing = Some(newest.lsn.ahead_of(received));
        if out.growing {
            out.at_last_rate = at_last_rate(facts, probe, system, newest.lsn, received, now.since(newest.asked));
        }
    }
    let zero = |f: &Finding| {
        f.proves == Some(Proof::ZeroLoss) && f.probe.as_ref() == Some(&probe.id) && f.subject.site.as_ref() == Some(to)
    };
    if !out.growing && findings.iter().any(zero) {
        out.bound = Bound::Zero;
        return Some(out);
    }
    let Some(timeline) = timeline.or(newest.map(|(t, _)| t)) else {
        return Some(without_history(facts, probe, subject, situation, out, now));
    };
    if let Some((newest_timeline, _)) = newest
        && newest_timeline != timeline
    {
        return unknown(out, "the standby follows another timeline than the primary");
    }
    match clock.and_then(|c| c.covered(system, timeline, received, facts.boot, now)) {
        Some(covered) => {
            out.bound = Bound::AtMost { span: Span(covered.age) };
            out.since = Some(covered.sample.asked);
            Some(out)
        }
        None => Some(without_history(facts, probe, subject, situation, out, now)),
    }
}

/// The one place where the last replayed commit's own time is used: no history covers the standby, and the primary is gone.
fn without_history(
    facts: &Facts<'_>,
    probe: &ProbeDecl,
    subject: &Subject,
    situation: &Situation,
    mut out: Exposure,
    now: Now,
) -> Exposure {
    let gone = matches!(situation, Situation::PrimaryDown { .. } | Situation::PrimaryUnreachable { .. });
    let commit = facts.time(probe, subject, &signals::LAST_COMMIT, now).filter(|_| gone);
    out.bound = match commit.map(|(at, _)| by_remote_clock(at, now)) {
        Some(Some(span)) => Bound::ByLastCommit { span },
        Some(None) => Bound::Unknown { why: "the last replayed commit is dated in the future".into() },
        None => Bound::Unknown { why: "no position of the primary is known that the standby has reached".into() },
    };
    out
}

/// What was missing when the primary was last seen, plus what its log grew by since at the last known rate.
fn at_last_rate(
    facts: &Facts<'_>,
    probe: &ProbeDecl,
    system: &SafeText,
    newest: Lsn,
    received: Lsn,
    since: std::time::Duration,
) -> Option<Bytes> {
    let rate = facts.clocks.get(&probe.id)?.rate(system, std::time::Duration::from_secs(60))?;
    let grown = rate * since.as_secs_f64();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, and a rate is not negative"
    )]
    let grown = grown as u64;
    Some(Bytes(newest.ahead_of(received).0.saturating_add(grown)))
}

/// The site that a failover would go to: the one standby site, or the best of several.
#[must_use]
pub(super) fn candidate(facts: &Facts<'_>, active: &Active, findings: &[Finding]) -> Option<SiteId> {
    let from = match &active.database {
        ActiveSite::NotProbed => active.traffic.one(),
        ActiveSite::At(_)
        | ActiveSite::Several(_)
        | ActiveSite::Nowhere
        | ActiveSite::LastSeen(_)
        | ActiveSite::Unknown => active.database.one(),
    };
    let from = from.unwrap_or(&facts.plan.home);
    let others: Vec<&SiteId> = facts.plan.sites.iter().map(|s| &s.id).filter(|s| *s != from).collect();
    let promotable = |s: &&&SiteId| {
        findings.iter().any(|f| f.proves == Some(Proof::Promotable) && f.subject.site.as_ref() == Some(**s))
    };
    others.iter().find(promotable).or(others.first()).map(|s| (*s).clone())
}
