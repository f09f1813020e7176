//! `sequences-advance`: the sequences of a logical subscriber go beyond every number that was given out, before anything
//! draws from them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::place::{Known, Place, Sent, Session, Who};
use super::{about, acted, acting, direct, ids, intended, keys, left_by, lock, logical, opened, other, place};
use super::{probe_options, shown, sound, stranger, traits};
use crate::clock;
use crate::plan::{SafeText, Span};
use crate::readiness::{Gap, Reason};
use crate::runbook::{
    Acted, Authorized, Class, Condition, Danger, Held, Observation, Preview, StepIx, StepRole, Yield,
};
use crate::systems::postgres::options::steps::{SequencesOptions, quoted_name, quoted_text};
use crate::systems::postgres::options::{ActAs, PostgresOptions};
use crate::systems::postgres::parse::sequences::{MOST, Sequence, last_value, question, sequences};
use crate::systems::{Executing, Executor, Fault, Guarding, Scene, StepContext, StepTraits};

/// By how many values a sequence goes beyond the newest, where the step does not say.
const MARGIN: u64 = 1_000;
/// How many are shown by name.
const SHOWN: usize = 20;

/// Reads the keys of a step.
pub(super) fn read(context: &StepContext<'_>, value: &Value) -> Result<StepTraits, Vec<Fault>> {
    let _: SequencesOptions = keys(value, "the keys of a sequences-advance step")?;
    let mut faults = Vec::new();
    if let Some(probe) = probe_options(context, &mut faults) {
        logical(probe, &mut faults);
        acting(probe, &mut faults);
    }
    sound(traits(context, StepRole::Other, Danger::Changes, Span::secs(120)), faults)
}

/// Opens a step's executor.
pub(super) fn open(scene: &Scene, ix: StepIx) -> Result<Box<dyn Executor>, Fault> {
    let (place, probe) = place(scene, ix)?;
    let options: SequencesOptions = opened(scene, ix, "the keys of a sequences-advance step")?;
    let Some(act_as) = probe.act_as.clone() else {
        return Err(Fault::new(&["probe"], "its probe says not as whom to act", "act_as in the probe"));
    };
    let margin = options.margin.unwrap_or(MARGIN);
    Ok(Box::new(Advance { place, probe, act_as, margin, ix, left: None }))
}

struct Advance {
    place: Place,
    probe: PostgresOptions,
    act_as: ActAs,
    margin: u64,
    ix: StepIx,
    left: Option<Yield>,
}

/// A sequence with the newest values that were seen: its own, in its column, at the publisher.
struct Standing {
    sequence: Sequence,
    last: Option<i64>,
    newest: Option<i64>,
}

impl Executor for Advance {
    fn preview<'a>(&'a mut self, scene: &'a Scene, deadline: Instant) -> Executing<'a, Preview> {
        Box::pin(async move { shown(self.look(scene, deadline).await, &self.place, &self.challenge()) })
    }

    fn act<'a>(&'a mut self, authorized: Authorized, scene: &'a Scene, deadline: Instant) -> Executing<'a, Acted> {
        Box::pin(async move {
            drop(authorized);
            let acted = self.set(scene, deadline).await;
            self.left = left_by(Some(&acted));
            acted
        })
    }

    fn observe<'a>(&'a mut self, scene: &'a Scene, deadline: Instant) -> Executing<'a, Observation> {
        Box::pin(async move {
            match self.see(scene, deadline).await {
                Ok(seen) => seen,
                Err(gap) => Observation::new(Held::Unknown, &about(&self.place, &gap), clock::now()),
            }
        })
    }

    fn commands(&self, _: &Scene) -> Vec<String> {
        let list = "SELECT schemaname, sequencename, last_value FROM pg_sequences";
        let set = format!("SELECT setval('SCHEMA.SEQUENCE', (SELECT max(COLUMN) FROM TABLE) + {})", self.margin);
        vec![
            "# Each sequence, for which this must be said once:".to_owned(),
            self.place.psql(None, list),
            self.place.psql(Some(&self.act_as.user), &set),
        ]
    }

