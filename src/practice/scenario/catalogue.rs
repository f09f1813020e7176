//! The scenarios.

use super::{Best, Scenario};
use crate::practice::world::ORDERS;
use crate::practice::world::event::Event::{
    BackupsTruncate, CopyingStalls, DataSpoils, ImagePushed, LinkRecovers, LinkSlows, ReceiverDies, SiteCut,
    SiteHealed, SiteLost, TtlSet,
};
use crate::practice::world::network::Site::East;
use crate::runbook::RunbookKind;

/// The server that takes over the payments.
const STANDBY: &str = "orders-west-1";

/// One that begins at home, in good health, and lets every runner live.
const fn scenario(name: &'static str, sentence: &'static str, commander: &'static str) -> Scenario {
    Scenario {
        name,
        sentence,
        plan: "payments",
        commander,
        best: Best::NoRun,
        script: &[],
        away: false,
        interrupts: false,
    }
}

/// Every scenario, the quietest first.
pub static SCENARIOS: &[Scenario] = &[
    Scenario {
        best: Best::Run(RunbookKind::Switchover),
        ..scenario(
            "healthy",
            "Three plans on a quiet morning, and nothing happens.",
            "reads what each plan could lose and how long it would take, and practises a switchover while nothing burns.",
        )
    },
    Scenario {
        script: &[(0, LinkSlows(STANDBY, 60_000)), (240_000, LinkRecovers(STANDBY))],
        ..scenario(
            "lag-spike",
            "The line to the west fills up: the standby falls behind, and what a failover would lose grows.",
            "does not fail over, since the primary is well and all of the lag would be lost; finds what fills the line, and \
             sees the loss shrink again.",
        )
    },
    Scenario {
        plan: "mail",
        script: &[(0, BackupsTruncate("mail", true))],
        ..scenario(
            "backup-silently-truncated",
            "The newest dump of the mail is there on time, and half of it is missing.",
            "does not believe a backup because it is there: it is half as large as the one before. Has another one made \
             now, and asks why nothing failed.",
        )
    },
    Scenario {
        script: &[(0, ReceiverDies(STANDBY))],
        ..scenario(
            "false-green",
            "The standby's receiver dies with all that was received replayed: received and replayed are equal, and nothing \
             arrives any more.",
            "trusts the stream and not equal positions: nothing streams to the west, and each second without it would be \
             lost. Has the receiver started again before anything else.",
        )
    },
    Scenario {
        script: &[(0, CopyingStalls(true)), (1_000, ImagePushed("shop/api", "1.42.0"))],
        ..scenario(
            "images-behind",
            "A release goes to the registry of the east alone: the west could not start what is running.",
            "has the image copied now, while both registries answer: after a loss of the east it could not be had anywhere.",
        )
    },
    Scenario {
        script: &[(0, TtlSet("shop", 3_600))],
        ..scenario(
            "dns-ttl-too-high",
            "Somebody raises the time to live of the record that moves traffic to an hour.",
            "has it lowered now: for as long as the old one is kept, users would stay with a site that is lost.",
        )
    },
    Scenario {
        best: Best::Run(RunbookKind::Failover),
        script: &[(0, SiteLost(East))],
        ..scenario(
            "region-loss",
            "The east loses its power: every process in it ends, and nobody reaches it.",
            "sees that the east is gone and not merely slow, makes sure by another way that it is down, accepts the loss \
             that is shown, and fails over to the west.",
        )
    },
    Scenario {
        script: &[(0, SiteCut(East)), (300_000, SiteHealed(East))],
        ..scenario(
            "network-partition",
            "The east is cut off and lives on: its applications go on writing there, and nobody sees it from outside.",
            "takes silence for no proof: asks somebody at the east before promoting the west, or waits for the line. Who \
             promotes all the same fences the old primary the moment it is back.",
        )
    },
    Scenario {
        best: Best::Run(RunbookKind::Failover),
        script: &[(0, SiteLost(East))],
        interrupts: true,
        ..scenario(
            "failover-interrupted",
            "The east is lost, and the runner of the failover dies in the middle of the promotion.",
            "does nothing twice: starts another runner, lets it look at what was done, and goes on from there.",
        )
    },
    Scenario {
        script: &[(0, DataSpoils(ORDERS))],
        ..scenario(
            "bad-data",
            "A release of the application spoils its own rows, and every standby replicates that faithfully.",
            "does not fail over: the other site has the same rows. Stops what writes them, and restores from before the \
             mistake.",
        )
    },
    Scenario {
        best: Best::Run(RunbookKind::Failback),
        away: true,
        ..scenario(
            "failback",
            "The payments run in the west since an outage, and the east is back as a standby: time to go home.",
            "waits until the way back would lose nothing, and goes home by the failback in a quiet hour.",
        )
    },
];
