//! A PostgreSQL server of raw bytes: the startup phase as the real one has it, and then the fault.
//!
//! Message formats: PostgreSQL documentation, "Frontend/Backend Protocol", "Message Formats" (protocol 3.0).

use std::sync::Arc;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use super::bytes::{before, hang, misbehave};
use super::{Bytes, HUGE, Seen, Server};

const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;
/// The longest message that a client of ours has any reason to send.
const LONGEST: usize = 1 << 20;

/// What the server does.
#[derive(Clone, Debug)]
pub enum Pg {
    /// Refuses the startup message with this SQLSTATE and text: 57P03, 53300, 3D000, 28000.
    Refuse(&'static str, &'static str),
    /// Asks for SCRAM, then says 28P01.
    WrongPassword,
    /// Instead of any answer to the startup message.
    AtStartup(Bytes),
    /// Lets the client in, then this at its first query.
    AtQuery(Bytes),
    /// Lets the client in, then an error with this SQLSTATE and text at every query.
    QueryError(&'static str, &'static str),
    /// Lets the client in, then answers every query with no result at all.
    NoRows,
    /// Lets the client in, then hangs up at the query, politely.
    Close,
}

impl Pg {
    /// Lets the client in, then sends rows of one text column until 100 MB are sent.
    pub fn huge() -> Self {
        let text = "x".repeat(1000);
        let unit = data_row(&[Some(text.as_bytes())]).into();
        Self::AtQuery(Bytes::Flood { head: row_description(&["huge"]).into(), unit, total: HUGE })
    }

    /// Lets the client in, then one row of one column that says it is 100 MB long.
    pub fn huge_row() -> Self {
        let mut head = row_description(&["huge"]);
        head.push(b'D');
        head.extend_from_slice(&u32::try_from(HUGE + 10).unwrap().to_be_bytes());
        head.extend_from_slice(&1_u16.to_be_bytes());
        head.extend_from_slice(&u32::try_from(HUGE).unwrap().to_be_bytes());
        Self::AtQuery(Bytes::Flood { head: head.into(), unit: b"x"[..].into(), total: HUGE })
    }

    /// Lets the client in, then half a row and a RST.
    pub fn reset_midway() -> Self {
        let mut head = row_description(&["cut"]);
        let row = data_row(&[Some(b"never seen")]);
        head.extend_from_slice(&row[..row.len() / 2]);
        Self::AtQuery(Bytes::Reset(head.into()))
    }

    /// Lets the client in, then an honest answer at one byte a second.
    pub fn trickle() -> Self {
        let mut all = row_description(&["slow"]);
        all.extend_from_slice(&data_row(&[Some(b"slow")]));
        all.extend_from_slice(&message(b'C', b"SELECT 1\0"));
        all.extend_from_slice(&message(b'Z', b"I"));
        Self::AtQuery(Bytes::Trickle(all.into()))
    }
}

impl Server {
    /// A server that fails like this, without TLS.
    pub async fn postgres(what: Pg) -> Self {
        Self::postgres_tls(what, None).await
    }

    /// A server that takes TLS where there is a configuration, and then fails like this.
    pub async fn postgres_tls(what: Pg, tls: Option<Arc<ServerConfig>>) -> Self {
        Self::tcp(move |mut stream, seen| {
            let (what, tls) = (what.clone(), tls.clone());
            async move {
                if let Pg::AtStartup(bytes) | Pg::AtQuery(bytes) = &what {
                    before(&stream, bytes);
                }
                let _ = stream.set_nodelay(true);
                match startup(&mut stream, tls.is_some()).await {
                    Some(Startup::Plain) => session(&mut stream, &what, &seen).await,
                    Some(Startup::Tls) => {
                        let Some(config) = tls else { return };
                        if let Ok(mut stream) = TlsAcceptor::from(config).accept(stream).await
                            && let Some(Startup::Plain) = startup(&mut stream, false).await
                        {
                            session(&mut stream, &what, &seen).await;
                        }
                    }
                    None => {}
                }
            }
        })
        .await
    }
}

enum Startup {
    Plain,
    Tls,
}

/// Reads up to and with the startup message; `None` where the client went away, or wants to cancel.
async fn startup<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, tls: bool) -> Option<Startup> {
    loop {
        let len = stream.read_u32().await.ok()? as usize;
        assert!((8..LONGEST).contains(&len), "a startup message of {len} bytes");
        let mut body = vec![0; len - 4];
        stream.read_exact(&mut body).await.ok()?;
        match u32::from_be_bytes([body[0], body[1], body[2], body[3]]) {
            SSL_REQUEST if tls => {
                stream.write_all(b"S").await.ok()?;
                return Some(Startup::Tls);
            }
            SSL_REQUEST | GSS_REQUEST => stream.write_all(b"N").await.ok()?,
            CANCEL_REQUEST => return None,
            _ => return Some(Startup::Plain),
        }
    }
}

