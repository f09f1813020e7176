//! The practice world's servers that are no PostgreSQL, in this process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use lifeboat::clock;
use lifeboat::practice::others::{self, Secrets};
use lifeboat::practice::shared::Shared;
use lifeboat::practice::world::{Setup, World};
use secrecy::SecretString;

/// A world that goes on, and everything that listens. Dropping it ends both.
pub struct Practice {
    pub shared: Shared,
    pub servers: Vec<(&'static str, SocketAddr)>,
    pub traffic: (std::net::IpAddr, std::net::IpAddr, u16),
    pub dir: tempfile::TempDir,
    // Dropped in the background: nothing is waited for.
    runtime: Option<tokio::runtime::Runtime>,
}

/// The secret of the key that may change the zone.
pub const SECRET: &[u8] = b"practice makes a master";

impl Drop for Practice {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Practice {
    /// A world at this speed.
    pub fn start(speed: f64) -> Self {
        let setup = Setup::usual(7, speed, Arc::new(|_: &str| SecretString::from("x")));
        let shared = Shared::new(World::new(&setup, clock::now()));
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let secrets = Secrets { tsig: SECRET.to_vec().into(), patroni: None };
        let backups = dir.path().join("backups");
        let opened = runtime.block_on(others::open(&shared, &backups, &secrets)).unwrap();
        // PostgreSQL's ports are none that listen: nothing here connects to them.
        shared.with(|w| {
            for (port, server) in
                (1_u16..).zip(["catalog-east-1", "catalog-east-2", "catalog-west-1", "catalog-west-2"])
            {
                w.server_mut(server).unwrap().port = port;
            }
        });
        std::fs::write(dir.path().join("tsig"), base64::engine::general_purpose::STANDARD.encode(SECRET)).unwrap();
        for task in opened.tasks {
            runtime.spawn(async move {
                task.await.unwrap_or_else(|e| panic!("{e}"));
            });
        }
        let world = shared.clone();
        runtime.spawn(async move { world.keep_going().await });
        Self { shared, servers: opened.servers, traffic: opened.traffic, dir, runtime: Some(runtime) }
    }

    /// Where a server is.
    pub fn at(&self, name: &str) -> SocketAddr {
        self.servers.iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("no {name}")).1
    }

    /// Waits until the world is so.
    pub fn until(&self, what: &str, mut holds: impl FnMut(&mut World) -> bool) {
        let runtime = self.runtime.as_ref().unwrap();
        let wait = self.shared.until(|w| Some(()).filter(|()| holds(w)));
        let done = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), wait).await });
        assert!(done.is_ok(), "not within 60 s: {what}");
    }

    /// One plan, `shop`, that every server serves: as TOML, with these runbooks.
    pub fn plan(&self, runbooks: &str) -> String {
        let (east, west, port) = self.traffic;
        let at = |name: &str| self.at(name);
        let dir = self.dir.path().display();
        format!(
            r#"
            here = "elsewhere"
            [defaults]
            interval = "1s"
            timeout = "2s"
            [[plan]]
            name = "shop"
            tier = 1
            strategy = "warm-standby"
            objectives = {{ rpo = "5m", rto = "10m" }}
            sites = {{ east = "practice", west = "practice" }}
            home = "east"
            requires = ["standby", "backup", "images", "dns"]
            [[plan.probe]]
            name = "clusters"
            kind = "patroni"
            at = {{ east = ["http://{}", "http://{}"], west = ["http://{}", "http://{}"] }}
            [[plan.probe]]
            name = "images"
            kind = "images"
            at = {{ east = "http://{}/shop", west = "http://{}/shop" }}
            images = ["api:1.42.0", "worker:1.42.0"]
            anonymous = true
            interval = "1s"
            verify_every = "2s"
            [[plan.probe]]
            name = "front-door"
            kind = "dns"
            record = "shop.practice.example"
            answers = {{ east = ["{east}"], west = ["{west}"] }}
            resolvers = ["{}", "{}"]
            servers = ["{}"]
            max_ttl = "60s"
            endpoint = {{ port = {port}, tls = false, http = "/healthz" }}
            [[plan.probe]]
            name = "nightly"
            kind = "backup-files"
            site = "west"
            location = "{dir}/backups/orders"
            pattern = "{}"
            max_age = "26h"
            settle = "0s"
            interval = "1s"
            [[plan.probe]]
            name = "serves"
            kind = "http"
            area = "standby"
            at = {{ east = "http://{}/ready" }}
            {runbooks}
            "#,
            at("patroni-catalog-east-1"),
            at("patroni-catalog-east-2"),
            at("patroni-catalog-west-1"),
            at("patroni-catalog-west-2"),
            at("registry-east"),
            at("registry-west"),
            at("resolver-1"),
            at("resolver-2"),
            at("dns"),
            lifeboat::practice::files::pattern("orders"),
            at("web-east"),
        )
    }
}
