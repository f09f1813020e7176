//! Whatever happens, in whatever order: no panic, no negative age, no green without fresh evidence, no bound below the truth.

use std::time::Duration;

use lifeboat::app::Polled;
use lifeboat::plan::{BootTime, Now};
use lifeboat::readiness::signals::TIMELINE;
use lifeboat::readiness::{Bound, Reason, Value, Verdict};
use proptest::prelude::*;

use crate::views::{primary, standby};
use crate::world::{PlanSpec, World, now, tell};

/// What may happen next.
#[derive(Clone, Debug)]
enum Happening {
    /// Time passes, both servers are looked at.
    Round(u16),
    /// Time passes, one is looked at.
    Look(u16, bool),
    /// Time passes, nobody looks (a suspended machine too: the boot clock counts it).
    Sleep(u16),
    /// The wall clock is set, by seconds.
    Step(i32),
    /// The newest look comes again.
    Again,
    /// A look is held back, and comes at the next happening.
    Late(bool),
    /// A server goes dark, or comes back.
    Dark(bool, Option<usize>),
    /// The primary writes at this rate, in bytes a second.
    Rate(u16),
    /// The standby is promoted for a drill, or rebuilt after it. The service stays where it is.
    Drill(bool),
    /// The standby stops receiving, or goes on with all it lacks.
    Receives(bool),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => (1_u16..8_000).prop_map(Happening::Round),
        3 => (1_u16..8_000, any::<bool>()).prop_map(|(t, w)| Happening::Look(t, w)),
        1 => (1_u16..60_000).prop_map(Happening::Sleep),
        1 => (-100_000_i32..100_000).prop_map(Happening::Step),
        1 => Just(Happening::Again),
        1 => any::<bool>().prop_map(Happening::Late),
        1 => (any::<bool>(), prop::option::of(0..Reason::ALL.len())).prop_map(|(w, r)| Happening::Dark(w, r)),
        1 => (0_u16..5_000).prop_map(Happening::Rate),
        2 => any::<bool>().prop_map(Happening::Receives),
        1 => any::<bool>().prop_map(Happening::Drill),
    ]
}

/// The truth about a simulated pair: when each byte of the log was written, and how far the standby is.
struct Truth {
    /// (second, end of the log then).
    written: Vec<(f64, f64)>,
}

impl Truth {
    /// How long ago the oldest byte that the standby lacks was written.
    fn loss(&self, received: f64, at: f64) -> f64 {
        // Whole bytes: what a position says.
        let held = received.floor();
        let Some(i) = self.written.iter().position(|(_, end)| end.floor() > held) else { return 0.0 };
        // Written between the step before and this one: not later than this one.
        at - self.written[i].0
    }
}

struct Run {
    world: World,
    truth: Truth,
    wall: i64,
    last: Option<Polled>,
    held: Vec<Polled>,
    /// The newest look of each lane that was all good.
    good: [Option<f64>; 2],
}

impl Run {
    fn new() -> Self {
        let world = World::new(&PlanSpec::default());
        let truth = Truth { written: vec![(0.0, world.flushed)] };
        Self { world, truth, wall: 0, last: None, held: Vec::new(), good: [None, None] }
    }

    fn at(&self, t: f64) -> Now {
        let right = now(t);
        Now { wall: right.wall + chrono::Duration::seconds(self.wall), boot: right.boot }
    }

    /// Time passes in small steps, so that the truth is known closely.
    fn pass(&mut self, ms: u16) {
        let end = self.world.t + f64::from(ms) / 1_000.0;
        while self.world.t < end {
            self.world.pass((self.world.t + 0.25).min(end));
            self.truth.written.push((self.world.t, self.world.flushed));
        }
    }

    fn look(&mut self, which: usize) -> Polled {
        let lane = self.world.lane_ids().remove(which);
        let asked = self.at(self.world.t);
        let mut polled = self.world.look(&lane, asked);
        polled.answered = Now { wall: polled.answered.wall, boot: BootTime(asked.boot.0 + Duration::from_millis(40)) };
        polled
    }

    fn take(&mut self, polled: Polled) {
        let which = self.world.lane_ids().iter().position(|l| *l == polled.lane).unwrap();
        if polled.readings.iter().all(|r| r.value.is_ok()) {
            let t = polled.asked.boot.0.as_secs_f64() - now(0.0).boot.0.as_secs_f64();
            self.good[which] = Some(self.good[which].map_or(t, |g: f64| g.max(t)));
        }
        self.last = Some(polled.clone());
        self.world.model.polled(polled);
    }

    fn happen(&mut self, what: &Happening) {
        let held = std::mem::take(&mut self.held);
        match what {
            Happening::Round(ms) => {
                self.pass(*ms);
                for which in [0, 1] {
                    let polled = self.look(which);
                    self.take(polled);
                }
            }
            Happening::Look(ms, west) => {
                self.pass(*ms);
                let polled = self.look(usize::from(*west));
                self.take(polled);
            }
            Happening::Sleep(ms) => self.pass(*ms),
            Happening::Step(s) => self.wall += i64::from(*s),
            Happening::Again => {
                if let Some(polled) = self.last.clone() {
                    self.take(polled);
                }
            }
            Happening::Late(west) => {
                let polled = self.look(usize::from(*west));
                self.held.push(polled);
            }
            Happening::Dark(west, reason) => {
                let name = if *west { "west" } else { "east" };
                match reason {
                    Some(r) => self.world.dark.insert(name.into(), Reason::ALL[*r].into()),
                    None => self.world.dark.remove(name),
                };
            }
            Happening::Rate(rate) => self.world.rate = f64::from(*rate),
            Happening::Drill(begins) => {
                let mut says = if *begins { primary("west") } else { standby("west") };
                if *begins {
                    says.insert(TIMELINE, Ok(Value::Int(2)));
                }
                self.world.servers.insert("west".into(), says);
            }
            Happening::Receives(yes) => {
                self.world.hold_received = !yes;
                self.world.hold_replayed = !yes;
            }
        }
        for polled in held {
            self.take(polled);
        }
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        let t = self.world.t + 0.05;
        self.world.model.settle(self.at(t));
        let status = std::sync::Arc::clone(self.world.model.status(&self.world.plan.id).unwrap());
        let said = tell(&status);
        let fresh = self.world.plan.stale_after(&self.world.plan.probes[0]).as_secs_f64();
        if status.readiness == Verdict::Ready {
            for good in self.good {
                prop_assert!(good.is_some_and(|g| t - g <= fresh + 0.001), "ready on old evidence: {}", said);
            }
        }
        for f in &status.findings {
            for e in &f.evidence {
                prop_assert!(e.at.boot <= self.at(t).boot, "evidence of the future: {}", said);
            }
        }
        for e in &status.exposures {
            if e.to.as_str() != "west" {
                continue;
            }
            // Judged by what the standby last said: it may hold more by now, never less.
            let later = self.at(t).since(status.at);
            if let Some(bound) = e.bound.aged(later) {
                let truth = self.truth.loss(self.world.received, t);
                let bound = bound.0.as_secs_f64();
                prop_assert!(bound + 0.001 >= truth, "{bound} < {truth}: {said}");
            }
            prop_assert!(!matches!(e.bound, Bound::Zero), "asynchronous: {}", said);
        }
        if let Some(wake) = self.world.model.next_wake() {
            prop_assert!(wake > self.at(t).boot, "a wake-up in the past");
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(happenings in prop::collection::vec(happening(), 1..60)) {
        let mut run = Run::new();
        for what in &happenings {
            run.happen(what);
            run.check()?;
        }
    }
}
