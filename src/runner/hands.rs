//! What previews, acts and observes: the steps' executors, bounded in time and safe against panics.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::clock;
use crate::net::Net;
use crate::plan::{Plan, SafeText};
use crate::readiness::{Gap, Reason};
use crate::runbook::guard::ids;
use crate::runbook::{
    Acted, Authorized, Class, Condition, Held, Observation, Preview, RunState, StepIx, StepPlan, StepRole, Strength,
    guard,
};
use crate::systems::{self, Executor, Fault, Guarding, Scene, unreadable};

use super::Eyes;
use super::book::Book;

/// How long a preview, or one look for an effect, may take.
const LOOK: Duration = Duration::from_secs(10);
/// What an executor gets on top of its deadline to give up by itself and say what it knows.
const GRACE: Duration = Duration::from_millis(500);

/// How often, and after how long, a lock that somebody else has is asked for again: whoever gave way to this run lets go
/// within a moment.
const HANDOVERS: u32 = 3;
const HANDOVER: Duration = Duration::from_millis(300);

/// How a step's executor is opened. The program opens them by their kind; practice and tests hand in their own.
pub type Open = Arc<dyn Fn(&Scene, StepIx) -> Result<Box<dyn Executor>, Fault> + Send + Sync>;

/// Opens a step's executor by its kind.
#[must_use]
pub fn by_kind() -> Open {
    Arc::new(|scene, ix| {
        let step = scene.step(ix).ok_or_else(|| Fault::new(&[], "no such step", ""))?;
        let unknown = || Fault::new(&["kind"], &format!("this lifeboat knows no step of kind {}", step.kind), "");
        (systems::step_kind(&step.kind).ok_or_else(unknown)?.open)(scene, ix)
    })
}

/// A lock at a target, which steps may share.
type Lock = Arc<Mutex<Box<dyn Guarding>>>;

/// The executors of a run.
pub(super) struct Hands {
    plan: Arc<Plan>,
    net: Arc<Net>,
    eyes: Eyes,
    book: Arc<Book>,
    open: Open,
    slots: Vec<Mutex<Option<Box<dyn Executor>>>>,
    locks: Mutex<BTreeMap<SafeText, Lock>>,
}

impl Hands {
    pub(super) fn new(plan: Arc<Plan>, net: Arc<Net>, eyes: Eyes, book: Arc<Book>, open: Open, steps: usize) -> Self {
        let slots = (0..steps).map(|_| Mutex::default()).collect();
        Self { plan, net, eyes, book, open, slots, locks: Mutex::default() }
    }

    pub(super) const fn eyes(&self) -> &Eyes {
        &self.eyes
    }

    fn scene(&self, state: &RunState) -> Scene {
        Scene {
            plan: Arc::clone(&self.plan),
            state: Arc::new(state.clone()),
            status: self.eyes.sight().status,
            net: Arc::clone(&self.net),
            lock: Some(self.book.held().lock()),
        }
    }

    /// What a step would do now, with everything that must hold for it.
    pub(super) async fn preview(&self, ix: StepIx, state: &RunState) -> Preview {
        let scene = self.scene(state);
        let Some((slot, step)) = self.slots.get(ix.place()).zip(scene.step(ix)) else {
            return failed(&format!("step {ix}"), &Gap::new(Reason::Bug, "there is no such step"));
        };
        let mut slot = slot.lock().await;
        let deadline = Instant::now() + LOOK;
        let mut fallen = None;
        let mut preview = match opened(&mut slot, &self.open, &scene, ix) {
            Err(gap) => failed(step.name.as_str(), &gap),
            Ok(executor) => {
                // A fence that is put up is looked at again, at the same time.
                let looking = bounded(executor.preview(&scene, deadline), deadline);
                let (looked, fence) = futures_util::future::join(looking, self.fence(ix, step, state)).await;
                fallen = fence;
                match looked {
                    Ok(preview) => preview,
                    Err(gap) => {
                        // What a panic left behind is not to be trusted.
                        drop_if_broken(&mut slot, &gap);
                        failed(step.name.as_str(), &gap)
                    }
                }
            }
        };
        let lock = slot
            .as_ref()
            .and_then(|e| std::panic::catch_unwind(AssertUnwindSafe(|| e.guarding(&scene))).ok().flatten());
        drop(slot);
        if let Some(lock) = lock {
            preview.conditions.push(self.alone(lock, &scene).await);
        }
        preview.conditions.extend(guard(ix, step, state, scene.status.as_deref(), clock::now()));
        preview.conditions.extend(fallen);
        preview
    }

    /// Before anything is promoted, or traffic moved: whether the fence that this run has put up still holds, by that step's
    /// own look. What was merely assumed is for the look at the old primary to say.
    async fn fence(&self, ix: StepIx, step: &StepPlan, state: &RunState) -> Option<Condition> {
        let asks = matches!(step.role, StepRole::Promote | StepRole::Traffic);
        let fence = state.fenced_by().filter(|by| asks && *by != ix && state.opened.kind.is_real())?;
        if state.fence_strength() < Some(Strength::Blocked) {
            return None;
        }
        let seen = self.observe(fence, state, LOOK).await;
        guard::fallen(state, &seen)
    }

