//! `postgres-rejoin`: the old primary becomes a standby of the new one, by a command; seen from both sides.

use futures_util::future;
use serde_json::Value;
use tokio::time::Instant;

use super::control::{self, AT_ONCE, Job};
use super::place::{Known, Place, Who};
use super::{command, command_faults, own_commands, said_once};
use super::{ids, intended, keys, opened, other, physical, place, probe_options, sound, traits};
use crate::clock;
use crate::plan::{Now, Program, SafeText, Span};
use crate::readiness::{Gap, Reason};
use crate::runbook::guard::to_come;
use crate::runbook::{
    Acted, Authorized, Class, Condition, Danger, Held, Identity, Observation, Preview, StepIx, StepRole, Yield,
};
use crate::systems::postgres::options::PostgresOptions;
use crate::systems::postgres::options::steps::RejoinOptions;
use crate::systems::{Executing, Executor, Fault, Scene, StepContext, StepTraits};

/// What a person types to accept that the old primary's own changes go.
const DISCARD: &str = "discard its changes";

/// Reads the keys of a step.
pub(super) fn read(context: &StepContext<'_>, value: &Value) -> Result<StepTraits, Vec<Fault>> {
    let options: RejoinOptions = keys(value, "the keys of a postgres-rejoin step")?;
    let mut faults = Vec::new();
    if let Some(probe) = probe_options(context, &mut faults) {
        physical(probe, &mut faults);
    }
    let commands = [("rewind", &options.rewind), ("basebackup", &options.basebackup)];
    command_faults(context, &commands, &options.ssh, &mut faults);
    if options.rewind.is_some() == options.basebackup.is_some() {
        let right = "rewind = [...], or basebackup = [...] in a step of its own";
        faults.push(Fault::new(&["rewind"], "one command, and one only, brings it back", right));
    }
    sound(traits(context, StepRole::Rejoin, Danger::Changes, Span::secs(3_600)), faults)
}

/// Opens a step's executor.
pub(super) fn open(scene: &Scene, ix: StepIx) -> Result<Box<dyn Executor>, Fault> {
    let (place, probe) = place(scene, ix)?;
    let options: RejoinOptions = opened(scene, ix, "the keys of a postgres-rejoin step")?;
    let argv = options.rewind.as_ref().or(options.basebackup.as_ref());
    let program = command(&place.site, "rewind", argv, options.ssh.as_ref())?;
    let program = program.ok_or_else(|| Fault::new(&["rewind"], "no command", "rewind = [...]"))?;
    let said_once = said_once(&[&options.rewind, &options.basebackup], options.ssh.as_ref());
    Ok(Box::new(Rejoin { place, probe, program, said_once, ix, job: Job::default() }))
}

struct Rejoin {
    place: Place,
    probe: PostgresOptions,
    program: Program,
    /// Whether its command is the same for all sites.
    said_once: bool,
    ix: StepIx,
    /// What brings it back.
    job: Job,
}

/// What a standby says of whom it follows.
struct Following {
    name: String,
    streams: bool,
}

impl Executor for Rejoin {
    fn preview<'a>(&'a mut self, scene: &'a Scene, deadline: Instant) -> Executing<'a, Preview> {
        Box::pin(self.look(scene, deadline))
    }

    fn act<'a>(&'a mut self, authorized: Authorized, scene: &'a Scene, deadline: Instant) -> Executing<'a, Acted> {
        Box::pin(async move {
            drop(authorized);
            self.run(scene, deadline).await
        })
    }

    fn observe<'a>(&'a mut self, scene: &'a Scene, deadline: Instant) -> Executing<'a, Observation> {
        Box::pin(self.see(scene, deadline))
    }

    fn commands(&self, scene: &Scene) -> Vec<String> {
        let mut out =
            vec![format!("# {} becomes a standby again:", self.place.server()), control::words(&self.program)];
        out.push("# It must stream:".to_owned());
        out.push(self.place.psql(None, "SELECT status, sender_host FROM pg_stat_wal_receiver"));
        if let Some(new) = other(scene, &self.probe, &self.place.site) {
            out.push(new.psql(None, "SELECT application_name, state, replay_lsn FROM pg_stat_replication"));
        }
        out
    }
}

