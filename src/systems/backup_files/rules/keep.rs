//! As many backups are there as shall be: what broke last week is in none of the newer ones.

use crate::plan::{Now, Plan, RuleId};
use crate::readiness::{About, Facts, Finding, Rule, Verdict};

use super::{View, applies};

const ID: RuleId = RuleId::new("backup-files.keep");

/// Holds the number of backups against `keep`.
pub struct Keep;

impl Rule for Keep {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        applies(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(view) = View::of(facts, about, ID, now) else { return Vec::new() };
        let Some(keep) = view.files.keep else { return Vec::new() };
        let (listing, kept) = match view.listing() {
            None => return Vec::new(),
            Some(Err(f)) => return vec![f],
            Some(Ok(read)) => read,
        };
        let Some(listing) = listing.first() else { return Vec::new() };
        let what = if view.files.has_chain() { "full backups" } else { "backups" };
        let found = listing.kept;
        let finding = if found < i64::from(keep) {
            view.make(Verdict::Degraded, "too-few", &format!("{found} {what} are there; {keep} shall be kept"))
                .next("find out what removes them, or what failed to make them; after a fresh start, wait")
        } else {
            view.make(Verdict::Ready, "enough", &format!("{found} {what} are there, of {keep} that shall be kept"))
        };
        let finding = finding.because(what, &found, kept.asked);
        vec![match listing.oldest {
            Some(oldest) => finding.because("the oldest is of", &oldest.format("%Y-%m-%d %H:%M:%SZ"), kept.asked),
            None => finding,
        }]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::bench::{Bench, file};
    use super::*;

    #[test]
    fn counts_what_could_be_restored() {
        let dir = [file("a1", 50, 1), file("a2", 25, 1), file("a3", 0, 1), file("b", 3, 1)];
        let of = |keep: u32| Bench::new(json!({ "pattern": "a*", "keep": keep })).dir(&dir).told(&Keep);
        assert_eq!(of(2), "ready enough: 2 backups are there, of 2 that shall be kept");
        assert_eq!(of(3), "degraded too-few: 2 backups are there; 3 shall be kept");
        assert_eq!(Bench::new(json!({ "pattern": "a*" })).dir(&dir).told(&Keep), "");
    }
}
