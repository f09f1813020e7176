//! Readings in, verdicts out.
//!
//! PURE: readings, the rules that span systems, findings, verdicts, situation, gates, exposure, the LSN clock and the
//! snapshot. Time is an argument. Rules of one system live in that system's folder and are handed in.
#![deny(clippy::wildcard_enum_match_arm)]

mod active;
mod estimate;
mod examined;
mod exposure;
mod facts;
mod finding;
mod gate;
mod judge;
mod lsn_clock;
mod manifest;
mod pool;
mod reading;
mod rehearsed;
mod restorable;
mod rollup;
mod rule;
pub mod rules;
pub mod signals;
mod situation;
mod snapshot;
mod value;

pub(crate) use active::agreed;
pub use active::{Active, Site as ActiveSite, active};
pub use estimate::{Estimate, estimate};
pub use examined::{Examined, expiry};
pub(crate) use exposure::one_look;
pub use exposure::{Bound, Exposure, exposure};
pub use facts::{Facts, Kept, Outcome, Readings, Seen, Times};
pub use finding::{Bearing, Code, Evidence, Finding, Proof, Verdict};
pub use gate::{Gate, Gates, gates};
pub use judge::judge;
pub use lsn_clock::{LsnClock, LsnSample, Segment};
pub use manifest::{LossItem, manifest};
pub use pool::Pool;
pub use reading::{Gap, Reading, Reason};
pub use rehearsed::Rehearsed;
pub use restorable::{LogEnd, Restorable};
pub use rollup::{area_verdict, plan_verdict, worst};
pub use rule::{About, Rule};
pub use rules::{advice, advice_of};
pub use situation::{Situation, situation};
pub use snapshot::{AreaStatus, PlanStatus, Snapshot};
pub use value::{Row, Value};
