//! The terminal is lost in the middle of a run: the run is found where it is, and ends.

use lifeboat::runbook::RunbookKind::Switchover;
use portable_pty::CommandBuilder;

use super::console::Console;
use super::lab::{Fence, LARGE, Lab, numbers};
use crate::pg::{signal, until};
use crate::sshd::Sshd;

/// The program at the other end of an ssh session with a terminal.
fn by_ssh(lab: &Lab, sshd: &Sshd) -> Console {
    let mut command = CommandBuilder::new("ssh");
    command.args(sshd.arguments());
    let file = lab.file();
    let home = file.parent().unwrap().display().to_string();
    let program = env!("CARGO_BIN_EXE_lifeboat");
    let line = format!("env HOME={home} TERM=xterm-256color {program} --config {}", file.display());
    command.args(["-tt", "127.0.0.1", &line]);
    Console::of(command, &file, LARGE)
}

#[test]
fn a_session_that_is_cut_in_the_middle_harms_nothing() {
    let lab = Lab::start(|lab| lab.book(Switchover, Fence::Stop));
    let (east, west) = (&lab.pair.primary, &lab.pair.standby);
    let sshd = Sshd::start();
    let app = lab.app();
    let mut console = by_ssh(&lab, &sshd);
    console.until("that the plan is ready", |t| t.contains("shop") && t.contains("● ready"));
    console.open(b"S");
    console.approve();
    // The fence is approved and under way: the connection is cut.
    console.until("the fence", |t| t.contains("acting") || t.contains("observing") || t.contains("succeeded"));
    for session in sshd.sessions() {
        signal(session, "KILL");
    }
    console.cut();
    until("the fence is put up without anybody watching", || east.pid().is_none());

    // Another session, here, finds it: on the board, and as it stands.
    let mut console = lab.board(LARGE);
    console.press(b"o");
    console.see("runner lives");
    console.see("step 2 is next");
    console.press(b"G");
    let typed = console.approve();
    assert!(typed.last().unwrap().starts_with("promote"), "{typed:?}");
    // Whoever approved it leaves at once, and it goes on.
    console.cut();
    let approved = lab.export();
    let ends = || lab.runs()[0]["open"] == false;
    let began = lifeboat::clock::now();
    while !ends() {
        let late = lifeboat::clock::now().since(began) > std::time::Duration::from_secs(60);
        assert!(!late, "it does not go on: {:#}\n{approved:#}", lab.export());
    }
    let mut console = lab.board(LARGE);
    console.press(b"o");
    console.see("completed");
    console.take_note();
    until("the application is back", || app.rows_at(west.port).len() > 20);
    let acknowledged = app.rows();
    let there = numbers(west);
    assert!(acknowledged.iter().all(|r| there.contains(&r.n)));
    let run = lab.export();
    assert_eq!(super::entries(&run, "tenure"), 1, "one runner all the time");
    console.quit();
}
