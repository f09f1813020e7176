//! The other keys of a run: halted, aborted, turned back, noted.

use super::*;

#[test]
fn a_step_is_skipped_and_a_run_aborted_by_reason_and_words() {
    let (mut p, tale) = armed(120, 40, 0, 0);
    p.types("P\n\nnot needed\nskip\n");
    assert_eq!(p.done(), []);
    p.types(" 1\n");
    assert_eq!(commands(&p.done()), [&Command::Skip { step: StepIx(0), reason: "not needed".to_owned() }]);
    p.types("Xwrong plan\nabor\n");
    assert_eq!(p.done(), []);
    p.types("t\n");
    assert_eq!(commands(&p.done()), [&Command::Abort { reason: "wrong plan".to_owned() }]);
    p.types("Wstop\n");
    assert_eq!(commands(&p.done()), [&Command::Withdraw { reason: "stop".to_owned() }]);
    p.types("nthe vendor was called\n");
    assert_eq!(commands(&p.done()), [&Command::Note { text: "the vendor was called".to_owned() }]);
    p.types("013:58\nthe first ticket\n");
    let effects = p.done();
    assert!(
        matches!(commands(&effects).as_slice(), [Command::Date { t0 }] if t0.at.to_rfc3339() == "2026-03-01T13:58:00+00:00")
    );
    drop(tale);
}

#[test]
fn a_run_that_fenced_turns_back_by_words_and_is_shown_the_unfence() {
    let fence = Fence { strength: Strength::Blocked, why: "shop is turned away".into() };
    let left = Yield { fence: Some(fence), ..Yield::default() };
    let tale = Tale::opened("payments", RunbookKind::Failover, at(110)).with_way_out().taken(at(111));
    let tale = tale.shown(0, 0, at(112), |_| {}).approved(at(114)).begun(0, at(115)).acted(0, at(116));
    let mut tale = tale.ended(0, Outcome::Succeeded, "blocked", left, at(119)).shown(1, 4, at(130), |_| {});
    let mut p = trouble(120, 40);
    p.hears(&mut tale);
    p.now = at(131);
    p.types("o");
    p.sees("or:   B turns back");
    p.sees("way out");
    p.types("X");
    p.sees("FENCED: nobody is served. Leave this and press B");
    p.code(KeyCode::Esc);
    p.types("B\n\nthe release is broken\nturn\n");
    assert_eq!(p.done(), []);
    p.types(" back\n");
    let back = Command::TurnBack { reason: "the release is broken".to_owned() };
    assert_eq!(commands(&p.done()), [&back]);
    let mut tale = tale.person("alice", back, at(140));
    p.hears(&mut tale);
    assert_eq!(commands(&p.done()), [&Command::Ask { from: StepIx(5), to: StepIx(5) }], "without being asked for");
    assert!(!p.paint().contains("B turns back"));
}

#[test]
fn a_run_that_is_ended_with_its_fence_up_says_so() {
    let fence = Fence { strength: Strength::Blocked, why: "shop is turned away".into() };
    let left = Yield { fence: Some(fence), ..Yield::default() };
    let tale = opened().shown(0, 0, at(112), |_| {}).approved(at(114)).begun(0, at(115)).acted(0, at(116));
    let tale = tale.ended(0, Outcome::Succeeded, "blocked", left, at(119));
    let mut tale = tale.person("alice", Command::Abort { reason: "no".to_owned() }, at(130));
    let mut p = trouble(120, 40);
    p.hears(&mut tale);
    p.types("o");
    p.sees("east STAYS FENCED: it takes no writes");
}

#[test]
fn an_alarm_shows_the_fence_as_it_was_prepared() {
    let alarm = Command::Raise { what: "east takes writes again".into() };
    let mut tale = completed().runner(alarm, at(180));
    let mut p = trouble(120, 40);
    p.hears(&mut tale);
    p.types("o");
    p.sees("Its fence again:");
    p.sees("alter role shop nologin");
    let mut tale = tale.person("alice", Command::Acknowledge { reason: "seen".to_owned() }, at(190));
    p.hears(&mut tale);
    assert!(!p.paint().contains("Its fence again:"));
}

