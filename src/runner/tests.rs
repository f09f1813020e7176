//! The runner on a journal on disk, with steps of a simulated world: what it does, what it never does, and what is left of
//! it wherever it is killed.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::{Notify, watch};

use super::*;
use crate::plan::{Here, LaneId, Objectives, PlanId, ProbeId, Site, SiteId, Strategy, Subject};
use crate::runbook::{
    Acted, Authorized, Body, Cause, Closing, Danger, Digest, Epoch, Expected, Fence, Held as Holds, Identity, Moment,
    Observation, Opened, Preview, RetrySafety, Runbook, RunbookKind, StepPlan, StepRole, Strength, Verified, decide,
    expected_words, prompt, verify,
};
use crate::store::journal;
use crate::systems::{Executing, Executor, Guarding, Scene};

mod acting;
mod alarms;
mod outcomes;
mod sentry;

const LIMIT: Duration = Duration::from_secs(20);

/// What there is beyond the runner, and everything that was done to it.
#[derive(Default)]
struct World {
    /// The effects that are there, by step, and how often each was made.
    effects: Mutex<BTreeMap<String, usize>>,
    /// The attempts that acted, in order.
    acts: Mutex<Vec<(String, AttemptId)>>,
    calls: AtomicUsize,
    previews: AtomicUsize,
    /// The call that never returns: whoever waits for it is about to be killed.
    freeze_at: Mutex<Option<usize>>,
    /// The point at which the next one who comes waits until it is thawed.
    hold_at: Mutex<Option<String>>,
    held: Notify,
    thaw: Notify,
    reached: AtomicBool,
    /// The system that previews see from this preview of the promotion on.
    another_from: Mutex<Option<usize>>,
    promotions_seen: AtomicUsize,
    /// What acting does, where not the usual.
    odd: Mutex<Option<Odd>>,
    /// Whether nothing more comes of the promotion, and what it waits for.
    over: AtomicBool,
    waits: Mutex<Option<String>>,
    /// Whether somebody else has the lock at the target.
    elsewhere: AtomicBool,
    /// Whether the fence proves nothing.
    assumed: AtomicBool,
    /// Whether the fence merely turns the applications away, and does not stop the server.
    blocked: AtomicBool,
}

#[derive(Clone, Copy, PartialEq)]
enum Odd {
    Refuses,
    Panics,
    UnclearWithout,
    ReturnsWithout,
    FailsWithout,
    FailsWith,
    /// It returns, and what was to bring the effect about ends without it.
    Ends,
    /// It returns, and its effect comes much later.
    TakesLong,
}

impl World {
    async fn gate(&self, point: &str) {
        let n = self.calls.fetch_add(1, Ordering::SeqCst);
        if *self.freeze_at.lock().unwrap() == Some(n) {
            self.reached.store(true, Ordering::SeqCst);
            self.held.notify_one();
            std::future::pending::<()>().await;
        }
        let here = self.hold_at.lock().unwrap().take_if(|p| p == point).is_some();
        if here {
            self.held.notify_one();
            self.thaw.notified().await;
        }
    }

    fn effect(&self, step: &str) -> usize {
        self.effects.lock().unwrap().get(step).copied().unwrap_or(0)
    }

    fn make(&self, step: &str) {
        *self.effects.lock().unwrap().entry(step.to_owned()).or_default() += 1;
    }

    fn acts(&self) -> Vec<(String, AttemptId)> {
        self.acts.lock().unwrap().clone()
    }
}

struct Fake {
    world: Arc<World>,
    name: String,
}

struct FakeLock(Arc<World>);

impl Guarding for FakeLock {
    fn what(&self) -> SafeText {
        SafeText::new("payments at db.west")
    }

    fn hold<'a>(&'a mut self, _scene: &'a Scene, _deadline: Instant) -> Executing<'a, (Holds, SafeText)> {
        let free = !self.0.elsewhere.load(Ordering::SeqCst);
        Box::pin(std::future::ready((Holds::of(free), SafeText::new("pg_try_advisory_lock"))))
    }
}

