//! What a look costs: a gate that needs no clock. And traffic that moves away from the database.

use std::time::Duration;

use lifeboat::readiness::{Situation, Verdict};

use crate::faults::dns::{Dns, DnsServer, Record};
use crate::faults::proxy::Proxy;
use crate::lab_faults::{configuration, url};
use crate::pg::{PgPair, PgTwo, Server};
use crate::watch::{Watch, has};

fn servers() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn table(address: &str) -> Vec<Record> {
    vec![Record::address("shop.lab.test", 20, address.parse().unwrap()), Record::soa("lab.test", 1, 5)]
}

fn front_door(name: &DnsServer) -> String {
    let port = name.addr.port();
    format!(
        "[[plan.probe]]\nname = \"front-door\"\nkind = \"dns\"\nrecord = \"shop.lab.test\"\nanswers = {{ east = \
         [\"192.0.2.10\"], west = [\"198.51.100.10\"] }}\nservers = [\"127.0.0.1:{port}\"]\nresolvers = \
         [\"127.0.0.1:{port}\"]\nmax_ttl = \"60s\"\n"
    )
}

#[test]
fn a_warm_look_at_postgres_is_one_question_and_one_knock() {
    let pair = PgPair::start();
    one_question_and_one_knock(&pair.primary, &pair.standby, "");
}

#[test]
fn a_warm_look_at_a_logical_replication_is_one_question_and_one_knock() {
    let two = PgTwo::start();
    crate::postgres_logical::shop(&two);
    one_question_and_one_knock(&two.east, &two.west, "mode = \"logical\"\n");
}

fn one_question_and_one_knock(east: &Server, west: &Server, more: &str) {
    let runtime = servers();
    let proxy = runtime.block_on(Proxy::start(([127, 0, 0, 1], east.port).into()));
    let address = url(east, "lifeboat").replace(&east.port.to_string(), &proxy.addr.port().to_string());
    let watch = Watch::start(&(configuration(&address, &url(west, "lifeboat"), "30s") + more));
    watch.until_ready("lab");
    let east = |l: &&lifeboat::app::Polled| l.lane.subject.site.as_ref().is_some_and(|s| s.as_str() == "east");
    let looks = || watch.looks().iter().filter(east).count() as u64;
    let (turns, opened, seen) = (proxy.round_trips(), proxy.seen.connections() as u64, looks());
    watch.until_looks("five more looks", Duration::from_secs(20), |l| l.iter().filter(east).count() as u64 >= seen + 5);
    // Read in this order, a look under way makes the difference larger, never smaller.
    let seen_now = looks();
    let (turns, opened) = (proxy.round_trips() - turns, proxy.seen.connections() as u64 - opened);
    // Each look asks once on the connection that is kept, and knocks once beside it. One may be under way at either end.
    let (least, most) = (seen_now - seen - 1, seen_now - seen + 2);
    assert!((2 * least..=2 * most).contains(&turns), "{turns} round trips for {} looks", seen_now - seen);
    assert!((least..=most).contains(&opened), "{opened} connections for {} looks", seen_now - seen);
}

#[test]
fn traffic_that_leaves_the_database_behind_is_named() {
    let runtime = servers();
    let pair = PgPair::start();
    let name = runtime.block_on(DnsServer::start(Dns::Answer, table("192.0.2.10"), true));
    let text = configuration(&url(&pair.primary, "lifeboat"), &url(&pair.standby, "lifeboat"), "30s");
    let text = text.replace("[\"replication\"]", "[\"replication\", \"dns\"]") + &front_door(&name);
    let watch = Watch::start(&text);
    watch.until_ready("lab");
    name.publish(table("198.51.100.10"));
    let took = watch.until("lab", "traffic and database disagree", Duration::from_secs(4), |s| {
        matches!(s.situation, Situation::Disagree { .. }) && has(s, Verdict::NotReady, "situation", "disagree")
    });
    println!("traffic moved away: {took:?} of 4s");
    name.publish(table("192.0.2.10"));
    watch.until_ready("lab");

    // One lost datagram in every look is asked again, and nothing is said about it.
    let asked = name.seen.questions().len();
    name.set(Dns::Lose(1));
    let from = lifeboat::clock::now();
    let before = watch.looks().len();
    watch.until_looks("more looks", Duration::from_secs(20), |l| l.len() >= before + 12);
    assert!(name.seen.questions().len() > asked);
    assert!(watch.since("lab", from).iter().all(|m| m.status.readiness == Verdict::Ready));
}
