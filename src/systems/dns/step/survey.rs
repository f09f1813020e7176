//! What every authoritative server says of the record now, and how far the resolvers have followed.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::time::Instant;

use crate::net::Net;
use crate::plan::Span;
use crate::readiness::{Gap, Reason};
use crate::runbook::Held;

use super::super::askers::{Askers, Server, system_resolvers};
use super::super::exchange::ask;
use super::super::options::{Dns, ServerName, SiteAnswer, shown};
use super::super::parse;
use super::edit::Values;

/// Looks in a row without an answer after which a server is out of reach, and not waited for.
const MISSES: u32 = 2;
/// How often a resolver that has moved is asked again: behind one address may be several, each with a cache of its own.
const MORE: u32 = 4;
/// The port of servers that NS records name.
const PORT: u16 = 53;

/// What one authoritative server said.
#[derive(Clone, Debug)]
pub struct Said {
    /// Its name, or its address.
    pub name: String,
    /// Its address.
    pub addr: SocketAddr,
    /// What it has at the record, or why that is not known.
    pub values: Result<Values, Gap>,
    /// The zone's serial there.
    pub serial: Option<u32>,
}

impl Said {
    /// As it is named to people: `ns1.example.com (192.0.2.53)`, or the address alone.
    #[must_use]
    pub fn who(&self) -> String {
        let addr = shown(self.addr);
        if self.name == self.addr.ip().to_string() { addr } else { format!("{} ({addr})", self.name) }
    }
}

/// How often each server was silent, in a row.
pub type Misses = HashMap<SocketAddr, u32>;

/// What all of them said.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// Each server.
    pub said: Vec<Said>,
    /// Why the zone's servers could not be found, where they could not.
    pub unfound: Option<Gap>,
}

impl Survey {
    /// Those that answered as authorities, and what.
    pub fn answers(&self) -> impl Iterator<Item = (&Said, &Values)> {
        self.said.iter().filter_map(|s| Some((s, s.values.as_ref().ok()?)))
    }

    /// What they all have, where all that answer have the same.
    #[must_use]
    pub fn agreed(&self) -> Option<&Values> {
        let mut all = self.answers().map(|(_, v)| v);
        let first = all.next()?;
        all.all(|v| v.same(first)).then_some(first)
    }

    /// Those that did not answer, and why, in words.
    #[must_use]
    pub fn silent(&self) -> String {
        let failed =
            self.said.iter().filter_map(|s| Some(format!("{}: {}", s.who(), s.values.as_ref().err()?.reason.words())));
        let unfound = self.unfound.iter().map(|gap| format!("the zone's servers were not found: {gap}"));
        failed.chain(unfound).collect::<Vec<_>>().join("; ")
    }

    /// Whether every server that can be reached has what the plan says of a site. Those that cannot are named; one that is
    /// silent is looked at again before it counts as out of reach.
    #[must_use]
    pub fn judge(&self, site: &SiteAnswer, misses: Option<&Misses>) -> (Held, String) {
        let silent = self.silent();
        let not = if silent.is_empty() { String::new() } else { format!("; not seen: {silent}") };
        let (all, moved) = (self.said.len(), self.answers().filter(|(_, v)| v.are(site)).count());
        if let Some((behind, values)) = self.answers().find(|(_, v)| !v.are(site)) {
            let why = format!(
                "{moved} of {all} authoritative servers have moved; {} has {}{not}",
                behind.who(),
                values.words()
            );
            return (Held::Fails, why);
        }
        if moved == 0 {
            return (Held::Unknown, format!("no authoritative server answers: {silent}"));
        }
        let missed = |s: &Said| misses.is_some_and(|m| m.get(&s.addr).copied().unwrap_or_default() < MISSES);
        // Of servers that were not even found, nobody knows what they have.
        let waits = self.unfound.is_some() || self.said.iter().any(|s| s.values.is_err() && missed(s));
        let why = format!("{moved} of {all} authoritative servers have {}{not}", site.site);
        (if waits { Held::Unknown } else { Held::Holds }, why)
    }

    /// Counts who was silent.
    pub fn count(&self, misses: &mut Misses) {
        for said in &self.said {
            let missed = misses.entry(said.addr).or_default();
            *missed = if said.values.is_ok() { 0 } else { missed.saturating_add(1) };
        }
    }
}

