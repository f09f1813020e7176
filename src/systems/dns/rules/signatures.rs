//! Where the record is signed (DNSSEC), its signatures hold: once they have expired, resolvers that validate answer SERVFAIL.

use chrono::{DateTime, Utc};

use crate::plan::{Area, Now, Plan, RuleId};
use crate::readiness::{About, Facts, Finding, Gap, Row, Rule, Value, Verdict};

use super::super::signals::SERVERS;
use super::{lanes_with, list, probe_of, unreadable, words};

const ID: RuleId = RuleId::new("dns.signatures");
/// BIND and others renew signatures several days before they expire: below this, nobody does.
const SOON: chrono::Duration = chrono::Duration::days(3);

/// Holds the signatures' expiry against our clock. Silent where nothing is signed. Whether the parent zone vouches for the
/// keys is not looked up: a zone that is signed is taken to be meant so.
pub struct Signatures;

impl Rule for Signatures {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        lanes_with(plan, &SERVERS)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some((probe, dns)) = probe_of(facts, about) else { return Vec::new() };
        let Some((rows, reading)) = facts.rows(probe, &about.subject, &SERVERS, now) else { return Vec::new() };
        let make = |verdict, code: &'static str, sentence: &str| {
            Finding::new(ID, Area::Dns, about.subject.clone(), verdict, code, sentence).of(&probe.id)
        };
        let signed = match rows.iter().map(until).collect::<Result<Vec<_>, Gap>>() {
            Err(gap) => return vec![unreadable(make, &gap)],
            Ok(all) => all.into_iter().flatten().collect::<Vec<_>>(),
        };
        let Some(first) = signed.iter().map(|s| s.until).min() else { return Vec::new() };
        let by = |before: DateTime<Utc>| signed.iter().filter(move |s| s.until <= before);
        let who = |before| {
            let mut all: Vec<&str> = by(before).map(|s| s.server.as_str()).collect();
            all.dedup();
            list(&all)
        };
        // A link is lost once nobody serves a valid signature of it; until then resolvers may ask another server.
        let lost = |link: &str| signed.iter().filter(|s| s.link == link).all(|s| s.until <= now.wall);
        let shown = first.format("%Y-%m-%d %H:%MZ");
        let finding = if let Some(link) = signed.iter().map(|s| s.link.as_str()).find(|l| lost(l)) {
            let why = format!("the signatures of {link} have expired: resolvers that validate answer SERVFAIL");
            make(Verdict::NotReady, "signatures-expired", &why)
                .next("sign the zone anew now: rndc sign, or see why its signer stopped")
        } else if first <= now.wall {
            let why = format!("{} serves signatures that have expired", who(now.wall));
            make(Verdict::Degraded, "signatures-expired-at-one", &why).next("see why that server has an old copy")
        } else if first.signed_duration_since(now.wall) < SOON {
            let why = format!("the signatures of {} expire at {shown}, and are not renewed", dns.record);
            make(Verdict::Degraded, "signatures-expire", &why)
                .next("see why the zone's signer stopped: rndc signing, its log")
        } else {
            make(Verdict::Ready, "signatures-hold", &format!("the signatures of {} hold", dns.record))
        };
        let each = |f: Finding, s: &Signed| {
            f.because(
                &format!("{} {}, signed until", s.server, s.link),
                &s.until.format("%Y-%m-%d %H:%MZ"),
                reading.asked,
            )
        };
        vec![signed.iter().fold(finding, each)]
    }
}

struct Signed {
    link: String,
    server: String,
    until: DateTime<Utc>,
}

fn until(row: &Row) -> Result<Option<Signed>, Gap> {
    let until = match row.get("signed_until") {
        Some(Value::Time(until)) => *until,
        _ => return Ok(None),
    };
    Ok(Some(Signed { link: words(row, "link")?, server: words(row, "address")?, until }))
}

#[cfg(test)]
mod tests {
    use super::super::bench::{Bench, now, server};
    use super::*;

    fn of(hours: &[i64]) -> Vec<String> {
        let row = |(i, h): (usize, &i64)| {
            let until = now().wall + chrono::Duration::hours(*h);
            server(&format!("192.0.2.{i}"), "ok", Some(1)).with("signed_until", Value::Time(until))
        };
        Bench::new().servers(hours.iter().enumerate().map(row).collect()).judge(&Signatures)
    }

    #[test]
    fn signatures_are_held_against_the_clock() {
        assert_eq!(of(&[73, 200]), ["ready signatures-hold"]);
        assert_eq!(of(&[71, 200]), ["degraded signatures-expire"]);
        assert_eq!(of(&[0, 200]), ["degraded signatures-expired-at-one"]);
        assert_eq!(of(&[-1, 0]), ["not ready signatures-expired"]);
    }

    #[test]
    fn what_is_not_signed_is_not_judged() {
        assert!(Bench::new().servers(vec![server("192.0.2.1", "ok", Some(1))]).judge(&Signatures).is_empty());
    }
}
