//! Where the active primary was, when: the clock that turns a position into time.
//!
//! Each look at a primary gives (asked, answered, flush LSN). At some moment between the two the primary's log ended at
//! that position; so whoever holds that position holds everything that was flushed *before the question was asked*. The
//! loss of a failover is then at most the time since the newest covered sample was asked for. Nothing is interpolated.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::plan::{Lsn, Now, SafeText};

/// Most samples that one segment keeps; older ones are thinned, which can only loosen a bound.
const KEEP: usize = 512;

/// Room is made for so many samples at once: doubling it would leave half of it empty, in every plan.
const STEP_OF_ROOM: usize = 16;

/// Most segments that are kept: one for each boot, timeline and step of the wall clock. The oldest go first, which can only
/// loosen a bound.
const SEGMENTS: usize = 64;

/// A wall clock that moves this much more or less than the boot clock was set by somebody.
const STEP: i64 = 2_000;

/// One sample of a primary's position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LsnSample {
    /// When the question was sent.
    pub asked: Now,
    /// When the answer was complete.
    pub answered: Now,
    /// The flush position at some moment in between.
    pub lsn: Lsn,
}

/// A run of samples whose positions only grow, of one cluster on one timeline, by one boot of one observer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// The cluster's system identifier.
    pub system: SafeText,
    /// Its timeline.
    pub timeline: i64,
    /// The observer's boot, so that boot clocks are compared only within one.
    pub boot: SafeText,
    /// False after a step of the wall clock, in this boot or a later one: another boot cannot date these samples.
    pub dated: bool,
    /// The samples, oldest first.
    pub samples: VecDeque<LsnSample>,
}

/// The history of one replicated database's primary.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LsnClock {
    segments: Vec<Segment>,
    /// Of this session alone: what an earlier one knew may have changed since.
    #[serde(skip)]
    sole: Option<Sole>,
}

/// A moment at which every server of a probe answered, one of them took writes, and all were on its timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sole {
    /// The cluster's system identifier.
    pub system: SafeText,
    /// The timeline that all were on.
    pub timeline: i64,
    /// The observer's boot.
    pub boot: SafeText,
    /// When the first of these answers was asked for.
    pub asked: Now,
}

/// The newest sample that a position covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Covered {
    /// The sample.
    pub sample: LsnSample,
    /// How long ago it was asked for.
    pub age: Duration,
}

impl LsnClock {
    /// Takes in one sample. Samples may come in any order and more than once. A position that goes back within one
    /// timeline means that the past is not what it was: everything before it is dropped for that timeline.
    pub fn observe(&mut self, system: &SafeText, timeline: i64, boot: &SafeText, sample: LsnSample) {
        let same = |s: &Segment| s.system == *system && s.timeline == timeline;
        let last = self.segments.iter_mut().rev().find(|s| same(s) && s.boot == *boot);
        let Some(segment) = last else {
            if let Some(other) = self.segments.iter().rev().find(|s| same(s)).and_then(|s| s.samples.back())
                && sample.lsn < other.lsn
            {
                self.segments.retain(|s| !same(s));
            }
            self.start(system, timeline, boot, sample);
            return;
        };
        let Some(newest) = segment.samples.back().copied() else {
            segment.samples.push_back(sample);
            return;
        };
        if sample.asked.boot <= newest.asked.boot {
            return; // old news: it could only tighten a bound that a newer sample already gives
        }
        if sample.lsn < newest.lsn {
            self.segments.retain(|s| !same(s));
            self.start(system, timeline, boot, sample);
        } else if sample.asked.wall_step_ms(newest.asked).abs() > STEP {
            // Whatever was seen before the step, by whichever boot, has an age by the wall clock that is wrong by its size.
            for earlier in &mut self.segments {
                earlier.dated = false;
            }
            self.start(system, timeline, boot, sample);
        } else {
            add(&mut segment.samples, sample);
            thin(&mut segment.samples);
        }
    }

