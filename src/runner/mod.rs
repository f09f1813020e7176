//! Executes a run's approved steps. A process of its own: no session's end is its end.
//!
//! It has the run's lock for its life, hears of its work through the journal alone, and says there whatever it does. It looks
//! at the plan itself. Nothing that it is asked to do is done without an approval that holds by what it has just re-read;
//! and what may have been done is only looked for, never repeated.

mod book;
mod eyes;
mod hands;
mod sentry;
mod spawn;
mod step;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::config;
use crate::net::Net;
use crate::plan::{Now, Plan, SafeText, Span};
use crate::runbook::{
    AttemptId, Command, Epoch, Observation, Operator, Outcome, Phase, Resolution, RunId, RunState, StepIx, StepState,
    WATCHED, Yield, step_in,
};
use crate::store::{self, Held, Journal, JournalError};

pub use eyes::{Eyes, Sight, Writer};
pub use hands::{Open, by_kind};
pub use spawn::spawn;

use book::{Book, Unwritten};
use hands::Hands;
use sentry::Sentry;
use step::{Bench, Done};

/// How long what is to be shown waits for whoever is silent.
const FRESH: Duration = Duration::from_secs(6);
/// Before something that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How often it does what.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between two questions whether the journal has news.
    pub poll: Duration,
    /// Between two looks for an effect that is awaited.
    pub look: Duration,
    /// Between two looks for an effect of which nobody can say whether it comes.
    pub again: Duration,
    /// Between two looks at a fence that no probe sees fall.
    pub watch: Duration,
    /// After this long without any news of the run it lets go of it; a client starts another when it is needed.
    pub idle: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            poll: Duration::from_millis(100),
            look: Duration::from_millis(250),
            again: Duration::from_secs(2),
            watch: Duration::from_secs(10),
            idle: WATCHED,
        }
    }
}

/// What a runner works with.
pub struct Runner {
    /// The journal.
    pub journal: Arc<Journal>,
    /// The hold on the run.
    pub held: Held,
    /// Who this process is.
    pub who: Operator,
    /// The plan, as pinned when the run was opened.
    pub plan: Arc<Plan>,
    /// The network.
    pub net: Arc<Net>,
    /// What looks at the plan.
    pub eyes: Eyes,
    /// What opens the steps' executors.
    pub open: Open,
    /// How often it does what.
    pub pace: Pace,
}

/// Why a runner ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The run is closed.
    Closed,
    /// It was asked to end; what was in hand is finished.
    Stopped,
    /// Nobody wanted anything of it for long.
    Idle,
    /// The run is another's now, or its journal does not take what this one says.
    Lost,
    /// Its journal was taken away: there is none by which anything could be done.
    Gone,
}

/// Why a runner does not begin.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// The journal cannot be used, or the run cannot be taken.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// What the run is pinned to cannot be read by this version.
    #[error("what run {run} is pinned to cannot be read by this lifeboat; {version} wrote it:\n{problems}")]
    Pinned {
        /// The run.
        run: RunId,
        /// The version that opened it.
        version: SafeText,
        /// Everything that is wrong with it.
        problems: String,
    },
}

/// Takes a run and works on it until it is closed, `stop` is cancelled, or nobody wants anything for long. Reads nothing but
/// the journal: what the run was pinned to counts, whatever the configuration says today.
///
/// # Errors
/// Why it does not begin. Nothing was done then.
pub async fn run(
    journal: Arc<Journal>,
    run: &RunId,
    who: Operator,
    pace: Pace,
    stop: CancellationToken,
) -> Result<End, RunnerError> {
    let state = journal.state(run)?;
    let plan = pinned(&state)?;
    let held = journal.take(run, &who)?;
    let net = Net::of(std::slice::from_ref(&plan));
    let eyes = Eyes::open(&plan, &net, journal.dir());
    let world = plan.practice.is_some().then(|| journal.dir().to_owned());
    let runner = Runner { journal, held, who, plan, net, eyes, open: by_kind(), pace };
    tokio::select! {
        end = work(runner, stop) => Ok(end),
        // What was in hand went with its world.
        () = end_of(world) => Ok(End::Lost),
    }
}

