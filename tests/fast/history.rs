//! The history store, with real files, threads and processes.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use lifeboat::app::{Change, Checked, Memory, Model};
use lifeboat::clock;
use lifeboat::plan::{BootTime, Key, Now, PlanId, SafeText, SiteId, Subject};
use lifeboat::readiness::signals::EXPOSURE;
use lifeboat::readiness::{Bound, LsnSample, Situation, Verdict};
use lifeboat::store::{self, Limits, Store, StoreError};
use rusqlite::Connection;

use super::two_sites::{at, model, plan, primary, probe, sample, samples, standby};

const LIMIT: Duration = Duration::from_secs(10);

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Limits by which nothing is old: the tests' time is not this machine's.
fn forever() -> Limits {
    let age = Duration::MAX;
    Limits {
        sample_age: age,
        point_age: age,
        change_age: age,
        thin_after: age,
        thin_more_after: age,
        ..Limits::default()
    }
}

fn open(dir: &Path) -> Store {
    store::open_with(dir, forever()).unwrap()
}

fn payments() -> PlanId {
    PlanId::new("payments")
}

fn seen(boot: &str, sample: LsnSample) -> Memory {
    Memory::Sample { probe: probe("payments"), system: "7100".into(), timeline: 1, boot: boot.into(), sample }
}

fn change(seconds: u64, from: Option<Verdict>, to: Verdict) -> Memory {
    let why = "because".into();
    Memory::Change(Change { plan: payments(), at: at(seconds), from, to, situation: Situation::Normal, why })
}

fn point(at: Now, value: f64) -> Memory {
    let subject = Subject::site(SiteId::new("west"));
    Memory::Point { key: Key { probe: probe("payments"), subject, signal: EXPOSURE }, at, value }
}

fn count(dir: &Path, table: &str) -> i64 {
    let conn = Connection::open(dir.join(store::FILE)).unwrap();
    conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |r| r.get(0)).unwrap()
}

#[test]
fn what_is_remembered_is_read_back() {
    let dir = dir();
    let store = open(dir.path());
    let boot = clock::boot_id();
    store.remember(vec![
        seen(boot.as_str(), sample(0, 100)),
        seen(boot.as_str(), sample(5, 200)),
        Memory::Active { plan: payments(), site: SiteId::new("east"), at: at(5), boot: boot.clone() },
        change(1, None, Verdict::Ready),
        change(5, Some(Verdict::Ready), Verdict::Degraded),
        point(at(1), 1.5),
        point(at(2), f64::NAN),
        point(at(3), 2.5),
    ]);
    store.flush(LIMIT).unwrap();
    let past = store.history(&[payments()]).unwrap();
    assert_eq!(past.clocks.len(), 1);
    assert_eq!(samples(&past.clocks[0].1), [(boot.to_string(), 0, 100), (boot.to_string(), 5, 200)]);
    assert_eq!(past.active[&payments()], (SiteId::new("east"), at(5), boot));
    let verdicts: Vec<_> = past.changes.iter().map(|c| (c.from, c.to)).collect();
    assert_eq!(verdicts, [(None, Verdict::Ready), (Some(Verdict::Ready), Verdict::Degraded)]);
    assert_eq!(past.series[0].1, [(at(1), 1.5), (at(3), 2.5)]);
    assert!(store.history(&[PlanId::new("other")]).unwrap().clocks.is_empty());
    store.close(LIMIT).unwrap();
}

