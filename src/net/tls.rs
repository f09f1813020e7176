//! TLS by rustls and ring only.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::plan::SafeText;
use crate::readiness::{Gap, Reason};

/// How much a server must prove.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsPolicy {
    /// Accept any certificate: libpq's `sslmode=require` without a root certificate. Never the default.
    pub accept_any: bool,
    /// Check the chain only, not the name: libpq's `verify-ca`.
    pub any_name: bool,
    /// Trust this file's authorities instead of the system's.
    pub roots: Option<std::path::PathBuf>,
    /// A client certificate and its key, both PEM files.
    pub client: Option<(std::path::PathBuf, std::path::PathBuf)>,
    /// Offer P-256 first: PostgreSQL up to 17 wants it, and another first offer costs one more round trip.
    pub p256_first: bool,
}

/// What a server's certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerCertificate {
    /// Whom it names.
    pub subject: SafeText,
    /// Until when it is good.
    pub not_after: DateTime<Utc>,
}

/// Configurations made once and shared.
#[derive(Debug, Default)]
pub(super) struct Tls {}

impl super::Net {
    /// The client configuration for a policy; made once, then shared. Files are read without blocking the caller's task.
    ///
    /// # Errors
    /// `TlsFailed`, with which file and why.
    pub async fn tls(&self, _policy: &TlsPolicy) -> Result<Arc<rustls::ClientConfig>, Gap> {
        let _ = &self.tls;
        Err(Reason::TlsFailed.into())
    }
}

/// The gap for a failed handshake: unknown issuer, expired, wrong name, or another reason, apart.
#[must_use]
pub fn gap_of_tls(e: &std::io::Error) -> Gap {
    Gap::new(Reason::TlsFailed, &e.to_string())
}
