//! One file per screen.

pub mod approve;
pub mod board;
pub mod help;
pub mod opening;
pub mod plan;
pub mod run;
mod step;
pub mod timeline;
