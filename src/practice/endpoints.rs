//! What a site's endpoint answers to the users of its services: whether it is alive, whether it serves, and its page.

use http::header::{ALLOW, HOST};
use serde_json::json;

use super::http::{Answer, Asked, answer, with};
use super::world::network::Site;
use super::world::{SERVICES, World};

const JSON: &str = "application/json";
/// Whether it is alive.
pub const ALIVE: &str = "/healthz";
/// Whether it serves users: it has its database, which takes its writes.
pub const READY: &str = "/ready";

/// What the endpoint of this name in a site answers. Which service is meant is in the host that is asked for: of an address,
/// the first one.
#[must_use]
pub fn says(world: &World, name: &str, site: Site, asked: &Asked) -> Answer {
    let host = asked.head.headers.get(HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
    let label = host.split(['.', ':']).next().unwrap_or_default();
    let [(first, _), ..] = SERVICES;
    let service = SERVICES.iter().map(|(s, _)| *s).find(|s| *s == label).unwrap_or(first);
    let fails = world.endpoints.get(name).is_some_and(|e| e.fails);
    let serves = !fails && world.serves(service, site);
    let good = match asked.path() {
        "/" | READY => serves,
        ALIVE => !fails,
        _ => return answer(404, JSON, json!({ "error": "not found" }).to_string()),
    };
    if !asked.reads() {
        return with(answer(405, JSON, json!({ "error": "method not allowed" }).to_string()), ALLOW, "GET, HEAD");
    }
    let status = if good { "ok" } else { "unavailable" };
    let body = json!({ "service": service, "site": site.name(), "status": status, "practice": true });
    answer(if good { 200 } else { 503 }, JSON, body.to_string())
}
