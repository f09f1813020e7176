//! Recordings, and their replay.

use std::convert::Infallible;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use lifeboat::app::event::{Key, KeyCode};
use lifeboat::app::{Event, Stamped};
use lifeboat::cli::console::Console;
use lifeboat::cli::replay;
use lifeboat::plan::Now;
use lifeboat::report::Style;
use lifeboat::store::recording::{Header, Recorder, Recording, RecordingError, Source};

use super::two_sites::{at, plan, primary, standby};

fn stamped(at: Now, event: Event) -> Stamped {
    Stamped { at, event }
}

fn session() -> Vec<Stamped> {
    let plan = plan("payments");
    let mut events =
        vec![stamped(at(0), Event::Resized { cols: 80, rows: 24 }), stamped(at(0), Event::Remembered(Box::default()))];
    for seconds in [1, 6, 11] {
        events.push(stamped(at(seconds), Event::Polled(primary(&plan, "east", at(seconds), 1_000 + seconds))));
        events.push(stamped(at(seconds), Event::Polled(standby(&plan, "west", at(seconds), 1_000 + seconds))));
    }
    events.push(stamped(at(12), Event::Key(Key { code: KeyCode::Char('j'), ctrl: false })));
    events.push(stamped(at(12), Event::Pasted));
    events.push(stamped(at(13), Event::Woke));
    events.push(stamped(at(14), Event::Ended("quit".into())));
    events
}

fn header(config: Vec<Source>) -> Header {
    Header::new(at(0), "boot".into(), config)
}

fn record(path: &Path, events: Vec<Stamped>) {
    let source = Source::new("config.toml", "here = \"elsewhere\"\n");
    let mut recorder = Recorder::create(path, &header(vec![source])).unwrap();
    for event in events {
        recorder.record(event);
    }
    recorder.finish().unwrap();
}

#[test]
fn what_is_recorded_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("session");
    record(&path, session());
    let recording = Recording::open(&path).unwrap();
    assert_eq!(recording.events, session());
    assert_eq!(recording.header.boot.as_str(), "boot");
    assert_eq!(recording.header.config[0].text, "here = \"elsewhere\"\n");
    assert!(!recording.cut);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let refused = Recorder::create(&path, &header(Vec::new())).unwrap_err();
    assert!(matches!(refused, RecordingError::Exists { .. }), "{refused}");
    assert_eq!(Recording::open(&path).unwrap().events, session(), "left alone");
}

#[test]
fn a_recording_folds_to_the_report_that_the_session_ended_with() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("session");
    record(&path, session());
    let mut printed = Vec::new();
    for _ in 0..2 {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let style = Style { width: Some(80), ..Style::default() };
        let mut console = Console { out: &mut out, err: &mut err, style, err_is_terminal: false };
        let code = replay::print(&path, |_| Ok::<_, Infallible>(vec![plan("payments")]), &mut console);
        assert_eq!((code, err.as_slice()), (0, &b""[..]));
        printed.push(String::from_utf8(out).unwrap());
    }
    assert_eq!(printed[0], printed[1], "as often as one likes");
    insta::assert_snapshot!(printed[0], @r"
    ● ready  payments  active: east  RPO now: <= 6s (goal 30s)  RTO now: ? (goal 5m)
      ● ready  payments/replication/orders-db west: the loss is bounded within the
          objective of 30s
      ● ready  payments/replication/orders-db east: db.east.example.com:5432: looked
          at
      ● ready  payments/replication/orders-db west: db.west.example.com:5432: looked
          at
    ");
}

#[test]
fn a_line_that_is_cut_is_left_out_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("session");
    record(&path, session());
    let text = std::fs::read(&path).unwrap();
    // Killed at any byte of the last event.
    let last = text[..text.len() - 1].iter().rposition(|b| *b == b'\n').unwrap() + 1;
    for length in last + 1..text.len() {
        let recording = Recording::read(&path, &text[..length]).unwrap();
        assert_eq!((recording.cut, recording.events.len()), (true, session().len() - 1), "{length}");
    }
    std::fs::write(&path, &text[..text.len() - 5]).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut console = Console { out: &mut out, err: &mut err, style: Style::default(), err_is_terminal: false };
    assert_eq!(replay::print(&path, |_| Ok::<_, Infallible>(vec![plan("payments")]), &mut console), 0);
    assert!(String::from_utf8(err).unwrap().ends_with("the last line is cut; the session was killed\n"));
}

#[test]
fn what_is_no_recording_is_refused_with_the_reason() {
    let path = Path::new("session");
    let read = |text: &str| Recording::read(path, text.as_bytes()).map(|_| ()).unwrap_err().to_string();
    let header = serde_json::to_string(&header(Vec::new())).unwrap();
    assert_eq!(read(""), "session: no recording of lifeboat: it is empty");
    assert_eq!(read("{\"a\":"), "session: no recording of lifeboat: its first line is cut");
    assert_eq!(read("hello\n"), "session: no recording of lifeboat: its first line is no header");
    let newer = header.replace("\"lifeboat_recording\":1", "\"lifeboat_recording\":2");
    assert_eq!(read(&format!("{newer}\n")), "session: recorded by a newer lifeboat (format 2, this one knows 1)");
    let damaged = read(&format!("{header}\n{{\"at\":7}}\n{{}}\n"));
    assert!(damaged.starts_with("session: line 2 is no event: "), "{damaged}");
    assert!(Recording::open(Path::new("/does/not/exist")).is_err());
}

#[test]
fn no_secret_of_the_configuration_gets_into_a_recording() {
    const SECRETS: [&str; 4] = ["hunter2", "tr0ub4dor&3", "c0rrect-h0rse", "b4ttery"];
    let config = r#"
        [[plan.probe]]
        at = { east = "postgres://lifeboat:hunter2@db.east.example.com/orders", west = "host=db password='tr0ub4dor&3' user=x" }
        password = "c0rrect-h0rse"
        also = "postgres://db/x?user=u&password=b4ttery&sslmode=require"
        password = { env = "ORDERS_DB_PASSWORD" }
    "#;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("session");
    let header = header(vec![Source::new("config.toml", config)]);
    assert_eq!(header.config[0].masked, 4);
    let debug = format!("{header:?}");
    Recorder::create(&path, &header).unwrap().finish().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    for secret in SECRETS {
        assert!(!text.contains(secret) && !debug.contains(secret), "{secret}");
    }
    assert!(text.contains("ORDERS_DB_PASSWORD"), "where a secret is to be found is none");
}

#[test]
fn a_file_that_cannot_be_made_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("below/none");
    assert!(matches!(Recorder::create(&path, &header(Vec::new())), Err(RecordingError::File { .. })));
}
