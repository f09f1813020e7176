//! The fault servers do what they say: else the matrix proves nothing.

use std::net::SocketAddr;
use std::sync::Arc;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Duration, Instant, timeout};
use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::faults::dns::{Dns, DnsServer, NXDOMAIN, Record, SERVFAIL};
use crate::faults::postgres::Pg;
use crate::faults::proxy::{Mode, Proxy};
use crate::faults::tls::{Authority, Certificate};
use crate::faults::{Bytes, HUGE, Server};

const SOON: Duration = Duration::from_secs(5);
const SHORT: Duration = Duration::from_millis(700);

async fn connect(addr: SocketAddr) -> TcpStream {
    timeout(SOON, TcpStream::connect(addr)).await.unwrap().unwrap()
}

#[tokio::test]
async fn refused_refuses_at_once() {
    let server = Server::refused();
    let error = timeout(SOON, TcpStream::connect(server.addr)).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    udp.connect(server.addr).await.unwrap();
    udp.send(b"anyone?").await.unwrap();
    let error = timeout(SOON, udp.recv(&mut [0; 9])).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_black_hole_never_completes_a_connection() {
    let server = Server::black_hole().await;
    for _ in 0..3 {
        assert!(timeout(SHORT, TcpStream::connect(server.addr)).await.is_err());
    }
}

#[tokio::test]
async fn hang_accepts_and_says_nothing() {
    let server = Server::bytes(Bytes::Hang).await;
    let mut stream = connect(server.addr).await;
    stream.write_all(b"hello").await.unwrap();
    assert!(timeout(SHORT, stream.read_u8()).await.is_err());
    assert_eq!(server.seen.connections(), 1);
}

#[tokio::test]
async fn reset_is_a_reset_and_no_end() {
    let server = Server::bytes(Bytes::Reset(b"half an ans"[..].into())).await;
    let mut stream = connect(server.addr).await;
    stream.write_all(b"hello").await.unwrap();
    let error = timeout(SOON, stream.read_to_end(&mut Vec::new())).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn trickle_is_one_byte_a_second() {
    let server = Server::bytes(Bytes::Trickle(b"abc"[..].into())).await;
    let mut stream = connect(server.addr).await;
    let start = Instant::now();
    stream.write_all(b"hello").await.unwrap();
    let mut got = [0; 2];
    timeout(SOON, stream.read_exact(&mut got)).await.unwrap().unwrap();
    assert_eq!(&got, b"ab");
    assert!((Duration::from_millis(900)..Duration::from_millis(2500)).contains(&start.elapsed()));
}

#[tokio::test]
async fn a_flood_is_a_hundred_megabytes() {
    let server = Server::bytes(Bytes::Flood { head: b"h"[..].into(), unit: b"xy"[..].into(), total: HUGE }).await;
    let mut stream = connect(server.addr).await;
    stream.write_all(b"hello").await.unwrap();
    let mut read = 0;
    let mut piece = vec![0; 1 << 20];
    while read < HUGE {
        read += timeout(SOON, stream.read(&mut piece)).await.unwrap().unwrap() as u64;
    }
}

#[tokio::test]
async fn dropping_a_server_ends_it() {
    let server = Server::bytes(Bytes::Hang).await;
    let addr = server.addr;
    let mut stream = connect(addr).await;
    drop(server);
    assert!(matches!(timeout(SOON, stream.read(&mut [0; 9])).await.unwrap(), Ok(0) | Err(_)));
    // The listener itself closes when its task has been dropped, which the runtime does in its own time.
    let limit = Instant::now() + SOON;
    while TcpStream::connect(addr).await.is_ok() {
        assert!(Instant::now() < limit, "the port still takes connections");
        tokio::task::yield_now().await;
    }
}

async fn pg_error(what: Pg) -> String {
    let server = Server::postgres(what).await;
    let config = format!("host=127.0.0.1 port={} user=lifeboat password=x dbname=orders", server.addr.port());
    let outcome = timeout(SOON, async {
        let (client, connection) = tokio_postgres::connect(&config, NoTls).await?;
        let driving = tokio::spawn(connection);
        let answer = client.simple_query("select 1").await;
        driving.abort();
        answer
    });
    match outcome.await.unwrap() {
        Ok(answer) => {
            let row = |m: &&SimpleQueryMessage| matches!(m, SimpleQueryMessage::Row(_));
            format!("{} rows", answer.iter().filter(row).count())
        }
        Err(e) => e.code().map_or_else(|| "no code".to_owned(), |c| c.code().to_owned()),
    }
}

#[tokio::test]
async fn postgres_errors_have_their_codes() {
    assert_eq!(pg_error(Pg::Refuse("57P03", "the database system is starting up")).await, "57P03");
    assert_eq!(pg_error(Pg::Refuse("53300", "sorry, too many clients already")).await, "53300");
    assert_eq!(pg_error(Pg::Refuse("3D000", "database \"orders\" does not exist")).await, "3D000");
    assert_eq!(pg_error(Pg::WrongPassword).await, "28P01");
    assert_eq!(pg_error(Pg::QueryError("42501", "permission denied")).await, "42501");
    assert_eq!(pg_error(Pg::AtStartup(Bytes::Garbage)).await, "no code");
    assert_eq!(pg_error(Pg::reset_midway()).await, "no code");
    assert_eq!(pg_error(Pg::Close).await, "no code");
    assert_eq!(pg_error(Pg::NoRows).await, "0 rows");
}

#[tokio::test]
async fn certificates_fail_for_their_own_reason() {
    let authority = Authority::new("lab");
    let dir = tempfile::tempdir().unwrap();
    let pem = std::fs::read(authority.write(dir.path())).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    use rustls::pki_types::pem::PemObject;
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = Arc::new(config);
    for (which, words) in [
        (Certificate::Good, "good"),
        (Certificate::UnknownIssuer, "UnknownIssuer"),
        (Certificate::Expired, "expired"),
        (Certificate::OtherName, "not valid for name"),
    ] {
        let server = Server::http(200, Some(authority.server(which))).await;
        let stream = connect(server.addr).await;
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let said = match tokio_rustls::TlsConnector::from(Arc::clone(&config)).connect(name, stream).await {
            Ok(mut stream) => {
                stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
                let mut line = [0; 12];
                timeout(SOON, stream.read_exact(&mut line)).await.unwrap().unwrap();
                assert_eq!(&line, b"HTTP/1.1 200");
                "good".to_owned()
            }
            Err(e) => e.to_string(),
        };
        assert!(said.contains(words), "{which:?}: {said}");
    }
}

fn table() -> Vec<Record> {
    vec![
        Record::alias("shop.lab.test", 60, "front.lab.test"),
        Record::address("front.lab.test", 60, "192.0.2.10".parse().unwrap()),
        Record::soa("lab.test", 7, 5),
    ]
}

fn question(name: &str) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).unwrap());
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0, 0, 1, 0, 1]);
    message
}

