//! `clients-moved`: the applications are back, at the new primary, and not at the old one.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{self, Either};
use serde_json::Value;
use tokio::time::Instant;

use super::place::{Place, Session};
use super::{about, keys, opened, other, patient, place, probe_options, sound, traits};
use crate::clock;
use crate::plan::{SafeText, Span};
use crate::readiness::{Gap, Reason};
use crate::runbook::{Acted, Authorized, Danger, Held, Identity, Observation, Preview, StepIx, StepRole, Yield};
use crate::systems::postgres::options::PostgresOptions;
use crate::systems::postgres::options::steps::{ClientsOptions, quoted_text};
use crate::systems::{Executing, Executor, Fault, Scene, StepContext, StepTraits};

/// How soon the new primary is looked at again, while the old one does not answer.
const AGAIN: Duration = Duration::from_millis(250);

/// Which part of the sessions must be back, where the step does not say.
const SHARE: f64 = 0.5;

/// Reads the keys of a step.
pub(super) fn read(context: &StepContext<'_>, value: &Value) -> Result<StepTraits, Vec<Fault>> {
    let options: ClientsOptions = keys(value, "the keys of a clients-moved step")?;
    let mut faults = Vec::new();
    probe_options(context, &mut faults);
    if options.roles.is_empty() && options.applications.is_empty() {
        faults.push(Fault::new(&[], "counts nobody's sessions", "roles = [\"shop\"], or applications = [...]"));
    }
    if options.share.is_some_and(|s| !(s > 0.0 && s <= 1.0)) {
        faults.push(Fault::new(&["share"], "no part of a whole", "above 0 and at most 1"));
    }
    if options.sessions == Some(0) {
        faults.push(Fault::new(&["sessions"], "nobody is expected", "how many sessions there normally are"));
    }
    sound(traits(context, StepRole::Verify, Danger::None, Span::secs(300)), faults)
}

/// Opens a step's executor.
pub(super) fn open(scene: &Scene, ix: StepIx) -> Result<Box<dyn Executor>, Fault> {
    let (place, probe) = place(scene, ix)?;
    let options = opened(scene, ix, "the keys of a clients-moved step")?;
    Ok(Box::new(Clients { place, probe, options, ix, first: None }))
}

struct Clients {
    place: Place,
    probe: PostgresOptions,
    options: ClientsOptions,
    ix: StepIx,
    /// How many the old primary had when that was first seen.
    first: Option<u64>,
}

/// Whose sessions count.
fn filter(options: &ClientsOptions) -> String {
    let list = |of: &[String]| of.iter().map(|r| quoted_text(r)).collect::<Vec<_>>().join(", ");
    let mut all =
        vec!["coalesce(backend_type, 'client backend') = 'client backend' AND pid <> pg_backend_pid()".to_owned()];
    if !options.roles.is_empty() {
        all.push(format!("usename IN ({})", list(&options.roles)));
    }
    if !options.applications.is_empty() {
        all.push(format!("application_name IN ({})", list(&options.applications)));
    }
    all.join(" AND ")
}

/// How many of so many must be back: at least one.
fn wanted(baseline: u64, share: f64) -> u64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of sessions, which is small"
    )]
    let part = (baseline as f64 * share).ceil() as u64;
    part.max(1)
}

/// Sessions by role and application, as a fence found them.
pub(super) const CENSUS: &str = "SELECT usename, application_name, count(*) FROM pg_stat_activity \
     WHERE coalesce(backend_type, 'client backend') = 'client backend' AND pid <> pg_backend_pid() \
     GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 100";

/// What a fence found, as it is kept.
pub(super) fn census(tables: &[crate::systems::postgres::parse::Table]) -> Value {
    let row = |row: &Vec<Option<String>>| {
        let cell = |at: usize| row.get(at).cloned().flatten();
        let sessions: u64 = cell(2)?.parse().ok()?;
        Some(serde_json::json!([cell(0)?, cell(1).unwrap_or_default(), sessions]))
    };
    tables.first().map_or(Value::Null, |t| t.iter().filter_map(row).collect())
}

/// How many sessions of these a fence found.
fn counted(kept: &Value, options: &ClientsOptions) -> Option<u64> {
    let rows = kept.get("clients")?.as_array()?;
    let fits = |name: Option<&str>, of: &[String]| of.is_empty() || name.is_some_and(|n| of.iter().any(|o| o == n));
    let of = |row: &Value| {
        let text = |at: usize| row.get(at).and_then(Value::as_str);
        let mine = fits(text(0), &options.roles) && fits(text(1), &options.applications);
        if mine { row.get(2).and_then(Value::as_u64).unwrap_or(0) } else { 0 }
    };
    Some(rows.iter().map(of).sum())
}

