//! Reading a backup in full: in the background, with low priority, one at a time, and once for each file, whichever
//! process did it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use ruzstd::decoding::StreamingDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use tokio::io::AsyncReadExt as _;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::clock;
use crate::plan::{Now, SafeText, Span};

use super::memory::{Kept, Memory};
use super::parse::form::{self, Format, HEAD, TAIL};
use super::parse::rows::Decoding;
use super::survey::{Known, Target};

/// One at a time in this process: it reads as fast as disks do. Where there is a memory, on this machine.
static ONE: Semaphore = Semaphore::const_new(1);
/// How often a process asks whether another one is done with reading.
const TURN: Duration = Duration::from_secs(1);
/// The longest that reading one backup may take.
const LONGEST: Duration = Duration::from_secs(86_400);
/// After this long, what could not be tried is tried again.
const AGAIN: Duration = Duration::from_secs(600);
/// How much of what a program complains about is kept.
const COMPLAINTS: u64 = 16 * 1_024;
/// The largest window of a zstd that is decoded: that of its `--long=27`.
const WINDOW: u64 = 128 << 20;

/// What reading in full found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it can be read.
    Good,
    /// It cannot, and this is why.
    Bad(String),
    /// It could not be tried.
    Cannot(String),
}

#[derive(Clone, Debug)]
enum Phase {
    Waiting,
    Running,
    Done { outcome: Outcome, finished: DateTime<Utc>, took: Span },
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// When it came to that.
    since: Now,
    /// What an earlier process found of the same file, until this one has read it too.
    earlier: Option<Kept>,
    /// The newest that was good, and its start.
    sound: Option<(SafeText, DateTime<Utc>)>,
}

impl State {
    fn new(phase: Phase, earlier: Option<Kept>, sound: Option<(SafeText, DateTime<Utc>)>) -> Self {
        Self { phase, since: clock::now(), earlier, sound }
    }

    fn done(outcome: Outcome, kept: &Kept) -> Phase {
        Phase::Done { outcome, finished: kept.finished, took: kept.took }
    }
}

/// Reads the newest backup in full, once.
#[derive(Debug, Default)]
pub struct Decoder {
    memory: Option<Memory>,
    target: Option<Target>,
    state: Option<Arc<Mutex<State>>>,
    task: Option<JoinHandle<()>>,
}

impl Drop for Decoder {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Decoder {
    /// With what earlier processes found; without, each process starts with nothing.
    #[must_use]
    pub fn new(memory: Option<Memory>) -> Self {
        Self { memory, target: None, state: None, task: None }
    }

    /// How far reading this backup has come; begins to where it has not. Never waits. `known` is what earlier processes found,
    /// as the survey read it.
    pub fn consider(&mut self, target: &Target, known: Known) -> Decoding {
        let mine = self.state.as_ref().filter(|_| self.target.as_ref() == Some(target));
        let again = |s: &State| match &s.phase {
            Phase::Done { outcome: Outcome::Cannot(_), .. } => clock::now().since(s.since) > AGAIN,
            Phase::Done { outcome: Outcome::Good | Outcome::Bad(_), .. } | Phase::Waiting | Phase::Running => false,
        };
        let state = match (mine.filter(|s| !again(&lock(s))), known.earlier) {
            (Some(state), _) => Arc::clone(state),
            (None, Some(kept)) if kept.broken.is_none() => self.recall(target, &kept),
            // A disk may have had a bad day: what could not be read is said, and tried again once.
            (None, earlier) => self.begin(target, earlier),
        };
        let state = lock(&state);
        let earlier = state.earlier.as_ref().and_then(|k| Some((k, k.broken.as_deref()?)));
        let (word, detail, finished, took) = match (&state.phase, earlier) {
            (Phase::Waiting | Phase::Running, Some((kept, why))) => {
                ("bad-before", why, Some(kept.finished), Some(kept.took))
            }
            (Phase::Waiting, None) => ("waiting", "", None, None),
            (Phase::Running, None) => ("running", "", None, None),
            (Phase::Done { outcome, finished, took }, _) => match outcome {
                Outcome::Good => ("good", "", Some(*finished), Some(*took)),
                Outcome::Bad(why) => ("bad", why.as_str(), Some(*finished), Some(*took)),
                Outcome::Cannot(why) => ("cannot", why.as_str(), Some(*finished), Some(*took)),
            },
        };
        Decoding {
            name: target.name.clone(),
            state: word.into(),
            detail: detail.into(),
            finished,
            took,
            sound: [state.sound.clone(), known.sound].into_iter().flatten().max_by_key(|(_, at)| *at),
        }
    }

