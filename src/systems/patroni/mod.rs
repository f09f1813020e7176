//! Patroni 3.x and 4.x, by its REST API: the clusters of both sites. Probes only read; steps change one thing each.

pub mod discover;
pub mod judge;
pub mod options;
pub mod parse;
mod probe;
mod read;
pub mod rules;
pub mod signals;
mod step;

use schemars::JsonSchema as _;

use super::{KindArea, Pace, ProbeKind, System};
use crate::plan::Area;

/// The descriptor.
pub static SYSTEM: System = System {
    name: "patroni",
    probes: &[PATRONI],
    signals: signals::SIGNALS,
    rules: rules::RULES,
    steps: &[step::SWITCHOVER, step::FAILOVER, step::PROMOTE, step::DEMOTE, step::PAUSE, step::RESUME],
};

const PATRONI: ProbeKind = ProbeKind {
    name: "patroni",
    area: KindArea::Fixed(Area::Standby),
    pace: Pace::USUAL,
    schema: |generator| options::PatroniOptions::json_schema(generator),
    read: read::read,
    open: probe::open,
};
