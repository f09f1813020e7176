//! The same table looks the same at both sites.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::{Now, Plan, RuleId, SafeText};
use crate::readiness::{About, Facts, Finding, Gap, Row, Rule, Verdict};
use crate::systems::postgres::rules::view::Server;
use crate::systems::postgres::signals::logical::{COLUMNS, TABLES};

use super::{NAMED, about, list, name_in, older, pair, read, said};

const ID: RuleId = RuleId::new("postgres.schema-drift");

/// Logical replication carries no DDL: a column that was added at the publisher alone stops the apply worker at its first
/// change; one with another type may. Digests are compared, and columns only where those differ.
pub struct Drift;

impl Rule for Drift {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        about(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some((subscriber, publisher)) = Server::of(facts, about, now).and_then(pair) else { return Vec::new() };
        let (Some((_, at)), Some((_, then))) = (subscriber.rows(&TABLES), publisher.rows(&TABLES)) else {
            return Vec::new();
        };
        said(&ID, subscriber, older(at, then), judge(subscriber, publisher))
    }
}

type Named = BTreeMap<SafeText, SafeText>;

fn named(server: Server<'_>, signal: &crate::plan::SignalId, column: &str) -> Option<(Result<Named, Gap>, Now)> {
    let row = |row: &Row| Ok((name_in(row, "table")?, name_in(row, column)?));
    let (all, at) = read(server, signal, row)?;
    Some((all.map(|all| all.into_iter().collect()), at))
}

fn judge(subscriber: Server<'_>, publisher: Server<'_>) -> Result<Vec<Finding>, Gap> {
    let (Some((mine, at)), Some((theirs, then))) =
        (named(subscriber, &TABLES, "digest"), named(publisher, &TABLES, "digest"))
    else {
        return Ok(Vec::new());
    };
    let (mine, theirs) = (mine?, theirs?);
    let (site, from, at) = (subscriber.site, publisher.site, older(at, then));
    // What is not there at all, the rule `postgres.logical-tables` says.
    let both = theirs.iter().filter_map(|(table, digest)| Some((table, digest, mine.get(table)?)));
    let differing: Vec<&SafeText> = both.clone().filter(|(_, a, b)| a != b).map(|(table, ..)| table).collect();
    if differing.is_empty() {
        let compared = both.count();
        let why = format!("the columns of {compared} tables are the same in {from} and {site}");
        return Ok(match compared {
            0 => Vec::new(),
            _ => vec![subscriber.finding(ID, Verdict::Ready, "same-columns", &why).because(
                "tables compared",
                &compared,
                at,
            )],
        });
    }
    let why = format!("the columns differ between {from} and {site}: {}", list(&differing));
    let next = format!(
        "make them the same, the subscriber first: \\d {} on both; logical replication carries no DDL",
        differing.first().map_or("", |t| t.as_str())
    );
    let mut finding = subscriber.finding(ID, Verdict::Degraded, "columns-differ", &why).next(&next);
    let details = |server| named(server, &COLUMNS, "columns").and_then(|(all, _)| all.ok()).unwrap_or_default();
    let (here, there) = (details(subscriber), details(publisher));
    for table in differing.iter().take(NAMED) {
        let shown = match (there.get(*table), here.get(*table)) {
            (Some(theirs), Some(mine)) => difference(theirs.as_str(), mine.as_str(), from.as_str(), site.as_str()),
            (_, _) => "another digest".to_owned(),
        };
        finding = finding.because(table.as_str(), &shown, at);
    }
    finding.subject = subscriber.part("columns");
    Ok(vec![finding])
}

/// What one list of columns has and the other has not. A column's own text may hold a comma (`numeric(10,2)`); only one that
/// a blank follows parts columns.
fn difference(theirs: &str, mine: &str, from: &str, to: &str) -> String {
    let set = |text| -> BTreeSet<&str> { str::split(text, ", ").collect() };
    let (a, b) = (set(theirs), set(mine));
    let only = |x: &BTreeSet<&str>, y: &BTreeSet<&str>| x.difference(y).copied().collect::<Vec<_>>().join(", ");
    let side = |site: &str, columns: String| match columns.as_str() {
        "" => format!("{site}: nothing more"),
        some => format!("{site}: {some}"),
    };
    format!("only in {}; only in {}", side(from, only(&a, &b)), side(to, only(&b, &a)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_shown() {
        let shown = difference("a integer, n numeric(10,2)", "a integer, n numeric(8,2), x text", "east", "west");
        assert_eq!(shown, "only in east: n numeric(10,2); only in west: n numeric(8,2), x text");
    }
}
