//! `postgres-fence`: the old primary takes no writes any more, and how sure that is.
//!
//! Three strengths. Proven: a control command stopped it, and it was seen stopped. Blocked: its application roles are turned
//! away, by something that outlives a restart, and a login of theirs was seen refused. Assumed: it does not answer, which
//! proves nothing; a person accepts that by name. A read-only default is none of them: any session may set it aside.

use std::time::Duration;

use futures_util::future;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::block::{self, Roles};
use super::clients::{CENSUS, census};
use super::control::{self, Check, Job};
use super::lock;
use super::place::{Known, Place, Who};
use super::{
    about, acted, acting, direct, ids, intended, keys, left_by, mark, opened, other, patient, physical, place,
    probe_options,
};
use super::{command, command_faults, own_commands, said_once, sound, stranger, traits};
use crate::clock;
use crate::plan::{Bytes, Lsn, Now, Program, SafeText, Span};
use crate::readiness::{Gap, Reason};
use crate::runbook::guard::ASSUMED_FENCE;
use crate::runbook::{
    Acted, Authorized, Class, Condition, Danger, Fence as Fenced, Held, Identity, Loss, Observation, Preview, StepIx,
    StepRole, Strength, Yield,
};
use crate::systems::postgres::options::PostgresOptions;
use crate::systems::postgres::options::steps::{Argv, FenceOptions, PerSite, plain_role, quoted_name};
use crate::systems::{Executing, Executor, Fault, Guarding, Scene, StepContext, StepTraits};

/// The condition that it reaches what it fences.
const REACHABLE: &str = "reachable";
/// How long what was written last may take to reach the standby, once the fence is seen to be up.
const ARRIVES: Duration = Duration::from_secs(5);
/// How long a last look before the act may take.
const SOON: Duration = Duration::from_secs(3);
/// The exit code that means stopped, where the step does not say (`systemctl is-active`, `pg_ctl status`).
const STOPPED: i32 = 3;

/// Reads the keys of a step.
pub(super) fn read(context: &StepContext<'_>, value: &Value) -> Result<StepTraits, Vec<Fault>> {
    let options: FenceOptions = keys(value, "the keys of a postgres-fence step")?;
    let mut faults = Vec::new();
    let blocks = !options.app_roles.is_empty();
    if let Some(probe) = probe_options(context, &mut faults) {
        physical(probe, &mut faults);
        if blocks {
            acting(probe, &mut faults);
        }
    }
    let commands = [("stop", &options.stop), ("check", &options.check)];
    command_faults(context, &commands, &options.ssh, &mut faults);
    if options.ssh.is_some() && options.stop.is_none() {
        let right = "stop = [...], or leave it out: SQL does not go over ssh";
        faults.push(Fault::new(&["ssh"], "nothing is run there", right));
    }
    if options.check.is_some() && options.stop.is_none() {
        faults.push(Fault::new(&["check"], "nothing is stopped", "stop = [...], or leave it out"));
    }
    if blocks && options.stop.is_some() {
        faults.push(Fault::new(&["app_roles"], "stops the server too", "one of the two: stop, or app_roles"));
    }
    for (at, role) in options.app_roles.iter().enumerate() {
        if !plain_role(role) {
            let right = "a role's name without quotes, backslashes, and '/', '+' or '@' before it";
            faults.push(Fault::new(&["app_roles", &at.to_string()], "no name for pg_hba.conf", right));
        }
    }
    match &options.app {
        None if blocks => {
            let right = "app = { user = \"shop\", password = { ... } }, one of app_roles";
            faults.push(Fault::new(&["app"], "nothing would put the fence to the test", right));
        }
        Some(app) if !options.app_roles.contains(&app.user) => {
            faults.push(Fault::new(&["app", "user"], "is none of app_roles", &options.app_roles.join(", ")));
        }
        Some(_) | None => {}
    }
    let mut traits = traits(context, StepRole::Fence, Danger::Changes, Span::secs(90));
    let secret = options.app.and_then(|app| app.password);
    traits.secrets.extend(secret.map(|s| ("app.password".to_owned(), s)));
    sound(traits, faults)
}

