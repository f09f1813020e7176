//! A `sql-check`'s query gives what it must, or the same at every site.

use crate::plan::{LaneDecl, Now, Plan, ProbeDecl, RuleId, SafeText, SiteId, Subject};
use crate::readiness::{About, Bearing, Facts, Finding, Reason, Row, Rule, Value, Verdict};
use crate::systems::postgres::options::check::{Expected, SqlCheckOptions};
use crate::systems::postgres::parse::check::is_number;
use crate::systems::postgres::signals::check::{NUMBER, VALUE};

use super::view::APART;

const ID: RuleId = RuleId::new("sql-check.value");

/// Two sites are never asked at one moment: what differs once may be a change under way, what differs at two looks is none.
pub struct Check;

impl Rule for Check {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        let probes = plan.probes.iter().filter(|p| p.options::<SqlCheckOptions>().is_some());
        let lanes = probes.flat_map(|p| p.lanes.iter().map(move |l| (p, l)));
        lanes.map(|(p, l)| About { probe: Some(p.id.clone()), subject: l.subject.clone() }).collect()
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(probe) = about.probe.as_ref().and_then(|id| facts.plan.probe(id)) else { return Vec::new() };
        let Some(options) = probe.options::<SqlCheckOptions>() else { return Vec::new() };
        let Some(lane) = probe.lanes.iter().find(|l| l.subject == about.subject) else { return Vec::new() };
        let Some(site) = &lane.subject.site else { return Vec::new() };
        let Some((value, reading)) = facts.value(probe, &lane.subject, &VALUE, now) else { return Vec::new() };
        let judge = Judge { facts, probe, options, lane, site, at: reading.asked, now };
        judge.judge(value).into_iter().collect()
    }
}

/// One value with its type.
#[derive(Clone, Debug, PartialEq)]
struct Given {
    value: SafeText,
    kind: SafeText,
}

/// The value of a reading; `Ok(None)` for NULL, `Err` for what is no such reading.
fn given(value: &Value) -> Result<Option<Given>, ()> {
    let Value::Rows(rows) = value else { return Err(()) };
    let [row] = rows.as_slice() else { return Err(()) };
    let text = |row: &Row, column| row.text(column).map_err(|_| ());
    let kind = text(row, "type")?.ok_or(())?;
    Ok(text(row, "value")?.map(|value| Given { value, kind }))
}

/// How two values compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compared {
    Same,
    Differ,
    /// A number and words: neither the same nor different.
    Incomparable,
}

/// A decimal number without zeros that say nothing, so that `1.50` is `1.5`.
fn plain(number: &str) -> &str {
    match number.contains('.') && !number.contains(['e', 'E']) {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => number,
    }
}

fn numbers(a: &str, b: &str, tolerance: Option<f64>) -> Compared {
    if plain(a) == plain(b) {
        return Compared::Same;
    }
    let (Ok(x), Ok(y)) = (a.parse::<f64>(), b.parse::<f64>()) else { return Compared::Incomparable };
    if !x.is_finite() || !y.is_finite() {
        return Compared::Incomparable;
    }
    match tolerance {
        // Whole numbers beyond 2^53 are the same in a float before they are the same.
        Some(most) if most > 0.0 => match (a.parse::<i128>(), b.parse::<i128>()) {
            #[expect(clippy::cast_precision_loss, reason = "a distance that is near the tolerance is small")]
            (Ok(a), Ok(b)) if (a.abs_diff(b) as f64) <= most => Compared::Same,
            (Ok(_), Ok(_)) => Compared::Differ,
            (_, _) if (x - y).abs() <= most => Compared::Same,
            (_, _) => Compared::Differ,
        },
        Some(_) | None => Compared::Differ,
    }
}

fn with_expected(given: &Given, expected: &Expected, tolerance: Option<f64>) -> Compared {
    let value = given.value.as_str();
    let same = |same| if same { Compared::Same } else { Compared::Differ };
    match expected {
        Expected::Bool(wanted) => match (given.kind.as_str(), value) {
            ("boolean", "t") => same(*wanted),
            ("boolean", "f") => same(!*wanted),
            (_, _) => Compared::Incomparable,
        },
        Expected::Whole(_) | Expected::Fraction(_) if is_number(given.kind.as_str()) => {
            numbers(value, &expected.to_string(), tolerance)
        }
        Expected::Whole(_) | Expected::Fraction(_) => Compared::Incomparable,
        Expected::Text(_) if is_number(given.kind.as_str()) || given.kind.as_str() == "boolean" => {
            Compared::Incomparable
        }
        Expected::Text(wanted) => same(wanted == value),
    }
}

