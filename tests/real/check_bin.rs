//! The real binary, `lifeboat check`, against a real pair: what it prints and what it exits with.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use lifeboat::clock;
use serde_json::Value;

use crate::faults::Server as Fault;
use crate::lab_faults::{configuration, url};
use crate::pg::PgPair;

/// A configuration in a directory of its own, with its state beside it.
struct Bench {
    dir: tempfile::TempDir,
    file: PathBuf,
}

impl Bench {
    fn new(configuration: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("lifeboat-check-").tempdir().unwrap();
        let file = dir.path().join("lifeboat.toml");
        let state = dir.path().join("state");
        fs::write(&file, format!("state = \"{}\"\n{configuration}", state.display())).unwrap();
        Self { dir, file }
    }

    fn of(pair: &PgPair) -> Self {
        Self::new(&configuration(&url(&pair.primary, "lifeboat"), &url(&pair.standby, "lifeboat"), "30s"))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut c = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
        c.arg("--config").arg(&self.file).args(arguments);
        c.env("HOME", self.dir.path()).env_remove("LIFEBOAT_CONFIG").stdin(Stdio::null());
        c
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn check(&self, more: &[&str]) -> (i32, String) {
        let out = self.run(&[&["check"], more].concat());
        let text = String::from_utf8(out.stdout).unwrap();
        let notes = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(notes, "", "progress and notes are for a terminal and for trouble");
        (out.status.code().unwrap(), text)
    }

    fn json(&self) -> (i32, Value) {
        let (code, text) = self.check(&["--format", "json"]);
        (code, serde_json::from_str(&text).unwrap())
    }
}

#[test]
fn ready_with_a_loss_that_was_measured_without_history() {
    let pair = PgPair::start();
    pair.primary.sql("CREATE TABLE t AS SELECT generate_series(1, 1000) AS n");
    let bench = Bench::of(&pair);
    let (code, json) = bench.json();
    assert_eq!(code, 0, "{json:#}");
    assert_eq!((&json["verdict"], &json["exit_code"]), (&"ready".into(), &0.into()));
    let plan = &json["plans"][0];
    assert_eq!((&plan["plan"], &plan["readiness"]), (&"lab".into(), &"ready".into()));
    assert_eq!(plan["situation"]["is"], "normal");
    // An asynchronous standby may always lack a little: that is to be accepted, and how much stands there.
    assert_eq!(plan["gates"]["failover"]["is"], "consent", "{:#}", plan["gates"]);
    assert!(plan["gates"]["failover"]["why"][0].as_str().unwrap().starts_with("lose <= "), "{:#}", plan["gates"]);
    let exposure = &plan["exposures"][0];
    assert_eq!(exposure["bound"], "at-most", "{exposure:#}");
    assert!((0.0..10.0).contains(&exposure["seconds"].as_f64().unwrap()), "{exposure:#}");
    assert!(!plan["findings"].as_array().unwrap().is_empty());

    // With one writer a second look measures it as well, and the text says the same.
    let (code, text) = bench.check(&[]);
    assert_eq!(code, 0, "{text}");
    assert!(text.starts_with("● ready  lab  active: east  RPO now: <="), "{text}");
    assert_eq!(bench.check(&["--quiet"]), (0, String::new()), "nothing to say");
}

#[test]
fn every_verdict_has_its_exit_code_and_says_why_first() {
    let pair = PgPair::start();
    let bench = Bench::of(&pair);
    // Degraded: a slot that nobody uses keeps log on the primary.
    pair.primary.sql("SELECT pg_create_physical_replication_slot('left_over', true)");
    let (code, text) = bench.check(&[]);
    assert_eq!(code, 1, "{text}");
    let second = text.lines().nth(1).unwrap();
    assert!(second.contains("degraded") && second.contains("left_over") && second.contains("->"), "{text}");
    pair.primary.sql("SELECT pg_drop_replication_slot('left_over')");
    assert_eq!(bench.check(&[]).0, 0);

    // Not ready, and what changed since.
    pair.standby.sql("SELECT pg_wal_replay_pause()");
    let (code, text) = bench.check(&[]);
    assert_eq!(code, 2, "{text}");
    assert!(text.lines().nth(1).unwrap().contains("replay is paused in west"), "{text}");
    assert!(text.contains("lab ready -> not ready"), "{text}");
    let (code, quiet) = bench.check(&["--quiet"]);
    assert_eq!(code, 2, "{quiet}");
    assert!(!quiet.contains("● ready"), "{quiet}");
    let (_, json) = bench.json();
    let worst = &json["plans"][0]["findings"][0];
    assert_eq!((&worst["rule"], &worst["code"]), (&"postgres.replay".into(), &"replay-paused".into()), "{worst:#}");
    assert!(worst["next"].as_str().unwrap().contains("pg_wal_replay_resume"), "{worst:#}");
    pair.standby.sql("SELECT pg_wal_replay_resume()");

    // Unknown: the role may not see it.
    let blind = Bench::new(&configuration(&url(&pair.primary, "plain"), &url(&pair.standby, "plain"), "30s"));
    let (code, text) = blind.check(&[]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("pg_monitor"), "{text}");
}

#[test]
fn the_primary_is_gone_and_the_history_says_what_would_be_lost() {
    let pair = PgPair::start();
    let bench = Bench::of(&pair);
    assert_eq!(bench.check(&[]).0, 0);
    pair.primary.stop("immediate");
    let (code, json) = bench.json();
    assert_eq!(code, 2, "{json:#}");
    let plan = &json["plans"][0];
    assert_eq!(plan["situation"]["is"], "primary-down", "{:#}", plan["situation"]);
    assert_eq!(plan["leads"], true);
    let exposure = &plan["exposures"][0];
    assert_eq!((&exposure["bound"], &exposure["growing"]), (&"at-most".into(), &true.into()), "{exposure:#}");
    let gate = &plan["gates"]["failover"]["is"];
    assert!(gate == "go" || gate == "consent", "{:#}", plan["gates"]);
    let (_, text) = bench.check(&[]);
    let lines: Vec<&str> = text.lines().take(3).collect();
    assert!(lines.iter().any(|l| l.contains("situation: primary down")), "{text}");
    assert!(lines.iter().any(|l| l.contains("failover to west: GO")), "{text}");
}

#[test]
fn mistakes_and_what_is_asked_wrongly_exit_above_64() {
    let bench = Bench::new("[[plan]]\nname = \"lab\"\nteir = 1\n");
    let out = bench.run(&["check"]);
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(65), "{said}");
    assert!(out.stdout.is_empty());
    assert!(said.contains("lifeboat.toml:4:1") && said.contains("tier"), "place and nearest name: {said}");

