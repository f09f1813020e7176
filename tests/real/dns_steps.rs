//! `dns-update` and `dns-moved` on real BIND, unbound and PowerDNS: what is done, what is refused, and what nobody knows.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use lifeboat::clock;
use lifeboat::plan::Span;
use lifeboat::runbook::{
    Acted, Approval, Bound, Held, Observation, Preview, RetrySafety, RunbookKind, StepIx, StepPlan, holds_still,
};
use lifeboat::systems::{self, Executor, Scene, StepContext};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::acting::Run;
use crate::dns::support::{Bind, PowerDns, SECRET, Unbound, dig, until};
use crate::dns::{Rig, ZONE};

const EAST: &str = "shop 3 A 192.0.2.10\nshop 3 AAAA 2001:db8:1::10";
const STEP: StepIx = StepIx(0);

/// A plan, a run of one step of it, and the step's executor.
struct Stage {
    rig: Rig,
    run: Run,
    runtime: Runtime,
}

impl Stage {
    fn new(rig: Rig, kind: &str, options: &Value, to: &str) -> Self {
        let from = if to == "west" { "east" } else { "west" };
        let step = step(&rig, kind, options);
        let run = Run::of_steps(Arc::clone(rig.plan()), from, to, vec![step]);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Self { rig, run, runtime }
    }

    fn scene(&self) -> Scene {
        self.run.scene()
    }

    fn executor(&self) -> Box<dyn Executor> {
        let scene = self.scene();
        let kind = systems::step_kind(&scene.step(STEP).unwrap().kind).unwrap();
        (kind.open)(&scene, STEP).unwrap_or_else(|fault| panic!("{fault:?}"))
    }

    fn preview(&self, executor: &mut Box<dyn Executor>) -> Preview {
        let scene = self.scene();
        self.runtime.block_on(executor.preview(&scene, soon(3)))
    }

    /// Approves what is shown, whatever it asks for, and acts once.
    fn act(&self, executor: &mut Box<dyn Executor>, shown: &Preview, secs: u64) -> Acted {
        let authorized = self.run.authorize(STEP, shown, shown);
        let scene = self.scene();
        self.runtime.block_on(executor.act(authorized, &scene, soon(secs)))
    }

    fn observe(&self, executor: &mut Box<dyn Executor>) -> Observation {
        let scene = self.scene();
        self.runtime.block_on(executor.observe(&scene, soon(3)))
    }

    fn observed(&self, executor: &mut Box<dyn Executor>) -> Observation {
        let mut last = None;
        until("the effect is seen", || {
            let seen = self.observe(executor);
            let held = seen.held == Held::Holds;
            last = Some(seen);
            held
        });
        last.unwrap()
    }
}

fn soon(secs: u64) -> Instant {
    Instant::now() + Duration::from_secs(secs)
}

fn step(rig: &Rig, name: &str, options: &Value) -> StepPlan {
    let kind = systems::step_kind(name).unwrap();
    let plan = rig.plan();
    let sites: Vec<_> = plan.sites.iter().map(|s| s.id.clone()).collect();
    let probe = plan.probes.first();
    let runbook = RunbookKind::Switchover;
    let ctx = StepContext { runbook, sites: &sites, home: &plan.home, probe, probes: &plan.probes, on: None };
    let traits = (kind.read)(&ctx, options).unwrap_or_else(|faults| panic!("{faults:?}"));
    StepPlan {
        name: "move traffic".into(),
        kind: name.to_owned(),
        probe: probe.map(|p| p.id.name.to_string()),
        on: None,
        options: options.clone(),
        role: traits.role,
        danger: traits.danger,
        retry: traits.retry,
        verified: traits.verified,
        expect: None,
        deadline: traits.deadline,
        group: None,
        because: None,
    }
}

/// A primary that takes signed updates, its secondary, and where the key's secret is.
struct Pair {
    primary: Bind,
    secondary: Bind,
    dir: tempfile::TempDir,
}

impl Pair {
    fn start(records: &str) -> Self {
        Self::start_with(records, "hmac-sha256", "key failover")
    }

