//! One look at one lane: bounded in time, safe against panics, complete.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::Instant;

use crate::app::Polled;
use crate::clock;
use crate::net::Net;
use crate::plan::{LaneDecl, LaneId, Plan, ProbeDecl, SafeText, Span};
use crate::readiness::{Examined, Gap, Reading, Reason};
use crate::systems::{Lane, Look};

use super::Open;

/// What a lane gets on top of its deadline to give up by itself and say what it knows.
const GRACE: Duration = Duration::from_millis(250);

/// How long a lane may take to let go of what it keeps.
const GOODBYE: Duration = Duration::from_secs(1);

/// A lane with all that is needed to look and to open it anew.
pub(super) struct Looker {
    plan: Arc<Plan>,
    probe: Arc<ProbeDecl>,
    decl: LaneDecl,
    index: usize,
    lane: Option<Box<dyn Lane>>,
    net: Arc<Net>,
    open: Open,
    /// What could not be read at the last look.
    gap: Option<Gap>,
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
                    gap: None,
                });
            }
        }
        lookers
    }

    pub(super) fn id(&self) -> LaneId {
        self.probe.lane_id(&self.decl)
    }

    pub(super) fn server(&self) -> SafeText {
        self.decl.server.clone()
    }

    /// What its lane says beyond a look; nothing where it has none.
    pub(super) async fn examine(&mut self, deadline: Instant) -> Vec<Examined> {
        match self.lane.as_mut() {
            Some(lane) => lane.examine(deadline).await,
            None => Vec::new(),
        }
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
        let lost = self.net.lost().filter(|lost| lost.covers(&self.decl.subject));
        let look = match self.lane.as_mut() {
            Some(_) if let Some(lost) = lost => Look::failed(&self.decl, &Net::gone(lost)),
            None => Look::failed(&self.decl, &Gap::new(Reason::Bug, "the probe opened no lane for this")),
            Some(lane) => {
                let guarded = AssertUnwindSafe(async { lane.look(deadline).await }).catch_unwind();
                match tokio::time::timeout_at(deadline + GRACE, guarded).await {
                    Ok(Ok(look)) => look,
                    Ok(Err(_panic)) => {
                        self.reopen();
                        Look::failed(&self.decl, &Gap::new(Reason::Bug, "the look panicked"))
                    }
                    Err(_) => {
                        let within = self.probe.timeout;
                        Look::failed(&self.decl, &Gap::new(Reason::TimedOut, &format!("no answer within {within}")))
                    }
                }
            }
        };
        let polled = self.polled(look, started);
        self.log(&polled);
        polled
    }

    /// Lets go of what the lane keeps between two looks, where the next one is long to come.
    pub(super) async fn rest(&mut self) {
        let Some(lane) = self.lane.as_mut() else { return };
        let guarded = AssertUnwindSafe(async { lane.rest().await }).catch_unwind();
        if let Ok(Err(_panic)) = tokio::time::timeout(GOODBYE, guarded).await {
            self.reopen();
        }
    }

    /// Opens the lane anew: what a panicking one left behind is not to be trusted.
    fn reopen(&mut self) {
        self.lane = open_safely(&self.open, &self.plan, &self.probe, &self.net).into_iter().nth(self.index);
    }

    /// What is reported of a lane that was not looked at in time.
    pub(super) fn not_in_time(decl: &LaneDecl, probe: &ProbeDecl, budget: Duration) -> Polled {
        let now = clock::now();
        let why = format!("not read within the {} of this check", Span(budget));
        let look = Look::failed(decl, &Gap::new(Reason::TimedOut, &why));
        assemble(probe, decl, look, now, now)
    }

    /// Says when what a lane could not read changes: a remote that is away for a night is two lines, not thousands.
    fn log(&mut self, polled: &Polled) {
        let gap = polled.readings.iter().find_map(|r| r.value.as_ref().err());
        let took = polled.answered.since(polled.asked);
        tracing::debug!(lane = %polled.lane, server = %self.decl.server, ?took, gap = gap.map(ToString::to_string), "looked");
        if self.gap.as_ref() != gap {
            match gap {
                Some(gap) => tracing::info!(lane = %polled.lane, server = %self.decl.server, %gap, "cannot read"),
                None => tracing::info!(lane = %polled.lane, server = %self.decl.server, "reads again"),
            }
            self.gap = gap.cloned();
        }
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
    for signal in decl.expects.iter() {
        if !readings.iter().any(|r| r.key.signal == *signal) {
            let key = lane.key(signal.clone());
            readings.push(Reading { key, value: Err(Reason::Absent.into()), asked, answered, as_of: None });
        }
    }
    Polled { lane, asked, answered, readings }
}
