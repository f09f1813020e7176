//! Two clusters of Patroni's, found from one of their members.

use std::sync::Arc;

use tokio::time::Instant;

use crate::net::Net;
use crate::readiness::Gap;
use crate::systems::patroni::discover::{self, Discovered};
use crate::systems::postgres::discover::without_password;

use super::PATIENCE;
use super::ask::Asker;
use super::draft::{Clusters, Database};
use super::servers;

/// What was found of both sites.
pub(super) struct Found {
    /// For the probe.
    pub(super) clusters: Clusters,
    /// The name of the cluster that takes writes, or of the one that is known.
    pub(super) scope: Option<String>,
    /// The members' PostgreSQL of each site, the leader's first.
    pub(super) databases: [Vec<(String, u16)>; 2],
    /// The name of the other site's leader.
    pub(super) standby: Option<String>,
}

/// Whether an address is Patroni's and not a database's.
pub(super) fn is_rest(address: &str) -> bool {
    address.starts_with("http://") || address.starts_with("https://")
}

/// Asks members, by URLs, within our patience.
struct Clusterer<'a> {
    net: &'a Arc<Net>,
    roots: Option<&'a str>,
}

impl Clusterer<'_> {
    async fn seen(&self, url: &str) -> Result<Discovered, Gap> {
        let deadline = Instant::now() + PATIENCE;
        let asked = discover::discover(self.net, url, self.roots, deadline);
        let late = |_| Err(Gap::new(crate::readiness::Reason::TimedOut, "no answer in time"));
        tokio::time::timeout_at(deadline, asked).await.unwrap_or_else(late)
    }

    /// The first of these hosts where a cluster of the other role answers, at the port of the one that is known.
    async fn partner(&self, known: &Discovered, asker: &mut Asker<'_>) -> anyhow::Result<Option<Discovered>> {
        let hosts = known.standby_of.as_ref().map_or(&known.followers, |u| &u.hosts);
        let like = known.members.first().map_or("http://:8008", |m| m.rest.as_str());
        let (scheme, place) = like.split_once("://").unwrap_or(("http", like));
        let port = place.rsplit_once(':').map_or("8008", |(_, p)| p);
        for host in hosts {
            let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            match self.seen(&format!("{scheme}://{host}:{port}")).await {
                Ok(found) if apart(known, &found) => return Ok(Some(found)),
                // The same cluster again.
                Ok(_) => {}
                Err(gap) => asker.say(&format!("  no Patroni at {host}:{port}: {}", gap.detail))?,
            }
        }
        Ok(None)
    }
}

/// Whether a member of one is a member of the other.
fn in_common(one: &Discovered, other: &Discovered) -> bool {
    one.members.iter().any(|m| other.members.iter().any(|o| o.rest == m.rest))
}

/// Whether these are two clusters, one that takes writes and one that stands by.
fn apart(one: &Discovered, other: &Discovered) -> bool {
    !in_common(one, other) && one.standby_of.is_some() != other.standby_of.is_some()
}

/// What it is, in one line.
fn told(found: &Discovered) -> String {
    let version = if found.version.as_str().is_empty() { "?" } else { found.version.as_str() };
    let names: Vec<String> = found.members.iter().map(|m| format!("{} ({})", m.name, m.role)).collect();
    let names = names.join(", ");
    let role = match &found.standby_of {
        None => "takes writes".to_owned(),
        Some(upstream) if upstream.hosts.is_empty() => "a standby cluster".to_owned(),
        Some(upstream) => format!("a standby cluster of {}:{}", upstream.hosts.join(","), upstream.port),
    };
    let scope = if found.scope.as_str().is_empty() { String::new() } else { format!(" cluster {},", found.scope) };
    format!("Patroni {version},{scope} {role}: {names}")
}

