//! One lane per site: keeps a connection, looks within a deadline, says which gap it is when it cannot.

mod check;
mod logical;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{self, Either};
use secrecy::SecretString;
use tokio::time::Instant;

pub(super) use self::check::open as open_check;
use self::logical::{Digests, Logical};
use super::client::{self, Connection, How, Told};
use super::conninfo::Params;
use super::examine;
use super::faults::{gap_of, gap_of_db};
use super::grants::Reads;
use super::libpq::{self, Gathered};
use super::options::{ConnText, Mode, PostgresOptions};
use super::parse::{self, Answers, Table};
use super::queries::{Ask, REPLICATING, freshness};
use super::signals;
use super::target::{Host, SessionAttrs};
use crate::net::{Net, Permit, ServerKey};
use crate::plan::{LaneDecl, Now, Plan, ProbeDecl, SecretRef};
use crate::readiness::{Examined, Gap, Reason, Value};
use crate::systems::{Examining, Lane, Look, Looking, Resting};

/// How often what is left of a message may be sent again in one look, after a statement of it failed.
const ROUNDS: usize = 4;

/// What a lane waits for once it is connected.
const ASKING: &str = "the server answers";

/// Opens the lanes of a probe, in the order of its declaration.
pub(super) fn open(_: &Plan, probe: &ProbeDecl, net: &Arc<Net>) -> Vec<Box<dyn Lane>> {
    let Some(options) = probe.options::<PostgresOptions>() else { return Vec::new() };
    let digests = Digests::default();
    let lane = |decl: &LaneDecl| -> Box<dyn Lane> {
        let site = decl.subject.site.as_ref().map_or("", |s| s.as_str());
        let what = match options.mode {
            Mode::Replicating => What::Replicating,
            Mode::Restored => What::Restored(freshness(options.freshness_query.as_deref().unwrap_or("NULL"))),
            Mode::Logical => What::Logical(Logical::new(decl.subject.site.as_ref(), options, &digests)),
        };
        Box::new(ServerLane::new(net, decl, options.at.get(site), options.password.as_ref(), what, probe.timeout.0))
    };
    probe.lanes.iter().map(lane).collect()
}

/// What is asked of a server.
enum What {
    Replicating,
    /// The statement that dates a restored database.
    Restored(String),
    Logical(Logical),
    /// The statement of a `sql-check`.
    Check(String),
}

/// One site's server.
struct ServerLane {
    net: Arc<Net>,
    decl: LaneDecl,
    /// `None` only where nobody checked the options.
    params: Option<Params>,
    secret: Option<SecretRef>,
    what: What,
    timeout: Duration,
    env: libpq::Env,
    /// The probe's own password, once it was read; forgotten when a server refuses it.
    password: Option<SecretString>,
    kept: Option<Kept>,
    /// What is being waited for, for the words of a timeout.
    stage: &'static str,
}

/// A connection between two looks, with what it is known not to be allowed.
struct Kept {
    connection: Connection,
    /// Under which its looks are counted.
    server: ServerKey,
    /// Which role the server was wanted in.
    wanted: SessionAttrs,
    denied: BTreeMap<Ask, Gap>,
}

impl Lane for ServerLane {
    fn look(&mut self, deadline: Instant) -> Looking<'_> {
        Box::pin(async move {
            self.stage = "waiting for leave to ask";
            match tokio::time::timeout_at(deadline, self.work(deadline)).await {
                Ok(Ok(look)) => look,
                Ok(Err(gap)) => Look::failed(&self.decl, &gap),
                Err(_) => {
                    let gap = Gap::new(Reason::TimedOut, &format!("no answer in time while {}", self.stage));
                    Look::failed(&self.decl, &gap)
                }
            }
        })
    }

    fn rest(&mut self) -> Resting<'_> {
        let kept = self.kept.take();
        Box::pin(async move {
            if let Some(kept) = kept {
                kept.connection.close().await;
            }
        })
    }

    fn examine(&mut self, deadline: Instant) -> Examining<'_> {
        Box::pin(self.examined(deadline))
    }
}