/// Opens a step's executor.
pub(super) fn open(scene: &Scene, ix: StepIx) -> Result<Box<dyn Executor>, Fault> {
    let (place, probe) = place(scene, ix)?;
    let options: FenceOptions = opened(scene, ix, "the keys of a postgres-fence step")?;
    let of = |key, argv: &Option<PerSite<Argv>>| command(&place.site, key, argv.as_ref(), options.ssh.as_ref());
    let (stop, check) = (of("stop", &options.stop)?, of("check", &options.check)?);
    let job = Job::default();
    Ok(Box::new(Fence { place, probe, options, stop, check, ix, job, up: None, others: false, left: None }))
}

struct Fence {
    place: Place,
    probe: PostgresOptions,
    options: FenceOptions,
    /// The command that stops it, and the one that says whether it is stopped.
    stop: Option<Program>,
    check: Option<Program>,
    ix: StepIx,
    /// What stops it.
    job: Job,
    /// Since when the fence is seen to be up.
    up: Option<Instant>,
    /// Whether roles with sessions were seen that are not turned away.
    others: bool,
    /// What this process's act left behind.
    left: Option<Yield>,
}

/// How the step fences.
#[derive(Clone, Copy)]
enum How {
    Stop,
    Block,
    Assume,
}

impl Executor for Fence {
    fn preview<'a>(&'a mut self, scene: &'a Scene, deadline: Instant) -> Executing<'a, Preview> {
        Box::pin(self.look(scene, deadline))
    }

    fn act<'a>(&'a mut self, authorized: Authorized, scene: &'a Scene, deadline: Instant) -> Executing<'a, Acted> {
        Box::pin(async move {
            drop(authorized);
            let acted = self.put(scene, deadline).await;
            self.left = left_by(Some(&acted));
            acted
        })
    }

    fn observe<'a>(&'a mut self, scene: &'a Scene, deadline: Instant) -> Executing<'a, Observation> {
        Box::pin(self.see(scene, deadline))
    }

    fn commands(&self, _: &Scene) -> Vec<String> {
        let roles = &self.options.app_roles;
        let mut out = vec![format!("# {} must take no writes any more:", self.place.server())];
        match self.how() {
            How::Stop => {
                out.extend([&self.stop, &self.check].into_iter().flatten().map(control::words));
            }
            How::Block => {
                let act = self.probe.act_as.as_ref().map(|a| a.user.as_str());
                for line in block::actions(self.options.by, roles) {
                    let is_sql = line.starts_with("SELECT") || line.starts_with("ALTER");
                    out.push(if is_sql { self.place.psql(act, &line) } else { format!("# {line}") });
                }
                let app = self.options.app.as_ref().map(|a| a.user.as_str());
                out.push("# This must be refused:".to_owned());
                out.push(self.place.psql(app, "SELECT 1"));
            }
            How::Assume => out.push("# nothing is sent: it must not answer".to_owned()),
        }
        out
    }

    fn guarding(&self, scene: &Scene) -> Option<Box<dyn Guarding>> {
        lock::of(scene, self.ix)
    }
}

impl Fence {
    const fn how(&self) -> How {
        match &self.stop {
            Some(_) => How::Stop,
            None if self.options.app_roles.is_empty() => How::Assume,
            None => How::Block,
        }
    }

    fn actions(&self) -> Vec<SafeText> {
        let lines = match self.how() {
            How::Stop => self.stop.iter().map(control::words).collect(),
            How::Block => {
                let user = self.probe.act_as.as_ref().map_or("", |a| a.user.as_str());
                let by = format!("-- as {} at {}", quoted_name(user), self.place.server());
                [by].into_iter().chain(block::actions(self.options.by, &self.options.app_roles)).collect()
            }
            How::Assume => vec!["-- nothing is sent: that it does not answer is recorded".to_owned()],
        };
        lines.iter().map(|l| SafeText::new(l)).collect()
    }

    fn stopped_by(&self) -> i32 {
        self.options.stopped.unwrap_or(STOPPED)
    }

    async fn checked(&self, scene: &Scene, deadline: Instant) -> Option<Check> {
        Some(control::check(&scene.net, self.check.as_ref()?, self.stopped_by(), deadline).await)
    }

