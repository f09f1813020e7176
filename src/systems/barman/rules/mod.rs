//! What readings of Barman mean. One file each.

mod backups;
mod checks;
mod view;
mod wal;

use crate::readiness::Rule;

/// Every rule of Barman.
pub static RULES: &[&dyn Rule] = &[&backups::Backups, &checks::Checks, &wal::Wal];

#[cfg(test)]
mod tests;
