//! The lane that asks every authoritative server of every link of the chain, directly.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};
use tokio::time::{Instant, timeout_at};

use crate::net::Net;
use crate::plan::LaneDecl;
use crate::readiness::{Gap, Reason};
use crate::systems::{Lane, Look, Looking};

use super::askers::{Askers, Zone, not_asked, system_resolvers};
use super::exchange::{LONGEST, ask};
use super::options::Dns;
use super::parse::{self, MOST_LINKS};
use super::report::{Asked, LinkState, report};

/// How long before the deadline a look closes its books.
const MARGIN: Duration = Duration::from_millis(100);
/// Servers that were found are asked for this long where nobody can be asked for newer ones: when resolvers are down, the
/// authoritative servers may well be up.
const USABLE: Duration = Duration::from_secs(3_600);

/// Asks every authoritative server.
pub struct AuthoritativeLane {
    net: Arc<Net>,
    decl: LaneDecl,
    dns: Arc<Dns>,
    zones: HashMap<Name, Found>,
    /// The port of servers that NS records name: 53, but in tests.
    pub(super) port: u16,
}

#[derive(Clone)]
struct Found {
    zone: Zone,
    at: Instant,
}

const QUESTIONS: [RecordType; 3] = [RecordType::A, RecordType::AAAA, RecordType::SOA];

enum Done {
    Zone { link: usize, zone: Result<Zone, Gap> },
    Reply { link: usize, server: usize, question: usize, reply: Result<Message, Gap> },
}

type Work = FuturesUnordered<BoxFuture<'static, Done>>;

impl Lane for AuthoritativeLane {
    fn look(&mut self, deadline: Instant) -> Looking<'_> {
        Box::pin(async move {
            match self.chain(deadline).await {
                Ok(links) => report(&links),
                Err(gap) => Look::failed(&self.decl, &gap),
            }
        })
    }
}

impl AuthoritativeLane {
    /// Makes it. Connects nowhere.
    #[must_use]
    pub fn new(net: Arc<Net>, decl: LaneDecl, dns: Dns) -> Self {
        Self { net, decl, dns: Arc::new(dns), zones: HashMap::new(), port: 53 }
    }

    /// Follows the chain, asking all servers of each link at once. The first good answer shows the next link, so that a
    /// dead server does not hold up the rest.
    async fn chain(&mut self, deadline: Instant) -> Result<Vec<LinkState>, Gap> {
        let close = deadline.checked_sub(MARGIN).unwrap_or(deadline);
        let mut work: Work = FuturesUnordered::new();
        let mut links = Vec::new();
        self.begin(&mut work, &mut links, parse::fqdn(&self.dns.record)?, close);
        while let Ok(Some(done)) = timeout_at(close, work.next()).await {
            match done {
                Done::Zone { link, zone } => self.found(&mut work, &mut links, link, zone, close),
                Done::Reply { link, server, question, reply } => {
                    let onward = onward(&links, link, question, &reply);
                    if let Some(at) = links.get_mut(link).and_then(|l| l.servers.get_mut(server)) {
                        at.replies.get_mut(question).map(|slot| slot.insert(reply));
                    }
                    if let Some(next) = onward
                        && links.len() < MOST_LINKS
                        && !links.iter().any(|l| l.name == next)
                    {
                        self.begin(&mut work, &mut links, next, close);
                    }
                }
            }
        }
        for link in links.iter_mut().filter(|l| l.servers.is_empty() && l.gap.is_none()) {
            let late = format!("the servers of {} were not found in time", parse::text(&link.name));
            link.gap = Some(Gap::new(Reason::TimedOut, &late));
        }
        match links.first_mut().and_then(|l| l.gap.take()) {
            Some(gap) => Err(gap),
            None => Ok(links),
        }
    }

    /// Begins with one link: its zone as it was found before, or looks for it.
    fn begin(&self, work: &mut Work, links: &mut Vec<LinkState>, name: Name, deadline: Instant) {
        let link = links.len();
        let home = links.first().and_then(|l| l.zone.clone());
        links.push(LinkState { name: name.clone(), zone: None, gap: None, servers: Vec::new() });
        if let Some(found) = self.zones.get(&name).filter(|f| f.at.elapsed() < f.zone.fresh_for) {
            let zone = Ok(found.zone.clone());
            work.push(Box::pin(async move { Done::Zone { link, zone } }));
            return;
        }
        let (net, dns, port) = (Arc::clone(&self.net), Arc::clone(&self.dns), self.port);
        work.push(Box::pin(async move {
            let zone = find(net, &dns, &name, link == 0, home, port, deadline).await.map_err(not_asked);
            Done::Zone { link, zone }
        }));
    }

