//! The words that make ssh run a program on a host, and what ssh's own end means.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::plan::{Program, SafeText, Ssh, quoted};
use crate::readiness::{Gap, Reason};

use super::exec::{Ended, Exit};

/// ssh's own code: it could not connect, or the session ended without a status.
const OWN: i32 = 255;

/// How ssh would get to a host: what its own configuration makes of the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshSettings {
    /// As whom.
    pub user: String,
    /// Where to: the name or address that the host's name stands for.
    pub hostname: String,
    /// At which port.
    pub port: String,
    /// Whether the host's key must be known: `true`, `false`, `ask`, `accept-new` (ssh_config(5), "StrictHostKeyChecking").
    pub strict: String,
    /// The files that hosts' keys are known from.
    pub known_hosts: Vec<String>,
    /// The files of private keys that are offered, whether or not they are there.
    pub identities: Vec<String>,
}

impl super::Net {
    /// Asks ssh how it would get to a host (`ssh -G`). Connects nowhere.
    ///
    /// # Errors
    /// `NotRunnable` where there is no ssh here; `NotConfigured` where it does not understand its configuration.
    pub async fn ssh_settings(&self, ssh: &Ssh, deadline: Instant) -> Result<SshSettings, Gap> {
        let nothing = Program { argv: Vec::new(), environment: BTreeMap::new(), ssh: None, nice: false };
        let mut words = argv(ssh, &nothing, Duration::from_secs(1));
        // Without the command; it is never run.
        words.pop();
        words.insert(1, "-G".to_owned());
        let program = Program { argv: words, ..nothing };
        let exit = self.run(&program, deadline).await?;
        if exit.ended != Ended::Code(0) {
            return Err(Gap::new(Reason::NotConfigured, &format!("ssh {}: {}", ssh.host(), exit.complaint())));
        }
        Ok(settings(&String::from_utf8_lossy(&exit.stdout)))
    }
}

/// Reads what `ssh -G` prints: a key and its values on each line, in small letters.
fn settings(text: &str) -> SshSettings {
    let all = |key: &str| {
        let lines = text.lines().filter_map(|l| l.split_once(' ')).filter(|(k, _)| *k == key);
        lines.map(|(_, v)| SafeText::new(v).to_string()).collect::<Vec<_>>()
    };
    let home = std::env::var("HOME").unwrap_or_default();
    let file = |f: &str| f.strip_prefix("~/").map_or_else(|| f.to_owned(), |rest| format!("{home}/{rest}"));
    let one = |key: &str| all(key).into_iter().next().unwrap_or_default();
    let files = ["userknownhostsfile", "globalknownhostsfile"].map(one);
    let known = files.iter().flat_map(|f| f.split_whitespace()).filter(|f| *f != "none");
    SshSettings {
        user: one("user"),
        hostname: one("hostname"),
        port: one("port"),
        strict: one("stricthostkeychecking"),
        known_hosts: known.map(file).collect(),
        identities: all("identityfile").iter().map(|f| file(f)).collect(),
    }
}

/// The whole command line. `within` is how long the program may take; there it is ended a little later than here.
pub(super) fn argv(ssh: &Ssh, program: &Program, within: Duration) -> Vec<String> {
    let connect = within.as_secs().saturating_sub(1).max(1);
    let mut argv: Vec<String> = ["ssh", "-T", "-a", "-x"].map(str::to_owned).to_vec();
    let mut option = |option: String| argv.extend(["-o".to_owned(), option]);
    option("BatchMode=yes".to_owned());
    option(format!("ConnectTimeout={connect}"));
    // Notes are not errors; what fails is said at this level too.
    option("LogLevel=ERROR".to_owned());
    // What the user's configuration may say of a person's sessions, and what would break this one.
    option("ClearAllForwardings=yes".to_owned());
    option("PermitLocalCommand=no".to_owned());
    option("RemoteCommand=none".to_owned());
    if let Some(table) = ssh.table() {
        let pairs =
            [("-F", table.config.clone()), ("-i", table.identity.clone()), ("-p", table.port.map(|p| p.to_string()))];
        for (flag, value) in pairs {
            argv.extend(value.into_iter().flat_map(|v| [flag.to_owned(), v]));
        }
    }
    argv.extend(["--".to_owned(), ssh.host().to_owned(), remote(ssh, program, within)]);
    argv
}

