//! Any program that says how things stand: a team's own check, on the board. And any program that does something, as a step.
//!
//! It says so as plugins of Nagios do (exit code, one line, performance data) or as JSON. What it says is data.

mod declare;
pub mod options;
mod parse;
mod probe;
pub mod rules;
pub mod signals;
mod step;

use schemars::JsonSchema as _;

use super::{KindArea, Pace, ProbeKind, System};
use crate::plan::Span;

/// The descriptor.
pub static SYSTEM: System = System {
    name: "command",
    probes: &[COMMAND],
    signals: signals::SIGNALS,
    rules: rules::RULES,
    steps: &[step::COMMAND],
};

const COMMAND: ProbeKind = ProbeKind {
    name: "command",
    area: KindArea::Declared,
    // A process for each look; and plugins give up by themselves after ten seconds, which says more than we could.
    pace: Pace { interval: Some(Span::secs(30)), timeout: Some(Span::secs(15)) },
    schema: |generator| options::CommandOptions::json_schema(generator),
    read: declare::read,
    open: probe::open,
};
