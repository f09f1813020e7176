//! The newest backup can be read to its end.

use crate::plan::{Now, Plan, RuleId};
use crate::readiness::{About, Facts, Finding, Rule, Verdict};

use super::super::parse::rows::Decoding;
use super::super::signals::DECODE;
use super::{View, applies};

/// The rule.
pub(in super::super) const ID: RuleId = RuleId::new("backup-files.decode");

/// Judges what reading in full found, where it is asked for.
pub struct DecodeRule;

impl Rule for DecodeRule {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        applies(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(view) = View::of(facts, about, ID, now) else { return Vec::new() };
        let (read, kept) = match view.rows(&DECODE, Decoding::read) {
            None => return Vec::new(),
            Some(Err(f)) => return vec![f],
            Some(Ok(read)) => read,
        };
        let Some(d) = read.first() else { return Vec::new() };
        let Decoding { name, detail, .. } = d;
        let recent = |d: &Decoding| d.sound.clone().filter(|(_, at)| view.age(*at, kept).0 <= view.files.max_age.0);
        let finding = match (d.state.as_str(), recent(d)) {
            ("good", _) => {
                let took = d.took.map(|t| format!(" in {t}")).unwrap_or_default();
                view.make(Verdict::Ready, "read", &format!("the newest backup, {name}, was read to its end{took}"))
            }
            ("bad", _) => view
                .make(Verdict::NotReady, "unreadable", &format!("the newest backup, {name}, cannot be read: {detail}"))
                .next("make it anew, and see the disk that it is on; restore from the one before if you must"),
            ("bad-before", _) => view
                .make(
                    Verdict::NotReady,
                    "unreadable-before",
                    &format!("the newest backup, {name}, could not be read, and is being read once more: {detail}"),
                )
                .next("make it anew, and see the disk that it is on; restore from the one before if you must"),
            ("cannot", _) => view
                .make(Verdict::Unknown, "not-tried", &format!("{name} could not be read in full: {detail}"))
                .next("mend that, or leave out decode = \"newest\" and prove backups by a restore"),
            // The one before is good and recent enough to restore from: a new one each night is no news.
            ("waiting" | "running", Some((sound, _))) => {
                view.make(Verdict::Ready, "reading", &format!("{name} is being read in full; {sound}, before it, was"))
            }
            ("waiting" | "running", None) => view
                .make(
                    Verdict::Degraded,
                    "not-read-yet",
                    &format!("{name} is being read in full, and no backup was yet"),
                )
                .next("wait until it is read in the background, and check again; lifeboat decode waits for it"),
            (other, _) => view
                .make(Verdict::Unknown, "malformed", &format!("the reading cannot be understood: {other}"))
                .next("this is a fault in lifeboat: report it"),
        };
        let finding = finding.because(&format!("reading {name} in full"), &d.state, kept.asked);
        vec![match d.finished {
            Some(at) => {
                let ago = view.age(at, kept).coarse();
                finding.because("finished", &format!("{}, {ago} ago", at.format("%Y-%m-%d %H:%M:%SZ")), kept.asked)
            }
            None => finding,
        }]
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::json;

    use super::super::bench::{Bench, now};
    use super::*;
    use crate::plan::{SafeText, Span};

    #[test]
    fn what_was_read_and_what_was_not() {
        let of = |state: &str, detail: &str, sound: Option<i64>| {
            let row = Decoding {
                name: "a2".into(),
                state: state.into(),
                detail: detail.into(),
                finished: Some(now().wall),
                took: Some(Span::secs(75)),
                sound: sound.map(|h| (SafeText::new("a1"), now().wall - TimeDelta::hours(h))),
            };
            let bench = Bench::new(json!({ "pattern": "a*", "decode": "newest" }));
            bench.rows(&DECODE, vec![row.row()]).told(&DecodeRule)
        };
        assert_eq!(of("good", "", None), "ready read: the newest backup, a2, was read to its end in 1m15s");
        assert_eq!(
            of("bad", "corrupt", Some(1)),
            "not ready unreadable: the newest backup, a2, cannot be read: corrupt"
        );
        assert_eq!(
            of("bad-before", "corrupt", Some(1)),
            "not ready unreadable-before: the newest backup, a2, could not be read, and is being read once more: corrupt"
        );
        assert!(of("cannot", "no pg_restore", None).starts_with("unknown not-tried"));
        assert_eq!(of("running", "", Some(25)), "ready reading: a2 is being read in full; a1, before it, was");
        assert!(of("running", "", Some(27)).starts_with("degraded not-read-yet"));
        assert!(of("waiting", "", None).starts_with("degraded not-read-yet"));
        assert!(of("fine", "", None).starts_with("unknown malformed"));
    }
}
