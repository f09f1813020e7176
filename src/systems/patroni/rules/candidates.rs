//! Who could take over, and who after them.

use crate::plan::{Now, Plan, RuleId};
use crate::readiness::{About, Bearing, Facts, Finding, Rule, Verdict};
use crate::systems::patroni::parse::Listed;

use super::view::{Site, sites};

const ID: RuleId = RuleId::new("patroni.candidates");

/// Avoids trap 3: a lag that Patroni does not know is no lag of zero. The lag here is the one behind the site's own leader,
/// which decides who may become leader after it.
pub struct Candidates;

impl Rule for Candidates {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        sites(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(site) = Site::of(facts, about, now) else { return Vec::new() };
        let Some(Ok((members, at))) = site.cluster() else { return Vec::new() };
        let mut found = lagging(site, &members, at);
        found.extend(spare(site, &members, at));
        found
    }
}

/// Replicas further behind than may become leader, at two looks.
fn lagging(site: Site<'_>, members: &[Listed], at: Now) -> Vec<Finding> {
    let Some(Ok((settings, _))) = site.settings() else { return Vec::new() };
    let before = site.cluster_before(at).unwrap_or_default();
    let behind = |m: &Listed| m.lag.filter(|l| *l > settings.maximum_lag);
    let mut found = Vec::new();
    for member in members.iter().filter(|m| !m.leads()) {
        let Some(lag) = behind(member) else { continue };
        if !before.iter().any(|m| m.name == member.name && behind(m).is_some()) {
            continue;
        }
        let (name, limit) = (&member.name, settings.maximum_lag);
        let why =
            format!("{name} in {} is {lag} behind its leader; above {limit} it does not become leader", site.site);
        found.push(
            site.finding_of(ID, name.as_str(), Verdict::Degraded, "replica-lagging", &why)
                .because(&format!("{} {name} lag", site.site), &lag, at)
                .next(&format!("look at {name}: its receiver, its disk, the network to its leader")),
        );
    }
    found
}

/// Whether somebody is there to lead: in a standby cluster after its leader, in a shared one at all.
fn spare(site: Site<'_>, members: &[Listed], at: Now) -> Option<Finding> {
    if !site.stands_by() {
        return None;
    }
    let shared = site.active().is_some_and(|a| a.shares_cluster_with(site));
    let own: Vec<&Listed> = match (shared, site.nodes()) {
        (true, Some(Ok((nodes, _)))) => members
            .iter()
            .filter(|m| nodes.iter().any(|n| n.name.as_ref() == Some(&m.name) || m.api.as_ref() == Some(&n.member)))
            .collect(),
        (true, Some(Err(_)) | None) => return None,
        (false, _) => members.iter().filter(|m| !m.leads()).collect(),
    };
    let able = own.iter().filter(|m| !m.nofailover).count();
    let name = site.site;
    let count = format!("{able} of {}", own.len());
    if able > 0 {
        return None;
    }
    if shared {
        let why = format!("no member in {name} may become leader: each has the tag nofailover");
        return Some(
            site.finding(ID, Verdict::NotReady, "no-candidate", &why)
                .because(&format!("{name} candidates"), &count, at)
                .next(&format!("take nofailover off one member in {name}, and reload its Patroni"))
                .bearing(Bearing::Blocks(why.as_str().into())),
        );
    }
    // One member alone was the plan's own choice.
    (!own.is_empty()).then(|| {
        let why = format!("no member in {name} may follow its standby leader: each has the tag nofailover");
        site.finding(ID, Verdict::Degraded, "no-second", &why)
            .because(&format!("{name} candidates"), &count, at)
            .next(&format!("take nofailover off one member in {name}, and reload its Patroni"))
    })
}
