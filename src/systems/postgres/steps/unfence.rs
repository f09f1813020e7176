//! `postgres-unfence`: what a fence of this run did is undone, and nothing else.

use serde_json::Value;
use tokio::time::Instant;

use super::block::{self, Roles};
use super::control::{self, Job};
use super::place::{Known, Place, Who};
use super::{about, direct, intended, keys, opened, other, physical, place, probe_options, sound, stranger, traits};
use super::{command, command_faults, own_commands, said_once};
use crate::clock;
use crate::plan::{Now, Program, SafeText, Span};
use crate::readiness::Gap;
use crate::runbook::{
    Acted, Authorized, Class, Condition, Danger, Held, Identity, Observation, Preview, StepIx, StepRole, StepState,
    Yield,
};
use crate::systems::postgres::options::PostgresOptions;
use crate::systems::postgres::options::steps::{BlockBy, UnfenceOptions, quoted_name};
use crate::systems::{Executing, Executor, Fault, Scene, StepContext, StepTraits};

/// Reads the keys of a step.
pub(super) fn read(context: &StepContext<'_>, value: &Value) -> Result<StepTraits, Vec<Fault>> {
    let options: UnfenceOptions = keys(value, "the keys of a postgres-unfence step")?;
    let mut faults = Vec::new();
    if let Some(probe) = probe_options(context, &mut faults) {
        physical(probe, &mut faults);
    }
    command_faults(context, &[("start", &options.start)], &options.ssh, &mut faults);
    let mut traits = traits(context, StepRole::Unfence, Danger::Changes, Span::secs(90));
    let secret = options.app.and_then(|app| app.password);
    traits.secrets.extend(secret.map(|s| ("app.password".to_owned(), s)));
    sound(traits, faults)
}

/// Opens a step's executor.
pub(super) fn open(scene: &Scene, ix: StepIx) -> Result<Box<dyn Executor>, Fault> {
    let (place, probe) = place(scene, ix)?;
    let options: UnfenceOptions = opened(scene, ix, "the keys of a postgres-unfence step")?;
    let start = command(&place.site, "start", options.start.as_ref(), options.ssh.as_ref())?;
    Ok(Box::new(Unfence { place, probe, options, start, ix, job: Job::default() }))
}

struct Unfence {
    place: Place,
    probe: PostgresOptions,
    options: UnfenceOptions,
    /// The command that starts it.
    start: Option<Program>,
    ix: StepIx,
    /// What starts it.
    job: Job,
}

/// What there is to undo.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Undo {
    /// A stop: start it.
    Start,
    /// Roles were turned away.
    LetIn(BlockBy, Vec<String>),
    /// Nothing was done to it.
    Nothing(&'static str),
    /// No fence of this run left anything.
    Unknown,
}

/// What the newest fence of this run, on this probe, left behind.
fn undo(scene: &Scene, ix: StepIx) -> Undo {
    let runbook = &scene.state.opened.runbook;
    let probe = scene.step(ix).and_then(|s| s.probe.as_ref());
    let fences =
        |at: StepIx| runbook.step(at).is_some_and(|s| s.kind == super::FENCE && s.probe.as_ref() == probe && at < ix);
    let kept = scene.state.lefts().filter(|(at, _)| fences(*at)).map(|(_, left)| &left.kept).last();
    kept.map_or(Undo::Unknown, of_kept)
}

fn of_kept(kept: &Value) -> Undo {
    let text = |name: &str| kept.get(name).and_then(Value::as_str);
    match text("how") {
        Some("stop") => Undo::Start,
        Some("assumed") => Undo::Nothing("the fence was only assumed: nothing was done to it"),
        Some("not ours") => Undo::Nothing("it was fenced already when this run looked: nothing was done to it"),
        Some("block") => {
            let by = kept.get("by").and_then(|by| serde_json::from_value(by.clone()).ok());
            let roles = kept.get("roles").and_then(|r| serde_json::from_value::<Vec<String>>(r.clone()).ok());
            match (by, roles) {
                (Some(by), Some(roles)) if !roles.is_empty() => Undo::LetIn(by, roles),
                _ => Undo::Unknown,
            }
        }
        _ => Undo::Unknown,
    }
}

impl Executor for Unfence {
    fn preview<'a>(&'a mut self, scene: &'a Scene, deadline: Instant) -> Executing<'a, Preview> {
        Box::pin(self.look(scene, deadline))
    }

    fn act<'a>(&'a mut self, authorized: Authorized, scene: &'a Scene, deadline: Instant) -> Executing<'a, Acted> {
        Box::pin(async move {
            drop(authorized);
            match self.lift(scene, deadline).await {
                Ok(said) => Acted::Returned { said, left: Box::default() },
                Err(acted) => acted,
            }
        })
    }

    fn observe<'a>(&'a mut self, scene: &'a Scene, deadline: Instant) -> Executing<'a, Observation> {
        Box::pin(self.see(scene, deadline))
    }

