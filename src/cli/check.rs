//! One look at everything.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Child, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::app::{Change, Checked, History, Memory, Model};
use crate::clock;
use crate::collect::{self, Past as Joining};
use crate::config;
use crate::net::Net;
use crate::plan::{Area, Now, Plan, PlanId, Span};
use crate::readiness::{PlanStatus, Rehearsed};
use crate::report::{self, PlanReport, Report, Style};
use crate::runbook::Runbooks;
use crate::store::{self, Store, StoreError};
use crate::systems::backup_files;

use super::args::{CheckArgs, Format};
use super::console::{Console, Reader};
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
    let path = config::find(path)?;
    let config = config::load(&path)?;
    let state = config.state.clone().or_else(store::default_dir);
    let (mut out, mut err) = (std::io::stdout().lock(), std::io::stderr());
    let err_is_terminal = std::io::IsTerminal::is_terminal(&err);
    let style = super::console::style(false);
    let mut console = Console { out: &mut out, err: &mut err, style, err_is_terminal };
    let runtime = super::runtime(None)?;
    let keeps = state.is_some();
    let mut sweep = Real {
        net: Net::keeping(state.as_deref(), &config.plans),
        path: keeps.then_some(path),
        decoding: None,
        runbooks: config.runbooks.clone(),
    };
    let code = runtime.block_on(check(args, &config.plans, state.as_deref(), &mut sweep, &mut console));
    // A look that hangs in a thread of its own (a secret's command) is left behind.
    runtime.shutdown_background();
    Ok(ExitCode::from(code))
}

/// The sweep of the real thing.
struct Real {
    net: Arc<Net>,
    /// The configuration, where what was read in full can be kept.
    path: Option<PathBuf>,
    /// What reads backups in full meanwhile, and after this process.
    decoding: Option<Child>,
    runbooks: BTreeMap<PlanId, Arc<Runbooks>>,
}

impl Real {
    /// Has those backups read in full that are not: one look is over before that is.
    fn read_on(&mut self, model: &Model) {
        let unread = model.statuses().filter(|s| backup_files::unread(s)).map(|s| s.plan.id.clone());
        let unread: Vec<PlanId> = unread.collect();
        let under_way = self.decoding.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)));
        if let Some(path) = self.path.as_deref().filter(|_| !unread.is_empty() && !under_way) {
            match super::decode::in_background(path, &unread) {
                Ok(child) => self.decoding = Some(child),
                Err(e) => tracing::warn!("backups are not read in full in the background: {e:#}"),
            }
        }
    }
}

impl Sweep for Real {
    fn sweep<'a>(
        &'a mut self,
        model: &'a mut Model,
        past: &'a mut Joining,
        plans: &'a [Arc<Plan>],
        budget: Duration,
        progress: &'a mut (dyn FnMut(usize, usize) + Send),
    ) -> Sweeping<'a> {
        Box::pin(async move {
            let memories = collect::sweep(model, past, plans, &self.net, budget, progress).await;
            self.read_on(model);
            memories
        })
    }

    fn rehearse<'a>(&'a mut self, statuses: &'a [Arc<PlanStatus>], deadline: Instant) -> Rehearsing<'a> {
        let (net, known) = (&self.net, &self.runbooks);
        let each = statuses.iter().filter(|s| !s.plan.runbooks.is_empty()).filter_map(move |status| {
            let runbooks = known.get(&status.plan.id)?;
            Some(async move {
                let lost = collect::rehearse_lost(super::live::model(clock::boot_id()), status, runbooks, deadline);
                let (mut all, lost) = tokio::join!(collect::rehearse_all(status, runbooks, net, deadline), lost);
                all.extend(lost);
                all.into_iter().map(|r| (status.plan.id.clone(), r)).collect::<Vec<_>>()
            })
        });
        Box::pin(async move { futures_util::future::join_all(each).await.into_iter().flatten().collect() })
    }
}

/// Rehearsals under way.
pub type Rehearsing<'a> = Pin<Box<dyn Future<Output = Vec<(PlanId, Rehearsed)>> + 'a>>;

