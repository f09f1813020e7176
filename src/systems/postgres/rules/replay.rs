//! The standby replays what it receives.

use std::time::Duration;

use crate::plan::{Bytes, Now, Plan, RuleId, Span};
use crate::readiness::signals::{RECEIVED, REPLAYED};
use crate::readiness::{About, Bearing, Facts, Finding, Rule, Verdict};
use crate::systems::postgres::options::Mode;
use crate::systems::postgres::signals::PAUSE;

use super::view::{Server, servers};

const ID: RuleId = RuleId::new("postgres.replay");
/// Replay that has work and makes no progress for this long is stuck.
const STUCK: Duration = Duration::from_secs(60);
/// The log's end may be part of a record, which is replayed once the rest was written: up to a page says nothing at once.
const PART: Bytes = Bytes(8 << 10);

/// Avoids trap 1 (the last replayed commit's age grows on an idle primary: never used here), trap 3 (`replay_lag` freezes
/// while replay is paused) and trap 4 (an amount of log alone says nothing: only replay without *progress* does).
/// What was received and not replayed costs time, not data (trap 14).
pub struct Replay;

impl Rule for Replay {
    fn id(&self) -> RuleId {
        ID
    }

    fn applies(&self, plan: &Plan) -> Vec<About> {
        servers(plan, Mode::Replicating)
    }

    fn judge(&self, facts: &Facts<'_>, about: &About, now: Now) -> Vec<Finding> {
        let Some(standby) = Server::standby(facts, about, now) else { return Vec::new() };
        paused(standby).or_else(|| delayed(standby)).or_else(|| stuck(standby)).into_iter().collect()
    }
}

fn paused(standby: Server<'_>) -> Option<Finding> {
    let (state, at) = standby.text(&PAUSE)?;
    let site = standby.site;
    let what = format!("{site} pg_get_wal_replay_pause_state()");
    let make = |verdict, code, sentence: &str| standby.finding(ID, verdict, code, sentence).because(&what, &state, at);
    match state {
        "not paused" => None,
        "paused" => Some(
            make(Verdict::NotReady, "replay-paused", &format!("replay is paused in {site}"))
                .next(&format!("on {}: SELECT pg_wal_replay_resume()", standby.server()))
                .bearing(Bearing::Consent(
                    format!("replay is paused in {site}: promotion ends the pause").as_str().into(),
                )),
        ),
        "pause requested" => Some(
            make(Verdict::NotReady, "replay-pause-requested", &format!("a pause of replay was requested in {site}"))
                .next(&format!("on {}: SELECT pg_wal_replay_resume()", standby.server())),
        ),
        _ => Some(
            make(Verdict::Unknown, "pause-unknown", &format!("{site}: the pause state makes no sense"))
                .next("check what answers there"),
        ),
    }
}

fn delayed(standby: Server<'_>) -> Option<Finding> {
    let (setting, at) = standby.setting("recovery_min_apply_delay")?;
    let site = standby.site;
    let what = format!("{site} recovery_min_apply_delay");
    let wanted = standby.options.apply_delay.map_or(Duration::ZERO, |d| d.0);
    let make = |verdict, code, sentence: &str| standby.finding(ID, verdict, code, sentence);
    let Ok(ms) = setting.parse::<u64>() else {
        return Some(
            make(Verdict::Unknown, "malformed", &format!("{site}: recovery_min_apply_delay makes no sense"))
                .because(&what, &setting, at)
                .next("check what answers there"),
        );
    };
    let is = Duration::from_millis(ms);
    let shown = Span(is);
    if is > wanted {
        let why = format!("{site} replays with a delay of {shown}; the plan says {}", Span(wanted));
        Some(make(Verdict::NotReady, "replay-delayed", &why).because(&what, &shown, at).next(
            "ALTER SYSTEM RESET recovery_min_apply_delay; SELECT pg_reload_conf(); or set apply_delay in the plan",
        ))
    } else if is < wanted {
        let why = format!("{site} should be delayed by {}, and replays with {shown}", Span(wanted));
        Some(
            make(Verdict::Degraded, "delay-missing", &why)
                .because(&what, &shown, at)
                .next("set recovery_min_apply_delay on the standby, or take apply_delay out of the plan"),
        )
    } else {
        None
    }
}

/// It has log to replay, and nobody has seen yet that it does: it may stand still since long before the first look.
fn unseen(standby: Server<'_>, backlog: Bytes, at: Now) -> Finding {
    let site = standby.site;
    let why = format!("{site} has log to replay, and has not been seen to replay any");
    standby
        .finding(ID, Verdict::Unknown, "replay-unseen", &why)
        .because(&format!("{site} received and not replayed"), &backlog, at)
        .next("look again; if it stays, a query on the standby may hold replay back, or its startup process hangs")
}

fn stuck(standby: Server<'_>) -> Option<Finding> {
    let (received, at) = standby.lsn(&RECEIVED)?;
    let (replayed, _) = standby.lsn(&REPLAYED)?;
    let site = standby.site;
    let backlog = received.ahead_of(replayed);
    let ready = || {
        standby.finding(ID, Verdict::Ready, "replaying", &format!("{site} replays what it receives")).because(
            &format!("{site} received and not replayed"),
            &backlog,
            at,
        )
    };
    let since = standby.held_since(&REPLAYED)?;
    let delay = standby.options.apply_delay.map_or(Duration::ZERO, |d| d.0);
    let limit = STUCK.max(standby.probe.interval.0.saturating_mul(3)).saturating_add(delay);
    if backlog.0 == 0 {
        return Some(ready());
    }
    // By when the two were asked for, not by now: a look that is late proves no standstill. Nor does it stand still for
    // longer than there is something to replay: on an idle primary its position is old.
    let waits = standby.written_beyond(replayed).map(|age| age.saturating_sub(standby.now.since(at)));
    let still = waits.map_or(at.since(since), |waits| waits.min(at.since(since)));
    if still <= limit {
        let much = backlog >= PART || waits.is_some_and(|waits| waits > limit);
        let caught_up = waits.is_some_and(|waits| waits < at.since(since));
        if delay.is_zero() && much && !caught_up && !standby.was_seen_to_move(&REPLAYED) {
            return Some(unseen(standby, backlog, at));
        }
        return Some(ready());
    }
    let verdict = if still > limit.max(standby.rto()) { Verdict::NotReady } else { Verdict::Degraded };
    let why = format!("{site} has log to replay and makes no progress");
    Some(
        standby
            .finding(ID, verdict, "replay-stuck", &why)
            .because(&format!("{site} received and not replayed"), &backlog, at)
            .because(&format!("{site} pg_last_wal_replay_lsn(), unchanged since"), &replayed, since)
            .next(
                "SELECT pid, state, query FROM pg_stat_activity ORDER BY xact_start: a long query may hold replay back",
            ),
    )
}
