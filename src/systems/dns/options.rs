//! The options of `kind = "dns"`: as they are written, and as they are meant.

use std::any::Any;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::{ProbeOptions, SiteId, Span};

/// Options of a `dns` probe, as they are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DnsOptions {
    /// The name that moves traffic: `shop.example.com`. A dot at its end is optional.
    pub record: String,
    /// What the record answers for each site: addresses, or the name that a CNAME points to.
    pub answers: BTreeMap<String, Vec<String>>,
    /// The resolvers that users use: `1.1.1.1`, `127.0.0.1:5353`, `[::1]:53`. Without: the system's.
    #[serde(default)]
    pub resolvers: Vec<String>,
    /// The authoritative servers, `name-or-address[:port]`, where they cannot be found by NS records.
    #[serde(default)]
    pub servers: Vec<String>,
    /// The most time to live that any link of the answer may have.
    pub max_ttl: Option<Span>,
    /// What must answer at every address of every site.
    pub endpoint: Option<Endpoint>,
}

/// What must answer at a site's addresses, so that there is something to move traffic to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// The port. Without: 443 with TLS, 80 without.
    pub port: Option<u16>,
    /// Whether it speaks TLS.
    #[serde(default = "yes")]
    pub tls: bool,
    /// A path to ask for by HTTP: `/healthz`. Without: connecting is enough.
    pub http: Option<String>,
    /// The HTTP status that is right. Without: any of 200 to 399.
    pub status: Option<u16>,
    /// The name for SNI, the certificate and the HTTP host. Without: the record.
    pub server_name: Option<String>,
    /// Warn when the certificate expires within this.
    #[serde(default = "fourteen_days")]
    pub expiry_warn: Span,
    /// A PEM file of authorities to trust instead of the system's.
    pub roots: Option<String>,
    /// Accept any certificate; its expiry is still judged.
    #[serde(default)]
    pub insecure: bool,
    /// The sites where it must answer. Without: every site.
    #[serde(default)]
    pub sites: Vec<String>,
    /// Leave IPv6 addresses out: for a machine without IPv6.
    #[serde(default)]
    pub skip_ipv6: bool,
}

const fn yes() -> bool {
    true
}

const fn fourteen_days() -> Span {
    Span::secs(14 * 86_400)
}

impl Endpoint {
    /// The port that is meant.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.tls { 443 } else { 80 })
    }

    /// Whether an HTTP status is right.
    #[must_use]
    pub fn accepts(&self, status: u16) -> bool {
        self.status.map_or((200..400).contains(&status), |right| right == status)
    }
}

/// Options of a `dns` probe, checked, as they are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// The record: lower case, without the dot at its end.
    pub record: String,
    /// What it answers for each site.
    pub answers: Vec<SiteAnswer>,
    /// The resolvers that users use; empty for the system's.
    pub resolvers: Vec<SocketAddr>,
    /// The authoritative servers; empty where NS records name them.
    pub servers: Vec<ServerName>,
    /// The most time to live of any link.
    pub max_ttl: Option<Span>,
    /// What must answer at every address.
    pub endpoint: Option<Endpoint>,
}

/// What the record answers for one site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteAnswer {
    /// The site.
    pub site: SiteId,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its names, of which a CNAME points to one: lower case, without the dot at the end.
    pub names: Vec<String>,
}

/// A server by address, or by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerName {
    /// A host name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl ProbeOptions for Dns {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Dns {
    /// What the plan says of this site.
    #[must_use]
    pub fn site(&self, site: &SiteId) -> Option<&SiteAnswer> {
        self.answers.iter().find(|a| a.site == *site)
    }

    /// Whether this site's endpoints are to be looked at.
    #[must_use]
    pub fn visits(&self, site: &SiteId) -> bool {
        let listed = |e: &Endpoint| e.sites.is_empty() || e.sites.iter().any(|s| s == site.as_str());
        self.endpoint.as_ref().is_some_and(listed)
    }
}

/// A resolver's or a server's address as it is shown: without the port where that is 53.
#[must_use]
pub fn shown(addr: SocketAddr) -> String {
    if addr.port() == 53 { addr.ip().to_string() } else { addr.to_string() }
}

