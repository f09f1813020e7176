//! After a practised run: when it was noticed, decided and recovered, what was lost and accepted, and what the best possible
//! run would have been. By the run's own journal, held against what only the world can know.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::plan::{Bytes, Span};
use crate::runbook::{Body, Closing, Entry, Outcome, RunState, StepIx, StepRole, StepState, Strength, fold};

use super::scenario::{Best, Scenario};
use super::world::World;
use super::world::event::{Event, What};

/// What only the world knows of a run's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    /// When what the scenario is about began, where it has.
    pub began: Option<DateTime<Utc>>,
    /// Write-ahead log that was flushed at the old primary, and that the new one never had.
    pub lost_bytes: u64,
    /// Rows among it.
    pub lost_rows: u64,
    /// Whether both sites took writes at one time.
    pub both_wrote: bool,
}

impl Truth {
    /// What the world knows of a run of a plan that was open from one moment to another.
    #[must_use]
    pub fn of(world: &World, scenario: &Scenario, (from, to): (DateTime<Utc>, DateTime<Utc>)) -> Self {
        let mut truth = Self::default();
        let (mut cut, mut dark) = (BTreeSet::new(), BTreeSet::new());
        let first = scenario.script.first().map(|(_, event)| event);
        for happened in world.log() {
            let at = world.clock().wall(happened.at);
            if let What::Event(event) = &happened.what {
                if Some(event) == first && at <= to {
                    truth.began = Some(at);
                }
                if let Event::SiteCut(site) = event {
                    cut.insert(*site);
                } else if let Event::SiteHealed(site) = event {
                    cut.remove(site);
                } else if let Event::SiteLost(site) = event {
                    dark.insert(*site);
                } else if let Event::SiteReturns(site) = event {
                    dark.remove(site);
                }
            } else if let What::Promoted { server, lost, .. } = &happened.what
                && (from..=to).contains(&at)
            {
                truth.lost_bytes = truth.lost_bytes.saturating_add(lost.bytes);
                truth.lost_rows = truth.lost_rows.saturating_add(lost.rows);
                // Nobody could turn away what nobody reached.
                let old = world.server(server).map(|(_, s)| s.site.other());
                truth.both_wrote |= old.is_some_and(|site| cut.contains(&site) && !dark.contains(&site));
            }
        }
        truth
    }
}

/// What there is to learn of a run that is over, a line each; nothing of one that is open, or of no practice.
#[must_use]
pub fn debrief(entries: &[Entry], truth: Truth, scenario: &Scenario) -> Vec<String> {
    let Some(state) = fold(entries).filter(|s| s.closed.is_some() && s.opened.practice) else { return Vec::new() };
    let mut out = vec![format!("scenario {}: {}", scenario.name, scenario.sentence), how_it_ended(&state)];
    out.extend(times(&state, truth));
    out.push(lost(&state, truth));
    out.extend(accepted(entries, &state));
    out.extend(state.alarms.iter().map(|(what, _)| format!("alarm: {what}")));
    if truth.both_wrote {
        out.push("both sites took writes at one time: what the old one took meanwhile is in nobody's reach".to_owned());
    }
    out.extend(best(&state, truth, scenario));
    out
}

fn how_it_ended(state: &RunState) -> String {
    let o = &state.opened;
    let how = match &state.closed {
        Some((Closing::Completed, _)) => "completed".to_owned(),
        Some((Closing::Aborted { reason }, _)) => format!("aborted: {reason}"),
        Some((Closing::Preempted { by, reason }, _)) => format!("gave way to {by}: {reason}"),
        None => "open".to_owned(),
    };
    let again = state.steps.iter().map(|s| s.attempts.len().saturating_sub(1)).sum::<usize>();
    let skipped = state.steps.iter().filter(|s| s.state == StepState::Skipped).count();
    let mut text = format!("{} of {}, {} to {}: {how}", o.kind, o.plan, o.from, o.to);
    for (n, what) in [(again, "tried again"), (skipped, "left out")] {
        if n > 0 {
            text.push_str(&format!(", {n} {} {what}", if n == 1 { "step" } else { "steps" }));
        }
    }
    text
}

