//! Clients, runners, a journal and the world they act on, as a model without disk, network or clock. A tape of bytes says
//! what happens; whatever it says, the properties must hold.
//!
//! The journal fails commits, fails after it committed, and refuses stale heads and old epochs. A runner may die or sleep
//! between any two of its steps, lose its lock to another, and speak of attempts that are not there. Clients race with
//! stale views and type wrong words. The world changes under what was shown. The wall clock is stepped, the host sleeps
//! and is started again.

use std::time::Duration;

use crate::plan::{BootTime, Now, SafeText, Span};

use super::super::*;
use super::bench::{advice, at, entry, ix, opened, preview, risk, runbook};

/// Bytes that say what happens, and zeros after their end.
pub(super) struct Tape<'a>(std::slice::Iter<'a, u8>);

impl<'a> Tape<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes.iter())
    }

    fn next(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }

    fn below(&mut self, most: usize) -> usize {
        usize::from(self.next()) % most.max(1)
    }

    /// Once in so many times.
    fn seldom(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    fn is_over(&self) -> bool {
        self.0.len() == 0
    }
}

/// Why nothing was appended, as far as the caller knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// Another entry came first.
    Moved,
    /// The tenure is over.
    Superseded,
    /// The commit failed, or so it seems: it may be there all the same.
    Commit,
}

/// The journal: appends are atomic, in order, and refused to whoever does not know its head.
pub(super) struct Store {
    pub(super) entries: Vec<Entry>,
}

impl Store {
    fn head(&self) -> u64 {
        u64::try_from(self.entries.len()).unwrap()
    }

    fn epoch(&self) -> Epoch {
        self.entries.iter().map(|e| e.epoch).max().unwrap_or_default()
    }

    fn append(
        &mut self,
        expected: u64,
        bodies: Vec<Body>,
        by: (Now, &SafeText, Option<Epoch>),
        fails: u8,
    ) -> Result<Vec<DurableEntry>, Failed> {
        let (now, boot, epoch) = by;
        if self.head() != expected {
            return Err(Failed::Moved);
        }
        if epoch.is_some_and(|e| e < self.epoch()) {
            return Err(Failed::Superseded);
        }
        if fails == 1 {
            return Err(Failed::Commit);
        }
        let epoch = epoch.unwrap_or(self.epoch());
        let first = self.entries.len();
        for body in bodies {
            let seq = self.head() + 1;
            self.entries.push(entry(seq, now, boot, epoch, body));
        }
        if fails == 2 {
            return Err(Failed::Commit);
        }
        Ok(self.entries[first..].iter().cloned().map(DurableEntry::committed).collect())
    }
}

/// What one step acts on.
#[derive(Clone, Default)]
pub(super) struct Target {
    /// Grows when it becomes another target.
    identity: u8,
    /// Grows when something else would be done.
    action: u8,
    /// Whether the effect is there.
    there: bool,
    right: Option<Held>,
    risk: Option<(Held, u64)>,
    advice: Option<Held>,
}

impl Target {
    pub(super) fn preview(&self, step: StepIx, now: Now) -> Preview {
        let mut seen = preview(step, now);
        seen.identity = seen.identity.with("generation", &self.identity);
        seen.actions.push(SafeText::new(&format!("in manner {}", self.action)));
        seen.already = Held::of(self.there);
        seen.conditions[0].held = self.right.unwrap_or(Held::Holds);
        if let Some((held, secs)) = self.risk {
            seen.conditions.push(risk("loss", held, Some(Span::secs(secs)), now));
        }
        if let Some(held) = self.advice {
            seen.conditions.push(advice("ttl", held, now));
        }
        seen
    }
}

/// Something that was done to the world.
#[derive(Clone, Debug)]
pub(super) struct Act {
    pub(super) attempt: AttemptId,
    /// How long the journal was then.
    pub(super) after: u64,
    pub(super) now: Now,
    pub(super) boot: SafeText,
    pub(super) epoch: Epoch,
    /// What the target was in that moment.
    pub(super) target: Preview,
}

/// A person's window: what it has read.
struct Client {
    view: RunState,
}

