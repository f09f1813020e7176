//! Failover without a primary: killed, frozen, and cut off while it still takes writes.

use lifeboat::clock;
use lifeboat::runbook::RunbookKind::Failover;

use super::client::{App, Goes};
use super::console::REASON;
use super::lab::{Fence, LARGE, Lab, all_of, numbers};
use super::{moment, same, state_of};
use crate::pg::until;

/// Waits until an application has written so many rows at a server, beyond those that it has there.
fn writes(app: &App, port: u16, more: usize) {
    let before = app.rows_at(port).len();
    until("the application writes", || app.rows_at(port).len() >= before + more);
}

#[test]
fn a_killed_primary_is_failed_over_by_keys_and_the_outage_is_told_as_it_was() {
    let lab = Lab::start(|lab| lab.book(Failover, Fence::OnItsHost));
    let (east, west) = (&lab.pair.primary, &lab.pair.standby);
    let app = lab.app();
    let mut console = lab.ready_board(LARGE);
    writes(&app, east.port, 50);
    all_of(east, "KILL");
    let before = app.rows_at(east.port).last().unwrap().at;
    console.see("PRIMARY DOWN");
    console.open(b"F");
    let typed = console.through();
    // It is stopped already, and that is seen: its fence takes no consent but the name.
    assert_eq!(typed[0], [format!("fence {}", lab.east)], "{typed:?}");
    let promote = format!("promote 127.0.0.1:{}", west.port);
    let promotes = typed.iter().find(|t| t.last() == Some(&promote)).unwrap_or_else(|| panic!("{typed:?}"));
    assert!(promotes.len() == 2 && promotes[0].starts_with("lose "), "{typed:?}");
    console.take_note();
    let run = lab.export();
    assert_eq!(run["state"], "completed");
    assert_eq!(run["fence"]["strength"], "proven");
    assert_eq!(state_of(&run, "fence the old primary"), "already true");
    let after = app.rows_at(west.port).first().expect("it writes at the new primary").at;
    same("T0", moment(&run, "t0"), before);
    same("recovered", moment(&run, "recovered"), after);
    // What nobody saw it write is not claimed to be there.
    let there = numbers(west);
    let lost: Vec<i64> = app.rows_at(east.port).iter().map(|r| r.n).filter(|n| !there.contains(n)).collect();
    println!("lost: {} rows; told: {}", lost.len(), run["loss"]);
    assert_ne!(run["loss"]["end"], true, "nobody saw where its log ended: {}", run["loss"]);
    console.until("what was lost", |t| t.contains("nobody saw"));
    console.quit();
}

#[test]
fn what_the_standby_lacks_of_a_killed_primary_is_told_to_the_byte() {
    let lab = Lab::start(|lab| lab.book(Failover, Fence::OnItsHost));
    let (east, west) = (&lab.pair.primary, &lab.pair.standby);
    let app = lab.app();
    let mut console = lab.ready_board(LARGE);
    // Nothing writes log of its own accord, so that its end is where it was looked at last.
    let writer: u32 =
        east.sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'background writer'").parse().unwrap();
    crate::pg::signal(writer, "STOP");
    writes(&app, east.port, 50);
    // The standby gets no more, and the application goes on for a while.
    lab.roads[1].set(crate::faults::proxy::Mode::Swallow);
    let cut = app.rows_at(east.port).len();
    writes(&app, east.port, 100);
    app.rest();
    let mut end = String::new();
    let mut since = clock::now();
    until("its log stands still and was looked at", || {
        let now = east.sql("SELECT pg_current_wal_flush_lsn()");
        if now != end {
            (end, since) = (now, clock::now());
        }
        clock::now().since(since) > std::time::Duration::from_millis(1_500)
    });
    all_of(east, "KILL");
    console.see("PRIMARY DOWN");
    console.open(b"F");
    // What is known to be missing is shown before anything is promoted.
    let held = west.sql("SELECT pg_last_wal_receive_lsn()");
    let missing: u64 = west.sql(&format!("SELECT pg_wal_lsn_diff('{end}', '{held}')::bigint")).parse().unwrap();
    assert!(missing > 0);
    console.approve();
    let typed = console.approve();
    assert!(typed.contains(&REASON.to_owned()), "advice is waived with a reason: {typed:?}");
    let written: Vec<i64> = app.rows().iter().map(|r| r.n).collect();
    // Nobody is back before there is somebody.
    drop(app);
    let back = lab.app();
    assert!(console.through().is_empty());
    drop(back);
    let run = lab.export();
    let loss = &run["loss"];
    assert_eq!(loss["missing"], missing, "{loss}; the end was {end}, held was {held}");
    let there = numbers(west);
    let lost = written.iter().filter(|n| !there.contains(n)).count();
    println!("lost: {lost} of {} rows, {missing} bytes", written.len());
    assert!((1..=written.len() - cut).contains(&lost), "{lost} rows are missing, {cut} were written before the cut");
    console.see("at least");
    console.take_note();
    console.quit();
}

