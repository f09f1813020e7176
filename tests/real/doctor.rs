//! `lifeboat doctor` against a real pair: what it finds where all is well, and each fault by its name.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::lab_faults::{configuration, url};
use crate::pg::PgPair;

/// Runs it on this configuration, and says how it ended.
fn doctor(configuration: &str, arguments: &[&str]) -> (i32, String, String) {
    doctor_with(configuration, arguments, &[])
}

/// The same, with more in its environment.
fn doctor_with(configuration: &str, arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.toml");
    let state = dir.path().join("state");
    std::fs::write(&file, format!("state = \"{}\"\n{configuration}", state.display())).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
    command.arg("--config").arg(&file).arg("doctor").args(arguments).env("HOME", dir.path()).stdin(Stdio::null());
    command.env_remove("SSH_AUTH_SOCK").envs(environment.iter().copied());
    let out = command.output().unwrap();
    assert!(!state.exists(), "it reads only");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

/// One line of what it found.
pub struct Found {
    /// The probe that it is about, and where.
    pub about: String,
    /// `ready`, `degraded`, ...
    pub verdict: String,
    /// What it is called.
    pub code: String,
    /// One sentence.
    pub sentence: String,
    /// What to do.
    pub next: String,
}

impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} {}: {} -> {}", self.about, self.verdict, self.code, self.sentence, self.next)
    }
}

/// Everything that it found of this configuration, and its exit code.
pub fn examined(configuration: &str, environment: &[(&str, &str)]) -> (i32, Vec<Found>) {
    let (code, out, err) = doctor_with(configuration, &["--format", "json"], environment);
    assert_eq!(err, "");
    let json: Value = serde_json::from_str(&out).unwrap();
    let line = |l: &Value| {
        let text = |key: &str| l[key].as_str().unwrap_or_default().to_owned();
        let (about, verdict, code) = (text("about"), text("verdict"), text("code"));
        Found { about, verdict, code, sentence: text("sentence"), next: text("next") }
    };
    (code, json["examined"].as_array().unwrap().iter().map(line).collect())
}

/// Of one probe, what is not as it should be: its codes.
pub fn faults_of<'a>(found: &'a [Found], probe: &str) -> Vec<&'a str> {
    of(found, probe).filter(|f| f.verdict != "ready").map(|f| f.code.as_str()).collect()
}

/// Of one probe, everything.
pub fn of<'a>(found: &'a [Found], probe: &str) -> impl Iterator<Item = &'a Found> {
    let about = format!("/{probe} ");
    found.iter().filter(move |f| format!("{} ", f.about).contains(&about))
}

/// The one line of a probe with this code.
pub fn line<'a>(found: &'a [Found], probe: &str, code: &str) -> &'a Found {
    of(found, probe).find(|f| f.code == code).unwrap_or_else(|| panic!("{probe}: no {code} in {found:#?}"))
}

/// The codes of everything that is not as it should be.
fn faults(configuration: &str) -> (i32, Vec<(String, String)>) {
    let (code, out, err) = doctor(configuration, &["--format", "json", "--quiet"]);
    assert_eq!(err, "");
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["exit_code"], code);
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let lines = json["examined"].as_array().unwrap().iter();
    (code, lines.map(|l| (text(&l["code"]), text(&l["next"]))).collect())
}

#[test]
fn a_pair_is_examined_and_each_missing_privilege_is_named_with_its_grant() {
    let pair = PgPair::start();
    let of = |role: &str| configuration(&url(&pair.primary, role), &url(&pair.standby, role), "30s");

    // All is well but what the lab does not have: TLS.
    let (code, out, err) = doctor(&of("lifeboat"), &[]);
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    for part in
        ["PostgreSQL 15.", "looks as lifeboat, which is no superuser", "agree within 1 s", "has all that looking needs"]
    {
        assert_eq!(out.matches(part).count(), 2, "{part}: {out}");
    }
    let (_, found) = faults(&of("lifeboat"));
    assert_eq!(found.iter().map(|(code, _)| code.as_str()).collect::<Vec<_>>(), ["not-encrypted"; 2], "{found:?}");

    // A role that has nothing.
    pair.primary.sql("CREATE ROLE poor LOGIN");
    pair.in_step();
    let (code, found) = faults(&of("poor"));
    assert_eq!(code, 2, "{found:?}");
    for grant in ["GRANT pg_monitor TO \"poor\"", "GRANT EXECUTE ON FUNCTION pg_ls_archive_statusdir() TO \"poor\""] {
        assert!(found.iter().any(|(code, next)| code == "privilege-missing" && next.starts_with(grant)), "{found:?}");
    }
    // What it says helps.
    pair.primary.sql("GRANT pg_monitor TO \"poor\"");
    pair.in_step();
    assert_eq!(faults(&of("poor")).0, 1);

    // A superuser is more than looking needs; a password that ends soon.
    pair.primary.sql("CREATE ROLE boss SUPERUSER LOGIN VALID UNTIL 'tomorrow'");
    pair.in_step();
    let (code, found) = faults(&of("boss"));
    assert_eq!(code, 1);
    for code in ["superuser", "expires-soon"] {
        assert!(found.iter().any(|(c, _)| c == code), "{code}: {found:?}");
    }

    // A server that is not there, and a role that is not.
    assert_eq!(faults(&of("nobody-of-that-name")).0, 3);
    pair.standby.stop("fast");
    let (code, found) = faults(&of("lifeboat"));
    assert_eq!(code, 2);
    assert!(found.iter().any(|(c, _)| c == "refused"), "{found:?}");
}
