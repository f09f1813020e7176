//! The zone of the world's services, its authoritative server, and the resolvers that users use.

mod resolver;
#[cfg(test)]
mod tests;
mod zone;

use std::net::{IpAddr, Ipv4Addr};

use hickory_proto::op::Query;
use hickory_proto::rr::{Name, RData, RecordType};

use super::Tick;
use super::network::Site;
pub use resolver::Resolver;
pub use zone::{Answer, Zone, address};

/// The zone that everything is in.
pub const ZONE: &str = "practice.example";
/// The time to live that its records have, in seconds, while nobody changes it.
pub const TTL: u32 = 30;
/// How many resolvers there are.
pub const RESOLVERS: usize = 2;

/// What the record of a service answers where traffic goes to a site: an address of loopback, of this site alone.
#[must_use]
pub const fn front(site: Site) -> IpAddr {
    match site {
        Site::East => IpAddr::V4(Ipv4Addr::new(127, 0, 1, 1)),
        Site::West => IpAddr::V4(Ipv4Addr::new(127, 0, 2, 1)),
    }
}

/// A service, whose record moves its traffic.
#[derive(Clone, Debug)]
struct Service {
    /// Its name, before the zone's.
    name: &'static str,
    record: Name,
    /// Where its users go.
    site: Site,
}

/// What the world's DNS holds.
#[derive(Clone, Debug)]
pub struct Dns {
    zone: Option<Zone>,
    services: Vec<Service>,
    resolvers: [Resolver; RESOLVERS],
    /// Whether the authoritative server answers the resolvers.
    answers: bool,
}

impl Default for Dns {
    fn default() -> Self {
        let zone = Name::from_ascii(format!("{ZONE}.")).and_then(|name| Zone::new(&name, super::LOCAL, 2_026_112_801));
        Self { zone: zone.ok(), services: Vec::new(), resolvers: Default::default(), answers: true }
    }
}

impl Dns {
    /// With the record of one more service, whose users are in east.
    pub fn add(&mut self, name: &'static str) {
        let Ok(record) = Name::from_ascii(format!("{name}.{ZONE}.")) else { return };
        if let Some(zone) = &mut self.zone {
            zone.set(&record, TTL, vec![address(front(Site::East))]);
        }
        self.services.push(Service { name, record, site: Site::East });
    }

    /// The zone as its server has it.
    #[must_use]
    pub const fn zone(&self) -> Option<&Zone> {
        self.zone.as_ref()
    }

    /// The zone, to be changed by an update.
    pub const fn zone_mut(&mut self) -> Option<&mut Zone> {
        self.zone.as_mut()
    }

    /// What a resolver says, by its number; nothing where there is none of that number.
    pub fn resolve(
        &mut self,
        resolver: usize,
        question: &Query,
        recurse: bool,
        model: std::time::Duration,
    ) -> Option<Answer> {
        let zone = self.zone.as_ref().filter(|_| self.answers);
        Some(self.resolvers.get_mut(resolver)?.answer(zone, question, recurse, model))
    }

    /// A service's record gets this time to live, in seconds.
    pub fn set_ttl(&mut self, service: &str, ttl: u32) {
        let record = self.services.iter().find(|s| s.name == service).map(|s| s.record.clone());
        if let (Some(record), Some(zone)) = (record, &mut self.zone) {
            zone.set_ttl(&record, ttl);
        }
    }

    /// Somebody points a service's record to a site by hand, whatever runs there.
    pub fn point(&mut self, service: &str, site: Site) {
        let record = self.services.iter().find(|s| s.name == service).map(|s| s.record.clone());
        if let (Some(record), Some(zone)) = (record, &mut self.zone) {
            let ttl = zone.records().iter().find(|r| r.name == record).map_or(TTL, |r| r.ttl);
            zone.set(&record, ttl, vec![address(front(site))]);
        }
    }

    /// A service's record leads to a site, and has for long: every resolver knows it.
    pub fn moved_to(&mut self, service: &str, site: Site) {
        self.point(service, site);
        self.resolvers.iter_mut().for_each(Resolver::flush);
        self.services.iter_mut().filter(|s| s.name == service).for_each(|s| s.site = site);
    }

    /// Time goes by. Users look their services up all the while, so resolvers are never without an answer for long. Gives the
    /// services whose users all go to another site now. `answers`: whether the authoritative server does.
    pub(super) fn tick(&mut self, tick: Tick, answers: bool) -> Vec<(&'static str, Site)> {
        self.answers = answers;
        let zone = self.zone.as_ref().filter(|_| answers);
        let mut moved = Vec::new();
        for service in &mut self.services {
            let question = Query::query(service.record.clone(), RecordType::A);
            let told = self.resolvers.iter_mut().map(|r| goes(&r.answer(zone, &question, true, tick.model)));
            let sites: Vec<Option<Site>> = told.collect();
            let first = sites.first().copied().flatten().filter(|s| sites.iter().all(|o| o == &Some(*s)));
            if let Some(site) = first.filter(|s| *s != service.site) {
                service.site = site;
                moved.push((service.name, site));
            }
        }
        moved
    }
}

/// The one site that an answer leads to.
fn goes(answer: &Answer) -> Option<Site> {
    let to = |site: Site| answer.answers.iter().any(|r| leads(&r.data, front(site)));
    match (to(Site::East), to(Site::West)) {
        (true, false) => Some(Site::East),
        (false, true) => Some(Site::West),
        (true, true) | (false, false) => None,
    }
}

fn leads(data: &RData, to: IpAddr) -> bool {
    *data == address(to)
}
