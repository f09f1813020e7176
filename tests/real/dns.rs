//! The `dns` probe on real BIND and unbound, and the faults that a front door has.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lifeboat::clock;
use lifeboat::net::Net;
use lifeboat::plan::{
    Area, Here, Objectives, Plan, PlanId, ProbeDecl, ProbeId, SafeText, Site, SiteId, Span, Strategy, Subject, Weight,
};
use lifeboat::readiness::{Facts, Finding, PlanStatus, Reading, Readings, Verdict, judge};
use lifeboat::systems::{self, Lane, Look, ReadContext};
use serde_json::{Value, json};

#[path = "../support/dns.rs"]
pub(super) mod support;

use support::{Bind, Unbound, dig, until};

pub(super) const ZONE: &str = "dr.test";
const EAST: &str = "shop 20 A 192.0.2.10\nshop 20 AAAA 2001:db8:1::10";
const TO_WEST: &str = "update delete shop.dr.test.\nupdate add shop.dr.test. 20 A 198.51.100.10\n\
                       update add shop.dr.test. 20 AAAA 2001:db8:2::10";

/// A plan with one `dns` probe, its lanes, and what they read.
pub(super) struct Rig {
    plan: Arc<Plan>,
    lanes: Vec<Box<dyn Lane>>,
    readings: Readings,
    runtime: tokio::runtime::Runtime,
    took: Duration,
}

impl Rig {
    pub(super) fn new(servers: &[SocketAddr], resolvers: &[SocketAddr], more: &Value) -> Self {
        let shown = |all: &[SocketAddr]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut options = json!({
            "record": "shop.dr.test",
            "answers": { "east": ["192.0.2.10", "2001:db8:1::10"], "west": ["198.51.100.10", "2001:db8:2::10"] },
            "servers": shown(servers), "resolvers": shown(resolvers), "max_ttl": "60s",
        });
        for (key, value) in more.as_object().unwrap() {
            options[key] = value.clone();
        }
        let sites = [SiteId::new("east"), SiteId::new("west")];
        let objectives = Objectives { rpo: Span::secs(30), rto: Span::secs(300) };
        let id = ProbeId::new(&PlanId::new("shop"), "front-door");
        let (interval, timeout) = (Duration::from_secs(5), Duration::from_secs(3));
        let kind = systems::kind("dns").unwrap();
        let ctx = ReadContext {
            id: &id,
            strategy: lifeboat::plan::Strategy::WarmStandby,
            sites: &sites,
            home: &sites[0],
            objectives: &objectives,
            area: Area::Dns,
            interval,
            timeout,
        };
        let declared = (kind.read)(&ctx, options).unwrap();
        let probe = ProbeDecl {
            id,
            kind: "dns",
            area: Area::Dns,
            weight: Weight::Full,
            interval: interval.into(),
            timeout: timeout.into(),
            options: declared.options,
            lanes: declared.lanes,
        };
        let plan = Plan {
            id: PlanId::new("shop"),
            tier: 1,
            strategy: Strategy::WarmStandby,
            objectives,
            sites: sites.iter().map(|s| Site { id: s.clone(), what: SafeText::default() }).collect(),
            home: sites[0].clone(),
            here: Here::Elsewhere,
            requires: vec![Area::Dns],
            probes: vec![probe],
            contacts: vec![],
            losses: vec![],
            confirms: vec![],
            copies: Default::default(),
            runbooks: Vec::new(),
            lost_with: Vec::new(),
            practice: None,
        };
        let lanes = (kind.open)(&plan, &plan.probes[0], &Net::new());
        assert_eq!(lanes.len(), plan.probes[0].lanes.len());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Self { plan: Arc::new(plan), lanes, readings: Readings::default(), runtime, took: Duration::ZERO }
    }

