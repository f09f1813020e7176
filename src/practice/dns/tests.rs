use std::time::Duration;

use hickory_proto::op::Query;
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{DNSClass, RData, Record};
use proptest::prelude::*;
use ring::hmac;

use super::*;
use crate::plan::{BootTime, Now};
use crate::practice::world::Setup;

fn world() -> World {
    let now = Now { wall: chrono::DateTime::UNIX_EPOCH, boot: BootTime(Duration::ZERO) };
    World::new(&Setup { seed: 7, speed: 1.0, clusters: Vec::new() }, now)
}

fn authority() -> Server {
    Server::authority("failover", b"secret").unwrap()
}

fn question(name: &str) -> Message {
    let mut message = Message::query();
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    message
}

fn ask(server: &Server, world: &mut World, message: &Message) -> Message {
    Message::from_vec(&server.answer(world, &message.to_vec().unwrap(), true).unwrap()).unwrap()
}

#[test]
fn authority_and_resolvers_say_who_they_are() {
    let mut world = world();
    let shop = question("shop.practice.example.");
    let by = ask(&authority(), &mut world, &shop);
    assert!(by.metadata.authoritative && !by.metadata.recursion_available && by.answers.len() == 1);
    assert_eq!(by.metadata.id, shop.metadata.id);
    let by = ask(&Server::Resolver(1), &mut world, &shop);
    assert!(!by.metadata.authoritative && by.metadata.recursion_available && by.answers.len() == 1);
    assert_eq!(
        ask(&Server::Resolver(0), &mut world, &question("example.com.")).metadata.response_code,
        ResponseCode::Refused
    );
}

#[test]
fn what_is_not_spoken_is_refused() {
    let mut world = world();
    for op in [OpCode::Notify, OpCode::Status] {
        let mut message = question("shop.practice.example.");
        message.metadata.op_code = op;
        assert_eq!(ask(&authority(), &mut world, &message).metadata.response_code, ResponseCode::NotImp, "{op:?}");
    }
    let mut newer = question("shop.practice.example.");
    let mut edns = Edns::new();
    edns.set_version(1);
    newer.set_edns(edns);
    let mut sent = newer.to_vec().unwrap();
    let at = sent.len() - 5;
    sent[at] = 1;
    let reply = authority().answer(&mut world, &sent, true).unwrap();
    // The codes 16 of EDNS (BADVERS) and of TSIG (BADSIG) are told apart by where they stand.
    assert_eq!(u16::from(Message::from_vec(&reply).unwrap().metadata.response_code), 16);
    let none = Message::query();
    assert_eq!(ask(&authority(), &mut world, &none).metadata.response_code, ResponseCode::FormErr);
    let mut reply = question("shop.practice.example.");
    reply.metadata.message_type = MessageType::Response;
    assert_eq!(authority().answer(&mut world, &reply.to_vec().unwrap(), true), None, "answers are not answered");
}

fn update() -> Message {
    let mut message = Message::new(9, MessageType::Query, OpCode::Update);
    message.add_query(Query::query(Name::from_ascii("practice.example.").unwrap(), RecordType::SOA));
    let name = Name::from_ascii("shop.practice.example.").unwrap();
    let mut gone = Record::update0(name.clone(), 0, RecordType::A);
    gone.dns_class = DNSClass::ANY;
    message.add_authority(gone);
    message.add_authority(Record::from_rdata(name, 30, RData::A(A::new(127, 0, 2, 1))));
    message
}

/// Signs as a client does.
fn signed(message: &Message, secret: &[u8], time: u64) -> (Vec<u8>, Vec<u8>) {
    let key = Key::new(Name::from_ascii("failover").unwrap(), secret);
    let bytes = key.seal(message, &Checked::Right(Vec::new()), time).unwrap();
    // A request has no code before it: made again without its length.
    let body = message.to_vec().unwrap();
    let read = Message::from_vec(&bytes).unwrap();
    let RData::TSIG(tsig) = &read.additionals.last().unwrap().data else { panic!("{read:?}") };
    let mut whole = body;
    let mut variables = Vec::new();
    let name = Name::from_ascii("failover.").unwrap();
    tsig.emit_tsig_for_mac(&mut hickory_proto::serialize::binary::BinEncoder::new(&mut variables), &name).unwrap();
    whole.extend_from_slice(&variables);
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), &whole).as_ref().to_vec();
    let at = bytes.windows(32).position(|w| w == tsig.mac).unwrap();
    let mut bytes = bytes;
    bytes[at..at + 32].copy_from_slice(&mac);
    (bytes, mac)
}

#[test]
fn only_who_has_the_key_changes_the_zone() {
    let mut world = world();
    let serial = |w: &World| w.dns.zone().unwrap().serial();
    let before = serial(&world);
    let now = seconds();
    let server = authority();
    let code = |world: &mut World, bytes: &[u8]| {
        let reply = server.answer(world, bytes, false).unwrap();
        let message = Message::from_vec(&reply).unwrap();
        let error = message.additionals.last().and_then(|r| match &r.data {
            RData::TSIG(tsig) => Some((tsig.error.map_or(0, u16::from), tsig.mac.len())),
            _ => None,
        });
        (message.metadata.response_code, error)
    };
    assert_eq!(code(&mut world, &update().to_vec().unwrap()), (ResponseCode::Refused, None));
    assert_eq!(code(&mut world, &signed(&update(), b"other", now).0), (ResponseCode::NotAuth, Some((16, 0))));
    assert_eq!(code(&mut world, &signed(&update(), b"secret", now - 400).0), (ResponseCode::NotAuth, Some((18, 32))));
    let stranger = Key::new(Name::from_ascii("stranger").unwrap(), b"secret");
    let by_stranger = stranger.seal(&update(), &Checked::Right(Vec::new()), now).unwrap();
    assert_eq!(code(&mut world, &by_stranger), (ResponseCode::NotAuth, Some((17, 0))));
    assert_eq!(serial(&world), before);
    assert_eq!(code(&mut world, &signed(&update(), b"secret", now).0), (ResponseCode::NoError, Some((0, 32))));
    assert_eq!(serial(&world), before + 1);
    let resolver = Server::Resolver(0).answer(&mut world, &update().to_vec().unwrap(), true).unwrap();
    assert_eq!(Message::from_vec(&resolver).unwrap().metadata.response_code, ResponseCode::NotImp);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    /// No bytes end the server, and an answer is never answered.
    #[test]
    fn any_bytes_are_answered_or_dropped(bytes in prop::collection::vec(any::<u8>(), 0..80), flip in 0_usize..120, with in any::<u8>()) {
        let mut world = world();
        let _ = authority().answer(&mut world, &bytes, true);
        let (mut good, _) = signed(&update(), b"secret", seconds());
        let mut signed_world = self::world();
        let _ = authority().answer(&mut signed_world, &good, true);
        let at = flip % good.len();
        good[at] ^= with;
        let serial = world.dns.zone().unwrap().serial();
        let _ = authority().answer(&mut world, &good, true);
        // The id is not signed, nor are the fields of the signature that have one value only; and a name is the same in any
        // case. Whatever is accepted is what was signed.
        let zone = world.dns.zone().unwrap();
        let same = || format!("{zone:?}") == format!("{:?}", signed_world.dns.zone().unwrap());
        prop_assert!(with == 0x20 || zone.serial() == serial || same(), "byte {}", at);
    }
}
