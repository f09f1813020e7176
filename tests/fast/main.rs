//! Tests that need nothing but this crate.

mod check;
mod history;
mod recording;
mod report;
mod two_sites;
