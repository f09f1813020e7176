//! `lifeboat demo` as a newcomer gets it: in a terminal, by keys alone, from the start to a completed run and its debrief, on a
//! machine whose user has all sorts of things in their environment.

use std::path::{Path, PathBuf};
use std::process::Command;

use portable_pty::CommandBuilder;
use serde_json::Value;

use crate::guided::console::Console;

const PROGRAM: &str = env!("CARGO_BIN_EXE_lifeboat");
const LARGE: (u16, u16) = (40, 120);
const SMALL: (u16, u16) = (24, 80);
/// How fast the practice world goes in these tests: what takes a minute takes seconds.
const SPEED: &str = "10";

/// A user's machine: a home with a configuration, a state and passwords of its own, which no demo may read or touch.
struct User {
    dir: tempfile::TempDir,
}

impl User {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let user = Self { dir };
        std::fs::create_dir_all(user.home().join(".config/lifeboat")).unwrap();
        std::fs::create_dir(user.temporary()).unwrap();
        std::fs::write(user.home().join(".config/lifeboat/config.toml"), "this is no configuration").unwrap();
        std::fs::write(user.home().join(".pgpass"), "*:*:*:*:not-this-one").unwrap();
        std::fs::create_dir(user.home().join(".docker")).unwrap();
        std::fs::write(user.home().join(".docker/config.json"), "neither is this").unwrap();
        user
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    fn temporary(&self) -> PathBuf {
        self.dir.path().join("tmp")
    }

    /// Everything in the home, with what it holds.
    fn belongings(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut out = Vec::new();
        let mut folders = vec![self.home()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let text = std::fs::read(&path).unwrap();
                    out.push((path, text));
                }
            }
        }
        out.sort();
        out
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("HOME", self.home().display().to_string()),
            ("TMPDIR", self.temporary().display().to_string()),
            ("LIFEBOAT_CONFIG", "/nowhere/lifeboat.toml".to_owned()),
            ("XDG_CONFIG_HOME", self.home().join(".config").display().to_string()),
            ("XDG_STATE_HOME", self.home().join("state").display().to_string()),
            ("PGHOST", "db.example.com".to_owned()),
            ("PGPORT", "1".to_owned()),
            ("PGPASSWORD", "not-this-one".to_owned()),
            ("PGSSLMODE", "verify-full".to_owned()),
            ("PGOPTIONS", "-c nonsense=1".to_owned()),
            ("DOCKER_CONFIG", self.home().join(".docker").display().to_string()),
        ]
    }

    /// Starts a demo in a terminal.
    fn demo(&self, size: (u16, u16), arguments: &[&str]) -> Console {
        let mut command = CommandBuilder::new(PROGRAM);
        command.arg("demo");
        command.args(arguments);
        let console = Console::with(command, &self.temporary(), size, &self.environment());
        console.see("PRACTICE: the sites are simulated");
        console
    }

    /// The world's directory, while it lives.
    fn world(&self) -> PathBuf {
        let mut found = std::fs::read_dir(self.temporary()).unwrap().flatten().map(|e| e.path());
        found.next().expect("a world of its own")
    }

    /// What another lifeboat says of the world's runs.
    fn lifeboat(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(PROGRAM);
        command.arg("--config").arg(self.world().join("lifeboat.toml")).args(arguments);
        let out = command.output().unwrap();
        assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    fn export(&self) -> Value {
        let runs: Value = serde_json::from_str(&self.lifeboat(&["runs", "--format", "json"])).unwrap();
        let run = runs[0]["run"].as_str().expect("a run");
        serde_json::from_str(&self.lifeboat(&["runs", "export", run, "--format", "json"])).unwrap()
    }

    /// Nothing of any demo is left: no file, and no process that was started with one.
    fn is_left_alone(&self, before: &[(PathBuf, Vec<u8>)]) {
        let left: Vec<_> = std::fs::read_dir(self.temporary()).unwrap().flatten().map(|e| e.path()).collect();
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(self.belongings(), before, "the user's own");
        let own = self.temporary().display().to_string();
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let words =
            |p: &Path| String::from_utf8_lossy(&std::fs::read(p.join("cmdline")).unwrap_or_default()).into_owned();
        let mut left = processes.map(|p| words(&p.path())).filter(|words| words.contains(&own));
        assert_eq!(left.next(), None);
    }
}

