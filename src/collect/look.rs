//! One look at one lane: bounded in time, safe against panics, complete.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::Instant;

use crate::app::Polled;
use crate::clock;
use crate::net::Net;
use crate::plan::{LaneDecl, LaneId, Plan, ProbeDecl};
use crate::readiness::{Gap, Reading, Reason};
use crate::systems::{Lane, Look};

use super::Open;

/// What a lane gets on top of its deadline to give up by itself and say what it knows.
const GRACE: Duration = Duration::from_millis(250);

/// A lane with all that is needed to look and to open it anew.
pub(super) struct Looker {
    plan: Arc<Plan>,
    probe: Arc<ProbeDecl>,
    decl: LaneDecl,
    index: usize,
    lane: Option<Box<dyn Lane>>,
    net: Arc<Net>,
    open: Open,
}

impl Looker {
    /// Lookers for every lane of every probe of a plan.
    pub(super) fn all(plan: &Arc<Plan>, net: &Arc<Net>, open: &Open) -> Vec<Self> {
        let mut lookers = Vec::new();
        for probe in &plan.probes {
            let mut lanes = open_safely(open, plan, probe, net).into_iter();
            // One copy for all its lanes: a probe holds every lane's declaration.
            let shared = Arc::new(probe.clone());
            for (index, decl) in probe.lanes.iter().enumerate() {
                lookers.push(Self {
                    plan: Arc::clone(plan),
                    probe: Arc::clone(&shared),
                    decl: decl.clone(),
                    index,
                    lane: lanes.next(),
                    net: Arc::clone(net),
                    open: Arc::clone(open),
                });
            }
        }
        lookers
    }

    pub(super) fn id(&self) -> LaneId {
        self.probe.lane_id(&self.decl)
    }

    pub(super) fn probe(&self) -> &ProbeDecl {
        &self.probe
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Looks once, within the probe's timeout and not beyond `latest`. Whatever happens, every expected signal comes
    /// back with a value or a gap.
    pub(super) async fn look(&mut self, latest: Option<Instant>) -> Polled {
        let started = clock::now();
        let own = Instant::now() + self.probe.timeout.0;
        let deadline = latest.map_or(own, |l| l.min(own));
        let look = match self.lane.as_mut() {
            None => Look::failed(&self.decl, &Gap::new(Reason::Bug, "the probe opened no lane for this")),
            Some(lane) => {
                let guarded = AssertUnwindSafe(async { lane.look(deadline).await }).catch_unwind();
                match tokio::time::timeout_at(deadline + GRACE, guarded).await {
                    Ok(Ok(look)) => look,
                    Ok(Err(_panic)) => {
                        // What a panicking lane left behind is not to be trusted: open it anew.
                        self.lane =
                            open_safely(&self.open, &self.plan, &self.probe, &self.net).into_iter().nth(self.index);
                        Look::failed(&self.decl, &Gap::new(Reason::Bug, "the look panicked"))
                    }
                    Err(_) => {
                        let within = self.probe.timeout;
                        Look::failed(&self.decl, &Gap::new(Reason::TimedOut, &format!("no answer within {within}")))
                    }
                }
            }
        };
        self.polled(look, started)
    }

    /// What is reported of a lane that was not looked at in time.
    pub(super) fn not_in_time(decl: &LaneDecl, probe: &ProbeDecl) -> Polled {
        let now = clock::now();
        let look = Look::failed(decl, &Gap::new(Reason::TimedOut, "not read within the time of this check"));
        assemble(probe, decl, look, now, now)
    }

    fn polled(&self, look: Look, started: crate::plan::Now) -> Polled {
        assemble(&self.probe, &self.decl, look, started, clock::now())
    }
}

fn open_safely(open: &Open, plan: &Plan, probe: &ProbeDecl, net: &Arc<Net>) -> Vec<Box<dyn Lane>> {
    std::panic::catch_unwind(AssertUnwindSafe(|| open(plan, probe, net))).unwrap_or_default()
}

fn assemble(
    probe: &ProbeDecl,
    decl: &LaneDecl,
    look: Look,
    started: crate::plan::Now,
    answered: crate::plan::Now,
) -> Polled {
    let lane = probe.lane_id(decl);
    // A lane may know better when its question was sent, but never a time outside its own look.
    let asked = look.asked.filter(|a| a.boot >= started.boot && a.boot <= answered.boot).unwrap_or(started);
    let mut readings: Vec<Reading> = Vec::with_capacity(decl.expects.len());
    for observed in look.observed {
        if decl.expects.contains(&observed.signal) && !readings.iter().any(|r| r.key.signal == observed.signal) {
            let key = lane.key(observed.signal);
            readings.push(Reading { key, value: observed.value, asked, answered, as_of: observed.as_of });
        }
    }
    for signal in &decl.expects {
        if !readings.iter().any(|r| r.key.signal == *signal) {
            let key = lane.key(signal.clone());
            readings.push(Reading { key, value: Err(Reason::Absent.into()), asked, answered, as_of: None });
        }
    }
    Polled { lane, asked, answered, readings }
}
