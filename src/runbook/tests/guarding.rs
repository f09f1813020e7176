//! `guard`: what the run and the plan's status put on a step.

use super::super::guard::ids;
use super::super::*;
use super::bench::*;

fn conditions(b: &Bench, place: usize) -> Vec<Condition> {
    let step = b.state.opened.runbook.step(ix(place)).unwrap();
    guard(ix(place), step, &b.state, None, b.now)
}

fn one(b: &Bench, place: usize, id: &str) -> Condition {
    conditions(b, place).into_iter().find(|c| c.id == id).unwrap()
}

/// Ends step 1 with this fence.
fn fenced(strength: Option<Strength>) -> Bench {
    let mut b = Bench::held();
    b.approved(0, 0);
    b.begin(0).unwrap();
    let fence = strength.map(|strength| Fence { strength, why: "seen".into() });
    let left = Yield { fence, ..Yield::default() };
    let resolution = Resolution { outcome: Outcome::Succeeded, why: "x".into(), left };
    b.runner(Command::End { attempt: Bench::attempt(0, 1), resolution }).unwrap();
    b
}

#[test]
fn a_promotion_wants_a_fence() {
    let said = |c: &Condition| (c.held, c.consent.clone(), c.later);
    let before = one(&Bench::held(), 3, ids::FENCE);
    assert_eq!(said(&before), (Held::Unknown, "no fence".to_owned(), true), "a step before it does that");
    let of = |strength| said(&one(&fenced(strength), 3, ids::FENCE));
    assert_eq!(of(None), (Held::Unknown, "no fence".to_owned(), false));
    assert_eq!(of(Some(Strength::Assumed)), (Held::Unknown, "assumed fence".to_owned(), false));
    for strength in [Strength::Blocked, Strength::Proven] {
        assert_eq!(of(Some(strength)), (Held::Holds, String::new(), false));
    }
}

#[test]
fn a_fence_that_is_seen_to_have_fallen_is_none_whatever_it_was() {
    for strength in [Strength::Proven, Strength::Blocked, Strength::Assumed] {
        let mut b = fenced(Some(strength));
        assert!(conditions(&b, 4).iter().all(|c| c.id != ids::SPLIT));
        b.runner(Command::Raise { what: "east takes writes again".into() }).unwrap();
        let fence = one(&b, 3, ids::FENCE);
        assert_eq!(
            (fence.class, fence.held, fence.consent.as_str()),
            (Class::Identity, Held::Fails, ""),
            "{strength:?}"
        );
        let traffic = one(&b, 4, ids::SPLIT);
        assert_eq!((traffic.class, traffic.held), (Class::Identity, Held::Fails), "{strength:?}");
        assert_eq!(b.state.fenced_by(), Some(ix(0)));
    }
    let seen = |held| Observation::new(held, "shop was let in", at(9));
    let b = fenced(Some(Strength::Blocked));
    let fallen = guard::fallen(&b.state, &seen(Held::Fails)).unwrap();
    assert_eq!((fallen.class, fallen.held), (Class::Identity, Held::Fails));
    for held in [Held::Holds, Held::Unknown] {
        assert_eq!(guard::fallen(&b.state, &seen(held)), None, "{held:?}");
    }
}

#[test]
fn what_nobody_looked_at_is_unknown() {
    let b = Bench::held();
    let loss = one(&b, 3, ids::LOSS);
    assert_eq!((loss.held, loss.class, loss.amount), (Held::Unknown, Class::Risk, Some(Amount::default())));
    assert_eq!(expected_words(&loss), "lose unknown");
    let split = one(&b, 3, ids::SPLIT);
    assert_eq!((split.held, split.class), (Held::Unknown, Class::Risk));
}

#[test]
fn bad_data_is_not_promoted_by_accident() {
    let mut book = opened(runbook());
    assert!(conditions(&Bench::held(), 3).iter().all(|c| c.id != ids::BAD_DATA));
    book.cause = Cause::BadData;
    let first = entry(1, at(0), &"boot 1".into(), Epoch(0), Body::Opened(Box::new(book)));
    let state = fold(std::slice::from_ref(&first)).unwrap();
    let b = Bench { entries: vec![first], state, now: at(1), boot: "boot 1".into() };
    let bad = one(&b, 3, ids::BAD_DATA);
    assert_eq!((bad.held, bad.class, bad.consent.as_str()), (Held::Fails, Class::Risk, "promote bad data"));
}

#[test]
fn traffic_follows_the_promotion() {
    let mut b = fenced(Some(Strength::Proven));
    let before = one(&b, 4, ids::PROMOTED);
    assert_eq!((before.held, before.later), (Held::Unknown, true));
    for place in 1..4 {
        b.person(Command::Skip { step: ix(place), reason: "x".to_owned() }).unwrap();
    }
    let skipped = one(&b, 4, ids::PROMOTED);
    assert_eq!((skipped.held, skipped.later), (Held::Unknown, false), "a step that was left out promoted nothing");
    assert_eq!(expected_words(&skipped), "traffic without a primary");
    let mut b = fenced(Some(Strength::Proven));
    b.approved(1, 2);
    (1..3).for_each(|p| b.carry_out(p));
    b.approved(3, 3);
    b.carry_out(3);
    assert_eq!(one(&b, 4, ids::PROMOTED).held, Held::Holds);
}

#[test]
fn other_steps_and_drills_are_left_alone() {
    let b = Bench::held();
    for place in [0, 1, 2, 5] {
        assert_eq!(conditions(&b, place), []);
    }
    let drill = Bench::with(Runbook { kind: RunbookKind::Drill, ..runbook() });
    for place in 0..6 {
        assert_eq!(conditions(&drill, place), [], "a drill touches nothing that users use");
    }
}
