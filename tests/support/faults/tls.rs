//! Certificates: of an authority that the client is told to trust, of one that it is not, and past their date.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// Which certificate a server shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// Good, for `localhost` and 127.0.0.1.
    Good,
    /// Signed by an authority that nobody was told of.
    UnknownIssuer,
    /// Good until 2020-01-01.
    Expired,
    /// Good, for another name.
    OtherName,
}

/// An authority of the lab's own.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: rustls::pki_types::CertificateDer<'static>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

impl Authority {
    /// A new one with this name.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Self { issuer: Issuer::new(params, key), pem, der }
    }

    /// Writes its certificate where a client can be pointed at it.
    pub fn write(&self, dir: &Path) -> PathBuf {
        let path = dir.join("authority.pem");
        std::fs::write(&path, &self.pem).unwrap();
        path
    }

    /// A server's side of TLS. `UnknownIssuer` is signed by an authority made on the spot.
    pub fn server(&self, which: Certificate) -> Arc<ServerConfig> {
        let stranger;
        let authority = match which {
            Certificate::UnknownIssuer => {
                stranger = Self::new("nobody knows me");
                &stranger
            }
            Certificate::Good | Certificate::Expired | Certificate::OtherName => self,
        };
        let (params, key) = server_params(which);
        let certificate = params.signed_by(&key, &authority.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone(), authority.der.clone()], key)
            .unwrap();
        Arc::new(config)
    }
}

fn server_params(which: Certificate) -> (CertificateParams, KeyPair) {
    let names = match which {
        Certificate::OtherName => vec!["other.example.com".to_owned()],
        Certificate::Good | Certificate::UnknownIssuer | Certificate::Expired => {
            vec!["localhost".to_owned(), "127.0.0.1".to_owned()]
        }
    };
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = date_time_ymd(2019, 1, 1);
    params.not_after =
        if which == Certificate::Expired { date_time_ymd(2020, 1, 1) } else { date_time_ymd(2040, 1, 1) };
    (params, KeyPair::generate().unwrap())
}
