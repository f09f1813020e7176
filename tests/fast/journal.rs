//! One journal, several processes at once.

use std::process::{Child, Command};

use lifeboat::clock;
use lifeboat::plan::{PlanId, SafeText, SiteId};
use lifeboat::runbook::{Body, Cause, Digest, Epoch, Expected, Moment, Opened, RunId, Runbook, RunbookKind, verify};
use lifeboat::store::{Journal, JournalError, operator};

const PROCESSES: usize = 5;
const NOTES: usize = 30;
const DIR: &str = "LIFEBOAT_TEST_JOURNAL";
const NAME: &str = "LIFEBOAT_TEST_NAME";

fn opened(plan: &str) -> Opened {
    let kind = RunbookKind::Drill;
    Opened {
        plan: PlanId::new(plan),
        kind,
        cause: Cause::Rehearsal,
        reason: SafeText::new("a test"),
        from: SiteId::new("east"),
        to: SiteId::new("west"),
        runbook: Runbook { kind, steps: Vec::new() },
        pinned: String::new(),
        config: Digest::NONE,
        version: SafeText::new("test"),
        t0: Moment { at: clock::now().wall, why: SafeText::new("now") },
        detected: None,
        expected: Expected::default(),
        scope: SafeText::new("this host"),
        after: None,
        practice: false,
    }
}

fn process(dir: &std::path::Path, name: &str) -> Child {
    let me = std::env::current_exe().expect("this test");
    let mut command = Command::new(me);
    command.args(["--ignored", "--exact", "journal::one_of_several_processes", "--nocapture"]);
    command.env(DIR, dir).env(NAME, name).stdout(std::process::Stdio::null()).spawn().expect("a process")
}

/// What each process does: it opens the journal, which none of them has made; wants to open a run of the same plan; notes
/// things in the run that is open; and takes it for a moment, again and again.
#[test]
#[ignore = "a process of the test below"]
fn one_of_several_processes() {
    let (dir, name) = (std::env::var(DIR).expect("a directory"), std::env::var(NAME).expect("a name"));
    let journal = Journal::open(std::path::Path::new(&dir)).expect("a journal");
    let plan = PlanId::new("payments");
    match journal.open_run(RunId::new(&format!("run-of-{name}")), opened("payments"), operator(), None) {
        Ok(_) | Err(JournalError::Open { .. }) => {}
        Err(e) => panic!("{e}"),
    }
    let run = journal.open_run_of(&plan).expect("read").expect("a run is open");
    for n in 0..NOTES {
        let note = Body::Noted { text: SafeText::new(&format!("{name} {n}")) };
        loop {
            let seq = journal.state(&run).expect("a sound run").seq;
            match journal.append(&run, seq, vec![note.clone()], &operator(), Epoch(0)) {
                Ok(_) => break,
                Err(JournalError::Moved { seq: newest }) => assert!(newest > seq),
                Err(e) => panic!("{e}"),
            }
        }
        if n % 5 == 0 {
            match journal.take(&run, &operator()) {
                Ok(held) => {
                    let epoch = held.tenure().epoch();
                    // Nobody else takes it meanwhile.
                    assert_eq!(journal.state(&run).expect("a sound run").epoch, epoch);
                    assert!(matches!(journal.take(&run, &operator()), Err(JournalError::Held(_))));
                    assert_eq!(journal.state(&run).expect("a sound run").epoch, epoch);
                }
                Err(JournalError::Held(_)) => {}
                Err(e) => panic!("{e}"),
            }
        }
    }
}

#[test]
fn several_processes_at_once_lose_nothing_and_open_one_run() {
    let dir = tempfile::tempdir().expect("a directory");
    let children: Vec<Child> = (0..PROCESSES).map(|n| process(dir.path(), &n.to_string())).collect();
    for mut child in children {
        assert!(child.wait().expect("its end").success());
    }
    let journal = Journal::open(dir.path()).expect("a journal");
    let runs = journal.runs().expect("runs");
    assert_eq!(runs.len(), 1, "{runs:?}");
    let texts = journal.texts(&runs[0].id).expect("its entries");
    let (state, _) = verify(texts.iter().map(String::as_str)).unwrap_or_else(|e| panic!("{e}"));
    let mut notes: Vec<String> = state.notes.iter().map(|(text, ..)| text.to_string()).collect();
    notes.sort_unstable();
    let mut wanted: Vec<String> = (0..PROCESSES).flat_map(|p| (0..NOTES).map(move |n| format!("{p} {n}"))).collect();
    wanted.sort_unstable();
    assert_eq!(notes, wanted, "each of them once");
    assert!(state.epoch.0 >= 1 && !journal.is_held(&state.run));
}
