//! The options of the step `command`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::{EnvValue, Program, Ssh};
use crate::runbook::{Danger, StepRole};

const fn other() -> StepRole {
    StepRole::Other
}

const fn changes() -> Danger {
    Danger::Changes
}

/// Options of a `command` step: a program that does something, once. Another exit code than 0 is a failure, unless `check` sees
/// the effect; what it had done by then is done.
///
/// At the step's `deadline` nobody stops it: what is half done is worse than what is late. It goes on by itself, the outcome
/// is indeterminate, and a person looks. Until it ends it holds the run: no other runner begins anything meanwhile. Over ssh it
/// is the ssh here that holds it; where the connection breaks, the program there goes on unseen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandStepOptions {
    /// The program and its arguments. No shell: nothing is expanded. A secret belongs into `environment`: whoever is on the
    /// machine can read arguments.
    pub argv: Vec<String>,
    /// The host to run it on. Without: this machine.
    pub ssh: Option<Ssh>,
    /// What its environment holds beside PATH, HOME and the like: texts, or where secrets are. Secrets are read after approval
    /// only.
    #[serde(default)]
    pub environment: BTreeMap<String, EnvValue>,
    /// A program, on the same host, that ends with exit code 0 where the effect is there and changes nothing. Without it exit
    /// code 0 of the program itself is all that is known.
    pub check: Option<Vec<String>>,
    /// What the environment of `check` holds.
    #[serde(default)]
    pub check_environment: BTreeMap<String, EnvValue>,
    /// What it is for: "fence", "unfence", "promote", "restore", "traffic", "verify", "rejoin", "notify" or "other". A fence is
    /// proven only by a check that shows that the old primary is stopped.
    #[serde(default = "other")]
    pub role: StepRole,
    /// How much harm it can do: "none", "changes" or "irreversible".
    #[serde(default = "changes")]
    pub danger: Danger,
}

impl CommandStepOptions {
    /// The program that acts.
    #[must_use]
    pub fn program(&self) -> Program {
        Program { argv: self.argv.clone(), environment: self.environment.clone(), ssh: self.ssh.clone(), nice: false }
    }

    /// The program that looks.
    #[must_use]
    pub fn checker(&self) -> Option<Program> {
        let argv = self.check.clone()?;
        Some(Program { argv, environment: self.check_environment.clone(), ssh: self.ssh.clone(), nice: false })
    }
}
