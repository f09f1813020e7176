//! A service to fail over: a real PostgreSQL pair, a real zone with a resolver before it, applications that follow the name,
//! and a configuration with runbooks.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use lifeboat::runbook::RunbookKind;
use serde_json::Value;

use crate::dns::{Bind, SECRET, Unbound};
use crate::faults::proxy::{Mode, Proxy};
use crate::pg::{PgPair, Server, give, signal, until};
use crate::process::children;

use super::client::{App, Goes};
use super::console::Console;

const ZONE: &str = "dr.test";
const NAME: &str = "shop.dr.test";
const EAST: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 1);
const WEST: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 2);
/// A terminal of this many rows and columns.
pub const SMALL: (u16, u16) = (24, 80);
pub const LARGE: (u16, u16) = (40, 120);

/// How the old primary is fenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// It is stopped, and its control file says so.
    Stop,
    /// Its applications are turned away.
    Block,
    /// A command that reaches its host while the host can be reached.
    OnItsHost,
}

/// Both servers, the zone, and where everything of one test is kept.
pub struct Lab {
    /// The servers: east is the primary, west its standby.
    pub pair: PgPair,
    bind: Bind,
    resolver: Unbound,
    /// Between Lifeboat and east, and between west and east.
    pub roads: [Proxy; 2],
    /// Where Lifeboat finds east.
    pub east: SocketAddr,
    _runtime: tokio::runtime::Runtime,
    dir: tempfile::TempDir,
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A server's postmaster, first, and everything that it started.
fn tree(server: &Server) -> Vec<u32> {
    let postmaster = server.pid().expect("it runs");
    [vec![postmaster], children(postmaster)].concat()
}

/// Sends a signal to every process of a server, as when its host does something.
pub fn all_of(server: &Server, name: &str) {
    let tree = tree(server);
    for pid in &tree {
        signal(*pid, name);
    }
    let is = |pid: &u32, state: char| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with([state, 'Z']))
    };
    match name {
        "STOP" => until("all of it stands still", || tree.iter().all(|p| is(p, 'T'))),
        "KILL" => {
            until("all of it is dead", || tree.iter().all(|p| is(p, 'Z')));
            // Until it is reaped, `pg_ctl status` takes it for alive.
            let gone = || tree.iter().all(|p| !std::path::Path::new(&format!("/proc/{p}")).exists());
            until("all of it is reaped", gone);
        }
        _ => {}
    }
}

fn argv(words: &[&str]) -> String {
    let all: Vec<String> = words.iter().map(|w| format!("{w:?}")).collect();
    format!("[{}]", all.join(", "))
}

const AS_POSTGRES: [&str; 4] = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"];

impl Lab {
    /// Starts everything, with the runbooks that `books` writes.
    pub fn start(books: impl FnOnce(&Self) -> String) -> Self {
        Self::start_by(false, books)
    }

    /// The same, where Lifeboat reaches east by a road that can be cut.
    pub fn start_by_road(books: impl FnOnce(&Self) -> String) -> Self {
        Self::start_by(true, books)
    }

