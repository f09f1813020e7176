//! From the options as written to what is meant, with every fault of meaning at once.

use std::net::IpAddr;
use std::sync::Arc;

use crate::plan::{LaneDecl, SafeText, SiteId, Subject};
use crate::readiness::signals::{TRAFFIC, TTL};
use crate::systems::{Declared, Fault, ReadContext};

use super::options::{self, Dns, DnsOptions, Endpoint, SiteAnswer, shown};
use super::signals;

/// The part of the lane that asks the authoritative servers.
pub const AUTHORITATIVE: &str = "authoritative";
/// The part of the lane that asks the system's resolvers, where the plan names none.
pub const SYSTEM_RESOLVERS: &str = "system resolvers";

/// Reads a probe's own keys.
///
/// # Errors
/// Every fault of meaning.
pub fn read(ctx: &ReadContext<'_>, value: serde_json::Value) -> Result<Declared, Vec<Fault>> {
    let raw: DnsOptions =
        serde_json::from_value(value).map_err(|e| vec![fault(&[], e.to_string(), "see lifeboat config schema")])?;
    let dns = checked(ctx, raw)?;
    let lanes = lanes(&dns);
    Ok(Declared { options: Arc::new(dns), lanes, secrets: Vec::new() })
}

fn fault(path: &[&str], what: String, right: &str) -> Fault {
    Fault { path: path.iter().map(|p| (*p).to_owned()).collect(), what, right: right.to_owned() }
}

/// The authoritative servers of a record, as the lane that asks them is named.
pub(super) fn authorities(record: &str) -> SafeText {
    SafeText::new(&format!("the authoritative servers of {record}"))
}

fn lanes(dns: &Dns) -> Vec<LaneDecl> {
    let lane = |subject, server: &str, expects: &[_]| LaneDecl {
        subject,
        server: SafeText::new(server),
        expects: expects.into(),
    };
    let answers = [TRAFFIC, signals::ANSWER, signals::REPLIES];
    let mut lanes = Vec::new();
    if dns.resolvers.is_empty() {
        lanes.push(lane(Subject::part(SYSTEM_RESOLVERS), "the system's resolvers", &answers));
    }
    for resolver in &dns.resolvers {
        let resolver = shown(*resolver);
        lanes.push(lane(Subject::part(&resolver), &format!("resolver {resolver}"), &answers));
    }
    let authoritative = authorities(&dns.record);
    lanes.push(lane(Subject::part(AUTHORITATIVE), authoritative.as_str(), &[signals::SERVERS, signals::CHAIN, TTL]));
    for answer in dns.answers.iter().filter(|a| dns.visits(&a.site)) {
        let endpoint = format!("the endpoints in {}", answer.site);
        lanes.push(lane(Subject::site(answer.site.clone()), &endpoint, &[signals::ENDPOINTS, signals::EXPIRY]));
    }
    lanes
}

fn checked(ctx: &ReadContext<'_>, raw: DnsOptions) -> Result<Dns, Vec<Fault>> {
    let mut faults = Vec::new();
    let record = options::name(&raw.record).unwrap_or_else(|why| {
        faults.push(fault(&["record"], format!("{:?}: {why}", raw.record), "a host name such as \"shop.example.com\""));
        String::new()
    });
    if options::looks_like_address(&raw.record) {
        faults.push(fault(&["record"], format!("{:?} is an address", raw.record), "the name that users look up"));
    }
    let answers = answers(ctx, &raw, &record, &mut faults);
    let mut resolvers = Vec::new();
    for text in &raw.resolvers {
        match options::address(text) {
            None => faults.push(fault(
                &["resolvers"],
                format!("{text:?} is no address"),
                "an address with an optional port: \"1.1.1.1\", \"127.0.0.1:5353\" or \"[::1]:53\"",
            )),
            Some(addr) if resolvers.contains(&addr) => {
                faults.push(fault(&["resolvers"], format!("{text:?} is there twice"), "name each resolver once"));
            }
            Some(addr) => resolvers.push(addr),
        }
    }
    let mut servers = Vec::new();
    for text in &raw.servers {
        match options::server(text) {
            Err(why) => faults.push(fault(
                &["servers"],
                format!("{text:?}: {why}"),
                "a name or an address with an optional port: \"ns1.example.com\" or \"192.0.2.1:53\"",
            )),
            Ok(server) if servers.contains(&server) => {
                faults.push(fault(&["servers"], format!("{text:?} is there twice"), "name each server once"));
            }
            Ok(server) => servers.push(server),
        }
    }
    if raw.max_ttl.is_some_and(|t| t.0 > ctx.objectives.rto.0) {
        let what = format!("max_ttl is longer than the plan's RTO of {}", ctx.objectives.rto);
        faults.push(fault(
            &["max_ttl"],
            what,
            "a time to live that leaves room for the failover itself, such as \"60s\"",
        ));
    }
    if let Some(endpoint) = &raw.endpoint {
        check_endpoint(ctx, endpoint, &mut faults);
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Dns { record, answers, resolvers, servers, max_ttl: raw.max_ttl, endpoint: raw.endpoint })
}

