//! What this session is to a run that is started from it: whose runs the lock keeps out, and what ends with it.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::app::guided::Host;
use crate::config::Config;
use crate::plan::{SafeText, SecretRef};
use crate::runbook::Held;

/// Whose runs the lock of the state directory keeps out: it is a file of this host.
pub fn scope(config: &Config) -> SafeText {
    if config.state.is_some() { "this host".into() } else { "this user, this host".into() }
}

/// Finds out what a run from here runs in. May wait for the login manager.
pub fn facts(config: &Config) -> Host {
    let env = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
    let cgroup = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let user = env("USER").or_else(|| env("LOGNAME")).unwrap_or_default();
    let login = Login {
        cgroup: &cgroup,
        root: rustix::process::geteuid().is_root(),
        lingers: !user.is_empty() && Path::new("/var/lib/systemd/linger").join(&user).exists(),
        kills: kill_user_processes(&cgroup),
    };
    let (outlives, why) = outlives(&login);
    let mut ends = Vec::new();
    if env("SSH_AUTH_SOCK").is_some() && env("SSH_CONNECTION").is_some() {
        ends.push("the forwarded SSH agent".into());
    }
    let mut names: Vec<&str> = config
        .secrets
        .iter()
        .filter_map(|s| match &s.secret {
            SecretRef::Env(name) => Some(name.as_str()),
            _ => None, // files and commands are there for whoever goes on
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    if !names.is_empty() {
        // The runner that is started here has them; one that is started from another session may not.
        ends.push(SafeText::new(&format!("secrets in the environment ({})", names.join(", "))));
    }
    Host { scope: scope(config), outlives, why: SafeText::new(why), ends }
}

/// What decides whether a process outlives its login.
struct Login<'a> {
    cgroup: &'a str,
    root: bool,
    lingers: bool,
    /// logind's `KillUserProcesses`, where it could be asked.
    kills: Option<bool>,
}

/// Whether a runner outlives this session (logind.conf(5), `KillUserProcesses` and `KillExcludeUsers`; loginctl(1),
/// `enable-linger`).
fn outlives(login: &Login<'_>) -> (Held, &'static str) {
    let session = login.cgroup.contains("/session-");
    let manager = login.cgroup.contains("/user@");
    if !session && !manager {
        return (Held::Holds, "it is in no login session");
    }
    if session {
        return match (login.kills, login.root) {
            (Some(false), _) => (Held::Holds, "logind leaves processes alone (KillUserProcesses=no)"),
            (Some(true), true) => (Held::Holds, "logind leaves root's processes alone"),
            (Some(true), false) => (Held::Fails, "logind ends every process of a session (KillUserProcesses=yes)"),
            (None, _) => (Held::Unknown, "logind does not say whether it ends a session's processes"),
        };
    }
    if login.lingers {
        (Held::Holds, "the user lingers: its service manager goes on")
    } else {
        (Held::Fails, "it is in the user's service manager, which ends with the last session (loginctl enable-linger)")
    }
}

/// Asks logind, where this process is in a session of it.
fn kill_user_processes(cgroup: &str) -> Option<bool> {
    if !cgroup.contains("/session-") {
        return None;
    }
    let asked = Command::new("busctl")
        .args(["--system", "--timeout=2", "get-property", "org.freedesktop.login1", "/org/freedesktop/login1"])
        .args(["org.freedesktop.login1.Manager", "KillUserProcesses"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    match String::from_utf8_lossy(&asked.stdout).trim() {
        "b true" => Some(true),
        "b false" => Some(false),
        _ => None, // an error, or words of another version
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runner_in_a_session_lives_as_logind_says() {
        let session = "0::/user.slice/user-1000.slice/session-3.scope\n";
        let manager = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/tmux.scope\n";
        let at = |cgroup, root, lingers, kills| outlives(&Login { cgroup, root, lingers, kills }).0;
        assert_eq!(at(session, false, false, Some(true)), Held::Fails);
        assert_eq!(at(session, true, false, Some(true)), Held::Holds);
        assert_eq!(at(session, false, false, Some(false)), Held::Holds);
        assert_eq!(at(session, false, false, None), Held::Unknown);
        assert_eq!(at(manager, false, false, None), Held::Fails);
        assert_eq!(at(manager, false, true, None), Held::Holds);
        assert_eq!(at("0::/init.scope\n", false, false, None), Held::Holds);
        assert_eq!(at("0::/\n", false, false, None), Held::Holds);
    }
}