    fn start_with(records: &str, algorithm: &str, allow: &str) -> Self {
        let second = SocketAddr::from(([127, 0, 0, 1], crate::dns::support::free_port()));
        let primary = Bind::start_keyed(ZONE, records, algorithm, allow, Some(second));
        let secondary = Bind::start_secondary(ZONE, second, primary.addr);
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("secret"), format!("{SECRET}\n")).unwrap();
        Self { primary, secondary, dir }
    }

    fn rig(&self, resolvers: &[SocketAddr], more: &Value) -> Rig {
        Rig::new(&[self.primary.addr, self.secondary.addr], resolvers, more)
    }

    fn options(&self) -> Value {
        let secret = json!({ "file": self.dir.path().join("secret").to_str().unwrap() });
        let key = json!({ "name": "failover", "algorithm": "hmac-sha256", "secret": secret });
        json!({ "via": "rfc2136", "server": self.primary.addr.to_string(), "zone": ZONE, "key": key })
    }

    fn stage(&self, resolvers: &[SocketAddr], to: &str) -> Stage {
        Stage::new(self.rig(resolvers, &json!({})), "dns-update", &self.options(), to)
    }

    /// What both servers say.
    fn says(&self, kind: &str) -> [String; 2] {
        [&self.primary, &self.secondary].map(|b| dig(b.addr, "shop.dr.test", kind))
    }

    /// What the primary says, by family.
    fn primary_says(&self) -> [String; 3] {
        ["A", "AAAA", "CNAME"].map(|kind| dig(self.primary.addr, "shop.dr.test", kind))
    }

    fn unchanged(&self) {
        assert_eq!(self.says("A"), ["192.0.2.10", "192.0.2.10"]);
        assert_eq!(self.says("AAAA"), ["2001:db8:1::10", "2001:db8:1::10"]);
    }
}

fn held(shown: &Preview) -> Vec<String> {
    shown.conditions.iter().map(|c| format!("{} {}", c.id, c.held.word())).collect()
}

fn refused(acted: Acted) -> String {
    let Acted::Refused { said } = acted else { panic!("{acted:?}") };
    said.to_string()
}

#[test]
fn both_families_move_at_every_server_and_the_resolver_follows_and_back() {
    let pair = Pair::start(EAST);
    let resolver = Unbound::start(ZONE, pair.primary.addr, "");
    let stage = pair.stage(&[resolver.addr], "west");
    assert_eq!(dig(resolver.addr, "shop.dr.test", "A"), "192.0.2.10");
    assert_eq!(dig(resolver.addr, "shop.dr.test", "AAAA"), "2001:db8:1::10");
    let (mut first, mut second) = (stage.executor(), stage.executor());
    let shown = stage.preview(&mut first);
    assert_eq!(held(&shown), ["primary holds", "record holds", "servers-agree holds", "ttl holds"]);
    assert_eq!((shown.already, shown.challenge.as_str()), (Held::Fails, "shop.dr.test to west"));
    let role = shown.role.as_str();
    assert!(
        role.starts_with("A 192.0.2.10 (3s), AAAA 2001:db8:1::10 (3s); 0 of 2 authoritative servers have moved"),
        "{role}"
    );
    let serials = format!("serial 1 at {}, 1 at {}", pair.primary.addr, pair.secondary.addr);
    assert!(role.ends_with(&serials), "{role}");
    let port = pair.primary.addr.port();
    let actions: Vec<&str> = shown.actions.iter().map(|a| a.as_str()).collect();
    assert_eq!(
        actions[..4],
        [
            format!("server 127.0.0.1 {port}").as_str(),
            "zone dr.test.",
            "prereq yxrrset shop.dr.test. A 192.0.2.10",
            "prereq yxrrset shop.dr.test. AAAA 2001:db8:1::10",
        ]
    );
    assert!(actions.contains(&"update add shop.dr.test. 3 A 198.51.100.10"), "{actions:?}");
    assert!(!format!("{shown:?}").contains(SECRET));
    // Another one saw the same, and would send the same.
    let same = stage.preview(&mut second);
    assert_eq!((same.identity.clone(), same.actions.clone()), (shown.identity.clone(), shown.actions.clone()));

    let acted = stage.act(&mut first, &shown, 3);
    let Acted::Returned { said, left } = &acted else { panic!("{acted:?}") };
    assert!(said.as_str().ends_with("NOERROR"), "{said}");
    assert_eq!(left.kept["was"]["A"], json!({ "ttl": 3, "data": ["192.0.2.10"] }));
    let seen = stage.observed(&mut first);
    assert_eq!(seen.why.as_str(), "2 of 2 authoritative servers have west");
    let waits = seen.waits.unwrap().to_string();
    assert!(waits.ends_with("of 1 resolvers moved") || waits.contains("worst remaining TTL"), "{waits}");
    assert_eq!(pair.says("A"), ["198.51.100.10", "198.51.100.10"]);
    assert_eq!(pair.says("AAAA"), ["2001:db8:2::10", "2001:db8:2::10"]);

    // A second message of the same is refused as a whole.
    let late = Pair::act_of_another(&stage, &mut second, &same);
    assert!(refused(late).contains("NXRRSET"));
    assert_eq!(pair.says("A"), ["198.51.100.10", "198.51.100.10"]);
    assert_eq!(stage.preview(&mut second).already, Held::Holds);

    // The resolver has what it has until its time is over.
    let moved = Stage::new(pair.rig(&[resolver.addr], &json!({})), "dns-moved", &json!({}), "west");
    let mut waiting = moved.executor();
    let seen = moved.observed(&mut waiting);
    assert_eq!(seen.why.as_str(), "1 of 1 resolvers moved");
    assert_eq!(dig(resolver.addr, "shop.dr.test", "AAAA"), "2001:db8:2::10");
    assert_eq!(moved.preview(&mut waiting).already, Held::Holds);

    // The way back.
    let back = pair.stage(&[resolver.addr], "east");
    let mut executor = back.executor();
    let shown = back.preview(&mut executor);
    assert!(matches!(back.act(&mut executor, &shown, 3), Acted::Returned { .. }));
    back.observed(&mut executor);
    pair.unchanged();
}

