//! The options of the steps, as they are written and as they are meant.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::net::TlsPolicy;
use crate::plan::{SafeText, SecretRef, Span};
use crate::runbook::{Danger, RetrySafety, StepRole, Verified};
use crate::systems::{Fault, StepContext, StepTraits};

use super::super::options::{Dns, ServerName, name, server};
use super::super::read::authorities;

/// How long a change may take to reach every authoritative server: a transfer to secondaries takes seconds.
const REACHES: Span = Span::secs(60);
/// How long resolvers may take to follow, beyond the time to live.
const FOLLOW: Span = Span::secs(60);
/// How long resolvers may take, where nobody says how long they may keep an answer.
const FOLLOW_ANY: Span = Span::secs(600);
/// The longest time to live that a record can have (RFC 2181 section 8).
const LONGEST_TTL: u32 = 0x7fff_ffff;

/// How a change is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// By a dynamic update (RFC 2136) at the zone's primary server, signed with a TSIG key, by TCP.
    Rfc2136,
    /// By the HTTP API of a PowerDNS authoritative server.
    PowerDns,
}

/// A key's algorithm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// HMAC with SHA-256.
    #[default]
    HmacSha256,
    /// HMAC with SHA-384.
    HmacSha384,
    /// HMAC with SHA-512.
    HmacSha512,
}

impl Algorithm {
    /// Its name (RFC 8945 section 6).
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha384 => "hmac-sha384",
            Self::HmacSha512 => "hmac-sha512",
        }
    }
}

/// A TSIG key that may change the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Its name, as the server knows it.
    pub name: String,
    /// Its algorithm.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// Where its secret is, in base64 as `tsig-keygen` writes it.
    pub secret: SecretRef,
}

/// Options of a `dns-update` step, as they are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateOptions {
    /// How the change is made.
    pub via: Via,
    /// The zone that holds the record: `example.com`.
    pub zone: String,
    /// The time to live that the moved record gets. Without: the one that it has.
    pub ttl: Option<Span>,
    /// For `rfc2136`: the zone's primary server, `name-or-address[:port]`.
    pub server: Option<String>,
    /// For `rfc2136`: the TSIG key.
    pub key: Option<Key>,
    /// For `powerdns`: where its API is: `http://127.0.0.1:8081`.
    pub url: Option<String>,
    /// For `powerdns`: the API's key.
    pub api_key: Option<SecretRef>,
    /// For `powerdns`: the server's id in the API. Without: `localhost`.
    pub server_id: Option<String>,
    /// For `powerdns` by `https`: a PEM file of authorities to trust instead of the system's.
    pub roots: Option<String>,
}

/// Options of a `dns-moved` step: it has none of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MovedOptions {}

/// How a change is made, with all that it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// RFC 2136.
    Rfc2136 {
        /// The zone's primary.
        server: ServerName,
        /// The key.
        key: Key,
    },
    /// PowerDNS.
    PowerDns(Api),
}

/// PowerDNS's API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// The zone in it.
    pub zone: Url,
    /// Its key.
    pub key: SecretRef,
    /// What it must prove by TLS.
    pub tls: TlsPolicy,
}

/// A `dns-update` step, as it is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// How.
    pub way: Way,
    /// The zone: lower case, without the dot at its end.
    pub zone: String,
    /// The time to live, in seconds, that the moved record gets.
    pub ttl: Option<u32>,
}

/// Reads the options of a `dns-update` step.
///
/// # Errors
/// Every fault of meaning.
pub fn read_update(ctx: &StepContext<'_>, value: &Value) -> Result<StepTraits, Vec<Fault>> {
    let dns = dns_of(ctx)?;
    let raw = raw(value)?;
    let update = checked(dns, &raw)?;
    let (retry, secret) = match update.way {
        Way::Rfc2136 { key, .. } => (RetrySafety::NativeCas, ("key.secret".to_owned(), key.secret)),
        Way::PowerDns(api) => (RetrySafety::ReadBack, ("api_key".to_owned(), api.key)),
    };
    Ok(StepTraits {
        role: StepRole::Traffic,
        danger: Danger::Changes,
        retry,
        verified: Verified::ByLooking,
        deadline: REACHES,
        // In the words of the probe's lane too, by which a drill is told from the plan's own record.
        touches: vec![SafeText::new(&dns.record), authorities(&dns.record)],
        secrets: vec![secret],
    })
}