    /// What a target that does not answer is known by: that it does not. Where it answers again, look again.
    fn silent(&self) -> Identity {
        Identity::default().with("server", &self.place.server()).with("answers", &"no")
    }

    async fn target(&self, scene: &Scene, deadline: Instant) -> Result<(Known, Option<Roles>), Gap> {
        let deadline = patient(scene, self.ix, deadline);
        let (known, mut session) = self.place.known(&scene.net, deadline).await?;
        let roles = match (self.how(), &self.probe.act_as) {
            (How::Block, Some(act)) => {
                let (by, names) = (self.options.by, &self.options.app_roles);
                Some(block::roles(&mut session, by, names, &act.user, deadline).await?)
            }
            (How::Block | How::Stop | How::Assume, _) => None,
        };
        session.close().await;
        Ok((known, roles))
    }

    async fn look(&mut self, scene: &Scene, deadline: Instant) -> Preview {
        let others = patient(scene, self.ix, deadline);
        let (target, checked) = (self.target(scene, deadline), self.checked(scene, deadline));
        let (mine, check, candidate) = future::join3(target, checked, self.candidate(scene, others)).await;
        let now = clock::now();
        // What the standby is a copy of is what is to be fenced.
        let standby = candidate.as_ref().and_then(|c| c.as_ref().ok()).map(|c| c.seen.system.clone());
        let meant = mine.as_ref().ok().map(|(known, _)| known.seen.system.clone()).or(standby);
        let read = check.as_ref().and_then(|c| Some((c, c.system()?))).zip(meant.as_deref());
        // A server that answers as a standby may be the one whose data directory it is.
        let primary = mine.as_ref().map_or(true, |(known, _)| !known.seen.recovery);
        let same = read.map(|((check, read), meant)| same(read, meant, primary && check.is_standbys(), now));
        let check = check.map(|c| c.of(meant.as_deref()));
        let mut conditions = Vec::new();
        let mut left = Yield::default();
        let mut already = Held::Fails;
        let mut remain = self.others;
        let once = said_once(&[&self.options.stop, &self.options.check], self.options.ssh.as_ref());
        conditions.extend(own_commands(scene, self.ix, &self.place, once, now));
        conditions.extend(same);
        let (identity, role) = match &mine {
            Ok((known, roles)) => {
                let distinct = candidate.as_ref().map(|other| distinct(known, other.as_ref(), now));
                let is_other = distinct.as_ref().is_none_or(|c| c.held == Held::Holds);
                conditions.extend(distinct);
                conditions.extend(self.of_known(known, roles.as_ref(), now));
                let leads = leads(candidate.as_ref().and_then(|c| c.as_ref().ok()), known);
                match known.seen.recovery {
                    false => conditions.push(reachable(Held::Holds, &known.seen.words(), now)),
                    // The one that takes over is the primary, and this one its standby.
                    true if is_other && leads => {
                        conditions.push(reachable(Held::Holds, &known.seen.words(), now));
                        already = Held::Holds;
                        left.fence = Some(fence(Strength::Proven, &format!("in recovery: {}", known.seen.words())));
                    }
                    true => conditions.push(reachable(Held::Unknown, &elsewhere(known), now)),
                }
                let others = roles.as_ref().map_or(&[][..], |r| &r.others);
                remain = !others.is_empty();
                let sessions = roles.as_ref().map(|r| format!("; {} application sessions", r.sessions));
                let more =
                    if others.is_empty() { String::new() } else { format!("; NOT turned away: {}", others.join(", ")) };
                (known.identity(), format!("{}{}{more}", known.seen.words(), sessions.unwrap_or_default()))
            }
            Err(gap) => {
                conditions.push(reachable(Held::Unknown, &about(&self.place, gap), now));
                if let Some(Check::Stopped(_, words)) = &check {
                    already = Held::Holds;
                    left.fence = Some(fence(Strength::Proven, &format!("{words}; {gap}")));
                }
                (self.silent(), format!("does not answer: {}", gap.beside(&self.place.server())))
            }
        };
        self.others = remain;
        if already == Held::Holds {
            left.kept = json!({ "how": "not ours" });
        }
        Preview {
            target: SafeText::new(&self.place.server()),
            role: SafeText::new(&role),
            identity,
            actions: self.actions(),
            challenge: format!("fence {}", self.place.named()),
            conditions,
            already,
            left,
            at: now,
        }
    }

