//! Each repository holds as many full backups as it should, the newest not too old, and its newest backup is whole.

use crate::plan::{Now, Plan, RuleId, Span};
use crate::readiness::{About, Facts, Finding, Rule, Verdict};

use super::view::{Backup, Repo, View, probes};

const ID: RuleId = RuleId::new("pgbackrest.fulls");

/// None of this keeps a restore from working today, so it degrades: a chain that hangs from one old full backup is lost
/// with it; a newest backup with page errors, or half the size of the one before, says that something is wrong now.
pub struct Fulls;

impl Rule for Fulls {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        probes(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(view) = View::of(facts, about, now) else { return Vec::new() };
        let (Some(repos), Some(backups)) = (view.repos(), view.backups()) else { return Vec::new() };
        match repos.and_then(|(r, _)| backups.map(|(b, read)| (r, b, read))) {
            Ok((repos, backups, read)) => {
                let readable = repos.iter().filter(|r| r.code == 0);
                readable.filter_map(|r| judge(view, r, &backups, read.asked)).collect()
            }
            // The rule about repositories says so.
            Err(_senseless) => Vec::new(),
        }
    }
}

fn judge(view: View<'_>, repo: &Repo, backups: &[Backup], at: Now) -> Option<Finding> {
    let mine: Vec<&Backup> =
        backups.iter().filter(|b| b.repo == repo.key && repo.database == Some(b.database)).collect();
    let fulls: Vec<&&Backup> = mine.iter().filter(|b| b.full && b.usable(repo)).collect();
    let newest = mine.first()?;
    // Without a usable one the rule about repositories says that it is not ready.
    let full = fulls.first()?;
    let name = format!("repo{} of stanza {}", repo.key, view.options.stanza);
    let make = |verdict, code, sentence: &str| {
        view.finding(ID, repo.key, verdict, code, sentence)
            .because(
                "newest full backup",
                &format!("{}, ended {}", full.label, full.stop.format("%Y-%m-%d %H:%M:%SZ")),
                at,
            )
            .because("full backups", &fulls.len(), at)
    };
    if !newest.usable(repo) {
        let why = newest.broken.as_ref().map_or_else(|| "it has page errors".to_owned(), ToString::to_string);
        return Some(
            make(
                Verdict::Degraded,
                "newest-not-usable",
                &format!("{name}: the newest backup, {}, cannot be relied on: {why}", newest.label),
            )
            .next("see its log; check the pages that it names, and take a full backup"),
        );
    }
    let few = usize::try_from(view.options.min_full).unwrap_or(usize::MAX);
    if fulls.len() < few {
        let sentence = format!("{name} holds {} full backups; the plan asks for {few}", fulls.len());
        return Some(
            make(Verdict::Degraded, "few-full-backups", &sentence).next("see repo-retention-full, or take one"),
        );
    }
    let age = Span((view.now.wall - full.stop).to_std().unwrap_or_default());
    if age > view.options.max_full_age {
        let sentence = format!("{name}: the newest full backup is older than {}", view.options.max_full_age);
        return Some(
            make(Verdict::Degraded, "full-too-old", &sentence).next("take a full backup: every later one needs it"),
        );
    }
    let before = fulls.get(1).map(|b| b.size);
    if let Some(before) = before.filter(|b| full.size < b / 2) {
        let sentence = format!("{name}: the newest full backup is less than half as large as the one before");
        return Some(
            make(Verdict::Degraded, "shrunk", &sentence)
                .because(
                    "sizes",
                    &format!("{} after {}", crate::plan::Bytes(full.size), crate::plan::Bytes(before)),
                    at,
                )
                .next("find out what is no longer in the database, or restore it and look"),
        );
    }
    Some(make(Verdict::Ready, "fulls", &format!("{name} holds what was asked for in full backups")))
}
