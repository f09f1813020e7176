//! Tests that need nothing but this repository.
#![cfg_attr(
    test,
    expect(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "these are tests"
    )
)]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod check;
mod example;
mod history;
mod recording;
mod report;
mod two_sites;
mod walls;
