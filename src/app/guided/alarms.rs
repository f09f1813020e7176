//! What must be on every screen: two sites that take writes, an old primary that answers again, or that nobody watches.

use crate::app::update::App;
use crate::plan::{PlanId, SiteId};
use crate::readiness::Situation;
use crate::runbook::{StepRole, Strength};

use super::runs::Known;

/// Most of them that are shown; the first says how many more there are.
const MOST: usize = 2;
/// Below so many rows only one is shown.
const TALL: u16 = 20;

/// Something that everybody must see, on every screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Banner {
    /// The plan.
    pub plan: PlanId,
    /// What happens.
    pub what: String,
    /// What to do next.
    pub next: String,
}

/// What must be on every screen now: the plans in their order, split brains first.
#[must_use]
pub fn banners(app: &App) -> Vec<Banner> {
    let mut out = Vec::new();
    for status in app.model.statuses() {
        let Situation::SplitBrain { sites } = &status.situation else { continue };
        // By the newest run alone: what an older one fenced, it may have let in again.
        let newest = app.runs.of(&status.plan.id).max_by_key(|known| known.state.opened_at.wall);
        if let Some(fenced) = newest.and_then(|known| blocked(known, sites)) {
            out.push(fenced);
            continue;
        }
        let sites: Vec<&str> = sites.iter().map(SiteId::as_str).collect();
        let split = status.findings.iter().find(|f| f.code.as_ref() == "split-brain");
        let next = split.or_else(|| status.why()).and_then(|f| f.next.as_ref()).map(ToString::to_string);
        out.push(Banner {
            plan: status.plan.id.clone(),
            what: format!("SPLIT BRAIN {}: {} take writes at once", status.plan.id, sites.join(" and ")),
            next: next.unwrap_or_else(|| "stop all but one of them".to_owned()),
        });
    }
    let wanting = || app.runs.all().filter(|k| k.is_open() || k.wants_note());
    out.extend(wanting().filter_map(of_run));
    out.extend(wanting().filter_map(unwatched));
    out
}

/// Two primaries, as a run leaves them whose fence turned the application's roles away: the old one is up, and is to be stopped
/// or made a standby, but the application does not write there. Until a person took note of the run's end: the run's process
/// watches the fence no longer.
fn blocked(known: &Known, sites: &[SiteId]) -> Option<Banner> {
    let opened = &known.state.opened;
    let (from, to) = (&opened.from, &opened.to);
    let both = sites.len() == 2 && sites.contains(from) && sites.contains(to);
    let holds = known.state.alarms.is_empty() && known.state.fence_strength() == Some(Strength::Blocked);
    (both && holds && (known.is_open() || known.wants_note())).then(|| Banner {
        plan: opened.plan.clone(),
        what: format!("TWO PRIMARIES {}: {to}, and {from}, whose application roles the fence turned away", opened.plan),
        next: format!("stop {from}, or make it a standby of {to}; let nothing write there until then"),
    })
}

/// A closed run whose old primary nobody watches.
fn unwatched(known: &Known) -> Option<Banner> {
    let opened = &known.state.opened;
    let (plan, from) = (opened.plan.clone(), &opened.from);
    let fence = match known.state.fence_strength() {
        Some(Strength::Blocked) => "only turns the application away",
        None | Some(Strength::Assumed | Strength::Proven) => "proves nothing",
    };
    let what = format!("UNWATCHED {plan}: the fence of {from} {fence}, and no process watches {from}");
    let next = format!("see that {from} takes no writes, then take note of how the run ended (o, K)");
    (known.is_watched() == Some(false)).then_some(Banner { plan, what, next })
}

/// The newest alarm of a run.
fn of_run(known: &Known) -> Option<Banner> {
    let (what, at) = known.state.alarms.last()?;
    let opened = &known.state.opened;
    let fence = opened.runbook.places().find(|ix| opened.runbook.step(*ix).is_some_and(|s| s.role == StepRole::Fence));
    let step = fence.and_then(|ix| Some((ix, &opened.runbook.step(ix)?.name)));
    let next = match step {
        _ if !known.state.may_have_promoted() && !known.is_open() => {
            format!("nothing was promoted: {} may serve; take note of how the run ended (o, K)", opened.from)
        }
        _ if !known.state.may_have_promoted() => {
            format!("nothing is promoted yet: end the run, or fence {} again before you go on (o)", opened.from)
        }
        Some((ix, name)) => format!("stop {}: step {ix}, {name}, has the commands (o)", opened.from),
        None => format!("stop {} (o opens the run)", opened.from),
    };
    let what = format!("ALARM {} {}: {what}", opened.plan, at.wall.format("%H:%M:%SZ"));
    Some(Banner { plan: opened.plan.clone(), what, next })
}

/// Makes the banners anew; returns whether any changed.
pub(in crate::app) fn refresh(app: &mut App) -> bool {
    let mut all = banners(app);
    let most = if app.view.rows < TALL { 1 } else { MOST };
    let more = all.len().saturating_sub(most);
    all.truncate(most);
    if let Some(first) = all.first_mut().filter(|_| more > 0) {
        first.what.push_str(&format!("  (+{more} more)"));
    }
    let changed = all != app.view.banners;
    app.view.banners = all;
    changed
}
