//! From the options of a probe to its lanes, or to everything that is wrong with them.

use std::collections::BTreeMap;
use std::sync::Arc;

use url::Url;

use super::options::{Basic, Endpoint, HeaderText, HttpOptions, JsonCheck, Method, TcpOptions, TlsOptions, host_port};
use super::signals::SIGNALS;
use crate::plan::{LaneDecl, SafeText, SecretRef, SiteId, Span, Subject};
use crate::systems::{Declared, Fault, ReadContext};

fn fault(path: &[&str], what: impl Into<String>, right: impl Into<String>) -> Fault {
    Fault { path: path.iter().map(|p| (*p).to_owned()).collect(), what: what.into(), right: right.into() }
}

fn unread(e: &serde_json::Error) -> Vec<Fault> {
    vec![fault(&[], e.to_string(), "the keys of this kind")]
}

/// One lane for each site, home first.
fn lanes(
    context: &ReadContext<'_>,
    at: &BTreeMap<String, String>,
    shown: impl Fn(&str) -> Result<String, (String, String)>,
    faults: &mut Vec<Fault>,
) -> Vec<LaneDecl> {
    let names: Vec<&str> = context.sites.iter().map(SiteId::as_str).collect();
    let mut lanes = Vec::new();
    if at.is_empty() {
        faults.push(fault(&["at"], "nothing to ask", "at = { site = \"...\" }"));
    }
    for (site, text) in at {
        if !names.contains(&site.as_str()) {
            faults.push(fault(&["at", site], format!("no site \"{site}\" in this plan"), names.join(", ")));
        }
        match shown(text) {
            Ok(server) => lanes.push(LaneDecl {
                subject: Subject::site(SiteId::new(site)),
                server: SafeText::new(&server),
                expects: SIGNALS.iter().map(|s| s.id.clone()).collect(),
            }),
            Err((what, right)) => faults.push(fault(&["at", site], what, right)),
        }
    }
    lanes.sort_by_key(|l| l.subject.site.as_ref() != Some(context.home));
    lanes
}

fn some_time(key: &str, span: Option<Span>, faults: &mut Vec<Fault>) {
    if span.is_some_and(|s| s.0.is_zero()) {
        faults.push(fault(&[key], "no time at all", "a duration above 0, or leave it out"));
    }
}

fn done(
    options: Endpoint,
    lanes: Vec<LaneDecl>,
    secrets: Vec<(String, SecretRef)>,
    faults: Vec<Fault>,
) -> Result<Declared, Vec<Fault>> {
    if faults.is_empty() { Ok(Declared { options: Arc::new(options), lanes, secrets }) } else { Err(faults) }
}

fn at(below: &[&str], path: &[&str]) -> Vec<String> {
    below.iter().chain(path).map(|p| (*p).to_owned()).collect()
}

/// What is wrong with what is said of a right answer.
pub(super) fn answer(below: &[&str], status: Option<u16>, json: Option<&JsonCheck>, faults: &mut Vec<Fault>) {
    let mut fault = |path: &[&str], what: &str, right: &str| {
        faults.push(Fault { path: at(below, path), what: what.to_owned(), right: right.to_owned() });
    };
    if status.is_some_and(|s| !(100..600).contains(&s)) {
        fault(&["status"], "no HTTP status", "100 to 599");
    }
    if json.is_some_and(|check| !check.pointer.is_empty() && !check.pointer.starts_with('/')) {
        fault(&["json", "pointer"], "no JSON pointer", "\"/status\", or \"/items/0/state\"");
    }
}

/// What is wrong with what is said of who asks.
pub(super) fn asker(
    below: &[&str],
    headers: &BTreeMap<String, HeaderText>,
    basic: Option<&Basic>,
    token: Option<&SecretRef>,
    faults: &mut Vec<Fault>,
) {
    let mut fault = |path: &[&str], what: &str, right: &str| {
        faults.push(Fault { path: at(below, path), what: what.to_owned(), right: right.to_owned() });
    };
    for (name, text) in headers {
        if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
            fault(&["headers", name], "no name of a header", "letters, digits and '-'");
        }
        if let HeaderText::Plain(text) = text
            && http::HeaderValue::from_str(text).is_err()
        {
            fault(&["headers", name], "HTTP cannot carry this", "printable ASCII, on one line");
        }
    }
    if basic.is_some() && token.is_some() {
        fault(&["token"], "a user and a token are two ways to say who asks", "one of them");
    }
    if basic.is_some_and(|b| b.user.is_empty() || b.user.contains(':')) {
        fault(&["basic", "user"], "no user that HTTP can carry", "a name without ':'");
    }
}

