//! The options of `kind = "patroni"`: as they are written, and as they are meant.

mod steps;

use std::any::Any;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::plan::{ProbeOptions, SecretRef, SiteId};

pub use steps::{DemoteOptions, FailoverOptions, PlainOptions, StandbyCluster, SwitchoverOptions};

/// The user of the REST API that may change something (`restapi.authentication`); read by the runner alone, after
/// approval. Looking never uses it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestUser {
    /// The user.
    pub user: String,
    /// Where the user's password is.
    pub password: SecretRef,
}

/// Options of a `patroni` probe, as they are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PatroniOptions {
    /// The REST API of every member, by site: `west = ["http://10.1.1.1:8008", "https://db2.west.example.com:8008"]`.
    /// Name all of a site's members: one that is not named is seen only through the others.
    pub at: BTreeMap<String, Vec<String>>,
    /// A PEM file of authorities to trust for `https`, instead of the system's.
    pub roots: Option<String>,
    /// A PEM file with the client certificate, where the REST API asks for one (`verify_client: required`).
    pub client_certificate: Option<String>,
    /// A PEM file with the key of the client certificate.
    pub client_key: Option<String>,
    /// Accept any certificate.
    #[serde(default)]
    pub insecure: bool,
    /// Who changes something, where the REST API asks for it.
    pub act_as: Option<RestUser>,
}

/// Options of a `patroni` probe, checked, as they are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patroni {
    /// Every site, home first.
    pub sites: Vec<SiteMembers>,
    /// A PEM file of authorities to trust.
    pub roots: Option<String>,
    /// PEM files: the client certificate, and its key.
    pub client: Option<(String, String)>,
    /// Accept any certificate.
    pub insecure: bool,
    /// Who changes something.
    pub act_as: Option<RestUser>,
}

/// The members of one site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteMembers {
    /// The site.
    pub site: SiteId,
    /// Its members.
    pub members: Vec<Member>,
}

/// One member's REST API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its address as it is shown, `10.1.1.1:8008`: the member's name in findings until it says its own.
    pub shown: String,
    /// Where it is: `http` or `https`, without a path.
    pub url: Url,
}

impl ProbeOptions for Patroni {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Patroni {
    /// The members of a site; none where the site is not looked at.
    #[must_use]
    pub fn members(&self, site: &SiteId) -> &[Member] {
        self.sites.iter().find(|s| s.site == *site).map_or(&[], |s| &s.members)
    }
}

impl Member {
    /// Reads a member's URL: `http` or `https`, a host, and a port (Patroni's 8008 where none is written). A path is
    /// refused but the one slash: the paths are Patroni's own.
    ///
    /// # Errors
    /// What is wrong with it. Never repeats the text where it holds a user or a password.
    pub fn read(text: &str) -> Result<Self, &'static str> {
        let mut url = Url::parse(text).map_err(|_| "not a URL")?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("neither http nor https");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a user or a password in it: reading needs none");
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err("more than host and port");
        }
        let host = url.host_str().filter(|h| !h.is_empty()).ok_or("no host")?.to_owned();
        if !says_port(text) {
            url.set_port(Some(8008)).map_err(|()| "no port is possible")?;
        }
        let port = url.port_or_known_default().filter(|p| *p != 0).ok_or("port 0")?;
        Ok(Self { shown: format!("{host}:{port}"), url })
    }
}

/// Whether a URL names its port; the parser hides one that is its scheme's default.
fn says_port(text: &str) -> bool {
    let rest = text.split_once("://").map_or(text, |(_, r)| r);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let after_host = authority.rsplit_once(']').map_or(authority, |(_, p)| p);
    after_host.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_have_a_port() {
        let of = |t: &str| Member::read(t).map(|m| (m.shown, m.url.to_string()));
        let both = |s: &str, u: &str| Ok((s.to_owned(), u.to_owned()));
        assert_eq!(of("http://10.0.1.1:8009"), both("10.0.1.1:8009", "http://10.0.1.1:8009/"));
        assert_eq!(of("http://10.0.1.1"), both("10.0.1.1:8008", "http://10.0.1.1:8008/"));
        assert_eq!(of("https://db.example.com/"), both("db.example.com:8008", "https://db.example.com:8008/"));
        assert_eq!(of("https://db.example.com:443"), both("db.example.com:443", "https://db.example.com/"));
        assert_eq!(of("http://[::1]"), both("[::1]:8008", "http://[::1]:8008/"));
        assert_eq!(of("http://[::1]:80"), both("[::1]:80", "http://[::1]/"));
    }

    #[test]
    fn what_is_no_member() {
        for bad in [
            "",
            "10.0.1.1:8008",
            "ftp://x",
            "http://",
            "http://u:p@x:8008",
            "http://x/patroni",
            "http://x?a",
            "http://x:0",
        ] {
            assert!(Member::read(bad).is_err(), "{bad}");
        }
        assert!(!Member::read("http://u:hunter2@x").unwrap_err().contains("hunter2"));
    }
}
