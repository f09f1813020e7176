//! The step `http`: sends one request, and looks for its effect by another.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use hyper::body::Bytes;
use schemars::JsonSchema as _;
use secrecy::ExposeSecret as _;
use serde::Deserialize as _;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::judge::{meaning, shows};
use super::options::{Basic, CheckOptions, HeaderText, HttpStepOptions, Method};
use super::parse::Right;
use super::read;
use crate::clock;
use crate::net::{Credentials, HttpClient, HttpPolicy, HttpRequest, Net, NoAnswer, TlsPolicy};
use crate::plan::{SafeText, SecretRef, Span, quoted};
use crate::readiness::{Gap, Reason};
use crate::runbook::{
    Acted, Authorized, Class, Condition, Danger, Digest, Held, Identity, Observation, Preview, RetrySafety, StepIx,
    StepRole, Verified, Yield,
};
use crate::systems::{Executing, Executor, Fault, Scene, StepContext, StepKind, StepTraits, fence_of, newest};

/// The most of an answer that is read, in bytes.
const LARGEST: usize = 1 << 20;
/// How long one look may take at most.
const LOOK: Duration = Duration::from_secs(10);
/// The most lines of a body that are shown; the whole is bound by its digest.
const MOST_LINES: usize = 20;

/// The kind.
pub(super) const HTTP: StepKind = StepKind {
    name: "http",
    probes: &[],
    schema: |generator| HttpStepOptions::json_schema(generator),
    read: read_step,
    open,
};

/// Where a request goes to: `http` or `https`, without a user in it.
pub(super) fn target(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "not a URL")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("neither http nor https");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a user or a password in it: say them with `basic`");
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("no host");
    }
    Ok(url)
}

