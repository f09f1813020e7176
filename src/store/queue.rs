//! What waits to be written: bounded, and never waited for by whoever adds to it.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::app::{Checked, Memory};
use crate::plan::SafeText;

/// One thing to write.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    /// Something to remember.
    Memory(Memory),
    /// What a check found.
    Check {
        /// The areas that were asked for; empty for all.
        scope: String,
        /// What it found.
        checked: Checked,
    },
}

impl Item {
    /// What is given up first when there is no room: charts, then positions (a bound gets looser), then the rest.
    const fn worth(&self) -> u8 {
        match self {
            Self::Memory(Memory::Point { .. }) => 0,
            Self::Memory(Memory::Sample { .. }) => 1,
            Self::Memory(Memory::Active { .. } | Memory::Change(_)) | Self::Check { .. } => 2,
        }
    }
}

type Tell = Box<dyn Fn(SafeText) + Send>;

#[derive(Default)]
struct State {
    items: VecDeque<Item>,
    /// How many were taken in, and how many of those are written or given up.
    accepted: u64,
    settled: u64,
    dropped: u64,
    hurry: u32,
    closing: bool,
    ended: bool,
    tell: Option<Tell>,
}

/// The queue between the loop and the writer's thread.
pub(super) struct Queue {
    limit: usize,
    state: Mutex<State>,
    moved: Condvar,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl Queue {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default(), moved: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in some items; makes room by giving up what is worth least.
    pub(super) fn push(&self, items: impl IntoIterator<Item = Item>) {
        let mut state = self.lock();
        let (waited, dropped) = (!state.items.is_empty(), state.dropped);
        for item in items {
            state.accepted += 1;
            state.items.push_back(item);
        }
        self.make_room(&mut state);
        // While the writer gathers, more of it is no news.
        let news = !waited || state.items.len() >= self.enough() || state.dropped > dropped;
        drop(state);
        if news {
            self.moved.notify_all();
        }
    }

    /// So many items are written without gathering more.
    const fn enough(&self) -> usize {
        self.limit / 2
    }

    /// Puts back what could not be written.
    pub(super) fn put_back(&self, items: Vec<Item>) {
        let mut state = self.lock();
        for item in items.into_iter().rev() {
            state.items.push_front(item);
        }
        self.make_room(&mut state);
    }

    fn make_room(&self, state: &mut State) {
        for worth in 0..=2 {
            let mut over = state.items.len().saturating_sub(self.limit);
            if over == 0 {
                return;
            }
            let before = state.items.len();
            state.items.retain(|item| {
                let give_up = over > 0 && item.worth() == worth;
                if give_up {
                    over -= 1;
                }
                !give_up
            });
            let gone = u64::try_from(before - state.items.len()).unwrap_or(u64::MAX);
            state.dropped += gone;
            state.settled += gone;
        }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    pub(super) fn on_failure(&self, tell: Tell) {
        self.lock().tell = Some(tell);
    }

    pub(super) fn tell(&self, what: SafeText) {
        let state = self.lock();
        if let Some(tell) = &state.tell {
            tell(what);
        }
    }

    /// Waits for work: for something to write, then up to `gather` for more of it. Empty where nothing came within
    /// `idle`, or where the queue is closing.
    pub(super) fn take(&self, idle: Duration, gather: Duration) -> Vec<Item> {
        let state = self.lock();
        let (state, _) = self
            .moved
            .wait_timeout_while(state, idle, |s| s.items.is_empty() && !s.closing)
            .unwrap_or_else(PoisonError::into_inner);
        let enough = self.enough();
        let (mut state, _) = self
            .moved
            .wait_timeout_while(state, gather, |s| {
                !s.items.is_empty() && s.items.len() < enough && s.hurry == 0 && !s.closing
            })
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut state.items).into()
    }

    /// Waits before another try, unless the queue is closing. Returns whether it is.
    pub(super) fn pause(&self, how_long: Duration) -> bool {
        let state = self.lock();
        let (state, _) =
            self.moved.wait_timeout_while(state, how_long, |s| !s.closing).unwrap_or_else(PoisonError::into_inner);
        state.closing
    }

    /// Says that so many taken items are dealt with.
    pub(super) fn settle(&self, count: usize) {
        self.lock().settled += u64::try_from(count).unwrap_or(u64::MAX);
        self.moved.notify_all();
    }

    pub(super) fn closing(&self) -> bool {
        self.lock().closing
    }

    /// Whether something waits, or the queue is closing.
    pub(super) fn waiting(&self) -> bool {
        let state = self.lock();
        state.closing || !state.items.is_empty()
    }

    /// Says that the writer has ended.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.moved.notify_all();
    }

    /// Waits until all that was taken in so far is dealt with. False where that takes longer than `limit`.
    pub(super) fn flush(&self, limit: Duration) -> bool {
        let mut state = self.lock();
        let until = state.accepted;
        state.hurry += 1;
        self.moved.notify_all();
        let (mut state, timeout) = self
            .moved
            .wait_timeout_while(state, limit, |s| s.settled < until && !s.ended)
            .unwrap_or_else(PoisonError::into_inner);
        state.hurry -= 1;
        !timeout.timed_out() && state.settled >= until
    }

    /// Lets the writer finish and end, and waits for it up to `limit`.
    pub(super) fn close(&self, limit: Duration) -> Closed {
        let mut state = self.lock();
        state.closing = true;
        self.moved.notify_all();
        let (state, _) =
            self.moved.wait_timeout_while(state, limit, |s| !s.ended).unwrap_or_else(PoisonError::into_inner);
        match (state.settled >= state.accepted, state.ended) {
            (true, true) => Closed::Ended,
            (true, false) => Closed::Written,
            (false, _) => Closed::Late,
        }
    }
}

/// How far a queue got before it had to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// Everything is dealt with, and the writer has ended.
    Ended,
    /// Everything is dealt with; the writer is still tidying up.
    Written,
    /// Something is not written.
    Late,
}
