//! One row per plan. Only the rows that are visible are formatted.

use crate::app::App;
use crate::app::board::{Ages, Face, face, height};
use crate::app::event::Spot;
use crate::app::guided::Known;
use crate::plan::{Area, Now, Span};
use crate::readiness::{PlanStatus, Situation, Verdict};
use crate::tui::frame::Drawn;
use crate::tui::theme::{Role, glyph};
use crate::tui::widgets::pen::Pen;
use crate::tui::widgets::text::{width, wrap};

/// Columns by the width of the screen; zero where a column is left out.
#[derive(Clone, Copy, Debug)]
struct Columns {
    plan: u16,
    tier: u16,
    active: u16,
    readiness: u16,
    since: u16,
    rpo: u16,
    rto: u16,
    areas: [u16; 5],
    full: bool,
}

const MARK: u16 = 2;
/// Most lines that the selected plan's reason takes below the plans.
const MOST_SPOKEN: usize = 3;

fn columns(cols: u16) -> Columns {
    let full = cols >= 132;
    let wide = cols >= 170;
    Columns {
        plan: if wide {
            24
        } else if cols >= 110 {
            16
        } else {
            12
        },
        tier: if wide { 5 } else { 0 },
        active: if wide { 12 } else { 8 },
        readiness: 11,
        since: if wide { 8 } else { 0 },
        rpo: if cols >= 110 { 14 } else { 11 },
        rto: if cols >= 100 { 13 } else { 0 },
        areas: if full { Area::ALL.map(|a| a.heading().len() as u16) } else { [1; 5] },
        full,
    }
}

/// Draws the board.
pub fn draw(pen: &mut Pen<'_>, app: &App, ages: &Ages, drawn: &mut Drawn) {
    let view = &app.view;
    let cols = pen.cols();
    let c = columns(cols);
    heads(pen, &c);
    if view.shown.is_empty() {
        let text = if app.model.statuses().len() == 0 {
            "no plan is configured: see config.example.toml".to_owned()
        } else {
            format!("no plan matches /{}   (esc shows all)", view.filter)
        };
        pen.put(MARK, 2, &text, cols, Role::Dim);
        return;
    }
    let cursor = view.cursor();
    let spoken = u16::from(view.says_why() && pen.rows() > 6);
    let rows = pen.rows().saturating_sub(1 + spoken);
    let mut y = 1;
    let mut below = 0;
    for (index, status) in view.shown.iter().enumerate().skip(view.top) {
        let run = app.runs.open_of(&status.plan.id);
        let h = height(status, cols, run.is_some()) as u16;
        if y + h > rows + 1 {
            below = view.shown.len() - index;
            break;
        }
        drawn.formatted += 1;
        drawn.spots.push((pen.place(0, y, cols, h), Spot::Plan(status.plan.id.clone())));
        let mut row = pen.part(0, y, cols, h);
        let selected = cursor == Some(index);
        if selected {
            for line in 0..h {
                row.put(0, line, "▌", 1, Role::Accent);
            }
        }
        draw_row(&mut row, status, run, &c, ages, selected);
        y += h;
    }
    if let Some(status) = cursor.and_then(|at| view.shown.get(at)).filter(|_| spoken > 0) {
        // Over the rows that no plan needs: a reason that is cut off is none.
        let lines = wrap(&selected_in_full(status, cols), usize::from(cols.saturating_sub(2)));
        let room = usize::from(pen.rows().saturating_sub(y)).clamp(1, MOST_SPOKEN);
        let shown = lines.len().min(room);
        for (n, text) in lines.iter().take(shown).enumerate() {
            // The last line that there is room for is cut where more would follow.
            let rest = if n + 1 == shown { lines.get(n..).unwrap_or_default().join(" ") } else { text.clone() };
            let at = pen.rows().saturating_sub(u16::try_from(shown - n).unwrap_or(1));
            pen.put(1, at, &rest, cols.saturating_sub(2), Role::Dim);
        }
    }
    // How much there is above and below goes over the column heads: no row of its own.
    let mut more = String::new();
    if view.top > 0 {
        more = format!("{} above", view.top);
    }
    if below > 0 {
        if !more.is_empty() {
            more.push_str(", ");
        }
        more = format!("{more}{below} below");
    }
    if !view.filter.is_empty() {
        more = format!("/{}: {} of {}  {more}", view.filter, view.shown.len(), app.model.statuses().len());
    }
    pen.put_right(cols.saturating_sub(1), 0, &more, Role::Accent);
}

