//! The rules of the journal, each with what it would let through without it.

use rusqlite::Connection;

use super::*;
use crate::plan::{SiteId, Span};
use crate::runbook::{
    Acted, Approval, AttemptId, Body, Cause, Danger, Epoch, Expected, Held as Holds, Identity, Moment, Opened, Outcome,
    Preview, Resolution, RetrySafety, Runbook, StepIx, StepPlan, StepRole, StepState, Verified, Yield, verify,
};
use crate::store::StoreError;

const STEP: StepIx = StepIx(0);
const ATTEMPT: AttemptId = AttemptId { step: STEP, nth: 1 };

fn step(name: &str) -> StepPlan {
    StepPlan {
        name: SafeText::new(name),
        kind: "test".to_owned(),
        probe: None,
        on: None,
        options: serde_json::json!({}),
        role: StepRole::Promote,
        danger: Danger::Irreversible,
        retry: RetrySafety::ReadBack,
        verified: Verified::ByLooking,
        expect: None,
        deadline: Span::secs(10),
        group: None,
        because: None,
    }
}

fn opened(plan: &str, kind: RunbookKind) -> Opened {
    Opened {
        plan: PlanId::new(plan),
        kind,
        cause: Cause::Outage,
        reason: SafeText::new("east is gone"),
        from: SiteId::new("east"),
        to: SiteId::new("west"),
        runbook: Runbook { kind, steps: vec![step("promote"), step("again")] },
        pinned: String::new(),
        config: Digest::NONE,
        version: SafeText::new("0"),
        t0: Moment { at: clock::now().wall, why: SafeText::new("now") },
        detected: None,
        expected: Expected { loss: None, missing: None, time: None, rpo: Span::secs(30), rto: Span::secs(300) },
        scope: SafeText::new("this host"),
        after: None,
        practice: false,
    }
}

fn who(name: &str) -> Operator {
    Operator { user: SafeText::new(name), host: SafeText::new("bastion"), from: None, pid: 7 }
}

fn note(text: &str) -> Vec<Body> {
    vec![Body::Noted { text: SafeText::new(text) }]
}

struct Bench {
    dir: tempfile::TempDir,
    journal: Journal,
}

fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    Bench { dir, journal }
}

impl Bench {
    fn open(&self, id: &str, kind: RunbookKind) -> Result<RunState, JournalError> {
        self.journal.open_run(RunId::new(id), opened("payments", kind), who("alice"), None)
    }

    fn preempt(&self, id: &str, kind: RunbookKind, other: &str, reason: &str) -> Result<RunState, JournalError> {
        let other = Some((RunId::new(other), SafeText::new(reason)));
        self.journal.open_run(RunId::new(id), opened("payments", kind), who("bob"), other)
    }

    fn add(
        &self,
        run: &str,
        bodies: Vec<Body>,
        epoch: Epoch,
    ) -> Result<Vec<crate::runbook::DurableEntry>, JournalError> {
        let run = RunId::new(run);
        let seq = self.journal.state(&run).unwrap().seq;
        self.journal.append(&run, seq, bodies, &who("alice"), epoch)
    }

    /// Another process's connection, as far as SQLite is concerned.
    fn other(&self) -> Connection {
        Connection::open(self.dir.path().join(FILE)).unwrap()
    }

    /// Takes the run and brings its first step to an intent.
    fn begin(&self, run: &str) -> Held {
        let held = self.journal.take(&RunId::new(run), &who("runner")).unwrap();
        let epoch = held.tenure().epoch();
        self.add(run, vec![Body::Asked { from: STEP, to: STEP }], epoch).unwrap();
        let asked = self.journal.state(&RunId::new(run)).unwrap().seq;
        self.add(run, vec![Body::Shown { asked, steps: vec![(STEP, preview())] }], epoch).unwrap();
        let shown = asked + 1;
        let (bounds, consents, waived) = (Vec::new(), Vec::new(), Vec::new());
        let typed = "west".to_owned();
        let lasts = Span::secs(60);
        let approval = Approval { from: STEP, to: STEP, shown, bounds, consents, waived, typed, lasts };
        self.add(run, vec![Body::Approved(approval)], epoch).unwrap();
        let intent = Body::Intent { attempt: ATTEMPT, approval: shown + 1, identity: Identity::default() };
        self.add(run, vec![intent], epoch).unwrap();
        held
    }

