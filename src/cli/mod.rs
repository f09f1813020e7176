//! One file per subcommand; the only place that prints.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::CommandFactory as _;
use clap::error::ErrorKind;

pub mod args;
pub mod check;
pub mod config;
pub mod console;
pub mod decode;
pub mod demo;
pub mod doctor;
pub mod export;
mod guide;
pub mod init;
pub mod live;
pub mod log;
pub mod manual;
pub mod player;
pub mod replay;
pub mod run;
pub mod runner;
pub mod runs;
mod session;
pub mod themes;
pub mod watch;

use crate::app::guided::First;

use args::{Command, CommandLine, ConfigCommand, WatchArgs};

/// Exit code of a command line that makes no sense (BSD's `EX_USAGE`).
pub const EXIT_USAGE: u8 = 64;
/// Exit code of a configuration with mistakes, or without a file (BSD's `EX_DATAERR`).
pub const EXIT_CONFIG: u8 = 65;
/// Exit code of everything else that fails (BSD's `EX_SOFTWARE`).
pub const EXIT_FAILED: u8 = 70;

/// Runs what the command line asks for. Touches no configuration, store or network itself: the board draws its first
/// frame before any of them.
///
/// # Errors
/// Whatever keeps the command from doing its work; [`exit_code`] says which exit code it means.
pub fn dispatch(line: CommandLine) -> anyhow::Result<ExitCode> {
    let CommandLine { config, log, log_level, watch, command } = line;
    let log = match &command {
        Some(Command::Runner(args)) => log.or_else(|| runner::log(args)),
        Some(_) | None => log,
    };
    // Dropped last: until then what was said is still written.
    let _log = log.as_deref().map(|path| log::to_file(path, &log_level)).transpose()?;
    match command {
        None => watch::run(&watch, config.as_deref()),
        Some(_) if watch != WatchArgs::default() => {
            let text = "--read-only, --record, --ascii and --theme before a command are for the board";
            Err(CommandLine::command().error(ErrorKind::ArgumentConflict, text).into())
        }
        Some(Command::Check(args)) => check::run(&args, config.as_deref()),
        Some(Command::Config { command: ConfigCommand::Check }) => config::check(config.as_deref()),
        Some(Command::Config { command: ConfigCommand::Schema }) => config::schema(),
        Some(Command::Config { command: ConfigCommand::Theme { name } }) => config::theme(&name),
        Some(Command::Replay(args)) => replay::run(&args, config.as_deref()),
        Some(Command::Init(args)) => init::run(&args, config.as_deref()),
        Some(Command::Decode(args)) => decode::run(&args, config.as_deref()),
        Some(Command::Doctor(args)) => doctor::run(&args, config.as_deref()),
        Some(Command::Demo(args)) => demo::run(&args, config.as_deref()),
        Some(Command::Run(args)) => run::run(&args, config.as_deref()),
        Some(Command::Attach { run, look, read_only }) => {
            let first = First::Attach(runs::named(&run)?);
            watch::run_first(&WatchArgs { look, read_only, ..WatchArgs::default() }, config.as_deref(), first)
        }
        Some(Command::Runs(args)) => runs::run(&args, config.as_deref()),
        Some(Command::Export(args)) => export::run(&args, config.as_deref()),
        Some(Command::Runner(args)) => runner::run(&args),
        Some(Command::Completions { shell }) => manual::completions(shell),
        Some(Command::Man) => manual::page(),
    }
}

/// The exit code that an error means.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> u8 {
    if let Some(e) = error.downcast_ref::<clap::Error>() {
        return if e.use_stderr() { EXIT_USAGE } else { 0 };
    }
    if error.is::<crate::config::Problems>() { EXIT_CONFIG } else { EXIT_FAILED }
}

/// Whether the reader went away: `lifeboat check | head -1`. No error.
#[must_use]
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|e| e.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe))
}

/// Prints an error in one line, or a configuration's problems in one block each; nothing where the reader went away.
pub fn report(error: &anyhow::Error) {
    // What cannot be printed cannot be reported either; the exit code still says it.
    if let Some(e) = error.downcast_ref::<clap::Error>() {
        let _ = e.print();
    } else if error.is::<crate::config::Problems>() {
        let _ = write!(io::stderr().lock(), "{error}");
    } else if !is_broken_pipe(error) {
        let _ = writeln!(io::stderr().lock(), "lifeboat: {error:#}");
    }
}

/// Writes text to standard output. A reader that went away is no error.
///
/// # Errors
/// Any other failed write: a full disk.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// The runtime that a command runs its tasks on, with so many workers; as many as there are cores where none are given.
///
/// # Errors
/// Where the operating system gives no threads or no poll descriptor.
pub fn runtime(workers: Option<usize>) -> io::Result<tokio::runtime::Runtime> {
    threads(workers).build()
}

/// The same, to be built.
fn threads(workers: Option<usize>) -> tokio::runtime::Builder {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = workers {
        builder.worker_threads(workers);
    }
    // What blocks is reading small files, for each connection: a thread for each of them would cost more memory than the
    // rest of the program.
    builder.max_blocking_threads(8).thread_keep_alive(Duration::from_secs(1)).enable_all();
    builder
}
