//! One look at everything.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::app::{Change, Checked, Memory, Model, Polled};
use crate::clock;
use crate::collect;
use crate::config;
use crate::net::Net;
use crate::plan::{Area, Now, Plan, Span};
use crate::readiness::{Gap, Reading, Reason};
use crate::report::{self, PlanReport, Report, Style};
use crate::store::{self, Store};

use super::args::{CheckArgs, Format};
use super::console::Console;
use super::{EXIT_FAILED, EXIT_USAGE};

/// From when on progress is shown.
const LASTS: Duration = Duration::from_millis(500);
/// How long the end may take: what was seen is then on disk, or is given up.
const CLOSING: Duration = Duration::from_secs(2);
/// How long past its budget a sweep is waited for: it keeps the budget by itself, this is for a fault of ours.
const GRACE: Duration = Duration::from_secs(1);

/// Checks by the configuration and prints to standard output.
///
/// # Errors
/// A configuration with mistakes; a runtime that the operating system does not give.
pub fn run(args: &CheckArgs, path: Option<&Path>) -> anyhow::Result<ExitCode> {
    let config = config::load(&config::find(path)?)?;
    let state = config.state.clone().or_else(store::default_dir);
    let (mut out, mut err) = (std::io::stdout().lock(), std::io::stderr());
    let err_is_terminal = std::io::IsTerminal::is_terminal(&err);
    let style = super::console::style(false);
    let mut console = Console { out: &mut out, err: &mut err, style, err_is_terminal };
    let runtime = super::runtime(None)?;
    let mut sweep = Real { net: Net::new() };
    let code = runtime.block_on(check(args, &config.plans, state.as_deref(), &mut sweep, &mut console));
    // A look that hangs in a thread of its own (a secret's command) is left behind.
    runtime.shutdown_background();
    Ok(ExitCode::from(code))
}

/// The sweep of the real thing.
struct Real {
    net: Arc<Net>,
}

impl Sweep for Real {
    fn sweep<'a>(
        &'a mut self,
        model: &'a mut Model,
        plans: &'a [Arc<Plan>],
        budget: Duration,
        progress: &'a mut (dyn FnMut(usize, usize) + Send),
    ) -> Sweeping<'a> {
        Box::pin(collect::sweep(model, plans, &self.net, budget, progress))
    }
}

/// A sweep under way.
pub type Sweeping<'a> = Pin<Box<dyn Future<Output = Vec<Memory>> + 'a>>;

/// Looks at every lane of these plans once, within a budget, into the model; tells how many lanes are done of how many.
/// Returns what is to be remembered.
pub trait Sweep {
    /// Does it.
    fn sweep<'a>(
        &'a mut self,
        model: &'a mut Model,
        plans: &'a [Arc<Plan>],
        budget: Duration,
        progress: &'a mut (dyn FnMut(usize, usize) + Send),
    ) -> Sweeping<'a>;
}

/// Checks these plans and prints what it found. Returns the exit code: the verdict's, 64 for a plan that is not there, 130
/// and 143 when it was interrupted. `state` is where the history is kept; without one, or where it cannot be used, the
/// check goes on without.
pub async fn check(
    args: &CheckArgs,
    plans: &[Arc<Plan>],
    state: Option<&Path>,
    sweep: &mut dyn Sweep,
    console: &mut Console<'_>,
) -> u8 {
    let chosen = match choose(args, plans) {
        Ok(chosen) => chosen,
        Err(why) => {
            console.note(&why);
            return EXIT_USAGE;
        }
    };
    let mut parts = Vec::new();
    for plan in &chosen {
        match report::restrict(plan, &args.areas) {
            Some(part) => parts.push(part),
            None => console.note(&format!("{}: neither requires nor probes {}", plan.id, scope(&args.areas))),
        }
    }
    let store = match state {
        Some(dir) => open(dir, console).await,
        None => None,
    };
    let mut model = super::live::model(clock::boot_id());
    model.configure(parts.clone(), clock::now());
    if let Some(store) = &store {
        match store.history(&parts.iter().map(|p| p.id.clone()).collect::<Vec<_>>()) {
            Ok(past) => model.remember(past),
            Err(e) => console.note(&format!("without history: {e}")),
        }
    }
    let mut memories = match watched(sweep, &mut model, &parts, args.timeout.0, console).await {
        Ok(memories) => memories,
        Err(interrupted) => return interrupted,
    };
    let now = clock::now();
    for late in unread(&model, &parts, args.timeout, now) {
        memories.extend(model.polled(late));
    }
    memories.extend(model.settle(now).1);
    finish(args, &model, &parts, store, memories, now, console)
}

