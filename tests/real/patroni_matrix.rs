//! The fault matrix of Patroni: a site of which one of two members fails, and a site whose only member fails, standing by
//! and active, against every fault. What is judged goes into `tests/fixtures/fault-matrix-patroni.md`, and must be what
//! stands there: `LIFEBOAT_BLESS=1` writes it anew.
//!
//! All are watched by one supervisor at once, beside a healthy neighbour. No look may last longer than its timeout, and the
//! neighbour keeps its period.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use lifeboat::app::Polled;
use lifeboat::clock;
use lifeboat::readiness::{Finding, PlanStatus, Verdict, worst};
use rustls::ServerConfig;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

use crate::faults::tls::{Authority, Certificate};
use crate::faults::{Bytes, HUGE, Server};
use crate::watch::Watch;

const TIMEOUT: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_secs(1);
/// How much later than its timeout a look may be over.
const MARGIN: Duration = Duration::from_millis(500);
/// How far from its period a neighbour's look may be, while all faults are looked at: what a busy machine does to any timer.
const JITTER: Duration = Duration::from_millis(500);
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/fault-matrix-patroni.md");

const FAULTS: [(&str, &str); 24] = [
    ("refused", "nobody listens"),
    ("black hole", "nothing answers, not even TCP"),
    ("accepts and hangs", "connected, and then silence"),
    ("resets midway", "half an answer, then RST"),
    ("one byte a second", "an honest answer, too slowly"),
    ("garbage", "bytes of no protocol"),
    ("100 MB answer", "in headers"),
    ("100 MB value", "a body that says it is 100 MB long"),
    ("unknown issuer", "a certificate that nobody here trusts"),
    ("expired certificate", "of 2020"),
    ("wrong password", "HTTP 401, from a proxy in front"),
    ("no permission", "HTTP 403: the REST API's list of addresses, or no client certificate"),
    ("not found", "HTTP 404: something else than Patroni"),
    ("unavailable", "HTTP 503, from a proxy in front"),
    ("asked too often", "HTTP 429"),
    ("empty answer", "closed without a byte"),
    ("no JSON", "HTTP 200 with a page of HTML"),
    ("empty objects", "{} to every question"),
    ("null everywhere", "every value of an honest answer is null"),
    ("no positions", "PostgreSQL does not answer Patroni, which says so"),
    ("no DCS: /cluster fails", "the members answer for themselves, /cluster is HTTP 503"),
    ("no DCS: /cluster hangs", "the members answer for themselves, nothing comes to /cluster"),
    ("no /config", "HTTP 502, as without a configuration in the DCS"),
    ("no /history", "HTTP 500"),
];

const COLUMNS: [&str; 3] =
    ["one of two members, standing by", "the only member, standing by", "the only member, active"];