    /// Asks every server of a link's zone.
    fn found(
        &mut self,
        work: &mut Work,
        links: &mut [LinkState],
        link: usize,
        zone: Result<Zone, Gap>,
        deadline: Instant,
    ) {
        let Some(state) = links.get_mut(link) else { return };
        let zone = match zone {
            Ok(zone) => {
                let known = self.zones.get(&state.name).is_some_and(|f| f.at.elapsed() < f.zone.fresh_for);
                if !known {
                    // The chain is short; names that it no longer holds are dropped with the whole cache.
                    if self.zones.len() > 2 * MOST_LINKS {
                        self.zones.clear();
                    }
                    self.zones.insert(state.name.clone(), Found { zone: zone.clone(), at: Instant::now() });
                }
                zone
            }
            Err(gap) => match self.zones.get(&state.name).filter(|f| f.at.elapsed() < USABLE) {
                Some(found) => found.zone.clone(),
                None => {
                    state.gap = Some(gap);
                    return;
                }
            },
        };
        for (index, server) in zone.servers.iter().enumerate() {
            for (question, kind) in QUESTIONS.into_iter().enumerate() {
                let apex = zone.name.as_ref().filter(|_| kind == RecordType::SOA);
                let name = apex.unwrap_or(&state.name).clone();
                let (net, addr, query) = (Arc::clone(&self.net), server.addr, Query::query(name, kind));
                work.push(Box::pin(async move {
                    let reply = ask(&net, addr, &query, false, deadline).await;
                    Done::Reply { link, server: index, question, reply }
                }));
            }
        }
        state.servers = zone.servers.into_iter().map(|server| Asked { server, replies: [None, None, None] }).collect();
        state.zone = zone.name;
    }
}

/// Finds a link's zone and its servers: those that the plan names, for the record itself and for what is in its zone
/// (`home`), else by NS records.
async fn find(
    net: Arc<Net>,
    dns: &Dns,
    name: &Name,
    first: bool,
    home: Option<Name>,
    port: u16,
    deadline: Instant,
) -> Result<Zone, Gap> {
    let resolvers = if dns.resolvers.is_empty() { system_resolvers().await? } else { dns.resolvers.clone() };
    let resolvers = Askers { net: Arc::clone(&net), servers: resolvers, recurse: true, port };
    let configured = !dns.servers.is_empty();
    let fresh_for = Duration::from_secs(300);
    if !(configured && first) {
        let zone = resolvers.zone_of(name, deadline).await?;
        if !configured || home.as_ref() != Some(&zone) {
            return resolvers.servers_of(zone, deadline).await;
        }
        let servers = resolvers.resolved(dns.servers.clone(), deadline).await?;
        return Ok(Zone { name: Some(zone), servers, fresh_for });
    }
    let servers = resolvers.resolved(dns.servers.clone(), deadline).await?;
    let addresses = servers.iter().map(|s| s.addr).collect();
    let asked = Askers { net, servers: addresses, recurse: false, port };
    // Which zone it is matters for the serials alone; servers that do not even say that are asked all the same.
    let zone_by = deadline.min(Instant::now() + LONGEST);
    match asked.zone_of(name, zone_by).await {
        Ok(zone) => Ok(Zone { name: Some(zone), servers, fresh_for }),
        Err(_) => Ok(Zone { name: None, servers, fresh_for: Duration::ZERO }),
    }
}

