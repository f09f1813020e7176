//! Everything that can happen, and everything that can follow.

use serde::{Deserialize, Serialize};

use crate::plan::{LaneId, Now, PlanId, SafeText};

use crate::runbook::{Command, RunId, StepIx};

use super::guided::{Host, News, OpenRun, Painted};
use crate::readiness::Rehearsed;

use super::view::FindingId;
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
    /// The mouse did something.
    Pointed(Pointed),
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
    /// A run's journal has news.
    Journal(Box<News>),
    /// The run that was asked for is open.
    RunOpened {
        /// Its plan.
        plan: PlanId,
        /// Its name.
        run: RunId,
    },
    /// What was asked of a run was refused, or could not be done.
    Refused(SafeText),
    /// What this session runs in was found out.
    Host(Box<Host>),
    /// A frame was painted that shows another prompt than the one before, or more or less of it.
    Painted(Option<Painted>),
    /// A runbook was looked through.
    Rehearsed {
        /// Of which plan.
        plan: PlanId,
        /// What came of it.
        rehearsed: Box<Rehearsed>,
    },
    /// A practised run is over, and this is what there is to learn from it.
    Debriefed {
        /// Which.
        run: RunId,
        /// A line each.
        lines: Vec<SafeText>,
    },
    /// A moment came at which something may change by itself.
    Woke,
    /// The session shall end: a signal, or the terminal is gone.
    Ended(SafeText),
}

/// What the mouse did, and at what. By id, not by place: what a person saw there is what they meant, and a recording is
/// played on screens of any size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointed {
    /// What it did.
    pub act: PointerAct,
    /// What is drawn there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<Spot>,
}

/// What the mouse can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PointerAct {
    /// The left button was pressed.
    Click,
    /// The wheel was turned up by a notch.
    WheelUp,
    /// The wheel was turned down by a notch.
    WheelDown,
}

/// Something that is drawn and that the mouse can be about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spot {
    /// A plan's row of the board.
    Plan(PlanId),
    /// A finding's row.
    Finding(FindingId),
    /// The details of a plan or of a run.
    Details,
    /// A step's row.
    Step(StepIx),
    /// A line of what lies over the screen, from 0.
    Entry(usize),
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
    /// Open a run, and start its runner.
    OpenRun(Box<OpenRun>),
    /// Put what a person wants of a run into its journal.
    Command(RunId, Command),
    /// Look the runbooks of a plan through; also as if its active site were gone, where `lost` says so.
    Rehearse {
        /// The plan.
        plan: PlanId,
        /// Whether also as if its active site were gone.
        lost: bool,
    },
    /// Start a runner for a run whose own is gone.
    StartRunner(RunId),
    /// Let a scenario begin in the practice world, by its name.
    Practice(String),
    /// Put this text on the clipboard, if the terminal allows it.
    Copy(String),
    /// Take the mouse, or leave it to the terminal.
    Mouse(bool),
    /// Give the terminal back and stop this process until it is continued.
    Suspend,
    /// End.
    Quit,
}
