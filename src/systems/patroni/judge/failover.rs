//! `patroni-failover`: a member becomes leader although the cluster has none, or none that works.

use serde_json::json;

use crate::plan::SiteId;
use crate::runbook::{Held, Observation, Yield};

use super::super::options::{FailoverOptions, Patroni};
use super::super::parse::Node;
use super::leading::{challenge, moved, role, works};
use super::{Before, Case, Found, Kind, LEADER, Planned, Request, View, curl, look_first, so, unknown, unread};

/// The kind.
#[derive(Clone, Debug)]
pub struct Failover {
    /// Its options.
    pub options: FailoverOptions,
}

impl Kind for Failover {
    fn plan(&self, case: Case<'_>) -> Planned {
        let view = case.view;
        let cluster = match &view.told.cluster {
            Ok(cluster) => cluster,
            Err(gap) => return unread(case, gap),
        };
        let candidate = self.options.candidate.as_str();
        let leader = cluster.leader();
        let listed = cluster.members.iter().find(|m| m.name.as_str() == candidate);
        let already = leader.is_some_and(|l| l.name.as_str() == candidate && works(view, l).0 == Held::Holds);
        let node = listed.and_then(|l| view.node(l));
        let mut found = Found::new(case.now);
        let able = match (listed, node) {
            _ if already => so(true, "it leads already"),
            (None, _) => so(false, format!("{} has no member {candidate}", view.called())),
            (Some(_), None) => unknown(&format!("the probe does not name {candidate}: its own word is missing")),
            (Some(l), _) if l.nofailover => {
                so(false, format!("{candidate} may not lead: tag nofailover, or failover_priority 0"))
            }
            (Some(_), Some(node)) => standby(view, node),
        };
        found.must("candidate", &format!("{candidate} is a standby that answers and may lead"), able);
        // Patroni makes the change either way; of a leader that works, a switchover loses nothing.
        let lives = leader.filter(|l| l.name.as_str() != candidate).map(|l| (l, works(view, l)));
        let (held, why) = match lives {
            None => so(true, "nobody else leads"),
            Some((_, (Held::Holds, why))) => so(false, format!("{why}: a switchover would lose nothing")),
            Some((_, (Held::Fails, why))) => so(true, why),
            Some((_, (Held::Unknown, why))) => unknown(&format!("{why}; it may take writes until its lock is lost")),
        };
        found.risk("no-leader", "no other leader works", (held, why), "leave the leader");
        found.risk("most-advanced", "no member holds more log than it", most_advanced(view, node), "leave log behind");
        let to =
            node.and_then(|n| view.told.nodes.iter().position(|m| m.member == n.member)).or_else(|| view.addressee());
        let request =
            to.map(|to| Request { to, method: "POST", path: "failover", body: json!({ "candidate": candidate }) });
        let identity = leader.map_or_else(|| view.identity(), |l| view.identity().with(LEADER, &l.name));
        Planned {
            request,
            role: role(view),
            identity: identity.with("candidate", &candidate),
            challenge: challenge(view, Some(candidate)),
            conditions: found.conditions,
            already: Held::of(already),
            left: Yield::default(),
            before: view.before(to, None),
        }
    }

    fn seen(&self, case: Case<'_>, before: Option<&Before>) -> Observation {
        moved(case, Some(&self.options.candidate), before.and_then(|b| b.leader.as_ref()))
    }

    fn commands(&self, probe: &Patroni, site: &SiteId, user: Option<&str>) -> Vec<String> {
        let candidate = &self.options.candidate;
        let mut lines = vec![format!("# Best sent to the address of {candidate}.")];
        lines.extend(look_first(probe, site));
        let body = json!({ "candidate": candidate });
        lines.extend(probe.members(site).first().map(|m| curl(probe, m, user, "POST", "failover", Some(&body))));
        lines.push(format!("# or, on a member: patronictl failover --candidate {candidate}"));
        lines
    }
}

/// Whether a member is a standby whose PostgreSQL answers.
fn standby(view: &View, node: &Node) -> (Held, String) {
    let name = view.name(node);
    if !node.answered() {
        let detail = node.detail.as_ref().map_or_else(String::new, ToString::to_string);
        return unknown(&format!("{name} does not answer: {detail}"));
    }
    let state = node.state.as_ref().map_or_else(String::new, ToString::to_string);
    match (node.writes(), node.holds()) {
        (true, _) => so(false, format!("{name} takes writes already, and does not lead")),
        (false, Some(at)) => so(true, format!("{name} is {state}, in recovery at {at}")),
        (false, None) => so(false, format!("{name} is {state}")),
    }
}

/// Whether any member that answers holds more log than this one. Those that do not answer are named.
pub(super) fn most_advanced(view: &View, node: Option<&Node>) -> (Held, String) {
    let Some((node, mine)) = node.and_then(|n| Some((n, n.location.or(n.holds())?))) else {
        return unknown(&"what it holds is not known");
    };
    let silent = view.names(view.silent());
    let but = if silent.is_empty() { String::new() } else { format!("; what {silent} holds is not known") };
    let others = view.told.nodes.iter().filter(|n| n.member != node.member);
    let most = others.filter_map(|n| n.location.max(n.holds()).map(|at| (at, n))).max_by_key(|(at, _)| *at);
    match most.filter(|(at, _)| *at > mine) {
        Some((at, other)) => so(false, format!("{} holds {at}, and this one {mine}{but}", view.name(other))),
        None => so(true, format!("it holds {mine}, no member that answers more{but}")),
    }
}
