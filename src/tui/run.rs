//! The loop: one owner, nothing awaited but news, a frame only when something visible changed.

use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use ratatui::Terminal;
use ratatui::backend::Backend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::app::{self, App, Effect, Event, Memory, Polled, Stamped};
use crate::plan::{BootTime, LaneId, Now, Plan, SafeText};

use super::frame::{Drawn, Look, draw};

/// How long news waits for more of its kind before it is drawn, and the shortest time between two frames for keys.
pub const FRAME: Duration = Duration::from_millis(16);
/// The longest time for which the clock is not looked at.
const SECOND: Duration = Duration::from_secs(1);
/// Most events that are taken in before a frame is drawn.
pub const BATCH: usize = 256;
/// Most looks that are taken in before keys are looked for again: each may mean a plan to judge.
const LOOKS: usize = 16;
/// Most looks that wait to be judged together.
const MOST_LOOKS: usize = 48;
/// The longest time for which news that keeps coming puts off a frame.
const LATEST: Duration = Duration::from_millis(100);

/// What the rest of the process tells the loop.
#[derive(Debug)]
pub enum Notice {
    /// Something happened.
    Event(Event),
    /// The configuration was read.
    Configured {
        /// The plans.
        plans: Vec<Arc<Plan>>,
        /// The theme that it asks for.
        theme: Option<String>,
    },
    /// The session cannot go on.
    Failed(Failure),
    /// The terminal asks this process to stop until it is continued.
    Stop,
    /// This process was continued by somebody else.
    Continued,
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
    last: Buffer,
    dirty: bool,
    /// Since when something waits to be drawn.
    dirty_since: Option<Instant>,
    /// When the first and the last of the looks came that wait to be judged, and how many.
    looks_since: Option<(Instant, Instant)>,
    looks: usize,
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
pub fn paint<B: Backend>(terminal: &mut Terminal<B>, app: &App, look: Look, now: Now) -> Result<Drawn, B::Error> {
    let mut drawn = Drawn::default();
    terminal.draw(|frame| drawn = draw(frame.buffer_mut(), app, look, now))?;
    Ok(drawn)
}

enum News {
    Notice(Notice),
    Input(Event),
    Polled(Polled),
    InputEnded,
    Woke,
}

impl<'a, B: Backend, O: Outside> Session<'a, B, O> {
    /// A session on a terminal on which the first frame has been drawn.
    pub fn new(terminal: &'a mut Terminal<B>, app: &'a mut App, outside: O, look: Look, clock: fn() -> Now) -> Self {
        let drawn = Drawn { next: None, detail_max: 0, formatted: 0 };
        let (last, dirty_since, looks_since) = (Buffer::default(), None, None);
        Self { terminal, app, outside, look, clock, drawn, last, dirty: false, dirty_since, looks_since, looks: 0 }
    }

    /// Runs until a person leaves, a signal comes, the terminal ends or the session cannot go on.
    ///
    /// # Errors
    /// Where the terminal cannot be written to or taken again.
    pub async fn run<I>(&mut self, mut inbox: Inbox, mut input: I) -> io::Result<End>
    where
        I: Stream<Item = Event> + Unpin,
    {
        // A key is shown at once, whatever frame looks have just had; keys that come faster share one.
        let mut last_typed: Option<Instant> = None;
        let (mut notices_open, mut polls_open) = (true, true);
        loop {
            let wake = self.wake_in();
            let news = tokio::select! {
                biased;
                notice = inbox.notices.recv(), if notices_open => match notice {
                    Some(notice) => News::Notice(notice),
                    None => { notices_open = false; continue }
                },
                event = input.next() => event.map_or(News::InputEnded, News::Input),
                polled = inbox.polls.recv(), if polls_open => match polled {
                    Some(polled) => News::Polled(polled),
                    None => { polls_open = false; continue }
                },
                () = tokio::time::sleep(wake) => News::Woke,
            };
            let mut typed = matches!(news, News::Input(_));
            let mut looks = 0;
            if let Some(end) = self.take(news)? {
                return Ok(end);
            }
            // Take in what is already there, so that a burst costs one frame.
            let mut drained = false;
            for _ in 0..BATCH {
                let next = match inbox.notices.try_recv() {
                    Ok(notice) => Some(News::Notice(notice)),
                    Err(_) => match ready(&mut input).await {
                        Some(event) => Some(event.map_or(News::InputEnded, News::Input)),
                        // Whoever types is shown it first.
                        None if typed || looks >= LOOKS => break,
                        None => inbox.polls.try_recv().ok().map(News::Polled),
                    },
                };
                typed |= matches!(next, Some(News::Input(_)));
                looks += usize::from(matches!(next, Some(News::Polled(_))));
                let Some(news) = next else {
                    drained = true;
                    break;
                };
                if let Some(end) = self.take(news)? {
                    return Ok(end);
                }
            }
            if typed && self.dirty && last_typed.is_none_or(|at| at.elapsed() >= FRAME) {
                self.show()?;
                last_typed = Some(Instant::now());
            }
            // A plan's lanes answer together: judged between two of them, it would be judged twice, and a frame would show
            // a bound that the second mends.
            let since = self.looks_since.map(|(first, _)| first);
            if self.looks_due().is_zero() {
                (self.looks, self.looks_since) = (0, None);
                let settled = self.app.settle((self.clock)());
                if settled.dirty && !self.dirty {
                    self.dirty_since = since;
                }
                self.dirty |= settled.dirty;
                if let Some(end) = self.carry_out(settled.effects)? {
                    return Ok(end);
                }
            }
            let now = (self.clock)();
            self.dirty |= self.drawn.next.is_some_and(|at| at <= now.boot);
            if !self.dirty {
                continue;
            }
            let waits = self.dirty_since.get_or_insert_with(Instant::now).elapsed();
            if drained && waits >= FRAME || waits >= LATEST {
                self.show()?;
            }
        }
    }