#[test]
fn a_frozen_primary_that_thaws_writes_nothing_unnoticed() {
    let lab = Lab::start(|lab| lab.book(Failover, Fence::Block));
    let (east, west) = (&lab.pair.primary, &lab.pair.standby);
    let app = lab.app();
    let mut console = lab.ready_board(LARGE);
    writes(&app, east.port, 50);
    all_of(east, "STOP");
    let before = app.rows_at(east.port).last().unwrap().at;
    console.see("PRIMARY UNREACHABLE");
    console.open(b"F");
    let typed = console.through();
    assert_eq!(typed[0], ["assumed fence".to_owned(), format!("fence {}", lab.east)], "{typed:?}");
    let promotes = &typed[1];
    assert!(promotes.contains(&"assumed fence".to_owned()), "{typed:?}");
    assert!(promotes.iter().any(|t| t.starts_with("lose ")), "{typed:?}");
    assert_eq!(promotes.last().unwrap(), &format!("promote 127.0.0.1:{}", west.port), "{typed:?}");
    let run = lab.export();
    assert_eq!(run["fence"]["strength"], "assumed");
    let after = app.rows_at(west.port).first().expect("it writes at the new primary").at;
    same("T0", moment(&run, "t0"), before);
    same("recovered", moment(&run, "recovered"), after);
    assert_eq!(run["alarms"].as_array().unwrap().len(), 0);
    // It thaws, and what was on its way there is committed.
    all_of(east, "CONT");
    console.see("ALARM shop");
    console.see("SPLIT BRAIN shop: east and west take writes at once");
    // On every screen.
    for (key, there) in [(&b"b"[..], "WHY"), (b"t", "timeline"), (b"?", "every key"), (b"\x1b", "shop")] {
        console.press(key);
        console.until("the banner on the next screen", |t| t.contains("ALARM shop") && t.contains(there));
    }
    let run = lab.export();
    let alarms = run["alarms"].as_array().unwrap();
    assert!(alarms[0].as_str().unwrap().contains("east takes writes again"), "{alarms:?}");
    assert!(alarms[0].as_str().unwrap().contains("fence: assumed"), "{alarms:?}");
    // Another failover waits for somebody to take note of this one.
    console.press(b"b");
    console.see("WHY");
    console.press(b"F");
    console.see("nobody has taken note of how this one ended");
    east.stop("immediate");
    console.until("one primary", |t| !t.contains("SPLIT BRAIN"));
    console.take_note();
    console.until("no alarm", |t| !t.contains("ALARM"));
    console.quit();
}

#[test]
fn a_primary_that_is_cut_off_and_writes_on_is_noticed_when_it_returns_and_its_fence_is_ready() {
    let lab = Lab::start_by_road(|lab| lab.book(Failover, Fence::OnItsHost));
    let (east, west) = (&lab.pair.primary, &lab.pair.standby);
    let app = lab.app();
    let mut console = lab.ready_board(LARGE);
    writes(&app, east.port, 50);
    lab.cut_off(true);
    // An application on that side of the cut, which never learns of it.
    let stuck = App::start(Goes::Always(east.port), 1_000_000);
    console.see("PRIMARY UNREACHABLE");
    console.open(b"F");
    let fence = console.approve();
    assert_eq!(fence, ["assumed fence".to_owned(), format!("fence {}", lab.east)]);
    writes(&stuck, east.port, 20);
    let promotes = console.approve();
    assert!(promotes.contains(&"assumed fence".to_owned()), "{promotes:?}");
    // The application that follows the name looks it up again once it loses its session.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            until("the application is let go by the side that is cut off", || {
                east.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'shop'");
                !app.rows_at(west.port).is_empty()
            });
        });
        console.through();
    });
    writes(&app, west.port, 20);
    writes(&stuck, east.port, 20);
    let run = lab.export();
    assert_eq!(run["fence"]["strength"], "assumed");
    assert_eq!(run["alarms"].as_array().unwrap().len(), 0);
    lab.cut_off(false);
    console.see("ALARM shop");
    console.see("SPLIT BRAIN shop");
    console.see("Its fence again:");
    // The fence as it was prepared: by keys, in the same run.
    console.press(b"b");
    console.see("WHY");
    console.press(b"o");
    console.see("how it ended");
    let lines = lab.lifeboat(&["run", "shop", "failover", "--print"]).1;
    let stop = lines.lines().find(|l| l.contains("on-its-host") && l.contains("stop")).expect("its command");
    assert!(std::process::Command::new("sh").args(["-c", stop]).status().unwrap().success(), "{stop}");
    console.until("one primary", |t| !t.contains("SPLIT BRAIN"));
    assert!(east.pid().is_none());
    // What was written there since is rows that only the old primary has.
    let acknowledged = app.rows_at(west.port);
    let there = numbers(west);
    let lost = stuck.rows().iter().filter(|r| !there.contains(&r.n)).count();
    println!("{lost} rows of {} are on the old primary alone", stuck.rows().len());
    assert_eq!(lost, stuck.rows().len(), "the standby got nothing of it");
    assert!(acknowledged.iter().all(|r| there.contains(&r.n)));
    console.take_note();
    console.until("no alarm", |t| !t.contains("ALARM"));
    console.quit();
}
