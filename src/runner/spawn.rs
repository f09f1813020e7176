//! Starts a runner as a process of its own.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::runbook::RunId;

/// Starts this very program as the runner of a run: with no pipe to whoever starts it, in `/`; it makes a session of its
/// own first. It says in the journal that it holds the run, or in its log why not. Returns its process id.
///
/// # Errors
/// Where no process can be started.
pub fn spawn(state: &Path, run: &RunId) -> io::Result<u32> {
    let state = state.canonicalize()?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("lifeboat").arg("runner").arg(run.as_str()).arg("--state").arg(state);
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let pid = child.id();
    // Whoever started it takes note of its end, or it stays in the process table for as long as they live.
    let reaper = std::thread::Builder::new().name("runner".into()).spawn(move || child.wait());
    drop(reaper);
    Ok(pid)
}
