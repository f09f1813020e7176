//! A real pgBackRest with two repositories, one encrypted, of a real primary: healthy, and broken in every way that shows.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lifeboat::plan::Bytes;
use lifeboat::readiness::{Bound, PlanStatus, Verdict};

use crate::doctor;
use crate::lab_faults::url;
use crate::pg::{PgOne, PgPair, give, run};
use crate::sshd::Sshd;
use crate::watch::{Watch, describe, has};

const LIMIT: Duration = Duration::from_secs(90);

pub struct Lab {
    pub pair: PgPair,
    pub dir: tempfile::TempDir,
}

/// As the user who owns the repositories, where the tests run as root.
const AS_POSTGRES: [&str; 4] = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"];

impl Lab {
    pub fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("lifeboat-br-").tempdir_in("/tmp").unwrap();
        give(dir.path(), 0o755);
        let own = dir.path().display();
        let archive = format!("pgbackrest --config={own}/conf --stanza=main archive-push %p");
        let pair = PgPair::with(&format!("archive_mode = on\narchive_command = '{archive}'\n"));
        for name in ["log", "lock", "spool", "repo1", "repo2"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            give(&dir.path().join(name), 0o750);
        }
        let conf = format!(
            "[global]\nrepo1-path={own}/repo1\nrepo1-retention-full=9\nrepo2-path={own}/repo2\nrepo2-retention-full=9\n\
             repo2-cipher-type=aes-256-cbc\nrepo2-cipher-pass=topsecret\nlog-path={own}/log\nlock-path={own}/lock\n\
             spool-path={own}/spool\nstart-fast=y\narchive-timeout=20\n[main]\npg1-path={}\npg1-port={}\n\
             pg1-socket-path={}\npg1-user=postgres\n",
            pair.primary.data.display(),
            pair.primary.port,
            pair.primary.dir.display()
        );
        fs::write(dir.path().join("conf"), conf).unwrap();
        give(&dir.path().join("conf"), 0o640);
        Self { pair, dir }
    }

    fn words(&self) -> Vec<String> {
        let config = format!("--config={}/conf", self.dir.path().display());
        AS_POSTGRES.into_iter().map(str::to_owned).chain(["pgbackrest".to_owned(), config]).collect()
    }

    pub fn run(&self, arguments: &[&str]) {
        let words = self.words();
        run(Command::new(&words[0]).args(&words[1..]).arg("--stanza=main").args(arguments).current_dir("/"));
    }

    /// A plan whose database is watched too, and its stanza with these keys more.
    pub fn plan(&self, name: &str, keys: &str) -> String {
        let stanza = if keys.contains("stanza") { "" } else { "stanza = \"main\"\n" };
        format!(
            "[[plan]]\nname = \"{name}\"\ntier = 1\nstrategy = \"warm-standby\"\nobjectives = {{ rpo = \"30s\", rto = \"5m\" }}\n\
             sites = {{ east = \"home\", west = \"away\" }}\nhome = \"east\"\nrequires = [\"replication\", \"backup\"]\n\
             [[plan.probe]]\nname = \"db\"\nkind = \"postgres\"\ninterval = \"1s\"\ntimeout = \"5s\"\n\
             at = {{ east = \"{}\", west = \"{}\" }}\n[[plan.probe]]\nname = \"repos\"\nkind = \"pgbackrest\"\n\
             interval = \"2s\"\ntimeout = \"15s\"\nargv = {:?}\n{stanza}{keys}\n",
            url(&self.pair.primary, "lifeboat"),
            url(&self.pair.standby, "lifeboat"),
            self.words()
        )
    }

    /// A plan that comes up from these repositories, and has no standby; where its primary is, a probe looks or not.
    fn restores(&self, name: &str, rpo: &str, seen: bool, keys: &str) -> String {
        let db = format!(
            "[[plan.probe]]\nname = \"db\"\nkind = \"postgres\"\ninterval = \"1s\"\ntimeout = \"5s\"\nat = {{ east = \"{}\" }}\n",
            url(&self.pair.primary, "lifeboat")
        );
        format!(
            "[[plan]]\nname = \"{name}\"\ntier = 1\nstrategy = \"backup-restore\"\nobjectives = {{ rpo = \"{rpo}\", rto = \"5m\" }}\n\
             sites = {{ east = \"home\", west = \"away\" }}\nhome = \"east\"\nrequires = [\"backup\"]\n{}\
             [[plan.probe]]\nname = \"repos\"\nkind = \"pgbackrest\"\ninterval = \"2s\"\ntimeout = \"15s\"\nargv = {:?}\n\
             stanza = \"main\"\n{keys}\n",
            if seen { db.as_str() } else { "" },
            self.words()
        )
    }

    /// The newest segment that repository 1 holds, as a file.
    fn segments(&self) -> Vec<PathBuf> {
        let archive = self.dir.path().join("repo1/archive/main");
        let mut all = Vec::new();
        let mut folders = vec![archive];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.file_name().unwrap().to_string_lossy().contains('-') {
                    all.push(path);
                }
            }
        }
        all.sort();
        all
    }

    /// Writes and closes segments.
    pub fn segments_written(&self, count: usize) {
        for _ in 0..count {
            self.pair.primary.sql("SELECT pg_logical_emit_message(false, 'x', 'y')");
            self.pair.primary.sql("SELECT pg_switch_wal()");
        }
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The same plan, looked at once.
fn once(plan: &str) -> String {
    plan.replace("interval = \"2s\"", "interval = \"1h\"")
}

fn shows(watch: &Watch, plan: &str, verdict: Verdict, rule: &str, code: &str) {
    let took = watch.until(plan, code, LIMIT, |s| has(s, verdict, rule, code));
    println!("{plan} {code}: {took:?}");
}

fn area(status: &PlanStatus) -> Option<Verdict> {
    status.area(lifeboat::plan::Area::Backup)
}

#[test]
fn a_stanza_is_told_as_it_is() {
    let (lab, sshd) = (Lab::start(), Sshd::start());
    let key = lab.dir.path().join("wrong.key");
    fs::write(&key, "not the key\n").unwrap();
    let repos = "repos = { 1 = { site = \"east\" }, 2 = { site = \"west\" } }";
    let wrong =
        format!("environment = {{ PGBACKREST_REPO2_CIPHER_PASS = {{ file = {:?} }} }}", key.display().to_string());
    let first = lab.plan("main", repos);
    let none = Watch::start(&first);
    shows(&none, "main", Verdict::NotReady, "pgbackrest.repo", "no-stanza");
    lab.run(&["stanza-create"]);
    shows(&none, "main", Verdict::NotReady, "pgbackrest.repo", "no-backup");
    drop(none);
    lab.run(&["--repo=1", "--type=full", "backup"]);
    lab.run(&["--repo=2", "--type=full", "backup"]);
    lab.run(&["--repo=1", "--type=incr", "backup"]);

    the_doctor_says_what_it_can_see(&lab, &sshd, &wrong);
    let plans = [
        first,
        lab.plan("over-ssh", &sshd.toml()),
        once(&lab.plan("old", "max_age = \"1s\"")),
        once(&lab.plan("wrong-key", &wrong)),
        once(&lab.plan("other", "stanza = \"other\"")),
        once(&lab.plan("few", "min_full = 2")),
        lab.plan("behind", "max_wal_age = \"1s\""),
        once(&lab.plan("three", "repos = { 3 = {} }")),
    ];
    let watch = Watch::start(&plans.concat());
    for plan in ["main", "over-ssh"] {
        watch.until(plan, "ready", LIMIT, |s| s.readiness == Verdict::Ready && area(s) == Some(Verdict::Ready));
        let status = watch.newest(plan).unwrap();
        for (rule, code) in [
            ("pgbackrest.repo", "backup-recent"),
            ("pgbackrest.fulls", "fulls"),
            ("pgbackrest.wal", "wal-continuous"),
            ("pgbackrest.identity", "same-cluster"),
        ] {
            assert!(has(&status, Verdict::Ready, rule, code), "{plan} {code}: {}", describe(&status));
        }
    }
    shows(&watch, "old", Verdict::NotReady, "pgbackrest.repo", "backup-too-old");
    shows(&watch, "wrong-key", Verdict::NotReady, "pgbackrest.repo", "key-does-not-open");
    shows(&watch, "other", Verdict::NotReady, "pgbackrest.repo", "no-stanza");
    shows(&watch, "few", Verdict::Degraded, "pgbackrest.fulls", "few-full-backups");
    shows(&watch, "three", Verdict::NotReady, "pgbackrest.repo", "repo-not-known");

    // The archive goes on, and then a segment in its middle is lost.
    lab.segments_written(3);
    let newest = || lab.segments().len();
    let before = newest();
    crate::pg::until("they are archived", || newest() >= before.max(3));
    watch.until("main", "still ready", LIMIT, |s| area(s) == Some(Verdict::Ready));
    let segments = lab.segments();
    let middle = &segments[segments.len() - 2];
    let aside = lab.dir.path().join("aside");
    fs::rename(middle, &aside).unwrap();
    shows(&watch, "main", Verdict::NotReady, "pgbackrest.wal", "wal-gap");
    fs::rename(&aside, middle).unwrap();
    watch.until("main", "mended", LIMIT, |s| area(s) == Some(Verdict::Ready));

    // What cannot be read is not known; what cannot be read as a whole neither.
    mode(&lab.dir.path().join("repo1"), 0o000);
    shows(&watch, "main", Verdict::Unknown, "pgbackrest.repo", "repo-not-readable");
    mode(&lab.dir.path().join("repo1"), 0o750);
    let index = lab.dir.path().join("repo1/backup/main");
    let names = ["backup.info", "backup.info.copy"];
    let kept = names.map(|n| fs::read(index.join(n)).unwrap());
    names.iter().for_each(|n| fs::write(index.join(n), "garbage\n").unwrap());
    shows(&watch, "main", Verdict::NotReady, "pgbackrest.repo", "repo-broken");
    names.iter().zip(&kept).for_each(|(n, k)| fs::write(index.join(n), k).unwrap());
    mode(&lab.dir.path().join("conf"), 0o000);
    shows(&watch, "main", Verdict::Unknown, "reach", "program-failed");
    mode(&lab.dir.path().join("conf"), 0o640);
    watch.until("main", "readable again", LIMIT, |s| {
        area(s).is_some_and(|v| v != Verdict::Unknown && v != Verdict::NotReady)
    });

    // An archive_command that says yes and does nothing: PostgreSQL sees no failure, the repositories say it.
    lab.pair.primary.sql("ALTER SYSTEM SET archive_command = '/bin/true'");
    lab.pair.primary.sql("SELECT pg_reload_conf()");
    lab.segments_written(6);
    shows(&watch, "behind", Verdict::NotReady, "pgbackrest.wal", "wal-behind");
    assert!(
        !has(&watch.newest("main").unwrap(), Verdict::NotReady, "pgbackrest.wal", "wal-behind"),
        "15 minutes are not over"
    );
}

fn bound(status: &PlanStatus) -> Option<&Bound> {
    status.exposure().map(|e| &e.bound)
}

fn within(bound: Option<&Bound>, seconds: u64) -> bool {
    bound.and_then(Bound::span).is_some_and(|s| s.0 <= Duration::from_secs(seconds))
}

/// What would be lost where a service comes up from its repositories: by the end of the log that would be left.
#[test]
fn what_repositories_hold_bounds_the_loss() {
    let lab = Lab::start();
    lab.run(&["stanza-create"]);
    lab.run(&["--repo=1", "--type=full", "backup"]);
    lab.run(&["--repo=2", "--type=full", "backup"]);
    let foreign = PgOne::start("");
    let apart = "repos = { 1 = { site = \"east\" }, 2 = { site = \"west\" } }";
    let plans = [
        lab.restores("seen", "20s", true, apart),
        lab.restores("alone", "20s", false, apart),
        once(&lab.restores("here", "20s", true, "site = \"east\"")),
        once(&lab.restores("nowhere", "20s", true, "")),
        once(&lab.restores("nightly", "26h", false, apart)),
        once(
            &lab.restores("foreign", "20s", true, apart)
                .replace(&lab.pair.primary.port.to_string(), &foreign.server.port.to_string()),
        ),
    ];
    let watch = Watch::start(&plans.concat());
    // A database that is backed up somewhere else.
    shows(&watch, "foreign", Verdict::NotReady, "pgbackrest.identity", "other-cluster");
    // What goes with the site bounds nothing, nor does what may.
    for (plan, why) in [("here", "would be lost with it"), ("nowhere", "nobody says where repo1 of stanza main is")] {
        let is = |s: &PlanStatus| matches!(bound(s), Some(Bound::Unknown { why: w }) if w.as_str().contains(why));
        watch.until(plan, why, LIMIT, |s| is(s) && has(s, Verdict::Unknown, "exposure", "loss-unknown"));
    }
    watch.until("nightly", "ready", LIMIT, |s| s.readiness == Verdict::Ready && within(bound(s), 3_600));
    let estimate = watch.newest("nightly").unwrap().estimate.clone();
    assert!(estimate.unmeasured.iter().any(|u| u.as_str().contains("no restore measured yet")), "{estimate:?}");

    lab.segments_written(2);
    watch.until("seen", "by the primary's history", LIMIT, |s| {
        matches!(bound(s), Some(Bound::AtMost { .. })) && within(bound(s), 20) && s.readiness == Verdict::Ready
    });
    watch.until("alone", "by the time of the log", LIMIT, |s| {
        matches!(bound(s), Some(Bound::ByContent { .. })) && within(bound(s), 20) && area(s) == Some(Verdict::Ready)
    });

    // The repository elsewhere gets no log any more, the one at home does: what counts is the one that would be left.
    let conf = lab.dir.path().join("conf");
    let text = fs::read_to_string(&conf).unwrap();
    let home_only: String = text.lines().filter(|l| !l.starts_with("repo2")).map(|l| format!("{l}\n")).collect();
    let own = lab.dir.path().join("home-only");
    fs::write(&own, home_only).unwrap();
    give(&own, 0o640);
    let archive = format!("pgbackrest --config={} --stanza=main archive-push %p", own.display());
    lab.pair.primary.sql(&format!("ALTER SYSTEM SET archive_command = '{archive}'"));
    lab.pair.primary.sql("SELECT pg_reload_conf()");
    let before = lab.segments().len();
    lab.segments_written(4);
    crate::pg::until("repository 1 goes on", || lab.segments().len() > before);
    for plan in ["seen", "alone"] {
        watch.until(plan, "above the objective", Duration::from_secs(60), |s| {
            has(s, Verdict::NotReady, "exposure", "loss-above-rpo") && !within(bound(s), 20)
        });
    }
    // And it comes back with the log.
    lab.pair.primary.sql("ALTER SYSTEM RESET archive_command");
    lab.pair.primary.sql("SELECT pg_reload_conf()");
    lab.run(&["--repo=2", "--type=full", "backup"]);
    lab.segments_written(2);
    watch.until("seen", "bounded again", LIMIT, |s| within(bound(s), 20));
}

/// A standby that fetches from a repository holds what that holds, however little of it was replayed.
#[test]
fn an_archive_only_standby_has_what_its_repository_has() {
    let lab = Lab::start();
    lab.run(&["stanza-create"]);
    lab.run(&["--repo=1", "--type=full", "backup"]);
    lab.run(&["--repo=2", "--type=full", "backup"]);
    let standby = &lab.pair.standby;
    let fetch = format!("pgbackrest --config={}/conf --stanza=main archive-get %f %p", lab.dir.path().display());
    standby.sql("ALTER SYSTEM RESET primary_conninfo");
    standby.sql("ALTER SYSTEM RESET primary_slot_name");
    standby.sql(&format!("ALTER SYSTEM SET restore_command = '{fetch}'"));
    standby.sql("ALTER SYSTEM SET recovery_min_apply_delay = '1h'");
    standby.stop("fast");
    standby.start();
    lab.pair.primary.sql("SELECT pg_drop_replication_slot('dr1')");
    let with = |name: &str, site: &str| {
        let repos = format!("repos = {{ 1 = {{ site = \"{site}\" }}, 2 = {{ site = \"{site}\" }} }}");
        lab.plan(name, &repos).replace("kind = \"postgres\"", "kind = \"postgres\"\napply_delay = \"1h\"")
    };
    let watch = Watch::start(&[with("left", "west"), with("lost", "east")].concat());
    lab.pair.primary.sql("CREATE TABLE t AS SELECT 1 AS one");
    lab.segments_written(3);
    watch.until("left", "bounded by the repository", LIMIT, |s| {
        s.exposure().is_some_and(|e| {
            matches!(e.bound, Bound::AtMost { span } if span.0 < Duration::from_secs(15))
                && e.backlog.is_some_and(|b| b > Bytes(1 << 20))
        })
    });
    // The same repository, kept where the primary is, goes with it.
    let (left, lost) = (watch.newest("left").unwrap(), watch.newest("lost").unwrap());
    assert!(
        !within(bound(&lost), 5) || lost.exposure().unwrap().missing > left.exposure().unwrap().missing,
        "{lost:?}"
    );
}

/// What `lifeboat doctor` says of a stanza with backups, here, over ssh, with a wrong key, and of none.
fn the_doctor_says_what_it_can_see(lab: &Lab, sshd: &Sshd, wrong: &str) {
    let plans = [
        lab.plan("here", ""),
        lab.plan("over-ssh", &sshd.toml()),
        lab.plan("wrong-key", wrong),
        lab.plan("other", "stanza = \"other\""),
        lab.plan("unknown-host", &sshd.toml_with(sshd.port(), "user", "known_nobody")),
    ];
    let open = lab.dir.path().join("conf");
    mode(&open, 0o644);
    let (_, found) = doctor::examined(&plans.concat(), &[]);
    mode(&open, 0o640);
    let mine = |plan: &str| found.iter().filter(|f| f.about.starts_with(&format!("{plan}/repos"))).collect::<Vec<_>>();
    let codes = |plan: &str| mine(plan).iter().map(|f| format!("{} {}", f.verdict, f.code)).collect::<Vec<_>>();
    let has =
        |plan: &str, wanted: &str| assert!(codes(plan).iter().any(|c| c == wanted), "{plan} {wanted}: {found:#?}");
    for plan in ["here", "over-ssh"] {
        has(plan, "ready version");
        has(plan, "ready repository");
        let sentences: Vec<&str> = mine(plan).iter().map(|f| f.sentence.as_str()).collect();
        for part in [
            "pgBackRest 2.",
            "repo1 can be read: 2 backups, not encrypted",
            "repo2 can be read: 1 backups, its key opens",
        ] {
            assert!(sentences.iter().any(|s| s.contains(part)), "{part}: {sentences:?}");
        }
    }
    // Its configuration holds the key of repository 2, and everybody could read it.
    has("here", "degraded readable-by-all");
    has("over-ssh", "ready ssh");
    has("over-ssh", "ready host-key");
    has("over-ssh", "ready ssh-key");
    has("wrong-key", "not-ready repository-unreadable");
    has("other", "not-ready no-stanza");
    has("unknown-host", "unknown host-key");
    assert!(!format!("{found:?}").contains("topsecret"));
}
