//! Hysteresis, gates without the lost site, waking up, and history across a restart.

use std::sync::Arc;
use std::time::Duration;

use lifeboat::app::{History, Model};
use lifeboat::plan::{Lsn, Plan, Subject};
use lifeboat::readiness::signals::{RECEIVED, SYSTEM_ID};
use lifeboat::readiness::{Bound, Gate, Reason, Situation, Value, Verdict};
use lifeboat::systems::postgres::rules::RULES;
use lifeboat::systems::postgres::signals as pg;

use crate::scenario::gap;
use crate::world::{PlanSpec, World, now, tell};

fn step(world: &mut World) -> (Verdict, String) {
    world.pass(world.t + 5.0);
    world.poll(&[]);
    let status = world.judged();
    (status.readiness, tell(&status))
}

#[test]
fn one_failed_look_changes_no_verdict_and_is_said() {
    let mut world = World::healthy();
    world.dark.insert("west".into(), gap("timed-out"));
    let (verdict, said) = step(&mut world);
    assert_eq!(verdict, Verdict::Ready, "{said}");
    assert!(said.contains("answered-before"), "{said}");
}

#[test]
fn two_of_five_degrade_and_three_good_ones_restore() {
    let mut world = World::healthy();
    let mut seen = Vec::new();
    for bad in [true, false, true, false, false, false, false] {
        world.dark.clear();
        if bad {
            world.dark.insert("west".into(), gap("timed-out"));
        }
        seen.push(step(&mut world).0);
    }
    use Verdict::{Degraded, Ready};
    assert_eq!(seen, [Ready, Ready, Degraded, Degraded, Degraded, Ready, Ready]);
}

#[test]
fn refused_needs_two_and_a_missing_database_needs_one() {
    let mut world = World::healthy();
    world.dark.insert("west".into(), gap("refused"));
    assert_ne!(step(&mut world).0, Verdict::NotReady);
    assert_eq!(step(&mut world).0, Verdict::NotReady);
    let mut world = World::healthy();
    world.dark.insert("west".into(), gap("no-such-database"));
    assert_eq!(step(&mut world).0, Verdict::NotReady);
}

#[test]
fn silence_becomes_unknown_by_itself_and_wakes_for_it() {
    let mut world = World::healthy();
    let limit = world.plan.stale_after(&world.plan.probes[0]);
    let wake = world.model.next_wake().expect("evidence ages");
    let last = now(world.t);
    assert!(wake.0 > now(world.t + 0.5).boot.0, "never a wake-up in the past");
    assert!(wake.0 <= last.boot.0 + limit + Duration::from_millis(50));
    let status = world.judged_after(limit.as_secs_f64() - 0.1);
    assert_eq!(status.readiness, Verdict::Ready, "{}", tell(&status));
    let status = world.judged_after(limit.as_secs_f64() + 0.1);
    assert_eq!(status.readiness, Verdict::Unknown, "{}", tell(&status));
}

#[test]
fn a_suspend_is_no_outage_of_the_primary() {
    let mut world = World::healthy();
    world.pass(world.t + 3_600.0);
    let status = world.judged();
    assert_eq!(status.readiness, Verdict::Unknown, "{}", tell(&status));
    assert_eq!(status.situation, Situation::Starting, "nobody asked it: {}", tell(&status));
    // The first look after it says how it is.
    world.dark.insert("east".into(), gap("timed-out"));
    world.poll(&[]);
    let status = world.judged();
    assert!(matches!(status.situation, Situation::PrimaryUnreachable { .. }), "{}", tell(&status));
}

/// While looks come on time, nothing else makes a healthy plan be judged: what a newer look has replaced has no age that
/// matters. A look that is overdue does: a bound that was to hold until then has grown.
#[test]
fn a_quiet_plan_is_judged_with_its_looks_alone() {
    let mut world = World::healthy();
    for _ in 0..10 {
        let (verdict, said) = step(&mut world);
        assert_eq!(verdict, Verdict::Ready, "{said}");
        let wake = world.model.next_wake().unwrap();
        let (next, overdue) = (now(world.t + 5.5).boot, now(world.t + 8.1).boot);
        assert!(wake > next && wake <= overdue, "{:?} after the look", wake.0.saturating_sub(now(world.t).boot.0));
    }
}