    let missing = Bench::new("");
    fs::remove_file(&missing.file).unwrap();
    assert_eq!(missing.run(&["check"]).status.code(), Some(65));
    assert_eq!(bench.run(&["chek"]).status.code(), Some(64));
    assert_eq!(bench.run(&["check", "--timeout", "0s"]).status.code(), Some(64));
    assert_eq!(bench.run(&["check", "--area", "disk"]).status.code(), Some(64));
    let good = Bench::new(&configuration("postgres://a@127.0.0.1:1/x", "postgres://a@127.0.0.1:2/x", "30s"));
    let out = good.run(&["check", "lba"]);
    assert_eq!(out.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&out.stderr).contains("did you mean \"lab\""));
}

#[test]
fn a_pipe_that_closes_early_is_no_error() {
    let pair = PgPair::start();
    let bench = Bench::of(&pair);
    pair.standby.sql("SELECT pg_wal_replay_pause()");
    let program = env!("CARGO_BIN_EXE_lifeboat");
    for end in ["head -1", "true"] {
        let line =
            format!("'{program}' --config '{}' check | {end}; echo \"code ${{PIPESTATUS[0]}}\"", bench.file.display());
        let out = Command::new("bash").args(["-c", &line]).stdin(Stdio::null()).output().unwrap();
        let (text, notes) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(text.contains("code 2"), "{end}: {text}");
        assert_eq!(notes, "", "{end}");
    }
}

