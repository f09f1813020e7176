//! Which site an answer names: one, whole, in both families. Judged for every resolver and for the authoritative servers.

use crate::plan::{Area, Now, Plan, RuleId, SiteId};
use crate::readiness::{About, Facts, Finding, Rule, Verdict};

use super::super::options::Dns;
use super::super::place::{Answered, Place, place};
use super::super::signals::{ANSWER, CHAIN};
use super::{answer, authoritative, lanes_with, list, probe_of, unreadable};

const ID: RuleId = RuleId::new("dns.traffic");

/// Judges one answer.
pub struct Traffic;

impl Rule for Traffic {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        [lanes_with(plan, &ANSWER), lanes_with(plan, &CHAIN)].concat()
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some((probe, dns)) = probe_of(facts, about) else { return Vec::new() };
        let make = |verdict, code: &'static str, sentence: &str| {
            Finding::new(ID, Area::Dns, about.subject.clone(), verdict, code, sentence).of(&probe.id)
        };
        let (records, reading) = match answer(facts, probe, &about.subject, now) {
            None => return Vec::new(),
            Some(Err(gap)) => return vec![unreadable(make, &gap)],
            Some(Ok(read)) => read,
        };
        let whole = about.subject == authoritative();
        let who = match (whole, &about.subject.part) {
            (true, _) => "the authoritative servers answer".to_owned(),
            (false, Some(resolver)) => format!("{resolver} answers"),
            (false, None) => "the resolver answers".to_owned(),
        };
        // What the authoritative servers lack, the rule `authority` says.
        let Some((verdict, code, words, next)) = judge(dns, &records, whole) else { return Vec::new() };
        let finding = make(verdict, code, &format!("{who} {words}"));
        let data: Vec<String> = records.iter().filter(|r| r.is_address()).map(|r| r.data.clone()).collect();
        let finding = finding.because(&dns.record, &list(&data), reading.asked);
        vec![if verdict == Verdict::Ready { finding } else { finding.next(next) }]
    }
}

type Judged = (Verdict, &'static str, String, &'static str);

fn judge(dns: &Dns, records: &[Answered], authoritative: bool) -> Option<Judged> {
    let family = |f: &str| place(dns, records.iter().filter(|r| r.family == f));
    let (v4, v6) = (family("A"), family("AAAA"));
    let all = place(dns, records);
    let any = records.iter().any(Answered::is_address);
    if !any && authoritative {
        return None;
    }
    if !any {
        let words = format!("that {} has no address", dns.record);
        return Some((Verdict::NotReady, "no-address", words, "add the record's A or AAAA"));
    }
    if let Some(words) = servers_differ(dns, records) {
        let next = "wait for the zone's transfer; if it lasts, see which server is behind: dns.serials";
        return Some((Verdict::Degraded, "servers-differ", words, next));
    }
    for place in [&v4, &v6] {
        if place.sites.len() > 1 {
            let words = format!("with {} at once", names(place));
            let next = "take the addresses of one site out of the record: only one site takes writes";
            return Some((Verdict::NotReady, "sites-mixed", words, next));
        }
    }
    let Some(site) = all.one() else {
        return Some(match (v4.one(), v6.one()) {
            (Some(a), Some(b)) => {
                let words = format!("with {a} for IPv4 and {b} for IPv6: only half of the record was moved");
                (Verdict::Degraded, "families-differ", words, "move A and AAAA together")
            }
            (_, _) => {
                let words = format!("with {}, which the plan does not know", list(&all.strangers));
                let next = "add the address to the plan's answers, or find out who changed the record";
                (Verdict::Unknown, "unknown-address", words, next)
            }
        });
    };
    if !all.strangers.is_empty() {
        let words = format!("with {site}, and with {}, which the plan does not know", list(&all.strangers));
        let next = "add the address to the plan's answers, or take it out of the record";
        return Some((Verdict::Degraded, "unknown-address", words, next));
    }
    if let Some(missing) = missing(dns, site, records) {
        let words = format!("with {site}, but without an address for {missing}");
        return Some((
            Verdict::Degraded,
            "family-missing",
            words,
            "add the record of the other family, or drop it from the plan",
        ));
    }
    Some((Verdict::Ready, "names-site", format!("with {site}"), ""))
}

