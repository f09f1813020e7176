//! Docker's own configuration file, and what a credential helper answers.

use std::collections::BTreeMap;

use base64::Engine as _;
use serde::Deserialize;

use crate::readiness::{Gap, Reason};

use super::super::options::{At, DOCKER_HUB};

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
}

#[derive(Deserialize)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    #[serde(rename = "identitytoken")]
    identity_token: Option<String>,
}

/// Who asks, by what was found. Not printable: it holds secrets.
pub enum Found {
    /// A user and a password.
    User(String, String),
    /// A token that is exchanged for others (OAuth 2).
    Refresh(String),
    /// `docker-credential-NAME` is to be asked for this server. `certain` where the file names it for this registry:
    /// then it must know it.
    Helper {
        /// The helper's name.
        name: String,
        /// The server to ask for, as Docker names it.
        server: String,
        /// Whether the file names the helper for this registry.
        certain: bool,
    },
    /// Nothing is said of this registry.
    Nobody,
}

/// How Docker Hub is named in Docker's file.
const HUB: &str = "https://index.docker.io/v1/";
/// What a helper says as the user of a token.
const TOKEN_USER: &str = "<token>";

/// A key of Docker's file as host and path: without scheme, without the version path of old registries.
fn bare(key: &str) -> &str {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key)
}

/// How well a key fits a registry: the longest that is its host, or its host and the beginning of its path.
fn fit(key: &str, at: &At) -> Option<usize> {
    let key = bare(key);
    let (host, path) = key.split_once('/').unwrap_or((key, ""));
    let hub = ["index.docker.io", "docker.io", "registry-1.docker.io"];
    let same = host.eq_ignore_ascii_case(&at.host) || (at.host == DOCKER_HUB && hub.contains(&host));
    let below = path.is_empty() || at.prefix == path || at.prefix.starts_with(&format!("{path}/"));
    (same && below).then_some(path.len())
}

/// What Docker's file says of a registry: a helper of its own first, then the store for all, then what is in the file.
///
/// # Errors
/// `SecretUnavailable`: the file makes no sense. Its content is never quoted.
pub fn read(bytes: &[u8], at: &At) -> Result<Found, Gap> {
    let wrong = |why: &str| Gap::new(Reason::SecretUnavailable, &format!("Docker's configuration file: {why}"));
    let file: File = serde_json::from_slice(bytes)
        .map_err(|e| wrong(&format!("makes no sense at line {}, column {}", e.line(), e.column())))?;
    let server = if at.host == DOCKER_HUB { HUB.to_owned() } else { at.host.clone() };
    let best = |keys: &mut dyn Iterator<Item = &String>| {
        keys.filter_map(|k| Some((fit(k, at)?, k))).max_by_key(|(n, _)| *n).map(|(_, k)| k.clone())
    };
    let own = best(&mut file.helpers.keys()).and_then(|k| Some((file.helpers.get(&k)?, true)));
    let helper = own.or_else(|| Some((file.store.as_ref()?, false)));
    if let Some((name, certain)) = helper.filter(|(name, _)| !name.is_empty()) {
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
            return Err(wrong("names a credential helper that is no name of a program"));
        }
        return Ok(Found::Helper { name: name.clone(), server, certain });
    }
    let Some(auth) = best(&mut file.auths.keys()).and_then(|k| file.auths.get(&k)) else { return Ok(Found::Nobody) };
    if let Some(token) = auth.identity_token.as_ref().filter(|t| !t.is_empty()) {
        return Ok(Found::Refresh(token.clone()));
    }
    if let Some(pair) = auth.auth.as_ref().filter(|a| !a.is_empty()) {
        let decoded = base64::engine::general_purpose::STANDARD.decode(pair).ok();
        let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = text.as_deref().and_then(|t| t.split_once(':'));
        let (user, password) = pair.ok_or_else(|| wrong(&format!("auth of {} is no user and password", at.host)))?;
        return Ok(Found::User(user.to_owned(), password.trim_end_matches('\0').to_owned()));
    }
    match (&auth.username, &auth.password) {
        (Some(user), Some(password)) => Ok(Found::User(user.clone(), password.clone())),
        _ => Ok(Found::Nobody),
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username")]
    user: String,
    #[serde(rename = "Secret")]
    secret: String,
}