fn read_step(_: &StepContext<'_>, value: &Value) -> Result<StepTraits, Vec<Fault>> {
    let options = HttpStepOptions::deserialize(value)
        .map_err(|e| vec![Fault::new(&[], &e.to_string(), "the keys of an http step")])?;
    let mut faults = Vec::new();
    const RIGHT: &str = "\"https://api.example.com/v1/stop\"";
    let mut touches = Vec::new();
    match target(&options.url) {
        Err(what) => faults.push(Fault::new(&["url"], what, RIGHT)),
        Ok(url) => touches.push(SafeText::new(&authority(&url))),
    }
    let known = http::Method::from_bytes(options.method.as_bytes());
    if known.is_err() || options.method.chars().any(|c| c.is_ascii_lowercase()) {
        faults.push(Fault::new(&["method"], "no method of HTTP", "\"POST\", \"PUT\", \"PATCH\" or \"DELETE\""));
    }
    read::answer(&[], options.status, options.json.as_ref(), &mut faults);
    read::asker(&[], &options.headers, options.basic.as_ref(), options.token.as_ref(), &mut faults);
    let mut secrets = read::secrets("", &options.headers, options.basic.as_ref(), options.token.as_ref());
    if let Some(check) = &options.check {
        if let Err(what) = target(&check.url) {
            faults.push(Fault::new(&["check", "url"], what, RIGHT));
        }
        if check.method == Method::Head && (check.contains.is_some() || check.json.is_some()) {
            faults.push(Fault::new(&["check", "method"], "an answer to HEAD has no content", "method = \"GET\""));
        }
        read::answer(&["check"], check.status, check.json.as_ref(), &mut faults);
        read::asker(&["check"], &check.headers, check.basic.as_ref(), check.token.as_ref(), &mut faults);
        secrets.extend(read::secrets("check.", &check.headers, check.basic.as_ref(), check.token.as_ref()));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(StepTraits {
        role: options.role,
        danger: options.danger,
        retry: if options.check.is_some() { RetrySafety::ReadBack } else { RetrySafety::Never },
        verified: Verified::ByLooking,
        deadline: Span::secs(60),
        touches: if options.danger == Danger::None { Vec::new() } else { touches },
        secrets,
    })
}

/// Host and port.
pub(super) fn authority(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
}

fn open(scene: &Scene, ix: StepIx) -> Result<Box<dyn Executor>, Fault> {
    let value = scene.step(ix).map_or(&Value::Null, |s| &s.options);
    let options =
        HttpStepOptions::deserialize(value).map_err(|e| Fault::new(&[], &e.to_string(), "the keys of an http step"))?;
    let url = target(&options.url).map_err(|what| Fault::new(&["url"], what, "an http or https URL"))?;
    let check = options.check.as_ref().map(|c| target(&c.url)).transpose();
    let check = check.map_err(|what| Fault::new(&["check", "url"], what, "an http or https URL"))?;
    let client = client(&scene.net, options.roots.as_deref(), options.insecure);
    Ok(Box::new(HttpStep { options, url, check, ix, client }))
}

/// A client that keeps nothing and follows nothing.
pub(super) fn client(net: &Arc<Net>, roots: Option<&str>, insecure: bool) -> HttpClient {
    let tls = TlsPolicy { accept_any: insecure, roots: roots.map(Into::into), ..TlsPolicy::default() };
    HttpClient::new(Arc::clone(net), HttpPolicy { tls, largest: LARGEST, keep: false, follow: false })
}

/// Sends one request.
struct HttpStep {
    options: HttpStepOptions,
    url: Url,
    /// Where its effect is looked for.
    check: Option<Url>,
    ix: StepIx,
    client: HttpClient,
}

/// A request with its headers and credentials, whose secrets are read now.
pub(super) async fn dressed(
    net: &Net,
    mut request: HttpRequest,
    headers: &std::collections::BTreeMap<String, HeaderText>,
    basic: Option<&Basic>,
    token: Option<&SecretRef>,
    deadline: Instant,
) -> Result<HttpRequest, Gap> {
    for (name, text) in headers {
        let bug = || Gap::new(Reason::Bug, "its headers were not checked");
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bug())?;
        let value = match text {
            HeaderText::Plain(text) => HeaderValue::from_str(text).map_err(|_| bug())?,
            HeaderText::Secret(secret) => {
                let secret = net.secret(secret, deadline).await?;
                let cannot = |_| Gap::new(Reason::SecretUnavailable, "the secret holds what HTTP cannot carry");
                let mut value = HeaderValue::from_str(secret.expose_secret().trim_end()).map_err(cannot)?;
                value.set_sensitive(true);
                value
            }
        };
        request = request.with(header, value);
    }
    let credentials = match (basic, token) {
        (Some(Basic { user, password }), _) => {
            Some(Credentials::Basic { user: user.clone(), password: net.secret(password, deadline).await? })
        }
        (None, Some(token)) => Some(Credentials::Bearer(net.secret(token, deadline).await?)),
        (None, None) => None,
    };
    Ok(request.by(credentials))
}

fn right(options: &HttpStepOptions) -> Right<'_> {
    Right { status: options.status, contains: options.contains.as_deref(), json: options.json.as_ref() }
}

fn right_of(check: &CheckOptions) -> Right<'_> {
    Right { status: check.status, contains: check.contains.as_deref(), json: check.json.as_ref() }
}

impl HttpStep {
    /// The request for people: what is sent, without what is secret.
    fn actions(&self) -> Vec<SafeText> {
        let mut lines = vec![format!("{} {}", self.options.method, self.url)];
        for (name, text) in &self.options.headers {
            lines.push(match text {
                HeaderText::Plain(text) => format!("{name}: {text}"),
                HeaderText::Secret(secret) => format!("{name}: (from {secret})"),
            });
        }
        if let Some(basic) = &self.options.basic {
            lines.push(format!("as {} (password from {})", basic.user, basic.password));
        }
        if let Some(token) = &self.options.token {
            lines.push(format!("authorization: Bearer (from {token})"));
        }
        if let Some(body) = &self.options.body {
            lines.extend(body.lines().take(MOST_LINES).map(str::to_owned));
            let digest = Digest::of(&[body.as_bytes()]);
            lines.push(format!("({} bytes in all, digest {})", body.len(), digest.short()));
        }
        lines.iter().map(|l| SafeText::new(l)).collect()
    }

