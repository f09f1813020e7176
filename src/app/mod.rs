//! One owner of everything that is known and shown.
//!
//! PURE: `Event -> update -> (state, effects)`, keymap and all view state, by id.

pub mod event;
pub mod history;
pub mod model;

pub use event::{Effect, Event, Stamped};
pub use history::{Change, History, Memory};
pub use model::{Model, Polled};
