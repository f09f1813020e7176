//! TLS by rustls and ring only.
//!
//! No process-wide default provider is needed: every configuration names ring itself.

mod verify;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{CertificateError, ClientConfig, NamedGroup, RootCertStore};

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
    pub roots: Option<PathBuf>,
    /// A client certificate and its key, both PEM files.
    pub client: Option<(PathBuf, PathBuf)>,
    /// Offer P-256 first: PostgreSQL up to 17 wants it, and another first offer costs one more round trip.
    pub p256_first: bool,
}

/// What a server's certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerCertificate {
    /// Whom it names.
    pub subject: SafeText,
    /// Who signed it: the whole distinguished name.
    pub issuer: SafeText,
    /// Until when it is good.
    pub not_after: DateTime<Utc>,
}

impl ServerCertificate {
    /// Reads it from its DER form (RFC 5280), as a handshake gives it. `subject` is the common name, else the whole
    /// distinguished name.
    ///
    /// # Errors
    /// `Malformed` where it is no certificate.
    pub fn from_der(der: &[u8]) -> Result<Self, Gap> {
        let malformed = |why: &str| Gap::new(Reason::Malformed, &format!("certificate: {why}"));
        let (_, certificate) = x509_parser::parse_x509_certificate(der).map_err(|e| malformed(&e.to_string()))?;
        let subject = certificate.subject();
        let common = subject.iter_common_name().next().and_then(|n| n.as_str().ok());
        let named = common.map_or_else(|| subject.to_string(), str::to_owned);
        let not_after = DateTime::from_timestamp(certificate.validity().not_after.timestamp(), 0)
            .ok_or_else(|| malformed("its end date is no date"))?;
        Ok(Self { subject: SafeText::new(&named), issuer: SafeText::new(&certificate.issuer().to_string()), not_after })
    }
}

/// Configurations made once and shared.
#[derive(Debug, Default)]
pub(super) struct Tls {
    made: Mutex<HashMap<TlsPolicy, Slot>>,
}

/// One policy's configuration. Locked while it is made: a hundred connections that begin at once wait for one reading of
/// the authorities instead of each making their own.
type Slot = Arc<tokio::sync::Mutex<Option<Made>>>;

/// One configuration and the state of the files that it was made from.
#[derive(Debug, Clone)]
struct Made {
    config: Arc<ClientConfig>,
    files: Vec<Stamp>,
}

/// A file's size and time of change: a renewed certificate is read again.
type Stamp = Option<(u64, std::time::SystemTime)>;

impl super::Net {
    /// The client configuration for a policy; made once, then shared until one of its files changes. Files are read
    /// without blocking the caller's task.
    ///
    /// # Errors
    /// `TlsFailed`, with which file and why.
    pub async fn tls(&self, policy: &TlsPolicy) -> Result<Arc<ClientConfig>, Gap> {
        let slot = {
            let mut made = self.tls.made.lock().unwrap_or_else(PoisonError::into_inner);
            match made.get(policy) {
                Some(slot) => Arc::clone(slot),
                None => Arc::clone(made.entry(policy.clone()).or_default()),
            }
        };
        let files = stamps(policy).await;
        let mut slot = slot.lock().await;
        if let Some(made) = slot.as_ref().filter(|m| m.files == files) {
            return Ok(Arc::clone(&made.config));
        }
        let wanted = policy.clone();
        let config = tokio::task::spawn_blocking(move || build(&wanted))
            .await
            .map_err(|e| Gap::new(Reason::Bug, &format!("making a TLS configuration: {e}")))??;
        let config = Arc::new(config);
        *slot = Some(Made { config: Arc::clone(&config), files });
        Ok(config)
    }
}

async fn stamps(policy: &TlsPolicy) -> Vec<Stamp> {
    let client = policy.client.iter().flat_map(|(c, k)| [c, k]);
    let mut all = Vec::new();
    for path in policy.roots.iter().chain(client) {
        let meta = tokio::fs::metadata(path).await.ok();
        all.push(meta.and_then(|m| Some((m.len(), m.modified().ok()?))));
    }
    all
}

/// Ring, with the first key share as the policy wants it.
fn provider(p256_first: bool) -> Arc<CryptoProvider> {
    let mut provider = rustls::crypto::ring::default_provider();
    if p256_first {
        provider.kx_groups.sort_by_key(|g| g.name() != NamedGroup::secp256r1);
    }
    Arc::new(provider)
}

fn failed(what: &str, why: &dyn std::fmt::Display) -> Gap {
    Gap::new(Reason::TlsFailed, &format!("{what}: {why}"))
}

fn build(policy: &TlsPolicy) -> Result<ClientConfig, Gap> {
    let provider = provider(policy.p256_first);
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| failed("TLS versions", &e))?
        .dangerous()
        .with_custom_certificate_verifier(verify::verifier(policy, &provider)?);
    let mut config = match &policy.client {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let (chain, key) = (certificates(chain)?, private_key(key)?);
            builder.with_client_auth_cert(chain, key).map_err(|e| failed("client certificate", &e))?
        }
    };
    config.enable_early_data = false;
    // A resumed session shows the certificate of an earlier look, not the one that the server has now.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// Every certificate of a PEM file.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Gap> {
    let what = path.display().to_string();
    let all: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(|e| failed(&what, &e))?.collect();
    let all = all.map_err(|e| failed(&what, &e))?;
    if all.is_empty() { Err(failed(&what, &"no certificate in it")) } else { Ok(all) }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Gap> {
    PrivateKeyDer::from_pem_file(path).map_err(|e| failed(&path.display().to_string(), &e))
}

fn roots(path: &Path) -> Result<RootCertStore, Gap> {
    let mut store = RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(certificates(path)?);
    if added == 0 { Err(failed(&path.display().to_string(), &"no usable authority in it")) } else { Ok(store) }
}

/// The gap for a failed handshake: unknown issuer, expired, wrong name, or another reason, apart. Reads through
/// whatever error rustls' own is wrapped in.
#[must_use]
pub fn gap_of_tls(e: &std::io::Error) -> Gap {
    let Some(tls) = rustls_error(e) else { return Gap::new(Reason::TlsFailed, &e.to_string()) };
    #[expect(clippy::wildcard_enum_match_arm, reason = "rustls' errors are open; what is not named failed otherwise")]
    let reason = match tls {
        rustls::Error::InvalidCertificate(fault) => match fault {
            CertificateError::UnknownIssuer => Reason::UnknownIssuer,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Reason::CertificateExpired,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Reason::CertificateName
            }
            _ => Reason::TlsFailed,
        },
        _ => Reason::TlsFailed,
    };
    let detail = match reason {
        Reason::TlsFailed => tls.to_string(),
        named => named.words().to_owned(),
    };
    Gap::new(reason, &detail)
}

/// Whether an error is rustls' own, however wrapped: then [`gap_of_tls`] says more about it.
#[must_use]
pub fn is_tls(e: &std::io::Error) -> bool {
    rustls_error(e).is_some()
}

/// Rustls' own error below any number of wrappings.
fn rustls_error<'a>(e: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let mut at = Some(e);
    while let Some(e) = at {
        if let Some(found) = e.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        // An io::Error hides its payload from source(): it gives the payload's source instead.
        at = match e.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => {
                if let Some(found) = inner.downcast_ref::<rustls::Error>() {
                    return Some(found);
                }
                inner.source()
            }
            None => e.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests;