    /// Looks whether the effect is there; `None` where nothing says how.
    async fn looked(&mut self, net: &Net, deadline: Instant) -> Option<Result<(bool, String), Gap>> {
        let (check, url) = (self.options.check.as_ref()?, self.check.clone()?);
        let method = match check.method {
            Method::Get => http::Method::GET,
            Method::Head => http::Method::HEAD,
        };
        let request = HttpRequest::new(method, url.clone());
        let asking = async {
            let (basic, token) = (check.basic.as_ref(), check.token.as_ref());
            let request = dressed(net, request, &check.headers, basic, token, deadline).await?;
            let answer = self.client.ask(&request, deadline).await?;
            shows(right_of(check), answer.status, &answer.body)
        };
        let said = asking.await;
        Some(said.map(|(holds, said)| (holds, format!("{}: {said}", authority(&url)))))
    }

    async fn send(&mut self, net: &Net, deadline: Instant) -> Acted {
        let not_sent = |why: String| Acted::NotSent { why: SafeText::new(&why) };
        let Ok(method) = http::Method::from_bytes(self.options.method.as_bytes()) else {
            return not_sent("its method was not checked".to_owned());
        };
        let left = deadline.saturating_duration_since(Instant::now());
        // What is left of the deadline is for looking.
        let until = Instant::now() + (left - left / 4);
        let mut request = HttpRequest::new(method, self.url.clone());
        request.body = Bytes::from(self.options.body.clone().unwrap_or_default());
        let HttpStepOptions { headers, basic, token, .. } = &self.options;
        let request = match dressed(net, request, headers, basic.as_ref(), token.as_ref(), until).await {
            Ok(request) => request,
            Err(gap) => return not_sent(gap.to_string()),
        };
        match self.client.send(&request, until).await {
            Ok(answer) => meaning(right(&self.options), answer.status, &answer.body),
            Err(NoAnswer::NotSent(gap)) => not_sent(gap.to_string()),
            Err(NoAnswer::Lost(gap)) => {
                Acted::Unclear { why: SafeText::new(&format!("sent, and {gap}")), left: Box::default() }
            }
        }
    }
}

/// When a look ends.
pub(super) fn looks_until(deadline: Instant) -> Instant {
    let left = deadline.saturating_duration_since(Instant::now());
    Instant::now() + left.saturating_sub(left / 10).min(LOOK)
}

/// What the call alone says of the effect, where nothing else can be looked at.
pub(super) fn by_the_call(acted: Option<&Acted>) -> (Held, SafeText) {
    let nothing = |why: &str| SafeText::new(&format!("{why}, and nothing says how to look for the effect"));
    match acted {
        Some(Acted::Returned { said, .. }) => (Held::Holds, SafeText::new(&format!("it was answered so: {said}"))),
        Some(Acted::Refused { said } | Acted::Failed { said, .. }) => (Held::Fails, said.clone()),
        Some(Acted::NotSent { why }) => (Held::Fails, why.clone()),
        Some(Acted::Unclear { why, .. }) => (Held::Unknown, nothing(why.as_str())),
        None => (Held::Unknown, nothing("whether it was sent is not known")),
    }
}