impl Rejoin {
    /// Both servers, and what each says of the stream between them.
    async fn both(
        &self,
        scene: &Scene,
        deadline: Instant,
    ) -> (Result<(Known, Following), Gap>, Result<(Known, Vec<String>), Gap>) {
        let mine = async {
            let (known, mut session) = self.place.known(&scene.net, deadline).await?;
            let question = "SELECT coalesce(nullif(current_setting('cluster_name'), ''), 'walreceiver'), \
                 coalesce((SELECT status = 'streaming' FROM pg_stat_wal_receiver), false)";
            let tables = session.read(&[question.to_owned()], deadline).await?;
            session.close().await;
            let row = tables.first().and_then(|t| t.first());
            let cell = |at: usize| row.and_then(|r| r.get(at)).and_then(Option::as_deref);
            let name = cell(0).ok_or_else(|| Gap::from(Reason::Malformed))?.to_owned();
            Ok((known, Following { name, streams: cell(1) == Some("t") }))
        };
        let theirs = async {
            let Some(new) = other(scene, &self.probe, &self.place.site) else {
                return Err(Gap::new(Reason::NotConfigured, "its probe has no other server"));
            };
            let mut session = new.open(&scene.net, Who::Looking, deadline).await?;
            let known = session.known(deadline).await?;
            let question = "SELECT application_name FROM pg_stat_replication WHERE state = 'streaming'";
            let tables = session.read(&[question.to_owned()], deadline).await?;
            session.close().await;
            let names = tables.iter().flatten().filter_map(|row| row.first()?.clone()).collect();
            Ok((known, names))
        };
        future::join(mine, theirs).await
    }

    async fn look(&mut self, scene: &Scene, deadline: Instant) -> Preview {
        let (mine, theirs) = self.both(scene, deadline).await;
        let now = clock::now();
        let (already, why) = joined(&self.place.server(), mine.as_ref(), theirs.as_ref());
        let leads = new_primary(theirs.as_ref(), now);
        let mut conditions =
            vec![if to_come(self.ix, &scene.state, StepRole::Promote) { leads.later() } else { leads }];
        conditions.extend(own_commands(scene, self.ix, &self.place, self.said_once, now));
        let (identity, role) = match &mine {
            Ok((known, _)) => {
                if let Ok((new, _)) = &theirs {
                    let same = Held::of(new.seen.system == known.seen.system);
                    let words = format!("{} there, {} at the new primary", known.seen.system, new.seen.system);
                    let what = "both are of one cluster";
                    conditions.push(Condition::new(ids::CLUSTER, Class::Identity, what, same, &words, now));
                    let other = Held::of(!new.seen.is(&known.seen));
                    let what = "they are two servers";
                    conditions.push(Condition::new(ids::DISTINCT, Class::Identity, what, other, &new.address, now));
                }
                (known.identity(), known.seen.words())
            }
            // Stopped, as it should be; who it is, its command knows.
            Err(gap) => {
                let server = self.place.server();
                (Identity::default().with("server", &server), format!("does not answer: {}", gap.beside(&server)))
            }
        };
        let discards = mine.as_ref().map_or(true, |(known, _)| !known.seen.recovery);
        let (held, words) = if discards {
            (Held::Fails, "what it wrote and the new primary does not hold is thrown away")
        } else {
            (Held::Holds, "it is a standby: it wrote nothing of its own")
        };
        let what = "nothing of its own is lost";
        conditions.push(Condition::new("own-changes", Class::Risk, what, held, &words, now).accepted_by(DISCARD));
        let sound = conditions.iter().all(|c| c.class != Class::Identity || c.held == Held::Holds);
        Preview {
            target: SafeText::new(&self.place.server()),
            role: SafeText::new(&role),
            identity,
            actions: vec![SafeText::new(&control::words(&self.program))],
            challenge: format!("rejoin {}", self.place.named()),
            conditions,
            already: if sound { already } else { Held::Fails },
            left: Yield { facts: vec![SafeText::new(&why)], ..Yield::default() },
            at: now,
        }
    }