impl ServerLane {
    fn new(
        net: &Arc<Net>,
        decl: &LaneDecl,
        at: Option<&ConnText>,
        secret: Option<&SecretRef>,
        what: What,
        timeout: Duration,
    ) -> Self {
        Self {
            net: Arc::clone(net),
            decl: decl.clone(),
            params: at.and_then(|text| text.params().ok()),
            secret: secret.cloned(),
            what,
            timeout,
            env: libpq::process_env,
            password: None,
            kept: None,
            stage: "",
        }
    }

    /// Asks over the connection that the look before has kept. Where its question failed, it kept none, and what is missing
    /// is asked over a new one; where it could not connect, it has said why.
    async fn examined(&mut self, deadline: Instant) -> Vec<Examined> {
        let Some(params) = &self.params else { return Vec::new() };
        let Ok(gathered) = libpq::gather(params, self.env).await else { return Vec::new() };
        let mut kept = self.kept.take();
        if kept.is_none() && self.stage == ASKING {
            for host in &gathered.target.hosts {
                if let Ok((opened, _permit)) = self.connect(&gathered, SessionAttrs::Any, host, deadline).await {
                    kept = Some(opened);
                    break;
                }
            }
        }
        let Some(mut kept) = kept else { return Vec::new() };
        let reads = match &self.what {
            What::Replicating => Reads::Views,
            What::Logical(_) => Reads::Sequences,
            What::Restored(query) | What::Check(query) => Reads::Query(query.clone()),
        };
        let mut found = examine::ask(&mut kept.connection, &reads, self.decl.server.as_str(), deadline).await;
        let host = gathered.target.hosts.iter().find(|h| kept.server == ServerKey::new(&h.name, h.port));
        if let Some(host) = host {
            found.extend(examine::certificate(&self.net, &gathered.target, host, deadline).await);
        }
        found
    }

    /// One look. The kept connection is taken out first and put back last, so that a look that is dropped midway leaves
    /// none behind.
    async fn work(&mut self, deadline: Instant) -> Result<Look, Gap> {
        if let Some(mut kept) = self.kept.take() {
            let _permit = self.net.permit(&kept.server).await;
            self.stage = ASKING;
            kept.connection.renew();
            // Given up before the look is, so that what the kept connection says is not lost with it.
            let patience = deadline.checked_sub(self.timeout / 10).unwrap_or(deadline);
            let address = kept.connection.address;
            let wanted = self.decl.expects.contains(&signals::ACCEPTS);
            let net = Arc::clone(&self.net);
            let knock = pin!(async { if wanted { client::knock(&net, address, patience).await } else { Ok(()) } });
            let asking = Box::pin(ask(&mut self.what, self.timeout, &mut kept));
            let (asked, knock) = match future::select(asking, knock).await {
                Either::Left((asked, knocking)) => (asked, Either::Left(knocking)),
                Either::Right((knocked, asking)) => (asking.await, Either::Right(future::ready(knocked))),
            };
            match asked {
                Ok(Asked { mut look, recovery, good }) if fits(kept.wanted, recovery) => {
                    look.push(&signals::ACCEPTS, knock.await.map(|()| Value::Bool(true)));
                    self.kept = good.then_some(kept);
                    return Ok(look);
                }
                // Another role than was asked for: look for a server that has it.
                Ok(_) => {}
                Err(gap) if died(gap.reason) => {}
                Err(gap) => return Err(gap),
            }
        }
        self.stage = "reading its configuration";
        let Some(params) = &self.params else {
            return Err(Gap::new(Reason::Bug, "its address was not checked"));
        };
        let gathered = libpq::gather(params, self.env).await?;
        let passes: &[SessionAttrs] = match gathered.target.attrs {
            SessionAttrs::PreferStandby => &[SessionAttrs::Standby, SessionAttrs::Any],
            SessionAttrs::Any => &[SessionAttrs::Any],
            SessionAttrs::Primary => &[SessionAttrs::Primary],
            SessionAttrs::Standby => &[SessionAttrs::Standby],
        };
        let mut failed: Option<Gap> = None;
        let count = passes.len() * gathered.target.hosts.len();
        let mut tries = Vec::new();
        for pass in passes {
            for host in &gathered.target.hosts {
                tries.push((*pass, host));
            }
        }
        for (n, (pass, host)) in tries.into_iter().enumerate() {
            let until = client::share(deadline, count - n);
            let tried = tokio::time::timeout_at(until, self.try_host(&gathered, pass, host, until)).await;
            let gap = match tried {
                Ok(Ok((kept, Asked { mut look, recovery, good }))) if fits(pass, recovery) => {
                    self.kept = good.then_some(kept);
                    look.push(&signals::ACCEPTS, Ok(Value::Bool(true)));
                    return Ok(look);
                }
                Ok(Ok(_)) => {
                    let role = if pass == SessionAttrs::Primary { "does not take writes" } else { "is no standby" };
                    Gap::new(Reason::Unreachable, &format!("{} {role}, as target_session_attrs wants", host.shown()))
                }
                Ok(Err(gap)) => gap,
                Err(_) if count == 1 => Gap::new(Reason::TimedOut, &format!("no answer in time while {}", self.stage)),
                Err(_) => Gap::new(Reason::TimedOut, &format!("{}: no answer in time", host.shown())),
            };
            if gap.reason == Reason::WrongPassword {
                self.password = None;
            }
            failed = Some(client::more_telling(failed, gap));
        }
        Err(failed.unwrap_or_else(|| Reason::NotConfigured.into()))
    }

