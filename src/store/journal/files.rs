//! The files that a journal has open, told from whatever is at their path by now. A file that was removed takes entries on,
//! and nobody will ever read them.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::JournalError;

/// What names a file whatever its path is: device and inode.
type Inode = (u64, u64);

/// The journal and its write-ahead log, as they were when they were opened.
#[derive(Debug)]
pub(super) struct Files([(PathBuf, Inode); 2]);

impl Files {
    /// The files at this path, right after they were opened.
    pub(super) fn at(path: &Path) -> Result<Self, JournalError> {
        let mut log = OsString::from(path);
        log.push("-wal");
        let of = |path: PathBuf| inode(&path).map(|found| (path, found));
        Ok(Self([of(path.to_path_buf())?, of(log.into())?]))
    }

    /// Whether the files at the path are still those that are open.
    pub(super) fn are_there(&self) -> Result<(), JournalError> {
        for (path, ours) in &self.0 {
            if inode(path)? != *ours {
                return Err(JournalError::Gone { path: path.clone(), how: "another file is there".to_owned() });
            }
        }
        Ok(())
    }
}

/// Nothing is opened to find out: closing it would let go of every lock that another connection of this process has on it
/// (fcntl(2)).
fn inode(path: &Path) -> Result<Inode, JournalError> {
    let gone = |e: std::io::Error| {
        let how = if e.kind() == ErrorKind::NotFound { "it was removed".to_owned() } else { e.to_string() };
        JournalError::Gone { path: path.to_path_buf(), how }
    };
    std::fs::symlink_metadata(path).map(|m| (m.dev(), m.ino())).map_err(gone)
}