    /// The cluster that is to be fenced, by its system identifier: as it was approved, as the standby of it says, or as this
    /// run wrote it down.
    async fn meant(&self, scene: &Scene, deadline: Instant) -> Option<String> {
        if let Some(approved) = intended(scene, self.ix).and_then(|i| mark(i, "system identifier")) {
            return Some(approved.to_owned());
        }
        let standby = self.candidate(scene, patient(scene, self.ix, deadline)).await;
        let standby = standby.and_then(Result::ok).map(|c| c.seen.system);
        standby.or_else(|| scene.state.old_system().map(str::to_owned))
    }

    /// The server that takes over, as it answers now; `None` where the probe has none.
    async fn candidate(&self, scene: &Scene, deadline: Instant) -> Option<Result<Known, Gap>> {
        let other = other(scene, &self.probe, &self.place.site)?;
        Some(match other.known(&scene.net, deadline).await {
            Ok((known, session)) => {
                session.close().await;
                Ok(known)
            }
            Err(gap) => Err(gap),
        })
    }

    /// What it means that a server in recovery answers where the old primary was. That was demoted where the server that takes
    /// over is the primary, and another one. Else it may be any standby, to which the address was moved, and the primary lives
    /// where nobody looks.
    async fn demoted(&self, scene: &Scene, known: &Known, deadline: Instant) -> (Held, Strength, String) {
        let words = known.seen.words();
        let other = self.candidate(scene, deadline).await;
        let distinct = other.as_ref().map(|other| distinct(known, other.as_ref(), clock::now()));
        if let Some(wrong) = distinct.filter(|d| d.held != Held::Holds) {
            return (Held::Unknown, Strength::Proven, format!("{words}; {}", wrong.why));
        }
        let leads = leads(other.as_ref().and_then(|other| other.as_ref().ok()), known);
        match (leads, self.may_assume(scene)) {
            (true, _) => (Held::Holds, Strength::Proven, words),
            (false, true) => (Held::Holds, Strength::Assumed, elsewhere(known)),
            (false, false) => (Held::Unknown, Strength::Assumed, elsewhere(known)),
        }
    }

    fn of_known(&self, known: &Known, roles: Option<&Roles>, now: Now) -> Vec<Condition> {
        match (self.how(), roles, &self.probe.act_as) {
            (How::Block, Some(roles), Some(act)) => {
                let mut out = vec![direct(known, now)];
                out.extend(roles.conditions(self.options.by, &act.user, now));
                out
            }
            (How::Assume, ..) if !known.seen.recovery => {
                let what = "it does not take writes";
                let why = "it answers and takes writes, and this step has nothing to stop it with: give it stop, or app_roles";
                vec![Condition::new("silent", Class::Identity, what, Held::Fails, &why, now)]
            }
            (How::Block | How::Assume | How::Stop, ..) => Vec::new(),
        }
    }

    /// Whether a person accepted that nobody may see it stop.
    fn may_assume(&self, scene: &Scene) -> bool {
        let consents = scene.state.approval.iter().flat_map(|g| &g.approval.consents);
        consents.into_iter().any(|c| c.step == self.ix && c.condition == REACHABLE)
    }

    /// What its way back needs. All of it follows from the step and from what it was to act on, so that nothing of it is
    /// lost with a process.
    fn kept(&self, scene: &Scene, assumed: bool, check: Option<&Check>) -> Value {
        let how = match self.how() {
            _ if assumed => "assumed",
            How::Stop => "stop",
            How::Block => "block",
            How::Assume => "assumed",
        };
        // Where it does not answer, its control file says of which cluster it is.
        let read = check.and_then(Check::system);
        let system = intended(scene, self.ix).and_then(|i| mark(i, "system identifier")).or(read);
        json!({ "how": how, "by": self.options.by, "roles": self.options.app_roles, "system": system })
    }

