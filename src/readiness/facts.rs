//! Everything that was read, and how a rule looks at it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::plan::{Key, LaneId, Lsn, Now, Plan, ProbeDecl, ProbeId, SafeText, SignalId, SiteId, Subject};

use super::{Gap, LsnClock, Pool, Reading, Reason, Rehearsed, Row, Value};

/// How many looks of a lane are remembered for judging flapping.
const REMEMBERED: usize = 5;

/// What became of one look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// When it was asked.
    pub asked: Now,
    /// Its first gap, if any reading was one.
    pub gap: Option<Gap>,
}

/// When a look was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// When the question was sent. Bounds are counted from here.
    pub asked: Now,
    /// When the answer was complete.
    pub answered: Now,
}

/// A value as it is kept, with the times of its look. Whose it is says where it is kept: thousands are, and a key is as
/// large as all the rest.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// The value.
    pub value: Value,
    /// Shared with all that the look brought.
    times: Arc<Times>,
    /// When the value was true by the remote's own clock, where it says so.
    pub as_of: Option<DateTime<Utc>>,
}

impl std::ops::Deref for Kept {
    type Target = Times;

    fn deref(&self) -> &Times {
        &self.times
    }
}

/// The look before the one that brought the value that is kept.
#[derive(Clone, Debug)]
struct Before {
    /// Its value; `None` where it was equal.
    value: Option<Box<Value>>,
    times: Arc<Times>,
}

#[derive(Clone, Debug)]
struct Slot {
    signal: SignalId,
    good: Option<Kept>,
    /// The value before `good`.
    before: Option<Before>,
    /// The newest look.
    newest: Arc<Times>,
    /// Why the newest look brought no value, where it did not. A value that it did bring is `good`.
    failing: Option<Gap>,
    /// The look in which the value of `good` was first seen in a run of equal values.
    since: Option<Arc<Times>>,
    /// Whether it ever was another value than the first.
    moved: bool,
}

#[derive(Clone, Debug, Default)]
struct Lane {
    /// By signal.
    slots: Vec<Slot>,
    outcomes: VecDeque<Outcome>,
}

impl Lane {
    fn slot(&self, signal: &SignalId) -> Option<&Slot> {
        // Names are the program's own constants: nearly always the same text at the same place, which costs no comparing.
        let same = |s: &&Slot| std::ptr::eq(s.signal.as_str(), signal.as_str());
        if let Some(slot) = self.slots.iter().find(same) {
            return Some(slot);
        }
        let at = self.slots.binary_search_by(|s| s.signal.cmp(signal)).ok()?;
        self.slots.get(at)
    }

    /// Takes in one reading of a look.
    fn take(&mut self, reading: Reading, look: &Arc<Times>, pool: &mut Pool) {
        let Reading { key, value, asked, answered, as_of } = reading;
        let times = Times { asked, answered };
        let times = if times == **look { Arc::clone(look) } else { Arc::new(times) };
        let at = match self.slots.binary_search_by(|s| s.signal.cmp(&key.signal)) {
            Ok(at) => at,
            Err(at) => {
                let newest = Arc::clone(&times);
                let new = Slot {
                    signal: key.signal,
                    good: None,
                    before: None,
                    newest,
                    failing: None,
                    since: None,
                    moved: false,
                };
                self.slots.insert(at, new);
                at
            }
        };
        let Some(slot) = self.slots.get_mut(at) else { return };
        slot.newest = Arc::clone(&times);
        match value {
            Err(gap) => slot.failing = Some(gap),
            Ok(mut value) => {
                slot.failing = None;
                match &mut slot.good {
                    // Most values are what they were: they are not kept twice.
                    Some(good) if good.value == value => {
                        slot.before = Some(Before { value: None, times: Arc::clone(&good.times) });
                        (good.times, good.as_of) = (times, as_of);
                    }
                    good => {
                        pool.share(&mut value);
                        slot.since = Some(Arc::clone(&times));
                        let old = good.replace(Kept { value, times, as_of });
                        slot.moved |= old.is_some();
                        slot.before = old.map(|old| Before { value: Some(Box::new(old.value)), times: old.times });
                    }
                }
            }
        }
    }
}

/// Every reading that was made, newest per key, with what is needed to judge flapping. One owner: the application's
/// state.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    /// A plan has a few: to look through them costs less than to hash a name of four parts.
    lanes: Vec<(LaneId, Lane)>,
}

