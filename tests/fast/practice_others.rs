//! The probes and the steps of this repository, unchanged, on the practice world's servers that are no PostgreSQL.

use std::time::Duration;

use lifeboat::practice::world::event::Event;
use lifeboat::practice::world::network::Site;
use lifeboat::readiness::{PlanStatus, Verdict};
use lifeboat::runbook::{RunbookKind, StepIx};

#[path = "../support/practice.rs"]
#[expect(dead_code, reason = "the real tests use all of it")]
mod practice;
#[path = "../support/watch.rs"]
#[expect(dead_code, reason = "the real tests use all of it")]
mod watch;

use crate::acting::Run;
use practice::Practice;
use watch::Watch;

const SOON: Duration = Duration::from_secs(20);

/// Whether the plan shows a finding of this code.
fn shows(verdict: Verdict, code: &'static str) -> impl Fn(&PlanStatus) -> bool {
    move |status| status.findings.iter().any(|f| f.verdict == verdict && f.code == code)
}

struct Stage {
    practice: Practice,
    watch: Watch,
}

impl Stage {
    fn new() -> Self {
        let practice = Practice::start(5.0);
        let watch = Watch::start(&practice.plan(""));
        watch.until_ready("shop");
        Self { practice, watch }
    }

    fn happens(&self, event: Event) {
        self.practice.shared.with(|w| w.happen(event));
    }

    fn until(&self, verdict: Verdict, code: &'static str) {
        self.watch.until("shop", code, SOON, shows(verdict, code));
    }
}

#[test]
fn a_healthy_world_is_ready_and_each_fault_of_a_server_is_seen_for_what_it_is() {
    let stage = Stage::new();
    stage.happens(Event::Stops("web-west"));
    stage.until(Verdict::NotReady, "endpoint-down");
    stage.happens(Event::Freezes("web-west"));
    stage.watch.until("shop", "a server that hangs", SOON, |s| {
        s.findings.iter().any(|f| f.rule.as_str() == "dns.endpoints" && f.verdict == Verdict::Unknown)
    });
    stage.happens(Event::Starts("web-west"));
    stage.watch.until_ready("shop");
    stage.happens(Event::Fails("web-west", true));
    stage.until(Verdict::NotReady, "endpoint-status");
    stage.happens(Event::Fails("web-west", false));
    stage.happens(Event::Stops("registry-west"));
    stage.until(Verdict::NotReady, "refused");
    stage.happens(Event::Starts("registry-west"));
    stage.happens(Event::Freezes("resolver-2"));
    stage.until(Verdict::Unknown, "timed-out");
    stage.happens(Event::Thaws("resolver-2"));
    stage.watch.until_ready("shop");
    // Some of the parts are looked at in time, or none: either way it is not known.
    stage.happens(Event::Slows("registry-west", Duration::from_secs(3)));
    stage.watch.until("shop", "a registry that is slow", SOON, |s| {
        s.findings.iter().any(|f| f.rule.as_str().starts_with("images.") && f.verdict == Verdict::Unknown)
    });
    stage.happens(Event::Slows("registry-west", Duration::ZERO));
    stage.watch.until_ready("shop");
}

#[test]
fn what_scenarios_do_to_images_backups_and_names_is_seen() {
    let stage = Stage::new();
    stage.happens(Event::CopyingStalls(true));
    stage.happens(Event::ImagePushed("shop/api", "1.42.0"));
    stage.until(Verdict::NotReady, "stale");
    stage.happens(Event::CopyingStalls(false));
    stage.watch.until_ready("shop");
    stage.happens(Event::ImageDeleted(Site::West, "shop/worker", "1.42.0"));
    stage.until(Verdict::NotReady, "missing");
    stage.happens(Event::BackupsTruncate("orders", true));
    stage.until(Verdict::Degraded, "shrunk");
    stage.happens(Event::TtlSet("shop", 3_600));
    stage.until(Verdict::NotReady, "ttl-above-rto");
    stage.happens(Event::TtlSet("shop", 120));
    stage.until(Verdict::Degraded, "ttl-above-limit");
}

