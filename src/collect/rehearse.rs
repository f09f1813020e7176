//! Looks a runbook through: previews of all its steps, side by side, as a run would make them, without a run.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::app::Model;
use crate::clock;
use crate::net::Net;
use crate::plan::{Lost, Plan, SafeText, SiteId};
use crate::readiness::{Gap, Gate, PlanStatus, Reason, Rehearsed};
use crate::runbook::{
    Body, Cause, Digest, Entry, Epoch, Expected, Moment, Opened, Operator, Preview, Rehearsal, RunId, RunState,
    Runbook, RunbookKind, Runbooks, SCHEMA, StepIx, ends, expected, fold, guard,
};
use crate::systems::{self, Executor, Scene, unreadable};

/// What is to be looked through.
#[derive(Clone, Debug)]
pub struct Rehearsing<'a> {
    /// The plan.
    pub plan: &'a Arc<Plan>,
    /// The steps.
    pub runbook: &'a Runbook,
    /// The site that is active, or was.
    pub from: &'a SiteId,
    /// The site that would take over.
    pub to: &'a SiteId,
    /// What is expected.
    pub expected: Expected,
    /// The newest judgement of the plan.
    pub status: Arc<PlanStatus>,
}

/// Looks a runbook through by `deadline`, and changes nothing. A step whose preview does not come is not among the steps.
///
/// # Errors
/// Where a step cannot be opened at all: a fault of this program, since the configuration was read.
pub async fn rehearse(what: Rehearsing<'_>, net: &Arc<Net>, deadline: Instant) -> Result<Rehearsal, String> {
    let at = clock::now();
    let state = unopened(&what, at).ok_or("a runbook without steps")?;
    let lost = net.lost().map(|l| l.site.clone());
    let scene = Scene {
        plan: Arc::clone(what.plan),
        state: Arc::new(state),
        status: Some(Arc::clone(&what.status)),
        net: Arc::clone(net),
        lock: None,
    };
    let mut looking = JoinSet::new();
    let mut commands = Vec::new();
    for ix in what.runbook.places() {
        let executor = open(&scene, ix)?;
        commands.push((ix, executor.commands(&scene)));
        looking.spawn(preview(executor, scene.clone(), ix, deadline));
    }
    let mut steps = Vec::new();
    while let Ok(Some(done)) = tokio::time::timeout_at(deadline, looking.join_next()).await {
        steps.extend(done.ok());
    }
    steps.sort_by_key(|(ix, _)| *ix);
    for (ix, preview) in &mut steps {
        if let Some(step) = what.runbook.step(*ix) {
            preview.conditions.extend(guard(*ix, step, &scene.state, Some(&what.status), at));
        }
    }
    Ok(Rehearsal {
        plan: what.plan.id.clone(),
        runbook: what.runbook.clone(),
        from: what.from.clone(),
        to: what.to.clone(),
        lost,
        expected: what.expected,
        steps,
        commands,
        at,
        practice: what.plan.practice.is_some(),
    })
}

/// Looks the runbooks of a plan through that are looked through all the time, side by side, by what was judged of it.
pub async fn rehearse_all(
    status: &Arc<PlanStatus>,
    runbooks: &Runbooks,
    net: &Arc<Net>,
    deadline: Instant,
) -> Vec<Rehearsed> {
    let known = status.plan.runbooks.iter().filter_map(|name| RunbookKind::from_word(name.as_str()));
    let each = known.filter_map(|kind| runbooks.get(kind)).map(|runbook| async move {
        let at = clock::now();
        let name = SafeText::new(runbook.kind.word());
        let lost = net.lost().map(|l| l.site.clone());
        let gate = match ends(status, runbook.kind) {
            Ok((from, to)) => {
                let expected = expected(status, &to, at);
                let (from, to, status) = (&from, &to, Arc::clone(status));
                let what = Rehearsing { plan: &status.plan, runbook, from, to, expected, status: Arc::clone(&status) };
                match rehearse(what, net, deadline).await {
                    Ok(rehearsal) => rehearsal.gate_but_loss(),
                    Err(why) => Gate::Unknown(vec![SafeText::new(&why)]),
                }
            }
            Err(why) => Gate::No(vec![SafeText::new(&why)]),
        };
        Rehearsed { runbook: name, lost, gate, at }
    });
    futures_util::future::join_all(each).await
}

