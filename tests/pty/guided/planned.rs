//! Planned runs: a switchover that loses nothing, the way back, and one that stops before it promotes.

use lifeboat::runbook::RunbookKind::{Failback, Switchover};

use super::lab::{Fence, LARGE, Lab, SMALL, numbers};
use super::{moment, same, state_of};
use crate::pg::until;

/// East becomes a standby of west again, by a base backup.
fn rejoin(lab: &Lab) -> String {
    let (east, west) = (&lab.pair.primary, lab.pair.standby.port);
    let data = east.data.display();
    let body = format!(
        "rm -rf {data}\npg_basebackup -h 127.0.0.1 -p {west} -U postgres -D {data} -R -X stream -C -S east -c fast\n\
         cat >>{data}/postgresql.auto.conf <<END\nport = {}\ncluster_name = 'east'\nEND\n\
         pg_ctl -D {data} -l {data}.log -w start\n",
        east.port
    );
    lab.script("rejoin", &body)
}

fn books(lab: &Lab) -> String {
    let back = format!("probe = \"orders-db\"\non = \"new-active\"\nbasebackup = {}\ndeadline = \"60s\"", rejoin(lab));
    let ready = "area = \"replication\"\ndegraded = true\ndeadline = \"60s\"";
    [
        lab.book(Switchover, Fence::Stop),
        Lab::step(Failback, "east is a standby again", "postgres-rejoin", &back),
        Lab::step(Failback, "east keeps up", "wait-for", ready),
        lab.fence(Failback, &lab.pair.standby, Fence::Stop),
        lab.rest(Failback),
    ]
    .concat()
}

#[test]
fn a_switchover_and_the_way_back_lose_nothing() {
    let lab = Lab::start(books);
    let (east, west) = (&lab.pair.primary, &lab.pair.standby);
    let app = lab.app();
    let mut console = lab.ready_board(LARGE);
    until("the application writes", || app.rows().len() > 50);
    console.open(b"S");
    let typed = console.through();
    assert_eq!(typed, [[format!("fence {}", lab.east)], [format!("promote 127.0.0.1:{}", west.port)]]);
    until("the application is back", || app.rows_at(west.port).len() > 20);
    let run = lab.export();
    assert_eq!((&run["state"], &run["fence"]["strength"]), (&"completed".into(), &"proven".into()));
    assert_eq!((&run["loss"]["missing"], &run["loss"]["end"]), (&0.into(), &true.into()), "{}", run["loss"]);
    let acknowledged = app.rows();
    let there = numbers(west);
    assert!(acknowledged.iter().all(|r| there.contains(&r.n)), "every row that was acknowledged is there");
    // Users were away from the fence on, not from when somebody began to read.
    let (old, new) = (app.rows_at(east.port), app.rows_at(west.port));
    same("T0", moment(&run, "t0"), old.last().unwrap().at);
    same("recovered", moment(&run, "recovered"), new.first().unwrap().at);
    console.see("nothing: all up to");

    // The way back: not before the old site is a standby again.
    console.see("THE WAY BACK, AS OBSERVED NOW");
    console.see("east is a standby of west, and streams");
    assert!(!console.flat().contains("holds east is a standby"), "{}", console.text());
    let (code, text) = lab.lifeboat(&["check", "shop"]);
    assert!(matches!(code, 2 | 3), "{code}: {text}");
    console.take_note();
    console.press(b"b");
    console.see("WHY");
    console.press(b":");
    console.type_palette("failback");
    console.until("the prompt", |t| t.contains("why this failback"));
    console.answer();
    console.until("the run", |t| t.contains("declared"));
    // One step alone, so that there is something to see in between.
    console.see("A reads all of it and approves");
    for steps in ["steps 1 to 2", "step 1"] {
        console.press(b"-");
        console.see(&format!("shown: {steps} may be approved"));
    }
    let typed = console.approve();
    assert_eq!(typed, ["discard its changes".to_owned(), format!("rejoin {}", lab.east)]);
    console.until("that it goes on with step 2", |t| t.contains("step 2 is next") || t.contains("steps 2 to"));
    until("the plan is not lost any more", || matches!(lab.lifeboat(&["check", "shop"]).0, 0 | 1));
    let typed = console.through();
    println!("typed on the way back: {typed:?}");
    until("the application is home", || app.rows_at(east.port).len() > old.len() + 20);
    let back = lab.export();
    assert_eq!((&back["state"], &back["runbook"]), (&"completed".into(), &"failback".into()));
    assert_eq!(back["loss"]["missing"], 0, "{}", back["loss"]);
    let acknowledged = app.rows();
    let there = numbers(east);
    assert!(acknowledged.iter().all(|r| there.contains(&r.n)), "every row that was acknowledged is home");
    assert_eq!(state_of(&back, "clients are back"), "succeeded");
    console.take_note();
    console.quit();
}

#[test]
fn a_switchover_that_stops_before_it_promotes_lets_the_applications_in_again() {
    let lab = Lab::start(|lab| {
        let unfence = "probe = \"orders-db\"\non = \"old-active\"\ndeadline = \"40s\"\n\
                       app = { user = \"shop\", password = { command = [\"echo\", \"shop\"] } }";
        lab.book(Switchover, Fence::Block) + &Lab::step(Switchover, "let them in again", "postgres-unfence", unfence)
    });
    let (east, west) = (&lab.pair.primary, &lab.pair.standby);
    let app = lab.app();
    let mut console = lab.ready_board(SMALL);
    until("the application writes", || app.rows().len() > 50);
    console.open(b"S");
    console.approve();
    console.see("A reads all of it and approves");
    let before = app.rows().len();
    assert!(!east.sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'shop'").starts_with('1'));
    // Ending it as it is would leave everybody outside: that is said, and the way out.
    console.press(b"X");
    console.see("STAYS FENCED");
    console.escape();
    console.press(b"B");
    console.see("to turn back");
    console.answer();
    console.until("that it turned back", |t| !t.contains("B turns back"));
    let typed = console.through();
    assert_eq!(typed, [[format!("unfence {}", lab.east)]]);
    until("writes go on at the old primary", || app.rows_at(east.port).len() > before + 20);
    let run = lab.export();
    assert_eq!(run["state"], "completed");
    assert_eq!(state_of(&run, "promote the standby"), "skipped");
    assert_eq!(state_of(&run, "let them in again"), "succeeded");
    assert!(run["fence"].is_null(), "{}", run["fence"]);
    assert_eq!(west.sql("SELECT pg_is_in_recovery()"), "t");
    let acknowledged = app.rows();
    let there = numbers(east);
    assert!(acknowledged.iter().all(|r| there.contains(&r.n)));
    // Nothing was moved, so there is no way back to show.
    assert!(!console.text().contains("THE WAY BACK"), "{}", console.text());
    console.take_note();
    console.quit();
}
