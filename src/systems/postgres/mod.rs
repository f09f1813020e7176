//! PostgreSQL 13 to 18: physical replication, and databases that are restored from dumps.

pub mod conninfo;
mod libpq;
mod libpq_files;
pub mod options;
pub mod rules;
pub mod signals;
pub mod target;

use super::System;

/// The descriptor.
pub static SYSTEM: System = System { name: "postgres", probes: &[], signals: signals::SIGNALS, rules: rules::RULES };
