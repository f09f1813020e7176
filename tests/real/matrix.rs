//! The fault matrix: every kind of lane against every fault. What is judged, with which reason, goes into
//! `tests/fixtures/fault-matrix.md`, and must be what stands there: `LIFEBOAT_BLESS=1` writes it anew.
//!
//! For every fault, all lanes that it applies to are watched by one supervisor, beside a healthy neighbour. No look may
//! last longer than its timeout, and the neighbour keeps its period.

use std::any::Any;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use lifeboat::app::Polled;
use lifeboat::plan::LaneId;
use lifeboat::readiness::{Finding, PlanStatus, Verdict, worst};
use tokio::net::UdpSocket;

use crate::faults::dns::{Dns, DnsServer, NXDOMAIN, REFUSED, Record, SERVFAIL, framed};
use crate::faults::postgres::Pg;
use crate::faults::proxy::{Mode, Proxy};
use crate::faults::tls::{Authority, Certificate};
use crate::faults::{Bytes, HUGE, Server};
use crate::lab_faults::url;
use crate::pg::PgPair;
use crate::watch::Watch;

const TIMEOUT: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_secs(1);
/// How much later than its timeout a look may be over.
const MARGIN: Duration = Duration::from_millis(500);
/// How far from its period a neighbour's look may be: what a busy machine does to any timer.
const JITTER: Duration = Duration::from_millis(300);
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/fault-matrix.md");

/// The kinds of lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Replicating,
    Restored,
    Resolver,
    Authoritative,
    Endpoint,
}

const KINDS: [(Kind, &str); 5] = [
    (Kind::Replicating, "postgres"),
    (Kind::Restored, "postgres restored"),
    (Kind::Resolver, "dns resolver"),
    (Kind::Authoritative, "dns authoritative"),
    (Kind::Endpoint, "dns endpoint"),
];

/// The faults, in the order of the table, and what they are where a protocol has its own words for them.
pub const FAULTS: [(&str, &str); 17] = [
    ("refused", "nobody listens; for DNS, port unreachable"),
    ("black hole", "nothing answers, not even TCP"),
    ("accepts and hangs", "connected, and then silence"),
    ("resets midway", "half an answer, then RST; for DNS, over TCP after a truncated datagram"),
    ("one byte a second", "an honest answer, too slowly; for DNS, over TCP after a truncated datagram"),
    ("garbage", "bytes of no protocol"),
    ("100 MB answer", "in rows; for an endpoint, in headers; for DNS 64 KB, the largest message that there is"),
    ("100 MB value", "one value that says it is 100 MB long"),
    ("unknown issuer", "a certificate that nobody here trusts"),
    ("expired certificate", "of 2020"),
    ("wrong password", "SQLSTATE 28P01; for an endpoint, HTTP 401"),
    ("no permission", "SQLSTATE 42501; for an endpoint, HTTP 403; for DNS, REFUSED"),
    ("no such database", "SQLSTATE 3D000; for an endpoint, HTTP 404; for DNS, NXDOMAIN"),
    ("starting up", "SQLSTATE 57P03; for an endpoint, HTTP 503; for DNS, SERVFAIL"),
    ("too many connections", "SQLSTATE 53300; for an endpoint, HTTP 429"),
    (
        "empty answer",
        "a real server's answer without its rows; for an endpoint, closed without a byte; for DNS, NOERROR without a record",
    ),
    ("NULL columns", "every column of a real server's answer"),
];

/// What a lane is pointed at: the server that fails, held for as long as it shall.
pub struct Target {
    pub port: u16,
    /// For PostgreSQL what follows the database in the URL.
    pub parameters: String,
    pub tls: bool,
    pub _held: Box<dyn Any + Send>,
}

struct Lab {
    pair: PgPair,
    authority: Authority,
    roots: String,
    _dir: tempfile::TempDir,
}

