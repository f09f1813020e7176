//! Runs programs: words, never a shell; here, or on a host over ssh; bounded in time and output; nothing left behind.

mod outlive;

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, setpriority_pgrp};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout, timeout_at};

use crate::plan::{EnvValue, Program, SafeText};
use crate::readiness::{Gap, Reason};

use super::limits::ServerKey;
use super::ssh;
pub use outlive::Outliving;

/// The most of a program's standard output that is read, in bytes.
pub const LARGEST_OUTPUT: usize = 1 << 20;
/// The most of its standard error.
pub const LARGEST_ERROR: usize = 64 << 10;
/// Most programs that run here at once.
const HERE: usize = 32;
/// Most sessions to one host that are opened at once: an sshd turns away beyond ten (`MaxStartups`).
const PER_HOST: usize = 4;
/// How long the pipes of a program that has ended are read on, where something holds them open.
const DRAIN: Duration = Duration::from_millis(250);
/// What of our own environment a program gets: who and where it is, and how to reach the user's ssh agent.
const INHERITED: [&str; 9] =
    ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "SSH_AUTH_SOCK", "XDG_RUNTIME_DIR"];
/// Where programs are looked for, where our own environment does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How nice a program is that everything else goes before.
const NICE: i32 = 10;

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => match Signal::from_named_raw(*signal).and_then(name_of) {
                Some(name) => write!(f, "killed by signal {signal} ({name})"),
                None => write!(f, "killed by signal {signal}"),
            },
        }
    }
}

fn name_of(signal: Signal) -> Option<&'static str> {
    let names = [
        (Signal::HUP, "hangup"),
        (Signal::INT, "interrupt"),
        (Signal::ILL, "illegal instruction"),
        (Signal::ABORT, "abort"),
        (Signal::BUS, "bus error"),
        (Signal::KILL, "kill"),
        (Signal::SEGV, "segmentation fault"),
        (Signal::PIPE, "broken pipe"),
        (Signal::TERM, "terminate"),
    ];
    names.iter().find(|(s, _)| *s == signal).map(|(_, name)| *name)
}

/// A program that ended, and what it said.
#[derive(Clone, PartialEq, Eq)]
pub struct Exit {
    /// How.
    pub ended: Ended,
    /// Its standard output, at most [`LARGEST_OUTPUT`] bytes. Data from outside.
    pub stdout: Vec<u8>,
    /// Its standard error, at most [`LARGEST_ERROR`] bytes. Data from outside.
    pub stderr: Vec<u8>,
}

impl std::fmt::Debug for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What a program says can be a secret: a credential helper's answer.
        write!(f, "{}: {} and {} bytes", self.ended, self.stdout.len(), self.stderr.len())
    }
}

impl Exit {
    /// What it said when it failed: the last line of its standard error, else of its standard output.
    #[must_use]
    pub fn complaint(&self) -> SafeText {
        let error = said(&self.stderr);
        if error.as_str().is_empty() { said(&self.stdout) } else { error }
    }

    /// The gap of a program that should have ended in another way: how it ended, and what it said.
    #[must_use]
    pub fn failed(&self, program: &Program) -> Gap {
        let (shown, complaint) = (program.shown(), self.complaint());
        let words = if complaint.as_str().is_empty() { "it said nothing" } else { complaint.as_str() };
        Gap::new(Reason::ProgramFailed, &format!("{shown}: {}: {words}", self.ended))
    }
}

/// The last line that says something.
fn said(bytes: &[u8]) -> SafeText {
    let text = String::from_utf8_lossy(bytes);
    SafeText::new(text.lines().rev().map(str::trim).find(|l| !l.is_empty()).unwrap_or_default())
}

/// Why a program could not be run to its end.
#[derive(Debug)]
pub(super) enum Broken {
    /// It could not be started.
    Start(std::io::Error),
    /// It wrote more than it may: to what, and how much that is in KiB.
    TooLarge(&'static str, usize),
    /// It could not be read or waited for.
    Lost(std::io::Error),
}

impl super::Net {
    /// Runs a program to its end, which must come by `deadline`. Its working directory is `/`, its standard input is
    /// empty, it leads a process group of its own, and that is killed as a whole at the end, at the deadline, and when
    /// nobody waits any more. What made itself a session of its own escapes this, as a daemon means to.
    ///
    /// On another host it is a user's `ssh` that is run, which asks for no password, and there `timeout` ends what takes
    /// longer, since no signal goes across.
    ///
    /// # Errors
    /// `NotRunnable`: missing or not executable, here or there. `SecretUnavailable`. `TimedOut`. `TooLarge`: more than
    /// 1 MiB of output or 64 KiB of errors. Of ssh: `SshRefused`, `HostKey`, `SshDenied`, `Unreachable`, `Reset`.
    pub async fn run(&self, program: &Program, deadline: Instant) -> Result<Exit, Gap> {
        self.run_with(program, None, deadline).await
    }

