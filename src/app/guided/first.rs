//! A session that was started for one run: `lifeboat run` and `lifeboat attach`.

use crate::app::board;
use crate::app::update::{App, Update};
use crate::app::view::Screen;
use crate::plan::{Now, PlanId};
use crate::runbook::{RunId, RunbookKind};

/// What a session was started for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum First {
    /// The prompt that opens a run.
    Start(PlanId, RunbookKind),
    /// A run that is there.
    Attach(RunId),
}

/// Goes to what the session was started for, as soon as it is known: once.
pub(in crate::app) fn go(app: &mut App, now: Now) -> Update {
    match app.first.take() {
        None => Update::default(),
        Some(First::Attach(run)) => {
            app.view.screen = Screen::Run(run);
            Update::dirty()
        }
        Some(First::Start(plan, kind)) => {
            let known = app.model.status(&plan).is_some_and(|s| !board::looking(s));
            if !known {
                app.first = Some(First::Start(plan, kind));
                return Update::default();
            }
            app.view.selected = Some(plan);
            app.view.chosen = true;
            super::keys::begin(app, kind, now)
        }
    }
}
