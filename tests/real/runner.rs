//! The runner as a process, on a whole failover of real servers: killed before and after each entry that it writes, stopped,
//! on a full disk and on a locked journal, and beside another one.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lifeboat::plan::{Now, SafeText, SiteId};
use lifeboat::runbook::{
    Asker, Cause, Closing, Command, Expected, Moment, Opened, Outcome, Phase, RunId, RunState, RunbookKind, StepIx,
    StepState, decide, expected_words, prompt, verify,
};
use lifeboat::store::{Journal, JournalError, journal, operator};
use lifeboat::{clock, config};
use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};

use super::dns::ZONE;
use super::dns::support::{Bind, SECRET, dig};
use super::pg::{PgPair, until};
use super::steps_postgres::{plan, roles, stop_lines};

const PROGRAM: &str = env!("CARGO_BIN_EXE_lifeboat");
const LIMIT: Duration = Duration::from_secs(150);
/// How long a person waits for what may still be seen by itself.
const PATIENCE: Duration = Duration::from_secs(8);
/// Cases at the same time: each has two servers.
const BESIDE: usize = 2;

fn pause() {
    std::thread::park_timeout(Duration::from_micros(300));
}

/// A run of a failover from a primary that still runs: stop it, promote the standby, move the front door's record, look.
pub(super) struct Lab {
    pub(super) state: PathBuf,
    pub(super) journal: Journal,
    pub(super) run: RunId,
    program: PathBuf,
    pub(super) child: Option<Child>,
    /// Reads beside everybody else.
    watch: Connection,
    /// Since when the run has been where it is, as the person sees it.
    since: (u64, Now),
    /// Whether the person takes note of the run's end.
    pub(super) takes_note: bool,
    _dir: Option<tempfile::TempDir>,
}

/// A pair of PostgreSQL servers, and the zone of the front door that leads to the primary's site.
pub(super) struct Servers {
    pub(super) pair: PgPair,
    bind: Bind,
    dir: tempfile::TempDir,
}

impl std::ops::Deref for Servers {
    type Target = PgPair;

    fn deref(&self) -> &PgPair {
        &self.pair
    }
}

/// The record as it leads to each site.
const EAST: &str = "shop 3 A 192.0.2.10\nshop 3 AAAA 2001:db8:1::10";
const WEST: [(&str, &str); 2] = [("A", "198.51.100.10"), ("AAAA", "2001:db8:2::10")];

pub(super) fn servers() -> Servers {
    let pair = PgPair::start();
    roles(&pair.primary);
    pair.primary.sql("GRANT SELECT ON orders TO lifeboat");
    pair.in_step();
    let bind = Bind::start_keyed(ZONE, EAST, "hmac-sha256", "key failover", None);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("secret"), format!("{SECRET}\n")).unwrap();
    Servers { pair, bind, dir }
}

pub(super) fn configuration(servers: &Servers) -> String {
    let (east, west) = (servers.primary.url("lifeboat"), servers.standby.url("lifeboat"));
    let (door, secret) = (servers.bind.addr, servers.dir.path().join("secret").display().to_string());
    let probes = format!(
        r#"
[[plan.probe]]
name = "rows"
kind = "sql-check"
area = "standby"
at = {{ east = "{east}", west = "{west}" }}
password = {{ command = ["echo", "look"] }}
query = "SELECT count(*) FROM orders"
[[plan.probe]]
name = "front-door"
kind = "dns"
record = "shop.{ZONE}"
answers = {{ east = ["192.0.2.10", "2001:db8:1::10"], west = ["198.51.100.10", "2001:db8:2::10"] }}
servers = ["{door}"]
resolvers = []
max_ttl = "60s"
"#
    );
    let fence = stop_lines(&servers.primary);
    let traffic = format!(
        "via = \"rfc2136\"\nserver = \"{door}\"\nzone = \"{ZONE}\"\ndeadline = \"30s\"\n\
         key = {{ name = \"failover\", algorithm = \"hmac-sha256\", secret = {{ file = \"{secret}\" }} }}"
    );
    let steps = [
        ("postgres-fence", "old-active", fence.as_str()),
        ("postgres-promote", "new-active", "deadline = \"60s\""),
        ("dns-update", "new-active", traffic.as_str()),
        ("sql-check", "new-active", "gives = 0\ndeadline = \"20s\""),
    ];
    plan(&east, &west, &probes, &steps).replace("plan.switchover", "plan.failover")
}