/// The name that an answer leads to and does not answer itself.
fn onward(links: &[LinkState], link: usize, question: usize, reply: &Result<Message, Gap>) -> Option<Name> {
    let state = links.get(link)?;
    let kind = *QUESTIONS.get(question).filter(|k| **k != RecordType::SOA)?;
    let message = reply.as_ref().ok().filter(|m| m.metadata.authoritative)?;
    parse::chain(message, &state.name, kind, state.zone.as_ref()).ok()?.onward
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use hickory_proto::op::ResponseCode;

    use super::super::fake::{Fake, zone_answer};
    use super::*;
    use crate::plan::{Span, Subject};
    use crate::readiness::signals::TTL;
    use crate::readiness::{Row, Value};
    use crate::systems::dns::options::{ServerName, SiteAnswer};
    use crate::systems::dns::signals;

    fn lane(dns: Dns) -> AuthoritativeLane {
        let expects = [signals::SERVERS, signals::CHAIN, TTL].into();
        let decl = LaneDecl { subject: Subject::part("authoritative"), server: "servers".into(), expects };
        AuthoritativeLane::new(Net::new(), decl, dns)
    }

    fn dns(servers: &[&Fake]) -> Dns {
        let name = |f: &&Fake| ServerName { host: f.addr.ip().to_string(), port: f.addr.port() };
        Dns {
            record: "shop.example.com".into(),
            answers: vec![SiteAnswer { site: crate::plan::SiteId::new("east"), addresses: vec![], names: vec![] }],
            resolvers: vec![SocketAddr::from(([127, 0, 0, 1], 9))],
            servers: servers.iter().map(name).collect(),
            max_ttl: None,
            endpoint: None,
        }
    }

    async fn look(lane: &mut AuthoritativeLane) -> Look {
        lane.look(Instant::now() + Duration::from_secs(3)).await
    }

    fn rows<'a>(look: &'a Look, signal: &crate::plan::SignalId) -> &'a [Row] {
        match &look.observed.iter().find(|o| o.signal == *signal).unwrap().value {
            Ok(Value::Rows(rows)) => rows,
            other => panic!("{other:?}"),
        }
    }

    fn outcomes(look: &Look) -> Vec<String> {
        let of = |r: &Row| r.text("outcome").unwrap().unwrap().to_string();
        rows(look, &signals::SERVERS).iter().map(of).collect()
    }

    fn ttl(look: &Look) -> Result<Value, Reason> {
        look.observed.iter().find(|o| o.signal == TTL).unwrap().value.clone().map_err(|g| g.reason)
    }

    #[tokio::test]
    async fn every_server_is_asked_and_each_failure_has_its_code() {
        let good = Fake::start(|q, _| vec![zone_answer(q, 7)]).await;
        let silent = Fake::start(|_, _| vec![]).await;
        let error = |code| Fake::start(move |q, _| vec![super::super::fake::error(q, code)]);
        let (refuses, fails) = (error(ResponseCode::Refused).await, error(ResponseCode::ServFail).await);
        let lame = Fake::start(|q, _| {
            let mut m = Message::from_vec(&zone_answer(q, 7)).unwrap();
            m.metadata.authoritative = false;
            vec![m.to_vec().unwrap()]
        })
        .await;
        let garbage = Fake::start(|q, _| vec![[&q[..2], b"what?"].concat()]).await;
        let mut lane = lane(dns(&[&good, &silent, &refuses, &fails, &lame, &garbage]));
        let look = look(&mut lane).await;
        let [ok, silent, refused, failed, lame, garbage] = &outcomes(&look)[..] else { panic!("{look:?}") };
        assert_eq!(
            [ok, silent, refused, failed, lame].map(String::as_str),
            ["ok", "timed-out", "dns-refused", "servfail", "not-authoritative"]
        );
        assert!(["timed-out", "malformed"].contains(&garbage.as_str()), "{garbage}");
        assert_eq!(ttl(&look), Ok(Value::Span(Span::secs(60))));
        assert_eq!(rows(&look, &signals::SERVERS)[0].int("serial"), Ok(Some(7)));
    }

    #[tokio::test]
    async fn a_name_that_is_gone_and_servers_that_are_dead() {
        let gone = Fake::start(|q, _| vec![super::super::fake::error(q, ResponseCode::NXDomain)]).await;
        let seen = look(&mut lane(dns(&[&gone]))).await;
        assert_eq!(outcomes(&seen), ["nxdomain"]);
        assert_eq!(ttl(&seen), Err(Reason::NxDomain));
        let silent = Fake::start(|_, _| vec![]).await;
        let began = Instant::now();
        let seen = look(&mut lane(dns(&[&silent]))).await;
        assert_eq!(outcomes(&seen), ["timed-out"]);
        assert_eq!(ttl(&seen), Err(Reason::TimedOut));
        assert!(began.elapsed() <= Duration::from_secs(3), "within the deadline");
    }

    /// The first link's answer holds the second link's record too: a dead server beside a good one leaves nothing unknown.
    #[tokio::test]
    async fn one_dead_server_leaves_the_time_to_live_of_a_cname_within_the_zone_known() {
        let good = Fake::start(|q, _| {
            vec![super::super::fake::scripted(
                q,
                true,
                &[
                    "shop.example.com. 60 CNAME front.example.com.",
                    "front.example.com. 20 A 192.0.2.1",
                    "example.com. 300 SOA 11",
                ],
            )]
        })
        .await;
        let mut options = dns(&[&good]);
        options.resolvers = vec![good.addr];
        let gone = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        options.servers.push(ServerName { host: gone.ip().to_string(), port: gone.port() });
        let seen = look(&mut lane(options)).await;
        assert_eq!(ttl(&seen), Ok(Value::Span(Span::secs(60))));
        assert_eq!(outcomes(&seen), ["ok", "refused", "ok", "refused"]);
    }

    /// A dead resolver is no proof about the record: its servers were not asked.
    #[tokio::test]
    async fn a_resolver_where_nobody_listens_leaves_the_record_unknown() {
        let gone = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut options = dns(&[]);
        options.resolvers = vec![gone];
        let seen = look(&mut lane(options.clone())).await;
        assert_eq!(ttl(&seen), Err(Reason::Unreachable));
        let decl = LaneDecl { subject: Subject::part("r"), server: "r".into(), expects: [signals::ANSWER].into() };
        let mut resolver =
            super::super::resolver::ResolverLane { net: Net::new(), decl, dns: options, resolver: Some(gone) };
        let seen = resolver.look(Instant::now() + Duration::from_secs(3)).await;
        assert_eq!(seen.observed[0].value.as_ref().map_err(|g| g.reason), Err(Reason::Unreachable));
    }

    /// Finds the zone and its servers through a resolver, follows a CNAME into another zone, and asks that zone's servers.
    #[tokio::test]
    async fn a_chain_that_leaves_the_zone_is_followed_at_the_next_zones_servers() {
        let one = Fake::start_at("127.0.0.2:0", |q, _| {
            vec![super::super::fake::scripted(
                q,
                true,
                &[
                    "shop.example.com. 60 CNAME lb.example.net.",
                    "example.com. 300 SOA 11",
                    "lb.example.net. 9999 A 10.9.9.9",
                ],
            )]
        })
        .await;
        let port = one.addr.port();
        let two = Fake::start_at(&format!("127.0.0.3:{port}"), |q, _| {
            vec![super::super::fake::scripted(q, true, &["lb.example.net. 45 A 192.0.2.1", "example.net. 300 SOA 12"])]
        })
        .await;
        let resolver = Fake::start(|q, _| {
            vec![super::super::fake::scripted(
                q,
                false,
                &[
                    "shop.example.com. 60 CNAME lb.example.net.",
                    "lb.example.net. 45 A 192.0.2.1",
                    "example.com. 300 SOA 11",
                    "example.com. 300 NS ns1.example.com.",
                    "ns1.example.com. 300 A 127.0.0.2",
                    "example.net. 300 SOA 12",
                    "example.net. 300 NS ns1.example.net.",
                    "ns1.example.net. 300 A 127.0.0.3",
                ],
            )]
        })
        .await;
        let mut options = dns(&[]);
        options.resolvers = vec![resolver.addr];
        let mut lane = lane(options);
        lane.port = port;
        let cold = look(&mut lane).await;
        let shown: Vec<String> = rows(&cold, &signals::CHAIN)
            .iter()
            .map(|r| {
                format!(
                    "{} {} {}",
                    r.text("name").unwrap().unwrap(),
                    r.text("data").unwrap().unwrap(),
                    r.span("ttl").unwrap().unwrap()
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                "shop.example.com lb.example.net 1m",
                "shop.example.com lb.example.net 1m",
                "lb.example.net 192.0.2.1 45s"
            ]
        );
        assert_eq!(outcomes(&cold), ["ok", "ok"]);
        let serials: Vec<_> = rows(&cold, &signals::SERVERS).iter().map(|r| r.int("serial").unwrap()).collect();
        assert_eq!(serials, [Some(11), Some(12)]);
        // Warm: the resolver is not asked again, and may be gone.
        let before = resolver.asked();
        drop(resolver);
        drop(two);
        let warm = look(&mut lane).await;
        assert!(before > 0);
        assert_eq!(outcomes(&warm)[0], "ok");
        assert!(ttl(&warm).is_err(), "a link without an answer leaves the TTL unknown");
    }
}