/// A runner: a process with its tenure, and what it has in hand.
struct Runner {
    tenure: Tenure,
    view: RunState,
    /// Intents that it saw committed, not acted on yet.
    admitted: Vec<DurableEntry>,
    /// What it did and could not write down yet.
    unwritten: Vec<(AttemptId, Acted)>,
    asleep: bool,
}

/// Everything.
pub(super) struct Model {
    pub(super) store: Store,
    pub(super) acts: Vec<Act>,
    /// Views that were caught up with, against the fold of what they read. What differs breaks P7.
    pub(super) strayed: Vec<String>,
    /// What was decided and does not fit.
    pub(super) misfits: Vec<(u64, &'static str)>,
    pub(super) counts: Counts,
    targets: Vec<Target>,
    clients: [Client; 2],
    runners: Vec<Runner>,
    now: Now,
    boot: SafeText,
    boots: u32,
    read_only: bool,
}

/// How often what happened: a model in which little happens proves little.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) refused: usize,
    pub(super) not_started: usize,
    pub(super) not_admitted: usize,
    pub(super) failed_commits: usize,
    pub(super) lost_commits: usize,
    pub(super) moved: usize,
    pub(super) superseded: usize,
}

impl Counts {
    pub(super) fn add(&mut self, more: Self) {
        self.refused += more.refused;
        self.not_started += more.not_started;
        self.not_admitted += more.not_admitted;
        self.failed_commits += more.failed_commits;
        self.lost_commits += more.lost_commits;
        self.moved += more.moved;
        self.superseded += more.superseded;
    }
}

impl Model {
    pub(super) fn new(read_only: bool) -> Self {
        let boot = SafeText::new("boot 0");
        let first = entry(1, at(0), &boot, Epoch(0), Body::Opened(Box::new(opened(runbook()))));
        let view = fold(std::slice::from_ref(&first)).unwrap();
        let client = || Client { view: view.clone() };
        Self {
            store: Store { entries: vec![first] },
            acts: Vec::new(),
            strayed: Vec::new(),
            misfits: Vec::new(),
            counts: Counts::default(),
            targets: vec![Target::default(); 6],
            clients: [client(), client()],
            runners: Vec::new(),
            now: at(1),
            boot,
            boots: 0,
            read_only,
        }
    }

    /// Lets everything happen that the tape says.
    pub(super) fn play(bytes: &[u8], read_only: bool) -> Self {
        let mut model = Self::new(read_only);
        let mut tape = Tape::new(bytes);
        while !tape.is_over() {
            model.happen(&mut tape);
        }
        model.judge_views();
        model
    }

    fn happen(&mut self, tape: &mut Tape<'_>) {
        self.now = self.now.plus(Duration::from_millis(u64::from(tape.next()) * 20));
        match tape.below(20) {
            0..=5 => self.person(tape),
            6..=15 => self.runner(tape),
            16..=17 => self.world(tape),
            18 => self.time(tape),
            _ => self.process(tape),
        }
    }

    /// Whether and how a commit fails.
    fn fault(&mut self, tape: &mut Tape<'_>) -> u8 {
        match tape.below(24) {
            22 => {
                self.counts.failed_commits += 1;
                1
            }
            23 => {
                self.counts.lost_commits += 1;
                2
            }
            _ => 0,
        }
    }

    fn asker(&self, epoch: Option<Epoch>) -> (Now, SafeText, Option<Epoch>) {
        (self.now, self.boot.clone(), epoch)
    }

    // ---- people

    fn person(&mut self, tape: &mut Tape<'_>) {
        if self.read_only {
            return;
        }
        let who = tape.below(2);
        if !tape.seldom(4) {
            catch_up(&mut self.clients[who].view, &self.store);
        }
        let view = &self.clients[who].view;
        let Some(command) = wanted(view, tape) else { return };
        let (now, boot, _) = self.asker(None);
        for _ in 0..2 {
            let view = &self.clients[who].view;
            let asker = Asker { now, boot: &boot, epoch: None };
            let Ok(bodies) = decide(view, command.clone(), asker) else {
                self.counts.refused += 1;
                return;
            };
            let expected = view.seq;
            let fails = self.fault(tape);
            match self.store.append(expected, bodies, (now, &boot, None), fails) {
                Ok(_) => return,
                // Somebody was faster, or it is not known whether it was written: read again, and decide again.
                Err(Failed::Moved) => self.counts.moved += 1,
                Err(Failed::Commit | Failed::Superseded) => {}
            }
            catch_up(&mut self.clients[who].view, &self.store);
        }
    }