/// What an honest member answers.
#[derive(Clone, Copy)]
struct Honest {
    name: &'static str,
    role: &'static str,
    /// The members of its cluster.
    names: [&'static str; 2],
    count: usize,
    standby: bool,
}

const ACTIVE: Honest = Honest { name: "n1", role: "primary", names: ["n1", "n2"], count: 1, standby: false };
const LEADS: Honest = Honest { name: "n4", role: "standby_leader", names: ["n4", "n5"], count: 1, standby: true };

impl Honest {
    fn answer(self, path: &str, fault: &str) -> (u16, Value) {
        let now = clock::now().wall.timestamp();
        let body = match path {
            "/patroni" => {
                let xlog = if self.role == "primary" {
                    json!({ "location": 83_886_080 })
                } else {
                    json!({ "received_location": 83_886_080, "replayed_location": 83_886_080, "paused": false })
                };
                let mut body = json!({
                    "state": "running", "role": self.role, "xlog": xlog, "timeline": 1, "dcs_last_seen": now,
                    "postmaster_start_time": format!("2026-11-21 01:47:39.{}+00:00", self.name.len()),
                    "database_system_identifier": "77104",
                    "patroni": { "version": "4.1.5", "scope": if self.standby { "dr" } else { "prod" }, "name": self.name },
                });
                if self.role != "primary" {
                    body["replication_state"] = json!("streaming");
                }
                if fault == "no positions" {
                    body.as_object_mut().unwrap().remove("xlog");
                    body["state"] = json!("unknown");
                }
                body
            }
            "/cluster" => {
                let leader = if self.standby { ("standby_leader", "streaming") } else { ("leader", "running") };
                let of = |(i, name): (usize, &&str)| match i {
                    0 => json!({ "name": name, "role": leader.0, "state": leader.1, "timeline": 1 }),
                    _ => json!({ "name": name, "role": "replica", "state": "streaming", "timeline": 1, "lag": 0 }),
                };
                json!({ "members": self.names.iter().enumerate().take(self.count).map(of).collect::<Vec<_>>() })
            }
            "/config" if self.standby => json!({ "ttl": 30, "standby_cluster": { "host": "n1", "port": 5432 } }),
            "/config" => json!({ "ttl": 30 }),
            "/history" => json!([]),
            _ => return (404, json!({})),
        };
        match (fault, path) {
            ("empty objects", _) => (200, json!({})),
            ("null everywhere", _) => (200, nulls(&body)),
            ("no DCS: /cluster fails", "/cluster") => (503, json!({})),
            ("no /config", "/config") => (502, json!({})),
            ("no /history", "/history") => (500, json!({})),
            _ => (200, body),
        }
    }
}

fn nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(fields.iter().map(|(k, v)| (k.clone(), nulls(v))).collect()),
        Value::Array(items) => Value::Array(items.iter().map(nulls).collect()),
        _ => Value::Null,
    }
}

