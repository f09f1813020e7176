//! `subscription-detach`: a logical subscriber lets go of its publisher, and is a database of its own.
//!
//! A subscription with a slot cannot be dropped while the publisher is away, so the slot is let go first. It stays there,
//! and keeps the publisher's log from being removed, should that come back.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::place::{Known, Place, Sent, Session, Who};
use super::{about, acted, acting, direct, ids, intended, keys, left_by, lock, logical, opened, place};
use super::{probe_options, shown, sound, stranger, traits};
use crate::clock;
use crate::plan::{SafeText, Span};
use crate::readiness::Gap;
use crate::runbook::{
    Acted, Authorized, Class, Condition, Danger, Held, Observation, Preview, StepIx, StepRole, Yield,
};
use crate::systems::postgres::options::ActAs;
use crate::systems::postgres::options::steps::{DetachOptions, quoted_name, quoted_text};
use crate::systems::{Executing, Executor, Fault, Guarding, Scene, StepContext, StepTraits};

/// Reads the keys of a step.
pub(super) fn read(context: &StepContext<'_>, value: &Value) -> Result<StepTraits, Vec<Fault>> {
    let options: DetachOptions = keys(value, "the keys of a subscription-detach step")?;
    let mut faults = Vec::new();
    if let Some(probe) = probe_options(context, &mut faults) {
        logical(probe, &mut faults);
        acting(probe, &mut faults);
    }
    if options.subscriptions.iter().any(String::is_empty) {
        faults.push(Fault::new(&["subscriptions"], "a subscription without a name", "leave it out"));
    }
    sound(traits(context, StepRole::Promote, Danger::Irreversible, Span::secs(60)), faults)
}

/// Opens a step's executor.
pub(super) fn open(scene: &Scene, ix: StepIx) -> Result<Box<dyn Executor>, Fault> {
    let (place, probe) = place(scene, ix)?;
    let options: DetachOptions = opened(scene, ix, "the keys of a subscription-detach step")?;
    let Some(act_as) = probe.act_as.clone() else {
        return Err(Fault::new(&["probe"], "its probe says not as whom to act", "act_as in the probe"));
    };
    let named = if options.subscriptions.is_empty() { probe.subscriptions } else { options.subscriptions };
    Ok(Box::new(Detach { place, act_as, named, ix }))
}

struct Detach {
    place: Place,
    act_as: ActAs,
    /// Which; every one of the database where it is empty.
    named: Vec<String>,
    ix: StepIx,
}

/// A subscription that is there.
struct Subscription {
    name: String,
    slot: Option<String>,
    owner: String,
    may_drop: bool,
}

impl Executor for Detach {
    fn preview<'a>(&'a mut self, scene: &'a Scene, deadline: Instant) -> Executing<'a, Preview> {
        Box::pin(async move { shown(self.look(scene, deadline).await, &self.place, &self.challenge()) })
    }

    fn act<'a>(&'a mut self, authorized: Authorized, scene: &'a Scene, deadline: Instant) -> Executing<'a, Acted> {
        Box::pin(async move {
            drop(authorized);
            self.send(scene, deadline).await
        })
    }

    fn observe<'a>(&'a mut self, scene: &'a Scene, deadline: Instant) -> Executing<'a, Observation> {
        Box::pin(self.see(scene, deadline))
    }

    fn commands(&self, _: &Scene) -> Vec<String> {
        let mut out = vec!["# Each subscription of the database:".to_owned()];
        out.push(self.place.psql(None, "SELECT subname, subenabled, subslotname FROM pg_subscription"));
        let names: Vec<&str> =
            if self.named.is_empty() { vec!["NAME"] } else { self.named.iter().map(String::as_str).collect() };
        let lines = names.iter().flat_map(|n| statements(n));
        out.extend(lines.map(|sql| self.place.psql(Some(&self.act_as.user), &sql)));
        out
    }

    fn guarding(&self, scene: &Scene) -> Option<Box<dyn Guarding>> {
        lock::of(scene, self.ix)
    }
}

fn statements(name: &str) -> [String; 3] {
    let name = quoted_name(name);
    [
        format!("ALTER SUBSCRIPTION {name} DISABLE"),
        format!("ALTER SUBSCRIPTION {name} SET (slot_name = NONE)"),
        format!("DROP SUBSCRIPTION {name}"),
    ]
}

impl Detach {
    fn challenge(&self) -> String {
        format!("detach {}", self.place.named())
    }

    async fn list(&self, session: &mut Session, deadline: Instant) -> Result<Vec<Subscription>, Gap> {
        let role = quoted_text(&self.act_as.user);
        let question = format!(
            "SELECT s.subname, s.subslotname, pg_get_userbyid(s.subowner), EXISTS (SELECT 1 FROM pg_roles r \
             WHERE r.rolname = {role} AND (r.rolsuper OR pg_has_role(r.oid, s.subowner, 'usage'))) \
             FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid AND d.datname = current_database() ORDER BY 1"
        );
        let tables = session.read(&[question], deadline).await?;
        let one = |row: &Vec<Option<String>>| {
            let cell = |at: usize| row.get(at).cloned().flatten();
            let may_drop = cell(3).as_deref() == Some("t");
            Some(Subscription { name: cell(0)?, slot: cell(1), owner: cell(2)?, may_drop })
        };
        let all = tables.iter().flatten().filter_map(one);
        Ok(all.filter(|s| self.named.is_empty() || self.named.contains(&s.name)).collect())
    }

