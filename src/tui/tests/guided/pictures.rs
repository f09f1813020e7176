//! The screens of a run, as they are.

use super::*;

#[test]
fn pictures_of_opening() {
    for (cols, rows) in SIZES {
        let mut p = trouble(cols, rows);
        p.types("F");
        insta::assert_snapshot!(format!("opening_cause_{cols}"), p.paint());
        p.types("d");
        insta::assert_snapshot!(format!("opening_bad_data_{cols}"), p.paint());
        let mut p = trouble(cols, rows);
        p.types("Fo");
        insta::assert_snapshot!(format!("opening_words_{cols}"), p.paint());
        p.types("east is gone, ticket 4711\npay");
        insta::assert_snapshot!(format!("opening_typed_{cols}"), p.paint());
    }
    let mut p = trouble(80, 16);
    p.types("Fo");
    insta::assert_snapshot!("opening_too_small", p.paint());
    p.types("why\npayments\n");
    assert_eq!(p.done(), []);
}

#[test]
fn pictures_of_runs() {
    for (cols, rows) in SIZES {
        let (mut p, _tale) = armed(cols, rows, 1, 1);
        insta::assert_snapshot!(format!("run_armed_{cols}"), p.paint());
        p.types("Aassumed fence\nlose 2m");
        insta::assert_snapshot!(format!("run_approving_{cols}"), p.paint());
        let seen = |name: &str, secs: u64, mut tale: Tale| {
            let mut p = trouble(cols, rows);
            p.hears(&mut tale);
            p.now = at(secs);
            p.types("o");
            insta::assert_snapshot!(format!("run_{name}_{cols}"), p.paint());
        };
        seen("waiting", 112, opened());
        let acting =
            fenced(opened()).shown(1, 4, at(130), |_| {}).approved(at(140)).begun(1, at(141)).acted(1, at(142));
        seen("acting", 150, acting);
        let left = Yield::default();
        let halted = opened().shown(0, 0, at(112), |_| {}).approved(at(114)).begun(0, at(115)).ended(
            0,
            Outcome::Failed,
            "permission denied to alter role",
            left,
            at(119),
        );
        seen("halted", 125, halted);
        let gone = fenced(opened()).shown(1, 4, at(130), |_| {}).approved(at(140)).begun(1, at(141));
        let gone = gone.taken(at(170)).runner(Command::Settle, at(170));
        seen("indeterminate", 180, gone);
        seen(
            "finished",
            200,
            completed().runner(Command::Raise { what: "east answers again and takes writes".into() }, at(180)),
        );
    }
    let (mut p, _tale) = armed(80, 24, 1, 4);
    p.types("A");
    insta::assert_snapshot!("run_too_small", p.paint());
    let (mut p, _tale) = armed(80, 24, 0, 0);
    p.types("X");
    insta::assert_snapshot!("run_abort", p.paint());
    let mut p = split();
    insta::assert_snapshot!("split_brain_banner", p.paint());
}

#[test]
fn only_the_steps_that_are_visible_are_formatted() {
    let mut tale = opened();
    let crate::runbook::Body::Opened(first) = &mut tale.entries[0].body else { panic!() };
    let step = first.runbook.steps[0].clone();
    for n in 0..5_000 {
        first
            .runbook
            .steps
            .push(crate::runbook::StepPlan { name: SafeText::new(&format!("step {n}")), ..step.clone() });
    }
    let mut p = trouble(120, 40);
    p.hears(&mut tale);
    p.types("o");
    let (_, drawn) = shot_with(&p.app, &PLAIN, p.now);
    assert!(drawn.formatted > 20 && drawn.formatted <= 40, "{}", drawn.formatted);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]
    /// Whatever keys come, at whatever pace: nothing is approved but by words that were typed, all of them painted.
    #[test]
    fn no_keys_by_chance_approve_or_open_anything(
        keys in proptest::collection::vec((proptest::char::range(' ', '~'), 0_u64..400, 0_u8..12), 1..120)
    ) {
        let (mut p, _tale) = armed(120, 40, 0, 0);
        for (c, millis, what) in keys {
            p.later(millis);
            p.press(match what {
                0 | 1 => KeyCode::Enter,
                2 => KeyCode::Esc,
                3 => KeyCode::Tab,
                4 => KeyCode::Char('A'),
                _ => KeyCode::Char(c),
            });
        }
        let effects = p.done();
        prop_assert_eq!(approvals(&effects), 0);
        prop_assert!(!effects.iter().any(|e| matches!(e, Effect::OpenRun(_))));
        let aborts = commands(&effects).iter().filter(|c| matches!(c, Command::Abort { .. } | Command::Skip { .. } | Command::TurnBack { .. })).count();
        prop_assert_eq!(aborts, 0);
    }

    /// Sizes of every kind draw, and never arm what is not whole.
    #[test]
    fn every_size_draws_and_arms_only_what_is_whole(cols in 1_u16..220, rows in 1_u16..70, from in 0_u16..2) {
        let (mut p, _tale) = armed(cols, rows, from, if from == 0 { 0 } else { 4 });
        p.types("A");
        let screen = p.paint();
        let whole = p.app.view.painted.as_ref().is_some_and(|p| p.whole);
        prop_assert!(!(whole && screen.contains("TOO SMALL")));
        if whole {
            // A phrase may stand on two lines, beside the list of steps.
            for wanted in ["\"assumed", "fence\"", "db."] {
                prop_assert!(screen.contains(wanted), "{}", screen);
            }
        }
        let words = if from == 0 { "assumed fence\nfence db.east\n" } else { "assumed fence\nlose 2m\nknown\npromote db.west\n" };
        p.types(words);
        let approved = approvals(&p.done());
        // What is typed takes room, too: what was whole may not be any more.
        let still = approved == 1 || p.paint().contains("TOO SMALL");
        prop_assert!(if whole { still } else { approved == 0 }, "{}", p.paint());
    }
}
