//! The loop: one owner, nothing awaited but news, a frame only when something visible changed.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use ratatui::Terminal;
use ratatui::backend::Backend;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::app::event::Pointed;
use crate::app::guided::OpenRun;
use crate::app::view::{Message, THEMES};
use crate::app::{self, Ages, App, Effect, Event, Memory, Polled, Stamped};
use crate::plan::{BootTime, LaneId, Now, Plan, PlanId, SafeText};
use crate::readiness::PlanStatus;
use crate::runbook::{Command, RunId, Runbooks};

use super::frame::{Drawn, Look, draw};
use super::input::Input;
use super::theme::Own;

/// The shortest time between two frames for keys.
pub const FRAME: Duration = Duration::from_millis(16);
/// The shortest time between two frames for news, and between two for ages alone.
const NEWS: Duration = Duration::from_millis(25);
const AGES: Duration = Duration::from_secs(1);
/// The longest time for which the clock is not looked at.
const SECOND: Duration = Duration::from_secs(1);
/// Most events that are taken in before a frame is drawn.
pub const BATCH: usize = 256;
/// The longest time for which looks are taken in or judged before keys are looked for again.
const SLICE: Duration = Duration::from_micros(500);
/// How long the first look waits for more, and how often it is seen whether there are: not once for each.
const GATHER: Duration = Duration::from_millis(16);
/// The longest time for which news that keeps coming puts off judging it, and a frame.
const LATEST: Duration = Duration::from_millis(100);

/// How often the log is told how old what was seen is.
const TELL: Duration = Duration::from_secs(60);

/// What the rest of the process tells the loop.
#[derive(Debug)]
pub enum Notice {
    /// Something happened.
    Event(Event),
    /// The configuration was read.
    Configured {
        /// The plans.
        plans: Vec<Arc<Plan>>,
        /// What can be run for them.
        runbooks: BTreeMap<PlanId, Arc<Runbooks>>,
        /// How the screen shall be.
        wanted: Wanted,
    },
    /// The session cannot go on.
    Failed(Failure),
    /// The terminal asks this process to stop until it is continued.
    Stop,
    /// This process was continued by somebody else.
    Continued,
}

/// How the screen shall be, as far as the configuration and the command line say.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The theme.
    pub theme: Option<String>,
    /// The user's own themes.
    pub own: Vec<Own>,
    /// Whether the mouse is taken.
    pub mouse: bool,
    /// What to say about it at the bottom.
    pub note: Option<String>,
    /// What can be let begin in the practice world, by name, each with a sentence.
    pub scenarios: Vec<(String, String)>,
}

/// Why a session could not go on: what to print when the screen is gone, and the exit status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What to print.
    pub text: String,
    /// The exit status.
    pub status: u8,
}

/// Why the loop ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// A person left.
    Quit,
    /// A signal, by its name; or the terminal, where it cannot be read any more.
    Ended(SafeText),
    /// The session could not go on.
    Failed(Failure),
}

/// What the loop asks of the rest of the process. Nothing here may wait.
pub trait Outside {
    /// The plans are known: start to look at them.
    fn start(&mut self, plans: &[Arc<Plan>]);
    /// Look at these lanes now; at all where there are none.
    fn poll_now(&mut self, lanes: &[LaneId]);
    /// Keep these.
    fn remember(&mut self, memories: Vec<Memory>);
    /// Take down what happened, where the session is recorded.
    fn record(&mut self, _event: &Stamped) {}
    /// Open this run, and start its runner.
    fn open_run(&mut self, _run: OpenRun) {}
    /// Put what a person wants of a run into its journal.
    fn command(&mut self, _run: RunId, _command: Command) {}
    /// Start a runner for a run whose own is gone.
    fn start_runner(&mut self, _run: RunId) {}
    /// Let a scenario begin in the practice world, where there is one.
    fn practice(&mut self, _name: &str) {}
    /// Look the runbooks of this plan through, as it was just judged; also as if its active site were gone.
    fn rehearse(&mut self, _status: &Arc<PlanStatus>, _lost: bool) {}
    /// Put this text on the clipboard, if the terminal allows it.
    ///
    /// # Errors
    /// Where the terminal cannot be written to.
    fn copy(&mut self, text: &str) -> io::Result<()>;
    /// Take the mouse, or leave it to the terminal.
    ///
    /// # Errors
    /// Where the terminal cannot be written to.
    fn mouse(&mut self, on: bool) -> io::Result<()>;
    /// Give the terminal back and stop until continued; then take it again.
    ///
    /// # Errors
    /// Where the terminal cannot be taken again.
    fn suspend(&mut self) -> io::Result<()>;
    /// Take the terminal again after somebody else stopped and continued this process.
    ///
    /// # Errors
    /// Where the terminal cannot be taken again.
    fn resume(&mut self) -> io::Result<()>;
}

