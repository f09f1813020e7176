//! A real Barman that streams from a real primary: healthy, and broken in the ways that show.

use std::fs;
use std::process::Command;
use std::time::Duration;

use lifeboat::plan::Area;
use lifeboat::readiness::{Bound, PlanStatus, Verdict};

use crate::doctor;
use crate::lab_faults::url;
use crate::pg::{PgPair, give, run};
use crate::sshd::Sshd;
use crate::watch::{Watch, has};

/// One look is four Python programs, on a machine that may do much else.
const LIMIT: Duration = Duration::from_secs(90);
/// As Barman's own user, where the tests run as root.
const AS_POSTGRES: [&str; 4] = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"];

pub struct Lab {
    pub pair: PgPair,
    pub dir: tempfile::TempDir,
}

impl Lab {
    pub fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("lifeboat-bm-").tempdir_in("/tmp").unwrap();
        give(dir.path(), 0o755);
        let own = dir.path().display();
        let pair = PgPair::with("");
        fs::create_dir(dir.path().join("home")).unwrap();
        give(&dir.path().join("home"), 0o750);
        let to = format!("host=127.0.0.1 port={} user=postgres", pair.primary.port);
        let conf = format!(
            "[barman]\nbarman_user=postgres\nbarman_home={own}/home\nbarman_lock_directory={own}/home\nlog_file={own}/home/log\n\
             configuration_files_directory={own}/none\npath_prefix={}\n[main]\ndescription=lab\nconninfo={to} dbname=postgres\n\
             streaming_conninfo={to}\nbackup_method=postgres\nstreaming_archiver=on\nslot_name=barman\ncreate_slot=auto\n\
             minimum_redundancy=1\nlast_backup_maximum_age=1 DAY\nimmediate_checkpoint=true\n",
            pair.primary.bin.display()
        );
        fs::write(dir.path().join("conf"), conf).unwrap();
        give(&dir.path().join("conf"), 0o640);
        Self { pair, dir }
    }

    fn words(&self) -> Vec<String> {
        let config = ["barman".to_owned(), "-c".to_owned(), format!("{}/conf", self.dir.path().display())];
        AS_POSTGRES.into_iter().map(str::to_owned).chain(config).collect()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let words = self.words();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(arguments).current_dir("/");
        command
    }

    /// A plan that comes up from this server's backups, and has no standby; where its primary is, a probe looks or not.
    fn restores(&self, name: &str, rpo: &str, seen: bool) -> String {
        let db = format!(
            "[[plan.probe]]\nname = \"db\"\nkind = \"postgres\"\ninterval = \"1s\"\ntimeout = \"5s\"\nat = {{ east = \"{}\" }}\n",
            url(&self.pair.primary, "lifeboat")
        );
        format!(
            "[[plan]]\nname = \"{name}\"\ntier = 1\nstrategy = \"backup-restore\"\nobjectives = {{ rpo = \"{rpo}\", rto = \"5m\" }}\n\
             sites = {{ east = \"home\", west = \"away\" }}\nhome = \"east\"\nrequires = [\"backup\"]\n{}\
             [[plan.probe]]\nname = \"barman\"\nkind = \"barman\"\nsite = \"west\"\ninterval = \"2s\"\ntimeout = \"25s\"\n\
             argv = {:?}\nserver = \"main\"\n",
            if seen { db.as_str() } else { "" },
            self.words()
        )
    }

    pub fn plan(&self, name: &str, keys: &str) -> String {
        let server = if keys.contains("server") { "" } else { "server = \"main\"\n" };
        let argv = if keys.contains("argv") { String::new() } else { format!("argv = {:?}\n", self.words()) };
        format!(
            "[[plan]]\nname = \"{name}\"\ntier = 1\nstrategy = \"warm-standby\"\nobjectives = {{ rpo = \"30s\", rto = \"5m\" }}\n\
             sites = {{ east = \"home\", west = \"away\" }}\nhome = \"east\"\nrequires = [\"backup\"]\n\
             [[plan.probe]]\nname = \"db\"\nkind = \"postgres\"\ninterval = \"1s\"\ntimeout = \"5s\"\n\
             at = {{ east = \"{}\", west = \"{}\" }}\n[[plan.probe]]\nname = \"barman\"\nkind = \"barman\"\nsite = \"west\"\n\
             interval = \"2s\"\ntimeout = \"25s\"\n{argv}{server}{keys}\n",
            url(&self.pair.primary, "lifeboat"),
            url(&self.pair.standby, "lifeboat")
        )
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // The receiver is a daemon of Barman's own.
        self.command(&["receive-wal", "--stop", "main"]).output().ok();
    }
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
    status.area(Area::Backup)
}

