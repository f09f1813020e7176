//! Who asks, as a registry wants to be told it: not at all, by a password, or by a token.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Method};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;
use url::Url;

use crate::clock;
use crate::net::{Credentials, HttpAnswer, HttpClient, HttpPolicy, HttpRequest, Net, token_end};
use crate::plan::BootTime;
use crate::readiness::{Gap, Reason};

use super::login::{self, Login};
use super::options::{At, LoginFrom};
use super::parse::challenge::{Challenge, TokenAnswer};

/// How long before its end a token is no longer used.
const TOKEN_MARGIN: Duration = Duration::from_secs(10);
/// The longest that a token is believed to be good.
const TOKEN_LONGEST: u64 = 86_400;

/// What was found out about how to ask one registry.
#[derive(Debug)]
pub struct Auth {
    net: Arc<Net>,
    policy: HttpPolicy,
    at: At,
    from: LoginFrom,
    /// Counts what was found out, so that two who were refused at once do not both find out the same.
    serial: u64,
    basic: Option<(u64, Credentials)>,
    tokens: HashMap<String, Token>,
    /// Who was found at last.
    who: String,
    /// Until when the password or token of whoever that is says that it is good.
    end: Option<DateTime<Utc>>,
}

#[derive(Debug)]
struct Token {
    serial: u64,
    secret: SecretString,
    until: BootTime,
}

impl Auth {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(net: Arc<Net>, tls: crate::net::TlsPolicy, at: At, from: LoginFrom) -> Self {
        let policy = HttpPolicy { tls, largest: 256 << 10, keep: false, follow: false };
        let who = Login::Nobody.who();
        Self { net, policy, at, from, serial: 0, basic: None, tokens: HashMap::new(), who, end: None }
    }

    /// What to say for this repository, and its number; nothing where nothing is known to be needed.
    pub fn of(&mut self, repository: &str) -> (Option<Credentials>, u64) {
        let now = clock::now().boot;
        self.tokens.retain(|_, token| token.until > now);
        if let Some(token) = self.tokens.get(repository) {
            return (Some(Credentials::Bearer(token.secret.clone())), token.serial);
        }
        match &self.basic {
            Some((serial, credentials)) => (Some(credentials.clone()), *serial),
            None => (None, 0),
        }
    }

    /// Who asks, in a sentence.
    #[must_use]
    pub fn who(&self) -> &str {
        &self.who
    }

    /// Until when the password or token that was found at last says that it is good, where it says so.
    #[must_use]
    pub const fn login_end(&self) -> Option<DateTime<Utc>> {
        self.end
    }

    /// Forgets the password that was just refused; whether it was one. It is read anew for the next question.
    pub fn forget_password(&mut self, used: u64) -> bool {
        self.basic.take_if(|(serial, _)| *serial == used).is_some()
    }

