//! `verify`: every kind of tampering is found. And every body survives being kept.

use serde_json::json;

use super::super::*;
use super::bench::*;
use crate::plan::{Bytes, Lsn, SafeText, Span};

/// A run's entries as they are kept: each with the digest of the one before.
fn kept(entries: &[Entry]) -> Vec<String> {
    let mut head = Digest::NONE;
    let text = |entry: &Entry| {
        let text = serde_json::to_string(&Entry { prev: head, ..entry.clone() }).unwrap();
        head = chain(&text);
        text
    };
    entries.iter().map(text).collect()
}

fn run() -> Bench {
    let mut b = Bench::held();
    b.approved(0, 2);
    (0..3).for_each(|p| b.carry_out(p));
    b.approved(3, 5);
    (3..6).for_each(|p| b.carry_out(p));
    b.runner(Command::Close).unwrap();
    b
}

fn broken(texts: &[String]) -> String {
    verify(texts.iter().map(String::as_str)).unwrap_err().to_string()
}

#[test]
fn a_sound_journal_is_proven() {
    let b = run();
    let texts = kept(&b.entries);
    let (state, head) = verify(texts.iter().map(String::as_str)).unwrap();
    assert_eq!((&state, head), (&b.state, chain(texts.last().unwrap())));
    assert_eq!(Digest::parse(&head.to_string()), Some(head));
    assert_eq!(head.short().len(), 12);
}

#[test]
fn a_changed_entry() {
    let mut texts = kept(&run().entries);
    for at in 0..texts.len() - 1 {
        let mut changed = texts.clone();
        changed[at] = changed[at].replacen("alice", "mallory", 1);
        assert_ne!(changed[at], texts[at]);
        let said = format!("entry {}: does not follow from the entry before it: one of the two was changed", at + 2);
        assert_eq!(broken(&changed), said);
    }
    // The newest entry has none after it: that it is unchanged, its own digest says, which people compare.
    let head = chain(texts.last().unwrap());
    let last = texts.last_mut().unwrap();
    *last = last.replacen("alice", "mallory", 1);
    let (_, now) = verify(texts.iter().map(String::as_str)).unwrap();
    assert_ne!(now, head);
}

#[test]
fn a_missing_a_doubled_a_swapped_and_a_foreign_entry() {
    let entries = run().entries;
    let texts = kept(&entries);
    let without = |at: usize| [&texts[..at], &texts[at + 1..]].concat();
    assert_eq!(broken(&without(4)), "entry 5: says that it is entry 6: one is missing");
    assert_eq!(broken(&without(0)), "entry 1: says that it is entry 2: one is missing");
    let doubled = [&texts[..4], &texts[3..]].concat();
    assert_eq!(broken(&doubled), "entry 5: says that it is entry 4: one is missing");
    let mut swapped = texts.clone();
    swapped.swap(3, 4);
    assert!(broken(&swapped).starts_with("entry 4: says that it is entry 5"));
    let mut foreign = entries.clone();
    foreign[4].run = RunId::new("other");
    assert_eq!(broken(&kept(&foreign)), "entry 5: it is not the next entry of this run");
    // Without its end a journal is a run that is still open: what is cut off, the head's digest shows.
    let (state, head) = verify(texts[..9].iter().map(String::as_str)).unwrap();
    assert!(state.closed.is_none());
    assert_ne!(head, chain(texts.last().unwrap()));
}

#[test]
fn a_rewritten_journal_must_still_be_a_run() {
    let mut entries = run().entries;
    let intent = entries.iter().position(|e| matches!(e.body, Body::Intent { .. })).unwrap();
    entries[intent].epoch = Epoch(0);
    assert_eq!(broken(&kept(&entries)), format!("entry {}: of a tenure that is over", intent + 1));
    let entries = run().entries;
    assert_eq!(broken(&kept(&entries)[1..]), "entry 1: says that it is entry 2: one is missing");
    let mut headless = entries.clone();
    headless[0].body = Body::Noted { text: "x".into() };
    assert_eq!(broken(&kept(&headless)), "entry 1: the journal does not begin with an opened run");
    assert_eq!(broken(&[]), "entry 1: the journal does not begin with an opened run");
}