/// The board with every plan judged, the payments ready.
fn ready(console: &Console) {
    console.until("the board, judged", |t| t.contains("payments") && t.contains("mail") && !t.contains("looking"));
    console.until("payments is ready", |t| {
        t.split("payments").nth(1).is_some_and(|row| row.split(' ').take(8).any(|w| w == "ready"))
    });
}

/// Lets an outage of the payments begin, once all is well.
fn begin(console: &mut Console, scenario: &str) {
    ready(console);
    console.press(b":");
    console.type_palette(&format!("practice {scenario}"));
    console.until("the outage", |t| t.contains("PRIMARY UNREACHABLE"));
}

/// From the board to the run, by its key.
fn open(console: &mut Console, key: &[u8]) {
    console.press(b":");
    console.type_palette("plan payments");
    console.see("plan payments");
    console.open_of(key, "payments");
}

/// From the board to the end of a run.
fn run(console: &mut Console, key: &[u8]) -> Vec<Vec<String>> {
    open(console, key);
    console.through()
}

fn debriefed(console: &Console) {
    console.see("DEBRIEF");
    console.until("a debrief", |t| t.contains("scenario ") && t.contains("time to"));
}

#[test]
fn the_loss_of_a_region_from_the_start_to_a_completed_failover() {
    let user = User::new();
    let before = user.belongings();
    let mut console = user.demo(LARGE, &["--scenario", "region-loss", "--speed", SPEED]);
    console.until("the outage, twenty seconds later", |t| t.contains("PRIMARY UNREACHABLE"));
    let typed = run(&mut console, b"F");
    assert!(typed[0].contains(&"assumed fence".to_owned()), "nobody answers: {typed:?}");
    debriefed(&console);
    console.see("PRACTICE");
    let run = user.export();
    assert_eq!((&run["state"], &run["practice"]), (&Value::from("completed"), &Value::from(true)));
    assert_eq!(run["fence"]["strength"], "assumed");
    console.take_note();
    let words = console.quit_saying();
    assert!(words.contains("PRACTICE debrief of") && words.contains("data lost: "), "{words}");
    assert!(words.contains("accepted: \"assumed fence\"") && words.contains("the best possible run: "), "{words}");
    user.is_left_alone(&before);
}

#[test]
fn a_quiet_morning_a_switchover_and_nothing_lost() {
    let user = User::new();
    let mut console = user.demo(LARGE, &["--speed", SPEED]);
    ready(&console);
    run(&mut console, b"S");
    debriefed(&console);
    let run = user.export();
    assert_eq!(run["state"], "completed");
    assert_eq!(run["fence"]["strength"], "blocked");
    console.take_note();
    let words = console.quit_saying();
    assert!(words.contains("data lost: none"), "{words}");
}

#[test]
fn a_runner_that_dies_in_the_promotion_is_followed_by_one_that_looks() {
    let user = User::new();
    let before = user.belongings();
    let mut console = user.demo(LARGE, &["--speed", SPEED]);
    begin(&mut console, "failover-interrupted");
    open(&mut console, b"F");
    console.approve();
    console.approve();
    console.see("NO RUNNER LIVES");
    console.press(b"G");
    console.see("runner lives");
    // Its effect is looked for, and found.
    console.see("step 3 is next");
    console.through();
    let run = user.export();
    assert_eq!(run["state"], "completed");
    let outcomes = outcomes(&run);
    let promotion = outcomes.iter().filter(|o| o.contains("promote the standby")).collect::<Vec<_>>();
    assert!(promotion.iter().any(|o| o.contains("indeterminate")), "{outcomes:?}");
    assert!(promotion.last().is_some_and(|o| o.contains("succeeded")), "{outcomes:?}");
    let intents = of_kind(&run, "intent").iter().filter(|e| e["body"]["attempt"]["step"] == 1).count();
    assert_eq!(intents, 1, "it is promoted once");
    drop(console.quit_saying());
    user.is_left_alone(&before);
}

