//! `postgres-promote`: a standby becomes the primary, once.

use std::time::Duration;

use futures_util::future;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::commit;
use super::lock;
use super::place::{Known, Place, Sent, Who};
use super::{
    about, acted, acting, direct, ids, intended, keys, left_by, mark, opened, other, patient, physical, place,
    probe_options, sound, stranger, traits,
};
use crate::clock;
use crate::plan::{Bytes, Lsn, Now, SafeText, Span};
use crate::readiness::{Exposure, Gap, Reason};
use crate::runbook::guard::to_come;
use crate::runbook::{
    Acted, Authorized, Class, Condition, Danger, Held, Identity, Loss, Observation, Preview, StepIx, StepRole,
    Strength, Yield,
};
use crate::systems::postgres::options::steps::{PromoteOptions, promote_wait, quoted_name, quoted_text};
use crate::systems::postgres::options::{ActAs, PostgresOptions};
use crate::systems::postgres::parse::server::{Promotable, Upstream, promotable, promotable_question, sync_wait};
use crate::systems::{Executing, Executor, Fault, Guarding, Scene, StepContext, StepTraits, unreadable};

/// Reads the keys of a step.
pub(super) fn read(context: &StepContext<'_>, value: &Value) -> Result<StepTraits, Vec<Fault>> {
    let options: PromoteOptions = keys(value, "the keys of a postgres-promote step")?;
    let mut faults = Vec::new();
    if let Some(probe) = probe_options(context, &mut faults) {
        physical(probe, &mut faults);
        acting(probe, &mut faults);
    }
    if options.system_identifier.as_ref().is_some_and(|id| id.parse::<u64>().is_err()) {
        let right = "the number that pg_controldata shows, as a text";
        faults.push(Fault::new(&["system_identifier"], "no system identifier", right));
    }
    sound(traits(context, StepRole::Promote, Danger::Irreversible, Span::secs(90)), faults)
}

/// Opens a step's executor.
pub(super) fn open(scene: &Scene, ix: StepIx) -> Result<Box<dyn Executor>, Fault> {
    let (place, probe) = place(scene, ix)?;
    let step = scene.step(ix).ok_or_else(|| Fault::new(&[], "no such step", "a step of the runbook"))?;
    let options = opened(scene, ix, "the keys of a postgres-promote step")?;
    let Some(act_as) = probe.act_as.clone() else {
        return Err(Fault::new(&["probe"], "its probe says not as whom to act", "act_as in the probe"));
    };
    let wait = promote_wait(step.deadline);
    Ok(Box::new(Promote { place, probe, act_as, options, ix, wait, last_seen: None, left: None }))
}

struct Promote {
    place: Place,
    probe: PostgresOptions,
    act_as: ActAs,
    options: PromoteOptions,
    ix: StepIx,
    /// How long the server waits, in seconds.
    wait: u64,
    /// Up to where the old primary was last seen to have written.
    last_seen: Option<Lsn>,
    /// What this process's act left behind.
    left: Option<Yield>,
}

/// What the old primary was seen to be, beside the target.
enum Old {
    /// It answers.
    Known(Box<Known>),
    /// It does not, or the plan has none.
    Silent(String),
}

impl Executor for Promote {
    fn preview<'a>(&'a mut self, scene: &'a Scene, deadline: Instant) -> Executing<'a, Preview> {
        Box::pin(self.look(scene, deadline))
    }

    fn act<'a>(&'a mut self, authorized: Authorized, scene: &'a Scene, deadline: Instant) -> Executing<'a, Acted> {
        Box::pin(async move {
            drop(authorized);
            let acted = self.send(scene, deadline).await;
            self.left = left_by(Some(&acted));
            acted
        })
    }

    fn observe<'a>(&'a mut self, scene: &'a Scene, deadline: Instant) -> Executing<'a, Observation> {
        Box::pin(self.see(scene, deadline))
    }

    fn commands(&self, _: &Scene) -> Vec<String> {
        let role = "SELECT pg_is_in_recovery(), system_identifier FROM pg_control_system()";
        vec![
            format!("# {} must be in recovery, and of the right cluster:", self.place.server()),
            self.place.psql(None, role),
            self.place.psql(Some(&self.act_as.user), &self.statement()),
            "# It must not be in recovery any more, and a commit must come back:".to_owned(),
            self.place.psql(None, role),
            self.place.psql(None, commit::STATEMENT),
        ]
    }