/// The moments that count, each with how long it took to get there.
fn times(state: &RunState, truth: Truth) -> Vec<String> {
    let declared = state.opened_at.wall;
    let from = truth.began.unwrap_or(state.t0.at).min(declared);
    let mut out = Vec::new();
    if let Some(detected) = state.opened.detected.filter(|at| *at >= from) {
        out.push(format!("time to notice: {} until the board said it", between(from, detected)));
        out.push(format!("time to declare: {} more until somebody opened the run", between(detected, declared)));
    } else {
        out.push(format!("time to declare: {} until somebody opened the run", between(from, declared)));
    }
    if let Some(decided) = state.decided {
        out.push(format!("time to decide: {} more until the first approval", between(declared, decided.wall)));
    }
    let rto = state.opened.expected.rto;
    out.push(match state.recovered() {
        Some(at) => {
            let took = since(from, at.wall);
            let held = if took <= rto.0 { "within" } else { "BEYOND" };
            format!("time to recover: {} in all, {held} the objective of {rto}", seconds(took))
        }
        None => format!("time to recover: this run recovered nothing; the objective is {rto}"),
    });
    out
}

/// What is gone: as the run measured it, and as it really is.
fn lost(state: &RunState, truth: Truth) -> String {
    let promotes = |ix: usize| state.opened.runbook.steps.get(ix).is_some_and(|s| s.role == StepRole::Promote);
    let promoted = state.steps.iter().enumerate().any(|(ix, s)| promotes(ix) && done(s.state));
    if !promoted {
        return "data lost: nothing was promoted, nothing is lost by this run".to_owned();
    }
    let real = if truth.lost_bytes == 0 && truth.lost_rows == 0 {
        "none".to_owned()
    } else {
        let rows = if truth.lost_rows == 1 { "row" } else { "rows" };
        format!("{} of log, {} committed {rows}", Bytes(truth.lost_bytes), truth.lost_rows)
    };
    let expected = state.opened.expected.loss.map_or_else(|| "unknown".to_owned(), |l| format!("at most {l}"));
    let measured = state.loss().and_then(|l| Some((l.missing?, l.end)));
    let told = match measured {
        Some((missing, true)) => missing.to_string(),
        Some((missing, false)) => format!("at least {missing}, for nobody saw where its log ended"),
        None => "not measured".to_owned(),
    };
    let rpo = state.opened.expected.rpo;
    format!("data lost: {real}; the run measured: {told}; expected when it was opened: {expected}, objective {rpo}")
}

const fn done(state: StepState) -> bool {
    match state {
        StepState::Done(Outcome::Succeeded | Outcome::AlreadyTrue) => true,
        StepState::Done(_)
        | StepState::Planned
        | StepState::Acting
        | StepState::Observing
        | StepState::Halted(_)
        | StepState::Skipped => false,
    }
}

/// Which risks were taken and which advice was not followed, and how strong the fence was.
fn accepted(entries: &[Entry], state: &RunState) -> Vec<String> {
    let name = |ix: StepIx| state.opened.runbook.step(ix).map(|s| s.name.to_string()).unwrap_or_default();
    let mut out = Vec::new();
    for entry in entries {
        let Body::Approved(approval) = &entry.body else { continue };
        for c in &approval.consents {
            out.push(format!("accepted: {:?} for step {}, {}", c.typed, c.step, name(c.step)));
        }
        for w in &approval.waived {
            out.push(format!(
                "not followed: {:?} for step {}, {}: {}",
                w.condition.as_ref(),
                w.step,
                name(w.step),
                w.reason
            ));
        }
    }
    if out.is_empty() {
        out.push("accepted: no risk, and all advice was followed".to_owned());
    }
    if let Some(fence) = state.fence() {
        let worth = match fence.strength {
            Strength::Proven => "the old primary could not come back and write",
            Strength::Blocked => "the applications could not write there",
            Strength::Assumed => "nothing but your word kept the old primary from coming back and writing",
        };
        out.push(format!("fence: {}: {worth}", fence.strength.word()));
    }
    out
}

