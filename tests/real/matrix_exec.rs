//! The fault matrix of the kinds that run programs: each kind against every way in which a program, and ssh, can fail. What
//! is judged goes into `tests/fixtures/fault-matrix-exec.md`, and must be what stands there: `LIFEBOAT_BLESS=1` writes it
//! anew.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use lifeboat::readiness::{Finding, PlanStatus, worst};

use crate::faults::{Bytes, Server};
use crate::process::with_argument;
use crate::sshd::Sshd;
use crate::watch::Watch;

/// Long enough for an ssh session on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(4);
/// How much later than its timeout a look may be over.
const MARGIN: Duration = Duration::from_millis(750);
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/fault-matrix-exec.md");

/// The kinds, and the keys of their own beside `argv`.
const KINDS: [(&str, &str, &str); 4] = [
    ("command", "command", "area = \"backup\""),
    ("command-json", "command", "area = \"backup\"\nformat = \"json\""),
    ("pgbackrest", "pgbackrest", "stanza = \"main\""),
    ("barman", "barman", "server = \"main\""),
];

/// What a fault is made of.
enum Fault {
    /// This script of the shell, run here; `MARK` in it is a word to find its processes by.
    Here(&'static str),
    /// A program by this name in the test's directory.
    File(&'static str),
    /// This script, run over ssh.
    There(&'static str),
    /// Anything, over an ssh that fails.
    Ssh(Way),
}

/// How ssh fails.
#[derive(Clone, Copy)]
enum Way {
    Refused,
    BlackHole,
    Hangs,
    Other,
    Nobody,
    Stranger,
    NoName,
}

/// Half an answer. A line of text and exit code 0 are a plugin's whole answer: nothing of it can be half.
const HALF: &str = "half an answer";

const FAULTS: [(&str, Fault); 24] = [
    ("missing", Fault::File("none")),
    ("not executable", Fault::File("plain")),
    ("no program", Fault::File("text")),
    ("exit code 1, nothing but an error", Fault::Here("echo 'cannot open the database' >&2; exit 1")),
    ("exit code 2, nothing but an error", Fault::Here("echo 'usage: check --host' >&2; exit 2")),
    ("exit code 77", Fault::Here("echo 'something else'; exit 77")),
    ("exit code 0, not a word", Fault::Here("exit 0")),
    ("killed by a signal", Fault::Here("echo OK; kill -SEGV $$")),
    ("hangs", Fault::Here("exec sleep MARK")),
    ("hangs with children", Fault::Here("sleep MARK & (sleep MARK & sleep MARK) & wait")),
    ("closes its output and hangs", Fault::Here("exec >&- 2>&-; exec sleep MARK")),
    ("floods its output", Fault::Here("exec yes")),
    ("floods its errors", Fault::Here("exec yes >&2")),
    ("garbage", Fault::Here("head -c 4096 /dev/zero")),
    (HALF, Fault::Here("printf '{\"main\": {\"verdict\": \"rea'")),
    ("ssh: nobody listens", Fault::Ssh(Way::Refused)),
    ("ssh: black hole", Fault::Ssh(Way::BlackHole)),
    ("ssh: accepts and hangs", Fault::Ssh(Way::Hangs)),
    ("ssh: another key of the host", Fault::Ssh(Way::Other)),
    ("ssh: no key of the host is known", Fault::Ssh(Way::Nobody)),
    ("ssh: our key is not let in", Fault::Ssh(Way::Stranger)),
    ("ssh: no such host", Fault::Ssh(Way::NoName)),
    ("missing there", Fault::There("exec no-such-program-there")),
    ("cut midway", Fault::There("echo OK; kill -KILL $(ps -o ppid= -p $PPID); sleep 2")),
];

/// The lines of a probe's keys that make this fault.
fn keys(fault: &Fault, dir: &Path, sshd: &Sshd, silent: (u16, u16, u16), mark: &str) -> String {
    let script = |text: &str| format!("argv = [\"sh\", \"-c\", {:?}, \"x\"]", text.replace("MARK", mark));
    let (refused, black_hole, hangs) = silent;
    match fault {
        Fault::Here(text) => script(text),
        Fault::File(name) => format!("argv = [{:?}]", dir.join(name).display().to_string()),
        // The shell of the host's user is what runs it, so it is one that finds no program itself.
        Fault::There("exec no-such-program-there") => format!("argv = [\"no-such-program-there\"]\n{}", sshd.toml()),
        Fault::There(text) => format!("{}\n{}", script(text), sshd.toml()),
        Fault::Ssh(way) => {
            let ssh = match way {
                Way::Refused => sshd.toml_with(refused, "user", "known_hosts"),
                Way::BlackHole => sshd.toml_with(black_hole, "user", "known_hosts"),
                Way::Hangs => sshd.toml_with(hangs, "user", "known_hosts"),
                Way::Other => sshd.toml_with(sshd.port(), "user", "known_other"),
                Way::Nobody => sshd.toml_with(sshd.port(), "user", "known_nobody"),
                Way::Stranger => sshd.toml_with(sshd.port(), "stranger", "known_hosts"),
                Way::NoName => "ssh = \"no-such-host.invalid\"".to_owned(),
            };
            format!("argv = [\"true\"]\n{ssh}")
        }
    }
}

fn plan(name: &str, kind: &str, own: &str, keys: &str) -> String {
    format!(
        "[[plan]]\nname = \"{name}\"\ntier = 1\nstrategy = \"backup-restore\"\nobjectives = {{ rpo = \"26h\", rto = \"8h\" }}\n\
         sites = {{ east = \"home\", west = \"away\" }}\nhome = \"east\"\nrequires = [\"backup\"]\n[[plan.probe]]\n\
         name = \"probe\"\nkind = \"{kind}\"\ninterval = \"1h\"\ntimeout = \"{}s\"\n{own}\n{keys}\n",
        TIMEOUT.as_secs()
    )
}

/// The worst about the probe.
fn cell(status: &PlanStatus) -> String {
    let about: Vec<&Finding> = status.findings.iter().filter(|f| f.probe.is_some()).collect();
    let Some(verdict) = worst(about.iter().map(|f| f.verdict)) else { return "nothing was judged".into() };
    let mut codes: Vec<&str> = about.iter().filter(|f| f.verdict == verdict).map(|f| f.code.as_ref()).collect();
    codes.sort_unstable();
    codes.dedup();
    format!("{verdict}: {}", codes.join(", "))
}

#[test]
fn every_kind_that_runs_programs_against_every_fault() {
    let (dir, sshd) = (tempfile::tempdir().unwrap(), Sshd::start());
    fs::write(dir.path().join("plain"), "#!/bin/sh\necho OK\n").unwrap();
    fs::write(dir.path().join("text"), "\u{7f}words\n").unwrap();
    fs::set_permissions(dir.path().join("text"), fs::Permissions::from_mode(0o755)).unwrap();
    let servers = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let held =
        servers.block_on(async { (Server::refused(), Server::black_hole().await, Server::bytes(Bytes::Hang).await) });
    let silent = (held.0.addr.port(), held.1.addr.port(), held.2.addr.port());
    let mut table = String::from(
        "# Fault matrix of the kinds that run programs\n\nWritten and checked by `tests/real/matrix_exec.rs`: what a probe is \
         judged as, and the code of the reason, when the program that it runs, or the ssh that should run it elsewhere, \
         fails like this. Every look ended within its timeout, and left no process here.\n\n",
    );
    writeln!(table, "| fault | {} |", KINDS.map(|(name, ..)| name).join(" | ")).unwrap();
    writeln!(table, "|---|{}", "---|".repeat(KINDS.len())).unwrap();
    for (i, (fault, what)) in FAULTS.iter().enumerate() {
        // A length of sleep that nobody else sleeps for.
        let mark = format!("{}.{i:03}", 100_000 + std::process::id());
        let keys = keys(what, dir.path(), &sshd, silent, &mark);
        let applies = |name: &str| name != "command" || *fault != HALF;
        let kinds: Vec<_> = KINDS.iter().filter(|(name, ..)| applies(name)).collect();
        let plans: String = kinds.iter().map(|(name, kind, own)| plan(name, kind, own, &keys)).collect();
        let watch = Watch::start(&plans);
        watch.until_looks(fault, TIMEOUT + Duration::from_secs(5), |looks| looks.len() >= kinds.len());
        for look in watch.looks() {
            let took = look.answered.since(look.asked);
            assert!(took <= TIMEOUT + MARGIN, "{fault}, {}: {took:?}", look.lane);
            assert!(look.readings.iter().all(|r| r.value.is_err()), "{fault}, {}: not all are gaps", look.lane);
        }
        let cells = KINDS.map(|(name, ..)| {
            if !applies(name) {
                return "-".to_owned();
            }
            let judged = |s: &PlanStatus| !s.findings.iter().any(|f| f.code == "never-read");
            watch.until(name, "judged", Duration::from_secs(5), judged);
            cell(&watch.newest(name).unwrap())
        });
        writeln!(table, "| {fault} | {} |", cells.join(" | ")).unwrap();
        drop(watch);
        crate::pg::until("no process is left", || with_argument(&mark).is_empty());
    }
    table.push_str("\nWhere a fault cannot occur (-): a line of text and exit code 0 are a plugin's whole answer.\n");
    if std::env::var_os("LIFEBOAT_BLESS").is_some() {
        fs::write(FIXTURE, &table).unwrap();
    }
    let written = fs::read_to_string(FIXTURE).unwrap_or_default();
    assert_eq!(table, written, "what is judged, and what {FIXTURE} says");
}
