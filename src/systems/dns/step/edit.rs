//! What is at the record, what is to be there, and the change between the two, in the words of each way to make it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RData};
use serde_json::{Value, json};

use super::super::options::SiteAnswer;
use super::super::parse;

/// The time to live of a record that replaces nothing, where nobody says one.
const NEW_TTL: u32 = 60;

/// The types that lead from a name to addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// IPv4.
    A,
    /// IPv6.
    Aaaa,
    /// Another name.
    Cname,
}

impl Kind {
    /// All three.
    pub const ALL: [Self; 3] = [Self::A, Self::Aaaa, Self::Cname];

    /// Its word in a zone.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Cname => "CNAME",
        }
    }

    /// The type with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.word() == word)
    }
}

/// The records of one type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    /// Their time to live, in seconds.
    pub ttl: u32,
    /// Addresses, or a name: lower case, without the dot at its end.
    pub data: BTreeSet<String>,
}

/// What is at the record, by type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values(pub BTreeMap<Kind, Set>);

impl Values {
    /// The records of the name itself among a message's answers. What a CNAME leads to is left out.
    #[must_use]
    pub fn of(message: &Message, name: &Name) -> Self {
        let mut out = Self::default();
        for record in message.answers.iter().filter(|r| r.name == *name) {
            #[expect(clippy::wildcard_enum_match_arm, reason = "other records do not lead to addresses")]
            let (kind, data) = match &record.data {
                RData::A(a) => (Kind::A, a.0.to_string()),
                RData::AAAA(a) => (Kind::Aaaa, a.0.to_string()),
                RData::CNAME(target) => (Kind::Cname, parse::text(&target.0)),
                _ => continue,
            };
            out.add(kind, record.ttl, data);
        }
        out
    }

    /// With one more record.
    pub fn add(&mut self, kind: Kind, ttl: u32, data: String) {
        let set = self.0.entry(kind).or_default();
        set.ttl = set.ttl.max(ttl);
        set.data.insert(data);
    }

    /// With those of another answer about the same name.
    pub fn join(&mut self, other: Self) {
        for (kind, set) in other.0 {
            set.data.into_iter().for_each(|data| self.add(kind, set.ttl, data));
        }
    }

    /// Whether both have the same data, whatever their times to live.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        Kind::ALL.iter().all(|k| self.data(*k) == other.data(*k))
    }

    /// The data of one type.
    #[must_use]
    pub fn data(&self, kind: Kind) -> Option<&BTreeSet<String>> {
        self.0.get(&kind).map(|s| &s.data)
    }

    /// The longest time to live, in seconds.
    #[must_use]
    pub fn ttl(&self) -> Option<u32> {
        self.0.values().map(|s| s.ttl).max()
    }

    /// Whether they are what the plan says of a site, and nothing else.
    #[must_use]
    pub fn are(&self, site: &SiteAnswer) -> bool {
        match self.data(Kind::Cname) {
            Some(names) if self.0.len() == 1 => names.iter().all(|n| site.names.contains(n)),
            Some(_) => false,
            None => site.names.is_empty() && self.same(&wanted(site, |_| 0)),
        }
    }

    /// In one line: `A 192.0.2.10 (20s), AAAA 2001:db8::1 (20s)`.
    #[must_use]
    pub fn words(&self) -> String {
        let one = |(kind, set): (&Kind, &Set)| {
            let data: Vec<&str> = set.data.iter().map(String::as_str).collect();
            format!("{} {} ({}s)", kind.word(), data.join(" "), set.ttl)
        };
        let all: Vec<String> = self.0.iter().map(one).collect();
        if all.is_empty() { "no address".to_owned() } else { all.join(", ") }
    }

    /// In one line, without times to live: `A 192.0.2.10, AAAA 2001:db8::1`.
    #[must_use]
    pub fn plain(&self) -> String {
        let all = self.0.keys().map(|kind| format!("{} {}", kind.word(), self.mark(*kind)));
        all.collect::<Vec<_>>().join(", ")
    }

    /// The data of one type in one line, or `none`.
    #[must_use]
    pub fn mark(&self, kind: Kind) -> String {
        let data = self.data(kind).map(|d| d.iter().map(String::as_str).collect::<Vec<_>>().join(" "));
        data.unwrap_or_else(|| "none".to_owned())
    }

    /// As JSON, to be kept for the way back: data and time to live by type.
    #[must_use]
    pub fn json(&self) -> Value {
        let one = |(kind, set): (&Kind, &Set)| (kind.word().to_owned(), json!({ "ttl": set.ttl, "data": set.data }));
        Value::Object(self.0.iter().map(one).collect())
    }
}