/// Says what was found, members that do not answer included; the same goes into the file.
fn introduce(found: &Discovered, notes: &mut Vec<String>, asker: &mut Asker<'_>) -> anyhow::Result<()> {
    asker.say(&format!("  {}: {}", found.asked, told(found)))?;
    notes.push(format!("{}.", told(found)));
    for member in &found.members {
        if let Err(gap) = &member.answers {
            let line = format!("{} at {} does not answer from here: {}", member.name, member.rest, gap.detail);
            asker.say(&format!("  {line}"))?;
            notes.push(line);
        }
    }
    Ok(())
}

/// Finds both clusters from a member of one of them, or of each.
pub(super) async fn find(
    net: &Arc<Net>,
    urls: &[String],
    roots: Option<&str>,
    asker: &mut Asker<'_>,
) -> anyhow::Result<Found> {
    let clusterer = Clusterer { net, roots };
    let mut notes = Vec::new();
    let mut seen: Vec<Result<Discovered, String>> = Vec::new();
    for url in urls.iter().take(2) {
        seen.push(match clusterer.seen(url).await {
            Ok(found) => {
                introduce(&found, &mut notes, asker)?;
                Ok(found)
            }
            Err(gap) => {
                asker.say(&format!("  it cannot be asked: {}; writing what was said, for you to mend", gap.detail))?;
                let rest = crate::systems::patroni::options::Member::read(url).map_err(|e| anyhow::anyhow!("{e}"))?;
                Err(rest.url.as_str().trim_end_matches('/').to_owned())
            }
        });
    }
    if let [Ok(one), Ok(other)] = seen.as_slice()
        && in_common(one, other)
    {
        asker.say("  these are members of one and the same cluster")?;
        seen.pop();
    }
    if let [Ok(known)] = seen.as_slice()
        && let Some(found) = clusterer.partner(known, asker).await?
    {
        introduce(&found, &mut notes, asker)?;
        seen.push(Ok(found));
    }
    if seen.len() == 1 {
        let question = "The other site's Patroni (http://host:8008); empty if you do not know it yet";
        let url = asker.ask_for(question, "", |text| match crate::systems::patroni::options::Member::read(text) {
            Ok(_) => Ok(Some(text.to_owned())),
            Err(_) if text.is_empty() => Ok(None),
            Err(why) => Err(format!("{why}: http://host:8008")),
        })?;
        if let Some(url) = url {
            match clusterer.seen(&url).await {
                Ok(found) if seen.iter().any(|s| s.as_ref().is_ok_and(|known| in_common(known, &found))) => {
                    asker.say("  that is a member of the same cluster; the other one is left out")?;
                }
                Ok(found) => {
                    introduce(&found, &mut notes, asker)?;
                    seen.push(Ok(found));
                }
                Err(gap) => {
                    asker.say(&format!("  it cannot be asked: {}", gap.detail))?;
                    seen.push(Err(url));
                }
            }
        }
    }
    if let [Ok(one), Ok(other)] = seen.as_slice()
        && !apart(one, other)
    {
        let both = match (&one.standby_of, &other.standby_of) {
            (None, _) => "both take writes",
            (Some(_), _) => "neither takes writes",
        };
        asker.say(&format!("  {both}; look into that"))?;
        notes.push(format!("When this was written: {both}."));
    }
    let reversed = seen.first().is_some_and(|s| s.as_ref().is_ok_and(|f| f.standby_of.is_some()));
    if reversed {
        seen.resize_with(2, || Err(String::new()));
        seen.reverse();
    }
    let mut at = [Vec::new(), Vec::new()];
    let mut databases = [Vec::new(), Vec::new()];
    for ((at, databases), cluster) in at.iter_mut().zip(&mut databases).zip(&seen) {
        match cluster {
            Ok(found) => {
                at.extend(found.members.iter().map(|m| m.rest.clone()));
                databases.extend(found.databases().cloned());
            }
            Err(url) => at.extend(Some(url.clone()).filter(|u| !u.is_empty())),
        }
    }
    let leader = |found: &Discovered| Some(found.members.first()?.name.to_string());
    let standby = seen.get(1).and_then(|s| s.as_ref().ok()).and_then(leader).filter(|n| !n.is_empty());
    let scope = seen.iter().filter_map(|s| s.as_ref().ok()).map(|f| f.scope.to_string()).find(|s| !s.is_empty());
    let clusters = Clusters { at, roots: roots.map(str::to_owned), notes };
    Ok(Found { clusters, scope, databases, standby })
}

