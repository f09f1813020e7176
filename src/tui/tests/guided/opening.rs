//! Opening a run, and what is on every screen around it.

use std::collections::HashMap;

use super::*;
use crate::app::History;
use crate::app::guided::propose;

#[test]
fn a_run_is_opened_by_a_cause_a_reason_and_the_plans_name() {
    let mut p = trouble(120, 40);
    p.types("F");
    p.sees("What is wrong?");
    p.types("\n\n x");
    p.sees("What is wrong?");
    p.types("o");
    p.sees("BEYOND the objective 30s");
    p.sees("keeps out other runs of this host");
    p.types("east is gone\npay\n");
    p.sees("type \"payments\"");
    assert_eq!(p.done(), [], "a part of the name opens nothing");
    p.types("ments\n");
    let effects = p.done();
    let [Effect::OpenRun(run)] = effects.as_slice() else { panic!("{effects:?}") };
    let OpenRun { plan, kind, cause, reason, proposal, preempt } = run.as_ref();
    assert_eq!((plan.as_str(), *kind, *cause), ("payments", RunbookKind::Failover, Cause::Outage));
    assert_eq!((reason.as_str(), preempt), ("east is gone", &None));
    assert_eq!((&proposal.from, &proposal.to), (&SiteId::new("east"), &SiteId::new("west")));
    assert_eq!(proposal.t0.at, at(60).wall, "T0 is the last good look");
    assert!(proposal.detected.is_some() && proposal.expected.loss.is_some());
    // It is asked for once, however long return is held.
    p.types("\n\n");
    assert_eq!(p.done(), []);
    // Once it is open, this session leads it: the first steps are shown without asking.
    let mut tale = opened();
    p.event(Event::RunOpened { plan: PlanId::new("payments"), run: tale.run() });
    assert_eq!(p.app.view.screen, Screen::Run(tale.run()));
    p.hears(&mut tale);
    let ask = Command::Ask { from: StepIx(0), to: StepIx(0) };
    assert_eq!(commands(&p.done()), [&ask]);
    p.hears(&mut tale);
    assert_eq!(p.done(), [], "once");
}

#[test]
fn bad_data_is_told_what_a_failover_would_carry() {
    let mut p = trouble(120, 40);
    p.types("Fd");
    p.sees("Replication carries bad data");
    p.sees("nightly-dump: /srv/backups brings it back as it was at 2026-03-01 11:02:11Z, 3 h ago");
    assert!(!p.paint().contains("newest backup is 3 h old"), "what is well is no moment");
    p.types("\n\no");
    p.sees("Replication carries bad data");
    p.types("a");
    p.sees("cause: bad data");
    p.types("wrong prices\npayments\n");
    let effects = p.done();
    assert!(matches!(effects.as_slice(), [Effect::OpenRun(run)] if run.cause == Cause::BadData), "{effects:?}");
}

#[test]
fn leaving_the_prompt_opens_nothing() {
    for keys in ["F", "Fo", "Fowhy\npayment", "Fd", "Fda", "S"] {
        let mut p = trouble(120, 40);
        p.types(keys);
        assert_eq!(p.app.view.screen, Screen::Opening, "{keys}");
        p.code(KeyCode::Esc);
        assert_eq!(p.done(), [], "{keys}");
        assert_eq!(p.app.view.screen, Screen::Board, "{keys}");
        assert!(p.app.view.form.is_none() && p.app.view.opening.is_none());
    }
}

#[test]
fn the_target_is_the_plan_that_was_selected_when_the_key_was_pressed() {
    let mut p = trouble(120, 40);
    p.types("Fowhy\n");
    // The list is sorted anew, and another plan comes first.
    for secs in [112, 117, 122] {
        fixture::look(&mut p.app, "archive", Health::StandbyBroken, at(secs));
        fixture::look(&mut p.app, "payments", Health::PrimaryGone, at(secs));
        p.app.settle(at(secs));
    }
    p.types("payments\n");
    let effects = p.done();
    assert!(matches!(effects.as_slice(), [Effect::OpenRun(run)] if run.plan.as_str() == "payments"), "{effects:?}");
}