/// What each site's answers are, every site of the plan exactly once, nothing in two sites.
fn answers(ctx: &ReadContext<'_>, raw: &DnsOptions, record: &str, faults: &mut Vec<Fault>) -> Vec<SiteAnswer> {
    let mut answers: Vec<SiteAnswer> = Vec::new();
    for (site, texts) in &raw.answers {
        let path = ["answers", site.as_str()];
        let Some(id) = ctx.sites.iter().find(|s| s.as_str() == site) else {
            faults.push(unknown_site(ctx, &path, site));
            continue;
        };
        let mut answer = SiteAnswer { site: id.clone(), addresses: Vec::new(), names: Vec::new() };
        for text in texts {
            if let Ok(ip) = text.parse::<IpAddr>() {
                answer.addresses.push(ip.to_canonical());
            } else if options::looks_like_address(text) || text.contains(':') {
                let right = "an IPv4 or IPv6 address without a port, or the name that a CNAME points to";
                faults.push(fault(&path, format!("{text:?} is no address"), right));
            } else {
                match options::name(text) {
                    Ok(name) if name == record => {
                        faults.push(fault(
                            &path,
                            format!("{text:?} is the record itself"),
                            "what the record points to",
                        ));
                    }
                    Ok(name) => answer.names.push(name),
                    Err(why) => faults.push(fault(&path, format!("{text:?}: {why}"), "an address or a host name")),
                }
            }
        }
        if texts.is_empty() {
            faults.push(fault(&path, format!("no answer for {site}"), "at least one address or CNAME target"));
        }
        if !answer.addresses.is_empty() && !answer.names.is_empty() {
            faults.push(fault(
                &path,
                "addresses and names together: a record is either a CNAME or has addresses".to_owned(),
                "only addresses, or only the CNAME's target",
            ));
        }
        for earlier in &answers {
            let both = earlier.addresses.iter().find(|a| answer.addresses.contains(a)).map(ToString::to_string);
            let both = both.or_else(|| earlier.names.iter().find(|n| answer.names.contains(n)).cloned());
            if let Some(both) = both {
                let what = format!("{both} is in {} too: nobody could say which site it means", earlier.site);
                faults.push(fault(&path, what, "an answer that only this site has"));
            }
        }
        answers.push(answer);
    }
    for site in ctx.sites.iter().filter(|s| !raw.answers.contains_key(s.as_str())) {
        let right = format!("{site} = [\"192.0.2.10\"]: what the record answers when traffic goes there");
        faults.push(fault(&["answers"], format!("no answers for site {site}"), &right));
    }
    answers
}

fn unknown_site(ctx: &ReadContext<'_>, path: &[&str], site: &str) -> Fault {
    let right = match nearest(site, ctx.sites) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("one of {}", ctx.sites.iter().map(SiteId::as_str).collect::<Vec<_>>().join(", ")),
    };
    fault(path, format!("the plan has no site {site:?}"), &right)
}

