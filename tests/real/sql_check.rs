//! `kind = "sql-check"` against real servers.

use std::time::Duration;

use lifeboat::readiness::{PlanStatus, Verdict};

use crate::lab_faults::url;
use crate::pg::PgTwo;
use crate::watch::{Watch, has};

const LIMIT: Duration = Duration::from_secs(1 + 1 + 2);

/// One plan with one probe for each `(name, at, the rest of its table)`.
fn configuration(probes: &[(&str, &str, &str)]) -> String {
    let mut text = r#"
here = "elsewhere"
[[plan]]
name       = "lab"
tier       = 1
strategy   = "warm-standby"
objectives = { rpo = "30s", rto = "5m" }
sites      = { east = "one", west = "other" }
home       = "east"
requires   = ["standby"]
"#
    .to_owned();
    for (name, at, rest) in probes {
        text += &format!(
            "[[plan.probe]]\nname = \"{name}\"\nkind = \"sql-check\"\narea = \"standby\"\ninterval = \"1s\"\ntimeout = \"1s\"\nat = {at}\n{rest}\n"
        );
    }
    text
}

fn of(s: &PlanStatus, probe: &str, site: &str) -> Vec<String> {
    let mine = s.findings.iter().filter(|f| f.probe.as_ref().is_some_and(|p| &*p.name == probe));
    let there = mine.filter(|f| f.subject.site.as_ref().is_some_and(|w| w.as_str() == site));
    there.map(|f| format!("{} {}", f.verdict, f.code)).collect()
}

#[test]
fn each_answer_is_told_exactly() {
    let two = PgTwo::start();
    for server in [&two.east, &two.west] {
        server.sql("CREATE TABLE orders (id int, what text); GRANT SELECT ON orders TO lifeboat");
        server.sql("CREATE TABLE hidden (id int)");
    }
    two.east.sql("INSERT INTO orders SELECT n, 'x' FROM generate_series(1, 10) n");
    two.west.sql("INSERT INTO orders SELECT n, 'x' FROM generate_series(1, 9) n");
    let (east, west) = (url(&two.east, "lifeboat"), url(&two.west, "lifeboat"));
    let (one, both) = (format!("{{ east = \"{east}\" }}"), format!("{{ east = \"{east}\", west = \"{west}\" }}"));
    let count = "query = \"SELECT count(*) FROM orders -- all\"";
    let probes: [(&str, &str, String); 14] = [
        ("right", &one, format!("{count}\nexpect = 10")),
        ("wrong", &one, format!("{count}\nexpect = 11")),
        ("near", &one, format!("{count}\nexpect = 12\ntolerance = 2")),
        (
            "words",
            &one,
            "query = \"SHOW wal_level\"".replace("SHOW wal_level", "SELECT current_setting('wal_level')")
                + "\nexpect = \"logical\"",
        ),
        ("type", &one, format!("{count}\nexpect = \"10\"")),
        ("null", &one, "query = \"SELECT max(id) FROM orders WHERE id > 99\"\nexpect = 1".to_owned()),
        ("none", &one, "query = \"SELECT id FROM orders WHERE id > 99\"\nexpect = 1".to_owned()),
        ("many", &one, "query = \"SELECT id FROM orders\"\nexpect = 1".to_owned()),
        ("wide", &one, "query = \"SELECT id, what FROM orders WHERE id = 1\"\nexpect = 1".to_owned()),
        ("denied", &one, "query = \"SELECT count(*) FROM hidden\"\nexpect = 0".to_owned()),
        ("writes", &one, "query = \"SELECT nextval('s')\"\nexpect = 1".to_owned()),
        ("slow", &one, "query = \"SELECT 1 FROM pg_sleep(10)\"\nexpect = 1".to_owned()),
        ("differ", &both, count.to_owned()),
        ("apart", &both, format!("{count}\ntolerance = 1")),
    ];
    two.east.sql("CREATE SEQUENCE s; GRANT USAGE ON SEQUENCE s TO lifeboat");
    let probes: Vec<(&str, &str, &str)> = probes.iter().map(|(n, a, r)| (*n, *a, r.as_str())).collect();
    let watch = Watch::start(&configuration(&probes));
    let told: [(&str, &str, &str); 14] = [
        ("right", "east", "ready as-expected"),
        ("wrong", "east", "not ready not-as-expected"),
        ("near", "east", "ready as-expected"),
        ("words", "east", "ready as-expected"),
        ("type", "east", "unknown type"),
        ("null", "east", "unknown null"),
        ("none", "east", "unknown absent"),
        ("many", "east", "unknown malformed"),
        ("wide", "east", "unknown malformed"),
        ("denied", "east", "unknown no-privilege"),
        ("writes", "east", "unknown query-failed"),
        ("slow", "east", "unknown timed-out"),
        ("differ", "west", "not ready sites-differ"),
        ("apart", "west", "ready sites-agree"),
    ];
    watch.until("lab", "each told", Duration::from_secs(20), |s| {
        told.iter().all(|(probe, site, what)| of(s, probe, site).iter().any(|f| f == what))
    });
    let status = watch.newest("lab").unwrap();
    assert_eq!(two.east.sql("SELECT is_called FROM s"), "f", "nothing was written");
    for (probe, site, what) in told.iter().filter(|(.., what)| what.starts_with("unknown")) {
        println!("{probe} {site} {what}: {}", sentence(&status, probe));
    }
    // Once the sites agree it is said; and a query that costs a look nothing more is asked on one connection.
    two.west.sql("INSERT INTO orders VALUES (10, 'x')");
    watch.until("lab", "the sites agree", LIMIT, |s| of(s, "differ", "west").contains(&"ready sites-agree".to_owned()));
    assert!(has(&watch.newest("lab").unwrap(), Verdict::NotReady, "sql-check.value", "not-as-expected"));
}

fn sentence(s: &PlanStatus, probe: &str) -> String {
    let mine = s
        .findings
        .iter()
        .find(|f| f.probe.as_ref().is_some_and(|p| &*p.name == probe) && f.verdict == Verdict::Unknown);
    mine.map(|f| format!("{} -> {}", f.sentence, f.next.clone().unwrap_or_default())).unwrap_or_default()
}
