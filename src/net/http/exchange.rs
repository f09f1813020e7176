//! One connection, and one question and answer on it.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use http::response::Parts;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Bytes};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::clock;
use crate::net::{Net, ServerCertificate, TcpTarget, gap_of_io, gap_of_tls, is_tls};
use crate::plan::Now;
use crate::readiness::{Gap, Reason};

/// The most of an answer's head that is read, in bytes.
const LARGEST_HEAD: usize = 64 * 1024;

type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// Why a question came to nothing.
#[derive(Debug)]
pub(super) struct Broken {
    /// The reason.
    pub(super) gap: Gap,
    /// Whether the connection ended before anything of the answer came.
    pub(super) unanswered: bool,
}

impl Broken {
    fn answered(gap: Gap) -> Self {
        Self { gap, unanswered: false }
    }
}

/// An open connection. It moves only while it is asked something: an idle one costs no wake-up.
pub(super) struct Wire {
    sender: SendRequest<Full<Bytes>>,
    /// Does the reading and writing; `None` once the connection has ended.
    driver: Option<Driver>,
    /// The other end, for messages: `127.0.0.1:443`.
    peer: std::net::SocketAddr,
    /// What the server showed.
    pub(super) certificate: Option<ServerCertificate>,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").field("peer", &self.peer).field("open", &self.is_open()).finish_non_exhaustive()
    }
}

impl Wire {
    /// Connects, with TLS to `host` where there is a configuration for it.
    ///
    /// # Errors
    /// As [`Net::connect`] and [`gap_of_tls`].
    pub(super) async fn open(
        net: &Net,
        to: &TcpTarget,
        host: &str,
        tls: Option<Arc<ClientConfig>>,
        deadline: Instant,
    ) -> Result<Self, Gap> {
        let stream = net.connect(to, deadline).await?;
        let peer = stream.peer_addr().map_err(|e| {
            Gap::new(Reason::Reset, &format!("{}:{}: the connection ended at once ({})", to.host, to.port, e.kind()))
        })?;
        let Some(config) = tls else { return Self::on(stream, peer, None).await };
        let named = |what: &str| format!("{peer}: {what}");
        let name = match host.parse::<IpAddr>() {
            Ok(ip) => ServerName::IpAddress(ip.into()),
            Err(_) => ServerName::try_from(host.to_owned())
                .map_err(|e| Gap::new(Reason::TlsFailed, &named(&format!("{host}: {e}"))))?,
        };
        let connecting = tokio_rustls::TlsConnector::from(config).connect(name, stream);
        let secured = connecting.await.map_err(|e| gap_of_stream(&e, peer))?;
        let leaf = secured.get_ref().1.peer_certificates().and_then(|all| all.first());
        let unreadable = || Gap::new(Reason::TlsFailed, &named("the certificate cannot be read"));
        let certificate = leaf.and_then(|der| ServerCertificate::from_der(der).ok()).ok_or_else(unreadable)?;
        Self::on(secured, peer, Some(certificate)).await
    }

    async fn on(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        peer: std::net::SocketAddr,
        certificate: Option<ServerCertificate>,
    ) -> Result<Self, Gap> {
        let (sender, connection) = Builder::new()
            .max_buf_size(LARGEST_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|e| gap_of_hyper(&e, peer))?;
        Ok(Self { sender, driver: Some(Box::pin(connection)), peer, certificate })
    }

    /// Whether another question can be asked, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        self.driver.is_some() && !self.sender.is_closed()
    }

    /// Asks one question. Gives when it was sent, the answer's head, and its body of at most `largest` bytes.
    ///
    /// # Errors
    /// The gap, and whether anything of an answer had come.
    pub(super) async fn exchange(
        &mut self,
        message: http::Request<Full<Bytes>>,
        largest: usize,
    ) -> Result<(Now, Parts, Vec<u8>), Broken> {
        let peer = self.peer;
        let broken = |e: hyper::Error| Broken { unanswered: !e.is_parse(), gap: gap_of_hyper(&e, peer) };
        let Self { sender, driver, .. } = self;
        driven(driver, sender.ready()).await.map_err(broken)?;
        let asked = clock::now();
        let response = driven(driver, sender.send_request(message)).await.map_err(broken)?;
        let (head, mut body) = response.into_parts();
        let too_large =
            || Broken::answered(Gap::new(Reason::TooLarge, &format!("{peer}: an answer of more than {largest} bytes")));
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if announced > largest {
            return Err(too_large());
        }
        let mut read = Vec::new();
        while let Some(frame) = driven(driver, body.frame()).await {
            let frame = frame.map_err(|e| Broken::answered(gap_of_hyper(&e, peer)))?;
            let Ok(data) = frame.into_data() else { continue };
            if data.len() > largest.saturating_sub(read.len()) {
                return Err(too_large());
            }
            read.extend_from_slice(&data);
        }
        // What is left to do after the answer, such as noticing that the server closes, is done here.
        driven(driver, std::future::ready(())).await;
        Ok((asked, head, read))
    }
}

/// Lets the connection move while something waits for it.
async fn driven<T>(driver: &mut Option<Driver>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|cx| {
        if let Some(connection) = driver
            && let Poll::Ready(_ended) = connection.as_mut().poll(cx)
        {
            // How it ended is told to whoever waits; dropping it ends the wait of those who were not told.
            *driver = None;
        }
        work.as_mut().poll(cx)
    })
    .await
}

/// The gap for a broken connection, with or without TLS.
fn gap_of_stream(e: &std::io::Error, peer: std::net::SocketAddr) -> Gap {
    if is_tls(e) {
        let gap = gap_of_tls(e);
        return Gap::new(gap.reason, &format!("{peer}: {}", gap.detail));
    }
    gap_of_io(e, peer)
}

/// The gap for a failed exchange: `Malformed` for what is no HTTP and for a head without an end, `Reset` for an answer
/// that ends in the middle, else as the socket or TLS says.
#[must_use]
pub fn gap_of_hyper(e: &hyper::Error, peer: std::net::SocketAddr) -> Gap {
    let io = std::error::Error::source(e).and_then(|s| s.downcast_ref::<std::io::Error>());
    if e.is_parse() {
        Gap::new(Reason::Malformed, &format!("{peer}: no HTTP, or a head that is too large"))
    } else if let Some(io) = io {
        gap_of_stream(io, peer)
    } else if e.is_incomplete_message() || e.is_canceled() || e.is_closed() || e.is_user() {
        Gap::new(Reason::Reset, &format!("{peer}: {}", Reason::Reset.words()))
    } else {
        Gap::new(Reason::Malformed, &format!("{peer}: {e}"))
    }
}
