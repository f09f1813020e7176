//! What the answer to a step's request means, and what a message says. PURE.

use serde_json::{Value, json};

use crate::plan::{Now, SafeText};
use crate::readiness::Gap;
use crate::runbook::{Acted, Phase, RunState, StepIx, Yield};

use super::parse::{Right, judged};
use super::signals::OK;

/// What a request was answered with.
///
/// What is right was done. A status from 400 to 499 says that it was not (RFC 9110 section 15.5). Everything else, a redirect
/// and a right status with other content included, leaves open what was done.
#[must_use]
pub fn meaning(right: Right<'_>, status: u16, body: &[u8]) -> Acted {
    let left = Box::<Yield>::default();
    match judged(right, status, body) {
        Ok((OK, said)) => Acted::Returned { said: SafeText::new(&said), left },
        Ok((_, said)) if (400..500).contains(&status) => Acted::Refused { said: with(&said, body) },
        Ok((_, said)) => Acted::Unclear { why: with(&said, body), left },
        Err(gap) => Acted::Unclear { why: SafeText::new(&gap.to_string()), left },
    }
}

/// With the first line of an answer's text, which says why; pages and objects are left out, as they may hold anything.
fn with(said: &str, body: &[u8]) -> SafeText {
    let text = String::from_utf8_lossy(body.get(..body.len().min(2_048)).unwrap_or_default());
    let line = text.lines().map(str::trim).find(|l| !l.is_empty()).unwrap_or_default();
    let plain = !line.is_empty() && !line.starts_with(['<', '{', '[']);
    let cut: String = line.chars().take(200).collect();
    SafeText::new(&if plain { format!("{said}: {cut}") } else { said.to_owned() })
}

/// Whether a look at the effect shows it.
///
/// # Errors
/// Why that cannot be told.
pub fn shows(right: Right<'_>, status: u16, body: &[u8]) -> Result<(bool, String), Gap> {
    judged(right, status, body).map(|(outcome, said)| (outcome == OK, said))
}

/// A message, as it is sent.
#[must_use]
pub fn message(state: &RunState, ix: StepIx, text: Option<&str>, now: Now) -> Value {
    let opened = &state.opened;
    let name = opened.runbook.step(ix).map_or_else(String::new, |s| s.name.to_string());
    let practice = if opened.practice { "practice: " } else { "" };
    let usual = || {
        let (plan, kind, from, to) = (&opened.plan, opened.kind, &opened.from, &opened.to);
        format!("{practice}{plan}: {kind} from {from} to {to}: {name}")
    };
    json!({
        "text": text.map_or_else(usual, |t| format!("{practice}{t}")),
        "plan": opened.plan.as_str(),
        "run": state.run.as_str(),
        "runbook": opened.kind.word(),
        "from": opened.from.as_str(),
        "to": opened.to.as_str(),
        "step": ix.place() + 1,
        "of": opened.runbook.steps.len(),
        "name": name,
        "phase": phase(&state.phase()),
        "at": now.wall.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
    })
}

/// Where a run stands, in one word for scripts.
const fn phase(phase: &Phase) -> &'static str {
    match phase {
        Phase::Waiting(_) => "waiting",
        Phase::Preflight(..) => "preflight",
        Phase::Armed(..) => "armed",
        Phase::Approved(_) => "approved",
        Phase::Acting(_) => "acting",
        Phase::Halted(..) => "halted",
        Phase::Stopping => "stopping",
        Phase::Finished => "finished",
        Phase::Closed => "closed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems::endpoint::options::{JsonCheck, Scalar};

    const ANY: Right<'static> = Right { status: None, contains: None, json: None };

    #[test]
    fn only_what_is_right_was_done_and_only_400_was_not() {
        let of = |right: Right<'_>, status, body: &str| match meaning(right, status, body.as_bytes()) {
            Acted::Returned { said, .. } => format!("returned {said}"),
            Acted::Refused { said } => format!("refused {said}"),
            Acted::Unclear { why, .. } => format!("unclear {why}"),
            Acted::NotSent { why } => format!("not sent {why}"),
            Acted::Failed { said, .. } => format!("failed {said}"),
        };
        assert_eq!(of(ANY, 204, ""), "returned HTTP 204");
        assert_eq!(of(ANY, 403, "not\u{1b}[1m you\n"), "refused HTTP 403, and 200 to 299 is right: not you");
        assert_eq!(of(ANY, 409, "{\"token\":\"x\"}"), "refused HTTP 409, and 200 to 299 is right");
        assert_eq!(of(ANY, 303, ""), "unclear HTTP 303, and 200 to 299 is right");
        assert_eq!(of(ANY, 500, "oops"), "unclear HTTP 500, and 200 to 299 is right: oops");
        assert_eq!(of(Right { status: Some(202), ..ANY }, 200, ""), "unclear HTTP 200, and 202 is right");
        assert_eq!(of(Right { status: Some(409), ..ANY }, 409, ""), "returned HTTP 409");
        assert_eq!(
            of(Right { contains: Some("done"), ..ANY }, 200, "queued"),
            "unclear the answer does not hold \"done\": queued"
        );
        let json = JsonCheck { pointer: "/state".to_owned(), equals: Scalar::Text("up".to_owned()) };
        let right = Right { json: Some(&json), ..ANY };
        assert_eq!(of(right, 200, "{\"state\":\"up\"}"), "returned HTTP 200");
        assert!(of(right, 200, "up").starts_with("unclear the answer is no JSON"));
    }
}