fn records() -> Vec<Record> {
    vec![Record::address("shop.lab.test", 30, "127.0.0.1".parse().unwrap()), Record::soa("lab.test", 1, 5)]
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new("lab");
        let roots = authority.write(dir.path()).display().to_string();
        Self { pair: PgPair::start(), authority, roots, _dir: dir }
    }

    /// The server with this fault for a lane of this kind; why not, where it cannot have it.
    async fn target(&self, kind: Kind, fault: &str) -> Result<Target, &'static str> {
        match fault {
            "refused" => {
                let server = Server::refused();
                return Ok(plain(server.addr.port(), Box::new(server)));
            }
            "black hole" => {
                // The port takes datagrams too, and says nothing to them.
                let server = Server::black_hole().await;
                let silent = UdpSocket::bind(server.addr).await.unwrap();
                return Ok(plain(server.addr.port(), Box::new((server, silent))));
            }
            _ => {}
        }
        match kind {
            Kind::Replicating => Ok(postgres(&self.authority, &self.roots, self.pair.standby.port, true, fault).await),
            Kind::Restored => Ok(postgres(&self.authority, &self.roots, self.pair.primary.port, false, fault).await),
            Kind::Resolver | Kind::Authoritative => nameserver(fault, kind == Kind::Authoritative).await,
            Kind::Endpoint => endpoint(&self.authority, fault).await,
        }
    }

    /// A plan of its own for a lane of this kind, with everything else about it healthy.
    fn plan(&self, kind: Kind, target: &Target, healthy: &DnsServer) -> String {
        let port = target.port;
        let good = healthy.addr.port();
        let plan = |requires: &str, probe: &str| {
            format!(
                "[[plan]]\nname = \"{kind:?}\"\ntier = 1\nstrategy = \"warm-standby\"\nobjectives = {{ rpo = \"30s\", \
                 rto = \"5m\" }}\nsites = {{ east = \"home\", west = \"away\" }}\nhome = \"east\"\nrequires = \
                 [\"{requires}\"]\n[[plan.probe]]\nname = \"probe\"\n{probe}\n"
            )
        };
        let parameters = &target.parameters;
        let west = format!("postgres://lifeboat:look@127.0.0.1:{port}/postgres{parameters}");
        let dns = |resolver: u16, server: u16, more: &str| {
            format!(
                "kind = \"dns\"\nrecord = \"shop.lab.test\"\nanswers = {{ east = [\"127.0.0.1\"], west = \
                 [\"127.0.0.2\"] }}\nservers = [\"127.0.0.1:{server}\"]\nresolvers = [\"127.0.0.1:{resolver}\"]\n\
                 max_ttl = \"60s\"\n{more}"
            )
        };
        match kind {
            Kind::Replicating => {
                let east = url(&self.pair.primary, "lifeboat");
                plan("replication", &format!("kind = \"postgres\"\nat = {{ east = \"{east}\", west = \"{west}\" }}"))
            }
            Kind::Restored => {
                let query = "freshness_query = \"SELECT now()\"";
                let probe = format!("kind = \"postgres\"\nmode = \"restored\"\nat = {{ west = \"{west}\" }}\n{query}");
                plan("replication", &probe)
            }
            Kind::Resolver => plan("dns", &dns(port, good, "")),
            Kind::Authoritative => plan("dns", &dns(good, port, "")),
            Kind::Endpoint => {
                let roots = if target.tls { format!(", roots = \"{}\"", self.roots) } else { String::new() };
                let endpoint = format!(
                    "endpoint = {{ port = {port}, tls = {}, http = \"/\", server_name = \"localhost\", sites = \
                     [\"east\"]{roots} }}",
                    target.tls
                );
                plan("dns", &dns(good, good, &endpoint))
            }
        }
    }
}

