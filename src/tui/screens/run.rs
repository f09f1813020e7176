//! One run: its steps and the clock on the left, everything about the selected step on the right.

use std::time::Duration;

use crate::app::App;
use crate::app::board::Ages;
use crate::app::event::Spot;
use crate::app::guided::runs::took;
use crate::app::guided::{Form, Known, Painted, PromptId, Purpose, way_back};
use crate::plan::{BootTime, Span};
use crate::runbook::{Held, Outcome, Phase, StepIx, StepPlan, StepRole, Strength, Verified};
use crate::tui::frame::Drawn;
use crate::tui::theme::{Role, held_glyph, step_glyph};
use crate::tui::widgets::form;
use crate::tui::widgets::pen::Pen;
use crate::tui::widgets::text::{Line, exact, hanging, width, wrap};

use super::approve;
use super::step::{self, heading};

/// From this width on, steps and details stand side by side.
const WIDE: u16 = 100;
/// After this long without a word of a runner that has something to do, it is stuck.
const SILENT: Duration = Duration::from_secs(10);
/// Notes that are shown.
const NOTES: usize = 5;

/// Draws a run.
pub fn draw(pen: &mut Pen<'_>, app: &App, known: &Known, ages: &Ages, drawn: &mut Drawn) {
    let (cols, rows) = (pen.cols(), pen.rows());
    let head = head(known, ages);
    clock(pen, known, ages);
    if let Some(typing) = &app.view.form
        && matches!(typing.purpose, Purpose::Approve { .. })
    {
        // Everything that is approved is on the screen: the prompt has all of it but the clock.
        pen.line(1, 0, &head[0]);
        approve::draw(&mut pen.part(0, 1, cols, rows.saturating_sub(1)), app, known, typing, ages, drawn);
        return;
    }
    let mut y = 0;
    for line in &head {
        pen.line(1, y, line);
        y += 1;
    }
    pen.part(0, y, cols, 1).rule(0);
    y += 1;
    let rest = rows.saturating_sub(y);
    if cols >= WIDE {
        let left = (cols * 2 / 5).clamp(40, 72);
        list(&mut pen.part(0, y, left, rest), app, known, ages, drawn);
        pen.part(left, y, 1, rest).upright(0);
        details(&mut pen.part(left + 2, y, cols.saturating_sub(left + 3), rest), app, known, ages, drawn);
    } else {
        let steps = u16::try_from(known.state.steps.len()).unwrap_or(u16::MAX);
        let above = steps.min((rest * 2 / 5).max(3));
        list(&mut pen.part(0, y, cols, above), app, known, ages, drawn);
        pen.part(0, y + above, cols, 1).rule(0);
        let below = rest.saturating_sub(above + 1);
        details(&mut pen.part(1, y + above + 1, cols.saturating_sub(2), below), app, known, ages, drawn);
    }
    if let Some(typing) = &app.view.form {
        words(pen, app, known, typing, ages, drawn);
    }
}

