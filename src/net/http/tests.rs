use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";

/// A server that answers every request by what `script` makes of its head; the connection ends where that ends with
/// `Connection: close` or is empty.
struct Scripted {
    port: u16,
    connections: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    async fn start(script: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self::bound("127.0.0.1:0", script).await
    }

    async fn bound(at: &str, script: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, heads) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (count, log, script) = (Arc::clone(&connections), Arc::clone(&heads), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (log, script) = (Arc::clone(&log), Arc::clone(&script));
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while let Ok(byte) = stream.read_u8().await {
                        head.push(byte);
                        if head.ends_with(b"\r\n\r\n") {
                            let text = String::from_utf8(std::mem::take(&mut head)).unwrap();
                            let answer = script(&text);
                            log.lock().unwrap().push(text);
                            if stream.write_all(answer.as_bytes()).await.is_err() || answer.is_empty() {
                                return;
                            }
                            if answer.contains("x-then: close") {
                                return;
                            }
                        }
                    }
                });
            }
        });
        Self { port, connections, heads }
    }

    fn url(&self, path: &str) -> Url {
        format!("http://127.0.0.1:{}{path}", self.port).parse().unwrap()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

fn client(policy: HttpPolicy) -> HttpClient {
    HttpClient::new(Net::new(), policy)
}

fn following() -> HttpPolicy {
    HttpPolicy { follow: true, ..HttpPolicy::default() }
}

fn get(url: Url) -> HttpRequest {
    HttpRequest::new(Method::GET, url)
}

fn basic() -> Option<Credentials> {
    Some(Credentials::Basic { user: "Aladdin".into(), password: SecretString::from("open sesame") })
}

#[tokio::test]
async fn asks_and_keeps_the_connection() {
    let server = Scripted::start(|_| OK.into()).await;
    let mut client = client(HttpPolicy::default());
    for _ in 0..3 {
        let answer = client.ask(&get(server.url("/a?b=c")), soon()).await.unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"hi"[..]));
    }
    assert_eq!(server.connections(), 1);
    let head = &server.heads()[0];
    assert!(head.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: 127.0.0.1:{}\r\n", server.port)), "{head}");
    assert!(!head.contains("authorization") && !head.contains("accept-encoding"), "{head}");
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_opened_anew_once_and_never_for_a_post() {
    let server = Scripted::start(|_| OK.replace("\r\n\r\n", "\r\nx-then: close\r\n\r\n")).await;
    let mut client = client(HttpPolicy::default());
    for asked in 1..=3 {
        assert_eq!(client.ask(&get(server.url("/")), soon()).await.unwrap().status, 200);
        assert_eq!(server.connections(), asked);
    }
    let posts = Scripted::start(|head| if head.starts_with("GET") { OK.into() } else { String::new() }).await;
    client.ask(&get(posts.url("/")), soon()).await.unwrap();
    let post = HttpRequest::new(Method::POST, posts.url("/"));
    assert_eq!(client.ask(&post, soon()).await.unwrap_err().reason, Reason::Reset);
    assert_eq!(posts.heads().iter().filter(|h| h.starts_with("POST")).count(), 1);
    assert_eq!(posts.connections(), 2);
}

#[tokio::test]
async fn a_server_that_never_answers_is_asked_on_two_connections_at_most() {
    let first = Arc::new(AtomicUsize::new(0));
    let served = Arc::clone(&first);
    let server = Scripted::start(move |_| match served.fetch_add(1, Ordering::SeqCst) {
        0 => OK.into(),
        _ => String::new(),
    })
    .await;
    let mut client = client(HttpPolicy::default());
    client.ask(&get(server.url("/")), soon()).await.unwrap();
    assert_eq!(client.ask(&get(server.url("/")), soon()).await.unwrap_err().reason, Reason::Reset);
    assert_eq!(server.heads().len(), 3);
}

#[tokio::test]
async fn bodies_are_bounded_announced_or_not() {
    for (body, right) in [
        ("content-length: 10\r\n\r\n0123456789", Ok(10)),
        ("content-length: 11\r\n\r\n01234567890", Err(Reason::TooLarge)),
        ("content-length: 100000000000\r\n\r\n0", Err(Reason::TooLarge)),
        ("transfer-encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n", Ok(10)),
        ("transfer-encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n", Err(Reason::TooLarge)),
        ("x-then: close\r\n\r\n0123456789", Ok(10)),
        ("x-then: close\r\n\r\n01234567890", Err(Reason::TooLarge)),
        ("content-length: 10\r\nx-then: close\r\n\r\n01234", Err(Reason::Reset)),
    ] {
        let server = Scripted::start(move |_| format!("HTTP/1.1 200 OK\r\n{body}")).await;
        let mut client = client(HttpPolicy { largest: 10, ..HttpPolicy::default() });
        let got = client.ask(&get(server.url("/")), soon()).await;
        assert_eq!(got.map(|a| a.body.len()).map_err(|g| g.reason), right, "{body:?}");
    }
}

#[tokio::test]
async fn a_head_has_no_body_whatever_its_length() {
    let server = Scripted::start(|_| "HTTP/1.1 200 OK\r\ncontent-length: 517\r\n\r\n".into()).await;
    let mut client = client(HttpPolicy { largest: 10, ..HttpPolicy::default() });
    let head = HttpRequest::new(Method::HEAD, server.url("/"));
    for _ in 0..2 {
        let answer = client.ask(&head, soon()).await.unwrap();
        assert_eq!((answer.header("content-length"), answer.body.len()), (Some("517"), 0));
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn faults_have_their_reasons() {
    for (answer, right) in [
        ("SSH-2.0-OpenSSH_9.2\r\n\r\nx-then: close", Reason::Malformed),
        ("", Reason::Reset),
        ("HTTP/1.1 200 OK\r\nx-then: close", Reason::Reset),
    ] {
        let server = Scripted::start(move |_| answer.into()).await;
        let gap = client(HttpPolicy::default()).ask(&get(server.url("/")), soon()).await.unwrap_err();
        assert_eq!(gap.reason, right, "{answer:?}: {gap}");
    }
    let endless = Scripted::start(|_| format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(1 << 20))).await;
    let gap = client(HttpPolicy::default()).ask(&get(endless.url("/")), soon()).await.unwrap_err();
    assert_eq!(gap.reason, Reason::Malformed, "{gap}");
    let refused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let url: Url = format!("http://127.0.0.1:{refused}/").parse().unwrap();
    let gap = client(HttpPolicy::default()).ask(&get(url), soon()).await.unwrap_err();
    assert_eq!(gap.reason, Reason::Refused, "{gap}");
    let hangs = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url = format!("http://127.0.0.1:{}/", hangs.local_addr().unwrap().port()).parse().unwrap();
    let began = Instant::now();
    let gap = client(HttpPolicy::default()).ask(&get(url), began + Duration::from_millis(200)).await.unwrap_err();
    assert_eq!(gap.reason, Reason::TimedOut, "{gap}");
    assert!(began.elapsed() < Duration::from_secs(3));
    for bad in ["ftp://127.0.0.1/", "unix:/run/x", "data:text/plain,x"] {
        let gap = client(HttpPolicy::default()).ask(&get(bad.parse().unwrap()), soon()).await.unwrap_err();
        assert_eq!(gap.reason, Reason::Malformed, "{gap}");
    }
}

#[tokio::test]
async fn who_asks_is_said_to_nobody_else() {
    let other = Scripted::start(|_| OK.into()).await;
    let to = other.url("/there").to_string();
    let server = Scripted::start(move |head| match head {
        h if h.starts_with("GET /away") => format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"),
        h if h.starts_with("GET /stay") => "HTTP/1.1 308 X\r\nlocation: here?x=1\r\ncontent-length: 0\r\n\r\n".into(),
        _ => OK.into(),
    })
    .await;
    let mut secret = HeaderValue::from_static("s3cret");
    secret.set_sensitive(true);
    let of = |path: &str| {
        get(server.url(path))
            .by(basic())
            .with(http::HeaderName::from_static("x-token"), secret.clone())
            .with(http::header::ACCEPT, HeaderValue::from_static("a/b"))
    };
    let mut client = client(following());
    let answer = client.ask(&of("/stay"), soon()).await.unwrap();
    assert_eq!(answer.url.path(), "/here");
    let head = server.heads().pop().unwrap();
    assert!(head.starts_with("GET /here?x=1 "), "{head}");
    assert!(head.contains("authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"), "{head}");
    assert!(head.contains("x-token: s3cret"), "{head}");
    let answer = client.ask(&of("/away"), soon()).await.unwrap();
    assert_eq!((answer.status, answer.url.port()), (200, Some(other.port)));
    let head = other.heads().pop().unwrap();
    assert!(head.contains("accept: a/b"), "{head}");
    assert!(!head.contains("authorization") && !head.contains("x-token"), "{head}");
    let request = of("/");
    assert!(!format!("{request:?}").contains("sesame") && !format!("{request:?}").contains("s3cret"));
}

#[tokio::test]
async fn redirects_end_somewhere_and_are_an_answer_where_they_are_not_followed() {
    let server = Scripted::start(|_| "HTTP/1.1 301 X\r\nlocation: /again\r\ncontent-length: 0\r\n\r\n".into()).await;
    let answer = client(HttpPolicy::default()).ask(&get(server.url("/")), soon()).await.unwrap();
    assert_eq!(answer.status, 301);
    let staying = HttpRequest { stay: true, ..get(server.url("/")) };
    assert_eq!(client(following()).ask(&staying, soon()).await.unwrap().status, 301);
    let gap = client(following()).ask(&get(server.url("/")), soon()).await.unwrap_err();
    assert_eq!(gap.reason, Reason::Malformed);
    assert_eq!(server.heads().len(), 2 + 6);
    let nowhere = Scripted::start(|_| "HTTP/1.1 302 X\r\ncontent-length: 0\r\n\r\n".into()).await;
    let gap = client(following()).ask(&get(nowhere.url("/")), soon()).await.unwrap_err();
    assert!(gap.detail.as_str().ends_with("HTTP 302 that does not say where to"), "{gap}");
}

#[test]
fn redirects_never_lose_tls_and_secrets_stay_with_the_server() {
    let redirected = |from: &str, to: &str| {
        let headers = [(LOCATION, HeaderValue::from_str(to).unwrap())].into_iter().collect();
        let (url, asked) = (from.parse().unwrap(), crate::clock::now());
        redirect(&HttpAnswer { status: 302, headers, body: vec![], certificate: None, url, asked })
    };
    assert!(redirected("https://a/", "http://a/").is_err());
    assert!(redirected("https://a/", "//b/").unwrap().is_some());
    assert!(redirected("http://a/", "https://a/").unwrap().is_some());
    assert!(redirected("http://a/", "ftp://a/").is_err());
    let same = |a: &str, b: &str| same_server(&a.parse().unwrap(), &b.parse().unwrap());
    assert!(same("http://a/", "https://a/x"));
    assert!(same("https://a:443/", "https://a/"));
    assert!(!same("https://a/", "https://b/"));
    assert!(!same("https://a/", "https://a:8443/"));
    assert!(!same("http://a:80/", "https://a:8443/"));
}

#[tokio::test]
async fn ipv6_and_another_address_than_the_names() {
    let server = Scripted::bound("[::1]:0", |_| OK.into()).await;
    let url: Url = format!("http://[::1]:{}/", server.port).parse().unwrap();
    client(HttpPolicy::default()).ask(&get(url), soon()).await.unwrap();
    assert!(server.heads()[0].contains(&format!("host: [::1]:{}\r\n", server.port)));
    let mut request = get("http://shop.example.com/".parse().unwrap());
    request.via = Some(TcpTarget { host: "::1".into(), port: server.port });
    client(HttpPolicy::default()).ask(&request, soon()).await.unwrap();
    assert!(server.heads()[1].contains("host: shop.example.com\r\n"));
}

#[tokio::test]
async fn statuses_json_and_patience() {
    let server = Scripted::start(|head| {
        let status = head.split(['/', ' ']).nth(2).unwrap();
        let body = r#"{"a": [1, "hunter2"]}"#;
        let length = body.len();
        format!("HTTP/1.1 {status} X\r\nretry-after: 17\r\ncontent-length: {length}\r\n\r\n{body}")
    })
    .await;
    let mut client = client(HttpPolicy::default());
    for (status, reason) in [
        (401, Reason::WrongPassword),
        (403, Reason::Forbidden),
        (404, Reason::Absent),
        (429, Reason::TooManyRequests),
        (500, Reason::QueryFailed),
        (302, Reason::QueryFailed),
    ] {
        let answer = client.ask(&get(server.url(&format!("/{status}"))), soon()).await.unwrap();
        assert_eq!(answer.retry_after(answer.asked), Some(Duration::from_secs(17)));
        assert_eq!(answer.success().unwrap_err().reason, reason);
    }
    let answer = client.ask(&get(server.url("/204")), soon()).await.unwrap().success().unwrap();
    assert!(answer.body.is_empty());
    let answer = client.ask(&get(server.url("/200")), soon()).await.unwrap().success().unwrap();
    assert!(answer.json::<serde_json::Value>().is_ok());
    let gap = answer.json::<HashMap<String, Vec<u32>>>().unwrap_err();
    assert_eq!(gap.reason, Reason::Malformed);
    assert!(!gap.detail.as_str().contains("hunter2"), "{gap}");
}

#[test]
fn patience_until_a_date() {
    let now =
        Now { wall: "2026-11-21T06:00:00Z".parse().unwrap(), boot: crate::plan::BootTime(Duration::from_secs(1)) };
    let of = |text: &str| {
        let headers = [(RETRY_AFTER, HeaderValue::from_str(text).unwrap())].into_iter().collect();
        let url = "http://a/".parse().unwrap();
        HttpAnswer { status: 429, headers, body: vec![], certificate: None, url, asked: now }.retry_after(now)
    };
    assert_eq!(of("Sat, 21 Nov 2026 06:02:00 GMT"), Some(Duration::from_secs(120)));
    assert_eq!(of("Sat, 21 Nov 2026 05:00:00 GMT"), Some(Duration::ZERO));
    assert_eq!(of("3600"), Some(Duration::from_secs(3600)));
    assert_eq!(of("soon"), None);
}

/// A TLS server with a certificate for 127.0.0.1 until that year, and its PEM file.
async fn tls_server(year: i32) -> (u16, tempfile::NamedTempFile) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(year, 1, 2);
    params.distinguished_name.push(rcgen::DnType::CommonName, format!("until {year}"));
    let certificate = params.self_signed(&key).unwrap();
    let pem = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(pem.path(), certificate.pem()).unwrap();
    let server = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut request = [0; 1024];
                while matches!(stream.read(&mut request).await, Ok(1..)) {
                    let _ = stream.write_all(OK.as_bytes()).await;
                }
            });
        }
    });
    (port, pem)
}

