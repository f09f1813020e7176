//! Several people at one pair of servers at the same time, with one state directory and with two; and sessions that end in the
//! middle of a run.

use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::sync::Barrier;

use lifeboat::plan::PlanId;
use lifeboat::runbook::{Body, Command, Outcome, RunId, StepState, Strength, verify};
use lifeboat::store::{Journal, JournalError, operator};

use super::pg::{signal, until};
use super::process::with_argument;
use super::runner::{Lab, Servers, configuration, opened, servers};
use super::ssh::{Terminal, lifeboat};
use super::sshd::Sshd;
use super::steps_postgres::stop_lines;

const DIR: &str = "LIFEBOAT_TEST_STATE";
const CONFIG: &str = "LIFEBOAT_TEST_CONFIG";
const NAME: &str = "LIFEBOAT_TEST_NAME";

fn env(name: &str) -> PathBuf {
    std::env::var_os(name).unwrap_or_else(|| panic!("{name}")).into()
}

/// What each operator does: opens a failover at the same moment as the other, starts a runner for the run that is open then,
/// and approves whatever is shown, until the run is closed. Says what it came to.
#[test]
#[ignore = "a process of the test below"]
fn one_of_two_operators() {
    let (state, name) = (env(DIR), env(NAME));
    let text = std::fs::read_to_string(env(CONFIG)).unwrap();
    let journal = Journal::open(&state).unwrap();
    let own = RunId::new(&format!("lab-failover-{}", name.display()));
    std::fs::write(state.join(format!("ready-{}", name.display())), "").unwrap();
    until("the word to begin", || state.join("go").exists());
    let (run, came) = match journal.open_run(own.clone(), opened(&text), operator(), None) {
        Ok(_) => (own, "opened"),
        Err(JournalError::Open { run, .. }) => (run, "joined"),
        Err(e) => panic!("{e}"),
    };
    let mut lab = Lab::join(state.clone(), run, None);
    lab.start();
    let mut given = 0;
    lab.go("the end", |lab| {
        let state = lab.at();
        given += usize::from(state.shown.is_some() && lab.approve(&state).is_ok());
        state.closed.is_some()
    });
    until("its runner's end", || lab.ended().is_some());
    let said = format!("{came} {given} {}", lab.ended().unwrap());
    std::fs::write(state.join(format!("said-{}", name.display())), said).unwrap();
}

fn operator_of(state: &Path, config: &Path, name: &str) -> Child {
    let mut me = Process::new(std::env::current_exe().expect("this test"));
    me.args(["--ignored", "--exact", "runner_together::one_of_two_operators"]);
    me.env(DIR, state).env(CONFIG, config).env(NAME, name).stdin(Stdio::null()).stdout(Stdio::null());
    me.spawn().expect("a process")
}

#[test]
fn two_operators_of_a_host_who_press_at_once_open_one_run_and_promote_once() {
    let servers = servers();
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let config = dir.path().join("lifeboat.toml");
    std::fs::write(&config, configuration(&servers)).unwrap();
    let names = ["alice", "bob"];
    let children = names.map(|name| operator_of(&state, &config, name));
    until("both", || names.iter().all(|name| state.join(format!("ready-{name}")).exists()));
    std::fs::write(state.join("go"), "").unwrap();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let said = names.map(|name| std::fs::read_to_string(state.join(format!("said-{name}"))).unwrap());
    println!("{said:?}");
    let words = |at: usize| said.iter().map(move |s| s.split(' ').nth(at).unwrap().to_owned());
    let mut came: Vec<String> = words(0).collect();
    came.sort_unstable();
    assert_eq!(came, ["joined", "opened"]);
    // One runner carried it out, the other was kept out.
    let mut ends: Vec<String> = words(2).collect();
    ends.sort_unstable();
    assert_eq!(ends, ["0", "70"]);
    let journal = Journal::open(&state).unwrap();
    let runs = journal.runs().unwrap();
    assert_eq!(runs.len(), 1, "{runs:?}");
    let lab = Lab::join(state, runs[0].id.clone(), None);
    lab.judge(&servers, "two operators");
    // Each approval is one entry, whoever gave it.
    let entries = lab.journal.entries(&lab.run, 0).unwrap();
    let approvals = entries.iter().filter(|e| matches!(e.body, Body::Approved(_))).count();
    let given: usize = words(1).map(|n| n.parse::<usize>().unwrap()).sum();
    assert!(approvals >= 1 && approvals >= given, "{approvals} of {given}");
    assert_eq!(entries.iter().filter(|e| matches!(e.body, Body::Tenure { .. })).count(), 1);
}

/// How often the promotion was called for.
fn calls(lab: &Lab) -> usize {
    lab.at().steps[1].attempts.iter().filter(|a| a.acted.is_some()).count()
}

#[test]
fn two_who_press_at_once_in_two_state_directories_promote_once() {
    let servers = servers();
    let (mut one, mut two) = (Lab::open(&servers), Lab::open(&servers));
    let together = Barrier::new(2);
    let run = |lab: &mut Lab| {
        together.wait();
        lab.start();
        lab.finish();
    };
    std::thread::scope(|scope| {
        let both = [scope.spawn(|| run(&mut one)), scope.spawn(|| run(&mut two))];
        both.into_iter().for_each(|b| b.join().expect("its end"));
    });
    one.judge(&servers, "one");
    two.judge(&servers, "two");
    assert_eq!(calls(&one) + calls(&two), 1, "{:#?}\n{:#?}", one.at().steps, two.at().steps);
}

