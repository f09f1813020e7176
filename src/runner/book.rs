//! The run's journal, as its runner writes it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::clock;
use crate::plan::SafeText;
use crate::runbook::{Asker, Command, DurableEntry, Operator, Refusal, RunId, RunState, decide};
use crate::store::{Held, Journal, JournalError};

use super::End;

/// How often an entry is decided anew because somebody else wrote meanwhile, before that counts as a failure.
const TRIES: u32 = 50;
/// Between two tries to write what must be written.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(300), Duration::from_secs(1), Duration::from_secs(2)];

/// The journal of the run that is held. Whoever drops it lets go of the run.
#[derive(Debug)]
pub(super) struct Book {
    journal: Arc<Journal>,
    held: Held,
    who: Operator,
    /// Entries are written one after another.
    turn: tokio::sync::Mutex<()>,
    /// Whether the outcome of something that was done waits to be written: nothing more is done meanwhile.
    jammed: AtomicBool,
    /// How this tenure came to its end, where it did: nothing more is done or written.
    over: OnceLock<End>,
}

/// What was written, and the run with it.
#[derive(Debug)]
pub(super) struct Written {
    /// The entries.
    pub(super) durable: Vec<DurableEntry>,
    /// The run after them.
    pub(super) state: RunState,
}

/// Why nothing was written.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// It makes no sense any more.
    Refused(Refusal),
    /// It could not be written now.
    Failed(JournalError),
    /// Nothing can be written any more by this runner.
    Over,
}

impl Book {
    pub(super) fn new(journal: Arc<Journal>, held: Held, who: Operator) -> Self {
        let (turn, jammed) = (tokio::sync::Mutex::default(), AtomicBool::new(false));
        Self { journal, held, who, turn, jammed, over: OnceLock::new() }
    }

    pub(super) const fn held(&self) -> &Held {
        &self.held
    }

    fn run(&self) -> &RunId {
        self.held.tenure().run()
    }

    pub(super) fn boot(&self) -> &SafeText {
        self.journal.boot()
    }

    pub(super) fn version(&self) -> u64 {
        self.journal.version()
    }

    /// Whether an outcome waits to be written, or nothing can be any more: then nothing may be done.
    pub(super) fn must_rest(&self) -> bool {
        self.jammed.load(Ordering::SeqCst) || self.is_over()
    }

    /// Whether this tenure is over.
    pub(super) fn is_over(&self) -> bool {
        self.over().is_some()
    }

    /// How this tenure came to its end, where it did.
    pub(super) fn over(&self) -> Option<End> {
        self.over.get().copied()
    }

    /// Takes in why something was not read or written: whether this tenure is over by that.
    fn ends(&self, e: &JournalError) -> bool {
        let Some(end) = end_by(e) else { return false };
        if self.over.set(end).is_ok() {
            tracing::error!(run = %self.run(), "the runner ends: {e}");
        }
        true
    }

    /// The run as it stands.
    pub(super) async fn state(self: &Arc<Self>) -> Result<RunState, JournalError> {
        let book = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || book.journal.state(book.run())).await;
        let read = read.unwrap_or_else(|_| Err(self.broken("the journal's reader panicked")));
        if let Err(e @ JournalError::Gone { .. }) = &read {
            self.ends(e);
        }
        read
    }

    fn broken(&self, why: &str) -> JournalError {
        JournalError::Unsound { run: self.run().clone(), why: why.to_owned() }
    }

    /// Writes what a command means. Where somebody else has written meanwhile, it is decided anew.
    pub(super) async fn record(self: &Arc<Self>, command: Command) -> Result<Written, Unwritten> {
        let _turn = self.turn.lock().await;
        self.once(command).await
    }

    async fn once(self: &Arc<Self>, command: Command) -> Result<Written, Unwritten> {
        if self.is_over() {
            return Err(Unwritten::Over);
        }
        let book = Arc::clone(self);
        let written = tokio::task::spawn_blocking(move || book.write(&command)).await;
        let written = written.unwrap_or_else(|_| Err(Unwritten::Failed(self.broken("the journal's writer panicked"))));
        if let Err(Unwritten::Failed(e)) = &written {
            tracing::warn!(run = %self.run(), "not written: {e}");
            if self.ends(e) {
                return Err(Unwritten::Over);
            }
        }
        written
    }

    /// Writes what was done, or what became of it: as long as it takes. Nothing else is written before it, and nothing
    /// more is done.
    pub(super) async fn persist(self: &Arc<Self>, command: Command) -> Result<Written, Unwritten> {
        let _turn = self.turn.lock().await;
        let mut pauses = PAUSES.into_iter();
        let mut pause = Duration::ZERO;
        loop {
            match self.once(command.clone()).await {
                Err(Unwritten::Failed(_)) => self.jammed.store(true, Ordering::SeqCst),
                done => {
                    self.jammed.store(false, Ordering::SeqCst);
                    return done;
                }
            }
            pause = pauses.next().unwrap_or(pause);
            tokio::time::sleep(pause).await;
        }
    }

    fn write(&self, command: &Command) -> Result<Written, Unwritten> {
        let epoch = self.held.tenure().epoch();
        let mut moved = None;
        for _ in 0..TRIES {
            let mut state = self.journal.state(self.run()).map_err(Unwritten::Failed)?;
            let asker = Asker { now: clock::now(), boot: self.journal.boot(), epoch: Some(epoch) };
            let bodies = decide(&state, command.clone(), asker).map_err(Unwritten::Refused)?;
            if bodies.is_empty() {
                return Ok(Written { durable: Vec::new(), state });
            }
            match self.journal.append(self.run(), state.seq, bodies, &self.who, epoch) {
                Ok(durable) => {
                    durable.iter().for_each(|d| state.take(d.entry()));
                    return Ok(Written { durable, state });
                }
                Err(e @ JournalError::Moved { .. }) => moved = Some(e),
                Err(e) => return Err(Unwritten::Failed(e)),
            }
        }
        Err(Unwritten::Failed(moved.unwrap_or_else(|| self.broken("no try was made"))))
    }
}

/// How a runner ends that hears this, where it can never write again: the run is another's, its journal was taken away, or
/// this program is at fault. What is damaged or full may be mended, and is tried again.
const fn end_by(e: &JournalError) -> Option<End> {
    match e {
        JournalError::Gone { .. } => Some(End::Gone),
        JournalError::Superseded { .. }
        | JournalError::Unsound { .. }
        | JournalError::NoRun(_)
        | JournalError::ReadOnly
        | JournalError::Closed(_) => Some(End::Lost),
        JournalError::File(_)
        | JournalError::Damaged { .. }
        | JournalError::Broken { .. }
        | JournalError::Moved { .. }
        | JournalError::Network { .. }
        | JournalError::Unsafe { .. }
        | JournalError::BadName(_)
        | JournalError::Twice(_)
        | JournalError::Open { .. }
        | JournalError::Unacknowledged { .. }
        | JournalError::KeepsItsPlace { .. }
        | JournalError::InHand { .. }
        | JournalError::Held(_)
        | JournalError::Lock { .. } => None,
    }
}
