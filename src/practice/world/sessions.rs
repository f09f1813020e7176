//! Who is connected to a server, and which advisory locks they hold.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::time::Moment;

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its process.
    pub pid: i32,
    /// Its role.
    pub role: String,
    /// Its database.
    pub database: String,
    /// `application_name`.
    pub application: String,
    /// From where.
    pub from: SocketAddr,
    /// Since when.
    pub since: Moment,
    /// What it does, or did last, and since when.
    pub query: Option<(String, Moment)>,
    /// Whether it is at it.
    pub active: bool,
    /// Whether somebody is really connected, and not an application of the world's own.
    pub real: bool,
}

/// The sessions of a server.
#[derive(Clone, Debug)]
pub struct Sessions {
    all: BTreeMap<i32, Session>,
    locks: BTreeMap<i64, i32>,
    next: i32,
}

impl Sessions {
    /// None; the first gets a process id above this one.
    #[must_use]
    pub const fn new(after: i32) -> Self {
        Self { all: BTreeMap::new(), locks: BTreeMap::new(), next: after }
    }

    /// Another one; gives its process id.
    pub fn open(&mut self, session: Session) -> i32 {
        self.next = self.next.wrapping_add(3).max(1_000);
        self.all.insert(self.next, Session { pid: self.next, ..session });
        self.next
    }

    /// It ends, and gives its locks back. Says whether it was there.
    pub fn close(&mut self, pid: i32) -> bool {
        self.locks.retain(|_, by| *by != pid);
        self.all.remove(&pid).is_some()
    }

    /// All end.
    pub fn clear(&mut self) {
        self.all.clear();
        self.locks.clear();
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, pid: i32) -> Option<&Session> {
        self.all.get(&pid)
    }

    /// One of them, to say what it does.
    pub fn get_mut(&mut self, pid: i32) -> Option<&mut Session> {
        self.all.get_mut(&pid)
    }

    /// All, by process id.
    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.all.values()
    }

    /// Takes an advisory lock for a session: whether it has it now.
    pub fn lock(&mut self, key: i64, pid: i32) -> bool {
        *self.locks.entry(key).or_insert(pid) == pid
    }

    /// Gives an advisory lock back: whether the session had it.
    pub fn unlock(&mut self, key: i64, pid: i32) -> bool {
        let had = self.locks.get(&key) == Some(&pid);
        if had {
            self.locks.remove(&key);
        }
        had
    }

    /// The advisory locks, each with who holds it.
    pub fn locks(&self) -> impl Iterator<Item = (i64, i32)> {
        self.locks.iter().map(|(key, pid)| (*key, *pid))
    }
}
