//! The rules that span systems.

mod confirm;
mod copies;
mod exposure;
mod reach;
mod required;
mod runbook;
mod situation;

use super::Rule;

pub(super) use confirm::confirm;
pub(super) use copies::copies;
pub(super) use exposure::exposure;
pub use reach::{advice, advice_of};
pub(super) use required::required;
pub(super) use runbook::runbook;
pub use runbook::{NOT_YET, RUNBOOK};
pub(super) use situation::situation;

/// The spanning rules that judge readings alone.
pub(super) static READINGS: &[&dyn Rule] = &[&reach::Reach];
