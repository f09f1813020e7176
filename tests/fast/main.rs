//! Tests that need nothing but this crate.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod check;
mod history;
mod recording;
mod report;
mod two_sites;
