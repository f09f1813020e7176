//! The configuration of the practice world: three plans of different tiers, with runbooks that work, and nothing in it that
//! is not the world's own.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// Where everything is that the configuration names.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// The directory of the world, with its state, its secrets and its backups.
    pub dir: &'a Path,
    /// Everything that listens, by its name in the world.
    pub servers: &'a [(&'static str, SocketAddr)],
    /// What the record that moves traffic answers for the east and for the west, and the port of the endpoints there.
    pub traffic: (IpAddr, IpAddr, u16),
}

/// What is missing: a server that the configuration names and the world lacks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the practice world has no {0}")]
pub struct Missing(pub String);

/// Where the state is kept, in the directory of a world.
pub const STATE: &str = "state";
/// Where secrets are kept, a file each.
pub const SECRETS: &str = "secrets";
/// Where backups appear.
pub const BACKUPS: &str = "backups";
/// The configuration's file.
pub const FILE: &str = "lifeboat.toml";

impl Places<'_> {
    fn at(&self, name: &str) -> Result<SocketAddr, Missing> {
        let found = self.servers.iter().find(|(n, _)| *n == name);
        found.map(|(_, at)| *at).ok_or_else(|| Missing(name.to_owned()))
    }

    fn secret(&self, name: &str) -> String {
        format!("{{ file = {} }}", quoted(&self.dir.join(SECRETS).join(name).display().to_string()))
    }

    fn postgres(&self, server: &str, database: &str) -> Result<String, Missing> {
        Ok(format!("\"postgres://lifeboat@{}/{database}?sslmode=disable\"", self.at(server)?))
    }

    /// One value of each site, made of two names.
    fn pair(&self, east: &str, west: &str, form: impl Fn(SocketAddr) -> String) -> Result<String, Missing> {
        Ok(format!("{{ east = {}, west = {} }}", form(self.at(east)?), form(self.at(west)?)))
    }
}

/// A text as TOML takes it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// The whole configuration, as TOML.
///
/// # Errors
/// What the world lacks.
pub fn toml(places: &Places<'_>) -> Result<String, Missing> {
    let (east, west, port) = places.traffic;
    let traffic = [east, west].map(|ip| SocketAddr::new(ip, port));
    let own: BTreeSet<SocketAddr> = places.servers.iter().map(|(_, at)| *at).chain(traffic).collect();
    let own: Vec<String> = own.iter().map(|at| quoted(&at.to_string())).collect();
    let mut text = format!(
        "# The practice sites of `lifeboat demo`. Nothing in here is real, and all of it is gone when the demo ends.\n\
         here  = \"elsewhere\"\nstate = {}\n\n[practice]\nown = [{}]\n\n[defaults]\ninterval = \"3s\"\ntimeout  = \"3s\"\n",
        quoted(&places.dir.join(STATE).display().to_string()),
        own.join(", "),
    );
    // Writing into a string cannot fail.
    let _ = write!(text, "{}{}{}", payments(places)?, search(places)?, mail(places)?);
    Ok(text)
}

/// The record that moves traffic of a plan, with everything that serves it.
fn front_door(places: &Places<'_>, record: &str, endpoint: bool) -> Result<String, Missing> {
    let (east, west, port) = places.traffic;
    let mut text = format!(
        r#"
[[plan.probe]]
name      = "front-door"
kind      = "dns"
record    = "{record}"
answers   = {{ east = ["{east}"], west = ["{west}"] }}
resolvers = ["{}", "{}"]
servers   = ["{}"]
max_ttl   = "60s"
"#,
        places.at("resolver-1")?,
        places.at("resolver-2")?,
        places.at("dns")?,
    );
    if endpoint {
        let _ = write!(text, "\n[plan.probe.endpoint]\nport = {port}\ntls  = false\nhttp = \"/healthz\"\n");
    }
    Ok(text)
}

/// The images of a plan, in both sites' registries.
fn images(places: &Places<'_>, project: &str, images: &[&str]) -> Result<String, Missing> {
    let at = places.pair("registry-east", "registry-west", |at| quoted(&format!("http://{at}/{project}")))?;
    let images: Vec<String> = images.iter().map(|i| quoted(i)).collect();
    Ok(format!(
        "\n[[plan.probe]]\nname      = \"images\"\nkind      = \"images\"\nat        = {at}\nimages    = [{}]\nanonymous = true\n\
         interval  = \"5s\"\n",
        images.join(", ")
    ))
}