/// What is to be at the record for a site. Of several names, a CNAME takes the first.
#[must_use]
pub fn wanted(site: &SiteAnswer, ttl: impl Fn(Kind) -> u32) -> Values {
    let mut out = Values::default();
    if let Some(name) = site.names.first() {
        out.add(Kind::Cname, ttl(Kind::Cname), name.clone());
    }
    for ip in &site.addresses {
        let kind = if ip.is_ipv4() { Kind::A } else { Kind::Aaaa };
        out.add(kind, ttl(kind), ip.to_string());
    }
    out
}

/// A change of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The zone: lower case, without the dot at its end.
    pub zone: String,
    /// The record, likewise.
    pub name: String,
    /// What must be there before.
    pub old: Values,
    /// What is there after.
    pub new: Values,
}

impl Change {
    /// To a site's answers, with this time to live, or with the one that there is.
    #[must_use]
    pub fn to(zone: &str, name: &str, site: &SiteAnswer, old: Values, ttl: Option<u32>) -> Self {
        let kept = |kind: Kind| {
            let own = old.0.get(&kind).map(|s| s.ttl);
            ttl.or(own).or(old.ttl()).unwrap_or(NEW_TTL)
        };
        let new = wanted(site, kept);
        Self { zone: zone.to_owned(), name: name.to_owned(), old, new }
    }

    /// The types of which something changes.
    pub fn changed(&self) -> impl Iterator<Item = Kind> + '_ {
        Kind::ALL.into_iter().filter(|k| self.old.data(*k) != self.new.data(*k))
    }

    /// As lines for `nsupdate`, without server, key and `send`. What must be there before is a condition of each type: a
    /// change that somebody else made meanwhile, and one that was made already, are refused as a whole.
    #[must_use]
    pub fn script(&self) -> Vec<String> {
        self.script_with(&|ttl| ttl.to_string())
    }

    /// The same, with times to live as they are to be written.
    #[must_use]
    pub fn script_with(&self, ttl: &dyn Fn(u32) -> String) -> Vec<String> {
        let name = format!("{}.", self.name);
        let mut lines = vec![format!("zone {}.", self.zone)];
        for kind in Kind::ALL {
            match self.old.data(kind) {
                None => lines.push(format!("prereq nxrrset {name} {}", kind.word())),
                Some(data) => lines.extend(data.iter().map(|d| format!("prereq yxrrset {name} {}", written(kind, d)))),
            }
        }
        // What is there goes first: beside a CNAME nothing can stand, and what is added there is ignored.
        for kind in self.changed().filter(|k| self.old.data(*k).is_some()) {
            lines.push(format!("update delete {name} {}", kind.word()));
        }
        lines.extend(self.changed().flat_map(|kind| self.added(kind, ttl)));
        lines
    }

    /// What is there after, of one type, as lines for `nsupdate`.
    pub fn added(&self, kind: Kind, ttl: &dyn Fn(u32) -> String) -> Vec<String> {
        let Some(set) = self.new.0.get(&kind) else { return Vec::new() };
        let ttl = ttl(set.ttl);
        set.data.iter().map(|d| format!("update add {}. {ttl} {}", self.name, written(kind, d))).collect()
    }

    /// As the body of a request to PowerDNS: each type that changes is replaced whole, or deleted.
    #[must_use]
    pub fn patch(&self) -> Value {
        self.patch_of(self.changed())
    }

    /// The same, whatever is there before.
    #[must_use]
    pub fn patch_over(&self) -> Value {
        self.patch_of(Kind::ALL.into_iter())
    }

    fn patch_of(&self, kinds: impl Iterator<Item = Kind>) -> Value {
        let name = format!("{}.", self.name);
        let one = |kind: Kind| match self.new.0.get(&kind) {
            None => json!({ "name": name, "type": kind.word(), "changetype": "DELETE" }),
            Some(set) => {
                let content = |d: &String| if kind == Kind::Cname { format!("{d}.") } else { d.clone() };
                let records: Vec<Value> =
                    set.data.iter().map(|d| json!({ "content": content(d), "disabled": false })).collect();
                json!({ "name": name, "type": kind.word(), "ttl": set.ttl, "changetype": "REPLACE", "records": records })
            }
        };
        let mut sets: Vec<Value> = kinds.map(one).collect();
        sets.sort_by_key(|s| s.get("changetype").and_then(Value::as_str).map(str::to_owned));
        json!({ "rrsets": sets })
    }

    /// In one line: `A 192.0.2.10 -> 198.51.100.10 (60s)`.
    #[must_use]
    pub fn words(&self) -> String {
        let mut out = String::new();
        for kind in self.changed() {
            let ttl = self.new.0.get(&kind).map(|s| format!(" ({}s)", s.ttl)).unwrap_or_default();
            let between = if out.is_empty() { "" } else { ", " };
            let (old, new) = (self.old.mark(kind), self.new.mark(kind));
            let _ = write!(out, "{between}{} {old} -> {new}{ttl}", kind.word());
        }
        if out.is_empty() { "nothing changes".to_owned() } else { out }
    }
}