/// Reads the options of a `dns-moved` step.
///
/// # Errors
/// Where it names no probe that was read.
pub fn read_moved(ctx: &StepContext<'_>, _: &Value) -> Result<StepTraits, Vec<Fault>> {
    let dns = dns_of(ctx)?;
    Ok(StepTraits {
        role: StepRole::Verify,
        danger: Danger::None,
        retry: RetrySafety::ReadBack,
        verified: Verified::ByLooking,
        deadline: dns.max_ttl.map_or(FOLLOW_ANY, |ttl| Span(ttl.0.saturating_add(FOLLOW.0))),
        touches: Vec::new(),
        secrets: Vec::new(),
    })
}

fn dns_of<'a>(ctx: &StepContext<'a>) -> Result<&'a Dns, Vec<Fault>> {
    let dns = ctx.probe.and_then(|p| p.options::<Dns>());
    dns.ok_or_else(|| vec![Fault::new(&["probe"], "no dns probe", "the name of a probe of kind dns")])
}

/// Reads what is written.
///
/// # Errors
/// What serde says of it; the schema has been held against it before.
pub fn raw(value: &Value) -> Result<UpdateOptions, Vec<Fault>> {
    serde_json::from_value(value.clone())
        .map_err(|e| vec![Fault::new(&[], &e.to_string(), "see lifeboat config schema")])
}

/// What is meant.
///
/// # Errors
/// Every fault of meaning.
pub fn checked(dns: &Dns, raw: &UpdateOptions) -> Result<Update, Vec<Fault>> {
    let mut faults = Vec::new();
    let zone = name(&raw.zone).unwrap_or_else(|why| {
        faults.push(Fault::new(&["zone"], &format!("{:?}: {why}", raw.zone), "a zone such as \"example.com\""));
        String::new()
    });
    let within = dns.record == zone || dns.record.strip_suffix(&zone).is_some_and(|head| head.ends_with('.'));
    if !zone.is_empty() && !within {
        let what = format!("{} is not in the zone {zone}", dns.record);
        faults.push(Fault::new(&["zone"], &what, "the zone that holds the probe's record"));
    }
    if dns.record == zone && dns.answers.iter().any(|a| !a.names.is_empty()) {
        let what = "a zone's own name cannot be a CNAME, and the probe answers with names";
        faults.push(Fault::new(&["zone"], what, "addresses in the probe's answers"));
    }
    let ttl = raw.ttl.map(|ttl| seconds(dns, ttl, &mut faults)).unwrap_or_default();
    let way = match raw.via {
        Via::Rfc2136 => rfc2136(raw, &mut faults),
        Via::PowerDns => powerdns(raw, &zone, &mut faults),
    };
    match way {
        Some(way) if faults.is_empty() => Ok(Update { way, zone, ttl }),
        Some(_) | None => Err(faults),
    }
}

fn seconds(dns: &Dns, ttl: Span, faults: &mut Vec<Fault>) -> Option<u32> {
    let right = "whole seconds from \"1s\", such as \"60s\"";
    if let Some(most) = dns.max_ttl.filter(|most| ttl > *most) {
        faults.push(Fault::new(&["ttl"], &format!("longer than the probe's max_ttl of {most}"), right));
    }
    let secs = u32::try_from(ttl.0.as_secs()).ok().filter(|s| (1..=LONGEST_TTL).contains(s));
    if secs.is_none() || ttl.0.subsec_nanos() != 0 {
        faults.push(Fault::new(&["ttl"], &format!("{ttl} is no time to live"), right));
    }
    secs
}

