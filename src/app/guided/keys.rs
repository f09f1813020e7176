//! What keys and news do to prompts and runs.

use std::time::Duration;

use crate::app::event::Effect;
use crate::app::keymap::{Answer, RunAction};
use crate::app::update::{App, Update};
use crate::app::view::Screen;
use crate::plan::{Now, PlanId, SafeText};
use crate::runbook::{Asker, Cause, Command, MOST_AGE, Phase, RunId, RunbookKind, StepIx, decide, prompt};

use super::form::{Form, Purpose, bounds_of, can_confirm, fields};
use super::opening::{Asking, OpenRun, Opening, propose};
use super::pace::Hush;
use super::runs::{Known, News};
use super::{FieldId, PromptId, refresh_banners};

/// What was shown is read anew once it is this old, while somebody types.
const ANEW: Duration = Duration::from_secs(25);

/// Why nothing is typed or taken.
const TOO_SMALL: &str = "the terminal is too small for all of it";

/// What an answer to the question before a run does.
pub(in crate::app) fn answer(app: &mut App, answer: Answer, now: Now) -> Update {
    match answer {
        Answer::Outage => answered(app, Cause::Outage, now),
        Answer::BadData => answered(app, Cause::BadData, now),
        Answer::Anyway => anyway(app, now),
    }
}

/// What an action in the run on the screen does.
pub(in crate::app) fn in_run(app: &mut App, action: RunAction, now: Now) -> Update {
    match action {
        RunAction::GoOn | RunAction::Retry => go_on(app, now),
        RunAction::More => widen(app, true, now),
        RunAction::Fewer => widen(app, false, now),
        RunAction::Approve => approve(app, now),
        RunAction::Withdraw => with_run(app, now, |run, _| Some(Purpose::Withdraw(run))),
        RunAction::Confirm => with_run(app, now, |run, step| Some(Purpose::Confirm(run, step?))),
        RunAction::Skip => with_run(app, now, |run, step| Some(Purpose::Skip(run, step?))),
        RunAction::TurnBack => with_run(app, now, |run, _| Some(Purpose::TurnBack(run))),
        RunAction::Abort => with_run(app, now, |run, _| Some(Purpose::Abort(run))),
        RunAction::Acknowledge => with_run(app, now, |run, _| Some(Purpose::Acknowledge(run))),
        RunAction::Note => with_run(app, now, |run, _| Some(Purpose::Note(run))),
        RunAction::Date => with_run(app, now, |run, _| Some(Purpose::Date(run))),
    }
}

/// Shows a run. Where it goes back to is where it was opened from.
fn show(app: &mut App, run: RunId) {
    if !matches!(app.view.screen, Screen::Run(_) | Screen::Opening) {
        app.view.before = app.view.screen.clone();
    }
    app.view.opening = None;
    app.view.form = None;
    app.view.run_step = None;
    app.view.detail = 0;
    app.view.screen = Screen::Run(run);
    // A run is followed as it is, never as it was.
    if app.view.frozen.take().is_some() {
        app.refresh();
    }
}

/// The run of the plan under the cursor: the open one, else the last.
pub(in crate::app) fn to_run(app: &mut App) -> Update {
    let Some(plan) = app.target().cloned() else { return Update::default() };
    app.view.chosen = true;
    let known = app.runs.open_of(&plan).or_else(|| app.runs.last_of(&plan));
    if let Some(run) = known.map(|k| k.state.run.clone()) {
        show(app, run);
    }
    Update::dirty()
}