/// What it is, where it stands, and the moments that count, from T0 on.
fn head(known: &Known, ages: &Ages) -> [Line; 3] {
    let state = &known.state;
    let opened = &state.opened;
    let drill = if opened.practice { "PRACTICE " } else { "" };
    let role = match state.phase() {
        Phase::Halted(..) | Phase::Stopping => Role::NotReady,
        Phase::Armed(..) => Role::Degraded,
        Phase::Acting(_) | Phase::Approved(_) => Role::Accent,
        Phase::Waiting(_) | Phase::Preflight(..) | Phase::Finished | Phase::Closed => Role::Selected,
    };
    let first = vec![
        (format!("{drill}{} ", opened.kind.word().to_uppercase()), Role::Danger),
        (opened.plan.to_string(), Role::Selected),
        (format!("  {} → {}", opened.from, opened.to), Role::Plain),
    ];
    let mut second = vec![(known.state.words(), role)];
    second.push(match (known.is_open(), known.lives) {
        (false, _) => match known.is_watched() {
            Some(true) => (format!("   ● {} is watched", opened.from), Role::Ready),
            Some(false) => (format!("   ✖ NOBODY WATCHES {}", opened.from), Role::NotReady),
            None => (String::new(), Role::Dim),
        },
        (true, Some(true)) if silence(known, ages).is_some() => {
            ("   ▲ the runner holds it and says nothing".into(), Role::Degraded)
        }
        (true, Some(true)) => ("   ● runner lives".into(), Role::Ready),
        (true, Some(false)) => ("   ✖ NO RUNNER LIVES: G starts one".into(), Role::NotReady),
        (true, None) => ("   ? runner not known".into(), Role::Unknown),
    });
    second.push((format!("   by {}@{}", state.opened_by.user, state.opened_by.host), Role::Dim));
    let t0 = state.t0.at;
    let mut third = vec![("T0 ".into(), Role::Dim), (t0.format("%H:%M:%SZ").to_string(), Role::Plain)];
    let moments = [
        ("detected", opened.detected),
        ("declared", Some(state.opened_at.wall)),
        ("decided", state.decided.map(|n| n.wall)),
        ("recovered", state.recovered().map(|n| n.wall)),
    ];
    for (label, moment) in moments {
        let after = moment.map(|at| {
            let secs = at.signed_duration_since(t0).num_seconds();
            format!("{}{}", if secs < 0 { "-" } else { "+" }, Span::secs(secs.unsigned_abs()))
        });
        third.push((format!("  {label} "), Role::Dim));
        third.push((after.unwrap_or_else(|| "-".to_owned()), Role::Plain));
    }
    [first, second, third]
}

/// The clock since T0 against the objective; it stands once the service is recovered.
fn clock(pen: &mut Pen<'_>, known: &Known, ages: &Ages) {
    let since = known.since_t0(ages.now());
    let goal = known.state.opened.expected.rto;
    if known.is_open() && known.state.recovered().is_none() {
        ages.wake(BootTime(ages.now().boot.0 + Duration::from_secs(1)));
    }
    let beyond = since > goal.0;
    let mark = if beyond { " ✖" } else { "" };
    let text = format!("T0 + {} of {goal}{mark}", Span::secs(since.as_secs()));
    let right = pen.cols().saturating_sub(1);
    let wide = u16::try_from(width(&text)).unwrap_or(u16::MAX);
    let mut part = pen.part(right.saturating_sub(wide + 2), 0, wide + 2, 1);
    part.fill(Role::Plain);
    part.put_right(wide + 2, 0, &text, if beyond { Role::NotReady } else { Role::Selected });
}

/// The step that is looked at: the selected one, else the one that the run is about.
fn selected(app: &App, known: &Known) -> Option<StepIx> {
    let last = known.state.steps.len().checked_sub(1).map(StepIx::at);
    app.view.run_step.or_else(|| known.current()).or(last)
}

/// The steps; only the rows that fit are formatted.
fn list(pen: &mut Pen<'_>, app: &App, known: &Known, ages: &Ages, drawn: &mut Drawn) {
    let at = selected(app, known).map_or(0, StepIx::place);
    let height = usize::from(pen.rows());
    let steps = &known.state.steps;
    let top = (at + 2).saturating_sub(height).min(steps.len().saturating_sub(height));
    let cols = pen.cols();
    for (y, (place, status)) in (0..pen.rows()).zip(steps.iter().enumerate().skip(top)) {
        drawn.formatted += 1;
        let ix = StepIx::at(place);
        let Some(plan) = known.state.opened.runbook.step(ix) else { continue };
        drawn.spots.push((pen.place(0, y, cols, 1), Spot::Step(ix)));
        if place == at {
            pen.put(0, y, "▌", 1, Role::Accent);
        }
        pen.put(1, y, &format!("{ix:>2}"), 2, Role::Dim);
        let (glyph, role) = step_glyph(status.state);
        // The way out is passed over, unless somebody turns back.
        let out = known.state.passes_over(ix) && !status.state.is_over();
        let (glyph, word, role) = if out { (glyph, "way out", role) } else { standing(known, status) };
        pen.put(4, y, glyph, 1, role);
        pen.put(6, y, word, 13, role);
        let lasts = lasting(plan, status, ages, known.is_open());
        let room = cols.saturating_sub(21 + u16::try_from(width(&lasts) + 1).unwrap_or(0));
        let back = plan.is_point_of_no_return();
        let name = if place == at { Role::Selected } else { Role::Plain };
        let x = pen.put(20, y, plan.name.as_str(), room, name);
        if back && x + 13 < 20 + room {
            pen.put(x + 1, y, "no way back", 11, Role::Danger);
        }
        pen.put_right(cols.saturating_sub(1), y, &lasts, Role::Dim);
    }
}

