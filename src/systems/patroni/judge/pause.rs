//! `patroni-pause` and `patroni-resume`: maintenance mode, in which nobody takes over by itself.

use serde_json::{Value, json};

use crate::plan::SiteId;
use crate::runbook::{Held, Observation, Yield};

use super::super::options::Patroni;
use super::leading::{challenge, role};
use super::{Before, Case, Found, Kind, Planned, Request, curl, so, unread};

/// The kind that ends maintenance mode.
pub(super) const RESUME: &str = "patroni-resume";

/// The kind.
#[derive(Clone, Copy, Debug)]
pub struct Pause {
    /// Whether it begins maintenance mode; else it ends it.
    pub begins: bool,
}

impl Pause {
    fn body(self) -> Value {
        if self.begins { json!({ "pause": true }) } else { json!({ "pause": null }) }
    }

    const fn word(self) -> &'static str {
        if self.begins { "in maintenance mode" } else { "not in maintenance mode" }
    }
}

impl Kind for Pause {
    fn plan(&self, case: Case<'_>) -> Planned {
        let view = case.view;
        let cluster = match &view.told.cluster {
            Ok(cluster) => cluster,
            Err(gap) => return unread(case, gap),
        };
        let mut found = Found::new(case.now);
        found.must("readable", &format!("{} says how it stands", view.called()), so(true, role(view)));
        let to = view.addressee();
        Planned {
            request: to.map(|to| Request { to, method: "PATCH", path: "config", body: self.body() }),
            role: role(view),
            identity: view.identity(),
            challenge: challenge(view, None),
            conditions: found.conditions,
            already: Held::of(cluster.overview.paused == self.begins),
            left: Yield::default(),
            before: view.before(to, None),
        }
    }

    fn seen(&self, case: Case<'_>, _: Option<&Before>) -> Observation {
        let view = case.view;
        let observation = |held, why: &str| Observation::new(held, why, case.now);
        let cluster = match &view.told.cluster {
            Ok(cluster) => cluster,
            Err(gap) => return observation(Held::Unknown, &gap.to_string()),
        };
        if cluster.overview.paused != self.begins {
            let now = Self { begins: !self.begins }.word();
            return observation(Held::Fails, &format!("{} is {now}", view.called()));
        }
        // A member acts by what it has taken in, a round later.
        let lacks = |(at, said): (usize, &Option<bool>)| {
            (*said == Some(!self.begins)).then(|| view.told.nodes.get(at)).flatten()
        };
        let behind = view.names(view.paused.iter().enumerate().filter_map(lacks));
        if !behind.is_empty() {
            let waits = Some(format!("{behind} to take it in").into());
            return Observation { waits, ..observation(Held::Fails, &format!("{behind} has not taken it in")) };
        }
        let silent = view.names(view.silent());
        let but = if silent.is_empty() { String::new() } else { format!("; {silent} does not answer") };
        observation(
            Held::Holds,
            &format!("{} is {}, as every member that answers says{but}", view.called(), self.word()),
        )
    }

    fn commands(&self, probe: &Patroni, site: &SiteId, user: Option<&str>) -> Vec<String> {
        let first = probe.members(site).first();
        let mut lines: Vec<String> =
            first.map(|m| curl(probe, m, user, "PATCH", "config", Some(&self.body()))).into_iter().collect();
        let verb = if self.begins { "pause" } else { "resume" };
        lines.push(format!("# or, on a member: patronictl {verb} --wait"));
        lines
    }
}
