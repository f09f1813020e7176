//! pgBackRest and Barman: backups that run while we look, and log that goes on.

use std::sync::atomic::AtomicBool;

use super::{World, load, rounds, tables};
use crate::{barman, pgbackrest};

pub fn pgbackrest(over: &AtomicBool) {
    let lab = pgbackrest::Lab::start();
    lab.run(&["stanza-create"]);
    lab.run(&["--repo=1", "--type=full", "backup"]);
    lab.run(&["--repo=2", "--type=full", "backup"]);
    tables(lab.pair.primary.port);
    let text = lab.plan("main", "repos = { 1 = { site = \"east\" }, 2 = { site = \"west\" } }\nmax_wal_age = \"1m\"");
    let text = text.replace("interval = \"2s\"\ntimeout = \"15s\"", "interval = \"3s\"\ntimeout = \"60s\"");
    let mut world = World::start("main", &text);
    rounds(over, &mut world, |world, n| {
        world.quiet("load, and log that is archived", 2, || {
            load(lab.pair.primary.port, 5);
            lab.segments_written(2);
        });
        let kind = if n % 3 == 2 { "--type=full" } else { "--type=incr" };
        world.quiet("a backup in each repository", 2, || {
            std::thread::scope(|scope| {
                scope.spawn(|| load(lab.pair.primary.port, 5));
                lab.run(&["--repo=1", kind, "backup"]);
                lab.run(&["--repo=2", kind, "backup"]);
            });
        });
        world.quiet("old ones expire", 2, || {
            lab.run(&["--repo=1", "--repo1-retention-full=1", "expire"]);
            lab.run(&["--repo=2", "--repo2-retention-full=1", "expire"]);
        });
        world.quiet("idle", 4, || {});
    });
}

pub fn barman(over: &AtomicBool) {
    let lab = barman::Lab::start();
    let run = |arguments: &[&str]| crate::pg::run(&mut lab.command(arguments));
    run(&["cron"]);
    let active = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'barman' AND active";
    crate::pg::until("barman receives", || lab.pair.primary.sql(active) == "1");
    run(&["switch-wal", "--force", "--archive", "main"]);
    run(&["backup", "--wait", "main"]);
    tables(lab.pair.primary.port);
    let text =
        lab.plan("main", "").replace("interval = \"2s\"\ntimeout = \"25s\"", "interval = \"5s\"\ntimeout = \"60s\"");
    let mut world = World::start("main", &text);
    rounds(over, &mut world, |world, _| {
        world.quiet("load, and log that is received", 1, || {
            load(lab.pair.primary.port, 5);
            lab.pair.primary.sql("SELECT pg_switch_wal()");
            run(&["cron"]);
        });
        // Nobody waits for its log: the next cron brings that.
        world.quiet("a backup that waits for its log", 1, || {
            run(&["backup", "main"]);
        });
        world.quiet("and gets it", 1, || {
            lab.pair.primary.sql("SELECT pg_switch_wal()");
            run(&["cron"]);
        });
        world.quiet("idle", 2, || {
            run(&["cron"]);
        });
    });
}
