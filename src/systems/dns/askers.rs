//! Questions to whichever of several servers answers first: to find zones, their servers, and those servers' addresses.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use tokio::time::Instant;

use crate::net::Net;
use crate::readiness::{Gap, Reason};

use super::exchange::ask;
use super::options::ServerName;
use super::parse;

/// Most servers of one zone that are asked.
const MOST_SERVERS: usize = 16;
/// Most labels that are walked up to find a zone.
const MOST_LABELS: usize = 16;
/// What was found is used for at most this long before it is looked for again.
const FRESH_AT_MOST: Duration = Duration::from_secs(300);
/// And no less than this, whatever its TTL: each look would look for it anew.
const FRESH_AT_LEAST: Duration = Duration::from_secs(30);

/// A resolver where nobody listens: it is not what the plan protects, and says nothing of the record. So it is out of
/// reach, and no proof that anything of the plan is down.
#[must_use]
pub fn not_asked(gap: Gap) -> Gap {
    if gap.reason == Reason::Refused {
        Gap::new(Reason::Unreachable, &format!("{}: nobody listens there", gap.detail))
    } else {
        gap
    }
}

/// One authoritative server's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// Its address.
    pub addr: SocketAddr,
}

/// A zone and its servers.
#[derive(Clone, Debug)]
pub struct Zone {
    /// The zone, where it could be found.
    pub name: Option<Name>,
    /// Every address of every server.
    pub servers: Vec<Server>,
    /// How long this may be used before it is looked for again.
    pub fresh_for: Duration,
}

/// Servers to ask, and how.
#[derive(Clone, Debug)]
pub struct Askers {
    /// The machinery.
    pub net: Arc<Net>,
    /// Whom to ask.
    pub servers: Vec<SocketAddr>,
    /// Whether they are to ask on.
    pub recurse: bool,
    /// The port of the servers that NS records name: 53.
    pub port: u16,
}

impl Askers {
    /// The first good answer; else the answer or the gap that says most.
    ///
    /// # Errors
    /// Why nobody answered.
    pub async fn ask(&self, name: &Name, kind: RecordType, deadline: Instant) -> Result<Message, Gap> {
        let question = Query::query(name.clone(), kind);
        let mut asked: FuturesUnordered<_> =
            self.servers.iter().map(|s| ask(&self.net, *s, &question, self.recurse, deadline)).collect();
        let mut failed: Option<Gap> = None;
        while let Some(reply) = asked.next().await {
            let gap = match reply {
                Ok(m) if matches!(m.metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain) => {
                    return Ok(m);
                }
                Ok(m) => parse::gap(&m, "resolver").unwrap_or(Reason::QueryFailed.into()),
                Err(gap) => gap,
            };
            failed = failed.or(Some(gap));
        }
        Err(failed.unwrap_or_else(|| Gap::new(Reason::NotConfigured, "no resolver to ask")))
    }

    /// The zone that a name is in: the answer to a question for its SOA says so, else its parent's.
    ///
    /// # Errors
    /// Why nobody could say.
    pub async fn zone_of(&self, name: &Name, deadline: Instant) -> Result<Name, Gap> {
        let mut at = name.clone();
        for _ in 0..MOST_LABELS {
            let message = self.ask(&at, RecordType::SOA, deadline).await?;
            if let Some(soa) = parse::soa(&message, &at) {
                return Ok(soa.zone);
            }
            if at.is_root() {
                break;
            }
            at = at.base_name();
        }
        Err(Gap::new(Reason::Malformed, &format!("nobody says which zone {} is in", parse::text(name))))
    }

    /// Every address of a host.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn addresses(&self, host: &str, deadline: Instant) -> Result<Vec<IpAddr>, Gap> {
        if let Ok(ip) = host.parse() {
            return Ok(vec![ip]);
        }
        let name = parse::fqdn(host)?;
        let of = |kind| async move {
            let message = self.ask(&name.clone(), kind, deadline).await?;
            match parse::gap(&message, "resolver") {
                Some(gap) => Err(gap),
                None => parse::chain(&message, &name, kind, None),
            }
        };
        let of = &of;
        let (a, aaaa) = tokio::join!(of.clone()(RecordType::A), of.clone()(RecordType::AAAA));
        let chains = match (a, aaaa) {
            (Err(gap), Err(_)) => return Err(gap),
            (a, aaaa) => [a.unwrap_or_default(), aaaa.unwrap_or_default()],
        };
        let found: Vec<IpAddr> = chains.iter().flat_map(|c| &c.links).filter_map(|l| l.data.parse().ok()).collect();
        if found.is_empty() { Err(Gap::new(Reason::Absent, &format!("{host} has no address"))) } else { Ok(found) }
    }

    /// A zone's servers by its NS records, with all their addresses.
    ///
    /// # Errors
    /// Why they cannot be found.
    pub async fn servers_of(&self, zone: Name, deadline: Instant) -> Result<Zone, Gap> {
        let message = self.ask(&zone, RecordType::NS, deadline).await?;
        let (names, ttl) = parse::servers(&message, &zone);
        if names.is_empty() {
            let none = format!("no NS records of {} in the answer", parse::text(&zone));
            return Err(Gap::new(Reason::Absent, &none));
        }
        let names = names.iter().map(|n| ServerName { host: parse::text(n), port: self.port });
        let servers = self.resolved(names.collect(), deadline).await?;
        Ok(Zone { name: Some(zone), servers, fresh_for: ttl.clamp(FRESH_AT_LEAST, FRESH_AT_MOST) })
    }

    /// The addresses of named servers. One that has none is left out, unless none has one.
    ///
    /// # Errors
    /// Why the first has none, where none has one.
    pub async fn resolved(&self, names: Vec<ServerName>, deadline: Instant) -> Result<Vec<Server>, Gap> {
        let look_up =
            names.iter().take(MOST_SERVERS).map(|n| async move { (n, self.addresses(&n.host, deadline).await) });
        let mut servers: Vec<Server> = Vec::new();
        let mut failed = None;
        for (name, found) in futures_util::future::join_all(look_up).await {
            match found {
                Ok(ips) => servers.extend(
                    ips.into_iter().map(|ip| Server { name: name.host.clone(), addr: SocketAddr::new(ip, name.port) }),
                ),
                Err(gap) => failed = failed.or(Some(Gap::new(gap.reason, &gap.about(&name.host)))),
            }
        }
        servers.truncate(MOST_SERVERS);
        match failed {
            Some(gap) if servers.is_empty() => Err(gap),
            Some(_) | None => Ok(servers),
        }
    }
}

/// The name servers of this machine's configuration (`/etc/resolv.conf`), as its programs use them.
///
/// # Errors
/// `Unreachable` where it cannot be read or names none.
pub async fn system_resolvers() -> Result<Vec<SocketAddr>, Gap> {
    let read = tokio::task::spawn_blocking(hickory_resolver::system_conf::read_system_conf).await;
    let gap = |why: &dyn std::fmt::Display| {
        Gap::new(Reason::Unreachable, &format!("the system's resolver configuration cannot be used: {why}"))
    };
    let (config, _) = read.map_err(|e| gap(&e))?.map_err(|e| gap(&e))?;
    let port = |s: &hickory_resolver::config::NameServerConfig| s.connections.first().map_or(53, |c| c.port);
    let found: Vec<SocketAddr> = config.name_servers().iter().map(|s| SocketAddr::new(s.ip, port(s))).collect();
    if found.is_empty() { Err(gap(&"it names no server")) } else { Ok(found) }
}
