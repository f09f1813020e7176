//! Before a run is opened: what would start, and what is asked of whoever starts it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::app::update::App;
use crate::plan::{Area, Now, PlanId, ProbeId, SafeText, SiteId, Span};
use crate::readiness::{Facts, Finding, Gate, PlanStatus, Restorable, Situation, Verdict};
use crate::runbook::{Cause, Expected, Moment, RunId, RunbookKind, ends, expected};

/// What is asked before a run is opened, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// Is it an outage, or is the data wrong?
    Cause,
    /// The data is wrong, and a failover would carry that along: go on all the same?
    BadData,
    /// Why, and which plan: by typing.
    Words,
}

/// A prompt that opens a run. Its target is what was on the screen when the key was pressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The plan.
    pub plan: PlanId,
    /// What would be started.
    pub kind: RunbookKind,
    /// The site that is active, or was.
    pub from: SiteId,
    /// The site that would take over.
    pub to: SiteId,
    /// What is asked now.
    pub asking: Asking,
    /// Why it is started.
    pub cause: Cause,
    /// The run that would have to give way.
    pub preempts: Option<RunId>,
    /// Whether it was asked for, and the journal has not answered yet.
    pub sent: bool,
}

/// What would start, by what is known now.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// The site that is active, or was.
    pub from: SiteId,
    /// The site that would take over.
    pub to: SiteId,
    /// Whether it could be started.
    pub gate: Gate,
    /// What is expected of it.
    pub expected: Expected,
    /// What goes into the time, and what nobody has measured.
    pub unmeasured: usize,
    /// Since when users have been without service.
    pub t0: Moment,
    /// When that was first seen.
    pub detected: Option<DateTime<Utc>>,
    /// The run that this one follows, where it is a way back.
    pub after: Option<RunId>,
}

/// A run that a person wants to be opened. Runbook, configuration and names are the shell's to add.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenRun {
    /// The plan.
    pub plan: PlanId,
    /// What it is for.
    pub kind: RunbookKind,
    /// Why it is started.
    pub cause: Cause,
    /// In the operator's words.
    pub reason: SafeText,
    /// What it would be.
    pub proposal: Proposal,
    /// The run that shall give way, and why, as typed.
    pub preempt: Option<(RunId, SafeText)>,
}

/// Why a run of this kind cannot be had on a plan; `None` where it can.
pub(in crate::app) fn why_not(app: &App, plan: Option<&PlanId>, kind: RunbookKind) -> Option<String> {
    if app.runbooks.values().all(|r| r.get(kind).is_none()) {
        return Some("no runbook configured".to_owned());
    }
    let plan = plan?;
    let configured = app.runbooks.get(plan).is_some_and(|r| r.get(kind).is_some_and(|r| !r.steps.is_empty()));
    (!configured).then(|| format!("{plan} has no [[plan.{kind}]]"))
}

/// What would start on this plan now.
///
/// # Errors
/// Why nothing can: nobody can say from where or to where.
pub fn propose(app: &App, plan: &PlanId, kind: RunbookKind, now: Now) -> Result<Proposal, String> {
    let status = app.model.status(plan).ok_or_else(|| format!("{plan} is no longer configured"))?;
    let (from, to) = ends(status, kind)?;
    let gate = match kind {
        RunbookKind::Failover => status.gates.failover.clone(),
        RunbookKind::Switchover | RunbookKind::Failback => status.gates.switchover.clone(),
        RunbookKind::Drill => Gate::Go,
    };
    let expected = expected(status, &to, now);
    let (t0, detected) = beginning(app, status, kind, now);
    let after = match kind {
        RunbookKind::Failback => app.runs.last_of(plan).map(|k| k.state.run.clone()),
        RunbookKind::Failover | RunbookKind::Switchover | RunbookKind::Drill => None,
    };
    Ok(Proposal { from, to, gate, expected, unmeasured: status.estimate.unmeasured.len(), t0, detected, after })
}

