//! `systems/postgres` against peers that are no servers, or that are behind something.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use lifeboat::readiness::signals as common;
use lifeboat::readiness::{Reason, Value};
use lifeboat::systems::postgres::signals as pg;

use super::pg::PgOne;
use super::postgres_lane::{lane, look, peer, proxy, reason_of};

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_misbehave_are_told_apart() {
    let at =
        |port: u16, more: &str| format!("postgres://lifeboat:look@127.0.0.1:{port}/postgres?sslmode=disable{more}");
    let one = PgOne::start("");
    let server = one.server.port;
    let turns = || Arc::new(AtomicUsize::new(0));

    let http = peer(|mut s| {
        s.read_exact(&mut [0; 8]).ok();
        s.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").ok();
        std::io::copy(&mut s, &mut std::io::sink()).ok();
    });
    assert_eq!(reason_of(&at(http, "")).await, Reason::Malformed);
    assert_eq!(reason_of(&format!("postgres://u:p@127.0.0.1:{http}/d?sslmode=require")).await, Reason::Malformed);
    let silent = peer(|mut s| while s.read(&mut [0; 64]).is_ok_and(|n| n > 0) {});
    assert_eq!(reason_of(&at(silent, "")).await, Reason::TimedOut);
    let closes = peer(drop);
    assert_eq!(reason_of(&at(closes, "")).await, Reason::Reset);

    // The login comes as the first chunk, the answer after it.
    let cut =
        proxy(server, |seen, b, to| to.write_all(if seen == 0 { b } else { &b[..99] }).is_ok() && seen == 0, turns());
    assert_eq!(reason_of(&at(cut, "")).await, Reason::Reset);
    let slow = proxy(
        server,
        |seen, bytes, to| {
            if seen == 0 {
                return to.write_all(bytes).is_ok();
            }
            bytes.chunks(1).all(|byte| {
                std::thread::park_timeout(Duration::from_secs(1));
                to.write_all(byte).is_ok()
            })
        },
        turns(),
    );
    assert_eq!(reason_of(&at(slow, "")).await, Reason::TimedOut);
    let large = proxy(
        server,
        |seen, bytes, to| {
            let head = if seen == 0 { bytes } else { &b"D\x06\0\0\0"[..] };
            to.write_all(head).is_ok() && (seen == 0 || (0..100).all(|_| to.write_all(&[b'x'; 1 << 20]).is_ok()))
        },
        turns(),
    );
    assert_eq!(reason_of(&at(large, "")).await, Reason::TooLarge);
    let rows = proxy(
        server,
        |seen, bytes, to| {
            if seen == 0 {
                return to.write_all(bytes).is_ok();
            }
            let row = [&b"D\0\0\x04\x0a\0\x01\0\0\x04\0"[..], &[b'x'; 1_024]].concat().repeat(1_024);
            to.write_all(&[&b"T\0\0\0\x1a\0\x01x\0"[..], &[0; 18]].concat()).is_ok()
                && (0..100).all(|_| to.write_all(&row).is_ok())
        },
        turns(),
    );
    let seen = look(&mut *lane(&at(rows, "")).1).await;
    assert_eq!(seen.reason(), Reason::TooLarge, "{:?}", seen.gap());
    let garbage = proxy(server, |seen, b, to| to.write_all(if seen == 0 { b } else { &[0xFF; 100] }).is_ok(), turns());
    assert_eq!(reason_of(&at(garbage, "")).await, Reason::Malformed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_refuses_options_is_asked_without_them() {
    let one = PgOne::start("");
    let server = one.server.port;
    let pooler = pooler(server, Arc::new(AtomicBool::new(true)));
    for user in ["lifeboat", "plain"] {
        let (_, mut l) = lane(&format!("postgres://{user}:look@127.0.0.1:{pooler}/postgres?sslmode=disable"));
        for _ in 0..2 {
            let seen = look(&mut *l).await;
            assert_eq!(seen.ok(&common::WRITABLE), &Value::Bool(true));
            assert!(matches!(seen.ok(&pg::COLLATIONS), Value::Rows(_)));
            assert_eq!(seen.rows(&pg::ARCHIVER)[0].int("ready").unwrap().is_some(), user == "lifeboat");
        }
    }
}

/// A relay to a server that, while `pools`, does as PgBouncer does: startup options are refused, everything else goes on to
/// the server. Its port.
pub(super) fn pooler(server: u16, pools: Arc<AtomicBool>) -> u16 {
    peer(move |mut client| {
        let mut length = [0; 4];
        if client.read_exact(&mut length).is_err() {
            return;
        }
        let mut startup = vec![0; u32::from_be_bytes(length) as usize - 4];
        client.read_exact(&mut startup).unwrap();
        if pools.load(Ordering::SeqCst) && startup.windows(8).any(|w| w == b"options\0") {
            let fields = b"SFATAL\0VFATAL\0C08P01\0Munsupported startup parameter: options\0\0";
            client.write_all(&[&b"E"[..], &(fields.len() as u32 + 4).to_be_bytes(), fields].concat()).unwrap();
            return;
        }
        let mut to = TcpStream::connect(("127.0.0.1", server)).unwrap();
        to.write_all(&[&length[..], &startup].concat()).unwrap();
        let (mut from, mut back) = (to.try_clone().unwrap(), client.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut from, &mut back));
        std::io::copy(&mut client, &mut to).ok();
        to.shutdown(std::net::Shutdown::Both).ok();
    })
}
