use serde_json::{Value as Json, json};

use crate::plan::{Area, Span, WalSegment};
use crate::readiness::signals::{BACKUP_REACH, BACKUP_SIZE};
use crate::readiness::{Finding, Gap, Proof, Reason, Restorable, Value, Verdict};
use crate::systems::Look;
use crate::systems::barman::parse;
use crate::systems::barman::rules::RULES;
use crate::systems::barman::signals::{AGE, BACKUPS, CHECKS, COMPLETE, NEWEST, STATUS, WAL};
use crate::systems::bench::{Bench, now};

const CHECK: &str = include_str!("../../../../tests/fixtures/barman/check.json");
const CHECK_INITIAL: &str = include_str!("../../../../tests/fixtures/barman/check_initial.json");
const LIST: &str = include_str!("../../../../tests/fixtures/barman/list_backup.json");
const SHOW: &str = include_str!("../../../../tests/fixtures/barman/show_backup.json");
const STATE: &str = include_str!("../../../../tests/fixtures/barman/status.json");

/// One listed backup, ended so many seconds before the judgement.
fn backup(id: &str, status: &str, ago: i64, size: u64) -> Json {
    let end = (now().wall.timestamp() - ago).to_string();
    match status {
        "DONE" | "WAITING_FOR_WALS" => {
            let mut of: Json = serde_json::from_str(LIST).unwrap();
            let mut one = of["main"][0].take();
            one["backup_id"] = json!(id);
            one["status"] = json!(status);
            one["end_time_timestamp"] = json!(end);
            one["size_bytes"] = json!(size);
            one
        }
        _ => json!({ "backup_id": id, "status": status }),
    }
}

fn look(backups: &[Json], check: &str, status: &str, show: Result<&str, Gap>) -> Look {
    let all = parse::backups("main", json!({ "main": backups }).to_string().as_bytes()).unwrap();
    let complete = all.iter().filter(|b| b.complete()).count();
    let mut look = Look::default();
    look.push(&BACKUPS, parse::rows(&all).map(Value::Rows));
    look.push(&COMPLETE, Ok(Value::Int(complete.try_into().unwrap())));
    look.push(&AGE, Ok(Value::Span(Span::secs(1))));
    let shown = show.and_then(|s| parse::newest("main", s.as_bytes()));
    look.push(&BACKUP_SIZE, Ok(Value::NotApplicable));
    look.push(&BACKUP_REACH, Ok(Value::Rows(Vec::new())));
    let (newest, wal) = match shown {
        Ok((row, wal)) if complete > 0 => (Ok(Value::Rows(vec![row])), Ok(wal)),
        Ok(_) => (Ok(Value::NotApplicable), Ok(Value::NotApplicable)),
        Err(gap) => (Err(gap.clone()), Err(gap)),
    };
    look.push(&NEWEST, newest);
    look.push(&WAL, wal);
    look.push(&STATUS, parse::status("main", status.as_bytes()).map(|r| Value::Rows(vec![r])));
    look.push(&CHECKS, parse::checks("main", check.as_bytes()).map(Value::Rows));
    look
}

fn findings(options: Json, look: Look) -> Vec<Finding> {
    let mut all = json!({ "server": "main", "site": "west" });
    all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    Bench::of("barman", Area::Backup, all).unwrap().look(look).findings(RULES)
}

fn told(options: Json, backups: &[Json]) -> String {
    let found = findings(options, look(backups, CHECK, STATE, Ok(SHOW)));
    format!("{} {}", found[0].verdict, found[0].code)
}

#[test]
fn a_server_reaches_to_the_end_of_its_backup_and_says_not_when_its_log_was_written() {
    let options = serde_json::from_value(json!({ "server": "main", "site": "west" })).unwrap();
    let of = |last: Option<&str>| {
        let mut show: Json = serde_json::from_str(SHOW).unwrap();
        show["main"]["wal_information"]["last_available"] = json!(last);
        let (row, wal) = parse::newest("main", show.to_string().as_bytes()).unwrap();
        let one = parse::reach(&options, Some(now().wall), Some((&row, &wal))).unwrap();
        let one = Restorable::read(&one).unwrap();
        (one.at.is_some(), one.more, one.log.map(|l| l.lsn.to_string()))
    };
    assert_eq!(of(Some("00000001000000000000000B")), (true, false, Some("0/C000000".to_owned())));
    assert_eq!(of(Some("00000001000000000000000D")), (true, true, Some("0/E000000".to_owned())));
    assert_eq!(of(Some("00000002000000000000000D")), (true, true, None));
    assert_eq!(of(Some("00000001000000000000000A")), (false, false, None), "it cannot be made consistent");
    assert_eq!(of(None), (false, false, None));
    let nothing = Restorable::read(&parse::reach(&options, None, None).unwrap()).unwrap();
    assert_eq!((nothing.at, nothing.site.map(|s| s.to_string())), (None, Some("west".to_owned())));
}

#[test]
fn a_healthy_server_is_ready() {
    let found = findings(json!({}), look(&[backup("20261121T021121", "DONE", 60, 1_000)], CHECK, STATE, Ok(SHOW)));
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|f| f.verdict == Verdict::Ready && f.subject.to_string() == "west main"), "{found:#?}");
    assert_eq!(found.iter().filter(|f| f.proves == Some(Proof::Copy)).count(), 1);
}

