//! `check`, with a sweep of our own instead of the network.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lifeboat::app::{Memory, Model};
use lifeboat::cli::args::{CheckArgs, Format};
use lifeboat::cli::check::{Sweep, Sweeping, check};
use lifeboat::cli::console::Console;
use lifeboat::clock;
use lifeboat::collect::Past;
use lifeboat::plan::{Area, Plan, PlanId, Span};
use lifeboat::report::Style;
use lifeboat::store;

use super::two_sites::{plan, primary, standby};

/// A network in which the standby of every plan is at this position, and the primary at 1000; or which hangs.
struct Pretend {
    received: u64,
    lanes: &'static [&'static str],
    hangs: bool,
}

const WELL: Pretend = Pretend { received: 1_000, lanes: &["east", "west"], hangs: false };

impl Sweep for Pretend {
    fn sweep<'a>(
        &'a mut self,
        model: &'a mut Model,
        past: &'a mut Past,
        plans: &'a [Arc<Plan>],
        _budget: Duration,
        progress: &'a mut (dyn FnMut(usize, usize) + Send),
    ) -> Sweeping<'a> {
        Box::pin(async move {
            past.join(model).await;
            let mut memories: Vec<Memory> = Vec::new();
            for plan in plans {
                memories.extend(model.polled(standby(plan, "west", clock::now(), 1)));
                memories.extend(model.settle(clock::now()).1);
                for site in self.lanes {
                    let now = clock::now();
                    memories.extend(model.polled(match *site {
                        "east" => primary(plan, "east", now, 1_000),
                        _ => standby(plan, "west", now, self.received),
                    }));
                }
            }
            // Halfway, as a sweep that looks twice: nothing of this is news.
            memories.extend(model.settle(clock::now()).1);
            progress(self.lanes.len(), 2);
            if self.hangs {
                std::future::pending::<()>().await;
            }
            memories
        })
    }
}

fn args(plans: &[&str]) -> CheckArgs {
    CheckArgs {
        plans: plans.iter().map(ToString::to_string).collect(),
        only_plans: Vec::new(),
        areas: Vec::new(),
        format: Format::Text,
        quiet: false,
        timeout: Span::secs(50),
        since: None,
        watch: None,
    }
}

struct Said {
    code: u8,
    out: String,
    err: String,
}

