//! An answer that a resolver kept beyond its time (RFC 8767), where that can be known: the resolver says so itself (RFC
//! 8914), or its time to live is above what the authoritative servers give.

use crate::plan::{Area, Now, Plan, RuleId, Span};
use crate::readiness::{About, Facts, Finding, Gap, Rule, Verdict};

use super::super::place::{Answered, place};
use super::super::signals::REPLIES;
use super::{answer, authoritative, lanes_with, probe_of, unreadable, words};

const ID: RuleId = RuleId::new("dns.stale");

/// Judges one resolver's answer. No finding where nothing is amiss: the other rules speak of it.
pub struct Stale;

impl Rule for Stale {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        lanes_with(plan, &REPLIES)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some((probe, dns)) = probe_of(facts, about) else { return Vec::new() };
        let Some((rows, reading)) = facts.rows(probe, &about.subject, &REPLIES, now) else { return Vec::new() };
        let make = |verdict, code: &'static str, sentence: &str| {
            Finding::new(ID, Area::Dns, about.subject.clone(), verdict, code, sentence).of(&probe.id)
        };
        let resolver = about.subject.to_string();
        let said = match rows.iter().map(|r| words(r, "stale")).collect::<Result<Vec<_>, Gap>>() {
            Err(gap) => return vec![unreadable(make, &gap)],
            Ok(said) => said.into_iter().find(|s| !s.is_empty()),
        };
        if let Some(said) = said {
            return vec![
                make(Verdict::Degraded, "stale-answer", &format!("{resolver} answers with what has expired: {said}"))
                    .because(&resolver, &said, reading.asked)
                    .next("look at the way from that resolver to the authoritative servers: it cannot reach them"),
            ];
        }
        let Some(Ok((theirs, _))) = answer(facts, probe, &about.subject, now) else { return Vec::new() };
        let Some(Ok((truth, asked))) = answer(facts, probe, &authoritative(), now) else { return Vec::new() };
        let same = |a: &&Answered, b: &Answered| a.name == b.name && a.kind == b.kind && a.family == b.family;
        let longer = theirs.iter().find_map(|r| {
            let given = truth.iter().filter(|t| same(&r, t)).map(|t| t.ttl).max()?;
            (r.ttl > given).then_some((r, given))
        });
        let Some((record, given)) = longer else { return Vec::new() };
        let moved = place(dns, &theirs).sites != place(dns, &truth).sites;
        let above = dns.max_ttl.is_some_and(|limit| record.ttl > limit.0);
        // Within the limit and with the right answer, a resolver's own minimum harms nobody.
        if !moved && !above {
            return Vec::new();
        }
        let (code, why) =
            if moved { ("stale-answer", "an answer that is old") } else { ("kept-too-long", "the answer") };
        let sentence = format!(
            "{resolver} keeps {why} for {} more; the authoritative servers give {} {} a TTL of {}",
            Span(record.ttl),
            record.name,
            record.kind,
            Span(given)
        );
        vec![
            make(Verdict::Degraded, code, &sentence)
                .because(&resolver, &format!("TTL {}", Span(record.ttl)), reading.asked)
                .because("authoritative servers", &format!("TTL {}", Span(given)), asked.asked)
                .next("it serves expired answers, has a minimum TTL, or still holds the record's earlier TTL"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::bench::{Bench, record};
    use super::*;
    use crate::readiness::{Row, Value};

    fn reply(stale: Option<&str>) -> Row {
        Row::default().with("stale", stale.map_or(Value::Null, Value::text))
    }

    fn of(address: &str, ttl: u64) -> Vec<Row> {
        vec![record("A", "shop.example.com", "A", address, ttl)]
    }

    #[test]
    fn a_resolver_that_says_so() {
        let bench = Bench::new().replies("1.1.1.1", vec![reply(None), reply(Some("stale answer, RFC 8914 code 3"))]);
        assert_eq!(bench.judge(&Stale), ["degraded stale-answer"]);
    }

    #[test]
    fn a_time_to_live_above_the_given_one() {
        let bench = |address: &str, ttl| {
            let bench = Bench::new().replies("1.1.1.1", vec![reply(None)]);
            bench.chain(of("198.51.100.1", 20)).answer("1.1.1.1", of(address, ttl)).judge(&Stale)
        };
        assert!(bench("198.51.100.1", 20).is_empty());
        assert!(bench("192.0.2.1", 14).is_empty(), "old, and within its time: the rule `resolvers` speaks of it");
        assert!(bench("198.51.100.1", 30).is_empty(), "a resolver's minimum within the limit");
        assert_eq!(bench("192.0.2.1", 30), ["degraded stale-answer"]);
        assert_eq!(bench("198.51.100.1", 3_600), ["degraded kept-too-long"]);
    }
}
