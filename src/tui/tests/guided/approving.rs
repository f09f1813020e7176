//! Who can approve, and what cannot.

use super::*;

#[test]
fn a_range_is_approved_by_each_risk_each_advice_and_the_challenge() {
    let (mut p, tale) = armed(120, 40, 1, 4);
    p.types("A");
    p.sees("APPROVE STEPS 2 TO 5");
    p.sees("select pg_promote(wait => false)");
    p.types("assumed fence\nlose 2m\nknown since March\npromote db.west\n");
    let effects = p.done();
    let fence = (StepIx(1), "fence".to_owned(), "assumed fence".to_owned());
    let loss = (StepIx(1), "loss".to_owned(), "lose 2m".to_owned());
    let shown = tale.state.shown.as_ref().unwrap().seq;
    let wanted = Command::Approve {
        shown,
        risks: vec![fence, loss],
        waived: vec![(StepIx(1), "collation".to_owned(), "known since March".to_owned())],
        typed: "promote db.west".to_owned(),
    };
    assert_eq!(commands(&effects), [&wanted]);
    assert!(p.app.view.form.is_none());
}

#[test]
fn enter_alone_approves_nothing() {
    let (mut p, _tale) = armed(120, 40, 0, 0);
    p.types("\n\n\nA\n\n\n\n");
    assert_eq!(p.done(), []);
    p.types("assumed fence\n\n\n\n");
    assert_eq!(approvals(&p.done()), 0, "the challenge is still to be typed");
}

#[test]
fn a_ceiling_below_the_loss_is_not_taken() {
    let (mut p, _tale) = armed(120, 40, 1, 4);
    p.types("Aassumed fence\nlose 50s\n");
    p.sees("type \"lose 3m\" (or another ceiling)");
    assert_eq!(p.done(), []);
}

#[test]
fn wrong_words_approve_nothing() {
    for words in ["promote db.east", "Promote db.west", "promote", "promote db.westt", "y", "yes"] {
        let (mut p, _tale) = armed(120, 40, 1, 4);
        p.types("A");
        p.types(RISKS);
        p.types(words);
        p.types("\n\n");
        assert_eq!(approvals(&p.done()), 0, "{words}");
    }
}

#[test]
fn a_key_that_repeats_approves_nothing() {
    // A terminal that does not tell repeats sends them as presses, 30 ms apart.
    for c in ['A', 'G', 'F', '\n', 'a', 'y', 'P', 'X', 'K', 'R', 'W', 'C', 'S', 'o'] {
        let (mut p, _tale) = armed(120, 40, 0, 0);
        for _ in 0..80 {
            p.later(30);
            p.press(if c == '\n' { KeyCode::Enter } else { KeyCode::Char(c) });
        }
        let effects = p.done();
        let harmless = |c: &&Command| matches!(c, Command::Ask { .. });
        assert!(commands(&effects).iter().all(harmless), "{c}: {effects:?}");
        assert!(!effects.iter().any(|e| matches!(e, Effect::OpenRun(_))), "{c}");
    }
}

#[test]
fn pasted_text_approves_nothing() {
    // In brackets: nothing of it is keys, and what was typed before it is gone.
    let (mut p, _tale) = armed(120, 40, 0, 0);
    p.types("Aassumed fen");
    p.event(Event::Pasted);
    p.types("ce\n");
    assert_eq!(approvals(&p.done()), 0);
    p.sees("type \"assumed fence\"");
    // Without brackets: many keys at once, return and all.
    for each in [Duration::ZERO, Duration::from_micros(300), Duration::from_millis(4)] {
        for text in ["Aassumed fence\nfence db.east\n", "assumed fence\nfence db.east\n"] {
            let (mut p, _tale) = armed(120, 40, 0, 0);
            if !text.starts_with('A') {
                p.types("A");
                p.later(200);
            }
            for c in text.chars() {
                p.now = p.now.plus(each);
                p.press(if c == '\n' { KeyCode::Enter } else { KeyCode::Char(c) });
            }
            assert_eq!(approvals(&p.done()), 0, "{text:?} {each:?}");
            p.types("\n\n\n");
            assert_eq!(approvals(&p.done()), 0, "{text:?} {each:?}, and return by hand");
        }
    }
}

