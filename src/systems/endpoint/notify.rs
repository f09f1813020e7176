//! The step `notify`: tells people, once. It never stops a run, unless its configuration says that it must arrive.

use http::{HeaderValue, header};
use hyper::body::Bytes;
use schemars::JsonSchema as _;
use secrecy::ExposeSecret as _;
use serde::Deserialize as _;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::http_step::{authority, by_the_call, client, dressed, target};
use super::judge::{meaning, message};
use super::options::{HeaderText, NotifyOptions};
use super::parse::Right;
use super::read;
use crate::clock;
use crate::net::{HttpClient, HttpRequest, Net, NoAnswer};
use crate::plan::{SafeText, Span, quoted};
use crate::readiness::{Gap, Reason};
use crate::runbook::{
    Acted, Authorized, Danger, Held, Identity, Observation, Preview, RetrySafety, StepIx, StepRole, Verified, Yield,
};
use crate::systems::{Executing, Executor, Fault, Scene, StepContext, StepKind, StepTraits, newest};

/// The kind.
pub(super) const NOTIFY: StepKind = StepKind {
    name: "notify",
    probes: &[],
    schema: |generator| NotifyOptions::json_schema(generator),
    read: read_step,
    open,
};

fn read_step(_: &StepContext<'_>, value: &Value) -> Result<StepTraits, Vec<Fault>> {
    let options = NotifyOptions::deserialize(value)
        .map_err(|e| vec![Fault::new(&[], &e.to_string(), "the keys of a notify step")])?;
    let mut faults = Vec::new();
    let mut secrets = read::secrets("", &options.headers, None, options.token.as_ref());
    match &options.url {
        HeaderText::Plain(url) => {
            if let Err(what) = target(url) {
                let right = "\"https://hooks.example.com/dr\", or { env = \"NAME\" } where the address is the secret";
                faults.push(Fault::new(&["url"], what, right));
            }
        }
        HeaderText::Secret(secret) => secrets.push(("url".to_owned(), secret.clone())),
    }
    read::asker(&[], &options.headers, None, options.token.as_ref(), &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(StepTraits {
        role: StepRole::Notify,
        danger: Danger::None,
        retry: RetrySafety::Never,
        verified: Verified::ByLooking,
        deadline: Span::secs(15),
        touches: Vec::new(),
        secrets,
    })
}

fn open(scene: &Scene, ix: StepIx) -> Result<Box<dyn Executor>, Fault> {
    let value = scene.step(ix).map_or(&Value::Null, |s| &s.options);
    let options =
        NotifyOptions::deserialize(value).map_err(|e| Fault::new(&[], &e.to_string(), "the keys of a notify step"))?;
    let client = client(&scene.net, options.roots.as_deref(), false);
    Ok(Box::new(Notify { options, ix, client }))
}

/// Sends one message.
struct Notify {
    options: NotifyOptions,
    ix: StepIx,
    client: HttpClient,
}

impl Notify {
    /// Where it goes to, for people: the host, or where the address is to be found.
    fn shown(&self) -> String {
        match &self.options.url {
            HeaderText::Plain(text) => target(text).map_or_else(|_| text.clone(), |url| authority(&url)),
            HeaderText::Secret(secret) => format!("the webhook in {secret}"),
        }
    }

    async fn send(&mut self, scene: &Scene, deadline: Instant) -> Acted {
        let url = match address(&self.options.url, &scene.net, deadline).await {
            Ok(url) => url,
            Err(gap) => return Acted::NotSent { why: told(&self.options.url, &gap) },
        };
        let mut request = HttpRequest::new(http::Method::POST, url)
            .with(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let message = message(&scene.state, self.ix, self.options.text.as_deref(), clock::now());
        request.body = Bytes::from(message.to_string());
        let NotifyOptions { headers, token, .. } = &self.options;
        let request = match dressed(&scene.net, request, headers, None, token.as_ref(), deadline).await {
            Ok(request) => request,
            Err(gap) => return Acted::NotSent { why: told(&self.options.url, &gap) },
        };
        let right = Right { status: None, contains: None, json: None };
        match self.client.send(&request, deadline).await {
            Ok(answer) => meaning(right, answer.status, &[]),
            Err(NoAnswer::NotSent(gap)) => Acted::NotSent { why: told(&self.options.url, &gap) },
            Err(NoAnswer::Lost(gap)) => Acted::Unclear { why: told(&self.options.url, &gap), left: Box::default() },
        }
    }
}

/// Where it goes to, read now.
async fn address(url: &HeaderText, net: &Net, deadline: Instant) -> Result<Url, Gap> {
    let wrong = |what: &str| Gap::new(Reason::NotConfigured, &format!("its address is {what}"));
    match url {
        HeaderText::Plain(text) => target(text).map_err(wrong),
        HeaderText::Secret(secret) => {
            let text = net.secret(secret, deadline).await?;
            target(text.expose_secret().trim()).map_err(wrong)
        }
    }
}

/// A reason, without the address where that is the secret: messages of the network name the host.
fn told(url: &HeaderText, gap: &Gap) -> SafeText {
    match url {
        HeaderText::Plain(_) => SafeText::new(&gap.to_string()),
        HeaderText::Secret(secret) => {
            let own = gap.reason == Reason::SecretUnavailable || gap.reason == Reason::NotConfigured;
            let words = if own { gap.to_string() } else { gap.reason.words().to_owned() };
            SafeText::new(&format!("the webhook in {secret}: {words}"))
        }
    }
}

/// When sending ends: a message is worth no more than that.
fn sends_until(deadline: Instant) -> Instant {
    let left = deadline.saturating_duration_since(Instant::now());
    Instant::now() + left.saturating_sub(left / 5)
}

impl Executor for Notify {
    fn preview<'a>(&'a mut self, scene: &'a Scene, _: Instant) -> Executing<'a, Preview> {
        Box::pin(async move {
            let at = clock::now();
            let mut told = message(&scene.state, self.ix, self.options.text.as_deref(), at);
            // What is sent then is of that moment.
            for moment in ["phase", "at"] {
                told.as_object_mut().and_then(|m| m.shift_remove(moment));
            }
            let shown = self.shown();
            let role = if self.options.must_arrive {
                "the run stops where it is not taken"
            } else {
                "the run goes on where it is not taken"
            };
            Preview {
                target: SafeText::new(&shown),
                role: role.into(),
                identity: Identity::default().with("webhook", &shown),
                actions: vec![SafeText::new(&format!("POST {shown} {told}"))],
                challenge: scene.state.opened.plan.to_string(),
                conditions: Vec::new(),
                already: Held::Fails,
                left: Yield::default(),
                at,
            }
        })
    }

    fn act<'a>(&'a mut self, authorized: Authorized, scene: &'a Scene, deadline: Instant) -> Executing<'a, Acted> {
        Box::pin(async move {
            let acted = self.send(scene, sends_until(deadline)).await;
            drop(authorized);
            acted
        })
    }

    fn observe<'a>(&'a mut self, scene: &'a Scene, _: Instant) -> Executing<'a, Observation> {
        Box::pin(async move {
            let acted = newest(&scene.state, self.ix).and_then(|a| a.acted.as_ref());
            let (held, why) = by_the_call(acted.map(|(acted, _)| acted));
            if held == Held::Holds || self.options.must_arrive {
                return Observation::new(held, why.as_str(), clock::now());
            }
            // The step is to have tried, once.
            let why = format!("it was tried; not known to have arrived: {why}");
            let mut seen = Observation::new(Held::Holds, &why, clock::now());
            seen.left.facts.push(SafeText::new(&format!("{} was not told", self.shown())));
            seen
        })
    }

    fn commands(&self, scene: &Scene) -> Vec<String> {
        let told = message(&scene.state, self.ix, self.options.text.as_deref(), clock::now());
        let url = match &self.options.url {
            HeaderText::Plain(text) => quoted(text),
            HeaderText::Secret(_) => "WEBHOOK".to_owned(),
        };
        let mut lines: Vec<String> = match &self.options.url {
            HeaderText::Plain(_) => Vec::new(),
            HeaderText::Secret(secret) => vec![format!("# Put the address from {secret} for WEBHOOK.")],
        };
        let body = quoted(&told.to_string());
        lines.push(format!("curl --silent --show-error --header 'Content-Type: application/json' --data {body} {url}"));
        lines
    }
}