/// A run that was opened, its configuration in a file, and an SSH server.
fn over_ssh(servers: &Servers) -> (Lab, PathBuf, Sshd) {
    let dir = tempfile::tempdir().unwrap();
    let (state, config) = (dir.path().join("state"), dir.path().join("lifeboat.toml"));
    std::fs::create_dir(&state).unwrap();
    let text = configuration(servers);
    std::fs::write(&config, format!("state = \"{}\"\n{text}", state.display())).unwrap();
    (Lab::of(&text, dir, state), config, Sshd::start())
}

/// Attaches over SSH, and has the session start a runner.
fn attached(lab: &Lab, config: &Path, sshd: &Sshd) -> Terminal {
    let mut terminal = Terminal::open(sshd, &format!("{} attach {}", lifeboat(config), lab.run));
    terminal.until_shows("NO RUNNER LIVES");
    terminal.press('G');
    until("a runner", || lab.journal.is_held(&lab.run));
    terminal
}

/// The runner's process.
fn runner_of(lab: &Lab) -> u32 {
    let pids = with_argument(&lab.state.display().to_string());
    let is_runner = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|b| *b == 0).nth(1) == Some(b"runner")
    };
    pids.into_iter().find(is_runner).expect("a runner")
}

#[test]
fn a_session_that_is_cut_in_mid_run_harms_nothing_and_the_next_one_sees_its_end() {
    let servers = servers();
    let (mut lab, config, sshd) = over_ssh(&servers);
    let terminal = attached(&lab, &config, &sshd);
    let runner = runner_of(&lab);
    lab.go("the promotion's intent", |lab| lab.at().steps[1].attempts.len() == 1);
    sshd.sessions().into_iter().for_each(|s| signal(s, "KILL"));
    drop(terminal);
    assert_eq!(runner_of(&lab), runner, "it lives on");
    lab.go("the end", |lab| lab.at().closed.is_some() && !lab.journal.is_held(&lab.run));
    lab.judge(&servers, "cut");
    assert_eq!(lab.at().epoch.0, 1, "one runner did it all");
    let terminal = Terminal::open(&sshd, &format!("{} attach {}", lifeboat(&config), lab.run));
    terminal.until_shows("completed");
}

#[test]
fn a_session_that_takes_its_runner_along_leaves_an_unknown_end_and_the_next_one_looks() {
    let servers = servers();
    let (mut lab, config, sshd) = over_ssh(&servers);
    let terminal = attached(&lab, &config, &sshd);
    let runner = runner_of(&lab);
    lab.go("the promotion's intent", |lab| lab.at().steps[1].attempts.len() == 1);
    // As logind does where it ends every process of a session.
    signal(runner, "KILL");
    sshd.sessions().into_iter().for_each(|s| signal(s, "KILL"));
    drop(terminal);
    until("nobody holds it", || !lab.journal.is_held(&lab.run));
    let mut terminal = Terminal::open(&sshd, &format!("{} attach {}", lifeboat(&config), lab.run));
    terminal.until_shows("NO RUNNER LIVES");
    terminal.until_shows("acting");
    terminal.press('G');
    until("a runner", || lab.journal.is_held(&lab.run));
    lab.go("the end", |lab| lab.at().closed.is_some() && !lab.journal.is_held(&lab.run));
    lab.judge(&servers, "killed with its session");
    terminal.until_shows("completed");
    let state = lab.at();
    assert!(matches!(state.steps[1].state, StepState::Done(_)), "{:?}", state.steps[1]);
    let ends = lab.journal.entries(&lab.run, 0).unwrap().into_iter().filter_map(|e| match e.body {
        Body::Outcome { attempt, resolution } if attempt.step.place() == 1 => Some(resolution.outcome),
        _ => None,
    });
    assert_eq!(ends.take(1).collect::<Vec<_>>(), [Outcome::Indeterminate], "first nobody could say");
    assert_eq!(lab.journal.runs().unwrap()[0].plan, PlanId::new("lab"));
}

#[test]
fn an_assumed_fence_is_watched_on_by_whoever_a_board_starts_when_its_watcher_dies() {
    let servers = servers();
    servers.primary.stop("immediate");
    let dir = tempfile::tempdir().unwrap();
    let (state, config) = (dir.path().join("state"), dir.path().join("lifeboat.toml"));
    std::fs::create_dir(&state).unwrap();
    // Nothing can stop it: that it does not answer is all that is known.
    let text = configuration(&servers).replace(&stop_lines(&servers.primary), "deadline = \"10s\"");
    std::fs::write(&config, format!("state = \"{}\"\n{text}", state.display())).unwrap();
    let mut lab = Lab::of(&text, dir, state);
    lab.takes_note = false;
    lab.start();
    lab.go("the end", |lab| lab.at().closed.is_some());
    assert_eq!(lab.at().fence_strength(), Some(Strength::Assumed));
    assert!(lab.ended().is_none() && lab.journal.is_held(&lab.run), "it watches");
    lab.kill();
    assert!(!lab.journal.is_held(&lab.run));
    let sshd = Sshd::start();
    let terminal = Terminal::open(&sshd, &lifeboat(&config));
    until("another watcher", || lab.at().epoch.0 == 2);
    servers.primary.start();
    until("the alarm", || !lab.at().alarms.is_empty());
    let (what, _) = lab.at().alarms.remove(0);
    assert!(what.as_str().starts_with("east takes writes again"), "{what}");
    terminal.until_shows("ALARM lab");
    lab.command(Command::Acknowledge { reason: "it is being stopped".to_owned() }).unwrap();
    until("the watcher's end", || !lab.journal.is_held(&lab.run));
    let texts = lab.journal.texts(&lab.run).unwrap();
    verify(texts.iter().map(String::as_str)).unwrap_or_else(|e| panic!("{e}"));
}
