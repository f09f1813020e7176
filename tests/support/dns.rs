//! Real DNS servers in temporary directories: BIND as authority, unbound as resolver. Each is killed when it is dropped.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to start, or a condition to become true.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Waits until a condition holds.
///
/// # Panics
/// Where it does not within [`LIMIT`].
#[expect(clippy::disallowed_methods, reason = "this is where waiting for a condition, with a limit, is done")]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A port of 127.0.0.1 that is free for UDP and TCP.
pub fn free_port() -> u16 {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = tcp.local_addr().expect("an address").port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A server process, killed when dropped.
struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    fn start(mut command: Command, log: &Path) -> Self {
        let output = std::fs::File::create(log).expect("a log file");
        let errors = output.try_clone().expect("a second handle");
        let child = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn();
        Self { child: child.unwrap_or_else(|e| panic!("{command:?} does not start: {e}")), log: log.to_owned() }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().expect("kill").success());
    }

    fn answers(&mut self, addr: SocketAddr, name: &str) {
        let log = self.log.clone();
        let child = &mut self.child;
        until(&format!("{addr} answers {name}"), || {
            if let Ok(Some(status)) = child.try_wait() {
                panic!("it ended with {status}: {}", std::fs::read_to_string(&log).unwrap_or_default());
            }
            !dig(addr, name, "SOA").is_empty()
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A stopped process dies of SIGKILL all the same.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `dig +short` says; empty where nothing answers.
pub fn dig(server: SocketAddr, name: &str, kind: &str) -> String {
    let output = Command::new("dig")
        .args([&format!("@{}", server.ip()), "-p", &server.port().to_string(), name, kind])
        .args(["+short", "+tries=3", "+time=2"])
        .output()
        .expect("dig");
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && !text.starts_with(";;") { text } else { String::new() }
}

/// An authoritative BIND with one zone.
pub struct Bind {
    server: Server,
    dir: tempfile::TempDir,
    zone: String,
    /// The key that its updates are signed with, as `nsupdate -y` takes it.
    key: Option<String>,
    /// Where it answers.
    pub addr: SocketAddr,
}

/// The secret of the key `failover` of a keyed server, in base64.
pub const SECRET: &str = "bGlmZWJvYXRzIGZsb2F0IGZvciBhIHdoaWxlISEhISE=";

impl Bind {
    /// Starts one for `zone` with these records (lines of a zone file, without SOA and NS) and this serial. It takes dynamic
    /// updates from 127.0.0.0/8.
    pub fn start(zone: &str, serial: u32, records: &str) -> Self {
        Self::start_with(zone, serial, records, "any")
    }

    /// Starts one that answers only whom `allow` names: with `none` it answers REFUSED.
    pub fn start_with(zone: &str, serial: u32, records: &str, allow: &str) -> Self {
        let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let names = format!("@ NS ns1.{zone}.\n@ NS ns2.{zone}.\nns1 A 127.0.0.1\nns2 A 127.0.0.1\n");
        Self::start_at(addr, zone, serial, &(names + records), allow)
    }

    /// Starts one whose zone was signed, by signatures that end then (in the words of `dnssec-signzone -e`).
    pub fn start_signed(zone: &str, records: &str, end: &str) -> Self {
        let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let names = format!("@ NS ns1.{zone}.\nns1 A 127.0.0.1\n");
        Self::start_in(tempfile::tempdir().expect("a directory"), addr, zone, 1, &(names + records), "any", Some(end))
    }

    /// Signs the zone file of a directory in place.
    fn sign(dir: &Path, zone: &str, end: &str) {
        let run = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).current_dir(dir).args(arguments).output();
            let output = output.unwrap_or_else(|e| panic!("{program}: {e}"));
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        run("dnssec-keygen", &["-a", "ECDSAP256SHA256", "-f", "KSK", zone]);
        run("dnssec-keygen", &["-a", "ECDSAP256SHA256", zone]);
        run("dnssec-signzone", &["-P", "-S", "-o", zone, "-s", "now-30d", "-e", end, "-f", "signed.db", "zone.db"]);
        std::fs::rename(dir.join("signed.db"), dir.join("zone.db")).expect("the signed zone");
    }

    /// Starts one at an address. The NS records, and the addresses that they lead to, are among the `records`.
    pub fn start_at(addr: SocketAddr, zone: &str, serial: u32, records: &str, allow: &str) -> Self {
        Self::start_in(tempfile::tempdir().expect("a directory"), addr, zone, serial, records, allow, None)
    }

    fn start_in(
        dir: tempfile::TempDir,
        addr: SocketAddr,
        zone: &str,
        serial: u32,
        records: &str,
        allow: &str,
        signed_to: Option<&str>,
    ) -> Self {
        let path = dir.path().display().to_string();
        let (ip, port) = (addr.ip(), addr.port());
        let text = format!("$TTL 60\n@ SOA ns1.{zone}. admin.{zone}. {serial} 60 60 600 5\n{records}\n");
        std::fs::write(dir.path().join("zone.db"), text).expect("a zone file");
        // A zone that takes updates is signed anew by the server itself.
        let updates = if signed_to.is_some() { "" } else { "allow-update { 127.0.0.0/8; };" };
        if let Some(end) = signed_to {
            Self::sign(dir.path(), zone, end);
        }
        let config = format!(
            "options {{ directory \"{path}\"; pid-file \"{path}/pid\"; session-keyfile \"{path}/session.key\"; \
             lock-file none; listen-on port {port} {{ {ip}; }}; listen-on-v6 {{ none; }}; recursion no; \
             allow-query {{ {allow}; }}; notify no; dnssec-validation no; minimal-responses yes; }};\n\
             controls {{ }};\n\
             zone \"{zone}\" {{ type primary; file \"{path}/zone.db\"; {updates} }};\n"
        );
        let file = dir.path().join("named.conf");
        std::fs::write(&file, config).expect("a configuration");
        let mut command = Command::new("named");
        command.arg("-c").arg(&file).args(["-f", "-n", "1"]);
        let server = Server::start(command, &dir.path().join("log"));
        let mut bind = Self { server, dir, zone: zone.to_owned(), key: None, addr };
        if allow == "any" {
            bind.server.answers(bind.addr, zone);
        } else {
            until("it listens", || std::net::TcpStream::connect(addr).is_ok());
        }
        bind
    }

    /// Starts a primary that takes updates signed with the key `failover` alone (of `algorithm`), or from nobody where
    /// `allow` is `none`, and tells a secondary of each change.
    pub fn start_keyed(zone: &str, records: &str, algorithm: &str, allow: &str, secondary: Option<SocketAddr>) -> Self {
        let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let dir = tempfile::tempdir().expect("a directory");
        let names = format!("@ NS ns1.{zone}.\n@ NS ns2.{zone}.\nns1 A 127.0.0.1\nns2 A 127.0.0.1\n");
        let text = format!("$TTL 60\n@ SOA ns1.{zone}. admin.{zone}. 1 60 60 600 5\n{names}{records}\n");
        std::fs::write(dir.path().join("zone.db"), text).expect("a zone file");
        let notify = secondary.map_or_else(
            || "notify no;".to_owned(),
            |s| format!("notify explicit; notify-delay 0; also-notify {{ {} port {}; }};", s.ip(), s.port()),
        );
        let path = dir.path().display().to_string();
        let key = format!("key \"failover\" {{ algorithm {algorithm}; secret \"{SECRET}\"; }};\n");
        let zone_of = format!("type primary; file \"{path}/zone.db\"; allow-update {{ {allow}; }}; {notify}");
        let mut bind = Self::start_zone(dir, addr, zone, &key, &zone_of);
        bind.key = Some(format!("{algorithm}:failover:{SECRET}"));
        bind
    }

    /// Starts a secondary at an address that copies the zone from a primary.
    pub fn start_secondary(zone: &str, addr: SocketAddr, primary: SocketAddr) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let (ip, port) = (primary.ip(), primary.port());
        let zone_of =
            format!("type secondary; primaries {{ {ip} port {port}; }}; file \"{}/copy.db\"", dir.path().display());
        Self::start_zone(dir, addr, zone, "", &format!("{zone_of}; notify no"))
    }

    fn start_zone(dir: tempfile::TempDir, addr: SocketAddr, zone: &str, more: &str, zone_of: &str) -> Self {
        let path = dir.path().display().to_string();
        let (ip, port) = (addr.ip(), addr.port());
        let zone_of = zone_of.trim_end_matches(';');
        let config = format!(
            "{more}options {{ directory \"{path}\"; pid-file \"{path}/pid\"; session-keyfile \"{path}/session.key\"; \
             lock-file none; listen-on port {port} {{ {ip}; }}; listen-on-v6 {{ none; }}; recursion no; \
             dnssec-validation no; minimal-responses yes; }};\ncontrols {{ }};\nzone \"{zone}\" {{ {zone_of}; }};\n"
        );
        let file = dir.path().join("named.conf");
        std::fs::write(&file, config).expect("a configuration");
        let mut command = Command::new("named");
        command.arg("-c").arg(&file).args(["-f", "-n", "1"]);
        let server = Server::start(command, &dir.path().join("log"));
        let mut bind = Self { server, dir, zone: zone.to_owned(), key: None, addr };
        bind.server.answers(addr, zone);
        bind
    }

    /// Applies one dynamic update: `update add ...` and `update delete ...` lines.
    pub fn update(&self, lines: &str) {
        let script = format!("server {} {}\nzone {}\n{lines}\nsend\n", self.addr.ip(), self.addr.port(), self.zone);
        let file = self.dir.path().join("update");
        std::fs::write(&file, script).expect("a script");
        let mut command = Command::new("nsupdate");
        if let Some(key) = &self.key {
            command.args(["-y", key]);
        }
        let output = command.arg(&file).output().expect("nsupdate");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Stops the process, so that the kernel takes datagrams and nobody reads them.
    pub fn hang(&self) {
        self.server.signal("-STOP");
        let tasks = format!("/proc/{}/task", self.server.child.id());
        let stopped = |task: std::fs::DirEntry| {
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
        };
        // Every thread stops at its own next interrupt.
        until("it stops", || std::fs::read_dir(&tasks).expect("its tasks").flatten().all(stopped));
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.server.signal("-CONT");
    }
}

/// A resolver that asks one server for one zone.
pub struct Unbound {
    server: Server,
    _dir: tempfile::TempDir,
    /// Where it answers.
    pub addr: SocketAddr,
}

impl Unbound {
    /// Starts one for `zone` at `authority`; `extra` are lines of its `server:` section.
    pub fn start(zone: &str, authority: SocketAddr, extra: &str) -> Self {
        let mut unbound = Self::start_blind(zone, authority, extra);
        unbound.server.answers(unbound.addr, zone);
        unbound
    }

    /// As [`Unbound::start`], where the authority does not answer: waits until it listens only.
    pub fn start_blind(zone: &str, authority: SocketAddr, extra: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().display();
        let port = free_port();
        let config = format!(
            "server:\n interface: 127.0.0.1\n port: {port}\n username: \"\"\n chroot: \"\"\n directory: \"{path}\"\n \
             pidfile: \"{path}/pid\"\n use-syslog: no\n do-not-query-localhost: no\n do-ip6: no\n num-threads: 1\n \
             module-config: \"iterator\"\n local-zone: \"test.\" nodefault\n access-control: 127.0.0.0/8 allow\n{extra}\n\
             remote-control:\n control-enable: no\n\
             stub-zone:\n name: \"{zone}\"\n stub-addr: {}@{}\n",
            authority.ip(),
            authority.port()
        );
        let file = dir.path().join("unbound.conf");
        std::fs::write(&file, config).expect("a configuration");
        let mut command = Command::new("unbound");
        command.arg("-d").arg("-c").arg(&file);
        let server = Server::start(command, &dir.path().join("log"));
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        until("it listens", || std::net::TcpStream::connect(addr).is_ok());
        Self { server, _dir: dir, addr }
    }
}

/// A PowerDNS authoritative server with one zone in SQLite, and its API.
pub struct PowerDns {
    _server: Server,
    dir: tempfile::TempDir,
    /// Where it answers.
    pub addr: SocketAddr,
    /// Where its API is.
    pub api: String,
}

impl PowerDns {
    /// The API's key.
    pub const KEY: &str = "open sesame";

    /// Starts one for `zone` with these records: name, type, time to live, data.
    pub fn start(zone: &str, records: &[[&str; 4]]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().display();
        let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let web = free_port();
        let config = format!(
            "launch=gsqlite3\ngsqlite3-database={path}/p.db\nlocal-address=127.0.0.1\nlocal-port={}\nwebserver=yes\n\
             webserver-address=127.0.0.1\nwebserver-port={web}\nwebserver-allow-from=127.0.0.0/8\napi=yes\n\
             api-key={}\nsocket-dir={path}\ndaemon=no\nguardian=no\ndisable-syslog=yes\nwrite-pid=no\n\
             zone-cache-refresh-interval=0\n",
            addr.port(),
            Self::KEY
        );
        std::fs::write(dir.path().join("pdns.conf"), config).expect("a configuration");
        let schema = std::fs::File::open("/usr/share/doc/pdns-backend-sqlite3/schema.sqlite3.sql").expect("its schema");
        let made = Command::new("sqlite3").arg(dir.path().join("p.db")).stdin(schema).status().expect("sqlite3");
        assert!(made.success());
        let util = |arguments: &[&str]| Self::util(dir.path(), arguments);
        util(&["create-zone", zone, &format!("ns1.{zone}")]);
        for [name, kind, ttl, data] in records {
            util(&["add-record", zone, name, kind, ttl, data]);
        }
        let mut command = Command::new("pdns_server");
        command.arg(format!("--config-dir={path}"));
        let mut server = Server::start(command, &dir.path().join("log"));
        server.answers(addr, zone);
        until("its API listens", || std::net::TcpStream::connect(("127.0.0.1", web)).is_ok());
        Self { _server: server, dir, addr, api: format!("http://127.0.0.1:{web}") }
    }

    fn util(dir: &Path, arguments: &[&str]) {
        let output = Command::new("pdnsutil").arg(format!("--config-dir={}", dir.display())).args(arguments).output();
        let output = output.expect("pdnsutil");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Changes it behind the API's back.
    pub fn change(&self, arguments: &[&str]) {
        Self::util(self.dir.path(), arguments);
    }
}
