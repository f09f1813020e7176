//! One owner of everything that is known and shown.
//!
//! PURE: `Event -> update -> (state, effects)`, keymap and all view state, by id.

pub mod checked;
pub mod event;
pub mod history;
pub mod model;

pub use checked::{Checked, CheckedFinding, Difference};
pub use event::{Effect, Event, Stamped};
pub use history::{Change, History, Memory};
pub use model::{Model, Polled};
