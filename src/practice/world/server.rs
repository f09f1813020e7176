//! One PostgreSQL server of the world: what it holds, whom it follows, who is connected.

use std::collections::VecDeque;
use std::time::Duration;

use super::data::Orders;
use super::hba::{self, Rules};
use super::network::Site;
use super::roles::Role;
use super::sessions::Sessions;
use super::settings::{self, Settings};
use super::time::Moment;
use super::wal::{self, Change, History, Record};
use crate::plan::Lsn;

/// Whether a server's processes run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// They run.
    Up,
    /// They are stopped in the middle of things (`SIGSTOP`, a dead disk).
    Frozen,
    /// They are not there.
    Down,
}

/// What is in a server's database, as far as it has replayed it.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// Its roles.
    pub roles: Vec<Role>,
    /// `public.orders`.
    pub orders: Orders,
}

impl Catalog {
    /// A role by name.
    #[must_use]
    pub fn role(&self, name: &str) -> Option<&Role> {
        self.roles.iter().find(|r| r.name == name)
    }

    /// Replays a record.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Order(order) => self.orders.push(order.clone()),
            Change::Spoil => self.orders.spoil(),
            Change::Role(role) => match self.roles.iter_mut().find(|r| r.name == role.name) {
                Some(own) => own.clone_from(role),
                None => self.roles.push(Role::clone(role)),
            },
        }
    }
}

/// A standby's receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// It streams since then, and heard of its upstream last at that moment.
    Streams {
        /// When it was started.
        since: Moment,
        /// When the last message came.
        heard: Moment,
    },
    /// It tries again from this moment on.
    Waits(Moment),
    /// It died, and is not started again.
    Dead,
}

/// How a standby's upstream sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Since when it streams to it.
    pub since: Moment,
    /// When it replied last.
    pub reply: Moment,
    /// What was sent to it.
    pub sent: Lsn,
    /// What it said that it has flushed.
    pub flushed: Lsn,
    /// What it said that it has replayed.
    pub replayed: Lsn,
}

/// What makes a server a standby.
#[derive(Clone, Debug)]
pub struct Standby {
    /// Whom it follows.
    pub upstream: &'static str,
    /// Its receiver.
    pub receiver: Receiver,
    /// How its upstream sees it, while it does.
    pub sender: Option<Sender>,
    /// `pg_last_wal_receive_lsn()`: nothing before the receiver was first started.
    pub received: Option<Lsn>,
    /// `pg_last_wal_replay_lsn()`.
    pub replayed: Lsn,
    /// When what was replayed last was committed.
    pub replayed_commit: Option<Moment>,
    /// Whether replay is paused.
    pub paused: bool,
    /// How long what was written is on its way.
    pub delay: Duration,
    /// The most that it receives in a second, in bytes.
    pub bandwidth: Option<u64>,
    /// When its promotion is done, where it was asked for.
    pub promotion: Option<Moment>,
}

impl Standby {
    /// Follows `upstream`, having replayed up to here.
    #[must_use]
    pub const fn new(upstream: &'static str, replayed: Lsn, delay: Duration) -> Self {
        Self {
            upstream,
            receiver: Receiver::Waits(Moment(0)),
            sender: None,
            received: None,
            replayed,
            replayed_commit: None,
            paused: false,
            delay,
            bandwidth: None,
            promotion: None,
        }
    }

    /// Up to where it holds the log.
    #[must_use]
    pub fn held(&self) -> Lsn {
        self.received.map_or(self.replayed, |r| r.max(self.replayed))
    }
}

/// A physical slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// From where on it keeps the log; nothing before it was first used.
    pub restart: Option<Lsn>,
}

/// What the archiver did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Archiver {
    /// How many files it archived.
    pub archived: u64,
    /// The last one, and when.
    pub last: Option<(String, Moment)>,
    /// How often it failed.
    pub failed: u64,
    /// What it failed on last, and when.
    pub last_failed: Option<(String, Moment)>,
    /// Files that wait to be archived.
    pub ready: u64,
    /// Whether it fails.
    pub fails: bool,
}

/// How many recent positions a server remembers, one a tick: a minute's.
const MARKS: usize = 600;

/// A server.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its name in the world; with `-` as `_` its `cluster_name` and its slot's name.
    pub name: &'static str,
    /// Its site.
    pub site: Site,
    /// Its port on loopback, once it listens.
    pub port: u16,
    /// Whether it runs.
    pub process: Process,
    /// When its postmaster was started.
    pub started: Moment,
    /// When it last began to write, or to recover: what `walwriter` and `startup` show.
    pub since: Moment,
    /// What makes it a standby; `None` where it takes writes.
    pub standby: Option<Standby>,
    /// Up to where it has flushed its log, where it takes writes.
    pub flushed: Lsn,
    /// Its timelines.
    pub history: History,
    /// What is in it.
    pub catalog: Catalog,
    /// Its settings.
    pub settings: Settings,
    /// Its `pg_hba.conf`, and other files that a role wrote, by path.
    pub files: std::collections::BTreeMap<String, String>,
    /// What of `pg_hba.conf` counts: what was there when it was read last.
    pub rules: Rules,
    /// Who is connected.
    pub sessions: Sessions,
    /// Its slots.
    pub slots: Vec<Slot>,
    /// Its archiver.
    pub archiver: Archiver,
    /// Where it stood lately.
    marks: VecDeque<(Moment, Lsn)>,
}