/// Whoever sleeps until `next_wake` and settles then must get ahead: a wake-up is later than the moment it was judged at, and
/// a world without looks comes to rest, or to one wake-up a second while a bound grows.
#[test]
fn waking_up_is_no_busy_loop() {
    for (rate, dark) in [(1_000.0, None), (0.0, Some("timed-out"))] {
        let mut world = World::healthy();
        world.rate = rate;
        if let Some(code) = dark {
            world.dark.insert("east".into(), gap(code));
            step(&mut world);
        }
        let mut at = now(world.t + 0.5);
        let begin = at;
        let mut woken = 0;
        while let Some(wake) = world.model.next_wake() {
            assert!(wake > at.boot, "a wake-up in the past");
            at = at.plus(wake.0 - at.boot.0);
            if at.since(begin) > Duration::from_secs(120) {
                break;
            }
            world.model.settle(at);
            woken += 1;
        }
        assert!(woken <= 150, "{woken} wake-ups in two minutes");
    }
}

/// Law 4: with every lane of the primary dark, for whatever reason, the gate goes by what the standby says.
#[test]
fn the_failover_gate_needs_nothing_of_the_lost_site() {
    for reason in Reason::ALL {
        let mut world = World::healthy();
        world.dark.insert("east".into(), (*reason).into());
        for _ in 0..6 {
            step(&mut world);
        }
        let status = world.judged();
        let Gate::Consent(why) = &status.gates.failover else { panic!("{reason:?}: {}", tell(&status)) };
        assert!(why.iter().any(|w| w.as_str().starts_with("lose <= ")), "{reason:?}: {why:?}");
        assert!(why.iter().any(|w| w.as_str().contains("fence")), "{reason:?}: {why:?}");
        assert!(matches!(status.gates.switchover, Gate::No(_)), "{}", tell(&status));
        let login = [Reason::WrongPassword, Reason::NoAccess, Reason::NoPrivilege, Reason::SecretUnavailable];
        let named = match &status.situation {
            Situation::PrimaryUnseen { why, .. } => login.contains(why) && why == reason,
            Situation::PrimaryUnreachable { .. } | Situation::PrimaryDown { .. } => !login.contains(reason),
            other => panic!("{other:?}"),
        };
        assert!(named, "{}", tell(&status));
        assert_ne!(status.readiness, Verdict::Ready);
    }
}

/// What a session remembered bounds the loss in the next one, by the age that it then has.
#[test]
fn history_bounds_the_loss_when_the_primary_is_gone_before_we_come() {
    let mut before = World::healthy();
    let memories = before.model.changes().count();
    assert!(memories > 0);
    let plan: Arc<Plan> = Arc::clone(&before.plan);
    let probe = plan.probes[0].id.clone();
    let mut clock = lifeboat::readiness::LsnClock::default();
    let sample =
        lifeboat::readiness::LsnSample { asked: now(30.0), answered: now(30.1), lsn: Lsn(before.flushed as u64) };
    clock.observe(&"7300000000000000001".into(), 1, &"an earlier boot".into(), sample);
    before.pass(90.0);
    before.hold_received = true;
    before.dark.insert("east".into(), gap("timed-out"));
    let mut model = Model::new(RULES.to_vec(), pg::SIGNALS, "this boot".into());
    model.configure(vec![Arc::clone(&plan)], now(89.0));
    model.remember(History { clocks: vec![(probe, clock)], ..History::default() });
    before.model = model;
    before.poll(&[]);
    let status = before.judged();
    let bound = status.exposure().map(|e| e.bound.clone());
    // The boot clock of this test began long before that sample, so that the sample is as old as this boot at least.
    let Some(Bound::AtMost { span }) = bound else { panic!("{}", tell(&status)) };
    assert!(span.0 >= Duration::from_secs(60), "{span}");
}

