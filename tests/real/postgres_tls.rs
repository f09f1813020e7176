//! TLS, SCRAM and libpq's `sslmode` against a real server with an authority of our own.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lifeboat::readiness::signals as common;
use lifeboat::readiness::{Reason, Value};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::pg::{PgOne, give, until};
use super::postgres_lane::{lane, look, proxy, reason_of};

type Ca = CertifiedIssuer<'static, KeyPair>;

fn ca(name: &str) -> Ca {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn leaf(ca: &Ca, name: &str, year: i32) -> (String, String) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, ca).unwrap().pem(), key.serialize_pem())
}

struct World {
    one: PgOne,
    ca: Ca,
    dir: tempfile::TempDir,
}

impl World {
    fn start() -> Self {
        let w = Self { one: PgOne::start(""), ca: ca("ours"), dir: tempfile::tempdir().unwrap() };
        w.write("ca.pem", &w.ca.pem());
        w.write("other.pem", &ca("another").pem());
        w.certificate(2090);
        w.one.server.sql("CREATE ROLE plainly LOGIN PASSWORD 'look'; CREATE ROLE certified LOGIN PASSWORD 'look'");
        let s = &w.one.server;
        let roots = s.dir.join("clients.pem");
        std::fs::write(&roots, w.ca.pem()).unwrap();
        give(&roots, 0o644);
        s.conf(&format!(
            "ssl = on\nssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'\nssl_ca_file = '{}'",
            roots.display()
        ));
        s.hba(
            "local all all trust\nhostssl all lifeboat 127.0.0.1/32 scram-sha-256\n\
             hostnossl all plainly 127.0.0.1/32 scram-sha-256\n\
             hostssl all certified 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\n",
        );
        s.stop("fast");
        s.start();
        w
    }

