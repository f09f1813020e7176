//! What Patroni's steps would do, what must hold for them, and whether their effect is there: judged from what the members
//! say. One file a kind. PURE.

mod demote;
mod failover;
mod leading;
mod pause;
mod promote;
mod switchover;
#[cfg(test)]
mod tests;
mod view;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::plan::{Lsn, Now, ProbeDecl, SafeText, SiteId};
use crate::readiness::Gap;
use crate::runbook::{Class, Condition, Held, Identity, Observation, RunState, StepIx, Yield};

use super::options::{Member, Patroni};
pub use demote::Demote;
pub use failover::Failover;
pub use pause::Pause;
pub use promote::Promote;
pub use switchover::Switchover;
pub use view::{LEADER, View};

/// What a step is judged in.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The site's cluster, as it was just asked.
    pub view: &'a View,
    /// The cluster of the run's other site, where the probe looks at it and the step asks.
    pub other: Option<&'a View>,
    /// The run.
    pub state: &'a RunState,
    /// The step.
    pub ix: StepIx,
    /// The moment.
    pub now: Now,
}

/// One request that changes something.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Which of the site's configured members it is sent to, by its place.
    pub to: usize,
    /// `POST` or `PATCH`.
    pub method: &'static str,
    /// The path, without the slash.
    pub path: &'static str,
    /// The body.
    pub body: Value,
}

impl Request {
    /// As it is shown: `PATCH http://10.1.1.1:8008/config {"standby_cluster":null}`.
    #[must_use]
    pub fn shown(&self, members: &[Member]) -> String {
        let url = members.get(self.to).map_or_else(String::new, |m| m.url.to_string());
        format!("{} {url}{} {}", self.method, self.path, self.body)
    }
}

/// What was so before the step acted: what its effect is told by, and its loss measured against. Kept in the journal, as
/// what the call left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// The member that led.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<SafeText>,
    /// Its address, as the probe has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader_at: Option<SafeText>,
    /// The address that the request went to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<SafeText>,
    /// The timeline of the site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<i64>,
    /// The position of its leader: written, or received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Lsn>,
    /// The position of the other site's primary, where it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<Lsn>,
}

impl Before {
    /// What a call left behind of it.
    #[must_use]
    pub fn of(left: &Yield) -> Option<Self> {
        let kept = left.kept.get("before")?;
        serde_json::from_value(kept.clone()).ok()
    }

    /// As what a call leaves behind.
    #[must_use]
    pub fn left(&self) -> Yield {
        Yield { kept: json!({ "before": self }), ..Yield::default() }
    }
}

/// What a step would do.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The request; none where nobody could be asked.
    pub request: Option<Request>,
    /// What the target is, in words.
    pub role: String,
    /// What it is known by.
    pub identity: Identity,
    /// What names it.
    pub challenge: String,
    /// What must hold.
    pub conditions: Vec<Condition>,
    /// Whether the effect is there already.
    pub already: Held,
    /// What that leaves behind, where it is.
    pub left: Yield,
    /// What is so now.
    pub before: Before,
}

/// One kind of step.
pub trait Kind: std::fmt::Debug + Send + Sync {
    /// Whether the other site is asked too.
    fn compares(&self) -> bool {
        false
    }

