//! A run to test with: steps, what is read of them, and a journal in memory.

use std::time::Duration;

use chrono::DateTime;
use serde_json::json;

use crate::plan::{BootTime, Now, PlanId, SafeText, SiteId, Span};

use super::super::*;

/// A moment, in seconds since the boot.
pub(super) fn at(secs: u64) -> Now {
    let wall = DateTime::from_timestamp(1_900_000_000 + i64::try_from(secs).unwrap(), 0).unwrap();
    Now { wall, boot: BootTime(Duration::from_secs(secs)) }
}

pub(super) fn who(user: &str) -> Operator {
    Operator { user: user.into(), host: "bastion".into(), from: None, pid: 7 }
}

pub(super) fn ix(place: usize) -> StepIx {
    StepIx::at(place)
}

/// A step of this role and danger.
pub(super) fn step(name: &str, role: StepRole, danger: Danger, group: Option<&str>) -> StepPlan {
    StepPlan {
        name: name.into(),
        kind: "test".to_owned(),
        probe: None,
        on: None,
        options: json!({ "name": name }),
        role,
        danger,
        retry: RetrySafety::ReadBack,
        verified: Verified::ByLooking,
        expect: None,
        deadline: Span::secs(30),
        group: group.map(str::to_owned),
        because: None,
    }
}

/// Look, fence, two side by side, promote, traffic, and a person's word.
pub(super) fn runbook() -> Runbook {
    let mut call = step("call them", StepRole::Notify, Danger::None, None);
    call.verified = Verified::ByPerson;
    Runbook {
        kind: RunbookKind::Failover,
        steps: vec![
            step("fence", StepRole::Fence, Danger::Changes, None),
            step("scale api", StepRole::Other, Danger::Changes, Some("scale")),
            step("scale web", StepRole::Other, Danger::Changes, Some("scale")),
            step("promote", StepRole::Promote, Danger::Irreversible, None),
            step("traffic", StepRole::Traffic, Danger::Changes, None),
            call,
        ],
    }
}

pub(super) fn opened(runbook: Runbook) -> Opened {
    Opened {
        plan: PlanId::new("payments"),
        kind: runbook.kind,
        cause: Cause::Outage,
        reason: "east is dark".into(),
        from: SiteId::new("east"),
        to: SiteId::new("west"),
        runbook,
        pinned: "[[plan]]".to_owned(),
        config: Digest::NONE,
        version: "0.1.0".into(),
        t0: Moment { at: at(0).wall, why: "the last good look".into() },
        detected: None,
        expected: Expected { rpo: Span::secs(30), rto: Span::secs(300), ..Expected::default() },
        scope: "this host".into(),
        after: None,
        practice: false,
    }
}

/// What is read of a step whose conditions all hold.
pub(super) fn preview(step: StepIx, now: Now) -> Preview {
    Preview {
        target: SafeText::new(&format!("target {step}")),
        role: "standby".into(),
        identity: Identity::default().with("system", &format!("id {step}")),
        actions: vec!["do it".into()],
        challenge: format!("do {step}"),
        conditions: vec![Condition::new("right", Class::Identity, "it is the right one", Held::Holds, &"read", now)],
        already: Held::Fails,
        left: Yield::default(),
        at: now,
    }
}

pub(super) fn risk(id: &'static str, held: Held, amount: Option<Span>, now: Now) -> Condition {
    let risk = Condition::new(id, Class::Risk, "no risk", held, &"read", now).accepted_by("risk it");
    match amount {
        None => risk,
        Some(span) => risk.amounting(Amount { span: Some(span), bytes: None }),
    }
}

pub(super) fn advice(id: &'static str, held: Held, now: Now) -> Condition {
    Condition::new(id, Class::Advice, "well advised", held, &"read", now)
}

