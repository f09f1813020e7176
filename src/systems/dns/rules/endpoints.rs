//! Both sites' endpoints answer: the one that users are at, and the one that a failover would send them to.

use chrono::{DateTime, Utc};

use crate::plan::{Area, Now, Plan, RuleId, Span};
use crate::readiness::{About, Bearing, Facts, Finding, Gap, Kept, Reason, Row, Rule, Verdict};

use super::super::signals::{ENDPOINTS, NO_ROUTE, OK, WRONG_STATUS};
use super::{lanes_with, list, probe_of, unreadable, words};

const ID: RuleId = RuleId::new("dns.endpoints");

/// Judges the endpoints of one site.
pub struct Endpoints;

struct Visited {
    address: String,
    outcome: String,
    detail: String,
    not_after: Option<DateTime<Utc>>,
}

impl Rule for Endpoints {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        lanes_with(plan, &ENDPOINTS)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some((probe, dns)) = probe_of(facts, about) else { return Vec::new() };
        let (Some(endpoint), Some(site)) = (&dns.endpoint, &about.subject.site) else { return Vec::new() };
        let Some((rows, reading)) = facts.rows(probe, &about.subject, &ENDPOINTS, now) else { return Vec::new() };
        let make = |verdict, code: &'static str, sentence: &str| {
            Finding::new(ID, Area::Dns, about.subject.clone(), verdict, code, sentence).of(&probe.id)
        };
        let read = |row: &Row| {
            Ok(Visited {
                address: words(row, "address")?,
                outcome: words(row, "outcome")?,
                detail: words(row, "detail")?,
                not_after: row.time("not_after")?,
            })
        };
        let visits = match rows.iter().map(read).collect::<Result<Vec<_>, Gap>>() {
            Err(gap) => return vec![unreadable(make, &gap)],
            Ok(visits) => visits,
        };
        let mut findings = Vec::new();
        findings.extend(answers(site.as_str(), &visits, reading, &make));
        findings.extend(expiry(site.as_str(), &visits, endpoint.expiry_warn, reading, now, &make));
        findings
    }
}

type Make<'a> = &'a dyn Fn(Verdict, &'static str, &str) -> Finding;

/// What failed outcomes prove: that users are turned away, or nothing, as where nobody answers from here.
fn proof(outcome: &str) -> Option<&'static str> {
    match outcome {
        "refused" => Some("endpoint-down"),
        "certificate-expired" => Some("certificate-expired"),
        "certificate-name" => Some("certificate-name"),
        WRONG_STATUS => Some("endpoint-status"),
        _ => None,
    }
}

fn answers(site: &str, visits: &[Visited], reading: &Kept, make: Make<'_>) -> Option<Finding> {
    let bad: Vec<&Visited> = visits.iter().filter(|v| v.outcome != OK).collect();
    let evidence = |f: Finding| {
        let each =
            |f: Finding, v: &Visited| f.because(&v.address, &format!("{}: {}", v.outcome, v.detail), reading.asked);
        visits.iter().fold(f, each)
    };
    let Some(first) = bad.first() else {
        let all: Vec<&str> = visits.iter().map(|v| v.address.as_str()).collect();
        if all.is_empty() {
            return None;
        }
        let verb = if all.len() == 1 { "answers" } else { "answer" };
        return Some(evidence(make(Verdict::Ready, "endpoints-answer", &format!("{} in {site} {verb}", list(&all)))));
    };
    let who = list(&bad.iter().map(|v| v.address.as_str()).collect::<Vec<_>>());
    if bad.iter().all(|v| v.outcome == NO_ROUTE) {
        let sentence = format!("{who} in {site} has no route from this machine, so nobody can say whether it answers");
        return Some(
            evidence(make(Verdict::Unknown, "no-route", &sentence))
                .next("give this machine a route, or leave IPv6 out: endpoint = { skip_ipv6 = true }"),
        );
    }
    let proven = bad.iter().find_map(|v| proof(&v.outcome).map(|code| (code, *v)));
    Some(match proven {
        Some((code, v)) if bad.len() == visits.len() => {
            let sentence = format!("nothing serves users in {site}: {}", v.detail);
            evidence(make(Verdict::NotReady, code, &sentence))
                .next(&format!("start what serves users in {site}: traffic that is sent there finds nothing"))
                .bearing(Bearing::Consent(format!("{site}'s endpoints do not serve users").as_str().into()))
        }
        Some((code, v)) => {
            let sentence = format!("{who} in {site} does not serve users: {}; its other addresses do", v.detail);
            evidence(make(Verdict::Degraded, code, &sentence)).next("mend it, or take it out of the record")
        }
        None => {
            let sentence = format!("{who} in {site}: {}", first.detail);
            let same = bad.iter().all(|v| v.outcome == first.outcome);
            let reason = Reason::ALL.iter().map(|r| r.code()).find(|code| same && *code == first.outcome);
            evidence(make(Verdict::Unknown, reason.unwrap_or("endpoint-unseen"), &sentence))
                .next("check from another machine whether it answers; this network, a firewall, or that host")
        }
    })
}

