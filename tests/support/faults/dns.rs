//! A DNS server of raw bytes, over UDP and TCP on one port: honest answers from a small table, and every way to fail.
//!
//! Message format: RFC 1035 section 4; what TC means: RFC 2181 section 9; TCP framing: RFC 1035 section 4.2.2.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::bytes::{before, garbage, hang, misbehave};
use super::{Bytes, Seen, Server, Task};

/// Record types (RFC 1035 section 3.2.2, RFC 3596).
const A: u16 = 1;
/// Another name for it.
const CNAME: u16 = 5;
/// The start of authority.
const SOA: u16 = 6;
/// An IPv6 address.
const AAAA: u16 = 28;

/// Response codes (RFC 1035 section 4.1.1).
pub const SERVFAIL: u8 = 2;
/// The name does not exist.
pub const NXDOMAIN: u8 = 3;
/// The server does not want to.
pub const REFUSED: u8 = 5;

/// One record of the table.
#[derive(Clone, Debug)]
pub struct Record {
    name: String,
    kind: u16,
    ttl: u32,
    data: Vec<u8>,
}

impl Record {
    /// An address record, A or AAAA.
    pub fn address(name: &str, ttl: u32, address: IpAddr) -> Self {
        let (kind, data) = match address {
            IpAddr::V4(v4) => (A, v4.octets().to_vec()),
            IpAddr::V6(v6) => (AAAA, v6.octets().to_vec()),
        };
        Self { name: canonical(name), kind, ttl, data }
    }

    /// A CNAME.
    pub fn alias(name: &str, ttl: u32, target: &str) -> Self {
        Self { name: canonical(name), kind: CNAME, ttl, data: wire_name(target) }
    }

    /// An SOA record with this serial and negative TTL.
    pub fn soa(zone: &str, serial: u32, minimum: u32) -> Self {
        let mut data = wire_name(&format!("ns1.{zone}"));
        data.extend(wire_name(&format!("host.{zone}")));
        for number in [serial, 3600, 600, 86_400, minimum] {
            data.extend(number.to_be_bytes());
        }
        Self { name: canonical(zone), kind: SOA, ttl: 300, data }
    }
}

/// What the server does.
#[derive(Clone, Debug)]
pub enum Dns {
    /// Answers from the table; NOERROR without records for a name that it has with other types, NXDOMAIN for others.
    Answer,
    /// This response code, whatever was asked.
    Rcode(u8),
    /// NOERROR and no record, whatever was asked.
    NoData,
    /// Says nothing, over UDP or TCP.
    Hang,
    /// Bytes that are no message.
    Garbage,
    /// The table's answer, to a question that was not asked: another id.
    WrongId,
    /// Truncated over UDP, and this over TCP.
    TruncatedThen(Bytes),
    /// Truncated over UDP, and the table's answer over TCP.
    Truncated,
    /// Truncated over UDP, and 64 KB of address records over TCP: the largest message that DNS has.
    Largest,
    /// The first so many datagrams are lost, then as the table says.
    Lose(usize),
}

/// A server whose fault can be changed while it runs.
#[derive(Debug)]
pub struct DnsServer {
    /// The server.
    pub server: Server,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    what: RwLock<Dns>,
    records: RwLock<Vec<Record>>,
    authoritative: bool,
    datagrams: AtomicUsize,
    seen: Seen,
}

impl std::ops::Deref for DnsServer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl DnsServer {
    /// Starts one. `authoritative` sets AA and clears RA, else the other way round.
    pub async fn start(what: Dns, records: Vec<Record>, authoritative: bool) -> Self {
        let (tcp, udp) = Server::both().await;
        let seen = Seen::default();
        let (what, records) = (RwLock::new(what), RwLock::new(records));
        let state =
            Arc::new(State { what, records, authoritative, datagrams: AtomicUsize::new(0), seen: seen.clone() });
        let datagrams = Task::spawn(serve_udp(udp, Arc::clone(&state)));
        let serving = Arc::clone(&state);
        let mut server =
            Server::listening(tcp, Some(datagrams), move |stream, _| serve_tcp(stream, Arc::clone(&serving)));
        server.seen = seen;
        Self { server, state }
    }

    /// From now on.
    pub fn set(&self, what: Dns) {
        *self.state.what.write().unwrap_or_else(PoisonError::into_inner) = what;
        self.state.datagrams.store(0, Ordering::Relaxed);
    }

    /// Another table.
    pub fn publish(&self, records: Vec<Record>) {
        *self.state.records.write().unwrap_or_else(PoisonError::into_inner) = records;
    }
}

impl State {
    fn what(&self) -> Dns {
        self.what.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The whole message for a question, as the fault has it; `None` where nothing is to be said.
    fn answer(&self, asked: &[u8], tcp: bool) -> Option<Vec<u8>> {
        let question = Question::read(asked)?;
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner).clone();
        let honest = || {
            let (rcode, found) = find(&records, &question);
            question.reply(rcode, false, self.authoritative, &found)
        };
        match self.what() {
            Dns::Answer | Dns::Lose(_) => Some(honest()),
            Dns::Rcode(code) => Some(question.reply(code, false, self.authoritative, &[])),
            Dns::NoData => Some(question.reply(0, false, self.authoritative, &[])),
            Dns::Hang => None,
            Dns::Garbage => Some(garbage(512)),
            Dns::WrongId => {
                let mut all = honest();
                all[0] ^= 0x55;
                Some(all)
            }
            Dns::Truncated if tcp => Some(honest()),
            Dns::Largest if tcp => Some(question.largest(self.authoritative)),
            Dns::Truncated | Dns::Largest | Dns::TruncatedThen(_) => {
                Some(question.reply(0, true, self.authoritative, &[]))
            }
        }
    }
}