#[test]
fn a_plan_with_an_open_run_leads_to_that() {
    let mut tale = opened();
    let mut p = trouble(120, 40);
    p.hears(&mut tale);
    for keys in ["F", "S", "o"] {
        p.types(keys);
        assert_eq!(p.app.view.screen, Screen::Run(tale.run()), "{keys}");
        p.code(KeyCode::Esc);
        assert_eq!(p.app.view.screen, Screen::Board);
    }
    assert_eq!(p.done(), []);
}

#[test]
fn a_drill_gives_way_for_a_reason() {
    let mut drill = Tale::opened("payments", RunbookKind::Drill, at(100)).taken(at(101));
    let mut p = trouble(120, 40);
    p.hears(&mut drill);
    p.types("S");
    assert_eq!(p.app.view.screen, Screen::Run(drill.run()), "only a failover takes a place");
    p.code(KeyCode::Esc);
    p.types("Fo");
    p.sees("would have to give way");
    p.types("east is gone\n");
    p.types("payments\n");
    assert!(matches!(p.done().as_slice(), []), "the drill's reason is missing: the name went there");
    p.types("payments\n");
    let effects = p.done();
    let [Effect::OpenRun(run)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(run.preempt, Some((drill.run(), SafeText::new("payments"))));
}

#[test]
fn a_halted_run_gives_way_to_whoever_looks_at_it() {
    let halted = opened().shown(0, 0, at(112), |_| {}).approved(at(114)).begun(0, at(115));
    let mut halted = halted.ended(0, Outcome::Failed, "no route to host", Yield::default(), at(119));
    let mut p = trouble(120, 40);
    p.hears(&mut halted);
    p.types("F");
    assert_eq!(p.app.view.screen, Screen::Run(halted.run()), "it is looked at first");
    p.types("F");
    assert_eq!(p.app.view.screen, Screen::Opening);
    p.types("owhy\nit is stuck\npayments\n");
    let effects = p.done();
    let taken = Some((halted.run(), SafeText::new("it is stuck")));
    assert!(matches!(effects.as_slice(), [Effect::OpenRun(run)] if run.preempt == taken), "{effects:?}");
}

#[test]
fn a_second_failover_waits_until_somebody_took_note_of_the_first() {
    let mut tale = completed();
    let mut p = trouble(120, 40);
    p.hears(&mut tale);
    p.now = at(200);
    p.types("F");
    assert_eq!(p.app.view.screen, Screen::Run(tale.run()));
    p.sees("nobody has taken note");
    p.types("Kthe router of east was replaced\n");
    let noted = Command::Acknowledge { reason: "the router of east was replaced".to_owned() };
    assert_eq!(commands(&p.done()), [&noted]);
    tale = tale.person("alice", noted, at(210));
    p.hears(&mut tale);
    p.code(KeyCode::Esc);
    p.types("F");
    assert_eq!(p.app.view.screen, Screen::Opening);
}

#[test]
fn a_closed_run_over_an_assumed_fence_that_nobody_watches_is_on_every_screen() {
    let mut tale = completed();
    let mut p = trouble(120, 40);
    p.hears(&mut tale);
    p.now = at(200);
    p.types("o");
    p.sees("● east is watched");
    let unwatched = tale.news(Some(false));
    p.event(unwatched);
    p.sees("✖ NOBODY WATCHES east");
    for keys in ["b", "t"] {
        p.types(keys);
        p.sees("UNWATCHED payments: the fence of east proves nothing, and no process watches east");
    }
    let words = "east was looked at: it is off".to_owned();
    tale = tale.person("alice", Command::Acknowledge { reason: words }, at(210));
    let noted = tale.news(None);
    p.event(noted);
    assert!(!p.paint().contains("UNWATCHED"), "somebody took note");
}

#[test]
fn a_runner_that_is_gone_in_the_middle_of_a_step_is_replaced_by_g() {
    let (mut p, mut tale) = armed(120, 40, 0, 0);
    tale = tale.approved(at(132));
    let mut acting = tale.begun(0, at(133));
    let gone = acting.news(Some(false));
    p.event(gone);
    p.done();
    p.sees("NO RUNNER LIVES: G starts one");
    p.types("G");
    assert_eq!(p.done(), [Effect::StartRunner(acting.run())], "what it had in hand is looked for, not asked for again");
}

#[test]
fn how_far_a_long_step_is_is_on_the_screen() {
    let (mut p, mut tale) = armed(120, 40, 0, 0);
    tale = tale.approved(at(132)).begun(0, at(133)).acted(0, at(134));
    let attempt = AttemptId { step: StepIx(0), nth: 1 };
    tale = tale.runner(Command::Progress { attempt, what: "12 MB in the database so far".into() }, at(140));
    p.hears(&mut tale);
    p.now = at(141);
    p.sees("waits for: 12 MB in the database so far");
}

#[test]
fn what_the_journal_refuses_is_shown_and_nothing_was_opened() {
    let mut p = trouble(120, 40);
    p.types("Fowhy\npayments\n");
    p.done();
    p.event(Event::Refused("run payments-failover-1 of payments is open: attach to it, or end it first".into()));
    p.sees("refused: run payments-failover-1");
    // The name is typed again.
    p.types("\n");
    assert_eq!(p.done(), []);
    p.types("payments\n");
    assert_eq!(p.done().len(), 1);
}

#[test]
fn two_sites_that_take_writes_open_nothing_and_are_on_every_screen() {
    // Both are seen to take writes.
    let mut p = split();
    for keys in ["", "\n", "t", "?", ":", "s", "/x"] {
        let mut p = split();
        p.types(keys);
        p.sees("SPLIT BRAIN payments: east and west take writes at once");
        p.sees("next: ");
    }
    p.types("F");
    p.sees("failover is off: ");
    assert_eq!(p.done(), []);
}

#[test]
fn the_primary_that_a_run_turned_its_application_away_from_is_no_split_brain_until_somebody_took_note() {
    let over = |strength| {
        let mut p = split();
        let fence = Fence { strength, why: "shop was refused".into() };
        let mut tale = completed_over(Yield { fence: Some(fence), ..Yield::default() });
        p.hears(&mut tale);
        (p, tale)
    };
    let (mut p, mut tale) = over(Strength::Blocked);
    p.sees("TWO PRIMARIES payments: west, and east, whose application roles the fence turned away");
    p.sees("next: stop east, or make it a standby of west");
    assert!(!p.paint().contains("SPLIT BRAIN payments: "));
    // From then on nobody knows what became of the fence.
    tale = tale.person("alice", Command::Acknowledge { reason: "so it is".to_owned() }, at(210));
    p.hears(&mut tale);
    p.sees("SPLIT BRAIN payments: east and west take writes at once");
    // What was stopped, or did not answer, and takes writes now, is not fenced at all.
    for strength in [Strength::Proven, Strength::Assumed] {
        over(strength).0.sees("SPLIT BRAIN payments: east and west take writes at once");
    }
}

/// When users have been without service, why it is said to be then, and when that was first seen.
fn beginning(
    app: &App,
    kind: RunbookKind,
    now: Now,
) -> (chrono::DateTime<chrono::Utc>, String, Option<chrono::DateTime<chrono::Utc>>) {
    let proposal = propose(app, &PlanId::new("payments"), kind, now).unwrap();
    (proposal.t0.at, proposal.t0.why.to_string(), proposal.detected)
}

#[test]
fn an_outage_begins_with_the_last_good_look_of_whoever_had_one() {
    let gone = |mut app: App| {
        for secs in [1, 6, 11] {
            fixture::look(&mut app, "payments", Health::PrimaryGone, at(secs));
            app.settle(at(secs));
        }
        app
    };
    let starting = || fixture::starting(&[("payments", 1)], 120, 40);
    let failover = RunbookKind::Failover;
    // This session saw it run, and end.
    let told = beginning(&trouble(120, 40).app, failover, at(110));
    assert_eq!((told.0, told.1.as_str()), (at(60).wall, "the last good look at east"));
    assert!(told.2.is_some_and(|d| d > at(60).wall && d <= at(85).wall), "{told:?}");
    // It was gone before this session began: an earlier one, of another boot even, saw it.
    let mut app = starting();
    let before = Now { wall: at(0).wall - chrono::TimeDelta::seconds(500), ..at(0) };
    let seen = (SiteId::new("east"), before, "another boot".into());
    let active = HashMap::from([(PlanId::new("payments"), seen)]);
    app.model.remember(History { active, ..History::default() });
    let told = beginning(&gone(app), failover, at(12));
    assert_eq!((told.0, told.1.as_str()), (before.wall, "the last good look at east"));
    assert!(told.2.is_some_and(|d| d >= at(1).wall && d <= at(12).wall), "not before anybody looked: {told:?}");
    // Nobody ever saw it.
    let told = beginning(&gone(starting()), failover, at(12));
    assert_eq!((told.0, told.1.as_str()), (at(12).wall, "nothing was seen before"));
    assert!(told.2.is_some_and(|d| d >= at(1).wall && d <= at(12).wall), "{told:?}");
}

#[test]
fn without_an_outage_it_begins_when_it_is_started() {
    let app = fixture::normal(120, 40);
    let told = beginning(&app, RunbookKind::Failover, at(61));
    assert_eq!(told, (at(61).wall, "until then it was seen to run".to_owned(), None));
    // What is planned takes the service away by itself, whatever is seen.
    let told = beginning(&trouble(120, 40).app, RunbookKind::Switchover, at(110));
    assert_eq!(told, (at(110).wall, "it was started then".to_owned(), None));
}

#[test]
fn beyond_the_last_step_of_a_run_that_is_over_stands_how_it_ended() {
    let mut tale = completed();
    let mut p = trouble(120, 40);
    p.hears(&mut tale);
    p.now = at(200);
    p.types("o");
    p.sees("HOW IT ENDED");
    p.types("k");
    assert!(!p.paint().contains("HOW IT ENDED"), "a step is looked at");
    p.types("j");
    assert!(!p.paint().contains("HOW IT ENDED"), "the last step is looked at");
    p.types("j");
    p.sees("HOW IT ENDED");
}

#[test]
fn a_closed_run_over_a_blocked_fence_that_nobody_watches_says_what_the_fence_is() {
    let fence = Fence { strength: Strength::Blocked, why: "shop is turned away".into() };
    let mut tale = completed_over(Yield { fence: Some(fence), ..Yield::default() });
    let mut p = trouble(120, 40);
    let unwatched = tale.news(Some(false));
    p.event(unwatched);
    p.now = at(200);
    p.sees("UNWATCHED payments: the fence of east only turns the application away, and no process watches east");
}

#[test]
fn a_wrong_word_is_deleted_at_once() {
    let mut p = trouble(120, 40);
    p.types("Fowhy\nmail\n");
    p.sees("type \"payments\"");
    p.later(120);
    p.event(Event::Key(Key { code: KeyCode::Char('u'), ctrl: true }));
    p.types("payments\n");
    let effects = p.done();
    assert!(matches!(effects.as_slice(), [Effect::OpenRun(run)] if run.plan.as_str() == "payments"), "{effects:?}");
}

#[test]
fn what_backups_bring_back_fits_on_the_smallest_screen() {
    let mut p = trouble(80, 24);
    p.types("Fd");
    p.sees("/srv/backups brings it back");
    assert!(!p.paint().contains("TOO SMALL"), "{}", p.paint());
    // One whose files cannot be read says so instead of a moment.
    let mut p = trouble(120, 40);
    for secs in [112, 117, 172] {
        fixture::look(&mut p.app, "payments", Health::BackupBlind, at(secs));
        p.app.settle(at(secs));
    }
    p.now = at(173);
    p.types("Fd");
    p.sees("BACKUPS REACH BACK TO");
    p.sees("nightly-dump: ");
    assert!(!p.paint().contains("brings it back"), "{}", p.paint());
}