    fn end(&self, run: &str, outcome: Outcome, epoch: Epoch) {
        let resolution = Resolution { outcome, why: SafeText::new("seen"), left: Yield::default() };
        self.add(run, vec![Body::Outcome { attempt: ATTEMPT, resolution }], epoch).unwrap();
    }

    fn close(&self, run: &str) {
        let closing = Closing::Aborted { reason: SafeText::new("enough") };
        self.add(run, vec![Body::Closed(closing)], Epoch(0)).unwrap();
    }

    fn proved(&self, run: &str) -> RunState {
        let texts = self.journal.texts(&RunId::new(run)).unwrap();
        verify(texts.iter().map(String::as_str)).unwrap().0
    }
}

fn preview() -> Preview {
    let at = clock::now();
    Preview {
        target: SafeText::new("db.west:5432"),
        role: SafeText::new("standby"),
        identity: Identity::default().with("system", &"7"),
        actions: vec![SafeText::new("SELECT pg_promote(false)")],
        challenge: "west".to_owned(),
        conditions: Vec::new(),
        already: Holds::Fails,
        left: Yield::default(),
        at,
    }
}

#[test]
fn what_is_added_is_read_back_as_it_is_and_proves_itself() {
    let b = bench();
    let state = b.open("r1", RunbookKind::Failover).unwrap();
    assert_eq!(state.seq, 1);
    let _held = b.begin("r1");
    let acted = Acted::Returned { said: SafeText::new("t"), left: Box::default() };
    b.add("r1", vec![Body::Acted { attempt: ATTEMPT, acted }], Epoch(1)).unwrap();
    b.end("r1", Outcome::Succeeded, Epoch(1));
    let run = RunId::new("r1");
    assert_eq!(b.proved("r1"), b.journal.state(&run).unwrap());
    let again = Journal::open(b.dir.path()).unwrap();
    assert_eq!(again.state(&run).unwrap(), b.journal.state(&run).unwrap());
    assert_eq!(fold(&again.entries(&run, 0).unwrap()), Some(b.proved("r1")));
    assert_eq!(again.entries(&run, 6).unwrap().first().map(|e| e.seq), Some(7));
    assert!(again.texts(&RunId::new("none")).unwrap().is_empty());
    assert!(matches!(again.state(&RunId::new("none")), Err(JournalError::NoRun(_))));
}

#[test]
fn rule_1_an_entry_follows_only_the_one_that_its_author_saw() {
    let b = bench();
    b.open("r1", RunbookKind::Failover).unwrap();
    let run = RunId::new("r1");
    let other = Journal::open(b.dir.path()).unwrap();
    other.append(&run, 1, note("first"), &who("bob"), Epoch(0)).unwrap();
    let late = b.journal.append(&run, 1, note("second"), &who("alice"), Epoch(0));
    assert!(matches!(late, Err(JournalError::Moved { seq: 2 })), "{late:?}");
    assert_eq!(b.proved("r1").notes.len(), 1);
    b.journal.append(&run, 2, note("second"), &who("alice"), Epoch(0)).unwrap();
    assert_eq!(other.state(&run).unwrap().notes.len(), 2);
}

#[test]
fn rule_1_every_commit_is_flushed_and_what_cannot_promise_that_is_refused() {
    let b = bench();
    let mode: String = b.journal.writer().pragma_query_value(None, "journal_mode", |r| r.get(0)).unwrap();
    let flush: i64 = b.journal.writer().pragma_query_value(None, "synchronous", |r| r.get(0)).unwrap();
    assert_eq!((mode.as_str(), flush), ("wal", 2));
    // SQLite answers with the mode that it has, and that is no error of its own.
    let memory = Connection::open_in_memory().unwrap();
    let refused = harden(&memory, Path::new("j")).unwrap_err().to_string();
    assert_eq!(
        refused,
        "j: cannot be kept safely here (memory instead of a write-ahead log): set \"state\" to a directory on a local disk"
    );
}

