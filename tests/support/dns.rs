//! Real DNS servers in temporary directories: BIND as authority, unbound as resolver. Each is killed when it is dropped.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to start, or a condition to become true.
pub const LIMIT: Duration = Duration::from_secs(20);

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
        .args(["+short", "+tries=1", "+time=1"])
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
    /// Where it answers.
    pub addr: SocketAddr,
}

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

    /// Starts one at an address. The NS records, and the addresses that they lead to, are among the `records`.
    pub fn start_at(addr: SocketAddr, zone: &str, serial: u32, records: &str, allow: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().display().to_string();
        let (ip, port) = (addr.ip(), addr.port());
        let text = format!("$TTL 60\n@ SOA ns1.{zone}. admin.{zone}. {serial} 60 60 600 5\n{records}\n");
        std::fs::write(dir.path().join("zone.db"), text).expect("a zone file");
        let config = format!(
            "options {{ directory \"{path}\"; pid-file \"{path}/pid\"; session-keyfile \"{path}/session.key\"; \
             lock-file none; listen-on port {port} {{ {ip}; }}; listen-on-v6 {{ none; }}; recursion no; \
             allow-query {{ {allow}; }}; notify no; dnssec-validation no; minimal-responses yes; }};\n\
             controls {{ }};\n\
             zone \"{zone}\" {{ type primary; file \"{path}/zone.db\"; allow-update {{ 127.0.0.0/8; }}; }};\n"
        );
        let file = dir.path().join("named.conf");
        std::fs::write(&file, config).expect("a configuration");
        let mut command = Command::new("named");
        command.arg("-c").arg(&file).args(["-f", "-n", "1"]);
        let server = Server::start(command, &dir.path().join("log"));
        let mut bind = Self { server, dir, zone: zone.to_owned(), addr };
        if allow == "any" {
            bind.server.answers(bind.addr, zone);
        } else {
            until("it listens", || std::net::TcpStream::connect(addr).is_ok());
        }
        bind
    }

    /// Applies one dynamic update: `update add ...` and `update delete ...` lines.
    pub fn update(&self, lines: &str) {
        let script = format!("server {} {}\nzone {}\n{lines}\nsend\n", self.addr.ip(), self.addr.port(), self.zone);
        let file = self.dir.path().join("update");
        std::fs::write(&file, script).expect("a script");
        let output = Command::new("nsupdate").arg(&file).output().expect("nsupdate");
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
