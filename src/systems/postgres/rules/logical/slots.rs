//! The publisher keeps the log that each subscription still needs.

use crate::plan::{Bytes, Now, Plan, RuleId, SafeText};
use crate::readiness::{About, Bearing, Facts, Finding, Gap, Row, Rule, Verdict};
use crate::systems::postgres::rules::view::{APART, Server};
use crate::systems::postgres::signals::logical::{LAG, SLOTS};

use super::{about, flag_in, name_in, pair, slot, subscriptions};

const ID: RuleId = RuleId::new("postgres.logical-slots");
/// Two segments of the default size: at the next checkpoint it may be gone.
const LITTLE: Bytes = Bytes(32 << 20);

/// The slot is the publisher's side of a subscription. A lost one never comes back: the subscriber must be filled anew, while
/// it still answers and its worker tries for ever.
pub struct Slots;

impl Rule for Slots {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        about(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some((subscriber, publisher)) = Server::of(facts, about, now).and_then(pair) else { return Vec::new() };
        let Some((rows, _)) = subscriptions(subscriber) else { return Vec::new() };
        let mut found = Vec::new();
        for row in rows {
            // What has no slot, or another publisher's, the rule `postgres.subscription` says.
            let Ok(Some(name)) = row.text("slot") else { continue };
            let Some((Ok(Some(row)), at)) = slot(publisher, name.as_str()) else { continue };
            let judged = judge(subscriber, publisher, name.as_str(), row, at);
            found.extend(judged.unwrap_or_else(|gap| Some(publisher.senseless(ID, "pg_replication_slots", &gap, at))));
        }
        found
    }
}

fn judge(
    subscriber: Server<'_>,
    publisher: Server<'_>,
    name: &str,
    row: &Row,
    at: Now,
) -> Result<Option<Finding>, Gap> {
    let (site, to) = (publisher.site, subscriber.site);
    let status = row.text("wal_status")?;
    let status = status.as_ref().map_or("NULL", SafeText::as_str);
    let retained = row.bytes("retained")?;
    let make = |verdict, code, sentence: &str| {
        let mut f = publisher.finding(ID, verdict, code, sentence);
        f.subject = publisher.part(&format!("slot {name}"));
        let f = f.because(&format!("{site} pg_replication_slots.wal_status"), &status, at);
        match retained {
            Some(kept) => f.because(&format!("{site} log kept for it"), &kept, at),
            None => f,
        }
    };
    if status == "lost" || flag_in(row, "invalid")? {
        let why = format!("the slot {name} is lost: {to} can never catch up and must be filled anew");
        return Ok(Some(
            make(Verdict::NotReady, "slot-lost", &why)
                .next(&format!(
                    "on {}: drop the subscription, TRUNCATE its tables, create it again",
                    subscriber.server()
                ))
                .bearing(Bearing::Consent(SafeText::new(&why))),
        ));
    }
    if status == "unreserved" {
        let why = format!("the slot {name} is about to be lost at the next checkpoint");
        return Ok(Some(make(Verdict::Degraded, "slot-unreserved", &why).next(
            "raise max_slot_wal_keep_size now: ALTER SYSTEM SET max_slot_wal_keep_size; SELECT pg_reload_conf()",
        )));
    }
    if let Some(left) = row.bytes("safe_wal_size")?
        && left < LITTLE
    {
        let why = format!("the slot {name} is near its limit");
        return Ok(Some(
            make(Verdict::Degraded, "slot-near-limit", &why)
                .because(&format!("{site} pg_replication_slots.safe_wal_size"), &left, at)
                .next("let the subscriber catch up, or raise max_slot_wal_keep_size"),
        ));
    }
    if !flag_in(row, "active")? {
        let before = publisher.rows_before(&SLOTS).is_some_and(|(rows, then)| {
            let unused =
                |r: &Row| name_in(r, "slot").is_ok_and(|n| n.as_str() == name) && flag_in(r, "active") == Ok(false);
            at.since(then) >= APART && rows.iter().any(unused)
        });
        let next = format!(
            "see the log of {}: can it reach the publisher? the log kept for it fills the disk",
            subscriber.server()
        );
        return Ok(Some(
            match before {
                true => make(
                    Verdict::NotReady,
                    "slot-inactive",
                    &format!("nobody reads the slot {name}: {to} gets nothing"),
                ),
                false => make(
                    Verdict::Unknown,
                    "slot-away",
                    &format!("nobody reads the slot {name} at this look; asking again"),
                ),
            }
            .next(&next),
        ));
    }
    let key = publisher.key(&LAG);
    Ok(Some(make(Verdict::Ready, "slot-read", &format!("{to} reads the slot {name}")).charted(key, None)))
}
