//! The way back: could the old primary be rewound?

use crate::plan::{Now, Plan, RuleId};
use crate::readiness::{About, Facts, Finding, Rule, Verdict};
use crate::systems::postgres::options::Mode;

use super::view::{Server, servers};

const ID: RuleId = RuleId::new("postgres.rewind");

/// `pg_rewind` needs data checksums or `wal_log_hints`, both off by default: without, the old primary is rebuilt. That is
/// worth knowing and no reason to wake anybody, so it is always `Ready`.
pub struct Rewind;

impl Rule for Rewind {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        servers(plan, Mode::Replicating)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(primary) = Server::writer(facts, about, now) else { return Vec::new() };
        let (Some((hints, at)), Some((sums, _))) =
            (primary.setting("wal_log_hints"), primary.setting("data_checksums"))
        else {
            return Vec::new();
        };
        let site = primary.site;
        let (code, why) = if hints == "on" || sums == "on" {
            ("rewindable", format!("after a failover, {site} can be rewound"))
        } else {
            (
                "not-rewindable",
                format!("after a failover, {site} must be rebuilt: wal_log_hints and data_checksums are off"),
            )
        };
        let finding = primary.finding(ID, Verdict::Ready, code, &why).because(
            &format!("{site} wal_log_hints, data_checksums"),
            &format_args!("{hints}, {sums}"),
            at,
        );
        vec![finding]
    }
}