    fn start_by(road: bool, books: impl FnOnce(&Self) -> String) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let pair = PgPair::start();
        let east = &pair.primary;
        east.sql("CREATE ROLE failover LOGIN PASSWORD 'act' IN ROLE pg_monitor, pg_signal_backend, pg_read_server_files, pg_write_server_files");
        east.sql(
            "GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer), pg_read_file(text), pg_reload_conf() TO failover",
        );
        east.sql("CREATE ROLE shop LOGIN PASSWORD 'shop'; CREATE TABLE orders (n bigint PRIMARY KEY, at timestamptz DEFAULT clock_timestamp()); GRANT ALL ON orders TO shop");
        let by_road = road;
        let road = || runtime.block_on(Proxy::start(loopback(east.port)));
        let roads = [road(), road()];
        pair.standby.sql(&format!(
            "ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port={} user=postgres'",
            roads[1].addr.port()
        ));
        pair.standby.reload();
        pair.in_step();
        let bind = Bind::start_keyed(ZONE, &format!("shop 1 A {EAST}"), "hmac-sha256", "key failover", None);
        let resolver = Unbound::start(ZONE, bind.addr, "");
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("key"), SECRET).unwrap();
        let east = if by_road { roads[0].addr } else { loopback(pair.primary.port) };
        let lab = Self { pair, bind, resolver, roads, east, _runtime: runtime, dir };
        let books = books(&lab);
        std::fs::write(lab.file(), lab.plan() + &books).unwrap();
        lab
    }

    /// The configuration's file.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("lifeboat.toml")
    }

    fn plan(&self) -> String {
        let (state, east, west) = (self.dir.path().join("state"), self.east, self.pair.standby.port);
        format!(
            r#"
here  = "elsewhere"
state = "{}"
[defaults]
interval = "800ms"
timeout  = "800ms"
[[plan]]
name       = "shop"
tier       = 1
strategy   = "pilot-light"
objectives = {{ rpo = "30s", rto = "5m" }}
sites      = {{ east = "one", west = "other" }}
home       = "east"
requires   = ["replication", "dns"]
[[plan.probe]]
name     = "orders-db"
kind     = "postgres"
at       = {{ east = "postgres://lifeboat@{east}/postgres", west = "postgres://lifeboat@127.0.0.1:{west}/postgres" }}
password = {{ command = ["echo", "look"] }}
act_as   = {{ user = "failover", password = {{ command = ["echo", "act"] }} }}
[[plan.probe]]
name      = "front-door"
kind      = "dns"
record    = "{NAME}"
answers   = {{ east = ["{EAST}"], west = ["{WEST}"] }}
servers   = ["{}"]
resolvers = ["{}"]
max_ttl   = "60s"
[[plan.contact]]
role  = "database on-call"
reach = "pager: shop-db"
"#,
            state.display(),
            self.bind.addr,
            self.resolver.addr,
        )
    }

    /// One step of a runbook.
    pub fn step(kind: RunbookKind, name: &str, step: &str, rest: &str) -> String {
        format!("[[plan.{kind}]]\nstep = \"{name}\"\nkind = \"{step}\"\n{rest}\n")
    }

    /// The words of a step that fences this server.
    pub fn fence(&self, kind: RunbookKind, server: &Server, by: Fence) -> String {
        let (bin, data) = (server.bin.display().to_string(), server.data.display().to_string());
        let (ctl, control) = (format!("{bin}/pg_ctl"), format!("{bin}/pg_controldata"));
        let as_postgres = |words: &[&str]| argv(&[&AS_POSTGRES, words].concat());
        let how = match by {
            Fence::Stop => {
                let stop = as_postgres(&[&ctl, "-D", &data, "-w", "-m", "fast", "stop"]);
                format!("stop = {stop}\ncheck = {}", as_postgres(&[&control, &data]))
            }
            Fence::Block => {
                "app_roles = [\"shop\"]\napp = { user = \"shop\", password = { command = [\"echo\", \"shop\"] } }"
                    .to_owned()
            }
            Fence::OnItsHost => {
                let stop = as_postgres(&[&ctl, "-D", &data, "-w", "-m", "immediate", "stop"]);
                let status = as_postgres(&[&ctl, "-D", &data, "status"]);
                format!("stop = {}\ncheck = {}", self.on_host(&stop), self.on_host(&status))
            }
        };
        let rest = format!("probe = \"orders-db\"\non = \"old-active\"\n{how}\ndeadline = \"40s\"");
        Self::step(kind, "fence the old primary", "postgres-fence", &rest)
    }

    /// The same command by a way that is cut with the host: as ssh, it fails with 255 then.
    fn on_host(&self, words: &str) -> String {
        let dark = self.dark();
        let script = format!("test ! -e {} || exit 255; exec \"$@\"", dark.display());
        words.replacen('[', &format!("[\"sh\", \"-c\", {script:?}, \"on-its-host\", "), 1)
    }

    fn dark(&self) -> PathBuf {
        self.dir.path().join("dark")
    }

    /// The steps from the promotion to clients that are back.
    pub fn rest(&self, kind: RunbookKind) -> String {
        let dns = format!(
            "probe = \"front-door\"\nvia = \"rfc2136\"\nzone = \"{ZONE}\"\nserver = \"{}\"\n\
             key = {{ name = \"failover\", secret = {{ file = \"{}\" }} }}",
            self.bind.addr,
            self.dir.path().join("key").display()
        );
        [
            Self::step(
                kind,
                "promote the standby",
                "postgres-promote",
                "probe = \"orders-db\"\non = \"new-active\"\ndeadline = \"60s\"",
            ),
            Self::step(kind, "move traffic", "dns-update", &dns),
            Self::step(kind, "resolvers follow", "dns-moved", "probe = \"front-door\"\ngroup = \"clients\""),
            Self::step(
                kind,
                "clients are back",
                "clients-moved",
                "probe = \"orders-db\"\non = \"new-active\"\nroles = [\"shop\"]\nsessions = 1\ndeadline = \"40s\"\n\
                 group = \"clients\"",
            ),
        ]
        .concat()
    }

    /// A whole runbook of this kind, from east to west.
    pub fn book(&self, kind: RunbookKind, by: Fence) -> String {
        self.fence(kind, &self.pair.primary, by) + &self.rest(kind)
    }

    /// Lifeboat's board on a terminal of this size, once it knows how the plan is.
    pub fn board(&self, size: (u16, u16)) -> Console {
        let console = self.console(size, &[]);
        console.until("the board", |t| t.contains("shop") && !t.contains("looking"));
        console
    }

    /// Lifeboat with these arguments on a terminal of this size.
    pub fn console(&self, size: (u16, u16), arguments: &[&str]) -> Console {
        Console::start(&self.file(), size, arguments)
    }

    /// A board that has found the plan ready.
    pub fn ready_board(&self, size: (u16, u16)) -> Console {
        let console = self.board(size);
        console.until("that the plan is ready", |t| t.contains("● 1 ready") || t.contains("● ready"));
        console
    }

    /// An application that follows the name.
    pub fn app(&self) -> App {
        let ports = vec![(EAST, self.pair.primary.port), (WEST, self.pair.standby.port)];
        App::start(Goes::ByName { resolver: self.resolver.addr, name: NAME, ports }, 1)
    }

    /// Cuts off east, or not: from Lifeboat, from its standby, and from whoever would stop it.
    pub fn cut_off(&self, dark: bool) {
        if dark {
            std::fs::write(self.dark(), "").unwrap();
        } else {
            std::fs::remove_file(self.dark()).unwrap();
        }
        self.roads.iter().for_each(|road| road.set(if dark { Mode::Swallow } else { Mode::Pass }));
    }

    /// What `lifeboat` prints with these arguments, and its exit code.
    pub fn lifeboat(&self, arguments: &[&str]) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
        command.arg("--config").arg(self.file()).args(arguments).env("HOME", self.dir.path());
        let out = command.output().unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        (out.status.code().unwrap_or(-1), text)
    }

    /// The runs, newest first.
    pub fn runs(&self) -> Vec<Value> {
        let (code, text) = self.lifeboat(&["runs", "--format", "json"]);
        assert_eq!(code, 0, "{text}");
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
    }

    /// The newest run's journal as `runs export` gives it; that it can be proven is proven.
    pub fn export(&self) -> Value {
        let runs = self.runs();
        let newest = runs.iter().max_by_key(|r| r["opened"].as_str().map(str::to_owned)).expect("a run");
        let run = newest["run"].as_str().unwrap();
        let (code, text) = self.lifeboat(&["runs", "verify", run]);
        assert_eq!(code, 0, "{text}");
        let (code, text) = self.lifeboat(&["runs", "export", run, "--format", "json"]);
        assert_eq!(code, 0, "{text}");
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
    }

    /// A script that the servers' user runs; gives the words of a command that runs it.
    pub fn script(&self, name: &str, body: &str) -> String {
        let server = &self.pair.primary;
        let path = server.dir.join(name);
        let text = format!(
            "#!/bin/sh\nset -e\nexec >>{0}/{name}.log 2>&1\nPATH={1}:$PATH\n{body}",
            server.dir.display(),
            server.bin.display()
        );
        std::fs::write(&path, text).unwrap();
        give(&path, 0o755);
        let path: &Path = &path;
        argv(&[&AS_POSTGRES[..], &[path.to_str().unwrap()]].concat())
    }
}

/// The numbers that a server has.
pub fn numbers(server: &Server) -> std::collections::BTreeSet<i64> {
    server.sql("SELECT n FROM orders").lines().map(|n| n.parse().unwrap()).collect()
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Whatever a test left running for these runs ends with it.
        for pid in crate::process::with_argument(&self.dir.path().join("state").display().to_string()) {
            signal(pid, "KILL");
        }
    }
}
