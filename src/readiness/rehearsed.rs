//! What came of looking a runbook through: its own conditions, asked as the action would ask them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::plan::{Now, SafeText, SiteId};

use super::Gate;

/// For how long what was looked through stands.
pub(super) const STANDS: Duration = Duration::from_secs(360);
/// For how long it stands where a site was assumed to be lost: once a day is enough, and an hour to be late.
pub(super) const STANDS_LOST: Duration = Duration::from_secs(25 * 3_600);

/// A runbook that was looked through, read-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsed {
    /// Which: `failover`, `switchover`.
    pub runbook: SafeText,
    /// The site that was assumed to be lost, where one was.
    pub lost: Option<SiteId>,
    /// Whether it could be started, by its own conditions.
    pub gate: Gate,
    /// When that was asked.
    pub at: Now,
}

impl Rehearsed {
    /// Until when it stands.
    #[must_use]
    pub fn until(&self) -> Now {
        self.at.plus(if self.lost.is_some() { STANDS_LOST } else { STANDS })
    }

    /// Whether it still stands.
    #[must_use]
    pub fn stands(&self, now: Now) -> bool {
        now.boot <= self.until().boot && now.boot >= self.at.boot
    }

    /// Whether it answers the same question as another one.
    #[must_use]
    pub fn same_question(&self, other: &Self) -> bool {
        self.runbook == other.runbook && self.lost.is_some() == other.lost.is_some()
    }
}