impl Servers {
    /// How often the zone was changed: each change that is made raises its serial by one.
    fn changes(&self) -> u32 {
        let soa = dig(self.bind.addr, ZONE, "SOA");
        let serial = soa.split(' ').nth(2).and_then(|n| n.parse::<u32>().ok());
        serial.unwrap_or_else(|| panic!("no serial: {soa}")) - 1
    }
}

/// How a failover of this configuration's plan is opened.
pub(super) fn opened(configuration: &str) -> Opened {
    let config = config::parse("test.toml", configuration).unwrap_or_else(|e| panic!("{e}"));
    let plan = config.plans[0].id.clone();
    let kind = RunbookKind::Failover;
    Opened {
        plan: plan.clone(),
        kind,
        cause: Cause::Outage,
        reason: SafeText::new("a test"),
        from: SiteId::new("east"),
        to: SiteId::new("west"),
        runbook: config.runbooks[&plan].get(kind).unwrap().clone(),
        pinned: config::pinned(&config, &plan).unwrap(),
        config: config::digest(&config),
        version: SafeText::new("test"),
        t0: Moment { at: clock::now().wall, why: SafeText::new("now") },
        detected: None,
        expected: Expected::default(),
        scope: SafeText::new("this test"),
        after: None,
        practice: false,
    }
}

