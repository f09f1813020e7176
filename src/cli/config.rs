//! The configuration: its mistakes, its schema.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::config::{self, Config, Problem, Problems, Secret};
use crate::net;
use crate::tui::theme;

use super::themes;

/// How long each secret may take to be read: what a person waits for a password manager.
const SECRET_TIMEOUT: Duration = Duration::from_secs(10);

/// Reports every mistake at once and tries to read each secret. Contacts no server. What is no mistake and will disappoint
/// is a warning, on standard error.
///
/// # Errors
/// [`Problems`], all of them.
pub fn check(path: Option<&Path>) -> anyhow::Result<ExitCode> {
    let path = config::find(path)?;
    let config = config::load(&path)?;
    themes::check(config.theme.as_ref(), themes::beside(&path))?;
    let unreadable = super::runtime(None)?.block_on(unreadable(&config.secrets));
    if !unreadable.is_empty() {
        return Err(Problems(unreadable).into());
    }
    let mut err = std::io::stderr().lock();
    for warning in &config.warnings {
        // Where nobody reads standard error, the count below still says that there is something to read.
        let _unread = writeln!(err, "warning: {warning}");
    }
    super::print(&format!("{}\n", summary(&config)))?;
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

/// Prints an embedded theme.
///
/// # Errors
/// Where it cannot be written.
pub fn theme(name: &str) -> anyhow::Result<ExitCode> {
    super::print(theme::text(name).unwrap_or_default())?;
    Ok(ExitCode::SUCCESS)
}

/// `2 plans, 3 probes: no mistakes, 1 warning`.
fn summary(config: &Config) -> String {
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let probes = config.plans.iter().map(|p| p.probes.len()).sum();
    let warned = match config.warnings.len() {
        0 => String::new(),
        n => format!(", {}", count(n, "warning")),
    };
    format!("{}, {}: no mistakes{warned}", count(config.plans.len(), "plan"), count(probes, "probe"))
}

/// The secrets that cannot be read, in the order of the file. The secrets themselves are dropped at once.
async fn unreadable(secrets: &[Secret]) -> Vec<Problem> {
    let deadline = Instant::now() + SECRET_TIMEOUT;
    let tries = secrets.iter().map(|s| async move {
        let gap = net::resolve_secret(&s.secret, deadline).await.err()?;
        let right = "without it the probe's verdict is unknown".into();
        Some(Problem { place: s.place.clone(), key: s.key.clone(), what: gap.detail, right })
    });
    join_all(tries).await.into_iter().flatten().collect()
}
