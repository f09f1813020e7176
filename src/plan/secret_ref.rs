//! Where a secret is to be found; never the secret itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A reference to a secret: `{ env = "NAME" }`, `{ file = "/path" }` or `{ command = ["op", "read", "..."] }`.
/// The value is read when it is needed, into a type that cannot print.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum SecretRef {
    /// An environment variable's name.
    Env(String),
    /// A file that holds the secret; one trailing line break is dropped.
    File(String),
    /// A program and its arguments, run without a shell; its standard output is the secret.
    Command(Vec<String>),
}

impl std::fmt::Display for SecretRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::File(path) => write!(f, "file {path}"),
            Self::Command(argv) => write!(f, "command {}", argv.first().map_or("", String::as_str)),
        }
    }
}
