//! A person at a terminal: types key by key, reads the screen, and waits for what it says.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lifeboat::clock;
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

const PROGRAM: &str = env!("CARGO_BIN_EXE_lifeboat");
/// How long the screen may take to say what is waited for. Generous: the machine may be busy.
const LIMIT: Duration = Duration::from_secs(90);
/// Between two keys: as fast as quick fingers are.
const KEY: Duration = Duration::from_millis(25);
/// What is typed where a reason is wanted.
pub const REASON: &str = "as we drilled it";

fn rest(time: Duration) {
    let until = clock::now().plus(time);
    while clock::now().boot < until.boot {
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// The program in a terminal, with somebody before it.
pub struct Console {
    master: Option<Box<dyn MasterPty + Send>>,
    writer: Option<Box<dyn std::io::Write + Send>>,
    child: Box<dyn Child + Send + Sync>,
    screen: Arc<Mutex<vt100::Parser>>,
    /// Where runners leave their logs, for whoever reads why a test failed.
    state: PathBuf,
}

impl Console {
    /// Starts `lifeboat` with these arguments on a terminal of so many rows and columns.
    pub fn start(config: &Path, (rows, cols): (u16, u16), arguments: &[&str]) -> Self {
        let mut command = CommandBuilder::new(PROGRAM);
        command.arg("--config");
        command.arg(config);
        command.args(arguments);
        Self::of(command, config, (rows, cols))
    }

    /// The same through any command that ends in a terminal.
    pub fn of(command: CommandBuilder, config: &Path, size: (u16, u16)) -> Self {
        let home = config.parent().unwrap();
        Self::with(command, &home.join("state"), size, &[("HOME", home.display().to_string())])
    }

    /// The same in any environment. Runners leave their logs in `state`, where that is known.
    pub fn with(mut command: CommandBuilder, state: &Path, (rows, cols): (u16, u16), env: &[(&str, String)]) -> Self {
        let pty = native_pty_system().openpty(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
        command.env("TERM", "xterm-256color");
        command.env("RUST_BACKTRACE", "0");
        for (name, value) in env {
            command.env(name, value);
        }
        let child = pty.slave.spawn_command(command).unwrap();
        drop(pty.slave);
        let mut reader = pty.master.try_clone_reader().unwrap();
        let writer = pty.master.take_writer().unwrap();
        let screen = Arc::new(Mutex::new(vt100::Parser::new(rows.try_into().unwrap(), cols.try_into().unwrap(), 0)));
        let into = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut chunk = [0; 8192];
            while let Ok(n @ 1..) = reader.read(&mut chunk) {
                into.lock().unwrap().process(&chunk[..n]);
            }
        });
        Self { master: Some(pty.master), writer: Some(writer), child, screen, state: state.to_path_buf() }
    }

    /// The screen as it is.
    pub fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// The screen on one line, one blank between words: what is wrapped is found.
    pub fn flat(&self) -> String {
        flat(&self.text())
    }

    /// Waits until the screen is as `seen` wants it.
    pub fn until(&self, what: &str, mut seen: impl FnMut(&str) -> bool) {
        let began = clock::now();
        loop {
            let text = self.flat();
            if seen(&text) {
                return;
            }
            if clock::now().since(began) > LIMIT {
                panic!("waited in vain for {what}:\n{}\n{}", self.text(), self.logs());
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// Waits until these words are on the screen.
    pub fn see(&self, words: &str) {
        self.until(words, |text| text.contains(words));
    }

    /// What the runners logged.
    pub fn logs(&self) -> String {
        let files = std::fs::read_dir(self.state.join("runs")).into_iter().flatten().flatten();
        let texts = files.filter(|f| f.path().extension().is_some_and(|e| e == "log"));
        texts.map(|f| std::fs::read_to_string(f.path()).unwrap_or_default()).collect()
    }

    /// Presses what a terminal sends for one key.
    pub fn press(&mut self, bytes: &[u8]) {
        let writer = self.writer.as_mut().unwrap();
        writer.write_all(bytes).unwrap();
        writer.flush().unwrap();
        rest(KEY);
    }

    /// Presses return.
    pub fn enter(&mut self) {
        self.press(b"\r");
    }

    /// Leaves a prompt or a screen.
    pub fn escape(&mut self) {
        self.press(b"\x1b");
        // Alone it is known from the beginning of a sequence by the pause after it.
        rest(Duration::from_millis(60));
    }

    /// Types a text key by key, each once the one before is on the screen. Where the machine was too busy to take the keys
    /// one by one, they are refused as a paste: then they are typed again, as a person would.
    pub fn type_in(&mut self, text: &str) {
        for _ in 0..5 {
            let mut typed = String::new();
            for c in text.chars() {
                typed.push(c);
                self.press(c.to_string().as_bytes());
                let began = clock::now();
                while !self.holds(&typed) && clock::now().since(began) < Duration::from_secs(2) {
                    std::thread::park_timeout(Duration::from_millis(2));
                }
            }
            if self.holds(text) {
                return;
            }
            rest(Duration::from_millis(100));
            for _ in 0..text.len() {
                self.press(b"\x7f");
            }
        }
        panic!("{text:?} could not be typed:\n{}", self.text());
    }

    /// Types a command into the palette.
    pub fn type_palette(&mut self, command: &str) {
        self.see("command");
        for c in command.chars() {
            self.press(c.to_string().as_bytes());
        }
        self.see(&format!(":{command}_"));
        self.enter();
    }

    /// Types where nothing shows it.
    pub fn type_blind(&mut self, text: &str) {
        for c in text.chars() {
            self.press(c.to_string().as_bytes());
        }
    }

    /// Does nothing for a while.
    pub fn pause(&self, time: Duration) {
        rest(time);
    }

    /// Whether the text that the keys go to is this, with the cursor after it.
    fn holds(&self, typed: &str) -> bool {
        self.flat().contains(&flat(&format!("> {typed}_")))
    }

    /// The label and hint of the text that the keys go to; `None` where nothing is typed.
    fn field(&self) -> Option<String> {
        let text = self.text();
        let from = text.rfind("▌●").or_else(|| text.rfind("▌○"))?;
        // Its mark says whether it is as it is wanted, and changes while one types.
        let rest = flat(text[from..].trim_start_matches(['▌', '●', '○']));
        Some(rest.split(" > ").next().unwrap_or_default().to_owned())
    }

    /// Answers every text of the prompt on the screen as it wants to be answered, until it is gone; gives what was typed.
    pub fn answer(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        self.until("the first text", |_| self.field().is_some());
        for _ in 0..30 {
            let Some(field) = self.field() else { return all };
            let wanted = match field.split_once("type \"") {
                Some((_, rest)) => rest.split('"').next().unwrap_or_default().to_owned(),
                None => REASON.to_owned(),
            };
            self.type_in(&wanted);
            all.push(wanted.clone());
            // It goes to the next text, or away. Where the screen was just renewed it wants to be looked at first.
            for _ in 0..3 {
                self.enter();
                let began = clock::now();
                while self.field().is_some_and(|now| now == field) && clock::now().since(began) < Duration::from_secs(3)
                {
                    std::thread::park_timeout(Duration::from_millis(5));
                }
                if !self.holds(&wanted) || self.field().is_none_or(|now| now != field) {
                    break;
                }
            }
        }
        panic!("the prompt does not go away:\n{}\n{}", self.text(), self.logs());
    }

    /// From the board: opens a run of this kind and waits until its screen is there.
    pub fn open(&mut self, key: &[u8]) {
        self.see("shop");
        self.open_of(key, "shop");
    }

    /// The same of a plan that the cursor is on.
    pub fn open_of(&mut self, key: &[u8], plan: &str) {
        self.press(key);
        self.answer_opening(plan);
    }

    /// Answers what is asked before a run is opened.
    pub fn answer_opening(&mut self, plan: &str) {
        self.until("the prompt", |t| t.contains("What is wrong?") || t.contains("why this"));
        if self.text().contains("What is wrong?") {
            self.press(b"o");
        }
        self.see("why this");
        assert_eq!(self.answer(), [REASON, plan]);
        self.until("the run", |t| t.contains("declared") && !t.contains("why this"));
    }

    /// Waits for what the next steps would do, and approves it; gives what had to be typed.
    pub fn approve(&mut self) -> Vec<String> {
        self.see("A reads all of it and approves");
        self.press(b"A");
        self.see("APPROVE STEP");
        // Where all of it has no room, fewer steps at a time have.
        while self.text().contains("TOO SMALL") {
            let before = self.head();
            self.escape();
            self.see("A reads all of it and approves");
            self.press(b"-");
            self.until("fewer steps", |t| !t.contains(&before) && t.contains("A reads all of it and approves"));
            self.press(b"A");
            self.see("APPROVE STEP");
        }
        let typed = self.answer();
        self.until("that it is taken", |t| !t.contains("A reads all of it"));
        typed
    }

    /// Which steps are shown.
    fn head(&self) -> String {
        let text = self.flat();
        let steps = text.split("APPROVE ").nth(1).unwrap_or_default();
        let words: Vec<&str> =
            steps.split(' ').take_while(|w| w.contains("STEP") || *w == "TO" || w.parse::<u8>().is_ok()).collect();
        format!("shown: {} may be approved", words.join(" ").to_lowercase())
    }

    /// Goes on until the run is closed, approving whatever is shown; gives what was typed for each approval.
    pub fn through(&mut self) -> Vec<Vec<String>> {
        let mut all = Vec::new();
        loop {
            let mut waits = None;
            self.until("an approval or the end", |t| {
                // Where an approval was disarmed, because a busy machine made what was read too old, it is asked for again.
                let still = t.contains("G shows what comes next");
                let since = *waits.get_or_insert_with(clock::now);
                waits = waits.filter(|_| still);
                let again = still && clock::now().since(since) > Duration::from_secs(4);
                let over = ["A reads all of it and approves", "K takes note", "R tries the step"];
                again || over.iter().any(|o| t.contains(o))
            });
            if self.text().contains("G shows what comes next") {
                self.press(b"G");
                continue;
            }
            let text = self.text();
            assert!(!text.contains("R tries the step"), "it is halted:\n{text}\n{}", self.logs());
            if text.contains("K takes note") {
                return all;
            }
            all.push(self.approve());
        }
    }

    /// Takes note of how the run ended.
    pub fn take_note(&mut self) {
        self.press(b"K");
        self.see("in your words");
        assert_eq!(self.answer(), [REASON]);
        self.until("that it is noted", |t| !t.contains("K takes note"));
    }

    /// Leaves the program by its key; the terminal goes with it.
    pub fn quit(mut self) {
        self.press(b"q");
        let began = clock::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(clock::now().since(began) < LIMIT, "it does not end:\n{}", self.text());
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Sends a signal to the program.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.child.process_id().unwrap()).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Waits until the program is gone.
    pub fn ended(&mut self) {
        let began = clock::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(clock::now().since(began) < LIMIT, "it does not end:\n{}", self.text());
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Leaves the program by its key; gives what it says once the screen is gone, on one line.
    pub fn quit_saying(mut self) -> String {
        self.press(b"q");
        self.ended();
        self.until("the screen as it was", |_| !self.screen.lock().unwrap().screen().alternate_screen());
        self.flat()
    }

    /// The terminal is gone, as when a connection is cut.
    pub fn cut(mut self) {
        drop(self.writer.take());
        drop(self.master.take());
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn flat(text: &str) -> String {
    text.split_whitespace().filter(|w| !w.chars().all(|c| matches!(c, '│' | '─'))).collect::<Vec<_>>().join(" ")
}
