//! A session that was recorded at two real servers, folded again: what was shown then is shown still.
//!
//! PostgreSQL 15, a primary `east` and its standby `west`, looked at every 5 s. The primary was frozen (SIGSTOP) after 7 s and
//! thawed 13 s later; 5 s after that the standby was stopped, and started again 7 s later. `tests/record.sh` makes it anew.

use std::path::Path;

use lifeboat::cli::replay;
use lifeboat::config::{self, Problems};
use lifeboat::store::recording::{Header, Recording};

fn plans(header: &Header) -> Result<Vec<std::sync::Arc<lifeboat::plan::Plan>>, Problems> {
    Ok(config::parse(&header.config[0].name, &header.config[0].text)?.plans.into_iter().collect())
}

#[test]
fn a_frozen_primary_and_a_restarted_standby() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/recordings/freeze-and-restart.jsonl");
    let whole = Recording::open(&path).unwrap();
    let started = whole.header.started;
    let (mut timeline, mut before) = (String::new(), String::new());
    for n in 1..=whole.events.len() {
        let events = whole.events[..n].to_vec();
        let (model, at) = replay::fold(&Recording { events, ..whole.clone() }, plans).unwrap();
        let Some(status) = model.statuses().next() else { continue };
        let worst = status.why().map_or("-", |f| f.code.as_ref());
        let now = format!("{} | {} | {worst}", status.readiness, status.situation.words());
        if now != before {
            timeline.push_str(&format!("{:>2} s  {now}\n", at.since(started).as_secs()));
        }
        before = now;
    }
    insta::assert_snapshot!(timeline, @"
     0 s  unknown | starting | never-read
     0 s  ready | normal | -
    17 s  degraded | normal | flapping
    20 s  unknown | primary unreachable | primary-unreachable
    20 s  degraded | normal | flapping
    25 s  unknown | normal | sender-missing
    26 s  not ready | normal | refused
    35 s  degraded | normal | flapping
    45 s  ready | normal | -
    ");
}
