//! From the wire to words: whether a message answers our question, the chain in it, and what the server says about it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use hickory_proto::op::{Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};

use crate::plan::{SafeText, Span};
use crate::readiness::{Gap, Reason, Row, Value};

use super::signals;

/// The length of a message's header (RFC 1035 section 4.1.1).
const HEADER: usize = 12;
/// Most records of one answer: an honest front door has a few.
const MOST_RECORDS: usize = 64;
/// Most links of a chain; resolvers give up at about this many.
pub const MOST_LINKS: usize = 12;
/// The EDNS option of an extended error (RFC 8914).
const EXTENDED_ERROR: u16 = 15;

/// Why a message is no answer to our question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Another id or another question: somebody else's, or forged.
    NotOurs,
    /// It has our id, and makes no sense.
    Malformed,
    /// More records than anything honest.
    TooLarge,
}

/// Reads a message and checks that it answers the question: id, opcode, name, type and class (RFC 5452 section 9.1).
///
/// # Errors
/// Why it does not.
pub fn message(bytes: &[u8], id: u16, question: &Query) -> Result<Message, Unfit> {
    let theirs = bytes.get(..2).and_then(|b| b.try_into().ok()).map(u16::from_be_bytes);
    if theirs != Some(id) {
        return Err(Unfit::NotOurs);
    }
    if bytes.len() < HEADER {
        return Err(Unfit::Malformed);
    }
    // The counts stand at fixed places; they are read first, so that a hostile message is not even parsed.
    let count = |at: usize| bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_be_bytes);
    if [6, 8, 10].into_iter().any(|at| usize::from(count(at)) > MOST_RECORDS) {
        return Err(Unfit::TooLarge);
    }
    let message = Message::from_vec(bytes).map_err(|_| Unfit::Malformed)?;
    if message.metadata.message_type != MessageType::Response {
        return Err(Unfit::Malformed);
    }
    let asked = |q: &Query| {
        q.name() == question.name()
            && q.query_type() == question.query_type()
            && q.query_class() == question.query_class()
    };
    // FORMERR may come without the question: some old servers do not understand EDNS at all.
    let unread = message.queries.is_empty() && message.metadata.response_code == ResponseCode::FormErr;
    match message.queries.as_slice() {
        [one] if asked(one) => Ok(message),
        [] if unread => Ok(message),
        [..] => Err(Unfit::NotOurs),
    }
}

/// The gap for an answer that is an error; `None` for `NOERROR`.
#[must_use]
pub fn gap(message: &Message, server: &str) -> Option<Gap> {
    let extra = extended_error(message).map_or(String::new(), |(_, text)| format!(" ({text})"));
    #[expect(clippy::wildcard_enum_match_arm, reason = "response codes are open; the rest is a failed query")]
    let (reason, words) = match message.metadata.response_code {
        ResponseCode::NoError => return None,
        ResponseCode::NXDomain => (Reason::NxDomain, "the name does not exist (NXDOMAIN)".to_owned()),
        ResponseCode::ServFail => (Reason::ServFail, "SERVFAIL".to_owned()),
        ResponseCode::Refused => (Reason::DnsRefused, "REFUSED".to_owned()),
        other => (Reason::QueryFailed, other.to_str().to_owned()),
    };
    Some(Gap::new(reason, &format!("{server}: {words}{extra}")))
}

/// One record of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its owner: lower case, without the dot at the end.
    pub name: String,
    /// `CNAME`, `A` or `AAAA`.
    pub kind: &'static str,
    /// The target or the address.
    pub data: String,
    /// Its time to live.
    pub ttl: Duration,
}

impl Link {
    /// The link as a row, for the question of this family.
    #[must_use]
    pub fn row(&self, family: &str) -> Row {
        Row::default()
            .with("family", Value::text(family))
            .with("name", Value::text(&self.name))
            .with("type", Value::text(self.kind))
            .with("data", Value::text(&self.data))
            .with("ttl", Value::Span(Span(self.ttl)))
    }
}

/// The links that lead from a name towards its addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// The links in order; the addresses last.
    pub links: Vec<Link>,
    /// The name at which the message ends without an address, where a CNAME led there.
    pub onward: Option<Name>,
}

impl Chain {
    /// Whether it reaches an address.
    #[must_use]
    pub fn arrives(&self) -> bool {
        self.links.iter().any(|l| l.kind != "CNAME")
    }
}