#[test]
fn the_palette_has_the_same_and_only_what_can_be_had() {
    let (mut p, _tale) = armed(120, 40, 0, 0);
    p.types(":skip\n");
    p.sees("skip step 1");
    p.code(KeyCode::Esc);
    p.types(":acknowledge");
    p.sees("nothing matches");
    p.code(KeyCode::Esc);
    p.code(KeyCode::Esc);
    p.types(":drill\n");
    assert!(matches!(p.app.view.screen, Screen::Run(_)), "the open run is in its way");
    let mut p = trouble(120, 40);
    p.types(":drill\n");
    p.sees("DRILL of payments");
    assert_eq!(p.done(), []);
}

#[test]
fn a_command_is_filled_in_and_not_done_before_it_is_confirmed() {
    let mut p = trouble(120, 40);
    p.types(":sort t");
    p.code(KeyCode::Tab);
    p.sees("sort tier");
    assert_ne!(p.app.view.sort, Sort::Tier);
    p.code(KeyCode::Enter);
    assert_eq!(p.app.view.sort, Sort::Tier);
    // Nothing matches: nothing is filled in.
    p.types(":xyzzy");
    p.code(KeyCode::Tab);
    p.sees("xyzzy");
}

#[test]
fn a_person_says_whether_an_effect_is_there() {
    let tale = opened().shown(0, 0, at(112), |_| {}).approved(at(114)).begun(0, at(115));
    let mut tale = tale.ended(0, Outcome::Indeterminate, "the session was cut", Yield::default(), at(119));
    let mut p = trouble(120, 40);
    p.hears(&mut tale);
    p.types("o");
    p.sees("halted: step 1 indeterminate");
    p.types("Cyes\n");
    p.sees("type \"done\" or \"not done\"");
    for _ in 0..3 {
        p.code(KeyCode::Backspace);
    }
    p.types("not done\nthe role still has login\n");
    let words = "the role still has login".to_owned();
    assert_eq!(commands(&p.done()), [&Command::Confirm { step: StepIx(0), done: false, words }]);
    p.types("R");
    assert_eq!(commands(&p.done()), [&Command::Ask { from: StepIx(0), to: StepIx(0) }]);
}

#[test]
fn an_effect_that_is_looked_for_is_waited_for_and_once_it_is_seen_nothing_stands_in_the_way() {
    let tale = opened().shown(0, 0, at(112), |_| {}).approved(at(114)).begun(0, at(115));
    let mut tale = tale.ended(0, Outcome::Indeterminate, "its runner is gone", Yield::default(), at(119));
    let mut p = trouble(120, 40);
    let lives = tale.news(Some(true));
    p.event(lives);
    p.types("o");
    p.sees("▲ step 1: indeterminate");
    p.sees("next: wait: its effect is being looked for");
    let gone = tale.news(Some(false));
    p.event(gone);
    p.sees("next: R tries the step again");
    tale = tale.ended(0, Outcome::Succeeded, "it refuses the application", assumed(), at(125));
    p.hears(&mut tale);
    p.sees("step 2 is next");
    assert!(!p.paint().contains("▲ step 1"), "what is seen is not open any more");
}

#[test]
fn a_run_whose_runner_is_gone_is_gone_on_with_by_a_person_alone() {
    let mut tale = opened();
    let mut p = trouble(120, 40);
    p.hears(&mut tale);
    p.types("o");
    let news = crate::app::guided::News { run: tale.run(), entries: Vec::new(), lives: Some(false) };
    p.event(Event::Journal(Box::new(news)));
    p.sees("NO RUNNER LIVES");
    assert_eq!(p.done(), []);
    p.types("G");
    let ask = Effect::Command(tale.run(), Command::Ask { from: StepIx(0), to: StepIx(0) });
    assert_eq!(p.done(), [ask, Effect::StartRunner(tale.run())]);
}

