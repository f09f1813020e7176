//! The slots keep what standbys and subscribers still need.

use crate::plan::{Bytes, Now, Plan, RuleId};
use crate::readiness::{About, Facts, Finding, Gap, Row, Rule, Verdict};
use crate::systems::postgres::options::Mode;
use crate::systems::postgres::signals::SLOTS;

use super::view::{Role, Server, servers};

const ID: RuleId = RuleId::new("postgres.slots");
/// Two segments of the default size: at the next checkpoint it may be gone.
const LITTLE: Bytes = Bytes(32 << 20);

/// One finding per slot of the primary. A lost slot reads NULL everywhere, and its standby still answers; an inactive one
/// that is `reserved` already means a dead standby (trap 3's other half); a slot that was never used reads NULL too, and
/// keeps nothing. A logical slot stays behind in a failover before version 17, and after it unless it was synced.
pub struct Slots;

impl Rule for Slots {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        servers(plan, Mode::Replicating)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(primary) = Server::writer(facts, about, now) else { return Vec::new() };
        let Some((rows, at)) = primary.rows(&SLOTS) else { return Vec::new() };
        let judged = rows.iter().map(|row| {
            judge(primary, row, at).unwrap_or_else(|gap| Some(primary.senseless(ID, "pg_replication_slots", &gap, at)))
        });
        judged.flatten().collect()
    }
}

fn judge(primary: Server<'_>, row: &Row, at: Now) -> Result<Option<Finding>, Gap> {
    let Some(name) = row.text("slot_name")? else { return Ok(None) };
    let logical = row.text("slot_type")?.is_some_and(|t| t.as_str() == "logical");
    let active = row.bool("active")?;
    let temporary = row.bool("temporary")?.unwrap_or(false);
    let status = row.text("wal_status")?;
    let status = status.as_ref().map(crate::plan::SafeText::as_str);
    let retained = row.bytes("retained")?;
    let safe = row.bytes("safe_wal_size")?;
    let invalid = row.text("invalidation_reason")?;
    let unused = status.is_none() && row.lsn("restart_lsn")?.is_none();
    let site = primary.site;
    let make = |verdict, code, sentence: &str| {
        let mut f = primary.finding(ID, verdict, code, sentence);
        f.subject = primary.part(&format!("slot {name}"));
        f.because(&format!("{site} pg_replication_slots.wal_status"), &status.unwrap_or("NULL"), at)
    };
    let lost = status == Some("lost") || invalid.is_some();
    if lost && logical {
        let why = format!("the logical slot {name} is lost: its subscriber must be set up again");
        return Ok(Some(
            make(Verdict::Degraded, "logical-slot-lost", &why).next("drop it, and set the subscriber up again"),
        ));
    }
    if lost {
        let streams = |s: Server<'_>| matches!(s.receiver(), Some((Ok(Some(_)), _)));
        let elsewhere = primary.others().any(|o| o.role() == Role::Standby)
            && primary.others().filter(|o| o.role() == Role::Standby).all(|o| streams(o) && !uses(o, name.as_str()));
        let verdict = if elsewhere { Verdict::Degraded } else { Verdict::NotReady };
        let why = format!("the slot {name} is lost: the log that its standby needs was removed");
        let next = format!("rebuild the standby with pg_basebackup -R, then SELECT pg_drop_replication_slot('{name}')");
        return Ok(Some(make(verdict, "slot-lost", &why).next(&next)));
    }
    if logical {
        return survives(primary, row, name.as_str(), make);
    }
    if unused || temporary {
        return Ok(None);
    }
    let shown = |f: Finding| match retained {
        Some(kept) => f.because(&format!("{site} log kept for it"), &kept, at),
        None => f,
    };
    if status == Some("unreserved") {
        let why = format!("the slot {name} is about to be lost at the next checkpoint");
        let next = "raise max_slot_wal_keep_size now: ALTER SYSTEM SET max_slot_wal_keep_size; SELECT pg_reload_conf()";
        return Ok(Some(shown(make(Verdict::Degraded, "slot-unreserved", &why)).next(next)));
    }
    if let Some(left) = safe
        && (left < LITTLE || (active == Some(false) && retained.is_some_and(|r| left < r)))
    {
        let why = format!("the slot {name} is near its limit");
        return Ok(Some(
            shown(make(Verdict::Degraded, "slot-near-limit", &why))
                .because(&format!("{site} pg_replication_slots.safe_wal_size"), &left, at)
                .next("let its standby catch up, or raise max_slot_wal_keep_size"),
        ));
    }
    match active {
        Some(true) => Ok(None),
        Some(false) => {
            let why = format!("nobody uses the slot {name}, and the primary keeps log for it");
            let next =
                format!("start its standby; if there is none any more: SELECT pg_drop_replication_slot('{name}')");
            Ok(Some(shown(make(Verdict::Degraded, "slot-inactive", &why)).following().next(&next)))
        }
        None => Err(Gap::new(crate::readiness::Reason::Malformed, "active is NULL")),
    }
}

/// Whether this standby streams by this slot.
fn uses(standby: Server<'_>, slot: &str) -> bool {
    let Some((Ok(Some(row)), _)) = standby.receiver() else { return false };
    matches!(row.text("slot_name"), Ok(Some(name)) if name.as_str() == slot)
}

/// Whether a logical slot is there after a promotion.
fn survives(
    primary: Server<'_>,
    row: &Row,
    name: &str,
    make: impl Fn(Verdict, &'static str, &str) -> Finding,
) -> Result<Option<Finding>, Gap> {
    if row.bool("temporary")?.unwrap_or(false) {
        return Ok(None);
    }
    let loses = format!("the logical slot {name}: its subscriber stops");
    if row.bool("failover")? != Some(true) {
        let why = format!("the logical slot {name} does not survive a failover");
        return Ok(Some(make(Verdict::Ready, "logical-slot-stays", &why).losing(&loses)));
    }
    let mut synced = true;
    for standby in primary.others().filter(|o| o.role() == Role::Standby) {
        let Some((rows, _)) = standby.rows(&SLOTS) else { continue };
        let mut here = false;
        for other in rows {
            here |= other.text("slot_name")?.is_some_and(|n| n.as_str() == name)
                && other.bool("synced")? == Some(true)
                && other.bool("temporary")? == Some(false)
                && other.text("invalidation_reason")?.is_none();
        }
        synced &= here;
    }
    if synced {
        return Ok(None);
    }
    let why = format!("the logical slot {name} is meant to survive a failover, and is not synced on the standby");
    let next = "set sync_replication_slots = on and hot_standby_feedback = on on the standby, and a dbname in primary_conninfo";
    Ok(Some(make(Verdict::Degraded, "slot-not-synced", &why).losing(&loses).next(next)))
}
