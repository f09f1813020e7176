//! `sql-check`: a probe's query gives what it must, at one site, now.

use serde_json::Value;
use tokio::time::Instant;

use super::{keys, opened, sound, traits};
use crate::clock;
use crate::plan::{ProbeDecl, SafeText, SiteId, Span};
use crate::readiness::{Reason, Value as Answer};
use crate::runbook::{Acted, Authorized, Danger, Held, Identity, Observation, Preview, StepIx, StepRole, Yield};
use crate::systems::postgres::options::check::{Expected, SqlCheckOptions};
use crate::systems::postgres::options::steps::SqlCheckStepOptions;
use crate::systems::postgres::probe;
use crate::systems::postgres::rules::is_expected;
use crate::systems::postgres::signals::check::VALUE;
use crate::systems::{Executing, Executor, Fault, Scene, StepContext, StepTraits};

/// Reads the keys of a step.
pub(super) fn read(context: &StepContext<'_>, value: &Value) -> Result<StepTraits, Vec<Fault>> {
    let options: SqlCheckStepOptions = keys(value, "the keys of a sql-check step")?;
    let mut faults = Vec::new();
    match context.probe.and_then(|p| p.options::<SqlCheckOptions>()) {
        None => faults.push(Fault::new(&["probe"], "no probe to ask", "probe = \"the name of a sql-check probe\"")),
        Some(probe) if probe.expect.is_none() && options.gives.is_none() => {
            let right = "gives = ... here, or expect = ... in the probe";
            faults.push(Fault::new(&["gives"], "nothing to hold the value against", right));
        }
        Some(_) => {}
    }
    if options.tolerance.is_some_and(|t| !t.is_finite() || t < 0.0) {
        faults.push(Fault::new(&["tolerance"], "no distance", "a number of at least 0"));
    }
    sound(traits(context, StepRole::Verify, Danger::None, Span::secs(60)), faults)
}

/// Opens a step's executor.
pub(super) fn open(scene: &Scene, ix: StepIx) -> Result<Box<dyn Executor>, Fault> {
    let wrong = |what: &str| Fault::new(&["probe"], what, "the configuration as it was when the run was opened");
    let step = scene.step(ix).ok_or_else(|| wrong("no such step"))?;
    let probe = scene.probe(step).ok_or_else(|| wrong("no such probe"))?;
    let options: SqlCheckStepOptions = opened(scene, ix, "the keys of a sql-check step")?;
    let of = probe.options::<SqlCheckOptions>().ok_or_else(|| wrong("not a sql-check probe"))?;
    let expect = options.gives.or_else(|| of.expect.clone()).ok_or_else(|| wrong("nothing is expected"))?;
    let site = scene.site(step).clone();
    if !of.at.contains_key(site.as_str()) {
        return Err(wrong(&format!("no server in {site}")));
    }
    let tolerance = options.tolerance.or(of.tolerance);
    Ok(Box::new(Check { probe: probe.clone(), query: of.query.clone(), site, expect, tolerance }))
}

struct Check {
    probe: ProbeDecl,
    query: String,
    site: SiteId,
    expect: Expected,
    tolerance: Option<f64>,
}

impl Executor for Check {
    fn preview<'a>(&'a mut self, scene: &'a Scene, deadline: Instant) -> Executing<'a, Preview> {
        Box::pin(async move {
            let seen = self.see(scene, deadline).await;
            Preview {
                target: self.server(),
                role: seen.why.clone(),
                identity: Identity::default().with("server", &self.server()),
                actions: vec![SafeText::new(&format!("-- reads only: {}", self.query))],
                challenge: format!("look at {}", self.site),
                conditions: Vec::new(),
                already: seen.held,
                left: seen.left,
                at: seen.at,
            }
        })
    }

    fn act<'a>(&'a mut self, authorized: Authorized, _: &'a Scene, _: Instant) -> Executing<'a, Acted> {
        drop(authorized);
        Box::pin(std::future::ready(Acted::Returned { said: "nothing is sent".into(), left: Box::default() }))
    }

    fn observe<'a>(&'a mut self, scene: &'a Scene, deadline: Instant) -> Executing<'a, Observation> {
        Box::pin(self.see(scene, deadline))
    }

    fn commands(&self, _: &Scene) -> Vec<String> {
        let place = self
            .probe
            .options::<SqlCheckOptions>()
            .and_then(|of| super::Place::new(&self.site, of.at.get(self.site.as_str())?, None));
        let psql = place.map_or_else(|| format!("# {}", self.query), |p| p.psql(None, &self.query));
        vec![format!("# This must give {}:", self.expect), psql]
    }
}

impl Check {
    fn server(&self) -> SafeText {
        let lane = self.probe.lanes.iter().find(|l| l.subject.site.as_ref() == Some(&self.site));
        lane.map_or_else(|| SafeText::new(self.site.as_str()), |l| l.server.clone())
    }

    /// One look by the probe's own lane, on a connection of its own.
    async fn see(&self, scene: &Scene, deadline: Instant) -> Observation {
        let lanes = probe::open_check(&scene.plan, &self.probe, &scene.net);
        let mine = self.probe.lanes.iter().zip(lanes).find(|(l, _)| l.subject.site.as_ref() == Some(&self.site));
        let Some((_, mut lane)) = mine else {
            return Observation::new(Held::Unknown, "the probe has no lane there", clock::now());
        };
        let look = lane.look(deadline).await;
        lane.rest().await;
        let observed = look.observed.into_iter().find(|o| o.signal == VALUE).map(|o| o.value);
        let (held, why) = match observed.unwrap_or_else(|| Err(Reason::Absent.into())) {
            Ok(value) => self.judged(&value),
            Err(gap) => (Held::Unknown, gap.to_string()),
        };
        let mut seen = Observation::new(held, &why, clock::now());
        seen.left = Yield { facts: vec![SafeText::new(&format!("{}: {why}", self.probe.id.name))], ..Yield::default() };
        if held != Held::Holds {
            seen.waits = Some(SafeText::new(&format!("{} to give {}", self.probe.id.name, self.expect)));
        }
        seen
    }

    fn judged(&self, value: &Answer) -> (Held, String) {
        let shown = match value {
            Answer::Rows(rows) => {
                rows.first().and_then(|r| r.get("value")).map_or_else(String::new, ToString::to_string)
            }
            other => other.to_string(),
        };
        match is_expected(value, &self.expect, self.tolerance) {
            Some(true) => (Held::Holds, format!("it gives {shown}")),
            Some(false) => (Held::Fails, format!("it gives {shown}, not {}", self.expect)),
            None => (Held::Unknown, format!("it gives {shown}, which cannot be compared with {}", self.expect)),
        }
    }
}