impl Executor for HttpStep {
    fn preview<'a>(&'a mut self, scene: &'a Scene, deadline: Instant) -> Executing<'a, Preview> {
        Box::pin(async move {
            let until = looks_until(deadline);
            let host = self.url.host_str().unwrap_or_default().to_owned();
            let resolving = scene.net.addresses(host.trim_matches(['[', ']']), until).await;
            let lost = scene.net.admit(&host, self.url.port_or_known_default());
            let looked = self.looked(&scene.net, until).await;
            let at = clock::now();
            let (held, why) = match lost.and(resolving) {
                Ok(addresses) => {
                    let mut all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                    all.sort();
                    (Held::Holds, all.join(", "))
                }
                Err(gap) => (Held::Unknown, gap.to_string()),
            };
            let (already, seen) = match looked {
                None => (Held::Unknown, "nothing says how to look for its effect".to_owned()),
                Some(Ok((holds, said))) => (Held::of(holds), format!("its effect: {said}")),
                Some(Err(gap)) => (Held::Unknown, format!("its effect cannot be seen: {gap}")),
            };
            let role = SafeText::new(&format!("{why}; {seen}"));
            let what = format!("{host} has an address");
            let left = self.yielded(scene, already == Held::Holds, already == Held::Holds, &role);
            Preview {
                target: SafeText::new(&authority(&self.url)),
                role,
                identity: Identity::default().with("url", &self.url),
                actions: self.actions(),
                challenge: host,
                conditions: vec![Condition::new("address", Class::Identity, &what, held, &why, at)],
                already,
                left,
                at,
            }
        })
    }

    fn act<'a>(&'a mut self, authorized: Authorized, scene: &'a Scene, deadline: Instant) -> Executing<'a, Acted> {
        Box::pin(async move {
            let acted = self.send(&scene.net, deadline).await;
            drop(authorized);
            acted
        })
    }

    fn observe<'a>(&'a mut self, scene: &'a Scene, deadline: Instant) -> Executing<'a, Observation> {
        Box::pin(async move {
            let looked = self.looked(&scene.net, looks_until(deadline)).await;
            let by_looking = looked.is_some();
            let (held, why) = match looked {
                Some(Ok((holds, said))) => (Held::of(holds), SafeText::new(&said)),
                Some(Err(gap)) => (Held::Unknown, SafeText::new(&gap.to_string())),
                None => {
                    let acted = newest(&scene.state, self.ix).and_then(|a| a.acted.as_ref());
                    by_the_call(acted.map(|(acted, _)| acted))
                }
            };
            let mut seen = Observation::new(held, why.as_str(), clock::now());
            seen.left = self.yielded(scene, held == Held::Holds, by_looking, &why);
            seen
        })
    }

    fn commands(&self, _: &Scene) -> Vec<String> {
        let HttpStepOptions { headers, basic, token, roots, insecure, .. } = &self.options;
        let mut lines = Vec::new();
        let mut words =
            vec!["curl".to_owned(), "--silent".to_owned(), "--show-error".to_owned(), "--include".to_owned()];
        let mut push = |more: &[&str]| words.extend(more.iter().map(|w| quoted(w)));
        if *insecure {
            push(&["--insecure"]);
        }
        if let Some(roots) = roots {
            push(&["--cacert", roots]);
        }
        push(&["--request", &self.options.method]);
        for (name, text) in headers {
            match text {
                HeaderText::Plain(text) => push(&["--header", &format!("{name}: {text}")]),
                HeaderText::Secret(secret) => {
                    lines.push(format!("# Put the secret from {secret} for SECRET."));
                    push(&["--header", &format!("{name}: SECRET")]);
                }
            }
        }
        if let Some(basic) = basic {
            push(&["--user", &basic.user]);
        }
        if let Some(token) = token {
            lines.push(format!("# Put the token from {token} for TOKEN."));
            push(&["--header", "Authorization: Bearer TOKEN"]);
        }
        if let Some(body) = &self.options.body {
            push(&["--data-binary", body]);
        }
        push(&[self.url.as_str()]);
        lines.push(words.join(" "));
        if let Some(check) = &self.check {
            lines.push(format!("# Its effect: curl --silent --include {}", quoted(check.as_str())));
        }
        lines
    }
}

impl HttpStep {
    /// What its effect leaves behind, where it is there.
    fn yielded(&self, scene: &Scene, holds: bool, looked: bool, why: &SafeText) -> Yield {
        let role = scene.step(self.ix).map_or(StepRole::Other, |s| s.role);
        Yield { fence: fence_of(role, looked, why).filter(|_| holds), ..Yield::default() }
    }
}
