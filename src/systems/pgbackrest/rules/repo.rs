//! Each repository can be read with the key that is here, and holds a usable backup that is recent enough.

use crate::plan::{Now, Plan, RuleId, Span};
use crate::readiness::{About, Facts, Finding, Kept, Proof, Rule, Verdict};
use crate::systems::pgbackrest::signals::AGE;

use super::view::{Backup, Repo as Found, View, probes};

const ID: RuleId = RuleId::new("pgbackrest.repo");

/// The status codes are those of pgBackRest's `info` (info.c). What it calls "other" has the error's name before its
/// words: a key that does not fit and a broken index are proof, what could not be reached is not.
pub struct Repo;

impl Rule for Repo {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        probes(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(view) = View::of(facts, about, now) else { return Vec::new() };
        let (Some(repos), Some(backups), Some(stanza)) = (view.repos(), view.backups(), view.stanza()) else {
            return Vec::new();
        };
        match repos.and_then(|(r, read)| Ok((r, read, backups?.0, stanza?))) {
            Ok((repos, read, backups, (code, message, running))) => {
                let mut found: Vec<Finding> = repos.iter().map(|r| judge(view, r, &backups, read, running)).collect();
                found.extend(named(view, &repos, read));
                // What the stanza says as a whole and no repository does.
                if repos.is_empty() || code == 5 {
                    let verdict = if code == 5 { Verdict::NotReady } else { Verdict::Unknown };
                    let sentence = format!("stanza {}: {message}", view.options.stanza);
                    let finding = view.whole(
                        ID,
                        verdict,
                        if code == 5 { "databases-differ" } else { "no-repository" },
                        &sentence,
                    );
                    found.push(
                        finding
                            .because("pgbackrest info", &format!("status {code}"), read.asked)
                            .next("see pgbackrest info: each repository must belong to this one cluster"),
                    );
                }
                found
            }
            Err(gap) => vec![view.senseless(ID, &gap)],
        }
    }
}

/// Repositories that the plan names and pgBackRest does not know.
fn named(view: View<'_>, repos: &[Found], read: &Kept) -> Vec<Finding> {
    let keys = view.options.repos.keys().filter_map(|k| k.parse::<i64>().ok());
    let lost = keys.filter(|k| !repos.iter().any(|r| r.key == *k));
    let of = |key: i64| {
        let known: Vec<String> = repos.iter().map(|r| r.key.to_string()).collect();
        view.finding(
            ID,
            key,
            Verdict::NotReady,
            "repo-not-known",
            &format!("pgbackrest knows no repository {key} of stanza {}", view.options.stanza),
        )
        .because("repositories", &known.join(", "), read.asked)
        .next(&format!("configure repo{key}-path there, or take it out of this plan's repos"))
    };
    lost.map(of).collect()
}

/// What the error's name proves. Read with a wrong key, an index is garbage as often as it is refused.
fn proof(repo: &Found) -> Option<(&'static str, &'static str)> {
    let (error, code, next) = PROOF.iter().find(|(error, ..)| repo.message.as_str().starts_with(error))?;
    let garbage = repo.encrypted && matches!(*error, "[FormatError]" | "[ChecksumError]");
    let crypto = PROOF.first().filter(|_| garbage);
    Some(crypto.map_or((*code, *next), |(_, code, next)| (*code, *next)))
}

/// Errors that say what is wrong with the repository itself, not with the way to it.
const PROOF: [(&str, &str, &str); 4] = [
    (
        "[CryptoError]",
        "key-does-not-open",
        "put the key that it was encrypted with into repo-cipher-pass, from where it is kept for a disaster",
    ),
    ("[FormatError]", "repo-broken", "restore backup.info and archive.info from their copies; then take a full backup"),
    (
        "[ChecksumError]",
        "repo-broken",
        "restore backup.info and archive.info from their copies; then take a full backup",
    ),
    ("[FileMissingError]", "repo-broken", "find out who removed its index; a new stanza-create loses what it held"),
];