/// Prints, keeps, and says how it went.
fn finish(
    args: &CheckArgs,
    model: &Model,
    plans: &[Arc<Plan>],
    store: Option<Store>,
    memories: Vec<Memory>,
    now: Now,
    console: &mut Console<'_>,
) -> u8 {
    let scope = scope(&args.areas);
    let mut report = Report { at: now, machine: machine(), areas: args.areas.clone(), plans: Vec::new() };
    for plan in plans {
        let Some(status) = model.status(&plan.id) else { continue };
        let status = report::within(status, &args.areas);
        let before = match store.as_ref().map(|s| s.last_check(&plan.id, &scope)) {
            Some(Ok(before)) => before,
            Some(Err(e)) => {
                console.note(&format!("without the last check: {e}"));
                None
            }
            None => None,
        };
        report.plans.push(PlanReport { status, before });
    }
    let text = match args.format {
        Format::Text => Ok(report::text(&report, Style { quiet: args.quiet, ..console.style })),
        Format::Json => report::json(&report).map_err(std::io::Error::other),
    };
    let printed = text.and_then(|text| console.print(&text));
    if let Some(store) = store {
        store.remember(last_changes(memories));
        for plan in &report.plans {
            store.save_check(&scope, Checked::of(&plan.status));
        }
        if let Err(e) = store.close(CLOSING) {
            console.note(&format!("history: {e}"));
        }
    }
    match printed {
        Ok(()) => report.exit_code(),
        Err(e) => {
            console.note(&format!("the report cannot be written: {e}"));
            EXIT_FAILED
        }
    }
}

/// What is to be remembered, with one change at most for each plan: while a check looks a second time, its verdicts are
/// not what it found. What it is a change from, only the history knows.
fn last_changes(memories: Vec<Memory>) -> Vec<Memory> {
    let mut kept: Vec<Memory> = Vec::with_capacity(memories.len());
    let mut changed: Vec<Change> = Vec::new();
    for memory in memories {
        match memory {
            Memory::Change(change) => {
                changed.retain(|c| c.plan != change.plan);
                changed.push(Change { from: None, ..change });
            }
            Memory::Sample { .. } | Memory::Active { .. } | Memory::Point { .. } => kept.push(memory),
        }
    }
    kept.extend(changed.into_iter().map(Memory::Change));
    kept
}

/// The plans that were asked for, as they are configured; all where none was named.
fn choose(args: &CheckArgs, plans: &[Arc<Plan>]) -> Result<Vec<Arc<Plan>>, String> {
    let asked: Vec<&str> = args.plans().collect();
    for name in &asked {
        if !plans.iter().any(|p| p.id.as_str() == *name) {
            let near = config::nearest(name, plans.iter().map(|p| p.id.as_str()));
            let all = || plans.iter().map(|p| p.id.as_str()).collect::<Vec<_>>().join(", ");
            let hint = near.map_or_else(|| format!("; there are: {}", all()), |n| format!("; did you mean \"{n}\"?"));
            return Err(format!("no plan \"{}\"{hint}", crate::plan::SafeText::new(name)));
        }
    }
    let wanted = |p: &&Arc<Plan>| asked.is_empty() || asked.contains(&p.id.as_str());
    Ok(plans.iter().filter(wanted).cloned().collect())
}

