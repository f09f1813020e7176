//! TCP connections, made by our own resolver and within a deadline.

use std::net::{IpAddr, SocketAddr};

use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::readiness::{Gap, Reason};

use super::Net;

/// What to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TcpTarget {
    /// A host name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Connects to one address. Keepalives are on.
///
/// # Errors
/// `Refused`, `Unreachable` or `TimedOut`.
pub async fn connect(addr: SocketAddr, deadline: Instant) -> Result<TcpStream, Gap> {
    match tokio::time::timeout_at(deadline, TcpStream::connect(addr)).await {
        Err(_) => Err(Gap::new(Reason::TimedOut, &format!("{addr}: no answer in time"))),
        Ok(Err(e)) => Err(gap_of_io(&e, addr)),
        Ok(Ok(stream)) => Ok(stream),
    }
}

/// The gap for a failed connection or a broken one.
pub fn gap_of_io(e: &std::io::Error, addr: SocketAddr) -> Gap {
    use std::io::ErrorKind as K;
    #[expect(clippy::wildcard_enum_match_arm, reason = "ErrorKind is open; what is not named is unreachable")]
    let reason = match e.kind() {
        K::ConnectionRefused => Reason::Refused,
        K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe | K::UnexpectedEof => Reason::Reset,
        K::TimedOut => Reason::TimedOut,
        _ => Reason::Unreachable,
    };
    Gap::new(reason, &format!("{addr}: {}", reason.words()))
}

impl Net {
    /// The addresses of a host: itself where it is an address, else by our own resolver.
    ///
    /// # Errors
    /// `Unreachable` where the name has no address, `TimedOut` where nobody says.
    pub async fn addresses(&self, host: &str, deadline: Instant) -> Result<Vec<IpAddr>, Gap> {
        match host.parse() {
            Ok(ip) => Ok(vec![ip]),
            Err(_) => self.resolver.addresses(host, deadline).await,
        }
    }
}