/// A sweep under way.
pub type Sweeping<'a> = Pin<Box<dyn Future<Output = Vec<Memory>> + 'a>>;

/// Looks at every lane of these plans once, within a budget, into the model, and has the past join it before it is judged;
/// tells how many lanes are done of how many. Returns what is to be remembered.
pub trait Sweep {
    /// Does it.
    fn sweep<'a>(
        &'a mut self,
        model: &'a mut Model,
        past: &'a mut Joining,
        plans: &'a [Arc<Plan>],
        budget: Duration,
        progress: &'a mut (dyn FnMut(usize, usize) + Send),
    ) -> Sweeping<'a>;

    /// Looks the runbooks of these plans through, as they were just judged, and the failover as if the active site were
    /// gone.
    fn rehearse<'a>(&'a mut self, statuses: &'a [Arc<PlanStatus>], deadline: Instant) -> Rehearsing<'a> {
        let _ = (statuses, deadline);
        Box::pin(std::future::ready(Vec::new()))
    }
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
    let chosen = match choose(args.plans(), plans) {
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
    let mut past = state.map_or(Past::Nowhere, |dir| Past::At(dir.to_path_buf()));
    let code = match args.watch {
        None => match round(args, &parts, &mut past, sweep, console).await {
            Ok(found) => print(args, found, &parts, past.store(), console),
            Err(interrupted) => return interrupted,
        },
        Some(Span(every)) => watch(args, every, &parts, &mut past, sweep, console).await,
    };
    if let Past::Open(store) = past
        && let Err(e) = store.close(CLOSING)
    {
        console.note(&format!("history: {e}"));
    }
    code
}

/// What one sweep found.
struct Found {
    model: Model,
    memories: Vec<Memory>,
    /// What had changed before this round.
    past: Vec<Change>,
    at: Now,
}

/// Looks once at everything, with a model of its own: what is not seen in this round is not known in it. The error is the
/// exit code of an interruption.
async fn round(
    args: &CheckArgs,
    plans: &[Arc<Plan>],
    past: &mut Past,
    sweep: &mut dyn Sweep,
    console: &mut Console<'_>,
) -> Result<Found, u8> {
    let mut model = super::live::model(clock::boot_id());
    model.configure(plans.to_vec(), clock::now());
    let begun = Instant::now();
    // The disk and the network are waited for at once.
    let (tell, told) = oneshot::channel();
    let reading = past.read(plans.iter().map(|p| p.id.clone()).collect(), tell);
    let mut joining = Joining::new(told);
    let looked = watched(sweep, &mut model, &mut joining, plans, args.timeout.0, console).await;
    let (read, changes) = was_read(reading, console).await;
    *past = read;
    let mut memories = looked?;
    if past.store().is_some() {
        joining.join(&mut model).await;
    }
    memories.extend(collect::not_in_time(&mut model, plans, args.timeout.0));
    memories.extend(model.settle(clock::now()).1);
    let statuses: Vec<Arc<PlanStatus>> = model.statuses().cloned().collect();
    for (plan, rehearsed) in sweep.rehearse(&statuses, begun + args.timeout.0).await {
        model.rehearsed(&plan, rehearsed);
    }
    let at = clock::now();
    memories.extend(model.settle(at).1);
    let memories = last_changes(memories, &changes);
    Ok(Found { model, memories, past: changes, at })
}

