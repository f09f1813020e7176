//! What reading in full found, kept for the next process.
//!
//! It is a file of the state directory, which this module alone reads and writes. The history is no place for it: a lane
//! may not use the store, and would have to wait for it; this is read by the thread that surveys the directory anyway.
//! What is kept belongs to one file of one machine: path, inode, size and time of writing. Anything else is not believed.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use rustix::fs::{FlockOperation, OFlags, flock};
use serde::{Deserialize, Serialize};

use crate::plan::Span;

/// The file's name in the state directory.
const FILE: &str = "decoded.json";
/// Held while the file is changed.
const CHANGING: &str = "decoded.lock";
/// Held while a backup is read in full: one at a time on this machine, whatever process does it.
const READING: &str = "decoding.lock";
/// The format of the file.
const VERSION: u32 = 1;
/// How many results are kept: the newest.
const MOST: usize = 256;
/// A file that is larger is none of ours.
const LARGEST: u64 = 1 << 20;

/// What tells a file from another, or from itself after it was changed. Not its device: that is numbered anew when a
/// machine starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Where it is.
    pub path: PathBuf,
    /// Its inode.
    pub inode: u64,
    /// Its size; of a directory, that of all files in it.
    pub size: u64,
    /// When it was last written.
    pub modified: DateTime<Utc>,
}

/// One result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The machine that read it.
    machine: String,
    /// What was read.
    pub file: Identity,
    /// When that backup was begun.
    pub at: DateTime<Utc>,
    /// Why it cannot be read; `None` where it was read to its end.
    pub broken: Option<String>,
    /// When it was done, by the wall clock.
    pub finished: DateTime<Utc>,
    /// How long it took.
    pub took: Span,
}

#[derive(Default, Serialize, Deserialize)]
struct Contents {
    version: u32,
    results: Vec<Kept>,
}

/// The results of this machine.
#[derive(Clone, Debug)]
pub struct Memory {
    dir: PathBuf,
    machine: String,
}

impl Memory {
    /// Of the state in this directory; `None` where this machine has no name that would tell it from another. Makes
    /// nothing and reads nothing of the directory.
    #[must_use]
    pub fn of(dir: &Path) -> Option<Self> {
        let read = |path: &str| fs::read_to_string(path).map(|t| t.trim().to_owned()).unwrap_or_default();
        let (id, name) = (read("/etc/machine-id"), read("/proc/sys/kernel/hostname"));
        (!id.is_empty() || !name.is_empty()).then(|| Self { dir: dir.to_owned(), machine: format!("{id} {name}") })
    }

    /// What this machine has read, newest first. Nothing, where the file is missing or makes no sense: then it is read anew.
    #[must_use]
    pub fn results(&self) -> Vec<Kept> {
        let mut all = self.contents().unwrap_or_else(|e| {
            tracing::warn!(%e, dir = %self.dir.display(), "what was read in full before is not known");
            Vec::new()
        });
        all.retain(|k| k.machine == self.machine);
        all.sort_by_key(|k| std::cmp::Reverse(k.finished));
        all
    }

    /// What is known of this file, as it is now.
    #[must_use]
    pub fn of_file(&self, file: &Identity) -> Option<Kept> {
        self.results().into_iter().find(|k| k.file == *file)
    }

    /// Keeps a result, in the place of an earlier one of the same path.
    ///
    /// # Errors
    /// Why it cannot be kept.
    pub fn keep(
        &self,
        file: Identity,
        at: DateTime<Utc>,
        broken: Option<String>,
        finished: DateTime<Utc>,
        took: Span,
    ) -> io::Result<()> {
        let _changing = self.lock(CHANGING, FlockOperation::LockExclusive)?;
        let mut results = self.contents().unwrap_or_default();
        results.retain(|k| k.machine != self.machine || k.file.path != file.path);
        results.push(Kept { machine: self.machine.clone(), file, at, broken, finished, took });
        results.sort_by_key(|k| std::cmp::Reverse(k.finished));
        results.truncate(MOST);
        let text = serde_json::to_vec(&Contents { version: VERSION, results }).map_err(io::Error::other)?;
        // A reader sees the one or the other, never a half.
        let made = self.dir.join(format!("{FILE}.{}", std::process::id()));
        drop(fs::remove_file(&made));
        let mut file = self.open(&made, fs::OpenOptions::new().create_new(true).write(true))?;
        file.write_all(&text)?;
        fs::rename(&made, self.dir.join(FILE))
    }

