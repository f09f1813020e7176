//! Transaction signatures (RFC 8945), as a client of one question and one answer needs them.

use ring::hmac;

use super::options::Algorithm;

/// Seconds that the clocks of both sides may differ (RFC 8945 section 10).
const FUDGE: u16 = 300;
/// The type of the record (RFC 8945 section 4.2).
const TSIG: u16 = 250;
/// Its class: ANY.
const ANY: u16 = 255;
/// The length of a message's header (RFC 1035 section 4.1.1).
const HEADER: usize = 12;
/// Most records of an answer to an update: it holds the zone and the signature.
const MOST_RECORDS: usize = 64;

/// A key, ready to sign.
pub struct Signer {
    key: hmac::Key,
    /// The key's name and the algorithm's, as they go over the wire.
    name: Vec<u8>,
    algorithm: Vec<u8>,
}

/// What a signature says about an error (RFC 8945 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signed {
    /// The answer is signed with the key, and says this error: 0 for none, 18 for clocks that differ too much.
    Right(u16),
    /// It is signed, and not with the key, or not in time.
    Wrong,
    /// It is not signed, and says this error where it says one: 16 for a wrong secret, 17 for an unknown key.
    Unsigned(u16),
}

impl Signer {
    /// A key by its name, in lower case without the dot at its end, and its secret.
    #[must_use]
    pub fn new(name: &str, algorithm: Algorithm, secret: &[u8]) -> Self {
        let kind = match algorithm {
            Algorithm::HmacSha256 => hmac::HMAC_SHA256,
            Algorithm::HmacSha384 => hmac::HMAC_SHA384,
            Algorithm::HmacSha512 => hmac::HMAC_SHA512,
        };
        Self { key: hmac::Key::new(kind, secret), name: wire(name), algorithm: wire(algorithm.word()) }
    }

    /// Signs a message at this second since 1970. Returns the message with its signature, and the signature's code, by
    /// which the answer is known.
    #[must_use]
    pub fn sign(&self, message: &[u8], now: u64) -> (Vec<u8>, Vec<u8>) {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(message);
        context.update(&self.variables(now, FUDGE, 0, &[]));
        let mac = context.sign().as_ref().to_vec();
        let id = message.get(..2).unwrap_or_default();
        let mut data = self.algorithm.clone();
        data.extend_from_slice(&six(now));
        for part in [FUDGE.to_be_bytes(), length(&mac)] {
            data.extend_from_slice(&part);
        }
        data.extend_from_slice(&mac);
        data.extend_from_slice(id);
        data.extend_from_slice(&[0; 4]);
        let mut signed = counted(message, 1);
        signed.extend_from_slice(&self.name);
        for part in [TSIG.to_be_bytes(), ANY.to_be_bytes(), [0; 2], [0; 2], length(&data)] {
            signed.extend_from_slice(&part);
        }
        signed.extend_from_slice(&data);
        (signed, mac)
    }

    /// Whether an answer to what was signed with this code is signed. Total, whatever the bytes are.
    #[must_use]
    pub fn check(&self, answer: &[u8], request: &[u8], now: u64) -> Signed {
        let Some(found) = Found::last(answer) else { return Signed::Unsigned(0) };
        if found.mac.is_empty() {
            return Signed::Unsigned(found.error);
        }
        let body = answer.get(..found.at).map(|b| counted(b, -1)).unwrap_or_default();
        let mut whole = length(request).to_vec();
        whole.extend_from_slice(request);
        whole.extend_from_slice(&found.id);
        whole.extend_from_slice(body.get(2..).unwrap_or_default());
        whole.extend_from_slice(&self.variables(found.time, found.fudge, found.error, &found.other));
        let same = hmac::verify(&self.key, &whole, &found.mac).is_ok();
        let in_time = found.time.abs_diff(now) <= u64::from(found.fudge);
        // A server whose clock differs says so, signed, with the time of the request.
        if same && (in_time || found.error == 18) { Signed::Right(found.error) } else { Signed::Wrong }
    }

    /// What is signed beside the message (RFC 8945 section 4.3.3).
    fn variables(&self, time: u64, fudge: u16, error: u16, other: &[u8]) -> Vec<u8> {
        let mut out = self.name.clone();
        out.extend_from_slice(&ANY.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.algorithm);
        out.extend_from_slice(&six(time));
        for part in [fudge.to_be_bytes(), error.to_be_bytes(), length(other)] {
            out.extend_from_slice(&part);
        }
        out.extend_from_slice(other);
        out
    }
}

/// A signature in an answer.
struct Found {
    /// Where it begins.
    at: usize,
    time: u64,
    fudge: u16,
    mac: Vec<u8>,
    id: [u8; 2],
    error: u16,
    other: Vec<u8>,
}

impl Found {
    /// The message's last record, where that is a signature.
    fn last(message: &[u8]) -> Option<Self> {
        let mut at = HEADER;
        let count = |n: usize| number(message, 4 + 2 * n).map(usize::from);
        let records = count(1)?.checked_add(count(2)?)?.checked_add(count(3)?)?;
        let questions = count(0)?;
        if questions > MOST_RECORDS || records > MOST_RECORDS || count(3)? == 0 {
            return None;
        }
        for _ in 0..questions {
            at = after_name(message, at)?.checked_add(4)?;
        }
        for left in (0..records).rev() {
            let begin = at;
            let head = after_name(message, at)?;
            let data = head.checked_add(10)?;
            let end = data.checked_add(usize::from(number(message, head + 8)?))?;
            if left == 0 {
                let ours = number(message, head)? == TSIG && end == message.len();
                return if ours { Self::read(begin, message.get(data..end)?) } else { None };
            }
            at = end;
        }
        None
    }

