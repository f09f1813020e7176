//! What adds to a journal: opening a run, taking it, and every entry after that.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};

use crate::clock;
use crate::plan::SafeText;
use crate::runbook::{
    Asker, Body, Closing, Command, Digest, DurableEntry, Entry, Epoch, Opened, Operator, Outcome, Phase, RunId,
    RunState, RunbookKind, Tenure, WATCHED, chain, decide,
};

use super::{Held, Journal, JournalError, Known, lock, open_of};

/// The version of the form of an entry that opens a run: that has not changed since.
const FIRST: u16 = 1;

impl Journal {
    /// Opens a run, as the only open one of its plan. A failover is not opened while nobody has acknowledged how the last
    /// one of the plan ended, unless nothing was begun in that.
    ///
    /// With `preempt` it takes the place of that open run, for the reason that was typed: a failover may take that of a
    /// drill, or of a run that has halted. Both journals say so, in one transaction. Where the other's runner is gone in
    /// the middle of a step, the step becomes indeterminate.
    ///
    /// # Errors
    /// Why it is not opened; nothing was changed.
    pub fn open_run(
        &self,
        id: RunId,
        opened: Opened,
        who: Operator,
        preempt: Option<(RunId, SafeText)>,
    ) -> Result<RunState, JournalError> {
        self.may_write()?;
        if !RunId::fits(id.as_str()) {
            return Err(JournalError::BadName(id));
        }
        let mut writer = self.writer();
        let tx = self.begin(&mut writer)?;
        let mut note = None;
        // Held until the transaction is over: no runner takes the other run meanwhile.
        let mut _lock = None;
        if let Some((other, reason)) = preempt {
            _lock = self.preempt(&tx, &other, &id, &opened, &reason, &who)?;
            note = Some(Body::Noted { text: SafeText::new(&format!("took the place of {other}: {reason}")) });
        }
        if let Some(run) = open_of(&tx, &opened.plan).map_err(self.failed())? {
            return Err(JournalError::Open { plan: opened.plan, run });
        }
        if opened.kind == RunbookKind::Failover
            && let Some(run) = self.unacknowledged(&tx, &opened)?
        {
            return Err(JournalError::Unacknowledged { plan: opened.plan, run });
        }
        self.add_run(&tx, &id, &opened, &who)?;
        let first = Entry {
            v: FIRST,
            run: id.clone(),
            seq: 1,
            at: clock::now(),
            boot: self.boot.clone(),
            who: who.clone(),
            epoch: Epoch(0),
            prev: Digest::NONE,
            body: Body::Opened(Box::new(opened)),
        };
        self.insert(&tx, &first)?;
        let mut known = self.load(&tx, &id, None)?;
        self.add(&tx, &mut known, note.into_iter().collect(), &who, Epoch(0))?;
        self.commit(tx)?;
        drop(writer);
        let state = known.state.clone();
        self.remember(known);
        Ok(state)
    }

    fn may_write(&self) -> Result<(), JournalError> {
        if self.looks { Err(JournalError::ReadOnly) } else { Ok(()) }
    }