/// A run with its journal in memory, and whoever speaks.
pub(super) struct Bench {
    pub(super) entries: Vec<Entry>,
    pub(super) state: RunState,
    pub(super) now: Now,
    pub(super) boot: SafeText,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(runbook())
    }

    pub(super) fn with(runbook: Runbook) -> Self {
        let boot = SafeText::new("boot 1");
        let first = entry(1, at(0), &boot, Epoch(0), Body::Opened(Box::new(opened(runbook))));
        let state = fold(std::slice::from_ref(&first)).unwrap();
        Self { entries: vec![first], state, now: at(1), boot }
    }

    /// With a runner that holds it.
    pub(super) fn held() -> Self {
        let mut bench = Self::new();
        bench.tenure(1);
        bench
    }

    pub(super) fn tenure(&mut self, epoch: u64) {
        self.append(Epoch(epoch), Body::Tenure { pid: 9, version: "0.1.0".into() });
    }

    /// Appends, whatever the rules say.
    pub(super) fn append(&mut self, epoch: Epoch, body: Body) {
        let entry = entry(self.state.seq + 1, self.now, &self.boot, epoch, body);
        self.state.take(&entry);
        self.entries.push(entry);
    }

    pub(super) fn asker(&self, epoch: Option<Epoch>) -> Asker<'_> {
        Asker { now: self.now, boot: &self.boot, epoch }
    }

    /// What a person's command comes to; appended where it is allowed.
    pub(super) fn person(&mut self, command: Command) -> Result<Vec<Body>, Refusal> {
        self.says(command, None)
    }

    /// The same for the runner of the newest tenure.
    pub(super) fn runner(&mut self, command: Command) -> Result<Vec<Body>, Refusal> {
        let epoch = self.state.epoch;
        self.says(command, Some(epoch))
    }

    fn says(&mut self, command: Command, epoch: Option<Epoch>) -> Result<Vec<Body>, Refusal> {
        let bodies = decide(&self.state, command, self.asker(epoch))?;
        let under = epoch.unwrap_or(self.state.epoch);
        let ignored = self.state.ignored.len();
        bodies.iter().for_each(|body| self.append(under, body.clone()));
        assert_eq!(self.state.ignored.len(), ignored, "what was decided fits");
        Ok(bodies)
    }

    /// Shows these steps as given.
    pub(super) fn show(&mut self, steps: Vec<(StepIx, Preview)>) -> u64 {
        let (from, to) = (steps.first().unwrap().0, steps.last().unwrap().0);
        self.person(Command::Ask { from, to }).unwrap();
        let asked = self.state.seq;
        self.runner(Command::Show { asked, steps }).unwrap();
        self.state.seq
    }

    pub(super) fn approve(&mut self, shown: u64, typed: &str) -> Result<Vec<Body>, Refusal> {
        let typed = typed.to_owned();
        self.person(Command::Approve { shown, risks: vec![], waived: vec![], typed })
    }

    /// Shows these steps with all well, and approves them.
    pub(super) fn approved(&mut self, from: usize, to: usize) {
        let steps: Vec<_> = (from..=to).map(|p| (ix(p), preview(ix(p), self.now))).collect();
        let shown = self.show(steps.clone());
        let challenge = prompt(&self.state.opened.runbook, &steps).challenge;
        self.approve(shown, &challenge).unwrap();
    }

    pub(super) fn begin(&mut self, place: usize) -> Result<Vec<Body>, Refusal> {
        let preview = Box::new(preview(ix(place), self.now));
        self.runner(Command::Begin { step: ix(place), preview })
    }

    pub(super) fn attempt(place: usize, nth: u16) -> AttemptId {
        AttemptId { step: ix(place), nth }
    }

    pub(super) fn acted(&mut self, place: usize, nth: u16) -> Result<Vec<Body>, Refusal> {
        let acted = Acted::Returned { said: "done".into(), left: Box::default() };
        self.runner(Command::Act { attempt: Self::attempt(place, nth), acted })
    }

    pub(super) fn end(&mut self, place: usize, nth: u16, outcome: Outcome) -> Result<Vec<Body>, Refusal> {
        let resolution = Resolution { outcome, why: "seen".into(), left: Yield::default() };
        self.runner(Command::End { attempt: Self::attempt(place, nth), resolution })
    }

    /// Carries out one step that is approved.
    pub(super) fn carry_out(&mut self, place: usize) {
        self.begin(place).unwrap();
        self.acted(place, 1).unwrap();
        self.end(place, 1, Outcome::Succeeded).unwrap();
    }
}

pub(super) fn entry(seq: u64, at: Now, boot: &SafeText, epoch: Epoch, body: Body) -> Entry {
    Entry {
        v: SCHEMA,
        run: RunId::new("payments-failover-1"),
        seq,
        at,
        boot: boot.clone(),
        who: who("alice"),
        epoch,
        prev: Digest::NONE,
        body,
    }
}