#[tokio::test]
async fn tls_is_verified_and_says_when_it_ends() {
    let asked = |port: u16, tls: TlsPolicy| async move {
        let soon = || Instant::now() + Duration::from_secs(2);
        let url: Url = format!("https://127.0.0.1:{port}/").parse().unwrap();
        let mut client = client(HttpPolicy { tls, ..HttpPolicy::default() });
        client.ask(&get(url.clone()), soon()).await?;
        // Over the kept connection, whose certificate is remembered.
        let answer = client.ask(&get(url), soon()).await?;
        Ok::<_, Gap>(answer.certificate.unwrap().not_after.to_rfc3339())
    };
    let trusting = |pem: &tempfile::NamedTempFile| TlsPolicy { roots: Some(pem.path().into()), ..Default::default() };
    let any = || TlsPolicy { accept_any: true, ..Default::default() };
    let (good, pem) = tls_server(2090).await;
    assert_eq!(asked(good, trusting(&pem)).await.unwrap(), "2090-01-02T00:00:00+00:00");
    assert_eq!(asked(good, any()).await.unwrap(), "2090-01-02T00:00:00+00:00");
    let (expired, expired_pem) = tls_server(2020).await;
    let gap = asked(good, trusting(&expired_pem)).await.unwrap_err();
    assert_eq!(gap.reason, Reason::UnknownIssuer, "{gap}");
    assert!(gap.detail.as_str().starts_with(&format!("127.0.0.1:{good}: ")), "{gap}");
    let gap = asked(expired, trusting(&expired_pem)).await.unwrap_err();
    assert_eq!(gap.reason, Reason::CertificateExpired, "{gap}");
    assert_eq!(asked(expired, any()).await.unwrap(), "2020-01-02T00:00:00+00:00");
    let plain = Scripted::start(|_| OK.into()).await;
    let gap = asked(plain.port, any()).await.unwrap_err();
    assert!(matches!(gap.reason, Reason::TlsFailed | Reason::TimedOut), "{gap}");
}

