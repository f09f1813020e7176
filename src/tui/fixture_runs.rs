//! Runs for tests of the screen: journals as client and runner would write them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::app::guided::{Host, News};
use crate::app::{App, Event, Stamped, update};
use crate::plan::{Bytes, Lsn, Now, PlanId, SafeText, SiteId, Span};
use crate::runbook::{
    Acted, Amount, Asker, AttemptId, Body, Cause, Class, Command, Condition, Danger, Digest, Entry, Epoch, Expected,
    Fence, Held, Identity, Loss, Moment, On, Opened, Operator, Outcome, Preview, Resolution, RetrySafety, RunId,
    RunState, Runbook, RunbookKind, Runbooks, SCHEMA, StepIx, StepPlan, StepRole, Strength, Verified, Yield, decide,
    fold,
};

/// A step.
fn step(name: &str, kind: &str, on: On, role: StepRole, danger: Danger, expect: u64) -> StepPlan {
    StepPlan {
        name: name.into(),
        kind: kind.to_owned(),
        probe: Some("orders-db".to_owned()),
        on: Some(on),
        options: serde_json::json!({}),
        role,
        danger,
        retry: RetrySafety::ReadBack,
        verified: Verified::ByLooking,
        expect: Some(Span::secs(expect)),
        deadline: Span::secs(60),
        group: None,
        because: None,
    }
}

/// Fence, promote, switch traffic, look, tell.
pub fn failover() -> Runbook {
    let mut tell = step("tell the support desk", "manual", On::NewActive, StepRole::Notify, Danger::None, 60);
    (tell.verified, tell.probe, tell.on) = (Verified::ByPerson, None, None);
    let steps = vec![
        step("fence the old primary", "postgres-fence", On::OldActive, StepRole::Fence, Danger::Changes, 5),
        step("promote the standby", "postgres-promote", On::NewActive, StepRole::Promote, Danger::Irreversible, 20),
        step("switch traffic", "dns-update", On::NewActive, StepRole::Traffic, Danger::Changes, 60),
        step("look at the shop", "http", On::NewActive, StepRole::Verify, Danger::None, 10),
        tell,
    ];
    Runbook { kind: RunbookKind::Failover, steps }
}

/// The runbooks of every plan of these.
pub fn runbooks(plans: &[(&str, u8)]) -> BTreeMap<PlanId, Arc<Runbooks>> {
    let of = |kind| Runbook { kind, ..failover() };
    let all = |name: &str| {
        let plan = PlanId::new(name);
        let by_kind = RunbookKind::ALL.into_iter().map(|kind| (kind, of(kind))).collect();
        (plan.clone(), Arc::new(Runbooks { plan, by_kind }))
    };
    plans.iter().map(|(name, _)| all(name)).collect()
}

/// What such a session runs in.
pub fn host() -> Host {
    Host {
        scope: "this host".into(),
        outlives: Held::Holds,
        why: "logind leaves processes alone (KillUserProcesses=no)".into(),
        ends: vec!["secrets in the environment (ORDERS_DB_PASSWORD)".into()],
    }
}

/// Makes an app one in which runs can be opened.
pub fn with_runbooks(mut app: App, plans: &[(&str, u8)], now: Now) -> App {
    app.runbooks = runbooks(plans);
    update(&mut app, Stamped { at: now, event: Event::Host(Box::new(host())) });
    app
}

pub fn who(user: &str) -> Operator {
    Operator { user: user.into(), host: "bastion".into(), from: None, pid: 4_711 }
}

