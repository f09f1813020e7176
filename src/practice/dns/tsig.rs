//! Transaction signatures (RFC 8945), as a server of one key needs them.

use hickory_proto::op::{Header, Message, Query};
use hickory_proto::rr::rdata::TSIG;
use hickory_proto::rr::rdata::tsig::{TsigAlgorithm, TsigError, make_tsig_record};
use hickory_proto::rr::{DNSClass, Name, RData, Record};
use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder, BinEncodable as _, BinEncoder, NameEncoding};
use ring::hmac;

/// Seconds that the clocks of both sides may differ (RFC 8945 section 10).
const FUDGE: u16 = 300;

/// The key that may change the zone.
pub struct Key {
    name: Name,
    secret: hmac::Key,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.name)
    }
}

/// What the signature of a message is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// There is none.
    Unsigned,
    /// It is right; the answer is signed together with its code.
    Right(Vec<u8>),
    /// It is wrong: why, by which name and of which message the answer says so, and the code that the answer is signed with,
    /// where it is signed (RFC 8945 section 5.2).
    Wrong(TsigError, Box<Name>, u16, Option<Vec<u8>>),
}

impl Key {
    /// The key of this name, for HMAC with SHA-256.
    #[must_use]
    pub fn new(mut name: Name, secret: &[u8]) -> Self {
        name.set_fqdn(true);
        Self { name, secret: hmac::Key::new(hmac::HMAC_SHA256, secret) }
    }

    /// Looks at a message's signature, as of this second since 1970.
    #[must_use]
    pub fn check(&self, bytes: &[u8], message: &Message, now: u64) -> Checked {
        let Some((record, tsig)) = signature(message) else { return Checked::Unsigned };
        let wrong = |error, code| Checked::Wrong(error, Box::new(record.name.clone()), tsig.oid, code);
        if record.name != self.name || tsig.algorithm != TsigAlgorithm::HmacSha256 {
            return wrong(TsigError::BadKey, None);
        }
        let right =
            signed_part(bytes, tsig, &record.name).is_some_and(|p| hmac::verify(&self.secret, &p, &tsig.mac).is_ok());
        if !right {
            return wrong(TsigError::BadSig, None);
        }
        if tsig.time.abs_diff(now) > u64::from(tsig.fudge) {
            return wrong(TsigError::BadTime, Some(tsig.mac.clone()));
        }
        Checked::Right(tsig.mac.clone())
    }

    /// An answer as it is sent: signed where the question was, and saying what is wrong with the question's signature.
    #[must_use]
    pub fn seal(&self, reply: &Message, checked: &Checked, now: u64) -> Option<Vec<u8>> {
        let bytes = reply.to_vec().ok()?;
        let (name, code, error, id) = match checked {
            Checked::Unsigned => return Some(bytes),
            Checked::Right(code) => (&self.name, Some(code), None, reply.metadata.id),
            Checked::Wrong(error, name, id, code) => (&**name, code.as_ref(), Some(*error), *id),
        };
        let late = error == Some(TsigError::BadTime);
        let other = if late { now.to_be_bytes().get(2..).unwrap_or_default().to_vec() } else { Vec::new() };
        let bare = TSIG::new(TsigAlgorithm::HmacSha256, now, FUDGE, Vec::new(), id, error, other);
        let mac = match code {
            None => Vec::new(),
            Some(code) => {
                let mut whole = u16::try_from(code.len()).ok()?.to_be_bytes().to_vec();
                whole.extend_from_slice(code);
                whole.extend_from_slice(&bytes);
                whole.extend_from_slice(&variables(&bare, name)?);
                hmac::sign(&self.secret, &whole).as_ref().to_vec()
            }
        };
        let mut record = Vec::new();
        let mut encoder = BinEncoder::new(&mut record);
        // It is written apart from the message that it goes into, so no name points to another.
        encoder.set_name_encoding(NameEncoding::Uncompressed);
        make_tsig_record(name.clone(), bare.set_mac(mac)).emit(&mut encoder).ok()?;
        let mut sealed = bytes;
        let count = sealed.get(10..12)?.try_into().map(u16::from_be_bytes).ok()?.checked_add(1)?;
        sealed.get_mut(10..12)?.copy_from_slice(&count.to_be_bytes());
        sealed.extend_from_slice(&record);
        Some(sealed)
    }
}

/// The last record of a message, where it is a signature (RFC 8945 section 4.2).
fn signature(message: &Message) -> Option<(&Record, &TSIG)> {
    let record = message.additionals.last().filter(|r| r.dns_class == DNSClass::ANY && r.ttl == 0)?;
    if let RData::TSIG(tsig) = &record.data { Some((record, tsig)) } else { None }
}

/// What a message's signature was made of: the message as it was before, and the signature's own fields (RFC 8945
/// section 4.3.3).
fn signed_part(bytes: &[u8], tsig: &TSIG, name: &Name) -> Option<Vec<u8>> {
    let mut decoder = BinDecoder::new(bytes);
    let mut header = Header::read(&mut decoder).ok()?;
    header.counts.additionals = header.counts.additionals.checked_sub(1)?;
    header.metadata.id = tsig.oid;
    let begin = bytes.len().checked_sub(decoder.len())?;
    for _ in 0..header.counts.queries {
        Query::read(&mut decoder).ok()?;
    }
    let before = [header.counts.answers, header.counts.authorities, header.counts.additionals];
    for _ in 0..before.into_iter().map(usize::from).sum::<usize>() {
        Record::<RData>::read(&mut decoder).ok()?;
    }
    let end = bytes.len().checked_sub(decoder.len())?;
    let mut whole = Vec::with_capacity(bytes.len());
    header.emit(&mut BinEncoder::new(&mut whole)).ok()?;
    whole.extend_from_slice(bytes.get(begin..end)?);
    whole.extend_from_slice(&variables(tsig, name)?);
    Some(whole)
}

fn variables(tsig: &TSIG, name: &Name) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    tsig.emit_tsig_for_mac(&mut BinEncoder::new(&mut out), name).ok()?;
    Some(out)
}
