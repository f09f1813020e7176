//! PostgreSQL 13 to 18: physical and logical replication, databases that are restored from dumps, and any query's answer.

mod client;
pub mod conninfo;
mod declare;
pub mod discover;
mod examine;
mod faults;
mod grants;
mod libpq;
mod libpq_files;
pub mod options;
pub(crate) mod parse;
mod probe;
pub(crate) mod queries;
pub mod rules;
pub mod signals;
mod steps;
mod stream;
pub mod target;

use schemars::JsonSchema as _;

use super::{KindArea, Pace, ProbeKind, System};
use crate::plan::Area;

/// The descriptor.
pub static SYSTEM: System = System {
    name: "postgres",
    probes: &[POSTGRES, SQL_CHECK],
    signals: signals::ALL,
    rules: rules::RULES,
    steps: steps::STEPS,
};

const POSTGRES: ProbeKind = ProbeKind {
    name: "postgres",
    area: KindArea::Fixed(Area::Replication),
    pace: Pace::USUAL,
    schema: |generator| options::PostgresOptions::json_schema(generator),
    read: declare::read,
    open: probe::open,
};

const SQL_CHECK: ProbeKind = ProbeKind {
    name: "sql-check",
    area: KindArea::Declared,
    pace: Pace::SLOW,
    schema: |generator| options::check::SqlCheckOptions::json_schema(generator),
    read: declare::check::read,
    open: probe::open_check,
};
