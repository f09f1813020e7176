//! The one message of a look against every major that is supported beside the installed one, in both roles.

use lifeboat::readiness::signals as common;
use lifeboat::readiness::{Reason, Value};
use lifeboat::systems::postgres::signals as pg;

use super::pg::PgPair;
use super::postgres_lane::{Seen, lane, lanes, look, on, with_password};

/// The packages that `tests/all.sh` installs, oldest first.
const VERSIONS: &str = include_str!("postgres_versions");

async fn is_read_whole(major: i64) {
    let version = VERSIONS.lines().find(|v| v.starts_with(&format!("{major}."))).expect("a package of this major");
    let pair =
        tokio::task::block_in_place(|| PgPair::of_package(version, "archive_mode = on\narchive_command = 'true'"));
    let mut both = lanes(serde_json::json!({
        "at": { "east": with_password(&pair.primary, "lifeboat"), "west": with_password(&pair.standby, "lifeboat") }
    }));
    let (mut west, mut east) = (both.pop().unwrap().1, both.pop().unwrap().1);
    let (primary, standby) = (look(&mut *east).await, look(&mut *west).await);
    for (seen, writable) in [(&primary, true), (&standby, false)] {
        seen.all_good();
        assert_eq!(seen.ok(&common::WRITABLE), &Value::Bool(writable));
        assert!(matches!(seen.ok(&pg::VERSION), Value::Int(v) if v / 10_000 == major), "{:?}", seen.ok(&pg::VERSION));
        assert_eq!(seen.ok(&pg::COLLATIONS) == &Value::NotApplicable, major < 15);
    }
    assert_eq!(primary.ok(&common::SYSTEM_ID), standby.ok(&common::SYSTEM_ID));
    assert_eq!(text(&primary, &pg::SENDERS, "state"), "streaming");
    assert_eq!(text(&standby, &pg::RECEIVER, "status"), "streaming");
    assert_eq!(text(&primary, &pg::ARCHIVER, "mode"), "on");
    let slot = &primary.rows(&pg::SLOTS)[0];
    assert_eq!(slot.bool("active").unwrap(), Some(true));
    assert_eq!(matches!(slot.get("failover"), Some(Value::Bool(false))), major >= 17, "{slot:?}");
    assert_eq!(standby.ok(&pg::PAUSE), &Value::text("not paused"));

    let plain = look(&mut *lane(&with_password(&pair.standby, "plain")).1).await;
    for signal in [pg::SENDERS, pg::SESSIONS, pg::SETTINGS, pg::RECEIVER] {
        assert_eq!(plain.of(&signal).as_ref().unwrap_err().reason, Reason::NoPrivilege, "{signal}");
    }

    on(&pair.standby, "SELECT pg_promote(true, 30)");
    let promoted = look(&mut *west).await;
    promoted.all_good();
    assert_eq!(promoted.ok(&common::WRITABLE), &Value::Bool(true));
    assert_eq!(promoted.ok(&common::TIMELINE), &Value::Int(2));
}

fn text(seen: &Seen, signal: &lifeboat::plan::SignalId, column: &str) -> String {
    seen.rows(signal)[0].text(column).unwrap().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_13() {
    is_read_whole(13).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_14() {
    is_read_whole(14).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_16() {
    is_read_whole(16).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_17() {
    is_read_whole(17).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_18() {
    is_read_whole(18).await;
}
