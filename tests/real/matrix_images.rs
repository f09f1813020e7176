//! The fault matrix of images: a registry, and a token server, against every fault. What is judged, with which reason, goes
//! into `tests/fixtures/fault-matrix-images.md`, and must be what stands there: `LIFEBOAT_BLESS=1` writes it anew.
//!
//! All faults are watched at once by one supervisor, beside a healthy neighbour. No look may last longer than its timeout,
//! and the neighbour keeps its period.

use std::any::Any;
use std::fmt::Write as _;
use std::time::Duration;

use lifeboat::app::Polled;
use lifeboat::readiness::{Finding, PlanStatus, Verdict, worst};

use crate::faults::tls::{Authority, Certificate};
use crate::faults::{Bytes, HUGE, Server};
use crate::registry::Registry;
use crate::watch::Watch;

const TIMEOUT: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_secs(1);
/// How much later than its timeout a look may be over.
const MARGIN: Duration = Duration::from_millis(500);
/// How far from its period a neighbour's look may be: what a busy machine does to any timer.
const JITTER: Duration = Duration::from_millis(300);
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/fault-matrix-images.md");

const KINDS: [&str; 2] = ["registry", "token server"];

/// The faults, in the order of the table, and what they are.
const FAULTS: [(&str, &str); 17] = [
    ("refused", "nobody listens"),
    ("black hole", "nothing answers, not even TCP"),
    ("accepts and hangs", "connected, and then silence"),
    ("resets midway", "half an answer, then RST"),
    ("one byte a second", "an honest answer, too slowly"),
    ("garbage", "bytes of no protocol"),
    ("100 MB answer", "in the body"),
    ("100 MB head", "in headers"),
    ("unknown issuer", "a certificate that nobody here trusts"),
    ("expired certificate", "of 2020"),
    ("wrong password", "HTTP 401"),
    ("no permission", "HTTP 403"),
    ("something else", "HTTP 404 without a registry's error"),
    ("everything is there", "HTTP 200 without a body, as a web server that knows no 404"),
    ("too many requests", "HTTP 429"),
    ("starting up", "HTTP 503"),
    ("empty answer", "closed without a byte"),
];

/// The server that fails, held for as long as it shall.
struct Target {
    at: String,
    _held: Vec<Box<dyn Any + Send>>,
}

async fn failing(fault: &str, authority: &Authority) -> Server {
    let ok = "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.oci.image.index.v1+json\r\n";
    match fault {
        "refused" => Server::refused(),
        "black hole" => Server::black_hole().await,
        "accepts and hangs" => Server::bytes(Bytes::Hang).await,
        "resets midway" => Server::bytes(Bytes::Reset(ok.as_bytes()[..12].into())).await,
        "one byte a second" => Server::bytes(Bytes::Trickle(ok.as_bytes().into())).await,
        "garbage" => Server::bytes(Bytes::Garbage).await,
        "100 MB answer" => {
            let head = format!("{ok}\r\n").into_bytes().into();
            Server::bytes(Bytes::Flood { head, unit: b"{\"x\": 1}"[..].into(), total: HUGE }).await
        }
        "100 MB head" => {
            let unit = format!("x-more: {}\r\n", "x".repeat(1000)).into_bytes().into();
            Server::bytes(Bytes::Flood { head: ok.as_bytes().into(), unit, total: HUGE }).await
        }
        "unknown issuer" => Server::http(200, Some(authority.server(Certificate::UnknownIssuer))).await,
        "expired certificate" => Server::http(200, Some(authority.server(Certificate::Expired))).await,
        "wrong password" => Server::http(401, None).await,
        "no permission" => Server::http(403, None).await,
        "something else" => Server::http(404, None).await,
        "everything is there" => Server::http(200, None).await,
        "too many requests" => Server::http(429, None).await,
        "starting up" => Server::http(503, None).await,
        "empty answer" => Server::bytes(Bytes::Say(b""[..].into())).await,
        other => panic!("no such fault: {other}"),
    }
}

/// The server with this fault; why not, where it cannot have it.
async fn target(kind: &str, fault: &str, authority: &Authority) -> Result<Target, &'static str> {
    let tls = matches!(fault, "unknown issuer" | "expired certificate");
    if kind == "token server" && tls {
        return Err("its certificate is judged as a registry's");
    }
    let server = failing(fault, authority).await;
    let port = server.addr.port();
    if kind == "registry" {
        let scheme = if tls { "https" } else { "http" };
        return Ok(Target { at: format!("{scheme}://127.0.0.1:{port}"), _held: vec![Box::new(server)] });
    }
    let challenge = format!(
        "HTTP/1.1 401 Lab\r\nwww-authenticate: Bearer realm=\"http://127.0.0.1:{port}/token\",service=\"lab\"\r\n\
         content-length: 0\r\n\r\n"
    );
    let registry = Server::bytes(Bytes::Say(challenge.into_bytes().into())).await;
    let at = format!("http://127.0.0.1:{}", registry.addr.port());
    Ok(Target { at, _held: vec![Box::new(server), Box::new(registry)] })
}

fn plan(name: &str, east: &str, west: &str, more: &str) -> String {
    format!(
        "[[plan]]\nname = \"{name}\"\ntier = 1\nstrategy = \"warm-standby\"\nobjectives = {{ rpo = \"30s\", rto = \"5m\" \
         }}\nsites = {{ east = \"home\", west = \"away\" }}\nhome = \"east\"\nrequires = [\"images\"]\n[[plan.probe]]\n\
         name = \"probe\"\nkind = \"images\"\ninterval = \"{}s\"\ntimeout = \"{}s\"\nanonymous = true\nimages = \
         [\"api:1\"]\nat = {{ east = \"{east}\", west = \"{west}\" }}\n{more}\n",
        INTERVAL.as_secs(),
        TIMEOUT.as_secs()
    )
}

