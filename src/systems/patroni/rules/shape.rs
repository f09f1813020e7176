//! Every reading is of the type that its signal has: the other rules may then pass over what does not concern them.

use crate::plan::{Now, Plan, RuleId, SignalId};
use crate::readiness::signals::{FLUSHED, INSTANCE, LAST_COMMIT, RECEIVED, REPLAYED, SYSTEM_ID, TIMELINE, WRITABLE};
use crate::readiness::{About, Facts, Finding, Gap, Reason, Rule, Value};
use crate::systems::patroni::parse::{Listed, Node, Overview, Settings, Switch};
use crate::systems::patroni::signals::{CLUSTER, HISTORY, LEADER, NODES, OVERVIEW, SETTINGS, SIGNALS, STREAM};

use super::view::{Site, sites};

const ID: RuleId = RuleId::new("patroni.shape");

/// Law 1 for what is there and makes no sense: a reading of another type, a table without its columns, a position that the
/// role must have and that is said not to apply.
pub struct Shape;

impl Rule for Shape {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        sites(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(site) = Site::of(facts, about, now) else { return Vec::new() };
        SIGNALS.iter().find_map(|s| wrong(site, &s.id)).into_iter().collect()
    }
}

fn wrong(site: Site<'_>, signal: &SignalId) -> Option<Finding> {
    // Only what one look brought fits together: between two of them a member may have been promoted or demoted.
    let value = site.newest(signal)?;
    // What a site that takes writes has, and what one has that does not.
    let writes = match site.newest(&WRITABLE) {
        Some(Value::Bool(writes)) => Some(*writes),
        Some(_) | None => None,
    };
    let (of_writer, of_standby) = (writes != Some(false), writes != Some(true));
    let fits = match value {
        Value::Bool(_) => *signal == WRITABLE,
        Value::Lsn(_) if *signal == FLUSHED => of_writer,
        Value::Lsn(_) => of_standby && [RECEIVED, REPLAYED].contains(signal),
        Value::Text(_) if *signal == STREAM => of_standby,
        Value::Text(_) => [SYSTEM_ID, INSTANCE, LEADER].contains(signal),
        Value::Int(_) => *signal == TIMELINE,
        Value::Time(_) => of_standby && *signal == LAST_COMMIT,
        Value::Null => *signal == LEADER || of_standby && *signal == LAST_COMMIT,
        Value::NotApplicable if *signal == FLUSHED => of_standby,
        Value::NotApplicable => of_writer && [RECEIVED, REPLAYED, STREAM, LAST_COMMIT].contains(signal),
        Value::Rows(rows) => return table(signal, rows).err().map(|gap| site.senseless(ID, signal.as_str(), &gap)),
        Value::Number(_) | Value::Bytes(_) | Value::Span(_) => false,
    };
    let gap = || Gap::new(Reason::Malformed, &format!("{value} is no value of {signal}"));
    (!fits).then(|| site.senseless(ID, signal.as_str(), &gap()))
}

/// Whether a table has its columns, and a row where there is always one.
fn table(signal: &SignalId, rows: &[crate::readiness::Row]) -> Result<(), Gap> {
    let all = |read: fn(&crate::readiness::Row) -> Result<(), Gap>| rows.iter().try_for_each(read);
    match signal {
        s if *s == HISTORY => return all(|r| Switch::read(r).map(drop)),
        s if *s == CLUSTER => all(|r| Listed::read(r).map(drop))?,
        s if *s == NODES => all(|r| Node::read(r).map(drop))?,
        s if *s == OVERVIEW => all(|r| Overview::read(r).map(drop))?,
        s if *s == SETTINGS => all(|r| Settings::read(r).map(drop))?,
        _ => return Err(Gap::new(Reason::Malformed, "a table")),
    }
    if rows.is_empty() { Err(Gap::new(Reason::Malformed, "no row")) } else { Ok(()) }
}
