//! Everything that can happen, and everything that can follow.

use serde::{Deserialize, Serialize};

use crate::plan::{LaneId, Now, SafeText};

use super::{History, Memory, Polled};

/// Something that happened, stamped once, where it entered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stamped {
    /// When.
    pub at: Now,
    /// What.
    pub event: Event,
}

/// Everything that can happen to the application. A recording is a list of these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A key was pressed.
    Key(Key),
    /// Text was pasted. It never counts as keys.
    Pasted,
    /// The terminal has another size.
    Resized {
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
    },
    /// A look came back.
    Polled(Polled),
    /// What earlier sessions saw was read.
    Remembered(Box<History>),
    /// Something could not be kept; the session goes on without.
    StoreFailed(SafeText),
    /// A moment came at which something may change by itself.
    Woke,
    /// The session shall end: a signal, or the terminal is gone.
    Ended(SafeText),
}

/// A key press, independent of the terminal library. Repeats and releases are dropped where keys enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// Which key.
    pub code: KeyCode,
    /// With control held.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ctrl: bool,
}

/// Which key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyCode {
    /// A character, as typed: capitals are capitals.
    Char(char),
    /// Return.
    Enter,
    /// Escape.
    Esc,
    /// Backspace.
    Backspace,
    /// Tab.
    Tab,
    /// Shift and tab.
    BackTab,
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// Arrow left.
    Left,
    /// Arrow right.
    Right,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// Home.
    Home,
    /// End.
    End,
    /// Anything else.
    Other,
}

/// What follows from an event; carried out by the shell, never awaited by the loop.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Look at these lanes now; all of them where the list is empty.
    PollNow(Vec<LaneId>),
    /// Keep these.
    Remember(Vec<Memory>),
    /// Give the terminal back and stop this process until it is continued.
    Suspend,
    /// End.
    Quit,
}
