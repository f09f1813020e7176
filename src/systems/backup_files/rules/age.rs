//! The newest backup is recent enough, from its start: what was written after that is not in it.

use crate::plan::{Now, Plan, RuleId};
use crate::readiness::signals::BACKUP_AGE;
use crate::readiness::{About, Facts, Finding, Kept, Proof, Rule, Verdict};

use super::super::parse::rows::{Listing, Newest};
use super::{View, applies};

const ID: RuleId = RuleId::new("backup-files.age");

/// Holds the newest backup's age against `max_age`.
pub struct Age;

impl Rule for Age {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        applies(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(view) = View::of(facts, about, ID, now) else { return Vec::new() };
        let (newest, listing) = match (view.newest(), view.listing()) {
            (Some(Ok(newest)), Some(Ok(listing))) => (newest, listing),
            (Some(Err(f)), _) | (_, Some(Err(f))) => return vec![f],
            (None, _) | (_, None) => return Vec::new(),
        };
        let (kept, Some(listing)) = (listing.1, listing.0.first()) else { return Vec::new() };
        let finding = match newest.0.first() {
            Some(newest) => dated(&view, newest, kept),
            None => none(&view, listing, kept),
        };
        let limit = view.files.max_age.0.as_secs_f64();
        let finding = finding.charted(view.lane().key(BACKUP_AGE), Some(limit));
        vec![match &listing.writing {
            Some(name) => finding.because("being written", name, kept.asked),
            None => finding,
        }]
    }
}

fn dated(view: &View<'_>, newest: &Newest, kept: &Kept) -> Finding {
    let (name, limit) = (&newest.own.name, view.files.max_age);
    let age = view.age(newest.own.at, kept);
    let begun = match newest.by.as_str() {
        "name" => "was begun",
        _ => "was written",
    };
    let finding = if age.0 > limit.0 {
        let sentence = format!("the newest backup, {name}, {begun} {} ago; the limit is {limit}", age.coarse());
        view.make(Verdict::NotReady, "too-old", &sentence)
            .next("find out why no newer backup was made: the job that makes it, its log, space where it writes")
    } else {
        let sentence = format!("the newest backup, {name}, is within the limit of {limit}");
        view.make(Verdict::Ready, "recent", &sentence).proving(Proof::Copy)
    };
    let how = match newest.by.as_str() {
        "name" => "by its name",
        "day" => "by the day in its name and its time of writing",
        _ => "by its time of writing: it was begun before that",
    };
    finding.because(
        &format!("{}/{name}", view.location()),
        &format!("{}, {how}", newest.own.at.format("%Y-%m-%d %H:%M:%SZ")),
        kept.asked,
    )
}

