//! The standby receives the primary's log.

use std::time::Duration;

use crate::plan::{Now, Plan, RuleId, Span};
use crate::readiness::{About, Facts, Finding, Gap, Proof, Rule, Verdict};
use crate::systems::postgres::options::Mode;
use crate::systems::postgres::signals::RECEIVER;

use super::view::{APART, Matched, Role, Server, just_started, reconnecting, sender_of, servers};

const ID: RuleId = RuleId::new("postgres.receiver");
const NOT_STREAMING: &str = "not-streaming";
/// PostgreSQL's default `wal_receiver_timeout`.
const TIMEOUT: Duration = Duration::from_secs(60);
/// A receiver that hears nothing asks for a sign of life at half its timeout; this long the answer may take.
const SLACK: Duration = Duration::from_secs(10);

/// Avoids trap 2 (equal positions of a standby that is cut off), trap 5 (a cascade: its upstream is named, and what could
/// be lost is measured against the real primary elsewhere), trap 10 (in recovery, but following nobody) and trap 11 (an
/// alias in `primary_conninfo`: the sender is compared with the primary, and what cannot be matched is said).
pub struct Receiver;

impl Rule for Receiver {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        servers(plan, Mode::Replicating)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(standby) = Server::standby(facts, about, now) else { return Vec::new() };
        let Some((row, at)) = standby.receiver() else { return Vec::new() };
        let finding = match row {
            Ok(None) => without(standby, at),
            Ok(Some(row)) => judge(standby, row, at),
            Err(gap) => Err(gap),
        };
        vec![finding.unwrap_or_else(|gap| standby.senseless(ID, "pg_stat_wal_receiver", &gap, at))]
    }
}

/// No row: nothing is streamed.
fn without(standby: Server<'_>, at: Now) -> Result<Finding, Gap> {
    let site = standby.site;
    if standby.by_archive() {
        let why = format!("{site} follows by the archive alone; its positions say how far");
        let found = standby.finding(ID, Verdict::Ready, "by-archive", &why).proving(Proof::Fetches);
        return Ok(found.because(
            &format!("{site} pg_stat_wal_receiver"),
            &"no row; restore_command is set, primary_conninfo is not",
            at,
        ));
    }
    if let Some(started) = standby.primary().and_then(|primary| just_started(primary, standby, at)) {
        return Ok(reconnecting(ID, standby, standby, started, at).because(
            &format!("{site} pg_stat_wal_receiver"),
            &"no row",
            at,
        ));
    }
    // A standby or a primary that restarts leaves a moment without: one look proves nothing.
    let twice = standby.rows_before(&RECEIVER).is_some_and(|(r, then)| r.is_empty() && at.since(then) >= APART);
    let (verdict, why) = if twice {
        (Verdict::NotReady, format!("{site} receives no log: nothing is streamed to it"))
    } else {
        (Verdict::Unknown, format!("{site} receives no log at this look; asking again"))
    };
    Ok(standby
        .finding(ID, verdict, NOT_STREAMING, &why)
        .following()
        .because(&format!("{site} pg_stat_wal_receiver"), &"no row", at)
        .next(&format!(
            "see the log of {}, and primary_conninfo there; is the primary reachable from it?",
            standby.server()
        )))
}

fn judge(standby: Server<'_>, row: &crate::readiness::Row, at: Now) -> Result<Finding, Gap> {
    let site = standby.site;
    let what = |column: &str| format!("{site} pg_stat_wal_receiver.{column}");
    let Some(status) = row.text("status")? else {
        return Ok(standby
            .finding(
                ID,
                Verdict::Unknown,
                "no-privilege",
                &format!("{site}: the state of its receiver may not be read"),
            )
            .because(&what("status"), &"NULL", at)
            .next("GRANT pg_monitor TO the role that looks"));
    };
    let make = |verdict, code, sentence: &str| {
        standby.finding(ID, verdict, code, sentence).because(&what("status"), &status, at)
    };
    match status.as_str() {
        "streaming" => {}
        "starting" | "restarting" | "waiting" => {
            return Ok(make(Verdict::Degraded, "receiver-starting", &format!("{site}: the receiver is {status}"))
                .next("wait; if it stays, see the standby's log"));
        }
        _ => {
            return Ok(make(Verdict::NotReady, NOT_STREAMING, &format!("{site}: the receiver is {status}"))
                .next(&format!("see the log of {}", standby.server())));
        }
    }
    if let Some(age) = row.span("message_age")? {
        let timeout = match standby.number("wal_receiver_timeout") {
            Some((ms, _)) if ms > 0 => Duration::from_millis(u64::try_from(ms).unwrap_or(0)),
            Some(_) | None => TIMEOUT,
        };
        let quiet = |verdict, code, sentence: &str| {
            make(verdict, code, sentence)
                .because(&what("last_msg_receipt_time, age"), &age.coarse(), at)
                .next("look at the network between the sites: packets are lost, or the receiver hangs")
        };
        if age.0 > timeout.saturating_add(SLACK) {
            let why = format!("{site}: the receiver has heard nothing for longer than {}", Span(timeout));
            return Ok(quiet(Verdict::NotReady, "receiver-silent", &why));
        }
        if age.0 > (timeout / 2).saturating_add(SLACK) {
            let why = format!("{site}: the receiver asked for a sign of life and got none");
            return Ok(quiet(Verdict::Degraded, "receiver-quiet", &why));
        }
    }
    from(standby, row, at, make)
}

/// Streaming; from whom?
fn from(
    standby: Server<'_>,
    row: &crate::readiness::Row,
    at: Now,
    make: impl Fn(Verdict, &'static str, &str) -> Finding,
) -> Result<Finding, Gap> {
    let site = standby.site;
    let what = format!("{site} pg_stat_wal_receiver.sender_host");
    let Some(host) = row.text("sender_host")? else {
        return Ok(make(Verdict::Ready, "streaming", &format!("{site} streams")));
    };
    let port = row.int("sender_port")?;
    let sender = port.map_or_else(|| host.to_string(), |p| format!("{host}:{p}"));
    let Some(primary) = standby.primary() else {
        return Ok(
            make(Verdict::Ready, "streaming", &format!("{site} streams from {sender}")).because(&what, &sender, at)
        );
    };
    if primary.listens_at(host.as_str(), port) {
        return Ok(make(Verdict::Ready, "streaming", &format!("{site} streams from the primary in {}", primary.site))
            .because(&what, &sender, at));
    }
    let upstream = |o: &Server<'_>| o.role() == Role::Standby && o.listens_at(host.as_str(), port);
    if let Some(upstream) = standby.others().find(upstream) {
        let why = format!("{site} streams from the standby in {}, not from the primary", upstream.site);
        return Ok(make(Verdict::Ready, "cascade", &why).because(&what, &sender, at));
    }
    if matches!(sender_of(primary, standby), Some((Ok(Matched::Rows(_)), _))) {
        let why = format!("{site} streams from {sender}, which the primary in {} confirms", primary.site);
        return Ok(make(Verdict::Ready, "streaming", &why).because(&what, &sender, at));
    }
    let why = format!("{site} streams from {sender}; nothing shows that this is the primary in {}", primary.site);
    Ok(make(Verdict::Degraded, "sender-unmatched", &why)
        .because(&what, &sender, at)
        .because("the plan's address of the primary", &primary.server(), at)
        .next("use one name for the primary in primary_conninfo and here, or name the standby: standby_names"))
}
