//! What each event does to what is shown.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::plan::{BootTime, Now, Plan, PlanId, SafeText};
use crate::readiness::{Finding, PlanStatus, Verdict};
use crate::runbook::{RunId, Runbooks};

use super::Model;
use super::act::on_key;
use super::board::{self, Orders};
use super::event::{Effect, Event, Stamped};
use super::guided::{self, First, Host, Rehearsing, Runs};
use super::history::Memory;
use super::model::Judged;
use super::point::on_pointed;
use super::view::{FindingId, Message, Screen, Tally, View};

/// Lines of the palette that are shown.
pub const PALETTE_LINES: usize = 10;
/// Most looks that wait to be asked for; whoever shows none asks for none.
const LOOKS: usize = 16_384;

/// How far the session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The configuration is being read.
    Reading,
    /// The plans are known.
    Live,
}

/// Everything that one session knows and shows. Owned by one task.
#[derive(Debug)]
pub struct App {
    /// The facts and their judgement.
    pub model: Model,
    /// What is shown of them.
    pub view: View,
    /// How far the session has come.
    pub stage: Stage,
    /// What could be run, by plan.
    pub runbooks: BTreeMap<PlanId, Arc<Runbooks>>,
    /// The runs, as their journals tell.
    pub runs: Runs,
    /// What this session runs in, once that was found out.
    pub host: Option<Host>,
    /// What this session was started for.
    pub first: Option<First>,
    /// When runbooks were looked through.
    pub rehearsing: Rehearsing,
    /// What there is to learn from practised runs that are over.
    pub debriefs: BTreeMap<RunId, Vec<SafeText>>,
    pending: Vec<Memory>,
    orders: Orders,
    /// The row of each plan among those shown, by its place.
    rows: Vec<Option<usize>>,
    changes: usize,
    /// When the looks were asked that were judged and may not be on the screen yet.
    looks: Vec<Now>,
}

/// What follows from an event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Update {
    /// To be carried out by the shell.
    pub effects: Vec<Effect>,
    /// Whether something visible changed.
    pub dirty: bool,
}

impl Update {
    pub(super) fn dirty() -> Self {
        Self { effects: Vec::new(), dirty: true }
    }

    pub(super) fn with(effect: Effect) -> Self {
        Self { effects: vec![effect], dirty: true }
    }
}

impl App {
    /// A session that begins, on a terminal of this size.
    #[must_use]
    pub fn new(model: Model, cols: u16, rows: u16) -> Self {
        Self {
            model,
            view: View::new(cols, rows),
            stage: Stage::Reading,
            runbooks: BTreeMap::new(),
            runs: Runs::default(),
            host: None,
            first: None,
            rehearsing: Rehearsing::default(),
            debriefs: BTreeMap::new(),
            pending: Vec::new(),
            orders: Orders::default(),
            rows: Vec::new(),
            changes: 0,
            looks: Vec::new(),
        }
    }

    /// Takes the plans.
    pub fn configure(&mut self, plans: Vec<Arc<Plan>>, now: Now) {
        self.view.practice = plans.iter().any(|p| p.practice.is_some());
        self.model.configure(plans, now);
        self.stage = Stage::Live;
        self.orders = Orders::of(self.model.statuses());
        self.changes = self.model.changes().len();
        self.refresh();
    }

    /// Judges what has news or has aged, after a drained batch of events.
    pub fn settle(&mut self, now: Now) -> Update {
        self.settle_while(now, || true)
    }

    /// The same for as long as `go_on` says so, asked before each plan: so that judging many plans never keeps a key
    /// waiting. [`Model::is_due`] tells whether some are left. In the end it comes to the same.
    pub fn settle_while(&mut self, now: Now, go_on: impl FnMut() -> bool) -> Update {
        let settled = self.model.settle_while(now, go_on);
        self.pending.extend(settled.memories);
        if self.looks.len() < LOOKS {
            self.looks.extend(settled.looks);
        }
        let mut out = Update::default();
        if !self.pending.is_empty() {
            out.effects.push(Effect::Remember(std::mem::take(&mut self.pending)));
        }
        if self.view.message.as_ref().is_some_and(|m| now.since(m.at) >= Duration::from_secs(Message::LASTS)) {
            self.view.message = None;
            out.dirty = true;
        }
        if !settled.judged.is_empty() {
            out.dirty |= self.judged_anew(&settled.judged, now);
            if guided::refresh_banners(self) {
                self.reframe();
                out.dirty = true;
            }
            let first = guided::go_first(self, now);
            out.effects.extend(first.effects);
            out.dirty |= first.dirty;
        }
        out.effects.extend(guided::rehearsals_due(self, &settled.judged, now));
        out
    }