#[test]
fn home_again() {
    let user = User::new();
    let mut console = user.demo(LARGE, &["--scenario", "failback", "--speed", SPEED]);
    console.until("the board, judged", |t| t.contains("the service runs in west; its home is east"));
    console.press(b":");
    console.type_palette("plan payments");
    console.see("plan payments");
    console.press(b":");
    console.type_palette("failback");
    console.answer_opening("payments");
    console.through();
    debriefed(&console);
    let run = user.export();
    assert_eq!((&run["state"], &run["to"]), (&Value::from("completed"), &Value::from("east")));
    console.take_note();
}

#[test]
fn what_must_not_be_failed_over_says_so() {
    for (scenario, plan, speed, words) in [
        // What is behind is behind in the user's own time.
        ("lag-spike", "payments", "1", "would be lost; the obje"),
        ("false-green", "payments", SPEED, "west receives no log"),
        ("backup-silently-truncated", "mail", SPEED, "is broken"),
        ("images-behind", "payments", SPEED, "is another build"),
        ("dns-ttl-too-high", "payments", SPEED, "longer than the whole RTO"),
        ("bad-data", "payments", SPEED, "and should be 0"),
    ] {
        let user = User::new();
        let mut console = user.demo(LARGE, &["--speed", speed]);
        ready(&console);
        console.press(b":");
        console.type_palette(&format!("practice {scenario}"));
        console.press(b":");
        console.type_palette(&format!("plan {plan}"));
        console.see(&format!("plan {plan}"));
        console.until(&format!("{scenario} is no readiness"), |t| !t.contains("● ready since"));
        // The worst finding, in full.
        console.press(b"g");
        console.until(scenario, |t| t.contains(words));
        console.quit();
    }
}

#[test]
fn bad_data_is_not_failed_over_by_a_reflex() {
    let user = User::new();
    let mut console = user.demo(SMALL, &["--speed", SPEED]);
    ready(&console);
    console.press(b":");
    console.type_palette("practice bad-data");
    console.press(b":");
    console.type_palette("plan payments");
    console.press(b"F");
    console.see("What is wrong?");
    console.press(b"d");
    console.until("why not", |t| t.contains("PRACTICE") && t.contains("carr"));
    console.escape();
    console.until("the plan again", |t| !t.contains("carr"));
    console.quit();
}

#[test]
fn however_it_ends_nothing_is_left() {
    use rustix::process::Signal;
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let user = User::new();
        let before = user.belongings();
        let mut console = user.demo(SMALL, &["--speed", SPEED]);
        begin(&mut console, "region-loss");
        open(&mut console, b"F");
        console.see("runner lives");
        console.signal(signal);
        console.ended();
        user.is_left_alone(&before);
    }
}