#[tokio::test]
async fn what_changes_something_is_sent_once_and_it_is_known_whether_it_was() {
    let soon = || Instant::now() + Duration::from_secs(5);
    let post = |url| HttpRequest { body: Bytes::from_static(b"{}"), ..HttpRequest::new(Method::POST, url) };
    // Neither on a kept connection, nor again, nor to where a redirect leads.
    let server = Scripted::start(|head| match head {
        h if h.contains("/cut") => String::new(),
        h if h.contains("/moved") => "HTTP/1.1 307 x\r\nlocation: /\r\ncontent-length: 0\r\n\r\n".to_owned(),
        _ => OK.to_owned(),
    })
    .await;
    let policy = HttpPolicy { follow: true, ..HttpPolicy::default() };
    let mut client = HttpClient::new(Net::new(), policy);
    client.ask(&HttpRequest::new(Method::GET, server.url("/")), soon()).await.unwrap();
    let answer = client.send(&post(server.url("/moved")), soon()).await.unwrap();
    assert_eq!((answer.status, server.connections.load(Ordering::SeqCst)), (307, 2));
    let lost = client.send(&post(server.url("/cut")), soon()).await.unwrap_err();
    assert!(matches!(&lost, NoAnswer::Lost(gap) if gap.reason == Reason::Reset), "{lost:?}");
    assert_eq!(server.heads.lock().unwrap().iter().filter(|h| h.contains("/cut")).count(), 1);

    // Nobody listens; nobody answers; nobody's certificate is trusted.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let closed: Url = format!("http://127.0.0.1:{port}/").parse().unwrap();
    let refused = client.send(&post(closed), soon()).await.unwrap_err();
    assert!(matches!(&refused, NoAnswer::NotSent(gap) if gap.reason == Reason::Refused), "{refused:?}");
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let hung: Url = format!("http://127.0.0.1:{port}/").parse().unwrap();
    let short = Instant::now() + Duration::from_millis(200);
    let late = client.send(&post(hung), short).await.unwrap_err();
    assert!(matches!(&late, NoAnswer::Lost(gap) if gap.reason == Reason::TimedOut), "{late:?}");
    let hung: Url = format!("https://127.0.0.1:{port}/").parse().unwrap();
    let short = Instant::now() + Duration::from_millis(200);
    let late = client.send(&post(hung), short).await.unwrap_err();
    assert!(matches!(&late, NoAnswer::NotSent(gap) if gap.reason == Reason::TimedOut), "{late:?}");
}
