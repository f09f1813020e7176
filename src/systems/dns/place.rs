//! Which site an answer names.

use std::net::IpAddr;
use std::time::Duration;

use crate::plan::SiteId;
use crate::readiness::{Gap, Row, Value};

use super::options::Dns;
use super::parse::Link;

/// One record of an answer, and which family was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// `A` or `AAAA`.
    pub family: String,
    /// Its owner.
    pub name: String,
    /// `CNAME`, `A` or `AAAA`.
    pub kind: String,
    /// The target or the address.
    pub data: String,
    /// Its time to live.
    pub ttl: Duration,
    /// Which servers say so, where several were asked.
    pub servers: String,
}

impl Answered {
    /// The record of a chain.
    #[must_use]
    pub fn of(family: &str, link: Link) -> Self {
        Self {
            family: family.to_owned(),
            name: link.name,
            kind: link.kind.to_owned(),
            data: link.data,
            ttl: link.ttl,
            servers: String::new(),
        }
    }

    /// The records of a reading: `dns.answer` or `dns.chain`.
    ///
    /// # Errors
    /// `Malformed` where a column is missing.
    pub fn read(rows: &[Row]) -> Result<Vec<Self>, Gap> {
        let text =
            |row: &Row, column: &str| Ok::<_, Gap>(row.text(column)?.map_or(String::new(), |t| t.as_str().to_owned()));
        let read = |row: &Row| {
            Ok(Self {
                family: text(row, "family")?,
                name: text(row, "name")?,
                kind: text(row, "type")?,
                data: text(row, "data")?,
                ttl: row.span("ttl")?.unwrap_or_default().0,
                servers: if row.get("servers").is_some() { text(row, "servers")? } else { String::new() },
            })
        };
        rows.iter().map(read).collect()
    }

    /// Whether it is an address, and so the end of a chain.
    #[must_use]
    pub fn is_address(&self) -> bool {
        self.kind != "CNAME"
    }
}

/// What an answer names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The sites whose addresses or names are in it, sorted.
    pub sites: Vec<SiteId>,
    /// The addresses that belong to no site of the plan.
    pub strangers: Vec<String>,
}

impl Place {
    /// The one site that it names.
    #[must_use]
    pub fn one(&self) -> Option<&SiteId> {
        match self.sites.as_slice() {
            [site] => Some(site),
            [] | [..] => None,
        }
    }

    /// As the signal `dns.site` has it.
    #[must_use]
    pub fn value(&self) -> Value {
        match self.sites.as_slice() {
            [] => Value::Null,
            [site] => Value::text(site.as_str()),
            [..] => Value::text("mixed"),
        }
    }
}

/// Which sites an answer names: by a CNAME's target where the plan names one, else by address.
#[must_use]
pub fn place<'a>(dns: &Dns, answer: impl IntoIterator<Item = &'a Answered>) -> Place {
    let answer: Vec<&Answered> = answer.into_iter().collect();
    let mut place = Place::default();
    let mut named: Vec<&str> = Vec::new();
    for record in answer.iter().filter(|r| !r.is_address()) {
        if let Some(site) = dns.answers.iter().find(|a| a.names.contains(&record.data)) {
            place.sites.push(site.site.clone());
            named.push(&record.family);
        }
    }
    for record in answer.iter().filter(|r| r.is_address() && !named.contains(&r.family.as_str())) {
        let ip = record.data.parse::<IpAddr>().ok();
        match dns.answers.iter().find(|a| ip.is_some_and(|ip| a.addresses.contains(&ip))) {
            Some(site) => place.sites.push(site.site.clone()),
            None => place.strangers.push(record.data.clone()),
        }
    }
    place.sites.sort();
    place.sites.dedup();
    place.strangers.sort();
    place.strangers.dedup();
    place
}