impl Pair {
    /// An act by what another executor saw, in a run of its own: the journal of one run would not begin it twice.
    fn act_of_another(stage: &Stage, executor: &mut Box<dyn Executor>, shown: &Preview) -> Acted {
        let step = stage.run.state().opened.runbook.steps.clone();
        let run = Run::of_steps(Arc::clone(stage.rig.plan()), "east", "west", step);
        let authorized = run.authorize(STEP, shown, shown);
        stage.runtime.block_on(executor.act(authorized, &stage.scene(), soon(3)))
    }
}

/// An address behind which the first datagrams go to one resolver, and all others to another.
fn farm(first: SocketAddr, many: usize, others: SocketAddr) -> SocketAddr {
    let door = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = door.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 2_048];
        for n in 0.. {
            let Ok((len, client)) = door.recv_from(&mut buffer) else { return };
            let behind = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            behind.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            behind.send_to(&buffer[..len], if n < many { first } else { others }).unwrap();
            if let Ok(len) = behind.recv(&mut buffer) {
                door.send_to(&buffer[..len], client).unwrap();
            }
        }
    });
    address
}

#[test]
fn a_resolver_that_is_behind_is_told_with_the_time_that_is_left() {
    let pair = Pair::start(&EAST.replace(" 3 ", " 40 "));
    let resolvers = [0; 2].map(|_| Unbound::start(ZONE, pair.primary.addr, ""));
    let addresses = [resolvers[0].addr, resolvers[1].addr];
    assert_eq!(dig(addresses[0], "shop.dr.test", "A"), "192.0.2.10");
    let stage = pair.stage(&addresses, "west");
    let mut executor = stage.executor();
    let shown = stage.preview(&mut executor);
    assert!(matches!(stage.act(&mut executor, &shown, 3), Acted::Returned { .. }));
    let waits = stage.observed(&mut executor).waits.unwrap().to_string();
    let left = waits.strip_prefix("1 of 2 resolvers moved; worst remaining TTL ").and_then(|t| t.strip_suffix(" s"));
    assert!(left.and_then(|t| t.parse::<u64>().ok()).is_some_and(|t| (20..=40).contains(&t)), "{waits}");
    let moved = Stage::new(pair.rig(&addresses, &json!({})), "dns-moved", &json!({}), "west");
    let mut waiting = moved.executor();
    let seen = moved.observe(&mut waiting);
    assert_eq!(seen.held, Held::Fails);
    assert!(seen.waits.unwrap().as_str().starts_with("1 of 2 resolvers moved; worst remaining TTL "));
    // Both behind one address, as at a public resolver: one lucky answer is no proof for its users.
    let farm = farm(addresses[1], 2, addresses[0]);
    let at_farm = Stage::new(pair.rig(&[farm], &json!({})), "dns-moved", &json!({}), "west");
    let mut waiting_there = at_farm.executor();
    let seen = at_farm.observe(&mut waiting_there);
    assert_eq!(seen.held, Held::Fails, "{}", seen.why);
    assert!(seen.why.as_str().starts_with("0 of 1 resolvers moved; worst remaining TTL "), "{}", seen.why);
    // One that is gone is named, and is not waited for for ever.
    let [one, two] = resolvers;
    drop(one);
    let seen = moved.observe(&mut waiting);
    assert_eq!(seen.held, Held::Unknown, "{}", seen.why);
    let seen = moved.observe(&mut waiting);
    assert_eq!(seen.held, Held::Holds, "{}", seen.why);
    assert!(
        seen.why.as_str().starts_with(&format!("1 of 2 resolvers moved; no answer from {}", addresses[0])),
        "{}",
        seen.why
    );
    drop(two);
}