impl Readings {
    fn lane(&self, probe: &ProbeId, subject: &Subject) -> Option<&Lane> {
        let is = |id: &LaneId| id.probe.name == probe.name && id.subject == *subject && id.probe.plan == probe.plan;
        self.lanes.iter().find(|(id, _)| is(id)).map(|(_, lane)| lane)
    }

    fn lane_mut(&mut self, id: &LaneId) -> Option<&mut Lane> {
        self.lanes.iter_mut().find(|(i, _)| i == id).map(|(_, lane)| lane)
    }

    /// Takes in one look of one lane. A look that was asked before the newest one is ignored: events may arrive in any
    /// order, old news never replaces newer.
    pub fn take(&mut self, lane: &LaneId, asked: Now, readings: Vec<Reading>) -> bool {
        self.take_sharing(lane, asked, readings, &mut Pool::default())
    }

    /// As [`Readings::take`]; rows that other plans have too are kept once, in `pool`.
    pub fn take_sharing(&mut self, lane: &LaneId, asked: Now, readings: Vec<Reading>, pool: &mut Pool) -> bool {
        if self.lane(&lane.probe, &lane.subject).is_none() {
            self.lanes.push((lane.clone(), Lane::default()));
        }
        let Some(state) = self.lane_mut(lane) else { return false };
        if state.outcomes.back().is_some_and(|o| o.asked.boot >= asked.boot) {
            return false;
        }
        let gap = readings.iter().find_map(|r| r.value.as_ref().err().cloned());
        let empty = readings.is_empty().then(|| Gap::new(Reason::Absent, "the look brought nothing"));
        state.outcomes.push_back(Outcome { asked, gap: gap.or(empty) });
        while state.outcomes.len() > REMEMBERED {
            state.outcomes.pop_front();
        }
        let answered = readings.first().map_or(asked, |r| r.answered);
        let look = Arc::new(Times { asked, answered });
        // What claims to be of another lane is not this look's to say.
        state.slots.reserve_exact(readings.len().saturating_sub(state.slots.len()));
        for reading in readings.into_iter().filter(|r| r.key.probe == lane.probe && r.key.subject == lane.subject) {
            state.take(reading, &look, pool);
        }
        true
    }

    /// Forgets one key. For the test that drops each key from each healthy scenario.
    pub fn forget(&mut self, key: &Key) {
        if let Some(lane) = self.lane_mut(&key.lane()) {
            lane.slots.retain(|s| s.signal != key.signal);
        }
    }

    /// The last looks of a lane, oldest first, five at most.
    pub fn outcomes(&self, lane: &LaneId) -> impl DoubleEndedIterator<Item = &Outcome> + ExactSizeIterator {
        static NONE: VecDeque<Outcome> = VecDeque::new();
        self.lane(&lane.probe, &lane.subject).map_or(&NONE, |l| &l.outcomes).iter()
    }

    /// When a lane was last asked.
    #[must_use]
    pub fn last_asked(&self, probe: &ProbeId, subject: &Subject) -> Option<Now> {
        self.lane(probe, subject)?.outcomes.back().map(|o| o.asked)
    }

    /// The moments whose ages judging a lane holds against limits: when it was last asked, and when the values were that
    /// stand although a newer look brought none.
    pub fn ageing(&self, probe: &ProbeId, subject: &Subject) -> impl Iterator<Item = Now> {
        let lane = self.lane(probe, subject);
        let newest = lane.and_then(|l| l.outcomes.back()).map(|o| o.asked);
        let slots = lane.into_iter().flat_map(|l| &l.slots);
        let others = slots.flat_map(|s| [Some(s.newest.asked), s.good.as_ref().map(|g| g.asked)]).flatten();
        newest.into_iter().chain(others.filter(move |asked| Some(*asked) != newest))
    }

    /// Every key that was ever read.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        let mut keys: Vec<Key> =
            self.lanes.iter().flat_map(|(id, lane)| lane.slots.iter().map(|s| id.key(s.signal.clone()))).collect();
        keys.sort();
        keys
    }

    fn seen<'a>(lane: Option<&'a Lane>, signal: &SignalId, stale_after: Duration, now: Now) -> Seen<'a> {
        let Some(lane) = lane else { return Seen::Never };
        let Some(slot) = lane.slot(signal) else { return Seen::Never };
        let age = now.since(slot.newest.asked);
        let failing = slot.failing.as_ref();
        if let Some(gap) = failing
            && age <= stale_after
            && proven(lane, gap)
        {
            return Seen::Gap { gap, at: slot.newest.asked };
        }
        if let Some(good) = &slot.good
            && now.since(good.asked) <= stale_after
        {
            return Seen::Value { value: &good.value, reading: good, failing };
        }
        match failing {
            Some(gap) if age <= stale_after => Seen::Gap { gap, at: slot.newest.asked },
            Some(_) | None => Seen::Stale { at: slot.good.as_ref().map_or(slot.newest.asked, |g| g.asked) },
        }
    }
}

