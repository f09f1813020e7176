//! DNS as the world's servers speak it: an authoritative server that takes signed updates, and resolvers; by UDP and TCP.

#[cfg(test)]
mod tests;
mod tsig;
mod wire;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use hickory_proto::op::{Edns, Header, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::Name;
use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::door::{Door, Reaches};
use super::shared::Shared;
use super::world::NAME_SERVERS;
use super::world::World;
use super::world::dns::Answer;
use super::world::event::What;
use crate::clock;
use tsig::{Checked, Key};
pub use wire::Datagrams;

/// The size of a datagram that whoever says nothing takes (RFC 1035 section 4.2.1).
const SMALL: u16 = 512;
/// The largest datagram that is sent (DNS Flag Day 2020).
const LARGEST: u16 = 1_232;
/// The longest message that is read by TCP.
const LONGEST: usize = 16 * 1_024;

/// Which server it is.
#[derive(Clone, Debug)]
pub enum Server {
    /// The authoritative one, and the key that may change its zone.
    Authority(std::sync::Arc<Key>),
    /// A resolver, by its number.
    Resolver(usize),
}

impl Server {
    /// The authoritative server, with the key of this name whose secret is that.
    ///
    /// # Errors
    /// Where the name is none.
    pub fn authority(key: &str, secret: &[u8]) -> Result<Self, hickory_proto::ProtoError> {
        Ok(Self::Authority(std::sync::Arc::new(Key::new(Name::from_ascii(key)?, secret))))
    }

    /// Its name in the world.
    #[must_use]
    pub fn name(&self) -> &'static str {
        let at = match self {
            Self::Authority(_) => 0,
            Self::Resolver(n) => n.saturating_add(1),
        };
        NAME_SERVERS.get(at).copied().unwrap_or_default()
    }

    /// Answers a message; with nothing where it is no question. `by_udp`: the answer has to fit into a datagram.
    #[must_use]
    pub fn answer(&self, world: &mut World, bytes: &[u8], by_udp: bool) -> Option<Vec<u8>> {
        let Ok(message) = Message::from_vec(bytes) else { return malformed(bytes) };
        if message.metadata.message_type != MessageType::Query {
            return None;
        }
        let signed = match self {
            Self::Authority(key) => key.check(bytes, &message, seconds()),
            Self::Resolver(_) => Checked::Unsigned,
        };
        let mut reply = Message::response(message.metadata.id, message.metadata.op_code);
        reply.metadata.recursion_desired = message.metadata.recursion_desired;
        reply.metadata.recursion_available = matches!(self, Self::Resolver(_));
        reply.add_queries(message.queries.iter().cloned());
        let room = message.edns.as_ref().map(|e| e.max_payload().clamp(SMALL, LARGEST));
        if let Some(asked) = &message.edns {
            let mut edns = Edns::new();
            edns.set_max_payload(LARGEST).set_version(0);
            edns.set_dnssec_ok(asked.flags().dnssec_ok);
            reply.set_edns(edns);
        }
        let version = message.edns.as_ref().map_or(0, Edns::version);
        match &signed {
            Checked::Wrong(..) => reply.metadata.response_code = ResponseCode::NotAuth,
            Checked::Unsigned | Checked::Right(_) if version > 0 => {
                reply.metadata.response_code = ResponseCode::BADVERS
            }
            Checked::Unsigned => self.fill(world, &message, false, &mut reply),
            Checked::Right(_) => self.fill(world, &message, true, &mut reply),
        }
        let limit = usize::from(room.unwrap_or(SMALL));
        let whole = self.sealed(&reply, &signed)?;
        if !by_udp || whole.len() <= limit {
            return Some(whole);
        }
        self.sealed(&reply.truncate(), &signed)
    }

    fn sealed(&self, reply: &Message, signed: &Checked) -> Option<Vec<u8>> {
        match self {
            Self::Authority(key) => key.seal(reply, signed, seconds()),
            Self::Resolver(_) => reply.to_vec().ok(),
        }
    }