#[test]
fn a_wrong_key_changes_nothing() {
    let pair = Pair::start(EAST);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut options = pair.options();
        change(&mut options["key"]);
        let stage = Stage::new(pair.rig(&[], &json!({})), "dns-update", &options, "west");
        let mut executor = stage.executor();
        let shown = stage.preview(&mut executor);
        let acted = stage.act(&mut executor, &shown, 3);
        pair.unchanged();
        assert_eq!(stage.observe(&mut executor).held, Held::Fails);
        acted
    };
    let unknown = refused(with(&|key| key["name"] = json!("nobody")));
    assert!(unknown.contains("BADKEY"), "{unknown}");
    let other = refused(with(&|key| key["algorithm"] = json!("hmac-sha512")));
    assert!(other.contains("BADKEY"), "{other}");
    let wrong = pair.dir.path().join("wrong");
    std::fs::write(&wrong, "d3Jvbmcgc2VjcmV0").unwrap();
    let bad = refused(with(&|key| key["secret"] = json!({ "file": wrong.to_str().unwrap() })));
    assert!(bad.contains("BADSIG"), "{bad}");
    std::fs::write(&wrong, "hunter2!").unwrap();
    for (secret, words) in [
        (json!({ "file": wrong.to_str().unwrap() }), "no base64"),
        (json!({ "file": "/no/such/file" }), "no such file"),
        (json!({ "env": "LIFEBOAT_NO_SUCH_VARIABLE" }), "not set"),
    ] {
        let acted = with(&|key| key["secret"] = secret.clone());
        let Acted::NotSent { why } = &acted else { panic!("{acted:?}") };
        assert!(why.as_str().contains(words) && !why.as_str().contains("hunter2"), "{why}");
    }
}

#[test]
fn other_algorithms() {
    for algorithm in ["hmac-sha384", "hmac-sha512"] {
        let pair = Pair::start_with(EAST, algorithm, "key failover");
        let mut options = pair.options();
        options["key"]["algorithm"] = json!(algorithm);
        options["ttl"] = json!("7s");
        let stage = Stage::new(pair.rig(&[], &json!({})), "dns-update", &options, "west");
        let mut executor = stage.executor();
        let shown = stage.preview(&mut executor);
        let acted = stage.act(&mut executor, &shown, 3);
        assert!(matches!(acted, Acted::Returned { .. }), "{algorithm}: {acted:?}");
        stage.observed(&mut executor);
        assert!(stage.preview(&mut executor).role.as_str().starts_with("A 198.51.100.10 (7s)"));
    }
}

#[test]
fn a_server_that_takes_no_updates_and_one_that_does_not_have_the_zone() {
    let pair = Pair::start_with(EAST, "hmac-sha256", "none");
    let stage = pair.stage(&[], "west");
    let mut executor = stage.executor();
    let shown = stage.preview(&mut executor);
    let said = refused(stage.act(&mut executor, &shown, 3));
    assert!(said.contains("REFUSED"), "{said}");
    pair.unchanged();
    // A secondary is not the zone's primary.
    let mut options = pair.options();
    options["server"] = json!(pair.secondary.addr.to_string());
    let stage = Stage::new(pair.rig(&[], &json!({})), "dns-update", &options, "west");
    let mut executor = stage.executor();
    let shown = stage.preview(&mut executor);
    let acted = stage.act(&mut executor, &shown, 3);
    assert!(matches!(acted, Acted::Refused { .. }), "{acted:?}");
    pair.unchanged();
    let other = Bind::start("other.test", 1, "x A 192.0.2.1");
    options["server"] = json!(other.addr.to_string());
    let stage = Stage::new(pair.rig(&[], &json!({})), "dns-update", &options, "west");
    let shown = stage.preview(&mut stage.executor());
    assert_eq!(held(&shown)[..2], ["primary unknown", "record unknown"], "nobody can approve that");
}

