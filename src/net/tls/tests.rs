use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::net::Net;

type Ca = CertifiedIssuer<'static, KeyPair>;

fn ca(name: &str) -> Ca {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for `db.example.com`, good until `year`, with its key.
fn leaf(ca: &Ca, year: i32) -> (Certificate, KeyPair) {
    let mut params = CertificateParams::new(vec!["db.example.com".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "db.example.com");
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, ca).unwrap(), key)
}

fn file(dir: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

struct World {
    dir: tempfile::TempDir,
    ca: Ca,
    roots: PathBuf,
}

fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let ca = ca("test authority");
    let roots = file(&dir, "ca.pem", &ca.pem());
    World { dir, ca, roots }
}

impl World {
    fn policy(&self) -> TlsPolicy {
        TlsPolicy { roots: Some(self.roots.clone()), ..TlsPolicy::default() }
    }
}

/// Shakes hands over a pipe; gives the group that was agreed on.
async fn shake(
    policy: &TlsPolicy,
    served: (Certificate, KeyPair),
    name: &'static str,
    clients: Option<&Ca>,
) -> Result<Option<NamedGroup>, Gap> {
    let config = Net::new().tls(policy).await?;
    let ring = provider(false);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&ring)).with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut store = RootCertStore::empty();
            store.add(ca.der().clone()).unwrap();
            let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(store), ring);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let key = PrivatePkcs8KeyDer::from(served.1.serialize_der());
    let server = builder.with_single_cert(vec![served.0.der().clone()], key.into()).unwrap();
    let (ours, theirs) = tokio::io::duplex(16_384);
    let serving = tokio::spawn(async move {
        let mut stream = TlsAcceptor::from(Arc::new(server)).accept(theirs).await?;
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"x").await
    });
    let connected = TlsConnector::from(config).connect(ServerName::try_from(name).unwrap(), ours).await;
    let mut stream = connected.map_err(|e| gap_of_tls(&e))?;
    let mut byte = [0];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut byte).await.map_err(|e| gap_of_tls(&e))?;
    serving.await.unwrap().unwrap();
    Ok(stream.get_ref().1.negotiated_key_exchange_group().map(|g| g.name()))
}

#[tokio::test]
async fn faults_of_certificates_are_told_apart() {
    let w = world();
    let name = "db.example.com";
    assert!(shake(&w.policy(), leaf(&w.ca, 2090), name, None).await.is_ok());
    let reason = |r: Result<_, Gap>| r.unwrap_err().reason;
    assert_eq!(reason(shake(&w.policy(), leaf(&ca("other"), 2090), name, None).await), Reason::UnknownIssuer);
    assert_eq!(reason(shake(&w.policy(), leaf(&w.ca, 2001), name, None).await), Reason::CertificateExpired);
    assert_eq!(reason(shake(&w.policy(), leaf(&w.ca, 2090), "other.example.com", None).await), Reason::CertificateName);
    // The system's authorities do not know ours.
    assert_eq!(reason(shake(&TlsPolicy::default(), leaf(&w.ca, 2090), name, None).await), Reason::UnknownIssuer);
}

#[tokio::test]
async fn any_name_still_checks_chain_and_dates() {
    let w = world();
    let policy = TlsPolicy { any_name: true, ..w.policy() };
    let reason = |r: Result<_, Gap>| r.unwrap_err().reason;
    assert!(shake(&policy, leaf(&w.ca, 2090), "other.example.com", None).await.is_ok());
    assert_eq!(reason(shake(&policy, leaf(&ca("x"), 2090), "other.example.com", None).await), Reason::UnknownIssuer);
    assert_eq!(reason(shake(&policy, leaf(&w.ca, 2001), "other.example.com", None).await), Reason::CertificateExpired);
}

#[tokio::test]
async fn accept_any_accepts_any_and_p256_can_lead() {
    let w = world();
    let policy = TlsPolicy { accept_any: true, p256_first: true, ..TlsPolicy::default() };
    let group = shake(&policy, leaf(&ca("nobody"), 2001), "other.example.com", None).await.unwrap();
    assert_eq!(group, Some(NamedGroup::secp256r1));
    assert_eq!(shake(&w.policy(), leaf(&w.ca, 2090), "db.example.com", None).await.unwrap(), Some(NamedGroup::X25519));
}

#[tokio::test]
async fn client_certificates_are_shown() {
    let w = world();
    let (cert, key) = leaf(&w.ca, 2090);
    let chain = file(&w.dir, "client.pem", &cert.pem());
    let key = file(&w.dir, "client.key", &key.serialize_pem());
    let with = TlsPolicy { client: Some((chain, key)), ..w.policy() };
    assert!(shake(&with, leaf(&w.ca, 2090), "db.example.com", Some(&w.ca)).await.is_ok());
    let without = shake(&w.policy(), leaf(&w.ca, 2090), "db.example.com", Some(&w.ca)).await;
    assert_eq!(without.unwrap_err().reason, Reason::TlsFailed);
}

#[tokio::test]
async fn a_renewed_file_is_read_again_and_a_missing_one_is_named() {
    let w = world();
    let net = Net::new();
    let first = net.tls(&w.policy()).await.unwrap();
    assert!(Arc::ptr_eq(&first, &net.tls(&w.policy()).await.unwrap()), "made once");
    std::fs::write(&w.roots, format!("{}{}", w.ca.pem(), ca("a longer file").pem())).unwrap();
    assert!(!Arc::ptr_eq(&first, &net.tls(&w.policy()).await.unwrap()), "made anew");
    std::fs::write(&w.roots, "nothing").unwrap();
    let gap = net.tls(&w.policy()).await.unwrap_err();
    assert_eq!(gap.reason, Reason::TlsFailed);
    assert!(gap.detail.as_str().contains("ca.pem"), "{gap}");
}

#[test]
fn a_certificate_says_whom_and_until_when() {
    let w = world();
    let said = ServerCertificate::from_der(leaf(&w.ca, 2090).0.der()).unwrap();
    assert_eq!(said.subject.as_str(), "db.example.com");
    assert_eq!(said.not_after.to_rfc3339(), "2090-01-01T00:00:00+00:00");
    assert_eq!(ServerCertificate::from_der(b"no").unwrap_err().reason, Reason::Malformed);
}
