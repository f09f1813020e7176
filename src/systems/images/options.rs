//! The options of `kind = "images"`: as they are written, and as they are meant.

use std::any::Any;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::{LaneDecl, ProbeOptions, SecretRef, SiteId, Span, Subject};

use super::parse::reference::Image;

/// Options of an `images` probe, as they are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImagesOptions {
    /// Where each site pulls its images from: the registry, and what stands before every image's name:
    /// `registry.east.example.com/shop`, `docker.io/acme`, `localhost:5000`.
    pub at: BTreeMap<String, String>,
    /// The images that are deployed, each with a tag or a digest, as they follow `at`: `api:1.42.0`.
    #[serde(default)]
    pub images: Vec<String>,
    /// A file that lists them instead, as a pipeline writes it: one a line, or a JSON array of strings.
    pub images_from: Option<String>,
    /// The file says when it was written: warn when that is longer ago.
    pub images_max_age: Option<Span>,
    /// The platforms that must be there: `linux/amd64`, `linux/arm64/v8`. Without: each that the active site has, and one
    /// that is missing elsewhere only degrades.
    #[serde(default)]
    pub platforms: Vec<String>,
    /// The user of every site's registry. Without: what `docker login` left, else nobody.
    pub user: Option<String>,
    /// The user's password or token.
    pub password: Option<SecretRef>,
    /// Users of single sites' registries, before `user`.
    #[serde(default)]
    pub logins: BTreeMap<String, Login>,
    /// Docker's configuration file. Without: `config.json` in `$DOCKER_CONFIG` or `~/.docker`, where there is one.
    pub docker_config: Option<String>,
    /// Ask as nobody, whatever Docker's configuration file says.
    #[serde(default)]
    pub anonymous: bool,
    /// The registries speak plain HTTP. One alone: write `http://` before it.
    #[serde(default)]
    pub http: bool,
    /// A PEM file of authorities to trust instead of the system's.
    pub roots: Option<String>,
    /// Accept any certificate.
    #[serde(default)]
    pub insecure: bool,
    /// How often the content of every image is asked for anew: that each layer is there, and that the image's
    /// configuration can be pulled.
    #[serde(default = "hourly")]
    pub verify_every: Span,
}

const fn hourly() -> Span {
    Span::secs(3_600)
}

/// A user of a registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The user's password or token.
    pub password: SecretRef,
}

/// Options of an `images` probe, checked, as they are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// Every registry once, in the order of the plan's sites.
    pub registries: Vec<Registry>,
    /// The plan's home.
    pub home: SiteId,
    /// What is deployed.
    pub wanted: Wanted,
    /// The platforms that must be there, canonical; empty for those of the active site.
    pub platforms: Vec<String>,
    /// Warn when the list is older than this.
    pub images_max_age: Option<Span>,
    /// How often content is asked for anew.
    pub verify_every: Span,
    /// Trust this file's authorities.
    pub roots: Option<String>,
    /// Accept any certificate.
    pub insecure: bool,
}

/// Where the list of images comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The configuration.
    Listed(Vec<Image>),
    /// A file.
    From(String),
}

/// One registry, with what stands before every image's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    /// The sites that pull from it.
    pub sites: Vec<SiteId>,
    /// Where it is.
    pub at: At,
    /// Who asks it.
    pub login: LoginFrom,
}

/// Who asks a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginFrom {
    /// This user.
    User(Login),
    /// Whoever Docker's configuration file names: this file, or the user's own.
    Docker(Option<String>),
    /// Nobody.
    Nobody,
}

/// A registry's address, as images name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Its host as it is written, with a port where one is: `registry.example.com:5000`, `docker.io`.
    pub host: String,
    /// What stands before every image's name; may be empty.
    pub prefix: String,
}

/// Docker Hub by the name that people write.
pub const DOCKER_HUB: &str = "docker.io";
/// Other names of Docker Hub.
const HUB_ALIASES: [&str; 4] = ["index.docker.io", "registry-1.docker.io", "registry.hub.docker.com", "www.docker.io"];

impl At {
    /// Reads `host[:port][/prefix]`, with `http://` or `https://` before it at will.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str, http: bool) -> Result<Self, String> {
        let (tls, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => (!http, text),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if host.contains('@') {
            return Err("a user in the address: who asks is said by user and password".to_owned());
        }
        let wrong = || format!("{host:?} is no host");
        let scheme = if tls { "https" } else { "http" };
        let url = url::Url::parse(&format!("{scheme}://{host}/")).map_err(|_| wrong())?;
        if host.is_empty() || host.contains(['?', '#', '\\']) || url.host_str().is_none() || url.port() == Some(0) {
            return Err(wrong());
        }
        if !prefix.is_empty() {
            super::parse::reference::name(prefix)?;
        }
        let host = host.to_ascii_lowercase();
        let host = if HUB_ALIASES.contains(&host.as_str()) { DOCKER_HUB.to_owned() } else { host };
        Ok(Self { tls, host, prefix: prefix.to_owned() })
    }