/// Where a step stands, in a word; a fence says how much it is worth, which is less than that its step ended.
fn standing(known: &Known, status: &crate::runbook::StepStatus) -> (&'static str, &'static str, Role) {
    let (glyph, role) = step_glyph(status.state);
    let end = status.attempts.last().and_then(|a| a.end.as_ref()).filter(|(r, ..)| r.outcome.is_done());
    let fence = end.and_then(|(resolution, ..)| resolution.left.fence.as_ref());
    match fence.map(|f| f.strength) {
        Some(_) if known.state.wrote_since_fence().is_some() => ("✖", "has fallen", Role::NotReady),
        Some(Strength::Assumed) => ("▲", "assumed", Role::Degraded),
        Some(Strength::Proven | Strength::Blocked) | None => (glyph, status.state.word(), role),
    }
}

/// How long a step took, takes, or is expected to.
fn lasting(plan: &StepPlan, status: &crate::runbook::StepStatus, ages: &Ages, open: bool) -> String {
    match status.attempts.last() {
        Some(attempt) => {
            if attempt.end.is_none() && open {
                ages.wake(BootTime(ages.now().boot.0 + Duration::from_secs(1)));
            }
            Span::secs(took(attempt, ages.now()).as_secs()).to_string()
        }
        None => plan.expect.map(|e| format!("~{e}")).unwrap_or_default(),
    }
}

fn details(pen: &mut Pen<'_>, app: &App, known: &Known, ages: &Ages, drawn: &mut Drawn) {
    let cells = usize::from(pen.cols());
    drawn.spots.push((pen.place(0, 0, pen.cols(), pen.rows()), Spot::Details));
    let mut lines = matters(app, known, ages, cells);
    if !known.is_open() && app.view.run_step.is_none() {
        lines.extend(ended(app, known, cells));
    }
    if let Some(ix) = selected(app, known) {
        lines.extend(step::lines(known, ix, ages, cells));
    }
    lines.extend(record(known, cells));
    lines.extend(calls(app, known, ages, cells));
    let rows = usize::from(pen.rows());
    drawn.detail_max = lines.len().saturating_sub(rows);
    let top = app.view.detail.min(drawn.detail_max);
    for (y, line) in (0..pen.rows()).zip(lines.iter().skip(top)) {
        pen.line(0, y, line);
    }
    let hidden = lines.len().saturating_sub(top + rows);
    if hidden > 0 {
        let text = format!(" {hidden} more: pgdn ");
        pen.put_right(pen.cols(), pen.rows().saturating_sub(1), &text, Role::Accent);
    }
}

