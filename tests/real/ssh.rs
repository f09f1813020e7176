//! Over a real SSH session: `check`, and the board, whose session is cut.

use std::fs;
use std::io::{Read as _, Write as _};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lifeboat::clock;
use portable_pty::{CommandBuilder, PtySize, native_pty_system};

use crate::lab_faults::{configuration, url};
use crate::pg::{PgPair, signal, until};
use crate::process::with_argument;
use crate::sshd::Sshd;

/// A terminal with `ssh -tt` in it.
pub(super) struct Terminal {
    screen: Arc<Mutex<vt100::Parser>>,
    child: Box<dyn portable_pty::Child + Send + Sync>,
    writer: Box<dyn std::io::Write + Send>,
    _pair: portable_pty::PtyPair,
}

impl Terminal {
    pub(super) fn open(sshd: &Sshd, command: &str) -> Self {
        let size = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut ssh = CommandBuilder::new("ssh");
        ssh.args(sshd.arguments());
        ssh.args(["-tt", "127.0.0.1", command]);
        ssh.env("TERM", "xterm-256color");
        let child = pair.slave.spawn_command(ssh).unwrap();
        let screen = Arc::new(Mutex::new(vt100::Parser::new(NonZero::new(24).unwrap(), NonZero::new(80).unwrap(), 0)));
        let mut reader = pair.master.try_clone_reader().unwrap();
        let drawn = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(n @ 1..) = reader.read(&mut piece) {
                drawn.lock().unwrap().process(&piece[..n]);
            }
        });
        let writer = pair.master.take_writer().unwrap();
        Self { screen, child, writer, _pair: pair }
    }

    /// Presses one key.
    pub(super) fn press(&mut self, key: char) {
        self.writer.write_all(key.to_string().as_bytes()).unwrap();
        self.writer.flush().unwrap();
    }

    pub(super) fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    pub(super) fn until_shows(&self, words: &str) {
        let start = clock::now();
        while !self.text().contains(words) {
            let waited = clock::now().since(start);
            assert!(waited < Duration::from_secs(30), "never shown: {words}\n{}", self.text());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The pair's configuration in a file of its own, with state beside it.
fn written(pair: &PgPair, dir: &Path) -> PathBuf {
    let path = dir.join("lifeboat.toml");
    let text = configuration(&url(&pair.primary, "lifeboat"), &url(&pair.standby, "lifeboat"), "30s");
    fs::write(&path, format!("state = \"{}\"\n{text}", dir.join("state").display())).unwrap();
    path
}

pub(super) fn lifeboat(config: &Path) -> String {
    format!("{} --config {}", env!("CARGO_BIN_EXE_lifeboat"), config.display())
}

#[test]
fn check_over_ssh_gives_its_verdict_and_its_exit_code() {
    let (sshd, pair, dir) = (Sshd::start(), PgPair::start(), tempfile::tempdir().unwrap());
    let config = written(&pair, dir.path());
    let ready = sshd.run(&format!("{} check", lifeboat(&config)));
    let text = String::from_utf8_lossy(&ready.stdout);
    assert_eq!(ready.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&ready.stderr));
    assert!(text.contains("ready"), "{text}");
    pair.standby.sql("SELECT pg_wal_replay_pause()");
    let paused = sshd.run(&format!("{} check", lifeboat(&config)));
    assert_eq!(paused.status.code(), Some(2), "{}", String::from_utf8_lossy(&paused.stdout));
}

#[test]
fn a_board_whose_session_is_cut_ends_and_spins_nothing() {
    let (sshd, pair, dir) = (Sshd::start(), PgPair::start(), tempfile::tempdir().unwrap());
    let config = written(&pair, dir.path());
    let mark = config.display().to_string();
    // Cut on the server's side, by the client's death, and by a client that stops reading and is then cut.
    for cut in ["session", "client", "stalled"] {
        let terminal = Terminal::open(&sshd, &lifeboat(&config));
        terminal.until_shows("lab");
        terminal.until_shows("ready");
        let client = terminal.child.process_id().unwrap();
        let remote: Vec<u32> = with_argument(&mark).into_iter().filter(|p| *p != client).collect();
        assert!(!remote.is_empty(), "the board runs");
        match cut {
            "session" => sshd.sessions().into_iter().for_each(|s| signal(s, "KILL")),
            "client" => signal(client, "KILL"),
            _ => {
                signal(client, "STOP");
                sshd.sessions().into_iter().for_each(|s| signal(s, "KILL"));
            }
        }
        let start = clock::now();
        let left = || with_argument(&mark).into_iter().filter(|p| *p != client).collect::<Vec<u32>>();
        while !left().is_empty() {
            let waited = clock::now().since(start);
            assert!(waited < Duration::from_secs(2), "{cut}: still there after {waited:?}: {:?}", left());
            std::thread::park_timeout(Duration::from_millis(10));
        }
        println!("{cut}: gone after {:?}", clock::now().since(start));
        signal(client, "CONT");
    }
}

#[test]
fn a_board_over_ssh_quits_on_q_and_leaves_the_terminal_clean() {
    let (sshd, pair, dir) = (Sshd::start(), PgPair::start(), tempfile::tempdir().unwrap());
    let config = written(&pair, dir.path());
    let mut terminal = Terminal::open(&sshd, &lifeboat(&config));
    terminal.until_shows("lab");
    assert!(terminal.screen.lock().unwrap().screen().alternate_screen());
    terminal.press('q');
    let start = clock::now();
    let status = loop {
        if let Some(status) = terminal.child.try_wait().unwrap() {
            break status;
        }
        assert!(clock::now().since(start) < Duration::from_secs(5), "it does not end on q");
        std::thread::park_timeout(Duration::from_millis(10));
    };
    assert_eq!(status.exit_code(), 0);
    until("the alternate screen is left", || !terminal.screen.lock().unwrap().screen().alternate_screen());
    let parser = terminal.screen.lock().unwrap();
    assert!(!parser.screen().hide_cursor(), "the cursor is shown again");
}
