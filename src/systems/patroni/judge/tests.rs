//! Each judgement, on the recorded answers of Patroni 4.1.5 with one thing changed.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::super::options::{DemoteOptions, FailoverOptions, Member, StandbyCluster, SwitchoverOptions};
use super::super::parse::{Cluster, Listed, Node, Settings, Switch, Told, history};
use super::leading::{can_switch, candidates, works};
use super::*;
use crate::plan::{Bytes, Span};
use crate::readiness::Reason;
use crate::runbook::{
    Approval, Body, Bound, Cause, Danger, Entry, Epoch, Expected, Moment, On, Opened, Operator, RetrySafety, RunId,
    Runbook, RunbookKind, StepPlan, StepRole, Strength, Verified, fold,
};
use crate::systems::bench::now;

fn sample(name: &str) -> Json {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/patroni").join(format!("{name}.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A site's view of these recorded members.
fn view(site: &str, nodes: &[&str], cluster: &str, config: &str) -> View {
    let members: Vec<Member> =
        (0..nodes.len()).map(|i| Member::read(&format!("http://{site}-{i}:8008")).unwrap()).collect();
    let node = |(name, m): (&&str, &Member)| Node::of(&m.shown, &sample(name), None).unwrap();
    let told = Told {
        nodes: nodes.iter().zip(&members).map(node).collect(),
        cluster: Cluster::of("m", &sample(cluster)),
        settings: Settings::of(&sample(config)),
        history: history(&json!([])),
    };
    View { site: SiteId::new(site), paused: vec![Some(false); members.len()], members, told }
}

fn prod() -> View {
    view("east", &["4.1.5/patroni_leader", "4.1.5/patroni_replica"], "4.1.5/cluster", "4.1.5/config")
}

fn dr() -> View {
    let nodes = ["4.1.5/standbycl_patroni_leader", "4.1.5/standbycl_patroni_cascade"];
    let mut dr = view("west", &nodes, "4.1.5/standbycl_cluster", "4.1.5/standbycl_config");
    // They were recorded at different times; here they are of one database, on one timeline.
    let (system, at) = (prod().told.nodes[0].system_id.clone(), prod().told.nodes[0].location);
    for node in &mut dr.told.nodes {
        (node.system_id, node.timeline) = (system.clone(), Some(1));
        (node.received, node.replayed) = (at, at);
    }
    dr
}

fn leader(view: &mut View) -> &mut Node {
    &mut view.told.nodes[0]
}

fn silence(view: &mut View, place: usize) {
    let gap = Gap::new(Reason::TimedOut, "no answer in time");
    let node = &mut view.told.nodes[place];
    *node = Node::silent(node.member.as_str(), &gap, Some(&node.clone()));
}

fn cluster(view: &mut View) -> &mut Cluster {
    view.told.cluster.as_mut().unwrap()
}

fn switch(timeline: i64, lsn: u64) -> Switch {
    Switch { timeline, lsn: Lsn(lsn), leader: None }
}

/// A run from east to west with a fence and a promotion, its second step approved or not.
fn state(kind: RunbookKind) -> RunState {
    let step = |name: &str, kind: &str, role, on| StepPlan {
        name: name.into(),
        kind: kind.to_owned(),
        probe: Some("clusters".to_owned()),
        on: Some(on),
        options: json!({}),
        role,
        danger: Danger::Changes,
        retry: RetrySafety::ReadBack,
        verified: Verified::ByLooking,
        expect: None,
        deadline: Span::secs(60),
        group: None,
        because: None,
    };
    let steps = vec![
        step("fence", "patroni-demote-cluster", StepRole::Fence, On::OldActive),
        step("promote", "patroni-promote-cluster", StepRole::Promote, On::NewActive),
    ];
    let opened = Opened {
        plan: crate::plan::PlanId::new("shop"),
        kind,
        cause: Cause::Planned,
        reason: "a test".into(),
        from: SiteId::new("east"),
        to: SiteId::new("west"),
        runbook: Runbook { kind, steps },
        pinned: String::new(),
        config: crate::runbook::Digest::NONE,
        version: "0".into(),
        t0: Moment { at: now().wall, why: "now".into() },
        detected: None,
        expected: Expected::default(),
        scope: "this host".into(),
        after: None,
        practice: false,
    };
    let who = Operator { user: "a".into(), host: "h".into(), from: None, pid: 1 };
    let entry = Entry {
        v: 1,
        run: RunId::new("r"),
        seq: 1,
        at: now(),
        boot: "b".into(),
        who,
        epoch: Epoch(0),
        prev: crate::runbook::Digest::NONE,
        body: Body::Opened(Box::new(opened)),
    };
    fold(&[entry]).unwrap()
}

fn case<'a>(view: &'a View, other: Option<&'a View>, state: &'a RunState, place: u16) -> Case<'a> {
    Case { view, other, state, ix: StepIx(place), now: now() }
}