    /// Finds out what a registry wants that answered 401 to a question that was asked with the credentials of number
    /// `used`. Returns when it is worth asking again.
    ///
    /// # Errors
    /// `WrongPassword`: nobody may ask, or the user is not accepted. `SecretUnavailable`. `TooManyRequests` as the answer
    /// says. Whatever goes wrong with a token server.
    pub async fn learn(
        &mut self,
        refused: &HttpAnswer,
        repository: &str,
        used: u64,
        deadline: Instant,
    ) -> Result<(), Refused> {
        if self.of(repository).1 != used {
            return Ok(());
        }
        let gap = |reason, what: &str| Refused::Gap(Gap::new(reason, &format!("{}: {what}", self.at.server())));
        let headers = refused.headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|v| v.to_str().ok());
        let mut challenges: Vec<Challenge> = headers.filter_map(Challenge::read).collect();
        // A token is asked for before a password is given away.
        challenges.sort_by_key(|c| matches!(c, Challenge::Basic));
        let Some(challenge) = challenges.into_iter().next() else {
            return Err(gap(Reason::WrongPassword, "wants to know who asks, in a way that lifeboat does not know"));
        };
        let login = login::find(&self.net, &self.from, &self.at, deadline).await.map_err(Refused::Gap)?;
        self.who = login.who();
        self.end = match &login {
            Login::User(_, secret) | Login::Refresh(secret) => token_end(secret),
            Login::Nobody => None,
        };
        match (challenge, login) {
            (Challenge::Basic, Login::Nobody) => {
                Err(gap(Reason::WrongPassword, "wants a user and a password, and none is configured"))
            }
            (Challenge::Basic, Login::Refresh(_)) => {
                Err(gap(Reason::WrongPassword, "wants a password, and docker login left a token"))
            }
            (Challenge::Basic, Login::User(user, password)) => {
                let tried = self.basic.take().is_some_and(|(serial, before)| {
                    let same = matches!(&before, Credentials::Basic { user: u, password: p }
                        if *u == user && p.expose_secret() == password.expose_secret());
                    same && serial == used
                });
                if tried {
                    return Err(gap(Reason::WrongPassword, &format!("{} was not accepted", self.who)));
                }
                self.serial += 1;
                self.basic = Some((self.serial, Credentials::Basic { user, password }));
                Ok(())
            }
            (Challenge::Bearer { realm, service, scope, .. }, login) => {
                let scope = scope.unwrap_or_else(|| format!("repository:{repository}:pull"));
                let (secret, until) = self.token(&realm, service.as_deref(), &scope, &login, deadline).await?;
                self.serial += 1;
                let token = Token { serial: self.serial, secret, until };
                self.tokens.insert(repository.to_owned(), token);
                Ok(())
            }
        }
    }

    async fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: &str,
        login: &Login,
        deadline: Instant,
    ) -> Result<(SecretString, BootTime), Refused> {
        let server = self.at.server();
        let wrong = |what: &str| Refused::Gap(Gap::new(Reason::Malformed, &format!("{server}: {what}")));
        let mut url: Url = realm.parse().map_err(|_| wrong("names a token server that is no URL"))?;
        if url.scheme() != "https" && (self.at.tls || url.scheme() != "http") {
            return Err(wrong("names a token server without TLS, which gets no password"));
        }
        let mut request = match login {
            Login::Refresh(token) => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                form.append_pair("grant_type", "refresh_token").append_pair("client_id", "lifeboat");
                form.append_pair("scope", scope).append_pair("refresh_token", token.expose_secret());
                if let Some(service) = service {
                    form.append_pair("service", service);
                }
                let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
                let mut request = HttpRequest::new(Method::POST, url).with(CONTENT_TYPE, kind);
                request.body = form.finish().into();
                request
            }
            Login::User(..) | Login::Nobody => {
                if let Some(service) = service {
                    url.query_pairs_mut().append_pair("service", service);
                }
                // Several scopes stand in one challenge with a space between them, and are asked for one by one.
                for one in scope.split(' ').filter(|s| !s.is_empty()) {
                    url.query_pairs_mut().append_pair("scope", one);
                }
                HttpRequest::new(Method::GET, url)
            }
        };
        if let Login::User(user, password) = login {
            request.credentials = Some(Credentials::Basic { user: user.clone(), password: password.clone() });
        }
        let mut client = HttpClient::new(Arc::clone(&self.net), self.policy.clone());
        let asked = clock::now().boot;
        let answer = client.ask(&request, deadline).await.map_err(|gap| {
            Refused::Gap(Gap::new(gap.reason, &format!("{server}: its token server: {}", gap.detail)))
        })?;
        let of = |reason, what: &str| {
            let host = answer.url.host_str().unwrap_or_default();
            Refused::Gap(Gap::new(reason, &format!("{server}: its token server {host} {what}")))
        };
        match answer.status {
            200..=299 => {
                let (token, secs) = TokenAnswer::read(&answer.body).map_err(Refused::Gap)?;
                let good = Duration::from_secs(secs.min(TOKEN_LONGEST));
                let margin = TOKEN_MARGIN.min(good / 4);
                Ok((SecretString::from(token), BootTime(asked.0.saturating_add(good).saturating_sub(margin))))
            }
            400 | 401 | 403 => Err(of(Reason::WrongPassword, &format!("did not accept {}", login.who()))),
            429 => Err(Refused::TooMany(Box::new(answer))),
            status => Err(of(Reason::QueryFailed, &format!("answered HTTP {status}"))),
        }
    }
}

/// Why nothing was found out.
#[derive(Debug)]
pub enum Refused {
    /// For this reason.
    Gap(Gap),
    /// The token server wants to be asked less often.
    TooMany(Box<HttpAnswer>),
}
