//! A site that is assumed to be lost, and everything that goes with it.

use std::collections::BTreeSet;

use super::{LaneDecl, Plan, SiteId, Subject};

/// A site that is assumed to be lost: what is there is refused without asking. Servers that other sites use, too, are not
/// lost with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The site.
    pub site: SiteId,
    servers: BTreeSet<(String, Option<u16>)>,
}

impl Lost {
    /// What goes with a site of a plan: the servers of every lane that is there and in no other site, and what the plan
    /// says goes with it (`lost_with`).
    #[must_use]
    pub fn of(plan: &Plan, site: &SiteId) -> Self {
        let lanes = || plan.probes.iter().flat_map(|p| &p.lanes);
        let there = |l: &&LaneDecl| l.subject.site.as_ref() == Some(site);
        let mut servers: BTreeSet<_> = lanes().filter(there).flat_map(|l| servers_in(l.server.as_str())).collect();
        for lane in lanes().filter(|l| !there(l) && l.subject.site.is_some()) {
            for server in servers_in(lane.server.as_str()) {
                servers.remove(&server);
            }
        }
        servers
            .extend(plan.lost_with.iter().filter(|(s, _)| s == site).flat_map(|(_, text)| servers_in(text.as_str())));
        Self { site: site.clone(), servers }
    }

    /// Whether this server is lost: by its name or address, and its port where one was given.
    #[must_use]
    pub fn has(&self, host: &str, port: Option<u16>) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.servers.iter().any(|(name, at)| *name == host && (at.is_none() || port.is_none() || *at == port))
    }

    /// Whether what is looked at is there.
    #[must_use]
    pub fn covers(&self, subject: &Subject) -> bool {
        subject.site.as_ref() == Some(&self.site)
    }

    /// Whether a text names a server that is lost: an argument of a program.
    #[must_use]
    pub fn is_named_in(&self, text: &str) -> bool {
        let text = text.to_ascii_lowercase();
        let ends = |c: Option<char>| c.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '.' && c != '-');
        self.servers.iter().any(|(name, _)| {
            text.match_indices(name.as_str()).any(|(at, found)| {
                ends(text.get(..at).and_then(|t| t.chars().next_back()))
                    && ends(text.get(at + found.len()..).and_then(|t| t.chars().next()))
            })
        })
    }
}

/// The servers that a text for people names: `db.east:5432`, `https://registry.east/shop`, `[2001:db8::1]:53`, several of
/// them with commas between. A path of this machine names none.
#[must_use]
pub fn servers_in(text: &str) -> Vec<(String, Option<u16>)> {
    let one = |part: &str| {
        let part = part.trim();
        let rest = part.split_once("://").map_or(part, |(_, rest)| rest);
        let authority = rest.split(['/', '?', ' ']).next().unwrap_or_default();
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let (host, port) = match authority.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            None if authority.matches(':').count() > 1 => (authority, None),
            None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        (!host.is_empty()).then(|| (host, port.and_then(|p| p.parse().ok())))
    };
    text.split(',').filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_as_lanes_name_them() {
        let of = |text: &str| servers_in(text);
        assert_eq!(of("db.east.example.com:5432"), [("db.east.example.com".to_owned(), Some(5432))]);
        assert_eq!(of("https://Registry.East/shop"), [("registry.east".to_owned(), None)]);
        assert_eq!(of("[2001:db8::1]:53"), [("2001:db8::1".to_owned(), Some(53))]);
        assert_eq!(of("2001:db8::1"), [("2001:db8::1".to_owned(), None)]);
        assert_eq!(of("a:1, b:2"), [("a".to_owned(), Some(1)), ("b".to_owned(), Some(2))]);
        assert_eq!(of("/srv/backups"), []);
    }

    #[test]
    fn a_server_is_lost_by_name_and_port() {
        let servers = [("db.east".to_owned(), Some(5432)), ("ns.east".to_owned(), None)].into();
        let lost = Lost { site: SiteId::new("east"), servers };
        assert!(lost.has("DB.east.", Some(5432)) && lost.has("db.east", None) && lost.has("ns.east", Some(53)));
        assert!(!lost.has("db.east", Some(5433)) && !lost.has("db.west", Some(5432)));
        assert!(lost.is_named_in("ssh db.east cat /etc/secret") && lost.is_named_in("--host=ns.east"));
        assert!(!lost.is_named_in("db.east.example.com") && !lost.is_named_in("mydb.east"));
    }
}