/// Whether a gap is proof by itself. A refused connection is, once it was refused twice running: a server that
/// restarts refuses for a moment.
fn proven(lane: &Lane, gap: &Gap) -> bool {
    if gap.reason == Reason::Refused {
        return refused_twice(lane);
    }
    gap.reason.verdict() == super::Verdict::NotReady
}

fn refused_twice(lane: &Lane) -> bool {
    let refused = |o: &&Outcome| o.gap.as_ref().is_some_and(|g| g.reason == Reason::Refused);
    lane.outcomes.iter().rev().take_while(refused).count() >= 2
}

/// What is known of one key at one moment.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// A value that is fresh enough to judge.
    Value {
        /// The value.
        value: &'a Value,
        /// Its reading.
        reading: &'a Kept,
        /// Why the newest look failed, where it did: the value is then from an earlier look.
        failing: Option<&'a Gap>,
    },
    /// The newest look could not make it, and no earlier one is fresh enough; or the gap is proof.
    Gap {
        /// Why.
        gap: &'a Gap,
        /// When it was asked.
        at: Now,
    },
    /// What was read is too old to judge.
    Stale {
        /// When it was asked.
        at: Now,
    },
    /// It was never read.
    Never,
}

/// How a rule looks at the readings of one plan.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// What was read.
    pub readings: &'a Readings,
    /// Where primaries have been, by probe.
    pub clocks: &'a HashMap<ProbeId, LsnClock>,
    /// The site that last was seen to take writes, with when, where that is known: from this session or from the history.
    pub last_active: Option<&'a (SiteId, Now)>,
    /// This machine's boot, as the LSN clock keys it.
    pub boot: &'a SafeText,
    /// Whether what is judged now is shown until the next look. A bound must hold for as long as it is shown.
    pub watching: bool,
    /// What came of looking the plan's runbooks through.
    pub rehearsed: &'a [Rehearsed],
}

impl<'a> Facts<'a> {
    /// Whether the last two looks of a lane were both refused: once is a server that restarts, twice is one that is down.
    #[must_use]
    pub(super) fn refused_twice(&self, lane: &LaneId) -> bool {
        self.readings.lane(&lane.probe, &lane.subject).is_some_and(refused_twice)
    }

