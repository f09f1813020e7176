//! From an approval to an effect: what lets a step act, what keeps it from acting, and what a death on the way leaves.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_goes_from_its_approval_to_its_end() {
    let b = bench(failover());
    let (runner, _stop) = b.runner().await;
    b.start().await;
    until("the end", || b.state().closed).await;
    assert_eq!(b.outcomes(), [Some(Outcome::Succeeded); 3]);
    assert_eq!(b.proved().closed.map(|(c, _)| c), Some(Closing::Completed));
    assert_eq!(b.world.acts().len(), 3);
    assert_eq!(runner.await.unwrap(), End::Closed);
    assert!(!b.journal.is_held(&b.run));
    assert!(matches!(b.bodies().last(), Some(Body::Released { .. })));
    // Intent, act and outcome of each step, in this order, each by the runner that held the run.
    let said: Vec<&str> = (b.bodies().iter())
        .filter_map(|b| match b {
            Body::Intent { .. } => Some("intent"),
            Body::Acted { .. } => Some("acted"),
            Body::Outcome { .. } => Some("outcome"),
            _ => None,
        })
        .collect();
    assert_eq!(said, ["intent", "acted", "outcome"].repeat(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_call_it_acts_at_most_once_an_attempt_and_every_effect_is_made_once() {
    let mut killed = 0;
    for at in 0.. {
        let b = bench(failover());
        *b.world.freeze_at.lock().unwrap() = Some(at);
        let (first, _stop) = b.runner().await;
        tokio::select! {
            () = b.world.held.notified() => {}
            () = b.insist() => {}
        }
        first.abort();
        let _killed = first.await;
        let finished = !b.world.reached.load(Ordering::SeqCst);
        if !finished {
            killed += 1;
            let (second, _stop) = b.runner().await;
            b.insist().await;
            second.abort();
        }
        let state = b.proved();
        assert_eq!(state.closed.as_ref().map(|(c, _)| c), Some(&Closing::Completed), "killed at call {at}");
        for step in ["fence", "promote", "verify"] {
            assert_eq!(b.world.effect(step), 1, "{step}, killed at call {at}: {:?}", b.bodies());
        }
        b.no_attempt_acted_twice();
        if finished {
            break;
        }
    }
    assert!(killed > 15, "{killed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_4_what_was_in_hand_becomes_indeterminate_and_is_only_looked_for() {
    let b = bench(failover());
    *b.world.hold_at.lock().unwrap() = Some("after promote".to_owned());
    let (first, _stop) = b.runner().await;
    b.start().await;
    b.world.held.notified().await;
    first.abort();
    let _killed = first.await;
    assert_eq!(b.outcomes()[1], None, "nobody knows");
    let (_second, _stop) = b.runner().await;
    // It sees the effect, and says so; and it asks before it goes on.
    until("the effect", || (b.outcomes()[1] == Some(Outcome::Succeeded)).then_some(())).await;
    let ends = b.bodies().into_iter().filter_map(|body| match body {
        Body::Outcome { attempt, resolution } if attempt.step == StepIx(1) => Some(resolution.outcome),
        _ => None,
    });
    assert_eq!(ends.collect::<Vec<_>>(), [Outcome::Indeterminate, Outcome::Succeeded]);
    assert_eq!(b.state().phase(), Phase::Waiting(StepIx(2)));
    assert_eq!(b.world.acts().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_5_another_target_after_the_intent_is_not_touched() {
    let b = bench(failover());
    // It is previewed to be shown, to begin, and once the intent is on disk.
    *b.world.another_from.lock().unwrap() = Some(2);
    let (_runner, _stop) = b.runner().await;
    b.start().await;
    let end = b.ended(1).await;
    assert_eq!(end.outcome, Outcome::NotStarted);
    assert!(end.why.as_str().contains("system was 7, is 8"), "{}", end.why);
    assert_eq!(b.world.effect("promote"), 0);
    assert!(b.state().approval.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_5_an_approval_that_is_taken_back_after_the_intent_lets_nothing_act() {
    let b = bench(failover());
    let (_runner, _stop) = b.runner().await;
    b.ask().await;
    b.approve().unwrap();
    *b.world.hold_at.lock().unwrap() = Some("preview promote".to_owned());
    b.world.held.notified().await;
    // Whether it was the preview before the intent or the one after it.
    b.command(Command::Withdraw { reason: "wait".to_owned() }).unwrap();
    b.world.thaw.notify_one();
    until("its end", || (!matches!(b.state().phase(), Phase::Acting(_) | Phase::Approved(_))).then_some(())).await;
    assert_eq!(b.world.effect("promote"), 0);
    assert!(b.outcomes()[1].is_none_or(|o| o == Outcome::NotStarted));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_6_and_7_one_approval_lets_a_step_act_once_and_a_retry_needs_another() {
    let b = bench(failover());
    *b.world.odd.lock().unwrap() = Some(Odd::Refuses);
    let (_runner, _stop) = b.runner().await;
    b.start().await;
    let end = b.ended(1).await;
    assert_eq!((end.outcome, end.why.as_str()), (Outcome::Failed, "refused: not in recovery"));
    let seen = b.world.previews.load(Ordering::SeqCst);
    assert_eq!(b.state().phase(), Phase::Halted(StepIx(1), Outcome::Failed));
    assert_eq!(b.approve(), Err("nothing is shown".to_owned()));
    b.start().await;
    until("the end", || b.state().closed).await;
    assert!(b.world.previews.load(Ordering::SeqCst) > seen);
    assert_eq!(b.outcomes(), [Some(Outcome::Succeeded); 3]);
    b.no_attempt_acted_twice();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_8_without_a_durable_intent_nothing_acts() {
    let b = bench(failover());
    let other = rusqlite::Connection::open(b.dir.path().join(journal::FILE)).unwrap();
    // Everything goes well until COMMIT.
    other
        .execute_batch(
            "CREATE TABLE odd (x INTEGER REFERENCES entry (id) DEFERRABLE INITIALLY DEFERRED);
             CREATE TRIGGER oddly AFTER INSERT ON entry WHEN json_extract(new.text, '$.body.is') = 'intent'
             BEGIN INSERT INTO odd VALUES (-1); END;",
        )
        .unwrap();
    let (_runner, _stop) = b.runner().await;
    b.start().await;
    let shown = b.world.previews.load(Ordering::SeqCst);
    until("several tries", || (b.world.previews.load(Ordering::SeqCst) >= shown + 2).then_some(())).await;
    assert!(b.world.acts().is_empty());
    assert_eq!(b.state().phase(), Phase::Approved(StepIx(0)));
    other.execute_batch("DROP TRIGGER oddly").unwrap();
    until("the end", || b.state().closed).await;
    assert_eq!(b.world.acts().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_8_a_runner_whose_journal_is_taken_away_acts_no_more_and_ends() {
    // Before its intent, between that and the act, and while it acts.
    for (points, acts) in
        [(["preview fence"].as_slice(), 0), (&["preview fence", "preview fence"], 0), (&["after fence"], 1)]
    {
        let b = bench(failover());
        let (runner, _stop) = b.runner().await;
        b.ask().await;
        for (nth, point) in points.iter().enumerate() {
            *b.world.hold_at.lock().unwrap() = Some((*point).to_owned());
            if nth == 0 {
                b.approve().unwrap();
            } else {
                b.world.thaw.notify_one();
            }
            b.world.held.notified().await;
        }
        let begun = b.bodies().iter().any(|body| matches!(body, Body::Intent { .. }));
        assert_eq!(begun, points != ["preview fence"], "{points:?}");
        std::fs::remove_dir_all(b.dir.path()).unwrap();
        b.world.thaw.notify_one();
        assert_eq!(runner.await.unwrap(), End::Gone, "{points:?}");
        assert_eq!(b.world.acts().len(), acts, "{points:?}");
        // Whoever approves by the file that is gone hears so.
        let refused = b.journal.state(&b.run).unwrap_err().to_string();
        assert!(refused.contains("taken away") && !b.dir.path().exists(), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_that_waits_ends_when_its_journal_is_taken_away() {
    let b = bench(failover());
    let (runner, _stop) = b.runner().await;
    b.ask().await;
    std::fs::remove_file(b.dir.path().join(journal::FILE)).unwrap();
    assert_eq!(runner.await.unwrap(), End::Gone);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_9_an_outcome_that_cannot_be_written_is_tried_on_and_nothing_more_is_done() {
    let mut steps = failover();
    // Two that run side by side: the one's outcome keeps the other from acting.
    steps.truncate(2);
    steps.push(step("other", StepRole::Other, Danger::Changes));
    for step in steps.iter_mut().skip(1) {
        step.group = Some("both".to_owned());
        step.deadline = Span::secs(10);
    }
    let b = bench(steps);
    *b.world.hold_at.lock().unwrap() = Some("after promote".to_owned());
    let (_runner, _stop) = b.runner().await;
    b.start().await;
    b.world.held.notified().await;
    until("the other one", || (b.outcomes()[2] == Some(Outcome::Succeeded)).then_some(())).await;
    let other = rusqlite::Connection::open(b.dir.path().join(journal::FILE)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    b.world.thaw.notify_one();
    let begun = Instant::now();
    // Longer than it waits for a lock.
    until("a locked database", || (begun.elapsed() > Duration::from_millis(2_500)).then_some(())).await;
    assert!(b.state().steps[1].attempts[0].acted.is_none());
    other.execute_batch("ROLLBACK").unwrap();
    until("the end", || b.state().closed).await;
    assert_eq!(b.outcomes(), [Some(Outcome::Succeeded); 3]);
    assert_eq!(b.world.effect("promote"), 1);
    assert_eq!(b.world.acts().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_3_a_runner_whose_lock_was_removed_under_it_stops_when_another_takes_the_run() {
    let b = bench(failover());
    *b.world.hold_at.lock().unwrap() = Some("preview fence".to_owned());
    let (first, _stop) = b.runner().await;
    b.command(Command::Ask { from: StepIx(0), to: StepIx(2) }).unwrap();
    b.world.held.notified().await;
    std::fs::remove_file(b.dir.path().join("runs/r1.lock")).unwrap();
    let (_second, _stop) = b.runner().await;
    until("what would be done", || b.state().shown).await;
    b.world.thaw.notify_one();
    assert_eq!(first.await.unwrap(), End::Lost);
    b.approve().unwrap();
    until("the end", || b.state().closed).await;
    assert_eq!(b.world.acts().len(), 3);
    assert!(b.proved().steps.iter().flat_map(|s| &s.attempts).all(|a| a.epoch == Epoch(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_11_a_lock_that_somebody_else_has_at_the_target_lets_nobody_approve() {
    let b = bench(failover());
    b.world.elsewhere.store(true, Ordering::SeqCst);
    let (_runner, _stop) = b.runner().await;
    b.ask().await;
    let blocked = b.approve().unwrap_err();
    assert!(blocked.contains("nobody else runs payments at db.west fails"), "{blocked}");
    b.world.elsewhere.store(false, Ordering::SeqCst);
    b.ask().await;
    until("another look", || b.approve().ok()).await;
    until("the end", || b.state().closed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_11_a_lock_that_is_lost_on_the_way_keeps_the_step_from_acting() {
    let b = bench(failover());
    *b.world.hold_at.lock().unwrap() = Some("after fence".to_owned());
    let (_runner, _stop) = b.runner().await;
    b.start().await;
    b.world.held.notified().await;
    b.world.elsewhere.store(true, Ordering::SeqCst);
    b.world.thaw.notify_one();
    until("the end of the approval", || b.state().blocked.filter(|_| b.state().approval.is_none())).await;
    assert_eq!((b.world.effect("fence"), b.world.effect("promote")), (1, 0));
}