/// The zone's servers: those that the probe names, else those of the NS records, as the resolvers have them, or the
/// primary itself where no resolver answers.
///
/// # Errors
/// Why they cannot be found.
pub async fn servers(
    net: &Arc<Net>,
    dns: &Dns,
    zone: &Name,
    primary: &[SocketAddr],
    deadline: Instant,
) -> Result<Vec<Server>, Gap> {
    let askers = |servers, recurse| Askers { net: Arc::clone(net), servers, recurse, port: PORT };
    let resolvers = if dns.resolvers.is_empty() { system_resolvers().await } else { Ok(dns.resolvers.clone()) };
    if !dns.servers.is_empty() {
        return askers(resolvers.unwrap_or_default(), true).resolved(dns.servers.clone(), deadline).await;
    }
    let by_resolvers = async {
        let found = askers(resolvers?, true).servers_of(zone.clone(), deadline).await?;
        Ok(found.servers)
    };
    if primary.is_empty() {
        return by_resolvers.await;
    }
    let own = askers(primary.to_vec(), false);
    let (by_resolvers, by_primary) = tokio::join!(by_resolvers, own.servers_of(zone.clone(), deadline));
    by_resolvers.or_else(|gap: Gap| by_primary.map(|z| z.servers).map_err(|_| gap))
}

/// The addresses of a server that is named.
///
/// # Errors
/// Why it has none.
pub async fn addresses(net: &Net, server: &ServerName, deadline: Instant) -> Result<Vec<SocketAddr>, Gap> {
    let ips = net.addresses(&server.host, deadline).await?;
    Ok(ips.into_iter().map(|ip| SocketAddr::new(ip, server.port)).collect())
}

/// Asks every server for the record and for the zone's serial.
pub async fn survey(net: &Arc<Net>, record: &Name, zone: &Name, servers: Vec<Server>, deadline: Instant) -> Vec<Said> {
    join_all(servers.into_iter().map(|s| one(net, record, zone, s, deadline))).await
}

async fn one(net: &Net, record: &Name, zone: &Name, server: Server, deadline: Instant) -> Said {
    let asked = |name: &Name, kind| Query::query(name.clone(), kind);
    let (a, aaaa, soa) = (asked(record, RecordType::A), asked(record, RecordType::AAAA), asked(zone, RecordType::SOA));
    let addr = server.addr;
    let (a, aaaa, soa) = tokio::join!(
        ask(net, addr, &a, false, deadline),
        ask(net, addr, &aaaa, false, deadline),
        ask(net, addr, &soa, false, deadline),
    );
    let who = shown(addr);
    let both = || {
        let mut values = own(&a?, record, &who)?;
        values.join(own(&aaaa?, record, &who)?);
        Ok(values)
    };
    let values = both();
    let soa = soa.ok().filter(|m| m.metadata.authoritative).and_then(|m| parse::soa(&m, zone));
    let soa = soa.filter(|s| s.zone == *zone);
    let strange = || Gap::new(Reason::QueryFailed, &format!("{who}: no authority for the zone {}", parse::text(zone)));
    let values = values.and_then(|v| if soa.is_some() { Ok(v) } else { Err(strange()) });
    Said { name: server.name, addr, values, serial: soa.map(|s| s.serial) }
}

/// What an authority has at the record. That it has nothing is an answer.
fn own(message: &Message, record: &Name, who: &str) -> Result<Values, Gap> {
    if !message.metadata.authoritative {
        let gap = parse::gap(message, who);
        return Err(gap.unwrap_or_else(|| Gap::new(Reason::QueryFailed, &format!("{who}: answers without authority"))));
    }
    match parse::gap(message, who) {
        Some(gap) if gap.reason != Reason::NxDomain => Err(gap),
        Some(_) | None => Ok(Values::of(message, record)),
    }
}

/// How far one resolver is.
#[derive(Clone, Debug)]
pub enum Followed {
    /// It answers with the site.
    Moved,
    /// It still answers with something else, for at most this long.
    Behind(Duration),
    /// It does not answer, or not with an answer.
    Silent(Gap),
}

/// All resolvers, and how far each is.
#[derive(Clone, Debug, Default)]
pub struct Followers(pub Vec<(SocketAddr, Followed)>);