/// Where each authoritative server names one site, and not all the same: a change is on its way, or stuck.
fn servers_differ(dns: &Dns, records: &[Answered]) -> Option<String> {
    let mut servers: Vec<&str> = records.iter().flat_map(|r| r.servers.split(", ")).filter(|s| !s.is_empty()).collect();
    servers.sort_unstable();
    servers.dedup();
    let of = |server: &str| {
        let own = records.iter().filter(|r| r.servers.split(", ").any(|s| s == server));
        place(dns, own).one().cloned()
    };
    let said: Vec<(&str, SiteId)> = servers.iter().map(|s| of(s).map(|site| (*s, site))).collect::<Option<_>>()?;
    let (_, first) = said.first()?;
    if said.iter().all(|(_, site)| site == first) {
        return None;
    }
    let each: Vec<String> = said.iter().map(|(server, site)| format!("{site} ({server})")).collect();
    Some(format!("differently: {}", list(&each)))
}

fn names(place: &Place) -> String {
    list(&place.sites.iter().map(ToString::to_string).collect::<Vec<_>>())
}

/// The family that the plan has for a site and the answer has not.
fn missing(dns: &Dns, site: &SiteId, records: &[Answered]) -> Option<&'static str> {
    let answer = dns.site(site)?;
    let lacks = |family: &str| !records.iter().any(|r| r.family == family && r.is_address());
    if answer.addresses.iter().any(|ip| ip.is_ipv4()) && lacks("A") {
        Some("IPv4")
    } else if answer.addresses.iter().any(|ip| ip.is_ipv6()) && lacks("AAAA") {
        Some("IPv6")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::bench::{Bench, record};
    use super::*;

    const E4: (&str, &str) = ("A", "192.0.2.1");
    const E6: (&str, &str) = ("AAAA", "2001:db8:1::1");
    const W4: (&str, &str) = ("A", "198.51.100.1");
    const W6: (&str, &str) = ("AAAA", "2001:db8:2::1");
    const STRANGER: (&str, &str) = ("A", "203.0.113.9");

    fn judged(addresses: &[(&str, &str)]) -> String {
        let rows = addresses.iter().map(|(f, a)| record(f, "shop.example.com", f, a, 20)).collect();
        Bench::new().answer("1.1.1.1", rows).judge(&Traffic).join("; ")
    }

    #[test]
    fn which_site_an_answer_names() {
        assert_eq!(judged(&[E4, E6]), "ready names-site");
        assert_eq!(judged(&[W4, W6]), "ready names-site");
        assert_eq!(judged(&[W4, E6]), "degraded families-differ");
        assert_eq!(judged(&[E4, W4, E6]), "not ready sites-mixed");
        assert_eq!(judged(&[E4]), "degraded family-missing");
        assert_eq!(judged(&[STRANGER]), "unknown unknown-address");
        assert_eq!(judged(&[E4, E6, STRANGER]), "degraded unknown-address");
        assert_eq!(judged(&[]), "not ready no-address");
    }

    #[test]
    fn a_cname_names_a_site_whatever_its_addresses_are() {
        let rows = |target: &str| {
            vec![record("A", "shop.example.com", "CNAME", target, 20), record("A", target, "A", "203.0.113.77", 20)]
        };
        let of = |target: &str| Bench::by_name().answer("1.1.1.1", rows(target)).judge(&Traffic).join("; ");
        assert_eq!(of("lb.west.example.net"), "ready names-site");
        assert_eq!(of("lb.north.example.net"), "unknown unknown-address");
    }

    #[test]
    fn a_change_that_not_every_server_has_is_no_mixture() {
        let by = |(family, address): (&str, &str), servers| {
            record(family, "shop.example.com", family, address, 20)
                .with("servers", crate::readiness::Value::text(servers))
        };
        let of = |rows| Bench::new().chain(rows).judge(&Traffic);
        assert_eq!(of(vec![by(E4, "a"), by(W4, "b"), by(E6, "a"), by(W6, "b")]), ["degraded servers-differ"]);
        assert_eq!(of(vec![by(E4, "a, b"), by(W4, "a, b")]), ["not ready sites-mixed"]);
        assert_eq!(of(vec![by(E4, "a, b"), by(E6, "a, b")]), ["ready names-site"]);
    }

    #[test]
    fn the_authoritative_side_is_judged_too() {
        let rows = vec![record("A", "shop.example.com", "A", STRANGER.1, 20)];
        assert_eq!(Bench::new().chain(rows).judge(&Traffic), ["unknown unknown-address"]);
        assert!(Bench::new().chain(vec![]).judge(&Traffic).is_empty());
    }
}
