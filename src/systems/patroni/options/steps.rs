//! The options of Patroni's steps.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RestUser;
use crate::runbook::StepRole;

/// Options of `patroni-switchover`: another member of a cluster that is well becomes its leader.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SwitchoverOptions {
    /// The member that becomes leader, by its name in Patroni. Without: Patroni chooses.
    pub candidate: Option<String>,
    /// "promote" where it moves the service to the other site, in one cluster over both; else "other".
    pub role: Option<StepRole>,
    /// Who changes something, instead of the probe's `act_as`.
    pub act_as: Option<RestUser>,
}

/// Options of `patroni-failover`: a member becomes leader although the cluster has none, or none that works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailoverOptions {
    /// The member that becomes leader, by its name in Patroni.
    pub candidate: String,
    /// "promote", unless it stays in one site: then "other".
    pub role: Option<StepRole>,
    /// Who changes something, instead of the probe's `act_as`.
    pub act_as: Option<RestUser>,
}

/// Options of `patroni-demote-cluster`: a cluster takes no more writes, and follows another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DemoteOptions {
    /// Whom it follows from then on, as Patroni has it: the section `standby_cluster` of its dynamic configuration.
    pub standby_cluster: StandbyCluster,
    /// Who changes something, instead of the probe's `act_as`.
    pub act_as: Option<RestUser>,
}

/// Options of `patroni-promote-cluster`, `patroni-pause` and `patroni-resume`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlainOptions {
    /// Who changes something, instead of the probe's `act_as`.
    pub act_as: Option<RestUser>,
}

/// Patroni's section `standby_cluster` (Patroni, "Standby cluster").
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StandbyCluster {
    /// The host of the primary to follow, or several with commas between.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Its port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The replication slot to use there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_slot_name: Option<String>,
    /// The ways to build the standby leader anew, in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_replica_methods: Option<Vec<String>>,
    /// The command that fetches log from the archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore_command: Option<String>,
    /// The command that clears the standby's archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive_cleanup_command: Option<String>,
    /// How long replay waits, as PostgreSQL writes it: "5min".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_min_apply_delay: Option<String>,
}

impl StandbyCluster {
    /// Whether Patroni takes it for a section that makes a standby cluster: a host, a port or a restore command.
    #[must_use]
    pub fn counts(&self) -> bool {
        let said = |t: &Option<String>| t.as_ref().is_some_and(|t| !t.is_empty());
        said(&self.host) || self.port.is_some() || said(&self.restore_command)
    }

    /// Whom it follows, for people: `db.west:5432`.
    #[must_use]
    pub fn shown(&self) -> String {
        match (&self.host, self.port) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.clone(),
            (None, Some(port)) => format!("port {port}"),
            (None, None) => "an archive".to_owned(),
        }
    }
}
