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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_goes_from_its_approval_to_its_end() {
    let b = bench(failover());
    let (runner, _stop) = b.runner().await;
    b.start().await;
    until("the end", || b.state().closed).await;
    assert_eq!(b.outcomes(), [Some(Outcome::Succeeded); 3]);
    assert_eq!(b.proved().closed.map(|(c, _)| c), Some(Closing::Completed));
    assert_eq!(b.world.acts().len(), 3);
    assert_eq!(runner.await.unwrap(), End::Closed);
    assert!(!b.journal.is_held(&b.run));
    assert!(matches!(b.bodies().last(), Some(Body::Released { .. })));
    // Intent, act and outcome of each step, in this order, each by the runner that held the run.
    let said: Vec<&str> = (b.bodies().iter())
        .filter_map(|b| match b {
            Body::Intent { .. } => Some("intent"),
            Body::Acted { .. } => Some("acted"),
            Body::Outcome { .. } => Some("outcome"),
            _ => None,
        })
        .collect();
    assert_eq!(said, ["intent", "acted", "outcome"].repeat(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_call_it_acts_at_most_once_an_attempt_and_every_effect_is_made_once() {
    let mut killed = 0;
    for at in 0.. {
        let b = bench(failover());
        *b.world.freeze_at.lock().unwrap() = Some(at);
        let (first, _stop) = b.runner().await;
        tokio::select! {
            () = b.world.held.notified() => {}
            () = b.insist() => {}
        }
        first.abort();
        let _killed = first.await;
        let finished = !b.world.reached.load(Ordering::SeqCst);
        if !finished {
            killed += 1;
            let (second, _stop) = b.runner().await;
            b.insist().await;
            second.abort();
        }
        let state = b.proved();
        assert_eq!(state.closed.as_ref().map(|(c, _)| c), Some(&Closing::Completed), "killed at call {at}");
        for step in ["fence", "promote", "verify"] {
            assert_eq!(b.world.effect(step), 1, "{step}, killed at call {at}: {:?}", b.bodies());
        }
        b.no_attempt_acted_twice();
        if finished {
            break;
        }
    }
    assert!(killed > 15, "{killed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_4_what_was_in_hand_becomes_indeterminate_and_is_only_looked_for() {
    let b = bench(failover());
    *b.world.hold_at.lock().unwrap() = Some("after promote".to_owned());
    let (first, _stop) = b.runner().await;
    b.start().await;
    b.world.held.notified().await;
    first.abort();
    let _killed = first.await;
    assert_eq!(b.outcomes()[1], None, "nobody knows");
    let (_second, _stop) = b.runner().await;
    // It sees the effect, and says so; and it asks before it goes on.
    until("the effect", || (b.outcomes()[1] == Some(Outcome::Succeeded)).then_some(())).await;
    let ends = b.bodies().into_iter().filter_map(|body| match body {
        Body::Outcome { attempt, resolution } if attempt.step == StepIx(1) => Some(resolution.outcome),
        _ => None,
    });
    assert_eq!(ends.collect::<Vec<_>>(), [Outcome::Indeterminate, Outcome::Succeeded]);
    assert_eq!(b.state().phase(), Phase::Waiting(StepIx(2)));
    assert_eq!(b.world.acts().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_5_another_target_after_the_intent_is_not_touched() {
    let b = bench(failover());
    // It is previewed to be shown, to begin, and once the intent is on disk.
    *b.world.another_from.lock().unwrap() = Some(2);
    let (_runner, _stop) = b.runner().await;
    b.start().await;
    let end = b.ended(1).await;
    assert_eq!(end.outcome, Outcome::NotStarted);
    assert!(end.why.as_str().contains("system was 7, is 8"), "{}", end.why);
    assert_eq!(b.world.effect("promote"), 0);
    assert!(b.state().approval.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_5_an_approval_that_is_taken_back_after_the_intent_lets_nothing_act() {
    let b = bench(failover());
    let (_runner, _stop) = b.runner().await;
    b.ask().await;
    b.approve().unwrap();
    *b.world.hold_at.lock().unwrap() = Some("preview promote".to_owned());
    b.world.held.notified().await;
    // Whether it was the preview before the intent or the one after it.
    b.command(Command::Withdraw { reason: "wait".to_owned() }).unwrap();
    b.world.thaw.notify_one();
    until("its end", || (!matches!(b.state().phase(), Phase::Acting(_) | Phase::Approved(_))).then_some(())).await;
    assert_eq!(b.world.effect("promote"), 0);
    assert!(b.outcomes()[1].is_none_or(|o| o == Outcome::NotStarted));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_6_and_7_one_approval_lets_a_step_act_once_and_a_retry_needs_another() {
    let b = bench(failover());
    *b.world.odd.lock().unwrap() = Some(Odd::Refuses);
    let (_runner, _stop) = b.runner().await;
    b.start().await;
    let end = b.ended(1).await;
    assert_eq!((end.outcome, end.why.as_str()), (Outcome::Failed, "refused: not in recovery"));
    let seen = b.world.previews.load(Ordering::SeqCst);
    assert_eq!(b.state().phase(), Phase::Halted(StepIx(1), Outcome::Failed));
    assert_eq!(b.approve(), Err("nothing is shown".to_owned()));
    b.start().await;
    until("the end", || b.state().closed).await;
    assert!(b.world.previews.load(Ordering::SeqCst) > seen);
    assert_eq!(b.outcomes(), [Some(Outcome::Succeeded); 3]);
    b.no_attempt_acted_twice();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_8_without_a_durable_intent_nothing_acts() {
    let b = bench(failover());
    let other = rusqlite::Connection::open(b.dir.path().join(journal::FILE)).unwrap();
    // Everything goes well until COMMIT.
    other
        .execute_batch(
            "CREATE TABLE odd (x INTEGER REFERENCES entry (id) DEFERRABLE INITIALLY DEFERRED);
             CREATE TRIGGER oddly AFTER INSERT ON entry WHEN json_extract(new.text, '$.body.is') = 'intent'
             BEGIN INSERT INTO odd VALUES (-1); END;",
        )
        .unwrap();
    let (_runner, _stop) = b.runner().await;
    b.start().await;
    let shown = b.world.previews.load(Ordering::SeqCst);
    until("several tries", || (b.world.previews.load(Ordering::SeqCst) >= shown + 2).then_some(())).await;
    assert!(b.world.acts().is_empty());
    assert_eq!(b.state().phase(), Phase::Approved(StepIx(0)));
    other.execute_batch("DROP TRIGGER oddly").unwrap();
    until("the end", || b.state().closed).await;
    assert_eq!(b.world.acts().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_8_a_runner_whose_journal_is_taken_away_acts_no_more_and_ends() {
    // Before its intent, between that and the act, and while it acts.
    for (points, acts) in
        [(["preview fence"].as_slice(), 0), (&["preview fence", "preview fence"], 0), (&["after fence"], 1)]
    {
        let b = bench(failover());
        let (runner, _stop) = b.runner().await;
        b.ask().await;
        for (nth, point) in points.iter().enumerate() {
            *b.world.hold_at.lock().unwrap() = Some((*point).to_owned());
            if nth == 0 {
                b.approve().unwrap();
            } else {
                b.world.thaw.notify_one();
            }
            b.world.held.notified().await;
        }
        let begun = b.bodies().iter().any(|body| matches!(body, Body::Intent { .. }));
        assert_eq!(begun, points != ["preview fence"], "{points:?}");
        std::fs::remove_dir_all(b.dir.path()).unwrap();
        b.world.thaw.notify_one();
        assert_eq!(runner.await.unwrap(), End::Gone, "{points:?}");
        assert_eq!(b.world.acts().len(), acts, "{points:?}");
        // Whoever approves by the file that is gone hears so.
        let refused = b.journal.state(&b.run).unwrap_err().to_string();
        assert!(refused.contains("taken away") && !b.dir.path().exists(), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_that_waits_ends_when_its_journal_is_taken_away() {
    let b = bench(failover());
    let (runner, _stop) = b.runner().await;
    b.ask().await;
    std::fs::remove_file(b.dir.path().join(journal::FILE)).unwrap();
    assert_eq!(runner.await.unwrap(), End::Gone);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_9_an_outcome_that_cannot_be_written_is_tried_on_and_nothing_more_is_done() {
    let mut steps = failover();
    // Two that run side by side: the one's outcome keeps the other from acting.
    steps.truncate(2);
    steps.push(step("other", StepRole::Other, Danger::Changes));
    for step in steps.iter_mut().skip(1) {
        step.group = Some("both".to_owned());
        step.deadline = Span::secs(10);
    }
    let b = bench(steps);
    *b.world.hold_at.lock().unwrap() = Some("after promote".to_owned());
    let (_runner, _stop) = b.runner().await;
    b.start().await;
    b.world.held.notified().await;
    until("the other one", || (b.outcomes()[2] == Some(Outcome::Succeeded)).then_some(())).await;
    let other = rusqlite::Connection::open(b.dir.path().join(journal::FILE)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    b.world.thaw.notify_one();
    let begun = Instant::now();
    // Longer than it waits for a lock.
    until("a locked database", || (begun.elapsed() > Duration::from_millis(2_500)).then_some(())).await;
    assert!(b.state().steps[1].attempts[0].acted.is_none());
    other.execute_batch("ROLLBACK").unwrap();
    until("the end", || b.state().closed).await;
    assert_eq!(b.outcomes(), [Some(Outcome::Succeeded); 3]);
    assert_eq!(b.world.effect("promote"), 1);
    assert_eq!(b.world.acts().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_3_a_runner_whose_lock_was_removed_under_it_stops_when_another_takes_the_run() {
    let b = bench(failover());
    *b.world.hold_at.lock().unwrap() = Some("preview fence".to_owned());
    let (first, _stop) = b.runner().await;
    b.command(Command::Ask { from: StepIx(0), to: StepIx(2) }).unwrap();
    b.world.held.notified().await;
    std::fs::remove_file(b.dir.path().join("runs/r1.lock")).unwrap();
    let (_second, _stop) = b.runner().await;
    until("what would be done", || b.state().shown).await;
    b.world.thaw.notify_one();
    assert_eq!(first.await.unwrap(), End::Lost);
    b.approve().unwrap();
    until("the end", || b.state().closed).await;
    assert_eq!(b.world.acts().len(), 3);
    assert!(b.proved().steps.iter().flat_map(|s| &s.attempts).all(|a| a.epoch == Epoch(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_11_a_lock_that_somebody_else_has_at_the_target_lets_nobody_approve() {
    let b = bench(failover());
    b.world.elsewhere.store(true, Ordering::SeqCst);
    let (_runner, _stop) = b.runner().await;
    b.ask().await;
    let blocked = b.approve().unwrap_err();
    assert!(blocked.contains("nobody else runs payments at db.west fails"), "{blocked}");
    b.world.elsewhere.store(false, Ordering::SeqCst);
    b.ask().await;
    until("another look", || b.approve().ok()).await;
    until("the end", || b.state().closed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_11_a_lock_that_is_lost_on_the_way_keeps_the_step_from_acting() {
    let b = bench(failover());
    *b.world.hold_at.lock().unwrap() = Some("after fence".to_owned());
    let (_runner, _stop) = b.runner().await;
    b.start().await;
    b.world.held.notified().await;
    b.world.elsewhere.store(true, Ordering::SeqCst);
    b.world.thaw.notify_one();
    until("the end of the approval", || b.state().blocked.filter(|_| b.state().approval.is_none())).await;
    assert_eq!((b.world.effect("fence"), b.world.effect("promote")), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_can_say_is_looked_for_on_and_never_repeated() {
    let b = bench(failover());
    *b.world.odd.lock().unwrap() = Some(Odd::UnclearWithout);
    let (_runner, _stop) = b.runner().await;
    b.start().await;
    let end = b.ended(1).await;
    assert_eq!(end.outcome, Outcome::Indeterminate);
    assert!(end.why.as_str().contains("cut off"), "{}", end.why);
    // It comes late, by itself.
    b.world.make("promote");
    until("the effect", || (b.outcomes()[1] == Some(Outcome::Succeeded)).then_some(())).await;
    assert_eq!(b.world.acts().iter().filter(|(s, _)| s == "promote").count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_returned_without_its_effect_failed_and_one_that_panicked_is_not_known() {
    for (odd, outcome) in [(Odd::ReturnsWithout, Outcome::Failed), (Odd::Panics, Outcome::Indeterminate)] {
        let b = bench(failover());
        *b.world.odd.lock().unwrap() = Some(odd);
        let (_runner, _stop) = b.runner().await;
        b.start().await;
        let end = b.ended(1).await;
        assert_eq!(end.outcome, outcome, "{}", end.why);
        b.insist().await;
        assert_eq!(b.world.effect("promote"), 1);
    }
}

/// A failover whose promotion may take longer than any test.
fn patient() -> Bench {
    let mut steps = failover();
    steps[1].deadline = Span::secs(600);
    bench(steps)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_said_that_it_failed_is_looked_at_once_and_not_waited_for() {
    let b = patient();
    *b.world.odd.lock().unwrap() = Some(Odd::FailsWithout);
    let (_runner, _stop) = b.runner().await;
    b.start().await;
    let end = b.ended(1).await;
    assert_eq!((end.outcome, end.why.as_str()), (Outcome::Failed, "it failed: no room; looked"));
    assert_eq!(b.state().phase(), Phase::Halted(StepIx(1), Outcome::Failed));
    // What it did all the same counts.
    let b = patient();
    *b.world.odd.lock().unwrap() = Some(Odd::FailsWith);
    let (_runner, _stop) = b.runner().await;
    b.start().await;
    assert_eq!(b.ended(1).await.outcome, Outcome::Succeeded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_ended_without_its_effect_is_not_waited_for() {
    let b = patient();
    *b.world.odd.lock().unwrap() = Some(Odd::Ends);
    let (_runner, _stop) = b.runner().await;
    b.start().await;
    let end = b.ended(1).await;
    assert_eq!((end.outcome, end.why.as_str()), (Outcome::Failed, "the effect is not there: looked"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_far_a_long_step_is_is_in_its_journal() {
    let b = patient();
    *b.world.odd.lock().unwrap() = Some(Odd::TakesLong);
    *b.world.waits.lock().unwrap() = Some("40 % of it".to_owned());
    let (_runner, _stop) = b.runner().await;
    b.start().await;
    let progress = || b.state().steps[1].attempts.last()?.progress.clone();
    assert_eq!(until("its progress", progress).await.0.as_str(), "40 % of it");
    assert_eq!(b.state().steps[1].state, StepState::Observing);
    b.world.make("promote");
    until("the end", || b.state().closed).await;
    let said = b.bodies().into_iter().filter(|body| matches!(body, Body::Progress { .. })).count();
    assert_eq!(said, 1, "looked at hundreds of times, told once");
    // An older program reads all but that, and the proof holds for this one.
    let versions = b.journal.entries(&b.run, 0).unwrap();
    assert!(versions.iter().all(|e| e.v == if matches!(e.body, Body::Progress { .. }) { 2 } else { 1 }));
    assert_eq!(b.proved().steps[1].state, StepState::Done(Outcome::Succeeded));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_that_died_is_followed_by_another_which_raises_the_alarm() {
    let b = bench(failover());
    b.world.assumed.store(true, Ordering::SeqCst);
    let (first, _stop) = b.runner().await;
    b.start().await;
    until("the end of the approval", || b.state().blocked).await;
    b.insist().await;
    assert!(b.journal.is_held(&b.run), "it stays to watch");
    first.abort();
    let _killed = first.await;
    let (second, _stop) = b.runner().await;
    assert_eq!(b.state().epoch, Epoch(2));
    let lane = LaneId {
        probe: ProbeId::new(&PlanId::new("payments"), "orders-db"),
        subject: Subject::site(SiteId::new("east")),
    };
    let writer = Writer { site: SiteId::new("east"), asked: clock::now(), system: None };
    b.show.send(Sight { writes: HashMap::from([(lane, writer)]), ..Sight::default() }).unwrap();
    until("the alarm", || b.state().alarms.first().cloned()).await;
    assert_eq!(b.world.effect("promote"), 1);
    b.command(Command::Acknowledge { reason: "it is being fenced by hand".to_owned() }).unwrap();
    assert_eq!(second.await.unwrap(), End::Closed);
    assert!(b.proved().ignored.is_empty());
    // Nothing is left to watch: nobody takes it any more.
    assert!(matches!(b.journal.take(&b.run, &who("late")), Err(JournalError::Closed(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_already_is_recorded_and_not_done() {
    let b = bench(failover());
    b.world.make("promote");
    let (_runner, _stop) = b.runner().await;
    b.start().await;
    until("the end", || b.state().closed).await;
    assert_eq!(b.outcomes()[1], Some(Outcome::AlreadyTrue));
    assert_eq!(b.world.acts().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_does_ends_by_a_persons_word() {
    let mut steps = failover();
    steps[0].verified = Verified::ByPerson;
    steps[0].deadline = Span::secs(60);
    let b = bench(steps);
    let (_runner, _stop) = b.runner().await;
    b.start().await;
    until("the step", || (b.state().steps[0].state == StepState::Observing).then_some(())).await;
    b.command(Command::Confirm { step: StepIx(0), done: true, words: "pulled the plug".to_owned() }).unwrap();
    // A person's word is no proof that the old site takes no writes.
    until("the end of the approval", || b.state().blocked).await;
    assert_eq!(b.proved().fence_strength(), Some(Strength::Assumed));
    b.insist().await;
    let (end, ..) = b.proved().steps[0].attempts[0].end.clone().unwrap();
    assert_eq!((end.outcome, end.why.as_str()), (Outcome::Succeeded, "said by a person: pulled the plug"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asked_to_end_it_finishes_what_is_in_hand_and_lets_go() {
    let b = bench(failover());
    *b.world.hold_at.lock().unwrap() = Some("after promote".to_owned());
    let (runner, stop) = b.runner().await;
    b.start().await;
    b.world.held.notified().await;
    stop.cancel();
    b.world.thaw.notify_one();
    assert_eq!(runner.await.unwrap(), End::Stopped);
    assert_eq!(b.outcomes(), [Some(Outcome::Succeeded), Some(Outcome::Succeeded), None]);
    assert!(!b.proved().held && !b.journal.is_held(&b.run));
    // What was approved and not begun goes on with the next one.
    let (_second, _stop) = b.runner().await;
    until("the end", || b.state().closed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_a_person_wants_comes_after_the_step_in_hand() {
    let b = bench(failover());
    *b.world.hold_at.lock().unwrap() = Some("after fence".to_owned());
    let (runner, _stop) = b.runner().await;
    b.start().await;
    b.world.held.notified().await;
    b.command(Command::Abort { reason: "false alarm".to_owned() }).unwrap();
    b.world.thaw.notify_one();
    until("the end", || b.state().closed).await;
    assert_eq!(b.outcomes(), [Some(Outcome::Succeeded), None, None]);
    assert_eq!(b.world.effect("promote"), 0);
    assert_eq!(runner.await.unwrap(), End::Closed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_that_nobody_wants_lets_go_and_says_so() {
    let mut b = bench(failover());
    b.pace.idle = Duration::from_millis(50);
    let (runner, _stop) = b.runner().await;
    assert_eq!(runner.await.unwrap(), End::Idle);
    let Some(Body::Released { why }) = b.bodies().pop() else { panic!("it did not say so") };
    assert!(why.as_str().starts_with("nothing was wanted of it for"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_site_that_takes_writes_again_is_an_alarm_even_after_the_end() {
    let b = bench(failover());
    b.world.assumed.store(true, Ordering::SeqCst);
    let (runner, _stop) = b.runner().await;
    b.start().await;
    // That the fence proves nothing is known only now, and wants its own words.
    until("the end of the approval", || b.state().blocked).await;
    assert_eq!(b.world.effect("promote"), 0);
    b.insist().await;
    assert!(b.state().alarms.is_empty() && b.journal.is_held(&b.run));
    let lane = LaneId {
        probe: ProbeId::new(&PlanId::new("payments"), "orders-db"),
        subject: Subject::site(SiteId::new("east")),
    };
    let at_site = |site, asked| Writer { site: SiteId::new(site), asked, system: None };
    let seen = |writer| Sight { writes: HashMap::from([(lane.clone(), writer)]), ..Sight::default() };
    let writes = |at| seen(at_site("east", at));
    // What was seen before the fence is no news.
    b.show.send(writes(b.state().opened_at)).unwrap();
    b.show.send(seen(at_site("west", clock::now()))).unwrap();
    b.show.send(writes(clock::now())).unwrap();
    until("the alarm", || b.state().alarms.first().cloned()).await;
    b.show.send(writes(clock::now())).unwrap();
    b.command(Command::Acknowledge { reason: "it is being fenced by hand".to_owned() }).unwrap();
    assert_eq!(runner.await.unwrap(), End::Closed);
    let alarms = b.proved().alarms;
    assert_eq!(alarms.len(), 1, "once");
    assert!(alarms[0].0.as_str().starts_with("east takes writes again (orders-db, fence: assumed)"), "{alarms:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_ends_what_was_approved_before_it() {
    let b = bench(failover());
    let (runner, stop) = b.runner().await;
    let lane = LaneId {
        probe: ProbeId::new(&PlanId::new("payments"), "orders-db"),
        subject: Subject::site(SiteId::new("east")),
    };
    // Whatever stopped it, something starts it again.
    let asked = clock::now().plus(Duration::from_secs(60));
    let writer = Writer { site: SiteId::new("east"), asked, system: None };
    b.show.send(Sight { writes: HashMap::from([(lane, writer)]), ..Sight::default() }).unwrap();
    b.start().await;
    let blocked = until("the end of the approval", || b.state().blocked).await;
    assert!(blocked.why[0].as_str().contains("its fence does not hold"), "{blocked:?}");
    assert_eq!((b.world.effect("fence"), b.world.effect("promote")), (1, 0));
    let state = b.state();
    assert!(state.approval.is_none() && state.alarms.len() == 1 && state.wrote_since_fence().is_some());
    stop.cancel();
    assert_eq!(runner.await.unwrap(), End::Stopped);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fence_that_fell_after_it_was_seen_lets_nothing_be_promoted() {
    let mut b = bench(failover());
    // Nobody looks at it but the promotion.
    b.pace.watch = 10 * LIMIT;
    b.world.blocked.store(true, Ordering::SeqCst);
    let (runner, stop) = b.runner().await;
    b.command(Command::Ask { from: StepIx(0), to: StepIx(0) }).unwrap();
    until("the fence is shown", || b.state().shown).await;
    b.approve().unwrap();
    until("the fence is up", || Some(()).filter(|()| b.state().fence().is_some())).await;
    // Somebody lets the applications in again, by hand.
    b.world.effects.lock().unwrap().remove("fence");
    b.ask().await;
    let shown = b.state().shown.unwrap();
    let (_, promotion) = &shown.steps[0];
    let fallen = promotion
        .conditions
        .iter()
        .find(|c| c.id == crate::runbook::guard::ids::FALLEN)
        .expect("it is looked at again");
    assert_eq!((fallen.class, fallen.held), (crate::runbook::Class::Identity, Holds::Fails));
    assert!(b.approve().is_err(), "nothing is typed that would waive it");
    assert_eq!(b.world.effect("promote"), 0);
    stop.cancel();
    assert_eq!(runner.await.unwrap(), End::Stopped);
}

/// A blocked fence is up and nothing else is done; and whoever works on the run.
async fn blocked() -> (Bench, JoinHandle<End>, CancellationToken) {
    let b = bench(failover());
    b.world.blocked.store(true, Ordering::SeqCst);
    let (runner, stop) = b.runner().await;
    b.command(Command::Ask { from: StepIx(0), to: StepIx(0) }).unwrap();
    until("the fence is shown", || b.state().shown).await;
    b.approve().unwrap();
    until("the fence is up", || Some(()).filter(|()| b.state().fence().is_some())).await;
    (b, runner, stop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_fence_that_is_undone_by_hand_is_an_alarm() {
    let (b, runner, stop) = blocked().await;
    b.world.effects.lock().unwrap().remove("fence");
    let (alarm, _) = until("the alarm", || b.state().alarms.first().cloned()).await;
    let words = "east lets the application in again (fence: blocked): its fence does not hold; fence it again before";
    assert!(alarm.as_str().starts_with(words), "{alarm}");
    b.ask().await;
    let refused = b.approve().unwrap_err().to_string();
    assert!(refused.contains("fence"), "{refused}");
    // Up again and down again is another one.
    b.world.make("fence");
    let looks = b.world.calls.load(Ordering::SeqCst);
    until("two looks", || Some(()).filter(|()| b.world.calls.load(Ordering::SeqCst) > looks + 3)).await;
    b.world.effects.lock().unwrap().remove("fence");
    until("another alarm", || b.state().alarms.get(1).cloned()).await;
    stop.cancel();
    assert_eq!(runner.await.unwrap(), End::Stopped);
    assert_eq!((b.proved().alarms.len(), b.world.effect("promote")), (2, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_fence_is_watched_after_the_end_until_somebody_takes_note() {
    let b = bench(failover());
    b.world.blocked.store(true, Ordering::SeqCst);
    let (first, _stop) = b.runner().await;
    b.start().await;
    until("the end", || b.state().closed).await;
    assert!(b.journal.is_held(&b.run), "it stays to watch");
    first.abort();
    let _killed = first.await;
    // Whoever follows looks as well.
    let (second, _stop) = b.runner().await;
    b.world.effects.lock().unwrap().remove("fence");
    let (alarm, _) = until("the alarm", || b.state().alarms.first().cloned()).await;
    assert!(alarm.as_str().contains("two sites may take writes; fence it now; looked"), "{alarm}");
    b.command(Command::Acknowledge { reason: "it is stopped by hand".to_owned() }).unwrap();
    assert_eq!(second.await.unwrap(), End::Closed);
    assert_eq!(b.proved().alarms.len(), 1, "once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_fence_beside_which_nothing_was_promoted_is_not_watched_after_the_end() {
    let (b, runner, _stop) = blocked().await;
    b.command(Command::Abort { reason: "it came back".to_owned() }).unwrap();
    assert_eq!(runner.await.unwrap(), End::Closed, "to let them in again is what is left to do");
    assert!(b.proved().alarms.is_empty());
}

#[test]
fn a_fence_that_is_taken_down_as_approved_is_no_alarm() {
    let asked = crate::clock::now();
    for (strength, attempted) in [(Strength::Blocked, true), (Strength::Proven, true), (Strength::Blocked, false)] {
        let mut state = fenced(strength, serde_json::Value::Null, asked);
        let seen = Observation::new(Holds::Fails, "shop is let in", asked.plus(Duration::from_secs(1)));
        let opened = Arc::make_mut(&mut state.opened);
        opened.runbook.steps.push(step("unfence", StepRole::Unfence, Danger::Changes));
        let mut last = state.steps[1].clone();
        if attempted {
            let mut attempt = state.steps[0].attempts[0].clone();
            attempt.end = None;
            last.attempts.push(attempt);
        }
        state.steps.push(last);
        let mut sentry = super::sentry::Sentry::default();
        let saw = sentry.saw(&state, &seen, Epoch(1));
        assert_eq!(saw.is_none(), attempted, "{strength:?}: {saw:?}");
        assert_eq!(told(&state, None, asked), None, "{strength:?}");
    }
}

/// A run whose first step fenced with this strength, and what it kept.
fn fenced(strength: Strength, kept: serde_json::Value, at: crate::plan::Now) -> RunState {
    let mut state = bench(failover()).state();
    let left = Yield { fence: Some(Fence { strength, why: "a test".into() }), kept, ..Yield::default() };
    let resolution = Resolution { outcome: Outcome::Succeeded, why: "a test".into(), left };
    state.steps[0].attempts.push(crate::runbook::Attempt {
        id: AttemptId { step: StepIx(0), nth: 1 },
        approval: 1,
        identity: Identity::default(),
        began: at,
        epoch: Epoch(1),
        progress: None,
        acted: None,
        end: Some((resolution, at, 2)),
    });
    state
}

/// What is told of a server at the old site that takes writes.
fn told(state: &RunState, system: Option<&str>, asked: crate::plan::Now) -> Option<SafeText> {
    let east = SiteId::new("east");
    let lane =
        LaneId { probe: ProbeId::new(&PlanId::new("payments"), "orders-db"), subject: Subject::site(east.clone()) };
    let writer = Writer { site: east, asked: asked.plus(Duration::from_secs(1)), system: system.map(Into::into) };
    let sight = Sight { writes: HashMap::from([(lane, writer)]), ..Sight::default() };
    super::sentry::Sentry::default().look(state, &sight, Epoch(1))
}

#[test]
fn a_blocked_primary_that_is_still_one_is_no_alarm() {
    let asked = crate::clock::now();
    for (strength, alarms) in [(Strength::Assumed, true), (Strength::Blocked, false), (Strength::Proven, true)] {
        let told = told(&fenced(strength, serde_json::Value::Null, asked), None, asked);
        assert_eq!(told.is_some(), alarms, "{strength:?}: {told:?}");
    }
}

#[test]
fn another_server_at_the_old_address_is_no_old_primary() {
    let asked = crate::clock::now();
    let state = fenced(Strength::Assumed, serde_json::json!({ "how": "assumed", "system": "7301" }), asked);
    assert!(told(&state, Some("7301"), asked).is_some(), "it is the old one");
    assert!(told(&state, Some("7302"), asked).is_none(), "a server of another cluster");
    assert!(told(&state, None, asked).is_some(), "who it is was not read: better one alarm too many");
    let unknown = fenced(Strength::Assumed, serde_json::Value::Null, asked);
    assert!(told(&unknown, Some("7302"), asked).is_some(), "who the old one was is not known");
}

/// A step that was done, with what it left behind.
fn done(state: &mut RunState, role: StepRole, on: crate::runbook::On, left: Yield, at: crate::plan::Now) {
    let ix = StepIx::at(state.steps.len());
    let mut status = state.steps[0].clone();
    status.state = StepState::Done(Outcome::Succeeded);
    let mut attempt = status.attempts[0].clone();
    attempt.id = AttemptId { step: ix, nth: 1 };
    attempt.end = Some((Resolution { outcome: Outcome::Succeeded, why: "a test".into(), left }, at, 3));
    status.attempts = vec![attempt];
    let opened = Arc::make_mut(&mut state.opened);
    opened.runbook.steps.push(StepPlan { on: Some(on), ..step("more", role, Danger::Changes) });
    state.steps.push(status);
}

#[test]
fn an_unfence_of_the_new_site_leaves_the_old_ones_fence_up() {
    use crate::runbook::On;
    let asked = crate::clock::now();
    for (on, up) in [(On::NewActive, true), (On::Site(SiteId::new("west")), true), (On::OldActive, false)] {
        let mut state = fenced(Strength::Blocked, serde_json::Value::Null, asked);
        done(&mut state, StepRole::Unfence, on.clone(), Yield::default(), asked);
        assert_eq!(state.fence_strength(), up.then_some(Strength::Blocked), "{on:?}");
        assert!(!state.is_unfencing(), "{on:?}");
    }
}

#[test]
fn a_proven_fence_that_fell_is_watched_after_the_end() {
    let asked = crate::clock::now();
    let mut state = fenced(Strength::Proven, serde_json::Value::Null, asked);
    assert!(!state.wants_watch(asked, LIMIT), "what is proven to be stopped is");
    state.alarms.push(("east takes writes again".into(), asked.plus(Duration::from_secs(1))));
    assert!(state.wants_watch(asked, LIMIT));
}

#[test]
fn no_loss_is_told_that_what_was_seen_later_refutes() {
    use crate::plan::Lsn;
    use crate::runbook::{Loss, On};
    let asked = crate::clock::now();
    let loss = |seen, held: u64, end| Loss {
        seen: Some(Lsn(seen)),
        held: Lsn(held),
        missing: Some(Lsn(seen).ahead_of(Lsn(held))),
        end,
    };
    let mut state = fenced(Strength::Proven, serde_json::Value::Null, asked);
    let left = |loss| Yield { loss: Some(loss), ..Yield::default() };
    done(&mut state, StepRole::Other, On::OldActive, left(loss(100, 100, true)), asked);
    assert_eq!(state.loss(), Some(loss(100, 100, true)));
    // It wrote on: that log did not end there.
    let mut more = state.clone();
    done(&mut more, StepRole::Promote, On::NewActive, left(loss(150, 100, false)), asked);
    assert_eq!(more.loss(), Some(loss(150, 100, false)));
    // What it writes by itself is held, too: the end is the end.
    let mut held = state.clone();
    done(&mut held, StepRole::Promote, On::NewActive, left(loss(150, 150, false)), asked);
    assert_eq!(held.loss(), Some(loss(150, 150, true)));
    // It was seen to take writes again: how much nobody saw.
    state.alarms.push(("east takes writes again".into(), asked.plus(Duration::from_secs(1))));
    assert_eq!(state.loss(), Some(loss(100, 100, false)));
}

#[test]
fn what_is_told_before_a_promotion_is_told_again_after_it() {
    use crate::runbook::On;
    let asked = crate::clock::now();
    let later = |secs| asked.plus(Duration::from_secs(secs));
    let mut state = fenced(Strength::Proven, serde_json::Value::Null, asked);
    let mut sentry = super::sentry::Sentry::default();
    let mut look = |state: &RunState, secs| {
        let east = SiteId::new("east");
        let probe = ProbeId::new(&PlanId::new("payments"), "orders-db");
        let lane = LaneId { probe, subject: Subject::site(east.clone()) };
        let writer = Writer { site: east, asked: later(secs), system: None };
        let sight = Sight { writes: HashMap::from([(lane, writer)]), ..Sight::default() };
        sentry.look(state, &sight, Epoch(1)).map(|what| what.to_string())
    };
    assert!(look(&state, 1).is_some_and(|what| what.contains("its fence does not hold")));
    assert_eq!(look(&state, 2), None, "once");
    done(&mut state, StepRole::Promote, On::NewActive, Yield::default(), later(3));
    assert_eq!(look(&state, 2), None, "it was not seen since");
    assert!(look(&state, 4).is_some_and(|what| what.contains("two sites may take writes")));
    assert_eq!(look(&state, 5), None, "once");
}