    fn guarding(&self, scene: &Scene) -> Option<Box<dyn Guarding>> {
        lock::of(scene, self.ix)
    }
}

impl Promote {
    fn statement(&self) -> String {
        format!("SELECT pg_promote(true, {})", self.wait)
    }

    fn challenge(&self) -> String {
        format!("promote {}", self.place.named())
    }

    fn actions(&self) -> Vec<SafeText> {
        let by = format!("-- as {} at {}", quoted_name(&self.act_as.user), self.place.server());
        vec![SafeText::new(&by), SafeText::new(&self.statement())]
    }

    /// What a target of this step is known by: its timeline too, by which its promotion is told from another's.
    fn identity(known: &Known) -> Identity {
        known.identity().with("timeline", &known.seen.timeline)
    }

    async fn look(&mut self, scene: &Scene, deadline: Instant) -> Preview {
        let others = patient(scene, self.ix, deadline);
        let old = async {
            let Some(old) = other(scene, &self.probe, &self.place.site) else {
                return Old::Silent("its probe has no other server".to_owned());
            };
            match old.known(&scene.net, others).await {
                Ok((known, session)) => {
                    session.close().await;
                    Old::Known(Box::new(known))
                }
                Err(gap) => Old::Silent(about(&old, &gap)),
            }
        };
        let (mine, old) = future::join(self.target(scene, deadline), old).await;
        if let Old::Known(old) = &old
            && !old.seen.recovery
        {
            self.last_seen = Some(old.seen.position);
        }
        let server = self.place.server();
        match mine {
            Ok((known, promotable)) => self.judged(scene, &known, &promotable, &old),
            Err(gap) => {
                let what = format!("{server} answers");
                unreadable(&server, &what, self.actions(), &self.challenge(), &gap)
            }
        }
    }

    async fn target(&self, scene: &Scene, deadline: Instant) -> Result<(Known, Promotable), Gap> {
        let (known, mut session) = self.place.known(&scene.net, deadline).await?;
        let question = promotable_question(&quoted_text(&self.act_as.user), session.version());
        let tables = session.read(&[question], deadline).await?;
        let read = tables.first().map_or_else(|| Err(Reason::Malformed.into()), promotable)?;
        session.close().await;
        Ok((known, read))
    }

    fn judged(&self, scene: &Scene, known: &Known, promotable: &Promotable, old: &Old) -> Preview {
        let now = clock::now();
        let sync = sync(promotable, now);
        // Promoted, and commits would come back: what nobody tried is not known to be there.
        let done = !known.seen.recovery && sync.held == Held::Holds;
        let conditions = vec![
            recovery(known, done, now),
            direct(known, now),
            distinct(known, old, now),
            self.alone(scene, known, old, now),
            self.cluster(scene, known, old, now),
            self.privilege(promotable, now),
            paused(promotable, now),
            sync,
            writable(promotable, now),
            self.received(scene, known, old, now),
        ];
        let conditions: Vec<Condition> =
            conditions.into_iter().chain(self.hears(scene, (known, promotable), old, now)).collect();
        let is_target = conditions.iter().all(|c| c.class != Class::Identity || c.held == Held::Holds);
        let facts = vec![SafeText::new(&format!("{}: {}", self.place.server(), known.seen.words()))];
        Preview {
            target: SafeText::new(&self.place.server()),
            role: SafeText::new(&known.seen.words()),
            identity: Self::identity(known),
            actions: self.actions(),
            challenge: self.challenge(),
            conditions,
            already: Held::of(done && is_target),
            left: Yield { facts, ..Yield::default() },
            at: now,
        }
    }

    /// Whether the old primary takes no writes, as it is just read to be. One whose applications are turned away is a primary
    /// still; whether they stay away is for the fence's own look to say.
    fn alone(&self, scene: &Scene, known: &Known, old: &Old, now: Now) -> Condition {
        // Silence proves nothing, and is told as what it is.
        let what = "nobody sees the old primary take writes";
        let of = |held, why: &str| Condition::new("old-primary", Class::Identity, what, held, &why, now);
        let step = scene.step(self.ix);
        let old = match old {
            Old::Silent(why) => return of(Held::Holds, why),
            Old::Known(old) if old.seen.recovery || old.seen.system != known.seen.system => {
                return of(Held::Holds, &old.seen.words());
            }
            Old::Known(old) => old,
        };
        let why = format!("{} answers as {}", old.address, old.seen.words());
        if !scene.state.opened.kind.is_real() {
            return of(Held::Holds, &format!("{why}; this is a drill"));
        }
        if to_come(self.ix, &scene.state, StepRole::Fence) {
            return of(Held::Unknown, &format!("{why}; the fence is a step before this one")).later();
        }
        match scene.state.fence_strength() {
            Some(Strength::Blocked) => of(Held::Holds, &format!("{why}; its application roles are turned away")),
            // The runbook promotes beside it, and says why.
            None if step.is_some_and(|s| s.because.is_some()) => {
                Condition::new("old-primary", Class::Risk, what, Held::Fails, &why, now).accepted_by("two primaries")
            }
            Some(Strength::Proven | Strength::Assumed) | None => of(Held::Fails, &format!("{why}: stop it first")),
        }
    }