    async fn put(&mut self, scene: &Scene, deadline: Instant) -> Acted {
        let not_sent = |why: &str| Acted::NotSent { why: SafeText::new(why) };
        let Some(approved) = intended(scene, self.ix).cloned() else {
            return not_sent("nothing says on which server it was approved");
        };
        // Looked at once more: where it stands is what nothing may be lost of.
        let mut clients = None;
        let soon = deadline.min(Instant::now() + SOON);
        let known = match self.place.known(&scene.net, soon).await {
            Ok((known, mut session)) => {
                // Who is there is what the clients that come back are counted against.
                clients = session.read(&[CENSUS.to_owned()], soon).await.ok();
                session.close().await;
                Ok(known)
            }
            Err(gap) => Err(gap),
        };
        if let Ok(known) = &known
            && let Some(differs) = stranger(&approved, &known.identity())
        {
            return not_sent(&format!("another server than was approved: {differs}"));
        }
        let mut left = Yield { kept: self.kept(scene, false, None), ..Yield::default() };
        if let (Some(tables), Some(kept)) = (clients, left.kept.as_object_mut()) {
            kept.insert("clients".to_owned(), census(&tables));
        }
        if let Ok(known) = &known {
            left.facts.push(SafeText::new(&format!("before: {}", known.seen.words())));
        }
        let demoted = known.as_ref().is_ok_and(|k| k.seen.recovery);
        let ended = match self.how() {
            How::Stop => match (self.stop.clone(), self.elsewhere(scene, demoted, deadline).await) {
                (Some(_), Some(why)) => Err(not_sent(&why)),
                (Some(stop), None) => self.job.act(scene, &stop, deadline).await,
                (None, _) => Err(not_sent("no command stops it")),
            },
            // Whose applications would be turned away there is not known.
            How::Block if demoted => Ok("nothing was sent: a standby answers there".into()),
            How::Block => self.block(scene, &approved, deadline).await,
            How::Assume => Ok("nothing was sent".into()),
        };
        match ended {
            Ok(said) => Acted::Returned { said, left: Box::new(left) },
            Err(Acted::Unclear { why, .. }) => Acted::Unclear { why, left: Box::new(left) },
            Err(Acted::Failed { said, .. }) => Acted::Failed { said, left: Box::new(left) },
            // It does not answer, and a person accepted that: recorded, and looked at.
            Err(Acted::NotSent { why }) if known.is_err() && self.may_assume(scene) => {
                let said = SafeText::new(&format!("nothing was sent: {why}"));
                Acted::Returned { said, left: Box::new(left) }
            }
            Err(other) => other,
        }
    }

    /// Why the commands of this step are another cluster's, where its check shows that.
    async fn elsewhere(&self, scene: &Scene, demoted: bool, deadline: Instant) -> Option<String> {
        let check = self.checked(scene, deadline.min(Instant::now() + SOON)).await?;
        let (read, meant) = (check.system()?, self.meant(scene, deadline).await?);
        if check.is_standbys() && !demoted {
            return Some("its check reads a standby's data directory, and so is not the old primary's".to_owned());
        }
        (read != meant).then(|| format!("its check reads the data directory of the cluster {read}, not of {meant}"))
    }

    async fn block(&self, scene: &Scene, approved: &Identity, deadline: Instant) -> Result<SafeText, Acted> {
        let not_sent = |why: &str| Acted::NotSent { why: SafeText::new(why) };
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
        let said = block::act(&mut session, self.options.by, &self.options.app_roles, true, deadline).await?;
        session.close().await;
        Ok(said.into())
    }

