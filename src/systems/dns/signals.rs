//! What a look at DNS reads. Three kinds of lanes: one per resolver, one for all authoritative servers together, one per
//! site whose endpoints are looked at.

use crate::plan::SignalId;
use crate::readiness::signals::{Signal, TRAFFIC, TTL};

/// A resolver's answer, one row per record of the chains that lead from the record to its addresses: `family` text (`A` or
/// `AAAA`, the question), `name` text, `type` text (`CNAME`, `A`, `AAAA`), `data` text, `ttl` span (counted down).
pub const ANSWER: SignalId = SignalId::new("dns.answer");
/// One row per question to a resolver: `family` text, `resolver` text (which one answered), `outcome` text (`ok`,
/// `no-data`), `stale` text or null (what the resolver itself says: RFC 8914 codes 3 and 19).
pub const REPLIES: SignalId = SignalId::new("dns.replies");
/// Every authoritative server of every link of the chain: `link` text (the name that was asked for), `zone` text or null,
/// `server` text, `address` text or null, `outcome` text (`ok`, `no-data`, `not-authoritative`, or the code of a gap's
/// reason), `detail` text, `aa` bool or null, `serial` int or null, `signed_until` time or null (the first expiry
/// of the answers' signatures), `answers` int.
pub const SERVERS: SignalId = SignalId::new("dns.servers");
/// What the authoritative servers answer, one row per distinct record: `family name type data` text, `ttl` span, `servers`
/// text (the addresses that say so).
pub const CHAIN: SignalId = SignalId::new("dns.chain");
/// What answers at a site's addresses: `address` text, `stage` text (`done`, `tcp`, `tls`, `http`: how far it came),
/// `outcome` text (`ok`, `status`, or the code of a gap's reason), `detail` text, `not_after` time or null, `status` int or null.
pub const ENDPOINTS: SignalId = SignalId::new("dns.endpoints");
/// The earliest expiry of a site's certificates. Not applicable without TLS, or where none was shown.
pub const EXPIRY: SignalId = SignalId::new("dns.expiry");

/// What `outcome` says when all is well.
pub const OK: &str = "ok";
/// The name exists, and has no address of the family.
pub const NO_DATA: &str = "no-data";
/// The server answers, but not as an authority for the zone: lame, or a referral.
pub const NOT_AUTHORITATIVE: &str = "not-authoritative";
/// This machine has no route to the address: nothing is known of the server.
pub const NO_ROUTE: &str = "no-route";
/// The endpoint's HTTP status is not the right one.
pub const WRONG_STATUS: &str = "status";

/// Every signal, with unit and meaning.
pub const SIGNALS: &[Signal] = &[
    Signal::new(TRAFFIC, "text", "the site that a resolver's answer names"),
    Signal::charted(TTL, "s", "the largest time to live in the chain, as the authoritative servers give it"),
    Signal::new(ANSWER, "rows", "a resolver's answer"),
    Signal::new(REPLIES, "rows", "how a resolver answered"),
    Signal::new(SERVERS, "rows", "how every authoritative server answered"),
    Signal::new(CHAIN, "rows", "what the authoritative servers answer"),
    Signal::new(ENDPOINTS, "rows", "what answers at a site's addresses"),
    Signal::new(EXPIRY, "time", "the earliest expiry of a site's certificates"),
];
