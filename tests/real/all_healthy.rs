//! Nothing that a healthy system does turns it red: a PostgreSQL pair here, every other kind beside it in `healthy`. First by
//! its name, for it takes the longest.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lifeboat::clock;
use lifeboat::plan::Now;
use lifeboat::readiness::{Bound, Verdict};

use crate::healthy;
use crate::lab_faults::{configuration, patient, url};
use crate::pg::{PgPair, program, run};
use crate::watch::{Moment, Watch, describe};

const RPO: Duration = Duration::from_secs(30);

fn pgbench(pair: &PgPair) -> Command {
    let mut c = program("pgbench");
    c.arg("-h").arg(&pair.primary.dir).args(["-p", &pair.primary.port.to_string(), "-U", "postgres"]);
    c.stdout(Stdio::null()).stderr(Stdio::null());
    c
}

/// So many seconds of transactions.
fn load(pair: &PgPair, seconds: u64) {
    let done = pgbench(pair).args(["-n", "-c", "4", "-R", "300", "-T", &seconds.to_string(), "postgres"]).status();
    assert!(done.unwrap().success(), "pgbench");
}

/// So many more looks at both servers.
fn idle(watch: &Watch, looks: usize) {
    let before = watch.looks().len();
    watch.until_looks("looks", Duration::from_secs(3 * looks as u64 + 10), |l| l.len() >= before + 2 * looks);
}

fn all_ready(what: &str, moments: &[Moment]) {
    assert!(!moments.is_empty(), "{what}: nothing was judged");
    for moment in moments {
        assert_eq!(moment.status.readiness, Verdict::Ready, "{what}: {}", describe(&moment.status));
        for exposure in &moment.status.exposures {
            let within = matches!(exposure.bound, Bound::AtMost { span } if span.0 <= RPO);
            assert!(within, "{what}: {:?}", exposure.bound);
        }
    }
}

/// One round of everything that happens to a healthy pair; `seconds` of it under load.
fn round(pair: &PgPair, watch: &Watch, seconds: u64) -> usize {
    let from = clock::now();
    let part = (seconds / 4).max(1);
    load(pair, part);
    pair.primary.sql("CHECKPOINT");
    load(pair, part);
    pair.primary.sql("SELECT pg_switch_wal()");
    load(pair, part);
    pair.standby.sql("CHECKPOINT");
    // An idle primary: switches of empty log, and then nothing at all.
    pair.primary.sql("SELECT pg_switch_wal()");
    idle(watch, 10);
    // A large transaction is a burst of bytes and no lag (trap 4).
    pair.primary.sql("CREATE TABLE IF NOT EXISTS burst (t text)");
    pair.primary.sql("INSERT INTO burst SELECT repeat('x', 900) FROM generate_series(1, 60000)");
    pair.primary.sql("TRUNCATE burst");
    load(pair, part);
    let moments = watch.since("lab", from);
    all_ready("a healthy pair", &moments);

    // A restart of the standby under load: it may say so, but nothing is proven lost.
    let restart = clock::now();
    std::thread::scope(|scope| {
        scope.spawn(|| load(pair, part.min(10)));
        pair.standby.stop("fast");
        pair.standby.start();
    });
    watch.until_ready("lab");
    let during = watch.since("lab", restart);
    for moment in &during {
        assert_ne!(moment.status.readiness, Verdict::NotReady, "a standby restart: {}", describe(&moment.status));
    }
    let settled = clock::now();
    idle(watch, 4);
    all_ready("after the restart", &after(watch, settled));
    moments.len() + during.len()
}

fn after(watch: &Watch, from: Now) -> Vec<Moment> {
    watch.since("lab", from)
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn pair(seconds: u64, rounds: u64) {
    let pair = PgPair::start();
    run(pgbench(&pair).args(["-i", "-q", "postgres"]));
    pair.in_step();
    let text = configuration(&url(&pair.primary, "lifeboat"), &url(&pair.standby, "lifeboat"), "30s");
    let watch = Watch::start(&patient(&text));
    watch.until_ready("lab");
    let began = clock::now();
    let judged: usize = (0..rounds).map(|_| round(&pair, &watch, seconds / rounds)).sum();
    println!("{judged} judgements in {:?}, none false", clock::now().since(began));
}

/// So many minutes as an environment variable says, or else as many as these.
fn minutes_of(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a whole number")))
}

/// A pair for two minutes, or as many as `LIFEBOAT_MINUTES` says; before that, where `LIFEBOAT_WORLD_MINUTES` asks for any,
/// systems of every kind beside a pair: `tests/all.sh slow` does, for they need the machine for themselves.
#[test]
fn minutes_of_everything_healthy() {
    let worlds = minutes_of("LIFEBOAT_WORLD_MINUTES", 0);
    if worlds > 0 {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            healthy::all(scope, &over);
            // However it ends, the others end then.
            let _over = Over(&over);
            pair(60 * worlds, worlds.div_ceil(3));
        });
    }
    let alone = minutes_of("LIFEBOAT_MINUTES", 2);
    pair(60 * alone, alone.div_ceil(3));
}
