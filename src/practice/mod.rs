//! The practice sites behind `lifeboat demo`: a small world, and servers on loopback that speak the real protocols about it.
//! A leaf: only `cli/demo.rs` uses it.

pub mod config;
pub mod debrief;
pub mod dns;
pub mod door;
pub mod endpoints;
pub mod files;
pub mod http;
pub mod others;
pub mod patroni;
pub mod postgres;
pub mod registry;
pub mod scenario;
pub mod shared;
mod start;
pub mod world;

pub use start::{Practice, TSIG};
