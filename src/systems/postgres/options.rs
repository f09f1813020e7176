//! The options of `kind = "postgres"`.

use std::any::Any;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::{ProbeOptions, SecretRef, SiteId, Span};

/// How the database gets its data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// By physical replication from the other site.
    #[default]
    Replicating,
    /// By restoring dumps; how fresh it is, its own content says.
    Restored,
}

/// Credentials that act; read by the runner alone, after approval. Looking never uses them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActAs {
    /// The role that acts.
    pub user: String,
    /// Where its password is.
    pub password: Option<SecretRef>,
}

/// Options of a `postgres` probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostgresOptions {
    /// Where the server of each site is: a URL or key=value, as libpq takes them.
    pub at: BTreeMap<String, String>,
    /// Where the password is; else `~/.pgpass` and the environment, as libpq does.
    pub password: Option<SecretRef>,
    /// Credentials that act.
    pub act_as: Option<ActAs>,
    /// How the database gets its data.
    #[serde(default)]
    pub mode: Mode,
    /// For `restored`: one SELECT that gives the newest change as a timestamp with time zone.
    pub freshness_query: Option<String>,
    /// For a standby that is delayed on purpose: its `recovery_min_apply_delay`.
    pub apply_delay: Option<Span>,
    /// The `application_name` (`cluster_name`) of the standby of each site, where the primary's view is to be matched by
    /// name; else by address.
    #[serde(default)]
    pub standby_names: BTreeMap<String, String>,
}

impl PostgresOptions {
    /// The sites that it looks at.
    pub fn sites(&self) -> impl Iterator<Item = SiteId> {
        self.at.keys().map(|s| SiteId::new(s))
    }
}

impl ProbeOptions for PostgresOptions {
    fn as_any(&self) -> &dyn Any {
        self
    }
}
