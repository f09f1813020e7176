//! What the authoritative servers said, as signals: every server's outcome, the chain, its largest time to live.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RecordType};

use crate::plan::{SafeText, Span};
use crate::readiness::signals::TTL;
use crate::readiness::{Gap, Reason, Row, Value};
use crate::systems::Look;

use super::askers::Server;
use super::options::shown;
use super::parse::{self, Link};
use super::signals;

/// What one server said to the three questions.
pub(super) struct Asked {
    /// The server.
    pub(super) server: Server,
    /// Its answers for A, AAAA and SOA, where they came.
    pub(super) replies: [Option<Result<Message, Gap>>; 3],
}

/// One name of the chain, at the servers of its zone.
pub(super) struct LinkState {
    /// The name.
    pub(super) name: Name,
    /// The zone that it is in, where it is known.
    pub(super) zone: Option<Name>,
    /// Why its servers are not known.
    pub(super) gap: Option<Gap>,
    /// Its servers.
    pub(super) servers: Vec<Asked>,
}

/// What the look saw, as its signals.
pub(super) fn report(links: &[LinkState]) -> Look {
    let (mut servers, mut chain) = (Vec::new(), Records::default());
    let mut ttl: Result<Option<Duration>, Gap> = Ok(None);
    for link in links {
        // A server's answer may lead through names of its zone that are links of their own: they bring no new record.
        let mut known = false;
        let mut first: Option<Gap> = link.gap.clone();
        if let Some(gap) = &link.gap {
            servers.push(row(link, "", None, (parse::code(gap), gap.detail.clone()), &Asked::none()));
        }
        for asked in &link.servers {
            let who = shown(asked.server.addr);
            let late = || Err(Gap::new(Reason::TimedOut, &format!("{who}: no answer in time")));
            let [a, aaaa, _] = &asked.replies;
            let [a, aaaa] = [a, aaaa].map(|r| r.clone().unwrap_or_else(late));
            let mut outcome = parse::outcome([&a, &aaaa], &who);
            if outcome.0 == signals::OK {
                for (family, kind, reply) in [("A", RecordType::A, &a), ("AAAA", RecordType::AAAA, &aaaa)] {
                    let Ok(message) = reply else { continue };
                    match parse::chain(message, &link.name, kind, link.zone.as_ref()) {
                        Ok(found) => {
                            known |= !found.links.is_empty();
                            chain.add(family, found.links, &who);
                        }
                        Err(gap) => outcome = (gap.reason.code(), gap.detail),
                    }
                }
            } else {
                first = first.or(Some(reason_of(&a, &aaaa, &outcome, &who)));
            }
            servers.push(row(link, &asked.server.name, Some(&who), outcome, asked));
        }
        // A link of which nothing is known makes the whole chain's time to live unknown.
        match first {
            Some(gap) if !known && ttl.is_ok() => ttl = Err(gap),
            Some(_) | None => {}
        }
    }
    let largest = chain.0.iter().map(|r| r.link.ttl).max();
    let ttl = ttl.and_then(|_| largest.ok_or_else(|| Gap::new(Reason::Absent, "no record that leads to an address")));
    let mut look = Look::default();
    look.push(&signals::SERVERS, Ok(Value::Rows(servers)));
    look.push(&signals::CHAIN, Ok(Value::Rows(chain.rows())));
    look.push(&TTL, ttl.map(|t| Value::Span(Span(t))));
    look
}

impl Asked {
    fn none() -> Self {
        let addr = SocketAddr::from(([0, 0, 0, 0], 0));
        Self { server: Server { name: String::new(), addr }, replies: [None, None, None] }
    }
}

/// The gap that a link without an answer leaves.
fn reason_of(a: &Result<Message, Gap>, aaaa: &Result<Message, Gap>, outcome: &(&str, SafeText), who: &str) -> Gap {
    let of = |reply: &Result<Message, Gap>| match reply {
        Ok(message) => parse::gap(message, who),
        Err(gap) => Some(gap.clone()),
    };
    of(a).or_else(|| of(aaaa)).unwrap_or_else(|| Gap::new(Reason::Absent, &format!("{who}: {}", outcome.1)))
}

fn row(link: &LinkState, server: &str, address: Option<&str>, outcome: (&str, SafeText), asked: &Asked) -> Row {
    let [a, aaaa, soa] = &asked.replies;
    let said = |r: &Option<Result<Message, Gap>>| r.as_ref().and_then(|r| r.as_ref().ok()).cloned();
    let (a, aaaa) = (said(a), said(aaaa));
    let authoritative = a.as_ref().or(aaaa.as_ref()).map(|m| m.metadata.authoritative);
    let answers: usize =
        a.iter().chain(&aaaa).flat_map(|m| &m.answers).filter(|r| r.record_type() != RecordType::RRSIG).count();
    let wall = crate::clock::now().wall;
    let signed = a.iter().chain(&aaaa).filter_map(|m| parse::signed_until(m, wall)).min();
    let asked_soa = link.zone.as_ref().unwrap_or(&link.name);
    let soa = said(soa).filter(|m| m.metadata.authoritative).and_then(|m| parse::soa(&m, asked_soa));
    Row::default()
        .with("link", Value::text(&parse::text(&link.name)))
        .with("zone", link.zone.as_ref().map_or(Value::Null, |z| Value::text(&parse::text(z))))
        .with("server", Value::text(server))
        .with("address", address.map_or(Value::Null, Value::text))
        .with("outcome", Value::text(outcome.0))
        .with("detail", Value::Text(outcome.1))
        .with("aa", authoritative.map_or(Value::Null, Value::Bool))
        .with("serial", soa.as_ref().map_or(Value::Null, |s| Value::Int(i64::from(s.serial))))
        .with("signed_until", signed.map_or(Value::Null, Value::Time))
        .with("answers", Value::Int(i64::try_from(answers).unwrap_or(i64::MAX)))
}

/// Distinct records, with who says so.
#[derive(Default)]
struct Records(Vec<Record>);

struct Record {
    family: &'static str,
    link: Link,
    servers: Vec<String>,
}

impl Records {
    fn add(&mut self, family: &'static str, links: Vec<Link>, server: &str) {
        for link in links {
            match self.0.iter_mut().find(|r| r.family == family && r.link == link) {
                Some(record) if record.servers.iter().any(|s| s == server) => {}
                Some(record) => record.servers.push(server.to_owned()),
                None => self.0.push(Record { family, link, servers: vec![server.to_owned()] }),
            }
        }
    }

    fn rows(&self) -> Vec<Row> {
        self.0.iter().map(|r| r.link.row(r.family).with("servers", Value::text(&r.servers.join(", ")))).collect()
    }
}
