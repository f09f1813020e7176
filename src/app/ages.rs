//! How old what is seen is when it is seen: the age of a look, counted from its question, at the frame that shows it.

use std::time::Duration;

/// Ages within one part in eight of each other are counted together.
const PARTS: u32 = 8;
/// Doublings of a microsecond: up to three days.
const DOUBLINGS: u32 = 38;

/// Ages, counted by size. Of a fixed size, however many there are.
#[derive(Clone, Debug)]
pub struct Ages {
    counts: Vec<u32>,
    count: u32,
    oldest: Duration,
}

impl Default for Ages {
    fn default() -> Self {
        Self { counts: vec![0; (DOUBLINGS * PARTS) as usize], count: 0, oldest: Duration::ZERO }
    }
}

impl Ages {
    /// Takes in one age.
    pub fn add(&mut self, age: Duration) {
        if let Some(count) = self.counts.get_mut(place(age)) {
            *count = count.saturating_add(1);
        }
        self.count = self.count.saturating_add(1);
        self.oldest = self.oldest.max(age);
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The greatest of all.
    #[must_use]
    pub const fn oldest(&self) -> Duration {
        self.oldest
    }

    /// What so many percent of them do not exceed, rounded up by an eighth at most. Zero where there are none.
    #[must_use]
    pub fn percentile(&self, percent: u32) -> Duration {
        let wanted = (u64::from(self.count) * u64::from(percent)).div_ceil(100);
        let mut seen = 0_u64;
        for (at, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if *count > 0 && seen >= wanted {
                return end(at).min(self.oldest);
            }
        }
        self.oldest
    }
}

/// Where an age is counted.
fn place(age: Duration) -> usize {
    let micros = u64::try_from(age.as_micros()).unwrap_or(u64::MAX).max(u64::from(PARTS));
    let doublings = micros.ilog2();
    let part = (micros >> (doublings - PARTS.ilog2())) & u64::from(PARTS - 1);
    let most = (DOUBLINGS * PARTS - 1) as usize;
    usize::try_from(u64::from(doublings * PARTS) + part).unwrap_or(most).min(most)
}

/// Where the ages that are counted there end.
fn end(place: usize) -> Duration {
    let (doublings, part) = (place as u64 / u64::from(PARTS), place as u64 % u64::from(PARTS));
    let unit = 1_u64 << doublings.saturating_sub(u64::from(PARTS.ilog2())).min(60);
    Duration::from_micros(unit.saturating_mul(u64::from(PARTS) + part + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn none_is_no_age() {
        let ages = Ages::default();
        assert_eq!((ages.count(), ages.percentile(50), ages.oldest()), (0, Duration::ZERO, Duration::ZERO));
    }

    proptest! {
        /// A percentile is never below the true one, and above it by an eighth at most.
        #[test]
        fn percentiles_are_right_within_an_eighth(mut micros in prop::collection::vec(8_u64..200_000_000_000, 1..200), percent in 1_u32..=100) {
            let mut ages = Ages::default();
            for age in &micros {
                ages.add(Duration::from_micros(*age));
            }
            micros.sort_unstable();
            let at = (micros.len() * percent as usize).div_ceil(100) - 1;
            let truth = Duration::from_micros(micros[at]);
            let told = ages.percentile(percent);
            prop_assert!(told >= truth && told <= truth + truth / 8 + Duration::from_micros(1), "{told:?} for {truth:?}");
            prop_assert_eq!(ages.oldest(), Duration::from_micros(*micros.last().unwrap_or(&0)));
        }
    }
}
