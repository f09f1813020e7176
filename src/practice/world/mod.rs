//! The practice world: two sites and what runs in them, as a model. It knows no socket, no file and no clock; time is an
//! argument, and the same seed with the same events gives the same.

pub mod cluster;
pub mod data;
pub mod dns;
pub mod endpoints;
pub mod event;
pub mod files;
pub mod hba;
pub mod network;
pub mod patroni;
pub mod registry;
pub mod rng;
pub mod roles;
pub mod server;
pub mod sessions;
pub mod settings;
pub mod time;
pub mod wal;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use self::cluster::{Cluster, NotInRecovery};
use self::event::{Event, Happened, What};
use self::network::{Network, Reach, Site};
use self::rng::Rng;
use self::server::{Process, Receiver, Server};
use self::time::{Moment, TICK, WorldClock};
use crate::plan::{Lsn, Now};

/// Where everything of the world is, as its own servers see each other.
pub const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What gives a role its password.
pub type Password = dyn Fn(&str) -> SecretString + Send + Sync;

/// How a cluster is set up.
#[derive(Clone)]
pub struct ClusterSetup {
    /// Its name.
    pub name: &'static str,
    /// Its database.
    pub database: &'static str,
    /// Its servers: name, site, and whom it follows; the primary first, upstreams before those that follow them.
    pub servers: &'static [(&'static str, Site, Option<&'static str>)],
    /// Where earlier promotions were.
    pub past: &'static [Lsn],
    /// How many sessions its applications want, by `application_name`.
    pub applications: &'static [(&'static str, usize)],
    /// How many bytes it writes in a model second.
    pub rate: u64,
    /// The password of each role.
    pub password: Arc<Password>,
}

impl fmt::Debug for ClusterSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterSetup").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How a world begins.
#[derive(Clone, Debug)]
pub struct Setup {
    /// From what everything that looks random follows.
    pub seed: u64,
    /// Model seconds in a real second.
    pub speed: f64,
    /// Its PostgreSQL clusters.
    pub clusters: Vec<ClusterSetup>,
}

/// The services, whose records move their traffic, and the cluster that each keeps its data in, where the world has that.
pub const SERVICES: [(&str, Option<&str>); 3] = [("shop", Some(ORDERS)), ("search", Some(CATALOG)), ("mail", None)];
/// The images that are deployed: repository and tag.
pub const IMAGES: [(&str, &str); 6] = [
    ("shop/api", "1.42.0"),
    ("shop/worker", "1.42.0"),
    ("shop/web", "3.7.1"),
    ("search/api", "2.9.0"),
    ("search/indexer", "2.9.0"),
    ("mail/relay", "5.1.0"),
];
/// The series of backups: what is backed up, how often in model time, and how many are kept. All are in west.
pub const BACKUPS: [(&str, Duration, usize); 3] = [("orders", NIGHT, 5), ("catalog", NIGHT, 5), ("mail", NIGHT, 7)];
/// How often a nightly backup is taken.
const NIGHT: Duration = Duration::from_secs(86_400);
/// The servers of sites that are no PostgreSQL: registries, and the endpoints that users come to.
pub const SITE_SERVERS: [(&str, Site); 4] =
    [("registry-east", Site::East), ("registry-west", Site::West), ("web-east", Site::East), ("web-west", Site::West)];
/// The DNS servers, which stand outside of both sites: the authoritative one, and the resolvers.
pub const NAME_SERVERS: [&str; 3] = ["dns", "resolver-1", "resolver-2"];

/// The cluster of the plan `payments`.
pub const ORDERS: &str = "orders";
/// The cluster that Patroni manages, of the plan `search`.
pub const CATALOG: &str = "catalog";

impl Setup {
    /// The usual world: [`ORDERS`] and [`CATALOG`].
    #[must_use]
    pub fn usual(seed: u64, speed: f64, password: Arc<Password>) -> Self {
        let orders = ClusterSetup {
            name: ORDERS,
            database: "orders",
            servers: &[
                ("orders-east-1", Site::East, None),
                ("orders-east-2", Site::East, Some("orders-east-1")),
                ("orders-west-1", Site::West, Some("orders-east-1")),
            ],
            past: &[],
            applications: &[("checkout", 8), ("worker", 3)],
            rate: 420_000,
            password: Arc::clone(&password),
        };
        let catalog = ClusterSetup {
            name: CATALOG,
            database: "catalog",
            servers: &[
                ("catalog-east-1", Site::East, None),
                ("catalog-east-2", Site::East, Some("catalog-east-1")),
                ("catalog-west-1", Site::West, Some("catalog-east-1")),
                ("catalog-west-2", Site::West, Some("catalog-west-1")),
            ],
            past: &[Lsn(0x5_0000_00A0), Lsn(0x8_2100_0148)],
            applications: &[("search", 4)],
            rate: 90_000,
            password,
        };
        Self { seed, speed, clusters: vec![orders, catalog] }
    }
}

