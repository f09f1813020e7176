//! The runner as a process, and a clock that went on while it did not: what was approved before is too old to act on.

use std::process::Command as Process;
use std::time::Duration;

use lifeboat::clock;
use lifeboat::runbook::{Command, Phase, RunState, StepIx};
use rustix::process::Signal;

use super::runner::{Lab, Servers, servers};

/// Nothing was begun, and what was approved does not hold any more because of its age.
fn nothing_was_begun(servers: &Servers, state: &RunState) {
    assert!(state.steps.iter().all(|s| s.attempts.is_empty()), "{:#?}", state.steps);
    let why = format!("{:?}", state.blocked.as_ref().expect("why").why);
    assert!(why.contains("the approval has expired"), "{why}");
    assert_eq!(servers.standby.sql("SELECT pg_is_in_recovery()"), "t");
    assert!(servers.primary.pid().is_some(), "the primary runs");
}

/// A run whose steps are approved, and whose runner was stopped right before.
fn approved_while_stopped(lab: &mut Lab) {
    lab.start();
    // Nobody is at it yet who would approve what is shown.
    super::pg::until("what it would do", || match lab.at().phase() {
        Phase::Armed(..) => true,
        Phase::Waiting(from) => {
            let to = StepIx::at(lab.at().steps.len() - 1);
            let _refused = lab.command(Command::Ask { from, to });
            false
        }
        _ => false,
    });
    lab.signal(Signal::STOP);
    // It may have been asked to show it anew meanwhile.
    let state = lab.at();
    lab.approve(&state).unwrap();
}

/// The machine sleeps between approval and act: the boot clock has gone on, everything else is as it was. A process in a time
/// namespace of its own stands for the one that wakes up (time_namespaces(7)).
#[test]
fn what_was_approved_before_the_machine_slept_for_long_is_not_begun() {
    let servers = servers();
    let mut lab = Lab::open(&servers);
    approved_while_stopped(&mut lab);
    lab.kill();
    let mut later = Process::new("unshare");
    later.args(["--time", "--boottime", "100000", env!("CARGO_BIN_EXE_lifeboat")]);
    lab.start_as(later);
    super::pg::until("the end of the approval", || lab.at().approval.is_none());
    nothing_was_begun(&servers, &lab.at());
    lab.command(Command::Abort { reason: "too late".to_owned() }).unwrap();
    super::pg::until("the runner's end", || lab.ended().is_some());
    assert_eq!(lab.ended(), Some(0), "{}", lab.log());
}

/// As above, with the very process that was stopped, for as long as an approval lasts: some seven minutes. `tests/all.sh slow`
/// runs it.
#[test]
#[ignore = "takes seven minutes"]
fn minutes_after_its_approval_a_runner_that_was_stopped_begins_nothing() {
    let servers = servers();
    let mut lab = Lab::open(&servers);
    approved_while_stopped(&mut lab);
    let given = lab.at().approval.expect("an approval");
    while clock::now().since(given.at) <= given.approval.lasts.0 {
        std::thread::park_timeout(Duration::from_secs(1));
    }
    lab.signal(Signal::CONT);
    super::pg::until("the end of the approval", || lab.at().approval.is_none());
    nothing_was_begun(&servers, &lab.at());
    lab.kill();
}