impl Lab {
    /// A failover of these servers that was opened, and nothing more, in a state directory of its own.
    pub(super) fn open(servers: &Servers) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().to_path_buf();
        Self::open_in(servers, dir, state)
    }

    fn open_in(servers: &Servers, dir: tempfile::TempDir, state: PathBuf) -> Self {
        Self::of(&configuration(servers), dir, state)
    }

    pub(super) fn of(configuration: &str, dir: tempfile::TempDir, state: PathBuf) -> Self {
        let journal = Journal::open(&state).unwrap();
        let run = RunId::new("lab-failover-1");
        journal.open_run(run.clone(), opened(configuration), operator(), None).unwrap();
        Self::join(state, run, Some(dir))
    }

    /// A run that is open already.
    pub(super) fn join(state: PathBuf, run: RunId, dir: Option<tempfile::TempDir>) -> Self {
        let journal = Journal::open(&state).unwrap();
        let program = PathBuf::from(PROGRAM);
        let watch = Connection::open(state.join(journal::FILE)).unwrap();
        Self { state, journal, run, program, child: None, watch, since: (0, clock::now()), takes_note: true, _dir: dir }
    }

    pub(super) fn start(&mut self) {
        let program = self.program.clone();
        self.start_as(Process::new(program));
    }

    /// The same by another program, which gets the runner's arguments.
    pub(super) fn start_as(&mut self, mut command: Process) {
        command.arg("runner").arg(self.run.as_str()).arg("--state").arg(&self.state);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().unwrap());
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child.as_ref().expect("a runner")), signal).unwrap();
    }

    /// SIGKILL, and the end of it.
    pub(super) fn kill(&mut self) {
        let mut child = self.child.take().expect("a runner");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(super) fn ended(&mut self) -> Option<i32> {
        self.child.as_mut()?.try_wait().unwrap().map(|s| s.code().unwrap_or(-1))
    }

    pub(super) fn at(&self) -> RunState {
        self.journal.state(&self.run).unwrap()
    }

    /// How many entries runners have written.
    fn written(&self) -> usize {
        // Cheap, so that whoever waits for an entry is there in time.
        let count = "SELECT count(*) FROM entry WHERE json_extract(text, '$.body.is') IN
            ('tenure', 'shown', 'disarmed', 'intent', 'acted', 'outcome', 'closed', 'released')";
        let written: i64 = self.watch.query_row(count, [], |r| r.get(0)).unwrap();
        usize::try_from(written).unwrap()
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.state.join(format!("runs/{}.log", self.run))).unwrap_or_default()
    }

    pub(super) fn command(&self, command: Command) -> Result<(), String> {
        loop {
            let state = self.at();
            let asker = Asker { now: clock::now(), boot: self.journal.boot(), epoch: None };
            let bodies = decide(&state, command.clone(), asker).map_err(|e| e.to_string())?;
            match self.journal.append(&self.run, state.seq, bodies, &operator(), state.epoch) {
                Ok(_) => return Ok(()),
                Err(JournalError::Moved { .. }) => {}
                Err(e) => return Err(e.to_string()),
            }
        }
    }

    /// What a person does next who wants the run to end well. Whoever is refused looks again a little later.
    pub(super) fn person(&mut self) {
        let state = self.at();
        if self.since.0 != state.seq {
            self.since = (state.seq, clock::now());
        }
        let waited = clock::now().since(self.since.1);
        let again = match state.phase() {
            Phase::Waiting(_) => true,
            Phase::Halted(_, Outcome::Indeterminate) => waited > PATIENCE,
            Phase::Halted(..) => waited > Duration::from_millis(300),
            Phase::Armed(..) => self.approve(&state).is_err() && waited > Duration::from_secs(1),
            Phase::Closed if state.acknowledged.is_none() && self.takes_note => {
                self.command(Command::Acknowledge { reason: "seen".to_owned() }).unwrap();
                false
            }
            Phase::Preflight(..)
            | Phase::Approved(_)
            | Phase::Acting(_)
            | Phase::Stopping
            | Phase::Finished
            | Phase::Closed => false,
        };
        if again && let Some(from) = state.next_step() {
            let to = StepIx::at(state.steps.len() - 1);
            let _refused = self.command(Command::Ask { from, to });
        }
    }

    pub(super) fn approve(&self, state: &RunState) -> Result<(), String> {
        let Some(shown) = &state.shown else { return Err("nothing is shown".to_owned()) };
        let wanted = prompt(&state.opened.runbook, &shown.steps);
        let risks = wanted.risks.iter().map(|(ix, c)| (*ix, c.id.to_string(), expected_words(c))).collect();
        let waived = wanted.advice.iter().map(|(ix, c)| (*ix, c.id.to_string(), "a test".to_owned())).collect();
        self.command(Command::Approve { shown: shown.seq, risks, waived, typed: wanted.challenge })
    }

    /// Goes on until `done`, with a person at it.
    pub(super) fn go(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let begun = clock::now();
        let mut version = 0;
        let mut looked = begun;
        while !done(self) {
            let late = clock::now().since(begun) > LIMIT;
            assert!(!late, "waited in vain for {what}: {:#?}\n{}", self.at(), self.log());
            // A person looks where there is news, and now and then.
            let now = self.journal.version();
            if now != version || clock::now().since(looked) > Duration::from_millis(100) {
                (version, looked) = (now, clock::now());
                self.person();
            }
            pause();
        }
    }

    /// Lets it come to its end.
    pub(super) fn finish(&mut self) {
        self.go("the runner's end", |lab| lab.ended().is_some());
        assert_eq!(self.ended(), Some(0), "{}", self.log());
    }

    /// What must be true whatever happened on the way.
    pub(super) fn judge(&self, servers: &Servers, case: &str) {
        let texts = self.journal.texts(&self.run).unwrap();
        let (state, _) = verify(texts.iter().map(String::as_str)).unwrap_or_else(|e| panic!("{case}: {e}"));
        assert_eq!(state.closed.as_ref().map(|(c, _)| c), Some(&Closing::Completed), "{case}");
        assert!(!self.journal.is_held(&self.run), "{case}");
        for status in &state.steps {
            assert!(matches!(status.state, StepState::Done(_)), "{case}: {:?}", status.state);
        }
        let promoted = servers.standby.log_text().matches("received promote request").count();
        assert_eq!(promoted, 1, "{case}: {:#?}", state.steps);
        assert_eq!(servers.standby.sql("SELECT pg_is_in_recovery()"), "f", "{case}");
        assert!(servers.primary.pid().is_none(), "{case}: the primary was stopped");
        assert_eq!(servers.changes(), 1, "{case}: {:#?}", state.steps);
        for (kind, answer) in WEST {
            assert_eq!(dig(servers.bind.addr, &format!("shop.{ZONE}"), kind), answer, "{case}");
        }
        // No step was begun again after it had been done, and none has two calls behind it.
        for status in &state.steps {
            let called = status.attempts.iter().filter_map(|a| a.acted.as_ref()).filter(|(a, _)| a.left().is_some());
            assert!(called.count() <= 1, "{case}: {:#?}", status.attempts);
        }
    }
}

