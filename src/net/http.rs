//! One bounded HTTP/1.1 client for every system that speaks HTTP.
//!
//! Names are resolved by our own resolver, everything (resolving, connecting, TLS, the answer) happens within one
//! deadline, and no more of an answer is read than the caller allows. No proxy is ever used, whatever `HTTP_PROXY` and
//! `NO_PROXY` say: what a proxy answers would not prove that the server is reachable from here. No compression is
//! offered.

mod exchange;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use chrono::{DateTime, Utc};
use http::header::{AUTHORIZATION, COOKIE, HOST, LOCATION, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method};
use http_body_util::Full;
use hyper::body::Bytes;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{Instant, timeout_at};
use url::{Position, Url};

use crate::plan::{Now, SafeText};
use crate::readiness::{Gap, Reason};

use super::{Net, Permit, ServerCertificate, ServerKey, TcpTarget, TlsPolicy};
pub use exchange::gap_of_hyper;
use exchange::{Broken, Wire};

/// Most redirects that are followed for one question.
const MOST_REDIRECTS: usize = 5;
/// Most connections that one client keeps.
const MOST_KEPT: usize = 8;

/// How a client asks.
#[derive(Clone, Debug)]
pub struct HttpPolicy {
    /// What `https` servers must prove.
    pub tls: TlsPolicy,
    /// The most bytes of a body that are read; a longer one is the gap `TooLarge`.
    pub largest: usize,
    /// Whether a connection is kept for the next question to the same server, which then costs one round trip.
    pub keep: bool,
    /// Whether redirects are followed: at most five, never from `https` to `http`.
    pub follow: bool,
}

impl Default for HttpPolicy {
    /// The system's authorities, 1 MiB, kept connections, redirects not followed.
    fn default() -> Self {
        Self { tls: TlsPolicy::default(), largest: 1 << 20, keep: true, follow: false }
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// RFC 7617.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: SecretString,
    },
    /// RFC 6750.
    Bearer(SecretString),
}

impl Credentials {
    fn header(&self) -> Result<HeaderValue, Gap> {
        let text = match self {
            Self::Basic { user, password } => {
                let pair = format!("{user}:{}", password.expose_secret());
                format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
            }
            Self::Bearer(token) => format!("Bearer {}", token.expose_secret()),
        };
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| Gap::new(Reason::SecretUnavailable, "the token holds a character that HTTP cannot carry"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// One question.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// `GET`, `HEAD`, ...; only these two use a kept connection, are sent again on a new one, and follow redirects.
    pub method: Method,
    /// Where to: `http` or `https`. A user and a password in it are not sent: credentials are given apart.
    pub url: Url,
    /// More headers. Those marked as sensitive do not follow a redirect to another server.
    pub headers: HeaderMap,
    /// Who asks; not said to another server that a redirect leads to.
    pub credentials: Option<Credentials>,
    /// The body; empty for none.
    pub body: Bytes,
    /// What to connect to instead of the URL's host and port. Name and certificate stay the URL's.
    pub via: Option<TcpTarget>,
    /// Whether a redirect is the answer, although the client follows redirects.
    pub stay: bool,
}

impl HttpRequest {
    /// A question without a body.
    #[must_use]
    pub fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: HeaderMap::new(), credentials: None, body: Bytes::new(), via: None, stay: false }
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: http::HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// With credentials, where there are some.
    #[must_use]
    pub fn by(mut self, credentials: Option<Credentials>) -> Self {
        self.credentials = credentials;
        self
    }

    /// Whether asking twice is the same as asking once, and changes nothing.
    fn is_safe(&self) -> bool {
        self.method == Method::GET || self.method == Method::HEAD
    }
}

/// One answer, whole.
#[derive(Clone, Debug)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
    /// The certificate that the server showed; `None` without TLS.
    pub certificate: Option<ServerCertificate>,
    /// Where it came from, after redirects.
    pub url: Url,
    /// When the (last) question was sent, connecting not counted.
    pub asked: Now,
}

