//! Watches the old site once it may not take writes any more: an assumed fence proves nothing.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock;
use crate::plan::{BootTime, LaneId, SafeText};
use crate::runbook::{Epoch, Held, Observation, RunState, StepIx, Strength, WATCHED};

use super::eyes::{Sight, Writer};

/// What was told already.
#[derive(Debug, Default)]
pub(super) struct Sentry {
    /// Of each server what, and by which of its looks at the latest.
    told: HashMap<LaneId, (SafeText, BootTime)>,
    /// What it meant when it was told that a fence lets the application in again.
    told_open: Option<&'static str>,
}

/// Whether there is something to watch after the run is closed.
pub(super) fn stays(state: &RunState, idle: Duration) -> bool {
    state.wants_watch(clock::now(), idle)
}

/// Whether it is another server that answers where the old primary was: another cluster's, as it says itself.
fn is_stranger(state: &RunState, writer: &Writer) -> bool {
    state.old_system().zip(writer.system.as_ref()).is_some_and(|(old, now)| old != now.as_str())
}

/// The step whose fence no probe sees fall. A primary whose applications are turned away is a primary still, and says so at
/// every look: whether they are let in again, only the step's own look says.
pub(super) fn looks_at(state: &RunState) -> Option<StepIx> {
    state.fenced_since()?;
    let falls_unseen = state.fence_strength() == Some(Strength::Blocked) && !state.is_unfencing();
    let still = state.closed.is_none() || state.wants_watch(clock::now(), WATCHED);
    state.fenced_by().filter(|_| falls_unseen && still)
}

/// What it means that the old site takes writes again.
fn meaning(state: &RunState) -> &'static str {
    // Before anything is promoted it is the only one that serves, and to stop it would be an outage.
    if state.may_have_promoted() {
        "two sites may take writes; fence it now"
    } else {
        "its fence does not hold; fence it again before anything is promoted, or end the run"
    }
}

impl Sentry {
    /// What everybody must see, and was not told yet.
    pub(super) fn look(&mut self, state: &RunState, sight: &Sight, ours: Epoch) -> Option<SafeText> {
        let (fenced, under) = state.fenced_since()?;
        // That it is a primary is no news there, and two of them are the board's split brain.
        if state.fence_strength() == Some(Strength::Blocked) || state.is_unfencing() {
            return None;
        }
        self.told.retain(|lane, _| sight.writes.contains_key(lane));
        for (lane, writer) in &sight.writes {
            // What another tenure did was before anything that this one saw.
            let newer = under != ours || writer.asked.boot > fenced.boot;
            if writer.site != state.opened.from || !newer || is_stranger(state, writer) {
                continue;
            }
            let (site, strength) = (&writer.site, state.fence_strength().map_or("no fence", Strength::word));
            let name = &lane.probe.name;
            let what = format!("{site} takes writes again ({name}, fence: {strength}): {}", meaning(state));
            let what = SafeText::new(&what);
            match self.told.get_mut(lane) {
                Some((told, by)) if *told == what => {
                    *by = writer.asked.boot;
                    continue;
                }
                // What it means has changed since: told again once it is seen again.
                Some((_, by)) if writer.asked.boot <= *by => continue,
                Some(_) | None => {}
            }
            self.told.insert(lane.clone(), (what.clone(), writer.asked.boot));
            // A runner that takes over tells nothing twice.
            let known = under != ours && state.alarms.iter().any(|(told, _)| *told == what);
            if !known {
                return Some(what);
            }
        }
        None
    }

    /// The same, by a look at the step that [`looks_at`] names.
    pub(super) fn saw(&mut self, state: &RunState, seen: &Observation, ours: Epoch) -> Option<SafeText> {
        let (fenced, under) = state.fenced_since()?;
        // That it does not answer lets nobody in.
        if seen.held != Held::Fails {
            self.told_open = self.told_open.filter(|_| seen.held != Held::Holds);
            return None;
        }
        looks_at(state)?;
        let newer = under != ours || seen.at.boot > fenced.boot;
        let means = meaning(state);
        if self.told_open == Some(means) || !newer {
            return None;
        }
        self.told_open = Some(means);
        let head = format!("{} lets the application in again (fence: blocked): {means}", state.opened.from);
        let known = under != ours && state.alarms.iter().any(|(told, _)| told.as_str().starts_with(&head));
        (!known).then(|| SafeText::new(&format!("{head}; {}", seen.why)))
    }

    /// What was told last could not be written: it is told again.
    pub(super) fn forget(&mut self) {
        self.told.clear();
        self.told_open = None;
    }
}