    /// Whether the old primary lives, as the standby itself proves by what it goes on receiving: from here it may be out of
    /// reach alone. A blocked one does live.
    fn hears(
        &self,
        scene: &Scene,
        (known, promotable): (&Known, &Promotable),
        old: &Old,
        now: Now,
    ) -> Option<Condition> {
        let state = &scene.state;
        // What is seen itself is judged by that.
        if matches!(old, Old::Known(old) if !old.seen.recovery) {
            return None;
        }
        if !state.opened.kind.is_real() || to_come(self.ix, &scene.state, StepRole::Fence) || !known.seen.recovery {
            return None;
        }
        if state.fence_strength() == Some(Strength::Blocked) {
            return None;
        }
        let what = "it has heard nothing of the old primary since";
        let of = |held, why: &str| {
            Condition::new("upstream", Class::Risk, what, held, &why, now).accepted_by("the primary lives")
        };
        let since = state.fenced_since().map_or(state.opened_at, |(at, _)| at);
        Some(match &promotable.upstream {
            Upstream::Streams(from, ago) if heard_after(since, *ago, now) => {
                let ago = Span(*ago).coarse();
                of(Held::Fails, &format!("it streams from {from}, and heard from there {ago} ago: what sends, lives"))
            }
            Upstream::Streams(from, ago) => {
                of(Held::Holds, &format!("it heard from {from} {} ago, and not since", Span(*ago).coarse()))
            }
            Upstream::Nobody => of(Held::Holds, "it streams from nobody"),
            Upstream::Unseen => of(Held::Unknown, "its pg_stat_wal_receiver cannot be read: GRANT pg_monitor"),
        })
    }

    /// The system identifier that the target must have, and who says so.
    fn expected(&self, scene: &Scene, known: &Known, old: &Old) -> Option<(String, String)> {
        if let Some(id) = &self.options.system_identifier {
            return Some((id.clone(), "the step says so".to_owned()));
        }
        if let Old::Known(old) = old {
            return Some((old.seen.system.clone(), format!("as {}", old.address)));
        }
        let fenced = scene.state.lefts().find_map(|(_, left)| left.kept.get("system")?.as_str().map(str::to_owned));
        if let Some(id) = fenced {
            return Some((id, "as the server that was fenced".to_owned()));
        }
        // Approved while the old primary still answered, which then was stopped.
        let bound = scene.state.approval.as_ref().and_then(|g| g.approval.bounds.iter().find(|b| b.step == self.ix));
        let held =
            bound.filter(|b| b.conditions.iter().any(|(id, _, held)| *id == ids::CLUSTER && *held == Held::Holds));
        if let Some(id) = held.and_then(|b| mark(&b.identity, "system identifier")) {
            return Some((id.to_owned(), "as when it was approved".to_owned()));
        }
        // What is missing is known by the history of a primary of the very cluster that this standby was just read to be of.
        let remembered = exposure(scene, self).is_some_and(|e| e.missing.is_some());
        remembered.then(|| (known.seen.system.clone(), "as the primary that was last seen".to_owned()))
    }

    fn cluster(&self, scene: &Scene, known: &Known, old: &Old, now: Now) -> Condition {
        let what = "it is of the plan's cluster";
        match self.expected(scene, known, old) {
            Some((id, by)) if id == known.seen.system => {
                Condition::new(ids::CLUSTER, Class::Identity, what, Held::Holds, &format!("{id}, {by}"), now)
            }
            Some((id, by)) => {
                let why = format!("its system identifier is {}, not {id}, {by}", known.seen.system);
                Condition::new(ids::CLUSTER, Class::Identity, what, Held::Fails, &why, now)
            }
            None => {
                let silent = if let Old::Silent(why) = old { why.as_str() } else { "" };
                let why = format!("{}: nothing to compare it with: {silent}", known.seen.system);
                // Not proven wrong, and the gravest thing to be wrong about: what is typed names it.
                Condition::new(ids::CLUSTER, Class::Risk, what, Held::Unknown, &why, now)
                    .accepted_by(&format!("cluster {}", known.seen.system))
            }
        }
    }