/// A key that this way does not have.
fn foreign(way: &str, key: &str, given: bool, faults: &mut Vec<Fault>) {
    if given {
        faults.push(Fault::new(&[key], &format!("via = {way:?} has no {key}"), "drop it, or change via"));
    }
}

fn rfc2136(raw: &UpdateOptions, faults: &mut Vec<Fault>) -> Option<Way> {
    let given = [
        ("url", raw.url.is_some()),
        ("api_key", raw.api_key.is_some()),
        ("server_id", raw.server_id.is_some()),
        ("roots", raw.roots.is_some()),
    ];
    given.into_iter().for_each(|(key, given)| foreign("rfc2136", key, given, faults));
    let primary = "the zone's primary: \"ns1.example.com\" or \"192.0.2.1:53\"";
    let primary = match raw.server.as_deref().map(server) {
        Some(Ok(server)) => Some(server),
        Some(Err(why)) => {
            faults.push(Fault::new(&["server"], why, primary));
            None
        }
        None => {
            faults.push(Fault::new(&["server"], "via = \"rfc2136\" needs a server", primary));
            None
        }
    };
    let right = "key = { name = \"failover\", algorithm = \"hmac-sha256\", secret = { file = \"...\" } }";
    let key = match &raw.key {
        None => {
            faults.push(Fault::new(&["key"], "via = \"rfc2136\" needs a TSIG key", right));
            None
        }
        Some(key) => match name(&key.name) {
            Ok(name) => Some(Key { name, ..key.clone() }),
            Err(why) => {
                faults.push(Fault::new(&["key", "name"], &format!("{:?}: {why}", key.name), right));
                None
            }
        },
    };
    Some(Way::Rfc2136 { server: primary?, key: key? })
}

