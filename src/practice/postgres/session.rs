//! A session: who it is, its transaction, and one message of statements at a time.

use std::sync::Arc;
use std::time::Duration;

use pgwire::api::ConnectionManager;
use sqlparser::ast::Statement;
use tokio::sync::Mutex;

use super::error::{SqlError, Stop, Wait};
use super::exec::{Changed, Effect, Exec, Own, Relation, Seat};
use super::statement::{self, Done};
use super::value::{Datum, Type, V};
use crate::practice::shared::Shared;
use crate::practice::world::World;
use crate::practice::world::time::Moment;

/// A session at one of the servers.
pub(super) struct Session {
    pub(super) shared: Shared,
    pub(super) server: &'static str,
    pub(super) manager: Arc<ConnectionManager>,
    pub(super) state: Mutex<State>,
}

/// What a session knows between two messages.
#[derive(Default)]
pub(super) struct State {
    /// Who it is, once that is proven.
    pub(super) seat: Option<Seat>,
    /// What it has set for itself.
    pub(super) own: Own,
    /// Where in proving it is.
    pub(super) login: super::login::Login,
    transaction: Transaction,
}

#[derive(Default)]
struct Transaction {
    /// Between `BEGIN` and its end.
    explicit: bool,
    /// Something in it failed.
    failed: bool,
    began: Option<Moment>,
    changed: Vec<Changed>,
    effects: Vec<Effect>,
}

/// What a session says of its transaction with a result.
pub(super) enum Says {
    /// What came of a statement.
    Done(Done),
    /// A transaction began, or ended: under this tag.
    Began,
    Ended(&'static str),
    /// A warning.
    Warning(&'static str, String),
}

impl Session {
    pub(super) fn new(shared: &Shared, server: &'static str, manager: &Arc<ConnectionManager>) -> Self {
        Self { shared: shared.clone(), server, manager: Arc::clone(manager), state: Mutex::new(State::default()) }
    }

    /// Waits until somebody ended it.
    pub(super) async fn ended(&self, pid: i32) {
        let server = self.server;
        self.shared.until(|w| (!alive(w, server, pid)).then_some(())).await;
    }

    /// Runs the statements of one message; what was done before one failed comes with the failure.
    pub(super) async fn message(&self, text: &str) -> (Vec<Says>, Option<SqlError>) {
        let mut state = self.state.lock().await;
        self.forget(&mut state);
        let statements = match statement::parse(text) {
            Ok(statements) => statements,
            Err(e) => {
                state.transaction.failed |= state.transaction.explicit;
                return (Vec::new(), Some(e));
            }
        };
        self.busy(&state, text, true);
        let mut said = Vec::new();
        let mut failed = None;
        for one in &statements {
            match self.one(&mut state, one, &[]).await {
                Ok(more) => said.extend(more),
                Err(e) => {
                    failed = Some(e);
                    break;
                }
            }
        }
        if !state.transaction.explicit {
            // The statements of one message are one transaction.
            if let Err(e) = self.end(&mut state, failed.is_none()) {
                failed = failed.or(Some(e));
            }
        }
        self.busy(&state, text, false);
        (said, failed)
    }

    /// Runs one statement of the extended protocol.
    pub(super) async fn portal(&self, one: &Statement, parameters: &[Datum]) -> Result<Vec<Says>, SqlError> {
        let mut state = self.state.lock().await;
        self.forget(&mut state);
        let text = one.to_string();
        self.busy(&state, &text, true);
        let mut done = self.one(&mut state, one, parameters).await;
        if !state.transaction.explicit {
            let ended = self.end(&mut state, done.is_ok());
            if let (Ok(_), Err(e)) = (&done, ended) {
                done = Err(e);
            }
        }
        self.busy(&state, &text, false);
        done
    }

    /// What a statement would give, without running it.
    pub(super) async fn described(&self, one: &Statement, parameters: usize) -> Result<Option<Relation>, SqlError> {
        let Statement::Query(query) = one else { return Ok(None) };
        let mut state = self.state.lock().await;
        let State { seat: Some(seat), own, .. } = &mut *state else { return Err(not_in()) };
        let nulls = vec![Datum::null(Type::Unknown); parameters];
        let mut effects = Vec::new();
        let relation = self.shared.with(|w| {
            let now = w.clock().now();
            let mut exec = Exec::new(w, seat, own, (now, now), &[], &mut effects);
            exec.parameters = &nulls;
            exec.dry = true;
            exec.query(query, None)
        });
        match relation {
            Ok(relation) => Ok(Some(relation)),
            Err(Stop::Error(e)) => Err(e),
            Err(Stop::Wait(_)) => Ok(None),
        }
    }

    /// What a message began that was called off before its end is not there: it was a transaction by itself.
    fn forget(&self, state: &mut State) {
        if !state.transaction.explicit {
            // Undoing cannot fail: nothing of it is in the world yet.
            let _ = self.end(state, false);
        }
    }

    /// Shows in `pg_stat_activity` what the session does.
    fn busy(&self, state: &State, text: &str, active: bool) {
        let Some(seat) = &state.seat else { return };
        let (pid, at) = (seat.pid, self.server);
        self.shared.with(|w| {
            let now = w.clock().now();
            if let Some(session) = w.server_mut(at).and_then(|s| s.sessions.get_mut(pid)) {
                session.active = active;
                session.query = Some((text.chars().take(1_024).collect(), now));
                if let Some(name) = state.own.get("application_name") {
                    session.application.clone_from(name);
                }
            }
        });
    }

    async fn one(&self, state: &mut State, one: &Statement, parameters: &[Datum]) -> Result<Vec<Says>, SqlError> {
        let ends = matches!(one, Statement::Commit { .. } | Statement::Rollback { savepoint: None, .. });
        if state.transaction.failed && !ends {
            let what = "current transaction is aborted, commands ignored until end of transaction block";
            return Err(SqlError::new("25P02", what));
        }
        let done = self.done(state, one, parameters).await;
        match done {
            Err(e) => {
                state.transaction.failed |= state.transaction.explicit;
                Err(e)
            }
            Ok((Done::Begin, mut warnings)) => {
                if state.transaction.explicit {
                    warnings.push(Says::Warning("25001", "there is already a transaction in progress".to_owned()));
                }
                state.transaction.explicit = true;
                warnings.push(Says::Began);
                Ok(warnings)
            }
            Ok((Done::End(commit), mut warnings)) => {
                if !state.transaction.explicit {
                    warnings.push(Says::Warning("25P01", "there is no transaction in progress".to_owned()));
                }
                let commit = commit && !state.transaction.failed;
                self.end(state, commit)?;
                warnings.push(Says::Ended(if commit { "COMMIT" } else { "ROLLBACK" }));
                Ok(warnings)
            }
            Ok((done, mut warnings)) => {
                warnings.push(Says::Done(done));
                Ok(warnings)
            }
        }
    }

    /// Works a statement out, waiting where it must.
    async fn done(
        &self,
        state: &mut State,
        one: &Statement,
        parameters: &[Datum],
    ) -> Result<(Done, Vec<Says>), SqlError> {
        let mut waited: Vec<Datum> = Vec::new();
        let mut warnings = Vec::new();
        let State { seat: Some(seat), own, transaction, .. } = state else { return Err(not_in()) };
        let limit = own.get("statement_timeout").and_then(|t| statement::millis(t)).filter(|n| *n > 0);
        let until = limit.map(|n| tokio::time::Instant::now() + Duration::from_millis(n));
        loop {
            let outcome = self.shared.with(|w| {
                if !alive(w, seat.server, seat.pid) {
                    return Err(Stop::Error(terminated()));
                }
                let now = w.clock().now();
                let began = *transaction.began.get_or_insert(now);
                let before = transaction.effects.len();
                let mut exec = Exec::new(w, seat, own, (began, now), &waited, &mut transaction.effects);
                exec.parameters = parameters;
                let outcome = statement::run(&mut exec, one);
                let changed = std::mem::take(&mut exec.changed);
                if outcome.is_ok() {
                    transaction.changed.extend(changed);
                } else {
                    transaction.effects.truncate(before);
                    restore(own, &changed);
                }
                outcome
            });
            match outcome {
                Ok(done) => return Ok((done, warnings)),
                Err(Stop::Error(e)) => return Err(e),
                Err(Stop::Wait(wait)) => {
                    let late = || SqlError::new("57014", "canceling statement due to statement timeout");
                    let waiting = self.wait(seat, wait, &mut warnings);
                    waited.push(match until {
                        Some(until) => tokio::time::timeout_at(until, waiting).await.map_err(|_| late())?,
                        None => waiting.await,
                    });
                }
            }
        }
    }

    async fn wait(&self, seat: &Seat, wait: Wait, warnings: &mut Vec<Says>) -> Datum {
        let at = seat.server;
        match wait {
            Wait::Sleep(seconds) => {
                let long = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::from_secs(86_400));
                tokio::time::sleep(long).await;
                Datum::new(Type::Void, V::Text(String::new()))
            }
            Wait::Promotion(seconds) => {
                let long = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::from_secs(86_400));
                let promoted = self.shared.until(|w| w.server(at).is_some_and(|(_, s)| !s.in_recovery()).then_some(()));
                let done = tokio::time::timeout(long, promoted).await.is_ok();
                if !done {
                    let words = format!("server did not promote within {seconds} seconds");
                    warnings.push(Says::Warning("01000", words));
                }
                Datum::bool(done)
            }
            Wait::Lock(key) => {
                let pid = seat.pid;
                let taken = |w: &mut World| {
                    let server = w.server_mut(at)?;
                    server.sessions.lock(key, pid).then_some(())
                };
                self.shared.until(taken).await;
                Datum::new(Type::Void, V::Text(String::new()))
            }
        }
    }