    /// When the looks were asked that have been judged since this was asked last. What they changed is to be seen with
    /// the next frame, or was to be seen already.
    pub fn take_looks(&mut self) -> impl Iterator<Item = Now> + '_ {
        self.looks.drain(..)
    }

    /// Whether the new judgement changes anything on the screen. Costs what was judged, and an ordering only where a plan
    /// may have moved.
    fn judged_anew(&mut self, judged: &[Judged], now: Now) -> bool {
        let view = &mut self.view;
        if let Some(frozen) = &view.frozen {
            let worse = judged.iter().filter_map(|j| {
                let new = self.model.status_in(j.place)?;
                let old = frozen.statuses.get(j.place).filter(|old| old.plan.id == new.plan.id)?;
                board::worsened(old, new).then(|| new.plan.id.clone())
            });
            let Some(plan) = worse.min() else { return false };
            view.frozen = None;
            view.message = Some(Message { text: format!("thawed: {plan} got worse"), at: now });
            self.refresh();
            return true;
        }
        let visible = view.top..view.top + view.list_rows();
        let (mut moved, mut seen) = (false, false);
        for Judged { place, before } in judged {
            let Some(new) = self.model.status_in(*place) else { continue };
            moved |= board::moves(before, new, view.sort) || !view.filter.is_empty();
            let row = self.rows.get(*place).copied().flatten();
            if let Some((row, shown)) = row.and_then(|row| Some((row, view.shown.get_mut(row)?))) {
                *shown = Arc::clone(new);
                seen |= view.screen == Screen::Board
                    && visible.contains(&row)
                    && (board::face(before) != board::face(new) || ages_differ(before, new));
            }
            seen |= match &view.screen {
                Screen::Plan(id) => *id == new.plan.id,
                Screen::Opening => view.opening.as_ref().is_some_and(|o| o.plan == new.plan.id),
                // Of the plan, a run that is over shows the way back.
                Screen::Run(run) => {
                    self.runs.get(run).is_some_and(|k| !k.is_open() && k.state.opened.plan == new.plan.id)
                }
                Screen::Board | Screen::Timeline | Screen::Help => false,
            };
        }
        let changes = self.model.changes().len();
        let news = changes != self.changes;
        if view.back > 0 {
            view.back += changes.saturating_sub(self.changes);
        }
        self.changes = changes;
        let timeline = news && view.screen == Screen::Timeline;
        if moved {
            self.refresh();
        } else {
            self.reframe();
        }
        moved || seen || timeline
    }

    /// Makes anew what is shown, and keeps the cursor on its plan and on the screen.
    pub(super) fn refresh(&mut self) {
        let view = &mut self.view;
        let frozen = view.frozen.as_ref().map(|f| &f.statuses);
        let status = |place: usize| frozen.map_or_else(|| self.model.status_in(place), |f| f.get(place));
        let open = |plan: &PlanId| self.runs.open_of(plan).is_some();
        let order = self.orders.rows(status, open, &view.filter, view.sort);
        self.rows.clear();
        self.rows.resize(self.model.statuses().len(), None);
        for (row, place) in order.iter().enumerate() {
            if let Some(known) = self.rows.get_mut(*place) {
                *known = Some(row);
            }
        }
        view.shown = order.into_iter().filter_map(status).cloned().collect();
        view.tally = match frozen {
            Some(frozen) => Tally::of(frozen.iter()),
            None => Tally::of(self.model.statuses()),
        };
        if !view.chosen {
            // Until a person has taken a plan, the cursor stays on the first row, which is the worst.
            view.selected = view.shown.first().map(|s| s.plan.id.clone());
        }
        self.reframe();
    }

    pub(super) fn reframe(&mut self) {
        let view = &mut self.view;
        let cursor = view.cursor().unwrap_or(0);
        view.top = board::fit(&view.shown, &self.runs, view.top, cursor, view.list_rows(), view.cols);
        if let Screen::Plan(id) = &view.screen
            && let Some(status) = view.shown_status(id).or_else(|| self.model.status(id))
        {
            let ids = FindingId::all(&status.findings);
            if view.finding.as_ref().is_none_or(|f| !ids.contains(f)) {
                view.finding = in_order(&status.findings).first().and_then(|i| ids.get(*i)).cloned();
            }
        }
    }

    /// The status that is shown of a plan: the frozen one, where the screen is frozen.
    #[must_use]
    pub fn status(&self, id: &PlanId) -> Option<&Arc<PlanStatus>> {
        match &self.view.frozen {
            Some(frozen) => frozen.statuses.iter().find(|s| s.plan.id == *id),
            None => self.model.status(id),
        }
    }

    /// The plan that an action would be about: the open one, or the selected one where it is shown.
    #[must_use]
    pub fn target(&self) -> Option<&PlanId> {
        match &self.view.screen {
            Screen::Plan(id) => Some(id),
            Screen::Board => self.view.selected.as_ref().filter(|_| self.view.cursor().is_some()),
            Screen::Opening => self.view.opening.as_ref().map(|o| &o.plan),
            Screen::Run(run) => self.runs.get(run).map(|k| &k.state.opened.plan),
            Screen::Timeline | Screen::Help => None,
        }
    }

    pub(super) fn say(&mut self, text: impl Into<String>, at: Now) {
        self.view.message = Some(Message { text: text.into(), at });
    }
}

