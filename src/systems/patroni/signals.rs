//! What a look at the Patroni of one site reads. One lane per site: all its members are asked at once for `/patroni`, which
//! PostgreSQL itself answers through Patroni, and in turn for `/cluster`, `/history` and `/config`, which the DCS answers.

use crate::plan::SignalId;
use crate::readiness::signals::{
    FLUSHED, INSTANCE, LAST_COMMIT, RECEIVED, REPLAYED, SYSTEM_ID, Signal, TIMELINE, WRITABLE,
};

/// What every configured member says of itself (`GET /patroni`), one row each: see [`Node`](super::parse::Node).
pub const NODES: SignalId = SignalId::new("patroni.nodes");
/// The members as the DCS has them (`GET /cluster`), one row each: see [`Listed`](super::parse::Listed).
pub const CLUSTER: SignalId = SignalId::new("patroni.cluster");
/// What `GET /cluster` says beside the members, one row: see [`Overview`](super::parse::Overview).
pub const OVERVIEW: SignalId = SignalId::new("patroni.overview");
/// What matters of the dynamic configuration (`GET /config`), one row: see [`Settings`](super::parse::Settings). Never a
/// password: what is not named there is not kept.
pub const SETTINGS: SignalId = SignalId::new("patroni.settings");
/// The timeline switches of the cluster (`GET /history`), one row each: see [`Switch`](super::parse::Switch).
pub const HISTORY: SignalId = SignalId::new("patroni.history");
/// The name of the member that holds the leader lock, by `GET /cluster`; NULL where nobody does.
pub const LEADER: SignalId = SignalId::new("patroni.leader");
/// How the site's best standby gets its log: `streaming`, `in archive recovery`, `none`, or `unsaid` by a Patroni that does
/// not know the question (before 3.0.4). Not applicable where a member takes writes.
pub const STREAM: SignalId = SignalId::new("patroni.stream");

/// What [`STREAM`] says of a standby that follows nobody.
pub const NO_STREAM: &str = "none";
/// What [`STREAM`] says where Patroni is too old to know.
pub const UNSAID: &str = "unsaid";
/// What [`STREAM`] says of a standby that streams.
pub const STREAMING: &str = "streaming";
/// What [`STREAM`] says of a standby that reads the archive.
pub const BY_ARCHIVE: &str = "in archive recovery";
/// What a member's `outcome` says when it answered.
pub const OK: &str = "ok";

/// Every signal, with unit and meaning.
pub const SIGNALS: &[Signal] = &[
    Signal::new(WRITABLE, "yes/no", "a member of the site is not in recovery, so it takes writes"),
    Signal::new(FLUSHED, "lsn", "the primary's position"),
    Signal::new(RECEIVED, "lsn", "the greater of the best standby's receive and replay positions"),
    Signal::new(REPLAYED, "lsn", "the best standby's replay position"),
    Signal::new(SYSTEM_ID, "text", "the cluster's system identifier"),
    Signal::new(TIMELINE, "count", "the timeline that the site is on"),
    Signal::new(INSTANCE, "text", "which running server answered: its name in Patroni and its start time"),
    Signal::new(LAST_COMMIT, "time", "commit time of the last replayed transaction"),
    Signal::new(NODES, "rows", "what every member says of itself"),
    Signal::new(CLUSTER, "rows", "the members as the DCS has them"),
    Signal::new(OVERVIEW, "rows", "pause and scheduled switchover"),
    Signal::new(SETTINGS, "rows", "what matters of the dynamic configuration"),
    Signal::new(HISTORY, "rows", "the cluster's timeline switches"),
    Signal::new(LEADER, "text", "the member that holds the leader lock"),
    Signal::new(STREAM, "text", "how the site's best standby gets its log"),
];
