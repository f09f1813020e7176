//! What a runbook's steps are made of: a kind in the configuration, and an executor that previews, acts and observes.

use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;

use schemars::{Schema, SchemaGenerator};
use tokio::time::Instant;

use crate::clock;
use crate::net::{Net, Outliving};
use crate::plan::{Plan, ProbeDecl, Program, SafeText, SecretRef, SiteId, Span};
use crate::readiness::{Gap, PlanStatus};
use crate::runbook::{
    Acted, Attempt, Authorized, Class, Condition, Danger, Fence, Held, Observation, On, Preview, RetrySafety, RunState,
    RunbookKind, StepIx, StepPlan, StepRole, Strength, Verified, Yield,
};

use super::Fault;

/// One kind of step: a `kind` in `[[plan.failover]]` and its siblings.
pub struct StepKind {
    /// The kind's name: `postgres-promote`.
    pub name: &'static str,
    /// The kinds of probes that it can act on; empty where it needs none. A step of such a kind names one with `probe`.
    pub probes: &'static [&'static str],
    /// The JSON Schema of its own keys, beside those that every step has (`step kind probe on expect deadline group
    /// because`).
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// Reads its own keys. They have been checked against the schema; what is left are faults of meaning.
    pub read: fn(&StepContext<'_>, &serde_json::Value) -> Result<StepTraits, Vec<Fault>>,
    /// Opens its executor. Starts nothing and connects nowhere. What was read without a fault opens; an error is a
    /// configuration that was pinned by another version of this program.
    pub open: OpenStep,
}

/// Opens a step's executor.
pub type OpenStep = fn(&Scene, StepIx) -> Result<Box<dyn Executor>, Fault>;

/// What a step's options are read in.
#[derive(Clone, Copy, Debug)]
pub struct StepContext<'a> {
    /// The runbook that it is in.
    pub runbook: RunbookKind,
    /// The plan's sites.
    pub sites: &'a [SiteId],
    /// The plan's home.
    pub home: &'a SiteId,
    /// The probe that it names, where it names one: read without a fault, and of a kind that it can act on.
    pub probe: Option<&'a ProbeDecl>,
    /// Every probe of the plan.
    pub probes: &'a [ProbeDecl],
    /// The site that it is about, where it says so.
    pub on: Option<&'a On>,
}

/// What a kind says of one configured step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepTraits {
    /// What it is for.
    pub role: StepRole,
    /// How much harm it can do.
    pub danger: Danger,
    /// Whether an attempt whose end is not known may be followed by another.
    pub retry: RetrySafety,
    /// Who says that its effect is there.
    pub verified: Verified,
    /// How long acting and observing may take, where the step does not say.
    pub deadline: Span,
    /// The addresses or names that it changes, for `validate`: a drill must not touch the plan's own.
    pub touches: Vec<SafeText>,
    /// Where its secrets are, for `config check` to try: the key in the step's table, and the reference.
    pub secrets: Vec<(String, SecretRef)>,
}

/// What a step is carried out in: the run as it stands.
#[derive(Clone)]
pub struct Scene {
    /// The plan, as pinned.
    pub plan: Arc<Plan>,
    /// The run: its sites, its steps, what they left behind.
    pub state: Arc<RunState>,
    /// The newest judgement of the plan, where it was looked at.
    pub status: Option<Arc<PlanStatus>>,
    /// The network.
    pub net: Arc<Net>,
    /// The lock on the run, where a runner holds it: empty, and for reading only. A child that acts gets a copy of it (as
    /// its standard input), so that no other runner takes the run while it may still be acting.
    pub lock: Option<Arc<OwnedFd>>,
}

impl Scene {
    /// The step at this place.
    #[must_use]
    pub fn step(&self, ix: StepIx) -> Option<&StepPlan> {
        self.state.opened.runbook.step(ix)
    }

    /// The site that a step is about; the one that takes over, where it does not say.
    #[must_use]
    pub fn site<'a>(&'a self, step: &'a StepPlan) -> &'a SiteId {
        let opened = &self.state.opened;
        step.on.as_ref().map_or(&opened.to, |on| on.site(&opened.from, &opened.to))
    }

    /// The probe that a step names.
    #[must_use]
    pub fn probe(&self, step: &StepPlan) -> Option<&ProbeDecl> {
        let name = step.probe.as_ref()?;
        self.plan.probes.iter().find(|p| *p.id.name == **name)
    }