#[test]
fn a_runner_that_holds_the_run_and_writes_nothing_is_told_with_its_age_and_what_to_do() {
    let mut tale = opened().shown(0, 0, at(112), |_| {}).approved(at(114));
    let mut p = trouble(90, 40);
    p.hears(&mut tale);
    p.now = at(124);
    p.types("o");
    p.now = at(124);
    p.sees("● runner lives");
    assert!(!p.paint().contains("has written nothing"));
    // Nothing comes in: the screen is drawn again by its age alone.
    let (_, drawn) = shot_with(&p.app, &PLAIN, p.now);
    assert!(drawn.next.is_some_and(|next| next <= at(125).boot));
    p.now = at(149);
    let words = |p: &mut Person| p.paint().split_whitespace().collect::<Vec<_>>().join(" ");
    let screen = words(&mut p);
    assert!(
        screen.contains("▲ approved 35 s ago, and the runner has written nothing since: X ends the run, or end"),
        "{screen}"
    );
    let runner = tale.state.runner.clone().unwrap();
    assert!(screen.contains(&format!("its process ({} on {})", runner.pid, runner.host)), "{screen}");
    assert!(!screen.contains("● runner lives"), "{screen}");
    // One that is gone is said to be gone.
    let gone = tale.news(Some(false));
    p.event(gone);
    p.sees("NO RUNNER LIVES");
    assert!(!words(&mut p).contains("has written nothing"));
    // So with what somebody wants to see, and in the middle of what was approved.
    let ask = Command::Ask { from: StepIx(0), to: StepIx(0) };
    let mut tale = opened().person("alice", ask, at(112));
    let mut p = trouble(90, 40);
    p.hears(&mut tale);
    p.types("o");
    p.now = at(132);
    let screen = words(&mut p);
    assert!(screen.contains("▲ asked what it would do 20 s ago, and the runner has shown nothing since"), "{screen}");
    let mut tale = fenced(opened()).shown(1, 4, at(130), |_| {}).approved(at(140)).begun(1, at(141)).acted(1, at(142));
    tale = tale.ended(1, Outcome::Succeeded, "it takes writes", promoted(), at(150));
    let mut p = trouble(90, 40);
    p.hears(&mut tale);
    p.types("o");
    p.now = at(170);
    let screen = words(&mut p);
    assert!(screen.contains("▲ approved, and the runner has written nothing for 20 s"), "{screen}");
}

#[test]
fn the_next_steps_are_shown_to_whoever_leads_and_never_after_a_halt() {
    let (mut p, mut tale) = armed(120, 40, 0, 0);
    p.types("Aassumed fence\nfence db.east\n");
    assert_eq!(approvals(&p.done()), 1);
    tale = tale.approved(at(140)).begun(0, at(141)).acted(0, at(142));
    p.hears(&mut tale);
    assert_eq!(p.done(), []);
    let halted = |tale: Tale| tale.ended(0, Outcome::Failed, "refused", Yield::default(), at(143));
    let went_on = |tale: Tale| tale.ended(0, Outcome::Succeeded, "seen", assumed(), at(143));
    tale = went_on(tale);
    p.hears(&mut tale);
    assert_eq!(commands(&p.done()), [&Command::Ask { from: StepIx(1), to: StepIx(4) }]);
    // Somebody who only watches asks for nothing; nor does whoever leads, where a step stopped it.
    let mut watched = opened().shown(0, 0, at(112), |_| {}).approved(at(114)).begun(0, at(115));
    let mut watcher = trouble(120, 40);
    watcher.hears(&mut watched);
    watcher.types("o");
    let mut watched = went_on(watched);
    watcher.hears(&mut watched);
    assert_eq!(watcher.done(), []);
    let (mut p, mut tale) = armed(120, 40, 0, 0);
    p.types("Aassumed fence\nfence db.east\n");
    p.done();
    tale = halted(tale.approved(at(140)).begun(0, at(141)));
    p.hears(&mut tale);
    assert_eq!(p.done(), []);
    p.sees("halted: step 1 failed");
}

