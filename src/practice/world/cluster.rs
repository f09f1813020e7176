//! A PostgreSQL cluster: a primary, its standbys, and the log that flows between them.

use std::time::Duration;

use super::data::{self, Orders};
use super::event::{Lost, What};
use super::network::{Network, Site};
use super::rng::Rng;
use super::roles::{APP, Role};
use super::server::{Catalog, Process, Receiver, Sender, Server, Slot, Standby};
use super::sessions::Session;
use super::time::{Moment, TICK};
use super::wal::{Change, History, Record};
use super::{ClusterSetup, Tick};
use crate::plan::Lsn;

/// After so long without a word a receiver gives its upstream up, and an upstream its standby (`wal_receiver_timeout`,
/// `wal_sender_timeout`), in model time.
const SILENCE: Duration = Duration::from_secs(60);
/// When a receiver tries again, in model time: what is left of `wal_retrieve_retry_interval` on average.
const RETRY: Duration = Duration::from_secs(2);
/// How long a promotion takes once everything that was received is replayed, in model time.
const PROMOTION: Duration = Duration::from_millis(1_200);
/// The most that a standby replays in a model second, in bytes.
const REPLAY: u64 = 64 * 1024 * 1024;
/// How often the applications try to connect, in model time.
const CONNECT: Duration = Duration::from_millis(700);
/// How many rows stand in `orders` before the world begins.
const ROWS: i64 = 2_000;
/// From how many records on it is worth while to look for those that are of no use.
const MANY: usize = 64;

/// The applications of a cluster: who they are, where they run, and where they have their sessions.
#[derive(Clone, Debug)]
pub struct Applications {
    /// How many sessions each wants, by `application_name`.
    pub wanted: &'static [(&'static str, usize)],
    /// Where they run: where traffic goes.
    pub site: Site,
    /// The server that they are connected to.
    pub connected: Option<&'static str>,
    /// When they try next.
    next: Moment,
}

/// A cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Its name.
    pub name: &'static str,
    /// Its database.
    pub database: &'static str,
    /// Its system identifier.
    pub system: u64,
    /// Its servers.
    pub servers: Vec<Server>,
    /// Its applications.
    pub applications: Applications,
    /// How many bytes its applications make it write in a model second.
    pub rate: u64,
    /// What was written that means something, on whichever timeline.
    records: Vec<Record>,
    rng: Rng,
}

/// Why a promotion cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotInRecovery;

impl Cluster {
    /// A cluster in good health.
    #[must_use]
    pub fn new(setup: &ClusterSetup, seed: &Rng) -> Self {
        let mut rng = seed.fork(setup.name);
        let system = 7_400_000_000_000_000_000 + rng.within(0, 1_000_000_000_000_000);
        let at = Lsn(rng.within(0x10, 0x30) << 32 | rng.within(0x1000_0000, 0xF000_0000));
        let history = History::new(setup.past);
        let roles = super::roles::usual(&*setup.password);
        let catalog = Catalog { roles, orders: Orders::new(&mut rng, ROWS) };
        let days = |n: u64| Duration::from_secs(n * 86_400 + 3_607);
        let mut servers: Vec<Server> = Vec::new();
        for (name, site, upstream) in setup.servers {
            let started = Moment::before(days(rng.within(4, 40)));
            let mut server = Server::new(name, *site, started, history.clone(), at);
            server.catalog = catalog.clone();
            if let Some(upstream) = upstream {
                // Between the sites it takes longer.
                let near = servers.iter().any(|s| s.name == *upstream && s.site == *site);
                let delay = Duration::from_millis(if near { 0 } else { 100 });
                let mut standby = Standby::new(upstream, at, delay);
                standby.received = Some(at);
                standby.replayed_commit = catalog.orders.last().map(|o| o.placed);
                standby.receiver = Receiver::Streams { since: started, heard: Moment(0) };
                standby.sender = Some(Sender { since: started, reply: Moment(0), sent: at, flushed: at, replayed: at });
                server.standby = Some(standby);
                let own = server.cluster_name();
                follow(&mut server, upstream);
                if let Some(up) = servers.iter_mut().find(|s| s.name == *upstream) {
                    up.slots.push(Slot { name: own, restart: Some(at) });
                }
            }
            server.mark(Moment(0));
            servers.push(server);
        }
        let site = servers.first().map_or(Site::East, |s| s.site);
        let applications = Applications { wanted: setup.applications, site, connected: None, next: Moment(0) };
        Self {
            name: setup.name,
            database: setup.database,
            system,
            servers,
            applications,
            rate: setup.rate,
            records: Vec::new(),
            rng,
        }
    }