    fn privilege(&self, promotable: &Promotable, now: Now) -> Condition {
        let user = quoted_name(&self.act_as.user);
        let primary = "on the primary, from where it is replicated";
        let (held, why) = match (promotable.may_log_in, promotable.may_promote) {
            (None, _) => (Held::Fails, format!("there is no such role: CREATE ROLE {user} LOGIN; {primary}")),
            (Some(false), _) => (Held::Fails, format!("it may not log in: ALTER ROLE {user} LOGIN; {primary}")),
            (Some(true), false) => {
                let grant = format!("GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer) TO {user}");
                (Held::Fails, format!("{grant}; {primary}"))
            }
            (Some(true), true) => (Held::Holds, "it has EXECUTE on pg_promote".to_owned()),
        };
        Condition::new(ids::PRIVILEGE, Class::Identity, &format!("{user} may promote"), held, &why, now)
    }

    /// Whether it holds all that the old primary was last seen to have written. While that one still writes, the last bytes
    /// are always on their way, and what that would cost is the loss to accept.
    fn received(&self, scene: &Scene, known: &Known, old: &Old, now: Now) -> Condition {
        let what = "it holds all that the old primary was last seen to have written";
        let held = known.seen.position;
        let writes = matches!(old, Old::Known(old) if !old.seen.recovery);
        let (verdict, why) = match (fenced_at(scene).map(|(at, _)| at), self.last_seen) {
            (None, Some(seen)) if writes && known.seen.recovery => {
                (Held::Unknown, format!("the old primary writes on: {} behind now", seen.ahead_of(held)))
            }
            (Some(seen), _) | (None, Some(seen)) if seen <= held => {
                (Held::Holds, format!("it holds the log up to {held}, seen was {seen}"))
            }
            (Some(seen), _) | (None, Some(seen)) => {
                (Held::Fails, format!("it holds the log up to {held}, {} less", seen.ahead_of(held)))
            }
            (None, None) => match missing(scene, self) {
                Some(Bytes(0)) => (Held::Holds, "nothing was known to be missing at the last look".to_owned()),
                Some(bytes) => (Held::Fails, format!("{bytes} were known to be missing at the last look")),
                None => (Held::Unknown, "nobody saw how far the old primary was".to_owned()),
            },
        };
        let condition = Condition::new("received", Class::Advice, what, verdict, &why, now);
        if to_come(self.ix, &scene.state, StepRole::Fence) { condition.later() } else { condition }
    }

    async fn send(&mut self, scene: &Scene, deadline: Instant) -> Acted {
        let not_sent = |why: &str| Acted::NotSent { why: SafeText::new(why) };
        let Some(approved) = intended(scene, self.ix) else {
            return not_sent("nothing says on which server it was approved");
        };
        let mut session = match self.place.open(&scene.net, Who::Acting(&self.act_as), deadline).await {
            Ok(session) => session,
            Err(gap) => return not_sent(&about(&self.place, &gap)),
        };
        let known = match session.known(deadline).await {
            Ok(known) => known,
            Err(gap) => return not_sent(&about(&self.place, &gap)),
        };
        if !known.direct {
            return not_sent("a pooler answers: the next message could reach another server");
        }
        if let Some(differs) = stranger(approved, &Self::identity(&known)) {
            return not_sent(&format!("another server than was approved: {differs}"));
        }
        if !known.seen.recovery {
            return not_sent("it is not in recovery: there is nothing to promote");
        }
        let left = self.measured(scene, &known);
        let sent = session.send(&self.statement(), deadline).await;
        let left = Box::new(left);
        match sent {
            Sent::Done(tables, _) => {
                let answer = tables.first().and_then(|t| t.first()?.first()?.as_deref());
                match answer {
                    Some("t") => Acted::Returned { said: "pg_promote: true".into(), left },
                    _ => {
                        let why = format!("not promoted within {} s; it goes on by itself", self.wait);
                        Acted::Unclear { why: SafeText::new(&why), left }
                    }
                }
            }
            // No privilege, not in recovery, no such function: before anything was signalled.
            Sent::No { code, gap, .. } if ["42501", "55000", "42883"].contains(&code.as_str()) => {
                Acted::Refused { said: gap.detail }
            }
            Sent::No { gap, .. } | Sent::Unclear(gap) => Acted::Unclear { why: gap.detail, left },
        }
    }

