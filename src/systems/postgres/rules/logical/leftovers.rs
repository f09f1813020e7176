//! What logical replication leaves behind.

use crate::plan::{Now, Plan, RuleId};
use crate::readiness::{About, Facts, Finding, Gap, Rule, Verdict};
use crate::systems::postgres::rules::view::Server;
use crate::systems::postgres::signals::logical::LEFTOVERS;

use super::{about, null, pair, said};

const ID: RuleId = RuleId::new("postgres.logical-leftovers");

/// Facts of life and no faults: they show in the loss manifest.
pub struct Leftovers;

impl Rule for Leftovers {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        about(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some((subscriber, publisher)) = Server::of(facts, about, now).and_then(pair) else { return Vec::new() };
        let Some((_, at)) = publisher.rows(&LEFTOVERS) else { return Vec::new() };
        said(&ID, publisher, at, judge(subscriber, publisher))
    }
}

fn judge(subscriber: Server<'_>, publisher: Server<'_>) -> Result<Vec<Finding>, Gap> {
    let Some((rows, at)) = publisher.rows(&LEFTOVERS) else { return Ok(Vec::new()) };
    let [row] = rows else { return Err(Gap::new(crate::readiness::Reason::Malformed, "one row was asked for")) };
    let count = |column: &str| row.int(column)?.ok_or_else(|| null(column));
    let (large, unlogged, materialized) = (count("large_objects")?, count("unlogged")?, count("materialized")?);
    let (site, to) = (publisher.site, subscriber.site);
    let why = format!(
        "only rows go from {site} to {to}: no schema changes, sequences, large objects, unlogged tables, roles, grants or extensions"
    );
    let mut finding = subscriber.finding(ID, Verdict::Ready, "rows-only", &why);
    finding.subject = subscriber.part("not replicated");
    for (count, what, loses) in [
        (large, "large objects", format!("{}{large} large objects", if large == 1_000 { "at least " } else { "" })),
        (unlogged, "unlogged tables", format!("the content of {unlogged} unlogged tables")),
        (
            materialized,
            "materialized views",
            format!("the content of {materialized} materialized views, until REFRESH"),
        ),
    ] {
        finding = finding.because(&format!("{site} {what}"), &count, at);
        if count > 0 {
            finding = finding.losing(&loses);
        }
    }
    Ok(vec![finding])
}