/// Looks again and again until it is interrupted. The first report is whole; of the later ones, text shows the plans of
/// which something changed.
async fn watch(
    args: &CheckArgs,
    every: Duration,
    plans: &[Arc<Plan>],
    past: &mut Past,
    sweep: &mut dyn Sweep,
    console: &mut Console<'_>,
) -> u8 {
    let one_line = match args.format {
        Format::Text => false,
        Format::Json => true,
        Format::Nagios | Format::Prometheus | Format::Markdown => {
            console.note("--watch prints text or json: for another format, have it checked by your scheduler");
            return EXIT_USAGE;
        }
    };
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        console.note("signals cannot be watched");
        return EXIT_FAILED;
    };
    let mut before: Option<Vec<Checked>> = None;
    loop {
        let begun = tokio::time::Instant::now();
        let found = match round(args, plans, past, sweep, console).await {
            Ok(found) => found,
            Err(interrupted) => return interrupted,
        };
        let mut report = report_of(args, &found, plans, past.store(), console);
        keep(args, &report, found.memories, past.store());
        let seen: Vec<Checked> = report.plans.iter().map(|p| Checked::of(&p.status)).collect();
        let first = before.is_none();
        if let Some(before) = before.replace(seen) {
            for plan in &mut report.plans {
                plan.before = before.iter().find(|c| c.plan == plan.status.plan.id).cloned();
            }
        }
        if !first && !one_line {
            report.plans.retain(|p| !p.differences().is_empty());
        }
        // What became ready again is news too.
        let style = Style { quiet: args.quiet && first, ..console.style };
        let text = if one_line { json(&report, true) } else { Ok(report::text(&report, style)) };
        match text.and_then(|text| console.print(&text)) {
            Ok(Reader::Reads) => {}
            Ok(Reader::Gone) => return report.exit_code(),
            Err(e) => return unprinted(&e, console),
        }
        tokio::select! {
            biased;
            _ = interrupt.recv() => return 130,
            _ = terminate.recv() => return 143,
            () = tokio::time::sleep_until(begun + every) => {}
        }
    }
}

/// Prints what was found, keeps it, and says how it went.
fn print(args: &CheckArgs, found: Found, plans: &[Arc<Plan>], store: Option<&Store>, console: &mut Console<'_>) -> u8 {
    let report = report_of(args, &found, plans, store, console);
    let text = match args.format {
        Format::Text => Ok(report::text(&report, Style { quiet: args.quiet, ..console.style })),
        Format::Json => json(&report, false),
        Format::Nagios => Ok(report::nagios(&report, args.quiet)),
        Format::Prometheus => Ok(report::prometheus(&report)),
        Format::Markdown => Ok(report::markdown(&report, args.quiet)),
    };
    let printed = text.and_then(|text| console.print(&text));
    keep(args, &report, found.memories, store);
    match printed {
        Ok(Reader::Reads | Reader::Gone) => report.exit_code(),
        Err(e) => unprinted(&e, console),
    }
}

fn json(report: &Report, one_line: bool) -> std::io::Result<String> {
    report::json(report, one_line).map_err(std::io::Error::other)
}

fn unprinted(e: &std::io::Error, console: &mut Console<'_>) -> u8 {
    console.note(&format!("the report cannot be written: {e}"));
    EXIT_FAILED
}

/// The report of what was found, beside what the history knows of before.
fn report_of(
    args: &CheckArgs,
    found: &Found,
    plans: &[Arc<Plan>],
    store: Option<&Store>,
    console: &mut Console<'_>,
) -> Report {
    let scope = scope(&args.areas);
    let mut report = Report { at: found.at, machine: machine(), areas: args.areas.clone(), plans: Vec::new() };
    let since = args.since.map(|span| found.at.wall - chrono::TimeDelta::from_std(span.0).unwrap_or_default());
    if since.is_some() && store.is_none() {
        console.note("--since: there is no history to compare with");
    }
    for plan in plans {
        let Some(status) = found.model.status(&plan.id) else { continue };
        let status = report::within(status, &args.areas);
        let before = match store.map(|s| s.check_before(&plan.id, &scope, since)) {
            Some(Ok(before)) => before,
            Some(Err(e)) => {
                console.note(&format!("without the last check: {e}"));
                None
            }
            None => None,
        };
        if let (Some(since), Some(before)) = (since, &before)
            && before.at > since
        {
            let first = before.at.format("%Y-%m-%d %H:%MZ");
            console.note(&format!(
                "{}: no check is as old as {}; compared with the first one, of {first}",
                plan.id,
                since.format("%Y-%m-%d %H:%MZ")
            ));
        }
        let in_time = |c: &&Change| c.plan == plan.id && since.is_some_and(|s| c.at.wall >= s);
        let timeline = found.past.iter().filter(in_time).cloned().collect();
        report.plans.push(PlanReport { status, before, timeline });
    }
    report
}

