//! One server of a probe's, as a step deals with it: as whom to connect, what is sent once, and what came of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::net::Net;
use crate::plan::{SafeText, SecretRef, SiteId};
use crate::readiness::{Gap, Reason};
use crate::runbook::Identity;
use crate::systems::postgres::client::{self, Connection, How};
use crate::systems::postgres::conninfo::Params;
use crate::systems::postgres::faults::{gap_of, gap_of_db};
use crate::systems::postgres::libpq;
use crate::systems::postgres::options::{ActAs, ConnText};
use crate::systems::postgres::parse::Table;
use crate::systems::postgres::parse::server::{IDENTITY, Seen, seen};
use crate::systems::postgres::target::{Host, Target};

/// As whom to connect.
#[derive(Clone, Copy, Debug)]
pub(super) enum Who<'a> {
    /// With the credentials that look.
    Looking,
    /// With those that act. Only within an act.
    Acting(&'a ActAs),
    /// As an application's role; without a password where there is none, whatever a password file says.
    App(&'a str, Option<&'a SecretRef>),
}

/// A server, as the probe says where it is.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Its site.
    pub(super) site: SiteId,
    params: Params,
    secret: Option<SecretRef>,
    env: libpq::Env,
}

/// An open session with one server.
pub(super) struct Session {
    connection: Connection,
    net: Arc<Net>,
    target: Target,
    host: Host,
}

/// What became of what was sent once.
#[derive(Debug)]
pub(super) enum Sent {
    /// The server did it: the rows of each statement; what it warned of.
    Done(Vec<Table>, Option<SafeText>),
    /// The server said no, with this code; so many statements were complete before.
    No {
        /// SQLSTATE.
        code: String,
        /// Its words.
        gap: Gap,
        /// Complete statements before the one that failed. All of one message are one transaction.
        done: usize,
    },
    /// How it ended is not known.
    Unclear(Gap),
}

/// A server that answered.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// Who it is.
    pub(super) seen: Seen,
    /// Where the connection led.
    pub(super) address: SocketAddr,
    /// Whether it is the server itself that answers, and no pooler.
    pub(super) direct: bool,
}

impl Known {
    /// What it is known by.
    pub(super) fn identity(&self) -> Identity {
        Identity::default()
            .with("system identifier", &self.seen.system)
            .with("address", &self.address)
            .with("postmaster start", &self.seen.started)
    }
}

impl Place {
    /// The server of a site, by its connection string, which was checked.
    pub(super) fn new(site: &SiteId, at: &ConnText, secret: Option<&SecretRef>) -> Option<Self> {
        let params = at.params().ok()?;
        Some(Self { site: site.clone(), params, secret: secret.cloned(), env: libpq::process_env })
    }

    /// As people name it: `db.east.example.com:5432`.
    pub(super) fn server(&self) -> String {
        self.params.server()
    }

    /// As one types it to name it: the host, with the port where it is not 5432.
    pub(super) fn named(&self) -> String {
        let server = self.server();
        server.strip_suffix(":5432").map_or(server.clone(), str::to_owned)
    }

    /// How many servers its connection string names: a step acts on one.
    pub(super) fn hosts(params: &Params) -> usize {
        let count = |key| params.get(key).map_or(0, |v| v.split(',').count());
        count("host").max(count("hostaddr")).max(1)
    }

    /// A copyable `psql`, without secrets.
    pub(super) fn psql(&self, user: Option<&str>, sql: &str) -> String {
        let mut params = self.params.clone();
        if let Some(user) = user {
            // A known key takes any value.
            params.set("user", user).ok();
        }
        let pairs = params.to_pairs(false);
        format!("psql -X -v ON_ERROR_STOP=1 {} -c {}", crate::plan::quoted(&pairs), crate::plan::quoted(sql))
    }

    /// Opens a session, by the deadline. Nothing of a step was sent where this fails.
    pub(super) async fn open(&self, net: &Arc<Net>, who: Who<'_>, deadline: Instant) -> Result<Session, Gap> {
        let late = || Gap::new(Reason::TimedOut, &format!("{}: no connection in time", self.server()));
        timeout_at(deadline, self.connect(net, who, deadline)).await.unwrap_or_else(|_| Err(late()))
    }

