//! How a plan means to survive.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Area;

/// A plan's disaster recovery strategy; it says which areas must be ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Restore from backups into the other site.
    BackupRestore,
    /// The data is replicated; the rest is started when needed.
    PilotLight,
    /// The other site runs, smaller, and only has to be scaled and promoted.
    WarmStandby,
}

impl Strategy {
    /// The areas that this strategy requires.
    #[must_use]
    pub const fn requires(self) -> &'static [Area] {
        match self {
            Self::BackupRestore => &[Area::Backup, Area::Dns],
            Self::PilotLight => &[Area::Replication, Area::Backup, Area::Images, Area::Dns],
            Self::WarmStandby => &[Area::Replication, Area::Backup, Area::Standby, Area::Images, Area::Dns],
        }
    }

    /// The strategy with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::BackupRestore, Self::PilotLight, Self::WarmStandby].into_iter().find(|s| s.name() == name)
    }

    /// The strategy's name in configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BackupRestore => "backup-restore",
            Self::PilotLight => "pilot-light",
            Self::WarmStandby => "warm-standby",
        }
    }
}
