//! What is shown, by id. Nothing in here is found by position.

use std::sync::Arc;

use crate::plan::{Now, PlanId, ProbeId, RuleId, Subject};
use crate::readiness::{Finding, PlanStatus};

use super::board::Sort;

/// The embedded themes, by name.
pub const THEMES: [&str; 2] = ["default", "mono"];

/// The screen below any overlay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Screen {
    /// One row per plan.
    Board,
    /// One plan.
    Plan(PlanId),
    /// Verdict changes.
    Timeline,
    /// Every key.
    Help,
}

/// What lies over the screen and takes the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Overlay {
    /// A filter is being typed; holds the one before, for leaving.
    Filter {
        /// The filter before.
        before: String,
    },
    /// A command is being typed.
    Palette {
        /// What is typed.
        text: String,
        /// The chosen line among those that match.
        chosen: usize,
    },
    /// The order is being chosen.
    Sort {
        /// The chosen order.
        chosen: Sort,
    },
}

/// Which lines of the key table hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// On the board.
    Board,
    /// In a plan.
    Plan,
    /// In the timeline.
    Timeline,
    /// In help.
    Help,
    /// While a filter is typed.
    Filter,
    /// While a command is typed.
    Palette,
    /// While the order is chosen.
    Sort,
}

/// Names one finding of a plan across judgements: what it is about, and which of those about the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindingId {
    /// Rule, probe and subject.
    pub identity: (RuleId, Option<ProbeId>, Subject),
    /// Which of several with one identity.
    pub nth: usize,
}

impl FindingId {
    /// The ids of a plan's findings, in their order.
    #[must_use]
    pub fn all(findings: &[Finding]) -> Vec<Self> {
        let mut out: Vec<Self> = Vec::with_capacity(findings.len());
        for finding in findings {
            let identity = finding.identity();
            let nth = out.iter().filter(|f| f.identity == identity).count();
            out.push(Self { identity, nth });
        }
        out
    }
}

/// A screen held still.
#[derive(Clone, Debug)]
pub struct Frozen {
    /// Since when.
    pub at: Now,
    /// What was known then.
    pub statuses: Vec<Arc<PlanStatus>>,
}

/// One line at the bottom, for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it says.
    pub text: String,
    /// Since when; it goes after [`Message::LASTS`] seconds.
    pub at: Now,
}

impl Message {
    /// How long a message stays, in seconds.
    pub const LASTS: u64 = 6;
}

/// All view state.
#[derive(Clone, Debug)]
pub struct View {
    /// The screen.
    pub screen: Screen,
    /// Where [`Screen::Help`] and [`Screen::Timeline`] go back to.
    pub below: Screen,
    /// What lies over it.
    pub overlay: Option<Overlay>,
    /// Whether no dangerous key is bound.
    pub read_only: bool,
    /// The selected plan.
    pub selected: Option<PlanId>,
    /// Whether a person chose it, or every plan was looked at when it was taken: from then on no news moves it.
    pub chosen: bool,
    /// The first row of the board that is drawn.
    pub top: usize,
    /// The selected finding of the open plan.
    pub finding: Option<FindingId>,
    /// Lines that the details are scrolled by.
    pub detail: usize,
    /// Changes that the timeline is scrolled by.
    pub back: usize,
    /// Lines that help is scrolled by.
    pub help: usize,
    /// Only plans that match are shown.
    pub filter: String,
    /// The board's order.
    pub sort: Sort,
    /// A screen held still.
    pub frozen: Option<Frozen>,
    /// A line at the bottom.
    pub message: Option<Message>,
    /// Something that stays wrong: history that cannot be kept.
    pub warning: Option<String>,
    /// The theme's name.
    pub theme: String,
    /// Columns of the terminal.
    pub cols: u16,
    /// Rows of the terminal.
    pub rows: u16,
    /// The plans that are shown, in order; made anew when something that decides it changed.
    pub shown: Vec<Arc<PlanStatus>>,
}

impl View {
    /// The view of a session that begins, on a terminal of this size.
    #[must_use]
    pub fn new(cols: u16, rows: u16) -> Self {
        Self {
            screen: Screen::Board,
            below: Screen::Board,
            overlay: None,
            read_only: false,
            selected: None,
            chosen: false,
            top: 0,
            finding: None,
            detail: 0,
            back: 0,
            help: 0,
            filter: String::new(),
            sort: Sort::Worst,
            frozen: None,
            message: None,
            warning: None,
            theme: "default".into(),
            cols,
            rows,
            shown: Vec::new(),
        }
    }

    /// Which lines of the key table hold now.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        match (&self.overlay, &self.screen) {
            (Some(Overlay::Filter { .. }), _) => Mode::Filter,
            (Some(Overlay::Palette { .. }), _) => Mode::Palette,
            (Some(Overlay::Sort { .. }), _) => Mode::Sort,
            (None, Screen::Board) => Mode::Board,
            (None, Screen::Plan(_)) => Mode::Plan,
            (None, Screen::Timeline) => Mode::Timeline,
            (None, Screen::Help) => Mode::Help,
        }
    }

    /// Where the selected plan is among those shown; `None` where it is not among them.
    #[must_use]
    pub fn cursor(&self) -> Option<usize> {
        let selected = self.selected.as_ref()?;
        self.shown.iter().position(|s| s.plan.id == *selected)
    }

    /// The moment that ages are counted to: now, or when the screen was frozen.
    #[must_use]
    pub fn moment(&self, now: Now) -> Now {
        self.frozen.as_ref().map_or(now, |f| f.at)
    }

    /// Whether the board's last row says the selected plan's reason in full, because its column is narrow.
    #[must_use]
    pub const fn says_why(&self) -> bool {
        self.cols < 132
    }

    /// Rows that a list may take: the terminal's without header, rules, column heads and footer.
    #[must_use]
    pub fn list_rows(&self) -> usize {
        let extra = usize::from(self.frozen.is_some()) + usize::from(self.warning.is_some());
        usize::from(self.rows).saturating_sub(5 + extra + usize::from(self.says_why()))
    }
}