#[test]
fn rule_2_one_run_of_a_plan_is_open() {
    let b = bench();
    b.open("r1", RunbookKind::Failover).unwrap();
    let second = b.open("r2", RunbookKind::Drill).unwrap_err();
    assert_eq!(second.to_string(), "run r1 of payments is open: attach to it, or end it first");
    b.journal.open_run(RunId::new("m1"), opened("mail", RunbookKind::Drill), who("alice"), None).unwrap();
    assert_eq!(b.journal.open_run_of(&PlanId::new("payments")).unwrap(), Some(RunId::new("r1")));
    // Even a program that does not look is held by the index.
    let insert = "INSERT INTO run (id, plan, kind, wall, who) VALUES ('r3', 'payments', 'drill', 0, '{}')";
    assert!(b.other().execute(insert, []).unwrap_err().to_string().contains("UNIQUE constraint failed: run.plan"));
    b.close("r1");
    assert_eq!(b.journal.open_run_of(&PlanId::new("payments")).unwrap(), None);
    assert!(b.other().execute("UPDATE run SET open = 1 WHERE id = 'r1'", []).is_err());
    b.open("r2", RunbookKind::Drill).unwrap();
    let twice = b.journal.open_run(RunId::new("r2"), opened("other", RunbookKind::Drill), who("alice"), None);
    assert!(matches!(twice, Err(JournalError::Twice(_))), "{twice:?}");
    let bad = b.journal.open_run(RunId::new("../r"), opened("x", RunbookKind::Drill), who("alice"), None);
    assert!(matches!(bad, Err(JournalError::BadName(_))), "{bad:?}");
}

#[test]
fn rule_3_a_run_has_one_runner_and_a_descriptor_of_its_lock_keeps_others_out() {
    let b = bench();
    b.open("r1", RunbookKind::Failover).unwrap();
    let run = RunId::new("r1");
    assert!(!b.journal.is_held(&run));
    let held = b.journal.take(&run, &who("one")).unwrap();
    assert!(b.journal.is_held(&run));
    let other = Journal::open(b.dir.path()).unwrap();
    assert!(matches!(other.take(&run, &who("two")), Err(JournalError::Held(_))));
    assert_eq!(b.journal.state(&run).unwrap().epoch, Epoch(1));
    // As a child would inherit it.
    let copy = held.lock().try_clone().unwrap();
    drop(held);
    assert!(matches!(other.take(&run, &who("two")), Err(JournalError::Held(_))));
    drop(copy);
    let held = other.take(&run, &who("two")).unwrap();
    assert_eq!((held.tenure().epoch(), held.tenure().run()), (Epoch(2), &run));
    assert!(b.journal.runs().unwrap().iter().all(|r| r.lives));
}

#[test]
fn rule_3_a_runner_whose_tenure_is_over_is_not_heard() {
    let b = bench();
    b.open("r1", RunbookKind::Failover).unwrap();
    let run = RunId::new("r1");
    drop(b.journal.take(&run, &who("one")).unwrap());
    let held = b.journal.take(&run, &who("two")).unwrap();
    let alarm = || vec![Body::Alarm { what: SafeText::new("it writes") }];
    let stale = b.add("r1", alarm(), Epoch(1)).unwrap_err();
    assert_eq!(stale.to_string(), "tenure 1 is over: the newest is 2");
    assert!(matches!(b.add("r1", alarm(), Epoch(3)), Err(JournalError::Superseded { .. })));
    b.add("r1", alarm(), held.tenure().epoch()).unwrap();
    b.add("r1", vec![Body::Released { why: SafeText::new("done") }], Epoch(2)).unwrap();
    assert!(matches!(b.add("r1", alarm(), Epoch(2)), Err(JournalError::Superseded { .. })), "it let go of it");
    // A client's word counts whatever tenure it saw last.
    b.add("r1", note("hello"), Epoch(0)).unwrap();
}