    // ---- runners

    fn runner(&mut self, tape: &mut Tape<'_>) {
        if self.runners.is_empty() {
            self.take_over(tape, false);
            return;
        }
        let which = tape.below(self.runners.len());
        if self.runners[which].asleep {
            self.runners[which].asleep = !tape.seldom(3);
            return;
        }
        if tape.seldom(8) {
            self.stray(which, tape);
        } else {
            self.work(which, tape);
        }
    }

    /// A new runner takes the run: where the lock is free, or broken.
    fn take_over(&mut self, tape: &mut Tape<'_>, broken: bool) {
        if !self.runners.is_empty() && !broken {
            return;
        }
        let epoch = Epoch(self.store.epoch().0 + 1);
        let (now, boot, _) = self.asker(None);
        let mut view = self.clients[0].view.clone();
        catch_up(&mut view, &self.store);
        // What is closed is taken to be watched, and for nothing else.
        if view.closed.is_some() && !tape.seldom(4) {
            return;
        }
        let body = Body::Tenure { pid: 1, version: "0.1.0".into() };
        let fails = self.fault(tape);
        if self.store.append(view.seq, vec![body], (now, &boot, Some(epoch)), fails).is_err() {
            return;
        }
        catch_up(&mut view, &self.store);
        let tenure = Tenure::taken(view.run.clone(), epoch);
        self.runners.push(Runner { tenure, view, admitted: vec![], unwritten: vec![], asleep: false });
        self.says(self.runners.len() - 1, Command::Settle, tape);
    }

    /// What a runner decides and appends, by what it has read. `None` where nothing was written for certain.
    fn says(&mut self, which: usize, command: Command, tape: &mut Tape<'_>) -> Option<Vec<DurableEntry>> {
        let epoch = self.runners[which].tenure.epoch();
        let (now, boot, _) = self.asker(None);
        let view = &self.runners[which].view;
        let Ok(bodies) = decide(view, command, Asker { now, boot: &boot, epoch: Some(epoch) }) else {
            self.counts.refused += 1;
            return None;
        };
        let expected = view.seq;
        let fails = self.fault(tape);
        let appended = self.store.append(expected, bodies, (now, &boot, Some(epoch)), fails);
        catch_up(&mut self.runners[which].view, &self.store);
        match appended {
            Ok(durable) => Some(durable),
            Err(Failed::Moved) => {
                self.counts.moved += 1;
                None
            }
            Err(Failed::Superseded | Failed::Commit) => None,
        }
    }