    /// The plan.
    pub(super) fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// One look of every lane, and the plan's status by it.
    pub(super) fn look(&mut self) -> PlanStatus {
        let asked = clock::now();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(3);
        let all = futures_util::future::join_all(self.lanes.iter_mut().map(|l| l.look(deadline)));
        let looks: Vec<Look> = self.runtime.block_on(all);
        self.took = clock::now().since(asked);
        assert!(self.took <= Duration::from_millis(3_200), "a look took {:?}, its deadline is 3 s", self.took);
        let probe = &self.plan.probes[0];
        for (decl, look) in probe.lanes.iter().zip(looks) {
            let lane = probe.lane_id(decl);
            let mut brought: Vec<_> = look.observed.iter().map(|o| o.signal.clone()).collect();
            brought.sort();
            let mut expected = decl.expects.to_vec();
            expected.sort();
            assert_eq!(brought, expected, "every look brings every expected signal");
            let reading = |o: systems::Observed| Reading {
                key: lane.key(o.signal),
                value: o.value,
                asked,
                answered: clock::now(),
                as_of: o.as_of,
            };
            self.readings.take(&lane, asked, look.observed.into_iter().map(reading).collect());
        }
        self.status(&self.readings)
    }

    /// The plan's status by these readings.
    fn status(&self, readings: &Readings) -> PlanStatus {
        let (clocks, boot) = (HashMap::new(), SafeText::default());
        let facts = Facts {
            plan: &self.plan,
            readings,
            clocks: &clocks,
            last_active: None,
            boot: &boot,
            watching: false,
            rehearsed: &[],
        };
        judge(&self.plan, &facts, &systems::rules(), None, clock::now())
    }

    /// Looks until a finding with this code is there.
    pub(super) fn until(&mut self, code: &str) -> Finding {
        let mut found = None;
        until(&format!("finding {code}"), || {
            found = self.look().findings.into_iter().find(|f| f.code == code);
            found.is_some()
        });
        found.unwrap()
    }
}

pub(super) fn codes(status: &PlanStatus) -> Vec<String> {
    let worse = status.findings.iter().filter(|f| f.verdict != Verdict::Ready);
    worse.map(|f| format!("{} {} {}", f.verdict, f.rule, f.code)).collect()
}

/// Two authoritative servers with the same zone, and a resolver.
fn pair() -> (Bind, Bind, Unbound) {
    let (a, b) = (Bind::start(ZONE, 1, EAST), Bind::start(ZONE, 1, EAST));
    let resolver = Unbound::start(ZONE, a.addr, "");
    (a, b, resolver)
}

#[test]
fn a_healthy_front_door_is_ready() {
    let (a, b, resolver) = pair();
    let mut rig = Rig::new(&[a.addr, b.addr], &[resolver.addr], &json!({}));
    for _ in 0..3 {
        let status = rig.look();
        assert_eq!(codes(&status), Vec::<String>::new());
        assert_eq!(status.readiness, Verdict::Ready);
        assert_eq!(status.active.traffic.one(), Some(&SiteId::new("east")));
    }
    for key in rig.readings.keys() {
        let mut readings = rig.readings.clone();
        readings.forget(&key);
        assert_ne!(rig.status(&readings).readiness, Verdict::Ready, "ready without {key}");
    }
    let warm = rig.took;
    println!("warm look: {warm:?}");
    assert!(warm < Duration::from_millis(300), "a warm look is one round trip, not {warm:?}");
}

#[test]
fn one_server_stopped_degrades_and_all_stopped_is_not_ready() {
    let (a, b, resolver) = pair();
    let servers = [a.addr, b.addr];
    let mut rig = Rig::new(&servers, &[resolver.addr], &json!({}));
    assert_eq!(rig.look().readiness, Verdict::Ready);
    drop(b);
    let status = rig.look();
    assert_eq!(codes(&status), ["degraded dns.authority server-down"]);
    assert_eq!(status.readiness, Verdict::Degraded);
    drop(a);
    let found = rig.until("all-servers-down");
    assert_eq!(found.verdict, Verdict::NotReady);
}

#[test]
fn a_hung_server_is_a_timeout_and_nothing_else_waits_for_it() {
    let (a, b, resolver) = pair();
    let mut rig = Rig::new(&[a.addr, b.addr], &[resolver.addr], &json!({}));
    assert_eq!(rig.look().readiness, Verdict::Ready);
    b.hang();
    let status = rig.look();
    assert_eq!(codes(&status), ["degraded dns.authority server-timed-out"]);
    assert!(rig.took < Duration::from_millis(2_500), "{:?}", rig.took);
    a.hang();
    let status = rig.look();
    assert!(codes(&status).contains(&"not ready dns.authority all-servers-timed-out".to_owned()), "{status:#?}");
    a.resume();
    b.resume();
    assert_eq!(rig.look().readiness, Verdict::Ready);
}