    async fn look(&mut self, scene: &Scene, deadline: Instant) -> Result<Preview, Gap> {
        let (known, mut session) = self.place.known(&scene.net, deadline).await?;
        let list = self.list(&mut session, deadline).await?;
        session.close().await;
        let at = clock::now();
        let user = quoted_name(&self.act_as.user);
        let lacks: Vec<String> = list
            .iter()
            .filter(|s| !s.may_drop)
            .map(|s| format!("it does not own {}: GRANT {} TO {user}", s.name, quoted_name(&s.owner)))
            .collect();
        let why = if lacks.is_empty() { "it owns each, or is a superuser".to_owned() } else { lacks.join("; ") };
        let what = format!("{user} may drop them");
        let conditions = vec![
            Condition::new(
                "writable",
                Class::Identity,
                "it takes writes",
                Held::of(!known.seen.recovery),
                &known.seen.words(),
                at,
            ),
            direct(&known, at),
            Condition::new(ids::PRIVILEGE, Class::Identity, &what, Held::of(lacks.is_empty()), &why, at),
        ];
        let by = format!("-- as {user} at {}", self.place.server());
        let lines = list.iter().flat_map(|s| statements(&s.name)).map(|l| SafeText::new(&l));
        let names: Vec<&str> = list.iter().map(|s| s.name.as_str()).collect();
        let role = match names.as_slice() {
            [] => format!("{}; no subscription", known.seen.words()),
            names => format!("{}; subscriptions: {}", known.seen.words(), names.join(", ")),
        };
        let sound = conditions.iter().all(|c| c.class != Class::Identity || c.held == Held::Holds);
        Ok(Preview {
            target: SafeText::new(&self.place.server()),
            role: SafeText::new(&role),
            identity: known.identity(),
            actions: [SafeText::new(&by)].into_iter().chain(lines).collect(),
            challenge: self.challenge(),
            conditions,
            already: Held::of(sound && list.is_empty()),
            left: Yield::default(),
            at,
        })
    }

    async fn send(&mut self, scene: &Scene, deadline: Instant) -> Acted {
        let not_sent = |why: &str| Acted::NotSent { why: SafeText::new(why) };
        let Some(approved) = intended(scene, self.ix) else {
            return not_sent("nothing says on which server it was approved");
        };
        let opened = async {
            let mut session = self.place.open(&scene.net, Who::Acting(&self.act_as), deadline).await?;
            let known: Known = session.known(deadline).await?;
            let list = self.list(&mut session, deadline).await?;
            Ok((session, known, list))
        };
        let (mut session, known, list) = match opened.await {
            Ok(all) => all,
            Err(gap) => return not_sent(&about(&self.place, &gap)),
        };
        if !known.direct {
            return not_sent("a pooler answers: the next message could reach another server");
        }
        if let Some(differs) = stranger(approved, &known.identity()) {
            return not_sent(&format!("another server than was approved: {differs}"));
        }
        // One message is one transaction: all of them are gone, or none.
        let message = list.iter().flat_map(|s| statements(&s.name)).collect::<Vec<_>>().join("; ");
        let left = Box::new(after(&list));
        match session.send(&message, deadline).await {
            Sent::Done(..) => Acted::Returned { said: "dropped".into(), left },
            Sent::No { gap, .. } => Acted::Refused { said: gap.detail },
            Sent::Unclear(gap) => Acted::Unclear { why: gap.detail, left },
        }
    }

    async fn see(&mut self, scene: &Scene, deadline: Instant) -> Observation {
        let listed = async {
            let (known, mut session) = self.place.known(&scene.net, deadline).await?;
            let list = self.list(&mut session, deadline).await?;
            session.close().await;
            Ok::<_, Gap>((known, list))
        };
        match listed.await {
            Err(gap) => Observation::new(Held::Unknown, &about(&self.place, &gap), clock::now()),
            Ok((known, list)) if list.is_empty() => {
                let why = format!("no subscription is left; {}", known.seen.words());
                let mut seen = Observation::new(Held::of(!known.seen.recovery), &why, clock::now());
                seen.left = left_by(acted(scene, self.ix)).unwrap_or_default();
                seen
            }
            Ok((_, list)) => {
                let names = list.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ");
                Observation::new(Held::Fails, &format!("still there: {names}"), clock::now())
            }
        }
    }
}

/// What stays at the publisher.
fn after(list: &[Subscription]) -> Yield {
    let slots: Vec<&str> = list.iter().filter_map(|s| s.slot.as_deref()).collect();
    let fact = |slot: &&str| {
        let drop = format!("SELECT pg_drop_replication_slot({})", quoted_text(slot));
        SafeText::new(&format!("its slot {slot} stays at the publisher and keeps the log there: {drop}"))
    };
    Yield { facts: slots.iter().map(fact).collect(), kept: json!({ "slots": slots }), ..Yield::default() }
}