    /// One of its servers.
    #[must_use]
    pub fn server(&self, name: &str) -> Option<&Server> {
        self.servers.iter().find(|s| s.name == name)
    }

    /// One of its servers.
    pub fn server_mut(&mut self, name: &str) -> Option<&mut Server> {
        self.servers.iter_mut().find(|s| s.name == name)
    }

    /// The standbys that stream from a server, as it sees them.
    pub fn senders(&self, of: &str) -> impl Iterator<Item = (&Server, Sender)> {
        let of = of.to_owned();
        self.servers.iter().filter_map(move |s| {
            let standby = s.standby.as_ref().filter(|b| b.upstream == of)?;
            Some((s, standby.sender?))
        })
    }

    /// The newest server that takes writes: of the highest timeline.
    #[must_use]
    pub fn primary(&self) -> Option<&Server> {
        self.servers.iter().filter(|s| !s.in_recovery() && s.process == Process::Up).max_by_key(|s| s.timeline())
    }

    /// One tick goes by.
    pub(super) fn tick(&mut self, tick: Tick, network: &Network, said: &mut Vec<What>) {
        self.connect(tick, network, said);
        self.write(tick);
        for at in 0..self.servers.len() {
            self.stream(at, tick, network);
            self.promoted(at, tick, said);
        }
        self.keep();
        for server in &mut self.servers {
            server.mark(tick.at);
        }
        self.forget();
    }

    /// Records that no server will replay, and none has beyond what another holds, are of no use any more.
    fn forget(&mut self) {
        if self.records.len() < MANY {
            return;
        }
        let replayed = |s: &Server| s.standby.as_ref().map_or(s.flushed, |standby| standby.replayed);
        if let Some(everywhere) = self.servers.iter().map(replayed).min() {
            self.records.retain(|r| r.at > everywhere);
        }
    }

    /// The applications look for a server that takes writes: in the site where they run, else in the other.
    fn connect(&mut self, tick: Tick, network: &Network, said: &mut Vec<What>) {
        let name = self.name;
        let site = self.applications.site;
        let runs = tick.powered(site);
        let sessions = |s: &Server| s.sessions.iter().filter(|x| !x.real && x.role == APP).count();
        // What they have is lost with the server, the way there, or whoever ended their sessions.
        if let Some(at) = self.applications.connected {
            let fine = runs
                && self.server(at).is_some_and(|s| {
                    s.process != Process::Down && network.between(site, s.site) && sessions(s) > 0 && s.site == site
                });
            if !fine {
                if let Some(server) = self.server_mut(at) {
                    let theirs: Vec<i32> =
                        server.sessions.iter().filter(|x| !x.real && x.role == APP).map(|x| x.pid).collect();
                    for pid in theirs {
                        server.sessions.close(pid);
                    }
                }
                self.applications.connected = None;
                said.push(What::Disconnected(name, at));
            }
        }
        if self.applications.connected.is_some() || !runs || tick.at < self.applications.next {
            return;
        }
        self.applications.next = tick.at.plus(tick.real(CONNECT));
        let database = self.database;
        let fits = |s: &&mut Server| {
            let may = s.catalog.role(APP).is_some_and(|r| r.login)
                && !matches!(s.rules.method(database, APP, super::LOCAL), None | Some(super::hba::Method::Reject));
            !s.in_recovery() && s.process == Process::Up && s.site == site && may
        };
        let wanted = self.applications.wanted;
        let Some(server) = self.servers.iter_mut().find(|s| fits(s)) else { return };
        for (application, count) in wanted {
            for _ in 0..*count {
                let port = u16::try_from(self.rng.within(32_768, 60_999)).unwrap_or(40_000);
                server.sessions.open(Session {
                    pid: 0,
                    role: APP.to_owned(),
                    database: database.to_owned(),
                    application: (*application).to_owned(),
                    from: (super::LOCAL, port).into(),
                    since: tick.at,
                    query: Some(("COMMIT".to_owned(), tick.at)),
                    active: false,
                    real: false,
                });
            }
        }
        self.applications.connected = Some(server.name);
        said.push(What::Connected(name, server.name));
    }