    fn commands(&self, scene: &Scene) -> Vec<String> {
        // Before the fence there is nothing to undo: what it would leave is in its own step.
        let planned = scene
            .state
            .opened
            .runbook
            .steps
            .iter()
            .rev()
            .find(|s| s.kind == super::FENCE && scene.step(self.ix).is_some_and(|mine| mine.probe == s.probe));
        let options = planned.and_then(|s| super::keys::<super::FenceOptions>(&s.options, "").ok());
        let mut out = vec![format!("# what the fence did to {} is undone:", self.place.server())];
        match options {
            Some(fence) if !fence.app_roles.is_empty() => {
                let act = self.probe.act_as.as_ref().map(|a| a.user.as_str());
                for line in block::reverse(fence.by, &fence.app_roles) {
                    let is_sql = line.starts_with("SELECT") || line.starts_with("ALTER");
                    out.push(if is_sql { self.place.psql(act, &line) } else { format!("# {line}") });
                }
            }
            Some(_) | None => out.extend(self.start.as_ref().map(control::words)),
        }
        out
    }
}

impl Unfence {
    fn actions(&self, undo: &Undo) -> Vec<SafeText> {
        let lines = match undo {
            Undo::Start => self.start.as_ref().map(control::words).into_iter().collect(),
            Undo::LetIn(by, roles) => {
                let user = self.probe.act_as.as_ref().map_or("", |a| a.user.as_str());
                let by_whom = format!("-- as {} at {}", quoted_name(user), self.place.server());
                [by_whom].into_iter().chain(block::reverse(*by, roles)).collect()
            }
            Undo::Nothing(why) => vec![format!("-- nothing: {why}")],
            Undo::Unknown => vec!["-- nothing: no fence of this run left anything to undo".to_owned()],
        };
        lines.iter().map(|l| SafeText::new(l)).collect()
    }

    async fn target(&self, scene: &Scene, undo: &Undo, deadline: Instant) -> Result<(Known, Option<Roles>), Gap> {
        let (known, mut session) = self.place.known(&scene.net, deadline).await?;
        let roles = match (undo, &self.probe.act_as) {
            (Undo::LetIn(by, roles), Some(act)) => {
                Some(block::roles(&mut session, *by, roles, &act.user, deadline).await?)
            }
            (Undo::LetIn(..) | Undo::Start | Undo::Nothing(_) | Undo::Unknown, _) => None,
        };
        session.close().await;
        Ok((known, roles))
    }

    async fn look(&mut self, scene: &Scene, deadline: Instant) -> Preview {
        let undo = undo(scene, self.ix);
        let mine = self.target(scene, &undo, deadline).await;
        let now = clock::now();
        let mut conditions = vec![self.something(scene, &undo, now)];
        let starts = undo == Undo::Start && said_once(&[&self.options.start], self.options.ssh.as_ref());
        conditions.extend(own_commands(scene, self.ix, &self.place, starts, now));
        conditions.push(self.alone(scene, mine.as_ref().ok().map(|(known, _)| known), deadline).await);
        let mut already = Held::of(matches!(undo, Undo::Nothing(_)));
        let (identity, role) = match &mine {
            Ok((known, roles)) => {
                if let (Some(roles), Some(act), Undo::LetIn(by, _)) = (roles, &self.probe.act_as, &undo) {
                    conditions.push(direct(known, now));
                    // What the fence turned away could log in before: that is what it was shown by.
                    conditions.extend(roles.conditions(*by, &act.user, now).into_iter().take(1));
                }
                if undo == Undo::Start {
                    already = Held::Holds;
                }
                (known.identity(), known.seen.words())
            }
            Err(gap) => {
                if matches!(undo, Undo::LetIn(..)) {
                    let what = format!("{} answers", self.place.server());
                    conditions.push(Condition::new("readable", Class::Identity, &what, Held::Unknown, gap, now));
                }
                let server = self.place.server();
                (Identity::default().with("server", &server), format!("does not answer: {}", gap.beside(&server)))
            }
        };
        Preview {
            target: SafeText::new(&self.place.server()),
            role: SafeText::new(&role),
            identity,
            actions: self.actions(&undo),
            challenge: format!("unfence {}", self.place.named()),
            conditions,
            already,
            left: Yield::default(),
            at: now,
        }
    }

    /// Whether there is something to undo, and what it takes.
    fn something(&self, scene: &Scene, undo: &Undo, now: Now) -> Condition {
        let what = "it is known what the fence of this run did";
        let of = |held, why: &str| Condition::new("fence-known", Class::Identity, what, held, &why, now);
        match undo {
            Undo::Start if self.start.is_none() => {
                of(Held::Fails, "it was stopped, and this step has no command that starts it: start = [...]")
            }
            Undo::Start => of(Held::Holds, "it was stopped"),
            Undo::LetIn(..) if self.probe.act_as.is_none() => of(Held::Fails, "its probe has no act_as"),
            Undo::LetIn(_, roles) => of(Held::Holds, &format!("it turned away {}", roles.join(", "))),
            Undo::Nothing(why) => of(Held::Holds, why),
            Undo::Unknown => {
                let runbook = &scene.state.opened.runbook;
                let open = |at: StepIx| scene.state.steps.get(at.place()).is_some_and(|s| !s.state.is_over());
                let to_come = runbook
                    .places()
                    .take_while(|at| *at < self.ix)
                    .any(|at| runbook.step(at).is_some_and(|s| s.kind == super::FENCE) && open(at));
                let condition = of(Held::Fails, "no fence of this run left anything to undo");
                if to_come { condition.later() } else { condition }
            }
        }
    }

