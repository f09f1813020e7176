//! The tables that a look brings, as types and as rows.

use chrono::{DateTime, Utc};

use crate::plan::{Bytes, Lsn, SafeText, Span};
use crate::readiness::{Gap, Reason, Row, Value};

/// What a column holds.
trait Column: Sized {
    fn value(&self) -> Value;
    fn read(row: &Row, column: &str) -> Result<Self, Gap>;
}

macro_rules! columns {
    ($($type:ty, $variant:ident, $getter:ident;)*) => { $(
        impl Column for Option<$type> {
            fn value(&self) -> Value {
                self.clone().map_or(Value::Null, Value::$variant)
            }
            fn read(row: &Row, column: &str) -> Result<Self, Gap> {
                row.$getter(column)
            }
        }
        impl Column for $type {
            fn value(&self) -> Value {
                Value::$variant(self.clone())
            }
            fn read(row: &Row, column: &str) -> Result<Self, Gap> {
                row.$getter(column)?.ok_or_else(|| Gap::new(Reason::Malformed, &format!("column {column} is NULL")))
            }
        }
    )* };
}

columns! {
    SafeText, Text, text;
    bool, Bool, bool;
    i64, Int, int;
    Lsn, Lsn, lsn;
    Bytes, Bytes, bytes;
    Span, Span, span;
    DateTime<Utc>, Time, time;
}

macro_rules! table {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }

        impl $name {
            /// As a row.
            #[must_use]
            pub fn row(&self) -> Row {
                let mut row = Row::default();
                $(row.set(stringify!($field), Column::value(&self.$field));)*
                row
            }

            /// From a row.
            ///
            /// # Errors
            /// `Malformed` where a column is missing, NULL against its meaning, or of another type.
            pub fn read(row: &Row) -> Result<Self, Gap> {
                Ok(Self { $($field: Column::read(row, stringify!($field))?,)* })
            }
        }
    };
}

table! {
    /// What one configured member says of itself: `GET /patroni`.
    Node {
        /// Its address, as the configuration has it.
        member: SafeText,
        /// `ok`, or the code of why it did not answer.
        outcome: SafeText,
        /// Why it did not answer, in words; NULL where it did.
        detail: Option<SafeText>,
        /// Its name in Patroni (4.x).
        name: Option<SafeText>,
        /// Its cluster's name in Patroni.
        scope: Option<SafeText>,
        /// Patroni's version.
        version: Option<SafeText>,
        /// The state of its PostgreSQL: `running`, `starting`, `stopped`, ...
        state: Option<SafeText>,
        /// Its role: `primary`, `replica`, `standby_leader`, ...; 3.x's `master` is read as `primary`.
        role: Option<SafeText>,
        /// Its timeline.
        timeline: Option<i64>,
        /// Its position, where it takes writes.
        location: Option<Lsn>,
        /// What it has received, where it is in recovery.
        received: Option<Lsn>,
        /// What it has replayed, where it is in recovery.
        replayed: Option<Lsn>,
        /// Commit time of the last replayed transaction.
        replayed_at: Option<DateTime<Utc>>,
        /// Whether its replay is paused.
        replay_paused: bool,
        /// `streaming` or `in archive recovery`; NULL where neither, or not said (before 3.0.4).
        replication_state: Option<SafeText>,
        /// The names of the standbys that stream from it, parted by commas.
        senders: SafeText,
        /// Nobody holds the leader lock, as it last saw.
        unlocked: bool,
        /// It runs without the DCS, by the failsafe.
        failsafe: bool,
        /// Its watchdog could not be armed.
        watchdog_failed: bool,
        /// PostgreSQL must be restarted for its settings to count.
        pending_restart: bool,
        /// It may not become leader (tag `nofailover`, or `failover_priority` 0).
        nofailover: bool,
        /// How long it has not seen the DCS, by its own clock.
        dcs_age: Option<Span>,
        /// The cluster's system identifier.
        system_id: Option<SafeText>,
        /// When its PostgreSQL started.
        started: Option<SafeText>,
        /// For how long its PostgreSQL has run, by the member's own clock.
        up_for: Option<Span>,
    }
}

table! {
    /// One member as the DCS has it: `GET /cluster`.
    Listed {
        /// Its name.
        name: SafeText,
        /// `leader`, `standby_leader`, `sync_standby`, `quorum_standby` or `replica`.
        role: SafeText,
        /// The state of its PostgreSQL, or of its replication.
        state: SafeText,
        /// Host and port of its REST API, as the other members know it.
        api: Option<SafeText>,
        /// Its timeline.
        timeline: Option<i64>,
        /// How far it is behind *its own cluster's* leader; NULL for the leader and where Patroni does not know.
        lag: Option<Bytes>,
        /// PostgreSQL must be restarted for its settings to count.
        pending_restart: bool,
        /// It may not become leader.
        nofailover: bool,
    }
}

