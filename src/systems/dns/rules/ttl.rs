//! No link of the chain is kept for longer than the plan allows, as the authoritative servers give it.
//!
//! Above the limit is `Degraded`: a failover works, and takes longer for some users than was promised. Above the RTO by
//! itself is `NotReady`: then the objective cannot be held whatever else goes well.

use crate::plan::{Area, LaneId, Now, Plan, RuleId, Span};
use crate::readiness::signals::TTL;
use crate::readiness::{About, Facts, Finding, Rule, Verdict};

use super::super::signals::CHAIN;
use super::{answer, lanes_with, probe_of, unreadable};

const ID: RuleId = RuleId::new("dns.ttl");

/// Holds every link against `max_ttl`.
pub struct Ttl;

impl Rule for Ttl {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        lanes_with(plan, &CHAIN)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some((probe, dns)) = probe_of(facts, about) else { return Vec::new() };
        let key = LaneId { probe: probe.id.clone(), subject: about.subject.clone() }.key(TTL);
        let make = |verdict, code: &'static str, sentence: &str| {
            Finding::new(ID, Area::Dns, about.subject.clone(), verdict, code, sentence)
                .of(&probe.id)
                .charted(key.clone(), dns.max_ttl.map(|t| t.0.as_secs_f64()))
        };
        let Some(limit) = dns.max_ttl else {
            return vec![
                make(Verdict::Unknown, "no-threshold", &format!("no max_ttl says how long {} may be kept", dns.record))
                    .next("set max_ttl, such as \"60s\": part of the RTO passes while caches run out"),
            ];
        };
        let (links, reading) = match answer(facts, probe, &about.subject, now) {
            None => return Vec::new(),
            Some(Err(gap)) => return vec![unreadable(make, &gap)],
            Some(Ok(read)) => read,
        };
        let Some(longest) = links.iter().map(|l| l.ttl).max() else { return Vec::new() };
        let rto = facts.plan.objectives.rto;
        let over: Vec<_> = links.iter().filter(|l| l.ttl > limit.0).collect();
        let finding = match over.iter().max_by_key(|l| l.ttl) {
            None => {
                let sentence = format!("no link of {} is kept for longer than {}", dns.record, Span(longest));
                make(Verdict::Ready, "ttl-within-limit", &sentence)
            }
            Some(worst) if worst.ttl > rto.0 => {
                let sentence = format!(
                    "{} {} is kept for {}: longer than the whole RTO of {rto}",
                    worst.name,
                    worst.kind,
                    Span(worst.ttl)
                );
                make(Verdict::NotReady, "ttl-above-rto", &sentence).next(&lower(limit))
            }
            Some(worst) => {
                let sentence =
                    format!("{} {} is kept for {}; the limit is {limit}", worst.name, worst.kind, Span(worst.ttl));
                make(Verdict::Degraded, "ttl-above-limit", &sentence).next(&lower(limit))
            }
        };
        let mut shown = Vec::new();
        let each = |f: Finding, l: &super::Answered| {
            let what = format!("{} {}", l.name, l.kind);
            if shown.contains(&what) {
                return f;
            }
            shown.push(what.clone());
            f.because(&what, &format!("TTL {}", Span(l.ttl)), reading.asked)
        };
        vec![links.iter().fold(finding, each)]
    }
}

fn lower(limit: Span) -> String {
    format!("lower it to {limit} or less now; the old TTL has to run out before that helps")
}

#[cfg(test)]
mod tests {
    use super::super::bench::{Bench, record};
    use super::*;

    #[test]
    fn every_link_is_held_against_the_limit() {
        let of = |ttls: [u64; 2]| {
            let rows = vec![
                record("A", "shop.example.com", "CNAME", "lb.example.net", ttls[0]),
                record("A", "lb.example.net", "A", "192.0.2.1", ttls[1]),
            ];
            Bench::new().chain(rows).findings(&Ttl).remove(0)
        };
        assert_eq!(of([60, 20]).code, "ttl-within-limit");
        let above = of([61, 20]);
        assert_eq!((above.verdict, above.code.as_ref()), (Verdict::Degraded, "ttl-above-limit"));
        assert_eq!(above.sentence.as_str(), "shop.example.com CNAME is kept for 1m1s; the limit is 1m");
        let hopeless = of([60, 301]);
        assert_eq!((hopeless.verdict, hopeless.code.as_ref()), (Verdict::NotReady, "ttl-above-rto"));
        assert!(hopeless.sentence.as_str().starts_with("lb.example.net A"));
    }

    #[test]
    fn without_a_limit_nobody_can_say() {
        let rows = vec![record("A", "shop.example.com", "A", "192.0.2.1", 1)];
        assert_eq!(Bench::without_limit().chain(rows).judge(&Ttl), ["unknown no-threshold"]);
        assert!(Bench::new().judge(&Ttl).is_empty());
        assert!(Bench::new().chain(vec![]).judge(&Ttl).is_empty());
    }
}