async fn session<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, what: &Pg, seen: &Seen) {
    match what {
        Pg::Refuse(code, text) => {
            let _ = stream.write_all(&error("FATAL", code, text)).await;
            let _ = stream.shutdown().await;
            return;
        }
        Pg::WrongPassword => {
            let _ = stream.write_all(&message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0")).await;
            if read_message(stream).await.is_some() {
                let text = "password authentication failed for user \"lifeboat\"";
                let _ = stream.write_all(&error("FATAL", "28P01", text)).await;
                let _ = stream.shutdown().await;
            }
            return;
        }
        Pg::AtStartup(bytes) => {
            misbehave(stream, bytes, seen).await;
            return;
        }
        Pg::AtQuery(_) | Pg::QueryError(..) | Pg::NoRows | Pg::Close => {}
    }
    if stream.write_all(&welcome()).await.is_err() {
        return;
    }
    while let Some((kind, _)) = read_message(stream).await {
        if kind == b'X' {
            return;
        }
        if kind != b'Q' && kind != b'S' {
            // Parse, bind and execute are answered at their sync.
            continue;
        }
        seen.question();
        let answer = match what {
            Pg::AtQuery(bytes) => {
                misbehave(stream, bytes, seen).await;
                return;
            }
            Pg::QueryError(code, text) => {
                let mut all = error("ERROR", code, text);
                all.extend_from_slice(&message(b'Z', b"I"));
                all
            }
            Pg::NoRows => {
                let mut all = message(b'I', b"");
                all.extend_from_slice(&message(b'Z', b"I"));
                all
            }
            Pg::Close => return,
            Pg::Refuse(..) | Pg::WrongPassword | Pg::AtStartup(_) => {
                hang(stream).await;
                return;
            }
        };
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

async fn read_message<S: AsyncRead + Unpin>(stream: &mut S) -> Option<(u8, Vec<u8>)> {
    let kind = stream.read_u8().await.ok()?;
    let len = stream.read_u32().await.ok()? as usize;
    assert!((4..LONGEST).contains(&len), "a message {kind} of {len} bytes");
    let mut body = vec![0; len - 4];
    stream.read_exact(&mut body).await.ok()?;
    Some((kind, body))
}

/// One message: its type, its length, its body.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    out.extend_from_slice(body);
    out
}

/// An `ErrorResponse`.
pub fn error(severity: &str, code: &str, text: &str) -> Vec<u8> {
    message(b'E', format!("S{severity}\0V{severity}\0C{code}\0M{text}\0\0").as_bytes())
}

/// What follows a good login: the parameters that clients look at, and leave to ask.
fn welcome() -> Vec<u8> {
    let mut all = message(b'R', b"\0\0\0\0");
    let parameters = [
        ("server_version", "15.18"),
        ("server_encoding", "UTF8"),
        ("client_encoding", "UTF8"),
        ("integer_datetimes", "on"),
        ("standard_conforming_strings", "on"),
        ("TimeZone", "UTC"),
    ];
    for (name, value) in parameters {
        all.extend_from_slice(&message(b'S', format!("{name}\0{value}\0").as_bytes()));
    }
    all.extend_from_slice(&message(b'K', &[0, 0, 0, 1, 0, 0, 0, 2]));
    all.extend_from_slice(&message(b'Z', b"I"));
    all
}

/// A `RowDescription` of text columns.
pub fn row_description(columns: &[&str]) -> Vec<u8> {
    let mut body = u16::try_from(columns.len()).unwrap().to_be_bytes().to_vec();
    for name in columns {
        body.extend_from_slice(name.as_bytes());
        // No table, no column, type text (25), any length, no modifier, text format.
        body.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0]);
    }
    message(b'T', &body)
}

/// A `DataRow`.
pub fn data_row(values: &[Option<&[u8]>]) -> Vec<u8> {
    let mut body = u16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
    for value in values {
        match value {
            None => body.extend_from_slice(&[0xff; 4]),
            Some(bytes) => {
                body.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_be_bytes());
                body.extend_from_slice(bytes);
            }
        }
    }
    message(b'D', &body)
}