/// A standby that answers for another cluster than the one whose primary was last seen, while no primary is there to compare.
#[test]
fn another_cluster_is_recognised_without_the_primary() {
    let mut world = World::healthy();
    world.dark.insert("east".into(), gap("timed-out"));
    for _ in 0..6 {
        step(&mut world);
    }
    world.servers.get_mut("west").unwrap().insert(SYSTEM_ID, Ok(Value::text("7300000000000000009")));
    let (verdict, said) = step(&mut world);
    assert_eq!(verdict, Verdict::NotReady, "{said}");
    assert!(said.contains("other-cluster"), "{said}");
    assert!(said.contains("an unknown loss"), "{said}");
}

/// Two addresses, equal look times: the same look twice is taken once.
#[test]
fn a_look_counts_once() {
    let mut world = World::new(&PlanSpec::default());
    let lane = world.lane_ids().remove(1);
    let polled = world.look(&lane, now(1.0));
    world.model.polled(polled.clone());
    assert!(world.model.polled(polled.clone()).is_empty());
    let older = world.look(&lane, now(0.5));
    world.model.polled(older);
    let readings = world.model.readings(&world.plan.id).unwrap();
    assert_eq!(readings.outcomes(&lane).len(), 1);
}

/// A look that claims readings of another lane changes nothing there.
#[test]
fn a_look_speaks_for_its_own_lane_only() {
    let mut world = World::healthy();
    let lanes = world.lane_ids();
    world.pass(35.0);
    let mut polled = world.look(&lanes[0], now(35.0));
    for r in &mut polled.readings {
        r.key.subject = Subject::site(lifeboat::plan::SiteId::new("west"));
    }
    polled.readings.retain(|r| r.key.signal == RECEIVED);
    world.model.polled(polled);
    world.poll(&["west".into()]);
    let status = world.judged();
    assert_eq!(status.readiness, Verdict::Ready, "{}", tell(&status));
}

/// A standby that is ahead of the newest sample (it was asked later) is bounded by that sample's age, and lacks nothing.
#[test]
fn a_standby_ahead_of_the_sample_lacks_nothing() {
    let mut world = World::healthy();
    world.pass(33.0);
    world.poll(&["west".into()]);
    let status = world.judged();
    let e = status.exposure().unwrap();
    assert_eq!(e.missing.map(|b| b.0), Some(0));
    assert!(e.bound.span().is_some_and(|s| s.0 >= Duration::from_secs(3)), "{}", tell(&status));
}

/// Two writers whose first looks do not overlap may be half of a switchover; a one-shot check must look again, and then knows.
#[test]
fn a_one_shot_check_looks_again_at_a_second_writer() {
    let mut world = World::new(&PlanSpec::default());
    world.servers.insert("west".into(), crate::views::primary("west"));
    let lanes = world.lane_ids();
    for (t, lane) in [(0.0, 0), (1.0, 1)] {
        let polled = world.look(&lanes[lane], now(t));
        world.model.polled(polled);
    }
    world.pass(2.0);
    let status = world.judged();
    assert_eq!((status.readiness, status.situation.words()), (Verdict::Unknown, "away from home"), "{}", tell(&status));
    assert_eq!(world.model.unsettled(), lanes);
    world.poll(&[]);
    let status = world.judged();
    assert_eq!((status.readiness, status.situation.words()), (Verdict::NotReady, "split brain"), "{}", tell(&status));
}

/// With a history that is hours old, a standby that is a moment behind would be dated by it: a one-shot check looks again
/// instead of calling hours a loss.
#[test]
fn a_one_shot_check_looks_again_at_a_standby_a_moment_behind() {
    let mut world = World::healthy();
    world.hold_received = true;
    world.hold_replayed = true;
    world.pass(7_200.0);
    world.poll(&[]);
    let status = world.judged();
    assert!(
        status.exposure().unwrap().bound.span().is_some_and(|s| s.0 > Duration::from_secs(3_600)),
        "{}",
        tell(&status)
    );
    assert!(world.model.unsettled().iter().any(|l| World::name(l) == "west"), "{}", tell(&status));
    world.hold_received = false;
    world.hold_replayed = false;
    world.pass(7_201.0);
    world.poll(&["west".into()]);
    assert_eq!(world.judged().readiness, Verdict::Ready);
    assert!(world.model.unsettled().is_empty());
}

