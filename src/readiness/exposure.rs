//! What would be lost by failing over now: an upper bound at this moment.

mod backups;
mod subscriber;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::plan::{Area, Bytes, LaneDecl, Lsn, Now, ProbeDecl, ProbeId, SafeText, SiteId, Span, Subject};

use super::{Active, ActiveSite, Bearing, Facts, Finding, Kept, Proof, Situation, Verdict, signals};

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
    /// At most this, by the newest change that a restored database holds, or a backup of which one would be restored.
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

    /// The bound as it is `later` than the snapshot: it grows with time until new readings come. For whoever shows a
    /// snapshot that is not of this moment.
    #[must_use]
    pub fn aged(&self, later: std::time::Duration) -> Option<Span> {
        match self {
            Self::Zero => Some(Span::secs(0)),
            Self::AtMost { .. } | Self::ByLastCommit { .. } | Self::ByContent { .. } | Self::Unknown { .. } => {
                self.span().map(|s| Span(s.0.saturating_add(later)))
            }
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
    let origin = origin(facts, active, situation);
    for probe in &facts.plan.probes {
        // A plan may have several databases; where this one's writer is seen decides, else where the plan's is.
        let writes = |l: &&LaneDecl| matches!(facts.bool(probe, &l.subject, &signals::WRITABLE, now), Some((true, _)));
        let writer_seen = probe.lanes.iter().any(|l| writes(&l));
        for lane in &probe.lanes {
            let Some(to) = &lane.subject.site else { continue };
            if *to == origin && !writer_seen {
                continue;
            }
            let made = if lane.expects.contains(&signals::RECEIVED) {
                of_standby(facts, probe, &lane.subject, to, (&origin, situation), findings, now)
            } else if lane.expects.contains(&signals::APPLIED) {
                subscriber::of_subscriber(facts, probe, &lane.subject, to, findings, now)
            } else {
                None
            };
            all.extend(made.or_else(|| of_restored(facts, probe, &lane.subject, to, now)));
        }
    }
    let known = measured(facts, &all, now);
    all.retain(|e| !known.contains(&(e.probe.clone(), e.to.clone())));
    if all.is_empty() {
        all.extend(backups::of_backups(facts, &origin, now));
    }
    if facts.watching {
        all.iter_mut().for_each(|e| hold(facts, e, now));
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

/// The exposures that a probe of replication measures better: of the same cluster, at the same site. What manages a
/// database knows its positions too, but not whether commits wait for them.
fn measured(facts: &Facts<'_>, all: &[Exposure], now: Now) -> Vec<(ProbeId, SiteId)> {
    let cluster = |e: &Exposure| {
        let probe = facts.plan.probe(&e.probe)?;
        let lane = probe.lanes.iter().find(|l| l.subject.site.as_ref() == Some(&e.to))?;
        facts.text(probe, &lane.subject, &signals::SYSTEM_ID, now).map(|(system, _)| system)
    };
    let (better, others): (Vec<&Exposure>, Vec<&Exposure>) =
        all.iter().partition(|e| facts.plan.probe(&e.probe).is_some_and(|p| p.area == Area::Replication));
    let beaten =
        |e: &&&Exposure| better.iter().any(|b| b.to == e.to && cluster(e).is_some() && cluster(b) == cluster(e));
    others.iter().filter(beaten).map(|e| (e.probe.clone(), e.to.clone())).collect()
}

/// A database that is restored from dumps: its own newest content dates it.
fn of_restored(facts: &Facts<'_>, probe: &ProbeDecl, subject: &Subject, to: &SiteId, now: Now) -> Option<Exposure> {
    let lane = probe.lanes.iter().find(|l| l.subject == *subject)?;
    if !lane.expects.contains(&signals::FRESH_AS_OF) {
        return None;
    }
    let bound = match facts.time(probe, subject, &signals::FRESH_AS_OF, now) {
        Some((as_of, reading)) => by_remote_clock(as_of, reading, now).map_or_else(
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

/// How long a look that is due may take to be in. Without it a bound would be the interval and a hair, and its whole
/// seconds would change with every look.
const ANSWERS: std::time::Duration = std::time::Duration::from_millis(500);

/// Makes a bound hold for as long as it is shown: until the probe's next look is due, or a second longer while it grows by
/// itself. In whole seconds, and the same however often it is judged between two looks, so that a steady state looks steady.
fn hold(facts: &Facts<'_>, exposure: &mut Exposure, now: Now) {
    let second = std::time::Duration::from_secs(1);
    let until = match facts.plan.probe(&exposure.probe) {
        Some(probe) if !exposure.growing => {
            let looks = probe.lanes.iter().filter_map(|l| facts.readings.outcomes(&probe.lane_id(l)).next_back());
            let last = looks.filter(|o| o.gap.is_none()).map(|o| o.asked).max_by_key(|at| at.boot);
            let due = last.map_or(now, |at| at.plus(probe.interval.0).plus(ANSWERS));
            // A look that is late is due any moment.
            if due.boot > now.boot { due.since(now) } else { second }
        }
        Some(_) | None => second,
    };
    match &mut exposure.bound {
        Bound::Zero | Bound::Unknown { .. } => {}
        Bound::AtMost { span } | Bound::ByLastCommit { span } | Bound::ByContent { span } => {
            let whole = span.0.saturating_add(until);
            let rest = u64::from(whole.subsec_nanos() > 0);
            *span = Span::secs(whole.as_secs().saturating_add(rest));
        }
    }
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

/// An age by another machine's clock: what it was when it was read, by the remote's own clock where the reading says that
/// clock's time, and since then by our boot clock, so that no step of our wall clock makes it younger. A moment in the
/// future is no age; a second of skew is forgiven.
fn by_remote_clock(moment: DateTime<Utc>, reading: &Kept, now: Now) -> Option<Span> {
    let then = reading.as_of.unwrap_or(reading.asked.wall).signed_duration_since(moment);
    if then < chrono::Duration::seconds(-1) {
        return None;
    }
    Some(Span(then.to_std().unwrap_or_default().saturating_add(now.since(reading.asked))))
}

fn of_standby(
    facts: &Facts<'_>,
    probe: &ProbeDecl,
    subject: &Subject,
    to: &SiteId,
    (origin, situation): (&SiteId, &Situation),
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
    let Some((system, _)) = facts.text(probe, subject, &signals::SYSTEM_ID, now) else {
        return unknown(out, "the standby's cluster could not be read");
    };
    let clock = facts.clocks.get(&probe.id);
    let timeline = facts.int(probe, subject, &signals::TIMELINE, now).map(|(t, _)| t);
    let of_it = |f: &&Finding| f.probe.as_ref() == Some(&probe.id) && f.subject.site.as_ref() == Some(to);
    let fetches = findings.iter().filter(of_it).any(|f| f.proves == Some(Proof::Fetches));
    // One that does not come on would not come on then.
    let fetches = fetches && !findings.iter().filter(of_it).any(|f| f.verdict == Verdict::NotReady);
    let archived = fetches.then(|| backups::kept_beyond(facts, system, timeline, origin, now)).flatten();
    let received = archived.map_or(received, |kept| received.max(kept));
    if let Some((replayed, _)) = facts.lsn(probe, subject, &signals::REPLAYED, now) {
        out.backlog = Some(received.ahead_of(replayed));
    }
    let mut primaries = probe
        .lanes
        .iter()
        .filter(|l| matches!(facts.bool(probe, &l.subject, &signals::WRITABLE, now), Some((true, _))))
        .peekable();
    let primary_seen = primaries.peek().is_some();
    // A higher timeline may be that of a drill, which was thrown away: the primary that is seen says which one counts.
    let seen_on = primaries
        .filter(|l| facts.text(probe, &l.subject, &signals::SYSTEM_ID, now).is_some_and(|(s, _)| s == system))
        .filter_map(|l| facts.int(probe, &l.subject, &signals::TIMELINE, now).map(|(t, _)| t))
        .max();
    let newest = clock.and_then(|c| c.newest(system, seen_on));
    out.growing = !primary_seen;
    if let Some((_, newest)) = newest {
        out.missing = Some(newest.lsn.ahead_of(received));
        if out.growing {
            out.at_last_rate = at_last_rate(facts, probe, system, newest.lsn, received, now.since(newest.asked));
        }
    }
    let zero = findings.iter().find_map(|f| match f.proves {
        Some(Proof::ZeroLoss { seen, since })
            if f.probe.as_ref() == Some(&probe.id) && f.subject.site.as_ref() == Some(to) =>
        {
            Some((seen, since))
        }
        Some(_) | None => None,
    });
    let zero = zero.filter(|_| !out.growing);
    // Another look is overdue: since the last one a commit may have stopped waiting.
    let late = zero.is_some_and(|(seen, _)| now.since(seen) > one_look(probe));
    out.growing |= late;
    // A standby that does not say its timeline can be dated only where there never was but one: after a fork, the same
    // position means something else on each.
    if newest.is_none() && clock.is_some_and(|c| !c.segments().is_empty()) {
        return unknown(out, "it is another cluster than the primary that was last seen");
    }
    let only = newest.map(|(t, _)| t).filter(|_| clock.is_some_and(|c| c.has_one_timeline(system)));
    if timeline.is_none() && newest.is_some() && only.is_none() {
        return unknown(out, "the standby does not say which timeline it is on");
    }
    let Some(timeline) = timeline.or(only) else {
        return Some(without_history(facts, probe, subject, situation, out, now));
    };
    if let Some((newest_timeline, _)) = newest
        && newest_timeline != timeline
    {
        return unknown(out, "the standby follows another timeline than the primary");
    }
    let covered = clock.and_then(|c| c.covered(system, timeline, received, facts.boot, now));
    if let Some((_, since)) = zero.filter(|_| !late) {
        // What was committed before commits waited is there only once the standby holds a position that was seen since.
        // Lately, too: what happened while nobody could look is not known.
        let within = now.since(since).min(facts.plan.stale_after(probe));
        if covered.as_ref().is_some_and(|c| c.age <= within) {
            out.bound = Bound::Zero;
            return Some(out);
        }
        if out.goal.0.is_zero() {
            return unknown(out, "commits wait for the standby, and it has not yet caught up with the older ones");
        }
    }
    match covered {
        Some(covered) => {
            out.bound = Bound::AtMost { span: Span(covered.age) };
            out.since = Some(covered.sample.asked);
            Some(out)
        }
        None => Some(without_history(facts, probe, subject, situation, out, now)),
    }
}

/// How old the newest look at a server may be while the next one is not overdue.
pub(crate) fn one_look(probe: &ProbeDecl) -> std::time::Duration {
    probe.interval.0.saturating_add(probe.timeout.0)
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
    out.bound = match commit.map(|(at, reading)| by_remote_clock(at, reading, now)) {
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

/// Where the service runs or must be presumed to: what is lost when a failover starts. Home, where nothing says more.
fn origin(facts: &Facts<'_>, active: &Active, situation: &Situation) -> SiteId {
    if let Situation::PrimaryUnreachable { site, .. }
    | Situation::PrimaryUnseen { site, .. }
    | Situation::PrimaryDown { site, .. } = situation
    {
        return site.clone();
    }
    let seen = match &active.database {
        ActiveSite::NotProbed => active.traffic.one(),
        ActiveSite::At(_)
        | ActiveSite::Several(_)
        | ActiveSite::Nowhere
        | ActiveSite::LastSeen(_)
        | ActiveSite::Unknown => active.database.one(),
    };
    seen.unwrap_or(&facts.plan.home).clone()
}

/// The site that a failover would go to: of the sites that are left, the one where most databases are proven to be
/// promotable and least blocks; among equals the first of the plan.
#[must_use]
pub(super) fn candidate(
    facts: &Facts<'_>,
    active: &Active,
    situation: &Situation,
    findings: &[Finding],
) -> Option<SiteId> {
    let origin = origin(facts, active, situation);
    let count = |s: &SiteId, what: fn(&Finding) -> bool| {
        findings.iter().filter(|f| f.subject.site.as_ref() == Some(s) && what(f)).count()
    };
    let worth = |s: &SiteId| {
        let blocks = count(s, |f| matches!(f.failover, Bearing::Blocks(_)));
        (std::cmp::Reverse(count(s, |f| f.proves == Some(Proof::Promotable))), blocks)
    };
    facts.plan.sites.iter().map(|s| &s.id).filter(|s| **s != origin).min_by_key(|s| worth(s)).cloned()
}
