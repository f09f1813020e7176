//! Guided runs on the screen: who can approve, and what cannot.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::app::guided::OpenRun;
use crate::plan::{SafeText, SiteId};
use crate::runbook::{AttemptId, Cause, Command, Fence, Outcome, Preview, RunbookKind, StepIx, Strength, Yield};
use crate::tui::fixture_runs::{Tale, assumed, promoted, with_runbooks};

/// A person at the screen: each key takes a while, and what is on the screen was painted before the next one.
struct Person {
    app: App,
    now: Now,
    effects: Vec<Effect>,
}

impl Person {
    fn new(app: App, secs: u64) -> Self {
        Self { app, now: at(secs), effects: Vec::new() }
    }

    fn paint(&mut self) -> String {
        let (text, drawn) = shot_with(&self.app, &PLAIN, self.now);
        self.event(Event::Painted(drawn.prompt));
        text
    }

    fn event(&mut self, event: Event) {
        self.effects.extend(update(&mut self.app, Stamped { at: self.now, event }).effects);
    }

    fn later(&mut self, millis: u64) {
        self.now = self.now.plus(Duration::from_millis(millis));
    }

    fn code(&mut self, code: KeyCode) {
        self.later(120);
        self.press(code);
    }

    /// A key, now. What is on the screen counts only for return, so only then it is painted here.
    fn press(&mut self, code: KeyCode) {
        if code == KeyCode::Enter {
            self.paint();
        }
        self.event(Event::Key(Key { code, ctrl: false }));
    }

    /// Types; `\n` is return.
    fn types(&mut self, text: &str) {
        for c in text.chars() {
            self.code(if c == '\n' { KeyCode::Enter } else { KeyCode::Char(c) });
        }
    }

    fn done(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    fn sees(&mut self, text: &str) {
        let screen = self.paint();
        assert!(screen.contains(text), "\"{text}\" is not on\n{screen}");
    }

    /// Hears what is new of a run.
    fn hears(&mut self, tale: &mut Tale) {
        let event = tale.news(Some(true));
        self.event(event);
    }
}

fn trouble(cols: u16, rows: u16) -> Person {
    let app = with_runbooks(fixture::trouble(cols, rows), &fixture::PLANS, at(108));
    let mut person = Person::new(app, 108);
    person.types("gg");
    assert_eq!(person.app.view.selected.as_ref().map(PlanId::as_str), Some("payments"));
    person
}

/// A run of payments that was opened, taken and asked about.
fn opened() -> Tale {
    Tale::opened("payments", RunbookKind::Failover, at(110)).taken(at(111))
}

/// A person on the screen of a run of which steps are shown.
fn armed(cols: u16, rows: u16, from: u16, to: u16) -> (Person, Tale) {
    let mut tale = opened();
    if from > 0 {
        tale = fenced(tale);
    }
    tale = tale.shown(from, to, at(130), |_| {});
    let mut person = trouble(cols, rows);
    person.hears(&mut tale);
    person.now = at(131);
    person.types("o");
    (person, tale)
}

fn fenced(tale: Tale) -> Tale {
    tale.shown(0, 0, at(112), |_| {}).approved(at(114)).begun(0, at(115)).acted(0, at(116)).ended(
        0,
        Outcome::Succeeded,
        "nothing answers there",
        assumed(),
        at(119),
    )
}

const RISKS: &str = "assumed fence\nlose 2m\nknown since March\n";

fn commands(effects: &[Effect]) -> Vec<&Command> {
    effects.iter().filter_map(|e| if let Effect::Command(_, c) = e { Some(c) } else { None }).collect()
}

fn approvals(effects: &[Effect]) -> usize {
    commands(effects).iter().filter(|c| matches!(c, Command::Approve { .. })).count()
}

// ---- opening

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
    p.sees("newest backup is 3 h old");
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

/// A failover that came to its end.
fn completed() -> Tale {
    let now = |secs| at(secs);
    let mut tale =
        fenced(opened()).shown(1, 4, now(130), |_| {}).approved(now(140)).begun(1, now(141)).acted(1, now(142));
    tale = tale.ended(1, Outcome::Succeeded, "it takes writes", promoted(), now(150));
    for ix in [2, 3] {
        tale = tale.begun(ix, now(152)).acted(ix, now(153));
        tale = tale.ended(ix, Outcome::Succeeded, "seen", Yield::default(), now(160));
    }
    tale = tale.begun(4, now(161)).acted(4, now(161));
    let words = "Jo picked up".to_owned();
    tale = tale.person("bob", Command::Confirm { step: StepIx(4), done: true, words }, now(170));
    tale = tale.ended(4, Outcome::Succeeded, "bob says so", Yield::default(), now(171));
    tale.runner(Command::Close, now(172))
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

fn split() -> Person {
    let mut app = with_runbooks(fixture::normal(120, 40), &fixture::PLANS, at(61));
    for secs in [65, 70, 75, 80] {
        let plan = std::sync::Arc::clone(&app.model.status(&PlanId::new("payments")).unwrap().plan);
        for mut polled in fixture::looks(&plan, Health::Fine, at(secs)) {
            for reading in &mut polled.readings {
                if reading.key.signal == crate::readiness::signals::WRITABLE {
                    reading.value = Ok(crate::readiness::Value::Bool(true));
                }
            }
            update(&mut app, Stamped { at: at(secs), event: Event::Polled(polled) });
        }
        app.settle(at(secs));
    }
    let mut p = Person::new(app, 81);
    p.types("gg");
    p
}

// ---- approving

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
    p.sees("TOO SMALL: ");
    p.types(RISKS);
    p.types("promote db.west\n");
    assert_eq!(approvals(&p.done()), 0);
    let said = p.app.view.form.as_ref().and_then(|f| f.said.clone());
    assert!(said.is_some_and(|said| said.contains("too small for all of it")));
    // The same on a larger one; what was painted on the small one does not count.
    p.event(Event::Resized { cols: 120, rows: 50 });
    p.later(100);
    p.event(Event::Key(Key { code: KeyCode::Enter, ctrl: false }));
    assert_eq!(approvals(&p.done()), 0);
    p.types("\n");
    assert_eq!(approvals(&p.done()), 1);
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
fn an_approval_by_somebody_else_closes_the_prompt() {
    let (mut p, tale) = armed(120, 40, 0, 0);
    p.types("Aassumed fen");
    let mut tale = tale.approved(at(133));
    p.hears(&mut tale);
    assert!(p.app.view.form.is_none());
    p.types("\n");
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

// ---- other commands

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

// ---- pictures

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
