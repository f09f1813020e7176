//! The change in words that a person can read, and copy into a shell.

use std::net::SocketAddr;

use crate::plan::SecretRef;

use super::super::options::{Dns, ServerName, SiteAnswer};
use super::edit::{Change, Values, wanted};
use super::options::{Update, Way};

/// The time to live of a record in commands that were made without asking anybody.
const TTL: u32 = 60;

/// What will be sent, a line each: the script for `nsupdate`, or the request. Never a secret; only where it comes from.
#[must_use]
pub fn actions(update: &Update, change: &Change, primary: Option<SocketAddr>) -> Vec<String> {
    match &update.way {
        Way::Rfc2136 { server, key } => {
            let at = primary.map_or_else(|| (server.host.clone(), server.port), |a| (a.ip().to_string(), a.port()));
            let mut lines = vec![format!("server {} {}", at.0, at.1)];
            lines.extend(change.script());
            lines.push("send".to_owned());
            lines.push(format!("; signed with {} ({}), from {}", key.name, key.algorithm.word(), key.secret));
            lines
        }
        Way::PowerDns(api) => {
            let mut lines = vec![format!("PATCH {}", api.zone), format!("X-API-Key: from {}", api.key)];
            let body = change.patch();
            let sets = body.get("rrsets").and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
            lines.extend(sets.iter().map(ToString::to_string));
            lines
        }
    }
}

/// The step as commands, made without asking anybody: what must be there before is what the plan says of the other site.
#[must_use]
pub fn commands(update: &Update, dns: &Dns, site: &SiteAnswer, other: Option<&SiteAnswer>) -> Vec<String> {
    let ttl = update.ttl.or_else(|| dns.max_ttl.and_then(|t| u32::try_from(t.0.as_secs()).ok())).unwrap_or(TTL);
    let old = other.map_or_else(Values::default, |other| wanted(other, |_| ttl));
    let change = Change::to(&update.zone, &dns.record, site, old, Some(ttl));
    let mut lines = vec![format!("# {} to {}: {}", dns.record, site.site, change.words())];
    match &update.way {
        Way::Rfc2136 { server, key } => {
            lines.push(
                "# It is refused (NXRRSET) where the record is not what it was, or was moved already.".to_owned(),
            );
            lines.push("nsupdate <<END".to_owned());
            lines.push(format!("server {} {}", server.host, server.port));
            lines.push(format!("key {}:{} {}", key.algorithm.word(), key.name, secret_word(&key.secret)));
            lines.extend(change.script());
            lines.push("send".to_owned());
            lines.push("END".to_owned());
            lines.extend(look(dns, Some(server)));
        }
        Way::PowerDns(api) => {
            lines.push(format!("curl -sS -X PATCH -H \"X-API-Key: {}\" \\", secret_word(&api.key)));
            lines.push("  -H 'Content-Type: application/json' \\".to_owned());
            lines.push(format!("  --data {} \\", quoted(&change.patch().to_string())));
            lines.push(format!("  {}", quoted(api.zone.as_str())));
            lines.extend(look(dns, None));
        }
    }
    lines
}

/// Commands that look at the record where it is served and where it is resolved.
#[must_use]
pub fn look(dns: &Dns, primary: Option<&ServerName>) -> Vec<String> {
    let servers = primary.into_iter().chain(&dns.servers).map(|s| (s.host.clone(), s.port));
    let resolvers = dns.resolvers.iter().map(|r| (r.ip().to_string(), r.port()));
    let mut all: Vec<(String, u16)> = servers.chain(resolvers).collect();
    let mut seen = Vec::new();
    all.retain(|s| {
        !seen.contains(s) && {
            seen.push(s.clone());
            true
        }
    });
    let dig = |(host, port): &(String, u16)| {
        let port = if *port == 53 { String::new() } else { format!(" -p {port}") };
        format!("dig +noall +answer @{host}{port} {} A {0} AAAA", dns.record)
    };
    if all.is_empty() {
        vec![format!("dig +noall +answer {} A {0} AAAA", dns.record)]
    } else {
        all.iter().map(dig).collect()
    }
}

/// Where a secret will come from, as a word of a shell that has it.
fn secret_word(secret: &SecretRef) -> String {
    match secret {
        SecretRef::Env(name) => format!("${{{name}}}"),
        SecretRef::File(path) => format!("$(cat {})", quoted(path)),
        SecretRef::Command(argv) => format!("$({})", argv.iter().map(|a| quoted(a)).collect::<Vec<_>>().join(" ")),
    }
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    let bare = !word.is_empty() && word.chars().all(plain);
    if bare { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}