async fn run(args: &CheckArgs, plans: &[Arc<Plan>], state: Option<&Path>, mut sweep: Pretend, terminal: bool) -> Said {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut console = Console { out: &mut out, err: &mut err, style: Style::default(), err_is_terminal: terminal };
    let code = check(args, plans, state, &mut sweep, &mut console).await;
    Said { code, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
}

#[tokio::test]
async fn a_check_says_what_changed_since_the_last_one() {
    let state = tempfile::tempdir().unwrap();
    let plans = [plan("payments")];
    let first = run(&args(&[]), &plans, Some(state.path()), WELL, false).await;
    assert_eq!((first.code, first.err.as_str()), (0, ""), "{}", first.out);
    assert!(
        first.out.starts_with("● ready  payments  active: east") || first.out.starts_with("* ready"),
        "{}",
        first.out
    );
    assert!(!first.out.contains("since 20"), "{}", first.out);
    // The standby has lost what it had.
    let behind = Pretend { received: 1, ..WELL };
    let second = run(&args(&[]), &plans, Some(state.path()), behind, false).await;
    assert_eq!(second.code, 3, "{}", second.out);
    assert!(second.out.contains(": payments ready -> unknown\n"), "{}", second.out);
    assert!(second.out.contains("west: ready (loss-within-rpo) -> unknown (loss-unknown)\n"), "{}", second.out);
    let third = run(&args(&[]), &plans, Some(state.path()), WELL, false).await;
    assert!(third.out.contains(": payments unknown -> ready\n"), "{}", third.out);
    // And the timeline has it too.
    let past = store::open(state.path()).unwrap().history(&[PlanId::new("payments")]).unwrap();
    assert_eq!(past.changes.len(), 3);
    assert_eq!(past.active[&PlanId::new("payments")].0.as_str(), "east");
}

#[tokio::test]
async fn what_earlier_checks_saw_bounds_the_loss() {
    let state = tempfile::tempdir().unwrap();
    let plans = [plan("payments")];
    run(&args(&[]), &plans, Some(state.path()), WELL, false).await;
    // The primary is not looked at any more, so only the history knows where it was.
    let blind = Pretend { lanes: &["west"], hangs: false, received: 1_000 };
    let json = CheckArgs { format: Format::Json, ..args(&[]) };
    let said = run(&json, &plans, Some(state.path()), blind, false).await;
    let value: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let exposure = &value["plans"][0]["exposures"][0];
    assert_eq!(
        (exposure["bound"].as_str(), exposure["growing"].as_bool()),
        (Some("at-most"), Some(true)),
        "{exposure}"
    );
    assert_eq!(value["plans"][0]["situation"]["is"], "primary-unreachable");
    assert_eq!(said.code, 3);
}

#[tokio::test]
async fn what_was_not_read_in_time_is_unknown_and_says_so() {
    let plans = [plan("payments")];
    let slow = CheckArgs { timeout: Span::millis(100), ..args(&[]) };
    let hung = Pretend { lanes: &["west"], hangs: true, received: 1_000 };
    let begun = clock::now();
    let said = run(&slow, &plans, None, hung, true).await;
    assert!(clock::now().since(begun) < Duration::from_secs(5));
    assert_eq!(said.code, 3, "{}", said.out);
    assert!(said.out.contains("db.east.example.com:5432: not read within the 100ms of this check"), "{}", said.out);
    // Progress was shown, and erased at the end; never on standard output.
    assert!(said.err.contains("looking: 1 of 2, "), "{:?}", said.err);
    assert!(said.err.ends_with("\r\x1b[2K"), "{:?}", said.err);
    assert!(!said.out.contains("looking"));
}

#[tokio::test]
async fn a_plan_that_is_not_there_is_a_mistake_of_usage() {
    let plans = [plan("payments"), plan("mail")];
    let said = run(&args(&["paymnets"]), &plans, None, WELL, false).await;
    assert_eq!((said.code, said.out.as_str()), (64, ""));
    assert_eq!(said.err, "lifeboat: no plan \"paymnets\"; did you mean \"payments\"?\n");
    let said = run(&args(&["mail"]), &plans, None, WELL, false).await;
    assert!(said.out.contains("mail") && !said.out.contains("payments"), "{}", said.out);
}

#[tokio::test]
async fn an_area_that_a_plan_does_not_have_is_never_ready() {
    let plans = [plan("payments")];
    let dns = CheckArgs { areas: vec![Area::Dns], ..args(&[]) };
    let said = run(&dns, &plans, None, WELL, false).await;
    assert_eq!((said.code, said.out.as_str()), (3, ""));
    assert_eq!(said.err, "lifeboat: payments: neither requires nor probes dns\n");
    let replication = CheckArgs { areas: vec![Area::Replication], ..args(&[]) };
    assert_eq!(run(&replication, &plans, None, WELL, false).await.code, 0);
}

#[tokio::test]
async fn a_history_that_cannot_be_used_is_said_and_changes_no_verdict() {
    let state = tempfile::tempdir().unwrap();
    std::fs::write(state.path().join(store::FILE), [0x5a; 4_096]).unwrap();
    let said = run(&args(&[]), &[plan("payments")], Some(state.path()), WELL, false).await;
    assert_eq!(said.code, 0, "{}", said.out);
    assert!(said.err.starts_with("lifeboat: without history: "), "{}", said.err);
    assert!(said.err.contains("move it away"), "{}", said.err);
}

struct Gone(io::ErrorKind);

impl Write for Gone {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_reader_that_went_away_is_no_error_and_a_full_disk_is_one() {
    for (kind, code) in [(io::ErrorKind::BrokenPipe, 0), (io::ErrorKind::StorageFull, 70)] {
        let (mut out, mut err, mut sweep) = (Gone(kind), Vec::new(), WELL);
        let mut console = Console { out: &mut out, err: &mut err, style: Style::default(), err_is_terminal: false };
        assert_eq!(check(&args(&[]), &[plan("payments")], None, &mut sweep, &mut console).await, code, "{kind:?}");
        assert_eq!(err.is_empty(), code == 0);
    }
}

/// Not a test by itself: a check that hangs, in a process of its own that a test starts with a directory in the
/// environment.
#[test]
fn hangs_until_it_is_interrupted() {
    let Some(dir) = std::env::var_os("LIFEBOAT_TEST_STATE") else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let hung = Pretend { hangs: true, ..WELL };
    // Progress on a terminal says that the sweep, and so the watch for signals, is under way.
    let code = runtime.block_on(async {
        let (mut out, mut err, mut sweep) = (io::sink(), io::stderr(), hung);
        let mut console = Console { out: &mut out, err: &mut err, style: Style::default(), err_is_terminal: true };
        check(&args(&[]), &[plan("payments")], Some(Path::new(&dir)), &mut sweep, &mut console).await
    });
    std::process::exit(i32::from(code));
}

#[test]
fn an_interrupted_check_keeps_nothing_and_says_by_which_signal() {
    use std::io::Read;
    use std::process::{Command, Stdio};
    for (signal, code) in [(rustix::process::Signal::INT, 130), (rustix::process::Signal::TERM, 143)] {
        let state = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--nocapture", "--exact", "check::hangs_until_it_is_interrupted"])
            .env("LIFEBOAT_TEST_STATE", state.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = Vec::new();
        let mut err = child.stderr.take().unwrap();
        while !String::from_utf8_lossy(&said).contains("looking: 2 of 2") {
            let mut byte = [0];
            assert_eq!(err.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&said));
            said.push(byte[0]);
        }
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code));
        let store = store::open(state.path()).unwrap();
        assert_eq!(store.check_before(&PlanId::new("payments"), "", None).unwrap(), None);
        assert!(store.history(&[PlanId::new("payments")]).unwrap().changes.is_empty());
    }
}

