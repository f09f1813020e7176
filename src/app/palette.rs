//! The commands that can be typed, made from the key table, the plans, the orders and the themes.

use crate::plan::PlanId;

use super::Model;
use super::board::Sort;
use super::keymap::{Action, KEYMAP, name};
use super::view::THEMES;

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
    Theme(&'static str),
    /// Looks at every plan now.
    PollAll,
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

/// The lines that match what is typed, the best first; at most `limit`.
#[must_use]
pub fn entries(model: &Model, typed: &str, limit: usize) -> Vec<Entry> {
    let mut all: Vec<(u32, Entry)> = Vec::new();
    let mut offer = |text: String, help: String, command: Command| {
        if let Some(score) = score(&text, typed) {
            all.push((score, Entry { text, help, command }));
        }
    };
    for binding in KEYMAP.iter().filter(|b| !b.command.is_empty()) {
        let key = binding.keys.first().map(|k| name(*k)).unwrap_or_default();
        offer(binding.command.into(), format!("{} ({key})", binding.help), Command::Do(binding.action));
    }
    offer("poll all".into(), "look at every plan now".into(), Command::PollAll);
    for sort in Sort::ALL {
        offer(format!("sort {}", sort.name()), sort.help().into(), Command::Sort(sort));
    }
    for theme in THEMES {
        offer(format!("theme {theme}"), "colours".into(), Command::Theme(theme));
    }
    for status in model.statuses() {
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
