//! Turning back before the promotion, and the moments that an outage is measured by.

use crate::plan::{Bytes, Lsn};

use super::super::*;
use super::bench::{Bench, at, ix, step};

/// Fence, promote, traffic, look, the way back, and the way out.
fn book() -> Runbook {
    let way_out = StepPlan { on: Some(On::OldActive), ..step("unfence", StepRole::Unfence, Danger::Changes, None) };
    let steps = vec![
        step("fence", StepRole::Fence, Danger::Changes, None),
        step("promote", StepRole::Promote, Danger::Irreversible, None),
        step("dns", StepRole::Traffic, Danger::Changes, None),
        step("clients", StepRole::Verify, Danger::None, None),
        step("rejoin", StepRole::Rejoin, Danger::Changes, None),
        step("streams", StepRole::Verify, Danger::None, None),
        way_out,
    ];
    Runbook { kind: RunbookKind::Switchover, steps }
}

fn bench() -> Bench {
    let mut b = Bench::with(book());
    b.tenure(1);
    b
}

fn back() -> Command {
    Command::TurnBack { reason: "the release is broken".to_owned() }
}

#[test]
fn a_run_that_promotes_passes_the_way_out() {
    let mut b = bench();
    assert_eq!(b.person(back()), Err(Refusal::NoWayOut), "nothing is fenced yet");
    b.approved(0, 0);
    b.carry_out(0);
    assert_eq!(b.state.opened.runbook.default_range(ix(1)), ix(1)..=ix(5), "the way out is not offered");
    assert_eq!(b.person(Command::Ask { from: ix(1), to: ix(6) }), Err(Refusal::NoStep(ix(6))));
    b.approved(1, 5);
    b.begin(1).unwrap();
    assert_eq!(b.person(back()), Err(Refusal::InHand(ix(1))));
    b.end(1, 1, Outcome::Indeterminate).unwrap();
    assert_eq!(b.person(back()), Err(Refusal::NoWayOut), "it may be promoted");
    b.end(1, 1, Outcome::Succeeded).unwrap();
    assert_eq!(b.person(back()), Err(Refusal::NoWayOut));
    b.approved(2, 5);
    (2..6).for_each(|p| b.carry_out(p));
    assert_eq!(b.state.phase(), Phase::Finished);
    b.runner(Command::Close).unwrap();
    assert_eq!(b.state.steps[6].state, StepState::Planned);
}

#[test]
fn a_run_that_turns_back_undoes_the_fence_and_nothing_else() {
    let mut b = bench();
    b.approved(0, 0);
    b.carry_out(0);
    assert!(b.person(Command::TurnBack { reason: " ".to_owned() }).is_err());
    let left_out = b.person(back()).unwrap();
    assert_eq!(left_out.len(), 5, "{left_out:?}");
    assert!(b.state.has_turned_back());
    assert_eq!(b.state.phase(), Phase::Waiting(ix(6)));
    assert_eq!(b.person(back()), Err(Refusal::NoWayOut), "once");
    assert_eq!(b.state.recovered(), None);
    b.now = at(9);
    b.approved(6, 6);
    b.carry_out(6);
    assert_eq!((b.state.phase(), b.state.recovered()), (Phase::Finished, Some(at(9))));
    assert_eq!(fold(&b.entries).unwrap(), b.state);
}

#[test]
fn an_unfence_elsewhere_is_a_step_like_any_other() {
    let on = |on| StepPlan { on: Some(on), ..step("unfence", StepRole::Unfence, Danger::Changes, None) };
    let of = |steps: Vec<StepPlan>| Runbook { kind: RunbookKind::Switchover, steps };
    let (fence, promote) =
        (step("f", StepRole::Fence, Danger::Changes, None), step("p", StepRole::Promote, Danger::Irreversible, None));
    assert!(!of(vec![fence.clone(), on(On::OldActive)]).is_way_out(ix(1)), "no promotion before it");
    assert!(!of(vec![fence.clone(), promote.clone(), on(On::NewActive)]).is_way_out(ix(2)), "the new site's");
    let look = step("l", StepRole::Verify, Danger::None, None);
    assert!(!of(vec![fence.clone(), promote.clone(), on(On::OldActive), look]).is_way_out(ix(2)), "not at the end");
    assert!(of(vec![fence, promote, on(On::OldActive)]).is_way_out(ix(2)));
}

#[test]
fn users_are_away_from_the_fence_on_until_they_are_seen_to_be_back() {
    let mut b = bench();
    assert_eq!(b.state.t0.at, at(0).wall);
    b.now = at(30);
    b.approved(0, 0);
    b.carry_out(0);
    assert_eq!(b.state.t0.at, at(30).wall, "not from when somebody began to read");
    b.now = at(40);
    b.approved(1, 5);
    (1..3).for_each(|p| b.carry_out(p));
    assert_eq!(b.state.recovered(), None);
    b.now = at(50);
    b.carry_out(3);
    assert_eq!(b.state.recovered(), Some(at(50)));
    b.now = at(200);
    (4..6).for_each(|p| b.carry_out(p));
    assert_eq!(b.state.recovered(), Some(at(50)), "the way back is no outage");
    assert_eq!(b.state.t0.at, at(30).wall, "once");
}

#[test]
fn a_fence_that_was_not_begun_takes_nothing_away() {
    let mut b = bench();
    b.now = at(30);
    b.approved(0, 0);
    b.begin(0).unwrap();
    assert_eq!(b.state.t0.at, at(30).wall);
    b.end(0, 1, Outcome::NotStarted).unwrap();
    assert_eq!(b.state.t0, b.state.opened.t0, "it served on");
    b.now = at(60);
    b.approved(0, 0);
    b.begin(0).unwrap();
    assert_eq!(b.state.t0.at, at(60).wall);
}

#[test]
fn an_outage_that_was_seen_before_keeps_its_beginning() {
    let mut b = bench();
    let mut opened = (*b.state.opened).clone();
    opened.detected = Some(at(0).wall);
    b.state.opened = opened.into();
    b.now = at(30);
    b.approved(0, 0);
    b.carry_out(0);
    assert_eq!(b.state.t0.at, at(0).wall);
}

#[test]
fn a_loss_claims_no_more_than_was_seen() {
    let loss = |missing: Option<u64>, end| Loss { seen: None, held: Lsn(16), missing: missing.map(Bytes), end }.words();
    assert_eq!(loss(Some(0), true), "nothing: all up to 0/10 is there");
    assert_eq!(loss(Some(2048), true), "2.0 kB of log after 0/10");
    assert!(loss(Some(0), false).starts_with("nothing that was seen: all up to 0/10 is there; what it wrote after"));
    assert!(loss(Some(2048), false).starts_with("at least 2.0 kB of log after 0/10; "));
    assert!(loss(None, false).starts_with("nobody saw"));
}