    /// The same, with a standard input. A program that does not read it misses nothing.
    ///
    /// # Errors
    /// As [`Net::run`](Self::run).
    pub async fn run_with(&self, program: &Program, input: Option<&[u8]>, deadline: Instant) -> Result<Exit, Gap> {
        let late = || Gap::new(Reason::TimedOut, &format!("{}: not done in time", program.shown()));
        timeout_at(deadline, self.run_on(program, input, deadline)).await.unwrap_or_else(|_| Err(late()))
    }

    async fn run_on(&self, program: &Program, input: Option<&[u8]>, deadline: Instant) -> Result<Exit, Gap> {
        let (server, most) = match &program.ssh {
            Some(ssh) => (ServerKey(format!("ssh {}", ssh.host()).into()), PER_HOST),
            None => (ServerKey("programs here".into()), HERE),
        };
        let busy = || {
            let others = format!("{}: not started in time: {most} others were under way", program.shown());
            Gap::new(Reason::TimedOut, &others)
        };
        self.admit_outside(&program.shown())?;
        if let Some(ssh) = &program.ssh {
            self.admit(ssh.host(), None)?;
        }
        let _permit = timeout_at(deadline, self.permit_among(&server, most)).await.map_err(|_| busy())?;
        let left = deadline.saturating_duration_since(Instant::now());
        let argv = match &program.ssh {
            Some(ssh) => ssh::argv(ssh, program, left),
            None => program.argv.clone(),
        };
        let (mut command, secrets) = self::command(program, &argv, deadline).await?;
        let nice = program.nice && program.ssh.is_none();
        let result = run(&mut command, input, nice, LARGEST_OUTPUT, LARGEST_ERROR).await;
        let mut exit = result.map_err(|e| gap_of(&e, program))?;
        for secret in &secrets {
            mask(&mut exit.stdout, secret);
            mask(&mut exit.stderr, secret);
        }
        match &program.ssh {
            Some(host) => ssh::judged(host, program, exit),
            None => Ok(exit),
        }
    }
}

/// The command with its environment, and the secrets that are in it.
async fn command(program: &Program, argv: &[String], deadline: Instant) -> Result<(Command, Vec<SecretString>), Gap> {
    let Some((name, arguments)) = argv.split_first() else {
        return Err(Gap::new(Reason::NotConfigured, "names no program"));
    };
    let mut command = Command::new(name);
    command.args(arguments).env_clear().current_dir("/");
    command.env("PATH", PATH);
    for name in INHERITED {
        if let Some(value) = std::env::var_os(name).filter(|v| !v.is_empty()) {
            command.env(name, value);
        }
    }
    // What programs say is read by this program: in one language.
    command.env("LC_ALL", "C");
    let mut secrets = Vec::new();
    // It stays here: `ssh` would not hand it on, and has no need of it.
    for (name, value) in program.environment.iter().filter(|_| program.ssh.is_none()) {
        match value {
            EnvValue::Plain(value) => {
                command.env(name, value);
            }
            EnvValue::Secret(secret) => {
                let secret = super::secret::resolve(secret, deadline).await?;
                command.env(name, secret.expose_secret());
                secrets.push(secret);
            }
        }
    }
    Ok((command, secrets))
}

/// Replaces a secret that a program repeats.
fn mask(output: &mut Vec<u8>, secret: &SecretString) {
    let secret = secret.expose_secret().trim().as_bytes();
    // What is shorter is found in honest words too, and is no secret.
    if secret.len() < 4 {
        return;
    }
    let (mut clean, mut rest) = (Vec::new(), output.as_slice());
    while let Some(at) = rest.windows(secret.len()).position(|w| w == secret) {
        let (before, from) = rest.split_at(at);
        clean.extend_from_slice(before);
        clean.extend_from_slice(b"***");
        rest = from.get(secret.len()..).unwrap_or_default();
    }
    if !clean.is_empty() {
        clean.extend_from_slice(rest);
        *output = clean;
    }
}

fn gap_of(broken: &Broken, program: &Program) -> Gap {
    // On another host it is ssh that could not be started.
    let shown = if program.ssh.is_some() { "ssh here".to_owned() } else { program.shown() };
    match broken {
        Broken::Start(e) => Gap::new(Reason::NotRunnable, &format!("{shown}: {}", not_started(e))),
        Broken::TooLarge(what, kib) => Gap::new(Reason::TooLarge, &format!("{shown}: more than {kib} KiB of {what}")),
        Broken::Lost(e) => Gap::new(Reason::ProgramFailed, &format!("{shown}: {}", e.kind())),
    }
}

/// Why a program could not be started, in words.
pub(super) fn not_started(e: &std::io::Error) -> String {
    match e.kind() {
        std::io::ErrorKind::NotFound => "there is no such program".to_owned(),
        std::io::ErrorKind::PermissionDenied => "not executable by this user".to_owned(),
        kind => match rustix::io::Errno::from_io_error(e) {
            Some(rustix::io::Errno::NOEXEC) => "no program: neither a binary nor a script with #!".to_owned(),
            Some(_) | None => kind.to_string(),
        },
    }
}

/// A process and all that it starts in its group; killed as a whole when dropped.
struct Group {
    leader: Child,
    id: Option<Pid>,
}

impl Group {
    fn start(command: &mut Command) -> std::io::Result<Self> {
        // tokio kills the leader too, and reaps it wherever this is dropped.
        let leader = command.process_group(0).kill_on_drop(true).spawn()?;
        let id = leader.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Ok(Self { leader, id })
    }