    /// The applications write where they are connected.
    fn write(&mut self, tick: Tick) {
        let Some(name) = self.applications.connected else { return };
        let per_tick = self.rate / u64::try_from(1_000 / TICK.as_millis()).unwrap_or(10);
        let bytes = per_tick * self.rng.within(60, 141) / 100;
        let orders = u64::from(self.rng.within(0, 100) < 50);
        let Some(server) = self.servers.iter_mut().find(|s| s.name == name) else { return };
        if server.process != Process::Up || server.in_recovery() {
            return;
        }
        let from = server.flushed;
        // Records are 8 bytes apart at least.
        server.flushed = Lsn((from.0 + bytes).next_multiple_of(8));
        server.archive(from, tick.at);
        for _ in 0..orders {
            let id = server.catalog.orders.last().map_or(0, |o| o.id) + 1;
            let order = data::order(&mut self.rng, id, tick.at);
            let (timeline, at) = (server.history.timeline, server.flushed);
            server.catalog.orders.push(order.clone());
            self.records.push(Record { timeline, at, committed: tick.at, change: Change::Order(order) });
        }
    }

    /// A change that somebody makes at a server that takes writes: logged, and done there. Gives where its commit stands.
    pub(super) fn log(&mut self, name: &str, change: Change, at: Moment) -> Option<Lsn> {
        let server = self.servers.iter_mut().find(|s| s.name == name && !s.in_recovery())?;
        let from = server.flushed;
        server.flushed = Lsn(from.0 + 248);
        server.archive(from, at);
        server.catalog.apply(&change);
        let record = Record { timeline: server.history.timeline, at: server.flushed, committed: at, change };
        self.records.push(record);
        Some(server.flushed)
    }

    /// A commit that leaves nothing behind.
    pub(super) fn commit(&mut self, name: &str, at: Moment) -> Option<Lsn> {
        let server = self.servers.iter_mut().find(|s| s.name == name && !s.in_recovery())?;
        let from = server.flushed;
        server.flushed = Lsn(from.0 + 120);
        server.archive(from, at);
        Some(server.flushed)
    }

    /// The segment that a server writes to ends.
    pub(super) fn switch(&mut self, name: &str, at: Moment) -> Option<Lsn> {
        let server = self.servers.iter_mut().find(|s| s.name == name && !s.in_recovery())?;
        let from = server.flushed;
        let end = Lsn(from.0.next_multiple_of(super::wal::SEGMENT));
        server.flushed = Lsn(end.0 + 56);
        server.archive(from, at);
        Some(Lsn(from.0 + 24))
    }