/// Dumps that appear in the west.
fn dumps(places: &Places<'_>, of: &str) -> String {
    let location = quoted(&places.dir.join(BACKUPS).join(of).display().to_string());
    format!(
        "\n[[plan.probe]]\nname     = \"nightly-dump\"\nkind     = \"backup-files\"\nsite     = \"west\"\nlocation = {location}\n\
         pattern  = \"{of}_{{%Y-%m-%dT%H%M}}.dump\"\nmax_age  = \"26h\"\nsettle   = \"1s\"\ninterval = \"5s\"\n"
    )
}

fn contact(role: &str, reach: &str, after: &str) -> String {
    format!("\n[[plan.contact]]\nrole  = \"{role}\"\nreach = \"{reach}\"\nafter = \"{after}\"\n")
}

/// Tier 1: a warm standby of its own, everything that it takes, and runbooks there, planned there, and home again.
fn payments(places: &Places<'_>) -> Result<String, Missing> {
    let mut text = format!(
        r#"
[[plan]]
name       = "payments"
tier       = 1
strategy   = "warm-standby"
objectives = {{ rpo = "30s", rto = "5m" }}
sites      = {{ east = "practice, the east", west = "practice, the west" }}
home       = "east"

[[plan.probe]]
name     = "orders-db"
kind     = "postgres"
at       = {{ east = {}, west = {} }}
password = {}
act_as   = {{ user = "lifeboat_act", password = {} }}

[[plan.probe]]
name     = "orders-are-sound"
kind     = "sql-check"
area     = "replication"
at       = {{ east = {}, west = {} }}
interval = "5s"
timeout  = "3s"
password = {}
query    = "SELECT count(*) FROM orders WHERE cents < 0"
expect   = 0
"#,
        places.postgres("orders-east-1", "orders")?,
        places.postgres("orders-west-1", "orders")?,
        places.secret("lifeboat"),
        places.secret("lifeboat_act"),
        places.postgres("orders-east-1", "orders")?,
        places.postgres("orders-west-1", "orders")?,
        places.secret("lifeboat"),
    );
    text.push_str(&dumps(places, "orders"));
    text.push_str(&images(places, "shop", &["api:1.42.0", "worker:1.42.0"])?);
    text.push_str(&front_door(places, "shop.practice.example", true)?);
    let at = places.pair("web-east", "web-west", |at| quoted(&format!("http://{at}/healthz")))?;
    let _ = write!(text, "\n[[plan.probe]]\nname = \"shop-runs\"\nkind = \"http\"\narea = \"standby\"\nat   = {at}\n");
    text.push_str(&contact("database on-call", "practice pager: orders-db", "0s"));
    text.push_str(&contact("incident commander", "you", "0s"));
    text.push_str(&contact("head of engineering", "practice phone: 555 0100", "15m"));
    text.push_str(
        "\n[[plan.loss]]\nwhat = \"carts that are not paid yet\"\nwhy  = \"kept in memory, in the active site only\"\n",
    );
    for runbook in ["failover", "switchover", "failback"] {
        text.push_str(&steps(places, runbook)?);
    }
    Ok(text)
}

/// The steps of a runbook of the payments: fence, promote, bring the old primary back where it can be, move traffic, look.
fn steps(places: &Places<'_>, runbook: &str) -> Result<String, Missing> {
    let app = places.secret("shop");
    let mut text = format!(
        r#"
[[plan.{runbook}]]
step      = "fence the old primary"
kind      = "postgres-fence"
probe     = "orders-db"
on        = "old-active"
app_roles = ["shop"]
app       = {{ user = "shop", password = {app} }}
expect    = "3s"
deadline  = "15s"

[[plan.{runbook}]]
step   = "promote the standby"
kind   = "postgres-promote"
probe  = "orders-db"
on     = "new-active"
expect = "5s"
"#
    );
    let _ = write!(
        text,
        r#"
[[plan.{runbook}]]
step   = "move traffic"
kind   = "dns-update"
probe  = "front-door"
via    = "rfc2136"
zone   = "practice.example"
server = "{}"
key    = {{ name = "failover", secret = {} }}
expect = "2s"

[[plan.{runbook}]]
step   = "resolvers follow"
kind   = "dns-moved"
probe  = "front-door"
expect = "20s"

[[plan.{runbook}]]
step   = "clients are back"
kind   = "clients-moved"
probe  = "orders-db"
on     = "new-active"
roles  = ["shop"]
expect = "5s"
"#,
        places.at("dns")?,
        places.secret("tsig"),
    );
    Ok(text)
}

