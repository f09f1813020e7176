//! One look at the directory: blocking, on a thread that may hang.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, NaiveDateTime, TimeZone as _, Utc};

use crate::plan::SafeText;
use crate::readiness::{Gap, Reason};

use super::memory::{Identity, Kept, Memory};
use super::options::{BackupFiles, Kind};
use super::parse::form::{self, Form, HEAD, TAIL};
use super::parse::pattern::Stamp;
use super::parse::pick::{Found, Picked, UNFINISHED, pick};
use super::parse::proof::{self, Proof};
use super::parse::rows::{Ends, Listing};

/// More entries than that are no directory of backups.
const MOST_ENTRIES: usize = 1_000_000;
/// More backups than that are not told apart by looking at each of them.
const MOST_MATCHING: usize = 200_000;

/// What one look at the directory found.
pub struct Survey {
    /// About the directory.
    pub listing: Listing,
    /// The backups in it.
    pub picked: Picked,
    /// What the ends of the newest backup say, and of the full one that it needs.
    pub ends: Vec<Ends>,
    /// The last restore; `None` where no marker is configured.
    pub proof: Option<Result<Option<Proof>, Gap>>,
    /// The newest backup, for whoever reads it in full.
    pub target: Option<Target>,
    /// The sizes of what is there, to see what grows.
    pub sizes: HashMap<String, u64>,
}

/// A backup to be read in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name, for people.
    pub name: SafeText,
    /// When it was begun.
    pub at: DateTime<Utc>,
    /// What it is.
    pub format: form::Format,
    /// Its first bytes.
    pub head: Vec<u8>,
    /// Where it is, and what tells it from another or from itself after it was changed.
    pub identity: Identity,
}

/// What earlier processes found when they read backups in full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Of the newest backup.
    pub earlier: Option<Kept>,
    /// The newest one of this directory that is still as it was when it was read to its end, and its start.
    pub sound: Option<(SafeText, DateTime<Utc>)>,
}

/// What is known of the backups of this directory. Blocks.
pub fn known(options: &BackupFiles, memory: &Memory, target: &Target) -> Known {
    let results = memory.results();
    let mut good: Vec<&Kept> = results.iter().filter(|k| k.broken.is_none()).collect();
    good.sort_by_key(|k| std::cmp::Reverse(k.at));
    let here = |k: &&&Kept| {
        let name = k.file.path.file_name().and_then(OsStr::to_str);
        k.file.path.parent() == Some(Path::new(&options.location))
            && name.is_some_and(|n| read_name(options, n).is_some())
    };
    let unchanged = |k: &&&Kept| identity(&k.file.path).is_ok_and(|now| now == k.file);
    let sound = good.iter().filter(here).find(unchanged);
    let name = |k: &Kept| SafeText::new(&k.file.path.file_name().unwrap_or_default().to_string_lossy());
    Known {
        earlier: results.iter().find(|k| k.file == target.identity).cloned(),
        sound: sound.map(|k| (name(k), k.at)),
    }
}

/// What tells the file at a path from another.
fn identity(path: &Path) -> Result<Identity, Gap> {
    let meta = fs::metadata(path).map_err(|e| gap(path, &e))?;
    let (size, modified) =
        if meta.is_dir() { of_directory(path, &meta, &AtomicBool::new(false))? } else { (meta.len(), modified(&meta)) };
    Ok(Identity { path: path.to_owned(), inode: meta.ino(), size, modified })
}

