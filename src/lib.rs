//! Lifeboat: could this service fail over right now, what would it lose, and how long would it take?
//!
//! The map of the house is in `../shared/design.md`; this page is replaced by it.

pub mod app;
pub mod cli;
pub mod clock;
pub mod collect;
pub mod config;
pub mod net;
pub mod plan;
pub mod readiness;
pub mod report;
pub mod store;
pub mod systems;
pub mod tui;