    /// The positions just before: promotion replays all that is held then.
    fn measured(&self, scene: &Scene, known: &Known) -> Yield {
        let held = known.seen.position;
        let fenced = fenced_at(scene);
        let seen = fenced.map(|(at, _)| at).max(self.last_seen).max(remembered(scene, self, held));
        let end = fenced.is_some_and(|(at, end)| end && Some(at) == seen);
        let missing = seen.map(|s| s.ahead_of(held));
        let before = format!("before: timeline {}, the log held up to {held}", known.seen.timeline);
        Yield {
            loss: Some(Loss { seen, held, missing, end }),
            kept: json!({ "timeline": known.seen.timeline, "system": known.seen.system }),
            facts: vec![SafeText::new(&before)],
            ..Yield::default()
        }
    }

    async fn see(&mut self, scene: &Scene, deadline: Instant) -> Observation {
        let (known, mut session) = match self.place.known(&scene.net, deadline).await {
            Ok(both) => both,
            Err(gap) => return Observation::new(Held::Unknown, &about(&self.place, &gap), clock::now()),
        };
        let mut left = left_by(acted(scene, self.ix)).or_else(|| self.left.clone()).unwrap_or_default();
        let before = intended(scene, self.ix);
        let words = known.seen.words();
        let observed = |held, why: &str| Observation::new(held, why, clock::now());
        let system = before.and_then(|i| mark(i, "system identifier"));
        if system.is_some_and(|id| id != known.seen.system) {
            return observed(Held::Unknown, &format!("another cluster answers: {}", known.seen.system));
        }
        if known.seen.recovery {
            let replayed = session.read(&["SELECT pg_last_wal_replay_lsn()".to_owned()], deadline).await;
            session.close().await;
            let cell = replayed.ok().and_then(|t| t.first()?.first()?.first()?.clone());
            let replayed = cell.map(|lsn| format!(": replayed up to {lsn}")).unwrap_or_default();
            let mut seen = observed(Held::Fails, &format!("still in recovery: {words}"));
            let waits = format!("the end of recovery{replayed}, of the log up to {}", known.seen.position);
            seen.waits = Some(SafeText::new(&waits));
            return seen;
        }
        let timeline = before.and_then(|i| mark(i, "timeline")).and_then(|t| t.parse::<i64>().ok());
        if timeline.is_some_and(|then| known.seen.timeline <= then) {
            return observed(Held::Fails, &format!("not in recovery, but on no higher timeline: {words}"));
        }
        let (held, commit) = commit::commit(&mut session, deadline).await;
        session.close().await;
        let then = timeline.map(|t| format!("{t} -> ")).unwrap_or_default();
        let after = format!("after: timeline {then}{}, log at {}; {commit}", known.seen.timeline, known.seen.position);
        left.facts.push(SafeText::new(&after));
        let mut seen = observed(held, &format!("{words}; {commit}"));
        if held != Held::Holds {
            seen.waits = Some("a commit that comes back: see synchronous_standby_names".into());
        }
        seen.left = left;
        seen
    }
}

/// What a fence of this run saw last of the old primary's log, and whether it ends there.
fn fenced_at(scene: &Scene) -> Option<(Lsn, bool)> {
    let seen = |left: &Yield| left.loss.as_ref().and_then(|l| Some((l.seen?, l.end)));
    scene.state.lefts().filter(|(_, left)| left.fence.is_some()).filter_map(|(_, left)| seen(left)).max()
}

/// What the newest judgement says would be lost at this site.
fn exposure<'a>(scene: &'a Scene, step: &Promote) -> Option<&'a Exposure> {
    let status = scene.status.as_ref()?;
    let name = scene.step(step.ix)?.probe.as_deref()?;
    status.exposures.iter().find(|e| e.to == step.place.site && *e.probe.name == *name)
}

/// What the newest judgement knew to be missing at this site.
fn missing(scene: &Scene, step: &Promote) -> Option<Bytes> {
    exposure(scene, step)?.missing
}

