//! The options of `manual` and `wait-for`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::Area;
use crate::runbook::{Danger, StepRole};

const fn other() -> StepRole {
    StepRole::Other
}

const fn changes() -> Danger {
    Danger::Changes
}

/// Options of a `manual` step: a person does something outside of this program, and says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ManualOptions {
    /// What is to be done, a line each: where, how, and what to see when it is done.
    pub instructions: Vec<String>,
    /// What it is for: "fence", "unfence", "promote", "restore", "traffic", "verify", "rejoin", "notify" or "other". A fence by
    /// hand is merely assumed: nobody but a person saw it.
    #[serde(default = "other")]
    pub role: StepRole,
    /// How much harm it can do: "none", "changes" or "irreversible".
    #[serde(default = "changes")]
    pub danger: Danger,
}

/// A situation to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Awaited {
    /// The service runs at home.
    Normal,
    /// It runs, and not at home.
    AwayFromHome,
    /// It runs, wherever that is: one site takes writes, and traffic goes to none other.
    Running,
    /// Every database answers, and none takes writes.
    NoPrimary,
}

/// Options of a `wait-for` step: one of `area`, `finding` and `situation`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitOptions {
    /// The column whose findings must be ready; with `on`, those of that site.
    pub area: Option<Area>,
    /// The rule whose findings must be ready, as `check --format json` names it: "postgres.receiver"; with `on`, those of that
    /// site.
    pub finding: Option<String>,
    /// The probe whose findings count, by its name. Without it: every probe's.
    pub of: Option<String>,
    /// What must be going on: "normal", "away-from-home", "running" or "no-primary".
    pub situation: Option<Awaited>,
    /// Whether degraded is good enough.
    #[serde(default)]
    pub degraded: bool,
}