impl Followers {
    /// Asks the resolvers that users use.
    ///
    /// # Errors
    /// Where there are none.
    pub async fn ask(net: &Arc<Net>, dns: &Dns, site: &SiteAnswer, deadline: Instant) -> Result<Self, Gap> {
        let resolvers = if dns.resolvers.is_empty() { system_resolvers().await? } else { dns.resolvers.clone() };
        let name = parse::fqdn(&dns.record)?;
        let name = &name;
        let each = resolvers.into_iter().map(|r| async move { (r, follower(net, r, name, site, deadline).await) });
        Ok(Self(join_all(each).await))
    }

    fn moved(&self) -> usize {
        self.0.iter().filter(|(_, f)| matches!(f, Followed::Moved)).count()
    }

    /// The longest that any resolver keeps what it has.
    #[must_use]
    pub fn worst(&self) -> Option<Duration> {
        let left = |(_, f): &(SocketAddr, Followed)| match f {
            Followed::Behind(left) => Some(*left),
            Followed::Moved | Followed::Silent(_) => None,
        };
        self.0.iter().filter_map(left).max()
    }

    /// `5 of 7 resolvers moved; worst remaining TTL 43 s; no answer from 192.0.2.1`.
    #[must_use]
    pub fn words(&self) -> String {
        let mut out = format!("{} of {} resolvers moved", self.moved(), self.0.len());
        if let Some(worst) = self.worst() {
            out += &format!("; worst remaining TTL {} s", Span(worst).0.as_secs());
        }
        let silent = |(at, f): &(SocketAddr, Followed)| match f {
            Followed::Silent(gap) => Some(format!("{} ({})", shown(*at), gap.reason.words())),
            Followed::Moved | Followed::Behind(..) => None,
        };
        let silent: Vec<String> = self.0.iter().filter_map(silent).collect();
        if !silent.is_empty() {
            out += &format!("; no answer from {}", silent.join(", "));
        }
        out
    }

    /// Whether every resolver that can be reached has moved. One that is silent is asked again before it counts as out of
    /// reach.
    #[must_use]
    pub fn judge(&self, misses: Option<&Misses>) -> Held {
        if self.worst().is_some() {
            return Held::Fails;
        }
        let missed = |at: &SocketAddr| misses.is_some_and(|m| m.get(at).copied().unwrap_or_default() < MISSES);
        let waits = self.0.iter().any(|(at, f)| matches!(f, Followed::Silent(_)) && missed(at));
        if self.moved() == 0 || waits { Held::Unknown } else { Held::Holds }
    }

    /// Counts who was silent.
    pub fn count(&self, misses: &mut Misses) {
        for (at, followed) in &self.0 {
            let missed = misses.entry(*at).or_default();
            *missed = if matches!(followed, Followed::Silent(_)) { missed.saturating_add(1) } else { 0 };
        }
    }
}

/// How far a resolver is: moved where it says so at each of several questions.
async fn follower(net: &Net, at: SocketAddr, name: &Name, site: &SiteAnswer, deadline: Instant) -> Followed {
    let first = answer(net, at, name, site, deadline).await;
    if !matches!(first, Followed::Moved) {
        return first;
    }
    let more = join_all((0..MORE).map(|_| answer(net, at, name, site, deadline))).await;
    let behind = more.into_iter().filter_map(|f| match f {
        Followed::Behind(left) => Some(left),
        Followed::Moved | Followed::Silent(_) => None,
    });
    behind.max().map_or(Followed::Moved, Followed::Behind)
}

async fn answer(net: &Net, at: SocketAddr, name: &Name, site: &SiteAnswer, deadline: Instant) -> Followed {
    let asked = [RecordType::A, RecordType::AAAA].map(|kind| Query::query(name.clone(), kind));
    let [a, aaaa] = &asked;
    let (a, aaaa) = tokio::join!(ask(net, at, a, true, deadline), ask(net, at, aaaa, true, deadline));
    let mut values = Values::default();
    let mut left = Duration::ZERO;
    for reply in [a, aaaa] {
        let message = match reply {
            Ok(message) => message,
            Err(gap) => return Followed::Silent(gap),
        };
        match parse::gap(&message, &shown(at)) {
            Some(gap) if gap.reason != Reason::NxDomain => return Followed::Silent(gap),
            Some(_) | None => {}
        }
        let own = Values::of(&message, name);
        left = left.max(kept(&message, &own));
        values.join(own);
    }
    if values.are(site) { Followed::Moved } else { Followed::Behind(left) }
}