/// Since when users have been without service, and when that was first seen.
fn beginning(app: &App, status: &PlanStatus, kind: RunbookKind, now: Now) -> (Moment, Option<DateTime<Utc>>) {
    let runs = match &status.situation {
        Situation::Normal | Situation::AwayFromHome { .. } => true,
        Situation::Starting
        | Situation::PrimaryUnseen { .. }
        | Situation::PrimaryUnreachable { .. }
        | Situation::PrimaryDown { .. }
        | Situation::SplitBrain { .. }
        | Situation::Disagree { .. }
        | Situation::NoPrimary => false,
    };
    if kind != RunbookKind::Failover || runs {
        let why = if kind == RunbookKind::Failover { "until then it was seen to run" } else { "it was started then" };
        return (Moment { at: now.wall, why: why.into() }, None);
    }
    let since = match &status.situation {
        Situation::PrimaryUnreachable { site, since } | Situation::PrimaryDown { site, since } => {
            since.map(|at| (at, format!("the last good look at {site}")))
        }
        Situation::Starting
        | Situation::Normal
        | Situation::PrimaryUnseen { .. }
        | Situation::SplitBrain { .. }
        | Situation::Disagree { .. }
        | Situation::NoPrimary
        | Situation::AwayFromHome { .. } => None,
    };
    let last = || status.last_active.as_ref().map(|(site, at)| (*at, format!("{site} was last seen to take writes")));
    let t0 = match since.or_else(last) {
        Some((at, why)) => Moment { at: at.wall, why: SafeText::new(&why) },
        None => Moment { at: now.wall, why: "nothing was seen before".into() },
    };
    let mine = app.model.changes().rev().filter(|c| c.plan == status.plan.id);
    let trouble = mine.take_while(|c| c.situation.leads()).last();
    // What was so from the first look on is no change: it is seen now, at the latest.
    (t0, Some(trouble.map_or(now.wall, |c| c.at.wall)))
}

/// To what backups could bring the data back: for each place that keeps some up to which moment, with when it was looked at;
/// and what is wrong with them. Where a probe of backups does not tell moments, all that it found.
#[must_use]
pub fn backups(app: &App, plan: &PlanId, now: Now) -> Vec<(String, Option<Now>)> {
    let Some(status) = app.model.status(plan) else { return Vec::new() };
    let mut out: Vec<(String, Option<Now>)> = Vec::new();
    let mut dated: Vec<ProbeId> = Vec::new();
    if let Some(readings) = app.model.readings(plan) {
        let (clocks, boot) = (HashMap::new(), app.model.boot());
        let facts = Facts {
            plan: &status.plan,
            readings,
            clocks: &clocks,
            last_active: None,
            boot,
            watching: true,
            rehearsed: &[],
        };
        for (probe, _, place, kept) in facts.restorable(now) {
            dated.push(probe.id.clone());
            out.push((format!("{}: {}", probe.id.name, reach(&place, now)), Some(kept.asked)));
        }
    }
    let told = |f: &&Finding| f.verdict != Verdict::Ready || f.probe.as_ref().is_none_or(|p| !dated.contains(p));
    let findings = status.findings.iter().filter(|f| f.area == Area::Backup).filter(told);
    out.extend(findings.map(|f| {
        let probe = f.probe.as_ref().map(|p| format!("{}: ", p.name)).unwrap_or_default();
        (format!("{probe}{} ({})", f.sentence, f.verdict), f.oldest())
    }));
    out
}

/// Up to which moment one place brings the data back.
fn reach(place: &Restorable, now: Now) -> String {
    let Some(at) = place.at else { return format!("nothing can be restored from {}", place.place) };
    let ago = now.wall.signed_duration_since(at).to_std();
    let ago = ago.map(|ago| format!(", {} ago", Span(ago).coarse())).unwrap_or_default();
    let moment = at.format("%Y-%m-%d %H:%M:%SZ");
    // With the log between backups it is any moment since the backup; a dump is one moment.
    match (&place.log, place.more) {
        (Some(_), _) | (None, true) => format!("{} brings it back to a moment up to {moment}{ago}", place.place),
        (None, false) => format!("{} brings it back as it was at {moment}{ago}", place.place),
    }
}