fn promote(view: &View, other: &View) -> Planned {
    Promote.plan(case(view, Some(other), &state(RunbookKind::Failover), 1))
}

fn demote() -> Demote {
    let standby_cluster =
        StandbyCluster { host: Some("db.west".to_owned()), port: Some(5432), ..StandbyCluster::default() };
    Demote { options: DemoteOptions { standby_cluster, act_as: None } }
}

fn of<'p>(planned: &'p Planned, id: &str) -> &'p Condition {
    planned.conditions.iter().find(|c| c.id == id).unwrap()
}

fn failing(planned: &Planned) -> Vec<&str> {
    planned.conditions.iter().filter(|c| c.held != Held::Holds).map(|c| c.id.as_ref()).collect()
}

#[test]
fn who_could_lead_is_asked_as_patroni_will() {
    let able = |change: &dyn Fn(&mut View), who: Option<&str>| {
        let mut view = prod();
        change(&mut view);
        candidates(&view, who)
    };
    let name = prod().told.cluster.unwrap().members.iter().find(|m| !m.leads()).unwrap().name.to_string();
    let place = prod().told.cluster.unwrap().members.iter().position(|m| m.name.as_str() == name).unwrap();
    let named = |change: &dyn Fn(&mut View)| able(change, Some(&name));
    assert_eq!(named(&|_| {}).0, Held::Holds, "{:?}", named(&|_| {}));
    assert_eq!(named(&|v| cluster(v).members[place].lag = None).0, Held::Unknown);
    assert_eq!(named(&|v| cluster(v).members[place].lag = Some(Bytes(2 << 20))).0, Held::Fails);
    assert_eq!(named(&|v| cluster(v).members[place].nofailover = true).0, Held::Fails);
    assert_eq!(named(&|v| cluster(v).members[place].state = "start failed".into()).0, Held::Fails);
    assert_eq!(named(&|v| cluster(v).members[place].timeline = Some(9)).0, Held::Fails);
    assert_eq!(named(&|v| v.told.settings.as_mut().unwrap().synchronous_mode = "on".into()).0, Held::Fails);
    assert_eq!(able(&|_| {}, Some("nobody")).0, Held::Fails);
    assert_eq!(able(&|_| {}, None).0, Held::Holds);
    let alone = |v: &mut View| cluster(v).members.retain(|m| m.leads());
    assert_eq!(able(&alone, None), (Held::Fails, "it has no member beside its leader".to_owned()));
    let unknown = |v: &mut View| cluster(v).members.iter_mut().for_each(|m| m.lag = None);
    assert_eq!(able(&unknown, None).0, Held::Unknown);
}

#[test]
fn a_leader_is_one_by_its_own_word() {
    let mut view = prod();
    let listed = view.leader().unwrap().clone();
    assert_eq!(works(&view, &listed).0, Held::Holds);
    leader(&mut view).location = None;
    assert_eq!(works(&view, &listed).0, Held::Fails);
    silence(&mut view, 0);
    assert_eq!(works(&view, &listed).0, Held::Unknown);
    view.told.nodes.remove(0);
    assert_eq!(works(&view, &listed).0, Held::Unknown, "the probe does not name it");
}