    /// One standby receives and replays.
    fn stream(&mut self, at: usize, tick: Tick, network: &Network) {
        let Some(server) = self.servers.get(at) else { return };
        let Some(standby) = &server.standby else { return };
        let upstream = self.servers.iter().find(|s| s.name == standby.upstream);
        let link = upstream.map_or(Link::Refused, |up| link(server, up, network));
        let stood = upstream.and_then(|up| up.stood(Moment(tick.at.0.saturating_sub(tick.real_micros(standby.delay)))));
        let newer = upstream.filter(|_| link == Link::Open).map(|up| up.history.clone());
        let records = &self.records;
        let Some(server) = self.servers.get_mut(at) else { return };
        let up = server.process == Process::Up;
        let Some(standby) = &mut server.standby else { return };
        let silence = tick.real(SILENCE);
        // The upstream's side: it sees a standby that left, and gives up one that is silent.
        if let Some(sender) = &standby.sender {
            let gone = server.process == Process::Down && link != Link::Silent;
            if gone || link == Link::Refused || tick.at.since(sender.reply) > silence {
                standby.sender = None;
            }
        }
        if !up {
            return;
        }
        match (standby.receiver, link) {
            (Receiver::Dead, _) => standby.sender = None,
            (Receiver::Streams { since, .. }, Link::Open) => {
                standby.receiver = Receiver::Streams { since, heard: tick.at };
                let held = standby.received.unwrap_or(standby.replayed);
                let stood = stood.unwrap_or(held).max(held);
                let most =
                    standby.bandwidth.map(|b| Lsn(held.0 + b / u64::try_from(1_000 / TICK.as_millis()).unwrap_or(10)));
                standby.received = Some(most.map_or(stood, |m| m.min(stood)));
            }
            (Receiver::Streams { heard, .. }, Link::Silent) => {
                if tick.at.since(heard) > silence {
                    standby.receiver = Receiver::Waits(tick.at.plus(tick.real(RETRY)));
                }
            }
            (Receiver::Streams { .. }, Link::Refused) => {
                standby.receiver = Receiver::Waits(tick.at.plus(tick.real(RETRY)));
            }
            (Receiver::Waits(until), Link::Open) if tick.at >= until => {
                standby.receiver = Receiver::Streams { since: tick.at, heard: tick.at };
                // It begins at a segment's start.
                let begins = Lsn(standby.replayed.0 / super::wal::SEGMENT * super::wal::SEGMENT);
                standby.received = Some(standby.received.unwrap_or(begins).max(begins));
                let at = standby.replayed;
                standby.sender = Some(Sender { since: tick.at, reply: tick.at, sent: at, flushed: at, replayed: at });
            }
            (Receiver::Waits(until), _) => {
                if tick.at >= until {
                    standby.receiver = Receiver::Waits(tick.at.plus(tick.real(RETRY)));
                }
            }
        }
        let held = standby.held();
        if let Some(history) = newer
            && matches!(standby.receiver, Receiver::Streams { .. })
            && history != server.history
        {
            server.history = history;
        }
        let Some(standby) = &mut server.standby else { return };
        if !standby.paused || standby.promotion.is_some() {
            let to = Lsn(standby.replayed.0 + REPLAY / 10).min(held);
            server.replay(to, records);
        }
        let Some(standby) = &mut server.standby else { return };
        if let (Some(sender), Receiver::Streams { .. }, Link::Open) = (&mut standby.sender, standby.receiver, link) {
            let flushed = standby.received.unwrap_or(standby.replayed);
            *sender = Sender {
                since: sender.since,
                reply: tick.at,
                sent: stood.unwrap_or(flushed).max(flushed),
                flushed,
                replayed: standby.replayed,
            };
        }
    }

    /// A promotion that was asked for is done once its time has come and everything received is replayed.
    fn promoted(&mut self, at: usize, tick: Tick, said: &mut Vec<What>) {
        let Some(server) = self.servers.get(at) else { return };
        let Some(standby) = &server.standby else { return };
        let due = standby.promotion.is_some_and(|done| tick.at >= done) && standby.replayed >= standby.held();
        if !due || server.process != Process::Up {
            return;
        }
        let branch = standby.replayed;
        let lost = self.lost(server, branch);
        let Some(server) = self.servers.get_mut(at) else { return };
        server.history.branch(branch);
        server.standby = None;
        server.since = tick.at;
        // The end of recovery is a record itself.
        server.flushed = Lsn(branch.0 + 112);
        server.archiver = super::server::Archiver::default();
        said.push(What::Promoted { server: server.name, timeline: server.timeline(), at: branch, lost });
    }

    /// What the writers of the timelines up to here hold beyond this position: what a promotion there loses.
    fn lost(&self, server: &Server, at: Lsn) -> Lost {
        let others = self.servers.iter().filter(|s| !s.in_recovery() && s.timeline() == server.timeline());
        let end = others.map(|s| s.flushed).max().unwrap_or(at);
        let beyond = |r: &&Record| r.timeline == server.timeline() && r.at > at && matches!(r.change, Change::Order(_));
        let rows = self.records.iter().filter(beyond).count();
        Lost { bytes: end.ahead_of(at).0, rows: u64::try_from(rows).unwrap_or(u64::MAX) }
    }