fn expiry(site: &str, visits: &[Visited], warn: Span, reading: &Kept, now: Now, make: Make<'_>) -> Option<Finding> {
    let (v, until) = visits.iter().filter_map(|v| v.not_after.map(|t| (v, t))).min_by_key(|(_, t)| *t)?;
    let left = until.signed_duration_since(now.wall);
    let shown = until.format("%Y-%m-%d %H:%M:%SZ").to_string();
    let at =
        |f: Finding| f.because(&format!("{} certificate", v.address), &format!("good until {shown}"), reading.asked);
    let Ok(left) = left.to_std() else {
        return Some(
            at(make(
                Verdict::NotReady,
                "certificate-expired",
                &format!("the certificate at {} in {site} has expired", v.address),
            ))
            .next("renew it now: browsers and clients refuse it"),
        );
    };
    (left < warn.0).then(|| {
        let sentence = format!("the certificate at {} in {site} expires in {}", v.address, Span(left).coarse());
        at(make(Verdict::Degraded, "certificate-expires", &sentence))
            .next("renew it, and see why nothing renewed it by itself")
    })
}

#[cfg(test)]
mod tests {
    use super::super::bench::{Bench, endpoint};
    use super::*;

    fn judged(outcomes: &[&str]) -> String {
        let rows =
            outcomes.iter().enumerate().map(|(i, o)| endpoint(&format!("192.0.2.{i}:443"), o, Some(90))).collect();
        Bench::new().endpoints("west", rows).judge(&Endpoints).join("; ")
    }

    #[test]
    fn what_answers_and_what_does_not() {
        assert_eq!(judged(&["ok", "ok"]), "ready endpoints-answer");
        assert_eq!(judged(&["ok", "refused"]), "degraded endpoint-down");
        assert_eq!(judged(&["refused", "refused"]), "not ready endpoint-down");
        assert_eq!(judged(&["status"]), "not ready endpoint-status");
        assert_eq!(judged(&["certificate-expired"]), "not ready certificate-expired");
        assert_eq!(judged(&["certificate-name"]), "not ready certificate-name");
        assert_eq!(judged(&["timed-out"]), "unknown timed-out");
        assert_eq!(judged(&["ok", "timed-out"]), "unknown timed-out");
        assert_eq!(judged(&["unknown-issuer"]), "unknown unknown-issuer");
        assert_eq!(judged(&["timed-out", "reset"]), "unknown endpoint-unseen");
        assert_eq!(judged(&["ok", "no-route"]), "unknown no-route");
    }

    #[test]
    fn certificates_run_out() {
        let of = |days| {
            let rows = vec![endpoint("192.0.2.1:443", "ok", Some(days)), endpoint("192.0.2.2:443", "ok", Some(90))];
            Bench::new().endpoints("west", rows).judge(&Endpoints).join("; ")
        };
        assert_eq!(of(15), "ready endpoints-answer");
        assert_eq!(of(13), "ready endpoints-answer; degraded certificate-expires");
        assert_eq!(of(-1), "ready endpoints-answer; not ready certificate-expired");
    }
}
