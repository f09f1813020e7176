//! Why a history cannot be used.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::ErrorCode;

/// Why the history cannot be used. The session goes on without it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory or the file cannot be made or opened.
    #[error("{}: {source}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A newer program made this file.
    #[error("{}: written by a newer lifeboat (schema {found}, this one knows {known}): use that one", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema that this program knows.
        known: i64,
    },
    /// The file is not a history of this program, or it is damaged.
    #[error("{}: damaged, or no history of lifeboat ({why}): move it away to start a new one", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        why: String,
    },
    /// Another process holds it for longer than is sound.
    #[error("{}: locked by another process", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// No space is left, on the disk or within the file's own limit.
    #[error("{}: no space left", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be written here.
    #[error("{}: cannot be written: {why}", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        why: String,
    },
    /// Anything else that SQLite says.
    #[error("{}: {source}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What it says.
        source: rusqlite::Error,
    },
    /// Not everything was on disk in time.
    #[error("{}: not everything was kept within {} ms", path.display(), limit.as_millis())]
    Late {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: Duration,
    },
}

impl StoreError {
    /// SQLite's error, in this program's words.
    pub(super) fn of(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_path_buf();
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                Self::Damaged { path, why: source.to_string() }
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked { path },
            Some(ErrorCode::DiskFull) => Self::Full { path },
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Self::ReadOnly { path, why: source.to_string() }
            }
            Some(_) | None => Self::Sqlite { path, source },
        }
    }
}