/// Has what was found kept, soon.
fn keep(args: &CheckArgs, report: &Report, memories: Vec<Memory>, store: Option<&Store>) {
    let Some(store) = store else { return };
    store.remember(memories);
    for plan in &report.plans {
        store.save_check(&scope(&args.areas), Checked::of(&plan.status));
    }
}

/// What is to be remembered, with one change at most for each plan: while a check looks a second time, its verdicts are
/// not what it found. What it is a change from, only the history knows; and what that says last already is none.
fn last_changes(memories: Vec<Memory>, past: &[Change]) -> Vec<Memory> {
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
    let known = |c: &Change| {
        let last = past.iter().rev().find(|p| p.plan == c.plan);
        last.is_some_and(|p| p.to == c.to && p.situation.words() == c.situation.words())
    };
    kept.extend(changed.into_iter().filter(|c| !known(c)).map(Memory::Change));
    kept
}

/// The plans that were asked for, as they are configured; all where none was named.
pub(super) fn choose<'a>(asked: impl Iterator<Item = &'a str>, plans: &[Arc<Plan>]) -> Result<Vec<Arc<Plan>>, String> {
    let asked: Vec<&str> = asked.collect();
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

/// Where the history is, which is opened while the first looks are under way.
enum Past {
    /// There is none.
    Nowhere,
    /// Below this directory.
    At(PathBuf),
    /// Here.
    Open(Store),
}

/// A history that is being read: itself, whether it was opened for it, and what had changed.
type BeingRead = JoinHandle<Result<(Store, bool, Result<Vec<Change>, StoreError>), StoreError>>;

impl Past {
    const fn store(&self) -> Option<&Store> {
        match self {
            Self::Open(store) => Some(store),
            Self::Nowhere | Self::At(_) => None,
        }
    }

    /// Begins to read what the history holds of these plans, which `tell` is told; `None` where there is no history.
    fn read(&mut self, plans: Vec<PlanId>, tell: oneshot::Sender<History>) -> Option<BeingRead> {
        let (open, dir) = match std::mem::replace(self, Self::Nowhere) {
            Self::Nowhere => return None,
            Self::At(dir) => (None, dir),
            Self::Open(store) => (Some(store), PathBuf::new()),
        };
        Some(tokio::task::spawn_blocking(move || {
            let opened = open.is_none();
            let store = match open {
                Some(store) => store,
                None => store::open(&dir)?,
            };
            let changes = store.history(&plans).map(|history| {
                let changes = history.changes.clone();
                // Nobody listens where the check was given up.
                drop(tell.send(history));
                changes
            });
            Ok((store, opened, changes))
        }))
    }
}

/// Waits for a history to be read, no longer than it may take to close it.
async fn was_read(reading: Option<BeingRead>, console: &mut Console<'_>) -> (Past, Vec<Change>) {
    let Some(reading) = reading else { return (Past::Nowhere, Vec::new()) };
    let without = |console: &mut Console<'_>, why: &str| {
        console.note(&format!("without history: {why}"));
        (Past::Nowhere, Vec::new())
    };
    match tokio::time::timeout(CLOSING, reading).await {
        Ok(Ok(Ok((store, opened, changes)))) => {
            for note in store.notes().iter().filter(|_| opened) {
                console.note(note.as_str());
            }
            let changes = changes.unwrap_or_else(|e| {
                console.note(&format!("without history: {e}"));
                Vec::new()
            });
            (Past::Open(store), changes)
        }
        Ok(Ok(Err(e))) => without(console, &e.to_string()),
        Ok(Err(_)) => without(console, "a fault in lifeboat itself"),
        Err(_) => without(console, &format!("its disk did not answer within {} s", CLOSING.as_secs())),
    }
}

/// Sweeps, shows progress where somebody waits, and gives up when it is interrupted. The error is the exit code.
async fn watched(
    sweep: &mut dyn Sweep,
    model: &mut Model,
    past: &mut Joining,
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
    let mut work = sweep.sweep(model, past, plans, budget, &mut tell);
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
