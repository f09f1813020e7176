use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::CNAME;
use hickory_proto::rr::{DNSClass, Record};

use super::*;

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn zone() -> Zone {
    let mut zone = Zone::new(&name("practice.example."), super::super::LOCAL, 7).unwrap();
    zone.set(&name("shop.practice.example."), 20, vec![address(front(Site::East))]);
    zone.set(&name("www.practice.example."), 60, vec![RData::CNAME(CNAME(name("shop.practice.example.")))]);
    zone.set(&name("a.b.practice.example."), 60, vec![address(front(Site::East))]);
    zone
}

fn ask(kind: RecordType, text: &str) -> Query {
    Query::query(name(text), kind)
}

fn shown(answer: &Answer) -> String {
    let line = |r: &Record| format!("{} {} {} {}", r.name, r.ttl, r.record_type(), r.data);
    let lines = answer.answers.iter().chain(&answer.authorities).map(line).collect::<Vec<_>>().join("\n");
    format!("{:?} {}\n{lines}", answer.code, if answer.authoritative { "aa" } else { "--" })
}

#[test]
fn an_authority_answers_what_is_there_and_says_what_is_not() {
    let zone = zone();
    insta::assert_snapshot!(shown(&zone.answer(&ask(RecordType::A, "WWW.practice.example."))), @r"
    NoError aa
    www.practice.example. 60 CNAME shop.practice.example.
    shop.practice.example. 20 A 127.0.1.1
    ");
    insta::assert_snapshot!(shown(&zone.answer(&ask(RecordType::AAAA, "shop.practice.example."))), @r"
    NoError aa
    practice.example. 5 SOA ns1.practice.example. hostmaster.practice.example. 10 60 60 600 5
    ");
    let code = |kind, name| zone.answer(&ask(kind, name)).code;
    assert_eq!(code(RecordType::A, "nope.practice.example."), ResponseCode::NXDomain);
    assert_eq!(code(RecordType::A, "b.practice.example."), ResponseCode::NoError, "others stand below it");
    assert_eq!(code(RecordType::A, "example.com."), ResponseCode::Refused);
    assert_eq!(code(RecordType::AXFR, "practice.example."), ResponseCode::Refused);
    assert_eq!(zone.answer(&ask(RecordType::NS, "practice.example.")).answers.len(), 1);
}

/// An update of these prerequisites and changes: class, time to live, type and data.
fn update(
    before: &[(DNSClass, u32, RecordType, Option<RData>)],
    changes: &[(DNSClass, u32, RecordType, Option<RData>)],
) -> Message {
    let mut message = Message::new(1, MessageType::Query, OpCode::Update);
    message.add_query(ask(RecordType::SOA, "practice.example."));
    let record = |(class, ttl, kind, data): &(DNSClass, u32, RecordType, Option<RData>)| {
        let owner = name("shop.practice.example.");
        let mut record = match data {
            Some(data) => Record::from_rdata(owner, *ttl, data.clone()),
            None => Record::update0(owner, *ttl, *kind),
        };
        record.dns_class = *class;
        record
    };
    message.add_answers(before.iter().map(record));
    message.add_authorities(changes.iter().map(record));
    // As it comes over the wire.
    Message::from_vec(&message.to_vec().unwrap()).unwrap()
}

const A: RecordType = RecordType::A;

fn at(site: Site) -> Option<RData> {
    Some(address(front(site)))
}

#[test]
fn an_update_is_made_whole_or_not_at_all() {
    let moves = [(DNSClass::ANY, 0, A, None), (DNSClass::IN, 30, A, at(Site::West))];
    let mut zone = zone();
    let before = zone.clone();
    let mut tried = |before: &[_], changes: &[_]| zone.update(&update(before, changes));
    for (required, code) in [
        ((DNSClass::IN, 0, A, at(Site::West)), ResponseCode::NXRRSet),
        ((DNSClass::NONE, 0, A, None), ResponseCode::YXRRSet),
        ((DNSClass::NONE, 0, RecordType::ANY, None), ResponseCode::YXDomain),
        ((DNSClass::ANY, 0, RecordType::AAAA, None), ResponseCode::NXRRSet),
        ((DNSClass::IN, 9, A, at(Site::East)), ResponseCode::FormErr),
    ] {
        assert_eq!(tried(std::slice::from_ref(&required), &moves), code, "{required:?}");
    }
    // A change that makes no sense leaves those before it undone.
    assert_eq!(tried(&[], &[moves[0].clone(), (DNSClass::ANY, 5, A, None)]), ResponseCode::FormErr);
    assert_eq!(zone, before);
    assert_eq!(zone.update(&update(&[(DNSClass::IN, 0, A, at(Site::East))], &moves)), ResponseCode::NoError);
    assert_eq!(zone.serial(), before.serial() + 1);
    let answer = zone.answer(&ask(A, "shop.practice.example."));
    assert_eq!((answer.answers[0].ttl, &answer.answers[0].data), (30, &at(Site::West).unwrap()));
    // What is so already changes nothing, and not the serial.
    let again = zone.clone();
    assert_eq!(zone.update(&update(&[], &[(DNSClass::IN, 30, A, at(Site::West))])), ResponseCode::NoError);
    assert_eq!(zone, again);
    // Nothing stands beside an alias, and a zone keeps its SOA.
    zone.update(&update(&[], &[(DNSClass::IN, 30, RecordType::CNAME, Some(RData::CNAME(CNAME(name("x.test.")))))]));
    assert_eq!(zone, again);
    zone.update(&update(&[], &[(DNSClass::NONE, 0, A, at(Site::West))]));
    assert_eq!(zone.answer(&ask(A, "shop.practice.example.")).code, ResponseCode::NXDomain);
    let mut strange = update(&[], &[]);
    strange.queries[0].set_name(name("example.com."));
    assert_eq!(zone.update(&strange), ResponseCode::NotAuth);
}

#[test]
fn a_resolver_counts_down_and_then_asks_again() {
    let mut authority = zone();
    let mut resolver = Resolver::default();
    let www = ask(RecordType::A, "www.practice.example.");
    let mut say = |zone: Option<&Zone>, seconds| {
        let answer = resolver.answer(zone, &www, true, Duration::from_millis(seconds));
        let ttls: Vec<String> = answer.answers.iter().map(|r| format!("{} {}", r.ttl, r.data)).collect();
        format!("{:?}: {}", answer.code, ttls.join(", "))
    };
    assert_eq!(say(Some(&authority), 0), "NoError: 60 shop.practice.example., 20 127.0.1.1");
    authority.set(&name("shop.practice.example."), 20, vec![address(front(Site::West))]);
    assert_eq!(say(Some(&authority), 5_400), "NoError: 54 shop.practice.example., 14 127.0.1.1");
    assert_eq!(say(None, 19_999), "NoError: 40 shop.practice.example., 0 127.0.1.1");
    assert_eq!(say(None, 20_000), "ServFail: ");
    assert_eq!(say(Some(&authority), 20_000), "NoError: 40 shop.practice.example., 20 127.0.2.1");
    assert_eq!(
        resolver.answer(None, &ask(RecordType::NS, "practice.example."), false, Duration::ZERO).code,
        ResponseCode::Refused
    );
    let gone = ask(RecordType::A, "nope.practice.example.");
    assert_eq!(resolver.answer(Some(&authority), &gone, true, Duration::ZERO).code, ResponseCode::NXDomain);
    assert_eq!(resolver.answer(None, &gone, true, Duration::from_secs(4)).code, ResponseCode::NXDomain, "remembered");
    assert_eq!(resolver.answer(None, &gone, true, Duration::from_secs(5)).code, ResponseCode::ServFail);
}
