//! The built program's `config` commands and exit codes.

use std::path::Path;
use std::process::{Command, Output, Stdio};

const PLAN: &str = r#"
[[plan]]
name = "payments"
tier = 1
strategy = "warm-standby"
objectives = { rpo = "30s", rto = "5m" }
sites = { east = "one", west = "two" }
home = "east"
"#;

const PROBE: &str = r#"
[[plan.probe]]
name = "front-door"
kind = "dns"
record = "shop.example.com"
answers = { east = ["203.0.113.10"], west = ["198.51.100.10"] }
"#;

fn lifeboat(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
    command.args(args).env_remove("LIFEBOAT_CONFIG").stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn file(dir: &Path, text: &str) -> String {
    let path = dir.join("c.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_configuration_without_mistakes() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), &format!("{PLAN}requires = [\"dns\"]\n{PROBE}"));
    let right = (0, "1 plan, 1 probe: no mistakes\n".to_owned(), String::new());
    assert_eq!(run(&mut lifeboat(&["config", "check", "--config", &path])), right);
    assert_eq!(run(lifeboat(&["config", "check"]).env("LIFEBOAT_CONFIG", &path)), right);
    assert_eq!(run(lifeboat(&["--config", &path, "config", "check"]).env("LIFEBOAT_CONFIG", "/nowhere")), right);
}

#[test]
fn a_theme_of_ones_own_is_checked_with_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), &format!("theme = \"mine\"{PLAN}requires = [\"dns\"]\n{PROBE}"));
    let (code, _, err) = run(&mut lifeboat(&["config", "check", "--config", &path]));
    assert_eq!(code, 65);
    assert!(err.contains("c.toml:1:9: theme: there is no theme \"mine\""), "{err}");
    // What `config theme` prints is a theme; what is spoilt in it is told with its place.
    let (code, text, _) = run(&mut lifeboat(&["config", "theme", "light"]));
    assert_eq!(code, 0);
    std::fs::create_dir(dir.path().join("themes")).unwrap();
    let mine = dir.path().join("themes/mine.toml");
    std::fs::write(&mine, &text).unwrap();
    assert_eq!(run(&mut lifeboat(&["config", "check", "--config", &path])).0, 0);
    std::fs::write(&mine, text.replace("\"#005f00\"", "\"#00\"")).unwrap();
    let (code, _, err) = run(&mut lifeboat(&["config", "check", "--config", &path]));
    assert_eq!(code, 65);
    assert!(
        err.contains("themes/mine.toml:10:6: ready.fg: \"#00\" is no colour") && err.contains("help: write one"),
        "{err}"
    );
}

#[test]
fn what_will_disappoint_is_a_warning_and_no_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let check = |text: &str| run(&mut lifeboat(&["config", "check", "--config", &file(dir.path(), text)]));
    let (code, out, err) = check(PLAN);
    assert_eq!((code, out.as_str()), (0, "1 plan, 0 probes: no mistakes, 1 warning\n"), "{err}");
    assert!(err.starts_with("warning: ") && err.contains(":2:1: plan[payments]: no probe looks at this plan"), "{err}");

    let sites = PLAN.replace("west = \"two\"", "west = \"two\", north = \"three\"");
    let database = r#"
[[plan.probe]]
name = "orders-db"
kind = "postgres"
at = { east = "postgres://lifeboat@192.0.2.1/orders", west = "postgres://lifeboat@192.0.2.2/orders" }
"#;
    let (code, out, err) = check(&format!("{sites}requires = [\"replication\", \"backup\"]\n{database}"));
    assert_eq!((code, out.as_str()), (0, "1 plan, 1 probe: no mistakes, 2 warnings\n"), "{err}");
    assert!(err.contains("plan[payments]: backup is required and has no probe"), "{err}");
    assert!(err.contains("plan[payments].sites.north: no probe looks at anything in north"), "{err}");

    let advice = PROBE.replace("kind = \"dns\"", "kind = \"dns\"\nweight = \"advice\"");
    let (code, _, err) = check(&format!("{PLAN}requires = [\"dns\"]\n{advice}"));
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("dns is required and has probes of weight advice alone"), "{err}");
}

#[test]
fn an_empty_file_is_told_how_plans_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let (code, _, err) = run(&mut lifeboat(&["config", "check", "--config", &file(dir.path(), "")]));
    assert_eq!(code, 65);
    assert!(err.contains("`plan` is missing") && err.contains("help: add `[[plan]]`"), "{err}");
}

#[test]
fn mistakes_end_with_65_and_say_where() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), &PLAN.replace("tier", "teir").replace("\"east\"", "\"esat\""));
    for command in [&["config", "check"][..], &["check"]] {
        let (code, out, err) = run(lifeboat(command).env("LIFEBOAT_CONFIG", &path));
        assert_eq!((code, out.as_str()), (65, ""), "{err}");
        assert!(
            err.contains(&format!("{path}:4:1: plan[payments].teir: unknown key `teir`\n  4 | teir = 1\n")),
            "{err}"
        );
        assert!(err.contains("  help: did you mean `tier`?\n") && err.ends_with("3 mistakes\n"), "{err}");
    }
    let (code, _, err) = run(&mut lifeboat(&["config", "check", "--config", "/nowhere"]));
    assert_eq!(code, 65);
    assert!(err.starts_with("/nowhere: there is no such file\n"), "{err}");
}

#[test]
fn a_command_line_that_makes_no_sense_ends_with_64() {
    for line in [&["chek"][..], &["--read-only", "check"], &["config"], &["check", "--timeout", "0s"], &["replay"]] {
        let (code, out, err) = run(&mut lifeboat(line));
        assert_eq!((code, out.as_str()), (64, ""), "{line:?}: {err}");
        assert!(!err.is_empty());
    }
    for line in [&["--help"][..], &["--version"], &["config", "check", "--help"]] {
        let (code, out, err) = run(&mut lifeboat(line));
        assert_eq!((code, err.as_str()), (0, ""), "{line:?}");
        assert!(!out.is_empty());
    }
}

#[test]
fn the_schema_is_printed_and_a_reader_may_go_away() {
    let (code, out, _) = run(&mut lifeboat(&["config", "schema"]));
    assert_eq!(code, 0);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap(), lifeboat::config::schema());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = lifeboat(&["config", "schema"]).stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = lifeboat(&["config", "schema"]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(70), "a full disk is an error");
}