/// Waits until the practice world of this state directory ends; for ever where there is none.
async fn end_of(world: Option<PathBuf>) {
    let Some(state) = world else { return std::future::pending().await };
    while store::world::lives(&state) {
        tokio::time::sleep(RETRY).await;
    }
    tracing::info!("the practice world is over");
}

/// The plan that a run is pinned to.
fn pinned(state: &RunState) -> Result<Arc<Plan>, RunnerError> {
    let opened = &state.opened;
    let failed = |problems: String| RunnerError::Pinned {
        run: state.run.clone(),
        version: opened.version.clone(),
        problems: problems.trim_end().to_owned(),
    };
    let config = config::parse(state.run.as_str(), &opened.pinned).map_err(|p| failed(p.to_string()))?;
    let plan = config.plans.into_iter().find(|p| p.id == opened.plan);
    let plan = plan.ok_or_else(|| failed("its plan is missing".to_owned()))?;
    // A run that says practice acts in a practice world only, and a real one never does.
    if opened.practice == plan.practice.is_some() {
        Ok(plan)
    } else {
        Err(failed("its plan and its opening disagree about whether it is practice".to_owned()))
    }
}

/// As [`run`], with a run that is held, and with parts of the caller's.
pub async fn work(runner: Runner, stop: CancellationToken) -> End {
    let Runner { journal, held, who, plan, net, eyes, open, pace } = runner;
    let run = held.tenure().run().clone();
    let steps = journal.state(&run).map_or(0, |s| s.steps.len());
    let book = Arc::new(Book::new(journal, held, who));
    let hands = Hands::new(plan, net, eyes, Arc::clone(&book), open, steps);
    let bench = Arc::new(Bench { book, hands, pace });
    let mut desk = Desk {
        bench,
        stop,
        in_hand: JoinSet::new(),
        preflight: None,
        looking: HashMap::new(),
        sentry: Sentry::default(),
        watching: JoinSet::new(),
        watch_at: Instant::now(),
        moved: clock::now(),
        not_before: Instant::now(),
    };
    tracing::info!(%run, "holds the run");
    let end = desk.work().await;
    tracing::info!(%run, ?end, "lets go of the run");
    end
}

/// The one task that decides what is begun.
struct Desk {
    bench: Arc<Bench>,
    stop: CancellationToken,
    /// The steps that are being carried out.
    in_hand: JoinSet<Done>,
    /// What is being previewed, by the question's place in the journal.
    preflight: Option<(u64, JoinHandle<()>)>,
    /// The attempts whose effect is looked for though nobody knows how they ended.
    looking: HashMap<AttemptId, AbortHandle>,
    sentry: Sentry,
    /// The look at a fence that no probe sees fall.
    watching: JoinSet<Observation>,
    /// When it is looked at again.
    watch_at: Instant,
    /// When the run last had news.
    moved: Now,
    /// When something that failed may be tried again.
    not_before: Instant,
}

impl Drop for Desk {
    fn drop(&mut self) {
        if let Some((_, preflight)) = &self.preflight {
            preflight.abort();
        }
        self.looking.values().for_each(AbortHandle::abort);
    }
}

impl Desk {
    fn book(&self) -> &Arc<Book> {
        &self.bench.book
    }