/// A member that answers, as Patroni does, with this fault of what it says.
async fn member(honest: Honest, fault: &'static str, tls: Option<Arc<ServerConfig>>) -> Server {
    Server::tcp(move |mut stream, _| {
        let tls = tls.clone();
        async move {
            match tls {
                None => serve(&mut stream, honest, fault).await,
                Some(config) => {
                    if let Ok(mut stream) = TlsAcceptor::from(config).accept(stream).await {
                        serve(&mut stream, honest, fault).await;
                    }
                }
            }
        }
    })
    .await
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, honest: Honest, fault: &str) {
    let mut asked = Vec::new();
    let mut some = [0; 1024];
    while !asked.ends_with(b"\r\n\r\n") {
        match stream.read(&mut some).await {
            Ok(n @ 1..) => asked.extend_from_slice(&some[..n]),
            Ok(0) | Err(_) => return,
        }
    }
    let text = String::from_utf8_lossy(&asked).into_owned();
    let path = text.split(' ').nth(1).unwrap_or_default();
    if fault == "no DCS: /cluster hangs" && path == "/cluster" {
        std::future::pending::<()>().await;
    }
    let (status, body) = honest.answer(path, fault);
    let date = clock::now().wall.format("%a, %d %b %Y %H:%M:%S GMT");
    let answer = format!("HTTP/1.0 {status} Lab\r\nDate: {date}\r\nContent-Type: application/json\r\n\r\n{body}");
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// A member with this fault.
async fn faulty(honest: Honest, fault: &'static str, authority: &Authority) -> Server {
    let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"a\": 1 }";
    let head = |more: &'static str| format!("HTTP/1.1 200 OK\r\n{more}").into_bytes().into();
    match fault {
        "refused" => Server::refused(),
        "black hole" => Server::black_hole().await,
        "accepts and hangs" => Server::bytes(Bytes::Hang).await,
        "resets midway" => Server::bytes(Bytes::Reset(ok[..40].into())).await,
        "one byte a second" => Server::bytes(Bytes::Trickle(ok[..].into())).await,
        "garbage" => Server::bytes(Bytes::Garbage).await,
        "100 MB answer" => {
            let unit = format!("x-more: {}\r\n", "x".repeat(1000)).into_bytes().into();
            Server::bytes(Bytes::Flood { head: head(""), unit, total: HUGE }).await
        }
        "100 MB value" => {
            let head = head("content-length: 100000000\r\n\r\n{\"a\": \"");
            Server::bytes(Bytes::Flood { head, unit: b"x"[..].into(), total: HUGE }).await
        }
        "unknown issuer" => member(honest, fault, Some(authority.server(Certificate::UnknownIssuer))).await,
        "expired certificate" => member(honest, fault, Some(authority.server(Certificate::Expired))).await,
        "wrong password" => Server::http(401, None).await,
        "no permission" => Server::http(403, None).await,
        "not found" => Server::http(404, None).await,
        "unavailable" => Server::http(503, None).await,
        "asked too often" => Server::http(429, None).await,
        "empty answer" => Server::bytes(Bytes::Say(b""[..].into())).await,
        "no JSON" => {
            let page = b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n<html></html>";
            Server::bytes(Bytes::Say(page[..].into())).await
        }
        _ => member(honest, fault, None).await,
    }
}

fn plan(name: &str, roots: &str, tls: bool, east: &[&Server], west: &[&Server]) -> String {
    let place = |faulty: bool| if faulty && tls { "https://localhost" } else { "http://127.0.0.1" };
    // The faulty one is the last of its site.
    let urls = |servers: &[&Server], faulty: bool| {
        let last = servers.len().saturating_sub(1);
        let url = |(i, s): (usize, &&Server)| format!("\"{}:{}\"", place(faulty && i == last), s.addr.port());
        servers.iter().enumerate().map(url).collect::<Vec<_>>().join(", ")
    };
    let active = name.ends_with("-2");
    let trust = if tls { format!("roots = \"{roots}\"\n") } else { String::new() };
    format!(
        "[[plan]]\nname = \"{name}\"\ntier = 1\nstrategy = \"warm-standby\"\nobjectives = {{ rpo = \"30s\", rto = \"5m\" }}\n\
         sites = {{ east = \"home\", west = \"away\" }}\nhome = \"east\"\nrequires = [\"standby\"]\n[[plan.probe]]\n\
         name = \"probe\"\nkind = \"patroni\"\nat = {{ east = [{}], west = [{}] }}\n{trust}",
        urls(east, active),
        urls(west, !active)
    )
}

/// What the site with the fault is judged as: the worst about it, by the roll-up's own order.
fn cell(status: &PlanStatus, site: &str) -> String {
    let about = |f: &&Finding| {
        f.subject.site.as_ref().is_some_and(|s| s.as_str() == site)
            && f.probe.is_some()
            && f.rule.as_str() != "exposure"
    };
    let found: Vec<&Finding> = status.findings.iter().filter(about).collect();
    let Some(verdict) = worst(found.iter().map(|f| f.verdict)) else { return "nothing was judged".into() };
    let mut codes: Vec<&str> = found.iter().filter(|f| f.verdict == verdict).map(|f| f.code.as_ref()).collect();
    codes.sort_unstable();
    codes.dedup();
    format!("{verdict}: {}", codes.join(", "))
}

const HEAD: &str = "# Fault matrix of Patroni\n\n\
    Written and checked by `tests/real/patroni_matrix.rs`: what a site is judged as, and the code of the reason, when a \
    member of it fails like this. Every look ended within its timeout, and a healthy neighbour that the same supervisor \
    watched kept its period.\n\n";

#[test]
fn patroni_against_every_fault() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new("lab");
    let roots = authority.write(dir.path()).display().to_string();
    let servers = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let of_two = Honest { count: 2, ..LEADS };
    let replica = Honest { name: "n5", role: "replica", ..of_two };
    let (active, leads, leads_two) = servers.block_on(async {
        (member(ACTIVE, "", None).await, member(LEADS, "", None).await, member(of_two, "", None).await)
    });
    let mut text = format!(
        "here = \"elsewhere\"\n[defaults]\ninterval = \"{}s\"\ntimeout = \"{}s\"\n{}",
        INTERVAL.as_secs(),
        TIMEOUT.as_secs(),
        plan("neighbour", &roots, false, &[&active], &[&leads])
    );
    let mut held = Vec::new();
    for (i, (fault, _)) in FAULTS.iter().enumerate() {
        let tls = matches!(*fault, "unknown issuer" | "expired certificate");
        let [a, b, c] = [replica, LEADS, ACTIVE].map(|honest| servers.block_on(faulty(honest, fault, &authority)));
        text.push_str(&plan(&format!("f{i}-0"), &roots, tls, &[&active], &[&leads_two, &a]));
        text.push_str(&plan(&format!("f{i}-1"), &roots, tls, &[&active], &[&b]));
        text.push_str(&plan(&format!("f{i}-2"), &roots, tls, &[&c], &[&leads]));
        held.extend([a, b, c]);
    }
    let watch = Watch::start(&text);
    let lanes = 2 * (1 + FAULTS.len() * COLUMNS.len());
    watch.until_looks("six looks of every lane", Duration::from_secs(60), |looks| {
        looks.len() >= 6 * lanes && {
            let mut counts = std::collections::HashMap::new();
            looks.iter().for_each(|p| *counts.entry(&p.lane).or_insert(0) += 1);
            counts.len() == lanes && counts.values().all(|n| *n >= 6)
        }
    });
    let looks = watch.looks();
    for look in &looks {
        let took = look.answered.since(look.asked);
        assert!(took <= TIMEOUT + MARGIN, "{} took {took:?}", look.lane);
    }
    let near = |p: &&Polled| p.lane.probe.plan.as_str() == "neighbour" && p.lane.to_string().ends_with("east");
    let times: Vec<_> = looks.iter().filter(near).map(|p| p.asked).collect();
    // The first look starts at once, and the second one moves onto the probe's own phase.
    for pair in times[1..].windows(2) {
        let period = pair[1].since(pair[0]);
        assert!(period.abs_diff(INTERVAL) <= JITTER, "the neighbour was asked after {period:?}");
    }
    assert_eq!(watch.newest("neighbour").unwrap().readiness, Verdict::Ready, "the neighbour is well");
    let mut table = String::from(HEAD);
    writeln!(table, "| fault | {} |\n|---|{}", COLUMNS.join(" | "), "---|".repeat(COLUMNS.len())).unwrap();
    for (i, (fault, _)) in FAULTS.iter().enumerate() {
        let cells = [(0, "west"), (1, "west"), (2, "east")].map(|(n, site)| {
            let last = looks.iter().rfind(|p| p.lane.probe.plan.as_str() == format!("f{i}-{n}")).unwrap().answered;
            watch.until(&format!("f{i}-{n}"), "the last look is judged", Duration::from_secs(5), |s| {
                s.at.boot >= last.boot
            });
            cell(&watch.newest(&format!("f{i}-{n}")).unwrap(), site)
        });
        writeln!(table, "| {fault} | {} |", cells.join(" | ")).unwrap();
    }
    table.push_str("\nThe faults:\n\n");
    for (fault, what) in FAULTS {
        writeln!(table, "- {fault}: {what}.").unwrap();
    }
    // Nothing in it may be green, but what a member that is one of two has nothing to do with: the other one tells it.
    for line in table.lines().filter(|l| l.starts_with("| ")).skip(1) {
        assert!(!line.contains("nothing was judged"), "{line}");
        let asks_others =
            line.starts_with("| no ") && !line.starts_with("| no permission") && !line.starts_with("| no JSON");
        let green = line.replace("not ready:", "").matches("ready:").count();
        assert!(green <= usize::from(asks_others), "a false green: {line}");
    }
    if std::env::var_os("LIFEBOAT_BLESS").is_some() {
        std::fs::write(FIXTURE, &table).unwrap();
    }
    let right = std::fs::read_to_string(FIXTURE).unwrap_or_default();
    assert!(table == right, "the matrix is not what {FIXTURE} says:\n{table}");
}