    /// Gives the server a certificate for `db.example.com` that is good until `year`.
    fn certificate(&self, year: i32) {
        let (cert, key) = leaf(&self.ca, "db.example.com", year);
        for (name, text) in [("server.crt", cert), ("server.key", key)] {
            let path = self.one.server.data.join(name);
            std::fs::write(&path, text).unwrap();
            give(&path, 0o600);
        }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn at(&self, port: u16, rest: &str) -> String {
        let dir = self.dir.path().display();
        format!(
            "hostaddr=127.0.0.1 port={port} dbname=postgres password=look {}",
            rest.replace("DIR", &dir.to_string())
        )
    }

    fn to(&self, rest: &str) -> String {
        self.at(self.one.server.port, rest)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sslmode_does_what_libpq_does() {
    let w = World::start();
    let encrypted = |rest: &str| {
        let url = w.to(rest);
        let server = &w.one.server;
        let rest = rest.to_owned();
        async move {
            let (_, mut l) = lane(&url);
            let seen = look(&mut *l).await;
            assert_eq!(seen.of(&common::WRITABLE), &Ok(Value::Bool(true)), "{rest}");
            let user = if rest.contains("plainly") { "plainly" } else { "lifeboat" };
            let ours = format!(
                "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = '{user}' AND application_name = 'lifeboat'"
            );
            let said = tokio::task::block_in_place(|| server.sql(&ours));
            drop(l);
            tokio::task::block_in_place(|| until("the session ends", || server.sql(&ours).is_empty()));
            said == "t"
        }
    };
    assert!(
        encrypted(
            "host=db.example.com user=lifeboat sslmode=verify-full sslrootcert=DIR/ca.pem channel_binding=require"
        )
        .await
    );
    assert!(encrypted("host=any.example.com user=lifeboat sslmode=verify-ca sslrootcert=DIR/ca.pem").await);
    assert!(encrypted("host=any.example.com user=lifeboat sslmode=require channel_binding=require").await);
    assert!(encrypted("host=any.example.com user=lifeboat sslmode=require sslrootcert=DIR/ca.pem").await);
    assert!(encrypted("user=lifeboat").await, "prefer is the default, and encrypts");
    assert!(encrypted("user=lifeboat sslmode=allow").await, "allow encrypts where plain is not let in");
    assert!(!encrypted("user=plainly sslmode=prefer").await, "prefer falls back where encrypted is not let in");
    assert!(!encrypted("user=plainly sslmode=disable").await);

    let fails = [
        ("host=any.example.com user=lifeboat sslmode=verify-full sslrootcert=DIR/ca.pem", Reason::CertificateName),
        ("host=db.example.com user=lifeboat sslmode=verify-full sslrootcert=DIR/other.pem", Reason::UnknownIssuer),
        ("host=db.example.com user=lifeboat sslmode=verify-full", Reason::UnknownIssuer),
        // The machine's own authorities do not know ours; `system` alone means verify-full.
        ("host=db.example.com user=lifeboat sslmode=verify-full sslrootcert=system", Reason::UnknownIssuer),
        ("host=db.example.com user=lifeboat sslrootcert=system", Reason::UnknownIssuer),
        ("host=db.example.com user=lifeboat sslmode=require sslrootcert=DIR/other.pem", Reason::UnknownIssuer),
        ("host=db.example.com user=lifeboat sslmode=verify-full sslrootcert=DIR/absent.pem", Reason::TlsFailed),
        ("user=lifeboat sslmode=disable", Reason::NoAccess),
        ("user=plainly sslmode=require", Reason::NoAccess),
        ("user=plainly sslmode=disable channel_binding=require", Reason::NoAccess),
        ("user=certified sslmode=require", Reason::NoAccess),
    ];
    for (rest, reason) in fails {
        assert_eq!(reason_of(&w.to(rest)).await, reason, "{rest}");
    }

    let (cert, key) = leaf(&w.ca, "certified", 2090);
    w.write("client.crt", &cert);
    w.write("client.key", &key);
    let url = w.to("user=certified sslmode=require sslcert=DIR/client.crt sslkey=DIR/client.key");
    assert!(look(&mut *lane(&url).1).await.of(&common::WRITABLE).is_ok());

    w.certificate(2001);
    w.one.server.reload();
    let full = w.to("host=db.example.com user=lifeboat sslmode=verify-full sslrootcert=DIR/ca.pem");
    let limit = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while look(&mut *lane(&full).1).await.of(&common::WRITABLE).is_ok() {
        assert!(tokio::time::Instant::now() < limit, "the server shows the expired certificate");
    }
    assert_eq!(reason_of(&full).await, Reason::CertificateExpired);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_look_by_tls_and_scram_is_seven_round_trips() {
    let w = World::start();
    let turns = Arc::new(AtomicUsize::new(0));
    let port =
        proxy(w.one.server.port, |_, bytes, to| std::io::Write::write_all(to, bytes).is_ok(), Arc::clone(&turns));
    let (_, mut l) = lane(&w.at(port, "host=db.example.com user=lifeboat sslmode=verify-full sslrootcert=DIR/ca.pem"));
    look(&mut *l).await.all_good();
    // The proxy does not see the one of TCP's own handshake.
    assert_eq!(turns.swap(0, Ordering::SeqCst) + 1, 7);
    look(&mut *l).await.all_good();
    // One on the connection that is kept, and the knock beside it, at the same time.
    assert_eq!(turns.load(Ordering::SeqCst), 2);
    let before = w.one.server.log_text();
    l.rest().await;
    let left = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'lifeboat'";
    tokio::task::block_in_place(|| super::pg::until("it rests", || w.one.server.sql(left) == "0"));
    assert_eq!(w.one.server.log_text(), before, "parting leaves nothing in the server's log");
    turns.store(0, Ordering::SeqCst);
    look(&mut *l).await.all_good();
    assert_eq!(turns.load(Ordering::SeqCst) + 1, 7, "and the next look is a cold one");
}