/// The site whose name is at most two edits away.
fn nearest<'a>(text: &str, sites: &'a [SiteId]) -> Option<&'a SiteId> {
    let distance = |name: &str| {
        let name: Vec<char> = name.chars().collect();
        let mut row: Vec<usize> = (0..=name.len()).collect();
        for (i, c) in text.chars().enumerate() {
            let mut next = vec![i + 1];
            for (j, d) in name.iter().enumerate() {
                let at = |r: &[usize], k: usize| r.get(k).copied().unwrap_or(usize::MAX - 1);
                let step = at(&row, j) + usize::from(c != *d);
                next.push(step.min(at(&row, j + 1) + 1).min(at(&next, j) + 1));
            }
            row = next;
        }
        row.last().copied().unwrap_or(usize::MAX)
    };
    sites.iter().map(|s| (distance(s.as_str()), s)).filter(|(d, _)| *d <= 2).min_by_key(|(d, _)| *d).map(|(_, s)| s)
}

fn check_endpoint(ctx: &ReadContext<'_>, endpoint: &Endpoint, faults: &mut Vec<Fault>) {
    let mut add = |key: &str, what: String, right: &str| faults.push(fault(&["endpoint", key], what, right));
    if endpoint.port == Some(0) {
        add("port", "0 is no port".to_owned(), "a port from 1 to 65535");
    }
    if let Some(path) = &endpoint.http
        && (!path.starts_with('/') || path.parse::<http::uri::PathAndQuery>().is_err())
    {
        add("http", format!("{path:?} is no path"), "a path such as \"/healthz\"");
    }
    if let Some(status) = endpoint.status {
        if endpoint.http.is_none() {
            add("status", "a status without http".to_owned(), "add http = \"/healthz\", or drop status");
        }
        if !(100..600).contains(&status) {
            add("status", format!("{status} is no HTTP status"), "a status such as 200");
        }
    }
    if let Some(Err(why)) = endpoint.server_name.as_deref().map(options::name) {
        add("server_name", why.to_owned(), "a host name such as \"shop.example.com\"");
    }
    if !endpoint.tls && endpoint.roots.is_some() {
        add("roots", "roots without TLS".to_owned(), "tls = true, or drop roots");
    }
    if !endpoint.tls && endpoint.insecure {
        add("insecure", "insecure without TLS".to_owned(), "tls = true, or drop insecure");
    }
    if endpoint.insecure && endpoint.roots.is_some() {
        add("insecure", "roots and insecure together".to_owned(), "roots alone: the certificate is then checked");
    }
    for site in endpoint.sites.iter().filter(|s| !ctx.sites.iter().any(|known| known.as_str() == **s)) {
        faults.push(unknown_site(ctx, &["endpoint", "sites"], site));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::plan::{Objectives, PlanId, ProbeId, Span};

    fn try_read(value: serde_json::Value) -> Result<Declared, Vec<Fault>> {
        let sites = [SiteId::new("east"), SiteId::new("west")];
        let objectives = Objectives { rpo: Span::secs(30), rto: Span::secs(300) };
        let id = ProbeId::new(&PlanId::new("shop"), "front-door");
        let (interval, timeout) = (Duration::from_secs(5), Duration::from_secs(3));
        let [home, _] = &sites;
        let area = crate::plan::Area::Dns;
        read(
            &ReadContext {
                id: &id,
                strategy: crate::plan::Strategy::WarmStandby,
                sites: &sites,
                home,
                objectives: &objectives,
                area,
                interval,
                timeout,
            },
            value,
        )
    }

    fn faults(value: serde_json::Value) -> Vec<String> {
        let shown = |f: &Fault| format!("{}: {}; {}", f.path.join("."), f.what, f.right);
        try_read(value).unwrap_err().iter().map(shown).collect()
    }

    #[test]
    fn the_example_of_the_design() {
        let declared = try_read(json!({
            "record": "shop.example.com.",
            "answers": { "east": ["203.0.113.10", "2001:db8:1::10"], "west": ["198.51.100.10", "2001:db8:2::10"] },
            "resolvers": ["1.1.1.1", "8.8.8.8"], "max_ttl": "60s",
        }))
        .unwrap();
        let subjects: Vec<String> = declared.lanes.iter().map(|l| l.subject.to_string()).collect();
        assert_eq!(subjects, ["1.1.1.1", "8.8.8.8", "authoritative"]);
        let dns = declared.options.as_any().downcast_ref::<Dns>().unwrap();
        assert_eq!(dns.record, "shop.example.com");
        assert_eq!(dns.max_ttl, Some(Span::secs(60)));
    }

    #[test]
    fn endpoints_and_system_resolvers_are_lanes() {
        let declared = try_read(json!({
            "record": "shop.example.com",
            "answers": { "east": ["lb.east.example.net"], "west": ["lb.west.example.net."] },
            "endpoint": { "http": "/healthz", "sites": ["west"] },
        }))
        .unwrap();
        let subjects: Vec<String> = declared.lanes.iter().map(|l| l.subject.to_string()).collect();
        assert_eq!(subjects, ["system resolvers", "authoritative", "west"]);
    }

    #[test]
    fn every_fault_at_once_with_what_would_be_right() {
        let found = faults(json!({
            "record": "10.0.0.1",
            "answers": { "eats": ["203.0.113.10"], "west": ["203.0.113.300", "a.b:53"] },
            "resolvers": ["dns.google", "1.1.1.1", "1.1.1.1:53"],
            "servers": ["ns1:x"],
            "max_ttl": "1h",
            "endpoint": { "tls": false, "insecure": true, "status": 200, "port": 0, "sites": ["wset"] },
        }));
        insta::assert_snapshot!(found.join("\n"), @r#"
        record: "10.0.0.1" is an address; the name that users look up
        answers.eats: the plan has no site "eats"; did you mean "east"?
        answers.west: "203.0.113.300" is no address; an IPv4 or IPv6 address without a port, or the name that a CNAME points to
        answers.west: "a.b:53" is no address; an IPv4 or IPv6 address without a port, or the name that a CNAME points to
        answers: no answers for site east; east = ["192.0.2.10"]: what the record answers when traffic goes there
        resolvers: "dns.google" is no address; an address with an optional port: "1.1.1.1", "127.0.0.1:5353" or "[::1]:53"
        resolvers: "1.1.1.1:53" is there twice; name each resolver once
        servers: "ns1:x": the port is no number from 1 to 65535; a name or an address with an optional port: "ns1.example.com" or "192.0.2.1:53"
        max_ttl: max_ttl is longer than the plan's RTO of 5m; a time to live that leaves room for the failover itself, such as "60s"
        endpoint.port: 0 is no port; a port from 1 to 65535
        endpoint.status: a status without http; add http = "/healthz", or drop status
        endpoint.insecure: insecure without TLS; tls = true, or drop insecure
        endpoint.sites: the plan has no site "wset"; did you mean "west"?
        "#);
    }

    #[test]
    fn impossible_combinations() {
        let of = |answers: serde_json::Value| faults(json!({ "record": "shop.example.com", "answers": answers }));
        assert!(of(json!({ "east": ["192.0.2.1"], "west": ["192.0.2.1"] }))[0].contains("is in east too"));
        assert!(of(json!({ "east": ["::ffff:192.0.2.1"], "west": ["192.0.2.1"] }))[0].contains("is in east too"));
        assert!(of(json!({ "east": ["192.0.2.1", "a.b"], "west": ["192.0.2.2"] }))[0].contains("together"));
        assert!(of(json!({ "east": ["shop.example.com"], "west": ["192.0.2.2"] }))[0].contains("itself"));
        assert!(of(json!({ "east": [], "west": ["192.0.2.2"] }))[0].contains("no answer for east"));
        assert!(of(json!({ "east": ["192.0.2.2"] }))[0].contains("no answers for site west"));
    }
}
