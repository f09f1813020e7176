//! The world by itself.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::event::{Event, What};
use super::network::{Reach, Site};
use super::server::Receiver;
use super::{CATALOG, ORDERS, Setup, World};
use crate::plan::{BootTime, Now};

fn at(millis: u64) -> Now {
    let wall = chrono::DateTime::from_timestamp(1_790_000_000, 0).unwrap() + Duration::from_millis(millis);
    Now { wall, boot: BootTime(Duration::from_secs(1_000) + Duration::from_millis(millis)) }
}

fn setup(seed: u64, speed: f64) -> Setup {
    Setup::usual(seed, speed, Arc::new(|role: &str| SecretString::from(format!("{role}!"))))
}

/// What is to be the same: positions, histories, rows and the log.
fn digest(world: &World) -> String {
    let mut out = String::new();
    for cluster in world.clusters() {
        for s in &cluster.servers {
            let standby = s.standby.as_ref().map(|b| (b.received, b.replayed, b.upstream));
            out += &format!(
                "{} {} {:?} {:?} {standby:?} {}\n",
                s.name,
                s.position(),
                s.history,
                s.process,
                s.catalog.orders.len()
            );
        }
    }
    for line in world.log() {
        out += &format!("{} {:?} {}\n", line.n, line.model, line.what);
    }
    out
}

#[test]
fn a_seed_and_a_script_say_it_all_however_often_one_looks() {
    let run = |seed, steps: &[u64]| {
        let mut world = World::new(&setup(seed, 1.0), at(0));
        world.schedule(Duration::from_secs(3), Event::SiteLost(Site::East));
        world.schedule(Duration::from_secs(8), Event::SiteReturns(Site::East));
        for step in steps {
            world.advance(at(*step));
        }
        digest(&world)
    };
    let once = run(1, &[20_000]);
    assert_eq!(once, run(1, &(0..=400).map(|n| n * 50).collect::<Vec<_>>()));
    assert_ne!(once, run(2, &[20_000]));
}

#[test]
fn speed_scales_the_model_and_nothing_else() {
    let run = |speed, until| {
        let mut world = World::new(&setup(1, speed), at(0));
        world.schedule(Duration::from_secs(5), Event::ReceiverDies("orders-west-1"));
        world.advance(at(until));
        digest(&world)
    };
    assert_eq!(run(1.0, 20_000), run(10.0, 2_000));
}

#[test]
fn a_healthy_world_streams() {
    let mut world = World::new(&setup(3, 1.0), at(0));
    world.advance(at(30_000));
    for name in [ORDERS, CATALOG] {
        let cluster = world.cluster(name).unwrap();
        let primary = cluster.primary().unwrap();
        for s in cluster.servers.iter().filter(|s| s.in_recovery()) {
            let standby = s.standby.as_ref().unwrap();
            assert!(matches!(standby.receiver, Receiver::Streams { .. }), "{}", s.name);
            let behind = primary.position().ahead_of(standby.replayed).0;
            assert!(behind < cluster.rate, "{}: {behind} behind", s.name);
            assert_eq!(s.history, primary.history);
            assert!(s.catalog.orders.len() + 5 > primary.catalog.orders.len());
        }
        assert_eq!(cluster.applications.connected, Some(primary.name));
    }
    assert!(world.cluster(ORDERS).unwrap().primary().unwrap().catalog.orders.len() > 2_050);
}

#[test]
fn each_fault_is_met_from_here_as_it_is() {
    let mut world = World::new(&setup(3, 1.0), at(0));
    let west = "orders-west-1";
    for (event, reach) in [
        (Event::Freezes(west), Reach::Hangs),
        (Event::Thaws(west), Reach::Open),
        (Event::Stops(west), Reach::Refused),
        (Event::Starts(west), Reach::Open),
        (Event::SiteCut(Site::West), Reach::Cut),
        (Event::SiteHealed(Site::West), Reach::Open),
        (Event::Parted, Reach::Open),
    ] {
        world.happen(event.clone());
        assert_eq!(world.reach_of(west), reach, "{event}");
    }
}

#[test]
fn a_receiver_that_died_leaves_no_lag_to_be_seen_on_the_standby() {
    let mut world = World::new(&setup(3, 1.0), at(0));
    world.advance(at(5_000));
    world.happen(Event::ReceiverDies("orders-west-1"));
    world.advance(at(25_000));
    let (cluster, west) = world.server("orders-west-1").unwrap();
    let standby = west.standby.as_ref().unwrap();
    assert_eq!(standby.received, Some(standby.replayed));
    assert!(cluster.senders("orders-east-1").all(|(s, _)| s.name != west.name), "its primary sees it gone");
    let slot = cluster.server("orders-east-1").unwrap().slots.iter().find(|s| s.name == "orders_west_1").unwrap();
    assert!(
        cluster.primary().unwrap().position().ahead_of(slot.restart.unwrap()).0 > 1_000_000,
        "its slot keeps the log"
    );
    world.happen(Event::ReceiverReturns("orders-west-1"));
    world.advance(at(30_000));
    let (cluster, west) = world.server("orders-west-1").unwrap();
    assert!(cluster.primary().unwrap().position().ahead_of(west.position()).0 < 500_000, "it catches up");
}

#[test]
fn a_promotion_branches_and_the_old_primary_cannot_be_followed() {
    let mut world = World::new(&setup(3, 1.0), at(0));
    world.advance(at(5_000));
    world.happen(Event::Parted);
    world.advance(at(8_000));
    world.promote("orders-west-1").unwrap();
    world.advance(at(20_000));
    let cluster = world.cluster(ORDERS).unwrap();
    let (east, west) = (cluster.server("orders-east-1").unwrap(), cluster.server("orders-west-1").unwrap());
    assert!(!east.in_recovery() && !west.in_recovery(), "a split brain");
    assert_eq!((east.timeline(), west.timeline()), (1, 2));
    let lost =
        world.log().iter().find_map(|h| if let What::Promoted { lost, .. } = &h.what { Some(*lost) } else { None });
    assert!(lost.unwrap().rows > 0);
    world.happen(Event::Joined);
    assert!(world.rejoin("orders-east-1", "orders-west-1"));
    world.happen(Event::ApplicationsMove(ORDERS, Site::West));
    world.advance(at(40_000));
    let cluster = world.cluster(ORDERS).unwrap();
    let (east, west) = (cluster.server("orders-east-1").unwrap(), cluster.server("orders-west-1").unwrap());
    assert!(east.in_recovery());
    assert_eq!((east.timeline(), west.timeline()), (2, 2));
    assert_eq!(cluster.applications.connected, Some("orders-west-1"));
    assert!(west.position().ahead_of(east.position()).0 < 500_000);
    assert!(east.catalog.orders.len() + 3 > west.catalog.orders.len(), "its data are the new primary's");
}

#[test]
fn spoiled_data_are_replicated_faithfully() {
    let mut world = World::new(&setup(3, 1.0), at(0));
    world.advance(at(3_000));
    world.happen(Event::DataSpoils(ORDERS));
    world.advance(at(5_000));
    for server in &world.cluster(ORDERS).unwrap().servers {
        assert!(server.catalog.orders.iter().any(|o| o.cents < 0), "{}", server.name);
    }
}