#[test]
fn only_what_is_complete_counts() {
    let done = |ago| backup("20261120T020000", "DONE", ago, 1_000);
    assert_eq!(told(json!({}), &[]), "not ready no-backup");
    for status in ["WAITING_FOR_WALS", "FAILED", "STARTED", "EMPTY", "SYNCING"] {
        let newer = backup("20261121T020000", status, 10, 1_000);
        assert_eq!(told(json!({}), std::slice::from_ref(&newer)), "not ready no-complete-backup", "{status}");
        let with = told(json!({}), &[done(60), newer]);
        match status {
            "FAILED" => assert_eq!(with, "degraded newest-failed"),
            "WAITING_FOR_WALS" => {
                assert_eq!(with, "ready backup-recent", "the next cron brings its log");
                let late = backup("20261121T020000", status, 901, 1_000);
                assert_eq!(told(json!({}), &[done(3_600), late]), "degraded newest-waits");
            }
            _ => assert_eq!(with, "ready backup-recent", "{status}"),
        }
    }
    assert_eq!(told(json!({ "max_age": "1h" }), &[done(3_600)]), "ready backup-recent");
    assert_eq!(told(json!({ "max_age": "1h" }), &[done(3_601)]), "not ready backup-too-old");
    assert_eq!(told(json!({}), &[done(-301)]), "unknown from-the-future");
    assert_eq!(told(json!({ "min_backups": 2 }), &[done(60)]), "degraded few-backups");
    let half = backup("20261121T020000", "DONE", 10, 499);
    assert_eq!(told(json!({}), &[done(60), half]), "degraded shrunk");
}

#[test]
fn what_barman_finds_wrong_is_told() {
    let one = [backup("20261121T021121", "DONE", 60, 1_000)];
    let told = |check: &str, status: &str| {
        let found = findings(json!({}), look(&one, check, status, Ok(SHOW)));
        let checks = found.iter().find(|f| f.rule.as_str() == "barman.checks").unwrap();
        format!("{} {}: {}", checks.verdict, checks.code, checks.sentence)
    };
    let fail = |name: &str| {
        let mut all: Json = serde_json::from_str(CHECK).unwrap();
        all["main"][name]["status"] = json!("FAILED");
        all.to_string()
    };
    assert_eq!(
        told(&fail("receive_wal_running"), STATE),
        "degraded check-failed: barman check of server main failed: receive_wal_running"
    );
    assert_eq!(
        told(&fail("postgresql"), STATE),
        "degraded check-failed: barman check of server main failed: postgresql"
    );
    assert!(told(&fail("systemid_coherence"), STATE).starts_with("not ready check-failed"));
    assert!(
        told(CHECK_INITIAL, STATE)
            .starts_with("not ready check-failed: barman says of server main: backup_maximum_age failed")
    );
    let off = STATE.replace("\"Active\", \"message\": \"True\"", "\"Active\", \"message\": \"False\"");
    assert!(told(CHECK, &off).starts_with("not ready switched-off"));
    let passive = STATE.replace("\"Passive node\", \"message\": \"False\"", "\"Passive node\", \"message\": \"True\"");
    let found = findings(json!({}), look(&one, CHECK, &passive, Ok(SHOW)));
    assert!(found[1].evidence.iter().any(|e| e.what.as_str() == "passive node"), "{:?}", found[1]);
}

#[test]
fn the_log_that_a_backup_needs_is_there() {
    let one = [backup("20261121T021121", "DONE", 60, 1_000)];
    let told = |show: &str| {
        let found = findings(json!({}), look(&one, CHECK, STATE, Ok(show)));
        let wal = found.iter().find(|f| f.rule.as_str() == "barman.wal").unwrap();
        format!("{} {}", wal.verdict, wal.code)
    };
    assert_eq!(told(SHOW), "ready wal-kept");
    let last = |to: &str| {
        SHOW.replace("\"last_available\": \"00000001000000000000000B\"", &format!("\"last_available\": {to}"))
    };
    assert_eq!(told(&last("\"00000001000000000000000A\"")), "not ready wal-missing");
    assert_eq!(told(&last("null")), "not ready no-wal");
    let silent = findings(json!({}), look(&one, CHECK, STATE, Err(Reason::TimedOut.into())));
    assert!(!silent.iter().any(|f| f.rule.as_str() == "barman.wal"), "a gap is told by the rule about reach");
}

#[test]
fn what_makes_no_sense_is_a_gap() {
    let unknown = parse::backups("main", br#"{"_ERROR": ["Unknown server 'main'"]}"#).unwrap_err();
    assert_eq!((unknown.reason, unknown.detail.as_str()), (Reason::ProgramFailed, "barman: Unknown server 'main'"));
    let malformed = |result: Result<(), Gap>| assert_eq!(result.unwrap_err().reason, Reason::Malformed);
    malformed(parse::backups("main", b"").map(drop));
    malformed(parse::backups("main", br#"{"other": []}"#).map(drop));
    malformed(parse::backups("main", br#"{"main": [{"backup_id": "x", "status": "ODD"}]}"#).map(drop));
    malformed(parse::backups("main", br#"{"main": [{"backup_id": "x", "status": "DONE"}]}"#).map(drop));
    malformed(parse::checks("main", br#"{"main": {}}"#).map(drop));
    malformed(parse::checks("main", br#"{"main": {"a": {"status": "MAYBE"}}}"#).map(drop));
    malformed(parse::status("main", br#"{"main": {}}"#).map(drop));
    malformed(parse::newest("main", SHOW.replace("00000001000000000000000B", "B").as_bytes()).map(drop));
    assert!("00000001000000000000000B".parse::<WalSegment>().is_ok());
}
