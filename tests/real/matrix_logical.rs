//! The fault matrix of logical replication, `sql-check`, `http`, `tcp` and `tls`, as `matrix.rs` has it for the others: what
//! is judged goes into `tests/fixtures/fault-matrix-logical.md`, and must be what stands there; `LIFEBOAT_BLESS=1` writes it
//! anew. All faults of all kinds are watched at once, by one supervisor, each in a plan of its own.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use lifeboat::readiness::{Finding, PlanStatus, worst};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::faults::bytes::{before, garbage, hang};
use crate::faults::tls::{Authority, Certificate};
use crate::faults::{Bytes, HUGE, Server};
use crate::lab_faults::url;
use crate::matrix::{FAULTS, Target, endpoint, plain, postgres};
use crate::pg::PgTwo;
use crate::watch::Watch;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/fault-matrix-logical.md");
const TIMEOUT: Duration = Duration::from_secs(2);
/// How much later than its timeout a look may be over.
const MARGIN: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Logical,
    SqlCheck,
    Http,
    Tcp,
    Tls,
}

const KINDS: [(Kind, &str); 5] = [
    (Kind::Logical, "postgres logical"),
    (Kind::SqlCheck, "sql-check"),
    (Kind::Http, "http"),
    (Kind::Tcp, "tcp"),
    (Kind::Tls, "tls"),
];

struct Lab {
    two: PgTwo,
    authority: Authority,
    roots: String,
    _dir: tempfile::TempDir,
}

impl Lab {
    async fn target(&self, kind: Kind, fault: &str) -> Result<Target, &'static str> {
        match fault {
            "refused" => {
                let server = Server::refused();
                return Ok(plain(server.addr.port(), Box::new(server)));
            }
            "black hole" => {
                let server = Server::black_hole().await;
                return Ok(plain(server.addr.port(), Box::new(server)));
            }
            _ => {}
        }
        match kind {
            Kind::Logical => Ok(postgres(&self.authority, &self.roots, self.two.west.port, true, fault).await),
            Kind::SqlCheck => Ok(postgres(&self.authority, &self.roots, self.two.east.port, false, fault).await),
            Kind::Http => endpoint(&self.authority, fault).await,
            Kind::Tcp => greeting(fault).await,
            Kind::Tls => self.certificate(fault).await,
        }
    }

    async fn certificate(&self, fault: &str) -> Result<Target, &'static str> {
        let server = match fault {
            "accepts and hangs" => Server::bytes(Bytes::Hang).await,
            "resets midway" => Server::bytes(Bytes::Reset(b"\x16\x03\x03"[..].into())).await,
            "one byte a second" => Server::bytes(Bytes::Trickle([0x16, 3, 3, 0, 80, 2, 0, 0][..].into())).await,
            "garbage" => Server::bytes(Bytes::Garbage).await,
            "100 MB answer" | "100 MB value" => {
                Server::bytes(Bytes::Flood { head: b"\x16\x03\x03"[..].into(), unit: b"\xff"[..].into(), total: HUGE })
                    .await
            }
            "unknown issuer" => Server::http(200, Some(self.authority.server(Certificate::UnknownIssuer))).await,
            "expired certificate" => Server::http(200, Some(self.authority.server(Certificate::Expired))).await,
            "empty answer" => Server::bytes(Bytes::Say(b""[..].into())).await,
            _ => return Err("a handshake comes before any of it"),
        };
        Ok(Target { tls: true, ..plain(server.addr.port(), Box::new(server)) })
    }

    fn plan(&self, kind: Kind, name: &str, target: &Target) -> String {
        let (port, parameters, roots) = (target.port, &target.parameters, &self.roots);
        let database = format!("postgres://lifeboat:look@127.0.0.1:{port}/postgres{parameters}");
        let trust = if target.tls { format!("\nroots = \"{roots}\"") } else { String::new() };
        let probe = match kind {
            Kind::Logical => {
                let east = url(&self.two.east, "lifeboat");
                format!("kind = \"postgres\"\nmode = \"logical\"\nat = {{ east = \"{east}\", west = \"{database}\" }}")
            }
            Kind::SqlCheck => format!(
                "kind = \"sql-check\"\narea = \"replication\"\nat = {{ west = \"{database}\" }}\nquery = \"SELECT 1\"\nexpect = 1"
            ),
            Kind::Http => {
                let scheme = if target.tls { "https" } else { "http" };
                format!(
                    "kind = \"http\"\narea = \"replication\"\nat = {{ west = \"{scheme}://localhost:{port}/\" }}{trust}"
                )
            }
            Kind::Tcp => {
                format!(
                    "kind = \"tcp\"\narea = \"replication\"\nat = {{ west = \"127.0.0.1:{port}\" }}\nbanner = \"220 \""
                )
            }
            Kind::Tls => {
                format!("kind = \"tls\"\narea = \"replication\"\nat = {{ west = \"localhost:{port}\" }}{trust}")
            }
        };
        format!(
            "[[plan]]\nname = \"{name}\"\ntier = 1\nstrategy = \"warm-standby\"\nobjectives = {{ rpo = \"30s\", rto = \"5m\" }}\n\
             sites = {{ east = \"home\", west = \"away\" }}\nhome = \"east\"\nrequires = [\"replication\"]\n[[plan.probe]]\n\
             name = \"probe\"\ninterval = \"2s\"\ntimeout = \"2s\"\n{probe}\n"
        )
    }
}