    async fn run(&mut self, scene: &Scene, deadline: Instant) -> Acted {
        let not_sent = |why: &str| Acted::NotSent { why: SafeText::new(why) };
        let Some(approved) = intended(scene, self.ix) else {
            return not_sent("nothing says on which server it was approved");
        };
        let (mine, theirs) = self.both(scene, deadline).await;
        if !matches!(&theirs, Ok((known, _)) if !known.seen.recovery) {
            return not_sent("the other server is no primary now: there is nobody to follow");
        }
        let now = match &mine {
            Ok((known, _)) => known.identity(),
            Err(_) => Identity::default().with("server", &self.place.server()),
        };
        if let Some(differs) = super::stranger(approved, &now) {
            return not_sent(&format!("not as it was approved: {differs}"));
        }
        if let Err(acted) = self.job.begin(scene, &self.program, deadline).await {
            return acted;
        }
        self.job.wait(deadline.min(Instant::now() + AT_ONCE)).await;
        match self.job.said(&self.program) {
            Some(Ok(said)) => Acted::Returned { said, left: Box::default() },
            Some(Err(acted)) => acted,
            None => Acted::Returned { said: "begun".into(), left: Box::default() },
        }
    }

    async fn see(&mut self, scene: &Scene, deadline: Instant) -> Observation {
        self.job.wait(Instant::now()).await;
        if self.job.runs() {
            let mut seen = Observation::new(Held::Unknown, "its command runs", clock::now());
            let last = self.job.says().map(|line| format!(": {line}")).unwrap_or_default();
            seen.waits = Some(SafeText::new(&format!("the end of its command{last}")));
            return seen;
        }
        let (mine, theirs) = self.both(scene, deadline).await;
        let (held, why) = joined(&self.place.server(), mine.as_ref(), theirs.as_ref());
        let mut words = format!("{}: {why}", self.place.server());
        let failed = match self.job.said(&self.program) {
            Some(Err(Acted::Failed { said, .. })) => Some(said),
            Some(_) | None => None,
        };
        if let Some(failed) = &failed {
            words = format!("{failed}; {words}");
        }
        let mut seen = Observation::new(held, &words, clock::now());
        seen.over = failed.is_some();
        if held == Held::Holds {
            seen.left.facts.push(SafeText::new(&why));
        } else {
            seen.waits = Some("that it streams from the new primary".into());
        }
        seen
    }
}

fn new_primary(theirs: Result<&(Known, Vec<String>), &Gap>, now: Now) -> Condition {
    let what = "there is a primary to follow";
    let (held, why) = match theirs {
        Ok((known, _)) => (Held::of(!known.seen.recovery), format!("{}: {}", known.address, known.seen.words())),
        Err(gap) => (Held::Unknown, gap.to_string()),
    };
    Condition::new("new-primary", Class::Identity, what, held, &why, now)
}

/// Whether one follows the other, as both say.
fn joined(
    server: &str,
    mine: Result<&(Known, Following), &Gap>,
    theirs: Result<&(Known, Vec<String>), &Gap>,
) -> (Held, String) {
    let (known, following, new, streams) = match (mine, theirs) {
        (Err(gap), _) => return (Held::Fails, format!("does not answer: {}", gap.beside(server))),
        (_, Err(gap)) => return (Held::Unknown, format!("the new primary: {gap}")),
        (Ok((known, following)), Ok((new, streams))) => (known, following, new, streams),
    };
    if !known.seen.recovery {
        return (Held::Fails, format!("no standby: {}", known.seen.words()));
    }
    if known.seen.system != new.seen.system {
        return (Held::Fails, format!("of another cluster: {}", known.seen.system));
    }
    // One that was not brought to the new history can look as if it streamed, for a moment.
    if known.seen.timeline != new.seen.timeline {
        return (
            Held::Fails,
            format!("on another timeline than the new primary's {}: {}", new.seen.timeline, known.seen.words()),
        );
    }
    let seen = streams.contains(&following.name);
    match (following.streams, seen) {
        (true, true) => {
            (Held::Holds, format!("{} streams from {}: {}", following.name, new.address, known.seen.words()))
        }
        (false, _) => (Held::Fails, format!("it does not stream: {}", known.seen.words())),
        (true, false) => (Held::Fails, format!("it streams, but the new primary serves no {}", following.name)),
    }
}