impl Executor for Fake {
    fn preview<'a>(&'a mut self, _scene: &'a Scene, _deadline: Instant) -> Executing<'a, Preview> {
        Box::pin(async move {
            self.world.previews.fetch_add(1, Ordering::SeqCst);
            self.world.gate(&format!("preview {}", self.name)).await;
            let mut system = 7;
            if self.name == "promote" {
                let n = self.world.promotions_seen.fetch_add(1, Ordering::SeqCst);
                if self.world.another_from.lock().unwrap().is_some_and(|from| n >= from) {
                    system = 8;
                }
            }
            Preview {
                target: SafeText::new(&self.name),
                role: SafeText::new("as it is"),
                identity: Identity::default().with("system", &system),
                actions: vec![SafeText::new(&format!("do {}", self.name))],
                challenge: "west".to_owned(),
                conditions: Vec::new(),
                already: Holds::of(self.world.effect(&self.name) > 0),
                left: Yield::default(),
                at: clock::now(),
            }
        })
    }

    fn act<'a>(&'a mut self, permission: Authorized, _scene: &'a Scene, _deadline: Instant) -> Executing<'a, Acted> {
        Box::pin(async move {
            self.world.gate(&format!("before {}", self.name)).await;
            self.world.acts.lock().unwrap().push((self.name.clone(), permission.attempt()));
            let said = SafeText::new("done");
            let odd = self.world.odd.lock().unwrap().take_if(|_| self.name == "promote");
            match odd {
                Some(Odd::Refuses) => return Acted::Refused { said: SafeText::new("not in recovery") },
                Some(Odd::Panics) => panic!("as it was told"),
                Some(Odd::UnclearWithout) => {
                    return Acted::Unclear { why: SafeText::new("cut off"), left: Box::default() };
                }
                Some(Odd::ReturnsWithout | Odd::TakesLong) => return Acted::Returned { said, left: Box::default() },
                Some(Odd::Ends) => {
                    self.world.over.store(true, Ordering::SeqCst);
                    return Acted::Returned { said: SafeText::new("begun"), left: Box::default() };
                }
                Some(odd @ (Odd::FailsWithout | Odd::FailsWith)) => {
                    if odd == Odd::FailsWith {
                        self.world.make(&self.name);
                    }
                    return Acted::Failed { said: SafeText::new("no room"), left: Box::default() };
                }
                None => {}
            }
            self.world.make(&self.name);
            self.world.gate(&format!("after {}", self.name)).await;
            Acted::Returned { said, left: Box::default() }
        })
    }

    fn observe<'a>(&'a mut self, _scene: &'a Scene, _deadline: Instant) -> Executing<'a, Observation> {
        Box::pin(async move {
            self.world.gate(&format!("observe {}", self.name)).await;
            let held = Holds::of(self.world.effect(&self.name) > 0);
            let mut seen = Observation::new(held, "looked", clock::now());
            if self.name == "promote" {
                seen.over = self.world.over.load(Ordering::SeqCst);
                seen.waits = self.world.waits.lock().unwrap().as_deref().map(SafeText::new);
            }
            if self.name == "fence" {
                let assumed = self.world.assumed.load(Ordering::SeqCst);
                let blocked = self.world.blocked.load(Ordering::SeqCst);
                let strength = match (assumed, blocked) {
                    (true, _) => Strength::Assumed,
                    (false, true) => Strength::Blocked,
                    (false, false) => Strength::Proven,
                };
                seen.left.fence = Some(Fence { strength, why: SafeText::new("as it was told") });
            }
            seen
        })
    }

    fn commands(&self, _scene: &Scene) -> Vec<String> {
        Vec::new()
    }

    fn guarding(&self, _scene: &Scene) -> Option<Box<dyn Guarding>> {
        (self.name == "promote").then(|| Box::new(FakeLock(Arc::clone(&self.world))) as Box<dyn Guarding>)
    }
}

fn step(name: &str, role: StepRole, danger: Danger) -> StepPlan {
    StepPlan {
        name: SafeText::new(name),
        kind: "test".to_owned(),
        probe: None,
        on: None,
        options: serde_json::json!({}),
        role,
        danger,
        retry: RetrySafety::ReadBack,
        verified: Verified::ByLooking,
        expect: None,
        deadline: Span::millis(400),
        group: None,
        because: None,
    }
}

