//! A site that could take over receives the active site's log.

use std::time::Duration;

use crate::plan::{Bytes, Now, Plan, RuleId};
use crate::readiness::signals::{FLUSHED, RECEIVED};
use crate::readiness::{About, Facts, Finding, Gap, Reason, Rule, Value, Verdict};
use crate::systems::patroni::signals::{BY_ARCHIVE, NO_STREAM, STREAM, STREAMING, UNSAID};

use super::view::{MOMENT, Site, sites};

const ID: RuleId = RuleId::new("patroni.stream");
/// A server that has run for this long has found whom it follows.
const SETTLED: Duration = Duration::from_secs(60);
/// How long it takes to find it again after a restart.
const RECONNECT: Duration = Duration::from_secs(15);

/// Avoids trap 1 (the lags of a standby cluster are relative to its own leader: the distance is taken from the active site's
/// own position) and trap 10 (`running` on a standby leader is the alarm: it follows nobody). The distance alone is no
/// verdict: a burst or a switch of WAL adds megabytes for a moment; what it means in time is the exposure's to say.
pub struct Stream;

impl Rule for Stream {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        sites(plan)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(site) = Site::of(facts, about, now).filter(|s| s.stands_by()) else { return Vec::new() };
        let Some((value, at)) = site.value(&STREAM) else { return Vec::new() };
        let finding = match value {
            Value::Text(stream) => judge(site, stream.as_str(), at),
            _ => site.senseless(ID, "/patroni", &Gap::new(Reason::Malformed, "replication_state is no text")),
        };
        vec![with_distance(site, finding)]
    }
}

fn judge(site: Site<'_>, stream: &str, at: Now) -> Finding {
    let name = site.site;
    let make = |verdict, code: &'static str, why: &str| {
        site.finding(ID, verdict, code, why).because(&format!("{name} replication_state"), &stream, at)
    };
    let settings = site.settings().and_then(Result::ok);
    let upstream = settings.as_ref().and_then(|(s, _)| s.upstream_host.as_ref()).map(ToString::to_string);
    let from = upstream.as_ref().map_or_else(String::new, |h| format!(" from {h}"));
    match stream {
        STREAMING => make(Verdict::Ready, "streaming", &format!("{name} streams{from}")),
        BY_ARCHIVE if upstream.is_none() && settings.is_some() => {
            make(Verdict::Ready, "by-archive", &format!("{name} follows by the archive; its positions say how far"))
        }
        BY_ARCHIVE => {
            let why = format!("{name} reads the archive and does not stream{from}");
            make(Verdict::Degraded, "by-archive", &why).next(&next(upstream.as_deref(), site))
        }
        NO_STREAM if site.lasts_for(&STREAM, patience(site)) => {
            let why = format!("{name} receives no log: its standby follows nobody");
            make(Verdict::NotReady, "not-streaming", &why).next(&next(upstream.as_deref(), site))
        }
        NO_STREAM => {
            let why = format!("{name} receives no log at this look; asking again");
            make(Verdict::Unknown, "not-streaming", &why).next(&next(upstream.as_deref(), site))
        }
        UNSAID => by_position(site, at, make),
        _ => {
            let why = format!("{name}: its standby is in a state of replication that lifeboat does not know");
            make(Verdict::Unknown, "stream-unknown", &why).next("patronictl list there says what it means")
        }
    }
}

/// For how long nothing may be streamed. A restart on either side, and so a switchover, cuts the stream, and a standby tries
/// again every five seconds (`wal_retrieve_retry_interval`); where all have run for a while there is no such excuse.
fn patience(site: Site<'_>) -> Duration {
    let steady = |s: Site<'_>| match s.nodes() {
        Some(Ok((nodes, _))) => nodes.iter().all(|n| n.up_for.is_none_or(|up| up.0 >= SETTLED)),
        Some(Err(_)) | None => true,
    };
    if steady(site) && site.active().is_none_or(steady) { MOMENT } else { RECONNECT }
}

fn next(upstream: Option<&str>, site: Site<'_>) -> String {
    let from = upstream.unwrap_or("the active site");
    format!(
        "see PostgreSQL's log on the standby leader in {}: is {from} reachable from there, and is it the primary?",
        site.site
    )
}

/// A Patroni of before 3.0.4 does not say whether a standby streams: whether it moves, does.
fn by_position(site: Site<'_>, at: Now, make: impl Fn(Verdict, &'static str, &str) -> Finding) -> Finding {
    let name = site.site;
    if let (Some((received, _)), Some((flushed, then)), Some(Value::Lsn(earlier))) =
        (site.lsn(&RECEIVED), site.active().and_then(|a| a.lsn(&FLUSHED)), site.before(&RECEIVED, at))
        && *earlier == received
        && received < flushed
        && site.lasts_for(&RECEIVED, patience(site))
        && site
            .active()
            .is_some_and(|a| a.before(&FLUSHED, then).is_some_and(|b| matches!(b, Value::Lsn(b) if *b > received)))
    {
        let why = format!("{name} is {} behind and does not move", flushed.ahead_of(received));
        return make(Verdict::NotReady, "not-streaming", &why)
            .next("see PostgreSQL's log on the standby leader: what keeps it from the primary?");
    }
    let why = format!("{name} follows, as far as its positions say; its Patroni does not say whether it streams");
    make(Verdict::Ready, "stream-unsaid", &why)
}

/// With how far it is behind the active site, by both sites' own words. Each has its own age: what the active site had
/// when it was asked, and the standby did not when *it* was asked.
fn with_distance(site: Site<'_>, finding: Finding) -> Finding {
    let Some((received, at)) = site.lsn(&RECEIVED) else { return finding };
    let finding = finding.because(&format!("{} holds", site.site), &received, at);
    let Some(active) = site.active() else { return finding };
    let Some((flushed, then)) = active.lsn(&FLUSHED) else { return finding };
    let behind: Bytes = flushed.ahead_of(received);
    finding.because(&format!("{} position", active.site), &flushed, then).because(
        &format!("{} behind {}", site.site, active.site),
        &behind,
        if at.boot < then.boot { at } else { then },
    )
}