    /// Takes what an earlier process found.
    fn recall(&mut self, target: &Target, kept: &Kept) -> Arc<Mutex<State>> {
        let sound = Some((target.name.clone(), target.at));
        self.replace(target, State::new(State::done(Outcome::Good, kept), None, sound))
    }

    fn begin(&mut self, target: &Target, earlier: Option<Kept>) -> Arc<Mutex<State>> {
        let sound = self.state.as_ref().and_then(|s| lock(s).sound.clone());
        let state = self.replace(target, State::new(Phase::Waiting, earlier, sound));
        self.task = Some(tokio::spawn(run(target.clone(), self.memory.clone(), Arc::clone(&state))));
        state
    }

    fn replace(&mut self, target: &Target, state: State) -> Arc<Mutex<State>> {
        if let Some(task) = self.task.take() {
            task.abort();
        }
        let state = Arc::new(Mutex::new(state));
        self.target = Some(target.clone());
        self.state = Some(Arc::clone(&state));
        state
    }
}

async fn run(target: Target, memory: Option<Memory>, state: Arc<Mutex<State>>) {
    let Ok(_turn) = ONE.acquire().await else { return };
    let earlier = lock(&state).earlier.clone();
    // Held until this is done.
    let _alone = match &memory {
        Some(memory) => alone(memory).await,
        None => None,
    };
    // Another process may have read it meanwhile.
    let found = match &memory {
        Some(memory) => of_file(memory, &target).await,
        None => None,
    };
    if let Some(kept) = found.filter(|k| Some(k) != earlier.as_ref()) {
        let outcome = kept.broken.clone().map_or(Outcome::Good, Outcome::Bad);
        conclude(&target, &state, State::done(outcome, &kept));
        return;
    }
    lock(&state).phase = Phase::Running;
    let begun = clock::now();
    let outcome = tokio::time::timeout(LONGEST, decode(&target)).await;
    let outcome = outcome.unwrap_or_else(|_| Outcome::Cannot(format!("not done within {}", Span(LONGEST))));
    let done = clock::now();
    let (finished, took) = (done.wall, Span(done.since(begun)));
    if let Some(memory) = memory {
        keep(memory, &target, &outcome, finished, took).await;
    }
    conclude(&target, &state, Phase::Done { outcome, finished, took });
}

fn conclude(target: &Target, state: &Mutex<State>, phase: Phase) {
    let mut state = lock(state);
    if matches!(&phase, Phase::Done { outcome: Outcome::Good, .. }) {
        state.sound = Some((target.name.clone(), target.at));
    }
    state.phase = phase;
    state.since = clock::now();
}

/// Waits until no other process of this machine reads a backup. Where the state directory cannot be used, nobody is waited
/// for.
async fn alone(memory: &Memory) -> Option<File> {
    loop {
        let asked = memory.clone();
        match tokio::task::spawn_blocking(move || asked.turn()).await {
            Ok(Ok(Some(turn))) => return Some(turn),
            Ok(Ok(None)) => tokio::time::sleep(TURN).await,
            Ok(Err(e)) => {
                tracing::warn!(%e, "backups may be read in full by several processes at once");
                return None;
            }
            Err(_ended) => return None,
        }
    }
}

async fn of_file(memory: &Memory, target: &Target) -> Option<Kept> {
    let (memory, file) = (memory.clone(), target.identity.clone());
    tokio::task::spawn_blocking(move || memory.of_file(&file)).await.ok().flatten()
}

/// Keeps what was found for other processes. What could not be tried is tried by each of them.
async fn keep(memory: Memory, target: &Target, outcome: &Outcome, finished: DateTime<Utc>, took: Span) {
    let broken = match outcome {
        Outcome::Good => None,
        Outcome::Bad(why) => Some(why.clone()),
        Outcome::Cannot(_) => return,
    };
    let (file, at) = (target.identity.clone(), target.at);
    let kept = tokio::task::spawn_blocking(move || memory.keep(file, at, broken, finished, took)).await;
    match kept {
        Ok(Ok(())) => {}
        Ok(Err(e)) => tracing::warn!(%e, "what reading in full found is not kept"),
        Err(e) => tracing::warn!(%e, "what reading in full found is not kept"),
    }
}

/// The program that reads a backup to its end, and its words before the file's name.
pub(super) struct Tool {
    pub(super) name: &'static str,
    pub(super) arguments: &'static [&'static str],
}

