//! Each site's Patroni sees its DCS: without it nobody is promoted.

use crate::plan::{Now, Plan, RuleId, Span};
use crate::readiness::{About, Bearing, Facts, Finding, Rule, Verdict};
use crate::systems::patroni::parse::Node;

use super::view::{Site, list, sites};

const ID: RuleId = RuleId::new("patroni.dcs");

/// Patroni's own defaults, where the configuration cannot be read: it is the DCS that holds it.
const TTL: Span = Span::secs(30);
const ROUND: Span = Span::secs(20);

/// Avoids trap 9. `/cluster` hangs when the DCS does, so each member says itself when it last saw it, by its own clock.
pub struct Dcs;

impl Rule for Dcs {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        sites(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(site) = Site::of(facts, about, now) else { return Vec::new() };
        let Some(Ok((nodes, at))) = site.nodes() else { return Vec::new() };
        judge(site, &nodes, at).into_iter().collect()
    }
}

/// For how long a member may not see the DCS: until it would have lost its lock, and until it is late.
pub(super) fn limits(site: Site<'_>) -> (Span, Span) {
    match site.settings() {
        Some(Ok((s, _))) => (s.ttl, Span(s.loop_wait.0.saturating_add(s.retry_timeout.0))),
        Some(Err(_)) | None => (TTL, ROUND),
    }
}

fn judge(site: Site<'_>, nodes: &[Node], at: Now) -> Option<Finding> {
    let name = site.site;
    let (ttl, round) = limits(site);
    let ages: Vec<(&Node, Span)> = nodes.iter().filter_map(|n| Some((n, n.dcs_age?))).collect();
    let best = ages.iter().map(|(_, a)| *a).min()?;
    let with = |f: Finding| {
        ages.iter().fold(f, |f, (n, age)| {
            f.because(&format!("{name} {} saw the DCS", n.called()), &format!("{age} before"), at)
        })
    };
    let blind: Vec<&str> = ages.iter().filter(|(_, a)| *a > ttl).map(|(n, _)| n.called()).collect();
    if best > ttl {
        let why = format!("Patroni in {name} has not seen its DCS for longer than {ttl}: it can promote nobody");
        let make = |verdict| {
            with(site.finding(ID, verdict, "dcs-lost", &why)).next(&format!(
                "look at the DCS of {name} (etcd, Consul, ZooKeeper): is it up, and does it have a quorum?"
            ))
        };
        return Some(if site.writes() == Some(true) {
            make(Verdict::Degraded)
        } else {
            make(Verdict::NotReady).bearing(Bearing::Blocks(why.as_str().into()))
        });
    }
    if nodes.iter().any(|n| n.failsafe) {
        let why = format!("{name} runs without its DCS, by the failsafe: one member lost, and its primary stops");
        return Some(
            with(site.finding(ID, Verdict::Degraded, "failsafe", &why))
                .next(&format!("look at the DCS of {name}: it cannot be reached from its members")),
        );
    }
    if !blind.is_empty() {
        let why = format!("{} in {name} cannot see the DCS, which others see", list(&blind));
        return Some(
            with(site.finding(ID, Verdict::Degraded, "dcs-lost-by-one", &why))
                .next("look at the network between that member and the DCS"),
        );
    }
    if best > round {
        let why = format!("Patroni in {name} has not seen its DCS for {}; it should every round", best.coarse());
        return Some(
            with(site.finding(ID, Verdict::Degraded, "dcs-late", &why))
                .next(&format!("look at the DCS of {name}: slow disks, a lost quorum, the network")),
        );
    }
    Some(with(site.finding(ID, Verdict::Ready, "dcs", &format!("Patroni in {name} sees its DCS"))))
}
