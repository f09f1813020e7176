//! The facts and their judgement: readings in, plan statuses out. No view in here.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::plan::{BootTime, Key, LaneId, Lsn, Now, Plan, PlanId, ProbeId, SafeText, SignalId, SiteId};
use crate::readiness::signals::{EXPOSURE, FLUSHED, RECEIVED, REPLAYED, SYSTEM_ID, Signal, TIMELINE, WRITABLE};
use crate::readiness::{
    ActiveSite, Exposure, Facts, LsnClock, LsnSample, PlanStatus, Reading, Readings, Rule, Snapshot, Value, Verdict,
    judge, one_look,
};

use super::history::{Change, History, Memory};

/// Points that one chart keeps.
const POINTS: usize = 360;
/// A bound above this and above the objective is worth another look.
const LOOSE: Duration = Duration::from_secs(5);
/// Changes that the timeline keeps.
const CHANGES: usize = 1_000;

/// What is known, and what follows from it. Owned by one task.
pub struct Model {
    rules: Vec<&'static dyn Rule>,
    charted: Vec<SignalId>,
    boot: SafeText,
    watching: bool,
    plans: Vec<PlanModel>,
    by_id: HashMap<PlanId, usize>,
    changes: VecDeque<Change>,
    series: HashMap<Key, VecDeque<(Now, f64)>>,
    generation: u64,
    past: Option<History>,
}

struct PlanModel {
    plan: Arc<Plan>,
    readings: Readings,
    clocks: HashMap<ProbeId, LsnClock>,
    last_active: Option<(SiteId, Now)>,
    replay: HashMap<LaneId, Replay>,
    status: Arc<PlanStatus>,
    stale: bool,
    wake: Option<BootTime>,
}

/// What a standby's replay rate is measured from.
#[derive(Clone, Copy)]
struct Replay {
    asked: Now,
    replayed: Lsn,
    backlog: u64,
    rate: Option<f64>,
}

/// One look of one lane, as it arrives.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Polled {
    /// The lane.
    pub lane: LaneId,
    /// When it was asked.
    pub asked: Now,
    /// When the answer was complete.
    pub answered: Now,
    /// What it brought.
    pub readings: Vec<Reading>,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model")
            .field("plans", &self.by_id.len())
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

