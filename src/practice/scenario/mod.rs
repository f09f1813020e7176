//! What can be practised: scenarios, each with a sentence, a script, and what a good commander would do.

mod catalogue;
mod play;

use std::time::Duration;

use crate::runbook::RunbookKind;

use super::world::event::Event;

pub use catalogue::SCENARIOS;
pub use play::{away, begin};

/// How the best possible run of a scenario looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Best {
    /// A run of this kind, completed.
    Run(RunbookKind),
    /// None: whatever is started makes it worse, or does not help.
    NoRun,
}

/// Something to practise.
#[derive(Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What happens, in a sentence.
    pub sentence: &'static str,
    /// The plan that it is about.
    pub plan: &'static str,
    /// What a good commander would do.
    pub commander: &'static str,
    /// What the best possible run is.
    pub best: Best,
    /// What happens when, in milliseconds of model time after it begins.
    pub script: &'static [(u64, Event)],
    /// Whether the world has failed over before it begins, and home is a standby again.
    pub away: bool,
    /// Whether the first runner that acts on a promotion dies in the middle of it.
    pub interrupts: bool,
}

impl Scenario {
    /// The scenario with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        SCENARIOS.iter().find(|s| s.name == name)
    }

    /// Whether anything happens in it: such a one can be let begin at any time.
    #[must_use]
    pub const fn happens(&self) -> bool {
        !self.script.is_empty()
    }

    /// Its script from a moment of model time on.
    pub fn from(&self, begins: Duration) -> impl Iterator<Item = (Duration, Event)> + '_ {
        self.script.iter().map(move |(ms, event)| (begins.saturating_add(Duration::from_millis(*ms)), event.clone()))
    }
}

/// Every scenario for people.
#[must_use]
pub fn list() -> String {
    let one = |s: &Scenario| format!("{}\n  {}\n  A good commander: {}\n", s.name, s.sentence, s.commander);
    SCENARIOS.iter().map(one).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_has_its_own_name_and_says_what_it_is() {
        let mut names: Vec<&str> = SCENARIOS.iter().map(|s| s.name).collect();
        for s in SCENARIOS {
            assert!(s.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", s.name);
            assert!(s.sentence.ends_with('.') && s.commander.ends_with('.'), "{}", s.name);
            assert!(s.script.is_sorted_by_key(|(ms, _)| *ms), "{}", s.name);
            assert_eq!(Scenario::named(s.name).map(|found| found.sentence), Some(s.sentence));
            assert!(list().contains(s.commander));
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SCENARIOS.len());
    }

    #[test]
    fn a_script_begins_when_it_is_let_begin() {
        let lost = Scenario::named("region-loss").unwrap();
        let at = Duration::from_secs(30);
        assert!(lost.from(at).all(|(when, _)| when >= at));
        assert_eq!(lost.from(at).next().map(|(when, _)| when), Some(at));
    }
}