/// What must not be overlooked: what was refused, why nothing goes on, and what to press.
fn matters(app: &App, known: &Known, ages: &Ages, cells: usize) -> Vec<Line> {
    let state = &known.state;
    let mut out = Vec::new();
    if let Some(why) = &app.view.refused {
        out.extend(hanging(&[("refused: ".into(), Role::NotReady)], why.as_str(), Role::Selected, cells));
    }
    out.extend(again(known, cells));
    if let Some(what) = silence(known, ages) {
        let held = state
            .runner
            .as_ref()
            .map_or_else(|| "its process".to_owned(), |r| format!("its process ({} on {})", r.pid, r.host));
        let next = if app.view.read_only { format!("end {held}") } else { format!("X ends the run, or end {held}") };
        out.extend(hanging(&[("▲ ".into(), Role::Degraded)], &format!("{what}: {next}"), Role::Selected, cells));
    }
    if let Some(blocked) = &state.blocked {
        for why in &blocked.why {
            out.extend(hanging(&[("▲ ".into(), Role::Degraded)], why.as_str(), Role::Plain, cells));
        }
    }
    if let Some(why) = &state.aborting {
        out.extend(hanging(&[("being ended: ".into(), Role::NotReady)], why.as_str(), Role::Plain, cells));
    }
    if let Some(wanted) = state.shown.as_ref().map(|s| crate::runbook::prompt(&state.opened.runbook, &s.steps)) {
        for why in &wanted.blocked {
            out.extend(hanging(&[("✖ cannot be approved: ".into(), Role::NotReady)], why.as_str(), Role::Plain, cells));
        }
    }
    let next = match state.phase() {
        _ if app.view.read_only => None,
        Phase::Armed(..) => Some("A reads all of it and approves; + and - show more or fewer steps; G looks again"),
        Phase::Waiting(_) => Some("G shows what comes next; nothing is done before it is approved"),
        Phase::Halted(ix, Outcome::Indeterminate) if known.lives == Some(true) && is_looked_for(known, ix) => Some(
            "wait: its effect is being looked for. C says whether it is there, R tries the step again, P skips it, X ends the \
             run",
        ),
        Phase::Halted(..) => {
            Some("R tries the step again, C says whether its effect is there, P skips it, X ends the run")
        }
        Phase::Acting(_) | Phase::Approved(_) if known.lives == Some(false) => {
            Some("G starts a runner: it looks what became of the step in hand, and repeats nothing")
        }
        Phase::Preflight(..) | Phase::Approved(_) | Phase::Acting(_) | Phase::Stopping | Phase::Finished => None,
        Phase::Closed => state.acknowledged.is_none().then_some("K takes note of how it ended"),
    };
    if let Some(next) = next {
        out.extend(hanging(&[("next: ".into(), Role::Accent)], next, Role::Plain, cells));
    }
    if !app.view.read_only && state.open_attempts().next().is_none() && !state.left_out_by_turning_back().is_empty() {
        let words = format!("B turns back: nothing is promoted, and {} is let in again", state.opened.from);
        out.extend(hanging(&[("or:   ".into(), Role::Accent)], &words, Role::Plain, cells));
    }
    if !out.is_empty() {
        out.push(Line::new());
    }
    out
}

/// What a runner was to do that holds the run and has written nothing since, and for how long: it hangs, or is stopped. While
/// a step is in hand, the step's own clock says how long it takes.
fn silence(known: &Known, ages: &Ages) -> Option<String> {
    let state = &known.state;
    let (wanted, done, since) = match state.phase() {
        Phase::Approved(_) => ("approved", "written nothing", state.approval.as_ref().map(|given| given.seq)),
        Phase::Preflight(..) => ("asked what it would do", "shown nothing", state.asked.map(|(.., seq)| seq)),
        Phase::Waiting(_)
        | Phase::Armed(..)
        | Phase::Acting(_)
        | Phase::Halted(..)
        | Phase::Stopping
        | Phase::Finished
        | Phase::Closed => return None,
    };
    let age = ages.beyond(state.newest, SILENT).filter(|_| known.lives == Some(true))?;
    // It may have done a part of what was approved, or somebody noted something meanwhile.
    Some(if since == Some(state.seq) {
        format!("{wanted} {age} ago, and the runner has {done} since")
    } else {
        format!("{wanted}, and the runner has {done} for {age}")
    })
}

/// Whether a runner can see the effect of a step, and so goes on looking for it.
fn is_looked_for(known: &Known, ix: StepIx) -> bool {
    known.state.opened.runbook.step(ix).is_some_and(|s| s.verified == Verified::ByLooking)
}

