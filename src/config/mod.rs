//! Files, environment and arguments into plans, by one schema: every mistake at once, each with its place.
//!
//! The schema is derived from option types and drives both `config schema` and the check of the TOML, so the two cannot
//! disagree. No secret is resolved and nobody is contacted here.

mod build;
mod check;
mod file;
mod meaning;
mod nearest;
mod options;
mod problem;
mod schema;
#[cfg(test)]
mod tests;
mod tree;

use std::path::PathBuf;
use std::sync::Arc;

use crate::plan::{Here, Plan, ProbeId, SecretRef};
use crate::systems::{SYSTEMS, System};

pub use file::{ENV, find, load};
pub use nearest::nearest;
pub use problem::{Place, Problem, Problems};

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

/// A text that was read.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    /// As it was named.
    pub name: String,
    /// The text. It may hold secrets that were written inline.
    pub text: String,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("name", &self.name).field("bytes", &self.text.len()).finish()
    }
}

/// Reads a configuration from a text. `name` is what its places are told by.
///
/// # Errors
/// Every mistake at once.
pub fn parse(name: &str, text: &str) -> Result<Config, Problems> {
    parse_with(SYSTEMS, name, text)
}

/// The same with other systems than [`SYSTEMS`].
///
/// # Errors
/// Every mistake at once.
pub fn parse_with(systems: &[&'static System], name: &str, text: &str) -> Result<Config, Problems> {
    let mut report = problem::Report::new(problem::Lines::new(name, text));
    let root = match tree::Node::parse(text) {
        Ok(root) => root,
        Err(errors) => {
            for (span, what) in errors {
                report.add(&span, "", &format!("not TOML: {what}"), "");
            }
            report.done()?;
            return Err(Problems::with_file(name, "not TOML", ""));
        }
    };
    let schema = schema::of(systems);
    check::check(&schema, &root, &mut report);
    let meaning = meaning::read(systems, &root, &mut report);
    report.done()?;
    let source = Source { name: name.to_owned(), text: text.to_owned() };
    build::build(&root, meaning, source).map_err(|what| Problems::with_file(name, &what, "please report it"))
}

/// The JSON Schema (2020-12) of the configuration, derived from the types that it is read into.
#[must_use]
pub fn schema() -> serde_json::Value {
    schema::of(SYSTEMS)
}
