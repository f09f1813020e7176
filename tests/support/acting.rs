//! A run as its runner carries it out, one step at a time and in the test's own process: every rule of the journal, of
//! `decide` and of `admit` holds. There is no other way to let a step act, and a test can look between any two of its moves.

use std::sync::Arc;
use std::time::Duration;

use lifeboat::net::Net;
use lifeboat::plan::{Plan, SafeText, SiteId, Span};
use lifeboat::readiness::PlanStatus;
use lifeboat::runbook::{
    Acted, Asker, AttemptId, Authorized, Body, Cause, Command, Condition, Digest, DurableEntry, Expected, Held, Moment,
    Observation, Opened, Outcome, Preview, Refusal, Resolution, RunId, RunState, Runbook, RunbookKind, StepIx,
    StepPlan, admit, decide, expected_words, holds_still, prompt,
};
use lifeboat::store::{Journal, journal, operator};
use lifeboat::systems::{Executor, Scene, step_kind};
use lifeboat::{clock, config};
use tokio::time::Instant;

/// Between two looks for an effect.
const AGAIN: Duration = Duration::from_millis(100);

/// A run that this process holds.
pub struct Run {
    /// The plan.
    pub plan: Arc<Plan>,
    /// What steps are told of the plan.
    pub status: Option<Arc<PlanStatus>>,
    /// How long one look may take.
    pub patience: Duration,
    journal: Journal,
    held: journal::Held,
    id: RunId,
    net: Arc<Net>,
    _dir: tempfile::TempDir,
}

/// A step of a run, with its executor.
pub struct Step<'r> {
    run: &'r Run,
    /// Which.
    pub ix: StepIx,
    /// What carries it out.
    pub executor: Box<dyn Executor>,
}

/// How a step ended.
#[derive(Debug)]
pub struct Ended {
    /// What the call gave; `None` where nothing was called.
    pub acted: Option<Acted>,
    /// What was seen last.
    pub seen: Observation,
    /// How it is judged.
    pub outcome: Outcome,
    /// What that rests on.
    pub why: String,
}

/// In so long.
pub fn within(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

/// The condition of a preview with this name.
pub fn condition<'p>(preview: &'p Preview, id: &str) -> &'p Condition {
    preview.conditions.iter().find(|c| c.id == id).unwrap_or_else(|| panic!("no condition {id}: {preview:#?}"))
}

/// The conditions that do not hold, by name.
pub fn failing(preview: &Preview) -> Vec<&str> {
    preview.conditions.iter().filter(|c| c.held != Held::Holds).map(|c| c.id.as_ref()).collect()
}

impl Run {
    /// Opens a run of this kind of the first plan of this configuration, from one site to the other, and takes it.
    pub fn open(configuration: &str, kind: RunbookKind, from: &str, to: &str) -> Self {
        let config = config::parse("test.toml", configuration).unwrap_or_else(|e| panic!("{e}"));
        let plan = Arc::clone(&config.plans[0]);
        let runbook = config.runbooks[&plan.id].get(kind).expect("the runbook").clone();
        let pinned = config::pinned(&config, &plan.id).expect("it can be pinned");
        Self::opened(plan, runbook, pinned, config::digest(&config), from, to)
    }

    /// The same of a switchover with these steps of a plan that no configuration has to know.
    pub fn of_steps(plan: Arc<Plan>, from: &str, to: &str, steps: Vec<StepPlan>) -> Self {
        let runbook = Runbook { kind: RunbookKind::Switchover, steps };
        Self::opened(plan, runbook, String::new(), Digest::of(&[b"test"]), from, to)
    }

