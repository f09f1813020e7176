//! One look at everything.

use std::path::Path;
use std::process::ExitCode;

use super::args::CheckArgs;

/// Runs it.
///
/// # Errors
/// Always: this part is not built yet.
pub fn run(_args: &CheckArgs, _config: Option<&Path>) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`check` is not built yet")
}
