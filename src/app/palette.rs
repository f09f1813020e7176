//! The commands that can be typed, made from the key table, the plans, the orders and the themes.

use crate::plan::PlanId;

use super::board::Sort;
use super::keymap::{Action, bound, name, off};
use super::update::App;

/// What a line of the palette does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// What a key does.
    Do(Action),
    /// Opens a plan.
    Open(PlanId),
    /// Orders the board.
    Sort(Sort),
    /// Takes a theme.
    Theme(String),
    /// Copies what to do next.
    CopyNext,
    /// Looks at every plan now.
    PollAll,
    /// Lets a scenario begin in the practice world.
    Practice(String),
}

/// One line of the palette.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What is typed for it.
    pub text: String,
    /// What it does, in words; with its key.
    pub help: String,
    /// What it does.
    pub command: Command,
}

impl Entry {
    /// Whether it leads to something dangerous: it is taken by typing alone.
    #[must_use]
    pub const fn dangerous(&self) -> bool {
        match self.command {
            Command::Do(action) => action.dangerous(),
            Command::Open(_)
            | Command::Sort(_)
            | Command::Theme(_)
            | Command::CopyNext
            | Command::PollAll
            | Command::Practice(_) => false,
        }
    }
}

/// The lines that match what is typed, the best first; at most `limit`. Of what leads to a run only what can be had here.
#[must_use]
pub fn entries(app: &App, typed: &str, limit: usize) -> Vec<Entry> {
    let mut all: Vec<(u32, Entry)> = Vec::new();
    let mut offer = |text: String, help: String, command: Command| {
        if let Some(score) = score(&text, typed) {
            all.push((score, Entry { text, help, command }));
        }
    };
    let place = app.view.place();
    for binding in bound(app.view.read_only).filter(|b| !b.command.is_empty()) {
        let here = binding.modes.contains(&place) && off(binding.action, app).is_none();
        if binding.action.writes() && !here {
            continue;
        }
        let key = binding.keys.first().map(|k| format!(" ({})", name(*k))).unwrap_or_default();
        offer(binding.command.into(), format!("{}{key}", binding.help), Command::Do(binding.action));
    }
    offer("poll all".into(), "look at every plan now".into(), Command::PollAll);
    offer("copy next".into(), "copy only what to do next".into(), Command::CopyNext);
    for (name, sentence) in &app.view.scenarios {
        offer(format!("practice {name}"), sentence.clone(), Command::Practice(name.clone()));
    }
    for sort in Sort::ALL {
        offer(format!("sort {}", sort.name()), sort.help().into(), Command::Sort(sort));
    }
    for theme in &app.view.themes {
        offer(format!("theme {theme}"), "colours".into(), Command::Theme(theme.clone()));
    }
    for status in app.model.statuses() {
        let id = &status.plan.id;
        offer(format!("plan {id}"), status.readiness.word().into(), Command::Open(id.clone()));
    }
    all.sort_by_key(|(score, _)| *score);
    all.truncate(limit);
    all.into_iter().map(|(_, entry)| entry).collect()
}

/// How well a text matches: 0 exact, then prefix, substring, and last all characters in their order. `None`: not at all.
fn score(text: &str, typed: &str) -> Option<u32> {
    let (text, typed) = (text.to_lowercase(), typed.trim().to_lowercase());
    if text == typed {
        return Some(0);
    }
    if text.starts_with(&typed) {
        return Some(1);
    }
    if text.contains(&typed) {
        return Some(2);
    }
    let mut rest = text.chars();
    typed.chars().filter(|c| !c.is_whitespace()).all(|c| rest.any(|t| t == c)).then_some(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_comes_first() {
        assert_eq!(score("poll", "poll"), Some(0));
        assert_eq!(score("plan payments", "plan pay"), Some(1));
        assert_eq!(score("plan payments", "pay"), Some(2));
        assert_eq!(score("timeline", "tml"), Some(3));
        assert_eq!(score("timeline", "z"), None);
    }
}
