//! Where a practice world lives: a directory of its own. The process that makes it becomes one that knows nothing of its user:
//! no configuration, no state, no password file, no variable that a client library heeds.

use std::fs::Permissions;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};
use chrono::{DateTime, TimeDelta, Utc};
use rustix::process::{Pid, Signal, kill_process};

use crate::clock;
use crate::practice::config::STATE;
use crate::store::Journal;

/// What is kept of the environment: the terminal, the language, where programs are, who this is for the record, and what
/// tests of the built program set.
const KEPT: [&str; 20] = [
    "TERM",
    "COLORTERM",
    "NO_COLOR",
    "TERM_PROGRAM",
    "TMUX",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "PATH",
    "TMPDIR",
    "USER",
    "LOGNAME",
    "SUDO_USER",
    "SSH_CONNECTION",
    "COLUMNS",
    "LINES",
    "RUST_BACKTRACE",
    "LLVM_PROFILE_FILE",
    "LIFEBOAT_TEST_PANIC",
];
/// How the directories of worlds begin.
const PREFIX: &str = "lifeboat-demo-";
/// The file that says whose directory it is: nothing else is ever removed.
const MARK: &str = "lifeboat-demo";
/// A directory that was made within this time may be about to be used.
const YOUNG: TimeDelta = TimeDelta::seconds(60);
/// How long runners get to end before they are ended.
const PATIENCE: Duration = Duration::from_secs(3);

/// Makes a directory and becomes this same program in it. Comes back only with the reason why it could not.
pub fn leave() -> anyhow::Error {
    match left() {
        Ok(never) => match never {},
        Err(e) => e,
    }
}

fn left() -> anyhow::Result<std::convert::Infallible> {
    tidy(&std::env::temp_dir());
    let dir = tempfile::Builder::new()
        .prefix(PREFIX)
        .permissions(Permissions::from_mode(0o700))
        .tempdir()
        .context("no directory for the practice world")?;
    // What is executed here keeps the process's number.
    std::fs::write(dir.path().join(MARK), std::process::id().to_string()).context("the practice world's directory")?;
    let mut words = std::env::args_os();
    let mut command = Command::new("/proc/self/exe");
    command.arg0(words.next().unwrap_or_else(|| "lifeboat".into())).args(words).arg("--home").arg(dir.path());
    command.env_clear();
    for name in KEPT {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    for name in ["HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"] {
        command.env(name, dir.path());
    }
    // Where it comes back, the directory goes.
    Err(command.exec()).context("this program cannot be executed again")
}

/// Removes what demos of this user left that were killed: directories whose process is not there any more.
fn tidy(among: &Path) {
    let own = rustix::process::geteuid().as_raw();
    for entry in std::fs::read_dir(among).into_iter().flatten().flatten() {
        let dir = entry.path();
        let ours = entry.file_name().as_bytes().starts_with(PREFIX.as_bytes())
            && entry.metadata().is_ok_and(|m| m.is_dir() && m.uid() == own);
        let Some(pid) = std::fs::read_to_string(dir.join(MARK)).ok().filter(|_| ours) else { continue };
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let lives = words.split(|b| *b == 0).any(|w| w == dir.as_os_str().as_bytes());
        // One that has just made its directory has not become another yet.
        let made = entry.metadata().and_then(|m| m.modified()).map(DateTime::<Utc>::from);
        let young = made.is_ok_and(|at| clock::now().wall.signed_duration_since(at) < YOUNG);
        if !lives && !young {
            drop(std::fs::remove_dir_all(&dir));
        }
    }
}

/// The directory, for as long as the demo runs.
#[derive(Debug)]
pub struct Home {
    dir: PathBuf,
}

impl Home {
    /// Takes the directory that this very process made.
    ///
    /// # Errors
    /// Any other one.
    pub fn take(dir: &Path) -> anyhow::Result<Self> {
        let mark = std::fs::read_to_string(dir.join(MARK)).unwrap_or_default();
        let apart = std::env::var_os("HOME").is_some_and(|home| home == dir.as_os_str());
        if mark != std::process::id().to_string() || !apart {
            bail!("{}: not a directory that this demo made; start it without --home", dir.display());
        }
        Ok(Self { dir: dir.to_owned() })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // A runner that ends at this moment may still write: then what it wrote goes, too.
        for _ in 0..3 {
            if std::fs::remove_dir_all(&self.dir).is_ok() || !self.dir.exists() {
                return;
            }
        }
        crate::tui::terminal::say_last(&format!("{} could not be removed", self.dir.display()));
    }
}

/// Ends the runners that are left of a world that is over, and waits until they are gone. They end by themselves, too.
pub fn end_runners(home: &Path) {
    let Ok(journal) = Journal::look(&home.join(STATE)) else { return };
    let runs = journal.runs().unwrap_or_default();
    let begun = clock::now();
    for run in runs.iter().map(|r| &r.id) {
        while journal.is_held(run) && clock::now().since(begun) < PATIENCE {
            let pid = journal.state(run).ok().and_then(|s| s.runner).map(|who| who.pid);
            if let Some(pid) = pid.filter(|pid| is_runner(*pid, run.as_str())) {
                kill(pid);
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}

/// Ends the runner of a run, as a crash would; says whether there was one.
pub fn kill_runner(pid: u32, run: &str) -> bool {
    let ours = is_runner(pid, run);
    if ours {
        kill(pid);
    }
    ours
}

/// Whether this process is the runner of this run: a number may have become another's.
fn is_runner(pid: u32, run: &str) -> bool {
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = words.split(|b| *b == 0);
    words.any(|w| w == b"runner") && words.any(|w| w == run.as_bytes())
}

fn kill(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // Whoever has ended meanwhile is past caring.
        let _gone = kill_process(pid, Signal::KILL);
    }
}