/// Up to where an old primary that cannot be seen any more was seen to have written, by the plan's own history.
fn remembered(scene: &Scene, step: &Promote, held: Lsn) -> Option<Lsn> {
    let gone = exposure(scene, step).filter(|e| e.growing)?;
    Some(Lsn(held.0.saturating_add(gone.missing?.0)))
}

fn recovery(known: &Known, done: bool, now: Now) -> Condition {
    let what = "it is in recovery: a standby that can be promoted";
    let (held, why) = match (known.seen.recovery, done) {
        (true, _) => (Held::Holds, known.seen.words()),
        (false, true) => (Held::Holds, format!("it was promoted already: {}", known.seen.words())),
        (false, false) => (Held::Fails, format!("promoted already, but commits hang there: {}", known.seen.words())),
    };
    Condition::new("in-recovery", Class::Identity, what, held, &why, now)
}

fn distinct(known: &Known, old: &Old, now: Now) -> Condition {
    let what = "it is not the old primary under another name";
    let (held, why) = match old {
        Old::Known(old) if old.seen.is(&known.seen) => {
            (Held::Fails, format!("the server at {} answers at both addresses", old.address))
        }
        Old::Known(old) => (Held::Holds, format!("{} answers as {}", old.address, old.seen.words())),
        Old::Silent(why) if known.seen.recovery => (Held::Holds, format!("it is in recovery; {why}")),
        Old::Silent(why) => (Held::Holds, format!("the other does not answer: {why}")),
    };
    Condition::new(ids::DISTINCT, Class::Identity, what, held, &why, now)
}

fn paused(promotable: &Promotable, now: Now) -> Condition {
    let (held, why) = match promotable.pause.as_deref() {
        Some("not paused") => (Held::Holds, "not paused"),
        None => (Held::Holds, "not in recovery"),
        Some(_) => (Held::Fails, "replay is paused: SELECT pg_wal_replay_resume(); promotion ends the pause by itself"),
    };
    Condition::new("replay-paused", Class::Advice, "replay is not paused", held, &why, now)
}

/// Whether what was heard so long ago was heard after `since`: by either clock, for one may have been set, and the other begins
/// anew with each boot.
fn heard_after(since: Now, ago: Duration, now: Now) -> bool {
    let by_wall = now.wall.signed_duration_since(since.wall).to_std().unwrap_or_default();
    now.since(since).max(by_wall) > ago
}

/// Promoted, and no application writes.
fn writable(promotable: &Promotable, now: Now) -> Condition {
    let what = "its sessions may write";
    let (held, why) = if promotable.read_only {
        let mend = "ALTER SYSTEM RESET default_transaction_read_only; SELECT pg_reload_conf(); there";
        (Held::Fails, format!("default_transaction_read_only is on: {mend}"))
    } else {
        (Held::Holds, "default_transaction_read_only is off".to_owned())
    };
    Condition::new("read-only", Class::Risk, what, held, &why, now).accepted_by("read only")
}

/// Promoted but hanging: what its own settings would make every commit wait for.
fn sync(promotable: &Promotable, now: Now) -> Condition {
    let what = "no commit would wait for a standby that is not there";
    let names = &promotable.sync_names;
    let (held, why) = match sync_wait(names, &promotable.standbys) {
        None => (Held::Holds, "synchronous_standby_names is empty".to_owned()),
        Some((wanted, there)) if there >= wanted => {
            (Held::Holds, format!("synchronous_standby_names is {names:?}: {there} of them stream from it"))
        }
        Some((wanted, there)) => {
            let mend = "ALTER SYSTEM SET synchronous_standby_names = ''; SELECT pg_reload_conf(); there";
            let why = format!("synchronous_standby_names is {names:?}, {there} of {wanted} stream from it: {mend}");
            (Held::Fails, why)
        }
    };
    Condition::new("commits-hang", Class::Risk, what, held, &why, now).accepted_by("commits may hang")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::BootTime;

    #[test]
    fn what_was_heard_after_a_fence_is_known_across_a_boot() {
        let at = |secs| clock::now().plus(Duration::from_secs(secs));
        let (fence, now) = (at(0), at(60));
        assert!(heard_after(fence, Duration::from_secs(5), now));
        assert!(!heard_after(fence, Duration::from_secs(70), now));
        // This machine was started anew since.
        let rebooted = Now { boot: BootTime(Duration::from_secs(10)), ..now };
        assert!(heard_after(fence, Duration::from_secs(5), rebooted));
        assert!(!heard_after(fence, Duration::from_secs(70), rebooted));
    }
}
