//! Backups in files: what pg_dump and the compressors really write, whole and broken. What every fault is judged as goes
//! into `tests/fixtures/fault-matrix-backup-files.md`, and must be what stands there: `LIFEBOAT_BLESS=1` writes it anew.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use lifeboat::clock;
use lifeboat::readiness::{Finding, PlanStatus, Verdict, worst};
use serde_json::Value;

use crate::pg::{PgOne, run};
use crate::process::with_argument;
use crate::watch::{Watch, describe, has};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/fault-matrix-backup-files.md");
const HOUR: u64 = 3_600;

fn ago(seconds: u64) -> SystemTime {
    SystemTime::from(clock::now().wall) - Duration::from_secs(seconds)
}

/// Dates a file, or everything in a directory dump.
fn date(path: &Path, when: SystemTime) {
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|e| date(&e.unwrap().path(), when));
    }
    File::open(path).unwrap().set_modified(when).unwrap();
}

/// Real dumps of one database, each a file or a directory that was made once and is copied where it is needed.
pub struct Dumps {
    dir: tempfile::TempDir,
}

impl Dumps {
    pub fn make() -> Self {
        let pg = PgOne::start("");
        // Of what does not shrink, so that a flipped bit hits data.
        pg.server
            .sql("CREATE TABLE t AS SELECT n, md5(n::text) || md5((n * 7)::text) AS x FROM generate_series(1, 4000) n");
        let dir = tempfile::Builder::new().prefix("lifeboat-dumps-").tempdir_in("/tmp").unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let dump = |more: &[&str]| {
            let mut c = Command::new("pg_dump");
            c.args(["-h", "127.0.0.1", "-p", &pg.server.port.to_string(), "-U", "postgres", "postgres"]).args(more);
            run(&mut c)
        };
        dump(&["-Fc", "-f", &path("custom")]);
        dump(&["-Ft", "-f", &path("pgtar")]);
        dump(&["-Fd", "-f", &path("directory")]);
        dump(&["-Fp", "-f", &path("plain")]);
        for (program, out) in [("gzip", "gzip"), ("zstd", "zstd"), ("xz", "xz"), ("bzip2", "bzip2"), ("lz4", "lz4")] {
            let out = File::create(dir.path().join(out)).unwrap();
            let input = File::open(dir.path().join("plain")).unwrap();
            assert!(Command::new(program).arg("-c").stdin(input).stdout(out).status().unwrap().success(), "{program}");
        }
        run(Command::new("tar").arg("-C").arg(dir.path()).args(["-cf", &path("tar"), "directory"]));
        // A pipe that broke: a sound gzip of half a dump.
        let plain = fs::read(dir.path().join("plain")).unwrap();
        fs::write(dir.path().join("half"), &plain[..plain.len() / 2]).unwrap();
        run(Command::new("gzip").arg(path("half")));
        // What a dump of a server that is gone leaves behind a pipe without pipefail.
        let script = format!("pg_dump -h 127.0.0.1 -p 1 x 2>/dev/null | gzip > {}", path("dead"));
        run(Command::new("sh").args(["-c", &script]));
        Self { dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Copies one to a place, as it was made so many seconds ago.
    pub fn put(&self, name: &str, to: &Path, seconds: u64) {
        if self.path(name).is_dir() {
            run(Command::new("cp").arg("-r").arg(self.path(name)).arg(to));
        } else {
            fs::copy(self.path(name), to).unwrap();
        }
        date(to, ago(seconds));
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }
}

pub fn write(path: &Path, bytes: &[u8], seconds: u64) {
    fs::write(path, bytes).unwrap();
    date(path, ago(seconds));
}

/// The first two thirds.
fn cut(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len() * 2 / 3);
    bytes
}

/// One bit in the middle is another one.
fn flipped(mut bytes: Vec<u8>) -> Vec<u8> {
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    bytes
}

const HEADER: &str = "here = \"elsewhere\"\n";

/// A plan of its own for one directory.
pub fn plan(name: &str, dir: &Path, more: &str) -> String {
    let pattern = if more.contains("chain =") || more.contains("pattern =") { "" } else { "pattern = \"b*\"\n" };
    format!(
        "[[plan]]\nname = \"{name}\"\ntier = 1\nstrategy = \"backup-restore\"\nobjectives = {{ rpo = \"26h\", rto = \"8h\" }}\n\
         sites = {{ east = \"home\", west = \"away\" }}\nhome = \"east\"\nrequires = [\"backup\"]\n\
         [[plan.probe]]\nname = \"files\"\nkind = \"backup-files\"\nsite = \"west\"\nlocation = \"{}\"\nmax_age = \"26h\"\n\
         interval = \"1s\"\ntimeout = \"10s\"\n\
         {pattern}{more}\n",
        dir.display()
    )
}

/// Everything was looked at, and nothing is being read any more.
fn settled(status: &PlanStatus) -> bool {
    let pending = |f: &Finding| matches!(f.code.as_ref(), "never-read" | "not-read-yet" | "reading");
    !status.findings.iter().any(pending)
}

fn cell(status: &PlanStatus) -> String {
    let verdict = worst(status.findings.iter().map(|f| f.verdict)).unwrap();
    let mut codes: Vec<&str> =
        status.findings.iter().filter(|f| f.verdict == verdict).map(|f| f.code.as_ref()).collect();
    codes.sort_unstable();
    codes.dedup();
    format!("{verdict}: {}", codes.join(", "))
}

const DECODE: &str = "decode = \"newest\"";

/// What makes a directory faulty, given the dumps; and the probe's options beside the usual ones.
type Make = fn(&Dumps, &Path);

#[rustfmt::skip]
const FAULTS: &[(&str, &str, &str, Make)] = &[
    ("no directory", "it is not there", "", |_, d| fs::remove_dir(d).unwrap()),
    ("a file instead", "the location is no directory", "", |_, d| { fs::remove_dir(d).unwrap(); fs::write(d, "x").unwrap(); }),
    ("empty directory", "as a mount point without its mount", "", |_, _| {}),
    ("no match", "other files only", "", |c, d| c.put("custom", &d.join("other"), HOUR)),
    ("too old", "27 hours, of 26", "", |c, d| c.put("custom", &d.join("b"), 27 * HOUR)),
    ("in the future", "written by a clock that is a day ahead", "", |c, d| {
        c.put("custom", &d.join("b1"), HOUR);
        c.put("custom", &d.join("b2"), 0);
        date(&d.join("b2"), SystemTime::from(clock::now().wall) + Duration::from_secs(86_400));
    }),
    ("another time zone", "names tell a time two hours after the last write", "pattern = \"b_{%Y%m%d%H%M}\"", |c, d| {
        let named = (clock::now().wall + chrono::TimeDelta::hours(1)).format("b_%Y%m%d%H%M").to_string();
        c.put("custom", &d.join(named), HOUR);
    }),
    ("empty file", "0 bytes", "", |_, d| write(&d.join("b"), b"", HOUR)),
    ("too small", "below min_size", "min_size = \"1GiB\"", |c, d| c.put("custom", &d.join("b"), HOUR)),
    ("shrunk", "half of the one before", "", |c, d| {
        write(&d.join("b1"), &[c.bytes("plain"), c.bytes("plain")].concat(), 2 * HOUR);
        c.put("plain", &d.join("b2"), HOUR);
    }),
    ("still written", "written to a moment ago, and no other", "", |c, d| c.put("custom", &d.join("b"), 0)),
    ("being copied", "b.partial beside b", "", |c, d| { c.put("custom", &d.join("b"), HOUR); fs::write(d.join("b.partial"), "x").unwrap(); }),
    ("an error instead", "pg_dump's complaint in a file called .gz", "pattern = \"*.gz\"", |_, d| write(&d.join("b.gz"), b"pg_dump: error: connection failed\n", HOUR)),
    ("gzip of nothing", "pg_dump of a dead server, piped into gzip", "pattern = \"*.gz\"", |c, d| c.put("dead", &d.join("b.gz"), HOUR)),
    ("wrong extension", "plain SQL called .gz", "pattern = \"*.gz\"", |c, d| c.put("plain", &d.join("b.gz"), HOUR)),
    ("plain, truncated", "no last line", "", |c, d| write(&d.join("b"), &cut(c.bytes("plain")), HOUR)),
    ("tar, truncated", "of pg_dump -Ft", "", |c, d| write(&d.join("b"), &cut(c.bytes("pgtar")), HOUR)),
    ("xz, truncated", "", "", |c, d| write(&d.join("b"), &cut(c.bytes("xz")), HOUR)),
    ("lz4, truncated", "", "", |c, d| write(&d.join("b"), &cut(c.bytes("lz4")), HOUR)),
    ("directory without toc.dat", "pg_dump -Fd that did not end", "", |c, d| {
        c.put("directory", &d.join("b"), 0);
        fs::remove_file(d.join("b/toc.dat")).unwrap();
        date(&d.join("b"), ago(HOUR));
    }),
    ("zeros", "what a crash leaves of a file that was not synced", "", |_, d| write(&d.join("b"), &[0; 100_000], HOUR)),
    ("custom, truncated", "read in full", DECODE, |c, d| write(&d.join("b"), &cut(c.bytes("custom")), HOUR)),
    ("custom, a bit flipped", "read in full", DECODE, |c, d| write(&d.join("b"), &flipped(c.bytes("custom")), HOUR)),
    ("directory, a file truncated", "read in full", DECODE, |c, d| {
        c.put("directory", &d.join("b"), 0);
        let data = fs::read_dir(d.join("b")).unwrap().map(|e| e.unwrap().path()).find(|p| p.extension().is_some_and(|e| e == "gz")).unwrap();
        fs::write(&data, cut(fs::read(&data).unwrap())).unwrap();
        date(&d.join("b"), ago(HOUR));
    }),
    ("gzip, truncated", "read in full", DECODE, |c, d| {
        // Its last bytes could be a trailer; where they could not, that alone tells.
        let mut bytes = cut(c.bytes("gzip"));
        bytes.truncate(bytes.len() - 4);
        write(&d.join("b"), &[&bytes[..], &200_000_u32.to_le_bytes()].concat(), HOUR);
    }),
    ("gzip, a bit flipped", "read in full", DECODE, |c, d| write(&d.join("b"), &flipped(c.bytes("gzip")), HOUR)),
    ("gzip of half a dump", "read in full; the gzip itself is sound", DECODE, |c, d| c.put("half.gz", &d.join("b"), HOUR)),
    ("zstd, truncated", "read in full", DECODE, |c, d| write(&d.join("b"), &cut(c.bytes("zstd")), HOUR)),
    ("zstd, a bit flipped", "read in full", DECODE, |c, d| write(&d.join("b"), &flipped(c.bytes("zstd")), HOUR)),
    ("bzip2, truncated", "read in full", DECODE, |c, d| write(&d.join("b"), &cut(c.bytes("bzip2")), HOUR)),
    ("bzip2, a bit flipped", "read in full", DECODE, |c, d| write(&d.join("b"), &flipped(c.bytes("bzip2")), HOUR)),
    ("xz, a bit flipped", "read in full", DECODE, |c, d| write(&d.join("b"), &flipped(c.bytes("xz")), HOUR)),
    ("lz4, a bit flipped", "read in full", DECODE, |c, d| write(&d.join("b"), &flipped(c.bytes("lz4")), HOUR)),
    ("encrypted", "to be read in full, which nobody here can", DECODE, |_, d| write(&d.join("b"), b"age-encryption.org/v1\n-> X", HOUR)),
    ("no full backup", "an incremental one alone", "chain = { full = \"f*\", incremental = \"i*\" }", |c, d| c.put("custom", &d.join("i"), HOUR)),
    ("a part without its full one", "beside a chain that is whole", "chain = { full = \"f*\", incremental = \"i*\" }", |c, d| {
        c.put("custom", &d.join("i1"), 3 * HOUR);
        c.put("custom", &d.join("f2"), 2 * HOUR);
    }),
    ("too few", "one, of two to keep", "keep = 2", |c, d| c.put("custom", &d.join("b"), HOUR)),
    ("a link that leads nowhere", "beside a good backup", "", |c, d| { c.put("custom", &d.join("b1"), HOUR); symlink("gone", d.join("b2")).unwrap(); }),
    ("a pipe", "called like a backup, beside a good one", "", |c, d| { c.put("custom", &d.join("b1"), HOUR); run(Command::new("mkfifo").arg(d.join("b2"))); }),
    ("never restored", "no marker", "restore_proof = \"DIR/proof\"", |c, d| c.put("custom", &d.join("b"), HOUR)),
    ("restored long ago", "32 days, of 31", "restore_proof = \"DIR/proof\"", |c, d| { c.put("custom", &d.join("b"), HOUR); write(&d.join("proof"), b"", 32 * 24 * HOUR); }),
    ("a marker of nonsense", "", "restore_proof = \"DIR/proof\"", |c, d| { c.put("custom", &d.join("b"), HOUR); write(&d.join("proof"), b"yes", HOUR); }),
];

const HEAD: &str = "# Fault matrix: backup-files\n\n\
    Written and checked by `tests/real/backup_files.rs`: what a directory of backups is judged as, and the code of the \
    reason. Dumps are those of a real pg_dump, compressed by the real programs.\n\n\
    | fault | judged | what it is |\n|---|---|---|\n";

#[test]
fn every_fault_is_named_and_none_is_green() {
    let dumps = Dumps::make();
    let lab = tempfile::Builder::new().prefix("lifeboat-backups-").tempdir_in("/tmp").unwrap();
    let mut configuration = String::from(HEADER);
    for (i, (_, _, options, make)) in FAULTS.iter().enumerate() {
        let dir = lab.path().join(format!("d{i}"));
        fs::create_dir(&dir).unwrap();
        make(&dumps, &dir);
        configuration.push_str(&plan(&format!("p{i}"), &dir, &options.replace("DIR", &dir.display().to_string())));
    }
    let watch = Watch::start(&configuration);
    let mut table = String::from(HEAD);
    for (i, (fault, what, ..)) in FAULTS.iter().enumerate() {
        let id = format!("p{i}");
        watch.until(&id, fault, Duration::from_secs(60), settled);
        writeln!(table, "| {fault} | {} | {what} |", cell(&watch.newest(&id).unwrap())).unwrap();
    }
    writeln!(table, "| no permission | {} | a directory that this user may not read |", no_permission()).unwrap();
    for line in table.lines().filter(|l| l.starts_with("| ")).skip(1) {
        assert!(!line.contains("| ready:"), "a false green: {line}");
    }
    if std::env::var_os("LIFEBOAT_BLESS").is_some() {
        fs::write(FIXTURE, &table).unwrap();
    }
    assert!(
        table == fs::read_to_string(FIXTURE).unwrap_or_default(),
        "the matrix is not what {FIXTURE} says:\n{table}"
    );
}

/// The real binary, without root's right to read everything.
fn no_permission() -> String {
    let lab = tempfile::Builder::new().prefix("lifeboat-backups-").tempdir_in("/tmp").unwrap();
    let dir = lab.path().join("closed");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o000)).unwrap();
    let (_, json) =
        check(lab.path(), &plan("p", &dir, ""), &["setpriv", "--bounding-set=-dac_override,-dac_read_search"]);
    let findings = json["plans"][0]["findings"].as_array().unwrap();
    let worst = &findings[0];
    assert!(worst["sentence"].as_str().unwrap().ends_with("closed: permission denied"), "{worst:#}");
    assert!(!worst["next"].as_str().unwrap().contains("GRANT"), "{worst:#}");
    format!("{}: {}", worst["verdict"].as_str().unwrap(), worst["code"].as_str().unwrap())
}