/// Looks. `sizes` are those of the look before, `now` is the wall clock; `stop` ends it early.
///
/// # Errors
/// Why the directory cannot be seen.
pub fn survey(
    options: &BackupFiles,
    sizes: &HashMap<String, u64>,
    now: DateTime<Utc>,
    stop: &AtomicBool,
) -> Result<Survey, Gap> {
    let dir = Path::new(&options.location);
    let seen = list(options, dir, stop)?;
    let matching = i64::try_from(seen.found.len()).unwrap_or(i64::MAX);
    let new_sizes = seen.found.iter().map(|f| (f.name.clone(), f.size)).collect();
    let picked = pick(options, seen.found, sizes, &local, now);
    let mut ends = Vec::new();
    let mut target = None;
    for (i, dated) in picked.newest.iter().chain(&picked.base).enumerate() {
        let found = &dated.found;
        if i > 0 && picked.newest.as_ref().is_some_and(|n| n.found.name == found.name) {
            break;
        }
        let path = dir.join(&found.name);
        let (form, head) = look_at(&path, found)?;
        ends.push(Ends::of(&found.name, &form));
        if i == 0 {
            let identity = Identity { path, inode: found.identity.1, size: found.size, modified: found.modified };
            let name = SafeText::new(&found.name);
            target = Some(Target { name, at: dated.at, format: form.format, head, identity });
        }
    }
    let listing = Listing {
        entries: seen.entries,
        matching,
        kept: i64::try_from(picked.kept).unwrap_or(i64::MAX),
        oldest: picked.oldest,
        writing: picked.writing.as_deref().map(SafeText::new),
        future: picked.future.as_deref().map(SafeText::new),
        late: picked.late.as_deref().map(SafeText::new),
        orphan: picked.orphans.first().map(|o| SafeText::new(o)),
        orphans: i64::try_from(picked.orphans.len()).unwrap_or(i64::MAX),
        strange: seen.strange.map(SafeText::from),
    };
    let proof = options.restore_proof.as_ref().map(|path| marker(Path::new(path)));
    Ok(Survey { listing, picked, ends, proof, target, sizes: new_sizes })
}

/// What an error means, with what it was about.
fn gap(what: &Path, e: &io::Error) -> Gap {
    let what = what.display();
    let os = |reason| Gap::new(reason, &format!("{what}: {e}"));
    match e.kind() {
        io::ErrorKind::NotFound => {
            Gap::new(Reason::Absent, &format!("{what} is not there; is its file system mounted?"))
        }
        io::ErrorKind::PermissionDenied => Gap::new(Reason::NoPrivilege, &format!("{what}: permission denied")),
        io::ErrorKind::NotADirectory => Gap::new(Reason::Malformed, &format!("{what} is no directory")),
        io::ErrorKind::StaleNetworkFileHandle => os(Reason::Unreachable),
        _ => os(Reason::QueryFailed),
    }
}

struct Seen {
    entries: i64,
    found: Vec<Found>,
    strange: Option<String>,
}

fn list(options: &BackupFiles, dir: &Path, stop: &AtomicBool) -> Result<Seen, Gap> {
    let too_many =
        |most: usize, what: &str| Gap::new(Reason::TooLarge, &format!("{} has more than {most} {what}", dir.display()));
    let mut names: Vec<(String, Kind, Option<Stamp>)> = Vec::new();
    let mut unfinished: Vec<String> = Vec::new();
    let (mut entries, mut strange) = (0_usize, None);
    for entry in fs::read_dir(dir).map_err(|e| gap(dir, &e))? {
        let entry = entry.map_err(|e| gap(dir, &e))?;
        if stop.load(Ordering::Relaxed) {
            return Err(Reason::TimedOut.into());
        }
        entries += 1;
        if entries > MOST_ENTRIES {
            return Err(too_many(MOST_ENTRIES, "entries"));
        }
        let name = entry.file_name();
        let lossy = name.to_string_lossy();
        if let Some(stem) = UNFINISHED.iter().find_map(|end| lossy.strip_suffix(end)) {
            unfinished.push(stem.to_owned());
            continue;
        }
        let Some((kind, stamp)) = read_name(options, &lossy) else { continue };
        if lossy.as_ref() != name.as_os_str() {
            strange = Some(lossy.into_owned());
            continue;
        }
        names.push((lossy.into_owned(), kind, stamp));
        if names.len() > MOST_MATCHING {
            return Err(too_many(MOST_MATCHING, "backups"));
        }
    }
    let mut found: Vec<Found> = Vec::with_capacity(names.len());
    let mut by_identity: HashMap<(u64, u64), usize> = HashMap::new();
    for (name, kind, stamp) in names {
        if stop.load(Ordering::Relaxed) {
            return Err(Reason::TimedOut.into());
        }
        let path = dir.join(&name);
        let meta = match fs::metadata(&path) {
            Ok(meta) if meta.is_file() || meta.is_dir() => meta,
            // A pipe or a device: to open it could wait forever.
            Ok(_) => {
                strange = Some(name);
                continue;
            }
            // Gone since it was listed; or a link that leads nowhere.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                if fs::symlink_metadata(&path).is_ok() {
                    strange = Some(name);
                }
                continue;
            }
            Err(e) => return Err(gap(&path, &e)),
        };
        let (size, modified) =
            if meta.is_dir() { of_directory(&path, &meta, stop)? } else { (meta.len(), modified(&meta)) };
        let unfinished = unfinished.contains(&name);
        let identity = (meta.dev(), meta.ino());
        let one = Found { name, kind, stamp, modified, size, directory: meta.is_dir(), identity, unfinished };
        // A link such as `latest` is no backup of its own, and tells no time.
        match by_identity.get(&identity).and_then(|i| found.get_mut(*i)) {
            Some(other) if fs::symlink_metadata(dir.join(&other.name)).is_ok_and(|m| m.is_symlink()) => *other = one,
            Some(_) => {}
            None => {
                by_identity.insert(identity, found.len());
                found.push(one);
            }
        }
    }
    Ok(Seen { entries: i64::try_from(entries).unwrap_or(i64::MAX), found, strange })
}

