//! The standby could be promoted now.

use crate::plan::{Now, Plan, RuleId};
use crate::readiness::signals::{RECEIVED, SYSTEM_ID};
use crate::readiness::{About, Facts, Finding, Proof, Rule, Verdict};
use crate::systems::postgres::options::Mode;
use crate::systems::postgres::signals::{ACCEPTS, MAY_PROMOTE};

use super::view::{Server, servers};

const ID: RuleId = RuleId::new("postgres.promotable");

/// Proves with the standby's own words alone that it answers, is in recovery, knows its cluster, and says what it holds.
/// What blocks a promotion, other rules say. Avoids trap 7 (the call's own answer proves nothing) and trap 13 (the position
/// is the greater of received and replayed). Whether the role that *looks* may promote is evidence only: another acts.
pub struct Promotable;

impl Rule for Promotable {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        servers(plan, Mode::Replicating)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        Server::standby(facts, about, now).and_then(judge).into_iter().collect()
    }
}

fn judge(standby: Server<'_>) -> Option<Finding> {
    let (received, at) = standby.lsn(&RECEIVED)?;
    let (system, then) = standby.text(&SYSTEM_ID)?;
    // A frozen postmaster answers on the connection that is kept, and to nobody else.
    let (true, _) = standby.bool(&ACCEPTS)? else { return None };
    let site = standby.site;
    let finding = standby
        .finding(ID, Verdict::Ready, "promotable", &format!("{site} is a standby that answers and can be promoted"))
        .proving(Proof::Promotable)
        .because(&format!("{site} holds the log up to"), &received, at)
        .because(&format!("{site} system identifier"), &system, then);
    Some(match standby.bool(&MAY_PROMOTE) {
        Some((may, at)) => finding.because(
            &format!("{site} the role that looks may call pg_promote"),
            &if may { "yes" } else { "no" },
            at,
        ),
        None => finding,
    })
}
