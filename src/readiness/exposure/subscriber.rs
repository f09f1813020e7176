//! What a logical subscriber lacks of its publisher's log.

use crate::plan::{LaneDecl, Now, ProbeDecl, SafeText, SiteId, Span, Subject};
use crate::readiness::{Bearing, Facts, Finding, LsnClock, signals};

use super::{Bound, Exposure, at_last_rate, blank};

/// A logical subscriber: a cluster of its own, which says how far it applied the publisher's log.
pub(super) fn of_subscriber(
    facts: &Facts<'_>,
    probe: &ProbeDecl,
    subject: &Subject,
    to: &SiteId,
    findings: &[Finding],
    now: Now,
) -> Option<Exposure> {
    let mut out = blank(facts, probe, to);
    let unknown = |mut out: Exposure, why: &str| {
        out.bound = Bound::Unknown { why: SafeText::new(why) };
        Some(out)
    };
    // A publisher is not a candidate.
    if let Some((true, _)) = facts.bool(probe, subject, &signals::WRITABLE, now) {
        return None;
    }
    let publishers: Vec<&LaneDecl> = probe
        .lanes
        .iter()
        .filter(|l| matches!(facts.bool(probe, &l.subject, &signals::WRITABLE, now), Some((true, _))))
        .collect();
    out.growing = publishers.is_empty();
    // What does not follow this publisher holds positions that mean nothing here.
    let foreign = |f: &&Finding| f.subject.site.as_ref() == Some(to) && matches!(f.failover, Bearing::Blocks(_));
    if findings.iter().filter(|f| f.probe.as_ref() == Some(&probe.id)).any(|f| foreign(&f)) {
        return unknown(out, "it does not follow the publisher");
    }
    let own = facts.text(probe, subject, &signals::SYSTEM_ID, now).map(|(s, _)| s);
    let clock = facts.clocks.get(&probe.id);
    // The publisher that is seen; else the only other cluster that was.
    let mut systems: Vec<&SafeText> = match publishers.as_slice() {
        [] => clock.into_iter().flat_map(LsnClock::segments).map(|s| &s.system).filter(|s| Some(*s) != own).collect(),
        seen => seen
            .iter()
            .filter_map(|l| facts.text(probe, &l.subject, &signals::SYSTEM_ID, now).map(|(s, _)| s))
            .collect(),
    };
    systems.sort();
    systems.dedup();
    let (Some(own), Some(clock), [system]) = (own, clock, systems.as_slice()) else {
        return unknown(out, "which publisher it follows is not known");
    };
    if own == *system {
        return unknown(out, "publisher and subscriber are one and the same cluster");
    }
    let seen_on =
        publishers.iter().filter_map(|l| facts.int(probe, &l.subject, &signals::TIMELINE, now)).map(|t| t.0).max();
    let Some((timeline, newest)) = clock.newest(system, seen_on) else {
        return unknown(out, "no position of the publisher is known");
    };
    let Some((applied, _)) = facts.lsn(probe, subject, &signals::APPLIED, now) else {
        return unknown(out, "the subscriber does not say how far it applied");
    };
    out.missing = Some(newest.lsn.ahead_of(applied));
    if out.growing {
        out.at_last_rate = at_last_rate(facts, probe, system, newest.lsn, applied, now.since(newest.asked));
    }
    // A position does not say of which timeline it is: after a promotion of the publisher only what its own log has passed
    // since can be told, while it is seen.
    if !clock.has_one_timeline(system) && (out.growing || applied > newest.lsn) {
        return unknown(out, "the publisher was promoted, and the subscriber does not say which timeline it followed");
    }
    match clock.covered(system, timeline, applied, facts.boot, now) {
        Some(covered) => {
            out.bound = Bound::AtMost { span: Span(covered.age) };
            out.since = Some(covered.sample.asked);
            Some(out)
        }
        None => unknown(out, "no position of the publisher is known that the subscriber has reached"),
    }
}