    /// Kills whatever is left of the group. Only once: later its number may be another's.
    fn kill(&mut self) {
        if let Some(id) = self.id.take() {
            // An error means that nobody is left.
            kill_process_group(id, Signal::KILL).ok();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a command to its end, with these limits of output and errors in bytes.
pub(super) async fn run(
    command: &mut Command,
    input: Option<&[u8]>,
    nice: bool,
    output: usize,
    error: usize,
) -> Result<Exit, Broken> {
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(if error == 0 { Stdio::null() } else { Stdio::piped() });
    let mut group = Group::start(command).map_err(Broken::Start)?;
    if let (true, Some(id)) = (nice, group.id) {
        // Not being nice is no reason not to look.
        setpriority_pgrp(Some(id), NICE).ok();
    }
    let (from_output, from_error) = (group.leader.stdout.take(), group.leader.stderr.take());
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let to_input = group.leader.stdin.take();
    let writing = async {
        if let (Some(mut pipe), Some(input)) = (to_input, input) {
            // A program may end without having read it all.
            pipe.write_all(input).await.ok();
        }
        Ok(())
    };
    let reading = async {
        tokio::try_join!(
            writing,
            bounded(from_output, &mut stdout, "output", output),
            bounded(from_error, &mut stderr, "errors", error)
        )
    };
    let status = {
        tokio::pin!(reading);
        tokio::select! {
            read = &mut reading => {
                read?;
                let status = group.leader.wait().await.map_err(Broken::Lost)?;
                group.kill();
                status
            }
            status = group.leader.wait() => {
                // What it left behind holds the pipes open; what it wrote itself is in them already.
                group.kill();
                match timeout(DRAIN, &mut reading).await {
                    Ok(read) => drop(read?),
                    Err(_held_open) => {}
                }
                status.map_err(Broken::Lost)?
            }
        }
    };
    Ok(Exit { ended: ended(status), stdout, stderr })
}

fn ended(status: ExitStatus) -> Ended {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Code(code),
        (None, Some(signal)) => Ended::Signal(signal),
        // Neither is impossible of a process that was waited for.
        (None, None) => Ended::Code(-1),
    }
}

/// Reads to the end, to a limit.
async fn bounded(
    from: Option<impl AsyncRead + Unpin>,
    into: &mut Vec<u8>,
    what: &'static str,
    limit: usize,
) -> Result<(), Broken> {
    let Some(from) = from else { return Ok(()) };
    let most = u64::try_from(limit).unwrap_or(u64::MAX);
    from.take(most.saturating_add(1)).read_to_end(into).await.map_err(Broken::Lost)?;
    if into.len() > limit { Err(Broken::TooLarge(what, limit / 1024)) } else { Ok(()) }
}

/// Whether a path names a file that this user may execute; for `doctor`.
#[must_use]
pub fn executable(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

/// The file that a program's name stands for, as it would be run from here: the name itself where it is a path, else the
/// first of that name in `PATH`. `None` where there is none that this user may execute; for `doctor`.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|p| executable(p));
    }
    let path = std::env::var_os("PATH").filter(|p| !p.is_empty()).unwrap_or_else(|| PATH.into());
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|p| executable(p))
}

#[cfg(test)]
mod tests;
