//! The prompt that opens a run: outage or bad data, what would start, why, and which plan.

use crate::app::App;
use crate::app::board::Ages;
use crate::app::guided::{Asking, Opening, Painted, PromptId, Proposal, backups, propose};
use crate::plan::{Now, Span};
use crate::readiness::{Gate, PlanStatus};
use crate::runbook::{Held, Runbook, RunbookKind, StepPlan};
use crate::tui::frame::Drawn;
use crate::tui::theme::{Role, held_glyph};
use crate::tui::widgets::form;
use crate::tui::widgets::pen::Pen;
use crate::tui::widgets::text::{Line, hanging, width, wrap};

use super::step::ago;

/// Draws the prompt.
pub fn draw(pen: &mut Pen<'_>, app: &App, ages: &Ages, drawn: &mut Drawn) {
    let Some(opening) = &app.view.opening else { return };
    let now = ages.now();
    let cells = usize::from(pen.cols().saturating_sub(2));
    let proposal = propose(app, &opening.plan, opening.kind, now);
    let mut lines = vec![title(opening)];
    match opening.asking {
        Asking::Cause => lines.extend(cause(app, opening, cells)),
        Asking::BadData => lines.extend(bad_data(app, opening, ages, cells)),
        Asking::Words => {
            match &proposal {
                Ok(p) => lines.extend(what(app, opening, p, now, cells)),
                Err(why) => lines.extend(hanging(&[("✖ ".into(), Role::NotReady)], why, Role::Plain, cells)),
            }
            lines.push(vec![("─".repeat(cells), Role::Border)]);
            if opening.sent {
                lines.push(vec![("opening the run in the journal".into(), Role::Looking)]);
            } else if let Some(typing) = &app.view.form {
                lines.extend(form::lines(app, typing, now, cells));
            }
        }
    }
    // A clock step or an expiry is seen within a second.
    ages.wake(crate::plan::BootTime(now.boot.0 + std::time::Duration::from_secs(1)));
    let whole = put(pen, &mut lines, "", app.view.detail, drawn);
    if app.view.form.is_some() && !opening.sent {
        let prompt = PromptId::Opening(opening.plan.clone(), opening.kind);
        drawn.prompt = Some(Painted { prompt, whole: whole && proposal.is_ok(), fits: None });
    }
}

/// Puts a prompt's lines, and says whether all of them are there in full. Where they are not, that is said first, and a part
/// can be scrolled; `hint` says what else helps.
pub(super) fn put(pen: &mut Pen<'_>, lines: &mut Vec<Line>, hint: &str, detail: usize, drawn: &mut Drawn) -> bool {
    let (rows, cells) = (usize::from(pen.rows()), usize::from(pen.cols().saturating_sub(2)));
    // Space between its parts is for where there is room.
    if lines.len() > rows {
        lines.retain(|line| !line.is_empty());
    }
    let wide = lines.iter().any(|line| line.iter().map(|(text, _)| width(text)).sum::<usize>() > cells);
    let whole = !wide && lines.len() <= rows;
    if !whole {
        let text = if wide {
            "TOO SMALL, nothing is taken: it is wider than this terminal".to_owned()
        } else {
            format!("TOO SMALL, nothing is taken: {} rows are needed, {rows} are here{hint}", lines.len())
        };
        lines.insert(0, vec![(text, Role::Banner)]);
        drawn.detail_max = lines.len().saturating_sub(rows);
    }
    let top = if whole { 0 } else { detail.min(drawn.detail_max) };
    // What is wrong stays in sight while the rest is scrolled.
    let pinned = usize::from(!whole);
    for (y, line) in (0..pen.rows()).zip(lines.iter().take(pinned).chain(lines.iter().skip(pinned + top))) {
        pen.line(1, y, line);
    }
    whole
}

fn title(opening: &Opening) -> Line {
    let mut line = vec![
        (opening.kind.word().to_uppercase(), Role::Danger),
        (" of ".into(), Role::Dim),
        (opening.plan.to_string(), Role::Selected),
        (":  ".into(), Role::Dim),
        (format!("{} → {}", opening.from, opening.to), Role::Selected),
    ];
    if opening.asking == Asking::Words {
        line.push((format!("   cause: {}", opening.cause.words()), Role::Dim));
    }
    line
}

fn text(words: &str, cells: usize) -> Vec<Line> {
    wrap(words, cells).into_iter().map(|line| vec![(line, Role::Plain)]).collect()
}

