//! One plan: its findings by area, and everything about the selected one and about a failover now.

use crate::app::App;
use crate::app::board::{Ages, face, gate, looking};
use crate::app::event::Spot;
use crate::app::update::in_order;
use crate::app::view::FindingId;
use crate::plan::{Now, Span};
use crate::readiness::signals::EXPOSURE;
use crate::readiness::{Bound, Exposure, Finding, Gate, PlanStatus, Verdict};
use crate::tui::frame::Drawn;
use crate::tui::theme::{Role, glyph};
use crate::tui::widgets::chart::Chart;
use crate::tui::widgets::pen::Pen;
use crate::tui::widgets::text::{Line, hanging, wrap};

/// From this width on, list and details stand side by side.
const WIDE: u16 = 100;
/// Rows of a chart.
const CHART: usize = 6;

/// Draws a plan.
pub fn draw(pen: &mut Pen<'_>, app: &App, status: &PlanStatus, ages: &Ages, drawn: &mut Drawn) {
    let (cols, rows) = (pen.cols(), pen.rows());
    let head = summary(status, usize::from(cols.saturating_sub(2)));
    let mut y = 0;
    for line in head.iter().take(usize::from(rows / 3).max(1)) {
        pen.line(1, y, line);
        y += 1;
    }
    pen.part(0, y, cols, 1).rule(0);
    y += 1;
    let rest = rows.saturating_sub(y);
    if cols >= WIDE {
        let left = (cols * 2 / 5).clamp(40, 76);
        list(&mut pen.part(0, y, left, rest), app, status, ages, drawn);
        pen.part(left, y, 1, rest).upright(0);
        details(&mut pen.part(left + 2, y, cols.saturating_sub(left + 3), rest), app, status, ages, drawn);
    } else {
        let above = (rest * 2 / 5).max(3).min(u16::try_from(status.findings.len() + 5).unwrap_or(u16::MAX));
        list(&mut pen.part(0, y, cols, above), app, status, ages, drawn);
        pen.part(0, y + above, cols, 1).rule(0);
        let below = rest.saturating_sub(above + 1);
        details(&mut pen.part(1, y + above + 1, cols.saturating_sub(2), below), app, status, ages, drawn);
    }
}

/// Readiness or situation, where it is active, what it promises.
fn summary(status: &PlanStatus, cells: usize) -> Vec<Line> {
    let face = face(status);
    let mut first = Line::new();
    match (&face.situation, face.readiness) {
        (Some(situation), _) => first.push((format!("{situation}   "), Role::NotReady)),
        (None, Some(v)) => first.push((format!("{} {v}   ", glyph(v)), Role::of(v))),
        (None, None) => first.push((format!("… {}   ", face.why), Role::Looking)),
    }
    if let Some(since) = status.since.filter(|_| face.readiness.is_some()) {
        first.push((format!("since {}   ", since.wall.format("%H:%MZ")), Role::Dim));
    }
    let mark = if face.active_ok { "" } else { " ✖" };
    first.push((format!("active {}{mark}   ", face.active), Role::Plain));
    first.push((
        format!("tier {}   {}   home {}   ", status.plan.tier, status.plan.strategy.name(), status.plan.home),
        Role::Dim,
    ));
    let mut second = Line::new();
    let to = status.gates.to.as_ref().map(|t| format!(" to {t}")).unwrap_or_default();
    second.push((format!("failover{to}: "), Role::Dim));
    second.push((format!("{}   ", status.gates.failover.word()), gate_role(&status.gates.failover)));
    second.push(("switchover: ".into(), Role::Dim));
    second.push((format!("{}   ", status.gates.switchover.word()), gate_role(&status.gates.switchover)));
    let mut third = Line::new();
    third.push(("RPO ".into(), Role::Dim));
    third.push((format!("{} / {}   ", face.rpo.0, face.rpo.1), ok_role(face.rpo_ok)));
    third.push(("RTO ".into(), Role::Dim));
    third.push((format!("{} / {}", face.rto.0, face.rto.1), ok_role(face.rto_ok)));
    if cells >= 100 {
        second.extend(third);
        vec![first, second]
    } else {
        vec![first, second, third]
    }
}