/// A preview of a step of [`failover`] as the runner would make it.
pub fn preview(ix: StepIx, now: Now) -> Preview {
    let condition =
        |id: &'static str, class, what: &str, held, why: &str| Condition::new(id, class, what, held, &why, now);
    let identity = Identity::default().with("system identifier", &"7301").with("address", &"10.1.0.4:5432");
    let mut preview = Preview {
        target: "db.west.example.com:5432".into(),
        role: "standby, streaming, timeline 3".into(),
        identity,
        actions: Vec::new(),
        challenge: String::new(),
        conditions: Vec::new(),
        already: Held::Fails,
        left: Yield::default(),
        at: now,
    };
    match ix.0 {
        0 => {
            preview.target = "db.east.example.com:5432".into();
            preview.role = "not read: no answer within 3 s".into();
            preview.actions = vec!["alter role shop nologin".into(), "select pg_reload_conf()".into()];
            preview.challenge = "fence db.east".to_owned();
            preview.conditions = vec![
                condition("reachable", Class::Risk, "east can be reached", Held::Unknown, "no answer within 3 s")
                    .accepted_by("assumed fence"),
                condition("open-run", Class::Identity, "no other run is open", Held::Holds, "this one"),
            ];
        }
        1 => {
            preview.actions = vec!["select pg_promote(wait => false)".into()];
            preview.challenge = "promote db.west".to_owned();
            let amount = Amount { span: Some(Span::secs(51)), bytes: Some(Bytes(1_258_291)) };
            preview.conditions = vec![
                condition(
                    "in-recovery",
                    Class::Identity,
                    "west is in recovery",
                    Held::Holds,
                    "pg_is_in_recovery() = t",
                ),
                condition(
                    "fence",
                    Class::Risk,
                    "east is fenced: it takes no writes",
                    Held::Unknown,
                    "assumed: no answer",
                )
                .accepted_by("assumed fence"),
                condition("loss", Class::Risk, "nothing is lost", Held::Fails, "orders-db: <= 51s, beyond 30s")
                    .amounting(amount)
                    .accepted_by("lose"),
                condition(
                    "collation",
                    Class::Advice,
                    "collations are the same",
                    Held::Fails,
                    "153.14 here, 153.120 there",
                ),
            ];
        }
        2 => {
            preview.target = "ns1.example.com:53".into();
            preview.role = "authoritative, serial 2026030101".into();
            preview.actions = vec![
                "update delete shop.example.com A 203.0.113.10".into(),
                "update add shop.example.com 60 A 198.51.100.10".into(),
            ];
            preview.challenge = "shop.example.com".to_owned();
            preview.conditions = vec![
                condition("old-value", Class::Identity, "it answers 203.0.113.10", Held::Holds, "203.0.113.10, TTL 60"),
                condition(
                    "promoted",
                    Class::Risk,
                    "west takes writes",
                    Held::Unknown,
                    "its promotion is a step before this one",
                )
                .accepted_by("traffic without a primary")
                .later(),
            ];
        }
        3 => {
            preview.target = "https://shop.example.com/health".into();
            preview.role = "answers 503".into();
            preview.actions = vec!["GET https://shop.example.com/health".into()];
            preview.challenge = "look".to_owned();
        }
        _ => {
            preview.target = "a person".into();
            preview.role = "by hand".into();
            preview.actions = vec!["call +1 555 0199 and say that the shop is back".into()];
            preview.challenge = "told".to_owned();
        }
    }
    preview
}

/// A run as its journal tells it, entry by entry.
pub struct Tale {
    pub entries: Vec<Entry>,
    pub state: RunState,
    told: usize,
}

impl Tale {
    /// Opened by alice at this moment, with T0 51 seconds before.
    pub fn opened(plan: &str, kind: RunbookKind, now: Now) -> Self {
        let moment = |secs: i64| now.wall - chrono::Duration::seconds(secs);
        let opened = Opened {
            plan: PlanId::new(plan),
            kind,
            cause: Cause::Outage,
            reason: "east does not answer, ticket 4711".into(),
            from: SiteId::new("east"),
            to: SiteId::new("west"),
            runbook: Runbook { kind, ..failover() },
            pinned: String::new(),
            config: Digest::NONE,
            version: "0.1.0".into(),
            t0: Moment { at: moment(51), why: "the last good look at east".into() },
            detected: Some(moment(41)),
            expected: Expected {
                loss: Some(Span::secs(51)),
                missing: None,
                time: Some(Span::secs(95)),
                rpo: Span::secs(30),
                rto: Span::secs(300),
            },
            scope: "this host".into(),
            after: None,
            practice: false,
        };
        let run = RunId::new(&format!("{plan}-{kind}-20260301-140359-7f3a"));
        let first = Entry {
            v: SCHEMA,
            run,
            seq: 1,
            at: now,
            boot: "boot".into(),
            who: who("alice"),
            epoch: Epoch(0),
            prev: Digest::NONE,
            body: Body::Opened(Box::new(opened)),
        };
        let state = fold(std::slice::from_ref(&first)).unwrap();
        Self { entries: vec![first], state, told: 0 }
    }

    /// With a last step that undoes the fence.
    pub fn with_way_out(mut self) -> Self {
        if let Body::Opened(opened) = &mut self.entries[0].body {
            let kind = "postgres-unfence";
            let unfence = step("let them in again", kind, On::OldActive, StepRole::Unfence, Danger::Changes, 5);
            opened.runbook.steps.push(unfence);
        }
        self.state = fold(&self.entries).unwrap();
        self
    }

    pub fn run(&self) -> RunId {
        self.state.run.clone()
    }

    fn add(&mut self, body: Body, who: Operator, now: Now, epoch: Epoch) {
        let entry = Entry {
            v: SCHEMA,
            run: self.run(),
            seq: self.state.seq + 1,
            at: now,
            boot: "boot".into(),
            who,
            epoch,
            prev: Digest::NONE,
            body,
        };
        self.state.take(&entry);
        assert!(self.state.ignored.is_empty(), "{:?}", self.state.ignored);
        self.entries.push(entry);
    }

