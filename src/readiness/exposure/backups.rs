//! What backups and the log that is kept with them would bring back.

use crate::plan::{Area, Lsn, Now, ProbeDecl, SafeText, SiteId, Span, Strategy};
use crate::readiness::restorable::LogEnd;
use crate::readiness::{Facts, Kept, Restorable, signals};

use super::{Bound, Exposure, blank, by_remote_clock};

/// So many segments may be written and not yet kept without anybody's fault: the one under way, and one that is sent.
const UNDER_WAY: u64 = 2;

/// A plan that restores from backups, and has no database elsewhere that anybody looks at: of the places that would be left, the
/// one that reaches furthest bounds the loss. Where a probe sees the primary, its own history dates the end of the log that is
/// kept. Else it was written when it was stored; an archiver that was behind and caught up makes that look later than it was.
pub(super) fn of_backups(facts: &Facts<'_>, origin: &SiteId, now: Now) -> Option<Exposure> {
    let plan = facts.plan;
    let elsewhere = |p: &ProbeDecl| p.lanes.iter().any(|l| l.subject.site.as_ref() != Some(origin));
    if plan.strategy != Strategy::BackupRestore
        || plan.probes.iter().any(|p| p.area == Area::Replication && elsewhere(p))
    {
        return None;
    }
    // What else backs up may archive the log, and reach further than any of these.
    let reaches = |p: &&ProbeDecl| p.lanes.iter().any(|l| l.expects.contains(&signals::BACKUP_REACH));
    let first = plan.probes.iter().find(reaches)?;
    if plan.probes.iter().any(|p| p.area == Area::Backup && !reaches(&p)) {
        return None;
    }
    let other = || plan.sites.iter().map(|s| &s.id).find(|s| *s != origin);
    let unknown = |why: &str| {
        Some(Exposure { bound: Bound::Unknown { why: SafeText::new(why) }, ..blank(facts, first, other()?) })
    };
    let all = facts.restorable(now);
    let Some((_, _, some, _)) = all.first() else { return unknown("no backup was seen that could be restored") };
    let left: Vec<_> = all.iter().filter(|(.., p, _)| p.survives(origin, &plan.home) == Some(true)).collect();
    if left.is_empty() {
        return if all.iter().any(|(.., p, _)| p.survives(origin, &plan.home).is_none()) {
            unknown(&format!("nobody says where {} is, and whether it would be left without {origin}", some.place))
        } else {
            unknown(&format!("every backup that is looked at is kept in {origin}, and would be lost with it"))
        };
    }
    let bounds = left.iter().map(|(p, _, place, kept)| (p, place, bound(facts, place, kept, now)));
    let (probe, place, bound) = bounds.min_by_key(|(.., b)| b.span().map_or((true, Span::secs(0)), |s| (false, s)))?;
    let to = place.site.as_ref().filter(|s| *s != origin).or_else(other)?;
    Some(Exposure { bound, ..blank(facts, probe, to) })
}

/// What would be lost by restoring from one place.
fn bound(facts: &Facts<'_>, place: &Restorable, kept: &Kept, now: Now) -> Bound {
    let unknown = |why: &str| Bound::Unknown { why: SafeText::new(why) };
    if let Some(log) = &place.log {
        let seen = of_log(facts, log, now);
        if let Some(span) = seen.iter().filter_map(|s| s.beyond).min() {
            return Bound::AtMost { span };
        }
        let late = seen.iter().any(|s| s.newest.ahead_of(log.lsn).0 / log.segment.0.max(1) > UNDER_WAY);
        if late {
            return unknown(&format!("{} lacks log, and since when is not known yet", place.place));
        }
    }
    let Some(at) = place.at else { return unknown("no backup was seen that could be restored") };
    match by_remote_clock(at, kept, now) {
        None => unknown(&format!("what {} holds is dated in the future", place.place)),
        Some(span) if place.more && span > facts.plan.objectives.rpo => {
            unknown(&format!("when the log that {} holds was written is not known", place.place))
        }
        Some(span) => Bound::ByContent { span },
    }
}

/// What one probe's history of a primary says about the end of some log.
struct SeenLog {
    /// The newest position of that primary.
    newest: Lsn,
    /// How long ago what lies beyond the end began to be written, at most.
    beyond: Option<Span>,
}

/// What is known of the cluster that wrote this log. Where the place does not name it, of the only one that is known.
fn of_log(facts: &Facts<'_>, log: &LogEnd, now: Now) -> Vec<SeenLog> {
    let probes = facts.plan.probes.iter().filter(|p| p.area == Area::Replication);
    let clocks: Vec<_> = probes.filter_map(|p| Some((p, facts.clocks.get(&p.id)?))).collect();
    let mut systems: Vec<&SafeText> = clocks.iter().flat_map(|(_, c)| c.segments()).map(|s| &s.system).collect();
    systems.sort();
    systems.dedup();
    let system = match (&log.system, systems.as_slice()) {
        (Some(system), _) => system,
        (None, [only]) => only,
        (None, _) => return Vec::new(),
    };
    let of = |(probe, clock): &(&ProbeDecl, &crate::readiness::LsnClock)| {
        let (timeline, newest) = clock.newest(system, None)?;
        (timeline == log.timeline).then(|| SeenLog {
            newest: newest.lsn,
            beyond: facts.written_beyond(probe, system, log.timeline, log.lsn, now).map(Span),
        })
    };
    clocks.iter().filter_map(of).collect()
}

/// How far a standby that follows by the archive alone would come: promotion fetches everything that the archive still has.
/// The end of the log of this cluster and timeline in a place that would be left without `origin`.
pub(super) fn kept_beyond(
    facts: &Facts<'_>,
    system: &SafeText,
    timeline: Option<i64>,
    origin: &SiteId,
    now: Now,
) -> Option<Lsn> {
    let all = facts.restorable(now).into_iter().map(|(.., place, _)| place);
    let left = all.filter(|p| p.survives(origin, &facts.plan.home) == Some(true));
    let logs = left.filter_map(|p| p.log).filter(|l| l.system.as_ref() == Some(system) && Some(l.timeline) == timeline);
    logs.map(|l| l.lsn).max()
}