/// Where news comes from. All channels are bounded; whoever sends waits.
#[derive(Debug)]
pub struct Inbox {
    /// Signals, the configuration, the store.
    pub notices: mpsc::Receiver<Notice>,
    /// Looks.
    pub polls: mpsc::Receiver<Polled>,
}

/// The loop's parts.
pub struct Session<'a, B: Backend, O: Outside> {
    /// What is drawn on.
    pub terminal: &'a mut Terminal<B>,
    /// Everything known and shown.
    pub app: &'a mut App,
    /// The rest of the process.
    pub outside: O,
    /// What the terminal can show.
    pub look: Look,
    /// The clock.
    pub clock: fn() -> Now,
    drawn: Drawn,
    dirty: bool,
    /// Since when something waits to be drawn.
    dirty_since: Option<Instant>,
    /// When something was drawn last, and when for a key.
    shown: Option<Instant>,
    typed: Option<Instant>,
    /// Whether a key waits to be shown.
    key_waits: bool,
    /// The looks that wait to be judged together.
    gathering: Option<Gathering>,
    /// How old looks were when they were to be seen, since the log was told.
    ages: Ages,
    told: Now,
}

/// Looks that have come, and wait for those that come with them.
#[derive(Clone, Copy, Debug)]
struct Gathering {
    /// When to see whether more have come.
    until: Instant,
    /// Whether none but the first was taken in.
    first: bool,
}

impl<B: Backend, O: Outside> std::fmt::Debug for Session<'_, B, O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("dirty", &self.dirty).finish_non_exhaustive()
    }
}

/// Draws one frame.
///
/// # Errors
/// Where the terminal cannot be written to.
pub fn paint<B: Backend>(terminal: &mut Terminal<B>, app: &App, look: &Look, now: Now) -> Result<Drawn, B::Error> {
    let mut drawn = Drawn::default();
    terminal.draw(|frame| drawn = draw(frame.buffer_mut(), app, look, now))?;
    Ok(drawn)
}

enum News {
    Notice(Notice),
    Input(Input),
    Polled(Polled),
    InputEnded,
    Woke,
}

impl<'a, B: Backend, O: Outside> Session<'a, B, O> {
    /// A session on a terminal on which the first frame has been drawn.
    pub fn new(terminal: &'a mut Terminal<B>, app: &'a mut App, outside: O, look: Look, clock: fn() -> Now) -> Self {
        let drawn = Drawn::default();
        let (dirty, key_waits) = (false, false);
        let (dirty_since, shown, typed, gathering) = (None, None, None, None);
        let (ages, told) = (Ages::default(), clock());
        Self {
            terminal,
            app,
            outside,
            look,
            clock,
            drawn,
            dirty,
            dirty_since,
            shown,
            typed,
            key_waits,
            gathering,
            ages,
            told,
        }
    }

