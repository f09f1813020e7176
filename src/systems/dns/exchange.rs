//! One question to one server: UDP, asked again after a short time, TCP last, all within a deadline.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use crate::net::{Net, ServerKey, gap_of_io};
use crate::readiness::{Gap, Reason};

use super::options::shown;
use super::parse::{self, Unfit};

/// A datagram without an answer is sent again after this: one that is lost costs no more (`perf.md`, section 3, finding 4).
/// The first one's answer still counts, so that a slow link is not a dead one.
pub const ATTEMPT: Duration = Duration::from_millis(300);
/// Datagrams before TCP is tried beside them.
const DATAGRAMS: u32 = 2;
/// The most that one question may take.
pub const LONGEST: Duration = Duration::from_millis(1_500);
/// What we take by UDP (the size that DNS Flag Day 2020 recommends).
const PAYLOAD: u16 = 1_232;
/// The largest answer by TCP that is read.
const LARGEST: usize = 16 * 1024;

/// How an attempt by UDP ended without an answer to use.
enum NoAnswer {
    /// The answer is longer than a datagram.
    Truncated,
    /// The server does not understand EDNS.
    Plain,
    /// It failed.
    Failed(Gap),
}

/// Asks one server one question.
///
/// # Errors
/// `TimedOut`, `Refused` (nobody listens), `Unreachable` (no route from here), `Malformed`, `TooLarge`, `Reset`. An answer
/// with an error code is an answer.
pub async fn ask(
    net: &Net,
    server: SocketAddr,
    question: &Query,
    recurse: bool,
    deadline: Instant,
) -> Result<Message, Gap> {
    let late = || Gap::new(Reason::TimedOut, &format!("{}: no answer in time", shown(server)));
    net.admit_at(server)?;
    let key = ServerKey::new(&server.ip().to_string(), server.port());
    let _permit = timeout_at(deadline, net.permit(&key)).await.map_err(|_| late())?;
    let limit = deadline.min(Instant::now() + LONGEST);
    let first = Exchange::new(net, server, question, recurse, true)?;
    match timeout_at(limit, first.run(limit)).await {
        Err(_) => Err(late()),
        Ok(Ok(message)) => Ok(message),
        Ok(Err(NoAnswer::Plain)) => {
            let plain = Exchange::new(net, server, question, recurse, false)?;
            match timeout_at(limit, plain.run(limit)).await {
                Err(_) => Err(late()),
                Ok(Ok(message)) => Ok(message),
                Ok(Err(NoAnswer::Failed(gap))) => Err(gap),
                Ok(Err(NoAnswer::Truncated | NoAnswer::Plain)) => Err(late()),
            }
        }
        Ok(Err(NoAnswer::Failed(gap))) => Err(gap),
        Ok(Err(NoAnswer::Truncated)) => Err(late()),
    }
}

struct Exchange<'a> {
    net: &'a Net,
    server: SocketAddr,
    question: &'a Query,
    id: u16,
    edns: bool,
    bytes: Vec<u8>,
}

impl<'a> Exchange<'a> {
    fn new(net: &'a Net, server: SocketAddr, question: &'a Query, recurse: bool, edns: bool) -> Result<Self, Gap> {
        let mut message = Message::query();
        message.metadata.recursion_desired = recurse;
        message.add_query(question.clone());
        if edns {
            let mut options = Edns::new();
            // Authoritative servers are asked for signatures too: when they expire is judged.
            options.set_max_payload(PAYLOAD).set_version(0).set_dnssec_ok(!recurse);
            message.set_edns(options);
        }
        let bytes = message.to_vec().map_err(|e| Gap::new(Reason::Bug, &format!("question: {e}")))?;
        Ok(Self { net, server, question, id: message.metadata.id, edns, bytes })
    }

    async fn run(&self, limit: Instant) -> Result<Message, NoAnswer> {
        let tcp_at = Instant::now() + ATTEMPT * DATAGRAMS;
        let udp = self.udp();
        tokio::pin!(udp);
        let failed = match timeout_at(tcp_at, &mut udp).await {
            Ok(Ok(message)) => return Ok(message),
            Ok(Err(NoAnswer::Plain)) => return Err(NoAnswer::Plain),
            Ok(Err(NoAnswer::Truncated)) => None,
            Ok(Err(NoAnswer::Failed(gap))) => Some(gap),
            Err(_) => {
                let tcp = self.tcp(limit);
                tokio::pin!(tcp);
                return tokio::select! {
                    by_udp = &mut udp => match by_udp {
                        Ok(message) => Ok(message),
                        Err(NoAnswer::Plain) => Err(NoAnswer::Plain),
                        Err(NoAnswer::Truncated | NoAnswer::Failed(_)) => tcp.await.map_err(NoAnswer::Failed),
                    },
                    by_tcp = &mut tcp => match by_tcp {
                        Ok(message) => Ok(message),
                        // TCP may be closed where UDP is merely slow: a late datagram still counts.
                        Err(_) => udp.await,
                    },
                };
            }
        };
        let by_tcp = self.tcp(limit).await;
        by_tcp.map_err(|gap| NoAnswer::Failed(failed.unwrap_or(gap)))
    }

