//! The guide on a real journal, beside another session on the same.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::app::guided::Proposal;
use crate::plan::{SiteId, Span};
use crate::readiness::Gate;
use crate::runbook::{Cause, Expected, Moment, RunbookKind, StepIx};

const CONFIG: &str = r#"
here = "elsewhere"
[[plan]]
name       = "payments"
tier       = 1
strategy   = "pilot-light"
objectives = { rpo = "30s", rto = "5m" }
sites      = { east = "one", west = "other" }
home       = "east"
requires   = ["replication"]
[[plan.probe]]
name = "orders-db"
kind = "postgres"
at   = { east = "postgres://lifeboat@127.0.0.1:1/postgres", west = "postgres://lifeboat@127.0.0.1:2/postgres" }
"#;

/// The configuration with a runbook of steps that no system of this program has to know.
fn config() -> Arc<Config> {
    let mut config = config::parse("test", CONFIG).unwrap();
    let plan = PlanId::new("payments");
    let runbook = crate::runbook::Runbook { kind: RunbookKind::Failover, steps: vec![step("first"), step("second")] };
    let by_kind = [(RunbookKind::Failover, runbook)].into();
    config.runbooks.insert(plan.clone(), Arc::new(crate::runbook::Runbooks { plan, by_kind }));
    Arc::new(config)
}

fn step(name: &str) -> crate::runbook::StepPlan {
    use crate::runbook::{Danger, RetrySafety, StepPlan, StepRole, Verified};
    StepPlan {
        name: name.into(),
        kind: "manual".to_owned(),
        probe: None,
        on: None,
        options: serde_json::Value::Null,
        role: StepRole::Other,
        danger: Danger::Changes,
        retry: RetrySafety::Never,
        verified: Verified::ByPerson,
        expect: None,
        deadline: Span::secs(60),
        group: None,
        because: None,
    }
}

fn wanted() -> OpenRun {
    let proposal = Proposal {
        from: SiteId::new("east"),
        to: SiteId::new("west"),
        gate: Gate::Go,
        expected: Expected::default(),
        unmeasured: 0,
        t0: Moment { at: clock::now().wall, why: "then".into() },
        detected: None,
        after: None,
    };
    OpenRun {
        plan: PlanId::new("payments"),
        kind: RunbookKind::Failover,
        cause: Cause::Outage,
        reason: "ticket 4711".into(),
        proposal,
        preempt: None,
    }
}

/// A session: a guide, and what it tells.
struct Session {
    guide: Guide,
    notices: mpsc::Receiver<Notice>,
}

fn session(dir: &Path, read_only: bool, spawn: Spawn) -> Session {
    let (sender, notices) = mpsc::channel(256);
    let mut guide = Guide::new(config(), read_only);
    guide.spawn = spawn;
    guide.start(Some(dir.to_path_buf()), sender);
    Session { guide, notices }
}

impl Session {
    /// Waits for what is looked for among what is told, with a limit.
    fn hears<T>(&mut self, what: &str, mut find: impl FnMut(&Event) -> Option<T>) -> T {
        let mut heard = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let limit = tokio::time::sleep(Duration::from_secs(20));
            tokio::pin!(limit);
            loop {
                tokio::select! {
                    notice = self.notices.recv() => {
                        let Some(Notice::Event(event)) = notice else { panic!("{what}: the guide is gone: {heard:?}") };
                        if let Some(found) = find(&event) {
                            return found;
                        }
                        heard.push(event);
                    }
                    () = &mut limit => panic!("{what} was not told: {heard:?}"),
                }
            }
        })
    }

    fn opens(&mut self) -> RunId {
        self.guide.order(Order::Open(Box::new(wanted())));
        self.hears("an opened run", |e| if let Event::RunOpened { run, .. } = e { Some(run.clone()) } else { None })
    }

    /// Waits until a run has this many entries.
    fn follows(&mut self, run: &RunId, seq: u64) -> Vec<Entry> {
        self.hears("an entry", |e| match e {
            Event::Journal(news) if news.run == *run && news.entries.last().is_some_and(|e| e.seq >= seq) => {
                Some(news.entries.clone())
            }
            _ => None,
        })
    }

    fn refused(&mut self) -> String {
        self.hears("a refusal", |e| if let Event::Refused(why) = e { Some(why.to_string()) } else { None })
    }
}

fn nobody(_: &Path, _: &RunId) -> std::io::Result<u32> {
    Ok(0)
}

