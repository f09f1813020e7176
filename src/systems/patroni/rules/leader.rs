//! Each site's cluster has one leader, and who says so agree.

use crate::plan::{Now, Plan, RuleId};
use crate::readiness::{About, Bearing, Facts, Finding, Rule, Value, Verdict};
use crate::systems::patroni::parse::Node;
use crate::systems::patroni::signals::LEADER;

use super::view::{Site, list, sites};

const ID: RuleId = RuleId::new("patroni.leader");

/// Avoids trap 2 (a dead leader is listed until its lock ends: the members are asked themselves) and trap 5 (two primaries
/// in one cluster, of which Patroni only warns while it is paused).
pub struct Leader;

impl Rule for Leader {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        sites(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(site) = Site::of(facts, about, now) else { return Vec::new() };
        let Some(Ok((nodes, at))) = site.nodes() else { return Vec::new() };
        if let Some(finding) = two_primaries(site, &nodes, at) {
            return vec![finding];
        }
        match site.value(&LEADER) {
            None => unlocked(site, &nodes, at).into_iter().collect(),
            Some((Value::Null, then)) => vec![leaderless(site, then)],
            Some((Value::Text(leader), then)) => led(site, &nodes, leader.as_str(), at, then).into_iter().collect(),
            Some((_, _)) => {
                let gap = crate::readiness::Gap::new(crate::readiness::Reason::Malformed, "the leader is no name");
                vec![site.senseless(ID, "/cluster", &gap)]
            }
        }
    }
}

fn two_primaries(site: Site<'_>, nodes: &[Node], at: Now) -> Option<Finding> {
    let writers =
        |nodes: &[Node]| nodes.iter().filter(|n| n.writes()).map(|n| n.called().to_owned()).collect::<Vec<_>>();
    let now = writers(nodes);
    if now.len() < 2 {
        return None;
    }
    // They are asked at once, yet one may have answered late, after it was stopped.
    let twice = site.nodes_before(at).is_some_and(|b| writers(&b).len() > 1);
    let names = list(&now);
    let (verdict, code, why) = if twice {
        (Verdict::NotReady, "two-primaries", format!("two members in {} take writes: {names}", site.site))
    } else {
        (Verdict::Unknown, "second-writer", format!("{names} in {} both answered as primary", site.site))
    };
    let each = |f: Finding, n: &Node| f.because(&format!("{} {} role", site.site, n.called()), &"primary", at);
    let finding = nodes.iter().filter(|n| n.writes()).fold(site.finding(ID, verdict, code, &why), each);
    let finding =
        finding.next("stop the one that patronictl list does not call leader; its writes must be found by hand");
    Some(if twice { finding.bearing(Bearing::Blocks(why.as_str().into())) } else { finding })
}

fn leaderless(site: Site<'_>, at: Now) -> Finding {
    let lasting = site.lasts(&LEADER);
    let (verdict, why) = if lasting {
        (Verdict::NotReady, format!("the cluster in {} has no leader", site.site))
    } else {
        (Verdict::Unknown, format!("the cluster in {} has no leader at this look; asking again", site.site))
    };
    let finding = site
        .finding(ID, verdict, "no-leader", &why)
        .because(&format!("{} GET /cluster", site.site), &"no member holds the leader lock", at)
        .next("patronictl list; its log on each member says why nobody takes the lock: too far behind, or nofailover");
    if lasting { finding.bearing(Bearing::Blocks(why.as_str().into())) } else { finding }
}

/// Without the DCS, what the members last saw of it.
fn unlocked(site: Site<'_>, nodes: &[Node], at: Now) -> Option<Finding> {
    let answered = || nodes.iter().filter(|n| n.answered());
    let all = answered().next().is_some() && answered().all(|n| n.unlocked);
    all.then(|| {
        let why = format!("the members in {} last saw a cluster without a leader", site.site);
        site.finding(ID, Verdict::Unknown, "no-leader", &why)
            .because(&format!("{} cluster_unlocked", site.site), &"yes", at)
            .next("see why /cluster does not answer: the DCS is down or cannot be reached from there")
    })
}

fn led(site: Site<'_>, nodes: &[Node], leader: &str, at: Now, then: Now) -> Option<Finding> {
    let make = |verdict, code: &'static str, why: &str| {
        site.finding(ID, verdict, code, why).because(&format!("{} GET /cluster leader", site.site), &leader, then)
    };
    let named: Vec<&Node> = nodes.iter().filter(|n| n.name.is_some()).collect();
    let own = named.iter().find(|n| n.called() == leader);
    let other = nodes.iter().find(|n| n.writes() && n.name.as_ref().is_some_and(|name| name.as_str() != leader));
    // A switchover changes both within seconds; they are asked a moment apart.
    let lasting = site.lasts(&LEADER)
        && other.is_some_and(|o| {
            site.nodes_before(at).is_some_and(|b| b.iter().any(|n| n.member == o.member && n.writes()))
        });
    if let Some(other) = other.filter(|_| lasting) {
        let why = format!("{} in {} takes writes, and Patroni's leader is {leader}", other.called(), site.site);
        return Some(
            make(Verdict::NotReady, "leader-disagrees", &why)
                .because(&format!("{} {} role", site.site, other.called()), &"primary", at)
                .next("find out which of them clients write to, then stop the other: patronictl list, pg_is_in_recovery()"),
        );
    }
    let leads = || make(Verdict::Ready, "leader", &format!("{leader} leads the cluster in {}", site.site));
    let Some(own) = own else {
        // Before 4.0 members do not say their names.
        let nameless = nodes.iter().any(|n| n.answered() && n.name.is_none());
        return Some(if nameless && nodes.iter().any(|n| n.writes() || n.is_standby_leader()) {
            leads()
        } else if site.active().is_some_and(|a| a.shares_cluster_with(site)) {
            make(Verdict::Ready, "leader-elsewhere", &format!("the cluster of {} is led by {leader}", site.site))
        } else {
            silent(site, leader, make)
        });
    };
    if !own.answered() {
        // What answered at the look before is one lost packet from being well.
        let before = site.nodes_before(at);
        let lost = before.is_none_or(|b| b.iter().all(|n| n.member != own.member || !n.answered()));
        return lost.then(|| silent(site, leader, make));
    }
    if own.unlocked {
        let why = format!("{leader} in {} is listed as leader, and does not see its own lock", site.site);
        return Some(
            make(Verdict::Degraded, "lock-unseen", &why)
                .because(&format!("{} {leader} cluster_unlocked", site.site), &"yes", at)
                .next("look at the DCS: the leader could not read it lately"),
        );
    }
    Some(leads())
}

/// The leader is listed, and no member that answers says to be it.
fn silent(site: Site<'_>, leader: &str, make: impl Fn(Verdict, &'static str, &str) -> Finding) -> Finding {
    let why = format!("{leader} is listed as leader in {}, and nobody that answers is it", site.site);
    make(Verdict::Unknown, "leader-silent", &why).next(&format!(
        "look at {leader}: if it is dead, its lock ends within the ttl; name it in the probe if it is missing"
    ))
}
