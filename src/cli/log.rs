//! The log: to a file, never to the screen.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Lines that may wait for the disk; what is more than that is dropped, so that nobody else waits.
const WAITING: usize = 4_096;

/// Has everything that this program says of itself appended to a file, which only this user may read. No secret can be
/// in it: secrets live in a type that does not print. What it returns keeps the log going until it is dropped.
///
/// # Errors
/// A file that cannot be opened, or a level that there is not.
pub fn to_file(path: &Path, level: &str) -> anyhow::Result<WorkerGuard> {
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("{}: the log cannot be opened", path.display()))?;
    let (writer, guard) = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(WAITING).finish(file);
    // Nothing of the libraries: their chatter may hold what a remote said.
    let filter = Targets::new().with_target("lifeboat", level.parse::<LevelFilter>().context("--log-level")?);
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_target(false).with_writer(writer);
    tracing_subscriber::registry().with(lines).with(filter).init();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), pid = std::process::id(), "started");
    Ok(guard)
}
