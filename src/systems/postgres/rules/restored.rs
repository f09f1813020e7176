//! A database that is restored from dumps answers, and its content can be dated.

use crate::plan::{Now, Plan, RuleId};
use crate::readiness::signals::FRESH_AS_OF;
use crate::readiness::{About, Facts, Finding, Proof, Rule, Value, Verdict};
use crate::systems::postgres::options::Mode;

use super::view::{Server, servers};

const ID: RuleId = RuleId::new("postgres.restored");

/// How old the content is, the rule `exposure` judges. This one proves only that there is a database to move to: it answers,
/// and its own content says of when it is. An empty answer is no content.
pub struct Restored;

impl Rule for Restored {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        servers(plan, Mode::Restored)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(server) = Server::of(facts, about, now) else { return Vec::new() };
        let Some((value, at)) = server.value(&FRESH_AS_OF) else { return Vec::new() };
        let site = server.site;
        let finding = match value {
            Value::Time(as_of) => server
                .finding(ID, Verdict::Ready, "restored", &format!("the restored database in {site} answers"))
                .proving(Proof::Promotable)
                .because(&format!("{site} newest content"), &as_of.format("%Y-%m-%d %H:%M:%SZ"), at),
            Value::NotApplicable
            | Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Number(_)
            | Value::Text(_)
            | Value::Bytes(_)
            | Value::Span(_)
            | Value::Lsn(_)
            | Value::Rows(_) => server
                .finding(
                    ID,
                    Verdict::Unknown,
                    "no-content",
                    &format!("the restored database in {site} gives no time of its content"),
                )
                .because(&format!("{site} freshness_query"), value, at)
                .next("run the freshness_query by hand: an empty table gives NULL"),
        };
        vec![finding]
    }
}
