//! A site that could take over is on the active site's history, and not on one of its own.

use std::time::Duration;

use crate::plan::{Now, Plan, RuleId};
use crate::readiness::signals::{RECEIVED, TIMELINE};
use crate::readiness::{About, Bearing, Facts, Finding, Rule, Verdict};
use crate::systems::patroni::parse::differ;

use super::view::{MOMENT, Site, sites};

const ID: RuleId = RuleId::new("patroni.history");
/// A standby follows a promotion once it has found the new primary, and its Patroni says so a round later.
const SWITCH: Duration = Duration::from_secs(30);

/// Timelines are numbers that two sites may give to different histories: where each timeline ended is compared, not its
/// number alone.
pub struct History;

impl Rule for History {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        sites(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(site) = Site::of(facts, about, now) else { return Vec::new() };
        match site.active() {
            Some(active) if site.writes() == Some(false) => follows(site, active),
            Some(active) if site.writes() == Some(true) && site.site.as_str() > active.site.as_str() => {
                forked(site, active).into_iter().collect()
            }
            Some(_) | None => Vec::new(),
        }
    }
}

fn follows(site: Site<'_>, active: Site<'_>) -> Vec<Finding> {
    let (Some((timeline, at)), Some((theirs, then))) = (site.int(&TIMELINE), active.int(&TIMELINE)) else {
        return Vec::new();
    };
    let (name, other) = (site.site, active.site);
    let make = |verdict, code: &'static str, why: &str| {
        site.finding(ID, verdict, code, why).because(&format!("{name} timeline"), &timeline, at).because(
            &format!("{other} timeline"),
            &theirs,
            then,
        )
    };
    let both = [site, active];
    let rebuild =
        format!("build the standby cluster in {name} anew from {other}: patronictl reinit, or remove and bootstrap");
    let own = match site.history() {
        Some(Err(gap)) => return vec![site.senseless(ID, "/history", &gap)],
        Some(Ok((history, _))) => history,
        None => Vec::new(),
    };
    let Some(Ok((history, _))) = active.history() else {
        // Without the active site's history, equal numbers are all there is to go by; `reach` says what is missing.
        return Vec::new();
    };
    if let Some((mine, other_end)) = differ(&own, &history) {
        let why = format!(
            "{name} and {other} went apart after timeline {}: it ended at {} in {name}, at {} in {other}",
            mine.timeline, mine.lsn, other_end.lsn
        );
        return vec![
            make(Verdict::NotReady, "diverged", &why).next(&rebuild).bearing(Bearing::Blocks(why.as_str().into())),
        ];
    }
    if timeline > theirs {
        let why = format!("{name} is on timeline {timeline}, {other} on {theirs}: it was promoted once, and diverged");
        return vec![proven(MOMENT, both, make, "diverged", &why).next(&rebuild)];
    }
    if timeline < theirs {
        let ended = history.iter().find(|s| s.timeline == timeline);
        if let (Some(ended), Some((received, _))) = (ended, site.lsn(&RECEIVED))
            && received > ended.lsn
        {
            let why = format!(
                "{name} holds timeline {timeline} up to {received}, and {other} left it at {}: it cannot follow",
                ended.lsn
            );
            return vec![proven(SWITCH, both, make, "diverged", &why).next(&rebuild)];
        }
        let why = format!("{name} is still on timeline {timeline}; {other} is on {theirs}");
        return vec![proven(SWITCH, both, make, "behind-a-switch", &why).next(
            "see PostgreSQL's log on the standby leader: it follows a promotion by itself, unless it cannot reach the new primary",
        )];
    }
    vec![make(Verdict::Ready, "same-history", &format!("{name} is on the timeline of {other}"))]
}

/// `Unknown` until both have said so for a while, then proof: a promotion that was just made takes its time to arrive.
fn proven(
    patience: Duration,
    sites: [Site<'_>; 2],
    make: impl Fn(Verdict, &'static str, &str) -> Finding,
    code: &'static str,
    why: &str,
) -> Finding {
    let settled = sites.into_iter().all(|s| s.lasts_for(&TIMELINE, patience));
    let verdict = if settled { Verdict::NotReady } else { Verdict::Unknown };
    let finding = make(verdict, code, why);
    if settled { finding.bearing(Bearing::Blocks(why.into())) } else { finding }
}

/// Both take writes: where their histories parted is where the work of finding the lost writes begins.
fn forked(site: Site<'_>, other: Site<'_>) -> Option<Finding> {
    let (Some(Ok((mine, at))), Some(Ok((theirs, _)))) = (site.history(), other.history()) else { return None };
    let (a, b) = differ(&mine, &theirs)?;
    let (name, second) = (site.site, other.site);
    let why =
        format!("{name} and {second} have different histories since timeline {}: {} and {}", a.timeline, a.lsn, b.lsn);
    Some(
        site.finding(ID, Verdict::NotReady, "forked", &why)
            .because(&format!("{name} /history"), &format!("timeline {} ended at {}", a.timeline, a.lsn), at)
            .next("the earlier of the two positions is where writes parted: everything after it on the losing side is lost"),
    )
}