#[test]
fn a_change_that_somebody_else_makes_meanwhile_is_not_overwritten() {
    let pair = Pair::start(EAST);
    let stage = pair.stage(&[], "west");
    let mut executor = stage.executor();
    let shown = stage.preview(&mut executor);
    pair.primary.update("update delete shop.dr.test. AAAA\nupdate add shop.dr.test. 3 AAAA 2001:db8:9::9");
    let said = refused(stage.act(&mut executor, &shown, 3));
    assert!(said.contains("NXRRSET"), "{said}");
    assert_eq!(dig(pair.primary.addr, "shop.dr.test", "A"), "192.0.2.10", "neither family was moved");
    assert_eq!(dig(pair.primary.addr, "shop.dr.test", "AAAA"), "2001:db8:9::9");
    let again = stage.preview(&mut executor);
    assert_ne!(again.identity, shown.identity);
    assert!(held(&again).contains(&"record fails".to_owned()), "{:?}", held(&again));
    // One more type than was shown.
    let pair = Pair::start("shop 3 A 192.0.2.10");
    let stage = pair.stage(&[], "west");
    let mut executor = stage.executor();
    let shown = stage.preview(&mut executor);
    pair.primary.update("update add shop.dr.test. 3 AAAA 2001:db8:1::10");
    let said = refused(stage.act(&mut executor, &shown, 3));
    assert!(said.contains("YXRRSET"), "{said}");
}

#[test]
fn a_primary_that_hangs_leaves_it_open_until_it_is_seen() {
    let pair = Pair::start(EAST);
    let stage = pair.stage(&[], "west");
    let mut executor = stage.executor();
    let shown = stage.preview(&mut executor);
    pair.primary.hang();
    let began = clock::now();
    let acted = stage.act(&mut executor, &shown, 1);
    let took = clock::now().since(began);
    let Acted::Unclear { why, left } = &acted else { panic!("{acted:?}") };
    assert!(why.as_str().contains("no answer in time"), "{why}");
    assert!(took < Duration::from_millis(1_500), "{took:?}");
    assert_eq!(left.kept["was"]["A"]["data"], json!(["192.0.2.10"]));
    let seen = stage.observe(&mut executor);
    assert_eq!(seen.held, Held::Fails, "the secondary has it as it was: {}", seen.why);
    assert!(seen.why.as_str().contains(&format!("not seen: {}", pair.primary.addr)), "{}", seen.why);
    pair.primary.resume();
    // It was in the primary's queue, and is done now: seen, not sent again.
    let seen = stage.observed(&mut executor);
    assert_eq!(seen.why.as_str(), "2 of 2 authoritative servers have west");
}

#[test]
fn a_primary_that_falls_silent_after_the_approval_is_no_changed_record() {
    let pair = Pair::start(&EAST.replace(" 3 ", " 20 "));
    let stage = Stage::new(pair.rig(&[], &json!({ "max_ttl": "60s" })), "dns-update", &pair.options(), "west");
    let mut executor = stage.executor();
    let shown = stage.preview(&mut executor);
    pair.primary.hang();
    let silent = stage.preview(&mut executor);
    let runbook = &stage.run.state().opened.runbook;
    let bounds = vec![Bound::of(STEP, &shown, runbook)];
    let (consents, waived, typed, lasts) = (vec![], vec![], shown.challenge.clone(), Span::secs(300));
    let approval = Approval { from: STEP, to: STEP, shown: 1, bounds, consents, waived, typed, lasts };
    let why = holds_still(&approval, STEP, &silent, runbook).unwrap_err();
    let why: Vec<String> = why.iter().map(ToString::to_string).collect();
    let gap = format!("{}: no answer in time", pair.primary.addr);
    assert_eq!(why[0], format!("what was approved could not be read again: A, AAAA, CNAME ({gap})"), "{why:?}");
    let text = format!("{why:?} {silent:?}");
    for untrue in ["is none", "there is no record", "another one than", "is not what was approved", "nxrrset"] {
        assert!(!text.contains(untrue), "{untrue}: {text}");
    }
    pair.primary.resume();
    until("it answers again", || stage.preview(&mut executor).identity == shown.identity);
    assert_eq!(holds_still(&approval, STEP, &stage.preview(&mut executor), runbook), Ok(()));
}

