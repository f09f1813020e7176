//! What a statement is worked out with: the world, who asks, and what is in scope.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use sqlparser::ast::Ident;

use super::error::{SqlError, Stop};
use super::value::{Datum, Type};
use crate::practice::world::World;
use crate::practice::world::cluster::Cluster;
use crate::practice::world::roles::Role;
use crate::practice::world::server::Server;
use crate::practice::world::time::Moment;

/// Who asks, and where.
#[derive(Clone, Debug)]
pub struct Seat {
    /// The server.
    pub server: &'static str,
    /// The session's process.
    pub pid: i32,
    /// The role.
    pub user: String,
    /// The database.
    pub database: String,
    /// From where.
    pub from: SocketAddr,
}

/// What the session itself has set, by name.
pub type Own = BTreeMap<String, String>;

/// What is done once the transaction commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A role may log in, or not.
    Login(String, bool),
    /// A row of `orders`: customer, cents.
    Order(i64, i64),
}

/// A setting that was changed: what it was, and whether that comes back with the transaction's end in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Its name.
    pub name: String,
    /// What the session had set before.
    pub before: Option<String>,
    /// `SET LOCAL`.
    pub local: bool,
}

/// The most that one statement may work out, in evaluated expressions: the world stands still meanwhile.
const BUDGET: u64 = 3_000_000;
/// How deep expressions and queries may be nested.
const DEPTH: u32 = 64;

/// A statement at work.
pub struct Exec<'w> {
    /// The world.
    pub world: &'w mut World,
    /// Who asks.
    pub seat: &'w Seat,
    /// What the session has set.
    pub own: &'w mut Own,
    /// When the transaction began, and the statement.
    pub began: (Moment, Moment),
    /// Parameters of the extended protocol.
    pub parameters: &'w [Datum],
    /// What the waits of this statement gave so far, in their order.
    pub waited: &'w [Datum],
    /// How many of them were taken up.
    pub taken: usize,
    /// What is to be done at commit.
    pub effects: &'w mut Vec<Effect>,
    /// Whether only types are asked for: nothing has an effect.
    pub dry: bool,
    /// Settings that the statement changed.
    pub changed: Vec<Changed>,
    /// Tables of `WITH`.
    pub(super) named: Vec<(String, Relation)>,
    pub(super) left: u64,
    pub(super) depth: u32,
}

/// A column of a relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The table, or its alias.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// Whether its name alone does not mean it: the other one of `USING`.
    pub hidden: bool,
}

/// Rows, and what they are.
#[derive(Clone, Debug, Default)]
pub struct Relation {
    /// Their columns.
    pub columns: Vec<Column>,
    /// Them.
    pub rows: Vec<Vec<Datum>>,
}

impl Relation {
    /// A relation of these columns, of this table.
    #[must_use]
    pub fn of(table: &str, columns: &[(&str, Type)], rows: Vec<Vec<Datum>>) -> Self {
        let column = |(name, ty): &(&str, Type)| Column {
            table: table.to_owned(),
            name: (*name).to_owned(),
            ty: *ty,
            hidden: false,
        };
        Self { columns: columns.iter().map(column).collect(), rows }
    }

    /// A row of NULLs of its types.
    #[must_use]
    pub fn nulls(&self) -> Vec<Datum> {
        self.columns.iter().map(|c| Datum::null(c.ty)).collect()
    }
}

/// What names mean: the columns of a row, and around it those of the query that it is part of.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    pub(super) columns: &'a [Column],
    pub(super) row: &'a [Datum],
    /// The rows of a group, where aggregates are worked out over them.
    pub(super) group: Option<&'a [Vec<Datum>]>,
    pub(super) up: Option<&'a Scope<'a>>,
}

impl Scope<'_> {
    /// Nothing is in scope.
    pub(super) const EMPTY: Self = Self { columns: &[], row: &[], group: None, up: None };
}

/// A name as SQL means it: in small letters where it is not quoted.
#[must_use]
pub fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