#[test]
fn a_short_name_that_was_pasted_opens_nothing() {
    let plans = [("db", 1)];
    let app = with_runbooks(fixture::starting(&plans, 120, 40), &plans, at(1));
    let mut p = Person::new(app, 1);
    for secs in 1..4 {
        fixture::look(&mut p.app, "db", Health::Fine, at(secs));
        p.app.settle(at(secs));
    }
    p.now = at(4);
    p.types("Sswap\n");
    p.later(500);
    for c in ['d', 'b'] {
        p.event(Event::Key(Key { code: KeyCode::Char(c), ctrl: false }));
    }
    p.types("\n");
    assert_eq!(p.done(), []);
    p.types("db\n");
    assert_eq!(p.done().len(), 1);
}

#[test]
fn what_was_shown_too_long_ago_is_not_approved() {
    let (mut p, _tale) = armed(120, 40, 0, 0);
    p.now = at(130 + 56);
    p.types("Aassumed fence\nfence db.eas");
    p.now = at(130 + 61);
    p.types("t\n");
    assert_eq!(approvals(&p.done()), 0);
    p.sees("refused: it was shown 1m");
    p.sees("EXPIRED");
}

#[test]
fn what_was_typed_long_ago_is_gone() {
    let (mut p, mut tale) = armed(120, 40, 0, 0);
    p.types("Aassumed fence\nfence db.east");
    p.done();
    // Shown anew meanwhile, and the same; but whoever typed it has left.
    tale = tale.shown(0, 0, at(195), |_| {});
    p.now = at(196);
    p.hears(&mut tale);
    p.types("\n");
    assert_eq!(approvals(&p.done()), 0);
    p.sees("is gone: type it again");
}

#[test]
fn the_same_shown_again_only_repaints_and_another_disarms() {
    let typed = "Aassumed fence\nlose 2m\nknown\npromote db.w";
    let older = |preview: &mut Preview| {
        for condition in &mut preview.conditions {
            condition.why = SafeText::new(&format!("{} (read anew)", condition.why));
        }
    };
    let (mut p, mut tale) = armed(120, 40, 1, 4);
    p.types(typed);
    p.done();
    tale = tale.shown(1, 4, p.now, older);
    p.hears(&mut tale);
    p.types("est\n");
    let effects = p.done();
    let newest = tale.state.shown.as_ref().unwrap().seq;
    assert!(
        matches!(commands(&effects).as_slice(), [Command::Approve { shown, .. }] if *shown == newest),
        "{effects:?}"
    );

    type Change = fn(&mut Preview);
    let changes: [(&str, Change); 6] = [
        ("another target", |p| p.identity = p.identity.clone().with("system identifier", &"7302")),
        ("another address", |p| p.identity = p.identity.clone().with("address", &"10.1.0.5:5432")),
        ("another action", |p| p.actions.push("select 1".into())),
        ("another challenge", |p| p.challenge.push('2')),
        ("a condition that holds no more", |p| {
            if let Some(c) = p.conditions.first_mut() {
                c.held = crate::runbook::Held::Fails;
            }
        }),
        ("another condition", |p| p.conditions.truncate(1)),
    ];
    for (what, change) in changes {
        let (mut p, mut tale) = armed(120, 40, 1, 4);
        p.types(typed);
        tale = tale.shown(1, 4, p.now, |p| {
            if p.challenge == "promote db.west" {
                change(p);
            }
        });
        p.hears(&mut tale);
        p.types("est\n\n");
        assert_eq!(approvals(&p.done()), 0, "{what}");
        let gone = p.app.view.form.as_ref().is_none_or(|f| !f.text(&f.at).contains("db.w"));
        assert!(gone, "{what}");
    }
}

#[test]
fn a_loss_that_outgrows_the_ceiling_is_asked_for_again() {
    let (mut p, mut tale) = armed(120, 40, 1, 4);
    p.types("Aassumed fence\nlose 1m\nknown\npromote db.west");
    p.done();
    tale = tale.shown(1, 4, p.now, |preview| {
        for condition in preview.conditions.iter_mut().filter(|c| c.id == "loss") {
            condition.amount = Some(crate::runbook::Amount { span: Some(crate::plan::Span::secs(61)), bytes: None });
        }
    });
    p.hears(&mut tale);
    p.types("\n");
    assert_eq!(approvals(&p.done()), 0);
    p.sees("lose 1m");
}

