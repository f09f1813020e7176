//! Queries on the standby do not hold its replay back for longer than a failover may take.

use std::time::Duration;

use crate::plan::{Now, Plan, RuleId, Span};
use crate::readiness::{About, Bearing, Facts, Finding, Rule, Verdict};
use crate::systems::postgres::options::Mode;
use crate::systems::postgres::signals::CONFLICTS;

use super::view::{Server, servers};

const ID: RuleId = RuleId::new("postgres.conflicts");
/// How long replay waits for a query that it conflicts with, for log that was streamed and for log from the archive.
const DELAYS: [&str; 2] = ["max_standby_streaming_delay", "max_standby_archive_delay"];

/// Replay waits for queries that it conflicts with, also the replay that a promotion ends with: for as long as these
/// settings say, -1 is for ever. That queries *were* cancelled means that replay won, which is what a standby is for: the
/// count is evidence and no fault.
pub struct Conflicts;

impl Rule for Conflicts {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        servers(plan, Mode::Replicating)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(standby) = Server::standby(facts, about, now) else { return Vec::new() };
        DELAYS.into_iter().filter_map(|name| judge(standby, name)).take(1).collect()
    }
}

fn judge(standby: Server<'_>, name: &str) -> Option<Finding> {
    let (setting, at) = standby.setting(name)?;
    let site = standby.site;
    let what = format!("{site} {name}");
    let Ok(ms) = setting.parse::<i64>() else {
        let why = format!("{site}: {name} makes no sense");
        return Some(
            standby
                .finding(ID, Verdict::Unknown, "malformed", &why)
                .because(&what, &setting, at)
                .next("check what answers there"),
        );
    };
    let rto = standby.rto();
    let (shown, words) = match u64::try_from(ms).map(Duration::from_millis) {
        Ok(delay) if delay <= rto => return None,
        Ok(delay) => (Span(delay).to_string(), format!("for {}, longer than the RTO of {}", Span(delay), Span(rto))),
        Err(_) => ("-1".to_owned(), "for ever".to_owned()),
    };
    let why = format!("a query in {site} may hold replay back {words}, a promotion too");
    let mut finding = standby
        .finding(ID, Verdict::Degraded, "queries-hold-replay", &why)
        .because(&what, &shown, at)
        .next(&format!(
            "on {}: ALTER SYSTEM SET {name} = '30s'; or end its queries before a promotion",
            standby.server()
        ))
        .bearing(Bearing::Consent(
            format!("end the queries in {site} first: they may hold the promotion").as_str().into(),
        ));
    finding.subject = standby.part(name);
    Some(match standby.int(&CONFLICTS) {
        Some((count, at)) => finding.because(&format!("{site} queries cancelled by conflicts so far"), &count, at),
        None => finding,
    })
}