    /// Runs until a person leaves, a signal comes, the terminal ends or the session cannot go on.
    ///
    /// # Errors
    /// Where the terminal cannot be written to or taken again.
    pub async fn run<I>(&mut self, mut inbox: Inbox, mut input: I) -> io::Result<End>
    where
        I: Stream<Item: Into<Input>> + Unpin,
    {
        let (mut notices_open, mut polls_open) = (true, true);
        loop {
            // Looks that wait to be judged are judged before more are taken in; those that gather are left to.
            let rest = self.unjudged();
            let wake = if rest { Duration::ZERO } else { self.wake_in() };
            let reads = polls_open && !rest && self.gathering.is_none();
            let news = tokio::select! {
                biased;
                notice = inbox.notices.recv(), if notices_open => match notice {
                    Some(notice) => Some(News::Notice(notice)),
                    None => { notices_open = false; continue }
                },
                event = input.next() => Some(event.map_or(News::InputEnded, |e| News::Input(e.into()))),
                polled = inbox.polls.recv(), if reads => match polled {
                    Some(polled) => Some(News::Polled(polled)),
                    None => { polls_open = false; continue }
                },
                () = tokio::time::sleep(wake) => (!rest && self.gathering.is_none()).then_some(News::Woke),
            };
            if let Some(news) = news
                && let Some(end) = self.take(news)?
            {
                return Ok(end);
            }
            // Take in what is already there, so that a burst costs one frame.
            for _ in 0..BATCH {
                let next = match inbox.notices.try_recv() {
                    Ok(notice) => Some(News::Notice(notice)),
                    Err(_) => ready(&mut input).await.map(|e| e.map_or(News::InputEnded, |e| News::Input(e.into()))),
                };
                let Some(news) = next else { break };
                if let Some(end) = self.take(news)? {
                    return Ok(end);
                }
            }
            // Whoever types is shown it first, and at once, whatever frame looks have just had.
            if self.key_waits && self.dirty && self.frame_due().is_zero() {
                self.show()?;
            }
            if !rest && let Some(end) = self.gather(&mut inbox.polls)? {
                return Ok(end);
            }
            if !self.gathers()
                && let Some(end) = self.judge()?
            {
                return Ok(end);
            }
            self.dirty |= self.ages_due().is_some_and(|due| due.is_zero());
            if !self.dirty {
                // What has been judged changes nothing that is seen: it is on the screen already.
                self.seen((self.clock)());
                continue;
            }
            self.dirty_since.get_or_insert_with(Instant::now);
            if self.frame_due().is_zero() {
                self.show()?;
            }
        }
    }

    /// Takes in the looks that have come since. Most are answers to questions that were sent at one moment.
    fn gather(&mut self, polls: &mut mpsc::Receiver<Polled>) -> io::Result<Option<End>> {
        let Some(Gathering { until, .. }) = self.gathering else { return Ok(None) };
        let begun = Instant::now();
        if begun < until {
            return Ok(None);
        }
        let mut more = false;
        while begun.elapsed() < SLICE {
            let Ok(polled) = polls.try_recv() else {
                self.gathering = more.then(|| Gathering { until: begun + GATHER, first: false });
                return Ok(None);
            };
            more = true;
            if let Some(end) = self.take(News::Polled(polled))? {
                return Ok(Some(end));
            }
        }
        // There are more than can be taken in at once: go on after the keys.
        self.gathering = Some(Gathering { until: begun, first: false });
        Ok(None)
    }

    /// Whether looks wait for those that come with them.
    fn gathers(&self) -> bool {
        self.gathering.is_some_and(|g| g.first)
    }

    /// Judges what is due, for a slice of time.
    fn judge(&mut self) -> io::Result<Option<End>> {
        let begun = Instant::now();
        let mut first = true;
        // At least one: otherwise a slow clock would be an end of all judging.
        let go_on = || std::mem::take(&mut first) || begun.elapsed() < SLICE;
        let settled = self.app.settle_while((self.clock)(), go_on);
        self.dirty |= settled.dirty;
        self.carry_out(settled.effects)
    }

    /// Whether a plan is to be judged, and nothing is waited for.
    fn unjudged(&self) -> bool {
        !self.gathers() && self.app.model.is_due((self.clock)())
    }

    /// Draws what there is to see now.
    fn show(&mut self) -> io::Result<()> {
        let now = (self.clock)();
        let minute = app::update::next_minute(now);
        self.drawn = paint(self.terminal, self.app, &self.look, now).map_err(gone)?;
        // The header's clock is an age too.
        self.drawn.next = Some(self.drawn.next.map_or(minute, |n| n.min(minute)));
        self.app.view.detail = self.app.view.detail.min(self.drawn.detail_max);
        self.tell_painted(now);
        self.dirty = false;
        self.dirty_since = None;
        self.seen((self.clock)());
        self.shown = Some(Instant::now());
        if std::mem::take(&mut self.key_waits) {
            self.typed = self.shown;
        }
        Ok(())
    }