    /// The next sensible thing.
    fn work(&mut self, which: usize, tape: &mut Tape<'_>) {
        if !tape.seldom(6) {
            catch_up(&mut self.runners[which].view, &self.store);
        }
        // What was done is written down before anything else is done.
        if let Some((attempt, acted)) = self.runners[which].unwritten.first().cloned() {
            if self.says(which, Command::Act { attempt, acted }, tape).is_some() {
                self.runners[which].unwritten.remove(0);
            }
            return;
        }
        if !tape.seldom(4)
            && let Some(durable) = self.runners[which].admitted.pop()
        {
            self.act(which, durable, tape);
            return;
        }
        let view = &self.runners[which].view;
        let open: Vec<_> = view.open_attempts().map(|a| (a.id, a.acted.clone().map(|(acted, _)| acted))).collect();
        if let Some((attempt, acted)) = open.iter().find(|(_, acted)| acted.is_some()).cloned() {
            if tape.seldom(4) {
                let what = SafeText::new(&format!("{} % of it", tape.next()));
                drop(self.says(which, Command::Progress { attempt, what }, tape));
            }
            self.observe(which, attempt, acted.as_ref(), tape);
            return;
        }
        let phase = view.phase();
        match phase {
            Phase::Preflight(from, to) => self.show(which, from, to, tape),
            Phase::Approved(next) => self.begin(which, next, tape),
            Phase::Acting(steps) => {
                let beside = self.runners[which].view.opened.runbook.beside(steps[0]);
                let other = (beside.start().place()..=beside.end().place()).map(ix).find(|at| !steps.contains(at));
                match other {
                    Some(other) if !tape.seldom(3) => self.begin(which, other, tape),
                    Some(_) | None => {
                        // It has it in hand and did not act: a failed commit, or words that came late.
                        let attempt = open[0].0;
                        self.end(which, attempt, Outcome::NotStarted, tape);
                    }
                }
            }
            Phase::Halted(step, Outcome::Indeterminate) => {
                let newest = self.runners[which].view.steps[step.place()].attempts.last().map(|a| a.id);
                if let Some(attempt) = newest {
                    self.observe(which, attempt, None, tape);
                }
            }
            Phase::Finished | Phase::Stopping => drop(self.says(which, Command::Close, tape)),
            Phase::Waiting(_) | Phase::Armed(..) | Phase::Halted(..) | Phase::Closed => {}
        }
    }

    /// Something that makes no sense here, or not now.
    fn stray(&mut self, which: usize, tape: &mut Tape<'_>) {
        let step = ix(tape.below(7));
        let attempt = AttemptId { step, nth: u16::from(tape.next() % 3) };
        match tape.below(9) {
            8 => drop(self.says(which, Command::Progress { attempt, what: "so far".into() }, tape)),
            7 => self.speak_out(which, attempt),
            0 => self.begin(which, step, tape),
            1 => drop(self.says(which, Command::Act { attempt, acted: Acted::Refused { said: "no".into() } }, tape)),
            2 => self.end(which, attempt, Outcome::Succeeded, tape),
            3 => drop(self.says(which, Command::Disarm { why: vec!["so".into()] }, tape)),
            4 => drop(self.says(which, Command::Close, tape)),
            5 => self.show(which, step, step.next(), tape),
            _ => drop(self.says(which, Command::Raise { what: "look".into() }, tape)),
        }
    }

    /// A runner that does not know yet that its tenure is over, and decides nothing: the journal alone refuses it.
    fn speak_out(&mut self, which: usize, attempt: AttemptId) {
        let epoch = self.runners[which].tenure.epoch();
        if epoch < self.store.epoch() {
            let (now, boot, _) = self.asker(None);
            let body = Body::Intent { attempt, approval: self.store.head(), identity: Identity::default() };
            let said = self.store.append(self.store.head(), vec![body], (now, &boot, Some(epoch)), 0);
            assert_eq!(said.err(), Some(Failed::Superseded));
            self.counts.superseded += 1;
        }
    }

    fn show(&mut self, which: usize, from: StepIx, to: StepIx, tape: &mut Tape<'_>) {
        let view = &self.runners[which].view;
        let Some((.., asked)) = view.asked else { return };
        let open = |at: &StepIx| step_in(view, *at).is_some_and(|(_, s)| !s.state.is_over());
        let steps = (from.place()..=to.place()).map(ix).filter(open);
        let now = self.now;
        let steps = steps.filter_map(|at| Some((at, self.targets.get(at.place())?.preview(at, now)))).collect();
        self.says(which, Command::Show { asked, steps }, tape);
    }

    fn begin(&mut self, which: usize, step: StepIx, tape: &mut Tape<'_>) {
        let Some(target) = self.targets.get(step.place()) else { return };
        let preview = Box::new(target.preview(step, self.now));
        let Some(durable) = self.says(which, Command::Begin { step, preview }, tape) else { return };
        let intents = durable.into_iter().filter(|d| matches!(d.entry().body, Body::Intent { .. }));
        self.runners[which].admitted.extend(intents);
    }

