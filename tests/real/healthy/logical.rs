//! Logical replication, and queries and commands beside it.

use std::sync::atomic::AtomicBool;

use super::{World, rounds};
use crate::lab_faults::{patient, url};
use crate::pg::PgTwo;
use crate::postgres_logical::{ahead, in_step, shop, text};

/// What a worker that is away for a moment may be seen as.
const RESTART: &[&str] = &["worker-away", "slot-away", "apply-failed"];

pub fn go(over: &AtomicBool) {
    let two = PgTwo::start();
    shop(&two);
    for server in [&two.east, &two.west] {
        server.sql("GRANT SELECT ON orders TO lifeboat");
    }
    let (east, west) = (url(&two.east, "lifeboat"), url(&two.west, "lifeboat"));
    // Rows under way are no difference.
    let beside = format!(
        "[[plan.probe]]\nname = \"rows\"\nkind = \"sql-check\"\narea = \"standby\"\ninterval = \"2s\"\ntimeout = \"9s\"\nat = {{ east = \"{east}\", west = \"{west}\" }}\n\
         query = \"SELECT count(*) FROM orders\"\ntolerance = 5000\n\
         [[plan.probe]]\nname = \"port\"\nkind = \"command\"\narea = \"standby\"\ninterval = \"2s\"\ntimeout = \"9s\"\n\
         argv = [\"/usr/lib/nagios/plugins/check_tcp\", \"-H\", \"127.0.0.1\", \"-p\", \"{}\", \"-w\", \"5\", \"-c\", \"9\"]\n",
        two.east.port
    );
    let text = patient(&text(&two, "sequences = \"set-at-failover\"\n")) + &beside;
    let mut world = World::start("lab", &text);
    rounds(over, &mut world, |world, n| {
        world.quiet("load", 3, || {
            for _ in 0..8 {
                two.east.sql("INSERT INTO orders (what) SELECT 'y' FROM generate_series(1, 200)");
                two.east.sql("UPDATE orders SET what = 'z' WHERE id % 50 = 0");
            }
        });
        world.quiet("a large transaction", 3, || {
            two.east.sql("INSERT INTO orders (what) SELECT 'y' FROM generate_series(1, 4000)");
            in_step(&two);
            two.east.sql("DELETE FROM orders WHERE id > 20");
        });
        world.quiet("checkpoint and switch", 3, || {
            for server in [&two.east, &two.west] {
                server.sql("CHECKPOINT");
                server.sql("SELECT pg_switch_wal()");
            }
        });
        world.quiet("idle", 6, || ahead(&two.west));
        world.quiet("vacuum and analyze", 3, || {
            two.east.sql("VACUUM ANALYZE orders");
            two.west.sql("VACUUM ANALYZE orders");
        });
        // A worker that is stopped is started again by its launcher.
        world.event("a worker's restart", RESTART, || {
            let stopped =
                two.west.sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_subscription WHERE pid IS NOT NULL");
            assert_eq!(stopped, "1", "round {n}");
            in_step(&two);
        });
    });
}
