//! The step `command` with real programs: done, failed, late and left running.

use std::path::Path;
use std::time::Duration;

use lifeboat::runbook::{Acted, Held, Outcome, RunbookKind, Strength};
use lifeboat::store::{self, JournalError};
use tokio::time::Instant;

use crate::acting::{Run, condition, within};

/// A run with one command step; `keys` are those beside `step` and `kind`.
fn run(keys: &str) -> Run {
    let text = format!(
        "[[plan]]\nname = \"shop\"\ntier = 1\nstrategy = \"warm-standby\"\nobjectives = {{ rpo = \"30s\", rto = \"5m\" }}\n\
         sites = {{ east = \"home\", west = \"away\" }}\nhome = \"east\"\nrequires = [\"dns\"]\n\
         [[plan.switchover]]\nstep = \"it\"\nkind = \"command\"\n{keys}\n"
    );
    Run::open(&text, RunbookKind::Switchover, "east", "west")
}

/// A script of its own, which cannot be busy.
fn script(dir: &Path, name: &str, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = dir.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_does_something_once_and_a_check_sees_it() {
    let dir = tempfile::tempdir().unwrap();
    let flag = dir.path().join("done");
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "hunter2").unwrap();
    let act = script(dir.path(), "act", &format!("echo \"with $TOKEN\"; echo once >> {}", flag.display()));
    let check = script(dir.path(), "check", &format!("[ -z \"$TOKEN\" ] && [ -e {} ]", flag.display()));
    let keys = format!(
        "argv = [\"{act}\"]\ncheck = [\"{check}\"]\nrole = \"fence\"\non = \"old-active\"\n\
         environment = {{ TOKEN = {{ file = \"{}\" }} }}",
        secret.display()
    );
    let run = run(&keys);
    let mut step = run.step(0);
    let shown = step.preview().await;
    assert_eq!((shown.already, condition(&shown, "runnable").held), (Held::Fails, Held::Holds), "{shown:#?}");
    assert_eq!(shown.challenge, "act");
    assert!(!flag.exists(), "a preview changes nothing");
    let ended = step.carry_out(Duration::from_secs(10)).await;
    assert_eq!(ended.outcome, Outcome::Succeeded, "{ended:?}");
    assert_eq!(ended.seen.left.fence.as_ref().map(|f| f.strength), Some(Strength::Proven));
    let Some(Acted::Returned { said, left }) = &ended.acted else { panic!("{ended:?}") };
    assert_eq!((said.as_str(), left.facts.len(), ended.seen.left.facts.len()), ("exit code 0: with ***", 1, 0));
    assert_eq!(std::fs::read_to_string(&flag).unwrap(), "once\n");
    assert_eq!(step.preview().await.already, Held::Holds);
    assert!(!run.journaled().contains("hunter2"));
    // Another file in its place is another program.
    let then = step.preview().await.identity;
    std::fs::write(&act, "#!/bin/sh\nexit 0\n").unwrap();
    assert_ne!(step.preview().await.identity, then);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_check_its_end_is_all_that_is_known() {
    let ended = run("argv = [\"sh\", \"-c\", \"exit 0\"]").step(0).carry_out(Duration::from_secs(5)).await;
    assert_eq!(ended.outcome, Outcome::Succeeded, "{ended:?}");
    let ended = run("argv = [\"sh\", \"-c\", \"echo half; exit 3\"]").step(0).carry_out(Duration::from_secs(2)).await;
    assert_eq!(ended.outcome, Outcome::Failed, "{ended:?}");
    let failed = "exit code 3: half";
    assert!(matches!(&ended.acted, Some(Acted::Failed { said, .. }) if said.as_str() == failed), "{ended:?}");
    // Ended by somebody else: nobody knows.
    let ended = run("argv = [\"sh\", \"-c\", \"kill -9 $$\"]").step(0).carry_out(Duration::from_secs(1)).await;
    assert_eq!(ended.outcome, Outcome::Indeterminate, "{ended:?}");
    let refused = run("argv = [\"no-such-program-at-all\"]").step(0).approve().await;
    assert!(refused.unwrap_err().to_string().contains("there is no such program"));
}

/// It is let run: it goes on after the deadline, keeps other runners out of the run until it ends, and what became of it is
/// seen afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_deadline_it_goes_on_and_holds_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let (go, done) = (dir.path().join("go"), dir.path().join("done"));
    let act = script(
        dir.path(),
        "act",
        &format!(
            "echo begun; until [ -e {} ]; do sleep 0.05; done; echo after && touch {}",
            go.display(),
            done.display()
        ),
    );
    let check = script(dir.path(), "check", &format!("[ -e {} ]", done.display()));
    let run = run(&format!("argv = [\"{act}\"]\ncheck = [\"{check}\"]"));
    let mut step = run.step(0);
    let begun = Instant::now();
    let ended = step.carry_out(Duration::from_secs(2)).await;
    println!("{ended:?} after {:?}", begun.elapsed());
    assert_eq!(ended.outcome, Outcome::Indeterminate);
    assert!(
        matches!(&ended.acted, Some(Acted::Unclear { why, .. }) if why.as_str().contains("goes on by itself")),
        "{ended:?}"
    );
    drop(step);
    // This runner is gone; its child is not.
    let (journal, id, _dir) = run.let_go();
    assert!(journal.is_held(&id));
    assert!(matches!(journal.take(&id, &store::operator()), Err(JournalError::Held(_))));
    std::fs::write(&go, "").unwrap();
    let deadline = within(10);
    while !done.exists() || journal.is_held(&id) {
        assert!(Instant::now() < deadline, "done: {}, held: {}", done.exists(), journal.is_held(&id));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    journal.take(&id, &store::operator()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ends_late_is_seen_when_somebody_looks_again() {
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    let act = script(dir.path(), "act", &format!("until [ -e {} ]; do sleep 0.05; done", go.display()));
    let run = run(&format!("argv = [\"{act}\"]"));
    let mut step = run.step(0);
    assert_eq!(step.carry_out(Duration::from_secs(1)).await.outcome, Outcome::Indeterminate);
    assert_eq!(step.look().await.held, Held::Unknown);
    std::fs::write(&go, "").unwrap();
    assert_eq!(step.observe(within(10)).await.held, Held::Holds);
}