    /// Starts a program that acts for a step. It is let run to its end, and keeps other runners from the run until then.
    ///
    /// # Errors
    /// `NotSent`: it was not started.
    pub async fn start(&self, program: &Program, deadline: Instant) -> Result<Outliving, Acted> {
        let not_sent = |why: &str| Acted::NotSent { why: SafeText::new(why) };
        let lock = self.lock.as_ref().map(|l| l.try_clone()).transpose();
        let lock = lock.map_err(|e| not_sent(&format!("the run's lock: {}", e.kind())))?;
        self.net.start(program, lock, deadline).await.map_err(|gap| not_sent(gap.detail.as_str()))
    }

    /// What the newest attempt of this step left behind, where it ended.
    #[must_use]
    pub fn left(&self, ix: StepIx) -> Option<&Yield> {
        self.state.lefts().find(|(at, _)| *at == ix).map(|(_, left)| left)
    }
}

/// Something under way for a step.
pub type Executing<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Carries out one step. Owned by one task, never twice at once. Each method is done by its deadline; whoever calls drops
/// it shortly after.
pub trait Executor: Send {
    /// What the step would do now: re-reads its target's identity and role with the credentials that look, and changes
    /// nothing. Whatever could not be read is a condition that is `Unknown`, with the reason; a preview always comes.
    fn preview<'a>(&'a mut self, scene: &'a Scene, deadline: Instant) -> Executing<'a, Preview>;

    /// Does it, once: nothing in here is sent twice, and no driver retries. Resolves the acting credentials. Does not
    /// wait for the effect; [`Executor::observe`] looks for that.
    fn act<'a>(&'a mut self, authorized: Authorized, scene: &'a Scene, deadline: Instant) -> Executing<'a, Acted>;

    /// Whether the effect is there: looks once, changes nothing that matters (a probe of writes rolls back or uses a
    /// place of its own). Whoever calls asks again until it holds or the step's deadline is over.
    fn observe<'a>(&'a mut self, scene: &'a Scene, deadline: Instant) -> Executing<'a, Observation>;

    /// The step as commands that a person could copy into a shell, without this program and without any network:
    /// resolved hosts where the configuration gives them, no secrets. Comments begin with `#`.
    fn commands(&self, scene: &Scene) -> Vec<String>;

    /// The lock at its target that is to be held before it acts, where its target has one. Takes nothing yet.
    fn guarding(&self, scene: &Scene) -> Option<Box<dyn Guarding>> {
        let _ = scene;
        None
    }
}

/// A lock at a target, which keeps out whoever presses the same from another host or another state directory. The runner
/// has one for each target, holds it for its life, and makes an identity condition of it; dropping it lets go.
pub trait Guarding: Send {
    /// What it locks, in words that no other lock has: `payments at db.west.example.com:5432`. Steps whose locks have the
    /// same words share one.
    fn what(&self) -> SafeText;

    /// Takes it where it is not held, and makes sure that it still is. `Fails` where somebody else has it and `Unknown`
    /// where that cannot be told; either keeps the step from acting. With what was read.
    fn hold<'a>(&'a mut self, scene: &'a Scene, deadline: Instant) -> Executing<'a, (Held, SafeText)>;
}

/// The fence that a step leaves whose kind can do anything, where its role is to fence: proven where a look of its own
/// says that the effect is there, merely assumed where only the call's own end does.
#[must_use]
pub fn fence_of(role: StepRole, looked: bool, why: &SafeText) -> Option<Fence> {
    let strength = if looked { Strength::Proven } else { Strength::Assumed };
    (role == StepRole::Fence).then(|| Fence { strength, why: why.clone() })
}

/// The newest attempt of a step, where there is one.
#[must_use]
pub fn newest(state: &RunState, ix: StepIx) -> Option<&Attempt> {
    state.steps.get(ix.place())?.attempts.last()
}

/// The preview of a step whose target could not be read: it names what it would act on, and one identity condition that
/// nobody can judge.
#[must_use]
pub fn unreadable(target: &str, what: &str, actions: Vec<SafeText>, challenge: &str, gap: &Gap) -> Preview {
    let at = clock::now();
    Preview {
        target: SafeText::new(target),
        role: SafeText::new(&format!("not read: {}", gap.beside(target))),
        identity: crate::runbook::Identity::default(),
        actions,
        challenge: challenge.to_owned(),
        conditions: vec![Condition::new("readable", Class::Identity, what, Held::Unknown, &gap.beside(target), at)],
        already: Held::Unknown,
        left: Yield::default(),
        at,
    }
}