    /// Whether the lock at a step's target is held. It is taken where it is not, and kept for the runner's life.
    async fn alone(&self, lock: Box<dyn Guarding>, scene: &Scene) -> Condition {
        let what = lock.what();
        let lock = {
            let mut locks = self.locks.lock().await;
            Arc::clone(locks.entry(what.clone()).or_insert_with(|| Arc::new(Mutex::new(lock))))
        };
        let mut lock = lock.lock().await;
        let mut tries = HANDOVERS;
        let (held, why) = loop {
            let deadline = Instant::now() + LOOK;
            let (held, why) = match bounded(lock.hold(scene, deadline), deadline).await {
                Ok(held) => held,
                Err(gap) => (Held::Unknown, SafeText::new(&gap.to_string())),
            };
            tries -= 1;
            if held != Held::Fails || tries == 0 {
                break (held, why);
            }
            tokio::time::sleep(HANDOVER).await;
        };
        let what = format!("nobody else runs {what}");
        Condition::new(ids::ALONE, Class::Identity, &what, held, &why, clock::now())
    }

    /// Lets go of the locks at the targets.
    pub(super) async fn let_go(&self) {
        self.locks.lock().await.clear();
    }

    /// Acts, once. Whatever goes wrong on the way is not known to have done nothing.
    pub(super) async fn act(&self, permission: Authorized, state: &RunState, deadline: Instant) -> Acted {
        let scene = self.scene(state);
        let ix = permission.attempt().step;
        let nothing = |why: &str| Acted::NotSent { why: SafeText::new(why) };
        let Some(slot) = self.slots.get(ix.place()) else { return nothing("there is no such step") };
        let mut slot = slot.lock().await;
        let executor = match opened(&mut slot, &self.open, &scene, ix) {
            Ok(executor) => executor,
            Err(gap) => return nothing(&gap.to_string()),
        };
        match bounded(executor.act(permission, &scene, deadline), deadline).await {
            Ok(acted) => acted,
            Err(gap) => {
                drop_if_broken(&mut slot, &gap);
                Acted::Unclear { why: SafeText::new(&gap.to_string()), left: Box::default() }
            }
        }
    }

    /// Looks once whether a step's effect is there, within `limit`.
    pub(super) async fn observe(&self, ix: StepIx, state: &RunState, limit: Duration) -> Observation {
        let scene = self.scene(state);
        let unknown = |gap: &Gap| Observation::new(Held::Unknown, &gap.to_string(), clock::now());
        let Some(slot) = self.slots.get(ix.place()) else {
            return unknown(&Gap::new(Reason::Bug, "there is no such step"));
        };
        let mut slot = slot.lock().await;
        let deadline = Instant::now() + limit.min(LOOK);
        let executor = match opened(&mut slot, &self.open, &scene, ix) {
            Ok(executor) => executor,
            Err(gap) => return unknown(&gap),
        };
        match bounded(executor.observe(&scene, deadline), deadline).await {
            Ok(observation) => observation,
            Err(gap) => {
                drop_if_broken(&mut slot, &gap);
                unknown(&gap)
            }
        }
    }
}

/// The executor in this slot, opened where it is not.
fn opened<'s>(
    slot: &'s mut Option<Box<dyn Executor>>,
    open: &Open,
    scene: &Scene,
    ix: StepIx,
) -> Result<&'s mut Box<dyn Executor>, Gap> {
    let bug = |why: &str| Gap::new(Reason::Bug, why);
    if slot.is_none() {
        let made = std::panic::catch_unwind(AssertUnwindSafe(|| open(scene, ix)));
        let made = made.map_err(|_panic| bug("opening the step panicked"))?;
        *slot = Some(made.map_err(|fault| bug(&format!("{} {}", fault.what, fault.right)))?);
    }
    slot.as_mut().ok_or_else(|| bug("no executor"))
}

/// Waits for an executor until shortly after its deadline.
async fn bounded<T>(work: systems::Executing<'_, T>, deadline: Instant) -> Result<T, Gap> {
    match tokio::time::timeout_at(deadline + GRACE, AssertUnwindSafe(work).catch_unwind()).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(_panic)) => Err(Gap::new(Reason::Bug, "the step panicked")),
        Err(_) => Err(Gap::new(Reason::TimedOut, "it did not come back in time")),
    }
}

fn drop_if_broken(slot: &mut Option<Box<dyn Executor>>, gap: &Gap) {
    if gap.reason == Reason::Bug {
        *slot = None;
    }
}

/// The preview of a step that cannot be previewed: it cannot be approved.
fn failed(what: &str, gap: &Gap) -> Preview {
    unreadable(what, "the step can be previewed", Vec::new(), "", gap)
}
