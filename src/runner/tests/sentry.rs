//! What the watch makes of what it sees, without a runner.

use super::*;

/// A run whose first step fenced with this strength, and what it kept.
fn fenced(strength: Strength, kept: serde_json::Value, at: crate::plan::Now) -> RunState {
    let mut state = bench(failover()).state();
    let left = Yield { fence: Some(Fence { strength, why: "a test".into() }), kept, ..Yield::default() };
    let resolution = Resolution { outcome: Outcome::Succeeded, why: "a test".into(), left };
    state.steps[0].attempts.push(crate::runbook::Attempt {
        id: AttemptId { step: StepIx(0), nth: 1 },
        approval: 1,
        identity: Identity::default(),
        began: at,
        epoch: Epoch(1),
        progress: None,
        acted: None,
        end: Some((resolution, at, 2)),
    });
    state
}

/// What is told of a server at the old site that takes writes.
fn told(state: &RunState, system: Option<&str>, asked: crate::plan::Now) -> Option<SafeText> {
    let writer =
        Writer { site: SiteId::new("east"), asked: asked.plus(Duration::from_secs(1)), system: system.map(Into::into) };
    let sight = Sight { writes: HashMap::from([(east(), writer)]), ..Sight::default() };
    Sentry::default().look(state, &sight, Epoch(1))
}

#[test]
fn a_blocked_primary_that_is_still_one_is_no_alarm() {
    let asked = crate::clock::now();
    for (strength, alarms) in [(Strength::Assumed, true), (Strength::Blocked, false), (Strength::Proven, true)] {
        let told = told(&fenced(strength, serde_json::Value::Null, asked), None, asked);
        assert_eq!(told.is_some(), alarms, "{strength:?}: {told:?}");
    }
}

#[test]
fn another_server_at_the_old_address_is_no_old_primary() {
    let asked = crate::clock::now();
    let state = fenced(Strength::Assumed, serde_json::json!({ "how": "assumed", "system": "7301" }), asked);
    assert!(told(&state, Some("7301"), asked).is_some(), "it is the old one");
    assert!(told(&state, Some("7302"), asked).is_none(), "a server of another cluster");
    assert!(told(&state, None, asked).is_some(), "who it is was not read: better one alarm too many");
    let unknown = fenced(Strength::Assumed, serde_json::Value::Null, asked);
    assert!(told(&unknown, Some("7302"), asked).is_some(), "who the old one was is not known");
}

/// A step that was done, with what it left behind.
fn done(state: &mut RunState, role: StepRole, on: crate::runbook::On, left: Yield, at: crate::plan::Now) {
    let ix = StepIx::at(state.steps.len());
    let mut status = state.steps[0].clone();
    status.state = StepState::Done(Outcome::Succeeded);
    let mut attempt = status.attempts[0].clone();
    attempt.id = AttemptId { step: ix, nth: 1 };
    attempt.end = Some((Resolution { outcome: Outcome::Succeeded, why: "a test".into(), left }, at, 3));
    status.attempts = vec![attempt];
    let opened = Arc::make_mut(&mut state.opened);
    opened.runbook.steps.push(StepPlan { on: Some(on), ..step("more", role, Danger::Changes) });
    state.steps.push(status);
}

#[test]
fn an_unfence_of_the_new_site_leaves_the_old_ones_fence_up() {
    use crate::runbook::On;
    let asked = crate::clock::now();
    for (on, up) in [(On::NewActive, true), (On::Site(SiteId::new("west")), true), (On::OldActive, false)] {
        let mut state = fenced(Strength::Blocked, serde_json::Value::Null, asked);
        done(&mut state, StepRole::Unfence, on.clone(), Yield::default(), asked);
        assert_eq!(state.fence_strength(), up.then_some(Strength::Blocked), "{on:?}");
        assert!(!state.is_unfencing(), "{on:?}");
    }
}