#[test]
fn two_checks_at_once_and_one_beside_a_board() {
    let pair = PgPair::start();
    let bench = Bench::of(&pair);
    let start = || bench.command(&["check", "--format", "json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let both = [start().unwrap(), start().unwrap(), start().unwrap()];
    for child in both {
        let out = child.wait_with_output().unwrap();
        let notes = String::from_utf8_lossy(&out.stderr);
        assert_eq!((out.status.code(), &*notes), (Some(0), ""), "{}", String::from_utf8_lossy(&out.stdout));
        serde_json::from_slice::<Value>(&out.stdout).unwrap();
    }
    // What they kept is whole: the next check finds a check before it.
    assert!(!bench.json().1["plans"][0]["changes"].is_null());
}

#[test]
fn only_an_area_is_judged_by_itself() {
    let pair = PgPair::start();
    let text = configuration(&url(&pair.primary, "lifeboat"), &url(&pair.standby, "lifeboat"), "30s");
    // DNS is required and nobody probes it: the whole is unknown, replication by itself is ready.
    let bench = Bench::new(&text.replace("requires   = [\"replication\"]", "requires   = [\"replication\", \"dns\"]"));
    let (code, text) = bench.check(&[]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("not configured"), "{text}");
    assert_eq!(bench.check(&["--area", "replication"]).0, 0);
    assert_eq!(bench.check(&["--area", "dns"]).0, 3);
    assert_eq!(bench.check(&["--area", "dns", "--area", "replication"]).0, 3);
}

#[test]
fn the_time_of_a_check_is_kept_whatever_hangs() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let holes = runtime.block_on(async { (Fault::black_hole().await, Fault::bytes(crate::faults::Bytes::Hang).await) });
    let at = |f: &Fault| format!("postgres://lifeboat@{}/postgres?sslmode=disable", f.addr);
    let text = configuration(&at(&holes.0), &at(&holes.1), "5m").replace("timeout  = \"1s\"", "timeout  = \"60s\"");
    let bench = Bench::new(&text);
    let start = clock::now();
    let (code, text) = bench.check(&["--timeout", "2s"]);
    let took = clock::now().since(start);
    assert_eq!(code, 3, "{text}");
    assert!(took < Duration::from_millis(3500), "{took:?}");
    assert!(text.contains("? unknown"), "{text}");
}

#[test]
fn a_restart_of_the_primary_or_of_the_standby_is_no_red() {
    let pair = PgPair::start();
    for server in [&pair.primary, &pair.standby] {
        server.conf("wal_retrieve_retry_interval = 5s");
        server.reload();
    }
    let bench = Bench::of(&pair);
    assert_eq!(bench.check(&[]).0, 0);
    for server in [&pair.primary, &pair.standby] {
        server.stop("fast");
        server.start();
        let streams =
            || pair.standby.sql("SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'") == "1";
        let mut looks = 0;
        while !streams() || looks == 0 {
            let (code, text) = bench.check(&["--timeout", "2s"]);
            assert!(code == 0 || (code == 1 && text.contains("just started")), "{code}: {text}");
            looks += 1;
        }
        let (code, text) = bench.check(&[]);
        assert_eq!(code, 0, "{text}");
    }
    // Where the stream does not come back, the grace ends.
    pair.standby.sql("ALTER SYSTEM SET primary_slot_name = 'none'");
    pair.standby.reload();
    crate::pg::until("the missing stream is proof", || bench.check(&["--timeout", "4s"]).0 == 2);
}
