//! The standby's settings allow it to replay.

use crate::plan::{Now, Plan, RuleId};
use crate::readiness::{About, Facts, Finding, Rule, Verdict};
use crate::systems::postgres::options::Mode;
use crate::systems::postgres::signals::SETTINGS;

use super::view::{Server, servers};

const ID: RuleId = RuleId::new("postgres.parity");

/// The settings of which a standby needs at least what its primary has (PostgreSQL, "Hot Standby: Administrator's
/// Overview").
const FIVE: [&str; 5] = [
    "max_connections",
    "max_worker_processes",
    "max_wal_senders",
    "max_prepared_transactions",
    "max_locks_per_transaction",
];

/// Where the primary's are higher, replay pauses while the primary still says `streaming` (trap 3), and after a restart
/// the standby does not start.
pub struct Parity;

impl Rule for Parity {
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
    let primary = standby.primary()?;
    let (_, at) = standby.rows(&SETTINGS)?;
    let (_, then) = primary.rows(&SETTINGS)?;
    let site = standby.site;
    let mut low = Vec::new();
    for name in FIVE {
        let (Some((mine, _)), Some((theirs, _))) = (standby.number(name), primary.number(name)) else {
            let why = format!("{site}: {name} could not be compared with the primary's");
            return Some(
                standby
                    .finding(ID, Verdict::Unknown, "parity-unread", &why)
                    .because(&format!("{site} and {} pg_settings", primary.site), &"no whole number", at)
                    .next("check what answers there: a pooler or a proxy may change answers"),
            );
        };
        if mine < theirs {
            low.push((name, mine, theirs));
        }
    }
    if low.is_empty() {
        let why = format!("{site} has at least the primary's limits");
        let ready = standby.finding(ID, Verdict::Ready, "parity", &why);
        return Some(ready.because(
            "five settings, standby and primary",
            &"compared",
            if at.boot < then.boot { at } else { then },
        ));
    }
    let names: Vec<&str> = low.iter().map(|(n, ..)| *n).collect();
    let sets: Vec<String> = low.iter().map(|(n, _, v)| format!("ALTER SYSTEM SET {n} = {v}")).collect();
    let why = format!(
        "{site} has less than the primary of: {}; replay pauses, and it will not start again",
        names.join(", ")
    );
    let mut finding = standby.finding(ID, Verdict::NotReady, "parity", &why).next(&format!(
        "on {}: {}; then restart it",
        standby.server(),
        sets.join("; ")
    ));
    for (name, mine, theirs) in low {
        finding = finding.because(&format!("{name}: {site}, primary"), &format_args!("{mine}, {theirs}"), at);
    }
    Some(finding)
}