    /// A runner takes it.
    pub fn taken(mut self, now: Now) -> Self {
        let epoch = Epoch(self.state.epoch.0 + 1);
        self.add(Body::Tenure { pid: 99, version: "0.1.0".into() }, who("alice"), now, epoch);
        self
    }

    /// What a person's command adds.
    pub fn person(mut self, user: &str, command: Command, now: Now) -> Self {
        let asker = Asker { now, boot: &SafeText::new("boot"), epoch: None };
        for body in decide(&self.state, command, asker).unwrap() {
            let epoch = self.state.epoch;
            self.add(body, who(user), now, epoch);
        }
        self
    }

    /// What the runner's command adds.
    pub fn runner(mut self, command: Command, now: Now) -> Self {
        let asker = Asker { now, boot: &SafeText::new("boot"), epoch: Some(self.state.epoch) };
        for body in decide(&self.state, command, asker).unwrap() {
            let epoch = self.state.epoch;
            self.add(body, who("alice"), now, epoch);
        }
        self
    }

    /// Asked for and shown, as [`preview`] has it and `change` makes it.
    pub fn shown(self, from: u16, to: u16, now: Now, change: impl Fn(&mut Preview)) -> Self {
        let told = self.person("alice", Command::Ask { from: StepIx(from), to: StepIx(to) }, now);
        told.answered(from, to, now, change)
    }

    /// The runner's answer to what was asked.
    pub fn answered(self, from: u16, to: u16, now: Now, change: impl Fn(&mut Preview)) -> Self {
        let asked = self.state.asked.unwrap().2;
        let steps = (from..=to).map(StepIx).map(|ix| {
            let mut preview = preview(ix, now);
            change(&mut preview);
            (ix, preview)
        });
        let steps = steps.collect();
        self.runner(Command::Show { asked, steps }, now)
    }

    /// Approved as the prompt wants it, with this ceiling.
    pub fn approved(self, now: Now) -> Self {
        let shown = self.state.shown.clone().unwrap();
        let wanted = crate::runbook::prompt(&self.state.opened.runbook, &shown.steps);
        let risks =
            wanted.risks.iter().map(|(ix, c)| (*ix, c.id.to_string(), crate::runbook::expected_words(c))).collect();
        let waived = wanted.advice.iter().map(|(ix, c)| (*ix, c.id.to_string(), "known".to_owned())).collect();
        let typed = wanted.challenge;
        self.person("alice", Command::Approve { shown: shown.seq, risks, waived, typed }, now)
    }

    /// A step begins. What earlier steps make true is true by then.
    pub fn begun(self, ix: u16, now: Now) -> Self {
        let mut preview = preview(StepIx(ix), now);
        preview.conditions.iter_mut().filter(|c| c.later).for_each(|c| c.held = Held::Holds);
        self.runner(Command::Begin { step: StepIx(ix), preview: Box::new(preview) }, now)
    }

    fn attempt(&self, ix: u16) -> AttemptId {
        self.state.steps[usize::from(ix)].attempts.last().unwrap().id
    }

    /// Its call came back.
    pub fn acted(self, ix: u16, now: Now) -> Self {
        let attempt = self.attempt(ix);
        let acted = Acted::Returned { said: "t".into(), left: Box::default() };
        self.runner(Command::Act { attempt, acted }, now)
    }

    /// It ended.
    pub fn ended(self, ix: u16, outcome: Outcome, why: &str, left: Yield, now: Now) -> Self {
        let attempt = self.attempt(ix);
        let resolution = Resolution { outcome, why: why.into(), left };
        self.runner(Command::End { attempt, resolution }, now)
    }

    /// What was not told before, as news.
    pub fn news(&mut self, lives: Option<bool>) -> Event {
        let entries = self.entries[self.told..].to_vec();
        self.told = self.entries.len();
        Event::Journal(Box::new(News { run: self.run(), entries, lives }))
    }
}

/// The fence was assumed, so the old primary is watched.
pub fn assumed() -> Yield {
    Yield { fence: Some(Fence { strength: Strength::Assumed, why: "no answer within 3 s".into() }), ..Yield::default() }
}

/// What a promotion leaves.
pub fn promoted() -> Yield {
    Yield {
        loss: Some(Loss {
            seen: Some(Lsn(0x5_0020_0000)),
            held: Lsn(0x5_0010_0000),
            missing: Some(Bytes(1_048_576)),
            end: false,
        }),
        facts: vec!["timeline 3 -> 4".into(), "a commit returned after 212 ms".into()],
        ..Yield::default()
    }
}
