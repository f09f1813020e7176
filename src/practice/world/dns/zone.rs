//! One zone at its authoritative server, with its changes (RFC 2136).

use std::collections::BTreeMap;
use std::net::IpAddr;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, NS, SOA};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

/// Most links of a chain of CNAMEs that are followed for one question.
pub(super) const MOST_LINKS: usize = 8;
/// Seconds that the absence of a name may be remembered (RFC 2308 section 5).
const ABSENT_FOR: u32 = 5;

/// What a server says to a question.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The response code.
    pub code: ResponseCode,
    /// Whether it is said with authority.
    pub authoritative: bool,
    /// The answer section.
    pub answers: Vec<Record>,
    /// The authority section.
    pub authorities: Vec<Record>,
}

impl Answer {
    /// An answer of nothing but a code.
    #[must_use]
    pub const fn bare(code: ResponseCode) -> Self {
        Self { code, authoritative: false, answers: Vec::new(), authorities: Vec::new() }
    }
}

/// A zone at its one authoritative server.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    name: Name,
    records: Vec<Record>,
}

impl Zone {
    /// A zone with one name server, `ns1` in it, at this address.
    ///
    /// # Errors
    /// Where `ns1` before the zone's name is no name.
    pub fn new(name: &Name, server: IpAddr, serial: u32) -> Result<Self, hickory_proto::ProtoError> {
        let ns = Name::from_ascii("ns1")?.append_domain(name)?;
        let admin = Name::from_ascii("hostmaster")?.append_domain(name)?;
        let soa = SOA::new(ns.clone(), admin, serial, 60, 60, 600, ABSENT_FOR);
        let record = |owner: &Name, ttl, data| Record::from_rdata(owner.clone(), ttl, data);
        let records = vec![
            record(name, 60, RData::SOA(soa)),
            record(name, 60, RData::NS(NS(ns.clone()))),
            record(&ns, 60, address(server)),
        ];
        Ok(Self { name: name.clone(), records })
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// Its serial (RFC 1035 section 3.3.13).
    #[must_use]
    pub fn serial(&self) -> u32 {
        self.soa().map_or(0, |(_, soa)| soa.serial)
    }

    /// Every record, in no order.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Puts these at a name, instead of every address and alias that it has.
    pub fn set(&mut self, owner: &Name, ttl: u32, data: Vec<RData>) {
        let moves = |kind| matches!(kind, RecordType::A | RecordType::AAAA | RecordType::CNAME);
        self.records.retain(|r| r.name != *owner || !moves(r.record_type()));
        self.records.extend(data.into_iter().map(|d| Record::from_rdata(owner.clone(), ttl, d)));
        self.bump();
    }

    /// Gives every record at a name this time to live, in seconds.
    pub fn set_ttl(&mut self, owner: &Name, ttl: u32) {
        self.records.iter_mut().filter(|r| r.name == *owner).for_each(|r| r.ttl = ttl);
        self.bump();
    }

    fn soa(&self) -> Option<(&Record, &SOA)> {
        self.records.iter().find_map(|r| if let RData::SOA(soa) = &r.data { Some((r, soa)) } else { None })
    }

    fn bump(&mut self) {
        for record in &mut self.records {
            if let RData::SOA(soa) = &mut record.data {
                soa.serial = soa.serial.wrapping_add(1).max(1);
            }
        }
    }

    /// The SOA as it goes beside an answer that there is nothing (RFC 2308 section 3).
    fn absence(&self) -> Vec<Record> {
        let soa = self.soa().map(|(record, soa)| {
            let mut record = record.clone();
            record.ttl = record.ttl.min(soa.minimum);
            record
        });
        soa.into_iter().collect()
    }

    fn at<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a Record> {
        self.records.iter().filter(move |r| r.name == *name)
    }

    fn has(&self, name: &Name, kind: RecordType) -> bool {
        self.at(name).any(|r| r.record_type() == kind)
    }

    /// What its server says to a question, with authority (RFC 1034 section 4.3.2). It refuses transfers, and what is not in
    /// it.
    #[must_use]
    pub fn answer(&self, question: &Query) -> Answer {
        let kind = question.query_type();
        let transfer = matches!(kind, RecordType::AXFR | RecordType::IXFR);
        if question.query_class() != DNSClass::IN || transfer || !self.name.zone_of(question.name()) {
            return Answer::bare(ResponseCode::Refused);
        }
        let mut said =
            Answer { code: ResponseCode::NoError, authoritative: true, answers: Vec::new(), authorities: Vec::new() };
        let mut at = question.name().clone();
        for _ in 0..MOST_LINKS {
            let fits = |r: &&Record| kind == RecordType::ANY || r.record_type() == kind;
            let found: Vec<Record> = self.at(&at).filter(fits).cloned().collect();
            if !found.is_empty() {
                said.answers.extend(found);
                return said;
            }
            let alias = self.at(&at).find(|r| r.record_type() == RecordType::CNAME).cloned();
            let Some((record, target)) = alias.and_then(|r| target(&r).map(|t| (r, t))) else {
                // A name that others stand below is there, with nothing at it (RFC 8020).
                if !self.records.iter().any(|r| at.zone_of(&r.name)) {
                    said.code = ResponseCode::NXDomain;
                }
                said.authorities = self.absence();
                return said;
            };
            said.answers.push(record);
            at = target;
            if !self.name.zone_of(&at) {
                return said;
            }
        }
        said
    }

    /// Makes the change that a message asks for, whole or not at all (RFC 2136 section 3). Whether it is signed was looked at
    /// before.
    pub fn update(&mut self, message: &Message) -> ResponseCode {
        match self.tried(message) {
            Err(code) => code,
            Ok(records) => {
                let serial = self.serial();
                if !same(&self.records, &records) {
                    self.records = records;
                    if self.serial() == serial {
                        self.bump();
                    }
                }
                ResponseCode::NoError
            }
        }
    }

    fn tried(&self, message: &Message) -> Result<Vec<Record>, ResponseCode> {
        let [zone] = message.queries.as_slice() else { return Err(ResponseCode::FormErr) };
        if zone.query_type() != RecordType::SOA {
            return Err(ResponseCode::FormErr);
        }
        if zone.query_class() != DNSClass::IN || *zone.name() != self.name {
            return Err(ResponseCode::NotAuth);
        }
        self.required(&message.answers)?;
        self.sensible(&message.authorities)?;
        Ok(self.changed(&message.authorities))
    }

    /// What must be there before (RFC 2136 section 3.2).
    fn required(&self, before: &[Record]) -> Result<(), ResponseCode> {
        let mut sets: BTreeMap<(Name, RecordType), Vec<RData>> = BTreeMap::new();
        for record in before {
            let (name, kind) = (&record.name, record.record_type());
            if record.ttl != 0 {
                return Err(ResponseCode::FormErr);
            }
            if !self.name.zone_of(name) {
                return Err(ResponseCode::NotZone);
            }
            let empty = matches!(record.data, RData::Update0(_));
            match (record.dns_class, kind) {
                (DNSClass::ANY | DNSClass::NONE, _) if !empty => return Err(ResponseCode::FormErr),
                (DNSClass::ANY, RecordType::ANY) if self.at(name).next().is_none() => {
                    return Err(ResponseCode::NXDomain);
                }
                (DNSClass::ANY, kind) if kind != RecordType::ANY && !self.has(name, kind) => {
                    return Err(ResponseCode::NXRRSet);
                }
                (DNSClass::NONE, RecordType::ANY) if self.at(name).next().is_some() => {
                    return Err(ResponseCode::YXDomain);
                }
                (DNSClass::NONE, kind) if kind != RecordType::ANY && self.has(name, kind) => {
                    return Err(ResponseCode::YXRRSet);
                }
                (DNSClass::ANY | DNSClass::NONE, _) => {}
                (DNSClass::IN, _) if !empty => {
                    sets.entry((name.clone(), kind)).or_default().push(record.data.clone());
                }
                (DNSClass::IN | DNSClass::CH | DNSClass::HS | DNSClass::OPT(_) | DNSClass::Unknown(_), _) => {
                    return Err(ResponseCode::FormErr);
                }
            }
        }
        for ((name, kind), data) in sets {
            let own: Vec<&RData> = self.at(&name).filter(|r| r.record_type() == kind).map(|r| &r.data).collect();
            if own.is_empty() || !own.iter().all(|o| data.contains(o)) || !data.iter().all(|d| own.contains(&d)) {
                return Err(ResponseCode::NXRRSet);
            }
        }
        Ok(())
    }

    /// Whether every change makes sense, before any is made (RFC 2136 section 3.4.1).
    fn sensible(&self, changes: &[Record]) -> Result<(), ResponseCode> {
        for record in changes {
            if !self.name.zone_of(&record.name) {
                return Err(ResponseCode::NotZone);
            }
            let kind = record.record_type();
            let meta = matches!(kind, RecordType::AXFR | RecordType::IXFR | RecordType::OPT | RecordType::TSIG);
            let any = kind == RecordType::ANY;
            let empty = matches!(record.data, RData::Update0(_));
            let right = match record.dns_class {
                DNSClass::IN => !meta && !any && !empty,
                DNSClass::ANY => !meta && empty && record.ttl == 0,
                DNSClass::NONE => !meta && !any && record.ttl == 0,
                DNSClass::CH | DNSClass::HS | DNSClass::OPT(_) | DNSClass::Unknown(_) => false,
            };
            if !right {
                return Err(ResponseCode::FormErr);
            }
        }
        Ok(())
    }

    /// The records after every change (RFC 2136 section 3.4.2).
    fn changed(&self, changes: &[Record]) -> Vec<Record> {
        let mut records = self.records.clone();
        for change in changes {
            let (name, kind) = (&change.name, change.record_type());
            let apex = |k: RecordType| *name == self.name && matches!(k, RecordType::SOA | RecordType::NS);
            match change.dns_class {
                DNSClass::ANY => records.retain(|r| {
                    r.name != *name || (kind != RecordType::ANY && r.record_type() != kind) || apex(r.record_type())
                }),
                DNSClass::NONE => {
                    let servers =
                        |rs: &[Record]| rs.iter().filter(|r| r.name == *name && r.record_type() == kind).count();
                    let last = apex(kind) && (kind == RecordType::SOA || servers(&records) < 2);
                    records.retain(|r| last || r.name != *name || r.data != change.data);
                }
                DNSClass::IN => add(&mut records, change),
                DNSClass::CH | DNSClass::HS | DNSClass::OPT(_) | DNSClass::Unknown(_) => {}
            }
        }
        records
    }
}

/// Adds a record, as RFC 2136 section 3.4.2.2 has it: nothing stands beside an alias, there is one SOA, which only grows, and
/// a set has one time to live (RFC 2181 section 5.2).
fn add(records: &mut Vec<Record>, change: &Record) {
    let kind = change.record_type();
    let here = |r: &Record| r.name == change.name;
    let alias = |r: &Record| r.record_type() == RecordType::CNAME;
    let blocked = if kind == RecordType::CNAME {
        records.iter().any(|r| here(r) && !alias(r))
    } else {
        records.iter().any(|r| here(r) && alias(r))
    };
    if blocked {
        return;
    }
    if let RData::SOA(new) = &change.data {
        let grows = |r: &Record| matches!(&r.data, RData::SOA(old) if old.serial < new.serial);
        if !records.iter().any(|r| here(r) && grows(r)) {
            return;
        }
    }
    let single = matches!(kind, RecordType::CNAME | RecordType::SOA);
    records.retain(|r| !(here(r) && r.record_type() == kind && (single || r.data == change.data)));
    records.iter_mut().filter(|r| here(r) && r.record_type() == kind).for_each(|r| r.ttl = change.ttl);
    let mut record = change.clone();
    record.dns_class = DNSClass::IN;
    records.push(record);
}

fn same(a: &[Record], b: &[Record]) -> bool {
    a.len() == b.len() && a.iter().all(|r| b.contains(r))
}

pub(super) fn target(alias: &Record) -> Option<Name> {
    if let RData::CNAME(target) = &alias.data { Some(target.0.clone()) } else { None }
}

/// The record data of an address.
#[must_use]
pub const fn address(ip: IpAddr) -> RData {
    match ip {
        IpAddr::V4(ip) => RData::A(A(ip)),
        IpAddr::V6(ip) => RData::AAAA(AAAA(ip)),
    }
}