/// Looks the failover of a plan through as if its active site were gone: nothing of that site is asked, neither by probes
/// nor by steps, servers and secrets included. `status` says which site that is. Nothing where there is no failover, or
/// nobody can say.
pub async fn rehearse_lost(
    mut model: Model,
    status: &PlanStatus,
    runbooks: &Runbooks,
    deadline: Instant,
) -> Option<Rehearsed> {
    let runbook = runbooks.get(RunbookKind::Failover)?;
    let (site, _) = ends(status, RunbookKind::Failover).ok()?;
    let net = Net::without(Some(Lost::of(&status.plan, &site)), std::slice::from_ref(&status.plan));
    let plans = [Arc::clone(&status.plan)];
    let left = deadline.saturating_duration_since(Instant::now());
    model.configure(plans.to_vec(), clock::now());
    super::sweep(&mut model, &mut super::Past::default(), &plans, &net, left.mul_f64(0.6), &mut |_, _| {}).await;
    let without = model.status(&status.plan.id)?;
    let only = Runbooks { plan: runbooks.plan.clone(), by_kind: [(RunbookKind::Failover, runbook.clone())].into() };
    rehearse_all(without, &only, &net, deadline).await.pop()
}

/// The commands of a runbook, for the day on which this program or the network is what is broken: asks nobody.
///
/// # Errors
/// As [`rehearse`].
pub fn commands(what: &Rehearsing<'_>, net: &Arc<Net>) -> Result<Vec<(StepIx, Vec<String>)>, String> {
    let state = unopened(what, clock::now()).ok_or("a runbook without steps")?;
    let (plan, net) = (Arc::clone(what.plan), Arc::clone(net));
    let scene = Scene { plan, state: Arc::new(state), status: Some(Arc::clone(&what.status)), net, lock: None };
    what.runbook.places().map(|ix| Ok((ix, open(&scene, ix)?.commands(&scene)))).collect()
}

fn open(scene: &Scene, ix: StepIx) -> Result<Box<dyn Executor>, String> {
    let step = scene.step(ix).ok_or("no such step")?;
    let kind = systems::step_kind(&step.kind).ok_or_else(|| format!("step {ix}: no kind {:?}", step.kind))?;
    (kind.open)(scene, ix).map_err(|fault| format!("step {ix}, {}: {}", step.name, fault.what))
}

async fn preview(mut executor: Box<dyn Executor>, scene: Scene, ix: StepIx, deadline: Instant) -> (StepIx, Preview) {
    let previewed = AssertUnwindSafe(executor.preview(&scene, deadline)).catch_unwind().await;
    let preview = previewed.unwrap_or_else(|_panic| {
        let name = scene.step(ix).map(|s| s.name.to_string()).unwrap_or_default();
        unreadable(
            &name,
            "the step can be looked at",
            Vec::new(),
            &name,
            &Gap::new(Reason::Bug, "the preview panicked"),
        )
    });
    (ix, preview)
}

/// The run as it would be when it is opened. It is in no journal, and nothing can be admitted by it.
fn unopened(what: &Rehearsing<'_>, at: crate::plan::Now) -> Option<RunState> {
    let kind = what.runbook.kind;
    let opened = Opened {
        plan: what.plan.id.clone(),
        kind,
        cause: match kind {
            RunbookKind::Failover => Cause::Outage,
            RunbookKind::Switchover | RunbookKind::Failback => Cause::Planned,
            RunbookKind::Drill => Cause::Rehearsal,
        },
        reason: "looked through, not run".into(),
        from: what.from.clone(),
        to: what.to.clone(),
        runbook: what.runbook.clone(),
        pinned: String::new(),
        config: Digest::NONE,
        version: SafeText::new(env!("CARGO_PKG_VERSION")),
        t0: Moment { at: at.wall, why: "now".into() },
        detected: None,
        expected: what.expected.clone(),
        scope: SafeText::default(),
        after: None,
        practice: what.plan.practice.is_some(),
    };
    let who = Operator { user: SafeText::default(), host: SafeText::default(), from: None, pid: std::process::id() };
    let run = RunId::new("not-opened");
    let body = Body::Opened(Box::new(opened));
    let (boot, epoch, prev) = (clock::boot_id(), Epoch(0), Digest::NONE);
    (!what.runbook.steps.is_empty())
        .then(|| fold(&[Entry { v: SCHEMA, run, seq: 1, at, boot, who, epoch, prev, body }]))
        .flatten()
}
