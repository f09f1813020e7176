//! What a runbook must not be: refused when it is read, with its place, not at three in the morning.

use crate::plan::{SafeText, SiteId};

use super::{Danger, On, Runbook, RunbookKind, StepIx, StepPlan, StepRole};

/// What of a plan a runbook is held against.
#[derive(Clone, Debug)]
pub struct OfPlan<'a> {
    /// What its probes look at: `db.west.example.com:5432`.
    pub addresses: Vec<SafeText>,
    /// The sites whose databases Patroni manages.
    pub by_patroni: Vec<SiteId>,
    /// Its sites.
    pub sites: &'a [SiteId],
    /// Its home.
    pub home: &'a SiteId,
}

/// What is wrong with one step of a runbook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The step.
    pub step: StepIx,
    /// Its key; `None` for the step as a whole.
    pub key: Option<&'static str>,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub right: String,
}

fn refused(step: StepIx, key: Option<&'static str>, what: impl Into<String>, right: impl Into<String>) -> Refused {
    Refused { step, key, what: what.into(), right: right.into() }
}

/// Everything that is wrong with a runbook. `touches` are the addresses that each step changes. What a step says why for
/// (`because`) is its author's word against ours, and is let through.
#[must_use]
pub fn validate(runbook: &Runbook, touches: &[Vec<SafeText>], plan: &OfPlan<'_>) -> Vec<Refused> {
    let mut out = names(runbook);
    out.extend(groups(runbook));
    if runbook.kind.is_real() {
        out.extend(order(runbook));
        out.extend(end(runbook));
    } else {
        out.extend(drill(runbook, touches, plan));
    }
    out.extend(beside_patroni(runbook, plan));
    out
}

fn of_role(runbook: &Runbook, is: impl Fn(StepRole) -> bool) -> impl DoubleEndedIterator<Item = (StepIx, &StepPlan)> {
    let all = runbook.steps.iter().enumerate().map(|(at, s)| (StepIx::at(at), s));
    all.filter(move |(_, s)| is(s.role))
}

fn names(runbook: &Runbook) -> Vec<Refused> {
    let mut out = Vec::new();
    for (at, step) in runbook.steps.iter().enumerate() {
        let before = runbook.steps.iter().take(at).position(|s| s.name == step.name);
        if let Some(before) = before {
            let what = format!("step {} has that name already", StepIx::at(before));
            out.push(refused(StepIx::at(at), Some("step"), what, "give each step its own name"));
        }
    }
    out
}

/// What runs side by side has no order; what must come first cannot be in one group with what must come after.
fn groups(runbook: &Runbook) -> Vec<Refused> {
    let mut out = Vec::new();
    for (ix, step) in of_role(runbook, |_| true) {
        let Some(group) = &step.group else { continue };
        let together = runbook.beside(ix);
        let apart = runbook
            .places()
            .filter(|at| !together.contains(at))
            .any(|at| at < *together.start() && runbook.step(at).is_some_and(|s| s.group.as_ref() == Some(group)));
        if apart && ix == *together.start() {
            let what = format!("group {group:?} is used by steps that are apart");
            out.push(refused(
                ix,
                Some("group"),
                what,
                "steps side by side stand in a row; give this one another group",
            ));
        }
        if step.role == StepRole::Promote && together.start() != together.end() {
            let what = "a promotion cannot run side by side with other steps";
            out.push(refused(ix, Some("group"), what, "take it out of the group"));
        }
    }
    out
}

