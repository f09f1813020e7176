//! `admit`: a durable intent of one's own tenure, and nothing else.

use super::super::*;
use super::bench::*;

/// A run in which step 1 has its intent, and that intent.
fn begun() -> (Bench, Entry) {
    let mut b = Bench::held();
    b.approved(0, 2);
    b.begin(0).unwrap();
    let intent = b.entries.last().unwrap().clone();
    (b, intent)
}

fn asked(entry: &Entry, epoch: u64, state: &RunState) -> Option<Authorized> {
    admit(DurableEntry::committed(entry.clone()), &Tenure::taken(entry.run.clone(), Epoch(epoch)), state)
}

#[test]
fn an_intent_of_ones_own_tenure_is_admitted() {
    let (b, intent) = begun();
    let given = asked(&intent, 1, &b.state).unwrap();
    assert_eq!((given.run(), given.attempt()), (&b.state.run, Bench::attempt(0, 1)));
    let durable = DurableEntry::committed(intent.clone());
    assert_eq!(durable.entry(), &intent);
    let tenure = Tenure::taken(intent.run.clone(), Epoch(1));
    assert_eq!((tenure.run(), tenure.epoch()), (&intent.run, Epoch(1)));
}

#[test]
fn nothing_else_is() {
    let (b, intent) = begun();
    for entry in &b.entries[..b.entries.len() - 1] {
        assert!(asked(entry, 1, &b.state).is_none(), "{:?}", entry.body);
    }
    assert!(asked(&intent, 0, &b.state).is_none(), "an older tenure");
    assert!(asked(&intent, 2, &b.state).is_none(), "a newer tenure");
    let other = Tenure::taken(RunId::new("other"), Epoch(1));
    assert!(admit(DurableEntry::committed(intent.clone()), &other, &b.state).is_none(), "another run's tenure");
    let foreign = Entry { run: RunId::new("other"), ..intent.clone() };
    assert!(asked(&foreign, 1, &b.state).is_none(), "another run's intent");
    let mut before = Bench { entries: b.entries.clone(), ..Bench::held() };
    before.state = fold(&b.entries[..b.entries.len() - 1]).unwrap();
    assert!(asked(&intent, 1, &before.state).is_none(), "a state without that intent");
}

#[test]
fn nor_after_anything_has_happened_to_it() {
    type Happens = fn(&mut Bench);
    let happenings: [(&str, Happens); 8] = [
        ("it acted", |b| drop(b.acted(0, 1).unwrap())),
        ("it ended", |b| drop(b.end(0, 1, Outcome::NotStarted).unwrap())),
        ("it succeeded", |b| drop(b.end(0, 1, Outcome::Succeeded).unwrap())),
        ("another tenure", |b| b.tenure(2)),
        ("the tenure was released", |b| drop(b.runner(Command::Release { why: "x".into() }).unwrap())),
        ("taken back", |b| drop(b.person(Command::Withdraw { reason: "wait".to_owned() }).unwrap())),
        ("disarmed", |b| drop(b.runner(Command::Disarm { why: vec![] }).unwrap())),
        ("being ended", |b| drop(b.person(Command::Abort { reason: "stop".to_owned() }).unwrap())),
    ];
    for (what, happens) in happenings {
        let (mut b, intent) = begun();
        happens(&mut b);
        assert!(asked(&intent, 1, &b.state).is_none(), "{what}");
    }
    let (mut b, intent) = begun();
    b.person(Command::Note { text: "x".to_owned() }).unwrap();
    assert!(asked(&intent, 1, &b.state).is_some(), "a note is no reason");
}

#[test]
fn one_that_failed_beside_it_stops_it() {
    let mut b = Bench::held();
    b.approved(0, 2);
    b.carry_out(0);
    b.begin(1).unwrap();
    b.begin(2).unwrap();
    let intent = b.entries.last().unwrap().clone();
    b.end(1, 1, Outcome::Failed).unwrap();
    assert!(asked(&intent, 1, &b.state).is_none());
}