const fn gate_role(gate: &Gate) -> Role {
    match gate {
        Gate::Go => Role::Ready,
        Gate::Consent(_) => Role::Degraded,
        Gate::No(_) => Role::NotReady,
        Gate::Unknown(_) => Role::Unknown,
    }
}

const fn ok_role(ok: Option<bool>) -> Role {
    match ok {
        Some(true) => Role::Plain,
        Some(false) => Role::NotReady,
        None => Role::Dim,
    }
}

enum Row {
    Area(crate::plan::Area),
    Finding(usize),
}

/// The findings by area; only the rows that fit are formatted.
fn list(pen: &mut Pen<'_>, app: &App, status: &PlanStatus, ages: &Ages, drawn: &mut Drawn) {
    let ids = FindingId::all(&status.findings);
    let mut rows = Vec::new();
    let mut cursor = 0;
    let mut area = None;
    for index in in_order(&status.findings) {
        let Some(finding) = status.findings.get(index) else { continue };
        if area != Some(finding.area) {
            area = Some(finding.area);
            rows.push(Row::Area(finding.area));
        }
        if ids.get(index) == app.view.finding.as_ref() {
            cursor = rows.len();
        }
        rows.push(Row::Finding(index));
    }
    if rows.is_empty() {
        pen.put(2, 0, "nothing looks at this plan", pen.cols(), Role::Dim);
    }
    let height = usize::from(pen.rows());
    let top = (cursor + 1).saturating_sub(height.saturating_sub(1).max(1)).min(rows.len().saturating_sub(height));
    for (y, (place, row)) in (0..pen.rows()).zip(rows.iter().enumerate().skip(top)) {
        match row {
            Row::Area(area) => {
                let x = match status.area(*area).filter(|_| !looking(status)) {
                    Some(v) => pen.put(1, y, &format!("{} ", glyph(v)), 2, Role::of(v)),
                    None => pen.put(1, y, "… ", 2, Role::Looking),
                };
                pen.put(x, y, area.name(), pen.cols(), Role::Title);
            }
            Row::Finding(index) => {
                let Some(f) = status.findings.get(*index) else { continue };
                let selected = place == cursor;
                if let Some(id) = ids.get(*index) {
                    drawn.spots.push((pen.place(0, y, pen.cols(), 1), Spot::Finding(id.clone())));
                }
                if selected {
                    pen.put(0, y, "▌", 1, Role::Accent);
                }
                pen.put(3, y, glyph(f.verdict), 1, Role::of(f.verdict));
                let age = f.oldest().and_then(|at| ages.beyond(at, quiet(status, f)));
                let right = age.as_ref().map_or(0, |a| u16::try_from(a.len() + 2).unwrap_or(0));
                let room = pen.cols().saturating_sub(6 + right);
                let role = match (selected, f.verdict) {
                    (true, _) => Role::Selected,
                    (false, Verdict::Ready) => Role::Dim,
                    (false, _) => Role::Plain,
                };
                pen.put(5, y, f.sentence.as_str(), room, role);
                if let Some(age) = age {
                    pen.put_right(pen.cols().saturating_sub(1), y, &age, Role::Dim);
                }
            }
        }
    }
}

/// How old evidence may be without its age being worth the bytes: a look and its interval.
fn quiet(status: &PlanStatus, finding: &Finding) -> std::time::Duration {
    let probe = finding.probe.as_ref().and_then(|id| status.plan.probe(id));
    probe.map_or(std::time::Duration::from_secs(60), |p| p.interval.0.saturating_mul(2))
}

