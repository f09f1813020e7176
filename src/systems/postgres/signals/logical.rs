//! What a look at a server of a logical replication reads. Both sites are asked the same: which of them is the publisher
//! and which the subscriber is seen in the answers, and may change.

use crate::plan::SignalId;
use crate::readiness::signals::{APPLIED, EXPOSURE, FLUSHED, INSTANCE, SYSTEM_ID, Signal, TIMELINE, WRITABLE};
use crate::systems::postgres::signals::{ACCEPTS, VERSION};

/// The subscriptions of the connected database that the probe wants, by `pg_subscription`, `pg_stat_subscription` and
/// `pg_stat_subscription_stats`: `name` text, `enabled` bool, `slot` text or null, `running` bool (its apply worker has a
/// process), `latest_end_lsn` lsn or null, `up_for` span or null (since the worker began), `errors` int or not applicable
/// (15+: apply and sync errors since the statistics were reset), `rises` int or not applicable (in how many of this
/// lane's looks of the last two minutes that count rose), `disable_on_error` bool or not applicable (15+).
pub const SUBSCRIPTIONS: SignalId = SignalId::new("postgres.logical.subscriptions");
/// Which publications each subscription takes: `subscription` text, `publication` text.
pub const TAKEN: SignalId = SignalId::new("postgres.logical.taken");
/// `pg_subscription_rel`: `subscription` text, `table` text, `state` text (`i d f s r`).
pub const SUBSCRIBED: SignalId = SignalId::new("postgres.logical.subscribed");
/// `pg_publication`: `name` text, `inserts` `updates` `deletes` `truncates` bool.
pub const PUBLICATIONS: SignalId = SignalId::new("postgres.logical.publications");
/// `pg_publication_tables`, and the leaves of what is partitioned there: `publication` text, `table` text, `direct` bool
/// (named by the publication itself), `partial` bool (15+: only some columns or rows).
pub const PUBLISHED: SignalId = SignalId::new("postgres.logical.published");
/// The permanent tables of users: `table` text, `digest` text (of names, types and NOT NULL of its columns), `leaf` bool (it
/// holds rows itself), `identity` bool (updates and deletes can be published).
pub const TABLES: SignalId = SignalId::new("postgres.logical.tables");
/// The columns of those tables whose digest differed from another site's at that site's last look: `table` text, `columns`
/// text.
pub const COLUMNS: SignalId = SignalId::new("postgres.logical.columns");
/// The sequences of users: `sequence` text, `last` int or null (never used), `start` int, `step` int, `cycles` bool,
/// `readable` bool.
pub const SEQUENCES: SignalId = SignalId::new("postgres.logical.sequences");
/// The logical slots of the connected database: `slot` text, `active` bool, `wal_status` text or null,
/// `confirmed_flush_lsn` lsn or null, `safe_wal_size` bytes or null, `retained` bytes or null, `invalid` bool.
pub const SLOTS: SignalId = SignalId::new("postgres.logical.slots");
/// What logical replication leaves behind, one row: `large_objects` int (counted up to 1000), `unlogged` int,
/// `materialized` int.
pub const LEFTOVERS: SignalId = SignalId::new("postgres.logical.leftovers");
/// How far the subscriber's confirmed position is behind the publisher's log, the largest of its slots. Not applicable
/// where no logical slot is.
pub const LAG: SignalId = SignalId::new("postgres.logical.lag");

/// Every signal of a server in logical replication, with unit and meaning.
pub const SIGNALS: &[Signal] = &[
    Signal::new(WRITABLE, "yes/no", "the server is not in recovery and has no subscription, so it takes writes"),
    Signal::new(FLUSHED, "lsn", "the server's flush position"),
    Signal::new(APPLIED, "lsn", "the position in the publisher's log up to which the subscriber applied"),
    Signal::new(SYSTEM_ID, "text", "the cluster's system identifier"),
    Signal::new(TIMELINE, "count", "the timeline that the server is on"),
    Signal::new(INSTANCE, "text", "which running server answered: address, port and start time"),
    Signal::new(VERSION, "count", "server_version_num"),
    Signal::new(SUBSCRIPTIONS, "rows", "pg_subscription with its workers and its errors"),
    Signal::new(TAKEN, "rows", "which publications each subscription takes"),
    Signal::new(SUBSCRIBED, "rows", "pg_subscription_rel"),
    Signal::new(PUBLICATIONS, "rows", "pg_publication"),
    Signal::new(PUBLISHED, "rows", "pg_publication_tables"),
    Signal::new(TABLES, "rows", "permanent tables, with a digest of their columns"),
    Signal::new(COLUMNS, "rows", "the columns of the tables that differ between the sites"),
    Signal::new(SEQUENCES, "rows", "sequences and their values"),
    Signal::new(SLOTS, "rows", "logical slots"),
    Signal::new(LEFTOVERS, "rows", "what logical replication leaves behind"),
    Signal::charted(LAG, "bytes", "log that the subscriber has not confirmed"),
    Signal::new(ACCEPTS, "yes/no", "the server lets new sessions in"),
    Signal::charted(EXPOSURE, "s", "upper bound of what would be lost"),
];