async fn serve_udp(socket: UdpSocket, state: Arc<State>) {
    let mut piece = [0; 4096];
    // An error is the port unreachable of a client that has gone; the next datagram is another client's.
    loop {
        let (len, from): (usize, SocketAddr) = match socket.recv_from(&mut piece).await {
            Ok(got) => got,
            Err(_) => continue,
        };
        state.seen.question();
        let before = state.datagrams.fetch_add(1, Ordering::Relaxed);
        if matches!(state.what(), Dns::Lose(first) if before < first) {
            continue;
        }
        if let Some(answer) = state.answer(&piece[..len], false) {
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

async fn serve_tcp(mut stream: TcpStream, state: Arc<State>) {
    let what = state.what();
    if let Dns::TruncatedThen(bytes) = &what {
        before(&stream, bytes);
    }
    while let Ok(len) = stream.read_u16().await {
        let mut asked = vec![0; usize::from(len)];
        if stream.read_exact(&mut asked).await.is_err() {
            return;
        }
        state.seen.question();
        if let Dns::TruncatedThen(bytes) = &what {
            misbehave(&mut stream, bytes, &state.seen).await;
            return;
        }
        let Some(answer) = state.answer(&asked, true) else {
            hang(&mut stream).await;
            return;
        };
        if stream.write_all(&framed(&answer)).await.is_err() {
            return;
        }
    }
}

/// A message as TCP carries it.
pub fn framed(message: &[u8]) -> Vec<u8> {
    let mut out = u16::try_from(message.len()).unwrap().to_be_bytes().to_vec();
    out.extend_from_slice(message);
    out
}

struct Question {
    id: [u8; 2],
    recursion: bool,
    /// The question section as it was asked, case and all.
    section: Vec<u8>,
    name: String,
    kind: u16,
}

impl Question {
    fn read(message: &[u8]) -> Option<Self> {
        let header = message.get(..12)?;
        let mut at = 12;
        let mut name = String::new();
        loop {
            let len = usize::from(*message.get(at)?);
            at += 1;
            if len == 0 {
                break;
            }
            name.push_str(&String::from_utf8_lossy(message.get(at..at + len)?).to_lowercase());
            name.push('.');
            at += len;
        }
        let tail = message.get(at..at + 4)?;
        Some(Self {
            id: [header[0], header[1]],
            recursion: header[2] & 1 == 1,
            section: message[12..at + 4].to_vec(),
            name,
            kind: u16::from_be_bytes([tail[0], tail[1]]),
        })
    }

    fn reply(&self, rcode: u8, truncated: bool, authoritative: bool, answers: &[Record]) -> Vec<u8> {
        let mut out = self.id.to_vec();
        let flags = 0x80 | u8::from(authoritative) << 2 | u8::from(truncated) << 1 | u8::from(self.recursion);
        out.push(flags);
        out.push(u8::from(!authoritative) << 7 | rcode);
        for count in [1, u16::try_from(answers.len()).unwrap(), 0, 0] {
            out.extend(count.to_be_bytes());
        }
        out.extend_from_slice(&self.section);
        for record in answers {
            out.extend(wire_name(&record.name));
            out.extend(record.kind.to_be_bytes());
            out.extend(1_u16.to_be_bytes());
            out.extend(record.ttl.to_be_bytes());
            out.extend(u16::try_from(record.data.len()).unwrap().to_be_bytes());
            out.extend_from_slice(&record.data);
        }
        out
    }

    /// Address records up to the last one that a message of 65,535 bytes has room for.
    fn largest(&self, authoritative: bool) -> Vec<u8> {
        let one = |n: u32| Record {
            name: self.name.clone(),
            kind: A,
            ttl: 60,
            data: (0x0a00_0000 + n).to_be_bytes().to_vec(),
        };
        let each = wire_name(&self.name).len() + 14;
        let many = (usize::from(u16::MAX) - 12 - self.section.len()) / each;
        let all: Vec<Record> = (0..u32::try_from(many).unwrap()).map(one).collect();
        self.reply(0, false, authoritative, &all)
    }
}

/// The response code and the records, CNAMEs followed.
fn find(records: &[Record], question: &Question) -> (u8, Vec<Record>) {
    let mut name = question.name.clone();
    let mut out = Vec::new();
    for _ in 0..16 {
        let mut of: Vec<Record> =
            records.iter().filter(|r| r.name == name && r.kind == question.kind).cloned().collect();
        if !of.is_empty() {
            out.append(&mut of);
            break;
        }
        let Some(alias) = records.iter().find(|r| r.name == name && r.kind == CNAME) else {
            let known = !out.is_empty() || records.iter().any(|r| r.name == name);
            return (if known { 0 } else { NXDOMAIN }, out);
        };
        out.push(alias.clone());
        name = unwire(&alias.data);
    }
    (0, out)
}

fn canonical(name: &str) -> String {
    format!("{}.", name.trim_end_matches('.').to_lowercase())
}

fn wire_name(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.').filter(|l| !l.is_empty()) {
        out.push(u8::try_from(label.len()).unwrap());
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    out
}

fn unwire(mut data: &[u8]) -> String {
    let mut out = String::new();
    while let Some((len, rest)) = data.split_first().filter(|(len, _)| **len > 0) {
        let (label, tail) = rest.split_at(usize::from(*len));
        out.push_str(&String::from_utf8_lossy(label));
        out.push('.');
        data = tail;
    }
    out
}