/// The first question.
fn cause(app: &App, opening: &Opening, cells: usize) -> Vec<Line> {
    let mut out = vec![Line::new(), vec![("What is wrong?".into(), Role::Selected)], Line::new()];
    let from = &opening.from;
    let outage = format!("an outage: {from} does not serve, or will not for long");
    out.extend(hanging(&[("  o  ".into(), Role::Accent)], &outage, Role::Plain, cells));
    let bad = "bad data: something deleted or changed what it should not have, and the database itself runs";
    out.extend(hanging(&[("  d  ".into(), Role::Accent)], bad, Role::Plain, cells));
    out.push(Line::new());
    out.extend(text("A failover does not undo bad data: replication has carried it to the other site already.", cells));
    if let Some(status) = app.model.status(&opening.plan) {
        out.push(Line::new());
        out.extend(gate(&status.gates.failover, opening.kind, cells));
        out.extend(contacts(status, cells));
    }
    out
}

/// What else there is for bad data.
fn bad_data(app: &App, opening: &Opening, ages: &Ages, cells: usize) -> Vec<Line> {
    let to = &opening.to;
    let mut out = vec![Line::new()];
    let carried = format!(
        "Replication carries bad data as faithfully as good: {to} holds it already, or will in a moment. Promoting {to} \
         does not bring anything back, and makes {} a second copy of the past that is harder to use.",
        opening.from
    );
    out.extend(text(&carried, cells));
    out.extend([Line::new(), vec![("RATHER".into(), Role::Heading)]]);
    for words in [
        "stop whatever writes the bad data: the job, the release, the user",
        "pause replay at once where a standby is delayed or behind: select pg_wal_replay_pause()",
        "keep a copy of what is there now, and write down when it began",
        "restore a backup beside the database, to a moment before that, and bring back only what is missing",
    ] {
        out.extend(hanging(&[("• ".into(), Role::Dim)], words, Role::Plain, cells));
    }
    out.extend([Line::new(), vec![("BACKUPS REACH BACK TO".into(), Role::Heading)]]);
    let found = backups(app, &opening.plan, ages.now());
    if found.is_empty() {
        out.extend(hanging(
            &[("? ".into(), Role::Unknown)],
            "no probe looks at a backup of this plan",
            Role::Plain,
            cells,
        ));
    }
    for (what, at) in found {
        let age = at.map(|at| format!(" (looked at {})", ago(ages, at))).unwrap_or_default();
        out.extend(hanging(&[("• ".into(), Role::Dim)], &format!("{what}{age}"), Role::Plain, cells));
    }
    out.push(Line::new());
    let anyway = format!("open a {} all the same; promoting will ask for \"promote bad data\"", opening.kind);
    out.extend(hanging(&[("a  ".into(), Role::Danger)], &anyway, Role::Plain, cells));
    out.extend(hanging(&[("esc  ".into(), Role::Accent)], "leave: nothing was started", Role::Plain, cells));
    out
}

fn row(label: &str, words: &str, role: Role, cells: usize) -> Vec<Line> {
    hanging(&[(format!("{label:<9}"), Role::Dim)], words, role, cells)
}

fn gate(gate: &Gate, kind: RunbookKind, cells: usize) -> Vec<Line> {
    let (mark, role) = match gate {
        Gate::Go => ("●", Role::Ready),
        Gate::Consent(_) => ("▲", Role::Degraded),
        Gate::No(_) => ("✖", Role::NotReady),
        Gate::Unknown(_) => ("?", Role::Unknown),
    };
    let words = if kind == RunbookKind::Drill {
        "it touches nothing that users use".to_owned()
    } else {
        crate::app::board::gate(gate)
    };
    hanging(&[("gate     ".into(), Role::Dim), (format!("{mark} "), role)], &words, Role::Plain, cells)
}

