//! The change in words that a person can read, and copy into a shell.

use std::net::SocketAddr;

use crate::plan::SecretRef;

use super::super::options::{Dns, ServerName, SiteAnswer};
use super::edit::{Change, Kind, Values, wanted};
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

/// The step as commands, made without asking anybody. What is there now decides what is to be sent, so they look first, and
/// there is a block for each family that may be there: whichever does not fit is refused and changes nothing.
#[must_use]
pub fn commands(update: &Update, dns: &Dns, site: &SiteAnswer, other: Option<&SiteAnswer>) -> Vec<String> {
    let known = dns.max_ttl.and_then(|t| u32::try_from(t.0.as_secs()).ok()).unwrap_or(TTL);
    let ttl = update.ttl.unwrap_or(known);
    let change = |old| Change::to(&update.zone, &dns.record, site, old, Some(ttl));
    let new = wanted(site, |_| ttl);
    let mut lines = vec![
        format!("# {} to {}: {}", dns.record, site.site, new.plain()),
        "# What is there now decides how. Look first; this changes nothing:".to_owned(),
    ];
    let primary = match &update.way {
        Way::Rfc2136 { server, .. } => Some(server),
        Way::PowerDns(_) => None,
    };
    let looks = look(dns, primary);
    lines.extend(looks.first().cloned());
    // A resolver has what is left of it, an authority has all of it.
    let authority = primary.or(dns.servers.first());
    let asked = authority.filter(|_| update.ttl.is_none()).map(|server| {
        let own = format!("$1 == \"{}.\" && !n++ {{ print $2 }}", dns.record);
        lines.push("# The new record keeps the time to live that there is:".to_owned());
        lines.push(format!("ttl=$({} | awk '{own}')", dig("+noall +answer", server, &families(dns))));
    });
    let ttl_word = move |ttl: u32| asked.map_or_else(|| ttl.to_string(), |()| format!("${{ttl:-{ttl}}}"));
    match &update.way {
        Way::Rfc2136 { server, key } => {
            lines.extend(REFUSALS.iter().map(|l| (*l).to_owned()));
            let mut nth = 0;
            let mut block = |when: &str, before: Option<String>, script: Vec<String>| {
                nth += 1;
                lines.push(format!("# {nth}. Where dig shows {when}:"));
                lines.extend(before);
                lines.push("nsupdate <<END".to_owned());
                lines.push(format!("server {} {}", server.host, server.port));
                lines.push(format!("key {}:{} {}", key.algorithm.word(), key.name, secret_word(&key.secret)));
                lines.extend(script);
                lines.extend(["send".to_owned(), "END".to_owned()]);
            };
            let planned = other.map(planned).unwrap_or_default();
            for old in &planned {
                let when = format!("{}, which the plan has for {}", old.plain(), site_of(other));
                block(&when, None, change(old.clone()).script_with(&ttl_word));
            }
            let has = |cname: bool| planned.iter().any(|v| v.data(Kind::Cname).is_some() == cname);
            if !has(false) {
                let (before, script) = addresses(server, dns, &change(Values::default()), &ttl_word);
                block("A or AAAA, and no CNAME", Some(before), script);
            }
            if !has(true) {
                let mut old = Values::default();
                // Where there is none, this is the root, which no CNAME leads to: it is refused.
                old.add(Kind::Cname, ttl, "${was%.}".to_owned());
                let before = format!("was=$({})", dig("+short", server, &format!("{} CNAME", dns.record)));
                block("a CNAME", Some(before), change(old).script_with(&ttl_word));
            }
            lines.push("# What is there afterwards, and what resolvers have of it:".to_owned());
        }
        Way::PowerDns(api) => {
            lines.push(
                "# PowerDNS takes no condition: whatever is there is replaced, be it addresses or a CNAME.".to_owned(),
            );
            for old in other.map(planned).unwrap_or_default() {
                lines.push(format!("# The plan has {} for {}. Where dig shows", old.plain(), site_of(other)));
                lines.push("# something else, somebody changed it: find out who before you send this.".to_owned());
            }
            let body = quoted(&change(Values::default()).patch_over().to_string());
            let body = body.replace(&format!("\"ttl\":{ttl}"), &format!("\"ttl\":'\"{}\"'", ttl_word(ttl)));
            lines.push(format!("curl -sS -X PATCH -H \"X-API-Key: {}\" \\", secret_word(&api.key)));
            lines.push("  -H 'Content-Type: application/json' \\".to_owned());
            lines.push(format!("  --data {body} \\"));
            lines.push(format!("  {}", quoted(api.zone.as_str())));
        }
    }
    lines.extend(looks);
    lines
}

