//! The runner's own look at the plan: it acts on what it sees itself, never on what a screen showed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::app::{Model, Polled};
use crate::clock;
use crate::collect;
use crate::net::Net;
use crate::plan::{LaneId, Now, Plan, SafeText, SiteId};
use crate::readiness::signals::{SYSTEM_ID, WRITABLE};
use crate::readiness::{PlanStatus, Value};
use crate::store::{self, Store};
use crate::systems;

/// Looks that may wait to be taken in.
const POLLS: usize = 256;
/// How often evidence is judged anew because it ages.
const JUDGE: Duration = Duration::from_secs(1);

/// What was seen of the plan.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    /// Its newest judgement.
    pub status: Option<Arc<PlanStatus>>,
    /// When that of its lanes was asked which was not asked for the longest; `None` while one never was.
    pub oldest: Option<Now>,
    /// The lanes whose server was seen to take writes when last it answered.
    pub writes: HashMap<LaneId, Writer>,
}

/// A server that was seen to take writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    /// Its site.
    pub site: SiteId,
    /// When it was asked.
    pub asked: Now,
    /// Its system identifier, where the same look read that.
    pub system: Option<SafeText>,
}

/// Looks at the plan for as long as it is kept.
#[derive(Clone, Debug)]
pub struct Eyes {
    sight: watch::Receiver<Sight>,
    poke: mpsc::Sender<()>,
}

impl Eyes {
    /// Eyes that show what is sent through the other end: for practice and tests. Asking them to look asks nobody.
    #[must_use]
    pub fn showing(sight: Sight) -> (Self, watch::Sender<Sight>) {
        let (show, sight) = watch::channel(sight);
        let (poke, _) = mpsc::channel(1);
        (Self { sight, poke }, show)
    }

    /// Starts to look at every lane of a plan. What earlier sessions saw is read from the history in this directory, and
    /// what is seen is kept there; without it, loss is only bounded by what this runner saw itself.
    #[must_use]
    pub fn open(plan: &Arc<Plan>, net: &Arc<Net>, state: &Path) -> Self {
        let (show, sight) = watch::channel(Sight::default());
        let (poke, pokes) = mpsc::channel(1);
        tokio::spawn(watch(Arc::clone(plan), Arc::clone(net), state.to_path_buf(), show, pokes));
        Self { sight, poke }
    }

    /// What was seen last.
    #[must_use]
    pub fn sight(&self) -> Sight {
        self.sight.borrow().clone()
    }

    /// Looks now, and waits until every lane has answered that, but not longer than `limit`: whoever is silent is judged by
    /// what was seen before, and how old that is.
    pub async fn look(&self, limit: Duration) {
        let asked = clock::now();
        if self.poke.send(()).await.is_err() {
            return;
        }
        let mut sight = self.sight.clone();
        let all = sight.wait_for(|s| s.oldest.is_some_and(|at| at.boot >= asked.boot));
        let _late = tokio::time::timeout(limit, all).await;
    }
}

async fn watch(
    plan: Arc<Plan>,
    net: Arc<Net>,
    state: PathBuf,
    show: watch::Sender<Sight>,
    mut pokes: mpsc::Receiver<()>,
) {
    let (polls_in, mut polls) = mpsc::channel(POLLS);
    let supervisor = collect::start(std::slice::from_ref(&plan), &net, &polls_in);
    let signals = systems::SYSTEMS.iter().flat_map(|s| s.signals.iter());
    let mut model = Model::new(systems::rules(), signals, clock::boot_id());
    model.configure(vec![Arc::clone(&plan)], clock::now());
    let (ids, dir) = ([plan.id.clone()], state);
    let past = tokio::task::spawn_blocking(move || -> Result<_, store::StoreError> {
        let store = store::open(&dir)?;
        let history = store.history(&ids)?;
        Ok((store, history))
    });
    let store: Option<Store> = match past.await {
        Ok(Ok((store, history))) => {
            model.remember(history);
            Some(store)
        }
        Ok(Err(e)) => {
            tracing::warn!("without history: {e}");
            None
        }
        Err(_panic) => None,
    };
    let mut writes = HashMap::new();
    let mut judge_by = Instant::now() + JUDGE;
    loop {
        let mut memories = Vec::new();
        tokio::select! {
            polled = polls.recv() => {
                let Some(polled) = polled else { return };
                note_writes(&mut writes, &polled);
                memories.extend(model.polled(polled));
                while let Ok(more) = polls.try_recv() {
                    note_writes(&mut writes, &more);
                    memories.extend(model.polled(more));
                }
            }
            poke = pokes.recv() => match poke {
                Some(()) => {
                    supervisor.poll_now(&[]);
                    continue;
                }
                None => return,
            },
            () = tokio::time::sleep_until(judge_by) => {}
        }
        judge_by = Instant::now() + JUDGE;
        memories.extend(model.settle(clock::now()).1);
        if let Some(store) = &store {
            store.remember(memories);
        }
        let oldest = oldest(&plan, &model);
        let sight = Sight { status: model.status(&plan.id).cloned(), oldest, writes: writes.clone() };
        if show.send(sight).is_err() {
            return;
        }
    }
}

/// When the lane was asked that was not asked for the longest.
fn oldest(plan: &Plan, model: &Model) -> Option<Now> {
    let readings = model.readings(&plan.id)?;
    let lanes = plan.probes.iter().flat_map(|p| p.lanes.iter().map(move |l| (p, l)));
    let asked = lanes.map(|(probe, lane)| readings.last_asked(&probe.id, &lane.subject));
    let mut oldest: Option<Now> = None;
    for at in asked {
        let at = at?;
        if oldest.is_none_or(|o| at.boot < o.boot) {
            oldest = Some(at);
        }
    }
    oldest.or_else(|| Some(clock::now()))
}

/// Keeps which servers take writes. One that is silent is as it was seen last.
fn note_writes(writes: &mut HashMap<LaneId, Writer>, polled: &Polled) {
    let of = |signal| polled.readings.iter().find(|r| r.key.signal == signal);
    let reading = of(WRITABLE);
    let (Some(reading), Some(site)) = (reading, &polled.lane.subject.site) else { return };
    match &reading.value {
        Ok(Value::Bool(true)) => {
            let system = of(SYSTEM_ID).and_then(|r| match &r.value {
                Ok(Value::Text(system)) => Some(system.clone()),
                Ok(_) | Err(_) => None,
            });
            let writer = Writer { site: site.clone(), asked: reading.asked, system };
            writes.insert(polled.lane.clone(), writer);
        }
        Ok(_) => {
            writes.remove(&polled.lane);
        }
        Err(_silent) => {}
    }
}
