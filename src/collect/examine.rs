//! Examines every lane once: for `doctor`.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::clock;
use crate::net::Net;
use crate::plan::{LaneId, Plan, Span};
use crate::readiness::{Examined, Gap, Reason, Row, Value, Verdict};

use super::by_kind;
use super::look::Looker;

/// What was found of one lane.
#[derive(Clone, Debug)]
pub struct LaneExam {
    /// Which.
    pub lane: LaneId,
    /// What was found, in the order in which it was asked.
    pub found: Vec<Examined>,
}

/// Looks at every lane of these plans and then asks it what only `doctor` wants to know, all at the same time, within
/// `budget`. In the order of the configuration. `progress` hears how many lanes are done, and of how many.
pub async fn examine(
    plans: &[Arc<Plan>],
    net: &Arc<Net>,
    budget: Duration,
    progress: &mut dyn FnMut(usize, usize),
) -> Vec<LaneExam> {
    let end = Instant::now() + budget;
    let lookers: Vec<Looker> = plans.iter().flat_map(|p| Looker::all(p, net, &by_kind())).collect();
    let mut all: Vec<LaneExam> = (lookers.iter())
        .map(|l| {
            let late = Gap::new(Reason::TimedOut, "not examined within the time of this command");
            LaneExam { lane: l.id(), found: vec![Examined::gap(&late, l.server().as_str())] }
        })
        .collect();
    let total = lookers.len();
    let mut working = JoinSet::new();
    for (at, looker) in lookers.into_iter().enumerate() {
        working.spawn(async move { (at, one(looker, end).await) });
    }
    let mut done = 0;
    progress(done, total);
    while let Ok(Some(joined)) = tokio::time::timeout_at(end, working.join_next()).await {
        if let Ok((at, found)) = joined
            && let Some(exam) = all.get_mut(at)
        {
            exam.found = found;
        }
        done += 1;
        progress(done, total);
    }
    all
}

async fn one(mut looker: Looker, end: Instant) -> Vec<Examined> {
    let server = looker.server();
    let begun = clock::now();
    let polled = looker.look(Some(end)).await;
    let mut found: Vec<Examined> = Vec::new();
    for gap in polled.readings.iter().filter_map(|r| r.value.as_ref().err()) {
        let exam = Examined::gap_of(looker.probe().kind, gap, server.as_str());
        if !found.contains(&exam) {
            found.push(exam);
        }
    }
    found.extend(polled.readings.iter().filter_map(|r| r.value.as_ref().ok()).flat_map(silent_parts));
    if found.is_empty() {
        let took = polled.answered.since(polled.asked).as_millis();
        found.push(Examined::well("answers", &format!("{server} answered in {took} ms")));
    }
    found.extend(slow(polled.answered.since(begun), looker.probe().timeout));
    let deadline = end.min(Instant::now() + looker.probe().timeout.0);
    match AssertUnwindSafe(looker.examine(deadline)).catch_unwind().await {
        Ok(more) => found.extend(more),
        Err(_panic) => found.push(Examined::gap(&Gap::new(Reason::Bug, "the examination panicked"), server.as_str())),
    }
    found
}

/// A look that nearly took all its time will take more on a bad day, and then brings nothing. One that took all of it has
/// said so.
fn slow(took: Duration, timeout: Span) -> Option<Examined> {
    (took > timeout.0.mul_f64(0.7) && took < timeout.0).then(|| {
        let sentence = format!("a look took {} of the {timeout} that it may take", Span(took));
        let next = "raise the probe's timeout, or see what keeps it: a slower one brings nothing";
        Examined::bad(Verdict::Degraded, "slow", &sentence, next)
    })
}

/// Of a lane that looks at several addresses, those that did not answer as they should: the look as a whole brought a value.
fn silent_parts(value: &Value) -> Vec<Examined> {
    let Value::Rows(rows) = value else { return Vec::new() };
    let text = |row: &Row, column: &str| row.text(column).ok().flatten().map(|t| t.as_str().to_owned());
    let silent = rows.iter().filter_map(|row| {
        let (address, outcome) = (text(row, "address")?, text(row, "outcome")?);
        let detail = text(row, "detail").filter(|d| !d.is_empty()).unwrap_or_else(|| outcome.clone());
        let sentence = if detail.contains(&address) { detail } else { format!("{address}: {detail}") };
        let next = "see lifeboat check: it says what that means for a failover";
        (outcome != "ok").then(|| Examined::bad(Verdict::Degraded, "part-silent", &sentence, next))
    });
    silent.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_nearly_takes_all_its_time_is_said() {
        let of = |ms| slow(Duration::from_millis(ms), Span::secs(3)).map(|e| e.code);
        assert_eq!((of(100), of(2_050), of(2_500), of(3_000)), (None, None, Some("slow"), None));
    }

    #[test]
    fn a_server_of_several_that_is_down_is_said() {
        let row = |address: &str, outcome: &str, detail: &str| {
            let row = Row::default().with("address", Value::text(address));
            row.with("outcome", Value::text(outcome)).with("detail", Value::text(detail))
        };
        let rows =
            vec![row("127.0.0.1:53", "ok", ""), row("127.0.0.1:54", "refused", "127.0.0.1:54: connection refused")];
        let found = silent_parts(&Value::Rows(rows));
        assert_eq!(found.iter().map(|e| e.sentence.as_str()).collect::<Vec<_>>(), ["127.0.0.1:54: connection refused"]);
        assert_eq!(found.first().map(|e| e.verdict), Some(Verdict::Degraded));
    }
}