/// The selected plan's reason, and of one in trouble the gate, where its row is too narrow for that.
fn selected_in_full(status: &PlanStatus, cols: u16) -> String {
    let face = face(status);
    let cut = !face.failover.is_empty() && width(&face.failover) + 14 > usize::from(cols.saturating_sub(MARK));
    match (face.why.is_empty(), cut) {
        (true, false) => String::new(),
        (false, false) => format!("{}: {}", status.plan.id, face.why),
        (true, true) => format!("{}: failover: {}", status.plan.id, face.failover),
        (false, true) => format!("{}: failover: {}. {}", status.plan.id, face.failover, face.why),
    }
}

fn heads(pen: &mut Pen<'_>, c: &Columns) {
    let mut x = MARK;
    let mut head = |text: &str, cells: u16| {
        if cells > 0 {
            pen.put(x, 0, text, cells, Role::Heading);
            x += cells + 1;
        }
    };
    head("PLAN", c.plan);
    head("TIER", c.tier);
    head("ACTIVE", c.active);
    head("READINESS", c.readiness);
    head("SINCE", c.since);
    head(if c.rpo > 11 { "RPO now/goal" } else { "RPO/goal" }, c.rpo);
    head("RTO est/goal", c.rto);
    for (area, cells) in Area::ALL.iter().zip(c.areas) {
        head(if c.full { area.heading() } else { area.heading().get(..1).unwrap_or("") }, cells);
    }
    head("WHY", 3);
}

fn draw_row(pen: &mut Pen<'_>, status: &PlanStatus, run: Option<&Known>, c: &Columns, ages: &Ages, selected: bool) {
    let face = face(status);
    let name = if selected { Role::Selected } else { Role::Plain };
    let mut x = MARK;
    pen.put(x, 0, status.plan.id.as_str(), c.plan, name);
    x += c.plan + 1;
    if c.tier > 0 {
        pen.put(x, 0, &status.plan.tier.to_string(), c.tier, Role::Plain);
        x += c.tier + 1;
    }
    let after = pen.put(x, 0, &face.active, c.active.saturating_sub(2), Role::Plain);
    if !face.active_ok {
        pen.put(after + 1, 0, glyph(Verdict::NotReady), 1, Role::NotReady);
    }
    x += c.active + 1;
    if let Some(known) = run {
        run_open(pen, x, known, ages);
        if let Some(situation) = &face.situation {
            let at = pen.put(MARK + 2, 1, situation, u16::MAX, Role::NotReady);
            pen.put(at + 3, 1, &format!("failover: {}", face.failover), u16::MAX, Role::Plain);
        }
        return;
    }
    if let Some(situation) = &face.situation {
        trouble(pen, x, status, &face, situation, ages);
        return;
    }
    match face.readiness {
        Some(verdict) => {
            pen.put(x, 0, &format!("{} {verdict}", glyph(verdict)), c.readiness, Role::of(verdict));
        }
        None => {
            pen.put(x, 0, "… looking", c.readiness, Role::Looking);
        }
    }
    x += c.readiness + 1;
    if c.since > 0 {
        if let Some(since) = status.since.filter(|_| face.readiness.is_some()) {
            pen.put(x, 0, &coarse_since(ages, since), c.since, Role::Dim);
        }
        x += c.since + 1;
    }
    against(pen, x, c.rpo, &face.rpo, face.rpo_ok);
    x += c.rpo + 1;
    if c.rto > 0 {
        against(pen, x, c.rto, &face.rto, face.rto_ok);
        x += c.rto + 1;
    }
    for (verdict, cells) in face.areas.iter().zip(c.areas) {
        match verdict {
            Some(_) if face.readiness.is_none() => pen.put(x, 0, "…", 1, Role::Looking),
            Some(v) => pen.put(x, 0, glyph(*v), 1, Role::of(*v)),
            None => pen.put(x, 0, "-", 1, Role::Dim),
        };
        x += cells + 1;
    }
    let age = age(status, &face, ages);
    let right = pen.cols().saturating_sub(1);
    let room = right.saturating_sub(x + age.as_ref().map_or(0, |a| a.len() as u16 + 1));
    pen.put(x, 0, &face.why, room, if face.readiness.is_none() { Role::Looking } else { Role::Plain });
    // At the edge, so that an age that changes moves nothing else.
    if let Some(age) = age {
        pen.put_right(right, 0, &age, Role::Dim);
    }
}

