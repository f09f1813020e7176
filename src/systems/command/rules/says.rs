//! A command's verdict is the finding's, as long as it speaks of now.

use std::time::Duration;

use crate::plan::{LaneDecl, Now, Plan, ProbeDecl, RuleId, Span};
use crate::readiness::{About, Facts, Finding, Kept, Row, Rule, Value, Verdict};
use crate::systems::command::options::CommandOptions;
use crate::systems::command::signals::{AS_OF, NEXT, SAYS, VALUE, VALUES, VERDICT};

const ID: RuleId = RuleId::new("command.says");
/// How far a clock may be ahead of ours.
const SKEW: Duration = Duration::from_secs(300);
/// Most numbers that are shown.
const SHOWN: usize = 6;

/// Takes the command at its word. What is older than `max_age` is no word about now; what says when it was true needs
/// that limit.
pub struct Says;

impl Rule for Says {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        let commands = plan.probes.iter().filter(|p| p.options::<CommandOptions>().is_some());
        let lanes = commands.flat_map(|p| p.lanes.iter().map(move |l| (p, l)));
        lanes.map(|(p, l)| About { probe: Some(p.id.clone()), subject: l.subject.clone() }).collect()
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(probe) = about.probe.as_ref().and_then(|id| facts.plan.probe(id)) else { return Vec::new() };
        let Some(options) = probe.options::<CommandOptions>() else { return Vec::new() };
        let Some(lane) = probe.lanes.iter().find(|l| l.subject == about.subject) else { return Vec::new() };
        judge(facts, probe, options, lane, now).into_iter().collect()
    }
}

fn judge(facts: &Facts<'_>, probe: &ProbeDecl, options: &CommandOptions, lane: &LaneDecl, now: Now) -> Option<Finding> {
    let (word, read) = facts.text(probe, &lane.subject, &VERDICT, now)?;
    let says = facts.text(probe, &lane.subject, &SAYS, now)?.0;
    let name = &probe.id.name;
    let (verdict, code) = match word.as_str() {
        "ready" => (Verdict::Ready, "says-ready"),
        "degraded" => (Verdict::Degraded, "says-degraded"),
        "not-ready" => (Verdict::NotReady, "says-not-ready"),
        "unknown" => (Verdict::Unknown, "says-unknown"),
        _ => (Verdict::Unknown, "malformed"),
    };
    let rows = facts.rows(probe, &lane.subject, &VALUES, now).map_or(&[][..], |(rows, _)| rows);
    let make = |verdict, code, sentence: &str| {
        let key = probe.lane_id(lane).key(VALUE);
        let finding = Finding::new(ID, probe.area, lane.subject.clone(), verdict, code, sentence)
            .of(&probe.id)
            .because(&format!("{name} says"), word, read.asked);
        let finding = if rows.is_empty() { finding } else { finding.charted(key, limit(rows, options)) };
        rows.iter().take(SHOWN).fold(finding, |f, row| shown(f, row, read))
    };
    let by_hand = format!("run it by hand: {}", lane.server);
    let next = facts.text(probe, &lane.subject, &NEXT, now).map_or(by_hand.as_str(), |(next, _)| next.as_str());
    let sentence = format!("{name}: {says}");
    let Some((as_of, _)) = facts.time(probe, &lane.subject, &AS_OF, now) else {
        if options.max_age.is_some() {
            let sentence = format!("{name} does not say when that was true: {says}");
            return Some(make(Verdict::Unknown, "no-date", &sentence).next("let it say as_of, or take max_age out"));
        }
        let finding = make(verdict, code, &sentence);
        return Some(if verdict == Verdict::Ready { finding } else { finding.next(next) });
    };
    let dated = |verdict, code, sentence: &str| {
        make(verdict, code, sentence).because(&format!("{name} as_of"), &Value::Time(as_of), read.asked)
    };
    let ahead = (as_of - now.wall).to_std().unwrap_or_default();
    let age = Span((now.wall - as_of).to_std().unwrap_or_default());
    let finding = match options.max_age {
        _ if ahead > SKEW => {
            dated(Verdict::Unknown, "from-the-future", &format!("{name} says it of a time to come: {says}"))
                .next("compare its clock with this machine's")
        }
        None => dated(
            Verdict::Unknown,
            "no-threshold",
            &format!("{name} says how old that is, and no max_age says how old it may be: {says}"),
        )
        .next("set max_age"),
        Some(most) if age > most => {
            let sentence = format!("{name} says nothing newer than {most}: {says}");
            dated(Verdict::Unknown, "too-old", &sentence).next("find out why what it looks at is not renewed")
        }
        Some(_) => {
            let finding = dated(verdict, code, &sentence);
            if verdict == Verdict::Ready { finding } else { finding.next(next) }
        }
    };
    Some(finding)
}

/// One number as evidence.
fn shown(finding: Finding, row: &Row, read: &Kept) -> Finding {
    let text = |column: &str| row.text(column).ok().flatten().map(|t| t.to_string()).filter(|t| !t.is_empty());
    let Some(name) = text("name") else { return finding };
    let value = match row.get("value") {
        Some(Value::Number(n)) => n.to_string(),
        Some(_) | None => "not measured".to_owned(),
    };
    let limits = ["warn", "crit"].map(|c| text(c).map(|t| format!(", {c} {t}")).unwrap_or_default());
    let unit = text("unit").unwrap_or_default();
    finding.because(&name, &format!("{value}{unit}{}", limits.concat()), read.asked)
}

/// The limit that the drawn number is held against: its critical one, where that is one number.
fn limit(rows: &[Row], options: &CommandOptions) -> Option<f64> {
    let named = |row: &&Row| {
        let name = row.text("name").ok().flatten();
        options.chart.as_deref().is_none_or(|c| name.as_ref().is_some_and(|n| n.as_str() == c))
    };
    rows.iter().find(named)?.text("crit").ok()??.as_str().parse().ok()
}

#[cfg(test)]
mod tests;