#[test]
fn serials_that_differ_name_who_is_behind() {
    let (a, b) = (Bind::start(ZONE, 8, EAST), Bind::start(ZONE, 7, EAST));
    let resolver = Unbound::start(ZONE, a.addr, "");
    let mut rig = Rig::new(&[a.addr, b.addr], &[resolver.addr], &json!({}));
    let status = rig.look();
    assert_eq!(codes(&status), ["degraded dns.serials serials-differ"]);
    assert!(status.findings[0].sentence.as_str().starts_with(&b.addr.to_string()), "{}", status.findings[0].sentence);
}

#[test]
fn a_time_to_live_above_the_limit() {
    let link = "shop 20 CNAME lb\nlb 90 A 192.0.2.10\nlb 20 AAAA 2001:db8:1::10";
    let a = Bind::start(ZONE, 1, link);
    let resolver = Unbound::start(ZONE, a.addr, "");
    let mut rig = Rig::new(&[a.addr], &[resolver.addr], &json!({}));
    let found = rig.until("ttl-above-limit");
    assert_eq!(found.sentence.as_str(), "lb.dr.test A is kept for 1m30s; the limit is 1m");
    let mut rig = Rig::new(&[a.addr], &[resolver.addr], &json!({ "max_ttl": "90s" }));
    assert_eq!(rig.look().readiness, Verdict::Ready);
}

#[test]
fn nxdomain_servfail_and_refused_are_apart() {
    let empty = Bind::start(ZONE, 1, "other A 192.0.2.1");
    let resolver = Unbound::start(ZONE, empty.addr, "");
    let mut rig = Rig::new(&[empty.addr], &[resolver.addr], &json!({}));
    let found = rig.until("nxdomain");
    assert_eq!(found.verdict, Verdict::NotReady);

    let refuses = Bind::start_with(ZONE, 1, EAST, "none");
    let good = Bind::start(ZONE, 1, EAST);
    let resolver = Unbound::start(ZONE, good.addr, "");
    let mut rig = Rig::new(&[refuses.addr, good.addr], &[resolver.addr], &json!({}));
    assert_eq!(codes(&rig.look()), ["degraded dns.authority server-refuses"]);
    let mut rig = Rig::new(&[refuses.addr], &[resolver.addr], &json!({}));
    assert_eq!(rig.until("all-servers-refuse").verdict, Verdict::NotReady);

    let mut rig = Rig::new(&[good.addr], &[refuses.addr], &json!({}));
    assert_eq!(rig.until("dns-refused").verdict, Verdict::Unknown);
    // A resolver whose authority refuses answers SERVFAIL.
    let resolver = Unbound::start_blind(ZONE, refuses.addr, "");
    let mut rig = Rig::new(&[good.addr], &[resolver.addr], &json!({}));
    assert_eq!(rig.until("servfail").verdict, Verdict::Unknown);
}

#[test]
fn a_move_is_seen_at_the_servers_first_and_at_the_resolver_when_its_time_has_run_out() {
    let a = Bind::start(ZONE, 1, &EAST.replace(" 20 ", " 4 "));
    let resolver = Unbound::start(ZONE, a.addr, "");
    let mut rig = Rig::new(&[a.addr], &[resolver.addr], &json!({}));
    assert_eq!(rig.look().readiness, Verdict::Ready);
    a.update(&TO_WEST.replace(" 20 ", " 4 "));
    let found = rig.until("resolver-behind");
    assert_eq!(found.verdict, Verdict::Degraded);
    let said = found.next.unwrap().to_string();
    let left = said.strip_prefix("wait ").and_then(|t| t.split(';').next()).and_then(|t| t.parse::<Span>().ok());
    assert!(left.is_some_and(|l| l <= Span::secs(4)), "counts down: {said}");
    until("the resolver follows", || {
        let status = rig.look();
        let west = status.active.traffic.one() == Some(&SiteId::new("west"));
        west && !codes(&status).iter().any(|c| c.contains("resolver-behind"))
    });
}

#[test]
fn a_change_that_one_server_lacks() {
    let (a, b, resolver) = pair();
    let mut rig = Rig::new(&[a.addr, b.addr], &[resolver.addr], &json!({}));
    a.update(TO_WEST);
    let status = rig.look();
    assert_eq!(status.readiness, Verdict::Degraded, "{status:#?}");
    assert!(codes(&status).contains(&"degraded dns.serials serials-differ".to_owned()), "{status:#?}");
    assert!(codes(&status).contains(&"degraded dns.traffic servers-differ".to_owned()), "{status:#?}");
}