#[test]
fn rule_8_a_commit_that_fails_is_not_durable() {
    let b = bench();
    b.open("r1", RunbookKind::Failover).unwrap();
    // A reference that is only checked when the transaction ends: everything goes well until COMMIT.
    b.other()
        .execute_batch(
            "CREATE TABLE odd (x INTEGER REFERENCES entry (id) DEFERRABLE INITIALLY DEFERRED);
             CREATE TRIGGER oddly AFTER INSERT ON entry BEGIN INSERT INTO odd VALUES (-1); END;",
        )
        .unwrap();
    let run = RunId::new("r1");
    for _ in 0..2 {
        let failed = b.journal.append(&run, 1, note("lost"), &who("alice"), Epoch(0));
        assert!(failed.unwrap_err().to_string().contains("FOREIGN KEY constraint failed"));
        assert_eq!(b.journal.state(&run).unwrap().seq, 1);
    }
    assert!(b.journal.take(&run, &who("one")).is_err());
    assert!(!b.journal.is_held(&run), "who could not write holds nothing");
    b.other().execute_batch("DROP TRIGGER oddly").unwrap();
    b.journal.append(&run, 1, note("kept"), &who("alice"), Epoch(0)).unwrap();
    assert_eq!(b.proved("r1").notes.len(), 1);
}

#[test]
fn a_full_disk_a_locked_file_and_an_end_of_either_are_one_error_each() {
    let b = bench();
    b.open("r1", RunbookKind::Failover).unwrap();
    let run = RunId::new("r1");
    let pages: i64 = b.journal.writer().pragma_query_value(None, "page_count", |r| r.get(0)).unwrap();
    b.journal.writer().pragma_update(None, "max_page_count", pages).unwrap();
    let long = "x".repeat(60_000);
    let big: Vec<Body> = (0..40).flat_map(|_| note(&long)).collect();
    let full = b.journal.append(&run, 1, big, &who("alice"), Epoch(0)).unwrap_err();
    assert!(full.may_pass() && full.to_string().ends_with("journal.db: no space left"), "{full}");
    b.journal.writer().pragma_update(None, "max_page_count", pages * 100).unwrap();
    let other = b.other();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let locked = b.journal.append(&run, 1, note("x"), &who("alice"), Epoch(0)).unwrap_err();
    assert!(locked.may_pass() && locked.to_string().ends_with("journal.db: locked by another process"), "{locked}");
    assert_eq!(b.journal.state(&run).unwrap().seq, 1, "reading does not wait for a writer");
    other.execute_batch("ROLLBACK").unwrap();
    b.journal.append(&run, 1, note("x"), &who("alice"), Epoch(0)).unwrap();
}

#[test]
fn what_is_no_journal_of_ours_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    std::fs::write(&path, "no database at all, but long enough to be looked at as one; ".repeat(40)).unwrap();
    let damaged = Journal::open(dir.path()).unwrap_err();
    assert!(matches!(damaged, JournalError::Damaged { .. }), "{damaged}");
    assert!(damaged.to_string().contains("keep it as evidence"), "{damaged}");
    std::fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch("PRAGMA application_id = 1279672916; CREATE TABLE x (y);").unwrap();
    assert!(Journal::open(dir.path()).unwrap_err().to_string().contains("it belongs to another program"));
    std::fs::remove_file(&path).unwrap();
    drop(Journal::open(dir.path()).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 9).unwrap();
    let newer = Journal::open(dir.path()).unwrap_err();
    assert!(matches!(newer, JournalError::File(StoreError::Newer { found: 9, .. })), "{newer}");
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
    assert!(matches!(Journal::open(dir.path()), Err(JournalError::File(StoreError::Directory { .. }))));
    // A directory that cannot be made, even by root.
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(Journal::open(&file), Err(JournalError::File(StoreError::Directory { .. }))));
}

