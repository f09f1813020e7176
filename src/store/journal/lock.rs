//! The kernel's lock on a run: for a runner's life, and longer where a child of it holds the descriptor.
//!
//! `flock(2)` belongs to the open file, not to the process: every descriptor that was duplicated or inherited from it
//! keeps the lock, a stopped process keeps it, and the kernel lets go of it when the last one is closed, however that
//! comes about.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::clock;
use crate::runbook::RunId;
use crate::store::open;

use super::JournalError;

/// How long taking waits for those that merely look whether somebody has the lock: they hold it for an instant.
const PATIENCE: Duration = Duration::from_millis(300);

/// The folder of a state directory with each run's lock and log.
const FOLDER: &str = "runs";

/// Where the folder with each run's files is. It is made where it is missing, and shared as the directory is.
pub(super) fn folder(dir: &Path) -> std::io::Result<PathBuf> {
    let folder = dir.join(FOLDER);
    match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) if open::is_shared(dir)? => {
            std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o2770))?;
        }
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(e),
    }
    Ok(folder)
}

fn path(dir: &Path, run: &RunId) -> PathBuf {
    dir.join(FOLDER).join(format!("{run}.lock"))
}

/// Opens the lock's file, for reading only: whatever inherits the descriptor cannot write into it.
fn file(path: &Path) -> std::io::Result<OwnedFd> {
    let flags = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
    std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path).map(OwnedFd::from)
}

/// Takes the lock, or says that another process has it.
pub(super) fn take(dir: &Path, run: &RunId) -> Result<OwnedFd, JournalError> {
    let path = path(dir, run);
    let failed = |source| JournalError::Lock { path: path.clone(), source };
    let folder = folder(dir).map_err(failed)?;
    open::create(&folder, &path).map_err(failed)?;
    let lock = file(&path).map_err(failed)?;
    let start = clock::now();
    loop {
        match rustix::fs::flock(lock.as_fd(), FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(lock),
            Err(Errno::WOULDBLOCK) if clock::now().since(start) < PATIENCE => {
                std::thread::park_timeout(Duration::from_millis(5));
            }
            Err(Errno::WOULDBLOCK) => return Err(JournalError::Held(run.clone())),
            Err(e) => return Err(failed(e.into())),
        }
    }
}

/// Whether somebody has the lock. An answer of the past, like every other; only taking it decides.
pub(super) fn is_taken(dir: &Path, run: &RunId) -> bool {
    let Ok(lock) = file(&path(dir, run)) else { return false };
    rustix::fs::flock(lock.as_fd(), FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
}