    async fn see(&mut self, scene: &Scene, deadline: Instant) -> Observation {
        let (known, mut check) = future::join(self.answers(scene, deadline), self.checked(scene, deadline)).await;
        if check.as_ref().is_some_and(|c| c.system().is_some()) {
            let meant = match &known {
                Ok(known) => Some(known.seen.system.clone()),
                Err(_) => self.meant(scene, deadline).await,
            };
            check = check.map(|c| c.of(meant.as_deref()));
        }
        let (held, strength, why, control) = match (&known, &check) {
            // Whoever answers there instead.
            (Ok(known), Some(Check::Stopped(control, words))) if known.seen.recovery => {
                (Held::Holds, Strength::Proven, format!("{words}; {}", known.seen.words()), control.clone())
            }
            (Ok(known), _) if known.seen.recovery => {
                let (held, strength, why) = self.demoted(scene, known, deadline).await;
                (held, strength, why, None)
            }
            (Ok(_), _) if matches!(self.how(), How::Block) => {
                let app = self.options.app.as_ref().map(|a| (a.user.as_str(), a.password.as_ref()));
                let (by, roles) = (self.options.by, &self.options.app_roles);
                let (held, why) = block::turned(&self.place, &scene.net, by, roles, app, true, deadline).await;
                (held, Strength::Blocked, why, None)
            }
            (Ok(known), _) => (Held::Fails, Strength::Proven, format!("it takes writes: {}", known.seen.words()), None),
            (Err(gap), Some(Check::Stopped(control, words))) => {
                (Held::Holds, Strength::Proven, format!("{words}; {gap}"), control.clone())
            }
            (Err(gap), Some(Check::Runs(words))) => (Held::Fails, Strength::Proven, format!("{words}; {gap}"), None),
            (Err(gap), check) => {
                let more =
                    if let Some(Check::Unknown(_, words)) = check { format!("; {words}") } else { String::new() };
                self.unanswered(scene, gap, &more)
            }
        };
        if held != Held::Holds {
            self.up = None;
            let mut seen = Observation::new(held, &why, clock::now());
            seen.waits = Some("that it takes no writes".into());
            return seen;
        }
        // Read again: a commit may have come before the last session was gone.
        let position = match &known {
            Ok(known) if !known.seen.recovery => self.answers(scene, deadline).await.ok().map(|k| k.seen.position),
            Ok(_) | Err(_) => None,
        };
        let before = left_by(acted(scene, self.ix)).or_else(|| self.left.clone()).unwrap_or_default();
        let clients = before.kept.get("clients").cloned();
        let mut left = Yield { facts: before.facts, ..Yield::default() };
        left.kept = self.kept(scene, strength == Strength::Assumed, check.as_ref());
        if let (Some(clients), Some(kept)) = (clients, left.kept.as_object_mut()) {
            kept.insert("clients".to_owned(), clients);
        }
        left.fence = Some(fence(strength, &why));
        let mut waits = None;
        if strength != Strength::Assumed {
            let (loss, words) = self.measured(scene, position, control.as_ref(), deadline).await;
            left.facts.push(SafeText::new(&words));
            let late = self.up.get_or_insert_with(Instant::now).elapsed() > ARRIVES;
            if loss.as_ref().is_some_and(|l| l.missing != Some(Bytes(0))) && !late {
                waits = Some(words);
            }
            left.loss = loss;
        }
        let held = if waits.is_some() { Held::Unknown } else { Held::Holds };
        let mut seen = Observation::new(held, &format!("{}: {why}", strength.word()), clock::now());
        seen.waits = waits.map(|w| SafeText::new(&w));
        seen.left = left;
        seen
    }

    async fn answers(&self, scene: &Scene, deadline: Instant) -> Result<Known, Gap> {
        let deadline = patient(scene, self.ix, deadline);
        let (known, session) = self.place.known(&scene.net, deadline).await?;
        session.close().await;
        Ok(known)
    }

    /// It does not answer, and no check says that it is stopped.
    fn unanswered(
        &self,
        scene: &Scene,
        gap: &Gap,
        more: &str,
    ) -> (Held, Strength, String, Option<crate::systems::postgres::parse::server::Control>) {
        let stops = self.stop.is_some() && self.check.is_none();
        let returned = matches!(acted(scene, self.ix), Some(Acted::Returned { said, .. }) if said.as_str().contains("exit code 0"));
        let why = format!("{gap}{more}");
        match gap.reason {
            // The command said that it stopped it, and nobody listens there any more.
            Reason::Refused if stops && returned => {
                (Held::Holds, Strength::Proven, format!("the stop command ended well, and {gap}"), None)
            }
            Reason::ShuttingDown | Reason::StartingUp | Reason::TooManyConnections => {
                (Held::Fails, Strength::Assumed, why, None)
            }
            _ if self.may_assume(scene) => (Held::Holds, Strength::Assumed, format!("it does not answer: {why}"), None),
            _ => (Held::Unknown, Strength::Assumed, why, None),
        }
    }