#[test]
fn an_entry_that_was_changed_is_found_and_not_built_upon() {
    let b = bench();
    b.open("r1", RunbookKind::Failover).unwrap();
    b.add("r1", note("one"), Epoch(0)).unwrap();
    b.add("r1", note("two"), Epoch(0)).unwrap();
    let change = |seq: i64| {
        let sql = "UPDATE entry SET text = replace(replace(text, 'one', 'uno'), 'two', 'due') WHERE seq = ?1";
        b.other().execute(sql, [seq])
    };
    assert!(change(2).unwrap_err().to_string().contains("a journal is only added to"));
    assert!(b.other().execute("DELETE FROM entry", []).is_err());
    assert!(b.other().execute("DELETE FROM run", []).is_err());
    b.other().execute_batch("DROP TRIGGER entry_stays_as_it_is").unwrap();
    for (seq, at) in [(3, 3), (2, 3)] {
        change(seq).unwrap();
        let fresh = Journal::open(b.dir.path()).unwrap();
        let run = RunId::new("r1");
        let broken = fresh.append(&run, 3, note("three"), &who("alice"), Epoch(0)).unwrap_err();
        let JournalError::Broken { broken, .. } = &broken else { panic!("{broken}") };
        assert_eq!(broken.seq, at);
        assert!(fresh.state(&run).is_err());
    }
}

#[test]
fn what_makes_no_sense_is_not_taken_whoever_decided_it() {
    let b = bench();
    b.open("r1", RunbookKind::Failover).unwrap();
    let held = b.journal.take(&RunId::new("r1"), &who("one")).unwrap();
    let intent = Body::Intent { attempt: ATTEMPT, approval: 1, identity: Identity::default() };
    let refused = b.add("r1", vec![intent], held.tenure().epoch()).unwrap_err();
    assert_eq!(refused.to_string(), "not taken into the journal of r1: no approval for it holds");
    let tenure = Body::Tenure { pid: 1, version: SafeText::new("9") };
    assert!(matches!(b.add("r1", vec![tenure], Epoch(2)), Err(JournalError::Unsound { .. })), "only by its lock");
    // Nothing of several, where one does not fit.
    let several = [note("x"), vec![Body::Closed(Closing::Completed)]].concat();
    assert!(matches!(b.add("r1", several, Epoch(1)), Err(JournalError::Unsound { .. })));
    assert_eq!(b.proved("r1").seq, 2);
}

#[test]
fn after_a_failover_another_waits_until_somebody_has_looked() {
    let b = bench();
    b.open("r1", RunbookKind::Failover).unwrap();
    b.close("r1");
    // Nothing was begun: nothing to look at.
    b.open("r2", RunbookKind::Failover).unwrap();
    let held = b.begin("r2");
    b.end("r2", Outcome::Succeeded, held.tenure().epoch());
    b.close("r2");
    let flap = b.open("r3", RunbookKind::Failover).unwrap_err();
    assert!(matches!(&flap, JournalError::Unacknowledged { run, .. } if run.as_str() == "r2"), "{flap}");
    b.open("s1", RunbookKind::Failback).unwrap();
    b.close("s1");
    b.journal.open_run(RunId::new("m1"), opened("mail", RunbookKind::Failover), who("alice"), None).unwrap();
    b.add("r2", vec![Body::Acknowledged { reason: SafeText::new("seen, east is being mended") }], Epoch(0)).unwrap();
    b.open("r3", RunbookKind::Failover).unwrap();
    let runs = b.journal.runs().unwrap();
    let r2 = runs.iter().find(|r| r.id.as_str() == "r2").unwrap();
    assert!(r2.acknowledged && matches!(r2.closed, Some((Closing::Aborted { .. }, _))));
    assert_eq!(r2.by, who("alice"));
}