/// What a check of these areas is kept as; empty for all.
fn scope(areas: &[Area]) -> String {
    let mut names: Vec<&str> = areas.iter().map(|a| a.name()).collect();
    names.sort_unstable();
    names.dedup();
    names.join(",")
}

async fn open(dir: &Path, console: &mut Console<'_>) -> Option<Store> {
    let path = dir.to_path_buf();
    match tokio::task::spawn_blocking(move || store::open(&path)).await {
        Ok(Ok(store)) => {
            for note in store.notes() {
                console.note(note.as_str());
            }
            Some(store)
        }
        Ok(Err(e)) => {
            console.note(&format!("without history: {e}"));
            None
        }
        Err(_) => {
            console.note("without history: a fault in lifeboat itself");
            None
        }
    }
}

/// Sweeps, shows progress where somebody waits, and gives up when it is interrupted. The error is the exit code.
async fn watched(
    sweep: &mut dyn Sweep,
    model: &mut Model,
    plans: &[Arc<Plan>],
    budget: Duration,
    console: &mut Console<'_>,
) -> Result<Vec<Memory>, u8> {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        console.note("signals cannot be watched");
        return Err(EXIT_FAILED);
    };
    let lanes = plans.iter().flat_map(|p| &p.probes).map(|p| p.lanes.len()).sum();
    let (done, of) = (AtomicUsize::new(0), AtomicUsize::new(lanes));
    let mut tell = |finished, all| {
        done.store(finished, Ordering::Relaxed);
        of.store(all, Ordering::Relaxed);
    };
    let mut work = sweep.sweep(model, plans, budget, &mut tell);
    let begun = tokio::time::Instant::now();
    let mut tick = tokio::time::interval_at(begun + LASTS, Duration::from_millis(200));
    let over = tokio::time::sleep_until(begun + budget + GRACE);
    tokio::pin!(over);
    let mut shown = false;
    let result = loop {
        tokio::select! {
            biased;
            _ = interrupt.recv() => break Err(130),
            _ = terminate.recv() => break Err(143),
            memories = &mut work => break Ok(memories),
            () = &mut over => break Ok(Vec::new()),
            _ = tick.tick() => {
                let (finished, all) = (done.load(Ordering::Relaxed), of.load(Ordering::Relaxed));
                shown = true;
                console.progress(&format!("looking: {finished} of {all}, {} s", begun.elapsed().as_secs()));
            }
        }
    };
    drop(work);
    if shown {
        console.progress("");
    }
    result
}

/// A look that failed for want of time, for each lane that was not looked at.
fn unread(model: &Model, plans: &[Arc<Plan>], budget: Span, now: Now) -> Vec<Polled> {
    let gap = Gap::new(Reason::TimedOut, &format!("not read within the {budget} of this check"));
    let mut late = Vec::new();
    for plan in plans {
        for probe in &plan.probes {
            for lane in probe.lanes.iter().map(|l| (probe.lane_id(l), l)) {
                let (id, lane) = lane;
                if model.readings(&plan.id).is_some_and(|r| r.outcomes(&id).len() > 0) {
                    continue;
                }
                let reading = |signal: &crate::plan::SignalId| Reading {
                    key: id.key(signal.clone()),
                    value: Err(gap.clone()),
                    asked: now,
                    answered: now,
                    as_of: None,
                };
                let readings = lane.expects.iter().map(reading).collect();
                late.push(Polled { lane: id.clone(), asked: now, answered: now, readings });
            }
        }
    }
    late
}

/// This machine's name, for whoever reads the report elsewhere.
fn machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    crate::plan::SafeText::new(name.trim()).as_str().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_make_the_same_scope_in_any_order() {
        assert_eq!(scope(&[Area::Replication, Area::Dns, Area::Dns]), "dns,replication");
        assert_eq!(scope(&[]), "");
    }
}