/// A PostgreSQL server with this fault; `upstream` is a real one behind the proxies. `whole` where the look asks for many
/// tables, so that rows alone can be too many.
pub async fn postgres(authority: &Authority, roots: &str, upstream: u16, whole: bool, fault: &str) -> Target {
    let certificate = match fault {
        "unknown issuer" => Some(Certificate::UnknownIssuer),
        "expired certificate" => Some(Certificate::Expired),
        _ => None,
    };
    if let Some(which) = certificate {
        let tls = Some(authority.server(which));
        let server = Server::postgres_tls(Pg::NoRows, tls).await;
        let parameters = format!("?sslmode=verify-full&sslrootcert={}", roots);
        let port = server.addr.port();
        return Target { port, parameters, tls: true, _held: Box::new(server) };
    }
    let mode = match fault {
        "NULL columns" => Some(Mode::Nulls),
        "empty answer" => Some(Mode::NoRows),
        "100 MB answer" if whole => Some(Mode::Huge),
        _ => None,
    };
    if let Some(mode) = mode {
        let proxy = Proxy::start(([127, 0, 0, 1], upstream).into()).await;
        proxy.set(mode);
        return plain(proxy.addr.port(), Box::new(proxy));
    }
    let what = match fault {
        "accepts and hangs" => Pg::AtStartup(Bytes::Hang),
        "resets midway" => Pg::reset_midway(),
        "one byte a second" => Pg::trickle(),
        "garbage" => Pg::AtStartup(Bytes::Garbage),
        "100 MB answer" => Pg::huge(),
        "100 MB value" => Pg::huge_row(),
        "wrong password" => Pg::WrongPassword,
        "no permission" => Pg::QueryError("42501", "permission denied for function pg_control_system"),
        "no such database" => Pg::Refuse("3D000", "database \"postgres\" does not exist"),
        "starting up" => Pg::Refuse("57P03", "the database system is starting up"),
        "too many connections" => Pg::Refuse("53300", "sorry, too many clients already"),
        other => panic!("no such fault: {other}"),
    };
    let server = Server::postgres(what).await;
    plain(server.addr.port(), Box::new(server))
}

/// What speaks HTTP with this fault; why not, where it cannot have it.
pub async fn endpoint(authority: &Authority, fault: &str) -> Result<Target, &'static str> {
    let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let server = match fault {
        "accepts and hangs" => Server::bytes(Bytes::Hang).await,
        "resets midway" => Server::bytes(Bytes::Reset(ok[..12].into())).await,
        "one byte a second" => Server::bytes(Bytes::Trickle(ok[..].into())).await,
        "garbage" => Server::bytes(Bytes::Garbage).await,
        "100 MB answer" => {
            let unit = format!("x-more: {}\r\n", "x".repeat(1000)).into_bytes().into();
            Server::bytes(Bytes::Flood { head: ok[..17].into(), unit, total: HUGE }).await
        }
        "100 MB value" => {
            let head = b"HTTP/1.1 200 OK\r\nx-more: "[..].into();
            Server::bytes(Bytes::Flood { head, unit: b"x"[..].into(), total: HUGE }).await
        }
        "unknown issuer" => Server::http(200, Some(authority.server(Certificate::UnknownIssuer))).await,
        "expired certificate" => Server::http(200, Some(authority.server(Certificate::Expired))).await,
        "wrong password" => Server::http(401, None).await,
        "no permission" => Server::http(403, None).await,
        "no such database" => Server::http(404, None).await,
        "starting up" => Server::http(503, None).await,
        "too many connections" => Server::http(429, None).await,
        "empty answer" => Server::bytes(Bytes::Say(b""[..].into())).await,
        "NULL columns" => return Err("HTTP has no columns"),
        other => panic!("no such fault: {other}"),
    };
    let tls = matches!(fault, "unknown issuer" | "expired certificate");
    Ok(Target { tls, ..plain(server.addr.port(), Box::new(server)) })
}

pub fn plain(port: u16, held: Box<dyn Any + Send>) -> Target {
    Target { port, parameters: "?sslmode=disable".into(), tls: false, _held: held }
}