/// In minutes at the finest: a column that ticks would cost bytes and say nothing.
fn coarse_since(ages: &Ages, since: Now) -> String {
    let age = ages.now().since(since);
    if age.as_secs() < 120 {
        ages.wake(crate::plan::BootTime(since.boot.0 + std::time::Duration::from_secs(120)));
        return "< 2 min".into();
    }
    ages.of(since)
}

/// A quantity and its objective, with a glyph where it is past it.
fn against(pen: &mut Pen<'_>, x: u16, cells: u16, (now, goal): &(String, String), ok: Option<bool>) {
    let role = match ok {
        Some(true) => Role::Plain,
        Some(false) => Role::NotReady,
        None => Role::Dim,
    };
    let mut pen = pen.part(x, 0, cells, 1);
    let tight = now.len() + goal.len() + 3 > usize::from(cells.saturating_sub(2));
    let at = pen.put(0, 0, now, cells, role);
    let at = pen.put(at, 0, &if tight { format!("/{goal}") } else { format!(" / {goal}") }, cells, Role::Dim);
    if ok == Some(false) {
        pen.put(at + 1, 0, glyph(Verdict::NotReady), 1, Role::NotReady);
    }
}

/// The age of the reason, where its evidence is older than a look should be.
fn age(status: &PlanStatus, face: &Face, ages: &Ages) -> Option<String> {
    let finding = status.why().filter(|_| face.readiness.is_some())?;
    let quiet = finding.probe.as_ref().and_then(|id| status.plan.probe(id)).map_or(60, |p| p.interval.0.as_secs() * 2);
    finding.oldest().and_then(|at| ages.beyond(at, std::time::Duration::from_secs(quiet)))
}

/// An open run leads: whose it is, and at which step. The clock is coarse here; the run's own screen has seconds.
fn run_open(pen: &mut Pen<'_>, x: u16, known: &Known, ages: &Ages) {
    let state = &known.state;
    let kind = state.opened.kind;
    let role = if known.gives_way() && kind.is_real() { Role::NotReady } else { Role::Accent };
    let at = pen.put(x, 0, "RUN OPEN", u16::MAX, role);
    let alone = if known.lives == Some(false) { "  NO RUNNER" } else { "" };
    let text = format!("{kind} by {}: {}{alone}", state.opened_by.user, known.line());
    let since = known.since_t0(ages.now());
    let coarse = Span(since).coarse();
    ages.wake(crate::plan::BootTime(ages.now().boot.0 + std::time::Duration::from_secs(5)));
    let clock = format!("T0 + {coarse}");
    let right = pen.cols().saturating_sub(1);
    let room = right.saturating_sub(at + 3 + u16::try_from(clock.len()).unwrap_or(0));
    pen.put(at + 2, 0, &text, room, Role::Selected);
    pen.put_right(right, 0, &clock, Role::Dim);
}

/// Situation and gate lead; readiness that is gone does not.
fn trouble(pen: &mut Pen<'_>, x: u16, status: &PlanStatus, face: &Face, situation: &str, ages: &Ages) {
    let since = match &status.situation {
        Situation::PrimaryUnreachable { since, .. } | Situation::PrimaryDown { since, .. } => *since,
        Situation::Starting
        | Situation::Normal
        | Situation::PrimaryUnseen { .. }
        | Situation::SplitBrain { .. }
        | Situation::Disagree { .. }
        | Situation::NoPrimary
        | Situation::AwayFromHome { .. } => None,
    };
    let role = if status.readiness == Verdict::Unknown { Role::Unknown } else { Role::NotReady };
    let mut at = pen.put(x, 0, situation, u16::MAX, role);
    if let Some(since) = since {
        at = pen.put(at + 1, 0, &ages.of(since), u16::MAX, role);
    }
    let switchover = format!("switchover: {}", face.switchover);
    let failover = format!("failover: {}", face.failover);
    if pen.rows() > 1 {
        pen.put(at + 3, 0, &switchover, u16::MAX, Role::Plain);
        pen.put(MARK + 2, 1, &failover, u16::MAX, Role::Selected);
    } else {
        let room = pen.cols().saturating_sub(at + 3);
        let tail = u16::try_from(switchover.len() + 3).unwrap_or(0);
        let after = pen.put(at + 3, 0, &failover, room.saturating_sub(tail), Role::Selected);
        pen.put(after + 3, 0, &switchover, u16::MAX, Role::Plain);
    }
}