/// Another process's hold on the whole journal.
fn lock(state: &Path) -> Option<Connection> {
    let other = Connection::open(state.join(journal::FILE)).unwrap();
    other.busy_timeout(Duration::from_millis(100)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").is_ok().then_some(other)
}

/// Which kill: before or after the runner's nth entry.
#[derive(Clone, Copy, Debug)]
enum Kill {
    Before(usize),
    After(usize),
}

/// How a case ended.
#[derive(Debug, PartialEq, Eq)]
enum Case {
    Killed,
    /// The entry was written before it could be kept from that.
    Missed,
    /// The run has no such entry.
    Over,
}

/// Runs a failover, kills its runner there, has another one finish it, and judges.
fn killed(kill: Kill) -> Case {
    let pair = servers();
    let mut lab = Lab::open(&pair);
    lab.start();
    let nth = match kill {
        Kill::Before(n) => n - 1,
        Kill::After(n) => n,
    };
    lab.go("the entry to kill at", |lab| lab.written() >= nth || lab.ended().is_some());
    if lab.ended().is_some() {
        return Case::Over;
    }
    let mut case = Case::Killed;
    if let Kill::Before(_) = kill {
        lab.signal(Signal::STOP);
        // What a person would say first is said.
        lab.person();
        let locked = lock(&lab.state).filter(|_| lab.written() == nth);
        lab.signal(Signal::CONT);
        match locked {
            None => case = Case::Missed,
            Some(locked) => {
                // It has done all that comes before the entry when it cannot write that; a person's word may come first.
                let tried = |log: &str| log.matches("locked by another process").count();
                let before = tried(&lab.log());
                let begun = clock::now();
                loop {
                    if tried(&lab.log()) > before || lab.ended().is_some() {
                        break;
                    }
                    if clock::now().since(begun) > Duration::from_secs(6) {
                        // It waits for a person, who cannot write either: there is no entry of its own next.
                        case = Case::Missed;
                        break;
                    }
                    pause();
                }
                drop(locked);
            }
        }
    }
    lab.kill();
    // A run that is closed needs nobody any more.
    if lab.at().closed.is_none() {
        lab.start();
        lab.finish();
    }
    lab.judge(&pair, &format!("{kill:?}: {case:?}"));
    case
}

/// Each case in turn, two at a time.
fn each(cases: &[Kill]) -> Vec<(Kill, Case)> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some(kill) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
            done.push((*kill, killed(*kill)));
        }
        done
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..BESIDE).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|w| w.join().expect("a case failed")).collect()
    })
}

/// What the runner of an undisturbed failover writes: its tenure, what it shows, intent, act and outcome of the fence, of the
/// promotion and of the change in DNS, the outcome of the check, which is true already, the end, and that it lets go.
const WRITES: usize = 14;

#[test]
fn killed_after_any_entry_it_promotes_and_moves_traffic_at_most_once() {
    let cases: Vec<Kill> = (1..=WRITES).map(Kill::After).collect();
    let done = each(&cases);
    let killed = done.iter().filter(|(_, case)| *case == Case::Killed).count();
    // The last one says that it ends: it may be gone before it is killed.
    assert!(killed >= WRITES - 1, "{done:?}");
}