/// One tick, as its parts see it.
#[derive(Clone, Copy, Debug)]
pub struct Tick {
    /// When it is, in real time since the world began.
    pub at: Moment,
    /// When it is, in model time since the world began.
    pub model: Duration,
    clock: WorldClock,
    lost: [bool; 2],
}

impl Tick {
    /// The tick at so many seconds of a world at its own speed, for tests.
    #[cfg(test)]
    fn test(seconds: u64) -> Self {
        let now = Now { wall: chrono::DateTime::UNIX_EPOCH, boot: crate::plan::BootTime(Duration::ZERO) };
        let model = Duration::from_secs(seconds);
        Self { at: Moment::default().plus(model), model, clock: WorldClock::new(now, 1.0), lost: [false; 2] }
    }

    /// How long so much model time takes in real time.
    #[must_use]
    pub fn real(&self, model: Duration) -> Duration {
        self.clock.real(model)
    }

    fn real_micros(&self, model: Duration) -> i64 {
        i64::try_from(self.real(model).as_micros()).unwrap_or(i64::MAX)
    }

    /// Whether a site has power.
    #[must_use]
    pub const fn powered(&self, site: Site) -> bool {
        match site {
            Site::East => !self.lost[0],
            Site::West => !self.lost[1],
        }
    }
}

/// The world.
#[derive(Clone, Debug)]
pub struct World {
    clock: WorldClock,
    seed: u64,
    /// Who reaches whom.
    pub network: Network,
    /// Sites without power.
    lost: BTreeSet<Site>,
    clusters: Vec<Cluster>,
    /// Zones and resolvers.
    pub dns: dns::Dns,
    /// Registries.
    pub registries: registry::Registries,
    /// Patroni's clusters.
    pub patroni: patroni::Patroni,
    /// Backup files.
    pub files: files::Files,
    /// Application endpoints.
    pub endpoints: endpoints::Endpoints,
    /// What is to happen, by model time and in the order in which it was said.
    script: BTreeMap<(Duration, usize), Event>,
    log: Vec<Happened>,
}

impl World {
    /// A world in good health, beginning now.
    #[must_use]
    pub fn new(setup: &Setup, now: Now) -> Self {
        let rng = Rng::new(setup.seed);
        let mut world = Self {
            clock: WorldClock::new(now, setup.speed),
            seed: setup.seed,
            network: Network::default(),
            lost: BTreeSet::new(),
            clusters: setup.clusters.iter().map(|c| Cluster::new(c, &rng)).collect(),
            dns: dns::Dns::default(),
            registries: registry::Registries::default(),
            patroni: patroni::Patroni::default(),
            files: files::Files::default(),
            endpoints: endpoints::Endpoints::default(),
            script: BTreeMap::new(),
            log: Vec::new(),
        };
        world.patroni = patroni::Patroni::of(&world.clusters);
        world.furnish();
        // The applications are connected from the beginning.
        world.tick();
        world
    }

    /// What stands around the clusters.
    fn furnish(&mut self) {
        for (service, _) in SERVICES {
            self.dns.add(service);
        }
        for (name, site) in SITE_SERVERS {
            self.endpoints.add(name, Some(site));
        }
        for name in NAME_SERVERS {
            self.endpoints.add(name, None);
        }
        for (name, tag) in IMAGES {
            self.registries.stock(name, tag, &format!("build 0 of {tag}"));
        }
        for (name, every, keep) in BACKUPS {
            self.files.add(files::Series::new(name, Site::West, every, keep));
        }
    }

    /// What everything that looks random follows from.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// Its clock.
    #[must_use]
    pub const fn clock(&self) -> &WorldClock {
        &self.clock
    }

    /// What happened so far.
    #[must_use]
    pub fn log(&self) -> &[Happened] {
        &self.log
    }