impl View {
    fn shown_status(&self, id: &PlanId) -> Option<&Arc<PlanStatus>> {
        self.frozen.as_ref()?.statuses.iter().find(|s| s.plan.id == *id)
    }
}

/// Whether what the board shows as an age counts from another moment, although the words are the same.
fn ages_differ(old: &PlanStatus, new: &PlanStatus) -> bool {
    let trouble = |s: &PlanStatus| s.readiness != Verdict::Ready;
    trouble(new) && old.why().and_then(Finding::oldest) != new.why().and_then(Finding::oldest)
}

/// The places of a plan's findings in the order of its screen: by area, the area with the worst first, and worst first
/// within.
#[must_use]
pub fn in_order(findings: &[Finding]) -> Vec<usize> {
    let mut areas = Vec::new();
    for finding in findings {
        // The findings come worst first, so areas are met worst first.
        if !areas.contains(&finding.area) {
            areas.push(finding.area);
        }
    }
    areas
        .into_iter()
        .flat_map(|area| findings.iter().enumerate().filter(move |(_, f)| f.area == area).map(|(i, _)| i))
        .collect()
}

/// When something that is shown changes although nothing happens: evidence ages past a limit, the clock's minute, a
/// message goes. Ages on the screen come on top; whoever draws them knows them.
#[must_use]
pub fn next_wake(app: &App, now: Now) -> Option<BootTime> {
    let mut next = app.model.next_wake();
    let mut earlier = |at: BootTime| next = Some(next.map_or(at, |n| n.min(at)));
    if let Some(message) = &app.view.message {
        earlier(BootTime(message.at.boot.0.saturating_add(Duration::from_secs(Message::LASTS))));
    }
    earlier(next_minute(now));
    next
}

/// When the wall clock's minute changes.
#[must_use]
pub fn next_minute(now: Now) -> BootTime {
    let into = u64::try_from(now.wall.timestamp_millis().rem_euclid(60_000)).unwrap_or(0);
    BootTime(now.boot.0.saturating_add(Duration::from_millis(60_000 - into)))
}

/// What one event does. Exhaustive: nothing is dropped unseen.
pub fn update(app: &mut App, stamped: Stamped) -> Update {
    let now = stamped.at;
    match stamped.event {
        Event::Key(key) => on_key(app, key, now),
        Event::Pointed(pointed) => on_pointed(app, pointed, now),
        Event::Pasted => {
            match &mut app.view.form {
                Some(form) => form.pasted(),
                None => app.say("pasted text is not taken as keys", now),
            }
            Update::dirty()
        }
        Event::Resized { cols, rows } => {
            app.view.cols = cols;
            app.view.rows = rows;
            // What was painted was painted on another screen.
            app.view.painted = None;
            guided::refresh_banners(app);
            app.reframe();
            Update::dirty()
        }
        Event::Painted(painted) => {
            app.view.blind = app.view.form.is_some() && !painted.as_ref().is_some_and(|p| p.whole);
            if let Some(painted) = painted.as_ref().filter(|p| p.fits.is_some()) {
                app.view.cramped = Some(painted.clone());
            }
            app.view.painted = painted;
            Update::default()
        }
        Event::Journal(news) => guided::on_journal(app, &news, now),
        Event::RunOpened { plan, run } => guided::on_opened(app, &plan, run),
        Event::Rehearsed { plan, rehearsed } => {
            app.model.rehearsed(&plan, *rehearsed);
            Update::default()
        }
        Event::Refused(why) => guided::on_refused(app, why, now),
        Event::Host(host) => {
            app.host = Some(*host);
            Update::dirty()
        }
        Event::Polled(polled) => {
            let memories = app.model.polled(polled);
            app.pending.extend(memories);
            Update::default()
        }
        Event::Remembered(history) => {
            app.model.remember(*history);
            app.changes = app.model.changes().len();
            Update { effects: Vec::new(), dirty: app.view.screen != Screen::Board }
        }
        Event::StoreFailed(why) => {
            let text = why.to_string();
            let dirty = app.view.warning.as_ref() != Some(&text);
            app.view.warning = Some(text);
            app.reframe();
            Update { effects: Vec::new(), dirty }
        }
        Event::Debriefed { run, lines } => {
            app.debriefs.insert(run, lines);
            Update::dirty()
        }
        Event::Woke => Update::default(),
        Event::Ended(_) => Update::with(Effect::Quit),
    }
}