/// What a plan's western registry is judged as.
fn cell(status: &PlanStatus) -> String {
    let about = |f: &&Finding| f.subject.site.as_ref().is_some_and(|s| s.as_str() == "west");
    let found: Vec<&Finding> = status.findings.iter().filter(about).collect();
    let Some(verdict) = worst(found.iter().map(|f| f.verdict)) else { return "nothing was judged".into() };
    let mut codes: Vec<&str> = found.iter().filter(|f| f.verdict == verdict).map(|f| f.code.as_ref()).collect();
    codes.sort_unstable();
    codes.dedup();
    format!("{verdict}: {}", codes.join(", "))
}

#[test]
fn registries_and_token_servers_against_every_fault() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new("lab");
    let roots = format!("roots = \"{}\"", authority.write(dir.path()).display());
    let (east, west) = (Registry::start(), Registry::start());
    for registry in [&east, &west] {
        registry.push("api", "1", "one");
    }
    let [east, west] = [&east, &west].map(|r| format!("http://{}", r.host()));
    let servers = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut plans = format!("here = \"elsewhere\"\n{}", plan("neighbour", &east, &west, ""));
    let (mut held, mut notes, mut names) = (Vec::new(), Vec::new(), Vec::new());
    for (row, (fault, _)) in FAULTS.iter().enumerate() {
        for (column, kind) in KINDS.iter().enumerate() {
            let name = format!("f{row}-{column}");
            match servers.block_on(target(kind, fault, &authority)) {
                Ok(target) => {
                    let more = if target.at.starts_with("https") { roots.as_str() } else { "" };
                    plans.push_str(&plan(&name, &east, &target.at, more));
                    held.push(target);
                    names.push(name);
                }
                Err(why) => notes.push(format!("- {kind}, {fault}: {why}.")),
            }
        }
    }
    let watch = Watch::start(&plans);
    let of = |p: &Polled, plan: &str, site: &str| {
        p.lane.probe.plan.as_str() == plan && p.lane.subject.site.as_ref().is_some_and(|s| s.as_str() == site)
    };
    watch.until_looks("every lane has looked three times", Duration::from_secs(30), |looks| {
        let looked = |name: &String| looks.iter().filter(|p| of(p, name, "west")).count() >= 3;
        names.iter().all(looked) && looks.iter().filter(|p| of(p, "neighbour", "west")).count() >= 4
    });
    let looks = watch.looks();
    for name in &names {
        let last = looks.iter().rfind(|p| of(p, name, "west")).unwrap().answered;
        watch.until(name, "the last look is judged", Duration::from_secs(5), |s| s.at.boot >= last.boot);
    }
    for look in &looks {
        let took = look.answered.since(look.asked);
        assert!(took <= TIMEOUT + MARGIN, "{} took {took:?}", look.lane);
    }
    let times: Vec<_> = looks.iter().filter(|p| of(p, "neighbour", "west")).map(|p| p.asked).collect();
    // The first look starts at once, and the second one moves onto the probe's own phase.
    for pair in times[1..].windows(2) {
        let period = pair[1].since(pair[0]);
        assert!(period.abs_diff(INTERVAL) <= JITTER, "the neighbour was asked after {period:?}");
    }
    assert_eq!(watch.newest("neighbour").unwrap().readiness, Verdict::Ready, "the neighbour is well");
    let mut table = String::from(
        "# Fault matrix: images\n\nWritten and checked by `tests/real/matrix_images.rs`: what a site's images are judged as, \
         and the code of the reason, when its registry, or the token server that its registry names, fails like this. Every \
         look ended within its timeout, and a healthy neighbour that the same supervisor watched kept its period.\n\n",
    );
    writeln!(table, "| fault | {} |\n|---|{}", KINDS.join(" | "), "---|".repeat(KINDS.len())).unwrap();
    for (row, (fault, _)) in FAULTS.iter().enumerate() {
        let shown = |column: usize| watch.newest(&format!("f{row}-{column}")).map_or_else(|| "-".into(), |s| cell(&s));
        let cells: Vec<String> = (0..KINDS.len()).map(shown).collect();
        writeln!(table, "| {fault} | {} |", cells.join(" | ")).unwrap();
    }
    table.push_str("\nThe faults:\n\n");
    for (fault, what) in FAULTS {
        writeln!(table, "- {fault}: {what}.").unwrap();
    }
    writeln!(table, "\nWhere a fault cannot occur (-):\n\n{}", notes.join("\n")).unwrap();
    // Nothing in it may be green, and only a closed port is proof.
    for line in table.lines().filter(|l| l.starts_with("| ")).skip(1) {
        assert!(!line.contains("nothing was judged"), "{line}");
        assert!(!line.replace("not ready:", "").contains("ready:"), "a false green: {line}");
        assert!(!line.contains("not ready:") || line.starts_with("| refused"), "a false alarm: {line}");
    }
    if std::env::var_os("LIFEBOAT_BLESS").is_some() {
        std::fs::write(FIXTURE, &table).unwrap();
    }
    let right = std::fs::read_to_string(FIXTURE).unwrap_or_default();
    assert!(table == right, "the matrix is not what {FIXTURE} says:\n{table}");
}