    /// Slots move on with what their standbys have flushed.
    fn keep(&mut self) {
        let seen: Vec<(&'static str, String, Lsn)> = self
            .servers
            .iter()
            .filter_map(|s| {
                let standby = s.standby.as_ref()?;
                Some((standby.upstream, s.cluster_name(), standby.sender?.flushed))
            })
            .collect();
        for (upstream, name, flushed) in seen {
            let Some(server) = self.servers.iter_mut().find(|s| s.name == upstream) else { continue };
            match server.slots.iter_mut().find(|s| s.name == name) {
                Some(slot) => slot.restart = Some(flushed),
                None => server.slots.push(Slot { name, restart: Some(flushed) }),
            }
        }
    }

    /// Begins the promotion of a standby.
    ///
    /// # Errors
    /// It takes writes already.
    pub(super) fn promote(&mut self, name: &str, tick: Tick) -> Result<(), NotInRecovery> {
        let standby = self.server_mut(name).and_then(|s| s.standby.as_mut()).ok_or(NotInRecovery)?;
        if standby.promotion.is_none() {
            standby.promotion = Some(tick.at.plus(tick.real(PROMOTION)));
            standby.receiver = Receiver::Dead;
            standby.sender = None;
        }
        Ok(())
    }

    /// A server becomes a standby of another, with that one's data: what `pg_rewind` or a base backup and a start do. It
    /// says no where the other does not run, or is the same.
    pub(super) fn rejoin(&mut self, name: &str, upstream: &'static str, tick: Tick, network: &Network) -> bool {
        let Some(from) = self.server(upstream).filter(|s| s.process == Process::Up && s.name != name).cloned() else {
            return false;
        };
        let Some(server) = self.server_mut(name).filter(|s| network.between(s.site, from.site)) else { return false };
        let at = from.position();
        let delay = Duration::from_millis(if server.site == from.site { 0 } else { 100 });
        server.stop();
        server.history = from.history.clone();
        server.catalog = from.catalog.clone();
        server.standby = Some(Standby::new(from.name, at, delay));
        server.archiver = super::server::Archiver::default();
        server.slots.clear();
        follow(server, from.name);
        server.start(tick.at, &[]);
        true
    }

    /// A server starts again.
    pub(super) fn start(&mut self, name: &str, at: Moment) {
        let records = std::mem::take(&mut self.records);
        if let Some(server) = self.server_mut(name).filter(|s| s.process == Process::Down) {
            server.start(at, &records);
        }
        self.records = records;
    }

    /// The application spoils its rows, where it is connected.
    pub(super) fn spoil(&mut self, at: Moment) {
        if let Some(name) = self.applications.connected {
            self.log(name, Change::Spoil, at);
        }
    }

    /// A role is altered.
    pub(super) fn alter(&mut self, name: &str, role: Role, at: Moment) -> Option<Lsn> {
        self.log(name, Change::Role(Box::new(role)), at)
    }
}

/// Makes a server's settings say whom it follows.
pub(super) fn follow(server: &mut Server, upstream: &str) {
    let own = server.cluster_name();
    for (name, value) in [
        (
            "primary_conninfo",
            format!("host={upstream}.practice user={} application_name={own}", super::roles::REPLICATOR),
        ),
        ("primary_slot_name", own),
    ] {
        if let Some(setting) = server.settings.get_mut(name) {
            setting.value = value;
            setting.source = "configuration file";
        }
    }
}

/// How a standby meets its upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Open,
    /// Nobody listens there, or it refuses: it has left this standby's history.
    Refused,
    /// Nothing comes back.
    Silent,
}

fn link(server: &Server, upstream: &Server, network: &Network) -> Link {
    if !network.between(server.site, upstream.site) {
        return Link::Silent;
    }
    match upstream.process {
        Process::Down => Link::Refused,
        Process::Frozen => Link::Silent,
        Process::Up if upstream.history.has(server.timeline(), server.position()) => Link::Open,
        Process::Up => Link::Refused,
    }
}