impl Model {
    /// An empty model. `rules` are the systems' rules, `signals` say what is charted, `boot` is this machine's boot.
    #[must_use]
    pub fn new<'a>(
        rules: Vec<&'static dyn Rule>,
        signals: impl IntoIterator<Item = &'a Signal>,
        boot: SafeText,
    ) -> Self {
        let charted = signals.into_iter().filter(|s| s.charted).map(|s| s.id.clone()).collect();
        Self {
            rules,
            charted,
            boot,
            watching: false,
            plans: Vec::new(),
            by_id: HashMap::new(),
            changes: VecDeque::new(),
            series: HashMap::new(),
            generation: 0,
            past: None,
        }
    }

    /// The same, for a session that shows what it judged until the next look: bounds then hold until that.
    #[must_use]
    pub fn watching(mut self) -> Self {
        self.watching = true;
        self
    }

    /// Takes the plans; forgets whatever was there before.
    pub fn configure(&mut self, plans: Vec<Arc<Plan>>, now: Now) {
        self.by_id = plans.iter().enumerate().map(|(i, p)| (p.id.clone(), i)).collect();
        let rules = &self.rules;
        let (boot, watching) = (&self.boot, self.watching);
        self.plans = plans
            .into_iter()
            .map(|plan| {
                let readings = Readings::default();
                let clocks = HashMap::new();
                let facts =
                    Facts { plan: &plan, readings: &readings, clocks: &clocks, last_active: None, boot, watching };
                let status = Arc::new(judge(&plan, &facts, rules, None, now));
                PlanModel {
                    readings,
                    clocks,
                    last_active: None,
                    replay: HashMap::new(),
                    status,
                    stale: true,
                    wake: None,
                    plan,
                }
            })
            .collect();
        self.generation += 1;
        if let Some(past) = self.past.take() {
            self.remember(past);
        }
    }

    /// Takes in what was remembered. What this session has already seen is newer and stays.
    pub fn remember(&mut self, past: History) {
        if self.plans.is_empty() {
            self.past = Some(past);
            return;
        }
        for (probe, clock) in past.clocks {
            let Some(plan) = self.by_id.get(&probe.plan).and_then(|i| self.plans.get_mut(*i)) else { continue };
            let seen = plan.clocks.remove(&probe).unwrap_or_default();
            let mut merged = clock;
            for segment in seen.segments() {
                for sample in &segment.samples {
                    merged.observe(&segment.system, segment.timeline, &segment.boot, *sample);
                }
            }
            plan.clocks.insert(probe, merged);
            plan.stale = true;
        }
        for (id, (site, at, boot)) in past.active {
            let Some(plan) = self.by_id.get(&id).and_then(|i| self.plans.get_mut(*i)) else { continue };
            if plan.last_active.is_none() && plan.plan.site(site.as_str()).is_some() {
                // A moment of another boot has no boot time here: it is as old as this boot at least. In this boot, the
                // site is noted when it changes and now and then; every position since then was read there, too.
                let at = if boot == self.boot {
                    let own = plan.clocks.values().flat_map(LsnClock::segments).filter(|s| s.boot == boot);
                    let newest = own.filter_map(|s| s.samples.back()).map(|s| s.asked).max_by_key(|n| n.boot);
                    newest.filter(|n| n.boot > at.boot).unwrap_or(at)
                } else {
                    Now { boot: BootTime(Duration::ZERO), ..at }
                };
                plan.last_active = Some((site, at));
                plan.stale = true;
            }
        }
        let mut changes: VecDeque<Change> = past.changes.into();
        changes.extend(self.changes.drain(..));
        self.changes = changes;
        for (key, points) in past.series {
            let seen = self.series.remove(&key).unwrap_or_default();
            let mut all: VecDeque<(Now, f64)> = points.into();
            all.extend(seen);
            self.series.insert(key, all);
        }
        self.generation += 1;
    }

    /// Takes in one look; the plan is judged at the next [`Model::settle`]. Returns what is to be remembered.
    pub fn polled(&mut self, polled: Polled) -> Vec<Memory> {
        let Some(plan) = self.by_id.get(&polled.lane.probe.plan).and_then(|i| self.plans.get_mut(*i)) else {
            return Vec::new();
        };
        let mut memories = Vec::new();
        let fact = |signal: &SignalId| {
            let reading = polled.readings.iter().find(|r| r.key.signal == *signal)?;
            reading.value.as_ref().ok().map(|v| (v.clone(), reading.asked, reading.answered))
        };
        let (flushed, received, replayed) = (fact(&FLUSHED), fact(&RECEIVED), fact(&REPLAYED));
        let (system, timeline, writable) = (fact(&SYSTEM_ID), fact(&TIMELINE), fact(&WRITABLE));
        let points: Vec<(Key, Now, f64)> = polled
            .readings
            .iter()
            .filter(|r| self.charted.contains(&r.key.signal))
            .filter_map(|r| Some((r.key.clone(), r.asked, r.value.as_ref().ok()?.as_number()?)))
            .collect();
        let lane = polled.lane.clone();
        if !plan.readings.take(&lane, polled.asked, polled.readings) {
            return Vec::new();
        }
        plan.stale = true;
        if let (
            Some((Value::Lsn(lsn), asked, answered)),
            Some((Value::Text(system), ..)),
            Some((Value::Int(timeline), ..)),
        ) = (flushed, system, timeline)
        {
            let sample = LsnSample { asked, answered, lsn };
            plan.clocks.entry(lane.probe.clone()).or_default().observe(&system, timeline, &self.boot, sample);
            memories.push(Memory::Sample {
                probe: lane.probe.clone(),
                system,
                timeline,
                boot: self.boot.clone(),
                sample,
            });
        }
        // A look that took long may come in after a newer one of another site.
        let newer = |asked: Now| plan.last_active.as_ref().is_none_or(|(_, at)| asked.boot >= at.boot);
        if let (Some((Value::Bool(true), asked, _)), Some(site)) = (writable, &lane.subject.site)
            && newer(asked)
        {
            let moved =
                plan.last_active.as_ref().is_none_or(|(s, at)| s != site || asked.since(*at) > Duration::from_secs(60));
            if moved {
                memories.push(Memory::Active {
                    plan: plan.plan.id.clone(),
                    site: site.clone(),
                    at: asked,
                    boot: self.boot.clone(),
                });
            }
            plan.last_active = Some((site.clone(), asked));
        }
        if let (Some((Value::Lsn(received), asked, _)), Some((Value::Lsn(replayed), ..))) = (received, replayed) {
            let backlog = received.ahead_of(replayed).0;
            let before = plan.replay.get(&lane).copied();
            let rate = before.and_then(|b| replay_rate(b, asked, replayed, backlog)).or(before.and_then(|b| b.rate));
            plan.replay.insert(lane, Replay { asked, replayed, backlog, rate });
        }
        for (key, at, value) in points {
            self.point(&key, at, value);
            memories.push(Memory::Point { key, at, value });
        }
        memories
    }

    fn point(&mut self, key: &Key, at: Now, value: f64) {
        if !self.series.contains_key(key) {
            self.series.insert(key.clone(), VecDeque::new());
        }
        if let Some(series) = self.series.get_mut(key) {
            series.push_back((at, value));
            while series.len() > POINTS {
                series.pop_front();
            }
        }
    }

    /// Judges every plan that has news, or whose evidence has aged past a limit by `now`. Returns whether anything that
    /// can be seen changed, and what is to be remembered.
    pub fn settle(&mut self, now: Now) -> (bool, Vec<Memory>) {
        let mut memories = Vec::new();
        let mut points = Vec::new();
        let mut changed = false;
        for plan in &mut self.plans {
            if !plan.stale && plan.wake.is_none_or(|w| w > now.boot) {
                continue;
            }
            plan.stale = false;
            changed = true;
            let facts = Facts {
                plan: &plan.plan,
                readings: &plan.readings,
                clocks: &plan.clocks,
                last_active: plan.last_active.as_ref(),
                boot: &self.boot,
                watching: self.watching,
            };
            let rate = plan.replay.values().filter_map(|r| r.rate).reduce(f64::min);
            let mut status = judge(&plan.plan, &facts, &self.rules, rate, now);
            let before = &plan.status;
            let same = before.readiness == status.readiness;
            status.since = if same { before.since.or(Some(now)) } else { Some(now) };
            let moved = !same || before.situation.words() != status.situation.words();
            // Until the first look of every lane is in, "not read yet" is no news.
            let settled = !status.findings.iter().any(|f| f.code == "never-read");
            let first = before.since.is_none() || before.findings.iter().any(|f| f.code == "never-read");
            if settled && (moved || first) {
                let change = Change {
                    plan: plan.plan.id.clone(),
                    at: now,
                    from: (!first).then_some(before.readiness),
                    to: status.readiness,
                    situation: status.situation.clone(),
                    why: status.why().map(|f| f.sentence.clone()).unwrap_or_default(),
                };
                memories.push(Memory::Change(change.clone()));
                self.changes.push_back(change);
                while self.changes.len() > CHANGES {
                    self.changes.pop_front();
                }
            }
            for e in &status.exposures {
                if let Some(span) = e.bound.span() {
                    let subject = crate::plan::Subject::site(e.to.clone());
                    points.push((Key { probe: e.probe.clone(), subject, signal: EXPOSURE }, now, span.0.as_secs_f64()));
                }
            }
            plan.wake = wake(plan, &status, now);
            plan.status = Arc::new(status);
        }
        for (key, at, value) in points {
            // One point a second is enough for a chart of a bound that grows.
            let recent = self
                .series
                .get(&key)
                .and_then(VecDeque::back)
                .is_some_and(|(last, _)| at.since(*last) < Duration::from_secs(1));
            if !recent {
                self.point(&key, at, value);
                memories.push(Memory::Point { key, at, value });
            }
        }
        if changed {
            self.generation += 1;
        }
        (changed, memories)
    }

    /// When the next verdict may change by itself: the earliest moment at which evidence ages past its limit.
    #[must_use]
    pub fn next_wake(&self) -> Option<BootTime> {
        self.plans.iter().filter_map(|p| p.wake).min()
    }

    /// Everything judged, at one moment.
    #[must_use]
    pub fn snapshot(&self, now: Now) -> Snapshot {
        Snapshot {
            generation: self.generation,
            at: now,
            plans: self.plans.iter().map(|p| Arc::clone(&p.status)).collect(),
        }
    }

    /// Grows with every change.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The status of one plan.
    #[must_use]
    pub fn status(&self, id: &PlanId) -> Option<&Arc<PlanStatus>> {
        self.by_id.get(id).and_then(|i| self.plans.get(*i)).map(|p| &p.status)
    }

    /// Every status, in the order of the configuration.
    pub fn statuses(&self) -> impl ExactSizeIterator<Item = &Arc<PlanStatus>> {
        self.plans.iter().map(|p| &p.status)
    }

    /// Verdict changes, oldest first.
    pub fn changes(&self) -> impl DoubleEndedIterator<Item = &Change> + ExactSizeIterator {
        self.changes.iter()
    }

    /// The points of one chart, oldest first.
    pub fn series(&self, key: &Key) -> impl DoubleEndedIterator<Item = &(Now, f64)> + ExactSizeIterator {
        static NONE: VecDeque<(Now, f64)> = VecDeque::new();
        self.series.get(key).unwrap_or(&NONE).iter()
    }

    /// The readings of one plan, for evidence and for tests.
    #[must_use]
    pub fn readings(&self, id: &PlanId) -> Option<&Readings> {
        self.by_id.get(id).and_then(|i| self.plans.get(*i)).map(|p| &p.readings)
    }

    /// Whether a lane showed once that nothing is streamed: one look is a restart, a second one a while later is proof.
    #[must_use]
    pub fn asking_again(&self, lane: &LaneId) -> bool {
        let status = self.by_id.get(&lane.probe.plan).and_then(|i| self.plans.get(*i)).map(|p| &p.status);
        status.is_some_and(|s| {
            s.findings.iter().any(|f| {
                f.verdict == Verdict::Unknown
                    && matches!(f.code.as_ref(), "not-streaming" | "sender-missing")
                    && f.probe.as_ref() == Some(&lane.probe)
                    && f.subject.site == lane.subject.site
            })
        })
    }

    /// The lanes worth another look before a one-shot verdict: those that were refused once, those that showed no stream
    /// once, and the standbys whose loss is not bounded yet although the primary answers (they are watched until they reach its position).
    #[must_use]
    pub fn unsettled(&self) -> Vec<LaneId> {
        let mut lanes = Vec::new();
        for plan in &self.plans {
            for probe in &plan.plan.probes {
                for lane in &probe.lanes {
                    let id = probe.lane_id(lane);
                    let outcomes: Vec<_> = plan.readings.outcomes(&id).collect();
                    let refused_once = matches!(outcomes.as_slice(), [one]
                        if one.gap.as_ref().is_some_and(|g| g.reason == crate::readiness::Reason::Refused));
                    let unbounded = plan
                        .status
                        .exposures
                        .iter()
                        .any(|e| e.probe == probe.id && Some(&e.to) == lane.subject.site.as_ref() && loose(e))
                        && matches!(plan.status.active.database, ActiveSite::At(_))
                        && lane.expects.contains(&RECEIVED)
                        && outcomes.last().is_some_and(|o| o.gap.is_none());
                    // Two writers are a split brain only once both were seen to be so at one time.
                    let second_writer =
                        plan.status.findings.iter().any(|f| f.code == "second-writer" && f.subject == lane.subject);
                    if refused_once || unbounded || second_writer || self.asking_again(&id) {
                        lanes.push(id);
                    }
                }
            }
        }
        lanes
    }
}