#[test]
fn what_was_not_painted_is_not_approved() {
    let (mut p, mut tale) = armed(120, 40, 0, 0);
    p.types("Aassumed fence\nfence db.east");
    p.done();
    // The same is shown again, and return comes before the frame.
    tale = tale.shown(0, 0, p.now, |_| {});
    p.hears(&mut tale);
    p.later(100);
    p.event(Event::Key(Key { code: KeyCode::Enter, ctrl: false }));
    assert_eq!(approvals(&p.done()), 0);
    p.sees("the screen was just renewed");
    p.types("\n");
    assert_eq!(approvals(&p.done()), 1);
}

#[test]
fn a_terminal_too_small_for_all_of_it_arms_nothing() {
    let (mut p, _tale) = armed(80, 24, 1, 4);
    p.types("A");
    p.sees("TOO SMALL, nothing is taken: ");
    p.types(RISKS);
    p.types("promote db.west\n");
    assert_eq!(approvals(&p.done()), 0);
    let form = p.app.view.form.as_ref().unwrap();
    assert!(form.is_blank(), "nobody saw what was typed");
    p.types("a");
    let said = p.app.view.form.as_ref().and_then(|f| f.said.clone());
    assert!(said.is_some_and(|said| said.contains("too small for all of it: nothing is typed")));
    // On a larger one it is still to be typed; what was painted on the small one does not count.
    p.event(Event::Resized { cols: 120, rows: 50 });
    p.types("a");
    p.types("\n\n");
    assert_eq!(approvals(&p.done()), 0);
    p.types(RISKS);
    p.types("promote db.west");
    p.event(Event::Resized { cols: 120, rows: 49 });
    p.later(100);
    p.event(Event::Key(Key { code: KeyCode::Enter, ctrl: false }));
    assert_eq!(approvals(&p.done()), 0);
    p.types("\n");
    assert_eq!(approvals(&p.done()), 1);
}

#[test]
fn a_terminal_without_any_of_it_takes_no_keys_for_it() {
    let (mut p, _tale) = armed(30, 6, 0, 0);
    p.types("A");
    assert!(!p.app.view.knows(None), "the state is told that nothing of the prompt is there");
    assert!(p.paint().contains("too small"));
    assert!(p.app.view.knows(None));
    p.types("assumed fence");
    assert!(p.app.view.form.as_ref().is_some_and(|f| f.is_blank()));
}

#[test]
fn fewer_steps_are_asked_for_where_all_of_them_do_not_fit() {
    let (mut p, tale) = armed(80, 24, 1, 4);
    p.types("-");
    let fewer = Command::Ask { from: StepIx(1), to: StepIx(3) };
    assert_eq!(commands(&p.done()), [&fewer]);
    let mut tale = tale.shown(1, 1, at(132), |_| {});
    p.hears(&mut tale);
    p.types("-");
    p.sees("one step at least");
    p.types("+");
    assert_eq!(commands(&p.done()), [&Command::Ask { from: StepIx(1), to: StepIx(2) }]);
    p.types("A");
    assert!(!p.paint().contains("TOO SMALL"), "one step fits on the smallest screen:\n{}", p.paint());
    p.types(RISKS);
    p.types("promote db.west\n");
    assert_eq!(approvals(&p.done()), 1);
}

#[test]
fn as_many_steps_are_asked_for_as_the_screen_has_room_for() {
    for rows in [24, 27, 30] {
        let (mut p, _) = armed(80, rows, 1, 4);
        p.types("A");
        p.sees("TOO SMALL");
        p.code(KeyCode::Esc);
        p.types("-");
        let effects = p.done();
        let [Command::Ask { from: StepIx(1), to }] = commands(&effects)[..] else { panic!("{effects:?}") };
        // What was asked for fits, and one more would not.
        let shows = |to: u16| {
            let (mut p, _) = armed(80, rows, 1, to);
            p.types("A");
            !p.paint().contains("TOO SMALL")
        };
        assert!(shows(to.0), "{rows} rows: up to {to}");
        assert!(to.0 == 3 || !shows(to.0 + 1), "{rows} rows: up to {to}");
    }
}