    /// Goes on to this moment: tick by tick, so that nothing depends on how often it is called.
    pub fn advance(&mut self, now: Now) {
        for _ in 0..self.clock.turn(now) {
            self.clock.tick();
            self.tick();
        }
    }

    /// Lets something happen at a moment of model time since the world began; at once where that is over.
    pub fn schedule(&mut self, at: Duration, event: Event) {
        self.script.insert((at, self.script.len().saturating_add(self.log.len())), event);
    }

    /// Lets something happen now.
    pub fn happen(&mut self, event: Event) {
        self.apply(event);
    }

    fn moment(&self) -> Tick {
        let lost = Site::ALL.map(|s| self.lost.contains(&s));
        Tick { at: self.clock.moment(), model: self.clock.model(), clock: self.clock, lost }
    }

    fn tick(&mut self) {
        let tick = self.moment();
        while let Some(entry) = self.script.first_entry().filter(|e| e.key().0 <= tick.model) {
            let event = entry.remove();
            self.apply(event);
        }
        let tick = self.moment();
        let mut said = Vec::new();
        for cluster in &mut self.clusters {
            cluster.tick(tick, &self.network, &mut said);
        }
        self.patroni.tick(tick, &mut self.clusters, &self.network);
        let answers = self.endpoints.get(NAME_SERVERS[0]).is_some_and(|e| e.process == Process::Up);
        for (service, site) in self.dns.tick(tick, answers) {
            if let Some(cluster) = SERVICES.iter().find(|(s, _)| *s == service).and_then(|(_, c)| *c) {
                self.within(cluster, |c| c.applications.site = site);
            }
            said.push(What::Traffic(service, site));
        }
        let joined = self.network.between(Site::East, Site::West) && Site::ALL.iter().all(|s| tick.powered(*s));
        self.registries.tick(tick, joined);
        self.files.tick(tick);
        for what in said {
            self.note(what);
        }
    }

    /// Writes a line into the log.
    pub(super) fn note(&mut self, what: What) {
        let (model, at) = (self.clock.model(), self.clock.moment());
        self.log.push(Happened { n: self.log.len(), model, at, what });
    }

    fn apply(&mut self, event: Event) {
        let at = self.clock.moment();
        match &event {
            Event::SiteCut(site) => self.network.cut(*site, true),
            Event::SiteHealed(site) => self.network.cut(*site, false),
            Event::SiteLost(site) => {
                self.network.cut(*site, true);
                self.lost.insert(*site);
                for server in self.clusters.iter_mut().flat_map(|c| &mut c.servers).filter(|s| s.site == *site) {
                    server.stop();
                }
            }
            Event::SiteReturns(site) => {
                self.network.cut(*site, false);
                self.lost.remove(site);
                for cluster in &mut self.clusters {
                    let names: Vec<&str> = cluster.servers.iter().filter(|s| s.site == *site).map(|s| s.name).collect();
                    for name in names {
                        cluster.start(name, at);
                    }
                }
            }
            Event::Parted => self.network.part(true),
            Event::Joined => self.network.part(false),
            Event::Stops(name) if self.turn(name, Process::Down) => {}
            Event::Starts(name) | Event::Thaws(name) if self.turn(name, Process::Up) => {}
            Event::Freezes(name) if self.turn(name, Process::Frozen) => {}
            Event::Stops(name) => self.on(name, |s| s.stop()),
            Event::Starts(name) => {
                if let Some(cluster) = self.cluster_of_mut(name) {
                    cluster.start(name, at);
                }
            }
            Event::Freezes(name) => self.on(name, |s| {
                if s.process == Process::Up {
                    s.process = Process::Frozen;
                }
            }),
            Event::Thaws(name) => self.on(name, |s| {
                if s.process == Process::Frozen {
                    s.process = Process::Up;
                }
            }),
            Event::ReceiverDies(name) => self.on(name, |s| {
                if let Some(standby) = &mut s.standby {
                    standby.receiver = Receiver::Dead;
                }
            }),
            Event::ReceiverReturns(name) => self.on(name, |s| {
                if let Some(standby) = &mut s.standby {
                    standby.receiver = Receiver::Waits(at);
                }
            }),
            Event::LinkSlows(name, rate) => self.on(name, |s| {
                if let Some(standby) = &mut s.standby {
                    standby.bandwidth = Some(*rate);
                }
            }),
            Event::LinkRecovers(name) => self.on(name, |s| {
                if let Some(standby) = &mut s.standby {
                    standby.bandwidth = None;
                }
            }),
            Event::ReplayPauses(name) => self.on(name, |s| {
                if let Some(standby) = &mut s.standby {
                    standby.paused = true;
                }
            }),
            Event::ReplayResumes(name) => self.on(name, |s| {
                if let Some(standby) = &mut s.standby {
                    standby.paused = false;
                }
            }),
            Event::DataSpoils(name) => self.within(name, |c| c.spoil(at)),
            Event::Writes(name, rate) => self.within(name, |c| c.rate = *rate),
            Event::ArchivingFails(name, fails) => self.within(name, |c| {
                for server in &mut c.servers {
                    server.archiver.fails = *fails;
                }
            }),
            Event::ApplicationsMove(name, site) => self.within(name, |c| c.applications.site = *site),
            Event::Slows(name, by) => self.endpoint(name, |e| e.slow = *by),
            Event::Fails(name, fails) => self.endpoint(name, |e| e.fails = *fails),
            Event::BackupsTruncate(name, truncates) => self.files.truncate(name, *truncates, at),
            Event::ImagePushed(name, tag) => self.registries.push(name, tag),
            Event::CopyingStalls(stalls) => self.registries.stall(*stalls),
            Event::ImageDeleted(site, name, tag) => self.registries.untag(*site, name, tag),
            Event::TtlSet(name, ttl) => self.dns.set_ttl(name, *ttl),
            Event::Pointed(name, site) => self.dns.point(name, *site),
        }
        self.note(What::Event(event));
    }

