//! The board's columns.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One column of the board: a part of the service that must survive a failover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Area {
    /// Is the data there: the database's replication to the other site.
    Replication,
    /// Could it be restored: dumps, base backups, archived WAL.
    Backup,
    /// Is the other site's cluster up and able to take over.
    Standby,
    /// Are the container images there.
    Images,
    /// Can traffic be moved: records, TTLs, resolvers, both sites' endpoints.
    Dns,
}

impl Area {
    /// Every area, in the order of the board's columns.
    pub const ALL: [Self; 5] = [Self::Replication, Self::Backup, Self::Standby, Self::Images, Self::Dns];

    /// The area's name in configuration, output and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Replication => "replication",
            Self::Backup => "backup",
            Self::Standby => "standby",
            Self::Images => "images",
            Self::Dns => "dns",
        }
    }

    /// The heading of the board's column; at most seven characters.
    #[must_use]
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Replication => "REPL",
            Self::Backup => "BACKUP",
            Self::Standby => "STANDBY",
            Self::Images => "IMAGES",
            Self::Dns => "DNS",
        }
    }

    /// The area with this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.name() == name)
    }
}

impl std::fmt::Display for Area {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