#[test]
fn maintenance_mode_lets_only_a_named_member_lead() {
    let mut view = prod();
    cluster(&mut view).overview.paused = true;
    assert_eq!((can_switch(&view, None).0, can_switch(&view, Some("n2")).0), (Held::Fails, Held::Holds));
    let mut view = dr();
    cluster(&mut view).overview.paused = true;
    assert_eq!(can_switch(&view, Some("n5")).0, Held::Fails);
}

#[test]
fn a_switchover_is_over_when_the_old_leader_was_seen_to_stop() {
    let view = prod();
    let now_leads = view.leader().unwrap().name.to_string();
    let other = view.told.nodes[1].member.clone();
    let switchover =
        Switchover { options: SwitchoverOptions { candidate: Some(now_leads), ..SwitchoverOptions::default() } };
    let before = Before { leader: Some("was".into()), leader_at: Some(other), ..Before::default() };
    let seen = |view: &View, before: Option<&Before>| {
        switchover.seen(case(view, None, &state(RunbookKind::Switchover), 0), before).held
    };
    assert_eq!(seen(&view, Some(&before)), Held::Holds);
    let mut hung = view.clone();
    silence(&mut hung, 1);
    assert_eq!(seen(&hung, Some(&before)), Held::Unknown);
    assert_eq!(seen(&hung, None), Held::Unknown);
    // Somebody else is silent; who led is seen.
    let elsewhere = Before { leader_at: Some(view.told.nodes[0].member.clone()), ..before.clone() };
    assert_eq!(seen(&hung, Some(&elsewhere)), Held::Holds);
    let mut both = view.clone();
    both.told.nodes[1].location = Some(Lsn(5));
    assert_eq!(seen(&both, Some(&before)), Held::Fails);
    // It answers, and its PostgreSQL does not say yet.
    let mut stopping = view.clone();
    let node = &mut stopping.told.nodes[1];
    (node.received, node.replayed) = (None, None);
    assert_eq!(seen(&stopping, Some(&before)), Held::Fails);
    stopping.told.nodes[1].state = Some("stopped".into());
    assert_eq!(seen(&stopping, Some(&before)), Held::Holds);
    let anybody = Switchover { options: SwitchoverOptions::default() };
    let held = anybody.seen(case(&view, None, &state(RunbookKind::Switchover), 0), None).held;
    assert_eq!(held, Held::Unknown, "who led before is not known");
}

#[test]
fn a_failover_beside_a_leader_that_works_is_a_risk_of_its_own() {
    let view = prod();
    let candidate = view.told.nodes[1].name.as_ref().unwrap().to_string();
    let failover = Failover { options: FailoverOptions { candidate, role: None, act_as: None } };
    let plan = |view: &View| failover.plan(case(view, None, &state(RunbookKind::Failover), 0));
    let with = plan(&view);
    assert_eq!(
        (of(&with, "no-leader").held, of(&with, "no-leader").consent.as_str()),
        (Held::Fails, "leave the leader")
    );
    assert_eq!(of(&with, "candidate").held, Held::Holds);
    let mut dead = view.clone();
    silence(&mut dead, 0);
    assert_eq!(of(&plan(&dead), "no-leader").held, Held::Unknown);
    cluster(&mut dead).members.retain(|m| !m.leads());
    let without = plan(&dead);
    assert_eq!(failing(&without), Vec::<&str>::new(), "{without:#?}");
    let request = without.request.unwrap();
    assert_eq!((request.to, request.path), (1, "failover"));
    let mut ahead = dead.clone();
    ahead.told.nodes.push(Node { member: "x".into(), received: Some(Lsn(u64::MAX)), ..view.told.nodes[1].clone() });
    assert_eq!(of(&plan(&ahead), "most-advanced").held, Held::Fails);
}