/// Follows the CNAMEs of a message from `start`. With a zone, records outside it are not believed: their own servers are
/// asked.
///
/// # Errors
/// `Malformed` for a loop, `TooLarge` for a chain without end.
pub fn chain(message: &Message, start: &Name, kind: RecordType, zone: Option<&Name>) -> Result<Chain, Gap> {
    let mut chain = Chain::default();
    let mut at = start.clone();
    let mut been: Vec<Name> = Vec::new();
    loop {
        if been.contains(&at) {
            return Err(Gap::new(Reason::Malformed, &format!("the CNAMEs run in a circle at {}", text(&at))));
        }
        if been.len() >= MOST_LINKS {
            return Err(Gap::new(Reason::TooLarge, &format!("more than {MOST_LINKS} CNAMEs in a row")));
        }
        been.push(at.clone());
        if zone.is_some_and(|z| !z.zone_of(&at)) {
            chain.onward = Some(at);
            return Ok(chain);
        }
        let own = || message.answers.iter().filter(|r| r.name == at);
        let mut next = None;
        for record in own() {
            let ttl = Duration::from_secs(u64::from(record.ttl));
            let link = |kind, data| Link { name: text(&at), kind, data, ttl };
            #[expect(clippy::wildcard_enum_match_arm, reason = "other records do not lead to addresses")]
            match &record.data {
                RData::A(a) if kind == RecordType::A => chain.links.push(link("A", a.0.to_string())),
                RData::AAAA(a) if kind == RecordType::AAAA => chain.links.push(link("AAAA", a.0.to_string())),
                RData::CNAME(target) => {
                    chain.links.push(link("CNAME", text(&target.0)));
                    next = Some(target.0.clone());
                }
                _ => {}
            }
        }
        match next {
            Some(target) => at = target,
            None => {
                chain.onward = (been.len() > 1 && !chain.arrives()).then_some(at);
                return Ok(chain);
            }
        }
    }
}

/// What a start of authority says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Soa {
    /// The zone.
    pub zone: Name,
    /// Its serial.
    pub serial: u32,
}

/// The zone that a name is in, by an answer to a question for its SOA. `None` where the answer does not say: the name is a
/// CNAME, or the answer is empty; then its parent is to be asked.
#[must_use]
pub fn soa(message: &Message, name: &Name) -> Option<Soa> {
    let alias = message.answers.iter().any(|r| r.name == *name && matches!(r.data, RData::CNAME(_)));
    let mut all = message.answers.iter().filter(|r| r.name == *name);
    let mut above = message.authorities.iter().filter(|r| !alias && r.name.zone_of(name));
    let read = |r: &hickory_proto::rr::Record| match &r.data {
        RData::SOA(soa) => Some(Soa { zone: r.name.clone(), serial: soa.serial }),
        _ => None,
    };
    all.find_map(read).or_else(|| above.find_map(read))
}

/// When the first of the signatures among a message's answers expires (RFC 4034 section 3.1.5); `None` where there is none.
/// The time is that of the 136 years around `now`, as the RFC has it.
#[must_use]
pub fn signed_until(message: &Message, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let expiry = |r: &hickory_proto::rr::Record| match &r.data {
        RData::Unknown { code: RecordType::RRSIG, rdata } => {
            // Type covered, algorithm, labels and original TTL stand before it.
            let seconds = u32::from_be_bytes(rdata.anything.get(8..12)?.try_into().ok()?);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "serial arithmetic, RFC 1982")]
            let now32 = now.timestamp() as u32;
            let ahead = i64::from(seconds.wrapping_sub(now32).cast_signed());
            DateTime::from_timestamp(now.timestamp().checked_add(ahead)?, 0)
        }
        _ => None,
    };
    message.answers.iter().filter_map(expiry).min()
}

/// The names of a zone's servers, with the shortest TTL.
#[must_use]
pub fn servers(message: &Message, zone: &Name) -> (Vec<Name>, Duration) {
    let mut names = Vec::new();
    let mut ttl = u32::MAX;
    for record in message.answers.iter().filter(|r| r.name == *zone) {
        if let RData::NS(ns) = &record.data {
            names.push(ns.0.clone());
            ttl = ttl.min(record.ttl);
        }
    }
    (names, Duration::from_secs(u64::from(ttl)))
}

