//! A server's stream, plain or under TLS, that is bounded: it follows the frames of the protocol and ends with an error
//! where they make no sense or are more than a look may bring.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, Empty, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// The most bytes that the answers of one look may have.
pub(super) const MOST: u64 = 4 << 20;

/// Why a bounded stream ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    /// More came than a look may bring.
    #[error("more than 4 MiB in one answer")]
    TooLarge,
    /// What came is not PostgreSQL's protocol.
    #[error("the peer does not speak PostgreSQL's protocol")]
    Malformed,
}

/// What may still come in this look. Shared by the stream and whoever looks.
#[derive(Clone, Debug)]
pub(super) struct Budget(Arc<AtomicU64>);

impl Budget {
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(MOST)))
    }

    /// A new look begins.
    pub(super) fn renew(&self) {
        self.0.store(MOST, Ordering::Relaxed);
    }

    fn spend(&self, bytes: u64) -> Result<(), Broken> {
        let left = self.0.load(Ordering::Relaxed);
        self.0.store(left.saturating_sub(bytes), Ordering::Relaxed);
        if bytes > left { Err(Broken::TooLarge) } else { Ok(()) }
    }
}

/// Follows the frames: a type byte, then a length of four bytes that counts itself.
#[derive(Debug, Default)]
struct Frames {
    /// The header so far, and how much of it there is.
    header: [u8; 5],
    have: usize,
    /// What is left of the frame's body.
    body: u64,
}

impl Frames {
    fn follow(&mut self, mut bytes: &[u8]) -> Result<(), Broken> {
        while let Some((first, rest)) = bytes.split_first() {
            if self.body > 0 {
                let skip = usize::try_from(self.body).unwrap_or(usize::MAX).min(bytes.len());
                self.body -= skip as u64;
                bytes = bytes.get(skip..).unwrap_or_default();
                continue;
            }
            if let Some(slot) = self.header.get_mut(self.have) {
                *slot = *first;
            }
            self.have += 1;
            bytes = rest;
            // Refused at the first byte: whoever waits for the length of an HTTP answer waits for ever.
            let [kind, length @ ..] = self.header;
            if self.have == 1 && !KINDS.contains(&kind) {
                return Err(Broken::Malformed);
            }
            if self.have == 5 {
                self.have = 0;
                let length = u64::from(u32::from_be_bytes(length));
                self.body = length.checked_sub(4).ok_or(Broken::Malformed)?;
                if self.body > MOST {
                    // Only rows and errors are ever long; a great length elsewhere is another protocol's text.
                    return Err(if b"DENT".contains(&kind) { Broken::TooLarge } else { Broken::Malformed });
                }
            }
        }
        Ok(())
    }
}

/// The messages that a server sends to one who logs in and asks simple queries: authentication, key data, command
/// complete, row, error, empty query, notice, notification, parameter, row description, version, ready.
const KINDS: &[u8] = b"RKCDEINASTvZ";

/// What the bytes travel on.
enum Under {
    Plain(tokio::net::TcpStream),
    Tls(Pin<Box<dyn TlsStream + Send>>),
}

/// The bounded stream.
pub(super) struct Guarded {
    under: Under,
    frames: Frames,
    budget: Budget,
}

impl Guarded {
    pub(super) fn plain(stream: tokio::net::TcpStream, budget: Budget) -> Self {
        Self { under: Under::Plain(stream), frames: Frames::default(), budget }
    }

    pub(super) fn tls(stream: impl TlsStream + Send + 'static, budget: Budget) -> Self {
        Self { under: Under::Tls(Box::pin(stream)), frames: Frames::default(), budget }
    }
}

impl AsyncRead for Guarded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        ready!(match &mut this.under {
            Under::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Under::Tls(stream) => stream.as_mut().poll_read(cx, buf),
        })?;
        let came = buf.filled().get(before..).unwrap_or_default();
        let fine = this.budget.spend(came.len() as u64).and_then(|()| this.frames.follow(came));
        Poll::Ready(fine.map_err(io::Error::other))
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.under {
            Under::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Under::Tls(stream) => stream.as_mut().poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.under {
            Under::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Under::Tls(stream) => stream.as_mut().poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.under {
            Under::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Under::Tls(stream) => stream.as_mut().poll_shutdown(cx),
        }
    }
}

impl TlsStream for Guarded {
    fn channel_binding(&self) -> ChannelBinding {
        match &self.under {
            Under::Plain(_) => ChannelBinding::none(),
            Under::Tls(stream) => stream.channel_binding(),
        }
    }
}

/// Hands a stream over to the driver as it is: encryption was agreed on before, by ourselves.
pub(super) struct Agreed(pub(super) Guarded);

impl TlsConnect<Empty> for Agreed {
    type Stream = Guarded;
    type Error = io::Error;
    type Future = std::future::Ready<Result<Guarded, io::Error>>;

    fn connect(self, _: Empty) -> Self::Future {
        std::future::ready(Ok(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn other_protocols_are_seen_at_once() {
        let of = |bytes: &[u8]| Frames::default().follow(bytes);
        assert_eq!(of(b"HTTP/1.1 400 Bad Request"), Err(Broken::Malformed));
        assert_eq!(of(b"SSH-2.0-OpenSSH_9.2"), Err(Broken::Malformed));
        assert_eq!(of(b"220 mail"), Err(Broken::Malformed));
        assert_eq!(of(b"D\x06\x00\x00\x00"), Err(Broken::TooLarge));
        assert_eq!(of(b"Z\0\0\0\x05IZ\0\0\0\x05"), Ok(()));
        assert_eq!(of(b"Z\0\0\0\x03"), Err(Broken::Malformed));
    }

    proptest! {
        #[test]
        fn how_bytes_are_cut_makes_no_difference(sizes in prop::collection::vec(0_u32..40, 1..10), cut in 1_usize..9) {
            let mut all = Vec::new();
            for size in sizes {
                all.push(b'D');
                all.extend((size + 4).to_be_bytes());
                all.extend(std::iter::repeat_n(b'!', size as usize));
            }
            let mut frames = Frames::default();
            for part in all.chunks(cut) {
                prop_assert_eq!(frames.follow(part), Ok(()));
            }
            prop_assert_eq!((frames.have, frames.body), (0, 0));
        }
    }
}
