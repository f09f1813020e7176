//! The readings of one probe, as the rules look at them.

use chrono::{DateTime, Utc};

use crate::plan::{Area, Lsn, Now, Plan, ProbeDecl, RuleId, SafeText, Subject, WalSegment};
use crate::readiness::{About, Facts, Finding, Gap, Kept, Reason, Row, Verdict, signals};
use crate::systems::pgbackrest::options::{Pgbackrest, PgbackrestOptions};
use crate::systems::pgbackrest::signals::{ARCHIVE, BACKUPS, REPOS, STANZA};

/// What a rule about whole probes applies to.
pub(super) fn probes(plan: &Plan) -> Vec<About> {
    let ours = plan.probes.iter().filter(|p| p.options::<Pgbackrest>().is_some());
    let lanes = ours.flat_map(|p| p.lanes.iter().map(move |l| (p, l)));
    lanes.map(|(p, l)| About { probe: Some(p.id.clone()), subject: l.subject.clone() }).collect()
}

/// One probe and what was read of it.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) facts: &'a Facts<'a>,
    pub(super) probe: &'a ProbeDecl,
    pub(super) options: &'a PgbackrestOptions,
    pub(super) subject: &'a Subject,
    pub(super) now: Now,
}

/// A repository.
#[derive(Debug)]
pub(super) struct Repo {
    pub(super) key: i64,
    pub(super) code: i64,
    pub(super) message: SafeText,
    pub(super) encrypted: bool,
    pub(super) database: Option<i64>,
    pub(super) system_id: Option<SafeText>,
}

/// A backup.
#[derive(Debug)]
pub(super) struct Backup {
    pub(super) repo: i64,
    pub(super) database: i64,
    pub(super) label: SafeText,
    pub(super) full: bool,
    pub(super) kind: SafeText,
    pub(super) broken: Option<SafeText>,
    pub(super) error: Option<bool>,
    pub(super) stop: DateTime<Utc>,
    pub(super) wal_stop: Option<WalSegment>,
    pub(super) lsn_start: Option<(Lsn, WalSegment)>,
    pub(super) size: u64,
}

/// The archived log of a repository.
#[derive(Debug)]
pub(super) struct Archive {
    pub(super) repo: i64,
    pub(super) max: Option<WalSegment>,
    pub(super) newest_at: Option<DateTime<Utc>>,
    pub(super) from: Option<SafeText>,
    pub(super) missing: Option<SafeText>,
    pub(super) gaps: i64,
}

fn needed<T>(value: Result<Option<T>, Gap>, column: &str) -> Result<T, Gap> {
    value?.ok_or_else(|| Gap::new(Reason::Malformed, &format!("{column} is NULL")))
}

fn segment(row: &Row, column: &str) -> Result<Option<WalSegment>, Gap> {
    let read = |t: SafeText| t.as_str().parse().map_err(|_| Gap::new(Reason::Malformed, &format!("{column}: {t}")));
    row.text(column)?.map(read).transpose()
}

impl<'a> View<'a> {
    pub(super) fn of(facts: &'a Facts<'a>, about: &'a About, now: Now) -> Option<Self> {
        let probe = facts.plan.probe(about.probe.as_ref()?)?;
        let options = &probe.options::<Pgbackrest>()?.written;
        Some(Self { facts, probe, options, subject: &about.subject, now })
    }

    pub(super) fn repos(&self) -> Option<Result<(Vec<Repo>, &'a Kept), Gap>> {
        let (rows, read) = self.facts.rows(self.probe, self.subject, &REPOS, self.now)?;
        let repo = |row: &Row| {
            Ok(Repo {
                key: needed(row.int("repo"), "repo")?,
                code: needed(row.int("code"), "code")?,
                message: needed(row.text("message"), "message")?,
                encrypted: needed(row.text("cipher"), "cipher")?.as_str() != "none",
                database: row.int("database")?,
                system_id: row.text("system_id")?,
            })
        };
        Some(rows.iter().map(repo).collect::<Result<_, _>>().map(|repos| (repos, read)))
    }