    fn opened(plan: Arc<Plan>, runbook: Runbook, pinned: String, config: Digest, from: &str, to: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let journal = Journal::open(dir.path()).unwrap_or_else(|e| panic!("{e}"));
        let (kind, who) = (runbook.kind, operator());
        let id = RunId::new(&format!("{}-{kind}-1", plan.id));
        let opened = Opened {
            plan: plan.id.clone(),
            kind,
            cause: Cause::Planned,
            reason: "a test".into(),
            from: SiteId::new(from),
            to: SiteId::new(to),
            runbook,
            pinned,
            config,
            version: "test".into(),
            t0: Moment { at: clock::now().wall, why: "now".into() },
            detected: None,
            expected: Expected { rpo: Span::secs(30), rto: Span::secs(300), ..Expected::default() },
            scope: "this test".into(),
            after: None,
            practice: false,
        };
        journal.open_run(id.clone(), opened, who.clone(), None).unwrap_or_else(|e| panic!("{e}"));
        let held = journal.take(&id, &who).unwrap_or_else(|e| panic!("{e}"));
        let patience = Duration::from_secs(6);
        Self { plan, status: None, patience, journal, held, id, net: Net::new(), _dir: dir }
    }

    /// The run as it stands.
    pub fn state(&self) -> RunState {
        self.journal.state(&self.id).expect("its state")
    }

    /// What a step is carried out in now.
    pub fn scene(&self) -> Scene {
        Scene {
            plan: Arc::clone(&self.plan),
            state: Arc::new(self.state()),
            status: self.status.clone(),
            net: Arc::clone(&self.net),
            lock: Some(self.held.lock()),
        }
    }

    /// Lets go of the run as a process does that ends: its children may still hold it.
    pub fn let_go(self) -> (Journal, RunId, tempfile::TempDir) {
        drop(self.held);
        (self.journal, self.id, self._dir)
    }

    /// Everything that the journal says, as one text.
    pub fn journaled(&self) -> String {
        self.journal.texts(&self.id).expect("its entries").join("\n")
    }

    /// What a command appends.
    pub fn command(&self, command: Command) -> Result<Vec<DurableEntry>, Refusal> {
        let (state, epoch) = (self.state(), self.held.tenure().epoch());
        let asker = Asker { now: clock::now(), boot: self.journal.boot(), epoch: Some(epoch) };
        let bodies = decide(&state, command, asker)?;
        Ok(self.journal.append(&self.id, state.seq, bodies, &operator(), epoch).unwrap_or_else(|e| panic!("{e}")))
    }

    fn do_it(&self, command: Command) -> Vec<DurableEntry> {
        self.command(command).unwrap_or_else(|e| panic!("{e}"))
    }

    /// A fresh executor of a step: nothing is remembered from another.
    pub fn executor(&self, ix: StepIx) -> Box<dyn Executor> {
        let scene = self.scene();
        let kind = step_kind(&scene.step(ix).expect("the step").kind).expect("its kind");
        (kind.open)(&scene, ix).unwrap_or_else(|e| panic!("{e:?}"))
    }

