//! An SSH server for tests, on a random port of 127.0.0.1, with keys of its own. A missing sshd fails the test. Dropping it
//! ends it and its sessions.

use std::fs;
use std::process::{Child, Command, Output, Stdio};

use crate::pg::{free_port, run, signal, until};
use crate::process::children;

/// An SSH server of our own on loopback.
#[derive(Debug)]
pub struct Sshd {
    dir: tempfile::TempDir,
    port: u16,
    child: Child,
}

impl Sshd {
    /// Starts one and waits until it listens.
    pub fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("lifeboat-ssh-").tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for key in ["host", "user", "stranger"] {
            run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(at(key)));
        }
        let port = free_port();
        let own = dir.path().display();
        // What is known of it, of another in its place, and nothing.
        let public = |key: &str| fs::read_to_string(at(key).with_extension("pub")).unwrap();
        fs::write(at("known_hosts"), format!("[127.0.0.1]:{port} {}", public("host"))).unwrap();
        fs::write(at("known_other"), format!("[127.0.0.1]:{port} {}", public("stranger"))).unwrap();
        fs::write(at("known_nobody"), "").unwrap();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {own}/host\nAuthorizedKeysFile {own}/user.pub\n\
             StrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\nPidFile none\nPrintMotd no\nPrintLastLog no\n"
        );
        fs::write(at("sshd_config"), config).unwrap();
        // Where sshd of Debian confines the part that is not yet let in.
        fs::create_dir_all("/run/sshd").unwrap();
        let log = fs::File::create(at("log")).unwrap();
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(at("sshd_config"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        until("sshd listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { dir, port, child }
    }

    /// The client's arguments up to the host.
    pub fn arguments(&self) -> Vec<String> {
        let own = self.dir.path().display().to_string();
        let options = ["StrictHostKeyChecking=accept-new", "BatchMode=yes", "LogLevel=ERROR"];
        let mut all: Vec<String> = ["-F", "none", "-p"].map(str::to_owned).to_vec();
        all.extend([self.port.to_string(), "-i".into(), format!("{own}/user")]);
        all.extend(options.iter().flat_map(|o| ["-o".to_owned(), (*o).to_owned()]));
        all.extend(["-o".into(), format!("UserKnownHostsFile={own}/known_hosts")]);
        all
    }

    /// Runs a command there, to its end.
    pub fn run(&self, command: &str) -> Output {
        Command::new("ssh").args(self.arguments()).args(["127.0.0.1", command]).stdin(Stdio::null()).output().unwrap()
    }

    /// The `ssh` key of a probe that reaches it.
    pub fn toml(&self) -> String {
        self.toml_with(self.port, "user", "known_hosts")
    }

    /// The same with another port, key or file of known hosts.
    pub fn toml_with(&self, port: u16, key: &str, known: &str) -> String {
        let own = self.dir.path().display();
        let config = self.dir.path().join(format!("config-{port}-{key}-{known}"));
        let text = format!(
            "UserKnownHostsFile {own}/{known}\nGlobalKnownHostsFile none\nIdentitiesOnly yes\nIdentityAgent none\n\
             StrictHostKeyChecking yes\n"
        );
        fs::write(&config, text).unwrap();
        let config = config.display();
        format!("ssh = {{ host = \"127.0.0.1\", port = {port}, identity = \"{own}/{key}\", config = \"{config}\" }}")
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The processes that serve one session each.
    pub fn sessions(&self) -> Vec<u32> {
        children(self.child.id())
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        for session in self.sessions() {
            signal(session, "KILL");
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
