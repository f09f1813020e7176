//! The world's own clock: ticks of model time, which `--speed` makes longer or shorter in real time.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::plan::Now;

/// One step of the world, in model time.
pub const TICK: Duration = Duration::from_millis(100);

/// A moment of the world in real time: microseconds since the world began, negative before it. What clients are told of
/// time is made of these and of the wall clock of when they ask, so that no step of the wall clock makes ages lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub i64);

impl Moment {
    /// So long before the world began.
    #[must_use]
    pub fn before(by: Duration) -> Self {
        Self(-micros(by))
    }

    /// So much later.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(micros(by)))
    }

    /// How long after `earlier` this is; nothing where it is not later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

fn micros(by: Duration) -> i64 {
    i64::try_from(by.as_micros()).unwrap_or(i64::MAX)
}

/// When the world began, how fast it goes, and how far it is.
#[derive(Clone, Copy, Debug)]
pub struct WorldClock {
    began: Now,
    now: Now,
    /// Model seconds in a real second.
    speed: f64,
    ticks: u64,
}

impl WorldClock {
    /// A clock that begins now. A speed that is no positive number is 1.
    #[must_use]
    pub fn new(now: Now, speed: f64) -> Self {
        let speed = if speed.is_finite() && speed > 0.0 { speed } else { 1.0 };
        Self { began: now, now, speed, ticks: 0 }
    }

    /// Model seconds in a real second.
    #[must_use]
    pub const fn speed(&self) -> f64 {
        self.speed
    }

    /// Model time since the world began.
    #[must_use]
    pub fn model(&self) -> Duration {
        TICK.saturating_mul(u32::try_from(self.ticks).unwrap_or(u32::MAX))
    }

    /// The moment of the current tick.
    #[must_use]
    pub fn moment(&self) -> Moment {
        Moment::default().plus(self.real(self.model()))
    }

    /// The moment of the last `WorldClock::turn`: what the world's servers call now.
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment::default().plus(self.now.since(self.began))
    }

    /// How long so much model time takes.
    #[must_use]
    pub fn real(&self, model: Duration) -> Duration {
        Duration::try_from_secs_f64(model.as_secs_f64() / self.speed).unwrap_or(Duration::MAX)
    }

    /// A moment by the wall clock as it stands now.
    #[must_use]
    pub fn wall(&self, at: Moment) -> DateTime<Utc> {
        let later = |from: DateTime<Utc>, micros: i64| {
            from.checked_add_signed(chrono::Duration::microseconds(micros)).unwrap_or(from)
        };
        // One moment is told in the same words each time: the two clocks were not read at the same instant.
        let stepped = self.now.wall - later(self.began.wall, self.now().0);
        let steady = stepped.abs() < chrono::Duration::milliseconds(250);
        if steady { later(self.began.wall, at.0) } else { later(self.now.wall, at.0.saturating_sub(self.now().0)) }
    }

    /// Goes on to this real moment, and says how many ticks are due.
    pub(super) fn turn(&mut self, now: Now) -> u64 {
        if now.boot >= self.now.boot {
            self.now = now;
        }
        let model = self.now.since(self.began).as_secs_f64() * self.speed;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of ticks, which is not negative"
        )]
        let due = (model / TICK.as_secs_f64()) as u64;
        due.saturating_sub(self.ticks)
    }

    /// One tick is over.
    pub(super) const fn tick(&mut self) {
        self.ticks = self.ticks.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::BootTime;

    fn at(seconds: u64) -> Now {
        let wall = DateTime::from_timestamp(1_000_000 + i64::try_from(seconds).unwrap(), 0).unwrap();
        Now { wall, boot: BootTime(Duration::from_secs(seconds)) }
    }

    #[test]
    fn speed_makes_more_ticks_and_not_other_times() {
        let mut clock = WorldClock::new(at(100), 10.0);
        assert_eq!(clock.turn(at(101)), 100);
        for _ in 0..100 {
            clock.tick();
        }
        assert_eq!(clock.turn(at(101)), 0);
        assert_eq!(clock.model(), Duration::from_secs(10));
        assert_eq!(clock.moment(), Moment(1_000_000));
        assert_eq!(clock.wall(Moment(0)), at(100).wall);
        assert_eq!(clock.wall(Moment::before(Duration::from_secs(5))), at(95).wall);
    }

    #[test]
    fn a_step_of_the_wall_clock_moves_no_age() {
        let mut clock = WorldClock::new(at(100), 1.0);
        let mut later = at(110);
        later.wall = at(500).wall;
        clock.turn(later);
        assert_eq!(clock.wall(clock.now()), later.wall);
        assert_eq!(clock.wall(Moment(0)), at(490).wall);
    }
}
