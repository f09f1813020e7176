//! One history for the operators of a host: two users of one group, and a third who is not in it.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const GROUP: u32 = 64_100;

const PLAN: &str = r#"
state = "STATE"
[[plan]]
name = "payments"
tier = 1
strategy = "warm-standby"
objectives = { rpo = "30s", rto = "5m" }
sites = { east = "one", west = "two" }
home = "east"
"#;

/// Runs the program as a user of that number and group, with the mask that most have.
fn run(dir: &Path, user: u32, group: u32, args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={user}"), &format!("--regid={group}"), "--clear-groups", "sh", "-c"]);
    command.arg("umask 022; exec \"$@\"").arg("sh").arg(dir.join("lifeboat")).args(args);
    command.env("LIFEBOAT_CONFIG", dir.join("c.toml")).env("HOME", "/nonexistent").stdin(Stdio::null());
    let out = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn operators_of_one_host_share_a_history_and_others_do_not() {
    let dir = tempfile::tempdir().unwrap();
    mode(dir.path(), 0o755);
    // The program may be built where other users cannot go.
    std::fs::copy(env!("CARGO_BIN_EXE_lifeboat"), dir.path().join("lifeboat")).unwrap();
    let state: PathBuf = dir.path().join("state");
    std::fs::create_dir(&state).unwrap();
    chown(&state, Some(0), Some(GROUP)).unwrap();
    mode(&state, 0o2770);
    std::fs::write(dir.path().join("c.toml"), PLAN.replace("STATE", state.to_str().unwrap())).unwrap();

    for user in [64_101, 64_102] {
        let (code, _, err) = run(dir.path(), user, GROUP, &["check", "-q"]);
        assert_eq!((code, err.as_str()), (3, ""), "as {user}");
    }
    let (code, text, err) = run(dir.path(), 64_102, GROUP, &["export"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["plans"][0]["changes"].as_array().unwrap().len(), 1, "the second user's check found no change");
    for entry in std::fs::read_dir(&state).unwrap() {
        let permissions = entry.unwrap().metadata().unwrap().permissions();
        assert_eq!(permissions.mode() & 0o777, 0o660, "for the group, and nobody else");
    }

    let (code, text, err) = run(dir.path(), 64_103, 64_103, &["check"]);
    assert_eq!(code, 3, "a history that cannot be used costs the past, not the check");
    assert!(text.contains("payments") && err.contains("without history: "), "{text}{err}");
}
