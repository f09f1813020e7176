//! A program that changes something: it is let run to its end, whatever becomes of whoever started it.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::{MemfdFlags, Mode, OFlags};
use secrecy::SecretString;
use tokio::process::Child;
use tokio::time::{Instant, timeout_at};

use super::{Broken, Ended, Exit, command, ended, gap_of, mask};
use crate::net::ssh;
use crate::plan::{Program, SafeText, Ssh, SshTable};
use crate::readiness::{Gap, Reason};

/// The most of the end of its output that is read, in bytes.
const LARGEST_END: usize = 16 << 10;
/// How long ssh may take to connect.
const CONNECTS: Duration = Duration::from_secs(10);

/// A program under way that nobody kills: not when this is dropped, not at a deadline, not with this process. It leads a
/// process group of its own. What it says goes to a file without a name, so that it can go on saying it.
#[derive(Debug)]
pub struct Outliving {
    program: Program,
    child: Child,
    pid: Option<u32>,
    output: File,
    secrets: Vec<SecretString>,
    ended: Option<Ended>,
}

impl crate::net::Net {
    /// Starts a program that acts. Its standard input is `lock`, where there is one (an empty file, for reading only): the
    /// lock is held until the program and whatever it hands that on to have ended. On another host it is `ssh` here that
    /// holds it, and nothing ends the program there.
    ///
    /// # Errors
    /// `NotRunnable`, `SecretUnavailable`, `Unreachable`: nothing was started.
    pub async fn start(&self, program: &Program, lock: Option<OwnedFd>, deadline: Instant) -> Result<Outliving, Gap> {
        self.admit_outside(&program.shown())?;
        let bare;
        let program = match &program.ssh {
            Some(ssh) => {
                self.admit(ssh.host(), None)?;
                bare = Program { ssh: Some(without_timeout(ssh)), ..program.clone() };
                &bare
            }
            None => program,
        };
        let argv = match &program.ssh {
            Some(ssh) => ssh::argv(ssh, program, CONNECTS),
            None => program.argv.clone(),
        };
        let late = || Gap::new(Reason::TimedOut, &format!("{}: not started in time", program.shown()));
        let made = timeout_at(deadline, command(program, &argv, deadline)).await.unwrap_or_else(|_| Err(late()));
        let (mut command, secrets) = made?;
        let failed = |e: std::io::Error| gap_of(&Broken::Start(e), program);
        let output = unnamed().map_err(|e| failed(e.into()))?;
        let copy = || output.try_clone().map(Stdio::from);
        command.stdin(lock.map_or_else(Stdio::null, Stdio::from));
        command.stdout(copy().map_err(failed)?).stderr(copy().map_err(failed)?);
        let child = command.process_group(0).kill_on_drop(false).spawn().map_err(failed)?;
        let pid = child.id();
        Ok(Outliving { program: program.clone(), child, pid, output, secrets, ended: None })
    }
}

/// The same host, where no `timeout` ends the program.
fn without_timeout(ssh: &Ssh) -> Ssh {
    let empty = SshTable { host: ssh.host().to_owned(), port: None, identity: None, config: None, bare: true };
    Ssh::Table(SshTable { bare: true, ..ssh.table().cloned().unwrap_or(empty) })
}

/// A file that no directory has; in memory where the directory for such files cannot hold one.
fn unnamed() -> rustix::io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = rustix::fs::open(std::env::temp_dir(), flags, Mode::RUSR | Mode::WUSR);
    let file = file.or_else(|_| rustix::fs::memfd_create("lifeboat-output", MemfdFlags::CLOEXEC))?;
    Ok(File::from(file))
}

impl Outliving {
    /// Its number, while it is known to run.
    #[must_use]
    pub const fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// How it ended, where it has ended by `deadline`; else it goes on.
    ///
    /// # Errors
    /// `ProgramFailed` where it cannot be waited for.
    pub async fn ended_by(&mut self, deadline: Instant) -> Result<Option<Ended>, Gap> {
        if self.ended.is_none()
            && let Ok(status) = timeout_at(deadline, self.child.wait()).await
        {
            self.ended = Some(ended(status.map_err(|e| gap_of(&Broken::Lost(e), &self.program))?));
        }
        Ok(self.ended)
    }