#[test]
fn killed_before_any_entry_it_promotes_and_moves_traffic_at_most_once() {
    // Without the first two there is nothing to finish: what is not taken and not shown is not approved.
    let cases: Vec<Kill> = (3..=WRITES).map(Kill::Before).collect();
    let mut done = each(&cases);
    for _ in 0..3 {
        let missed: Vec<Kill> = done.iter().filter(|(_, c)| *c == Case::Missed).map(|(k, _)| *k).collect();
        done.retain(|(_, c)| *c != Case::Missed);
        done.extend(each(&missed));
    }
    let killed = done.iter().filter(|(_, case)| *case == Case::Killed).count();
    println!("killed before an entry: {done:?}");
    assert!(killed >= WRITES - 3, "{done:?}");
}

#[test]
fn a_stopped_runner_keeps_the_run_and_a_killed_one_does_not() {
    let pair = servers();
    let mut lab = Lab::open(&pair);
    lab.start();
    // In the middle: the promotion's intent is on disk.
    lab.go("the promotion's intent", |lab| lab.at().steps[1].attempts.len() == 1);
    lab.signal(Signal::STOP);
    let take = || Journal::open(&lab.state).unwrap().take(&lab.run, &operator());
    assert!(matches!(take(), Err(JournalError::Held(_))), "it may act when it wakes");
    // A second process hears the same.
    let mut second = Process::new(PROGRAM);
    second.arg("runner").arg(lab.run.as_str()).arg("--state").arg(&lab.state);
    let out = second.output().unwrap();
    assert_eq!(out.status.code(), Some(70));
    assert!(lab.log().contains("is held by another runner"), "{}", lab.log());
    assert_eq!(lab.at().epoch.0, 1);
    lab.kill();
    assert!(!lab.journal.is_held(&lab.run));
    lab.start();
    lab.finish();
    lab.judge(&pair, "stopped, then killed");
}

#[test]
fn signals_that_end_sessions_do_not_end_it_and_one_that_asks_lets_it_finish_the_step() {
    let pair = servers();
    let mut lab = Lab::open(&pair);
    lab.start();
    lab.go("the promotion's intent", |lab| lab.at().steps[1].attempts.len() == 1);
    lab.signal(Signal::HUP);
    lab.signal(Signal::INT);
    lab.signal(Signal::TERM);
    until("its end", || lab.child.as_mut().unwrap().try_wait().unwrap().is_some());
    assert_eq!(lab.ended(), Some(0));
    let state = lab.at();
    assert_eq!(state.steps[1].state, StepState::Done(Outcome::Succeeded), "{}", lab.log());
    assert!(!state.held);
    lab.start();
    lab.finish();
    lab.judge(&pair, "asked to end");
}

#[test]
fn an_outcome_waits_for_a_locked_journal_and_the_promotion_is_made_once() {
    let pair = servers();
    let mut lab = Lab::open(&pair);
    lab.start();
    lab.go("the promotion's intent", |lab| lab.at().steps[1].attempts.len() == 1);
    let locked = lock(&lab.state).expect("a lock");
    until("the promotion", || pair.standby.sql("SELECT pg_is_in_recovery()") == "f");
    let log = || lab.log();
    until("two tries", || log().matches("locked by another process").count() >= 2);
    assert!(lab.at().steps[1].attempts[0].end.is_none());
    drop(locked);
    lab.finish();
    assert_eq!(lab.at().steps[1].attempts.len(), 1);
    lab.judge(&pair, "locked");
}

/// A small file system in memory, mounted for a test.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path) -> Self {
        fs::create_dir(at).unwrap();
        let status = Process::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "none"]).arg(at).status().unwrap();
        assert!(status.success(), "mount");
        Self(at.to_path_buf())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        Process::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

#[test]
fn a_full_disk_lets_nothing_act_and_an_outcome_waits_for_room() {
    let pair = servers();
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("small");
    let small = Small::mount(&at);
    let mut lab = Lab::open_in(&pair, dir, at.clone());
    lab.start();
    lab.go("the fence's intent", |lab| lab.at().steps[0].attempts.len() == 1);
    let fill = || fs::write(at.join("fill"), vec![0_u8; 4 << 20]);
    assert!(fill().is_err(), "it is full");
    until("the fence", || pair.primary.pid().is_none());
    let full = lab.command(Command::Note { text: "x".repeat(30_000) }).unwrap_err();
    assert!(full.ends_with("no space left"), "{full}");
    assert_eq!(pair.standby.sql("SELECT pg_is_in_recovery()"), "t");
    assert!(lab.at().steps[1].attempts.is_empty(), "nothing was begun without room to say so");
    fs::remove_file(at.join("fill")).unwrap();
    lab.finish();
    lab.judge(&pair, "full");
    drop(small);
}

