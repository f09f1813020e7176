//! The supervisor and the sweep on lanes that hang, panic, refuse and lie. Time is tokio's paused clock.

use std::any::Any;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::*;
use crate::app::{Model, Polled};
use crate::plan::{
    Area, Here, LaneDecl, Objectives, PlanId, ProbeId, ProbeOptions, SafeText, SignalId, Site, SiteId, Span, Strategy,
    Subject, Weight,
};
use crate::readiness::{Reason, Value, Verdict};
use crate::systems::{Look, Looking, Resting};

const A: SignalId = SignalId::new("test.a");
const B: SignalId = SignalId::new("test.b");

#[derive(Debug)]
struct None_;
impl ProbeOptions for None_ {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// What a lane of these tests does.
#[derive(Clone, Copy)]
enum Does {
    Answers,
    Hangs,
    Panics,
    PanicsOnce,
    Refuses,
    RefusesOnce,
    ForgetsB,
}

struct Fake(Does, LaneDecl, Arc<AtomicUsize>);

impl Lane for Fake {
    fn look(&mut self, _deadline: Instant) -> Looking<'_> {
        let n = self.2.fetch_add(1, Ordering::SeqCst);
        let (does, decl) = (self.0, &self.1);
        Box::pin(async move {
            let mut look = Look::default();
            look.push(&A, Ok(Value::Bool(true)));
            let refused = || Look::failed(decl, &Reason::Refused.into());
            match does {
                Does::Hangs => std::future::pending().await,
                Does::Panics => panic!("as it was told"),
                Does::PanicsOnce if n == 0 => panic!("as it was told"),
                Does::Refuses => return refused(),
                Does::RefusesOnce if n == 0 => return refused(),
                Does::ForgetsB => return look,
                Does::Answers | Does::PanicsOnce | Does::RefusesOnce => {}
            }
            look.push(&B, Ok(Value::Int(1)));
            look
        })
    }
}

fn plan(lanes: &[(&str, Does)]) -> (Arc<Plan>, Open) {
    let id = PlanId::new("p");
    let decls: Vec<LaneDecl> = lanes
        .iter()
        .map(|(name, _)| LaneDecl { subject: Subject::part(name), server: SafeText::new(name), expects: [A, B].into() })
        .collect();
    let probe = ProbeDecl {
        id: ProbeId::new(&id, "probe"),
        kind: "test",
        area: Area::Dns,
        weight: Weight::Full,
        interval: Span::secs(5),
        timeout: Span::secs(3),
        options: Arc::new(None_),
        lanes: decls.clone(),
    };
    let site = |s: &str| Site { id: SiteId::new(s), what: SafeText::default() };
    let plan = Plan {
        id,
        tier: 1,
        strategy: Strategy::BackupRestore,
        objectives: Objectives { rpo: Span::secs(30), rto: Span::secs(300) },
        sites: vec![site("east"), site("west")],
        home: SiteId::new("east"),
        here: Here::Elsewhere,
        requires: vec![Area::Dns],
        probes: vec![probe],
        contacts: Vec::new(),
        losses: Vec::new(),
        confirms: Vec::new(),
        copies: Default::default(),
        runbooks: Vec::new(),
        lost_with: Vec::new(),
        practice: None,
    };
    let does: Vec<Does> = lanes.iter().map(|(_, d)| *d).collect();
    let counts: Vec<Arc<AtomicUsize>> = lanes.iter().map(|_| Arc::default()).collect();
    let open: Open = Arc::new(move |_, _, _| {
        let all = does.iter().zip(&decls).zip(&counts);
        all.map(|((d, l), c)| Box::new(Fake(*d, l.clone(), Arc::clone(c))) as Box<dyn Lane>).collect()
    });
    (Arc::new(plan), open)
}

fn gap(polled: &Polled, signal: &SignalId) -> Option<Reason> {
    polled.readings.iter().find(|r| r.key.signal == *signal).and_then(|r| r.value.as_ref().err()).map(|g| g.reason)
}