    fn start(&mut self, system: &SafeText, timeline: i64, boot: &SafeText, sample: LsnSample) {
        self.segments.push(Segment {
            system: system.clone(),
            timeline,
            boot: boot.clone(),
            dated: true,
            samples: VecDeque::from([sample]),
        });
        // Not the last of its timeline: that a cluster forked must not be forgotten.
        let superseded = |i: usize, s: &Segment| {
            self.segments.iter().skip(i + 1).any(|t| t.system == s.system && t.timeline == s.timeline)
        };
        if self.segments.len() > SEGMENTS {
            let oldest = self.segments.iter().enumerate().position(|(i, s)| superseded(i, s)).unwrap_or(0);
            self.segments.remove(oldest);
        }
    }

    /// The newest sample that whoever holds `lsn` covers, with its age by the right clock: the boot clock for samples of
    /// this boot; the wall clock for those of an earlier one, unless it was stepped or they lie in the future.
    pub(super) fn covered(
        &self,
        system: &SafeText,
        timeline: i64,
        lsn: Lsn,
        boot: &SafeText,
        now: Now,
    ) -> Option<Covered> {
        let mine = self.segments.iter().filter(|s| s.boot == *boot).filter_map(|s| s.samples.back());
        let newest = mine.max_by_key(|s| s.asked.boot);
        let stepped = newest.is_some_and(|s| now.wall_step_ms(s.asked).abs() > STEP);
        let of = self.segments.iter().filter(|s| s.system == *system && s.timeline == timeline);
        of.filter_map(|segment| {
            let sample = segment.samples.iter().rev().find(|s| s.lsn <= lsn)?;
            let age = if segment.boot == *boot {
                (sample.asked.boot <= now.boot).then(|| now.since(sample.asked))?
            } else if segment.dated && !stepped {
                // A sample of an earlier boot is at least as old as this boot, whatever the wall clock says.
                now.wall.signed_duration_since(sample.asked.wall).to_std().ok()?.max(now.boot.0)
            } else {
                return None;
            };
            Some(Covered { sample: *sample, age })
        })
        .min_by_key(|c| c.age)
    }

    /// Whether a cluster was only ever seen on one timeline.
    pub(super) fn has_one_timeline(&self, system: &SafeText) -> bool {
        let mut of = self.segments.iter().filter(|s| s.system == *system).map(|s| s.timeline);
        of.next().is_some_and(|first| of.all(|t| t == first))
    }

    /// Takes in that all servers agreed on who writes.
    pub(crate) fn agreed(&mut self, sole: Sole) {
        self.sole = Some(sole);
    }

    /// The same as another clock knew it.
    pub(crate) fn agreed_as(&mut self, other: &Self) {
        self.sole = other.sole.clone().or(self.sole.take());
    }

    /// The timeline that all servers last agreed on, where no primary was seen on another one since: a higher one is then
    /// that of a drill, and was thrown away.
    fn agreed_on(&self, system: &SafeText) -> Option<i64> {
        let sole = self.sole.as_ref().filter(|s| s.system == *system)?;
        let others = self.segments.iter().filter(|s| s.system == *system && s.timeline != sole.timeline);
        // What an earlier boot saw is older.
        let others = others.filter(|s| s.boot == sole.boot);
        let since = others.flat_map(|s| &s.samples).any(|s| s.asked.boot >= sole.asked.boot);
        (!since).then_some(sole.timeline)
    }

    /// The newest sample of a cluster, on the timeline that its primary is seen on now; else on the one that all servers
    /// agreed on; else on the highest.
    pub(super) fn newest(&self, system: &SafeText, seen: Option<i64>) -> Option<(i64, LsnSample)> {
        let seen = seen.or_else(|| self.agreed_on(system));
        let of = self.segments.iter().rev().filter(|s| s.system == *system && seen.is_none_or(|t| t == s.timeline));
        of.filter_map(|s| Some((s.timeline, *s.samples.back()?))).max_by_key(|(timeline, s)| (*timeline, s.lsn))
    }

