//! How old what is seen is, as the program's own log tells it, held against a server that takes its time.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::terminal::{Session, wait};

/// What the server takes for an answer.
const SLOW: Duration = Duration::from_millis(300);

/// A web server that answers slowly, and counts its answers.
fn slow_server() -> (u16, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answered = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&answered);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let counted = Arc::clone(&counted);
            std::thread::spawn(move || answer(stream, &counted));
        }
    });
    (port, answered)
}

#[expect(clippy::disallowed_methods, reason = "the server is slow: that is what is measured")]
fn answer(mut stream: TcpStream, counted: &AtomicU64) {
    let mut request = [0; 1024];
    if !matches!(stream.read(&mut request), Ok(1..)) {
        return;
    }
    std::thread::sleep(SLOW);
    if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").is_ok() {
        counted.fetch_add(1, Ordering::SeqCst);
    }
}

fn configuration(port: u16) -> String {
    format!(
        r#"
here = "elsewhere"

[[plan]]
name       = "payments"
tier       = 1
strategy   = "warm-standby"
objectives = {{ rpo = "30s", rto = "5m" }}
sites      = {{ east = "aws us-east-1", west = "aws us-west-2" }}
home       = "east"
requires   = ["standby"]

[[plan.probe]]
name     = "health"
kind     = "http"
area     = "standby"
interval = "1s"
at       = {{ east = "http://127.0.0.1:{port}/", west = "http://127.0.0.1:{port}/" }}
"#
    )
}

/// The sum of a number that the log tells, over the lines that tell the ages of looks.
fn told(log: &str, name: &str) -> Vec<u64> {
    let lines = log.lines().filter(|l| l.contains("milliseconds from question to screen"));
    let number = |line: &str| line.split_whitespace().find_map(|word| word.strip_prefix(name)?.parse().ok());
    lines.filter_map(number).collect()
}

#[test]
fn the_log_tells_how_old_looks_are_when_they_are_seen() {
    let (port, answered) = slow_server();
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let env = [("LIFEBOAT_LOG", log.to_str().unwrap())];
    let mut session = Session::start(&configuration(port), &env);
    wait("the verdict", || session.screen().contains("ready"));
    wait("ten answers", || answered.load(Ordering::SeqCst) >= 10);
    session.press(b"q");
    assert_eq!(session.exit(), 0);
    let answered = answered.load(Ordering::SeqCst);
    let log = std::fs::read_to_string(&log).unwrap();
    let of = |name| told(&log, name);
    let looks: u64 = of("looks=").iter().sum();
    // Those of the last second may have been on their way.
    assert!((answered.saturating_sub(4)..=answered).contains(&looks), "{looks} looks, {answered} answers: {log}");
    let slow = u64::try_from(SLOW.as_millis()).unwrap();
    let ages: Vec<u64> = of("median=").into_iter().chain(of("oldest=")).collect();
    assert!(!ages.is_empty() && ages.iter().all(|age| *age >= slow), "younger than its answer: {log}");
    // Judged and drawn: a small part of a second, on a machine that may be busy.
    assert!(of("median=").iter().all(|age| *age < slow + 700), "{log}");
}
