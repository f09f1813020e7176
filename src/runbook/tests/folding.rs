//! `fold`: total, and what does not fit changes nothing but the list of what was ignored.

use super::super::*;
use super::bench::*;
use crate::plan::{Lsn, SafeText};

/// Appends what does not fit; nothing may change but where the journal ends and what was ignored.
fn ignored(b: &mut Bench, epoch: u64, body: Body) -> &'static str {
    let before = b.state.clone();
    b.append(Epoch(epoch), body);
    let mut after = b.state.clone();
    let (_, why) = after.ignored.pop().expect("it does not fit");
    (after.seq, after.newest) = (before.seq, before.newest);
    assert_eq!(after, before, "{why}");
    why
}

fn intent(place: usize, nth: u16, approval: u64) -> Body {
    Body::Intent { attempt: Bench::attempt(place, nth), approval, identity: Identity::default() }
}

fn outcome(place: usize, nth: u16, outcome: Outcome) -> Body {
    let resolution = Resolution { outcome, why: "seen".into(), left: Yield::default() };
    Body::Outcome { attempt: Bench::attempt(place, nth), resolution }
}

fn acted(place: usize, nth: u16) -> Body {
    Body::Acted { attempt: Bench::attempt(place, nth), acted: Acted::Refused { said: "no".into() } }
}

#[test]
fn it_begins_with_an_opened_run() {
    assert_eq!(fold(&[]), None);
    let b = Bench::held();
    assert_eq!(fold(&b.entries[1..]), None);
    let state = fold(&b.entries[..1]).unwrap();
    assert_eq!((state.seq, state.held, state.epoch), (1, false, Epoch(0)));
}

#[test]
fn entries_come_in_order_once_and_of_this_run() {
    let mut b = Bench::held();
    let mut state = b.state.clone();
    b.append(Epoch(1), Body::Noted { text: "x".into() });
    let note = b.entries.last().unwrap().clone();
    let foreign = Entry { run: RunId::new("other"), ..note.clone() };
    let gap = Entry { seq: note.seq + 1, ..note.clone() };
    for wrong in [foreign, gap, b.entries[0].clone(), b.entries[1].clone()] {
        let before = state.clone();
        state.take(&wrong);
        assert_eq!(state.ignored.pop().unwrap().1, "it is not the next entry of this run");
        assert_eq!(state, before);
    }
    state.take(&note);
    assert_eq!(state, b.state);
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let mut b = Bench::held();
    let over = "of a tenure that is over";
    let release = || Body::Released { why: "x".into() };
    assert_eq!(ignored(&mut b, 1, Body::Opened(Box::new(opened(runbook())))), "the run is open already");
    for epoch in [0, 1] {
        let tenure = Body::Tenure { pid: 1, version: "x".into() };
        assert_eq!(ignored(&mut b, epoch, tenure), "a tenure that is not newer");
    }
    assert_eq!(ignored(&mut b, 0, release()), over);
    assert_eq!(ignored(&mut b, 1, Body::Asked { from: ix(2), to: ix(1) }), "no such steps");
    assert_eq!(ignored(&mut b, 1, Body::Asked { from: ix(0), to: ix(6) }), "no such steps");
    let shown = Body::Shown { asked: 1, steps: vec![] };
    assert_eq!(ignored(&mut b, 1, shown.clone()), "nobody asks for that any more");
    assert_eq!(ignored(&mut b, 0, shown), over);
    assert_eq!(ignored(&mut b, 1, Body::Disarmed { approval: 1, why: vec![] }), "no such approval holds");
    assert_eq!(ignored(&mut b, 1, intent(0, 1, 2)), "no approval for it holds");
    assert_eq!(ignored(&mut b, 1, outcome(0, 1, Outcome::AlreadyTrue)), "no approval for it holds");
    assert_eq!(ignored(&mut b, 1, outcome(0, 1, Outcome::Succeeded)), "not the newest attempt");
    assert_eq!(ignored(&mut b, 1, acted(0, 1)), "no such attempt is open");
    assert_eq!(ignored(&mut b, 1, acted(9, 1)), "no such step");
    assert_eq!(ignored(&mut b, 1, outcome(9, 1, Outcome::Failed)), "no such step");
    let skipped = |place| Body::Skipped { step: ix(place), reason: "x".into() };
    assert_eq!(ignored(&mut b, 1, skipped(9)), "no such step");
    let confirmed = Body::Confirmed { step: ix(9), done: true, words: "x".into() };
    assert_eq!(ignored(&mut b, 1, confirmed), "no such step");
    assert_eq!(ignored(&mut b, 1, Body::Acknowledged { reason: "x".into() }), "the run is open");
    assert_eq!(ignored(&mut b, 1, Body::Closed(Closing::Completed)), "not every step is over");

    let steps = vec![(ix(0), preview(ix(0), b.now))];
    let shown = b.show(steps);
    let bodies = {
        let approve = Command::Approve { shown, risks: vec![], waived: vec![], typed: "do 1".to_owned() };
        decide(&b.state, approve, b.asker(None)).unwrap()
    };
    let Body::Approved(approval) = &bodies[0] else { panic!("{bodies:?}") };
    let stale = Approval { shown: 1, ..approval.clone() };
    assert_eq!(ignored(&mut b, 1, Body::Approved(stale)), "what was approved is not what was shown last");
    b.append(Epoch(1), bodies[0].clone());
    let given = b.state.seq;
    assert_eq!(ignored(&mut b, 0, intent(0, 1, given)), over);
    assert_eq!(ignored(&mut b, 1, intent(1, 1, given)), "no approval for it holds");
    assert_eq!(ignored(&mut b, 1, intent(0, 2, given)), "not the next attempt");
    let so_far = b.state.ignored.len();
    b.append(Epoch(1), intent(0, 1, given));
    assert_eq!(b.state.ignored.len(), so_far);
    assert_eq!(ignored(&mut b, 1, intent(0, 2, given)), "the step is in hand, or over");
    assert_eq!(ignored(&mut b, 1, skipped(0)), "a step is in hand");
    assert_eq!(ignored(&mut b, 1, Body::Closed(Closing::Aborted { reason: "x".into() })), "a step is in hand");
    assert_eq!(ignored(&mut b, 0, acted(0, 1)), over);
    b.append(Epoch(1), acted(0, 1));
    assert_eq!(ignored(&mut b, 1, acted(0, 1)), "it acted already, or another tenure began it");
    b.append(Epoch(1), outcome(0, 1, Outcome::Succeeded));
    assert_eq!(ignored(&mut b, 1, outcome(0, 1, Outcome::Failed)), "its end is known already");
    assert_eq!(ignored(&mut b, 1, skipped(0)), "the step is over");
    b.append(Epoch(1), Body::Closed(Closing::Aborted { reason: "x".into() }));
    assert_eq!(ignored(&mut b, 1, skipped(1)), "the run is closed");
    let seqs: Vec<u64> = b.state.ignored.iter().map(|(seq, _)| *seq).collect();
    assert!(seqs.is_sorted());
}

