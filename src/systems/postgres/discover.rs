//! What one server tells of its cluster: for `lifeboat init`.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::client::{self, How};
use super::conninfo::Params;
use super::faults::gap_of;
use super::libpq;
use crate::net::Net;
use crate::plan::SafeText;
use crate::readiness::{Gap, Reason};

/// Most standbys that are told of.
const MOST: usize = 16;

/// A server, and who else belongs to its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovered {
    /// What it is: `host:port`.
    pub server: String,
    /// Its version.
    pub version: SafeText,
    /// The database that was connected to.
    pub database: String,
    /// Whether it takes writes.
    pub writable: bool,
    /// The servers that stream from it (`pg_stat_replication`), by address.
    pub standbys: Vec<StandbySeen>,
    /// Where it streams from itself (`pg_stat_wal_receiver`).
    pub upstream: Option<(SafeText, u16)>,
}

/// A standby as its primary sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandbySeen {
    /// Its `application_name`.
    pub name: SafeText,
    /// Its address; its port is nowhere to be seen.
    pub address: SafeText,
    /// Whether commits wait for it: `async`, `sync`, `quorum`, `potential`.
    pub sync: SafeText,
}

/// Physical standbys only: a logical subscriber has a slot of its own kind.
const QUESTION: &str = "SELECT current_setting('server_version'), current_database(), pg_is_in_recovery()::text, NULL; \
     SELECT 'standby', r.application_name, host(r.client_addr), r.sync_state FROM pg_stat_replication r \
     LEFT JOIN pg_replication_slots l ON l.active_pid = r.pid AND l.slot_type = 'logical' \
     WHERE l.slot_name IS NULL AND r.client_addr IS NOT NULL ORDER BY 2; \
     SELECT 'upstream', sender_host, sender_port::text, NULL FROM pg_stat_wal_receiver";

/// Asks a server, named as libpq takes it, with the password that the text, the environment or `~/.pgpass` has.
///
/// # Errors
/// Why it cannot be asked.
pub async fn discover(net: &Arc<Net>, text: &str, deadline: Instant) -> Result<Discovered, Gap> {
    let params =
        Params::parse(text).map_err(|e| Gap::new(Reason::NotConfigured, &format!("{}: {}", e.what, e.right)))?;
    let gathered = libpq::gather(&params, libpq::process_env).await?;
    let mut failed: Option<Gap> = None;
    for host in &gathered.target.hosts {
        let password = match (&gathered.target.password, &gathered.passfile) {
            (Some(password), _) => Some(password.clone()),
            (None, Some(path)) => libpq::passfile(path, host, &gathered.target).await.ok().flatten(),
            (None, None) => None,
        };
        let statement = Duration::from_secs(3);
        let how = How { net, target: &gathered.target, password: password.as_ref(), statement, deadline };
        let asked = async {
            let mut connection = client::open(how, host).await?;
            let told = connection.tell(QUESTION).await?;
            match &told.failed {
                Some(e) => Err(gap_of(e)),
                None => read(&host.shown(), &told.tables.concat()),
            }
        };
        match tokio::time::timeout_at(deadline, asked).await.unwrap_or_else(|_| Err(Reason::TimedOut.into())) {
            Ok(found) => return Ok(found),
            Err(gap) => failed = Some(client::more_telling(failed, gap)),
        }
    }
    Err(failed.unwrap_or_else(|| Reason::NotConfigured.into()))
}

