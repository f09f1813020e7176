//! The built program in a terminal: how it starts, and what it leaves behind however it ends.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// How long anything may take before it counts as not happening. Generous: the machine may be busy.
const LIMIT: Duration = Duration::from_secs(20);

const CONFIG: &str = r#"
here = "elsewhere"

[[plan]]
name       = "payments"
tier       = 1
strategy   = "warm-standby"
objectives = { rpo = "30s", rto = "5m" }
sites      = { east = "aws us-east-1", west = "aws us-west-2" }
home       = "east"
"#;

/// The program in a terminal of its own.
pub struct Session {
    master: Option<Box<dyn MasterPty + Send>>,
    writer: Option<Box<dyn Write + Send>>,
    child: Box<dyn Child + Send + Sync>,
    seen: Arc<Mutex<Vec<u8>>>,
    before: String,
    leave: Arc<AtomicBool>,
    reading: Option<JoinHandle<()>>,
    _dir: tempfile::TempDir,
}

#[expect(clippy::disallowed_methods, reason = "a test waits for a condition with a limit, by the real clock")]
pub fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < LIMIT, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Session {
    pub fn start(config: &str, env: &[(&str, &str)]) -> Self {
        Self::start_with(env, |file| std::fs::write(file, config).unwrap())
    }

    /// Starts it on a configuration that `write` puts there.
    fn start_with(env: &[(&str, &str)], write: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("lifeboat.toml");
        write(&file);
        let pty = native_pty_system().openpty(PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 }).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_lifeboat"));
        command.args(["--config", file.to_str().unwrap()]);
        command.env("TERM", "xterm-256color");
        command.env("RUST_BACKTRACE", "0");
        command.env("HOME", dir.path());
        command.env("XDG_STATE_HOME", dir.path());
        for (name, value) in env {
            command.env(name, value);
        }
        let before = modes(pty.master.as_ref());
        let child = pty.slave.spawn_command(command).unwrap();
        drop(pty.slave);
        let mut reader = pty.master.try_clone_reader().unwrap();
        let writer = pty.master.take_writer().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (into, leave) = (Arc::clone(&seen), Arc::new(AtomicBool::new(false)));
        let left = Arc::clone(&leave);
        let reading = std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(n @ 1..) = reader.read(&mut chunk) {
                into.lock().unwrap().extend_from_slice(&chunk[..n]);
                if left.load(Ordering::SeqCst) {
                    return;
                }
            }
        });
        Self {
            master: Some(pty.master),
            writer: Some(writer),
            child,
            seen,
            before,
            leave,
            reading: Some(reading),
            _dir: dir,
        }
    }

    /// One that shows its board.
    fn live(env: &[(&str, &str)]) -> Self {
        let session = Self::start(CONFIG, env);
        wait("the board", || session.screen().contains("payments"));
        wait("the mouse", || session.takes_mouse());
        session
    }

    /// Whether presses and the wheel come to the program, and nothing else of the mouse does.
    fn takes_mouse(&self) -> bool {
        let parser = self.parser();
        let screen = parser.screen();
        screen.mouse_protocol_mode() == vt100::MouseProtocolMode::PressRelease
            && screen.mouse_protocol_encoding() == vt100::MouseProtocolEncoding::Sgr
    }

    fn bytes(&self) -> Vec<u8> {
        self.seen.lock().unwrap().clone()
    }

    fn parser(&self) -> vt100::Parser {
        let mut parser = vt100::Parser::new(24.try_into().unwrap(), 80.try_into().unwrap(), 0);
        parser.process(&self.bytes());
        parser
    }

    pub fn screen(&self) -> String {
        self.parser().screen().contents()
    }

    pub fn press(&mut self, keys: &[u8]) {
        let writer = self.writer.as_mut().unwrap();
        writer.write_all(keys).unwrap();
        writer.flush().unwrap();
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.child.process_id().unwrap().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub fn exit(&mut self) -> u32 {
        let mut status = None;
        wait("the end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().exit_code()
    }

    /// The state letter of the process: `S`, `T`.
    fn state(&self) -> char {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.process_id().unwrap())).unwrap();
        stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
    }

    fn assert_restored(&self) {
        wait("leaving the alternate screen", || !self.parser().screen().alternate_screen());
        let parser = self.parser();
        assert!(!parser.screen().hide_cursor(), "the cursor is hidden");
        assert!(!parser.screen().bracketed_paste(), "bracketed paste is on");
        assert_eq!(parser.screen().mouse_protocol_mode(), vt100::MouseProtocolMode::None, "the mouse is taken");
        assert_eq!(parser.screen().mouse_protocol_encoding(), vt100::MouseProtocolEncoding::Default);
        let modes = modes(self.master.as_ref().unwrap().as_ref());
        assert_eq!(modes, self.before, "the line discipline is another than before");
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// The terminal's settings, as text that compares.
fn modes(master: &dyn MasterPty) -> String {
    format!("{:?}", master.get_termios().expect("a terminal has settings"))
}

#[test]
fn the_first_frame_waits_for_nothing() {
    // The configuration is a pipe that nobody writes to: reading it would never end.
    let mut session = Session::start_with(&[], |file| {
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, file, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    });
    wait("the title", || session.screen().contains("lifeboat"));
    session.press(b"q");
    assert_eq!(session.exit(), 0);
    session.assert_restored();
}

#[test]
fn keys_end_it_and_the_terminal_is_as_before() {
    for keys in [b"q".as_slice(), b"\x03"] {
        let mut session = Session::live(&[]);
        assert!(session.parser().screen().alternate_screen());
        session.press(keys);
        assert_eq!(session.exit(), 0);
        session.assert_restored();
    }
}

#[test]
fn signals_end_it_and_the_terminal_is_as_before() {
    use rustix::process::Signal;
    for (signal, status) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 129)] {
        let mut session = Session::live(&[]);
        session.signal(signal);
        assert_eq!(session.exit(), status);
        session.assert_restored();
    }
}

