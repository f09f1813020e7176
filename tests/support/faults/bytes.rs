//! What a connection may do wrong whatever it speaks.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Duration, sleep};

use super::{Seen, Server};

/// Bytes that go wrong. Each waits until the client has said something, as the protocols here all make the client
/// speak first.
#[derive(Clone, Debug)]
pub enum Bytes {
    /// Never answers.
    Hang,
    /// Sends the head of an answer, then a RST.
    Reset(Arc<[u8]>),
    /// Sends these, one byte a second; then hangs.
    Trickle(Arc<[u8]>),
    /// 4 KiB that are no protocol, then the end.
    Garbage,
    /// Sends the head, then the unit over and over until `total` bytes were sent; then hangs.
    Flood {
        /// Sent once.
        head: Arc<[u8]>,
        /// Repeated.
        unit: Arc<[u8]>,
        /// How much in all.
        total: u64,
    },
    /// Sends these, then the end of the stream.
    Say(Arc<[u8]>),
}

impl Server {
    /// Every connection goes wrong like this.
    pub async fn bytes(what: Bytes) -> Self {
        Self::tcp(move |mut stream, seen| {
            let what = what.clone();
            async move {
                before(&stream, &what);
                let mut first = [0; 4096];
                if !matches!(stream.read(&mut first).await, Ok(1..)) {
                    return;
                }
                seen.question();
                misbehave(&mut stream, &what, &seen).await;
            }
        })
        .await
    }
}

/// To be called on the bare connection before anything is wrapped around it: a reset must reach the socket.
pub fn before(stream: &TcpStream, what: &Bytes) {
    let _ = stream.set_nodelay(true);
    if matches!(what, Bytes::Reset(_)) {
        // Dropping the stream then sends RST instead of FIN.
        stream.set_zero_linger().unwrap();
    }
}

/// Goes wrong on a stream that has just been asked something.
pub async fn misbehave<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, what: &Bytes, _seen: &Seen) {
    match what {
        Bytes::Hang => hang(stream).await,
        Bytes::Reset(head) => {
            let _ = stream.write_all(head).await;
            let _ = stream.flush().await;
        }
        Bytes::Trickle(all) => {
            for byte in all.iter() {
                if stream.write_all(&[*byte]).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
                sleep(Duration::from_secs(1)).await;
            }
            hang(stream).await;
        }
        Bytes::Garbage => {
            let _ = stream.write_all(&garbage(4096)).await;
            let _ = stream.shutdown().await;
        }
        Bytes::Flood { head, unit, total } => flood(stream, head, unit, *total).await,
        Bytes::Say(all) => {
            let _ = stream.write_all(all).await;
            let _ = stream.shutdown().await;
        }
    }
}

async fn flood<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, head: &[u8], unit: &[u8], total: u64) {
    if stream.write_all(head).await.is_err() {
        return;
    }
    // Written in large pieces: one megabyte at a time is as fast as loopback gets.
    let block = unit.repeat((1 << 20) / unit.len().max(1) + 1);
    let mut sent = head.len() as u64;
    while sent < total {
        if stream.write_all(&block).await.is_err() {
            return;
        }
        sent += block.len() as u64;
    }
    hang(stream).await;
}

/// Reads and says nothing until the other side goes away.
pub async fn hang<S: AsyncRead + Unpin>(stream: &mut S) {
    let mut waste = [0; 4096];
    while matches!(stream.read(&mut waste).await, Ok(1..)) {}
}

/// Bytes that no protocol here takes for its own, the same at every run.
pub fn garbage(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // The top bit set: never ASCII, never a message type, never a TLS record.
        (state >> 32) as u8 | 0x80
    };
    (0..len).map(|_| next()).collect()
}