    /// The host to connect to, with a port where one is.
    #[must_use]
    pub fn server(&self) -> &str {
        if self.host == DOCKER_HUB { "registry-1.docker.io" } else { &self.host }
    }

    /// The repository of an image's name: `shop/api`; on Docker Hub a bare name is `library/name`.
    #[must_use]
    pub fn repository(&self, name: &str) -> String {
        match (self.prefix.as_str(), name.contains('/')) {
            ("", false) if self.host == DOCKER_HUB => format!("library/{name}"),
            ("", _) => name.to_owned(),
            (prefix, _) => format!("{prefix}/{name}"),
        }
    }

    /// How an image is written for `docker pull`.
    #[must_use]
    pub fn pull(&self, image: &str) -> String {
        match self.prefix.as_str() {
            "" => format!("{}/{image}", self.host),
            prefix => format!("{}/{prefix}/{image}", self.host),
        }
    }
}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.prefix.as_str() {
            "" => f.write_str(&self.host),
            prefix => write!(f, "{}/{prefix}", self.host),
        }
    }
}

impl Registry {
    /// What its lane is about: the site, or the registry's address where several sites share it.
    #[must_use]
    pub fn subject(&self) -> Subject {
        match self.sites.as_slice() {
            [site] => Subject::site(site.clone()),
            [..] => Subject::part(&self.at.to_string()),
        }
    }

    /// What a finding about one of its images is about.
    #[must_use]
    pub fn subject_of(&self, image: &str) -> Subject {
        match self.sites.as_slice() {
            [site] => Subject::part_of(site.clone(), image),
            [..] => Subject::part(image),
        }
    }

    /// Its sites in a sentence: `west`, `east and west`.
    #[must_use]
    pub fn names(&self) -> String {
        match self.sites.as_slice() {
            [most @ .., last] if !most.is_empty() => {
                format!("{} and {last}", most.iter().map(SiteId::as_str).collect::<Vec<_>>().join(", "))
            }
            [one] => one.to_string(),
            [..] => self.at.to_string(),
        }
    }
}

impl Images {
    /// The registry that a site pulls from.
    #[must_use]
    pub fn of_site(&self, site: &SiteId) -> Option<&Registry> {
        self.registries.iter().find(|r| r.sites.contains(site))
    }

    /// Whether a platform has to be there. One that nobody names is; so is every one where the configuration names none.
    #[must_use]
    pub fn needs(&self, platform: &str) -> bool {
        let named = |p: &String| p == platform || platform.strip_prefix(p.as_str()).is_some_and(|r| r.starts_with(':'));
        self.platforms.is_empty() || platform.is_empty() || self.platforms.iter().any(named)
    }

    /// The registry that a lane asks.
    #[must_use]
    pub fn of_lane(&self, lane: &LaneDecl) -> Option<&Registry> {
        self.registries.iter().find(|r| r.subject() == lane.subject)
    }
}

impl ProbeOptions for Images {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_people_write_them() {
        let of = |text: &str| At::read(text, false).map(|a| (a.tls, a.server().to_owned(), a.repository("api")));
        let right = |tls, server: &str, repository: &str| Ok((tls, server.to_owned(), repository.to_owned()));
        assert_eq!(of("registry.east.example.com/shop"), right(true, "registry.east.example.com", "shop/api"));
        assert_eq!(of("localhost:5000"), right(true, "localhost:5000", "api"));
        assert_eq!(of("http://127.0.0.1:5000/a/b/"), right(false, "127.0.0.1:5000", "a/b/api"));
        assert_eq!(of("[::1]:5000/x"), right(true, "[::1]:5000", "x/api"));
        assert_eq!(of("docker.io"), right(true, "registry-1.docker.io", "library/api"));
        assert_eq!(of("index.docker.io/acme"), right(true, "registry-1.docker.io", "acme/api"));
        assert!(!At::read("registry.lan", true).unwrap().tls);
        assert!(At::read("https://registry.lan", true).unwrap().tls);
        for bad in
            ["", "/shop", "a b/c", "user:pw@host/x", "host/UPPER", "host:99999/x", "host:0/x", "host//x", "host/x?y"]
        {
            assert!(At::read(bad, false).is_err(), "{bad}");
        }
        assert_eq!(At::read("docker.io", false).unwrap().pull("nginx:1"), "docker.io/nginx:1");
    }
}
