//! Looks on time: one task a lane, phased, single-flight, with backoff.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::app::Polled;
use crate::net::Net;
use crate::plan::{LaneId, Plan, PlanId};
use crate::readiness::Reason;

use super::look::Looker;
use super::{Open, by_kind};

/// Looks start in buckets this wide, so that a thousand lanes wake the machine a few times a second and not a thousand.
const BUCKET: Duration = Duration::from_millis(250);
/// How soon a refused connection is asked again: a server that restarts refuses for a moment, a stopped one stays so.
const CONFIRM: Duration = Duration::from_secs(1);
/// What rests so long between two looks keeps no connection meanwhile: it would cost both ends memory, and the server a
/// session. Opening another costs some round trips, once a minute.
const REST: Duration = Duration::from_secs(60);
/// How many looks may begin at once, and for how long one keeps others from beginning. A thousand plans that all connect
/// in one moment need many times the memory that they need later, and an allocator does not give it back; begun in turn,
/// the sweep is over as soon, for there is only so much that one processor can do. A remote that is silent keeps its turn
/// for a moment only: it delays nobody.
const TURNS: usize = 256;
const TURN: Duration = Duration::from_millis(100);
/// Failures in a row after which a lane is asked less often.
const PATIENCE: u32 = 3;

/// The running tasks. Dropping it ends them all, at once and wherever they are.
#[derive(Debug)]
pub struct Supervisor {
    tasks: JoinSet<()>,
    pokes: HashMap<LaneId, Arc<Notify>>,
}

impl Supervisor {
    /// Asks these lanes to look now; all of them where the list is empty. A lane that is looking already looks once more
    /// when it is done.
    pub fn poll_now(&self, lanes: &[LaneId]) {
        if lanes.is_empty() {
            self.pokes.values().for_each(|p| p.notify_one());
        }
        for poke in lanes.iter().filter_map(|l| self.pokes.get(l)) {
            poke.notify_one();
        }
    }

    /// How many tasks are running.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether there is nothing to look at.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }
}

/// Starts looking at every lane of every plan. The first look starts at once; each later one at its probe's interval,
/// on a phase that is its plan's own, so that a plan's lanes are asked together, and it is judged once; plans are not.
#[must_use]
pub fn start(plans: &[Arc<Plan>], net: &Arc<Net>, out: &mpsc::Sender<Polled>) -> Supervisor {
    start_with(plans, net, out, &by_kind())
}

/// As [`start`], with lanes of the caller's.
#[must_use]
pub fn start_with(plans: &[Arc<Plan>], net: &Arc<Net>, out: &mpsc::Sender<Polled>, open: &Open) -> Supervisor {
    let mut supervisor = Supervisor { tasks: JoinSet::new(), pokes: HashMap::new() };
    let epoch = Instant::now();
    let turns = Arc::new(Semaphore::new(TURNS));
    let seed = RandomState::new();
    for plan in plans {
        for looker in Looker::all(plan, net, open) {
            let poke = Arc::new(Notify::new());
            supervisor.pokes.insert(looker.id(), Arc::clone(&poke));
            let phase = phase(&seed, &plan.id, looker.probe().interval.0);
            supervisor.tasks.spawn(run(looker, poke, Arc::clone(&turns), out.clone(), epoch + phase));
        }
    }
    supervisor
}

/// A plan's own offset within an interval, in whole buckets.
fn phase(seed: &RandomState, plan: &PlanId, interval: Duration) -> Duration {
    let buckets = u32::try_from(interval.as_millis() / BUCKET.as_millis()).unwrap_or(u32::MAX).max(1);
    let pick = u32::try_from(seed.hash_one(plan) % u64::from(buckets)).unwrap_or(0);
    BUCKET * pick
}

async fn run(mut looker: Looker, poke: Arc<Notify>, turns: Arc<Semaphore>, out: mpsc::Sender<Polled>, origin: Instant) {
    let interval = looker.probe().interval.0;
    let longest = looker.plan().stale_after(looker.probe()).saturating_sub(looker.probe().timeout.0).max(interval);
    let mut failures: u32 = 0;
    loop {
        let polled = in_turn(&mut looker, &turns).await;
        let gap = polled.readings.iter().find_map(|r| r.value.as_ref().err());
        let all_failed = polled.readings.iter().all(|r| r.value.is_err());
        failures = if all_failed { failures.saturating_add(1) } else { 0 };
        let refused_once = failures == 1 && gap.is_some_and(|g| g.reason == Reason::Refused);
        if out.send(polled).await.is_err() {
            return;
        }
        if interval >= REST {
            looker.rest().await;
        }
        let now = Instant::now();
        let next = if refused_once {
            now + CONFIRM.min(interval)
        } else {
            next_tick(origin, now, pause(interval, longest, failures))
        };
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = poke.notified() => {}
        }
    }
}

/// Looks once, in turn.
async fn in_turn(looker: &mut Looker, turns: &Semaphore) -> Polled {
    // Never closed: a turn always comes.
    let turn = turns.acquire().await;
    let mut look = pin!(looker.look(None));
    match tokio::time::timeout(TURN, &mut look).await {
        Ok(polled) => polled,
        Err(_) => {
            drop(turn);
            look.await
        }
    }
}

/// How long a lane pauses: its interval; after some failures in a row longer and longer, but never so long that what it
/// last said would be stale before it says it again.
fn pause(interval: Duration, longest: Duration, failures: u32) -> Duration {
    let extra = failures.saturating_sub(PATIENCE).min(4);
    interval.saturating_add(interval / 2 * extra).min(longest)
}

/// The next moment on the plan's phase that is at least most of a pause away; ticks that were missed stay missed.
fn next_tick(origin: Instant, now: Instant, pause: Duration) -> Instant {
    let step = pause.as_nanos().max(1);
    let ticks = now.checked_duration_since(origin).map_or(0, |since| since.as_nanos() / step + 1);
    let next = origin + Duration::from_nanos(u64::try_from(ticks.saturating_mul(step)).unwrap_or(u64::MAX));
    // Right after the first look the phase may be a moment away: that look would tell nothing new.
    if next.saturating_duration_since(now) < pause / 4 { next + pause } else { next }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_grows_and_is_capped() {
        let (i, l) = (Duration::from_secs(5), Duration::from_secs(12));
        let pauses: Vec<u64> = (0..9).map(|f| pause(i, l, f).as_millis().try_into().unwrap_or(0)).collect();
        assert_eq!(pauses, [5_000, 5_000, 5_000, 5_000, 7_500, 10_000, 12_000, 12_000, 12_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn ticks_stay_on_their_phase() {
        let origin = Instant::now();
        let at = |ms| origin + Duration::from_millis(ms);
        let five = Duration::from_secs(5);
        assert_eq!(next_tick(origin, at(5_080), five), at(10_000));
        assert_eq!(next_tick(origin, at(4_900), five), at(10_000), "too soon to tell anything new");
        assert_eq!(next_tick(origin, at(61_000), five), at(65_000), "missed ticks stay missed");
        assert_eq!(next_tick(at(2_000), at(10), five), at(2_000), "the second look moves onto the phase");
    }
}
