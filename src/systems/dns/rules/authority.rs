//! Every authoritative server answers with authority: where none does, the record cannot be moved by anyone's resolver.

use crate::plan::{Area, LaneDecl, Now, Plan, ProbeDecl, RuleId, Subject};
use crate::readiness::signals::TRAFFIC;
use crate::readiness::{About, Bearing, Facts, Finding, Gap, Kept, Reason, Row, Rule, Verdict};

use super::super::signals::{NO_DATA, NO_ROUTE, NOT_AUTHORITATIVE, OK, SERVERS};
use super::{lanes_with, list, probe_of, unreadable, words};

const ID: RuleId = RuleId::new("dns.authority");

/// Judges the servers of every link of the chain.
pub struct Authority;

impl Rule for Authority {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        lanes_with(plan, &SERVERS)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some((probe, _)) = probe_of(facts, about) else { return Vec::new() };
        let Some((rows, reading)) = facts.rows(probe, &about.subject, &SERVERS, now) else { return Vec::new() };
        let make = |subject: &Subject, verdict, code: &'static str, sentence: &str| {
            Finding::new(ID, Area::Dns, subject.clone(), verdict, code, sentence).of(&probe.id)
        };
        match rows.iter().map(Server::read).collect::<Result<Vec<_>, _>>() {
            Err(gap) => vec![unreadable(|v, c, s| make(&about.subject, v, c, s), &gap)],
            Ok(servers) => {
                let mut findings = judge(&servers, &about.subject, reading, &make);
                if nobody_answers(facts, probe) {
                    findings.iter_mut().filter(|f| f.code == SILENT).for_each(|f| {
                        f.verdict = Verdict::Unknown;
                        f.sentence = "no authoritative server answers, and no resolver does: nothing shows which side is cut off".into();
                        f.next = Some("look from another machine: this machine's network may be what is broken".into());
                    });
                }
                findings
            }
        }
    }
}

/// The code where every authoritative server was silent.
const SILENT: &str = "all-servers-timed-out";

/// Whether the last look at every resolver got no answer either: then silence proves nothing about the servers.
fn nobody_answers(facts: &Facts<'_>, probe: &ProbeDecl) -> bool {
    let mut resolvers = probe.lanes.iter().filter(|l| l.expects.contains(&TRAFFIC)).peekable();
    let silent = |l: &LaneDecl| {
        let last = facts.readings.outcomes(&probe.lane_id(l)).next_back();
        last.and_then(|o| o.gap.as_ref()).is_some_and(|g| g.reason == Reason::TimedOut)
    };
    resolvers.peek().is_some() && resolvers.all(silent)
}

struct Server {
    link: String,
    name: String,
    address: String,
    outcome: String,
    detail: String,
}

impl Server {
    fn read(row: &Row) -> Result<Self, Gap> {
        Ok(Self {
            link: words(row, "link")?,
            name: words(row, "server")?,
            address: words(row, "address")?,
            outcome: words(row, "outcome")?,
            detail: words(row, "detail")?,
        })
    }

    fn shown(&self) -> String {
        if self.address.starts_with(&self.name) {
            self.address.clone()
        } else {
            format!("{} ({})", self.name, self.address)
        }
    }
}