    /// The same, with the end of what it said, errors and all, as its errors. Of ssh that could not get there, or was cut off,
    /// it is no end of the program.
    ///
    /// # Errors
    /// As [`Outliving::ended_by`]; of ssh also `SshRefused`, `HostKey`, `SshDenied`, `Unreachable`, `Reset`.
    pub async fn exit_by(&mut self, deadline: Instant) -> Result<Option<Exit>, Gap> {
        let Some(ended) = self.ended_by(deadline).await? else { return Ok(None) };
        let exit = Exit { ended, stdout: Vec::new(), stderr: self.end_of_output().0 };
        match &self.program.ssh {
            Some(host) => ssh::reached(host, exit).map(Some),
            None => Ok(Some(exit)),
        }
    }

    /// The end of what it said so far, without its secrets, and whether there is more before it.
    fn end_of_output(&self) -> (Vec<u8>, bool) {
        let length = self.output.metadata().map_or(0, |m| m.len());
        let cut = u64::try_from(LARGEST_END).unwrap_or(0);
        let from = length.saturating_sub(cut);
        let mut bytes = vec![0; usize::try_from(length.min(cut)).unwrap_or(0)];
        let read = self.output.read_at(&mut bytes, from).unwrap_or(0);
        bytes.truncate(read);
        for secret in &self.secrets {
            mask(&mut bytes, secret);
        }
        (bytes, from > 0)
    }

    /// The last lines that it said so far, at most this many, sanitised, without its secrets. Empty lines are left out.
    #[must_use]
    pub fn said(&self, most: usize) -> Vec<SafeText> {
        let (bytes, cut) = self.end_of_output();
        let text = String::from_utf8_lossy(&bytes);
        // The first line may be cut, and a secret with it. What is written over itself (`\r`) is a line each time.
        let lines = text.split(['\n', '\r']).skip(usize::from(cut));
        let lines: Vec<&str> = lines.filter(|l| !l.trim().is_empty()).collect();
        lines.iter().skip(lines.len().saturating_sub(most)).map(|l| SafeText::new(l)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Net;

    fn sh(script: &str) -> Program {
        let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
        Program { argv, environment: std::collections::BTreeMap::default(), ssh: None, nice: false }
    }

    fn within(ms: u64) -> Instant {
        Instant::now() + Duration::from_millis(ms)
    }

    #[tokio::test]
    async fn it_says_and_ends_as_it_likes() {
        let net = Net::new();
        let mut running = net.start(&sh("echo one; echo; echo two >&2; exit 3"), None, within(5_000)).await.unwrap();
        assert_eq!(running.ended_by(within(5_000)).await.unwrap(), Some(Ended::Code(3)));
        assert_eq!(running.said(9).iter().map(SafeText::as_str).collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(running.said(1).iter().map(SafeText::as_str).collect::<Vec<_>>(), ["two"]);
        let none = Program { argv: vec!["/no/such/program".to_owned()], ..sh("") };
        assert_eq!(net.start(&none, None, within(5_000)).await.unwrap_err().reason, Reason::NotRunnable);
    }

    #[tokio::test]
    async fn nobody_kills_it_and_it_can_go_on_talking() {
        let dir = tempfile::tempdir().unwrap();
        let (go, done) = (dir.path().join("go"), dir.path().join("done"));
        let script = format!(
            "echo before; until [ -e {} ]; do sleep 0.05; done; echo after && touch {}",
            go.display(),
            done.display()
        );
        let mut running = Net::new().start(&sh(&script), None, within(5_000)).await.unwrap();
        assert_eq!(running.ended_by(within(50)).await.unwrap(), None);
        drop(running);
        std::fs::write(&go, "").unwrap();
        let deadline = within(10_000);
        while !done.exists() {
            assert!(Instant::now() < deadline, "it was killed");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test]
    async fn only_the_end_of_much_is_read_and_no_secret_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "hunter2").unwrap();
        let secret = crate::plan::SecretRef::File(path.display().to_string());
        let environment = [("TOKEN".to_owned(), crate::plan::EnvValue::Secret(secret))].into();
        let many = "i=0; while [ $i -lt 20000 ]; do echo \"line $i $TOKEN\"; i=$((i+1)); done; printf 'x\\033[1my\\n'";
        let program = Program { environment, ..sh(many) };
        let mut running = Net::new().start(&program, None, within(5_000)).await.unwrap();
        assert_eq!(running.ended_by(within(20_000)).await.unwrap(), Some(Ended::Code(0)));
        let said = running.said(usize::MAX);
        assert!(said.len() < 1_000 && said.iter().all(|l| !l.as_str().contains("hunter2")), "{}", said.len());
        assert_eq!(said.last().unwrap().as_str(), "xy");
        assert_eq!(said.iter().rev().nth(1).unwrap().as_str(), "line 19999 ***");
    }
}