#[test]
fn what_was_pinned_counts_whatever_became_of_the_program_and_the_configuration() {
    let pair = servers();
    let mut lab = Lab::open(&pair);
    // A copy of the program, which is replaced while it runs, as an upgrade does; and a configuration that is nonsense.
    lab.program = lab.state.join("lifeboat");
    fs::copy(PROGRAM, &lab.program).unwrap();
    lab.start();
    lab.go("the fence", |lab| matches!(lab.at().steps[0].state, StepState::Done(_)));
    let other = lab.state.join("other");
    fs::write(&other, "#!/bin/sh\nexit 3\n").unwrap();
    fs::rename(&other, &lab.program).unwrap();
    lab.kill();
    lab.program = PathBuf::from(PROGRAM);
    let config = lab.state.join("c.toml");
    fs::write(&config, "plan = 7").unwrap();
    let mut command = Process::new(PROGRAM);
    command.arg("runner").arg(lab.run.as_str()).arg("--state").arg(&lab.state).env("LIFEBOAT_CONFIG", &config);
    lab.child = Some(command.spawn().unwrap());
    lab.finish();
    lab.judge(&pair, "pinned");
}

#[test]
fn of_two_that_press_in_two_state_directories_one_promotes() {
    let pair = servers();
    let (mut one, mut two) = (Lab::open(&pair), Lab::open(&pair));
    one.start();
    one.go("what it would do", |lab| lab.written() >= 2);
    // It has the lock at the server, and has not promoted yet.
    one.signal(Signal::STOP);
    two.start();
    let kept_out =
        |lab: &Lab| lab.at().shown.is_some_and(|s| format!("{:?}", s.steps).contains("another lifeboat has"));
    two.go("that the other is there", |lab| kept_out(lab));
    let refused = two.approve(&two.at()).unwrap_err();
    assert!(refused.contains("another lifeboat has"), "{refused}");
    one.signal(Signal::CONT);
    let begun = clock::now();
    while one.ended().is_none() || two.ended().is_none() {
        assert!(clock::now().since(begun) < LIMIT, "{:#?}\n{:#?}", one.at(), two.at());
        one.person();
        two.person();
        pause();
    }
    one.judge(&pair, "one");
    two.judge(&pair, "two");
}

#[test]
fn a_command_that_outlives_its_runner_keeps_the_run_until_it_ends_and_is_not_started_again() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().to_path_buf();
    let (begun, done) = (state.join("begun"), state.join("done"));
    let script = format!("echo x >> {}; sleep 4; touch {}", begun.display(), done.display());
    let command =
        format!("argv = [\"sh\", \"-c\", {script:?}]\ncheck = [\"test\", \"-e\", {done:?}]\ndeadline = \"30s\"");
    let nowhere = |port: u16| format!("postgres://lifeboat@127.0.0.1:{port}/postgres");
    let text = plan(&nowhere(1), &nowhere(2), "", &[("command", "new-active", &command)]);
    let text = text.replace("plan.switchover", "plan.failover").replace("probe = \"db\"\non", "on");
    let mut lab = Lab::of(&text, dir, state);
    lab.start();
    lab.go("the command", |_| begun.exists());
    lab.kill();
    assert!(lab.journal.is_held(&lab.run), "the command has the lock");
    lab.start();
    until("that it is kept out", || lab.child.as_mut().unwrap().try_wait().unwrap().is_some());
    assert_eq!(lab.ended(), Some(70));
    assert!(!done.exists() && lab.log().contains("is held by another runner"), "{}", lab.log());
    until("the command's end", || !lab.journal.is_held(&lab.run));
    assert!(done.exists());
    lab.start();
    lab.finish();
    assert_eq!(fs::read_to_string(&begun).unwrap(), "x\n", "it was run once");
    let state = lab.at();
    assert_eq!((state.steps[0].state, state.steps[0].attempts.len()), (StepState::Done(Outcome::Succeeded), 1));
}