    fn guarding(&self, scene: &Scene) -> Option<Box<dyn Guarding>> {
        lock::of(scene, self.ix)
    }
}

impl Advance {
    fn challenge(&self) -> String {
        format!("advance {}", self.place.named())
    }

    async fn list(&self, session: &mut Session, deadline: Instant) -> Result<Vec<Sequence>, Gap> {
        let tables = session.read(&[question(&quoted_text(&self.act_as.user))], deadline).await?;
        let list = sequences(tables.first().ok_or_else(|| Gap::from(Reason::Malformed))?)?;
        if list.len() > MOST {
            return Err(Gap::new(Reason::TooLarge, "more than 2000 sequences"));
        }
        Ok(list)
    }

    /// The newest values at the publisher, by sequence; none where it does not answer.
    async fn published(
        &self,
        scene: &Scene,
        list: &[Sequence],
        deadline: Instant,
    ) -> Result<BTreeMap<String, i64>, Gap> {
        let Some(publisher) = other(scene, &self.probe, &self.place.site) else { return Ok(BTreeMap::new()) };
        if list.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut session = publisher.open(&scene.net, Who::Looking, deadline).await?;
        // One that is not there is no error: it was made at the subscriber alone.
        let values = "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), \
             CASE WHEN has_sequence_privilege(c.oid, 'SELECT,USAGE') THEN pg_sequence_last_value(c.oid) END \
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'S' AND c.relpersistence = 'p' LIMIT 5000";
        let tables = session.read(&[values.to_owned()], deadline).await?;
        session.close().await;
        let pair = |row: &Vec<Option<String>>| Some((row.first()?.clone()?, row.get(1)?.as_ref()?.parse().ok()?));
        Ok(tables.iter().flatten().filter_map(pair).collect())
    }

    /// Where each stands, as this session may read it.
    async fn standing(
        &self,
        session: &mut Session,
        list: Vec<Sequence>,
        published: &BTreeMap<String, i64>,
        deadline: Instant,
    ) -> Result<Vec<Standing>, Gap> {
        if list.is_empty() {
            return Ok(Vec::new());
        }
        let questions: Vec<String> = list.iter().map(Sequence::values).collect();
        let tables = session.read(&questions, deadline).await?;
        let number =
            |at: usize, column: usize| -> Option<i64> { tables.get(at)?.first()?.get(column)?.as_ref()?.parse().ok() };
        let of = |(at, sequence): (usize, Sequence)| {
            let newest = sequence.further(number(at, 1), published.get(&sequence.name).copied());
            Standing { last: number(at, 0), newest, sequence }
        };
        Ok(list.into_iter().enumerate().map(of).collect())
    }

    async fn look(&mut self, scene: &Scene, deadline: Instant) -> Result<Preview, Gap> {
        let (known, mut session) = self.place.known(&scene.net, deadline).await?;
        let list = self.list(&mut session, deadline).await?;
        let now = Instant::now();
        let half = now + deadline.saturating_duration_since(now) / 2;
        let published = self.published(scene, &list, half).await;
        let at = clock::now();
        let mut conditions = vec![writable(&known, at), direct(&known, at), self.privilege(&list, at)];
        conditions.extend(self.distinct(scene, &known, half).await);
        let words = match &published {
            Ok(values) => format!("{} known at the publisher", values.len()),
            Err(gap) => format!("the publisher does not answer ({gap}): by the rows alone"),
        };
        // Whether it is done, the role that looks can only tell where it may read the tables.
        let standing = self.standing(&mut session, list.clone(), &published.unwrap_or_default(), deadline).await;
        session.close().await;
        let already = standing.map_or(Held::Unknown, |all| {
            let reached =
                |s: &Standing| s.newest.is_none_or(|n| s.sequence.reached(s.last, s.sequence.target(n, self.margin)));
            Held::of(!all.is_empty() && all.iter().all(reached))
        });
        let by = format!("-- as {} at {}", quoted_name(&self.act_as.user), self.place.server());
        let mut actions = vec![SafeText::new(&by)];
        actions.extend(list.iter().take(SHOWN).map(|s| SafeText::new(&s.shown(self.margin))));
        if list.len() > SHOWN {
            actions.push(SafeText::new(&format!("-- and {} more sequences", list.len() - SHOWN)));
        }
        let sound = conditions.iter().all(|c| c.class != Class::Identity || c.held == Held::Holds);
        Ok(Preview {
            target: SafeText::new(&self.place.server()),
            role: SafeText::new(&format!("{}; {} sequences; {words}", known.seen.words(), list.len())),
            identity: known.identity(),
            actions,
            challenge: self.challenge(),
            conditions,
            already: if sound { already } else { Held::Fails },
            left: Yield::default(),
            at,
        })
    }

