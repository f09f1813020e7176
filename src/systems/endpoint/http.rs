//! The lane that asks one site by HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use http::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;
use url::Url;

use super::examine;
use super::options::{Basic, HeaderText, HttpOptions, Method};
use super::parse::{self, Seen, Shown, over_certificate};
use super::signals::NOT_LET_IN;
use crate::clock;
use crate::net::{
    Credentials, HttpClient, HttpPolicy, HttpRequest, Net, ServerCertificate, TcpTarget, TlsPolicy, token_end,
};
use crate::plan::{LaneDecl, Now, SecretRef};
use crate::readiness::{Examined, Gap, Reason, expiry};
use crate::systems::examine::{addresses, certificate, clock_of};
use crate::systems::{Examining, Lane, Look, Looking};

/// How long before the deadline a question ends, so that what is known is still said.
pub(super) const MARGIN: Duration = Duration::from_millis(100);
/// The most of an answer's content that is read, in bytes.
const LARGEST: usize = 8 << 20;

/// Asks one URL.
pub(super) struct HttpLane {
    net: Arc<Net>,
    decl: LaneDecl,
    options: HttpOptions,
    /// `None` only where nobody checked the options.
    url: Option<Url>,
    client: HttpClient,
    /// What was read of the secrets, by reference; forgotten when the server does not let us in.
    secrets: BTreeMap<String, SecretString>,
    /// How the look before was answered, where it was.
    shown: Option<Manner>,
}

/// What an answer shows beside what it says.
struct Manner {
    outcome: &'static str,
    detail: String,
    certificate: Option<ServerCertificate>,
    /// The server's own clock, in whole seconds.
    date: Option<DateTime<Utc>>,
    asked: Now,
    answered: Now,
}

impl HttpLane {
    pub(super) fn new(net: Arc<Net>, decl: LaneDecl, options: &HttpOptions) -> Self {
        let site = decl.subject.site.as_ref().map_or("", |s| s.as_str());
        let url = options.at.get(site).and_then(|text| Url::parse(text).ok());
        let roots = options.roots.as_ref().map(Into::into);
        let tls = TlsPolicy { accept_any: options.insecure, roots, ..TlsPolicy::default() };
        let client = HttpClient::new(
            Arc::clone(&net),
            HttpPolicy { tls, largest: LARGEST, keep: false, follow: options.follow },
        );
        Self { decl, options: options.clone(), url, client, secrets: BTreeMap::new(), shown: None, net }
    }

    async fn secret(&mut self, secret: &SecretRef, deadline: Instant) -> Result<SecretString, Gap> {
        let name = secret.to_string();
        if let Some(known) = self.secrets.get(&name) {
            return Ok(known.clone());
        }
        let read = self.client.net().secret(secret, deadline).await?;
        self.secrets.insert(name, read.clone());
        Ok(read)
    }

    async fn request(&mut self, deadline: Instant) -> Result<HttpRequest, Gap> {
        let url = self.url.clone().ok_or_else(|| Gap::new(Reason::Bug, "its address was not checked"))?;
        let method = match self.options.method {
            Method::Get => http::Method::GET,
            Method::Head => http::Method::HEAD,
        };
        let mut request = HttpRequest::new(method, url);
        for (name, text) in self.options.headers.clone() {
            let bug = || Gap::new(Reason::Bug, "its headers were not checked");
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bug())?;
            let value = match text {
                HeaderText::Plain(text) => HeaderValue::from_str(&text).map_err(|_| bug())?,
                HeaderText::Secret(secret) => {
                    let secret = self.secret(&secret, deadline).await?;
                    let cannot = |_| Gap::new(Reason::SecretUnavailable, "the secret holds what HTTP cannot carry");
                    let mut value = HeaderValue::from_str(secret.expose_secret().trim_end()).map_err(cannot)?;
                    value.set_sensitive(true);
                    value
                }
            };
            request = request.with(header, value);
        }
        let credentials = match (self.options.basic.clone(), self.options.token.clone()) {
            (Some(Basic { user, password }), _) => {
                Some(Credentials::Basic { user, password: self.secret(&password, deadline).await? })
            }
            (None, Some(token)) => Some(Credentials::Bearer(self.secret(&token, deadline).await?)),
            (None, None) => None,
        };
        Ok(request.by(credentials))
    }

    async fn work(&mut self, deadline: Instant) -> Result<Look, Gap> {
        let request = self.request(deadline).await?;
        let asked = clock::now();
        let answer = match self.client.ask(&request, deadline).await {
            Err(gap) if over_certificate(gap.reason) => {
                let detail = gap.detail.as_str().to_owned();
                let answered = clock::now();
                let (outcome, certificate, date) = (gap.reason.code(), None, None);
                self.shown = Some(Manner { outcome, detail: detail.clone(), certificate, date, asked, answered });
                let seen = Seen { outcome: gap.reason.code(), detail, ..Seen::default() };
                return Ok(seen.look(clock::now().since(asked)));
            }
            other => other?,
        };
        let answered = clock::now();
        let took = answered.since(asked);
        let date =
            answer.header("date").and_then(|d| DateTime::parse_from_rfc2822(d).ok()).map(|d| d.with_timezone(&Utc));
        let (outcome, detail) = parse::http(&self.options, answer.status, &answer.body)?;
        if outcome == NOT_LET_IN {
            self.secrets.clear();
        }
        let certificate = answer.certificate.clone();
        self.shown = Some(Manner { outcome, detail: detail.clone(), certificate, date, asked: answer.asked, answered });
        let certificate =
            answer.certificate.map(|c| Shown { subject: c.subject, issuer: c.issuer, not_after: c.not_after });
        Ok(Seen { outcome, detail, status: Some(answer.status), certificate }.look(took))
    }
}

impl Lane for HttpLane {
    fn look(&mut self, deadline: Instant) -> Looking<'_> {
        Box::pin(async move {
            let close = deadline.checked_sub(MARGIN).unwrap_or(deadline);
            self.shown = None;
            self.work(close).await.unwrap_or_else(|gap| Look::failed(&self.decl, &gap))
        })
    }

    fn examine(&mut self, deadline: Instant) -> Examining<'_> {
        Box::pin(self.examined(deadline))
    }
}

impl HttpLane {
    async fn examined(&mut self, deadline: Instant) -> Vec<Examined> {
        let Some(url) = &self.url else { return Vec::new() };
        let port = url.port_or_known_default().unwrap_or_default();
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let server = format!("{host}:{port}");
        let mut found = Vec::new();
        if let Some(manner) = &self.shown {
            found.extend(examine::outcome(&server, manner.outcome, &manner.detail));
            found.extend(manner.certificate.as_ref().map(|c| certificate(&server, c, manner.answered)));
            found.extend(manner.date.and_then(|date| clock_of(&server, date, manner.asked, manner.answered)));
        }
        let secret = |text: &HeaderText| matches!(text, HeaderText::Secret(_));
        let secret =
            self.options.basic.is_some() || self.options.token.is_some() || self.options.headers.values().any(secret);
        found.extend(examine::trust(&server, url.scheme() == "https", self.options.insecure, secret));
        let token = self.options.token.as_ref().and_then(|t| self.secrets.get(&t.to_string()));
        if let Some(end) = token.and_then(token_end) {
            found.push(expiry(&format!("the token for {server}"), end, clock::now()));
        }
        found.extend(addresses(&self.net, &TcpTarget { host, port }, deadline).await);
        found
    }
}