fn failover() -> Vec<StepPlan> {
    vec![
        step("fence", StepRole::Fence, Danger::Changes),
        step("promote", StepRole::Promote, Danger::Irreversible),
        step("verify", StepRole::Verify, Danger::None),
    ]
}

fn plan() -> Arc<Plan> {
    let site = |s: &str| Site { id: SiteId::new(s), what: SafeText::default() };
    Arc::new(Plan {
        id: PlanId::new("payments"),
        tier: 1,
        strategy: Strategy::WarmStandby,
        objectives: Objectives { rpo: Span::secs(30), rto: Span::secs(300) },
        sites: vec![site("east"), site("west")],
        home: SiteId::new("east"),
        here: Here::Elsewhere,
        requires: Vec::new(),
        probes: Vec::new(),
        contacts: Vec::new(),
        losses: Vec::new(),
        confirms: Vec::new(),
        copies: Default::default(),
        runbooks: Vec::new(),
        lost_with: Default::default(),
        practice: None,
    })
}

struct Bench {
    dir: tempfile::TempDir,
    journal: Arc<Journal>,
    run: RunId,
    world: Arc<World>,
    eyes: Eyes,
    show: watch::Sender<Sight>,
    pace: Pace,
}

fn who(name: &str) -> Operator {
    Operator { user: SafeText::new(name), host: SafeText::new("bastion"), from: None, pid: 7 }
}

/// A failover that was opened, and nothing more.
fn bench(steps: Vec<StepPlan>) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let journal = Arc::new(Journal::open(dir.path()).unwrap());
    let run = RunId::new("r1");
    let kind = RunbookKind::Failover;
    let opened = Opened {
        plan: PlanId::new("payments"),
        kind,
        cause: Cause::Outage,
        reason: SafeText::new("east is gone"),
        from: SiteId::new("east"),
        to: SiteId::new("west"),
        runbook: Runbook { kind, steps },
        pinned: String::new(),
        config: Digest::NONE,
        version: SafeText::new("0"),
        t0: Moment { at: clock::now().wall, why: SafeText::new("now") },
        detected: None,
        expected: Expected { loss: None, missing: None, time: None, rpo: Span::secs(30), rto: Span::secs(300) },
        scope: SafeText::new("this host"),
        after: None,
        practice: false,
    };
    journal.open_run(run.clone(), opened, who("alice"), None).unwrap();
    let (eyes, show) = Eyes::showing(Sight::default());
    let pace = Pace {
        poll: Duration::from_millis(2),
        look: Duration::from_millis(5),
        again: Duration::from_millis(5),
        watch: Duration::from_millis(10),
        idle: LIMIT,
    };
    Bench { dir, journal, run, world: Arc::default(), eyes, show, pace }
}

