//! Synchronous mode has a synchronous standby.

use crate::plan::{Now, Plan, RuleId};
use crate::readiness::{About, Facts, Finding, Rule, Verdict};

use super::view::{Site, list, sites};

const ID: RuleId = RuleId::new("patroni.sync");

/// Where commits shall wait for a second member, and none is there: they wait for nobody, or, in strict mode, for ever. This
/// is about members of the site's own cluster: a standby cluster is never one of them.
pub struct Sync;

impl Rule for Sync {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        sites(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(site) = Site::of(facts, about, now) else { return Vec::new() };
        let (Some(Ok((settings, _))), Some(Ok((members, at)))) = (site.settings(), site.cluster()) else {
            return Vec::new();
        };
        // A standby cluster commits nothing.
        if settings.synchronous_mode.as_str() == "off" || settings.standby_cluster {
            return Vec::new();
        }
        let is_sync = |role: &str| matches!(role, "sync_standby" | "quorum_standby");
        let names: Vec<&str> = members.iter().filter(|m| is_sync(m.role.as_str())).map(|m| m.name.as_str()).collect();
        let what = format!("{} synchronous_mode", site.site);
        let finding = if !names.is_empty() {
            let why = format!("commits in {} wait for {}", site.site, list(&names));
            site.finding(ID, Verdict::Ready, "synchronous", &why)
        } else {
            // It takes Patroni a round or two to name one after a change.
            let missing = |members: &[_]| {
                members.iter().all(|m: &crate::systems::patroni::parse::Listed| !is_sync(m.role.as_str()))
            };
            if !site.cluster_before(at).is_some_and(|b| missing(&b)) {
                return Vec::new();
            }
            let why = if settings.synchronous_strict {
                format!("commits in {} hang: no synchronous standby is left, and the mode is strict", site.site)
            } else {
                format!("commits in {} wait for nobody: no synchronous standby is left", site.site)
            };
            site.finding(ID, Verdict::Degraded, "no-sync-standby", &why)
                .next("bring a second member up; patronictl list shows who is a sync standby")
        };
        vec![finding.because(&what, &settings.synchronous_mode, at)]
    }
}