#[test]
fn a_run_is_opened_pinned_and_given_a_runner() {
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    fn counts(_: &Path, _: &RunId) -> std::io::Result<u32> {
        STARTED.fetch_add(1, Ordering::Relaxed);
        Ok(0)
    }
    let dir = tempfile::tempdir().unwrap();
    let mut alice = session(dir.path(), false, counts);
    let run = alice.opens();
    assert_eq!(STARTED.load(Ordering::Relaxed), 1);
    assert!(run.as_str().starts_with("payments-failover-"), "{run}");
    let entries = alice.follows(&run, 1);
    let Some(Body::Opened(told)) = entries.first().map(|e| &e.body) else { panic!("{entries:?}") };
    assert_eq!(
        (told.reason.as_str(), told.pinned.as_str()),
        ("ticket 4711", ""),
        "the configuration stays where it is"
    );
    let state = Journal::look(dir.path()).unwrap().state(&run).unwrap();
    assert!(state.opened.pinned.contains("orders-db") && state.opened.config != Digest::NONE);
    // A second one of the same plan is refused, in words.
    alice.guide.order(Order::Open(Box::new(wanted())));
    assert!(alice.refused().contains("is open"));
    assert_eq!(STARTED.load(Ordering::Relaxed), 1);
}

#[test]
fn others_follow_what_one_does_and_a_watcher_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut alice = session(dir.path(), false, nobody);
    let run = alice.opens();
    let mut bob = session(dir.path(), true, nobody);
    bob.follows(&run, 1);
    bob.guide.order(Order::Command(run.clone(), Box::new(Command::Note { text: "hello".to_owned() })));
    assert!(bob.refused().contains("read-only"));
    alice.guide.order(Order::Command(run.clone(), Box::new(Command::Note { text: "hello".to_owned() })));
    let entries = bob.follows(&run, 2);
    assert!(matches!(&entries.as_slice(), [Entry { body: Body::Noted { text }, .. }] if text.as_str() == "hello"));
    // What makes no sense is refused where it counts.
    alice.guide.order(Order::Command(run, Box::new(Command::Acknowledge { reason: "seen".to_owned() })));
    assert!(alice.refused().contains("the run is open"));
}

#[test]
fn two_who_write_at_once_both_write() {
    let dir = tempfile::tempdir().unwrap();
    let mut alice = session(dir.path(), false, nobody);
    let run = alice.opens();
    let bob = session(dir.path(), false, nobody);
    let mut orders = 1;
    for round in 0..10 {
        for guide in [&alice.guide, &bob.guide] {
            let text = format!("round {round}");
            guide.order(Order::Command(run.clone(), Box::new(Command::Note { text })));
            orders += 1;
        }
        alice.follows(&run, orders);
    }
    let (state, _) =
        crate::runbook::verify(Journal::look(dir.path()).unwrap().texts(&run).unwrap().iter().map(String::as_str))
            .unwrap();
    assert_eq!((state.notes.len(), state.seq), (20, 21));
}

#[test]
fn what_is_ordered_right_before_the_end_is_carried_out() {
    let dir = tempfile::tempdir().unwrap();
    let mut alice = session(dir.path(), false, nobody);
    let run = alice.opens();
    let Session { guide, notices } = alice;
    // The screen is gone first, as when somebody leaves; then the guide is dropped.
    drop(notices);
    guide.order(Order::Command(run.clone(), Box::new(Command::Ask { from: StepIx(0), to: StepIx(0) })));
    drop(guide);
    let state = Journal::look(dir.path()).unwrap().state(&run).unwrap();
    assert!(state.asked.is_some());
}

#[test]
fn a_journal_that_cannot_be_opened_refuses_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let mut alice = session(&dir.path().join("file"), false, nobody);
    alice.hears("a warning", |e| {
        matches!(e, Event::StoreFailed(why) if why.as_str().contains("no run can be opened")).then_some(())
    });
    alice.guide.order(Order::Open(Box::new(wanted())));
    assert!(alice.refused().contains("file"));
}

#[test]
fn a_journal_that_is_taken_away_is_told_and_takes_nothing_and_starts_nobody() {
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    fn counts(_: &Path, _: &RunId) -> std::io::Result<u32> {
        STARTED.fetch_add(1, Ordering::Relaxed);
        Ok(0)
    }
    let dir = tempfile::tempdir().unwrap();
    let mut alice = session(dir.path(), false, counts);
    let run = alice.opens();
    std::fs::remove_dir_all(dir.path()).unwrap();
    alice.hears("a warning", |e| {
        matches!(e, Event::StoreFailed(why) if why.as_str().contains("the journal was taken away")).then_some(())
    });
    let ask = Command::Ask { from: StepIx(0), to: StepIx(0) };
    for order in [Order::Command(run.clone(), Box::new(ask)), Order::Start(run), Order::Open(Box::new(wanted()))] {
        alice.guide.order(order);
        assert!(alice.refused().contains("the journal was taken away"));
    }
    assert_eq!(STARTED.load(Ordering::Relaxed), 1, "for the run that was opened, and never again");
    assert!(!dir.path().exists(), "nothing is made in its place");
}

