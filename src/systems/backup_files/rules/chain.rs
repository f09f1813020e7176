//! What builds on a full backup is worth nothing without it.

use crate::plan::{Now, Plan, RuleId};
use crate::readiness::{About, Facts, Finding, Rule, Verdict};

use super::{View, applies};

const ID: RuleId = RuleId::new("backup-files.chain");

/// Judges chains of full, differential and incremental backups.
pub struct Chain;

impl Rule for Chain {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        applies(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(view) = View::of(facts, about, ID, now).filter(|v| v.files.has_chain()) else { return Vec::new() };
        let (newest, listing) = match (view.newest(), view.listing()) {
            (Some(Ok(newest)), Some(Ok(listing))) => (newest, listing),
            (Some(Err(f)), _) | (_, Some(Err(f))) => return vec![f],
            (None, _) | (_, None) => return Vec::new(),
        };
        let (Some(newest), Some(listing), kept) = (newest.0.first(), listing.0.first(), listing.1) else {
            return Vec::new();
        };
        let finding = match &listing.orphan {
            Some(name) => {
                let sentence = match listing.orphans {
                    1 => format!("{name} builds on a full backup that is not there"),
                    n => format!("{name} and {} more build on a full backup that is not there", n - 1),
                };
                view.make(Verdict::Degraded, "orphan", &sentence)
                    .next("keep full backups for as long as what builds on them; remove what cannot be restored")
            }
            None => {
                let sentence = format!("{} builds on {}, which is there", newest.own.name, newest.base.name);
                let alone = format!("the newest backup, {}, is a full one", newest.own.name);
                let sentence = if newest.own.name == newest.base.name { alone } else { sentence };
                view.make(Verdict::Ready, "chain", &sentence)
            }
        };
        vec![finding.because("full backup", &newest.base.name, kept.asked).because(
            "newest",
            &newest.own.name,
            kept.asked,
        )]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::bench::{Bench, file};
    use super::*;

    #[test]
    fn parts_need_their_full_backup() {
        let of = |files: &[(&str, i64)]| {
            let files: Vec<_> = files.iter().map(|(name, hours)| file(name, *hours, 1)).collect();
            let names = json!({ "full": "f*", "differential": "d*", "incremental": "i*" });
            let bench = Bench::new(json!({ "chain": names })).dir(&files);
            bench.told(&Chain)
        };
        assert_eq!(of(&[("f1", 50), ("i2", 20), ("d3", 1)]), "ready chain: d3 builds on f1, which is there");
        assert_eq!(of(&[("f1", 1), ("i0", 0)]), "ready chain: the newest backup, f1, is a full one");
        assert_eq!(
            of(&[("f1", 20), ("i0", 30), ("d0", 40)]),
            "degraded orphan: i0 and 1 more build on a full backup that is not there"
        );
        assert_eq!(of(&[("i0", 30)]), "", "that there is no full backup at all is said elsewhere");
    }
}