/// What a resolver itself says of an answer that it kept beyond its time (RFC 8767, by RFC 8914 codes 3 and 19).
#[must_use]
pub fn stale(message: &Message) -> Option<SafeText> {
    let (code, text) = extended_error(message)?;
    matches!(code, 3 | 19).then(|| SafeText::new(&text))
}

/// The extended error of a message: its code, and words.
fn extended_error(message: &Message) -> Option<(u16, String)> {
    use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
    let EdnsOption::Unknown(_, data) = message.edns.as_ref()?.option(EdnsCode::Unknown(EXTENDED_ERROR))? else {
        return None;
    };
    let code = u16::from_be_bytes(data.get(..2)?.try_into().ok()?);
    let said = String::from_utf8_lossy(data.get(2..).unwrap_or_default()).into_owned();
    let name = match code {
        3 => "stale answer",
        6 => "DNSSEC bogus",
        7 => "signature expired",
        15 => "blocked",
        18 => "prohibited",
        19 => "stale NXDOMAIN answer",
        20 => "not authoritative",
        22 => "no reachable authority",
        23 => "network error",
        _ => "extended error",
    };
    let words = if said.is_empty() { format!("{name}, RFC 8914 code {code}") } else { format!("{name}: {said}") };
    Some((code, words))
}

/// A name as it is shown: lower case, without the dot at the end.
#[must_use]
pub fn text(name: &Name) -> String {
    let shown = name.to_lowercase().to_ascii();
    shown.strip_suffix('.').filter(|s| !s.is_empty()).unwrap_or(&shown).to_owned()
}

/// The name that a checked option means.
///
/// # Errors
/// `Bug`: options are checked when they are read.
pub fn fqdn(name: &str) -> Result<Name, Gap> {
    Name::from_ascii(format!("{name}.")).map_err(|e| Gap::new(Reason::Bug, &format!("{name}: {e}")))
}

/// What one authoritative server's answers for both families come to: a code and words.
#[must_use]
pub fn outcome(replies: [&Result<Message, Gap>; 2], server: &str) -> (&'static str, SafeText) {
    let mut answers = 0;
    for reply in replies {
        match reply {
            Err(gap) => return (code(gap), gap.detail.clone()),
            Ok(message) => {
                if let Some(gap) = gap(message, server) {
                    // An NXDOMAIN of a server that is no authority for the name proves nothing.
                    if gap.reason != Reason::NxDomain || message.metadata.authoritative {
                        return (gap.reason.code(), gap.detail);
                    }
                }
                if !message.metadata.authoritative {
                    return (signals::NOT_AUTHORITATIVE, SafeText::new("answers without authority (no AA)"));
                }
                answers += message.answers.len();
            }
        }
    }
    if answers == 0 {
        return (signals::NO_DATA, SafeText::new("the name exists and has no address"));
    }
    (signals::OK, SafeText::new("answers with authority"))
}