fn check(lab: &Path, plans: &str, through: &[&str]) -> (i32, Value) {
    let file = lab.join("lifeboat.toml");
    fs::write(&file, format!("state = \"{}\"\n{HEADER}{plans}", lab.join("state").display())).unwrap();
    let lifeboat = env!("CARGO_BIN_EXE_lifeboat");
    let mut c = match through {
        [] => Command::new(lifeboat),
        [program, arguments @ ..] => {
            let mut c = Command::new(program);
            c.args(arguments).arg(lifeboat);
            c
        }
    };
    c.arg("--config").arg(&file).args(["check", "--format", "json"]).env("HOME", lab).stdin(Stdio::null());
    let out = c.output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    let json =
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}{}", String::from_utf8_lossy(&out.stderr)));
    (out.status.code().unwrap(), json)
}

/// Every format, whole: ready, and read to its end.
#[test]
fn whole_backups_of_every_format_are_ready() {
    let dumps = Dumps::make();
    let lab = tempfile::Builder::new().prefix("lifeboat-backups-").tempdir_in("/tmp").unwrap();
    let formats = [
        ("custom", "b.dump", "pg_dump custom"),
        ("pgtar", "b.tar", "tar"),
        ("tar", "b.tar", "tar"),
        ("directory", "b.dir", "pg_dump directory"),
        ("plain", "b.sql", "plain SQL"),
        ("gzip", "b.sql.gz", "gzip"),
        ("zstd", "b.sql.zst", "zstd"),
        ("xz", "b.sql.xz", "xz"),
        ("bzip2", "b.sql.bz2", "bzip2"),
        ("lz4", "b.sql.lz4", "lz4"),
    ];
    let mut configuration = String::from(HEADER);
    for (format, name, _) in formats {
        let dir = lab.path().join(format);
        fs::create_dir(&dir).unwrap();
        dumps.put(format, &dir.join(name), HOUR);
        configuration.push_str(&plan(format, &dir, DECODE));
    }
    // Several members and frames, one of which is to be skipped (RFC 8878 section 3.1.2), as parallel tools write them.
    let many = lab.path().join("many");
    fs::create_dir(&many).unwrap();
    let plain = dumps.bytes("plain");
    fs::write(many.join("one"), &plain[..plain.len() / 2]).unwrap();
    fs::write(many.join("two"), &plain[plain.len() / 2..]).unwrap();
    for program in ["gzip", "zstd"] {
        let [one, two] =
            ["one", "two"].map(|part| Command::new(program).arg("-c").arg(many.join(part)).output().unwrap().stdout);
        let skipped: &[u8] = if program == "zstd" { &[0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9] } else { b"" };
        let dir = lab.path().join(format!("many-{program}"));
        fs::create_dir(&dir).unwrap();
        write(&dir.join("b"), &[&one, skipped, &two].concat(), HOUR);
        configuration.push_str(&plan(&format!("many-{program}"), &dir, DECODE));
    }
    let watch = Watch::start(&configuration);
    for (plan, is) in formats.iter().map(|(f, _, is)| (*f, *is)).chain([("many-gzip", "gzip"), ("many-zstd", "zstd")]) {
        watch.until(plan, "read", Duration::from_secs(60), settled);
        let status = watch.newest(plan).unwrap();
        assert_eq!(status.readiness, Verdict::Ready, "{plan}: {}", describe(&status));
        assert!(has(&status, Verdict::Ready, "backup-files.decode", "read"), "{plan}: {}", describe(&status));
        let form = status.findings.iter().find(|f| f.rule.as_str() == "backup-files.form").unwrap();
        assert!(form.sentence.as_str().contains(&format!(" is {is} and ")), "{}", form.sentence);
    }
}

