//! What starts nothing: wrong words, what was shown too long ago, pastes, held keys, return alone, a terminal that is too
//! small.

use std::time::Duration;

use lifeboat::clock;
use lifeboat::runbook::RunbookKind::Switchover;

use super::console::{Console, REASON};
use super::entries;
use super::lab::{Fence, LARGE, Lab, SMALL};

/// Nothing was approved, nothing was begun, and the servers are as they were.
fn nothing_happened(lab: &Lab) {
    for run in lab.runs() {
        assert!(run["open"].as_bool().unwrap());
        let run = lab.export();
        assert_eq!((entries(&run, "approved"), entries(&run, "intent")), (0, 0), "{run:#}");
    }
    assert!(lab.pair.primary.pid().is_some());
    assert_eq!(lab.pair.standby.sql("SELECT pg_is_in_recovery()"), "t");
}

/// A key that is held: as often as a keyboard repeats it.
fn hold(console: &mut Console, key: &[u8]) {
    for _ in 0..20 {
        console.press(key);
    }
}

/// Everything that must not get past a prompt whose first text is `wrong` typed wrongly, and `right` typed rightly.
fn tries(lab: &Lab, console: &mut Console, title: &str, right: &str) {
    let wrong: String = right.chars().rev().collect();
    // Return alone, and held.
    console.enter();
    hold(console, b"\r");
    console.see(title);
    // Wrong words.
    console.type_in(&wrong);
    console.enter();
    console.see(title);
    console.see("type \"");
    erase(console, wrong.len());
    // All at once, return and all; then return by hand.
    console.press(format!("{right}\r").as_bytes());
    console.see("pasted");
    console.pause(Duration::from_millis(200));
    console.enter();
    console.see(title);
    erase(console, right.len());
    // As a terminal marks it.
    console.press(format!("\x1b[200~{right}\r\x1b[201~").as_bytes());
    console.see("pasted");
    console.pause(Duration::from_millis(200));
    console.enter();
    console.see(title);
    erase(console, right.len());
    // A held key types itself, and no more.
    hold(console, &right.as_bytes()[..1]);
    console.enter();
    console.see(title);
    erase(console, 24);
    nothing_happened(lab);
}

fn erase(console: &mut Console, keys: usize) {
    for _ in 0..keys {
        console.press(b"\x7f");
    }
}

#[test]
fn nothing_but_the_right_words_typed_in_time_starts_anything() {
    let lab = Lab::start(|lab| lab.book(Switchover, Fence::Block));
    let mut console = lab.ready_board(LARGE);
    // A held S opens a prompt, and is a text in it.
    hold(&mut console, b"S");
    console.see("why this switchover");
    console.escape();
    console.see("WHY");
    nothing_happened(&lab);
    assert!(lab.runs().is_empty());
    // The first prompt: which plan.
    console.press(b"S");
    console.see("why this switchover");
    console.type_in(REASON);
    console.enter();
    console.see("type \"shop\"");
    tries(&lab, &mut console, "type \"shop\"", "shop");
    assert!(lab.runs().is_empty());
    console.type_in("shop");
    console.enter();
    console.see("A reads all of it and approves");

    // The second: what it acts on.
    let challenge = format!("fence {}", lab.east);
    console.press(b"A");
    console.see("APPROVE STEP");
    tries(&lab, &mut console, "APPROVE STEP", &challenge);
    console.escape();

    // A terminal on which it has no room takes nothing.
    let mut tiny = lab.console((10, 60), &["attach", lab.runs()[0]["run"].as_str().unwrap()]);
    tiny.see("shop");
    tiny.until("that it may be approved", |t| t.contains("may be approved"));
    tiny.press(b"A");
    tiny.see("TOO SMALL");
    tiny.type_blind(&challenge);
    tiny.enter();
    tiny.see("TOO SMALL");
    nothing_happened(&lab);
    drop(tiny);

    // Somebody who looks only has no key for it.
    let mut looks = lab.console(SMALL, &["--read-only"]);
    looks.see("shop");
    looks.press(b"S");
    looks.press(b"o");
    looks.see("switchover");
    looks.press(b"A");
    looks.press(b"G");
    assert!(!looks.text().contains("APPROVE"), "{}", looks.text());
    looks.quit();

    // What was read a minute ago is not what is there now.
    console.press(b"G");
    console.see("A reads all of it and approves");
    console.press(b"A");
    console.see("APPROVE STEP");
    let shown = clock::now();
    console.until("that it is expired", |t| t.contains("EXPIRED") && !t.contains("may be approved"));
    assert!(clock::now().since(shown) < Duration::from_secs(65));
    console.type_in(&challenge);
    console.enter();
    console.see("refused: it was shown");
    nothing_happened(&lab);
    console.escape();
    console.press(b"X");
    console.see("to end the run");
    console.answer();
    console.see("K takes note");
    let run = lab.export();
    assert_eq!((entries(&run, "approved"), entries(&run, "intent")), (0, 0));
    console.take_note();
    console.quit();
}
