//! The step `wait-for`: something of the plan is judged well, by what was read since the step before.

use schemars::JsonSchema as _;
use serde::Deserialize as _;
use serde_json::Value;
use tokio::time::Instant;

use super::judge::{awaited, judged, since};
use super::options::WaitOptions;
use crate::clock;
use crate::plan::{SafeText, SiteId, Span};
use crate::runbook::{
    Acted, Authorized, Danger, Held, Identity, Observation, Preview, RetrySafety, StepIx, StepRole, Verified, Yield,
};
use crate::systems::{Executing, Executor, Fault, Scene, StepContext, StepKind, StepTraits};

/// The rules that are no system's.
const SPANNING: [&str; 6] = ["confirm", "copies", "exposure", "reach", "required", "situation"];

/// The kind.
pub(super) const WAIT_FOR: StepKind =
    StepKind { name: "wait-for", probes: &[], schema: |generator| WaitOptions::json_schema(generator), read, open };

fn parsed(value: &Value) -> Result<WaitOptions, Fault> {
    WaitOptions::deserialize(value).map_err(|e| Fault::new(&[], &e.to_string(), "the keys of a wait-for step"))
}

fn read(ctx: &StepContext<'_>, value: &Value) -> Result<StepTraits, Vec<Fault>> {
    let options = parsed(value).map_err(|fault| vec![fault])?;
    let mut faults = Vec::new();
    let named = [options.area.is_some(), options.finding.is_some(), options.situation.is_some()];
    if named.into_iter().filter(|n| *n).count() != 1 {
        let right = "area = \"replication\", or finding = \"postgres.receiver\", or situation = \"normal\"";
        faults.push(Fault::new(&[], "waits for one thing: an area, a finding or a situation", right));
    }
    let of_plan = options.situation.is_some();
    if of_plan && (options.of.is_some() || ctx.on.is_some() || options.degraded) {
        let what = "a situation is the whole plan's: it has no probe, no site and no degrees";
        faults.push(Fault::new(&[], what, "leave out `of`, `on` and `degraded`"));
    }
    if let Some(of) = options.of.as_ref().filter(|of| !ctx.probes.iter().any(|p| *p.id.name == ***of)) {
        let names: Vec<&str> = ctx.probes.iter().map(|p| &*p.id.name).collect();
        faults.push(Fault::new(&["of"], &format!("the plan has no probe {of:?}"), &names.join(", ")));
    }
    if let Some(rule) = options.finding.as_ref().filter(|rule| !is_rule(rule)) {
        let right = "a rule's name, as `lifeboat check --format json` has it: \"patroni.stream\"";
        faults.push(Fault::new(&["finding"], &format!("there is no rule {rule:?}"), right));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(StepTraits {
        role: StepRole::Verify,
        danger: Danger::None,
        retry: RetrySafety::ReadBack,
        verified: Verified::ByLooking,
        deadline: Span::secs(600),
        touches: Vec::new(),
        secrets: Vec::new(),
    })
}

/// Whether a rule of any system has this name, or one that spans systems.
fn is_rule(name: &str) -> bool {
    SPANNING.contains(&name) || crate::systems::rules().iter().any(|r| r.id().as_str() == name)
}

fn open(scene: &Scene, ix: StepIx) -> Result<Box<dyn Executor>, Fault> {
    let options = parsed(scene.step(ix).map_or(&Value::Null, |s| &s.options))?;
    Ok(Box::new(WaitFor { options, ix }))
}

/// Waits for a judgement.
struct WaitFor {
    options: WaitOptions,
    ix: StepIx,
}

impl WaitFor {
    /// The site whose findings count, where the step says one.
    fn site<'s>(&self, scene: &'s Scene) -> Option<&'s SiteId> {
        let step = scene.step(self.ix).filter(|s| s.on.is_some())?;
        Some(scene.site(step))
    }

    fn judged(&self, scene: &Scene) -> (Held, String) {
        judged(&self.options, self.site(scene), scene.status.as_deref(), since(&scene.state), clock::now())
    }
}

impl Executor for WaitFor {
    fn preview<'a>(&'a mut self, scene: &'a Scene, _: Instant) -> Executing<'a, Preview> {
        let plan = scene.state.opened.plan.to_string();
        let (already, why) = self.judged(scene);
        let waits = format!("wait until {}", awaited(&self.options, self.site(scene)));
        let preview = Preview {
            target: SafeText::new(&plan),
            role: SafeText::new(&why),
            identity: Identity::default().with("plan", &plan),
            actions: vec![SafeText::new(&waits)],
            challenge: plan,
            conditions: Vec::new(),
            already,
            left: Yield::default(),
            at: clock::now(),
        };
        Box::pin(std::future::ready(preview))
    }

    fn act<'a>(&'a mut self, authorized: Authorized, _: &'a Scene, _: Instant) -> Executing<'a, Acted> {
        drop(authorized);
        let acted = Acted::Returned { said: "nothing is done: it waits".into(), left: Box::default() };
        Box::pin(std::future::ready(acted))
    }

    fn observe<'a>(&'a mut self, scene: &'a Scene, _: Instant) -> Executing<'a, Observation> {
        let (held, why) = self.judged(scene);
        let waits = (held != Held::Holds).then(|| SafeText::new(&awaited(&self.options, self.site(scene))));
        let seen = Observation { waits, ..Observation::new(held, &why, clock::now()) };
        Box::pin(std::future::ready(seen))
    }

    fn commands(&self, scene: &Scene) -> Vec<String> {
        let plan = &scene.state.opened.plan;
        vec![format!("# Wait until {}: lifeboat check {plan}", awaited(&self.options, self.site(scene)))]
    }
}
