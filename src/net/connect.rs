//! TCP connections, made by our own resolver and within a deadline.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
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

/// How long one address may be silent before the next is tried beside it (RFC 8305, "Connection Attempt Delay").
const NEXT_AFTER: Duration = Duration::from_millis(250);
/// Most addresses of one host that are tried.
const MOST_ADDRESSES: usize = 8;

/// Connects to one address. Keepalives are on: a peer that vanished is noticed within half a minute.
///
/// # Errors
/// `Refused`, `Unreachable` or `TimedOut`.
async fn connect(addr: SocketAddr, deadline: Instant) -> Result<TcpStream, Gap> {
    let stream = reach(addr, deadline).await?;
    keep_alive(&stream).map_err(|e| gap_of_io(&e, addr))?;
    Ok(stream)
}

/// Connects to one address for a moment: for what is closed again long before a keepalive would be sent.
///
/// # Errors
/// As [`connect`].
async fn reach(addr: SocketAddr, deadline: Instant) -> Result<TcpStream, Gap> {
    match tokio::time::timeout_at(deadline, TcpStream::connect(addr)).await {
        Err(_) => Err(Gap::new(Reason::TimedOut, &format!("{addr}: no answer in time"))),
        Ok(connected) => connected.map_err(|e| gap_of_io(&e, addr)),
    }
}

/// Keepalives that notice a dead peer in 30 s, and no waiting for full segments.
fn keep_alive(stream: &TcpStream) -> std::io::Result<()> {
    use rustix::net::sockopt;
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(15))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(5))?;
    sockopt::set_tcp_keepcnt(stream, 3)?;
    Ok(())
}