/// A prompt that opens a run of the plan under the cursor, or the run that is in its way.
pub(in crate::app) fn begin(app: &mut App, kind: RunbookKind, now: Now) -> Update {
    let Some(plan) = app.target().cloned() else { return Update::default() };
    app.view.chosen = true;
    app.view.refused = None;
    let here = app.view.screen.clone();
    let mut preempts = None;
    if let Some(open) = app.runs.open_of(&plan) {
        let run = open.state.run.clone();
        let drill = !open.state.opened.kind.is_real();
        let seen = matches!(&here, Screen::Run(shown) if *shown == run);
        // A drill gives way at once, a run that stands still only to whoever has looked at it.
        if kind == RunbookKind::Failover && open.gives_way() && (drill || seen) {
            preempts = Some(run);
        } else {
            show(app, run);
            app.say(format!("a run of {plan} is open already: this is it"), now);
            return Update::dirty();
        }
    }
    if let Some(last) = app.runs.unnoted(&plan, kind) {
        let run = last.state.run.clone();
        show(app, run);
        app.say("refused: nobody has taken note of how this one ended (K)", now);
        return Update::dirty();
    }
    let proposal = match propose(app, &plan, kind, now) {
        Ok(proposal) => proposal,
        Err(why) => {
            app.say(format!("{kind} is off: {why}"), now);
            return Update::dirty();
        }
    };
    let (asking, cause) = match kind {
        RunbookKind::Failover => (Asking::Cause, Cause::Outage),
        RunbookKind::Switchover | RunbookKind::Failback => (Asking::Words, Cause::Planned),
        RunbookKind::Drill => (Asking::Words, Cause::Rehearsal),
    };
    if !matches!(here, Screen::Run(_)) {
        app.view.before = here;
    }
    app.view.opening =
        Some(Opening { plan, kind, from: proposal.from, to: proposal.to, asking, cause, preempts, sent: false });
    app.view.screen = Screen::Opening;
    app.view.detail = 0;
    if asking == Asking::Words {
        words(app, Purpose::Open, now);
    }
    Update::dirty()
}

/// Begins to type.
fn words(app: &mut App, purpose: Purpose, now: Now) {
    let fields = fields(&purpose, app);
    app.view.painted = None;
    app.view.blind = false;
    app.view.form = Form::new(purpose, &fields, now);
}

fn answered(app: &mut App, cause: Cause, now: Now) -> Update {
    let Some(opening) = app.view.opening.as_mut().filter(|o| o.asking == Asking::Cause) else {
        return Update::default();
    };
    opening.cause = cause;
    if cause == Cause::BadData {
        opening.asking = Asking::BadData;
    } else {
        opening.asking = Asking::Words;
        words(app, Purpose::Open, now);
    }
    Update::dirty()
}

fn anyway(app: &mut App, now: Now) -> Update {
    let Some(opening) = app.view.opening.as_mut().filter(|o| o.asking == Asking::BadData) else {
        return Update::default();
    };
    opening.asking = Asking::Words;
    words(app, Purpose::Open, now);
    Update::dirty()
}

/// The run on the screen.
fn on_screen(app: &App) -> Option<&Known> {
    match &app.view.screen {
        Screen::Run(run) => app.runs.get(run),
        Screen::Board | Screen::Plan(_) | Screen::Timeline | Screen::Help | Screen::Opening => None,
    }
}

/// Begins to type something about the run on the screen, and its selected step.
fn with_run(app: &mut App, now: Now, purpose: impl FnOnce(RunId, Option<StepIx>) -> Option<Purpose>) -> Update {
    let Some(known) = on_screen(app) else { return Update::default() };
    let Some(purpose) = purpose(known.state.run.clone(), app.view.run_step.or_else(|| known.current())) else {
        return Update::default();
    };
    app.view.refused = None;
    words(app, purpose, now);
    Update::dirty()
}

fn approve(app: &mut App, now: Now) -> Update {
    let Some(known) = on_screen(app) else { return Update::default() };
    let Some(shown) = &known.state.shown else { return Update::default() };
    let wanted = prompt(&known.state.opened.runbook, &shown.steps);
    let run = known.state.run.clone();
    let (bounds, shown) = (bounds_of(known, shown), shown.seq);
    app.view.refused = None;
    app.view.driving = Some(run.clone());
    words(app, Purpose::Approve { run, shown, bounds, challenge: wanted.challenge }, now);
    Update::dirty()
}

/// Asks what the next steps would do, and starts a runner where none lives.
fn go_on(app: &mut App, now: Now) -> Update {
    let Some(known) = on_screen(app) else { return Update::default() };
    // What a runner that is gone had in hand, or had still to begin, comes first: whoever is started looks for it.
    let at_work =
        matches!(known.state.phase(), Phase::Approved(_) | Phase::Acting(_) | Phase::Stopping | Phase::Finished);
    let (run, command) = (known.state.run.clone(), next_range(known).filter(|_| !at_work));
    app.view.refused = None;
    app.view.run_step = None;
    app.view.driving = Some(run.clone());
    let Some(command) = command else {
        // Nothing is left to be shown; a runner that is gone has the end still to write.
        return runner_for(app, &run).map_or_else(Update::default, Update::with);
    };
    send(app, &run, command, now)
}

