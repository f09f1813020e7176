use super::*;
use crate::plan::BootTime;
use chrono::DateTime;
use proptest::prelude::*;

fn at(seconds: u64) -> Now {
    Now { wall: DateTime::from_timestamp(1_800_000_000, 0).unwrap(), boot: BootTime(Duration::from_secs(seconds)) }
}

fn row(cells: &[&str]) -> Vec<Option<String>> {
    cells.iter().map(|c| (*c != "NULL").then(|| (*c).to_owned())).collect()
}

/// A subscriber started at `since`, with these rows of subscriptions.
fn answers(since: &str, subscriptions: Vec<Vec<Option<String>>>) -> Answers {
    let head = ["f", "150018", "1800000000", "t", "t", "0/5000000", "NULL", "NULL", "NULL"];
    let more = ["000000010000000000000005", "10.0.0.1", "5432", since, "NULL", "f"];
    let mut answers = Answers { version: 150_018, ..Answers::default() };
    let all: Vec<&str> = head.into_iter().chain(more).collect();
    answers.tables.insert(Ask::Head, Ok(vec![row(&all)]));
    answers.tables.insert(Ask::Control, Ok(vec![row(&["7300000000000000002", "1", "0"])]));
    answers.tables.insert(Ask::Logical(L::Subscriptions), Ok(subscriptions));
    answers
}

fn subscription(name: &str, id: &str, running: bool, latest: &str, errors: &str) -> Vec<Option<String>> {
    let running = if running { "t" } else { "f" };
    row(&[name, "t", name, running, latest, latest, "60", errors, "f", id])
}

fn value(observed: &[Observed], signal: &SignalId) -> Result<Value, Gap> {
    observed.iter().find(|o| o.signal == *signal).unwrap().value.clone()
}

fn rises(observed: &[Observed]) -> Option<i64> {
    let Ok(Value::Rows(rows)) = value(observed, &s::SUBSCRIPTIONS) else { panic!("rows") };
    rows[0].int("rises").unwrap()
}

#[test]
fn a_position_is_remembered_while_its_worker_is_away_and_forgotten_when_the_server_begins_anew() {
    let mut memory = Memory::default();
    let mut look = |since: &str, running, latest: &str| {
        let said = answers(since, vec![subscription("shop", "1", running, latest, "0")]);
        value(&logical(&said, &[], &mut memory, at(1)), &common::APPLIED)
    };
    assert_eq!(look("1799999000", false, "NULL"), Ok(Value::Null));
    assert_eq!(look("1799999000", true, "0/10"), Ok(Value::Lsn(Lsn(0x10))));
    assert_eq!(look("1799999000", false, "NULL"), Ok(Value::Lsn(Lsn(0x10))));
    assert_eq!(look("1799999000", true, "0/0"), Ok(Value::Lsn(Lsn(0x10))), "a worker that heard nothing yet");
    assert_eq!(look("1799999500", false, "NULL"), Ok(Value::Null), "what was not flushed may be gone");
}

#[test]
fn the_subscription_that_is_furthest_behind_counts_and_only_those_that_are_wanted() {
    let two = || {
        answers(
            "1799999000",
            vec![subscription("a", "1", true, "0/20", "0"), subscription("b", "2", true, "0/10", "0")],
        )
    };
    let applied = |wanted: &[&str]| {
        let wanted: Vec<String> = wanted.iter().map(|w| (*w).to_owned()).collect();
        value(&logical(&two(), &wanted, &mut Memory::default(), at(1)), &common::APPLIED)
    };
    assert_eq!(applied(&[]), Ok(Value::Lsn(Lsn(0x10))));
    assert_eq!(applied(&["a"]), Ok(Value::Lsn(Lsn(0x20))));
    assert_eq!(applied(&["c"]), Ok(Value::NotApplicable));
    let silent = answers(
        "1799999000",
        vec![subscription("a", "1", true, "0/20", "0"), subscription("b", "2", false, "NULL", "0")],
    );
    assert_eq!(value(&logical(&silent, &[], &mut Memory::default(), at(1)), &common::APPLIED), Ok(Value::Null));
}

#[test]
fn errors_count_only_while_they_rise() {
    let mut memory = Memory::default();
    let mut look = |seconds, errors: &str| {
        let said = answers("1799999000", vec![subscription("shop", "1", true, "0/10", errors)]);
        rises(&logical(&said, &[], &mut memory, at(seconds)))
    };
    assert_eq!(look(0, "7"), Some(0), "old errors prove nothing");
    assert_eq!(look(5, "7"), Some(0));
    assert_eq!(look(10, "8"), Some(1));
    assert_eq!(look(15, "9"), Some(2));
    assert_eq!(look(20, "0"), Some(2), "a reset is no rise");
    assert_eq!(look(25, "1"), Some(3));
    assert_eq!(look(131, "1"), Some(2));
    assert_eq!(look(300, "1"), Some(0));
    assert_eq!(look(305, "NULL"), None, "before version 15 nobody counts");
}

#[test]
fn what_makes_no_sense_is_a_gap_and_no_publisher() {
    let mut said = answers("1799999000", vec![row(&["shop", "maybe", "shop", "t", "0/1", "0/1", "1", "0", "f", "1"])]);
    let observed = logical(&said, &[], &mut Memory::default(), at(1));
    for signal in [common::WRITABLE, common::FLUSHED, common::APPLIED, s::SUBSCRIPTIONS] {
        assert_eq!(value(&observed, &signal).unwrap_err().reason, Reason::Malformed, "{signal}");
    }
    said.tables.insert(Ask::Logical(L::Subscriptions), Ok(Vec::new()));
    let observed = logical(&said, &[], &mut Memory::default(), at(1));
    assert_eq!(value(&observed, &common::WRITABLE), Ok(Value::Bool(true)));
    assert_eq!(value(&observed, &s::TABLES).unwrap_err().reason, Reason::Absent);
    let many = vec![row(&["t", "d", "t", "t"]); MOST_TABLES + 1];
    said.tables.insert(Ask::Logical(L::Tables), Ok(many));
    let observed = logical(&said, &[], &mut Memory::default(), at(1));
    assert_eq!(value(&observed, &s::TABLES).unwrap_err().reason, Reason::TooLarge);
}

proptest! {
    #[test]
    fn no_answer_makes_it_panic(cells in proptest::collection::vec(proptest::option::of("\\PC{0,6}|[tf0-9/]{1,4}"), 0..12)) {
        for ask in [L::Subscriptions, L::Taken, L::Subscribed, L::Publications, L::Published, L::Tables, L::Sequences, L::Slots, L::Leftovers, L::Origins] {
            let mut said = answers("1799999000", Vec::new());
            said.tables.insert(Ask::Logical(ask), Ok(vec![cells.clone()]));
            let observed = logical(&said, &[], &mut Memory::default(), at(1));
            let mut brought: Vec<SignalId> = observed.iter().map(|o| o.signal.clone()).collect();
            let mut all = expected();
            brought.sort();
            all.sort();
            prop_assert_eq!(brought, all);
        }
    }
}
