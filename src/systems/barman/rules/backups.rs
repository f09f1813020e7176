//! There is a complete backup that is recent enough, and the newest one did not fail.

use chrono::{DateTime, TimeDelta, Utc};

use crate::plan::{LaneId, Now, Plan, RuleId, SafeText, Span};
use crate::readiness::{About, Facts, Finding, Gap, Kept, Proof, Row, Rule, Verdict};
use crate::systems::barman::signals::{AGE, BACKUPS, COMPLETE};

use super::view::{View, needed, probes};

const ID: RuleId = RuleId::new("barman.backups");

/// Only `DONE` counts: `WAITING_FOR_WALS` is a copy that cannot be made consistent yet, though Barman calls it its latest.
pub struct Backups;

impl Rule for Backups {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        probes(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(view) = View::of(facts, about, now) else { return Vec::new() };
        let Some((rows, read)) = facts.rows(view.probe, view.subject, &BACKUPS, now) else { return Vec::new() };
        let Some((complete, _)) = facts.int(view.probe, view.subject, &COMPLETE, now) else { return Vec::new() };
        let all: Result<Vec<Backup>, Gap> = rows.iter().map(Backup::read).collect();
        match all {
            Ok(all) => vec![judge(view, &all, complete, read)],
            Err(gap) => vec![view.senseless(ID, &gap)],
        }
    }
}

struct Backup {
    id: SafeText,
    status: SafeText,
    end: Option<DateTime<Utc>>,
    size: Option<u64>,
}

impl Backup {
    fn read(row: &Row) -> Result<Self, Gap> {
        Ok(Self {
            id: needed(row.text("id"), "id")?,
            status: needed(row.text("status"), "status")?,
            end: row.time("end")?,
            size: row.bytes("size")?.map(|b| b.0),
        })
    }
}

fn judge(view: View<'_>, all: &[Backup], complete: i64, read: &Kept) -> Finding {
    let name = format!("server {}", view.options.server);
    let make = |verdict, code, sentence: &str| {
        let finding = view.finding(ID, verdict, code, sentence).because("complete backups", &complete, read.asked);
        match all.first() {
            Some(b) => finding.because("newest backup", &format!("{} {}", b.id, b.status), read.asked),
            None => finding,
        }
    };
    let done: Vec<&Backup> = all.iter().filter(|b| b.status.as_str() == "DONE").collect();
    let (Some(newest), Some(last)) = (done.first(), all.first()) else {
        let (code, sentence, next) = match all.first() {
            None => (
                "no-backup",
                format!("barman lists no backup of {name}"),
                "run barman backup; if there should be one, see whether its directory can be read",
            ),
            Some(b) => (
                "no-complete-backup",
                format!("no backup of {name} is complete: the newest is {}", b.status),
                "see barman show-backup and its log; a backup that waits needs log: barman switch-wal",
            ),
        };
        return make(Verdict::NotReady, code, &sentence).next(next);
    };
    let Some(end) = newest.end else {
        return view.senseless(ID, &Gap::new(crate::readiness::Reason::Malformed, "a complete backup without an end"));
    };
    let most = view.options.max_age;
    let key = LaneId { probe: view.probe.id.clone(), subject: view.subject.clone() }.key(AGE);
    let shown = |f: Finding| {
        f.because(
            "newest complete backup",
            &format!("{}, ended {}", newest.id, end.format("%Y-%m-%d %H:%M:%SZ")),
            read.asked,
        )
        .charted(key.clone(), Some(most.0.as_secs_f64()))
    };
    let age = Span((view.now.wall - end).to_std().unwrap_or_default());
    if end > view.now.wall + chrono::Duration::seconds(300) {
        let sentence = format!("the newest complete backup of {name} ended in time to come");
        return shown(make(Verdict::Unknown, "from-the-future", &sentence))
            .next("compare that host's clock with this machine's");
    }
    if age > most {
        let sentence = format!("the newest complete backup of {name} is older than {most}");
        return shown(make(Verdict::NotReady, "backup-too-old", &sentence))
            .next("find out why none was completed since: barman list-backup, its log, its schedule");
    }
    if i64::from(view.options.min_backups) > complete {
        let sentence =
            format!("{name} has {complete} complete backups; the plan asks for {}", view.options.min_backups);
        return shown(make(Verdict::Degraded, "few-backups", &sentence)).next("see its retention policy, or take one");
    }
    // The log of a backup's end comes with the next `barman cron`, as all log does: for that long, waiting is no fault.
    let longest = TimeDelta::from_std(view.options.max_wal_age.0).unwrap_or(TimeDelta::MAX);
    let overdue = last.end.is_none_or(|end| view.now.wall - end > longest);
    if last.status.as_str() == "FAILED" || last.status.as_str() == "WAITING_FOR_WALS" && overdue {
        let (code, why) = if last.status.as_str() == "FAILED" {
            ("newest-failed", "failed")
        } else {
            ("newest-waits", "waits for its log")
        };
        let sentence = format!("the newest backup of {name}, {}, {why}; the one before is complete", last.id);
        return shown(make(Verdict::Degraded, code, &sentence)).next("see barman show-backup and Barman's log");
    }
    let before = done.get(1).and_then(|b| b.size);
    if let (Some(size), Some(before)) = (newest.size, before)
        && size < before / 2
    {
        let sentence = format!("the newest complete backup of {name} is less than half as large as the one before");
        return shown(make(Verdict::Degraded, "shrunk", &sentence))
            .next("find out what is no longer in the database, or restore it and look");
    }
    shown(make(Verdict::Ready, "backup-recent", &format!("{name} has a complete backup within {most}")))
        .proving(Proof::Copy)
}