impl<'w> Exec<'w> {
    /// One step of work.
    pub(super) fn spend(&mut self) -> Result<(), Stop> {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            return Err(SqlError::new("54001", "more than the practice server works out at once").into());
        }
        Ok(())
    }

    /// One level deeper; comes back with what `work` gives.
    pub(super) fn deeper<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Stop>) -> Result<T, Stop> {
        if self.depth >= DEPTH {
            return Err(SqlError::new("54001", "stack depth limit exceeded").into());
        }
        self.depth += 1;
        let out = work(self);
        self.depth -= 1;
        out
    }

    /// A statement that begins.
    pub fn new(
        world: &'w mut World,
        seat: &'w Seat,
        own: &'w mut Own,
        began: (Moment, Moment),
        waited: &'w [Datum],
        effects: &'w mut Vec<Effect>,
    ) -> Self {
        Self {
            world,
            seat,
            own,
            began,
            parameters: &[],
            waited,
            taken: 0,
            effects,
            dry: false,
            changed: Vec::new(),
            named: Vec::new(),
            left: BUDGET,
            depth: 0,
        }
    }

    /// Its cluster and its server.
    ///
    /// # Errors
    /// The server is no more.
    pub fn here(&self) -> Result<(&Cluster, &Server), Stop> {
        let gone = || Stop::from(SqlError::fatal("57P01", "terminating connection due to administrator command"));
        self.world.server(self.seat.server).ok_or_else(gone)
    }

    /// The role that asks.
    ///
    /// # Errors
    /// It is no more.
    pub fn role(&self) -> Result<&Role, Stop> {
        let none = || Stop::from(SqlError::new("42704", format!("role \"{}\" does not exist", self.seat.user)));
        self.here()?.1.catalog.role(&self.seat.user).ok_or_else(none)
    }

    /// What a setting is, for this session: its own word, else the server's.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<String> {
        let own = self.own.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        if let Some((_, value)) = own {
            return Some(value.clone());
        }
        let (_, server) = self.world.server(self.seat.server)?;
        let recovery = server.in_recovery();
        match name.to_ascii_lowercase().as_str() {
            "transaction_read_only" | "in_hot_standby" if recovery => Some("on".to_owned()),
            "in_hot_standby" => Some("off".to_owned()),
            "port" => Some(server.port.to_string()),
            "is_superuser" => Some(if self.role().is_ok_and(|r| r.superuser) { "on" } else { "off" }.to_owned()),
            "session_authorization" => Some(self.seat.user.clone()),
            "search_path" => Some("\"$user\", public".to_owned()),
            "statement_timeout"
            | "lock_timeout"
            | "idle_session_timeout"
            | "idle_in_transaction_session_timeout"
            | "transaction_timeout" => Some("0".to_owned()),
            "transaction_isolation" | "default_transaction_isolation" => Some("read committed".to_owned()),
            "jit" => Some("on".to_owned()),
            "client_min_messages" => Some("notice".to_owned()),
            "extra_float_digits" => Some("1".to_owned()),
            "integer_datetimes" => Some("on".to_owned()),
            "intervalstyle" => Some("postgres".to_owned()),
            "listen_addresses" => Some("127.0.0.1".to_owned()),
            "data_directory" => Some("/practice".to_owned()),
            lower => server.settings.iter().find(|(n, _)| n.eq_ignore_ascii_case(lower)).map(|(_, s)| s.value.clone()),
        }
    }

    /// A value that came of waiting; else the wait itself.
    pub(super) fn wait(&mut self, wait: super::error::Wait) -> Result<Datum, Stop> {
        match self.waited.get(self.taken) {
            Some(datum) => {
                self.taken += 1;
                Ok(datum.clone())
            }
            None => Err(Stop::Wait(wait)),
        }
    }

    /// A moment of the world as a value.
    #[must_use]
    pub fn time(&self, at: Moment) -> Datum {
        Datum::new(Type::Time, super::value::V::Time(self.world.clock().wall(at).timestamp_micros()))
    }
}
