//! Who leads a cluster, who could, and whether that has moved.

use crate::plan::SafeText;
use crate::runbook::{Held, Observation};

use super::super::parse::{Listed, Node, Settings};
use super::{Case, View, so, unknown};

/// The cluster in one line: `n1 leads, running, timeline 4; n2 replica, streaming`.
pub(super) fn role(view: &View) -> String {
    let Ok(cluster) = &view.told.cluster else { return String::new() };
    let standby = view.told.settings.as_ref().is_ok_and(|s| s.standby_cluster);
    let one = |m: &Listed| {
        let (name, state) = (&m.name, &m.state);
        let timeline = m.timeline.map_or_else(String::new, |t| format!(", timeline {t}"));
        let lag = m.lag.filter(|l| l.0 > 0).map_or_else(String::new, |l| format!(", {l} behind"));
        format!("{name} {}, {state}{timeline}{lag}", m.role.as_str().replace('_', " "))
    };
    let members = cluster.members.iter().map(one).collect::<Vec<_>>().join("; ");
    let kind = if standby { "standby cluster" } else { "cluster" };
    let paused = if cluster.overview.paused { ", in maintenance mode" } else { "" };
    format!("{kind}{paused}: {members}")
}

/// What names the target: the cluster, and who is to lead it.
pub(super) fn challenge(view: &View, candidate: Option<&str>) -> String {
    let cluster = view.scope().map_or_else(|| view.site.to_string(), ToString::to_string);
    candidate.map_or_else(|| cluster.clone(), |c| format!("{cluster} {c}"))
}

/// Whether the leader itself says that it leads: takes writes, or follows another cluster as its standby leader.
pub(super) fn works(view: &View, leader: &Listed) -> (Held, String) {
    let name = &leader.name;
    let Some(node) = view.node(leader) else {
        return unknown(&format!("{name} leads, and the probe does not name it: its own word is missing"));
    };
    if !node.answered() {
        let detail = node.detail.as_ref().map_or("no answer", SafeText::as_str);
        return unknown(&format!("{name} leads by the DCS, and does not answer: {detail}"));
    }
    let state = node.state.as_ref().map_or("unknown", SafeText::as_str);
    if leader.role.as_str() == "standby_leader" {
        let follows = node.is_standby_leader() && node.holds().is_some();
        return so(
            follows,
            format!("{name}, {state}, {}", if follows { "leads the standby cluster" } else { "is no standby leader" }),
        );
    }
    so(
        node.writes(),
        format!("{name}, {state}, {}", if node.writes() { "takes writes" } else { "does not take writes" }),
    )
}

/// Whether a switchover is possible at all in maintenance mode: only to a named member, and not in a standby cluster, whose
/// leader then does nothing of it (`ha.py`, `process_manual_failover_from_leader`).
pub(super) fn can_switch(view: &View, candidate: Option<&str>) -> (Held, String) {
    let Ok(cluster) = &view.told.cluster else { return unknown(&"not read") };
    let standby = cluster.leader().is_some_and(|l| l.role.as_str() == "standby_leader");
    match (cluster.overview.paused, candidate) {
        (false, _) => so(true, "it is not in maintenance mode"),
        (true, Some(_)) if !standby => so(true, "it is in maintenance mode, and the member is named"),
        (true, Some(_)) => so(false, "a standby cluster in maintenance mode does not switch over: resume it first"),
        (true, None) => so(false, "in maintenance mode only to a named member: resume it, or set `candidate`"),
    }
}

/// Whether a member could become leader by a switchover, as Patroni will ask it.
fn fits(view: &View, settings: &Settings, leader: Option<&Listed>, member: &Listed) -> (Held, String) {
    let name = &member.name;
    if member.leads() {
        return so(false, format!("{name} leads already"));
    }
    if member.nofailover {
        return so(false, format!("{name} may not lead: tag nofailover, or failover_priority 0"));
    }
    let role = member.role.as_str();
    if settings.synchronous_mode.as_str() == "on" && role != "sync_standby" {
        return so(false, format!("{name} is no synchronous standby"));
    }
    if !matches!(member.state.as_str(), "running" | "streaming" | "in archive recovery") {
        return so(false, format!("{name} is {}", member.state));
    }
    if let Some(node) = view.node(member) {
        if !node.answered() {
            let detail = node.detail.as_ref().map_or("no answer", SafeText::as_str);
            return unknown(&format!("{name} does not answer: {detail}"));
        }
        if node.watchdog_failed {
            return so(false, format!("{name} cannot arm its watchdog"));
        }
    }
    if let Some((mine, theirs)) = member.timeline.zip(leader.and_then(|l| l.timeline)).filter(|(a, b)| a != b) {
        return so(false, format!("{name} is on timeline {mine}, its leader on {theirs}"));
    }
    let limit = settings.maximum_lag;
    match member.lag {
        None => unknown(&format!("how far {name} is behind is not known")),
        Some(lag) if lag > limit => so(false, format!("{name} is {lag} behind, more than {limit}")),
        Some(lag) => so(true, format!("{name} is {}, {lag} behind", member.state)),
    }
}

