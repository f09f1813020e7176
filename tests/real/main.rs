//! Against real servers.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

#[path = "../support/postgres.rs"]
mod pg;
mod postgres;
mod postgres_lane;
mod postgres_peers;
mod postgres_tls;