/// A gap's code, with the machine's own want of a route apart: that says nothing of the server.
#[must_use]
pub fn code(gap: &Gap) -> &'static str {
    if gap.reason == Reason::Unreachable { signals::NO_ROUTE } else { gap.reason.code() }
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::{Edns, OpCode};
    use hickory_proto::rr::Record;
    use hickory_proto::rr::rdata::opt::EdnsOption;
    use hickory_proto::rr::rdata::{A, CNAME};
    use proptest::prelude::*;

    use super::*;

    fn n(text: &str) -> Name {
        fqdn(text).unwrap()
    }

    fn question() -> Query {
        Query::query(n("shop.example.com"), RecordType::A)
    }

    fn answer(records: Vec<(&str, u32, RData)>) -> Message {
        let mut m = Message::response(7, OpCode::Query);
        m.add_query(question());
        for (name, ttl, data) in records {
            m.add_answer(Record::from_rdata(n(name), ttl, data));
        }
        m
    }

    fn cname(to: &str) -> RData {
        RData::CNAME(CNAME(n(to)))
    }

    #[test]
    fn only_our_answer_counts() {
        let good = answer(vec![]).to_vec().unwrap();
        assert!(message(&good, 7, &question()).is_ok());
        assert_eq!(message(&good, 8, &question()).unwrap_err(), Unfit::NotOurs);
        let other = Query::query(n("other.example.com"), RecordType::A);
        assert_eq!(message(&good, 7, &other).unwrap_err(), Unfit::NotOurs);
        assert_eq!(message(&good[..5], 7, &question()).unwrap_err(), Unfit::Malformed);
        assert_eq!(message(b"", 7, &question()).unwrap_err(), Unfit::NotOurs);
        let many = answer((0..65).map(|i| ("shop.example.com", 1, RData::A(A::new(10, 0, 0, i)))).collect());
        assert_eq!(message(&many.to_vec().unwrap(), 7, &question()).unwrap_err(), Unfit::TooLarge);
        let mut query = answer(vec![]);
        query.metadata.message_type = MessageType::Query;
        assert_eq!(message(&query.to_vec().unwrap(), 7, &question()).unwrap_err(), Unfit::Malformed);
    }

    #[test]
    fn chains_are_followed_in_any_order() {
        let m = answer(vec![
            ("b.example.net", 20, RData::A(A::new(192, 0, 2, 1))),
            ("shop.example.com", 60, cname("B.Example.NET")),
        ]);
        let whole = chain(&m, &n("shop.example.com"), RecordType::A, None).unwrap();
        let shown: Vec<_> =
            whole.links.iter().map(|l| format!("{} {} {} {:?}", l.name, l.kind, l.data, l.ttl)).collect();
        assert_eq!(shown, ["shop.example.com CNAME b.example.net 60s", "b.example.net A 192.0.2.1 20s"]);
        assert!(whole.arrives() && whole.onward.is_none());
        let own = chain(&m, &n("shop.example.com"), RecordType::A, Some(&n("example.com"))).unwrap();
        assert_eq!((own.links.len(), own.onward), (1, Some(n("b.example.net"))));
    }

    #[test]
    fn circles_and_endless_chains_end() {
        let m = answer(vec![("shop.example.com", 1, cname("b")), ("b", 1, cname("shop.example.com"))]);
        assert_eq!(chain(&m, &n("shop.example.com"), RecordType::A, None).unwrap_err().reason, Reason::Malformed);
        let names: Vec<String> = (0..40).map(|i| format!("l{i}")).collect();
        let links = names.windows(2).map(|w| (w[0].as_str(), 1, cname(&w[1]))).collect();
        assert_eq!(chain(&answer(links), &n("l0"), RecordType::A, None).unwrap_err().reason, Reason::TooLarge);
    }

    #[test]
    fn a_resolver_that_says_so_is_stale() {
        let mut m = answer(vec![]);
        assert_eq!(stale(&m), None);
        let mut edns = Edns::new();
        edns.options_mut().insert(EdnsOption::Unknown(15, vec![0, 3]));
        m.set_edns(edns);
        let read = message(&m.to_vec().unwrap(), 7, &question()).unwrap();
        assert_eq!(stale(&read).unwrap().as_str(), "stale answer, RFC 8914 code 3");
    }

    #[test]
    fn error_codes_are_apart() {
        let of = |code, aa| {
            let mut m = answer(vec![]);
            m.metadata.response_code = code;
            m.metadata.authoritative = aa;
            let m = Ok(m);
            outcome([&m, &m], "ns1").0
        };
        assert_eq!(of(ResponseCode::NXDomain, true), "nxdomain");
        assert_eq!(of(ResponseCode::NXDomain, false), "not-authoritative");
        assert_eq!(of(ResponseCode::ServFail, false), "servfail");
        assert_eq!(of(ResponseCode::Refused, false), "dns-refused");
        assert_eq!(of(ResponseCode::NotImp, false), "query-failed");
        assert_eq!(of(ResponseCode::NoError, true), "no-data");
        assert_eq!(of(ResponseCode::NoError, false), "not-authoritative");
        let late: Result<Message, Gap> = Err(Reason::TimedOut.into());
        assert_eq!(outcome([&late, &late], "ns1").0, "timed-out");
        let off: Result<Message, Gap> = Err(Reason::Unreachable.into());
        assert_eq!(outcome([&off, &off], "ns1").0, "no-route");
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let id = bytes.get(..2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_be_bytes);
            if let Ok(m) = message(&bytes, id, &question()) {
                let _ = chain(&m, &n("shop.example.com"), RecordType::A, None);
                let _ = (soa(&m, &n("shop.example.com")), stale(&m), gap(&m, ""));
            }
        }
    }
}
