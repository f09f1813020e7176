//! The options of `kind = "postgres"`.

pub mod check;
pub mod steps;

use std::any::Any;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

use super::conninfo::{ConnInfoError, Params};

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
    /// By logical replication: the subscriptions of one site's database to publications of the other's.
    Logical,
}

/// How a logical subscriber's sequences are kept: logical replication does not carry them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sequences {
    /// A job of yours keeps them ahead: one that is behind is degraded.
    #[default]
    KeptAhead,
    /// The failover sets them, before anything writes: one that is behind is shown at the gate and among what is lost.
    SetAtFailover,
}

/// A connection string. It may hold a password, so it prints and serialises without.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct ConnText(SecretString);

impl ConnText {
    /// Its parameters.
    ///
    /// # Errors
    /// What is wrong with it, without any of its values.
    pub fn params(&self) -> Result<Params, ConnInfoError> {
        Params::parse(self.0.expose_secret())
    }
}

impl From<&str> for ConnText {
    fn from(text: &str) -> Self {
        Self(SecretString::from(text.to_owned()))
    }
}

impl fmt::Display for ConnText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.params() {
            Ok(params) => f.write_str(&params.to_pairs(false)),
            Err(e) => write!(f, "({e})"),
        }
    }
}

impl fmt::Debug for ConnText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

impl PartialEq for ConnText {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl Eq for ConnText {}

impl Serialize for ConnText {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl JsonSchema for ConnText {
    fn schema_name() -> Cow<'static, str> {
        "ConnectionString".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "A PostgreSQL URL or key=value pairs, as libpq takes them." })
    }
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
    pub at: BTreeMap<String, ConnText>,
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
    /// For `logical`: the subscriptions that count. Without it: every one of the database.
    #[serde(default)]
    pub subscriptions: Vec<String>,
    /// For `logical`: tables that need not be replicated, as `schema.table`, where `*` stands for anything.
    #[serde(default)]
    pub unreplicated: Vec<String>,
    /// For `logical`: how the subscriber's sequences are kept.
    #[serde(default)]
    pub sequences: Sequences,
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
