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

#[path = "../support/acting.rs"]
#[expect(dead_code, reason = "the real tests use all of it")]
mod acting;
mod check;
mod config_bin;
mod example;
mod habits_bin;
mod history;
mod inside_protocol;
mod journal;
mod pause;
mod practice_others;
mod recorded;
mod recording;
mod report;
mod two_sites;
mod walls;