    /// What it would do, by what is seen.
    fn plan(&self, case: Case<'_>) -> Planned;

    /// Whether its effect is there, by what is seen now. `before` is missing where another process acted and did not come
    /// to say it.
    fn seen(&self, case: Case<'_>, before: Option<&Before>) -> Observation;

    /// It as commands, by the configuration alone.
    fn commands(&self, probe: &Patroni, site: &SiteId, user: Option<&str>) -> Vec<String>;
}

/// The conditions of one step, as they are found.
struct Found {
    at: Now,
    conditions: Vec<Condition>,
}

impl Found {
    const fn new(at: Now) -> Self {
        Self { at, conditions: Vec::new() }
    }

    fn push(&mut self, id: &'static str, class: Class, what: &str, held: Held, why: &str) {
        self.conditions.push(Condition::new(id, class, what, held, &why, self.at));
    }

    /// What is never waived.
    fn must(&mut self, id: &'static str, what: &str, (held, why): (Held, String)) {
        self.push(id, Class::Identity, what, held, &why);
    }

    /// What is accepted by these words.
    fn risk(&mut self, id: &'static str, what: &str, (held, why): (Held, String), words: &str) {
        self.conditions.push(Condition::new(id, Class::Risk, what, held, &why, self.at).accepted_by(words));
    }

    fn advise(&mut self, id: &'static str, what: &str, (held, why): (Held, String)) {
        self.push(id, Class::Advice, what, held, &why);
    }

    /// The newest one need not hold yet.
    fn later(&mut self) {
        if let Some(last) = self.conditions.pop() {
            self.conditions.push(last.later());
        }
    }
}

/// Says that something is so, or is not.
fn so(holds: bool, why: impl Into<String>) -> (Held, String) {
    (Held::of(holds), why.into())
}

/// Says that nobody knows.
fn unknown(why: &dyn std::fmt::Display) -> (Held, String) {
    (Held::Unknown, why.to_string())
}

/// The plan of a step whose cluster could not be read.
fn unread(case: Case<'_>, gap: &Gap) -> Planned {
    let site = &case.view.site;
    let mut found = Found::new(case.now);
    found.must("readable", &format!("a member in {site} says how its cluster stands"), unknown(gap));
    Planned {
        request: None,
        role: format!("not read: {gap}"),
        identity: Identity::default(),
        challenge: case.view.scope().map_or_else(|| site.to_string(), |s| s.to_string()),
        conditions: found.conditions,
        already: Held::Unknown,
        left: Yield::default(),
        before: Before::default(),
    }
}

/// Whether a step of this kind, about the same site and probe and not over yet, comes before this one.
fn comes_before(case: Case<'_>, kind: &str) -> bool {
    let opened = &case.state.opened;
    let Some(mine) = opened.runbook.step(case.ix) else { return false };
    let site = |s: &crate::runbook::StepPlan| s.on.as_ref().map(|on| on.site(&opened.from, &opened.to).clone());
    let earlier = opened.runbook.places().take_while(|at| *at < case.ix);
    earlier.filter_map(|at| crate::runbook::step_in(case.state, at)).any(|(step, status)| {
        let place = site(step).unwrap_or_else(|| opened.to.clone());
        step.kind == kind && step.probe == mine.probe && place == case.view.site && !status.state.is_over()
    })
}

/// Whether a step with this role, not over yet, comes before this one.
fn role_before(case: Case<'_>, role: crate::runbook::StepRole) -> bool {
    let earlier = case.state.opened.runbook.places().take_while(|at| *at < case.ix);
    let mut of_role = earlier.filter_map(|at| crate::runbook::step_in(case.state, at));
    of_role.any(|(step, status)| step.role == role && !status.state.is_over())
}

/// Maintenance mode: Patroni accepts the request and then does nothing of it.
fn not_paused(case: Case<'_>, found: &mut Found, what_then: &str) {
    let Ok(cluster) = &case.view.told.cluster else { return };
    let paused = cluster.overview.paused;
    let why = if paused { format!("it is in maintenance mode: {what_then}") } else { "it is not".to_owned() };
    let what = format!("{} is not in maintenance mode", case.view.called());
    found.must("not-paused", &what, so(!paused, why));
    if paused && comes_before(case, pause::RESUME) {
        found.later();
    }
}

/// Whether the two sites are one database, and neither left the other's history. Where the other site does not answer,
/// what was seen when the step was approved still stands: neither of the two facts can come to be otherwise for the same
/// cluster. Where nothing was ever compared, a person has to know.
///
/// A cluster that was promoted before has left the history of the other site: then only the database counts.
fn same_database(case: Case<'_>, found: &mut Found, promoted: bool) {
    const ID: &str = "same-database";
    let (view, site) = (case.view, &case.view.site);
    let Some(other) = case.other else {
        let what = format!("{site} is a copy of the other site");
        found.advise(ID, &what, unknown(&"the probe does not look at the other site: not compared"));
        return;
    };
    let what = format!("{site} and {} are one database, on one history", other.site);
    match view.compared(other) {
        Ok((_, why)) if promoted && view.system() == other.system() => found.must(ID, &what, so(true, why)),
        Ok(compared) => found.must(ID, &what, compared),
        Err(gap) if stood(case, ID) => {
            let why = format!("they were when it was approved; now: {gap}");
            found.must(ID, &what, so(true, why));
        }
        Err(gap) => found.advise(ID, &what, unknown(&format!("not compared: {gap}"))),
    }
}

/// Whether a condition was seen to hold when the step was shown and approved, for a cluster with the same system identifier.
fn stood(case: Case<'_>, id: &str) -> bool {
    let Some(given) = &case.state.approval else { return false };
    let Some(bound) = given.approval.bounds.iter().find(|b| b.step == case.ix) else { return false };
    let held =
        bound.conditions.iter().any(|(c, class, held)| c == id && *class == Class::Identity && *held == Held::Holds);
    let then = bound.identity.0.get(&SafeText::new(view::SYSTEM));
    held && then.is_some() && then == case.view.identity().0.get(&SafeText::new(view::SYSTEM))
}

/// A step's own options, by the step's name in a probe's site: the members there.
#[must_use]
pub fn members<'a>(probe: &'a ProbeDecl, site: &SiteId) -> &'a [Member] {
    probe.options::<Patroni>().map_or(&[], |p| p.members(site))
}

/// One request as a command of curl; it asks for the password.
fn curl(
    probe: &Patroni,
    member: &Member,
    user: Option<&str>,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> String {
    use crate::plan::quoted;
    let mut words = vec!["curl".to_owned(), "--silent".to_owned(), "--show-error".to_owned()];
    let mut push = |more: &[&str]| words.extend(more.iter().map(|w| quoted(w)));
    if probe.insecure {
        push(&["--insecure"]);
    }
    if let Some(roots) = &probe.roots {
        push(&["--cacert", roots]);
    }
    if let Some((certificate, key)) = &probe.client {
        push(&["--cert", certificate, "--key", key]);
    }
    if let Some(user) = user {
        push(&["--user", user]);
    }
    if let Some(body) = body {
        push(&["--request", method, "--header", "Content-Type: application/json", "--data", &body.to_string()]);
    }
    push(&[&format!("{}{path}", member.url)]);
    words.join(" ")
}

/// What to look at first, where only a running cluster says who leads.
fn look_first(probe: &Patroni, site: &SiteId) -> Vec<String> {
    let first = probe.members(site).first();
    first.map(|m| curl(probe, m, None, "GET", "cluster", None)).into_iter().collect()
}
