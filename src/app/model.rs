//! The facts and their judgement: readings in, plan statuses out. No view in here.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::plan::{BootTime, Key, LaneId, Lsn, Now, Plan, PlanId, ProbeId, SafeText, SignalId, SiteId};
use crate::readiness::rules::NOT_YET;
use crate::readiness::signals::{
    APPLIED, EXPOSURE, FLUSHED, RECEIVED, REPLAYED, SYSTEM_ID, Signal, TIMELINE, WRITABLE,
};
use crate::readiness::{
    ActiveSite, Exposure, Facts, LsnClock, LsnSample, PlanStatus, Pool, Reading, Readings, Rehearsed, Rule, Snapshot,
    Value, Verdict, agreed, judge, one_look,
};

use super::due::Due;
use super::history::{Change, History, Memory};
use super::series::AllSeries;

/// How long a plan's first news waits for the other lanes that are asked at the same time.
const HOLD: Duration = Duration::from_millis(250);
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
    gathering: bool,
    plans: Vec<PlanModel>,
    by_id: HashMap<PlanId, usize>,
    due: Due,
    changes: VecDeque<Change>,
    series: AllSeries,
    pool: Pool,
    generation: u64,
    past: Option<History>,
}

struct PlanModel {
    plan: Arc<Plan>,
    readings: Readings,
    clocks: HashMap<ProbeId, LsnClock>,
    last_active: Option<(SiteId, Now)>,
    replay: HashMap<LaneId, Replay>,
    rehearsed: Vec<Rehearsed>,
    /// When the looks were asked that it has not been judged with yet.
    unjudged: Vec<Now>,
    status: Arc<PlanStatus>,
}

/// What judging brought.
#[derive(Debug, Default)]
pub struct Settled {
    /// The plans that were judged, in that order.
    pub judged: Vec<Judged>,
    /// What is to be remembered.
    pub memories: Vec<Memory>,
    /// When the looks were asked that were judged for the first time.
    pub looks: Vec<Now>,
}

/// A plan that was judged anew.
#[derive(Debug)]
pub struct Judged {
    /// Its place among the plans.
    pub place: usize,
    /// What was known of it before.
    pub before: Arc<PlanStatus>,
}

impl PlanModel {
    /// Whether another look is about to come in: of a lane that was asked an interval ago, or never.
    fn awaits(&self, now: Now) -> bool {
        self.plan.probes.iter().any(|probe| {
            let soon = probe.interval.0.mul_f64(0.9);
            probe.lanes.iter().any(|lane| {
                let newest = self.readings.last_asked(&probe.id, &lane.subject);
                newest.is_none_or(|asked| now.since(asked) > soon)
            })
        })
    }
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
            gathering: false,
            plans: Vec::new(),
            by_id: HashMap::new(),
            due: Due::default(),
            changes: VecDeque::new(),
            series: AllSeries::default(),
            pool: Pool::default(),
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