async fn first_of(rx: &mut mpsc::Receiver<Polled>, lane: &str) -> Polled {
    loop {
        let polled = rx.recv().await.expect("the supervisor runs");
        if polled.lane.subject.to_string() == lane {
            return polled;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hung_lane_costs_itself_only() {
    let (plan, open) = plan(&[("hung", Does::Hangs), ("fine", Does::Answers)]);
    let (tx, mut rx) = mpsc::channel(16);
    let begun = Instant::now();
    let _running = start_with(&[plan], &Net::new(), &tx, &open);
    for _ in 0..3 {
        let fine = first_of(&mut rx, "fine").await;
        assert_eq!(gap(&fine, &A), None);
    }
    assert!(begun.elapsed() <= Duration::from_millis(12_000), "{:?}", begun.elapsed());
    let (tx, mut rx) = mpsc::channel(16);
    let (again, open) = super::tests::plan(&[("hung", Does::Hangs)]);
    let begun = Instant::now();
    let _running = start_with(&[again], &Net::new(), &tx, &open);
    let hung = first_of(&mut rx, "hung").await;
    assert_eq!((gap(&hung, &A), gap(&hung, &B)), (Some(Reason::TimedOut), Some(Reason::TimedOut)));
    assert!(begun.elapsed() <= Duration::from_millis(3_300), "the deadline holds");
}

#[tokio::test(start_paused = true)]
async fn a_panic_becomes_a_gap_and_the_lane_goes_on() {
    let (plan, open) = plan(&[("bad", Does::PanicsOnce)]);
    let (tx, mut rx) = mpsc::channel(16);
    let _running = start_with(&[plan], &Net::new(), &tx, &open);
    assert_eq!(gap(&first_of(&mut rx, "bad").await, &A), Some(Reason::Bug));
    assert_eq!(gap(&first_of(&mut rx, "bad").await, &A), None);
}

#[tokio::test(start_paused = true)]
async fn what_a_look_does_not_bring_is_a_gap() {
    let (plan, open) = plan(&[("forgetful", Does::ForgetsB)]);
    let (tx, mut rx) = mpsc::channel(16);
    let _running = start_with(&[plan], &Net::new(), &tx, &open);
    let polled = first_of(&mut rx, "forgetful").await;
    assert_eq!((gap(&polled, &A), gap(&polled, &B)), (None, Some(Reason::Absent)));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_confirmed_soon() {
    let (plan, open) = plan(&[("down", Does::Refuses)]);
    let (tx, mut rx) = mpsc::channel(16);
    let begun = Instant::now();
    let _running = start_with(&[plan], &Net::new(), &tx, &open);
    first_of(&mut rx, "down").await;
    first_of(&mut rx, "down").await;
    assert_eq!(begun.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn poll_now_does_not_wait_for_the_interval() {
    let (plan, open) = plan(&[("fine", Does::Answers)]);
    let (tx, mut rx) = mpsc::channel(16);
    let running = start_with(&[plan], &Net::new(), &tx, &open);
    first_of(&mut rx, "fine").await;
    let asked = Instant::now();
    running.poll_now(&[]);
    first_of(&mut rx, "fine").await;
    assert!(asked.elapsed() < Duration::from_millis(10), "{:?}", asked.elapsed());
    drop(running);
    drop(tx);
    assert_eq!(rx.recv().await, None, "dropping the supervisor ends every task");
}

/// A lane that counts how often it rests.
struct Rests(Arc<AtomicUsize>);

impl Lane for Rests {
    fn look(&mut self, _deadline: Instant) -> Looking<'_> {
        Box::pin(std::future::ready(Look::default()))
    }

    fn rest(&mut self) -> Resting<'_> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_lane_whose_next_look_is_a_minute_away_rests() {
    // The third look's rest may have begun.
    for (interval, rests) in [(59, 0..=0), (60, 2..=3)] {
        let (plan, _) = plan(&[("slow", Does::Answers)]);
        let mut plan = (*plan).clone();
        plan.probes[0].interval = Span::secs(interval);
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let open: Open = Arc::new(move |_, _, _| vec![Box::new(Rests(Arc::clone(&counted))) as Box<dyn Lane>]);
        let (tx, mut rx) = mpsc::channel(16);
        let _running = start_with(&[Arc::new(plan)], &Net::new(), &tx, &open);
        // A goodbye that never ends puts off no look.
        for _ in 0..3 {
            first_of(&mut rx, "slow").await;
        }
        let count = count.load(Ordering::SeqCst);
        assert!(rests.contains(&count), "{interval} s: {count}");
    }
}

async fn swept(lanes: &[(&str, Does)], budget: Duration) -> (Model, Duration) {
    let (plan, open) = plan(lanes);
    let mut model = Model::new(Vec::new(), [], SafeText::new("boot"));
    model.configure(vec![Arc::clone(&plan)], crate::clock::now());
    let begun = Instant::now();
    sweep_with(&mut model, &mut Past::default(), &[plan], &Net::new(), budget, &mut |_, _| {}, &open).await;
    (model, begun.elapsed())
}

fn verdict(model: &Model) -> (Verdict, String) {
    let status = model.statuses().next().expect("one plan");
    (status.readiness, status.why().map(|f| f.code.to_string()).unwrap_or_default())
}

#[tokio::test(start_paused = true)]
async fn a_sweep_sees_everything_once() {
    let (model, took) = swept(&[("a", Does::Answers), ("b", Does::Answers)], Duration::from_secs(50)).await;
    assert_eq!(verdict(&model), (Verdict::Ready, String::new()));
    assert!(took < Duration::from_millis(10));
}

#[tokio::test(start_paused = true)]
async fn a_sweep_asks_twice_before_it_says_down() {
    let (model, took) = swept(&[("a", Does::Refuses)], Duration::from_secs(50)).await;
    assert_eq!(verdict(&model), (Verdict::NotReady, "refused".to_owned()));
    assert_eq!(took.as_secs(), 1);
    let (model, _) = swept(&[("a", Does::RefusesOnce)], Duration::from_secs(50)).await;
    assert_eq!(verdict(&model).0, Verdict::Ready);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_ends_in_time_and_says_what_it_did_not_see() {
    let (model, took) = swept(&[("a", Does::Hangs), ("b", Does::Answers)], Duration::from_secs(2)).await;
    assert_eq!(verdict(&model), (Verdict::Unknown, "timed-out".to_owned()));
    assert!(took <= Duration::from_millis(2_300), "{took:?}");
    let (model, _) = swept(&[("a", Does::Panics)], Duration::from_secs(2)).await;
    assert_eq!(verdict(&model), (Verdict::Unknown, "bug".to_owned()));
}