/// Whether a bound says little: none, or one by a position that was seen long ago, because the standby was looked at a
/// moment before it had the newest.
fn loose(e: &Exposure) -> bool {
    e.bound.span().is_none_or(|s| s.0 > e.goal.0.max(LOOSE))
}

/// The rate of replay between two looks that both found a backlog, in bytes a second.
fn replay_rate(before: Replay, asked: Now, replayed: Lsn, backlog: u64) -> Option<f64> {
    let seconds = asked.since(before.asked).as_secs_f64();
    let moved = replayed.ahead_of(before.replayed).0;
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
    (before.backlog > 0 && backlog > 0 && moved > 0 && seconds > 0.1).then(|| moved as f64 / seconds)
}

/// When a plan must be judged again though nothing arrives.
fn wake(plan: &PlanModel, status: &PlanStatus, now: Now) -> Option<BootTime> {
    let mut next: Option<Duration> = None;
    let mut earlier = |d: Duration| next = Some(next.map_or(d, |n| n.min(d)));
    for probe in &plan.plan.probes {
        let limits = [plan.plan.stale_after(probe), one_look(probe)];
        for lane in &probe.lanes {
            for outcome in plan.readings.outcomes(&probe.lane_id(lane)) {
                let age = now.since(outcome.asked);
                for limit in limits.into_iter().filter(|l| age <= *l) {
                    earlier(limit - age + Duration::from_millis(1));
                }
            }
        }
    }
    for e in &status.exposures {
        if e.growing {
            earlier(Duration::from_secs(1));
        }
        // A bound ages by itself, and may cross the objective between two looks.
        if let Some(span) = e.bound.span().filter(|s| !s.0.is_zero() && *s <= e.goal) {
            earlier(e.goal.0.saturating_sub(span.0) + Duration::from_millis(1));
        }
    }
    next.map(|d| BootTime(now.boot.0.saturating_add(d)))
}