    /// What the standby lacks of what was written: by the shutdown checkpoint, or by where a blocked primary stands.
    async fn measured(
        &self,
        scene: &Scene,
        position: Option<Lsn>,
        control: Option<&crate::systems::postgres::parse::server::Control>,
        deadline: Instant,
    ) -> (Option<Loss>, String) {
        let Some(seen) = control.map(|c| c.checkpoint).or(position) else {
            return (None, "where its log ends was not seen".to_owned());
        };
        let Some(standby) = other(scene, &self.probe, &self.place.site) else {
            return (None, format!("its log ends at {seen}; there is no standby to compare with"));
        };
        match standby.known(&scene.net, deadline).await {
            Err(gap) => (None, format!("its log ends at {seen}; the standby: {}", about(&standby, &gap))),
            Ok((known, session)) => {
                session.close().await;
                let held = known.seen.position;
                let missing = control.map_or_else(|| seen.ahead_of(held), |c| c.missing(held));
                let what = if control.is_some() { "its shutdown checkpoint is" } else { "its log ends" };
                let words = match missing {
                    Bytes(0) => {
                        format!("{what} at {seen}, and the standby holds the log up to {held}: nothing is lost")
                    }
                    bytes => format!("{what} at {seen}; the standby holds the log up to {held}: {bytes} are missing"),
                };
                // Whoever is not turned away may write on.
                let end = control.is_some() || !self.others;
                (Some(Loss { seen: Some(seen), held, missing: Some(missing), end }), words)
            }
        }
    }
}

fn fence(strength: Strength, why: &str) -> Fenced {
    Fenced { strength, why: SafeText::new(why) }
}

/// That the address does not lead to the server that takes over: what is seen there would say nothing of the old primary, and
/// what is done there would be done to the wrong one.
fn distinct(known: &Known, candidate: Result<&Known, &Gap>, now: Now) -> Condition {
    let what = "it is not the server that takes over, under another address";
    let (held, why) = match candidate {
        Ok(other) if other.seen.is(&known.seen) => {
            (Held::Fails, format!("the server at {} answers at both addresses", other.address))
        }
        Ok(other) => (Held::Holds, format!("{} answers as {}", other.address, other.seen.words())),
        Err(gap) if known.seen.recovery => {
            (Held::Unknown, format!("it is in recovery, and the server that takes over does not answer: {gap}"))
        }
        Err(gap) => (Held::Holds, format!("it is in no recovery; the other does not answer: {gap}")),
    };
    Condition::new(ids::DISTINCT, Class::Identity, what, held, &why, now)
}

/// That its check looks at the server that is meant: what stops it then does, too. Every standby has its primary's system
/// identifier, and a control file of its own words.
fn same(read: &str, meant: &str, standbys: bool, now: Now) -> Condition {
    let what = "its check reads the old primary's data directory";
    let (held, why) = match (read == meant, standbys) {
        (false, _) => (Held::Fails, format!("that is of the cluster {read}, not of {meant}")),
        (true, true) => (Held::Fails, "that is a standby's: what stops it would stop that one".to_owned()),
        (true, false) => (Held::Holds, format!("of the cluster {read}, and no standby's")),
    };
    Condition::new("data-directory", Class::Identity, what, held, &why, now)
}

/// Whether the server that takes over is the primary of this standby: of its cluster, and on the same timeline. A replica of
/// an old primary that lives has an older one.
fn leads(other: Option<&Known>, standby: &Known) -> bool {
    let mine = &standby.seen;
    let is_its = |o: &Known| !o.seen.recovery && o.seen.system == mine.system && o.seen.timeline == mine.timeline;
    other.is_some_and(is_its)
}

/// What is told of a standby at the old primary's address.
fn elsewhere(known: &Known) -> String {
    format!("a standby answers there ({}): where the primary is, it does not say", known.seen.words())
}

fn reachable(held: Held, why: &str, now: Now) -> Condition {
    let what = "it answers, and so can be seen to stop";
    Condition::new(REACHABLE, Class::Risk, what, held, &why, now).accepted_by(ASSUMED_FENCE)
}
