//! Barman: what it keeps of one server, as its commands tell in JSON, here or over ssh. `list-backup`, `show-backup`,
//! `status` and `check` only look.

mod declare;
pub mod options;
mod parse;
mod probe;
pub mod rules;
pub mod signals;

use schemars::JsonSchema as _;

use super::{KindArea, Pace, ProbeKind, System};
use crate::plan::{Area, Span};

/// The descriptor.
pub static SYSTEM: System =
    System { name: "barman", probes: &[BARMAN], signals: signals::SIGNALS, rules: rules::RULES, steps: &[] };

const BARMAN: ProbeKind = ProbeKind {
    name: "barman",
    area: KindArea::Fixed(Area::Backup),
    // Its own check gives up after 30 s (check_timeout), and says what it could not see.
    pace: Pace { timeout: Some(Span::secs(45)), ..Pace::SLOW },
    schema: |generator| options::BarmanOptions::json_schema(generator),
    read: declare::read,
    open: probe::open,
};
