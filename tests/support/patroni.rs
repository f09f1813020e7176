//! Real Patroni clusters for tests: an active one and a standby cluster, each with an etcd of its own, two members each,
//! on random ports of 127.0.0.1 and below a directory of their own. A missing program fails the test. Dropping them ends
//! every process.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};

use crate::pg::{free_port, give, program, run, signal, until};

/// Which Patroni.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Debian's.
    Packaged,
    /// The one that `tests/all.sh` puts below `target/patroni`.
    Newest,
}

/// What stands in the dynamic configuration in the place of a secret, and must never be kept.
pub const SECRET: &str = "hunter2-of-patroni";

/// The user of the REST API that may change something; [`SECRET`] is the password.
pub const USER: &str = "admin";

/// A program that is killed when this is dropped.
#[derive(Debug)]
struct Process(Child);

impl Process {
    fn start(c: &mut Command, log: &Path) -> Self {
        let out = fs::File::create(log).unwrap();
        let err = out.try_clone().unwrap();
        Self(c.stdin(Stdio::null()).stdout(out).stderr(err).spawn().unwrap_or_else(|e| panic!("{c:?}: {e}")))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One member: Patroni with its PostgreSQL.
#[derive(Debug)]
pub struct Member {
    /// Its name in Patroni.
    pub name: &'static str,
    /// The port of its REST API.
    pub rest: u16,
    /// The port of its PostgreSQL.
    pub pg: u16,
    dir: PathBuf,
    version: Version,
    libraries: PathBuf,
    process: Mutex<Option<Process>>,
}

/// Both sites.
#[derive(Debug)]
pub struct Lab {
    /// The members of the active cluster; the first one leads it at first.
    pub east: [Member; 2],
    /// The members of the standby cluster; the first one leads it at first.
    pub west: [Member; 2],
    /// The DCS of the standby cluster.
    pub dcs_west: u32,
    // Last, so that everything is stopped before its files go.
    _dcs: [Process; 2],
    _dir: tempfile::TempDir,
}

fn as_postgres(name: &str) -> Command {
    let mut c = Command::new("setpriv");
    c.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]).arg(name).env("LC_ALL", "C").current_dir("/");
    c
}

fn etcd(dir: &Path, name: &str) -> (Process, u16) {
    let (client, peer) = (free_port(), free_port());
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let mut c = Command::new("etcd");
    c.args(["--name", name, "--data-dir"]).arg(dir.join(name));
    for (flag, port) in [
        ("--listen-client-urls", client),
        ("--advertise-client-urls", client),
        ("--listen-peer-urls", peer),
        ("--initial-advertise-peer-urls", peer),
    ] {
        c.args([flag, &url(port)]);
    }
    c.args(["--initial-cluster", &format!("{name}={}", url(peer)), "--unsafe-no-fsync"]);
    let process = Process::start(&mut c, &dir.join(format!("{name}.log")));
    until("etcd answers", || http(client, "GET", "/health", None).is_some_and(|(status, _)| status == 200));
    (process, client)
}