    /// Between a durable intent and the act: read the run and the target again. What comes between that look and the
    /// admission is seen by the admission.
    fn act(&mut self, which: usize, durable: DurableEntry, tape: &mut Tape<'_>) {
        if !tape.seldom(2) {
            catch_up(&mut self.runners[which].view, &self.store);
        }
        let Body::Intent { attempt, .. } = durable.entry().body else { return };
        let (now, boot, _) = self.asker(None);
        let seen = self.targets[attempt.step.place()].preview(attempt.step, now);
        let runner = &self.runners[which];
        let epoch = runner.tenure.epoch();
        let asker = Asker { now, boot: &boot, epoch: Some(epoch) };
        if may_act(&runner.view, attempt, &seen, asker).is_err() {
            self.counts.not_started += 1;
            self.end(which, attempt, Outcome::NotStarted, tape);
            return;
        }
        catch_up(&mut self.runners[which].view, &self.store);
        let runner = &self.runners[which];
        let Some(authorized) = admit(durable, &runner.tenure, &runner.view) else {
            self.counts.not_admitted += 1;
            self.end(which, attempt, Outcome::NotStarted, tape);
            return;
        };
        let attempt = authorized.attempt();
        self.acts.push(Act { attempt, after: self.store.head(), now, boot, epoch, target: seen });
        let target = &mut self.targets[attempt.step.place()];
        let (acted, effect) = match tape.below(8) {
            0 => (Acted::Refused { said: "no".into() }, false),
            1 => (Acted::NotSent { why: "no route".into() }, false),
            2 => (Acted::Unclear { why: "cut off".into(), left: Box::default() }, tape.seldom(2)),
            3 => (Acted::Failed { said: "half of it".into(), left: Box::default() }, tape.seldom(2)),
            _ => (Acted::Returned { said: "done".into(), left: Box::default() }, !tape.seldom(6)),
        };
        target.there |= effect;
        self.runners[which].unwritten.push((attempt, acted));
    }

    fn observe(&mut self, which: usize, attempt: AttemptId, acted: Option<&Acted>, tape: &mut Tape<'_>) {
        let there = self.targets[attempt.step.place()].there;
        let outcome = match acted {
            _ if there => Outcome::Succeeded,
            Some(Acted::Refused { .. } | Acted::NotSent { .. }) => Outcome::Failed,
            Some(Acted::Returned { .. } | Acted::Failed { .. }) if !tape.seldom(3) => Outcome::Failed,
            Some(Acted::Returned { .. } | Acted::Failed { .. } | Acted::Unclear { .. }) | None => {
                Outcome::Indeterminate
            }
        };
        self.end(which, attempt, outcome, tape);
    }

    fn end(&mut self, which: usize, attempt: AttemptId, outcome: Outcome, tape: &mut Tape<'_>) {
        let resolution = Resolution { outcome, why: "seen".into(), left: Yield::default() };
        self.says(which, Command::End { attempt, resolution }, tape);
    }

    // ---- the world, time, and processes

    fn world(&mut self, tape: &mut Tape<'_>) {
        let at = tape.below(self.targets.len());
        let held = |tape: &mut Tape<'_>| [Held::Holds, Held::Fails, Held::Unknown][tape.below(3)];
        let target = &mut self.targets[at];
        match tape.below(10) {
            8..=9 => {
                // What is at risk grows.
                let (held, secs) = target.risk.unwrap_or((Held::Fails, 0));
                target.risk = Some((held, secs + u64::from(tape.next())));
            }
            0 => target.identity = target.identity.wrapping_add(1),
            1 => target.action = target.action.wrapping_add(1),
            2 => target.there = !target.there,
            3 => target.right = Some(held(tape)),
            4 => target.right = None,
            5 => target.risk = Some((held(tape), u64::from(tape.next()))),
            6 => target.advice = Some(held(tape)),
            _ => *target = Target { there: target.there, ..Target::default() },
        }
    }