impl HttpAnswer {
    /// A header's value; `None` where it is missing or no text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The answer where its status is 200 to 299.
    ///
    /// # Errors
    /// `WrongPassword` (401), `Forbidden` (403), `TooManyRequests` (429), `Absent` (404), `QueryFailed` (any other).
    pub fn success(self) -> Result<Self, Gap> {
        if (200..300).contains(&self.status) { Ok(self) } else { Err(self.refusal()) }
    }

    /// The gap for a status that is no success.
    #[must_use]
    pub fn refusal(&self) -> Gap {
        let server = shown(&self.url);
        let (reason, words) = match self.status {
            401 => (Reason::WrongPassword, "the credentials were not accepted"),
            403 => (Reason::Forbidden, "not allowed"),
            404 => (Reason::Absent, "not found"),
            429 => (Reason::TooManyRequests, "asked too often"),
            _ => (Reason::QueryFailed, "the request failed"),
        };
        let path = self.url.path();
        Gap::new(reason, &format!("{server}: {words} (HTTP {} for {path})", self.status))
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// `Malformed`, with where it stops making sense and nothing of what it holds.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Gap> {
        serde_json::from_slice(&self.body).map_err(|e| {
            let (server, path) = (shown(&self.url), self.url.path());
            let what = match e.classify() {
                serde_json::error::Category::Data => "JSON of another shape than expected",
                serde_json::error::Category::Eof => "JSON that ends in the middle",
                serde_json::error::Category::Io | serde_json::error::Category::Syntax => "no JSON",
            };
            let at = format!("line {}, column {}", e.line(), e.column());
            Gap::new(Reason::Malformed, &format!("{server}: {path} answered {what} ({at})"))
        })
    }

    /// For how long the server wants to be left alone (RFC 9110 section 10.2.3: seconds, or a date, which `now` is held
    /// against). `None` where it does not say.
    #[must_use]
    pub fn retry_after(&self, now: Now) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        if let Ok(secs) = text.parse() {
            return Some(Duration::from_secs(secs));
        }
        let until = DateTime::parse_from_rfc2822(text).ok()?.with_timezone(&Utc);
        Some(until.signed_duration_since(now.wall).to_std().unwrap_or_default())
    }
}

/// A server as people and limits know it: `registry.example.com:443`, `[::1]:5000`.
fn shown(url: &Url) -> SafeText {
    let host = url.host_str().unwrap_or_default();
    SafeText::new(&format!("{host}:{}", url.port_or_known_default().unwrap_or_default()))
}

/// Which connection can carry a question.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Route {
    tls: bool,
    /// The URL's host: a name, or an address without brackets.
    host: String,
    /// What is connected to.
    to: TcpTarget,
}

impl Route {
    fn of(url: &Url, via: Option<&TcpTarget>) -> Result<Self, Gap> {
        let refused = |why: &str| Gap::new(Reason::Malformed, &format!("{}: {why}", shown(url)));
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            other => return Err(refused(&format!("{other:?} is neither http nor https"))),
        };
        let host = match url.host() {
            Some(url::Host::Domain(name)) => name.to_owned(),
            Some(url::Host::Ipv4(ip)) => ip.to_string(),
            Some(url::Host::Ipv6(ip)) => ip.to_string(),
            None => return Err(refused("no host")),
        };
        let port = url.port_or_known_default().ok_or_else(|| refused("no port"))?;
        let to = via.cloned().unwrap_or_else(|| TcpTarget { host: host.clone(), port });
        Ok(Self { tls, host, to })
    }
}

/// Why a request that changes something has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// Nothing of it was sent, so nothing was done.
    NotSent(Gap),
    /// It was sent, in part at least; what became of it is not known.
    Lost(Gap),
}

/// Asks, one question after the other. Owned by one lane; what it keeps are connections.
#[derive(Debug)]
pub struct HttpClient {
    net: Arc<Net>,
    policy: HttpPolicy,
    kept: HashMap<Route, Wire>,
}

impl HttpClient {
    /// What it connects through.
    #[must_use]
    pub fn net(&self) -> &Net {
        &self.net
    }

    /// A client that asks like this. Opens nothing.
    #[must_use]
    pub fn new(net: Arc<Net>, policy: HttpPolicy) -> Self {
        Self { net, policy, kept: HashMap::new() }
    }