/// One request over HTTP/1.0 to a port of 127.0.0.1, as the user who may change something; status and body, where there is
/// an answer within five seconds.
pub fn http(port: u16, method: &str, path: &str, body: Option<&Value>) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let user = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{SECRET}"));
    let head = format!(
        "{method} {path} HTTP/1.0\r\nContent-Type: application/json\r\nAuthorization: Basic {user}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

impl Member {
    fn config(&self, scope: &str, etcd: u16, standby_of: Option<u16>) {
        let mut dcs = json!({
            "ttl": 20, "loop_wait": 1, "retry_timeout": 3, "maximum_lag_on_failover": 1_048_576,
            "postgresql": {
                "use_pg_rewind": true, "use_slots": true,
                "parameters": { "max_connections": 40, "wal_keep_size": "256MB", "fsync": "off", "wal_log_hints": "on" },
            },
            "password": SECRET,
        });
        if let Some(port) = standby_of {
            dcs["standby_cluster"] =
                json!({ "host": "127.0.0.1", "port": port, "create_replica_methods": ["basebackup"] });
        }
        let hba = ["local all all trust", "host all all 127.0.0.0/8 trust", "host replication all 127.0.0.0/8 trust"];
        let programs = self.dir.parent().unwrap().join("programs");
        let config = json!({
            "scope": scope, "name": self.name,
            "restapi": {
                "listen": format!("127.0.0.1:{}", self.rest), "connect_address": format!("127.0.0.1:{}", self.rest),
                "authentication": { "username": USER, "password": SECRET },
            },
            "etcd3": { "host": format!("127.0.0.1:{etcd}") },
            "bootstrap": { "dcs": dcs, "initdb": [{ "encoding": "UTF8" }, { "auth": "trust" }, "no-sync"] },
            "postgresql": {
                "listen": format!("127.0.0.1:{}", self.pg), "connect_address": format!("127.0.0.1:{}", self.pg),
                "data_dir": self.dir.join("data"), "bin_dir": programs,
                "pgpass": self.dir.join("pgpass"), "pg_hba": hba,
                // A spread checkpoint sleeps at each buffer that initdb left dirty: a replica would wait half a minute.
                "basebackup": [{ "checkpoint": "fast" }],
                "authentication": {
                    "superuser": { "username": "postgres", "password": SECRET },
                    "replication": { "username": "postgres", "password": SECRET },
                },
                "parameters": { "unix_socket_directories": self.dir },
            },
            "watchdog": { "mode": "off" },
        });
        let path = self.dir.join("patroni.yml");
        // JSON is YAML.
        fs::write(&path, config.to_string()).unwrap();
        give(&path, 0o600);
    }

    /// Starts its Patroni, which starts its PostgreSQL.
    pub fn start(&self) {
        let config = self.dir.join("patroni.yml");
        let mut c = match self.version {
            Version::Packaged => as_postgres("/usr/bin/patroni"),
            Version::Newest => {
                let mut c = as_postgres("/usr/bin/python3");
                c.args(["-m", "patroni"]).env("PYTHONPATH", &self.libraries);
                c
            }
        };
        let process = Process::start(c.arg(config), &self.dir.join("patroni.log"));
        *self.process.lock().unwrap() = Some(process);
    }

    /// What its REST API answers to this path, as JSON.
    pub fn get(&self, path: &str) -> Option<Value> {
        serde_json::from_str(&http(self.rest, "GET", path, None)?.1).ok()
    }

    /// Changes the dynamic configuration of its cluster.
    pub fn patch(&self, change: Value) {
        let answer = http(self.rest, "PATCH", "/config", Some(&change));
        assert_eq!(answer.as_ref().map(|a| a.0), Some(200), "{}: {change}: {answer:?}", self.name);
    }

    /// Sends a signal to Patroni alone.
    pub fn signal(&self, name: &str) {
        signal(self.process.lock().unwrap().as_ref().expect("it was started").0.id(), name);
    }

    fn postmaster(&self) -> Option<u32> {
        fs::read_to_string(self.dir.join("data/postmaster.pid")).ok()?.lines().next()?.trim().parse().ok()
    }

    /// Kills Patroni at once, and its PostgreSQL with it.
    pub fn kill(&self) {
        drop(self.process.lock().unwrap().take());
        if let Some(pid) = self.postmaster() {
            signal(pid, "CONT");
            signal(pid, "QUIT");
            let gone = || fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| !s.contains(") Z "));
            until("PostgreSQL is gone", || !gone());
        }
    }

    /// Runs SQL as the superuser.
    pub fn sql(&self, sql: &str) -> String {
        run(program("psql")
            .args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", "postgres"])
            .args(["-h", "127.0.0.1", "-p", &self.pg.to_string(), "-c", sql]))
    }

    /// Whether its PostgreSQL takes writes.
    pub fn writes(&self) -> bool {
        self.sql("SELECT pg_is_in_recovery()") == "f"
    }

    fn until_role(&self, role: &str) {
        let is = |v: &Value| v["role"] == role && v["state"] == "running" && v["xlog"].is_object();
        until(&format!("{} is {role}", self.name), || self.get("/patroni").as_ref().is_some_and(is));
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Lab {
    /// Starts both clusters and waits until the standby cluster follows.
    pub fn start(version: Version) -> Self {
        let dir = tempfile::Builder::new().prefix("lifeboat-patroni-").tempdir_in("/tmp").unwrap();
        give(dir.path(), 0o755);
        let libraries = dir.path().join("libraries");
        if version == Version::Newest {
            let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/patroni/4.1.5");
            assert!(package.join("complete").exists(), "{} is missing: tests/all.sh installs it", package.display());
            // The servers' user may not reach the working copy.
            run(Command::new("cp").arg("-a").arg(&package).arg(&libraries));
        }
        let member = |name: &'static str| {
            let member = Member {
                name,
                rest: free_port(),
                pg: free_port(),
                dir: dir.path().join(name),
                version,
                libraries: libraries.clone(),
                process: Mutex::new(None),
            };
            fs::create_dir(&member.dir).unwrap();
            give(&member.dir, 0o755);
            member
        };
        let bin = program("initdb").get_args().last().unwrap().to_owned();
        std::os::unix::fs::symlink(Path::new(&bin).parent().unwrap(), dir.path().join("programs")).unwrap();
        let (process_east, east_etcd) = etcd(dir.path(), "etcd-east");
        let (process_west, west_etcd) = etcd(dir.path(), "etcd-west");
        let lab = Self {
            east: [member("n1"), member("n2")],
            west: [member("n4"), member("n5")],
            dcs_west: process_west.0.id(),
            _dcs: [process_east, process_west],
            _dir: dir,
        };
        let [n1, n2] = &lab.east;
        let [n4, n5] = &lab.west;
        for m in [n1, n2] {
            m.config("prod", east_etcd, None);
        }
        for m in [n4, n5] {
            m.config("dr", west_etcd, Some(n1.pg));
        }
        let old = version == Version::Packaged;
        n1.start();
        n1.until_role(if old { "master" } else { "primary" });
        n2.start();
        n4.start();
        n4.until_role("standby_leader");
        n5.start();
        n2.until_role("replica");
        n5.until_role("replica");
        // A slot that nobody uses yet is a finding.
        for (leader, most) in [(n1, 2), (n4, 1)] {
            let streams = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
            until(&format!("{} is streamed from", leader.name), || leader.sql(streams) == most.to_string());
        }
        lab
    }

    /// The plan that watches both: every second, two at most for a look.
    pub fn configuration(&self) -> String {
        let urls = |m: &[Member; 2]| format!("\"http://127.0.0.1:{}\", \"http://127.0.0.1:{}\"", m[0].rest, m[1].rest);
        format!(
            "[[plan]]\nname = \"lab\"\ntier = 1\nstrategy = \"warm-standby\"\nobjectives = {{ rpo = \"30s\", rto = \"5m\" }}\n\
             sites = {{ east = \"home\", west = \"away\" }}\nhome = \"east\"\nrequires = [\"standby\"]\n\
             [[plan.probe]]\nname = \"clusters\"\nkind = \"patroni\"\ninterval = \"1s\"\ntimeout = \"2s\"\n\
             at = {{ east = [{}], west = [{}] }}\n",
            urls(&self.east),
            urls(&self.west)
        )
    }
}