async fn nameserver(fault: &str, authoritative: bool) -> Result<Target, &'static str> {
    let what = match fault {
        "accepts and hangs" => Dns::Hang,
        "resets midway" => Dns::TruncatedThen(Bytes::Reset([0, 60, 1, 2][..].into())),
        "one byte a second" => Dns::TruncatedThen(Bytes::Trickle(framed(&[1; 60]).into())),
        "garbage" => Dns::Garbage,
        "100 MB answer" => Dns::Largest,
        "no permission" => Dns::Rcode(REFUSED),
        "no such database" => Dns::Rcode(NXDOMAIN),
        "starting up" => Dns::Rcode(SERVFAIL),
        "empty answer" => Dns::NoData,
        "100 MB value" => return Err("no DNS message is longer than 64 KB"),
        "unknown issuer" | "expired certificate" => return Err("DNS over UDP and TCP has no certificate"),
        "wrong password" => return Err("DNS asks for no password"),
        "too many connections" => return Err("a busy DNS server drops datagrams: see black hole"),
        "NULL columns" => return Err("DNS has no columns"),
        other => panic!("no such fault: {other}"),
    };
    let server = DnsServer::start(what, records(), authoritative).await;
    Ok(plain(server.addr.port(), Box::new(server)))
}

/// Which finding a lane's cell shows: the worst about it, by the roll-up's own order.
fn cell(status: &PlanStatus, kind: Kind) -> String {
    let about = |f: &&Finding| {
        let (site, part) = (f.subject.site.as_ref().map(|s| s.as_str()), f.subject.part.as_deref());
        f.probe.is_some()
            && f.rule.as_str() != "exposure"
            && match kind {
                Kind::Replicating | Kind::Restored => site == Some("west"),
                Kind::Resolver => part.is_some_and(|p| p.starts_with("127.0.0.1")),
                Kind::Authoritative => part == Some("authoritative"),
                Kind::Endpoint => site == Some("east"),
            }
    };
    let found: Vec<&Finding> = status.findings.iter().filter(about).collect();
    let Some(verdict) = worst(found.iter().map(|f| f.verdict)) else { return "nothing was judged".into() };
    let mut codes: Vec<&str> = found.iter().filter(|f| f.verdict == verdict).map(|f| f.code.as_ref()).collect();
    codes.sort_unstable();
    codes.dedup();
    format!("{verdict}: {}", codes.join(", "))
}

/// The lane of a plan that has the fault.
fn faulty(lane: &LaneId, kind: Kind) -> bool {
    let (site, part) = (lane.subject.site.as_ref().map(|s| s.as_str()), lane.subject.part.as_deref());
    lane.probe.plan.as_str() == format!("{kind:?}")
        && match kind {
            Kind::Replicating | Kind::Restored => site == Some("west"),
            Kind::Resolver => part.is_some_and(|p| p.starts_with("127.0.0.1")),
            Kind::Authoritative => part == Some("authoritative"),
            Kind::Endpoint => site == Some("east"),
        }
}

const HEAD: &str = "# Fault matrix\n\n\
    Written and checked by `tests/real/matrix.rs`: what a lane is judged as, and the code of the reason, when the server \
    that it looks at fails like this. Every look ended within its timeout, and a healthy neighbour that the same \
    supervisor watched kept its period.\n\n";

#[test]
fn every_kind_of_lane_against_every_fault() {
    let lab = Lab::new();
    let servers = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let healthy = servers.block_on(DnsServer::start(Dns::Answer, records(), true));
    let mut table = String::from(HEAD);
    writeln!(table, "| fault | {} |", KINDS.map(|(_, name)| name).join(" | ")).unwrap();
    writeln!(table, "|---|{}", "---|".repeat(KINDS.len())).unwrap();
    let mut notes: Vec<String> = Vec::new();
    for (fault, _) in FAULTS {
        let mut plans = String::new();
        let mut cells = Vec::new();
        let mut held = Vec::new();
        for (kind, name) in KINDS {
            match servers.block_on(lab.target(kind, fault)) {
                Ok(target) => {
                    plans.push_str(&lab.plan(kind, &target, &healthy));
                    held.push(target);
                    cells.push(Ok(kind));
                }
                Err(why) => {
                    notes.push(format!("- {name}, {fault}: {why}."));
                    cells.push(Err(()));
                }
            }
        }
        let row: Vec<String> = watch_all(fault, &plans, &cells, &healthy);
        writeln!(table, "| {fault} | {} |", row.join(" | ")).unwrap();
    }
    table.push_str("\nThe faults:\n\n");
    for (fault, what) in FAULTS {
        writeln!(table, "- {fault}: {what}.").unwrap();
    }
    notes.dedup();
    writeln!(table, "\nWhere a fault cannot occur (-):\n\n{}", notes.join("\n")).unwrap();
    // Nothing in it may be green.
    for line in table.lines().filter(|l| l.starts_with("| ")).skip(1) {
        assert!(!line.contains("nothing was judged"), "{line}");
        assert!(!line.replace("not ready:", "").contains("ready:"), "a false green: {line}");
    }
    if std::env::var_os("LIFEBOAT_BLESS").is_some() {
        std::fs::create_dir_all(Path::new(FIXTURE).parent().unwrap()).unwrap();
        std::fs::write(FIXTURE, &table).unwrap();
    }
    let right = std::fs::read_to_string(FIXTURE).unwrap_or_default();
    assert!(table == right, "the matrix is not what {FIXTURE} says:\n{table}");
}

