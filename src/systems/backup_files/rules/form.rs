//! The newest backup is what its name says, and was written to its end, as far as its first and last bytes tell.

use crate::plan::{Now, Plan, RuleId};
use crate::readiness::{About, Facts, Finding, Rule, Verdict, worst};

use super::super::options::Decode;
use super::super::parse::form::Format;
use super::super::parse::rows::Ends;
use super::super::signals::FORM;
use super::{View, applies};

const ID: RuleId = RuleId::new("backup-files.form");

/// Judges the ends of the newest backup, and of the full one that it needs.
pub struct FormRule;

impl Rule for FormRule {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        applies(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(view) = View::of(facts, about, ID, now) else { return Vec::new() };
        let (ends, kept) = match view.rows(&FORM, Ends::read) {
            None => return Vec::new(),
            Some(Err(f)) => return vec![f],
            Some(Ok(read)) => read,
        };
        let of = |e: &Ends| one(&view, e).because(&format!("first bytes of {}", e.name), &e.format, kept.asked);
        let findings: Vec<Finding> = ends.iter().map(of).collect();
        let verdict = worst(findings.iter().map(|f| f.verdict));
        findings.into_iter().find(|f| Some(f.verdict) == verdict).into_iter().collect()
    }
}

fn one(view: &View<'_>, ends: &Ends) -> Finding {
    let Ends { name, format, promised, whole, detail } = ends;
    let is = |f: Format| format.as_str() == f.name();
    let nothing_known = is(Format::Unknown) || is(Format::Text);
    if *whole == Some(false) {
        return view
            .make(Verdict::NotReady, "not-whole", &format!("the newest backup, {name}, is broken: {detail}"))
            .next("see the log of whoever made it and make it anew; restore from the one before if you must");
    }
    match promised {
        // What encrypts leaves no magic that all tools share.
        Some(promised) if promised.as_str() == Format::Encrypted.name() && is(Format::Unknown) => {}
        Some(promised) if nothing_known => {
            let sentence = format!("the newest backup, {name}, is no {promised}{}", comma(detail.as_str()));
            return view
                .make(Verdict::NotReady, "wrong-format", &sentence)
                .next("see the log of whoever made it and make it anew; restore from the one before if you must");
        }
        Some(promised) => {
            let sentence = format!("the newest backup, {name}, is {format}, where its name promises {promised}");
            return view
                .make(Verdict::Degraded, "wrong-extension", &sentence)
                .next("name it for what it is: at night nobody looks twice before restoring");
        }
        None if nothing_known => {
            let sentence =
                format!("the newest backup, {name}, is of no format that is known here{}", comma(detail.as_str()));
            return view
                .make(Verdict::Degraded, "unknown-format", &sentence)
                .next("look into it; if it is right, give the probe weight = \"advice\" and prove it by a restore");
        }
        None => {}
    }
    let more = match (whole, view.files.decode) {
        (Some(_), _) => "is whole by its end",
        (None, Decode::Newest) => "does not tell by its end whether it is whole",
        (None, Decode::Never) => "does not tell by its end whether it is whole; reading it in full would (decode)",
    };
    view.make(Verdict::Ready, "form", &format!("the newest backup, {name}, is {format} and {more}"))
}

fn comma(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(": {detail}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::bench::Bench;
    use super::*;

    #[test]
    fn what_ends_and_extensions_say() {
        let of = |name: &str, head: &[u8], tail: &[u8]| {
            Bench::new(json!({ "pattern": "a*" })).form(name, head, tail).told(&FormRule)
        };
        let sql = b"--\n-- PostgreSQL database dump\n--\n";
        assert_eq!(
            of("a.sql", sql, b"-- PostgreSQL database dump complete"),
            "ready form: the newest backup, a.sql, is plain SQL and is whole by its end"
        );
        assert_eq!(
            of("a.sql", sql, b"COPY"),
            "not ready not-whole: the newest backup, a.sql, is broken: it does not say at its end that the dump is complete"
        );
        assert_eq!(
            of("a.sql.gz", sql, b"-- PostgreSQL database dump complete"),
            "degraded wrong-extension: the newest backup, a.sql.gz, is plain SQL, where its name promises gzip"
        );
        assert_eq!(
            of("a.gz", b"pg_dump: error: no", b"no"),
            "not ready wrong-format: the newest backup, a.gz, is no gzip: it begins with \"pg_dump: error: no\""
        );
        assert!(of("a.dump", b"\xff\xfe\x00", b"x").starts_with("degraded unknown-format"));
        assert!(of("a.gpg", b"\x01\xfe\x00", b"x").starts_with("ready"));
        assert_eq!(
            of("a.dump", b"PGDMP", b"x"),
            "ready form: the newest backup, a.dump, is pg_dump custom and does not tell by its end whether it is whole; \
             reading it in full would (decode)"
        );
        assert!(of("a", &[0; 600], &[0; 600]).starts_with("not ready not-whole"));
    }
}
