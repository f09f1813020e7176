//! A lane of `systems/postgres` as the configuration opens it, what it saw, and peers for it to look at.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lifeboat::net::Net;
use lifeboat::plan::{
    Area, Here, LaneDecl, Objectives, Plan, PlanId, ProbeDecl, ProbeId, SignalId, Site, SiteId, Span, Strategy, Weight,
};
use lifeboat::readiness::{Gap, Reason, Row, Value};
use lifeboat::systems::{Lane, Look, ReadContext, kind};

use super::pg::{Server, free_port};

pub(super) const TIMEOUT: Duration = Duration::from_secs(3);

/// The lanes of a probe of these sites, as the configuration opens them.
pub(super) fn lanes(options: serde_json::Value) -> Vec<(LaneDecl, Box<dyn Lane>)> {
    let (plan, probe) = declared(options).expect("sound options");
    let opened = (kind("postgres").unwrap().open)(&plan, &probe, &Net::new());
    probe.lanes.iter().cloned().zip(opened).collect()
}

pub(super) fn declared(options: serde_json::Value) -> Result<(Plan, ProbeDecl), Vec<lifeboat::systems::Fault>> {
    let kind = kind("postgres").unwrap();
    let id = ProbeId::new(&PlanId::new("orders"), "db");
    let sites: Vec<SiteId> = ["east", "west"].map(SiteId::new).to_vec();
    let objectives = Objectives { rpo: Span::secs(30), rto: Span::secs(300) };
    let interval = Duration::from_secs(5);
    let context = ReadContext {
        id: &id,
        strategy: lifeboat::plan::Strategy::WarmStandby,
        sites: &sites,
        home: &sites[0],
        objectives: &objectives,
        area: Area::Replication,
        interval,
        timeout: TIMEOUT,
    };
    let declared = (kind.read)(&context, options)?;
    let probe = ProbeDecl {
        id: id.clone(),
        kind: kind.name,
        area: kind.area.fixed().unwrap(),
        weight: Weight::Full,
        interval: Span(interval),
        timeout: Span(TIMEOUT),
        options: declared.options,
        lanes: declared.lanes,
    };
    let plan = Plan {
        id: id.plan,
        tier: 1,
        strategy: Strategy::PilotLight,
        objectives,
        sites: sites.iter().map(|s| Site { id: s.clone(), what: "".into() }).collect(),
        home: sites[0].clone(),
        here: Here::Elsewhere,
        requires: vec![Area::Replication],
        probes: vec![probe.clone()],
        contacts: Vec::new(),
        losses: Vec::new(),
        confirms: Vec::new(),
        copies: Default::default(),
        runbooks: Vec::new(),
        lost_with: Vec::new(),
        practice: None,
    };
    Ok((plan, probe))
}

/// One lane at `url`; the other site is a port that nobody uses.
pub(super) fn lane(url: &str) -> (LaneDecl, Box<dyn Lane>) {
    let other = format!("postgres://u@127.0.0.1:{}/d", free_port());
    lanes(serde_json::json!({ "at": { "east": url, "west": other } })).swap_remove(0)
}

pub(super) async fn look(lane: &mut dyn Lane) -> Seen {
    let began = tokio::time::Instant::now();
    let look = lane.look(began + TIMEOUT).await;
    assert!(began.elapsed() < TIMEOUT + Duration::from_millis(300), "the deadline holds: {:?}", began.elapsed());
    Seen(look)
}

/// A look, asked by signal.
pub(super) struct Seen(pub(super) Look);

impl Seen {
    pub(super) fn of(&self, signal: &SignalId) -> &Result<Value, Gap> {
        &self.0.observed.iter().find(|o| o.signal == *signal).unwrap_or_else(|| panic!("no {signal}")).value
    }

    pub(super) fn ok(&self, signal: &SignalId) -> &Value {
        self.of(signal).as_ref().unwrap_or_else(|e| panic!("{signal}: {e:?}"))
    }

    pub(super) fn rows(&self, signal: &SignalId) -> &[Row] {
        match self.ok(signal) {
            Value::Rows(rows) => rows,
            other => panic!("{signal}: {other:?}"),
        }
    }

    /// The one reason for which every signal failed.
    pub(super) fn reason(&self) -> Reason {
        let reasons: Vec<_> = self.0.observed.iter().map(|o| o.value.as_ref().err().map(|g| g.reason)).collect();
        let first = reasons[0].unwrap_or_else(|| panic!("no gap: {:?}", self.0));
        assert!(reasons.iter().all(|r| *r == Some(first)), "one reason for all: {:?}", self.0);
        first
    }

    pub(super) fn gap(&self) -> &Gap {
        self.0.observed[0].value.as_ref().unwrap_err()
    }

    pub(super) fn all_good(&self) {
        for o in &self.0.observed {
            assert!(o.value.is_ok(), "{}: {:?}", o.signal, o.value);
        }
    }
}

pub(super) async fn reason_of(url: &str) -> Reason {
    look(&mut *lane(url).1).await.reason()
}

pub(super) fn with_password(server: &Server, user: &str) -> String {
    format!("postgres://{user}:look@127.0.0.1:{}/postgres", server.port)
}

/// Runs what blocks beside the runtime.
pub(super) fn on(server: &Server, sql: &str) -> String {
    tokio::task::block_in_place(|| server.sql(sql))
}

/// A peer that serves each connection by `serve`; gives its port.
pub(super) fn peer(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || serve(stream));
        }
    });
    port
}

/// Passes on to `port`. `answers` passes on each chunk of the server's, with how many bytes came before it, and says
/// whether to go on. `turns` counts round trips.
pub(super) fn proxy(
    port: u16,
    answers: impl Fn(usize, &[u8], &mut TcpStream) -> bool + Send + Sync + 'static,
    turns: Arc<AtomicUsize>,
) -> u16 {
    peer(move |client| {
        let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let asked = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (asking, counting) = (Arc::clone(&asked), Arc::clone(&turns));
        std::thread::spawn(move || {
            let mut buf = [0; 65_536];
            while let Ok(n @ 1..) = from_client.read(&mut buf) {
                // A round trip begins where the client speaks after the server did.
                if !asking.swap(true, Ordering::SeqCst) {
                    counting.fetch_add(1, Ordering::SeqCst);
                }
                if to_server.write_all(&buf[..n]).is_err() {
                    break;
                }
            }
            to_server.shutdown(std::net::Shutdown::Both).ok();
        });
        let (mut from_server, mut to_client) = (server, client);
        let mut buf = [0; 65_536];
        let mut seen = 0;
        while let Ok(n @ 1..) = from_server.read(&mut buf) {
            asked.store(false, Ordering::SeqCst);
            if !answers(seen, &buf[..n], &mut to_client) {
                break;
            }
            seen += n;
        }
        to_client.shutdown(std::net::Shutdown::Both).ok();
        from_server.shutdown(std::net::Shutdown::Both).ok();
    })
}
