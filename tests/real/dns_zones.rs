//! Servers that NS records name, so at port 53, and a CNAME into another zone: real BIND and unbound in a network of their
//! own.

use std::process::{Command, Stdio};

use lifeboat::plan::SiteId;
use lifeboat::readiness::Verdict;
use serde_json::json;

use super::dns::support::{Bind, Unbound};
use super::dns::{Rig, codes};

/// Says to the process that it is the one inside.
const INSIDE: &str = "LIFEBOAT_TEST_OWN_NETWORK";

#[test]
fn servers_are_found_by_ns_records_across_two_zones() {
    let own = std::env::current_exe().unwrap();
    // BIND listens at addresses that an interface has.
    let network = "for n in 11 12 13 14; do ip addr add 127.0.0.$n/8 dev lo; done; ip link set lo up && exec \"$@\"";
    let out = Command::new("unshare")
        .args(["--net", "--", "sh", "-c", network, "sh"])
        .arg(own)
        .args(["--exact", "dns_zones::inside_a_network_of_its_own", "--nocapture"])
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = [out.stdout, out.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(out.status.success() && said.contains("1 passed"), "{said}");
}

/// Not a test by itself: the process that the test above starts.
#[test]
fn inside_a_network_of_its_own() {
    if std::env::var_os(INSIDE).is_none() {
        return;
    }
    let at = |last: u8| ([127, 0, 0, last], 53).into();
    let dr = "@ NS ns1.dr.test.\n@ NS ns2.dr.test.\nns1 A 127.0.0.11\nns2 A 127.0.0.12\nshop 2 CNAME east.lb.test.";
    let lb = "@ NS ns1.lb.test.\n@ NS ns2.lb.test.\nns1 A 127.0.0.13\nns2 A 127.0.0.14\n\
              east 20 A 192.0.2.10\nwest 20 A 198.51.100.10";
    let [a, b] = [11, 12].map(|n| Bind::start_at(at(n), "dr.test", 1, dr, "any"));
    let [_c, d] = [13, 14].map(|n| Bind::start_at(at(n), "lb.test", 7, lb, "any"));
    let other = "stub-zone:\n name: \"lb.test\"\n stub-addr: 127.0.0.13@53";
    let resolver = Unbound::start("dr.test", a.addr, other);
    let more = json!({ "answers": { "east": ["east.lb.test"], "west": ["west.lb.test"] } });
    let mut rig = Rig::new(&[], &[resolver.addr], &more);
    let status = rig.look();
    assert_eq!((codes(&status), status.readiness), (vec![], Verdict::Ready));
    assert_eq!(status.active.traffic.one(), Some(&SiteId::new("east")));
    let evidence = format!("{:?}", status.findings);
    for server in ["127.0.0.11", "127.0.0.12"] {
        assert!(evidence.contains(server), "{server} was not asked: {evidence}");
    }

    // The second zone's server hangs: found, with which one, and the front door still answers.
    d.hang();
    let found = rig.until("server-timed-out");
    assert!(format!("{found:?}").contains("127.0.0.14"), "{found:?}");
    d.resume();

    // One of the first zone's servers has the new answer, the other has not.
    let west = "update delete shop.dr.test.\nupdate add shop.dr.test. 2 CNAME west.lb.test.";
    b.update(west);
    rig.until("serials-differ");
    a.update(west);
    super::dns::support::until("traffic goes west", || rig.look().active.traffic.one() == Some(&SiteId::new("west")));
}
