//! A registry that several sites pull from is lost for all of them at once.

use crate::plan::{Now, Plan, RuleId, Subject};
use crate::readiness::{About, Facts, Finding, Rule, Verdict};

use super::super::options::Registry;
use super::super::signals::COUNT;
use super::{Bench, images, list_of, probes};

const ID: RuleId = RuleId::new("images.shared");

/// One registry for all sites is a valid way to live, and a single point of failure: the site that takes over pulls from
/// where the lost one did.
pub struct Shared;

impl Rule for Shared {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        probes(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(bench) = Bench::of(facts, about, now) else { return Vec::new() };
        let active = bench.active();
        let Some(own) = bench.images.of_site(&active) else { return Vec::new() };
        let same_host = |r: &&Registry| r.at.server() == own.at.server();
        let sharing: Vec<&Registry> = bench.images.registries.iter().filter(same_host).collect();
        let sites: Vec<&str> = sharing.iter().flat_map(|r| &r.sites).map(|s| s.as_str()).collect();
        if sites.len() < 2 {
            return Vec::new();
        }
        // Its own lane says what there is to say while nothing is read.
        let Some((count, reading)) = facts.int(bench.probe, &own.subject(), &COUNT, now) else { return Vec::new() };
        let sentence =
            format!("{} pull from one registry, {}: a single point of failure", list_of(&sites), own.at.server());
        let seen = format!("{} pull-tested", images(usize::try_from(count).unwrap_or_default()));
        vec![
            bench
                .finding(ID, Subject::whole(), Verdict::Degraded, "single-point-of-failure", &sentence)
                .because(&format!("registry {}", own.at), &seen, reading.asked)
                .next("mirror the images into a registry of each site's own, or weigh this probe as advice"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::bench::{Desk, index};
    use super::*;

    #[test]
    fn one_registry_is_a_single_point_of_failure() {
        let one = || vec![index("api:1", &["linux/amd64=a"])];
        let found = Desk::shared(&["api:1"]).with("one", one()).findings(&Shared);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].verdict, Verdict::Degraded);
        assert_eq!(
            found[0].sentence.as_str(),
            "east and west pull from one registry, one.example.com: a single point of failure"
        );
        assert!(Desk::new(&["api:1"]).with("east", one()).with("west", one()).findings(&Shared).is_empty());
        assert!(Desk::shared(&["api:1"]).findings(&Shared).is_empty());
    }
}
