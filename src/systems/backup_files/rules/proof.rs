//! A backup was restored not long ago: nothing else proves that it can be.

use crate::plan::{Now, Plan, RuleId};
use crate::readiness::{About, Facts, Finding, Rule, Verdict};

use super::super::parse::rows::Proven;
use super::super::signals::PROOF;
use super::{View, applies};

const ID: RuleId = RuleId::new("backup-files.restore-proof");

/// Holds the marker of the last restore against `max_proof_age`.
pub struct ProofRule;

impl Rule for ProofRule {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        applies(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(view) = View::of(facts, about, ID, now) else { return Vec::new() };
        let (read, kept) = match view.rows(&PROOF, Proven::read) {
            None => return Vec::new(),
            Some(Err(f)) => return vec![f],
            Some(Ok(read)) => read,
        };
        let marker = view.files.restore_proof.as_deref().unwrap_or_default();
        let again = "restore the newest backup somewhere, check what is in it, and write the marker anew";
        let Some(proven) = read.first() else {
            return vec![
                view.make(Verdict::Degraded, "never-proven", "no backup was ever proven to restore")
                    .because(marker, &"not there", kept.asked)
                    .next(again),
            ];
        };
        let (limit, age) = (view.files.max_proof_age, view.age(proven.at, kept));
        let finding = if let Some(ahead) = View::ahead(proven.at, kept) {
            let sentence = format!("the last restore is dated {} in the future", ahead.coarse());
            view.make(Verdict::Unknown, "proof-ahead", &sentence).next("see what wrote the marker, and its clock")
        } else if age.0 > limit.0 {
            let sentence = format!("a backup was last restored {} ago; the limit is {limit}", age.coarse());
            view.make(Verdict::Degraded, "proof-too-old", &sentence).next(again)
        } else {
            let took = proven.took.map(|t| format!(" in {t}")).unwrap_or_default();
            let what = proven.backup.as_ref().map_or_else(|| "a backup".to_owned(), ToString::to_string);
            let sentence = format!("{what} was restored{took}, within the limit of {limit}");
            view.make(Verdict::Ready, "proven", &sentence)
        };
        let by = if proven.by.as_str() == "marker" { "by its content" } else { "by its time of writing" };
        let when = format!("{}, {by}", proven.at.format("%Y-%m-%d %H:%M:%SZ"));
        vec![finding.because(marker, &when, kept.asked)]
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::json;

    use super::super::bench::{Bench, now};
    use super::*;
    use crate::plan::Span;

    #[test]
    fn a_proof_is_of_some_day() {
        let of = |days: Option<i64>| {
            let row = |days| Proven {
                at: now().wall - TimeDelta::days(days),
                by: "marker".into(),
                backup: Some("a1".into()),
                took: Some(Span::secs(75)),
                bytes: None,
            };
            let bench = Bench::new(json!({ "pattern": "a*", "restore_proof": "/b/proof" }));
            bench.rows(&PROOF, days.map(|d| row(d).row()).into_iter().collect()).told(&ProofRule)
        };
        assert_eq!(of(None), "degraded never-proven: no backup was ever proven to restore");
        assert_eq!(of(Some(30)), "ready proven: a1 was restored in 1m15s, within the limit of 31d");
        assert_eq!(of(Some(32)), "degraded proof-too-old: a backup was last restored 32 d ago; the limit is 31d");
        assert_eq!(of(Some(-2)), "unknown proof-ahead: the last restore is dated 2 d in the future");
    }
}
