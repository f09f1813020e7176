//! The guided failover end to end: real servers, a real zone, the program in a terminal, and keys alone. What it says of the
//! outage and the loss is held against what an application saw that knows nothing of it.

mod approving;
mod client;
pub mod console;
mod lab;
mod leaving;
mod outage;
mod patroni;
mod planned;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

/// Two moments are the same to everybody who was there.
const SECOND: TimeDelta = TimeDelta::seconds(1);

/// A moment of an exported run: `t0`, `recovered`.
fn moment(run: &Value, name: &str) -> DateTime<Utc> {
    let text = run["moments"][name].as_str().unwrap_or_else(|| panic!("no {name}: {:#}", run["moments"]));
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// Holds one moment against another.
fn same(what: &str, told: DateTime<Utc>, seen: DateTime<Utc>) {
    let apart = told - seen;
    println!("{what}: told {told}, seen {seen}, {} ms later", apart.num_milliseconds());
    assert!(apart.abs() <= SECOND, "{what}: told {told}, seen {seen}");
}

/// Where a step of an exported run stands.
fn state_of<'a>(run: &'a Value, step: &str) -> &'a str {
    let steps = run["steps"].as_array().unwrap();
    steps.iter().find(|s| s["name"] == step).unwrap_or_else(|| panic!("no step {step}"))["state"].as_str().unwrap()
}

/// How many entries of a kind an exported run has.
fn entries(run: &Value, kind: &str) -> usize {
    run["entries"].as_array().unwrap().iter().filter(|e| e["body"]["is"] == kind).count()
}