    /// Sends the datagram, again where nothing comes, and waits for the answer for as long as it is let.
    async fn udp(&self) -> Result<Message, NoAnswer> {
        let io = |e: &std::io::Error| NoAnswer::Failed(gap_of_host(e, self.server));
        let any: IpAddr = match self.server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        // A socket of its own with a random port, connected, so that only the server's datagrams come in (RFC 5452).
        let socket = UdpSocket::bind((any, 0)).await.map_err(|e| io(&e))?;
        socket.connect(self.server).await.map_err(|e| io(&e))?;
        let mut refused = 0;
        let mut sent = 0;
        let mut again = Instant::now();
        let mut buffer = vec![0; 4_096];
        loop {
            if sent < DATAGRAMS && Instant::now() >= again {
                sent += 1;
                again = Instant::now() + ATTEMPT;
                match socket.send(&self.bytes).await {
                    Ok(_) => {}
                    // The host's word on an earlier datagram; this one was not sent.
                    Err(e) if e.kind() == std::io::ErrorKind::ConnectionRefused && refused == 0 => {
                        refused += 1;
                        socket.send(&self.bytes).await.map_err(|e| io(&e))?;
                    }
                    Err(e) => return Err(io(&e)),
                }
            }
            tokio::select! {
                received = socket.recv(&mut buffer) => match received {
                    Ok(length) => match parse::message(buffer.get(..length).unwrap_or_default(), self.id, self.question) {
                        Ok(message) if message.metadata.truncation => return Err(NoAnswer::Truncated),
                        Ok(message) if self.edns && unread(&message) => return Err(NoAnswer::Plain),
                        Ok(message) => return Ok(message),
                        Err(Unfit::TooLarge) => return Err(NoAnswer::Failed(self.too_large())),
                        // Not from whom we asked, or broken on the way: what we asked for may still come.
                        Err(Unfit::NotOurs | Unfit::Malformed) => {}
                    },
                    // Nobody listens, says the host. Asked once more: a server that restarts says so for a moment.
                    Err(e) if e.kind() == std::io::ErrorKind::ConnectionRefused && refused == 0 => refused += 1,
                    Err(e) => return Err(io(&e)),
                },
                () = tokio::time::sleep_until(again), if sent < DATAGRAMS => {}
            }
        }
    }

    async fn tcp(&self, limit: Instant) -> Result<Message, Gap> {
        let io = |e: std::io::Error| gap_of_io(&e, self.server);
        let mut stream = self.net.connect_at(self.server, limit).await?;
        let length = u16::try_from(self.bytes.len()).map_err(|_| Gap::new(Reason::Bug, "question: too long"))?;
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend_from_slice(&self.bytes);
        stream.write_all(&framed).await.map_err(io)?;
        let length = usize::from(stream.read_u16().await.map_err(io)?);
        if length > LARGEST {
            return Err(self.too_large());
        }
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer).await.map_err(io)?;
        parse::message(&answer, self.id, self.question).map_err(|unfit| match unfit {
            Unfit::TooLarge => self.too_large(),
            Unfit::NotOurs => Gap::new(Reason::Malformed, &format!("{}: answers another question", shown(self.server))),
            Unfit::Malformed => Gap::new(Reason::Malformed, &format!("{}: no DNS message", shown(self.server))),
        })
    }

    fn too_large(&self) -> Gap {
        Gap::new(Reason::TooLarge, &format!("{}: the answer is too large", shown(self.server)))
    }
}

/// A neighbour that does not answer (no ARP, no ICMPv6 answer) is a host that is silent, not a route that is missing here.
fn gap_of_host(e: &std::io::Error, server: SocketAddr) -> Gap {
    match e.kind() {
        std::io::ErrorKind::HostUnreachable => {
            Gap::new(Reason::TimedOut, &format!("{}: no such host is there", shown(server)))
        }
        _ => gap_of_io(e, server),
    }
}

