//! The real supervisor and the real model, headless: what the board would show, moment by moment, for tests to wait on.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lifeboat::app::{History, Model, Polled};
use lifeboat::collect;
use lifeboat::net::Net;
use lifeboat::plan::{Now, Plan, PlanId};
use lifeboat::readiness::{Finding, PlanStatus, Verdict};
use lifeboat::systems::{self, SYSTEMS};
use lifeboat::{clock, config};

/// One judged moment of one plan.
#[derive(Clone, Debug)]
pub struct Moment {
    /// When it was judged.
    pub at: Now,
    /// What was judged.
    pub status: Arc<PlanStatus>,
}

#[derive(Debug, Default)]
struct Shared {
    moments: Mutex<Vec<Moment>>,
    looks: Mutex<Vec<Polled>>,
    changed: Condvar,
}

/// A running supervisor with its model. Dropping it ends both.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    // Dropped in the background: a look under way is not waited for.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    /// Starts watching what this configuration says.
    pub fn start(configuration: &str) -> Self {
        Self::start_after(configuration, History::default())
    }

    /// The same, with what earlier sessions saw.
    pub fn start_after(configuration: &str, past: History) -> Self {
        let config = config::parse("test.toml", configuration).unwrap_or_else(|e| panic!("{e}"));
        let shared = Arc::new(Shared::default());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.spawn(drive(config.plans, past, Arc::clone(&shared)));
        Self { shared, runtime: Some(runtime) }
    }

    /// Waits until a judgement of this plan from now on shows it; gives how long that took. Fails the test with what was
    /// seen instead when it does not within `limit`.
    pub fn until(&self, plan: &str, what: &str, limit: Duration, shows: impl Fn(&PlanStatus) -> bool) -> Duration {
        let start = clock::now();
        let id = PlanId::new(plan);
        let mut moments = lock(&self.shared.moments);
        let mut seen = 0;
        loop {
            let newest: Option<&Moment> = moments.iter().rev().find(|m| m.status.plan.id == id);
            // What was judged before still stands until something else is.
            if let Some(moment) = newest
                && moments.len() > seen
                && shows(&moment.status)
            {
                return moment.at.since(start);
            }
            seen = moments.len();
            let left = limit.saturating_sub(clock::now().since(start));
            if left.is_zero() {
                let shown = newest.map_or_else(|| "nothing was judged".to_owned(), |m| describe(&m.status));
                drop(moments);
                panic!("{plan}: not within {limit:?}: {what}; instead:\n{shown}");
            }
            moments = self.shared.changed.wait_timeout(moments, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until the plan is ready, for as long as servers may take to start.
    pub fn until_ready(&self, plan: &str) {
        self.until(plan, "ready", Duration::from_secs(90), |s| s.readiness == Verdict::Ready);
    }

    /// Every judgement of this plan since `from`.
    pub fn since(&self, plan: &str, from: Now) -> Vec<Moment> {
        let id = PlanId::new(plan);
        let all = lock(&self.shared.moments);
        all.iter().filter(|m| m.status.plan.id == id && m.at.boot >= from.boot).cloned().collect()
    }

    /// The newest judgement of this plan.
    pub fn newest(&self, plan: &str) -> Option<Arc<PlanStatus>> {
        let id = PlanId::new(plan);
        lock(&self.shared.moments).iter().rev().find(|m| m.status.plan.id == id).map(|m| Arc::clone(&m.status))
    }

    /// Every look that came back so far.
    pub fn looks(&self) -> Vec<Polled> {
        lock(&self.shared.looks).clone()
    }

    /// Waits until a condition on the looks holds.
    pub fn until_looks(&self, what: &str, limit: Duration, enough: impl Fn(&[Polled]) -> bool) {
        let start = clock::now();
        let mut looks = lock(&self.shared.looks);
        while !enough(&looks) {
            let left = limit.saturating_sub(clock::now().since(start));
            assert!(!left.is_zero(), "not within {limit:?}: {what}");
            looks = self.shared.changed.wait_timeout(looks, left.min(Duration::from_millis(100))).unwrap().0;
        }
    }
}

async fn drive(plans: Vec<Arc<Plan>>, past: History, shared: Arc<Shared>) {
    let signals = SYSTEMS.iter().flat_map(|s| s.signals);
    let mut model = Model::new(systems::rules(), signals, clock::boot_id());
    model.configure(plans.clone(), clock::now());
    model.remember(past);
    let (sender, mut inbox) = tokio::sync::mpsc::channel(4096);
    let _supervisor = collect::start(&plans, &Net::new(), &sender);
    loop {
        let wake = model.next_wake().map_or(Duration::from_secs(1), |w| w.0.saturating_sub(clock::now().boot.0));
        let arrived = tokio::select! {
            arrived = inbox.recv() => arrived,
            () = tokio::time::sleep(wake) => None,
        };
        for polled in arrived.into_iter().chain(std::iter::from_fn(|| inbox.try_recv().ok())) {
            lock(&shared.looks).push(polled.clone());
            model.polled(polled);
        }
        let now = clock::now();
        if model.settle(now).0 {
            let judged = model.statuses().filter(|s| s.at == now);
            let judged = judged.map(|s| Moment { at: now, status: Arc::clone(s) });
            lock(&shared.moments).extend(judged);
        }
        shared.changed.notify_all();
    }
}

/// The plan's findings that are not `Ready`, one a line.
pub fn describe(status: &PlanStatus) -> String {
    let line = |f: &Finding| {
        let probe = f.probe.as_ref().map_or("", |p| &p.name);
        format!("  {} {}/{} [{probe} {}] {}", f.verdict, f.rule, f.code, f.subject, f.sentence)
    };
    let mut lines = vec![format!("{}: {}, situation {}", status.plan.id, status.readiness, status.situation.words())];
    lines.extend(status.findings.iter().filter(|f| f.verdict != Verdict::Ready).map(line));
    lines.join("\n")
}

/// Whether the plan shows this finding.
pub fn has(status: &PlanStatus, verdict: Verdict, rule: &str, code: &str) -> bool {
    status.findings.iter().any(|f| f.verdict == verdict && f.rule.as_str() == rule && f.code == code)
}