/// What a refusal means.
const REFUSALS: [&str; 4] = [
    "# Send the one block that fits what is there. One that does not fit is refused, and changes nothing: NXRRSET, what",
    "# it expects is not there, or was moved already; YXRRSET, there is something that it does not expect. Where the one",
    "# that fits is refused, somebody has changed the record meanwhile: look again. Where none fits, the plan does not",
    "# know what is there: find out who changed it, then put what dig shows into the prereq lines.",
];

/// What the plan says of a site may be at the record: its addresses, or one of its names.
fn planned(site: &SiteAnswer) -> Vec<Values> {
    if site.names.is_empty() {
        return vec![wanted(site, |_| 0)];
    }
    let one = |name: &String| {
        let mut values = Values::default();
        values.add(Kind::Cname, 0, name.clone());
        values
    };
    site.names.iter().map(one).collect()
}

fn site_of(site: Option<&SiteAnswer>) -> &str {
    site.map_or("", |s| s.site.as_str())
}

/// The lines for addresses that the plan does not know: those that are there, as `dig` shows them, must still be there.
fn addresses(server: &ServerName, dns: &Dns, change: &Change, ttl: &dyn Fn(u32) -> String) -> (String, Vec<String>) {
    let name = format!("{}.", dns.record);
    let own = format!("$1 == \"{name}\" && $4 ~ /^A/ {{ print \"prereq yxrrset\", $1, $4, $5 }}");
    let before = format!("was=$({} | awk '{own}')", dig("+noall +answer", server, &families(dns)));
    let mut lines = vec![
        format!("zone {}.", change.zone),
        format!("${{was:-prereq yxrrset {name} A}}"),
        format!("prereq nxrrset {name} CNAME"),
        format!("update delete {name} A"),
        format!("update delete {name} AAAA"),
    ];
    lines.extend(Kind::ALL.into_iter().flat_map(|kind| change.added(kind, ttl)));
    (before, lines)
}

/// The record's addresses, as `dig` is asked for them; a CNAME is in the answer to either.
fn families(dns: &Dns) -> String {
    format!("{} A {0} AAAA", dns.record)
}

fn dig(how: &str, server: &ServerName, what: &str) -> String {
    let port = if server.port == 53 { String::new() } else { format!(" -p {}", server.port) };
    format!("dig {how} @{}{port} {what}", server.host)
}

/// Commands that look at the record where it is served and where it is resolved.
#[must_use]
pub fn look(dns: &Dns, primary: Option<&ServerName>) -> Vec<String> {
    let resolvers = dns.resolvers.iter().map(|r| ServerName { host: r.ip().to_string(), port: r.port() });
    let mut all: Vec<ServerName> = primary.into_iter().chain(&dns.servers).cloned().chain(resolvers).collect();
    let mut seen = Vec::new();
    all.retain(|s| {
        !seen.contains(s) && {
            seen.push(s.clone());
            true
        }
    });
    if all.is_empty() {
        vec![format!("dig +noall +answer {}", families(dns))]
    } else {
        all.iter().map(|server| dig("+noall +answer", server, &families(dns))).collect()
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