#[test]
fn a_failover_takes_the_place_of_a_drill_and_both_journals_say_why() {
    let b = bench();
    b.open("d1", RunbookKind::Drill).unwrap();
    let held = b.journal.take(&RunId::new("d1"), &who("runner")).unwrap();
    assert!(matches!(b.preempt("s1", RunbookKind::Switchover, "d1", "hurry"), Err(JournalError::KeepsItsPlace { .. })));
    assert!(matches!(b.preempt("r1", RunbookKind::Failover, "d1", "  "), Err(JournalError::KeepsItsPlace { .. })));
    b.preempt("r1", RunbookKind::Failover, "d1", "east burns").unwrap();
    let why = Closing::Preempted { by: RunId::new("r1"), reason: SafeText::new("east burns") };
    assert_eq!(b.proved("d1").closed.map(|(c, _)| c), Some(why));
    assert_eq!(b.proved("r1").notes[0].0.as_str(), "took the place of d1: east burns");
    assert_eq!(b.journal.open_run_of(&PlanId::new("payments")).unwrap(), Some(RunId::new("r1")));
    // The drill's runner, which lives, begins nothing more and lets go.
    b.add("d1", vec![Body::Released { why: SafeText::new("closed") }], held.tenure().epoch()).unwrap();
    assert!(matches!(b.journal.take(&RunId::new("d1"), &who("x")), Err(JournalError::Closed(_))));
}

#[test]
fn a_failover_takes_the_place_of_a_run_that_halted_and_of_no_other() {
    let b = bench();
    b.open("r1", RunbookKind::Failover).unwrap();
    let idle = b.preempt("r2", RunbookKind::Failover, "r1", "mine is better").unwrap_err();
    assert!(idle.to_string().contains("it has not halted"), "{idle}");
    let held = b.begin("r1");
    let acting = b.preempt("r2", RunbookKind::Failover, "r1", "now").unwrap_err();
    assert!(matches!(acting, JournalError::InHand { step: STEP, .. }), "{acting}");
    assert_eq!(b.proved("r1").closed, None);
    b.end("r1", Outcome::Failed, held.tenure().epoch());
    b.preempt("r2", RunbookKind::Failover, "r1", "it halted").unwrap();
    // Whoever took its place has looked at it: it keeps nobody waiting.
    b.close("r2");
    b.open("r3", RunbookKind::Failover).unwrap();
    assert_eq!(b.proved("r1").steps[0].state, StepState::Halted(Outcome::Failed));
}

#[test]
fn a_run_whose_runner_died_in_a_step_gives_way_and_the_step_is_indeterminate() {
    let b = bench();
    b.open("r1", RunbookKind::Failover).unwrap();
    drop(b.begin("r1"));
    let other = Journal::open(b.dir.path()).unwrap();
    let opened = opened("payments", RunbookKind::Failover);
    let preempt = Some((RunId::new("r1"), SafeText::new("its host is gone")));
    other.open_run(RunId::new("r2"), opened, who("bob"), preempt).unwrap();
    let left = b.proved("r1");
    assert_eq!(left.steps[0].state, StepState::Halted(Outcome::Indeterminate));
    assert_eq!(left.epoch, Epoch(2));
    assert!(!b.journal.is_held(&RunId::new("r1")));
}

#[test]
fn a_place_that_cannot_be_taken_leaves_both_as_they_were() {
    let b = bench();
    b.open("d1", RunbookKind::Drill).unwrap();
    let again = b.preempt("d1", RunbookKind::Failover, "d1", "the same name").unwrap_err();
    assert!(matches!(again, JournalError::Twice(_)), "{again}");
    assert_eq!(b.proved("d1").closed, None);
    assert_eq!(b.journal.state(&RunId::new("d1")).unwrap().closed, None);
}

#[test]
fn who_only_looks_can_do_nothing() {
    let b = bench();
    b.open("r1", RunbookKind::Failover).unwrap();
    let looks = Journal::look(b.dir.path()).unwrap();
    let run = RunId::new("r1");
    assert!(matches!(looks.take(&run, &who("x")), Err(JournalError::ReadOnly)));
    assert!(matches!(looks.append(&run, 1, note("x"), &who("x"), Epoch(0)), Err(JournalError::ReadOnly)));
    let opened = opened("mail", RunbookKind::Drill);
    assert!(matches!(looks.open_run(RunId::new("m1"), opened, who("x"), None), Err(JournalError::ReadOnly)));
    assert!(looks.writer().execute("UPDATE run SET acknowledged = 1", []).is_err());
    assert_eq!(looks.state(&run).unwrap().seq, 1);
    assert_eq!(looks.runs().unwrap().len(), 1);
}

