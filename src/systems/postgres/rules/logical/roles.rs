//! One site publishes and the other subscribes.

use crate::plan::{Now, Plan, RuleId, SignalId};
use crate::readiness::signals::{APPLIED, INSTANCE, SYSTEM_ID, TIMELINE, WRITABLE};
use crate::readiness::{About, Bearing, Facts, Finding, Reason, Rule, Seen, Value, Verdict};
use crate::systems::postgres::rules::view::Server;
use crate::systems::postgres::signals::logical::{
    COLUMNS, LAG, LEFTOVERS, PUBLICATIONS, PUBLISHED, SEQUENCES, SLOTS, SUBSCRIBED, SUBSCRIPTIONS, TABLES, TAKEN,
};

use super::{about, is_publisher, subscriptions};

const ID: RuleId = RuleId::new("postgres.logical-roles");

/// Neither site says of itself what it is: a subscriber takes writes like any other server. A server without a wanted
/// subscription is taken for the publisher; so a subscription that was dropped shows as two publishers and not as all well.
pub struct Roles;

impl Rule for Roles {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        about(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        Server::of(facts, about, now).and_then(judge).into_iter().collect()
    }
}

const TABLES_OF_ROWS: [&SignalId; 10] =
    [&SUBSCRIPTIONS, &TAKEN, &SUBSCRIBED, &PUBLICATIONS, &PUBLISHED, &TABLES, &COLUMNS, &SEQUENCES, &SLOTS, &LEFTOVERS];

/// A reading of another kind than its signal's. Other rules stay silent about it.
fn odd(server: Server<'_>) -> Option<(&'static str, &Value, Now)> {
    let seen = |signal: &SignalId| match server.seen(signal) {
        Seen::Value { value, reading, .. } => Some((value, reading.asked)),
        Seen::Gap { .. } | Seen::Stale { .. } | Seen::Never => None,
    };
    for signal in TABLES_OF_ROWS {
        if let Some((value, at)) = seen(signal)
            && !matches!(value, Value::Rows(_))
        {
            return Some(("a table", value, at));
        }
    }
    let one = |signal: &SignalId, what, fits: fn(&Value) -> bool| {
        seen(signal).filter(|(value, _)| !fits(value)).map(|(value, at)| (what, value, at))
    };
    one(&WRITABLE, "its role", |v| matches!(v, Value::Bool(_)))
        .or_else(|| one(&SYSTEM_ID, "its system identifier", |v| matches!(v, Value::Text(_))))
        .or_else(|| one(&INSTANCE, "its address", |v| matches!(v, Value::Text(_))))
        .or_else(|| one(&TIMELINE, "its timeline", |v| matches!(v, Value::Int(_))))
        .or_else(|| one(&LAG, "its lag", |v| matches!(v, Value::Bytes(_) | Value::NotApplicable)))
        .or_else(|| one(&APPLIED, "its position", |v| matches!(v, Value::Lsn(_) | Value::Null | Value::NotApplicable)))
}

fn judge(server: Server<'_>) -> Option<Finding> {
    let site = server.site;
    if let Some((what, shown, at)) = odd(server) {
        let why = format!("{}: {what} makes no sense: {shown}", server.server());
        return Some(
            server
                .finding(ID, Verdict::Unknown, Reason::Malformed.code(), &why)
                .because(&format!("{site}: {what}"), shown, at)
                .next("check what answers there: a pooler, a proxy or a managed service may answer otherwise"),
        );
    }
    let (writable, at) = server.bool(&WRITABLE)?;
    let subscribes = subscriptions(server).is_some();
    for other in server.others() {
        for (signal, what, next) in [
            (&INSTANCE, "lead to one and the same server", "give each site the address of its own server"),
            (
                &SYSTEM_ID,
                "are one and the same cluster",
                "a copy of the data directory is no subscriber: see mode = \"replicating\"",
            ),
        ] {
            if let (Some((mine, at)), Some((theirs, then))) = (server.text(signal), other.text(signal))
                && mine == theirs
            {
                let (a, b) = if site < other.site { (site, other.site) } else { (other.site, site) };
                let why = format!("the addresses of {a} and {b} {what}");
                return Some(
                    server
                        .finding(ID, Verdict::NotReady, "same-server", &why)
                        .because(&format!("{site} {signal}"), &mine, at)
                        .because(&format!("{} {signal}", other.site), &theirs, then)
                        .next(next)
                        .bearing(Bearing::Blocks(why.as_str().into())),
                );
            }
        }
    }
    if !writable && !subscribes {
        let why = format!("{site} is in recovery: a physical standby neither publishes nor subscribes here");
        return Some(
            server
                .finding(ID, Verdict::Unknown, "in-recovery", &why)
                .because(&format!("{site} pg_is_in_recovery()"), &"yes", at)
                .next("give the address of the primary of that site, or look at this one with mode = \"replicating\""),
        );
    }
    let other = |wanted: fn(Server<'_>) -> bool| server.others().find(|o| wanted(*o));
    if subscribes && let Some(other) = other(|o| subscriptions(o).is_some()) {
        let why = format!("{site} and {} subscribe both: where the service writes cannot be told", other.site);
        return Some(
            server
                .finding(ID, Verdict::Unknown, "both-subscribe", &why)
                .because(&format!("{site} pg_subscription"), &"has rows", at)
                .next("name the one that counts: subscriptions = [\"name\"]; two-way replication is not judged"),
        );
    }
    if is_publisher(server)
        && let Some(other) = other(is_publisher)
    {
        let named = &server.options.subscriptions;
        let what = if named.is_empty() {
            "a subscription".to_owned()
        } else {
            format!("the subscription {}", named.join(", "))
        };
        let why = format!("neither {site} nor {} has {what}: nothing is replicated", other.site);
        return Some(
            server
                .finding(ID, Verdict::NotReady, "no-subscription", &why)
                .because(&format!("{site} pg_subscription"), &"no row", at)
                .next("CREATE SUBSCRIPTION in the database of the site that shall take over; after a failover: in the other one")
                .bearing(Bearing::Blocks(why.as_str().into())),
        );
    }
    None
}