/// No backup that could be restored.
fn none(view: &View<'_>, listing: &Listing, kept: &Kept) -> Finding {
    let (dir, pattern) = (view.location(), view.files.pattern());
    let make = |verdict, code, sentence: &str, next: &str| {
        view.make(verdict, code, sentence)
            .because(
                dir,
                &format!("{} entries, {} that match {pattern}", listing.entries, listing.matching),
                kept.asked,
            )
            .next(next)
    };
    if let Some(name) = &listing.future {
        // The rule about names says so, too; here nothing else is known.
        let sentence = format!("{name} is dated in the future, and there is no other backup");
        return make(
            Verdict::Unknown,
            "future",
            &sentence,
            "set the clock of whoever wrote it, and its time of writing",
        );
    }
    if listing.entries == 0 {
        let sentence = format!("{dir} is empty: its file system is not mounted, or no backup was ever made");
        return make(Verdict::Unknown, "empty-directory", &sentence, "mount it, or make the first backup");
    }
    if let Some(name) = &listing.orphan {
        let sentence = format!("no full backup is in {dir}, and {name} cannot be restored without one");
        return make(Verdict::NotReady, "no-full", &sentence, "make a full backup now");
    }
    if let Some(name) = &listing.writing {
        let sentence = format!("no backup in {dir} is complete yet: {name} is being written");
        return make(Verdict::NotReady, "none-complete", &sentence, "wait until it is written");
    }
    let sentence = format!("none of the {} entries of {dir} is a backup called {pattern}", listing.entries);
    make(
        Verdict::NotReady,
        "none",
        &sentence,
        "make a backup, or mend the pattern: lifeboat config check shows where it is",
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::super::bench::{Bench, file};
    use super::*;

    fn told(pattern: &str, files: &[(&str, i64)]) -> String {
        let files: Vec<_> = files.iter().map(|(name, hours)| file(name, *hours, 1_000)).collect();
        Bench::new(json!({ "pattern": pattern })).dir(&files).told(&Age)
    }

    #[test]
    fn the_newest_is_held_against_the_limit() {
        assert_eq!(
            told("a_*.dump", &[("a_1.dump", 49), ("a_2.dump", 25)]),
            "ready recent: the newest backup, a_2.dump, is within the limit of 1d2h"
        );
        assert_eq!(
            told("a_*.dump", &[("a_2.dump", 27)]),
            "not ready too-old: the newest backup, a_2.dump, was written 27 h ago; the limit is 1d2h"
        );
        // A name that tells the start is older than the time of writing.
        assert_eq!(
            told("a_{%FT%H}.dump", &[("a_2026-11-20T03.dump", 25)]),
            "not ready too-old: the newest backup, a_2026-11-20T03.dump, was begun 27 h ago; the limit is 1d2h"
        );
    }

    #[test]
    fn a_day_in_a_name_is_no_midnight() {
        // Written at 23:00 of its day, 31 hours ago; midnight was 54 hours ago.
        assert!(told("a_{%F}.dump", &[("a_2026-11-19.dump", 31)]).contains("31 h ago"));
        // Copied a day later: it was begun on its day.
        assert!(told("a_{%F}.dump", &[("a_2026-11-19.dump", 1)]).contains("30 h ago"));
    }

    #[test]
    fn it_ages_between_looks() {
        let mut bench = Bench::new(json!({ "pattern": "a*" })).dir(&[file("a", 25, 1)]);
        assert!(bench.told(&Age).starts_with("ready"));
        bench = Bench::new(json!({ "pattern": "a*", "max_age": "25h1m" })).dir(&[file("a", 25, 1)]);
        bench = bench.ago(Duration::from_secs(100));
        // Read 100 s ago when it was 24 h 58 min 20 s old: it is 25 h old now.
        assert!(bench.told(&Age).starts_with("ready"), "{}", bench.told(&Age));
    }

    #[test]
    fn none_at_all_says_which_none() {
        assert!(told("a*", &[]).starts_with("unknown empty-directory"));
        assert_eq!(told("a*", &[("b", 1)]), "not ready none: none of the 1 entries of /b is a backup called a*");
        assert!(told("a*", &[("a", 0)]).starts_with("not ready none-complete: no backup in /b is complete yet: a is"));
        assert!(told("a*", &[("a", -2)]).starts_with("unknown future"));
        let chain = json!({ "chain": { "full": "f*", "incremental": "i*" } });
        assert!(Bench::new(chain).dir(&[file("i1", 1, 1)]).told(&Age).starts_with("not ready no-full"));
    }

    #[test]
    fn what_is_being_written_is_not_judged() {
        let f = Bench::new(json!({ "pattern": "a*" })).dir(&[file("a1", 25, 1), file("a2", 0, 1)]).findings(&Age);
        assert_eq!(f[0].sentence.as_str(), "the newest backup, a1, is within the limit of 1d2h");
        assert!(f[0].evidence.iter().any(|e| e.value.as_str() == "a2"));
        assert_eq!(f[0].proves, Some(Proof::Copy));
        let sibling = [file("a1", 25, 1), file("a2", 3, 1), file("a2.tmp", 1, 1)];
        let bench = Bench::new(json!({ "pattern": "a?" }));
        assert_eq!(bench.picked(&sibling).newest.unwrap().found.name, "a1");
    }
}