#[test]
fn servers_that_are_gone_are_named() {
    let pair = Pair::start(EAST);
    let (primary, second) = (pair.primary.addr, pair.secondary.addr);
    let rig = pair.rig(&[], &json!({}));
    let options = pair.options();
    let Pair { primary: first, secondary, dir } = pair;
    drop(secondary);
    let stage = Stage::new(rig, "dns-update", &options, "west");
    let mut executor = stage.executor();
    let shown = stage.preview(&mut executor);
    assert!(shown.role.as_str().contains(&format!("not seen: {second}")), "{}", shown.role);
    assert_eq!(held(&shown)[..3], ["primary holds", "record holds", "servers-agree holds"]);
    assert!(matches!(stage.act(&mut executor, &shown, 3), Acted::Returned { .. }));
    assert_eq!(stage.observe(&mut executor).held, Held::Unknown, "it is looked at once more");
    let seen = stage.observe(&mut executor);
    assert_eq!(seen.held, Held::Holds);
    assert!(seen.why.as_str().starts_with("1 of 2 authoritative servers have west; not seen: "), "{}", seen.why);
    drop(first);
    let shown = stage.preview(&mut executor);
    assert_eq!(held(&shown)[..2], ["primary unknown", "record unknown"]);
    assert!(shown.conditions[0].why.as_str().contains(&primary.to_string()), "{}", shown.conditions[0].why);
    assert_eq!(shown.already, Held::Unknown);
    drop(dir);
}

#[test]
fn a_cname_moves_and_gives_way_to_addresses() {
    let pair = Pair::start("shop 3 CNAME lb.east.example.net.");
    let names = json!({ "answers": { "east": ["lb.east.example.net"], "west": ["lb.west.example.net"] } });
    let stage = Stage::new(pair.rig(&[], &names), "dns-update", &pair.options(), "west");
    let mut executor = stage.executor();
    let shown = stage.preview(&mut executor);
    assert_eq!(held(&shown)[..3], ["primary holds", "record holds", "servers-agree holds"]);
    assert!(matches!(stage.act(&mut executor, &shown, 3), Acted::Returned { .. }));
    stage.observed(&mut executor);
    assert_eq!(pair.says("CNAME"), ["lb.west.example.net.", "lb.west.example.net."]);
    // And from a name to addresses of both families.
    let mixed = json!({ "answers": { "east": ["192.0.2.10", "2001:db8:1::10"], "west": ["lb.west.example.net"] } });
    let stage = Stage::new(pair.rig(&[], &mixed), "dns-update", &pair.options(), "east");
    let mut executor = stage.executor();
    let shown = stage.preview(&mut executor);
    assert!(matches!(stage.act(&mut executor, &shown, 3), Acted::Returned { .. }));
    stage.observed(&mut executor);
    pair.unchanged();
}

#[test]
fn endpoints_that_are_dead_are_a_risk() {
    let pair = Pair::start("shop 3 A 127.0.0.1");
    let port = crate::dns::support::free_port();
    let more = json!({
        "answers": { "east": ["127.0.0.1"], "west": ["127.0.0.2"] },
        "endpoint": { "tls": false, "port": port },
    });
    let stage = Stage::new(pair.rig(&[], &more), "dns-update", &pair.options(), "west");
    let mut executor = stage.executor();
    assert!(held(&stage.preview(&mut executor)).contains(&"endpoints fails".to_owned()));
    let west = std::net::TcpListener::bind(("127.0.0.2", port)).unwrap();
    assert!(held(&stage.preview(&mut executor)).contains(&"endpoints holds".to_owned()));
    drop(west);
}