/// What the best run would have been: the machine's own part of this one, right after the first moment at which it could
/// be seen; or no run at all.
fn best(state: &RunState, truth: Truth, scenario: &Scenario) -> Vec<String> {
    let mut out = vec![format!("a good commander: {}", scenario.commander)];
    let right = match scenario.best {
        Best::Run(kind) => kind == state.opened.kind,
        Best::NoRun => false,
    };
    if !right {
        let what = match scenario.best {
            Best::Run(kind) => format!("the best possible run here is a {kind}, not a {}", state.opened.kind),
            Best::NoRun => format!("the best possible run here is none: a {} does not help", state.opened.kind),
        };
        out.push(what);
        return out;
    }
    let Some(recovered) = state.recovered() else { return out };
    let from = truth.began.unwrap_or(state.t0.at).min(state.opened_at.wall);
    let noticing = state.opened.detected.map_or(Duration::ZERO, |at| since(from, at));
    let machine: Duration = steps(state).sum();
    let best = noticing + machine;
    let took = since(from, recovered.wall);
    out.push(format!(
        "the best possible run: {} ({} to notice, {} for the steps themselves); yours took {}, {} of it were people's",
        seconds(best),
        seconds(noticing),
        seconds(machine),
        seconds(took),
        seconds(took.saturating_sub(best)),
    ));
    out
}

/// How long each step took by itself; of steps side by side, the longest.
fn steps(state: &RunState) -> impl Iterator<Item = Duration> {
    let runbook = &state.opened.runbook;
    let took = |ix: StepIx| {
        let last = state.steps.get(ix.place())?.attempts.last()?;
        Some(since(last.began.wall, last.end.as_ref()?.1.wall))
    };
    runbook.places().filter_map(move |ix| {
        let beside = runbook.beside(ix);
        (ix == *beside.start())
            .then(|| runbook.places().filter(|at| beside.contains(at)).filter_map(took).max().unwrap_or_default())
    })
}

fn since(from: DateTime<Utc>, to: DateTime<Utc>) -> Duration {
    to.signed_duration_since(from).to_std().unwrap_or_default()
}

fn between(from: DateTime<Utc>, to: DateTime<Utc>) -> Span {
    seconds(since(from, to))
}