    /// Whether it would be the only one that takes writes: an old primary is not let loose beside a new one.
    async fn alone(&self, scene: &Scene, mine: Option<&Known>, deadline: Instant) -> Condition {
        let what = "no other server of this database takes writes";
        let of = |class, held, why: &str| Condition::new("no-other-primary", class, what, held, &why, clock::now());
        let state = &scene.state;
        if self.place.site != state.opened.from {
            return of(Class::Identity, Held::Holds, "it is the site that took over");
        }
        if mine.is_some_and(|k| k.seen.recovery) {
            return of(Class::Identity, Held::Holds, "it is in recovery itself");
        }
        let promoted = state.opened.runbook.places().find(|at| {
            let promotes = state.opened.runbook.step(*at).is_some_and(|s| s.role == StepRole::Promote);
            let status = state.steps.get(at.place());
            promotes && status.is_some_and(|s| !s.attempts.is_empty() && s.state != StepState::Skipped)
        });
        let Some(other) = other(scene, &self.probe, &self.place.site) else {
            return of(Class::Identity, Held::Holds, "its probe has no other server");
        };
        match other.known(&scene.net, deadline).await {
            Ok((known, session)) => {
                session.close().await;
                let why = format!("{}: {}", other.server(), known.seen.words());
                of(Class::Identity, Held::of(known.seen.recovery), &why)
            }
            Err(gap) => {
                let begun = promoted.map(|at| format!("; step {at} promotes, and was begun"));
                let why = format!("{}{}", about(&other, &gap), begun.unwrap_or_default());
                of(Class::Risk, Held::Unknown, &why).accepted_by("two primaries")
            }
        }
    }

    async fn lift(&mut self, scene: &Scene, deadline: Instant) -> Result<SafeText, Acted> {
        let not_sent = |why: &str| Acted::NotSent { why: SafeText::new(why) };
        let Some(approved) = intended(scene, self.ix) else {
            return Err(not_sent("nothing says on which server it was approved"));
        };
        match undo(scene, self.ix) {
            Undo::Nothing(why) => Err(not_sent(why)),
            Undo::Unknown => Err(not_sent("no fence of this run left anything to undo")),
            Undo::Start => match self.start.clone() {
                Some(start) => self.job.act(scene, &start, deadline).await,
                None => Err(not_sent("no command starts it")),
            },
            Undo::LetIn(by, roles) => {
                let Some(act) = &self.probe.act_as else { return Err(not_sent("nothing says as whom to act")) };
                let gap = |gap: Gap| not_sent(&about(&self.place, &gap));
                let mut session = self.place.open(&scene.net, Who::Acting(act), deadline).await.map_err(gap)?;
                let known = session.known(deadline).await.map_err(gap)?;
                if !known.direct {
                    return Err(not_sent("a pooler answers: the next message could reach another server"));
                }
                if let Some(differs) = stranger(approved, &known.identity()) {
                    return Err(not_sent(&format!("another server than was approved: {differs}")));
                }
                let said = block::act(&mut session, by, &roles, false, deadline).await?;
                session.close().await;
                Ok(said.into())
            }
        }
    }

    async fn see(&mut self, scene: &Scene, deadline: Instant) -> Observation {
        let observed = |held, why: &str| Observation::new(held, why, clock::now());
        match undo(scene, self.ix) {
            Undo::Nothing(why) => observed(Held::Holds, why),
            Undo::Unknown => observed(Held::Unknown, "no fence of this run left anything to undo"),
            Undo::Start => match self.place.known(&scene.net, deadline).await {
                Ok((known, session)) => {
                    session.close().await;
                    observed(Held::Holds, &known.seen.words())
                }
                Err(gap) => {
                    let mut seen = observed(Held::Fails, &about(&self.place, &gap));
                    seen.waits = Some("that it answers".into());
                    seen
                }
            },
            Undo::LetIn(by, roles) => {
                let app = self.options.app.as_ref().map(|a| (a.user.as_str(), a.password.as_ref()));
                let (held, why) = block::turned(&self.place, &scene.net, by, &roles, app, false, deadline).await;
                observed(held, &why)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_was_kept_is_undone() {
        assert_eq!(of_kept(&json!({ "how": "stop" })), Undo::Start);
        let block = json!({ "how": "block", "by": "nologin", "roles": ["shop"] });
        assert_eq!(of_kept(&block), Undo::LetIn(BlockBy::Nologin, vec!["shop".to_owned()]));
        for odd in [
            json!(null),
            json!({}),
            json!({ "how": "block", "roles": ["a"] }),
            json!({ "how": "block", "by": "nologin", "roles": [] }),
        ] {
            assert_eq!(of_kept(&odd), Undo::Unknown, "{odd}");
        }
        assert!(matches!(of_kept(&json!({ "how": "assumed" })), Undo::Nothing(_)));
    }
}