/// The range that is offered next.
fn next_range(known: &Known) -> Option<Command> {
    let from = known.state.next_step()?;
    let (from, to) = known.state.opened.runbook.default_range(from).into_inner();
    Some(Command::Ask { from, to })
}

/// Asks for one more step than was shown, or for one less.
fn widen(app: &mut App, more: bool, now: Now) -> Update {
    let Some(known) = on_screen(app) else { return Update::default() };
    let asked = known.state.asked.map(|(from, to, _)| (from, to));
    let shown = known.state.shown.as_ref().and_then(|s| Some((s.steps.first()?.0, s.steps.last()?.0)));
    let Some((from, to)) = asked.or(shown) else { return Update::default() };
    let runbook = &known.state.opened.runbook;
    // A group is shown whole or not at all.
    let before = |ix: StepIx| StepIx(runbook.beside(ix).start().0.saturating_sub(1));
    let range = known.state.shown.as_ref().map(|s| PromptId::Range(known.state.run.clone(), s.seq));
    let cramped = app.view.cramped.as_ref().filter(|p| Some(&p.prompt) == range.as_ref());
    let to = match cramped.and_then(|p| p.fits) {
        _ if more => to.next(),
        // As many as the screen had room for, at once.
        Some(fits) if fits > 0 => before(StepIx(from.0.saturating_add(fits)).min(to)),
        Some(_) | None => before(to),
    };
    if to < from || to.place() >= runbook.steps.len() {
        app.say(if more { "there are no more steps" } else { "one step at least" }, now);
        return Update::dirty();
    }
    let run = known.state.run.clone();
    app.view.driving = Some(run.clone());
    send(app, &run, Command::Ask { from, to }, now)
}

/// A runner, where the run's is known to be gone.
fn runner_for(app: &App, run: &RunId) -> Option<Effect> {
    let known = app.runs.get(run)?;
    (known.is_open() && known.lives == Some(false)).then(|| Effect::StartRunner(run.clone()))
}

/// Sends a command of a person, unless it is refused here already.
fn send(app: &mut App, run: &RunId, command: Command, now: Now) -> Update {
    if app.view.read_only {
        return Update::default();
    }
    let Some(known) = app.runs.get(run) else { return Update::default() };
    let boot = app.model.boot().clone();
    let asker = Asker { now, boot: &boot, epoch: None };
    if let Err(why) = decide(&known.state, command.clone(), asker) {
        app.view.refused = Some(SafeText::new(&why.to_string()));
        return Update::dirty();
    }
    let in_hand = known.state.open_attempts().next().is_some();
    let needs_runner = match &command {
        Command::Ask { .. } | Command::Approve { .. } | Command::Confirm { .. } => true,
        Command::Abort { .. } => in_hand,
        Command::Withdraw { .. }
        | Command::Skip { .. }
        | Command::TurnBack { .. }
        | Command::Date { .. }
        | Command::Note { .. }
        | Command::Acknowledge { .. }
        | Command::Show { .. }
        | Command::Begin { .. }
        | Command::Act { .. }
        | Command::Progress { .. }
        | Command::End { .. }
        | Command::Settle
        | Command::Disarm { .. }
        | Command::Close
        | Command::Raise { .. }
        | Command::Release { .. } => false,
    };
    let runner = runner_for(app, run).filter(|_| needs_runner);
    let mut effects = vec![Effect::Command(run.clone(), command)];
    effects.extend(runner);
    Update { effects, dirty: true }
}

/// A character of a text.
pub(in crate::app) fn typed(app: &mut App, c: char, now: Now) -> Update {
    let Some(form) = &mut app.view.form else { return Update::default() };
    if app.view.blind {
        // Whoever cannot see all of it does not type for it: once there is room, one return would take it.
        app.view.refused = None;
        form.said = Some(format!("{TOO_SMALL}: nothing is typed"));
        return Update::dirty();
    }
    form.key(c, now);
    app.view.refused = None;
    Update { effects: keep_fresh(app, now).into_iter().collect(), dirty: true }
}