/// The commands are what a person copies into a shell on the day when this program is what is broken.
#[test]
fn the_commands_work_as_they_stand() {
    let pair = Pair::start(EAST);
    let stage = Stage::new(pair.rig(&[], &json!({ "max_ttl": "3s" })), "dns-update", &pair.options(), "west");
    let script = stage.executor().commands(&stage.scene()).join("\n");
    assert!(!script.contains(SECRET), "{script}");
    let run = || Command::new("sh").arg("-c").arg(&script).output().unwrap();
    let output = run();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(dig(pair.primary.addr, "shop.dr.test", "A"), "198.51.100.10");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.contains("198.51.100.10") && shown.contains("2001:db8:2::10"), "{shown}");
    assert!(String::from_utf8_lossy(&run().stderr).contains("NXRRSET"), "a second time is refused");
}

/// Whatever is at the record, one block fits, and the others change nothing.
#[test]
fn the_commands_work_for_a_cname_and_for_addresses_whatever_the_plan_says() {
    let addresses = json!({ "max_ttl": "60s" });
    let names = json!({
        "answers": { "east": ["lb.east.example.net", "lb2.east.example.net"], "west": ["198.51.100.10"] },
        "max_ttl": "60s",
    });
    // What is there, what the plan says, and how many blocks are refused where all of them are sent, one after another.
    for (records, plan, refused) in [
        ("shop 20 A 192.0.2.10\nshop 20 AAAA 2001:db8:1::10", &addresses, 1),
        ("shop 20 CNAME front.dr.test.", &addresses, 1),
        ("shop 20 CNAME lb.east.example.net.", &names, 1),
        ("shop 20 CNAME lb2.east.example.net.", &names, 1),
        ("shop 20 A 192.0.2.77\nshop 20 A 192.0.2.78", &names, 2),
        // Nobody's addresses, and nothing at all: nothing is done.
        ("shop 20 A 192.0.2.77", &addresses, 2),
        ("other 20 A 192.0.2.77", &addresses, 2),
        ("other 20 A 192.0.2.77", &names, 3),
    ] {
        let pair = Pair::start(records);
        let stage = Stage::new(pair.rig(&[], plan), "dns-update", &pair.options(), "west");
        let script = stage.executor().commands(&stage.scene()).join("\n");
        let before = pair.primary_says();
        let output = Command::new("sh").arg("-c").arg(&script).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said.matches("XRRSET").count(), refused, "{records}\n{script}\n{said}");
        let blocks = script.matches("nsupdate <<END").count();
        let now = pair.primary_says();
        if blocks == refused {
            assert_eq!(now, before, "{script}");
        } else {
            assert!(now[0].contains("198.51.100.10") && now[2].is_empty(), "{records}: {now:?}\n{script}\n{said}");
            let shown = String::from_utf8_lossy(&output.stdout);
            let kept =
                shown.lines().filter(|l| l.split_whitespace().eq(["shop.dr.test.", "20", "IN", "A", "198.51.100.10"]));
            assert!(kept.count() >= 1, "the time to live stays: {shown}");
        }
    }
}

// ---- PowerDNS

const AT_EAST: &[[&str; 4]] = &[["shop", "A", "20", "192.0.2.10"], ["shop", "AAAA", "20", "2001:db8:1::10"]];

fn by_api(server: &PowerDns, key: &Value, answers: &Value) -> Stage {
    let rig = Rig::new(&[server.addr], &[], &json!({ "answers": answers }));
    let options = json!({ "via": "powerdns", "url": server.api, "zone": ZONE, "ttl": "9s", "api_key": key });
    Stage::new(rig, "dns-update", &options, "west")
}

fn answers() -> Value {
    json!({ "east": ["192.0.2.10", "2001:db8:1::10"], "west": ["198.51.100.10", "2001:db8:2::10"] })
}

fn key_in(dir: &tempfile::TempDir, key: &str) -> Value {
    let file = dir.path().join("key");
    std::fs::write(&file, key).unwrap();
    json!({ "file": file.to_str().unwrap() })
}