/// A record's type and data, as a zone file has them.
fn written(kind: Kind, data: &str) -> String {
    format!("{} {data}{}", kind.word(), if kind == Kind::Cname { "." } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::SiteId;

    fn site(texts: &[&str]) -> SiteAnswer {
        SiteAnswer {
            site: SiteId::new("west"),
            addresses: texts.iter().filter_map(|t| t.parse().ok()).collect(),
            names: texts.iter().filter(|t| t.parse::<std::net::IpAddr>().is_err()).map(|t| (*t).to_owned()).collect(),
        }
    }

    fn values(records: &[(Kind, u32, &str)]) -> Values {
        let mut out = Values::default();
        records.iter().for_each(|(kind, ttl, data)| out.add(*kind, *ttl, (*data).to_owned()));
        out
    }

    fn change(old: &[(Kind, u32, &str)], to: &[&str], ttl: Option<u32>) -> Change {
        Change::to("dr.test", "shop.dr.test", &site(to), values(old), ttl)
    }

    #[test]
    fn both_families_in_one_change_with_the_times_that_there_are() {
        let east = [(Kind::A, 20, "192.0.2.10"), (Kind::Aaaa, 30, "2001:db8:1::10")];
        let both = change(&east, &["198.51.100.10", "2001:db8:2::10"], None);
        assert_eq!(
            both.script(),
            [
                "zone dr.test.",
                "prereq yxrrset shop.dr.test. A 192.0.2.10",
                "prereq yxrrset shop.dr.test. AAAA 2001:db8:1::10",
                "prereq nxrrset shop.dr.test. CNAME",
                "update delete shop.dr.test. A",
                "update delete shop.dr.test. AAAA",
                "update add shop.dr.test. 20 A 198.51.100.10",
                "update add shop.dr.test. 30 AAAA 2001:db8:2::10",
            ]
        );
        assert_eq!(both.words(), "A 192.0.2.10 -> 198.51.100.10 (20s), AAAA 2001:db8:1::10 -> 2001:db8:2::10 (30s)");
        assert_eq!(both.new.json()["A"], json!({ "ttl": 20, "data": ["198.51.100.10"] }));
        let short = change(&east, &["198.51.100.10", "2001:db8:2::10"], Some(5));
        assert_eq!(short.new.ttl(), Some(5));
        let fewer = change(&east, &["198.51.100.10"], None);
        assert_eq!(
            fewer.patch(),
            json!({ "rrsets": [
            { "name": "shop.dr.test.", "type": "AAAA", "changetype": "DELETE" },
            { "name": "shop.dr.test.", "type": "A", "ttl": 20, "changetype": "REPLACE",
              "records": [{ "content": "198.51.100.10", "disabled": false }] },
        ] })
        );
    }

    #[test]
    fn a_cname_gives_way_to_addresses_and_back() {
        let to = change(&[(Kind::Cname, 60, "lb.east.example.net")], &["198.51.100.10"], None);
        assert_eq!(
            to.script()[1..],
            [
                "prereq nxrrset shop.dr.test. A",
                "prereq nxrrset shop.dr.test. AAAA",
                "prereq yxrrset shop.dr.test. CNAME lb.east.example.net.",
                "update delete shop.dr.test. CNAME",
                "update add shop.dr.test. 60 A 198.51.100.10",
            ]
        );
        let back = change(&[(Kind::A, 60, "198.51.100.10")], &["lb.east.example.net", "lb2.east.example.net"], None);
        assert_eq!(back.script().last().unwrap(), "update add shop.dr.test. 60 CNAME lb.east.example.net.");
        assert_eq!(back.patch()["rrsets"][1]["records"][0]["content"], "lb.east.example.net.");
    }

    #[test]
    fn what_is_there_already_changes_nothing() {
        let done = change(&[(Kind::A, 20, "198.51.100.10")], &["198.51.100.10"], Some(5));
        assert_eq!((done.words().as_str(), done.changed().count()), ("nothing changes", 0));
        assert!(done.script().iter().all(|l| !l.starts_with("update")));
    }

    #[test]
    fn which_site_it_is() {
        let v4 = values(&[(Kind::A, 20, "192.0.2.1")]);
        assert!(v4.are(&site(&["192.0.2.1"])) && !v4.are(&site(&["192.0.2.1", "2001:db8::1"])));
        assert!(!v4.are(&site(&["lb.example.net"])) && !Values::default().are(&site(&["192.0.2.1"])));
        let name = values(&[(Kind::Cname, 20, "lb2.example.net")]);
        assert!(name.are(&site(&["lb.example.net", "lb2.example.net"])), "a CNAME points to one of them");
        assert!(!name.are(&site(&["192.0.2.1"])));
        assert_eq!(Values::default().words(), "no address");
    }
}
