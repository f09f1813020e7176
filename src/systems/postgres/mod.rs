//! PostgreSQL 13 to 18: physical replication, and databases that are restored from dumps.

mod client;
pub mod conninfo;
mod declare;
mod faults;
mod libpq;
mod libpq_files;
pub mod options;
mod parse;
mod probe;
mod queries;
pub mod rules;
pub mod signals;
mod stream;
pub mod target;

use schemars::JsonSchema as _;

use super::{ProbeKind, System};
use crate::plan::Area;

/// The descriptor.
pub static SYSTEM: System =
    System { name: "postgres", probes: &[POSTGRES], signals: signals::SIGNALS, rules: rules::RULES };

const POSTGRES: ProbeKind = ProbeKind {
    name: "postgres",
    area: Area::Replication,
    schema: |generator| options::PostgresOptions::json_schema(generator),
    read: declare::read,
    open: probe::open,
};