#[test]
fn a_server_is_told_as_it_is() {
    let (lab, sshd) = (Lab::start(), Sshd::start());
    let first = lab.plan("main", "");
    let none = Watch::start(&first);
    shows(&none, "main", Verdict::NotReady, "barman.backups", "no-backup");
    shows(&none, "main", Verdict::NotReady, "barman.checks", "check-failed");
    drop(none);
    run(&mut lab.command(&["cron"]));
    let slot =
        || lab.pair.primary.sql("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'barman' AND active");
    crate::pg::until("barman receives", || slot() == "1");
    run(&mut lab.command(&["switch-wal", "--force", "--archive", "main"]));
    run(&mut lab.command(&["backup", "--wait", "main"]));
    run(&mut lab.command(&["cron"]));

    // Barman is run by its own user, or by root, who becomes that.
    let conf = format!("{}/conf", lab.dir.path().display());
    let stranger =
        format!("argv = [\"setpriv\", \"--reuid=nobody\", \"--clear-groups\", \"barman\", \"-c\", {conf:?}]");
    let examined = [lab.plan("here", ""), lab.plan("not-known", "server = \"other\""), lab.plan("there", &sshd.toml())];
    let (_, found) = doctor::examined(&examined.concat(), &[]);
    let says = |plan: &str, wanted: &str, words: &str| {
        let mut mine = found.iter().filter(|f| f.about.starts_with(&format!("{plan}/barman")));
        let is = mine.any(|f| format!("{} {}", f.verdict, f.code) == wanted && f.sentence.contains(words));
        assert!(is, "{plan} {wanted} {words}: {found:#?}");
    };
    for plan in ["here", "there"] {
        says(plan, "ready version", "Barman");
        says(plan, "ready server", "its configuration names main, and 1 backups are listed");
    }
    says("here", "ready program", "setpriv is there");
    says("there", "ready host-key", "is checked against");
    says("not-known", "unknown program-failed", "other");

    let plans = [
        first,
        lab.plan("over-ssh", &sshd.toml()),
        once(&lab.plan("old", "max_age = \"1s\"")),
        once(&lab.plan("two", "min_backups = 2")),
        once(&lab.plan("other", "server = \"other\"")),
        once(&lab.plan("stranger", &stranger)),
        lab.plan("behind", "max_wal_age = \"3s\""),
    ];
    let watch = Watch::start(&plans.concat());
    for plan in ["main", "over-ssh"] {
        watch.until(plan, "ready", LIMIT, |s| area(s) == Some(Verdict::Ready));
        let status = watch.newest(plan).unwrap();
        for (rule, code) in
            [("barman.backups", "backup-recent"), ("barman.checks", "check-passed"), ("barman.wal", "wal-kept")]
        {
            assert!(has(&status, Verdict::Ready, rule, code), "{plan}: {}", crate::watch::describe(&status));
        }
    }
    // Barman's receiver streams from the same address as the standby, and is not taken for it.
    let status = watch.newest("main").unwrap();
    assert!(status.findings.iter().any(|f| f.code == "sending"), "{}", crate::watch::describe(&status));
    assert!(!status.findings.iter().any(|f| f.code == "sender-unclear"), "{}", crate::watch::describe(&status));
    shows(&watch, "old", Verdict::NotReady, "barman.backups", "backup-too-old");
    shows(&watch, "two", Verdict::Degraded, "barman.backups", "few-backups");
    shows(&watch, "other", Verdict::Unknown, "reach", "program-failed");
    shows(&watch, "stranger", Verdict::Unknown, "reach", "program-failed");

    // Barman calls a copy that waits for log its latest; it is none yet.
    let base = fs::read_dir(lab.dir.path().join("home/main/base")).unwrap().next().unwrap().unwrap().path();
    let info = base.join("backup.info");
    let done = fs::read_to_string(&info).unwrap();
    for status in ["WAITING_FOR_WALS", "FAILED"] {
        fs::write(&info, done.replace("status=DONE", &format!("status={status}"))).unwrap();
        let waits = |s: &PlanStatus| {
            s.findings.iter().any(|f| f.code == "no-complete-backup" && f.sentence.as_str().contains(status))
        };
        watch.until("main", status, LIMIT, waits);
    }
    fs::write(&info, &done).unwrap();
    watch.until("main", "mended", LIMIT, |s| area(s) == Some(Verdict::Ready));

    // No log comes any more, and the primary goes on.
    run(&mut lab.command(&["receive-wal", "--stop", "main"]));
    crate::pg::until("barman does not receive", || slot() == "0");
    for _ in 0..6 {
        lab.pair.primary.sql("SELECT pg_logical_emit_message(false, 'x', 'y')");
        lab.pair.primary.sql("SELECT pg_switch_wal()");
    }
    shows(&watch, "main", Verdict::Degraded, "barman.checks", "check-failed");
    shows(&watch, "behind", Verdict::NotReady, "barman.wal", "wal-behind");
    assert!(
        !has(&watch.newest("main").unwrap(), Verdict::NotReady, "barman.wal", "wal-behind"),
        "15 minutes are not over"
    );
}

