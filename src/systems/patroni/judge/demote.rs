//! `patroni-demote-cluster`: a cluster takes no more writes, and follows another one. Patroni's own fence.

use serde_json::{Value, json};

use crate::plan::{Bytes, Lsn, SafeText, SiteId};
use crate::runbook::{Fence, Held, Loss, Observation, Strength, Yield};

use super::super::options::{DemoteOptions, Patroni};
use super::super::parse::{Node, Settings, differ};
use super::leading::{challenge, role, works};
use super::{Before, Case, Found, Kind, Planned, Request, View, curl, not_paused, so, unknown, unread};

/// The kind.
#[derive(Clone, Debug)]
pub struct Demote {
    /// Its options.
    pub options: DemoteOptions,
}

impl Demote {
    fn body(&self) -> Value {
        json!({ "standby_cluster": self.options.standby_cluster })
    }

    /// Whether the dynamic configuration says it already.
    fn told_so(&self, settings: &Settings) -> bool {
        let wanted = &self.options.standby_cluster;
        let same = |has: &Option<SafeText>, want: Option<String>| {
            want.is_none_or(|w| has.as_ref().is_some_and(|h| h.as_str() == w))
        };
        settings.standby_cluster
            && same(&settings.upstream_host, wanted.host.clone())
            && same(&settings.upstream_port, wanted.port.map(|p| p.to_string()))
            && same(&settings.upstream_slot, wanted.primary_slot_name.clone())
    }

    /// Whether no member takes writes, and how sure that is. `led`: the address of who took writes before, where that is
    /// known; without it nobody may be silent.
    fn fenced(&self, view: &View, led: Option<&SafeText>) -> (Held, String, Option<Fence>) {
        let writers = view.names(view.told.writers());
        if !writers.is_empty() {
            return (Held::Fails, format!("{writers} takes writes"), None);
        }
        let unsettled = view.names(view.told.nodes.iter().filter(|n| n.answered() && !settled(n)));
        if !unsettled.is_empty() {
            return (Held::Fails, format!("{unsettled} is on its way"), None);
        }
        let silent: Vec<&Node> = view.silent().collect();
        let names = view.names(silent.iter().copied());
        if silent.iter().any(|n| led.is_none_or(|at| *at == n.member)) {
            let why = format!("{names} does not answer: nobody knows whether it still takes writes");
            return (Held::Unknown, why, None);
        }
        let strangers = strangers(view);
        let seen = view.names(view.told.nodes.iter().filter(|n| n.answered()));
        let upstream = self.options.standby_cluster.shown();
        let why = format!("no member takes writes ({seen}), and {} is told to follow {upstream}", view.called());
        let unseen = [names, strangers].into_iter().filter(|n| !n.is_empty()).collect::<Vec<_>>().join(" and ");
        let (strength, why) = match unseen.as_str() {
            "" => (Strength::Proven, why),
            unseen => (Strength::Assumed, format!("{why}; but nobody saw {unseen}")),
        };
        let fence = Fence { strength, why: SafeText::new(&why) };
        (Held::Holds, why, Some(fence))
    }
}

/// Whether a member that takes no writes is at the end of its way: in recovery, or Patroni could not start it. One that is
/// `stopped` is about to be started again.
fn settled(node: &Node) -> bool {
    let state = node.state.as_ref().map_or("", SafeText::as_str);
    node.holds().is_some() || matches!(state, "start failed" | "restart failed" | "crashed")
}

/// The members that the DCS lists and the probe does not name.
fn strangers(view: &View) -> String {
    let Ok(cluster) = &view.told.cluster else { return String::new() };
    // Before 4.0 a member does not say its name: it is known by its address alone, which may be another one.
    let strange = cluster.members.iter().filter(|m| view.node(m).is_none());
    strange.map(|m| m.name.to_string()).collect::<Vec<_>>().join(" and ")
}

impl Kind for Demote {
    fn compares(&self) -> bool {
        true
    }

    fn plan(&self, case: Case<'_>) -> Planned {
        let view = case.view;
        let (cluster, settings) = match (&view.told.cluster, &view.told.settings) {
            (Ok(cluster), Ok(settings)) => (cluster, settings),
            (Err(gap), _) | (_, Err(gap)) => return unread(case, gap),
        };
        let leader = cluster.leader();
        let (held, why, fence) = self.fenced(view, None);
        let already = self.told_so(settings) && held == Held::Holds;
        let mut found = Found::new(case.now);
        let called = view.called();
        let leads = match leader {
            _ if already => so(true, why),
            None => so(false, "nobody leads it"),
            Some(leader) => works(view, leader),
        };
        found.must("leader", &format!("the leader of {called} answers"), leads);
        not_paused(case, &mut found, "its primary would go on taking writes");
        found.advise("stops-cleanly", "its primary stops with all that it wrote sent", clean(view, already));
        let what = format!("{called} can follow {} as it is", self.options.standby_cluster.shown());
        found.advise("can-follow", &what, can_follow(case));
        let to = view.addressee();
        Planned {
            request: to.map(|to| Request { to, method: "PATCH", path: "config", body: self.body() }),
            role: role(view),
            identity: leader.map_or_else(|| view.identity(), |l| view.identity_with(l)),
            challenge: challenge(view, None),
            conditions: found.conditions,
            already: Held::of(already),
            left: Yield { fence: fence.filter(|_| already), ..Yield::default() },
            before: view.before(to, case.other),
        }
    }

