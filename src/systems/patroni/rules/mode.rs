//! Maintenance mode, and a switchover that is scheduled: what somebody began and may have forgotten.

use crate::plan::{Now, Plan, RuleId};
use crate::readiness::{About, Bearing, Facts, Finding, Rule, Verdict};

use super::view::{Site, sites};

const ID: RuleId = RuleId::new("patroni.mode");

/// Avoids traps 5 and 11. A paused standby cluster cannot take over: a leader that is not yet primary gives its lock away
/// instead of being promoted, once the section `standby_cluster` is taken out.
pub struct Mode;

impl Rule for Mode {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        sites(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(site) = Site::of(facts, about, now) else { return Vec::new() };
        let (overview, at) = match site.overview() {
            None => return Vec::new(),
            Some(Err(gap)) => return vec![site.senseless(ID, "/cluster", &gap)],
            Some(Ok(read)) => read,
        };
        let name = site.site;
        let mut found = Vec::new();
        if overview.paused {
            let resume =
                format!("patronictl resume in {name}, or PATCH /config {{\"pause\": null}} at {}", overview.via);
            let paused = |verdict, why: &str| {
                site.finding(ID, verdict, "paused", why).because(&format!("{name} pause"), &"yes", at).next(&resume)
            };
            found.push(if site.stands_by() {
                let why = format!("{name} is in maintenance mode: Patroni would not promote it before it is resumed");
                paused(Verdict::NotReady, &why).bearing(Bearing::Blocks(why.as_str().into()))
            } else {
                paused(Verdict::Degraded, &format!("{name} is in maintenance mode: nobody takes over by itself there"))
            });
        }
        if let Some(when) = &overview.scheduled_at {
            let who = |name: &Option<crate::plan::SafeText>, else_: &str| {
                name.as_ref().map_or_else(|| else_.to_owned(), ToString::to_string)
            };
            let (from, to) = (who(&overview.scheduled_from, "its leader"), who(&overview.scheduled_to, "any member"));
            let why = format!("a switchover in {name} from {from} to {to} is scheduled");
            found.push(
                site.finding(ID, Verdict::Degraded, "switchover-scheduled", &why)
                    .because(&format!("{name} scheduled_switchover"), when, at)
                    .next(&format!("if nobody means it any more: DELETE /switchover at {}", overview.via)),
            );
        }
        if found.is_empty() {
            let why = format!("{name} is neither paused nor about to switch over");
            found.push(site.finding(ID, Verdict::Ready, "not-paused", &why).because(
                &format!("{name} pause"),
                &"no",
                at,
            ));
        }
        found
    }
}
