//! The steps `http` and `notify` against servers on loopback, with and without TLS.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lifeboat::runbook::{Acted, Held, Outcome, RunbookKind, Strength};

use crate::acting::{Run, condition};

const LIMIT: Duration = Duration::from_secs(10);

/// A server whose state is one word: `POST /stop` makes it `stopped`, `GET /state` tells it. It keeps what it was asked.
#[derive(Clone)]
struct Api {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    word: Arc<Mutex<&'static str>>,
}

fn serve(mut stream: impl std::io::Read + std::io::Write, api: &Api) -> Option<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let length = head.to_ascii_lowercase().lines().find_map(|l| l.strip_prefix("content-length: ").map(str::to_owned));
    let mut body = vec![0; length.and_then(|l| l.parse().ok()).unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    api.asked.lock().unwrap().push(format!("{head}{}", String::from_utf8_lossy(&body)));
    let line = head.lines().next().unwrap_or_default();
    let let_in = head.contains("Bearer hunter2") || head.contains("bearer hunter2");
    let (status, answer) = match line {
        l if l.starts_with("GET /state") => ("200 OK", format!("{{\"state\":\"{}\"}}", api.word.lock().unwrap())),
        l if l.starts_with("POST /stop") && let_in => {
            *api.word.lock().unwrap() = "stopped";
            ("202 Accepted", "stopping".to_owned())
        }
        l if l.starts_with("POST /stop") => ("403 Forbidden", "who are you?".to_owned()),
        l if l.starts_with("POST /cut") => {
            *api.word.lock().unwrap() = "stopped";
            return None;
        }
        l if l.starts_with("POST /moved") => ("307 Temporary Redirect\r\nlocation: /stop", String::new()),
        l if l.starts_with("POST /hook") => ("204 No Content", String::new()),
        _ => ("500 Oops", "oops".to_owned()),
    };
    let content =
        if status.starts_with("204") { String::new() } else { format!("content-length: {}\r\n", answer.len()) };
    stream.write_all(format!("HTTP/1.1 {status}\r\n{content}connection: close\r\n\r\n{answer}").as_bytes()).ok()
}

fn api(tls: Option<Arc<rustls::ServerConfig>>) -> Api {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let api = Api { port, asked: Arc::default(), word: Arc::new(Mutex::new("running")) };
    let shared = api.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            match &tls {
                None => drop(serve(stream, &shared)),
                Some(config) => {
                    let connection = rustls::ServerConnection::new(Arc::clone(config)).unwrap();
                    let mut stream = rustls::StreamOwned::<_, TcpStream>::new(connection, stream);
                    serve(&mut stream, &shared);
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                }
            }
        }
    });
    api
}

impl Api {
    fn asked(&self, what: &str) -> Vec<String> {
        self.asked.lock().unwrap().iter().filter(|a| a.starts_with(what)).cloned().collect()
    }
}

/// A run with one step.
fn run(kind: &str, keys: &str) -> Run {
    let text = format!(
        "[[plan]]\nname = \"shop\"\ntier = 1\nstrategy = \"warm-standby\"\nobjectives = {{ rpo = \"30s\", rto = \"5m\" }}\n\
         sites = {{ east = \"home\", west = \"away\" }}\nhome = \"east\"\nrequires = [\"dns\"]\n\
         [[plan.switchover]]\nstep = \"it\"\nkind = \"{kind}\"\n{keys}\n"
    );
    Run::open(&text, RunbookKind::Switchover, "east", "west")
}

fn secret() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "hunter2\n").unwrap();
    file
}