/// Nothing probed and nothing required, nothing probed and something required, nothing looked at yet: unknown, and no panic.
#[test]
fn nothing_is_never_ready() {
    use lifeboat::plan::Area;
    for (servers, requires) in [
        (vec![], vec![]),
        (vec![], vec![Area::Replication]),
        (vec!["east", "west"], vec![]),
        (vec!["east"], vec![Area::Dns]),
    ] {
        for sites in [vec!["east"], vec!["east", "west"], vec!["east", "north", "west"]] {
            let spec = PlanSpec { servers: servers.clone(), requires: requires.clone(), sites, ..PlanSpec::default() };
            let status = World::new(&spec).judged();
            assert_eq!(status.readiness, Verdict::Unknown, "{}", tell(&status));
            assert!(!matches!(status.gates.failover, Gate::Go | Gate::Consent(_)), "{}", tell(&status));
        }
    }
}

/// A primary alone is no plan: with one site there is nowhere to go, and with a second site without a server nothing is proven.
#[test]
fn a_primary_alone_is_not_ready_to_fail_over() {
    for sites in [vec!["east"], vec!["east", "west"]] {
        let spec = PlanSpec { servers: vec!["east"], sites, ..PlanSpec::default() };
        let status = World::new(&spec).run_to(20.0);
        assert_ne!(status.readiness, Verdict::Ready, "{}", tell(&status));
        assert!(!matches!(status.gates.failover, Gate::Go | Gate::Consent(_)), "{}", tell(&status));
    }
}

/// A board shows a bound until its next judgement, so the bound must still hold at the last moment before that; a one-shot
/// check says what was true when it looked.
#[test]
fn what_a_board_shows_holds_until_it_is_judged_again() {
    for watching in [false, true] {
        let mut world = World::healthy();
        if watching {
            world.model =
                std::mem::replace(&mut world.model, Model::new(Vec::new(), [], "this boot".into())).watching();
        }
        let shown = world.run_to(40.0).exposure().and_then(|e| e.bound.span()).unwrap();
        // The newest covered sample is of this round: what is committed from now on is lost with the primary.
        let until_the_next_look = Duration::from_secs(5);
        assert_eq!(shown.0 >= until_the_next_look, watching, "{shown}");
        assert_eq!(shown.0.subsec_nanos() == 0, watching || shown.0.is_zero(), "{shown}");
        assert_eq!(world.judged().readiness, Verdict::Ready);
    }
}

/// A password that was rotated is no outage: at night the sentence and the advice must not send anybody to fail over.
#[test]
fn a_refused_login_is_not_told_as_an_outage() {
    let mut world = World::healthy();
    world.dark.insert("east".into(), lifeboat::readiness::Reason::WrongPassword.into());
    let status = world.run_to(60.0);
    assert!(!status.situation.leads(), "{}", tell(&status));
    let why = status.findings.iter().find(|f| f.code == "primary-unseen").unwrap();
    assert!(why.sentence.as_str().contains("answers, but not to lifeboat: password refused"), "{}", why.sentence);
    assert!(why.next.as_ref().unwrap().as_str().contains("login"), "{why:?}");
}

