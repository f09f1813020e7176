//! A scenario upon a world.

use std::time::Duration;

use super::Scenario;
use crate::practice::shared::Shared;
use crate::practice::world::ORDERS;
use crate::practice::world::event::Event;
use crate::practice::world::network::Site;

/// Home's primary of the payments, and the standby that takes over.
const HOME: &str = "orders-east-1";
const AWAY: &str = "orders-west-1";

/// Lets a scenario begin, so much real time from now, however fast the world goes.
pub fn begin(shared: &Shared, scenario: &Scenario, lead: Duration) {
    shared.with(|world| {
        let lead = lead.mul_f64(world.clock().speed());
        let at = world.clock().model().saturating_add(lead);
        for (when, event) in scenario.from(at) {
            world.schedule(when, event);
        }
    });
}

/// Has the payments fail over to the west, and home follow them: what a failback begins with.
pub async fn away(shared: &Shared) {
    shared.with(|world| {
        world.happen(Event::Stops(HOME));
        // Only one that takes writes already cannot be promoted.
        let _takes_writes = world.promote(AWAY);
    });
    let promoted = |world: &mut crate::practice::world::World| {
        world.server(AWAY).filter(|(_, server)| !server.in_recovery()).map(drop)
    };
    shared.until(promoted).await;
    shared.with(|world| {
        world.rejoin(HOME, AWAY);
        world.dns.moved_to("shop", Site::West);
        world.happen(Event::ApplicationsMove(ORDERS, Site::West));
    });
}