/// To a tenth of a second: people are no stopwatches.
fn seconds(span: Duration) -> Span {
    let tenths = u64::try_from(span.as_millis() / 100).unwrap_or(u64::MAX);
    Span(Duration::from_millis(tenths.saturating_mul(100)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{BootTime, Now, PlanId, SafeText, SiteId};
    use crate::runbook::{
        Amount, Approval, AttemptId, Cause, Consent, Danger, Digest, Epoch, Expected, Held, Identity, Moment, Opened,
        Operator, Preview, Resolution, RetrySafety, RunId, Runbook, RunbookKind, SCHEMA, StepPlan, Verified, Yield,
    };

    fn at(secs: u64) -> Now {
        let wall = DateTime::from_timestamp(1_900_000_000 + i64::try_from(secs).unwrap(), 0).unwrap();
        Now { wall, boot: BootTime(Duration::from_secs(secs)) }
    }

    fn step(name: &str, role: StepRole, danger: Danger) -> StepPlan {
        StepPlan {
            name: name.into(),
            kind: "test".to_owned(),
            probe: None,
            on: None,
            options: serde_json::Value::Null,
            role,
            danger,
            retry: RetrySafety::ReadBack,
            verified: Verified::ByLooking,
            expect: None,
            deadline: Span::secs(30),
            group: None,
            because: None,
        }
    }

    fn preview(now: Now) -> Preview {
        Preview {
            target: "db".into(),
            role: "standby".into(),
            identity: Identity::default(),
            actions: Vec::new(),
            challenge: "do it".to_owned(),
            conditions: Vec::new(),
            already: Held::Fails,
            left: Yield::default(),
            at: now,
        }
    }

    /// A failover whose outage is seen after 6 s and declared 4 s later, decided after 20 more, with steps of 3 and 5 s.
    fn played(practice: bool) -> Vec<Entry> {
        let steps = vec![
            step("fence the old primary", StepRole::Fence, Danger::Changes),
            step("promote the standby", StepRole::Promote, Danger::Irreversible),
        ];
        let opened = Opened {
            plan: PlanId::new("payments"),
            kind: RunbookKind::Failover,
            cause: Cause::Outage,
            reason: "dark".into(),
            from: SiteId::new("east"),
            to: SiteId::new("west"),
            runbook: Runbook { kind: RunbookKind::Failover, steps },
            pinned: String::new(),
            config: Digest::NONE,
            version: "0.1.0".into(),
            t0: Moment { at: at(98).wall, why: "the last good look".into() },
            detected: Some(at(106).wall),
            expected: Expected { rpo: Span::secs(30), rto: Span::secs(300), ..Expected::default() },
            scope: "this host".into(),
            after: None,
            practice,
        };
        let attempt = |place| AttemptId { step: StepIx::at(place), nth: 1 };
        let intent = |place| Body::Intent { attempt: attempt(place), approval: 5, identity: Identity::default() };
        let done = |place| {
            let resolution = Resolution { outcome: Outcome::Succeeded, why: "seen".into(), left: Yield::default() };
            Body::Outcome { attempt: attempt(place), resolution }
        };
        let shown = [0, 1].map(|place| (StepIx::at(place), preview(at(112)))).to_vec();
        let approval = Approval {
            from: StepIx::at(0),
            to: StepIx::at(1),
            shown: 4,
            bounds: Vec::new(),
            consents: vec![Consent {
                step: StepIx::at(0),
                condition: "fenced".into(),
                typed: "assumed fence".to_owned(),
                ceiling: Amount { span: None, bytes: None },
            }],
            waived: Vec::new(),
            typed: "do it".to_owned(),
            lasts: Span::secs(300),
        };
        let bodies = [
            (110, 0, Body::Opened(Box::new(opened))),
            (111, 1, Body::Tenure { pid: 1, version: "0.1.0".into() }),
            (112, 1, Body::Asked { from: StepIx::at(0), to: StepIx::at(1) }),
            (113, 1, Body::Shown { asked: 3, steps: shown }),
            (130, 1, Body::Approved(approval)),
            (131, 1, intent(0)),
            (134, 1, done(0)),
            (135, 1, intent(1)),
            (140, 1, done(1)),
            (141, 1, Body::Closed(Closing::Completed)),
        ];
        let who = Operator { user: "alice".into(), host: "here".into(), from: None, pid: 1 };
        let entry = |(seq, (secs, epoch, body)): (u64, (u64, u64, Body))| Entry {
            v: SCHEMA,
            run: RunId::new("payments-failover-1"),
            seq,
            at: at(secs),
            boot: SafeText::new("boot"),
            who: who.clone(),
            epoch: Epoch(epoch),
            prev: Digest::NONE,
            body,
        };
        (1..).zip(bodies).map(entry).collect()
    }

    fn told(truth: Truth, scenario: &str) -> String {
        debrief(&played(true), truth, Scenario::named(scenario).unwrap()).join("\n")
    }

    #[test]
    fn a_failover_is_told_in_its_times_its_losses_and_what_was_accepted() {
        let truth = Truth { began: Some(at(100).wall), lost_bytes: 4096, lost_rows: 3, both_wrote: false };
        let text = told(truth, "region-loss");
        for line in [
            "failover of payments, east to west: completed",
            "time to notice: 6s until the board said it",
            "time to declare: 4s more until somebody opened the run",
            "time to decide: 20s more until the first approval",
            "time to recover: 40s in all, within the objective of 5m",
            "data lost: 4.0 kB of log, 3 committed rows; the run measured: not measured; expected when it was opened: \
             unknown, objective 30s",
            "accepted: \"assumed fence\" for step 1, fence the old primary",
            "the best possible run: 14s (6s to notice, 8s for the steps themselves); yours took 40s, 26s of it were people's",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}:\n{text}");
        }
        assert!(!text.contains("both sites"));
    }

    #[test]
    fn where_no_run_was_right_it_says_so() {
        let truth = Truth { began: Some(at(100).wall), both_wrote: true, ..Truth::default() };
        let text = told(truth, "network-partition");
        assert!(text.contains("the best possible run here is none: a failover does not help"), "{text}");
        assert!(text.contains("both sites took writes at one time"), "{text}");
        assert!(!text.contains("yours took"), "{text}");
        assert!(told(truth, "failback").contains("the best possible run here is a failback, not a failover"));
    }

    #[test]
    fn only_practised_runs_that_are_over_are_debriefed() {
        let scenario = Scenario::named("region-loss").unwrap();
        assert!(debrief(&played(false), Truth::default(), scenario).is_empty());
        let all = played(true);
        assert!(debrief(&all[..all.len() - 1], Truth::default(), scenario).is_empty());
    }
}