/// The site is noted in the history now and then, each position at every look: the outage of a session that begins in it is
/// told from the last of them, as the loss is.
#[test]
fn an_outage_that_a_new_session_finds_began_with_the_last_position() {
    let mut before = World::healthy();
    let plan: Arc<Plan> = Arc::clone(&before.plan);
    let probe = plan.probes[0].id.clone();
    let mut clock = lifeboat::readiness::LsnClock::default();
    let sample =
        lifeboat::readiness::LsnSample { asked: now(30.0), answered: now(30.1), lsn: Lsn(before.flushed as u64) };
    clock.observe(&"7300000000000000001".into(), 1, &"this boot".into(), sample);
    let active = [(plan.id.clone(), (lifeboat::plan::SiteId::new("east"), now(5.0), "this boot".into()))];
    before.pass(40.0);
    before.dark.insert("east".into(), gap("timed-out"));
    let mut model = Model::new(RULES.to_vec(), pg::SIGNALS, "this boot".into());
    model.configure(vec![plan], now(39.0));
    model.remember(History { clocks: vec![(probe, clock)], active: active.into(), ..History::default() });
    before.model = model;
    before.poll(&[]);
    let status = before.judged();
    assert!(matches!(status.situation, Situation::PrimaryUnreachable { since: Some(at), .. } if at == now(30.0)));
}

/// Whoever reads one line reads the cause: what follows from it comes after it.
#[test]
fn causes_lead() {
    let first = |world: &mut World| {
        for _ in 0..4 {
            step(world);
        }
        let status = world.judged();
        (status.findings[0].code.to_string(), tell(&status))
    };
    // The standby was stopped: the primary sends nothing to it, of course.
    let mut world = World::healthy();
    world.dark.insert("west".into(), gap("refused"));
    world.servers.get_mut("east").unwrap().insert(pg::SENDERS, Ok(Value::Rows(Vec::new())));
    let (code, said) = first(&mut world);
    assert_eq!(code, "refused", "{said}");
    assert!(said.contains("sender-missing"), "{said}");

    // Its slot is lost: it receives nothing, and falls behind.
    let mut world = World::healthy();
    world.servers.get_mut("east").unwrap().insert(pg::SENDERS, Ok(Value::Rows(Vec::new())));
    world.servers.get_mut("west").unwrap().insert(pg::RECEIVER, Ok(Value::Rows(Vec::new())));
    let slots = world.servers.get_mut("east").unwrap().get_mut(&pg::SLOTS).unwrap();
    let Ok(Value::Rows(rows)) = slots else { panic!("no slots") };
    rows[0].set("wal_status", Value::text("lost"));
    rows[0].set("active", Value::Bool(false));
    let (code, said) = first(&mut world);
    assert_eq!(code, "slot-lost", "{said}");
    assert!(said.contains("not-streaming") && said.contains("sender-missing"), "{said}");
}

/// A gate says each reason once, and what is going on before anything that follows from it.
#[test]
fn a_switchover_names_what_is_going_on_and_no_more() {
    let mut world = World::healthy();
    world.dark.insert("east".into(), gap("refused"));
    for _ in 0..4 {
        step(&mut world);
    }
    let status = world.judged();
    let Gate::No(why) = &status.gates.switchover else { panic!("{}", tell(&status)) };
    assert_eq!(why.iter().map(lifeboat::plan::SafeText::as_str).collect::<Vec<_>>(), ["primary down"]);
}

/// A session that finds what an earlier one left adds nothing to the timeline; one that finds something else does.
#[test]
fn a_restart_is_no_change() {
    let mut before = World::healthy();
    let changes: Vec<_> = before.model.changes().cloned().collect();
    assert!(!changes.is_empty());
    let plan = Arc::clone(&before.plan);
    for (late, dark, rows) in [(false, false, 0), (true, false, 0), (false, true, 1), (true, true, 1)] {
        let mut model = Model::new(RULES.to_vec(), pg::SIGNALS, "this boot".into());
        model.configure(vec![Arc::clone(&plan)], now(before.t));
        let past = History { changes: changes.clone(), ..History::default() };
        if !late {
            model.remember(past.clone());
        }
        before.model = model;
        before.dark.clear();
        if dark {
            before.dark.insert("west".into(), gap("no-such-database"));
        }
        step(&mut before);
        if late {
            before.model.remember(past);
        }
        assert_eq!(before.model.changes().count(), changes.len() + rows, "late {late}, dark {dark}");
    }
}
