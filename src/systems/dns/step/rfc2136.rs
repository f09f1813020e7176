//! A dynamic update (RFC 2136): one message, signed, by TCP; and what its answer means.

use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::clock;
use crate::net::{Net, gap_of_io};
use crate::readiness::{Gap, Reason};

use super::super::options::shown;
use super::super::parse;
use super::edit::{Change, Kind};
use super::options::Key;
use super::tsig::{Signed, Signer};

/// The largest answer that is read: it holds the zone's name and a signature.
const LARGEST: usize = 4_096;
/// The length of a message's header (RFC 1035 section 4.1.1).
const HEADER: usize = 12;

/// What became of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The server says, signed, that it was done.
    Done(String),
    /// The server says that nothing was done.
    Refused(String),
    /// Nothing was sent.
    NotSent(String),
    /// It was sent, and nobody can say what became of it.
    Unclear(String),
}

/// Sends a change to the primary at this address, once.
pub async fn send(net: &Net, server: SocketAddr, change: &Change, key: &Key, deadline: Instant) -> Fate {
    let signer = match signer(net, key, deadline).await {
        Ok(signer) => signer,
        Err(gap) => return Fate::NotSent(gap.to_string()),
    };
    let (id, unsigned) = match message(change) {
        Ok(message) => message,
        Err(gap) => return Fate::NotSent(gap.to_string()),
    };
    let (bytes, mac) = signer.sign(&unsigned, seconds());
    let Ok(length) = u16::try_from(bytes.len()) else { return Fate::NotSent("the message is too long".to_owned()) };
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(&bytes);
    let mut stream = match net.connect_at(server, deadline).await {
        Ok(stream) => stream,
        Err(gap) => return Fate::NotSent(gap.to_string()),
    };
    // From here on the server may have it, whatever happens.
    let who = shown(server);
    match timeout_at(deadline, exchange(&mut stream, &framed)).await {
        Err(_) => Fate::Unclear(format!("{who}: sent, and no answer in time")),
        Ok(Err(e)) => Fate::Unclear(format!("sent, and then {}", gap_of_io(&e, server).detail)),
        Ok(Ok(answer)) => meaning(&who, id, &answer, signer.check(&answer, &mac, seconds()), key),
    }
}

fn seconds() -> u64 {
    u64::try_from(clock::now().wall.timestamp()).unwrap_or_default()
}

/// The key with its secret, which is read now.
async fn signer(net: &Net, key: &Key, deadline: Instant) -> Result<Signer, Gap> {
    let secret = net.secret(&key.secret, deadline).await?;
    let text = secret.expose_secret().trim();
    // The text itself stays out of the error.
    let decoded = base64::engine::general_purpose::STANDARD.decode(text).map_err(|_| {
        let why = format!("{}: the key {} is no base64, as tsig-keygen writes it", key.secret, key.name);
        Gap::new(Reason::SecretUnavailable, &why)
    })?;
    Ok(Signer::new(&key.name, key.algorithm, &decoded))
}