impl Executor for Clients {
    fn preview<'a>(&'a mut self, scene: &'a Scene, deadline: Instant) -> Executing<'a, Preview> {
        Box::pin(async move {
            let seen = self.see(scene, deadline).await;
            Preview {
                target: SafeText::new(&self.place.server()),
                role: seen.why.clone(),
                identity: Identity::default().with("server", &self.place.server()),
                actions: vec![SafeText::new(&format!("-- looks only: {}", self.question()))],
                challenge: format!("look at {}", self.place.named()),
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

    fn commands(&self, scene: &Scene) -> Vec<String> {
        let mut out = vec!["# The applications' sessions at the new primary:".to_owned()];
        out.push(self.place.psql(None, &self.question()));
        if let Some(old) = other(scene, &self.probe, &self.place.site) {
            out.push("# and at the old one, where none may be left:".to_owned());
            out.push(old.psql(None, &self.question()));
        }
        out
    }
}

impl Clients {
    fn question(&self) -> String {
        format!("SELECT count(*), pg_is_in_recovery() FROM pg_stat_activity WHERE {}", filter(&self.options))
    }

    async fn count(&self, session: &mut Session, deadline: Instant) -> Result<(u64, bool), Gap> {
        let tables = session.read(&[self.question()], deadline).await?;
        let row = tables.first().and_then(|t| t.first());
        let cell = |at: usize| row.and_then(|r| r.get(at)).and_then(Option::as_deref);
        let count = cell(0).and_then(|n| n.parse().ok());
        count.zip(cell(1)).map(|(n, recovery)| (n, recovery == "t")).ok_or_else(|| Reason::Malformed.into())
    }

    async fn at(&self, place: &Place, scene: &Scene, deadline: Instant) -> Result<(u64, bool), Gap> {
        let mut session = place.open(&scene.net, super::place::Who::Looking, deadline).await?;
        let counted = self.count(&mut session, deadline).await;
        session.close().await;
        counted
    }

    fn baseline(&self, scene: &Scene) -> Option<(u64, &'static str)> {
        let fenced = || {
            let mut all = scene.state.lefts().filter_map(|(_, left)| counted(&left.kept, &self.options));
            all.find(|n| *n > 0).map(|n| (n, "before the fence"))
        };
        let configured = self.options.sessions.map(|n| (n, "expected"));
        configured.or_else(fenced).or_else(|| self.first.map(|n| (n, "at the old primary when first looked")))
    }

    async fn see(&mut self, scene: &Scene, deadline: Instant) -> Observation {
        let others = patient(scene, self.ix, deadline);
        let there = other(scene, &self.probe, &self.place.site);
        let old = async {
            match &there {
                None => Ok((0, true)),
                Some(old) => self.at(old, scene, others).await.map_err(|gap| about(old, &gap)),
            }
        };
        let enough = self.baseline(scene).map_or(1, |(n, _)| wanted(n, self.options.share.unwrap_or(SHARE)));
        // One that does not answer costs its timeout, and users come back meanwhile: the new one is looked at all the time.
        let ((new, read), old) = {
            let mut old = pin!(old);
            let mut told = None;
            let looked = loop {
                let look = pin!(async { (self.at(&self.place, scene, deadline).await, clock::now()) });
                let looked = match &told {
                    Some(_) => look.await,
                    None => match future::select(look, &mut old).await {
                        Either::Left((looked, _)) => looked,
                        Either::Right((seen, look)) => {
                            told = Some(seen);
                            look.await
                        }
                    },
                };
                let back = looked.0.as_ref().map_or(true, |(n, _)| *n >= enough);
                if told.is_some() || back {
                    break looked;
                }
                if let Either::Left((seen, _)) = future::select(&mut old, pin!(tokio::time::sleep(AGAIN))).await {
                    told = Some(seen);
                }
            };
            let old = match told {
                Some(seen) => seen,
                None => old.await,
            };
            (looked, old)
        };
        if let Ok((n @ 1.., false)) = old
            && self.first.is_none()
        {
            self.first = Some(n);
        }
        let (new, recovery) = match new {
            Ok(both) => both,
            Err(gap) => return Observation::new(Held::Unknown, &about(&self.place, &gap), clock::now()),
        };
        let baseline = self.baseline(scene);
        let least = baseline.map_or(1, |(n, _)| wanted(n, self.options.share.unwrap_or(SHARE)));
        let of = baseline.map_or_else(|| "nobody knows how many there were".to_owned(), |(n, by)| format!("{n} {by}"));
        let left = match &old {
            Ok((n, _)) if there.is_some() => format!("{n} at the old primary"),
            Ok(_) => "there is no other server".to_owned(),
            Err(why) => format!("the old primary cannot be seen: {why}"),
        };
        // A primary that cannot be seen has no say in it: whether it is fenced is another step's word.
        let gone = old.as_ref().map_or(true, |(n, _)| *n == 0);
        let role = if recovery { "in recovery" } else { "the primary" };
        let why = format!("{new} sessions at {}, {role}; {of}; {left}", self.place.server());
        let held = Held::of(!recovery && new >= least && gone);
        let mut seen = Observation::new(held, &why, clock::now());
        if held != Held::Holds {
            seen.waits = Some(SafeText::new(&format!("{least} sessions ({new} now); {left}")));
        }
        seen.left = Yield {
            facts: vec![SafeText::new(&why)],
            seen: (held == Held::Holds).then(|| Box::new(read)),
            ..Yield::default()
        };
        seen
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn options(roles: &[&str], applications: &[&str]) -> ClientsOptions {
        let of = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        ClientsOptions { roles: of(roles), applications: of(applications), ..ClientsOptions::default() }
    }

    #[test]
    fn a_fences_census_is_the_baseline() {
        let kept = json!({ "clients": [["shop", "web", 5], ["shop", "batch", 1], ["cron", "web", 2]] });
        assert_eq!(counted(&kept, &options(&["shop"], &[])), Some(6));
        assert_eq!(counted(&kept, &options(&["shop"], &["web"])), Some(5));
        assert_eq!(counted(&kept, &options(&[], &["web"])), Some(7));
        assert_eq!(counted(&json!({}), &options(&["shop"], &[])), None);
        let table = vec![vec![Some("shop".to_owned()), None, Some("3".to_owned())]];
        assert_eq!(census(&[table]), json!([["shop", "", 3]]));
    }

    #[test]
    fn half_of_them_and_at_least_one() {
        assert_eq!([0, 1, 5, 10].map(|n| wanted(n, SHARE)), [1, 1, 3, 5]);
        assert_eq!(wanted(10, 1.0), 10);
    }
}