#[test]
fn what_cannot_be_read() {
    let mut texts = kept(&run().entries);
    texts[2] = texts[2].replacen(&format!("\"v\":{SCHEMA}"), "\"v\":3", 1);
    assert_eq!(broken(&texts), "entry 3: written by a newer lifeboat (version 3, this one knows 2)");
    texts[1].truncate(20);
    assert!(broken(&texts).starts_with("entry 2: cannot be read: "), "{}", broken(&texts));
}

/// One body of every kind, with every optional part filled in.
fn bodies() -> Vec<Body> {
    let now = at(9);
    let attempt = Bench::attempt(3, 2);
    let left = Yield {
        fence: Some(Fence { strength: Strength::Blocked, why: "refused".into() }),
        loss: Some(Loss { seen: Some(Lsn(9)), held: Lsn(5), missing: Some(Bytes(4)), end: false }),
        kept: json!({ "A": ["192.0.2.1"] }),
        facts: vec!["timeline 4 -> 5".into()],
        seen: Some(Box::new(now)),
    };
    let mut shown = preview(ix(3), now);
    shown.left = left.clone();
    shown.conditions.push(risk("loss", Held::Fails, Some(Span::millis(1_500)), now).later());
    shown.conditions[1].amount = Some(Amount { span: Some(Span::secs(2)), bytes: Some(Bytes(7)) });
    let amount = Amount { span: Some(Span::secs(90)), bytes: Some(Bytes(9)) };
    let approval = Approval {
        from: ix(3),
        to: ix(4),
        shown: 8,
        bounds: vec![Bound::of(ix(3), &shown, &runbook())],
        consents: vec![Consent { step: ix(3), condition: "loss".into(), typed: "x".to_owned(), ceiling: amount }],
        waived: vec![Waiver { step: ix(4), condition: "ttl".into(), reason: "x".into() }],
        typed: "do 4".to_owned(),
        lasts: Span::secs(330),
    };
    let mut book = opened(runbook());
    book.detected = Some(now.wall);
    book.after = Some(RunId::new("before"));
    book.practice = true;
    let step = &mut book.runbook.steps[0];
    (step.probe, step.on) = (Some("db".to_owned()), Some(On::Site(crate::plan::SiteId::new("north"))));
    (step.expect, step.because) = (Some(Span::secs(20)), Some("it is so".into()));
    book.runbook.steps[1].on = Some(On::NewActive);
    let why = || SafeText::new("why");
    let resolution = Resolution { outcome: Outcome::Indeterminate, why: why(), left: left.clone() };
    let boxed = || Box::new(left.clone());
    let closings = [
        Closing::Completed,
        Closing::Aborted { reason: why() },
        Closing::Preempted { by: RunId::new("real"), reason: why() },
    ];
    let acted = [
        Acted::Returned { said: why(), left: boxed() },
        Acted::Refused { said: why() },
        Acted::NotSent { why: why() },
        Acted::Unclear { why: why(), left: boxed() },
        Acted::Failed { said: why(), left: boxed() },
    ];
    let mut all = vec![
        Body::Opened(Box::new(book)),
        Body::Tenure { pid: 1, version: why() },
        Body::Released { why: why() },
        Body::Asked { from: ix(0), to: ix(2) },
        Body::Shown { asked: 3, steps: vec![(ix(3), shown.clone())] },
        Body::Approved(approval),
        Body::Disarmed { approval: 9, why: vec![why()] },
        Body::Withdrawn { reason: why() },
        Body::Intent { attempt, approval: 9, identity: shown.identity },
        Body::Outcome { attempt, resolution },
        Body::Confirmed { step: ix(5), done: false, words: why() },
        Body::Skipped { step: ix(1), reason: why() },
        Body::Dated { t0: Moment { at: now.wall, why: why() } },
        Body::Noted { text: why() },
        Body::Alarm { what: why() },
        Body::Progress { attempt, what: why() },
        Body::Aborting { reason: why() },
        Body::Acknowledged { reason: why() },
    ];
    all.extend(closings.map(Body::Closed));
    all.extend(acted.map(|acted| Body::Acted { attempt, acted }));
    all
}