/// What says its greeting wrongly; it speaks first.
async fn greeting(fault: &str) -> Result<Target, &'static str> {
    let (say, then): (Vec<u8>, Then) = match fault {
        "accepts and hangs" => (Vec::new(), Then::Hang),
        "resets midway" => (b"22".to_vec(), Then::Reset),
        "one byte a second" => (b"220 ".to_vec(), Then::Slowly),
        "garbage" => (garbage(4096), Then::End),
        "empty answer" => (Vec::new(), Then::End),
        "100 MB answer" | "100 MB value" => (vec![b'x'; 1 << 20], Then::Hang),
        _ => return Err("a greeting is all that is heard"),
    };
    let server = Server::tcp(move |mut stream, seen| {
        let say = say.clone();
        async move {
            if then == Then::Reset {
                before(&stream, &Bytes::Reset([][..].into()));
            }
            let _ = seen.connections();
            let step = if then == Then::Slowly { 1 } else { say.len().max(1) };
            for part in say.chunks(step) {
                if stream.write_all(part).await.is_err() {
                    return;
                }
                if then == Then::Slowly {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            match then {
                Then::Hang | Then::Slowly => hang(&mut stream).await,
                // The client has read what came before: a RST would throw it away.
                Then::Reset => {
                    let _ = tokio::time::timeout(Duration::from_millis(200), stream.read_u8()).await;
                }
                Then::End => {
                    let _ = stream.shutdown().await;
                }
            }
        }
    })
    .await;
    Ok(plain(server.addr.port(), Box::new(server)))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Hang,
    Slowly,
    Reset,
    End,
}

/// The worst about the lane with the fault.
fn cell(status: &PlanStatus) -> String {
    let about =
        |f: &&Finding| f.rule.as_str() != "exposure" && f.subject.site.as_ref().is_some_and(|s| s.as_str() == "west");
    let found: Vec<&Finding> = status.findings.iter().filter(about).collect();
    let Some(verdict) = worst(found.iter().map(|f| f.verdict)) else { return "nothing was judged".into() };
    let mut codes: Vec<&str> = found.iter().filter(|f| f.verdict == verdict).map(|f| f.code.as_ref()).collect();
    codes.sort_unstable();
    codes.dedup();
    format!("{verdict}: {}", codes.join(", "))
}

const HEAD: &str = "# Fault matrix: logical replication, queries, endpoints\n\n\
    Written and checked by `tests/real/matrix_logical.rs`: what a lane is judged as, and the code of the reason, when the \
    server that it looks at fails like this. Every look ended within its timeout. The faults are those of \
    `fault-matrix.md`; `tcp` waits for a greeting.\n\n";

#[test]
fn logical_replication_queries_and_endpoints_against_every_fault() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new("lab");
    let roots = authority.write(dir.path()).display().to_string();
    let lab = Lab { two: PgTwo::start(), authority, roots, _dir: dir };
    crate::postgres_logical::shop(&lab.two);
    let servers = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (mut plans, mut held, mut notes) = (String::new(), Vec::new(), Vec::<String>::new());
    let name = |fault: &str, kind: Kind| format!("{}-{kind:?}", fault.replace(' ', "-"));
    for (fault, _) in FAULTS {
        for (kind, shown) in KINDS {
            match servers.block_on(lab.target(kind, fault)) {
                Ok(target) => {
                    plans.push_str(&lab.plan(kind, &name(fault, kind), &target));
                    held.push((fault, kind, target));
                }
                Err(why) => notes.push(format!("- {shown}, {fault}: {why}.")),
            }
        }
    }
    let watch = Watch::start(&format!("here = \"elsewhere\"\n{plans}"));
    let faulty = |looks: &[lifeboat::app::Polled], plan: &str| {
        let west = |p: &&lifeboat::app::Polled| {
            p.lane.probe.plan.as_str() == plan && p.lane.subject.site.as_ref().is_some_and(|s| s.as_str() == "west")
        };
        looks.iter().filter(west).count()
    };
    watch.until_looks("three looks of each", Duration::from_secs(40), |looks| {
        held.iter().all(|(fault, kind, _)| faulty(looks, &name(fault, *kind)) >= 3)
    });
    for look in watch.looks() {
        let took = look.answered.since(look.asked);
        assert!(took <= TIMEOUT + MARGIN, "{} took {took:?}", look.lane);
    }
    let mut table = String::from(HEAD);
    writeln!(table, "| fault | {} |", KINDS.map(|(_, name)| name).join(" | ")).unwrap();
    writeln!(table, "|---|{}", "---|".repeat(KINDS.len())).unwrap();
    for (fault, _) in FAULTS {
        let of = |(kind, _): (Kind, &str)| {
            let there = held.iter().any(|(f, k, _)| *f == fault && *k == kind);
            if !there {
                return "-".to_owned();
            }
            // The third look has been judged as well.
            let plan = name(fault, kind);
            let looks = watch.looks();
            let last = looks.iter().rfind(|p| p.lane.probe.plan.as_str() == plan).unwrap().answered;
            watch.until(&plan, "the last look is judged", Duration::from_secs(5), |s| s.at.boot >= last.boot);
            cell(&watch.newest(&plan).unwrap())
        };
        writeln!(table, "| {fault} | {} |", KINDS.map(of).join(" | ")).unwrap();
    }
    writeln!(table, "\nWhere a fault cannot occur (-):\n\n{}", notes.join("\n")).unwrap();
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
