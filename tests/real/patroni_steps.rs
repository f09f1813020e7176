//! Patroni's steps on real clusters: what they show, what they send, and what they see afterwards.

use std::path::Path;
use std::time::Duration;

use lifeboat::clock;
use lifeboat::runbook::{Acted, Held, Outcome, Refusal, RunbookKind, Strength};
use serde_json::json;

use crate::acting::{Ended, Run, condition, failing, within};
use crate::patroni_lab::{Lab, Member, SECRET, USER, Version, http};
use crate::pg::until;

const LIMIT: Duration = Duration::from_secs(120);

/// A password in a file of its own.
fn password(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

/// A run of this kind with these steps: name, kind, and what else they say.
fn run(lab: &Lab, kind: RunbookKind, secret: &Path, ends: (&str, &str), steps: &[(&str, &str, &str)]) -> Run {
    let mut text = lab.configuration();
    text += &format!("act_as = {{ user = \"{USER}\", password = {{ file = \"{}\" }} }}\n", secret.display());
    for (name, step, more) in steps {
        let head = format!("[[plan.{kind}]]\nstep = \"{name}\"\nkind = \"{step}\"\n");
        let probe = if step.starts_with("patroni") { "probe = \"clusters\"\n" } else { "" };
        text += &format!("{head}{probe}{more}\n");
    }
    Run::open(&text, kind, ends.0, ends.1)
}

/// A look at the end, without which a runbook is refused.
const LOOK: (&str, &str, &str) = ("look", "wait-for", "area = \"standby\"");

fn report(what: &str, ended: &Ended) {
    println!("{what}: {:?}: {:?}; {} {:?}", ended.outcome, ended.acted, ended.seen.why, ended.seen.left);
}

fn succeeded(what: &str, ended: &Ended) {
    report(what, ended);
    assert_eq!(ended.outcome, Outcome::Succeeded, "{what}");
}

/// The member that leads by the word of another one, and a replica that has everything.
fn settled(asked: &Member, leader: &str) {
    until(&format!("{leader} leads and is followed"), || {
        let cluster = asked.get("/cluster");
        cluster.as_ref().and_then(|c| c["members"].as_array()).is_some_and(|all| {
            all.iter().any(|m| m["name"] == leader && m["role"] == "leader" && m["state"] == "running")
                && all.len() == 2
                && all.iter().any(|m| m["role"] != "leader" && m["lag"] == 0)
        })
    });
}

async fn moves_its_leader(lab: &Lab) {
    let [n1, n2] = &lab.east;
    let (right, wrong) = (password(SECRET), password("a wrong one"));
    let to_n2 = [("switch", "patroni-switchover", "on = \"old-active\"\ncandidate = \"n2\"")];
    let ends = ("east", "west");
    settled(n1, "n1");

    // A wrong password, a wrong member.
    let bad = run(lab, RunbookKind::Switchover, wrong.path(), ends, &to_n2);
    let ended = bad.step(0).carry_out(LIMIT).await;
    report("wrong password", &ended);
    assert_eq!(ended.outcome, Outcome::Failed);
    assert!(matches!(&ended.acted, Some(Acted::Refused { said }) if said.as_str().starts_with("HTTP 401")));
    assert!(ended.seen.why.as_str().contains("n1 leads"), "{}", ended.seen.why);
    assert!(!bad.journaled().contains("a wrong one"));
    let nobody = [("switch", "patroni-switchover", "on = \"old-active\"\ncandidate = \"n9\"")];
    let blocked = run(lab, RunbookKind::Switchover, right.path(), ends, &nobody).step(0).approve().await;
    assert!(matches!(&blocked, Err(Refusal::Blocked(why)) if why.as_str().contains("no member n9")), "{blocked:?}");

    // Somebody else was quicker: Patroni compares, and says no.
    let raced = run(lab, RunbookKind::Switchover, right.path(), ends, &to_n2);
    let mut step = raced.step(0);
    let ended = step
        .carry_out_after(LIMIT, || {
            let body = json!({ "leader": "n1", "candidate": "n2" });
            assert_eq!(http(n1.rest, "POST", "/switchover", Some(&body)).map(|a| a.0), Some(200));
        })
        .await;
    report("raced", &ended);
    assert!(
        matches!(&ended.acted, Some(Acted::Refused { said }) if said.as_str().contains("leader name does not match"))
    );
    settled(n1, "n2");
    // What it was for is there: by looking it succeeded.
    assert_eq!(step.look().await.held, Held::Holds);

    // There already: nothing is done.
    let again = run(lab, RunbookKind::Switchover, right.path(), ends, &to_n2);
    let mut step = again.step(0);
    assert_eq!(step.approve().await.unwrap().already, Held::Holds);
    assert!(step.act(within(10)).await.is_none());
    assert!(again.journaled().contains("already-true"));

    // The way it is meant, back.
    let to_n1 = [("switch", "patroni-switchover", "on = \"old-active\"\ncandidate = \"n1\"")];
    let back = run(lab, RunbookKind::Switchover, right.path(), ends, &to_n1);
    let mut step = back.step(0);
    let shown = step.preview().await;
    assert_eq!((failing(&shown), shown.challenge.as_str()), (Vec::<&str>::new(), "prod n1"));
    assert!(shown.actions[0].as_str().contains("/switchover {\"leader\":\"n2\",\"candidate\":\"n1\"}"), "{shown:#?}");
    assert_eq!(shown.target.as_str(), format!("127.0.0.1:{}", n2.rest));
    let begun = clock::now();
    succeeded("switchover", &step.carry_out(LIMIT).await);
    println!("a switchover took {:?}", clock::now().since(begun));
    assert!(n1.writes());
    assert!(!back.journaled().contains(SECRET));
    settled(n2, "n1");
    assert!(!n2.writes());

    // Maintenance mode: a switchover to anybody is not possible, and that is known before.
    let modes = [
        ("pause", "patroni-pause", "on = \"old-active\""),
        ("switch", "patroni-switchover", "on = \"old-active\""),
        ("resume", "patroni-resume", "on = \"old-active\""),
    ];
    let paused = run(lab, RunbookKind::Switchover, right.path(), ends, &modes);
    succeeded("pause", &paused.step(0).carry_out(LIMIT).await);
    assert_eq!(n1.get("/cluster").unwrap()["pause"], true);
    let blocked = paused.step(1).approve().await;
    assert!(matches!(&blocked, Err(Refusal::Blocked(why)) if why.as_str().contains("maintenance mode")), "{blocked:?}");
    paused
        .command(lifeboat::runbook::Command::Skip { step: lifeboat::runbook::StepIx(1), reason: "x".into() })
        .unwrap();
    succeeded("resume", &paused.step(2).carry_out(LIMIT).await);
    assert!(n1.get("/cluster").unwrap()["pause"].is_null());
}

/// The leader's Patroni hangs when it is asked: nobody knows, until somebody looks.
async fn hangs(lab: &Lab) {
    let [n1, n2] = &lab.east;
    let right = password(SECRET);
    let to_n2 = [("switch", "patroni-switchover", "on = \"old-active\"\ncandidate = \"n2\"")];
    let hung = run(lab, RunbookKind::Switchover, right.path(), ("east", "west"), &to_n2);
    let mut step = hung.step(0);
    step.approve().await.unwrap();
    let begun = clock::now();
    let acted = step.act_after(within(12), || n1.signal("STOP")).await.unwrap();
    let took = clock::now().since(begun);
    println!("hung: {acted:?} after {took:?}");
    assert!(matches!(acted, Acted::Unclear { .. }), "{acted:?}");
    assert!(took < Duration::from_secs(12), "{took:?}");
    let seen = step.look().await;
    assert!(seen.held != Held::Holds && seen.why.as_str().contains("n1 leads"), "{seen:?}");
    // Its lock runs out, and n2 takes it; the old one takes writes still, and nobody can see it.
    until("n2 leads", || {
        n2.get("/cluster").is_some_and(|c| {
            c["members"].as_array().unwrap().iter().any(|m| m["name"] == "n2" && m["role"] == "leader")
        })
    });
    until("n2 writes", || n2.writes());
    let seen = step.look().await;
    println!("split: {seen:?}");
    assert_eq!(seen.held, Held::Unknown, "{seen:?}");
    assert!(seen.why.as_str().contains("n1 does not answer: nobody knows whether it still takes writes"), "{seen:?}");
    assert!(n1.writes(), "two take writes");
    n1.signal("CONT");
    let seen = step.observe(within(40)).await;
    println!("afterwards: {seen:?}");
    assert_eq!(seen.held, Held::Holds, "{seen:?}");
    settled(n2, "n2");
}

/// Without a leader, in maintenance mode, nobody takes over by itself.
async fn without_leader(lab: &Lab) {
    let [n1, n2] = &lab.east;
    let right = password(SECRET);
    let steps = [("lead", "patroni-failover", "on = \"old-active\"\ncandidate = \"n1\"\nbecause = \"one site\""), LOOK];
    let leader_lives = run(lab, RunbookKind::Failover, right.path(), ("east", "west"), &steps);
    let shown = leader_lives.step(0).preview().await;
    assert_eq!(condition(&shown, "no-leader").held, Held::Fails, "{shown:#?}");
    n1.patch(json!({ "pause": true }));
    until("n2 has taken it in", || n2.get("/patroni").is_some_and(|p| p["pause"] == true));
    n2.kill();
    until("nobody leads", || {
        n1.get("/cluster").is_some_and(|c| c["members"].as_array().unwrap().iter().all(|m| m["role"] != "leader"))
    });
    let failover = run(lab, RunbookKind::Failover, right.path(), ("east", "west"), &steps);
    let mut step = failover.step(0);
    let shown = step.preview().await;
    assert_eq!(failing(&shown), Vec::<&str>::new(), "{shown:#?}");
    assert!(condition(&shown, "most-advanced").why.as_str().contains("what"), "{shown:#?}");
    succeeded("failover", &step.carry_out(LIMIT).await);
    assert!(n1.writes());
    n1.patch(json!({ "pause": null }));
    n2.start();
    settled(n1, "n1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patroni_4_moves_its_leader() {
    let lab = Lab::start(Version::Newest);
    moves_its_leader(&lab).await;
    hangs(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patroni_4_fails_over_without_a_leader() {
    let lab = Lab::start(Version::Newest);
    settled(&lab.east[0], "n1");
    let ends = ("east", "west");
    let right = password(SECRET);
    let to_n2 = [("switch", "patroni-switchover", "on = \"old-active\"")];
    // Patroni chooses, where no member is named.
    let any = run(&lab, RunbookKind::Switchover, right.path(), ends, &to_n2);
    succeeded("switchover to anybody", &any.step(0).carry_out(LIMIT).await);
    settled(&lab.east[0], "n2");
    without_leader(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patroni_3_moves_its_leader() {
    let lab = Lab::start(Version::Packaged);
    moves_its_leader(&lab).await;
}

/// Demotes one side, promotes the other.
async fn crosses(lab: &Lab, kind: RunbookKind, (from, to): (&str, &str), port: u16, clean: bool) {
    let right = password(SECRET);
    let demote = format!("on = \"old-active\"\nstandby_cluster = {{ host = \"127.0.0.1\", port = {port} }}");
    let steps = [
        ("demote", "patroni-demote-cluster", demote.as_str()),
        ("promote", "patroni-promote-cluster", "on = \"new-active\""),
        LOOK,
    ];
    let run = run(lab, kind, right.path(), (from, to), &steps);
    let (mut fence, mut promote) = (run.step(0), run.step(1));
    // Not while the other one takes writes: that would be a split brain, whatever anybody accepts.
    let early = promote.preview().await;
    assert_eq!(condition(&early, "other-primary").held, Held::Fails, "{early:#?}");
    assert!(early.conditions.iter().any(|c| c.id == "other-primary" && c.later), "its fence comes first");
    let shown = fence.preview().await;
    let not_clean = if clean { vec![] } else { vec!["stops-cleanly"] };
    assert_eq!(failing(&shown), not_clean, "{shown:#?}");
    let begun = clock::now();
    let ended = fence.carry_out(LIMIT).await;
    succeeded("demotion", &ended);
    println!("demoted after {:?}", clock::now().since(begun));
    let put_up = ended.seen.left.fence.as_ref().expect("a fence");
    assert_eq!(put_up.strength, Strength::Proven, "{put_up:?}");
    if clean {
        let loss = ended.seen.left.loss.as_ref().expect("a measured loss");
        assert_eq!(loss.missing.map(|b| b.0), Some(0), "{loss:?}");
    } else {
        assert_eq!(ended.seen.left.loss, None);
    }
    assert_eq!(fence.preview().await.already, Held::Holds);
    let shown = promote.preview().await;
    assert_eq!(failing(&shown), Vec::<&str>::new(), "{shown:#?}");
    let begun = clock::now();
    let ended = promote.carry_out(LIMIT).await;
    succeeded("promotion", &ended);
    println!("promoted after {:?}", clock::now().since(begun));
    assert!(ended.seen.left.loss.is_some());
    assert_eq!(promote.preview().await.already, Held::Holds);
    assert!(!run.journaled().contains(SECRET));
}

fn rows(member: &Member) -> String {
    member.sql("SELECT count(*) FROM kept")
}

/// Members tell the history as they last read it from the DCS.
fn until_told(members: &[&Member]) {
    until("the history tells where a timeline ended", || {
        members.iter().all(|m| m.get("/history").is_some_and(|h| h.as_array().is_some_and(|h| !h.is_empty())))
    });
}

fn follows(leader: &Member, member: &Member) {
    until(&format!("{} has what {} has", member.name, leader.name), || {
        !member.writes() && member.sql("SELECT to_regclass('kept') IS NOT NULL") == "t" && rows(member) == rows(leader)
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patroni_4_crosses_over_and_back() {
    let lab = Lab::start(Version::Newest);
    let ([n1, n2], [n4, n5]) = (&lab.east, &lab.west);
    settled(n2, "n1");
    n1.sql("CREATE TABLE kept (n int); INSERT INTO kept SELECT generate_series(1, 5000)");
    follows(n1, n4);
    crosses(&lab, RunbookKind::Switchover, ("east", "west"), n4.pg, true).await;
    assert_eq!((rows(n4).as_str(), n4.writes()), ("5000", true));
    n4.sql("INSERT INTO kept SELECT generate_series(1, 7)");
    follows(n4, n1);
    assert_eq!(rows(n1), "5007");
    until("n5 follows n4", || rows(n5) == "5007");
    until_told(&[n4, n5]);
    // Who leads the demoted cluster now is Patroni's to choose.
    until("east has a standby leader", || {
        n1.get("/cluster").is_some_and(|c| {
            c["members"].as_array().unwrap().iter().any(|m| m["role"] == "standby_leader" && m["state"] == "streaming")
        })
    });
    let leader = |m: &Member| {
        m.get("/cluster").unwrap()["members"]
            .as_array()
            .unwrap()
            .iter()
            .find(|m| m["role"] == "standby_leader")
            .unwrap()["port"]
            .as_u64()
            .unwrap()
    };
    let port = u16::try_from(leader(n1)).unwrap();
    crosses(&lab, RunbookKind::Failback, ("west", "east"), port, true).await;
    let new = if n1.pg == port { n1 } else { n2 };
    assert_eq!((rows(new).as_str(), new.writes()), ("5007", true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patroni_3_crosses_over() {
    let lab = Lab::start(Version::Packaged);
    let ([n1, n2], [n4, _]) = (&lab.east, &lab.west);
    settled(n2, "n1");
    n1.sql("CREATE TABLE kept (n int); INSERT INTO kept SELECT generate_series(1, 50)");
    follows(n1, n4);
    crosses(&lab, RunbookKind::Switchover, ("east", "west"), n4.pg, false).await;
    assert_eq!((rows(n4).as_str(), n4.writes()), ("50", true));
}

/// The old site comes back after a failover, on the same timeline number: it cannot follow as it is, and is fenced all the
/// same; a member that nobody sees makes that fence an assumption.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patroni_4_after_a_failover_both_are_on_one_timeline_number() {
    let lab = Lab::start(Version::Newest);
    let ([n1, n2], [n4, _]) = (&lab.east, &lab.west);
    settled(n2, "n1");
    let right = password(SECRET);
    // West was promoted beside east, which wrote on, and changed its leader.
    n4.patch(json!({ "standby_cluster": null }));
    until("west takes writes", || n4.writes());
    n1.sql("CREATE TABLE lost (n int); INSERT INTO lost SELECT generate_series(1, 5000)");
    let body = json!({ "leader": "n1", "candidate": "n2" });
    assert_eq!(http(n1.rest, "POST", "/switchover", Some(&body)).map(|a| a.0), Some(200));
    settled(n1, "n2");
    let timeline = |m: &Member| m.get("/patroni").and_then(|p| p["timeline"].as_i64());
    until("one number", || timeline(n2) == Some(2) && timeline(n4) == Some(2));
    until_told(&[n2, n4]);
    let demote = format!("on = \"old-active\"\nstandby_cluster = {{ host = \"127.0.0.1\", port = {} }}", n4.pg);
    let steps = [
        ("demote", "patroni-demote-cluster", demote.as_str()),
        ("promote", "patroni-promote-cluster", "on = \"new-active\""),
        LOOK,
    ];
    let run = run(&lab, RunbookKind::Failover, right.path(), ("east", "west"), &steps);
    let (mut fence, mut promote) = (run.step(0), run.step(1));
    // Members tell the history as they last read it from the DCS; until they do, it is not known whether east can follow.
    let limit = within(60);
    loop {
        let shown = fence.preview().await;
        let found = condition(&shown, "can-follow");
        let (held, why) = (found.held, found.why.as_str());
        assert_ne!(held, Held::Holds, "{shown:#?}");
        if held == Held::Fails {
            assert!(why.contains("they went apart: timeline 1 ended at"), "{why}");
            break;
        }
        assert!(tokio::time::Instant::now() < limit, "{why}");
    }
    assert_eq!(promote.preview().await.already, Held::Holds, "it was promoted before");
    // The replica's Patroni hangs: nobody sees it.
    n1.signal("STOP");
    let ended = fence.carry_out(Duration::from_secs(30)).await;
    report("demotion with a member unseen", &ended);
    assert_eq!(ended.outcome, Outcome::Succeeded);
    let put_up = ended.seen.left.fence.clone().expect("a fence");
    assert_eq!(put_up.strength, Strength::Assumed, "{put_up:?}");
    assert!(put_up.why.as_str().contains("nobody saw n1"), "{put_up:?}");
    let lost = ended.seen.left.loss.and_then(|l| l.missing).map(|b| b.0);
    println!("lost with it: {lost:?} bytes");
    n1.signal("CONT");
    assert!(!n2.writes());
}

#[test]
fn commands_need_no_network_and_hold_no_secret() {
    let text = r#"
[[plan]]
name = "lab"
tier = 1
strategy = "warm-standby"
objectives = { rpo = "30s", rto = "5m" }
sites = { east = "home", west = "away" }
home = "east"
requires = ["standby"]
[[plan.probe]]
name = "clusters"
kind = "patroni"
interval = "1s"
timeout = "2s"
roots = "/etc/ca.pem"
act_as = { user = "admin", password = { env = "SECRET" } }
at = { east = ["https://10.0.0.1"], west = ["https://10.1.0.1"] }
[[plan.failover]]
step = "fence"
kind = "patroni-demote-cluster"
probe = "clusters"
on = "old-active"
standby_cluster = { host = "db.west", port = 5432 }
[[plan.failover]]
step = "promote"
kind = "patroni-promote-cluster"
probe = "clusters"
[[plan.failover]]
step = "look"
kind = "wait-for"
situation = "running"
"#;
    let run = Run::open(text, RunbookKind::Failover, "east", "west");
    let of = |place| run.step(place).executor.commands(&run.scene());
    let curl = "curl --silent --show-error --cacert /etc/ca.pem --user admin --request PATCH --header 'Content-Type: application/json' --data";
    assert_eq!(
        of(0)[0],
        format!("{curl} '{{\"standby_cluster\":{{\"host\":\"db.west\",\"port\":5432}}}}' https://10.0.0.1:8008/config")
    );
    assert_eq!(of(1)[1], format!("{curl} '{{\"standby_cluster\":null}}' https://10.1.0.1:8008/config"));
    assert_eq!(of(2), ["# Wait until the situation is that the service runs: lifeboat check lab"]);
}
