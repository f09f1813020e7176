//! A token server for a real registry (the distribution project's token authentication: JSON web tokens, ES256, with the
//! certificate in `x5c`), and a relay that counts questions.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};

use crate::registry::{Extras, PASSWORD, Registry, USER};

/// What it does, changed while it runs.
#[derive(Debug)]
struct State {
    asked: AtomicUsize,
    lifetime: AtomicU64,
    busy: AtomicBool,
    garbles: AtomicBool,
}

/// Gives a token to anyone; one with rights to [`USER`] by password, or by [`PASSWORD`] as a refresh token.
#[derive(Debug)]
pub struct TokenServer {
    port: u16,
    dir: tempfile::TempDir,
    state: Arc<State>,
}

struct Signer {
    key: EcdsaKeyPair,
    certificate: String,
}

impl TokenServer {
    /// Starts it.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        fs::write(dir.path().join("token.pem"), certificate.pem()).unwrap();
        let signing =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.serialize_der(), &SystemRandom::new());
        let signer = Signer { key: signing.unwrap(), certificate: STANDARD.encode(certificate.der()) };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            asked: AtomicUsize::new(0),
            lifetime: AtomicU64::new(300),
            busy: AtomicBool::new(false),
            garbles: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                if let Some((head, body)) = request(&mut stream) {
                    let answer = shared.answer(&signer, &head, &body);
                    stream.write_all(answer.as_bytes()).ok();
                }
            }
        });
        Self { port, dir, state }
    }

    /// A registry that wants its tokens, on data that another registry wrote.
    pub fn registry(&self, data: PathBuf) -> Registry {
        let more = format!(
            "auth: {{token: {{realm: \"http://127.0.0.1:{}/token\", service: lab, issuer: lab-tokens, rootcertbundle: \
             {}}}}}\n",
            self.port,
            self.dir.path().join("token.pem").display()
        );
        Registry::with(&Extras { more, data: Some(data), ..Extras::default() }, None)
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.state.asked.load(Ordering::SeqCst)
    }

    /// For how many seconds tokens are good from now on.
    pub fn lifetime(&self, secs: u64) {
        self.state.lifetime.store(secs, Ordering::SeqCst);
    }

    /// Whether it answers 429.
    pub fn busy(&self, busy: bool) {
        self.state.busy.store(busy, Ordering::SeqCst);
    }

    /// Whether its tokens are wrongly signed.
    pub fn garbles(&self, garbles: bool) {
        self.state.garbles.store(garbles, Ordering::SeqCst);
    }
}

/// One request: its head, and its body by `Content-Length`.
fn request(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    let mut some = [0; 4096];
    loop {
        let n = stream.read(&mut some).ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&some[..n]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.to_ascii_lowercase();
        let length = length.lines().find_map(|l| l.strip_prefix("content-length: ")?.parse::<usize>().ok());
        if body.len() >= length.unwrap_or(0) {
            return Some((head.to_owned(), body.to_owned()));
        }
    }
}

impl State {
    fn answer(&self, signer: &Signer, head: &str, body: &str) -> String {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let say = |status: u16, more: &str, body: &str| {
            format!("HTTP/1.1 {status} Lab\r\ncontent-length: {}\r\nconnection: close\r\n{more}\r\n{body}", body.len())
        };
        if self.busy.load(Ordering::SeqCst) {
            return say(429, "retry-after: 120\r\n", "");
        }
        let target = head.split(' ').nth(1).unwrap();
        let query = if head.starts_with("POST") { body } else { target.split_once('?').map_or("", |(_, q)| q) };
        let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let of = |name: &str| pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
        assert_eq!(of("service").as_deref(), Some("lab"), "{head}");
        let basic = format!("authorization: Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
        let known = if head.starts_with("POST") {
            assert_eq!(of("grant_type").as_deref(), Some("refresh_token"));
            of("refresh_token").as_deref() == Some(PASSWORD)
        } else if head.contains("authorization: ") {
            head.contains(&basic)
        } else {
            return say(200, "", &self.token(signer, vec![]).to_string());
        };
        if !known {
            return say(401, "", "{}");
        }
        let access = pairs.iter().filter(|(n, _)| n == "scope").map(|(_, scope)| {
            let [kind, name, actions] = scope.split(':').collect::<Vec<_>>()[..] else { panic!("{scope}") };
            json!({ "type": kind, "name": name, "actions": actions.split(',').collect::<Vec<_>>() })
        });
        say(200, "", &self.token(signer, access.collect()).to_string())
    }

    fn token(&self, signer: &Signer, access: Vec<Value>) -> Value {
        let now = lifeboat::clock::now().wall.timestamp();
        let header = json!({ "typ": "JWT", "alg": "ES256", "x5c": [signer.certificate] });
        let claims = json!({
            "iss": "lab-tokens", "sub": USER, "aud": "lab", "jti": "1", "iat": now, "nbf": now - 60, "exp": now + 300,
            "access": access,
        });
        let signed = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let mut signature = signer.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap().as_ref().to_vec();
        if self.garbles.load(Ordering::SeqCst) {
            signature[7] ^= 1;
        }
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
        json!({ "token": token, "expires_in": self.lifetime.load(Ordering::SeqCst) })
    }
}

/// A relay to a server that speaks HTTP, which counts questions.
#[derive(Debug)]
pub struct Counting {
    /// Where it listens.
    pub port: u16,
    asked: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
}

impl Counting {
    /// To this port of 127.0.0.1.
    pub fn start(upstream: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (asked, connections) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (questions, count) = (Arc::clone(&asked), Arc::clone(&connections));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let server = TcpStream::connect(("127.0.0.1", upstream)).unwrap();
                let (back, forth) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let questions = Arc::clone(&questions);
                std::thread::spawn(move || {
                    relay(client, server, |part| {
                        let marks = String::from_utf8_lossy(part).matches(" HTTP/1.1\r\n").count();
                        questions.fetch_add(marks, Ordering::SeqCst);
                    })
                });
                std::thread::spawn(move || relay(back, forth, |_| {}));
            }
        });
        Self { port, asked, connections }
    }

    /// Questions so far.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn relay(mut from: TcpStream, mut to: TcpStream, seen: impl Fn(&[u8])) {
    let mut some = [0; 16 << 10];
    while let Ok(n @ 1..) = from.read(&mut some) {
        seen(&some[..n]);
        if to.write_all(&some[..n]).is_err() {
            break;
        }
    }
    to.shutdown(Shutdown::Both).ok();
}