/// What a credential helper answered to `get`. One that failed and says that it knows no such server knows nobody.
///
/// # Errors
/// `SecretUnavailable`, without anything of what it said.
pub fn helper(name: &str, succeeded: bool, output: &str) -> Result<Found, Gap> {
    let failed = |why: &str| Gap::new(Reason::SecretUnavailable, &format!("docker-credential-{name} {why}"));
    if !succeeded {
        let known = ["credentials not found", "no credentials server url", "no credentials"];
        return match known.iter().any(|k| output.to_ascii_lowercase().contains(k)) {
            true => Ok(Found::Nobody),
            false => Err(failed("failed")),
        };
    }
    let answer: Answer =
        serde_json::from_str(output).map_err(|_| failed("answered no JSON with Username and Secret"))?;
    if answer.secret.is_empty() {
        return Err(failed("answered an empty secret"));
    }
    Ok(if answer.user == TOKEN_USER { Found::Refresh(answer.secret) } else { Found::User(answer.user, answer.secret) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(file: &str, at: &str) -> String {
        shown(read(file.as_bytes(), &At::read(at, false).unwrap()))
    }

    fn shown(found: Result<Found, Gap>) -> String {
        match found {
            Ok(Found::User(user, password)) => format!("{user}:{password}"),
            Ok(Found::Refresh(token)) => format!("refresh {token}"),
            Ok(Found::Helper { name, server, certain }) => format!("helper {name} {server} {certain}"),
            Ok(Found::Nobody) => "nobody".into(),
            Err(gap) => format!("{}: {gap}", gap.reason.code()),
        }
    }

    #[test]
    fn auths() {
        // dr:secret
        let file = r#"{"auths": {"registry.east.example.com:5000": {"auth": "ZHI6c2VjcmV0"},
            "https://index.docker.io/v1/": {"username": "hub", "password": "pw"},
            "https://old.example.com/v2/": {"identitytoken": "abc"},
            "ns.example.com/team": {"auth": "ZHI6c2VjcmV0"}, "ns.example.com": {"username": "all", "password": "x"},
            "empty.example.com": {}}}"#;
        assert_eq!(of(file, "registry.east.example.com:5000/shop"), "dr:secret");
        assert_eq!(of(file, "registry.east.example.com/shop"), "nobody");
        assert_eq!(of(file, "docker.io/acme"), "hub:pw");
        assert_eq!(of(file, "old.example.com"), "refresh abc");
        assert_eq!(of(file, "ns.example.com/team/x"), "dr:secret");
        assert_eq!(of(file, "ns.example.com/teams"), "all:x");
        assert_eq!(of(file, "empty.example.com"), "nobody");
    }

    #[test]
    fn helpers_go_first() {
        let file = r#"{"credHelpers": {"1.dkr.ecr.us-east-1.amazonaws.com": "ecr-login"}, "credsStore": "secretservice",
            "auths": {"a.example.com": {"auth": "ZHI6c2VjcmV0"}}}"#;
        let ecr = "1.dkr.ecr.us-east-1.amazonaws.com";
        assert_eq!(of(file, &format!("{ecr}/x")), format!("helper ecr-login {ecr} true"));
        assert_eq!(of(file, "a.example.com"), "helper secretservice a.example.com false");
        assert_eq!(of(file, "docker.io"), format!("helper secretservice {HUB} false"));
    }

    #[test]
    fn nothing_of_a_broken_file_is_quoted() {
        for bad in ["", "hunter2", r#"{"auths": {"a": {"auth": 7}}}"#, r#"{"auths": "hunter2"}"#] {
            let said = of(bad, "a");
            assert!(said.starts_with("secret-unavailable") && !said.contains("hunter2"), "{said}");
        }
        assert!(of(r#"{"credsStore": "../../bin/sh"}"#, "a").starts_with("secret-unavailable"));
        let said = of(r#"{"auths": {"a": {"auth": "aHVudGVyMg=="}}}"#, "a");
        assert!(said.starts_with("secret-unavailable") && !said.contains("hunter2"), "{said}");
    }

    #[test]
    fn what_helpers_answer() {
        let of = |ok, text: &str| shown(helper("pass", ok, text));
        assert_eq!(of(true, r#"{"ServerURL":"x","Username":"dr","Secret":"s"}"#), "dr:s");
        assert_eq!(of(true, r#"{"Username":"<token>","Secret":"s"}"#), "refresh s");
        assert_eq!(of(false, "credentials not found in native keychain\n"), "nobody");
        for (ok, text) in [(false, "hunter2"), (true, "hunter2"), (true, ""), (true, r#"{"Username":"a","Secret":""}"#)]
        {
            let said = of(ok, text);
            assert!(said.starts_with("secret-unavailable") && !said.contains("hunter2"), "{said}");
        }
    }
}
