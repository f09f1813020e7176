//! Resolvers agree with one another and with the authoritative servers about which site it is.
//!
//! A resolver that does not answer at all is the rule `reach`'s: users use it, so nobody can say where they go.

use std::time::Duration;

use crate::plan::{Area, Now, Plan, RuleId, SiteId, Span, Subject};
use crate::readiness::{About, Facts, Finding, Rule, Verdict};

use super::super::place::place;
use super::{answer, authoritative, list, probe_of, probes, resolvers};

const ID: RuleId = RuleId::new("dns.resolvers");

/// Compares every resolver's answer with the authoritative one, or with one another.
pub struct Resolvers;

impl Rule for Resolvers {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        probes(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some((probe, dns)) = probe_of(facts, about) else { return Vec::new() };
        let seen = |subject: &Subject| {
            let (records, reading) = answer(facts, probe, subject, now)?.ok()?;
            let ttl = records.iter().map(|r| r.ttl).max().unwrap_or(Duration::ZERO);
            place(dns, &records).one().map(|site| (site.clone(), ttl, reading.asked))
        };
        let truth = seen(&authoritative());
        let named: Vec<(&Subject, SiteId, Duration, Now)> = resolvers(probe)
            .filter_map(|lane| seen(&lane.subject).map(|(site, ttl, at)| (&lane.subject, site, ttl, at)))
            .collect();
        let make = |subject: &Subject, verdict, code: &'static str, sentence: &str| {
            Finding::new(ID, Area::Dns, subject.clone(), verdict, code, sentence).of(&probe.id)
        };
        let Some((_, first, _, _)) = named.first() else { return Vec::new() };
        let evidence = |f: Finding| {
            let each = |f: Finding, (s, site, ttl, at): &(&Subject, SiteId, Duration, Now)| {
                f.because(&s.to_string(), &format!("{site}, for {} more at most", Span(*ttl)), *at)
            };
            named.iter().fold(f, each)
        };
        match truth {
            Some((site, _, at)) => {
                let behind: Vec<_> = named.iter().filter(|(_, s, _, _)| *s != site).collect();
                if behind.is_empty() {
                    let sentence = format!("every resolver that answers names {site}, as the authoritative servers do");
                    return vec![evidence(make(&about.subject, Verdict::Ready, "resolvers-agree", &sentence))];
                }
                let late = |(s, old, ttl, asked): &&(&Subject, SiteId, Duration, Now)| {
                    let sentence = format!("{s} still answers {old}; the authoritative servers answer {site}");
                    make(s, Verdict::Degraded, "resolver-behind", &sentence)
                        .because(&s.to_string(), &format!("{old}, for {} more at most", Span(*ttl)), *asked)
                        .because("authoritative servers", &site, at)
                        .next(&format!("wait {}; flush its cache if you run it", Span(*ttl)))
                };
                behind.iter().map(late).collect()
            }
            None if named.iter().any(|(_, s, _, _)| s != first) => {
                let said: Vec<String> = named.iter().map(|(s, site, _, _)| format!("{s} says {site}")).collect();
                let sentence = format!("resolvers disagree: {}", list(&said));
                vec![
                    evidence(make(&about.subject, Verdict::Degraded, "resolvers-disagree", &sentence))
                        .next("find out what the authoritative servers say; caches differ until the TTL has run out"),
                ]
            }
            None => {
                let sentence = format!("every resolver that answers names {first}");
                vec![evidence(make(&about.subject, Verdict::Ready, "resolvers-agree", &sentence))]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bench::{Bench, record};
    use super::*;

    fn at(site: &str) -> Vec<crate::readiness::Row> {
        let address = if site == "east" { "192.0.2.1" } else { "198.51.100.1" };
        vec![record("A", "shop.example.com", "A", address, 14)]
    }

    #[test]
    fn a_resolver_that_is_behind_is_named_with_how_long() {
        let bench = Bench::new().chain(at("west")).answer("1.1.1.1", at("east")).answer("8.8.8.8", at("west"));
        let found = bench.findings(&Resolvers);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].code, "resolver-behind");
        assert_eq!(found[0].subject, Subject::part("1.1.1.1"));
        assert_eq!(found[0].next.as_ref().unwrap().as_str(), "wait 14s; flush its cache if you run it");
    }

    #[test]
    fn agreement_and_disagreement() {
        let agree = Bench::new().chain(at("east")).answer("1.1.1.1", at("east")).answer("8.8.8.8", at("east"));
        assert_eq!(agree.judge(&Resolvers), ["ready resolvers-agree"]);
        let differ = Bench::new().answer("1.1.1.1", at("east")).answer("8.8.8.8", at("west"));
        assert_eq!(differ.judge(&Resolvers), ["degraded resolvers-disagree"]);
        assert!(Bench::new().judge(&Resolvers).is_empty());
    }
}
