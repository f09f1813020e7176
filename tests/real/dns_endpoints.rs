//! Endpoints whose certificates go wrong: from a real handshake, by the probe's own TLS, to the finding.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use chrono::{Datelike as _, Days};
use lifeboat::plan::{SiteId, Subject};
use lifeboat::readiness::Verdict;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::json;

use super::dns::support::{Bind, Unbound, free_port};
use super::dns::{Rig, ZONE, codes};

type Ca = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Ca {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server's side with a certificate for `name` that ends `days` from now.
fn server(ca: &Ca, name: &str, days: i64) -> Arc<ServerConfig> {
    let today = lifeboat::clock::now().wall.date_naive();
    let by = Days::new(days.unsigned_abs());
    let ends = if days < 0 { today.checked_sub_days(by) } else { today.checked_add_days(by) }.unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(ends.year(), ends.month() as u8, ends.day() as u8);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, ca).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into());
    Arc::new(config.unwrap())
}

/// Serves HTTPS at an address, with whatever is in `config` just then.
fn serve(address: &str, port: u16, config: &Arc<Mutex<Arc<ServerConfig>>>) {
    let listener = TcpListener::bind((address, port)).unwrap();
    let config = Arc::clone(config);
    std::thread::spawn(move || {
        for mut tcp in listener.incoming().flatten() {
            let now = Arc::clone(&config.lock().unwrap());
            let mut session = rustls::ServerConnection::new(now).unwrap();
            let mut stream = rustls::Stream::new(&mut session, &mut tcp);
            // A client that refuses the certificate goes away here.
            if matches!(stream.read(&mut [0; 1024]), Ok(1..)) {
                stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").ok();
                stream.conn.send_close_notify();
                stream.flush().ok();
            }
        }
    });
}

#[test]
fn a_certificate_that_users_would_refuse_is_found_at_the_site_that_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let (ca, stranger) = (authority("ours"), authority("a stranger"));
    let roots = dir.path().join("ca.pem");
    std::fs::write(&roots, ca.pem()).unwrap();
    let bind = Bind::start(ZONE, 1, "shop 20 A 127.0.0.1");
    let resolver = Unbound::start(ZONE, bind.addr, "");
    let port = free_port();
    let name = "shop.dr.test";
    let good = server(&ca, name, 90);
    let west = Arc::new(Mutex::new(Arc::clone(&good)));
    serve("127.0.0.1", port, &Arc::new(Mutex::new(Arc::clone(&good))));
    serve("127.0.0.2", port, &west);
    let more = json!({
        "answers": { "east": ["127.0.0.1"], "west": ["127.0.0.2"] },
        "endpoint": { "port": port, "http": "/healthz", "roots": roots },
    });
    let mut rig = Rig::new(&[bind.addr], &[resolver.addr], &more);
    let status = rig.look();
    assert_eq!((codes(&status), status.readiness), (vec![], Verdict::Ready));
    for (config, found) in [
        (server(&ca, name, 5), "degraded dns.endpoints certificate-expires"),
        (server(&ca, name, -5), "not ready dns.endpoints certificate-expired"),
        (server(&ca, "other.dr.test", 90), "not ready dns.endpoints certificate-name"),
        (server(&stranger, name, 90), "unknown dns.endpoints unknown-issuer"),
    ] {
        *west.lock().unwrap() = config;
        let status = rig.look();
        assert_eq!(codes(&status), [found]);
        let finding = status.findings.iter().find(|f| f.verdict != Verdict::Ready).unwrap();
        assert_eq!(finding.subject, Subject::site(SiteId::new("west")), "{finding:?}");
    }
    *west.lock().unwrap() = good;
    assert_eq!(codes(&rig.look()), Vec::<String>::new());
}
