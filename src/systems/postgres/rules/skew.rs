//! The servers' clocks agree with this machine's.

use crate::plan::{Now, Plan, RuleId};
use crate::readiness::{About, Facts, Finding, Rule, Value, Verdict};
use crate::systems::postgres::options::Mode;
use crate::systems::postgres::signals::SKEW;

use super::view::{Server, servers};

const ID: RuleId = RuleId::new("postgres.skew");
/// More than this is no network delay.
const LIMIT: f64 = 10.0;

/// No age here is measured across two clocks, so skew makes nothing look fresh; but logs, certificates, delayed replay and
/// people go by them (trap 1 needs synchronous clocks).
pub struct Skew;

impl Rule for Skew {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        let mut all = servers(plan, Mode::Replicating);
        all.extend(servers(plan, Mode::Restored));
        all
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(server) = Server::of(facts, about, now) else { return Vec::new() };
        let Some((value, at)) = server.value(&SKEW) else { return Vec::new() };
        let site = server.site;
        let skew = match value {
            Value::Number(n) if n.is_finite() => *n,
            Value::NotApplicable
            | Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Number(_)
            | Value::Text(_)
            | Value::Bytes(_)
            | Value::Span(_)
            | Value::Lsn(_)
            | Value::Time(_)
            | Value::Rows(_) => {
                let finding = server
                    .finding(ID, Verdict::Unknown, "malformed", &format!("{site}: its clock makes no sense"))
                    .because(&format!("{site} clock_timestamp() against here"), value, at)
                    .next("check what answers there");
                return vec![finding];
            }
        };
        if skew.abs() <= LIMIT {
            return Vec::new();
        }
        let side = if skew > 0.0 { "ahead of" } else { "behind" };
        let finding = server
            .finding(ID, Verdict::Degraded, "clock-skew", &format!("the clock of {site} is {side} this machine's"))
            .because(&format!("{site} clock_timestamp() against here"), &format_args!("{skew:+.1} s"), at)
            .next("chronyc tracking, on both machines");
        vec![finding]
    }
}
