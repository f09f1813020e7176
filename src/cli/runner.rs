//! `lifeboat runner RUN --state DIR`: the process that carries out a run's approved steps.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::runner::{self, End, Pace};
use crate::store::{self, Journal, journal};

use super::EXIT_FAILED;
use super::args::RunnerArgs;

/// Threads: a few connections, and a disk.
const WORKERS: usize = 2;

/// Where it writes what happens behind the scenes, where the command line does not say: beside the run's lock. Without a
/// log it works all the same.
#[must_use]
pub fn log(args: &RunnerArgs) -> Option<PathBuf> {
    journal::log_of(&args.state, &args.run).ok()
}

/// Takes the run and works on it until it is closed. No session's end is its end: it has a session of its own, stays in
/// no directory, and holds nobody's terminal or pipe.
///
/// # Errors
/// Why the run cannot be taken. It is in the log, too: nobody reads what a runner prints.
pub fn run(args: &RunnerArgs) -> anyhow::Result<ExitCode> {
    let begun = begin(args);
    if let Err(e) = &begun {
        tracing::error!("{e:#}");
    }
    begun
}

fn begin(args: &RunnerArgs) -> anyhow::Result<ExitCode> {
    // Whoever leads a process group already has no session to leave but that of whoever started it.
    if let Err(e) = rustix::process::setsid() {
        tracing::info!("no session of its own: {e}");
    }
    let state = args.state.canonicalize().with_context(|| format!("{}: no state directory", args.state.display()))?;
    let args = &RunnerArgs { run: args.run.clone(), state };
    rustix::process::chdir("/").context("/: cannot be entered")?;
    let runtime = super::runtime(Some(WORKERS))?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        heed(&stop)?;
        let journal = Arc::new(Journal::open(&args.state)?);
        leave_the_terminal(args)?;
        let end = runner::run(journal, &args.run, store::operator(), Pace::default(), stop).await?;
        Ok(match end {
            End::Closed | End::Stopped | End::Idle => ExitCode::SUCCESS,
            End::Lost | End::Gone => ExitCode::from(EXIT_FAILED),
        })
    })
}

/// A hangup and Ctrl-C end sessions, not runs. A request to end is heeded once what is in hand is done.
fn heed(stop: &CancellationToken) -> std::io::Result<()> {
    for ignored in [SignalKind::hangup(), SignalKind::interrupt()] {
        let mut heard = signal(ignored)?;
        tokio::spawn(async move {
            while heard.recv().await.is_some() {
                tracing::info!("ignored a signal that ends sessions");
            }
        });
    }
    let (mut asked, stop) = (signal(SignalKind::terminate())?, stop.clone());
    tokio::spawn(async move {
        if asked.recv().await.is_some() {
            tracing::info!("asked to end: finishes what is in hand");
            stop.cancel();
        }
    });
    Ok(())
}

/// Gives up whatever it was started with. What it would still print, because it panicked, goes into its log.
fn leave_the_terminal(args: &RunnerArgs) -> anyhow::Result<()> {
    let nothing = OpenOptions::new().read(true).write(true).open("/dev/null").context("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(&nothing)?;
    match log(args).map(|path| OpenOptions::new().append(true).open(path)) {
        Some(Ok(log)) => rustix::stdio::dup2_stderr(&log)?,
        Some(Err(_)) | None => rustix::stdio::dup2_stderr(&nothing)?,
    }
    Ok(())
}