    async fn distinct(&self, scene: &Scene, known: &Known, deadline: Instant) -> Option<Condition> {
        let publisher = other(scene, &self.probe, &self.place.site)?;
        let (theirs, session) = publisher.known(&scene.net, deadline).await.ok()?;
        session.close().await;
        // Two databases of one server are one server too; what tells them apart is the probe's own matter.
        let held = Held::of(!theirs.seen.is(&known.seen) || theirs.address != known.address);
        let what = "it is not the publisher";
        Some(Condition::new(ids::DISTINCT, Class::Identity, what, held, &theirs.address, clock::now()))
    }

    fn privilege(&self, list: &[Sequence], at: crate::plan::Now) -> Condition {
        let user = quoted_name(&self.act_as.user);
        let set = list
            .iter()
            .filter(|s| !s.may_set)
            .map(|s| format!("GRANT UPDATE, SELECT ON SEQUENCE {} TO {user}", s.name));
        let read = list.iter().filter(|s| !s.may_read).filter_map(|s| s.of.as_ref());
        let lacks: Vec<String> = set.chain(read.map(|(t, _)| format!("GRANT SELECT ON {t} TO {user}"))).collect();
        let mut why = lacks.iter().take(5).cloned().collect::<Vec<_>>().join("; ");
        if lacks.len() > 5 {
            why = format!("{why}; and {} more", lacks.len() - 5);
        }
        if lacks.is_empty() {
            "it has UPDATE on each sequence, and SELECT on its table".clone_into(&mut why);
        }
        let what = format!("{user} may set each sequence");
        Condition::new(ids::PRIVILEGE, Class::Identity, &what, Held::of(lacks.is_empty()), &why, at)
    }

    async fn set(&mut self, scene: &Scene, deadline: Instant) -> Acted {
        let not_sent = |why: &str| Acted::NotSent { why: SafeText::new(why) };
        let Some(approved) = intended(scene, self.ix).cloned() else {
            return not_sent("nothing says on which server it was approved");
        };
        match self.targets(scene, &approved, deadline).await {
            Err(why) => not_sent(&why),
            Ok((_, targets)) if targets.is_empty() => not_sent("every sequence is far enough already"),
            Ok((mut session, targets)) => {
                let one = |(name, to): (&String, &i64)| format!("SELECT setval({}, {to}, true)", quoted_text(name));
                let message = targets.iter().map(one).collect::<Vec<_>>().join("; ");
                let facts = vec![SafeText::new(&format!("{} sequences were set", targets.len()))];
                let left = Box::new(Yield { kept: json!({ "sequences": targets }), facts, ..Yield::default() });
                match session.send(&message, deadline).await {
                    Sent::Done(..) => Acted::Returned { said: "setval of each".into(), left },
                    Sent::No { gap, done: 0, .. } => Acted::Refused { said: gap.detail },
                    // What `setval` did is not undone with its transaction.
                    Sent::No { gap, .. } | Sent::Unclear(gap) => Acted::Unclear { why: gap.detail, left },
                }
            }
        }
    }

