//! A recorded session, frame by frame.

use std::process::ExitCode;

use super::args::ReplayArgs;

/// Runs it.
///
/// # Errors
/// Always: this part is not built yet.
pub fn run(_args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`replay` is not built yet")
}