#[test]
fn a_standby_cluster_is_promoted_only_as_a_copy_of_the_other() {
    let (east, west) = (prod(), dr());
    let good = promote(&west, &east);
    // East takes writes still; its fence is a step before this one.
    assert_eq!(failing(&good), ["other-primary"], "{good:#?}");
    assert!(of(&good, "other-primary").later);
    assert_eq!(
        good.request.as_ref().map(|r| (r.to, r.body.to_string())),
        Some((0, "{\"standby_cluster\":null}".to_owned()))
    );

    let copy = |change: &dyn Fn(&mut View, &mut View)| {
        let (mut east, mut west) = (prod(), dr());
        change(&mut east, &mut west);
        let planned = promote(&west, &east);
        let found = of(&planned, "same-database");
        (found.class, found.held)
    };
    let fails = (Class::Identity, Held::Fails);
    assert_eq!(copy(&|_, _| {}), (Class::Identity, Held::Holds));
    assert_eq!(copy(&|_, w| w.told.nodes.iter_mut().for_each(|n| n.system_id = Some("other".into()))), fails);
    let apart = |e: &mut View, w: &mut View| {
        e.told.history = Ok(vec![switch(1, 500)]);
        w.told.history = Ok(vec![switch(1, 400)]);
        e.told.nodes.iter_mut().chain(&mut w.told.nodes).for_each(|n| n.timeline = Some(2));
    };
    assert_eq!(copy(&apart), fails, "one number, two histories");
    // A member tells the history as it last read it: of the end that tells them apart, nothing yet.
    let not_yet = |e: &mut View, w: &mut View| {
        apart(e, w);
        e.told.history = Ok(Vec::new());
    };
    assert_eq!(copy(&not_yet), (Class::Advice, Held::Unknown));
    let beyond = |e: &mut View, _: &mut View| {
        e.told.history = Ok(vec![switch(1, 16)]);
        e.told.nodes.iter_mut().for_each(|n| n.timeline = Some(2));
    };
    assert_eq!(copy(&beyond), fails, "it holds more of a timeline than the other side ever had");
    assert_eq!(copy(&|e, _| (0..2).for_each(|at| silence(e, at))), (Class::Advice, Held::Unknown));
    assert_eq!(copy(&|e, _| e.told.history = Err(Reason::TimedOut.into())), (Class::Advice, Held::Unknown));
}

/// What was compared when it was approved stands, when the fence has taken the other site away since.
#[test]
fn a_comparison_that_was_approved_stands_while_the_other_site_is_silent() {
    let (mut east, west) = (prod(), dr());
    let mut state = state(RunbookKind::Failover);
    let planned = Promote.plan(case(&west, Some(&east), &state, 1));
    let bound = |identity: Identity| {
        let conditions = planned.conditions.iter().map(|c| (c.id.clone(), c.class, c.held)).collect();
        Bound { step: StepIx(1), digest: crate::runbook::Digest::NONE, identity, conditions }
    };
    let given = |bound: Bound| crate::runbook::Given {
        seq: 2,
        at: now(),
        boot: "b".into(),
        by: Operator { user: "a".into(), host: "h".into(), from: None, pid: 1 },
        shown: crate::runbook::Shown { seq: 1, at: now(), boot: "b".into(), steps: Vec::new() },
        approval: Approval {
            from: StepIx(0),
            to: StepIx(1),
            shown: 1,
            bounds: vec![bound],
            consents: Vec::new(),
            waived: Vec::new(),
            typed: String::new(),
            lasts: Span::secs(60),
        },
    };
    (0..2).for_each(|at| silence(&mut east, at));
    state.approval = Some(given(bound(planned.identity.clone())));
    let later = Promote.plan(case(&west, Some(&east), &state, 1));
    assert_eq!(of(&later, "same-database").held, Held::Holds, "{later:#?}");
    let another = planned.identity.clone().with(view::SYSTEM, &"another");
    state.approval = Some(given(bound(another)));
    let later = Promote.plan(case(&west, Some(&east), &state, 1));
    assert_eq!(of(&later, "same-database").held, Held::Unknown);
}

#[test]
fn what_is_no_standby_cluster_or_paused_is_not_promoted() {
    let east = prod();
    let mut paused = dr();
    cluster(&mut paused).overview.paused = true;
    let planned = promote(&paused, &east);
    assert_eq!((of(&planned, "not-paused").held, of(&planned, "not-paused").later), (Held::Fails, false));
    let mut plain = dr();
    plain.told.settings.as_mut().unwrap().standby_cluster = false;
    assert_eq!(of(&promote(&plain, &east), "standby-cluster").held, Held::Fails);
    let mut unread = dr();
    unread.told.cluster = Err(Reason::TimedOut.into());
    let planned = promote(&unread, &east);
    assert_eq!((planned.request.is_none(), planned.already), (true, Held::Unknown));
    assert_eq!(failing(&planned), ["readable"]);
    // It takes writes, and follows nobody: that is the effect.
    let mut done = prod();
    done.site = SiteId::new("west");
    done.told.history = Ok(vec![switch(1, 7)]);
    assert_eq!(promote(&done, &dr()).already, Held::Holds);
}

