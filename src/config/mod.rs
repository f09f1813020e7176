//! Files, environment and arguments into plans, by one schema: every mistake at once, each with its place.

mod problem;

pub use problem::{Place, Problem, Problems};

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::plan::{Here, Plan, ProbeId, SecretRef};

/// Everything that was configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where this machine is.
    pub here: Here,
    /// Where state is kept, where the configuration says.
    pub state: Option<PathBuf>,
    /// The theme, where the configuration says.
    pub theme: Option<String>,
    /// The plans, in the order of the file.
    pub plans: Vec<Arc<Plan>>,
    /// Where the probes' secrets are.
    pub secrets: Vec<Secret>,
    /// What it was read from.
    pub sources: Vec<Source>,
}

/// One secret that a probe refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// The probe.
    pub probe: ProbeId,
    /// The key: `plan[payments].probe[orders-db].password`.
    pub key: String,
    /// Where the secret is.
    pub secret: SecretRef,
    /// Where the reference stands.
    pub place: Place,
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// As it was named.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Which file to read.
///
/// # Errors
/// Where no place is known.
pub fn find(cli_path: Option<&Path>) -> Result<PathBuf, Problems> {
    cli_path.map(Path::to_path_buf).ok_or_else(|| Problems::with_file("lifeboat", "no configuration", ""))
}

/// Reads a file.
///
/// # Errors
/// Every mistake.
pub fn load(path: &Path) -> Result<Config, Problems> {
    parse(&path.display().to_string(), "")
}

/// Reads a text.
///
/// # Errors
/// Every mistake.
pub fn parse(name: &str, _text: &str) -> Result<Config, Problems> {
    Err(Problems::with_file(name, "not built yet", ""))
}

/// The schema.
#[must_use]
pub fn schema() -> serde_json::Value {
    serde_json::Value::Null
}
