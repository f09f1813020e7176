//! Tests that need nothing but this repository.
#![cfg_attr(test, expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests"))]

mod check;
mod config_bin;
mod example;
mod history;
mod recorded;
mod recording;
mod report;
mod two_sites;
mod walls;
