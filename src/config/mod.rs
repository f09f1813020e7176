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
mod practice;
mod problem;
mod runbooks;
mod schema;
#[cfg(test)]
mod tests;
mod tree;
mod warn;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::plan::{Here, Plan, PlanId, ProbeId, SecretRef};
use crate::runbook::{Digest, Runbooks};
use crate::systems::{SYSTEMS, System};

pub use file::{ENV, find, load, read};
pub use nearest::nearest;
pub use options::is_name;
pub use problem::{Place, Problem, Problems};

/// Everything that was configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where this machine is.
    pub here: Here,
    /// Where state is kept, where the configuration says.
    pub state: Option<PathBuf>,
    /// Whether the sites are simulated: a practice world's configuration.
    pub practice: bool,
    /// The theme, where the configuration says, and where it says so.
    pub theme: Option<(String, Place)>,
    /// Whether the board takes the mouse.
    pub mouse: bool,
    /// The plans, in the order of the file.
    pub plans: Vec<Arc<Plan>>,
    /// What can be done for each plan that has runbooks.
    pub runbooks: BTreeMap<PlanId, Arc<Runbooks>>,
    /// Where the probes' and the steps' secrets are.
    pub secrets: Vec<Secret>,
    /// What is no mistake and will disappoint, in the order of the file.
    pub warnings: Vec<Problem>,
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
    let (root, mut report) = tree(name, text)?;
    let schema = schema::of(systems);
    check::check(&schema, &root, &mut report);
    let meaning = meaning::read(systems, &root, &mut report);
    report.done()?;
    let source = Source { name: name.to_owned(), text: text.to_owned() };
    let mut config =
        build::build(&root, meaning, source).map_err(|what| Problems::with_file(name, &what, "please report it"))?;
    let report = problem::Report::new(problem::Lines::new(name, text));
    config.theme = root.get("theme").and_then(|n| Some((n.text()?.to_owned(), report.lines.place(&n.span))));
    config.warnings = warn::warnings(&root, config.plans.iter().map(Arc::as_ref), report);
    Ok(config)
}

/// Says what is wrong with a text of a format of the schema, and what would be right: `no colour: write ...`; nothing
/// where it is of that format.
pub type Formats = fn(format: &str, text: &str) -> Option<String>;

/// Reads another file of ours, such as a theme, by the schema of its type. `formats` knows the formats that are not the
/// configuration's own.
///
/// # Errors
/// Every mistake at once.
pub fn parse_as<T: JsonSchema + DeserializeOwned>(name: &str, text: &str, formats: Formats) -> Result<T, Problems> {
    let (root, mut report) = tree(name, text)?;
    let schema = schema::of_type::<T>();
    check::check_with(&schema, &root, &mut report, formats);
    report.done()?;
    let what =
        |e: serde_json::Error| Problems::with_file(name, &format!("passed the schema, but: {e}"), "please report it");
    serde_json::from_value(root.json()).map_err(what)
}

/// The tree of a text, and what collects its mistakes.
fn tree<'t>(name: &str, text: &'t str) -> Result<(tree::Node, problem::Report<'t>), Problems> {
    let mut report = problem::Report::new(problem::Lines::new(name, text));
    match tree::Node::parse(text) {
        Ok(root) => Ok((root, report)),
        Err(errors) => {
            for (span, what) in errors {
                report.add(&span, "", &format!("not TOML: {what}"), "");
            }
            report.done()?;
            Err(Problems::with_file(name, "not TOML", ""))
        }
    }
}

/// The configuration of one plan alone, as TOML: what a run is pinned to. Reading it again gives the same plan and the same
/// runbooks, whatever became of the file. `None` where there is no such plan. It holds no secret, only references: a plan
/// with runbooks is refused where a password is written into it.
#[must_use]
pub fn pinned(config: &Config, plan: &PlanId) -> Option<String> {
    let source = config.sources.first()?;
    let root = tree::Node::parse(&source.text).ok()?.json();
    let table = root.get("plan")?.as_array()?.iter().find(|p| p.get("name").is_some_and(|n| n == plan.as_str()))?;
    let mut pinned = serde_json::Map::new();
    // What is practice stays practice, with the directory that keeps it apart.
    let practice: &[&str] = if config.practice { &["practice", "state"] } else { &[] };
    for key in ["here", "defaults"].iter().chain(practice) {
        let key = *key;
        if let Some(value) = root.get(key) {
            pinned.insert(key.to_owned(), value.clone());
        }
    }
    // A site that only another plan has is elsewhere for this one.
    if let Some(here) = pinned.get_mut("here")
        && here.as_str().is_some_and(|h| table.get("sites").is_none_or(|s| s.get(h).is_none()))
    {
        *here = serde_json::Value::from(meaning::ELSEWHERE);
    }
    pinned.insert("plan".to_owned(), serde_json::Value::Array(vec![table.clone()]));
    toml::to_string(&pinned).ok()
}

/// The digest of everything that was read.
#[must_use]
pub fn digest(config: &Config) -> Digest {
    let texts: Vec<&[u8]> = config.sources.iter().map(|s| s.text.as_bytes()).collect();
    Digest::of(&texts)
}

/// The JSON Schema (2020-12) of the configuration, derived from the types that it is read into.
#[must_use]
pub fn schema() -> serde_json::Value {
    schema::of(SYSTEMS)
}