fn keys(api: &Api, scheme: &str, path: &str, token: &tempfile::NamedTempFile, more: &str) -> String {
    let at = format!("{scheme}://localhost:{}", api.port);
    format!(
        "url = \"{at}{path}\"\nbody = '{{\"now\":true}}'\nheaders = {{ content-type = \"application/json\" }}\n\
         token = {{ file = \"{}\" }}\nstatus = 202\n\
         check = {{ url = \"{at}/state\", json = {{ pointer = \"/state\", equals = \"stopped\" }} }}\n{more}",
        token.path().display()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_sent_once_and_its_effect_is_looked_for() {
    let (api, token) = (api(None), secret());
    let run = run("http", &keys(&api, "http", "/stop", &token, "role = \"fence\"\non = \"old-active\""));
    let mut step = run.step(0);
    let shown = step.preview().await;
    assert_eq!((shown.already, condition(&shown, "address").held), (Held::Fails, Held::Holds));
    let actions: Vec<&str> = shown.actions.iter().map(|a| a.as_str()).collect();
    assert_eq!(actions[0], format!("POST http://localhost:{}/stop", api.port));
    assert_eq!(actions[3], "{\"now\":true}", "{actions:?}");
    assert_eq!(shown.challenge, "localhost");
    assert!(api.asked("POST").is_empty(), "a preview changes nothing");
    assert!(api.asked("GET").iter().all(|a| !a.contains("hunter2")), "what looks has no acting credentials");
    let ended = step.carry_out(LIMIT).await;
    println!("{ended:?}");
    assert_eq!(ended.outcome, Outcome::Succeeded);
    assert_eq!(ended.seen.left.fence.map(|f| f.strength), Some(Strength::Proven));
    let sent = api.asked("POST /stop");
    assert_eq!(sent.len(), 1);
    assert!(sent[0].contains("Bearer hunter2") && sent[0].ends_with("{\"now\":true}"), "{sent:?}");
    assert_eq!(step.preview().await.already, Held::Holds);
    let commands = step.executor.commands(&run.scene()).join("\n");
    assert!(!format!("{}{commands}", run.journaled()).contains("hunter2"));
    assert!(commands.contains("Authorization: Bearer TOKEN"), "{commands}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_refused_lost_or_moved_is_told_apart() {
    let token = secret();
    std::fs::write(token.path(), "wrong").unwrap();
    let server = api(None);
    let ended =
        run("http", &keys(&server, "http", "/stop", &token, "")).step(0).carry_out(Duration::from_secs(1)).await;
    assert_eq!(ended.outcome, Outcome::Failed, "{ended:?}");
    assert!(
        matches!(&ended.acted, Some(Acted::Refused { said }) if said.as_str().ends_with("who are you?")),
        "{ended:?}"
    );

    // It was done, and the answer was lost: only looking says so.
    let server = api(None);
    let ended = run("http", &keys(&server, "http", "/cut", &token, "")).step(0).carry_out(LIMIT).await;
    assert!(matches!(ended.acted, Some(Acted::Unclear { .. })), "{ended:?}");
    assert_eq!((ended.outcome, server.asked("POST").len()), (Outcome::Succeeded, 1));

    // The same without a way to look: nobody knows.
    let server = api(None);
    let blind = format!("url = \"http://127.0.0.1:{}/cut\"", server.port);
    let ended = run("http", &blind).step(0).carry_out(Duration::from_secs(1)).await;
    assert_eq!(ended.outcome, Outcome::Indeterminate, "{ended:?}");

    // A redirect is not followed, and leaves open what was done.
    let server = api(None);
    let ended =
        run("http", &keys(&server, "http", "/moved", &token, "")).step(0).carry_out(Duration::from_secs(1)).await;
    assert_eq!((ended.outcome, server.asked("POST").len()), (Outcome::Indeterminate, 1), "{ended:?}");

    // Nobody listens: nothing was sent.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ended =
        run("http", &format!("url = \"http://127.0.0.1:{closed}/\"")).step(0).carry_out(Duration::from_secs(1)).await;
    assert!(matches!(ended.acted, Some(Acted::NotSent { .. })), "{ended:?}");
    assert_eq!(ended.outcome, Outcome::Failed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_tls_only_to_a_server_that_is_trusted() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let private = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private.into())
        .unwrap();
    let (server, token) = (api(Some(Arc::new(config))), secret());
    let stranger = run("http", &keys(&server, "https", "/stop", &token, ""));
    let ended = stranger.step(0).carry_out(Duration::from_secs(1)).await;
    assert!(matches!(&ended.acted, Some(Acted::NotSent { .. })), "{ended:?}");
    assert!(server.asked("POST").is_empty(), "nothing secret goes to a stranger");

    let roots = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(roots.path(), certificate.pem()).unwrap();
    let more = format!("roots = \"{}\"", roots.path().display());
    let known = run("http", &keys(&server, "https", "/stop", &token, &more));
    let ended = known.step(0).carry_out(LIMIT).await;
    assert_eq!((ended.outcome, server.asked("POST").len()), (Outcome::Succeeded, 1), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_are_told_and_the_run_goes_on_where_they_are_not() {
    let server = api(None);
    let at = |path: &str| format!("http://127.0.0.1:{}{path}", server.port);
    let told = run("notify", &format!("url = \"{}\"", at("/hook")));
    let ended = told.step(0).carry_out(LIMIT).await;
    assert_eq!(ended.outcome, Outcome::Succeeded, "{ended:?}");
    let sent = server.asked("POST /hook");
    let body: serde_json::Value = serde_json::from_str(sent[0].split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(body["text"], "shop: switchover from east to west: it", "{body}");
    assert_eq!((body["plan"].as_str(), body["run"].as_str()), (Some("shop"), Some("shop-switchover-1")));
    assert_eq!(
        (body["step"].as_u64(), body["of"].as_u64(), body["phase"].as_str()),
        (Some(1), Some(1), Some("acting"))
    );

    let deaf = run("notify", &format!("url = \"{}\"", at("/deaf")));
    let ended = deaf.step(0).carry_out(LIMIT).await;
    assert_eq!(ended.outcome, Outcome::Succeeded, "{ended:?}");
    assert!(ended.seen.why.as_str().starts_with("it was tried; not known to have arrived"), "{ended:?}");
    assert_eq!(ended.seen.left.facts.len(), 1);
    let must = run("notify", &format!("url = \"{}\"\nmust_arrive = true", at("/deaf")));
    assert_eq!(must.step(0).carry_out(Duration::from_secs(1)).await.outcome, Outcome::Indeterminate);

    // A webhook whose address is the secret.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), at("/hook/hunter2")).unwrap();
    let hidden = run("notify", &format!("url = {{ file = \"{}\" }}", file.path().display()));
    let mut step = hidden.step(0);
    assert_eq!(step.carry_out(LIMIT).await.outcome, Outcome::Succeeded);
    assert_eq!(server.asked("POST /hook/hunter2").len(), 1);
    let commands = step.executor.commands(&hidden.scene()).join("\n");
    assert!(!format!("{}{commands}", hidden.journaled()).contains("hunter2"));
}
