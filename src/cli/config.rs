//! The configuration: its mistakes, its schema.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::config::{self, Config, Problem, Problems, Secret};
use crate::net;

/// How long each secret may take to be read: what a person waits for a password manager.
const SECRET_TIMEOUT: Duration = Duration::from_secs(10);

/// Reports every mistake at once and tries to read each secret. Contacts no server.
///
/// # Errors
/// [`Problems`], all of them.
pub fn check(path: Option<&Path>) -> anyhow::Result<ExitCode> {
    let config = config::load(&config::find(path)?)?;
    let unreadable = super::runtime(None)?.block_on(unreadable(&config.secrets));
    if !unreadable.is_empty() {
        return Err(Problems(unreadable).into());
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

/// `2 plans, 3 probes: no mistakes`.
fn summary(config: &Config) -> String {
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let probes = config.plans.iter().map(|p| p.probes.len()).sum();
    format!("{}, {}: no mistakes", count(config.plans.len(), "plan"), count(probes, "probe"))
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