    /// Stops, freezes or starts a server that is no PostgreSQL; says whether there is one of that name.
    fn turn(&mut self, name: &str, process: Process) -> bool {
        self.endpoints.change(name, |e| e.process = process)
    }

    fn endpoint(&mut self, name: &str, change: impl FnOnce(&mut endpoints::Endpoint)) {
        self.endpoints.change(name, change);
    }

    fn on(&mut self, name: &str, act: impl FnOnce(&mut Server)) {
        if let Some(server) = self.clusters.iter_mut().find_map(|c| c.server_mut(name)) {
            act(server);
        }
    }

    fn within(&mut self, name: &str, act: impl FnOnce(&mut Cluster)) {
        if let Some(cluster) = self.clusters.iter_mut().find(|c| c.name == name) {
            act(cluster);
        }
    }

    /// The clusters.
    #[must_use]
    pub fn clusters(&self) -> &[Cluster] {
        &self.clusters
    }

    /// A cluster by name.
    #[must_use]
    pub fn cluster(&self, name: &str) -> Option<&Cluster> {
        self.clusters.iter().find(|c| c.name == name)
    }

    /// The cluster of a server, and the server.
    #[must_use]
    pub fn server(&self, name: &str) -> Option<(&Cluster, &Server)> {
        self.clusters.iter().find_map(|c| Some((c, c.server(name)?)))
    }

    /// A server, to change it.
    pub fn server_mut(&mut self, name: &str) -> Option<&mut Server> {
        self.clusters.iter_mut().find_map(|c| c.server_mut(name))
    }

    fn cluster_of_mut(&mut self, server: &str) -> Option<&mut Cluster> {
        self.clusters.iter_mut().find(|c| c.server(server).is_some())
    }

    /// How a process in a site meets whoever connects from here.
    #[must_use]
    pub fn reach(&self, site: Site, process: Process) -> Reach {
        if !self.network.reaches(site) {
            return Reach::Cut;
        }
        match process {
            Process::Up => Reach::Open,
            Process::Frozen => Reach::Hangs,
            Process::Down => Reach::Refused,
        }
    }

    /// How a PostgreSQL server meets whoever connects from here. One that is not there refuses.
    #[must_use]
    pub fn reach_of(&self, server: &str) -> Reach {
        self.server(server).map_or(Reach::Refused, |(_, s)| self.reach(s.site, s.process))
    }