/// How long a resolver keeps what it said: what it has by its time to live, that there is nothing by the zone's own
/// (RFC 2308 section 5).
fn kept(message: &Message, own: &Values) -> Duration {
    let negative = message.authorities.iter().find_map(|r| match &r.data {
        RData::SOA(soa) => Some(r.ttl.min(soa.minimum)),
        _ => None,
    });
    Duration::from_secs(u64::from(own.ttl().or(negative).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::super::edit::Kind;
    use super::*;
    use crate::plan::SiteId;

    fn site() -> SiteAnswer {
        SiteAnswer { site: SiteId::new("west"), addresses: vec!["198.51.100.10".parse().unwrap()], names: vec![] }
    }

    fn said(port: u16, address: Result<&str, Reason>) -> Said {
        let values = address.map_err(Gap::from).map(|a| {
            let mut values = Values::default();
            values.add(Kind::A, 20, a.to_owned());
            values
        });
        Said { name: "127.0.0.1".into(), addr: SocketAddr::from(([127, 0, 0, 1], port)), values, serial: Some(1) }
    }

    fn judged(said: Vec<Said>, misses: Option<&Misses>) -> (Held, String) {
        Survey { said, unfound: None }.judge(&site(), misses)
    }

    #[test]
    fn all_that_can_be_reached_must_have_moved() {
        const NEW: &str = "198.51.100.10";
        let (held, why) = judged(vec![said(1, Ok(NEW)), said(2, Ok(NEW))], None);
        assert_eq!((held, why.as_str()), (Held::Holds, "2 of 2 authoritative servers have west"));
        let (held, why) = judged(vec![said(1, Ok(NEW)), said(2, Ok("192.0.2.10"))], None);
        assert_eq!(held, Held::Fails);
        assert_eq!(why, "1 of 2 authoritative servers have moved; 127.0.0.1:2 has A 192.0.2.10 (20s)");
        let partly = || vec![said(1, Ok(NEW)), said(2, Err(Reason::TimedOut))];
        let (held, why) = judged(partly(), None);
        assert_eq!(held, Held::Holds);
        assert!(why.contains("not seen: 127.0.0.1:2: "), "{why}");
        let mut misses = Misses::new();
        let survey = Survey { said: partly(), unfound: None };
        survey.count(&mut misses);
        assert_eq!(survey.judge(&site(), Some(&misses)).0, Held::Unknown, "it is looked at again");
        survey.count(&mut misses);
        assert_eq!(survey.judge(&site(), Some(&misses)).0, Held::Holds);
        assert_eq!(judged(vec![said(2, Err(Reason::TimedOut))], None).0, Held::Unknown);
        assert_eq!(judged(vec![], None).0, Held::Unknown);
        let survey = Survey { said: vec![said(1, Ok(NEW))], unfound: Some(Reason::TimedOut.into()) };
        assert_eq!(survey.judge(&site(), None).0, Held::Unknown, "there may be others");
    }

    #[test]
    fn resolvers_are_counted_with_the_worst_time_left() {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let behind = |secs| Followed::Behind(Duration::from_secs(secs));
        let some = Followers(vec![(at(1), Followed::Moved), (at(2), behind(43)), (at(3), behind(12))]);
        assert_eq!(some.words(), "1 of 3 resolvers moved; worst remaining TTL 43 s");
        assert_eq!(some.judge(None), Held::Fails);
        let silent = Followers(vec![(at(1), Followed::Moved), (at(53), Followed::Silent(Reason::TimedOut.into()))]);
        assert!(silent.words().starts_with("1 of 2 resolvers moved; no answer from 127.0.0.1 ("), "{}", silent.words());
        let mut misses = Misses::new();
        silent.count(&mut misses);
        assert_eq!(silent.judge(Some(&misses)), Held::Unknown);
        silent.count(&mut misses);
        assert_eq!(silent.judge(Some(&misses)), Held::Holds);
        assert_eq!(Followers(vec![(at(3), Followed::Silent(Reason::TimedOut.into()))]).judge(None), Held::Unknown);
        assert_eq!(Followers::default().judge(None), Held::Unknown);
    }
}
