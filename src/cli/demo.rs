//! `lifeboat demo`: practice sites, the ordinary board on them, and nothing of it left behind.

mod home;
mod stage;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use clap::CommandFactory as _;
use clap::error::ErrorKind;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::nearest;
use crate::practice::scenario::{self, SCENARIOS, Scenario};
use crate::tui::run::Failure;
use crate::tui::terminal;

use super::args::{CommandLine, DemoArgs, WatchArgs};
use super::watch::{Load, Loaded};
use super::{EXIT_FAILED, EXIT_USAGE, live, print, watch};

use home::Home;
use stage::{Stage, Staged};

/// Runs it.
///
/// # Errors
/// A scenario that there is not; a configuration, since it has its own; a directory or a world that cannot be made.
pub fn run(args: &DemoArgs, config: Option<&Path>) -> anyhow::Result<ExitCode> {
    let wrong = |kind, text: &str| Err(CommandLine::command().error(kind, text).into());
    if config.is_some() {
        return wrong(ErrorKind::ArgumentConflict, "the demo has a configuration of its own: leave --config out");
    }
    if args.list {
        print(&scenario::list())?;
        return Ok(ExitCode::SUCCESS);
    }
    let names = || SCENARIOS.iter().map(|s| s.name);
    let Some(scenario) = Scenario::named(&args.scenario) else {
        let known = match nearest(&args.scenario, names()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("there is {}", names().collect::<Vec<_>>().join(", ")),
        };
        return wrong(ErrorKind::InvalidValue, &format!("no scenario {:?}: {known}", args.scenario));
    };
    match &args.home {
        None if !args.serve && !terminal::usable() => {
            let _gone = writeln!(
                std::io::stderr(),
                "lifeboat: the board needs a terminal; lifeboat demo --serve starts the practice world without it"
            );
            Ok(ExitCode::from(EXIT_USAGE))
        }
        None => Err(home::leave()),
        Some(dir) => {
            let home = Home::take(dir)?;
            if args.serve { serve(args, scenario, &home) } else { Ok(board(args, scenario, &home)) }
        }
    }
}

/// The board on a practice world. It is brought up behind the first frame.
fn board(args: &DemoArgs, scenario: &'static Scenario, home: &Home) -> ExitCode {
    let watched = WatchArgs { read_only: args.read_only, look: args.look.clone(), record: None };
    let learnt = Arc::new(Mutex::new(Vec::new()));
    let (own, dir, shows, lines) = (args.clone(), home.dir().to_owned(), watched.clone(), Arc::clone(&learnt));
    let load: Load = Box::new(move || {
        let failed = |e: &anyhow::Error| Failure { text: format!("lifeboat: {e:#}"), status: EXIT_FAILED };
        let stage = Stage::set(&own, scenario, &dir).map_err(|e| failed(&e))?;
        let Loaded { plans, runbooks, mut wanted, back } = live::load(Some(stage.file()), &shows)?;
        wanted.scenarios = stage::offered();
        let back = Box::new(Staged::new(back, stage, lines));
        Ok(Loaded { plans, runbooks, wanted, back })
    });
    let code = watch::practise(&watched, load);
    home::end_runners(home.dir());
    let lines = std::mem::take(&mut *learnt.lock().unwrap_or_else(PoisonError::into_inner));
    // A reader that went away reads no debrief.
    let _gone = print(&lines.concat());
    code
}

/// The world alone, until somebody ends it.
fn serve(args: &DemoArgs, scenario: &'static Scenario, home: &Home) -> anyhow::Result<ExitCode> {
    let stage = Stage::set(args, scenario, home.dir())?;
    print(&format!("{}\n", stage.file().display()))?;
    let _gone = writeln!(
        std::io::stderr(),
        "lifeboat: the practice world is up: lifeboat --config FILE, or lifeboat --config FILE check; ctrl-c ends it"
    );
    let signals = [(SignalKind::interrupt(), 2), (SignalKind::terminate(), 15), (SignalKind::hangup(), 1)];
    let number = stage.wait(async {
        let mut heard = Vec::new();
        for (kind, number) in signals {
            let mut signal = signal(kind)?;
            heard.push(Box::pin(async move {
                signal.recv().await;
                number
            }));
        }
        Ok::<u8, std::io::Error>(futures_util::future::select_all(heard).await.0)
    })?;
    stage.end();
    home::end_runners(home.dir());
    Ok(ExitCode::from(128 + number))
}
