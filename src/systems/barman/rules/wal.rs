//! The log of the newest complete backup is there, and goes on to where the primary is.

use crate::plan::{LaneId, Now, Plan, RuleId, SafeText, Span, WalSegment};
use crate::readiness::{About, Facts, Finding, Gap, Kept, Reason, Row, Rule, Value, Verdict, signals};
use crate::systems::barman::signals::{NEWEST, WAL};

use super::view::{View, needed, probes};

const ID: RuleId = RuleId::new("barman.wal");
/// How many whole segments may be written and not yet kept without anybody's fault: the one under way, and one that waits
/// for `barman cron`.
const UNDER_WAY: u64 = 2;
/// So many that one look alone is worth a word.
const MANY: u64 = 64;

/// Barman does not say when it got its newest segment. What it is, and that it stays so while the primary goes on, is seen
/// from one look to the next.
pub struct Wal;

impl Rule for Wal {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        probes(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(view) = View::of(facts, about, now) else { return Vec::new() };
        let Some(([row], _)) = facts.rows(view.probe, view.subject, &NEWEST, now) else { return Vec::new() };
        let Some((value, read)) = facts.value(view.probe, view.subject, &WAL, now) else { return Vec::new() };
        vec![judge(view, row, value, read).unwrap_or_else(|gap| view.senseless(ID, &gap))]
    }
}

fn segment(text: &SafeText) -> Result<WalSegment, Gap> {
    text.as_str().parse().map_err(|_| Gap::new(Reason::Malformed, &format!("{text} is no segment")))
}

fn judge(view: View<'_>, row: &Row, value: &Value, read: &Kept) -> Result<Finding, Gap> {
    let (facts, now) = (view.facts, view.now);
    let name = format!("server {}", view.options.server);
    let begin = segment(&needed(row.text("begin_wal"), "begin_wal")?)?;
    let end = segment(&needed(row.text("end_wal"), "end_wal")?)?;
    let make = |verdict, code, sentence: &str| {
        view.finding(ID, verdict, code, sentence).because("newest segment kept", value, read.asked)
    };
    let Value::Text(text) = value else {
        let sentence = format!("{name} has no log for its newest complete backup: it cannot be made consistent");
        return Ok(make(Verdict::NotReady, "no-wal", &sentence)
            .next("see whether log arrives: barman check, barman receive-wal"));
    };
    let last = segment(text)?;
    let size =
        row.lsn("begin_lsn")?.and_then(|lsn| WalSegment::size_of(&[(lsn, begin)])).unwrap_or(WalSegment::USUAL_SIZE);
    if last.timeline == end.timeline && last.index(size) < end.index(size) {
        let sentence = format!("{name} lacks log that its newest complete backup needs");
        return Ok(make(Verdict::NotReady, "wal-missing", &sentence)
            .because("needs up to", &end, read.asked)
            .next("find out who removed it; take a new backup"));
    }
    let flushed = view.database().and_then(|probe| {
        let lanes = probe.lanes.iter().filter(|l| l.expects.contains(&signals::FLUSHED));
        lanes.filter_map(|l| facts.lsn(probe, &l.subject, &signals::FLUSHED, now)).max_by_key(|(lsn, _)| *lsn)
    });
    let Some((lsn, seen)) = flushed else {
        return Ok(make(
            Verdict::Ready,
            "wal-kept",
            &format!("{name} has the log that its newest complete backup needs"),
        ));
    };
    let written = lsn.ahead_of(last.end(size));
    let waiting = written.0 / size;
    let key = LaneId { probe: view.probe.id.clone(), subject: view.subject.clone() }.key(WAL);
    let held = facts.held_since(view.probe, view.subject, &key.signal, now).map(|since| Span(now.since(since)));
    let moved = facts.before(view.probe, view.subject, &key.signal).is_some_and(|(before, _)| before != value);
    let most = view.options.max_wal_age;
    let shown =
        |f: Finding| f.because("primary has flushed", &lsn, seen.asked).because("not kept", &written, read.asked);
    if waiting > UNDER_WAY && held.is_some_and(|h| h > most) {
        let sentence = format!("{name}: {written} of written log is not kept, and nothing came for longer than {most}");
        return Ok(shown(make(Verdict::NotReady, "wal-behind", &sentence))
            .next("see barman receive-wal or archive_command, and whether barman cron runs"));
    }
    if waiting > MANY && !moved {
        let sentence = format!("{name}: {written} of written log is not kept yet");
        return Ok(shown(make(Verdict::Degraded, "wal-far-behind", &sentence))
            .next("see whether it goes on: barman cron, barman receive-wal"));
    }
    Ok(shown(make(
        Verdict::Ready,
        "wal-kept",
        &format!("{name} keeps the log, and the primary is not ahead of it for long"),
    )))
}