fn read_name(options: &BackupFiles, name: &str) -> Option<(Kind, Option<Stamp>)> {
    options.names.iter().find_map(|(kind, pattern)| pattern.read(name).map(|stamp| (*kind, stamp)))
}

/// The sum of the sizes of the files in a directory dump, and when it was last written.
fn of_directory(dir: &Path, meta: &Metadata, stop: &AtomicBool) -> Result<(u64, DateTime<Utc>), Gap> {
    let (mut size, mut newest) = (0_u64, modified(meta));
    for entry in fs::read_dir(dir).map_err(|e| gap(dir, &e))? {
        let entry = entry.map_err(|e| gap(dir, &e))?;
        if stop.load(Ordering::Relaxed) {
            return Err(Reason::TimedOut.into());
        }
        match entry.metadata() {
            Ok(meta) => {
                size = size.saturating_add(if meta.is_file() { meta.len() } else { 0 });
                newest = newest.max(modified(&meta));
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(gap(&entry.path(), &e)),
        }
    }
    Ok((size, newest))
}

fn modified(meta: &Metadata) -> DateTime<Utc> {
    let nanos = u32::try_from(meta.mtime_nsec()).unwrap_or(0);
    // Beyond the calendar is beyond now: such a file is of the future.
    DateTime::from_timestamp(meta.mtime(), nanos).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

fn local(clock: NaiveDateTime) -> Option<DateTime<Utc>> {
    // The hour that is there twice is taken the first time: a backup is made older by that, never younger.
    chrono::Local.from_local_datetime(&clock).earliest().map(|t| t.to_utc())
}

/// Opens a file that was a regular one a moment ago, without ever waiting for it.
fn open(path: &Path) -> io::Result<File> {
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a regular file")) }
}

/// Up to so many bytes from here on.
fn some(file: &File, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(most);
    file.take(u64::try_from(most).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What the ends of a backup say, and its first bytes.
fn look_at(path: &Path, found: &Found) -> Result<(Form, Vec<u8>), Gap> {
    if found.directory {
        let toc = path.join("toc.dat");
        return match open(&toc).and_then(|f| some(&f, HEAD)) {
            Ok(head) => Ok((form::directory(Some(&head)), head)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok((form::directory(None), Vec::new())),
            Err(e) => Err(gap(&toc, &e)),
        };
    }
    let read = || {
        let mut file = open(path)?;
        let head = some(&file, HEAD)?;
        let tail = u64::try_from(TAIL).unwrap_or(u64::MAX);
        file.seek(SeekFrom::Start(found.size.saturating_sub(tail)))?;
        Ok((head, some(&file, TAIL)?))
    };
    let (head, tail) = read().map_err(|e| gap(path, &e))?;
    Ok((form::file(&found.name, found.size, &head, &tail), head))
}

/// The marker of the last restore; `None` where there is none.
fn marker(path: &Path) -> Result<Option<Proof>, Gap> {
    let read = || {
        let file = open(path)?;
        Ok((modified(&file.metadata()?), some(&file, proof::LARGEST + 1)?))
    };
    match read() {
        Err(e) if io::Error::kind(&e) == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(gap(path, &e)),
        Ok((_, content)) if content.len() > proof::LARGEST => {
            let name = path.file_name().unwrap_or(OsStr::new("the marker")).to_string_lossy();
            Err(Gap::new(Reason::TooLarge, &format!("{name} is larger than any marker of a restore")))
        }
        Ok((modified, content)) => proof::read(&content, modified).map(Some),
    }
}
