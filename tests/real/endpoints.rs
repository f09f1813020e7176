//! `http`, `tcp` and `tls` against small servers of the test's own, each as it should be and as it should not.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use lifeboat::readiness::PlanStatus;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::faults::Server;
use crate::faults::tls::{Authority, Certificate};
use crate::watch::{Watch, describe};

/// Answers each request by what `answer` makes of it.
pub async fn web(tls: Option<Arc<rustls::ServerConfig>>, answer: fn(&str) -> String) -> Server {
    Server::tcp(move |stream, _| {
        let tls = tls.clone();
        async move {
            match tls {
                None => serve(stream, answer).await,
                Some(config) => {
                    if let Ok(stream) = tokio_rustls::TlsAcceptor::from(config).accept(stream).await {
                        serve(stream, answer).await;
                    }
                }
            }
        }
    })
    .await
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, answer: fn(&str) -> String) {
    let mut asked = Vec::new();
    let mut some = [0; 1024];
    while let Ok(n @ 1..) = stream.read(&mut some).await {
        asked.extend_from_slice(&some[..n]);
        if asked.ends_with(b"\r\n\r\n") {
            if asked.starts_with(b"GET /late ") {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let answer = answer(&String::from_utf8_lossy(&asked));
            stream.write_all(answer.as_bytes()).await.ok();
            stream.flush().await.ok();
            return;
        }
    }
}

/// One answer.
pub fn says(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

/// A site's web server: health as JSON, a page, one that wants a token, one that moves, one that is slow to say anything.
pub fn shop(request: &str) -> String {
    let path = request.split(' ').nth(1).unwrap_or_default();
    let has = |header: &str| request.to_ascii_lowercase().contains(&header.to_ascii_lowercase());
    match path {
        "/health" | "/late" => says("200 OK", r#"{"status":"ok","lag":0,"db":{"up":true}}"#),
        "/page" => says("200 OK", "<html>all is well</html>"),
        "/secret" if has("authorization: Bearer open sesame") && has("x-site: west") => says("200 OK", "come in"),
        "/basic" if has("authorization: Basic bGlmZWJvYXQ6c2VjcmV0") => says("200 OK", ""),
        "/secret" | "/basic" => says("401 Unauthorized", ""),
        "/moved" => {
            "HTTP/1.1 302 Found\r\nlocation: /health\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned()
        }
        "/down" => says("503 Service Unavailable", ""),
        _ => says("404 Not Found", ""),
    }
}

/// A plan with these probes, each by its name and its own keys.
pub fn configuration(probes: &[(&str, String)]) -> String {
    let mut text = "here = \"elsewhere\"\n[[plan]]\nname = \"lab\"\ntier = 1\nstrategy = \"warm-standby\"\nobjectives = { rpo = \
        \"30s\", rto = \"5m\" }\nsites = { east = \"home\", west = \"away\" }\nhome = \"east\"\nrequires = [\"standby\"]\n"
        .to_owned();
    for (name, rest) in probes {
        text += &format!(
            "[[plan.probe]]\nname = \"{name}\"\narea = \"standby\"\ninterval = \"1s\"\ntimeout = \"2s\"\n{rest}\n"
        );
    }
    text
}

fn of(s: &PlanStatus, probe: &str) -> Vec<String> {
    let mine = s.findings.iter().filter(|f| f.probe.as_ref().is_some_and(|p| &*p.name == probe));
    mine.filter(|f| f.rule.as_str() != "reach" || f.code != "answers")
        .map(|f| format!("{} {}", f.verdict, f.code))
        .collect()
}

#[test]
fn each_endpoint_is_judged_for_what_it_is() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new("lab authority");
    let roots = authority.write(dir.path()).display().to_string();
    let mut token = tempfile::NamedTempFile::new_in(dir.path()).unwrap();
    token.write_all(b"open sesame\n").unwrap();
    let mut password = tempfile::NamedTempFile::new_in(dir.path()).unwrap();
    password.write_all(b"secret").unwrap();
    let site = tempfile::NamedTempFile::new_in(dir.path()).unwrap();
    std::fs::write(site.path(), "west").unwrap();
    let (token, password, site) = (token.path().display(), password.path().display(), site.path().display());
    let (plain, good, expired, other, stranger, mail, mute) = runtime.block_on(async {
        let config = |which| Some(authority.server(which));
        (
            web(None, shop).await,
            web(config(Certificate::Good), shop).await,
            web(config(Certificate::Expired), shop).await,
            web(config(Certificate::OtherName), shop).await,
            web(config(Certificate::UnknownIssuer), shop).await,
            Server::tcp(|mut stream, _| async move {
                stream.write_all(b"220 mail.lab.test ESMTP\r\n").await.ok();
                let mut waste = [0; 64];
                while matches!(stream.read(&mut waste).await, Ok(1..)) {}
            })
            .await,
            Server::tcp(|mut stream, _| async move {
                let mut waste = [0; 64];
                while matches!(stream.read(&mut waste).await, Ok(1..)) {}
            })
            .await,
        )
    });
    let http = |path: &str, more: &str| {
        format!("kind = \"http\"\nat = {{ west = \"http://127.0.0.1:{}{path}\" }}\n{more}", plain.addr.port())
    };
    let https = |server: &Server, more: &str| {
        format!(
            "kind = \"http\"\nat = {{ west = \"https://localhost:{}/health\" }}\nroots = \"{roots}\"\n{more}",
            server.addr.port()
        )
    };
    let tls = |server: &Server, more: &str| {
        format!("kind = \"tls\"\nat = {{ west = \"localhost:{}\" }}\nroots = \"{roots}\"\n{more}", server.addr.port())
    };
    let tcp = |server: &Server, more: &str| {
        format!("kind = \"tcp\"\nat = {{ west = \"127.0.0.1:{}\" }}\n{more}", server.addr.port())
    };
    let secret = format!(
        "token = {{ file = \"{token}\" }}\nheaders = {{ X-Site = {{ file = \"{site}\" }}, X-Plain = \"yes\" }}"
    );
    let told: Vec<(&str, String, &[&str])> = vec![
        (
            "health",
            http("/health", "json = { pointer = \"/db/up\", equals = true }\nmax_latency = \"1s\""),
            &["ready answers"],
        ),
        ("lag", http("/health", "json = { pointer = \"/lag\", equals = 1 }"), &["not ready wrong-content"]),
        ("no-json", http("/page", "json = { pointer = \"/lag\", equals = 1 }"), &["unknown malformed"]),
        ("words", http("/page", "contains = \"all is well\""), &["ready answers"]),
        ("other-words", http("/page", "contains = \"maintenance\""), &["not ready wrong-content"]),
        ("down", http("/down", ""), &["not ready wrong-status"]),
        ("down-is-right", http("/down", "status = 503\nmethod = \"HEAD\""), &["ready answers"]),
        ("slow", http("/late", "max_latency = \"10ms\"\nheaders = { X-Plain = \"yes\" }"), &["degraded slow"]),
        ("closed", http("/secret", ""), &["unknown not-let-in"]),
        ("open", http("/secret", &secret), &["ready answers"]),
        (
            "basic",
            http("/basic", &format!("basic = {{ user = \"lifeboat\", password = {{ file = \"{password}\" }} }}")),
            &["ready answers"],
        ),
        ("moved", http("/moved", ""), &["not ready wrong-status"]),
        ("followed", http("/moved", "follow = true"), &["ready answers"]),
        ("https", https(&good, ""), &["ready answers", "ready certificate"]),
        ("https-soon", https(&good, "expiry_warn = \"9000d\""), &["ready answers", "degraded certificate-expires"]),
        ("https-expired", https(&expired, ""), &["not ready certificate-expired"]),
        (
            "https-any",
            https(&expired, "insecure = true").replace(&format!("roots = \"{roots}\"\n"), ""),
            &["ready answers", "not ready certificate-expired"],
        ),
        ("https-other", https(&other, ""), &["not ready certificate-name"]),
        ("https-stranger", https(&stranger, ""), &["unknown unknown-issuer"]),
        ("tls", tls(&good, "issuer = \"lab authority\""), &["ready answers", "ready certificate"]),
        ("tls-soon", tls(&good, "expiry_warn = \"9000d\""), &["ready answers", "degraded certificate-expires"]),
        ("tls-issuer", tls(&good, "issuer = \"Let's Encrypt\""), &["not ready wrong-issuer", "ready certificate"]),
        ("tls-expired", tls(&expired, ""), &["not ready certificate-expired"]),
        ("tls-other", tls(&other, ""), &["not ready certificate-name", "ready certificate"]),
        ("tls-named", tls(&other, "server_name = \"other.example.com\""), &["ready answers", "ready certificate"]),
        ("tls-stranger", tls(&stranger, ""), &["unknown unknown-issuer", "ready certificate"]),
        ("mail", tcp(&mail, "banner = \"220 \""), &["ready answers"]),
        ("mail-other", tcp(&mail, "banner = \"SSH-2.0\""), &["not ready wrong-banner"]),
        ("mute", tcp(&mute, "banner = \"220 \""), &["unknown timed-out"]),
        ("listening", tcp(&mute, "max_latency = \"1s\""), &["ready answers"]),
    ];
    let probes: Vec<(&str, String)> = told.iter().map(|(name, rest, _)| (*name, rest.clone())).collect();
    let watch = Watch::start(&configuration(&probes));
    let is = |s: &PlanStatus, name: &str, right: &[&str]| {
        let found = of(s, name);
        right.iter().all(|r| found.iter().any(|f| f == r))
            && found.iter().filter(|f| !f.starts_with("ready")).all(|f| right.contains(&f.as_str()))
    };
    let limit = lifeboat::clock::now().plus(Duration::from_secs(20));
    let done = |s: &PlanStatus| {
        told.iter().all(|(name, _, right)| is(s, name, right)) || lifeboat::clock::now().boot > limit.boot
    };
    watch.until("lab", "each judged", Duration::from_secs(25), done);
    let status = watch.newest("lab").unwrap();
    for (name, _, right) in &told {
        assert!(is(&status, name, right), "{name}: {:?}, not {right:?}\n{}", of(&status, name), describe(&status));
    }
    assert!(!describe(&status).contains("sesame"));
}