    /// The same, for looks that come as the lanes answer: a plan is judged once those that are asked together are in, or a
    /// quarter of a second after the first. Judged between two of them it would be judged twice, and show a bound that
    /// the second mends.
    #[must_use]
    pub fn gathering(mut self) -> Self {
        self.gathering = true;
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
                let facts = Facts {
                    plan: &plan,
                    readings: &readings,
                    clocks: &clocks,
                    last_active: None,
                    boot,
                    watching,
                    rehearsed: &[],
                };
                let status = Arc::new(judge(&plan, &facts, rules, None, now));
                PlanModel {
                    readings,
                    clocks,
                    last_active: None,
                    replay: HashMap::new(),
                    rehearsed: Vec::new(),
                    unjudged: Vec::new(),
                    status,
                    plan,
                }
            })
            .collect();
        self.due = Due::all(self.plans.len());
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
            let Some(place) = self.by_id.get(&probe.plan).copied() else { continue };
            let Some(plan) = self.plans.get_mut(place) else { continue };
            let seen = plan.clocks.remove(&probe).unwrap_or_default();
            let mut merged = clock;
            merged.agreed_as(&seen);
            for segment in seen.segments() {
                for sample in &segment.samples {
                    merged.observe(&segment.system, segment.timeline, &segment.boot, *sample);
                }
            }
            plan.clocks.insert(probe, merged);
            self.due.news(place);
        }
        for (id, (site, at, boot)) in past.active {
            let Some(place) = self.by_id.get(&id).copied() else { continue };
            let Some(plan) = self.plans.get_mut(place) else { continue };
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
                self.due.news(place);
            }
        }
        let mut changes: VecDeque<Change> = past.changes.into();
        for change in self.changes.drain(..) {
            let repeats = |c: &Change| c.to == change.to && c.situation.words() == change.situation.words();
            let known =
                change.from.is_none() && changes.iter().rev().find(|c| c.plan == change.plan).is_some_and(repeats);
            if !known {
                changes.push_back(change);
            }
        }
        self.changes = changes;
        for (key, points) in past.series {
            self.series.precede(key, &points);
        }
        self.generation += 1;
    }

    /// Takes in what came of looking a runbook of a plan through; the plan is judged at the next [`Model::settle`].
    pub fn rehearsed(&mut self, plan: &PlanId, news: Rehearsed) {
        let Some(place) = self.by_id.get(plan).copied() else { return };
        let Some(plan) = self.plans.get_mut(place) else { return };
        match plan.rehearsed.iter_mut().find(|r| r.same_question(&news)) {
            Some(known) if known.at.boot > news.at.boot => return,
            Some(known) => *known = news,
            None => plan.rehearsed.push(news),
        }
        self.due.news(place);
    }

    /// What came of looking the runbooks of a plan through.
    #[must_use]
    pub fn rehearsals(&self, plan: &PlanId) -> &[Rehearsed] {
        let place = self.by_id.get(plan).and_then(|place| self.plans.get(*place));
        place.map_or(&[], |p| p.rehearsed.as_slice())
    }

    /// Takes in one look; the plan is judged at the next [`Model::settle`]. Returns what is to be remembered.
    pub fn polled(&mut self, polled: Polled) -> Vec<Memory> {
        let Some(place) = self.by_id.get(&polled.lane.probe.plan).copied() else { return Vec::new() };
        let Some(plan) = self.plans.get_mut(place) else { return Vec::new() };
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
        let (lane, came) = (polled.lane.clone(), polled.answered);
        if !plan.readings.take_sharing(&lane, polled.asked, polled.readings, &mut self.pool) {
            return Vec::new();
        }
        plan.unjudged.push(polled.asked);
        if self.gathering && plan.awaits(came) {
            self.due.ages_by(place, BootTime(came.boot.0.saturating_add(HOLD)));
        } else {
            self.due.news(place);
        }
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
            self.series.push(&key, at, value);
            memories.push(Memory::Point { key, at, value });
        }
        memories
    }

    /// Judges every plan that has news, or whose evidence has aged past a limit by `now`. Returns whether any was judged,
    /// and what is to be remembered.
    pub fn settle(&mut self, now: Now) -> (bool, Vec<Memory>) {
        let settled = self.settle_while(now, || true);
        (!settled.judged.is_empty(), settled.memories)
    }

    /// The same for as long as `go_on` says so, asked before each plan. In the end it comes to the same.
    pub fn settle_while(&mut self, now: Now, mut go_on: impl FnMut() -> bool) -> Settled {
        let mut settled = Settled::default();
        while self.due.any(now.boot)
            && go_on()
            && let Some(place) = self.due.next(now.boot)
        {
            let Some(before) = self.judge(place, now, &mut settled.memories) else { continue };
            settled.judged.push(Judged { place, before });
            if let Some(plan) = self.plans.get_mut(place) {
                settled.looks.extend(std::mem::take(&mut plan.unjudged));
            }
        }
        if !settled.judged.is_empty() {
            self.generation += 1;
        }
        settled
    }

    /// Judges one plan; returns its status before.
    fn judge(&mut self, place: usize, now: Now, memories: &mut Vec<Memory>) -> Option<Arc<PlanStatus>> {
        let plan = self.plans.get_mut(place)?;
        let facts = Facts {
            plan: &plan.plan,
            readings: &plan.readings,
            clocks: &plan.clocks,
            last_active: plan.last_active.as_ref(),
            boot: &self.boot,
            watching: self.watching,
            rehearsed: &plan.rehearsed,
        };
        let rate = plan.replay.values().filter_map(|r| r.rate).reduce(f64::min);
        let mut status = judge(&plan.plan, &facts, &self.rules, rate, now);
        let agreed: Vec<_> =
            plan.plan.probes.iter().filter_map(|p| Some((p.id.clone(), agreed(&facts, p, now)?))).collect();
        for (probe, sole) in agreed {
            plan.clocks.entry(probe).or_default().agreed(sole);
        }
        let before = &plan.status;
        let same = before.readiness == status.readiness;
        status.since = if same { before.since.or(Some(now)) } else { Some(now) };
        let moved = !same || before.situation.words() != status.situation.words();
        // Until the first look of every lane is in, and runbooks were looked through, "not yet" is no news.
        let beginning = |s: &PlanStatus| s.findings.iter().any(|f| f.code == "never-read" || f.code == NOT_YET);
        let settled = !beginning(&status);
        let first = before.since.is_none() || beginning(before);
        // Nor is what an earlier session already found.
        let known = || {
            let newest = self.changes.iter().rev().find(|c| c.plan == plan.plan.id);
            newest.is_some_and(|c| c.to == status.readiness && c.situation.words() == status.situation.words())
        };
        if settled && (moved || first) && !(first && known()) {
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
        self.due.ages(place, wake(plan, &status, now));
        let status = Arc::new(status);
        let before = std::mem::replace(&mut plan.status, Arc::clone(&status));
        for e in &status.exposures {
            let Some(span) = e.bound.span() else { continue };
            let subject = crate::plan::Subject::site(e.to.clone());
            let key = Key { probe: e.probe.clone(), subject, signal: EXPOSURE };
            // One point a second is enough for a chart of a bound that grows.
            let recent = self.series.newest(&key).is_some_and(|last| now.since(last) < Duration::from_secs(1));
            if !recent {
                let value = span.0.as_secs_f64();
                self.series.push(&key, now, value);
                memories.push(Memory::Point { key, at: now, value });
            }
        }
        Some(before)
    }

    /// When the next verdict may change by itself: the earliest moment at which evidence ages past its limit.
    #[must_use]
    pub fn next_wake(&self) -> Option<BootTime> {
        self.due.next_age()
    }

    /// Whether a plan is to be judged now.
    #[must_use]
    pub fn is_due(&self, now: Now) -> bool {
        self.due.any(now.boot)
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

    /// This machine's boot: moments of another one have no age here.
    #[must_use]
    pub const fn boot(&self) -> &SafeText {
        &self.boot
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

    /// The status of the plan in this place.
    #[must_use]
    pub fn status_in(&self, place: usize) -> Option<&Arc<PlanStatus>> {
        self.plans.get(place).map(|p| &p.status)
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
    pub fn series(&self, key: &Key) -> impl DoubleEndedIterator<Item = (Now, f64)> {
        self.series.points(key)
    }

    /// The readings of one plan, for evidence and for tests.
    #[must_use]
    pub fn readings(&self, id: &PlanId) -> Option<&Readings> {
        self.by_id.get(id).and_then(|i| self.plans.get(*i)).map(|p| &p.readings)
    }

    /// Whether a lane showed once that nothing is streamed or replayed, that nobody leads or that nothing runs: one look is
    /// a restart or a switchover, a second one a while later is proof.
    #[must_use]
    pub fn asking_again(&self, lane: &LaneId) -> bool {
        let status = self.by_id.get(&lane.probe.plan).and_then(|i| self.plans.get(*i)).map(|p| &p.status);
        status.is_some_and(|s| {
            s.findings.iter().any(|f| {
                (f.verdict == Verdict::Unknown
                    && matches!(
                        f.code.as_ref(),
                        "not-streaming"
                            | "sender-missing"
                            | "replay-unseen"
                            | "worker-away"
                            | "slot-away"
                            | "differed-once"
                            | "no-leader"
                            | "all-down"
                    )
                    || f.code == "reconnecting")
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
                        && (lane.expects.contains(&RECEIVED) || lane.expects.contains(&APPLIED))
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
    // Values stand until they are stale; a bound, and that no commit is lost, until the next look is overdue.
    for probe in &plan.plan.probes {
        let limits = [plan.plan.stale_after(probe), one_look(probe)];
        for asked in probe.lanes.iter().flat_map(|lane| plan.readings.ageing(&probe.id, &lane.subject)) {
            let age = now.since(asked);
            for limit in limits.into_iter().filter(|l| age <= *l) {
                earlier(limit - age + Duration::from_millis(1));
            }
        }
    }
    for rehearsed in plan.rehearsed.iter().filter(|r| r.stands(now)) {
        earlier(rehearsed.until().since(now) + Duration::from_millis(1));
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
