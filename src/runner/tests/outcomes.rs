//! How steps end, and how runners do.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_can_say_is_looked_for_on_and_never_repeated() {
    let b = bench(failover());
    *b.world.odd.lock().unwrap() = Some(Odd::UnclearWithout);
    let (_runner, _stop) = b.runner().await;
    b.start().await;
    let end = b.ended(1).await;
    assert_eq!(end.outcome, Outcome::Indeterminate);
    assert!(end.why.as_str().contains("cut off"), "{}", end.why);
    // It comes late, by itself.
    b.world.make("promote");
    until("the effect", || (b.outcomes()[1] == Some(Outcome::Succeeded)).then_some(())).await;
    assert_eq!(b.world.acts().iter().filter(|(s, _)| s == "promote").count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_returned_without_its_effect_failed_and_one_that_panicked_is_not_known() {
    for (odd, outcome) in [(Odd::ReturnsWithout, Outcome::Failed), (Odd::Panics, Outcome::Indeterminate)] {
        let b = bench(failover());
        *b.world.odd.lock().unwrap() = Some(odd);
        let (_runner, _stop) = b.runner().await;
        b.start().await;
        let end = b.ended(1).await;
        assert_eq!(end.outcome, outcome, "{}", end.why);
        b.insist().await;
        assert_eq!(b.world.effect("promote"), 1);
    }
}

/// A failover whose promotion may take longer than any test.
fn patient() -> Bench {
    let mut steps = failover();
    steps[1].deadline = Span::secs(600);
    bench(steps)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_said_that_it_failed_is_looked_at_once_and_not_waited_for() {
    let b = patient();
    *b.world.odd.lock().unwrap() = Some(Odd::FailsWithout);
    let (_runner, _stop) = b.runner().await;
    b.start().await;
    let end = b.ended(1).await;
    assert_eq!((end.outcome, end.why.as_str()), (Outcome::Failed, "it failed: no room; looked"));
    assert_eq!(b.state().phase(), Phase::Halted(StepIx(1), Outcome::Failed));
    // What it did all the same counts.
    let b = patient();
    *b.world.odd.lock().unwrap() = Some(Odd::FailsWith);
    let (_runner, _stop) = b.runner().await;
    b.start().await;
    assert_eq!(b.ended(1).await.outcome, Outcome::Succeeded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_ended_without_its_effect_is_not_waited_for() {
    let b = patient();
    *b.world.odd.lock().unwrap() = Some(Odd::Ends);
    let (_runner, _stop) = b.runner().await;
    b.start().await;
    let end = b.ended(1).await;
    assert_eq!((end.outcome, end.why.as_str()), (Outcome::Failed, "the effect is not there: looked"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_far_a_long_step_is_is_in_its_journal() {
    let b = patient();
    *b.world.odd.lock().unwrap() = Some(Odd::TakesLong);
    *b.world.waits.lock().unwrap() = Some("40 % of it".to_owned());
    let (_runner, _stop) = b.runner().await;
    b.start().await;
    let progress = || b.state().steps[1].attempts.last()?.progress.clone();
    assert_eq!(until("its progress", progress).await.0.as_str(), "40 % of it");
    assert_eq!(b.state().steps[1].state, StepState::Observing);
    b.world.make("promote");
    until("the end", || b.state().closed).await;
    let said = b.bodies().into_iter().filter(|body| matches!(body, Body::Progress { .. })).count();
    assert_eq!(said, 1, "looked at hundreds of times, told once");
    // An older program reads all but that, and the proof holds for this one.
    let versions = b.journal.entries(&b.run, 0).unwrap();
    assert!(versions.iter().all(|e| e.v == if matches!(e.body, Body::Progress { .. }) { 2 } else { 1 }));
    assert_eq!(b.proved().steps[1].state, StepState::Done(Outcome::Succeeded));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_already_is_recorded_and_not_done() {
    let b = bench(failover());
    b.world.make("promote");
    let (_runner, _stop) = b.runner().await;
    b.start().await;
    until("the end", || b.state().closed).await;
    assert_eq!(b.outcomes()[1], Some(Outcome::AlreadyTrue));
    assert_eq!(b.world.acts().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_does_ends_by_a_persons_word() {
    let mut steps = failover();
    steps[0].verified = Verified::ByPerson;
    steps[0].deadline = Span::secs(60);
    let b = bench(steps);
    let (_runner, _stop) = b.runner().await;
    b.start().await;
    until("the step", || (b.state().steps[0].state == StepState::Observing).then_some(())).await;
    b.command(Command::Confirm { step: StepIx(0), done: true, words: "pulled the plug".to_owned() }).unwrap();
    // A person's word is no proof that the old site takes no writes.
    until("the end of the approval", || b.state().blocked).await;
    assert_eq!(b.proved().fence_strength(), Some(Strength::Assumed));
    b.insist().await;
    let (end, ..) = b.proved().steps[0].attempts[0].end.clone().unwrap();
    assert_eq!((end.outcome, end.why.as_str()), (Outcome::Succeeded, "said by a person: pulled the plug"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asked_to_end_it_finishes_what_is_in_hand_and_lets_go() {
    let b = bench(failover());
    *b.world.hold_at.lock().unwrap() = Some("after promote".to_owned());
    let (runner, stop) = b.runner().await;
    b.start().await;
    b.world.held.notified().await;
    stop.cancel();
    b.world.thaw.notify_one();
    assert_eq!(runner.await.unwrap(), End::Stopped);
    assert_eq!(b.outcomes(), [Some(Outcome::Succeeded), Some(Outcome::Succeeded), None]);
    assert!(!b.proved().held && !b.journal.is_held(&b.run));
    // What was approved and not begun goes on with the next one.
    let (_second, _stop) = b.runner().await;
    until("the end", || b.state().closed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_a_person_wants_comes_after_the_step_in_hand() {
    let b = bench(failover());
    *b.world.hold_at.lock().unwrap() = Some("after fence".to_owned());
    let (runner, _stop) = b.runner().await;
    b.start().await;
    b.world.held.notified().await;
    b.command(Command::Abort { reason: "false alarm".to_owned() }).unwrap();
    b.world.thaw.notify_one();
    until("the end", || b.state().closed).await;
    assert_eq!(b.outcomes(), [Some(Outcome::Succeeded), None, None]);
    assert_eq!(b.world.effect("promote"), 0);
    assert_eq!(runner.await.unwrap(), End::Closed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_that_nobody_wants_lets_go_and_says_so() {
    let mut b = bench(failover());
    b.pace.idle = Duration::from_millis(50);
    let (runner, _stop) = b.runner().await;
    assert_eq!(runner.await.unwrap(), End::Idle);
    let Some(Body::Released { why }) = b.bodies().pop() else { panic!("it did not say so") };
    assert!(why.as_str().starts_with("nothing was wanted of it for"), "{why}");
}