    /// Ends a transaction: its effects come about, or never were.
    fn end(&self, state: &mut State, commit: bool) -> Result<(), SqlError> {
        let Transaction { changed, effects, .. } = std::mem::take(&mut state.transaction);
        let back: Vec<Changed> = changed.into_iter().filter(|c| c.local || !commit).collect();
        restore(&mut state.own, &back);
        if !commit || effects.is_empty() {
            return Ok(());
        }
        let at = self.server;
        self.shared.with(|w| {
            for effect in &effects {
                let committed = match effect {
                    Effect::Login(role, may) => w.alter_login(at, role, *may),
                    Effect::Order(customer, cents) => w.insert_order(at, *customer, *cents),
                };
                if committed.is_none() {
                    return Err(SqlError::new("25006", "cannot commit: the server is in recovery"));
                }
            }
            Ok(())
        })
    }
}

/// Takes settings back, the newest first.
fn restore(own: &mut Own, changed: &[Changed]) {
    for change in changed.iter().rev() {
        match &change.before {
            Some(value) => own.insert(change.name.clone(), value.clone()),
            None => own.remove(&change.name),
        };
    }
}

fn alive(world: &World, server: &str, pid: i32) -> bool {
    world.server(server).is_some_and(|(_, s)| s.sessions.get(pid).is_some())
}

fn not_in() -> SqlError {
    SqlError::fatal("08P01", "a query before the session began")
}

/// What a session that somebody ended is told.
pub(super) fn terminated() -> SqlError {
    SqlError::fatal("57P01", "terminating connection due to administrator command")
}
