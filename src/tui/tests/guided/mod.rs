//! Guided runs on the screen: who can approve, and what cannot.

mod approving;
mod commands;
mod opening;
mod pictures;

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
    fenced_as(tale, assumed())
}

fn fenced_as(tale: Tale, left: Yield) -> Tale {
    let begun = tale.shown(0, 0, at(112), |_| {}).approved(at(114)).begun(0, at(115)).acted(0, at(116));
    begun.ended(0, Outcome::Succeeded, "as it was seen", left, at(119))
}

const RISKS: &str = "assumed fence\nlose 2m\nknown since March\n";

fn commands(effects: &[Effect]) -> Vec<&Command> {
    effects.iter().filter_map(|e| if let Effect::Command(_, c) = e { Some(c) } else { None }).collect()
}

fn approvals(effects: &[Effect]) -> usize {
    commands(effects).iter().filter(|c| matches!(c, Command::Approve { .. })).count()
}

/// A failover that came to its end.
fn completed() -> Tale {
    completed_over(assumed())
}

fn completed_over(fence: Yield) -> Tale {
    let now = |secs| at(secs);
    let mut tale = fenced_as(opened(), fence).shown(1, 4, now(130), |_| {}).approved(now(140));
    tale = tale.begun(1, now(141)).acted(1, now(142));
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

/// A board of which one plan has two sites that are seen to take writes.
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