table! {
    /// What `GET /cluster` says beside the members.
    Overview {
        /// The member that answered.
        via: SafeText,
        /// Whether the cluster is in maintenance mode.
        paused: bool,
        /// When a switchover will be made.
        scheduled_at: Option<SafeText>,
        /// From whom.
        scheduled_from: Option<SafeText>,
        /// To whom.
        scheduled_to: Option<SafeText>,
    }
}

table! {
    /// What matters of the dynamic configuration: `GET /config`.
    Settings {
        /// How long the leader lock lives.
        ttl: Span,
        /// How often Patroni looks after its PostgreSQL.
        loop_wait: Span,
        /// How long it goes on trying.
        retry_timeout: Span,
        /// The most that a member may be behind to become leader by itself.
        maximum_lag: Bytes,
        /// `off`, `on` or `quorum`.
        synchronous_mode: SafeText,
        /// Whether commits wait even when no synchronous standby is left.
        synchronous_strict: bool,
        /// Whether the leader may go on without the DCS.
        failsafe_mode: bool,
        /// Whether the cluster is told to follow another one.
        standby_cluster: bool,
        /// The host, or hosts, that it follows.
        upstream_host: Option<SafeText>,
        /// The port that it follows.
        upstream_port: Option<SafeText>,
        /// The slot that it uses there.
        upstream_slot: Option<SafeText>,
        /// Whether it can read an archive.
        restores: bool,
    }
}

table! {
    /// One timeline switch: `GET /history`.
    Switch {
        /// The timeline that ended.
        timeline: i64,
        /// Where it ended.
        lsn: Lsn,
        /// The member that began the next one, where that is known.
        leader: Option<SafeText>,
    }
}

/// Reads the rows of a table.
///
/// # Errors
/// `Malformed`, as the table's own `read`.
pub fn rows<T>(rows: &[Row], read: impl Fn(&Row) -> Result<T, Gap>) -> Result<Vec<T>, Gap> {
    rows.iter().map(read).collect()
}

impl Node {
    /// A member that did not answer, with the name and the role that it had when it last did.
    #[must_use]
    pub fn silent(member: &str, gap: &Gap, last: Option<&Self>) -> Self {
        Self {
            outcome: gap.reason.code().into(),
            detail: Some(gap.detail.clone()),
            name: last.and_then(|l| l.name.clone()),
            role: last.and_then(|l| l.role.clone()),
            ..Self::blank(SafeText::new(member))
        }
    }

    /// A member of which nothing is known but that it answered.
    pub(super) fn blank(member: SafeText) -> Self {
        Self {
            member,
            outcome: super::super::signals::OK.into(),
            detail: None,
            name: None,
            scope: None,
            version: None,
            state: None,
            role: None,
            timeline: None,
            location: None,
            received: None,
            replayed: None,
            replayed_at: None,
            replay_paused: false,
            replication_state: None,
            senders: SafeText::default(),
            unlocked: false,
            failsafe: false,
            watchdog_failed: false,
            pending_restart: false,
            nofailover: false,
            dcs_age: None,
            system_id: None,
            started: None,
            up_for: None,
        }
    }

    /// Whether it answered.
    #[must_use]
    pub fn answered(&self) -> bool {
        self.outcome.as_str() == super::super::signals::OK
    }

    /// Whether it takes writes: PostgreSQL itself said that it is not in recovery.
    #[must_use]
    pub const fn writes(&self) -> bool {
        self.location.is_some()
    }

    /// Everything that a standby holds; `None` for a primary, and where PostgreSQL did not say.
    #[must_use]
    pub fn holds(&self) -> Option<Lsn> {
        self.received.max(self.replayed)
    }

    /// Whether it leads a standby cluster.
    #[must_use]
    pub fn is_standby_leader(&self) -> bool {
        self.answered() && !self.writes() && self.role.as_ref().is_some_and(|r| r.as_str() == "standby_leader")
    }

    /// Its name in Patroni, else its address.
    #[must_use]
    pub fn called(&self) -> &str {
        self.name.as_ref().unwrap_or(&self.member).as_str()
    }

    /// Whether its Patroni says whether a standby streams: since 3.0.4.
    #[must_use]
    pub fn says_replication_state(&self) -> bool {
        let parts =
            self.version.as_ref().map(|v| v.as_str().split('.').map(str::parse::<u32>).take(3).flatten().collect());
        let parts: Vec<u32> = parts.unwrap_or_default();
        self.replication_state.is_some() || parts.as_slice() >= [3, 0, 4].as_slice()
    }
}
