//! What a rule is.

use crate::plan::{Now, Plan, ProbeId, RuleId, Subject};

use super::{Facts, Finding};

/// What a rule is asked to judge.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct About {
    /// The probe; `None` for rules that span probes.
    pub probe: Option<ProbeId>,
    /// The subject.
    pub subject: Subject,
}

/// A pure judgement of readings. One file each.
///
/// A rule says nothing about what it has no reading of: the rule `reach` already makes every expected reading that is
/// missing, stale or a gap into a finding. A rule must never turn a reading that it cannot understand into `Ready`.
pub trait Rule: Sync {
    /// Its name.
    fn id(&self) -> RuleId;
    /// What of this plan it judges.
    fn applies(&self, plan: &Plan) -> Vec<About>;
    /// Judges it. No finding means no opinion, which is never `Ready` by itself.
    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding>;
}
