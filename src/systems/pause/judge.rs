//! Whether what is waited for is there, by the plan's newest judgement. PURE.

use std::time::Duration;

use crate::plan::{Now, SiteId, Span};
use crate::readiness::rules::RUNBOOK;
use crate::readiness::{Finding, PlanStatus, Situation, Verdict};
use crate::runbook::{Held, RunState};

use super::options::{Awaited, WaitOptions};

/// How old a judgement may be: whoever makes them makes one every few seconds.
const MOST_AGE: Duration = Duration::from_secs(30);

/// Since when what is waited for must have been read: since the newest step ended or began. What was read before says nothing
/// of what that did.
#[must_use]
pub fn since(state: &RunState) -> Now {
    let moments = state.steps.iter().flat_map(|s| &s.attempts).flat_map(|a| {
        let ended = a.end.as_ref().map(|(_, at, _)| *at);
        let acted = a.acted.as_ref().map(|(_, at)| *at);
        [Some(a.began), acted, ended]
    });
    moments.flatten().max_by_key(|at| at.wall).unwrap_or(state.opened_at)
}

/// Whether `at` is not before `since`. One that is ahead of `now` is of another boot of this host, and then everything that is
/// known is newer.
fn is_after(at: Now, since: Now, now: Now) -> bool {
    since.boot > now.boot || at.boot >= since.boot
}

/// What is waited for, in words.
#[must_use]
pub fn awaited(options: &WaitOptions, site: Option<&SiteId>) -> String {
    let at = site.map_or_else(String::new, |s| format!(" in {s}"));
    let of = options.of.as_ref().map_or_else(String::new, |p| format!(" of {p}"));
    let good = if options.degraded { "ready or degraded" } else { "ready" };
    match (options.area, &options.finding, options.situation) {
        (Some(area), ..) => format!("{area}{of}{at} is {good}"),
        (None, Some(rule), _) => format!("{rule}{of}{at} is {good}"),
        (None, None, Some(situation)) => format!("the situation is {}", words(situation)),
        (None, None, None) => "nothing".to_owned(),
    }
}

const fn words(awaited: Awaited) -> &'static str {
    match awaited {
        Awaited::Normal => "normal",
        Awaited::AwayFromHome => "away from home",
        Awaited::Running => "that the service runs",
        Awaited::NoPrimary => "that there is no primary",
    }
}

/// Whether it is there: by a judgement that is fresh, and by readings that were asked for after `since`.
#[must_use]
pub fn judged(
    options: &WaitOptions,
    site: Option<&SiteId>,
    status: Option<&PlanStatus>,
    since: Now,
    now: Now,
) -> (Held, String) {
    let Some(status) = status else { return (Held::Unknown, "the plan was not looked at".to_owned()) };
    let age = now.since(status.at);
    if age > MOST_AGE {
        return (Held::Unknown, format!("the plan was judged {} ago", Span(age).coarse()));
    }
    if !is_after(status.at, since, now) {
        return (Held::Unknown, "the plan was not judged since the last step".to_owned());
    }
    if let Some(wanted) = options.situation {
        return situation(wanted, status);
    }
    let about = |f: &&Finding| {
        let area = options.area.is_none_or(|a| f.area == a);
        // Whether a runbook could be started is not what a step of one waits for, and no runner looks them through.
        let rule = options.finding.as_ref().map_or(f.rule != RUNBOOK, |r| f.rule.as_str() == r);
        let probe = options.of.as_ref().is_none_or(|of| f.probe.as_ref().is_some_and(|p| *p.name == **of));
        let place = site.is_none_or(|s| f.subject.site.as_ref() == Some(s));
        area && rule && probe && place
    };
    let found: Vec<&Finding> = status.findings.iter().filter(about).collect();
    let good = |f: &Finding| f.verdict == Verdict::Ready || (options.degraded && f.verdict == Verdict::Degraded);
    let first = |verdict: Verdict| found.iter().find(|f| f.verdict == verdict && !good(f));
    let say = |f: &&Finding| format!("{}: {}", f.verdict, f.sentence);
    if let Some(bad) = first(Verdict::NotReady).or_else(|| first(Verdict::Degraded)) {
        return (Held::Fails, say(bad));
    }
    if let Some(open) = first(Verdict::Unknown) {
        return (Held::Unknown, say(open));
    }
    let Some(one) = found.first() else {
        return (Held::Unknown, "no finding says anything of it".to_owned());
    };
    if let Some(old) = found.iter().find(|f| f.oldest().is_some_and(|at| !is_after(at, since, now))) {
        return (Held::Unknown, format!("read before the last step, not since: {}", old.sentence));
    }
    (Held::Holds, if found.len() == 1 { say(one) } else { format!("{} findings, all good", found.len()) })
}

fn situation(wanted: Awaited, status: &PlanStatus) -> (Held, String) {
    let is = &status.situation;
    let why = is.words().to_owned();
    let held = match (wanted, is) {
        (Awaited::Normal | Awaited::Running, Situation::Normal)
        | (Awaited::AwayFromHome | Awaited::Running, Situation::AwayFromHome { .. })
        | (Awaited::NoPrimary, Situation::NoPrimary) => Held::Holds,
        (_, Situation::Starting | Situation::PrimaryUnseen { .. } | Situation::PrimaryUnreachable { .. }) => {
            Held::Unknown
        }
        (
            Awaited::Normal | Awaited::AwayFromHome | Awaited::Running | Awaited::NoPrimary,
            Situation::Normal
            | Situation::AwayFromHome { .. }
            | Situation::NoPrimary
            | Situation::PrimaryDown { .. }
            | Situation::SplitBrain { .. }
            | Situation::Disagree { .. },
        ) => Held::Fails,
    };
    (held, why)
}
