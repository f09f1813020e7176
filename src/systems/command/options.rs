//! The options of `kind = "command"`.

mod step;

use std::any::Any;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::{EnvValue, ProbeOptions, Program, Span, Ssh};

pub use step::CommandStepOptions;

/// How a program says how things stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// As plugins of Nagios do: exit code 0 ready, 1 degraded, 2 not ready, 3 unknown; the first line says why, and
    /// numbers follow a `|`.
    #[default]
    Nagios,
    /// One JSON object on standard output: `verdict` ("ready", "degraded", "not-ready" or "unknown") and `summary`, and
    /// where they apply `next`, `as_of` (RFC 3339) and `values`: a table of `value`, `unit`, `warn`, `crit` by name.
    Json,
}

/// Options of a `command` probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandOptions {
    /// The program and its arguments. No shell: nothing is expanded. A secret belongs into `environment`: whoever is on
    /// the machine can read arguments.
    pub argv: Vec<String>,
    /// How it says how things stand.
    #[serde(default)]
    pub format: Format,
    /// The site that it is about, where it is about one.
    pub site: Option<String>,
    /// The host to run it on. Without: this machine.
    pub ssh: Option<Ssh>,
    /// What its environment holds beside PATH, HOME and the like: texts, or where secrets are.
    #[serde(default)]
    pub environment: BTreeMap<String, EnvValue>,
    /// The number whose history is drawn, by its name. Without: the first one that it tells.
    pub chart: Option<String>,
    /// For JSON: how old `as_of` may be.
    pub max_age: Option<Span>,
    /// Let everything else go first: for what needs much of the machine.
    #[serde(default)]
    pub nice: bool,
}

impl ProbeOptions for CommandOptions {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl CommandOptions {
    /// The program to run.
    #[must_use]
    pub fn program(&self) -> Program {
        Program {
            argv: self.argv.clone(),
            environment: self.environment.clone(),
            ssh: self.ssh.clone(),
            nice: self.nice,
        }
    }
}