/// While somebody types, what was shown is read anew before it is too old.
fn keep_fresh(app: &mut App, now: Now) -> Option<Effect> {
    let Some(Form { purpose: Purpose::Approve { run, .. }, .. }) = &app.view.form else { return None };
    let known = app.runs.get(run)?;
    let shown = known.state.shown.as_ref()?;
    let due = (ANEW..MOST_AGE).contains(&now.since(shown.at));
    if app.view.read_only || !due || known.state.asked.is_some() {
        return None;
    }
    let mark = (run.clone(), known.state.seq);
    if app.view.asked.as_ref() == Some(&mark) {
        return None;
    }
    let (from, to) = (shown.steps.first()?.0, shown.steps.last()?.0);
    app.view.asked = Some(mark);
    Some(Effect::Command(run.clone(), Command::Ask { from, to }))
}

/// Up and down among what is typed.
pub(in crate::app) fn moved_in_form(app: &mut App, by: isize) {
    let Some(fields) = app.view.form.as_ref().map(|f| f.fields(app)) else { return };
    if let Some(form) = &mut app.view.form {
        form.step(&fields, by);
    }
}

/// Return in a text: the only way to anything dangerous, and only with every text as it is wanted, all of it painted.
pub(in crate::app) fn entered(app: &mut App, now: Now) -> Update {
    if app.view.read_only {
        return Update::default();
    }
    let Some(fields) = app.view.form.as_ref().map(|f| f.fields(app)) else { return Update::default() };
    let Some(form) = &mut app.view.form else { return Update::default() };
    if !form.enter(&fields, now) {
        return Update::dirty();
    }
    let wanted = app.view.form.as_ref().and_then(|f| f.prompt(app));
    let painted = app.view.painted.as_ref().filter(|p| Some(&p.prompt) == wanted.as_ref());
    let why = match painted {
        Some(painted) if painted.whole => None,
        Some(_) => Some(format!("{TOO_SMALL}: nothing is taken")),
        None => Some("the screen was just renewed: look at it, and press enter again".to_owned()),
    };
    let Some(form) = &mut app.view.form else { return Update::default() };
    if let Some(why) = why {
        form.said = Some(why);
        return Update::dirty();
    }
    let Some(run) = form.purpose.run().cloned() else { return open(app, now) };
    let Some(command) = form.command(&fields, now) else { return Update::default() };
    if matches!(command, Command::TurnBack { .. }) {
        app.view.driving = Some(run.clone());
    }
    let update = send(app, &run, command, now);
    if update.effects.is_empty() {
        // It was refused here: what names the target is typed again.
        if let Some(form) = &mut app.view.form {
            form.clear_name();
        }
    } else {
        app.view.form = None;
        app.view.painted = None;
    }
    update
}

/// Everything is typed: the run is to be opened.
fn open(app: &mut App, now: Now) -> Update {
    let Some(opening) = app.view.opening.clone() else { return Update::default() };
    let proposal = propose(app, &opening.plan, opening.kind, now);
    let Some(form) = &mut app.view.form else { return Update::default() };
    let proposal = match proposal {
        Ok(p) if (&p.from, &p.to) == (&opening.from, &opening.to) => p,
        Ok(p) => {
            form.clear(&format!("it would go from {} to {} now: look again", p.from, p.to));
            app.view.opening = Some(Opening { from: p.from, to: p.to, ..opening });
            return Update::dirty();
        }
        Err(why) => {
            form.clear_name();
            form.said = Some(why);
            return Update::dirty();
        }
    };
    if opening.sent {
        return Update::default();
    }
    let said = |id: &FieldId| SafeText::new(form.text(id).trim());
    let run = OpenRun {
        plan: opening.plan.clone(),
        kind: opening.kind,
        cause: opening.cause,
        reason: said(&FieldId::Why),
        proposal,
        preempt: opening.preempts.clone().map(|run| (run, said(&FieldId::Preempt))),
    };
    app.view.refused = None;
    if let Some(opening) = &mut app.view.opening {
        opening.sent = true;
    }
    Update::with(Effect::OpenRun(Box::new(run)))
}

