//! The newest backup is not suspiciously small: a dump that failed halfway, or of the wrong database, mostly is.

use crate::plan::{Bytes, Now, Plan, RuleId};
use crate::readiness::signals::BACKUP_SIZE;
use crate::readiness::{About, Facts, Finding, Rule, Verdict};

use super::{View, applies};

const ID: RuleId = RuleId::new("backup-files.size");

/// Holds the newest backup's size against `min_size` and against the one before it.
pub struct Size;

impl Rule for Size {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        applies(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(view) = View::of(facts, about, ID, now) else { return Vec::new() };
        let (newest, kept) = match view.newest() {
            None => return Vec::new(),
            Some(Err(f)) => return vec![f],
            Some(Ok((newest, kept))) => (newest, kept),
        };
        let Some(newest) = newest.first() else { return Vec::new() };
        let (name, size) = (&newest.base.name, newest.base.size);
        let least = view.files.min_size;
        let before = newest.previous.as_ref().filter(|p| shrunk(p.size, size, view.files.max_shrink));
        let finding = match (least, before) {
            _ if size.0 == 0 => view
                .make(Verdict::NotReady, "empty", &format!("the newest backup, {name}, is empty"))
                .next("see the log of whoever made it: it failed; restore from the one before if you must"),
            (Some(least), _) if size < least => view
                .make(
                    Verdict::NotReady,
                    "too-small",
                    &format!("the newest backup, {name}, is {size} large; it must have {least} at least"),
                )
                .next("see the log of whoever made it; restore from the one before if you must"),
            (_, Some(previous)) => view
                .make(
                    Verdict::Degraded,
                    "shrunk",
                    &format!(
                        "the newest backup, {name}, is {size} large and the one before it, {}, {}: more than {} % less",
                        previous.name, previous.size, view.files.max_shrink
                    ),
                )
                .next(
                    "find out what is missing: a table, a schema, the end; if it was meant, the next backup ends this",
                ),
            (_, None) => view.make(Verdict::Ready, "size", &format!("the newest backup, {name}, is {size} large")),
        };
        let finding = finding
            .because(&format!("size of {name}"), &size, kept.asked)
            .charted(view.lane().key(BACKUP_SIZE), least.map(as_limit));
        vec![match &newest.previous {
            Some(p) => finding.because(&format!("size of {}", p.name), &p.size, kept.asked),
            None => finding,
        }]
    }
}

/// Whether a size is more than so many percent below another.
fn shrunk(from: Bytes, to: Bytes, percent: u8) -> bool {
    let least = u128::from(from.0) * u128::from(100_u8.saturating_sub(percent));
    u128::from(to.0) * 100 < least
}

#[expect(clippy::cast_precision_loss, reason = "a chart needs no more than 52 bits")]
const fn as_limit(size: Bytes) -> f64 {
    size.0 as f64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::bench::{Bench, file};
    use super::*;

    #[test]
    fn sizes_against_the_least_and_the_one_before() {
        let of = |before, now| {
            let bench = Bench::new(json!({ "pattern": "a*", "min_size": "10kB" }));
            bench.dir(&[file("a1", 25, before), file("a2", 1, now)]).told(&Size)
        };
        assert_eq!(of(20_000, 14_000), "ready size: the newest backup, a2, is 14.0 kB large");
        assert_eq!(
            of(20_001, 14_000),
            "degraded shrunk: the newest backup, a2, is 14.0 kB large and the one before it, a1, 20.0 kB: more than 30 % less"
        );
        assert_eq!(
            of(20_000, 9_999),
            "not ready too-small: the newest backup, a2, is 9.9 kB large; it must have 10.0 kB at least"
        );
        assert_eq!(of(20_000, 0), "not ready empty: the newest backup, a2, is empty");
        assert!(of(0, 20_000).starts_with("ready"));
        assert!(shrunk(Bytes(u64::MAX), Bytes(u64::MAX / 2), 30));
        assert!(!shrunk(Bytes(100), Bytes(0), 100));
    }

    #[test]
    fn a_part_of_a_chain_may_be_small() {
        let bench = Bench::new(json!({ "chain": { "full": "f*", "incremental": "i*" }, "min_size": "10kB" }));
        let dir = [file("f1", 50, 20_000), file("f2", 25, 20_000), file("i3", 1, 5)];
        assert_eq!(bench.dir(&dir).told(&Size), "ready size: the newest backup, f2, is 20.0 kB large");
    }
}