/// What would start, against what the plan promises.
fn what(app: &App, opening: &Opening, p: &Proposal, now: Now, cells: usize) -> Vec<Line> {
    let mut out = gate(&p.gate, opening.kind, cells);
    let e = &p.expected;
    let (loss, held) = match e.loss {
        Some(loss) => {
            let held = Held::of(loss <= e.rpo);
            let within = if loss <= e.rpo { "within" } else { "BEYOND" };
            (format!("at most the last {loss}, {within} the objective {}", e.rpo), held)
        }
        None => (format!("nobody can say how much (objective {})", e.rpo), Held::Unknown),
    };
    let missing = e.missing.filter(|b| b.0 > 0).map(|b| format!("; {b} of log not there yet")).unwrap_or_default();
    let (mark, role) = held_glyph(held);
    let head = [("loss     ".to_owned(), Role::Dim), (format!("{mark} "), role)];
    out.extend(hanging(&head, &format!("{loss}{missing}"), Role::Plain, cells));
    let unmeasured = match p.unmeasured {
        0 => String::new(),
        1 => "; one part nobody measured".to_owned(),
        n => format!("; {n} parts nobody measured"),
    };
    let (time, held) = match e.time {
        Some(time) => {
            let within = if time <= e.rto { "within" } else { "BEYOND" };
            (format!("at least {time}, {within} the objective {}{unmeasured}", e.rto), Held::of(time <= e.rto))
        }
        None => (format!("not measured (objective {}){unmeasured}", e.rto), Held::Unknown),
    };
    let (mark, role) = held_glyph(held);
    out.extend(hanging(&[("time     ".into(), Role::Dim), (format!("{mark} "), role)], &time, Role::Plain, cells));
    if let Some(runbook) = app.runbooks.get(&opening.plan).and_then(|r| r.get(opening.kind)) {
        out.extend(row("steps", &steps(runbook), Role::Plain, cells));
    }
    if opening.kind == RunbookKind::Failover {
        let ago = Span::secs(now.wall.signed_duration_since(p.t0.at).num_seconds().max(0).unsigned_abs());
        let ago = if ago.0.is_zero() { "now".to_owned() } else { format!("{} ago", ago.coarse()) };
        let t0 = format!("{} ({ago}): {}", p.t0.at.format("%H:%M:%SZ"), p.t0.why);
        out.extend(row("T0", &t0, Role::Plain, cells));
    }
    if let Some(run) = &opening.preempts {
        let words = format!("{run} is open, and would have to give way");
        out.extend(hanging(
            &[("takes    ".into(), Role::Dim), ("▲ ".into(), Role::Degraded)],
            &words,
            Role::Plain,
            cells,
        ));
    }
    out.extend(session(app, cells));
    if let Some(status) = app.model.status(&opening.plan) {
        if !status.losses.is_empty() && opening.kind.is_real() {
            let all: Vec<&str> = status.losses.iter().map(|l| l.what.as_str()).collect();
            out.extend(row("not kept", &all.join("; "), Role::Plain, cells));
        }
        out.extend(contacts(status, cells));
    }
    out
}

/// How many steps, and from where there is no way back.
fn steps(runbook: &Runbook) -> String {
    let dangerous = runbook.places().find(|ix| runbook.step(*ix).is_some_and(StepPlan::is_point_of_no_return));
    let back = dangerous.and_then(|ix| Some(format!("; no way back from {ix}, {}", runbook.step(ix)?.name)));
    let expect = runbook.steps.iter().filter_map(|s| s.expect).fold(std::time::Duration::ZERO, |sum, s| sum + s.0);
    let expect = if expect.is_zero() { String::new() } else { format!(", {} as configured", Span(expect)) };
    format!("{}{expect}; nothing is done before it is approved{}", runbook.steps.len(), back.unwrap_or_default())
}

/// The lock's scope, and what would end with this session.
pub(super) fn session(app: &App, cells: usize) -> Vec<Line> {
    let Some(host) = &app.host else { return row("lock", "? not known yet", Role::Dim, cells) };
    let mut out = row("lock", &format!("keeps out other runs of {}", host.scope), Role::Plain, cells);
    let (mark, role) = held_glyph(host.outlives);
    let words = match host.outlives {
        Held::Holds => format!("the run outlives this session: {}", host.why),
        Held::Fails => format!("THE RUN ENDS WITH THIS SESSION: {}", host.why),
        Held::Unknown => format!("nobody can say whether the run outlives this session: {}", host.why),
    };
    let ends: Vec<&str> = host.ends.iter().map(|e| e.as_str()).collect();
    let ends = if ends.is_empty() { String::new() } else { format!("; what ends with it: {}", ends.join(", ")) };
    let head = [("session  ".to_owned(), Role::Dim), (format!("{mark} "), role)];
    out.extend(hanging(&head, &format!("{words}{ends}"), Role::Plain, cells));
    out
}

/// Whom to call, and when.
fn contacts(status: &PlanStatus, cells: usize) -> Vec<Line> {
    if status.plan.contacts.is_empty() {
        return Vec::new();
    }
    let when = |after: Span| if after.0.is_zero() { "at once".to_owned() } else { format!("at T0 + {after}") };
    let all: Vec<String> =
        status.plan.contacts.iter().map(|c| format!("{} {} ({})", when(c.after), c.role, c.reach)).collect();
    row("call", &all.join("; "), Role::Plain, cells)
}
