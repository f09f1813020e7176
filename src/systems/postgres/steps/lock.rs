//! The plan's lock on the server that takes over: an advisory lock, by which a second bastion is kept out that shares no
//! disk with this one. It works on a standby, is kept through its promotion, and is given back with its session
//! (PostgreSQL's documentation, "Advisory Locks").

use tokio::time::Instant;

use super::place::{Place, Session, Who};
use super::{about, at};
use crate::plan::{PlanId, SafeText};
use crate::runbook::{Digest, Held, StepIx};
use crate::systems::postgres::options::PostgresOptions;
use crate::systems::{Executing, Guarding, Scene};

/// The lock, held or not.
pub(super) struct PlanLock {
    place: Place,
    plan: PlanId,
    key: i64,
    held: Option<Session>,
}

/// The lock of a step: on the server of the site that takes over, for every step of a run that moves something.
pub(super) fn of(scene: &Scene, ix: StepIx) -> Option<Box<dyn Guarding>> {
    let options = scene.probe(scene.step(ix)?)?.options::<PostgresOptions>()?;
    let place = at(options, &scene.state.opened.to)?;
    let plan = scene.plan.id.clone();
    let key = key(&plan);
    Some(Box::new(PlanLock { place, plan, key, held: None }))
}

/// The number that stands for a plan: the same on every host.
fn key(plan: &PlanId) -> i64 {
    let digest = Digest::of(&[b"lifeboat", plan.as_str().as_bytes()]).to_string();
    digest.get(..15).and_then(|hex| i64::from_str_radix(hex, 16).ok()).unwrap_or(0)
}

impl Guarding for PlanLock {
    fn what(&self) -> SafeText {
        SafeText::new(&format!("{} at {}", self.plan, self.place.server()))
    }

    fn hold<'a>(&'a mut self, scene: &'a Scene, deadline: Instant) -> Executing<'a, (Held, SafeText)> {
        Box::pin(async move {
            let (held, why) = self.take(scene, deadline).await;
            (held, SafeText::new(&why))
        })
    }
}

impl PlanLock {
    async fn take(&mut self, scene: &Scene, deadline: Instant) -> (Held, String) {
        let held = format!("pg_try_advisory_lock({}) at {}", self.key, self.place.server());
        if let Some(mut session) = self.held.take() {
            let mine =
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid()";
            // A session that is gone has given the lock back: it is taken anew.
            if let Ok(tables) = session.read(&[mine.to_owned()], deadline).await
                && first(&tables).is_some_and(|n| n != "0")
            {
                self.held = Some(session);
                return (Held::Holds, held);
            }
        }
        let mut session = match self.place.open(&scene.net, Who::Looking, deadline).await {
            Ok(session) => session,
            Err(gap) => return (Held::Unknown, about(&self.place, &gap)),
        };
        let whose = "SELECT coalesce((SELECT concat_ws(' ', a.usename, 'from', host(a.client_addr), 'since', \
             date_trunc('second', a.backend_start)) FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
             WHERE l.locktype = 'advisory' AND l.granted AND l.classid::bigint << 32 | l.objid::bigint";
        let questions = [
            format!("SELECT pg_try_advisory_lock({})", self.key),
            format!("{whose} = {} LIMIT 1), 'somebody')", self.key),
        ];
        match session.read(&questions, deadline).await {
            Err(gap) => (Held::Unknown, about(&self.place, &gap)),
            Ok(tables) if first(&tables) == Some("t") => {
                session.stay(deadline).await;
                self.held = Some(session);
                (Held::Holds, held)
            }
            Ok(tables) => {
                let who = tables.get(1).and_then(|t| t.first()?.first()?.as_deref()).unwrap_or("somebody");
                (Held::Fails, format!("another lifeboat has {held}: {who}"))
            }
        }
    }
}

fn first(tables: &[crate::systems::postgres::parse::Table]) -> Option<&str> {
    tables.first()?.first()?.first()?.as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_has_one_number_everywhere() {
        let of = |name| key(&PlanId::new(name));
        assert_eq!(of("payments"), of("payments"));
        assert_ne!(of("payments"), of("search"));
        assert!(of("payments") > 0);
    }
}