#[test]
fn a_stop_that_outlives_its_runner_keeps_the_run_until_it_ends_and_is_not_begun_again() {
    let servers = servers();
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().to_path_buf();
    let (begun, go) = (state.join("begun"), state.join("go"));
    let lines = stop_lines(&servers.primary);
    let (bin, data) = (servers.primary.bin.display(), servers.primary.data.display());
    let as_postgres = "setpriv --reuid=postgres --regid=postgres --init-groups";
    let script = format!(
        "echo x >> {}; until [ -e {} ]; do sleep 0.05; done; {as_postgres} {bin}/pg_ctl -D {data} -w -m fast stop",
        begun.display(),
        go.display()
    );
    let check = lines.lines().find(|l| l.starts_with("check")).unwrap();
    let slow = format!("stop = [\"sh\", \"-c\", {script:?}]\n{check}\ndeadline = \"40s\"");
    let text = configuration(&servers).replace(&lines, &slow);
    let mut lab = Lab::of(&text, dir, state);
    lab.start();
    lab.go("the command", |_| begun.exists());
    lab.kill();
    assert!(lab.journal.is_held(&lab.run), "the command has the lock");
    lab.start();
    until("that it is kept out", || lab.child.as_mut().unwrap().try_wait().unwrap().is_some());
    assert_eq!(lab.ended(), Some(70));
    assert!(servers.primary.pid().is_some());
    fs::write(&go, "").unwrap();
    until("the command's end", || !lab.journal.is_held(&lab.run));
    lab.start();
    lab.finish();
    assert_eq!(fs::read_to_string(&begun).unwrap(), "x\n", "it was run once");
    lab.judge(&servers, "a stop that outlived its runner");
}

#[test]
fn the_operators_of_a_host_take_over_each_others_runs_and_others_do_not() {
    const GROUP: u32 = 64_100;
    let dir = tempfile::tempdir().unwrap();
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(dir.path(), 0o755);
    let program = dir.path().join("lifeboat");
    fs::copy(PROGRAM, &program).unwrap();
    let state = dir.path().join("state");
    fs::create_dir(&state).unwrap();
    chown(&state, Some(0), Some(GROUP)).unwrap();
    mode(&state, 0o2770);
    let nowhere = |port: u16| format!("postgres://lifeboat@127.0.0.1:{port}/postgres");
    let text = plan(&nowhere(1), &nowhere(2), "", &[("command", "new-active", "argv = [\"true\"]")]);
    let text = text.replace("plan.switchover", "plan.failover").replace("probe = \"db\"\non", "on");
    let mut lab = Lab::of(&text, dir, state);
    let start = |lab: &mut Lab, user: u32, group: u32| {
        let mut command = Process::new("setpriv");
        command.args([&format!("--reuid={user}"), &format!("--regid={group}"), "--clear-groups", "sh", "-c"]);
        command.arg("umask 022; exec \"$@\"").arg("sh").arg(&program).arg("runner").arg(lab.run.as_str());
        command.arg("--state").arg(&lab.state).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        lab.child = Some(command.spawn().unwrap());
    };
    for (user, epoch) in [(64_101, 1), (64_102, 2)] {
        start(&mut lab, user, GROUP);
        until("that it holds the run", || lab.at().epoch.0 == epoch);
        let who = lab.at().runner.map(|r| r.user.to_string()).unwrap_or_default();
        assert!(who.starts_with(&format!("user {user}")), "{who}");
        until("its log", || lab.log().matches("holds the run").count() == usize::try_from(epoch).unwrap());
        lab.kill();
    }
    start(&mut lab, 64_103, 64_103);
    until("that it is turned away", || lab.child.as_mut().unwrap().try_wait().unwrap().is_some());
    assert_eq!((lab.ended(), lab.at().epoch.0), (Some(70), 2));
    for entry in fs::read_dir(lab.state.join("runs")).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o660);
    }
}