/// Watches every lane that has this fault, until it has been judged after several looks.
fn watch_all(fault: &str, plans: &str, cells: &[Result<Kind, ()>], healthy: &DnsServer) -> Vec<String> {
    let good = healthy.addr.port();
    let neighbour = format!(
        "[[plan]]\nname = \"neighbour\"\ntier = 1\nstrategy = \"warm-standby\"\nobjectives = {{ rpo = \"30s\", rto = \
         \"5m\" }}\nsites = {{ east = \"home\", west = \"away\" }}\nhome = \"east\"\nrequires = [\"dns\"]\n\
         [[plan.probe]]\nname = \"probe\"\nkind = \"dns\"\nrecord = \"shop.lab.test\"\nanswers = {{ east = \
         [\"127.0.0.1\"], west = [\"127.0.0.2\"] }}\nservers = [\"127.0.0.1:{good}\"]\nresolvers = \
         [\"127.0.0.1:{good}\"]\nmax_ttl = \"60s\"\n"
    );
    let watch = Watch::start(&format!(
        "here = \"elsewhere\"\n[defaults]\ninterval = \"{}s\"\ntimeout = \"{}s\"\n{neighbour}{plans}",
        INTERVAL.as_secs(),
        TIMEOUT.as_secs()
    ));
    let kinds: Vec<Kind> = cells.iter().filter_map(|c| c.ok()).collect();
    let of = |looks: &[Polled], kind: Kind| looks.iter().filter(|p| faulty(&p.lane, kind)).count();
    let near = |p: &&Polled| {
        p.lane.probe.plan.as_str() == "neighbour" && p.lane.subject.part.as_deref() == Some("authoritative")
    };
    watch.until_looks(fault, Duration::from_secs(20), |looks| {
        kinds.iter().all(|k| of(looks, *k) >= 3) && looks.iter().filter(near).count() >= 4
    });
    // The third look has been judged as well.
    let looks = watch.looks();
    for kind in &kinds {
        let last = looks.iter().rfind(|p| faulty(&p.lane, *kind)).unwrap().answered;
        watch
            .until(&format!("{kind:?}"), "the last look is judged", Duration::from_secs(5), |s| s.at.boot >= last.boot);
    }
    for look in looks.iter().filter(|p| kinds.iter().any(|k| faulty(&p.lane, *k))) {
        let took = look.answered.since(look.asked);
        assert!(took <= TIMEOUT + MARGIN, "{fault}: {} took {took:?}", look.lane);
    }
    let times: Vec<_> = looks.iter().filter(near).map(|p| p.asked).collect();
    // The first look starts at once, and the second one moves onto the probe's own phase.
    for pair in times[1..].windows(2) {
        let period = pair[1].since(pair[0]);
        assert!(period.abs_diff(INTERVAL) <= JITTER, "{fault}: the neighbour was asked after {period:?}");
    }
    assert_eq!(watch.newest("neighbour").unwrap().readiness, Verdict::Ready, "{fault}: the neighbour is well");
    let shown = |c: &Result<Kind, ()>| match c {
        Ok(kind) => cell(&watch.newest(&format!("{kind:?}")).unwrap(), *kind),
        Err(()) => "-".to_owned(),
    };
    cells.iter().map(shown).collect()
}
