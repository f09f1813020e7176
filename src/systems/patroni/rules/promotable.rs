//! What proves that a site could be promoted now, by the site's own words alone.

use crate::plan::{Now, Plan, RuleId};
use crate::readiness::{About, Facts, Finding, Proof, Rule, Verdict};

use super::dcs::limits;
use super::view::{Site, sites};

const ID: RuleId = RuleId::new("patroni.promotable");

/// A standby cluster whose leader holds the lock, answers, sees the DCS and is not paused; or, in one cluster over both
/// sites, a member that may become leader. What is missing is the other rules' to say.
pub struct Promotable;

impl Rule for Promotable {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        sites(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(site) = Site::of(facts, about, now).filter(|s| s.stands_by()) else { return Vec::new() };
        judge(site).into_iter().collect()
    }
}

fn judge(site: Site<'_>) -> Option<Finding> {
    let (nodes, at) = site.nodes()?.ok()?;
    let (members, then) = site.cluster()?.ok()?;
    let (overview, _) = site.overview()?.ok()?;
    let (settings, _) = site.settings()?.ok()?;
    if overview.paused {
        return None;
    }
    let (ttl, _) = limits(site);
    let able = |n: &&crate::systems::patroni::parse::Node| {
        let runs = n.state.as_ref().is_some_and(|s| s.as_str() == "running");
        n.answered() && !n.writes() && n.holds().is_some() && runs && !n.unlocked && n.dcs_age.is_none_or(|a| a <= ttl)
    };
    let name = site.site;
    if settings.standby_cluster {
        let leader = nodes.iter().filter(able).find(|n| n.is_standby_leader())?;
        let listed = members.iter().find(|m| m.leads())?;
        if leader.name.as_ref().is_some_and(|n| *n != listed.name) {
            return None;
        }
        let why = format!("{} in {name} leads the standby cluster and can be promoted", listed.name);
        return Some(
            Finding { proves: Some(Proof::Promotable), ..site.finding(ID, Verdict::Ready, "promotable", &why) }
                .because(&format!("{name} {} role", listed.name), &"standby_leader", at)
                .because(&format!("{name} GET /cluster leader"), &listed.name, then),
        );
    }
    let candidate = nodes.iter().filter(able).find(|n| {
        !n.nofailover && members.iter().any(|m| Some(&m.name) == n.name.as_ref() && !m.nofailover && !m.leads())
    })?;
    // A cluster of its own, without a primary and told to follow nobody, would be no failover of this plan.
    site.active().filter(|a| a.shares_cluster_with(site))?;
    let why = format!("{} in {name} may become leader", candidate.called());
    Some(Finding { proves: Some(Proof::Promotable), ..site.finding(ID, Verdict::Ready, "promotable", &why) }.because(
        &format!("{name} {} nofailover", candidate.called()),
        &"no",
        at,
    ))
}
