//! Each subscription follows the publisher, and applies what it gets.

use std::time::Duration;

use crate::plan::{Now, Plan, RuleId, SafeText};
use crate::readiness::{About, Bearing, Facts, Finding, Gap, Row, Rule, Verdict};
use crate::systems::postgres::rules::view::{APART, Server};
use crate::systems::postgres::signals::logical::SUBSCRIPTIONS;

use super::{about, flag_in, name_in, slot, subscriptions};

const ID: RuleId = RuleId::new("postgres.subscription");
/// An apply worker that fails is begun anew every 5 s (`wal_retrieve_retry_interval`): one that is younger proves nothing.
const YOUNG: Duration = Duration::from_secs(10);

/// One finding per subscription. An apply worker that meets a conflict dies and is begun anew, again and again, and only a
/// count of errors says so: `enabled` stays true, and the slot is active for moments. The count keeps old errors for ever, so
/// what rises is judged and not what is there. `latest_end_time` ages while nothing is written, and is not read.
pub struct Subscription;

impl Rule for Subscription {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        about(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(subscriber) = Server::of(facts, about, now) else { return Vec::new() };
        let Some((rows, at)) = subscriptions(subscriber) else { return Vec::new() };
        let mut found = missing(subscriber, rows, at);
        found.extend(rows.iter().filter_map(|row| {
            judge(subscriber, row, at)
                .unwrap_or_else(|gap| Some(subscriber.senseless(ID, "pg_stat_subscription", &gap, at)))
        }));
        found
    }
}

/// Subscriptions that the configuration names and that are not there.
fn missing(subscriber: Server<'_>, rows: &[Row], at: Now) -> Vec<Finding> {
    let is = |row: &Row, name: &str| name_in(row, "name").is_ok_and(|n| n.as_str() == name);
    let site = subscriber.site;
    let gone = subscriber.options.subscriptions.iter().filter(|name| !rows.iter().any(|r| is(r, name)));
    gone.map(|name| {
        let why = format!("{site} has no subscription {name}");
        let mut finding = subscriber
            .finding(ID, Verdict::NotReady, "subscription-missing", &why)
            .because(&format!("{site} pg_subscription"), &"no row of that name", at)
            .next("CREATE SUBSCRIPTION it, or take its name out of `subscriptions`")
            .bearing(Bearing::Blocks(SafeText::new(&why)));
        finding.subject = subscriber.part(&format!("subscription {name}"));
        finding
    })
    .collect()
}

fn judge(subscriber: Server<'_>, row: &Row, at: Now) -> Result<Option<Finding>, Gap> {
    let name = name_in(row, "name")?;
    let site = subscriber.site;
    let make = |verdict, code, sentence: &str| {
        let mut f = subscriber.finding(ID, verdict, code, sentence);
        f.subject = subscriber.part(&format!("subscription {name}"));
        f
    };
    let consent = |what: &str| Bearing::Consent(SafeText::new(what));
    if !flag_in(row, "enabled")? {
        let by_itself = row.bool("disable_on_error")? == Some(true) && row.int("errors")?.is_some_and(|n| n > 0);
        let why = match by_itself {
            true => format!("the subscription {name} disabled itself after an error: {site} gets nothing"),
            false => format!("the subscription {name} is disabled: {site} gets nothing"),
        };
        return Ok(Some(
            make(Verdict::NotReady, "subscription-disabled", &why)
                .because(&format!("{site} pg_subscription.subenabled"), &"no", at)
                .next(&format!("see the log of {}, then ALTER SUBSCRIPTION {name} ENABLE", subscriber.server()))
                .bearing(consent(&why)),
        ));
    }
    let Some(slot_name) = row.text("slot")? else {
        let why = format!("the subscription {name} has no slot: {site} gets nothing");
        return Ok(Some(
            make(Verdict::NotReady, "no-slot", &why)
                .because(&format!("{site} pg_subscription.subslotname"), &"NULL", at)
                .next(&format!("ALTER SUBSCRIPTION {name} SET (slot_name = '...'), or set it up again"))
                .bearing(consent(&why)),
        ));
    };
    let publisher = subscriber.primary();
    match publisher.and_then(|p| Some((p, slot(p, slot_name.as_str())?))) {
        Some((_, (Err(gap), _))) => return Err(gap),
        Some((publisher, (Ok(None), then))) => {
            let why = format!("{} has no slot {slot_name}: the subscription {name} does not follow it", publisher.site);
            return Ok(Some(
                make(Verdict::NotReady, "slot-missing", &why)
                    .because(&format!("{} pg_replication_slots", publisher.site), &"no row of that name", then)
                    .next(
                        "see which publisher the subscription names; if it is this one, set the subscription up again",
                    )
                    .bearing(Bearing::Blocks(SafeText::new(&why))),
            ));
        }
        Some((_, (Ok(Some(_)), _))) | None => {}
    }
    let running = flag_in(row, "running")?;
    let rises = row.int("rises")?.unwrap_or(0);
    let errors = row.int("errors")?;
    let counted = |f: Finding| match errors {
        Some(n) => f.because(&format!("{site} pg_stat_subscription_stats, errors"), &n, at),
        None => f,
    };
    let log = format!(
        "see the log of {}: it names the row; then repair the row, or ALTER SUBSCRIPTION {name} SKIP",
        subscriber.server()
    );
    let up_for = row.span("up_for")?;
    let young = up_for.is_none_or(|up| up.0 < YOUNG);
    if rises >= 2 && (young || !running) {
        let why = format!("the subscription {name} fails again and again: {site} falls behind");
        return Ok(Some(counted(make(Verdict::NotReady, "apply-fails", &why)).next(&log).bearing(consent(&why))));
    }
    if !running {
        // Without its publisher no worker runs, and the situation leads.
        if publisher.is_none() {
            return Ok(None);
        }
        let before = subscriber.rows_before(&SUBSCRIPTIONS).is_some_and(|(rows, then)| {
            let stopped = |r: &Row| flag_in(r, "running") == Ok(false) && name_in(r, "name").is_ok_and(|n| n == name);
            at.since(then) >= APART && rows.iter().any(stopped)
        });
        let of = |verdict, code, why: &str| {
            counted(make(verdict, code, why))
                .because(&format!("{site} pg_stat_subscription.pid"), &"NULL", at)
                .next(&log)
                .bearing(consent(why))
        };
        return Ok(Some(match before {
            true => of(
                Verdict::NotReady,
                "worker-not-running",
                &format!("the worker of the subscription {name} does not run: {site} gets nothing"),
            ),
            // It is begun anew after every lost connection.
            false => of(
                Verdict::Unknown,
                "worker-away",
                &format!("the worker of the subscription {name} does not run at this look; asking again"),
            ),
        }));
    }
    // One lost connection counts as an error too; a worker that has run for a while since is over it.
    let restarted = up_for.is_some() && young && errors.is_some_and(|n| n > 0);
    if rises >= 2 || (rises == 1 && young) || restarted {
        let why = format!("the subscription {name} failed lately and began anew");
        return Ok(Some(counted(make(Verdict::Degraded, "apply-failed", &why)).next(&log)));
    }
    Ok(Some(make(Verdict::Ready, "applying", &format!("the subscription {name} runs in {site}")).because(
        &format!("{site} pg_stat_subscription.pid"),
        &"runs",
        at,
    )))
}
