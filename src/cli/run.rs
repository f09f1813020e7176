//! `lifeboat run`: a runbook looked through, printed as commands, or run from a screen of its own.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use tokio::time::Instant;

use crate::app::guided::First;
use crate::collect::{self, Past, Rehearsing};
use crate::config::{self, Config};
use crate::net::Net;
use crate::plan::{Lost, Plan, SiteId};
use crate::runbook::{Rehearsal, Runbook, RunbookKind, StepIx, StepPlan, active_site, ends, expected};
use crate::store;
use crate::{clock, report};

use super::args::{DoctorFormat, RunArgs, WatchArgs};
use super::{live, print, watch};

/// Share of the time for looking at the plan; the rest is for the steps.
const LOOKING: f64 = 0.6;

/// Runs it.
///
/// # Errors
/// Where the plan, the runbook or a site is not there; where the runbook is not to be told from where to where.
pub fn run(args: &RunArgs, path: Option<&Path>) -> anyhow::Result<ExitCode> {
    if !args.dry_run && !args.print {
        // What is wrong is told before the screen is taken.
        let config = config::load(&config::find(path)?)?;
        let (plan, _) = chosen(&config, args)?;
        let watch = WatchArgs { look: args.look.clone(), ..WatchArgs::default() };
        return watch::run_first(&watch, path, First::Start(plan.id.clone(), args.runbook));
    }
    let config = config::load(&config::find(path)?)?;
    let (plan, runbook) = chosen(&config, args)?;
    let site = |name: &String| -> anyhow::Result<SiteId> {
        let known = || plan.sites.iter().map(|s| s.id.as_str()).collect::<Vec<_>>().join(", ");
        plan.site(name).cloned().with_context(|| format!("{} has no site {name:?}: it has {}", plan.id, known()))
    };
    let to = args.to.as_ref().map(site).transpose()?;
    let lost = args.assume_lost.as_ref().map(site).transpose()?;
    let runtime = super::runtime(None)?;
    if args.print {
        let _entered = runtime.enter();
        return commands(&plan, &runbook, to);
    }
    let rehearsal = runtime.block_on(rehearse(args, &config, &plan, &runbook, to, lost));
    runtime.shutdown_background();
    let rehearsal = rehearsal?;
    let style = report::Style { quiet: args.quiet, ..super::console::style(args.look.ascii) };
    print(&match args.format {
        DoctorFormat::Text => report::rehearsal(&rehearsal, style),
        DoctorFormat::Json => format!("{}\n", serde_json::to_string_pretty(&report::rehearsal_json(&rehearsal))?),
    })?;
    Ok(ExitCode::from(report::gate_code(&rehearsal.gate())))
}

fn chosen(config: &Config, args: &RunArgs) -> anyhow::Result<(Arc<Plan>, Runbook)> {
    let Some(plan) = config.plans.iter().find(|p| p.id.as_str() == args.plan) else {
        let known: Vec<&str> = config.plans.iter().map(|p| p.id.as_str()).collect();
        bail!("no plan {:?}: there is {}", args.plan, known.join(", "));
    };
    let runbook = config.runbooks.get(&plan.id).and_then(|r| r.get(args.runbook));
    let runbook = runbook.with_context(|| format!("{} has no [[plan.{}]]", plan.id, args.runbook))?;
    Ok((Arc::clone(plan), runbook.clone()))
}

/// Looks at the plan, then at what each step would do.
async fn rehearse(
    args: &RunArgs,
    config: &Config,
    plan: &Arc<Plan>,
    runbook: &Runbook,
    to: Option<SiteId>,
    lost: Option<SiteId>,
) -> anyhow::Result<Rehearsal> {
    let deadline = Instant::now() + args.timeout.0;
    let plans = [Arc::clone(plan)];
    let net = Net::without(lost.as_ref().map(|site| Lost::of(plan, site)), &plans);
    let mut model = live::model(clock::boot_id());
    model.configure(plans.to_vec(), clock::now());
    // What earlier sessions saw bounds the loss. Without a history it is unknown, and that is shown.
    let state = config.state.clone().or_else(store::default_dir);
    let history = state.and_then(|dir| store::open(&dir).and_then(|s| s.history(std::slice::from_ref(&plan.id))).ok());
    model.remember(history.unwrap_or_default());
    let budget = args.timeout.0.mul_f64(LOOKING);
    collect::sweep(&mut model, &mut Past::default(), &plans, &net, budget, &mut |_, _| {}).await;
    model.settle(clock::now());
    let status = model.status(&plan.id).cloned().context("the plan was not judged")?;
    let (from, to) = match to {
        Some(to) => (active_site(&status, &to).map_err(anyhow::Error::msg)?, to),
        None => ends(&status, runbook.kind).map_err(anyhow::Error::msg)?,
    };
    if from == to {
        bail!("{} is active in {to} already", plan.id);
    }
    let expected = expected(&status, &to, clock::now());
    let what = Rehearsing { plan, runbook, from: &from, to: &to, expected, status };
    collect::rehearse(what, &net, deadline).await.map_err(anyhow::Error::msg)
}

/// The runbook as commands. Nobody is asked, so the service is taken to be where it normally is; back home it is taken
/// to be away.
fn commands(plan: &Arc<Plan>, runbook: &Runbook, to: Option<SiteId>) -> anyhow::Result<ExitCode> {
    let away = plan.sites.iter().map(|s| &s.id).find(|s| **s != plan.home);
    let away = away.with_context(|| format!("{} has one site only", plan.id))?;
    let (from, to) = match runbook.kind {
        RunbookKind::Failback => (away.clone(), to.unwrap_or_else(|| plan.home.clone())),
        RunbookKind::Failover | RunbookKind::Switchover | RunbookKind::Drill => {
            (plan.home.clone(), to.unwrap_or_else(|| away.clone()))
        }
    };
    if from == to {
        bail!("{from} cannot take over from itself");
    }
    let mut model = live::model(clock::boot_id());
    model.configure(vec![Arc::clone(plan)], clock::now());
    let status = model.status(&plan.id).cloned().context("the plan was not judged")?;
    let expected = expected(&status, &to, clock::now());
    let what = Rehearsing { plan, runbook, from: &from, to: &to, expected, status };
    let lines = collect::commands(&what, &Net::of(std::slice::from_ref(plan))).map_err(anyhow::Error::msg)?;
    let steps: Vec<(StepIx, &StepPlan, &[String])> =
        lines.iter().filter_map(|(ix, lines)| Some((*ix, runbook.step(*ix)?, lines.as_slice()))).collect();
    let practice = if plan.practice.is_some() { format!("{}\n# ", report::PRACTICE) } else { String::new() };
    print(&report::commands(&format!("{practice}{} {}: {from} -> {to}", plan.id, runbook.kind), &steps))?;
    Ok(ExitCode::SUCCESS)
}