    /// What is said to a message that makes sense: to an update only where it is signed.
    fn fill(&self, world: &mut World, message: &Message, signed: bool, reply: &mut Message) {
        let code = match (message.metadata.op_code, self) {
            (OpCode::Query, _) => {
                let [question] = message.queries.as_slice() else {
                    reply.metadata.response_code = ResponseCode::FormErr;
                    return;
                };
                let said = match self {
                    Self::Authority(_) => world.dns.zone().map(|z| z.answer(question)),
                    Self::Resolver(n) => {
                        let model = world.clock().model();
                        world.dns.resolve(*n, question, message.metadata.recursion_desired, model)
                    }
                };
                let Answer { code, authoritative, answers, authorities } =
                    said.unwrap_or_else(|| Answer::bare(ResponseCode::ServFail));
                reply.metadata.authoritative = authoritative;
                reply.add_answers(answers);
                reply.add_authorities(authorities);
                code
            }
            (OpCode::Update, Self::Authority(_)) if !signed => ResponseCode::Refused,
            (OpCode::Update, Self::Authority(_)) => {
                let before = world.dns.zone().map(super::world::dns::Zone::serial);
                let code = world.dns.zone_mut().map_or(ResponseCode::ServFail, |z| z.update(message));
                let serial = world.dns.zone().map(super::world::dns::Zone::serial);
                if let Some(serial) = serial.filter(|s| Some(*s) != before) {
                    world.note(What::ZoneChanged(serial));
                }
                code
            }
            (OpCode::Update, Self::Resolver(_)) | (OpCode::Status | OpCode::Notify | OpCode::Unknown(_), _) => {
                ResponseCode::NotImp
            }
        };
        reply.metadata.response_code = code;
    }

    /// Serves connections at a door, and datagrams at the same port.
    ///
    /// # Errors
    /// The port cannot be listened on.
    pub async fn serve(self, door: Door, datagrams: Datagrams, shared: Shared) -> io::Result<()> {
        let name = self.name();
        let reaches: Reaches = std::sync::Arc::new(move |w: &World| w.reach_of_endpoint(name));
        let (by_tcp, world) = (self.clone(), shared.clone());
        let tcp = door.serve(shared.clone(), std::sync::Arc::clone(&reaches), move |stream, _| {
            by_tcp.clone().connection(stream, world.clone())
        });
        let udp = datagrams.serve(shared.clone(), reaches, name, |bytes| shared.with(|w| self.answer(w, bytes, true)));
        tokio::try_join!(tcp, udp).map(|_| ())
    }

    /// One connection: messages, each with its length before it (RFC 1035 section 4.2.2), until the client leaves.
    async fn connection(self, mut stream: TcpStream, shared: Shared) {
        let mut bytes = Vec::new();
        while let Ok(length) = stream.read_u16().await {
            let length = usize::from(length);
            if length > LONGEST {
                return;
            }
            bytes.resize(length, 0);
            if stream.read_exact(&mut bytes).await.is_err() {
                return;
            }
            tokio::time::sleep(wire::slow(&shared, self.name())).await;
            let Some(reply) = shared.with(|w| self.answer(w, &bytes, false)) else { return };
            let Ok(length) = u16::try_from(reply.len()) else { return };
            let framed = [&length.to_be_bytes(), reply.as_slice()].concat();
            if stream.write_all(&framed).await.is_err() {
                return;
            }
        }
    }
}

/// FORMERR to what has a header at least, and is no answer itself.
fn malformed(bytes: &[u8]) -> Option<Vec<u8>> {
    let Header { metadata, .. } = Header::read(&mut BinDecoder::new(bytes)).ok()?;
    if metadata.message_type != MessageType::Query {
        return None;
    }
    Message::error_msg(metadata.id, metadata.op_code, ResponseCode::FormErr).to_vec().ok()
}

fn seconds() -> u64 {
    u64::try_from(clock::now().wall.timestamp()).unwrap_or_default()
}

/// Takes a free port of loopback for both TCP and UDP.
///
/// # Errors
/// There is none.
pub fn reserve() -> io::Result<(Door, Datagrams)> {
    let mut tried = Ok(());
    // The kernel picks a port that is free for TCP, and may be taken for UDP.
    for _ in 0..64 {
        let door = Door::reserve()?;
        match Datagrams::reserve(SocketAddr::from((Ipv4Addr::LOCALHOST, door.port()))) {
            Ok(datagrams) => return Ok((door, datagrams)),
            Err(e) => tried = Err(e),
        }
    }
    tried.and(Err(io::Error::other("no port is free for TCP and UDP alike")))
}
