//! What a look at an endpoint reads.

use crate::plan::SignalId;
use crate::readiness::signals::Signal;

/// What came of it, one row: `outcome` text ([`OK`] and the others), `detail` text, `status` int or null, `subject` and
/// `issuer` text or null, `not_after` time or null (of the certificate). What did not come to an answer is a gap.
pub const RESULT: SignalId = SignalId::new("endpoint.result");
/// How long it took, from resolving the name to the end of the answer.
pub const TOOK: SignalId = SignalId::new("endpoint.took");

/// It answered as it must.
pub const OK: &str = "ok";
/// Another HTTP status than is right.
pub const STATUS: &str = "status";
/// An HTTP status that says that it is this program that is not let in, or asked too often.
pub const NOT_LET_IN: &str = "not-let-in";
/// Another content than is right.
pub const CONTENT: &str = "content";
/// Another greeting than is right.
pub const BANNER: &str = "banner";
/// A certificate of another issuer than is right.
pub const ISSUER: &str = "issuer";

/// Every signal, with unit and meaning.
pub const SIGNALS: &[Signal] = &[
    Signal::new(RESULT, "rows", "what came of asking the endpoint"),
    Signal::charted(TOOK, "s", "how long the endpoint took to answer"),
];