    fn time(&mut self, tape: &mut Tape<'_>) {
        let far = Duration::from_secs(u64::from(tape.next()) * 10);
        match tape.below(4) {
            // Suspended: both clocks go on.
            0 => self.now = self.now.plus(far),
            // The wall clock is set.
            1 => self.now.wall += chrono::Duration::from_std(far).unwrap(),
            2 => self.now.wall -= chrono::Duration::from_std(far).unwrap(),
            _ => {
                // Started again: every process is gone, and the boot clock begins anew.
                self.runners.clear();
                self.boots += 1;
                self.boot = SafeText::new(&format!("boot {}", self.boots));
                self.now.boot = BootTime(far / 16);
            }
        }
    }

    fn process(&mut self, tape: &mut Tape<'_>) {
        let which = tape.below(self.runners.len());
        match tape.below(4) {
            0 if which < self.runners.len() => drop(self.runners.remove(which)),
            1 if which < self.runners.len() => self.runners[which].asleep = true,
            2 => self.take_over(tape, true),
            3 if which < self.runners.len() => {
                if self.says(which, Command::Release { why: "enough".into() }, tape).is_some() {
                    self.runners.remove(which);
                }
            }
            _ => self.take_over(tape, false),
        }
        self.judge_views();
    }

    /// Every view that has read all is the fold of all.
    fn judge_views(&mut self) {
        let whole = fold(&self.store.entries).unwrap();
        self.misfits.clone_from(&whole.ignored);
        let clients = self.clients.iter_mut().map(|c| &mut c.view);
        for view in clients.chain(self.runners.iter_mut().map(|r| &mut r.view)) {
            catch_up(view, &self.store);
            if *view != whole {
                self.strayed.push(format!("{view:?}\n{whole:?}"));
            }
        }
    }
}

/// Reads what is new. What comes twice changes nothing.
fn catch_up(view: &mut RunState, store: &Store) {
    let known = usize::try_from(view.seq).unwrap();
    for entry in &store.entries[known..] {
        view.take(entry);
    }
}

/// What a person wants, by what they see: mostly the next sensible thing, sometimes anything.
fn wanted(view: &RunState, tape: &mut Tape<'_>) -> Option<Command> {
    let reason = if tape.seldom(16) { String::new() } else { "because".to_owned() };
    let any = ix(tape.below(7));
    if tape.seldom(4) {
        return Some(match tape.below(9) {
            0 => Command::Withdraw { reason },
            1 => Command::Skip { step: any, reason },
            2 => Command::Confirm { step: any, done: true, words: reason },
            3 => Command::Note { text: reason },
            4 => Command::Ask { from: any, to: any.next() },
            5 if tape.seldom(4) => Command::Abort { reason },
            6 => Command::Acknowledge { reason },
            7 => Command::Date { t0: Moment { at: at(5).wall, why: "the log".into() } },
            _ => Command::Skip { step: view.next_step()?, reason },
        });
    }
    match view.phase() {
        Phase::Armed(..) => {
            let shown = view.shown.as_ref()?;
            let asked = prompt(&view.opened.runbook, &shown.steps);
            let words = |tape: &mut Tape<'_>, right: String| match tape.below(24) {
                22 => "yes".to_owned(),
                23 => "risk it 1s".to_owned(),
                _ => right,
            };
            let risks = asked.risks.iter().map(|(s, c)| (*s, c.id.to_string(), words(tape, expected_words(c))));
            let risks = risks.collect();
            let waived = asked.advice.iter().map(|(s, c)| (*s, c.id.to_string(), reason.clone())).collect();
            let typed = words(tape, asked.challenge.clone());
            let seq = if tape.seldom(12) { shown.seq.saturating_sub(1) } else { shown.seq };
            Some(Command::Approve { shown: seq, risks, waived, typed })
        }
        Phase::Waiting(next) | Phase::Halted(next, _) => {
            let range = view.opened.runbook.default_range(view.next_step().unwrap_or(next));
            Some(Command::Ask { from: *range.start(), to: *range.end() })
        }
        Phase::Approved(_) | Phase::Acting(_) | Phase::Preflight(..) | Phase::Stopping | Phase::Finished => None,
        Phase::Closed => Some(Command::Acknowledge { reason }),
    }
}