    /// How a server that is no PostgreSQL meets whoever connects from here. One that is not there refuses.
    #[must_use]
    pub fn reach_of_endpoint(&self, name: &str) -> Reach {
        let Some(endpoint) = self.endpoints.get(name) else { return Reach::Refused };
        match endpoint.site {
            Some(site) if !self.powered(site) => self.reach(site, Process::Down),
            Some(site) => self.reach(site, endpoint.process),
            None => match endpoint.process {
                Process::Up => Reach::Open,
                Process::Frozen => Reach::Hangs,
                Process::Down => Reach::Refused,
            },
        }
    }

    /// Whether a service in a site serves its users: whether its applications have their sessions there. A service whose data
    /// is not in the world serves wherever its users are.
    #[must_use]
    pub fn serves(&self, service: &str, site: Site) -> bool {
        let cluster = SERVICES.iter().find(|(s, _)| *s == service).and_then(|(_, c)| *c);
        match cluster.and_then(|c| self.cluster(c)) {
            Some(cluster) => cluster.applications.site == site && cluster.applications.connected.is_some(),
            None => cluster.is_none(),
        }
    }

    /// Whether a site has power.
    #[must_use]
    pub fn powered(&self, site: Site) -> bool {
        !self.lost.contains(&site)
    }

    /// Begins the promotion of a standby, which takes a moment: see [`Server::in_recovery`].
    ///
    /// # Errors
    /// It takes writes already.
    pub fn promote(&mut self, server: &str) -> Result<(), NotInRecovery> {
        let tick = self.moment();
        self.cluster_of_mut(server).ok_or(NotInRecovery)?.promote(server, tick)
    }

    /// Makes a server a standby of another, with that one's data, and starts it: `pg_rewind`, or a base backup. Says
    /// whether it could.
    pub fn rejoin(&mut self, server: &'static str, upstream: &'static str) -> bool {
        let tick = self.moment();
        let network = self.network.clone();
        let done = self.cluster_of_mut(server).is_some_and(|c| c.rejoin(server, upstream, tick, &network));
        if done {
            self.note(What::Rejoined(server, upstream));
        }
        done
    }

    /// Commits at a server that takes writes, and leaves nothing behind: where the commit stands.
    pub fn commit(&mut self, server: &str) -> Option<Lsn> {
        let at = self.clock.moment();
        self.cluster_of_mut(server)?.commit(server, at)
    }

    /// Lets a role log in, or not, at a server that takes writes; it is replicated like everything.
    pub fn alter_login(&mut self, server: &'static str, role: &str, may: bool) -> Option<Lsn> {
        let at = self.clock.moment();
        let cluster = self.cluster_of_mut(server)?;
        let mut altered = cluster.server(server)?.catalog.role(role)?.clone();
        altered.login = may;
        let committed = cluster.alter(server, altered, at)?;
        self.note(What::Login { server, role: role.to_owned(), may });
        Some(committed)
    }

    /// Writes a row of `orders` at a server that takes writes.
    pub fn insert_order(&mut self, server: &str, customer: i64, cents: i64) -> Option<Lsn> {
        let at = self.clock.moment();
        let cluster = self.cluster_of_mut(server)?;
        let id = cluster.server(server)?.catalog.orders.last().map_or(0, |o| o.id) + 1;
        let order = data::Order { id, customer, cents, placed: at };
        cluster.log(server, wal::Change::Order(order), at)
    }

    /// Ends the segment that a server writes to: where it ended.
    pub fn switch_wal(&mut self, server: &str) -> Option<Lsn> {
        let at = self.clock.moment();
        self.cluster_of_mut(server)?.switch(server, at)
    }

    /// A server reads its `pg_hba.conf` again.
    pub fn reload(&mut self, server: &'static str) {
        self.on(server, Server::reload);
        self.note(What::Reloaded(server));
    }

    /// Ends a session of a server's, as somebody with the right to does; says whether it was there.
    pub fn end_session(&mut self, server: &'static str, pid: i32) -> bool {
        let role = self.server(server).and_then(|(_, s)| s.sessions.get(pid)).map(|s| s.role.clone());
        let Some(role) = role else { return false };
        self.server_mut(server).map(|s| s.sessions.close(pid));
        // Many at once are one line.
        let now = self.clock.moment();
        match self.log.last_mut().filter(|last| last.at == now).map(|last| &mut last.what) {
            Some(What::Ended(at, of, n)) if *at == server && *of == role => *n += 1,
            _ => self.note(What::Ended(server, role, 1)),
        }
        true
    }
}

const _: () = assert!(TICK.as_millis() == 100, "ten ticks are a second");