/// The path of `pg_hba.conf`.
pub const HBA: &str = "/practice/pg_hba.conf";

impl Server {
    /// A server that was started at this moment and holds its log up to here.
    #[must_use]
    pub fn new(name: &'static str, site: Site, started: Moment, history: History, at: Lsn) -> Self {
        let mut settings = settings::usual();
        if let Some(setting) = settings.get_mut("cluster_name") {
            setting.value = under(name);
        }
        Self {
            name,
            site,
            port: 0,
            process: Process::Up,
            started,
            since: started,
            standby: None,
            flushed: at,
            history,
            catalog: Catalog::default(),
            settings,
            files: [(HBA.to_owned(), hba::USUAL.to_owned())].into(),
            rules: Rules::read(hba::USUAL).unwrap_or_default(),
            sessions: Sessions::new(1_200),
            slots: Vec::new(),
            archiver: Archiver::default(),
            marks: VecDeque::new(),
        }
    }

    /// Its `cluster_name`.
    #[must_use]
    pub fn cluster_name(&self) -> String {
        under(self.name)
    }

    /// Whether it is in recovery.
    #[must_use]
    pub const fn in_recovery(&self) -> bool {
        self.standby.is_some()
    }

    /// Up to where it has the log: flushed where it takes writes, else held.
    #[must_use]
    pub fn position(&self) -> Lsn {
        self.standby.as_ref().map_or(self.flushed, Standby::held)
    }

    /// Its timeline now.
    #[must_use]
    pub const fn timeline(&self) -> u32 {
        self.history.timeline
    }

    /// Reads `pg_hba.conf` again. A file with a fault leaves what counted before, as the real one does.
    pub fn reload(&mut self) {
        if let Some(Ok(rules)) = self.files.get(HBA).map(|text| Rules::read(text)) {
            self.rules = rules;
        }
    }

    /// Remembers where it stands.
    pub(super) fn mark(&mut self, at: Moment) {
        let position = self.position();
        self.marks.push_back((at, position));
        if self.marks.len() > MARKS {
            self.marks.pop_front();
        }
    }

    /// Where it stood at this moment, as far as it remembers.
    #[must_use]
    pub fn stood(&self, at: Moment) -> Option<Lsn> {
        self.marks.iter().rev().find(|(moment, _)| *moment <= at).or_else(|| self.marks.front()).map(|(_, lsn)| *lsn)
    }

    /// Stops: sessions end, and so does what streams from it or to it.
    pub(super) fn stop(&mut self) {
        self.process = Process::Down;
        self.sessions.clear();
        if let Some(standby) = &mut self.standby {
            standby.sender = None;
            standby.promotion = None;
        }
    }

    /// Starts. What a standby had received is replayed first; what it received is not known before its receiver streams.
    pub(super) fn start(&mut self, at: Moment, records: &[Record]) {
        self.process = Process::Up;
        self.started = at;
        self.since = at;
        self.marks.clear();
        self.reload();
        if let Some(standby) = &mut self.standby {
            let held = standby.held();
            standby.received = None;
            standby.paused = false;
            standby.receiver = Receiver::Waits(at);
            self.replay(held, records);
        }
    }

    /// Replays up to here: every record in between that is part of its history.
    pub(super) fn replay(&mut self, to: Lsn, records: &[Record]) {
        let Some(standby) = &mut self.standby else { return };
        let from = standby.replayed;
        if to <= from {
            return;
        }
        // Records stand in the order in which they were written, and those of other timelines among them.
        let after =
            records.iter().rposition(|r| r.at <= from && self.history.has(r.timeline, r.at)).map_or(0, |n| n + 1);
        for record in records.iter().skip(after) {
            if record.at > from && record.at <= to && self.history.has(record.timeline, record.at) {
                self.catalog.apply(&record.change);
                standby.replayed_commit = Some(record.committed);
            }
        }
        standby.replayed = to;
    }

    /// The archiver's work where the log grew from here to where it is now.
    pub(super) fn archive(&mut self, from: Lsn, at: Moment) {
        let segment = |lsn: Lsn| lsn.0 / wal::SEGMENT;
        self.archiver.ready += segment(self.flushed).saturating_sub(segment(from));
        if self.archiver.ready == 0 {
            return;
        }
        let oldest = segment(self.flushed).saturating_sub(self.archiver.ready).saturating_add(1);
        let file = |n: u64| wal::file(self.history.timeline, Lsn(n.saturating_mul(wal::SEGMENT)));
        if self.archiver.fails {
            // It tries thrice, a second apart, and then waits a minute.
            let again =
                self.archiver.last_failed.as_ref().is_none_or(|(_, last)| at.since(*last) > Duration::from_secs(60));
            if again {
                self.archiver.failed += 3;
                self.archiver.last_failed = Some((file(oldest), at));
            }
            return;
        }
        self.archiver.archived += self.archiver.ready;
        self.archiver.ready = 0;
        self.archiver.last = Some((file(segment(self.flushed)), at));
    }
}

fn under(name: &str) -> String {
    name.replace('-', "_")
}