async fn exchange(stream: &mut TcpStream, framed: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(framed).await?;
    let length = usize::from(stream.read_u16().await?);
    if length > LARGEST {
        return Err(std::io::Error::other("the answer is too large"));
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

/// The update as a message without its signature, and its id.
fn message(change: &Change) -> Result<(u16, Vec<u8>), Gap> {
    let bug = |e: &dyn std::fmt::Display| Gap::new(Reason::Bug, &format!("update: {e}"));
    let (zone, name) = (parse::fqdn(&change.zone)?, parse::fqdn(&change.name)?);
    let mut message = Message::new(Message::query().metadata.id, MessageType::Query, OpCode::Update);
    message.add_query(Query::query(zone, RecordType::SOA));
    let empty = |kind: Kind, class: DNSClass| {
        let mut record = Record::update0(name.clone(), 0, record_type(kind));
        record.dns_class = class;
        record
    };
    // What must be there (RFC 2136 section 2.4): each type that is, with its whole data; each that is not, as absent.
    for kind in Kind::ALL {
        match change.old.data(kind) {
            None => drop(message.add_answer(empty(kind, DNSClass::NONE))),
            Some(all) => {
                for data in all {
                    message.add_answer(record(&name, 0, kind, data)?);
                }
            }
        }
    }
    for kind in change.changed().filter(|k| change.old.data(*k).is_some()) {
        message.add_authority(empty(kind, DNSClass::ANY));
    }
    for kind in change.changed() {
        let Some(set) = change.new.0.get(&kind) else { continue };
        for data in &set.data {
            message.add_authority(record(&name, set.ttl, kind, data)?);
        }
    }
    let bytes = message.to_vec().map_err(|e| bug(&e))?;
    Ok((message.metadata.id, bytes))
}

const fn record_type(kind: Kind) -> RecordType {
    match kind {
        Kind::A => RecordType::A,
        Kind::Aaaa => RecordType::AAAA,
        Kind::Cname => RecordType::CNAME,
    }
}

fn record(name: &Name, ttl: u32, kind: Kind, data: &str) -> Result<Record, Gap> {
    let data = match (kind, data.parse::<IpAddr>()) {
        (Kind::A, Ok(IpAddr::V4(ip))) => RData::A(A(ip)),
        (Kind::Aaaa, Ok(IpAddr::V6(ip))) => RData::AAAA(AAAA(ip)),
        (Kind::Cname, _) => RData::CNAME(CNAME(parse::fqdn(data)?)),
        (Kind::A | Kind::Aaaa, _) => return Err(Gap::new(Reason::Bug, &format!("{data} is no {}", kind.word()))),
    };
    Ok(Record::from_rdata(name.clone(), ttl, data))
}

/// What an answer means. Only a signed one says that it was done; one that is not signed may say that it was not, as
/// RFC 8945 section 5.3.2 wants it for a key that the server does not accept.
fn meaning(who: &str, id: u16, answer: &[u8], signed: Signed, key: &Key) -> Fate {
    let word = |at: usize| answer.get(at..at + 2).and_then(|b| b.try_into().ok()).map(u16::from_be_bytes);
    let (Some(theirs), Some(flags)) = (word(0), word(2)) else {
        return Fate::Unclear(format!("{who}: sent, and the answer is no DNS message"));
    };
    let response = flags & 0x8000 != 0 && (flags >> 11) & 0xf == u16::from(u8::from(OpCode::Update));
    if answer.len() < HEADER || theirs != id || !response {
        return Fate::Unclear(format!("{who}: sent, and the answer is to something else"));
    }
    let error = match signed {
        Signed::Wrong => return Fate::Unclear(format!("{who}: sent, and the answer's signature is not right")),
        Signed::Right(error) | Signed::Unsigned(error) => error,
    };
    let refused = |words: &str| Fate::Refused(format!("{who}: {words}"));
    match error {
        16 => return refused(&format!("NOTAUTH (BADSIG): the key {} has another secret there", key.name)),
        17 => {
            let words = format!("NOTAUTH (BADKEY): no key {} with {} there", key.name, key.algorithm.word());
            return refused(&words);
        }
        18 => return refused("NOTAUTH (BADTIME): its clock and this one differ by more than 5 minutes"),
        _ => {}
    }
    let code = ResponseCode::from(0, u8::try_from(flags & 0xf).unwrap_or_default());
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "response codes are open; of the rest nobody knows what was done"
    )]
    match code {
        ResponseCode::NoError if matches!(signed, Signed::Right(_)) => Fate::Done(format!("{who}: NOERROR")),
        ResponseCode::NoError => Fate::Unclear(format!("{who}: sent, and the answer, NOERROR, is not signed")),
        ResponseCode::Refused => refused(&format!("REFUSED: the key {} may not change this record there", key.name)),
        ResponseCode::NotAuth => refused("NOTAUTH: it is not the zone's primary"),
        ResponseCode::NotZone => refused("NOTZONE: the record is not in that zone"),
        ResponseCode::NXRRSet => refused("NXRRSET: the record is not what was shown; nothing was changed"),
        ResponseCode::YXRRSet => refused("YXRRSET: the record has more than was shown; nothing was changed"),
        ResponseCode::NXDomain => refused("NXDOMAIN: the record is gone; nothing was changed"),
        ResponseCode::YXDomain => refused("YXDOMAIN: a name is there that was not shown; nothing was changed"),
        ResponseCode::FormErr => refused("FORMERR: it does not understand the update"),
        ResponseCode::NotImp => refused("NOTIMP: it does not take updates"),
        other => Fate::Unclear(format!("{who}: {}: whether it was done is not known", other.to_str())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::options::SiteAnswer;
    use super::super::edit::Values;
    use super::*;
    use crate::plan::{SecretRef, SiteId};
    use crate::systems::dns::step::options::Algorithm;

    fn key() -> Key {
        Key { name: "failover".into(), algorithm: Algorithm::HmacSha256, secret: SecretRef::Env("NONE".into()) }
    }

    #[test]
    fn one_message_with_what_must_be_there_before() {
        let west = SiteAnswer {
            site: SiteId::new("west"),
            addresses: vec!["198.51.100.10".parse().unwrap(), "2001:db8:2::10".parse().unwrap()],
            names: vec![],
        };
        let mut old = Values::default();
        old.add(Kind::A, 20, "192.0.2.10".into());
        let (id, bytes) = message(&Change::to("dr.test", "shop.dr.test", &west, old, Some(5))).unwrap();
        let read = Message::from_vec(&bytes).unwrap();
        assert_eq!((read.metadata.id, read.metadata.op_code), (id, OpCode::Update));
        let line = |r: &Record| format!("{} {} {} {}", r.ttl, r.dns_class, r.record_type(), r.data);
        let lines = |all: &[Record]| all.iter().map(line).collect::<Vec<_>>();
        let before = lines(&read.answers);
        assert_eq!(before.len(), 3, "{before:?}");
        assert_eq!(before[0], "0 IN A 192.0.2.10");
        assert!(before[1].starts_with("0 NONE AAAA") && before[2].starts_with("0 NONE CNAME"), "{before:?}");
        let after = lines(&read.authorities);
        assert!(after[0].starts_with("0 ANY A "), "{after:?}");
        assert_eq!(after[1..], ["5 IN A 198.51.100.10", "5 IN AAAA 2001:db8:2::10"]);
    }

    #[test]
    fn what_answers_mean() {
        let of = |flags: u16, signed| {
            let mut answer = vec![0, 7];
            answer.extend_from_slice(&flags.to_be_bytes());
            answer.extend_from_slice(&[0; 8]);
            meaning("ns1", 7, &answer, signed, &key())
        };
        let update = 0xa800;
        assert!(matches!(of(update, Signed::Right(0)), Fate::Done(_)));
        assert!(matches!(of(update, Signed::Unsigned(0)), Fate::Unclear(_)), "anybody could say so");
        assert!(matches!(of(update, Signed::Wrong), Fate::Unclear(_)));
        for code in [1, 3, 4, 5, 6, 7, 8, 9, 10] {
            let said = of(update | code, Signed::Right(0));
            assert!(matches!(said, Fate::Refused(_)), "{code}: {said:?}");
        }
        for code in [2, 11, 15] {
            assert!(matches!(of(update | code, Signed::Right(0)), Fate::Unclear(_)), "{code}");
        }
        for (error, word) in [(16, "BADSIG"), (17, "BADKEY"), (18, "BADTIME")] {
            let Fate::Refused(said) = of(update | 9, Signed::Unsigned(error)) else { panic!("{error}") };
            assert!(said.contains(word), "{said}");
        }
        assert!(matches!(of(0x8000, Signed::Right(0)), Fate::Unclear(_)), "an answer to a question");
        assert!(matches!(of(0x2800, Signed::Right(0)), Fate::Unclear(_)), "no answer");
        assert!(matches!(meaning("ns1", 7, &[0, 7], Signed::Right(0), &key()), Fate::Unclear(_)));
        assert!(matches!(
            meaning("ns1", 8, &[0, 7, 0xa8, 0, 0, 0, 0, 0, 0, 0, 0, 0], Signed::Right(0), &key()),
            Fate::Unclear(_)
        ));
    }
}
