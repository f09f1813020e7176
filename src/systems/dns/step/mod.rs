//! Moving the record to another site's answers, and waiting for resolvers to follow.

mod edit;
mod moved;
mod options;
mod powerdns;
mod rfc2136;
mod script;
mod survey;
mod tsig;
mod update;

use schemars::JsonSchema;

use crate::systems::StepKind;

/// What a runbook can do with the record.
pub const STEPS: &[StepKind] = &[
    StepKind {
        name: "dns-update",
        probes: &["dns"],
        schema: options::UpdateOptions::json_schema,
        read: options::read_update,
        open: update::open,
    },
    StepKind {
        name: "dns-moved",
        probes: &["dns"],
        schema: options::MovedOptions::json_schema,
        read: options::read_moved,
        open: moved::open,
    },
];