/// The old site takes writes again: its fence as it was prepared, to be copied, until somebody has taken note.
fn again(known: &Known, cells: usize) -> Vec<Line> {
    let state = &known.state;
    if state.alarms.is_empty() || state.acknowledged.is_some() {
        return Vec::new();
    }
    let from = &state.opened.from;
    let words = if state.may_have_promoted() {
        format!("stop {from} now. Its fence again:")
    } else if known.is_open() {
        format!("{from} serves, and its fence does not hold: end the run (X), or fence it again before you go on:")
    } else {
        format!("{from} took writes again, and nothing was promoted: it may serve. What would fence it:")
    };
    let mut out = hanging(&[("✖ ".into(), Role::NotReady)], &words, Role::Selected, cells);
    let runbook = &state.opened.runbook;
    let fence = runbook.places().find(|ix| runbook.step(*ix).is_some_and(|s| s.role == StepRole::Fence));
    let actions = fence.and_then(|ix| known.previews.get(&ix)).map(|p| p.actions.as_slice()).unwrap_or_default();
    for action in actions {
        let lines = exact(action.as_str(), cells.saturating_sub(2));
        out.extend(lines.into_iter().map(|line| vec![("│ ".into(), Role::Accent), (line, Role::Selected)]));
    }
    if actions.is_empty() {
        let print = format!("lifeboat run {} {} --print has its commands", state.opened.plan, state.opened.kind);
        out.extend(hanging(&[("  ".into(), Role::Plain)], &print, Role::Plain, cells));
    }
    out
}

/// How it ended, measured against what was promised and expected; and the way back.
fn ended(app: &App, known: &Known, cells: usize) -> Vec<Line> {
    let state = &known.state;
    let opened = &state.opened;
    let expected = &opened.expected;
    let mut out = vec![heading("how it ended")];
    let took = state.recovered().and_then(|at| at.wall.signed_duration_since(state.t0.at).to_std().ok());
    let time = match took {
        Some(took) => {
            let (took, rto) = (Span::secs(took.as_secs()), expected.rto);
            let (glyph, role) = held_glyph(Held::of(took <= rto));
            ((format!("{glyph} "), role), format!("recovered {took} after T0, the objective is {rto}"))
        }
        None => (("? ".to_owned(), Role::Unknown), "not recovered by this run".to_owned()),
    };
    if state.fences_for_nothing() {
        let words = format!("{} STAYS FENCED: it takes no writes until somebody undoes that by hand", opened.from);
        out.extend(hanging(&[("✖ ".into(), Role::NotReady)], &words, Role::Selected, cells));
    }
    out.extend(hanging(&[time.0], &time.1, Role::Plain, cells));
    let wanted = expected.loss.map_or_else(|| "unknown".to_owned(), |l| format!("at most {l}"));
    let measured = state.loss().map_or_else(|| "not measured".to_owned(), |l| l.words());
    let lost = format!("lost: {measured}; expected: {wanted}, the objective is {}", expected.rpo);
    out.extend(hanging(&[("  ".into(), Role::Plain)], &lost, Role::Plain, cells));
    if let Some((who, words)) = &state.acknowledged {
        out.extend(hanging(&[(format!("  noted by {}: ", who.user), Role::Dim)], words.as_str(), Role::Plain, cells));
    }
    if let Some(lines) = app.debriefs.get(&state.run) {
        out.extend([Line::new(), heading("debrief")]);
        for line in lines {
            out.extend(hanging(&[("  ".into(), Role::Plain)], line.as_str(), Role::Plain, cells));
        }
    }
    let needs = way_back(app, known);
    if !needs.is_empty() {
        out.extend([Line::new(), heading("the way back, as observed now")]);
        for need in needs {
            let (glyph, role) = held_glyph(need.held);
            let text = format!("{}: {}", need.what, need.why);
            out.extend(hanging(&[(format!("{glyph} {} ", need.held.word()), role)], &text, Role::Plain, cells));
        }
    }
    out.push(Line::new());
    out
}

/// Whom to call, and who should know by now.
fn calls(app: &App, known: &Known, ages: &Ages, cells: usize) -> Vec<Line> {
    let Some(status) = app.model.status(&known.state.opened.plan) else { return Vec::new() };
    if status.plan.contacts.is_empty() {
        return Vec::new();
    }
    let mut out = vec![Line::new(), heading("call")];
    for contact in &status.plan.contacts {
        let due = known.since_t0(ages.now()) >= contact.after.0;
        let role = if due { Role::Accent } else { Role::Dim };
        let when = if due { "now: ".to_owned() } else { format!("at T0 + {}: ", contact.after) };
        let text = format!("{}, {}", contact.role, contact.reach);
        out.extend(hanging(&[(when, role)], &text, Role::Plain, cells));
    }
    out
}