/// Tier 2: two clusters that Patroni manages.
fn search(places: &Places<'_>) -> Result<String, Missing> {
    let api = |name: &str| Ok::<_, Missing>(quoted(&format!("http://{}", places.at(name)?)));
    let mut text = format!(
        r#"
[[plan]]
name       = "search"
tier       = 2
strategy   = "warm-standby"
objectives = {{ rpo = "5m", rto = "30m" }}
sites      = {{ east = "practice, the east", west = "practice, the west" }}
home       = "east"
requires   = ["replication", "standby", "dns"]

[[plan.probe]]
name = "catalog-clusters"
kind = "patroni"
at   = {{ east = [{}, {}], west = [{}, {}] }}

[[plan.probe]]
name     = "catalog-db"
kind     = "postgres"
at       = {{ east = {}, west = {} }}
password = {}
"#,
        api("patroni-catalog-east-1")?,
        api("patroni-catalog-east-2")?,
        api("patroni-catalog-west-1")?,
        api("patroni-catalog-west-2")?,
        places.postgres("catalog-east-1", "catalog")?,
        places.postgres("catalog-west-1", "catalog")?,
        places.secret("lifeboat"),
    );
    text.push_str(&front_door(places, "search.practice.example", false)?);
    text.push_str(&contact("search team", "practice chat: #search", "5m"));
    Ok(text)
}

/// Tier 3: backups, and a name that can be moved.
fn mail(places: &Places<'_>) -> Result<String, Missing> {
    let mut text = r#"
[[plan]]
name       = "mail"
tier       = 3
strategy   = "backup-restore"
objectives = { rpo = "26h", rto = "8h" }
sites      = { east = "practice, the east", west = "practice, the west" }
home       = "east"
"#
    .to_owned();
    text.push_str(&dumps(places, "mail"));
    text.push_str(&front_door(places, "mail.practice.example", false)?);
    text.push_str(&contact("mail team", "practice mail: postmaster", "1h"));
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 17] = [
        "orders-east-1",
        "orders-west-1",
        "catalog-east-1",
        "catalog-west-1",
        "patroni-catalog-east-1",
        "patroni-catalog-east-2",
        "patroni-catalog-west-1",
        "patroni-catalog-west-2",
        "registry-east",
        "registry-west",
        "resolver-1",
        "resolver-2",
        "dns",
        "web-east",
        "web-west",
        "orders-east-2",
        "catalog-east-2",
    ];

    #[test]
    fn it_names_its_own_world_and_nothing_else() {
        let ports = 40_001_u16..;
        let servers: Vec<_> = NAMES.into_iter().zip(ports.map(|p| SocketAddr::from(([127, 0, 0, 1], p)))).collect();
        let places = Places {
            dir: Path::new("/tmp/practice"),
            servers: &servers,
            traffic: (IpAddr::from([127, 0, 0, 2]), IpAddr::from([127, 0, 0, 3]), 8080),
        };
        let text = toml(&places).unwrap();
        let config = crate::config::parse("practice.toml", &text).unwrap_or_else(|p| panic!("{p}\n{text}"));
        assert!(config.practice && config.warnings.is_empty(), "{:?}", config.warnings);
        assert_eq!(config.plans.iter().map(|p| p.tier).collect::<Vec<_>>(), [1, 2, 3]);
        let books = &config.runbooks[&config.plans[0].id];
        assert_eq!(books.by_kind.len(), 3);
        // One server that is not its own, and the whole is refused.
        let other = text.replacen("own = [\"127.0.0.1:40001\", ", "own = [", 1);
        assert_ne!(other, text);
        assert!(crate::config::parse("practice.toml", &other).is_err());
    }

    #[test]
    fn what_the_world_lacks_is_named() {
        let places = Places {
            dir: Path::new("/tmp/practice"),
            servers: &[],
            traffic: (IpAddr::from([127, 0, 0, 2]), IpAddr::from([127, 0, 0, 3]), 8080),
        };
        assert_eq!(toml(&places), Err(Missing("orders-east-1".to_owned())));
    }
}