    async fn try_host(
        &mut self,
        gathered: &Gathered,
        wanted: SessionAttrs,
        host: &Host,
        deadline: Instant,
    ) -> Result<(Kept, Asked), Gap> {
        let (mut kept, _permit) = self.connect(gathered, wanted, host, deadline).await?;
        let asked = ask(&mut self.what, self.timeout, &mut kept).await?;
        Ok((kept, asked))
    }

    /// Opens a connection, with leave to ask that lasts as long as the permit; asks nothing yet.
    async fn connect(
        &mut self,
        gathered: &Gathered,
        wanted: SessionAttrs,
        host: &Host,
        deadline: Instant,
    ) -> Result<(Kept, Permit), Gap> {
        self.stage = "waiting for leave to ask";
        let net = Arc::clone(&self.net);
        let server = ServerKey::new(&host.name, host.port);
        let permit = net.permit(&server).await;
        self.stage = "reading its password";
        let (password, no_password) = self.password(gathered, host, deadline).await?;
        self.stage = "connecting";
        let how = How {
            net: &net,
            target: &gathered.target,
            password: password.as_ref(),
            // Below our own timeout, so that the server gives up first and says so.
            statement: self.timeout.mul_f64(0.9),
            deadline: gathered.target.connect_timeout.map_or(deadline, |most| deadline.min(Instant::now() + most)),
        };
        let connection = client::open(how, host).await.map_err(|gap| match no_password {
            Some(why) if gap.reason == Reason::SecretUnavailable => why,
            Some(_) | None => gap,
        })?;
        self.stage = ASKING;
        let kept = Kept { connection, server, wanted, denied: BTreeMap::new() };
        Ok((kept, permit))
    }

