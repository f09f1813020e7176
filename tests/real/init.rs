//! `lifeboat init` against a real pair: what it writes has no mistakes, and `check` runs it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::doctor;
use crate::lab_faults::url;
use crate::patroni_lab::{self, Lab, Member, Version};
use crate::pg::{PgPair, until};

fn lifeboat(home: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
    command.args(arguments).env("HOME", home).stdin(Stdio::null());
    for variable in ["LIFEBOAT_CONFIG", "XDG_CONFIG_HOME", "XDG_STATE_HOME"] {
        command.env_remove(variable);
    }
    let out = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

#[test]
fn one_address_is_enough_where_the_cluster_names_the_other() {
    let pair = PgPair::start();
    let (primary, standby) = (url(&pair.primary, "lifeboat"), url(&pair.standby, "lifeboat"));
    // From the standby, which says where it streams from.
    let home = tempfile::tempdir().unwrap();
    let (code, _, err) = lifeboat(home.path(), &["init", "--yes", &standby]);
    assert_eq!(code, 0, "{err}");
    assert!(
        err.contains("a standby") && err.contains(&format!("it streams from 127.0.0.1:{}", pair.primary.port)),
        "{err}"
    );
    let (code, out, err) = lifeboat(home.path(), &["config", "check"]);
    assert_eq!((code, out.as_str()), (0, "1 plan, 1 probe: no mistakes\n"), "{err}");
    let (code, out, err) = lifeboat(home.path(), &["check"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("active: home"), "the primary is at home: {out}");

    // A second time nothing is lost.
    let (code, _, err) = lifeboat(home.path(), &["init", "--yes", &standby]);
    assert_eq!(code, 70, "{err}");
    assert!(err.contains("config.toml: is there already; nothing was changed"), "{err}");

    // From the primary, whose standby's port nobody says: both, or a gap to fill in.
    let (code, both, err) = lifeboat(home.path(), &["init", "--yes", "--print", &primary, &standby]);
    assert_eq!(code, 0, "{err}");
    assert!(both.contains("requires   = [\"replication\"]"), "{both}");
    let (code, half, err) = lifeboat(home.path(), &["init", "--yes", "--print", &primary, "--plan", "shop"]);
    assert_eq!(code, 0, "{err}");
    assert!(half.contains("# Seen as a standby: dr1 at 127.0.0.1 (async).") && !half.contains("\nrequires"), "{half}");
    let file = home.path().join("half.toml");
    std::fs::write(&file, half).unwrap();
    let (code, out, _) = lifeboat(home.path(), &["check", "--config", file.to_str().unwrap()]);
    assert_eq!(code, 3, "nothing is looked at, so nothing is ready: {out}");
}

#[test]
fn a_password_is_not_written_and_a_server_that_is_not_there_is_no_obstacle() {
    let home = tempfile::tempdir().unwrap();
    let (code, out, err) = lifeboat(
        home.path(),
        &["init", "--yes", "--print", "postgres://u:hunter2@127.0.0.1:1/orders", "--plan", "my-shop"],
    );
    assert_eq!(code, 0, "{err}");
    assert!(
        err.contains("it cannot be asked: ") && out.contains("password = { env = \"MY_SHOP_DB_PASSWORD\" }"),
        "{out}{err}"
    );
    assert!(!out.contains("hunter2") && !err.contains("hunter2"), "{out}{err}");
    // Questions are for a person.
    let (code, _, err) = lifeboat(home.path(), &["init"]);
    assert_eq!(code, 70);
    assert!(err.contains("--yes takes every default"), "{err}");
}

/// Types these answers at a terminal, one for each question that comes.
fn at_a_terminal(home: &Path, arguments: &str, answers: &[&str]) -> (i32, String) {
    let line = format!("{} init {arguments}", env!("CARGO_BIN_EXE_lifeboat"));
    // It gives the program a terminal of its own, and hands on what is typed.
    let mut script = Command::new("script");
    script.args(["-q", "-e", "-c", &line, "/dev/null"]).env("HOME", home).stdin(Stdio::piped()).stdout(Stdio::piped());
    for variable in ["LIFEBOAT_CONFIG", "XDG_CONFIG_HOME", "XDG_STATE_HOME"] {
        script.env_remove(variable);
    }
    let mut child = script.spawn().expect("script, of the package bsdutils");
    let mut typed = child.stdin.take().unwrap();
    for answer in answers {
        typed.write_all(format!("{answer}\n").as_bytes()).unwrap();
    }
    let out = child.wait_with_output().unwrap();
    drop(typed);
    (out.status.code().unwrap(), String::from_utf8_lossy(&out.stdout).into_owned())
}

#[test]
fn two_clusters_of_patroni_are_found_by_their_rest_api() {
    for version in [Version::Newest, Version::Packaged] {
        let lab = Lab::start(version);
        let rest = |m: &Member| format!("http://127.0.0.1:{}", m.rest);
        let [n1, n2] = &lab.east;
        let [n4, n5] = &lab.west;
        let home = tempfile::tempdir().unwrap();

        // From a replica of each. Nobody made a role yet: the database is written down for later, and says why.
        let (code, out, err) = lifeboat(home.path(), &["init", "--yes", "--print", &rest(n2), &rest(n5)]);
        assert_eq!(code, 0, "{err}");
        let follows = format!("a standby cluster of 127.0.0.1:{}: n4 (standby_leader), n5 (replica)", n1.pg);
        for part in ["takes writes: n1 (leader), n2 (replica)", &follows, "role \"lifeboat\" does not exist"] {
            assert!(err.contains(part) && out.contains(part), "{part}: {err}\n{out}");
        }
        let members = |a: &Member, b: &Member| format!("[\"{}\", \"{}\"]", rest(a), rest(b));
        for part in [
            format!("\nat.home = {}\n", members(n1, n2)),
            format!("\nat.dr = {}\n", members(n4, n5)),
            "\nrequires   = [\"standby\"]\n".to_owned(),
            "\n# kind = \"postgres\"\n".to_owned(),
        ] {
            assert!(out.contains(&part), "{part}: {out}");
        }
        if version == Version::Newest {
            assert!(out.contains("\nname       = \"prod\"\n"), "the service is called as the cluster: {out}");
        }
        assert!(!out.contains(patroni_lab::SECRET), "{out}");

        // By hand, from the standby cluster, whose other site is asked for; with a role that looks.
        n1.sql("CREATE ROLE lifeboat LOGIN IN ROLE pg_monitor");
        let streamed = || n4.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'lifeboat'") == "1";
        until("the standby cluster has the role", streamed);
        let answers = ["ftp://x", &rest(n1), "lifeboat@postgres", "shop", "east", "west", "", "", ""];
        let (code, said) = at_a_terminal(home.path(), &rest(n5), &answers);
        assert_eq!(code, 0, "{said}");
        for part in ["The other site's Patroni", "neither http nor https: http://host:8008", "written: "] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let text = std::fs::read_to_string(home.path().join(".config/lifeboat/config.toml")).unwrap();
        assert!(text.contains(&format!("\nat.east = {}\n", members(n1, n2))), "who takes writes is at home: {text}");
        let (code, out, err) = lifeboat(home.path(), &["config", "check"]);
        assert_eq!((code, out.as_str()), (0, "1 plan, 2 probes: no mistakes\n"), "{err}");
        let (code, out, err) = lifeboat(home.path(), &["check"]);
        assert_eq!(code, 0, "{out}{err}");
        assert!(out.contains("active: east"), "{out}");
        let (code, out, _) = lifeboat(home.path(), &["doctor"]);
        assert_eq!(code, 1, "neither Patroni nor PostgreSQL is encrypted here: {out}");

        // A probe that forgets a member is told of it.
        let few = text.replace(&format!("at.east = {}", members(n1, n2)), &format!("at.east = [\"{}\"]", rest(n1)));
        let (_, found) = doctor::examined(&few, &[]);
        assert_eq!(doctor::line(&found, "cluster", "member-unnamed").sentence.split(" is ").next().unwrap(), {
            format!("n2 at 127.0.0.1:{}", n2.rest)
        });
        let (_, found) = doctor::examined(&text, &[]);
        assert!(!found.iter().any(|f| f.code == "member-unnamed"), "{found:#?}");

        // A member that is away is written all the same, and said.
        n2.kill();
        let (code, out, err) = lifeboat(home.path(), &["init", "--yes", "--print", &rest(n1), &rest(n4)]);
        assert_eq!(code, 0, "{err}");
        let away = format!("n2 at {} does not answer from here", rest(n2));
        assert!(out.contains(&away) && out.contains(&members(n1, n2)), "{out}");
        // Twice the same site.
        let (code, out, err) = lifeboat(home.path(), &["init", "--yes", "--print", &rest(n4), &rest(n5)]);
        assert_eq!(code, 0, "{err}");
        assert!(err.contains("members of one and the same cluster") && out.contains("not known yet"), "{err}{out}");
    }
}

#[test]
fn a_patroni_that_is_not_there_is_no_obstacle_either() {
    let home = tempfile::tempdir().unwrap();
    let (code, out, err) = lifeboat(home.path(), &["init", "--yes", "--print", "http://127.0.0.1:1"]);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("it cannot be asked: "), "{err}");
    assert!(out.contains("# at.home = [\"http://127.0.0.1:1\"]") && !out.contains("\nrequires"), "{out}");
    let file = home.path().join("half.toml");
    std::fs::write(&file, out).unwrap();
    let (code, out, _) = lifeboat(home.path(), &["check", "--config", file.to_str().unwrap()]);
    assert_eq!(code, 3, "nothing is looked at, so nothing is ready: {out}");
}
