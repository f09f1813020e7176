//! pgBackRest: what its repositories hold, as `pgbackrest info` and `repo-ls` tell, here or over ssh. Both only read;
//! `check` switches the log and `verify` reads everything: neither is run.

mod declare;
mod examine;
pub mod options;
mod parse;
mod probe;
pub mod rules;
pub mod signals;

use schemars::JsonSchema as _;

use super::{KindArea, Pace, ProbeKind, System};
use crate::plan::Area;

/// The descriptor.
pub static SYSTEM: System =
    System { name: "pgbackrest", probes: &[PGBACKREST], signals: signals::SIGNALS, rules: rules::RULES, steps: &[] };

const PGBACKREST: ProbeKind = ProbeKind {
    name: "pgbackrest",
    area: KindArea::Fixed(Area::Backup),
    pace: Pace::SLOW,
    schema: |generator| options::PgbackrestOptions::json_schema(generator),
    read: declare::read,
    open: probe::open,
};