    async fn work(&mut self) -> End {
        // What the runner before had in hand is never repeated, only looked for.
        while let Err(Unwritten::Failed(_)) = self.book().record(Command::Settle).await {
            tokio::time::sleep(RETRY).await;
        }
        let mut version = None;
        let mut known: Option<RunState> = None;
        loop {
            if let Some(end) = self.book().over() {
                if end == End::Gone {
                    // Begun, and nobody else's by now: half of it would be worse than all. It begins nothing more.
                    while self.in_hand.join_next().await.is_some() {}
                }
                return end;
            }
            let now = self.book().version();
            if version != Some(now) || known.is_none() {
                match self.book().state().await {
                    Ok(state) => {
                        let (held, newest) = (state.held, state.epoch);
                        if !held || newest != self.book().held().tenure().epoch() {
                            tracing::error!(newest = newest.0, "another runner has taken the run");
                            return End::Lost;
                        }
                        if known.as_ref().is_none_or(|k| k.seq != state.seq) {
                            self.moved = clock::now();
                        }
                        (version, known) = (Some(now), Some(state));
                    }
                    Err(e) => tracing::warn!("the journal cannot be read: {e}"),
                }
            }
            if !self.book().is_over()
                && let Some(state) = &known
                && let Some(end) = self.attend(state).await
            {
                return end;
            }
            let poll = self.bench.pace.poll;
            tokio::select! {
                () = tokio::time::sleep(poll) => {}
                Some(done) = self.in_hand.join_next(), if !self.in_hand.is_empty() => {
                    if !matches!(done, Ok(Done::Recorded)) {
                        self.not_before = Instant::now() + RETRY;
                    }
                    known = None;
                }
            }
        }
    }

    /// Does what the run is waiting for, if anything.
    async fn attend(&mut self, state: &RunState) -> Option<End> {
        let ours = self.book().held().tenure().epoch();
        let fallen = self.watch(state, ours);
        let alarm = self.sentry.look(state, &self.bench.hands.eyes().sight(), ours);
        if let Some(what) = alarm.or(fallen) {
            tracing::warn!(%what, "alarm");
            match self.book().record(Command::Raise { what: what.clone() }).await {
                Err(Unwritten::Failed(_)) => self.sentry.forget(),
                // Nothing goes on by what was approved before anybody knew.
                Ok(_) if state.approval.is_some() => {
                    if let Err(e) = self.book().record(Command::Disarm { why: vec![what] }).await {
                        tracing::warn!("an approval outlives an alarm: {e:?}");
                    }
                    return None;
                }
                Ok(_) | Err(Unwritten::Refused(_) | Unwritten::Over) => {}
            }
        }
        if !self.in_hand.is_empty() {
            return None;
        }
        if state.closed.is_some() {
            self.rest();
            // Another run of the plan may want them, and this one acts no more.
            self.bench.hands.let_go().await;
            let stopped = self.stop.is_cancelled();
            if !stopped && sentry::stays(state, self.bench.pace.idle) {
                return None;
            }
            return Some(self.release(if stopped { End::Stopped } else { End::Closed }).await);
        }
        if self.stop.is_cancelled() {
            return Some(self.release(End::Stopped).await);
        }
        self.keep_looking(state);
        if Instant::now() < self.not_before {
            return None;
        }
        match state.phase() {
            Phase::Approved(next) => self.begin(state, next),
            Phase::Preflight(from, to) => self.show(state, from, to),
            Phase::Finished | Phase::Stopping => {
                if let Err(Unwritten::Failed(_)) = self.book().record(Command::Close).await {
                    self.not_before = Instant::now() + RETRY;
                }
            }
            // Its task is gone without an end: it panicked.
            Phase::Acting(_) => self.lost(state).await,
            Phase::Waiting(_) | Phase::Armed(..) | Phase::Halted(..) | Phase::Closed => {
                if clock::now().since(self.moved) >= self.bench.pace.idle {
                    return Some(self.release(End::Idle).await);
                }
            }
        }
        None
    }

    /// Looks at a fence that no probe sees fall, every now and then; what of it everybody must see.
    fn watch(&mut self, state: &RunState, ours: Epoch) -> Option<SafeText> {
        let seen = self.watching.try_join_next().and_then(Result::ok);
        let alarm = seen.and_then(|seen| self.sentry.saw(state, &seen, ours));
        let due = self.watching.is_empty() && Instant::now() >= self.watch_at;
        if let Some(step) = sentry::looks_at(state).filter(|_| due) {
            self.watch_at = Instant::now() + self.bench.pace.watch;
            let (bench, state) = (Arc::clone(&self.bench), state.clone());
            self.watching.spawn(async move { bench.hands.observe(step, &state, FRESH).await });
        }
        alarm
    }