/// The one line that the shell of the host's user gets.
fn remote(ssh: &Ssh, program: &Program, within: Duration) -> String {
    let mut words: Vec<String> = Vec::new();
    if program.nice {
        words.extend(["nice", "-n", "10"].map(str::to_owned));
    }
    if !ssh.table().is_some_and(|t| t.bare) {
        let seconds = within.as_secs().saturating_add(2);
        words.extend(["timeout".to_owned(), "-k".to_owned(), "2".to_owned(), seconds.to_string()]);
    }
    words.extend(program.argv.iter().map(|w| quoted(w)));
    words.join(" ")
}

/// Tells ssh's own end, and a shell's that found no program, from the program's.
pub(super) fn judged(ssh: &Ssh, program: &Program, exit: Exit) -> Result<Exit, Gap> {
    let exit = reached(ssh, exit)?;
    match exit.ended {
        Ended::Code(code @ (126 | 127)) => {
            let why = if code == 127 { "there is no such program" } else { "it may not be executed" };
            Err(Gap::new(Reason::NotRunnable, &format!("{}: {why}: {}", program.shown(), exit.complaint())))
        }
        Ended::Code(_) | Ended::Signal(_) => Ok(exit),
    }
}

/// Tells ssh's own end from the program's. That a shell there found no program says nothing of what a program that acts
/// had done before: a script ends in the same way.
pub(super) fn reached(ssh: &Ssh, exit: Exit) -> Result<Exit, Gap> {
    match exit.ended {
        Ended::Code(OWN) => Err(refusal(ssh, &exit)),
        Ended::Signal(_) => Err(Gap::new(Reason::ProgramFailed, &format!("ssh here: {}", exit.ended))),
        Ended::Code(_) => Ok(exit),
    }
}

/// Why ssh ended with its own code, from what it said.
fn refusal(ssh: &Ssh, exit: &Exit) -> Gap {
    let text = String::from_utf8_lossy(&exit.stderr);
    let known = text.lines().rev().find_map(|line| {
        let lower = line.to_ascii_lowercase();
        SAYINGS.iter().find(|(words, _)| lower.contains(words)).map(|(_, reason)| (*reason, line))
    });
    let host = ssh.host();
    let changed = text.contains("REMOTE HOST IDENTIFICATION HAS CHANGED");
    match known {
        Some((Reason::HostKey, _)) if changed => {
            Gap::new(Reason::HostKey, &format!("ssh {host}: the host's key is not the one that is known"))
        }
        Some((Reason::HostKey, line)) => {
            Gap::new(Reason::HostKey, &format!("ssh {host}: its key is not known here: {line}"))
        }
        Some((reason, line)) => Gap::new(reason, &format!("ssh {host}: {line}")),
        None if exit.complaint().as_str().is_empty() => Gap::new(
            Reason::Reset,
            &format!("ssh {host}: the session ended without a status: it was cut, or the program was killed there"),
        ),
        None => Gap::new(Reason::Unreachable, &format!("ssh {host}: {}", exit.complaint())),
    }
}