/// A configuration whose only remote is an address of this machine where nobody listens.
fn refused(dir: &Path) -> std::path::PathBuf {
    let path = dir.join("config.toml");
    let text = format!(
        r#"
        here  = "elsewhere"
        state = "{}/state"
        [[plan]]
        name       = "payments"
        tier       = 1
        strategy   = "warm-standby"
        objectives = {{ rpo = "30s", rto = "5m" }}
        sites      = {{ east = "a cloud", west = "another" }}
        home       = "east"
        requires   = ["dns"]
        [[plan.probe]]
        name      = "front-door"
        kind      = "dns"
        record    = "shop.example.com"
        answers   = {{ east = ["203.0.113.10"], west = ["198.51.100.10"] }}
        resolvers = ["127.0.0.1:1"]
        max_ttl   = "60s"
        "#,
        dir.display()
    );
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn the_program_exits_with_the_verdict_also_when_nobody_reads_it() {
    use std::process::{Command, Stdio};
    let dir = tempfile::tempdir().unwrap();
    let config = refused(dir.path());
    let start = |more: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_lifeboat"))
            .arg("--config")
            .arg(&config)
            .args(["check", "--timeout", "20s"])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let read = start(&["--format", "json"]).wait_with_output().unwrap();
    let value: serde_json::Value = serde_json::from_slice(&read.stdout).unwrap();
    assert_eq!((read.status.code(), value["verdict"].as_str()), (Some(3), Some("unknown")), "{value:#}");
    assert_eq!(String::from_utf8(read.stderr).unwrap(), "");
    assert!(value["plans"][0]["changes"].is_null(), "the first check");

    let mut unread = start(&[]);
    drop(unread.stdout.take());
    let unread = unread.wait_with_output().unwrap();
    assert_eq!((unread.status.code(), unread.stderr.as_slice()), (Some(3), &b""[..]));

    let again = start(&["--format", "json"]).wait_with_output().unwrap();
    let value: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(value["plans"][0]["changes"]["what"], serde_json::json!([]), "nothing changed since");
}

#[tokio::test]
async fn since_compares_with_the_check_of_that_time_and_lists_what_was_in_between() {
    let state = tempfile::tempdir().unwrap();
    let plans = [plan("payments")];
    run(&args(&[]), &plans, Some(state.path()), WELL, false).await;
    run(&args(&[]), &plans, Some(state.path()), Pretend { received: 1, ..WELL }, false).await;
    let day = CheckArgs { since: Some(Span::secs(86_400)), ..args(&[]) };
    let said = run(&day, &plans, Some(state.path()), WELL, false).await;
    assert_eq!(said.code, 0, "{}", said.out);
    assert!(said.err.contains("payments: no check is as old as 20"), "{}", said.err);
    // As it was then: no difference; but it was not so all the time.
    assert!(!said.out.contains("since 20"), "{}", said.out);
    assert!(said.out.contains("Z: payments ready -> unknown, "), "{}", said.out);
    let json = CheckArgs { format: Format::Json, ..day };
    let said = run(&json, &plans, Some(state.path()), WELL, false).await;
    let value: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let to: Vec<&str> =
        value["plans"][0]["timeline"].as_array().unwrap().iter().map(|c| c["to"].as_str().unwrap()).collect();
    assert_eq!(to, ["ready", "unknown", "ready"]);
}

#[tokio::test]
async fn watch_prints_the_whole_once_and_then_what_changed() {
    /// Goes bad in the third round and stops the watch in the fifth, by a reader that went away.
    struct Turns(usize);
    impl Sweep for Turns {
        fn sweep<'a>(
            &'a mut self,
            model: &'a mut Model,
            _past: &'a mut Past,
            plans: &'a [Arc<Plan>],
            _budget: Duration,
            _progress: &'a mut (dyn FnMut(usize, usize) + Send),
        ) -> Sweeping<'a> {
            self.0 += 1;
            let received = if self.0 == 3 { 1 } else { 1_000 };
            Box::pin(async move {
                let now = clock::now();
                let mut memories = model.polled(primary(&plans[0], "east", now, 1_000));
                memories.extend(model.polled(standby(&plans[0], "west", now, received)));
                memories
            })
        }
    }
    /// Reads so many prints.
    struct Reads(usize, Vec<String>);
    impl Write for Reads {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            if text.is_empty() {
                return Ok(0);
            }
            if self.0 == 0 {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.0 -= 1;
            self.1.push(String::from_utf8(text.to_vec()).unwrap());
            Ok(text.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let plans = [plan("payments")];
    let (mut out, mut err) = (Reads(3, Vec::new()), Vec::new());
    let mut console = Console { out: &mut out, err: &mut err, style: Style::default(), err_is_terminal: false };
    let often = CheckArgs { watch: Some(Span::millis(10)), format: Format::Json, ..args(&[]) };
    let code = check(&often, &plans, None, &mut Turns(0), &mut console).await;
    assert_eq!((code, out.1.len()), (0, 3), "a line for each look until the reader went away");
    assert!(out.1.iter().all(|l| l.matches('\n').count() == 1), "{:?}", out.1);
    let (mut out, mut err) = (Reads(2, Vec::new()), Vec::new());
    let mut console = Console { out: &mut out, err: &mut err, style: Style::default(), err_is_terminal: false };
    let text = CheckArgs { format: Format::Text, ..often };
    check(&text, &plans, None, &mut Turns(0), &mut console).await;
    assert!(!out.1[0].contains("since 20"), "{}", out.1[0]);
    assert!(out.1[1].contains(": payments ready -> unknown\n"), "{}", out.1[1]);
}