#[test]
fn only_one_family_moved() {
    let a = Bind::start(ZONE, 1, EAST);
    a.update("update delete shop.dr.test. A\nupdate add shop.dr.test. 20 A 198.51.100.10");
    let resolver = Unbound::start(ZONE, a.addr, "");
    let mut rig = Rig::new(&[a.addr], &[resolver.addr], &json!({}));
    let found = rig.until("families-differ");
    assert_eq!(found.verdict, Verdict::Degraded);
}

#[test]
fn an_expired_answer_is_recognised() {
    let a = Bind::start(ZONE, 1, &EAST.replace(" 20 ", " 1 "));
    let stale = " serve-expired: yes\n serve-expired-client-timeout: 0\n serve-expired-ttl: 0\n ede: yes\n \
                 ede-serve-expired: yes";
    let resolver = Unbound::start(ZONE, a.addr, stale);
    let mut rig = Rig::new(&[a.addr], &[resolver.addr], &json!({}));
    assert_eq!(dig(resolver.addr, "shop.dr.test", "A"), "192.0.2.10");
    assert_eq!(dig(resolver.addr, "shop.dr.test", "AAAA"), "2001:db8:1::10");
    a.hang();
    let found = rig.until("stale-answer");
    assert_eq!(found.verdict, Verdict::Degraded);
}

#[test]
fn a_resolver_that_is_gone_is_unknown_not_ready() {
    let (a, b, resolver) = pair();
    let gone = Unbound::start(ZONE, a.addr, "");
    let mut rig = Rig::new(&[a.addr, b.addr], &[resolver.addr, gone.addr], &json!({}));
    assert_eq!(rig.look().readiness, Verdict::Ready);
    drop(gone);
    let status = rig.look();
    assert_ne!(status.readiness, Verdict::NotReady);
    assert_eq!(status.active.traffic.one(), Some(&SiteId::new("east")));
}

#[test]
fn both_sites_endpoints_must_answer() {
    let a = Bind::start(ZONE, 1, "shop 20 A 127.0.0.1");
    let resolver = Unbound::start(ZONE, a.addr, "");
    let port = support::free_port();
    let more = json!({
        "answers": { "east": ["127.0.0.1"], "west": ["127.0.0.2"] },
        "endpoint": { "tls": false, "port": port },
    });
    let mut rig = Rig::new(&[a.addr], &[resolver.addr], &more);
    let east = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let status = rig.look();
    assert_eq!(codes(&status), ["not ready dns.endpoints endpoint-down"]);
    let why = status.gates.switchover.reasons();
    assert!(why.iter().any(|w| w.as_str().starts_with("nothing serves users in west")), "{:?}", status.gates);
    assert_eq!(status.findings[0].subject, Subject::site(SiteId::new("west")));
    let west = std::net::TcpListener::bind(("127.0.0.2", port)).unwrap();
    assert_eq!(rig.look().readiness, Verdict::Ready);
    drop((east, west));
}

/// Signatures are asked for, read, and held against the clock; a zone without them is judged as ever.
#[test]
fn signatures_that_expire() {
    for (end, code, verdict) in [
        ("now+10d", "signatures-hold", Verdict::Ready),
        ("now+1d", "signatures-expire", Verdict::Degraded),
        ("now-1h", "signatures-expired", Verdict::NotReady),
    ] {
        let bind = Bind::start_signed(ZONE, EAST, end);
        let unbound = Unbound::start(ZONE, bind.addr, "");
        let status = Rig::new(&[bind.addr], &[unbound.addr], &json!({})).look();
        let found = status.findings.iter().find(|f| f.rule.as_str() == "dns.signatures");
        let found = found.unwrap_or_else(|| panic!("{end}: {:?}", status.findings));
        assert_eq!((found.code.as_ref(), found.verdict, status.readiness), (code, verdict, verdict), "{found:?}");
    }
    let bind = Bind::start(ZONE, 1, EAST);
    let unbound = Unbound::start(ZONE, bind.addr, "");
    let status = Rig::new(&[bind.addr], &[unbound.addr], &json!({})).look();
    assert!(!status.findings.iter().any(|f| f.rule.as_str() == "dns.signatures"), "{:?}", status.findings);
}
