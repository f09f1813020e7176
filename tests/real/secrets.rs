//! Passwords from wherever they may come, by the real binary against a real pair; and none of them anywhere else.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

use crate::lab_faults::{configuration, patient};
use crate::pg::{PgPair, until};

const SECRET: &str = "Hors3-b4ttery";
const WRONG: &str = "n0t-the-Horse";

/// A pair that asks the role `lifeboat` for its password.
struct World {
    pair: PgPair,
    dir: tempfile::TempDir,
}

/// One way to say the password: the rest of the configuration, and the environment.
#[derive(Default)]
struct Way<'a> {
    name: &'a str,
    /// Of each site's connection string, `PORT` being the port.
    at: String,
    more: String,
    env: Vec<(&'a str, String)>,
}

impl World {
    fn start() -> Self {
        let pair = PgPair::start();
        pair.primary.sql(&format!("ALTER ROLE lifeboat PASSWORD '{SECRET}'"));
        for server in [&pair.primary, &pair.standby] {
            server.hba(
                "local all all trust\nhost all,replication postgres 127.0.0.1/32 trust\n\
                 host all lifeboat 127.0.0.1/32 scram-sha-256\n",
            );
            server.reload();
            let asks = "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method = 'scram-sha-256'";
            until("the password is asked for", || server.sql(asks) == "1");
        }
        pair.in_step();
        Self { pair, dir: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Every way to say this password.
    fn ways(&self, password: &str) -> Vec<Way<'static>> {
        let url = "postgres://lifeboat@localhost:PORT/postgres?sslmode=disable".to_owned();
        let file = self.file(&format!("{password}.d/one"), &format!("{password}\n"));
        let pgpass = format!("localhost:*:postgres:lifeboat:{password}\n");
        let passfile = self.file(&format!("{password}.d/passfile"), &pgpass);
        let home = self.file(&format!("{password}.home/.pgpass"), &pgpass);
        let home = Path::new(&home).parent().unwrap().to_str().unwrap().to_owned();
        let way = |name, at: &str, more: String, env| Way { name, at: at.to_owned(), more, env };
        let (none, no_env) = (String::new, Vec::new);
        vec![
            way("environment", &url, "password = { env = \"ORDERS_PW\" }".into(), vec![("ORDERS_PW", password.into())]),
            way("file", &url, format!("password = {{ file = \"{file}\" }}"), no_env()),
            way("command", &url, format!("password = {{ command = [\"cat\", \"{file}\"] }}"), no_env()),
            way("url", &url.replace('@', &format!(":{password}@")), none(), no_env()),
            way("query", &format!("{url}&password={password}"), none(), no_env()),
            way(
                "conninfo",
                &format!("host=localhost port=PORT dbname=postgres user=lifeboat password='{password}'"),
                none(),
                no_env(),
            ),
            way("PGPASSWORD", &url, none(), vec![("PGPASSWORD", password.into())]),
            way("PGPASSFILE", &url, none(), vec![("PGPASSFILE", passfile)]),
            way("~/.pgpass", &url, none(), vec![("HOME", home)]),
        ]
    }

    fn config(&self, way: &Way<'_>) -> PathBuf {
        let at = |port: u16| way.at.replace("PORT", &port.to_string());
        let state = self.dir.path().join("state");
        let text = patient(&configuration(&at(self.pair.primary.port), &at(self.pair.standby.port), "30s"));
        let text = format!("state = \"{}\"\n{text}{}\n", state.display(), way.more);
        self.file("lifeboat.toml", &text).into()
    }

    fn run(&self, way: &Way<'_>, arguments: &[&str]) -> (i32, String) {
        let mut c = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
        c.arg("--config").arg(self.config(way)).args(arguments).stdin(Stdio::null());
        c.env("HOME", self.dir.path().join("nobody")).env("RUST_BACKTRACE", "1");
        for name in ["LIFEBOAT_CONFIG", "PGPASSWORD", "PGPASSFILE", "PGSERVICE"] {
            c.env_remove(name);
        }
        let out = c.envs(way.env.iter().map(|(k, v)| (k, v))).output().unwrap();
        let text = [out.stdout, out.stderr].concat();
        (out.status.code().unwrap(), String::from_utf8_lossy(&text).into_owned())
    }

    /// Whatever was written below the state's directory, and that no password is in it.
    fn state_is_clean(&self) -> usize {
        let mut files = 0;
        for entry in fs::read_dir(self.dir.path().join("state")).unwrap() {
            let path = entry.unwrap().path();
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            assert_clean(&path.display().to_string(), &text);
            files += 1;
        }
        files
    }
}

fn assert_clean(what: &str, text: &str) {
    for secret in [SECRET, WRONG] {
        assert!(!text.replace(&format!("{secret}.d"), "").contains(secret), "{what} holds a password: {text}");
    }
}

#[test]
fn a_password_may_come_from_anywhere_and_goes_nowhere_else() {
    let w = World::start();
    for way in w.ways(SECRET) {
        for format in ["text", "json"] {
            let (code, text) = w.run(&way, &["check", "--format", format]);
            assert_eq!(code, 0, "{}: {text}", way.name);
            assert_clean(way.name, &text);
        }
        let (code, text) = w.run(&way, &["config", "check"]);
        assert_eq!(code, 0, "{}: {text}", way.name);
        assert_clean(way.name, &text);
    }
    assert!(w.state_is_clean() > 0, "the history was written");
}

#[test]
fn a_wrong_password_is_unknown_and_is_not_told() {
    let w = World::start();
    for way in w.ways(WRONG) {
        for format in ["text", "json"] {
            let (code, text) = w.run(&way, &["check", "--format", format]);
            assert_eq!(code, 3, "{}: {text}", way.name);
            assert!(text.contains("password"), "{}: {text}", way.name);
            assert_clean(way.name, &text);
        }
    }
    w.state_is_clean();
    // A mistake beside the password: the line is shown, without it.
    for mut way in w.ways(WRONG) {
        way.at.push_str(if way.at.contains("://") { "&sslmod=x" } else { " sslmod=x" });
        let (code, text) = w.run(&way, &["config", "check"]);
        assert!(code >= 64 && text.contains("sslmod"), "{}: {code} {text}", way.name);
        assert_clean(way.name, &text);
    }
}

#[test]
fn no_password_gets_into_a_recorded_session() {
    let w = World::start();
    for way in w.ways(SECRET) {
        let recording = w.dir.path().join(format!("{}.jsonl", way.name.replace(['/', '~'], "")));
        let size = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
        let pty = native_pty_system().openpty(size).unwrap();
        let mut c = CommandBuilder::new(env!("CARGO_BIN_EXE_lifeboat"));
        c.arg("--config");
        c.arg(w.config(&way));
        c.arg("--record");
        c.arg(&recording);
        for name in ["LIFEBOAT_CONFIG", "PGPASSWORD", "PGPASSFILE", "PGSERVICE"] {
            c.env_remove(name);
        }
        c.env("HOME", w.dir.path().join("nobody"));
        c.cwd("/");
        c.env("TERM", "xterm-256color");
        way.env.iter().for_each(|(k, v)| c.env(k, v));
        let mut child = pty.slave.spawn_command(c).unwrap();
        let drawn = Arc::new(Mutex::new(String::new()));
        let (mut reader, seen) = (pty.master.try_clone_reader().unwrap(), Arc::clone(&drawn));
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(n @ 1..) = reader.read(&mut piece) {
                seen.lock().unwrap().push_str(&String::from_utf8_lossy(&piece[..n]));
            }
        });
        until("the board shows that it is ready", || drawn.lock().unwrap().contains("1 ready"));
        pty.master.take_writer().unwrap().write_all(b"q").unwrap();
        let mut status = None;
        until("it ends", || {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        assert_eq!(status.unwrap().exit_code(), 0);
        let text = fs::read_to_string(&recording).unwrap();
        assert!(text.lines().count() > 2 && text.contains("replication.received"), "{}", way.name);
        assert_clean(way.name, &text);
        assert_clean(way.name, &drawn.lock().unwrap());
        // What was masked is a configuration still.
        let (code, replayed) = w.run(&way, &["replay", "--print", recording.to_str().unwrap()]);
        assert_eq!(code, 0, "{}: {replayed}", way.name);
        assert_clean(way.name, &replayed);
    }
    w.state_is_clean();
}
