//! The step `manual`: a person does something outside of this program, and says so.

use schemars::JsonSchema as _;
use serde::Deserialize as _;
use serde_json::Value;
use tokio::time::Instant;

use super::options::ManualOptions;
use crate::clock;
use crate::plan::{SafeText, Span};
use crate::runbook::{
    Acted, Authorized, Held, Identity, Observation, Preview, RetrySafety, StepIx, StepRole, Verified, Yield,
};
use crate::systems::{Executing, Executor, Fault, Scene, StepContext, StepKind, StepTraits, fence_of};

/// The kind.
pub(super) const MANUAL: StepKind =
    StepKind { name: "manual", probes: &[], schema: |generator| ManualOptions::json_schema(generator), read, open };

fn parsed(value: &Value) -> Result<ManualOptions, Fault> {
    ManualOptions::deserialize(value).map_err(|e| Fault::new(&[], &e.to_string(), "the keys of a manual step"))
}

fn read(_: &StepContext<'_>, value: &Value) -> Result<StepTraits, Vec<Fault>> {
    let options = parsed(value).map_err(|fault| vec![fault])?;
    if options.instructions.iter().all(|line| line.trim().is_empty()) {
        let what = "nothing says what is to be done";
        return Err(vec![Fault::new(&["instructions"], what, "instructions = [\"open the valve\", \"see that ...\"]")]);
    }
    Ok(StepTraits {
        role: options.role,
        danger: options.danger,
        retry: RetrySafety::Never,
        verified: Verified::ByPerson,
        deadline: Span::secs(3_600),
        touches: Vec::new(),
        secrets: Vec::new(),
    })
}

fn open(scene: &Scene, ix: StepIx) -> Result<Box<dyn Executor>, Fault> {
    let options = parsed(scene.step(ix).map_or(&Value::Null, |s| &s.options))?;
    Ok(Box::new(Manual { options, ix }))
}

/// Waits for a person.
struct Manual {
    options: ManualOptions,
    ix: StepIx,
}

/// The site that it is about, where it says so; else the plan.
fn about(scene: &Scene, ix: StepIx) -> String {
    let step = scene.step(ix).filter(|s| s.on.is_some());
    step.map_or_else(|| scene.state.opened.plan.to_string(), |s| scene.site(s).to_string())
}

impl Executor for Manual {
    fn preview<'a>(&'a mut self, scene: &'a Scene, _: Instant) -> Executing<'a, Preview> {
        let about = about(scene, self.ix);
        let preview = Preview {
            target: SafeText::new(&about),
            role: "done by a person".into(),
            identity: Identity::default().with("about", &about),
            actions: self.options.instructions.iter().map(|line| SafeText::new(line)).collect(),
            challenge: about,
            conditions: Vec::new(),
            already: Held::Unknown,
            left: Yield::default(),
            at: clock::now(),
        };
        Box::pin(std::future::ready(preview))
    }

    fn act<'a>(&'a mut self, authorized: Authorized, _: &'a Scene, _: Instant) -> Executing<'a, Acted> {
        drop(authorized);
        let acted = Acted::Returned { said: "it is with a person now".into(), left: Box::default() };
        Box::pin(std::future::ready(acted))
    }

    fn observe<'a>(&'a mut self, scene: &'a Scene, _: Instant) -> Executing<'a, Observation> {
        let at = clock::now();
        let role = scene.step(self.ix).map_or(StepRole::Other, |s| s.role);
        // An intent clears what was said before it: what is there is about this attempt.
        let confirmed = scene.state.steps.get(self.ix.place()).and_then(|s| s.confirmed.as_ref());
        let seen = match confirmed {
            None => {
                let waits = Some("somebody to say that it is done".into());
                Observation { waits, ..Observation::new(Held::Unknown, "nobody has said that it is done", at) }
            }
            Some((done, words, _)) => {
                let mut seen = Observation::new(Held::of(*done), &format!("said: {words}"), at);
                let why = SafeText::new(&format!("a person says so: {words}"));
                seen.left.fence = fence_of(role, false, &why).filter(|_| *done);
                seen
            }
        };
        Box::pin(std::future::ready(seen))
    }

    fn commands(&self, _: &Scene) -> Vec<String> {
        self.options.instructions.iter().map(|line| format!("# {line}")).collect()
    }
}
