//! What the repositories hold is of the database that the plan replicates, and not all of it is kept at home.

use crate::plan::{Now, Plan, RuleId};
use crate::readiness::{About, Facts, Finding, Rule, Verdict, signals};

use super::view::{View, probes};

const ID: RuleId = RuleId::new("pgbackrest.identity");

/// A stanza of another cluster restores another service. Compared where a probe looks at the database.
pub struct Identity;

impl Rule for Identity {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        probes(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(view) = View::of(facts, about, now) else { return Vec::new() };
        let Some(Ok((repos, read))) = view.repos() else { return Vec::new() };
        let mut found = Vec::new();
        if let Some(name) = view.options.database.as_ref().filter(|_| view.database().is_none()) {
            found.push(
                view.whole(
                    ID,
                    Verdict::Unknown,
                    "no-such-probe",
                    &format!("no probe {name} of this plan looks at a database"),
                )
                .because("database", name, now)
                .next("name the postgres probe that looks at what is backed up"),
            );
            return found;
        }
        let system = view.database().and_then(|probe| {
            let lanes = probe.lanes.iter().filter(|l| l.expects.contains(&signals::SYSTEM_ID));
            lanes.filter_map(|l| view.facts.text(probe, &l.subject, &signals::SYSTEM_ID, now)).next()
        });
        for repo in repos.iter().filter(|r| r.code == 0) {
            let (Some((system, seen)), Some(stored)) = (system, &repo.system_id) else { continue };
            let name = format!("repo{} of stanza {}", repo.key, view.options.stanza);
            let make = |verdict, code, sentence: &str| {
                view.finding(ID, repo.key, verdict, code, sentence)
                    .because("the database's system identifier", system, seen.asked)
                    .because("the repository's", stored, read.asked)
            };
            found.push(if stored == system {
                make(Verdict::Ready, "same-cluster", &format!("{name} is of the plan's own cluster"))
            } else {
                make(Verdict::NotReady, "other-cluster", &format!("{name} holds backups of another cluster"))
                    .next("stanza-upgrade after pg_upgrade, then a full backup; else name the right stanza")
            });
        }
        let sites: Vec<&str> = view.options.repos.values().filter_map(|r| r.site.as_deref()).collect();
        let home = facts.plan.home.as_str();
        let all_home = sites.len() == repos.len() && sites.iter().all(|s| *s == home);
        let offsite = view.options.repos.values().any(|r| r.offsite == Some(true));
        if !sites.is_empty() && all_home && !offsite {
            found.push(
                view.whole(
                    ID,
                    Verdict::NotReady,
                    "all-at-home",
                    &format!("every repository of stanza {} is in {home}, and is lost with it", view.options.stanza),
                )
                .because("repositories", &repos.len(), read.asked)
                .next("add a repository in another site: repo2-path, and a full backup into it"),
            );
        }
        found
    }
}
