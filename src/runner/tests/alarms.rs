//! The watch over what a run has done: fences that fall, and the alarms and approvals after that.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_that_died_is_followed_by_another_which_raises_the_alarm() {
    let b = bench(failover());
    b.world.assumed.store(true, Ordering::SeqCst);
    let (first, _stop) = b.runner().await;
    b.start().await;
    until("the end of the approval", || b.state().blocked).await;
    b.insist().await;
    assert!(b.journal.is_held(&b.run), "it stays to watch");
    first.abort();
    let _killed = first.await;
    let (second, _stop) = b.runner().await;
    assert_eq!(b.state().epoch, Epoch(2));
    let writer = Writer { site: SiteId::new("east"), asked: clock::now(), system: None };
    b.show.send(Sight { writes: HashMap::from([(east(), writer)]), ..Sight::default() }).unwrap();
    until("the alarm", || b.state().alarms.first().cloned()).await;
    assert_eq!(b.world.effect("promote"), 1);
    b.command(Command::Acknowledge { reason: "it is being fenced by hand".to_owned() }).unwrap();
    assert_eq!(second.await.unwrap(), End::Closed);
    assert!(b.proved().ignored.is_empty());
    // Nothing is left to watch: nobody takes it any more.
    assert!(matches!(b.journal.take(&b.run, &who("late")), Err(JournalError::Closed(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_site_that_takes_writes_again_is_an_alarm_even_after_the_end() {
    let b = bench(failover());
    b.world.assumed.store(true, Ordering::SeqCst);
    let (runner, _stop) = b.runner().await;
    b.start().await;
    // That the fence proves nothing is known only now, and wants its own words.
    until("the end of the approval", || b.state().blocked).await;
    assert_eq!(b.world.effect("promote"), 0);
    b.insist().await;
    assert!(b.state().alarms.is_empty() && b.journal.is_held(&b.run));
    let at_site = |site, asked| Writer { site: SiteId::new(site), asked, system: None };
    let seen = |writer| Sight { writes: HashMap::from([(east(), writer)]), ..Sight::default() };
    let writes = |at| seen(at_site("east", at));
    // What was seen before the fence is no news.
    b.show.send(writes(b.state().opened_at)).unwrap();
    b.show.send(seen(at_site("west", clock::now()))).unwrap();
    b.show.send(writes(clock::now())).unwrap();
    until("the alarm", || b.state().alarms.first().cloned()).await;
    b.show.send(writes(clock::now())).unwrap();
    b.command(Command::Acknowledge { reason: "it is being fenced by hand".to_owned() }).unwrap();
    assert_eq!(runner.await.unwrap(), End::Closed);
    let alarms = b.proved().alarms;
    assert_eq!(alarms.len(), 1, "once");
    assert!(alarms[0].0.as_str().starts_with("east takes writes again (orders-db, fence: assumed)"), "{alarms:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_ends_what_was_approved_before_it() {
    let b = bench(failover());
    let (runner, stop) = b.runner().await;
    // Whatever stopped it, something starts it again.
    let asked = clock::now().plus(Duration::from_secs(60));
    let writer = Writer { site: SiteId::new("east"), asked, system: None };
    b.show.send(Sight { writes: HashMap::from([(east(), writer)]), ..Sight::default() }).unwrap();
    b.start().await;
    let blocked = until("the end of the approval", || b.state().blocked).await;
    assert!(blocked.why[0].as_str().contains("its fence does not hold"), "{blocked:?}");
    assert_eq!((b.world.effect("fence"), b.world.effect("promote")), (1, 0));
    let state = b.state();
    assert!(state.approval.is_none() && state.alarms.len() == 1 && state.wrote_since_fence().is_some());
    stop.cancel();
    assert_eq!(runner.await.unwrap(), End::Stopped);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fence_that_fell_after_it_was_seen_lets_nothing_be_promoted() {
    let mut b = bench(failover());
    // Nobody looks at it but the promotion.
    b.pace.watch = 10 * LIMIT;
    b.world.blocked.store(true, Ordering::SeqCst);
    let (runner, stop) = b.runner().await;
    b.command(Command::Ask { from: StepIx(0), to: StepIx(0) }).unwrap();
    until("the fence is shown", || b.state().shown).await;
    b.approve().unwrap();
    until("the fence is up", || Some(()).filter(|()| b.state().fence().is_some())).await;
    // Somebody lets the applications in again, by hand.
    b.world.effects.lock().unwrap().remove("fence");
    b.ask().await;
    let shown = b.state().shown.unwrap();
    let (_, promotion) = &shown.steps[0];
    let fallen = promotion
        .conditions
        .iter()
        .find(|c| c.id == crate::runbook::guard::ids::FALLEN)
        .expect("it is looked at again");
    assert_eq!((fallen.class, fallen.held), (crate::runbook::Class::Identity, Holds::Fails));
    assert!(b.approve().is_err(), "nothing is typed that would waive it");
    assert_eq!(b.world.effect("promote"), 0);
    stop.cancel();
    assert_eq!(runner.await.unwrap(), End::Stopped);
}

/// A blocked fence is up and nothing else is done; and whoever works on the run.
async fn blocked() -> (Bench, JoinHandle<End>, CancellationToken) {
    let b = bench(failover());
    b.world.blocked.store(true, Ordering::SeqCst);
    let (runner, stop) = b.runner().await;
    b.command(Command::Ask { from: StepIx(0), to: StepIx(0) }).unwrap();
    until("the fence is shown", || b.state().shown).await;
    b.approve().unwrap();
    until("the fence is up", || Some(()).filter(|()| b.state().fence().is_some())).await;
    (b, runner, stop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_fence_that_is_undone_by_hand_is_an_alarm() {
    let (b, runner, stop) = blocked().await;
    b.world.effects.lock().unwrap().remove("fence");
    let (alarm, _) = until("the alarm", || b.state().alarms.first().cloned()).await;
    let words = "east lets the application in again (fence: blocked): its fence does not hold; fence it again before";
    assert!(alarm.as_str().starts_with(words), "{alarm}");
    b.ask().await;
    let refused = b.approve().unwrap_err().to_string();
    assert!(refused.contains("fence"), "{refused}");
    // Up again and down again is another one.
    b.world.make("fence");
    let looks = b.world.calls.load(Ordering::SeqCst);
    until("two looks", || Some(()).filter(|()| b.world.calls.load(Ordering::SeqCst) > looks + 3)).await;
    b.world.effects.lock().unwrap().remove("fence");
    until("another alarm", || b.state().alarms.get(1).cloned()).await;
    stop.cancel();
    assert_eq!(runner.await.unwrap(), End::Stopped);
    assert_eq!((b.proved().alarms.len(), b.world.effect("promote")), (2, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_fence_is_watched_after_the_end_until_somebody_takes_note() {
    let b = bench(failover());
    b.world.blocked.store(true, Ordering::SeqCst);
    let (first, _stop) = b.runner().await;
    b.start().await;
    until("the end", || b.state().closed).await;
    assert!(b.journal.is_held(&b.run), "it stays to watch");
    first.abort();
    let _killed = first.await;
    // Whoever follows looks as well.
    let (second, _stop) = b.runner().await;
    b.world.effects.lock().unwrap().remove("fence");
    let (alarm, _) = until("the alarm", || b.state().alarms.first().cloned()).await;
    assert!(alarm.as_str().contains("two sites may take writes; fence it now; looked"), "{alarm}");
    b.command(Command::Acknowledge { reason: "it is stopped by hand".to_owned() }).unwrap();
    assert_eq!(second.await.unwrap(), End::Closed);
    assert_eq!(b.proved().alarms.len(), 1, "once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_fence_beside_which_nothing_was_promoted_is_not_watched_after_the_end() {
    let (b, runner, _stop) = blocked().await;
    b.command(Command::Abort { reason: "it came back".to_owned() }).unwrap();
    assert_eq!(runner.await.unwrap(), End::Closed, "to let them in again is what is left to do");
    assert!(b.proved().alarms.is_empty());
}