    /// The step with this place, counted from 0, with an executor of its own.
    pub fn step(&self, place: u16) -> Step<'_> {
        let ix = StepIx(place);
        Step { run: self, ix, executor: self.executor(ix) }
    }

    fn at(&self, ix: StepIx) -> Step<'_> {
        self.step(ix.0)
    }

    /// A person is shown this of a step.
    fn show(&self, ix: StepIx, shown: &Preview) {
        self.do_it(Command::Ask { from: ix, to: ix });
        let (.., asked) = self.state().asked.expect("it was asked for");
        self.do_it(Command::Show { asked, steps: vec![(ix, shown.clone())] });
    }

    /// And approves it, with every risk accepted and all advice waived, as the prompt names them.
    fn give(&self, ix: StepIx, shown: &Preview) -> Result<(), Refusal> {
        self.give_with(ix, shown, expected_words)
    }

    /// The same, with other words for the risks.
    fn give_with(&self, ix: StepIx, shown: &Preview, words: impl Fn(&Condition) -> String) -> Result<(), Refusal> {
        let state = self.state();
        let wanted = prompt(&state.opened.runbook, &[(ix, shown.clone())]);
        let seq = state.shown.expect("it is shown").seq;
        let risks = wanted.risks.iter().map(|(ix, c)| (*ix, c.id.to_string(), words(c))).collect();
        let waived = wanted.advice.iter().map(|(ix, c)| (*ix, c.id.to_string(), "a test".to_owned())).collect();
        self.command(Command::Approve { shown: seq, risks, waived, typed: wanted.challenge }).map(drop)
    }

    /// The permission to carry out a step that is approved, by what was just re-read of it; or what was written instead.
    fn permitted(&self, ix: StepIx, now: Preview) -> Result<Authorized, Vec<Body>> {
        let entries = self.do_it(Command::Begin { step: ix, preview: Box::new(now) });
        let bodies: Vec<Body> = entries.iter().map(|e| e.entry().body.clone()).collect();
        let intent = entries.into_iter().find(|e| matches!(e.entry().body, Body::Intent { .. })).ok_or(bodies)?;
        Ok(admit(intent, self.held.tenure(), &self.state()).expect("admitted"))
    }

    /// A person is shown this of a step and approves it, whatever it asks for; the runner begins it by `now`.
    pub fn authorize(&self, ix: StepIx, shown: &Preview, now: &Preview) -> Authorized {
        self.show(ix, shown);
        self.give(ix, shown).unwrap_or_else(|e| panic!("{e}"));
        self.permitted(ix, now.clone()).unwrap_or_else(|bodies| panic!("{bodies:?}"))
    }

    /// What a step would do now.
    pub async fn preview(&self, ix: StepIx) -> Preview {
        self.at(ix).preview().await
    }

    /// Shows a step and approves it.
    pub async fn approve(&self, ix: StepIx) -> Result<Preview, Refusal> {
        self.at(ix).approve().await
    }

    /// Shows a step and approves it, with these words for what it risks.
    pub async fn approve_with(&self, ix: StepIx, words: impl Fn(&Condition) -> String) -> Result<(), Refusal> {
        let shown = self.preview(ix).await;
        self.show(ix, &shown);
        self.give_with(ix, &shown, words)
    }

    /// Begins an approved step: its permission, or what was written instead.
    pub async fn begin(&self, ix: StepIx, executor: &mut dyn Executor) -> Result<Authorized, Vec<Body>> {
        let scene = self.scene();
        let preview = executor.preview(&scene, Instant::now() + self.patience).await;
        self.permitted(ix, preview)
    }

    /// Looks for the effect of a call until it is there, or nothing more comes of it, or the deadline is over; appends how it
    /// ended, as the runner judges that.
    pub async fn ended(&self, ix: StepIx, executor: &mut dyn Executor, acted: Acted, deadline: Instant) -> Ended {
        let attempt = self.attempt(ix);
        if self.state().steps[ix.place()].attempts.last().is_some_and(|a| a.acted.is_none()) {
            self.do_it(Command::Act { attempt, acted: acted.clone() });
        }
        let mut seen;
        loop {
            seen = executor.observe(&self.scene(), Instant::now() + self.patience).await;
            if seen.held == Held::Holds || acted.is_over() || seen.over || Instant::now() >= deadline {
                break;
            }
            tokio::time::sleep(AGAIN).await;
        }
        let outcome = match (seen.held, &acted) {
            (Held::Holds, _) => Outcome::Succeeded,
            (_, Acted::Refused { .. } | Acted::NotSent { .. })
            | (Held::Fails, Acted::Returned { .. } | Acted::Failed { .. }) => Outcome::Failed,
            (_, Acted::Unclear { .. }) | (Held::Unknown, Acted::Returned { .. } | Acted::Failed { .. }) => {
                Outcome::Indeterminate
            }
        };
        let resolution = Resolution { outcome, why: seen.why.clone(), left: seen.left.clone() };
        self.do_it(Command::End { attempt, resolution });
        Ended { acted: Some(acted), why: seen.why.to_string(), seen, outcome }
    }

    /// Carries out an approved step to its end, as the runner does.
    pub async fn finish(&self, ix: StepIx) -> Ended {
        let limit = self.scene().step(ix).expect("the step").deadline.0;
        self.at(ix).finish(limit, || {}).await
    }

    /// Approves and carries out a step.
    pub async fn carry_out(&self, ix: StepIx) -> Ended {
        self.approve(ix).await.unwrap_or_else(|e| panic!("{e}"));
        self.finish(ix).await
    }

    /// Approves and carries out a step, which must succeed.
    pub async fn succeeds(&self, ix: StepIx) -> Ended {
        let ended = self.carry_out(ix).await;
        assert_eq!(ended.outcome, Outcome::Succeeded, "{ended:?}");
        ended
    }

    /// The newest attempt of a step.
    pub fn attempt(&self, ix: StepIx) -> AttemptId {
        self.state().steps[ix.place()].attempts.last().expect("an attempt").id
    }
}