    /// The password for a host: the probe's own, the connection string's or the environment's, the password file's. Why
    /// the file gives none matters only where the server then asks for one.
    async fn password(
        &mut self,
        gathered: &Gathered,
        host: &Host,
        deadline: Instant,
    ) -> Result<(Option<SecretString>, Option<Gap>), Gap> {
        if let Some(reference) = &self.secret {
            if self.password.is_none() {
                self.password = Some(self.net.secret(reference, deadline).await?);
            }
            return Ok((self.password.clone(), None));
        }
        if let Some(password) = &gathered.target.password {
            return Ok((Some(password.clone()), None));
        }
        let Some(path) = &gathered.passfile else { return Ok((None, None)) };
        match libpq::passfile(path, host, &gathered.target).await {
            Ok(password) => Ok((password, None)),
            Err(why) => Ok((None, Some(why))),
        }
    }
}

async fn ask(what: &mut What, timeout: Duration, kept: &mut Kept) -> Result<Asked, Gap> {
    match what {
        What::Replicating => ask_replicating(kept, timeout).await,
        What::Restored(query) => ask_restored(kept, timeout, query).await,
        What::Logical(logical) => logical.ask(kept, timeout).await,
        What::Check(query) => check::ask(kept, timeout, query).await,
    }
}

/// Whether a kept connection had ended since, rather than brought what no other would do better: a standby restarted, a
/// firewall forgot it, the kernel gave its peer up, the server ends idle sessions. Asking over a new one harms nobody, and
/// is done at once: the time that a knock may yet take is then needed.
const fn died(reason: Reason) -> bool {
    !matches!(reason, Reason::Malformed | Reason::TooLarge | Reason::Bug)
}

/// What asking brought.
struct Asked {
    look: Look,
    /// Whether the server is in recovery, where the look asked that.
    recovery: Option<bool>,
    /// Whether the connection can be kept.
    good: bool,
}

/// Whether a server in this role will do.
const fn fits(wanted: SessionAttrs, recovery: Option<bool>) -> bool {
    match (wanted, recovery) {
        (SessionAttrs::Any | SessionAttrs::PreferStandby, _) | (_, None) => true,
        (SessionAttrs::Primary, Some(recovery)) => !recovery,
        (SessionAttrs::Standby, Some(recovery)) => recovery,
    }
}

/// A message of statements in a read-only transaction, with the session's settings where the connection could not take
/// them; and how many completed statements come before the first of ours. The statements of one message are one
/// transaction (PostgreSQL's documentation, "Multiple Statements in a Simple Query"), and none is left open by a failure.
fn in_transaction<'a>(
    statements: impl IntoIterator<Item = &'a str>,
    timeout: Duration,
    settings_taken: bool,
) -> (String, usize) {
    let (mut message, mut before) = ("SET TRANSACTION READ ONLY".to_owned(), 1);
    if !settings_taken {
        for (name, value) in client::session(timeout) {
            message.push_str(&format!(";\nSET LOCAL {name} = '{value}'"));
            before += 1;
        }
    }
    for statement in statements {
        message.push_str(";\n");
        message.push_str(statement);
    }
    (message, before)
}

/// A statement that failed because the server's role changed under it (`object_not_in_prerequisite_state`).
const ROLE_CHANGED: &str = "55000";

async fn ask_replicating(kept: &mut Kept, timeout: Duration) -> Result<Asked, Gap> {
    let asks = replicating_asks(kept.connection.version);
    let (answers, asked, answered) = ask_all(kept, timeout, &asks).await?;
    let recovery = parse::in_recovery(&answers);
    let observed = parse::replicating(&answers, asked, answered);
    Ok(Asked { look: Look { asked: Some(asked), observed }, recovery, good: true })
}

/// A statement, and its text.
type Asks = Arc<[(Ask, String)]>;

/// The statements for a server of this version: made once for all servers of it.
fn replicating_asks(version: i64) -> Asks {
    static MADE: Mutex<BTreeMap<i64, Asks>> = Mutex::new(BTreeMap::new());
    let make = || REPLICATING.iter().filter_map(|ask| Some((*ask, ask.sql(version)?))).collect();
    Arc::clone(MADE.lock().unwrap_or_else(PoisonError::into_inner).entry(version).or_insert_with(make))
}

