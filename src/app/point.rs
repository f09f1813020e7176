//! What the mouse does: it moves, selects and opens. Nothing dangerous is done by it.

use crate::plan::Now;

use super::act::{open, open_plan, select_finding_to, step};
use super::board::Sort;
use super::event::{Pointed, PointerAct, Spot};
use super::palette;
use super::update::{App, PALETTE_LINES, Update};
use super::view::{Overlay, Screen};

/// Lines that a notch of the wheel scrolls a text by.
const LINES: isize = 3;

/// What the mouse does at what is drawn there. A click on what is selected opens it; so does a double click.
pub(super) fn on_pointed(app: &mut App, pointed: Pointed, now: Now) -> Update {
    let had_message = app.view.message.take().is_some();
    let out = match pointed.act {
        PointerAct::WheelUp => wheel(app, -1, pointed.on.as_ref()),
        PointerAct::WheelDown => wheel(app, 1, pointed.on.as_ref()),
        PointerAct::Click => click(app, pointed.on, now),
    };
    app.reframe();
    Update { dirty: out.dirty || had_message, ..out }
}

fn click(app: &mut App, on: Option<Spot>, now: Now) -> Update {
    match on {
        Some(Spot::Plan(id)) if app.view.overlay.is_none() && app.view.screen == Screen::Board => {
            if app.view.selected.as_ref() == Some(&id) {
                open_plan(app, id);
            } else {
                app.view.selected = Some(id);
                app.view.chosen = true;
            }
        }
        Some(Spot::Finding(id)) if app.view.overlay.is_none() => select_finding_to(app, id),
        Some(Spot::Step(step)) if app.view.overlay.is_none() && app.view.form.is_none() => {
            app.view.run_step = Some(step);
            app.view.detail = 0;
        }
        Some(Spot::Entry(at)) => {
            // What is dangerous is never a click away.
            let typed = match &app.view.overlay {
                Some(Overlay::Palette { text, .. }) => {
                    palette::entries(app, text, PALETTE_LINES).get(at).is_some_and(palette::Entry::dangerous)
                }
                Some(Overlay::Sort { .. } | Overlay::Filter { .. }) | None => false,
            };
            let already = match &mut app.view.overlay {
                Some(Overlay::Palette { chosen, .. }) => std::mem::replace(chosen, at) == at,
                Some(Overlay::Sort { chosen }) => match Sort::ALL.get(at) {
                    Some(sort) => std::mem::replace(chosen, *sort) == *sort,
                    None => false,
                },
                Some(Overlay::Filter { .. }) | None => false,
            };
            if already && typed {
                app.say("enter takes it, not the mouse", now);
            } else if already {
                return open(app, now);
            }
        }
        // What was drawn there belongs to a screen that has just been left, or nothing is there.
        Some(Spot::Plan(_) | Spot::Finding(_) | Spot::Step(_) | Spot::Details) | None => return Update::default(),
    }
    Update::dirty()
}

fn wheel(app: &mut App, by: isize, on: Option<&Spot>) -> Update {
    match (&app.view.overlay, &app.view.screen, on) {
        (Some(_), _, _) | (None, Screen::Board, _) | (None, Screen::Plan(_), Some(Spot::Finding(_))) => step(app, by),
        (None, Screen::Timeline | Screen::Help, _) => step(app, by * LINES),
        (None, Screen::Run(_), Some(Spot::Step(_))) if app.view.form.is_none() => step(app, by),
        (None, Screen::Plan(_) | Screen::Run(_) | Screen::Opening, _) => {
            app.view.detail = app.view.detail.saturating_add_signed(by * LINES)
        }
    }
    Update::dirty()
}