    /// How far each must go that is not there yet, read with the credentials that act.
    async fn targets(
        &self,
        scene: &Scene,
        approved: &crate::runbook::Identity,
        deadline: Instant,
    ) -> Result<(Session, BTreeMap<String, i64>), String> {
        let gap = |gap: Gap| about(&self.place, &gap);
        let mut session = self.place.open(&scene.net, Who::Acting(&self.act_as), deadline).await.map_err(gap)?;
        let known = session.known(deadline).await.map_err(gap)?;
        if !known.direct {
            return Err("a pooler answers: the next message could reach another server".to_owned());
        }
        if let Some(differs) = stranger(approved, &known.identity()) {
            return Err(format!("another server than was approved: {differs}"));
        }
        let list = self.list(&mut session, deadline).await.map_err(gap)?;
        let now = Instant::now();
        let third = now + deadline.saturating_duration_since(now) / 3;
        let published = self.published(scene, &list, third).await.unwrap_or_default();
        let standing = self.standing(&mut session, list, &published, deadline).await.map_err(gap)?;
        let target = |s: Standing| {
            let to = s.sequence.target(s.newest?, self.margin);
            (!s.sequence.reached(s.last, to)).then_some((s.sequence.name, to))
        };
        Ok((session, standing.into_iter().filter_map(target).collect()))
    }

    async fn see(&mut self, scene: &Scene, deadline: Instant) -> Result<Observation, Gap> {
        let left = left_by(acted(scene, self.ix)).or_else(|| self.left.clone());
        let (_, mut session) = self.place.known(&scene.net, deadline).await?;
        let list = self.list(&mut session, deadline).await?;
        let kept = left.as_ref().and_then(|l| l.kept.get("sequences")).and_then(Value::as_object);
        let Some(kept) = kept else {
            // What was set is not known: by what can be read.
            let published = self.published(scene, &list, deadline).await.unwrap_or_default();
            let standing = self.standing(&mut session, list, &published, deadline).await?;
            session.close().await;
            let behind: Vec<&str> = standing
                .iter()
                .filter(|s| s.newest.is_some_and(|n| !s.sequence.reached(s.last, s.sequence.target(n, self.margin))))
                .map(|s| s.sequence.name.as_str())
                .collect();
            return Ok(told(&behind, standing.len(), Yield::default()));
        };
        let set: Vec<&Sequence> = list.iter().filter(|s| kept.contains_key(&s.name)).collect();
        let questions: Vec<String> = set.iter().map(|s| format!("SELECT {}", last_value(&s.name))).collect();
        let tables = if questions.is_empty() { Vec::new() } else { session.read(&questions, deadline).await? };
        session.close().await;
        let mut behind = Vec::new();
        for (at, sequence) in set.iter().enumerate() {
            let cell = tables.get(at).and_then(|t| t.first()?.first()?.as_ref());
            let Some(last) = cell.and_then(|v| v.parse::<i64>().ok()) else {
                let grant = format!("GRANT SELECT ON SEQUENCE {} to the role that looks", sequence.name);
                return Ok(Observation::new(Held::Unknown, &format!("cannot be read: {grant}"), clock::now()));
            };
            let to = kept.get(&sequence.name).and_then(Value::as_i64).unwrap_or(i64::MAX);
            if !sequence.reached(Some(last), to) {
                behind.push(sequence.name.as_str());
            }
        }
        if set.len() < kept.len() {
            behind.push("one that is gone");
        }
        Ok(told(&behind, kept.len(), left.unwrap_or_default()))
    }
}

fn writable(known: &Known, at: crate::plan::Now) -> Condition {
    let held = Held::of(!known.seen.recovery);
    Condition::new("writable", Class::Identity, "it takes writes", held, &known.seen.words(), at)
}

fn told(behind: &[&str], all: usize, left: Yield) -> Observation {
    if behind.is_empty() {
        let why = format!("{all} sequences are beyond every number that was seen");
        let mut seen = Observation::new(Held::Holds, &why, clock::now());
        seen.left = left;
        return seen;
    }
    let names = behind.iter().take(5).copied().collect::<Vec<_>>().join(", ");
    Observation::new(Held::Fails, &format!("{} of {all} are behind: {names}", behind.len()), clock::now())
}
