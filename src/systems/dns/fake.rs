//! A DNS server for tests: answers what a function says, by UDP and TCP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, NS, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;

/// A server that ends when it is dropped.
pub(super) struct Fake {
    pub(super) addr: SocketAddr,
    asked: Arc<AtomicUsize>,
    tcp: Arc<AtomicUsize>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Fake {
    /// Starts one; the function gets the query and how many came before it, and gives the messages to send back.
    pub(super) async fn start(answer: impl Fn(&[u8], usize) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", answer).await
    }

    pub(super) async fn start_at(
        at: &str,
        answer: impl Fn(&[u8], usize) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        // One port for both; the kernel picks one for TCP that may be taken for UDP.
        let (listener, socket) = loop {
            let listener = TcpListener::bind(at).await.unwrap();
            if let Ok(socket) = UdpSocket::bind(listener.local_addr().unwrap()).await {
                break (listener, socket);
            }
        };
        let addr = socket.local_addr().unwrap();
        let answer = Arc::new(answer);
        let (asked, tcp) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (by_udp, n) = (Arc::clone(&answer), Arc::clone(&asked));
        let udp = tokio::spawn(async move {
            let mut buffer = [0; 4_096];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                for message in by_udp(&buffer[..length], n.fetch_add(1, Ordering::SeqCst)) {
                    let _ = socket.send_to(&message, from).await;
                }
            }
        });
        let (n, by_tcp) = (Arc::clone(&asked), Arc::clone(&tcp));
        let stream = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                by_tcp.fetch_add(1, Ordering::SeqCst);
                let (answer, n) = (Arc::clone(&answer), Arc::clone(&n));
                tokio::spawn(async move {
                    let length = stream.read_u16().await.unwrap_or(0);
                    let mut query = vec![0; usize::from(length)];
                    if stream.read_exact(&mut query).await.is_err() {
                        return;
                    }
                    let messages = answer(&query, n.fetch_add(1, Ordering::SeqCst));
                    for message in &messages {
                        let _ = stream.write_u16(u16::try_from(message.len()).unwrap()).await;
                        let _ = stream.write_all(message).await;
                    }
                    if messages.is_empty() {
                        // Accepts and hangs, until the client gives up.
                        let _ = stream.read_u8().await;
                    }
                });
            }
        });
        Self { addr, asked, tcp, tasks: [udp, stream] }
    }

    /// How many queries came.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// How many connections came.
    pub(super) fn by_tcp(&self) -> usize {
        self.tcp.load(Ordering::SeqCst)
    }
}

fn reply(query: &[u8]) -> Message {
    let query = Message::from_vec(query).unwrap();
    let mut message = Message::response(query.metadata.id, OpCode::Query);
    message.metadata.authoritative = true;
    message.add_queries(query.queries);
    message
}

/// An answer that is an error.
pub(super) fn error(query: &[u8], code: ResponseCode) -> Vec<u8> {
    let mut message = reply(query);
    message.metadata.response_code = code;
    message.to_vec().unwrap()
}

/// The zone `example.com` with an address for every name but AAAA.
pub(super) fn zone_answer(query: &[u8], serial: u32) -> Vec<u8> {
    let soa = format!("example.com. 300 SOA {serial}");
    scripted(query, true, &["shop.example.com. 60 A 192.0.2.1", &soa])
}

/// Answers from lines of a zone file (`name ttl type data`; a SOA has its serial alone), following CNAMEs within them.
pub(super) fn scripted(query: &[u8], authoritative: bool, zone: &[&str]) -> Vec<u8> {
    let mut message = reply(query);
    message.metadata.authoritative = authoritative;
    let question = message.queries[0].clone();
    let name = |text: &str| Name::from_ascii(text).unwrap();
    let records: Vec<Record> = zone
        .iter()
        .map(|line| {
            let [owner, ttl, kind, data] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let data = match kind {
                "A" => RData::A(A(data.parse().unwrap())),
                "CNAME" => RData::CNAME(CNAME(name(data))),
                "NS" => RData::NS(NS(name(data))),
                "SOA" => RData::SOA(SOA::new(name("m."), name("r."), data.parse().unwrap(), 60, 60, 60, 5)),
                other => panic!("{other}"),
            };
            Record::from_rdata(name(owner), ttl.parse().unwrap(), data)
        })
        .collect();
    let mut at = question.name().clone();
    loop {
        let own: Vec<&Record> = records.iter().filter(|r| r.name == at).collect();
        let fits = |r: &&&Record| r.record_type() == question.query_type();
        own.iter().filter(fits).for_each(|r| {
            message.add_answer((**r).clone());
        });
        match own.iter().find(|r| r.record_type() == RecordType::CNAME) {
            Some(alias) if question.query_type() != RecordType::CNAME => {
                message.add_answer((*alias).clone());
                let RData::CNAME(target) = &alias.data else { unreachable!() };
                at = target.0.clone();
            }
            Some(_) | None => break,
        }
    }
    if message.answers.is_empty() {
        let soa = records.iter().find(|r| r.record_type() == RecordType::SOA && r.name.zone_of(&at));
        soa.into_iter().for_each(|r| {
            message.add_authority(r.clone());
        });
    }
    message.to_vec().unwrap()
}