/// What reads a backup in full; `None` where this program does so itself, or nothing does.
pub(super) fn tool(target: &Target) -> Option<Tool> {
    let of_postgres = target.head.starts_with(b"toc.dat\0");
    let (name, arguments): (_, &[&str]) = match target.format {
        Format::Custom | Format::Directory => ("pg_restore", &["-f", "/dev/null"]),
        Format::Tar if of_postgres => ("pg_restore", &["-f", "/dev/null"]),
        Format::Tar => ("tar", &["-tf"]),
        Format::Xz => ("xz", &["-qt"]),
        Format::Bzip2 => ("bzip2", &["-qt"]),
        Format::Lz4 => ("lz4", &["-qt"]),
        Format::Gzip | Format::Zstd | Format::Plain | Format::Encrypted | Format::Other(_) => return None,
        Format::Text | Format::Zeros | Format::Empty | Format::Unknown => return None,
    };
    Some(Tool { name, arguments })
}

/// Reads one backup in full.
async fn decode(target: &Target) -> Outcome {
    if let Some(Tool { name, arguments }) = tool(target) {
        return program(name, arguments, target.identity.path.as_path()).await;
    }
    match target.format {
        // All of these have a tool.
        Format::Custom | Format::Directory | Format::Tar | Format::Xz | Format::Bzip2 | Format::Lz4 => {
            Outcome::Cannot(format!("nothing here reads {}", target.format.name()))
        }
        Format::Gzip | Format::Zstd | Format::Plain => here(target).await,
        Format::Encrypted => Outcome::Cannot("it is encrypted".to_owned()),
        Format::Empty | Format::Zeros => Outcome::Bad("there is nothing in it".to_owned()),
        Format::Other(_) | Format::Text | Format::Unknown => {
            Outcome::Cannot(format!("nothing here reads {}", target.format.name()))
        }
    }
}

/// Complaints that say nothing about the backup: this machine's program is too old for it, or was built without something.
const NOT_ITS_FAULT: [&str; 5] =
    ["unsupported version", "without support for", "not built with", "Permission denied", "Cannot allocate memory"];

/// Runs a program that reads a file to its end. It has the lowest priority, and is killed when nobody waits for it.
async fn program(name: &str, arguments: &[&str], path: &Path) -> Outcome {
    let spawned = tokio::process::Command::new(name)
        .args(arguments)
        .arg(path)
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Outcome::Cannot(format!("{name} is not installed on this machine"));
        }
        Err(e) => return Outcome::Cannot(format!("{name}: {e}")),
    };
    if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw) {
        // Without it, the reading is only less polite.
        if let Err(e) = rustix::process::setpriority_process(Some(pid), 19) {
            tracing::debug!(%e, "the priority could not be lowered");
        }
    }
    let mut complaints = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        let mut stderr = stderr.take(COMPLAINTS);
        drop(stderr.read_to_end(&mut complaints).await);
        // Whatever follows is not kept, but must not block the program either.
        drop(tokio::io::copy(&mut stderr.into_inner(), &mut tokio::io::sink()).await);
    }
    let complaints = String::from_utf8_lossy(&complaints).into_owned();
    let line = complaints.lines().map(str::trim).find(|l| !l.is_empty()).unwrap_or("no reason given").to_owned();
    match child.wait().await {
        Ok(status) if status.success() => Outcome::Good,
        Ok(_) if NOT_ITS_FAULT.iter().any(|c| complaints.contains(c)) => Outcome::Cannot(line),
        Ok(status) if status.code().is_none() => Outcome::Cannot(format!("{name} was stopped: {status}")),
        Ok(_) => Outcome::Bad(line),
        Err(e) => Outcome::Cannot(format!("{name}: {e}")),
    }
}