    /// The right to read a backup in full; `None` while another process has it. It ends with what is returned.
    ///
    /// # Errors
    /// Where the state directory cannot be written in.
    pub fn turn(&self) -> io::Result<Option<File>> {
        match self.lock(READING, FlockOperation::NonBlockingLockExclusive) {
            Ok(lock) => Ok(Some(lock)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn contents(&self) -> io::Result<Vec<Kept>> {
        let mut options = fs::OpenOptions::new();
        let file = match self.open(&self.dir.join(FILE), options.read(true)) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e),
        };
        let mut text = Vec::new();
        file.take(LARGEST).read_to_end(&mut text)?;
        let contents: Contents = serde_json::from_slice(&text).map_err(io::Error::other)?;
        if contents.version == VERSION {
            Ok(contents.results)
        } else {
            Err(io::Error::other(format!("{FILE} is of version {}", contents.version)))
        }
    }

    fn lock(&self, name: &str, how: FlockOperation) -> io::Result<File> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        let file = self.open(&self.dir.join(name), fs::OpenOptions::new().create(true).append(true))?;
        flock(&file, how)?;
        Ok(file)
    }

    /// Opens a file of the directory: of this user alone, or of the directory's group where that may write in it. Follows
    /// no link, which in a shared directory could lead anywhere.
    fn open(&self, path: &Path, options: &mut fs::OpenOptions) -> io::Result<File> {
        let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
        let new = !path.exists();
        let file = options.mode(0o600).custom_flags(flags).open(path)?;
        if new && fs::metadata(&self.dir)?.permissions().mode() & 0o020 != 0 {
            file.set_permissions(Permissions::from_mode(0o660))?;
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn file(path: &str, size: u64) -> Identity {
        Identity { path: path.into(), inode: 7, size, modified: DateTime::from_timestamp(1_000, 5).unwrap() }
    }

    fn keep(memory: &Memory, of: Identity, broken: Option<&str>) {
        let now = clock::now().wall;
        memory.keep(of, now, broken.map(str::to_owned), now, Span::secs(3)).unwrap();
    }

    #[test]
    fn a_result_is_of_one_file_as_it_was_and_of_one_machine() {
        let dir = tempfile::tempdir().unwrap();
        let memory = Memory::of(dir.path()).unwrap();
        assert_eq!(memory.of_file(&file("/b/a", 1)), None);
        keep(&memory, file("/b/a", 1), None);
        keep(&memory, file("/b/b", 1), Some("torn"));
        assert_eq!(memory.of_file(&file("/b/a", 1)).unwrap().broken, None);
        assert_eq!(memory.of_file(&file("/b/b", 1)).unwrap().broken.as_deref(), Some("torn"));
        let mut others = [file("/b/a", 2), file("/b/a", 1), file("/b/a", 1), file("/c/a", 1)];
        others[1].inode = 8;
        others[2].modified = DateTime::from_timestamp(1_000, 6).unwrap();
        assert!(others.iter().all(|o| memory.of_file(o).is_none()));
        let another = Memory { machine: "another".to_owned(), ..memory.clone() };
        assert_eq!(another.of_file(&file("/b/a", 1)), None, "another machine's file");
        // Both keep their own beside each other.
        keep(&another, file("/b/a", 1), Some("torn"));
        assert_eq!(memory.of_file(&file("/b/a", 1)).unwrap().broken, None);
    }

    #[test]
    fn it_is_bounded_and_what_makes_no_sense_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let memory = Memory::of(&dir.path().join("deep/er")).unwrap();
        for i in 0..MOST + 3 {
            keep(&memory, file(&format!("/b/{i}"), 1), None);
        }
        assert_eq!(memory.results().len(), MOST);
        assert!(memory.of_file(&file("/b/0", 1)).is_none(), "the oldest went");
        let path = dir.path().join("deep/er").join(FILE);
        let text = fs::read_to_string(&path).unwrap();
        for bad in ["", "{}", "no json", &text.replace("\"version\":1", "\"version\":2")] {
            fs::write(&path, bad).unwrap();
            assert!(memory.results().is_empty(), "{bad:.30}");
        }
        keep(&memory, file("/b/a", 1), None);
        assert_eq!(memory.results().len(), 1, "and it starts anew");
    }

    #[test]
    fn one_reads_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let memory = Memory::of(dir.path()).unwrap();
        let turn = memory.turn().unwrap();
        assert!(turn.is_some());
        assert!(memory.turn().unwrap().is_none());
        drop(turn);
        assert!(memory.turn().unwrap().is_some());
    }

    #[test]
    fn nobody_else_may_read_it_unless_the_directory_is_shared() {
        let dir = tempfile::tempdir().unwrap();
        for (directory, mode) in [(0o700, 0o600), (0o2770, 0o660)] {
            let shared = dir.path().join(format!("{directory:o}"));
            fs::create_dir(&shared).unwrap();
            fs::set_permissions(&shared, Permissions::from_mode(directory)).unwrap();
            keep(&Memory::of(&shared).unwrap(), file("/b/a", 1), None);
            assert_eq!(fs::metadata(shared.join(FILE)).unwrap().permissions().mode() & 0o777, mode);
        }
    }
}