/// A night's dump from its first byte to its end: the one before is judged until then, and the new one is read.
#[test]
fn a_dump_that_grows_is_judged_when_it_is_written() {
    let dumps = Dumps::make();
    let lab = tempfile::Builder::new().prefix("lifeboat-backups-").tempdir_in("/tmp").unwrap();
    let dir = lab.path().join("d");
    fs::create_dir(&dir).unwrap();
    dumps.put("custom", &dir.join("b1"), 2 * HOUR);
    // A link is no backup of its own.
    symlink("b1", dir.join("b_latest")).unwrap();
    let more = format!("{DECODE}\nsettle = \"8s\"\nkeep = 1");
    let watch = Watch::start(&(HEADER.to_owned() + &plan("p", &dir, &more)));
    let judged = |status: &PlanStatus, name: &str| {
        let says = |f: &Finding| f.rule.as_str() == "backup-files.age" && f.sentence.as_str().contains(name);
        settled(status) && status.findings.iter().any(says)
    };
    let limit = Duration::from_secs(60);
    watch.until("p", "the first", limit, |s| judged(s, "b1,") && s.readiness == Verdict::Ready);
    let kept = watch.newest("p").unwrap();
    let keep = kept.findings.iter().find(|f| f.rule.as_str() == "backup-files.keep").unwrap();
    assert!(keep.sentence.as_str().starts_with("1 backups are there"), "{}", keep.sentence);
    let from = clock::now();
    let bytes = dumps.bytes("custom");
    for to in [bytes.len() / 3, bytes.len() / 2, bytes.len()] {
        fs::write(dir.join("b2"), &bytes[..to]).unwrap();
        let looks = watch.looks().len();
        watch.until_looks("looks", limit, |l| l.len() >= looks + 2);
        let status = watch.newest("p").unwrap();
        assert!(judged(&status, "b1,"), "{}", describe(&status));
    }
    watch.until("p", "the second", limit, |s| judged(s, "b2,"));
    for moment in watch.since("p", from) {
        assert_eq!(moment.status.readiness, Verdict::Ready, "{}", describe(&moment.status));
    }
    // The third one is broken, and that is not hidden by the second.
    write(&dir.join("b3"), &cut(bytes), HOUR / 2);
    date(&dir.join("b2"), ago(HOUR));
    watch.until("p", "unreadable", limit, |s| has(s, Verdict::NotReady, "backup-files.decode", "unreadable"));
}

