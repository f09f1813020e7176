//! What readings of pgBackRest mean. One file each; a finding for each repository.

mod fulls;
mod identity;
mod repo;
mod view;
mod wal;

use crate::readiness::Rule;

/// Every rule of pgBackRest.
pub static RULES: &[&dyn Rule] = &[&repo::Repo, &fulls::Fulls, &wal::Wal, &identity::Identity];

#[cfg(test)]
mod tests;