/// A host name in its canonical form: lower case, no dot at the end. Letters, digits, hyphens and underscores, labels of
/// at most 63, 253 in all (RFC 1035 section 2.3.4, with underscores as they are used).
///
/// # Errors
/// What is wrong with it.
pub fn name(text: &str) -> Result<String, &'static str> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if name.is_empty() {
        return Err("the name is empty");
    }
    if !name.is_ascii() {
        return Err("the name has letters outside ASCII: write it as xn--...");
    }
    if name.len() > 253 {
        return Err("the name is longer than 253 characters");
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err("the name has two dots in a row, or one at its start");
        }
        if label.len() > 63 {
            return Err("a part of the name is longer than 63 characters");
        }
        if !label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
            return Err("the name holds something else than letters, digits, hyphens and underscores");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err("a part of the name starts or ends with a hyphen");
        }
    }
    Ok(name)
}

/// `1.1.1.1`, `127.0.0.1:5353`, `::1`, `[::1]:53`; the port is 53 where none is given.
#[must_use]
pub fn address(text: &str) -> Option<SocketAddr> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(SocketAddr::new(ip, 53));
    }
    let unbracketed = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    if let Some(ip) = unbracketed.and_then(|t| t.parse::<Ipv6Addr>().ok()) {
        return Some(SocketAddr::new(ip.into(), 53));
    }
    text.parse().ok().filter(|a: &SocketAddr| a.port() != 0)
}

/// `ns1.example.com`, `ns1.example.com:5353`, or an [`address`].
///
/// # Errors
/// What is wrong with it.
pub fn server(text: &str) -> Result<ServerName, &'static str> {
    if let Some(addr) = address(text) {
        return Ok(ServerName { host: addr.ip().to_string(), port: addr.port() });
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => {
            (host, port.parse().ok().filter(|p| *p != 0).ok_or("the port is no number from 1 to 65535")?)
        }
        None => (text, 53),
    };
    if looks_like_address(host) {
        return Err("not an address");
    }
    Ok(ServerName { host: name(host)?, port })
}

/// Whether a text was meant as an address: all digits and dots. Such a name cannot exist.
#[must_use]
pub fn looks_like_address(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(name("Shop.Example.COM."), Ok("shop.example.com".into()));
        assert_eq!(name("_dmarc.x"), Ok("_dmarc.x".into()));
        for bad in ["", ".", "a..b", ".a", "-a.b", "a-.b", "a b", "bücher.de", "a.b:53", "*.a"] {
            assert!(name(bad).is_err(), "{bad}");
        }
        assert!(name(&"a".repeat(64)).is_err());
        assert!(name(&["a"; 128].join(".")).is_err());
    }

    #[test]
    fn addresses_with_and_without_ports() {
        let of = |t: &str| address(t).map(|a| a.to_string());
        assert_eq!(of("1.1.1.1"), Some("1.1.1.1:53".into()));
        assert_eq!(of("127.0.0.1:5353"), Some("127.0.0.1:5353".into()));
        assert_eq!(of("::1"), Some("[::1]:53".into()));
        assert_eq!(of("[::1]"), Some("[::1]:53".into()));
        assert_eq!(of("[::1]:5353"), Some("[::1]:5353".into()));
        for bad in ["", "1.1.1", "1.1.1.1:0", "1.1.1.1:99999", "dns.google", "[::1"] {
            assert_eq!(address(bad), None, "{bad}");
        }
        assert_eq!(shown("1.1.1.1:53".parse().unwrap()), "1.1.1.1");
        assert_eq!(shown("[::1]:5353".parse().unwrap()), "[::1]:5353");
    }

    #[test]
    fn servers_by_name() {
        assert_eq!(server("ns1.example.com"), Ok(ServerName { host: "ns1.example.com".into(), port: 53 }));
        assert_eq!(server("ns1.example.com:5353"), Ok(ServerName { host: "ns1.example.com".into(), port: 5353 }));
        assert_eq!(server("[::1]:5353"), Ok(ServerName { host: "::1".into(), port: 5353 }));
        assert!(server("10.0.0.256").is_err());
        assert!(server("a:b").is_err());
    }
}