#[test]
fn a_panic_gives_the_terminal_back_before_it_speaks() {
    let mut session = Session::start(CONFIG, &[("LIFEBOAT_TEST_PANIC", "loop")]);
    assert_eq!(session.exit(), 101);
    session.assert_restored();
    wait("its words", || String::from_utf8_lossy(&session.bytes()).contains("a test asked for a panic"));
    let text = session.bytes();
    let at = |what: &[u8]| text.windows(what.len()).position(|w| w == what).unwrap();
    assert!(at(b"\x1b[?1049l") < at(b"a test asked"), "it spoke on the alternate screen");
}

#[test]
fn a_panic_gives_the_mouse_back() {
    let mut session = Session::start(CONFIG, &[("LIFEBOAT_TEST_PANIC", "mouse")]);
    assert_eq!(session.exit(), 101);
    wait("its words", || String::from_utf8_lossy(&session.bytes()).contains("a test asked for a panic"));
    session.assert_restored();
    let text = String::from_utf8_lossy(&session.bytes()).into_owned();
    assert!(text.contains("\x1b[?1000h") && text.contains("\x1b[?1000l"), "it was taken, and given back");
}

#[test]
fn a_mouse_that_is_not_wanted_is_not_taken() {
    let mut session = Session::start(&CONFIG.replace("here =", "mouse = false\nhere ="), &[]);
    wait("the board", || session.screen().contains("payments"));
    session.press(b"?");
    wait("help", || session.screen().contains("leave help"));
    assert!(!String::from_utf8_lossy(&session.bytes()).contains("\x1b[?100"));
    session.press(b"m");
    wait("the mouse", || session.takes_mouse());
    session.press(b"q");
    assert_eq!(session.exit(), 0);
    session.assert_restored();
}

#[test]
fn the_mouse_opens_and_scrolls_and_what_is_copied_is_sent_to_the_terminal() {
    let mut session = Session::live(&[("TMUX", "")]);
    let row = session.screen().lines().position(|l| l.contains("payments")).unwrap() + 1;
    // The first click is on the selected plan.
    session.press(format!("\x1b[<0;5;{row}M\x1b[<0;5;{row}m").as_bytes());
    wait("the plan", || session.screen().contains("plan payments"));
    session.press(b"y");
    wait("the word about it", || session.screen().contains("if the terminal allows it"));
    wait("the sequence", || String::from_utf8_lossy(&session.bytes()).contains("\x1b]52;c;cGF5bWVudHM6"));
    session.press(b"?");
    wait("help", || session.screen().contains("leave help"));
    session.press(b"\x1b[<65;5;5M\x1b[<65;5;5M");
    wait("help, further down", || !session.screen().contains("open the selected plan"));
    session.press(b"q");
    assert_eq!(session.exit(), 0);
    session.assert_restored();
}

#[test]
fn a_theme_of_ones_own_is_worn_and_a_mistake_in_it_is_told() {
    let write = |file: &Path, theme: &str| {
        let themes = file.parent().unwrap().join("themes");
        std::fs::create_dir(&themes).unwrap();
        std::fs::write(themes.join("mine.toml"), theme).unwrap();
        std::fs::write(file, CONFIG.replace("here =", "theme = \"mine\"\nhere =")).unwrap();
    };
    let mut session = Session::start_with(&[], |file| write(file, "[plain]\nbg = \"17\"\n"));
    wait("its background", || {
        session.parser().screen().cell(23, 79).is_some_and(|c| c.bgcolor() == vt100::Color::Idx(17))
    });
    session.press(b"q");
    assert_eq!(session.exit(), 0);
    let mut session = Session::start_with(&[], |file| write(file, "[plain]\nbg = \"nightly\"\n"));
    assert_eq!(session.exit(), 65);
    session.assert_restored();
    wait("the mistake", || session.screen().contains("mine.toml:2:6: plain.bg: \"nightly\" is no colour"));
}