#[test]
fn news_of_another_process_and_of_this_one_are_told_apart_from_none() {
    let b = bench();
    let before = b.journal.version();
    assert_eq!(b.journal.version(), before);
    b.open("r1", RunbookKind::Failover).unwrap();
    let own = b.journal.version();
    assert_ne!(own, before);
    let other = Journal::open(b.dir.path()).unwrap();
    assert_eq!(b.journal.version(), own);
    other.append(&RunId::new("r1"), 1, note("x"), &who("x"), Epoch(0)).unwrap();
    assert_ne!(b.journal.version(), own);
}

#[test]
fn a_journal_that_was_put_back_is_read_anew() {
    let b = bench();
    b.open("r1", RunbookKind::Failover).unwrap();
    b.add("r1", note("later"), Epoch(0)).unwrap();
    // As a backup of before would be.
    b.other().execute_batch("DROP TRIGGER entry_stays; DELETE FROM entry WHERE seq = 2;").unwrap();
    assert_eq!(b.journal.state(&RunId::new("r1")).unwrap().seq, 1);
    b.journal.append(&RunId::new("r1"), 1, note("anew"), &who("x"), Epoch(0)).unwrap();
    assert_eq!(b.proved("r1").notes.len(), 1);
}

#[test]
fn a_journal_that_was_removed_or_replaced_while_it_is_open_takes_and_tells_nothing() {
    type Take = fn(&Path);
    let takings: [(&str, Take); 4] = [
        ("it was removed", |dir| std::fs::remove_dir_all(dir).unwrap()),
        ("it was removed", |dir| std::fs::remove_file(dir.join(FILE)).unwrap()),
        // The same bytes, as a copy that was put back.
        ("another file is there", |dir| {
            std::fs::copy(dir.join(FILE), dir.join("copy")).unwrap();
            std::fs::rename(dir.join("copy"), dir.join(FILE)).unwrap();
        }),
        // As the next program would make it.
        ("another file is there", |dir| {
            for file in [FILE, "journal.db-wal", "journal.db-shm"] {
                std::fs::rename(dir.join(file), dir.join(format!("old-{file}"))).unwrap();
            }
            drop(Journal::open(dir).unwrap());
        }),
    ];
    for (how, taking) in takings {
        let b = bench();
        b.open("r1", RunbookKind::Failover).unwrap();
        let (run, before) = (RunId::new("r1"), b.journal.version());
        let held = b.journal.take(&run, &who("runner")).unwrap();
        taking(b.dir.path());
        let gone = b.journal.append(&run, 2, note("lost"), &who("alice"), held.tenure().epoch()).unwrap_err();
        assert!(matches!(gone, JournalError::Gone { .. }) && !gone.may_pass(), "{gone}");
        assert!(gone.to_string().contains(how), "{how}: {gone}");
        assert!(matches!(b.journal.state(&run), Err(JournalError::Gone { .. })), "{how}");
        assert!(matches!(b.journal.runs(), Err(JournalError::Gone { .. })), "{how}");
        assert!(matches!(b.journal.entries(&run, 0), Err(JournalError::Gone { .. })), "{how}");
        let opened = opened("mail", RunbookKind::Drill);
        let another = b.journal.open_run(RunId::new("m1"), opened, who("x"), None);
        assert!(matches!(another, Err(JournalError::Gone { .. })), "{how}");
        let (one, two) = (b.journal.version(), b.journal.version());
        assert!(one != before && one != two, "whoever asks for news reads, and hears why there is none");
        // Nothing reached even the file that is open.
        let kept: i64 = b.journal.writer().query_row("SELECT count(*) FROM entry", [], |r| r.get(0)).unwrap();
        assert_eq!(kept, 2, "{how}");
    }
}

#[test]
fn what_was_committed_into_a_file_that_was_taken_away_meanwhile_is_not_durable() {
    let b = bench();
    b.open("r1", RunbookKind::Failover).unwrap();
    let path = b.dir.path().join(FILE);
    let mut writer = b.journal.writer();
    let tx = b.journal.begin(&mut writer).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(b.journal.commit(tx), Err(JournalError::Gone { .. })));
}
