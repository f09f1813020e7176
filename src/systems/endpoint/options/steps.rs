//! The options of the steps `http` and `notify`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Basic, HeaderText, JsonCheck, Method};
use crate::plan::SecretRef;
use crate::runbook::{Danger, StepRole};

fn post() -> String {
    "POST".to_owned()
}

const fn other() -> StepRole {
    StepRole::Other
}

const fn changes() -> Danger {
    Danger::Changes
}

/// Options of an `http` step: one request, sent once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpStepOptions {
    /// Where to: `http` or `https`. A redirect is not followed.
    pub url: String,
    /// The method: "POST", "PUT", "PATCH", "DELETE", ...
    #[serde(default = "post")]
    pub method: String,
    /// More headers: each as it is, or where the secret is. Say `content-type` here where there is a body.
    #[serde(default)]
    pub headers: BTreeMap<String, HeaderText>,
    /// Who asks, by HTTP basic authentication. Read after approval only.
    pub basic: Option<Basic>,
    /// Who asks: where a bearer token is. Read after approval only.
    pub token: Option<SecretRef>,
    /// What is sent. Never a secret.
    pub body: Option<String>,
    /// The HTTP status that is right. Without it: any from 200 to 299.
    pub status: Option<u16>,
    /// Words that the answer must hold.
    pub contains: Option<String>,
    /// A value that the answer's JSON must hold.
    pub json: Option<JsonCheck>,
    /// How its effect is looked for. Without it the answer is all that is known, and after a lost answer nobody can say.
    pub check: Option<CheckOptions>,
    /// A PEM file of authorities to trust, instead of the system's.
    pub roots: Option<String>,
    /// Accept any certificate.
    #[serde(default)]
    pub insecure: bool,
    /// What it is for: "fence", "unfence", "promote", "restore", "traffic", "verify", "rejoin", "notify" or "other". A fence
    /// is proven only by a check that shows that the old primary is stopped.
    #[serde(default = "other")]
    pub role: StepRole,
    /// How much harm it can do: "none", "changes" or "irreversible".
    #[serde(default = "changes")]
    pub danger: Danger,
}

/// How the effect of an `http` step is looked for: another request, which changes nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckOptions {
    /// Where to: `http` or `https`.
    pub url: String,
    /// How it is asked: "GET" or "HEAD".
    #[serde(default)]
    pub method: Method,
    /// More headers: each as it is, or where the secret is.
    #[serde(default)]
    pub headers: BTreeMap<String, HeaderText>,
    /// Who looks, by HTTP basic authentication.
    pub basic: Option<Basic>,
    /// Who looks: where a bearer token is.
    pub token: Option<SecretRef>,
    /// The HTTP status that shows the effect. Without it: any from 200 to 299.
    pub status: Option<u16>,
    /// Words that show the effect.
    pub contains: Option<String>,
    /// A value of the answer's JSON that shows the effect.
    pub json: Option<JsonCheck>,
}

/// Options of a `notify` step: a message to people, by a webhook. It is sent once, as JSON with `text`, `plan`, `run`,
/// `runbook`, `from`, `to`, `step`, `of`, `name`, `phase` and `at`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotifyOptions {
    /// Where to: `http` or `https`; as it is, or where it is to be found, for webhooks whose address is the secret.
    pub url: HeaderText,
    /// More headers: each as it is, or where the secret is.
    #[serde(default)]
    pub headers: BTreeMap<String, HeaderText>,
    /// Who sends: where a bearer token is.
    pub token: Option<SecretRef>,
    /// The message. Without it: the plan, what is done to it, and the step.
    pub text: Option<String>,
    /// A PEM file of authorities to trust, instead of the system's.
    pub roots: Option<String>,
    /// Whether the run stops where the message was not taken. Without it, a message that is not taken is said, and the run
    /// goes on: telling people must not keep them from being saved.
    #[serde(default)]
    pub must_arrive: bool,
}