    fn read(at: usize, data: &[u8]) -> Option<Self> {
        let rest = data.get(after_name(data, 0)?..)?;
        let high = u64::from(number(rest, 0)?) << 32;
        let time = high | u64::from(number(rest, 2)?) << 16 | u64::from(number(rest, 4)?);
        let (fudge, size) = (number(rest, 6)?, usize::from(number(rest, 8)?));
        let mac = rest.get(10..10 + size)?.to_vec();
        let rest = rest.get(10 + size..)?;
        let id = rest.get(..2)?.try_into().ok()?;
        let other = rest.get(6..6 + usize::from(number(rest, 4)?))?.to_vec();
        Some(Self { at, time, fudge, mac, id, error: number(rest, 2)?, other })
    }
}

/// A name as it goes over the wire, without compression.
fn wire(name: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + 2);
    for label in name.split('.').filter(|l| !l.is_empty()) {
        out.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    out
}

/// Where a name ends that begins here: at its root, or after a pointer.
fn after_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *bytes.get(at)? {
            0 => return at.checked_add(1),
            long if long >= 0xc0 => return at.checked_add(2),
            label if label < 0x40 => at = at.checked_add(1 + usize::from(label))?,
            _ => return None,
        }
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at.checked_add(2)?)?.try_into().ok().map(u16::from_be_bytes)
}

/// A time as 48 bits.
fn six(time: u64) -> [u8; 6] {
    let [_, _, a, b, c, d, e, f] = time.to_be_bytes();
    [a, b, c, d, e, f]
}

fn length(bytes: &[u8]) -> [u8; 2] {
    u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes()
}

/// The message with so many more records in its last section.
fn counted(message: &[u8], more: i16) -> Vec<u8> {
    let mut out = message.to_vec();
    let count = number(message, 10).unwrap_or_default().saturating_add_signed(more);
    for (to, from) in out.iter_mut().skip(10).zip(count.to_be_bytes()) {
        *to = from;
    }
    out
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Message;
    use proptest::prelude::*;

    use super::*;

    fn signer(secret: &[u8]) -> Signer {
        Signer::new("failover.example", Algorithm::HmacSha256, secret)
    }

    fn question() -> Vec<u8> {
        Message::query().to_vec().unwrap()
    }

    /// The server's side: signs an answer to what was signed with `request`.
    fn answered(signer: &Signer, request: &[u8], now: u64) -> Vec<u8> {
        let body = question();
        let mut context = hmac::Context::with_key(&signer.key);
        context.update(&length(request));
        context.update(request);
        context.update(&body);
        context.update(&signer.variables(now, FUDGE, 0, &[]));
        let mac = context.sign().as_ref().to_vec();
        let (mut signed, own) = signer.sign(&body, now);
        let at = signed.windows(own.len()).position(|w| w == own).unwrap();
        signed[at..at + mac.len()].copy_from_slice(&mac);
        signed
    }

    #[test]
    fn what_is_signed_is_a_message_with_one_more_record() {
        let asked = question();
        let (signed, mac) = signer(b"secret").sign(&asked, 1_900_000_000);
        let read = Message::from_vec(&signed).unwrap();
        assert_eq!(read.metadata.id.to_be_bytes(), asked[..2]);
        let found = Found::last(&signed).unwrap();
        assert_eq!((found.at, found.mac, found.time), (asked.len(), mac, 1_900_000_000));
        assert_eq!((found.id.as_slice(), found.fudge, found.error), (&asked[..2], FUDGE, 0));
    }

    #[test]
    fn an_answer_is_known_by_its_signature() {
        let (ours, now) = (signer(b"secret"), 1_900_000_000);
        let (_, request) = ours.sign(&question(), now);
        let good = answered(&ours, &request, now);
        assert_eq!(ours.check(&good, &request, now + 300), Signed::Right(0));
        assert_eq!(ours.check(&good, &request, now + 301), Signed::Wrong, "too old");
        assert_eq!(ours.check(&good, b"another request", now), Signed::Wrong);
        assert_eq!(signer(b"other").check(&good, &request, now), Signed::Wrong);
        assert_eq!(ours.check(&question(), &request, now), Signed::Unsigned(0));
        // Whatever byte of the message or of the code is changed: it is not right any more. The id is the signature's own.
        let at = Found::last(&good).unwrap().at;
        let code = good.windows(32).position(|w| w == Found::last(&good).unwrap().mac).unwrap();
        for at in (2..at).chain(code..code + 32) {
            let mut changed = good.clone();
            changed[at] ^= 1;
            assert_ne!(ours.check(&changed, &request, now), Signed::Right(0), "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0_usize..200) {
            let ours = signer(b"secret");
            prop_assert_ne!(ours.check(&bytes, b"request", 0), Signed::Right(0));
            let (_, request) = ours.sign(&question(), 5);
            let good = answered(&ours, &request, 5);
            let short = &good[..cut.min(good.len() - 1)];
            prop_assert_ne!(ours.check(short, &request, 5), Signed::Right(0));
        }
    }
}
