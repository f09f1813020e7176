//! A session's events in a file: JSON lines, the first one a header. Recordings become tests.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::app::Stamped;
use crate::plan::{Now, SafeText, mask};

/// The version of the format.
pub const VERSION: u32 = 1;
/// Events that may wait for the disk.
const WAITING: usize = 4_096;
/// Longest line that is read back: far above any honest look.
const LONGEST: u64 = 64 << 20;

/// One file of the configuration, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its name, as the user gave it.
    pub name: String,
    /// Its text, masked.
    pub text: String,
    /// How many secrets were masked.
    pub masked: usize,
}

impl Source {
    /// A configuration file as it goes into a recording: passwords in it are replaced.
    #[must_use]
    pub fn new(name: &str, text: &str) -> Self {
        let (text, masked) = mask::masked(text);
        Self { name: name.to_owned(), text, masked }
    }
}

/// The first line of a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The version of the format.
    pub lifeboat_recording: u32,
    /// The program that made it.
    pub program: String,
    /// When the session started.
    pub started: Now,
    /// The observer's boot.
    pub boot: SafeText,
    /// The configuration.
    pub config: Vec<Source>,
    /// What is not in here.
    pub redacted: String,
}

impl Header {
    /// The header of a session that starts now.
    #[must_use]
    pub fn new(started: Now, boot: SafeText, config: Vec<Source>) -> Self {
        Self {
            lifeboat_recording: VERSION,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            started,
            boot,
            config,
            redacted: "secrets in the configuration are masked; pasted text is not recorded".to_owned(),
        }
    }
}

/// Why a recording cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file cannot be made, read or written.
    #[error("{}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why; in the sentence, so it is no source that would be said again.
        why: std::io::Error,
    },
    /// A file of that name is there already.
    #[error("{}: exists already; recordings are never overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// It does not begin as a recording does.
    #[error("{}: no recording of lifeboat: {why}", path.display())]
    NoRecording {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A newer program made it.
    #[error("{}: recorded by a newer lifeboat (format {found}, this one knows {VERSION})", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// A line in the middle is not an event.
    #[error("{}: line {line} is no event: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// The disk was slower than the session, and events are missing.
    #[error("{}: {missing} events are missing: the disk was too slow", path.display())]
    Incomplete {
        /// The file.
        path: PathBuf,
        /// How many.
        missing: u64,
    },
}

/// Writes a session's events, from a thread of its own.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    lines: Option<SyncSender<Stamped>>,
    done: Option<std::thread::JoinHandle<()>>,
    failure: Arc<Mutex<Option<std::io::Error>>>,
    missing: u64,
}

impl Recorder {
    /// Makes the file, readable for this user alone, and writes the header.
    ///
    /// # Errors
    /// Where the file exists or cannot be made.
    pub fn create(path: &Path, header: &Header) -> Result<Self, RecordingError> {
        let failed = |why: std::io::Error| match why.kind() {
            std::io::ErrorKind::AlreadyExists => RecordingError::Exists { path: path.to_path_buf() },
            _ => RecordingError::File { path: path.to_path_buf(), why },
        };
        let file = File::options().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
        let mut out = BufWriter::new(file);
        line(&mut out, header).and_then(|()| out.flush()).map_err(failed)?;
        let (lines, events) = sync_channel(WAITING);
        let failure = Arc::new(Mutex::new(None));
        let done = {
            let failure = Arc::clone(&failure);
            std::thread::Builder::new().name("record".into()).spawn(move || {
                if let Err(e) = write_all(&mut out, &events) {
                    *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(e);
                }
            })
        };
        let done = Some(done.map_err(failed)?);
        Ok(Self { path: path.to_path_buf(), lines: Some(lines), done, failure, missing: 0 })
    }