/// A role and a database: `lifeboat@orders`; `None` for neither.
fn looker(text: &str) -> Result<Option<(String, String)>, String> {
    let fits = |part: &str| !part.is_empty() && !part.chars().any(|c| c.is_whitespace() || c.is_control());
    match text.split_once('@') {
        _ if text.is_empty() => Ok(None),
        Some((role, database)) if fits(role) && fits(database) => Ok(Some((role.to_owned(), database.to_owned()))),
        Some(_) | None => Err("a role and a database, such as lifeboat@orders".to_owned()),
    }
}

/// A connection text to the members of one site.
fn text(members: &[(String, u16)], role: &str, database: &str, more: &str) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"));
    let hosts: Vec<&str> = members.iter().map(|(h, _)| h.as_str()).collect();
    let ports: Vec<String> = members.iter().map(|(_, p)| p.to_string()).collect();
    format!(
        "host={} port={} user={} dbname={}{more}",
        quoted(&hosts.join(",")),
        quoted(&ports.join(",")),
        quoted(role),
        quoted(database)
    )
}

/// The database that the clusters keep, by the addresses that they tell; nothing where nobody looks.
pub(super) async fn database(net: &Arc<Net>, found: &Found, asker: &mut Asker<'_>) -> anyhow::Result<Option<Database>> {
    let of = &found.databases;
    if of.iter().all(Vec::is_empty) {
        return Ok(None);
    }
    let question = "The role that looks and its database, as role@database; empty to look at Patroni alone";
    let Some((role, name)) = asker.ask_for(question, "lifeboat@postgres", looker)? else { return Ok(None) };
    let mut at = [None, None];
    let mut doubts = Vec::new();
    // At home the member that takes writes is looked at, wherever it is; the other site has none before a failover.
    for ((at, members), more) in at.iter_mut().zip(of).zip([" target_session_attrs='primary'", ""]) {
        if members.is_empty() {
            continue;
        }
        let (plain, _) = without_password(&text(members, &role, &name, more)).map_err(|e| anyhow::anyhow!("{e}"))?;
        match servers::seen(net, &plain).await {
            Ok(found) => {
                asker.say(&format!("  {}: PostgreSQL {}, {}", found.server, found.version, servers::role(&found)))?;
            }
            Err(why) => {
                asker.say(&format!("  as {role}: {why}"))?;
                doubts.push(why);
            }
        }
        *at = Some(plain);
    }
    let notes = vec![
        "The addresses are Patroni's own. After a failover, move target_session_attrs to the other site.".to_owned(),
    ];
    let [home, other] = of;
    let shared = other.iter().any(|(host, _)| home.iter().any(|(h, _)| h == host));
    let standby_name = found.standby.clone().filter(|_| shared);
    let doubt = (!doubts.is_empty()).then(|| doubts.join("; "));
    Ok(Some(Database { at, password_env: None, notes, standby_name, doubt }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_looker_is_a_role_and_a_database() {
        assert_eq!(looker("a@b"), Ok(Some(("a".to_owned(), "b".to_owned()))));
        assert_eq!(looker(""), Ok(None));
        for bad in ["a", "@b", "a@", "a b@c"] {
            assert!(looker(bad).is_err(), "{bad}");
        }
        let members = [("a".to_owned(), 1), ("b".to_owned(), 2)];
        let (plain, _) = without_password(&text(&members, "o'x", "d", " target_session_attrs='primary'")).unwrap();
        for part in ["host='a,b'", "port='1,2'", "user='o\\'x'", "target_session_attrs='primary'"] {
            assert!(plain.contains(part), "{plain}");
        }
    }
}