    /// Closes what it keeps.
    pub fn close(&mut self) {
        self.kept = HashMap::new();
    }

    /// Asks, and reads the whole answer, by `deadline`. May be dropped at any await: the connection is then closed.
    ///
    /// Whatever status the server answers is an answer: see [`HttpAnswer::success`]. A kept connection that the server
    /// has closed meanwhile is opened anew, once, for `GET` and `HEAD` only.
    ///
    /// # Errors
    /// `Refused`, `Unreachable`, `TimedOut`, `Reset`; the TLS reasons (`UnknownIssuer`, `CertificateExpired`,
    /// `CertificateName`, `TlsFailed`); `TooLarge`; `Malformed` for what is no HTTP, for more than five redirects and for
    /// one from `https` to `http`; `SecretUnavailable` for credentials that HTTP cannot carry.
    pub async fn ask(&mut self, request: &HttpRequest, deadline: Instant) -> Result<HttpAnswer, Gap> {
        let late = || Gap::new(Reason::TimedOut, &format!("{}: no answer in time", shown(&request.url)));
        timeout_at(deadline, self.follow(request, deadline)).await.unwrap_or_else(|_| Err(late()))
    }

    /// Sends a request that changes something: once, on a new connection, and without following anything. Says whether it
    /// was sent where no answer came. May be dropped at any await; what became of it then is not known.
    ///
    /// # Errors
    /// [`NoAnswer`], with the reasons of [`HttpClient::ask`].
    pub async fn send(&mut self, request: &HttpRequest, deadline: Instant) -> Result<HttpAnswer, NoAnswer> {
        let late = || Gap::new(Reason::TimedOut, &format!("{}: no answer in time", shown(&request.url)));
        let ready = timeout_at(deadline, self.ready(request, deadline)).await.unwrap_or_else(|_| Err(late()));
        let (wire, message, _permit) = ready.map_err(NoAnswer::NotSent)?;
        let answer = timeout_at(deadline, exchange(wire, message, &request.url, self.policy.largest)).await;
        match answer {
            Ok(Ok((answer, _wire))) => Ok(answer),
            Ok(Err(broken)) => Err(NoAnswer::Lost(broken.gap)),
            Err(_) => Err(NoAnswer::Lost(late())),
        }
    }

    /// A new connection for a request, and the request as it goes over it.
    async fn ready(
        &mut self,
        request: &HttpRequest,
        deadline: Instant,
    ) -> Result<(Wire, http::Request<Full<Bytes>>, Permit), Gap> {
        let route = Route::of(&request.url, request.via.as_ref())?;
        let message = message(request, &request.url, true)?;
        let permit = self.net.permit(&ServerKey::new(&route.to.host, route.to.port)).await;
        Ok((self.open(&route, deadline).await?, message, permit))
    }

    async fn open(&mut self, route: &Route, deadline: Instant) -> Result<Wire, Gap> {
        let tls = match route.tls {
            true => Some(self.net.tls(&self.policy.tls).await?),
            false => None,
        };
        Wire::open(&self.net, &route.to, &route.host, tls, deadline).await
    }

    async fn follow(&mut self, request: &HttpRequest, deadline: Instant) -> Result<HttpAnswer, Gap> {
        let mut url = request.url.clone();
        let mut via = request.via.as_ref();
        let mut trusted = true;
        for _ in 0..=MOST_REDIRECTS {
            let answer = self.once(request, &url, via, trusted, deadline).await?;
            let follows = self.policy.follow && request.is_safe() && !request.stay;
            let next = if follows { redirect(&answer)? } else { None };
            let Some(next) = next else { return Ok(answer) };
            if !same_server(&url, &next) {
                trusted = false;
                via = None;
            }
            url = next;
        }
        let server = shown(&request.url);
        Err(Gap::new(Reason::Malformed, &format!("{server}: more than {MOST_REDIRECTS} redirects")))
    }

