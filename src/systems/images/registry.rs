//! A registry's HTTP API (OCI distribution specification 1.1), as far as looking needs it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use http::header::ACCEPT;
use http::{HeaderValue, Method};
use ring::digest::{SHA256, SHA512, digest};
use tokio::time::Instant;
use url::Url;

use crate::net::{HttpAnswer, HttpClient, HttpPolicy, HttpRequest, Net, ServerCertificate, TlsPolicy};
use crate::plan::SafeText;
use crate::readiness::{Gap, Reason};

use super::auth::{Auth, Refused};
use super::options::{Images, Registry};
use super::parse::manifest::{self, Manifest};
use super::parse::reference::{Image, is_digest};
use super::parse::refusal::Refusal;
use super::quiet::Quiet;

/// The most that is read of an answer: of a manifest (the specification's own limit), of an image's configuration.
const LARGEST: usize = 4 << 20;
/// Questions to one registry at once.
pub const AT_ONCE: usize = 4;
/// What a registry has under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// This.
    Present {
        /// The manifest's digest.
        digest: String,
        /// Whether it is an index.
        index: bool,
    },
    /// Nothing; its words for that.
    Missing(SafeText),
}

/// Something that an image is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The manifest of one platform.
    Manifest,
    /// An image's configuration. It is pulled, which proves that content can be, and checked against its digest.
    Config,
    /// A layer.
    Layer,
}

/// One thing to find out.
#[derive(Clone, Debug)]
pub enum Task {
    /// What the list's image of this number stands for.
    Find(usize, Image),
    /// A manifest's content.
    Read(Content),
    /// Whether a part is there.
    Check(Kind, Content),
}

/// Something with a digest, in a repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Content {
    /// The repository.
    pub repository: Arc<str>,
    /// The digest.
    pub digest: String,
}

/// What was found out.
#[derive(Debug)]
pub enum Done {
    /// What an image stands for.
    Found(usize, Result<Held, Gap>),
    /// A manifest; `None` where it is missing.
    Read(Content, Result<Option<Manifest>, Gap>),
    /// Whether a part is there; of a configuration also the platform that it says.
    Checked(Content, Result<bool, Gap>, Option<String>),
}

/// Asks one registry.
#[derive(Debug)]
pub struct Asker {
    registry: Registry,
    base: Option<Url>,
    auth: tokio::sync::Mutex<Auth>,
    /// Whether the registry may be asked now.
    pub quiet: Quiet,
    certificate: Mutex<Option<ServerCertificate>>,
}

struct Question<'a> {
    method: Method,
    repository: &'a str,
    /// `manifests/1.42.0`.
    what: String,
    stay: bool,
}

impl Asker {
    /// For this registry. Opens nothing.
    #[must_use]
    pub fn new(net: &Arc<Net>, registry: &Registry, images: &Images) -> Self {
        let scheme = if registry.at.tls { "https" } else { "http" };
        let base = Url::parse(&format!("{scheme}://{}/", registry.at.server())).ok();
        let auth = Auth::new(Arc::clone(net), tls(images), registry.at.clone(), registry.login.clone());
        let quiet = Quiet::new(registry.at.server());
        Self { registry: registry.clone(), base, auth: auth.into(), quiet, certificate: Mutex::default() }
    }

    /// The clients for as many questions at once as a registry is asked.
    #[must_use]
    pub fn clients(net: &Arc<Net>, images: &Images) -> Vec<HttpClient> {
        let policy = HttpPolicy { tls: tls(images), largest: LARGEST, keep: true, follow: true };
        (0..AT_ONCE).map(|_| HttpClient::new(Arc::clone(net), policy.clone())).collect()
    }

    /// What the server that was asked last showed of itself, and who asked it.
    pub async fn introduction(&self) -> (Option<ServerCertificate>, String) {
        let certificate = self.certificate.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (certificate, self.auth.lock().await.who().to_owned())
    }

    /// Until when the password or token that asks says that it is good, where it says so.
    pub async fn login_end(&self) -> Option<DateTime<Utc>> {
        self.auth.lock().await.login_end()
    }

