//! What a site is told to be is what it is: the active one leads, the others follow.

use crate::plan::{Now, Plan, RuleId};
use crate::readiness::{About, Bearing, Facts, Finding, Rule, Verdict};

use super::view::{Site, sites};

const ID: RuleId = RuleId::new("patroni.role");

/// Avoids trap 4 (the active site's list never shows the standby cluster, so its own configuration is read).
pub struct Role;

impl Rule for Role {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        sites(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(site) = Site::of(facts, about, now) else { return Vec::new() };
        let (settings, at) = match site.settings() {
            None => return Vec::new(),
            Some(Err(gap)) => return vec![site.senseless(ID, "/config", &gap)],
            Some(Ok(read)) => read,
        };
        let name = site.site;
        let what = format!("{name} /config standby_cluster");
        let host = settings.upstream_host.as_ref().map(|h| h.to_string());
        let upstream = host.unwrap_or_else(|| if settings.restores { "an archive".into() } else { "no host".into() });
        let finding = match (site.writes(), settings.standby_cluster) {
            (Some(true), true) => {
                let why = format!("{name} takes writes, and is told to become a standby cluster");
                site.finding(ID, Verdict::NotReady, "told-to-follow", &why).because(&what, &upstream, at).next(
                    "if that is not meant: PATCH /config {\"standby_cluster\": null}; Patroni demotes it otherwise",
                )
            }
            (Some(false), false) => match site.active() {
                Some(active) if active.shares_cluster_with(site) => {
                    let why = format!("{name} and {} are one cluster of Patroni", active.site);
                    site.finding(ID, Verdict::Ready, "one-cluster", &why).because(&what, &"none", at)
                }
                Some(active) => {
                    let why = format!("the cluster in {name} is not told to follow {}", active.site);
                    site.finding(ID, Verdict::NotReady, "not-told-to-follow", &why)
                        .because(&what, &"none", at)
                        .next(&format!(
                            "make it a standby cluster: PATCH /config {{\"standby_cluster\": {{\"host\": ...}}}} in {name}"
                        ))
                        .bearing(Bearing::Blocks(why.as_str().into()))
                }
                None => return Vec::new(),
            },
            (Some(true), false) => site
                .finding(ID, Verdict::Ready, "leads", &format!("{name} is told to lead"))
                .because(&what, &"none", at),
            (Some(false), true) => {
                let why = format!("{name} is told to follow {upstream}");
                site.finding(ID, Verdict::Ready, "follows", &why).because(&what, &upstream, at)
            }
            (None, _) => return Vec::new(),
        };
        vec![finding]
    }
}
