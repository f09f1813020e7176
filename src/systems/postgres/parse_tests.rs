use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::plan::BootTime;
use crate::systems::postgres::queries::{REPLICATING, SETTINGS};

fn at(seconds: i64, boot_ms: u64) -> Now {
    Now { wall: DateTime::from_timestamp(seconds, 0).unwrap(), boot: BootTime(Duration::from_millis(boot_ms)) }
}

fn row(cells: &[&str]) -> Vec<Option<String>> {
    cells.iter().map(|c| (*c != "-").then(|| (*c).to_owned())).collect()
}

/// A primary's answers, or a standby's, as real servers give them.
fn answers(standby: bool) -> Answers {
    let head = if standby {
        row(&[
            "t",
            "150018",
            "1000.5",
            "t",
            "t",
            "-",
            "0/5000000",
            "0/561A908",
            "990",
            "-",
            "192.0.2.2",
            "5432",
            "7",
            "not paused",
            "f",
        ])
    } else {
        row(&[
            "f",
            "150018",
            "1000.5",
            "t",
            "t",
            "0/6000000",
            "-",
            "-",
            "-",
            "0000000A0000000000000006",
            "192.0.2.1",
            "5432",
            "7.25",
            "-",
            "t",
        ])
    };
    let table = |ask: Ask| match ask {
        Ask::Head => vec![head.clone()],
        Ask::Control => vec![row(&["7710470407793318872", "3", "4"])],
        Ask::Receiver if standby => {
            vec![row(&["streaming", "db", "5432", "dr1", "5", "0/5000000", "0/6000000", "0.25"])]
        }
        Ask::Slots => vec![row(&["dr1", "physical", "t", "f", "lost", "-", "-", "-", "-", "-", "-"])],
        Ask::Senders => vec![row(&["dr1", "192.0.2.2", "streaming", "async", "-", "-", "-", "-", "-", "0.5"])],
        Ask::Settings => HIDDEN_SETTINGS.iter().map(|name| row(&[name, "set"])).collect(),
        Ask::Activity => vec![row(&["3", "0", "-", "900"])],
        Ask::Archiver => vec![row(&["1", "a", "5.5", "0", "-", "-", "on", "b"])],
        Ask::Conflicts | Ask::Unlogged | Ask::ArchiveReady => vec![row(&["2"])],
        Ask::Receiver | Ask::Overrides | Ask::Subscriptions | Ask::Extensions | Ask::Collations | Ask::Logical(_) => {
            vec![]
        }
    };
    let tables = REPLICATING.iter().map(|a| (*a, Ok(table(*a)))).collect();
    Answers { tables, version: 150_018 }
}

fn of(answers: &Answers, signal: &SignalId) -> Result<Value, Gap> {
    let all = replicating(answers, at(1_000, 0), at(1_000, 400));
    all.into_iter().find(|o| o.signal == *signal).unwrap().value
}

fn put(answers: &mut Answers, ask: Ask, column: usize, value: Option<&str>) {
    answers.tables.get_mut(&ask).unwrap().as_mut().unwrap()[0][column] = value.map(str::to_owned);
}

fn lsn(text: &str) -> Result<Value, Gap> {
    Ok(Value::Lsn(text.parse().unwrap()))
}

#[test]
fn every_expected_signal_is_brought_whatever_came() {
    for answers in [answers(true), answers(false), Answers::default()] {
        let mut brought: Vec<_> =
            replicating(&answers, at(1_000, 0), at(1_000, 0)).into_iter().map(|o| o.signal).collect();
        let mut expected = expected();
        brought.sort();
        expected.sort();
        assert_eq!(brought, expected);
    }
}

#[test]
fn received_is_the_greater_of_received_and_replayed() {
    // Trap 13: after a restart the receive position alone lies.
    assert_eq!(of(&answers(true), &common::RECEIVED), lsn("0/561A908"));
    let mut archive_only = answers(true);
    put(&mut archive_only, Ask::Head, 6, None);
    assert_eq!(of(&archive_only, &common::RECEIVED), lsn("0/561A908"));
    put(&mut archive_only, Ask::Head, 7, None);
    assert_eq!(of(&archive_only, &common::RECEIVED), Ok(Value::Null));
}

#[test]
fn each_role_has_what_applies_to_it() {
    let (primary, standby) = (answers(false), answers(true));
    for signal in [common::RECEIVED, common::REPLAYED, common::LAST_COMMIT, s::RECEIVER, s::PAUSE, s::CONFLICTS] {
        assert_eq!(of(&primary, &signal), Ok(Value::NotApplicable), "{signal}");
        assert!(!matches!(of(&standby, &signal), Ok(Value::NotApplicable) | Err(_)), "{signal}");
    }
    assert_eq!(of(&standby, &common::FLUSHED), Ok(Value::NotApplicable));
    assert_eq!(of(&primary, &common::FLUSHED), lsn("0/6000000"));
}

#[test]
fn the_timeline_is_the_newest_that_is_known() {
    // Trap 6.
    assert_eq!(of(&answers(false), &common::TIMELINE), Ok(Value::Int(10)));
    assert_eq!(of(&answers(true), &common::TIMELINE), Ok(Value::Int(5)));
    let mut alone = answers(true);
    alone.tables.insert(Ask::Receiver, Ok(vec![]));
    assert_eq!(of(&alone, &common::TIMELINE), Ok(Value::Int(4)));
}