#[test]
fn a_read_only_session_watches_and_makes_nothing() {
    let mut tale = opened().shown(0, 0, at(130), |_| {});
    let mut p = trouble(120, 40);
    p.app.view.read_only = true;
    p.hears(&mut tale);
    p.now = at(131);
    p.types("FSo");
    p.sees("shown: step 1 may be approved");
    for keys in ["A", "G", "R", "C", "W", "P", "X", "K", "n", "0", "+", "-", "F", "S"] {
        p.types(keys);
        p.types("assumed fence\nfence db.east\n");
        p.code(KeyCode::Esc);
        p.types("o");
    }
    for words in ["approve", "abort", "failover", "drill", "note", "skip"] {
        p.types(&format!(":{words}\n"));
        p.code(KeyCode::Esc);
        p.types("o");
    }
    assert!(p.app.view.form.is_none());
    let effects = p.done();
    let asks = |e: &Effect| matches!(e, Effect::OpenRun(_) | Effect::Command(..) | Effect::StartRunner(_));
    assert!(!effects.iter().any(asks), "{effects:?}");
    // Not even where a form is open for another reason.
    let (mut p, _tale) = armed(120, 40, 0, 0);
    p.types("Aassumed fence\nfence db.east");
    p.app.view.read_only = true;
    p.types("\n");
    assert_eq!(p.done(), []);
}

#[test]
fn the_mouse_starts_nothing() {
    let (mut p, _tale) = armed(120, 40, 0, 0);
    p.types(":go on");
    for _ in 0..3 {
        point(&mut p.app, PointerAct::Click, "go on: show", p.now);
    }
    assert_eq!(p.done(), []);
    p.sees("enter takes it, not the mouse");
}

#[test]
fn an_alarm_is_on_every_screen_until_somebody_took_note() {
    let what = "east answers again and takes writes";
    let mut tale = completed();
    tale = tale.runner(Command::Raise { what: what.into() }, at(180));
    for keys in ["", "\n", "t", "?", "o", ":", "F"] {
        let mut tale = completed().runner(Command::Raise { what: what.into() }, at(180));
        let mut p = trouble(120, 40);
        p.hears(&mut tale);
        p.now = at(200);
        p.types(keys);
        p.sees("ALARM payments");
        p.sees("next: stop east: step 1, fence the old primary");
    }
    let mut p = trouble(120, 40);
    p.hears(&mut tale);
    tale = tale.person("alice", Command::Acknowledge { reason: "seen".to_owned() }, at(190));
    p.hears(&mut tale);
    assert!(!p.paint().contains("ALARM"));
}

#[test]
fn others_runs_lead_on_the_board_and_are_followed() {
    let mut tale = opened().shown(0, 0, at(112), |_| {}).approved(at(114)).begun(0, at(115));
    let app = with_runbooks(fixture::normal(120, 40), &fixture::PLANS, at(61));
    let mut p = Person::new(app, 116);
    p.hears(&mut tale);
    let screen = p.paint();
    let first = screen.lines().nth(3).unwrap();
    assert!(
        first.contains("payments") && first.contains("RUN OPEN  failover by alice: 1 fence the old primary: acting"),
        "{screen}"
    );
    tale = tale.acted(0, at(117)).ended(0, Outcome::Failed, "no", Yield::default(), at(118));
    p.hears(&mut tale);
    p.sees("1 fence the old primary: failed");
    assert_eq!(p.done(), []);
}

#[test]
fn entries_that_are_told_twice_count_once() {
    let mut tale = opened();
    let mut p = trouble(120, 40);
    let news = tale.news(Some(true));
    p.event(news.clone());
    p.event(news);
    let known = p.app.runs.get(&tale.run()).unwrap();
    assert_eq!((known.state.seq, known.state.ignored.len()), (2, 0));
}
