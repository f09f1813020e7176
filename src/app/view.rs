//! What is shown, by id. Nothing in here is found by position.

use std::cell::Cell;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::plan::SafeText;
use crate::plan::{Now, PlanId, ProbeId, RuleId, Subject};
use crate::readiness::{Finding, PlanStatus, Verdict};
use crate::runbook::{RunId, StepIx};

use super::guided::{Asking, Banner, Form, Hush, Opening, Painted};

use super::board::{Sort, looking};

/// The embedded themes, by name.
pub const THEMES: [&str; 4] = ["default", "light", "high-contrast", "mono"];

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
    /// The prompt that opens a run.
    Opening,
    /// One run.
    Run(RunId),
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
    /// In a run.
    Run,
    /// While it is asked what is wrong.
    Cause,
    /// While it is asked whether to go on although the data is wrong.
    BadData,
    /// While something is typed for a run.
    Form,
    /// While a filter is typed.
    Filter,
    /// While a command is typed.
    Palette,
    /// While the order is chosen.
    Sort,
}

/// Names one finding of a plan across judgements: what it is about, and which of those about the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// How many plans there are of each verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Plans whose first looks are under way; they count nowhere else.
    pub looking: usize,
    /// The others, in the order of [`Verdict::ALL`].
    pub verdicts: [usize; 4],
}

impl Tally {
    /// Counts.
    pub fn of<'a>(statuses: impl Iterator<Item = &'a Arc<PlanStatus>>) -> Self {
        let mut tally = Self::default();
        for status in statuses {
            if looking(status) {
                tally.looking += 1;
                continue;
            }
            for (n, verdict) in tally.verdicts.iter_mut().zip(Verdict::ALL) {
                *n += usize::from(status.readiness == verdict);
            }
        }
        tally
    }
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
    /// Where [`Screen::Opening`] and [`Screen::Run`] go back to.
    pub before: Screen,
    /// The run that is about to be opened, on [`Screen::Opening`].
    pub opening: Option<Opening>,
    /// What is being typed for a run.
    pub form: Option<Form>,
    /// What the last frame showed of a prompt.
    pub painted: Option<Painted>,
    /// The last range that did not fit on the screen.
    pub cramped: Option<Painted>,
    /// Whether the last frame lacked the prompt, or a part of it: nobody sees what they type.
    pub blind: bool,
    /// Whether keys count for nothing, because a prompt went away while somebody typed.
    pub hush: Option<Hush>,
    /// Why what was asked of a run was refused.
    pub refused: Option<SafeText>,
    /// The run that this session leads: it is shown each next range by itself.
    pub driving: Option<RunId>,
    /// Where that run's journal was when a range was asked for by itself.
    pub asked: Option<(RunId, u64)>,
    /// The step that a person selected in the run on the screen; else it follows what happens.
    pub run_step: Option<StepIx>,
    /// What must be on every screen.
    pub banners: Vec<Banner>,
    /// Whether the sites are simulated: then that is on every screen.
    pub practice: bool,
    /// What can be let begin there, by name, each with a sentence.
    pub scenarios: Vec<(String, String)>,
    /// Whether no dangerous key is bound.
    pub read_only: bool,
    /// The selected plan.
    pub selected: Option<PlanId>,
    /// Whether a person took it, by moving to it or by asking something of it: from then on no news moves it.
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
    /// Whether the mouse is ours, and not the terminal's for selecting text.
    pub mouse: bool,
    /// The theme's name.
    pub theme: String,
    /// Every theme that can be had, by name: the embedded ones, then the user's own.
    pub themes: Vec<String>,
    /// Columns of the terminal.
    pub cols: u16,
    /// Rows of the terminal.
    pub rows: u16,
    /// The plans that are shown, in order; made anew when something that decides it changed.
    pub shown: Vec<Arc<PlanStatus>>,
    /// How many plans of each verdict there are, shown or not.
    pub tally: Tally,
    /// The row on which the cursor was found last: most often it still is there.
    found: Cell<usize>,
}

impl View {
    /// The view of a session that begins, on a terminal of this size.
    #[must_use]
    pub fn new(cols: u16, rows: u16) -> Self {
        Self {
            screen: Screen::Board,
            below: Screen::Board,
            overlay: None,
            before: Screen::Board,
            opening: None,
            form: None,
            painted: None,
            cramped: None,
            blind: false,
            hush: None,
            refused: None,
            driving: None,
            asked: None,
            run_step: None,
            banners: Vec::new(),
            practice: false,
            scenarios: Vec::new(),
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
            mouse: false,
            theme: "default".into(),
            themes: THEMES.map(String::from).to_vec(),
            cols,
            rows,
            shown: Vec::new(),
            tally: Tally::default(),
            found: Cell::new(0),
        }
    }

    /// Whether a frame that showed this of a prompt is what is known of the screen already.
    #[must_use]
    pub fn knows(&self, painted: Option<&Painted>) -> bool {
        self.painted.as_ref() == painted && (painted.is_some() || self.form.is_none() || self.blind)
    }

    /// Which lines of the key table hold now.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        match (&self.overlay, &self.form) {
            (Some(Overlay::Filter { .. }), _) => Mode::Filter,
            (Some(Overlay::Palette { .. }), _) => Mode::Palette,
            (Some(Overlay::Sort { .. }), _) => Mode::Sort,
            (None, Some(_)) => Mode::Form,
            (None, None) => self.place(),
        }
    }

    /// The mode of the screen, whatever lies over it.
    #[must_use]
    pub const fn place(&self) -> Mode {
        match &self.screen {
            Screen::Board => Mode::Board,
            Screen::Plan(_) => Mode::Plan,
            Screen::Timeline => Mode::Timeline,
            Screen::Help => Mode::Help,
            Screen::Run(_) => Mode::Run,
            Screen::Opening => match &self.opening {
                Some(Opening { asking: Asking::BadData, .. }) => Mode::BadData,
                Some(_) | None => Mode::Cause,
            },
        }
    }

    /// Where the selected plan is among those shown; `None` where it is not among them.
    #[must_use]
    pub fn cursor(&self) -> Option<usize> {
        let selected = self.selected.as_ref()?;
        let found = self.found.get();
        if self.shown.get(found).is_some_and(|s| s.plan.id == *selected) {
            return Some(found);
        }
        let row = self.shown.iter().position(|s| s.plan.id == *selected)?;
        self.found.set(row);
        Some(row)
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
        let alarms = 2 * self.banners.len();
        let lines = [self.frozen.is_some(), self.warning.is_some(), self.practice];
        let extra = lines.into_iter().filter(|l| *l).count() + alarms;
        usize::from(self.rows).saturating_sub(5 + extra + usize::from(self.says_why()))
    }
}