fn bound(status: &PlanStatus) -> Option<&Bound> {
    status.exposure().map(|e| &e.bound)
}

/// What would be lost where a service comes up from Barman: by the end of its log where the primary's history dates it.
#[test]
fn what_barman_holds_bounds_the_loss() {
    const RPO: Duration = Duration::from_secs(60);
    let lab = Lab::start();
    run(&mut lab.command(&["cron"]));
    let slot =
        || lab.pair.primary.sql("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'barman' AND active");
    crate::pg::until("barman receives", || slot() == "1");
    run(&mut lab.command(&["switch-wal", "--force", "--archive", "main"]));
    run(&mut lab.command(&["backup", "--wait", "main"]));
    let plans =
        [lab.restores("seen", "60s", true), lab.restores("alone", "60s", false), lab.restores("nightly", "26h", false)];
    let watch = Watch::start(&plans.concat());
    watch.until_looks("the primary was seen", LIMIT, |l| l.iter().filter(|p| &*p.lane.probe.name == "db").count() > 1);
    run(&mut lab.command(&["switch-wal", "--force", "--archive", "main"]));
    let within = |s: &PlanStatus| matches!(bound(s), Some(Bound::AtMost { span }) if span.0 <= RPO);
    watch.until("seen", "by the primary's history", LIMIT, |s| within(s) && area(s) == Some(Verdict::Ready));
    watch.until("nightly", "the backup alone is enough", LIMIT, |s| {
        matches!(bound(s), Some(Bound::ByContent { .. })) && s.readiness == Verdict::Ready
    });
    // Barman does not say when its log was written: nobody claims that it is recent, nor that it is not.
    watch.until("alone", "not known", RPO + LIMIT, |s| {
        matches!(bound(s), Some(Bound::Unknown { .. })) && has(s, Verdict::Unknown, "exposure", "loss-unknown")
    });

    // No log comes any more, and the primary goes on.
    run(&mut lab.command(&["receive-wal", "--stop", "main"]));
    crate::pg::until("barman does not receive", || slot() == "0");
    for _ in 0..4 {
        lab.pair.primary.sql("SELECT pg_logical_emit_message(false, 'x', 'y')");
        lab.pair.primary.sql("SELECT pg_switch_wal()");
    }
    watch.until("seen", "above the objective", RPO + LIMIT, |s| {
        has(s, Verdict::NotReady, "exposure", "loss-above-rpo") && !within(s)
    });
}