#[test]
fn a_runner_ends_with_its_world_even_where_that_is_killed() {
    let user = User::new();
    let mut console = user.demo(SMALL, &["--speed", SPEED]);
    begin(&mut console, "region-loss");
    open(&mut console, b"F");
    console.see("runner lives");
    let pid = user.export()["entries"].as_array().unwrap().iter().find_map(|e| e["body"]["pid"].as_u64()).unwrap();
    assert!(Path::new(&format!("/proc/{pid}")).exists());
    console.signal(rustix::process::Signal::KILL);
    console.ended();
    crate::terminal::wait("the end of the runner", || !Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn served_without_the_board_it_can_be_checked_by_anybody() {
    let user = User::new();
    let mut command = Command::new(PROGRAM);
    command.args(["demo", "--serve", "--speed", SPEED]).envs(user.environment());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    let check = || Command::new(PROGRAM).args(["--config", line.trim(), "check", "payments"]).output().unwrap();
    // On a busy machine a look may come too late; the next one does not.
    let looks: Vec<_> = (0..5).map(|_| check()).collect();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let texts: Vec<String> = looks.iter().map(|l| String::from_utf8_lossy(&l.stdout).into_owned()).collect();
    assert!(texts.iter().all(|t| t.starts_with("PRACTICE: the sites are simulated")), "{texts:?}");
    assert!(looks.iter().any(|l| l.status.code() == Some(0)), "{texts:?}");
    assert!(!Path::new(line.trim()).exists());
}

#[test]
fn a_demo_knows_its_scenarios_and_takes_no_configuration() {
    let run = |arguments: &[&str]| Command::new(PROGRAM).args(arguments).output().unwrap();
    let list = run(&["demo", "--list"]);
    let text = String::from_utf8_lossy(&list.stdout);
    for name in ["healthy", "region-loss", "network-partition", "bad-data", "failback"] {
        assert!(text.lines().any(|l| l == name), "{name}: {text}");
    }
    let wrong = run(&["demo", "--scenario", "region-los"]);
    assert_eq!(wrong.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("did you mean \"region-loss\"?"));
    assert_eq!(run(&["--config", "x.toml", "demo"]).status.code(), Some(64));
    // No directory but its own is ever taken, and none is removed.
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("precious"), "x").unwrap();
    assert_eq!(run(&["demo", "--serve", "--home", dir.path().to_str().unwrap()]).status.code(), Some(70));
    assert!(dir.path().join("precious").exists());
}

#[test]
fn the_same_scenario_with_the_same_seed_gives_the_same() {
    let played = || {
        let user = User::new();
        let mut console = user.demo(LARGE, &["--speed", SPEED, "--seed", "7"]);
        begin(&mut console, "region-loss");
        let typed = run(&mut console, b"F");
        let run = user.export();
        // How much is accepted is a matter of time.
        let mut typed: Vec<Vec<String>> =
            typed.into_iter().map(|all| all.into_iter().map(|t| normal(&t)).collect()).collect();
        // What a busy machine made too old is approved once more.
        typed.dedup();
        (typed, order(&run), outcomes(&run))
    };
    assert_eq!(played(), played());
}

/// A text without its numbers: ports and lengths of time.
fn normal(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit() && *c != '.').collect()
}

fn of_kind<'a>(run: &'a Value, kind: &str) -> Vec<&'a Value> {
    run["entries"].as_array().unwrap().iter().filter(|e| e["body"]["is"] == kind).collect()
}

/// Whether an entry is of an attempt at a step that only looks. Whether what it looks for is there at once, or is waited for,
/// is a matter of time.
fn only_looks(run: &Value, entry: &Value) -> bool {
    let step = entry["body"]["attempt"]["step"].as_u64().and_then(|ix| run["steps"].get(usize::try_from(ix).unwrap()));
    step.is_some_and(|s| ["dns-moved", "clients-moved"].iter().any(|kind| s["kind"] == *kind))
}

/// What the entries are, in order. What is shown anew while somebody reads is shown as often as it takes.
fn order(run: &Value) -> Vec<String> {
    let entries = run["entries"].as_array().unwrap().iter().filter(|e| !only_looks(run, e));
    let kinds = entries.map(|e| {
        let body = &e["body"];
        format!("{} {} {}", body["is"].as_str().unwrap(), body["from"], body["to"]).replace("null", "")
    });
    let mut out: Vec<String> = Vec::new();
    for kind in kinds.filter(|k| !k.starts_with("asked") && !k.starts_with("shown")) {
        match kind.split(' ').next() {
            // With the approval that it takes back.
            Some("disarmed") => drop(out.pop()),
            _ if out.last() == Some(&kind) => {}
            _ => out.push(kind),
        }
    }
    out
}

/// Every attempt's end: the step, and how.
fn outcomes(run: &Value) -> Vec<String> {
    let steps = run["steps"].as_array().unwrap();
    let name =
        |e: &Value| steps[usize::try_from(e["body"]["attempt"]["step"].as_u64().unwrap()).unwrap()]["name"].clone();
    let outcome = |e: &Value| match e["body"]["outcome"].as_str().unwrap() {
        "already-true" if only_looks(run, e) => "succeeded".to_owned(),
        other => other.to_owned(),
    };
    of_kind(run, "outcome").into_iter().map(|e| format!("{}: {}", name(e), outcome(e))).collect()
}