    /// Begins with the lock, on the file that is at its path.
    pub(super) fn begin<'a>(&self, writer: &'a mut Connection) -> Result<Transaction<'a>, JournalError> {
        let tx = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(self.failed())?;
        self.is_there()?;
        Ok(tx)
    }

    /// Ends it. What was flushed into a file that was taken away meanwhile is not on disk.
    pub(super) fn commit(&self, tx: Transaction<'_>) -> Result<(), JournalError> {
        tx.commit().map_err(self.failed())?;
        self.is_there()
    }

    fn add_run(&self, tx: &Transaction<'_>, id: &RunId, opened: &Opened, who: &Operator) -> Result<(), JournalError> {
        let exists = tx
            .prepare_cached("SELECT 1 FROM run WHERE id = ?1")
            .and_then(|mut s| s.query_row([id.as_str()], |_| Ok(())).optional())
            .map_err(self.failed())?;
        if exists.is_some() {
            return Err(JournalError::Twice(id.clone()));
        }
        let who = json(id, who)?;
        let wall = clock::now().wall.timestamp_micros();
        tx.execute(
            "INSERT INTO run (id, plan, kind, wall, who) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![id.as_str(), opened.plan.as_str(), opened.kind.word(), wall, who],
        )
        .map_err(self.failed())?;
        Ok(())
    }

    /// The newest failover of the plan in which something was begun, and whose end nobody has acknowledged. One whose
    /// place was taken was looked at by whoever took it: they said why.
    fn unacknowledged(&self, tx: &Transaction<'_>, opened: &Opened) -> Result<Option<RunId>, JournalError> {
        let candidates: Vec<String> = tx
            .prepare_cached(
                "SELECT id FROM run WHERE plan = ?1 AND kind = ?2 AND NOT open AND NOT acknowledged ORDER BY wall DESC",
            )
            .and_then(|mut s| s.query_map(params![opened.plan.as_str(), opened.kind.word()], |r| r.get(0))?.collect())
            .map_err(self.failed())?;
        for id in candidates {
            let state = self.load(tx, &RunId::new(&id), None)?.state;
            let preempted = matches!(state.closed, Some((Closing::Preempted { .. }, _)));
            let begun = state
                .steps
                .iter()
                .flat_map(|s| &s.attempts)
                .any(|a| a.end.as_ref().is_none_or(|(r, ..)| r.outcome != Outcome::NotStarted));
            if begun && !preempted {
                return Ok(Some(state.run));
            }
        }
        Ok(None)
    }

    /// Closes `other` in favour of `by`. Returns the lock that was taken of it, where its runner was gone.
    fn preempt(
        &self,
        tx: &Transaction<'_>,
        other: &RunId,
        by: &RunId,
        opened: &Opened,
        reason: &SafeText,
        who: &Operator,
    ) -> Result<Option<std::os::fd::OwnedFd>, JournalError> {
        let keeps = |why: &str| Err(JournalError::KeepsItsPlace { run: other.clone(), why: SafeText::new(why) });
        if reason.as_str().trim().is_empty() {
            return keeps("say why it should give way");
        }
        let mut known = self.load(tx, other, self.remembered(other))?;
        if opened.kind != RunbookKind::Failover || opened.practice != known.state.opened.practice {
            return keeps("only a failover takes another run's place");
        }
        if known.state.opened.plan != opened.plan {
            return keeps("it is a run of another plan");
        }
        if known.state.closed.is_some() {
            return Err(JournalError::Closed(other.clone()));
        }
        let mut lock = None;
        let in_hand = known.state.open_attempts().next().map(|a| a.id.step);
        if let Some(step) = in_hand {
            match lock::take(&self.dir, other) {
                Ok(taken) => lock = Some(taken),
                Err(JournalError::Held(run)) => return Err(JournalError::InHand { run, step }),
                Err(e) => return Err(e),
            }
            self.settle(tx, &mut known, who)?;
        }
        let drill = !known.state.opened.kind.is_real();
        if !drill && !matches!(known.state.phase(), Phase::Halted(..)) {
            return keeps("it has not halted: attach to it, or end it");
        }
        let epoch = known.state.epoch;
        let closing = Closing::Preempted { by: by.clone(), reason: reason.clone() };
        self.add(tx, &mut known, vec![Body::Closed(closing)], who, epoch)?;
        Ok(lock)
    }

    /// Takes a tenure on a run whose runner is gone, and says of what it had in hand that nobody knows.
    fn settle(&self, tx: &Transaction<'_>, known: &mut Known, who: &Operator) -> Result<(), JournalError> {
        let epoch = self.add_tenure(tx, known, who)?;
        let asker = Asker { now: clock::now(), boot: &self.boot, epoch: Some(epoch) };
        let unsound =
            |e: crate::runbook::Refusal| JournalError::Unsound { run: known.state.run.clone(), why: e.to_string() };
        let lost = decide(&known.state, Command::Settle, asker).map_err(unsound)?;
        self.add(tx, known, lost, who, epoch)?;
        Ok(())
    }

    fn add_tenure(&self, tx: &Transaction<'_>, known: &mut Known, who: &Operator) -> Result<Epoch, JournalError> {
        let epoch = Epoch(known.state.epoch.0.saturating_add(1));
        let body = Body::Tenure { pid: who.pid, version: SafeText::new(env!("CARGO_PKG_VERSION")) };
        self.add(tx, known, vec![body], who, epoch)?;
        Ok(epoch)
    }

    /// Takes a run: the kernel's lock, and the next epoch. What the runner before had in hand is not settled by this. A run
    /// that is over is taken only to be watched.
    ///
    /// # Errors
    /// `Held` where another process has it, `Closed` where the run is over, and whatever keeps from writing.
    pub fn take(&self, run: &RunId, who: &Operator) -> Result<Held, JournalError> {
        self.may_write()?;
        let is_over = |state: &RunState| state.closed.is_some() && !state.wants_watch(clock::now(), WATCHED);
        // Only a run that is there gets a file for its lock.
        if is_over(&self.state(run)?) {
            return Err(JournalError::Closed(run.clone()));
        }
        let lock = lock::take(&self.dir, run)?;
        let mut writer = self.writer();
        let tx = self.begin(&mut writer)?;
        let mut known = self.load(&tx, run, self.remembered(run))?;
        if is_over(&known.state) {
            return Err(JournalError::Closed(run.clone()));
        }
        let epoch = self.add_tenure(&tx, &mut known, who)?;
        self.commit(tx)?;
        drop(writer);
        self.remember(known);
        Ok(Held { tenure: Tenure::taken(run.clone(), epoch), lock: Arc::new(lock) })
    }

    /// Adds to a run, after the entry that the author saw last. What comes back is on disk for certain; an error says that
    /// nothing is to be done about any of it.
    ///
    /// # Errors
    /// `Moved` where another entry is newer, `Superseded` where a runner's tenure is over, and whatever keeps from writing.
    pub fn append(
        &self,
        run: &RunId,
        expected: u64,
        bodies: Vec<Body>,
        who: &Operator,
        epoch: Epoch,
    ) -> Result<Vec<DurableEntry>, JournalError> {
        self.may_write()?;
        if bodies.iter().any(is_the_journals) {
            return Err(JournalError::Unsound {
                run: run.clone(),
                why: "only opening and taking a run say that".to_owned(),
            });
        }
        let mut writer = self.writer();
        let tx = self.begin(&mut writer)?;
        let mut known = self.load(&tx, run, self.remembered(run))?;
        if known.state.seq != expected {
            let seq = known.state.seq;
            drop(tx);
            self.remember(known);
            return Err(JournalError::Moved { seq });
        }
        let added = self.add(&tx, &mut known, bodies, who, epoch)?;
        self.commit(tx)?;
        drop(writer);
        self.remember(known);
        Ok(added.into_iter().map(DurableEntry::committed).collect())
    }

    /// Adds entries to what is known of a run, within a transaction. What does not fit is refused here, whoever decided it.
    fn add(
        &self,
        tx: &Transaction<'_>,
        known: &mut Known,
        bodies: Vec<Body>,
        who: &Operator,
        epoch: Epoch,
    ) -> Result<Vec<Entry>, JournalError> {
        let run = known.state.run.clone();
        let at = clock::now();
        let mut added = Vec::with_capacity(bodies.len());
        for body in bodies {
            if is_the_runners(&body) && (epoch != known.state.epoch || !known.state.held) {
                return Err(JournalError::Superseded { said: epoch, newest: known.state.epoch });
            }
            let (seq, boot) = (known.state.seq.saturating_add(1), self.boot.clone());
            let (v, prev) = (body.version(&known.state), known.head);
            let entry = Entry { v, run: run.clone(), seq, at, boot, who: who.clone(), epoch, prev, body };
            let (text, entry) = self.insert(tx, &entry)?;
            known.state.take(&entry);
            known.head = chain(&text);
            if let Some((_, why)) = known.state.ignored.first() {
                return Err(JournalError::Unsound { run, why: (*why).to_owned() });
            }
            self.mark(tx, &entry)?;
            added.push(entry);
        }
        Ok(added)
    }

    /// Writes one entry. Returns its text, and the entry as anybody else will read it.
    fn insert(&self, tx: &Transaction<'_>, entry: &Entry) -> Result<(String, Entry), JournalError> {
        let text = json(&entry.run, entry)?;
        let read = super::parse(&entry.run, entry.seq, &text)?;
        let seq = i64::try_from(entry.seq).unwrap_or(i64::MAX);
        tx.prepare_cached("INSERT INTO entry (run, seq, wall, hash, text) VALUES (?1, ?2, ?3, ?4, ?5)")
            .and_then(|mut s| {
                let hash = chain(&text).to_string();
                s.execute(params![entry.run.as_str(), seq, entry.at.wall.timestamp_micros(), hash, text])
            })
            .map_err(self.failed())?;
        Ok((text, read))
    }

    /// Keeps the run's row in step with its entries.
    fn mark(&self, tx: &Transaction<'_>, entry: &Entry) -> Result<(), JournalError> {
        let run = entry.run.as_str();
        let done = if let Body::Closed(closing) = &entry.body {
            let closing = json(&entry.run, closing)?;
            let wall = entry.at.wall.timestamp_micros();
            tx.execute("UPDATE run SET open = 0, closing = ?2, closed = ?3 WHERE id = ?1", params![run, closing, wall])
        } else if let Body::Acknowledged { .. } = &entry.body {
            tx.execute("UPDATE run SET acknowledged = 1 WHERE id = ?1", [run])
        } else {
            return Ok(());
        };
        done.map(|_| ()).map_err(self.failed())
    }
}