/// Carries a run out to its end over a fence that proves nothing, and leaves it without anybody who watches.
fn closed_over_an_assumed_fence(dir: &Path, run: &RunId) {
    use crate::runbook::{AttemptId, Fence, Held, Identity, Outcome, Preview, Resolution, Strength, Yield, prompt};
    let journal = Journal::open(dir).unwrap();
    let held = journal.take(run, &operator()).unwrap();
    let says = |command: Command, by_runner: bool| {
        let state = journal.state(run).unwrap();
        let epoch = by_runner.then(|| held.tenure().epoch());
        let asker = Asker { now: clock::now(), boot: journal.boot(), epoch };
        let bodies = decide(&state, command, asker).unwrap();
        journal.append(run, state.seq, bodies, &operator(), state.epoch).unwrap();
    };
    let preview = Preview {
        target: "east".into(),
        role: "primary".into(),
        identity: Identity::default(),
        actions: vec!["do it".into()],
        challenge: "east".to_owned(),
        conditions: Vec::new(),
        already: Held::Fails,
        left: Yield::default(),
        at: clock::now(),
    };
    let first = StepIx(0);
    says(Command::Ask { from: first, to: first }, false);
    let (.., asked) = journal.state(run).unwrap().asked.unwrap();
    let steps = vec![(first, preview.clone())];
    let typed = prompt(&journal.state(run).unwrap().opened.runbook, &steps).challenge;
    says(Command::Show { asked, steps }, true);
    let shown = journal.state(run).unwrap().seq;
    says(Command::Approve { shown, risks: Vec::new(), waived: Vec::new(), typed }, false);
    says(Command::Begin { step: first, preview: Box::new(preview) }, true);
    let fence = Some(Fence { strength: Strength::Assumed, why: "it is silent".into() });
    let left = Yield { fence, ..Yield::default() };
    let resolution = Resolution { outcome: Outcome::Succeeded, why: "seen".into(), left };
    says(Command::End { attempt: AttemptId { step: first, nth: 1 }, resolution }, true);
    says(Command::Skip { step: StepIx(1), reason: "not now".to_owned() }, false);
    says(Command::Close, true);
}

#[test]
fn a_closed_run_that_nobody_watches_is_told_and_gets_another_watcher() {
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    fn counts(_: &Path, _: &RunId) -> std::io::Result<u32> {
        STARTED.fetch_add(1, Ordering::Relaxed);
        Ok(0)
    }
    let unwatched = |session: &mut Session, run: &RunId| {
        session.hears("that nobody watches", |e| match e {
            Event::Journal(news) if news.run == *run && news.entries.is_empty() => news.lives.filter(|lives| !lives),
            _ => None,
        })
    };
    let dir = tempfile::tempdir().unwrap();
    let mut alice = session(dir.path(), false, nobody);
    let run = alice.opens();
    drop(alice);
    closed_over_an_assumed_fence(dir.path(), &run);
    // Whoever may only look hears of it, and starts nothing.
    let mut bob = session(dir.path(), true, counts);
    let told = bob.hears("the run", |e| match e {
        Event::Journal(news) if news.run == run => Some(news.lives),
        _ => None,
    });
    assert_eq!(told, Some(false));
    assert_eq!(STARTED.load(Ordering::Relaxed), 0);
    let mut carol = session(dir.path(), false, counts);
    carol.follows(&run, 1);
    let began = crate::clock::now();
    while STARTED.load(Ordering::Relaxed) == 0 {
        assert!(crate::clock::now().since(began) < Duration::from_secs(20), "nobody was started to watch");
        std::thread::park_timeout(Duration::from_millis(5));
    }
    // Taken by whoever was started, it is watched; and when that one dies, that is told again.
    let journal = Journal::open(dir.path()).unwrap();
    let held = journal.take(&run, &operator()).unwrap();
    let lives = |e: &Event| match e {
        Event::Journal(news) if news.run == run => news.lives.filter(|lives| *lives),
        _ => None,
    };
    carol.hears("that it is watched", lives);
    assert_eq!(STARTED.load(Ordering::Relaxed), 1, "one was started, and given time to come");
    drop(held);
    unwatched(&mut carol, &run);
    // Once somebody has taken note, there is nothing to watch.
    carol.guide.order(Order::Command(run.clone(), Box::new(Command::Acknowledge { reason: "seen".to_owned() })));
    carol.follows(&run, journal.state(&run).unwrap().seq + 1);
    assert!(matches!(journal.take(&run, &operator()), Err(JournalError::Closed(_))));
}