#[test]
fn what_nobody_can_waive_cannot_be_approved() {
    let mut tale = opened().shown(0, 0, at(130), |preview| {
        for condition in preview.conditions.iter_mut().filter(|c| c.id == "open-run") {
            condition.held = crate::runbook::Held::Fails;
        }
    });
    let mut p = trouble(120, 40);
    p.hears(&mut tale);
    p.now = at(131);
    p.types("o");
    p.sees("cannot be approved");
    p.types("A\n\n");
    assert!(p.app.view.form.is_none());
    assert_eq!(p.done(), []);
}

#[test]
fn while_somebody_types_it_is_read_anew_before_it_is_too_old() {
    let (mut p, _tale) = armed(120, 40, 0, 0);
    p.types("Aassumed");
    assert_eq!(p.done(), []);
    p.now = at(160);
    p.types(" fence");
    let ask = Command::Ask { from: StepIx(0), to: StepIx(0) };
    assert_eq!(commands(&p.done()), [&ask], "once, not with each key");
}

#[test]
fn an_approval_by_somebody_else_closes_the_prompt_and_the_rest_of_the_text_is_no_keys() {
    let (mut p, tale) = armed(120, 40, 0, 0);
    p.types("Aassumed fe");
    let mut tale = tale.approved(p.now);
    p.hears(&mut tale);
    assert!(p.app.view.form.is_none());
    let gone = "the approval was given by alice: keys count again after a pause";
    p.sees(gone);
    // The rest of it, at a person's pace: n would be a note, X an end, q would leave.
    p.types("nce\nfence db.east\nqXnW0");
    assert_eq!(p.done(), []);
    assert!(p.app.view.form.is_none() && matches!(p.app.view.screen, Screen::Run(_)));
    p.sees(gone);
    // Slowly, and never with a pause of a second.
    for _ in 0..5 {
        p.later(800);
        p.types("n");
    }
    assert!(p.app.view.form.is_none());
    p.later(900);
    p.types("n");
    assert!(p.app.view.form.is_some(), "after a pause it is a note");
    assert!(!p.paint().contains(gone));
}

#[test]
fn another_one_that_was_shown_takes_nothing_of_what_was_being_typed() {
    let another = |preview: &mut Preview| preview.challenge.push('2');
    let (mut p, tale) = armed(120, 40, 0, 0);
    p.types("Aassumed fe");
    let mut tale = tale.shown(0, 0, p.now, another);
    p.hears(&mut tale);
    p.types("nce\nfence");
    assert!(p.app.view.form.as_ref().is_some_and(|f| f.is_blank()));
    p.sees("what would be done has changed: read it again, pause, and type it again");
    p.later(1_000);
    p.types("assumed fence\nfence db.east2\n");
    assert_eq!(approvals(&p.done()), 1);
    // And where the newest cannot be approved at all.
    let (mut p, tale) = armed(120, 40, 0, 0);
    p.types("Aassumed fe");
    let mut tale = tale.shown(0, 0, p.now, |preview| {
        for condition in preview.conditions.iter_mut().filter(|c| c.id == "open-run") {
            condition.held = crate::runbook::Held::Fails;
        }
    });
    p.hears(&mut tale);
    p.sees("the newest cannot be approved");
    p.types("nce\nX");
    assert!(p.app.view.form.is_none());
    assert_eq!(p.done(), []);
}

#[test]
fn leaving_a_run_aborts_nothing() {
    let tale = opened().shown(0, 0, at(112), |_| {}).approved(at(114));
    let mut tale = tale.begun(0, at(115));
    let mut p = trouble(120, 40);
    p.hears(&mut tale);
    p.types("o");
    p.code(KeyCode::Esc);
    assert_eq!(p.app.view.screen, Screen::Board);
    p.types("oq");
    assert_eq!(p.done(), [Effect::Quit]);
}