/// The run that was asked for is open: it goes on there, if its prompt is still on the screen.
pub(in crate::app) fn on_opened(app: &mut App, plan: &PlanId, run: RunId) -> Update {
    let ours = app.view.opening.as_ref().is_some_and(|o| o.sent && o.plan == *plan);
    if ours {
        show(app, run.clone());
    }
    app.view.driving = Some(run.clone());
    let asks = drive(app, &run);
    Update { effects: asks.into_iter().collect(), dirty: true }
}

/// What was asked for was refused where it counts.
pub(in crate::app) fn on_refused(app: &mut App, why: SafeText, now: Now) -> Update {
    if !matches!(app.view.screen, Screen::Run(_) | Screen::Opening) {
        app.say(format!("refused: {why}"), now);
    }
    if let Some(opening) = &mut app.view.opening {
        opening.sent = false;
        if let Some(form) = &mut app.view.form {
            form.clear_name();
        }
    }
    app.view.refused = Some(why);
    Update::dirty()
}

/// News of a run's journal.
pub(in crate::app) fn on_journal(app: &mut App, news: &News, now: Now) -> Update {
    let open = |app: &App| app.runs.all().filter(|k| k.is_open()).count();
    let before = open(app);
    let Some(_plan) = app.runs.take(news) else { return Update::default() };
    keep_or_disarm(app, &news.run, now);
    let effects: Vec<Effect> = drive(app, &news.run).into_iter().collect();
    refresh_banners(app);
    if open(app) != before {
        app.refresh();
    } else {
        app.reframe();
    }
    Update { effects, dirty: true }
}

/// What is typed for what was shown stays only where the same was shown again.
fn keep_or_disarm(app: &mut App, run: &RunId, now: Now) {
    let Some(form) = &app.view.form else { return };
    let Purpose::Approve { run: mine, shown, bounds, challenge } = &form.purpose else { return };
    if mine != run {
        return;
    }
    let Some(known) = app.runs.get(run) else { return };
    let Some(new) = &known.state.shown else {
        let why = match (&known.state.approval, &known.state.closed) {
            (Some(given), _) => format!("the approval was given by {}", given.by.user),
            (None, Some(_)) => "the run is closed".to_owned(),
            (None, None) => "what was shown does not wait for an approval any more".to_owned(),
        };
        app.view.form = None;
        app.view.painted = None;
        hush(app, &why, now);
        return;
    };
    if new.seq == *shown {
        return;
    }
    let wanted = prompt(&known.state.opened.runbook, &new.steps);
    let now_bound = bounds_of(known, new);
    let same = now_bound == *bounds && wanted.challenge == *challenge;
    let seq = new.seq;
    let purpose = Purpose::Approve { run: run.clone(), shown: seq, bounds: now_bound, challenge: wanted.challenge };
    let fields = fields(&purpose, app);
    if same {
        if let Some(form) = &mut app.view.form {
            form.purpose = purpose;
        }
        return;
    }
    app.view.form = Form::new(purpose, &fields, now);
    let why = match &mut app.view.form {
        Some(form) => {
            form.said = Some("what would be done has changed: read it again, pause, and type it again".to_owned());
            "what was shown is not the newest"
        }
        None => "what was shown is not the newest, and the newest cannot be approved",
    };
    hush(app, why, now);
}

/// A prompt went away while somebody may be typing for it: the rest of that is no keys.
fn hush(app: &mut App, why: &str, now: Now) {
    let hush = Hush::new(why, now);
    app.say(hush.why(), now);
    app.view.hush = Some(hush);
}

/// Whether a key counts for nothing, because a prompt has just gone away. The line that says so stays.
pub(in crate::app) fn hushed(app: &mut App, now: Now) -> bool {
    let Some(hush) = &mut app.view.hush else { return false };
    if !hush.takes(now) {
        app.view.hush = None;
        return false;
    }
    let why = hush.why().to_owned();
    app.say(why, now);
    true
}