#[test]
fn powerdns_is_changed_by_its_api() {
    let (server, dir) = (PowerDns::start(ZONE, AT_EAST), tempfile::tempdir().unwrap());
    let stage = by_api(&server, &key_in(&dir, PowerDns::KEY), &answers());
    assert_eq!(stage.run.state().opened.runbook.steps[0].retry, RetrySafety::ReadBack);
    let (mut executor, mut other) = (stage.executor(), stage.executor());
    let shown = stage.preview(&mut executor);
    let same = stage.preview(&mut other);
    assert_eq!(held(&shown), ["primary holds", "record holds", "servers-agree holds", "ttl holds"]);
    assert!(shown.actions[0].as_str().starts_with("PATCH http://127.0.0.1:"), "{:?}", shown.actions);
    assert!(!format!("{shown:?}").contains(PowerDns::KEY));
    let acted = stage.act(&mut executor, &shown, 3);
    let Acted::Returned { said, left } = &acted else { panic!("{acted:?}") };
    assert_eq!(said.as_str(), "HTTP 204; read back: A 198.51.100.10 (9s), AAAA 2001:db8:2::10 (9s)");
    assert_eq!(left.kept["was"]["AAAA"]["ttl"], json!(20));
    stage.observed(&mut executor);
    assert_eq!(dig(server.addr, "shop.dr.test", "A"), "198.51.100.10");
    assert_eq!(dig(server.addr, "shop.dr.test", "AAAA"), "2001:db8:2::10");
    // By what was seen before: it is read first, and is another one.
    let acted = Pair::act_of_another(&stage, &mut other, &same);
    let Acted::NotSent { why } = &acted else { panic!("{acted:?}") };
    assert!(why.as_str().starts_with("the record has A 198.51.100.10"), "{why}");
}

#[test]
fn powerdns_says_no_to_a_wrong_key_and_to_a_zone_that_is_gone() {
    let (server, dir) = (PowerDns::start(ZONE, AT_EAST), tempfile::tempdir().unwrap());
    let stage = by_api(&server, &key_in(&dir, "hunter2"), &answers());
    let mut executor = stage.executor();
    let shown = stage.preview(&mut executor);
    let said = refused(stage.act(&mut executor, &shown, 3));
    assert!(said.contains("401") && !said.contains("hunter2"), "{said}");
    assert_eq!(dig(server.addr, "shop.dr.test", "A"), "192.0.2.10");
    let stage = by_api(&server, &key_in(&dir, PowerDns::KEY), &answers());
    let mut executor = stage.executor();
    let shown = stage.preview(&mut executor);
    server.change(&["delete-zone", ZONE]);
    let said = refused(stage.act(&mut executor, &shown, 3));
    assert!(said.contains("404") || said.contains("422"), "{said}");
}

#[test]
fn powerdns_takes_a_cname_for_addresses_and_the_commands_work() {
    let (server, dir) = (PowerDns::start(ZONE, AT_EAST), tempfile::tempdir().unwrap());
    let named = json!({ "east": ["192.0.2.10", "2001:db8:1::10"], "west": ["lb.west.example.net"] });
    let stage = by_api(&server, &key_in(&dir, PowerDns::KEY), &named);
    let mut executor = stage.executor();
    let shown = stage.preview(&mut executor);
    let acted = stage.act(&mut executor, &shown, 3);
    assert!(matches!(acted, Acted::Returned { .. }), "{acted:?}");
    stage.observed(&mut executor);
    assert_eq!(dig(server.addr, "shop.dr.test", "CNAME"), "lb.west.example.net.");
    // And back by the commands alone.
    let rig = Rig::new(&[server.addr], &[], &json!({ "answers": named }));
    let key = key_in(&dir, PowerDns::KEY);
    let options = json!({ "via": "powerdns", "url": server.api, "zone": ZONE, "ttl": "9s", "api_key": key });
    let back = Stage::new(rig, "dns-update", &options, "east");
    let script = back.executor().commands(&back.scene()).join("\n");
    assert!(!script.contains(PowerDns::KEY), "{script}");
    let output = Command::new("sh").arg("-c").arg(&script).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.contains("192.0.2.10") && shown.contains("2001:db8:1::10"), "{script}\n{shown}");
    // Over a name that no plan knows, and with the time to live that it has.
    let server = PowerDns::start(ZONE, &[["shop", "CNAME", "20", "front.dr.test."]]);
    let rig = Rig::new(&[server.addr], &[], &json!({ "answers": answers() }));
    let options = json!({ "via": "powerdns", "url": server.api, "zone": ZONE, "api_key": key_in(&dir, PowerDns::KEY) });
    let over = Stage::new(rig, "dns-update", &options, "west");
    let script = over.executor().commands(&over.scene()).join("\n");
    let output = Command::new("sh").arg("-c").arg(&script).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    let line = ["shop.dr.test.", "20", "IN", "A", "198.51.100.10"];
    assert!(shown.lines().any(|l| l.split_whitespace().eq(line)), "{script}\n{shown}");
}
