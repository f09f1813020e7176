//! Law 1 for backups in files: a healthy directory is ready, and without any one of its readings it is not.

use std::sync::Arc;
use std::time::Duration;

use lifeboat::app::{Model, Polled};
use lifeboat::net::Net;
use lifeboat::plan::{Now, Plan, SignalId};
use lifeboat::readiness::{Bound, PlanStatus, Reading, Reason, Value, Verdict};
use lifeboat::systems::{self, SYSTEMS};
use lifeboat::{clock, config};

use crate::world::tell;

/// What one look at a healthy directory brings: read once, by the real lane.
struct Healthy {
    plan: Arc<Plan>,
    values: Vec<(SignalId, Value)>,
    at: Now,
}

fn healthy(rpo: &str) -> Healthy {
    let dir = tempfile::tempdir().unwrap();
    let at = clock::now();
    let hour_ago = std::time::SystemTime::from(at.wall) - Duration::from_secs(3_600);
    for (name, text) in [("b", "-- SQL\n"), ("proof", "")] {
        std::fs::write(dir.path().join(name), text).unwrap();
        std::fs::File::open(dir.path().join(name)).unwrap().set_modified(hour_ago).unwrap();
    }
    let text = format!(
        "here = \"elsewhere\"\n[[plan]]\nname = \"p\"\ntier = 1\nstrategy = \"backup-restore\"\n\
         objectives = {{ rpo = \"{1}\", rto = \"8h\" }}\nsites = {{ east = \"home\", west = \"away\" }}\nhome = \"east\"\n\
         requires = [\"backup\"]\n[[plan.probe]]\nname = \"files\"\nkind = \"backup-files\"\nsite = \"west\"\n\
         location = \"{0}\"\npattern = \"b*\"\nmax_age = \"26h\"\ndecode = \"newest\"\nrestore_proof = \"{0}/proof\"\n",
        dir.path().display(),
        rpo
    );
    let plan = config::parse("test.toml", &text).unwrap_or_else(|e| panic!("{e}")).plans.remove(0);
    let kind = systems::kind("backup-files").unwrap();
    let mut lane = (kind.open)(&plan, &plan.probes[0], &Net::new()).remove(0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let values = runtime.block_on(async {
        loop {
            let look = lane.look(tokio::time::Instant::now() + Duration::from_secs(10)).await;
            let values: Vec<(SignalId, Value)> =
                look.observed.into_iter().map(|o| (o.signal, o.value.unwrap())).collect();
            // Until the file was read in full, which is done beside the looks.
            if format!("{values:?}").contains("\"good\"") {
                return values;
            }
            assert!(clock::now().since(at) < Duration::from_secs(30), "{values:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    Healthy { plan, values, at: clock::now() }
}

impl Healthy {
    /// What is judged of three looks, of which each reading may be changed on its way, so long after the last one.
    fn judged(&self, change: impl Fn(&mut Vec<Reading>), later: Duration) -> Arc<PlanStatus> {
        let signals = SYSTEMS.iter().flat_map(|s| s.signals);
        let mut model = Model::new(systems::rules(), signals, "this boot".into());
        model.configure(vec![Arc::clone(&self.plan)], self.at);
        let lane = self.plan.probes[0].lane_id(&self.plan.probes[0].lanes[0]);
        let mut at = self.at;
        for _ in 0..3 {
            at = at.plus(Duration::from_secs(60));
            let reading = |(signal, value): &(SignalId, Value)| Reading {
                key: lane.key(signal.clone()),
                value: Ok(value.clone()),
                asked: at,
                answered: at,
                as_of: None,
            };
            let mut readings: Vec<Reading> = self.values.iter().map(reading).collect();
            change(&mut readings);
            model.polled(Polled { lane: lane.clone(), asked: at, answered: at, readings });
            model.settle(at);
        }
        model.settle(at.plus(later));
        Arc::clone(model.status(&self.plan.id).unwrap())
    }
}

#[test]
fn no_reading_can_be_missed() {
    let world = healthy("26h");
    let status = world.judged(|_| {}, Duration::ZERO);
    assert_eq!(status.readiness, Verdict::Ready, "{}", tell(&status));
    let later = world.judged(|_| {}, Duration::from_secs(181));
    assert_eq!(later.readiness, Verdict::Unknown, "{}", tell(&later));
    for (signal, _) in &world.values {
        let without = world.judged(|r| r.retain(|r| r.key.signal != *signal), Duration::ZERO);
        assert_ne!(without.readiness, Verdict::Ready, "without {signal}: {}", tell(&without));
        for reason in Reason::ALL {
            let gap = |readings: &mut Vec<Reading>| {
                readings.iter_mut().filter(|r| r.key.signal == *signal).for_each(|r| r.value = Err((*reason).into()));
            };
            let status = world.judged(gap, Duration::ZERO);
            assert_ne!(status.readiness, Verdict::Ready, "{signal} {reason:?}: {}", tell(&status));
        }
        // A table whose rows are of another kind.
        let other = |readings: &mut Vec<Reading>| {
            let row = lifeboat::readiness::Row::default().with("name", Value::Int(7));
            readings
                .iter_mut()
                .filter(|r| r.key.signal == *signal && matches!(r.value, Ok(Value::Rows(_))))
                .for_each(|r| r.value = Ok(Value::Rows(vec![row.clone()])));
        };
        let status = world.judged(other, Duration::ZERO);
        let is_table = world.values.iter().any(|(s, v)| s == signal && matches!(v, Value::Rows(_)));
        assert_eq!(status.readiness == Verdict::Ready, !is_table, "{signal}: {}", tell(&status));
    }
}

/// Where nothing replicates, what would be lost is what was written since the newest backup was begun.
#[test]
fn the_newest_backup_bounds_the_loss() {
    let bound = |status: &PlanStatus| {
        let [exposure] = status.exposures.as_slice() else { panic!("{}", tell(status)) };
        assert_eq!(exposure.to.as_str(), "west");
        let Bound::ByContent { span } = exposure.bound else { panic!("{exposure:?}") };
        span.0.as_secs()
    };
    let within = healthy("26h").judged(|_| {}, Duration::ZERO);
    // An hour old when it was first seen, and three minutes of looks since.
    assert!((3_780..3_800).contains(&bound(&within)), "{}", bound(&within));
    let above = healthy("30m").judged(|_| {}, Duration::ZERO);
    assert_eq!(above.readiness, Verdict::NotReady);
    let finding = above.findings.iter().find(|f| f.code == "loss-above-rpo").unwrap();
    assert!(finding.next.as_ref().unwrap().as_str().starts_with("make a backup now"), "{finding:?}");
    // It grows between looks, by our own clock.
    let later = healthy("26h").judged(|_| {}, Duration::from_secs(100));
    assert!(bound(&later) >= 3_880, "{}", bound(&later));
}
