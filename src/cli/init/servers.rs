//! A primary and its standby, found from one of them.

use std::sync::Arc;

use secrecy::ExposeSecret as _;
use tokio::time::Instant;

use crate::net::Net;
use crate::systems::postgres::discover::{self, Discovered};

use super::PATIENCE;
use super::ask::Asker;
use super::draft::Database;

/// Asks a server within our patience.
pub(super) async fn seen(net: &Arc<Net>, text: &str) -> Result<Discovered, String> {
    discover::discover(net, text, Instant::now() + PATIENCE).await.map_err(|gap| gap.detail.to_string())
}

/// Finds the primary and the standby from one server or both.
pub(super) async fn pair(
    net: &Arc<Net>,
    first: &str,
    second: Option<&str>,
    asker: &mut Asker<'_>,
) -> anyhow::Result<(Database, Option<String>)> {
    let (plain, password) = discover::without_password(first).map_err(|e| anyhow::anyhow!("{e}"))?;
    let mut notes = Vec::new();
    // The variable is called after the plan, which has no name yet.
    let password_env = password.then(String::new);
    let found = match seen(net, first).await {
        Ok(found) => found,
        Err(why) => {
            asker.say(&format!("  it cannot be asked: {why}; writing what was said, for you to mend"))?;
            let second = second.map(discover::without_password).transpose().map_err(|e| anyhow::anyhow!("{e}"))?;
            let at = [Some(plain), second.map(|(s, _)| s)];
            return Ok((Database { at, password_env, notes, standby_name: None, doubt: None }, None));
        }
    };
    asker.say(&format!("  {}: PostgreSQL {}, {}", found.server, found.version, role(&found)))?;
    let mut candidates: Vec<(String, u16)> = Vec::new();
    for standby in &found.standbys {
        asker.say(&format!("  it has a standby: {} at {} ({})", standby.name, standby.address, standby.sync))?;
        notes.push(format!("Seen as a standby: {} at {} ({}).", standby.name, standby.address, standby.sync));
        for port in [discover::port(first), 5432] {
            candidates.push((standby.address.to_string(), port));
        }
    }
    if let Some((host, port)) = &found.upstream {
        asker.say(&format!("  it streams from {host}:{port}"))?;
        candidates.push((host.to_string(), *port));
    }
    candidates.dedup();
    let mut partner = match second {
        Some(second) => Some(second.to_owned()),
        None => reachable(net, first, &found, candidates, asker).await?,
    };
    if partner.is_none() {
        let other = if found.writable { "standby" } else { "primary" };
        let answer = asker.ask(&format!("The {other}'s address; empty if you do not know it yet"), "")?;
        partner = Some(answer).filter(|a| !a.is_empty());
    }
    let mut partner_plain = None;
    if let Some(text) = &partner {
        let (there, _) = discover::without_password(text).map_err(|e| anyhow::anyhow!("{e}"))?;
        match seen(net, text).await {
            Ok(seen) if seen.writable == found.writable => {
                let both = if seen.writable { "both take writes" } else { "neither takes writes" };
                asker.say(&format!("  {}: {}: {both}; look into that", seen.server, role(&seen)))?;
            }
            Ok(seen) => asker.say(&format!("  {}: PostgreSQL {}, {}", seen.server, seen.version, role(&seen)))?,
            Err(why) => asker.say(&format!("  it cannot be asked: {why}"))?,
        }
        partner_plain = Some(there);
    }
    let at = if found.writable { [Some(plain), partner_plain] } else { [partner_plain, Some(plain)] };
    Ok((Database { at, password_env, notes, standby_name: None, doubt: None }, Some(found.database)))
}

pub(super) const fn role(found: &Discovered) -> &'static str {
    if found.writable { "takes writes" } else { "a standby" }
}

/// The first of these that answers and has the other role: a connection text like the first server's.
async fn reachable(
    net: &Arc<Net>,
    like: &str,
    found: &Discovered,
    candidates: Vec<(String, u16)>,
    asker: &mut Asker<'_>,
) -> anyhow::Result<Option<String>> {
    for (host, port) in candidates {
        let text = discover::at_host(like, &host, port).map_err(|e| anyhow::anyhow!("{e}"))?;
        match seen(net, text.expose_secret()).await {
            Ok(seen) if seen.writable != found.writable => return Ok(Some(text.expose_secret().to_owned())),
            // The same server again, by another name.
            Ok(_) => {}
            Err(why) => asker.say(&format!("  {host}:{port} cannot be asked: {why}"))?,
        }
    }
    Ok(None)
}
