//! Looks once at everything: for `check`.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::app::{History, Memory, Model, Polled};
use crate::clock;
use crate::net::Net;
use crate::plan::{LaneId, Plan};
use crate::readiness::Reason;

use super::look::Looker;
use super::{Open, by_kind};

/// How soon a refused connection is asked again.
const CONFIRM: Duration = Duration::from_secs(1);
/// How often a standby is asked whether it has reached the primary's position.
const WATCH: Duration = Duration::from_millis(200);
/// How long a standby is watched. One that has not moved by then is behind, and the loss stays unknown.
const PATIENCE: Duration = Duration::from_secs(5);

/// What earlier sessions saw, being read from the disk while the first looks are under way.
#[derive(Debug, Default)]
pub struct Past(Option<oneshot::Receiver<History>>);

impl Past {
    /// A past that comes through `told`. Where its sender is dropped, there is none.
    #[must_use]
    pub const fn new(told: oneshot::Receiver<History>) -> Self {
        Self(Some(told))
    }

    /// Waits for it, and has the model take it in; does so once. Before anything is judged: a bound may rest on it.
    pub async fn join(&mut self, model: &mut Model) {
        if let Some(told) = &mut self.0 {
            let past = told.await;
            self.0 = None;
            if let Ok(past) = past {
                model.remember(past);
            }
        }
    }
}

/// Looks once at every lane of every plan, all at the same time, within `budget`; then again at those whose first look
/// settles nothing: a refused connection and a stream that is missing after a second, and a standby until it has reached the position that its
/// primary had, which measures a bound where no history gives one. What is not read within the budget is a gap.
///
/// `progress` hears how many lanes are done, and of how many. Returns what is to be remembered. The model is settled.
pub async fn sweep(
    model: &mut Model,
    past: &mut Past,
    plans: &[Arc<Plan>],
    net: &Arc<Net>,
    budget: Duration,
    progress: &mut (dyn FnMut(usize, usize) + Send),
) -> Vec<Memory> {
    sweep_with(model, past, plans, net, budget, progress, &by_kind()).await
}

/// As [`sweep`], with lanes of the caller's.
pub async fn sweep_with(
    model: &mut Model,
    past: &mut Past,
    plans: &[Arc<Plan>],
    net: &Arc<Net>,
    budget: Duration,
    progress: &mut (dyn FnMut(usize, usize) + Send),
    open: &Open,
) -> Vec<Memory> {
    let end = Instant::now() + budget;
    let lookers: Vec<Looker> = plans.iter().flat_map(|p| Looker::all(p, net, open)).collect();
    let total = lookers.len();
    let mut memories = Vec::new();
    let mut looking: JoinSet<(Looker, Polled)> = JoinSet::new();
    for looker in lookers {
        looking.spawn(look(looker, None, end));
    }
    let mut resting: Vec<Looker> = Vec::new();
    progress(0, total);
    while let Some(done) = next(&mut looking, end).await {
        let (looker, polled) = done;
        memories.extend(model.polled(polled));
        resting.push(looker);
        progress(resting.len(), total);
    }
    looking.abort_all();
    memories.extend(not_in_time(model, plans, budget));
    // What is not known by the end is not waited for.
    let _late = tokio::time::timeout_at(end, past.join(model)).await;
    memories.extend(model.settle(clock::now()).1);
    let watch_until = (Instant::now() + PATIENCE).min(end);
    loop {
        let unsettled: HashSet<LaneId> = model.unsettled().into_iter().collect();
        let mut again: JoinSet<(Looker, Polled)> = JoinSet::new();
        let mut kept = Vec::new();
        for looker in resting {
            let id = looker.id();
            if unsettled.contains(&id) {
                let pause = if refused(model, &id) || model.asking_again(&id) { CONFIRM } else { WATCH };
                again.spawn(look(looker, Some(pause), end));
            } else {
                kept.push(looker);
            }
        }
        resting = kept;
        if again.is_empty() || Instant::now() >= watch_until {
            return memories;
        }
        while let Some((looker, polled)) = next(&mut again, end).await {
            memories.extend(model.polled(polled));
            resting.push(looker);
        }
        memories.extend(model.settle(clock::now()).1);
        if Instant::now() >= end {
            return memories;
        }
    }
}

/// Takes in a look that failed for want of time for each lane that was not looked at. Returns what is to be remembered.
pub fn not_in_time(model: &mut Model, plans: &[Arc<Plan>], budget: Duration) -> Vec<Memory> {
    let mut memories = Vec::new();
    for plan in plans {
        for probe in &plan.probes {
            for lane in &probe.lanes {
                let id = probe.lane_id(lane);
                if model.readings(&plan.id).is_none_or(|r| r.outcomes(&id).len() == 0) {
                    memories.extend(model.polled(Looker::not_in_time(lane, probe, budget)));
                }
            }
        }
    }
    memories
}

async fn look(mut looker: Looker, pause: Option<Duration>, end: Instant) -> (Looker, Polled) {
    if let Some(pause) = pause {
        tokio::time::sleep(pause).await;
    }
    let polled = looker.look(Some(end)).await;
    (looker, polled)
}

/// The next look that is done; `None` when all are, or the time is over.
async fn next(looking: &mut JoinSet<(Looker, Polled)>, end: Instant) -> Option<(Looker, Polled)> {
    loop {
        match tokio::time::timeout_at(end, looking.join_next()).await {
            Ok(Some(Ok(done))) => return Some(done),
            Ok(Some(Err(_aborted))) => {}
            Ok(None) | Err(_) => return None,
        }
    }
}

fn refused(model: &Model, lane: &LaneId) -> bool {
    let last = model.readings(&lane.probe.plan).and_then(|r| r.outcomes(lane).next_back());
    last.and_then(|o| o.gap.as_ref()).is_some_and(|g| g.reason == Reason::Refused)
}