    /// The backups, newest first.
    pub(super) fn backups(&self) -> Option<Result<(Vec<Backup>, &'a Kept), Gap>> {
        let (rows, read) = self.facts.rows(self.probe, self.subject, &BACKUPS, self.now)?;
        let backup = |row: &Row| {
            let kind = needed(row.text("type"), "type")?;
            let start = segment(row, "wal_start")?;
            Ok(Backup {
                repo: needed(row.int("repo"), "repo")?,
                database: needed(row.int("database"), "database")?,
                label: needed(row.text("label"), "label")?,
                full: kind.as_str() == "full",
                kind,
                broken: row.text("broken")?,
                error: row.bool("error")?,
                stop: needed(row.time("stop"), "stop")?,
                wal_stop: segment(row, "wal_stop")?,
                lsn_start: row.lsn("lsn_start")?.zip(start),
                size: needed(row.bytes("size"), "size")?.0,
            })
        };
        let backups = rows.iter().map(backup).collect::<Result<Vec<Backup>, Gap>>();
        Some(backups.map(|mut all| {
            all.sort_by_key(|b| std::cmp::Reverse(b.stop));
            (all, read)
        }))
    }

    pub(super) fn archives(&self) -> Option<Result<(Vec<Archive>, &'a Kept), Gap>> {
        let (rows, read) = self.facts.rows(self.probe, self.subject, &ARCHIVE, self.now)?;
        let archive = |row: &Row| {
            Ok(Archive {
                repo: needed(row.int("repo"), "repo")?,
                max: segment(row, "max")?,
                newest_at: row.time("newest_at")?,
                from: row.text("from")?,
                missing: row.text("missing")?,
                gaps: needed(row.int("gaps"), "gaps")?,
            })
        };
        Some(rows.iter().map(archive).collect::<Result<_, _>>().map(|all| (all, read)))
    }

    /// The stanza's own status: code, message, whether a backup runs.
    pub(super) fn stanza(&self) -> Option<Result<(i64, SafeText, bool), Gap>> {
        let (rows, _) = self.facts.rows(self.probe, self.subject, &STANZA, self.now)?;
        let [row] = rows else { return Some(Err(Gap::new(Reason::Malformed, "not one row"))) };
        let read = || {
            Ok((
                needed(row.int("code"), "code")?,
                needed(row.text("message"), "message")?,
                needed(row.bool("running"), "running")?,
            ))
        };
        Some(read())
    }

    /// The probe that looks at the database that is backed up: the one that is named, else the only one there is.
    pub(super) fn database(&self) -> Option<&'a ProbeDecl> {
        let looks = |p: &&ProbeDecl| p.lanes.iter().any(|l| l.expects.contains(&signals::SYSTEM_ID));
        let mut found = self.facts.plan.probes.iter().filter(looks);
        if let Some(name) = &self.options.database {
            return found.find(|p| *p.id.name == **name);
        }
        found.next().filter(|_| found.next().is_none())
    }

    pub(super) fn finding(
        &self,
        rule: RuleId,
        repo: i64,
        verdict: Verdict,
        code: &'static str,
        sentence: &str,
    ) -> Finding {
        Finding::new(rule, Area::Backup, self.options.subject(repo), verdict, code, sentence).of(&self.probe.id)
    }

    pub(super) fn whole(&self, rule: RuleId, verdict: Verdict, code: &'static str, sentence: &str) -> Finding {
        Finding::new(rule, Area::Backup, self.subject.clone(), verdict, code, sentence).of(&self.probe.id)
    }

    /// For what this program read itself and cannot read back: never silence.
    pub(super) fn senseless(&self, rule: RuleId, gap: &Gap) -> Finding {
        self.whole(rule, Verdict::Unknown, "malformed", &format!("the reading cannot be understood: {gap}"))
            .because("pgbackrest", gap, self.now)
            .next("this is a fault in lifeboat: report it")
    }
}

impl Backup {
    /// Whether it can be restored into the cluster that its repository now belongs to, as far as `info` shows.
    pub(super) fn usable(&self, repo: &Repo) -> bool {
        repo.database == Some(self.database) && self.error != Some(true) && self.broken.is_none()
    }
}
