//! From a reference to a secret, into a type that cannot print.

use secrecy::SecretString;

use crate::plan::SecretRef;
use crate::readiness::{Gap, Reason};

/// Reads a secret. Never logs it; the gap's words never hold it.
///
/// # Errors
/// `SecretUnavailable`, with which reference and why.
pub async fn resolve(secret: &SecretRef, _deadline: tokio::time::Instant) -> Result<SecretString, Gap> {
    Err(Gap::new(Reason::SecretUnavailable, &format!("{secret}: not read")))
}
