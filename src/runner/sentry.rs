//! Watches the old site once it may not take writes any more: an assumed fence proves nothing.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock;
use crate::plan::{LaneId, SafeText};
use crate::runbook::{Epoch, RunState, Strength};

use super::eyes::{Sight, Writer};

/// What was told already.
#[derive(Debug, Default)]
pub(super) struct Sentry {
    told: HashMap<LaneId, SafeText>,
}

/// Whether there is something to watch after the run is closed.
pub(super) fn stays(state: &RunState, idle: Duration) -> bool {
    state.wants_watch(clock::now(), idle)
}

/// Whether it is another server that answers where the old primary was: another cluster's, as it says itself.
fn is_stranger(state: &RunState, writer: &Writer) -> bool {
    state.old_system().zip(writer.system.as_ref()).is_some_and(|(old, now)| old != now.as_str())
}

impl Sentry {
    /// What everybody must see, and was not told yet.
    pub(super) fn look(&mut self, state: &RunState, sight: &Sight, ours: Epoch) -> Option<SafeText> {
        let (fenced, under) = state.fenced_since()?;
        // A primary whose applications are turned away is a primary still, and says so at every look: that it is one is no
        // news, and whether they are let in again it does not say. Two of them are the board's split brain.
        if state.fence_strength() == Some(Strength::Blocked) {
            return None;
        }
        self.told.retain(|lane, _| sight.writes.contains_key(lane));
        for (lane, writer) in &sight.writes {
            // What another tenure did was before anything that this one saw.
            let newer = under != ours || writer.asked.boot > fenced.boot;
            let known = self.told.contains_key(lane) || is_stranger(state, writer);
            if writer.site != state.opened.from || !newer || known {
                continue;
            }
            let (site, strength) = (&writer.site, state.fence_strength().map_or("no fence", Strength::word));
            // Before anything is promoted it is the only one that serves, and to stop it would be an outage.
            let means = if state.may_have_promoted() {
                "two sites may take writes; fence it now"
            } else {
                "its fence does not hold; fence it again before anything is promoted, or end the run"
            };
            let what = format!("{site} takes writes again ({}, fence: {strength}): {means}", lane.probe.name);
            let what = SafeText::new(&what);
            self.told.insert(lane.clone(), what.clone());
            // A runner that takes over tells nothing twice.
            let known = under != ours && state.alarms.iter().any(|(told, _)| *told == what);
            if !known {
                return Some(what);
            }
        }
        None
    }

    /// What was told last could not be written: it is told again.
    pub(super) fn forget(&mut self) {
        self.told.clear();
    }
}
