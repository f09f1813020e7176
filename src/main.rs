//! Parses arguments, picks a command, maps errors to exit codes.

use std::process::ExitCode;

use clap::Parser as _;
use lifeboat::cli;

/// One heap for all threads. The C library's gives each thread a heap of its own, and each keeps what its busiest moment
/// took: a third more memory for a program that waits for networks.
#[global_allocator]
static HEAP: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    // One TLS implementation for every client; it can only be there already if it is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let done = cli::args::CommandLine::try_parse().map_err(anyhow::Error::from).and_then(cli::dispatch);
    match done {
        Ok(code) => code,
        Err(error) if cli::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            cli::report(&error);
            ExitCode::from(cli::exit_code(&error))
        }
    }
}
