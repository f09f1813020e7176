//! What is watched once the old site may not take writes any more, the run's end included: an assumed fence proves nothing.

use std::time::Duration;

use crate::plan::Now;

use super::{Closing, Epoch, Outcome, RunState, StepIx, StepRole, Strength};

/// How long a run is watched after its end, where nobody takes note of that.
pub const WATCHED: Duration = Duration::from_secs(12 * 3600);

impl RunState {
    /// Since when the old site must not take writes: when the step ended that says so, and under which tenure that was.
    #[must_use]
    pub fn fenced_since(&self) -> Option<(Now, Epoch)> {
        if !self.opened.kind.is_real() {
            return None;
        }
        let fenced = self.fence().is_some();
        let mut ends = self.steps.iter().enumerate().filter_map(|(at, status)| {
            let role = self.opened.runbook.step(StepIx::at(at))?.role;
            let attempt = status.attempts.last()?;
            let (resolution, at, _) = attempt.end.as_ref()?;
            let counts = if fenced { resolution.left.fence.is_some() } else { role == StepRole::Promote };
            (counts && resolution.outcome.is_done()).then_some((*at, attempt.epoch))
        });
        ends.next_back()
    }

    /// When the old site was seen last to take writes although it was fenced; `None` where that was not seen since.
    #[must_use]
    pub fn wrote_since_fence(&self) -> Option<Now> {
        let (fenced, _) = self.fenced_since()?;
        // By either clock: one that was set back, or began anew, hides nothing.
        self.alarms.iter().map(|(_, at)| *at).rfind(|at| at.wall >= fenced.wall || at.boot >= fenced.boot)
    }

    /// The step that left the fence that holds now.
    #[must_use]
    pub fn fenced_by(&self) -> Option<StepIx> {
        let fence = self.fence()?;
        self.lefts().filter(|(_, left)| left.fence.as_ref() == Some(fence)).map(|(ix, _)| ix).last()
    }

    /// Whether there is something to watch after the run is closed: nothing proves that the old site takes no writes, or its
    /// applications are merely turned away, nobody has taken note of the run's end, and that is not longer ago than `most`. A
    /// run that took this one's place watches itself.
    #[must_use]
    pub fn wants_watch(&self, now: Now, most: Duration) -> bool {
        if matches!(self.closed, Some((Closing::Preempted { .. }, _))) {
            return false;
        }
        let unproven = match self.fence_strength() {
            None | Some(Strength::Assumed) => true,
            // Where nothing took its place, to let them in again is what is left to do.
            Some(Strength::Blocked) => self.may_have_promoted(),
            // One that fell was no proof for long.
            Some(Strength::Proven) => self.wrote_since_fence().is_some(),
        };
        let recent = self.closed.as_ref().is_none_or(|(_, at)| now.since(*at) < most);
        self.fenced_since().is_some() && unproven && self.acknowledged.is_none() && recent
    }

    /// Whether the fence that is up is being taken down, as approved, or may have been.
    #[must_use]
    pub fn is_unfencing(&self) -> bool {
        let Some(by) = self.fenced_by() else { return false };
        let after = self.opened.runbook.places().filter(|ix| *ix > by && self.unfences_old(*ix));
        after.filter_map(|ix| self.steps.get(ix.place())?.attempts.last()).any(|attempt| {
            attempt.end.as_ref().is_none_or(|(resolution, ..)| resolution.outcome != Outcome::NotStarted)
        })
    }

    /// The system identifier of the old primary, where a step left it behind (`system` of what it kept): another server that
    /// answers at its address is not it.
    #[must_use]
    pub fn old_system(&self) -> Option<&str> {
        self.lefts().find_map(|(_, left)| left.kept.get("system")?.as_str())
    }
}
