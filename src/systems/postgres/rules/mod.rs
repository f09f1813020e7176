//! What the readings of PostgreSQL servers mean. One file per rule; each names the traps of the field that it avoids.

use crate::readiness::Rule;

/// Every rule.
pub static RULES: &[&dyn Rule] = &[];