fn powerdns(raw: &UpdateOptions, zone: &str, faults: &mut Vec<Fault>) -> Option<Way> {
    foreign("powerdns", "server", raw.server.is_some(), faults);
    foreign("powerdns", "key", raw.key.is_some(), faults);
    let right = "the API's address: \"http://127.0.0.1:8081\"";
    let url = raw.url.as_deref().map(Url::parse);
    let base = match url {
        Some(Ok(url)) if matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none() => {
            Some(url)
        }
        Some(_) => {
            faults.push(Fault::new(&["url"], "no http or https URL", right));
            None
        }
        None => {
            faults.push(Fault::new(&["url"], "via = \"powerdns\" needs a url", right));
            None
        }
    };
    if base.as_ref().is_some_and(|url| url.scheme() != "https") && raw.roots.is_some() {
        faults.push(Fault::new(&["roots"], "roots without TLS", "an https url, or drop roots"));
    }
    if raw.api_key.is_none() {
        let right = "api_key = { env = \"NAME\" }, { file = \"...\" } or { command = [...] }";
        faults.push(Fault::new(&["api_key"], "via = \"powerdns\" needs an api_key", right));
    }
    let mut url = base?;
    let id = raw.server_id.as_deref().unwrap_or("localhost");
    let segments = ["api", "v1", "servers", id, "zones", &format!("{zone}.")];
    url.path_segments_mut().ok()?.pop_if_empty().extend(segments);
    let tls = TlsPolicy { roots: raw.roots.as_ref().map(PathBuf::from), ..TlsPolicy::default() };
    Some(Way::PowerDns(Api { zone: url, key: raw.api_key.clone()?, tls }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::options::SiteAnswer;
    use super::*;
    use crate::plan::SiteId;

    fn dns(answers: [&[&str]; 2]) -> Dns {
        let answer = |site: &str, texts: &[&str]| SiteAnswer {
            site: SiteId::new(site),
            addresses: texts.iter().filter_map(|t| t.parse().ok()).collect(),
            names: texts.iter().filter(|t| t.parse::<std::net::IpAddr>().is_err()).map(|t| (*t).to_owned()).collect(),
        };
        Dns {
            record: "shop.example.com".to_owned(),
            answers: vec![answer("east", answers[0]), answer("west", answers[1])],
            resolvers: vec![],
            servers: vec![],
            max_ttl: Some(Span::secs(60)),
            endpoint: None,
        }
    }

    fn faults(value: &Value) -> Vec<String> {
        let dns = dns([&["192.0.2.1"], &["192.0.2.2"]]);
        let checked = raw(value).and_then(|raw| checked(&dns, &raw));
        checked.unwrap_err().iter().map(|f| format!("{}: {}", f.path.join("."), f.what)).collect()
    }

    #[test]
    fn both_ways() {
        let dns = dns([&["192.0.2.1"], &["192.0.2.2"]]);
        let of = |value: Value| checked(&dns, &raw(&value).unwrap()).unwrap();
        let key = json!({ "name": "Failover.", "secret": { "env": "TSIG" } });
        let update = of(json!({
            "via": "rfc2136", "server": "ns1.example.com:5353", "zone": "Example.COM.", "ttl": "60s", "key": key,
        }));
        assert_eq!((update.zone.as_str(), update.ttl), ("example.com", Some(60)));
        let Way::Rfc2136 { server, key } = update.way else { panic!("{update:?}") };
        assert_eq!((server.host.as_str(), server.port), ("ns1.example.com", 5353));
        assert_eq!((key.name.as_str(), key.algorithm.word()), ("failover", "hmac-sha256"));
        let api = |url: &str| {
            let update = of(json!({ "via": "powerdns", "url": url, "zone": "example.com", "api_key": { "env": "K" } }));
            let Way::PowerDns(api) = update.way else { panic!("{update:?}") };
            api.zone.to_string()
        };
        let zone = "/api/v1/servers/localhost/zones/example.com.";
        assert_eq!(api("http://127.0.0.1:8081"), format!("http://127.0.0.1:8081{zone}"));
        assert_eq!(api("https://dns.example.com/pdns/"), format!("https://dns.example.com/pdns{zone}"));
    }

    #[test]
    fn every_fault_at_once() {
        let found = faults(
            &json!({ "via": "rfc2136", "zone": "ample.com", "ttl": "90s", "url": "x", "api_key": { "env": "K" } }),
        );
        assert_eq!(
            found,
            [
                "zone: shop.example.com is not in the zone ample.com",
                "ttl: longer than the probe's max_ttl of 1m",
                "url: via = \"rfc2136\" has no url",
                "api_key: via = \"rfc2136\" has no api_key",
                "server: via = \"rfc2136\" needs a server",
                "key: via = \"rfc2136\" needs a TSIG key",
            ]
        );
        let found =
            faults(&json!({ "via": "powerdns", "zone": "example.com", "ttl": "500ms", "server": "a", "roots": "x" }));
        assert_eq!(
            found,
            [
                "ttl: 500ms is no time to live",
                "server: via = \"powerdns\" has no server",
                "url: via = \"powerdns\" needs a url",
                "api_key: via = \"powerdns\" needs an api_key",
            ]
        );
        let key = json!({ "name": "a b", "secret": { "env": "TSIG" } });
        let found = faults(&json!({ "via": "rfc2136", "zone": "example.com", "server": "10.0.0.256", "key": key }));
        assert_eq!(
            found,
            [
                "server: not an address",
                "key.name: \"a b\": the name holds something else than letters, digits, hyphens and underscores"
            ]
        );
    }

    #[test]
    fn a_zones_own_name_is_no_cname() {
        let mut dns = dns([&["lb.east.example.net"], &["lb.west.example.net"]]);
        dns.record = "example.com".to_owned();
        let value =
            json!({ "via": "powerdns", "url": "http://127.0.0.1:1", "zone": "example.com", "api_key": { "env": "K" } });
        let found = checked(&dns, &raw(&value).unwrap()).unwrap_err();
        assert!(found[0].what.contains("cannot be a CNAME"), "{found:?}");
    }
}