#[test]
fn a_proven_fence_that_fell_is_watched_after_the_end() {
    let asked = crate::clock::now();
    let mut state = fenced(Strength::Proven, serde_json::Value::Null, asked);
    assert!(!state.wants_watch(asked, LIMIT), "what is proven to be stopped is");
    state.alarms.push(("east takes writes again".into(), asked.plus(Duration::from_secs(1))));
    assert!(state.wants_watch(asked, LIMIT));
}

#[test]
fn no_loss_is_told_that_what_was_seen_later_refutes() {
    use crate::plan::Lsn;
    use crate::runbook::{Loss, On};
    let asked = crate::clock::now();
    let loss = |seen, held: u64, end| Loss {
        seen: Some(Lsn(seen)),
        held: Lsn(held),
        missing: Some(Lsn(seen).ahead_of(Lsn(held))),
        end,
    };
    let mut state = fenced(Strength::Proven, serde_json::Value::Null, asked);
    let left = |loss| Yield { loss: Some(loss), ..Yield::default() };
    done(&mut state, StepRole::Other, On::OldActive, left(loss(100, 100, true)), asked);
    assert_eq!(state.loss(), Some(loss(100, 100, true)));
    // It wrote on: that log did not end there.
    let mut more = state.clone();
    done(&mut more, StepRole::Promote, On::NewActive, left(loss(150, 100, false)), asked);
    assert_eq!(more.loss(), Some(loss(150, 100, false)));
    // What it writes by itself is held, too: the end is the end.
    let mut held = state.clone();
    done(&mut held, StepRole::Promote, On::NewActive, left(loss(150, 150, false)), asked);
    assert_eq!(held.loss(), Some(loss(150, 150, true)));
    // It was seen to take writes again: how much nobody saw.
    state.alarms.push(("east takes writes again".into(), asked.plus(Duration::from_secs(1))));
    assert_eq!(state.loss(), Some(loss(100, 100, false)));
}

#[test]
fn what_is_told_before_a_promotion_is_told_again_after_it() {
    use crate::runbook::On;
    let asked = crate::clock::now();
    let later = |secs| asked.plus(Duration::from_secs(secs));
    let mut state = fenced(Strength::Proven, serde_json::Value::Null, asked);
    let mut sentry = Sentry::default();
    let mut look = |state: &RunState, secs| {
        let writer = Writer { site: SiteId::new("east"), asked: later(secs), system: None };
        let sight = Sight { writes: HashMap::from([(east(), writer)]), ..Sight::default() };
        sentry.look(state, &sight, Epoch(1)).map(|what| what.to_string())
    };
    assert!(look(&state, 1).is_some_and(|what| what.contains("its fence does not hold")));
    assert_eq!(look(&state, 2), None, "once");
    done(&mut state, StepRole::Promote, On::NewActive, Yield::default(), later(3));
    assert_eq!(look(&state, 2), None, "it was not seen since");
    assert!(look(&state, 4).is_some_and(|what| what.contains("two sites may take writes")));
    assert_eq!(look(&state, 5), None, "once");
}

#[test]
fn a_fence_that_is_taken_down_as_approved_is_no_alarm() {
    let asked = crate::clock::now();
    for (strength, attempted) in [(Strength::Blocked, true), (Strength::Proven, true), (Strength::Blocked, false)] {
        let mut state = fenced(strength, serde_json::Value::Null, asked);
        let seen = Observation::new(Holds::Fails, "shop is let in", asked.plus(Duration::from_secs(1)));
        let opened = Arc::make_mut(&mut state.opened);
        opened.runbook.steps.push(step("unfence", StepRole::Unfence, Danger::Changes));
        let mut last = state.steps[1].clone();
        if attempted {
            let mut attempt = state.steps[0].attempts[0].clone();
            attempt.end = None;
            last.attempts.push(attempt);
        }
        state.steps.push(last);
        let mut sentry = Sentry::default();
        let saw = sentry.saw(&state, &seen, Epoch(1));
        assert_eq!(saw.is_none(), attempted, "{strength:?}: {saw:?}");
        assert_eq!(told(&state, None, asked), None, "{strength:?}");
    }
}
