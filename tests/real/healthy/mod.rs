//! What a healthy system of each kind goes through in a day, for the minutes in which nothing may turn red.

mod archives;
mod endpoints;
mod files;
mod images;
mod logical;
mod patroni;

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Scope;
use std::time::Duration;

use lifeboat::clock;
use lifeboat::plan::{LaneId, Now};
use lifeboat::readiness::{Finding, Verdict};

use crate::pg::program;
use crate::watch::{Moment, Watch, describe};

/// How long a system may take to be as it was after something happened to it, on a machine that does much else.
const SETTLES: Duration = Duration::from_secs(60);

/// One system and who watches it. Every judgement since it was first ready is held against what happens.
pub struct World {
    /// Who watches.
    pub watch: Watch,
    plan: &'static str,
    from: Now,
    judged: usize,
}

impl World {
    /// Watches this plan, and waits until it is ready.
    fn start(plan: &'static str, configuration: &str) -> Self {
        let watch = Watch::start(configuration);
        watch.until(plan, "ready at first", SETTLES, |s| s.readiness == Verdict::Ready);
        Self { watch, plan, from: clock::now(), judged: 0 }
    }

    /// Does what nobody may notice, and looks on for so many more looks of each of `lanes` lanes.
    fn quiet(&mut self, what: &str, looks: usize, act: impl FnOnce()) {
        act();
        self.looks(looks);
        for moment in self.since() {
            assert_eq!(moment.status.readiness, Verdict::Ready, "{}: {what}: {}", self.plan, describe(&moment.status));
        }
    }

    /// Does what may be noticed, as these codes and no others say, and never as proof; and it passes.
    fn event(&mut self, what: &str, explained: &[&str], act: impl FnOnce()) {
        act();
        // What follows from it may be seen a look or two later.
        self.looks(3);
        let ready = format!("ready after {what}");
        self.watch.until(self.plan, &ready, SETTLES, |s| s.readiness == Verdict::Ready);
        for moment in self.since() {
            let plain = |f: &&Finding| f.verdict != Verdict::Ready;
            let fits = |f: &Finding| f.verdict != Verdict::NotReady && explained.contains(&f.code.as_ref());
            let all = moment.status.findings.iter().filter(plain).all(fits);
            assert!(all, "{}: {what}: {}", self.plan, describe(&moment.status));
        }
    }

    /// Waits for so many more looks that begin from now on, of every lane of the plan.
    fn looks(&self, more: usize) {
        let from = clock::now();
        let plan = &self.watch.newest(self.plan).unwrap().plan;
        let lanes: Vec<LaneId> = plan.probes.iter().flat_map(|p| p.lanes.iter().map(|l| p.lane_id(l))).collect();
        self.watch.until_looks("looks of every lane", Duration::from_secs(300), |looks| {
            let since =
                |l: &&LaneId| looks.iter().filter(|p| p.lane == **l && p.asked.boot >= from.boot).count() >= more;
            lanes.iter().all(|l| since(&l))
        });
    }

    /// What was judged since it was last asked.
    fn since(&mut self) -> Vec<Moment> {
        let now = clock::now();
        let moments = self.watch.since(self.plan, self.from);
        // The newest may still stand, and is judged again then.
        self.from = moments.last().map_or(now, |m| m.at);
        self.judged += moments.len();
        moments
    }
}

/// Goes round in one world until the time is over; at least once.
fn rounds(over: &AtomicBool, world: &mut World, mut round: impl FnMut(&mut World, u32)) {
    let mut n = 0;
    while n == 0 || !over.load(Ordering::SeqCst) {
        round(world, n);
        n += 1;
    }
    println!("{}: {} judgements in {n} rounds, none false", world.plan, world.judged);
}

/// Starts every world beside the caller's.
pub fn all<'scope>(scope: &'scope Scope<'scope, '_>, over: &'scope AtomicBool) {
    scope.spawn(|| patroni::go(over));
    scope.spawn(|| logical::go(over));
    scope.spawn(|| images::go(over));
    scope.spawn(|| files::go(over));
    scope.spawn(|| archives::pgbackrest(over));
    scope.spawn(|| archives::barman(over));
    scope.spawn(|| endpoints::go(over));
}

/// Some transactions a second for so long, on a server that answers on 127.0.0.1. What it is may change meanwhile.
fn load(port: u16, seconds: u64) {
    let mut c = program("pgbench");
    c.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", "postgres", "-n", "-c", "2", "-R", "40", "-T"]);
    c.arg(seconds.to_string()).arg("postgres").stdout(Stdio::null()).stderr(Stdio::null());
    assert!(c.status().unwrap().success(), "pgbench");
}

/// The tables of pgbench.
fn tables(port: u16) {
    let mut c: Command = program("pgbench");
    c.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", "postgres", "-i", "-q", "postgres"]);
    assert!(c.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success(), "pgbench -i");
}