    fn seen(&self, case: Case<'_>, before: Option<&Before>) -> Observation {
        let view = case.view;
        let observation = |held, why: &str| Observation::new(held, why, case.now);
        let settings = match (&view.told.cluster, &view.told.settings) {
            (Ok(_), Ok(settings)) => settings,
            (Err(gap), _) | (_, Err(gap)) => return observation(Held::Unknown, &gap.to_string()),
        };
        if !self.told_so(settings) {
            return observation(Held::Fails, "the configuration does not have this standby_cluster");
        }
        let (held, why, fence) = self.fenced(view, before.and_then(|b| b.leader_at.as_ref()));
        let mut seen = observation(held, &why);
        match held {
            Held::Holds => {
                seen.left.fence = fence;
                seen.left.loss = kept_back(case, before);
                seen.left.facts.extend(following(view));
            }
            Held::Fails => {
                seen.waits = Some(SafeText::new(&format!("{why}: until nobody does, and all are in recovery")))
            }
            Held::Unknown => {}
        }
        seen
    }

    fn commands(&self, probe: &Patroni, site: &SiteId, user: Option<&str>) -> Vec<String> {
        let body = self.body();
        let mut lines: Vec<String> = probe
            .members(site)
            .first()
            .map(|m| curl(probe, m, user, "PATCH", "config", Some(&body)))
            .into_iter()
            .collect();
        lines.push("# Then at every member: \"role\" must be no primary and \"xlog\" have no \"location\".".to_owned());
        lines.extend(probe.members(site).iter().map(|m| curl(probe, m, None, "GET", "patroni", None)));
        lines
    }
}

/// Whether Patroni stops the primary so that its standbys get everything: since 4.1 it does (`ha.py`, `demote`, mode
/// `demote-cluster`: a fast stop); before, at once (`immediate-nolock`).
fn clean(view: &View, already: bool) -> (Held, String) {
    if already {
        return so(true, "it does not take writes any more");
    }
    let node = view.leader().and_then(|l| view.node(l));
    let Some(version) = node.and_then(|n| n.version.as_ref()) else {
        return unknown(&"Patroni's version is not known");
    };
    if stops_cleanly(version.as_str()) {
        return so(true, format!("Patroni {version} stops it in the fast mode"));
    }
    so(
        false,
        format!(
            "Patroni {version} stops PostgreSQL at once when a cluster becomes a standby: the last commits may stay here"
        ),
    )
}

fn stops_cleanly(version: &str) -> bool {
    let parts: Vec<u32> = version.split('.').map_while(|p| p.parse().ok()).take(2).collect();
    parts.as_slice() >= [4, 1].as_slice()
}

/// Whether the cluster could follow the other site without being built anew.
fn can_follow(case: Case<'_>) -> (Held, String) {
    let Some(other) = case.other else { return unknown(&"the probe does not look at the other site") };
    match case.view.compared(other) {
        Ok((Held::Holds, why)) => so(true, why),
        Ok((held, why)) => (held, format!("{why}: it must be built anew to follow (patronictl reinit)")),
        Err(gap) => unknown(&gap),
    }
}

/// How much of what the demoted primary wrote the other site lacks: the end of its log, now that it is stopped, against what
/// the other site holds, or where that left the timeline. Only where it was stopped cleanly is its end known.
fn kept_back(case: Case<'_>, before: Option<&Before>) -> Option<Loss> {
    let before = before?;
    let (view, other) = (case.view, case.other?);
    let node = view.told.nodes.iter().find(|n| Some(&n.member) == before.leader_at.as_ref())?;
    let clean = node.version.as_ref().is_some_and(|v| stops_cleanly(v.as_str()));
    // On another timeline it holds the other site's log, not its own end.
    if node.timeline.is_none() || node.timeline != before.timeline {
        return None;
    }
    // A server that was not stopped cleanly is still finding its end.
    let end = node.holds().filter(|_| clean)?.max(before.position?);
    let held = shared_until(view, other, before.timeline?)?;
    Some(Loss { seen: Some(end), held, missing: Some(Bytes(end.0.saturating_sub(held.0))), end: true })
}

/// Up to where the other site has this site's log, whose newest timeline is this one: to where their histories went apart,
/// else to where it left that timeline, else all that it holds.
fn shared_until(view: &View, other: &View, timeline: i64) -> Option<Lsn> {
    let (mine, theirs) = (view.told.history.as_ref().ok()?, other.told.history.as_ref().ok()?);
    if let Some((a, b)) = differ(mine, theirs) {
        return Some(a.lsn.min(b.lsn));
    }
    if let Some(left) = theirs.iter().find(|s| s.timeline == timeline) {
        return Some(left.lsn);
    }
    // On a newer timeline whose beginning its history does not tell yet, its position says nothing of this one.
    let newest = other.told.nodes.iter().filter_map(|n| n.timeline).max()?;
    other.position().filter(|_| newest <= timeline)
}

/// How its members get their log now, in words.
fn following(view: &View) -> Option<SafeText> {
    let leader = view.leader()?;
    let node = view.node(leader)?;
    let state = node.replication_state.as_ref().map_or("does not stream yet", SafeText::as_str);
    Some(SafeText::new(&format!("{}: {}, {state}", leader.name, leader.role.as_str().replace('_', " "))))
}