/// Which kind a body is. A new kind does not compile until it is named here, and so in `bodies`.
fn kind(body: &Body) -> usize {
    match body {
        Body::Opened(_) => 0,
        Body::Tenure { .. } => 1,
        Body::Released { .. } => 2,
        Body::Asked { .. } => 3,
        Body::Shown { .. } => 4,
        Body::Approved(_) => 5,
        Body::Disarmed { .. } => 6,
        Body::Withdrawn { .. } => 7,
        Body::Intent { .. } => 8,
        Body::Acted { .. } => 9,
        Body::Outcome { .. } => 10,
        Body::Confirmed { .. } => 11,
        Body::Skipped { .. } => 12,
        Body::Dated { .. } => 13,
        Body::Noted { .. } => 14,
        Body::Alarm { .. } => 15,
        Body::Aborting { .. } => 16,
        Body::Closed(_) => 17,
        Body::Acknowledged { .. } => 18,
        Body::Progress { .. } => 19,
    }
}

#[test]
fn every_body_survives_being_kept() {
    let all = bodies();
    assert!((0..=19).all(|k| all.iter().any(|b| kind(b) == k)), "one of every kind");
    for body in all {
        let written = Entry { who: who("root (alice)"), ..entry(4, at(9), &"boot 1".into(), Epoch(3), body) };
        let text = serde_json::to_string(&written).unwrap();
        let read: Entry = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
        assert_eq!(read, written);
        assert_eq!(serde_json::to_string(&read).unwrap(), text, "and is written the same again");
    }
}

#[test]
fn no_two_lists_of_parts_have_one_digest() {
    let of = |parts: &[&str]| Digest::of(&parts.iter().map(|p| p.as_bytes()).collect::<Vec<_>>());
    assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
    assert_ne!(of(&["a"]), of(&["a", ""]));
    assert_eq!(Digest::parse("zz"), None);
    assert_eq!(Digest::parse(&"é".repeat(32)), None);
}

/// The first version of the form is read as it ever was, and written wherever it can say the same: the process that carries
/// out a run may be older than the one that looks at it.
#[test]
fn what_an_older_program_reads_is_written_as_it_reads_it() {
    let (open, mut closed) = (run().state, run().state);
    closed.closed = Some((Closing::Completed, at(9)));
    let mut newer = 0;
    for body in bodies() {
        let is_new = matches!(body, Body::Progress { .. } | Body::Acted { acted: Acted::Failed { .. }, .. });
        newer += usize::from(is_new);
        let mut state = open.clone();
        state.closed = None;
        assert_eq!(body.version(&state), if is_new { 2 } else { 1 }, "{body:?}");
    }
    assert_eq!(newer, 2);
    let tenure = Body::Tenure { pid: 7, version: "0.1.0".into() };
    assert_eq!(tenure.version(&closed), 2, "an older program takes no closed run");
    let mut old = kept(&run().entries);
    let mut head = Digest::NONE;
    for text in &mut old {
        let mut entry: Entry = serde_json::from_str(text).unwrap();
        (entry.v, entry.prev) = (1, head);
        *text = serde_json::to_string(&entry).unwrap();
        head = chain(text);
    }
    assert_eq!(verify(old.iter().map(String::as_str)).unwrap().1, head, "an old journal is proven still");
}