/// Waits for something, with a limit.
async fn until<T>(what: &str, mut happens: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(happened) = happens() {
            return happened;
        }
        assert!(start.elapsed() < LIMIT, "waited in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

impl Bench {
    fn state(&self) -> RunState {
        self.journal.state(&self.run).unwrap()
    }

    /// The journal as it is on disk, proved.
    fn proved(&self) -> RunState {
        let texts = self.journal.texts(&self.run).unwrap();
        verify(texts.iter().map(String::as_str)).unwrap().0
    }

    fn bodies(&self) -> Vec<Body> {
        self.journal.entries(&self.run, 0).unwrap().into_iter().map(|e| e.body).collect()
    }

    /// A runner as a process of its own would be: with its own connection. Waits for the lock of one that was killed.
    async fn runner(&self) -> (JoinHandle<End>, CancellationToken) {
        let journal = Arc::new(Journal::open(self.dir.path()).unwrap());
        let take = || journal.take(&self.run, &who("runner")).ok();
        let held = until("the lock", take).await;
        let world = Arc::clone(&self.world);
        let open: Open = Arc::new(move |scene, ix| {
            let name = scene.step(ix).map(|s| s.name.as_str().to_owned()).unwrap_or_default();
            Ok(Box::new(Fake { world: Arc::clone(&world), name }))
        });
        let (who, plan, net) = (who("runner"), plan(), Net::new());
        let runner = Runner { journal, held, who, plan, net, eyes: self.eyes.clone(), open, pace: self.pace };
        let stop = CancellationToken::new();
        (tokio::spawn(work(runner, stop.clone())), stop)
    }

    /// A person's command, by way of a client.
    fn command(&self, command: Command) -> Result<(), String> {
        loop {
            let state = self.state();
            let asker = crate::runbook::Asker { now: clock::now(), boot: self.journal.boot(), epoch: None };
            let bodies = decide(&state, command.clone(), asker).map_err(|e| e.to_string())?;
            match self.journal.append(&self.run, state.seq, bodies, &who("alice"), state.epoch) {
                Ok(_) => return Ok(()),
                Err(JournalError::Moved { .. }) => {}
                Err(e) => return Err(e.to_string()),
            }
        }
    }

    /// Asks for everything that is left to be shown; waits for it.
    async fn ask(&self) {
        let next = self.state().next_step().unwrap();
        let to = StepIx::at(self.state().steps.len() - 1);
        self.command(Command::Ask { from: next, to }).unwrap();
        until("what would be done", || self.state().shown).await;
    }

    fn approve(&self) -> Result<(), String> {
        let state = self.state();
        let Some(shown) = &state.shown else { return Err("nothing is shown".to_owned()) };
        let prompt = prompt(&state.opened.runbook, &shown.steps);
        let risk = |(ix, c): &(StepIx, crate::runbook::Condition)| (*ix, c.id.to_string(), expected_words(c));
        let risks = prompt.risks.iter().map(risk).collect();
        self.command(Command::Approve { shown: shown.seq, risks, waived: Vec::new(), typed: prompt.challenge })
    }

    async fn start(&self) {
        self.ask().await;
        self.approve().unwrap();
    }

    /// A person who wants the run to end well: asks, approves, and asks again where nothing more comes by itself.
    async fn insist(&self) {
        let begun = Instant::now();
        let mut halted: Option<Instant> = None;
        loop {
            assert!(begun.elapsed() < LIMIT, "{:?} {:?}", self.state().phase(), self.state().blocked);
            let patience = match self.state().phase() {
                Phase::Closed => return,
                Phase::Halted(_, Outcome::Indeterminate) => Duration::from_millis(100),
                Phase::Waiting(_) | Phase::Halted(..) => Duration::ZERO,
                Phase::Armed(..) => {
                    // It may be shown anew meanwhile.
                    let _refused = self.approve();
                    Duration::MAX
                }
                Phase::Preflight(..) | Phase::Approved(_) | Phase::Acting(_) | Phase::Stopping | Phase::Finished => {
                    Duration::MAX
                }
            };
            if patience == Duration::MAX {
                halted = None;
            } else if halted.get_or_insert_with(Instant::now).elapsed() >= patience {
                let state = self.state();
                if let Some(from) = state.next_step() {
                    let _refused = self.command(Command::Ask { from, to: StepIx::at(state.steps.len() - 1) });
                }
                halted = None;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    fn outcomes(&self) -> Vec<Option<Outcome>> {
        let end = |s: &crate::runbook::StepStatus| s.attempts.last()?.end.as_ref().map(|(r, ..)| r.outcome);
        self.proved().steps.iter().map(end).collect()
    }

    async fn ended(&self, step: usize) -> Resolution {
        until("the step's end", || {
            self.state().steps[step].attempts.last().and_then(|a| a.end.clone()).map(|(r, ..)| r)
        })
        .await
    }

    fn no_attempt_acted_twice(&self) {
        let acts = self.world.acts();
        for (at, act) in acts.iter().enumerate() {
            assert!(!acts[..at].contains(act), "{act:?} acted twice: {acts:?}");
        }
    }
}

/// The lane that looks at the old primary.
fn east() -> LaneId {
    let probe = ProbeId::new(&PlanId::new("payments"), "orders-db");
    LaneId { probe, subject: Subject::site(SiteId::new("east")) }
}