impl Step<'_> {
    /// What it would do now.
    pub async fn preview(&mut self) -> Preview {
        let scene = self.run.scene();
        self.executor.preview(&scene, Instant::now() + self.run.patience).await
    }

    /// A person asks, is shown the step, and approves it with everything that it takes.
    pub async fn approve(&mut self) -> Result<Preview, Refusal> {
        let preview = self.preview().await;
        self.run.show(self.ix, &preview);
        self.run.give(self.ix, &preview)?;
        Ok(preview)
    }

    /// It acts, as approved. `None` where it was true already, or did not hold any more: then nothing was done.
    pub async fn act(&mut self, deadline: Instant) -> Option<Acted> {
        self.act_after(deadline, || {}).await.ok()
    }

    /// The same, where something happens between the last look and the call; what was written where it was not called.
    pub async fn act_after(&mut self, deadline: Instant, happens: impl FnOnce()) -> Result<Acted, Vec<Body>> {
        let again = self.preview().await;
        let authorized = self.run.permitted(self.ix, again)?;
        let state = self.run.state();
        let given = state.approval.clone().expect("an approval");
        let last = self.preview().await;
        holds_still(&given.approval, self.ix, &last, &state.opened.runbook).unwrap_or_else(|e| panic!("{e:?}"));
        happens();
        let scene = self.run.scene();
        let acted = self.executor.act(authorized, &scene, deadline).await;
        let attempt = self.run.attempt(self.ix);
        self.run.do_it(Command::Act { attempt, acted: acted.clone() });
        Ok(acted)
    }

    /// Looks once.
    pub async fn look(&mut self) -> Observation {
        let scene = self.run.scene();
        self.executor.observe(&scene, Instant::now() + self.run.patience).await
    }

    /// Looks until it holds, or the deadline is over.
    pub async fn observe(&mut self, deadline: Instant) -> Observation {
        loop {
            let seen = self.look().await;
            if seen.held == Held::Holds || Instant::now() >= deadline {
                return seen;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Approves, acts, looks, and says how it ended, as the runner does.
    pub async fn carry_out(&mut self, limit: Duration) -> Ended {
        self.carry_out_after(limit, || {}).await
    }

    /// The same, where something happens between the last look and the call.
    pub async fn carry_out_after(&mut self, limit: Duration, happens: impl FnOnce()) -> Ended {
        self.approve().await.unwrap_or_else(|e| panic!("{e}"));
        self.finish(limit, happens).await
    }

    async fn finish(&mut self, limit: Duration, happens: impl FnOnce()) -> Ended {
        let deadline = Instant::now() + limit;
        match self.act_after(deadline, happens).await {
            Ok(acted) => self.run.ended(self.ix, &mut *self.executor, acted, deadline).await,
            Err(bodies) => {
                let outcome = match bodies.first() {
                    Some(Body::Outcome { resolution, .. }) => resolution.outcome,
                    _ => Outcome::NotStarted,
                };
                let why = format!("{bodies:?}");
                let seen = Observation::new(Held::Unknown, SafeText::new(&why).as_str(), clock::now());
                Ended { acted: None, seen, outcome, why }
            }
        }
    }
}