/// `check`, with a proof of a restore that was measured, and the copies counted.
#[test]
fn a_restore_that_was_measured_is_part_of_the_time_and_copies_are_counted() {
    let dumps = Dumps::make();
    let lab = tempfile::Builder::new().prefix("lifeboat-backups-").tempdir_in("/tmp").unwrap();
    let dir = lab.path().join("d");
    fs::create_dir(&dir).unwrap();
    dumps.put("custom", &dir.join("b"), HOUR);
    let size = fs::metadata(dir.join("b")).unwrap().len();
    let at = (clock::now().wall - chrono::TimeDelta::days(2)).to_rfc3339();
    let proof = format!("{{\"at\": \"{at}\", \"backup\": \"b\", \"took\": \"20s\", \"bytes\": {size}}}");
    fs::write(dir.join("proof.json"), proof).unwrap();
    let with = format!("restore_proof = \"{}/proof.json\"\nmedium = \"object-store\"", dir.display());
    let text = plan("p", &dir, &with).replace("requires =", "copies = \"3-2-1\"\nrequires =");
    let today = clock::now().wall.format("%Y-%m-%d");
    let tapes = format!("[[plan.copy]]\nwhat = \"tapes\"\nmedium = \"tape\"\noffsite = true\non = {today}\n");
    let confirm = format!("[[plan.confirm]]\nwhat = \"keys are in the west\"\non = {today}\nby = \"Ada\"\n");
    let (code, json) = check(lab.path(), &(text.clone() + &tapes + &confirm), &[]);
    let plan = &json["plans"][0];
    assert_eq!(code, 0, "{plan:#}");
    let parts = plan["estimate"]["parts"].as_array().unwrap();
    let restore = parts.iter().find(|p| p["what"].as_str().unwrap().contains("restore")).expect("a part");
    assert!((restore["seconds"].as_f64().unwrap() - 20.0).abs() < 0.1, "{restore:#}");
    let codes = |plan: &Value| -> Vec<String> {
        plan["findings"].as_array().unwrap().iter().map(|f| f["code"].as_str().unwrap().to_owned()).collect()
    };
    for code in ["copies-enough", "confirmed", "proven", "recent"] {
        assert!(codes(plan).contains(&code.to_owned()), "{code}: {plan:#}");
    }
    // Without the tapes two copies are left; and a stale one does not count at all.
    let (code, json) = check(lab.path(), &text, &[]);
    assert_eq!((code, json["plans"][0]["findings"][0]["code"].as_str().unwrap()), (1, "copies-too-few"));
    date(&dir.join("b"), ago(30 * HOUR));
    let (code, json) = check(lab.path(), &(text + &tapes), &[]);
    let copies =
        json["plans"][0]["findings"].as_array().unwrap().iter().find(|f| f["rule"] == "copies").cloned().unwrap();
    assert_eq!((code, copies["code"].as_str().unwrap()), (2, "copies-too-few"));
    assert!(copies["sentence"].as_str().unwrap().contains("30 h ago"), "{copies:#}");
}

