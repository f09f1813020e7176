//! The sites of a probe are two clusters of one and the same database.

use crate::plan::{Now, Plan, RuleId};
use crate::readiness::signals::{SYSTEM_ID, WRITABLE};
use crate::readiness::{About, Bearing, Facts, Finding, Rule, Verdict};

use super::view::{Site, sites};

const ID: RuleId = RuleId::new("patroni.identity");

/// Avoids trap 8: nothing in Patroni keeps two clusters from being active at once; both are looked at in every round.
pub struct Identity;

impl Rule for Identity {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        sites(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(site) = Site::of(facts, about, now) else { return Vec::new() };
        same_server(site).or_else(|| other_cluster(site)).or_else(|| second_writer(site)).into_iter().collect()
    }
}

/// The names of two sites, always in the same order.
fn pair<'a>(site: Site<'a>, other: Site<'a>) -> (&'a str, &'a str) {
    let (a, b) = (site.site.as_str(), other.site.as_str());
    if a < b { (a, b) } else { (b, a) }
}

fn same_server(site: Site<'_>) -> Option<Finding> {
    let (mine, at) = site.instance()?;
    let (other, theirs, then) =
        site.others().filter_map(|o| o.instance().map(|(i, then)| (o, i, then))).find(|(_, i, _)| *i == mine)?;
    let (a, b) = pair(site, other);
    let why = format!("the addresses of {a} and {b} lead to one and the same member");
    Some(
        site.finding(ID, Verdict::NotReady, "same-server", &why)
            .because(&format!("{} member", site.site), &mine, at)
            .because(&format!("{} member", other.site), &theirs, then)
            .next("give each site the addresses of its own members: no virtual address, no load balancer")
            .bearing(Bearing::Blocks(why.as_str().into())),
    )
}

/// A standby is measured against the active site; without one, against the others.
fn other_cluster(site: Site<'_>) -> Option<Finding> {
    let (mine, at) = site.text(&SYSTEM_ID)?;
    let against: Vec<Site<'_>> = match site.active() {
        Some(active) => vec![active],
        None => site.others().collect(),
    };
    let (other, theirs, then) = against
        .into_iter()
        .filter_map(|o| o.text(&SYSTEM_ID).map(|(t, then)| (o, t, then)))
        .find(|(_, theirs, _)| *theirs != mine)?;
    let (a, b) = pair(site, other);
    let why = format!("{a} and {b} are different databases: nothing of one is in the other");
    Some(
        site.finding(ID, Verdict::NotReady, "other-cluster", &why)
            .because(&format!("{} system identifier", site.site), &mine, at)
            .because(&format!("{} system identifier", other.site), &theirs, then)
            .next("check the probe's addresses; if they are right, build the standby cluster anew from the active one")
            .bearing(Bearing::Blocks(why.as_str().into())),
    )
}

/// A second site that takes writes. The situation says `split brain` where both were seen to do so at one time; until then
/// it may be a switchover of which one half was seen.
fn second_writer(site: Site<'_>) -> Option<Finding> {
    if site.writes() != Some(true) {
        return None;
    }
    let other = site.others().find(|o| o.writes() == Some(true))?;
    let (_, at) = site.bool(&WRITABLE)?;
    let (_, then) = other.bool(&WRITABLE)?;
    let why = format!("{} and {} both answered as primary", site.site, other.site);
    Some(
        site.finding(ID, Verdict::Unknown, "second-writer", &why)
            .because(&format!("{} takes writes", site.site), &"yes", at)
            .because(&format!("{} takes writes", other.site), &"yes", then)
            .next("wait for the next look; if both stay, stop one: every write on the losing side is found by hand"),
    )
}
