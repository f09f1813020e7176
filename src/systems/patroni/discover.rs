//! What one member's REST API tells of its cluster: for `lifeboat init`.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::Value;
use tokio::time::Instant;

use crate::net::{HttpClient, HttpPolicy, Net, TlsPolicy};
use crate::plan::SafeText;
use crate::readiness::{Gap, Reason};

use super::options::Member;
use super::probe::get;
use super::read::MOST_MEMBERS;

/// A cluster of Patroni's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovered {
    /// The member that was asked: `host:port`.
    pub asked: String,
    /// Its Patroni's version; empty where it does not say.
    pub version: SafeText,
    /// The cluster's name (`scope`).
    pub scope: SafeText,
    /// The members, the leader first.
    pub members: Vec<MemberSeen>,
    /// What a standby cluster follows (`standby_cluster` of the dynamic configuration): hosts and their port, where they
    /// are named. `None` for a cluster that takes writes.
    pub standby_of: Option<Upstream>,
    /// The addresses that stream from its leader and are no members: where a standby cluster may be.
    pub followers: Vec<String>,
}

/// What a standby cluster follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upstream {
    /// The hosts; none where it only restores an archive.
    pub hosts: Vec<String>,
    /// Their port.
    pub port: u16,
}

/// A member as its cluster sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberSeen {
    /// Its name in Patroni.
    pub name: SafeText,
    /// `leader`, `standby_leader`, `replica`, ...
    pub role: SafeText,
    /// Its REST API, as a probe takes it: `http://10.1.1.1:8008`.
    pub rest: String,
    /// Whether that answers from here, or why not.
    pub answers: Result<(), Gap>,
    /// Its PostgreSQL: host and port, where the cluster names it.
    pub database: Option<(String, u16)>,
}

impl Discovered {
    /// Every member's PostgreSQL that is known, the leader's first.
    pub fn databases(&self) -> impl Iterator<Item = &(String, u16)> {
        self.members.iter().filter_map(|m| m.database.as_ref())
    }
}

/// Asks a member, named by its URL. `roots` are the authorities for `https`, instead of the system's.
///
/// # Errors
/// Why it cannot be asked; the text is never repeated where it holds a password.
pub async fn discover(net: &Arc<Net>, url: &str, roots: Option<&str>, deadline: Instant) -> Result<Discovered, Gap> {
    let member = Member::read(url).map_err(|why| Gap::new(Reason::NotConfigured, why))?;
    let policy = || {
        let tls = TlsPolicy { roots: roots.map(PathBuf::from), ..TlsPolicy::default() };
        HttpPolicy { tls, ..HttpPolicy::default() }
    };
    let client = || HttpClient::new(Arc::clone(net), policy());
    let mut own = client();
    let (cluster, _) = get(&mut own, &member.url, "cluster", deadline).await?;
    let (config, _) = get(&mut own, &member.url, "config", deadline).await?;
    let mut found = read(&member, &cluster, &config)?;
    let each = found.members.iter().map(|seen| {
        let mut client = client();
        async move {
            let there = Member::read(&seen.rest).map_err(|why| Gap::new(Reason::Malformed, why))?;
            get(&mut client, &there.url, "patroni", deadline).await.map(|(body, _)| body)
        }
    });
    let said = join_all(each).await;
    for (n, (seen, said)) in found.members.iter_mut().zip(said).enumerate() {
        if let (0, Ok(body)) = (n, &said) {
            found.followers = streams(body);
        }
        if let Ok(body) = &said
            && found.version.as_str().is_empty()
        {
            found.version = word(body, "/patroni/version");
            if found.scope.as_str().is_empty() {
                found.scope = word(body, "/patroni/scope");
            }
        }
        seen.answers = said.map(drop);
    }
    let members: Vec<&str> = found.members.iter().filter_map(|m| Some(m.database.as_ref()?.0.as_str())).collect();
    found.followers.retain(|address| !members.contains(&address.as_str()));
    Ok(found)
}

fn word(body: &Value, pointer: &str) -> SafeText {
    SafeText::new(body.pointer(pointer).and_then(Value::as_str).unwrap_or_default())
}

/// A host of Patroni's, as one could write it: nothing that would end a connection string or a URL.
fn host(text: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    let text = text.trim().trim_matches(['[', ']']);
    (!text.is_empty() && text.len() <= 253 && text.chars().all(fits)).then(|| text.to_owned())
}

/// A port as JSON or as digits.
fn port(value: Option<&Value>) -> Option<u16> {
    let number = value?.as_u64().or_else(|| value?.as_str()?.parse().ok())?;
    u16::try_from(number).ok().filter(|p| *p > 0)
}