#[test]
fn skew_is_against_the_middle_of_the_look() {
    // Asked at 1000.0, answered 0.4 s later, their clock said 1000.5: 0.3 s ahead.
    assert_eq!(of(&answers(false), &s::SKEW), Ok(Value::Number(0.3)));
}

#[test]
fn without_privilege_nothing_is_said_to_be_well() {
    let mut plain = answers(true);
    put(&mut plain, Ask::Head, 3, Some("f"));
    put(&mut plain, Ask::Head, 4, Some("f"));
    plain.tables.insert(Ask::Settings, Ok(vec![row(&["max_connections", "100"])]));
    for signal in [s::RECEIVER, s::SENDERS, s::SESSIONS, s::SYNC_WAITS, s::SETTINGS] {
        assert_eq!(of(&plain, &signal).unwrap_err().reason, Reason::NoPrivilege, "{signal}");
    }
}

#[test]
fn absurd_answers_are_malformed() {
    let cases = [
        (Ask::Head, 5, "FFFFFFFFF/0", common::FLUSHED),
        (Ask::Head, 5, "", common::FLUSHED),
        (Ask::Head, 9, "zz", common::TIMELINE),
        (Ask::Head, 2, "infinity", s::SKEW),
        (Ask::Head, 12, "1e400", common::INSTANCE),
        (Ask::Slots, 6, "9".repeat(60).leak(), s::SLOTS),
        (Ask::Senders, 9, "NaN", s::SENDERS),
        (Ask::Activity, 0, "many", s::SESSIONS),
    ];
    for (ask, column, value, signal) in cases {
        let mut broken = answers(false);
        put(&mut broken, ask, column, Some(value));
        assert_eq!(of(&broken, &signal).unwrap_err().reason, Reason::Malformed, "{ask:?} {column} {value}");
    }
    let mut broken = answers(false);
    put(&mut broken, Ask::Head, 0, None);
    assert_eq!(of(&broken, &common::WRITABLE).unwrap_err().reason, Reason::Malformed);
    broken.tables.insert(Ask::Head, Ok(vec![]));
    assert_eq!(of(&broken, &common::WRITABLE).unwrap_err().reason, Reason::Malformed);
}

#[test]
fn a_statement_that_failed_costs_its_own_signals() {
    let mut timed_out = answers(false);
    timed_out.tables.insert(Ask::Unlogged, Err(Reason::TimedOut.into()));
    timed_out.tables.insert(Ask::ArchiveReady, Err(Reason::NoPrivilege.into()));
    assert_eq!(of(&timed_out, &s::UNLOGGED).unwrap_err().reason, Reason::TimedOut);
    let Ok(Value::Rows(rows)) = of(&timed_out, &s::ARCHIVER) else { panic!() };
    assert_eq!(rows[0].int("ready"), Ok(None));
    assert!(of(&timed_out, &common::WRITABLE).is_ok());
}

#[test]
fn times_keep_their_microseconds() {
    assert_eq!(micros("1767323045.678901"), Some(1_767_323_045_678_901));
    assert_eq!(micros("-0.5"), Some(-500_000));
    assert_eq!(micros("7"), Some(7_000_000));
    assert_eq!(micros("1.-5"), None);
    assert_eq!(micros(""), None);
}

#[test]
fn a_moment_comes_with_the_servers_own_clock() {
    let theirs = DateTime::from_timestamp_micros(1_000_500_000);
    for observed in replicating(&answers(true), at(5_000, 0), at(5_000, 400)) {
        let dated = [common::LAST_COMMIT, s::STARTED].contains(&observed.signal);
        assert_eq!(observed.as_of, theirs.filter(|_| dated), "{}", observed.signal);
    }
    let (head, fresh) = (vec![row(&["f", "150018", "1000.5"])], vec![row(&["990", "timestamp with time zone"])]);
    let dated = restored(Ok(&head), Ok(&fresh), at(5_000, 0), at(5_000, 400));
    assert_eq!((&dated[0].signal, dated[0].as_of), (&common::FRESH_AS_OF, theirs));
    let undated = restored(Err(Reason::Malformed.into()), Ok(&fresh), at(5_000, 0), at(5_000, 400));
    assert_eq!(undated[0].as_of, None);
}

#[test]
fn every_setting_that_a_rule_judges_is_asked_for() {
    let rules = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/systems/postgres/rules");
    let mut named = std::collections::BTreeSet::new();
    // Those of logical replication read no settings.
    let files = std::fs::read_dir(rules).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file());
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        for call in ["setting(\"", "number(\"", "is(\""] {
            named.extend(text.split(call).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
        }
        // Lists of names that are gone through.
        for list in text.split("_SETTINGS: [&str;").skip(1).chain(text.split("FIVE: [&str;").skip(1)) {
            let list = list.split(';').next().unwrap();
            named.extend(list.split('"').skip(1).step_by(2).map(str::to_owned));
        }
    }
    assert!(named.contains("max_connections") && named.contains("synchronous_commit"), "{named:?}");
    for name in named {
        assert!(SETTINGS.contains(&name.as_str()), "{name} is not in queries::SETTINGS");
    }
}

proptest! {
    #[test]
    fn garbage_never_panics(
        cells in prop::collection::vec(prop::option::of(".{0,12}|[0-9./-]{0,20}"), 0..18),
        ask in prop::sample::select(REPLICATING),
        standby: bool,
    ) {
        let mut answers = answers(standby);
        answers.tables.insert(ask, Ok(vec![cells]));
        let _ = replicating(&answers, at(1_000, 0), at(1_000, 5));
    }
}