    /// What is known of a key.
    #[must_use]
    pub fn seen(&self, key: &Key, now: Now) -> Seen<'a> {
        let stale_after = self.plan.probe(&key.probe).map_or(Duration::ZERO, |p| self.plan.stale_after(p));
        Readings::seen(self.readings.lane(&key.probe, &key.subject), &key.signal, stale_after, now)
    }

    /// What is known of one signal of one lane of `probe`.
    #[must_use]
    pub(super) fn seen_in(&self, probe: &ProbeDecl, lane: &LaneId, signal: &SignalId, now: Now) -> Seen<'a> {
        self.seen_of(probe, &lane.subject, signal, now)
    }

    fn seen_of(&self, probe: &ProbeDecl, subject: &Subject, signal: &SignalId, now: Now) -> Seen<'a> {
        Readings::seen(self.readings.lane(&probe.id, subject), signal, self.plan.stale_after(probe), now)
    }

    /// Since when a fresh value has been what it is: when the first of a run of equal values was asked for. Looks that
    /// failed in between do not end the run.
    #[must_use]
    pub fn held_since(&self, probe: &ProbeDecl, subject: &Subject, signal: &SignalId, now: Now) -> Option<Now> {
        match self.seen_of(probe, subject, signal, now) {
            Seen::Value { .. } => self.readings.lane(&probe.id, subject)?.slot(signal)?.since.as_ref().map(|s| s.asked),
            Seen::Gap { .. } | Seen::Stale { .. } | Seen::Never => None,
        }
    }

    /// Whether a value was ever seen to change.
    #[must_use]
    pub fn was_seen_to_move(&self, probe: &ProbeDecl, subject: &Subject, signal: &SignalId) -> bool {
        self.readings.lane(&probe.id, subject).and_then(|l| l.slot(signal)).is_some_and(|s| s.moved)
    }

    /// How long ago it was asked for the newest position that a primary is known to have had and that `lsn` covers: what
    /// lies beyond was written since. `None` where no such position is known.
    #[must_use]
    pub fn written_beyond(
        &self,
        probe: &ProbeDecl,
        system: &SafeText,
        timeline: i64,
        lsn: Lsn,
        now: Now,
    ) -> Option<Duration> {
        Some(self.clocks.get(&probe.id)?.covered(system, timeline, lsn, self.boot, now)?.age)
    }

    /// The value of the look before the one that brought the fresh value, with when it was asked for. For what one look
    /// alone does not prove.
    #[must_use]
    pub fn before(&self, probe: &ProbeDecl, subject: &Subject, signal: &SignalId) -> Option<(&'a Value, Now)> {
        let slot = self.readings.lane(&probe.id, subject)?.slot(signal)?;
        let before = slot.before.as_ref()?;
        let value = before.value.as_deref().or_else(|| Some(&slot.good.as_ref()?.value))?;
        Some((value, before.times.asked))
    }

    /// A fresh value and its reading; `None` for a gap, for what is stale and for what does not apply.
    #[must_use]
    pub fn value(
        &self,
        probe: &ProbeDecl,
        subject: &Subject,
        signal: &SignalId,
        now: Now,
    ) -> Option<(&'a Value, &'a Kept)> {
        match self.seen_of(probe, subject, signal, now) {
            Seen::Value { value: Value::NotApplicable, .. } | Seen::Gap { .. } | Seen::Stale { .. } | Seen::Never => {
                None
            }
            Seen::Value { value, reading, .. } => Some((value, reading)),
        }
    }

    /// A fresh truth value.
    #[must_use]
    pub fn bool(&self, probe: &ProbeDecl, subject: &Subject, signal: &SignalId, now: Now) -> Option<(bool, &'a Kept)> {
        match self.value(probe, subject, signal, now)? {
            (Value::Bool(v), r) => Some((*v, r)),
            (_, _) => None,
        }
    }

    /// A fresh whole number.
    #[must_use]
    pub fn int(&self, probe: &ProbeDecl, subject: &Subject, signal: &SignalId, now: Now) -> Option<(i64, &'a Kept)> {
        match self.value(probe, subject, signal, now)? {
            (Value::Int(v), r) => Some((*v, r)),
            (_, _) => None,
        }
    }

    /// Fresh words.
    #[must_use]
    pub fn text(
        &self,
        probe: &ProbeDecl,
        subject: &Subject,
        signal: &SignalId,
        now: Now,
    ) -> Option<(&'a SafeText, &'a Kept)> {
        match self.value(probe, subject, signal, now)? {
            (Value::Text(v), r) => Some((v, r)),
            (_, _) => None,
        }
    }

    /// A fresh position.
    #[must_use]
    pub fn lsn(&self, probe: &ProbeDecl, subject: &Subject, signal: &SignalId, now: Now) -> Option<(Lsn, &'a Kept)> {
        match self.value(probe, subject, signal, now)? {
            (Value::Lsn(v), r) => Some((*v, r)),
            (_, _) => None,
        }
    }

    /// A fresh length of time.
    #[must_use]
    pub fn span(
        &self,
        probe: &ProbeDecl,
        subject: &Subject,
        signal: &SignalId,
        now: Now,
    ) -> Option<(Duration, &'a Kept)> {
        match self.value(probe, subject, signal, now)? {
            (Value::Span(v), r) => Some((v.0, r)),
            (_, _) => None,
        }
    }

    /// A fresh moment of the remote's.
    #[must_use]
    pub fn time(
        &self,
        probe: &ProbeDecl,
        subject: &Subject,
        signal: &SignalId,
        now: Now,
    ) -> Option<(DateTime<Utc>, &'a Kept)> {
        match self.value(probe, subject, signal, now)? {
            (Value::Time(v), r) => Some((*v, r)),
            (_, _) => None,
        }
    }

    /// A fresh table.
    #[must_use]
    pub fn rows(
        &self,
        probe: &ProbeDecl,
        subject: &Subject,
        signal: &SignalId,
        now: Now,
    ) -> Option<(&'a [Row], &'a Kept)> {
        match self.value(probe, subject, signal, now)? {
            (Value::Rows(v), r) => Some((v, r)),
            (_, _) => None,
        }
    }
}