    /// Does every task, as many at once as there are clients, until the deadline. What is not done by then is not in the
    /// answer.
    pub async fn work(&self, clients: &mut [HttpClient], tasks: Vec<Task>, deadline: Instant) -> Vec<Done> {
        let queue = Mutex::new(VecDeque::from(tasks));
        let done = Mutex::new(Vec::new());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let workers = clients.iter_mut().map(|client| async {
            while Instant::now() < deadline
                && let Some(task) = next()
            {
                let result = self.perform(client, task, deadline).await;
                done.lock().unwrap_or_else(PoisonError::into_inner).push(result);
            }
        });
        futures_util::future::join_all(workers).await;
        done.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    async fn perform(&self, client: &mut HttpClient, task: Task, deadline: Instant) -> Done {
        match task {
            Task::Find(at, image) => Done::Found(at, self.find(client, &image, deadline).await),
            Task::Read(content) => {
                let read = self.read(client, &content, deadline).await;
                Done::Read(content, read)
            }
            Task::Check(Kind::Config, content) => match self.pull(client, &content, deadline).await {
                Ok(Some(bytes)) => {
                    let platform = manifest::platform_of_config(&bytes);
                    Done::Checked(content, Ok(true), Some(platform))
                }
                Ok(None) => Done::Checked(content, Ok(false), None),
                Err(gap) => Done::Checked(content, Err(gap), None),
            },
            Task::Check(kind @ (Kind::Manifest | Kind::Layer), content) => {
                let there = self.exists(client, kind, &content, deadline).await;
                Done::Checked(content, there, None)
            }
        }
    }

    /// What a name stands for.
    ///
    /// # Errors
    /// Why nobody can say.
    pub async fn find(&self, client: &mut HttpClient, image: &Image, deadline: Instant) -> Result<Held, Gap> {
        let repository = self.registry.at.repository(&image.name);
        let what = format!("manifests/{}", image.reference);
        let ask = |method| Question { method, repository: &repository, what: what.clone(), stay: false };
        let head = self.ask(client, &ask(Method::HEAD), deadline).await?;
        let typed = |answer: &HttpAnswer| manifest::is_index(answer.header("content-type").unwrap_or_default());
        let said = head.header("docker-content-digest").map(str::to_owned);
        let (digest, index) = match (head.status, said, typed(&head)) {
            (200, Some(digest), Some(index)) => (digest, index),
            // Why it is not there, or what it is, is in a body only.
            (200 | 400 | 404 | 405 | 501, _, _) => {
                let got = self.ask(client, &ask(Method::GET), deadline).await?;
                if got.status == 404 {
                    return self.missing(&got).map(Held::Missing);
                }
                let got = self.success(got)?;
                let content =
                    manifest::read(&got.body).map_err(|gap| self.malformed(&format!("{what}: {}", gap.detail)))?;
                (self.digest_of(&got, &image.reference)?, matches!(content, Manifest::Index(_)))
            }
            (_, _, _) => return Err(self.refusal(&head)),
        };
        if !is_digest(&digest) {
            return Err(self.malformed(&format!("{what} has {digest:?} for a digest")));
        }
        if image.pinned && digest != image.reference {
            return Err(self.malformed(&format!("{what} was answered with {digest}")));
        }
        Ok(Held::Present { digest, index })
    }

    /// The digest of a manifest by its bytes, which the registry's own word must not contradict. By the algorithm of the
    /// digest that was asked for, if one was.
    fn digest_of(&self, answer: &HttpAnswer, reference: &str) -> Result<String, Gap> {
        let said = answer.header("docker-content-digest");
        let like = said.unwrap_or(reference);
        let computed = computed(like, &answer.body);
        match said {
            Some(said) if said != computed => Err(self.malformed(&format!("says {said} of what is {computed}"))),
            Some(_) | None => Ok(computed),
        }
    }

    /// A manifest by its digest; `None` where it is missing.
    async fn read(
        &self,
        client: &mut HttpClient,
        content: &Content,
        deadline: Instant,
    ) -> Result<Option<Manifest>, Gap> {
        let bytes = self.get(client, content, "manifests", deadline).await?;
        bytes.map(|bytes| manifest::read(&bytes)).transpose()
    }

    /// A blob by its digest; `None` where it is missing.
    async fn pull(
        &self,
        client: &mut HttpClient,
        content: &Content,
        deadline: Instant,
    ) -> Result<Option<Vec<u8>>, Gap> {
        self.get(client, content, "blobs", deadline).await
    }

    async fn get(
        &self,
        client: &mut HttpClient,
        content: &Content,
        kind: &str,
        deadline: Instant,
    ) -> Result<Option<Vec<u8>>, Gap> {
        let what = format!("{kind}/{}", content.digest);
        let question =
            Question { method: Method::GET, repository: &content.repository, what: what.clone(), stay: false };
        let answer = self.ask(client, &question, deadline).await?;
        if answer.status == 404 {
            return self.missing(&answer).map(|_| None);
        }
        let answer = self.success(answer)?;
        let computed = computed(&content.digest, &answer.body);
        if computed != content.digest {
            return Err(self.malformed(&format!("serves something else as {what}: {computed}")));
        }
        Ok(Some(answer.body))
    }

    /// Whether a part is there, without its content.
    async fn exists(
        &self,
        client: &mut HttpClient,
        kind: Kind,
        content: &Content,
        deadline: Instant,
    ) -> Result<bool, Gap> {
        let folder = if kind == Kind::Manifest { "manifests" } else { "blobs" };
        let what = format!("{folder}/{}", content.digest);
        // Where a blob is served from elsewhere, being sent there says that it is there.
        let stay = kind != Kind::Manifest;
        let question = Question { method: Method::HEAD, repository: &content.repository, what, stay };
        let answer = self.ask(client, &question, deadline).await?;
        match answer.status {
            200..=299 => Ok(true),
            300..=399 if stay => Ok(true),
            404 => Ok(false),
            _ => Err(self.refusal(&answer)),
        }
    }

    /// Asks, tells who asks where that is wanted, and gives the answer unless it is 401, 403 or 429.
    async fn ask(
        &self,
        client: &mut HttpClient,
        question: &Question<'_>,
        deadline: Instant,
    ) -> Result<HttpAnswer, Gap> {
        let Question { method, repository, what, stay } = question;
        let path = format!("v2/{repository}/{what}");
        let url = self.base.as_ref().and_then(|base| base.join(&path).ok());
        let url = url.ok_or_else(|| self.malformed("is no host"))?;
        let mut told = false;
        loop {
            self.quiet.willing()?;
            let (credentials, used) = self.auth.lock().await.of(repository);
            let mut request = HttpRequest::new(method.clone(), url.clone()).by(credentials);
            if what.starts_with("manifests/") {
                request = request.with(ACCEPT, HeaderValue::from_static(manifest::ACCEPT));
            }
            request.stay = *stay;
            let answer = client.ask(&request, deadline).await?;
            self.certificate.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&answer.certificate);
            match answer.status {
                401 if !told => {
                    told = true;
                    let mut auth = self.auth.lock().await;
                    auth.learn(&answer, repository, used, deadline).await.map_err(|refused| match refused {
                        Refused::Gap(gap) => gap,
                        Refused::TooMany(answer) => self.quiet.hush(&answer),
                    })?;
                }
                401 | 403 => {
                    let mut auth = self.auth.lock().await;
                    let server = self.registry.at.server();
                    if answer.status == 401 && auth.forget_password(used) {
                        let detail = format!("{server}: {} was not accepted", auth.who());
                        return Err(Gap::new(Reason::WrongPassword, &detail));
                    }
                    let said = Refusal::read(&answer.body).map(|r| format!(" ({r})")).unwrap_or_default();
                    let detail = format!("{server}: {} may not pull {repository}, if there is one{said}", auth.who());
                    return Err(Gap::new(Reason::Forbidden, &detail));
                }
                429 => return Err(self.quiet.hush(&answer)),
                _ => return Ok(answer),
            }
        }
    }

