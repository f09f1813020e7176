//! The built program's smaller commands: completions, manual page, export, log.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A plan that is looked at where nobody listens, with its secret written inline.
const PLAN: &str = r#"
state = "STATE"
[[plan]]
name = "payments"
tier = 1
strategy = "warm-standby"
objectives = { rpo = "30s", rto = "5m" }
sites = { east = "one", west = "two" }
home = "east"
[[plan.probe]]
name = "orders-db"
kind = "postgres"
at = { east = "postgres://u:hunter2@127.0.0.1:1/o?sslmode=disable", west = "postgres://u@127.0.0.1:2/o?sslmode=disable" }
"#;

fn lifeboat(dir: &Path, args: &[&str]) -> (i32, String, String) {
    let file = dir.join("c.toml");
    let state = dir.join("state");
    std::fs::write(&file, PLAN.replace("STATE", state.to_str().unwrap())).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
    command.args(args).env("LIFEBOAT_CONFIG", &file).env("HOME", dir).env_remove("LIFEBOAT_LOG").stdin(Stdio::null());
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn completions_know_every_command_in_every_shell() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, out, err) = lifeboat(dir.path(), &["completions", shell]);
        assert_eq!((code, err.as_str()), (0, ""), "{shell}");
        for word in ["check", "replay", "export", "completions", "since", "read-only"] {
            assert!(out.contains(word), "{shell}: no {word}");
        }
    }
    // The shell itself takes them.
    let (_, script, _) = lifeboat(dir.path(), &["completions", "bash"]);
    let file = dir.path().join("lifeboat.bash");
    std::fs::write(&file, script).unwrap();
    let ask = "source lifeboat.bash; COMP_WORDS=(lifeboat ch); COMP_CWORD=1; _lifeboat lifeboat ch lifeboat; echo ${COMPREPLY[*]}";
    let said = Command::new("bash").args(["--norc", "-c", ask]).current_dir(dir.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout), "check\n", "{}", String::from_utf8_lossy(&said.stderr));
}

#[test]
fn the_manual_page_has_a_section_for_each_command() {
    let dir = tempfile::tempdir().unwrap();
    let (code, page, err) = lifeboat(dir.path(), &["man"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(page.contains(".TH lifeboat 1"), "{page}");
    for part in ["LIFEBOAT CHECK", "LIFEBOAT CONFIG CHECK", "LIFEBOAT EXPORT", "Exit codes of"] {
        assert!(page.contains(part), "no {part}:\n{page}");
    }
    assert!(page.contains(r"\-\-since"), "{page}");
}

#[test]
fn an_export_has_what_is_declared_and_remembered_and_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let (code, before, err) = lifeboat(dir.path(), &["export"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let json: serde_json::Value = serde_json::from_str(&before).unwrap();
    assert_eq!(json["plans"][0]["last_check"], serde_json::Value::Null);
    assert!(!dir.path().join("state").exists(), "it makes no history");

    assert_eq!(lifeboat(dir.path(), &["check"]).0, 2, "nobody listens there");
    let (code, after, err) = lifeboat(dir.path(), &["export", "payments", "--since", "1h"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let json: serde_json::Value = serde_json::from_str(&after).unwrap();
    let plan = &json["plans"][0];
    assert_eq!((json["schema"].as_u64(), plan["plan"].as_str()), (Some(1), Some("payments")));
    assert_eq!(plan["probes"][0]["looks_at"][0], "east: 127.0.0.1:1");
    assert_eq!(plan["last_check"]["readiness"], "not-ready");
    assert_eq!(plan["changes"][0]["to"], "not-ready");
    assert!(!after.contains("hunter2"), "{after}");

    let (code, out, err) = lifeboat(dir.path(), &["export", "paymnets"]);
    assert_eq!((code, out.as_str()), (64, ""));
    assert!(err.contains("did you mean \"payments\"?"), "{err}");
}

#[test]
fn a_log_goes_to_its_file_and_holds_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let (code, out, err) = lifeboat(dir.path(), &["check", "--log", log.to_str().unwrap(), "--log-level", "debug"]);
    assert_eq!((code, err.as_str()), (2, ""));
    let text = std::fs::read_to_string(&log).unwrap();
    for part in ["started version=", "cannot read lane=payments/orders-db", "looked lane=payments/orders-db", "refused"]
    {
        assert!(text.contains(part), "no {part}:\n{text}");
    }
    assert!(!text.contains("hunter2") && !text.contains('\x1b'), "{text}");
    assert!(!out.contains("cannot read lane"), "{out}");
    assert_eq!(std::fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600);
    let (code, _, err) = lifeboat(dir.path(), &["check", "--log", "/does/not/exist"]);
    assert_eq!(code, 70);
    assert!(err.contains("/does/not/exist: the log cannot be opened"), "{err}");
}
