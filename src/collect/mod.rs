//! The supervisor: looks on time, forever; and `sweep`, which looks once. One hung remote costs one task.

mod examine;
mod look;
mod rehearse;
mod supervisor;
mod sweep;

use std::sync::Arc;

use crate::net::Net;
use crate::plan::{Plan, ProbeDecl};
use crate::systems::{self, Lane};

pub use examine::{LaneExam, examine};
pub use rehearse::{Rehearsing, commands, rehearse, rehearse_all, rehearse_lost};
pub use supervisor::{Supervisor, start, start_with};
pub use sweep::{Past, not_in_time, sweep, sweep_with};

/// How a probe's lanes are opened. The program opens them by their kind; tests hand in their own.
pub type Open = Arc<dyn Fn(&Plan, &ProbeDecl, &Arc<Net>) -> Vec<Box<dyn Lane>> + Send + Sync>;

/// Opens a probe's lanes by its kind. A kind that does not exist opens none, and then nothing of it is ever `Ready`.
fn by_kind() -> Open {
    Arc::new(|plan, probe, net| systems::kind(probe.kind).map(|k| (k.open)(plan, probe, net)).unwrap_or_default())
}

#[cfg(test)]
mod tests;
