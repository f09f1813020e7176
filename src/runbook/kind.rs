//! Kinds of runbooks, and why one is started.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a runbook is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunbookKind {
    /// Unplanned: the active site is lost, and data may be.
    Failover,
    /// Planned: nothing may be lost.
    Switchover,
    /// Back home after either.
    Failback,
    /// A rehearsal, which touches nothing that users use.
    Drill,
}

impl RunbookKind {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Failover, Self::Switchover, Self::Failback, Self::Drill];

    /// The word, as in the configuration and on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Failover => "failover",
            Self::Switchover => "switchover",
            Self::Failback => "failback",
            Self::Drill => "drill",
        }
    }

    /// The kind with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.word() == word)
    }

    /// Whether it moves what users use.
    #[must_use]
    pub const fn is_real(self) -> bool {
        match self {
            Self::Failover | Self::Switchover | Self::Failback => true,
            Self::Drill => false,
        }
    }
}

impl fmt::Display for RunbookKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Why a run is started. Replication carries bad data as faithfully as good: it is asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The active site does not serve.
    Outage,
    /// The data is wrong: a failover would carry that along.
    BadData,
    /// Nothing is wrong: a planned move.
    Planned,
    /// A rehearsal.
    Rehearsal,
}

impl Cause {
    /// The words for people.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Outage => "outage",
            Self::BadData => "bad data",
            Self::Planned => "planned",
            Self::Rehearsal => "rehearsal",
        }
    }
}
