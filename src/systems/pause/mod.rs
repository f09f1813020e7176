//! Steps that wait: for a person (`manual`), or for the plan to be judged well again (`wait-for`). They change nothing
//! themselves, and look at nothing that probes do not.

pub mod judge;
mod manual;
pub mod options;
mod wait_for;

use super::System;

/// The descriptor.
pub static SYSTEM: System =
    System { name: "pause", probes: &[], signals: &[], rules: &[], steps: &[manual::MANUAL, wait_for::WAIT_FOR] };