/// The finding of `decode`: exit code, code and evidence.
fn decoded(lab: &Path, plans: &str) -> (i32, String, String) {
    let (exit, json) = check(lab, plans, &[]);
    let findings = json["plans"][0]["findings"].as_array().unwrap();
    let found = findings.iter().find(|f| f["rule"] == "backup-files.decode").unwrap_or_else(|| panic!("{json:#}"));
    (exit, found["code"].as_str().unwrap().to_owned(), format!("{} {}", found["sentence"], found["evidence"]))
}

#[test]
fn what_was_read_in_full_is_known_to_the_next_check() {
    let dumps = Dumps::make();
    let lab = tempfile::Builder::new().prefix("lifeboat-backups-").tempdir_in("/tmp").unwrap();
    let dir = lab.path().join("d");
    fs::create_dir(&dir).unwrap();
    let backup = dir.join("b");
    dumps.put("custom", &backup, HOUR);
    let text = plan("p", &dir, DECODE);

    // A check looks once, and leaves somebody behind who reads; the next one knows what they found, and how old that is.
    let (exit, code, _) = decoded(lab.path(), &text);
    assert_eq!((exit, code.as_str()), (1, "not-read-yet"));
    let mut said = String::new();
    crate::pg::until("the next check knows", || {
        let (exit, code, all) = decoded(lab.path(), &text);
        said = all;
        assert!(matches!((exit, code.as_str()), (1, "not-read-yet") | (0, "read")), "{exit} {code} {said}");
        exit == 0
    });
    assert!(said.contains("was read to its end in") && said.contains(" ago"), "{said}");
    crate::pg::until("nobody reads any more", || with_argument(&lab.path().display().to_string()).is_empty());

    // Changed: the same name, size and inode, and another time. Somebody reads it anew and finds out.
    let state = lab.path().join("state/decoded.json");
    let kept = fs::read_to_string(&state).unwrap();
    let broken = flipped(fs::read(&backup).unwrap());
    let mut file = fs::OpenOptions::new().write(true).open(&backup).unwrap();
    io::Write::write_all(&mut file, &broken).unwrap();
    date(&backup, ago(HOUR - 5));
    assert_eq!(decoded(lab.path(), &text).1, "not-read-yet");
    crate::pg::until("it is found out", || decoded(lab.path(), &text).0 == 2);
    assert_eq!(decoded(lab.path(), &text).1, "unreadable-before", "and is tried once more");

    // Whole again. What another machine found out about a file like it is not believed.
    dumps.put("custom", &backup, HOUR);
    crate::pg::until("nobody reads any more", || with_argument(&lab.path().display().to_string()).is_empty());
    let (code, words) = decode(lab.path());
    assert_eq!((code, words.contains("p/files: ready: b was read to its end")), (Some(0), true), "{words}");
    let found = fs::read_to_string(&state).unwrap();
    assert_ne!(found, kept);
    assert_eq!(decoded(lab.path(), &text).1, "read");
    let machine = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    fs::write(&state, found.replace(&format!("{}\"", machine.trim()), "another\"")).unwrap();
    assert_eq!(decoded(lab.path(), &text).1, "not-read-yet");
    crate::pg::until("nobody reads any more", || with_argument(&lab.path().display().to_string()).is_empty());
}

