//! The options of `kind = "sql-check"`.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ConnText;
use crate::plan::{ProbeOptions, SecretRef};

/// What a query must give.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Expected {
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Whole(i64),
    /// A number with a fraction.
    Fraction(f64),
    /// Words, or any other type as PostgreSQL prints it.
    Text(String),
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(true) => f.write_str("true"),
            Self::Bool(false) => f.write_str("false"),
            Self::Whole(n) => write!(f, "{n}"),
            Self::Fraction(n) => write!(f, "{n}"),
            Self::Text(t) => f.write_str(t),
        }
    }
}

/// Options of a `sql-check` probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlCheckOptions {
    /// Where the server of each site is: a URL or key=value, as libpq takes them.
    pub at: BTreeMap<String, ConnText>,
    /// Where the password is; else `~/.pgpass` and the environment, as libpq does.
    pub password: Option<SecretRef>,
    /// One SELECT that gives one row of one column. It runs in a read-only transaction.
    pub query: String,
    /// What it must give, at every site. Without it: the same at every site.
    pub expect: Option<Expected>,
    /// How far numbers may be apart.
    pub tolerance: Option<f64>,
    /// What to do when it does not hold, shown with the finding.
    pub next: Option<String>,
}

impl ProbeOptions for SqlCheckOptions {
    fn as_any(&self) -> &dyn Any {
        self
    }
}
