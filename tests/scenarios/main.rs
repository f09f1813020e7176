//! Scenarios: readings and time in; findings, verdict, situation, gates and exposure out. Pure, and fast.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![expect(clippy::cast_precision_loss, reason = "a test's numbers are small")]

#[path = "../support/traps.rs"]
mod trap_list;

mod backup_files;
mod judging;
mod law_one;
mod logical;
mod patroni;
mod properties;
mod scenario;
mod traps;
mod views;
mod world;

#[test]
fn every_scenario_is_judged_as_it_says() {
    let mut wrong = Vec::new();
    for (name, scenario) in scenario::all() {
        wrong.extend(scenario::run(&name, scenario));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
