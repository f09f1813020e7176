//! The file that a journal has open, told from whatever is at its path by now. A file that was removed takes entries on,
//! and nobody will ever read them.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::JournalError;

/// What names a file whatever its path is: device and inode.
type Inode = (u64, u64);

/// The journal's file, as it was when it was opened. Not its write-ahead log: whoever closes the journal last removes that,
/// and whoever opens it first makes another.
#[derive(Debug)]
pub(super) struct Files(PathBuf, Inode);

impl Files {
    /// The file at this path, right after it was opened.
    pub(super) fn at(path: &Path) -> Result<Self, JournalError> {
        Ok(Self(path.to_path_buf(), inode(path)?))
    }

    /// Whether the file at the path is still the one that is open.
    pub(super) fn are_there(&self) -> Result<(), JournalError> {
        let Self(path, ours) = self;
        if inode(path)? == *ours {
            return Ok(());
        }
        Err(JournalError::Gone { path: path.clone(), how: "another file is there".to_owned() })
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
