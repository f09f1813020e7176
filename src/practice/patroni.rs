//! Patroni's REST API of one member, as 4.1 answers.

use std::time::Duration;

use base64::Engine as _;
use http::Method;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::http::{Answer, Asked, answer, with};
use super::shared::Shared;
use super::world::World;
use super::world::event::What;
use super::world::patroni::{Begun, Said};

/// How long whoever asks for another leader waits for it (`api.py`, `poll_failover_result`: twice as many seconds as
/// `loop_wait`, and no less than 20).
const WAITS: Duration = Duration::from_secs(20);

/// Who may change something (`restapi.authentication`).
#[derive(Clone, Debug)]
pub struct RestUser {
    /// The user.
    pub user: String,
    /// The user's password.
    pub password: SecretString,
}

/// What a member answers.
pub async fn says(shared: &Shared, member: &'static str, user: Option<&RestUser>, asked: Asked) -> Answer {
    let first = asked.path().trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
    let changes = !matches!(asked.head.method, Method::GET | Method::HEAD | Method::OPTIONS);
    let known = matches!(
        (asked.head.method.as_str(), first.as_str()),
        ("PATCH", "config") | ("POST", "switchover" | "failover") | ("DELETE", "switchover")
    );
    if changes && !known {
        return html(501, &format!("Unsupported method ('{}')", asked.head.method));
    }
    if let Some(refused) = user.filter(|_| changes).and_then(|u| u.refuses(&asked)) {
        return refused;
    }
    if !changes {
        return shared.with(|w| reads(w, member, &first, &asked));
    }
    if asked.head.method == Method::DELETE {
        return said(shared.with(|w| w.patroni_unschedule(member)));
    }
    let Some(body) = object(&asked) else { return html(400, "Bad Request") };
    let note = |w: &mut World| {
        w.note(What::Patroni(
            member.to_owned(),
            format!("{} /{first} {}", asked.head.method, Value::Object(body.clone())),
        ))
    };
    if first == "config" {
        let changed = shared.with(|w| {
            note(w);
            w.patroni_patch(member, &body)
        });
        return changed.map_or_else(|| html(503, "Service Unavailable"), |config| json(200, &config));
    }
    let action = if first == "failover" { "failover" } else { "switchover" };
    let begun = shared.with(|w| {
        note(w);
        w.patroni_move(member, action, &body)
    });
    match begun {
        Err(answer) => said(answer),
        Ok(begun) => said(moved(shared, &begun, action).await),
    }
}

/// Waits until the leader has changed, or will not.
async fn moved(shared: &Shared, begun: &Begun, action: &str) -> Said {
    let done = timeout(WAITS, shared.until(|w| w.patroni_moved(begun))).await;
    let word = if action == "failover" { "Failover" } else { "Switchover" };
    done.unwrap_or_else(|_| Said(503, format!("{word} status unknown")))
}

fn reads(world: &World, member: &str, first: &str, asked: &Asked) -> Answer {
    let gone = || html(503, "Service Unavailable");
    let whole = |value: Option<Value>| value.map_or_else(gone, |v| json(200, &v));
    let path = asked.path();
    match first {
        "patroni" => whole(world.patroni_status(member)),
        "cluster" => whole(world.patroni_cluster(member)),
        "config" => whole(world.patroni_config(member)),
        "history" => whole(world.patroni_history(member)),
        // These say it by their status alone.
        "liveness" | "readiness" => answer(world.patroni_health(member, path), "text/html", ""),
        _ if asked.head.method == Method::OPTIONS => answer(world.patroni_health(member, path), "text/html", ""),
        _ => {
            let status = world.patroni_health(member, path);
            world.patroni_status(member).map_or_else(gone, |v| json(status, &v))
        }
    }
}

/// The body as an object that holds something.
fn object(asked: &Asked) -> Option<Map<String, Value>> {
    let body: Value = serde_json::from_slice(asked.body.as_ref()?).ok()?;
    if let Value::Object(fields) = body { Some(fields).filter(|f| !f.is_empty()) } else { None }
}

impl RestUser {
    /// The answer to whoever may not change anything (RFC 7617).
    fn refuses(&self, asked: &Asked) -> Option<Answer> {
        let why = match asked.head.headers.get(AUTHORIZATION) {
            None => "no auth header received",
            Some(said) => {
                let pair = format!("{}:{}", self.user, self.password.expose_secret());
                let right = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
                if said.as_bytes() == right.as_bytes() {
                    return None;
                }
                "not authenticated"
            }
        };
        Some(with(answer(401, "text/html", why), WWW_AUTHENTICATE, "Basic realm=\"Patroni\""))
    }
}

fn json(status: u16, value: &Value) -> Answer {
    answer(status, "application/json", value.to_string())
}

fn said(Said(status, text): Said) -> Answer {
    answer(status, "text/html", text)
}

fn html(status: u16, title: &str) -> Answer {
    answer(status, "text/html;charset=utf-8", format!("<!DOCTYPE HTML><title>Error response</title><h1>{title}</h1>"))
}