#[test]
fn a_promotion_is_seen_by_its_leaders_own_word_and_measured() {
    let state = state(RunbookKind::Failover);
    let seen = |view: &View, before: &Before| Promote.seen(case(view, None, &state, 1), Some(before));
    let before = Before { timeline: Some(1), position: Some(Lsn(400)), elsewhere: Some(Lsn(512)), ..Before::default() };
    assert_eq!(seen(&dr(), &before).held, Held::Fails, "it follows still");
    let mut done = prod();
    leader(&mut done).timeline = Some(2);
    let holds = seen(&done, &before);
    let loss = holds.left.loss.unwrap();
    assert_eq!((holds.held, loss.held, loss.missing), (Held::Holds, Lsn(400), Some(Bytes(112))));
    done.told.history = Ok(vec![switch(1, 500)]);
    let loss = seen(&done, &before).left.loss.unwrap();
    assert_eq!((loss.held, loss.missing), (Lsn(500), Some(Bytes(12))));
    let mut two = done.clone();
    two.told.nodes[1].location = Some(Lsn(1));
    assert_eq!(seen(&two, &before).held, Held::Fails);
    silence(&mut done, 0);
    assert_eq!(seen(&done, &before).held, Held::Unknown);
}

/// The cluster in east, after its demotion.
fn demoted() -> View {
    let mut view = prod();
    let settings = view.told.settings.as_mut().unwrap();
    settings.standby_cluster = true;
    (settings.upstream_host, settings.upstream_port) = (Some("db.west".into()), Some("5432".into()));
    let at = view.told.nodes[0].location.take();
    leader(&mut view).replayed = at;
    leader(&mut view).role = Some("standby_leader".into());
    for member in cluster(&mut view).members.iter_mut().filter(|m| m.leads()) {
        member.role = "standby_leader".into();
    }
    let named: Vec<_> = view.told.nodes.iter().map(|n| n.name.clone()).collect();
    cluster(&mut view).members.retain(|m| named.contains(&Some(m.name.clone())));
    view
}

#[test]
fn a_fence_is_proven_only_by_every_member() {
    let state = state(RunbookKind::Switchover);
    let first = prod().told.nodes[0].clone();
    let before = Before {
        leader: first.name.clone(),
        leader_at: Some(first.member.clone()),
        timeline: first.timeline,
        position: first.location,
        ..Before::default()
    };
    let seen = |view: &View, before: Option<&Before>| {
        let seen = demote().seen(case(view, Some(&dr()), &state, 0), before);
        (seen.held, seen.left.fence.map(|f| f.strength), seen.left.loss.and_then(|l| l.missing))
    };
    assert_eq!(seen(&demoted(), Some(&before)), (Held::Holds, Some(Strength::Proven), Some(Bytes(0))));
    assert_eq!(seen(&prod(), Some(&before)).0, Held::Fails, "the configuration does not say so");
    let mut writes = demoted();
    writes.told.nodes[1].location = Some(Lsn(9));
    assert_eq!(seen(&writes, Some(&before)), (Held::Fails, None, None));
    let mut starting = demoted();
    (starting.told.nodes[1].received, starting.told.nodes[1].replayed) = (None, None);
    assert_eq!(seen(&starting, Some(&before)).0, Held::Fails);
    let mut replica = demoted();
    silence(&mut replica, 1);
    assert_eq!(seen(&replica, Some(&before)).1, Some(Strength::Assumed));
    assert_eq!(seen(&replica, None).0, Held::Unknown, "who took writes is not known, so nobody may be silent");
    let mut old = demoted();
    silence(&mut old, 0);
    assert_eq!(seen(&old, Some(&before)), (Held::Unknown, None, None));
    let mut stranger = demoted();
    let unnamed = Listed { name: "n9".into(), api: None, ..cluster(&mut stranger).members[1].clone() };
    cluster(&mut stranger).members.push(unnamed);
    assert_eq!(seen(&stranger, Some(&before)).1, Some(Strength::Assumed));
    // A server that was stopped at once is still finding its end: nothing is known to be lost or not.
    let mut old_version = demoted();
    leader(&mut old_version).version = Some("3.0.2".into());
    assert_eq!(seen(&old_version, Some(&before)), (Held::Holds, Some(Strength::Proven), None));
}