/// Asks everything in one message, but what this connection was denied before; with when it was asked and when the first
/// statement was answered. A statement that fails ends its message, and what is left of it is asked again.
async fn ask_all(kept: &mut Kept, timeout: Duration, asks: &[(Ask, String)]) -> Result<(Answers, Now, Now), Gap> {
    let mut answers = Answers { version: kept.connection.version, ..Answers::default() };
    for (ask, gap) in &kept.denied {
        answers.tables.insert(*ask, Err(gap.clone()));
    }
    let mut pending: Vec<&(Ask, String)> = asks.iter().filter(|(ask, _)| !kept.denied.contains_key(ask)).collect();
    let asked = crate::clock::now();
    let mut answered: Option<Now> = None;
    let mut asked_again = false;
    for _ in 0..ROUNDS {
        if pending.is_empty() {
            break;
        }
        let statements = pending.iter().map(|(_, sql)| sql.as_str());
        let (message, before) = in_transaction(statements, timeout, kept.connection.settings_taken);
        let mut told = kept.connection.tell(&message).await?;
        answered = answered.or(told.first);
        let done = told.tables.len().saturating_sub(before).min(pending.len());
        for ((ask, _), table) in pending.drain(..done).zip(told.tables.drain(..).skip(before)) {
            answers.tables.insert(*ask, shaped(*ask, table));
        }
        match outcome(&told)? {
            None if pending.is_empty() => break,
            None => return Err(Gap::new(Reason::Malformed, "fewer answers than questions")),
            Some((ROLE_CHANGED, _)) if !asked_again => asked_again = true,
            Some((code, gap)) => {
                if pending.is_empty() {
                    break;
                }
                let (ask, _) = pending.remove(0);
                if code == "42501" {
                    kept.denied.insert(*ask, gap.clone());
                }
                answers.tables.insert(*ask, Err(gap));
            }
        }
    }
    Ok((answers, asked, answered.unwrap_or_else(crate::clock::now)))
}

async fn ask_restored(kept: &mut Kept, timeout: Duration, query: &str) -> Result<Asked, Gap> {
    let head = Ask::Head.sql(kept.connection.version).unwrap_or_default();
    let (message, before) =
        in_transaction([head.as_str(), query], timeout.mul_f64(0.9), kept.connection.settings_taken);
    let asked = crate::clock::now();
    let mut told = kept.connection.tell(&message).await?;
    let answered = told.first.unwrap_or_else(crate::clock::now);
    let failed = outcome(&told)?.map(|(_, gap)| gap);
    let mut tables = told.tables.drain(..).skip(before);
    let missing = || failed.clone().unwrap_or_else(|| Gap::new(Reason::Malformed, "fewer answers than questions"));
    let clock = tables.next().map_or_else(|| Err(missing()), |t| shaped(Ask::Head, t));
    let fresh = tables.next().map_or_else(|| Err(missing()), |t| wide(2, t));
    let observed =
        parse::restored(clock.as_ref().map_err(Clone::clone), fresh.as_ref().map_err(Clone::clone), asked, answered);
    Ok(Asked { look: Look { asked: Some(asked), observed }, recovery: None, good: failed.is_none() })
}

/// How a message ended: well, or with an error of the server's for one statement.
fn outcome(told: &Told) -> Result<Option<(&str, Gap)>, Gap> {
    match (&told.failed, told.db_error()) {
        (None, _) => Ok(None),
        (Some(_), Some(db)) => Ok(Some((db.code().code(), gap_of_db(db)))),
        (Some(e), None) => Err(gap_of(e)),
    }
}

fn shaped(ask: Ask, table: Table) -> Result<Table, Gap> {
    wide(ask.columns(), table)
}

fn wide(columns: usize, table: Table) -> Result<Table, Gap> {
    if table.iter().all(|row| row.len() == columns) {
        Ok(table)
    } else {
        Err(Gap::new(Reason::Malformed, "another number of columns than was asked for"))
    }
}
