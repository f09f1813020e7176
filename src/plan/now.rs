//! Time as an argument.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Time since this machine booted, suspend included (Linux `CLOCK_BOOTTIME`). Never goes backwards, and is not moved
/// by a step of the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BootTime(pub Duration);

/// One moment, by both clocks. `boot` decides ages, staleness, deadlines and expiry; `wall` is for people and for disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// The wall clock, which may step.
    pub wall: DateTime<Utc>,
    /// The boot clock, which does not.
    pub boot: BootTime,
}

impl Now {
    /// How long ago `earlier` was; zero where it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.boot.0.saturating_sub(earlier.boot.0)
    }

    /// How much more the wall clock moved than the boot clock between `earlier` and `self`, in milliseconds:
    /// the size of the steps that were made in between. Positive when the wall clock was set forward.
    #[must_use]
    pub fn wall_step_ms(self, earlier: Self) -> i64 {
        let wall = self.wall.signed_duration_since(earlier.wall).num_milliseconds();
        let boot = |n: Self| i64::try_from(n.boot.0.as_millis()).unwrap_or(i64::MAX);
        wall.saturating_sub(boot(self).saturating_sub(boot(earlier)))
    }

    /// The same moment moved by `by` on both clocks.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        let wall = chrono::Duration::from_std(by).ok().and_then(|d| self.wall.checked_add_signed(d));
        Self { wall: wall.unwrap_or(DateTime::<Utc>::MAX_UTC), boot: BootTime(self.boot.0.saturating_add(by)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(wall: i64, boot: u64) -> Now {
        Now { wall: DateTime::from_timestamp(wall, 0).unwrap_or_default(), boot: BootTime(Duration::from_secs(boot)) }
    }

    #[test]
    fn ages_follow_the_boot_clock_only() {
        // The wall clock was set back an hour; the reading is still five seconds old.
        assert_eq!(at(1_000, 105).since(at(4_600, 100)), Duration::from_secs(5));
        // A suspended machine: both clocks moved.
        assert_eq!(at(8_000, 7_100).since(at(1_000, 100)), Duration::from_secs(7_000));
        assert_eq!(at(0, 0).since(at(0, 9)), Duration::ZERO);
    }

    #[test]
    fn steps_are_seen() {
        assert_eq!(at(1_000, 105).wall_step_ms(at(4_600, 100)), -3_605_000);
        assert_eq!(at(1_005, 105).wall_step_ms(at(1_000, 100)), 0);
    }
}