fn details(pen: &mut Pen<'_>, app: &App, status: &PlanStatus, ages: &Ages, drawn: &mut Drawn) {
    let cells = usize::from(pen.cols());
    drawn.spots.push((pen.place(0, 0, pen.cols(), pen.rows()), Spot::Details));
    let ids = FindingId::all(&status.findings);
    let selected = ids.iter().position(|id| Some(id) == app.view.finding.as_ref()).and_then(|i| status.findings.get(i));
    let mut lines = Vec::new();
    let first = now_section(status, cells);
    if status.situation.leads() {
        lines.extend(first);
        lines.push(Line::new());
        lines.extend(selected.map(|f| finding_section(app, status, f, ages, cells)).unwrap_or_default());
    } else {
        lines.extend(selected.map(|f| finding_section(app, status, f, ages, cells)).unwrap_or_default());
        lines.push(Line::new());
        lines.extend(first);
    }
    lines.extend(loss_section(status, cells));
    lines.extend(contact_section(status, cells));
    let rows = usize::from(pen.rows());
    drawn.detail_max = lines.len().saturating_sub(rows);
    let top = app.view.detail.min(drawn.detail_max);
    for (y, line) in (0..pen.rows()).zip(lines.iter().skip(top)) {
        pen.line(0, y, line);
    }
    let hidden = lines.len().saturating_sub(top + rows);
    drawn.more = hidden;
}

fn heading(text: &str) -> Line {
    vec![(text.to_uppercase(), Role::Heading)]
}

fn finding_section(app: &App, status: &PlanStatus, f: &Finding, ages: &Ages, cells: usize) -> Vec<Line> {
    let role = Role::of(f.verdict);
    let mut out: Vec<Line> = Vec::new();
    out.extend(hanging(&[(format!("{} ", glyph(f.verdict)), role)], f.sentence.as_str(), Role::Selected, cells));
    let mut about = vec![f.verdict.word().to_owned(), f.area.name().to_owned()];
    about.extend(f.probe.as_ref().map(|p| p.name.to_string()));
    about.extend(f.subject.site.as_ref().map(ToString::to_string));
    about.extend(f.subject.part.as_ref().map(ToString::to_string));
    about.push(format!("{}/{}", f.rule, f.code));
    for line in wrap(&about.join(" · "), cells) {
        out.push(vec![(line, Role::Dim)]);
    }
    if let Some(next) = &f.next {
        out.push(Line::new());
        out.extend(hanging(&[("next: ".into(), Role::Accent)], next.as_str(), Role::Plain, cells));
    }
    if !f.evidence.is_empty() {
        out.push(Line::new());
        out.push(heading("evidence"));
        let quiet = quiet(status, f);
        for e in &f.evidence {
            let age = ages.beyond(e.at, quiet).map(|a| format!("  ({a} ago)")).unwrap_or_default();
            out.extend(hanging(
                &[(format!("{}: ", e.what), Role::Dim)],
                &format!("{}{age}", e.value),
                Role::Plain,
                cells,
            ));
        }
    }
    if let Some((key, limit)) = &f.chart {
        let frozen = app.view.frozen.is_some();
        let points: Vec<(Now, f64)> =
            app.model.series(key).filter(|(at, _)| !frozen || at.boot <= ages.now().boot).collect();
        out.push(Line::new());
        let over = points.first().map(|(at, _)| Span(ages.now().since(*at)).coarse());
        let title =
            over.map_or_else(|| format!("{}: no history yet", key.signal), |o| format!("{}, last {o}", key.signal));
        out.push(vec![(title, Role::Heading)]);
        if !points.is_empty() {
            let label = label_of(key);
            out.extend(Chart { points: &points, limit: *limit, label, rows: CHART, cells }.lines());
        }
    }
    out
}

/// How to write a charted value: by its signal's unit.
fn label_of(key: &crate::plan::Key) -> fn(f64) -> String {
    let unit = if key.signal == EXPOSURE {
        "s"
    } else {
        let signals = crate::systems::SYSTEMS.iter().flat_map(|s| s.signals);
        signals.filter(|s| s.id == key.signal).map(|s| s.unit).next().unwrap_or("")
    };
    match unit {
        "bytes" => |v| crate::plan::Bytes(v.max(0.0) as u64).to_string(),
        "s" => {
            |v| std::time::Duration::try_from_secs_f64(v.max(0.0)).map_or_else(|_| "?".into(), |d| Span(d).to_string())
        }
        _ => |v| if v.fract() == 0.0 { format!("{v:.0}") } else { format!("{v:.1}") },
    }
}

