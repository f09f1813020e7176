//! The primary sends to each standby that the plan expects.

use std::time::Duration;

use crate::plan::{Now, Plan, RuleId, Span};
use crate::readiness::{About, Facts, Finding, Gap, Row, Rule, Verdict};
use crate::systems::postgres::options::Mode;

use super::view::{
    Matched, Role, Server, just_fell_silent, just_started, missed_before, reconnecting, sender_of, servers,
};

const ID: RuleId = RuleId::new("postgres.sender");
/// PostgreSQL's default `wal_sender_timeout`.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Avoids trap 3 (`*_lag` is NULL when idle and freezes while replay is stuck: never read; an absent row is a failure, not
/// "no lag"; a fresh connection's NULL columns are nothing) and trap 5 (a cascading standby has no sender at the primary).
pub struct Sender;

impl Rule for Sender {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        servers(plan, Mode::Replicating)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(primary) = Server::writer(facts, about, now) else { return Vec::new() };
        let expected =
            primary.others().filter(|o| o.role() != Role::Primary && !o.by_archive() && !cascades(*o, primary));
        expected.filter_map(|standby| judge(primary, standby)).collect()
    }
}

/// Whether a standby streams from another standby.
fn cascades(standby: Server<'_>, primary: Server<'_>) -> bool {
    let Some((Ok(Some(row)), _)) = standby.receiver() else { return false };
    let (Ok(Some(host)), Ok(port)) = (row.text("sender_host"), row.int("sender_port")) else { return false };
    !primary.listens_at(host.as_str(), port)
        && standby.others().any(|o| o.role() == Role::Standby && o.listens_at(host.as_str(), port))
}

fn judge(primary: Server<'_>, standby: Server<'_>) -> Option<Finding> {
    let (matched, at) = sender_of(primary, standby)?;
    let site = standby.site;
    let made = match matched {
        Ok(Matched::Rows(rows)) => {
            let all: Result<Vec<Finding>, Gap> = rows.iter().map(|row| state(primary, standby, row, at)).collect();
            all.map(|all| all.into_iter().min_by_key(|f| f.verdict == Verdict::Ready))
        }
        Ok(Matched::Missing) => Ok(Some(if let Some(started) = just_started(primary, standby, at) {
            reconnecting(ID, primary, standby, started, at).because(
                &format!("{} pg_stat_replication", primary.site),
                &"no row for it",
                at,
            )
        } else {
            // A standby that restarts is away for a moment: one look proves nothing.
            // One that just stopped to answer may be restarting, and its own looks say soon whether it is down.
            let (verdict, why) = if missed_before(primary, standby, at) && !just_fell_silent(standby, at) {
                (Verdict::NotReady, format!("the primary sends nothing to {site}"))
            } else {
                (Verdict::Unknown, format!("the primary sends nothing to {site} at this look; asking again"))
            };
            primary
                .finding(ID, verdict, "sender-missing", &why)
                .following()
                .because(&format!("{} pg_stat_replication", primary.site), &"no row for it", at)
                .next(&format!("see the log of {}: can it reach the primary, is its slot there?", standby.server()))
        })),
        Ok(Matched::Unclear) => Ok(Some(
            primary
                .finding(
                    ID,
                    Verdict::Degraded,
                    "sender-unclear",
                    &format!("which of the primary's senders serves {site} cannot be told"),
                )
                .because(&format!("{} pg_stat_replication", primary.site), &"several rows", at)
                .next(&format!("name it: standby_names = {{ {site} = \"its cluster_name\" }}")),
        )),
        Err(gap) => Ok(Some(primary.senseless(ID, "pg_stat_replication", &gap, at))),
    };
    let mut finding = made.unwrap_or_else(|gap| Some(primary.senseless(ID, "pg_stat_replication", &gap, at)))?;
    finding.subject = primary.part(&format!("to {site}"));
    Some(finding)
}

fn state(primary: Server<'_>, standby: Server<'_>, row: &Row, at: Now) -> Result<Finding, Gap> {
    let site = standby.site;
    let what = format!("{} pg_stat_replication.state", primary.site);
    let Some(state) = row.text("state")? else {
        return Ok(primary
            .finding(ID, Verdict::Unknown, "no-privilege", "the state of the primary's senders may not be read")
            .because(&what, &"NULL", at)
            .next("GRANT pg_monitor TO the role that looks"));
    };
    let make = |verdict, code, sentence: &str| primary.finding(ID, verdict, code, sentence).because(&what, &state, at);
    match state.as_str() {
        "streaming" => {}
        "startup" | "catchup" => {
            return Ok(make(Verdict::Degraded, "catching-up", &format!("{site} is catching up with the primary"))
                .next("wait; if it stays, the network is slower than the primary writes"));
        }
        _ => {
            let why = format!("the primary's sender to {site} is in state {state}");
            return Ok(make(Verdict::NotReady, "sender-not-streaming", &why).next("see the primary's log"));
        }
    }
    if let Some(age) = row.span("reply_age")? {
        let timeout = match primary.number("wal_sender_timeout") {
            Some((ms, _)) if ms > 0 => Duration::from_millis(u64::try_from(ms).unwrap_or(0)),
            Some(_) | None => TIMEOUT,
        };
        if age.0 > timeout.mul_f32(0.75) {
            let why = format!("{site} has not answered the primary; at {} it is cut off", Span(timeout));
            return Ok(make(Verdict::Degraded, "sender-silent", &why)
                .because(&format!("{} pg_stat_replication.reply_time, age", primary.site), &age.coarse(), at)
                .next("look at the standby's receiver and at the network between the sites"));
        }
    }
    Ok(make(Verdict::Ready, "sending", &format!("the primary streams to {site}")))
}
