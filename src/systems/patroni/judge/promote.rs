//! `patroni-promote-cluster`: a standby cluster follows nobody any more, and takes writes.

use serde_json::{Value, json};

use crate::plan::{Bytes, SafeText, SiteId};
use crate::runbook::{Held, Loss, Observation, StepRole, Yield};

use super::super::options::Patroni;
use super::failover::most_advanced;
use super::leading::{challenge, role, works};
use super::{
    Before, Case, Found, Kind, Planned, Request, View, curl, not_paused, role_before, same_database, so, unread,
};

/// The kind.
#[derive(Clone, Copy, Debug)]
pub struct Promote;

impl Kind for Promote {
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
        let already = !settings.standby_cluster
            && leader.is_some_and(|l| l.role.as_str() == "leader" && works(view, l).0 == Held::Holds);
        let mut found = Found::new(case.now);
        let called = view.called();
        let upstream = settings.upstream_host.as_ref().map_or("an archive", SafeText::as_str);
        let standby = match (settings.standby_cluster, already) {
            (true, _) => so(true, format!("it follows {upstream}")),
            (false, true) => so(true, "it was promoted before"),
            (false, false) => so(false, "it follows nobody, and nobody in it takes writes: this would change nothing"),
        };
        found.must("standby-cluster", &format!("{called} is a standby cluster"), standby);
        let leads = leader.map_or_else(|| so(false, "nobody leads it"), |l| works(view, l));
        found.must("leader", &format!("the leader of {called} answers"), leads);
        not_paused(case, &mut found, "Patroni would promote nobody before it is resumed");
        let node = leader.and_then(|l| view.node(l));
        let most = if already { so(true, "it takes writes already") } else { most_advanced(view, node) };
        found.risk("most-advanced", "no member of it holds more log than its leader", most, "leave log behind");
        same_database(case, &mut found, already);
        if case.state.opened.kind.is_real() && !already {
            other_writes(case, &mut found);
        }
        let to = view.addressee();
        Planned {
            request: to.map(|to| Request { to, method: "PATCH", path: "config", body: body() }),
            role: role(view),
            identity: leader.map_or_else(|| view.identity(), |l| view.identity_with(l)),
            challenge: challenge(view, None),
            conditions: found.conditions,
            already: Held::of(already),
            left: Yield::default(),
            before: view.before(to, case.other),
        }
    }

    fn seen(&self, case: Case<'_>, before: Option<&Before>) -> Observation {
        let view = case.view;
        let observation = |held, why: &str| Observation::new(held, why, case.now);
        let waits = |why: &str, waits: &str| Observation { waits: Some(waits.into()), ..observation(Held::Fails, why) };
        let settings = match (&view.told.cluster, &view.told.settings) {
            (Ok(_), Ok(settings)) => settings,
            (Err(gap), _) | (_, Err(gap)) => return observation(Held::Unknown, &gap.to_string()),
        };
        if settings.standby_cluster {
            return observation(Held::Fails, "the configuration still has the section standby_cluster");
        }
        let Some(leader) = view.leader() else { return waits("nobody leads", "a leader") };
        if leader.role.as_str() != "leader" {
            return waits(
                &format!("{} is {} still", leader.name, leader.role),
                &format!("{} to be promoted", leader.name),
            );
        }
        let (held, why) = works(view, leader);
        let two: Vec<_> = view.told.writers().collect();
        if two.len() > 1 {
            let names = view.names(two.into_iter());
            return waits(&format!("{names} take writes at once"), "one of them to stop");
        }
        match held {
            Held::Unknown => observation(Held::Unknown, &why),
            Held::Fails => waits(&why, &format!("{} to be promoted", leader.name)),
            Held::Holds => {
                let mut seen = observation(Held::Holds, &format!("{why}; it follows nobody"));
                let (loss, facts) = lost(view, before);
                seen.left.loss = loss;
                seen.left.facts = facts;
                seen
            }
        }
    }

    fn commands(&self, probe: &Patroni, site: &SiteId, user: Option<&str>) -> Vec<String> {
        let mut lines = vec![
            "# Nothing in Patroni keeps the old primary from writing: make sure first that it is stopped.".to_owned(),
        ];
        lines.extend(probe.members(site).first().map(|m| curl(probe, m, user, "PATCH", "config", Some(&body()))));
        lines.push("# or, on a member (Patroni 4.1 and newer): patronictl promote-cluster".to_owned());
        lines.push("# Never pg_ctl promote or pg_promote() under Patroni.".to_owned());
        lines
    }
}

fn body() -> Value {
    json!({ "standby_cluster": null })
}

/// Whether the other site is seen to take writes at this moment: then this promotion is a split brain, whatever anybody
/// accepts. What does not answer proves nothing; the run's fence is judged apart.
fn other_writes(case: Case<'_>, found: &mut Found) {
    let Some(other) = case.other else { return };
    let what = format!("no member in {} is seen to take writes", other.site);
    let writers = other.names(other.told.writers());
    let silent = other.names(other.silent());
    let not_asked = if silent.is_empty() { String::new() } else { format!("; {silent} does not answer") };
    let judged = match writers.as_str() {
        "" => so(true, format!("none that answers does{not_asked}")),
        names => so(false, format!("{names} does: stop it first")),
    };
    found.must("other-primary", &what, judged);
    if role_before(case, StepRole::Fence) {
        found.later();
    }
}

/// What was measured to be lost: where the promoted cluster left the timeline of the old primary, against the newest
/// position that was seen of that one. And both in words.
fn lost(view: &View, before: Option<&Before>) -> (Option<Loss>, Vec<SafeText>) {
    let node = view.leader().and_then(|l| view.node(l));
    let now = node.and_then(|n| n.timeline);
    let was = before.and_then(|b| b.timeline);
    let history = view.told.history.as_ref().ok();
    let left = history.and_then(|h| h.iter().find(|s| Some(s.timeline) == was)).map(|s| s.lsn);
    let mut facts = Vec::new();
    if let Some((was, now)) = was.zip(now) {
        let at = left.map_or_else(String::new, |lsn| format!(" at {lsn}"));
        facts.push(SafeText::new(&format!("timeline {was} -> {now}{at}")));
    }
    let Some(held) = left.or(before.and_then(|b| b.position)) else { return (None, facts) };
    facts.push(SafeText::new(&format!("it held {held} when it was promoted")));
    let seen = before.and_then(|b| b.elsewhere);
    let missing = seen.map(|seen| Bytes(seen.0.saturating_sub(held.0)));
    (Some(Loss { seen, held, missing, end: false }), facts)
}