fn read(server: &str, rows: &[Vec<Option<String>>]) -> Result<Discovered, Gap> {
    let cell = |row: &[Option<String>], n: usize| row.get(n).cloned().flatten().unwrap_or_default();
    let (head, rest) = rows.split_first().ok_or_else(|| Gap::new(Reason::Malformed, "no row came"))?;
    let writable = match cell(head, 2).as_str() {
        "false" => true,
        "true" => false,
        _ => return Err(Gap::new(Reason::Malformed, "it does not say whether it takes writes")),
    };
    let mut found = Discovered {
        server: server.to_owned(),
        version: SafeText::new(cell(head, 0).split(' ').next().unwrap_or_default()),
        database: cell(head, 1),
        writable,
        standbys: Vec::new(),
        upstream: None,
    };
    for row in rest {
        let (first, second) = (SafeText::new(&cell(row, 1)), cell(row, 2));
        match cell(row, 0).as_str() {
            "standby" if found.standbys.len() < MOST => found.standbys.push(StandbySeen {
                name: first,
                address: SafeText::new(&second),
                sync: SafeText::new(&cell(row, 3)),
            }),
            // A receiver of a role that may not see it has no host.
            "upstream" if !first.as_str().is_empty() => {
                found.upstream = second.parse().ok().map(|port| (first, port));
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The connection text without its password, as `key=value` pairs, and whether it had one.
///
/// # Errors
/// What is wrong with it.
pub fn without_password(text: &str) -> Result<(String, bool), String> {
    let params = Params::parse(text).map_err(|e| format!("{}: {}", e.what, e.right))?;
    Ok((params.to_pairs(false), params.password().is_some()))
}

/// The same connection to another host, password included: for asking only.
///
/// # Errors
/// What is wrong with it.
pub fn at_host(text: &str, host: &str, port: u16) -> Result<secrecy::SecretString, String> {
    let wrong = |e: super::conninfo::ConnInfoError| format!("{}: {}", e.what, e.right);
    let mut params = Params::parse(text).map_err(wrong)?;
    for (key, value) in [("host", host), ("hostaddr", ""), ("port", &port.to_string())] {
        params.set(key, value).map_err(wrong)?;
    }
    Ok(params.to_pairs(true).into())
}

/// The first port that a connection text names; 5432 where it names none.
#[must_use]
pub fn port(text: &str) -> u16 {
    let params = Params::parse(text).unwrap_or_default();
    params.get("port").and_then(|p| p.split(',').next()?.parse().ok()).unwrap_or(5432)
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    fn rows(rows: &[[&str; 4]]) -> Vec<Vec<Option<String>>> {
        rows.iter().map(|r| r.iter().map(|c| (*c != "-").then(|| (*c).to_owned())).collect()).collect()
    }

    #[test]
    fn a_primary_names_its_standbys_and_a_standby_its_primary() {
        let told = rows(&[["15.18 (Debian)", "orders", "false", "-"], ["standby", "dr1", "192.0.2.7", "async"]]);
        let found = read("db:5432", &told).unwrap();
        assert!(found.writable && found.upstream.is_none());
        assert_eq!((found.standbys[0].address.as_str(), found.version.as_str()), ("192.0.2.7", "15.18"));
        let told = rows(&[["15.18", "orders", "true", "-"], ["upstream", "db.east", "5433", "-"]]);
        assert_eq!(read("db:5432", &told).unwrap().upstream, Some(("db.east".into(), 5433)));
        let hidden = rows(&[["15.18", "orders", "true", "-"], ["upstream", "-", "-", "-"]]);
        assert_eq!(read("db:5432", &hidden).unwrap().upstream, None);
        assert!(read("db:5432", &rows(&[["15.18", "orders", "-", "-"]])).is_err());
        assert!(read("db:5432", &[]).is_err());
    }

    #[test]
    fn no_password_goes_where_it_should_not() {
        let url = "postgres://u:hunter2@a:5433/d?sslmode=require";
        let (pairs, had) = without_password(url).unwrap();
        assert!(had && !pairs.contains("hunter2") && pairs.contains("sslmode='require'"), "{pairs}");
        let there = at_host(url, "b", 6000).unwrap();
        assert!(there.expose_secret().contains("host='b'") && there.expose_secret().contains("hunter2"));
        assert_eq!((port(url), port("host=x")), (5433, 5432));
        assert!(without_password("mysql://x").is_err());
    }
}