    /// Counts how old the looks are that are on the screen from now on.
    fn seen(&mut self, now: Now) {
        for asked in self.app.take_looks() {
            self.ages.add(now.since(asked));
        }
        if now.since(self.told) >= TELL {
            self.tell_ages();
        }
    }

    /// Tells the log how many looks came to be seen since it was told last, and how old they then were: from the question,
    /// through its answer and its judgement, to the frame.
    pub fn tell_ages(&mut self) {
        let ages = std::mem::take(&mut self.ages);
        self.told = (self.clock)();
        let ms = |d: Duration| d.as_millis();
        let (median, p99, oldest) = (ms(ages.percentile(50)), ms(ages.percentile(99)), ms(ages.oldest()));
        tracing::info!(looks = ages.count(), median, p99, oldest, "milliseconds from question to screen");
    }

    /// What is typed is taken only by what was on the screen, so the state is told what that was. An event like any other:
    /// a recording holds it.
    fn tell_painted(&mut self, now: Now) {
        if !self.app.view.knows(self.drawn.prompt.as_ref()) {
            let stamped = Stamped { at: now, event: Event::Painted(self.drawn.prompt.clone()) };
            self.outside.record(&stamped);
            // It changes nothing that is drawn, and nothing follows from it.
            app::update(self.app, stamped);
        }
    }

    /// How long a frame waits. One for keys: only where keys come faster than frames. One for news: until all of it is
    /// judged, or has waited for long; and until the last frame is a while ago.
    fn frame_due(&self) -> Duration {
        if self.key_waits {
            return self.typed.map_or(Duration::ZERO, |at| FRAME.saturating_sub(at.elapsed()));
        }
        let waits = self.dirty_since.map_or(Duration::ZERO, |at| at.elapsed());
        let rest = self.shown.map_or(Duration::ZERO, |at| NEWS.saturating_sub(at.elapsed()));
        let whole = if self.unjudged() { LATEST } else { Duration::ZERO };
        whole.saturating_sub(waits).max(rest)
    }

    /// When the ages that are drawn change: several at once, rather than each in a frame of its own.
    fn ages_due(&self) -> Option<Duration> {
        let now = (self.clock)();
        let changes = self.drawn.next?.0.saturating_sub(now.boot.0);
        let rest = self.shown.map_or(Duration::ZERO, |at| AGES.saturating_sub(at.elapsed()));
        Some(changes.max(rest))
    }

    /// How long nothing will change by itself.
    fn wake_in(&self) -> Duration {
        let frame = self.dirty.then(|| self.frame_due());
        let gathered = self.gathering.map(|g| g.until.saturating_duration_since(Instant::now()));
        let now = (self.clock)();
        let app = app::next_wake(self.app, now).filter(|_| !self.gathers());
        let app = app.map(|at: BootTime| at.0.saturating_sub(now.boot.0));
        let ages = if self.dirty { None } else { self.ages_due() };
        let next = app.into_iter().chain(ages).chain(gathered).min();
        // Timers do not count the time that a machine is suspended; evidence ages all the same. So look at the clock
        // every second: what has aged meanwhile is judged then.
        next.into_iter().chain(frame).min().unwrap_or(SECOND).clamp(Duration::from_millis(1), SECOND)
    }

