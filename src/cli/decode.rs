//! Reads the newest backups in full, and waits for that: for a timer, and for `check`, which does not.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap::error::ErrorKind;

use crate::collect;
use crate::config;
use crate::net::Net;
use crate::plan::{LaneId, Plan, PlanId};
use crate::readiness::{Verdict, worst};
use crate::report;
use crate::store;
use crate::systems::backup_files;

use super::args::{CommandLine, DecodeArgs};
use super::{EXIT_FAILED, check};

/// How often it is asked how far it has come.
const AGAIN: Duration = Duration::from_secs(1);

/// Reads the newest backup of every probe with `decode`, one after the other, and keeps what came of it for the next check.
///
/// # Errors
/// A plan that is not there, or none that asks for it; a configuration with mistakes; a runtime that the operating system does not give; output that cannot be written.
pub fn run(args: &DecodeArgs, path: Option<&Path>) -> anyhow::Result<ExitCode> {
    if args.background {
        // The end of the session that started it is not its end. It fails only where it leads a session already.
        let _leads = rustix::process::setsid();
    }
    let config = config::load(&config::find(path)?)?;
    let wrong = |kind, text: &str| anyhow::Error::from(CommandLine::command().error(kind, text));
    let chosen = check::choose(args.plans.iter().map(String::as_str), &config.plans)
        .map_err(|why| wrong(ErrorKind::InvalidValue, &why))?;
    let plans: Vec<Arc<Plan>> = chosen.iter().filter_map(|p| those_that_ask(p)).collect();
    if plans.is_empty() {
        let text = "no probe says decode = \"newest\": there is nothing to read in full";
        return Err(wrong(ErrorKind::ArgumentConflict, text));
    }
    let state = config.state.clone().or_else(store::default_dir);
    let runtime = super::runtime(None)?;
    let said = runtime.block_on(all(&plans, &Net::keeping(state.as_deref(), &plans)));
    runtime.shutdown_background();
    let lines = said.iter().map(|(lane, (verdict, sentence))| format!("{}: {verdict}: {sentence}\n", lane.probe));
    super::print(&lines.collect::<String>())?;
    let worst = worst(said.values().map(|(verdict, _)| *verdict));
    Ok(ExitCode::from(worst.map_or(EXIT_FAILED, report::exit_code)))
}

/// The plan with only those probes that ask for backups to be read in full; `None` where none does.
fn those_that_ask(plan: &Plan) -> Option<Arc<Plan>> {
    let probes: Vec<_> = plan.probes.iter().filter(|p| backup_files::decodes(p)).cloned().collect();
    (!probes.is_empty()).then(|| Arc::new(Plan { probes, ..plan.clone() }))
}

/// Waits until all of these are read.
async fn all(plans: &[Arc<Plan>], net: &Arc<Net>) -> BTreeMap<LaneId, (Verdict, String)> {
    let lanes = plans.iter().flat_map(|p| &p.probes).map(|p| p.lanes.len()).sum();
    let (sender, mut polls) = tokio::sync::mpsc::channel(64);
    let supervisor = collect::start(plans, net, &sender);
    let mut said = BTreeMap::new();
    while said.len() < lanes {
        tokio::select! {
            polled = polls.recv() => {
                let Some(polled) = polled else { return said };
                if let Some(what) = backup_files::decoded(&polled.readings) {
                    said.insert(polled.lane, what);
                }
            }
            () = tokio::time::sleep(AGAIN) => supervisor.poll_now(&[]),
        }
    }
    said
}

/// Starts the same for these plans as a process of its own, which outlives this one and gives way to everything else.
///
/// # Errors
/// Where it cannot be started.
pub(super) fn in_background(config: &Path, plans: &[PlanId]) -> anyhow::Result<Child> {
    let config = std::path::absolute(config).context("the configuration's path")?;
    std::process::Command::new(std::env::current_exe().context("this program's path")?)
        .arg("--config")
        .arg(config)
        .args(["decode", "--background"])
        .args(plans.iter().map(PlanId::as_str))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("lifeboat decode")
}