fn read(member: &Member, cluster: &Value, config: &Value) -> Result<Discovered, Gap> {
    let listed = cluster.get("members").and_then(Value::as_array);
    let listed = listed.ok_or_else(|| Gap::new(Reason::Malformed, "/cluster lists no members: no Patroni?"))?;
    let mut members: Vec<MemberSeen> = listed.iter().take(MOST_MEMBERS).filter_map(|m| seen(member, m)).collect();
    members.sort_by_key(|m| !m.role.as_str().ends_with("leader"));
    let follows = config.get("standby_cluster").filter(|s| s.is_object()).map(|table| {
        let hosts = table.get("host").and_then(Value::as_str).unwrap_or_default();
        Upstream { hosts: hosts.split(',').filter_map(host).collect(), port: port(table.get("port")).unwrap_or(5432) }
    });
    // Where the configuration does not say it, its leader's role does.
    let standby = members.iter().any(|m| m.role.as_str() == "standby_leader").then(Upstream::default);
    Ok(Discovered {
        asked: member.shown.clone(),
        version: SafeText::default(),
        scope: word(cluster, "/scope"),
        members,
        standby_of: follows.or(standby),
        followers: Vec::new(),
    })
}

fn seen(asked: &Member, listed: &Value) -> Option<MemberSeen> {
    let api = url::Url::parse(listed.get("api_url")?.as_str()?).ok()?;
    let place = api.host_str()?;
    let rest = format!("{}://{place}:{}", api.scheme(), api.port_or_known_default()?);
    let rest = if Member::read(&rest).is_ok_and(|m| m.shown == asked.shown) {
        asked.url.as_str().trim_end_matches('/').to_owned()
    } else {
        rest
    };
    Member::read(&rest).ok()?;
    let database = listed.get("host").and_then(Value::as_str).and_then(host);
    Some(MemberSeen {
        name: word(listed, "/name"),
        role: word(listed, "/role"),
        rest,
        answers: Err(Reason::TimedOut.into()),
        database: database.zip(port(listed.get("port"))),
    })
}

/// The addresses that stream from a server (`pg_stat_replication`, as `/patroni` tells it), each once.
fn streams(body: &Value) -> Vec<String> {
    let rows = body.get("replication").and_then(Value::as_array).into_iter().flatten().take(MOST_MEMBERS);
    let mut all: Vec<String> =
        rows.filter_map(|r| r.get("client_addr").and_then(Value::as_str).and_then(host)).collect();
    all.sort();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(cluster: &Value, config: &Value) -> Discovered {
        read(&Member::read("http://10.0.1.2").unwrap(), cluster, config).unwrap()
    }

    #[test]
    fn the_leader_comes_first_and_a_standby_cluster_names_what_it_follows() {
        let member = |name: &str, role: &str, host: &str| json!({ "name": name, "role": role, "api_url": format!("http://{host}:8008/patroni"), "host": host, "port": 5432 });
        let members = json!([member("n2", "replica", "10.0.1.2"), member("n1", "leader", "10.0.1.1")]);
        let found = of(&json!({ "members": members, "scope": "prod" }), &json!({ "ttl": 20 }));
        assert_eq!(found.members.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["n1", "n2"]);
        assert_eq!(found.members[1].rest, "http://10.0.1.2:8008");
        assert_eq!(found.databases().next(), Some(&("10.0.1.1".to_owned(), 5432)));
        assert_eq!((found.scope.as_str(), &found.standby_of), ("prod", &None));

        let members = json!([member("n4", "standby_leader", "10.1.1.1")]);
        let config = json!({ "standby_cluster": { "host": "10.0.1.1,10.0.1.2", "port": "5433" } });
        let upstream = of(&json!({ "members": members }), &config).standby_of.unwrap();
        assert_eq!((upstream.hosts, upstream.port), (vec!["10.0.1.1".to_owned(), "10.0.1.2".to_owned()], 5433));
        // The role alone says it too.
        assert_eq!(of(&json!({ "members": members }), &json!({})).standby_of, Some(Upstream::default()));
    }

    #[test]
    fn what_a_server_says_is_not_written_into_a_configuration_unseen() {
        let bad = |api: &str, host: &str| json!({ "members": [{ "name": "n", "role": "leader", "api_url": api, "host": host, "port": 5432 }] });
        assert!(of(&bad("ftp://x/", "x"), &json!({})).members.is_empty());
        assert!(of(&bad("http://user:pass@x:8008/", "x"), &json!({})).members[0].rest.ends_with("//x:8008"));
        for host in ["x' password='y", "", "a/b", "a,b"] {
            assert_eq!(of(&bad("http://x:8008/", host), &json!({})).members[0].database, None, "{host}");
        }
        let no = read(&Member::read("http://x").unwrap(), &json!({ "a": 1 }), &json!({}));
        assert_eq!(no.unwrap_err().reason, Reason::Malformed);
        let told = json!({ "replication": [{ "client_addr": "10.1.1.1" }, { "client_addr": "10.1.1.1" }, { "client_addr": null }] });
        assert_eq!(streams(&told), ["10.1.1.1"]);
    }
}