    /// What a 404 says is missing.
    fn missing(&self, answer: &HttpAnswer) -> Result<SafeText, Gap> {
        match Refusal::read(&answer.body) {
            Some(refusal) if refusal.is_missing() => Ok(SafeText::new(&refusal.to_string())),
            Some(_) => Err(self.refusal(answer)),
            None => Err(self.malformed("answers HTTP 404 as no registry does")),
        }
    }

    fn success(&self, answer: HttpAnswer) -> Result<HttpAnswer, Gap> {
        if (200..300).contains(&answer.status) { Ok(answer) } else { Err(self.refusal(&answer)) }
    }

    fn refusal(&self, answer: &HttpAnswer) -> Gap {
        let gap = answer.refusal();
        match Refusal::read(&answer.body) {
            Some(refusal) => Gap::new(gap.reason, &format!("{}: {refusal}", gap.detail)),
            None => gap,
        }
    }

    fn malformed(&self, what: &str) -> Gap {
        Gap::new(Reason::Malformed, &format!("{}: {what}", self.registry.at.server()))
    }
}

fn tls(images: &Images) -> TlsPolicy {
    TlsPolicy { accept_any: images.insecure, roots: images.roots.as_ref().map(Into::into), ..TlsPolicy::default() }
}

/// The digest of some bytes, by the algorithm of another digest: sha256 unless that is sha512.
fn computed(like: &str, bytes: &[u8]) -> String {
    let (name, algorithm) = if like.starts_with("sha512:") { ("sha512", &SHA512) } else { ("sha256", &SHA256) };
    let mut text = format!("{name}:");
    for byte in digest(algorithm, bytes).as_ref() {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}
