//! What the times of files and of names cannot be: later than now, or later than the last write.

use crate::plan::{Now, Plan, RuleId};
use crate::readiness::{About, Facts, Finding, Rule, Verdict};

use super::{View, applies};

const ID: RuleId = RuleId::new("backup-files.names");

/// Judges entries that match and that cannot be believed.
pub struct Names;

impl Rule for Names {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        applies(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(view) = View::of(facts, about, ID, now) else { return Vec::new() };
        let (listing, kept) = match view.listing() {
            None => return Vec::new(),
            Some(Err(f)) => return vec![f],
            Some(Ok(read)) => read,
        };
        let Some(listing) = listing.first() else { return Vec::new() };
        let finding = if let Some(name) = &listing.future {
            view.make(
                Verdict::Unknown,
                "future",
                &format!("{name} is dated in the future: how old it is cannot be told"),
            )
            .next("compare the clock of whoever wrote it with this machine's; then touch it, or remove it")
            .because("dated in the future", name, kept.asked)
        } else if let Some(name) = &listing.late {
            view.make(
                Verdict::Degraded,
                "late-name",
                &format!("{name} tells a later time than its last write: the time zone of names is another one"),
            )
            .next("set the probe's zone: \"local\", or an offset such as \"+02:00\"")
            .because("later than its last write", name, kept.asked)
        } else if let Some(name) = &listing.strange {
            view.make(
                Verdict::Degraded,
                "strange",
                &format!("{name} is called like a backup and is neither a file nor a directory that can be read"),
            )
            .next("see whether it is a link that leads nowhere; remove it, or mend it")
            .because("neither file nor directory", name, kept.asked)
        } else {
            return Vec::new();
        };
        vec![finding]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::bench::{Bench, file};
    use super::*;

    #[test]
    fn times_that_cannot_be() {
        let of = |files: &[(&str, i64)], zone: &str| {
            let files: Vec<_> = files.iter().map(|(name, hours)| file(name, *hours, 1)).collect();
            Bench::new(json!({ "pattern": "a_{%FT%H}", "zone": zone })).dir(&files).told(&Names)
        };
        // 04:00 by its name, written at 04:00 UTC.
        assert_eq!(of(&[("a_2026-11-21T04", 2)], "utc"), "");
        assert!(
            of(&[("a_2026-11-21T04", 2)], "-02:00").starts_with("degraded late-name: a_2026-11-21T04 tells a later")
        );
        assert!(of(&[("a_2026-11-21T04", 2)], "+02:00").is_empty());
        assert!(
            of(&[("a_2026-11-21T04", 2), ("a_2026-11-21T05", -3)], "utc")
                .starts_with("unknown future: a_2026-11-21T05")
        );
    }
}