    /// Begins the steps that are approved and run side by side with `next`.
    fn begin(&mut self, state: &RunState, next: StepIx) {
        let beside = state.opened.runbook.beside(next);
        let covered = |ix: &StepIx| state.approval.as_ref().is_some_and(|g| g.approval.covers(*ix));
        let open = |ix: &StepIx| step_in(state, *ix).is_some_and(|(_, s)| !s.state.is_over());
        let steps = (beside.start().0..=beside.end().0).map(StepIx).filter(|ix| *ix >= next);
        for ix in steps.filter(covered).filter(open) {
            self.looking.retain(|attempt, task| {
                let other = attempt.step != ix;
                if !other {
                    task.abort();
                }
                other
            });
            self.in_hand.spawn(Arc::clone(&self.bench).carry_out(ix));
        }
    }

    /// Previews what somebody wants to see.
    fn show(&mut self, state: &RunState, from: StepIx, to: StepIx) {
        let Some((.., asked)) = state.asked else { return };
        if let Some((place, task)) = &self.preflight {
            if *place == asked && !task.is_finished() {
                return;
            }
            if *place == asked {
                // It could not be written; not again at once.
                self.not_before = Instant::now() + RETRY;
                self.preflight = None;
                return;
            }
            task.abort();
        }
        let bench = Arc::clone(&self.bench);
        self.preflight = Some((asked, tokio::spawn(async move { preflight(&bench, from, to, asked).await })));
    }

    /// Looks for the effects of attempts of which nobody can say how they ended.
    fn keep_looking(&mut self, state: &RunState) {
        self.looking.retain(|_, task| !task.is_finished());
        for status in &state.steps {
            let Some(attempt) = status.attempts.last() else { continue };
            if status.state == StepState::Halted(Outcome::Indeterminate) && !self.looking.contains_key(&attempt.id) {
                let task = tokio::spawn(Arc::clone(&self.bench).keep_looking(attempt.id));
                self.looking.insert(attempt.id, task.abort_handle());
            }
        }
    }

    /// Stops previewing and looking.
    fn rest(&mut self) {
        if let Some((_, task)) = self.preflight.take() {
            task.abort();
        }
        self.looking.drain().for_each(|(_, task)| task.abort());
    }

    async fn lost(&self, state: &RunState) {
        for attempt in state.open_attempts() {
            let resolution = Resolution {
                outcome: Outcome::Indeterminate,
                why: SafeText::new("the runner failed in the middle of it"),
                left: Yield::default(),
            };
            let ended = self.book().persist(Command::End { attempt: attempt.id, resolution }).await;
            drop(ended);
        }
    }

    /// Lets go of the run, and says why. Where that cannot be written, the kernel's lock says it.
    async fn release(&mut self, end: End) -> End {
        self.rest();
        let why = match end {
            End::Closed => "the run is closed".to_owned(),
            End::Stopped => "asked to end by a signal".to_owned(),
            End::Idle => format!("nothing was wanted of it for {}", Span(self.bench.pace.idle)),
            End::Lost => "the run is another's".to_owned(),
            End::Gone => "its journal was taken away".to_owned(),
        };
        if let Err(e) = self.book().record(Command::Release { why: SafeText::new(&why) }).await {
            tracing::warn!("not said: {e:?}");
        }
        end
    }
}

/// Reads what these steps would do, and shows it.
async fn preflight(bench: &Bench, from: StepIx, to: StepIx, asked: u64) {
    bench.hands.eyes().look(FRESH).await;
    let Ok(state) = bench.book.state().await else { return };
    let open = |ix: &StepIx| step_in(&state, *ix).is_some_and(|(_, s)| !s.state.is_over());
    let wanted: Vec<StepIx> = (from.0..=to.0).map(StepIx).filter(open).collect();
    let previews = join_all(wanted.iter().map(|ix| bench.hands.preview(*ix, &state))).await;
    let steps = wanted.into_iter().zip(previews).collect();
    if let Err(e) = bench.book.record(Command::Show { asked, steps }).await {
        tracing::info!("not shown: {e:?}");
    }
}