    /// Draws what there is to see now.
    fn show(&mut self) -> io::Result<()> {
        let now = (self.clock)();
        let minute = app::update::next_minute(now);
        self.drawn = self.frame(now)?;
        // The header's clock is an age too.
        self.drawn.next = Some(self.drawn.next.map_or(minute, |n| n.min(minute)));
        self.app.view.detail = self.app.view.detail.min(self.drawn.detail_max);
        self.dirty = false;
        self.dirty_since = None;
        Ok(())
    }

    /// Draws a frame; sends nothing where it looks as the last one did.
    fn frame(&mut self, now: Now) -> io::Result<Drawn> {
        let mut next = Buffer::empty(Rect::from(self.terminal.size().map_err(gone)?));
        let drawn = draw(&mut next, self.app, self.look, now);
        if next != self.last {
            self.terminal
                .draw(|frame| {
                    // The terminal may have changed between the two questions for its size; the next event redraws.
                    if frame.area() == next.area {
                        frame.buffer_mut().clone_from(&next);
                    }
                })
                .map_err(gone)?;
            self.last = next;
        }
        Ok(drawn)
    }

    /// How long the looks that came wait for more before they are judged: until none comes for a frame's time.
    fn looks_due(&self) -> Duration {
        match self.looks_since {
            Some((first, last)) if self.looks < MOST_LOOKS => {
                FRAME.saturating_sub(last.elapsed()).min(LATEST.saturating_sub(first.elapsed()))
            }
            Some(_) | None => Duration::ZERO,
        }
    }

    /// How long nothing will change by itself.
    fn wake_in(&self) -> Duration {
        if self.dirty {
            return self.dirty_since.map_or(Duration::ZERO, |at| FRAME.saturating_sub(at.elapsed()));
        }
        if self.looks_since.is_some() {
            return self.looks_due();
        }
        let now = (self.clock)();
        let until = |at: BootTime| at.0.saturating_sub(now.boot.0);
        let app = app::next_wake(self.app, now).map(until);
        let ages = self.drawn.next.map(until);
        // Timers do not count the time that a machine is suspended; evidence ages all the same. So look at the clock
        // every second: what has aged meanwhile is judged then.
        app.into_iter().chain(ages).min().unwrap_or(SECOND).clamp(Duration::from_millis(1), SECOND)
    }

    fn take(&mut self, news: News) -> io::Result<Option<End>> {
        let at = (self.clock)();
        let event = match news {
            News::Input(event) | News::Notice(Notice::Event(event)) => event,
            News::Polled(polled) => {
                self.looks += 1;
                let came = Instant::now();
                self.looks_since = Some((self.looks_since.map_or(came, |(first, _)| first), came));
                Event::Polled(polled)
            }
            News::Woke => Event::Woke,
            News::InputEnded => return Ok(Some(End::Ended("terminal".into()))),
            News::Notice(Notice::Configured { plans, theme }) => {
                if let Some(theme) = theme {
                    self.app.view.theme = theme;
                }
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
            | Event::Pasted
            | Event::Resized { .. }
            | Event::Polled(_)
            | Event::Remembered(_)
            | Event::StoreFailed(_)
            | Event::Woke => None,
        };
        if let Event::Resized { .. } = event {
            self.terminal.autoresize().map_err(gone)?;
            self.last = Buffer::default();
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
        self.last = Buffer::default();
        let event = Event::Resized { cols: size.width, rows: size.height };
        app::update(self.app, Stamped { at: (self.clock)(), event });
        self.dirty = true;
        Ok(())
    }
}

/// What the input has ready, without waiting. Polled with the loop's own waker: the terminal's stream keeps the first
/// waker that it is given, and one that wakes nobody would make it deaf.
async fn ready<I: Stream<Item = Event> + Unpin>(input: &mut I) -> Option<Option<Event>> {
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