/// Fence, then promote, then traffic.
fn order(runbook: &Runbook) -> Vec<Refused> {
    let mut out = Vec::new();
    for (ix, step) in of_role(runbook, |r| r == StepRole::Promote) {
        let fenced = of_role(runbook, |r| r == StepRole::Fence).any(|(at, _)| at < ix);
        if !fenced && step.because.is_none() {
            let what = "promotes before anything is fenced: two sites could take writes";
            let right = "put a fence before it, or say why not: because = \"...\"";
            out.push(refused(ix, None, what, right));
        }
    }
    for (ix, step) in of_role(runbook, |r| r == StepRole::Traffic) {
        let later = of_role(runbook, |r| matches!(r, StepRole::Promote | StepRole::Restore)).any(|(at, _)| at > ix);
        if later && step.because.is_none() {
            let what = "moves traffic before the site takes writes";
            out.push(refused(ix, None, what, "put it after the promotion, or say why not: because = \"...\""));
        }
    }
    for (ix, step) in of_role(runbook, |r| r == StepRole::Fence) {
        if step.on.as_ref() == Some(&On::NewActive) && step.because.is_none() {
            out.push(refused(ix, Some("on"), "fences the site that takes over", "on = \"old-active\""));
        }
    }
    for (ix, step) in of_role(runbook, |r| r == StepRole::Promote) {
        if step.on.as_ref() == Some(&On::OldActive) && step.because.is_none() {
            out.push(refused(ix, Some("on"), "promotes the site that is being left", "on = \"new-active\""));
        }
    }
    out
}

/// A failover that nobody looked at is not known to have worked.
fn end(runbook: &Runbook) -> Vec<Refused> {
    let moves = |r| matches!(r, StepRole::Promote | StepRole::Restore | StepRole::Traffic | StepRole::Rejoin);
    let Some((last, step)) = of_role(runbook, moves).next_back() else { return Vec::new() };
    let verified = of_role(runbook, |r| r == StepRole::Verify).any(|(at, _)| at > last);
    if verified || step.because.is_some() {
        return Vec::new();
    }
    let right = "end with a step that looks, such as sql-check, http, clients-moved or wait-for";
    vec![refused(last, None, "nothing verifies the service after this step", right)]
}

/// A rehearsal touches nothing that users use.
fn drill(runbook: &Runbook, touches: &[Vec<SafeText>], plan: &OfPlan<'_>) -> Vec<Refused> {
    let mut out = Vec::new();
    for (ix, step) in of_role(runbook, |_| true) {
        if step.danger == Danger::None || step.because.is_some() {
            continue;
        }
        let own = touches.get(ix.place()).into_iter().flatten().find(|t| plan.addresses.contains(t));
        if let Some(own) = own {
            let what = format!("a drill must not change {own}: the plan itself uses it");
            out.push(refused(ix, None, what, "point it at a copy, or say why it is safe: because = \"...\""));
        }
    }
    out
}

/// What Patroni manages is moved by Patroni, or it undoes what was done.
fn beside_patroni(runbook: &Runbook, plan: &OfPlan<'_>) -> Vec<Refused> {
    let mut out = Vec::new();
    let (from, to) = ends(runbook.kind, plan);
    for (ix, step) in of_role(runbook, |_| true) {
        let bare = ["postgres-fence", "postgres-unfence", "postgres-promote", "postgres-rejoin"];
        if !bare.contains(&step.kind.as_str()) || step.because.is_some() {
            continue;
        }
        // Which site is old and which is new is known when a run is opened; either may be Patroni's.
        let sites: Vec<&SiteId> = match step.on.as_ref().unwrap_or(&On::NewActive) {
            On::Site(site) => vec![site],
            On::OldActive => from.clone(),
            On::NewActive => to.clone(),
        };
        if let Some(site) = sites.into_iter().find(|s| plan.by_patroni.contains(s)) {
            let what = format!("{} acts on a database of {site} that Patroni manages", step.kind);
            let right = "use patroni-promote-cluster, patroni-demote-cluster or patroni-switchover";
            out.push(refused(ix, Some("kind"), what, right));
        }
    }
    out
}

/// The sites that a run of this kind may leave, and those that it may go to.
fn ends<'a>(kind: RunbookKind, plan: &OfPlan<'a>) -> (Vec<&'a SiteId>, Vec<&'a SiteId>) {
    let away: Vec<&SiteId> = plan.sites.iter().filter(|s| *s != plan.home).collect();
    match kind {
        RunbookKind::Failback => (away, vec![plan.home]),
        RunbookKind::Failover | RunbookKind::Switchover | RunbookKind::Drill => (vec![plan.home], away),
    }
}