/// What OpenSSH's client says when it fails (ssh.c, sshconnect.c, sshconnect2.c), in lower case.
const SAYINGS: [(&str, Reason); 20] = [
    ("host key verification failed", Reason::HostKey),
    ("permission denied", Reason::SshDenied),
    ("too many authentication failures", Reason::SshDenied),
    ("no supported authentication methods", Reason::SshDenied),
    ("connection refused", Reason::SshRefused),
    ("connection timed out", Reason::TimedOut),
    ("operation timed out", Reason::TimedOut),
    ("timed out", Reason::TimedOut),
    ("not responding", Reason::TimedOut),
    ("could not resolve hostname", Reason::Unreachable),
    ("no route to host", Reason::Unreachable),
    ("network is unreachable", Reason::Unreachable),
    ("connection reset", Reason::Reset),
    ("connection closed", Reason::Reset),
    ("closed by remote host", Reason::Reset),
    ("broken pipe", Reason::Reset),
    ("bad configuration option", Reason::NotConfigured),
    ("bad owner or permissions", Reason::NotConfigured),
    ("can't open user config file", Reason::NotConfigured),
    ("terminating,", Reason::NotConfigured),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::SshTable;

    fn program(ssh: Ssh) -> Program {
        let argv = ["pgbackrest", "info", "--stanza=o'brien"].map(str::to_owned).to_vec();
        Program { argv, environment: BTreeMap::new(), ssh: Some(ssh), nice: false }
    }

    fn judge(code: i32, stderr: &str) -> Result<Exit, Gap> {
        let ssh = Ssh::Host("b@db".into());
        judged(&ssh, &program(ssh.clone()), Exit { ended: Ended::Code(code), stdout: vec![], stderr: stderr.into() })
    }

    #[test]
    fn the_words_for_ssh() {
        let ssh = Ssh::Host("b@db".into());
        let words = argv(&ssh, &program(ssh.clone()), Duration::from_secs(30)).join(" ");
        assert_eq!(
            words,
            "ssh -T -a -x -o BatchMode=yes -o ConnectTimeout=29 -o LogLevel=ERROR -o ClearAllForwardings=yes -o \
             PermitLocalCommand=no -o RemoteCommand=none -- b@db timeout -k 2 32 pgbackrest info '--stanza=o'\\''brien'"
        );
        let table = SshTable {
            host: "db".into(),
            port: Some(2222),
            identity: Some("/k".into()),
            config: Some("/c".into()),
            bare: true,
        };
        let ssh = Ssh::Table(table);
        let words = argv(&ssh, &Program { nice: true, ..program(ssh.clone()) }, Duration::from_millis(300)).join(" ");
        assert!(words.contains("ConnectTimeout=1 "), "{words}");
        assert!(
            words.ends_with("-F /c -i /k -p 2222 -- db nice -n 10 pgbackrest info '--stanza=o'\\''brien'"),
            "{words}"
        );
    }

    #[test]
    fn the_end_of_ssh_is_no_end_of_the_program() {
        for (stderr, reason) in [
            ("ssh: connect to host db port 22: Connection refused\r\n", Reason::SshRefused),
            ("ssh: connect to host db port 22: Connection timed out", Reason::TimedOut),
            ("ssh: connect to host db port 22: No route to host", Reason::Unreachable),
            ("ssh: Could not resolve hostname db: Name or service not known", Reason::Unreachable),
            ("b@db: Permission denied (publickey).", Reason::SshDenied),
            (
                "No ED25519 host key is known for db and you have requested strict checking.\nHost key verification failed.",
                Reason::HostKey,
            ),
            (
                "@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nHost key verification failed.",
                Reason::HostKey,
            ),
            ("kex_exchange_identification: Connection closed by remote host", Reason::Reset),
            (
                "/x: line 1: Bad configuration option: nonsense\n/x: terminating, 1 bad configuration options",
                Reason::NotConfigured,
            ),
            ("something new", Reason::Unreachable),
            ("", Reason::Reset),
        ] {
            let gap = judge(255, stderr).unwrap_err();
            assert_eq!(gap.reason, reason, "{stderr}: {gap}");
            assert!(gap.detail.as_str().starts_with("ssh b@db: "), "{gap}");
        }
        assert!(
            judge(255, "@ REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.")
                .unwrap_err()
                .detail
                .as_str()
                .ends_with("not the one that is known")
        );
        assert_eq!(judge(127, "sh: 1: pgbackrest: not found").unwrap_err().reason, Reason::NotRunnable);
        assert_eq!(judge(126, "").unwrap_err().reason, Reason::NotRunnable);
        for code in [0, 1, 2, 3, 55] {
            assert_eq!(judge(code, "Permission denied").map(|e| e.ended), Ok(Ended::Code(code)));
        }
    }

    #[tokio::test]
    async fn ssh_says_how_it_would_get_there() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config");
        let text = "Host dr\n HostName 192.0.2.9\n User backup\n Port 2022\n StrictHostKeyChecking no\n UserKnownHostsFile /k\n \
                    GlobalKnownHostsFile none\n IdentityFile /key\n";
        std::fs::write(&config, text).unwrap();
        let config = Some(config.display().to_string());
        let ssh = Ssh::Table(SshTable { host: "dr".into(), port: None, identity: None, config, bare: false });
        let net = crate::net::Net::new();
        let said = net.ssh_settings(&ssh, Instant::now() + Duration::from_secs(20)).await.unwrap();
        assert_eq!((said.user.as_str(), said.hostname.as_str(), said.port.as_str()), ("backup", "192.0.2.9", "2022"));
        assert_eq!((said.known_hosts, said.identities), (vec!["/k".to_owned()], vec!["/key".to_owned()]));
        assert!(["no", "false"].contains(&said.strict.as_str()), "{}", said.strict);
    }
}
