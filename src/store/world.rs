//! Whether the practice world lives that a state directory belongs to: by the kernel's lock on a file in it, which whoever
//! keeps the world holds for its life. However that ends, the kernel lets go of it.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

/// The lock's file.
const FILE: &str = "world.lock";

/// Says that the world of this state directory lives, for as long as what this returns is kept.
///
/// # Errors
/// Where the file cannot be made, or another process has the lock.
pub fn hold(state: &Path) -> std::io::Result<OwnedFd> {
    let mut options = std::fs::OpenOptions::new();
    let file =
        OwnedFd::from(options.read(true).write(true).create(true).truncate(false).mode(0o600).open(state.join(FILE))?);
    rustix::fs::flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

/// Whether the world of this state directory lives.
#[must_use]
pub fn lives(state: &Path) -> bool {
    let Ok(file) = std::fs::File::open(state.join(FILE)) else { return false };
    rustix::fs::flock(file.as_fd(), FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_lives_as_long_as_it_is_held() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!lives(dir.path()), "there never was one");
        let held = hold(dir.path()).unwrap();
        assert!(lives(dir.path()) && lives(dir.path()), "looking takes nothing away");
        assert!(hold(dir.path()).is_err(), "one world to a directory");
        drop(held);
        assert!(!lives(dir.path()));
    }
}
