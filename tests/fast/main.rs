//! Tests that need nothing but this repository.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

mod example;
mod walls;