#[test]
fn a_panic_of_a_task_does_not_tear_the_screen() {
    let mut session = Session::live(&[("LIFEBOAT_TEST_PANIC", "task")]);
    assert!(session.parser().screen().alternate_screen());
    assert!(!session.screen().contains("a test asked"));
    session.press(b"q");
    assert_eq!(session.exit(), 0);
    session.assert_restored();
    wait("the task's last words", || session.screen().contains("a test asked for a panic in a task"));
}

#[test]
fn a_vanished_terminal_ends_it() {
    let mut session = Session::live(&[]);
    // As when a connection is cut: nobody holds the other end any more.
    session.leave.store(true, Ordering::SeqCst);
    session.press(b"?");
    session.reading.take().unwrap().join().unwrap();
    drop(session.writer.take());
    drop(session.master.take());
    assert_eq!(session.exit(), 129);
}

#[test]
fn suspending_gives_the_terminal_back_and_coming_back_draws_anew() {
    let mut session = Session::live(&[]);
    for by_key in [true, false] {
        if by_key {
            session.press(b"\x1a");
        } else {
            session.signal(rustix::process::Signal::TSTP);
        }
        wait("the stop", || session.state() == 'T');
        session.assert_restored();
        session.signal(rustix::process::Signal::CONT);
        wait("the board again", || {
            session.parser().screen().alternate_screen() && session.screen().contains("payments")
        });
        wait("the mouse again", || session.takes_mouse());
    }
    session.press(b"q");
    assert_eq!(session.exit(), 0);
    session.assert_restored();
}

#[test]
fn a_paste_is_no_keys() {
    let mut session = Session::live(&[]);
    session.press(b"\x1b[200~q\x03q\x1b[201~");
    wait("the word about it", || session.screen().contains("pasted text"));
    session.press(b"q");
    assert_eq!(session.exit(), 0);
}

#[test]
fn a_resize_is_followed() {
    let mut session = Session::live(&[]);
    for (cols, rows) in [(120, 30), (1, 1), (20, 5), (80, 20)] {
        session.master.as_ref().unwrap().resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
    }
    // Only then a key: crossterm 0.29 leaves a key that comes with a resize unread until the next one (its mio source returns
    // at the signal and drops the terminal's edge).
    wait("the footer in its new row", || session.screen().lines().nth(19).is_some_and(|l| l.contains("open")));
    session.press(b"?");
    wait("help", || session.screen().contains("what is typed"));
    session.press(b"q");
    assert_eq!(session.exit(), 0);
    session.assert_restored();
}

/// A gate that needs no clock: what a moved cursor costs on a slow link. Twice what the smallest program that draws such a
/// table sends.
#[test]
fn a_moved_cursor_repaints_two_rows_and_no_more() {
    const MOST: usize = 576;
    let plans: Vec<String> = (0..60)
        .map(|n| {
            format!(
                "[[plan]]\nname = \"plan-{n:02}\"\ntier = 1\nstrategy = \"pilot-light\"\nhome = \"east\"\n\
                 objectives = {{ rpo = \"30s\", rto = \"5m\" }}\nsites = {{ east = \"e\", west = \"w\" }}\n"
            )
        })
        .collect();
    let mut session = Session::start(&format!("here = \"elsewhere\"\n{}", plans.concat()), &[]);
    // The whole first frame: its last row says why the selected plan is as it is.
    wait("the board", || session.screen().contains("▌ plan-00") && session.screen().contains("plan-00: "));
    // The rows that show are fewer than the plans: the last moves scroll the whole list, and are not counted.
    for n in 1..15 {
        let before = session.bytes().len();
        session.press(b"j");
        wait("the cursor on the next row", || session.screen().contains(&format!("▌ plan-{n:02}")));
        let sent = session.bytes().len() - before;
        assert!((1..=MOST).contains(&sent), "row {n}: {sent} bytes");
    }
    session.press(b"q");
    assert_eq!(session.exit(), 0);
}

#[test]
fn mistakes_in_the_configuration_end_the_screen_and_are_printed() {
    let mut session = Session::start("[[plam]]\nname = \"x\"\n", &[]);
    assert_eq!(session.exit(), 65);
    session.assert_restored();
    wait("the mistake", || session.screen().contains("plam"));
}
