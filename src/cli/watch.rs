//! The board.

use std::path::Path;
use std::process::ExitCode;

use super::args::WatchArgs;

/// Runs it.
///
/// # Errors
/// Always: this part is not built yet.
pub fn run(_args: &WatchArgs, _config: Option<&Path>) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`watch` is not built yet")
}
