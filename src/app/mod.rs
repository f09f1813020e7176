//! One owner of everything that is known and shown.
//!
//! PURE: `Event -> update -> (state, effects)`, keymap and all view state, by id.
#![deny(clippy::wildcard_enum_match_arm)]

mod act;
pub mod ages;
pub mod board;
pub mod checked;
mod due;
pub mod event;
pub mod guided;
pub mod history;
pub mod keymap;
pub mod model;
pub mod palette;
mod point;
mod series;
pub mod update;
pub mod view;

pub use ages::Ages;
pub use checked::{Checked, CheckedFinding, Difference};
pub use event::{Effect, Event, Stamped};
pub use history::{Change, History, Memory};
pub use model::{Model, Polled};
pub use update::{App, Stage, Update, next_wake, update};
pub use view::View;
