//! Each repository's log goes on from the newest backup to now, without a gap.

use crate::plan::{Now, Plan, RuleId, Span, WalSegment};
use crate::readiness::{About, Facts, Finding, Rule, Verdict, signals};
use crate::systems::pgbackrest::options::MAX_WAL_AGE;

use super::view::{Archive, Backup, Repo, View, probes};

const ID: RuleId = RuleId::new("pgbackrest.wal");
/// How many whole segments may be written and not yet archived without anybody's fault: the one under way, and one that
/// is being sent.
const UNDER_WAY: u64 = 2;

/// `info` names the first and the last segment and says nothing of those between; so they are listed. What the archive
/// lacks at its end is told from where the primary is, where a probe looks at it: an archiver may report what it threw
/// away as archived. Without that, age says it where the plan has a limit: an idle database archives nothing.
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
        let (Some(repos), Some(backups), Some(archives)) = (view.repos(), view.backups(), view.archives()) else {
            return Vec::new();
        };
        let read = repos.and_then(|(r, _)| Ok((r, backups?.0, archives?)));
        match read {
            Ok((repos, backups, (archives, read))) => {
                let of = |a: &Archive| {
                    let repo = repos.iter().find(|r| r.key == a.repo)?;
                    judge(view, repo, a, &backups, read.asked)
                };
                archives.iter().filter_map(of).collect()
            }
            Err(gap) => vec![view.senseless(ID, &gap)],
        }
    }
}

fn judge(view: View<'_>, repo: &Repo, archive: &Archive, backups: &[Backup], at: Now) -> Option<Finding> {
    let name = format!("repo{} of stanza {}", repo.key, view.options.stanza);
    let max_words = archive.max.map_or_else(|| "none".to_owned(), |m| m.to_string());
    let make = |verdict, code, sentence: &str| {
        let finding =
            view.finding(ID, repo.key, verdict, code, sentence).because("newest archived segment", &max_words, at);
        match archive.newest_at {
            Some(stored) => finding.because("stored", &stored.format("%Y-%m-%d %H:%M:%SZ"), at),
            None => finding,
        }
    };
    // Without a usable backup there is nothing that log could be replayed on: the rule about repositories says so.
    let newest = backups.iter().find(|b| b.repo == repo.key && b.usable(repo))?;
    let Some(max) = archive.max else {
        let sentence = format!("{name} holds no log: its backups cannot be made consistent");
        return Some(
            make(Verdict::NotReady, "no-wal", &sentence).next("see archive_command and pgbackrest archive-push"),
        );
    };
    let size = newest.lsn_start.and_then(|known| WalSegment::size_of(&[known])).unwrap_or(WalSegment::USUAL_SIZE);
    if newest.wal_stop.is_some_and(|stop| stop.timeline == max.timeline && stop.index(size) > max.index(size)) {
        let sentence = format!("{name} lacks log that its newest backup, {}, needs", newest.label);
        return Some(
            make(Verdict::NotReady, "wal-missing", &sentence).next("take a new backup; see why log was not archived"),
        );
    }
    if let (Some(first), Some(from)) = (&archive.missing, &archive.from) {
        let sentence = format!("{name} has a gap in its log at {first}: nothing after it can be restored");
        return Some(
            make(Verdict::NotReady, "wal-gap", &sentence)
                .because("segments missing", &archive.gaps, at)
                .because("looked from", from, at)
                .next("archive the missing segment if it is still in pg_wal; else take a new backup now"),
        );
    }
    Some(behind(view, &name, max, size, archive, at, &make))
}

fn behind(
    view: View<'_>,
    name: &str,
    max: WalSegment,
    size: u64,
    archive: &Archive,
    at: Now,
    make: &dyn Fn(Verdict, &'static str, &str) -> Finding,
) -> Finding {
    let age = archive.newest_at.map(|stored| Span((view.now.wall - stored).to_std().unwrap_or_default()));
    let continuous = |how: &str| {
        let since = archive
            .from
            .as_ref()
            .map_or_else(|| "its newest segment is there".to_owned(), |f| format!("no gap since {f}"));
        make(Verdict::Ready, "wal-continuous", &format!("{name}: {since}{how}"))
    };
    let flushed = view.database().and_then(|probe| {
        let lanes = probe.lanes.iter().filter(|l| l.expects.contains(&signals::FLUSHED));
        lanes.filter_map(|l| view.facts.lsn(probe, &l.subject, &signals::FLUSHED, view.now)).max_by_key(|(lsn, _)| *lsn)
    });
    if let Some((lsn, seen)) = flushed {
        let written = lsn.ahead_of(max.end(size));
        let waiting = written.0 / size;
        let most = view.options.max_wal_age.unwrap_or(MAX_WAL_AGE);
        let late = age.is_some_and(|a| a > most);
        let shown =
            |f: Finding| f.because("primary has flushed", &lsn, seen.asked).because("not archived", &written, at);
        if waiting > UNDER_WAY && late {
            let sentence =
                format!("{name}: {written} of written log is not archived, and nothing came for longer than {most}");
            return shown(make(Verdict::NotReady, "wal-behind", &sentence))
                .next("see pg_stat_archiver and the log of archive_command; a full volume stops it too");
        }
        return shown(continuous(", and the primary is not ahead of it for long"));
    }
    match (view.options.max_wal_age, age) {
        (Some(most), Some(age)) if age > most => {
            let sentence = format!("{name}: no log was archived for longer than {most}");
            make(Verdict::NotReady, "wal-too-old", &sentence)
                .next("see pg_stat_archiver; an idle database needs archive_timeout below that limit")
        }
        (Some(_), _) | (None, _) => continuous(""),
    }
}