/// Whether what a query gave is what is expected of it; `None` where the two cannot be compared.
#[must_use]
pub fn is_expected(value: &Value, expected: &Expected, tolerance: Option<f64>) -> Option<bool> {
    match with_expected(&given(value).ok()??, expected, tolerance) {
        Compared::Same => Some(true),
        Compared::Differ => Some(false),
        Compared::Incomparable => None,
    }
}

fn with_other(a: &Given, b: &Given, tolerance: Option<f64>) -> Compared {
    match (is_number(a.kind.as_str()), is_number(b.kind.as_str())) {
        (true, true) => numbers(a.value.as_str(), b.value.as_str(), tolerance),
        (false, false) if a.kind == b.kind && a.value == b.value => Compared::Same,
        (false, false) if a.kind == b.kind => Compared::Differ,
        (_, _) => Compared::Incomparable,
    }
}

struct Judge<'a> {
    facts: &'a Facts<'a>,
    probe: &'a ProbeDecl,
    options: &'a SqlCheckOptions,
    lane: &'a LaneDecl,
    site: &'a SiteId,
    at: Now,
    now: Now,
}

impl Judge<'_> {
    fn make(&self, verdict: Verdict, code: &'static str, sentence: &str, shown: &str) -> Finding {
        let key = self.probe.lane_id(self.lane).key(NUMBER);
        Finding::new(ID, self.probe.area, self.lane.subject.clone(), verdict, code, sentence)
            .of(&self.probe.id)
            .because(&format!("{} query", self.site), &shown, self.at)
            .charted(key, None)
    }

    fn next(&self, otherwise: &str) -> String {
        self.options.next.clone().unwrap_or_else(|| otherwise.to_owned())
    }

    fn judge(&self, value: &Value) -> Option<Finding> {
        let (name, site) = (&self.probe.id.name, self.site);
        let mine = match given(value) {
            Ok(Some(given)) => given,
            Ok(None) => {
                let why = format!("{name} in {site} is NULL");
                let made = self.make(Verdict::Unknown, "null", &why, "NULL");
                return Some(
                    made.next("run the query by hand: an empty table gives NULL; coalesce() says what that means"),
                );
            }
            Err(()) => {
                let why = format!("{name} in {site} makes no sense");
                let made = self.make(Verdict::Unknown, Reason::Malformed.code(), &why, &value.to_string());
                return Some(made.next("check what answers there: a pooler or a proxy may change answers"));
            }
        };
        let tolerance = self.options.tolerance;
        let shown = format!("{} ({})", mine.value, mine.kind);
        let Some(expected) = &self.options.expect else { return self.across(&mine, &shown) };
        Some(match with_expected(&mine, expected, tolerance) {
            Compared::Same => {
                self.make(Verdict::Ready, "as-expected", &format!("{name} in {site} is as expected"), &shown)
            }
            Compared::Differ => {
                let within = tolerance.map_or_else(String::new, |t| format!(" within {t}"));
                let why = format!("{name} in {site} is {}, and should be {expected}{within}", mine.value);
                self.make(Verdict::NotReady, "not-as-expected", &why, &shown)
                    .next(&self.next("find out what changed it; the query is in the configuration"))
                    .bearing(Bearing::Consent(SafeText::new(&why)))
            }
            Compared::Incomparable => {
                let why = format!(
                    "{name} in {site} is {} of type {}, which is not compared with {expected}",
                    mine.value, mine.kind
                );
                self.make(Verdict::Unknown, "type", &why, &shown)
                    .next("write `expect` as that type: a number without quotes, words with; or cast in the query")
            }
        })
    }

    /// Against every other site; said at the site that comes later, so that it is said once.
    fn across(&self, mine: &Given, shown: &str) -> Option<Finding> {
        let (name, site) = (&self.probe.id.name, self.site);
        let mut worst: Option<Finding> = None;
        let mut same = false;
        let before_me = self.probe.lanes.iter().take_while(|l| l.subject != self.lane.subject);
        let others: Vec<(&LaneDecl, &SiteId)> = before_me.filter_map(|l| Some((l, l.subject.site.as_ref()?))).collect();
        if others.is_empty() {
            return None;
        }
        for (lane, other) in others {
            // What has no reading the rule `reach` says; NULL is said of its own site.
            let Some((value, reading)) = self.facts.value(self.probe, &lane.subject, &VALUE, self.now) else {
                continue;
            };
            let Ok(Some(theirs)) = given(value) else { continue };
            let evidence = |f: Finding| {
                f.because(&format!("{other} query"), &format_args!("{} ({})", theirs.value, theirs.kind), reading.asked)
            };
            let found = match with_other(mine, &theirs, self.options.tolerance) {
                Compared::Same => {
                    same = true;
                    continue;
                }
                Compared::Incomparable => {
                    let why = format!("{name} is of type {} in {other} and {} in {site}", theirs.kind, mine.kind);
                    evidence(self.make(Verdict::Unknown, "type", &why, shown)).next("cast it to one type in the query")
                }
                Compared::Differ => {
                    let within = self.options.tolerance.map_or_else(String::new, |t| format!(", more than {t} apart"));
                    let why = format!("{name} is {} in {other} and {} in {site}{within}", theirs.value, mine.value);
                    match self.differed_before(&lane.subject) {
                        true => evidence(self.make(Verdict::NotReady, "sites-differ", &why, shown))
                            .next(&self.next("find out which site is right before a failover goes there"))
                            .bearing(Bearing::Consent(SafeText::new(&why))),
                        false => evidence(self.make(
                            Verdict::Unknown,
                            "differed-once",
                            &format!("{why} at this look; asking again"),
                            shown,
                        ))
                        .next("wait for the next look"),
                    }
                }
            };
            worst = match worst {
                Some(w) if w.verdict == Verdict::NotReady => Some(w),
                Some(_) | None => Some(found),
            };
        }
        worst.or_else(|| {
            same.then(|| {
                self.make(Verdict::Ready, "sites-agree", &format!("{name} is the same in {site} as elsewhere"), shown)
            })
        })
    }

    /// Whether the values of both sites' looks before differed too.
    fn differed_before(&self, other: &Subject) -> bool {
        let before = |subject: &Subject| {
            let (value, then) = self.facts.before(self.probe, subject, &VALUE)?;
            Some((given(value).ok()??, then))
        };
        let (Some((mine, then)), Some((theirs, _))) = (before(&self.lane.subject), before(other)) else { return false };
        self.at.since(then) >= APART && with_other(&mine, &theirs, self.options.tolerance) == Compared::Differ
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str, kind: &str) -> Given {
        Given { value: value.into(), kind: kind.into() }
    }

    #[test]
    fn numbers_are_compared_as_numbers_and_words_as_words() {
        use Compared::{Differ, Incomparable, Same};
        let expect = |value, kind, expected: Expected, tolerance| with_expected(&of(value, kind), &expected, tolerance);
        assert_eq!(expect("5", "bigint", Expected::Whole(5), None), Same);
        assert_eq!(expect("5.00", "numeric", Expected::Whole(5), None), Same);
        assert_eq!(expect("7", "integer", Expected::Whole(5), Some(2.0)), Same);
        assert_eq!(expect("8", "integer", Expected::Whole(5), Some(2.0)), Differ);
        assert_eq!(expect("5", "text", Expected::Whole(5), None), Incomparable);
        assert_eq!(expect("5", "integer", Expected::Text("5".into()), None), Incomparable);
        assert_eq!(expect("on", "text", Expected::Text("on".into()), None), Same);
        assert_eq!(expect("t", "boolean", Expected::Bool(true), None), Same);
        assert_eq!(expect("f", "boolean", Expected::Bool(true), None), Differ);
        assert_eq!(expect("NaN", "numeric", Expected::Whole(5), Some(1.0)), Incomparable);
        assert_eq!(expect("0.1", "double precision", Expected::Fraction(0.1), None), Same);
        // The same in a float, and not the same.
        let (a, b) = (of("9007199254740993", "bigint"), of("9007199254740992", "bigint"));
        assert_eq!(with_other(&a, &b, None), Differ);
        assert_eq!(with_other(&a, &b, Some(0.5)), Differ);
        assert_eq!(with_other(&a, &b, Some(1.0)), Same);
        assert_eq!(with_other(&of("1.50", "numeric"), &of("1.5", "numeric"), None), Same);
        assert_eq!(with_other(&of("1", "text"), &of("1", "integer"), None), Incomparable);
        assert_eq!(with_other(&of("a", "text"), &of("b", "text"), Some(5.0)), Differ);
        assert_eq!(with_other(&of("100", "numeric"), &of("1", "numeric"), None), Differ);
    }
}