/// Set when nobody waits any more.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Reads in this process, on a thread of its own: its priority cannot be raised again.
async fn here(target: &Target) -> Outcome {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let stop = Stop(Arc::default());
    let (flag, target) = (Arc::clone(&stop.0), target.clone());
    let thread = std::thread::Builder::new().name("decode".to_owned()).spawn(move || {
        if let Err(e) = rustix::process::nice(19) {
            tracing::debug!(%e, "the priority could not be lowered");
        }
        // Nobody may wait for it any more.
        drop(sender.send(read(&target, &flag)));
    });
    match thread {
        Ok(_) => receiver.await.unwrap_or_else(|_| Outcome::Cannot("the decoder panicked".to_owned())),
        Err(e) => Outcome::Cannot(e.to_string()),
    }
}

fn read(target: &Target, stop: &AtomicBool) -> Outcome {
    let file = match File::open(&target.identity.path) {
        Ok(file) => BufReader::with_capacity(1 << 18, file),
        Err(e) => return Outcome::Cannot(e.to_string()),
    };
    let mut drain = Drain { stop, bytes: 0, head: Vec::new(), tail: Vec::new() };
    let done = match target.format {
        Format::Gzip => {
            drain.all(&mut flate2::bufread::MultiGzDecoder::new(file)).map_err(|e| Outcome::Bad(e.to_string()))
        }
        Format::Zstd => zstd(file, &mut drain),
        _ => {
            let mut file = file;
            drain.all(&mut file).map_err(|e| Outcome::Cannot(e.to_string()))
        }
    };
    match done {
        Err(outcome) => outcome,
        Ok(()) => drain.verdict(),
    }
}

/// What is left of a stream when it was read: how much it was, its start and its end.
struct Drain<'a> {
    stop: &'a AtomicBool,
    bytes: u64,
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Drain<'_> {
    fn all(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let mut buffer = vec![0; 1 << 17];
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(io::Error::other("stopped"));
            }
            let n = match from.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            let part = buffer.get(..n).unwrap_or_default();
            self.bytes = self.bytes.saturating_add(u64::try_from(n).unwrap_or(0));
            let room = HEAD.saturating_sub(self.head.len()).min(n);
            self.head.extend(part.get(..room).unwrap_or_default());
            self.tail.extend(part.get(n.saturating_sub(TAIL)..).unwrap_or_default());
            self.tail.drain(..self.tail.len().saturating_sub(TAIL));
        }
    }

    /// Whether what was inside was written to its end: a pipe that broke leaves a sound gzip of half a dump.
    fn verdict(&self) -> Outcome {
        let inside = form::file("", self.bytes, &self.head, &self.tail);
        match inside.whole {
            Some(false) => Outcome::Bad(format!("inside is {}: {}", inside.format.name(), inside.detail)),
            Some(true) | None if inside.format == Format::Text => {
                Outcome::Bad(format!("inside is no dump: {}", inside.detail))
            }
            Some(true) | None => Outcome::Good,
        }
    }
}

/// All frames of a zstd, with their checksums (RFC 8878 section 3.1).
fn zstd(mut file: impl BufRead, drain: &mut Drain<'_>) -> Result<(), Outcome> {
    let bad = |e: io::Error| Outcome::Bad(e.to_string());
    while !file.fill_buf().map_err(bad)?.is_empty() {
        let mut frame = match StreamingDecoder::new_with_max_window_size(&mut file, WINDOW) {
            Ok(frame) => frame,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                let skipped = io::copy(&mut (&mut file).take(u64::from(length)), &mut io::sink()).map_err(bad)?;
                if skipped < u64::from(length) {
                    return Err(Outcome::Bad("it ends within a frame".to_owned()));
                }
                continue;
            }
            Err(e @ (FrameDecoderError::WindowSizeTooBig { .. } | FrameDecoderError::DictNotProvided { .. })) => {
                return Err(Outcome::Cannot(e.to_string()));
            }
            Err(e) => return Err(Outcome::Bad(e.to_string())),
        };
        drain.all(&mut frame).map_err(bad)?;
        let frame = frame.into_frame_decoder();
        if frame.get_checksum_from_data().is_some_and(|sum| frame.get_calculated_checksum() != Some(sum)) {
            return Err(Outcome::Bad("a checksum does not match".to_owned()));
        }
    }
    Ok(())
}