    async fn once(
        &mut self,
        request: &HttpRequest,
        url: &Url,
        via: Option<&TcpTarget>,
        trusted: bool,
        deadline: Instant,
    ) -> Result<HttpAnswer, Gap> {
        let route = Route::of(url, via)?;
        let message = message(request, url, trusted)?;
        let _permit = self.net.permit(&ServerKey::new(&route.to.host, route.to.port)).await;
        if request.is_safe()
            && let Some(wire) = self.kept.remove(&route)
        {
            match self.exchange(wire, &route, message.clone(), url).await {
                Err(Broken { unanswered: true, .. }) => {}
                Err(Broken { gap, .. }) => return Err(gap),
                Ok(answer) => return Ok(answer),
            }
        }
        let wire = self.open(&route, deadline).await?;
        self.exchange(wire, &route, message, url).await.map_err(|broken| broken.gap)
    }

    async fn exchange(
        &mut self,
        wire: Wire,
        route: &Route,
        message: http::Request<Full<Bytes>>,
        url: &Url,
    ) -> Result<HttpAnswer, Broken> {
        let (answer, wire) = exchange(wire, message, url, self.policy.largest).await?;
        if self.policy.keep && wire.is_open() {
            if self.kept.len() >= MOST_KEPT {
                self.kept.clear();
            }
            self.kept.insert(route.clone(), wire);
        }
        Ok(answer)
    }
}

/// Asks on a connection, and gives it back with the whole answer.
async fn exchange(
    mut wire: Wire,
    message: http::Request<Full<Bytes>>,
    url: &Url,
    largest: usize,
) -> Result<(HttpAnswer, Wire), Broken> {
    let (asked, head, body) = wire.exchange(message, largest).await?;
    let certificate = wire.certificate.clone();
    let status = head.status.as_u16();
    Ok((HttpAnswer { status, headers: head.headers, body, certificate, url: url.clone(), asked }, wire))
}

/// The request as it goes over the wire. To a server that is not `trusted`, nothing secret goes with it.
fn message(request: &HttpRequest, url: &Url, trusted: bool) -> Result<http::Request<Full<Bytes>>, Gap> {
    let bug = |e: &dyn std::fmt::Display| Gap::new(Reason::Bug, &format!("{}: request: {e}", shown(url)));
    let host = &url[Position::BeforeHost..Position::AfterPort];
    let mut message = http::Request::builder()
        .method(request.method.clone())
        .uri(&url[Position::BeforePath..Position::AfterQuery])
        .body(Full::new(request.body.clone()))
        .map_err(|e| bug(&e))?;
    let headers = message.headers_mut();
    headers.insert(HOST, HeaderValue::from_str(host).map_err(|e| bug(&e))?);
    headers.insert(USER_AGENT, HeaderValue::from_static("lifeboat"));
    for (name, value) in &request.headers {
        let secret = value.is_sensitive() || name == AUTHORIZATION || name == COOKIE;
        if trusted || !secret {
            headers.append(name.clone(), value.clone());
        }
    }
    if let Some(credentials) = request.credentials.as_ref().filter(|_| trusted) {
        headers.insert(AUTHORIZATION, credentials.header()?);
    }
    Ok(message)
}

/// Whether a redirect stays with the server: the same host at the same port, or at the usual port of the better scheme.
fn same_server(from: &Url, to: &Url) -> bool {
    let usual = from.port().is_none() && to.port().is_none();
    from.host_str() == to.host_str() && (usual || from.port_or_known_default() == to.port_or_known_default())
}

/// Where an answer sends the question to, if it does.
fn redirect(answer: &HttpAnswer) -> Result<Option<Url>, Gap> {
    if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let malformed = |why: &str| Gap::new(Reason::Malformed, &format!("{}: {why}", shown(&answer.url)));
    let Some(location) = answer.header(LOCATION.as_str()) else {
        return Err(malformed(&format!("HTTP {} that does not say where to", answer.status)));
    };
    let next = answer.url.join(location).map_err(|_| malformed("a redirect to what is no URL"))?;
    match (answer.url.scheme(), next.scheme()) {
        ("http", "http" | "https") | ("https", "https") => Ok(Some(next)),
        (_, other) => Err(malformed(&format!("a redirect to {other:?}, which is not followed"))),
    }
}

#[cfg(test)]
mod tests;