    /// Records one event. Never waits: what the disk cannot follow is counted, and [`Recorder::finish`] says so.
    pub fn record(&mut self, event: Stamped) {
        let Some(lines) = &self.lines else { return };
        match lines.try_send(event) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.missing += 1,
        }
    }

    /// Writes what is left. Waits for the disk.
    ///
    /// # Errors
    /// Where something could not be written: the recording is not whole.
    pub fn finish(mut self) -> Result<(), RecordingError> {
        drop(self.lines.take());
        let joined = self.done.take().is_none_or(|d| d.join().is_ok());
        let path = self.path.clone();
        if let Some(why) = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(RecordingError::File { path, why });
        }
        if !joined || self.missing > 0 {
            return Err(RecordingError::Incomplete { path, missing: self.missing });
        }
        Ok(())
    }
}

/// Writes every event that comes; to the disk whenever none waits, so that a session that is killed leaves what it saw.
fn write_all(out: &mut BufWriter<File>, events: &Receiver<Stamped>) -> std::io::Result<()> {
    while let Ok(event) = events.recv() {
        line(out, &event)?;
        while let Ok(event) = events.try_recv() {
            line(out, &event)?;
        }
        out.flush()?;
    }
    Ok(())
}

fn line<T: Serialize>(out: &mut impl Write, what: &T) -> std::io::Result<()> {
    serde_json::to_writer(&mut *out, what)?;
    out.write_all(b"\n")
}

/// A recording, read back.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// Its header.
    pub header: Header,
    /// Its events, in the order in which they happened.
    pub events: Vec<Stamped>,
    /// True where the last line is cut: the session was killed while it was written.
    pub cut: bool,
}

impl Recording {
    /// Reads a recording, and checks every line. A last line that is cut is left out, and said ([`Recording::cut`]).
    ///
    /// # Errors
    /// Where it cannot be read, is none, is newer than this program, or is damaged, with the line.
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        let file = File::open(path).map_err(|why| RecordingError::File { path: path.to_path_buf(), why })?;
        Self::read(path, file)
    }

    /// Reads a recording from anything; `path` is for errors.
    ///
    /// # Errors
    /// As [`Recording::open`].
    pub fn read(path: &Path, from: impl Read) -> Result<Self, RecordingError> {
        #[derive(Deserialize)]
        struct Version {
            lifeboat_recording: u32,
        }
        let mut from = BufReader::new(from);
        let none = |why: &str| RecordingError::NoRecording { path: path.to_path_buf(), why: why.to_owned() };
        let (first, whole) = next(path, &mut from, 1)?.ok_or_else(|| none("it is empty"))?;
        if !whole {
            return Err(none("its first line is cut"));
        }
        let version: Version = serde_json::from_slice(&first).map_err(|_| none("its first line is no header"))?;
        if version.lifeboat_recording > VERSION {
            return Err(RecordingError::Newer { path: path.to_path_buf(), found: version.lifeboat_recording });
        }
        let header: Header = serde_json::from_slice(&first).map_err(|e| none(&format!("its header: {e}")))?;
        let mut recording = Self { header, events: Vec::new(), cut: false };
        for number in 2.. {
            let Some((text, whole)) = next(path, &mut from, number)? else { break };
            if !whole {
                recording.cut = true;
                break;
            }
            let event = serde_json::from_slice(&text).map_err(|e| RecordingError::Damaged {
                path: path.to_path_buf(),
                line: number,
                why: e.to_string(),
            })?;
            recording.events.push(event);
        }
        Ok(recording)
    }
}

/// One line, and whether it was ended; `None` at the end.
fn next(path: &Path, from: &mut impl BufRead, number: usize) -> Result<Option<(Vec<u8>, bool)>, RecordingError> {
    let mut text = Vec::new();
    let got = from.by_ref().take(LONGEST).read_until(b'\n', &mut text);
    let got = got.map_err(|why| RecordingError::File { path: path.to_path_buf(), why })?;
    if u64::try_from(got).unwrap_or(u64::MAX) >= LONGEST && !text.ends_with(b"\n") {
        let why = "it is too long".to_owned();
        return Err(RecordingError::Damaged { path: path.to_path_buf(), line: number, why });
    }
    let whole = text.ends_with(b"\n");
    Ok((got > 0).then_some((text, whole)))
}