/// Alarms and notes, newest first, and why it was opened.
fn record(known: &Known, cells: usize) -> Vec<Line> {
    let state = &known.state;
    let mut out = vec![Line::new(), heading("record")];
    for (what, at) in state.alarms.iter().rev() {
        let head = [(format!("✖ {} alarm: ", at.wall.format("%H:%M:%SZ")), Role::NotReady)];
        out.extend(hanging(&head, what.as_str(), Role::Plain, cells));
    }
    for (text, at, who) in state.notes.iter().rev().take(NOTES) {
        let head = [(format!("{} {}: ", at.wall.format("%H:%M:%SZ"), who.user), Role::Dim)];
        out.extend(hanging(&head, text.as_str(), Role::Plain, cells));
    }
    let head = [(
        format!("{} opened for {}: ", state.opened_at.wall.format("%H:%M:%SZ"), state.opened.cause.words()),
        Role::Dim,
    )];
    out.extend(hanging(&head, state.opened.reason.as_str(), Role::Plain, cells));
    out.extend(hanging(&[("T0: ".into(), Role::Dim)], state.t0.why.as_str(), Role::Plain, cells));
    out
}

/// A few words that are typed, over the screen.
fn words(pen: &mut Pen<'_>, app: &App, known: &Known, typing: &Form, ages: &Ages, drawn: &mut Drawn) {
    let (cols, rows) = (pen.cols(), pen.rows());
    let w = cols.min(90);
    let cells = usize::from(w.saturating_sub(4));
    let mut lines: Vec<Line> = about(typing, known, cells);
    lines.extend(form::lines(app, typing, ages.now(), cells));
    let wanted = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX);
    let whole = wanted <= rows;
    drawn.spots.clear();
    let mut frame = pen.part((cols - w) / 2, rows.saturating_sub(wanted) / 2, w, wanted.min(rows));
    let mut inner = frame.framed(&typing.purpose.title());
    for (y, line) in (0..inner.rows()).zip(&lines) {
        inner.line(0, y, line);
    }
    drawn.prompt = Some(Painted { prompt: PromptId::Words(known.state.run.clone()), whole, fits: None });
}

/// What ending the run leaves behind.
fn abort(known: &Known) -> String {
    let state = &known.state;
    let text = "Nothing is undone. A step in hand is finished first; nothing more is begun.".to_owned();
    if !state.fences_for_nothing() {
        return text;
    }
    let back =
        if state.left_out_by_turning_back().is_empty() { "" } else { " Leave this and press B to undo the fence." };
    format!("{text} {} STAYS FENCED: nobody is served.{back}", state.opened.from)
}

/// What the words would do.
fn about(typing: &Form, known: &Known, cells: usize) -> Vec<Line> {
    let name = |ix: &StepIx| known.state.opened.runbook.step(*ix).map(|s| s.name.to_string()).unwrap_or_default();
    let text = match &typing.purpose {
        Purpose::Skip(_, ix) => format!("{ix} {} is left out, and the run goes on as if it were done.", name(ix)),
        Purpose::Confirm(_, ix) => format!("{ix} {}: look at it yourself first. What you say is recorded.", name(ix)),
        Purpose::TurnBack(_) => {
            "Every step up to the unfence is left out. What the fence did is undone next, once that is approved."
                .to_owned()
        }
        Purpose::Abort(_) => abort(known),
        Purpose::Withdraw(_) => "What was begun is finished; nothing more is begun.".to_owned(),
        Purpose::Acknowledge(_) => "Until somebody has, no other failover of this plan is opened.".to_owned(),
        Purpose::Date(_) => format!("T0 is {}: {}", known.state.t0.at.format("%H:%M:%SZ"), known.state.t0.why),
        Purpose::Note(_) | Purpose::Open | Purpose::Approve { .. } => return Vec::new(),
    };
    let mut out: Vec<Line> = wrap(&text, cells).into_iter().map(|line| vec![(line, Role::Plain)]).collect();
    out.push(Line::new());
    out
}
