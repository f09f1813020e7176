//! The rules that span systems.

mod exposure;
mod reach;
mod required;
mod situation;

use super::Rule;

pub(super) use exposure::exposure;
pub(super) use required::required;
pub(super) use situation::situation;

/// The spanning rules that judge readings alone.
pub(super) static READINGS: &[&dyn Rule] = &[&reach::Reach];