#[test]
fn a_site_that_is_cut_off_is_no_proof_and_one_whose_servers_refuse_is() {
    let stage = Stage::new();
    stage.happens(Event::SiteCut(Site::West));
    stage.watch.until("shop", "west is out of reach", SOON, |s| {
        let of = |rule: &str| s.findings.iter().any(|f| f.rule.as_str() == rule && f.verdict == Verdict::Unknown);
        of("dns.endpoints") && s.readiness == Verdict::Unknown
    });
    stage.happens(Event::SiteHealed(Site::West));
    stage.watch.until_ready("shop");
    stage.happens(Event::SiteLost(Site::East));
    stage.watch.until("shop", "the primary's site is gone", SOON, |s| s.readiness != Verdict::Ready);
    stage.happens(Event::SiteReturns(Site::East));
    stage.watch.until_ready("shop");
}

/// A switchover of everything: Patroni's clusters, and the record.
fn runbook(practice: &Practice) -> String {
    format!(
        r#"
        [[plan.switchover]]
        step = "stop the east"
        kind = "patroni-demote-cluster"
        probe = "clusters"
        on = "old-active"
        standby_cluster = {{ host = "127.0.0.1", port = 3 }}
        [[plan.switchover]]
        step = "promote the west"
        kind = "patroni-promote-cluster"
        probe = "clusters"
        on = "new-active"
        [[plan.switchover]]
        step = "move traffic"
        kind = "dns-update"
        probe = "front-door"
        on = "new-active"
        via = "rfc2136"
        zone = "practice.example"
        server = "{}"
        key = {{ name = "failover", secret = {{ file = "{}" }} }}
        [[plan.switchover]]
        step = "resolvers follow"
        kind = "dns-moved"
        probe = "front-door"
        on = "new-active"
        [[plan.failover]]
        step = "another leader"
        kind = "patroni-switchover"
        probe = "clusters"
        on = "old-active"
        candidate = "catalog-east-2"
        [[plan.failover]]
        step = "hold"
        kind = "patroni-pause"
        probe = "clusters"
        on = "old-active"
        [[plan.failover]]
        step = "go on"
        kind = "patroni-resume"
        probe = "clusters"
        on = "old-active"
        "#,
        practice.at("dns"),
        practice.dir.path().join("tsig").display(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_steps_move_clusters_and_traffic() {
    let practice = tokio::task::spawn_blocking(|| Practice::start(20.0)).await.unwrap();
    let run = Run::open(&practice.plan(&runbook(&practice)), RunbookKind::Switchover, "east", "west");
    let old = practice.shared.with(|w| w.server("catalog-east-1").unwrap().1.position());
    for step in 0..4 {
        run.succeeds(StepIx(step)).await;
    }
    practice.shared.with(|w| {
        let (_, west) = w.server("catalog-west-1").unwrap();
        assert!(!west.in_recovery() && west.position() >= old);
        assert!(w.server("catalog-east-1").unwrap().1.in_recovery());
        let log: Vec<String> = w.log().iter().map(|h| h.what.to_string()).collect();
        assert!(log.iter().any(|l| l == "the users of shop go to west"), "{log:#?}");
        assert_eq!(w.log().iter().filter(|h| h.what.to_string().starts_with("the zone was changed")).count(), 1);
    });
    tokio::task::spawn_blocking(move || drop(practice)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_steps_within_a_cluster() {
    let practice = tokio::task::spawn_blocking(|| Practice::start(20.0)).await.unwrap();
    let run = Run::open(&practice.plan(&runbook(&practice)), RunbookKind::Failover, "east", "west");
    for step in 0..3 {
        run.succeeds(StepIx(step)).await;
    }
    tokio::task::spawn_blocking(move || drop(practice)).await.unwrap();
}