#[test]
fn only_its_user_may_read_it() {
    let dir = dir();
    let state = dir.path().join("a/b");
    let store = open(&state);
    store.remember(vec![change(0, None, Verdict::Ready)]);
    store.flush(LIMIT).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    for file in std::fs::read_dir(&state).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn a_change_that_another_session_has_kept_is_kept_once() {
    let dir = dir();
    let (board, cron) = (open(dir.path()), open(dir.path()));
    let (none, ready) = (None, Some(Verdict::Ready));
    for (store, memory) in [
        (&board, change(0, none, Verdict::Ready)),
        (&cron, change(60, none, Verdict::Ready)),
        (&cron, change(120, none, Verdict::Degraded)),
        (&board, change(121, ready, Verdict::Degraded)),
    ] {
        store.remember(vec![memory]);
        store.flush(LIMIT).unwrap();
    }
    let changes = board.history(&[payments()]).unwrap().changes;
    let kept: Vec<_> = changes.iter().map(|c| (c.from, c.to)).collect();
    assert_eq!(kept, [(None, Verdict::Ready), (ready, Verdict::Degraded)]);
}

#[test]
fn a_clock_of_an_earlier_boot_bounds_a_loss_by_the_wall_clock() {
    let dir = dir();
    let plan = plan("payments");
    let store = open(dir.path());
    store.remember(vec![seen("an earlier boot", sample(0, 100)), seen("an earlier boot", sample(5, 200))]);
    store.flush(LIMIT).unwrap();
    let past = store.history(&[payments()]).unwrap();
    // This boot began 20 s after that sample; it sees the standby, and the primary further on.
    let now = |seconds| Now { boot: BootTime(Duration::from_secs(seconds - 25)), ..at(seconds) };
    let bound = |model: &mut Model, now| {
        model.settle(now);
        let exposures = &model.status(&payments()).unwrap().exposures;
        exposures.iter().find(|e| e.to.as_str() == "west").unwrap().bound.clone()
    };
    let mut model = model(std::slice::from_ref(&plan), now(30));
    model.remember(past);
    model.polled(standby(&plan, "west", now(30), 200));
    assert_eq!(bound(&mut model, now(30)), Bound::AtMost { span: lifeboat::plan::Span::secs(25) });
    // Then somebody sets the clock back: how old those samples are, nobody knows any more.
    model.polled(primary(&plan, "east", now(31), 300));
    let stepped = |seconds: u64| Now { wall: at(seconds - 20).wall, ..now(seconds) };
    model.polled(primary(&plan, "east", stepped(36), 300));
    model.polled(standby(&plan, "west", stepped(36), 200));
    let bound = bound(&mut model, stepped(36));
    assert!(matches!(bound, Bound::Unknown { .. }), "{bound:?}");
}

#[test]
fn a_step_of_the_clock_is_still_known_after_a_restart() {
    let dir = dir();
    let store = open(dir.path());
    let mut late = sample(5, 200);
    late.asked.wall = at(3_600).wall;
    late.answered.wall = at(3_600).wall;
    store.remember(vec![seen("boot", sample(0, 100)), seen("boot", late)]);
    store.flush(LIMIT).unwrap();
    let past = store.history(&[payments()]).unwrap();
    let dated: Vec<bool> = past.clocks[0].1.segments().iter().map(|s| s.dated).collect();
    assert_eq!(dated, [false, true]);
}

#[test]
fn looks_of_two_processes_that_overlap_do_not_make_a_position_go_back() {
    let dir = dir();
    let store = open(dir.path());
    let slow = LsnSample { answered: at(15), ..sample(10, 300) };
    store.remember(vec![
        seen("boot", sample(0, 100)),
        seen("boot", slow),
        seen("boot", sample(11, 250)),
        seen("boot", sample(20, 400)),
    ]);
    store.flush(LIMIT).unwrap();
    let past = store.history(&[payments()]).unwrap();
    let kept: Vec<u64> = samples(&past.clocks[0].1).into_iter().map(|(_, _, lsn)| lsn).collect();
    assert_eq!(kept, [100, 300, 400]);
}

#[test]
fn what_another_boot_saw_is_placed_on_this_boots_clock_by_its_age() {
    let dir = dir();
    open(dir.path()).close(LIMIT).unwrap();
    let now = clock::now();
    let wall = now.wall - chrono::Duration::seconds(1);
    let conn = Connection::open(dir.path().join(store::FILE)).unwrap();
    conn.execute_batch(&format!(
        "INSERT INTO boot VALUES (1, 'another');
         INSERT INTO change VALUES (1, 'payments', {}, 999999999999999999, 1, NULL, 'ready', '{{\"is\":\"normal\"}}', '');",
        wall.timestamp_micros()
    ))
    .unwrap();
    let store = open(dir.path());
    let past = store.history(&[payments()]).unwrap();
    let age = clock::now().since(past.changes[0].at);
    assert!(age >= Duration::from_millis(990) && age < Duration::from_secs(60), "{age:?}");
}

#[test]
fn the_last_check_is_kept_by_scope() {
    let dir = dir();
    let plan = plan("payments");
    let mut model = model(&[plan], at(0));
    model.settle(at(0));
    let checked = Checked::of(model.status(&payments()).unwrap());
    let store = open(dir.path());
    assert_eq!(store.check_before(&payments(), "", None).unwrap(), None);
    store.save_check("", checked.clone());
    store.flush(LIMIT).unwrap();
    assert_eq!(store.check_before(&payments(), "", None).unwrap(), Some(checked));
    assert_eq!(store.check_before(&payments(), "dns", None).unwrap(), None);
}

#[test]
fn checks_of_the_past_are_found_by_their_time_and_equal_ones_are_one_row() {
    let dir = dir();
    let mut model = model(&[plan("payments")], at(0));
    model.settle(at(0));
    let found = |seconds, readiness| {
        let checked = Checked::of(model.status(&payments()).unwrap());
        Checked { at: at(seconds).wall, readiness, ..checked }
    };
    let store = open(dir.path());
    for (seconds, readiness) in
        [(10, Verdict::Ready), (20, Verdict::Ready), (30, Verdict::Degraded), (40, Verdict::Ready)]
    {
        store.save_check("", found(seconds, readiness));
    }
    store.flush(LIMIT).unwrap();
    assert_eq!(count(dir.path(), "checked"), 3);
    let by = |seconds| {
        let found = store.check_before(&payments(), "", Some(at(seconds).wall)).unwrap().unwrap();
        (found.at, found.readiness)
    };
    assert_eq!(by(15), (at(15).wall, Verdict::Ready), "it was so from 10 to 20");
    assert_eq!(by(25), (at(20).wall, Verdict::Ready));
    assert_eq!(by(35), (at(30).wall, Verdict::Degraded));
    assert_eq!(by(1), (at(10).wall, Verdict::Ready), "none is that old: the first one");
    assert_eq!(store.check_before(&payments(), "", None).unwrap().unwrap().at, at(40).wall);
}

#[test]
fn a_history_of_schema_1_keeps_its_last_checks() {
    let dir = dir();
    let mut model = model(&[plan("payments")], at(0));
    model.settle(at(0));
    let checked = Checked::of(model.status(&payments()).unwrap());
    let conn = Connection::open(dir.path().join(store::FILE)).unwrap();
    conn.execute_batch(include_str!("../../src/store/schema_1.sql")).unwrap();
    conn.pragma_update(None, "application_id", 0x4c46_4254).unwrap();
    conn.pragma_update(None, "user_version", 1).unwrap();
    let body = serde_json::to_string(&checked).unwrap();
    conn.execute("INSERT INTO last_check VALUES ('payments', '', ?1)", [body]).unwrap();
    drop(conn);
    assert_eq!(open(dir.path()).check_before(&payments(), "", None).unwrap(), Some(checked));
}

#[test]
fn old_rows_go_and_the_rest_is_thinned() {
    let dir = dir();
    let limits = Limits { changes: 3, gather: Duration::ZERO, ..Limits::default() };
    let now = clock::now();
    let ago = |seconds: u64| Now {
        wall: now.wall - chrono::Duration::seconds(i64::try_from(seconds).unwrap()),
        boot: BootTime(Duration::from_secs(2_000_000 - seconds)),
    };
    let day = 86_400;
    let store = store::open_with(dir.path(), limits.clone()).unwrap();
    let sample = |seconds| LsnSample { asked: ago(seconds), answered: ago(seconds), lsn: lifeboat::plan::Lsn(1) };
    // Fifteen days ago, two days ago, two hours ago, and now: ten minutes of each, every five seconds.
    let mut memories = Vec::new();
    for begin in [15 * day, 2 * day, 7_200, 600] {
        memories.extend((0..120).map(|i| seen("boot", sample(begin - i * 5))));
        memories.extend((0..120).map(|i| point(ago(begin - i * 5), 1.0)));
    }
    for i in 0..5 {
        memories.push(Memory::Change(Change {
            plan: payments(),
            at: ago(500 - i),
            from: None,
            to: if i % 2 == 0 { Verdict::Ready } else { Verdict::Degraded },
            situation: Situation::Normal,
            why: SafeText::default(),
        }));
    }
    store.remember(memories);
    store.flush(LIMIT).unwrap();
    assert_eq!((count(dir.path(), "sample"), count(dir.path(), "point")), (480, 480));
    // A session that ends prunes a little; the next ones go on where it stopped.
    drop(store);
    let begun = clock::now();
    while count(dir.path(), "sample") > 150 && clock::now().since(begun) < LIMIT {
        store::open_with(dir.path(), limits.clone()).unwrap().close(LIMIT).unwrap();
    }
    let kept = |table: &str| {
        let conn = Connection::open(dir.path().join(store::FILE)).unwrap();
        let wall = if table == "sample" { "asked_wall" } else { "wall" };
        let sql = format!("SELECT count(*) FROM {table} WHERE {wall} BETWEEN ?1 AND ?2");
        [15 * day, 2 * day, 7_200, 600].map(|begin| {
            let (from, to) = (ago(begin + 1).wall.timestamp_micros(), ago(begin - 599).wall.timestamp_micros());
            conn.query_row(&sql, [from, to], |r| r.get::<_, i64>(0)).unwrap()
        })
    };
    for table in ["sample", "point"] {
        let [fortnight, days, hours, recent] = kept(table);
        assert_eq!((fortnight, recent), (0, 120), "{table}");
        assert!((1..=2).contains(&days), "one in ten minutes: {days} {table}");
        assert!((10..=11).contains(&hours), "one a minute: {hours} {table}");
    }
    assert_eq!(count(dir.path(), "change"), 3);
}

#[test]
fn a_full_queue_gives_up_points_first_and_nobody_waits() {
    let dir = dir();
    let limits = Limits { queued: 100, ..forever() };
    let store = store::open_with(dir.path(), limits).unwrap();
    // Nothing gets out while another process holds the file.
    let other = Connection::open(dir.path().join(store::FILE)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begun = clock::now();
    store.remember((0..50).map(|i| seen("boot", sample(i, i))).collect());
    store.remember((0..5_000).map(|i| point(at(i), 1.0)).collect());
    store.remember(vec![change(0, None, Verdict::Ready)]);
    assert!(clock::now().since(begun) < Duration::from_millis(500), "{:?}", clock::now().since(begun));
    assert!(store.dropped() >= 4_900, "{}", store.dropped());
    other.execute_batch("COMMIT").unwrap();
    store.flush(LIMIT).unwrap();
    assert_eq!((count(dir.path(), "sample"), count(dir.path(), "change")), (50, 1));
    assert!(count(dir.path(), "point") <= 100);
}

#[test]
fn a_locked_file_costs_nothing_but_time_and_is_said_once() {
    let dir = dir();
    let store = open(dir.path());
    let (said, heard) = std::sync::mpsc::channel();
    store.on_failure(move |what| said.send(what).unwrap());
    let other = Connection::open(dir.path().join(store::FILE)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    store.remember(vec![change(0, None, Verdict::Ready)]);
    let what = heard.recv_timeout(LIMIT).unwrap();
    assert!(what.as_str().ends_with("locked by another process"), "{what}");
    assert!(matches!(store.flush(Duration::from_millis(10)), Err(StoreError::Late { .. })));
    // What was read before can still be read.
    assert!(store.history(&[payments()]).unwrap().changes.is_empty());
    other.execute_batch("COMMIT").unwrap();
    store.flush(LIMIT).unwrap();
    assert_eq!(count(dir.path(), "change"), 1);
    assert!(heard.try_recv().is_err(), "said once");
}

#[test]
fn a_file_that_is_full_is_said_and_nothing_of_the_batch_is_in_it() {
    let dir = dir();
    open(dir.path()).close(LIMIT).unwrap();
    let limits = Limits { pages: 1, ..forever() };
    let store = store::open_with(dir.path(), limits).unwrap();
    let (said, heard) = std::sync::mpsc::channel();
    store.on_failure(move |what| said.send(what).unwrap());
    let mut memories = vec![change(0, None, Verdict::Ready)];
    memories.extend((0..4_000).map(|i| point(at(i), 1.0)));
    store.remember(memories);
    let what = heard.recv_timeout(LIMIT).unwrap();
    assert!(what.as_str().ends_with("no space left"), "{what}");
    assert_eq!((count(dir.path(), "change"), count(dir.path(), "point")), (0, 0));
    assert!(store.close(LIMIT).is_err(), "what could not be kept is said");
}

#[test]
fn files_that_are_no_history_are_refused_and_left_alone() {
    let dir = dir();
    let path = dir.path().join(store::FILE);
    let garbage = vec![0x5a_u8; 8_192];
    std::fs::write(&path, &garbage).unwrap();
    let refused = store::open(dir.path()).unwrap_err();
    assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
    assert!(refused.to_string().contains("move it away to start a new one"), "{refused}");
    assert_eq!(std::fs::read(&path).unwrap(), garbage);
    std::fs::remove_file(&path).unwrap();

    open(dir.path()).close(LIMIT).unwrap();
    let conn = Connection::open(&path).unwrap();
    conn.pragma_update(None, "user_version", 99).unwrap();
    drop(conn);
    let refused = store::open(dir.path()).unwrap_err();
    assert!(matches!(refused, StoreError::Newer { found: 99, known: 2, .. }), "{refused}");

    // A directory that cannot be made, even by root.
    let refused = store::open(&path.join("below a file")).unwrap_err();
    assert!(matches!(refused, StoreError::Directory { .. }), "{refused}");
    // A link to somebody else's file.
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/null", dir.path().join(store::FILE)).unwrap();
    assert!(matches!(store::open(dir.path()), Err(StoreError::Directory { .. })));
}

#[test]
fn a_page_that_is_damaged_is_said_when_it_is_read() {
    let dir = dir();
    let store = open(dir.path());
    store.remember((0..2_000).map(|i| point(at(i), 1.0)).collect());
    store.close(LIMIT).unwrap();
    let path = dir.path().join(store::FILE);
    let mut bytes = std::fs::read(&path).unwrap();
    let length = bytes.len();
    bytes[8_192..length].fill(0xee);
    std::fs::write(&path, &bytes).unwrap();
    let damaged = store::open(dir.path()).and_then(|store| store.history(&[payments()])).unwrap_err();
    assert!(matches!(damaged, StoreError::Damaged { .. }), "{damaged}");
}

#[test]
fn many_open_and_write_at_once() {
    let dir = dir();
    std::thread::scope(|scope| {
        for i in 0..8_u64 {
            let path = dir.path();
            scope.spawn(move || {
                let store = open(path);
                store.remember((0..200).map(|n| point(at(i * 1_000 + n), 1.0)).collect());
                store.close(Duration::from_secs(30)).unwrap();
            });
        }
    });
    assert_eq!(count(dir.path(), "point"), 1_600);
    assert_eq!(count(dir.path(), "series"), 1);
}

/// Not a test by itself: the process that the tests below start, with a directory in the environment, which writes until it
/// is killed.
#[test]
fn writes_until_it_is_killed() {
    let Some(dir) = std::env::var_os("LIFEBOAT_TEST_STATE") else { return };
    let limits = Limits { gather: Duration::ZERO, ..forever() };
    let store = store::open_with(Path::new(&dir), limits).unwrap();
    for i in 0.. {
        // A pair belongs together: a batch is there whole or not at all.
        store.remember(vec![seen("boot", sample(i, i)), point(at(i), 1.0)]);
        store.flush(LIMIT).unwrap();
    }
}

#[test]
fn processes_that_are_killed_at_any_moment_leave_a_sound_file() {
    let dir = dir();
    open(dir.path()).close(LIMIT).unwrap();
    let mut before = 0;
    for round in 0..6 {
        let start = || {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "history::writes_until_it_is_killed"])
                .env("LIFEBOAT_TEST_STATE", dir.path())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        };
        let mut two = [start(), start()];
        let begun = clock::now();
        while count(dir.path(), "point") < before + 20 + round * 7 {
            assert!(clock::now().since(begun) < Duration::from_secs(30), "nothing is written");
        }
        for child in &mut two {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let conn = Connection::open(dir.path().join(store::FILE)).unwrap();
        let sound: String = conn.query_row("PRAGMA integrity_check", [], |r| r.get(0)).unwrap();
        assert_eq!(sound, "ok");
        assert_eq!(count(dir.path(), "sample"), count(dir.path(), "point"), "half a batch");
        before = count(dir.path(), "point");
        let store = open(dir.path());
        assert!(!store.history(&[payments()]).unwrap().clocks.is_empty());
    }
}
