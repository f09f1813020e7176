//! After a failover: what a failback needs, observed now.

use crate::app::update::App;
use crate::plan::{Area, SafeText};
use crate::readiness::{ActiveSite, Gate, Verdict};
use crate::runbook::{Closing, Held, RunbookKind, StepIx, StepState};

use super::runs::Known;

/// One thing that the way back needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needed {
    /// Whether it is there.
    pub held: Held,
    /// What it is.
    pub what: String,
    /// What was seen, or what to do.
    pub why: String,
}

/// What the way back of a run that moved a service needs; nothing where it moved none, or where the service is at home.
#[must_use]
pub fn way_back(app: &App, known: &Known) -> Vec<Needed> {
    let state = &known.state;
    let opened = &state.opened;
    let done = |ix: StepIx| state.steps.get(ix.place()).is_some_and(|s| matches!(s.state, StepState::Done(_)));
    let moves = |ix: &StepIx| opened.runbook.step(*ix).is_some_and(|s| s.role.moves());
    let moved = opened.kind.is_real()
        && matches!(&state.closed, Some((Closing::Completed, _)))
        && opened.runbook.places().filter(moves).any(done);
    let Some(status) = app.model.status(&opened.plan).filter(|s| moved && s.plan.home != opened.to) else {
        return Vec::new();
    };
    let (home, to) = (&status.plan.home, &opened.to);
    let mut out = Vec::new();
    let mut needs = |held, what: String, why: String| out.push(Needed { held, what, why });
    let noted = state.acknowledged.as_ref();
    needs(
        Held::of(noted.is_some()),
        "a person took note of how it ended".to_owned(),
        noted.map_or_else(|| "K takes note".to_owned(), |(who, words)| format!("{}: {words}", who.user)),
    );
    let writes = match &status.active.database {
        ActiveSite::At(site) => Held::of(site == to),
        ActiveSite::Several(_) | ActiveSite::Nowhere => Held::Fails,
        ActiveSite::LastSeen(_) | ActiveSite::Unknown | ActiveSite::NotProbed => Held::Unknown,
    };
    needs(writes, format!("{to} alone takes writes"), status.situation.words().to_owned());
    // The old site must be a standby of the new one, and keep up.
    let back = status.exposures.iter().filter(|e| e.to == *home);
    let bound = back.filter_map(|e| e.bound.span()).max();
    let findings = status.findings.iter().filter(|f| {
        f.area == Area::Replication && f.subject.site.as_ref() == Some(home) && f.verdict != Verdict::Ready
    });
    let wrong: Vec<&SafeText> = findings.map(|f| &f.sentence).collect();
    let streams = match (bound, wrong.first()) {
        (Some(_), None) => (Held::Holds, format!("it is at most {} behind", bound.unwrap_or_default().upper())),
        (_, Some(why)) => (Held::Fails, why.to_string()),
        (None, None) => (Held::Unknown, format!("nothing was seen of replication from {to} to {home}")),
    };
    needs(streams.0, format!("{home} is a standby of {to}, and streams"), streams.1);
    let gate = &status.gates.switchover;
    let held = match gate {
        Gate::Go => Held::Holds,
        Gate::Consent(_) | Gate::Unknown(_) => Held::Unknown,
        Gate::No(_) => Held::Fails,
    };
    needs(held, "nothing would be lost on the way".to_owned(), crate::app::board::gate(gate));
    let configured = app.runbooks.get(&opened.plan).is_some_and(|r| r.get(RunbookKind::Failback).is_some());
    let why = if configured { ":failback starts it" } else { "the plan has no [[plan.failback]]" };
    needs(Held::of(configured), "a runbook for it is configured".to_owned(), why.to_owned());
    out
}
