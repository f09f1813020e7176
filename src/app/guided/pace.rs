//! Typing, told from pasting by the keys' stamps alone: not every terminal marks what is pasted.

use std::collections::VecDeque;
use std::time::Duration;

use crate::plan::{BootTime, Now};

/// So many keys ...
const MANY: usize = 4;
/// ... within this long are pasted, or a link that stalled brings them at once: nobody saw them come.
const AT_ONCE: Duration = Duration::from_millis(20);
/// A paste is over once nothing came for this long.
const PAUSE: Duration = Duration::from_millis(50);
/// Fewer keys than that are pasted where each took less than this.
const KEY: Duration = Duration::from_millis(5);
/// Return that comes sooner after a key is a part of what was pasted.
const HASTE: Duration = Duration::from_millis(15);

/// What a key is, by its stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// Typed.
    Typed,
    /// The newest of keys that came at once: they and what follows them are no typing.
    Pasted,
}

/// The stamps of the keys of one text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    recent: VecDeque<BootTime>,
    pasting: bool,
    began: Option<BootTime>,
    keys: u32,
}

impl Pace {
    /// Takes in a key that writes.
    pub fn key(&mut self, now: Now) -> Beat {
        let at = now.boot;
        let last = self.recent.back().copied();
        let rest = last.is_some_and(|last| at.0.saturating_sub(last.0) >= PAUSE);
        if rest {
            self.pasting = false;
        }
        self.recent.push_back(at);
        while self.recent.len() > MANY {
            self.recent.pop_front();
        }
        let first = self.recent.front().copied().unwrap_or(at);
        if self.recent.len() == MANY && at.0.saturating_sub(first.0) <= AT_ONCE {
            self.pasting = true;
        }
        if self.pasting {
            return Beat::Pasted;
        }
        self.began.get_or_insert(at);
        self.keys = self.keys.saturating_add(1);
        Beat::Typed
    }

    /// Whether return, now, ends a text that somebody typed: not one that came at once, return and all.
    #[must_use]
    pub fn ends(&self, now: Now) -> bool {
        let Some(last) = self.recent.back() else { return true };
        let haste = now.boot.0.saturating_sub(last.0) < HASTE;
        let took = self.began.map_or(Duration::ZERO, |began| last.0.saturating_sub(began.0));
        let quick = self.keys >= 2 && took < KEY.saturating_mul(self.keys - 1);
        !(haste || quick || self.pasting)
    }

    /// Begins another text. That keys were coming at once is remembered.
    pub fn anew(&mut self) {
        self.began = None;
        self.keys = 0;
    }
}

/// Keys that come after a prompt went away by itself were typed for that prompt.
const HUSH: Duration = Duration::from_secs(1);

/// Keys count for nothing until none came for a while: a prompt went away while somebody typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hush {
    last: Now,
    why: String,
}

impl Hush {
    /// From now on, for this reason.
    #[must_use]
    pub fn new(why: &str, now: Now) -> Self {
        Self { last: now, why: format!("{why}: keys count again after a pause") }
    }

    /// Why, and that keys do not count.
    #[must_use]
    pub fn why(&self) -> &str {
        &self.why
    }

    /// Takes in a key; whether it counts for nothing.
    pub fn takes(&mut self, now: Now) -> bool {
        let goes_on = now.since(self.last) < HUSH;
        self.last = now;
        goes_on
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: u64) -> Now {
        Now { wall: chrono::DateTime::UNIX_EPOCH, boot: BootTime(Duration::from_millis(1_000 + millis)) }
    }

    #[test]
    fn what_comes_at_once_is_pasted_and_so_is_the_rest_of_it() {
        let mut pace = Pace::default();
        let beats: Vec<Beat> = [0, 1, 2, 3, 4, 40].into_iter().map(|ms| pace.key(at(ms))).collect();
        assert_eq!(beats[3..], [Beat::Pasted; 3]);
        assert!(!pace.ends(at(200)), "a paste does not end by return");
        pace.anew();
        assert_eq!(pace.key(at(140)), Beat::Typed, "after a pause somebody types");
    }

    #[test]
    fn a_short_paste_ended_by_hand_is_seen_at_its_end() {
        for n in [2, 3] {
            let mut pace = Pace::default();
            for _ in 0..n {
                assert_eq!(pace.key(at(0)), Beat::Typed);
            }
            assert!(!pace.ends(at(900)));
        }
    }

    #[test]
    fn return_right_after_a_key_is_no_end() {
        let mut pace = Pace::default();
        pace.key(at(0));
        assert!(!pace.ends(at(14)) && pace.ends(at(15)));
        assert!(Pace::default().ends(at(0)));
    }

    #[test]
    fn a_hush_lasts_until_no_key_came_for_a_second() {
        let mut hush = Hush::new("it is gone", at(0));
        let taken: Vec<bool> = [0, 400, 1_399, 2_000, 2_999, 3_999].into_iter().map(|ms| hush.takes(at(ms))).collect();
        assert_eq!(taken, [true, true, true, true, true, false]);
    }

    proptest! {
        #[test]
        fn people_are_never_taken_for_a_paste(gaps in proptest::collection::vec(15_u64..400, 1..60)) {
            let (mut pace, mut ms) = (Pace::default(), 0);
            for gap in gaps {
                ms += gap;
                prop_assert_eq!(pace.key(at(ms)), Beat::Typed);
            }
            prop_assert!(pace.ends(at(ms + 30)));
        }

        #[test]
        fn a_paste_of_any_length_never_ends_by_return(n in 2_u64..40, us in 0_u64..4_000, later in 0_u64..5_000) {
            let mut pace = Pace::default();
            for i in 0..n {
                let now = at(0).plus(Duration::from_micros(i * us));
                pace.key(now);
            }
            prop_assert!(!pace.ends(at(0).plus(Duration::from_micros((n - 1) * us) + Duration::from_millis(later))));
        }
    }
}