type Make<'a> = &'a dyn Fn(&Subject, Verdict, &'static str, &str) -> Finding;

fn judge(servers: &[Server], subject: &Subject, reading: &Kept, make: Make<'_>) -> Vec<Finding> {
    let mut links: Vec<&str> = servers.iter().map(|s| s.link.as_str()).collect();
    links.dedup();
    let mut findings = Vec::new();
    for link in links {
        // A link whose servers were not even found has no address; the rule `reach` says so.
        let of: Vec<&Server> = servers.iter().filter(|s| s.link == link && !s.address.is_empty()).collect();
        findings.extend(judge_link(link, &of, subject, reading, make));
    }
    if findings.iter().all(|f| f.verdict == Verdict::Ready) && findings.len() > 1 {
        findings.truncate(1);
    }
    findings
}

fn judge_link(link: &str, servers: &[&Server], lane: &Subject, reading: &Kept, make: Make<'_>) -> Vec<Finding> {
    // An address without a route from here says nothing of its server.
    let (off, seen): (Vec<&Server>, Vec<&Server>) = servers.iter().partition(|s| s.outcome == NO_ROUTE);
    let good: Vec<&&Server> = seen.iter().filter(|s| s.outcome == OK).collect();
    let bad: Vec<&&Server> = seen.iter().filter(|s| s.outcome != OK).collect();
    let evidence = |f: Finding| {
        let each =
            |f: Finding, s: &&Server| f.because(&s.shown(), &format!("{}: {}", s.outcome, s.detail), reading.asked);
        servers.iter().fold(f, each)
    };
    let Some(first) = seen.first() else {
        if off.is_empty() {
            return Vec::new();
        }
        let sentence = format!("no authoritative server of {link} has a route from this machine");
        let f = make(lane, Verdict::Unknown, "no-route", &sentence);
        return vec![evidence(f).next("give this machine a route (IPv6?), or name reachable servers: servers = [...]")];
    };
    let gone = |outcome: &str| bad.iter().filter(|s| s.outcome == outcome).map(|s| s.shown()).collect::<Vec<_>>();
    let blocks = || Bearing::Consent("traffic cannot be moved by DNS now".into());
    let (nxdomain, no_data) = (gone("nxdomain"), gone(NO_DATA));
    if !nxdomain.is_empty() {
        let who = if good.is_empty() {
            "the authoritative servers say".to_owned()
        } else {
            format!("{} says", list(&nxdomain))
        };
        let f = make(lane, Verdict::NotReady, "nxdomain", &format!("{link} does not exist: {who} NXDOMAIN"));
        return vec![evidence(f).next("create the record, or mend its name in the plan").bearing(blocks())];
    }
    if !no_data.is_empty() {
        let f = make(lane, Verdict::NotReady, "no-address", &format!("{link} has no address, says {}", list(&no_data)));
        return vec![evidence(f).next("add the record's A or AAAA").bearing(blocks())];
    }
    if good.is_empty() {
        let same = seen.iter().all(|s| s.outcome == first.outcome);
        let (code, words) = if same { all(&first.outcome) } else { ("all-servers-fail", "fails") };
        let sentence = format!("every authoritative server of {link} {words}");
        let f = make(lane, Verdict::NotReady, code, &sentence);
        return vec![
            evidence(f)
                .next("restore an authoritative server: until then no answer can be changed, and caches run out")
                .bearing(blocks()),
        ];
    }
    let mut findings: Vec<Finding> = bad
        .iter()
        .map(|s| {
            let (code, words) = one(&s.outcome);
            let sentence = format!("authoritative server {} {words} for {link}", s.shown());
            make(&Subject::part(&s.shown()), Verdict::Degraded, code, &sentence)
                .because(&s.shown(), &format!("{}: {}", s.outcome, s.detail), reading.asked)
                .next("restart it or take it out of the zone's NS records; the others carry the zone meanwhile")
        })
        .collect();
    let unseen: Vec<String> =
        off.iter().filter(|o| !seen.iter().any(|s| s.name == o.name)).map(|s| s.shown()).collect();
    if !unseen.is_empty() {
        let sentence = format!("nothing is known of {}: this machine has no route to it", list(&unseen));
        let f = make(lane, Verdict::Unknown, "no-route", &sentence);
        findings
            .push(evidence(f).next("give this machine a route (IPv6?), or name reachable servers: servers = [...]"));
    }
    if findings.is_empty() {
        let sentence = match good.len() {
            1 => format!("the one authoritative server of {link} answers"),
            n => format!("all {n} authoritative servers of {link} answer"),
        };
        findings.push(evidence(make(lane, Verdict::Ready, "authority-answers", &sentence)));
    }
    findings
}

/// Code and words where every server fails in the same way.
fn all(outcome: &str) -> (&'static str, &'static str) {
    match outcome {
        "timed-out" => (SILENT, "gives no answer in time"),
        "refused" => ("all-servers-down", "is down: nobody listens"),
        "servfail" => ("all-servers-servfail", "answers SERVFAIL"),
        "dns-refused" => ("all-servers-refuse", "answers REFUSED"),
        NOT_AUTHORITATIVE => ("all-servers-lame", "answers without authority"),
        "malformed" | "too-large" => ("all-servers-malformed", "answers nonsense"),
        "reset" => ("all-servers-reset", "cuts the connection"),
        _ => ("all-servers-fail", "fails"),
    }
}

/// Code and words where one server fails.
fn one(outcome: &str) -> (&'static str, &'static str) {
    match outcome {
        "timed-out" => ("server-timed-out", "gives no answer in time"),
        "refused" => ("server-down", "is down: nobody listens"),
        "servfail" => ("server-servfail", "answers SERVFAIL"),
        "dns-refused" => ("server-refuses", "answers REFUSED"),
        NOT_AUTHORITATIVE => ("server-lame", "answers without authority"),
        "malformed" | "too-large" => ("server-malformed", "answers nonsense"),
        "reset" => ("server-reset", "cuts the connection"),
        _ => ("server-fails", "fails"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::bench::{Bench, server};
    use super::*;

    fn judged(outcomes: &[&str]) -> Vec<String> {
        let rows = outcomes.iter().enumerate().map(|(i, o)| server(&format!("ns{i}"), o, Some(7))).collect();
        Bench::new().servers(rows).judge(&Authority)
    }

    #[test]
    fn one_dead_degrades_and_all_dead_is_not_ready() {
        assert_eq!(judged(&["ok", "ok"]), ["ready authority-answers"]);
        assert_eq!(judged(&["ok", "timed-out"]), ["degraded server-timed-out"]);
        assert_eq!(judged(&["ok", "refused", "servfail"]), ["degraded server-down", "degraded server-servfail"]);
        assert_eq!(judged(&["ok", "dns-refused"]), ["degraded server-refuses"]);
        assert_eq!(judged(&["ok", "not-authoritative"]), ["degraded server-lame"]);
        assert_eq!(judged(&["timed-out", "timed-out"]), ["not ready all-servers-timed-out"]);
        assert_eq!(judged(&["refused", "refused"]), ["not ready all-servers-down"]);
        assert_eq!(judged(&["dns-refused"]), ["not ready all-servers-refuse"]);
        assert_eq!(judged(&["servfail", "servfail"]), ["not ready all-servers-servfail"]);
        assert_eq!(judged(&["servfail", "timed-out"]), ["not ready all-servers-fail"]);
    }

    /// Where the resolvers are silent too, it may be this machine that is cut off.
    #[test]
    fn silence_of_everybody_proves_nothing() {
        let silent = |resolvers: &[&str]| {
            let rows = vec![server("ns1", "timed-out", None), server("ns2", "timed-out", None)];
            let bench = resolvers.iter().fold(Bench::new().servers(rows), |b, r| b.silent(r));
            bench.judge(&Authority)
        };
        assert_eq!(silent(&["1.1.1.1", "8.8.8.8"]), ["unknown all-servers-timed-out"]);
        assert_eq!(silent(&["1.1.1.1"]), ["not ready all-servers-timed-out"]);
    }

    #[test]
    fn a_name_that_is_gone_is_proof() {
        assert_eq!(judged(&["nxdomain", "nxdomain"]), ["not ready nxdomain"]);
        assert_eq!(judged(&["ok", "nxdomain"]), ["not ready nxdomain"]);
        assert_eq!(judged(&["no-data", "no-data"]), ["not ready no-address"]);
    }

    #[test]
    fn an_address_without_a_route_says_nothing_of_its_server() {
        assert_eq!(judged(&["ok", "no-route"]), ["ready authority-answers"]);
        assert_eq!(judged(&["no-route", "no-route"]), ["unknown no-route"]);
        assert_eq!(judged(&["timed-out", "no-route"]), ["not ready all-servers-timed-out"]);
    }

    #[test]
    fn a_server_that_no_address_of_shows_is_unknown() {
        let named = |mut row: Row, name: &str| {
            row.set("server", crate::readiness::Value::text(name));
            row
        };
        let rows = vec![named(server("10.0.0.1", "ok", None), "ns1"), named(server("::9", "no-route", None), "ns2")];
        assert_eq!(Bench::new().servers(rows).judge(&Authority), ["unknown no-route"]);
    }

    #[test]
    fn an_empty_reading_is_no_opinion() {
        assert!(judged(&[]).is_empty());
    }
}