    fn take(&mut self, news: News) -> io::Result<Option<End>> {
        let at = (self.clock)();
        let event = match news {
            News::Input(input) => {
                self.key_waits = true;
                match input {
                    Input::Event(event) => event,
                    Input::Mouse { act, col, row } => Event::Pointed(Pointed { act, on: self.drawn.at(col, row) }),
                }
            }
            News::Notice(Notice::Event(event)) => event,
            News::Polled(polled) => {
                if self.gathering.is_none() {
                    self.gathering = Some(Gathering { until: Instant::now() + GATHER, first: true });
                }
                Event::Polled(polled)
            }
            News::Woke => Event::Woke,
            News::InputEnded => return Ok(Some(End::Ended("terminal".into()))),
            News::Notice(Notice::Configured { plans, runbooks, wanted }) => {
                let mouse = wanted.mouse;
                wear(self.app, &mut self.look, wanted, at);
                if mouse {
                    self.outside.mouse(true)?;
                }
                self.app.runbooks = runbooks;
                self.app.configure(plans.clone(), at);
                self.outside.start(&plans);
                self.dirty = true;
                return Ok(None);
            }
            News::Notice(Notice::Failed(failure)) => return Ok(Some(End::Failed(failure))),
            News::Notice(Notice::Stop) => return self.carry_out(vec![Effect::Suspend]),
            News::Notice(Notice::Continued) => {
                self.outside.resume()?;
                self.redraw()?;
                return Ok(None);
            }
        };
        let ended = match &event {
            Event::Ended(why) => Some(End::Ended(why.clone())),
            Event::Key(_)
            | Event::Pointed(_)
            | Event::Pasted
            | Event::Resized { .. }
            | Event::Polled(_)
            | Event::Remembered(_)
            | Event::StoreFailed(_)
            | Event::Journal(_)
            | Event::RunOpened { .. }
            | Event::Refused(_)
            | Event::Host(_)
            | Event::Painted(_)
            | Event::Rehearsed { .. }
            | Event::Debriefed { .. }
            | Event::Woke => None,
        };
        if let Event::Resized { .. } = event {
            self.terminal.autoresize().map_err(gone)?;
        }
        let stamped = Stamped { at, event };
        self.outside.record(&stamped);
        let update = app::update(self.app, stamped);
        self.dirty |= update.dirty;
        let end = self.carry_out(update.effects)?;
        Ok(ended.or(end))
    }

    fn carry_out(&mut self, effects: Vec<Effect>) -> io::Result<Option<End>> {
        for effect in effects {
            match effect {
                Effect::PollNow(lanes) => self.outside.poll_now(&lanes),
                Effect::Remember(memories) => self.outside.remember(memories),
                Effect::Copy(text) => self.outside.copy(&text)?,
                Effect::Mouse(on) => self.outside.mouse(on)?,
                Effect::OpenRun(run) => self.outside.open_run(*run),
                Effect::Command(run, command) => self.outside.command(run, command),
                Effect::Rehearse { plan, lost } => {
                    if let Some(status) = self.app.model.status(&plan) {
                        self.outside.rehearse(status, lost);
                    }
                }
                Effect::StartRunner(run) => self.outside.start_runner(run),
                Effect::Practice(name) => self.outside.practice(&name),
                Effect::Suspend => {
                    self.outside.suspend()?;
                    self.redraw()?;
                }
                Effect::Quit => return Ok(Some(End::Quit)),
            }
        }
        Ok(None)
    }

    /// Somebody else drew on the terminal: everything is drawn anew.
    fn redraw(&mut self) -> io::Result<()> {
        // Not `clear`: it asks the terminal where its cursor is, and waits for the answer.
        let size = self.terminal.size().map_err(gone)?;
        self.terminal.resize(size.into()).map_err(gone)?;
        let event = Event::Resized { cols: size.width, rows: size.height };
        app::update(self.app, Stamped { at: (self.clock)(), event });
        self.dirty = true;
        Ok(())
    }
}

/// Makes the screen as it is wanted.
pub fn wear(app: &mut App, look: &mut Look, wanted: Wanted, at: Now) {
    let view = &mut app.view;
    view.mouse = wanted.mouse;
    view.themes = THEMES.map(String::from).to_vec();
    view.themes.extend(wanted.own.iter().map(|o| &o.name).filter(|n| !THEMES.contains(&n.as_str())).cloned());
    view.scenarios = wanted.scenarios;
    look.own = wanted.own;
    if let Some(theme) = wanted.theme {
        view.theme = theme;
    }
    if let Some(text) = wanted.note {
        view.message = Some(Message { text, at });
    }
}

/// What the input has ready, without waiting. Polled with the loop's own waker: the terminal's stream keeps the first
/// waker that it is given, and one that wakes nobody would make it deaf.
async fn ready<I: Stream + Unpin>(input: &mut I) -> Option<Option<I::Item>> {
    std::future::poll_fn(|cx| match input.poll_next_unpin(cx) {
        Poll::Ready(event) => Poll::Ready(Some(event)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// A fault of the terminal, whichever kind of terminal it is.
fn gone<E: std::error::Error>(error: E) -> io::Error {
    io::Error::other(error.to_string())
}
