//! A recorded session on the screen, at its own pace: what was typed and what came back, frame by frame.

use std::io::{self, BufWriter, Write as _};
use std::mem::ManuallyDrop;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::event::KeyCode;
use crate::app::{self, App, Event, Stamped};
use crate::plan::{Now, Plan};
use crate::store::recording::Recording;
use crate::tui::input::{self, Input};
use crate::tui::quiet::Quiet;
use crate::tui::run::{Wanted, paint, wear};
use crate::tui::terminal::{self, Guard};

use super::args::ReplayArgs;
use super::{EXIT_FAILED, EXIT_USAGE, live, watch};

/// Longest pause between two frames of a replay: nobody waits for a night in which nothing happened.
const LONGEST: Duration = Duration::from_secs(5);

/// Plays a recording until it ends and a person leaves. Keys: space pauses and goes on, right takes one step, q leaves.
#[must_use]
pub fn play(args: &ReplayArgs, recording: Recording, plans: Vec<Arc<Plan>>, wanted: Wanted) -> ExitCode {
    if !terminal::usable() {
        drop(writeln!(io::stderr(), "lifeboat: replay needs a terminal; --print prints how the recording ends"));
        return ExitCode::from(EXIT_USAGE);
    }
    match on_terminal(args, recording, plans, wanted) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(io::stderr(), "lifeboat: the terminal cannot be used: {error}"));
            ExitCode::from(EXIT_FAILED)
        }
    }
}

fn on_terminal(args: &ReplayArgs, recording: Recording, plans: Vec<Arc<Plan>>, wanted: Wanted) -> io::Result<()> {
    let mut look = watch::look(&args.look);
    let guard = Guard::take()?;
    terminal::watch()?;
    let out = BufWriter::with_capacity(1 << 16, io::stdout());
    // Not dropped, as in `watch`.
    let mut terminal = ManuallyDrop::new(Terminal::new(Quiet::new(CrosstermBackend::new(out)))?);
    let size = terminal.size()?;
    let mut app = App::new(live::model(recording.header.boot.clone()).watching(), size.width, size.height);
    let mut now = recording.header.started;
    wear(&mut app, &mut look, wanted, now);
    app.configure(plans, now);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let mut signals =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?);
        let mut keys = input::terminal();
        let mut events = recording.events.into_iter().peekable();
        let mut paused = false;
        loop {
            app.settle(now);
            paint(&mut *terminal, &app, &look, now)?;
            let wait = events.peek().map(|next| pause(now, next.at, args.speed));
            let mut step = false;
            tokio::select! {
                () = tokio::time::sleep(wait.unwrap_or(LONGEST)), if !paused && wait.is_some() => step = true,
                key = keys.next() => match key {
                    None => return Ok(()),
                    Some(Input::Event(Event::Key(key))) => match key.code {
                        KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
                        KeyCode::Char('c') if key.ctrl => return Ok(()),
                        KeyCode::Char(' ') => paused = !paused,
                        KeyCode::Right => step = true,
                        _ => {}
                    },
                    Some(Input::Event(event @ Event::Resized { .. })) => {
                        terminal.autoresize()?;
                        app::update(&mut app, Stamped { at: now, event });
                    }
                    Some(_) => {}
                },
                _ = signals.0.recv() => return Ok(()),
                _ = signals.1.recv() => return Ok(()),
                _ = signals.2.recv() => return Ok(()),
            }
            if step && let Some(stamped) = events.next() {
                // Events are stamped where they enter, and may arrive out of order: the screen never goes back in time.
                if stamped.at.boot > now.boot {
                    now = stamped.at;
                }
                // The size is this terminal's, and the end of the recording is not the end of the replay.
                if !matches!(stamped.event, Event::Resized { .. } | Event::Ended(_)) {
                    app::update(&mut app, stamped);
                }
            }
        }
    });
    guard.release();
    done
}

/// How long to wait for what comes next.
fn pause(now: Now, next: Now, speed: u32) -> Duration {
    (next.since(now) / speed.max(1)).min(LONGEST)
}