async fn ask_udp(server: &DnsServer, name: &str) -> Option<Vec<u8>> {
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    udp.connect(server.addr).await.unwrap();
    udp.send(&question(name)).await.unwrap();
    let mut piece = vec![0; 65_535];
    let len = timeout(SHORT, udp.recv(&mut piece)).await.ok()?.unwrap();
    piece.truncate(len);
    Some(piece)
}

async fn ask_tcp(server: &DnsServer, name: &str) -> Vec<u8> {
    let mut stream = connect(server.addr).await;
    let asked = question(name);
    stream.write_u16(u16::try_from(asked.len()).unwrap()).await.unwrap();
    stream.write_all(&asked).await.unwrap();
    let mut answer = vec![0; usize::from(timeout(SOON, stream.read_u16()).await.unwrap().unwrap())];
    stream.read_exact(&mut answer).await.unwrap();
    answer
}

fn parse(message: &[u8]) -> Message {
    Message::from_vec(message).unwrap()
}

#[tokio::test]
async fn dns_answers_and_fails_as_told() {
    let server = DnsServer::start(Dns::Answer, table(), true).await;
    let good = parse(&ask_udp(&server, "shop.lab.test").await.unwrap());
    let kinds: Vec<RecordType> = good.answers.iter().map(|r| r.record_type()).collect();
    assert_eq!(kinds, [RecordType::CNAME, RecordType::A]);
    assert_eq!(good.answers[1].name, Name::from_ascii("front.lab.test.").unwrap());
    assert_eq!(parse(&ask_udp(&server, "no.lab.test").await.unwrap()).metadata.response_code, ResponseCode::NXDomain);

    for (what, code) in [
        (Dns::Rcode(SERVFAIL), ResponseCode::ServFail),
        (Dns::Rcode(NXDOMAIN), ResponseCode::NXDomain),
        (Dns::NoData, ResponseCode::NoError),
    ] {
        server.set(what);
        let answer = parse(&ask_udp(&server, "shop.lab.test").await.unwrap());
        assert_eq!((answer.metadata.response_code, answer.answers.len()), (code, 0));
    }

    server.set(Dns::Hang);
    assert_eq!(ask_udp(&server, "shop.lab.test").await, None);
    server.set(Dns::WrongId);
    assert_ne!(parse(&ask_udp(&server, "shop.lab.test").await.unwrap()).metadata.id, 0x1234);
    server.set(Dns::Garbage);
    assert!(Message::from_vec(&ask_udp(&server, "shop.lab.test").await.unwrap()).is_err());
    server.set(Dns::Lose(1));
    assert_eq!(ask_udp(&server, "shop.lab.test").await, None);
    assert!(ask_udp(&server, "shop.lab.test").await.is_some());

    server.set(Dns::Truncated);
    assert!(parse(&ask_udp(&server, "shop.lab.test").await.unwrap()).metadata.truncation);
    assert_eq!(parse(&ask_tcp(&server, "shop.lab.test").await).answers.len(), 2);
    server.set(Dns::Largest);
    let largest = ask_tcp(&server, "shop.lab.test").await;
    assert!(largest.len() > 65_000, "{}", largest.len());
    assert!(parse(&largest).answers.len() > 2000);
}