/// The secrets of who asks: their keys after `before`, and where they are.
pub(super) fn secrets(
    before: &str,
    headers: &BTreeMap<String, HeaderText>,
    basic: Option<&Basic>,
    token: Option<&SecretRef>,
) -> Vec<(String, SecretRef)> {
    let headers = headers.iter().filter_map(|(name, text)| match text {
        HeaderText::Secret(secret) => Some((format!("{before}headers.{name}"), secret.clone())),
        HeaderText::Plain(_) => None,
    });
    let basic = basic.map(|b| (format!("{before}basic.password"), b.password.clone()));
    let token = token.map(|t| (format!("{before}token"), t.clone()));
    headers.chain(basic).chain(token).collect()
}

/// Reads the options of an `http` probe.
///
/// # Errors
/// Every fault of meaning.
pub(super) fn http(context: &ReadContext<'_>, value: serde_json::Value) -> Result<Declared, Vec<Fault>> {
    let options: HttpOptions = serde_json::from_value(value).map_err(|e| unread(&e))?;
    let mut faults = Vec::new();
    let lanes = lanes(context, &options.at, address, &mut faults);
    if options.method == Method::Head && (options.contains.is_some() || options.json.is_some()) {
        faults.push(fault(&["method"], "an answer to HEAD has no content", "method = \"GET\""));
    }
    answer(&[], options.status, options.json.as_ref(), &mut faults);
    asker(&[], &options.headers, options.basic.as_ref(), options.token.as_ref(), &mut faults);
    some_time("max_latency", options.max_latency, &mut faults);
    let secrets = secrets("", &options.headers, options.basic.as_ref(), options.token.as_ref());
    done(Endpoint::Http(options), lanes, secrets, faults)
}

/// The server of a URL, for people.
fn address(text: &str) -> Result<String, (String, String)> {
    let no = |what: &str, right: &str| Err((what.to_owned(), right.to_owned()));
    let Ok(url) = Url::parse(text) else { return no("no URL", "\"https://shop.example.com/healthz\"") };
    if !matches!(url.scheme(), "http" | "https") {
        return no("neither http nor https", "\"https://shop.example.com/healthz\"");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return no(
            "a URL that holds a user or a password",
            "basic = { user = \"...\", password = { file = \"...\" } }",
        );
    }
    match (url.host_str(), url.port_or_known_default()) {
        (Some(host), Some(port)) => Ok(format!("{host}:{port}")),
        (_, _) => no("a URL without a host", "\"https://shop.example.com/healthz\""),
    }
}

fn listener(text: &str) -> Result<String, (String, String)> {
    match host_port(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err(("no host and port".to_owned(), "\"mail.example.com:25\", or \"[2001:db8::1]:25\"".to_owned())),
    }
}

/// Reads the options of a `tcp` probe.
///
/// # Errors
/// Every fault of meaning.
pub(super) fn tcp(context: &ReadContext<'_>, value: serde_json::Value) -> Result<Declared, Vec<Fault>> {
    let options: TcpOptions = serde_json::from_value(value).map_err(|e| unread(&e))?;
    let mut faults = Vec::new();
    let lanes = lanes(context, &options.at, listener, &mut faults);
    if options.banner.as_ref().is_some_and(|b| b.is_empty() || b.len() > 256) {
        faults.push(fault(&["banner"], "says nothing, or too much", "1 to 256 bytes, or leave it out"));
    }
    some_time("max_latency", options.max_latency, &mut faults);
    done(Endpoint::Tcp(options), lanes, Vec::new(), faults)
}

/// Reads the options of a `tls` probe.
///
/// # Errors
/// Every fault of meaning.
pub(super) fn tls(context: &ReadContext<'_>, value: serde_json::Value) -> Result<Declared, Vec<Fault>> {
    let options: TlsOptions = serde_json::from_value(value).map_err(|e| unread(&e))?;
    let mut faults = Vec::new();
    let lanes = lanes(context, &options.at, listener, &mut faults);
    if let Some(name) = &options.server_name
        && rustls::pki_types::ServerName::try_from(name.as_str()).is_err()
    {
        faults.push(fault(&["server_name"], "no name of a server", "\"shop.example.com\""));
    }
    if options.issuer.as_ref().is_some_and(String::is_empty) {
        faults.push(fault(&["issuer"], "is in every name", "words of the issuer's name, or leave it out"));
    }
    done(Endpoint::Tls(options), lanes, Vec::new(), faults)
}
