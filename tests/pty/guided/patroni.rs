//! Patroni's standby cluster is promoted by keys.

use lifeboat::runbook::RunbookKind;

use super::console::Console;
use super::lab::LARGE;
use crate::patroni_lab::{Lab, SECRET, USER, Version};
use crate::pg::until;

#[test]
fn patronis_standby_cluster_is_promoted_by_keys() {
    let lab = Lab::start(Version::Newest);
    let ([n1, n2], [n4, n5]) = (&lab.east, &lab.west);
    n1.sql("CREATE TABLE kept (n int); INSERT INTO kept SELECT generate_series(1, 5000)");
    let has_all = |sql: &dyn Fn(&str) -> String| {
        sql("SELECT to_regclass('kept') IS NOT NULL") == "t" && sql("SELECT count(*) FROM kept") == "5000"
    };
    until("both sites have it", || has_all(&|s| n2.sql(s)) && has_all(&|s| n4.sql(s)) && has_all(&|s| n5.sql(s)));
    let dir = tempfile::tempdir().unwrap();
    let (file, secret) = (dir.path().join("lifeboat.toml"), dir.path().join("secret"));
    std::fs::write(&secret, SECRET).unwrap();
    let kind = RunbookKind::Switchover;
    let mut text = format!("state = \"{}\"\n", dir.path().join("state").display());
    text += &lab.configuration().replace("name = \"lab\"", "name = \"shop\"");
    text += &format!("act_as = {{ user = \"{USER}\", password = {{ file = \"{}\" }} }}\n", secret.display());
    let demote = format!("on = \"old-active\"\nstandby_cluster = {{ host = \"127.0.0.1\", port = {} }}", n4.pg);
    for (name, step, rest) in [
        ("demote the old site", "patroni-demote-cluster", demote.as_str()),
        ("promote the standby cluster", "patroni-promote-cluster", "on = \"new-active\""),
    ] {
        text += &super::lab::Lab::step(kind, name, step, &format!("probe = \"clusters\"\n{rest}"));
    }
    text += &super::lab::Lab::step(kind, "it runs", "wait-for", "situation = \"running\"\ndeadline = \"60s\"");
    std::fs::write(&file, text).unwrap();

    let mut console = Console::start(&file, LARGE, &[]);
    console.until("that the plan is ready", |t| t.contains("shop") && t.contains("● ready"));
    console.open(b"S");
    let typed = console.through();
    println!("typed: {typed:?}");
    assert_eq!(typed.len(), 2, "{typed:?}");
    assert!(n4.writes());
    assert_eq!(n4.sql("SELECT count(*) FROM kept"), "5000");
    until("the old site follows", || !n1.writes() && !n2.writes());
    console.see("nothing: all up to");
    console.take_note();
    console.quit();
}
