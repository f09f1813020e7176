//! `patroni-switchover`: another member of a cluster that is well becomes its leader.

use serde_json::{Map, Value, json};

use crate::plan::SiteId;
use crate::runbook::{Fence, Held, Observation, StepRole, Strength, Yield};

use super::super::options::{Patroni, SwitchoverOptions};
use super::leading::{can_switch, candidates, challenge, moved, role, works};
use super::{Before, Case, Found, Kind, Planned, Request, curl, look_first, so, unread};

/// The kind.
#[derive(Clone, Debug)]
pub struct Switchover {
    /// Its options.
    pub options: SwitchoverOptions,
}

impl Kind for Switchover {
    fn plan(&self, case: Case<'_>) -> Planned {
        let view = case.view;
        let cluster = match &view.told.cluster {
            Ok(cluster) => cluster,
            Err(gap) => return unread(case, gap),
        };
        let candidate = self.options.candidate.as_deref();
        let leader = cluster.leader();
        let already = leader.is_some_and(|l| candidate == Some(l.name.as_str()) && works(view, l).0 == Held::Holds);
        let mut found = Found::new(case.now);
        let what = format!("{} has a leader that answers and works", view.called());
        found.must(
            "leader",
            &what,
            leader.map_or_else(|| so(false, "nobody leads: only a failover can help"), |l| works(view, l)),
        );
        found.must("not-paused", &format!("{} can switch over", view.called()), can_switch(view, candidate));
        let what = candidate.map_or_else(|| "a member can take over".to_owned(), |c| format!("{c} can take over"));
        let able = if already { so(true, "it leads already") } else { candidates(view, candidate) };
        found.must("candidate", &what, able);
        let scheduled = cluster.overview.scheduled_at.as_ref();
        let why = scheduled.map_or_else(|| "none is".to_owned(), |at| format!("one is scheduled for {at}"));
        found.advise("not-scheduled", "no other switchover is scheduled", so(scheduled.is_none(), why));
        let to = view.addressee();
        let request = leader.zip(to).map(|(leader, to)| {
            let mut body = Map::from_iter([("leader".to_owned(), json!(leader.name))]);
            body.extend(candidate.map(|c| ("candidate".to_owned(), json!(c))));
            Request { to, method: "POST", path: "switchover", body: Value::Object(body) }
        });
        Planned {
            request,
            role: role(view),
            identity: leader.map_or_else(|| view.identity(), |l| view.identity_with(l)),
            challenge: challenge(view, candidate),
            conditions: found.conditions,
            already: Held::of(already),
            left: Yield::default(),
            before: view.before(to, None),
        }
    }

    fn seen(&self, case: Case<'_>, before: Option<&Before>) -> Observation {
        let (view, candidate) = (case.view, self.options.candidate.as_deref());
        let from = before.and_then(|b| b.leader.as_ref());
        if candidate.is_none() && from.is_none() {
            return Observation::new(Held::Unknown, "who led before is not known any more", case.now);
        }
        let mut seen = moved(case, candidate, from);
        if seen.held != Held::Holds {
            return seen;
        }
        // Who led must be seen to have stopped; where that is not known, nobody may be silent.
        let led = before.and_then(|b| b.leader_at.as_ref());
        let names = view.names(view.silent().filter(|n| led.is_none_or(|at| *at == n.member)));
        if !names.is_empty() {
            let why = format!("{}; {names} does not answer: nobody knows whether it still takes writes", seen.why);
            return Observation::new(Held::Unknown, &why, case.now);
        }
        if self.options.role == Some(StepRole::Promote) {
            seen.left.fence = Some(Fence { strength: Strength::Proven, why: seen.why.clone() });
        }
        seen
    }

    fn commands(&self, probe: &Patroni, site: &SiteId, user: Option<&str>) -> Vec<String> {
        let mut lines = vec!["# Who leads? Put its name for LEADER below, and send it to its address.".to_owned()];
        lines.extend(look_first(probe, site));
        let mut body = Map::from_iter([("leader".to_owned(), json!("LEADER"))]);
        body.extend(self.options.candidate.as_ref().map(|c| ("candidate".to_owned(), json!(c))));
        let body = Value::Object(body);
        lines.extend(probe.members(site).first().map(|m| curl(probe, m, user, "POST", "switchover", Some(&body))));
        let candidate = self.options.candidate.as_ref().map_or_else(String::new, |c| format!(" --candidate {c}"));
        lines.push(format!("# or, on a member: patronictl switchover{candidate}"));
        lines
    }
}