    async fn connect(&self, net: &Arc<Net>, who: Who<'_>, deadline: Instant) -> Result<Session, Gap> {
        let gathered = libpq::gather(&self.params, self.env).await?;
        let mut target = gathered.target;
        let [host] = target.hosts.as_slice() else {
            return Err(Gap::new(Reason::NotConfigured, "names several servers: a step acts on one"));
        };
        let host = host.clone();
        let from_file = async |target: &Target| match &gathered.passfile {
            Some(path) => libpq::passfile(path, &host, target).await,
            None => Ok(None),
        };
        let password = match who {
            Who::Looking => match (&self.secret, &target.password) {
                (Some(secret), _) => Some(net.secret(secret, deadline).await?),
                (None, Some(password)) => Some(password.clone()),
                // What is wrong with the file matters only where a password is asked for.
                (None, None) => from_file(&target).await.unwrap_or_default(),
            },
            Who::Acting(act_as) => {
                target.user.clone_from(&act_as.user);
                match &act_as.password {
                    Some(secret) => Some(net.secret(secret, deadline).await?),
                    None => from_file(&target).await?,
                }
            }
            Who::App(user, secret) => {
                user.clone_into(&mut target.user);
                match secret {
                    Some(secret) => Some(net.secret(secret, deadline).await?),
                    None => None,
                }
            }
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let how = How { net, target: &target, password: password.as_ref(), statement: left, deadline };
        let connection = client::open(how, &host).await?;
        Ok(Session { connection, net: Arc::clone(net), target, host })
    }

    /// Opens a session with the credentials that look, and reads who answers.
    pub(super) async fn known(&self, net: &Arc<Net>, deadline: Instant) -> Result<(Known, Session), Gap> {
        let mut session = self.open(net, Who::Looking, deadline).await?;
        let known = session.known(deadline).await?;
        Ok((known, session))
    }
}

impl Session {
    /// The version, as `server_version_num`.
    pub(super) const fn version(&self) -> i64 {
        self.connection.version
    }

    /// Who answers on this session.
    pub(super) async fn known(&mut self, deadline: Instant) -> Result<Known, Gap> {
        let tables = self.read(&[IDENTITY.to_owned()], deadline).await?;
        let seen = tables.first().map_or_else(|| Err(Reason::Malformed.into()), seen)?;
        Ok(Known { seen, address: self.connection.address, direct: self.connection.settings_taken })
    }

    /// Reads, in a read-only transaction; the rows of each statement.
    pub(super) async fn read(&mut self, statements: &[String], deadline: Instant) -> Result<Vec<Table>, Gap> {
        self.connection.renew();
        let message = format!("SET TRANSACTION READ ONLY; {}", statements.join("; "));
        let told =
            timeout_at(deadline, self.connection.tell(&message)).await.map_err(|_| Gap::from(Reason::TimedOut))??;
        match (told.db_error(), &told.failed) {
            (Some(db), _) => Err(gap_of_db(db)),
            (None, Some(e)) => Err(gap_of(e)),
            (None, None) => Ok(told.tables.into_iter().skip(1).collect()),
        }
    }

    /// Sends this message once. Whatever happens, it is not sent again.
    pub(super) async fn send(&mut self, message: &str, deadline: Instant) -> Sent {
        self.connection.renew();
        let told = match timeout_at(deadline, self.connection.tell(message)).await {
            Ok(Ok(told)) => told,
            Ok(Err(gap)) => return Sent::Unclear(gap),
            Err(_) => return Sent::Unclear(Gap::new(Reason::TimedOut, "no answer in time after it was sent")),
        };
        match (told.db_error(), &told.failed) {
            (Some(db), _) => {
                Sent::No { code: db.code().code().to_owned(), gap: gap_of_db(db), done: told.tables.len() }
            }
            (None, Some(e)) => Sent::Unclear(gap_of(e)),
            (None, None) => Sent::Done(told.tables, told.warned),
        }
    }

    /// Asks the server to give up what this session waits for, and hears it out for a moment.
    pub(super) async fn cancel(&mut self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        let how = How { net: &self.net, target: &self.target, password: None, statement: left, deadline };
        // Where it cannot be asked, the session ends with its connection, once the server notices.
        timeout_at(deadline, self.connection.cancel(how, &self.host)).await.ok();
    }

    /// Stays open for as long as this process lives, however idle, whatever the server thinks of that (PostgreSQL 14).
    pub(super) async fn stay(&mut self, deadline: Instant) {
        if self.version() >= 140_000 {
            // Where it does not stay, whoever needs it sees that, and opens another.
            let _ = self.send("SET idle_session_timeout = 0; SET statement_timeout = 0", deadline).await;
        }
    }

    /// Says goodbye, for a moment.
    pub(super) async fn close(self) {
        tokio::time::timeout(Duration::from_millis(200), self.connection.close()).await.ok();
    }
}
