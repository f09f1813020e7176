//! One file per screen.

pub mod board;
pub mod help;
pub mod plan;
pub mod timeline;