/// Whether the candidate fits; without one, whether anybody does.
pub(super) fn candidates(view: &View, candidate: Option<&str>) -> (Held, String) {
    let (cluster, settings) = match (&view.told.cluster, &view.told.settings) {
        (Ok(cluster), Ok(settings)) => (cluster, settings),
        (Err(gap), _) | (_, Err(gap)) => return unknown(gap),
    };
    let leader = cluster.leader();
    if let Some(name) = candidate {
        return match cluster.members.iter().find(|m| m.name.as_str() == name) {
            Some(member) => fits(view, settings, leader, member),
            None => so(false, format!("{} has no member {name}", view.called())),
        };
    }
    let others = cluster.members.iter().filter(|m| !m.leads());
    let judged: Vec<(Held, String)> = others.map(|m| fits(view, settings, leader, m)).collect();
    let of = |held: Held| judged.iter().find(|(h, _)| *h == held).cloned();
    let all = || judged.iter().map(|(_, why)| why.as_str()).collect::<Vec<_>>().join("; ");
    match (of(Held::Holds), of(Held::Unknown)) {
        (Some(fits), _) => fits,
        (None, Some(_)) => unknown(&all()),
        (None, None) if judged.is_empty() => so(false, "it has no member beside its leader"),
        (None, None) => so(false, all()),
    }
}

/// Whether the lead has moved: to `candidate`, or away from `from`; by the DCS, and by the new leader's own word. Leaves
/// what it saw of the history.
pub(super) fn moved(case: Case<'_>, candidate: Option<&str>, from: Option<&SafeText>) -> Observation {
    let view = case.view;
    let observation = |held, why: &str| Observation::new(held, why, case.now);
    let waits = |why: &str, waits: &str| Observation { waits: Some(waits.into()), ..observation(Held::Fails, why) };
    if let Err(gap) = &view.told.cluster {
        return observation(Held::Unknown, &gap.to_string());
    }
    let Some(leader) = view.leader() else { return waits("nobody leads", "a new leader") };
    let name = &leader.name;
    if candidate.is_some_and(|c| c != name.as_str()) || (candidate.is_none() && from == Some(name)) {
        let still = if from == Some(name) { " still" } else { "" };
        return waits(&format!("{name} leads{still}"), "another leader");
    }
    let mine = view.node(leader);
    let writers: Vec<&Node> = view.told.writers().filter(|n| mine.is_none_or(|m| m.member != n.member)).collect();
    if !writers.is_empty() {
        let names = view.names(writers.into_iter());
        return waits(&format!("{name} leads, and {names} takes writes"), &format!("{names} to stop"));
    }
    let undecided = view.names(view.undecided());
    if !undecided.is_empty() {
        return waits(&format!("{name} leads; {undecided} has not stopped yet"), &format!("{undecided} to stop"));
    }
    let (held, why) = works(view, leader);
    match held {
        Held::Holds => {
            let mut seen = observation(Held::Holds, &format!("{why}; no other member that answers takes writes"));
            seen.left.facts.extend(switched(view, from));
            seen
        }
        Held::Fails => waits(&why, &format!("{name} to be promoted")),
        Held::Unknown => observation(Held::Unknown, &why),
    }
}

/// From whom to whom, and at which end of which timeline, as far as the history says it yet.
fn switched(view: &View, from: Option<&SafeText>) -> Vec<SafeText> {
    let leader = view.leader();
    let mut facts = Vec::new();
    if let Some((from, to)) = from.zip(leader) {
        facts.push(SafeText::new(&format!("leader {from} -> {}", to.name)));
    }
    let timeline = leader.and_then(|l| view.node(l)).and_then(|n| n.timeline);
    let last = view.told.history.as_ref().ok().and_then(|h| h.last());
    if let Some((now, last)) = timeline.zip(last).filter(|(now, last)| last.timeline.saturating_add(1) == *now) {
        facts.push(SafeText::new(&format!("timeline {} -> {now} at {}", last.timeline, last.lsn)));
    }
    let silent = view.names(view.silent());
    if !silent.is_empty() {
        facts.push(SafeText::new(&format!("no answer of {silent}")));
    }
    facts
}
