//! When runbooks are looked through: at the start, now and then, at once when something is going on, and once a day as if
//! the active site were gone.

use std::collections::HashMap;
use std::time::Duration;

use crate::app::board;
use crate::app::event::Effect;
use crate::app::model::Judged;
use crate::app::update::App;
use crate::plan::{Now, PlanId};

/// How often a plan's runbooks are looked through.
const EVERY: Duration = Duration::from_secs(120);
/// How often as if the active site were gone.
const EVERY_LOST: Duration = Duration::from_secs(24 * 3_600);

/// When what was asked for last, by plan.
#[derive(Debug, Default)]
pub struct Rehearsing {
    asked: HashMap<PlanId, Asked>,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    at: Now,
    /// What was going on.
    situation: &'static str,
    lost: Now,
}

/// What is due of the plans that were just judged, have runbooks and have been looked at. A plan is judged with each of its
/// looks and as it ages: nobody needs to be woken for this, and no other plan is asked.
pub(in crate::app) fn due(app: &mut App, judged: &[Judged], now: Now) -> Vec<Effect> {
    let mut out = Vec::new();
    for status in judged.iter().filter_map(|j| app.model.status_in(j.place)) {
        if status.plan.runbooks.is_empty() || board::looking(status) {
            continue;
        }
        let plan = &status.plan.id;
        let situation = status.situation.words();
        let before = app.rehearsing.asked.get(plan).copied();
        let due = before.is_none_or(|b| now.since(b.at) >= EVERY || b.situation != situation);
        if !due {
            continue;
        }
        let lost = before.is_none_or(|b| now.since(b.lost) >= EVERY_LOST);
        out.push(Effect::Rehearse { plan: plan.clone(), lost });
        let lost = if lost { now } else { before.map_or(now, |b| b.lost) };
        app.rehearsing.asked.insert(plan.clone(), Asked { at: now, situation, lost });
    }
    out
}