#[test]
fn an_intent_waits_for_its_turn() {
    let mut b = Bench::held();
    b.approved(0, 2);
    let given = b.state.seq;
    assert_eq!(ignored(&mut b, 1, intent(1, 1, given)), "it is not this step's turn");
    b.append(Epoch(1), intent(0, 1, given));
    assert_eq!(ignored(&mut b, 1, intent(1, 1, given)), "another step is in hand");
    b.tenure(2);
    let late = Body::Acted { attempt: Bench::attempt(0, 1), acted: Acted::NotSent { why: "x".into() } };
    assert_eq!(ignored(&mut b, 2, late), "it acted already, or another tenure began it");
}

/// A group of which one failed takes the approval with it; a retry needs a newer one.
#[test]
fn a_retry_needs_a_newer_approval() {
    let mut b = Bench::held();
    b.approved(0, 2);
    let first = b.state.seq;
    b.carry_out(0);
    b.begin(1).unwrap();
    b.begin(2).unwrap();
    b.end(1, 1, Outcome::Failed).unwrap();
    assert!(b.state.approval.is_none());
    let why: Vec<&str> = b.state.blocked.as_ref().unwrap().why.iter().map(SafeText::as_str).collect();
    assert_eq!(why, ["step 2: failed", "seen"]);
    b.end(2, 1, Outcome::Succeeded).unwrap();
    assert_eq!(b.state.phase(), Phase::Halted(ix(1), Outcome::Failed));
    assert_eq!(ignored(&mut b, 1, intent(1, 2, first)), "no approval for it holds");
    let shown = b.show(vec![(ix(1), preview(ix(1), b.now))]);
    b.approve(shown, "do 2").unwrap();
    b.begin(1).unwrap();
    assert_eq!(b.state.steps[1].attempts.len(), 2);
    assert_eq!(b.state.steps[1].attempts[1].identity, preview(ix(1), b.now).identity);
}