/// IPv6 and IPv4 by turns, so that a family without a route costs one address, not all (RFC 8305 section 4).
fn by_turns(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let first_v6 = addresses.first().is_some_and(IpAddr::is_ipv6);
    let (a, b): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|ip| ip.is_ipv6() == first_v6);
    let (mut a, mut b) = (a.into_iter(), b.into_iter());
    let mut out = Vec::new();
    loop {
        let (x, y) = (a.next(), b.next());
        if x.is_none() && y.is_none() {
            out.truncate(MOST_ADDRESSES);
            return out;
        }
        out.extend(x.into_iter().chain(y));
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

/// Which of two addresses' gaps speaks for the host: that nobody listens is proof only where no address says otherwise.
fn more_telling(first: Option<Gap>, next: Gap) -> Gap {
    first.filter(|f| f.reason != Reason::Refused || next.reason == Reason::Refused).unwrap_or(next)
}

impl Net {
    /// Connects to one address. Keepalives are on: a peer that vanished is noticed within half a minute.
    ///
    /// # Errors
    /// `Refused`, `Unreachable` or `TimedOut`.
    pub async fn connect_at(&self, addr: SocketAddr, deadline: Instant) -> Result<TcpStream, Gap> {
        self.admit_at(addr)?;
        connect(addr, deadline).await
    }

    /// Connects to one address for a moment: for what is closed again long before a keepalive would be sent.
    ///
    /// # Errors
    /// As [`Net::connect_at`].
    pub async fn reach(&self, addr: SocketAddr, deadline: Instant) -> Result<TcpStream, Gap> {
        self.admit_at(addr)?;
        reach(addr, deadline).await
    }

    /// The addresses of a host: itself where it is an address, else by our own resolver.
    ///
    /// # Errors
    /// `Unreachable` where the name has no address, `TimedOut` where nobody says.
    pub async fn addresses(&self, host: &str, deadline: Instant) -> Result<Vec<IpAddr>, Gap> {
        match host.parse() {
            Ok(ip) => Ok(vec![ip]),
            Err(_) => {
                self.admit_outside(host)?;
                self.resolver.addresses(host, deadline).await
            }
        }
    }

    /// Connects to a host: to its addresses one after the other, each with a short lead, and takes the first that answers.
    ///
    /// # Errors
    /// As [`Net::addresses`] and [`Net::connect_at`]; where every address failed, the first one's reason, and
    /// `Refused` only where all refused.
    pub async fn connect(&self, target: &TcpTarget, deadline: Instant) -> Result<TcpStream, Gap> {
        self.admit(&target.host, Some(target.port))?;
        let addresses = by_turns(self.addresses(&target.host, deadline).await?);
        let mut waiting = addresses.into_iter().map(|ip| SocketAddr::new(ip, target.port));
        let mut trying = FuturesUnordered::new();
        let mut first: Option<Gap> = None;
        loop {
            match waiting.next() {
                Some(addr) => trying.push(self.connect_at(addr, deadline)),
                None if trying.is_empty() => {
                    return Err(
                        first.unwrap_or_else(|| Gap::new(Reason::Unreachable, &format!("{}: no address", target.host)))
                    );
                }
                None => {}
            }
            let more = waiting.len() > 0;
            tokio::select! {
                Some(done) = trying.next() => match done {
                    Ok(stream) => return Ok(stream),
                    Err(gap) => first = Some(more_telling(first, gap)),
                },
                () = tokio::time::sleep(NEXT_AFTER), if more => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_proven_down_only_where_every_address_refuses() {
        let told = |reasons: &[Reason]| {
            let gaps = reasons.iter().map(|r| Gap::from(*r));
            gaps.fold(None, |first, next| Some(more_telling(first, next))).map(|g| g.reason)
        };
        assert_eq!(told(&[Reason::Refused, Reason::Refused]), Some(Reason::Refused));
        assert_eq!(told(&[Reason::Refused, Reason::TimedOut]), Some(Reason::TimedOut));
        assert_eq!(told(&[Reason::TimedOut, Reason::Refused, Reason::Unreachable]), Some(Reason::TimedOut));
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[tokio::test]
    async fn connects_by_name_and_keeps_alive() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let net = Net::new();
        let stream = net.connect(&TcpTarget { host: "localhost".into(), port }, soon()).await.unwrap();
        assert!(rustix::net::sockopt::socket_keepalive(&stream).unwrap());
        assert_eq!(rustix::net::sockopt::tcp_keepidle(&stream).unwrap(), Duration::from_secs(15));
    }

    #[tokio::test]
    async fn a_closed_port_is_refused_at_once() {
        let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let gap = Net::new().connect(&TcpTarget { host: "127.0.0.1".into(), port }, soon()).await.unwrap_err();
        assert_eq!(gap.reason, Reason::Refused);
        let late = connect(SocketAddr::from(([127, 0, 0, 1], port)), Instant::now()).await.unwrap_err();
        assert!(matches!(late.reason, Reason::Refused | Reason::TimedOut), "{late}");
    }

    #[tokio::test]
    async fn one_address_that_refuses_proves_nothing_while_another_is_silent() {
        // A full queue: the kernel answers nothing more on 127.0.0.1; nobody listens on ::1.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let listener = socket.listen(0).unwrap();
        let addr = listener.local_addr().unwrap();
        let mut held = Vec::new();
        while let Ok(done) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(addr)).await {
            held.push(done.unwrap());
            assert!(held.len() < 16, "the accept queue never fills");
        }
        let deadline = Instant::now() + Duration::from_secs(1);
        let target = TcpTarget { host: "localhost".into(), port: addr.port() };
        let gap = Net::new().connect(&target, deadline).await.unwrap_err();
        assert_eq!(gap.reason, Reason::TimedOut, "{gap}");
    }

    #[test]
    fn families_take_turns() {
        let ips = ["::1", "::2", "10.0.0.1", "10.0.0.2", "::3"].map(|t| t.parse::<IpAddr>().unwrap());
        let shown: Vec<String> = by_turns(ips.to_vec()).iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["::1", "10.0.0.1", "::2", "10.0.0.2", "::3"]);
    }
}