#[test]
fn what_a_demoted_primary_kept_is_counted_from_where_the_histories_parted() {
    let state = state(RunbookKind::Failback);
    let mut view = demoted();
    view.told.nodes.iter_mut().for_each(|n| n.timeline = Some(2));
    let end = view.told.nodes[0].replayed.unwrap().0;
    let before = Before {
        leader_at: Some(view.told.nodes[0].member.clone()),
        timeline: Some(2),
        position: Some(Lsn(1)),
        ..Before::default()
    };
    let missing = |view: &View, other: &View| {
        let seen = demote().seen(case(view, Some(other), &state, 0), Some(&before));
        seen.left.loss.and_then(|l| l.missing).map(|b| b.0)
    };
    let mut other = dr();
    other.told.nodes.iter_mut().for_each(|n| n.timeline = Some(2));
    (view.told.history, other.told.history) = (Ok(vec![switch(1, 500)]), Ok(vec![switch(1, 400)]));
    assert_eq!(missing(&view, &other), Some(end - 400));
    other.told.history = Ok(vec![switch(1, 500), switch(2, 600)]);
    assert_eq!(missing(&view, &other), Some(end - 600));
    // On a newer timeline whose beginning it does not tell yet.
    other.told.history = Ok(vec![switch(1, 500)]);
    other.told.nodes.iter_mut().for_each(|n| n.timeline = Some(3));
    assert_eq!(missing(&view, &other), None);
}

#[test]
fn a_demotion_says_beforehand_what_it_will_do_to_the_last_commits() {
    let state = state(RunbookKind::Switchover);
    let clean = |version: &str| {
        let mut view = prod();
        leader(&mut view).version = Some(version.into());
        of(&demote().plan(case(&view, Some(&dr()), &state, 0)), "stops-cleanly").held
    };
    assert_eq!((clean("4.1.0"), clean("4.0.5"), clean("3.3.2")), (Held::Holds, Held::Fails, Held::Fails));
    assert_eq!((clean("5.0"), clean("x")), (Held::Holds, Held::Fails));
    let mut paused = prod();
    cluster(&mut paused).overview.paused = true;
    assert_eq!(of(&demote().plan(case(&paused, Some(&dr()), &state, 0)), "not-paused").held, Held::Fails);
    let done = demote().plan(case(&demoted(), Some(&dr()), &state, 0));
    assert_eq!((done.already, done.left.fence.map(|f| f.strength)), (Held::Holds, Some(Strength::Proven)));
}

#[test]
fn maintenance_mode_counts_when_every_member_has_taken_it_in() {
    let state = state(RunbookKind::Switchover);
    let seen = |view: &View, begins| Pause { begins }.seen(case(view, None, &state, 0), None).held;
    let mut view = prod();
    assert_eq!((seen(&view, true), seen(&view, false)), (Held::Fails, Held::Holds));
    cluster(&mut view).overview.paused = true;
    assert_eq!(seen(&view, true), Held::Fails, "they have not taken it in");
    view.paused = vec![Some(true), None];
    assert_eq!((seen(&view, true), seen(&view, false)), (Held::Holds, Held::Fails));
}

#[test]
fn what_was_so_before_is_kept_in_the_journal() {
    let before = prod().before(Some(0), Some(&dr()));
    assert!(before.leader.is_some() && before.position.is_some());
    assert_eq!(Before::of(&before.left()), Some(before));
    assert_eq!(Before::of(&Yield::default()), None);
}