/// Whether the server did not understand EDNS (RFC 6891 section 7).
fn unread(message: &Message) -> bool {
    matches!(message.metadata.response_code, ResponseCode::FormErr | ResponseCode::NotImp)
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, error, zone_answer};
    use super::*;
    use hickory_proto::rr::RecordType;

    fn question() -> Query {
        Query::query(parse::fqdn("shop.example.com").unwrap(), RecordType::A)
    }

    async fn asked(fake: &Fake) -> (Result<Message, Gap>, Duration) {
        let began = Instant::now();
        let reply = ask(&Net::new(), fake.addr, &question(), true, began + Duration::from_secs(3)).await;
        (reply, began.elapsed())
    }

    #[tokio::test]
    async fn an_answer_is_an_answer_whatever_its_code() {
        let fake = Fake::start(|q, _| vec![zone_answer(q, 1)]).await;
        assert_eq!(asked(&fake).await.0.unwrap().answers.len(), 1);
        for code in [ResponseCode::NXDomain, ResponseCode::ServFail, ResponseCode::Refused] {
            let fake = Fake::start(move |q, _| vec![error(q, code)]).await;
            assert_eq!(asked(&fake).await.0.unwrap().metadata.response_code, code);
        }
    }

    #[tokio::test]
    async fn one_lost_datagram_costs_one_attempt() {
        let fake = Fake::start(|q, n| if n == 0 { vec![] } else { vec![zone_answer(q, 1)] }).await;
        let (reply, took) = asked(&fake).await;
        assert!(reply.is_ok());
        assert_eq!(fake.asked(), 2, "the second datagram was answered, TCP was not needed");
        assert!(took >= ATTEMPT && took < ATTEMPT * DATAGRAMS, "{took:?}");
        const { assert!(ATTEMPT.as_millis() <= 500) };
    }

    #[tokio::test]
    async fn two_lost_datagrams_cost_tcp() {
        let fake = Fake::start(|q, n| if n < 2 { vec![] } else { vec![zone_answer(q, 1)] }).await;
        assert!(asked(&fake).await.0.is_ok());
        assert_eq!(fake.by_tcp(), 1);
    }

    #[tokio::test]
    async fn what_is_not_ours_is_ignored() {
        let fake = Fake::start(|q, _| {
            let good = zone_answer(q, 1);
            let mut other = good.clone();
            other[0] ^= 0xff;
            let mut question = good.clone();
            question[14] ^= 1;
            vec![other, question, b"x".to_vec(), [&q[..2], b"garbage"].concat(), good]
        })
        .await;
        let (reply, took) = asked(&fake).await;
        assert!(reply.is_ok());
        assert!(took < ATTEMPT, "{took:?}");
    }

    #[tokio::test]
    async fn only_forgeries_time_out_or_are_nonsense() {
        let fake = Fake::start(|q, _| {
            let mut other = zone_answer(q, 1);
            other[0] ^= 0xff;
            vec![other]
        })
        .await;
        let gap = asked(&fake).await.0.unwrap_err();
        assert!(matches!(gap.reason, Reason::TimedOut | Reason::Malformed), "{gap}");
    }

    #[tokio::test]
    async fn truncated_answers_come_by_tcp() {
        let fake = Fake::start(|q, n| {
            let mut m = Message::from_vec(&zone_answer(q, 1)).unwrap();
            m.metadata.truncation = n == 0;
            vec![m.to_vec().unwrap()]
        })
        .await;
        let (reply, took) = asked(&fake).await;
        assert!(!reply.unwrap().metadata.truncation);
        assert_eq!(fake.by_tcp(), 1);
        assert!(took < ATTEMPT, "{took:?}");
    }

    #[tokio::test]
    async fn silence_ends_in_time() {
        let fake = Fake::start(|_, _| vec![]).await;
        let (reply, took) = asked(&fake).await;
        assert_eq!(reply.unwrap_err().reason, Reason::TimedOut);
        assert!(took < LONGEST + ATTEMPT, "{took:?}");
    }

    #[tokio::test]
    async fn a_closed_port_is_refused() {
        let fake = Fake::start(|_, _| vec![]).await;
        let addr = fake.addr;
        drop(fake);
        let deadline = Instant::now() + Duration::from_secs(3);
        let gap = ask(&Net::new(), addr, &question(), true, deadline).await.unwrap_err();
        assert_eq!(gap.reason, Reason::Refused);
    }

    #[tokio::test]
    async fn a_server_without_edns_is_asked_without() {
        let fake = Fake::start(|q, _| {
            let plain = Message::from_vec(q).unwrap().edns.is_none();
            vec![if plain { zone_answer(q, 1) } else { error(q, ResponseCode::FormErr) }]
        })
        .await;
        assert!(asked(&fake).await.0.is_ok());
    }
}