/// Gates with their reasons, exposure, estimate.
fn now_section(status: &PlanStatus, cells: usize) -> Vec<Line> {
    let mut out = vec![heading("if we failed over now")];
    for (name, g) in [("failover", &status.gates.failover), ("switchover", &status.gates.switchover)] {
        let mut lines = hanging(&[(format!("{name}: "), Role::Dim)], &gate(g), Role::Plain, cells);
        // The word alone has the verdict's colour: reasons are to be read.
        if let Some(first) = lines.first_mut()
            && let Some((text, _)) = first.pop()
        {
            let (word, reasons) = text.split_at_checked(g.word().len()).unwrap_or((&text, ""));
            first.extend([(word.to_owned(), gate_role(g)), (reasons.to_owned(), Role::Plain)]);
        }
        out.extend(lines);
    }
    for e in &status.exposures {
        let head = format!("{} to {}: ", e.probe.name, e.to);
        out.extend(hanging(&[(head, Role::Dim)], &exposure(e), Role::Plain, cells));
    }
    if status.exposures.is_empty() {
        out.extend(hanging(&[("loss: ".into(), Role::Dim)], "nothing here measures it", Role::Plain, cells));
    }
    let estimate = &status.estimate;
    let text = if estimate.parts.is_empty() {
        format!("not measured (goal {})", estimate.goal)
    } else {
        format!("at least {} (goal {})", estimate.at_least, estimate.goal)
    };
    out.extend(hanging(&[("time: ".into(), Role::Dim)], &text, Role::Plain, cells));
    for (what, span) in &estimate.parts {
        out.extend(hanging(&[("  ".into(), Role::Plain)], &format!("{span} {what}"), Role::Dim, cells));
    }
    for what in &estimate.unmeasured {
        out.extend(hanging(&[("  ? ".into(), Role::Unknown)], what.as_str(), Role::Dim, cells));
    }
    out
}

fn exposure(e: &Exposure) -> String {
    let mut text = match &e.bound {
        Bound::Zero => "no loss: every commit waits for the standby".to_owned(),
        Bound::AtMost { span } => format!("lose at most the last {} (goal {})", span.upper(), e.goal),
        Bound::ByLastCommit { span } => {
            format!("lose at most the last {}, by the last commit (goal {})", span.upper(), e.goal)
        }
        Bound::ByContent { span } => {
            format!("lose at most the last {}, by its newest content (goal {})", span.upper(), e.goal)
        }
        Bound::Unknown { why } => format!("loss unknown: {why}"),
    };
    if let Some(missing) = e.missing.filter(|b| b.0 > 0) {
        text.push_str(&format!("; {missing} of log not there yet"));
    }
    if let Some(rate) = e.at_last_rate {
        text.push_str(&format!("; about {rate} by now at the last rate"));
    }
    if let Some(backlog) = e.backlog.filter(|b| b.0 > 0) {
        text.push_str(&format!("; {backlog} to replay"));
    }
    if e.growing {
        text.push_str("; growing");
    }
    text
}

fn loss_section(status: &PlanStatus, cells: usize) -> Vec<Line> {
    if status.losses.is_empty() {
        return Vec::new();
    }
    let mut out = vec![Line::new(), heading("would not survive")];
    for item in &status.losses {
        let how = if item.observed { "" } else { " (declared)" };
        let text = format!("{}: {}{how}", item.what, item.why);
        out.extend(hanging(&[("• ".into(), Role::Dim)], &text, Role::Plain, cells));
    }
    out
}

fn contact_section(status: &PlanStatus, cells: usize) -> Vec<Line> {
    if status.plan.contacts.is_empty() {
        return Vec::new();
    }
    let mut out = vec![Line::new(), heading("call")];
    for c in &status.plan.contacts {
        let when = if c.after.0.is_zero() { "at once".to_owned() } else { format!("after {}", c.after) };
        out.extend(hanging(
            &[(format!("{when}: "), Role::Dim)],
            &format!("{}, {}", c.role, c.reach),
            Role::Plain,
            cells,
        ));
    }
    out
}