fn judge(view: View<'_>, repo: &Found, backups: &[Backup], read: &Kept, running: bool) -> Finding {
    let name = format!("repo{} of stanza {}", repo.key, view.options.stanza);
    let said = |f: Finding| {
        f.because(&format!("repo{} status", repo.key), &format!("{} {}", repo.code, repo.message), read.asked)
    };
    let make = |verdict, code, sentence: &str| said(view.finding(ID, repo.key, verdict, code, sentence));
    match repo.code {
        0 => of_backups(view, repo, &name, backups, read, running, &make),
        1 => make(Verdict::NotReady, "no-stanza", &format!("{name}: there is no such stanza in it"))
            .next("is its volume mounted, its path right? else pgbackrest stanza-create"),
        2 => make(Verdict::NotReady, "no-backup", &format!("{name} holds no backup"))
            .next("run pgbackrest backup --type=full"),
        3 => make(Verdict::NotReady, "no-stanza", &format!("{name}: the stanza's data is missing"))
            .next("see pgbackrest check; then stanza-create"),
        99 => match proof(repo) {
            Some((code @ "key-does-not-open", next)) => {
                make(Verdict::NotReady, code, &format!("{name}: the key that is configured there does not open it"))
                    .next(next)
            }
            Some((code, next)) => {
                make(Verdict::NotReady, code, &format!("{name} is damaged: {}", repo.message)).next(next)
            }
            None => make(Verdict::Unknown, "repo-not-readable", &format!("{name} cannot be read: {}", repo.message))
                .next("mend what it says, there; until then nobody knows what it holds"),
        },
        other => make(Verdict::Unknown, "status-not-known", &format!("{name}: status {other}, {}", repo.message))
            .next("see pgbackrest info; this version of lifeboat does not know that status"),
    }
}

fn of_backups(
    view: View<'_>,
    repo: &Found,
    name: &str,
    backups: &[Backup],
    read: &Kept,
    running: bool,
    make: &dyn Fn(Verdict, &'static str, &str) -> Finding,
) -> Finding {
    let mine = || backups.iter().filter(|b| b.repo == repo.key);
    let Some(newest) = mine().find(|b| b.usable(repo)) else {
        let why = match mine().next() {
            Some(b) if repo.database != Some(b.database) => "all are of an older cluster".to_owned(),
            Some(b) if b.error == Some(true) => format!("{} has page errors", b.label),
            Some(b) => b.broken.as_ref().map_or_else(String::new, |w| format!("{}: {w}", b.label)),
            None => "none is listed".to_owned(),
        };
        return make(Verdict::NotReady, "no-usable-backup", &format!("{name} holds no usable backup: {why}"))
            .next("run pgbackrest backup --type=full, and look into the pages that it names");
    };
    let age = Span((view.now.wall - newest.stop).to_std().unwrap_or_default());
    let most = view.options.max_age;
    let key = crate::plan::LaneId { probe: view.probe.id.clone(), subject: view.subject.clone() }.key(AGE);
    let checked = match newest.error {
        Some(_) => "pages checked",
        None => "pages not checked",
    };
    let shown = |f: Finding| {
        let value =
            format!("{} {}, ended {}, {checked}", newest.kind, newest.label, newest.stop.format("%Y-%m-%d %H:%M:%SZ"));
        f.because("newest usable backup", &value, read.asked).charted(key.clone(), Some(most.0.as_secs_f64()))
    };
    // A backup from the future says that a clock is wrong: then its age is no proof.
    if newest.stop > view.now.wall + chrono::Duration::seconds(300) {
        return shown(make(
            Verdict::Unknown,
            "from-the-future",
            &format!("{name}: its newest backup ended in time to come"),
        ))
        .next("compare that host's clock with this machine's");
    }
    if age > most {
        let sentence = format!("{name}: the newest usable backup is older than {most}");
        let next = if running {
            "a backup is running: wait for it"
        } else {
            "find out why no backup was taken: its schedule, its log"
        };
        return shown(make(Verdict::NotReady, "backup-too-old", &sentence)).next(next);
    }
    let key_fits = if repo.encrypted { ", and the key there opens it" } else { "" };
    shown(make(Verdict::Ready, "backup-recent", &format!("{name} holds a usable backup within {most}{key_fits}")))
        .proving(Proof::Copy)
}
