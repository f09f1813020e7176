//! Snapshot to frame: loop, terminal guard, theme, screens and widgets.

pub mod copy;
pub mod frame;
pub mod input;
pub mod quiet;
pub mod run;
pub mod screens;
pub mod terminal;
pub mod theme;
pub mod widgets;

pub use frame::{Drawn, draw};

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod fixture_runs;
#[cfg(test)]
mod tests;