/// `lifeboat decode` on the configuration that was checked last.
fn decode(lab: &Path) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
    let out = command.arg("--config").arg(lab.join("lifeboat.toml")).arg("decode").output().unwrap();
    (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned())
}

/// A directory of 100,000 files is listed within a look.
#[test]
fn a_hundred_thousand_files() {
    let dumps = Dumps::make();
    let lab = tempfile::Builder::new().prefix("lifeboat-backups-").tempdir_in("/tmp").unwrap();
    let dir = lab.path().join("d");
    fs::create_dir(&dir).unwrap();
    for i in 0..100_000 {
        File::create(dir.join(format!("wal_{i:024X}"))).unwrap();
    }
    let newest = (clock::now().wall - chrono::TimeDelta::hours(1)).format("b_%Y%m%d%H%M").to_string();
    dumps.put("custom", &dir.join(&newest), HOUR);
    let others = dir.join("wal_000000000000000000000001");
    assert!(others.exists());
    for (name, pattern) in [("all", "pattern = \"{b_,wal_}*\""), ("one", "pattern = \"b_{%Y%m%d%H%M}\"")] {
        let watch = Watch::start(&(HEADER.to_owned() + &plan(name, &dir, &format!("{pattern}\nsettle = \"1s\""))));
        watch.until_looks(name, Duration::from_secs(30), |l| l.len() >= 2);
        let took: Vec<Duration> = watch.looks().iter().map(|l| l.answered.since(l.asked)).collect();
        println!("100,000 files, {pattern}: {took:?}");
        assert!(took.iter().all(|t| *t < Duration::from_secs(5)), "{took:?}");
    }
}
