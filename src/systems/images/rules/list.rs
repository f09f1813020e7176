//! The list of images that a pipeline writes is the one of what is deployed.

use crate::plan::{Now, Plan, RuleId, Span, Subject};
use crate::readiness::{About, Facts, Finding, Gap, Reason, Row, Rule, Verdict};

use super::super::options::Wanted;
use super::super::signals::LIST;
use super::{Bench, images, probes, words};

const ID: RuleId = RuleId::new("images.list");

/// Judges the file that the list comes from, by the newest look at any registry. A list in the configuration is what it is.
pub struct List;

impl Rule for List {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        probes(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(bench) = Bench::of(facts, about, now) else { return Vec::new() };
        let Wanted::From(path) = &bench.images.wanted else { return Vec::new() };
        let tables = bench.images.registries.iter().filter_map(|r| bench.rows(r, &LIST));
        let Some((rows, asked)) = tables.max_by_key(|(_, asked)| asked.boot) else { return Vec::new() };
        match rows.and_then(|rows| judge(bench, path, rows, asked)) {
            Ok(finding) => vec![finding],
            Err(gap) => {
                let sentence = format!("the reading cannot be understood: {gap}");
                vec![
                    bench
                        .finding(ID, Subject::whole(), Verdict::Unknown, "malformed", &sentence)
                        .because(path, &"read", asked)
                        .next("this is a fault in lifeboat: report it"),
                ]
            }
        }
    }
}

fn judge(bench: Bench<'_>, path: &str, rows: &[Row], asked: Now) -> Result<Finding, Gap> {
    let [row] = rows else { return Err(Gap::new(Reason::Malformed, "not one row")) };
    let count = row.int("count")?.and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
    let written = row.time("written")?.ok_or_else(|| Gap::new(Reason::Malformed, "no time"))?;
    let source = words(row, "source")?;
    if count == 0 || source != path {
        return Err(Gap::new(Reason::Malformed, "another list, or none"));
    }
    let age = bench.now.wall.signed_duration_since(written).to_std().unwrap_or_default();
    let shown = written.format("%Y-%m-%d %H:%M:%SZ");
    let old = bench.images.images_max_age.filter(|most| age > most.0);
    let (verdict, code, sentence) = match old {
        Some(most) => {
            let sentence = format!("the list of images, {path}, is {} old: more than {most}", Span(age).coarse());
            (Verdict::Degraded, "list-old", sentence)
        }
        None => (Verdict::Ready, "list-read", format!("{path} lists {}", images(count))),
    };
    let finding = bench.finding(ID, Subject::whole(), verdict, code, &sentence);
    let finding = finding.because(path, &format!("{}, written {shown}", images(count)), asked);
    Ok(match old {
        Some(_) => {
            finding.next("see whether the pipeline still writes it: what is deployed may be something else by now")
        }
        None => finding,
    })
}

#[cfg(test)]
mod tests {
    use super::super::bench::{Desk, listed};
    use super::*;

    #[test]
    fn a_list_grows_old() {
        let of = |age, rows: usize| {
            Desk::from_file().listing("west", vec![listed("/srv/images.txt", age, 3); rows]).judge(&List)
        };
        assert_eq!(of(3_600, 1), ["ready list-read"]);
        assert_eq!(of(86_400 * 8, 1), ["degraded list-old"]);
        assert_eq!(of(3_600, 0), ["unknown malformed"]);
        assert_eq!(of(3_600, 2), ["unknown malformed"]);
        assert!(Desk::new(&["api:1"]).listing("west", vec![listed("configuration", 0, 1)]).judge(&List).is_empty());
    }
}