    /// How fast the log grew lately, in bytes a second: over the last samples that span at least `over`.
    #[must_use]
    pub(super) fn rate(&self, system: &SafeText, over: Duration) -> Option<f64> {
        let segment = self.segments.iter().rev().find(|s| s.system == *system && s.samples.len() > 1)?;
        let newest = segment.samples.back()?;
        let at = segment.samples.iter().rposition(|s| newest.asked.since(s.asked) >= over).unwrap_or(0);
        let oldest = segment.samples.get(at)?;
        // Within a run of equal positions the log was there at every moment, also so long ago.
        let stood = segment.samples.get(at + 1).is_some_and(|next| next.lsn == oldest.lsn);
        let since = newest.asked.since(oldest.asked);
        let seconds = if stood { since.min(over) } else { since }.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
        (seconds > 0.0).then(|| newest.lsn.ahead_of(oldest.lsn).0 as f64 / seconds)
    }

    /// Its segments, for keeping on disk.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

/// Adds the newest sample. Of a run of equal positions only the first and the newest say anything: whoever covers the
/// newest covers all of it, and in between the log did not grow. So an idle primary costs two samples a day.
fn add(samples: &mut VecDeque<LsnSample>, sample: LsnSample) {
    let mut newest = samples.iter().rev().take(2);
    if newest.len() == 2 && newest.all(|s| s.lsn == sample.lsn) {
        samples.pop_back();
    }
    if samples.len() == samples.capacity() {
        samples.reserve_exact(STEP_OF_ROOM);
    }
    samples.push_back(sample);
}

/// Keeps the newest half as it is and every other sample of the older half.
fn thin(samples: &mut VecDeque<LsnSample>) {
    if samples.len() <= KEEP {
        return;
    }
    let half = samples.len() / 2;
    let mut index = 0;
    samples.retain(|_| {
        index += 1;
        index > half || index % 2 == 1
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::BootTime;
    use chrono::DateTime;
    use proptest::prelude::*;

    fn now(boot: u64, wall: i64) -> Now {
        Now { wall: DateTime::from_timestamp(wall, 0).unwrap_or_default(), boot: BootTime(Duration::from_secs(boot)) }
    }

    fn sample(boot: u64, lsn: u64) -> LsnSample {
        let asked = now(boot, 1_000_000 + i64::try_from(boot).unwrap_or(0));
        LsnSample { asked, answered: asked.plus(Duration::from_millis(80)), lsn: Lsn(lsn) }
    }

    fn clock(samples: &[(u64, u64)]) -> LsnClock {
        let mut c = LsnClock::default();
        for (t, l) in samples {
            c.observe(&"sys".into(), 1, &"boot".into(), sample(*t, *l));
        }
        c
    }

    fn age(c: &LsnClock, lsn: u64, at: u64) -> Option<u64> {
        c.covered(&"sys".into(), 1, Lsn(lsn), &"boot".into(), now(at, 1_000_000 + i64::try_from(at).unwrap_or(0)))
            .map(|c| c.age.as_secs())
    }

    #[test]
    fn the_bound_is_counted_from_the_question() {
        let c = clock(&[(10, 100), (15, 200), (20, 300)]);
        assert_eq!(age(&c, 300, 21), Some(1));
        assert_eq!(age(&c, 299, 21), Some(6), "no interpolation inside the edge");
        assert_eq!(age(&c, 99, 21), None, "what is before history is unbounded");
    }

    #[test]
    fn an_idle_primary_is_not_behind() {
        let c = clock(&[(10, 100), (15, 100), (20, 100)]);
        assert_eq!(age(&c, 100, 22), Some(2));
    }

    #[test]
    fn a_position_that_goes_back_forgets_the_past() {
        let c = clock(&[(10, 100), (15, 200), (20, 150)]);
        assert_eq!(age(&c, 180, 21), Some(1));
        assert_eq!(age(&c, 120, 21), None);
    }

    #[test]
    fn a_step_of_the_wall_clock_changes_no_age_of_this_boot() {
        let mut c = clock(&[(10, 100)]);
        let mut late = sample(15, 200);
        late.asked.wall = DateTime::from_timestamp(0, 0).unwrap_or_default();
        c.observe(&"sys".into(), 1, &"boot".into(), late);
        assert_eq!(age(&c, 200, 16), Some(1));
        assert_eq!(age(&c, 150, 16), Some(6));
        let other = c.covered(&"sys".into(), 1, Lsn(150), &"next boot".into(), now(1, 1_000_100));
        assert_eq!(other, None, "a stepped segment cannot be dated by another boot");
    }

    #[test]
    fn another_boot_dates_by_the_wall_clock_and_never_from_the_future() {
        let c = clock(&[(10, 100)]);
        let seen =
            |wall| c.covered(&"sys".into(), 1, Lsn(100), &"next boot".into(), now(1, wall)).map(|c| c.age.as_secs());
        assert_eq!(seen(1_000_070), Some(60));
        assert_eq!(seen(1_000_000), None);
        let late = c.covered(&"sys".into(), 1, Lsn(100), &"next boot".into(), now(3_600, 1_000_070));
        assert_eq!(late.map(|c| c.age.as_secs()), Some(3_600), "a wall clock that was set back makes nothing younger");
    }

    #[test]
    fn a_step_after_a_reboot_undates_what_earlier_boots_saw() {
        // Asked at 1_000_010 by a boot that ended; this boot's clock is then set back by 100 s.
        let mut c = clock(&[(10, 100)]);
        let (sys, boot) = (SafeText::from("sys"), SafeText::from("next boot"));
        let at = |boot: u64, wall| LsnSample { asked: now(boot, wall), answered: now(boot, wall), lsn: Lsn(500) };
        let seen = |c: &LsnClock, boot_s, wall| c.covered(&sys, 1, Lsn(100), &boot, now(boot_s, wall)).map(|c| c.age);
        c.observe(&sys, 1, &boot, at(1, 1_000_200));
        assert_eq!(seen(&c, 2, 1_000_201), Some(Duration::from_secs(191)));
        assert_eq!(seen(&c, 3, 1_000_102), None, "stepped since the newest sample");
        c.observe(&sys, 1, &boot, at(4, 1_000_103));
        assert_eq!(seen(&c, 5, 1_000_104), None, "stepped between two samples");
    }

    #[test]
    fn a_wall_clock_that_never_stands_still_fills_no_memory() {
        let mut c = clock(&[(1, 1)]);
        for i in 2..1_000_u64 {
            let mut s = sample(i, i);
            s.asked.wall += chrono::Duration::seconds(if i % 2 == 0 { 60 } else { 0 });
            c.observe(&"sys".into(), 1, &"boot".into(), s);
        }
        assert!(c.segments().len() <= SEGMENTS);
        assert_eq!(age(&c, 999, 1_000), Some(1));
    }

    #[test]
    fn other_clusters_and_timelines_say_nothing() {
        let c = clock(&[(10, 100)]);
        assert_eq!(c.covered(&"sys".into(), 2, Lsn(100), &"boot".into(), now(11, 0)), None);
        assert_eq!(c.covered(&"other".into(), 1, Lsn(100), &"boot".into(), now(11, 0)), None);
    }

    proptest! {
        /// Whatever order samples come in, and however they are thinned, the bound is never smaller than the truth: the
        /// time since the position that the standby lacks was first seen to exist.
        #[test]
        fn the_bound_never_flatters(steps in prop::collection::vec((1_u64..30, 0_u64..1_000), 1..1_200), held in 0_u64..600_000, swap: usize) {
            let mut samples = Vec::new();
            let (mut t, mut l) = (0, 0);
            for (dt, dl) in steps {
                t += dt;
                l += dl;
                samples.push((t, l));
            }
            let end = t;
            let n = samples.len();
            samples.swap(swap % n, n - 1);
            let c = clock(&samples);
            samples.sort_unstable();
            // The first sample that the holder does not cover: everything since the one before may be lost.
            let truth = samples.iter().rev().find(|(_, lsn)| *lsn <= held).map(|(t, _)| end - t);
            if let Some(bound) = age(&c, held, end) {
                prop_assert!(truth.is_some_and(|truth| bound >= truth));
            }
        }
    }
}