/// Whether only a runner says this: it holds the run, or it is not heard.
const fn is_the_runners(body: &Body) -> bool {
    match body {
        Body::Released { .. }
        | Body::Shown { .. }
        | Body::Disarmed { .. }
        | Body::Intent { .. }
        | Body::Acted { .. }
        | Body::Progress { .. }
        | Body::Outcome { .. }
        | Body::Alarm { .. }
        | Body::Closed(Closing::Completed) => true,
        Body::Opened(_)
        | Body::Tenure { .. }
        | Body::Asked { .. }
        | Body::Approved(_)
        | Body::Withdrawn { .. }
        | Body::Confirmed { .. }
        | Body::Skipped { .. }
        | Body::Dated { .. }
        | Body::Noted { .. }
        | Body::Aborting { .. }
        | Body::Closed(Closing::Aborted { .. } | Closing::Preempted { .. })
        | Body::Acknowledged { .. } => false,
    }
}

/// Whether only the journal itself says this, when a run is opened, taken, or gives way.
const fn is_the_journals(body: &Body) -> bool {
    matches!(body, Body::Opened(_) | Body::Tenure { .. } | Body::Closed(Closing::Preempted { .. }))
}

fn json<T: serde::Serialize>(run: &RunId, value: &T) -> Result<String, JournalError> {
    let unsound = |e: serde_json::Error| JournalError::Unsound { run: run.clone(), why: e.to_string() };
    serde_json::to_string(value).map_err(unsound)
}
