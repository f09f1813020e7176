//! A recorded session, played again.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use crate::app::{Event, History, Model};
use crate::config::{self, Problems};
use crate::plan::{Now, Plan};
use crate::report::{self, PlanReport, Report};
use crate::store::recording::Header;
use crate::tui::run::Wanted;

pub use crate::store::recording::{Recording, RecordingError};

use super::EXIT_FAILED;
use super::args::ReplayArgs;
use super::console::Console;
use super::themes;

/// Plays a recording on the screen, or prints how it ended.
///
/// # Errors
/// A recording that cannot be read; no such theme; a configuration in it that this version does not accept.
pub fn run(args: &ReplayArgs, config: Option<&Path>) -> anyhow::Result<ExitCode> {
    if args.print {
        let (mut out, mut err) = (std::io::stdout().lock(), std::io::stderr());
        let style = super::console::style(args.look.ascii);
        let mut console = Console { out: &mut out, err: &mut err, style, err_is_terminal: false };
        return Ok(ExitCode::from(print(&args.file, plans, &mut console)));
    }
    let recording = Recording::open(&args.file)?;
    let plans = plans(&recording.header)?;
    let wanted = match &args.look.theme {
        // The recording's own machine is elsewhere; the themes are this user's.
        Some(name) => themes::asked(name, config::find(config).map(|p| themes::beside(&p)).unwrap_or_default())?,
        None => Wanted::default(),
    };
    Ok(super::player::play(args, recording, plans, wanted))
}

/// The plans of a recorded configuration. Its secrets are masked, and nobody is contacted.
fn plans(header: &Header) -> Result<Vec<Arc<Plan>>, Problems> {
    let mut plans = Vec::new();
    for source in &header.config {
        plans.extend(config::parse(&source.name, &source.text)?.plans);
    }
    Ok(plans)
}

/// Folds a recording into the state that the session ended with, and the moment of its last event. What the screen shows
/// is not part of it. `plans` makes the plans from the recorded configuration.
///
/// # Errors
/// Whatever `plans` cannot make of the configuration.
pub fn fold<E>(
    recording: &Recording,
    plans: impl FnOnce(&Header) -> Result<Vec<Arc<Plan>>, E>,
) -> Result<(Model, Now), E> {
    let header = &recording.header;
    let mut model = super::live::model(header.boot.clone()).watching();
    model.configure(plans(header)?, header.started);
    let mut at = header.started;
    for stamped in &recording.events {
        // Events are stamped where they enter, and may arrive out of order: the state never goes back in time.
        if stamped.at.boot > at.boot {
            at = stamped.at;
        }
        match &stamped.event {
            Event::Polled(polled) => drop(model.polled(polled.clone())),
            Event::Remembered(past) => model.remember(History::clone(past)),
            Event::Rehearsed { plan, rehearsed } => model.rehearsed(plan, (**rehearsed).clone()),
            Event::Woke
            | Event::Key(_)
            | Event::Pointed(_)
            | Event::Pasted
            | Event::Resized { .. }
            | Event::StoreFailed(_)
            | Event::Journal(_)
            | Event::RunOpened { .. }
            | Event::Refused(_)
            | Event::Host(_)
            | Event::Painted(_)
            | Event::Debriefed { .. }
            | Event::Ended(_) => {}
        }
        model.settle(at);
    }
    Ok((model, at))
}

/// `replay --print`: prints the report of the moment at which the recording ends. Returns the exit code that a `check`
/// would have had then, or 70 where the recording cannot be read.
pub fn print<E: std::fmt::Display>(
    path: &Path,
    plans: impl FnOnce(&Header) -> Result<Vec<Arc<Plan>>, E>,
    console: &mut Console<'_>,
) -> u8 {
    let recording = match Recording::open(path) {
        Ok(recording) => recording,
        Err(e) => {
            console.note(&e.to_string());
            return EXIT_FAILED;
        }
    };
    if recording.cut {
        console.note(&format!("{}: the last line is cut; the session was killed", path.display()));
    }
    let (model, ended) = match fold(&recording, plans) {
        Ok(folded) => folded,
        Err(e) => {
            console.note(&format!("the recorded configuration: {e}"));
            return EXIT_FAILED;
        }
    };
    // A bound is true at the moment at which it was judged.
    let at = model.statuses().map(|s| s.at).max_by_key(|at| at.boot).unwrap_or(ended);
    let plans = model
        .statuses()
        .map(|s| PlanReport { status: s.as_ref().clone(), before: None, timeline: Vec::new() })
        .collect();
    let report = Report { at, machine: String::new(), areas: Vec::new(), plans };
    match console.print(&report::text(&report, console.style)) {
        Ok(_) => report.exit_code(),
        Err(e) => {
            console.note(&format!("the report cannot be written: {e}"));
            EXIT_FAILED
        }
    }
}