/// What nobody could say may be said later; a step that a person left out stays so, unless its effect is seen.
#[test]
fn a_late_outcome_does_not_bring_a_skipped_step_back() {
    let of = |late: Outcome| {
        let mut b = Bench::held();
        b.approved(0, 0);
        b.begin(0).unwrap();
        b.end(0, 1, Outcome::Indeterminate).unwrap();
        b.person(Command::Skip { step: ix(0), reason: "done by hand".to_owned() }).unwrap();
        b.approved(1, 2);
        b.end(0, 1, late).unwrap();
        assert!(b.state.approval.is_some(), "{late:?} says nothing of the steps after it");
        assert_eq!(b.state.next_step(), Some(ix(1)), "{late:?}");
        b.state.steps[0].state
    };
    assert_eq!(of(Outcome::Failed), StepState::Skipped);
    assert_eq!(of(Outcome::Succeeded), StepState::Done(Outcome::Succeeded));
}

#[test]
fn what_steps_leave_behind() {
    let mut b = Bench::held();
    b.approved(0, 2);
    assert_eq!(b.state.decided, Some(b.now));
    b.begin(0).unwrap();
    let fence = |strength| Some(Fence { strength, why: "seen".into() });
    let loss = Loss { seen: Some(Lsn(9)), held: Lsn(5), missing: None, end: false };
    let left = Yield { fence: fence(Strength::Assumed), loss: Some(loss.clone()), ..Yield::default() };
    let resolution = Resolution { outcome: Outcome::Indeterminate, why: "x".into(), left };
    b.runner(Command::End { attempt: Bench::attempt(0, 1), resolution }).unwrap();
    assert_eq!(b.state.fence_strength(), None, "what nobody can say is no fence");
    assert_eq!(b.state.loss(), Some(loss));
    let left = Yield { fence: fence(Strength::Proven), ..Yield::default() };
    let resolution = Resolution { outcome: Outcome::Succeeded, why: "x".into(), left };
    b.runner(Command::End { attempt: Bench::attempt(0, 1), resolution }).unwrap();
    assert_eq!(b.state.fence_strength(), Some(Strength::Proven));
    assert_eq!(b.state.lefts().count(), 1);
    assert_eq!(b.state.recovered(), None);
}

#[test]
fn an_unfence_takes_the_fence_away() {
    let steps = vec![
        step("fence", StepRole::Fence, Danger::Changes, None),
        step("unfence", StepRole::Unfence, Danger::Changes, None),
    ];
    let mut b = Bench::with(Runbook { kind: RunbookKind::Switchover, steps });
    b.tenure(1);
    b.approved(0, 1);
    b.begin(0).unwrap();
    let fence = Some(Fence { strength: Strength::Blocked, why: "x".into() });
    let left = Yield { fence, ..Yield::default() };
    let resolution = Resolution { outcome: Outcome::Succeeded, why: "x".into(), left };
    b.runner(Command::End { attempt: Bench::attempt(0, 1), resolution }).unwrap();
    assert_eq!(b.state.fence_strength(), Some(Strength::Blocked));
    b.begin(1).unwrap();
    assert_eq!(b.state.fence_strength(), Some(Strength::Blocked));
    b.end(1, 1, Outcome::Succeeded).unwrap();
    assert_eq!(b.state.fence_strength(), None);
    assert_eq!(b.state.recovered(), Some(b.now));
}

#[test]
fn users_were_back_when_that_was_read_and_not_when_the_last_timeout_was_over() {
    let steps = vec![
        step("promote", StepRole::Promote, Danger::Irreversible, None),
        step("clients are back", StepRole::Verify, Danger::None, None),
    ];
    let mut b = Bench::with(Runbook { kind: RunbookKind::Failover, steps });
    b.tenure(1);
    b.approved(0, 1);
    b.carry_out(0);
    b.begin(1).unwrap();
    let read = b.now;
    b.now = read.plus(std::time::Duration::from_secs(3));
    let left = Yield { seen: Some(Box::new(read)), ..Yield::default() };
    let resolution = Resolution { outcome: Outcome::Succeeded, why: "5 sessions".into(), left };
    b.runner(Command::End { attempt: Bench::attempt(1, 1), resolution }).unwrap();
    assert_eq!(b.state.recovered(), Some(read));
}

#[test]
fn what_a_person_says_of_a_step() {
    let mut b = Bench::held();
    let confirm = |done| Command::Confirm { step: ix(5), done, words: "they know".to_owned() };
    b.person(confirm(true)).unwrap();
    let seq = b.state.seq;
    assert_eq!(b.state.steps[5].confirmed, Some((true, "they know".into(), seq)));
    b.approved(0, 2);
    (0..3).for_each(|p| b.carry_out(p));
    b.approved(3, 5);
    b.carry_out(3);
    b.carry_out(4);
    b.begin(5).unwrap();
    assert_eq!(b.state.steps[5].confirmed, None, "what was said before it began does not count");
    b.person(confirm(false)).unwrap();
    assert!(b.state.steps[5].confirmed.is_some());
}