#[tokio::test]
async fn the_proxy_counts_holds_and_cuts() {
    let server = Server::http(200, None).await;
    let proxy = Proxy::start(server.addr).await;
    let ask = async |stream: &mut TcpStream| {
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
        let mut line = [0; 39];
        stream.read_exact(&mut line).await
    };
    let mut stream = connect(proxy.addr).await;
    for _ in 0..3 {
        timeout(SOON, ask(&mut stream)).await.unwrap().unwrap();
    }
    assert_eq!((proxy.round_trips(), proxy.answered()), (3, 3 * 39));

    proxy.set(Mode::Delay(Duration::from_millis(40)));
    let start = Instant::now();
    timeout(SOON, ask(&mut stream)).await.unwrap().unwrap();
    assert!(start.elapsed() >= Duration::from_millis(80));

    proxy.set(Mode::Swallow);
    assert!(timeout(SHORT, ask(&mut stream)).await.is_err());
    let mut late = connect(proxy.addr).await;
    assert!(timeout(SHORT, ask(&mut late)).await.is_err());

    proxy.set(Mode::Reset);
    let error = timeout(SOON, stream.read_to_end(&mut Vec::new())).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);

    proxy.set(Mode::CutAfter(10));
    let mut stream = connect(proxy.addr).await;
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut got = Vec::new();
    let error = timeout(SOON, stream.read_to_end(&mut got)).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(got.len() <= 10);
}