/// Whoever leads a run is shown the next steps without asking, once: not where something stopped it.
fn drive(app: &mut App, run: &RunId) -> Option<Effect> {
    if app.view.driving.as_ref() != Some(run) || app.view.read_only {
        return None;
    }
    let known = app.runs.get(run)?;
    let state = &known.state;
    let waits = matches!(state.phase(), Phase::Waiting(_)) && state.blocked.is_none();
    // A runner that is gone is started by a person, not by news; one that is about to start is not gone.
    if !waits || (known.lives == Some(false) && state.seq > 1) {
        return None;
    }
    let mark = (run.clone(), state.seq);
    if app.view.asked.as_ref() == Some(&mark) {
        return None;
    }
    let command = next_range(known)?;
    app.view.asked = Some(mark);
    Some(Effect::Command(run.clone(), command))
}

/// Moves among the steps of the run on the screen.
pub(in crate::app) fn step_by(app: &mut App, to: impl Fn(usize, usize) -> usize) {
    let Some(known) = on_screen(app) else { return };
    let len = known.state.steps.len();
    let last = StepIx::at(len.saturating_sub(1));
    let at = app.view.run_step.or_else(|| known.current()).unwrap_or(last);
    let next = StepIx::at(to(at.place(), len));
    // Beyond the last step of a run that is over stands how it ended.
    let beyond = !known.is_open() && at == last && next == last;
    app.view.run_step = Some(next).filter(|_| !beyond);
    app.view.detail = 0;
}

/// Why an action about the run on the screen cannot be had; `None` where it can.
pub(in crate::app) fn off(app: &App, action: RunAction) -> Option<&'static str> {
    let Some(known) = on_screen(app) else { return Some("no run is on the screen") };
    let state = &known.state;
    let phase = state.phase();
    let step = app.view.run_step.or_else(|| known.current());
    let unless = |holds: bool, why| (!holds).then_some(why);
    match action {
        RunAction::GoOn => match phase {
            Phase::Waiting(_) | Phase::Armed(..) | Phase::Preflight(..) => None,
            Phase::Finished | Phase::Stopping | Phase::Approved(_) | Phase::Acting(_) => {
                unless(known.lives == Some(false), "its runner is at work")
            }
            Phase::Halted(..) => Some("the run is halted: R tries the step again"),
            Phase::Closed => Some("the run is closed"),
        },
        RunAction::Retry => unless(matches!(phase, Phase::Halted(..)), "no step stopped the run"),
        RunAction::Approve => match &state.shown {
            None => Some("nothing is shown yet"),
            Some(shown) => {
                let blocked = !prompt(&state.opened.runbook, &shown.steps).blocked.is_empty();
                unless(!blocked && matches!(phase, Phase::Armed(..) | Phase::Preflight(..)), "it cannot be approved")
            }
        },
        RunAction::More | RunAction::Fewer => unless(matches!(phase, Phase::Armed(..)), "nothing is shown yet"),
        RunAction::Withdraw => unless(state.approval.is_some() || state.shown.is_some(), "nothing is approved"),
        RunAction::Confirm => unless(step.is_some_and(|ix| can_confirm(known, ix)), "nothing is to be confirmed here"),
        RunAction::Skip => match phase {
            Phase::Closed => Some("the run is closed"),
            Phase::Acting(_) | Phase::Stopping => Some("a step is in hand"),
            Phase::Finished => Some("every step is over"),
            Phase::Waiting(_) | Phase::Preflight(..) | Phase::Armed(..) | Phase::Approved(_) | Phase::Halted(..) => {
                None
            }
        },
        RunAction::TurnBack => match phase {
            Phase::Acting(_) | Phase::Stopping => Some("a step is in hand"),
            Phase::Closed
            | Phase::Finished
            | Phase::Waiting(_)
            | Phase::Preflight(..)
            | Phase::Armed(..)
            | Phase::Approved(_)
            | Phase::Halted(..) => unless(!state.left_out_by_turning_back().is_empty(), "there is no way to turn back"),
        },
        RunAction::Abort => unless(known.is_open(), "the run is closed"),
        RunAction::Acknowledge => {
            unless(!known.is_open() && state.acknowledged.is_none(), "there is nothing to note yet")
        }
        RunAction::Note | RunAction::Date => None,
    }
}
